#include "explain/listen.h"

#include <string.h>

#include "explain/observe.h"

static inline void drain(struct heard *heard, uint64_t packet, uint64_t time_ns) {
    const struct event *event;

    while ((event = conversation_event(&heard->conversation)) != NULL) {
        if (event->kind == EVENT_MESSAGE) /* does nothing where it is no request */
            conversation_tag(&heard->conversation, packet);
        observe_event(heard->evidence, event, packet, time_ns);
    }
}

/* Returns how many octets were used: the rest is of a message that is not whole. */
static size_t feed(struct heard *heard, enum direction from, struct span bytes, uint64_t packet, uint64_t time_ns) {
    size_t used = 0;

    while (used < bytes.size) {
        size_t step = conversation_feed(&heard->conversation, from, span_slice(bytes, used, bytes.size - used));

        drain(heard, packet, time_ns);
        if (step == 0)
            break;
        used += step;
    }
    return used;
}

/* False: no memory, or more than all may hold together. */
static bool held_append(struct listener *listener, struct held *held, struct span bytes) {
    bool is_held = backlog_append(&held->octets, bytes, &listener->held_total);

    listener->failed |= !is_held;
    return is_held && listener->held_total <= LISTEN_HELD_TOTAL_MAX;
}

/* They could not be held: lost, as if they had not been captured. */
static void give_up(struct heard *heard, enum direction from, uint64_t packet, uint64_t time_ns) {
    struct held *held = &heard->held[from];

    if (held->gaps++ == 0)
        held->gap_packet = packet;
    listen_gap(heard, from, (struct span){NULL, 0}, 0, packet, time_ns);
}

/* Puts octets behind those that are held, as many as are wanted with them. Returns how many that were. */
static size_t feed_held(struct heard *heard, enum direction from, struct span bytes, uint64_t packet,
                        uint64_t time_ns) {
    struct held *held = &heard->held[from];
    size_t wanted = conversation_wants(&heard->conversation, from);
    struct span part = span_slice(bytes, 0, wanted > held->octets.size ? wanted - held->octets.size : 1);

    if (!held_append(heard->listener, held, part))
        give_up(heard, from, packet, time_ns);
    backlog_drop(&held->octets, feed(heard, from, backlog_span(&held->octets), packet, time_ns),
                 &heard->listener->held_total);
    return part.size;
}

void listen_begin(struct heard *heard, struct listener *listener, struct evidence *evidence) {
    heard->listener = listener;
    heard->evidence = evidence;
    memset(heard->held, 0, sizeof heard->held);
    evidence_clear_messages(evidence);
    conversation_init(&heard->conversation, &listener->events);
}

void listen_bytes(struct heard *heard, enum direction from, struct span bytes, uint64_t packet, uint64_t time_ns) {
    size_t used = 0;

    if (conversation_pass(&heard->conversation, from, bytes.size))
        return;
    while (heard->held[from].octets.size > 0 && used < bytes.size)
        used += feed_held(heard, from, span_slice(bytes, used, bytes.size), packet, time_ns);
    used += feed(heard, from, span_slice(bytes, used, bytes.size), packet, time_ns);
    if (used < bytes.size && !held_append(heard->listener, &heard->held[from], span_slice(bytes, used, bytes.size)))
        give_up(heard, from, packet, time_ns);
}

void listen_repeat(struct heard *heard, enum direction from, struct span bytes, uint32_t before) {
    struct held *held = &heard->held[from];
    struct span ours = backlog_span(&held->octets);

    if (before > ours.size)
        bytes = span_slice(bytes, before - ours.size, bytes.size);
    else
        ours = span_slice(ours, ours.size - before, before);
    if (ours.size > bytes.size)
        ours.size = bytes.size;
    held->conflicts += ours.size > 0 && memcmp(ours.data, bytes.data, ours.size) != 0;
}

void listen_gap(struct heard *heard, enum direction from, struct span partial, size_t lost, uint64_t packet,
                uint64_t time_ns) {
    struct held *held = &heard->held[from];

    if (held->octets.size > 0)
        partial = backlog_span(&held->octets);
    conversation_gap(&heard->conversation, from, partial, lost);
    drain(heard, packet, time_ns);
    backlog_clear(&held->octets, &heard->listener->held_total);
}

void listen_end(struct heard *heard) {
    for (unsigned from = 0; from < 2; from++) {
        struct tcp_side *tcp = &heard->evidence->tcp[from];
        struct held *held = &heard->held[from];

        tcp->conflicts += held->conflicts;
        tcp->gaps += held->gaps;
        if (held->gaps > 0 && (tcp->gap_packet == 0 || held->gap_packet < tcp->gap_packet))
            tcp->gap_packet = held->gap_packet;
        backlog_free(&held->octets, &heard->listener->held_total);
    }
}
