/* Puts the fragments of IP datagrams together, in whatever order they come. */
#ifndef SMBPROOF_CAPTURE_FRAGMENTS_H
#define SMBPROOF_CAPTURE_FRAGMENTS_H

#include "capture/link.h"

/* The largest datagram, in octets, and the unit that fragments begin at. */
#define DATAGRAM_MAX  65536u
#define FRAGMENT_UNIT 8u

struct datagram;

struct fragments {
    struct datagram *datagrams[LINK_FRAGMENTS_MAX];
    uint64_t started;       /* datagrams so far: the smallest number is the oldest */
    struct datagram *whole; /* the one that was completed last */
};

struct fragment {
    const uint8_t *source, *destination; /* addresses, 16 octets each */
    const uint8_t *source_mac;           /* copies on two legs of a connection are two datagrams */
    uint32_t interface;
    uint32_t id;
    uint8_t protocol;
    uint32_t offset; /* in the datagram, in octets */
    bool more;       /* it is not the last */
    uint64_t time_ns;
    struct span bytes;
};

/* True where this fragment was the last that was missing; `whole` is valid until the next call. */
bool fragments_add(struct fragments *fragments, const struct fragment *fragment,
                   struct span *whole);
void fragments_free(struct fragments *fragments);

#endif
