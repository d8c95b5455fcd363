/* One connection: its socket, the frames on their way in and out, and the steps of its core server. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve/host.h"
#include "serve/log.h"
#include "serve/mapping.h"
#include "store/identity.h"
#include "store/watch.h"
#include "wire/names.h"
#include "wire/text.h"

/* Octets of frames, in and out, that a connection may hold before it is read from no more. */
#define CONNECTION_HELD_MAX (32u * 1024u * 1024u)
/* Octets of answers that wait to be sent, beyond which it is read from no more: who does not take them need not ask. */
#define CONNECTION_UNSENT_MAX (2u * 1024u * 1024u)
/* Octets of answers that are sent at once, while they lie in the processor's cache; fewer may go with the next. */
#define CONNECTION_SEND_LEAST 32768u
/* Without progress, while a frame is half here or an answer is not taken. */
#define CONNECTION_STALL_MS 60000u
/* Signed requests that are received before the first of them is looked at, where their signatures cost less together; octets of
 * those that this is done with; and milliseconds that are waited for the next one to be whole, once it has begun to come. */
#define CONNECTION_GATHERED_MAX SIGN_TOGETHER_MAX
#define CONNECTION_GATHER_LEAST 4096u
#define CONNECTION_GATHER_MS    10u
/* Frames that one turn takes from a connection, so that others are served in between. */
#define CONNECTION_FRAMES_A_TURN 32
/* Octets of a WRITE from which on its data may stay in the socket until it is clear where they go. */
#define CONNECTION_LATE_LEAST 65536u
/* Octets of the largest body of a response, and what is around it. */
#define CONNECTION_OUTPUT_MAX (SIZE_USUAL + 2u * 65536u)
#define ACCESS_ALL       0x001f01ffu
#define ACCESS_READ_ONLY 0x001200a9u
#define SHARE_DISK       1u
#define SHARE_PIPE       2u
/* Seconds from 1601 to 1970. */
#define FILETIME_EPOCH_S 11644473600u

#define CONTAINER(type, member, pointer) ((type *)((char *)(pointer) - offsetof(type, member)))

struct inside;

/* A frame with its memory, from the first octet received to the last one sent: one block, and another one for the output
 * where that grew. */
struct packet {
    struct packet *next, *previous; /* of all packets of the connection */
    struct packet *next_out;        /* in the queue */
    struct inside *inside;
    struct server_frame frame;
    uint8_t *content, *output;
    size_t block_size, content_size, output_size;
    size_t goal;     /* octets of the content to be received before it is looked at */
    bool waits;      /* for all of it to be there */
    struct span out; /* what is still to be sent */
    struct file_part part;           /* what of a file is still to be sent, behind it */
    void (*sent)(void *argument), *sent_argument;
    bool handed;     /* somebody works on it */
    struct job job;  /* a step of a logon */
    struct logon *logon;
    enum auth_state state;
    struct span reply;
    struct identity *identity; /* of who logged on, where that is complete */
    int identity_error;        /* negative errno */
    struct closing ending; /* of what a LOGOFF or a TREE_DISCONNECT closes */
};

/* The end of a session that the client has left behind, on its way to the loop of that session and back. */
struct farewell {
    struct loop_task task;
    struct packet *packet; /* the SESSION_SETUP that waits for it */
    uint64_t session_id;
    struct loop *there;
    struct closing ending;
};

/* The authentication of a session, and then whose it is. */
struct logon {
    struct logon *next;
    struct inside *inside;
    uint64_t session_id;
    struct auth_acceptor *acceptor;     /* NULL between logons */
    const struct host_config *config;   /* which the acceptor was made with */
    struct loop_timer expiry;           /* of the logon, and then of the session */
    struct identity *identity;          /* as whom his files are opened; NULL: the server's own */
    bool has_account, is_guest, is_anonymous; /* an account of the file */
    char user[AUTH_NAME_MAX];
};

struct inside {
    struct connection connection;
    struct station *station;
    struct edition *edition; /* the one it began with; what it borrows may be of a newer one */
    struct connection *next, *previous; /* at the station */
    struct connection *older, *younger; /* among those that are half-open */
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_task start;
    struct closing ending;
    struct sockaddr_storage address;
    char from[HOST_ADDRESS_MAX];
    struct packet *packets, *out_first, *out_last, *incoming;
    struct packet *gathered[CONNECTION_GATHERED_MAX]; /* in the order in which they came */
    unsigned gathered_count;
    struct loop_timer patience; /* with what is gathered */
    struct logon *logons;
    size_t held, unsent; /* octets */
    size_t got;  /* of the header, or of the incoming content */
    size_t late; /* octets at the end of a request that is served already, and that are still in the socket */
    const struct packet *late_packet; /* whose they are */
    unsigned busy, depth;
    uint64_t number, began_ms;
    uint8_t header[FRAME_HEADER_SIZE];
    bool closed, draining, logged_on, half_open;
    bool is_client; /* it is among the host's clients */
    void *guest;    /* of the bystander */
};

static void settle(struct inside *inside);
static void pump(struct inside *inside);

static struct inside *inside_of(struct connection *connection) {
    return connection->inside;
}

/* NULL: there is none, as always but for tests of clients. */
static const struct host_bystander *bystander_of(const struct inside *inside) {
    return inside->connection.host->setup.bystander;
}

/* ---- packets ---- */

static struct pool *pool_of(const struct inside *inside) {
    return inside->connection.pool;
}

static struct packet *packet_new(struct inside *inside, size_t content_size, size_t output_size) {
    size_t size = sizeof(struct packet) + content_size + output_size;
    struct packet *packet = pool_take(pool_of(inside), size);

    if (packet == NULL)
        return NULL;
    *packet = (struct packet){.inside = inside, .block_size = size, .content_size = content_size,
                              .output_size = output_size, .next = inside->packets};
    packet->content = (uint8_t *)(packet + 1);
    packet->output = packet->content + content_size;
    if (packet->next != NULL)
        packet->next->previous = packet;
    inside->packets = packet;
    inside->held += content_size + output_size;
    return packet;
}

static bool output_is_inside(const struct packet *packet) {
    return packet->output == packet->content + packet->content_size;
}

static void output_free(struct packet *packet) {
    if (!output_is_inside(packet))
        pool_give(pool_of(packet->inside), packet->output, packet->output_size);
}

static void packet_unlink(struct packet *packet) {
    struct inside *inside = packet->inside;

    if (packet->next != NULL)
        packet->next->previous = packet->previous;
    if (packet->previous != NULL)
        packet->previous->next = packet->next;
    else
        inside->packets = packet->next;
    inside->held -= packet->content_size + packet->output_size;
}

/* What is done with it may answer other requests, or end them. */
static void packet_drop(struct packet *packet) {
    struct pool *pool = pool_of(packet->inside);

    if (packet->sent != NULL)
        packet->sent(packet->sent_argument);
    identity_release(packet->identity);
    output_free(packet);
    pool_give(pool, packet, packet->block_size);
}

static void packet_free(struct packet *packet) {
    packet_unlink(packet);
    packet_drop(packet);
}

static bool packet_grow(struct packet *packet, size_t size) {
    uint8_t *output = size <= CONNECTION_OUTPUT_MAX ? pool_take(pool_of(packet->inside), size) : NULL;

    if (output == NULL)
        return false;
    server_frame_move(&packet->frame, output, size);
    output_free(packet);
    packet->inside->held += size - packet->output_size;
    packet->output = output;
    packet->output_size = size;
    return true;
}

static void hand(struct packet *packet) {
    packet->handed = true;
    packet->inside->busy++;
}

/* Back from where it was handed. False: the connection is closed, and the packet gone. */
static bool take_back(struct packet *packet) {
    struct inside *inside = packet->inside;

    assert(packet->handed);
    packet->handed = false;
    inside->busy--;
    if (!inside->closed)
        return true;
    packet_free(packet);
    settle(inside);
    return false;
}

/* ---- the end ---- */

static void opens_closed(struct closing *ending) {
    struct inside *inside = CONTAINER(struct inside, ending, ending);

    inside->busy--;
    settle(inside);
}

/* Also the rule by which a request was last refused with an error, since that is often why a client leaves. */
static void log_close(const struct inside *inside, const char *why) {
    const struct server_failure *failure = &inside->connection.server.failure;
    enum rule refused = inside->connection.server.refused.verdict.rule;
    char last[64] = "";

    if (refused != RULE_NONE)
        snprintf(last, sizeof last, " refused=%s", rule_text(refused)->id);
    if (failure->verdict.rule != RULE_NONE)
        log_warning("closed", "from=%s why=%s rule=%s section=%s command=%s message_id=%llu%s", inside->from, why,
                  rule_text(failure->verdict.rule)->id, rule_text(failure->verdict.rule)->section,
                  command_name(failure->command), (unsigned long long)failure->message_id, last);
    else
        log_event("closed", "from=%s why=%s%s", inside->from, why, last);
}

static void count_close(struct inside *inside) {
    const struct server *server = &inside->connection.server;
    struct status_counters *counters = &inside->station->counters;

    counters->closed_by_rule += server->failure.verdict.rule != RULE_NONE;
    counters->validations += server->negotiation.validation == VALIDATION_SAME;
    counters->validations_failed += server->negotiation.validation == VALIDATION_FAILED;
}

static void free_idle_packets(struct inside *inside) {
    struct packet *idle = NULL;

    for (struct packet *packet = inside->packets, *next; packet != NULL; packet = next) {
        next = packet->next;
        if (packet->handed)
            continue;
        packet_unlink(packet);
        packet->next = idle;
        idle = packet;
    }
    inside->out_first = inside->out_last = inside->incoming = NULL;
    inside->gathered_count = 0;
    while (idle != NULL) {
        struct packet *packet = idle;

        idle = packet->next;
        packet_drop(packet);
    }
}

static void join_half_open(struct inside *inside) {
    struct station *station = inside->station;

    inside->older = station->half_open_last;
    if (inside->older != NULL)
        inside_of(inside->older)->younger = &inside->connection;
    else
        station->half_open_first = &inside->connection;
    station->half_open_last = &inside->connection;
    atomic_fetch_add(&station->host->half_open, 1);
    inside->half_open = true;
}

static void leave_half_open(struct inside *inside) {
    struct station *station = inside->station;

    if (!inside->half_open)
        return;
    inside->half_open = false;
    *(inside->older != NULL ? &inside_of(inside->older)->younger : &station->half_open_first) = inside->younger;
    *(inside->younger != NULL ? &inside_of(inside->younger)->older : &station->half_open_last) = inside->older;
    atomic_fetch_sub(&station->host->half_open, 1);
}

static void close_connection(struct inside *inside, const char *why) {
    if (inside->closed)
        return;
    inside->closed = true;
    log_close(inside, why);
    count_close(inside);
    loop_watch_remove(inside->connection.loop, &inside->watch);
    loop_timer_clear(inside->connection.loop, &inside->timer);
    loop_timer_clear(inside->connection.loop, &inside->patience);
    if (bystander_of(inside) != NULL)
        bystander_of(inside)->ended(inside->guest, strcmp(why, "peer") == 0 || strcmp(why, "lost") == 0);
    close(inside->watch.descriptor);
    leave_half_open(inside);
    inside->busy++;
    inside->depth++;
    free_idle_packets(inside);
    inside->ending.done = opens_closed;
    dispatch_end(&inside->connection, NULL, NULL, &inside->ending);
    inside->depth--;
}

static void free_handles(const struct server_handles *handles) {
    mac_key_free(handles->mac);
    aead_key_free(handles->seal);
    aead_key_free(handles->open);
}

static void free_logon(struct inside *inside, uint64_t session_id) {
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

static void leave_station(struct inside *inside) {
    struct station *station = inside->station;

    if (inside->next != NULL)
        inside_of(inside->next)->previous = inside->previous;
    if (inside->previous != NULL)
        inside_of(inside->previous)->next = inside->next;
    else
        station->connections = inside->next;
    if (station->draining && station->connections == NULL)
        loop_stop(station->loop);
}

static void free_connection(struct inside *inside) {
    struct server *server = &inside->connection.server;
    struct host *host = inside->connection.host;

    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++)
        if (server->sessions[i].state != SERVER_SESSION_FREE)
            free_handles(&server->sessions[i].handles);
    while (inside->logons != NULL)
        free_logon(inside, inside->logons->session_id);
    if (inside->is_client)
        clients_leave(host->clients, server->negotiation.offered.client_guid);
    server_wipe(server);
    edition_release(&host->editions, inside->edition);
    leave_station(inside);
    atomic_fetch_sub(&host->addresses[host_address_slot(host, &inside->address)], 1);
    atomic_fetch_sub(&host->connections, 1);
    free(inside);
}

/* The last thing that a callback does: `inside` may be gone afterwards. */
static void settle(struct inside *inside) {
    if (inside->depth > 0)
        return;
    if (!inside->closed && inside->draining && inside->busy == 0 && inside->out_first == NULL && inside->gathered_count == 0)
        close_connection(inside, "stopping");
    if (inside->closed && inside->busy == 0)
        free_connection(inside);
}

/* ---- out ---- */

static ssize_t send_octets(const struct inside *inside, struct packet *packet) {
    int more = packet->part.size > 0 ? MSG_MORE : 0;
    ssize_t sent = send(inside->watch.descriptor, packet->out.data, packet->out.size, MSG_NOSIGNAL | more);

    if (sent > 0)
        packet->out = span_slice(packet->out, (size_t)sent, packet->out.size);
    return sent;
}

static ssize_t send_file(const struct inside *inside, struct packet *packet) {
    static const uint8_t zeros[4096];
    off_t offset = (off_t)packet->part.offset;
    ssize_t sent = sendfile(inside->watch.descriptor, packet->part.descriptor, &offset, packet->part.size);

    if (sent == 0) /* it was longer when the answer was begun */
        sent = send(inside->watch.descriptor, zeros, packet->part.size < sizeof zeros ? packet->part.size : sizeof zeros,
                    MSG_NOSIGNAL);
    if (sent > 0) {
        packet->part.offset += (uint64_t)sent;
        packet->part.size -= (size_t)sent;
    }
    return sent;
}

/* False: the peer takes no more at the moment, or the connection is closed. */
static bool send_packet(struct inside *inside, struct packet *packet) {
    while (packet->out.size > 0 || packet->part.size > 0) {
        ssize_t sent = packet->out.size > 0 ? send_octets(inside, packet) : send_file(inside, packet);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            close_connection(inside, "lost");
        if (sent < 0)
            return false;
        inside->unsent -= (size_t)sent;
        inside->station->counters.sent += (size_t)sent;
    }
    return true;
}

static void flush(struct inside *inside) {
    while (!inside->closed && inside->out_first != NULL) {
        struct packet *packet = inside->out_first;

        if (!send_packet(inside, packet))
            return;
        inside->out_first = packet->next_out;
        if (inside->out_first == NULL)
            inside->out_last = NULL;
        packet_free(packet);
    }
}

static void queue(struct inside *inside, struct packet *packet, struct span out) {
    packet->out = out;
    packet->next_out = NULL;
    inside->unsent += out.size + packet->part.size;
    if (inside->out_last != NULL)
        inside->out_last->next_out = packet;
    else
        inside->out_first = packet;
    inside->out_last = packet;
}

/* What is still in the socket of a request that is answered, since it was refused. */
static void discard_late(struct inside *inside, struct packet *packet) {
    while (inside->late > 0 && inside->late_packet == packet && !inside->closed) {
        ssize_t gone = recv(inside->watch.descriptor, packet->content, inside->late, MSG_TRUNC);

        if (gone > 0)
            inside->late -= (size_t)gone;
        else if (gone == 0 || errno != EINTR)
            close_connection(inside, "lost");
    }
}

/* What the bystander makes of an answer, in the packet's output. */
static struct span changed_answer(struct inside *inside, struct packet *packet, struct span out) {
    struct span changed = bystander_of(inside)->answers(inside->guest, &inside->connection.server, out);

    if (changed.size > packet->output_size && !packet_grow(packet, changed.size))
        return out;
    if (changed.size > 0)
        memmove(packet->output, changed.data, changed.size);
    return (struct span){packet->output, changed.size};
}

static void send_answer(struct inside *inside) {
    struct span out = server_output(&inside->connection.server);
    struct packet *packet = server_sent(&inside->connection.server)->owner;

    discard_late(inside, packet);
    if (inside->closed) /* and the packet gone */
        return;
    if (bystander_of(inside) != NULL && out.size > 0 && packet->part.size == 0)
        out = changed_answer(inside, packet, out);
    queue(inside, packet, out);
    if (inside->unsent >= CONNECTION_SEND_LEAST)
        flush(inside);
}

/* Is there room for another request of it? */
static bool takes_more(const struct inside *inside) {
    return inside->held < CONNECTION_HELD_MAX && inside->unsent < CONNECTION_UNSENT_MAX;
}

/* What is watched, and how long, follows from what is on its way. */
static void watch_again(struct inside *inside) {
    bool reads = takes_more(inside) && !inside->draining;
    bool waits = inside->out_first != NULL || inside->got > 0 || inside->incoming != NULL;
    uint32_t events = (reads ? EPOLLIN : 0u) | (inside->out_first != NULL ? EPOLLOUT : 0u);

    if (inside->closed)
        return;
    if (loop_watch_change(inside->connection.loop, &inside->watch, events) != 0)
        close_connection(inside, "watch");
    else if (inside->logged_on && waits && loop_timer_set(inside->connection.loop, &inside->timer, CONNECTION_STALL_MS) != 0)
        close_connection(inside, "memory");
    else if (inside->logged_on && !waits)
        loop_timer_clear(inside->connection.loop, &inside->timer);
}

/* ---- logons ---- */

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
    pump(inside);
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

static void note_logged_on(struct inside *inside) {
    if (inside->logged_on)
        return;
    inside->logged_on = true;
    leave_half_open(inside);
    loop_timer_clear(inside->connection.loop, &inside->timer);
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
    note_logged_on(inside);
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

    const struct auth_acceptor *acceptor = packet->logon->acceptor;

    packet->state = auth_acceptor_step(packet->logon->acceptor, server_token(&packet->frame), &packet->reply);
    if (packet->state == AUTH_COMPLETE)
        packet->identity_error = mapping_identity(packet->logon->config->map, account_of(acceptor), &packet->identity);
}

static void logon_finish(struct packet *packet) {
    struct inside *inside = packet->inside;

    if (!take_back(packet))
        return;
    if (server_body(&packet->frame, 8 + packet->reply.size) == NULL &&
        !packet_grow(packet, packet->output_size + packet->reply.size))
        refuse_logon(inside, packet);
    else
        take_token(inside, packet);
    pump(inside);
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

static void begin_logon(struct inside *inside, struct packet *packet) {
    packet->logon = find_logon(inside, packet->frame.request.session->id);
    packet->job = (struct job){.loop = inside->connection.loop, .work = step_logon, .done = logon_stepped};
    if (packet->logon != NULL && workers_submit(inside->connection.host->workers, &packet->job))
        hand(packet);
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

static void make_handles(struct inside *inside) {
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

/* ---- sessions of other connections ---- */

static void take_stranger(struct inside *inside, struct packet *packet) {
    struct server_stranger stranger = {0};
    struct session_record record = {0};
    enum mac_algorithm algorithm;

    if (sessions_find(inside->connection.host->sessions, packet->frame.request.session_id, &record) &&
        signing_algorithm_find(record.dialect, record.signing_algorithm, &algorithm))
        stranger.mac = mac_key_new(algorithm, (struct span){record.signing, sizeof record.signing});
    stranger.dialect = record.dialect;
    stranger.cipher = record.cipher;
    stranger.signing_algorithm = record.signing_algorithm;
    crypto_wipe(&record, sizeof record);
    server_take_stranger(&inside->connection.server, &packet->frame, stranger.mac != NULL ? &stranger : NULL);
    mac_key_free(stranger.mac);
}

/* ---- trees ---- */

static const struct share *find_share(struct host *host, struct span path) {
    uint8_t text[1024];
    struct writer writer = writer_over(text, sizeof text - 1);
    const struct host_config *config;
    const char *name;

    if (TEXT_UTF8_ROOM(path.size) >= sizeof text || !text_to_utf8(path, &writer))
        return NULL;
    text[writer.at] = '\0';
    name = strrchr((const char *)text, '\\');
    name = name != NULL ? name + 1 : (const char *)text;
    config = edition_current(&host->editions);
    for (unsigned i = 0; i < config->share_count; i++)
        if (strcasecmp(config->shares[i]->name, name) == 0)
            return config->shares[i];
    return NULL;
}

static void log_tree(const struct inside *inside, const struct packet *packet, const struct share *share, uint32_t status) {
    const struct logon *logon = packet->frame.request.session->owner;
    char user[LOG_VALUE_MAX], name[LOG_VALUE_MAX];

    log_event("tree", "from=%s user=%s share=%s status=0x%08x", inside->from,
              log_quote(logon != NULL ? logon->user : "", user), log_quote(share != NULL ? share->name : "?", name), status);
}

static void take_tree(struct inside *inside, struct packet *packet) {
    const struct share *share = find_share(inside->connection.host, server_path(&packet->frame));
    const struct server_session *session = packet->frame.request.session;
    struct server_share found;
    uint32_t status = STATUS_SUCCESS;

    if (share == NULL)
        status = STATUS_BAD_NETWORK_NAME;
    else if (!session->has_keys && !share->allow_guest)
        status = STATUS_ACCESS_DENIED;
    if (share != NULL)
        found = (struct server_share){
            .type = share->store != NULL ? SHARE_DISK : SHARE_PIPE,
            .maximal_access = share->read_only ? ACCESS_READ_ONLY : ACCESS_ALL,
            .encrypt = share->encrypt,
            .owner = (void *)(uintptr_t)share,
        };
    log_tree(inside, packet, share, status);
    server_take_tree(&inside->connection.server, &packet->frame, status, status == STATUS_SUCCESS ? &found : NULL);
}

/* ---- steps ---- */

static void ended(struct closing *ending) {
    struct packet *packet = CONTAINER(struct packet, ending, ending);
    struct inside *inside = packet->inside;

    if (!take_back(packet))
        return;
    server_ended(&inside->connection.server, &packet->frame);
    pump(inside);
}

static void end(struct inside *inside, struct packet *packet, bool only_tree) {
    hand(packet);
    packet->ending.done = ended;
    dispatch_end(&inside->connection, packet->frame.request.session, only_tree ? packet->frame.request.tree : NULL,
                 &packet->ending);
}

static void release(struct inside *inside) {
    struct server *server = &inside->connection.server;

    free_handles(&server->released.handles);
    free_logon(inside, server->released.id);
}

/* False: nothing is to be done at the moment. */
static bool step(struct inside *inside) {
    struct server *server = &inside->connection.server;
    enum server_want want = server_step(server);
    struct packet *packet;

    if (want == SERVER_RECEIVE)
        return false; /* and the frame before may be gone */
    packet = server_current(server) != NULL ? server_current(server)->owner : NULL;
    switch (want) {
    case SERVER_RECEIVE:
        return false;
    case SERVER_SEND:
        send_answer(inside);
        return true;
    case SERVER_ROOM:
        if (!packet_grow(packet, packet->output_size + packet->output_size / 2 + SERVER_ANSWER_MAX))
            close_connection(inside, "memory");
        return true;
    case SERVER_TOKEN:
        begin_logon(inside, packet);
        return true;
    case SERVER_KEYS:
        make_handles(inside);
        return true;
    case SERVER_STRANGER:
        take_stranger(inside, packet);
        return true;
    case SERVER_TREE:
        take_tree(inside, packet);
        return true;
    case SERVER_REQUEST:
        inside->station->counters.requests++;
        hand(packet);
        dispatch(&inside->connection, &packet->frame);
        return true;
    case SERVER_CANCEL:
        dispatch_cancel(&inside->connection, &packet->frame);
        return true;
    case SERVER_END_TREE:
    case SERVER_END_SESSION:
        end(inside, packet, want == SERVER_END_TREE);
        return true;
    case SERVER_RELEASE:
        release(inside);
        return true;
    case SERVER_CLOSED:
        flush(inside);
        close_connection(inside, "rule");
        return false;
    }
    return false;
}

/* Until nothing is to be done. What is sent may let a file go, and that answers its CLOSE. While the peer does not take what is
 * sent already, more answers may gather before they are signed. */
static void step_all(struct inside *inside) {
    do {
        server_expect(&inside->connection.server, inside->out_first != NULL);
        while (!inside->closed && step(inside))
            continue;
        flush(inside);
        server_expect(&inside->connection.server, inside->out_first != NULL);
    } while (!inside->closed && step(inside));
}

/* Steps until nothing is to be done; inside of a step, the one around it goes on. */
static void pump(struct inside *inside) {
    if (inside->depth > 0)
        return;
    inside->depth++;
    step_all(inside);
    watch_again(inside);
    inside->depth--;
    settle(inside);
}

/* ---- in ---- */

/* A frame is whole, and is served as far as that goes. */
static void serve_content(struct inside *inside, struct packet *packet) {
    server_receive(&inside->connection.server, &packet->frame);
    if (bystander_of(inside) != NULL)
        bystander_of(inside)->received(inside->guest, (struct span){packet->frame.content, packet->frame.size});
    while (!inside->closed && step(inside))
        continue;
}

/* In the order in which they came. With the connection they are all gone. */
static void serve_gathered(struct inside *inside) {
    struct packet *packets[CONNECTION_GATHERED_MAX];
    struct server_frame *frames[CONNECTION_GATHERED_MAX] = {0};
    unsigned count = inside->gathered_count;

    inside->gathered_count = 0;
    loop_timer_clear(inside->connection.loop, &inside->patience);
    for (unsigned i = 0; i < count; i++) {
        packets[i] = inside->gathered[i];
        frames[i] = &packets[i]->frame;
    }
    if (count > 1)
        server_check_ahead(&inside->connection.server, frames, count);
    for (unsigned i = 0; i < count && !inside->closed; i++)
        serve_content(inside, packets[i]);
}

static bool is_gathered(struct inside *inside, const struct packet *packet) {
    return packet->content_size >= CONNECTION_GATHER_LEAST &&
           server_may_check_ahead(&inside->connection.server, &packet->frame);
}

static void gather(struct inside *inside, struct packet *packet) {
    inside->gathered[inside->gathered_count++] = packet;
    if (inside->gathered_count == CONNECTION_GATHERED_MAX)
        serve_gathered(inside);
}

/* Nothing more is there at the moment. What was gathered waits only while the next frame is on its way. */
static void stop_gathering(struct inside *inside) {
    bool comes = inside->incoming != NULL || inside->got > 0;

    if (inside->closed || inside->gathered_count == 0)
        return;
    if (!comes || !takes_more(inside) || inside->draining ||
        (inside->patience.index == 0 &&
         loop_timer_set(inside->connection.loop, &inside->patience, CONNECTION_GATHER_MS) != 0))
        serve_gathered(inside);
}

static void gathered_enough(struct loop_timer *timer) {
    struct inside *inside = CONTAINER(struct inside, patience, timer);

    inside->depth++;
    serve_gathered(inside);
    inside->depth--;
    pump(inside);
}

/* Of a long frame the head is looked at first; a bystander is shown all of it at once. */
static size_t first_goal(const struct inside *inside, size_t size) {
    return size >= CONNECTION_LATE_LEAST && bystander_of(inside) == NULL ? SERVER_LATE_HEAD : size;
}

/* What was asked before has its answer first. */
static void close_after_answers(struct inside *inside, const char *why) {
    serve_gathered(inside);
    server_expect(&inside->connection.server, false);
    step_all(inside);
    close_connection(inside, why);
}

/* The header is there: false where the connection was closed. */
static bool begin_content(struct inside *inside) {
    struct frame frame;

    inside->got = 0;
    if (!frame_decode((struct span){inside->header, sizeof inside->header}, &frame))
        frame.type = 0xff;
    if (frame.type == FRAME_KEEP_ALIVE && frame.length == 0)
        return true;
    if (frame.type != FRAME_MESSAGE || frame.length > server_frame_max(&inside->connection.server)) {
        close_after_answers(inside, "frame");
        return false;
    }
    inside->incoming = packet_new(inside, frame.length, SERVER_OUTPUT_LEAST);
    if (inside->incoming == NULL)
        close_connection(inside, "memory");
    else
        inside->incoming->goal = first_goal(inside, frame.length);
    return inside->incoming != NULL;
}

static void take_content(struct inside *inside) {
    struct packet *packet = inside->incoming;

    inside->incoming = NULL;
    inside->got = 0;
    inside->station->counters.received += packet->content_size;
    server_frame_init(&packet->frame, packet->content, packet->content_size, packet->output, packet->output_size, packet);
    if (is_gathered(inside, packet)) {
        gather(inside, packet);
        return;
    }
    serve_gathered(inside);
    if (!inside->closed)
        serve_content(inside, packet);
}

/* Lets the loop sleep until there are so many octets, or more than that cannot come. */
static void wait_for(struct inside *inside, size_t least) {
    int octets = (int)least;

    inside->incoming->waits = least > 1;
    if (setsockopt(inside->watch.descriptor, SOL_SOCKET, SO_RCVLOWAT, &octets, sizeof octets) < 0)
        close_connection(inside, "lost");
}

/* The whole frame is received to where it belongs, as it comes. */
static void receive_all(struct inside *inside) {
    inside->incoming->goal = inside->incoming->content_size;
    if (inside->incoming->waits)
        wait_for(inside, 1);
}

/* The head is there. What may come late is left in the socket, where the whole of it is, so that no half of a request is
 * served. It is waited for once: what the socket has no room for is received. False: no more for now. */
static bool head_came(struct inside *inside) {
    struct packet *packet = inside->incoming;
    size_t rest = packet->content_size - inside->got;
    int there = 0;
    bool may_be_late = server_may_come_late((struct span){packet->content, inside->got}) &&
                       ioctl(inside->watch.descriptor, FIONREAD, &there) == 0;

    if (may_be_late && (size_t)there < rest && !packet->waits) {
        wait_for(inside, rest);
        return false;
    }
    receive_all(inside);
    if (inside->closed || !may_be_late || (size_t)there < rest)
        return !inside->closed;
    serve_gathered(inside);
    if (inside->closed)
        return false;
    inside->late = rest;
    inside->late_packet = packet;
    take_content(inside);
    assert(inside->closed || inside->late == 0);
    return !inside->closed;
}

/* As much as there is, up to the end of header, head or content. False: no more for now. */
static bool receive(struct inside *inside) {
    struct packet *packet = inside->incoming;
    uint8_t *place = packet != NULL ? packet->content : inside->header;
    size_t size = packet != NULL ? packet->goal : sizeof inside->header;
    ssize_t got = 0;

    if (inside->got < size) {
        got = recv(inside->watch.descriptor, place + inside->got, size - inside->got, 0);
        if (got == 0)
            close_after_answers(inside, "peer");
        else if (got < 0 && errno != EAGAIN && errno != EINTR)
            close_connection(inside, "lost");
        if (got <= 0)
            return false;
    }
    inside->got += (size_t)got;
    if (inside->got < size)
        return true;
    if (packet == NULL)
        return begin_content(inside);
    if (packet->goal < packet->content_size)
        return head_came(inside);
    take_content(inside);
    return !inside->closed;
}

static void ready(struct loop_watch *watch, uint32_t events) {
    struct inside *inside = CONTAINER(struct inside, watch, watch);

    inside->depth++;
    if (events & EPOLLOUT)
        flush(inside);
    server_expect(&inside->connection.server, true);
    for (unsigned i = 0; i < 2 * CONNECTION_FRAMES_A_TURN && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0; i++)
        if (inside->closed || !takes_more(inside) || !receive(inside))
            break;
    stop_gathering(inside);
    if (!inside->closed && (events & (EPOLLHUP | EPOLLERR)) != 0)
        close_connection(inside, "lost");
    step_all(inside);
    watch_again(inside);
    inside->depth--;
    settle(inside);
}

static void expired(struct loop_timer *timer) {
    struct inside *inside = CONTAINER(struct inside, timer, timer);

    if (inside->logged_on && inside->incoming != NULL && inside->incoming->waits) { /* it comes slowly: as it comes */
        receive_all(inside);
        watch_again(inside);
    } else
        close_connection(inside, inside->logged_on ? "stalled" : "no-logon");
    settle(inside);
}

/* ---- the beginning ---- */

static uint64_t filetime_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + FILETIME_EPOCH_S) * 10000000u + (uint64_t)now.tv_nsec / 100u;
}

static bool init_server(struct inside *inside) {
    struct host *host = inside->connection.host;
    uint64_t number = inside->number = atomic_fetch_add(&host->connections_made, 1);
    struct server_setup setup = {.policy = &inside->edition->config->policy, .session_ids = (host->session_base + number) << 16};

    setup.fresh.system_time = filetime_now();
    setup.fresh.security_buffer = (struct span){inside->edition->hint, inside->edition->hint_size};
    memcpy(setup.fresh.server_guid, host->guid, sizeof host->guid);
    if (!crypto_random(setup.fresh.salt, sizeof setup.fresh.salt))
        return false;
    server_init(&inside->connection.server, &setup);
    return true;
}

static bool begin_server(struct inside *inside) {
    struct host *host = inside->connection.host;

    inside->edition = edition_hold(&host->editions);
    if (init_server(inside))
        return true;
    edition_release(&host->editions, inside->edition);
    return false;
}

/* Where there are too many the oldest go: one who logs on at once is done before it is among those, however many come
 * that do not. */
static void make_room(struct station *station) {
    struct host *host = station->host;
    unsigned most = edition_current(&host->editions)->limits.half_open;

    while (atomic_load(&host->half_open) > most && station->half_open_first != station->half_open_last) {
        struct inside *oldest = inside_of(station->half_open_first);

        atomic_fetch_add(&host->refused_half_open, 1);
        close_connection(oldest, "half-open");
        settle(oldest);
    }
}

static void begin(struct loop_task *task) {
    struct inside *inside = CONTAINER(struct inside, start, task);
    struct station *station = inside->station;

    inside->next = station->connections;
    if (inside->next != NULL)
        inside_of(inside->next)->previous = &inside->connection;
    station->connections = &inside->connection;
    inside->began_ms = loop_now_ms(station->loop);
    station->counters.connections++;
    log_event("connected", "from=%s", inside->from);
    join_half_open(inside);
    make_room(station);
    if (loop_watch_add(station->loop, &inside->watch) != 0 ||
        loop_timer_set(station->loop, &inside->timer, inside->edition->config->limits.logon_ms) != 0)
        close_connection(inside, "memory");
    inside->draining = station->draining;
    settle(inside);
}

bool connection_start(struct station *station, int descriptor, const struct sockaddr_storage *address) {
    struct inside *inside = calloc(1, sizeof *inside);
    struct host *host = station->host;

    if (inside == NULL || (inside->connection.host = host, !begin_server(inside))) {
        close(descriptor);
        free(inside);
        return false;
    }
    inside->connection.open_limit = inside->edition->config->limits.open_files;
    inside->connection.loop = station->loop;
    inside->connection.pool = &station->pool;
    inside->connection.conduits = &station->conduits;
    inside->connection.inside = inside;
    inside->station = station;
    inside->address = *address;
    inside->watch = (struct loop_watch){descriptor, EPOLLIN, ready};
    inside->timer.expired = expired;
    inside->patience.expired = gathered_enough;
    inside->start.run = begin;
    host_address_text(address, inside->from);
    if (bystander_of(inside) != NULL)
        inside->guest =
            bystander_of(inside)->begin(host->setup.bystander->context, &inside->connection.server, descriptor);
    atomic_fetch_add(&host->connections, 1);
    atomic_fetch_add(&host->addresses[host_address_slot(host, address)], 1);
    loop_post(station->loop, &inside->start);
    return true;
}

void connections_drain(struct station *station, bool now) {
    struct connection *next;

    for (struct connection *connection = station->connections; connection != NULL; connection = next) {
        struct inside *inside = inside_of(connection);

        next = inside->next;
        inside->draining = true;
        inside->depth++;
        if (now)
            close_connection(inside, "stopping");
        else
            dispatch_cancel_all(connection);
        inside->depth--;
        pump(inside);
    }
    if (station->connections == NULL)
        loop_stop(station->loop);
}

/* ---- for the status ---- */

static void copy_text(char *to, size_t size, const char *from) {
    snprintf(to, size, "%.*s", (int)size - 1, from);
}

static void tell_sessions(const struct server *server, struct status_connection *row) {
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++) {
        const struct server_session *session = &server->sessions[i];
        const struct logon *logon = session->owner;

        if (session->state != SERVER_SESSION_VALID && session->state != SERVER_SESSION_EXPIRED)
            continue;
        if (row->sessions++ > 0)
            continue;
        row->guest = session->is_guest || session->is_anonymous;
        row->signing_required = session->signing_required;
        row->encrypted = session->encrypt;
        if (logon != NULL)
            copy_text(row->user, sizeof row->user, logon->user);
    }
    for (unsigned i = 0; i < SERVER_TREES_MAX; i++)
        row->trees += server->trees[i].id != 0;
}

static void tell_connection(const struct inside *inside, struct status_connection *row) {
    const struct server *server = &inside->connection.server;
    const struct negotiation *negotiation = &server->negotiation;
    bool negotiated = negotiation->stage == NEGOTIATION_DONE;

    *row = (struct status_connection){
        .number = inside->number,
        .dialect = negotiated ? negotiation->agreed.dialect : 0,
        .signing = negotiation->agreed.signing_algorithm,
        .cipher = negotiation->agreed.cipher,
        .logged_on = inside->logged_on,
        .validated = negotiation->validation == VALIDATION_SAME,
        .preauth = negotiated && negotiation->agreed.dialect == SMB2_DIALECT_311 && inside->logged_on,
        .open_files = inside->connection.open_count,
        .seconds = (loop_now_ms(inside->connection.loop) - inside->began_ms) / 1000,
    };
    copy_text(row->from, sizeof row->from, inside->from);
    tell_sessions(server, row);
    row->preauth = row->preauth && !row->guest;
}

static void tell_files(const struct inside *inside, struct status_part *part) {
    const struct open *opens = inside->connection.opens;
    unsigned told = 0;

    if (part->files != NULL)
        told = opens_tell(opens, inside->number, part->files + part->file_count, STATUS_FILES_MAX - part->file_count);
    part->file_count += told;
    part->files_untold += inside->connection.open_count - told;
}

void connections_tell(const struct station *station, struct status_part *part) {
    unsigned count = 0;

    part->counters = station->counters;
    for (struct connection *at = station->connections; at != NULL; at = inside_of(at)->next)
        count++;
    part->connections = calloc(count > 0 ? count : 1, sizeof *part->connections);
    part->files = calloc(STATUS_FILES_MAX, sizeof *part->files);
    for (struct connection *at = station->connections; at != NULL; at = inside_of(at)->next) {
        const struct server *server = &at->server;

        part->counters.validations += server->negotiation.validation == VALIDATION_SAME && !inside_of(at)->closed;
        if (part->connections != NULL)
            tell_connection(inside_of(at), &part->connections[part->connection_count++]);
        tell_files(inside_of(at), part);
    }
}

/* ---- for the commands ---- */

size_t connection_late(const struct server_frame *frame) {
    const struct packet *packet = frame->owner;

    return packet->inside->late_packet == packet ? packet->inside->late : 0;
}

size_t connection_pour(struct connection *connection, struct server_frame *frame, const struct conduit *conduit) {
    struct inside *inside = connection->inside;
    unsigned how = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    ssize_t moved = splice(inside->watch.descriptor, NULL, conduit->in, NULL, connection_late(frame), how);

    if (moved <= 0)
        return 0;
    inside->late -= (size_t)moved;
    return (size_t)moved;
}

bool connection_receive_late(struct connection *connection, struct server_frame *frame) {
    struct inside *inside = connection->inside;
    struct packet *packet = frame->owner;

    while (connection_late(frame) > 0) {
        uint8_t *place = packet->content + packet->content_size - inside->late;
        ssize_t got = recv(inside->watch.descriptor, place, inside->late, 0);

        if (got > 0)
            inside->late -= (size_t)got;
        else if (got == 0 || errno != EINTR) {
            close_connection(inside, "lost");
            return false;
        }
    }
    return true;
}

uint8_t *connection_body(struct connection *connection, struct server_frame *frame, size_t size) {
    uint8_t *body = server_body(frame, size);
    struct packet *packet = frame->owner;

    (void)connection;
    if (body != NULL || !packet_grow(packet, frame->end + size + SERVER_OUTPUT_LEAST))
        return body;
    return server_body(frame, size);
}

void connection_answer(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size) {
    if (!take_back(frame->owner))
        return;
    server_respond(&connection->server, frame, status, body_size);
    pump(connection->inside);
}

void connection_answer_file(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size,
                            const struct file_part *part, void (*sent)(void *argument), void *argument) {
    struct packet *packet = frame->owner;

    packet->part = *part;
    packet->sent = sent;
    packet->sent_argument = argument;
    if (!take_back(packet))
        return;
    server_respond_trailing(&connection->server, frame, status, body_size, part->size);
    pump(connection->inside);
}

void connection_refuse(struct connection *connection, struct server_frame *frame, uint32_t status) {
    if (!take_back(frame->owner))
        return;
    server_refuse(&connection->server, frame, status, (struct span){NULL, 0});
    pump(connection->inside);
}

static void send_extra(struct inside *inside, struct packet *packet, struct span out) {
    if (out.size == 0) {
        packet_free(packet);
        return;
    }
    queue(inside, packet, out);
    pump(inside);
}

void connection_pend(struct connection *connection, struct server_frame *frame) {
    struct inside *inside = connection->inside;
    size_t size = SERVER_INTERIM_SIZE + frame->end;
    struct packet *packet = inside->closed ? NULL : packet_new(inside, 0, size);

    if (packet != NULL) /* without memory the client waits without being told */
        send_extra(inside, packet, server_pend(&connection->server, frame, packet->output, size));
}

void connection_notify(struct connection *connection, struct server_session *session, const struct server_tree *tree,
                       uint16_t command, const void *body, size_t body_size) {
    struct inside *inside = connection->inside;
    size_t before = SERVER_HEADROOM + SMB2_HEADER_SIZE;
    struct packet *packet = inside->closed ? NULL : packet_new(inside, 0, before + body_size);

    if (packet == NULL)
        return;
    memcpy(packet->output + before, body, body_size);
    send_extra(inside, packet, server_notify(&connection->server, session, tree, command, packet->output, body_size));
}

struct identity *connection_identity(const struct server_session *session) {
    const struct logon *logon = session->owner;

    return logon != NULL ? logon->identity : NULL;
}

struct watcher *connection_watcher(struct connection *connection) {
    struct station *station = inside_of(connection)->station;

    if (station->watcher == NULL)
        station->watcher = watcher_new(station->loop, host_workers(station->host));
    return station->watcher;
}

bool connection_interface(struct connection *connection, struct interface *interface) {
    const struct inside *inside = connection->inside;

    return !inside->closed && interface_of(inside->watch.descriptor, interface);
}
