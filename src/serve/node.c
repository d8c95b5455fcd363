#include "serve/node.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/names.h"
#include "wire/files.h"
#include "wire/text.h"

enum { NODE_BUCKETS = 1024 };

struct lock {
    struct lock *next;
    struct node_seat *seat;
    struct node_range range;
};

struct node {
    struct node *next;
    struct store_id id;
    uint64_t stream; /* 0: the file itself */
    struct node_seat *seats;
    struct lock *locks;
    struct node_wait *waits;
    struct node_queue *queue;
    bool delete_pending;
    unsigned removers;       /* seats that have left and remove it now */
    bool is_late;            /* its time of writing shows as `written`, */
    struct timespec written;
    uint64_t written_until_ms; /* until then */
    const void *share;
    char *path; /* below the share's root, as it was asked for; NULL: no memory */
};

struct nodes {
    pthread_mutex_t mutex;
    atomic_uint late; /* nodes whose time of writing shows late */
    atomic_uint_fast64_t removals;
    struct node_making *makings[NODE_BUCKETS]; /* by the name */
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

/* FNV-1a of the name, A to Z as a to z; two streams of a file that have the same share a node, and disturb each other. */
static uint64_t stream_hash(const char *stream) {
    uint64_t hash = 0xcbf29ce484222325u;

    if (stream == NULL || *stream == '\0')
        return 0;
    for (; *stream != '\0'; stream++)
        hash = (hash ^ (uint8_t)(*stream >= 'A' && *stream <= 'Z' ? *stream | 0x20 : *stream)) * 0x100000001b3u;
    return hash | 1;
}

static bool is_same_file(const struct node *node, struct store_id id) {
    return node->id.file == id.file && node->id.volume == id.volume;
}

static struct node *node_find(struct nodes *nodes, struct store_id id, uint64_t stream) {
    struct node *node = *bucket_of(nodes, id);

    while (node != NULL && (!is_same_file(node, id) || node->stream != stream))
        node = node->next;
    return node;
}

static struct node *node_of(struct nodes *nodes, struct store_id id, uint64_t stream) {
    struct node **bucket = bucket_of(nodes, id);
    struct node *node = node_find(nodes, id, stream);

    if (node == NULL && (node = calloc(1, sizeof *node)) != NULL) {
        node->id = id;
        node->stream = stream;
        node->next = *bucket;
        *bucket = node;
    }
    return node;
}

static bool has_streams_open(struct nodes *nodes, struct store_id id) {
    const struct node *node = *bucket_of(nodes, id);

    while (node != NULL && (node->stream == 0 || node->seats == NULL || !is_same_file(node, id)))
        node = node->next;
    return node != NULL;
}

/* A file that is to go stays known, so that nobody opens it any more, until the last of its streams is closed and it is
 * gone. */
static void node_drop_unused(struct nodes *nodes, struct node *node) {
    struct node **at = bucket_of(nodes, node->id);

    if (node->seats != NULL || node->removers > 0 || (node->stream == 0 && node->delete_pending && has_streams_open(nodes, node->id)))
        return;
    free(node->path);
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

/* ---- oplocks ---- */

/* One that is on its way already tells what is true when it arrives. */
static void seat_notice(struct node_seat *seat) {
    if (seat->is_noticed)
        return;
    seat->is_noticed = true;
    loop_post(seat->loop, &seat->notice);
}

static bool is_breaking(const struct node_seat *seat) {
    return seat->broken_to != seat->oplock;
}

/* Level II goes at once: its holder is told, and not asked. */
static void seat_break(struct node_seat *seat, enum oplock_level level) {
    if (is_breaking(seat))
        return;
    seat->broken_to = level;
    if (!oplock_is_alone(seat->oplock)) {
        seat->oplock = level;
        seat->was_shared = true;
    }
    seat->is_broken = true;
    seat_notice(seat);
}

static void shared_break(struct node *node) {
    for (struct node_seat *seat = node->seats; seat != NULL; seat = seat->next)
        if (seat->oplock == OPLOCK_LEVEL_II)
            seat_break(seat, OPLOCK_LEVEL_NONE);
}

static void queue_join(struct node_queue **list, struct node_queue *queue) {
    queue->next = *list;
    queue->queue = list;
    *list = queue;
}

static void queue_wake(struct node_queue **list) {
    while (*list != NULL) {
        struct node_queue *queue = *list;

        *list = queue->next;
        queue->queue = NULL;
        loop_post(queue->loop, &queue->task);
    }
}

/* What the claim makes of the other's oplock. */
static enum oplock_level claim_on(const struct node_seat *seat, const struct node_entry *entry,
                                  const struct node_seat *other) {
    const struct oplock_claim claim = {seat->access, entry->overwrites, !seats_agree(seat, other)};

    return oplock_left(other->oplock, &claim);
}

/* Breaks what is in the way. SUCCESS where nothing is any more. */
static uint32_t seats_clear(struct node *node, const struct node_seat *seat, const struct node_entry *entry) {
    uint32_t status = STATUS_SUCCESS;

    for (struct node_seat *other = node->seats; other != NULL; other = other->next)
        if (!seats_agree(seat, other) && claim_on(seat, entry, other) == other->oplock)
            return STATUS_SHARING_VIOLATION;
    for (struct node_seat *other = node->seats; other != NULL; other = other->next) {
        enum oplock_level left = claim_on(seat, entry, other);

        if (left == other->oplock)
            continue;
        if (oplock_is_alone(other->oplock))
            status = STATUS_PENDING;
        seat_break(other, left);
    }
    return status;
}

static enum oplock_level seat_grant(const struct node *node, const struct node_seat *seat,
                                    const struct node_entry *entry) {
    struct oplock_scene scene = {.is_folder = entry->is_folder, .has_locks = node->locks != NULL};

    for (const struct node_seat *other = node->seats; other != NULL; other = other->next) {
        scene.has_opens |= !oplock_is_glance(other->access, false);
        scene.has_oplocks |= other->oplock != OPLOCK_LEVEL_NONE;
    }
    return oplock_granted(entry->wanted, oplock_is_glance(seat->access, entry->overwrites), &scene);
}

/* Whoever may delete the file has to agree with those who have its streams open. */
static bool streams_agree(struct nodes *nodes, const struct node_seat *seat, struct store_id id) {
    if ((seat->access & ACCESS_DELETE) == 0)
        return true;
    for (const struct node *node = *bucket_of(nodes, id); node != NULL; node = node->next)
        if (is_same_file(node, id) && node->stream != 0)
            for (const struct node_seat *other = node->seats; other != NULL; other = other->next)
                if (sharing(other->access) != 0 && (other->share & FILE_SHARE_DELETE) == 0)
                    return false;
    return true;
}

/* Waits for what is being removed: the name is another file's then, or nobody's. A node that is to go otherwise has seats,
 * here or at its streams. */
static uint32_t seat_admit(struct nodes *nodes, struct node *node, const struct node_seat *seat, struct node_queue *queue) {
    struct node *whole = node->stream != 0 ? node_find(nodes, node->id, 0) : node;
    struct node *going = whole != NULL && whole->removers > 0 ? whole : node;

    if (going->removers > 0) {
        queue_join(&going->queue, queue);
        return STATUS_PENDING;
    }
    if (node->delete_pending || (whole != NULL && whole->delete_pending))
        return STATUS_DELETE_PENDING;
    return node->stream != 0 || streams_agree(nodes, seat, node->id) ? STATUS_SUCCESS : STATUS_SHARING_VIOLATION;
}

static void seat_link(struct node *node, struct node_seat *seat) {
    seat->next = node->seats;
    node->seats = seat;
    seat->node = node;
}

static uint32_t seat_take(struct node *node, struct node_seat *seat, const struct node_entry *entry,
                          struct node_queue *queue) {
    uint32_t status = seats_clear(node, seat, entry);

    if (status == STATUS_PENDING)
        queue_join(&node->queue, queue);
    if (status != STATUS_SUCCESS)
        return status;
    seat->oplock = seat->broken_to = seat_grant(node, seat, entry);
    seat_link(node, seat);
    return STATUS_SUCCESS;
}

uint64_t node_removals(struct nodes *nodes) {
    return atomic_load(&nodes->removals);
}

/* ---- names that are being made ---- */

static struct node_making *making_find(struct nodes *nodes, const struct node_entry *entry) {
    uint32_t hash = name_hash(entry->path);
    struct node_making *making = nodes->makings[hash % NODE_BUCKETS];

    while (making != NULL && (making->hash != hash || making->share != entry->share || !name_equal(making->path, entry->path)))
        making = making->next;
    return making;
}

static void making_end(struct node_making *making) {
    *making->link = making->next;
    if (making->next != NULL)
        making->next->link = making->link;
    making->path = NULL;
    queue_wake(&making->queue);
}

void node_make(struct nodes *nodes, struct node_making *making, const void *share, const char *path) {
    uint32_t hash = name_hash(path);
    struct node_making **first = &nodes->makings[hash % NODE_BUCKETS];

    assert(making->path == NULL);
    pthread_mutex_lock(&nodes->mutex);
    *making = (struct node_making){.next = *first, .link = first, .share = share, .path = path, .hash = hash};
    if (*first != NULL)
        (*first)->link = &making->next;
    *first = making;
    pthread_mutex_unlock(&nodes->mutex);
}

void node_make_end(struct nodes *nodes, struct node_making *making) {
    if (making->path == NULL)
        return;
    pthread_mutex_lock(&nodes->mutex);
    making_end(making);
    pthread_mutex_unlock(&nodes->mutex);
}

/* Whoever only found the file waits for its maker to come to it. */
static uint32_t maker_first(struct nodes *nodes, const struct node_entry *entry, struct node_queue *queue) {
    struct node_making *making = entry->making != NULL || entry->path == NULL ? NULL : making_find(nodes, entry);

    if (making != NULL)
        queue_join(&making->queue, queue);
    return making != NULL ? STATUS_PENDING : STATUS_SUCCESS;
}

static uint32_t seat_join(struct nodes *nodes, struct node *node, struct node_seat *seat, const struct node_entry *entry,
                          struct node_queue *queue) {
    uint32_t status = maker_first(nodes, entry, queue);

    if (status == STATUS_SUCCESS)
        status = seat_admit(nodes, node, seat, queue);
    if (status == STATUS_SUCCESS && entry->removals != node_removals(nodes))
        status = STATUS_RETRY;
    return status == STATUS_SUCCESS ? seat_take(node, seat, entry, queue) : status;
}

uint32_t node_join(struct nodes *nodes, struct node_seat *seat, const struct node_entry *entry,
                   struct node_queue *queue) {
    struct node *node;
    uint32_t access = seat->access, status = STATUS_INSUFFICIENT_RESOURCES;

    assert(seat->node == NULL && seat->loop != NULL);
    pthread_mutex_lock(&nodes->mutex);
    seat->access |= entry->overwrites ? FILE_WRITE_DATA : 0; /* emptying a file takes part in sharing as writing does */
    node = node_of(nodes, entry->id, stream_hash(entry->stream));
    if (node != NULL && node->path == NULL && entry->path != NULL) {
        node->share = entry->share;
        node->path = strdup(entry->path);
    }
    if (node != NULL) {
        status = seat_join(nodes, node, seat, entry, queue);
        node_drop_unused(nodes, node);
    }
    seat->access = access;
    if (entry->making != NULL && entry->making->path != NULL && status != STATUS_RETRY)
        making_end(entry->making);
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

bool node_take_queue(struct nodes *nodes, struct node_queue *queue) {
    bool waits;

    pthread_mutex_lock(&nodes->mutex);
    waits = queue->queue != NULL;
    if (waits) {
        struct node_queue **at = queue->queue;

        while (*at != queue)
            at = &(*at)->next;
        *at = queue->next;
        queue->queue = NULL;
    }
    pthread_mutex_unlock(&nodes->mutex);
    return waits;
}

enum oplock_level node_oplock(struct nodes *nodes, const struct node_seat *seat) {
    enum oplock_level level;

    pthread_mutex_lock(&nodes->mutex);
    level = seat->oplock;
    pthread_mutex_unlock(&nodes->mutex);
    return level;
}

bool node_is_noticed(struct nodes *nodes, const struct node_seat *seat) {
    bool is_noticed;

    pthread_mutex_lock(&nodes->mutex);
    is_noticed = seat->is_noticed;
    pthread_mutex_unlock(&nodes->mutex);
    return is_noticed;
}

struct node_notice node_take_notice(struct nodes *nodes, struct node_seat *seat) {
    struct node_notice notice;

    pthread_mutex_lock(&nodes->mutex);
    notice = (struct node_notice){.has_left = seat->node == NULL, .is_broken = seat->is_broken, .level = seat->broken_to,
                                  .wants_answer = seat->is_broken && is_breaking(seat)};
    notice.is_deleted = !notice.has_left && seat->heeds_deletion && seat->node->delete_pending;
    seat->is_noticed = seat->is_broken = false;
    pthread_mutex_unlock(&nodes->mutex);
    return notice;
}

void node_heed_deletion(struct nodes *nodes, struct node_seat *seat) {
    pthread_mutex_lock(&nodes->mutex);
    seat->heeds_deletion = true;
    pthread_mutex_unlock(&nodes->mutex);
}

static void node_doom(struct node *node) {
    node->delete_pending = true;
    for (struct node_seat *seat = node->seats; seat != NULL; seat = seat->next)
        if (seat->heeds_deletion)
            seat_notice(seat);
}

static void seat_settle(struct node_seat *seat, enum oplock_level level) {
    seat->oplock = seat->broken_to = level;
    queue_wake(&seat->node->queue);
}

uint32_t node_acknowledge(struct nodes *nodes, struct node_seat *seat, enum oplock_level level,
                          enum oplock_level *left) {
    uint32_t status;

    pthread_mutex_lock(&nodes->mutex);
    status = seat->was_shared ? STATUS_INVALID_OPLOCK_PROTOCOL : STATUS_INVALID_DEVICE_STATE;
    if (is_breaking(seat)) {
        status = oplock_acknowledged(seat->oplock, level, left);
        if (*left > seat->broken_to)
            *left = seat->broken_to;
        seat_settle(seat, *left);
    }
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

void node_expire(struct nodes *nodes, struct node_seat *seat) {
    pthread_mutex_lock(&nodes->mutex);
    if (is_breaking(seat))
        seat_settle(seat, OPLOCK_LEVEL_NONE);
    pthread_mutex_unlock(&nodes->mutex);
}

/* ---- the time of writing ---- */

static bool written_show(struct nodes *nodes, struct node *node) {
    bool was_fixed = node->is_late && node->written_until_ms == UINT64_MAX;

    atomic_fetch_sub(&nodes->late, node->is_late);
    node->is_late = false;
    return was_fixed;
}

/* The first write delays it, the first one after that fixes it. */
uint64_t node_hide_written(struct nodes *nodes, struct node_seat *seat, struct timespec written, uint64_t now_ms) {
    struct node *node = seat->node;
    uint64_t until_ms;

    pthread_mutex_lock(&nodes->mutex);
    seat->hides_written = true;
    if (!node->is_late || now_ms >= node->written_until_ms) {
        node->written_until_ms = node->is_late ? UINT64_MAX : now_ms + NODE_WRITTEN_DELAY_MS;
        node->written = written;
        atomic_fetch_add(&nodes->late, !node->is_late);
        node->is_late = true;
    }
    until_ms = node->written_until_ms;
    pthread_mutex_unlock(&nodes->mutex);
    return until_ms;
}

bool node_show_written(struct nodes *nodes, struct node_seat *seat) {
    bool was_fixed;

    pthread_mutex_lock(&nodes->mutex);
    was_fixed = written_show(nodes, seat->node);
    pthread_mutex_unlock(&nodes->mutex);
    return was_fixed;
}

void node_written(struct nodes *nodes, struct store_attributes *attributes, uint64_t now_ms) {
    const struct node *node;

    if (atomic_load(&nodes->late) == 0)
        return;
    pthread_mutex_lock(&nodes->mutex);
    node = node_find(nodes, attributes->id, 0);
    if (node != NULL && node->is_late && now_ms < node->written_until_ms)
        attributes->written = node->written;
    pthread_mutex_unlock(&nodes->mutex);
}

void node_break_shared(struct nodes *nodes, struct node_seat *seat) {
    pthread_mutex_lock(&nodes->mutex);
    shared_break(seat->node);
    pthread_mutex_unlock(&nodes->mutex);
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
    shared_break(seat->node);
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

static struct lock **lock_place(struct node_seat *seat, const struct node_range *range, bool exclusive) {
    struct lock **at = &seat->node->locks;

    while (*at != NULL && ((*at)->seat != seat || (*at)->range.offset != range->offset ||
                           (*at)->range.length != range->length || (*at)->range.exclusive != exclusive))
        at = &(*at)->next;
    return at;
}

/* Of several locks of the same range an exclusive one goes first. */
static uint32_t lock_remove(struct node_seat *seat, const struct node_range *range) {
    struct lock **at = lock_place(seat, range, true), *lock;

    if (*at == NULL)
        at = lock_place(seat, range, false);
    lock = *at;
    if (lock == NULL)
        return STATUS_RANGE_NOT_LOCKED;
    *at = lock->next;
    free(lock);
    seat->locks--;
    return STATUS_SUCCESS;
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
    if (write && status == STATUS_SUCCESS)
        shared_break(seat->node);
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

/* What goes with a seat that has left: the file, where nobody has that or a stream of it open any more, or its stream. */
static struct node *node_going(struct nodes *nodes, struct node *node, const struct node_seat *seat) {
    struct node *whole = node->stream != 0 ? node_find(nodes, node->id, 0) : node;
    bool has_whole = (whole != NULL && whole->seats != NULL) || has_streams_open(nodes, node->id);

    if (whole != NULL && whole->delete_pending && !has_whole)
        return whole;
    if (seat->unmakes && seat->unmakes_whole)
        return has_whole ? NULL : node_of(nodes, node->id, 0);
    return node->stream != 0 && node->seats == NULL && (node->delete_pending || seat->unmakes) ? node : NULL;
}

bool node_leave(struct nodes *nodes, struct node_seat *seat) {
    struct node *node = seat->node;

    if (node == NULL)
        return false;
    pthread_mutex_lock(&nodes->mutex);
    locks_drop(node, seat);
    seat_unlink(node, seat);
    seat->node = NULL;
    if (seat->hides_written || node->seats == NULL)
        written_show(nodes, node);
    if (seat->delete_on_close)
        node_doom(node);
    waits_grant(node);
    queue_wake(&node->queue);
    seat->going = node_going(nodes, node, seat);
    if (seat->going != NULL) {
        seat->going->removers++;
        seat->removes_whole = seat->going->stream == 0;
    }
    node_drop_unused(nodes, node);
    pthread_mutex_unlock(&nodes->mutex);
    return seat->going != NULL;
}

/* Whoever opened it by its name before now, and joins after, finds that something was removed. */
void node_removed(struct nodes *nodes, struct node_seat *seat) {
    pthread_mutex_lock(&nodes->mutex);
    atomic_fetch_add(&nodes->removals, 1);
    seat->going->removers--;
    queue_wake(&seat->going->queue);
    node_drop_unused(nodes, seat->going);
    seat->going = NULL;
    pthread_mutex_unlock(&nodes->mutex);
}

/* Without memory what was made stays. */
void node_unmake(struct nodes *nodes, struct node_seat *seat, const struct node_entry *entry, bool whole) {
    pthread_mutex_lock(&nodes->mutex);
    if (seat->node == NULL) {
        struct node *node = node_of(nodes, entry->id, stream_hash(entry->stream));

        seat->access = 0; /* it is in nobody's way */
        if (node != NULL)
            seat_link(node, seat);
    }
    seat->unmakes = true;
    seat->unmakes_whole = whole;
    pthread_mutex_unlock(&nodes->mutex);
}

/* ---- renaming ---- */

/* What follows of the path below the folder, without regard to case; NULL: it is not below. */
static const char *path_below(const char *folder, const char *path) {
    struct reader left = reader_over(text_span(folder)), right = reader_over(text_span(path));

    while (reader_left(&left) > 0) {
        uint32_t a = text_take_utf8(&left), b = text_take_utf8(&right);

        if (left.failed || right.failed || (a != b && (a > 0xffff || b > 0xffff ||
                                                       text_upper((uint16_t)a) != text_upper((uint16_t)b))))
            return NULL;
    }
    if (*folder == '\0')
        return path;
    return path[right.at] == '/' ? path + right.at + 1 : NULL;
}

static bool is_parent(const char *folder, const char *path) {
    const char *below = path_below(folder, path);

    return below != NULL && *below != '\0' && strchr(below, '/') == NULL;
}

static bool has_deleter(const struct node *node) {
    for (const struct node_seat *seat = node->seats; seat != NULL; seat = seat->next)
        if ((seat->access & ACCESS_DELETE) != 0)
            return true;
    return false;
}

static uint32_t rename_meets(const struct node *node, const struct node *other, const char *path, bool is_folder) {
    if (other->path == NULL || other->share != node->share || is_same_file(other, node->id) || other->seats == NULL)
        return STATUS_SUCCESS;
    if (!is_folder && is_parent(other->path, node->path) && has_deleter(other))
        return STATUS_SHARING_VIOLATION;
    if (name_equal(other->path, path) || (is_folder && path_below(node->path, other->path) != NULL))
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

uint32_t node_check_rename(struct nodes *nodes, const struct node_seat *seat, const char *path, bool is_folder) {
    uint32_t status = STATUS_SUCCESS;

    pthread_mutex_lock(&nodes->mutex);
    for (unsigned i = 0; i < NODE_BUCKETS && seat->node->path != NULL; i++)
        for (const struct node *other = nodes->buckets[i]; other != NULL && status == STATUS_SUCCESS; other = other->next)
            status = rename_meets(seat->node, other, path, is_folder);
    pthread_mutex_unlock(&nodes->mutex);
    return status;
}

void node_renamed(struct nodes *nodes, struct node_seat *seat, const char *path, const char *stream) {
    struct node *node = seat->node;

    pthread_mutex_lock(&nodes->mutex);
    if (*stream != '\0' && node_find(nodes, node->id, stream_hash(stream)) == NULL)
        node->stream = stream_hash(stream);
    for (struct node *each = *bucket_of(nodes, node->id); each != NULL && *path != '\0'; each = each->next)
        if (is_same_file(each, node->id)) {
            free(each->path);
            each->path = strdup(path);
        }
    pthread_mutex_unlock(&nodes->mutex);
}

void node_set_delete(struct nodes *nodes, struct node_seat *seat, bool pending) {
    pthread_mutex_lock(&nodes->mutex);
    seat->node->delete_pending = false;
    if (pending)
        node_doom(seat->node);
    pthread_mutex_unlock(&nodes->mutex);
}

bool node_is_delete_pending(struct nodes *nodes, struct node_seat *seat) {
    bool pending;

    pthread_mutex_lock(&nodes->mutex);
    pending = seat->node->delete_pending;
    pthread_mutex_unlock(&nodes->mutex);
    return pending;
}
