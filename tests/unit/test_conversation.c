/* core/conversation: streams made of real messages, whole, in pieces, with octets missing, and with
 * each rule of core/watch_rules.c broken once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../vectors/vectors.h"
#include "core/conversation.h"
#include "raised.h"

#define STREAM_MAX     (3u * 1024u * 1024u) /* octets of one direction */
#define STEPS_MAX      64u
#define EVENTS_MAX     64u
#define WHOLE          SIZE_MAX /* play(): pieces as they were put */
#define HEADER_MESSAGE 24u      /* offsets within a message */
#define HEADER_FLAGS   16u
#define HEADER_NEXT    20u
#define DIALECT        68u

struct step {
    enum direction from;
    size_t size; /* octets to feed */
    bool gap;
    size_t lost;
};

struct tape {
    struct vectors *vectors;
    struct conversation conversation;
    struct event_list list;
    uint8_t *streams[2];
    size_t written[2], fed[2], taken[2];
    bool passes;   /* what can be passed over is */
    size_t passed; /* octets */
    struct step steps[STEPS_MAX];
    unsigned step_count;
    struct event events[EVENTS_MAX];
    unsigned count;
    uint8_t room[1024]; /* of message() and changed() */
};

static int setup(void **state) {
    struct tape *tape = calloc(1, sizeof *tape);

    assert_non_null(tape);
    tape->vectors = vectors_new();
    for (unsigned i = 0; i < 2; i++) {
        tape->streams[i] = malloc(STREAM_MAX);
        assert_non_null(tape->streams[i]);
    }
    *state = tape;
    return 0;
}

static int teardown(void **state) {
    struct tape *tape = *state;

    vectors_free(tape->vectors);
    free(tape->streams[0]);
    free(tape->streams[1]);
    free(tape);
    return 0;
}

static void tape_clear(struct tape *tape) {
    tape->step_count = 0;
    tape->written[0] = tape->written[1] = 0;
}

static struct step *step_new(struct tape *tape, enum direction from) {
    struct step *step = &tape->steps[tape->step_count++];

    assert_true(tape->step_count <= STEPS_MAX);
    *step = (struct step){.from = from};
    return step;
}

static void put_raw(struct tape *tape, enum direction from, struct span bytes) {
    assert_true(tape->written[from] + bytes.size <= STREAM_MAX);
    memcpy(tape->streams[from] + tape->written[from], bytes.data, bytes.size);
    tape->written[from] += bytes.size;
    step_new(tape, from)->size = bytes.size;
}

static void put_zeros(struct tape *tape, enum direction from, size_t size) {
    assert_true(tape->written[from] + size <= STREAM_MAX);
    memset(tape->streams[from] + tape->written[from], 0, size);
    tape->written[from] += size;
    step_new(tape, from)->size = size;
}

static void put_frame(struct tape *tape, enum direction from, uint8_t type, size_t length) {
    uint8_t header[] = {type, (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};

    put_raw(tape, from, (struct span){header, sizeof header});
}

static void put(struct tape *tape, enum direction from, struct span message) {
    put_frame(tape, from, FRAME_MESSAGE, message.size);
    put_raw(tape, from, message);
}

static void put_vector(struct tape *tape, enum direction from, const char *name) {
    put(tape, from, vector(tape->vectors, name));
}

static void put_gap(struct tape *tape, enum direction from, size_t lost) {
    struct step *step = step_new(tape, from);

    step->gap = true;
    step->lost = lost;
}

/* A request is tagged with its place among the events. */
static bool fetch(struct tape *tape) {
    unsigned before = tape->count;

    while (conversation_next(&tape->conversation, &tape->events[tape->count])) {
        if (tape->events[tape->count].kind == EVENT_MESSAGE)
            conversation_tag(&tape->conversation, 1000 + tape->count);
        tape->count++;
        assert_true(tape->count < EVENTS_MAX);
    }
    return tape->count > before;
}

static void pump(struct tape *tape, enum direction from) {
    while (tape->taken[from] < tape->fed[from]) {
        size_t size = tape->fed[from] - tape->taken[from];
        struct span bytes = {tape->streams[from] + tape->taken[from], size};
        size_t used;

        if (tape->passes && conversation_pass(&tape->conversation, from, size)) {
            tape->taken[from] += size;
            tape->passed += size;
            continue;
        }
        used = conversation_feed(&tape->conversation, from, bytes);
        assert_true(used <= size);
        tape->taken[from] += used;
        if (!fetch(tape) && used == 0) {
            assert_true(conversation_wants(&tape->conversation, from) > size);
            break;
        }
    }
}

static void play_gap(struct tape *tape, const struct step *step) {
    enum direction from = step->from;
    struct span partial = {tape->streams[from] + tape->taken[from],
                           tape->fed[from] - tape->taken[from]};

    conversation_gap(&tape->conversation, from, partial, step->lost);
    tape->taken[from] = tape->fed[from];
    fetch(tape);
}

/* Feeds the first `first` octets of each step in one piece and the rest in pieces of `piece`. */
static void play_split(struct tape *tape, size_t first, size_t piece) {
    memset(tape->fed, 0, sizeof tape->fed);
    memset(tape->taken, 0, sizeof tape->taken);
    tape->count = 0;
    conversation_init(&tape->conversation, &tape->list);
    for (unsigned i = 0; i < tape->step_count; i++) {
        const struct step *step = &tape->steps[i];
        size_t now = first;

        if (step->gap)
            play_gap(tape, step);
        for (size_t done = 0; done < step->size; now = piece) {
            size_t size = now < step->size - done ? now : step->size - done;

            tape->fed[step->from] += size;
            done += size;
            pump(tape, step->from);
        }
    }
}

static void play(struct tape *tape) {
    play_split(tape, WHOLE, WHOLE);
}

/* Some octets of a vector, changed; borrows from the tape until the next call. */
static struct span changed(struct tape *tape, const char *name, size_t at, uint64_t value,
                           unsigned width) {
    struct span original = vector(tape->vectors, name);

    assert_true(original.size <= sizeof tape->room && at + width <= original.size);
    memcpy(tape->room, original.data, original.size);
    for (unsigned i = 0; i < width; i++)
        tape->room[at + i] = (uint8_t)(value >> (8 * i));
    return (struct span){tape->room, original.size};
}

/* A header and `size` octets of body that begins with a StructureSize of 4. */
static struct span message(struct tape *tape, uint16_t command, uint32_t flags, uint64_t message_id,
                           size_t size) {
    struct smb2_header header = {.protocol_id = 0x424d53fe,
                                 .structure_size = SMB2_HEADER_SIZE,
                                 .command = command,
                                 .flags = flags,
                                 .message_id = message_id};
    struct writer writer = writer_over(tape->room, sizeof tape->room);

    smb2_header_encode(&header, &writer);
    if (size >= 2) {
        writer_u16(&writer, 4);
        writer_zero(&writer, size - 2);
    }
    assert_false(writer.failed);
    return writer_done(&writer);
}

static struct span echo(struct tape *tape, uint32_t flags, uint64_t message_id) {
    return message(tape, SMB2_ECHO, flags, message_id, 4);
}

static void put_text(struct tape *tape, enum direction from, const char *text) {
    put_raw(tape, from, (struct span){(const uint8_t *)text, strlen(text)});
}

/* Takes the events' numbers and marks, not their spans. */
static void assert_same(const struct event *a, const struct event *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->chained, b->chained);
    assert_int_equal(a->whole, b->whole);
    assert_int_equal(a->after_gap, b->after_gap);
    assert_int_equal(a->netbios_type, b->netbios_type);
    assert_int_equal(a->lost, b->lost);
    assert_int_equal(a->verdict.rule, b->verdict.rule);
    assert_int_equal(a->verdict.offset, b->verdict.offset);
    if (a->kind != EVENT_MESSAGE)
        return;
    assert_int_equal(a->message.kind, b->message.kind);
    assert_int_equal(a->message.size, b->message.size);
    assert_int_equal(a->message.bytes.size, b->message.bytes.size);
    assert_int_equal(a->message.body_valid, b->message.body_valid);
    assert_memory_equal(&a->message.header, &b->message.header, sizeof a->message.header);
    assert_int_equal(a->request.known, b->request.known);
    if (a->request.known)
        assert_int_equal(a->request.tag, b->request.tag);
}

static void assert_play_as_before(struct tape *tape, size_t first, size_t piece) {
    struct event *before = malloc(sizeof tape->events);
    unsigned count = tape->count;

    assert_non_null(before);
    memcpy(before, tape->events, sizeof tape->events);
    play_split(tape, first, piece);
    assert_int_equal(tape->count, count);
    for (unsigned i = 0; i < count; i++)
        assert_same(&before[i], &tape->events[i]);
    free(before);
}

/* Byte by byte, and each step cut in two at every place. */
static void assert_any_split(struct tape *tape) {
    size_t longest = 0;

    for (unsigned i = 0; i < tape->step_count; i++)
        if (tape->steps[i].size > longest)
            longest = tape->steps[i].size;
    assert_play_as_before(tape, 1, 1);
    for (size_t first = 1; first < longest; first++)
        assert_play_as_before(tape, first, WHOLE);
}

static void assert_message(const struct tape *tape, unsigned i, enum direction from,
                           enum message_kind kind, uint64_t offset) {
    assert_true(i < tape->count);
    assert_int_equal(tape->events[i].kind, EVENT_MESSAGE);
    assert_int_equal(tape->events[i].from, from);
    assert_int_equal(tape->events[i].message.kind, kind);
    assert_int_equal(tape->events[i].offset, offset);
}

static unsigned broken_count(const struct tape *tape) {
    unsigned count = 0;

    for (unsigned i = 0; i < tape->count; i++)
        count += tape->events[i].kind == EVENT_BROKEN;
    return count;
}

/* This rule is broken, by this side, at this octet, and no other. */
static void assert_broken(struct tape *tape, enum rule rule, enum direction from, uint32_t offset) {
    play(tape);
    assert_int_equal(broken_count(tape), 1);
    for (unsigned i = 0; i < tape->count; i++) {
        const struct event *event = &tape->events[i];

        if (event->kind != EVENT_BROKEN)
            continue;
        assert_rule(event->verdict.rule, rule);
        assert_int_equal(event->from, from);
        assert_int_equal(event->verdict.offset, offset);
    }
    tape_clear(tape);
}

static void put_negotiate_302(struct tape *tape) {
    put_vector(tape, FROM_CLIENT, "v302.negreq");
    put_vector(tape, FROM_SERVER, "v302.negrsp");
}

static void put_session(struct tape *tape) {
    put_vector(tape, FROM_CLIENT, "pa.ss1");
    put_vector(tape, FROM_SERVER, "pa.ss1rsp");
    put_vector(tape, FROM_CLIENT, "pa.ss2");
    put_vector(tape, FROM_SERVER, "pa.final");
}

static void put_session_302(struct tape *tape) {
    put_negotiate_302(tape);
    put_session(tape);
}

static void put_session_311(struct tape *tape) {
    put_vector(tape, FROM_CLIENT, "pa.negreq");
    put_vector(tape, FROM_SERVER, "pa.negrsp");
    put_session(tape);
}

static void test_exchange(void **state) {
    static const enum message_kind kinds[] = {
        MESSAGE_NEGOTIATE_REQUEST,     MESSAGE_NEGOTIATE_RESPONSE,
        MESSAGE_SESSION_SETUP_REQUEST, MESSAGE_SESSION_SETUP_RESPONSE,
        MESSAGE_SESSION_SETUP_REQUEST, MESSAGE_SESSION_SETUP_RESPONSE,
        MESSAGE_IOCTL_REQUEST,         MESSAGE_IOCTL_RESPONSE,
    };
    static const char *const names[] = {"v302.negreq", "v302.negrsp", "pa.ss1",   "pa.ss1rsp",
                                        "pa.ss2",      "pa.final",    "v302.req", "v302.rsp"};
    struct tape *tape = *state;
    uint64_t at[2] = {0, 0};

    tape_clear(tape);
    put_session_302(tape);
    put_vector(tape, FROM_CLIENT, "v302.req");
    put_vector(tape, FROM_SERVER, "v302.rsp");
    play(tape);
    assert_int_equal(tape->count, 8);
    for (unsigned i = 0; i < 8; i++) {
        const struct event *event = &tape->events[i];
        struct span original = vector(tape->vectors, names[i]);

        assert_message(tape, i, i % 2, kinds[i], at[i % 2] + FRAME_HEADER_SIZE);
        at[i % 2] += FRAME_HEADER_SIZE + original.size;
        assert_true(span_equal(event->message.bytes, original));
        assert_true(event->whole && event->message.body_valid);
        assert_false(event->chained || event->after_gap);
        assert_int_equal(event->request.known, i % 2);
        if (i % 2 == 0)
            continue;
        assert_int_equal(event->request.tag, 1000 + i - 1);
        assert_int_equal(event->request.is_signed, i == 7);
        assert_int_equal(event->request.command, event->message.header.command);
        assert_int_equal(event->request.control_code, i == 7 ? FSCTL_VALIDATE_NEGOTIATE_INFO : 0);
    }
    assert_true(conversation_is_smb(&tape->conversation));
    assert_any_split(tape);
}

static void test_exchange_311(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_session_311(tape);
    put(tape, FROM_CLIENT, changed(tape, "gm0.tcreq", HEADER_MESSAGE, 4, 8));
    put(tape, FROM_SERVER, changed(tape, "gm0.tcrsp", HEADER_MESSAGE, 4, 8));
    put_vector(tape, FROM_SERVER, "ccm.wrsp.msg");
    play(tape);
    assert_int_equal(tape->count, 9);
    assert_int_equal(broken_count(tape), 0);
    assert_int_equal(tape->events[8].message.kind, MESSAGE_TRANSFORM);
    assert_true(tape->events[8].whole);
    assert_any_split(tape);
}

static void put_bulk_head(struct tape *tape, size_t size) {
    put_session_302(tape);
    put(tape, FROM_CLIENT, message(tape, SMB2_READ, 0, 4, 49));
    put_frame(tape, FROM_SERVER, FRAME_MESSAGE, SMB2_HEADER_SIZE + size);
    put_raw(tape, FROM_SERVER, message(tape, SMB2_READ, SMB2_FLAGS_SERVER_TO_REDIR, 4, 0));
}

/* Only the front of a READ response is looked at. */
static void test_bulk(void **state) {
    struct tape *tape = *state;
    size_t size = 1024u * 1024u;
    uint64_t next;

    tape_clear(tape);
    put_bulk_head(tape, size);
    put_zeros(tape, FROM_SERVER, size);
    put(tape, FROM_CLIENT, echo(tape, 0, 5));
    next = tape->written[FROM_SERVER] + FRAME_HEADER_SIZE;
    put(tape, FROM_SERVER, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 5));
    play(tape);
    assert_int_equal(tape->count, 10);
    assert_message(tape, 7, FROM_SERVER, MESSAGE_OTHER_RESPONSE,
                   next - FRAME_HEADER_SIZE - size - SMB2_HEADER_SIZE);
    assert_int_equal(tape->events[7].message.size, SMB2_HEADER_SIZE + size);
    assert_int_equal(tape->events[7].message.bytes.size, CONVERSATION_HEAD_MAX);
    assert_true(tape->events[7].whole && tape->events[7].request.known);
    assert_message(tape, 9, FROM_SERVER, MESSAGE_OTHER_RESPONSE, next);
    assert_play_as_before(tape, 1, 1);
    assert_play_as_before(tape, 193, 1460);
    assert_int_equal(tape->passed, 0);
    tape->passes = true;
    assert_play_as_before(tape, 193, 1460);
    tape->passes = false;
    assert_in_range(tape->passed, size - CONVERSATION_HEAD_MAX - 1460, size);
}

static void test_gap_in_bulk(void **state) {
    struct tape *tape = *state;
    uint64_t next;

    tape_clear(tape);
    put_bulk_head(tape, 100000);
    put_zeros(tape, FROM_SERVER, 50000);
    put_gap(tape, FROM_SERVER, 40000);
    put_zeros(tape, FROM_SERVER, 10000);
    put(tape, FROM_CLIENT, echo(tape, 0, 5));
    next = tape->written[FROM_SERVER] + 40000 + FRAME_HEADER_SIZE;
    put(tape, FROM_SERVER, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 5));
    play(tape);
    assert_int_equal(tape->count, 10);
    assert_message(tape, 9, FROM_SERVER, MESSAGE_OTHER_RESPONSE, next);
    assert_false(tape->events[9].after_gap);
    assert_true(tape->events[9].request.known);
    assert_int_equal(broken_count(tape), 0);
    assert_any_split(tape);
}

static void test_chain(void **state) {
    struct tape *tape = *state;
    uint64_t at[2];

    tape_clear(tape);
    put_session_302(tape);
    at[0] = tape->written[0] + FRAME_HEADER_SIZE;
    at[1] = tape->written[1] + FRAME_HEADER_SIZE;
    put_vector(tape, FROM_CLIENT, "cp.req");
    put_vector(tape, FROM_SERVER, "cp.rsp");
    play(tape);
    assert_int_equal(broken_count(tape), 0);
    for (unsigned side = 0; side < 2; side++) {
        const struct event *first = &tape->events[6];
        bool found = false;

        while (first->from != (enum direction)side)
            first++;
        assert_int_equal(first->offset, at[side]);
        assert_false(first->chained);
        for (const struct event *next = first + 1; next < tape->events + tape->count; next++) {
            if (next->from != (enum direction)side)
                continue;
            assert_true(next->chained && next->whole);
            assert_int_equal(next->request.known, side);
            assert_int_equal(next->offset, first->offset + first->message.header.next_command);
            assert_int_equal(first->message.size, first->message.header.next_command);
            found = true;
            first = next;
        }
        assert_true(found);
    }
    assert_any_split(tape);
}

static struct span with_next(struct tape *tape, uint32_t next) {
    struct span whole = message(tape, SMB2_ECHO, 0, 4, 100);

    for (unsigned i = 0; i < 4; i++)
        tape->room[HEADER_NEXT + i] = (uint8_t)(next >> (8 * i));
    return whole;
}

/* A NextCommand that leads nowhere: the rest of the frame is the message's, the next frame follows.
 */
static void test_chain_bad(void **state) {
    static const uint32_t nexts[] = {8, 56, 164, 168, 4096, 0xfffffff8};
    struct tape *tape = *state;

    for (unsigned i = 0; i < sizeof nexts / sizeof nexts[0]; i++) {
        tape_clear(tape);
        put_session_302(tape);
        put(tape, FROM_CLIENT, with_next(tape, nexts[i]));
        put(tape, FROM_CLIENT, echo(tape, 0, 5));
        play(tape);
        assert_int_equal(tape->count, 9);
        assert_int_equal(tape->events[6].message.size, 164);
        assert_rule(tape->events[7].verdict.rule, RULE_CHAIN_OUT_OF_BOUNDS);
        assert_int_equal(tape->events[7].verdict.offset, HEADER_NEXT);
        assert_message(tape, 8, FROM_CLIENT, MESSAGE_OTHER_REQUEST,
                       tape->written[FROM_CLIENT] - 68);
        assert_false(tape->events[8].chained);
        assert_any_split(tape);
    }
}

/* Within bounds, but what is there is no message. */
static void test_chain_nothing_behind(void **state) {
    static const uint32_t nexts[] = {72, 160, 162};
    struct tape *tape = *state;

    for (unsigned i = 0; i < sizeof nexts / sizeof nexts[0]; i++) {
        bool aligned = nexts[i] % 8 == 0;
        const struct event *last;

        tape_clear(tape);
        put_session_302(tape);
        put(tape, FROM_CLIENT, with_next(tape, nexts[i]));
        put(tape, FROM_CLIENT, echo(tape, 0, 5));
        play(tape);
        last = &tape->events[tape->count - 1];
        assert_int_equal(tape->count, aligned ? 9 : 10);
        assert_int_equal(tape->events[6].message.size, nexts[i]);
        if (!aligned)
            assert_rule(tape->events[7].verdict.rule, RULE_CHAIN_MISALIGNED);
        assert_rule(last[-1].verdict.rule, RULE_CHAIN_OUT_OF_BOUNDS);
        assert_int_equal(last[-1].offset, tape->events[6].offset + nexts[i]);
        assert_int_equal(last->message.header.message_id, 5);
        assert_false(last->chained);
        assert_any_split(tape);
    }
}

static void test_chain_misaligned(void **state) {
    struct tape *tape = *state;
    uint8_t both[68 + 68 + 2];
    struct span one = echo(tape, 0, 4);

    memset(both, 0, sizeof both);
    memcpy(both, one.data, one.size);
    both[HEADER_NEXT] = 70;
    one = echo(tape, 0, 5);
    memcpy(both + 70, one.data, one.size);
    tape_clear(tape);
    put_session_302(tape);
    put(tape, FROM_CLIENT, (struct span){both, sizeof both});
    play(tape);
    assert_int_equal(tape->count, 9);
    assert_rule(tape->events[7].verdict.rule, RULE_CHAIN_MISALIGNED);
    assert_true(tape->events[8].chained);
    assert_int_equal(tape->events[8].message.header.message_id, 5);
    assert_any_split(tape);
}

static void test_netbios(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_frame(tape, FROM_CLIENT, FRAME_SESSION_REQUEST, 68);
    put_zeros(tape, FROM_CLIENT, 68);
    put_frame(tape, FROM_SERVER, FRAME_POSITIVE_RESPONSE, 0);
    put_negotiate_302(tape);
    put_frame(tape, FROM_CLIENT, FRAME_KEEP_ALIVE, 0);
    put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, 0); /* a frame of nothing says nothing */
    put_session(tape);
    play(tape);
    assert_int_equal(tape->count, 9);
    assert_int_equal(broken_count(tape), 0);
    assert_int_equal(tape->events[0].kind, EVENT_NETBIOS);
    assert_int_equal(tape->events[0].netbios_type, FRAME_SESSION_REQUEST);
    assert_int_equal(tape->events[0].from, FROM_CLIENT);
    assert_int_equal(tape->events[1].netbios_type, FRAME_POSITIVE_RESPONSE);
    assert_int_equal(tape->events[1].from, FROM_SERVER);
    assert_message(tape, 2, FROM_CLIENT, MESSAGE_NEGOTIATE_REQUEST, 76);
    assert_int_equal(tape->events[4].kind, EVENT_NETBIOS);
    assert_int_equal(tape->events[4].netbios_type, FRAME_KEEP_ALIVE);
    assert_message(tape, 5, FROM_CLIENT, MESSAGE_SESSION_SETUP_REQUEST,
                   76 + vector(tape->vectors, "v302.negreq").size + 12);
    assert_any_split(tape);
}

static const uint8_t compressed[40] = {0xfc, 'S', 'M', 'B', 100, 0, 0, 0, 1, 0};

static void test_protected(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_vector(tape, FROM_CLIENT, "ccm.rreq.msg");
    put_vector(tape, FROM_SERVER, "ccm.rrsp.msg");
    put(tape, FROM_SERVER, (struct span){compressed, sizeof compressed});
    play(tape);
    assert_int_equal(tape->count, 3); /* of a connection that was joined late nothing is proved */
    assert_message(tape, 0, FROM_CLIENT, MESSAGE_TRANSFORM, 4);
    assert_message(tape, 1, FROM_SERVER, MESSAGE_TRANSFORM, 4);
    assert_int_equal(tape->events[0].message.size, vector(tape->vectors, "ccm.rreq.msg").size);
    assert_int_equal(tape->events[0].message.bytes.size, TRANSFORM_HEADER_SIZE);
    assert_int_equal(tape->events[2].message.kind, MESSAGE_COMPRESSED);
    assert_int_equal(tape->events[2].message.size, sizeof compressed);
    assert_any_split(tape);
}

static void test_gap_in_message(void **state) {
    struct tape *tape = *state;
    struct span response = vector(tape->vectors, "v302.negrsp");

    for (size_t kept = 20; kept < response.size; kept += 7) {
        tape_clear(tape);
        put_vector(tape, FROM_CLIENT, "v302.negreq");
        put_frame(tape, FROM_SERVER, FRAME_MESSAGE, response.size);
        put_raw(tape, FROM_SERVER, span_slice(response, 0, kept));
        put_gap(tape, FROM_SERVER, response.size - kept);
        put_vector(tape, FROM_CLIENT, "pa.ss1");
        put_vector(tape, FROM_SERVER, "pa.ss1rsp");
        play(tape);
        assert_int_equal(broken_count(tape), 0);
        assert_int_equal(tape->count, 4);
        assert_message(tape, 1, FROM_SERVER, MESSAGE_NEGOTIATE_RESPONSE, 4);
        assert_false(tape->events[1].whole);
        assert_int_equal(tape->events[1].message.bytes.size, kept);
        assert_int_equal(tape->events[1].message.size, response.size);
        assert_int_equal(tape->events[1].request.known, kept >= SMB2_HEADER_SIZE);
        assert_message(tape, 3, FROM_SERVER, MESSAGE_SESSION_SETUP_RESPONSE, response.size + 8);
        assert_true(tape->events[3].after_gap && tape->events[3].whole);
        assert_true(tape->events[3].request.known);
        assert_play_as_before(tape, 1, 1);
    }
}

/* A request cut in its header: what is not there is not held against it, nor against the answer. */
static void test_cut_header(void **state) {
    struct tape *tape = *state;
    struct span request = vector(tape->vectors, "pa.ss1");

    for (size_t kept = 4; kept < 100; kept++) {
        tape_clear(tape);
        put_vector(tape, FROM_CLIENT, "v302.negreq");
        put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, request.size);
        put_raw(tape, FROM_CLIENT, span_slice(request, 0, kept));
        put_gap(tape, FROM_CLIENT, request.size - kept);
        put_vector(tape, FROM_SERVER, "v302.negrsp");
        put_vector(tape, FROM_SERVER, "pa.ss1rsp");
        put_vector(tape, FROM_CLIENT, "pa.ss2");
        play(tape);
        assert_int_equal(tape->count, 5);
        assert_int_equal(broken_count(tape), 0);
        if (kept < 20) {
            assert_int_equal(tape->events[1].kind, EVENT_GAP);
            assert_int_equal(tape->events[1].lost, request.size - kept);
        } else {
            assert_message(tape, 1, FROM_CLIENT, MESSAGE_SESSION_SETUP_REQUEST,
                           vector(tape->vectors, "v302.negreq").size + 8);
            assert_false(tape->events[1].whole);
        }
        assert_int_equal(tape->events[2].request.tag, 1000);
        assert_int_equal(tape->events[3].request.known, kept >= SMB2_HEADER_SIZE);
        assert_true(tape->events[4].after_gap && tape->events[4].whole);
        assert_play_as_before(tape, 1, 1);
    }
}

/* Of a list of dialects that was cut the rest may have been offered. */
static void test_cut_offer(void **state) {
    struct tape *tape = *state;
    struct span request = vector(tape->vectors, "pa.negreq");

    for (size_t kept = 20; kept < request.size; kept++) {
        tape_clear(tape);
        put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, request.size);
        put_raw(tape, FROM_CLIENT, span_slice(request, 0, kept));
        put_gap(tape, FROM_CLIENT, request.size - kept);
        put_vector(tape, FROM_SERVER, "pa.negrsp");
        play(tape);
        assert_int_equal(tape->count, 2);
        assert_message(tape, 0, FROM_CLIENT, MESSAGE_NEGOTIATE_REQUEST, 4);
        assert_false(tape->events[0].whole);
        assert_message(tape, 1, FROM_SERVER, MESSAGE_NEGOTIATE_RESPONSE, 4);
    }
}

static void test_gap_unknown(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_session_302(tape);
    put_gap(tape, FROM_CLIENT, 0);
    put_text(tape, FROM_CLIENT, "the tail of a message that nobody saw the beginning of");
    put(tape, FROM_CLIENT, echo(tape, 0, 9));
    put(tape, FROM_CLIENT, echo(tape, 0, 10));
    put(tape, FROM_SERVER, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 10));
    play(tape);
    assert_int_equal(tape->count, 10);
    assert_int_equal(tape->events[6].kind, EVENT_GAP);
    assert_int_equal(tape->events[6].lost, 0);
    assert_message(tape, 7, FROM_CLIENT, MESSAGE_OTHER_REQUEST,
                   tape->written[FROM_CLIENT] - 2 * 72 + 4);
    assert_true(tape->events[7].after_gap && tape->events[7].whole);
    assert_false(tape->events[8].after_gap);
    assert_true(tape->events[9].request.known);
    assert_any_split(tape);
}

/* A gap that is longer than the message it begins in. */
static void test_gap_over_frames(void **state) {
    struct tape *tape = *state;
    struct span request = vector(tape->vectors, "pa.ss1");

    tape_clear(tape);
    put_negotiate_302(tape);
    put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, request.size);
    put_raw(tape, FROM_CLIENT, span_slice(request, 0, 80));
    put_gap(tape, FROM_CLIENT, request.size + 30);
    put_text(tape, FROM_CLIENT, "tail");
    put(tape, FROM_CLIENT, echo(tape, 0, 9));
    play(tape);
    assert_int_equal(tape->count, 4);
    assert_int_equal(broken_count(tape), 0);
    assert_false(tape->events[2].whole);
    assert_message(tape, 3, FROM_CLIENT, MESSAGE_OTHER_REQUEST,
                   tape->written[FROM_CLIENT] + request.size + 30 - 68);
    assert_true(tape->events[3].after_gap);
    assert_play_as_before(tape, 1, 1);
}

static void test_middle(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_text(tape, FROM_CLIENT, "second half of a WRITE request, with a SMB in it");
    put_vector(tape, FROM_CLIENT, "v302.req");
    put_vector(tape, FROM_SERVER, "v302.rsp");
    put(tape, FROM_SERVER, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 70));
    play(tape);
    assert_int_equal(tape->count, 3);
    assert_message(tape, 0, FROM_CLIENT, MESSAGE_IOCTL_REQUEST, 48 + 4);
    assert_true(tape->events[0].after_gap);
    assert_true(tape->events[1].request.known && tape->events[1].request.is_signed);
    assert_false(tape->events[2].request.known); /* no RESPONSE_WITHOUT_REQUEST */
    assert_any_split(tape);
}

static void test_noise(void **state) {
    struct tape *tape = *state;
    size_t left = CONVERSATION_SEARCH_MAX + 100;

    tape_clear(tape);
    put_zeros(tape, FROM_CLIENT, left);
    memset(tape->streams[FROM_CLIENT], 'x', left);
    play(tape);
    assert_int_equal(tape->count, 1);
    assert_int_equal(tape->events[0].kind, EVENT_NOISE);
    assert_true(conversation_is_noise(&tape->conversation));
    assert_false(conversation_is_smb(&tape->conversation));
    assert_int_equal(tape->taken[FROM_CLIENT], left);
    assert_play_as_before(tape, 1, 1);
    assert_play_as_before(tape, 1, 1460);
    tape->steps[0].size = CONVERSATION_SEARCH_MAX;
    play(tape);
    assert_int_equal(tape->count, 0);
    assert_false(conversation_is_noise(&tape->conversation));
}

static enum conversation_look look(const char *bytes, size_t size) {
    return conversation_look((struct span){(const uint8_t *)bytes, size});
}

/* All prefixes shorter than `told` say MORE, all others `answer`. */
static void assert_look(const char *bytes, size_t size, size_t told,
                        enum conversation_look answer) {
    for (size_t i = 0; i <= size; i++)
        assert_int_equal(look(bytes, i), i < told ? CONVERSATION_LOOK_MORE : answer);
}

static void test_look(void **state) {
    (void)state;
    assert_look("\0\0\0\x60\xfeSMB\x40\0", 10, 8, CONVERSATION_LOOK_SMB);
    assert_look("\0\0\0\x60\xffSMBr", 9, 8, CONVERSATION_LOOK_SMB);
    assert_look("\0\0\0\x60\xfdSMB", 8, 8, CONVERSATION_LOOK_SMB);
    assert_look("\0\0\0\x60\xfcSMB", 8, 8, CONVERSATION_LOOK_SMB);
    assert_look("\0\0\0\x60\xfbSMB", 8, 8, CONVERSATION_LOOK_NOT_SMB);
    assert_look("\0\0\0\0\0\0\0\0", 8, 8, CONVERSATION_LOOK_NOT_SMB);
    assert_look("\x81\0\0\x44 CKFD", 9, 4, CONVERSATION_LOOK_SMB);
    assert_look("\x82\0\0\0", 4, 4, CONVERSATION_LOOK_SMB);
    assert_look("\x83\0\0\1\x80", 5, 4, CONVERSATION_LOOK_SMB);
    assert_look("\x84\0\0\6", 4, 4, CONVERSATION_LOOK_SMB);
    assert_look("\x85\0\0\0\0\0\0\x60", 8, 4, CONVERSATION_LOOK_SMB);
    assert_look("\x81\0\0\x45 ", 5, 4, CONVERSATION_LOOK_NOT_SMB);
    assert_look("\x82\0\0\1", 4, 4, CONVERSATION_LOOK_NOT_SMB);
    assert_look("\x16\3\1\2\0\1\0\1", 8, 1, CONVERSATION_LOOK_NOT_SMB);
    assert_look("GET / HTTP/1.1\r\n", 16, 1, CONVERSATION_LOOK_NOT_SMB);
    assert_look("SSH-2.0-OpenSSH", 15, 1, CONVERSATION_LOOK_NOT_SMB);
}

/* Rules of the negotiation. */

static void test_rules_negotiate(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put(tape, FROM_CLIENT, changed(tape, "v302.negreq", HEADER_FLAGS, SMB2_FLAGS_SIGNED, 4));
    assert_broken(tape, RULE_NEGOTIATE_SIGNED, FROM_CLIENT, 16);
    put(tape, FROM_CLIENT, changed(tape, "v302.negreq", HEADER_MESSAGE, 2, 8));
    assert_broken(tape, RULE_NEGOTIATE_MESSAGE_ID, FROM_CLIENT, 24);
    put_negotiate_302(tape);
    put(tape, FROM_CLIENT, changed(tape, "v302.negreq", HEADER_MESSAGE, 1, 8));
    assert_broken(tape, RULE_NEGOTIATE_SECOND, FROM_CLIENT, 0);
    put_vector(tape, FROM_CLIENT, "v302.negreq");
    put(tape, FROM_SERVER, changed(tape, "v302.negrsp", DIALECT, SMB2_DIALECT_WILDCARD, 2));
    assert_broken(tape, RULE_RESPONSE_WILDCARD, FROM_SERVER, DIALECT);
    put_vector(tape, FROM_CLIENT, "v302.negreq");
    put(tape, FROM_SERVER, changed(tape, "v302.negrsp", DIALECT, 0x0222, 2));
    assert_broken(tape, RULE_RESPONSE_DIALECT, FROM_SERVER, DIALECT);
    put_vector(tape, FROM_CLIENT, "v302.negreq");
    put(tape, FROM_CLIENT, echo(tape, 0, 1));
    assert_broken(tape, RULE_COMMAND_BEFORE_NEGOTIATE, FROM_CLIENT, 12);
}

static void test_rule_frame_too_long(void **state) {
    struct tape *tape = *state;
    struct span response = vector(tape->vectors, "v302.negrsp");

    for (size_t size = 65536; size <= 65537; size++) {
        tape_clear(tape);
        put_vector(tape, FROM_CLIENT, "v302.negreq");
        put_frame(tape, FROM_SERVER, FRAME_MESSAGE, size);
        put_raw(tape, FROM_SERVER, response);
        put_zeros(tape, FROM_SERVER, size - response.size);
        play(tape);
        assert_int_equal(broken_count(tape), size - 65536);
    }
    assert_broken(tape, RULE_FRAME_TOO_LONG, FROM_SERVER, 0);
}

static const uint8_t smb1_negotiate[] = {
    0xff, 'S', 'M', 'B', 0x72, 0,   0,   0,   0,   0x18, 1,   0x28, 0,   0, 0, 0,
    0,    0,   0,   0,   0,    0,   0,   0,   0,   0,    0,   0,    0,   0, 0, 0,
    0,    12,  0,   2,   'S',  'M', 'B', ' ', '2', '.',  '?', '?',  '?', 0};

static void test_rules_smb1(void **state) {
    struct tape *tape = *state;
    struct span negotiate = {smb1_negotiate, sizeof smb1_negotiate - 1};
    uint8_t other[sizeof smb1_negotiate];

    memcpy(other, smb1_negotiate, sizeof other);
    other[4] = 0x75;
    tape_clear(tape);
    put_vector(tape, FROM_CLIENT, "v302.negreq");
    put(tape, FROM_CLIENT, negotiate);
    assert_broken(tape, RULE_SMB1_AFTER_NEGOTIATE, FROM_CLIENT, 0);
    put_negotiate_302(tape);
    put(tape, FROM_CLIENT, (struct span){other, sizeof other});
    assert_broken(tape, RULE_SMB1_MESSAGE, FROM_CLIENT, 0);
    put_negotiate_302(tape);
    put(tape, FROM_SERVER, (struct span){other, sizeof other});
    assert_broken(tape, RULE_SMB1_MESSAGE, FROM_SERVER, 0);
}

/* The multi-protocol negotiation, [MS-SMB2] 3.3.5.3.1: answered by SMB2 with "2.???", then again.
 */
static void test_multi_protocol(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put(tape, FROM_CLIENT, (struct span){smb1_negotiate, sizeof smb1_negotiate - 1});
    put(tape, FROM_SERVER, changed(tape, "v302.negrsp", DIALECT, SMB2_DIALECT_WILDCARD, 2));
    put(tape, FROM_CLIENT, changed(tape, "v302.negreq", HEADER_MESSAGE, 1, 8));
    put(tape, FROM_SERVER, changed(tape, "v302.negrsp", HEADER_MESSAGE, 1, 8));
    put_session(tape);
    play(tape);
    assert_int_equal(tape->count, 8);
    assert_message(tape, 0, FROM_CLIENT, MESSAGE_SMB1_NEGOTIATE_REQUEST, 4);
    assert_true(tape->events[1].request.known);
    assert_int_equal(tape->events[1].request.tag, 1000);
    assert_int_equal(tape->events[3].request.tag, 1002);
    assert_any_split(tape);
}

/* Rules of the header, the transport and the chain. */

static void test_rules_header(void **state) {
    struct tape *tape = *state;
    struct span one = echo(tape, 0, 4);

    tape_clear(tape);
    put_session_302(tape);
    put(tape, FROM_CLIENT, span_slice(one, 0, 40));
    assert_broken(tape, RULE_HEADER_SHORT, FROM_CLIENT, 0);
    put_session_302(tape);
    one = echo(tape, 0, 4);
    tape->room[4] = 65;
    put(tape, FROM_CLIENT, one);
    assert_broken(tape, RULE_HEADER_STRUCTURE_SIZE, FROM_CLIENT, 4);
    put_session_302(tape);
    put(tape, FROM_CLIENT, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 4));
    assert_broken(tape, RULE_DIRECTION_BIT, FROM_CLIENT, 16);
    put_session_302(tape);
    put(tape, FROM_SERVER, echo(tape, 0, 4));
    assert_broken(tape, RULE_DIRECTION_BIT, FROM_SERVER, 16);
    put_session_302(tape);
    put(tape, FROM_CLIENT, message(tape, 0x14, 0, 4, 4));
    assert_broken(tape, RULE_COMMAND_UNKNOWN, FROM_CLIENT, 12);
    put_session_302(tape);
    put(tape, FROM_CLIENT, echo(tape, SMB2_FLAGS_RELATED_OPERATIONS, 4));
    assert_broken(tape, RULE_CHAIN_FIRST_RELATED, FROM_CLIENT, 16);
    put_session_302(tape);
    put(tape, FROM_CLIENT, message(tape, SMB2_TREE_CONNECT, 0, 4, 8));
    assert_broken(tape, RULE_BODY_INVALID, FROM_CLIENT, SMB2_HEADER_SIZE);
    put_session_302(tape);
    put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, 12);
    put_text(tape, FROM_CLIENT, "not a header");
    assert_broken(tape, RULE_PROTOCOL_ID_UNKNOWN, FROM_CLIENT, 0);
}

static void test_rules_message_id(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_session_302(tape);
    put(tape, FROM_CLIENT, echo(tape, 0, 4));
    put(tape, FROM_CLIENT, echo(tape, 0, 4));
    assert_broken(tape, RULE_MESSAGE_ID_USED, FROM_CLIENT, 24);
    put_session_302(tape);
    put(tape, FROM_CLIENT, echo(tape, 0, 4));
    put(tape, FROM_CLIENT, message(tape, SMB2_CANCEL, 0, 4, 4));
    put(tape, FROM_SERVER, message(tape, SMB2_FLUSH, SMB2_FLAGS_SERVER_TO_REDIR, 4, 4));
    assert_broken(tape, RULE_RESPONSE_COMMAND, FROM_SERVER, 12);
    put_session_302(tape);
    put(tape, FROM_SERVER,
        message(tape, SMB2_OPLOCK_BREAK, SMB2_FLAGS_SERVER_TO_REDIR, UINT64_MAX, 24));
    put(tape, FROM_SERVER, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 77));
    assert_broken(tape, RULE_RESPONSE_WITHOUT_REQUEST, FROM_SERVER, 24);
}

/* What was lost may have been the request. */
static void test_answer_to_lost_request(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_session_302(tape);
    put_gap(tape, FROM_CLIENT, 72);
    put(tape, FROM_SERVER, echo(tape, SMB2_FLAGS_SERVER_TO_REDIR, 4));
    play(tape);
    assert_int_equal(tape->count, 8);
    assert_int_equal(broken_count(tape), 0);
    assert_false(tape->events[7].request.known);
}

/* Rules of signing and encryption. */

static void test_rules_signed(void **state) {
    struct tape *tape = *state;
    struct span request;

    tape_clear(tape);
    put_negotiate_302(tape);
    put_vector(tape, FROM_CLIENT, "pa.ss1");
    put_vector(tape, FROM_SERVER, "pa.ss1rsp");
    put_vector(tape, FROM_CLIENT, "pa.ss2");
    put(tape, FROM_SERVER, changed(tape, "pa.final", HEADER_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR, 4));
    assert_broken(tape, RULE_SESSION_RESPONSE_UNSIGNED, FROM_SERVER, 16);
    put_session_302(tape);
    put_vector(tape, FROM_CLIENT, "v302.req");
    put(tape, FROM_SERVER, changed(tape, "v302.rsp", HEADER_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR, 4));
    assert_broken(tape, RULE_RESPONSE_UNSIGNED, FROM_SERVER, 16);
    put_session_302(tape);
    put(tape, FROM_CLIENT, changed(tape, "v302.req", HEADER_FLAGS, 0, 4));
    assert_broken(tape, RULE_INFO_REQUEST_UNSIGNED, FROM_CLIENT, 16);
    put_session_311(tape);
    put_vector(tape, FROM_CLIENT, "v302.req");
    assert_broken(tape, RULE_INFO_ON_311, FROM_CLIENT, 68);
    put_session_311(tape);
    put(tape, FROM_CLIENT, changed(tape, "v302.req", HEADER_FLAGS, 0, 4));
    play(tape);
    assert_int_equal(broken_count(tape), 2);
    tape_clear(tape);
    put_session_311(tape);
    request = changed(tape, "gm0.tcreq", HEADER_MESSAGE, 4, 8);
    tape->room[HEADER_FLAGS] = 0;
    put(tape, FROM_CLIENT, request);
    assert_broken(tape, RULE_TREE_CONNECT_UNSIGNED, FROM_CLIENT, 16);
}

/* A guest has no key: nothing that is unsigned is held against anybody. */
static void test_guest(void **state) {
    struct tape *tape = *state;
    struct span final;

    tape_clear(tape);
    put_negotiate_302(tape);
    put_vector(tape, FROM_CLIENT, "pa.ss1");
    put_vector(tape, FROM_SERVER, "pa.ss1rsp");
    put_vector(tape, FROM_CLIENT, "pa.ss2");
    final = changed(tape, "pa.final", HEADER_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR, 4);
    tape->room[SMB2_HEADER_SIZE + 2] = SESSION_FLAG_IS_GUEST;
    put(tape, FROM_SERVER, final);
    put(tape, FROM_CLIENT, changed(tape, "v302.req", HEADER_FLAGS, 0, 4));
    put(tape, FROM_SERVER, changed(tape, "v302.rsp", HEADER_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR, 4));
    play(tape);
    assert_int_equal(tape->count, 8);
    assert_int_equal(broken_count(tape), 0);
}

static void test_rules_protected(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_negotiate_302(tape);
    put_vector(tape, FROM_CLIENT, "ccm.rreq.msg");
    assert_broken(tape, RULE_TRANSFORM_BEFORE_SESSION, FROM_CLIENT, 0);
    put_session_302(tape);
    put(tape, FROM_SERVER, changed(tape, "ccm.rrsp.msg", 42, 2, 2));
    assert_broken(tape, RULE_TRANSFORM_FLAGS, FROM_SERVER, 42);
    put_session_302(tape);
    put(tape, FROM_SERVER, changed(tape, "ccm.rrsp.msg", 36, 1, 4));
    assert_broken(tape, RULE_TRANSFORM_SIZE, FROM_SERVER, 36);
    put_session_302(tape);
    put(tape, FROM_SERVER, (struct span){compressed, sizeof compressed});
    assert_broken(tape, RULE_COMPRESSED_NOT_NEGOTIATED, FROM_SERVER, 0);
}

/* A header that is followed by nothing of its own, then octets of the chain that nobody fed: a gap
 * there is counted from what the caller still holds. */
static void test_gap_after_bad_chain(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_session_302(tape);
    put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, 164 + 100);
    put_raw(tape, FROM_CLIENT, with_next(tape, 72));
    put_gap(tape, FROM_CLIENT, 60);
    put_zeros(tape, FROM_CLIENT, 40);
    put(tape, FROM_CLIENT, echo(tape, 0, 5));
    play(tape);
    assert_int_equal(tape->count, 9);
    assert_rule(tape->events[7].verdict.rule, RULE_CHAIN_OUT_OF_BOUNDS);
    assert_message(tape, 8, FROM_CLIENT, MESSAGE_OTHER_REQUEST,
                   tape->written[FROM_CLIENT] + 60 - 68);
    assert_any_split(tape);
}

/* A caller that stops at 0, as conversation.h shows it, gets on with the octets that it has. */
static void test_no_progress_means_more(void **state) {
    struct tape *tape = *state;
    struct event event;
    size_t at, used, fed;

    tape_clear(tape);
    put_session_302(tape);
    at = tape->written[FROM_CLIENT];
    put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, 40);
    put_text(tape, FROM_CLIENT, "not what a message of this protocol is..");
    put(tape, FROM_CLIENT, echo(tape, 0, 5));
    play(tape);
    assert_rule(tape->events[6].verdict.rule, RULE_PROTOCOL_ID_UNKNOWN);
    assert_int_equal(tape->events[6].offset, at);
    assert_int_equal(tape->events[7].message.header.message_id, 5);
    conversation_init(&tape->conversation, &tape->list);
    for (fed = 0; fed < tape->written[FROM_CLIENT]; fed += used) {
        struct span left = {tape->streams[FROM_CLIENT] + fed, tape->written[FROM_CLIENT] - fed};

        used = conversation_feed(&tape->conversation, FROM_CLIENT, left);
        assert_true(used > 0);
        while (conversation_next(&tape->conversation, &event))
            continue;
    }
}

/* A gap that lies about its length moves nothing but the offsets. */
static void test_gap_huge(void **state) {
    struct tape *tape = *state;

    tape_clear(tape);
    put_negotiate_302(tape);
    put_frame(tape, FROM_CLIENT, FRAME_MESSAGE, 5000);
    put_raw(tape, FROM_CLIENT, message(tape, SMB2_SESSION_SETUP, 0, 2, 30));
    put_gap(tape, FROM_CLIENT, SIZE_MAX);
    put(tape, FROM_CLIENT, echo(tape, 0, 9));
    play(tape);
    assert_int_equal(tape->count, 4);
    assert_false(tape->events[2].whole);
    assert_true(tape->events[3].after_gap);
    assert_int_equal(tape->events[3].message.header.message_id, 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_exchange_311),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_gap_in_bulk),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_chain_bad),
        cmocka_unit_test(test_chain_nothing_behind),
        cmocka_unit_test(test_chain_misaligned),
        cmocka_unit_test(test_netbios),
        cmocka_unit_test(test_protected),
        cmocka_unit_test(test_gap_in_message),
        cmocka_unit_test(test_cut_header),
        cmocka_unit_test(test_cut_offer),
        cmocka_unit_test(test_gap_unknown),
        cmocka_unit_test(test_gap_over_frames),
        cmocka_unit_test(test_gap_after_bad_chain),
        cmocka_unit_test(test_no_progress_means_more),
        cmocka_unit_test(test_gap_huge),
        cmocka_unit_test(test_middle),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_rules_negotiate),
        cmocka_unit_test(test_rule_frame_too_long),
        cmocka_unit_test(test_rules_smb1),
        cmocka_unit_test(test_multi_protocol),
        cmocka_unit_test(test_rules_header),
        cmocka_unit_test(test_rules_message_id),
        cmocka_unit_test(test_answer_to_lost_request),
        cmocka_unit_test(test_rules_signed),
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_rules_protected),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
