#include "serve/edition.h"

#include <stdlib.h>
#include <string.h>

struct share *share_new(const char *name, struct store *store) {
    struct share *share = calloc(1, sizeof *share);
    char *copy = strdup(name);

    if (share == NULL || copy == NULL) {
        free(share);
        free(copy);
        return NULL;
    }
    share->name = copy;
    share->store = store;
    atomic_init(&share->holders, 1);
    return share;
}

struct share *share_hold(struct share *share) {
    atomic_fetch_add(&share->holders, 1);
    return share;
}

void share_release(struct share *share) {
    if (atomic_fetch_sub(&share->holders, 1) > 1)
        return;
    if (share->store != NULL)
        store_free(share->store);
    free((char *)(uintptr_t)share->name);
    free(share);
}

static struct edition *edition_new(struct host_config *config) {
    struct edition *edition = calloc(1, sizeof *edition);
    struct writer hint;

    if (edition == NULL)
        return NULL;
    hint = writer_over(edition->hint, sizeof edition->hint);
    if (!auth_hint_put(&config->acceptor, &hint)) {
        free(edition);
        return NULL;
    }
    edition->hint_size = hint.at;
    edition->config = config;
    return edition;
}

bool editions_init(struct editions *editions, struct host_config *first) {
    struct edition *edition = edition_new(first);

    if (edition == NULL || pthread_mutex_init(&editions->lock, NULL) != 0) {
        free(edition);
        return false;
    }
    editions->oldest = edition;
    atomic_init(&editions->current, edition);
    return true;
}

static bool has_share(const struct host_config *config, const struct share *share) {
    for (unsigned i = 0; i < config->share_count; i++)
        if (config->shares[i] == share)
            return true;
    return false;
}

/* Under the lock: takes out what nobody can use any more, the oldest first. */
static struct edition *take_unused(struct editions *editions) {
    struct edition *first = editions->oldest, **end = &editions->oldest;

    while (*end != editions->current && (*end)->holders == 0)
        end = &(*end)->next;
    if (end == &editions->oldest)
        return NULL;
    editions->oldest = *end;
    *end = NULL;
    return first;
}

/* Not under the lock, since a store may wait. */
static void free_list(struct edition *edition) {
    for (struct edition *next; edition != NULL; edition = next) {
        next = edition->next;
        edition->config->free(edition->config);
        free(edition);
    }
}

bool editions_replace(struct editions *editions, struct host_config *next) {
    struct edition *edition = edition_new(next), *before = editions->current, *unused;

    if (edition == NULL)
        return false;
    for (unsigned i = 0; i < before->config->share_count; i++)
        if (!has_share(next, before->config->shares[i]))
            atomic_store(&before->config->shares[i]->gone, true);
    pthread_mutex_lock(&editions->lock);
    before->next = edition;
    atomic_store(&editions->current, edition);
    unused = take_unused(editions);
    pthread_mutex_unlock(&editions->lock);
    free_list(unused);
    return true;
}

void editions_free(struct editions *editions) {
    free_list(editions->oldest);
    editions->oldest = NULL;
    pthread_mutex_destroy(&editions->lock);
}

struct edition *edition_hold(struct editions *editions) {
    struct edition *edition;

    pthread_mutex_lock(&editions->lock);
    edition = editions->current;
    edition->holders++;
    pthread_mutex_unlock(&editions->lock);
    return edition;
}

void edition_release(struct editions *editions, struct edition *edition) {
    struct edition *unused;

    pthread_mutex_lock(&editions->lock);
    edition->holders--;
    unused = take_unused(editions);
    pthread_mutex_unlock(&editions->lock);
    free_list(unused);
}

const struct host_config *edition_current(const struct editions *editions) {
    return atomic_load(&editions->current)->config;
}
