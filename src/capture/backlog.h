/* Octets of a stream that cannot be used yet, because more of them have to come; of many streams there is a total. */
#ifndef SMBPROOF_CAPTURE_BACKLOG_H
#define SMBPROOF_CAPTURE_BACKLOG_H

#include "wire/bytes.h"

/* Octets of one at most. */
#define BACKLOG_MAX 0x80000000u

/* Zeros are an empty one. */
struct backlog {
    uint8_t *data;
    uint32_t size, room;
};

static inline struct span backlog_span(const struct backlog *backlog) {
    return (struct span){backlog->data, backlog->size};
}

/* Here and below `total` counts the octets of all; what is to be done beyond its limit is for its owner to say. False:
 * no memory, and nothing has changed. */
bool backlog_append(struct backlog *backlog, struct span bytes, uint64_t *total);
/* The first octets were used. The buffer of an empty one is given back where it is large. */
void backlog_drop(struct backlog *backlog, size_t used, uint64_t *total);
void backlog_clear(struct backlog *backlog, uint64_t *total);
/* Afterwards it is an empty one. */
void backlog_free(struct backlog *backlog, uint64_t *total);

#endif
