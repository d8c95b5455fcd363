#include "explain/later.h"

#include <pthread.h>
#include <stdlib.h>

/* Octets that come into the cache together. */
#define CACHE_LINE 64u

struct later {
    void (*done)(void *context, void *record);
    void *context;
    size_t size; /* of a record */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned long put, taken; /* records; under the lock */
    unsigned long filled;     /* of whoever puts: records in the ring, told as `put` when they are a batch */
    void *records[LATER_RECORDS_MAX];
};

/* It is in the other processor's cache, or in none by now. */
static void fetch(const void *record, size_t size) {
    for (size_t at = 0; at < size; at += CACHE_LINE)
        __builtin_prefetch((const char *)record + at);
}

struct later *later_new(void (*done)(void *context, void *record), void *context, size_t size) {
    struct later *later = calloc(1, sizeof *later);

    if (later == NULL)
        return NULL;
    later->done = done;
    later->context = context;
    later->size = size;
    pthread_mutex_init(&later->lock, NULL);
    pthread_cond_init(&later->changed, NULL);
    return later;
}

bool later_step(struct later *later) {
    unsigned long taken, put;

    pthread_mutex_lock(&later->lock);
    taken = later->taken;
    put = later->put;
    pthread_mutex_unlock(&later->lock);
    if (taken == put)
        return false;
    if (put - taken > LATER_STEP)
        put = taken + LATER_STEP;
    for (; taken != put; taken++) {
        if (taken + 1 != put)
            fetch(later->records[(taken + 1) % LATER_RECORDS_MAX], later->size);
        later->done(later->context, later->records[taken % LATER_RECORDS_MAX]);
    }
    pthread_mutex_lock(&later->lock);
    later->taken = taken;
    pthread_cond_signal(&later->changed);
    pthread_mutex_unlock(&later->lock);
    return true;
}

void later_flush(struct later *later) {
    pthread_mutex_lock(&later->lock);
    later->put = later->filled;
    pthread_mutex_unlock(&later->lock);
}

/* Waits until another batch has room. */
static void wait_for_room(struct later *later) {
    pthread_mutex_lock(&later->lock);
    while (later->put - later->taken > LATER_RECORDS_MAX - LATER_BATCH)
        pthread_cond_wait(&later->changed, &later->lock);
    pthread_mutex_unlock(&later->lock);
}

void *later_put(struct later *later, void *record, bool *ready) {
    void **place = &later->records[later->filled % LATER_RECORDS_MAX];
    void *old;

    if (later->filled % LATER_BATCH == 0)
        wait_for_room(later);
    old = *place;
    *place = record;
    later->filled++;
    *ready = later->filled % LATER_BATCH == 0;
    if (*ready)
        later_flush(later);
    return old;
}

void later_free(struct later *later) {
    if (later == NULL)
        return;
    later_flush(later);
    while (later_step(later))
        ;
    for (unsigned i = 0; i < LATER_RECORDS_MAX; i++)
        free(later->records[i]);
    pthread_cond_destroy(&later->changed);
    pthread_mutex_destroy(&later->lock);
    free(later);
}
