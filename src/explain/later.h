/* Records dealt with by another thread than the one that fills them, in the order they were put. */
#ifndef SMBPROOF_EXPLAIN_LATER_H
#define SMBPROOF_EXPLAIN_LATER_H

#include <stddef.h>

/* Records under way at most; whoever puts more waits. The other thread is woken for LATER_BATCH of them. */
#define LATER_RECORDS_MAX 64u
#define LATER_BATCH 16u

struct later;

/* `done` gets each record, whose first `size` octets it needs, `context` with it, on the other thread; nobody else may touch what it touches before
 * later_free returns. NULL where there is no memory or no thread. */
struct later *later_new(void (*done)(void *context, void *record), void *context, size_t size);
/* Hands a record over, which malloc gave. Returns one that is done with, for reuse, or NULL. */
void *later_put(struct later *later, void *record);
/* Waits until all records are done with, and frees them. */
void later_free(struct later *later);

#endif
