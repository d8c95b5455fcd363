/* JSON lines; docs/explain.schema.json is their schema. */
#include <string.h>

#include "explain/report.h"
#include "explain/vantage.h"
#include "wire/names.h"

static void endpoint_member(struct output *output, const char *key, const struct endpoint *endpoint) {
    char text[ENDPOINT_TEXT_MAX], *end, *from;

    endpoint_text(endpoint, text);
    end = from = strchrnul(text, '[');
    for (; *from != '\0'; from++) /* programs split at the last colon: no brackets around IPv6 addresses here */
        if (*from != '[' && *from != ']')
            *end++ = *from;
    *end = '\0';
    json_word(output, key, text);
}

static void connection_member(struct output *output, const struct evidence *evidence) {
    char start[TIME_TEXT_MAX];

    json_open(output, "connection", '{');
    endpoint_member(output, "client", &evidence->client);
    endpoint_member(output, "server", &evidence->server);
    json_number(output, "first_packet", evidence->first_packet);
    json_number(output, "last_packet", evidence->last_packet);
    time_text(evidence->first_time_ns, start);
    json_word(output, "start", start);
    json_close(output, '}');
}

static void offered_member(struct output *output, const struct negotiate_evidence *negotiate) {
    char text[16];

    json_open(output, "offered", '[');
    for (unsigned i = 0; i < negotiate->dialect_count; i++)
        json_word(output, NULL, dialect_text(negotiate->dialects[i], text));
    json_close(output, ']');
}

/* The exchange that counts; of a client that got no further than SMB1, that one. */
static void negotiate_member(struct output *output, const struct negotiate_evidence *negotiate) {
    uint64_t request = negotiate->request.packet, response = negotiate->response.packet;

    if (request == 0 && negotiate->requests == 0) {
        request = negotiate->smb1_request_packet;
        if (response == 0)
            response = negotiate->smb1_response_packet;
    }
    json_open(output, "negotiate", '{');
    json_packet(output, "request_packet", request);
    json_packet(output, "response_packet", response);
    json_close(output, '}');
}

static void validations_member(struct output *output, const struct facts *facts) {
    json_open(output, "validations", '[');
    for (uint32_t i = 0; i < facts->evidence->validations_count; i++) {
        const struct validation_evidence *validation = &facts->evidence->validations[i];

        json_open(output, NULL, '{');
        json_packet(output, "request_packet", validation->request_packet);
        json_packet(output, "response_packet", validation->response_packet);
        json_word(output, "result", validation_result_word(facts->validations[i].result));
        json_close(output, '}');
    }
    json_close(output, ']');
}

static void end_member(struct output *output, const struct facts *facts) {
    static const char *const how[] = {"open", "FIN", "RST"};
    static const char *const by[] = {NULL, "client", "server", "injected", "unknown"};

    json_open(output, "end", '{');
    json_word(output, "how", how[facts->ending]);
    json_string(output, "by", by[facts->closer]);
    json_packet(output, "packet", facts->closing != NULL ? facts->closing->packet : 0);
    json_close(output, '}');
}

static void value_member(struct output *output, const char *key, const char *value) {
    if (value[0] == '[')
        json_raw(output, key, value);
    else
        json_string(output, key, value[0] != '\0' ? value : NULL);
}

static void finding_object(struct output *output, const struct finding *finding, const struct inquiry *inquiry) {
    json_open(output, NULL, '{');
    json_word(output, "rule", cause_id(finding->cause));
    json_word(output, "severity", severity_word(finding->severity));
    json_word(output, "confidence", confidence_word(finding->confidence));
    json_string(output, "summary", finding->summary);
    json_open(output, "packets", '[');
    for (unsigned i = 0; i < finding->packets_count; i++)
        json_number(output, NULL, finding->packets[i]);
    json_close(output, ']');
    json_open(output, "fields", '[');
    for (unsigned i = 0; i < finding->fields_count; i++) {
        const struct field_values *field = &finding->fields[i];

        json_open(output, NULL, '{');
        json_string(output, "message", field->message);
        json_string(output, "field", field->field);
        value_member(output, "sent", field->sent);
        value_member(output, "arrived", field->arrived);
        value_member(output, "claimed", field->claimed);
        json_close(output, '}');
    }
    json_close(output, ']');
    json_open(output, "ruled_out", '[');
    for (unsigned i = 0; i < finding->ruled_out_count; i++) {
        json_open(output, NULL, '{');
        json_word(output, "rule", cause_id(finding->ruled_out[i].cause));
        json_string(output, "because", finding->ruled_out[i].because);
        json_close(output, '}');
    }
    json_close(output, ']');
    json_open(output, "remedies", '[');
    for (unsigned i = 0; i < finding->remedies_count; i++)
        if (remedy_applies(finding->remedies[i], inquiry->client_system, inquiry->server_system))
            json_string(output, NULL, remedy_text(finding->remedies[i]));
    json_close(output, ']');
    json_close(output, '}');
}

static void broken_rules_member(struct output *output, const struct evidence *evidence) {
    json_open(output, "broken_rules", '[');
    for (uint32_t i = 0; i < evidence->broken_count; i++) {
        json_open(output, NULL, '{');
        json_word(output, "rule", rule_text(evidence->broken[i].rule)->id);
        json_number(output, "packet", evidence->broken[i].packet);
        json_close(output, '}');
    }
    json_close(output, ']');
}

static void side_object(struct output *output, const char *key, const char *capture, const struct facts *facts) {
    json_open(output, key, '{');
    json_string(output, "capture", capture);
    connection_member(output, facts->evidence);
    negotiate_member(output, &facts->evidence->negotiate);
    validations_member(output, facts);
    end_member(output, facts);
    json_close(output, '}');
}

void report_json(struct output *output, const struct result *result) {
    const struct inquiry *inquiry = result->inquiry;
    const struct evidence *evidence = inquiry->evidence;
    char version[16];

    output->comma = false;
    json_open(output, NULL, '{');
    json_number(output, "schema", 1);
    json_string(output, "capture", result->capture);
    json_word(output, "taken_at", place_text(inquiry->vantage.place));
    json_string(output, "taken_because", inquiry->vantage.because);
    connection_member(output, evidence);
    offered_member(output, &evidence->negotiate);
    version_text(inquiry, version);
    json_string(output, "dialect", version[0] != '\0' ? version : NULL);
    json_word(output, "signing", signing_text(inquiry));
    json_word(output, "encryption", encryption_text(inquiry));
    negotiate_member(output, &evidence->negotiate);
    validations_member(output, inquiry->facts);
    json_word(output, "validation", validation_word(inquiry));
    end_member(output, inquiry->facts);
    json_word(output, "verdict", outcome_word(result->outcome));
    json_open(output, "findings", '[');
    for (unsigned i = 0; i < result->findings_count; i++)
        finding_object(output, &result->findings[i], inquiry);
    json_close(output, ']');
    if (evidence->broken_count > 0)
        broken_rules_member(output, evidence);
    if (next_step(result, 0) != NULL) {
        json_open(output, "next", '[');
        for (unsigned i = 0; next_step(result, i) != NULL; i++)
            json_string(output, NULL, next_step(result, i));
        json_close(output, ']');
    }
    if (inquiry->far_facts != NULL) {
        json_open(output, "captures", '{');
        side_object(output, "client", result->capture, inquiry->facts);
        side_object(output, "server", result->far_capture, inquiry->far_facts);
        json_close(output, '}');
    }
    json_close(output, '}');
    output_octet(output, '\n');
}
