/* The option table: flags, files, who wins, what is refused, and what comes out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/equivalents.h"
#include "tools/options.h"
#include "wire/messages.h"

/* A folder with the two files, and the options that know them. */
struct place {
    char folder[64], system[96], user[96];
    struct options options;
    struct settings settings;
};

static int set_up(void **state) {
    struct place *place = test_calloc(1, sizeof *place);

    snprintf(place->folder, sizeof place->folder, "/tmp/smbproof-options-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->system, sizeof place->system, "%s/system", place->folder);
    snprintf(place->user, sizeof place->user, "%s/user", place->folder);
    options_init(&place->options);
    place->options.system_path = place->system;
    snprintf(place->options.user_path, sizeof place->options.user_path, "%s", place->user);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;

    unlink(place->system);
    unlink(place->user);
    rmdir(place->folder);
    test_free(place);
    return 0;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool settle(struct place *place, const char *host) {
    return options_settle(&place->options, host, &place->settings);
}

static void give_flag(struct place *place, enum option_id id, const char *text) {
    char complaint[CONFIG_COMPLAINT_MAX];

    assert_true(option_parse(id, text, &place->options.flags[id], complaint));
    place->options.flags[id].origin = ORIGIN_FLAG;
}

/* Settling fails and the complaint has both texts in it. */
static void expect_refusal(struct place *place, const char *host, const char *one, const char *other) {
    assert_false(settle(place, host));
    if (strstr(place->settings.complaint, one) == NULL || strstr(place->settings.complaint, other) == NULL)
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", place->settings.complaint, one, other);
}

static const char *origin_of(const struct place *place, enum option_id id) {
    static char text[OPTION_TEXT_MAX];

    return option_origin_text(id, &place->settings.values[id], text, sizeof text);
}

static void test_defaults(void **state) {
    struct place *place = *state;
    const struct client_policy *policy = &place->settings.policy;
    static const uint8_t zero[16];
    uint8_t guid[16];

    assert_true(settle(place, "nas"));
    assert_int_equal(policy->dialects.count, 5);
    assert_true(policy->require_secure_negotiate);
    assert_true(policy->refuse_unvalidated_3x);
    assert_false(policy->signing_required);
    assert_false(policy->allow_guest);
    assert_int_equal(policy->encryption, ENCRYPTION_OFFERED);
    assert_int_equal(place->settings.timeout_ms, 60000);
    assert_int_equal(place->settings.port, 445);
    assert_int_equal(place->settings.password_fd, -1);
    assert_int_equal(place->settings.method, AUTH_METHOD_ANY);
    assert_string_equal(origin_of(place, OPTION_SIGN), "default");
    assert_false(settings_are_weakened(&place->settings));
    memcpy(guid, policy->guid, sizeof guid);
    assert_memory_not_equal(guid, zero, sizeof guid);
    assert_true(settle(place, "nas"));
    assert_memory_not_equal(guid, policy->guid, sizeof guid); /* another one each time */
}

static void test_who_wins(void **state) {
    struct place *place = *state;
    char expected[128];

    write_file(place->system, "[host NAS]\nTimeout = 3\nUser=system\n[defaults]\nTimeout=1\nSigning=\n");
    expect_refusal(place, "nas", "system:6: ", "`Signing' is no key");
    write_file(place->system, "[host NAS]\nTimeout = 3\nUser=system\nDomain=lab\n[defaults]\nTimeout=1\n");
    write_file(place->user, "[defaults]\nTimeout=2\nUser=anybody\n[host nas]\n  user = me ; myself\n");
    assert_true(settle(place, "other"));
    assert_int_equal(place->settings.timeout_ms, 2000); /* the user's [defaults] over the system's */
    assert_string_equal(place->settings.user, "anybody");
    assert_string_equal(place->settings.domain, "");
    assert_true(settle(place, "nas"));
    assert_int_equal(place->settings.timeout_ms, 3000); /* a host's section over any [defaults] */
    assert_string_equal(place->settings.user, "me");
    assert_string_equal(place->settings.domain, "lab");
    snprintf(expected, sizeof expected, "%s:5", place->user);
    assert_string_equal(origin_of(place, OPTION_USER), expected);
    give_flag(place, OPTION_TIMEOUT, "9");
    assert_true(settle(place, "nas"));
    assert_int_equal(place->settings.timeout_ms, 9000);
    assert_string_equal(origin_of(place, OPTION_TIMEOUT), "--timeout");
}

static void test_config_in_place_of_both(void **state) {
    struct place *place = *state;

    write_file(place->system, "[defaults]\nTimeout=1\n");
    place->options.config_path = place->user;
    expect_refusal(place, NULL, place->user, "No such file");
    write_file(place->user, "[defaults]\nUser=me\n");
    assert_true(settle(place, NULL));
    assert_int_equal(place->settings.timeout_ms, 60000);
    assert_string_equal(place->settings.user, "me");
}

static void test_words_and_numbers(void **state) {
    static const struct {
        enum option_id id;
        const char *text;
        unsigned number;
    } good[] = {
        {OPTION_SIGN, "required", 1},
        {OPTION_SIGN, "1", 1},
        {OPTION_SIGN, "Yes", 1},
        {OPTION_SIGN, "0", 0},
        {OPTION_SIGN, "ALLOWED", 0},
        {OPTION_ENCRYPT, "off", 0},
        {OPTION_ENCRYPT, "allowed", 1},
        {OPTION_ENCRYPT, "1", 2},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "1", 1},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "0x1", 1},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "true", 1},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "0", 0},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "2", 0},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "3", 0},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "0xffffffff", 0},
        {OPTION_AUTH, "krb5", 2},
        {OPTION_TIMEOUT, "3600", 3600},
        {OPTION_PASSWORD_FD, "3", 3},
    };
    static const struct {
        enum option_id id;
        const char *text, *complaint;
    } bad[] = {
        {OPTION_SIGN, "2", "allowed or required"},
        {OPTION_SIGN, "", "allowed or required"},
        {OPTION_ENCRYPT, "maybe", "off, allowed or required"},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "-1", "off or on"},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "1x", "off or on"},
        {OPTION_REQUIRE_SECURE_NEGOTIATE, "4294967296", "off or on"},
        {OPTION_TIMEOUT, "0", "1 to 3600"},
        {OPTION_TIMEOUT, "3601", "1 to 3600"},
        {OPTION_TIMEOUT, " 5", "1 to 3600"},
        {OPTION_DIALECTS, "", "at least one"},
        {OPTION_DIALECTS, "3.1.1,4", "`4' is no dialect"},
        {OPTION_DIALECTS, "2.???", "is no dialect"},
        {OPTION_PASSWORD_FD, "-1", "no descriptor"},
    };
    struct option_value value;
    char complaint[CONFIG_COMPLAINT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(option_parse(good[i].id, good[i].text, &value, complaint));
        assert_int_equal(value.number, good[i].number);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(option_parse(bad[i].id, bad[i].text, &value, complaint));
        assert_non_null(strstr(complaint, bad[i].complaint));
    }
}

static void test_dialects_ascend(void **state) {
    struct option_value value;
    char complaint[CONFIG_COMPLAINT_MAX];

    (void)state;
    assert_true(option_parse(OPTION_DIALECTS, "3.0.2, 2.1,3.0.2", &value, complaint));
    assert_int_equal(value.dialects.count, 2);
    assert_int_equal(value.dialects.ids[0], SMB2_DIALECT_210);
    assert_int_equal(value.dialects.ids[1], SMB2_DIALECT_302);
}

static void test_validation_off_for_a_named_host_only(void **state) {
    struct place *place = *state;

    write_file(place->system, "[defaults]\n\nRequireSecureNegotiate = 0\n");
    expect_refusal(place, "nas", "system:3: ", "only for a named host");
    expect_refusal(place, NULL, "system:3: ", "only for a named host");
    write_file(place->system, "[defaults]\nValidateError = accept\n");
    expect_refusal(place, "nas", "system:2: ", "only for a named host");
    write_file(place->system, "[defaults]\nRequireSecureNegotiate = 1\n[host nas]\nRequireSecureNegotiate = 0\n"
                              "[host old]\nValidateError = accept\n");
    assert_true(settle(place, "other"));
    assert_true(place->settings.policy.require_secure_negotiate);
    assert_true(place->settings.policy.refuse_unvalidated_3x);
    assert_true(settle(place, "nas"));
    assert_false(place->settings.policy.require_secure_negotiate);
    assert_true(settings_are_weakened(&place->settings));
    assert_true(settle(place, "old"));
    assert_true(place->settings.policy.require_secure_negotiate);
    assert_false(place->settings.policy.refuse_unvalidated_3x);
    assert_true(settings_are_weakened(&place->settings));
    give_flag(place, OPTION_REQUIRE_SECURE_NEGOTIATE, "0");
    expect_refusal(place, NULL, "only for a named host", "on the command line");
    assert_true(settle(place, "other"));
    assert_false(place->settings.policy.require_secure_negotiate);
    give_flag(place, OPTION_DIALECTS, "3.1.1"); /* where it has no effect */
    assert_true(settle(place, "other"));
    assert_false(settings_are_weakened(&place->settings));
}

static void test_guest(void **state) {
    struct place *place = *state;

    give_flag(place, OPTION_AUTH, "guest");
    assert_true(settle(place, "nas"));
    assert_true(place->settings.guest);
    assert_true(place->settings.policy.allow_guest);
    give_flag(place, OPTION_SIGN, "required");
    expect_refusal(place, "nas", "--auth", "--sign");
    give_flag(place, OPTION_SIGN, "allowed");
    give_flag(place, OPTION_ENCRYPT, "required");
    expect_refusal(place, "nas", "--auth", "--encrypt");
    give_flag(place, OPTION_AUTH, "ntlm");
    give_flag(place, OPTION_DIALECTS, "2.1");
    expect_refusal(place, "nas", "SMB 2 has no encryption", "--dialects");
    give_flag(place, OPTION_ENCRYPT, "allowed");
    give_flag(place, OPTION_DIALECTS, "3.1.1");
    give_flag(place, OPTION_NETBIOS, "on");
    expect_refusal(place, "nas", "NetBIOS", "--dialects");
    give_flag(place, OPTION_DIALECTS, "3.0,3.1.1");
    assert_true(settle(place, "nas"));
    assert_int_equal(place->settings.port, 139);
    assert_int_equal(place->settings.policy.transport, TRANSPORT_NETBIOS);
}

static void test_lines_that_are_none(void **state) {
    static const struct {
        const char *text, *place, *complaint;
    } bad[] = {
        {"Timeout = 3\n", ":1: ", "in front of the first section"},
        {"[defaults]\n[hosts nas]\n", ":2: ", "sections are"},
        {"[host]\n", ":1: ", "sections are"},
        {"[host a b]\n", ":1: ", "one host name"},
        {"\n[host nas\n", ":2: ", "ends with"},
        {"[defaults]\nnonsense\n", ":2: ", "no `Key = value'"},
        {"[defaults]\nUser = a\n   second line of it\n", ":3: ", "no `Key = value'"},
        {"[host other]\nTimeout = never\n", ":2: ", "Timeout: `never'"}, /* also in a section for somebody else */
        {"[defaults]\nEnableSecuritySignature = 1\n", ":2: ", "RequireSecuritySignature decides"},
    };
    struct place *place = *state;
    char line[512];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(place->system, bad[i].text);
        expect_refusal(place, "nas", bad[i].place, bad[i].complaint);
    }
    memset(line, 'x', sizeof line);
    memcpy(line, "[defaults]\nUser=", 16);
    line[sizeof line - 1] = '\0';
    write_file(place->system, line);
    expect_refusal(place, "nas", ":2: ", "too long");
}

static void test_a_file_that_anybody_may_write(void **state) {
    struct place *place = *state;

    write_file(place->system, "[defaults]\nTimeout = 3\n");
    assert_int_equal(chmod(place->system, 0646), 0);
    expect_refusal(place, "nas", place->system, "everybody may write");
    assert_int_equal(chmod(place->system, 0644), 0);
    assert_true(settle(place, "nas"));
}

static void test_equivalents(void **state) {
    struct place *place = *state;
    struct equivalents equivalents;

    give_flag(place, OPTION_SIGN, "required");
    give_flag(place, OPTION_DIALECTS, "3.0,3.0.2,3.1.1");
    give_flag(place, OPTION_TIMEOUT, "7");
    assert_true(settle(place, "nas"));
    assert_true(equivalents_find(&place->settings, OPTION_SIGN, &equivalents));
    assert_string_equal(equivalents.texts[EQUIVALENT_LINUX], "sign");
    assert_string_equal(equivalents.texts[EQUIVALENT_MACOS], "signing_required=yes");
    assert_true(equivalents_find(&place->settings, OPTION_DIALECTS, &equivalents));
    assert_string_equal(equivalents.texts[EQUIVALENT_LINUX], "vers=3");
    assert_string_equal(equivalents.texts[EQUIVALENT_MACOS], "protocol_vers_map=4");
    assert_string_equal(equivalents.texts[EQUIVALENT_SAMBA],
                        "client min protocol = SMB3_00, client max protocol = SMB3_11");
    assert_true(equivalents_find(&place->settings, OPTION_TIMEOUT, &equivalents));
    assert_string_equal(equivalents.texts[EQUIVALENT_SAMBA], "smbclient -t 7");
    assert_true(equivalents_find(&place->settings, OPTION_REQUIRE_SECURE_NEGOTIATE, &equivalents));
    assert_non_null(strstr(equivalents.texts[EQUIVALENT_REGISTRY], "30912"));
}

/* Each value of each choice has its line, so that none is shown without. */
static void test_equivalents_are_complete(void **state) {
    struct place *place = *state;
    struct equivalents equivalents;

    assert_true(settle(place, "nas"));
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        for (unsigned i = 0; i < OPTION_CHOICES_MAX && option_row(id)->choices[i].word != NULL; i++) {
            place->settings.values[id].number = i;
            if (!equivalents_find(&place->settings, id, &equivalents))
                fail_msg("%s = %s has no equivalents", option_row(id)->flag, option_row(id)->choices[i].word);
        }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),
        TEST(test_who_wins),
        TEST(test_config_in_place_of_both),
        TEST(test_words_and_numbers),
        TEST(test_dialects_ascend),
        TEST(test_validation_off_for_a_named_host_only),
        TEST(test_guest),
        TEST(test_lines_that_are_none),
        TEST(test_a_file_that_anybody_may_write),
        TEST(test_equivalents),
        TEST(test_equivalents_are_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
