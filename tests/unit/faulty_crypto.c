#include "faulty_crypto.h"

#include "crypto/crypto.h"

/* The real ones: crypto/openssl.c, compiled with these names (see meson.build). */
bool real_hash_sha512(const struct span *spans, size_t count, uint8_t digest[SHA512_SIZE]);
bool real_key_derive(struct span key, struct span label, struct span context, uint8_t *out, size_t size);
struct mac_key *real_mac_key_new(enum mac_algorithm algorithm, struct span key);
bool real_mac_key_compute(struct mac_key *key, const uint8_t nonce[MAC_NONCE_SIZE], const struct span *spans,
                          size_t count, uint8_t tag[MAC_TAG_SIZE]);
bool real_mac_key_compute_many(struct mac_key *key, struct mac_job *jobs, size_t count);
struct aead_key *real_aead_key_new(enum aead_algorithm algorithm, enum aead_use use, struct span key);
bool real_aead_key_seal(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span plain,
                        uint8_t *cipher, uint8_t tag[AEAD_TAG_SIZE]);
bool real_aead_key_open(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span cipher,
                        const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plain);

static struct {
    unsigned left; /* calls until the one that fails; 0: none will */
    bool paused, failed;
} fault;

void faulty_crypto_arm(unsigned nth) {
    fault.left = nth;
    fault.failed = false;
}

void faulty_crypto_pause(bool paused) {
    fault.paused = paused;
}

bool faulty_crypto_failed(void) {
    return fault.failed;
}

static bool fails_now(void) {
    if (fault.paused || fault.left == 0 || --fault.left > 0)
        return false;
    fault.failed = true;
    return true;
}

bool hash_sha512(const struct span *spans, size_t count, uint8_t digest[SHA512_SIZE]) {
    return !fails_now() && real_hash_sha512(spans, count, digest);
}

bool key_derive(struct span key, struct span label, struct span context, uint8_t *out, size_t size) {
    return !fails_now() && real_key_derive(key, label, context, out, size);
}

struct mac_key *mac_key_new(enum mac_algorithm algorithm, struct span key) {
    return fails_now() ? NULL : real_mac_key_new(algorithm, key);
}

bool mac_key_compute(struct mac_key *key, const uint8_t nonce[MAC_NONCE_SIZE], const struct span *spans, size_t count,
                     uint8_t tag[MAC_TAG_SIZE]) {
    return !fails_now() && real_mac_key_compute(key, nonce, spans, count, tag);
}

bool mac_key_compute_many(struct mac_key *key, struct mac_job *jobs, size_t count) {
    return !fails_now() && real_mac_key_compute_many(key, jobs, count);
}

struct aead_key *aead_key_new(enum aead_algorithm algorithm, enum aead_use use, struct span key) {
    return fails_now() ? NULL : real_aead_key_new(algorithm, use, key);
}

bool aead_key_seal(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span plain,
                   uint8_t *cipher, uint8_t tag[AEAD_TAG_SIZE]) {
    return !fails_now() && real_aead_key_seal(key, nonce, additional, plain, cipher, tag);
}

bool aead_key_open(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span cipher,
                   const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plain) {
    return !fails_now() && real_aead_key_open(key, nonce, additional, cipher, tag, plain);
}
