/* An array that grows without end: small in memory, large in an unlinked temporary file that is mapped, so that the
 * system can take its pages back. */
#ifndef SMBPROOF_EXPLAIN_GROWN_H
#define SMBPROOF_EXPLAIN_GROWN_H

#include <stddef.h>

struct grown {
    void *items;
    size_t item_size, count, room;
    int fd; /* -1: in memory */
};

void grown_init(struct grown *grown, size_t item_size);
/* Room for one more, at the end, not cleared; NULL where there is no memory or disk. Earlier pointers are void then. */
void *grown_add(struct grown *grown);
void *grown_at(const struct grown *grown, size_t i);
size_t grown_count(const struct grown *grown);
void grown_free(struct grown *grown);

#endif
