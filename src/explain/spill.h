/* Evidence set aside until the whole capture has been read: in memory up to SPILL_MEMORY_MAX, beyond that in an
 * unlinked temporary file, so that memory does not grow with the capture. */
#ifndef SMBPROOF_EXPLAIN_SPILL_H
#define SMBPROOF_EXPLAIN_SPILL_H

#include "explain/evidence.h"

#define SPILL_MEMORY_MAX (24u * 1024u * 1024u) /* octets */

struct spill;

struct spill *spill_new(void); /* NULL where there is no memory */
/* Returns 0 or a negative errno (disk full); the record is lost then. */
int spill_put(struct spill *spill, const struct evidence *evidence);
size_t spill_count(const struct spill *spill);
/* Sorts by capture file, then by first packet. Call it once, when all are in. Returns 0 or a negative errno. */
int spill_sort(struct spill *spill);
/* The record (counted from 0 as they were put) that is the i-th in the sorted order. */
size_t spill_at(const struct spill *spill, size_t i);
/* Reads a record back. Returns 0 or a negative errno. */
int spill_get(struct spill *spill, size_t record, struct evidence *evidence);
void spill_free(struct spill *spill);

#endif
