/* The conformance suite as a table: which rules it looks at, its names, and the file of known deviations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conform/client.h"

/* Rules that no case can look at, and why. */
static const struct {
    enum rule rule;
    const char *reason;
} out_of_reach[] = {
    {RULE_SESSION_EXPIRED, "a ticket has to run out"},
    {RULE_ENCRYPTION_UNAVAILABLE, "what a client wants is its own affair"},
    {RULE_RESPONSE_WILDCARD_NETBIOS, "nothing is done over NetBIOS"},
};

static bool looks_at(const struct conform_case *test, enum rule rule) {
    for (unsigned i = 0; i < CONFORM_RULES_MAX && test->rules[i] != RULE_NONE; i++)
        if (test->rules[i] == rule)
            return true;
    return false;
}

static unsigned cases_of(enum rule rule) {
    const struct conform_suite *suites[] = {conform_servers(), conform_clients()};
    unsigned found = 0;

    for (unsigned s = 0; s < 2; s++)
        for (unsigned i = 0; i < suites[s]->count; i++)
            found += looks_at(&suites[s]->cases[i], rule);
    return found;
}

static bool is_out_of_reach(enum rule rule) {
    for (unsigned i = 0; i < sizeof out_of_reach / sizeof out_of_reach[0]; i++)
        if (out_of_reach[i].rule == rule)
            return true;
    return false;
}

static void test_each_rule_is_looked_at(void **state) {
    (void)state;
    for (int rule = RULE_NONE + 1; rule < RULE_COUNT; rule++) {
        bool covered = cases_of((enum rule)rule) > 0;

        if (covered == is_out_of_reach((enum rule)rule))
            fail_msg("%s: %s", rule_text((enum rule)rule)->id,
                     covered ? "is looked at, and said to be out of reach" : "no case looks at it");
    }
}

static void test_names_are_unique(void **state) {
    const struct conform_case *cases = conform_servers()->cases;
    unsigned count = conform_servers()->count;

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        assert_non_null(cases[i].run);
        assert_true(strlen(cases[i].sends) > 0 && strlen(cases[i].expected) > 0 && strlen(cases[i].section) > 0);
        assert_int_equal(strcspn(cases[i].name, " ,#*"), strlen(cases[i].name));
        for (unsigned j = 0; j < i; j++)
            if (strcmp(cases[i].name, cases[j].name) == 0)
                fail_msg("%s is there twice", cases[i].name);
    }
}

static void test_selection(void **state) {
    static bool wanted[CONFORM_CASES_MAX];

    (void)state;
    assert_int_equal(conform_select(conform_servers(), NULL, wanted), conform_servers()->count);
    assert_int_equal(conform_select(conform_servers(), "BVT_Signing", wanted), 1);
    assert_int_equal(conform_select(conform_servers(), "BVT_Signing,BVT_ValidateNegotiateInfo", wanted), 2);
    assert_int_equal(conform_select(conform_servers(), "BVT_Negotiate_SMB3*", wanted),
                     conform_select(conform_servers(), "BVT_Negotiate_SMB30,BVT_Negotiate_SMB302,BVT_Negotiate_SMB311*", wanted));
    assert_true(conform_select(conform_servers(), "credits", wanted) > 3);
    assert_int_equal(conform_select(conform_servers(), "BVT_Nothing", wanted), -1);
    assert_int_equal(conform_select(conform_servers(), "BVT_Signing,,", wanted), -1);
    assert_int_equal(conform_select(conform_servers(), "BVT_Sign", wanted), -1);
}

static bool read_text(struct deviations *deviations, const char *text) {
    FILE *file = tmpfile();
    bool good;

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    rewind(file);
    good = deviations_read(deviations, conform_servers(), file);
    fclose(file);
    return good;
}

static void test_deviations(void **state) {
    static struct deviations deviations;

    (void)state;
    assert_true(read_text(&deviations, "# a comment\n\n  BVT_Signing 2027-03-31 it cannot sign\nEcho\t2026-01-01 so it is"));
    assert_int_equal(deviations.count, 2);
    assert_string_equal(deviations_find(&deviations, "BVT_Signing", "2027-03-31")->reason, "it cannot sign");
    assert_null(deviations_find(&deviations, "BVT_Signing", "2027-04-01"));
    assert_null(deviations_find(&deviations, "Echo", "2026-01-02"));
    assert_null(deviations_find(&deviations, "Echo_WithoutSession", "2026-01-01"));
}

/* However long the names are, a file of known deviations can hold them. */
static void test_each_case_can_be_known(void **state) {
    static struct deviations deviations;
    const struct conform_suite *suite = conform_servers();
    char text[256];

    (void)state;
    for (unsigned i = 0; i < suite->count; i++) {
        snprintf(text, sizeof text, "%s 2027-03-31 so it is\n", suite->cases[i].name);
        assert_true(read_text(&deviations, text));
        assert_non_null(deviations_find(&deviations, suite->cases[i].name, "2027-03-31"));
    }
}

static void test_bad_deviations(void **state) {
    static const char *const bad[] = {
        "BVT_Sining 2027-03-31 a name that is none\n", "BVT_Signing 31.3.2027 a date of another form\n",
        "BVT_Signing 2027-03-31\n", "BVT_Signing\n", "BVT_Signing 2027-03-310 too long a date\n"};
    static struct deviations deviations;
    static char text[DEVIATIONS_MAX * 32 + 1024];

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "# first\n%s", bad[i]);
        assert_false(read_text(&deviations, text));
        assert_int_equal(deviations.bad_line, 2);
        assert_non_null(deviations.complaint);
    }
    memset(text, 'a', 600);
    text[600] = '\0';
    assert_false(read_text(&deviations, text));
    text[0] = '\0';
    for (unsigned i = 0; i <= DEVIATIONS_MAX; i++)
        strcat(text, "Echo 2027-03-31 again\n");
    assert_false(read_text(&deviations, text));
    assert_int_equal(deviations.bad_line, DEVIATIONS_MAX + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_is_looked_at), cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_selection),              cmocka_unit_test(test_deviations),
        cmocka_unit_test(test_bad_deviations),         cmocka_unit_test(test_each_case_can_be_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
