#include "serve/host.h"

#include <arpa/inet.h>
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

#define CONTAINER(type, member, pointer) ((type *)((char *)(pointer) - offsetof(type, member)))

struct workers *host_workers(struct host *host) {
    return host->workers;
}

struct nodes *host_nodes(struct host *host) {
    return host->nodes;
}

const struct share *host_share(struct host *host, unsigned index, unsigned *count) {
    if (count != NULL)
        *count = host->share_count;
    return index < host->share_count ? &host->shares[index] : NULL;
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
    if (atomic_load(&host->connections) >= HOST_CONNECTIONS_MAX)
        return "connections";
    if (atomic_load(&host->half_open) >= HOST_HALF_OPEN_MAX)
        return "half-open";
    if (atomic_load(&host->addresses[host_address_slot(host, address)]) >= HOST_PER_ADDRESS_MAX)
        return "per-address";
    return NULL;
}

static void take_connection(struct host *host, int descriptor, const struct sockaddr_storage *address) {
    const char *limit = limit_reached(host, address);
    char from[HOST_ADDRESS_MAX];
    int one = 1;

    if (limit != NULL) {
        host_address_text(address, from);
        log_event("refused", "from=%s limit=%s", from, limit);
        close(descriptor);
        return;
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (!connection_start(&host->stations[host->next_station++ % host->station_count], descriptor, address))
        log_event("refused", "limit=memory");
}

/* Connections that one turn accepts, so that others are served in between. */
#define ACCEPTS_A_TURN 64

static void accept_ready(struct loop_watch *watch, uint32_t events) {
    struct host *host = CONTAINER(struct host, listener, watch);

    (void)events;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int descriptor = accept4(watch->descriptor, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

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

static void stop_listening(struct host *host) {
    if (host->listener.descriptor < 0)
        return;
    loop_watch_remove(host->stations[0].loop, &host->listener);
    close(host->listener.descriptor);
    host->listener.descriptor = -1;
    for (unsigned i = 0; i < host->station_count; i++)
        loop_post(host->stations[i].loop, &host->stations[i].drain);
}

static void reload_accounts(struct host *host) {
    char problem[ACCOUNTS_PROBLEM_MAX];

    if (host->config.acceptor.accounts == NULL)
        return;
    accounts_count(host->config.acceptor.accounts); /* looks whether the file has changed */
    if (accounts_problem(host->config.acceptor.accounts, problem))
        log_event("reload", "result=kept problem=%s", problem);
    else
        log_event("reload", "result=done");
}

static void signal_ready(struct loop_watch *watch, uint32_t events) {
    struct host *host = CONTAINER(struct host, signals, watch);
    struct signalfd_siginfo info;

    (void)events;
    if (read(watch->descriptor, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGHUP) {
        reload_accounts(host);
        return;
    }
    log_event("stopping", "signal=%u connections=%u", info.ssi_signo, atomic_load(&host->connections));
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
    for (; host->station_count < host->config.loop_count; host->station_count++) {
        struct station *station = &host->stations[host->station_count];

        *station = (struct station){.host = host, .loop = loop_new(), .drain = {NULL, drain_station}};
        station->patience.expired = patience_over;
        if (station->loop == NULL)
            return -errno;
    }
    return 0;
}

static bool make_identity(struct host *host) {
    struct writer hint = writer_over(host->hint, sizeof host->hint);

    if (!auth_hint_put(&host->config.acceptor, &hint))
        return false;
    host->hint_size = hint.at;
    return crypto_random(host->guid, sizeof host->guid) &&
           crypto_random((uint8_t *)&host->session_base, sizeof host->session_base) &&
           crypto_random((uint8_t *)&host->address_seed, sizeof host->address_seed);
}

static int prepare(struct host *host, int listener) {
    int error;

    memcpy(host->shares, host->config.shares, host->config.share_count * sizeof host->shares[0]);
    host->share_count = host->config.share_count;
    host->shares[host->share_count++] = (struct share){.name = "IPC$", .allow_guest = true};
    if (!make_identity(host))
        return -EIO;
    error = make_stations(host);
    if (error == 0)
        error = watch_signals(host);
    host->listener = (struct loop_watch){listener, EPOLLIN, accept_ready};
    if (error == 0)
        error = loop_watch_add(host->stations[0].loop, &host->listener);
    host->workers = workers_new(HOST_WORKERS);
    host->nodes = nodes_new();
    return error == 0 && (host->workers == NULL || host->nodes == NULL) ? -ENOMEM : error;
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

int host_run(const struct host_config *config, int listener) {
    struct host *host = calloc(1, sizeof *host);
    int error;

    if (host == NULL)
        return -ENOMEM;
    host->config = *config;
    host->signals.descriptor = host->listener.descriptor = -1;
    error = prepare(host, listener);
    if (error == 0)
        error = run_stations(host);
    workers_free(host->workers);
    nodes_free(host->nodes);
    if (host->signals.descriptor >= 0)
        close(host->signals.descriptor);
    if (host->listener.descriptor >= 0)
        close(host->listener.descriptor);
    for (unsigned i = 0; i < config->loop_count; i++) {
        pool_empty(&host->stations[i].pool);
        loop_free(host->stations[i].loop);
    }
    free(host);
    return error;
}
