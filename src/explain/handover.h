/* What the thread that follows TCP hands over to the one that reads SMB: octets of connections, in the order that they
 * were put. Batches in a ring: whoever puts waits while it is full, whoever takes while it is empty. */
#ifndef SMBPROOF_EXPLAIN_HANDOVER_H
#define SMBPROOF_EXPLAIN_HANDOVER_H

#include "wire/bytes.h"

/* Octets that go from one processor's cache to the other's together. */
#define CACHE_LINE 64u
/* What is handed over at a time, and how many such batches may be under way. */
#define HANDOVER_BATCH 256u
#define HANDOVER_BATCHES 16u
/* Octets that a batch can keep a copy of; the longest reassembled datagram has 65,535. */
#define HANDOVER_SPARE 65536u

enum handed_kind {
    HANDED_BEGIN,  /* it is SMB: octets follow */
    HANDED_BYTES,  /* the next octets of one direction */
    HANDED_REPEAT, /* octets of which the first `count` came before */
    HANDED_GAP,    /* `count` octets are missing (0: an unknown number); `bytes` came before them */
    HANDED_END,    /* the connection is over: all of `watched` is the taker's */
};

struct watched;

/* What there is to do while nothing is to be taken, a piece at a time; false: nothing for now. */
struct meanwhile {
    bool (*work)(void *context);
    void *context;
};

struct handed {
    struct watched *watched;
    struct span bytes;
    uint64_t packet, time_ns;
    uint32_t count;
    uint8_t kind; /* enum handed_kind */
    uint8_t from; /* enum direction */
};

struct handover;

/* NULL where there is no memory. */
struct handover *handover_new(const struct meanwhile *meanwhile);
/* The one thread: puts an item, which the caller fills in before it calls again; its octets stay where they are. */
struct handed *handover_place(struct handover *handover);
/* `lasting`: the octets stay where they are until all was taken; else they are copied, at most
 * HANDOVER_SPARE of them. */
void handover_put(struct handover *handover, const struct handed *handed, bool lasting);
/* Nothing more will be put. */
void handover_finish(struct handover *handover);
/* The other one: valid until the next call. NULL: nothing more will come. */
const struct handed *handover_take(struct handover *handover);
/* What will be taken that many places after the next; NULL where that is not known. */
const struct handed *handover_soon(const struct handover *handover, unsigned places);
void handover_free(struct handover *handover);

#endif
