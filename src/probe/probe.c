/* Runs the tests, and what they share. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "probe/tests.h"
#include "wire/names.h"

/* ---- results ---- */

static void say(struct probe_result *result, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void say(struct probe_result *result, const char *format, va_list arguments) {
    vsnprintf(result->seen, sizeof result->seen, format, arguments);
}

void result_say(struct probe_result *result, enum probe_outcome outcome, const char *format, ...) {
    va_list arguments;

    result->outcome = outcome;
    va_start(arguments, format);
    say(result, format, arguments);
    va_end(arguments);
}

void result_blame(struct probe *probe, struct probe_result *result, const char *format, ...) {
    va_list arguments;

    result->outcome = probe->test->severity == SEVERITY_EXPOSURE ? PROBE_EXPOSED : PROBE_SERVER;
    result->cause = probe->test->cause;
    result->severity = probe->test->severity;
    result->confidence = CONFIDENCE_CERTAIN;
    va_start(arguments, format);
    say(result, format, arguments);
    va_end(arguments);
}

static void status_text(uint32_t status, char *text, size_t size) {
    const char *name = ntstatus_name(status);

    if (name != NULL)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "status 0x%08x", status);
}

const char *reply_text(const struct line_reply *reply, char text[PROBE_TEXT_MAX]) {
    const char *protection;
    char status[64];

    switch (reply->answer) {
    case LINE_ANSWERED:
        status_text(reply->status, status, sizeof status);
        protection = reply_protection(reply);
        snprintf(text, PROBE_TEXT_MAX, "%s%s", status, protection[0] != '\0' ? protection : ", unsigned");
        return text;
    case LINE_CLOSED:
        return "closed without a word (FIN)";
    case LINE_RESET:
        return "closed without a word (RST)";
    case LINE_SILENT:
        return "no answer";
    case LINE_NOISE:
        return "an answer that is no SMB2 message";
    case LINE_UNREACHABLE:
        snprintf(text, PROBE_TEXT_MAX, "no connection: %s", strerror(-reply->error));
        return text;
    case LINE_FAILED:
        break;
    }
    snprintf(text, PROBE_TEXT_MAX, "failed here: %s", strerror(-reply->error));
    return text;
}

/* ---- dialects ---- */

struct id_list list_one(uint16_t dialect) {
    return (struct id_list){{dialect}, 1};
}

struct id_list list_all(void) {
    struct client_policy policy;

    client_policy_defaults(&policy);
    return policy.dialects;
}

bool server_speaks(const struct probe *probe, uint16_t dialect) {
    return id_list_has(&probe->facts->spoken, dialect);
}

/* ---- connections ---- */

static void sleep_until(int64_t point_ms) {
    int64_t left = point_ms - transport_now_ms();

    if (left > 0)
        nanosleep(&(struct timespec){left / 1000, left % 1000 * 1000000}, NULL);
}

bool probe_open(struct probe *probe, const struct id_list *dialects, struct probe_result *result) {
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    sleep_until(probe->next_connection_ms);
    probe->next_connection_ms = transport_now_ms() + PROBE_INTERVAL_MS;
    probe->connections++;
    reply = line_open(probe->line, &probe->options->target, dialects);
    probe->facts->error = reply.error;
    if (reply.answer == LINE_ANSWERED) {
        snprintf(probe->address, sizeof probe->address, "%s", probe->line->transport.address);
        return true;
    }
    result_say(result, PROBE_UNCLEAR, "%s", reply_text(&reply, text));
    return false;
}

bool probe_agree(struct probe *probe, const struct id_list *dialects, struct probe_result *result) {
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_open(probe, dialects, result))
        return false;
    if (probe->zero_in_guid)
        probe->line->policy.guid[1] = 0;
    if (line_agree(probe->line, &reply))
        return true;
    result_say(result, PROBE_UNCLEAR, "NEGOTIATE: %s", reply_text(&reply, text));
    return false;
}

static void say_logon(struct probe_result *result, const struct line_logon *logon) {
    char text[PROBE_TEXT_MAX];

    if (logon->result == LOGON_FAILED)
        result_say(result, PROBE_UNCLEAR, "the logon failed here: %.200s", logon->reason);
    else
        result_say(result, PROBE_UNCLEAR, "SESSION_SETUP: %s", reply_text(&logon->reply, text));
}

bool probe_log_on(struct probe *probe, const struct id_list *dialects, struct line_logon *logon,
                  struct probe_result *result) {
    if (!probe_agree(probe, dialects, result))
        return false;
    *logon = line_log_on(probe->line, NULL);
    if (logon->result == LOGON_REFUSED && !probe->facts->logged_on)
        probe->facts->logon_failed = true; /* another wrong one might lock the account */
    if (logon->result == LOGON_DONE && logon->has_keys)
        return true;
    if (logon->result == LOGON_DONE)
        result_say(result, PROBE_UNCLEAR, "the server made this a %s session, which has no keys",
                   logon->session_flags & SESSION_FLAG_IS_GUEST ? "guest" : "anonymous");
    else
        say_logon(result, logon);
    return false;
}

bool probe_connect_tree(struct probe *probe, const struct id_list *dialects, struct probe_result *result) {
    struct line_logon logon;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_log_on(probe, dialects, &logon, result))
        return false;
    reply = line_connect_tree(probe->line, LINE_SIGNED);
    if (reply_has(&reply, STATUS_SUCCESS))
        return true;
    result_say(result, PROBE_UNCLEAR, "TREE_CONNECT: %s", reply_text(&reply, text));
    return false;
}

/* ---- the run ---- */

/* Why a test cannot run; NULL: it can. */
static const char *obstacle(const struct probe *probe, const struct probe_test *test) {
    const struct probe_facts *facts = probe->facts;
    bool needs_logon = test->needs >= NEEDS_LOGON;

    if (facts->error != 0 && facts->spoken.count == 0 && test->run != test_reach && probe->connections <= 1)
        return "the server could not be reached";
    if ((test->needs == NEEDS_311 || test->needs == NEEDS_LOGON_311) && !server_speaks(probe, SMB2_DIALECT_311))
        return "3.1.1 is not spoken";
    if (needs_logon && probe->options->target.credentials == NULL)
        return "needs credentials";
    if (needs_logon && facts->logon_failed)
        return "the logon was refused";
    if (needs_logon && !facts->has_keys)
        return "needs a session that has keys";
    if (test->needs == NEEDS_LOGON_311 && facts->hash == PROBE_HASH_BROKEN)
        return "the two ends have no key in common";
    if (test->needs == NEEDS_VALIDATION && facts->validated_list.count == 0)
        return "the right validation was not answered, so a wrong one would show nothing";
    return NULL;
}

static void run_test(struct probe *probe, const struct probe_test *test, struct probe_result *result) {
    const char *why = obstacle(probe, test);
    unsigned before = probe->connections;

    *result = (struct probe_result){.outcome = PROBE_SKIPPED, .severity = test->severity};
    probe->test = test;
    if (why != NULL)
        result_say(result, PROBE_SKIPPED, "%s", why);
    else
        test->run(probe, result);
    result->connections = probe->connections - before;
    line_close(probe->line);
}

static void note_start(char text[40]) {
    time_t now = time(NULL);
    struct tm parts;

    strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
}

bool probe_run(const struct probe_options *options, struct probe_report *report) {
    unsigned count, number = 0, wanted = 0;
    const struct probe_test *tests = probe_tests(&count);
    struct probe probe = {.options = options, .facts = &report->facts, .line = calloc(1, sizeof *probe.line)};

    *report = (struct probe_report){.options = options};
    if (probe.line == NULL)
        return false;
    note_start(report->start);
    for (unsigned i = 0; i < count; i++)
        wanted += options->wanted[i];
    for (unsigned i = 0; i < count; i++) {
        report->results[i].outcome = PROBE_SKIPPED;
        if (!options->wanted[i])
            continue;
        number++;
        if (options->progress != NULL)
            options->progress(&tests[i], number, wanted);
        run_test(&probe, &tests[i], &report->results[i]);
    }
    report->connections = probe.connections;
    memcpy(report->address, probe.address, sizeof report->address);
    free(probe.line);
    probe_judge(report);
    return true;
}
