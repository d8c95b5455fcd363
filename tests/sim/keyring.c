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

static void *find(struct keyring *ring, int kind, int algorithm, struct span key) {
    for (unsigned i = 0; i < KEYRING_PLACES; i++) {
        const struct keyring_place *place = &ring->places[i];
        if (place->kind == kind && place->algorithm == algorithm && place->size == key.size &&
            memcmp(place->key, key.data, key.size) == 0)
            return place->handle;
    }
    struct keyring_place *place = &ring->places[ring->next];
    void *handle = handle_new(kind, algorithm, key);
    if (handle == NULL)
        return NULL;
    ring->next = (ring->next + 1) % KEYRING_PLACES;
    place_empty(place);
    *place = (struct keyring_place){.kind = kind, .algorithm = algorithm, .size = key.size, .handle = handle};
    memcpy(place->key, key.data, key.size);
    return handle;
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
