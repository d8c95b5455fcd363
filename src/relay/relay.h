/* The relay: sockets around passages. One thread, one loop; a direction whose reader is slow is not read from either. */
#ifndef SMBPROOF_RELAY_RELAY_H
#define SMBPROOF_RELAY_RELAY_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "relay/passage.h"
#include "relay/recorder.h"

/* Octets held per direction of a connection, at most; as many again where a message is altered. */
#define RELAY_HELD_MAX (160u * 1024u)
#define RELAY_CONNECTIONS_MAX 16384u
/* Connections that can be named by number. */
#define RELAY_ONLY_MAX 64u
/* Octets of an address with its port, and the NUL. */
#define RELAY_ADDRESS_MAX 64u
/* A connection without traffic in either direction for so long is closed, in seconds, and the most that can be said. */
#define RELAY_IDLE_S     3600u
#define RELAY_IDLE_MAX_S (365u * 24u * 3600u)
/* Between two pieces of a message that is split, in milliseconds. */
#define RELAY_SPLIT_GAP_MS 1u

/* A connection that is over, as the report sees it. */
struct relay_end {
    uint64_t number; /* from 1, in the order in which they came */
    const char *client; /* "127.0.0.1:40312" */
    bool refused;       /* the server could not be reached */
    int error;          /* then: negative errno */
    const struct passage *passage;
    struct prediction prediction;
    struct judgement judgement;
    uint64_t octets[2]; /* passed on, by direction they came from */
};

struct relay_config {
    struct sockaddr_storage target; /* where to; not where `transparent` */
    bool transparent;               /* keep addresses and ports as they are (IP_TRANSPARENT) */
    const struct plan *plan;
    unsigned only_count;
    uint64_t only[RELAY_ONLY_MAX];  /* numbers of the connections that are altered; none: all */
    uint64_t every;                 /* each n-th only; 0: all */
    uint64_t stop_after;            /* connections; 0: never */
    uint32_t idle_s;                /* a connection without traffic for so long is closed; 0: never */
    struct recorder *recorder;      /* NULL: none */
    void (*ended)(const struct relay_end *end, void *context);
    void *context;
};

/* Until SIGINT or SIGTERM, which have to be blocked, or `stop_after`. The listener is closed. 0 or a negative errno. */
int relay_run(const struct relay_config *config, int listener);

const char *relay_address_text(const struct sockaddr_storage *address, char text[RELAY_ADDRESS_MAX]);

#endif
