/* Octets of a connection in order -> messages -> evidence. Octets that no message can be read from yet are held until
 * more of them come. */
#ifndef SMBPROOF_EXPLAIN_LISTEN_H
#define SMBPROOF_EXPLAIN_LISTEN_H

#include "capture/backlog.h"
#include "explain/evidence.h"

/* Octets held of all connections together; beyond it they count as lost. Of one direction it is never more than
 * CONVERSATION_WHOLE_MAX. */
#define LISTEN_HELD_TOTAL_MAX (64u * 1024u * 1024u)

/* One for all connections. */
struct listener {
    struct event_list events; /* of the conversation that was fed last */
    uint64_t held_total;
    bool failed; /* no memory: octets were passed over */
};

struct held {
    struct backlog octets;
    uint64_t conflicts; /* times that octets which are held came again with another content */
    uint64_t gaps, gap_packet; /* declared here: how many, and the first */
};

/* One for each connection. */
struct heard {
    struct listener *listener;
    struct evidence *evidence;
    struct conversation conversation;
    struct held held[2]; /* by enum direction */
};

/* Of the evidence the part about messages is written, no other before listen_end. */
void listen_begin(struct heard *heard, struct listener *listener, struct evidence *evidence);
/* The next octets, which came with that packet. */
void listen_bytes(struct heard *heard, enum direction from, struct span bytes, uint64_t packet, uint64_t time_ns);
/* Octets that begin `before` octets before the next ones. */
void listen_repeat(struct heard *heard, enum direction from, struct span bytes, uint32_t before);
/* `lost` octets (0: an unknown number) will never be seen; `partial` came before them, where nothing is held. */
void listen_gap(struct heard *heard, enum direction from, struct span partial, size_t lost, uint64_t packet,
                uint64_t time_ns);
void listen_end(struct heard *heard);

#endif
