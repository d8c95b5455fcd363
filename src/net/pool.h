/* Memory that comes and goes with each message: what is given back is kept for the next one, up to a limit.
 *
 * A large block that malloc() gives and free() takes back costs a page fault for every page, each time; and the block that
 * was used last is the one that still lies in the processor's cache, so it is given out first. A pool is one thread's. */
#ifndef SMBPROOF_NET_POOL_H
#define SMBPROOF_NET_POOL_H

#include <stddef.h>

/* Blocks have a power of two of octets, and room for the headers in front of so much data; larger ones than the last are
 * malloc()'s alone. */
#define POOL_BLOCK_LEAST 1024u
#define POOL_BLOCK_EXTRA 4096u
#define POOL_CLASSES     14u
/* Octets that one pool keeps for later. */
#define POOL_KEPT_MAX (20u * 1024u * 1024u)

struct pool_block {
    struct pool_block *next;
};

/* All blocks of one size that are kept. */
struct pool_class {
    struct pool_block *free; /* the one that was given back last in front */
    unsigned count, least;   /* of them; the fewest since pool_tidy() */
};

struct pool {
    struct pool_class classes[POOL_CLASSES];
    size_t kept; /* octets */
};

/* A block of at least so many octets, not zeroed; NULL: no memory. `pool` may be NULL: then it is malloc()'s. */
void *pool_take(struct pool *pool, size_t size);
/* Takes back what pool_take() gave for the same size. NULL is fine. */
void pool_give(struct pool *pool, void *block, size_t size);
/* Frees what nobody has needed since the call before, so that what a busy hour took is not held for ever. */
void pool_tidy(struct pool *pool);
/* Frees what is kept. */
void pool_empty(struct pool *pool);

#endif
