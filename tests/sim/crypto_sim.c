/* The functions of crypto.h that the core and its shells call, around those of openssl.c: each counts itself, and fails
 * where it is told to. Where a hundred thousand connections make the library look for the same algorithms again and
 * again, ways around that are taken which yield the same octets: ciphers are looked for once, SHA-512 and the key
 * derivation use the library's plain functions, and derivations are remembered. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#define CIPHERS_MAX 8u

struct known_cipher {
    char name[24];
    EVP_CIPHER *cipher;
};

static EVP_CIPHER *cipher_find(const char *name) {
    static struct known_cipher known[CIPHERS_MAX];
    static unsigned count;
    unsigned i = 0;
    while (i < count && strcmp(known[i].name, name) != 0)
        i++;
    if (i == CIPHERS_MAX || strlen(name) >= sizeof known[i].name)
        return EVP_CIPHER_fetch(NULL, name, NULL);
    if (i == count) {
        strcpy(known[count].name, name);
        known[count++].cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    }
    EVP_CIPHER_up_ref(known[i].cipher);
    return known[i].cipher;
}

#define EVP_CIPHER_fetch(library, name, properties) cipher_find(name)
#define hash_sha512                                 real_hash_sha512
#define key_derive                                  real_key_derive
#define mac_key_new                                 real_mac_key_new
#define mac_key_compute                             real_mac_key_compute
#define mac_key_compute_many                        real_mac_key_compute_many
#define aead_key_new                                real_aead_key_new
#define aead_key_seal                               real_aead_key_seal
#define aead_key_open                               real_aead_key_open
#include "crypto/cmac_lanes.c"
#include "crypto/openssl.c"
#undef EVP_CIPHER_fetch
#undef hash_sha512
#undef key_derive
#undef mac_key_new
#undef mac_key_compute
#undef mac_key_compute_many
#undef aead_key_new
#undef aead_key_seal
#undef aead_key_open

#include "crypto_sim.h"

bool hash_sha512(const struct span *spans, size_t count, uint8_t digest[SHA512_SIZE]);
bool key_derive(struct span key, struct span label, struct span context, uint8_t *out, size_t size);
struct mac_key *mac_key_new(enum mac_algorithm algorithm, struct span key);
bool mac_key_compute(struct mac_key *key, const uint8_t nonce[MAC_NONCE_SIZE], const struct span *spans, size_t count,
                     uint8_t tag[MAC_TAG_SIZE]);
bool mac_key_compute_many(struct mac_key *key, struct mac_job *jobs, size_t count);
struct aead_key *aead_key_new(enum aead_algorithm algorithm, enum aead_use use, struct span key);
bool aead_key_seal(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span plain,
                   uint8_t *cipher, uint8_t tag[AEAD_TAG_SIZE]);
bool aead_key_open(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span cipher,
                   const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plain);

static uint64_t calls, fails_at;

void crypto_sim_fail_at(uint64_t call) {
    calls = 0;
    fails_at = call;
}

uint64_t crypto_sim_calls(void) {
    return calls;
}

static bool fails(void) {
    return ++calls == fails_at;
}

/* ---- key derivations that were made before ---- */

#define MEMORY_PLACES 16u
#define MEMORY_INPUT  192u /* octets of key, label and context */

struct memory {
    size_t input_size, size;
    uint8_t input[MEMORY_INPUT];
    uint8_t out[KEY_DERIVED_MAX];
};

static struct memory memories[MEMORY_PLACES];
static unsigned memories_next;

static size_t input_of(struct span key, struct span label, struct span context, uint8_t input[MEMORY_INPUT]) {
    struct writer writer = writer_over(input, MEMORY_INPUT);
    writer_u8(&writer, (uint8_t)key.size);
    writer_u8(&writer, (uint8_t)label.size);
    writer_put(&writer, key);
    writer_put(&writer, label);
    writer_put(&writer, context);
    return writer_done(&writer).size;
}

/* HMAC-SHA256 of one block's length, with a key that is no longer than a block. */
static void hmac(struct span key, struct span message, uint8_t tag[SHA256_DIGEST_LENGTH]) {
    uint8_t pad[SHA256_CBLOCK], inner[SHA256_DIGEST_LENGTH];
    SHA256_CTX hash;
    assert(key.size <= sizeof pad);
    for (unsigned i = 0; i < sizeof pad; i++)
        pad[i] = (uint8_t)((i < key.size ? key.data[i] : 0) ^ 0x36);
    SHA256_Init(&hash);
    SHA256_Update(&hash, pad, sizeof pad);
    SHA256_Update(&hash, message.data, message.size);
    SHA256_Final(inner, &hash);
    for (unsigned i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&hash);
    SHA256_Update(&hash, pad, sizeof pad);
    SHA256_Update(&hash, inner, sizeof inner);
    SHA256_Final(tag, &hash);
}

/* SP 800-108 in counter mode, of one block: what [MS-SMB2] 3.1.4.2 asks for is never more. */
static bool derive(struct span key, struct span label, struct span context, uint8_t *out, size_t size) {
    uint8_t message[MEMORY_INPUT + 16], tag[SHA256_DIGEST_LENGTH];
    struct writer writer = writer_over(message, sizeof message);
    writer_u32_be(&writer, 1);
    writer_put(&writer, label);
    writer_u8(&writer, 0);
    writer_put(&writer, context);
    writer_u32_be(&writer, (uint32_t)(8 * size));
    if (writer.failed || key.size == 0 || key.size > SHA256_CBLOCK || size > sizeof tag)
        return real_key_derive(key, label, context, out, size);
    hmac(key, writer_done(&writer), tag);
    memcpy(out, tag, size);
    return true;
}

/* The plain way is right: it yields what the library does. */
static void derive_check(struct span key, struct span label, struct span context, const uint8_t *out, size_t size) {
    static bool checked;
    uint8_t wanted[KEY_DERIVED_MAX];
    if (checked)
        return;
    checked = true;
    bool good = real_key_derive(key, label, context, wanted, size);
    assert(good && memcmp(wanted, out, size) == 0);
}

bool key_derive(struct span key, struct span label, struct span context, uint8_t *out, size_t size) {
    uint8_t input[MEMORY_INPUT];
    size_t input_size = input_of(key, label, context, input);
    if (fails())
        return false;
    for (unsigned i = 0; i < MEMORY_PLACES && input_size > 0; i++)
        if (memories[i].input_size == input_size && memories[i].size == size &&
            memcmp(memories[i].input, input, input_size) == 0) {
            memcpy(out, memories[i].out, size);
            return true;
        }
    if (!derive(key, label, context, out, size))
        return false;
    derive_check(key, label, context, out, size);
    struct memory *memory = &memories[memories_next++ % MEMORY_PLACES];
    *memory = (struct memory){.input_size = input_size, .size = size};
    memcpy(memory->input, input, input_size);
    memcpy(memory->out, out, size);
    return true;
}

/* ---- the others ---- */

bool hash_sha512(const struct span *spans, size_t count, uint8_t digest[SHA512_SIZE]) {
    SHA512_CTX hash;
    if (fails())
        return false;
    SHA512_Init(&hash);
    for (size_t i = 0; i < count; i++)
        SHA512_Update(&hash, spans[i].data, spans[i].size);
    return SHA512_Final(digest, &hash) == 1;
}

struct mac_key *mac_key_new(enum mac_algorithm algorithm, struct span key) {
    return fails() ? NULL : real_mac_key_new(algorithm, key);
}

bool mac_key_compute(struct mac_key *key, const uint8_t nonce[MAC_NONCE_SIZE], const struct span *spans, size_t count,
                     uint8_t tag[MAC_TAG_SIZE]) {
    return !fails() && real_mac_key_compute(key, nonce, spans, count, tag);
}

bool mac_key_compute_many(struct mac_key *key, struct mac_job *jobs, size_t count) {
    return !fails() && real_mac_key_compute_many(key, jobs, count);
}

struct aead_key *aead_key_new(enum aead_algorithm algorithm, enum aead_use use, struct span key) {
    return fails() ? NULL : real_aead_key_new(algorithm, use, key);
}

bool aead_key_seal(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span plain,
                   uint8_t *cipher, uint8_t tag[AEAD_TAG_SIZE]) {
    return !fails() && real_aead_key_seal(key, nonce, additional, plain, cipher, tag);
}

bool aead_key_open(struct aead_key *key, const uint8_t *nonce, struct span additional, struct span cipher,
                   const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plain) {
    return !fails() && real_aead_key_open(key, nonce, additional, cipher, tag, plain);
}
