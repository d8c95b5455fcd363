#include "serve/clients.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

enum { BUCKETS = 1024 };

struct client {
    struct client *next;
    uint8_t guid[CLIENT_GUID_SIZE];
    uint16_t dialect;
    uint32_t connections;
};

struct clients {
    pthread_mutex_t mutex;
    uint32_t seed;
    struct client *buckets[BUCKETS];
};

struct clients *clients_new(void) {
    struct clients *clients = calloc(1, sizeof *clients);

    if (clients == NULL || !crypto_random((uint8_t *)&clients->seed, sizeof clients->seed)) {
        free(clients);
        return NULL;
    }
    pthread_mutex_init(&clients->mutex, NULL);
    return clients;
}

void clients_free(struct clients *clients) {
    if (clients == NULL)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        assert(clients->buckets[i] == NULL);
    pthread_mutex_destroy(&clients->mutex);
    free(clients);
}

/* FNV-1a from a random start, since clients choose what they are called. */
static struct client **place_of(struct clients *clients, const uint8_t guid[CLIENT_GUID_SIZE]) {
    uint32_t hash = clients->seed;
    struct client **at;

    for (unsigned i = 0; i < CLIENT_GUID_SIZE; i++)
        hash = (hash ^ guid[i]) * 16777619u;
    at = &clients->buckets[hash % BUCKETS];
    while (*at != NULL && memcmp((*at)->guid, guid, CLIENT_GUID_SIZE) != 0)
        at = &(*at)->next;
    return at;
}

static enum clients_answer enter(struct client **place, const uint8_t guid[CLIENT_GUID_SIZE], uint16_t dialect) {
    if (*place == NULL && (*place = calloc(1, sizeof **place)) != NULL) {
        memcpy((*place)->guid, guid, CLIENT_GUID_SIZE);
        (*place)->dialect = dialect;
    }
    if (*place == NULL)
        return CLIENTS_MEMORY;
    if ((*place)->dialect != dialect)
        return CLIENTS_DIFFERENT;
    (*place)->connections++;
    return CLIENTS_ENTERED;
}

enum clients_answer clients_enter(struct clients *clients, const uint8_t guid[CLIENT_GUID_SIZE], uint16_t dialect) {
    enum clients_answer answer;

    pthread_mutex_lock(&clients->mutex);
    answer = enter(place_of(clients, guid), guid, dialect);
    pthread_mutex_unlock(&clients->mutex);
    return answer;
}

void clients_leave(struct clients *clients, const uint8_t guid[CLIENT_GUID_SIZE]) {
    struct client **place, *client;

    pthread_mutex_lock(&clients->mutex);
    place = place_of(clients, guid);
    client = *place;
    assert(client != NULL && client->connections > 0);
    if (--client->connections == 0)
        *place = client->next;
    else
        client = NULL;
    pthread_mutex_unlock(&clients->mutex);
    free(client);
}
