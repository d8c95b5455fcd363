/* Packets read and decoded ahead of their use, on a second thread where the capture is a mapped file: half of the time
 * that a large one takes goes by waiting for memory. The order is that of the file; nothing else changes. */
#ifndef SMBPROOF_CAPTURE_AHEAD_H
#define SMBPROOF_CAPTURE_AHEAD_H

#include "capture/link.h"

/* Segments handed over at a time, and how many such batches may be under way. */
#define AHEAD_BATCH 512u
#define AHEAD_BATCHES 8u
/* Octets of reassembled datagrams that a batch can hold; the longest has 65,535. */
#define AHEAD_SPARE 65536u

struct ahead;

/* Both stay the caller's, who leaves them alone until ahead_free. NULL where there is no memory. */
struct ahead *ahead_new(struct capture *capture, struct link *link);
/* The next packet that holds a TCP segment, valid until the next call. CAPTURE_END and CAPTURE_BROKEN as capture_next
 * says them. `position`: octets of the file read by then. */
enum capture_status ahead_next(struct ahead *ahead, const struct packet **packet, const struct segment **segment,
                               uint64_t *position);
void ahead_free(struct ahead *ahead);

#endif
