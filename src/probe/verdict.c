/* What the tests mean together.
 *
 * A server that contradicts itself looks like a path that changes packets, and the other way round. What tells them
 * apart is that two protections hold independently: the validation below 3.1.1, and the hash of 3.1.1. Whoever changes
 * packets breaks both; a server has its faults in one. */
#include <string.h>

#include "probe/probe.h"
#include "wire/names.h"

static void blame(struct probe_result *result, enum probe_outcome outcome, enum confidence confidence) {
    result->outcome = outcome;
    result->confidence = confidence;
    result->severity = SEVERITY_PROBLEM;
}

static void blame_server(struct probe_result *result, enum cause cause, enum confidence confidence) {
    blame(result, PROBE_SERVER, confidence);
    result->cause = cause;
    result->also = CAUSE_NONE;
}

static bool ends_in(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* Does the 3.1.1 negotiation, of which each octet is proven, have this value in that field? */
static bool is_proven(const struct probe_facts *facts, const struct probe_result *result, const char *value) {
    const struct negotiation_answered *proven = &facts->proven;
    char text[2 * sizeof proven->server_guid + 1];

    if (facts->hash != PROBE_HASH_PROVEN)
        return false;
    if (ends_in(result->field, " ServerGuid"))
        for (unsigned i = 0; i < sizeof proven->server_guid; i++)
            snprintf(text + 2 * i, 3, "%02x", proven->server_guid[i]);
    else if (ends_in(result->field, " SecurityMode"))
        snprintf(text, sizeof text, "0x%04x", proven->security_mode);
    else if (ends_in(result->field, " Capabilities"))
        snprintf(text, sizeof text, "0x%08x", proven->capabilities);
    else
        return false;
    return strcmp(text, value) == 0;
}

/* The server's validation differs from its NEGOTIATE response. Where 3.1.1 is proven it shows which of the two values
 * is the server's own. */
static void judge_response(const struct probe_facts *facts, struct probe_result *result) {
    if (facts->hash == PROBE_HASH_BROKEN)
        blame(result, PROBE_PATH, CONFIDENCE_CERTAIN);
    else if (is_proven(facts, result, result->there))
        blame(result, PROBE_PATH, CONFIDENCE_LIKELY);
    else if (is_proven(facts, result, result->here))
        blame_server(result, CAUSE_V04, CONFIDENCE_LIKELY);
    else if (facts->hash == PROBE_HASH_PROVEN)
        result->outcome = PROBE_UNCLEAR;
    else if (strspn(result->there, "0x") == strlen(result->there) && ends_in(result->field, " ServerGuid"))
        blame_server(result, CAUSE_V04,
                     CONFIDENCE_LIKELY); /* a server that forgets its own GUID, as is known of some */
    else
        blame(result, PROBE_PATH, CONFIDENCE_LIKELY);
}

/* The server answers only a claim with another value than was sent. A server may forget capabilities that it does not
 * know; it cannot forget dialects, by which it has just chosen. */
static void judge_request_seen(const struct probe_facts *facts, struct probe_result *result) {
    if (facts->hash == PROBE_HASH_BROKEN || ends_in(result->field, " Dialects"))
        blame(result, PROBE_PATH, CONFIDENCE_CERTAIN);
    else if (facts->hash == PROBE_HASH_PROVEN)
        result->outcome = PROBE_UNCLEAR;
    else
        blame(result, PROBE_PATH, CONFIDENCE_LIKELY);
}

/* The server closes on the right claim, or chose less than it can. */
static void judge_request_refused(const struct probe_facts *facts, struct probe_result *result) {
    if (facts->hash == PROBE_HASH_BROKEN)
        blame(result, PROBE_PATH, CONFIDENCE_CERTAIN);
    else if (facts->hash == PROBE_HASH_PROVEN && result->also != CAUSE_M10)
        result->outcome = PROBE_UNCLEAR;
    else
        blame(result, PROBE_PATH, facts->validated != 0 ? CONFIDENCE_LIKELY : CONFIDENCE_POSSIBLE);
}

/* A server that answers one dialect whatever it is offered gives itself away by that. */
static void judge_dialect(const struct probe_facts *facts, bool suspects, struct probe_result *result) {
    bool stubborn =
        facts->unoffered_count > 1 && !facts->unoffered_differ && id_list_has(&facts->spoken, facts->unoffered);

    if (stubborn && facts->hash != PROBE_HASH_BROKEN && !suspects)
        blame_server(result, CAUSE_D01, CONFIDENCE_LIKELY);
    else
        blame(result, PROBE_PATH, CONFIDENCE_LIKELY);
}

/* Below 3.1.1 a key hangs on the logon alone. On 3.1.1 it was right, so only the way of signing can be wrong. */
static void judge_key(const struct probe_facts *facts, struct probe_result *result) {
    if (facts->hash == PROBE_HASH_PROVEN)
        blame_server(result, CAUSE_S06, CONFIDENCE_LIKELY);
    else
        result->outcome = PROBE_UNCLEAR;
}

/* The hash differs and nobody knows in what: a validation that fails as well makes it the path; one that succeeds on
 * the same fields leaves a server which hashes wrongly, or a change to what only the hash protects. */
static void judge_hash(const struct probe_facts *facts, bool suspects, struct probe_result *result) {
    if (suspects)
        blame(result, PROBE_PATH, CONFIDENCE_CERTAIN);
    else if (facts->validated != 0)
        result->outcome = PROBE_UNCLEAR;
    else
        blame(result, PROBE_PATH, CONFIDENCE_POSSIBLE);
}

static bool is_of_validation(enum probe_suspicion suspicion) {
    return suspicion == SUSPICION_REQUEST_REFUSED || suspicion == SUSPICION_REQUEST_SEEN ||
           suspicion == SUSPICION_RESPONSE;
}

static void judge_result(const struct probe_facts *facts, bool suspects, struct probe_result *result) {
    switch (result->suspicion) {
    case SUSPICION_NONE:
        return;
    case SUSPICION_REQUEST_REFUSED:
        judge_request_refused(facts, result);
        return;
    case SUSPICION_REQUEST_SEEN:
        judge_request_seen(facts, result);
        return;
    case SUSPICION_RESPONSE:
        judge_response(facts, result);
        return;
    case SUSPICION_UNSIGNED: /* it signed SESSION_SETUP and TREE_CONNECT on the same connection */
        result->outcome = PROBE_UNCLEAR;
        return;
    case SUSPICION_DIALECT:
        judge_dialect(facts, suspects, result);
        return;
    case SUSPICION_KEY:
        judge_key(facts, result);
        return;
    case SUSPICION_HASH:
        judge_hash(facts, suspects, result);
        return;
    case SUSPICION_HASH_FOUND:
        blame(result, PROBE_PATH, CONFIDENCE_CERTAIN);
        return;
    }
}

static bool validation_suspects(const struct probe_report *report) {
    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++)
        if (is_of_validation(report->results[i].suspicion))
            return true;
    return false;
}

static unsigned count_altered(const struct probe_report *report) {
    unsigned count = 0;

    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++)
        count += report->results[i].suspicion != SUSPICION_NONE && report->results[i].outcome != PROBE_SERVER;
    return count;
}

/* Wrong fields, on which a server must close, were answered. */
static bool validation_is_blind(const struct probe_report *report) {
    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++) {
        const struct probe_result *result = &report->results[i];

        if (result->outcome == PROBE_SERVER && result->cause == CAUSE_V13 && result->severity == SEVERITY_PROBLEM)
            return true;
    }
    return false;
}

/* Did the ordinary client give up because it could not trust what came? */
static bool is_distrust(enum cause cause) {
    return cause == CAUSE_M01 || cause == CAUSE_M03 || cause == CAUSE_S04;
}

/* The ordinary client gave up: the tests that looked into it have said why. */
static void settle_client(struct probe_report *report, unsigned count, const struct probe_test *tests) {
    struct probe_result *client = NULL;
    bool path = false, server = false;

    for (unsigned i = 0; i < count; i++) {
        if (strcmp(tests[i].name, "client") == 0)
            client = &report->results[i];
        path |= report->results[i].outcome == PROBE_PATH;
        server |= report->results[i].outcome == PROBE_SERVER && report->results[i].severity == SEVERITY_PROBLEM;
    }
    if (client == NULL || client->outcome != PROBE_UNCLEAR || !is_distrust(client->cause))
        return;
    if (path)
        blame(client, PROBE_PATH, CONFIDENCE_LIKELY);
    else if (server)
        blame(client, PROBE_SERVER, CONFIDENCE_LIKELY);
    if (client->outcome == PROBE_SERVER)
        client->cause = CAUSE_NONE;
}

static bool has_outcome(const struct probe_report *report, enum probe_outcome outcome) {
    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++)
        if (report->results[i].outcome == outcome)
            return true;
    return false;
}

static bool path_is_proven(const struct probe_facts *facts) {
    bool hash_is_fine = !id_list_has(&facts->spoken, SMB2_DIALECT_311) || facts->hash == PROBE_HASH_PROVEN;
    bool only_311 = facts->spoken.count == 1 && facts->spoken.ids[0] == SMB2_DIALECT_311;

    if (facts->validation_is_blind && facts->hash != PROBE_HASH_PROVEN)
        return false;
    return facts->altered == 0 && hash_is_fine &&
           (facts->validated != 0 || (only_311 && facts->hash == PROBE_HASH_PROVEN));
}

static enum probe_verdict verdict_of(const struct probe_report *report) {
    if (report->facts.error != 0 && report->facts.spoken.count == 0 && report->address[0] == '\0')
        return PROBE_NOT_REACHED;
    if (has_outcome(report, PROBE_PATH))
        return PROBE_PATH_ALTERS;
    if (has_outcome(report, PROBE_UNCLEAR))
        return PROBE_CANNOT_TELL;
    if (has_outcome(report, PROBE_SERVER))
        return PROBE_SERVER_DEVIATES;
    return report->path_is_proven ? PROBE_HEALTHY : PROBE_CANNOT_TELL;
}

void probe_judge(struct probe_report *report) {
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);
    bool suspects = validation_suspects(report);

    for (unsigned i = 0; i < count; i++)
        judge_result(&report->facts, suspects, &report->results[i]);
    report->facts.altered = count_altered(report);
    report->facts.validation_is_blind = validation_is_blind(report);
    settle_client(report, count, tests);
    report->path_is_proven = path_is_proven(&report->facts);
    report->verdict = verdict_of(report);
}

const char *probe_outcome_word(enum probe_outcome outcome) {
    static const char *const words[] = {"right", "exposed", "server", "path", "unclear", "skipped"};

    return words[outcome];
}

const char *probe_verdict_word(enum probe_verdict verdict) {
    static const char *const words[] = {"healthy", "server-deviates", "path-alters", "cannot-tell", "unreachable"};

    return words[verdict];
}
