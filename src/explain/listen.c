#include "explain/listen.h"

#include <stdlib.h>
#include <string.h>

#include "explain/observe.h"

/* Room for held octets at first; more than HELD_KEEP is given back when it is empty. */
#define HELD_ROOM_MIN 2048u
#define HELD_KEEP 16384u

static void drain(struct heard *heard, uint64_t packet, uint64_t time_ns) {
    const struct event *event;

    while ((event = conversation_event(&heard->conversation)) != NULL) {
        if (event->kind == EVENT_MESSAGE && !message_is_response(&event->message))
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

static void held_set_size(struct listener *listener, struct held *held, uint32_t size) {
    listener->held_total += size;
    listener->held_total -= held->size;
    held->size = size;
    if (size == 0 && held->room > HELD_KEEP) {
        free(held->octets);
        held->octets = NULL;
        held->room = 0;
    }
}

static bool held_append(struct listener *listener, struct held *held, struct span bytes) {
    uint32_t size = held->size + (uint32_t)bytes.size;

    if (size > held->room) {
        uint32_t room = held->room > 0 ? held->room : HELD_ROOM_MIN;
        uint8_t *larger;

        while (room < size)
            room *= 2;
        larger = realloc(held->octets, room);
        if (larger == NULL) {
            listener->failed = true;
            return false;
        }
        held->octets = larger;
        held->room = room;
    }
    memcpy(held->octets + held->size, bytes.data, bytes.size);
    held_set_size(listener, held, size);
    return listener->held_total <= LISTEN_HELD_TOTAL_MAX;
}

static void held_drop(struct listener *listener, struct held *held, size_t used) {
    uint32_t left = held->size - (uint32_t)used;

    if (used > 0 && left > 0)
        memmove(held->octets, held->octets + used, left);
    held_set_size(listener, held, left);
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
    struct span part = span_slice(bytes, 0, wanted > held->size ? wanted - held->size : 1);

    if (!held_append(heard->listener, held, part))
        give_up(heard, from, packet, time_ns);
    held_drop(heard->listener, held,
              feed(heard, from, (struct span){held->octets, held->size}, packet, time_ns));
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

    while (heard->held[from].size > 0 && used < bytes.size)
        used += feed_held(heard, from, span_slice(bytes, used, bytes.size), packet, time_ns);
    used += feed(heard, from, span_slice(bytes, used, bytes.size), packet, time_ns);
    if (used < bytes.size && !held_append(heard->listener, &heard->held[from], span_slice(bytes, used, bytes.size)))
        give_up(heard, from, packet, time_ns);
}

void listen_repeat(struct heard *heard, enum direction from, struct span bytes, uint32_t before) {
    struct held *held = &heard->held[from];
    struct span ours = {held->octets, held->size};

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

    if (held->size > 0)
        partial = (struct span){held->octets, held->size};
    conversation_gap(&heard->conversation, from, partial, lost);
    drain(heard, packet, time_ns);
    held_set_size(heard->listener, held, 0);
}

void listen_end(struct heard *heard) {
    for (unsigned from = 0; from < 2; from++) {
        struct tcp_side *tcp = &heard->evidence->tcp[from];
        struct held *held = &heard->held[from];

        tcp->conflicts += held->conflicts;
        tcp->gaps += held->gaps;
        if (held->gaps > 0 && (tcp->gap_packet == 0 || held->gap_packet < tcp->gap_packet))
            tcp->gap_packet = held->gap_packet;
        held_set_size(heard->listener, held, 0);
        free(held->octets);
    }
}
