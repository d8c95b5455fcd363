/* The configurations that were in force, one after the other.
 *
 * A reload brings a new edition; connections stay. What a connection borrows (policy, accounts, shares) was current at some
 * time of its life, and it holds the edition that was current when it began. So an edition is freed once neither it nor an
 * older one is held, and whoever holds one may use whichever is current. */
#ifndef SMBPROOF_SERVE_EDITION_H
#define SMBPROOF_SERVE_EDITION_H

#include <pthread.h>
#include <stdatomic.h>

#include "auth/acceptor.h"
#include "serve/serve.h"

#define HOST_SHARES_MAX 64u

/* Each of these may be changed by a reload; it counts for connections that begin afterwards. */
struct host_limits {
    unsigned connections;
    unsigned connections_per_address; /* IPv6: per /64. Addresses are counted by hash, so a few may share a count */
    unsigned half_open;               /* connections on which nobody has logged on yet */
    unsigned logon_ms;                /* from accepting to the first logon */
    unsigned expired_ms;              /* from a session's expiring to its end, where nobody logs on again */
    unsigned open_files;              /* of one connection */
};

/* One configuration. The policy has the limits that the core counts: sessions and credits of a connection. */
struct host_config {
    struct server_policy policy;
    const char *map;                      /* mapping.h; NULL or "": none */
    struct auth_acceptor_config acceptor; /* its strings and accounts are the configuration's */
    struct share *shares[HOST_SHARES_MAX + 1]; /* the last is IPC$; one that did not change is in several editions */
    unsigned share_count;
    struct host_limits limits;
    void (*free)(struct host_config *config); /* gives back all of it; share_release() for each share */
};

struct edition {
    struct edition *next; /* the newer one */
    struct host_config *config;
    uint8_t hint[AUTH_HINT_MAX]; /* the security buffer of NEGOTIATE responses */
    size_t hint_size;
    unsigned holders;
};

struct editions {
    pthread_mutex_t lock;
    struct edition *oldest;
    struct edition *_Atomic current;
};

/* They take the configuration over, but on failure (false: no memory). The shares that it no longer has are marked as
 * gone. */
bool editions_init(struct editions *editions, struct host_config *first);
bool editions_replace(struct editions *editions, struct host_config *next);
/* Nobody holds any. */
void editions_free(struct editions *editions);
/* From any thread. */
struct edition *edition_hold(struct editions *editions);
void edition_release(struct editions *editions, struct edition *edition);
/* For whoever holds one. */
const struct host_config *edition_current(const struct editions *editions);

/* NULL: no memory. `store` is the share's own from now on; the name is copied. */
struct share *share_new(const char *name, struct store *store);
struct share *share_hold(struct share *share);
void share_release(struct share *share);

#endif
