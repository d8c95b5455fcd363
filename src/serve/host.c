#include "serve/host.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "serve/log.h"
#include "serve/node.h"
#include "serve/service.h"
#include "store/watch.h"

#define CONTAINER(type, member, pointer) ((type *)((char *)(pointer) - offsetof(type, member)))

struct workers *host_workers(struct host *host) {
    return host->workers;
}

struct nodes *host_nodes(struct host *host) {
    return host->nodes;
}

const struct share *host_share(struct host *host, unsigned index, unsigned *count) {
    const struct host_config *config = edition_current(&host->editions);

    if (count != NULL)
        *count = config->share_count;
    return index < config->share_count ? config->shares[index] : NULL;
}

static struct span address_octets(const struct sockaddr_storage *address) {
    if (address->ss_family == AF_INET6)
        return (struct span){(const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr, 8}; /* the network */
    return (struct span){(const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr, 4};
}

/* FNV-1a from a random start. */
uint32_t host_address_slot(const struct host *host, const struct sockaddr_storage *address) {
    struct span octets = address_octets(address);
    uint32_t hash = host->address_seed;

    for (size_t i = 0; i < octets.size; i++)
        hash = (hash ^ octets.data[i]) * 16777619u;
    return hash % HOST_ADDRESSES;
}

void host_address_text(const struct sockaddr_storage *address, char text[HOST_ADDRESS_MAX]) {
    char name[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

        inet_ntop(AF_INET6, &six->sin6_addr, name, sizeof name);
        snprintf(text, HOST_ADDRESS_MAX, "[%s]:%u", name, ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;

        inet_ntop(AF_INET, &four->sin_addr, name, sizeof name);
        snprintf(text, HOST_ADDRESS_MAX, "%s:%u", name, ntohs(four->sin_port));
    }
}

/* Which limit forbids another connection from there; NULL: none. */
static const char *limit_reached(struct host *host, const struct sockaddr_storage *address) {
    const struct host_limits *limits = &edition_current(&host->editions)->limits;

    if (atomic_load(&host->connections) >= limits->connections) {
        host->refused.connections++;
        return "connections";
    }
    if (atomic_load(&host->addresses[host_address_slot(host, address)]) < limits->connections_per_address)
        return NULL;
    host->refused.per_address++;
    return "per-address";
}

static void take_connection(struct host *host, int descriptor, const struct sockaddr_storage *address) {
    const char *limit = limit_reached(host, address);
    char from[HOST_ADDRESS_MAX];
    int one = 1;

    if (limit != NULL) {
        host_address_text(address, from);
        log_warning("refused", "from=%s limit=%s", from, limit);
        close(descriptor);
        return;
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (!connection_start(&host->stations[host->next_station++ % host->station_count], descriptor, address))
        log_warning("refused", "limit=memory");
}

/* Connections that one turn accepts, so that others are served in between. */
#define ACCEPTS_A_TURN 64

static void pause_over(struct loop_timer *timer) {
    struct listener *listener = CONTAINER(struct listener, pause, timer);

    loop_watch_change(listener->host->stations[0].loop, &listener->watch, EPOLLIN);
}

/* Whoever waits in the socket's queue would be told of again at once, and again. */
static void pause_listening(struct listener *listener, int error) {
    struct loop *loop = listener->host->stations[0].loop;

    log_warning("refused", "limit=%s", error == EMFILE || error == ENFILE ? "descriptors" : "memory");
    if (loop_timer_set(loop, &listener->pause, HOST_PAUSE_MS) == 0)
        loop_watch_change(loop, &listener->watch, 0);
}

static void accept_ready(struct loop_watch *watch, uint32_t events) {
    struct listener *listener = CONTAINER(struct listener, watch, watch);
    struct host *host = listener->host;

    (void)events;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int descriptor = accept4(watch->descriptor, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (descriptor < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            pause_listening(listener, errno);
        if (descriptor < 0)
            return;
        take_connection(host, descriptor, &address);
    }
}

static void patience_over(struct loop_timer *timer) {
    connections_drain(CONTAINER(struct station, patience, timer), true);
}

static void drain_station(struct loop_task *task) {
    struct station *station = CONTAINER(struct station, drain, task);

    station->draining = true;
    if (loop_timer_set(station->loop, &station->patience, HOST_DRAIN_MS) != 0)
        connections_drain(station, true);
    connections_drain(station, false);
}

static void tidy_station(struct loop_timer *timer) {
    struct station *station = CONTAINER(struct station, tidying, timer);

    pool_tidy(&station->pool);
    if (station->connections != NULL || station->pool.kept > 0)
        loop_timer_set(station->loop, timer, HOST_TIDY_MS); /* without memory for it: with the next connection */
}

static void review_station(struct loop_task *task) {
    struct station *station = CONTAINER(struct station, review, task);

    atomic_store(&station->review_posted, false);
    connections_review(station);
}

static void stop_listening(struct host *host) {
    if (host->listener_count == 0)
        return;
    while (host->listener_count > 0) {
        struct listener *listener = &host->listeners[--host->listener_count];
        struct loop_watch *watch = &listener->watch;

        loop_timer_clear(host->stations[0].loop, &listener->pause);
        loop_watch_remove(host->stations[0].loop, watch);
        close(watch->descriptor);
    }
    for (unsigned i = 0; i < host->station_count; i++)
        loop_post(host->stations[i].loop, &host->stations[i].drain);
}

/* ---- SIGHUP ---- */

/* On a worker. Only the first loop changes which edition is current, and it waits for this. */
static void load_again(struct job *job) {
    struct host *host = CONTAINER(struct host, reload, job);

    host->reloaded = host->setup.reload(host->setup.context, edition_current(&host->editions), host->problem);
}

static void reload(struct host *host);

static void review_sessions(struct host *host) {
    for (unsigned i = 0; i < host->station_count; i++)
        if (!atomic_exchange(&host->stations[i].review_posted, true))
            loop_post(host->stations[i].loop, &host->stations[i].review);
}

static void loaded_again(struct job *job) {
    struct host *host = CONTAINER(struct host, reload, job);
    char problem[LOG_VALUE_MAX];

    host->reloading = false;
    if (host->reloaded != NULL && editions_replace(&host->editions, host->reloaded)) {
        host->reloads++;
        log_event("reload", "result=done shares=%u", host->reloaded->share_count - 1);
        review_sessions(host);
    } else {
        if (host->reloaded != NULL)
            host->reloaded->free(host->reloaded);
        host->reloads_refused++;
        log_warning("reload", "result=kept problem=%s", log_quote(host->problem, problem));
    }
    service_tell("READY=1");
    if (host->reload_again)
        reload(host);
}

static void reload(struct host *host) {
    host->reload_again = host->reloading;
    if (host->reloading || host->setup.reload == NULL)
        return;
    service_tell_reloading();
    snprintf(host->problem, sizeof host->problem, "no memory");
    host->reload = (struct job){.loop = host->stations[0].loop, .work = load_again, .done = loaded_again};
    host->reloaded = NULL;
    host->reloading = workers_submit(host->workers, &host->reload);
    if (!host->reloading) {
        log_warning("reload", "result=kept problem=busy");
        service_tell("READY=1");
    }
}

static void signal_ready(struct loop_watch *watch, uint32_t events) {
    struct host *host = CONTAINER(struct host, signals, watch);
    struct signalfd_siginfo info;

    (void)events;
    if (read(watch->descriptor, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGHUP) {
        reload(host);
        return;
    }
    log_event("stopping", "signal=%u connections=%u", info.ssi_signo, atomic_load(&host->connections));
    service_tell("STOPPING=1");
    stop_listening(host);
}

static int watch_signals(struct host *host) {
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    host->signals =
        (struct loop_watch){signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), EPOLLIN, signal_ready};
    return host->signals.descriptor < 0 ? -errno : loop_watch_add(host->stations[0].loop, &host->signals);
}

static int make_stations(struct host *host) {
    for (; host->station_count < host->setup.loop_count; host->station_count++) {
        struct station *station = &host->stations[host->station_count];

        *station = (struct station){.host = host, .loop = loop_new(), .drain = {NULL, drain_station},
                                    .review = {NULL, review_station}};
        station->patience.expired = patience_over;
        station->tidying.expired = tidy_station;
        if (station->loop == NULL)
            return -errno;
    }
    return 0;
}

/* SessionIds begin small: there are programs that keep only 32 bits of them, and nothing rests on their being hard to
 * guess. */
static bool make_identity(struct host *host) {
    bool good = crypto_random(host->guid, sizeof host->guid) &&
                crypto_random((uint8_t *)&host->session_base, sizeof host->session_base) &&
                crypto_random((uint8_t *)&host->address_seed, sizeof host->address_seed);

    host->session_base &= 0x7fff;
    return good;
}

static int watch_listeners(struct host *host) {
    int error = 0;

    for (unsigned i = 0; i < host->setup.listener_count && error == 0; i++) {
        host->listeners[i] = (struct listener){.host = host, .watch = {host->setup.listeners[i], EPOLLIN, accept_ready}};
        host->listeners[i].pause.expired = pause_over;
        error = loop_watch_add(host->stations[0].loop, &host->listeners[i].watch);
        host->listener_count += error == 0;
    }
    return error;
}

static int prepare(struct host *host) {
    int error;

    host->nodes = nodes_new();
    host->sessions = sessions_new();
    host->clients = clients_new();
    if (host->nodes == NULL || host->sessions == NULL || host->clients == NULL)
        return -ENOMEM;
    if (!make_identity(host))
        return -EIO;
    error = make_stations(host);
    if (error == 0)
        error = watch_signals(host);
    if (error != 0)
        return error;
    host->began_ms = loop_now_ms(host->stations[0].loop);
    host->status =
        status_new(host, host->setup.status_local, host->setup.status_http, host->setup.status_write);
    host->setup.status_local = host->setup.status_http = -1;
    return host->status != NULL ? watch_listeners(host) : -ENOMEM;
}

static void *run_station(void *argument) {
    struct station *station = argument;

    loop_run(station->loop);
    return NULL;
}

/* The first loop is this thread's. */
static int run_stations(struct host *host) {
    pthread_t threads[HOST_LOOPS_MAX];
    unsigned started = 1;
    int error;

    while (started < host->station_count &&
           pthread_create(&threads[started], NULL, run_station, &host->stations[started]) == 0)
        started++;
    host->station_count = started; /* fewer do as well */
    error = loop_run(host->stations[0].loop);
    for (unsigned i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    return error;
}

static void close_all(struct host *host) {
    status_free(host->status);
    close(host->setup.status_local); /* -1 where the status had it */
    close(host->setup.status_http);
    if (host->signals.descriptor >= 0)
        close(host->signals.descriptor);
    for (unsigned i = 0; i < host->listener_count; i++)
        close(host->listeners[i].watch.descriptor);
    for (unsigned i = 0; i < host->setup.loop_count; i++) {
        watcher_free(host->stations[i].watcher);
        pool_empty(&host->stations[i].pool);
        conduits_close(&host->stations[i].conduits);
        loop_free(host->stations[i].loop);
    }
}

int host_run(const struct host_setup *setup) {
    struct host *host = calloc(1, sizeof *host);
    int error;

    assert(setup->listener_count <= HOST_LISTENERS_MAX && setup->loop_count <= HOST_LOOPS_MAX);
    if (host == NULL || !editions_init(&host->editions, setup->config)) {
        workers_free(setup->workers);
        setup->config->free(setup->config);
        free(host);
        return -ENOMEM;
    }
    host->setup = *setup;
    host->workers = setup->workers;
    host->signals.descriptor = -1;
    error = prepare(host);
    if (error == 0) {
        service_tell("READY=1");
        error = run_stations(host);
    }
    workers_free(host->workers);
    if (host->reloading && host->reloaded != NULL)
        host->reloaded->free(host->reloaded);
    nodes_free(host->nodes);
    sessions_free(host->sessions);
    clients_free(host->clients);
    close_all(host);
    editions_free(&host->editions);
    free(host);
    return error;
}
