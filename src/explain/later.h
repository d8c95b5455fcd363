/* Records dealt with by another thread than the one that fills them, in the order they were put. The thread is somebody
 * else's, who calls later_step when it has time: two threads that always have something to do are enough. */
#ifndef SMBPROOF_EXPLAIN_LATER_H
#define SMBPROOF_EXPLAIN_LATER_H

#include <stdbool.h>
#include <stddef.h>

/* Records under way at most; whoever puts more waits. They are handed over LATER_BATCH at a time, and dealt with LATER_STEP
 * at a time, so that whoever does it is not away from its own work for long. */
#define LATER_RECORDS_MAX 128u
#define LATER_BATCH 16u
#define LATER_STEP 4u

struct later;

/* `done` gets each record, whose first `size` octets it needs, `context` with it; nobody else may touch what it touches
 * before the other thread has ended. NULL where there is no memory. */
struct later *later_new(void (*done)(void *context, void *record), void *context, size_t size);
/* Hands a record over, which malloc gave. Returns one that is done with, for reuse, or NULL. *ready: there is something
 * to do for the other thread. */
void *later_put(struct later *later, void *record, bool *ready);
/* Hands over those that do not make a whole batch. */
void later_flush(struct later *later);
/* The other thread: deals with the records that were handed over. False where there was none. */
bool later_step(struct later *later);
/* Once the other thread has ended: deals with what is left, and frees all records. */
void later_free(struct later *later);

#endif
