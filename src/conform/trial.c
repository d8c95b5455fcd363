/* What every case needs: to say what came of it, and to get as far as to what it judges. */
#include "conform/trial.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* ---- results ---- */

static void say(struct conform_result *result, enum conform_outcome outcome, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void say(struct conform_result *result, enum conform_outcome outcome, const char *format, va_list arguments) {
    result->outcome = outcome;
    vsnprintf(result->seen, sizeof result->seen, format, arguments);
}

void trial_pass(struct trial *trial, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(trial->result, CONFORM_PASS, format, arguments);
    va_end(arguments);
}

void trial_skip(struct trial *trial, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(trial->result, CONFORM_SKIP, format, arguments);
    va_end(arguments);
}

void trial_unclear(struct trial *trial, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(trial->result, CONFORM_UNCLEAR, format, arguments);
    va_end(arguments);
}

static bool is_must(const struct trial *trial) {
    return trial->test->level == LEVEL_MUST || trial->options->strict;
}

void trial_fail(struct trial *trial, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(trial->result, is_must(trial) ? CONFORM_FAIL : CONFORM_SHOULD, format, arguments);
    va_end(arguments);
}

void trial_lessen(struct trial *trial) {
    if (trial->result->outcome == CONFORM_FAIL && !trial->options->strict)
        trial->result->outcome = CONFORM_SHOULD;
}

const char *seen_text(const struct line_reply *reply, char text[CONFORM_TEXT_MAX]) {
    const char *name = ntstatus_name(reply->status);

    switch (reply->answer) {
    case LINE_ANSWERED:
        if (message_is_smb1(&reply->message))
            snprintf(text, CONFORM_TEXT_MAX, "an SMB1 message");
        else if (name != NULL)
            snprintf(text, CONFORM_TEXT_MAX, "%s%s", name, reply_protection(reply));
        else
            snprintf(text, CONFORM_TEXT_MAX, "status 0x%08x%s", reply->status, reply_protection(reply));
        return text;
    case LINE_CLOSED:
    case LINE_RESET:
        return "closed";
    case LINE_SILENT:
        return "no answer";
    case LINE_NOISE:
        return reply->error == -EBADMSG ? "an answer that does not decrypt" : "an answer that is no SMB2 message";
    case LINE_UNREACHABLE:
        snprintf(text, CONFORM_TEXT_MAX, "no connection: %s", strerror(-reply->error));
        return text;
    case LINE_FAILED:
        break;
    }
    snprintf(text, CONFORM_TEXT_MAX, "failed here: %s", strerror(-reply->error));
    return text;
}

static bool judge(struct trial *trial, const struct line_reply *reply, bool right) {
    char text[CONFORM_TEXT_MAX];

    if (reply->answer == LINE_UNREACHABLE || reply->answer == LINE_FAILED)
        trial_unclear(trial, "%s", seen_text(reply, text));
    else if (right)
        trial_pass(trial, "%s", seen_text(reply, text));
    else
        trial_fail(trial, "%s", seen_text(reply, text));
    return right;
}

bool judge_close(struct trial *trial, const struct line_reply *reply) {
    return judge(trial, reply, reply_is_close(reply));
}

bool judge_status(struct trial *trial, const struct line_reply *reply, uint32_t status) {
    return judge(trial, reply, reply_has(reply, status));
}

bool judge_status_or_close(struct trial *trial, const struct line_reply *reply, uint32_t status) {
    return judge(trial, reply, reply_has(reply, status) || reply_is_close(reply));
}

bool judge_refusal(struct trial *trial, const struct line_reply *reply) {
    bool error = reply->answer == LINE_ANSWERED && message_is_smb2(&reply->message) && reply->status >> 30 == 3;

    return judge(trial, reply, error || reply_is_close(reply));
}

/* ---- dialects ---- */

struct id_list dialect_alone(uint16_t dialect) {
    return (struct id_list){{dialect}, 1};
}

bool trial_speaks(const struct trial *trial, uint16_t dialect) {
    return id_list_has(&trial->facts->spoken, dialect);
}

bool trial_admits(const struct trial *trial, uint16_t dialect) {
    bool encrypts = trial->facts->encrypts_session || trial->facts->encrypts_share;

    return trial_speaks(trial, dialect) && (dialect_is_3x(dialect) || !encrypts);
}

struct id_list trial_all(const struct trial *trial) {
    return trial->facts->spoken;
}

struct id_list trial_below_311(const struct trial *trial) {
    struct id_list list = {.count = 0};

    for (unsigned i = 0; i < trial->facts->spoken.count; i++)
        if (trial->facts->spoken.ids[i] != SMB2_DIALECT_311)
            list.ids[list.count++] = trial->facts->spoken.ids[i];
    return list;
}

/* ---- connections ---- */

bool trial_open(struct trial *trial, const struct id_list *dialects) {
    struct line_reply reply = line_open(trial->line, &trial->options->target, dialects);
    char text[CONFORM_TEXT_MAX];

    if (reply.answer == LINE_ANSWERED)
        return true;
    trial_unclear(trial, "%s", seen_text(&reply, text));
    return false;
}

bool trial_agree(struct trial *trial, const struct id_list *dialects) {
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (!trial_open(trial, dialects))
        return false;
    if (trial->zero_in_guid)
        trial->line->policy.guid[1] = 0;
    if (line_agree(trial->line, &reply))
        return true;
    trial_unclear(trial, "NEGOTIATE: %s", seen_text(&reply, text));
    return false;
}

bool trial_log_on(struct trial *trial, const struct id_list *dialects) {
    struct line_logon *logon = &trial->logon;
    char text[CONFORM_TEXT_MAX];

    if (!trial_agree(trial, dialects))
        return false;
    *logon = line_log_on(trial->line, NULL);
    if (logon->result == LOGON_DONE && logon->has_keys)
        return true;
    if (logon->result == LOGON_FAILED)
        trial_unclear(trial, "the logon failed here: %.160s", logon->reason);
    else if (logon->result == LOGON_DONE)
        trial_unclear(trial, "the server made this a session without keys");
    else
        trial_unclear(trial, "SESSION_SETUP: %s", seen_text(&logon->reply, text));
    return false;
}

bool trial_connect(struct trial *trial, const struct id_list *dialects) {
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (!trial_log_on(trial, dialects))
        return false;
    reply = line_connect_tree(trial->line, LINE_SIGNED);
    if (reply_has(&reply, STATUS_SUCCESS))
        return true;
    trial_unclear(trial, "TREE_CONNECT: %s", seen_text(&reply, text));
    return false;
}
