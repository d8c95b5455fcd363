/* The whole server: listener, event loops, workers, shares, accounts. */
#ifndef SMBPROOF_SERVE_HOST_H
#define SMBPROOF_SERVE_HOST_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "auth/acceptor.h"
#include "serve/serve.h"

#define HOST_CONNECTIONS_MAX 16384u
/* Of one address. Addresses are counted by hash, so a few may share a count. */
#define HOST_PER_ADDRESS_MAX 16384u
/* Connections on which nobody has logged on yet. */
#define HOST_HALF_OPEN_MAX 2048u
#define HOST_ADDRESSES     4096u
#define HOST_LOOPS_MAX     64u
#define HOST_WORKERS       4u
#define HOST_SHARES_MAX    64u
/* How long SIGTERM lets requests in flight, and answers on their way, take. */
#define HOST_DRAIN_MS 5000u
/* Octets of an address as text: "[fe80::1]:65535" */
#define HOST_ADDRESS_MAX 80u

struct host_config {
    struct server_policy policy;
    struct auth_acceptor_config acceptor; /* its accounts and strings are borrowed */
    struct share shares[HOST_SHARES_MAX]; /* without IPC$; names and stores are borrowed */
    unsigned share_count, loop_count;
};

/* One event loop, its thread and its connections. */
struct station {
    struct host *host;
    struct loop *loop;
    struct pool pool;
    struct loop_task drain;
    struct loop_timer patience;
    bool draining;
    struct connection *connections; /* a list through connection.c */
};

struct host {
    struct host_config config;
    struct share shares[HOST_SHARES_MAX + 1]; /* IPC$ is the last */
    unsigned share_count;
    uint8_t guid[16], hint[AUTH_HINT_MAX];
    size_t hint_size;
    uint64_t session_base; /* random */
    atomic_uint_fast64_t connections_made;
    atomic_uint connections, half_open;
    atomic_uint addresses[HOST_ADDRESSES];
    uint32_t address_seed;
    struct workers *workers;
    struct nodes *nodes;
    struct station stations[HOST_LOOPS_MAX];
    unsigned station_count;
    struct loop_watch listener, signals;
    unsigned next_station;
};

/* Serves on the listening socket until SIGTERM or SIGINT, which the caller has blocked together with SIGHUP in all
 * threads. 0 or a negative errno. The socket is closed. */
int host_run(const struct host_config *config, int listener);
uint32_t host_address_slot(const struct host *host, const struct sockaddr_storage *address);
void host_address_text(const struct sockaddr_storage *address, char text[HOST_ADDRESS_MAX]);

/* connection.c. Takes the socket over; called on any thread, the connection begins on its station's. False: no memory,
 * and the socket is closed. */
bool connection_start(struct station *station, int descriptor, const struct sockaddr_storage *address);
/* On the station's thread: reads no more, and closes once nothing is on its way; at once where `now`. */
void connections_drain(struct station *station, bool now);

#endif
