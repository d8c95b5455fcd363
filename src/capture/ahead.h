/* Packets read and decoded ahead of their use, on a second thread where the capture is a mapped file: half of the time
 * that a large one takes goes by waiting for memory. The order is that of the file; nothing else changes. When it is far
 * enough ahead the second thread has time for a chore of the caller's. */
#ifndef SMBPROOF_CAPTURE_AHEAD_H
#define SMBPROOF_CAPTURE_AHEAD_H

#include "capture/link.h"

/* Segments handed over at a time, and how many such batches may be under way. */
#define AHEAD_BATCH 256u
#define AHEAD_BATCHES 32u
/* Octets of reassembled datagrams that a batch can hold; the longest has 65,535. */
#define AHEAD_SPARE 65536u

struct ahead;

/* Does some work and returns true, or returns false when there is none to do. */
struct ahead_chore {
    bool (*step)(void *context);
    void *context;
};

/* Both stay the caller's, who leaves them alone until ahead_free. NULL where there is no memory. */
struct ahead *ahead_new(struct capture *capture, struct link *link, struct ahead_chore chore);
/* Is there a second thread? */
bool ahead_is_threaded(const struct ahead *ahead);
/* There is something to do for the chore, which only the second thread does, until ahead_free. */
void ahead_wake(struct ahead *ahead);
/* The next packet that holds a TCP segment, valid until the next call. CAPTURE_END and CAPTURE_BROKEN as capture_next
 * says them. `position`: octets of the file read by then. */
enum capture_status ahead_next(struct ahead *ahead, const struct packet **packet, const struct segment **segment,
                               uint64_t *position);
/* Waits until the chore has no more to do. */
void ahead_free(struct ahead *ahead);

#endif
