/* A report in words, and as TAP. */
#include <string.h>

#include "conform/trial.h"

static bool is_deviation(enum conform_outcome outcome) {
    return outcome == CONFORM_FAIL || outcome == CONFORM_SHOULD || outcome == CONFORM_KNOWN;
}

/* ---- words ---- */

void conform_server_text(const struct conform_report *report, FILE *out) {
    const struct conform_facts *facts = &report->facts;
    const struct line_target *target = &report->options->target;
    char dialect[16];

    fprintf(out, "%s, port %u:", target->host, target->port);
    for (unsigned i = 0; i < facts->spoken.count; i++)
        fprintf(out, " %s", dialect_text(facts->spoken.ids[i], dialect));
    if (facts->spoken.count == 0)
        fputs(" no dialect is agreed to", out);
    fprintf(out, "; signing %s", facts->security_mode & SMB2_SIGNING_REQUIRED ? "required" : "not required");
    fprintf(out, "; encryption %s",
            facts->encrypts_session || facts->encrypts_share ? "demanded"
            : facts->has_cipher                              ? "possible"
                                                             : "not possible");
    fputs("\n", out);
    if (target->credentials == NULL)
        fputs("No user is named, so only what needs no logon is looked at.\n", out);
    else if (!facts->logged_on)
        fprintf(out, "The logon was refused%s%s, so only what needs none is looked at.\n",
                ntstatus_name(facts->logon_status) != NULL ? ": " : "",
                ntstatus_name(facts->logon_status) != NULL ? ntstatus_name(facts->logon_status) : "");
    else if (!facts->has_keys)
        fputs("The session has no keys (a guest's), so only what needs none is looked at.\n", out);
    else if (!facts->share_connected)
        fputs("The share is refused, so what needs one is not looked at.\n", out);
}

static void print_case(const struct conform_case *test, const struct conform_result *result, FILE *out) {
    fprintf(out, "\n%s %s ([MS-SMB2] %s)\n", conform_outcome_word(result->outcome), test->name, test->section);
    fprintf(out, "    sent: %s\n    expected: %s\n    seen: %s\n", test->sends, test->expected, result->seen);
    if (result->outcome == CONFORM_KNOWN)
        fprintf(out, "    known until %s: %s\n", result->known->until, result->known->reason);
}

static void print_rules(const struct conform_case *test, FILE *out) {
    for (unsigned i = 0; i < CONFORM_RULES_MAX && test->rules[i] != RULE_NONE; i++)
        fprintf(out, "    rule %s: %s\n", rule_text(test->rules[i])->id, rule_text(test->rules[i])->sentence);
}

/* Deviations that are known and were not seen: the file says too much. */
static void print_unused(const struct conform_report *report, FILE *out) {
    const struct conform_case *cases = report->suite->cases;

    for (unsigned i = 0; i < report->suite->count; i++) {
        const struct conform_result *result = &report->results[i];

        if (report->options->wanted[i] && result->known != NULL && result->outcome == CONFORM_PASS)
            fprintf(out, "\n%s is a known deviation (%s), and was not seen: the file can do without it\n",
                    cases[i].name, result->known->reason);
    }
}

void conform_write_text(const struct conform_report *report, bool verbose, FILE *out) {
    const struct conform_case *cases = report->suite->cases;
    const unsigned *counts = report->counts;

    report->suite->subject_text(report, out);
    for (unsigned i = 0; i < report->suite->count; i++) {
        const struct conform_result *result = &report->results[i];

        if (!report->options->wanted[i])
            continue;
        if (is_deviation(result->outcome) || result->outcome == CONFORM_UNCLEAR) {
            print_case(&cases[i], result, out);
            if (verbose)
                print_rules(&cases[i], out);
        } else if (verbose) {
            fprintf(out, "\n%s %s: %s\n", conform_outcome_word(result->outcome), cases[i].name, result->seen);
        }
    }
    print_unused(report, out);
    fprintf(out, "\n%u as they should be, %u deviations, %u from what a server should do, %u known, %u unclear, %u not "
                 "applicable\n",
            counts[CONFORM_PASS], counts[CONFORM_FAIL], counts[CONFORM_SHOULD], counts[CONFORM_KNOWN],
            counts[CONFORM_UNCLEAR], counts[CONFORM_SKIP]);
}

/* ---- TAP ---- */

/* In a description of TAP a `#` begins a directive. */
static void put_description(FILE *out, const char *text) {
    for (; *text != '\0'; text++)
        fputc(*text == '#' || *text == '\n' ? ' ' : *text, out);
}

static void write_tap_case(unsigned number, const struct conform_case *test, const struct conform_result *result,
                           FILE *out) {
    bool good = result->outcome == CONFORM_PASS || result->outcome == CONFORM_SKIP;

    fprintf(out, "%s %u - %s", good ? "ok" : "not ok", number, test->name);
    if (result->outcome == CONFORM_SKIP)
        fputs(" # SKIP ", out);
    else if (result->outcome == CONFORM_SHOULD)
        fputs(" # TODO a server should: ", out);
    else if (result->outcome == CONFORM_KNOWN)
        fprintf(out, " # TODO known until %s: ", result->known->until);
    else
        fputs(": ", out);
    put_description(out, result->outcome == CONFORM_KNOWN    ? result->known->reason
                         : result->outcome == CONFORM_SHOULD ? test->expected
                                                             : result->seen);
    fputs("\n", out);
    if (good)
        return;
    fprintf(out, "  ---\n  section: \"%s\"\n  outcome: %s\n  expected: \"", test->section,
            conform_outcome_word(result->outcome));
    for (const char *at = test->expected; *at != '\0'; at++)
        fputc(*at == '"' ? '\'' : *at, out);
    fprintf(out, "\"\n  seen: \"%s\"\n  ...\n", result->seen);
}

void conform_write_tap(const struct conform_report *report, FILE *out) {
    const struct conform_case *cases = report->suite->cases;
    unsigned number = 0;

    fputs("TAP version 13\n", out);
    for (unsigned i = 0; i < report->suite->count; i++)
        if (report->options->wanted[i])
            write_tap_case(++number, &cases[i], &report->results[i], out);
    fprintf(out, "1..%u\n", number);
}

/* ---- what there is ---- */

void conform_write_list(const struct conform_suite *suite, const bool wanted[CONFORM_CASES_MAX], bool details, FILE *out) {
    static const char *const needs[] = {"",           "3.1.1",      "a logon",          "a logon, 3.1.1", "a logon, SMB 3",
                                        "validation", "a file share", "a logon, a cipher"};
    const struct conform_case *cases = suite->cases;

    for (unsigned i = 0; i < suite->count; i++) {
        if (!wanted[i])
            continue;
        if (!details) {
            fprintf(out, "%-10s %-6s %-12s %s\n", conform_area_word(cases[i].area),
                    cases[i].level == LEVEL_MUST ? "must" : "should", cases[i].section, cases[i].name);
            continue;
        }
        fprintf(out, "%s (%s, [MS-SMB2] %s, %s)\n    sends: %s\n    expected: %s\n", cases[i].name,
                conform_area_word(cases[i].area), cases[i].section, cases[i].level == LEVEL_MUST ? "must" : "should",
                cases[i].sends, cases[i].expected);
        if (needs[cases[i].need][0] != '\0')
            fprintf(out, "    needs: %s\n", needs[cases[i].need]);
        print_rules(&cases[i], out);
    }
}
