/* For tests: keyed handles by key, so that a hundred thousand sessions with the same key share their handles. One ring
 * may serve both ends, since a handle starts anew with each use. */
#ifndef SMBPROOF_TESTS_KEYRING_H
#define SMBPROOF_TESTS_KEYRING_H

#include "core/keys.h"
#include "core/negotiation.h"

/* Handles kept. One exchange needs six at most, and what was not asked for longest is given up first. */
#define KEYRING_PLACES 24u

struct keyring_place {
    int kind; /* 0 free */
    int algorithm;
    size_t size;
    uint64_t used; /* when it was asked for last, counted in questions */
    uint8_t key[AEAD_KEY_MAX];
    void *handle;
};

struct keyring {
    struct keyring_place places[KEYRING_PLACES];
    uint64_t questions;
};

/* NULL where the library failed. */
struct mac_key *keyring_mac(struct keyring *ring, const struct negotiation_agreed *agreed,
                            const struct session_keys *keys);
/* NULL where there is no cipher, too. */
struct aead_key *keyring_seal(struct keyring *ring, uint16_t cipher, const uint8_t *key, size_t size);
struct aead_key *keyring_open(struct keyring *ring, uint16_t cipher, const uint8_t *key, size_t size);
void keyring_empty(struct keyring *ring);

#endif
