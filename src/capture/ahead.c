#include "capture/ahead.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Packets ahead whose item, and whose payload, is asked for; octets of the payload; and octets that come into the cache
 * together. */
#define FETCH_ITEMS 12u
#define FETCH_PAYLOADS 6u
#define FETCH_PAYLOAD_SIZE 192u
#define CACHE_LINE 64u
/* Looks at whether a batch is there before the thread sleeps: some tens of microseconds. */
#define SPIN_MAX 2000u

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
    struct ahead_chore chore;
    pthread_cond_t changed, filled; /* something to do for the second thread; a batch for the first */
    unsigned long written, read;    /* batches; under the lock */
    bool stop, chore_waits, at_end; /* under the lock */
    atomic_ulong ready;             /* `written`, to be looked at without the lock */
    struct item late;            /* found no room in its batch: the next one's first */
    bool has_late;
    struct batch *current; /* that items are handed out of */
    struct batch batches[AHEAD_BATCHES];
};

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

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

/* What the second thread does next. */
enum task { TASK_FILL, TASK_CHORE, TASK_END };

/* Behind half of its batches it reads; further ahead it may do its chore first. Under the lock. */
static bool is_far(const struct ahead *ahead) {
    return ahead->written - ahead->read > AHEAD_BATCHES / 2;
}

static bool has_room(const struct ahead *ahead) {
    return !ahead->at_end && ahead->written - ahead->read < AHEAD_BATCHES;
}

static enum task next_task(struct ahead *ahead) {
    enum task task;

    pthread_mutex_lock(&ahead->lock);
    if (!has_room(ahead)) /* and then it is not woken for each batch */
        while (!ahead->stop && !ahead->chore_waits && (ahead->at_end || is_far(ahead)))
            pthread_cond_wait(&ahead->changed, &ahead->lock);
    if (ahead->chore_waits && (ahead->stop || ahead->at_end || is_far(ahead)))
        task = TASK_CHORE;
    else
        task = ahead->stop ? TASK_END : TASK_FILL;
    if (task == TASK_CHORE)
        ahead->chore_waits = false;
    pthread_mutex_unlock(&ahead->lock);
    return task;
}

static void fill_next(struct ahead *ahead) {
    struct batch *batch = &ahead->batches[ahead->written % AHEAD_BATCHES]; /* nobody else writes that number */

    fill(ahead, batch, AHEAD_BATCH);
    pthread_mutex_lock(&ahead->lock);
    ahead->written++;
    atomic_store_explicit(&ahead->ready, ahead->written, memory_order_release);
    ahead->at_end = batch->status != CAPTURE_PACKET;
    pthread_cond_signal(&ahead->filled);
    pthread_mutex_unlock(&ahead->lock);
}

static void do_chore(struct ahead *ahead) {
    if (ahead->chore.step(ahead->chore.context))
        ahead_wake(ahead);
}

static void *run(void *argument) {
    struct ahead *ahead = argument;
    enum task task;

    while ((task = next_task(ahead)) != TASK_END) {
        if (task == TASK_FILL)
            fill_next(ahead);
        else
            do_chore(ahead);
    }
    return NULL;
}

struct ahead *ahead_new(struct capture *capture, struct link *link, struct ahead_chore chore) {
    struct ahead *ahead = malloc(sizeof *ahead);

    if (ahead == NULL)
        return NULL;
    memset(ahead, 0, offsetof(struct ahead, batches));
    ahead->capture = capture;
    ahead->link = link;
    ahead->chore = chore;
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    pthread_cond_init(&ahead->filled, NULL);
    ahead->threaded = capture_is_lasting(capture) && pthread_create(&ahead->thread, NULL, run, ahead) == 0;
    return ahead;
}

bool ahead_is_threaded(const struct ahead *ahead) {
    return ahead->threaded;
}

void ahead_wake(struct ahead *ahead) {
    pthread_mutex_lock(&ahead->lock);
    ahead->chore_waits = true;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

/* The next batch is often under way already, and to sleep and be woken takes longer than to wait for it. */
static void spin(const struct ahead *ahead) {
    unsigned long next = ahead->read + (ahead->held ? 1 : 0);

    for (unsigned i = 0; i < SPIN_MAX && atomic_load_explicit(&ahead->ready, memory_order_relaxed) == next; i++)
        pause_briefly();
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
    if (ahead->held && batch->status != CAPTURE_PACKET)
        return batch;
    spin(ahead);
    pthread_mutex_lock(&ahead->lock);
    if (ahead->held) {
        ahead->read++;
        if (ahead->written - ahead->read == AHEAD_BATCHES / 2)
            pthread_cond_signal(&ahead->changed);
    }
    while (ahead->written == ahead->read)
        pthread_cond_wait(&ahead->filled, &ahead->lock);
    pthread_mutex_unlock(&ahead->lock);
    ahead->held = true;
    return &ahead->batches[ahead->read % AHEAD_BATCHES];
}

/* The item at a place behind the batch's end: in the batch after it, NULL where that is not there yet. */
static const struct item *item_of_next(const struct ahead *ahead, const struct batch *batch, unsigned at) {
    at -= batch->count;
    if (!ahead->threaded || atomic_load_explicit(&ahead->ready, memory_order_acquire) <= ahead->read + 1)
        return NULL;
    batch = &ahead->batches[(ahead->read + 1) % AHEAD_BATCHES];
    return at < batch->count ? &batch->items[at] : NULL;
}

static inline void fetch_item(const struct item *item) {
    for (size_t at = 0; at < sizeof *item; at += CACHE_LINE)
        __builtin_prefetch((const uint8_t *)item + at);
}

static inline void fetch_payload(const struct item *item) {
    for (size_t at = 0; at < FETCH_PAYLOAD_SIZE; at += CACHE_LINE)
        __builtin_prefetch((const void *)((uintptr_t)item->segment.payload.data + at));
}

/* The other thread's processor has these lines in its cache: they are asked for some packets before they are needed. */
static inline void fetch_early(const struct ahead *ahead, const struct batch *batch) {
    unsigned far = batch->used + FETCH_ITEMS, near = batch->used + FETCH_PAYLOADS;
    const struct item *item;

    if (far < batch->count) {
        fetch_item(&batch->items[far]);
        fetch_payload(&batch->items[near]);
        return;
    }
    item = item_of_next(ahead, batch, far);
    if (item != NULL)
        fetch_item(item);
    item = near < batch->count ? &batch->items[near] : item_of_next(ahead, batch, near);
    if (item != NULL)
        fetch_payload(item);
}

enum capture_status ahead_next(struct ahead *ahead, const struct packet **packet, const struct segment **segment,
                               uint64_t *position) {
    struct batch *batch = ahead->current;

    while (batch == NULL || batch->used == batch->count) {
        batch = ahead->current = take(ahead);
        if (batch->used == batch->count && batch->status != CAPTURE_PACKET)
            return batch->status;
    }
    const struct item *item = &batch->items[batch->used++];
    fetch_early(ahead, batch);
    *packet = &item->packet;
    *segment = &item->segment;
    *position = batch->position;
    return CAPTURE_PACKET;
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
    pthread_cond_destroy(&ahead->filled);
    pthread_cond_destroy(&ahead->changed);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}
