/* The contents of a file, there or back, with as many requests in flight as credits and limits allow.
 *
 * Reads are taken straight from the frame that brought them, and writes are read straight into the frame that takes
 * them, so that each octet is copied once. Answers may come late (STATUS_PENDING), short, and in any order; a session
 * that expires on the way is authenticated again. When something fails, nothing new is sent, and all that is in flight
 * is awaited, so that the session is of use afterwards. */
#ifndef SMBPROOF_CLIENT_TRANSFER_H
#define SMBPROOF_CLIENT_TRANSFER_H

#include "client/share.h"

/* Octets of one READ and of one WRITE where the server allows as many, and of all that are in flight. An answer to a READ
 * is gone through at once, and should still be in the cache of a processor's core then; a WRITE costs the server more by
 * the request than by the octet. More in flight gains nothing on loopback. */
#define TRANSFER_READ_SIZE  262144u
#define TRANSFER_WRITE_SIZE 1048576u
#define TRANSFER_WINDOW     8388608u

enum transfer_end {
    TRANSFER_DONE,
    TRANSFER_STOPPED, /* tick() said so */
    TRANSFER_SHRUNK,  /* the file ends before `size` */
    TRANSFER_LOCAL,   /* reading or writing here failed: `number` */
    TRANSFER_REMOTE,  /* `error` */
};

struct transfer {
    struct share *share;
    const struct share_file *file;
    int fd;
    bool is_stream;  /* fd has no positions: read or written in order */
    uint64_t start;  /* where to begin, in octets */
    uint64_t size;   /* where to end; of a stream that is sent UINT64_MAX: where it ends */
    /* Told after each answer how many octets are there, from the file's start on. False: stop. May be NULL. */
    bool (*tick)(void *context, uint64_t done);
    void *context;

    uint64_t done;   /* set: octets that are there without a gap */
    int number;      /* errno */
    struct session_error error;
};

/* From the share to fd. A file of unknown size is no affair of this: `size` is what CREATE said. */
enum transfer_end transfer_get(struct transfer *transfer);
/* From fd to the share. */
enum transfer_end transfer_put(struct transfer *transfer);

#endif
