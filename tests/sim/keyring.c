#include "keyring.h"

#include <assert.h>
#include <string.h>

#include "core/sign.h"

enum { KIND_FREE, KIND_MAC, KIND_SEAL, KIND_OPEN };

static void place_empty(struct keyring_place *place) {
    if (place->kind == KIND_MAC)
        mac_key_free(place->handle);
    else if (place->kind != KIND_FREE)
        aead_key_free(place->handle);
    memset(place, 0, sizeof *place);
}

static void *handle_new(int kind, int algorithm, struct span key) {
    if (kind == KIND_MAC)
        return mac_key_new((enum mac_algorithm)algorithm, key);
    return aead_key_new((enum aead_algorithm)algorithm, kind == KIND_SEAL ? AEAD_SEAL : AEAD_OPEN, key);
}

static bool place_is(const struct keyring_place *place, int kind, int algorithm, struct span key) {
    return place->kind == kind && place->algorithm == algorithm && place->size == key.size &&
           memcmp(place->key, key.data, key.size) == 0;
}

/* The place of this key, or else the one that was not asked for longest. */
static struct keyring_place *place_find(struct keyring *ring, int kind, int algorithm, struct span key) {
    struct keyring_place *oldest = &ring->places[0];
    for (unsigned i = 0; i < KEYRING_PLACES; i++) {
        if (place_is(&ring->places[i], kind, algorithm, key))
            return &ring->places[i];
        if (ring->places[i].used < oldest->used)
            oldest = &ring->places[i];
    }
    return oldest;
}

static void *find(struct keyring *ring, int kind, int algorithm, struct span key) {
    struct keyring_place *place = place_find(ring, kind, algorithm, key);
    if (!place_is(place, kind, algorithm, key)) {
        void *handle = handle_new(kind, algorithm, key);
        if (handle == NULL)
            return NULL;
        place_empty(place);
        *place = (struct keyring_place){.kind = kind, .algorithm = algorithm, .size = key.size, .handle = handle};
        memcpy(place->key, key.data, key.size);
    }
    place->used = ++ring->questions;
    return place->handle;
}

struct mac_key *keyring_mac(struct keyring *ring, const struct negotiation_agreed *agreed,
                            const struct session_keys *keys) {
    enum mac_algorithm algorithm;
    bool known = signing_algorithm_find(agreed->dialect, agreed->signing_algorithm, &algorithm);
    assert(known);
    return find(ring, KIND_MAC, algorithm, (struct span){keys->signing, SESSION_KEY_SIZE});
}

struct aead_key *keyring_seal(struct keyring *ring, uint16_t cipher, const uint8_t *key, size_t size) {
    return size == 0 ? NULL : find(ring, KIND_SEAL, cipher, (struct span){key, size});
}

struct aead_key *keyring_open(struct keyring *ring, uint16_t cipher, const uint8_t *key, size_t size) {
    return size == 0 ? NULL : find(ring, KIND_OPEN, cipher, (struct span){key, size});
}

void keyring_empty(struct keyring *ring) {
    for (unsigned i = 0; i < KEYRING_PLACES; i++)
        place_empty(&ring->places[i]);
}
