/* crypto.h over OpenSSL 3 libcrypto, 3.0.3 or later. The only file that includes <openssl/...>. */
#include "crypto/cmac_lanes.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

_Static_assert(CRYPTO_MESSAGE_MAX <= INT_MAX, "EVP_CIPHER counts octets in an int");

/* The octets in all spans, or SIZE_MAX where they are more than fit in one message. */
static size_t spans_size(const struct span *spans, size_t count) {
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        if (spans[i].size > CRYPTO_MESSAGE_MAX - size)
            return SIZE_MAX;
        size += spans[i].size;
    }
    return size;
}

/* OpenSSL takes a NULL pointer as "not given", which an empty span is not. */
static const uint8_t *span_pointer(struct span bytes) {
    static const uint8_t nothing[1];

    return bytes.data ? bytes.data : nothing;
}

/* ---- hash ---- */

struct sha512 {
    EVP_MD *digest;
    EVP_MD_CTX *context;
};

void sha512_free(struct sha512 *hash) {
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
    EVP_MD_free(hash->digest);
    OPENSSL_free(hash);
}

struct sha512 *sha512_new(void) {
    struct sha512 *hash = OPENSSL_zalloc(sizeof(*hash));

    if (!hash)
        return NULL;
    hash->digest = EVP_MD_fetch(NULL, "SHA2-512", NULL);
    hash->context = EVP_MD_CTX_new();
    if (!hash->digest || !hash->context ||
        EVP_DigestInit_ex2(hash->context, hash->digest, NULL) != 1) {
        sha512_free(hash);
        return NULL;
    }
    return hash;
}

bool sha512_update(struct sha512 *hash, struct span bytes) {
    assert(hash);
    return bytes.size == 0 || EVP_DigestUpdate(hash->context, bytes.data, bytes.size) == 1;
}

bool sha512_finish(struct sha512 *hash, uint8_t digest[SHA512_SIZE]) {
    assert(hash && digest);
    unsigned size = 0;
    bool finished = EVP_DigestFinal_ex(hash->context, digest, &size) == 1 && size == SHA512_SIZE;

    return EVP_DigestInit_ex2(hash->context, NULL, NULL) == 1 && finished;
}

bool hash_sha512(const struct span *spans, size_t count, uint8_t digest[SHA512_SIZE]) {
    struct sha512 *hash = sha512_new();
    bool good = hash != NULL;

    for (size_t i = 0; good && i < count; i++)
        good = sha512_update(hash, spans[i]);
    good = good && sha512_finish(hash, digest);
    sha512_free(hash);
    return good;
}

/* ---- EVP_MAC: HMAC ---- */

/* `parameter` and `value` name the digest or the cipher underneath. The context holds on to what
 * was fetched. */
static EVP_MAC_CTX *evp_mac_new(const char *name, const char *parameter, const char *value,
                                struct span key) {
    char chosen[16];
    OSSL_PARAM parameters[2];
    EVP_MAC *mac = EVP_MAC_fetch(NULL, name, NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;

    assert(strlen(value) < sizeof(chosen));
    memcpy(chosen, value, strlen(value) + 1);
    parameters[0] = OSSL_PARAM_construct_utf8_string(parameter, chosen, 0);
    parameters[1] = OSSL_PARAM_construct_end();
    EVP_MAC_free(mac);
    if (context && EVP_MAC_init(context, span_pointer(key), key.size, parameters) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

static EVP_MAC_CTX *hmac_context_new(struct span key) {
    return evp_mac_new("HMAC", OSSL_MAC_PARAM_DIGEST, "SHA2-256", key);
}

/* Feeds the spans to a context that is ready, and takes `expected` octets out of it. */
static bool evp_mac_run(EVP_MAC_CTX *context, const struct span *spans, size_t count, uint8_t *tag,
                        size_t expected) {
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        if (spans[i].size && EVP_MAC_update(context, spans[i].data, spans[i].size) != 1)
            return false;
    }
    return EVP_MAC_final(context, tag, &size, expected) == 1 && size == expected;
}

bool hmac_sha256(struct span key, const struct span *spans, size_t count,
                 uint8_t tag[HMAC_SHA256_SIZE]) {
    EVP_MAC_CTX *context = hmac_context_new(key);
    bool good = context && evp_mac_run(context, spans, count, tag, HMAC_SHA256_SIZE);

    EVP_MAC_CTX_free(context);
    return good;
}

/* ---- MD5, for NTLM ---- */

bool hash_md5(const struct span *spans, size_t count, uint8_t digest[MD5_SIZE]) {
    EVP_MD *md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    EVP_MD_CTX *context = md5 ? EVP_MD_CTX_new() : NULL;
    bool good = context && EVP_DigestInit_ex2(context, md5, NULL) == 1;
    unsigned size = 0;

    for (size_t i = 0; good && i < count; i++)
        good = spans[i].size == 0 || EVP_DigestUpdate(context, spans[i].data, spans[i].size) == 1;
    good = good && EVP_DigestFinal_ex(context, digest, &size) == 1 && size == MD5_SIZE;
    EVP_MD_CTX_free(context);
    EVP_MD_free(md5);
    return good;
}

bool hmac_md5(struct span key, const struct span *spans, size_t count, uint8_t tag[MD5_SIZE]) {
    EVP_MAC_CTX *context = evp_mac_new("HMAC", OSSL_MAC_PARAM_DIGEST, "MD5", key);
    bool good = context && evp_mac_run(context, spans, count, tag, MD5_SIZE);

    EVP_MAC_CTX_free(context);
    return good;
}

/* ---- key derivation ---- */

static OSSL_PARAM octets_parameter(const char *name, struct span bytes) {
    /* The library only reads it; OSSL_PARAM has one pointer for both ways. */
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)span_pointer(bytes),
                                             bytes.size);
}

bool key_derive(struct span key, struct span label, struct span context, uint8_t *out,
                size_t size) {
    assert(out);
    if (key.size == 0 || size == 0 || size > KEY_DERIVED_MAX)
        return false;
    char mac[] = "HMAC", digest[] = "SHA2-256", mode[] = "COUNTER";
    /* KBKDF's defaults are the ones wanted: r = 32, the separator and L are both hashed. Its "salt"
     * is the label of SP 800-108, its "info" the context. */
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
        octets_parameter(OSSL_KDF_PARAM_KEY, key),
        octets_parameter(OSSL_KDF_PARAM_SALT, label),
        octets_parameter(OSSL_KDF_PARAM_INFO, context),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *derivation = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool good = derivation && EVP_KDF_derive(derivation, out, size, parameters) == 1;

    EVP_KDF_CTX_free(derivation);
    EVP_KDF_free(kdf);
    return good;
}

/* ---- EVP_CIPHER contexts: AES-GMAC and the AEAD ciphers ---- */

/* A context that is keyed and lacks a nonce. `tag_size` is set only for CCM, which hashes it. */
static EVP_CIPHER_CTX *cipher_context_new(const char *name, enum aead_use use, struct span key,
                                          size_t nonce_size, size_t tag_size) {
    int encrypt = use == AEAD_SEAL;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *context = cipher ? EVP_CIPHER_CTX_new() : NULL;
    bool good = context && EVP_CipherInit_ex2(context, cipher, NULL, NULL, encrypt, NULL) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, (int)nonce_size, NULL) == 1 &&
                (tag_size == 0 ||
                 EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, (int)tag_size, NULL) == 1) &&
                EVP_CipherInit_ex2(context, NULL, key.data, NULL, encrypt, NULL) == 1;

    EVP_CIPHER_free(cipher);
    if (!good) {
        EVP_CIPHER_CTX_free(context);
        return NULL;
    }
    return context;
}

/* Starts the next message: a new nonce, the key kept. */
static bool cipher_start(EVP_CIPHER_CTX *context, const uint8_t *nonce) {
    return EVP_CipherInit_ex2(context, NULL, NULL, nonce, -1, NULL) == 1;
}

/* `out` NULL: `bytes` is additional data, authenticated and not encrypted. */
static bool cipher_update(EVP_CIPHER_CTX *context, uint8_t *out, struct span bytes) {
    int size = 0;

    return EVP_CipherUpdate(context, out, &size, bytes.data, (int)bytes.size) == 1 &&
           size == (int)bytes.size;
}

static bool cipher_finish(EVP_CIPHER_CTX *context) {
    uint8_t rest[EVP_MAX_BLOCK_LENGTH];
    int size = 0;

    return EVP_CipherFinal_ex(context, rest, &size) == 1 && size == 0;
}

static bool cipher_get_tag(EVP_CIPHER_CTX *context, uint8_t *tag, size_t size) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, (int)size, tag) == 1;
}

/* ---- AES-CMAC ---- */

/* RFC 4493 over AES-CBC: the library's own CMAC calls its cipher once per block, and takes half as long again. */
/* Octets that are encrypted at a time; what comes out is thrown away, and should stay in the nearest cache. */
#define CMAC_PIECE_SIZE 4096u

struct cmac {
    EVP_CIPHER_CTX *cbc;
    bool has_lanes; /* the processor computes it, with round keys of its own */
    struct cmac_schedule schedule;
};

/* Doubles in GF(2^128), in a time that does not depend on the value. */
static void cmac_double(const uint8_t in[AES_BLOCK_SIZE], uint8_t out[AES_BLOCK_SIZE]) {
    uint8_t reduce = (uint8_t)(0x87 & -(in[0] >> 7));

    for (size_t i = 0; i + 1 < AES_BLOCK_SIZE; i++)
        out[i] = (uint8_t)(in[i] << 1 | in[i + 1] >> 7);
    out[AES_BLOCK_SIZE - 1] = (uint8_t)(in[AES_BLOCK_SIZE - 1] << 1 ^ reduce);
}

static bool cmac_start(const struct cmac *cmac) {
    static const uint8_t zeros[AES_BLOCK_SIZE];

    return cipher_start(cmac->cbc, zeros);
}

static bool cmac_derive_keys(struct cmac *cmac) {
    const uint8_t zeros[AES_BLOCK_SIZE] = {0};
    uint8_t block[AES_BLOCK_SIZE];
    bool good = cmac_start(cmac) && cipher_update(cmac->cbc, block, (struct span){zeros, sizeof(zeros)});

    if (good) {
        cmac_double(block, cmac->schedule.whole_key);
        cmac_double(cmac->schedule.whole_key, cmac->schedule.short_key);
    }
    OPENSSL_cleanse(block, sizeof(block));
    return good;
}

static bool cmac_init(struct cmac *cmac, struct span key) {
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
    const uint8_t zeros[AES_BLOCK_SIZE] = {0};

    cmac->cbc = cipher ? EVP_CIPHER_CTX_new() : NULL;
    bool good = cmac->cbc && EVP_EncryptInit_ex2(cmac->cbc, cipher, key.data, zeros, NULL) == 1 &&
                EVP_CIPHER_CTX_set_padding(cmac->cbc, 0) == 1 && cmac_derive_keys(cmac);
    EVP_CIPHER_free(cipher);
    cmac->has_lanes = good && cmac_lanes_supported();
    if (cmac->has_lanes)
        cmac_schedule_expand(&cmac->schedule, key.data);
    return good;
}

/* Encrypts, and forgets what comes out: the chaining stays in the context. A block that is not whole waits there for
 * the rest of it. */
static bool cmac_update(const struct cmac *cmac, struct span bytes) {
    uint8_t piece[CMAC_PIECE_SIZE + AES_BLOCK_SIZE];
    int size;

    for (size_t at = 0; at < bytes.size; at += CMAC_PIECE_SIZE) {
        struct span part = span_slice(bytes, at, CMAC_PIECE_SIZE);

        if (EVP_EncryptUpdate(cmac->cbc, piece, &size, part.data, (int)part.size) != 1)
            return false;
    }
    return true;
}

/* The last block with its key, `size` octets of it the message's. */
static bool cmac_finish(const struct cmac *cmac, uint8_t block[AES_BLOCK_SIZE], size_t size, uint8_t *tag) {
    const uint8_t *mask = size == AES_BLOCK_SIZE ? cmac->schedule.whole_key : cmac->schedule.short_key;

    if (size < AES_BLOCK_SIZE)
        block[size] = 0x80;
    for (size_t i = 0; i < AES_BLOCK_SIZE; i++)
        block[i] ^= mask[i];
    return cipher_update(cmac->cbc, tag, (struct span){block, AES_BLOCK_SIZE});
}

/* By the library. */
static bool cmac_chain(const struct cmac *cmac, const struct span *spans, size_t count, uint8_t *tag) {
    size_t total = spans_size(spans, count);
    size_t last = total == 0 ? 0 : (total - 1) % AES_BLOCK_SIZE + 1, left = total - last, held = 0;
    uint8_t block[AES_BLOCK_SIZE] = {0};
    bool good = cmac_start(cmac);

    for (size_t i = 0; good && i < count; i++) {
        struct span front = span_slice(spans[i], 0, left), back = span_slice(spans[i], front.size, spans[i].size);

        good = cmac_update(cmac, front);
        left -= front.size;
        if (back.size > 0)
            memcpy(block + held, back.data, back.size);
        held += back.size;
    }
    return good && cmac_finish(cmac, block, last, tag);
}

/* ---- MAC keys ---- */

struct mac_key {
    enum mac_algorithm algorithm;
    EVP_MAC_CTX *mac;       /* HMAC-SHA256 */
    struct cmac cmac;       /* AES-CMAC */
    EVP_CIPHER_CTX *cipher; /* AES-GMAC: cheaper on small messages than the EVP_MAC of that name */
};

void mac_key_free(struct mac_key *key) {
    if (!key)
        return;
    EVP_MAC_CTX_free(key->mac);
    EVP_CIPHER_CTX_free(key->cipher);
    EVP_CIPHER_CTX_free(key->cmac.cbc);
    OPENSSL_clear_free(key, sizeof(*key));
}

static bool mac_key_fits(enum mac_algorithm algorithm, struct span key) {
    switch (algorithm) {
    case MAC_HMAC_SHA256:
        return key.size > 0;
    case MAC_AES_CMAC:
    case MAC_AES_GMAC:
        return key.size == AES_128_KEY_SIZE;
    }
    return false;
}

static bool mac_key_set(struct mac_key *made, struct span key) {
    if (made->algorithm == MAC_AES_CMAC)
        return cmac_init(&made->cmac, key);
    if (made->algorithm == MAC_HMAC_SHA256)
        made->mac = hmac_context_new(key);
    else
        made->cipher = cipher_context_new("AES-128-GCM", AEAD_SEAL, key, MAC_NONCE_SIZE, 0);
    return made->mac || made->cipher;
}

struct mac_key *mac_key_new(enum mac_algorithm algorithm, struct span key) {
    struct mac_key *made = NULL;

    if (mac_key_fits(algorithm, key))
        made = OPENSSL_zalloc(sizeof(*made));
    if (!made)
        return NULL;
    made->algorithm = algorithm;
    if (mac_key_set(made, key))
        return made;
    mac_key_free(made);
    return NULL;
}

struct mac_key *mac_key_new_without_lanes(struct span key) {
    struct mac_key *made = mac_key_new(MAC_AES_CMAC, key);

    if (made)
        made->cmac.has_lanes = false;
    return made;
}

enum mac_algorithm mac_key_algorithm(const struct mac_key *key) {
    assert(key);
    return key->algorithm;
}

static bool gmac_compute(EVP_CIPHER_CTX *context, const uint8_t *nonce, const struct span *spans,
                         size_t count, uint8_t *tag) {
    if (!cipher_start(context, nonce))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].size && !cipher_update(context, NULL, spans[i]))
            return false;
    }
    return cipher_finish(context) && cipher_get_tag(context, tag, MAC_TAG_SIZE);
}

static bool hmac_compute(EVP_MAC_CTX *context, const struct span *spans, size_t count, uint8_t *tag) {
    uint8_t whole[HMAC_SHA256_SIZE];

    if (EVP_MAC_init(context, NULL, 0, NULL) != 1 || !evp_mac_run(context, spans, count, whole, sizeof(whole)))
        return false;
    memcpy(tag, whole, MAC_TAG_SIZE);
    return true;
}

static bool mac_job_compute(struct mac_key *key, struct mac_job *job) {
    switch (key->algorithm) {
    case MAC_AES_CMAC:
        return cmac_chain(&key->cmac, job->spans, job->count, job->tag);
    case MAC_AES_GMAC:
        assert(job->nonce);
        return gmac_compute(key->cipher, job->nonce, job->spans, job->count, job->tag);
    default:
        return hmac_compute(key->mac, job->spans, job->count, job->tag);
    }
}

static bool mac_jobs_compute(struct mac_key *key, struct mac_job *jobs, size_t count) {
    assert(key && (jobs || count == 0));
    for (size_t i = 0; i < count; i++) {
        if (spans_size(jobs[i].spans, jobs[i].count) == SIZE_MAX)
            return false;
    }
    if (key->cmac.has_lanes) {
        cmac_lanes_compute(&key->cmac.schedule, jobs, count);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!mac_job_compute(key, &jobs[i]))
            return false;
    }
    return true;
}

bool mac_key_compute_many(struct mac_key *key, struct mac_job *jobs, size_t count) {
    return mac_jobs_compute(key, jobs, count);
}

bool mac_key_compute(struct mac_key *key, const uint8_t nonce[MAC_NONCE_SIZE],
                     const struct span *spans, size_t count, uint8_t tag[MAC_TAG_SIZE]) {
    struct mac_job job = {.nonce = nonce, .spans = spans, .count = count};

    assert(tag);
    if (!mac_jobs_compute(key, &job, 1))
        return false;
    memcpy(tag, job.tag, sizeof(job.tag));
    return true;
}

size_t mac_key_lanes(const struct mac_key *key) {
    assert(key);
    return key->cmac.has_lanes ? CMAC_LANES : 1;
}

/* ---- AEAD keys ---- */

struct aead_text {
    enum aead_algorithm algorithm;
    const char *name;
    size_t key_size;
    size_t nonce_size;
    bool is_ccm;
};

static const struct aead_text aead_texts[] = {
    {AEAD_AES_128_CCM, "AES-128-CCM", 16, 11, true},
    {AEAD_AES_128_GCM, "AES-128-GCM", 16, 12, false},
    {AEAD_AES_256_CCM, "AES-256-CCM", 32, 11, true},
    {AEAD_AES_256_GCM, "AES-256-GCM", 32, 12, false},
};

static const struct aead_text *aead_text_find(enum aead_algorithm algorithm) {
    for (size_t i = 0; i < sizeof(aead_texts) / sizeof(aead_texts[0]); i++) {
        if (aead_texts[i].algorithm == algorithm)
            return &aead_texts[i];
    }
    return NULL;
}

size_t aead_key_size(enum aead_algorithm algorithm) {
    const struct aead_text *text = aead_text_find(algorithm);

    return text ? text->key_size : 0;
}

size_t aead_nonce_size(enum aead_algorithm algorithm) {
    const struct aead_text *text = aead_text_find(algorithm);

    return text ? text->nonce_size : 0;
}

struct aead_key {
    const struct aead_text *text;
    enum aead_use use;
    EVP_CIPHER_CTX *context;
};

void aead_key_free(struct aead_key *key) {
    if (!key)
        return;
    EVP_CIPHER_CTX_free(key->context);
    OPENSSL_free(key);
}

struct aead_key *aead_key_new(enum aead_algorithm algorithm, enum aead_use use, struct span key) {
    const struct aead_text *text = aead_text_find(algorithm);
    struct aead_key *made = NULL;

    if (text && key.size == text->key_size)
        made = OPENSSL_zalloc(sizeof(*made));
    if (!made)
        return NULL;
    made->text = text;
    made->use = use;
    made->context = cipher_context_new(text->name, use, key, text->nonce_size,
                                       text->is_ccm ? AEAD_TAG_SIZE : 0);
    if (!made->context) {
        aead_key_free(made);
        return NULL;
    }
    return made;
}

enum aead_algorithm aead_key_algorithm(const struct aead_key *key) {
    assert(key);
    return key->text->algorithm;
}

/* From the nonce to the last octet of data, either way. CCM hashes the length of the data first of
 * all, and so has to be told it before the additional data, and takes the data in one piece. */
static bool aead_run(struct aead_key *key, const uint8_t *nonce, struct span additional,
                     struct span data, uint8_t *out) {
    if (!cipher_start(key->context, nonce))
        return false;
    if (key->text->is_ccm && !cipher_update(key->context, NULL, (struct span){NULL, data.size}))
        return false;
    if (additional.size && !cipher_update(key->context, NULL, additional))
        return false;
    return cipher_update(key->context, out, data);
}

static bool aead_sizes_fit(struct span additional, struct span data) {
    return data.size > 0 && data.size <= CRYPTO_MESSAGE_MAX &&
           additional.size <= CRYPTO_MESSAGE_MAX;
}

bool aead_key_seal(struct aead_key *key, const uint8_t *nonce, struct span additional,
                   struct span plain, uint8_t *cipher, uint8_t tag[AEAD_TAG_SIZE]) {
    assert(key && key->use == AEAD_SEAL && nonce && cipher && tag);
    return aead_sizes_fit(additional, plain) && aead_run(key, nonce, additional, plain, cipher) &&
           cipher_finish(key->context) && cipher_get_tag(key->context, tag, AEAD_TAG_SIZE);
}

static bool cipher_set_tag(EVP_CIPHER_CTX *context, const uint8_t *tag, size_t size) {
    /* The library only reads it here; the control has one pointer for both ways. */
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, (int)size, (void *)(uintptr_t)tag) ==
           1;
}

/* CCM compares the tag when it takes the data, GCM at the end. */
static bool aead_open(struct aead_key *key, const uint8_t *nonce, struct span additional,
                      struct span cipher, const uint8_t *tag, uint8_t *plain) {
    return cipher_set_tag(key->context, tag, AEAD_TAG_SIZE) &&
           aead_run(key, nonce, additional, cipher, plain) &&
           (key->text->is_ccm || cipher_finish(key->context));
}

bool aead_key_open(struct aead_key *key, const uint8_t *nonce, struct span additional,
                   struct span cipher, const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plain) {
    assert(key && key->use == AEAD_OPEN && nonce && tag && plain);
    if (!aead_sizes_fit(additional, cipher))
        return false;
    /* A peer can make this fail, and must not be able to leave entries in the thread's error queue,
     * where a program that also speaks TLS would find them. */
    ERR_set_mark();
    bool opened = aead_open(key, nonce, additional, cipher, tag, plain);
    ERR_pop_to_mark();
    if (!opened)
        crypto_wipe(plain, cipher.size);
    return opened;
}

/* ---- the rest ---- */

bool crypto_random(uint8_t *out, size_t size) {
    return size == 0 || RAND_bytes_ex(NULL, out, size, 0) == 1;
}

bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t size) {
    return CRYPTO_memcmp(a, b, size) == 0;
}

void crypto_wipe(void *out, size_t size) {
    OPENSSL_cleanse(out, size);
}

/* ---- self-test ---- */

struct mac_vector {
    enum mac_algorithm algorithm;
    struct span key;
    const uint8_t *nonce;
    struct span message;
    uint8_t tag[MAC_TAG_SIZE];
};

static bool mac_vector_holds(const struct mac_vector *vector) {
    struct mac_key *key = mac_key_new(vector->algorithm, vector->key);
    bool good = key != NULL;

    for (int round = 0; good && round < 2; round++) {
        uint8_t tag[MAC_TAG_SIZE];

        good = mac_key_compute(key, vector->nonce, &vector->message, 1, tag) &&
               crypto_equal(tag, vector->tag, sizeof(tag));
    }
    mac_key_free(key);
    return good;
}

bool crypto_self_test(void) {
    static const uint8_t hmac_key[] = {'J', 'e', 'f', 'e'};
    static const uint8_t hmac_message[] = "what do ya want for nothing?";
    static const uint8_t cmac_key[] = {0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
                                       0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c};
    static const uint8_t cmac_message[] = {
        0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93,
        0x17, 0x2a, 0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c, 0x9e, 0xb7, 0x6f, 0xac,
        0x45, 0xaf, 0x8e, 0x51, 0x30, 0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4, 0x11};
    static const uint8_t gmac_key[] = {0x77, 0xbe, 0x63, 0x70, 0x89, 0x71, 0xc4, 0xe2,
                                       0x40, 0xd1, 0xcb, 0x79, 0xe8, 0xd7, 0x7f, 0xeb};
    static const uint8_t gmac_nonce[MAC_NONCE_SIZE] = {0xe0, 0xe0, 0x0f, 0x19, 0xfe, 0xd7,
                                                       0xba, 0x01, 0x36, 0xa7, 0x97, 0xf3};
    static const uint8_t gmac_message[] = {0x7a, 0x43, 0xec, 0x1d, 0x9c, 0x0a, 0x5a, 0x78,
                                           0xa0, 0xb1, 0x65, 0x33, 0xa6, 0x21, 0x3c, 0xab};
    const struct mac_vector vectors[] = {
        /* RFC 4231, test case 2, its first 16 octets. */
        {MAC_HMAC_SHA256,
         {hmac_key, sizeof(hmac_key)},
         NULL,
         {hmac_message, sizeof(hmac_message) - 1},
         {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75,
          0xc7}},
        /* RFC 4493, example 3. */
        {MAC_AES_CMAC,
         {cmac_key, sizeof(cmac_key)},
         NULL,
         {cmac_message, sizeof(cmac_message)},
         {0xdf, 0xa6, 0x67, 0x47, 0xde, 0x9a, 0xe6, 0x30, 0x30, 0xca, 0x32, 0x61, 0x14, 0x97, 0xc8,
          0x27}},
        /* NIST CAVP, gcmEncryptExtIV128: no plaintext, 128 bits of additional data, count 0. */
        {MAC_AES_GMAC,
         {gmac_key, sizeof(gmac_key)},
         gmac_nonce,
         {gmac_message, sizeof(gmac_message)},
         {0x20, 0x9f, 0xcc, 0x8d, 0x36, 0x75, 0xed, 0x93, 0x8e, 0x9c, 0x71, 0x66, 0x70, 0x9d, 0xd9,
          0x46}},
    };

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        if (!mac_vector_holds(&vectors[i]))
            return false;
    }
    return true;
}
