/* src/client without a server: where something is, what a name from a server may become, what a refusal means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/names.h"
#include "client/refusals.h"
#include "client/url.h"
#include "wire/messages.h"
#include "wire/text.h"

struct url_case {
    const char *text, *domain, *user, *host;
    unsigned port;
    const char *share, *path;
    bool is_folder;
};

static void urls_are_taken_apart(void **state) {
    static const struct url_case cases[] = {
        {"smb://host", "", "", "host", 0, "", "", false},
        {"smb://host/", "", "", "host", 0, "", "", true},
        {"SMB://host/share", "", "", "host", 0, "share", "", false},
        {"smb://host/share/", "", "", "host", 0, "share", "", true},
        {"smb://user@host:4450/share/a/b", "", "user", "host", 4450, "share", "a\\b", false},
        {"smb://DOM;user@host/share/a//b/", "DOM", "user", "host", 0, "share", "a\\b", true},
        {"smb://a%40b@host/s%20s/%ED%95%9C/./x", "", "a@b", "host", 0, "s s", "한\\x", false},
        {"smb://user@example.org@host/share", "", "user@example.org", "host", 0, "share", "", false},
        {"smb://[fe80::1%25eth0]:445/share", "", "", "fe80::1%eth0", 445, "share", "", false},
        {"smb://u@[::1]/share/x", "", "u", "::1", 0, "share", "x", false},
        {"\\\\host\\share\\a\\b", "", "", "host", 0, "share", "a\\b", false},
        {"\\\\host\\share$\\100%\\", "", "", "host", 0, "share$", "100%", true},
        {"\\\\host/share/a", "", "", "host", 0, "share", "a", false},
    };
    char complaint[URL_COMPLAINT_MAX];
    struct url url;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct url_case *wanted = &cases[i];

        if (!url_parse(wanted->text, &url, complaint))
            fail_msg("%s: %s", wanted->text, complaint);
        assert_string_equal(url.domain, wanted->domain);
        assert_string_equal(url.user, wanted->user);
        assert_string_equal(url.host, wanted->host);
        assert_int_equal(url.port, wanted->port);
        assert_string_equal(url.share, wanted->share);
        assert_string_equal(url.path, wanted->path);
        assert_int_equal(url.is_folder, wanted->is_folder);
        assert_true(url_is(wanted->text));
    }
}

static void wrong_urls_are_refused(void **state) {
    static const char *const texts[] = {
        "", "host/share", "http://host/share", "smb://", "smb:///share", "smb://user@/share", "smb://host:/share",
        "smb://host:0/share", "smb://host:65536/share", "smb://host:44x/share", "smb://[::1/share", "smb://[host]/share",
        "smb://[::1]x/share", "smb://host/share/..", "smb://host/share/%2e%2e/x", "smb://host/share/a%2fb",
        "smb://host/share/a%5Cb", "smb://host/share/%", "smb://host/share/%4", "smb://host/share/%zz",
        "smb://host/share/%00", "smb://host/share/%1b", "smb://host/share/\x1b", "smb://host/share/%ff",
        "smb://host/a%2fb/x", "\\\\", "\\\\host\\share\\..\\x", "\\\\\\share", "smb://host/share/%c2%9b"};
    char complaint[URL_COMPLAINT_MAX];
    struct url url;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        complaint[0] = '\0';
        if (url_parse(texts[i], &url, complaint))
            fail_msg("%s is taken", texts[i]);
        assert_true(strlen(complaint) > 10);
    }
}

static void a_password_is_refused_and_not_repeated(void **state) {
    char complaint[URL_COMPLAINT_MAX];
    struct url url;

    (void)state;
    assert_false(url_parse("smb://user:geheim@host/share", &url, complaint));
    assert_null(strstr(complaint, "geheim"));
    assert_non_null(strstr(complaint, "password"));
}

static void long_parts_are_refused(void **state) {
    char text[3 * URL_PATH_MAX], complaint[URL_COMPLAINT_MAX];
    struct url url;

    (void)state;
    snprintf(text, sizeof text, "smb://%0300d/share", 0);
    assert_false(url_parse(text, &url, complaint));
    snprintf(text, sizeof text, "smb://%0300d@host/share", 0);
    assert_false(url_parse(text, &url, complaint));
    snprintf(text, sizeof text, "smb://host/%0300d/x", 0);
    assert_false(url_parse(text, &url, complaint));
    strcpy(text, "smb://host/share");
    for (unsigned i = 0; i < URL_PATH_MAX / 4; i++)
        strcat(text, "/long");
    assert_false(url_parse(text, &url, complaint));
}

static void paths_have_last_parts(void **state) {
    char path[URL_PATH_MAX];

    (void)state;
    assert_string_equal(url_last("a\\b\\c"), "c");
    assert_string_equal(url_last("a"), "a");
    url_parent("a\\b\\c", path);
    assert_string_equal(path, "a\\b");
    url_parent("a", path);
    assert_string_equal(path, "");
    assert_true(url_join("", "a", path));
    assert_string_equal(path, "a");
    assert_true(url_join("a", "b", path));
    assert_string_equal(path, "a\\b");
}

static void only_harmless_names_are_safe(void **state) {
    static const char *const bad[] = {"", ".", "..", "a/b", "/etc", "..\\x", "a\\b", "a\nb", "\x1b[31m", "\x7f",
                                      "a\xc2\x9b", "\xff"};
    static const char *const good[] = {"a", "...", ".hidden", "..a", "한글", "😀", "a b", "-rf", "a:b"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (name_is_safe(bad[i]))
            fail_msg("number %zu is taken for safe", i);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(name_is_safe(good[i]));
}

static void names_are_shown_harmlessly(void **state) {
    char shown[64];

    (void)state;
    assert_string_equal(name_shown("a\x1b[31mb", shown, sizeof shown), "a\\x1b[31mb");
    assert_string_equal(name_shown("\xc2\x9b\n", shown, sizeof shown), "\\x9b\\x0a");
    assert_string_equal(name_shown("x\xe2\x80\xaegpj.exe", shown, sizeof shown), "x\\u202egpj.exe");
    assert_string_equal(name_shown("\xff한", shown, sizeof shown), "\\xff한");
    assert_string_equal(name_shown("한글", shown, 7), "한글");
    assert_string_equal(name_shown("한글", shown, 6), "한");
    assert_string_equal(name_shown("a\x1b", shown, 5), "a");
}

static void names_from_the_wire(void **state) {
    char text[NAME_TEXT_MAX];
    static const uint8_t good[] = {0x5c, 0xd5, 'a', 0}, lone[] = {0x00, 0xd8, 'a', 0}, nul[] = {'a', 0, 0, 0, 'b', 0};
    static uint8_t endless[2 * NAME_TEXT_MAX];

    (void)state;
    assert_true(name_from_wire((struct span){good, sizeof good}, text));
    assert_string_equal(text, "한a");
    assert_false(name_from_wire((struct span){lone, sizeof lone}, text));
    assert_false(name_from_wire((struct span){nul, sizeof nul}, text));
    assert_false(name_from_wire((struct span){good, 3}, text));
    for (size_t i = 0; i < sizeof endless; i += 2)
        endless[i] = 'x';
    assert_false(name_from_wire((struct span){endless, sizeof endless}, text));
    assert_true(strlen(text) < sizeof text);
}

static void parts_have_names_of_their_own(void **state) {
    char a[NAME_PART_MAX], b[NAME_PART_MAX];

    (void)state;
    name_of_part("file", a);
    name_of_part("File", b);
    assert_string_not_equal(a, b);
    name_of_part("file", b);
    assert_string_equal(a, b);
    assert_true(name_is_part(a));
    assert_false(name_is_part("file") || name_is_part(".smbproof-.part") || name_is_part(".smbproof-0123456789abcdefxpart"));
    assert_true(name_is_safe(a) && a[0] == '.' && strlen(a) + 1 == sizeof ".smbproof-0123456789abcdef.part");
}

static void refusals_speak_plainly(void **state) {
    char text[512];

    (void)state;
    refusal_sentence(STATUS_DISK_FULL, text, sizeof text);
    assert_non_null(strstr(text, "STATUS_DISK_FULL"));
    assert_non_null(strstr(text, "no room"));
    refusal_sentence(0xc0001234, text, sizeof text);
    assert_non_null(strstr(text, "0xc0001234"));
    assert_null(refusal_find(0xc0001234));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(wrong_urls_are_refused),
        cmocka_unit_test(a_password_is_refused_and_not_repeated),
        cmocka_unit_test(long_parts_are_refused),
        cmocka_unit_test(paths_have_last_parts),
        cmocka_unit_test(only_harmless_names_are_safe),
        cmocka_unit_test(names_are_shown_harmlessly),
        cmocka_unit_test(names_from_the_wire),
        cmocka_unit_test(parts_have_names_of_their_own),
        cmocka_unit_test(refusals_speak_plainly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
