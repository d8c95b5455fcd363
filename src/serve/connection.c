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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve/connection_parts.h"
#include "serve/log.h"
#include "store/identity.h"
#include "store/watch.h"
#include "wire/names.h"
#include "wire/text.h"

/* Octets of frames, in and out, that a connection may hold before it is read from no more. */
#define CONNECTION_HELD_MAX (32u * 1024u * 1024u)
/* Without progress, while a frame is half here or an answer is not taken. */
#define CONNECTION_STALL_MS 60000u
/* Octets of a signed request that waits for others to be checked with; and milliseconds that are waited for the next one to be
 * whole, once it has begun to come. */
#define CONNECTION_GATHER_LEAST 4096u
#define CONNECTION_GATHER_MS    10u
/* Frames that one turn takes from a connection, so that others are served in between. */
#define CONNECTION_FRAMES_A_TURN 32
/* Octets of a WRITE from which on its data may stay in the socket until it is clear where they go. */
#define CONNECTION_LATE_LEAST 65536u
#define ACCESS_ALL       0x001f01ffu
#define ACCESS_READ_ONLY 0x001200a9u
#define SHARE_DISK       1u
#define SHARE_PIPE       2u
/* Seconds from 1601 to 1970. */
#define FILETIME_EPOCH_S 11644473600u

/* ---- the end ---- */

static void opens_closed(struct closing *ending) {
    struct inside *inside = CONTAINER(struct inside, ending, ending);

    inside->busy--;
    connection_settle(inside);
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

void connection_logged_on(struct inside *inside) {
    if (inside->logged_on)
        return;
    inside->logged_on = true;
    leave_half_open(inside);
    loop_timer_clear(inside->connection.loop, &inside->timer);
}

void connection_close(struct inside *inside, const char *why) {
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
        logon_free(inside, inside->logons->session_id);
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
void connection_settle(struct inside *inside) {
    if (inside->depth > 0)
        return;
    if (!inside->closed && inside->draining && inside->busy == 0 && inside->out_first == NULL && inside->gathered_count == 0)
        connection_close(inside, "stopping");
    if (inside->closed && inside->busy == 0)
        free_connection(inside);
}

/* ---- what is watched ---- */

/* Is there room for another request of it? */
static bool takes_more(const struct inside *inside) {
    return inside->held < CONNECTION_HELD_MAX && inside->unsent < CONNECTION_SEND_LEAST;
}

/* What is watched, and how long, follows from what is on its way. */
static void watch_again(struct inside *inside) {
    bool reads = takes_more(inside) && !inside->draining;
    bool waits = inside->out_first != NULL || inside->got > 0 || inside->incoming != NULL;
    uint32_t events = (reads ? EPOLLIN : 0u) | (inside->out_first != NULL ? EPOLLOUT : 0u);

    if (inside->closed)
        return;
    if (loop_watch_change(inside->connection.loop, &inside->watch, events) != 0)
        connection_close(inside, "watch");
    else if (inside->logged_on && waits && loop_timer_set(inside->connection.loop, &inside->timer, CONNECTION_STALL_MS) != 0)
        connection_close(inside, "memory");
    else if (inside->logged_on && !waits)
        loop_timer_clear(inside->connection.loop, &inside->timer);
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

    if (!packet_take_back(packet))
        return;
    server_ended(&inside->connection.server, &packet->frame);
    connection_pump(inside);
}

static void end(struct inside *inside, struct packet *packet, bool only_tree) {
    packet_hand(packet);
    packet->ending.done = ended;
    dispatch_end(&inside->connection, packet->frame.request.session, only_tree ? packet->frame.request.tree : NULL,
                 &packet->ending);
}

static void release(struct inside *inside) {
    struct server *server = &inside->connection.server;

    free_handles(&server->released.handles);
    logon_free(inside, server->released.id);
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
        connection_send_answer(inside);
        return true;
    case SERVER_ROOM:
        if (!packet_grow(packet, packet->output_size + packet->output_size / 2 + SERVER_ANSWER_MAX))
            connection_close(inside, "memory");
        return true;
    case SERVER_TOKEN:
        logon_begin(inside, packet);
        return true;
    case SERVER_KEYS:
        logon_make_handles(inside);
        return true;
    case SERVER_STRANGER:
        take_stranger(inside, packet);
        return true;
    case SERVER_TREE:
        take_tree(inside, packet);
        return true;
    case SERVER_REQUEST:
        inside->station->counters.requests++;
        packet_hand(packet);
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
        connection_flush(inside);
        connection_close(inside, "rule");
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
        connection_flush(inside);
        server_expect(&inside->connection.server, inside->out_first != NULL);
    } while (!inside->closed && step(inside));
}

/* Steps until nothing is to be done; inside of a step, the one around it goes on. */
void connection_pump(struct inside *inside) {
    if (inside->depth > 0)
        return;
    inside->depth++;
    step_all(inside);
    watch_again(inside);
    inside->depth--;
    connection_settle(inside);
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
    connection_pump(inside);
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
    connection_close(inside, why);
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
        connection_close(inside, "memory");
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
        connection_close(inside, "lost");
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
            connection_close(inside, "lost");
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
        connection_flush(inside);
    server_expect(&inside->connection.server, true);
    for (unsigned i = 0; i < 2 * CONNECTION_FRAMES_A_TURN && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0; i++)
        if (inside->closed || !takes_more(inside) || !receive(inside))
            break;
    stop_gathering(inside);
    if (!inside->closed && (events & (EPOLLHUP | EPOLLERR)) != 0)
        connection_close(inside, "lost");
    step_all(inside);
    watch_again(inside);
    inside->depth--;
    connection_settle(inside);
}

static void expired(struct loop_timer *timer) {
    struct inside *inside = CONTAINER(struct inside, timer, timer);

    if (inside->logged_on && inside->incoming != NULL && inside->incoming->waits) { /* it comes slowly: as it comes */
        receive_all(inside);
        watch_again(inside);
    } else
        connection_close(inside, inside->logged_on ? "stalled" : "no-logon");
    connection_settle(inside);
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
        connection_close(oldest, "half-open");
        connection_settle(oldest);
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
        connection_close(inside, "memory");
    if (station->tidying.index == 0)
        loop_timer_set(station->loop, &station->tidying, HOST_TIDY_MS);
    inside->draining = station->draining;
    connection_settle(inside);
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
            connection_close(inside, "stopping");
        else
            dispatch_cancel_all(connection);
        inside->depth--;
        connection_pump(inside);
    }
    if (station->connections == NULL)
        loop_stop(station->loop);
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
            connection_close(inside, "lost");
            return false;
        }
    }
    return true;
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
