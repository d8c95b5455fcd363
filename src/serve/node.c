#include "serve/node.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "wire/files.h"

enum { NODE_BUCKETS = 1024 };

struct lock {
    struct lock *next;
    struct node_seat *seat;
    struct node_range range;
};

struct node {
    struct node *next;
    struct store_id id;
    struct node_seat *seats;
    struct lock *locks;
    struct node_wait *waits;
    bool delete_pending;
};

struct nodes {
    pthread_mutex_t mutex;
    struct node *buckets[NODE_BUCKETS];
};

struct nodes *nodes_new(void) {
    struct nodes *nodes = calloc(1, sizeof *nodes);

    if (nodes != NULL)
        pthread_mutex_init(&nodes->mutex, NULL);
    return nodes;
}

void nodes_free(struct nodes *nodes) {
    if (nodes == NULL)
        return;
    for (unsigned i = 0; i < NODE_BUCKETS; i++)
        assert(nodes->buckets[i] == NULL);
    pthread_mutex_destroy(&nodes->mutex);
    free(nodes);
}

static struct node **bucket_of(struct nodes *nodes, struct store_id id) {
    uint64_t mixed = (id.file ^ id.volume << 17) * 0x9e3779b97f4a7c15u;

    return &nodes->buckets[mixed >> 54];
}

static struct node *node_of(struct nodes *nodes, struct store_id id) {
    struct node **bucket = bucket_of(nodes, id);
    struct node *node = *bucket;

    while (node != NULL && (node->id.file != id.file || node->id.volume != id.volume))
        node = node->next;
    if (node == NULL && (node = calloc(1, sizeof *node)) != NULL) {
        node->id = id;
        node->next = *bucket;
        *bucket = node;
    }
    return node;
}

static void node_drop_unused(struct nodes *nodes, struct node *node) {
    struct node **at = bucket_of(nodes, node->id);

    if (node->seats != NULL)
        return;
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    free(node);
}

/* What of an access mask takes part in sharing: an open for attributes alone shares with everyone. */
static uint32_t sharing(uint32_t access) {
    uint32_t needs = 0;

    if ((access & (FILE_READ_DATA | FILE_EXECUTE)) != 0)
        needs |= FILE_SHARE_READ;
    if ((access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) != 0)
        needs |= FILE_SHARE_WRITE;
    if ((access & ACCESS_DELETE) != 0)
        needs |= FILE_SHARE_DELETE;
    return needs;
}

static bool seats_agree(const struct node_seat *a, const struct node_seat *b) {
    uint32_t needs_a = sharing(a->access), needs_b = sharing(b->access);

    if (needs_a == 0 || needs_b == 0)
        return true;
    return (needs_a & ~b->share) == 0 && (needs_b & ~a->share) == 0;
}

static uint32_t seat_take(struct nodes *nodes, struct node_seat *seat, struct store_id id) {
    struct node *node = node_of(nodes, id);

    if (node == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (node->delete_pending)
        return STATUS_DELETE_PENDING; /* it has seats, since the last one to leave takes the node with it */
    for (struct node_seat *other = node->seats; other != NULL; other = other->next)
        if (!seats_agree(seat, other))
            return STATUS_SHARING_VIOLATION;
    seat->next = node->seats;
    node->seats = seat;
    seat->node = node;
    return STATUS_SUCCESS;
}

uint32_t node_join(struct nodes *nodes, struct node_seat *seat, struct store_id id) {
    uint32_t status;

    assert(seat->node == NULL);
    pthread_mutex_lock(&nodes->mutex);
    status = seat_take(nodes, seat, id);
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

/* Where ranges end, their last octet included. */
static uint64_t last_of(const struct node_range *range) {
    return range->offset + range->length - 1;
}

/* An empty range conflicts with one that it lies strictly inside of, as [MS-FSA] 2.1.4.10 has it. */
static bool overlap(const struct node_range *a, const struct node_range *b) {
    if (a->length == 0 && b->length == 0)
        return false;
    if (a->length == 0)
        return b->offset < a->offset && a->offset <= last_of(b);
    if (b->length == 0)
        return a->offset < b->offset && b->offset <= last_of(a);
    return a->offset <= last_of(b) && b->offset <= last_of(a);
}

static bool lock_fits(const struct node *node, const struct node_seat *seat, const struct node_range *range) {
    for (const struct lock *lock = node->locks; lock != NULL; lock = lock->next) {
        bool stacks = !range->exclusive && (!lock->range.exclusive || lock->seat == seat);

        if (!stacks && overlap(&lock->range, range))
            return false;
    }
    return true;
}

static uint32_t lock_add(struct node *node, struct node_seat *seat, const struct node_range *range) {
    struct lock *lock = seat->locks < NODE_LOCKS_MAX ? malloc(sizeof *lock) : NULL;

    if (lock == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    *lock = (struct lock){.next = node->locks, .seat = seat, .range = *range};
    node->locks = lock;
    seat->locks++;
    return STATUS_SUCCESS;
}

static void wait_append(struct node *node, struct node_wait *wait) {
    struct node_wait **at = &node->waits;

    while (*at != NULL)
        at = &(*at)->next;
    wait->next = NULL;
    *at = wait;
}

/* Grants what fits now, in the order of asking. What finds no memory goes on waiting. */
static void waits_grant(struct node *node) {
    struct node_wait **at = &node->waits;

    while (*at != NULL) {
        struct node_wait *wait = *at;

        if (lock_fits(node, wait->seat, &wait->range) &&
            lock_add(node, wait->seat, &wait->range) == STATUS_SUCCESS) {
            *at = wait->next;
            loop_post(wait->loop, &wait->task);
        } else {
            at = &wait->next;
        }
    }
}

uint32_t node_lock(struct nodes *nodes, struct node_seat *seat, const struct node_range *range,
                   struct node_wait *wait) {
    uint32_t status = STATUS_LOCK_NOT_GRANTED;

    pthread_mutex_lock(&nodes->mutex);
    if (lock_fits(seat->node, seat, range)) {
        status = lock_add(seat->node, seat, range);
    } else if (wait != NULL) {
        wait->seat = seat;
        wait->range = *range;
        wait_append(seat->node, wait);
        status = STATUS_PENDING;
    }
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

static uint32_t lock_remove(struct node_seat *seat, const struct node_range *range) {
    for (struct lock **at = &seat->node->locks, *lock; (lock = *at) != NULL; at = &lock->next)
        if (lock->seat == seat && lock->range.offset == range->offset && lock->range.length == range->length) {
            *at = lock->next;
            free(lock);
            seat->locks--;
            return STATUS_SUCCESS;
        }
    return STATUS_RANGE_NOT_LOCKED;
}

uint32_t node_unlock(struct nodes *nodes, struct node_seat *seat, const struct node_range *range) {
    uint32_t status;

    pthread_mutex_lock(&nodes->mutex);
    status = lock_remove(seat, range);
    waits_grant(seat->node);
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

bool node_take_wait(struct nodes *nodes, struct node_wait *wait) {
    bool found = false;

    pthread_mutex_lock(&nodes->mutex);
    for (struct node_wait **at = &wait->seat->node->waits; *at != NULL && !found; ) {
        found = *at == wait;
        if (found)
            *at = wait->next;
        else
            at = &(*at)->next;
    }
    pthread_mutex_unlock(&nodes->mutex);
    return found;
}

uint32_t node_check_io(struct nodes *nodes, struct node_seat *seat, uint64_t offset, uint64_t length, bool write) {
    struct node_range range = {.offset = offset, .length = length, .exclusive = write};
    uint32_t status = STATUS_SUCCESS;

    if (length == 0)
        return STATUS_SUCCESS;
    pthread_mutex_lock(&nodes->mutex);
    for (struct lock *lock = seat->node->locks; lock != NULL; lock = lock->next) {
        bool forbids = lock->seat == seat ? write && !lock->range.exclusive : write || lock->range.exclusive;

        if (forbids && overlap(&lock->range, &range))
            status = STATUS_FILE_LOCK_CONFLICT;
    }
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

static void locks_drop(struct node *node, const struct node_seat *seat) {
    for (struct lock **at = &node->locks, *lock; (lock = *at) != NULL; ) {
        if (lock->seat != seat) {
            at = &lock->next;
            continue;
        }
        *at = lock->next;
        free(lock);
    }
}

static void seat_unlink(struct node *node, struct node_seat *seat) {
    struct node_seat **at = &node->seats;

    while (*at != seat)
        at = &(*at)->next;
    *at = seat->next;
}

bool node_leave(struct nodes *nodes, struct node_seat *seat) {
    struct node *node = seat->node;
    bool remove;

    if (node == NULL)
        return false;
    pthread_mutex_lock(&nodes->mutex);
    locks_drop(node, seat);
    seat_unlink(node, seat);
    seat->node = NULL;
    node->delete_pending |= seat->delete_on_close;
    remove = node->delete_pending && node->seats == NULL;
    waits_grant(node);
    node_drop_unused(nodes, node);
    pthread_mutex_unlock(&nodes->mutex);
    return remove;
}

void node_set_delete(struct nodes *nodes, struct node_seat *seat, bool pending) {
    pthread_mutex_lock(&nodes->mutex);
    seat->node->delete_pending = pending;
    pthread_mutex_unlock(&nodes->mutex);
}

bool node_is_delete_pending(struct nodes *nodes, struct node_seat *seat) {
    bool pending;

    pthread_mutex_lock(&nodes->mutex);
    pending = seat->node->delete_pending;
    pthread_mutex_unlock(&nodes->mutex);
    return pending;
}
