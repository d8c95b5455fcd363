/* The whole server: listener, event loops, workers, shares, accounts. */
#ifndef SMBPROOF_SERVE_HOST_H
#define SMBPROOF_SERVE_HOST_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "serve/clients.h"
#include "serve/edition.h"
#include "serve/sessions.h"
#include "serve/status.h"

#define HOST_ADDRESSES      4096u /* counts of connections by address */
#define HOST_LISTENERS_MAX  16u
#define HOST_LOOPS_MAX      64u
#define HOST_WORKERS        4u
/* How long SIGTERM lets requests in flight, and answers on their way, take. */
#define HOST_DRAIN_MS 5000u
/* How long nothing is accepted where the system has no descriptor left. */
#define HOST_PAUSE_MS 200u
/* How long a block of a pool is kept that nobody needs, at least; at most twice that. */
#define HOST_TIDY_MS 10000u
/* Octets of an address as text: "[fe80::1]:65535" */
#define HOST_ADDRESS_MAX 80u
/* Octets of a sentence why a configuration cannot be had, with its NUL. */
#define HOST_PROBLEM_MAX 512u

/* Somebody who sees what connections receive and may change what they answer: for a server that errs on purpose. Each
 * call is made on the thread of the connection's loop, and none of them may block. */
struct host_bystander {
    void *context;
    /* A connection begins. Its server may be given another policy. What is returned comes with the other calls. The
     * descriptor may be shut down, from any thread, until ended() has returned. */
    void *(*begin)(void *context, struct server *server, int descriptor);
    /* A frame was received, and decrypted where that could be done. */
    void (*received)(void *guest, struct span content);
    /* server->keys are those of a session that is being set up. */
    void (*keyed)(void *guest, const struct server *server);
    /* A frame, its four octets in front included, is about to be sent. What is sent in its place, which may be empty;
     * it is copied. Not asked for frames that end with octets out of a file, nor for interim responses and
     * notifications. */
    struct span (*answers)(void *guest, struct server *server, struct span frame);
    void (*ended)(void *guest, bool by_peer);
};

/* What stays as it is while the server runs. */
struct host_setup {
    const int *listeners; /* sockets that listen, non-blocking */
    unsigned listener_count, loop_count;
    struct workers *workers;    /* host_run() takes them over, and ends them before any store is freed */
    struct host_config *config; /* the first one; host_run() takes it over */
    /* SIGHUP, on a worker: another one to follow `current`, or NULL and a sentence. NULL: nothing is reloaded. */
    struct host_config *(*reload)(void *context, const struct host_config *current, char problem[HOST_PROBLEM_MAX]);
    void *context;
    int status_local, status_http; /* sockets for status.h, -1 none; host_run() takes them over */
    status_write *status_write;
    const struct host_bystander *bystander; /* NULL: none */
};

/* One event loop, its thread and its connections. */
struct station {
    struct host *host;
    struct loop *loop;
    struct pool pool;
    struct loop_timer tidying; /* of the pool, while there are connections */
    struct conduits conduits;
    struct loop_task drain, review;
    atomic_bool review_posted;
    struct loop_timer patience;
    struct status_counters counters;
    bool draining;
    struct connection *connections; /* a list through connection.c */
    struct connection *half_open_first, *half_open_last; /* those on which nobody has logged on yet, the oldest first */
    struct watcher *watcher;        /* of its loop, once somebody watches a folder */
};

struct listener {
    struct host *host;
    struct loop_watch watch;
    struct loop_timer pause; /* until there may be descriptors again */
};

struct host {
    struct host_setup setup;
    struct editions editions;
    uint8_t guid[16];
    uint64_t session_base; /* random */
    atomic_uint_fast64_t connections_made;
    atomic_uint connections, half_open;
    atomic_uint addresses[HOST_ADDRESSES];
    uint32_t address_seed;
    struct workers *workers;
    struct nodes *nodes;
    struct sessions *sessions;
    struct clients *clients;
    struct station stations[HOST_LOOPS_MAX];
    unsigned station_count;
    struct listener listeners[HOST_LISTENERS_MAX];
    unsigned listener_count;
    struct loop_watch signals;
    unsigned next_station;
    struct job reload; /* its state belongs to the first loop */
    struct host_config *reloaded;
    bool reloading, reload_again;
    char problem[HOST_PROBLEM_MAX];
    struct status *status;
    uint64_t began_ms, reloads, reloads_refused;
    struct { uint64_t connections, per_address; } refused; /* on the first loop */
    atomic_uint_fast64_t refused_half_open; /* those that had to make room */
};

/* Serves on the listening sockets until SIGTERM or SIGINT, which the caller has blocked together with SIGHUP in all
 * threads. 0 or a negative errno. The sockets are closed. */
int host_run(const struct host_setup *setup);
uint32_t host_address_slot(const struct host *host, const struct sockaddr_storage *address);
void host_address_text(const struct sockaddr_storage *address, char text[HOST_ADDRESS_MAX]);

/* interface.c: of a socket that is connected. */
bool interface_of(int descriptor, struct interface *interface);

/* connection.c. Takes the socket over; called on any thread, the connection begins on its station's. False: no memory,
 * and the socket is closed. */
bool connection_start(struct station *station, int descriptor, const struct sockaddr_storage *address);
/* On the station's thread: reads no more, and closes once nothing is on its way; at once where `now`. */
void connections_drain(struct station *station, bool now);

/* On the station's thread: sessions of those whom the current configuration lets in no more expire. */
void connections_review(struct station *station);

#endif
