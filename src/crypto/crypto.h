/* The cryptography that [MS-SMB2] needs, and nothing of the library behind it.
 *
 * Whatever is used more than once is a handle: `..._new` allocates one and keys it, `..._free`
 * wipes and frees it (NULL is fine). The core allocates nothing, so it receives its handles from
 * the caller. A handle keeps one keyed context that each use starts anew, which on small messages
 * is three to six times as fast as keying again; for that reason a handle belongs to one thread at
 * a time. There is no state beside the handles.
 *
 * Functions that return bool return false where the library underneath failed (no memory, an
 * algorithm that the system's policy forbids, no randomness) or where an argument exceeds a limit
 * that is documented with it. A caller treats false as fatal to the connection: a signature that
 * could not be computed is not a signature that matches. Pointers that must not be NULL, and sizes
 * that the caller fixed, are asserted.
 *
 * Messages come as lists of spans, so that a header with its signature zeroed can stand in front of
 * the rest of a message that is not to be copied. */
#ifndef SMBPROOF_CRYPTO_CRYPTO_H
#define SMBPROOF_CRYPTO_CRYPTO_H

#include "wire/bytes.h"

#define SHA512_SIZE      64u /* octets, as all sizes here */
#define HMAC_SHA256_SIZE 32u
#define MD5_SIZE         16u
#define MAC_TAG_SIZE     16u /* HMAC-SHA256 is cut to it ([MS-SMB2] 3.1.4.1) */
#define MAC_NONCE_SIZE   12u /* AES-GMAC only */
#define AEAD_TAG_SIZE    16u
#define AEAD_NONCE_MAX   12u
#define AEAD_KEY_MAX     32u

/* The most octets in one call of a MAC or an AEAD key: those of the longest frame, whose length
 * field has 24 bits
 * ([MS-SMB2] 2.1). */
#define CRYPTO_MESSAGE_MAX 0x1000000u
/* The most octets that one key derivation yields: [MS-SMB2] 3.1.4.2 asks for 16 or 32. */
#define KEY_DERIVED_MAX 64u

/* SHA-512, piece by piece. After sha512_finish() the handle starts again with an empty message. */
struct sha512;
struct sha512 *sha512_new(void);
void sha512_free(struct sha512 *hash);
bool sha512_update(struct sha512 *hash, struct span bytes);
bool sha512_finish(struct sha512 *hash, uint8_t digest[SHA512_SIZE]);

/* The same in one go, over the spans one after the other. `digest` may lie within them. */
bool hash_sha512(const struct span *spans, size_t count, uint8_t digest[SHA512_SIZE]);

bool hmac_sha256(struct span key, const struct span *spans, size_t count,
                 uint8_t tag[HMAC_SHA256_SIZE]);

/* What NTLM is made of ([MS-NLMP] 6). A system whose policy forbids MD5 makes both fail. */
bool hash_md5(const struct span *spans, size_t count, uint8_t digest[MD5_SIZE]);
bool hmac_md5(struct span key, const struct span *spans, size_t count, uint8_t tag[MD5_SIZE]);

/* SP 800-108 in counter mode with HMAC-SHA256 and 32-bit counter and length, as [MS-SMB2] 3.1.4.2
 * has it. The zero octet that separates label and context is added here; a label that ends in a
 * zero of its own brings it along. Fails where the key is empty, or `size` is 0 or more than
 * KEY_DERIVED_MAX. */
bool key_derive(struct span key, struct span label, struct span context, uint8_t *out, size_t size);

/* Numbered as in SMB2_SIGNING_CAPABILITIES ([MS-SMB2] 2.2.3.1.7). */
enum mac_algorithm {
    MAC_HMAC_SHA256 = 0,
    MAC_AES_CMAC = 1, /* RFC 4493 */
    MAC_AES_GMAC = 2, /* RFC 4543: AES-GCM without plaintext */
};

struct mac_key;
/* NULL where the algorithm is none of the three, where the key's size is not 16 (AES) or is 0, or
 * on failure. */
struct mac_key *mac_key_new(enum mac_algorithm algorithm, struct span key);
void mac_key_free(struct mac_key *key);
enum mac_algorithm mac_key_algorithm(const struct mac_key *key);
/* The tag over the spans one after the other, at most CRYPTO_MESSAGE_MAX octets in all. AES-GMAC
 * needs a nonce, and must never see the same one with two messages; the others ignore it. */
bool mac_key_compute(struct mac_key *key, const uint8_t nonce[MAC_NONCE_SIZE],
                     const struct span *spans, size_t count, uint8_t tag[MAC_TAG_SIZE]);

/* One of several messages under one key: what mac_key_compute() takes, and the tag that it yields. */
struct mac_job {
    const uint8_t *nonce;
    const struct span *spans;
    size_t count;
    uint8_t tag[MAC_TAG_SIZE];
};

/* Several messages together. False, and no tag is of use: one of them failed. */
bool mac_key_compute_many(struct mac_key *key, struct mac_job *jobs, size_t count);
/* How many messages take about as long as one when they are computed together: 1, where nothing is gained, or more. */
size_t mac_key_lanes(const struct mac_key *key);

/* Numbered as in SMB2_ENCRYPTION_CAPABILITIES ([MS-SMB2] 2.2.3.1.2). */
enum aead_algorithm {
    AEAD_AES_128_CCM = 1,
    AEAD_AES_128_GCM = 2,
    AEAD_AES_256_CCM = 3,
    AEAD_AES_256_GCM = 4,
};

/* Each key of a session goes one way, so a handle either seals or opens. */
enum aead_use { AEAD_SEAL, AEAD_OPEN };

/* 16 or 32; 0 where the algorithm is none of the four. */
size_t aead_key_size(enum aead_algorithm algorithm);
/* 11 for CCM, 12 for GCM; 0 where the algorithm is none of the four. */
size_t aead_nonce_size(enum aead_algorithm algorithm);

struct aead_key;
/* NULL where the algorithm is none of the four, where the key's size is not the algorithm's, or on
 * failure. */
struct aead_key *aead_key_new(enum aead_algorithm algorithm, enum aead_use use, struct span key);
void aead_key_free(struct aead_key *key);
enum aead_algorithm aead_key_algorithm(const struct aead_key *key);
/* Encrypts `plain` into `cipher`, which has room for as many octets and is either the same place or
 * does not overlap. `nonce` has aead_nonce_size() octets and is used once in the life of the key.
 * Between 1 and CRYPTO_MESSAGE_MAX octets; else, and on failure, false. */
bool aead_key_seal(struct aead_key *key, const uint8_t *nonce, struct span additional,
                   struct span plain, uint8_t *cipher, uint8_t tag[AEAD_TAG_SIZE]);
/* The way back. False where the tag does not match too; then nothing of the plaintext is left in
 * `plain`. */
bool aead_key_open(struct aead_key *key, const uint8_t *nonce, struct span additional,
                   struct span cipher, const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plain);

/* Fills `out` with octets fit for keys, nonces and salts; on false nothing of it may be used. */
bool crypto_random(uint8_t *out, size_t size);
/* Compares in a time that depends on `size` alone. */
bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t size);
/* Zeroes, and is not optimised away. `out` may be NULL where size is 0. */
void crypto_wipe(void *out, size_t size);

/* Computes the published vector of each MAC twice on one handle: a library whose contexts cannot be
 * started anew (OpenSSL before 3.0.3) gives the second tag wrong. To be called once when the
 * program starts. */
bool crypto_self_test(void);

#endif
