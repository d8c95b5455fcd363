/* core/preauth, keys, sign and seal against tests/vectors/smb.vec: published traces and own
 * captures, each one changed in every bit as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../vectors/vectors.h"
#include "core/keys.h"
#include "core/preauth.h"
#include "core/seal.h"
#include "core/sign.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Room for every message of the vectors, in octets. */
#define MESSAGE_MAX 1024u

#define HEADER_SIZE       64u
#define HEADER_STATUS     8u
#define HEADER_COMMAND    12u
#define HEADER_FLAGS      16u
#define HEADER_NEXT       20u
#define HEADER_MESSAGE_ID 24u
#define HEADER_SESSION_ID 40u
#define HEADER_SIGNATURE  48u

static int setup(void **state) {
    *state = vectors_new();
    return 0;
}

static int teardown(void **state) {
    vectors_free(*state);
    return 0;
}

static void assert_octets(struct span expected, const uint8_t *actual, size_t size) {
    assert_int_equal(expected.size, size);
    assert_memory_equal(expected.data, actual, size);
}

static uint32_t get_u32(struct span bytes, size_t at) {
    struct reader reader = reader_over(span_slice(bytes, at, 4));

    return reader_u32(&reader);
}

static uint64_t get_u64(struct span bytes, size_t at) {
    struct reader reader = reader_over(span_slice(bytes, at, 8));

    return reader_u64(&reader);
}

static void put_u32(uint8_t *bytes, size_t at, uint32_t value) {
    struct writer writer = writer_over(bytes + at, 4);

    writer_u32(&writer, value);
}

static void put_u64(uint8_t *bytes, size_t at, uint64_t value) {
    struct writer writer = writer_over(bytes + at, 8);

    writer_u64(&writer, value);
}

static void flip(uint8_t *bytes, size_t bit) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static struct preauth preauth_from(struct span value) {
    struct preauth preauth;

    assert_int_equal(value.size, sizeof(preauth.value));
    memcpy(preauth.value, value.data, sizeof(preauth.value));
    return preauth;
}

/* ---- preauthentication ---- */

static const char *const chain_messages[] = {"pa.negreq", "pa.negrsp", "pa.ss1", "pa.ss1rsp",
                                             "pa.ss2"};
static const char *const chain_values[] = {"pa.h1", "pa.h2", "pa.h3", "pa.h4", "pa.h5"};

static void test_preauth_chain(void **state) {
    struct preauth preauth;

    preauth_init(&preauth);
    for (size_t i = 0; i < COUNT(chain_messages); i++) {
        assert_true(preauth_update(&preauth, vector(*state, chain_messages[i])));
        assert_octets(vector(*state, chain_values[i]), preauth.value, sizeof(preauth.value));
    }
}

static void test_preauth_binding(void **state) {
    struct preauth preauth = preauth_from(vector(*state, "bd.h0"));

    assert_true(preauth_update(&preauth, vector(*state, "bd.req1")));
    assert_octets(vector(*state, "bd.h1"), preauth.value, sizeof(preauth.value));
    assert_true(preauth_update(&preauth, vector(*state, "bd.rsp1")));
    assert_octets(vector(*state, "bd.h2"), preauth.value, sizeof(preauth.value));
}

/* Any bit of any of the five messages: the signing key, and with it the final response, no longer
 * fits. */
static void chain_with_flip(struct vectors *vectors, size_t changed, size_t bit) {
    uint8_t copy[MESSAGE_MAX];
    struct session_keys keys;
    struct preauth preauth;

    preauth_init(&preauth);
    for (size_t i = 0; i < COUNT(chain_messages); i++) {
        struct span message = vector(vectors, chain_messages[i]);

        assert_true(message.size <= sizeof(copy));
        memcpy(copy, message.data, message.size);
        if (i == changed)
            flip(copy, bit);
        assert_true(preauth_update(&preauth, (struct span){copy, message.size}));
    }
    assert_true(session_keys_derive(&keys, 0x0311, 2, vector(vectors, "pa.sk"), &preauth));
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, (struct span){keys.signing, SESSION_KEY_SIZE});
    assert_non_null(key);
    assert_int_equal(element_check(key, vector(vectors, "pa.final")), SIGNATURE_BAD);
    mac_key_free(key);
}

/* One bit of each octet, a different one from octet to octet, to keep it short. */
static void test_preauth_flips(void **state) {
    for (size_t i = 0; i < COUNT(chain_messages); i++) {
        size_t size = vector(*state, chain_messages[i]).size;

        for (size_t octet = 0; octet < size; octet++)
            chain_with_flip(*state, i, octet * 8 + octet % 8);
    }
}

/* ---- keys ---- */

struct keys_case {
    uint16_t dialect;
    uint16_t cipher;
    const char *full_key;
    const char *hash;                                                        /* 3.1.1 */
    const char *signing, *application, *client_to_server, *server_to_client; /* NULL: not given */
};

static const struct keys_case keys_cases[] = {
    {0x0300, 1, "k30a.sk", NULL, "k30a.sign", "k30a.app", "k30a.c2s", "k30a.s2c"},
    {0x0302, 1, "k30c.sk", NULL, "k30c.sign", "k30c.app", "k30c.c2s", "k30c.s2c"},
    {0x0300, 0, "k30b.sk", NULL, "k30b.sign", NULL, NULL, NULL},
    {0x0302, 0, "v302.sk", NULL, "v302.key", NULL, NULL, NULL},
    {0x0202, 0, "fc.key", NULL, "fc.key", "fc.key", NULL, NULL},
    {0x0210, 0, "v21.key", NULL, "v21.key", "v21.key", NULL, NULL},
    {0x0311, 1, "pa.sk", "pa.h5", "pa.sign", "pa.app", "pa.c2s", "pa.s2c"},
    {0x0311, 2, "pa.sk", "pa.h5", "pa.sign", "pa.app", "pa.c2s", "pa.s2c"},
    {0x0311, 3, "pa.sk", "pa.h5", "pa.sign", "pa.app", "pa.c2s256", "pa.s2c256"},
    {0x0311, 4, "pa.sk", "pa.h5", "pa.sign", "pa.app", "pa.c2s256", "pa.s2c256"},
    {0x0311, 2, "gcm.sk", "gcm.hash", "gcm.sign", "gcm.app", "gcm.c2s", "gcm.s2c"},
    {0x0311, 4, "g256.sk", "g256.hash", NULL, NULL, "g256.c2s", NULL},
    {0x0311, 4, "kf.full", "pa.h5", "kf.sign", "kf.app", "kf.c2s", "kf.s2c"},
    {0x0311, 2, "kf.full", "pa.h5", "kf.sign", "kf.app", "kf.c2s128", "kf.s2c128"},
};

static void assert_key(struct vectors *vectors, const char *name, const uint8_t *key, size_t size) {
    if (name)
        assert_octets(vector(vectors, name), key, size);
}

static void assert_zeros(const void *bytes, size_t size) {
    const uint8_t *octets = bytes;

    for (size_t i = 0; i < size; i++)
        assert_int_equal(octets[i], 0);
}

static void keys_case_run(struct vectors *vectors, const struct keys_case *c) {
    struct span full_key = vector(vectors, c->full_key);
    struct preauth preauth = {{0}};
    struct session_keys keys;

    if (c->hash)
        preauth = preauth_from(vector(vectors, c->hash));
    memset(&keys, 0xa5, sizeof(keys));
    assert_true(
        session_keys_derive(&keys, c->dialect, c->cipher, full_key, c->hash ? &preauth : NULL));
    assert_memory_equal(keys.session, full_key.data, SESSION_KEY_SIZE);
    assert_key(vectors, c->signing, keys.signing, SESSION_KEY_SIZE);
    assert_key(vectors, c->application, keys.application, SESSION_KEY_SIZE);
    assert_int_equal(keys.cipher_size, c->cipher == 0 ? 0 : c->cipher <= 2 ? 16 : 32);
    assert_key(vectors, c->client_to_server, keys.client_to_server, keys.cipher_size);
    assert_key(vectors, c->server_to_client, keys.server_to_client, keys.cipher_size);
    assert_zeros(keys.client_to_server + keys.cipher_size, AEAD_KEY_MAX - keys.cipher_size);
    assert_zeros(keys.server_to_client + keys.cipher_size, AEAD_KEY_MAX - keys.cipher_size);
    session_keys_wipe(&keys);
    assert_zeros(&keys, sizeof(keys));
}

static void test_keys(void **state) {
    for (size_t i = 0; i < COUNT(keys_cases); i++)
        keys_case_run(*state, &keys_cases[i]);
}

/* D-1: a key shorter than 16 octets has zeros behind it, for every purpose. */
static void test_keys_short(void **state) {
    uint8_t padded[SESSION_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct preauth preauth = preauth_from(vector(*state, "pa.h5"));
    struct session_keys from_short, from_padded;

    assert_true(session_keys_derive(&from_short, 0x0311, 4, (struct span){padded, 8}, &preauth));
    assert_true(session_keys_derive(&from_padded, 0x0311, 4, (struct span){padded, 16}, &preauth));
    assert_memory_equal(&from_short, &from_padded, sizeof(from_short));
}

static void test_keys_refuses(void **state) {
    static const uint8_t zeros[SESSION_KEY_SIZE];
    uint8_t ones[FULL_SESSION_KEY_MAX + 1];
    struct preauth preauth = preauth_from(vector(*state, "pa.h5"));
    struct span usual = {ones, SESSION_KEY_SIZE};
    const struct {
        uint16_t dialect, cipher;
        struct span key;
    } cases[] = {
        {0x0311, 2, {ones, 0}},
        {0x0311, 2, {ones, sizeof(ones)}},
        {0x0311, 2, {zeros, sizeof(zeros)}},
        {0x0210, 0, {zeros, sizeof(zeros)}},
        {0x0210, 1, usual},
        {0x0300, 2, usual},
        {0x0302, 3, usual},
        {0x0311, 5, usual},
        {0x0310, 0, usual},
        {0x02ff, 0, usual},
        {0x0000, 0, usual},
    };

    memset(ones, 1, sizeof(ones));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct session_keys keys;
        memset(&keys, 0xa5, sizeof(keys));
        assert_false(
            session_keys_derive(&keys, cases[i].dialect, cases[i].cipher, cases[i].key, &preauth));
        assert_zeros(&keys, sizeof(keys));
    }
}

static void test_channel_key(void **state) {
    struct preauth preauth = preauth_from(vector(*state, "bd.h3"));
    uint8_t signing[SESSION_KEY_SIZE];

    assert_true(channel_key_derive(signing, 0x0311, vector(*state, "bd.sk"), &preauth));
    assert_octets(vector(*state, "bd.chsign"), signing, sizeof(signing));
    assert_true(channel_key_derive(signing, 0x0300, vector(*state, "k30b.sk"), NULL));
    assert_octets(vector(*state, "k30b.sign"), signing, sizeof(signing));
    assert_false(channel_key_derive(signing, 0x0210, vector(*state, "bd.sk"), NULL));
    assert_zeros(signing, sizeof(signing));
    assert_false(channel_key_derive(signing, 0x0300, (struct span){NULL, 0}, NULL));
}

/* ---- signatures ---- */

struct sign_case {
    const char *message;
    const char *key;
    uint16_t dialect;
    uint16_t negotiated;
};

static const struct sign_case sign_cases[] = {
    {"pa.final", "pa.sign", 0x0311, 1},  {"bd.req1", "pa.sign", 0x0311, 1},
    {"bd.rsp1", "pa.sign", 0x0311, 1},   {"bd.final", "bd.chsign", 0x0311, 1},
    {"v21.req", "v21.key", 0x0210, 0},   {"v21.rsp", "v21.key", 0x0210, 0},
    {"v302.req", "v302.key", 0x0302, 1}, {"v302.rsp", "v302.key", 0x0302, 1},
    {"fc.req", "fc.key", 0x0202, 0},     {"fc.rsp", "fc.key", 0x0202, 0},
    {"gm0.tcreq", "gm0.key", 0x0311, 2}, {"gm0.tcrsp", "gm0.key", 0x0311, 2},
    {"gm.notify", "gm.key", 0x0311, 2},  {"gm.cancel", "gm.key", 0x0311, 2},
    {"gm.final", "gm.key", 0x0311, 2},   {"cp.req", "cp.key", 0x0302, 1},
    {"cp.rsp", "cp.key", 0x0302, 1},
};

static struct mac_key *sign_key(struct vectors *vectors, const struct sign_case *c) {
    enum mac_algorithm algorithm;

    assert_true(signing_algorithm_find(c->dialect, c->negotiated, &algorithm));
    struct mac_key *key = mac_key_new(algorithm, vector(vectors, c->key));
    assert_non_null(key);
    return key;
}

/* The element of a chain that begins at *at, which is moved to the next one; empty at the end. */
static struct span element_next(struct span chain, size_t *at) {
    struct span rest = span_slice(chain, *at, chain.size);
    size_t next = rest.size ? get_u32(rest, HEADER_NEXT) : 0;
    struct span element = span_slice(rest, 0, next ? next : rest.size);

    *at += element.size;
    return element;
}

typedef void element_test(struct mac_key *key, struct span element);

/* Runs a test over every element of every signed message, one key for each message. */
static void for_each_element(struct vectors *vectors, element_test *test) {
    for (size_t i = 0; i < COUNT(sign_cases); i++) {
        struct mac_key *key = sign_key(vectors, &sign_cases[i]);
        struct span chain = vector(vectors, sign_cases[i].message), element;
        size_t at = 0, count = 0;

        while ((element = element_next(chain, &at)).size > 0) {
            assert_true(element.size <= MESSAGE_MAX);
            test(key, element);
            count++;
        }
        assert_int_equal(count, strncmp(sign_cases[i].message, "cp.", 3) == 0 ? 2 : 1);
        mac_key_free(key);
    }
}

static void element_is_good_twice(struct mac_key *key, struct span element) {
    assert_int_equal(element_check(key, element), SIGNATURE_GOOD);
    assert_int_equal(element_check(key, element), SIGNATURE_GOOD);
}

static void test_sign_check(void **state) {
    for_each_element(*state, element_is_good_twice);
}

/* Without flag and signature, or with rubbish in the field: signing gives the very octets that went
 * by. */
static void element_is_signed_alike(struct mac_key *key, struct span element) {
    uint8_t copy[MESSAGE_MAX];

    memcpy(copy, element.data, element.size);
    copy[HEADER_FLAGS] &= (uint8_t)~8u;
    memset(copy + HEADER_SIGNATURE, 0, MAC_TAG_SIZE);
    assert_true(element_sign(key, copy, element.size));
    assert_memory_equal(copy, element.data, element.size);
    memset(copy + HEADER_SIGNATURE, 0xee, MAC_TAG_SIZE);
    assert_true(element_sign(key, copy, element.size));
    assert_memory_equal(copy, element.data, element.size);
}

static void test_sign_alike(void **state) {
    for_each_element(*state, element_is_signed_alike);
}

static void element_flips(struct mac_key *key, struct span element) {
    const size_t signed_bit = HEADER_FLAGS * 8 + 3;
    uint8_t copy[MESSAGE_MAX];

    memcpy(copy, element.data, element.size);
    for (size_t bit = 0; bit < element.size * 8; bit++) {
        flip(copy, bit);
        assert_int_equal(element_check(key, (struct span){copy, element.size}),
                         bit == signed_bit ? SIGNATURE_MISSING : SIGNATURE_BAD);
        flip(copy, bit);
    }
    assert_int_equal(element_check(key, (struct span){copy, element.size}), SIGNATURE_GOOD);
}

static void test_sign_flips(void **state) {
    for_each_element(*state, element_flips);
}

/* Cut short by any number of octets, from a buffer of just that size; or longer by one. */
static void element_cuts(struct mac_key *key, struct span element) {
    uint8_t longer[MESSAGE_MAX + 1] = {0};

    for (size_t size = 0; size < element.size; size++) {
        uint8_t *copy = malloc(size + !size);

        assert_non_null(copy);
        memcpy(copy, element.data, size);
        assert_int_equal(element_check(key, (struct span){copy, size}), SIGNATURE_BAD);
        free(copy);
    }
    memcpy(longer, element.data, element.size);
    assert_int_equal(element_check(key, (struct span){longer, element.size + 1}), SIGNATURE_BAD);
}

static void test_sign_cuts(void **state) {
    for_each_element(*state, element_cuts);
}

/* P-6: the padding is part of the element, the next element is not. */
static void test_sign_padding(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, vector(*state, "cp.key"));
    struct span chain = vector(*state, "cp.req");
    size_t at = 0;
    struct span first = element_next(chain, &at);

    assert_int_equal(first.size, 0x80);
    assert_int_equal(element_check(key, chain), SIGNATURE_BAD);
    assert_int_equal(element_check(key, span_slice(first, 0, first.size - 3)), SIGNATURE_BAD);
    assert_int_equal(element_check(key, span_slice(chain, at, chain.size)), SIGNATURE_GOOD);
    mac_key_free(key);
}

/* Every message under every other message's key and under every other algorithm. */
static void test_sign_other_keys(void **state) {
    for (size_t i = 0; i < COUNT(sign_cases); i++) {
        size_t at = 0;
        struct span element = element_next(vector(*state, sign_cases[i].message), &at);

        for (size_t j = 0; j < COUNT(sign_cases); j++) {
            for (uint16_t algorithm = 0; algorithm <= MAC_AES_GMAC; algorithm++) {
                const struct sign_case other = {NULL, sign_cases[j].key, 0x0311, algorithm};
                bool is_own = strcmp(sign_cases[i].key, sign_cases[j].key) == 0 &&
                              sign_cases[i].negotiated == algorithm;
                struct mac_key *key = sign_key(*state, &other);

                assert_int_equal(element_check(key, element),
                                 is_own ? SIGNATURE_GOOD : SIGNATURE_BAD);
                mac_key_free(key);
            }
        }
    }
}

/* An interim response repeats the signature of the request: it means nothing, and is never checked.
 */
static void test_sign_interim(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_GMAC, vector(*state, "gm.key"));
    struct span interim = vector(*state, "gm.interim");
    uint8_t copy[MESSAGE_MAX];

    assert_memory_equal(interim.data + HEADER_SIGNATURE,
                        vector(*state, "gm.notify").data + HEADER_SIGNATURE, MAC_TAG_SIZE);
    assert_int_equal(element_check(key, interim), SIGNATURE_EXEMPT);
    memcpy(copy, interim.data, interim.size);
    copy[HEADER_FLAGS] |= 8;
    assert_int_equal(element_check(key, (struct span){copy, interim.size}), SIGNATURE_EXEMPT);
    memcpy(copy, interim.data, interim.size);
    assert_false(element_sign(key, copy, interim.size));
    assert_memory_equal(copy, interim.data, interim.size);
    mac_key_free(key);
}

/* In a request the status field is the ChannelSequence, and may well have the value of
 * STATUS_PENDING. */
static void test_sign_pending_is_of_responses(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_GMAC, vector(*state, "gm.key"));
    struct span notify = vector(*state, "gm.notify");
    uint8_t copy[MESSAGE_MAX];

    memcpy(copy, notify.data, notify.size);
    put_u32(copy, HEADER_STATUS, 0x00000103);
    assert_int_equal(element_check(key, (struct span){copy, notify.size}), SIGNATURE_BAD);
    assert_true(element_sign(key, copy, notify.size));
    assert_int_equal(element_check(key, (struct span){copy, notify.size}), SIGNATURE_GOOD);
    mac_key_free(key);
}

/* What a server sends unasked is exempt; a request with such a MessageId is not, and nobody signs
 * either. */
static void test_sign_unsolicited(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_GMAC, vector(*state, "gm.key"));
    static const char *const names[] = {"gm.notify", "gm.final"};
    static const enum signature_check expected[] = {SIGNATURE_BAD, SIGNATURE_EXEMPT};

    for (size_t i = 0; i < COUNT(names); i++) {
        struct span message = vector(*state, names[i]);
        uint8_t copy[MESSAGE_MAX], before[MESSAGE_MAX];

        memcpy(copy, message.data, message.size);
        put_u64(copy, HEADER_MESSAGE_ID, UINT64_MAX);
        memcpy(before, copy, message.size);
        assert_int_equal(element_check(key, (struct span){copy, message.size}), expected[i]);
        assert_false(element_sign(key, copy, message.size));
        assert_memory_equal(copy, before, message.size);
    }
    mac_key_free(key);
}

static void assert_not_signed(struct mac_key *key, struct span message) {
    uint8_t copy[MESSAGE_MAX];

    memcpy(copy, message.data, message.size);
    assert_false(element_sign(key, copy, message.size));
    assert_memory_equal(copy, message.data, message.size);
}

static void test_sign_refuses(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, vector(*state, "cmac.key"));
    static const char *const negotiates[] = {"pa.negreq",  "pa.negrsp",   "v21.negreq",
                                             "v21.negrsp", "v302.negreq", "v302.negrsp"};

    for (size_t i = 0; i < COUNT(negotiates); i++) {
        assert_not_signed(key, vector(*state, negotiates[i]));
        assert_int_equal(element_check(key, vector(*state, negotiates[i])), SIGNATURE_MISSING);
    }
    assert_not_signed(key, span_slice(vector(*state, "v302.req"), 0, HEADER_SIZE - 1));
    assert_not_signed(key, vector(*state, "g256.msg"));
    assert_not_signed(key, vector(*state, "cp.req")); /* two elements */
    mac_key_free(key);
}

/* A header alone is an element. */
static void test_sign_shortest(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, vector(*state, "cmac.key"));
    uint8_t header[HEADER_SIZE] = {0xfe, 'S', 'M', 'B', 64, [HEADER_COMMAND] = 2};

    assert_true(element_sign(key, header, sizeof(header)));
    assert_int_equal(element_check(key, (struct span){header, sizeof(header)}), SIGNATURE_GOOD);
    mac_key_free(key);
}

static void test_signing_algorithm(void **state) {
    (void)state;
    enum mac_algorithm algorithm = MAC_HMAC_SHA256;

    for (uint16_t negotiated = 0; negotiated < 4; negotiated++) {
        assert_true(signing_algorithm_find(0x0202, negotiated, &algorithm));
        assert_int_equal(algorithm, MAC_HMAC_SHA256);
        assert_true(signing_algorithm_find(0x0210, negotiated, &algorithm));
        assert_int_equal(algorithm, MAC_HMAC_SHA256);
        assert_true(signing_algorithm_find(0x0300, negotiated, &algorithm));
        assert_int_equal(algorithm, MAC_AES_CMAC);
        assert_true(signing_algorithm_find(0x0302, negotiated, &algorithm));
        assert_int_equal(algorithm, MAC_AES_CMAC);
        assert_int_equal(signing_algorithm_find(0x0311, negotiated, &algorithm), negotiated < 3);
        assert_int_equal(algorithm, negotiated < 3 ? negotiated : MAC_AES_CMAC);
        assert_false(signing_algorithm_find(0x02ff, negotiated, &algorithm));
        assert_false(signing_algorithm_find(0x0310, negotiated, &algorithm));
    }
}

/* ---- encryption ---- */

struct seal_case {
    const char *frame; /* NULL: from the parts of ccm.wreq */
    const char *plain;
    const char *key;
    enum aead_algorithm algorithm;
};

static const struct seal_case seal_cases[] = {
    {NULL, "ccm.wreq.plain", "k30c.c2s", AEAD_AES_128_CCM},
    {"ccm.wrsp.msg", "ccm.wrsp.plain", "k30c.s2c", AEAD_AES_128_CCM},
    {"ccm.rreq.msg", "ccm.rreq.plain", "k30c.c2s", AEAD_AES_128_CCM},
    {"ccm.rrsp.msg", "ccm.rrsp.plain", "k30c.s2c", AEAD_AES_128_CCM},
    {"gcm.wreq.msg", "gcm.wreq.plain", "gcm.c2s", AEAD_AES_128_GCM},
    {"gcm.wrsp.msg", "gcm.wrsp.plain", "gcm.s2c", AEAD_AES_128_GCM},
    {"g256.msg", "g256.plain", "g256.c2s", AEAD_AES_256_GCM},
    {"c256.msg", "c256.plain", "kf.c2s", AEAD_AES_256_CCM},
};

/* Everything that one case needs. */
struct seal_bench {
    struct aead_key *seal, *open;
    struct span plain;
    uint64_t session_id;
    size_t size;
    uint8_t frame[MESSAGE_MAX];
};

static void frame_from_parts(struct vectors *vectors, struct seal_bench *bench) {
    struct writer writer = writer_over(bench->frame, sizeof(bench->frame));

    writer_put(&writer, (struct span){(const uint8_t *)"\xfdSMB", 4});
    writer_put(&writer, vector(vectors, "ccm.tag"));
    writer_put(&writer, vector(vectors, "ccm.aad"));
    writer_put(&writer, vector(vectors, "ccm.wreq.cipher"));
    bench->size = writer_done(&writer).size;
}

static struct aead_key *seal_key(struct vectors *vectors, const struct seal_case *c,
                                 enum aead_use use) {
    struct aead_key *key = aead_key_new(c->algorithm, use, vector(vectors, c->key));

    assert_non_null(key);
    return key;
}

static void bench_init(struct seal_bench *bench, struct vectors *vectors,
                       const struct seal_case *c) {
    memset(bench, 0, sizeof(*bench));
    bench->seal = seal_key(vectors, c, AEAD_SEAL);
    bench->open = seal_key(vectors, c, AEAD_OPEN);
    bench->plain = vector(vectors, c->plain);
    if (c->frame) {
        struct span frame = vector(vectors, c->frame);

        assert_true(frame.size <= sizeof(bench->frame));
        memcpy(bench->frame, frame.data, frame.size);
        bench->size = frame.size;
    } else {
        frame_from_parts(vectors, bench);
    }
    assert_int_equal(bench->size, bench->plain.size + TRANSFORM_HEADER_SIZE);
    bench->session_id = get_u64((struct span){bench->frame, bench->size}, 44);
}

static void bench_finish(struct seal_bench *bench) {
    aead_key_free(bench->seal);
    aead_key_free(bench->open);
}

static struct span bench_frame(const struct seal_bench *bench) {
    return (struct span){bench->frame, bench->size};
}

typedef void seal_test(struct seal_bench *bench);

static void for_each_frame(struct vectors *vectors, seal_test *test) {
    for (size_t i = 0; i < COUNT(seal_cases); i++) {
        struct seal_bench bench;

        bench_init(&bench, vectors, &seal_cases[i]);
        test(&bench);
        bench_finish(&bench);
    }
}

static void frame_opens(struct seal_bench *bench) {
    uint8_t plain[MESSAGE_MAX], *inside = bench->frame + TRANSFORM_HEADER_SIZE;
    struct transform transform;

    assert_int_equal(transform_read(bench_frame(bench), &transform), TRANSFORM_GOOD);
    assert_int_equal(transform.session_id, bench->session_id);
    assert_int_equal(transform.original_size, bench->plain.size);
    assert_int_equal(transform.flags, 1);
    for (int round = 0; round < 2; round++) {
        memset(plain, 0xa5, sizeof(plain));
        assert_int_equal(transform_open(bench->open, bench->session_id, bench_frame(bench), plain),
                         TRANSFORM_GOOD);
        assert_memory_equal(plain, bench->plain.data, bench->plain.size);
        assert_int_equal(plain[bench->plain.size], 0xa5);
    }
    assert_int_equal(transform_open(bench->open, bench->session_id, bench_frame(bench), inside),
                     TRANSFORM_GOOD);
    assert_memory_equal(inside, bench->plain.data, bench->plain.size);
}

static void test_seal_opens(void **state) {
    for_each_frame(*state, frame_opens);
}

/* Sealed with the nonce that went by: the same octets, from outside and in place. */
static void frame_seals_alike(struct seal_bench *bench) {
    uint8_t out[MESSAGE_MAX];
    const uint8_t *nonce = bench->frame + 20;

    assert_true(
        transform_seal(bench->seal, bench->session_id, nonce, bench->plain, out, bench->size));
    assert_memory_equal(out, bench->frame, bench->size);
    memset(out, 0xa5, sizeof(out));
    memcpy(out + TRANSFORM_HEADER_SIZE, bench->plain.data, bench->plain.size);
    assert_true(transform_seal(bench->seal, bench->session_id, nonce,
                               (struct span){out + TRANSFORM_HEADER_SIZE, bench->plain.size}, out,
                               sizeof(out)));
    assert_memory_equal(out, bench->frame, bench->size);
    assert_int_equal(out[bench->size], 0xa5);
}

static void test_seal_alike(void **state) {
    for_each_frame(*state, frame_seals_alike);
}

/* Which fault a changed octet must give. */
static enum transform_fault fault_expected(size_t octet) {
    if (octet < 4)
        return TRANSFORM_PROTOCOL_ID;
    if (octet >= 36 && octet < 40)
        return TRANSFORM_SIZE;
    if (octet >= 42 && octet < 44)
        return TRANSFORM_FLAGS;
    if (octet >= 44 && octet < 52)
        return TRANSFORM_SESSION;
    return TRANSFORM_TAG; /* tag, nonce with its unused octets, Reserved, ciphertext */
}

static void frame_flips(struct seal_bench *bench) {
    uint8_t plain[MESSAGE_MAX];

    for (size_t bit = 0; bit < bench->size * 8; bit++) {
        flip(bench->frame, bit);
        memset(plain, 0, sizeof(plain));
        assert_int_equal(transform_open(bench->open, bench->session_id, bench_frame(bench), plain),
                         fault_expected(bit / 8));
        assert_zeros(plain, bench->size);
        flip(bench->frame, bit);
    }
    assert_int_equal(transform_open(bench->open, bench->session_id, bench_frame(bench), plain),
                     TRANSFORM_GOOD);
}

static void test_seal_flips(void **state) {
    for_each_frame(*state, frame_flips);
}

/* Cut at every length, with OriginalMessageSize as it was and as it would have to be; buffers of
 * just that size. */
static void frame_cuts(struct seal_bench *bench) {
    for (size_t size = 0; size < bench->size; size++) {
        uint8_t *frame = malloc(size + !size), plain[MESSAGE_MAX] = {0};
        const struct span cut = {frame, size};

        assert_non_null(frame);
        memcpy(frame, bench->frame, size);
        assert_int_equal(transform_open(bench->open, bench->session_id, cut, plain),
                         size < 4                        ? TRANSFORM_PROTOCOL_ID
                         : size <= TRANSFORM_HEADER_SIZE ? TRANSFORM_SHORT
                                                         : TRANSFORM_SIZE);
        if (size > TRANSFORM_HEADER_SIZE) {
            put_u32(frame, 36, (uint32_t)(size - TRANSFORM_HEADER_SIZE));
            assert_int_equal(transform_open(bench->open, bench->session_id, cut, plain),
                             TRANSFORM_TAG);
        }
        assert_zeros(plain, sizeof(plain));
        free(frame);
    }
}

static void test_seal_cuts(void **state) {
    for_each_frame(*state, frame_cuts);
}

/* Every frame under every other key of its cipher: both directions, other sessions. */
static void test_seal_other_keys(void **state) {
    for (size_t i = 0; i < COUNT(seal_cases); i++) {
        struct seal_bench bench;

        bench_init(&bench, *state, &seal_cases[i]);
        for (size_t j = 0; j < COUNT(seal_cases); j++) {
            const struct seal_case *other = &seal_cases[j];
            bool is_own = strcmp(seal_cases[i].key, other->key) == 0;
            struct aead_key *key = seal_key(*state, other, AEAD_OPEN);
            uint8_t plain[MESSAGE_MAX];

            assert_int_equal(transform_open(key, bench.session_id, bench_frame(&bench), plain),
                             is_own ? TRANSFORM_GOOD : TRANSFORM_TAG);
            aead_key_free(key);
        }
        bench_finish(&bench);
    }
}

/* The counter of a session: little-endian, in the first octets, and one higher each time. */
static void test_sealer_counts(void **state) {
    struct seal_bench bench;
    struct sealer sealer;
    uint8_t out[MESSAGE_MAX];

    bench_init(&bench, *state, &seal_cases[7]);
    sealer_init(&sealer, bench.seal, bench.session_id);
    assert_int_equal(sealer.next_nonce, 0);
    sealer.next_nonce = get_u64(bench_frame(&bench), 20);
    assert_true(sealer_seal(&sealer, bench.plain, out, sizeof(out)));
    assert_memory_equal(out, bench.frame, bench.size);
    assert_true(sealer_seal(&sealer, bench.plain, out, sizeof(out)));
    assert_int_equal(get_u64((struct span){out, bench.size}, 20),
                     get_u64(bench_frame(&bench), 20) + 1);
    assert_memory_not_equal(out + TRANSFORM_HEADER_SIZE, bench.frame + TRANSFORM_HEADER_SIZE,
                            bench.plain.size);
    bench_finish(&bench);
}

static void test_sealer_refuses(void **state) {
    struct seal_bench bench;
    struct sealer sealer;
    uint8_t out[MESSAGE_MAX];

    bench_init(&bench, *state, &seal_cases[4]);
    sealer_init(&sealer, bench.seal, bench.session_id);
    for (size_t room = 0; room < bench.size; room++)
        assert_false(sealer_seal(&sealer, bench.plain, out, room));
    assert_false(sealer_seal(&sealer, (struct span){NULL, 0}, out, sizeof(out)));
    assert_false(sealer_seal(&sealer, (struct span){out, CRYPTO_MESSAGE_MAX + 1}, out, SIZE_MAX));
    assert_int_equal(sealer.next_nonce, 0);
    sealer.next_nonce = UINT64_MAX - 1;
    assert_true(sealer_seal(&sealer, bench.plain, out, bench.size));
    assert_false(sealer_seal(&sealer, bench.plain, out, bench.size));
    assert_false(sealer_seal(&sealer, bench.plain, out, bench.size));
    bench_finish(&bench);
}

/* Chains of two bare headers, as they may come out of a frame of session 7. */
struct chain {
    uint8_t octets[2 * HEADER_SIZE];
};

static struct chain chain_make(void) {
    struct chain chain = {{0}};

    for (size_t at = 0; at < sizeof(chain.octets); at += HEADER_SIZE) {
        memcpy(chain.octets + at, "\xfeSMB", 4);
        put_u64(chain.octets, at + HEADER_SESSION_ID, 7);
    }
    put_u32(chain.octets, HEADER_NEXT, HEADER_SIZE);
    return chain;
}

/* What transform_check() says, and transform_open() of the same thing sealed. */
static void assert_inner(struct vectors *vectors, const struct chain *chain, size_t size,
                         enum transform_fault expected) {
    struct aead_key *seal = seal_key(vectors, &seal_cases[4], AEAD_SEAL);
    struct aead_key *open = seal_key(vectors, &seal_cases[4], AEAD_OPEN);
    uint8_t *copy = malloc(size), frame[MESSAGE_MAX], plain[MESSAGE_MAX];
    struct sealer sealer;

    assert_non_null(copy);
    memcpy(copy, chain->octets, size);
    assert_int_equal(transform_check((struct span){copy, size}, 7), expected);
    sealer_init(&sealer, seal, 7);
    assert_true(sealer_seal(&sealer, (struct span){copy, size}, frame, sizeof(frame)));
    assert_int_equal(
        transform_open(open, 7, (struct span){frame, size + TRANSFORM_HEADER_SIZE}, plain),
        expected);
    assert_memory_equal(plain, copy, size);
    free(copy);
    aead_key_free(seal);
    aead_key_free(open);
}

static void test_inner_session(void **state) {
    struct chain chain = chain_make();

    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_GOOD);
    put_u64(chain.octets, HEADER_SIZE + HEADER_SESSION_ID, UINT64_MAX);
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_SESSION);
    put_u32(chain.octets, HEADER_SIZE + HEADER_FLAGS, 4);
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_GOOD);
    put_u64(chain.octets, HEADER_SESSION_ID, 8);
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_SESSION);
    put_u64(chain.octets, HEADER_SESSION_ID, 7);
    put_u32(chain.octets, HEADER_FLAGS, 4);
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_RELATED);
}

/* An oplock break has no session of its own; a client cannot make use of that, nor can a response.
 */
static void test_inner_unsolicited(void **state) {
    struct chain chain = chain_make();

    put_u32(chain.octets, HEADER_NEXT, 0);
    put_u64(chain.octets, HEADER_SESSION_ID, 0);
    assert_inner(*state, &chain, HEADER_SIZE, TRANSFORM_INNER_SESSION);
    put_u64(chain.octets, HEADER_MESSAGE_ID, UINT64_MAX);
    assert_inner(*state, &chain, HEADER_SIZE, TRANSFORM_INNER_SESSION);
    put_u32(chain.octets, HEADER_FLAGS, 1);
    assert_inner(*state, &chain, HEADER_SIZE, TRANSFORM_GOOD);
    put_u64(chain.octets, HEADER_SESSION_ID, 8);
    assert_inner(*state, &chain, HEADER_SIZE, TRANSFORM_INNER_SESSION);
    put_u64(chain.octets, HEADER_SESSION_ID, 0);
    put_u64(chain.octets, HEADER_MESSAGE_ID, 5);
    assert_inner(*state, &chain, HEADER_SIZE, TRANSFORM_INNER_SESSION);
}

static void test_inner_chain(void **state) {
    static const uint32_t wrong[] = {1, 8, 63, 65, 127, 128, 129, 0x80000000u, UINT32_MAX};
    struct chain chain = chain_make();

    for (size_t i = 0; i < COUNT(wrong); i++) {
        put_u32(chain.octets, HEADER_NEXT, wrong[i]);
        assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_CHAIN);
    }
    put_u32(chain.octets, HEADER_NEXT, HEADER_SIZE);
    for (size_t size = 4; size < sizeof(chain); size++)
        assert_inner(*state, &chain, size, TRANSFORM_INNER_CHAIN);
    chain.octets[HEADER_SIZE] = 0xff;
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_CHAIN);
}

/* A second header that begins within the first one. */
static void test_inner_overlap(void **state) {
    struct chain chain = chain_make();

    memcpy(chain.octets + 8, "\xfeSMB", 4);
    put_u32(chain.octets, HEADER_NEXT, 8);
    put_u32(chain.octets, 8 + HEADER_NEXT, 0);
    put_u64(chain.octets, 8 + HEADER_SESSION_ID, 7);
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_CHAIN);
}

static void test_inner_protocol_id(void **state) {
    struct chain chain = chain_make();

    for (size_t size = 1; size < 4; size++)
        assert_inner(*state, &chain, size, TRANSFORM_INNER_PROTOCOL_ID);
    chain.octets[0] = 0xfd;
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_PROTOCOL_ID);
    chain.octets[0] = 0xff;
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_INNER_PROTOCOL_ID);
    chain.octets[0] = 0xfc; /* compressed: to be looked at when it no longer is */
    assert_inner(*state, &chain, sizeof(chain), TRANSFORM_GOOD);
}

/* ---- and nothing forgotten ---- */

/* The last test: every vector of the file was asked for by one of those before, or is one of
 * test_crypto.c. */
static void test_every_vector_used(void **state) {
    static const char *const primitives[] = {"cmac.m40",   "cmac.tag0",    "cmac.tag16",
                                             "cmac.tag40", "hmac256.jefe", "gmac.zero",
                                             "ccm.nonce16"};

    for (size_t i = 0; i < COUNT(primitives); i++)
        vector(*state, primitives[i]);
    const char *unused = vectors_unused(*state);
    if (unused)
        fail_msg("no test uses %s", unused);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preauth_chain),
        cmocka_unit_test(test_preauth_binding),
        cmocka_unit_test(test_preauth_flips),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_short),
        cmocka_unit_test(test_keys_refuses),
        cmocka_unit_test(test_channel_key),
        cmocka_unit_test(test_sign_check),
        cmocka_unit_test(test_sign_alike),
        cmocka_unit_test(test_sign_flips),
        cmocka_unit_test(test_sign_cuts),
        cmocka_unit_test(test_sign_padding),
        cmocka_unit_test(test_sign_other_keys),
        cmocka_unit_test(test_sign_interim),
        cmocka_unit_test(test_sign_pending_is_of_responses),
        cmocka_unit_test(test_sign_unsolicited),
        cmocka_unit_test(test_sign_refuses),
        cmocka_unit_test(test_sign_shortest),
        cmocka_unit_test(test_signing_algorithm),
        cmocka_unit_test(test_seal_opens),
        cmocka_unit_test(test_seal_alike),
        cmocka_unit_test(test_seal_flips),
        cmocka_unit_test(test_seal_cuts),
        cmocka_unit_test(test_seal_other_keys),
        cmocka_unit_test(test_sealer_counts),
        cmocka_unit_test(test_sealer_refuses),
        cmocka_unit_test(test_inner_session),
        cmocka_unit_test(test_inner_unsolicited),
        cmocka_unit_test(test_inner_chain),
        cmocka_unit_test(test_inner_overlap),
        cmocka_unit_test(test_inner_protocol_id),
        cmocka_unit_test(test_every_vector_used),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
