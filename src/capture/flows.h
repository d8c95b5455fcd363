/* TCP segments -> connections with ordered bytes per direction, or an explicit gap.
 *
 * Bounded: at most FLOWS_MAX connections are open at once (the one idle longest is closed first),
 * each holds at most FLOW_HELD_MAX octets per direction of segments that came early and of bytes
 * its reader could not use yet.
 *
 * Legs. Where a capture holds one connection twice (both sides of a box or of a router, merged or
 * on two interfaces), its two legs are two flows. A leg is told by its path (interface, MAC
 * addresses) once that path repeats what another path already carried, or by a second handshake
 * with other sequence numbers; identical copies on the same path (SPAN ports) are duplicates, not
 * legs. */
#ifndef SMBPROOF_CAPTURE_FLOWS_H
#define SMBPROOF_CAPTURE_FLOWS_H

#include "capture/link.h"

#define FLOWS_MAX     16384u
#define FLOW_HELD_MAX (256u * 1024u)
/* All flows together hold at most this many octets back; beyond it holes count as gaps at once. */
#define FLOWS_HELD_TOTAL_MAX (128u * 1024u * 1024u)
/* Legs of one connection (4-tuple) that are told apart. */
#define FLOW_LEGS_MAX 4u
/* A hole whose octets the receiver has acknowledged, or whose receiver the capture does not show,
 * is taken for lost after so many further packets of the connection (not in the latter case) or so
 * much capture time. Not sooner, since several receive queues may store an acknowledgment before
 * the data. */
#define FLOW_HOLE_PACKETS 64u
#define FLOW_HOLE_NS      (2ull * 1000000000ull)
/* Copies of a packet (by a mirror port, or on another leg) come within this time. */
#define FLOW_COPY_NS (1ull * 1000000000ull)
/* A connection that said nothing for so long is over when a new handshake begins. */
#define FLOW_IDLE_NS (5ull * 1000000000ull)
/* A closed connection is kept so long for stragglers, in capture time; then `closed` is called. */
#define FLOW_LINGER_NS (2ull * 1000000000ull)
/* Of connections that are over or ignored something small is kept for so long, so that what still comes of them is not
 * taken for new ones. */
#define FLOW_TOMB_NS (15ull * 1000000000ull)

enum flow_side {
    FLOW_INITIATOR = 0,
    FLOW_RESPONDER = 1
}; /* who sent the SYN; else guessed: the higher port */

/* What a segment was, beside its payload. */
struct segment_note {
    enum flow_side side;
    bool duplicate; /* an identical copy (same IP id, sequence, size): a mirror port's, not TCP's */
    bool retransmission; /* nothing new in it, or only part of it new */
    bool early;          /* bytes before it have not been seen (yet) */
    bool keep_alive;     /* TCP keep-alive probe: at most one octet before the next expected */
    bool conflict; /* repeats octets that are still held (early, or unused), with another content */
    bool acks_unseen; /* acknowledges octets of the other side that the capture does not have */
    uint32_t before; /* where it begins with octets that the reader got already: so many before the next it gets */
    /* Its sequence minus the one behind the highest octet seen from its side; 0 for the side's
     * first. */
    int64_t sequence_distance;
};

/* What a flow hands out. Every function gets the pointer that `opened` returned for the flow. */
struct flow_sink {
    void *context;
    /* A new flow, at its first segment. `interface` is the packet's. Returns the flow's pointer
     * (may be NULL). */
    void *(*opened)(void *context, const struct endpoint *initiator,
                    const struct endpoint *responder, bool initiator_known, uint32_t interface);
    /* Every segment of the flow, before its bytes. Not called any more once the flow is ignored. */
    void (*segment)(void *flow, const struct packet *packet, const struct segment *segment,
                    const struct segment_note *note);
    /* Ordered bytes. Returns how many were used; what was not is kept and comes again with more
     * behind it. `packet` is the one that made these bytes available: the one being processed, also
     * where it filled a hole. Where a hole was given up, it is the one that brought the bytes (its
     * number may be below that of segments that were reported since, and its `bytes` are empty).
     * FLOW_IGNORE: not interested in this flow any more. */
    size_t (*bytes)(void *flow, enum flow_side side, struct span bytes,
                    const struct packet *packet);
    /* `lost` octets were not captured (0: unknown number); `partial` is what `bytes` had left
     * unused. What a reader left unused when the flow closes is not told again: nothing is known to
     * be missing behind it. */
    void (*gap)(void *flow, enum flow_side side, struct span partial, size_t lost,
                const struct packet *packet);
    /* The flow is over: replaced, evicted, ignored, or the capture ended. Frees the flow's pointer.
     */
    void (*closed)(void *flow);
    /* A segment with nothing to note, and its octets, which are the next ones: instead of `segment` and `bytes`, whose
     * result it returns. NULL: those two are called. */
    size_t (*plain)(void *flow, enum flow_side side, const struct packet *packet, const struct segment *segment);
};

#define FLOW_IGNORE ((size_t)-1)

/* Direct TCP or NetBIOS session service. */
bool is_smb_port(uint16_t port);

struct flows;

struct flows *flows_new(const struct flow_sink *sink); /* NULL where there is no memory */
void flows_segment(struct flows *flows, const struct packet *packet, const struct segment *segment);
/* The capture ended: releases what is held back (gaps are declared), closes every flow, in order of
 * their first packets. */
void flows_finish(struct flows *flows);
void flows_free(struct flows *flows);

struct flow_counts {
    uint64_t flows, ignored, duplicates, gaps, lost_octets;
    uint64_t evicted;   /* closed before their end, since FLOWS_MAX were open */
    uint64_t no_memory; /* times that memory ran out: a segment or octets were passed over */
};
void flows_counts(const struct flows *flows, struct flow_counts *counts);

#endif
