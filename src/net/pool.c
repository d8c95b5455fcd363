#include "net/pool.h"

#include <stdlib.h>

static size_t room_of(unsigned class) {
    return ((size_t)POOL_BLOCK_LEAST << class) + POOL_BLOCK_EXTRA;
}

/* POOL_CLASSES: in none. */
static unsigned class_of(const struct pool *pool, size_t size) {
    unsigned class = 0;

    if (pool == NULL)
        return POOL_CLASSES;
    while (class < POOL_CLASSES && room_of(class) < size)
        class++;
    return class;
}

static struct pool_block *pop(struct pool *pool, unsigned class) {
    struct pool_class *kept = &pool->classes[class];
    struct pool_block *block = kept->free;

    if (block == NULL)
        return NULL;
    kept->free = block->next;
    kept->count--;
    if (kept->least > kept->count)
        kept->least = kept->count;
    pool->kept -= room_of(class);
    return block;
}

void *pool_take(struct pool *pool, size_t size) {
    unsigned class = class_of(pool, size);
    struct pool_block *block;

    if (class == POOL_CLASSES)
        return malloc(size);
    block = pop(pool, class);
    return block != NULL ? block : malloc(room_of(class));
}

void pool_give(struct pool *pool, void *memory, size_t size) {
    unsigned class = class_of(pool, size);
    struct pool_block *block = memory;

    if (block == NULL || class == POOL_CLASSES || room_of(class) > POOL_KEPT_MAX - pool->kept) {
        free(memory);
        return;
    }
    block->next = pool->classes[class].free;
    pool->classes[class].free = block;
    pool->classes[class].count++;
    pool->kept += room_of(class);
}

void pool_tidy(struct pool *pool) {
    for (unsigned class = 0; class < POOL_CLASSES; class++) {
        for (unsigned unused = pool->classes[class].least; unused > 0; unused--)
            free(pop(pool, class));
        pool->classes[class].least = pool->classes[class].count;
    }
}

void pool_empty(struct pool *pool) {
    for (unsigned class = 0; class < POOL_CLASSES; class++)
        while (pool->classes[class].count > 0)
            free(pop(pool, class));
}
