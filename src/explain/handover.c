#include "explain/handover.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Items are fetched so many places before their turn. */
#define FETCH_PLACES 16u
/* Looks at whether a batch is there before the thread sleeps: some tens of microseconds. */
#define SPIN_MAX 2000u

struct batch {
    unsigned count;
    bool last; /* none follows */
    size_t spare_used;
    struct handed items[HANDOVER_BATCH];
    uint8_t spare[HANDOVER_SPARE];
};

/* What the one thread writes all the time lies in no line of the cache that the other one needs. */
struct handover {
    _Alignas(CACHE_LINE) struct batch *filled; /* of whoever puts: not handed over yet; NULL none */
    _Alignas(CACHE_LINE) struct batch *taken;  /* of whoever takes: handed over, and being looked at; NULL none */
    unsigned at;                               /* in it */
    struct meanwhile meanwhile;
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    pthread_cond_t emptied, ready;
    unsigned long written, read; /* batches; under the lock */
    atomic_ulong seen;           /* `written`, to be looked at without the lock */
    _Alignas(CACHE_LINE) struct batch batches[HANDOVER_BATCHES];
};

struct handover *handover_new(const struct meanwhile *meanwhile) {
    struct handover *handover = aligned_alloc(CACHE_LINE, sizeof *handover); /* most of it will never be touched */

    if (handover == NULL)
        return NULL;
    memset(handover, 0, offsetof(struct handover, batches));
    handover->meanwhile = *meanwhile;
    pthread_mutex_init(&handover->lock, NULL);
    pthread_cond_init(&handover->emptied, NULL);
    pthread_cond_init(&handover->ready, NULL);
    return handover;
}

/* Waits for an empty batch; where there is none until half are empty, not to be woken for each. */
static struct batch *batch_begin(struct handover *handover) {
    struct batch *batch;

    pthread_mutex_lock(&handover->lock);
    if (handover->written - handover->read == HANDOVER_BATCHES)
        while (handover->written - handover->read > HANDOVER_BATCHES / 2)
            pthread_cond_wait(&handover->emptied, &handover->lock);
    batch = &handover->batches[handover->written % HANDOVER_BATCHES];
    pthread_mutex_unlock(&handover->lock);
    batch->count = 0;
    batch->last = false;
    batch->spare_used = 0;
    return batch;
}

static void batch_hand_over(struct handover *handover) {
    handover->filled = NULL;
    pthread_mutex_lock(&handover->lock);
    handover->written++;
    atomic_store_explicit(&handover->seen, handover->written, memory_order_relaxed);
    pthread_cond_signal(&handover->ready);
    pthread_mutex_unlock(&handover->lock);
}

static struct span copy_into(struct batch *batch, struct span bytes) {
    uint8_t *copy = batch->spare + batch->spare_used;

    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    batch->spare_used += bytes.size;
    return (struct span){copy, bytes.size};
}

/* The one that is being filled, if any, has no place or no room left: the next. */
static struct batch *batch_change(struct handover *handover) {
    if (handover->filled != NULL)
        batch_hand_over(handover);
    return handover->filled = batch_begin(handover);
}

struct handed *handover_place(struct handover *handover) {
    struct batch *batch = handover->filled;

    if (batch == NULL || batch->count == HANDOVER_BATCH)
        batch = batch_change(handover);
    return &batch->items[batch->count++];
}

void handover_put(struct handover *handover, const struct handed *handed, bool lasting) {
    size_t copied = lasting ? 0 : handed->bytes.size;
    struct handed *place;

    assert(copied <= HANDOVER_SPARE);
    if (handover->filled != NULL && copied > HANDOVER_SPARE - handover->filled->spare_used)
        batch_change(handover);
    place = handover_place(handover);
    *place = *handed;
    if (copied > 0)
        place->bytes = copy_into(handover->filled, handed->bytes);
}

void handover_finish(struct handover *handover) {
    if (handover->filled == NULL)
        handover->filled = batch_begin(handover);
    handover->filled->last = true;
    batch_hand_over(handover);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* The next batch is often under way already, and to sleep and be woken takes longer than to wait for it. */
static void spin(struct handover *handover, unsigned long next) {
    const struct meanwhile *meanwhile = &handover->meanwhile;

    for (unsigned i = 0; i < SPIN_MAX && atomic_load_explicit(&handover->seen, memory_order_relaxed) == next; i++)
        if (!meanwhile->work(meanwhile->context))
            pause_briefly();
}

static struct batch *batch_next(struct handover *handover) {
    unsigned long next = handover->read; /* nobody else writes that number */

    if (handover->taken != NULL)
        next++;
    spin(handover, next);
    pthread_mutex_lock(&handover->lock);
    handover->read = next;
    if (handover->written - next == HANDOVER_BATCHES / 2)
        pthread_cond_signal(&handover->emptied);
    while (handover->written == next)
        pthread_cond_wait(&handover->ready, &handover->lock);
    pthread_mutex_unlock(&handover->lock);
    handover->at = 0;
    return &handover->batches[next % HANDOVER_BATCHES];
}

const struct handed *handover_take(struct handover *handover) {
    struct batch *batch = handover->taken;

    while (batch == NULL || handover->at == batch->count) {
        if (batch != NULL && batch->last)
            return NULL;
        batch = handover->taken = batch_next(handover);
    }
    __builtin_prefetch(&batch->items[handover->at] + FETCH_PLACES); /* the other thread's processor has it */
    return &batch->items[handover->at++];
}

const struct handed *handover_soon(const struct handover *handover, unsigned places) {
    const struct batch *batch = handover->taken;

    return batch->count - handover->at > places ? &batch->items[handover->at + places] : NULL;
}

void handover_free(struct handover *handover) {
    if (handover == NULL)
        return;
    pthread_cond_destroy(&handover->ready);
    pthread_cond_destroy(&handover->emptied);
    pthread_mutex_destroy(&handover->lock);
    free(handover);
}
