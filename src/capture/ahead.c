#include "capture/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Packets ahead, octets of the payload, and octets that come into the cache together. */
#define FETCH_ITEMS 8u
#define FETCH_PAYLOAD 192u
#define CACHE_LINE 64u

struct item {
    struct packet packet;
    struct segment segment;
};

struct batch {
    unsigned count, used;
    enum capture_status status; /* CAPTURE_PACKET: more follows this batch */
    uint64_t position;
    size_t spare_used;
    struct item items[AHEAD_BATCH];
    uint8_t spare[AHEAD_SPARE];
};

struct ahead {
    struct capture *capture;
    struct link *link;
    bool threaded, held; /* held: `read` has a batch that is being handed out */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned long written, read; /* batches; under the lock */
    bool stop;                   /* under the lock */
    struct item late;            /* found no room in its batch: the next one's first */
    bool has_late;
    struct batch batches[AHEAD_BATCHES];
};

static bool within(struct span inner, struct span outer) {
    return inner.size == 0 || (inner.data >= outer.data && inner.data + inner.size <= outer.data + outer.size);
}

/* A reassembled datagram lives in the link's memory until the next packet: it moves into the batch. */
static bool settle(struct batch *batch, struct item *item) {
    struct span payload = item->segment.payload;

    if (within(payload, item->packet.bytes))
        return true;
    if (payload.size > AHEAD_SPARE - batch->spare_used)
        return false;
    memcpy(batch->spare + batch->spare_used, payload.data, payload.size);
    item->segment.payload.data = batch->spare + batch->spare_used;
    batch->spare_used += payload.size;
    return true;
}

static void fill(struct ahead *ahead, struct batch *batch, unsigned most) {
    batch->count = batch->used = 0;
    batch->spare_used = 0;
    batch->status = CAPTURE_PACKET;
    while (batch->count < most) {
        struct item *item = &batch->items[batch->count];

        if (ahead->has_late) {
            *item = ahead->late;
            ahead->has_late = false;
        } else {
            batch->status = capture_next(ahead->capture, &item->packet);
            if (batch->status != CAPTURE_PACKET)
                break;
            if (link_decode(ahead->link, &item->packet, &item->segment) != LINK_SEGMENT)
                continue;
        }
        if (!settle(batch, item)) { /* nothing was read since, so its payload is still there */
            ahead->late = *item;
            ahead->has_late = true;
            break;
        }
        batch->count++;
    }
    batch->position = capture_position(ahead->capture);
}

static void *run(void *argument) {
    struct ahead *ahead = argument;
    enum capture_status status = CAPTURE_PACKET;

    while (status == CAPTURE_PACKET) {
        unsigned long number;

        pthread_mutex_lock(&ahead->lock);
        while (!ahead->stop && ahead->written - ahead->read == AHEAD_BATCHES)
            pthread_cond_wait(&ahead->changed, &ahead->lock);
        number = ahead->written;
        if (ahead->stop) {
            pthread_mutex_unlock(&ahead->lock);
            return NULL;
        }
        pthread_mutex_unlock(&ahead->lock);
        fill(ahead, &ahead->batches[number % AHEAD_BATCHES], AHEAD_BATCH);
        status = ahead->batches[number % AHEAD_BATCHES].status;
        pthread_mutex_lock(&ahead->lock);
        ahead->written++;
        pthread_cond_signal(&ahead->changed);
        pthread_mutex_unlock(&ahead->lock);
    }
    return NULL;
}

struct ahead *ahead_new(struct capture *capture, struct link *link) {
    struct ahead *ahead = malloc(sizeof *ahead);

    if (ahead == NULL)
        return NULL;
    memset(ahead, 0, offsetof(struct ahead, batches));
    ahead->capture = capture;
    ahead->link = link;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    ahead->threaded = capture_is_lasting(capture) && pthread_create(&ahead->thread, NULL, run, ahead) == 0;
    return ahead;
}

static struct batch *take(struct ahead *ahead) {
    struct batch *batch;

    if (!ahead->threaded) { /* one at a time: the packet's octets last until the next is read */
        if (!ahead->held || ahead->batches[0].used == ahead->batches[0].count)
            fill(ahead, &ahead->batches[0], 1);
        ahead->held = true;
        return &ahead->batches[0];
    }
    batch = &ahead->batches[ahead->read % AHEAD_BATCHES];
    if (ahead->held && (batch->used < batch->count || batch->status != CAPTURE_PACKET))
        return batch;
    pthread_mutex_lock(&ahead->lock);
    if (ahead->held) {
        ahead->read++;
        pthread_cond_signal(&ahead->changed);
    }
    while (ahead->written == ahead->read)
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
    ahead->held = true;
    return &ahead->batches[ahead->read % AHEAD_BATCHES];
}

/* The other thread's processor has these lines in its cache: they are asked for some packets before they are needed. */
static inline void fetch_early(const struct batch *batch) {
    const uint8_t *item;

    if (batch->used + FETCH_ITEMS >= batch->count)
        return;
    item = (const uint8_t *)&batch->items[batch->used + FETCH_ITEMS];
    for (size_t at = 0; at < sizeof(struct item); at += CACHE_LINE)
        __builtin_prefetch(item + at);
    for (size_t at = 0; at < FETCH_PAYLOAD; at += CACHE_LINE)
        __builtin_prefetch((const void *)((uintptr_t)batch->items[batch->used + FETCH_ITEMS / 2].segment.payload.data + at));
}

enum capture_status ahead_next(struct ahead *ahead, const struct packet **packet, const struct segment **segment,
                               uint64_t *position) {
    for (;;) {
        struct batch *batch = take(ahead);

        if (batch->used < batch->count) {
            const struct item *item = &batch->items[batch->used++];

            fetch_early(batch);
            *packet = &item->packet;
            *segment = &item->segment;
            *position = batch->position;
            return CAPTURE_PACKET;
        }
        if (batch->status != CAPTURE_PACKET)
            return batch->status;
    }
}

void ahead_free(struct ahead *ahead) {
    if (ahead == NULL)
        return;
    if (ahead->threaded) {
        pthread_mutex_lock(&ahead->lock);
        ahead->stop = true;
        pthread_cond_signal(&ahead->changed);
        pthread_mutex_unlock(&ahead->lock);
        pthread_join(ahead->thread, NULL);
    }
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}
