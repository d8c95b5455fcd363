/* Builds packets and capture files in memory, for the tests of src/capture. */
#ifndef SMBPROOF_TESTS_PACKETS_H
#define SMBPROOF_TESTS_PACKETS_H

#include "wire/bytes.h"

#define BLOB_SIZE_MAX 262144u

struct blob {
    size_t size;
    uint8_t data[BLOB_SIZE_MAX];
};

void blob_clear(struct blob *blob);
void blob_put(struct blob *blob, const void *data, size_t size);
void blob_zero(struct blob *blob, size_t size);
/* An integer of `width` octets, in either byte order. */
void blob_le(struct blob *blob, uint64_t value, unsigned width);
void blob_be(struct blob *blob, uint64_t value, unsigned width);
void blob_int(struct blob *blob, uint64_t value, unsigned width, bool big_endian);
/* Octets as hexadecimal digits, blanks between them ignored. */
void blob_hex(struct blob *blob, const char *digits);
void blob_blob(struct blob *blob, const struct blob *other);
struct span blob_span(const struct blob *blob);

/* A TCP segment, an IPv4 or IPv6 header around what is in `inside`, an Ethernet header; each
 * replaces `blob`. */
void make_tcp(struct blob *blob, uint16_t source, uint16_t destination, uint32_t sequence,
              const char *payload);
void make_ipv4(struct blob *blob, uint8_t protocol, const struct blob *inside);
void make_ipv6(struct blob *blob, uint8_t protocol, const struct blob *inside);
void make_ethernet(struct blob *blob, uint16_t type, const struct blob *inside);

/* pcap: header and records. */
struct pcap_options {
    bool big_endian, nanoseconds;
    uint16_t link_type;
};
void pcap_header(struct blob *file, struct pcap_options options);
void pcap_record(struct blob *file, struct pcap_options options, uint32_t seconds,
                 uint32_t fraction, struct span bytes, uint32_t wire_size);

/* pcapng: a block around a body. */
void pcapng_block(struct blob *file, bool big_endian, uint32_t type, const struct blob *body);
void pcapng_section(struct blob *file, bool big_endian);
/* `resolution` -1: none given. */
void pcapng_interface(struct blob *file, bool big_endian, uint16_t link_type, int resolution,
                      int64_t offset_s);
void pcapng_packet(struct blob *file, bool big_endian, uint32_t interface, uint64_t ticks,
                   struct span bytes);

#endif
