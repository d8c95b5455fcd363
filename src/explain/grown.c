#include "explain/grown.h"

#include "capture/temporary.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ITEMS_FIRST 1024u
/* Beyond this, in octets, it moves to a file. */
#define GROWN_MEMORY_MAX (4u * 1024u * 1024u)

void grown_init(struct grown *grown, size_t item_size) {
    *grown = (struct grown){.item_size = item_size, .fd = -1};
}

/* The room on the disk is taken first: where it lacks, writing to the mapping would end the program. */
static void *map_file(struct grown *grown, size_t octets) {
    int fd = grown->fd >= 0 ? grown->fd : temporary_open();
    void *items = MAP_FAILED;

    if (fd >= 0 && posix_fallocate(fd, 0, (off_t)octets) == 0)
        items = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (items == MAP_FAILED) {
        if (fd >= 0 && fd != grown->fd)
            close(fd);
        return NULL;
    }
    grown->fd = fd;
    return items;
}

static int grow(struct grown *grown) {
    size_t room = grown->room ? 2 * grown->room : ITEMS_FIRST;
    size_t octets = room * grown->item_size;
    int was_file = grown->fd >= 0;
    void *items;

    if (octets <= GROWN_MEMORY_MAX) {
        items = realloc(grown->items, octets);
        if (items == NULL)
            return -1;
    } else {
        items = map_file(grown, octets);
        if (items == NULL)
            return -1;
        if (was_file) {
            munmap(grown->items, grown->room * grown->item_size);
        } else {
            memcpy(items, grown->items, grown->count * grown->item_size);
            free(grown->items);
        }
    }
    grown->items = items;
    grown->room = room;
    return 0;
}

void *grown_add(struct grown *grown) {
    if (grown->count == grown->room && grow(grown) != 0)
        return NULL;
    return grown_at(grown, grown->count++);
}

void *grown_at(const struct grown *grown, size_t i) {
    return (uint8_t *)grown->items + i * grown->item_size;
}

size_t grown_count(const struct grown *grown) {
    return grown->count;
}

void grown_free(struct grown *grown) {
    if (grown->fd >= 0) {
        munmap(grown->items, grown->room * grown->item_size);
        close(grown->fd);
    } else {
        free(grown->items);
    }
    grown_init(grown, grown->item_size);
}
