/* A run: what the server is like, then each case on a connection of its own. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conform/trial.h"

/* How long a case holds up the next one, in milliseconds, and how many wait beside it. */
#define CASE_PATIENCE_MS  1000
#define CASES_WAITING_MAX 16u

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

static void run_case(struct trial *trial) {
    const char *why = obstacle(trial->facts, trial->test->need);

    if (why != NULL)
        trial_skip(trial, "%s", why);
    else
        trial->test->run(trial);
    line_close(trial->line);
    line_close(trial->second);
}

/* False where there is no memory; what there is has to be freed all the same. */
static bool make_room(struct trial *trial) {
    trial->line = calloc(1, sizeof *trial->line);
    trial->second = calloc(1, sizeof *trial->second);
    trial->batch = calloc(1, sizeof *trial->batch);
    return trial->line != NULL && trial->second != NULL && trial->batch != NULL;
}

static void free_room(struct trial *trial) {
    free(trial->line);
    free(trial->second);
    free(trial->batch);
}

/* ---- one after the other, but for those that wait ---- */

/* Each case has a thread, for which the next one waits. But a case that took longer than CASE_PATIENCE_MS most likely
 * waits for an answer that does not come, and those wait side by side, while the others go on. */
struct crew {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* by CLOCK_MONOTONIC */
    unsigned under_way;   /* under the lock */
};

struct errand {
    struct crew *crew;
    struct trial trial;
    pthread_t thread;
    bool started, has_ended; /* has_ended: under the lock */
    bool lacks_memory;
};

static void crew_begin(struct crew *crew) {
    pthread_condattr_t attributes;

    crew->under_way = 0;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void crew_end(struct crew *crew) {
    pthread_cond_destroy(&crew->ended);
    pthread_mutex_destroy(&crew->lock);
}

static void *run_errand(void *context) {
    struct errand *errand = context;
    struct crew *crew = errand->crew;

    errand->lacks_memory = !make_room(&errand->trial);
    if (!errand->lacks_memory)
        run_case(&errand->trial);
    free_room(&errand->trial);
    pthread_mutex_lock(&crew->lock);
    errand->has_ended = true;
    crew->under_way--;
    pthread_cond_signal(&crew->ended);
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static struct timespec after_patience(void) {
    struct timespec when;

    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_nsec += CASE_PATIENCE_MS % 1000 * 1000000;
    when.tv_sec += CASE_PATIENCE_MS / 1000 + when.tv_nsec / 1000000000;
    when.tv_nsec %= 1000000000;
    return when;
}

/* Until the case has ended, or may wait beside the next one. */
static void await_errand(struct errand *errand) {
    struct crew *crew = errand->crew;
    const struct timespec until = after_patience();
    int error = 0;

    pthread_mutex_lock(&crew->lock);
    while (!errand->has_ended && (error == 0 || crew->under_way >= CASES_WAITING_MAX))
        error = error == 0 ? pthread_cond_timedwait(&crew->ended, &crew->lock, &until)
                           : pthread_cond_wait(&crew->ended, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

static void start_errand(struct errand *errand) {
    pthread_mutex_lock(&errand->crew->lock);
    errand->crew->under_way++;
    pthread_mutex_unlock(&errand->crew->lock);
    errand->started = pthread_create(&errand->thread, NULL, run_errand, errand) == 0;
    if (errand->started)
        await_errand(errand);
    else
        run_errand(errand); /* it holds up the others, and that is all */
}

/* False: no memory. */
static bool run_cases(struct conform_report *report) {
    const struct conform_options *options = report->options;
    unsigned number = 0, wanted = 0, count = report->suite->count;
    struct errand *errands = calloc(count, sizeof *errands);
    struct crew crew;
    bool fine = errands != NULL;

    for (unsigned i = 0; i < count; i++)
        wanted += options->wanted[i];
    crew_begin(&crew);
    for (unsigned i = 0; i < count && fine; i++) {
        if (!options->wanted[i])
            continue;
        errands[i].crew = &crew;
        errands[i].trial = (struct trial){.options = options, .facts = &report->facts,
                                          .test = &report->suite->cases[i], .result = &report->results[i]};
        if (options->progress != NULL)
            options->progress(errands[i].trial.test, ++number, wanted);
        start_errand(&errands[i]);
    }
    for (unsigned i = 0; i < count && fine; i++) {
        if (errands[i].started)
            pthread_join(errands[i].thread, NULL);
        if (options->wanted[i])
            conform_settle(report, i);
    }
    for (unsigned i = 0; i < count && fine; i++)
        fine = !errands[i].lacks_memory;
    crew_end(&crew);
    free(errands);
    return fine;
}

static bool find_facts(const struct conform_options *options, struct conform_facts *facts) {
    struct trial trial = {.options = options};
    bool fine = make_room(&trial);

    if (fine) {
        find_dialects(trial.line, &options->target, facts);
        find_logon(trial.line, trial.batch, &options->target, facts);
        find_validation(trial.line, &options->target, facts);
        line_close(trial.line);
    }
    free_room(&trial);
    return fine;
}

bool conform_run(const struct conform_options *options, struct conform_report *report) {
    *report = (struct conform_report){.suite = conform_servers(), .options = options};
    if (!find_facts(options, &report->facts))
        return false;
    return !report->facts.reached || run_cases(report);
}
