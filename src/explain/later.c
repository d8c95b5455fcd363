#include "explain/later.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Octets that come into the cache together. */
#define CACHE_LINE 64u

struct later {
    void (*done)(void *context, void *record);
    void *context;
    size_t size; /* of a record */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned long put, taken; /* records; under the lock */
    bool ended;               /* nothing more comes; under the lock */
    unsigned long filled;     /* of whoever puts: records in the ring, told as `put` when they are a batch */
    void *records[LATER_RECORDS_MAX];
};

/* Waits for records and says up to where they go: `taken` where none will come. */
static unsigned long wait_for_records(struct later *later, unsigned long taken) {
    unsigned long put;

    pthread_mutex_lock(&later->lock);
    later->taken = taken;
    pthread_cond_signal(&later->changed);
    while (later->put == taken && !later->ended)
        pthread_cond_wait(&later->changed, &later->lock);
    put = later->put;
    pthread_mutex_unlock(&later->lock);
    return put;
}

/* It is in the other processor's cache, or in none by now. */
static void fetch(const void *record, size_t size) {
    for (size_t at = 0; at < size; at += CACHE_LINE)
        __builtin_prefetch((const char *)record + at);
}

static void *run(void *argument) {
    struct later *later = argument;
    unsigned long taken = 0, put;

    while ((put = wait_for_records(later, taken)) != taken)
        for (; taken != put; taken++) {
            if (taken + 1 != put)
                fetch(later->records[(taken + 1) % LATER_RECORDS_MAX], later->size);
            later->done(later->context, later->records[taken % LATER_RECORDS_MAX]);
        }
    return NULL;
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
    if (pthread_create(&later->thread, NULL, run, later) == 0)
        return later;
    pthread_cond_destroy(&later->changed);
    pthread_mutex_destroy(&later->lock);
    free(later);
    return NULL;
}

/* Tells the other thread of what is in the ring, and waits until a batch has room behind it. */
static void hand_over(struct later *later, bool ended) {
    pthread_mutex_lock(&later->lock);
    later->put = later->filled;
    later->ended = ended;
    pthread_cond_signal(&later->changed);
    while (later->put - later->taken > LATER_RECORDS_MAX - LATER_BATCH)
        pthread_cond_wait(&later->changed, &later->lock);
    pthread_mutex_unlock(&later->lock);
}

void *later_put(struct later *later, void *record) {
    void **place = &later->records[later->filled % LATER_RECORDS_MAX];
    void *old = *place;

    *place = record;
    later->filled++;
    if (later->filled % LATER_BATCH == 0)
        hand_over(later, false);
    return old;
}

void later_free(struct later *later) {
    if (later == NULL)
        return;
    hand_over(later, true);
    pthread_join(later->thread, NULL);
    for (unsigned i = 0; i < LATER_RECORDS_MAX; i++)
        free(later->records[i]);
    pthread_cond_destroy(&later->changed);
    pthread_mutex_destroy(&later->lock);
    free(later);
}
