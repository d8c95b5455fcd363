#include "packets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void blob_clear(struct blob *blob) {
    blob->size = 0;
}

void blob_put(struct blob *blob, const void *data, size_t size) {
    assert(blob->size + size <= sizeof blob->data);
    if (size > 0)
        memcpy(blob->data + blob->size, data, size);
    blob->size += size;
}

void blob_zero(struct blob *blob, size_t size) {
    assert(blob->size + size <= sizeof blob->data);
    memset(blob->data + blob->size, 0, size);
    blob->size += size;
}

void blob_int(struct blob *blob, uint64_t value, unsigned width, bool big_endian) {
    for (unsigned i = 0; i < width; i++) {
        uint8_t octet = (uint8_t)(value >> 8 * (big_endian ? width - 1 - i : i));
        blob_put(blob, &octet, 1);
    }
}

void blob_le(struct blob *blob, uint64_t value, unsigned width) {
    blob_int(blob, value, width, false);
}

void blob_be(struct blob *blob, uint64_t value, unsigned width) {
    blob_int(blob, value, width, true);
}

void blob_hex(struct blob *blob, const char *digits) {
    while (*digits) {
        if (*digits == ' ') {
            digits++;
            continue;
        }
        char pair[3] = {digits[0], digits[1], 0};
        assert(digits[1]);
        blob_be(blob, strtoul(pair, NULL, 16), 1);
        digits += 2;
    }
}

void blob_blob(struct blob *blob, const struct blob *other) {
    blob_put(blob, other->data, other->size);
}

struct span blob_span(const struct blob *blob) {
    return (struct span){blob->data, blob->size};
}

void make_tcp(struct blob *blob, uint16_t source, uint16_t destination, uint32_t sequence,
              const char *payload) {
    blob_clear(blob);
    blob_be(blob, source, 2);
    blob_be(blob, destination, 2);
    blob_be(blob, sequence, 4);
    blob_be(blob, 0x01020304, 4);
    blob_hex(blob, "50 18 20 00 00 00 00 00");
    blob_put(blob, payload, strlen(payload));
}

void make_ipv4(struct blob *blob, uint8_t protocol, const struct blob *inside) {
    blob_clear(blob);
    blob_hex(blob, "45 00");
    blob_be(blob, 20 + inside->size, 2);
    blob_hex(blob, "12 34 40 00 40");
    blob_be(blob, protocol, 1);
    blob_hex(blob, "00 00 c0 00 02 0a c6 33 64 14");
    blob_blob(blob, inside);
}

void make_ipv6(struct blob *blob, uint8_t protocol, const struct blob *inside) {
    blob_clear(blob);
    blob_hex(blob, "60 00 00 00");
    blob_be(blob, inside->size, 2);
    blob_be(blob, protocol, 1);
    blob_hex(blob,
             "3f 2001 0db8 0000 0000 0000 0000 0000 000a 2001 0db8 0000 0000 0000 0000 0000 0014");
    blob_blob(blob, inside);
}

void make_ethernet(struct blob *blob, uint16_t type, const struct blob *inside) {
    blob_clear(blob);
    blob_hex(blob, "02 00 5e 00 00 01 02 00 5e 00 00 0a");
    blob_be(blob, type, 2);
    blob_blob(blob, inside);
}

void pcap_header(struct blob *file, struct pcap_options options) {
    bool big = options.big_endian;
    blob_int(file, options.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 4, big);
    blob_int(file, 2, 2, big);
    blob_int(file, 4, 2, big);
    blob_zero(file, 8);
    blob_int(file, 65535, 4, big);
    blob_int(file, options.link_type, 4, big);
}

void pcap_record(struct blob *file, struct pcap_options options, uint32_t seconds,
                 uint32_t fraction, struct span bytes, uint32_t wire_size) {
    blob_int(file, seconds, 4, options.big_endian);
    blob_int(file, fraction, 4, options.big_endian);
    blob_int(file, bytes.size, 4, options.big_endian);
    blob_int(file, wire_size, 4, options.big_endian);
    blob_put(file, bytes.data, bytes.size);
}

void pcapng_block(struct blob *file, bool big_endian, uint32_t type, const struct blob *body) {
    size_t padding = (4 - body->size % 4) % 4;
    blob_int(file, type, 4, big_endian);
    blob_int(file, 12 + body->size + padding, 4, big_endian);
    blob_blob(file, body);
    blob_zero(file, padding);
    blob_int(file, 12 + body->size + padding, 4, big_endian);
}

void pcapng_section(struct blob *file, bool big_endian) {
    struct blob *body = calloc(1, sizeof *body);
    blob_int(body, 0x1a2b3c4d, 4, big_endian);
    blob_int(body, 1, 2, big_endian);
    blob_int(body, 0, 2, big_endian);
    blob_int(body, UINT64_MAX, 8, big_endian);
    pcapng_block(file, big_endian, 0x0a0d0d0a, body);
    free(body);
}

void pcapng_interface(struct blob *file, bool big_endian, uint16_t link_type, int resolution,
                      int64_t offset_s) {
    struct blob *body = calloc(1, sizeof *body);
    blob_int(body, link_type, 2, big_endian);
    blob_int(body, 0, 2, big_endian);
    blob_int(body, 0, 4, big_endian);
    blob_int(body, 2, 2, big_endian); /* if_name, and its padding */
    blob_int(body, 3, 2, big_endian);
    blob_put(body, "eth\0", 4);
    if (resolution >= 0) {
        blob_int(body, 9, 2, big_endian);
        blob_int(body, 1, 2, big_endian);
        blob_int(body, (unsigned)resolution, 1, big_endian);
        blob_zero(body, 3);
        blob_int(body, 14, 2, big_endian);
        blob_int(body, 8, 2, big_endian);
        blob_int(body, (uint64_t)offset_s, 8, big_endian);
        blob_zero(body, 4);
    }
    pcapng_block(file, big_endian, 1, body);
    free(body);
}

void pcapng_packet(struct blob *file, bool big_endian, uint32_t interface, uint64_t ticks,
                   struct span bytes) {
    struct blob *body = calloc(1, sizeof *body);
    blob_int(body, interface, 4, big_endian);
    blob_int(body, ticks >> 32, 4, big_endian);
    blob_int(body, ticks & 0xffffffffu, 4, big_endian);
    blob_int(body, bytes.size, 4, big_endian);
    blob_int(body, bytes.size, 4, big_endian);
    blob_put(body, bytes.data, bytes.size);
    blob_zero(body, (4 - bytes.size % 4) % 4);
    blob_int(body, 1, 2, big_endian); /* a comment */
    blob_int(body, 5, 2, big_endian);
    blob_put(body, "hello\0\0\0\0\0\0\0", 12);
    pcapng_block(file, big_endian, 6, body);
    free(body);
}
