/* What the formats share: an opened capture, and how reading one stops. */
#ifndef SMBPROOF_CAPTURE_FORMAT_H
#define SMBPROOF_CAPTURE_FORMAT_H

#include "capture/capture.h"
#include "capture/load.h"
#include "capture/source.h"

/* Octets of a file that its format is told by. */
#define FORMAT_LOOK_SIZE 128u
/* Interfaces that one pcapng section may describe. */
#define PCAPNG_INTERFACES_MAX 65536u

/* pcap: the file header. */
struct pcap_state {
    bool big_endian, nanoseconds;
    bool lengths_swapped; /* versions before 2.3 */
    uint8_t header_size;  /* of a record: 16, or 24 in Kuznetzov's variant */
    uint16_t link_type;
    uint32_t record_max;
};

/* pcapng: an Interface Description Block. */
struct pcapng_interface {
    uint16_t link_type;
    uint32_t snap_length;
    uint8_t resolution; /* if_tsresol as in the file */
    uint64_t multiply;  /* ticks to nanoseconds where that is a whole number, else 0 */
    int64_t offset_s;   /* if_tsoffset */
};

struct pcapng_state {
    bool big_endian;
    struct pcapng_interface *interfaces; /* of this section */
    size_t interface_count, interface_room;
    uint32_t interfaces_before; /* in earlier sections */
};

struct netmon_state {
    struct span whole;
    uint8_t major, minor;
    uint16_t network;
    uint64_t start_ns;
    uint32_t table_offset;
    uint32_t frame, frame_count;
    bool table_lost;
    uint32_t frame_behind; /* offset behind the frame that was read last */
};

struct capture {
    struct source source;
    const char *format;
    char format_text[32];
    enum capture_status (*next)(struct capture *capture, struct packet *packet);
    uint64_t number;             /* of packets given so far */
    enum capture_status stopped; /* CAPTURE_PACKET: not yet */
    struct capture_error error;
    union {
        struct pcap_state pcap;
        struct pcapng_state pcapng;
        struct netmon_state netmon;
    };
};

/* Each looks at the first octets: 0 and `next` set, 1 where it is another format, or a negative
 * errno with capture->error filled in. */
int pcap_begin(struct capture *capture, struct span first);
int pcapng_begin(struct capture *capture, struct span first);
int netmon_begin(struct capture *capture, struct span first);
void pcapng_end(struct capture *capture);

/* The file ends or breaks at the record that begins at `offset`. */
enum capture_status capture_break(struct capture *capture, uint64_t offset, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));
/* Nothing more could be peeked for the record that begins where the source stands: the end of the
 * file where it has no octet left, else broken. */
enum capture_status capture_stop(struct capture *capture);

#endif
