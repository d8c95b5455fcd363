/* A run: what the server is like, then each case on a connection of its own. */
#include <stdlib.h>
#include <string.h>

#include "conform/trial.h"

/* ---- what the server is like ---- */

static const uint16_t all_dialects[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                        SMB2_DIALECT_311};

static void note_dialect(const struct line *line, struct conform_facts *facts) {
    const struct negotiation *negotiation = &line->negotiation;
    uint16_t dialect = negotiation->agreed.dialect;

    facts->spoken.ids[facts->spoken.count++] = dialect;
    facts->greatest = dialect;
    if (dialect != SMB2_DIALECT_311)
        facts->greatest_below_311 = dialect;
    facts->capabilities = negotiation->answered.capabilities;
    facts->security_mode = negotiation->answered.security_mode;
    facts->has_cipher = negotiation->agreed.cipher != CIPHER_NONE;
}

static void find_dialects(struct line *line, const struct line_target *target, struct conform_facts *facts) {
    for (unsigned i = 0; i < sizeof all_dialects / sizeof all_dialects[0]; i++) {
        struct id_list one = dialect_alone(all_dialects[i]);
        struct line_reply reply = line_open(line, target, &one);

        if (reply.answer != LINE_ANSWERED) {
            facts->error = reply.error;
            continue;
        }
        facts->reached = true;
        snprintf(facts->address, sizeof facts->address, "%s", line->transport.address);
        if (line_agree(line, &reply))
            note_dialect(line, facts);
    }
}

/* Makes a file, which goes again as it is closed with the connection. */
static bool can_write(struct line *line, struct batch *batch) {
    struct batch_answer answers[2];

    batch_begin(batch, line);
    add_create(batch, "smbproof-conform", FILE_OPEN_IF);
    batch_run(batch, LINE_SIGNED, answers);
    if (!reply_has(&answers[0].reply, STATUS_SUCCESS))
        return false;
    batch_begin(batch, line);
    add_close(batch, answers[0].file_id);
    batch_run(batch, LINE_SIGNED, answers);
    return true;
}

static void find_share(struct line *line, struct batch *batch, struct conform_facts *facts) {
    struct line_reply reply = line_connect_tree(line, LINE_SIGNED);
    const struct tree_connect_response *body = &reply.message.body.tree_connect_response;

    facts->share_status = reply.status;
    facts->share_connected = reply_has(&reply, STATUS_SUCCESS);
    if (!facts->share_connected)
        return;
    facts->encrypts_share = (body->share_flags & SMB2_SHAREFLAG_ENCRYPT_DATA) != 0;
    facts->can_write = can_write(line, batch);
}

static void find_logon(struct line *line, struct batch *batch, const struct line_target *target,
                       struct conform_facts *facts) {
    struct line_reply reply;
    struct line_logon logon;

    if (target->credentials == NULL || facts->spoken.count == 0 ||
        line_open(line, target, &facts->spoken).answer != LINE_ANSWERED || !line_agree(line, &reply))
        return;
    logon = line_log_on(line, NULL);
    facts->logged_on = logon.result == LOGON_DONE;
    facts->has_keys = logon.has_keys;
    facts->logon_status = logon.reply.status;
    facts->encrypts_session = line->encrypts;
    if (facts->has_keys)
        find_share(line, batch, facts);
}

/* A server of SMB 2 alone need not, but one that answers has to answer rightly. */
static void find_validation(struct line *line, const struct line_target *target, struct conform_facts *facts) {
    struct id_list one = dialect_alone(facts->greatest_below_311);
    struct line_reply reply;
    struct line_claim claim;

    facts->validates = facts->greatest_below_311 != 0 && dialect_is_3x(facts->greatest);
    if (facts->validates || !facts->share_connected || line_open(line, target, &one).answer != LINE_ANSWERED ||
        !line_agree(line, &reply) || !line_log_on(line, NULL).has_keys)
        return;
    reply = line_connect_tree(line, LINE_SIGNED);
    line_claim(line, &claim);
    if (reply_has(&reply, STATUS_SUCCESS))
        reply = line_validate(line, &claim, LINE_SIGNED);
    facts->validates = reply_has(&reply, STATUS_SUCCESS);
}

/* ---- the cases ---- */

/* Why a case cannot run; NULL: it can. */
static const char *obstacle(const struct conform_facts *facts, enum conform_need need) {
    if ((need == NEED_311 || need == NEED_LOGON_311) && facts->greatest != SMB2_DIALECT_311)
        return "3.1.1 is not spoken";
    if (need >= NEED_LOGON && !facts->has_keys)
        return facts->logged_on ? "the session has no keys" : "no logon";
    if (need == NEED_LOGON_3X && !dialect_is_3x(facts->greatest))
        return "no dialect of SMB 3 is spoken";
    if (need == NEED_VALIDATION && (!facts->validates || !facts->share_connected))
        return "needs a share, and a server that validates dialects below 3.1.1";
    if (need == NEED_FILE && !facts->can_write)
        return "no file can be made on the share";
    if (need == NEED_CIPHER && (!facts->has_cipher || !facts->share_connected))
        return facts->share_connected ? "the server offers no encryption" : "the share is refused";
    return NULL;
}

static void run_case(struct trial *trial, const struct conform_case *test, struct conform_result *result) {
    const char *why = obstacle(trial->facts, test->need);

    trial->test = test;
    trial->result = result;
    trial->zero_in_guid = false;
    if (why != NULL)
        trial_skip(trial, "%s", why);
    else
        test->run(trial);
    line_close(trial->line);
    line_close(trial->second);
}

static bool make_room(struct trial *trial) {
    trial->line = calloc(1, sizeof *trial->line);
    trial->second = calloc(1, sizeof *trial->second);
    trial->batch = calloc(1, sizeof *trial->batch);
    return trial->line != NULL && trial->second != NULL && trial->batch != NULL;
}

static void run_cases(struct trial *trial, struct conform_report *report) {
    const struct conform_options *options = report->options;
    const struct conform_case *cases = report->suite->cases;
    unsigned number = 0, wanted = 0;

    for (unsigned i = 0; i < report->suite->count; i++)
        wanted += options->wanted[i];
    for (unsigned i = 0; i < report->suite->count; i++) {
        if (!options->wanted[i])
            continue;
        number++;
        if (options->progress != NULL)
            options->progress(&cases[i], number, wanted);
        run_case(trial, &cases[i], &report->results[i]);
        conform_settle(report, i);
    }
}

bool conform_run(const struct conform_options *options, struct conform_report *report) {
    struct trial trial = {.options = options, .facts = &report->facts};
    bool fine = make_room(&trial);

    *report = (struct conform_report){.suite = conform_servers(), .options = options};
    if (fine) {
        find_dialects(trial.line, &options->target, &report->facts);
        find_logon(trial.line, trial.batch, &options->target, &report->facts);
        find_validation(trial.line, &options->target, &report->facts);
        line_close(trial.line);
    }
    if (fine && report->facts.reached)
        run_cases(&trial, report);
    free(trial.line);
    free(trial.second);
    free(trial.batch);
    return fine;
}
