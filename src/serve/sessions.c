#include "serve/sessions.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

enum { BUCKETS = 1024 };

struct entry {
    struct entry *next;
    struct session_record record;
};

struct sessions {
    pthread_mutex_t mutex;
    struct entry *buckets[BUCKETS];
};

struct sessions *sessions_new(void) {
    struct sessions *sessions = calloc(1, sizeof *sessions);

    if (sessions != NULL)
        pthread_mutex_init(&sessions->mutex, NULL);
    return sessions;
}

void sessions_free(struct sessions *sessions) {
    if (sessions == NULL)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        assert(sessions->buckets[i] == NULL);
    pthread_mutex_destroy(&sessions->mutex);
    free(sessions);
}

/* Ids count in their low 16 bits the sessions of a connection, and in those above the connections. */
static struct entry **place_of(struct sessions *sessions, uint64_t id) {
    struct entry **at = &sessions->buckets[((id >> 16) ^ id) % BUCKETS];

    while (*at != NULL && (*at)->record.id != id)
        at = &(*at)->next;
    return at;
}

bool sessions_add(struct sessions *sessions, const struct session_record *record) {
    struct entry *entry = malloc(sizeof *entry);
    struct entry **at;

    if (entry == NULL)
        return false;
    entry->next = NULL;
    entry->record = *record;
    pthread_mutex_lock(&sessions->mutex);
    at = place_of(sessions, record->id);
    assert(*at == NULL);
    *at = entry;
    pthread_mutex_unlock(&sessions->mutex);
    return true;
}

void sessions_rename(struct sessions *sessions, uint64_t id, const char *user) {
    struct entry *entry;

    assert(strlen(user) < AUTH_NAME_MAX);
    pthread_mutex_lock(&sessions->mutex);
    entry = *place_of(sessions, id);
    if (entry != NULL)
        strcpy(entry->record.user, user);
    pthread_mutex_unlock(&sessions->mutex);
}

void sessions_remove(struct sessions *sessions, uint64_t id) {
    struct entry **at, *entry;

    pthread_mutex_lock(&sessions->mutex);
    at = place_of(sessions, id);
    entry = *at;
    if (entry != NULL)
        *at = entry->next;
    pthread_mutex_unlock(&sessions->mutex);
    if (entry == NULL)
        return;
    crypto_wipe(entry, sizeof *entry);
    free(entry);
}

bool sessions_find(struct sessions *sessions, uint64_t id, struct session_record *record) {
    const struct entry *entry;

    pthread_mutex_lock(&sessions->mutex);
    entry = *place_of(sessions, id);
    if (entry != NULL)
        *record = entry->record;
    pthread_mutex_unlock(&sessions->mutex);
    return entry != NULL;
}
