/* The classic format of libpcap and its children: a 24-octet header, then records of one link type.
 */
#include "capture/format.h"

#include <errno.h>

/* Records larger than this are damage, unless the header announces a larger snap length: libpcap's
 * own bound. */
#define PCAP_RECORD_MAX  262144u
#define PCAP_HEADER_SIZE 24u

static enum capture_status pcap_next(struct capture *capture, struct packet *packet) {
    struct source *source = &capture->source;
    const struct pcap_state *pcap = &capture->pcap;
    const uint8_t *record = source_peek(source, pcap->header_size);
    if (!record)
        return capture_stop(capture);
    uint32_t seconds = load_u32(record, pcap->big_endian);
    uint32_t fraction = load_u32(record + 4, pcap->big_endian);
    uint32_t captured = load_u32(record + 8, pcap->big_endian);
    uint32_t wire = load_u32(record + 12, pcap->big_endian);
    if (pcap->lengths_swapped && captured > wire) {
        uint32_t other = captured;
        captured = wire;
        wire = other;
    }
    if (captured > pcap->record_max)
        return capture_break(
            capture, source_offset(source),
            "a record claims %u octets, more than any packet has: the file is damaged here",
            captured);
    size_t size = (size_t)pcap->header_size + captured;
    record = source_peek(source, size);
    if (!record)
        return capture_stop(capture);
    packet->number = ++capture->number;
    packet->time_ns = seconds * 1000000000ull + fraction * (pcap->nanoseconds ? 1ull : 1000ull);
    packet->interface = 0;
    packet->link_type = pcap->link_type;
    packet->wire_size = wire > captured ? wire : captured;
    packet->bytes = (struct span){record + pcap->header_size, captured};
    source_advance(source, size);
    return CAPTURE_PACKET;
}

static bool pcap_magic(struct pcap_state *pcap, uint32_t magic) {
    pcap->header_size = 16;
    pcap->nanoseconds = magic == 0xa1b23c4du;
    if (magic == 0xa1b2cd34u)
        pcap->header_size = 24;
    return magic == 0xa1b2c3d4u || magic == 0xa1b23c4du || magic == 0xa1b2cd34u;
}

int pcap_begin(struct capture *capture, struct span first) {
    struct pcap_state *pcap = &capture->pcap;
    if (first.size < 4)
        return 1;
    pcap->big_endian = pcap_magic(pcap, load_u32_be(first.data));
    if (!pcap->big_endian && !pcap_magic(pcap, load_u32_le(first.data)))
        return 1;
    if (first.size < PCAP_HEADER_SIZE) {
        capture_break(capture, 0, "the file ends in the middle of its pcap header");
        return -EPROTO;
    }
    uint16_t major = load_u16(first.data + 4, pcap->big_endian);
    uint16_t minor = load_u16(first.data + 6, pcap->big_endian);
    uint32_t snap_length = load_u32(first.data + 16, pcap->big_endian);
    if (major != 2) {
        capture_break(capture, 0, "pcap version %u.%u is not known here", major, minor);
        return -EPROTO;
    }
    pcap->lengths_swapped = minor <= 3;
    pcap->record_max = snap_length > PCAP_RECORD_MAX ? snap_length : PCAP_RECORD_MAX;
    if (pcap->record_max > SOURCE_PEEK_MAX - PCAP_HEADER_SIZE)
        pcap->record_max = SOURCE_PEEK_MAX - PCAP_HEADER_SIZE;
    /* The upper half holds the length of a frame check sequence, which IP's own length makes
     * unnecessary. */
    pcap->link_type = (uint16_t)load_u32(first.data + 20, pcap->big_endian);
    capture->format = pcap->nanoseconds ? "pcap (nanoseconds)" : "pcap";
    capture->next = pcap_next;
    source_advance(&capture->source, PCAP_HEADER_SIZE);
    return 0;
}
