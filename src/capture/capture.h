/* Capture files -> packets: pcap, pcapng and Microsoft Network Monitor 1 and 2, each plain, gzip or
 * zstd, from a file (mapped) or from a stream (standard input).
 *
 * Reading stops at the first record that cannot be read; what came before stays valid. */
#ifndef SMBPROOF_CAPTURE_CAPTURE_H
#define SMBPROOF_CAPTURE_CAPTURE_H

#include "wire/bytes.h"

/* One record of the file. */
struct packet {
    uint64_t number;  /* from 1, in file order over all interfaces, as Wireshark counts (it numbers
                       * some other  blocks of pcapng too: there numbers are left out) */
    uint64_t time_ns; /* since 1970-01-01 UTC; 0 where the record has none */
    uint32_t interface; /* pcapng: counted over all sections of the file from 0; else 0 */
    uint16_t link_type; /* LINKTYPE_ number, as the interface (or the NetMon record) says */
    uint32_t wire_size; /* octets the packet had on the wire */
    struct span bytes;  /* octets captured (<= wire_size); valid until the next capture_next */
};

enum capture_status {
    CAPTURE_PACKET, /* `packet` was filled in */
    CAPTURE_END,    /* the file ended where a record ends */
    CAPTURE_BROKEN, /* it did not: see capture_error */
};

/* Why a file could not be opened or read further. */
struct capture_error {
    uint64_t offset;  /* in octets, of the (decompressed) file, where the record begins that cannot
                         be read */
    char reason[200]; /* a sentence for people; says what to do where something can be done */
};

struct capture;

/* Opens `path` ("-": standard input) and reads as far as the format. Returns 0, or a negative
 * errno: -EPROTO with `error` filled in where it is no capture (an .etl file is recognised and the
 * reader told to convert it), else the system's (error->reason says it in words). The caller
 * closes. */
int capture_open(struct capture **capture, const char *path, struct capture_error *error);
/* The same over memory that the caller keeps until capture_close: for tests and fuzzing. */
int capture_open_memory(struct capture **capture, struct span bytes, struct capture_error *error);
enum capture_status capture_next(struct capture *capture, struct packet *packet);
/* What stopped the reading; valid after CAPTURE_BROKEN. */
const struct capture_error *capture_error(const struct capture *capture);
/* Name of the format, for people: "pcap", "pcapng", "NetMon 2" ... */
const char *capture_format(const struct capture *capture);
/* For a progress display: octets of the file read so far and its size (0 where it is a stream). */
uint64_t capture_position(const struct capture *capture);
uint64_t capture_size(const struct capture *capture);
/* Do the octets of a packet stay valid until capture_close (a mapped file), not just until the next
 * one? */
bool capture_is_lasting(const struct capture *capture);
/* Of a capture that is lasting: a piece of what reading it costs the system, done for the reader by another thread that has
 * nothing else to do. False: nothing is to be done for now. */
bool capture_help(void *capture);
/* Compressed: offsets are those of what is inside. */
bool capture_is_packed(const struct capture *capture);
void capture_close(struct capture *capture);

#endif
