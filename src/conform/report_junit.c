/* The report for continuous integration: JUnit's XML, a test case for each case, a class for each area. */
#include "conform/trial.h"
#include "probe/xml.h"

/* What JUnit calls it; NULL: it went well. */
static const char *kind_of(enum conform_outcome outcome) {
    switch (outcome) {
    case CONFORM_FAIL:
        return "failure";
    case CONFORM_UNCLEAR:
        return "error";
    case CONFORM_SHOULD:
    case CONFORM_KNOWN:
    case CONFORM_SKIP:
        return "skipped";
    case CONFORM_PASS:
        break;
    }
    return NULL;
}

static void write_case(const struct conform_case *test, const struct conform_result *result, FILE *out) {
    const char *kind = kind_of(result->outcome);

    fprintf(out, "    <testcase classname=\"smbproof.conform.%s\" name=\"%s\"", conform_area_word(test->area), test->name);
    if (kind == NULL) {
        fputs("/>\n", out);
        return;
    }
    fprintf(out, ">\n      <%s message=\"", kind);
    xml_escape(out, result->seen);
    if (result->outcome == CONFORM_KNOWN) {
        fprintf(out, "; known until %s: ", result->known->until);
        xml_escape(out, result->known->reason);
    } else if (result->outcome != CONFORM_SKIP) {
        fputs("; expected: ", out);
        xml_escape(out, test->expected);
    }
    fputs("\"/>\n    </testcase>\n", out);
}

void conform_write_junit(const struct conform_report *report, FILE *out) {
    const struct conform_case *cases = report->suite->cases;
    unsigned wanted = 0;
    const unsigned *counts = report->counts;

    for (unsigned i = 0; i < report->suite->count; i++)
        wanted += report->options->wanted[i];
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", out);
    fprintf(out, "  <testsuite name=\"%s\" tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\">\n",
            report->suite->name, wanted, counts[CONFORM_FAIL], counts[CONFORM_UNCLEAR],
            counts[CONFORM_SHOULD] + counts[CONFORM_KNOWN] + counts[CONFORM_SKIP]);
    for (unsigned i = 0; i < report->suite->count; i++)
        if (report->options->wanted[i])
            write_case(&cases[i], &report->results[i], out);
    fputs("  </testsuite>\n</testsuites>\n", out);
}
