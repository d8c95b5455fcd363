/* One direction of a connection: segments in any order -> ordered bytes and gaps. */
#include "capture/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What holding one early segment back costs beside its octets. */
#define EARLY_COST ((uint32_t)sizeof(struct early))
/* A segment further back than this is no retransmission: the direction jumped while nothing was
 * captured. */
#define STREAM_OLD_MAX (64 * 1024 * 1024)
/* And one further ahead is believed only when the stream gets there. */
#define STREAM_AHEAD_MAX (256 * 1024 * 1024)
/* Ahead by more than this, a hole must not stay open: sequence numbers further than 2 GiB apart
 * have no order. */
#define STREAM_FAR (1024 * 1024 * 1024)
/* An acknowledgment this near shows where a direction is. */
#define STREAM_NEAR (1024 * 1024)

static uint32_t segment_start(const struct segment *segment) {
    return segment->sequence + (segment->flags & TCP_SYN ? 1 : 0);
}

static uint32_t segment_end(const struct segment *segment) {
    return segment_start(segment) + segment->payload_size;
}

static void advance_highest(struct side *side, uint32_t end) {
    if (distance(side->highest, end) > 0 && distance(side->next, end) <= STREAM_AHEAD_MAX)
        side->highest = end;
}

static bool pending_append(struct flows *flows, struct side *side, struct span bytes) {
    bool is_held = backlog_append(&side->pending, bytes, &flows->held_total);
    flows->counts.no_memory += !is_held;
    return is_held;
}

/* To the reader */

static void stream_gap(struct flows *flows, struct flow *flow, enum flow_side from, uint32_t lost,
                       const struct packet *packet) {
    struct side *side = &flow->sides[from];
    flows->counts.gaps++;
    flows->counts.lost_octets += lost;
    flows->sink.gap(flow->user, from, backlog_span(&side->pending), lost, packet);
    backlog_clear(&side->pending, &flows->held_total);
}

/* The reader's answer; false where the flow is ignored from now on. */
static bool stream_goes_on(struct flows *flows, struct flow *flow, struct span bytes, size_t used) {
    if (used == FLOW_IGNORE) {
        flow_ignore(flows, flow);
        return false;
    }
    assert(used <= bytes.size);
    return true;
}

/* Puts bytes behind those that were left unused, as many as the limit allows at a time. */
static void stream_feed_pending(struct flows *flows, struct flow *flow, enum flow_side from,
                                struct span bytes, const struct packet *packet) {
    struct side *side = &flow->sides[from];
    while (bytes.size > 0) {
        struct span part = span_slice(bytes, 0, FLOW_HELD_MAX - side->pending.size);
        bytes = span_slice(bytes, part.size, bytes.size);
        if (!pending_append(flows, side, part)) {
            stream_gap(flows, flow, from, 0, packet);
            continue;
        }
        size_t used = flows->sink.bytes(flow->user, from, backlog_span(&side->pending), packet);
        if (!stream_goes_on(flows, flow, backlog_span(&side->pending), used))
            return;
        backlog_drop(&side->pending, used, &flows->held_total);
        if (side->pending.size == FLOW_HELD_MAX || flows->held_total > FLOWS_HELD_TOTAL_MAX)
            stream_gap(flows, flow, from, 0, packet);
    }
}

/* Of bytes the reader used fewer than all, or wants no more. */
static void stream_leave(struct flows *flows, struct flow *flow, enum flow_side from, struct span bytes, size_t used,
                         const struct packet *packet) {
    if (!stream_goes_on(flows, flow, bytes, used))
        return;
    struct span left = span_slice(bytes, used, bytes.size);
    if (left.size < FLOW_HELD_MAX && pending_append(flows, &flow->sides[from], left))
        return;
    stream_feed_pending(flows, flow, from, left, packet);
}

static void stream_feed(struct flows *flows, struct flow *flow, enum flow_side from,
                        struct span bytes, const struct packet *packet) {
    if (bytes.size == 0)
        return;
    if (flow->sides[from].pending.size > 0) {
        stream_feed_pending(flows, flow, from, bytes, packet);
        return;
    }
    size_t used = flows->sink.bytes(flow->user, from, bytes, packet);
    if (used != bytes.size)
        stream_leave(flows, flow, from, bytes, used, packet);
}

/* Early segments */

static void early_free(struct flows *flows, struct side *side, struct early *early) {
    side->held -= early->size + EARLY_COST;
    flows->held_total -= early->size + EARLY_COST;
    free(early);
}

static struct early *early_pop(struct side *side) {
    struct early *early = side->early;
    side->early = early->next;
    if (!side->early)
        side->early_last = NULL;
    side->hole_marked = false;
    return early;
}

static struct packet early_packet(const struct early *early) {
    return (struct packet){
        .number = early->number,
        .time_ns = early->time_ns,
        .interface = early->interface,
        .link_type = early->link_type,
        .wire_size = early->wire_size,
    };
}

/* Octets that the snap length cut off are a gap as soon as the stream reaches them, but a later
 * copy of the segment may have brought them after all. */
static bool stream_pass_cut(struct flows *flows, struct flow *flow, enum flow_side from,
                            const struct packet *packet) {
    struct side *side = &flow->sides[from];
    uint32_t until = side->cut_until;
    if (!side->cut)
        return false;
    if (side->early && distance(side->early->sequence, until) > 0)
        until = side->early->sequence;
    if (distance(side->next, side->cut_until) <= 0)
        side->cut = false;
    int32_t lost = distance(side->next, until);
    if (!side->cut || lost <= 0)
        return false;
    side->next = until;
    stream_gap(flows, flow, from, (uint32_t)lost, packet);
    return true;
}

static void stream_mark_cut(struct side *side, uint32_t end) {
    if (!side->cut || distance(side->cut_until, end) > 0)
        side->cut_until = end;
    side->cut = true;
}

/* The first early segment's new octets; `packet` is the one that made them available, NULL: its
 * own. */
static void stream_feed_early(struct flows *flows, struct flow *flow, enum flow_side from,
                              const struct packet *packet) {
    struct side *side = &flow->sides[from];
    struct early *early = early_pop(side);
    struct packet own = early_packet(early);
    int32_t skip = distance(early->sequence, side->next);
    struct span bytes =
        span_slice((struct span){early->data, early->size}, (size_t)skip, early->size);
    if (early->missing > 0)
        stream_mark_cut(side, early->sequence + early->size + early->missing);
    side->next += (uint32_t)bytes.size;
    stream_feed(flows, flow, from, bytes, packet ? packet : &own);
    early_free(flows, side, early);
}

/* Everything that has become contiguous. */
static void stream_drain(struct flows *flows, struct flow *flow, enum flow_side from,
                         const struct packet *packet) {
    struct side *side = &flow->sides[from];
    struct packet own = {0};
    for (;;) {
        if (flow->ignored)
            return;
        if (side->early)
            own = early_packet(side->early);
        if (stream_pass_cut(flows, flow, from, packet ? packet : &own))
            continue;
        if (!side->early || distance(side->next, side->early->sequence) > 0)
            break;
        stream_feed_early(flows, flow, from, packet);
    }
    if (side->fin_seen && !side->fin_passed && side->next == side->final) {
        side->fin_passed = true;
        side->next++;
    }
    advance_highest(side, side->next);
}

/* The octets before the first early segment are lost. */
static void stream_skip_hole(struct flows *flows, struct flow *flow, enum flow_side from) {
    struct side *side = &flow->sides[from];
    struct packet own = early_packet(side->early);
    int32_t lost = distance(side->next, side->early->sequence);
    side->hole_marked = false;
    if (lost > 0) {
        side->next = side->early->sequence;
        stream_gap(flows, flow, from, (uint32_t)lost, &own);
    }
    stream_drain(flows, flow, from, NULL);
}

struct piece {
    uint32_t sequence;
    struct span bytes;
    uint32_t missing;
};

/* Between two early segments, either of which may be NULL. */
static void early_insert(struct flows *flows, struct side *side, struct early *before,
                         const struct piece *piece, const struct packet *packet) {
    struct early *early = malloc(sizeof *early + piece->bytes.size);
    if (!early) { /* as if it had not been captured */
        flows->counts.no_memory++;
        return;
    }
    *early = (struct early){
        .next = before ? before->next : side->early,
        .sequence = piece->sequence,
        .size = (uint32_t)piece->bytes.size,
        .missing = piece->missing,
        .number = packet->number,
        .time_ns = packet->time_ns,
        .interface = packet->interface,
        .wire_size = packet->wire_size,
        .link_type = packet->link_type,
    };
    if (piece->bytes.size > 0)
        memcpy(early->data, piece->bytes.data, piece->bytes.size);
    *(before ? &before->next : &side->early) = early;
    if (!early->next)
        side->early_last = early;
    side->held += early->size + EARLY_COST;
    flows->held_total += early->size + EARLY_COST;
}

/* Leaves out the first octets, captured or cut off. */
static void piece_trim(struct piece *piece, uint32_t size) {
    uint32_t captured = (uint32_t)piece->bytes.size;
    uint32_t cut = size > captured ? size - captured : 0;
    piece->bytes = span_slice(piece->bytes, size, captured);
    piece->missing = piece->missing > cut ? piece->missing - cut : 0;
    piece->sequence += size;
}

/* Keeps what is new of a segment: where octets came twice, those that came first stay. */
static void early_add(struct flows *flows, struct side *side, struct piece piece,
                      const struct packet *packet) {
    struct early *before = NULL, *at = side->early;
    if (side->early_last &&
        distance(side->early_last->sequence + side->early_last->size, piece.sequence) >= 0) {
        before = side->early_last;
        at = NULL;
    }
    for (; at; before = at, at = at->next) {
        int32_t room = distance(piece.sequence, at->sequence);
        int32_t covered = distance(piece.sequence, at->sequence + at->size);
        if (room >= (int32_t)piece.bytes.size)
            break;
        if (room > 0) {
            struct piece part = {piece.sequence, span_slice(piece.bytes, 0, (size_t)room), 0};
            early_insert(flows, side, before, &part, packet);
        }
        if (covered > 0)
            piece_trim(&piece, (uint32_t)covered);
    }
    if (piece.bytes.size > 0 || piece.missing > 0)
        early_insert(flows, side, before, &piece, packet);
}

static void stream_hold(struct flows *flows, struct flow *flow, enum flow_side from,
                        const struct piece *piece, const struct packet *packet) {
    struct side *side = &flow->sides[from];
    early_add(flows, side, *piece, packet);
    while (!flow->ignored && side->early &&
           (side->held + side->pending.size > FLOW_HELD_MAX ||
            flows->held_total > FLOWS_HELD_TOTAL_MAX))
        stream_skip_hole(flows, flow, from);
}

/* What is said beside the bytes */

/* Compares a segment's octets with those that are held at the same place. */
static bool held_differs(const struct segment *segment, uint32_t sequence, struct span held) {
    int32_t shift = distance(segment_start(segment), sequence);
    struct span ours = segment->payload;
    if (shift >= 0)
        ours = span_slice(ours, (size_t)shift, ours.size);
    else
        held = span_slice(held, (size_t) - (int64_t)shift, held.size);
    size_t size = ours.size < held.size ? ours.size : held.size;
    return size > 0 && memcmp(ours.data, held.data, size) != 0;
}

static void note_held(const struct side *side, const struct segment *segment,
                      struct segment_note *note) {
    uint32_t start = segment_start(segment), end = segment_end(segment);
    if (side->pending.size > 0) {
        uint32_t first = side->next - side->pending.size - (side->fin_passed ? 1 : 0);
        note->conflict = held_differs(segment, first, backlog_span(&side->pending));
    }
    for (const struct early *early = side->early; early; early = early->next) {
        if (distance(end, early->sequence) >= 0)
            break;
        if (distance(early->sequence + early->size, start) >= 0)
            continue;
        note->retransmission = true;
        note->conflict |=
            held_differs(segment, early->sequence, (struct span){early->data, early->size});
    }
}

/* RFC 9293 3.8.4: a probe repeats the octet before the next one, or sends none from there. */
static bool is_keep_alive(const struct side *side, const struct segment *segment) {
    if (segment->payload_size > 1 || (segment->flags & (TCP_SYN | TCP_FIN | TCP_RST)))
        return false;
    if (!side->synced) /* a capture that begins in the middle: nobody sends single octets else */
        return segment->payload_size == 1 && !side->acks_advanced;
    return distance(segment->sequence, side->next) == 1 && side->next == side->highest &&
           !side->fin_seen;
}

static bool repeats_control(const struct side *side, const struct segment *segment) {
    if (segment->flags & TCP_SYN && side->syn_seen && segment->sequence == side->initial)
        return true;
    return segment->flags & TCP_FIN && side->fin_seen && segment_end(segment) == side->final;
}

static bool acks_unseen(const struct side *side, const struct side *other,
                        const struct segment *segment) {
    if (!(segment->flags & TCP_ACK) || (segment->flags & TCP_RST))
        return false;
    if (other->synced)
        return distance(other->highest, segment->acknowledgment) > 0;
    return side->acked_known && distance(side->first_ack, segment->acknowledgment) > 0;
}

void stream_note(const struct flow *flow, enum flow_side from, const struct segment *segment,
                 struct segment_note *note) {
    const struct side *side = &flow->sides[from];
    note->acks_unseen = acks_unseen(side, &flow->sides[!from], segment);
    note->keep_alive = is_keep_alive(side, segment);
    if (!side->synced)
        return;
    int32_t ahead = distance(side->next, segment_start(segment));
    note->sequence_distance = distance(side->highest, segment_start(segment));
    if (segment->payload_size > 0 && !note->keep_alive) {
        note->retransmission = ahead < 0;
        note->early = ahead > 0;
        if (ahead < 0)
            note->before = (uint32_t)-(int64_t)ahead - (side->fin_passed ? 1 : 0);
        if (side->early || side->pending.size > 0)
            note_held(side, segment, note);
    }
    note->retransmission |= repeats_control(side, segment);
}

/* A segment's own direction */

static void side_sync(struct side *side, uint32_t sequence) {
    side->next = side->highest = sequence;
    side->synced = true;
}

/* The first segment of a direction is its base; but where the other side acknowledged octets that
 * were never seen, the direction began before. */
static void stream_begin(struct side *side, const struct side *other, const struct segment *segment,
                         const struct segment_note *note) {
    uint32_t start = segment_start(segment);
    bool unseen = other->acks_advanced && distance(other->first_ack, start) > 0;
    side_sync(side, unseen ? other->first_ack : start + (note->keep_alive ? 1 : 0));
}

/* A handshake tells the base for sure, unless octets were given to the reader already. */
static void stream_take_syn(struct side *side, const struct segment *segment) {
    if (side->syn_seen)
        return;
    side->syn_seen = true;
    side->initial = segment->sequence;
    if (!side->synced)
        side_sync(side, segment->sequence + 1);
}

static void stream_take_ack(struct side *side, struct side *other, const struct segment *segment) {
    uint32_t ack = segment->acknowledgment;
    if (!(segment->flags & TCP_ACK) || (segment->flags & TCP_RST))
        return;
    if (!side->acked_known) {
        side->acked_known = true;
        side->acked = side->first_ack = ack;
    }
    if (distance(side->acked, ack) > 0) {
        side->acked = ack;
        if (!other->synced)
            side->acks_advanced = true;
    }
    /* The first acknowledgment after one's own SYN is for the other's SYN, and so tells where it
     * begins. */
    if (!other->synced && side->syn_seen)
        side_sync(other, ack);
}

static bool is_acked_near(const struct side *other, uint32_t sequence) {
    int32_t off = distance(other->acked, sequence);
    return other->acked_known && off >= -STREAM_NEAR && off <= STREAM_NEAR;
}

/* Far behind: after a pause of the capture everything would look like a retransmission. That the
 * direction really is there is shown by two segments in a row, one behind the other, or by the
 * other side's acknowledgments, which also tell how far it went. */
static bool stream_jumped(struct side *side, const struct segment *segment) {
    bool again = side->stray_seen && side->stray == segment->sequence;
    side->stray_seen = true;
    side->stray = segment_end(segment);
    return again;
}

static bool early_is_acked(const struct side *side, const struct side *other) {
    return other->acked_known && distance(side->early->sequence, other->acked) >= 0;
}

/* Moves to where a segment is that lies so far off that its distance says nothing. False: not
 * believed. */
static bool stream_follow_jump(struct flows *flows, struct flow *flow, enum flow_side from,
                               const struct packet *packet, const struct segment *segment) {
    struct side *side = &flow->sides[from];
    const struct side *other = &flow->sides[!from];
    uint32_t start = segment_start(segment);
    /* What is held would soon be more than half of all sequence numbers away. */
    if (side->early && distance(side->next, start) > STREAM_FAR && early_is_acked(side, other))
        stream_release(flows, flow);
    if (distance(side->next, start) >= -STREAM_OLD_MAX)
        return !flow->ignored;
    if (!stream_jumped(side, segment) && !is_acked_near(other, start))
        return false;
    stream_release(flows, flow);
    if (flow->ignored)
        return false;
    stream_gap(flows, flow, from, is_acked_near(other, start) ? start - side->next : 0, packet);
    side_sync(side, start);
    return true;
}

/* The segment reaches beyond `next`, and nothing early is in its way. */
static void stream_take_next(struct flows *flows, struct flow *flow, enum flow_side from,
                             const struct packet *packet, const struct segment *segment) {
    struct side *side = &flow->sides[from];
    size_t skip = (size_t)distance(segment_start(segment), side->next);
    struct span bytes = segment->payload;
    if (skip > 0)
        bytes = span_slice(bytes, skip, bytes.size);
    side->next += (uint32_t)bytes.size;
    if (segment->payload.size < segment->payload_size)
        stream_mark_cut(side, segment_end(segment));
    stream_feed(flows, flow, from, bytes, packet);
}

static void stream_take_payload(struct flows *flows, struct flow *flow, enum flow_side from,
                                const struct packet *packet, const struct segment *segment) {
    struct side *side = &flow->sides[from];
    uint32_t start = segment_start(segment), end = segment_end(segment);
    int32_t ahead = distance(side->next, start);
    if ((ahead < -STREAM_OLD_MAX || ahead > STREAM_FAR) &&
        !stream_follow_jump(flows, flow, from, packet, segment))
        return;
    advance_highest(side, end);
    if (distance(side->next, end) <= 0)
        return;
    bool in_the_way = side->early && distance(side->early->sequence, end) > 0;
    if (distance(side->next, start) <= 0 && !in_the_way) {
        stream_take_next(flows, flow, from, packet, segment);
    } else {
        struct piece piece = {start, segment->payload,
                              segment->payload_size - (uint32_t)segment->payload.size};
        int32_t old = distance(start, side->next);
        if (old > 0)
            piece_trim(&piece, (uint32_t)old);
        stream_hold(flows, flow, from, &piece, packet);
    }
    if (side->early || side->cut)
        stream_drain(flows, flow, from, packet);
}

static void stream_take_fin(struct flows *flows, struct flow *flow, enum flow_side from,
                            const struct packet *packet, const struct segment *segment) {
    struct side *side = &flow->sides[from];
    if (side->fin_seen)
        return;
    side->fin_seen = true;
    side->final = segment_end(segment);
    advance_highest(side, side->final + 1);
    stream_drain(flows, flow, from, packet);
}

static bool side_is_orderly(const struct side *side, const struct side *other) {
    return side->synced && side->acked_known && !side->cut && !side->fin_seen && !side->early &&
           side->next == side->highest && other->synced && !other->early;
}

void stream_look(struct flow *flow) {
    struct side *initiator = &flow->sides[FLOW_INITIATOR], *responder = &flow->sides[FLOW_RESPONDER];
    initiator->orderly = side_is_orderly(initiator, responder);
    responder->orderly = side_is_orderly(responder, initiator);
}

void stream_take_plain(struct flows *flows, struct flow *flow, enum flow_side from,
                       const struct packet *packet, const struct segment *segment) {
    struct side *side = &flow->sides[from];
    if (distance(side->acked, segment->acknowledgment) > 0)
        side->acked = segment->acknowledgment;
    side->next += segment->payload_size;
    side->highest = side->next;
    if (flows->sink.plain && side->pending.size == 0) {
        size_t used = flows->sink.plain(flow->user, from, packet, segment);
        if (used != segment->payload.size)
            stream_leave(flows, flow, from, segment->payload, used, packet);
        return;
    }
    flows->sink.segment(flow->user, packet, segment, &(struct segment_note){.side = from});
    stream_feed(flows, flow, from, segment->payload, packet);
}

void stream_take(struct flows *flows, struct flow *flow, enum flow_side from,
                 const struct packet *packet, const struct segment *segment,
                 const struct segment_note *note) {
    struct side *side = &flow->sides[from], *other = &flow->sides[!from];
    if (segment->flags & TCP_SYN)
        stream_take_syn(side, segment);
    else if (!side->synced && !(segment->flags & TCP_RST))
        stream_begin(side, other, segment, note);
    side->seen = true;
    stream_take_ack(side, other, segment);
    /* What a reset carries is a diagnostic text at best (RFC 9293 3.5.3). */
    if (segment->payload_size > 0 && !note->keep_alive && !(segment->flags & TCP_RST))
        stream_take_payload(flows, flow, from, packet, segment);
    if (segment->flags & TCP_FIN && !flow->ignored)
        stream_take_fin(flows, flow, from, packet, segment);
}

/* Holes */

/* The receiver has the octets, or is not in the capture at all; and they had their time to turn up.
 */
static bool hole_is_over(const struct flow *flow, const struct side *side, const struct side *other,
                         const struct packet *packet) {
    const struct early *early = side->early;
    if (packet->time_ns > early->time_ns && packet->time_ns - early->time_ns >= FLOW_HOLE_NS)
        return true;
    return other->seen && (flow->packets - side->hole_packets >= FLOW_HOLE_PACKETS ||
                           (side->fin_seen && other->fin_seen));
}

static void stream_check_hole(struct flows *flows, struct flow *flow, enum flow_side from,
                              const struct packet *packet) {
    struct side *side = &flow->sides[from];
    const struct side *other = &flow->sides[!from];
    while (side->early) {
        if (other->seen && !early_is_acked(side, other))
            return;
        if (!side->hole_marked)
            side->hole_packets = flow->packets;
        side->hole_marked = true;
        if (!hole_is_over(flow, side, other, packet))
            return;
        stream_skip_hole(flows, flow, from);
    }
}

void stream_check_holes(struct flows *flows, struct flow *flow, const struct packet *packet) {
    stream_check_hole(flows, flow, FLOW_INITIATOR, packet);
    if (!flow->ignored)
        stream_check_hole(flows, flow, FLOW_RESPONDER, packet);
}

void stream_release(struct flows *flows, struct flow *flow) {
    while (!flow->ignored) {
        const struct early *a = flow->sides[FLOW_INITIATOR].early,
                           *b = flow->sides[FLOW_RESPONDER].early;
        if (!a && !b)
            return;
        bool second = !a || (b && b->number < a->number);
        stream_skip_hole(flows, flow, second ? FLOW_RESPONDER : FLOW_INITIATOR);
    }
}

void stream_free(struct flows *flows, struct side *side) {
    while (side->early)
        early_free(flows, side, early_pop(side));
    backlog_free(&side->pending, &flows->held_total);
}
