/* One leg of a connection as flows.c, legs.c and stream.c share it. */
#ifndef SMBPROOF_CAPTURE_FLOW_H
#define SMBPROOF_CAPTURE_FLOW_H

#include "capture/backlog.h"
#include "capture/flows.h"

#include <string.h>

#define FLOW_NONE UINT32_MAX
/* Paths remembered per side (failover and load sharing change them), and segments. */
#define FLOW_PATHS  3u
#define FLOW_RECENT 8u

/* Where a packet was seen: interface and MAC addresses, or the TTL where the link layer has no
 * addresses. */
struct path {
    struct macs macs;
    uint32_t interface, link_index;
    uint32_t without_mac; /* 0: has addresses; else 1 + TTL */
};

/* A segment that went by, to recognise its copies. */
struct recent {
    uint64_t time_ns;
    uint32_t sequence, acknowledgment, size, timestamp;
    uint16_t ip_id, window;
    uint8_t flags, ttl;
    bool used;
};

/* Octets that came before the ones in front of them. */
struct early {
    struct early *next;
    uint32_t sequence, size;
    uint32_t missing; /* octets behind them that the snap length cut off */
    uint64_t number, time_ns;
    uint32_t interface, wire_size;
    uint16_t link_type;
    uint8_t data[];
};

/* One direction. Sequence numbers are compared by their distance, so that they may wrap. */
struct side {
    uint32_t next;    /* first octet that was not given to the reader */
    uint32_t highest; /* behind the highest that was seen */
    uint32_t acked;   /* of the other direction, by this one */
    uint32_t first_ack;
    uint32_t initial; /* of the SYN */
    uint32_t final;   /* of the FIN */
    uint32_t cut_until;
    uint32_t rival; /* initial number of a SYN that may begin the next connection */
    uint32_t stray; /* where the next segment begins, if the one far off was no accident */
    bool orderly;   /* after the last segment that was not plain: nothing stands in the way of plain ones */
    bool synced;    /* `next` is valid */
    bool seen;      /* it sent a segment at all */
    bool syn_seen, fin_seen, fin_passed;
    bool acked_known, acks_advanced;
    bool cut; /* the snap length cut octets up to cut_until */
    bool rival_seen, stray_seen;
    bool hole_marked; /* the hole is acknowledged, since hole_packets */
    uint8_t path_count, path_at, recent_at;
    uint32_t hole_packets;
    struct early *early, *early_last;
    struct backlog pending; /* what the reader left unused: the octets before `next` */
    uint32_t held; /* octets in `early`, with their cost */
    struct path paths[FLOW_PATHS];
    struct recent recent[FLOW_RECENT];
};

enum flow_list { LIST_LIVE, LIST_FINISHED, LIST_IGNORED, LISTS };

struct flow {
    struct endpoint endpoints[2]; /* by enum flow_side */
    bool ignored;                 /* a tombstone */
    bool reset;
    uint8_t list;
    uint32_t index, leg_next;
    uint32_t newer, older; /* in its list */
    uint32_t hash;
    uint32_t packets; /* wraps: only differences count */
    uint64_t first_number, last_number, last_ns, listed_number;
    void *user;
    struct side sides[2];
};

struct flows {
    struct flow_sink sink;
    struct flow_counts counts;
    uint64_t held_total;
    uint64_t swept_ns;
    uint64_t seed;
    struct flow *last; /* first leg of the connection that had the last segment */
    struct flow_slot *slots;
    struct flow **blocks;
    uint32_t block_count;
    uint32_t free_list; /* through leg_next */
    uint32_t open_count;
    uint32_t newest[LISTS], oldest[LISTS];
};

static inline int32_t distance(uint32_t from, uint32_t to) {
    return (int32_t)(to - from);
}

static inline bool time_within(uint64_t a, uint64_t b, uint64_t span) {
    return (a > b ? a - b : b - a) <= span;
}

static inline struct path path_of(const struct packet *packet, const struct segment *segment) {
    return (struct path){
        .macs = segment->macs,
        .interface = packet->interface,
        .link_index = segment->link_index,
        .without_mac = segment->has_mac ? 0 : 1u + segment->ttl,
    };
}

static inline bool path_equal(const struct path *a, const struct path *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* 0 where they are the same. Without a branch: who sent the next packet is anybody's guess. */
static inline uint64_t endpoint_difference(const struct endpoint *a, const struct endpoint *b) {
    uint64_t x[2], y[2];
    memcpy(x, a->address, sizeof x);
    memcpy(y, b->address, sizeof y);
    return (x[0] ^ y[0]) | (x[1] ^ y[1]) | (uint64_t)(a->port ^ b->port);
}

static inline uint64_t macs_difference(const struct macs *a, const struct macs *b) {
    uint64_t x, y;
    uint32_t v, w;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    memcpy(&v, (const uint8_t *)a + sizeof x, sizeof v);
    memcpy(&w, (const uint8_t *)b + sizeof x, sizeof w);
    return (x ^ y) | (v ^ w);
}

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b) {
    return endpoint_difference(a, b) == 0;
}

/* Who sent it, if it is the flow's: the ports nearly always tell. */
static inline enum flow_side flow_side_of(const struct flow *flow, const struct segment *segment) {
    const struct endpoint *initiator = &flow->endpoints[FLOW_INITIATOR];
    if (__builtin_expect(initiator->port == flow->endpoints[FLOW_RESPONDER].port, false))
        return endpoint_equal(initiator, &segment->source) ? FLOW_INITIATOR : FLOW_RESPONDER;
    return initiator->port == segment->source.port ? FLOW_INITIATOR : FLOW_RESPONDER;
}

/* Is it the flow's, sent by that end? */
static inline bool flow_has(const struct flow *flow, enum flow_side from, const struct segment *segment) {
    return (endpoint_difference(&flow->endpoints[from], &segment->source) |
            endpoint_difference(&flow->endpoints[!from], &segment->destination)) == 0;
}

/* flows.c */
struct flow *flow_at(const struct flows *flows, uint32_t index);
/* Calls `closed` and leaves a tombstone. */
void flow_ignore(struct flows *flows, struct flow *flow);
/* Lets the flow go: `closed`, out of the table and the lists. */
void flow_close(struct flows *flows, struct flow *flow);

/* legs.c */
bool side_knows(const struct side *side, const struct path *path);
void side_learn(struct side *side, const struct path *path);
void side_remember(struct side *side, const struct packet *packet, const struct segment *segment);
/* A copy of a recent segment of this side: on the same path, or on another. */
bool side_is_duplicate(const struct side *side, const struct packet *packet,
                       const struct segment *segment);
bool side_is_repeated(const struct side *side, const struct packet *packet,
                      const struct segment *segment);
/* The leg that a segment belongs to; NULL where it begins another one. */
struct flow *leg_choose(struct flows *flows, struct flow *first, const struct path *path,
                        const struct packet *packet, const struct segment *segment);

/* stream.c */
void stream_note(const struct flow *flow, enum flow_side side, const struct segment *segment,
                 struct segment_note *note);
/* The next octets in order, or an acknowledgment of what was not acknowledged before, with nothing waiting: nothing to
 * note about it, and little to do. What that takes of the flow (`orderly`) only the other segments change. */
static inline bool stream_is_plain(const struct flow *flow, enum flow_side from, const struct segment *segment) {
    const struct side *side = &flow->sides[from], *other = &flow->sides[!from];
    return side->orderly && (segment->flags & (TCP_ACK | TCP_SYN | TCP_FIN | TCP_RST)) == TCP_ACK &&
           segment->sequence == side->next && segment->payload.size == segment->payload_size &&
           distance(other->highest, segment->acknowledgment) <= 0 &&
           (segment->payload_size > 0 || distance(side->acked, segment->acknowledgment) > 0);
}
void stream_take_plain(struct flows *flows, struct flow *flow, enum flow_side side, const struct packet *packet,
                       const struct segment *segment);
/* Everything that a segment says about its own direction's and the other's sequence numbers, and
 * its bytes. */
void stream_take(struct flows *flows, struct flow *flow, enum flow_side side,
                 const struct packet *packet, const struct segment *segment,
                 const struct segment_note *note);
/* After such a segment: says of both sides whether they are orderly. */
void stream_look(struct flow *flow);
/* Gives up holes that had their time. */
void stream_check_holes(struct flows *flows, struct flow *flow, const struct packet *packet);
/* Gives up all holes, in the order that the packets behind them came in. */
void stream_release(struct flows *flows, struct flow *flow);
void stream_free(struct flows *flows, struct side *side);

#endif
