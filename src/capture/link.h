/* One captured packet -> its TCP segment, through every link layer, tunnel and extension header in
 * the way. */
#ifndef SMBPROOF_CAPTURE_LINK_H
#define SMBPROOF_CAPTURE_LINK_H

#include "capture/capture.h"

/* An address and port; IPv4 is kept as ::ffff:a.b.c.d so that comparing is one memcmp. */
struct endpoint {
    uint8_t address[16];
    uint16_t port;
};

bool endpoint_is_ipv4(const struct endpoint *endpoint);
/* Writes "192.0.2.1:445" or "[2001:db8::1]:445" with its NUL. */
#define ENDPOINT_TEXT_MAX 56u
void endpoint_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_MAX]);

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10 };

/* Why a packet holds no segment; counted, so that what was skipped can be told. */
enum link_result {
    LINK_SEGMENT,      /* `segment` was filled in */
    LINK_NOT_TCP,      /* something else, whole */
    LINK_FRAGMENT,     /* an IP fragment, kept until the others arrive */
    LINK_CUT,          /* too little was captured to reach the TCP header */
    LINK_UNKNOWN_TYPE, /* a link type, or a protocol inside one, that is not known here */
    LINK_MALFORMED,
};

struct macs { /* in the order of an Ethernet header */
    uint8_t destination[6], source[6];
};

struct segment {
    struct endpoint source, destination;
    uint32_t sequence, acknowledgment;
    uint8_t flags;      /* enum tcp_flag */
    uint8_t ttl;        /* or hop limit */
    bool dont_fragment; /* IPv4 DF; false in IPv6 */
    bool has_ip_id;     /* IPv4 */
    uint16_t ip_id;
    uint16_t window; /* as sent, not scaled */
    bool has_mac;
    struct macs macs;    /* zero where the link layer has none */
    uint32_t link_index; /* Linux cooked v2: the host's interface; else 0 */
    struct span payload;                       /* octets captured */
    uint32_t payload_size; /* octets on the wire, as the IP header says (or wire_size for offload
                              frames with length 0) */
    uint16_t mss;          /* option 2, 0 where absent */
    bool has_timestamp;    /* option 8 */
    uint32_t timestamp, timestamp_echo;
    bool has_optimiser_option; /* options 76 or 78 (WAN optimisers' probes) */
};

/* Bounds of IP reassembly: datagrams that wait for fragments at a time (the oldest is dropped), and
 * how long, in capture time, one may wait before its identification counts as used anew. */
#define LINK_FRAGMENTS_MAX    64u
#define LINK_FRAGMENT_WAIT_NS (30ull * 1000000000ull)

struct link; /* holds IP fragments, bounded (LINK_FRAGMENTS_MAX datagrams of 64 KiB), else stateless
              */

struct link *link_new(void); /* NULL where there is no memory */
void link_free(struct link *link);
/* `segment` borrows from the packet or, where fragments were put together, from `link` until the
 * next call. */
enum link_result link_decode(struct link *link, const struct packet *packet,
                             struct segment *segment);

#endif
