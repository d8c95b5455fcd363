/* What a connection is made of, for the files that work on it: connection.c (what comes, what is done), send.c (what
 * goes), packet.c (frames with their memory), logon.c (who it is) and tell.c (what the status shows). All of it belongs
 * to the loop of the connection, but for what a step of a logon works on. */
#ifndef SMBPROOF_SERVE_CONNECTION_PARTS_H
#define SMBPROOF_SERVE_CONNECTION_PARTS_H

#include <stddef.h>

#include "serve/host.h"

/* Signed requests that are received before the first of them is looked at, where their signatures cost less together. */
#define CONNECTION_GATHERED_MAX SIGN_TOGETHER_MAX
/* Octets of answers that are sent at once, while they lie in the processor's cache; fewer may go with the next. While so many
 * cannot be sent it is read from no more: another answer would take their place in the cache, and they then its. */
#define CONNECTION_SEND_LEAST 32768u

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

static inline struct inside *inside_of(struct connection *connection) {
    return connection->inside;
}

/* NULL: there is none, as always but for tests of clients. */
static inline const struct host_bystander *bystander_of(const struct inside *inside) {
    return inside->connection.host->setup.bystander;
}

/* ---- connection.c ---- */

/* Does what is to be done, and sends. The connection may be gone afterwards. */
void connection_pump(struct inside *inside);
/* Frees a connection that is closed, where nobody works on it any more. */
void connection_settle(struct inside *inside);
/* It is half-open no more, and has no time limit. */
void connection_logged_on(struct inside *inside);
/* `why` is for the log. What is on its way is given up; connection_settle() frees it. */
void connection_close(struct inside *inside, const char *why);

/* ---- send.c ---- */

/* The server's next answer goes, at the latest with the next connection_flush(). It may close the connection. */
void connection_send_answer(struct inside *inside);
/* As much as the peer takes now. */
void connection_flush(struct inside *inside);

/* ---- packet.c ---- */

/* NULL: no memory. */
struct packet *packet_new(struct inside *inside, size_t content_size, size_t output_size);
/* Gives the memory of one that is unlinked back. What is done with it may answer other requests, or end them. */
void packet_drop(struct packet *packet);
void packet_unlink(struct packet *packet);
/* Both. */
void packet_free(struct packet *packet);
/* Makes room for a larger output. False: no memory, or too much. */
bool packet_grow(struct packet *packet, size_t size);
/* Somebody else works on it from now on. */
void packet_hand(struct packet *packet);
/* Back from where it was handed. False: the connection is closed, and the packet gone. */
bool packet_take_back(struct packet *packet);

/* ---- logon.c ---- */

/* Takes the next step of a SESSION_SETUP, on a worker. */
void logon_begin(struct inside *inside, struct packet *packet);
/* The session of the frame that the server's keys are for has its keys: it gets its handles, and others may find it. */
void logon_make_handles(struct inside *inside);
/* The session has ended. */
void logon_free(struct inside *inside, uint64_t session_id);

#endif
