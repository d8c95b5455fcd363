/* pcapng (draft-ietf-opsawg-pcapng): sections of blocks, each section with its own byte order and
 * interfaces. */
#include "capture/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum block_type {
    BLOCK_SECTION_HEADER = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 2, /* obsolete */
    BLOCK_SIMPLE_PACKET = 3,
    BLOCK_ENHANCED_PACKET = 6,
};

/* Blocks that are no packets and that Wireshark numbers like packets: custom blocks, entries of
 * systemd's journal, events of sysdig. People look a packet up by Wireshark's number, so these take
 * one here too. */
static const uint32_t numbered_blocks[] = {0x00000bad, 0x40000bad, 9,     0x204, 0x208,
                                           0x216,      0x217,      0x221, 0x222};

enum option_code { OPTION_END = 0, OPTION_TIME_RESOLUTION = 9, OPTION_TIME_OFFSET = 14 };

#define BLOCK_MINIMUM       12u
#define BYTE_ORDER_MAGIC    0x1a2b3c4du
#define SECTION_HEADER_SIZE 28u

struct block {
    uint64_t offset; /* in the file */
    uint32_t type;
    uint32_t size; /* of all of it, padded */
    struct span body;
};

static uint64_t power_of_ten(unsigned exponent) {
    uint64_t value = 1;
    while (exponent-- > 0)
        value *= 10;
    return value;
}

/* Ticks of 2^-20 s, 10^-7 s and the like to nanoseconds, without overflow for any exponent. */
static uint64_t ticks_to_ns(const struct pcapng_interface *interface, uint64_t ticks) {
    unsigned exponent = interface->resolution & 0x7fu;
    if (interface->multiply)
        return ticks * interface->multiply;
    if (interface->resolution & 0x80) {
        uint64_t seconds = exponent < 64 ? ticks >> exponent : 0;
        uint64_t rest = exponent < 64 ? ticks & ((1ull << exponent) - 1) : ticks;
        /* Bits beyond 2^-34 s are finer than a nanosecond. */
        if (exponent > 34) {
            unsigned drop = exponent - 34;
            rest = drop < 64 ? rest >> drop : 0;
            exponent = 34;
        }
        return seconds * 1000000000ull + (rest * 1000000000ull >> exponent);
    }
    return exponent - 9 <= 19 ? ticks / power_of_ten(exponent - 9) : 0;
}

static void interface_set_resolution(struct pcapng_interface *interface, uint8_t resolution) {
    interface->resolution = resolution;
    interface->multiply = resolution <= 9 ? power_of_ten(9u - resolution) : 0;
}

static void interface_option(struct pcapng_interface *interface, uint16_t code, struct span value,
                             bool big) {
    if (code == OPTION_TIME_RESOLUTION && value.size >= 1)
        interface_set_resolution(interface, value.data[0]);
    if (code == OPTION_TIME_OFFSET && value.size >= 8) {
        uint64_t first = load_u32(value.data, big), second = load_u32(value.data + 4, big);
        interface->offset_s = (int64_t)(big ? first << 32 | second : second << 32 | first);
    }
}

static void interface_options(struct pcapng_interface *interface, struct span options, bool big) {
    while (options.size >= 4) {
        uint16_t code = load_u16(options.data, big);
        size_t size = load_u16(options.data + 2, big);
        size_t padded = (size + 3) & ~(size_t)3;
        options = span_slice(options, 4, options.size);
        if (code == OPTION_END || size > options.size)
            return;
        interface_option(interface, code, span_slice(options, 0, size), big);
        options = span_slice(options, padded, options.size);
    }
}

static bool interface_room(struct pcapng_state *pcapng) {
    if (pcapng->interface_count < pcapng->interface_room)
        return true;
    size_t room = pcapng->interface_room ? 2 * pcapng->interface_room : 8;
    struct pcapng_interface *larger = reallocarray(pcapng->interfaces, room, sizeof *larger);
    if (!larger)
        return false;
    pcapng->interfaces = larger;
    pcapng->interface_room = room;
    return true;
}

static enum capture_status read_interface(struct capture *capture, const struct block *block) {
    struct pcapng_state *pcapng = &capture->pcapng;
    if (block->body.size < 8)
        return capture_break(capture, block->offset, "an interface block is too short");
    if (pcapng->interface_count >= PCAPNG_INTERFACES_MAX)
        return capture_break(capture, block->offset, "a section has more than %u interfaces",
                             PCAPNG_INTERFACES_MAX);
    if (!interface_room(pcapng))
        return capture_break(capture, block->offset, "there is not enough memory");
    struct pcapng_interface *interface = &pcapng->interfaces[pcapng->interface_count++];
    *interface = (struct pcapng_interface){
        .link_type = load_u16(block->body.data, pcapng->big_endian),
        .snap_length = load_u32(block->body.data + 4, pcapng->big_endian),
    };
    interface_set_resolution(interface, 6);
    interface_options(interface, span_slice(block->body, 8, block->body.size), pcapng->big_endian);
    return CAPTURE_PACKET;
}

static enum capture_status read_section(struct capture *capture, const struct block *block) {
    struct pcapng_state *pcapng = &capture->pcapng;
    uint16_t major = load_u16(block->body.data + 4, pcapng->big_endian);
    if (major != 1)
        return capture_break(capture, block->offset, "pcapng version %u is not known here", major);
    pcapng->interfaces_before += (uint32_t)pcapng->interface_count;
    pcapng->interface_count = 0;
    return CAPTURE_PACKET;
}

static enum capture_status fill_packet(struct capture *capture, const struct block *block,
                                       uint32_t number, struct packet *packet) {
    const struct pcapng_state *pcapng = &capture->pcapng;
    if (number >= pcapng->interface_count)
        return capture_break(capture, block->offset,
                             "a packet is of interface %u, which no block described", number);
    packet->interface = pcapng->interfaces_before + number;
    packet->link_type = pcapng->interfaces[number].link_type;
    packet->number = ++capture->number;
    return CAPTURE_PACKET;
}

/* Enhanced Packet Block and the obsolete Packet Block differ in their first four octets. */
static enum capture_status read_packet(struct capture *capture, const struct block *block,
                                       struct packet *packet) {
    bool big = capture->pcapng.big_endian;
    const uint8_t *body = block->body.data;
    if (block->body.size < 20)
        return capture_break(capture, block->offset, "a packet block is too short");
    uint32_t number = block->type == BLOCK_PACKET ? load_u16(body, big) : load_u32(body, big);
    uint64_t ticks = (uint64_t)load_u32(body + 4, big) << 32 | load_u32(body + 8, big);
    uint32_t captured = load_u32(body + 12, big), wire = load_u32(body + 16, big);
    if (captured > block->body.size - 20)
        return capture_break(capture, block->offset,
                             "a packet block claims %u octets of packet and has %zu", captured,
                             block->body.size - 20);
    enum capture_status status = fill_packet(capture, block, number, packet);
    if (status != CAPTURE_PACKET)
        return status;
    const struct pcapng_interface *interface = &capture->pcapng.interfaces[number];
    packet->time_ns = ticks_to_ns(interface, ticks) + (uint64_t)interface->offset_s * 1000000000ull;
    packet->wire_size = wire > captured ? wire : captured;
    packet->bytes = (struct span){body + 20, captured};
    return CAPTURE_PACKET;
}

/* No time, no interface (it is the first), and the captured length follows from the snap length. */
static enum capture_status read_simple_packet(struct capture *capture, const struct block *block,
                                              struct packet *packet) {
    if (block->body.size < 4)
        return capture_break(capture, block->offset, "a packet block is too short");
    enum capture_status status = fill_packet(capture, block, 0, packet);
    if (status != CAPTURE_PACKET)
        return status;
    uint32_t wire = load_u32(block->body.data, capture->pcapng.big_endian);
    uint32_t snap_length = capture->pcapng.interfaces[0].snap_length;
    size_t captured = block->body.size - 4;
    if (wire < captured)
        captured = wire;
    if (snap_length > 0 && snap_length < captured)
        captured = snap_length;
    packet->time_ns = 0;
    packet->wire_size = wire;
    packet->bytes = (struct span){block->body.data + 4, captured};
    return CAPTURE_PACKET;
}

static bool is_needed(uint32_t type) {
    return type == BLOCK_SECTION_HEADER || type == BLOCK_INTERFACE || type == BLOCK_PACKET ||
           type == BLOCK_SIMPLE_PACKET || type == BLOCK_ENHANCED_PACKET;
}

/* A section header tells the byte order that its own length is in. */
static enum capture_status section_byte_order(struct capture *capture) {
    const uint8_t *data = source_peek(&capture->source, BLOCK_MINIMUM);
    if (!data)
        return capture_stop(capture);
    capture->pcapng.big_endian = load_u32_be(data + 8) == BYTE_ORDER_MAGIC;
    if (!capture->pcapng.big_endian && load_u32_le(data + 8) != BYTE_ORDER_MAGIC)
        return capture_break(capture, source_offset(&capture->source),
                             "a section header has no byte-order magic: the file is damaged here");
    return CAPTURE_PACKET;
}

/* Type and length of the next block; its body comes after the decision whether to look at it. */
static enum capture_status read_block_header(struct capture *capture, struct block *block) {
    const uint8_t *data = source_peek(&capture->source, 8);
    if (!data)
        return capture_stop(capture);
    if (load_u32_le(data) == BLOCK_SECTION_HEADER) {
        enum capture_status status = section_byte_order(capture);
        if (status != CAPTURE_PACKET)
            return status;
        data = source_peek(&capture->source, 8);
    }
    bool big = capture->pcapng.big_endian;
    block->offset = source_offset(&capture->source);
    block->type = load_u32(data, big);
    block->size = load_u32(data + 4, big);
    uint32_t minimum = block->type == BLOCK_SECTION_HEADER ? SECTION_HEADER_SIZE : BLOCK_MINIMUM;
    if (block->size < minimum || block->size > UINT32_MAX - 3)
        return capture_break(capture, block->offset,
                             "a block of %u octets: the file is damaged here", block->size);
    block->size = (block->size + 3) & ~3u; /* some writers forget the padding in the length */
    return CAPTURE_PACKET;
}

static enum capture_status read_block_body(struct capture *capture, struct block *block) {
    if (block->size > SOURCE_PEEK_MAX)
        return capture_break(capture, block->offset,
                             "a block of %u octets: the file is damaged here", block->size);
    const uint8_t *data = source_peek(&capture->source, block->size);
    if (!data)
        return capture_stop(capture);
    uint32_t again = load_u32(data + block->size - 4, capture->pcapng.big_endian);
    if (((again + 3) & ~3u) != block->size)
        return capture_break(
            capture, block->offset,
            "a block has %u octets by its beginning and %u by its end: the file is damaged here",
            block->size, again);
    block->body = (struct span){data + 8, block->size - BLOCK_MINIMUM};
    source_advance(&capture->source, block->size);
    return CAPTURE_PACKET;
}

static bool is_numbered(uint32_t type) {
    for (size_t i = 0; i < sizeof numbered_blocks / sizeof *numbered_blocks; i++)
        if (numbered_blocks[i] == type)
            return true;
    return false;
}

static enum capture_status skip_block(struct capture *capture, const struct block *block) {
    if (is_numbered(block->type))
        capture->number++;
    if (!source_skip(&capture->source, block->size))
        return capture_break(capture, block->offset, "%s",
                             capture->source.failure ? capture->source.failure
                                                     : "the file ends in the middle of a block");
    return CAPTURE_PACKET;
}

static enum capture_status pcapng_next(struct capture *capture, struct packet *packet) {
    for (;;) {
        struct block block = {0};
        enum capture_status status = read_block_header(capture, &block);
        if (status == CAPTURE_PACKET)
            status = is_needed(block.type) ? read_block_body(capture, &block)
                                           : skip_block(capture, &block);
        if (status != CAPTURE_PACKET)
            return status;
        if (block.type == BLOCK_ENHANCED_PACKET || block.type == BLOCK_PACKET)
            return read_packet(capture, &block, packet);
        if (block.type == BLOCK_SIMPLE_PACKET)
            return read_simple_packet(capture, &block, packet);
        if (block.type == BLOCK_INTERFACE)
            status = read_interface(capture, &block);
        else if (block.type == BLOCK_SECTION_HEADER)
            status = read_section(capture, &block);
        if (status != CAPTURE_PACKET)
            return status;
    }
}

int pcapng_begin(struct capture *capture, struct span first) {
    if (first.size < 4 || load_u32_le(first.data) != BLOCK_SECTION_HEADER)
        return 1;
    if (first.size < BLOCK_MINIMUM) {
        capture_break(capture, 0, "the file ends in the middle of its pcapng section header");
        return -EPROTO;
    }
    capture->format = "pcapng";
    capture->next = pcapng_next;
    return section_byte_order(capture) == CAPTURE_PACKET ? 0 : -EPROTO;
}

void pcapng_end(struct capture *capture) {
    if (capture->next != pcapng_next)
        return;
    free(capture->pcapng.interfaces);
}
