/* Whose a session is: its authentication step by step, as which user its files are opened, how long it lasts, and what becomes
 * of the one that the client has left behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "serve/connection_parts.h"
#include "serve/log.h"
#include "serve/mapping.h"
#include "store/identity.h"
#include "wire/names.h"

/* The end of a session that the client has left behind, on its way to the loop of that session and back. */
struct farewell {
    struct loop_task task;
    struct packet *packet; /* the SESSION_SETUP that waits for it */
    uint64_t session_id;
    struct loop *there;
    struct closing ending;
};

void logon_free(struct inside *inside, uint64_t session_id) {
    for (struct logon **place = &inside->logons; *place != NULL; place = &(*place)->next)
        if ((*place)->session_id == session_id) {
            struct logon *logon = *place;

            sessions_remove(inside->connection.host->sessions, session_id);
            loop_timer_clear(inside->connection.loop, &logon->expiry);
            *place = logon->next;
            auth_acceptor_free(logon->acceptor);
            identity_release(logon->identity);
            free(logon);
            return;
        }
}

static struct server_session *find_session(struct server *server, uint64_t session_id) {
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++)
        if (server->sessions[i].id == session_id && (server->sessions[i].state == SERVER_SESSION_VALID ||
                                                     server->sessions[i].state == SERVER_SESSION_EXPIRED))
            return &server->sessions[i];
    return NULL;
}

/* Files first, while the session is there for those who wait for them; nobody finds it afterwards. */
static void end_session(struct inside *inside, struct server_session *session, struct closing *ending) {
    uint64_t session_id = session->id;

    inside->depth++;
    dispatch_end(&inside->connection, session, NULL, ending);
    server_delete_session(&inside->connection.server, session_id);
    inside->depth--;
    connection_pump(inside);
}

static void log_session(const char *event, const struct logon *logon, const char *why) {
    char user[LOG_VALUE_MAX];

    log_event(event, "from=%s session=0x%016llx user=%s why=%s", logon->inside->from, (unsigned long long)logon->session_id,
              log_quote(logon->user, user), why);
}

static void closing_free(struct closing *ending) {
    free(ending);
}

/* Nobody has logged on to it again. */
static void patience_over(struct loop_timer *timer) {
    struct logon *logon = CONTAINER(struct logon, expiry, timer);
    struct inside *inside = logon->inside;
    struct server_session *session = find_session(&inside->connection.server, logon->session_id);
    struct closing *ending = session != NULL ? calloc(1, sizeof *ending) : NULL;

    if (ending == NULL)
        return;
    log_session("ended", logon, "expired");
    ending->done = closing_free;
    end_session(inside, session, ending);
}

/* It ends by itself some time later; where there is no memory for that, with its connection. */
static void expire(struct logon *logon, const char *why) {
    struct connection *connection = &logon->inside->connection;
    unsigned patience_ms = edition_current(&connection->host->editions)->limits.expired_ms;

    if (!server_expire_session(&connection->server, logon->session_id))
        return;
    log_session("expired", logon, why);
    logon->expiry.expired = patience_over;
    loop_timer_set(connection->loop, &logon->expiry, patience_ms);
}

static void lifetime_over(struct loop_timer *timer) {
    expire(CONTAINER(struct logon, expiry, timer), "ticket");
}

/* Would he be let in now? A ticket is not asked for again. */
static bool is_allowed(const struct auth_acceptor_config *config, const struct logon *logon) {
    if (logon->is_anonymous)
        return config->allow_anonymous;
    if (logon->is_guest)
        return config->allow_guest;
    return !logon->has_account || accounts_allow(config->accounts, logon->user);
}

void connections_review(struct station *station) {
    const struct auth_acceptor_config *config = &edition_current(&station->host->editions)->acceptor;

    for (struct connection *at = station->connections; at != NULL; at = inside_of(at)->next)
        for (struct logon *logon = inside_of(at)->logons; logon != NULL; logon = logon->next)
            if (!is_allowed(config, logon))
                expire(logon, "account");
}

/* The session counts for as long as the authentication says. False: no memory. */
static bool set_lifetime(struct inside *inside, struct logon *logon) {
    uint32_t lifetime_s = auth_acceptor_lifetime_s(logon->acceptor);

    loop_timer_clear(inside->connection.loop, &logon->expiry);
    logon->expiry.expired = lifetime_over;
    return lifetime_s == 0 ||
           loop_timer_set(inside->connection.loop, &logon->expiry, 1000u * (uint64_t)lifetime_s) == 0;
}

static struct logon *find_logon(struct inside *inside, uint64_t session_id) {
    struct logon *logon = inside->logons;

    while (logon != NULL && logon->session_id != session_id)
        logon = logon->next;
    if (logon == NULL && (logon = calloc(1, sizeof *logon)) != NULL) {
        logon->inside = inside;
        logon->session_id = session_id;
        logon->next = inside->logons;
        inside->logons = logon;
    }
    if (logon != NULL && logon->acceptor == NULL) {
        logon->config = edition_current(&inside->connection.host->editions);
        logon->acceptor = auth_acceptor_new(&logon->config->acceptor);
    }
    return logon != NULL && logon->acceptor != NULL ? logon : NULL;
}

/* `refusal`: why it came to nothing, and the status that is told; NULL where it is done. */
static void log_logon(const struct inside *inside, const struct packet *packet, const char *refusal, uint32_t status) {
    const struct auth_acceptor *acceptor = packet->logon->acceptor;
    char user[LOG_VALUE_MAX], domain[LOG_VALUE_MAX], reason[LOG_VALUE_MAX], dialect[16], as[32] = "";

    log_quote(auth_acceptor_user(acceptor), user);
    log_quote(auth_acceptor_domain(acceptor), domain);
    dialect_text(inside->connection.server.negotiation.agreed.dialect, dialect);
    if (packet->logon->identity != NULL)
        snprintf(as, sizeof as, " uid=%u", packet->logon->identity->user);
    if (refusal == NULL)
        log_event("logon", "from=%s result=done user=%s domain=%s mechanism=%s guest=%s dialect=%s%s", inside->from, user, domain,
                  auth_acceptor_mechanism(acceptor), auth_acceptor_is_guest(acceptor) ? "yes" : "no", dialect, as);
    else
        log_warning("logon", "from=%s result=refused user=%s domain=%s mechanism=%s dialect=%s status=0x%08x reason=%s",
                    inside->from, user, domain, auth_acceptor_mechanism(acceptor), dialect, status,
                    log_quote(refusal, reason));
}

/* Has the client logged on with another dialect, on a connection that it still has (3.3.5.5.3)? Where there is no memory,
 * or no ClientGuid, nobody can tell. */
static bool dialect_differs(struct inside *inside) {
    static const uint8_t nobody[CLIENT_GUID_SIZE] = {0};
    const struct negotiation *negotiation = &inside->connection.server.negotiation;
    const uint8_t *guid = negotiation->offered.client_guid;
    enum clients_answer answer;

    if (inside->is_client || negotiation->agreed.dialect == SMB2_DIALECT_202 || memcmp(guid, nobody, sizeof nobody) == 0)
        return false;
    answer = clients_enter(inside->connection.host->clients, guid, negotiation->agreed.dialect);
    inside->is_client = answer == CLIENTS_ENTERED;
    return answer == CLIENTS_DIFFERENT;
}

/* What is open stays his who opened it. */
static void note_identity(struct logon *logon, struct packet *packet) {
    identity_release(logon->identity);
    logon->identity = packet->identity;
    packet->identity = NULL;
}

static void note_logon(struct logon *logon) {
    size_t size = strlen(auth_acceptor_user(logon->acceptor));

    memcpy(logon->user, auth_acceptor_user(logon->acceptor), size < AUTH_NAME_MAX ? size + 1 : AUTH_NAME_MAX);
    logon->user[AUTH_NAME_MAX - 1] = '\0';
    logon->is_guest = auth_acceptor_is_guest(logon->acceptor);
    logon->is_anonymous = auth_acceptor_is_anonymous(logon->acceptor);
    logon->has_account = auth_acceptor_has_account(logon->acceptor);
}

/* Another configuration may have come since the logon began. */
static bool is_still_allowed(const struct inside *inside, const struct logon *logon) {
    const struct host_config *config = edition_current(&inside->connection.host->editions);

    return logon->config == config || is_allowed(&config->acceptor, logon);
}

static const char *refuse_with(struct server_logon *result, uint32_t status, const char *refusal) {
    result->state = SERVER_LOGON_REFUSED;
    result->status = status;
    return refusal;
}

/* NULL, or why not after all. */
static const char *complete_logon(struct inside *inside, struct packet *packet, struct server_logon *result) {
    struct logon *logon = packet->logon;

    note_logon(logon);
    if (packet->identity_error != 0)
        return refuse_with(result, (uint32_t)STATUS_LOGON_FAILURE, "the account's user of the system is not to be had");
    note_identity(logon, packet);
    if (!is_still_allowed(inside, logon))
        return refuse_with(result, (uint32_t)STATUS_ACCOUNT_DISABLED, "the account has gone meanwhile");
    if (!set_lifetime(inside, logon))
        return refuse_with(result, (uint32_t)STATUS_INSUFFICIENT_RESOURCES, "no memory");
    result->session_key = auth_acceptor_session_key(logon->acceptor);
    result->is_guest = logon->is_guest;
    result->is_anonymous = logon->is_anonymous;
    result->dialect_differs = dialect_differs(inside);
    if (result->dialect_differs) {
        result->status = (uint32_t)STATUS_USER_SESSION_DELETED; /* for the log: the server says it by itself */
        return "the client is logged on with another dialect";
    }
    connection_logged_on(inside);
    sessions_rename(inside->connection.host->sessions, logon->session_id, logon->user);
    return NULL;
}

/* Notes how it ended, where it has. */
static void end_logon(struct inside *inside, struct packet *packet, struct server_logon *result) {
    const struct auth_acceptor *acceptor = packet->logon->acceptor;
    const char *refusal;

    if (packet->state == AUTH_COMPLETE)
        refusal = complete_logon(inside, packet, result);
    else
        refusal = refuse_with(result, auth_acceptor_status(acceptor), auth_acceptor_reason(acceptor));
    log_logon(inside, packet, refusal, result->status);
    inside->station->counters.logons += refusal == NULL;
    inside->station->counters.logons_refused += refusal != NULL;
}

static void take_token(struct inside *inside, struct packet *packet) {
    bool goes_on = packet->state == AUTH_CONTINUE;
    struct logon *logon = packet->logon;
    struct server_logon result = {
        .state = goes_on ? SERVER_LOGON_CONTINUE : SERVER_LOGON_DONE, .token = packet->reply, .owner = logon};

    if (!goes_on)
        end_logon(inside, packet, &result);
    server_take_token(&inside->connection.server, &packet->frame, &result);
    if (goes_on)
        return;
    auth_acceptor_free(logon->acceptor);
    logon->acceptor = NULL;
}

static void refuse_logon(struct inside *inside, struct packet *packet) {
    const struct server_logon result = {.state = SERVER_LOGON_REFUSED, .status = STATUS_INSUFFICIENT_RESOURCES};

    server_take_token(&inside->connection.server, &packet->frame, &result);
}

/* NULL: a guest, whatever he calls himself, or nobody. */
static const char *account_of(const struct auth_acceptor *acceptor) {
    bool is_known = !auth_acceptor_is_guest(acceptor) && !auth_acceptor_is_anonymous(acceptor);

    return is_known ? auth_acceptor_user(acceptor) : NULL;
}

/* On a worker. */
static void step_logon(struct job *job) {
    struct packet *packet = CONTAINER(struct packet, job, job);
    struct auth_acceptor *acceptor = packet->logon->acceptor;

    packet->state = auth_acceptor_step(acceptor, server_token(&packet->frame), &packet->reply);
    if (packet->state == AUTH_COMPLETE)
        packet->identity_error = mapping_identity(packet->logon->config->map, account_of(acceptor), &packet->identity);
}

static void logon_finish(struct packet *packet) {
    struct inside *inside = packet->inside;

    if (!packet_take_back(packet))
        return;
    if (server_body(&packet->frame, 8 + packet->reply.size) == NULL &&
        !packet_grow(packet, packet->output_size + packet->reply.size))
        refuse_logon(inside, packet);
    else
        take_token(inside, packet);
    connection_pump(inside);
}

/* ---- sessions that were left behind ---- */

static void farewell_over(struct loop_task *task) {
    struct farewell *farewell = CONTAINER(struct farewell, task, task);
    struct packet *packet = farewell->packet;

    free(farewell);
    logon_finish(packet);
}

static void farewell_return(struct closing *ending) {
    struct farewell *farewell = CONTAINER(struct farewell, ending, ending);

    farewell->task.run = farewell_over;
    loop_post(farewell->packet->inside->connection.loop, &farewell->task);
}

/* On the loop of the session. */
static void farewell_arrive(struct loop_task *task) {
    struct farewell *farewell = CONTAINER(struct farewell, task, task);
    struct inside *inside = farewell->packet->inside;
    struct server_session *session = NULL;
    struct session_record record;

    if (sessions_find(inside->connection.host->sessions, farewell->session_id, &record) && record.loop == farewell->there) {
        inside = inside_of(record.connection);
        session = inside->closed ? NULL : find_session(&record.connection->server, farewell->session_id);
    }
    crypto_wipe(&record, sizeof record);
    farewell->ending.done = farewell_return;
    if (session == NULL) {
        farewell_return(&farewell->ending);
        return;
    }
    log_event("replaced", "from=%s session=0x%016llx", inside->from, (unsigned long long)session->id);
    end_session(inside, session, &farewell->ending);
}

/* PreviousSessionId (3.3.5.5.3): the client has lost a session of the same account, and it is ended before the new one
 * begins. False: there is none. */
static bool end_previous(struct packet *packet) {
    struct inside *inside = packet->inside;
    uint64_t previous = server_previous_session(&packet->frame);
    struct session_record record = {0};
    struct farewell *farewell;
    bool is_same = previous != 0 && sessions_find(inside->connection.host->sessions, previous, &record) &&
                   strcasecmp(record.user, auth_acceptor_user(packet->logon->acceptor)) == 0;

    crypto_wipe(record.signing, sizeof record.signing);
    farewell = is_same ? calloc(1, sizeof *farewell) : NULL;
    if (farewell == NULL)
        return false;
    *farewell = (struct farewell){.task.run = farewell_arrive, .packet = packet, .session_id = previous, .there = record.loop};
    loop_post(record.loop, &farewell->task);
    return true;
}

static void logon_stepped(struct job *job) {
    struct packet *packet = CONTAINER(struct packet, job, job);
    bool is_new = packet->state == AUTH_COMPLETE && !packet->inside->closed && !dialect_differs(packet->inside);

    if (!is_new || !end_previous(packet))
        logon_finish(packet);
}

void logon_begin(struct inside *inside, struct packet *packet) {
    packet->logon = find_logon(inside, packet->frame.request.session->id);
    packet->job = (struct job){.loop = inside->connection.loop, .work = step_logon, .done = logon_stepped};
    if (packet->logon != NULL && workers_submit(inside->connection.host->workers, &packet->job))
        packet_hand(packet);
    else
        refuse_logon(inside, packet);
}

/* So that other connections find it. */
static void list_session(struct inside *inside, uint64_t session_id) {
    const struct server *server = &inside->connection.server;
    const struct negotiation_agreed *agreed = &server->negotiation.agreed;
    struct session_record record = {.id = session_id, .dialect = agreed->dialect, .cipher = agreed->cipher,
                                    .signing_algorithm = agreed->signing_algorithm, .loop = inside->connection.loop,
                                    .connection = &inside->connection};

    memcpy(record.signing, server->keys.signing, sizeof record.signing);
    for (const struct logon *logon = inside->logons; logon != NULL; logon = logon->next)
        if (logon->session_id == session_id)
            strcpy(record.user, logon->user);
    sessions_add(inside->connection.host->sessions, &record); /* without memory nobody finds it */
    crypto_wipe(&record, sizeof record);
}

void logon_make_handles(struct inside *inside) {
    struct server *server = &inside->connection.server;
    const struct negotiation_agreed *agreed = &server->negotiation.agreed;
    struct span seal = {server->keys.server_to_client, server->keys.cipher_size};
    struct span open = {server->keys.client_to_server, server->keys.cipher_size};
    struct server_handles handles = {NULL, NULL, NULL};
    enum mac_algorithm algorithm;

    if (signing_algorithm_find(agreed->dialect, agreed->signing_algorithm, &algorithm))
        handles.mac = mac_key_new(algorithm, (struct span){server->keys.signing, SESSION_KEY_SIZE});
    if (seal.size > 0) {
        handles.seal = aead_key_new(agreed->cipher, AEAD_SEAL, seal);
        handles.open = aead_key_new(agreed->cipher, AEAD_OPEN, open);
    }
    if (bystander_of(inside) != NULL)
        bystander_of(inside)->keyed(inside->guest, server);
    list_session(inside, server->keys_frame->request.session->id);
    server_take_handles(server, &handles);
}
