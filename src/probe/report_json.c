/* The report for programs: one object; docs/probe.schema.json is its schema. */
#include <string.h>

#include "explain/output.h"
#include "probe/probe.h"
#include "wire/names.h"

static void guid_member(struct output *output, const struct probe_facts *facts) {
    char text[2 * sizeof facts->server_guid + 1];

    for (unsigned i = 0; i < sizeof facts->server_guid; i++)
        snprintf(text + 2 * i, 3, "%02x", facts->server_guid[i]);
    json_string(output, "guid", facts->server_known ? text : NULL);
}

static void server_member(struct output *output, const struct probe_report *report) {
    const struct probe_facts *facts = &report->facts;
    char dialect[16];

    json_open(output, "server", '{');
    json_string(output, "host", report->options->target.host);
    json_number(output, "port", report->options->target.port);
    json_string(output, "address", report->address[0] != '\0' ? report->address : NULL);
    json_open(output, "dialects", '[');
    for (unsigned i = 0; i < facts->spoken.count; i++)
        json_string(output, NULL, dialect_text(facts->spoken.ids[i], dialect));
    json_close(output, ']');
    guid_member(output, facts);
    json_raw(output, "signing_required",
             !facts->server_known                                  ? "null"
             : (facts->security_mode & SMB2_SIGNING_REQUIRED) != 0 ? "true"
                                                                   : "false");
    json_close(output, '}');
}

static const char *hash_word(enum probe_hash hash) {
    return hash == PROBE_HASH_PROVEN ? "proven" : hash == PROBE_HASH_BROKEN ? "broken" : "unknown";
}

static void path_member(struct output *output, const struct probe_report *report) {
    char dialect[16];

    json_open(output, "path", '{');
    json_raw(output, "proven", report->path_is_proven ? "true" : "false");
    json_string(output, "hash", hash_word(report->facts.hash));
    json_string(output, "validated",
                report->facts.validated != 0 ? dialect_text(report->facts.validated, dialect) : NULL);
    json_close(output, '}');
}

static const char *severity_text(enum severity severity) {
    return severity == SEVERITY_PROBLEM ? "problem" : severity == SEVERITY_EXPOSURE ? "exposure" : "note";
}

static bool is_finding(enum probe_outcome outcome) {
    return outcome != PROBE_RIGHT && outcome != PROBE_SKIPPED;
}

static const char *confidence_text(const struct probe_result *result) {
    static const char *const words[] = {"certain", "likely", "possible"};

    return result->outcome == PROBE_PATH || result->outcome == PROBE_SERVER ? words[result->confidence] : NULL;
}

static void alteration_member(struct output *output, const struct probe_result *result) {
    if (result->field[0] == '\0') {
        json_raw(output, "alteration", "null");
        return;
    }
    json_open(output, "alteration", '{');
    json_string(output, "field", result->field);
    json_string(output, "here", result->here[0] != '\0' ? result->here : NULL);
    json_string(output, "at_server", result->there[0] != '\0' ? result->there : NULL);
    json_close(output, '}');
}

static void test_member(struct output *output, const struct probe_test *test, const struct probe_result *result) {
    bool finding = is_finding(result->outcome);

    json_open(output, NULL, '{');
    json_string(output, "name", test->name);
    json_string(output, "outcome", probe_outcome_word(result->outcome));
    json_string(output, "sends", test->sends);
    json_string(output, "expected", test->expected);
    json_string(output, "seen", result->seen);
    json_string(output, "section", test->section);
    json_number(output, "connections", result->connections);
    json_open(output, "rules", '[');
    if (result->cause != CAUSE_NONE)
        json_string(output, NULL, cause_id(result->cause));
    if (result->also != CAUSE_NONE)
        json_string(output, NULL, cause_id(result->also));
    json_close(output, ']');
    json_string(output, "severity", finding ? severity_text(result->severity) : NULL);
    json_string(output, "confidence", confidence_text(result));
    alteration_member(output, result);
    json_close(output, '}');
}

void probe_write_json(const struct probe_report *report, FILE *out) {
    static struct output output;
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);

    output_init(&output, out);
    json_open(&output, NULL, '{');
    json_number(&output, "schema", 1);
    json_string(&output, "start", report->start);
    json_string(&output, "verdict", probe_verdict_word(report->verdict));
    server_member(&output, report);
    path_member(&output, report);
    json_string(&output, "session", report->facts.client[0] != '\0' ? report->facts.client : NULL);
    json_number(&output, "connections", report->connections);
    json_open(&output, "tests", '[');
    for (unsigned i = 0; i < count; i++)
        if (report->options->wanted[i])
            test_member(&output, &tests[i], &report->results[i]);
    json_close(&output, ']');
    json_close(&output, '}');
    output_text(&output, "\n");
    output_finish(&output);
}
