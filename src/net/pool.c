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

void *pool_take(struct pool *pool, size_t size) {
    unsigned class = class_of(pool, size);
    struct pool_block *block;

    if (class == POOL_CLASSES)
        return malloc(size);
    block = pool->free[class];
    if (block == NULL)
        return malloc(room_of(class));
    pool->free[class] = block->next;
    pool->kept -= room_of(class);
    return block;
}

void pool_give(struct pool *pool, void *memory, size_t size) {
    unsigned class = class_of(pool, size);
    struct pool_block *block = memory;

    if (block == NULL || class == POOL_CLASSES || room_of(class) > POOL_KEPT_MAX - pool->kept) {
        free(memory);
        return;
    }
    block->next = pool->free[class];
    pool->free[class] = block;
    pool->kept += room_of(class);
}

void pool_empty(struct pool *pool) {
    for (unsigned class = 0; class < POOL_CLASSES; class++)
        while (pool->free[class] != NULL) {
            struct pool_block *block = pool->free[class];

            pool->free[class] = block->next;
            free(block);
        }
    pool->kept = 0;
}
