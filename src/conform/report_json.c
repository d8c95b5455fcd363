/* The report for programs: one object; docs/conform.schema.json is its schema. */
#include "conform/trial.h"
#include "explain/output.h"

void conform_server_json(const struct conform_report *report, struct output *output) {
    const struct conform_facts *facts = &report->facts;
    char dialect[16];

    json_open(output, "server", '{');
    json_string(output, "host", report->options->target.host);
    json_number(output, "port", report->options->target.port);
    json_open(output, "dialects", '[');
    for (unsigned i = 0; i < facts->spoken.count; i++)
        json_string(output, NULL, dialect_text(facts->spoken.ids[i], dialect));
    json_close(output, ']');
    json_raw(output, "signing_required", facts->security_mode & SMB2_SIGNING_REQUIRED ? "true" : "false");
    json_raw(output, "encrypts", facts->encrypts_session || facts->encrypts_share ? "true" : "false");
    json_raw(output, "logged_on", facts->logged_on ? "true" : "false");
    json_raw(output, "has_keys", facts->has_keys ? "true" : "false");
    json_raw(output, "can_write", facts->can_write ? "true" : "false");
    json_close(output, '}');
}

static void counts_member(struct output *output, const struct conform_report *report) {
    json_open(output, "counts", '{');
    for (unsigned i = 0; i <= CONFORM_UNCLEAR; i++)
        json_number(output, conform_outcome_word((enum conform_outcome)i), report->counts[i]);
    json_close(output, '}');
}

static void known_member(struct output *output, const struct conform_result *result) {
    if (result->known == NULL) {
        json_raw(output, "known", "null");
        return;
    }
    json_open(output, "known", '{');
    json_string(output, "until", result->known->until);
    json_string(output, "reason", result->known->reason);
    json_close(output, '}');
}

static void case_member(struct output *output, const struct conform_case *test, const struct conform_result *result) {
    json_open(output, NULL, '{');
    json_string(output, "name", test->name);
    json_string(output, "area", conform_area_word(test->area));
    json_string(output, "section", test->section);
    json_string(output, "level", test->level == LEVEL_MUST ? "must" : "should");
    json_string(output, "outcome", conform_outcome_word(result->outcome));
    json_string(output, "sends", test->sends);
    json_string(output, "expected", test->expected);
    json_string(output, "seen", result->seen);
    known_member(output, result);
    json_open(output, "rules", '[');
    for (unsigned i = 0; i < CONFORM_RULES_MAX && test->rules[i] != RULE_NONE; i++)
        json_string(output, NULL, rule_text(test->rules[i])->id);
    json_close(output, ']');
    json_close(output, '}');
}

void conform_write_json(const struct conform_report *report, FILE *out) {
    static struct output output;
    const struct conform_case *cases = report->suite->cases;

    output_init(&output, out);
    json_open(&output, NULL, '{');
    json_number(&output, "schema", 1);
    report->suite->subject_json(report, &output);
    counts_member(&output, report);
    json_open(&output, "cases", '[');
    for (unsigned i = 0; i < report->suite->count; i++)
        if (report->options->wanted[i])
            case_member(&output, &cases[i], &report->results[i]);
    json_close(&output, ']');
    json_close(&output, '}');
    output_text(&output, "\n");
    output_finish(&output);
}
