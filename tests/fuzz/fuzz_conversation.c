/* core/conversation against any octets, with any of them missing, in any pieces.
 *
 * The input is a script: steps of a control octet, a length of 16 bits (little-endian) and as many
 * octets of stream, fewer at the end of the input. Bit 0 of the control octet is the direction; bit
 * 1 makes it a gap of that length, with no octets. The events must not depend on how the octets of
 * a step are split. */
#include <stdlib.h>
#include <string.h>

#include "core/conversation.h"

#define INPUT_SIZE_MAX 65536u /* octets; longer inputs show nothing new */
#define PART_EVENTS    4096u  /* events that are remembered of a run */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* What of an event must not depend on the pieces. */
struct seen {
    enum event_kind kind;
    enum direction from;
    uint64_t offset;
    enum message_kind message_kind;
    size_t size, present, lost;
    struct smb2_header header;
    bool whole, chained, after_gap, valid, known;
    uint64_t tag;
    uint8_t netbios_type;
    enum rule rule;
};

struct run {
    struct conversation conversation;
    struct event_list list;
    uint8_t *held[2]; /* octets that were not consumed, per direction */
    size_t held_size[2];
    uint32_t random; /* 0: pieces of `piece` octets */
    size_t piece;
    struct seen *events;
    size_t count;
};

static size_t next_piece(struct run *run) {
    if (run->random == 0)
        return run->piece;
    run->random = run->random * 1664525u + 1013904223u;
    return 1 + (run->random >> 16) % (run->random & 0x100 ? 8 : 300);
}

static void see(struct run *run, const struct event *event) {
    struct seen *seen = &run->events[run->count % PART_EVENTS];

    memset(seen, 0, sizeof *seen);
    run->count++;
    seen->kind = event->kind;
    seen->from = event->from;
    seen->offset = event->offset;
    seen->lost = event->lost;
    seen->netbios_type = event->netbios_type;
    seen->rule = event->verdict.rule;
    if (event->kind != EVENT_MESSAGE)
        return;
    seen->message_kind = event->message.kind;
    seen->size = event->message.size;
    seen->present = event->message.bytes.size;
    seen->header = event->message.header;
    seen->whole = event->whole;
    seen->chained = event->chained;
    seen->after_gap = event->after_gap;
    seen->valid = event->message.body_valid;
    seen->known = event->request.known;
    seen->tag = event->request.known ? event->request.tag : 0;
}

static bool fetch(struct run *run) {
    size_t before = run->count;
    struct event event;

    while (conversation_next(&run->conversation, &event)) {
        CHECK(event.message.bytes.size <= event.message.size || event.kind != EVENT_MESSAGE);
        if (event.kind == EVENT_MESSAGE)
            conversation_tag(&run->conversation, run->count);
        see(run, &event);
    }
    return run->count > before;
}

/* Feeds what is held; whoever consumes nothing must say how much more it wants. The octets are fed
 * from a room of just their size, so that reading past them is seen. */
static void pump(struct run *run, enum direction from) {
    size_t size = run->held_size[from], at = 0;
    uint8_t *room = malloc(size + 1);

    CHECK(room != NULL);
    memcpy(room + 1, run->held[from], size);
    while (at < size) {
        size_t left = size - at;
        size_t used =
            conversation_feed(&run->conversation, from, (struct span){room + 1 + at, left});

        CHECK(used <= left);
        at += used;
        fetch(run);
        if (used == 0) {
            CHECK(conversation_wants(&run->conversation, from) > left);
            break;
        }
    }
    memmove(run->held[from], room + 1 + at, size - at);
    run->held_size[from] = size - at;
    free(room);
}

static void feed(struct run *run, enum direction from, struct span bytes) {
    while (bytes.size > 0) {
        struct span piece = span_slice(bytes, 0, next_piece(run));

        memcpy(run->held[from] + run->held_size[from], piece.data, piece.size);
        run->held_size[from] += piece.size;
        bytes = span_slice(bytes, piece.size, bytes.size);
        if (bytes.size == 0 || run->held_size[from] >= conversation_wants(&run->conversation, from))
            pump(run, from);
    }
}

static void play(struct run *run, struct span script) {
    struct reader reader = reader_over(script);

    conversation_init(&run->conversation, &run->list);
    run->held_size[0] = run->held_size[1] = 0;
    run->count = 0;
    while (reader_left(&reader) >= 3) {
        uint8_t control = reader_u8(&reader);
        enum direction from = control & 1;
        size_t length = reader_u16(&reader);

        if (control & 2) {
            struct span partial = {run->held[from], run->held_size[from]};

            conversation_gap(&run->conversation, from, partial, length);
            fetch(run);
            run->held_size[from] = 0;
            continue;
        }
        if (length > reader_left(&reader))
            length = reader_left(&reader);
        feed(run, from, reader_take(&reader, length));
    }
}

static void run_new(struct run *run, size_t size) {
    run->events = calloc(PART_EVENTS, sizeof *run->events);
    run->held[0] = malloc(size + 1);
    run->held[1] = malloc(size + 1);
    CHECK(run->events != NULL && run->held[0] != NULL && run->held[1] != NULL);
}

static void run_free(struct run *run) {
    free(run->events);
    free(run->held[0]);
    free(run->held[1]);
}

static void check_same(const struct run *a, const struct run *b) {
    size_t count = a->count < PART_EVENTS ? a->count : PART_EVENTS;

    CHECK(a->count == b->count);
    for (size_t i = 0; i < count; i++)
        CHECK(memcmp(&a->events[i], &b->events[i], sizeof a->events[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct run whole = {.piece = SIZE_MAX}, other = {.piece = 1};
    struct span script = {data, size};

    if (size > INPUT_SIZE_MAX)
        return 0;
    run_new(&whole, size);
    run_new(&other, size);
    play(&whole, script);
    play(&other, script);
    check_same(&whole, &other);
    other.random = 1 + (uint32_t)size + (size > 0 ? (uint32_t)data[size - 1] << 8 : 0);
    play(&other, script);
    check_same(&whole, &other);
    run_free(&whole);
    run_free(&other);
    return 0;
}
