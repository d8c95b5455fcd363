#include "capture/backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Octets that there is room for at first; more room than BACKLOG_KEEP is given back when it is empty. */
#define BACKLOG_ROOM_MIN 2048u
#define BACKLOG_KEEP     16384u

static void room_free(struct backlog *backlog) {
    free(backlog->data);
    backlog->data = NULL;
    backlog->room = 0;
}

static bool room_grow(struct backlog *backlog, uint32_t size) {
    uint32_t room = backlog->room > 0 ? backlog->room : BACKLOG_ROOM_MIN;
    while (room < size)
        room *= 2;
    uint8_t *larger = realloc(backlog->data, room);
    if (larger == NULL)
        return false;
    backlog->data = larger;
    backlog->room = room;
    return true;
}

bool backlog_append(struct backlog *backlog, struct span bytes, uint64_t *total) {
    assert(bytes.size <= BACKLOG_MAX - backlog->size);
    uint32_t size = backlog->size + (uint32_t)bytes.size;
    if (size > backlog->room && !room_grow(backlog, size))
        return false;
    memcpy(backlog->data + backlog->size, bytes.data, bytes.size);
    backlog->size = size;
    *total += bytes.size;
    return true;
}

void backlog_drop(struct backlog *backlog, size_t used, uint64_t *total) {
    assert(used <= backlog->size);
    backlog->size -= (uint32_t)used;
    *total -= used;
    if (used > 0 && backlog->size > 0)
        memmove(backlog->data, backlog->data + used, backlog->size);
    if (backlog->size == 0 && backlog->room > BACKLOG_KEEP)
        room_free(backlog);
}

void backlog_clear(struct backlog *backlog, uint64_t *total) {
    backlog_drop(backlog, backlog->size, total);
}

void backlog_free(struct backlog *backlog, uint64_t *total) {
    backlog_clear(backlog, total);
    room_free(backlog);
}
