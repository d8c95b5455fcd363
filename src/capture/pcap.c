/* The classic format of libpcap and its children: a 24-octet header, then records of one link type.
 */
#include "capture/format.h"

#include <errno.h>

/* Records larger than this are damage, unless the header announces a larger snap length: libpcap's
 * own bound. */
#define PCAP_RECORD_MAX  262144u
#define PCAP_HEADER_SIZE 24u

/* Octets captured of a packet, as its record's header says. */
static inline uint32_t pcap_captured(const struct pcap_state *pcap, const uint8_t *record) {
    uint32_t captured = load_u32(record + 8, pcap->big_endian), wire = load_u32(record + 12, pcap->big_endian);
    return pcap->lengths_swapped && captured > wire ? wire : captured;
}

/* Of a record that the source has whole. */
static inline enum capture_status pcap_take(struct capture *capture, const uint8_t *record, uint32_t captured,
                                            struct packet *packet) {
    const struct pcap_state *pcap = &capture->pcap;
    uint32_t seconds = load_u32(record, pcap->big_endian), fraction = load_u32(record + 4, pcap->big_endian);
    uint32_t one = load_u32(record + 8, pcap->big_endian), other = load_u32(record + 12, pcap->big_endian);
    packet->number = ++capture->number;
    packet->time_ns = seconds * 1000000000ull + fraction * (pcap->nanoseconds ? 1ull : 1000ull);
    packet->interface = 0;
    packet->link_type = pcap->link_type;
    packet->wire_size = one > other ? one : other;
    packet->bytes = (struct span){record + pcap->header_size, captured};
    source_advance(&capture->source, pcap->header_size + (size_t)captured);
    return CAPTURE_PACKET;
}

/* Where the window has to move, or the file ends or breaks. */
static __attribute__((noinline)) enum capture_status pcap_next_slowly(struct capture *capture, struct packet *packet) {
    struct source *source = &capture->source;
    const struct pcap_state *pcap = &capture->pcap;
    const uint8_t *record = source_peek(source, pcap->header_size);
    if (!record)
        return capture_stop(capture);
    uint32_t captured = pcap_captured(pcap, record);
    if (captured > pcap->record_max)
        return capture_break(
            capture, source_offset(source),
            "a record claims %u octets, more than any packet has: the file is damaged here",
            captured);
    record = source_peek(source, (size_t)pcap->header_size + captured);
    return record ? pcap_take(capture, record, captured, packet) : capture_stop(capture);
}

static enum capture_status pcap_next(struct capture *capture, struct packet *packet) {
    const struct source *source = &capture->source;
    const struct pcap_state *pcap = &capture->pcap;
    const uint8_t *record = source->data + source->at;
    size_t left = source->size - source->at;
    if (left >= pcap->header_size) {
        uint32_t captured = pcap_captured(pcap, record);
        if (captured <= pcap->record_max && captured <= left - pcap->header_size)
            return pcap_take(capture, record, captured, packet);
    }
    return pcap_next_slowly(capture, packet);
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
