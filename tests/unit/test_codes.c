/* The dictionary of codes: everything is found under each of its names, and nothing under a wrong
 * one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/codes.h"

#define FOUND_MAX 16

static bool finds(const char *query, enum code_kind kind, uint32_t value) {
    const struct code *found[FOUND_MAX];
    int count = codes_find(query, found, FOUND_MAX);

    for (int i = 0; i < count; i++)
        if (found[i]->kind == kind && found[i]->value == value)
            return true;
    return false;
}

static int count_of(const char *query) {
    const struct code *found[FOUND_MAX];

    return codes_find(query, found, FOUND_MAX);
}

static void assert_only(const char *query, enum code_kind kind, uint32_t value) {
    assert_true(finds(query, kind, value));
    assert_int_equal(count_of(query), 1);
}

static void assert_text(const char *query, const char *name) {
    const struct code *found[FOUND_MAX];

    assert_true(codes_find(query, found, FOUND_MAX) > 0);
    assert_string_equal(found[0]->name, name);
}

static void every_entry_is_found_by_its_number(void **state) {
    char query[64];

    (void)state;
    for (size_t i = 0; codes_at(i) != NULL; i++) {
        const struct code *code = codes_at(i);

        if (code->kind == CODE_TEXT)
            continue;
        snprintf(query, sizeof query, "%u", code->value);
        assert_true(finds(query, code->kind, code->value));
        snprintf(query, sizeof query, "0x%08x", code->value);
        assert_true(finds(query, code->kind, code->value));
    }
}

static void every_entry_is_found_by_its_name(void **state) {
    (void)state;
    for (size_t i = 0; codes_at(i) != NULL; i++) {
        const struct code *code = codes_at(i);

        if (code->kind != CODE_EVENT && code->name[0] != '\0')
            assert_true(finds(code->name, code->kind, code->value));
    }
}

static void every_text_finds_its_entry(void **state) {
    (void)state;
    for (size_t i = 0; codes_at(i) != NULL; i++) {
        char texts[1024], *rest = texts;

        assert_true(snprintf(texts, sizeof texts, "%s", codes_at(i)->texts) < (int)sizeof texts);
        for (char *text = strsep(&rest, "|"); text != NULL && text[0] != '\0';
             text = strsep(&rest, "|"))
            assert_true(finds(text, codes_at(i)->kind, codes_at(i)->value));
    }
}

static void every_entry_is_complete(void **state) {
    (void)state;
    for (size_t i = 0; codes_at(i) != NULL; i++) {
        const struct code *code = codes_at(i);

        assert_true(strlen(code->says) > 5 && strlen(code->means) > 3 && strlen(code->then) > 5);
        for (const char *c = code->texts; *c != '\0'; c++)
            assert_false(*c >= 'A' && *c <= 'Z');
        for (size_t other = 0; other < i; other++)
            assert_false(code->kind != CODE_TEXT && code->kind == codes_at(other)->kind &&
                         code->value == codes_at(other)->value);
    }
}

static void every_rule_has_a_title(void **state) {
    (void)state;
    for (size_t i = 0; codes_at(i) != NULL; i++) {
        char rules[256], *rest = rules;

        assert_true(snprintf(rules, sizeof rules, "%s", codes_at(i)->rules) < (int)sizeof rules);
        for (char *id = strsep(&rest, " "); id != NULL && id[0] != '\0'; id = strsep(&rest, " "))
            if (code_rule_title(id) == NULL)
                fail_msg("%s of entry %s has no title", id, codes_at(i)->name);
    }
    assert_null(code_rule_title("Z99"));
}

static void ambiguous_numbers_show_every_meaning(void **state) {
    (void)state;
    assert_int_equal(count_of("5"), 2);
    assert_true(finds("5", CODE_WIN32, 5));
    assert_true(finds("5", CODE_ERRNO, 5));
    assert_only("-5", CODE_ERRNO, 5);
    assert_only("mount error(5): Input/output error", CODE_ERRNO, 5);
    assert_only("System error 5 has occurred.", CODE_WIN32, 5);
    assert_only("cifs_mount failed w/return code = -13", CODE_ERRNO, 13);
}

static void numbers_are_unwrapped(void **state) {
    (void)state;
    assert_only("1240", CODE_WIN32, 1240);
    assert_only("0x4d8", CODE_WIN32, 1240);
    assert_only("0x80070040", CODE_WIN32, 64);
    assert_only("80070035", CODE_WIN32, 53);
    assert_only("-2147024843", CODE_WIN32, 53);
    assert_only("C000A000", CODE_NTSTATUS, 0xC000A000);
    assert_only("0xc0000022", CODE_NTSTATUS, 0xC0000022);
    assert_only("-1073741790", CODE_NTSTATUS, 0xC0000022);
    assert_only("0xD0000022", CODE_NTSTATUS, 0xC0000022);
    assert_only("2148073478", CODE_HRESULT, 0x80090006);
    assert_only("3227320323", CODE_NTSTATUS, 0xC05D0003);
    assert_only("0x00000000", CODE_NTSTATUS, 0);
    assert_only("-2146892963", CODE_HRESULT, 0x8009035D);
    assert_only("0xC000A000L", CODE_NTSTATUS, 0xC000A000);
    assert_only("E_ACCESSDENIED", CODE_WIN32, 5);
}

static void events_are_found(void **state) {
    (void)state;
    assert_only("31012", CODE_EVENT, 31012);
    assert_only("event 1005", CODE_EVENT, 1005);
    assert_only("Event ID: 30912", CODE_EVENT, 30912);
    assert_only("RequireSecureNegotiate", CODE_EVENT, 30912);
    assert_only("Microsoft-Windows-SMBServer 1005", CODE_EVENT, 1005);
    assert_int_equal(count_of("event 64"), 0); /* a Windows error, but no event */
    assert_int_equal(count_of("Microsoft-Windows-SMBServer: 64"), 0);
}

static void names_are_found_with_and_without_prefix(void **state) {
    (void)state;
    assert_only("STATUS_FILE_CLOSED", CODE_NTSTATUS, 0xC0000128);
    assert_only("NT_STATUS_FILE_CLOSED", CODE_NTSTATUS, 0xC0000128);
    assert_only("file_closed", CODE_NTSTATUS, 0xC0000128);
    assert_only("ERROR_NETNAME_DELETED", CODE_WIN32, 64);
    assert_only("EHOSTDOWN", CODE_ERRNO, 112);
    assert_true(finds("ACCESS_DENIED", CODE_NTSTATUS, 0xC0000022));
    assert_true(finds("ACCESS_DENIED", CODE_WIN32, 5));
    assert_int_equal(count_of("FILE_CLOSE"), 0);
}

static void messages_are_found(void **state) {
    (void)state;
    assert_only("\"The specified network name is no longer available.\"", CODE_WIN32, 64);
    assert_only("the specified  network\nname is no longer AVAILABLE", CODE_WIN32, 64);
    assert_only("Der angegebene Netzwerkname ist nicht mehr verf\303\274gbar.", CODE_WIN32, 64);
    assert_only("Systemfehler 53 aufgetreten.", CODE_WIN32, 53);
    assert_only("Se produjo el error 2148073478 del sistema.", CODE_HRESULT, 0x80090006);
    assert_text("CIFS: VFS: protocol revalidation - security settings mismatch",
                "protocol revalidation - security settings mismatch");
    assert_text("CIFS: VFS: \\\\server validate protocol negotiate failed: -11",
                "validate protocol negotiate failed");
    assert_text("Bad SMB2 (sign_algo_id=1) signature for message",
                "Bad SMB2 signature for message");
    assert_text("reason: NegotiateValidation", "NegotiateValidation");
    assert_text("tree connect failed: NT_STATUS_CONNECTION_DISCONNECTED",
                "tree connect failed: NT_STATUS_CONNECTION_DISCONNECTED");
}

static void nonsense_finds_nothing(void **state) {
    char longest[4 * CODE_QUERY_MAX];

    (void)state;
    assert_int_equal(count_of(""), 0);
    assert_int_equal(count_of("   \t"), 0);
    assert_int_equal(count_of("banana"), 0);
    assert_int_equal(count_of("4294967296"), 0);
    assert_int_equal(count_of("99999999999999999999999"), 0);
    assert_int_equal(count_of("0x"), 0);
    assert_int_equal(count_of("-"), 0);
    memset(longest, '9', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(count_of(longest), 0);
    memset(longest, 0xff, sizeof longest - 1);
    assert_int_equal(count_of(longest), 0);
}

static void no_more_than_asked_for(void **state) {
    const struct code *found[1] = {NULL};

    (void)state;
    assert_int_equal(codes_find("5", found, 1), 1);
    assert_non_null(found[0]);
    assert_int_equal(codes_find("5", found, 0), 0);
}

static void print_fits_the_terminal(void **state) {
    (void)state;
    for (size_t i = 0; codes_at(i) != NULL; i++) {
        char *text = NULL, *line, *rest;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        codes_print(out, codes_at(i), i > 0);
        assert_int_equal(fclose(out), 0);
        assert_non_null(strstr(text, "\n  Says "));
        assert_non_null(strstr(text, "\n  Next "));
        rest = text;
        while ((line = strsep(&rest, "\n")) != NULL)
            if (strlen(line) > 80)
                fail_msg("longer than 80 columns: %s", line);
        free(text);
    }
}

static char *cause_text(const char *id) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool known = codes_print_cause(out, id);

    assert_int_equal(fclose(out), 0);
    assert_int_equal(known, text[0] != '\0');
    return text;
}

static void causes_are_told_with_their_codes(void **state) {
    char *text = cause_text("m01");

    (void)state;
    assert_int_equal(strncmp(text, "M01  ", 5), 0);
    assert_non_null(strstr(text, "\n           ERROR_NETNAME_DELETED\n"));
    assert_null(strstr(text, "STATUS_LOGON_FAILURE"));
    free(text);
    text = cause_text("M99");
    assert_string_equal(text, "");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_found_by_its_number),
        cmocka_unit_test(every_entry_is_found_by_its_name),
        cmocka_unit_test(every_text_finds_its_entry),
        cmocka_unit_test(every_entry_is_complete),
        cmocka_unit_test(every_rule_has_a_title),
        cmocka_unit_test(ambiguous_numbers_show_every_meaning),
        cmocka_unit_test(numbers_are_unwrapped),
        cmocka_unit_test(events_are_found),
        cmocka_unit_test(names_are_found_with_and_without_prefix),
        cmocka_unit_test(messages_are_found),
        cmocka_unit_test(causes_are_told_with_their_codes),
        cmocka_unit_test(nonsense_finds_nothing),
        cmocka_unit_test(no_more_than_asked_for),
        cmocka_unit_test(print_fits_the_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
