/* src/capture: files of every format, plain and compressed, from memory, a file and a pipe, give
 * the packets that were put in; what is damaged or cut short is told with its place, after all that
 * came before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#include "capture/capture.h"
#include "packets.h"

#define SECOND 1000000000ull

struct fixture {
    struct blob file, packet, body;
    struct capture *capture;
    struct capture_error error;
};

static int set_up(void **state) {
    *state = calloc(1, sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    capture_close(f->capture);
    free(f);
    return 0;
}

static void open_bytes(struct fixture *f, struct span bytes) {
    capture_close(f->capture);
    f->capture = NULL;
    assert_int_equal(capture_open_memory(&f->capture, bytes, &f->error), 0);
}

static void open_file(struct fixture *f) {
    open_bytes(f, blob_span(&f->file));
}

static void refuse_file(struct fixture *f, const char *reason) {
    capture_close(f->capture);
    assert_int_equal(capture_open_memory(&f->capture, blob_span(&f->file), &f->error), -EPROTO);
    assert_null(f->capture);
    if (!strstr(f->error.reason, reason))
        fail_msg("\"%s\" does not say \"%s\"", f->error.reason, reason);
}

static struct packet expect_packet(struct fixture *f, uint64_t number, uint64_t time_ns,
                                   const char *content) {
    struct packet packet = {0};
    assert_int_equal(capture_next(f->capture, &packet), CAPTURE_PACKET);
    assert_int_equal(packet.number, number);
    assert_int_equal(packet.time_ns, time_ns);
    assert_int_equal(packet.bytes.size, strlen(content));
    assert_memory_equal(packet.bytes.data, content, strlen(content));
    return packet;
}

static void expect_end(struct fixture *f) {
    struct packet packet;
    for (int i = 0; i < 2; i++)
        assert_int_equal(capture_next(f->capture, &packet), CAPTURE_END);
}

static void expect_broken(struct fixture *f, uint64_t offset, const char *reason) {
    struct packet packet;
    for (int i = 0; i < 2; i++)
        assert_int_equal(capture_next(f->capture, &packet), CAPTURE_BROKEN);
    assert_int_equal(capture_error(f->capture)->offset, offset);
    if (!strstr(capture_error(f->capture)->reason, reason))
        fail_msg("\"%s\" does not say \"%s\"", capture_error(f->capture)->reason, reason);
}

static struct span text(const char *content) {
    return (struct span){(const uint8_t *)content, strlen(content)};
}

static void make_pcap(struct fixture *f, struct pcap_options options) {
    blob_clear(&f->file);
    pcap_header(&f->file, options);
    pcap_record(&f->file, options, 1700000000, 123456, text("first"), 5);
    pcap_record(&f->file, options, 1700000001, 5, text("second packet"), 1514);
    pcap_record(&f->file, options, 4000000000u, 0, text(""), 60);
}

static void expect_pcap(struct fixture *f, struct pcap_options options) {
    uint64_t unit = options.nanoseconds ? 1 : 1000;
    struct packet packet = expect_packet(f, 1, 1700000000 * SECOND + 123456 * unit, "first");
    assert_int_equal(packet.link_type, options.link_type);
    assert_int_equal(packet.interface, 0);
    assert_int_equal(packet.wire_size, 5);
    packet = expect_packet(f, 2, 1700000001 * SECOND + 5 * unit, "second packet");
    assert_int_equal(packet.wire_size, 1514);
    expect_packet(f, 3, 4000000000u * SECOND, "");
    expect_end(f);
}

static void pcap_in_all_variants(void **state) {
    struct fixture *f = *state;
    for (unsigned i = 0; i < 4; i++) {
        struct pcap_options options = {.big_endian = i & 1, .nanoseconds = i & 2, .link_type = 1};
        make_pcap(f, options);
        open_file(f);
        assert_string_equal(capture_format(f->capture), i & 2 ? "pcap (nanoseconds)" : "pcap");
        assert_int_equal(capture_size(f->capture), f->file.size);
        expect_pcap(f, options);
        assert_int_equal(capture_position(f->capture), f->file.size);
    }
}

/* Kuznetzov's variant has 8 octets more in each record header. */
static void pcap_with_longer_headers(void **state) {
    struct fixture *f = *state;
    pcap_header(&f->file, (struct pcap_options){.link_type = 1});
    f->file.data[0] = 0x34;
    f->file.data[1] = 0xcd;
    blob_hex(&f->file, "01 00 00 00 02 00 00 00 03 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00");
    blob_put(&f->file, "abc", 3);
    open_file(f);
    expect_packet(f, 1, 1 * SECOND + 2000, "abc");
    expect_end(f);
}

/* A claim of less on the wire than was captured would let sizes become negative later. */
static void pcap_wire_size_is_never_less(void **state) {
    struct fixture *f = *state;
    struct pcap_options options = {.link_type = 1};
    pcap_header(&f->file, options);
    pcap_record(&f->file, options, 0, 0, text("abcdef"), 2);
    open_file(f);
    assert_int_equal(expect_packet(f, 1, 0, "abcdef").wire_size, 6);
}

static void pcap_cut_short(void **state) {
    struct fixture *f = *state;
    struct pcap_options options = {.link_type = 1};
    size_t second = 24 + 16 + 5;
    for (size_t keep = second + 1; keep < second + 16 + 13; keep++) {
        make_pcap(f, options);
        f->file.size = keep;
        open_file(f);
        expect_packet(f, 1, 1700000000 * SECOND + 123456000, "first");
        expect_broken(f, second, "in the middle of a record");
    }
    for (size_t keep = 1; keep < 24; keep++) {
        f->file.size = keep;
        refuse_file(f, keep < 4 ? "not a capture" : "in the middle of its pcap header");
    }
}

static void pcap_damaged(void **state) {
    struct fixture *f = *state;
    make_pcap(f, (struct pcap_options){.link_type = 1});
    f->file.data[24 + 16 + 5 + 11] = 0x7f;
    open_file(f);
    expect_packet(f, 1, 1700000000 * SECOND + 123456000, "first");
    expect_broken(f, 24 + 16 + 5, "damaged");
    make_pcap(f, (struct pcap_options){.link_type = 1});
    f->file.data[4] = 9;
    refuse_file(f, "version 9.4");
}

static void pcapng_sections_and_interfaces(void **state) {
    struct fixture *f = *state;
    for (unsigned big = 0; big < 2; big++) {
        blob_clear(&f->file);
        pcapng_section(&f->file, big);
        pcapng_interface(&f->file, big, 1, -1, 0);
        pcapng_interface(&f->file, big, 101, 9, 0);
        pcapng_packet(&f->file, big, 1, 1700000000 * SECOND + 1, text("one"));
        pcapng_packet(&f->file, big, 0, 1700000000 * 1000000ull + 7, text("two two"));
        pcapng_section(&f->file, !big);
        pcapng_interface(&f->file, !big, 276, 6, 0);
        pcapng_packet(&f->file, !big, 0, 42, text("three"));
        open_file(f);
        assert_string_equal(capture_format(f->capture), "pcapng");
        struct packet packet = expect_packet(f, 1, 1700000000 * SECOND + 1, "one");
        assert_int_equal(packet.interface, 1);
        assert_int_equal(packet.link_type, 101);
        packet = expect_packet(f, 2, 1700000000 * SECOND + 7000, "two two");
        assert_int_equal(packet.interface, 0);
        assert_int_equal(packet.link_type, 1);
        packet = expect_packet(f, 3, 42000, "three");
        assert_int_equal(packet.interface, 2);
        assert_int_equal(packet.link_type, 276);
        expect_end(f);
    }
}

static void pcapng_time_resolutions(void **state) {
    static const struct {
        int resolution;
        int64_t offset_s;
        uint64_t ticks, time_ns;
    } cases[] = {
        {-1, 0, 1500000, 1500000000},
        {6, 0, 1500000, 1500000000},
        {9, 0, 17, 17},
        {3, 0, 1234, 1234000000},
        {0, 0, 12, 12 * SECOND},
        {7, 0, 15, 1500},
        {12, 0, 123456789012345, 123456789012},
        {0x80 | 20, 0, (5 << 20) + (1 << 19), 5 * SECOND + SECOND / 2},
        {0x80 | 10, 0, 1025, 1 * SECOND + SECOND / 1024},
        {0x80 | 32, 0, (7ull << 32) + (1ull << 30), 7 * SECOND + SECOND / 4},
        {0x80 | 40, 0, 123456789012345, 112283295504}, /* 112.2832955044... s */
        {0x80 | 63, 0, 1ull << 62, SECOND / 2},
        {0x80 | 100, 0, UINT64_MAX, 0},
        {100, 0, UINT64_MAX, 0},
        {6, 1700000000, 1, 1700000000 * SECOND + 1000},
        {6, -10, 15000000, 5 * SECOND},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned big = 0; big < 2; big++) {
            blob_clear(&f->file);
            pcapng_section(&f->file, big);
            pcapng_interface(&f->file, big, 1, cases[i].resolution, cases[i].offset_s);
            pcapng_packet(&f->file, big, 0, cases[i].ticks, text("x"));
            open_file(f);
            expect_packet(f, 1, cases[i].time_ns, "x");
        }
    }
}

/* Simple packets know neither time nor captured length; the obsolete ones have a drop count. */
static void pcapng_other_packet_blocks(void **state) {
    struct fixture *f = *state;
    pcapng_section(&f->file, false);
    blob_hex(&f->body, "01 00 00 00 04 00 00 00"); /* snap length 4 */
    pcapng_block(&f->file, false, 1, &f->body);
    blob_clear(&f->body);
    blob_le(&f->body, 60, 4);
    blob_put(&f->body, "abcdefgh", 8);
    pcapng_block(&f->file, false, 3, &f->body);
    blob_clear(&f->body);
    blob_hex(&f->body, "00 00 ff ff 00 00 00 00 0a 00 00 00 03 00 00 00 40 00 00 00");
    blob_put(&f->body, "xyz", 3);
    pcapng_block(&f->file, false, 2, &f->body);
    open_file(f);
    assert_int_equal(expect_packet(f, 1, 0, "abcd").wire_size, 60);
    assert_int_equal(expect_packet(f, 2, 10000, "xyz").wire_size, 64);
    expect_end(f);
}

/* Name resolution, statistics, secrets and unknown blocks are no packets. Wireshark gives numbers
 * to custom blocks and to the journal's, so their numbers are left out. */
static void pcapng_other_blocks(void **state) {
    struct fixture *f = *state;
    pcapng_section(&f->file, false);
    pcapng_interface(&f->file, false, 1, -1, 0);
    blob_hex(&f->body, "01 02 03 04 05 06 07 08");
    pcapng_packet(&f->file, false, 0, 1, text("a"));
    pcapng_block(&f->file, false, 4, &f->body);
    pcapng_block(&f->file, false, 5, &f->body);
    pcapng_block(&f->file, false, 10, &f->body);
    pcapng_block(&f->file, false, 0x12345678, &f->body);
    pcapng_packet(&f->file, false, 0, 2, text("b"));
    pcapng_block(&f->file, false, 0xbad, &f->body);
    pcapng_block(&f->file, false, 9, &f->body);
    pcapng_packet(&f->file, false, 0, 3, text("c"));
    open_file(f);
    expect_packet(f, 1, 1000, "a");
    expect_packet(f, 2, 2000, "b");
    expect_packet(f, 5, 3000, "c");
    expect_end(f);
}

static void begin_pcapng(struct fixture *f) {
    blob_clear(&f->file);
    pcapng_section(&f->file, false);
    pcapng_interface(&f->file, false, 1, -1, 0);
    pcapng_packet(&f->file, false, 0, 1, text("a"));
}

static void expect_broken_behind(struct fixture *f, size_t offset, const char *reason) {
    open_file(f);
    expect_packet(f, 1, 1000, "a");
    expect_broken(f, offset, reason);
}

static void pcapng_damaged(void **state) {
    struct fixture *f = *state;
    begin_pcapng(f);
    size_t behind = f->file.size;
    pcapng_packet(&f->file, false, 1, 1, text("b"));
    expect_broken_behind(f, behind, "interface 1");
    begin_pcapng(f);
    pcapng_packet(&f->file, false, 0, 1, text("b"));
    f->file.data[f->file.size - 4] ^= 4;
    expect_broken_behind(f, behind, "by its end");
    f->file.data[behind + 4] = 8;
    expect_broken_behind(f, behind, "a block of 8 octets");
    begin_pcapng(f);
    pcapng_packet(&f->file, false, 0, 1, text("b"));
    f->file.data[behind + 20] = 200;
    expect_broken_behind(f, behind, "claims 200 octets");
    begin_pcapng(f);
    blob_hex(&f->file, "06 00 00 00 f0 ff ff ff");
    expect_broken_behind(f, behind, "damaged");
    begin_pcapng(f);
    blob_hex(&f->file, "99 00 00 00 f0 ff ff ff 00 00 00 00");
    expect_broken_behind(f, behind, "in the middle of a block");
    for (size_t keep = behind + 1; keep < behind + 44; keep++) {
        begin_pcapng(f);
        pcapng_packet(&f->file, false, 0, 1, text("b"));
        f->file.size = keep;
        expect_broken_behind(f, behind, "in the middle of a record");
    }
    blob_clear(&f->file);
    blob_hex(&f->file,
             "0a 0d 0d 0a 1c 00 00 00 01 02 03 04 00 00 00 00 00 00 00 00 00 00 00 00 1c 00 00 00");
    refuse_file(f, "byte-order magic");
    f->file.size = 9;
    refuse_file(f, "pcapng section header");
}

struct netmon_options {
    uint8_t major, minor;
    uint16_t media;
};

static void netmon_frame(struct fixture *f, struct netmon_options options, uint64_t delta,
                         const char *content) {
    bool old = options.major == 1;
    blob_le(&f->file, delta, old ? 4 : 8);
    blob_le(&f->file, 1500, old ? 2 : 4);
    blob_le(&f->file, strlen(content), old ? 2 : 4);
    blob_put(&f->file, content, strlen(content));
    if (options.major == 2 && options.minor >= 1)
        blob_le(&f->file, options.media, 2);
    if (options.major == 2 && options.minor >= 2)
        blob_le(&f->file, UINT32_MAX, 4);
    if (options.major == 2 && options.minor >= 3) {
        blob_le(&f->file, 116444736000000000ull + 17000000000000000ull + delta * 10, 8);
        blob_le(&f->file, 0, 1);
    }
}

/* Two frames, and a table that has them the other way round. */
static void make_netmon(struct fixture *f, struct netmon_options options) {
    blob_clear(&f->file);
    blob_put(&f->file, options.major == 1 ? "RTSS" : "GMBU", 4);
    blob_le(&f->file, options.minor, 1);
    blob_le(&f->file, options.major, 1);
    blob_le(&f->file, 1, 2);
    static const uint16_t start[] = {2023, 11, 2, 14, 22, 13, 20, 500};
    for (size_t i = 0; i < 8; i++)
        blob_le(&f->file, start[i], 2);
    blob_zero(&f->file, 128 - f->file.size);
    size_t first = f->file.size;
    netmon_frame(f, options, 2, "later");
    size_t second = f->file.size;
    netmon_frame(f, options, 1, "sooner");
    size_t table = f->file.size;
    blob_le(&f->file, second, 4);
    blob_le(&f->file, first, 4);
    f->file.data[24] = (uint8_t)table;
    f->file.data[25] = (uint8_t)(table >> 8);
    f->file.data[28] = 8;
}

static void netmon_versions(void **state) {
    struct fixture *f = *state;
    const uint64_t start = 1700000000 * SECOND + SECOND / 2;
    static const struct {
        struct netmon_options options;
        uint16_t link_type;
    } cases[] = {
        {{1, 1, 1}, 1},   {{2, 0, 1}, 1},        {{2, 1, 0}, 1},           {{2, 2, 9}, 101},
        {{2, 3, 8}, 101}, {{2, 3, 0xe071}, 113}, {{2, 3, 0xffe0}, 0xffff},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct netmon_options options = cases[i].options;
        uint64_t unit = options.major == 1 ? 1000000 : 1000;
        bool utc = options.major == 2 && options.minor >= 3;
        make_netmon(f, options);
        open_file(f);
        assert_string_equal(capture_format(f->capture),
                            options.major == 1 ? "NetMon 1" : "NetMon 2");
        struct packet packet =
            expect_packet(f, 1, (utc ? 1700000000 * SECOND : start) + unit, "sooner");
        assert_int_equal(packet.link_type, cases[i].link_type);
        assert_int_equal(packet.wire_size, 1500);
        expect_packet(f, 2, (utc ? 1700000000 * SECOND : start) + 2 * unit, "later");
        expect_end(f);
    }
}

/* Network information, DNS cache and payload headers are NetMon's own, and have no number in
 * Wireshark. */
static void netmon_hides_its_own(void **state) {
    struct fixture *f = *state;
    for (uint16_t media = 0xfffc; media != 0xffff; media++) {
        make_netmon(f, (struct netmon_options){2, 3, media});
        open_file(f);
        expect_end(f);
    }
}

static void netmon_wifi_metadata_is_taken_off(void **state) {
    struct fixture *f = *state;
    make_netmon(f, (struct netmon_options){2, 1, 6});
    memcpy(f->file.data + 128 + 16, "\x02\x03\x00zz", 5); /* "later": 3 octets of metadata */
    open_file(f);
    struct packet packet;
    assert_int_equal(capture_next(f->capture, &packet),
                     CAPTURE_PACKET); /* its length is nonsense: left as it is */
    assert_int_equal(packet.bytes.size, 6);
    packet = expect_packet(f, 2, packet.time_ns + 1000, "zz");
    assert_int_equal(packet.link_type, 105);
    assert_int_equal(packet.wire_size, 1497);
}

/* Without its table the frames are still read, as they lie, and the loss is told. */
static void netmon_without_table(void **state) {
    struct fixture *f = *state;
    make_netmon(f, (struct netmon_options){2, 3, 1});
    f->file.size -= 8;
    open_file(f);
    expect_packet(f, 1, 1700000000 * SECOND + 2000, "later");
    expect_packet(f, 2, 1700000000 * SECOND + 1000, "sooner");
    expect_broken(f, f->file.size, "frame table");
    f->file.size -= 3;
    open_file(f);
    expect_packet(f, 1, 1700000000 * SECOND + 2000, "later");
    expect_broken(f, 128 + 16 + 5 + 15, "middle of a frame");
}

static void netmon_damaged(void **state) {
    struct fixture *f = *state;
    make_netmon(f, (struct netmon_options){2, 0, 1});
    f->file.data[f->file.size - 2] = 0x7f;
    open_file(f);
    expect_packet(f, 1, 1700000000 * SECOND + SECOND / 2 + 1000, "sooner");
    expect_broken(f, 0x7f0080, "beyond the end");
    f->file.data[5] = 3;
    refuse_file(f, "version");
    f->file.size = 100;
    refuse_file(f, "Network Monitor header");
}

static void pack_gzip(struct blob *blob, struct span bytes) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)bytes.data;
    stream.avail_in = (uInt)bytes.size;
    stream.next_out = blob->data + blob->size;
    stream.avail_out = (uInt)(sizeof blob->data - blob->size);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    blob->size = sizeof blob->data - stream.avail_out;
    deflateEnd(&stream);
}

static void pack_zstd(struct blob *blob, struct span bytes) {
    size_t size = ZSTD_compress(blob->data + blob->size, sizeof blob->data - blob->size, bytes.data,
                                bytes.size, 3);
    assert_false(ZSTD_isError(size));
    blob->size += size;
}

/* Two members, or frames, that end in the middle of a record. */
static void compressed(void **state) {
    struct fixture *f = *state;
    void (*const pack[])(struct blob *, struct span) = {pack_gzip, pack_zstd};
    struct pcap_options options = {.link_type = 1};
    for (size_t i = 0; i < 2; i++) {
        make_pcap(f, options);
        blob_clear(&f->body);
        pack[i](&f->body, (struct span){f->file.data, 50});
        pack[i](&f->body, (struct span){f->file.data + 50, f->file.size - 50});
        open_bytes(f, blob_span(&f->body));
        assert_string_equal(capture_format(f->capture), i ? "pcap, zstd" : "pcap, gzip");
        expect_pcap(f, options);
        assert_int_equal(capture_position(f->capture), f->body.size);
    }
    blob_zero(&f->body, 20); /* padding behind a gzip file, as tapes leave it */
    make_pcap(f, options);
    blob_clear(&f->body);
    pack_gzip(&f->body, blob_span(&f->file));
    blob_zero(&f->body, 20);
    open_bytes(f, blob_span(&f->body));
    expect_pcap(f, options);
}

static void compressed_netmon(void **state) {
    struct fixture *f = *state;
    make_netmon(f, (struct netmon_options){2, 3, 1});
    pack_gzip(&f->body, blob_span(&f->file));
    open_bytes(f, blob_span(&f->body));
    assert_string_equal(capture_format(f->capture), "NetMon 2, gzip");
    expect_packet(f, 1, 1700000000 * SECOND + 1000, "sooner");
    expect_packet(f, 2, 1700000000 * SECOND + 2000, "later");
    expect_end(f);
}

/* The packets whose octets are there are given, and then it is said that the file was cut or
 * damaged. */
static void compressed_and_cut(void **state) {
    struct fixture *f = *state;
    struct packet packet;
    for (unsigned i = 0; i < 2; i++) {
        make_pcap(f, (struct pcap_options){.link_type = 1});
        blob_clear(&f->body);
        (i ? pack_zstd : pack_gzip)(&f->body, (struct span){f->file.data, 50});
        (i ? pack_zstd : pack_gzip)(&f->body, (struct span){f->file.data + 50, f->file.size - 50});
        f->body.size -= 3;
        open_bytes(f, blob_span(&f->body));
        expect_packet(f, 1, 1700000000 * SECOND + 123456000, "first");
        enum capture_status status;
        while ((status = capture_next(f->capture, &packet)) == CAPTURE_PACKET)
            ;
        assert_int_equal(status, CAPTURE_BROKEN);
        assert_non_null(
            strstr(capture_error(f->capture)->reason, "compressed file ends in the middle"));
    }
    make_pcap(f, (struct pcap_options){.link_type = 1});
    blob_clear(&f->body);
    pack_gzip(&f->body, (struct span){f->file.data, 50});
    pack_gzip(&f->body, (struct span){f->file.data + 50, f->file.size - 50});
    f->body.data[f->body.size - 5] ^= 0xff; /* the last member's checksum or size */
    open_bytes(f, blob_span(&f->body));
    while (capture_next(f->capture, &packet) == CAPTURE_PACKET)
        ;
    assert_non_null(strstr(capture_error(f->capture)->reason, "gzip data is damaged"));
}

static void not_captures(void **state) {
    struct fixture *f = *state;
    refuse_file(f, "empty");
    blob_put(&f->file, "<html>\n<body>", 13);
    refuse_file(f, "3c 68 74 6d 6c 3e 0a 3c \"<html>.<\"");
    blob_clear(&f->file);
    blob_put(&f->file, "snoop\0\0\0\0\0\0\2", 12);
    refuse_file(f, "snoop");
    blob_clear(&f->file);
    blob_put(&f->file, "PK\3\4", 4);
    refuse_file(f, "zip");
}

/* A WMI_BUFFER_HEADER and the first event's header, with the buffer size in both. */
static void event_traces(void **state) {
    struct fixture *f = *state;
    blob_le(&f->file, 65536, 4);
    blob_zero(&f->file, 0x48 - 4);
    blob_hex(&f->file, "02 00 02 c0");
    blob_zero(&f->file, 28);
    blob_le(&f->file, 65536, 4);
    blob_zero(&f->file, 100);
    refuse_file(f, "etl2pcapng in.etl out.pcapng");
    f->file.data[0x4b] = 0;
    refuse_file(f, "pktmon etl2pcap in.etl");
    f->file.data[0x68] = 1;
    refuse_file(f, "not a capture");
}

static void write_file(const char *path, const struct blob *blob) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(blob->data, 1, blob->size, file), blob->size);
    fclose(file);
}

static void from_a_file(void **state) {
    struct fixture *f = *state;
    char path[] = "/tmp/smbproof-test-XXXXXX";
    struct pcap_options options = {.link_type = 1};
    close(mkstemp(path));
    make_pcap(f, options);
    write_file(path, &f->file);
    assert_int_equal(capture_open(&f->capture, path, &f->error), 0);
    assert_int_equal(capture_size(f->capture), f->file.size);
    expect_pcap(f, options);
    capture_close(f->capture);
    blob_clear(&f->body);
    pack_zstd(&f->body, blob_span(&f->file));
    write_file(path, &f->body);
    assert_int_equal(capture_open(&f->capture, path, &f->error), 0);
    assert_int_equal(capture_size(f->capture), f->body.size);
    expect_pcap(f, options);
    unlink(path);
}

/* Records without octets, so many that pages are given back on the way: all come, whoever sees to the pages. */
static void from_a_large_file(void **state) {
    struct fixture *f = *state;
    char path[] = "/tmp/smbproof-test-XXXXXX";
    struct pcap_options options = {.link_type = 1};
    uint64_t records = 3u << 20, helped = 0, count = 0;
    struct packet packet;
    close(mkstemp(path));
    make_pcap(f, options);
    f->file.size = 24; /* the header */
    write_file(path, &f->file);
    assert_int_equal(truncate(path, (off_t)(24 + records * 16)), 0);
    assert_int_equal(capture_open(&f->capture, path, &f->error), 0);
    unlink(path);
    while (capture_next(f->capture, &packet) == CAPTURE_PACKET)
        if (++count % 50000 == 0 && count < records / 2)
            while (capture_help(f->capture))
                helped++;
    assert_int_equal(count, records);
    assert_true(helped > 0);
    while (capture_help(f->capture)) /* there is an end to it */
        ;
}

static void files_that_cannot_be_opened(void **state) {
    struct fixture *f = *state;
    assert_int_equal(capture_open(&f->capture, "/nonexistent/x.pcap", &f->error), -ENOENT);
    assert_string_equal(f->error.reason, strerror(ENOENT));
    assert_int_equal(capture_open(&f->capture, "/tmp", &f->error), -EISDIR);
    assert_null(f->capture);
}

/* Puts a pipe in the place of the standard input; returns its other end. */
static int stdin_pipe(int *saved) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *saved = dup(STDIN_FILENO);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    return ends[1];
}

static void stdin_restore(int saved) {
    dup2(saved, STDIN_FILENO);
    close(saved);
}

/* tcpdump -U | smbproof explain -: a packet is given as soon as it is there, not when the pipe is
 * full or closed. */
static void from_a_live_pipe(void **state) {
    struct fixture *f = *state;
    struct pcap_options options = {.link_type = 1};
    int saved, to = stdin_pipe(&saved);
    make_pcap(f, options);
    size_t behind_first = 24 + 16 + 5;
    alarm(20); /* instead of waiting for ever where it fails */
    assert_int_equal(write(to, f->file.data, behind_first), behind_first);
    assert_int_equal(capture_open(&f->capture, "-", &f->error), 0);
    assert_int_equal(capture_size(f->capture), 0);
    expect_packet(f, 1, 1700000000 * SECOND + 123456000, "first");
    size_t rest = f->file.size - behind_first;
    assert_int_equal(write(to, f->file.data + behind_first, rest), rest);
    expect_packet(f, 2, 1700000001 * SECOND + 5000, "second packet");
    expect_packet(f, 3, 4000000000u * SECOND, "");
    close(to);
    expect_end(f);
    alarm(0);
    stdin_restore(saved);
}

/* NetMon's table is at the end: a pipe is put aside first. */
static void netmon_from_a_pipe(void **state) {
    struct fixture *f = *state;
    int saved, to = stdin_pipe(&saved);
    make_netmon(f, (struct netmon_options){2, 3, 1});
    assert_int_equal(write(to, f->file.data, f->file.size), f->file.size);
    close(to);
    assert_int_equal(capture_open(&f->capture, "-", &f->error), 0);
    expect_packet(f, 1, 1700000000 * SECOND + 1000, "sooner");
    expect_packet(f, 2, 1700000000 * SECOND + 2000, "later");
    expect_end(f);
    stdin_restore(saved);
}

/* More than any window holds, in records that no window's end falls between. */
static void long_stream(void **state) {
    struct fixture *f = *state;
    char path[] = "/tmp/smbproof-test-XXXXXX";
    int fd = mkstemp(path);
    gzFile file = gzdopen(fd, "wb1");
    struct pcap_options options = {.link_type = 1};
    const unsigned count = 3000;
    pcap_header(&f->file, options);
    gzwrite(file, f->file.data, (unsigned)f->file.size);
    for (unsigned i = 0; i < count; i++) {
        blob_clear(&f->file);
        blob_clear(&f->packet);
        blob_le(&f->packet, i, 4);
        blob_zero(&f->packet, i * 7919 % 3000);
        pcap_record(&f->file, options, i, 0, blob_span(&f->packet), 9999);
        gzwrite(file, f->file.data, (unsigned)f->file.size);
    }
    gzclose(file);
    assert_int_equal(capture_open(&f->capture, path, &f->error), 0);
    struct packet packet;
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(capture_next(f->capture, &packet), CAPTURE_PACKET);
        assert_int_equal(packet.bytes.size, 4 + i * 7919 % 3000);
        assert_int_equal(packet.bytes.data[0] | packet.bytes.data[1] << 8, i);
        assert_int_equal(packet.time_ns, i * SECOND);
    }
    expect_end(f);
    unlink(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(pcap_in_all_variants),
        TEST(pcap_with_longer_headers),
        TEST(pcap_wire_size_is_never_less),
        TEST(pcap_cut_short),
        TEST(pcap_damaged),
        TEST(pcapng_sections_and_interfaces),
        TEST(pcapng_time_resolutions),
        TEST(pcapng_other_packet_blocks),
        TEST(pcapng_other_blocks),
        TEST(pcapng_damaged),
        TEST(netmon_versions),
        TEST(netmon_hides_its_own),
        TEST(netmon_wifi_metadata_is_taken_off),
        TEST(netmon_without_table),
        TEST(netmon_damaged),
        TEST(compressed),
        TEST(compressed_netmon),
        TEST(compressed_and_cut),
        TEST(not_captures),
        TEST(event_traces),
        TEST(from_a_file),
        TEST(from_a_large_file),
        TEST(files_that_cannot_be_opened),
        TEST(from_a_live_pipe),
        TEST(netmon_from_a_pipe),
        TEST(long_stream),
    };
    setenv("TZ", "UTC", 1); /* NetMon's start time has no zone */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
