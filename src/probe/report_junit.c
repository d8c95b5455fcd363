/* The report for continuous integration: JUnit's XML, a test case for each test. */
#include <string.h>

#include "probe/probe.h"
#include "probe/xml.h"

static bool is_failure(enum probe_outcome outcome) {
    return outcome == PROBE_SERVER || outcome == PROBE_PATH || outcome == PROBE_EXPOSED;
}

static void write_case(const struct probe_report *report, const struct probe_test *test,
                       const struct probe_result *result, FILE *out) {
    const char *kind = is_failure(result->outcome)        ? "failure"
                       : result->outcome == PROBE_UNCLEAR ? "error"
                       : result->outcome == PROBE_SKIPPED ? "skipped"
                                                          : NULL;

    fprintf(out, "    <testcase classname=\"smbproof.probe.");
    xml_escape(out, report->options->target.host);
    fprintf(out, "\" name=\"%s\"", test->name);
    if (kind == NULL) {
        fputs("/>\n", out);
        return;
    }
    fprintf(out, ">\n      <%s message=\"", kind);
    if (result->cause != CAUSE_NONE)
        fprintf(out, "%s: ", cause_id(result->cause));
    xml_escape(out, result->seen);
    if (result->outcome != PROBE_SKIPPED)
        fprintf(out, "\" type=\"%s", probe_outcome_word(result->outcome));
    fputs("\"/>\n    </testcase>\n", out);
}

void probe_write_junit(const struct probe_report *report, FILE *out) {
    unsigned count, wanted = 0, failures = 0, errors = 0, skipped = 0;
    const struct probe_test *tests = probe_tests(&count);

    for (unsigned i = 0; i < count; i++) {
        if (!report->options->wanted[i])
            continue;
        wanted++;
        failures += is_failure(report->results[i].outcome);
        errors += report->results[i].outcome == PROBE_UNCLEAR;
        skipped += report->results[i].outcome == PROBE_SKIPPED;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", out);
    fprintf(out,
            "  <testsuite name=\"smbproof probe\" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" "
            "timestamp=\"%s\">\n",
            wanted, failures, errors, skipped, report->start);
    for (unsigned i = 0; i < count; i++)
        if (report->options->wanted[i])
            write_case(report, &tests[i], &report->results[i], out);
    fputs("  </testsuite>\n</testsuites>\n", out);
}
