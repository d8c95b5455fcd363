/* src/capture/flows: the bytes of each direction come out in order, once, and what is missing is
 * told exactly, however the segments came; the legs of a connection are told apart and nothing else
 * is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/backlog.h"
#include "capture/flows.h"

#define MILLISECOND 1000000ull
#define SECOND      1000000000ull
#define FLOWS_SEEN  16u
#define TEXT_MAX    4096u

enum {
    SYN = TCP_SYN,
    ACK = TCP_ACK,
    PSH = TCP_PSH,
    FIN = TCP_FIN,
    RST = TCP_RST,
    DATA = TCP_ACK | TCP_PSH
};

/* What a flow's sink was told: bytes as they are, a gap as [size] (with what was left unused before
 * it in braces). */
struct seen {
    struct net *net;
    char story[2][TEXT_MAX];
    size_t story_size[2];
    char endpoints[128];
    bool known, closed;
    uint32_t interface;
    unsigned segments, plain, closed_rank; /* plain: of the segments */
    uint64_t last_bytes_number; /* packet of the last bytes */
    struct segment_note note;   /* of the last segment */
};

enum temper { TAKES_ALL, TAKES_LINES, TAKES_NOTHING, IGNORES };

struct net {
    struct flows *flows;
    enum temper temper;
    struct seen seen[FLOWS_SEEN];
    unsigned seen_count, closed_count;
    uint64_t number, time_ns;
    /* How the next segment is sent. */
    uint8_t leg, ttl;
    uint16_t ip_id, port;
    bool has_mac, ipv6_like, same_ip_id;
    uint32_t interface, cut;
};

static void story_add(struct seen *seen, enum flow_side side, const void *data, size_t size) {
    if (seen->story_size[side] + size >= TEXT_MAX)
        size = TEXT_MAX - 1 - seen->story_size[side];
    memcpy(seen->story[side] + seen->story_size[side], data, size);
    seen->story_size[side] += size;
}

static void *on_opened(void *context, const struct endpoint *initiator,
                       const struct endpoint *responder, bool initiator_known, uint32_t interface) {
    struct net *net = context;
    char a[ENDPOINT_TEXT_MAX], b[ENDPOINT_TEXT_MAX];
    assert_true(net->seen_count < FLOWS_SEEN);
    struct seen *seen = &net->seen[net->seen_count++];
    endpoint_text(initiator, a);
    endpoint_text(responder, b);
    snprintf(seen->endpoints, sizeof seen->endpoints, "%s %s", a, b);
    seen->net = net;
    seen->known = initiator_known;
    seen->interface = interface;
    return seen;
}

static void on_segment(void *flow, const struct packet *packet, const struct segment *segment,
                       const struct segment_note *note) {
    struct seen *seen = flow;
    (void)segment;
    assert_false(seen->closed);
    assert_int_equal(packet->number, seen->net->number);
    seen->segments++;
    seen->note = *note;
}

static size_t on_bytes(void *flow, enum flow_side side, struct span bytes,
                       const struct packet *packet) {
    struct seen *seen = flow;
    size_t used = bytes.size;
    assert_false(seen->closed);
    assert_true(bytes.size > 0);
    seen->last_bytes_number = packet->number;
    if (seen->net->temper == IGNORES)
        return FLOW_IGNORE;
    if (seen->net->temper == TAKES_NOTHING)
        return 0;
    if (seen->net->temper == TAKES_LINES) {
        while (used > 0 && bytes.data[used - 1] != '\n')
            used--;
    }
    story_add(seen, side, bytes.data, used);
    return used;
}

static size_t on_plain(void *flow, enum flow_side side, const struct packet *packet, const struct segment *segment) {
    on_segment(flow, packet, segment, &(struct segment_note){.side = side});
    assert_int_equal(segment->payload.size, segment->payload_size);
    ((struct seen *)flow)->plain++;
    return segment->payload.size > 0 ? on_bytes(flow, side, segment->payload, packet) : 0;
}

static void on_gap(void *flow, enum flow_side side, struct span partial, size_t lost,
                   const struct packet *packet) {
    struct seen *seen = flow;
    char text[64];
    assert_false(seen->closed);
    assert_true(packet->number > 0);
    if (partial.size > 0 && partial.size < 100) {
        story_add(seen, side, "{", 1);
        story_add(seen, side, partial.data, partial.size);
        story_add(seen, side, "}", 1);
    }
    int size = snprintf(text, sizeof text, "[%zu]", lost);
    story_add(seen, side, text, (size_t)size);
}

static void on_closed(void *flow) {
    struct seen *seen = flow;
    assert_false(seen->closed);
    seen->closed = true;
    seen->closed_rank = ++seen->net->closed_count;
}

static int set_up(void **state) {
    struct net *net = calloc(1, sizeof *net);
    struct flow_sink sink = {net, on_opened, on_segment, on_bytes, on_gap, on_closed, on_plain};
    *state = net;
    net->flows = flows_new(&sink);
    net->time_ns = 1700000000 * SECOND;
    net->has_mac = true;
    net->ttl = 64;
    net->port = 50000;
    return net->flows ? 0 : -1;
}

static int tear_down(void **state) {
    struct net *net = *state;
    flows_free(net->flows);
    free(net);
    return 0;
}

static void set_endpoint(struct endpoint *endpoint, uint8_t last, uint16_t port) {
    static const uint8_t prefix[15] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2};
    memcpy(endpoint->address, prefix, 15);
    endpoint->address[15] = last;
    endpoint->port = port;
}

/* Client 192.0.2.10 and server 192.0.2.20:445. On leg n the packets pass between two machines of
 * its own. */
static void send_segment(struct net *net, enum flow_side from, uint8_t flags, uint32_t sequence,
                         uint32_t ack, struct span payload) {
    struct packet packet = {
        .number = ++net->number, .time_ns = net->time_ns, .interface = net->interface};
    struct segment segment = {
        .sequence = sequence,
        .acknowledgment = ack,
        .flags = flags,
        .ttl = net->ttl,
        .has_ip_id = !net->ipv6_like,
        .ip_id = net->ipv6_like    ? 0
                 : net->same_ip_id ? net->ip_id
                                   : ++net->ip_id,
        .window = 8192,
        .has_mac = net->has_mac,
        .payload = span_slice(payload, 0, net->cut ? net->cut : payload.size),
        .payload_size = (uint32_t)payload.size,
    };
    set_endpoint(from ? &segment.destination : &segment.source, 10, net->port);
    set_endpoint(from ? &segment.source : &segment.destination, 20, 445);
    if (net->has_mac) {
        segment.macs.source[5] = (uint8_t)(2 * net->leg + 1 + (from ? 1 : 0));
        segment.macs.destination[5] = (uint8_t)(2 * net->leg + 1 + (from ? 0 : 1));
    }
    flows_segment(net->flows, &packet, &segment);
    net->time_ns += MILLISECOND;
}

static void send(struct net *net, enum flow_side from, uint8_t flags, uint32_t sequence,
                 uint32_t ack, const char *payload) {
    send_segment(net, from, flags, sequence, ack,
                 (struct span){(const uint8_t *)payload, strlen(payload)});
}

static const enum flow_side C = FLOW_INITIATOR, S = FLOW_RESPONDER;

/* Client's octets from 1000 on, server's from 5000. */
static void shake_hands(struct net *net) {
    send(net, C, SYN, 999, 0, "");
    send(net, S, SYN | ACK, 4999, 1000, "");
    send(net, C, ACK, 1000, 5000, "");
}

static void check_story(struct net *net, unsigned flow, enum flow_side side, const char *expected) {
    assert_true(flow < net->seen_count);
    net->seen[flow].story[side][net->seen[flow].story_size[side]] = '\0';
    assert_string_equal(net->seen[flow].story[side], expected);
}

static struct flow_counts finish(struct net *net, unsigned flows) {
    struct flow_counts counts;
    flows_finish(net->flows);
    flows_counts(net->flows, &counts);
    assert_int_equal(net->seen_count, flows);
    assert_int_equal(net->closed_count, flows);
    assert_int_equal(counts.flows, flows);
    return counts;
}

static void in_order(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "hello ");
    send(net, S, DATA, 5000, 1006, "good day");
    send(net, C, DATA, 1006, 5008, "world");
    assert_int_equal(net->seen[0].note.sequence_distance, 0);
    assert_false(net->seen[0].note.retransmission || net->seen[0].note.early ||
                 net->seen[0].note.acks_unseen);
    send(net, C, FIN | ACK, 1011, 5008, "");
    send(net, S, FIN | ACK, 5008, 1012, "");
    send(net, C, ACK, 1012, 5009, "");
    assert_false(net->seen[0].note.acks_unseen || net->seen[0].note.keep_alive);
    struct flow_counts counts = finish(net, 1);
    check_story(net, 0, C, "hello world");
    check_story(net, 0, S, "good day");
    assert_string_equal(net->seen[0].endpoints, "192.0.2.10:50000 192.0.2.20:445");
    assert_true(net->seen[0].known);
    assert_int_equal(net->seen[0].segments, 9);
    assert_int_equal(net->seen[0].plain, 3); /* those with octets */
    assert_int_equal(counts.gaps + counts.duplicates + counts.ignored + counts.evicted, 0);
}

/* All orders of five segments, with the sequence numbers wrapping among them, and each of them sent
 * twice. */
static void any_order(void **state) {
    static const char *const parts[] = {"aa", "bbb", "cc", "dddd", "ee"};
    for (unsigned order = 0; order < 120; order++) {
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
        struct net *net = *state;
        uint32_t start = 0xfffffffau;
        unsigned left[] = {0, 1, 2, 3, 4}, rest = order;
        send(net, C, SYN, start - 1, 0, "");
        send(net, S, SYN | ACK, 4999, start, "");
        for (unsigned count = 5; count > 0; count--) {
            unsigned pick = rest % count, part = left[pick];
            rest /= count;
            memmove(left + pick, left + pick + 1, (count - pick - 1) * sizeof *left);
            uint32_t sequence = start;
            for (unsigned i = 0; i < part; i++)
                sequence += (uint32_t)strlen(parts[i]);
            send(net, C, DATA, sequence, 5000, parts[part]);
            send(net, C, DATA, sequence, 5000, parts[part]);
            assert_true(net->seen[0].note.retransmission);
            assert_false(net->seen[0].note.conflict);
        }
        check_story(net, 0, C, "aabbbccddddee");
        assert_int_equal(finish(net, 1).gaps, 0);
    }
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Random pieces of one text, overlapping and repeated, until all of it was sent: the text comes out
 * once. */
static void random_pieces(void **state) {
    static char text[1001];
    struct net *net = *state;
    uint32_t seed = 1;
    for (unsigned i = 0; i < 1000; i++)
        text[i] = (char)('a' + i * 7 % 26);
    for (unsigned round = 0; round < 100; round++) {
        net->port++;
        net->seen_count = net->closed_count = 0;
        memset(net->seen, 0, sizeof net->seen);
        bool sent[1000] = {0};
        uint32_t base = next_random(&seed) * 256;
        send(net, C, SYN, base - 1, 0, "");
        for (unsigned missing = 1000; missing > 0;) {
            uint32_t at = next_random(&seed) % 1000, size = 1 + next_random(&seed) % 120;
            if (at + size > 1000)
                size = 1000 - at;
            if (at > 0 && size == 1) /* would be a keep-alive probe */
                continue;
            net->time_ns = SECOND; /* or the hole at the beginning would be given up */
            send_segment(net, C, ACK, base + at, 5000, (struct span){(uint8_t *)text + at, size});
            assert_false(net->seen[0].note.conflict);
            for (uint32_t i = at; i < at + size; i++) {
                missing -= !sent[i];
                sent[i] = true;
            }
        }
        check_story(net, 0, C, text);
    }
}

static void a_filled_hole_belongs_to_its_filler(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1005, 5000, "later");
    assert_true(net->seen[0].note.early);
    assert_int_equal(net->seen[0].note.sequence_distance, 5);
    check_story(net, 0, C, "");
    send(net, C, DATA, 1000, 5000, "first");
    assert_false(net->seen[0].note.early || net->seen[0].note.retransmission);
    assert_int_equal(net->seen[0].note.sequence_distance, -10);
    check_story(net, 0, C, "firstlater");
    assert_int_equal(net->seen[0].last_bytes_number, 5);
}

static void first_seen_wins(void **state) {
    struct net *net = *state;
    net->temper = TAKES_LINES;
    shake_hands(net);
    send(net, C, DATA, 1004, 5000, "EFGH");
    send(net, C, DATA, 1002, 5000, "cdxxghij");
    assert_true(net->seen[0].note.conflict && net->seen[0].note.retransmission);
    send(net, C, DATA, 1004, 5000, "EFGH");
    assert_false(net->seen[0].note.conflict);
    send(net, C, DATA, 1000, 5000, "abcd");
    check_story(net, 0, C, "");
    send(net, C, DATA, 1006, 5000, "??");
    assert_true(
        net->seen[0].note.conflict); /* still held for the reader, who waits for the line's end */
    send(net, C, DATA, 1010, 5000, "\n");
    check_story(net, 0, C, "abcdEFGHij\n");
}

static void keep_alives_and_probes(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "abc");
    send(net, C, ACK, 1002, 5000, "\x01");
    assert_true(net->seen[0].note.keep_alive);
    assert_false(net->seen[0].note.retransmission);
    send(net, C, ACK, 1002, 5000, "");
    assert_true(net->seen[0].note.keep_alive);
    send(net, C, ACK, 1003, 5000, "d"); /* a probe of a closed window is data */
    assert_false(net->seen[0].note.keep_alive);
    send(net, C, DATA, 1003, 5000, "def");
    assert_true(net->seen[0].note.retransmission);
    finish(net, 1);
    check_story(net, 0, C, "abcdef");
}

static void capture_begins_in_the_middle(void **state) {
    struct net *net = *state;
    send(net, S, DATA, 70000, 3000, "answer");
    send(net, C, ACK, 2999, 70006, "\x01"); /* a keep-alive probe is no data */
    assert_true(net->seen[0].note.keep_alive);
    send(net, C, DATA, 3000, 70006, "request");
    assert_int_equal(net->seen[0].note.sequence_distance, 0);
    finish(net, 1);
    check_story(net, 0, C, "request");
    check_story(net, 0, S, "answer");
    assert_string_equal(net->seen[0].endpoints, "192.0.2.10:50000 192.0.2.20:445");
    assert_false(net->seen[0].known);
}

static void who_is_the_initiator(void **state) {
    struct net *net = *state;
    send(net, S, SYN | ACK, 4999, 1000, "");
    assert_string_equal(net->seen[0].endpoints, "192.0.2.10:50000 192.0.2.20:445");
    assert_true(net->seen[0].known);
    net->port = 300; /* lower than 445, but 445 is SMB's */
    send(net, S, DATA, 1, 1, "x");
    assert_string_equal(net->seen[1].endpoints, "192.0.2.10:300 192.0.2.20:445");
    net->port = 139; /* both are SMB's: the lower one is the server's */
    send(net, S, DATA, 1, 1, "x");
    assert_string_equal(net->seen[2].endpoints, "192.0.2.20:445 192.0.2.10:139");
    assert_false(net->seen[2].known);
    net->port = 51000;
    send(net, S, SYN, 1, 0, "");
    assert_string_equal(net->seen[3].endpoints, "192.0.2.20:445 192.0.2.10:51000");
    assert_true(net->seen[3].known);
}

static void lost_octets_at_the_end(void **state) {
    struct net *net = *state;
    net->temper = TAKES_LINES;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "one\ntw");
    send(net, C, DATA, 1010, 5000, "three\n");
    send(net, C, DATA, 1020, 5000, "five\nsi");
    struct flow_counts counts = finish(net, 1);
    check_story(net, 0, C, "one\n{tw}[4]three\n[4]five\n");
    assert_int_equal(counts.gaps, 2);
    assert_int_equal(counts.lost_octets, 8);
    assert_int_equal(net->seen[0].last_bytes_number, 6);
}

/* The receiver has them, the capture does not: after a while it is said, for the packet that came
 * behind the hole. */
static void acknowledged_holes(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1005, 5000, "later");
    send(net, S, ACK, 5000, 1010, "");
    assert_true(net->seen[0].note.acks_unseen == false);
    for (unsigned i = 1; i < FLOW_HOLE_PACKETS; i++)
        send(net, S, ACK, 5000, 1010, "");
    check_story(net, 0, C, "");
    send(net, S, ACK, 5000, 1010, "");
    check_story(net, 0, C, "[5]later");
    assert_int_equal(net->seen[0].last_bytes_number, 4);
    send(net, C, DATA, 1020, 5000, "much");
    send(net, S, ACK, 5000, 1024, "");
    net->time_ns += FLOW_HOLE_NS;
    send(net, S, ACK, 5000, 1024, "");
    check_story(net, 0, C, "[5]later[10]much");
}

/* Several receive queues: the acknowledgment was stored before the data. */
static void acknowledged_before_it_was_seen(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1005, 5000, "later");
    send(net, S, ACK, 5000, 1010, "");
    send(net, C, DATA, 1000, 5000, "first");
    check_story(net, 0, C, "firstlater");
    send(net, S, ACK, 5000, 1015, "");
    assert_true(net->seen[0].note.acks_unseen);
    send(net, C, DATA, 1010, 5000, "third");
    check_story(net, 0, C, "firstlaterthird");
    assert_int_equal(finish(net, 1).gaps, 0);
}

/* Not acknowledged: it may still be sent again, however long it takes. */
static void holes_that_nobody_acknowledged(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1005, 5000, "later");
    for (unsigned i = 0; i < 3 * FLOW_HOLE_PACKETS; i++) {
        net->time_ns += SECOND / 10;
        send(net, S, ACK, 5000, 1000, "");
    }
    check_story(net, 0, C, "");
    send(net, C, DATA, 1000, 5000, "first");
    check_story(net, 0, C, "firstlater");
}

static void holes_are_bounded(void **state) {
    static uint8_t bulk[60000];
    struct net *net = *state;
    memset(bulk, 'x', sizeof bulk);
    shake_hands(net);
    for (uint32_t i = 0; i < 5; i++)
        send_segment(net, C, ACK, 1010 + i * 60000, 5000, (struct span){bulk, sizeof bulk});
    assert_int_equal(net->seen[0].story[C][0], '[');
    struct flow_counts counts;
    flows_counts(net->flows, &counts);
    assert_int_equal(counts.gaps, 1);
    assert_int_equal(counts.lost_octets, 10);
}

static void a_reset_lets_everything_go(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1005, 5000, "later");
    send(net, S, DATA, 5003, 1000, "answer");
    send(net, S, RST, 9999999, 0, ""); /* nobody would believe this one */
    check_story(net, 0, C, "");
    assert_int_equal(net->seen[0].note.sequence_distance, 9999999 - 5009);
    send(net, S, RST, 5009, 0, "");
    assert_int_equal(net->seen[0].note.sequence_distance, 0);
    check_story(net, 0, C, "[5]later");
    check_story(net, 0, S, "[3]answer");
}

static void snap_length(void **state) {
    struct net *net = *state;
    net->temper = TAKES_LINES;
    shake_hands(net);
    net->cut = 6;
    send(net, C, DATA, 1000, 5000, "one\ntwo\n");
    send(net, C, DATA, 1008, 5000, "three\n");
    send(net, C, DATA, 1018, 5000, "five\nsix\n"); /* early, and cut */
    send(net, C, DATA, 1014, 5000, "444\n");
    finish(net, 1);
    check_story(net, 0, C, "one\n{tw}[2]three\n444\nfive\n{s}[3]");
}

/* Headers only: nothing is captured of any payload, and still the sizes are exact. */
static void snap_length_of_headers(void **state) {
    struct net *net = *state;
    static const uint8_t octets[1000];
    shake_hands(net);
    for (uint32_t i = 0; i < 3; i++) {
        struct packet packet = {.number = ++net->number, .time_ns = net->time_ns};
        struct segment segment = {.sequence = 1000 + 100 * (2 - i),
                                  .flags = ACK,
                                  .acknowledgment = 5000,
                                  .payload = {octets, 0},
                                  .payload_size = 100,
                                  .has_mac = true};
        set_endpoint(&segment.source, 10, net->port);
        set_endpoint(&segment.destination, 20, 445);
        segment.macs.source[5] = 1;
        segment.macs.destination[5] = 2;
        flows_segment(net->flows, &packet, &segment);
    }
    assert_int_equal(finish(net, 1).lost_octets, 300);
}

static void one_direction_only(void **state) {
    struct net *net = *state;
    send(net, C, SYN, 999, 0, "");
    send(net, C, ACK, 1000, 5000, "");
    assert_false(net->seen[0].note.acks_unseen);
    send(net, C, DATA, 1000, 5000, "ask");
    send(net, C, DATA, 1003, 5100, "more");
    assert_true(net->seen[0].note.acks_unseen);
    send(net, S, DATA, 5100, 1007, "seen");
    finish(net, 1);
    check_story(net, 0, C, "askmore");
    check_story(net, 0, S, "[100]seen");
}

static void the_other_direction_appears(void **state) {
    struct net *net = *state;
    send(net, C, DATA, 1000, 5000, "ask");
    send(net, C, DATA, 1003, 5100, "more");
    assert_true(net->seen[0].note.acks_unseen);
    send(net, S, DATA, 5150, 1007, "seen");
    finish(net, 1);
    check_story(net, 0, S, "[150]seen");
}

static void nothing_is_missing_where_the_capture_begins(void **state) {
    struct net *net = *state;
    send(net, C, DATA, 1000, 5000, "ask");
    send(net, S, DATA, 5150, 1003, "seen"); /* it was under way before */
    finish(net, 1);
    check_story(net, 0, S, "seen");
}

static void readers_that_take_lines(void **state) {
    struct net *net = *state;
    net->temper = TAKES_LINES;
    shake_hands(net);
    static const char text[] = "one\ntwo\nthree\n\nlast";
    for (uint32_t i = 0; text[i]; i++) {
        char octet[2] = {text[i], 0};
        send(net, C, DATA, 1000 + i, 5000, octet);
    }
    finish(net, 1);
    check_story(net, 0, C, "one\ntwo\nthree\n\n"); /* an end without its line's end is no gap */
}

static void readers_that_take_nothing(void **state) {
    static uint8_t bulk[50000];
    struct net *net = *state;
    net->temper = TAKES_NOTHING;
    shake_hands(net);
    for (uint32_t i = 0; i < 12; i++)
        send_segment(net, C, ACK, 1000 + i * 50000, 5000, (struct span){bulk, sizeof bulk});
    struct flow_counts counts = finish(net, 1);
    assert_int_equal(counts.gaps, 600000 / FLOW_HELD_MAX);
    assert_int_equal(counts.lost_octets, 0);
    check_story(net, 0, C, "[0][0]");
}

static void ignored_flows(void **state) {
    struct net *net = *state;
    net->temper = IGNORES;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "hello");
    assert_true(net->seen[0].closed);
    assert_int_equal(net->seen[0].segments, 4);
    send(net, C, DATA, 1005, 5000, "more");
    send(net, S, DATA, 5000, 1005, "more");
    send(net, C, SYN, 999, 0, ""); /* the same connection's */
    assert_int_equal(net->seen_count, 1);
    net->temper = TAKES_ALL;
    send(net, C, SYN, 8999, 0, "");
    send(net, C, DATA, 9000, 1, "next");
    assert_int_equal(finish(net, 2).ignored, 1);
    check_story(net, 1, C, "next");
}

static void syn_again_is_the_same_connection(void **state) {
    struct net *net = *state;
    send(net, C, SYN, 999, 0, "");
    net->time_ns += SECOND;
    send(net, C, SYN, 999, 0, "");
    assert_true(net->seen[0].note.retransmission);
    net->time_ns += 10 * SECOND;
    send(net, C, SYN, 999, 0, "");
    send(net, S, SYN | ACK, 4999, 1000, "");
    send(net, S, SYN | ACK, 4999, 1000, "");
    send(net, C, DATA, 1000, 5000, "x");
    finish(net, 1);
    check_story(net, 0, C, "x");
}

static void ports_are_used_again(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "first");
    send(net, C, FIN | ACK, 1005, 5000, "");
    send(net, S, FIN | ACK, 5000, 1006, "");
    send(net, C, ACK, 1006, 5001, "");
    send(net, C, RST, 1006, 0, ""); /* a straggler is the old one's */
    assert_int_equal(net->seen_count, 1);
    send(net, C, SYN, 700000, 0, "");
    assert_true(net->seen[0].closed);
    send(net, S, SYN | ACK, 900000, 700001, "");
    send(net, C, DATA, 700001, 900001, "second");
    send(net, C, RST | ACK, 700007, 900001, "");
    send(net, C, SYN, 800000, 0, "");
    send(net, C, DATA, 800001, 1, "third");
    finish(net, 3);
    check_story(net, 0, C, "first");
    check_story(net, 1, C, "second");
    check_story(net, 2, C, "third");
}

/* The end of the old connection was not captured. */
static void ports_are_used_again_without_an_end(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "first");
    send(net, C, SYN, 700000, 0, ""); /* a stranger's? */
    assert_int_equal(net->seen_count, 1);
    send(net, S, SYN | ACK, 900000, 700001, ""); /* no: it is answered */
    assert_int_equal(net->seen_count, 2);
    send(net, C, DATA, 700001, 900001, "second");
    net->time_ns += FLOW_IDLE_NS;
    send(net, C, SYN, 30000, 0, "");
    send(net, C, DATA, 30001, 1, "third");
    finish(net, 3);
    check_story(net, 0, C, "first");
    check_story(net, 1, C, "second");
    check_story(net, 2, C, "third");
    assert_string_equal(net->seen[1].endpoints, net->seen[0].endpoints);
}

static void a_forged_syn_changes_nothing(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "first");
    send(net, C, SYN, 700000, 0, "");
    send(net, S, ACK, 5000, 1005, "");
    send(net, C, DATA, 1005, 5000, "second");
    finish(net, 1);
    check_story(net, 0, C, "firstsecond");
}

static void syn_stored_after_its_answer(void **state) {
    struct net *net = *state;
    send(net, S, SYN | ACK, 4999, 1000, "");
    send(net, C, SYN, 999, 0, "");
    send(net, C, DATA, 1000, 5000, "x");
    finish(net, 1);
    check_story(net, 0, C, "x");
}

static void mirrored_twice(void **state) {
    struct net *net = *state;
    shake_hands(net);
    for (uint32_t i = 0; i < 4; i++) {
        send(net, C, DATA, 1000 + 2 * i, 5000, "ab");
        assert_false(net->seen[0].note.duplicate);
        net->same_ip_id = true;
        send(net, C, DATA, 1000 + 2 * i, 5000, "ab");
        net->same_ip_id = false;
        assert_true(net->seen[0].note.duplicate);
        assert_false(net->seen[0].note.retransmission);
    }
    send(net, C, DATA, 1006, 5000, "ab"); /* TCP's own repetition has another IP id */
    assert_true(net->seen[0].note.retransmission);
    assert_false(net->seen[0].note.duplicate);
    assert_int_equal(finish(net, 1).duplicates, 4);
    check_story(net, 0, C, "abababab");
}

static void mirrored_twice_without_ip_id(void **state) {
    struct net *net = *state;
    net->ipv6_like = true;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "ab");
    net->time_ns -= MILLISECOND - 20000;
    send(net, C, DATA, 1000, 5000, "ab");
    assert_true(net->seen[0].note.duplicate);
    net->time_ns += 300 * MILLISECOND;
    send(net, C, DATA, 1000, 5000, "ab");
    assert_true(net->seen[0].note.retransmission);
    assert_false(net->seen[0].note.duplicate);
}

/* Both legs in one file: the octets of each are its own. */
static void transparent_proxy(void **state) {
    struct net *net = *state;
    for (unsigned i = 0; i < 2; i++) {
        net->leg = (uint8_t)(2 * i);
        uint32_t off = 5000 * i;
        send(net, C, SYN, 999 + off, 0, "");
        send(net, S, SYN | ACK, 4999 + off, 1000 + off, "");
    }
    for (unsigned i = 0; i < 2; i++) {
        net->leg = (uint8_t)(2 * i);
        send(net, C, DATA, 1000 + 5000 * i, 5000 + 5000 * i, i ? "changed" : "original");
    }
    for (unsigned i = 2; i-- > 0;) {
        net->leg = (uint8_t)(2 * i);
        send(net, S, DATA, 5000 + 5000 * i, 1008 + 4999 * i, i ? "true" : "false");
    }
    assert_int_equal(finish(net, 2).gaps, 0);
    check_story(net, 0, C, "original");
    check_story(net, 1, C, "changed");
    check_story(net, 0, S, "false");
    check_story(net, 1, S, "true");
    assert_int_equal(net->seen[0].closed_rank, 1);
}

static void send_on_legs(struct net *net, enum flow_side from, uint8_t flags, uint32_t sequence,
                         uint32_t ack, const char *payload) {
    for (unsigned i = 0; i < 2; i++) {
        unsigned leg = from == C ? i : 1 - i;
        net->leg = net->has_mac ? (uint8_t)(2 * leg) : 0;
        net->ttl = (uint8_t)(64 - i);
        net->same_ip_id = i == 1;
        send(net, from, flags, sequence, ack,
             leg == 1 && strcmp(payload, "good") == 0 ? "evil" : payload);
    }
    net->same_ip_id = false;
}

static void check_inline_legs(struct net *net) {
    struct flow_counts counts = finish(net, 2);
    check_story(net, 0, C, "askgood");
    check_story(net, 1, C, "askevil");
    check_story(net, 0, S, "answer");
    check_story(net, 1, S, "answer");
    assert_int_equal(counts.duplicates + counts.gaps, 0);
}

/* The same sequence numbers on both legs, the server's answer on its own leg first. */
static void box_in_line(void **state) {
    struct net *net = *state;
    for (unsigned mac = 0; mac < 2; mac++) {
        if (mac) {
            tear_down(state);
            set_up(state);
            net = *state;
        }
        net->has_mac = mac == 0;
        send_on_legs(net, C, SYN, 999, 0, "");
        send_on_legs(net, S, SYN | ACK, 4999, 1000, "");
        send_on_legs(net, C, ACK, 1000, 5000, "");
        send_on_legs(net, C, DATA, 1000, 5000, "ask");
        send_on_legs(net, S, DATA, 5000, 1003, "answer");
        send_on_legs(net, C, DATA, 1003, 5006, "good");
        check_inline_legs(net);
    }
}

static void box_in_line_from_the_middle(void **state) {
    struct net *net = *state;
    send_on_legs(net, C, DATA, 1000, 5000, "ask");
    send_on_legs(net, S, DATA, 5000, 1003, "answer");
    send_on_legs(net, C, DATA, 1003, 5006, "good");
    check_inline_legs(net);
}

static void proxy_from_the_middle(void **state) {
    struct net *net = *state;
    for (unsigned i = 0; i < 4; i++) {
        net->leg = (uint8_t)(2 * (i % 2));
        uint32_t off = 5189 * (i % 2) + 4 * (i / 2);
        send(net, C, DATA, 1000 + off, 5000 + off, i % 2 ? "true" : "fake");
        send(net, S, DATA, 5000 + off, 1004 + off, i % 2 ? "TRUE" : "FAKE");
    }
    finish(net, 2);
    check_story(net, 0, C, "fakefake");
    check_story(net, 1, C, "truetrue");
    check_story(net, 0, S, "FAKEFAKE");
    check_story(net, 1, S, "TRUETRUE");
}

/* Without MAC addresses only the sequence numbers tell. */
static void proxy_without_addresses(void **state) {
    struct net *net = *state;
    net->has_mac = false;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t off = 5189 * i;
        send(net, C, SYN, 999 + off, 0, "");
        send(net, S, SYN | ACK, 4999 + off, 1000 + off, "");
    }
    for (unsigned i = 2; i-- > 0;) {
        uint32_t off = 5189 * i;
        send(net, C, DATA, 1000 + off, 5000 + off, i ? "true" : "fake");
        send(net, S, DATA, 5000 + off, 1004 + off, i ? "TRUE" : "FAKE");
    }
    finish(net, 2);
    check_story(net, 0, C, "fake");
    check_story(net, 1, C, "true");
    check_story(net, 0, S, "FAKE");
    check_story(net, 1, S, "TRUE");
}

/* pcapng with an interface per leg, each with the whole connection, one after the other or
 * interleaved, with the same addresses or others. */
static void an_interface_per_leg(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "first");
    send(net, C, RST, 1005, 0, "");
    net->interface = 1;
    net->time_ns -= 4 * MILLISECOND;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "first");
    finish(net, 2);
    check_story(net, 0, C, "first");
    check_story(net, 1, C, "first");
    assert_int_equal(net->seen[1].interface, 1);
}

static void an_interface_per_direction(void **state) {
    struct net *net = *state;
    for (unsigned i = 0; i < 6; i++) {
        static const char *const text[] = {"", "", "", "ask", "answer", "more"};
        static const uint8_t flags[] = {SYN, SYN | ACK, ACK, DATA, DATA, DATA};
        static const uint32_t sequence[] = {999, 4999, 1000, 1000, 5000, 1003};
        static const uint32_t ack[] = {0, 1000, 5000, 5000, 1003, 5006};
        net->interface = i == 1 || i == 4;
        send(net, net->interface == 1 ? S : C, flags[i], sequence[i], ack[i], text[i]);
    }
    finish(net, 1);
    check_story(net, 0, C, "askmore");
    check_story(net, 0, S, "answer");
}

/* Other machines per direction (asymmetric routes), and a new one in the middle (failover). */
static void paths_that_change(void **state) {
    struct net *net = *state;
    send(net, C, SYN, 999, 0, "");
    net->leg = 5;
    send(net, S, SYN | ACK, 4999, 1000, "");
    net->leg = 0;
    send(net, C, DATA, 1000, 5000, "ask");
    net->leg = 5;
    send(net, S, DATA, 5000, 1003, "answer");
    net->leg = 7;
    net->time_ns += 2 * SECOND;
    send(net, C, DATA, 1000, 5006, "ask"); /* sent again over the new router */
    assert_true(net->seen[0].note.retransmission);
    send(net, C, DATA, 1003, 5006, "more");
    net->leg = 0;
    send(net, C, DATA, 1007, 5006, "!");
    assert_int_equal(finish(net, 1).gaps, 0);
    check_story(net, 0, C, "askmore!");
    check_story(net, 0, S, "answer");
}

/* A forged reset comes from another machine, with another TTL, and is still this connection's. */
static void a_forged_reset_belongs_to_the_connection(void **state) {
    struct net *net = *state;
    for (unsigned mac = 0; mac < 2; mac++) {
        net->has_mac = mac;
        net->port++;
        shake_hands(net);
        net->leg = 9;
        net->ttl = 255;
        send(net, S, RST, 5400, 0, "");
        assert_int_equal(net->seen[mac].note.sequence_distance, 400);
        net->leg = 0;
        net->ttl = 64;
    }
    finish(net, 2);
}

static void legs_are_bounded(void **state) {
    struct net *net = *state;
    for (unsigned i = 0; i < FLOW_LEGS_MAX + 2; i++) {
        net->leg = (uint8_t)(2 * i);
        send(net, C, SYN, 1000 * i, 0, "");
    }
    assert_int_equal(net->closed_count, 2);
    assert_true(net->seen[0].closed && net->seen[1].closed);
    finish(net, FLOW_LEGS_MAX + 2);
}

/* After a pause of the capture everything lies far behind what was seen last. */
static void a_direction_that_jumps(void **state) {
    struct net *net = *state;
    uint32_t far = 1000 - 0x10000000u;
    shake_hands(net);
    send(net, C, DATA, 1000, 5000, "before");
    send(net, C, DATA, far, 5000, "stray");
    send(net, C, DATA, 1006, 5000, "!");
    check_story(net, 0, C, "before!");
    send(net, C, DATA, far, 5000, "aaa");
    send(net, C, DATA, far + 3, 5000, "bbb");
    send(net, C, DATA, far + 6, 5000, "ccc");
    check_story(net, 0, C, "before![0]bbbccc");
}

/* A fast transfer of which the capture got a packet now and then: gigabytes lie between them, and
 * the numbers wrap. The other side's acknowledgments show that it is so. */
static void a_direction_that_flies(void **state) {
    struct net *net = *state;
    uint32_t at = 5000;
    shake_hands(net);
    for (unsigned i = 0; i < 12; i++) {
        at += 1900000000u;
        send(net, C, ACK, 1000, at, "");
        send(net, S, DATA, at, 1000, "piece ");
        at += 6;
        if (i % 3 == 2)
            net->time_ns += 3 * SECOND;
    }
    struct flow_counts counts = finish(net, 1);
    const char *story = net->seen[0].story[S];
    unsigned pieces = 0;
    for (const char *found = story; (found = strstr(found, "piece ")); found++)
        pieces++;
    assert_int_equal(pieces, 12);
    assert_int_equal(counts.gaps, 12);
    assert_int_equal(counts.lost_octets, 12 * 1900000000ull);
}

static void closed_connections_linger(void **state) {
    struct net *net = *state;
    shake_hands(net);
    send(net, C, RST, 1000, 0, "");
    net->port++;
    net->time_ns += FLOW_LINGER_NS / 2;
    send(net, C, SYN, 1, 0, "");
    assert_false(net->seen[0].closed);
    net->time_ns += FLOW_LINGER_NS;
    send(net, C, ACK, 2, 1, "");
    assert_true(net->seen[0].closed);
    assert_false(net->seen[1].closed);
    finish(net, 2);
}

/* At finish in the order of their first packets, whatever happened since. */
static void closed_in_order(void **state) {
    struct net *net = *state;
    for (unsigned i = 0; i < 5; i++) {
        net->port = (uint16_t)(50000 + i * 37 % 5);
        shake_hands(net);
    }
    for (unsigned i = 0; i < 5; i += 2) {
        net->port = (uint16_t)(50000 + i * 37 % 5);
        send(net, C, RST, 1000, 0, "");
    }
    finish(net, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(net->seen[i].closed_rank, i + 1);
}

/* More connections than the table holds */

struct crowd {
    unsigned opened, closed;
    bool ignore;
    uint64_t first_closed; /* rank of the connection that was closed first */
};

struct member {
    struct crowd *crowd;
    unsigned rank;
};

static void *crowd_opened(void *context, const struct endpoint *initiator,
                          const struct endpoint *responder, bool known, uint32_t interface) {
    struct crowd *crowd = context;
    struct member *member = calloc(1, sizeof *member);
    (void)initiator, (void)responder, (void)known, (void)interface;
    *member = (struct member){crowd, ++crowd->opened};
    return member;
}

static void crowd_segment(void *flow, const struct packet *packet, const struct segment *segment,
                          const struct segment_note *note) {
    (void)flow, (void)packet, (void)segment, (void)note;
}

static size_t crowd_bytes(void *flow, enum flow_side side, struct span bytes,
                          const struct packet *packet) {
    struct member *member = flow;
    (void)side, (void)packet;
    return member->crowd->ignore ? FLOW_IGNORE : bytes.size;
}

static void crowd_gap(void *flow, enum flow_side side, struct span partial, size_t lost,
                      const struct packet *packet) {
    (void)flow, (void)side, (void)partial, (void)lost, (void)packet;
}

static void crowd_closed(void *flow) {
    struct member *member = flow;
    if (member->crowd->closed++ == 0)
        member->crowd->first_closed = member->rank;
    free(member);
}

static void crowd_segment_of(struct flows *flows, uint32_t who, uint64_t number) {
    static const uint8_t octets[] = "x";
    struct packet packet = {.number = number, .time_ns = number};
    struct segment segment = {
        .sequence = 1, .flags = ACK, .payload = {octets, 1}, .payload_size = 1, .has_mac = true};
    set_endpoint(&segment.source, 10, (uint16_t)(1024 + who % 50000));
    set_endpoint(&segment.destination, (uint8_t)(20 + who / 50000), 445);
    segment.acknowledgment = 1;
    segment.payload_size = 2;
    flows_segment(flows, &packet, &segment);
}

static void too_many_connections(void **state) {
    struct crowd crowd = {0};
    struct flow_sink sink = {&crowd,      crowd_opened, crowd_segment,
                             crowd_bytes, crowd_gap,    crowd_closed};
    struct flows *flows = flows_new(&sink);
    struct flow_counts counts;
    uint64_t number = 0;
    (void)state;
    for (uint32_t i = 0; i < FLOWS_MAX; i++)
        crowd_segment_of(flows, i, ++number);
    crowd_segment_of(flows, 0,
                     ++number); /* the oldest is not the one idle for the longest time any more */
    assert_int_equal(crowd.closed, 0);
    crowd_segment_of(flows, FLOWS_MAX, ++number);
    assert_int_equal(crowd.closed, 1);
    assert_int_equal(crowd.first_closed, 2);
    for (uint32_t i = 0; i < 3 * FLOWS_MAX; i++)
        crowd_segment_of(flows, i, ++number);
    flows_finish(flows);
    flows_counts(flows, &counts);
    assert_int_equal(crowd.opened, crowd.closed);
    assert_int_equal(counts.evicted, counts.flows - FLOWS_MAX);
    flows_free(flows);
}

/* What nobody is interested in makes room first. */
static void tombstones_go_first(void **state) {
    struct crowd crowd = {0};
    struct flow_sink sink = {&crowd,      crowd_opened, crowd_segment,
                             crowd_bytes, crowd_gap,    crowd_closed};
    struct flows *flows = flows_new(&sink);
    struct flow_counts counts;
    uint64_t number = 0;
    (void)state;
    crowd_segment_of(flows, 0, ++number);
    crowd.ignore = true;
    for (uint32_t i = 1; i < 2 * FLOWS_MAX; i++)
        crowd_segment_of(flows, i, ++number);
    crowd.ignore = false;
    flows_counts(flows, &counts);
    assert_int_equal(counts.evicted, 0);
    assert_int_equal(counts.ignored, 2 * FLOWS_MAX - 1);
    assert_int_equal(crowd.opened - crowd.closed, 1);
    crowd_segment_of(flows, 0, ++number);
    flows_finish(flows);
    assert_int_equal(crowd.opened, 2 * FLOWS_MAX);
    flows_free(flows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* What is held comes out as it came in, the total follows, and a large buffer is not kept for nothing. */
static void backlogs(void **state) {
    enum { PARTS = 100, PART = 777 };
    struct backlog first = {0}, second = {0};
    uint64_t total = 0;
    uint8_t part[PART];
    (void)state;
    for (unsigned i = 0; i < PARTS; i++) {
        memset(part, (int)i, sizeof part);
        assert_true(backlog_append(&first, (struct span){part, sizeof part}, &total));
    }
    assert_true(backlog_append(&second, (struct span){part, 5}, &total));
    assert_int_equal(total, PARTS * PART + 5);
    backlog_drop(&first, PART - 1, &total);
    backlog_drop(&first, 0, &total);
    assert_int_equal(first.size, (PARTS - 1) * PART + 1);
    for (unsigned i = 0; i < first.size; i++)
        assert_int_equal(first.data[i], (i + PART - 1) / PART);
    backlog_drop(&first, first.size, &total);
    backlog_clear(&second, &total);
    assert_int_equal(total, 0);
    assert_int_equal(first.room, 0);
    assert_int_not_equal(second.room, 0);
    backlog_free(&second, &total);
    assert_null(second.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(in_order),
        TEST(any_order),
        TEST(random_pieces),
        TEST(a_filled_hole_belongs_to_its_filler),
        TEST(first_seen_wins),
        TEST(keep_alives_and_probes),
        TEST(capture_begins_in_the_middle),
        TEST(who_is_the_initiator),
        TEST(lost_octets_at_the_end),
        TEST(acknowledged_holes),
        TEST(acknowledged_before_it_was_seen),
        TEST(holes_that_nobody_acknowledged),
        TEST(holes_are_bounded),
        TEST(a_reset_lets_everything_go),
        TEST(snap_length),
        TEST(snap_length_of_headers),
        TEST(one_direction_only),
        TEST(the_other_direction_appears),
        TEST(nothing_is_missing_where_the_capture_begins),
        TEST(readers_that_take_lines),
        TEST(readers_that_take_nothing),
        TEST(ignored_flows),
        TEST(syn_again_is_the_same_connection),
        TEST(ports_are_used_again),
        TEST(ports_are_used_again_without_an_end),
        TEST(a_forged_syn_changes_nothing),
        TEST(syn_stored_after_its_answer),
        TEST(mirrored_twice),
        TEST(mirrored_twice_without_ip_id),
        TEST(transparent_proxy),
        TEST(box_in_line),
        TEST(box_in_line_from_the_middle),
        TEST(proxy_from_the_middle),
        TEST(proxy_without_addresses),
        TEST(an_interface_per_leg),
        TEST(an_interface_per_direction),
        TEST(paths_that_change),
        TEST(a_forged_reset_belongs_to_the_connection),
        TEST(legs_are_bounded),
        TEST(a_direction_that_jumps),
        TEST(a_direction_that_flies),
        TEST(closed_connections_linger),
        TEST(closed_in_order),
        cmocka_unit_test(too_many_connections),
        cmocka_unit_test(tombstones_go_first),
        cmocka_unit_test(backlogs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
