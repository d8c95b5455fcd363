#include "relay/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "relay/lane.h"

/* Connections accepted in one turn. */
#define ACCEPTS_MAX 64u

struct connection;

struct end_watch {
    struct loop_watch watch;
    struct connection *connection;
    bool added;
};

struct relay {
    const struct relay_config *config;
    struct loop *loop;
    struct loop_watch listener, signals;
    bool listens;
    struct connection *connections;
    uint64_t came, over;
    unsigned open;
    uint8_t *room, *spare;
};

struct connection {
    struct relay *relay;
    struct connection *next, *before;
    uint64_t number;
    bool connecting;
    struct end_watch ends[2]; /* by direction: the client's socket, the server's */
    struct lane lanes[2];     /* by the end that they come from */
    struct passage passage;
    struct recorded recorded[2];
    struct sockaddr_storage client;
    struct loop_timer idle;
    uint64_t active_ms; /* of the last time that a socket was ready */
};

const char *relay_address_text(const struct sockaddr_storage *address, char text[RELAY_ADDRESS_MAX]) {
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(text, RELAY_ADDRESS_MAX, "%s:%u", host, ntohs(four->sin_port));
    } else {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(text, RELAY_ADDRESS_MAX, "[%s]:%u", host, ntohs(six->sin6_port));
    }
    return text;
}

static socklen_t address_size(const struct sockaddr_storage *address) {
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* ---- the end of a connection ---- */

static void tell_end(const struct connection *connection, int error) {
    const struct relay_config *config = connection->relay->config;
    const struct passage *passage = &connection->passage;
    char client[RELAY_ADDRESS_MAX];
    struct relay_end end = {
        .number = connection->number,
        .client = relay_address_text(&connection->client, client),
        .refused = error != 0,
        .error = error,
        .passage = passage,
        .prediction = predict(&passage->facts),
        .octets = {connection->lanes[0].written, connection->lanes[1].written},
    };

    end.judgement = judge(&passage->facts, &end.prediction, &passage->ending);
    config->ended(&end, config->context);
}

static void listen_again(struct relay *relay) {
    if (!relay->listens && loop_watch_add(relay->loop, &relay->listener) == 0)
        relay->listens = true;
}

static void connection_free(struct connection *connection) {
    struct relay *relay = connection->relay;

    for (unsigned i = 0; i < 2; i++) {
        if (connection->ends[i].added)
            loop_watch_remove(relay->loop, &connection->ends[i].watch);
        if (connection->ends[i].watch.descriptor >= 0)
            close(connection->ends[i].watch.descriptor);
        lane_free(&connection->lanes[i], relay->loop);
    }
    loop_timer_clear(relay->loop, &connection->idle);
    if (connection->before != NULL)
        connection->before->next = connection->next;
    else
        relay->connections = connection->next;
    if (connection->next != NULL)
        connection->next->before = connection->before;
    relay->open--;
    free(connection);
}

static void connection_over(struct connection *connection, int error) {
    struct relay *relay = connection->relay;

    tell_end(connection, error);
    connection_free(connection);
    if (relay->config->recorder != NULL)
        recorder_flush(relay->config->recorder);
    relay->over++;
    listen_again(relay);
    if (relay->config->stop_after > 0 && relay->over >= relay->config->stop_after)
        loop_stop(relay->loop);
}

static void make_reset(int descriptor) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* `culprit` reset its side, and the other one is reset by the relay; or both, where it is NULL. */
static void reset_ends(struct connection *connection, const enum direction *culprit, const char *comment) {
    struct recorder *recorder = connection->relay->config->recorder;

    for (unsigned end = 0; end < 2; end++) {
        /* On the client's side the relay is the server, and the other way round. */
        enum direction relay_end = direction_other(end);
        enum direction resetter = culprit != NULL && end == (unsigned)*culprit ? *culprit : relay_end;

        make_reset(connection->ends[end].watch.descriptor);
        if (recorder != NULL)
            recorder_reset(recorder, &connection->recorded[end], resetter, comment);
    }
    connection_over(connection, 0);
}

static void connection_reset(struct connection *connection, bool by_relay, enum direction culprit) {
    if (by_relay)
        passage_reset(&connection->passage);
    else
        passage_closed(&connection->passage, culprit);
    reset_ends(connection, by_relay ? NULL : &culprit, by_relay ? "smbproof relay reset this" : "");
}


/* ---- running ---- */

static void watch_end(struct connection *connection, unsigned end) {
    struct end_watch *watch = &connection->ends[end];
    const struct lane *reads = &connection->lanes[end], *writes = &connection->lanes[1 - end];
    bool readable = !connection->connecting && !reads->finished && !reads->waits && !reads->blocked;
    uint32_t events = readable ? EPOLLIN : 0;

    if (writes->blocked || (connection->connecting && end == FROM_SERVER))
        events |= EPOLLOUT;
    if (events == 0 && watch->added) {
        loop_watch_remove(connection->relay->loop, &watch->watch);
        watch->added = false;
    } else if (events != 0 && watch->added) {
        loop_watch_change(connection->relay->loop, &watch->watch, events);
    } else if (events != 0) {
        watch->watch.events = events;
        watch->added = loop_watch_add(connection->relay->loop, &watch->watch) == 0;
    }
}

static void connection_run(struct connection *connection) {
    struct relay *relay = connection->relay;
    const struct lane_world world = {relay->loop,           &connection->passage, relay->config->recorder,
                                     connection->recorded, relay->room,          &relay->spare};
    enum direction culprit = FROM_CLIENT;

    /* The client's lane first: it may make an answer, which the server's lane takes. */
    for (unsigned from = 0; from < 2; from++) {
        enum lane_state state = lane_run(&connection->lanes[from], &world, &culprit);

        if (state != LANE_WAITS) {
            connection_reset(connection, state == LANE_RESET, culprit);
            return;
        }
    }
    if (connection->lanes[0].shut && connection->lanes[1].shut) {
        connection_over(connection, 0);
        return;
    }
    watch_end(connection, FROM_CLIENT);
    watch_end(connection, FROM_SERVER);
}

static struct connection *connection_of(struct loop_timer *timer, enum direction from) {
    struct lane *lane = (struct lane *)(void *)((char *)timer - offsetof(struct lane, timer));

    lane_go_on(lane);
    return (struct connection *)(void *)((char *)(lane - from) - offsetof(struct connection, lanes));
}

static void client_lane_expired(struct loop_timer *timer) {
    connection_run(connection_of(timer, FROM_CLIENT));
}

static void server_lane_expired(struct loop_timer *timer) {
    connection_run(connection_of(timer, FROM_SERVER));
}

/* ---- the beginning of a connection ---- */

static void endpoint_of(int descriptor, bool peer, struct sockaddr_storage *address) {
    socklen_t size = sizeof *address;

    memset(address, 0, sizeof *address);
    if (peer)
        getpeername(descriptor, (struct sockaddr *)address, &size);
    else
        getsockname(descriptor, (struct sockaddr *)address, &size);
}

static const struct sockaddr_storage *target_of(const struct connection *connection,
                                                struct sockaddr_storage *original) {
    if (!connection->relay->config->transparent)
        return &connection->relay->config->target;
    endpoint_of(connection->ends[FROM_CLIENT].watch.descriptor, false, original);
    return original;
}

static void record_beginning(struct connection *connection, bool connected) {
    struct recorder *recorder = connection->relay->config->recorder;
    struct sockaddr_storage here, there;

    if (recorder == NULL)
        return;
    endpoint_of(connection->ends[FROM_SERVER].watch.descriptor, false, &here);
    if (connected)
        recorder_connect(recorder, &connection->recorded[FROM_SERVER], FROM_SERVER, &here,
                         target_of(connection, &there));
    else
        recorder_refuse(recorder, &connection->recorded[FROM_SERVER], FROM_SERVER, &here,
                        target_of(connection, &there));
}

/* The server refuses the connection, or does not say anything. */
static void not_connected(struct connection *connection, int error) {
    struct recorder *recorder = connection->relay->config->recorder;

    record_beginning(connection, false);
    make_reset(connection->ends[FROM_CLIENT].watch.descriptor);
    if (recorder != NULL)
        recorder_reset(recorder, &connection->recorded[FROM_CLIENT], FROM_SERVER, "");
    connection_over(connection, error);
}

/* Set once for each span of silence that may be one too long, not at each octet. */
static void idle_expired(struct loop_timer *timer) {
    struct connection *connection = (void *)((char *)timer - offsetof(struct connection, idle));
    struct relay *relay = connection->relay;
    uint64_t allowed_ms = 1000ull * relay->config->idle_s, silent_ms = loop_now_ms(relay->loop) - connection->active_ms;

    if (silent_ms < allowed_ms)
        loop_timer_set(relay->loop, timer, allowed_ms - silent_ms);
    else if (connection->connecting)
        not_connected(connection, -ETIMEDOUT);
    else
        reset_ends(connection, NULL, "smbproof relay closed this: no traffic for too long");
}

/* Without memory for the timer the connection lives on for as long as its ends want. */
static void watch_idleness(struct connection *connection) {
    struct relay *relay = connection->relay;

    connection->active_ms = loop_now_ms(relay->loop);
    connection->idle.expired = idle_expired;
    if (relay->config->idle_s > 0)
        loop_timer_set(relay->loop, &connection->idle, 1000ull * relay->config->idle_s);
}

static void connected(struct connection *connection) {
    int error = 0;
    socklen_t size = sizeof error;

    getsockopt(connection->ends[FROM_SERVER].watch.descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        not_connected(connection, -error);
        return;
    }
    connection->connecting = false;
    record_beginning(connection, true);
    connection_run(connection);
}

static void end_ready(struct loop_watch *watch, uint32_t events) {
    struct connection *connection = ((struct end_watch *)(void *)watch)->connection;

    (void)events;
    connection->active_ms = loop_now_ms(connection->relay->loop);
    if (connection->connecting)
        connected(connection);
    else
        connection_run(connection);
}

static int make_transparent(int descriptor, int family) {
    int one = 1;

    return family == AF_INET ? setsockopt(descriptor, SOL_IP, IP_TRANSPARENT, &one, sizeof one)
                             : setsockopt(descriptor, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one);
}

/* With the client's own address and port, where nobody shall see that there is a relay. */
static int bind_as_client(int descriptor, const struct sockaddr_storage *client) {
    int one = 1;

    if (make_transparent(descriptor, client->ss_family) != 0)
        return -1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(descriptor, (const struct sockaddr *)client, address_size(client));
}

static int connect_on(struct connection *connection) {
    struct sockaddr_storage original;
    const struct sockaddr_storage *target = target_of(connection, &original);
    int descriptor = socket(target->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (descriptor < 0)
        return -errno;
    connection->ends[FROM_SERVER].watch.descriptor = descriptor;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connection->relay->config->transparent && bind_as_client(descriptor, &connection->client) != 0)
        return -errno;
    if (connect(descriptor, (const struct sockaddr *)target, address_size(target)) != 0 && errno != EINPROGRESS)
        return -errno;
    return 0;
}

static bool is_selected(const struct relay_config *config, uint64_t number) {
    if (config->every > 0 && number % config->every != 0)
        return false;
    for (unsigned i = 0; i < config->only_count; i++)
        if (config->only[i] == number)
            return true;
    return config->only_count == 0;
}

static void link_connection(struct relay *relay, struct connection *connection) {
    connection->next = relay->connections;
    if (relay->connections != NULL)
        relay->connections->before = connection;
    relay->connections = connection;
    relay->open++;
}

static struct connection *connection_new(struct relay *relay, int client) {
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL)
        return NULL;
    connection->relay = relay;
    connection->number = ++relay->came;
    connection->connecting = true;
    for (unsigned end = 0; end < 2; end++)
        connection->ends[end] = (struct end_watch){.watch = {-1, 0, end_ready}, .connection = connection};
    connection->ends[FROM_CLIENT].watch.descriptor = client;
    endpoint_of(client, true, &connection->client);
    passage_init(&connection->passage, relay->config->plan, is_selected(relay->config, connection->number));
    link_connection(relay, connection);
    return connection;
}

static void set_lanes(struct connection *connection) {
    int client = connection->ends[FROM_CLIENT].watch.descriptor, server = connection->ends[FROM_SERVER].watch.descriptor;

    connection->lanes[FROM_CLIENT] = (struct lane){.from = FROM_CLIENT, .source = client, .target = server};
    connection->lanes[FROM_SERVER] = (struct lane){.from = FROM_SERVER, .source = server, .target = client};
    connection->lanes[FROM_CLIENT].timer.expired = client_lane_expired;
    connection->lanes[FROM_SERVER].timer.expired = server_lane_expired;
}

static void begin(struct relay *relay, int client) {
    struct connection *connection = connection_new(relay, client);
    struct recorder *recorder = relay->config->recorder;
    struct sockaddr_storage here;
    int error, one = 1;

    if (connection == NULL) {
        make_reset(client);
        close(client);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    endpoint_of(client, false, &here);
    if (recorder != NULL)
        recorder_connect(recorder, &connection->recorded[FROM_CLIENT], FROM_CLIENT, &connection->client, &here);
    error = connect_on(connection);
    set_lanes(connection);
    watch_idleness(connection);
    if (error != 0) {
        make_reset(client);
        connection_over(connection, error);
        return;
    }
    watch_end(connection, FROM_SERVER);
}

static void accept_some(struct loop_watch *watch, uint32_t events) {
    struct relay *relay = (struct relay *)(void *)((char *)watch - offsetof(struct relay, listener));

    (void)events;
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        bool full = relay->open >= RELAY_CONNECTIONS_MAX;
        int client = full ? -1 : accept4(watch->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client >= 0) {
            begin(relay, client);
            continue;
        }
        if (full || errno == EMFILE || errno == ENFILE) {
            loop_watch_remove(relay->loop, watch); /* until a connection is over */
            relay->listens = false;
        }
        return;
    }
}

/* ---- */

static void stop(struct loop_watch *watch, uint32_t events) {
    struct relay *relay = (struct relay *)(void *)((char *)watch - offsetof(struct relay, signals));

    (void)events;
    loop_stop(relay->loop);
}

static int open_signals(void) {
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int relay_init(struct relay *relay, const struct relay_config *config, int listener) {
    int error;

    *relay = (struct relay){.config = config, .listens = true};
    relay->listener = (struct loop_watch){listener, EPOLLIN, accept_some};
    relay->signals = (struct loop_watch){open_signals(), EPOLLIN, stop};
    if (relay->signals.descriptor < 0)
        return -errno;
    relay->room = malloc(PASSAGE_FRAME_MAX);
    relay->loop = loop_new();
    if (relay->room == NULL || relay->loop == NULL)
        return -ENOMEM;
    error = loop_watch_add(relay->loop, &relay->listener);
    return error != 0 ? error : loop_watch_add(relay->loop, &relay->signals);
}

static void relay_close(struct relay *relay, int listener) {
    while (relay->connections != NULL) {
        tell_end(relay->connections, 0);
        connection_free(relay->connections);
    }
    close(listener);
    if (relay->signals.descriptor >= 0)
        close(relay->signals.descriptor);
    loop_free(relay->loop);
    free(relay->room);
    free(relay->spare);
}

int relay_run(const struct relay_config *config, int listener) {
    struct relay relay;
    int error = relay_init(&relay, config, listener);

    if (error == 0)
        error = loop_run(relay.loop);
    relay_close(&relay, listener);
    return error;
}
