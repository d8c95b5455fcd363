#include "explain/rules.h"

#include <stdio.h>
#include <string.h>

#include "wire/messages.h"

struct rule_entry {
    enum cause cause;
    rule_function *find;
};

static const struct rule_entry rules[] = {
#define FIND(id) {CAUSE_##id, find_##id},
    RULES_LIST(FIND)
#undef FIND
};

/* Smaller comes first. */
static unsigned rank_of(const struct finding *finding) {
    unsigned rank = (unsigned)finding->severity * 100 + (unsigned)finding->confidence * 4;

    if (finding->severity != SEVERITY_PROBLEM)
        return rank + (finding->open ? 0 : 10);
    return rank + (finding->explains_end ? 0 : 40);
}

/* Moves the last finding to its place among the ones before, which are in order. */
static void insert(struct finding *findings, unsigned count) {
    struct finding moved;
    unsigned at = count;

    while (at > 0 && rank_of(&findings[at - 1]) > rank_of(&findings[count]))
        at--;
    if (at == count)
        return;
    finding_copy(&moved, &findings[count]);
    for (unsigned i = count; i > at; i--)
        finding_copy(&findings[i], &findings[i - 1]);
    finding_copy(&findings[at], &moved);
}

unsigned inquire(const struct inquiry *inquiry, struct finding findings[FINDINGS_MAX]) {
    unsigned count = 0;

    for (unsigned i = 0; i < sizeof rules / sizeof rules[0] && count < FINDINGS_MAX; i++) {
        finding_clear(&findings[count], rules[i].cause);
        if (rules[i].find(inquiry, &findings[count]))
            insert(findings, count++);
    }
    return count;
}

enum outcome outcome_of(const struct finding *findings, unsigned count) {
    bool open = false;

    for (unsigned i = 0; i < count; i++) {
        if (findings[i].severity != SEVERITY_FINDING_NOTE)
            return OUTCOME_FINDING;
        open |= findings[i].open;
    }
    return open ? OUTCOME_CANNOT_TELL : OUTCOME_OK;
}

bool at_client(const struct inquiry *inquiry) {
    return inquiry->vantage.place == PLACE_CLIENT || inquiry->vantage.place == PLACE_UNKNOWN;
}

bool at_server(const struct inquiry *inquiry) {
    return inquiry->vantage.place == PLACE_SERVER;
}

bool place_known(const struct inquiry *inquiry) {
    return inquiry->vantage.place == PLACE_CLIENT || inquiry->vantage.place == PLACE_SERVER;
}

const struct change *change_of_command(const struct comparison *comparison, enum change_kind kind, uint16_t command,
                                       enum direction from) {
    for (unsigned i = 0; i < comparison->changes_count; i++) {
        const struct change *change = &comparison->changes[i];
        const struct log_entry *entry = change->near.packet != 0 ? &change->near : &change->far;

        if (change->kind == kind && entry->command == command && entry->from == (uint8_t)from)
            return change;
    }
    return NULL;
}

/* A VALIDATE message from this end that both captures have, and not alike. */
static bool validate_altered(const struct inquiry *inquiry, enum direction from) {
    const struct comparison *comparison = inquiry->comparison;

    for (unsigned i = 0; comparison != NULL && i < comparison->changes_count; i++)
        if (comparison->changes[i].kind == CHANGE_ALTERED && comparison->changes[i].near.validate &&
            comparison->changes[i].near.from == (uint8_t)from)
            return true;
    return false;
}

bool claim_altered(const struct inquiry *inquiry) {
    return validate_altered(inquiry, FROM_CLIENT);
}

bool confirmation_altered(const struct inquiry *inquiry) {
    return validate_altered(inquiry, FROM_SERVER);
}

bool logon_request_unaltered(const struct inquiry *inquiry) {
    return inquiry->comparison == NULL ||
           change_of_command(inquiry->comparison, CHANGE_ALTERED, SMB2_SESSION_SETUP, FROM_CLIENT) == NULL;
}

bool logon_answer_unaltered(const struct inquiry *inquiry) {
    return inquiry->comparison == NULL ||
           change_of_command(inquiry->comparison, CHANGE_ALTERED, SMB2_SESSION_SETUP, FROM_SERVER) == NULL;
}

bool negotiation_unaltered(const struct inquiry *inquiry) {
    const struct comparison *comparison = inquiry->comparison;

    return comparison == NULL ||
           (comparison->requests_compared && comparison->responses_compared && !comparison->negotiate_request_altered &&
            !comparison->negotiate_response_altered && logon_answer_unaltered(inquiry) &&
            logon_request_unaltered(inquiry));
}

const char *closer_text(const struct facts *facts) {
    static const char *const texts[] = {
        [CLOSER_NONE] = "nobody",
        [CLOSER_CLIENT] = "the client",
        [CLOSER_SERVER] = "the server",
        [CLOSER_INJECTED] = "a device on the path",
        [CLOSER_UNKNOWN] = "somebody",
    };

    return texts[facts->closer];
}

const char *ending_text(const struct facts *facts) {
    return facts->ending == ENDING_RST ? "RST" : "FIN";
}

double seconds(uint64_t nanoseconds) {
    return (double)nanoseconds / 1e9;
}

static void number_text(char text[VALUE_TEXT_MAX], unsigned width, uint32_t value) {
    snprintf(text, VALUE_TEXT_MAX, "0x%0*x", (int)width, value);
}

/* [MS-DTYP] 2.3.4.3: the first three groups are little-endian. */
static void guid_text(char text[VALUE_TEXT_MAX], const uint8_t g[16]) {
    snprintf(text, VALUE_TEXT_MAX,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3], g[2], g[1], g[0],
             g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static void dialects_text(char text[VALUE_TEXT_MAX], const uint16_t *dialects, unsigned count) {
    size_t used = (size_t)snprintf(text, VALUE_TEXT_MAX, "[");

    for (unsigned i = 0; i < count && used + 12 < VALUE_TEXT_MAX; i++)
        used += (size_t)snprintf(text + used, VALUE_TEXT_MAX - used, "%s\"0x%04x\"", i ? "," : "", dialects[i]);
    snprintf(text + used, VALUE_TEXT_MAX - used, "]");
}

void name_request_fields(const struct inquiry *inquiry, struct finding *finding, uint32_t fields) {
    static const char message[] = "NEGOTIATE request";
    const struct negotiate_evidence *negotiate = &inquiry->evidence->negotiate;
    const struct validation_evidence *validation = inquiry->facts->asked;
    struct field_values *values;

    if (fields & FIELD_DIALECTS) {
        values = finding_field(finding, message, "Dialects");
        dialects_text(values->arrived, negotiate->dialects, negotiate->dialect_count);
        dialects_text(values->claimed, validation->dialects, validation->dialects_kept);
    }
    if (fields & FIELD_SECURITY_MODE) {
        values = finding_field(finding, message, "SecurityMode");
        number_text(values->arrived, 4, negotiate->request.security_mode);
        number_text(values->claimed, 4, validation->request_security_mode);
    }
    if (fields & FIELD_CAPABILITIES) {
        values = finding_field(finding, message, "Capabilities");
        number_text(values->arrived, 8, negotiate->request.capabilities);
        number_text(values->claimed, 8, validation->request_capabilities);
    }
    if (fields & FIELD_GUID) {
        values = finding_field(finding, message, "ClientGuid");
        guid_text(values->arrived, negotiate->request.guid);
        guid_text(values->claimed, validation->request_guid);
    }
    if (finding->cause == CAUSE_M01) /* the signed claim is what was sent */
        for (unsigned i = 0; i < finding->fields_count; i++)
            memcpy(finding->fields[i].sent, finding->fields[i].claimed, VALUE_TEXT_MAX);
    else
        for (unsigned i = 0; i < finding->fields_count; i++)
            memcpy(finding->fields[i].sent, finding->fields[i].arrived, VALUE_TEXT_MAX);
}

void name_response_fields(const struct inquiry *inquiry, struct finding *finding, uint32_t fields) {
    static const char message[] = "NEGOTIATE response";
    const struct negotiate_evidence *negotiate = &inquiry->evidence->negotiate;
    const struct validation_evidence *validation = inquiry->facts->told;
    struct field_values *values;

    if (fields & FIELD_DIALECTS) {
        values = finding_field(finding, message, "DialectRevision");
        number_text(values->arrived, 4, negotiate->dialect);
        number_text(values->claimed, 4, validation->dialect);
    }
    if (fields & FIELD_SECURITY_MODE) {
        values = finding_field(finding, message, "SecurityMode");
        number_text(values->arrived, 4, negotiate->response.security_mode);
        number_text(values->claimed, 4, validation->response_security_mode);
    }
    if (fields & FIELD_CAPABILITIES) {
        values = finding_field(finding, message, "Capabilities");
        number_text(values->arrived, 8, negotiate->response.capabilities);
        number_text(values->claimed, 8, validation->response_capabilities);
    }
    if (fields & FIELD_GUID) {
        values = finding_field(finding, message, "ServerGuid");
        guid_text(values->arrived, negotiate->response.guid);
        guid_text(values->claimed, validation->response_guid);
    }
    for (unsigned i = 0; i < finding->fields_count; i++)
        memcpy(finding->fields[i].sent,
               finding->cause == CAUSE_M02 ? finding->fields[i].claimed : finding->fields[i].arrived, VALUE_TEXT_MAX);
}

const char *field_words(uint32_t fields, bool response, char *text, size_t size) {
    const char *const words[] = {response ? "DialectRevision" : "Dialects", "SecurityMode", "Capabilities",
                                 response ? "ServerGuid" : "ClientGuid"};
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < 4; i++)
        if (fields & (1u << i) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     used == 0 ? "" : (fields >> (i + 1)) ? ", " : " and ", words[i]);
    return text;
}

void remedies_for_alteration(const struct inquiry *inquiry, struct finding *finding) {
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    finding_remedy(finding, REMEDY_UPGRADE_BOX);
    if (inquiry->evidence->negotiate.dialect == SMB2_DIALECT_311) { /* nothing there can be switched off */
        finding_remedy(finding, REMEDY_CHECK_SERVER_EVENTS);
        finding_remedy(finding, REMEDY_TREAT_AS_INCIDENT);
        return;
    }
    finding_remedy(finding, REMEDY_REQUIRE_SIGNING);
    finding_remedy(finding, REMEDY_USE_311);
    finding_remedy(finding, REMEDY_TREAT_AS_INCIDENT);
    finding_remedy(finding, REMEDY_OFF_WINDOWS_8);
    finding_remedy(finding, REMEDY_OFF_WINDOWS_10);
}

void packets_of_validation(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (facts->validation != NULL) {
        finding_packet(finding, facts->validation->request_packet);
        finding_packet(finding, facts->validation->response_packet);
    }
    if (facts->closing != NULL)
        finding_packet(finding, facts->closing->packet);
}
