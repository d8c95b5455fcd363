/* src/capture/link: a TCP segment is found behind every link layer, tunnel and extension header,
 * with the size that IP gives it; what is none is told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/link.h"
#include "packets.h"

#define PAYLOAD "payload of it"

enum { ETHERNET = 1, RAW = 101 };

struct fixture {
    struct blob a, b, c;
    struct link *link;
    struct segment segment;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    f->link = link_new();
    return f->link ? 0 : -1;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    link_free(f->link);
    free(f);
    return 0;
}

static enum link_result decode_span(struct fixture *f, uint16_t link_type, struct span bytes,
                                    size_t wire_size) {
    /* Of the exact size, so that a read beyond the end is noticed. */
    uint8_t *exact = malloc(bytes.size ? bytes.size : 1);
    memcpy(exact, bytes.data, bytes.size);
    struct packet packet = {.number = 1,
                            .link_type = link_type,
                            .wire_size = (uint32_t)wire_size,
                            .bytes = {exact, bytes.size}};
    memset(&f->segment, 0xff, sizeof f->segment);
    enum link_result result = link_decode(f->link, &packet, &f->segment);
    if (result == LINK_SEGMENT) {
        static uint8_t kept[65536]; /* the payload outlives the packet for the assertions */
        assert_true(f->segment.payload.size <= sizeof kept);
        memcpy(kept, f->segment.payload.data, f->segment.payload.size);
        f->segment.payload.data = kept;
    }
    free(exact);
    return result;
}

static enum link_result decode(struct fixture *f, uint16_t link_type, const struct blob *blob) {
    return decode_span(f, link_type, blob_span(blob), blob->size);
}

static void check_tcp(const struct segment *segment) {
    assert_int_equal(segment->source.port, 50000);
    assert_int_equal(segment->destination.port, 445);
    assert_int_equal(segment->sequence, 0x11223344);
    assert_int_equal(segment->acknowledgment, 0x01020304);
    assert_int_equal(segment->flags, TCP_ACK | TCP_PSH);
    assert_int_equal(segment->window, 0x2000);
    assert_int_equal(segment->payload_size, strlen(PAYLOAD));
    assert_int_equal(segment->payload.size, strlen(PAYLOAD));
    assert_memory_equal(segment->payload.data, PAYLOAD, strlen(PAYLOAD));
}

static void check_address(const struct endpoint *endpoint, const char *expected) {
    char text[ENDPOINT_TEXT_MAX];
    endpoint_text(endpoint, text);
    assert_string_equal(text, expected);
}

static void check_ipv4(const struct segment *segment) {
    check_tcp(segment);
    check_address(&segment->source, "192.0.2.10:50000");
    check_address(&segment->destination, "198.51.100.20:445");
    assert_true(endpoint_is_ipv4(&segment->source));
    assert_true(segment->has_ip_id && segment->dont_fragment);
    assert_int_equal(segment->ip_id, 0x1234);
    assert_int_equal(segment->ttl, 64);
}

static void check_ipv6(const struct segment *segment) {
    check_tcp(segment);
    check_address(&segment->source, "[2001:db8::a]:50000");
    check_address(&segment->destination, "[2001:db8::14]:445");
    assert_false(endpoint_is_ipv4(&segment->source));
    assert_false(segment->has_ip_id || segment->dont_fragment);
    assert_int_equal(segment->ttl, 63);
}

static void make_tcp4(struct fixture *f, struct blob *blob) {
    struct blob *inside = blob == &f->c ? &f->b : &f->c;
    make_tcp(inside, 50000, 445, 0x11223344, PAYLOAD);
    make_ipv4(blob, 6, inside);
}

static void make_tcp6(struct fixture *f, struct blob *blob) {
    struct blob *inside = blob == &f->c ? &f->b : &f->c;
    make_tcp(inside, 50000, 445, 0x11223344, PAYLOAD);
    make_ipv6(blob, 6, inside);
}

/* Every header that may stand before IPv4, as octets; a reader with its MAC addresses or without.
 */
struct wrapping {
    const char *name;
    uint16_t link_type;
    const char *header;
    bool mac;
};

#define MACS     "02005e000001 02005e00000a "
#define GRE_IPV4 MACS "0800 4500 0000 0001 0000 40 2f 0000 0a000001 0a000002 "
#define UDP_IPV4 MACS "0800 4500 0000 0001 0000 40 11 0000 0a000001 0a000002 "

static const struct wrapping wrappings[] = {
    {"Ethernet", ETHERNET, MACS "0800", true},
    {"VLAN", ETHERNET, MACS "8100 0005 0800", true},
    {"QinQ", ETHERNET, MACS "88a8 0005 8100 0006 0800", true},
    {"old QinQ", ETHERNET, MACS "9100 0005 8100 0006 0800", true},
    {"LLC with SNAP", ETHERNET, MACS "0050 aaaa03 000000 0800", true},
    {"VLAN, LLC with SNAP", ETHERNET, MACS "8100 0005 0050 aaaa03 000000 0800", true},
    {"MPLS, two labels", ETHERNET, MACS "8847 00010040 00020140", true},
    {"MPLS, pseudo wire", ETHERNET, MACS "8847 00010140 00000000 " MACS "0800", true},
    {"MPLS, pseudo wire without control word, address with a zero", ETHERNET,
     MACS "8847 00010140 000c29112233 005056445566 0800", false},
    {"MPLS, pseudo wire without control word", ETHERNET,
     MACS "8847 00010140 12345e000001 02005e00000a 0800", false},
    {"PPPoE", ETHERNET, MACS "8864 11 00 0001 0050 0021", true},
    {"PPPoE, compressed protocol", ETHERNET, MACS "8864 11 00 0001 0050 21", true},
    {"802.1ah", ETHERNET, MACS "88e7 00000001 " MACS "0800", true},
    {"GRE", ETHERNET, GRE_IPV4 "0000 0800", true},
    {"GRE, checksum, key and sequence", ETHERNET, GRE_IPV4 "b000 0800 00000000 00000001 00000002",
     true},
    {"GRE, bridged", ETHERNET, GRE_IPV4 "0000 6558 " MACS "0800", true},
    {"GRE of PPTP", ETHERNET, GRE_IPV4 "3081 880b 0000 0001 00000001 00000002 0021", true},
    {"ERSPAN I", ETHERNET, GRE_IPV4 "0000 88be " MACS "0800", true},
    {"ERSPAN II", ETHERNET, GRE_IPV4 "1000 88be 00000001 1005 0001 00000000 " MACS "0800", true},
    {"ERSPAN III", ETHERNET,
     GRE_IPV4 "1000 22eb 00000001 2005 0001 00000000 0000 0000 " MACS "0800", true},
    {"ERSPAN III, platform header, VLAN", ETHERNET,
     GRE_IPV4 "1000 22eb 00000001 2005 0001 00000000 0000 0001 0000000000000000 " MACS
              "8100 0001 0800",
     true},
    {"ERSPAN III of IP", ETHERNET, GRE_IPV4 "1000 22eb 00000001 2005 0001 00000000 0000 0800",
     true},
    {"VXLAN", ETHERNET, UDP_IPV4 "c000 12b5 0000 0000 08000000 00000100 " MACS "0800", true},
    {"VXLAN, Linux's old port", ETHERNET,
     UDP_IPV4 "c000 2118 0000 0000 08000000 00000100 " MACS "0800", true},
    {"Geneve", ETHERNET, UDP_IPV4 "c000 17c1 0000 0000 0100 6558 00000100 00000000 " MACS "0800",
     true},
    {"Geneve of IP", ETHERNET, UDP_IPV4 "c000 17c1 0000 0000 0000 0800 00000100", true},
    {"IP in IP", ETHERNET, MACS "0800 4500 0000 0001 0000 40 04 0000 0a000001 0a000002", true},
    {"IPv4 options", ETHERNET,
     MACS "0800 4600 0000 0001 0000 40 04 0000 0a000001 0a000002 01010100", true},
    {"authentication header", RAW,
     "4500 0000 0001 0000 40 33 0000 0a000001 0a000002 04 04 0000 00000001 "
     "00000002 000000000000000000000000",
     false},
    {"raw", RAW, "", false},
    {"raw (BSD)", 12, "", false},
    {"raw (OpenBSD)", 14, "", false},
    {"IPv4 only", 228, "", false},
    {"Linux cooked", 113, "0000 0001 0006 02005e00000a 0000 0800", true},
    {"Linux cooked, no address", 113, "0000 0304 0000 0000000000000000 0800", false},
    {"Linux cooked, VLAN", 113, "0000 0001 0006 02005e00000a 0000 8100 0001 0800", true},
    {"Linux cooked 2", 276, "0800 0000 00000007 0001 00 06 02005e00000a 0000", true},
    {"BSD loopback, little-endian", 0, "02000000", false},
    {"BSD loopback, big-endian", 0, "00000002", false},
    {"OpenBSD loopback", 108, "00000002", false},
    {"PPP", 9, "0021", false},
    {"PPP, HDLC", 9, "ff03 0021", false},
    {"PPP in HDLC framing", 50, "ff03 0021", false},
    {"Cisco HDLC", 104, "0f00 0800", false},
    {"Cisco HDLC in PPP's type", 50, "8f00 0800", false},
    {"PPPoE session", 51, "11 00 0001 0050 0021", false},
    {"PPP with direction", 204, "01 ff03 0021", false},
    {"Cisco HDLC with direction", 205, "00 0f00 0800", false},
    {"pppd", 166, "00 03 0021", false},
    {"token ring", 6, "1040 02005e000001 02005e00000a aaaa03 000000 0800", false},
    {"token ring, source routed", 6, "1040 02005e000001 82005e00000a 0430 0011 aaaa03 000000 0800",
     false},
    {"FDDI", 10, "50 02005e000001 02005e00000a aaaa03 000000 0800", false},
    {"802.11", 105, "0802 0000 02005e000001 02005e000002 02005e000003 0000 aaaa03 000000 0800",
     false},
    {"802.11, quality of service", 105,
     "8801 0000 02005e000001 02005e000002 02005e000003 0000 0000 aaaa03 000000 0800", false},
    {"802.11, four addresses", 105,
     "0803 0000 02005e000001 02005e000002 02005e000003 0000 02005e000004 aaaa03 000000 0800",
     false},
    {"radiotap", 127,
     "0000 0a00 00000000 0000 0802 0000 02005e000001 02005e000002 02005e000003 0000 aaaa03 000000 "
     "0800",
     false},
    {"NFLOG", 239, "0200 0001 0800 0100 00000000 0500 0200 00 000000 ffff 0900", false},
    {"pktap", 258, "10000000 01000000 01000000 00000000 " MACS "0800", true},
};

/* An outer IPv4 header's total length, left 0 above, is made to fit; with 0 it would be the rest,
 * too. */
static void fit_outer_lengths(struct blob *blob, size_t header_size) {
    static const char outer[] = "\x0a\0\0\1\x0a\0\0\2";
    for (size_t at = 12; at + 8 <= header_size; at++) {
        if (memcmp(blob->data + at, outer, 8) != 0)
            continue;
        size_t total = blob->size - (at - 12);
        blob->data[at - 10] = (uint8_t)(total >> 8);
        blob->data[at - 9] = (uint8_t)total;
    }
}

static size_t wrap(struct fixture *f, const struct wrapping *wrapping) {
    make_tcp4(f, &f->b);
    blob_clear(&f->a);
    blob_hex(&f->a, wrapping->header);
    size_t header_size = f->a.size;
    blob_blob(&f->a, &f->b);
    fit_outer_lengths(&f->a, header_size);
    return header_size;
}

static void every_link_layer(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof wrappings / sizeof *wrappings; i++) {
        const struct wrapping *wrapping = &wrappings[i];
        wrap(f, wrapping);
        if (decode(f, wrapping->link_type, &f->a) != LINK_SEGMENT)
            fail_msg("%s", wrapping->name);
        check_ipv4(&f->segment);
        if (wrapping->mac)
            assert_memory_equal(f->segment.macs.source, "\x02\0\x5e\0\0\x0a", 6);
        if (wrapping->mac && wrapping->link_type == ETHERNET)
            assert_memory_equal(f->segment.macs.destination, "\x02\0\x5e\0\0\1", 6);
    }
}

static void cooked_2_tells_the_interface(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof wrappings / sizeof *wrappings; i++) {
        wrap(f, &wrappings[i]);
        assert_int_equal(decode(f, wrappings[i].link_type, &f->a), LINK_SEGMENT);
        assert_int_equal(f->segment.link_index, wrappings[i].link_type == 276 ? 7 : 0);
    }
}

/* Cut at every octet: no read beyond the end, and the headers that are missing are said to be cut.
 */
static void every_link_layer_cut(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof wrappings / sizeof *wrappings; i++) {
        size_t header_size = wrap(f, &wrappings[i]) + 40;
        for (size_t size = 0; size < f->a.size; size++) {
            struct span cut = {f->a.data, size};
            enum link_result result = decode_span(f, wrappings[i].link_type, cut, f->a.size);
            if (size >= header_size)
                assert_int_equal(result, LINK_SEGMENT);
            else
                assert_int_not_equal(result, LINK_SEGMENT);
            if (size >= header_size) {
                assert_int_equal(f->segment.payload.size, size - header_size);
                assert_int_equal(f->segment.payload_size, strlen(PAYLOAD));
            }
        }
    }
}

static void padding_does_not_count(void **state) {
    struct fixture *f = *state;
    make_tcp4(f, &f->b);
    make_ethernet(&f->a, 0x0800, &f->b);
    blob_zero(&f->a, 20);
    assert_int_equal(decode(f, ETHERNET, &f->a), LINK_SEGMENT);
    check_ipv4(&f->segment);
    make_tcp6(f, &f->b);
    make_ethernet(&f->a, 0x86dd, &f->b);
    blob_zero(&f->a, 20);
    assert_int_equal(decode(f, ETHERNET, &f->a), LINK_SEGMENT);
    check_ipv6(&f->segment);
}

/* A segment that the network card was to cut has total length 0 in it. */
static void offload_has_no_length(void **state) {
    struct fixture *f = *state;
    make_tcp4(f, &f->a);
    f->a.data[2] = f->a.data[3] = 0;
    assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
    check_ipv4(&f->segment);
    make_tcp6(f, &f->a);
    f->a.data[4] = f->a.data[5] = 0;
    assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
    check_ipv6(&f->segment);
}

static void ipv6_extension_headers(void **state) {
    struct fixture *f = *state;
    make_tcp6(f, &f->a);
    assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
    check_ipv6(&f->segment);
    make_tcp(&f->b, 50000, 445, 0x11223344, PAYLOAD);
    blob_clear(&f->c);
    /* hop by hop, routing, destination (16 octets), authentication (12), mobility, an atomic
     * fragment */
    blob_hex(&f->c,
             "2b 00 0104 00000000  3c 00 0000 00000000  33 01 0104 00000000 0000000000000000");
    blob_hex(&f->c, "87 01 0000 00000001 00000002  2c 00 0000 00000000  06 00 0000 00000009");
    blob_blob(&f->c, &f->b);
    make_ipv6(&f->a, 0, &f->c);
    assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
    check_ipv6(&f->segment);
}

static void ipv6_in_ipv4(void **state) {
    struct fixture *f = *state;
    make_tcp6(f, &f->b);
    make_ipv4(&f->a, 41, &f->b);
    make_ethernet(&f->b, 0x0800, &f->a);
    assert_int_equal(decode(f, ETHERNET, &f->b), LINK_SEGMENT);
    check_ipv6(&f->segment);
}

static void tcp_options(void **state) {
    struct fixture *f = *state;
    struct segment *segment = &f->segment;
    make_tcp(&f->b, 1, 2, 3, "");
    f->b.data[12] = 0xa0;
    blob_hex(&f->b, "0204 05b4 01 01 080a 11223344 55667788 03030a 00");
    make_ipv4(&f->a, 6, &f->b);
    assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
    assert_int_equal(segment->mss, 1460);
    assert_true(segment->has_timestamp);
    assert_int_equal(segment->timestamp, 0x11223344);
    assert_int_equal(segment->timestamp_echo, 0x55667788);
    assert_false(segment->has_optimiser_option);
    assert_int_equal(segment->payload_size, 0);
    make_tcp(&f->b, 1, 2, 3, "");
    f->b.data[12] = 0x60;
    blob_hex(&f->b, "4c 04 0101 6869");
    make_ipv4(&f->a, 6, &f->b);
    assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
    assert_true(segment->has_optimiser_option);
    assert_int_equal(segment->payload_size, 2);
    static const char *const nonsense[] = {"0200 0000", "02ff 05b4", "0101 0102", "4e01 4e01"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        make_tcp(&f->b, 1, 2, 3, "");
        f->b.data[12] = 0x60;
        blob_hex(&f->b, nonsense[i]);
        make_ipv4(&f->a, 6, &f->b);
        assert_int_equal(decode(f, RAW, &f->a), LINK_SEGMENT);
        assert_int_equal(segment->mss, 0);
        assert_false(segment->has_optimiser_option);
    }
}

/* The segment in three fragments of 16, 8 and the rest, with an identification. */
static void make_fragment(struct fixture *f, unsigned which, uint16_t id) {
    static const struct { size_t offset, size; } parts[] = {{0, 16}, {16, 8}, {24, 9}};
    make_tcp(&f->b, 50000, 445, 0x11223344, PAYLOAD);
    blob_clear(&f->c);
    blob_put(&f->c, f->b.data + parts[which].offset, parts[which].size);
    make_ipv4(&f->a, 6, &f->c);
    uint16_t field = (uint16_t)(parts[which].offset / 8 | (which < 2 ? 0x2000 : 0));
    f->a.data[4] = (uint8_t)(id >> 8);
    f->a.data[5] = (uint8_t)id;
    f->a.data[6] = (uint8_t)(field >> 8);
    f->a.data[7] = (uint8_t)field;
}

static void ipv4_fragments_in_any_order(void **state) {
    struct fixture *f = *state;
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < 6; i++) {
        for (unsigned j = 0; j < 3; j++) {
            make_fragment(f, orders[i][j], 9); /* the same id again, once the former is whole */
            enum link_result result = decode(f, RAW, &f->a);
            assert_int_equal(result, j < 2 ? LINK_FRAGMENT : LINK_SEGMENT);
            make_fragment(f, orders[i][j], 9);
            if (j < 2)
                assert_int_equal(decode(f, RAW, &f->a), LINK_FRAGMENT); /* a copy changes nothing */
        }
        check_tcp(&f->segment);
    }
}

static void ipv6_fragments(void **state) {
    struct fixture *f = *state;
    for (unsigned which = 2; which-- > 0;) {
        make_tcp(&f->b, 50000, 445, 0x11223344, PAYLOAD);
        blob_clear(&f->c);
        blob_hex(&f->c, which ? "06 00 0010 00000007" : "06 00 0001 00000007");
        blob_put(&f->c, f->b.data + (which ? 16 : 0), which ? f->b.size - 16 : 16);
        make_ipv6(&f->a, 44, &f->c);
        assert_int_equal(decode(f, RAW, &f->a), which ? LINK_FRAGMENT : LINK_SEGMENT);
    }
    check_ipv6(&f->segment);
}

/* Identifications do not mix, and of too many unfinished datagrams the oldest are dropped. */
static void fragments_are_bounded(void **state) {
    struct fixture *f = *state;
    const unsigned count = LINK_FRAGMENTS_MAX + 8;
    for (unsigned which = 0; which < 3; which++) {
        unsigned whole = 0;
        for (uint16_t id = (uint16_t)count; id-- > 0;) { /* each round meets the youngest first */
            uint16_t at = which == 0 ? (uint16_t)(count - 1 - id) : id;
            make_fragment(f, which, at);
            whole += decode(f, RAW, &f->a) == LINK_SEGMENT;
            if (which > 0 && at == 8)
                break;
        }
        assert_int_equal(whole, which == 2 ? LINK_FRAGMENTS_MAX : 0);
    }
}

static void fragments_that_are_nonsense(void **state) {
    struct fixture *f = *state;
    make_fragment(f, 1, 5);
    f->a.data[6] = 0x3f; /* offset 0x1f10 * 8 and more: with it beyond 64 KiB */
    f->a.data[7] = 0xff;
    assert_int_equal(decode(f, RAW, &f->a), LINK_FRAGMENT);
    make_fragment(f, 1, 5);
    f->a.size -= 3; /* not a multiple of 8, and not the last */
    f->a.data[3] = (uint8_t)(f->a.data[3] - 3);
    assert_int_equal(decode(f, RAW, &f->a), LINK_FRAGMENT);
    make_fragment(f, 0, 5);
    assert_int_equal(decode_span(f, RAW, (struct span){f->a.data, f->a.size - 1}, f->a.size),
                     LINK_CUT);
}

static void what_is_no_tcp(void **state) {
    static const struct {
        uint16_t link_type;
        const char *octets;
        enum link_result result;
    } cases[] = {
        {ETHERNET, MACS "0806 0001", LINK_NOT_TCP},
        {ETHERNET, MACS "88cc 0001", LINK_NOT_TCP},
        {ETHERNET, MACS "0026 424203 0000", LINK_NOT_TCP},        /* spanning tree */
        {ETHERNET, MACS "0026 aaaa03 00000c 2000", LINK_NOT_TCP}, /* Cisco's discovery */
        {ETHERNET, MACS "88e5 0000", LINK_UNKNOWN_TYPE},          /* MACsec */
        {ETHERNET, MACS "8864 12 00 0001 0002 0021", LINK_MALFORMED},
        {ETHERNET, MACS "8864 11 09 0001 0002 0021", LINK_NOT_TCP},
        {ETHERNET, MACS "8864 11 00 0001 0002 c021", LINK_NOT_TCP},
        {ETHERNET, MACS "0800 4500 0018 0000 0000 40 01 0000 00000000 00000000 0000", LINK_NOT_TCP},
        {ETHERNET, MACS "0800 4400 0018 0000 0000 40 06 0000 00000000 00000000 0000",
         LINK_MALFORMED},
        {ETHERNET, MACS "0800 6500 0018 0000 0000 40 06 0000 00000000 00000000 0000",
         LINK_MALFORMED},
        {ETHERNET, MACS "0800 4500 0010 0000 0000 40 06 0000 00000000 00000000 0000",
         LINK_MALFORMED},
        {ETHERNET, MACS "0800 4500", LINK_MALFORMED},
        {RAW, "", LINK_MALFORMED},
        {105, "4802 0000 02005e000001 02005e000002 02005e000003 0000", LINK_NOT_TCP},
        {105, "0842 0000 02005e000001 02005e000002 02005e000003 0000 00000000", LINK_UNKNOWN_TYPE},
        {0, "07000000 00", LINK_NOT_TCP},
        {258, "10000000 01000000 02010000 00000000", LINK_MALFORMED}, /* itself inside itself */
        {220, "0000", LINK_UNKNOWN_TYPE},
        {0xffff, "0000", LINK_UNKNOWN_TYPE},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        blob_clear(&f->a);
        blob_hex(&f->a, cases[i].octets);
        if (decode(f, cases[i].link_type, &f->a) != cases[i].result)
            fail_msg("%s", cases[i].octets);
    }
}

static void tcp_that_is_nonsense(void **state) {
    struct fixture *f = *state;
    make_tcp(&f->b, 1, 2, 3, "");
    f->b.data[12] = 0x40; /* a header of 16 octets */
    make_ipv4(&f->a, 6, &f->b);
    assert_int_equal(decode(f, RAW, &f->a), LINK_MALFORMED);
    f->a.data[32] = 0xf0; /* of 60, where 20 are */
    assert_int_equal(decode(f, RAW, &f->a), LINK_MALFORMED);
}

/* Headers inside headers without end. */
static void layers_are_bounded(void **state) {
    struct fixture *f = *state;
    blob_hex(&f->a, MACS "8100");
    for (unsigned i = 0; i < 100; i++)
        blob_hex(&f->a, "0001 8100");
    assert_int_equal(decode(f, ETHERNET, &f->a), LINK_MALFORMED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_link_layer),
        TEST(cooked_2_tells_the_interface),
        TEST(every_link_layer_cut),
        TEST(padding_does_not_count),
        TEST(offload_has_no_length),
        TEST(ipv6_extension_headers),
        TEST(ipv6_in_ipv4),
        TEST(tcp_options),
        TEST(ipv4_fragments_in_any_order),
        TEST(ipv6_fragments),
        TEST(fragments_are_bounded),
        TEST(fragments_that_are_nonsense),
        TEST(what_is_no_tcp),
        TEST(tcp_that_is_nonsense),
        TEST(layers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
