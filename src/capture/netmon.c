/* Microsoft Network Monitor 1.x ("RTSS") and 2.x ("GMBU"): a header, frames, and a table of the
 * frames' offsets, whose order is the capture's. From 2.1 on each frame has a trailer with its own
 * media type, from 2.3 on with a UTC time too. The comment, process and network tables hold nothing
 * that a packet needs. */
#include "capture/format.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define NETMON_HEADER_SIZE 128u
#define NETMON_FRAME_MAX   262144u
/* 1601-01-01 to 1970-01-01, in 100 ns. */
#define FILETIME_EPOCH 116444736000000000ull

/* LINKTYPE_ numbers that NetMon's media types become. */
enum {
    LINKTYPE_NONE = 0xffff, /* something that is no packet of a network */
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_TOKEN_RING = 6,
    LINKTYPE_FDDI = 10,
    LINKTYPE_RAW = 101,
    LINKTYPE_IEEE802_11 = 105,
};

enum {
    MEDIA_WIFI = 6,
    MEDIA_PCAP = 0xe000, /* or-ed with a LINKTYPE_ */
    MEDIA_WIFI_MESSAGE = 0xe080,
    MEDIA_PEF_LAST = 0xe08a,
    MEDIA_PAYLOAD_HEADER = 0xfffc,
    MEDIA_NETWORK_INFO = 0xfffd,
    MEDIA_DNS_CACHE = 0xfffe,
};

static const uint16_t media_link_types[] = {
    LINKTYPE_ETHERNET, LINKTYPE_ETHERNET,   LINKTYPE_TOKEN_RING, LINKTYPE_FDDI, LINKTYPE_NONE,
    LINKTYPE_NONE,     LINKTYPE_IEEE802_11, LINKTYPE_RAW,        LINKTYPE_RAW,  LINKTYPE_RAW,
};

static uint16_t media_link_type(uint16_t media) {
    if (media < sizeof media_link_types / sizeof *media_link_types)
        return media_link_types[media];
    if (media == MEDIA_WIFI_MESSAGE)
        return LINKTYPE_IEEE802_11;
    if (media > MEDIA_WIFI_MESSAGE && media <= MEDIA_PEF_LAST)
        return LINKTYPE_NONE;
    return (media & 0xf000) == MEDIA_PCAP ? media & 0x0fff : LINKTYPE_NONE;
}

/* Wireshark gives no number to NetMon's own bookkeeping records. */
static bool media_is_hidden(uint16_t media) {
    return media == MEDIA_PAYLOAD_HEADER || media == MEDIA_NETWORK_INFO || media == MEDIA_DNS_CACHE;
}

static uint32_t trailer_size(const struct netmon_state *netmon) {
    if (netmon->major < 2 || netmon->minor == 0)
        return 0;
    return netmon->minor == 1 ? 2 : netmon->minor == 2 ? 6 : 15;
}

/* The media type 6 has a header of its own before the 802.11 frame: version, length (16 bits), and
 * more. */
static void strip_wifi_header(struct packet *packet) {
    if (packet->bytes.size < 3)
        return;
    uint32_t size = load_u16_le(packet->bytes.data + 1);
    if (size > packet->bytes.size)
        return;
    packet->bytes = span_slice(packet->bytes, size, packet->bytes.size);
    packet->wire_size -= size;
}

static void apply_trailer(const struct netmon_state *netmon, struct packet *packet,
                          const uint8_t *trailer) {
    if (trailer_size(netmon) >= 15)
        packet->time_ns = (load_u64_le(trailer + 6) - FILETIME_EPOCH) * 100;
}

/* The offset has microseconds in 64 bits, or milliseconds in 32; it may be negative, and Microsoft
 * says how: times ten, and only then signed. */
static uint64_t frame_time(const struct netmon_state *netmon, const uint8_t *frame) {
    if (netmon->major == 1)
        return netmon->start_ns + load_u32_le(frame) * 1000000ull;
    return netmon->start_ns + load_u64_le(frame) * 10 * 100;
}

struct frame {
    uint32_t offset;
    const uint8_t *data;
    uint32_t header_size, captured, wire;
    uint16_t media;
};

static enum capture_status read_frame(struct capture *capture, struct frame *frame) {
    const struct netmon_state *netmon = &capture->netmon;
    struct span rest = span_slice(netmon->whole, frame->offset, netmon->whole.size);
    frame->header_size = netmon->major == 1 ? 8 : 16;
    if (rest.size < frame->header_size)
        return capture_break(capture, frame->offset,
                             "the frame table points beyond the end of the file");
    frame->data = rest.data;
    frame->wire = netmon->major == 1 ? load_u16_le(rest.data + 4) : load_u32_le(rest.data + 8);
    frame->captured = netmon->major == 1 ? load_u16_le(rest.data + 6) : load_u32_le(rest.data + 12);
    if (frame->captured > NETMON_FRAME_MAX)
        return capture_break(
            capture, frame->offset,
            "a frame claims %u octets, more than any packet has: the file is damaged here",
            frame->captured);
    if (rest.size - frame->header_size < frame->captured + trailer_size(netmon))
        return capture_break(capture, frame->offset, "the file ends in the middle of a frame");
    const uint8_t *trailer = rest.data + frame->header_size + frame->captured;
    frame->media = trailer_size(netmon) ? load_u16_le(trailer) : netmon->network;
    return CAPTURE_PACKET;
}

static void fill_packet(struct capture *capture, const struct frame *frame, struct packet *packet) {
    const struct netmon_state *netmon = &capture->netmon;
    packet->number = ++capture->number;
    packet->time_ns = frame_time(netmon, frame->data);
    packet->interface = 0;
    packet->link_type = media_link_type(frame->media);
    packet->wire_size = frame->wire > frame->captured ? frame->wire : frame->captured;
    packet->bytes = (struct span){frame->data + frame->header_size, frame->captured};
    apply_trailer(netmon, packet, frame->data + frame->header_size + frame->captured);
    if (frame->media == MEDIA_WIFI)
        strip_wifi_header(packet);
}

/* Where the next frame is: by the table or, where the file lost its table, behind the one before.
 */
static bool frame_find(struct netmon_state *netmon, struct frame *frame) {
    if (netmon->table_lost) {
        frame->offset = netmon->frame_behind;
        return frame->offset < netmon->whole.size && frame->offset < netmon->table_offset;
    }
    if (netmon->frame >= netmon->frame_count)
        return false;
    size_t entry = (size_t)netmon->table_offset + 4 * (size_t)netmon->frame++;
    frame->offset = load_u32_le(netmon->whole.data + entry);
    return true;
}

static enum capture_status netmon_end(struct capture *capture) {
    if (capture->netmon.table_lost)
        return capture_break(
            capture, capture->netmon.frame_behind,
            "the file was cut short or not closed: the frame table at its end is missing");
    capture->stopped = CAPTURE_END;
    return CAPTURE_END;
}

static enum capture_status netmon_next(struct capture *capture, struct packet *packet) {
    struct netmon_state *netmon = &capture->netmon;
    struct frame frame = {0};
    while (frame_find(netmon, &frame)) {
        enum capture_status status = read_frame(capture, &frame);
        if (status != CAPTURE_PACKET)
            return status;
        netmon->frame_behind =
            frame.offset + frame.header_size + frame.captured + trailer_size(netmon);
        if (frame.offset >
            capture->source.at) /* for the progress, and so that pages are given back */
            source_advance(&capture->source, frame.offset - capture->source.at);
        if (media_is_hidden(frame.media))
            continue;
        fill_packet(capture, &frame, packet);
        return CAPTURE_PACKET;
    }
    return netmon_end(capture);
}

/* A SYSTEMTIME without a zone, local to the machine that captured; read as local to this one, as
 * Wireshark does. */
static uint64_t start_time(const uint8_t *at) {
    struct tm local = {
        .tm_year = load_u16_le(at) - 1900,
        .tm_mon = load_u16_le(at + 2) - 1,
        .tm_mday = load_u16_le(at + 6),
        .tm_hour = load_u16_le(at + 8),
        .tm_min = load_u16_le(at + 10),
        .tm_sec = load_u16_le(at + 12),
        .tm_isdst = -1,
    };
    return (uint64_t)mktime(&local) * 1000000000ull + load_u16_le(at + 14) * 1000000ull;
}

static int netmon_refuse(struct capture *capture, const char *reason) {
    capture_break(capture, 0, "%s", reason);
    return -EPROTO;
}

static int netmon_find_table(struct capture *capture, const uint8_t *header) {
    struct netmon_state *netmon = &capture->netmon;
    netmon->table_offset = load_u32_le(header + 24);
    uint32_t table_size = load_u32_le(header + 28);
    int error = source_whole(&capture->source, &netmon->whole);
    if (error == -EFBIG)
        return netmon_refuse(capture, "a Network Monitor file has at most 4 GiB: this is none");
    if (error)
        return error;
    if (capture->source.failure)
        return netmon_refuse(capture, capture->source.failure);
    struct span table = span_slice(netmon->whole, netmon->table_offset, table_size);
    netmon->frame_count = (uint32_t)(table.size / 4);
    netmon->table_lost = table.size < table_size || netmon->table_offset < NETMON_HEADER_SIZE;
    netmon->frame_behind = NETMON_HEADER_SIZE;
    if (netmon->table_offset < NETMON_HEADER_SIZE)
        netmon->table_offset = UINT32_MAX;
    return 0;
}

int netmon_begin(struct capture *capture, struct span first) {
    struct netmon_state *netmon = &capture->netmon;
    if (first.size < 4 ||
        (memcmp(first.data, "RTSS", 4) != 0 && memcmp(first.data, "GMBU", 4) != 0))
        return 1;
    if (first.size < NETMON_HEADER_SIZE)
        return netmon_refuse(capture, "the file ends in the middle of its Network Monitor header");
    uint8_t header[NETMON_HEADER_SIZE];
    memcpy(header, first.data, sizeof header);
    netmon->minor = header[4];
    netmon->major = header[5];
    if (netmon->major != 1 && netmon->major != 2)
        return netmon_refuse(capture,
                             "a version of Network Monitor's format that is not known here");
    netmon->network = load_u16_le(header + 6);
    netmon->start_ns = start_time(header + 8);
    capture->format = netmon->major == 1 ? "NetMon 1" : "NetMon 2";
    capture->next = netmon_next;
    return netmon_find_table(capture, header);
}
