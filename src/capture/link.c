#include "capture/link.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/fragments.h"
#include "capture/load.h"

/* Headers that one packet may have, one inside the other. */
#define LINK_LAYERS_MAX 24u

/* LINKTYPE_ numbers (https://www.tcpdump.org/linktypes.html). */
enum {
    LINKTYPE_NULL = 0,
    LINKTYPE_ETHERNET = 1,
    LINKTYPE_TOKEN_RING = 6,
    LINKTYPE_PPP = 9,
    LINKTYPE_FDDI = 10,
    LINKTYPE_RAW_BSD = 12,
    LINKTYPE_RAW_OPENBSD = 14,
    LINKTYPE_PPP_HDLC = 50,
    LINKTYPE_PPP_ETHER = 51,
    LINKTYPE_RAW = 101,
    LINKTYPE_C_HDLC = 104,
    LINKTYPE_IEEE802_11 = 105,
    LINKTYPE_LOOP = 108,
    LINKTYPE_LINUX_SLL = 113,
    LINKTYPE_IEEE802_11_RADIOTAP = 127,
    LINKTYPE_PPP_PPPD = 166,
    LINKTYPE_PPP_WITH_DIRECTION = 204,
    LINKTYPE_C_HDLC_WITH_DIRECTION = 205,
    LINKTYPE_IPV4 = 228,
    LINKTYPE_IPV6 = 229,
    LINKTYPE_NFLOG = 239,
    LINKTYPE_PKTAP = 258,
    LINKTYPE_LINUX_SLL2 = 276,
};

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_BRIDGING = 0x6558, /* transparent Ethernet bridging, in GRE and Geneve */
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_IPV6 = 0x86dd,
    ETHERTYPE_MPLS = 0x8847,
    ETHERTYPE_MPLS_MULTICAST = 0x8848,
    ETHERTYPE_PPPOE_DISCOVERY = 0x8863,
    ETHERTYPE_PPPOE = 0x8864,
    ETHERTYPE_PPP = 0x880b,
    ETHERTYPE_EAPOL = 0x888e,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_ERSPAN = 0x88be,
    ETHERTYPE_LLDP = 0x88cc,
    ETHERTYPE_PBB = 0x88e7,
    ETHERTYPE_ERSPAN3 = 0x22eb,
    ETHERTYPE_QINQ_OLD = 0x9100,
    ETHERTYPE_QINQ_OLDER = 0x9200,
    ETHERTYPE_LENGTH_MAX = 1500,
};

enum {
    IP_HOP_BY_HOP = 0,
    IP_IPV4 = 4,
    IP_TCP = 6,
    IP_UDP = 17,
    IP_IPV6 = 41,
    IP_ROUTING = 43,
    IP_FRAGMENT = 44,
    IP_GRE = 47,
    IP_AH = 51,
    IP_DESTINATION = 60,
    IP_MOBILITY = 135,
    IP_HIP = 139,
    IP_SHIM6 = 140,
};

enum { UDP_VXLAN = 4789, UDP_VXLAN_OLD = 8472, UDP_GENEVE = 6081 };

enum {
    TCP_OPTION_MSS = 2,
    TCP_OPTION_TIMESTAMP = 8,
    TCP_OPTION_PROBE_A = 76,
    TCP_OPTION_PROBE_B = 78
};

/* A step that found another header inside its own; every other value of enum link_result ends the
 * walk. */
#define LINK_STEP ((enum link_result)(LINK_MALFORMED + 1))

struct link {
    struct fragments fragments;
};

/* What is still ahead in a packet, and what was learned on the way. */
struct walk {
    struct link *link;
    const struct packet *packet;
    struct segment *segment;
    const uint8_t *at;
    size_t captured; /* octets from `at` on, captured */
    size_t wire;     /* and on the wire, never less */
    enum link_result (*step)(struct walk *walk);
    uint16_t type;    /* Ethertype, where the next step needs one */
    uint8_t protocol; /* of IP */
};

static enum link_result step_ethernet(struct walk *walk);
static enum link_result step_llc(struct walk *walk);
static enum link_result step_ethertype(struct walk *walk);
static enum link_result step_ppp(struct walk *walk);
static enum link_result step_ipv4(struct walk *walk);
static enum link_result step_ipv6(struct walk *walk);
static enum link_result step_ip_version(struct walk *walk);
static enum link_result step_protocol(struct walk *walk);
static enum link_result step_link_type(struct walk *walk);

bool endpoint_is_ipv4(const struct endpoint *endpoint) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(endpoint->address, mapped, sizeof mapped) == 0;
}

static char *decimal(char *at, unsigned value) {
    if (value >= 10)
        at = decimal(at, value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/* IPv4 without printf: this runs for each connection of captures that have millions. */
void endpoint_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_MAX]) {
    char address[INET6_ADDRSTRLEN] = "";
    if (!endpoint_is_ipv4(endpoint)) {
        inet_ntop(AF_INET6, endpoint->address, address, sizeof address);
        snprintf(text, ENDPOINT_TEXT_MAX, "[%s]:%u", address, endpoint->port);
        return;
    }
    for (size_t i = 12; i < 16; i++) {
        text = decimal(text, endpoint->address[i]);
        *text++ = i < 15 ? '.' : ':';
    }
    *decimal(text, endpoint->port) = '\0';
}

/* Moves over a header that was checked to be captured. */
static inline void walk_over(struct walk *walk, size_t size) {
    walk->at += size;
    walk->captured -= size;
    walk->wire -= size;
}

static inline enum link_result walk_on(struct walk *walk, size_t size,
                                       enum link_result (*step)(struct walk *)) {
    walk_over(walk, size);
    walk->step = step;
    return LINK_STEP;
}

/* Too short: cut by the snap length, or never whole. */
static enum link_result walk_short(const struct walk *walk, size_t size) {
    return walk->wire >= size ? LINK_CUT : LINK_MALFORMED;
}

/* Ethernet and what is like it */

static inline void take_macs(struct segment *segment, const uint8_t *frame) {
    segment->has_mac = true;
    memcpy(&segment->macs, frame, sizeof segment->macs);
}

static enum link_result step_ethernet(struct walk *walk) {
    if (walk->captured < 14)
        return walk_short(walk, 14);
    take_macs(walk->segment, walk->at);
    walk->type = load_u16_be(walk->at + 12);
    return walk_on(walk, 14, step_ethertype);
}

/* IEEE 802.2: only the SNAP form and the rare IP form can hold IP. */
static enum link_result step_llc(struct walk *walk) {
    if (walk->captured < 3)
        return walk_short(walk, 3);
    if (walk->at[0] == 0x06 && walk->at[1] == 0x06)
        return walk_on(walk, 3, step_ipv4);
    if (walk->at[0] != 0xaa || walk->at[1] != 0xaa)
        return LINK_NOT_TCP;
    if (walk->captured < 8)
        return walk_short(walk, 8);
    walk->type = load_u16_be(walk->at + 6);
    /* An organisation's own protocol (CDP and others) is never IP, but OUI 00-00-f8 and 0 are. */
    bool ethernet =
        walk->at[3] == 0 && walk->at[4] == 0 && (walk->at[5] == 0 || walk->at[5] == 0xf8);
    return ethernet ? walk_on(walk, 8, step_ethertype) : LINK_NOT_TCP;
}

static enum link_result step_vlan(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    walk->type = load_u16_be(walk->at + 2);
    return walk_on(walk, 4, step_ethertype);
}

/* IEEE 802.1ah: flags and service id, then the customer's Ethernet frame. */
static enum link_result step_provider_bridge(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    return walk_on(walk, 4, step_ethernet);
}

static enum link_result step_pppoe(struct walk *walk) {
    if (walk->captured < 6)
        return walk_short(walk, 6);
    if (walk->at[0] != 0x11)
        return LINK_MALFORMED;
    return walk->at[1] == 0 ? walk_on(walk, 6, step_ppp) : LINK_NOT_TCP;
}

static bool is_frame_at(const struct walk *walk, size_t offset) {
    if (walk->captured < offset + 14)
        return false;
    uint16_t type = load_u16_be(walk->at + offset + 12);
    return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6 || type == ETHERTYPE_VLAN ||
           type == ETHERTYPE_QINQ;
}

/* The control word's first four bits are 0, but so are those of many MAC addresses. */
static size_t control_word_size(const struct walk *walk) {
    if (walk->at[0] >> 4 != 0 || (is_frame_at(walk, 0) && !is_frame_at(walk, 4)))
        return 0;
    return 4;
}

/* A label's lowest bit of the third octet says that it is the last. What is inside is not told: IP
 * by its version, else a pseudo wire, with or without its control word. */
static enum link_result step_mpls(struct walk *walk) {
    bool last = false;
    while (!last) {
        if (walk->captured < 5)
            return walk_short(walk, 5);
        last = walk->at[2] & 1;
        walk_over(walk, 4);
    }
    uint8_t version = walk->at[0] >> 4;
    if (version == 4 || version == 6)
        return walk_on(walk, 0, step_ip_version);
    size_t control_word = control_word_size(walk);
    if (walk->captured < control_word)
        return walk_short(walk, control_word);
    return walk_on(walk, control_word, step_ethernet);
}

static enum link_result step_other_ethertype(struct walk *walk) {
    switch (walk->type) {
    case ETHERTYPE_VLAN:
    case ETHERTYPE_QINQ:
    case ETHERTYPE_QINQ_OLD:
    case ETHERTYPE_QINQ_OLDER:
        return step_vlan(walk);
    case ETHERTYPE_MPLS:
    case ETHERTYPE_MPLS_MULTICAST:
        return step_mpls(walk);
    case ETHERTYPE_PPPOE:
        return step_pppoe(walk);
    case ETHERTYPE_PPP:
        return walk_on(walk, 0, step_ppp);
    case ETHERTYPE_BRIDGING:
        return walk_on(walk, 0, step_ethernet);
    case ETHERTYPE_PBB:
        return step_provider_bridge(walk);
    case ETHERTYPE_ARP:
    case ETHERTYPE_PPPOE_DISCOVERY:
    case ETHERTYPE_EAPOL:
    case ETHERTYPE_LLDP:
        return LINK_NOT_TCP;
    default:
        return walk->type <= ETHERTYPE_LENGTH_MAX ? walk_on(walk, 0, step_llc) : LINK_UNKNOWN_TYPE;
    }
}

static inline enum link_result step_ethertype(struct walk *walk) {
    if (walk->type == ETHERTYPE_IPV4)
        return walk_on(walk, 0, step_ipv4);
    if (walk->type == ETHERTYPE_IPV6)
        return walk_on(walk, 0, step_ipv6);
    return step_other_ethertype(walk);
}

/* The protocol has two octets, or one where it is odd (compressed); ff 03 before it may be missing.
 */
static enum link_result step_ppp(struct walk *walk) {
    if (walk->captured >= 2 && walk->at[0] == 0xff && walk->at[1] == 0x03)
        walk_over(walk, 2);
    if (walk->captured < 2)
        return walk_short(walk, 2);
    size_t size = walk->at[0] & 1 ? 1 : 2;
    uint16_t protocol = size == 1 ? walk->at[0] : load_u16_be(walk->at);
    switch (protocol) {
    case 0x0021:
        return walk_on(walk, size, step_ipv4);
    case 0x0057:
        return walk_on(walk, size, step_ipv6);
    case 0x0281:
    case 0x0283:
        return walk_on(walk, size, step_mpls);
    default:
        /* Control protocols, from 0x8000 on, carry no IP; compressed, encrypted or bundled ones
         * might. */
        return protocol >= 0x8000 ? LINK_NOT_TCP : LINK_UNKNOWN_TYPE;
    }
}

/* Cisco HDLC: address, control 0, Ethertype. */
static enum link_result step_cisco_hdlc(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    walk->type = load_u16_be(walk->at + 2);
    return walk->type == 0x8035 ? LINK_NOT_TCP : walk_on(walk, 4, step_ethertype);
}

static enum link_result step_ppp_or_hdlc(struct walk *walk) {
    bool cisco =
        walk->captured >= 2 && (walk->at[0] == 0x0f || walk->at[0] == 0x8f) && walk->at[1] == 0;
    return walk_on(walk, 0, cisco ? step_cisco_hdlc : step_ppp);
}

/* The first octet tells the direction. */
static enum link_result step_direction(struct walk *walk) {
    if (walk->captured < 1)
        return walk_short(walk, 1);
    bool cisco = walk->packet->link_type == LINKTYPE_C_HDLC_WITH_DIRECTION;
    if (walk->packet->link_type == LINKTYPE_PPP_PPPD && walk->captured >= 2 && walk->at[1] == 0x03)
        return walk_on(walk, 2, step_ppp); /* the direction took the place of ff */
    return walk_on(walk, 1, cisco ? step_cisco_hdlc : step_ppp);
}

/* The address family, in the byte order of the host that captured (BSD) or of the network
 * (OpenBSD). */
static enum link_result step_family(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    uint32_t family = load_u32_be(walk->at);
    if (family > 0xffff)
        family = load_u32_le(walk->at);
    switch (family) {
    case 2:
        return walk_on(walk, 4, step_ipv4);
    case 10: /* Linux */
    case 23: /* Windows (Npcap) */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* Darwin */
        return walk_on(walk, 4, step_ipv6);
    default:
        return LINK_NOT_TCP;
    }
}

/* Linux cooked: only the sender's address, and with version 2 the interface. */
static void cooked_address(struct walk *walk, uint16_t size, const uint8_t *address) {
    if (size != 6)
        return;
    walk->segment->has_mac = true;
    memcpy(walk->segment->macs.source, address, 6);
    memset(walk->segment->macs.destination, 0, 6);
}

static enum link_result cooked_protocol(struct walk *walk, uint16_t type, size_t size) {
    walk->type = type;
    if (type == 0x0001) /* Novell's raw 802.3 */
        return LINK_NOT_TCP;
    return walk_on(walk, size, type == 0x0004 ? step_llc : step_ethertype);
}

static enum link_result step_cooked(struct walk *walk) {
    if (walk->captured < 16)
        return walk_short(walk, 16);
    cooked_address(walk, load_u16_be(walk->at + 4), walk->at + 6);
    return cooked_protocol(walk, load_u16_be(walk->at + 14), 16);
}

static enum link_result step_cooked2(struct walk *walk) {
    if (walk->captured < 20)
        return walk_short(walk, 20);
    walk->segment->link_index = load_u32_be(walk->at + 4);
    cooked_address(walk, walk->at[11], walk->at + 12);
    return cooked_protocol(walk, load_u16_be(walk->at), 20);
}

static enum link_result step_token_ring(struct walk *walk) {
    if (walk->captured < 14)
        return walk_short(walk, 14);
    /* The first bit of the sender's address says that routing information follows, with its length
     * in 5 bits. */
    size_t size = 14;
    if (walk->at[8] & 0x80)
        size += walk->captured > 14 ? walk->at[14] & 0x1f : 0;
    if (walk->captured < size)
        return walk_short(walk, size);
    return walk_on(walk, size, step_llc);
}

static enum link_result step_fddi(struct walk *walk) {
    if (walk->captured < 13)
        return walk_short(walk, 13);
    return (walk->at[0] & 0xf0) == 0x50 ? walk_on(walk, 13, step_llc) : LINK_NOT_TCP;
}

/* The header's length depends on the frame control's bits: to and from the distribution system (a
 * fourth address), quality of service, order (HT control). */
static enum link_result step_wifi(struct walk *walk) {
    if (walk->captured < 24)
        return walk_short(walk, 24);
    uint8_t kind = walk->at[0], flags = walk->at[1];
    bool quality = kind & 0x80;
    if ((kind & 0x0c) != 0x08 || (kind & 0x40)) /* no data frame, or a null one */
        return LINK_NOT_TCP;
    if (flags & 0x40)
        return LINK_UNKNOWN_TYPE; /* encrypted */
    size_t size = 24 + ((flags & 0x03) == 0x03 ? 6 : 0);
    const uint8_t *control = walk->at + size;
    size += quality ? (flags & 0x80 ? 6 : 2) : 0;
    if (walk->captured < size)
        return walk_short(walk, size);
    if (quality && (control[0] & 0x80))
        return LINK_UNKNOWN_TYPE; /* several frames in one (A-MSDU) */
    return walk_on(walk, size, step_llc);
}

static enum link_result step_radiotap(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    size_t size = load_u16_le(walk->at + 2);
    if (walk->captured < size)
        return walk_short(walk, size);
    return walk_on(walk, size, step_wifi);
}

/* Apple's "pktap" puts the interface's own link type behind a header of its own. */
static enum link_result step_pktap(struct walk *walk) {
    if (walk->captured < 12)
        return walk_short(walk, 12);
    size_t size = load_u32_le(walk->at);
    uint32_t type = load_u32_le(walk->at + 8);
    if (size < 12 || type == LINKTYPE_PKTAP || type > UINT16_MAX)
        return LINK_MALFORMED;
    if (walk->captured < size)
        return walk_short(walk, size);
    walk->type = (uint16_t)type;
    return walk_on(walk, size, step_link_type);
}

/* Netfilter log: type-length-value records in host order, of which number 9 is the packet. */
static enum link_result step_nflog(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    walk_over(walk, 4);
    while (walk->captured >= 4) {
        size_t size = load_u16_le(walk->at), padded = (size + 3) & ~(size_t)3;
        if (load_u16_le(walk->at + 2) == 9)
            return walk_on(walk, 4, step_ip_version);
        if (size < 4)
            return LINK_MALFORMED;
        if (padded > walk->captured)
            return LINK_CUT;
        walk_over(walk, padded);
    }
    return LINK_NOT_TCP;
}

/* Tunnels */

static enum link_result step_erspan(struct walk *walk, bool sequence) {
    size_t size = sequence ? 8 : 0; /* type I has no header, and no sequence number in GRE's */
    if (walk->captured < size)
        return walk_short(walk, size);
    return walk_on(walk, size, step_ethernet);
}

/* Type III: 12 octets, and 8 more where the last bit says so. */
static enum link_result step_erspan3(struct walk *walk) {
    if (walk->captured < 12)
        return walk_short(walk, 12);
    size_t size = walk->at[11] & 1 ? 20 : 12;
    bool ip = (walk->at[10] >> 2 & 0x1f) == 2;
    if (walk->captured < size)
        return walk_short(walk, size);
    return walk_on(walk, size, ip ? step_ip_version : step_ethernet);
}

/* RFC 2784 and 2890, and PPTP's version 1 (RFC 2637). */
static enum link_result step_gre(struct walk *walk) {
    if (walk->captured < 4)
        return walk_short(walk, 4);
    uint16_t flags = load_u16_be(walk->at);
    bool sequence = flags & 0x1000;
    size_t size = 4;
    if (flags & 0x4000)
        return LINK_UNKNOWN_TYPE; /* source routes, obsolete */
    size += (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (sequence ? 4 : 0);
    size += (flags & 0x0007) == 1 && (flags & 0x0080) ? 4 : 0;
    if (walk->captured < size)
        return walk_short(walk, size);
    walk->type = load_u16_be(walk->at + 2);
    walk_over(walk, size);
    if (walk->type == ETHERTYPE_ERSPAN)
        return step_erspan(walk, sequence);
    return walk_on(walk, 0, walk->type == ETHERTYPE_ERSPAN3 ? step_erspan3 : step_ethertype);
}

/* RFC 8926: options in units of four octets, then what the Ethertype says. */
static enum link_result step_geneve(struct walk *walk) {
    if (walk->captured < 8)
        return walk_short(walk, 8);
    size_t size = 8 + 4 * (size_t)(walk->at[0] & 0x3f);
    if (walk->at[0] >> 6 != 0)
        return LINK_NOT_TCP;
    if (walk->captured < size)
        return walk_short(walk, size);
    walk->type = load_u16_be(walk->at + 2);
    return walk_on(walk, size, step_ethertype);
}

static enum link_result step_vxlan(struct walk *walk) {
    if (walk->captured < 8)
        return walk_short(walk, 8);
    return walk->at[0] & 0x08 ? walk_on(walk, 8, step_ethernet) : LINK_NOT_TCP;
}

static enum link_result step_udp(struct walk *walk) {
    if (walk->captured < 8)
        return walk_short(walk, 8);
    uint16_t port = load_u16_be(walk->at + 2);
    if (port == UDP_VXLAN || port == UDP_VXLAN_OLD)
        return walk_on(walk, 8, step_vxlan);
    return port == UDP_GENEVE ? walk_on(walk, 8, step_geneve) : LINK_NOT_TCP;
}

/* IP */

/* In two halves, as they are compared: what was written in smaller pieces cannot be read as one at once. */
static inline void endpoint_set_ipv4(struct endpoint *endpoint, const uint8_t *address) {
    uint64_t halves[2] = {0, htobe64(0xffff00000000ull | load_u32_be(address))};
    memcpy(endpoint->address, halves, sizeof halves);
}

/* What lies behind the IP header: `size` octets by that header, which leaves the frame's padding
 * out. */
static inline void walk_limit(struct walk *walk, size_t size) {
    walk->wire = size;
    if (walk->captured > size)
        walk->captured = size;
}

/* Another fragment of a datagram: the walk goes on in the whole, where this one completes it. */
static enum link_result walk_fragment(struct walk *walk, uint32_t id, uint32_t offset, bool more) {
    if (walk->captured < walk->wire)
        return LINK_CUT;
    struct fragment fragment = {
        .source = walk->segment->source.address,
        .destination = walk->segment->destination.address,
        .source_mac = walk->segment->macs.source,
        .interface = walk->packet->interface,
        .id = id,
        .protocol = walk->protocol,
        .offset = offset,
        .more = more,
        .time_ns = walk->packet->time_ns,
        .bytes = {walk->at, walk->captured},
    };
    struct span whole;
    if (!fragments_add(&walk->link->fragments, &fragment, &whole))
        return LINK_FRAGMENT;
    walk->at = whole.data;
    walk->captured = walk->wire = whole.size;
    return walk_on(walk, 0, step_protocol);
}

static inline void take_ipv4(struct segment *segment, const uint8_t *ip) {
    endpoint_set_ipv4(&segment->source, ip + 12);
    endpoint_set_ipv4(&segment->destination, ip + 16);
    segment->ttl = ip[8];
    segment->has_ip_id = true;
    segment->ip_id = load_u16_be(ip + 4);
    segment->dont_fragment = load_u16_be(ip + 6) & 0x4000;
}

static enum link_result step_ipv4(struct walk *walk) {
    const uint8_t *ip = walk->at;
    struct segment *segment = walk->segment;
    if (walk->captured < 20)
        return walk_short(walk, 20);
    size_t header = 4 * (size_t)(ip[0] & 0x0f), total = load_u16_be(ip + 2);
    uint16_t fragment = load_u16_be(ip + 6);
    if (ip[0] >> 4 != 4 || header < 20 || (total != 0 && total < header))
        return LINK_MALFORMED;
    if (walk->captured < header)
        return walk_short(walk, header);
    take_ipv4(segment, ip);
    walk->protocol = ip[9];
    walk_over(walk, header);
    /* 0: a segment that the network card was to cut (offload) when it was captured. */
    if (total != 0)
        walk_limit(walk, total - header);
    if (fragment & 0x3fff)
        return walk_fragment(walk, segment->ip_id, 8u * (fragment & 0x1fff), fragment & 0x2000);
    return walk_on(walk, 0, step_protocol);
}

static enum link_result step_ipv6(struct walk *walk) {
    const uint8_t *ip = walk->at;
    struct segment *segment = walk->segment;
    if (walk->captured < 40)
        return walk_short(walk, 40);
    if (ip[0] >> 4 != 6)
        return LINK_MALFORMED;
    size_t size = load_u16_be(ip + 4);
    memcpy(segment->source.address, ip + 8, 16);
    memcpy(segment->destination.address, ip + 24, 16);
    segment->ttl = ip[7];
    segment->has_ip_id = false;
    segment->ip_id = 0;
    segment->dont_fragment = false;
    walk->protocol = ip[6];
    walk_over(walk, 40);
    if (size != 0) /* else a jumbogram, or an offload segment beyond 64 KiB */
        walk_limit(walk, size);
    return walk_on(walk, 0, step_protocol);
}

static enum link_result step_ip_version(struct walk *walk) {
    if (walk->captured < 1)
        return walk_short(walk, 1);
    return walk_on(walk, 0, walk->at[0] >> 4 == 6 ? step_ipv6 : step_ipv4);
}

/* IPv6's extension headers: the next protocol, then the length in units of 8 (authentication: 4)
 * octets. */
static enum link_result step_extension(struct walk *walk) {
    if (walk->captured < 8)
        return walk_short(walk, 8);
    uint8_t protocol = walk->protocol;
    size_t size = protocol == IP_AH ? 4 * (walk->at[1] + 2u) : 8 * (walk->at[1] + 1u);
    const uint8_t *header = walk->at;
    if (protocol == IP_FRAGMENT)
        size = 8;
    if (walk->captured < size)
        return walk_short(walk, size);
    walk->protocol = header[0];
    walk_over(walk, size);
    uint16_t fragment = protocol == IP_FRAGMENT ? load_u16_be(header + 2) : 0;
    if (fragment & 0xfff9)
        return walk_fragment(walk, load_u32_be(header + 4), fragment & 0xfff8, fragment & 1);
    return walk_on(walk, 0, step_protocol);
}

/* TCP */

static inline void take_timestamp(struct segment *segment, const uint8_t *option) {
    segment->has_timestamp = true;
    segment->timestamp = load_u32_be(option + 2);
    segment->timestamp_echo = load_u32_be(option + 6);
}

static void read_option(struct segment *segment, const uint8_t *option, size_t size) {
    switch (option[0]) {
    case TCP_OPTION_MSS:
        if (size == 4)
            segment->mss = load_u16_be(option + 2);
        break;
    case TCP_OPTION_TIMESTAMP:
        if (size == 10)
            take_timestamp(segment, option);
        break;
    case TCP_OPTION_PROBE_A:
    case TCP_OPTION_PROBE_B:
        segment->has_optimiser_option = true;
        break;
    default:
        break;
    }
}

static __attribute__((noinline)) void read_all_options(struct segment *segment, const uint8_t *option, size_t left) {
    while (left > 0 && option[0] != 0) {
        size_t size = option[0] == 1 ? 1 : left >= 2 ? option[1] : 0;
        if (size == 0 || size > left || (size == 1 && option[0] != 1))
            return;
        read_option(segment, option, size);
        option += size;
        left -= size;
    }
}

static inline void read_options(struct segment *segment, const uint8_t *option, size_t left) {
    static const uint8_t usual[4] = {1, 1, TCP_OPTION_TIMESTAMP, 10}; /* all that most segments have */
    if (left == 12 && memcmp(option, usual, sizeof usual) == 0)
        take_timestamp(segment, option + 2);
    else
        read_all_options(segment, option, left);
}

static inline enum link_result step_tcp(struct walk *walk) {
    const uint8_t *tcp = walk->at;
    struct segment *segment = walk->segment;
    if (walk->captured < 20)
        return walk_short(walk, 20);
    size_t header = 4 * (size_t)(tcp[12] >> 4);
    if (header < 20 || header > walk->wire)
        return LINK_MALFORMED;
    segment->source.port = load_u16_be(tcp);
    segment->destination.port = load_u16_be(tcp + 2);
    segment->sequence = load_u32_be(tcp + 4);
    segment->acknowledgment = load_u32_be(tcp + 8);
    segment->flags = tcp[13];
    segment->window = load_u16_be(tcp + 14);
    size_t captured = header < walk->captured ? header : walk->captured;
    if (header > 20)
        read_options(segment, tcp + 20, captured - 20);
    segment->payload = (struct span){tcp + captured, walk->captured - captured};
    segment->payload_size = (uint32_t)(walk->wire - header);
    return LINK_SEGMENT;
}

static enum link_result step_other_protocol(struct walk *walk) {
    switch (walk->protocol) {
    case IP_UDP:
        return step_udp(walk);
    case IP_GRE:
        return step_gre(walk);
    case IP_IPV4:
        return walk_on(walk, 0, step_ipv4);
    case IP_IPV6:
        return walk_on(walk, 0, step_ipv6);
    case IP_HOP_BY_HOP:
    case IP_ROUTING:
    case IP_FRAGMENT:
    case IP_AH:
    case IP_DESTINATION:
    case IP_MOBILITY:
    case IP_HIP:
    case IP_SHIM6:
        return step_extension(walk);
    default:
        return LINK_NOT_TCP;
    }
}

static inline enum link_result step_protocol(struct walk *walk) {
    return walk->protocol == IP_TCP ? step_tcp(walk) : step_other_protocol(walk);
}

struct link_type {
    uint16_t number;
    enum link_result (*step)(struct walk *walk);
};

static const struct link_type link_types[] = {
    {LINKTYPE_ETHERNET, step_ethernet},
    {LINKTYPE_LINUX_SLL, step_cooked},
    {LINKTYPE_LINUX_SLL2, step_cooked2},
    {LINKTYPE_RAW, step_ip_version},
    {LINKTYPE_RAW_BSD, step_ip_version},
    {LINKTYPE_RAW_OPENBSD, step_ip_version},
    {LINKTYPE_IPV4, step_ipv4},
    {LINKTYPE_IPV6, step_ipv6},
    {LINKTYPE_NULL, step_family},
    {LINKTYPE_LOOP, step_family},
    {LINKTYPE_PPP, step_ppp_or_hdlc},
    {LINKTYPE_PPP_HDLC, step_ppp_or_hdlc},
    {LINKTYPE_PPP_ETHER, step_pppoe},
    {LINKTYPE_C_HDLC, step_cisco_hdlc},
    {LINKTYPE_PPP_PPPD, step_direction},
    {LINKTYPE_PPP_WITH_DIRECTION, step_direction},
    {LINKTYPE_C_HDLC_WITH_DIRECTION, step_direction},
    {LINKTYPE_TOKEN_RING, step_token_ring},
    {LINKTYPE_FDDI, step_fddi},
    {LINKTYPE_IEEE802_11, step_wifi},
    {LINKTYPE_IEEE802_11_RADIOTAP, step_radiotap},
    {LINKTYPE_PKTAP, step_pktap},
    {LINKTYPE_NFLOG, step_nflog},
};

static enum link_result step_link_type(struct walk *walk) {
    for (size_t i = 0; i < sizeof link_types / sizeof *link_types; i++)
        if (link_types[i].number == walk->type)
            return walk_on(walk, 0, link_types[i].step);
    return LINK_UNKNOWN_TYPE;
}

struct link *link_new(void) {
    return calloc(1, sizeof(struct link));
}

void link_free(struct link *link) {
    if (!link)
        return;
    fragments_free(&link->fragments);
    free(link);
}

/* What nearly all captures hold: TCP in IPv4, whole and without options, in Ethernet. It comes to the same as the walk,
 * to which everything else is left (false), errors too. */
static inline bool decode_usual(const struct packet *packet, struct segment *segment) {
    const uint8_t *frame = packet->bytes.data, *ip;
    size_t captured = packet->bytes.size, total;
    if (packet->link_type != LINKTYPE_ETHERNET || captured < 14 + 20 + 20 || load_u16_be(frame + 12) != ETHERTYPE_IPV4)
        return false;
    ip = frame + 14;
    total = load_u16_be(ip + 2);
    if (ip[0] != 0x45 || ip[9] != IP_TCP || load_u16_be(ip + 6) & 0x3fff || total < 20 + 20)
        return false;
    take_macs(segment, frame);
    take_ipv4(segment, ip);
    struct walk walk = {.segment = segment, .at = ip + 20, .captured = captured - 14 - 20};
    walk_limit(&walk, total - 20);
    return step_tcp(&walk) == LINK_SEGMENT;
}

static __attribute__((noinline)) enum link_result link_walk(struct link *link, const struct packet *packet,
                                                            struct segment *segment) {
    struct walk walk = {
        .link = link,
        .packet = packet,
        .segment = segment,
        .at = packet->bytes.data ? packet->bytes.data : (const uint8_t *)"",
        .captured = packet->bytes.size,
        .wire = packet->wire_size > packet->bytes.size ? packet->wire_size : packet->bytes.size,
        .step = packet->link_type == LINKTYPE_ETHERNET ? step_ethernet : step_link_type,
        .type = packet->link_type,
    };
    memset(segment, 0, sizeof *segment);
    for (unsigned layers = 0; layers < LINK_LAYERS_MAX; layers++) {
        enum link_result result = walk.step(&walk);
        if (result != LINK_STEP)
            return result;
    }
    return LINK_MALFORMED;
}

enum link_result link_decode(struct link *link, const struct packet *packet, struct segment *segment) {
    memset(segment, 0, sizeof *segment);
    return decode_usual(packet, segment) ? LINK_SEGMENT : link_walk(link, packet, segment);
}
