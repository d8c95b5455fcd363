/* The report in words: the verdict, what was found and what to do, then the table. */
#include <string.h>
#include <time.h>

#include "probe/probe.h"
#include "wire/names.h"

#define WIDTH  80u /* columns */
#define INDENT 4u

/* Prints text in lines of at most WIDTH columns, each after the first indented. */
static void print_wrapped(FILE *out, unsigned indent, const char *text) {
    unsigned column = indent;

    fprintf(out, "%*s", (int)indent, "");
    for (const char *word = text; *word != '\0';) {
        size_t size = strcspn(word, " ");

        if (column > indent && column + 1 + size > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        column += (unsigned)fprintf(out, "%s%.*s", column > indent ? " " : "", (int)size, word);
        word += size;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}

static unsigned count_of(const struct probe_report *report, enum probe_outcome outcome) {
    unsigned count = 0;

    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++)
        count += report->results[i].outcome == outcome;
    return count;
}

/* ---- the verdict ---- */

static const char *path_text(const struct probe_report *report) {
    const struct probe_facts *facts = &report->facts;

    if (facts->hash == PROBE_HASH_PROVEN && facts->validated != 0)
        return "Nothing between here and the server changes the negotiation: with 3.1.1 both ends have hashed the same "
               "octets, "
               "and below 3.1.1 the validation agrees.";
    if (facts->hash == PROBE_HASH_PROVEN)
        return "Nothing between here and the server changes the negotiation: both ends have hashed the same octets.";
    return "Nothing between here and the server changes what validation protects: dialects, security mode, "
           "capabilities and "
           "GUIDs. The server does not speak 3.1.1, so the rest of NEGOTIATE may be changed unseen.";
}

static const char *unknown_text(const struct probe_report *report) {
    if (report->facts.validation_is_blind)
        return "Nothing was seen of a change on the path; but the server does not close on wrong validations as it "
               "must, so a "
               "changed request need not be noticed.";
    if (report->options->target.credentials == NULL)
        return "Whether the path changes packets cannot be told without logging on: name a user in the URL.";
    if (report->facts.logon_failed)
        return "Whether the path changes packets cannot be told, since the logon was refused.";
    if (report->facts.logged_on && !report->facts.has_keys)
        return "Whether the path changes packets cannot be told: the session is a guest's or anonymous, and has no "
               "keys.";
    return "Whether it is the server or the path cannot be told from what was seen.";
}

static void print_verdict(const struct probe_report *report, FILE *out) {
    unsigned server = count_of(report, PROBE_SERVER);
    char text[PROBE_TEXT_MAX];

    switch (report->verdict) {
    case PROBE_HEALTHY:
        print_wrapped(out, 0, "OK: server and path are as they should be.");
        print_wrapped(out, 0, path_text(report));
        break;
    case PROBE_SERVER_DEVIATES:
        snprintf(text, sizeof text, "THE SERVER DEVIATES from [MS-SMB2] in %u %s. The path is not to blame.", server,
                 server == 1 ? "point" : "points");
        print_wrapped(out, 0, text);
        print_wrapped(out, 0, report->path_is_proven ? path_text(report) : unknown_text(report));
        break;
    case PROBE_PATH_ALTERS:
        print_wrapped(
            out, 0,
            "THE PATH CHANGES PACKETS: something between here and the server alters the negotiation. It is not "
            "the server.");
        break;
    case PROBE_CANNOT_TELL:
        print_wrapped(out, 0, "CANNOT TELL.");
        print_wrapped(out, 0, unknown_text(report));
        break;
    case PROBE_NOT_REACHED:
        snprintf(text, sizeof text, "UNREACHABLE: %s, port %u: %s.", report->options->target.host,
                 report->options->target.port, strerror(-report->facts.error));
        print_wrapped(out, 0, text);
        break;
    }
}

/* ---- the server ---- */

static void time_of(uint64_t filetime, char text[40]) {
    const uint64_t epoch = 116444736000000000u; /* 1970 in units of 100 ns since 1601 */
    time_t seconds = filetime > epoch ? (time_t)((filetime - epoch) / 10000000u) : 0;
    struct tm parts;

    strftime(text, 40, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&seconds, &parts));
}

static void print_server(const struct probe_report *report, FILE *out) {
    const struct probe_facts *facts = &report->facts;
    char text[40], dialect[16];

    if (!facts->server_known)
        return;
    fprintf(out, "\n%s, port %u (%s)\n", report->options->target.host, report->options->target.port, report->address);
    fputs("  dialects   ", out);
    for (unsigned i = 0; i < facts->spoken.count; i++)
        fprintf(out, " %s", dialect_text(facts->spoken.ids[i], dialect));
    fputs("\n  server GUID ", out);
    for (unsigned i = 0; i < sizeof facts->server_guid; i++)
        fprintf(out, "%02x", facts->server_guid[i]);
    time_of(facts->system_time, text);
    fprintf(out, "\n  its clock   %s\n", text);
    fprintf(out, "  signing     %s\n", facts->security_mode & SMB2_SIGNING_REQUIRED ? "required" : "not required");
    if (facts->client[0] != '\0')
        fprintf(out, "  session     %s\n", facts->client);
}

/* ---- findings ---- */

static const char *heading(const struct probe_result *result) {
    switch (result->outcome) {
    case PROBE_PATH:
        return "PATH";
    case PROBE_SERVER:
        return result->severity == SEVERITY_FINDING_NOTE ? "SERVER, harmless" : "SERVER";
    case PROBE_EXPOSED:
        return "EXPOSED";
    default:
        return "UNCLEAR";
    }
}

static const char *confidence_text(const struct probe_result *result) {
    static const char *const words[] = {", certain", ", likely", ", possible"};

    return result->outcome == PROBE_PATH || result->outcome == PROBE_SERVER ? words[result->confidence] : "";
}

static void print_finding(const struct probe_test *test, const struct probe_result *result, FILE *out) {
    char text[2 * PROBE_TEXT_MAX];

    fprintf(out, "\n%s", heading(result));
    if (result->cause != CAUSE_NONE)
        fprintf(out, " %s", cause_id(result->cause));
    if (result->also != CAUSE_NONE)
        fprintf(out, " %s", cause_id(result->also));
    fprintf(out, "%s: %s\n", confidence_text(result), test->name);
    snprintf(text, sizeof text, "Sent: %s. Expected: %s. Seen: %s.", test->sends, test->expected, result->seen);
    print_wrapped(out, INDENT, text);
    if (result->also == CAUSE_M10)
        print_wrapped(out, INDENT,
                      "The change takes protection away, as an attacker would who wants to be able to listen or to "
                      "alter more (M10).");
}

static void print_findings(const struct probe_report *report, FILE *out) {
    static const enum probe_outcome order[] = {PROBE_PATH, PROBE_SERVER, PROBE_UNCLEAR, PROBE_EXPOSED};
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);

    for (unsigned i = 0; i < sizeof order / sizeof order[0]; i++)
        for (unsigned j = 0; j < count; j++)
            if (report->results[j].outcome == order[i])
                print_finding(&tests[j], &report->results[j], out);
}

/* What to do, safest first. */
static unsigned remedies_of(const struct probe_report *report, enum remedy remedies[FINDING_REMEDIES_MAX]) {
    unsigned count = 0;

    if (report->verdict == PROBE_PATH_ALTERS) {
        remedies[count++] = REMEDY_BYPASS_BOX;
        remedies[count++] = REMEDY_UPGRADE_BOX;
        remedies[count++] = REMEDY_REQUIRE_SIGNING;
        remedies[count++] = REMEDY_TREAT_AS_INCIDENT;
    } else if (report->verdict == PROBE_NOT_REACHED) {
        remedies[count++] = report->results[0].cause == CAUSE_T02 ? REMEDY_START_SERVICE : REMEDY_OPEN_PORT;
    } else if (report->facts.logon_failed) {
        remedies[count++] = REMEDY_CHECK_CREDENTIALS;
    } else if (report->verdict == PROBE_CANNOT_TELL && report->facts.altered > 0) {
        remedies[count++] = REMEDY_BOTH_ENDS;
    }
    return count;
}

static void print_remedies(const struct probe_report *report, FILE *out) {
    enum remedy remedies[FINDING_REMEDIES_MAX];
    unsigned count = remedies_of(report, remedies);
    char text[PROBE_TEXT_MAX + 16];

    if (count > 0)
        fputs("\nWhat to do\n", out);
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%u. %s", i + 1, remedy_text(remedies[i]));
        print_wrapped(out, INDENT, text);
    }
}

/* ---- the table ---- */

static void print_row(const struct probe_test *test, const struct probe_result *result, FILE *out) {
    char cause[16];

    snprintf(cause, sizeof cause, "%s", result->outcome == PROBE_RIGHT ? "" : cause_id(result->cause));
    fprintf(out, "  %-20s %-8s %-4s %s\n", test->name, probe_outcome_word(result->outcome), cause, result->seen);
}

static void print_table(const struct probe_report *report, bool verbose, FILE *out) {
    unsigned count, skipped = 0;
    const struct probe_test *tests = probe_tests(&count);

    fprintf(out, "\n%u connections. Each test:\n", report->connections);
    for (unsigned i = 0; i < count; i++) {
        if (!report->options->wanted[i])
            continue;
        if (report->results[i].outcome != PROBE_SKIPPED || verbose)
            print_row(&tests[i], &report->results[i], out);
        else
            skipped++;
    }
    if (skipped > 0)
        fprintf(out, "  and %u that could not be made (-v lists them)\n", skipped);
}

void probe_write_text(const struct probe_report *report, bool verbose, FILE *out) {
    print_verdict(report, out);
    if (report->verdict != PROBE_NOT_REACHED) {
        print_server(report, out);
        print_findings(report, out);
    }
    print_remedies(report, out);
    if (report->verdict != PROBE_NOT_REACHED)
        print_table(report, verbose, out);
}

void probe_write_plan(const bool wanted[PROBE_TESTS_MAX], bool details, FILE *out) {
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);
    static const char *const needs[] = {"", "; needs 3.1.1", "; needs a logon", "; needs a logon on 3.1.1",
                                        "; needs a logon and a server that validates"};

    for (unsigned i = 0; i < count; i++) {
        if (!wanted[i])
            continue;
        fprintf(out, "%-20s %s\n", tests[i].name, tests[i].sends);
        if (details)
            fprintf(out, "%20s right: %s ([MS-SMB2] %s)\n%20s else:  %s, %s%s\n", "", tests[i].expected,
                    tests[i].section, "", cause_id(tests[i].cause), cause_title(tests[i].cause), needs[tests[i].needs]);
    }
}
