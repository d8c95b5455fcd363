/* crypto/crypto.h: the published answers, handles used more than once, and everything that must be
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../vectors/vectors.h"
#include "crypto/cmac_lanes.h"

static struct span text(const char *string) {
    return (struct span){(const uint8_t *)string, strlen(string)};
}

static void assert_octets(struct span expected, const uint8_t *actual, size_t size) {
    assert_int_equal(expected.size, size);
    assert_memory_equal(expected.data, actual, size);
}

static int setup(void **state) {
    *state = vectors_new();
    return 0;
}

static int teardown(void **state) {
    vectors_free(*state);
    return 0;
}

/* FIPS 180-4, the message "abc". */
static const uint8_t sha512_abc[SHA512_SIZE] = {
    0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba, 0xcc, 0x41, 0x73, 0x49, 0xae, 0x20, 0x41, 0x31,
    0x12, 0xe6, 0xfa, 0x4e, 0x89, 0xa9, 0x7e, 0xa2, 0x0a, 0x9e, 0xee, 0xe6, 0x4b, 0x55, 0xd3, 0x9a,
    0x21, 0x92, 0x99, 0x2a, 0x27, 0x4f, 0xc1, 0xa8, 0x36, 0xba, 0x3c, 0x23, 0xa3, 0xfe, 0xeb, 0xbd,
    0x45, 0x4d, 0x44, 0x23, 0x64, 0x3c, 0xe8, 0x0e, 0x2a, 0x9a, 0xc9, 0x4f, 0xa5, 0x4c, 0xa4, 0x9f};

static void test_sha512_published(void **state) {
    (void)state;
    const struct span spans[] = {text("a"), {NULL, 0}, text("bc")};
    uint8_t digest[SHA512_SIZE];

    assert_true(hash_sha512(spans, 3, digest));
    assert_memory_equal(digest, sha512_abc, sizeof(digest));
}

static void test_sha512_starts_again(void **state) {
    (void)state;
    struct sha512 *hash = sha512_new();
    uint8_t digest[SHA512_SIZE];

    assert_non_null(hash);
    for (int round = 0; round < 3; round++) {
        assert_true(sha512_update(hash, text("ab")));
        assert_true(sha512_update(hash, (struct span){NULL, 0}));
        assert_true(sha512_update(hash, text("c")));
        assert_true(sha512_finish(hash, digest));
        assert_memory_equal(digest, sha512_abc, sizeof(digest));
    }
    sha512_free(hash);
}

/* The preauthentication hash writes over its own input. */
static void test_sha512_into_its_input(void **state) {
    (void)state;
    uint8_t value[SHA512_SIZE] = "abc";
    const struct span spans[] = {{value, 3}};

    assert_true(hash_sha512(spans, 1, value));
    assert_memory_equal(value, sha512_abc, sizeof(value));
}

static void test_hmac_published(void **state) {
    const struct span spans[] = {text("what do ya want "), text("for nothing?")};
    uint8_t tag[HMAC_SHA256_SIZE];

    assert_true(hmac_sha256(text("Jefe"), spans, 2, tag));
    assert_octets(vector(*state, "hmac256.jefe"), tag, sizeof(tag));
}

/* HMAC-SHA256 of nothing under the empty key, as any implementation has it. */
static void test_hmac_of_nothing(void **state) {
    (void)state;
    static const uint8_t start[] = {0xb6, 0x13, 0x67, 0x9a, 0x08, 0x14, 0xd9, 0xec};
    uint8_t tag[HMAC_SHA256_SIZE];

    assert_true(hmac_sha256((struct span){NULL, 0}, NULL, 0, tag));
    assert_memory_equal(tag, start, sizeof(start));
}

static void test_key_derive_published(void **state) {
    const struct span label = {(const uint8_t *)"SMB2AESCMAC", 12};
    const struct span context = {(const uint8_t *)"SmbSign", 8};
    uint8_t key[16];

    assert_true(key_derive(vector(*state, "k30a.sk"), label, context, key, sizeof(key)));
    assert_octets(vector(*state, "k30a.sign"), key, sizeof(key));
}

/* The same by hand, over HMAC; more than one block too. */
static void derive_by_hand(struct span key, struct span label, struct span context, size_t size,
                           uint8_t out[KEY_DERIVED_MAX]) {
    const uint8_t bits[] = {0, 0, (uint8_t)(size * 8 >> 8), (uint8_t)(size * 8)};
    static const uint8_t separator[1];

    for (uint8_t i = 1; i <= KEY_DERIVED_MAX / HMAC_SHA256_SIZE; i++) {
        const uint8_t counter[] = {0, 0, 0, i};
        const struct span spans[] = {{counter, 4}, label, {separator, 1}, context, {bits, 4}};

        assert_true(hmac_sha256(key, spans, 5, out + (i - 1) * HMAC_SHA256_SIZE));
    }
}

static void test_key_derive_by_hand(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 16, 32, 33, 64};
    uint8_t derived[KEY_DERIVED_MAX], expected[KEY_DERIVED_MAX];

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        derive_by_hand(text("key"), text("label"), text("context"), sizes[i], expected);
        assert_true(key_derive(text("key"), text("label"), text("context"), derived, sizes[i]));
        assert_memory_equal(derived, expected, sizes[i]);
    }
}

static void test_key_derive_refuses(void **state) {
    (void)state;
    uint8_t key[KEY_DERIVED_MAX + 1];

    assert_false(key_derive((struct span){NULL, 0}, text("l"), text("c"), key, 16));
    assert_false(key_derive(text("key"), text("l"), text("c"), key, 0));
    assert_false(key_derive(text("key"), text("l"), text("c"), key, sizeof(key)));
}

/* ---- MAC keys ---- */

struct mac_case {
    enum mac_algorithm algorithm;
    struct span key;
    struct span message;
    struct span tag; /* compared as far as 16 octets */
};

static const uint8_t nonce_zero[MAC_NONCE_SIZE];

/* The message in one piece and cut in three, twice each, all on one handle. */
static void mac_key_try(struct mac_key *key, const struct mac_case *c) {
    uint8_t tag[MAC_TAG_SIZE];

    assert_non_null(key);
    assert_int_equal(mac_key_algorithm(key), c->algorithm);
    for (int round = 0; round < 2; round++) {
        assert_true(mac_key_compute(key, nonce_zero, &c->message, 1, tag));
        assert_memory_equal(tag, c->tag.data, sizeof(tag));
        for (size_t cut = 0; cut <= c->message.size; cut++) {
            const struct span pieces[] = {span_slice(c->message, 0, cut / 2),
                                          span_slice(c->message, cut / 2, cut - cut / 2),
                                          {NULL, 0},
                                          span_slice(c->message, cut, c->message.size)};

            assert_true(mac_key_compute(key, nonce_zero, pieces, 4, tag));
            assert_memory_equal(tag, c->tag.data, sizeof(tag));
        }
    }
    mac_key_free(key);
}

static void mac_case_run(const struct mac_case *c) {
    mac_key_try(mac_key_new(c->algorithm, c->key), c);
    if (c->algorithm == MAC_AES_CMAC)
        mac_key_try(mac_key_new_without_lanes(c->key), c);
}

static void test_mac_published(void **state) {
    static const uint8_t zero[16];
    struct span key = vector(*state, "cmac.key"), message = vector(*state, "cmac.m40");
    const struct mac_case cases[] = {
        {MAC_HMAC_SHA256, text("Jefe"), text("what do ya want for nothing?"),
         vector(*state, "hmac256.jefe")},
        {MAC_AES_CMAC, key, span_slice(message, 0, 0), vector(*state, "cmac.tag0")},
        {MAC_AES_CMAC, key, span_slice(message, 0, 16), vector(*state, "cmac.tag16")},
        {MAC_AES_CMAC, key, message, vector(*state, "cmac.tag40")},
        {MAC_AES_GMAC, {zero, 16}, {NULL, 0}, vector(*state, "gmac.zero")},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        mac_case_run(&cases[i]);
}

/* One handle, message after message: none leaves anything behind for the next. */
static void test_cmac_messages_in_turn(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, vector(*state, "cmac.key"));
    struct span message = vector(*state, "cmac.m40");
    static const char *const names[] = {"cmac.tag40", "cmac.tag0", "cmac.tag16", "cmac.tag40"};
    static const size_t sizes[] = {40, 0, 16, 40};
    uint8_t tag[MAC_TAG_SIZE];

    assert_non_null(key);
    for (size_t i = 0; i < 4; i++) {
        struct span part = span_slice(message, 0, sizes[i]);

        assert_true(mac_key_compute(key, NULL, &part, 1, tag));
        assert_octets(vector(*state, names[i]), tag, sizeof(tag));
    }
    mac_key_free(key);
}

/* ---- several messages together ---- */

#define MANY_MAX   11u
#define PIECES_MAX 5u
/* Octets of a piece of a message; of the whole there are more than any run of blocks that a lane may have at once. */
#define PIECE_MAX 700u

/* A message in pieces, each in memory of its exact size, so that a read beyond it is noticed. */
struct pieces {
    struct span spans[PIECES_MAX];
    size_t count;
};

static uint64_t next_random(uint64_t *random) {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * 0x2545f4914f6cdd1du;
}

/* Below `limit`, and often so small that it matters where blocks end. */
static size_t random_size(uint64_t *random, size_t limit) {
    uint64_t value = next_random(random) >> 8;

    return value % 3 == 0 ? value / 3 % 34 : value / 3 % limit;
}

static struct pieces pieces_new(uint64_t *random) {
    struct pieces pieces = {.count = next_random(random) % (PIECES_MAX + 1)};

    for (size_t i = 0; i < pieces.count; i++) {
        size_t size = random_size(random, PIECE_MAX);
        uint8_t *data = size > 0 ? malloc(size) : NULL;

        for (size_t k = 0; k < size; k++)
            data[k] = (uint8_t)next_random(random);
        pieces.spans[i] = (struct span){data, size};
    }
    return pieces;
}

static void pieces_free(struct pieces *pieces) {
    for (size_t i = 0; i < pieces->count; i++)
        free((void *)(uintptr_t)pieces->spans[i].data);
}

/* As many messages as there are yield together what each yields alone, by the library. */
static void try_together(struct mac_key *key, struct mac_key *alone, uint64_t *random, size_t count) {
    struct pieces messages[MANY_MAX];
    struct mac_job jobs[MANY_MAX];
    uint8_t tag[MAC_TAG_SIZE];

    for (size_t i = 0; i < count; i++) {
        messages[i] = pieces_new(random);
        jobs[i] = (struct mac_job){nonce_zero, messages[i].spans, messages[i].count, {0}};
    }
    assert_true(mac_key_compute_many(key, jobs, count));
    for (size_t i = 0; i < count; i++) {
        assert_true(mac_key_compute(alone, nonce_zero, jobs[i].spans, jobs[i].count, tag));
        assert_memory_equal(jobs[i].tag, tag, sizeof tag);
        pieces_free(&messages[i]);
    }
}

static void test_cmac_together(void **state) {
    (void)state;
    uint64_t random = 0x9e3779b97f4a7c15u;

    for (unsigned round = 0; round < 2000; round++) {
        uint8_t octets[16];

        for (size_t i = 0; i < sizeof octets; i++)
            octets[i] = (uint8_t)next_random(&random);
        struct mac_key *key = mac_key_new(MAC_AES_CMAC, (struct span){octets, sizeof octets});
        struct mac_key *alone = mac_key_new_without_lanes((struct span){octets, sizeof octets});
        assert_non_null(key);
        assert_non_null(alone);
        try_together(key, alone, &random, round % (MANY_MAX + 1));
        try_together(alone, key, &random, round % 3);
        mac_key_free(key);
        mac_key_free(alone);
    }
}

/* Other algorithms have no lanes, and take several messages all the same. */
static void test_others_together(void **state) {
    (void)state;
    static const enum mac_algorithm algorithms[] = {MAC_HMAC_SHA256, MAC_AES_GMAC};
    uint64_t random = 1;

    for (size_t i = 0; i < 2; i++) {
        struct mac_key *key = mac_key_new(algorithms[i], text("sixteen octets k"));
        struct mac_key *alone = mac_key_new(algorithms[i], text("sixteen octets k"));

        assert_int_equal(mac_key_lanes(key), 1);
        for (size_t count = 0; count <= MANY_MAX; count++)
            try_together(key, alone, &random, count);
        mac_key_free(key);
        mac_key_free(alone);
    }
}

static void test_lanes_are_told(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, vector(*state, "cmac.key"));
    struct mac_key *alone = mac_key_new_without_lanes(vector(*state, "cmac.key"));

    assert_int_equal(mac_key_lanes(key), cmac_lanes_supported() ? CMAC_LANES : 1);
    assert_int_equal(mac_key_lanes(alone), 1);
    mac_key_free(key);
    mac_key_free(alone);
}

/* One message that is too long spoils the others', before anything is read. */
static void test_together_refuses(void **state) {
    static const uint8_t octets[16];
    const struct span right = {octets, 16}, wrong[] = {{octets, 1}, {octets, CRYPTO_MESSAGE_MAX}};
    struct mac_job jobs[] = {{NULL, &right, 1, {0}}, {NULL, wrong, 2, {0}}};
    struct mac_key *key = mac_key_new(MAC_AES_CMAC, vector(*state, "cmac.key"));

    assert_true(mac_key_compute_many(key, jobs, 1));
    assert_false(mac_key_compute_many(key, jobs, 2));
    mac_key_free(key);
}

static void test_gmac_depends_on_nonce(void **state) {
    struct mac_key *key = mac_key_new(MAC_AES_GMAC, vector(*state, "gm.key"));
    const struct span message = text("message");
    uint8_t nonce[MAC_NONCE_SIZE] = {0}, first[MAC_TAG_SIZE], tag[MAC_TAG_SIZE];

    assert_non_null(key);
    assert_true(mac_key_compute(key, nonce, &message, 1, first));
    for (size_t bit = 0; bit < MAC_NONCE_SIZE * 8; bit++) {
        nonce[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(mac_key_compute(key, nonce, &message, 1, tag));
        assert_memory_not_equal(tag, first, sizeof(tag));
        nonce[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(mac_key_compute(key, nonce, &message, 1, tag));
    assert_memory_equal(tag, first, sizeof(tag));
    mac_key_free(key);
}

static void test_mac_refuses(void **state) {
    (void)state;
    static const uint8_t octets[33];
    uint8_t tag[MAC_TAG_SIZE];

    for (size_t size = 0; size <= sizeof(octets); size++) {
        struct mac_key *cmac = mac_key_new(MAC_AES_CMAC, (struct span){octets, size});
        struct mac_key *gmac = mac_key_new(MAC_AES_GMAC, (struct span){octets, size});

        assert_int_equal(cmac != NULL, size == 16);
        assert_int_equal(gmac != NULL, size == 16);
        mac_key_free(cmac);
        mac_key_free(gmac);
    }
    assert_null(mac_key_new(MAC_HMAC_SHA256, (struct span){octets, 0}));
    assert_null(mac_key_new((enum mac_algorithm)3, (struct span){octets, 16}));
    mac_key_free(NULL);

    /* Refused by size, before anything is read. */
    const struct span spans[] = {{octets, 1}, {octets, CRYPTO_MESSAGE_MAX}};
    struct mac_key *key = mac_key_new(MAC_AES_GMAC, (struct span){octets, 16});
    assert_non_null(key);
    assert_false(mac_key_compute(key, nonce_zero, spans, 2, tag));
    mac_key_free(key);
}

/* ---- AEAD keys ---- */

static const enum aead_algorithm aead_algorithms[] = {AEAD_AES_128_CCM, AEAD_AES_128_GCM,
                                                      AEAD_AES_256_CCM, AEAD_AES_256_GCM};
#define AEAD_COUNT (sizeof(aead_algorithms) / sizeof(aead_algorithms[0]))

static const uint8_t aead_octets[AEAD_KEY_MAX] = {7, 1, 9, 3};

static struct aead_key *aead_key_make(enum aead_algorithm algorithm, enum aead_use use) {
    struct aead_key *key =
        aead_key_new(algorithm, use, (struct span){aead_octets, aead_key_size(algorithm)});

    assert_non_null(key);
    assert_int_equal(aead_key_algorithm(key), algorithm);
    return key;
}

/* The one SMB 3.0 request whose parts were published one by one. */
static void test_aead_published(void **state) {
    struct span key = vector(*state, "k30c.c2s"), nonce = vector(*state, "ccm.nonce16"),
                additional = vector(*state, "ccm.aad"), tag = vector(*state, "ccm.tag"),
                plain = vector(*state, "ccm.wreq.plain"),
                cipher = vector(*state, "ccm.wreq.cipher");
    struct aead_key *seal = aead_key_new(AEAD_AES_128_CCM, AEAD_SEAL, key);
    struct aead_key *open = aead_key_new(AEAD_AES_128_CCM, AEAD_OPEN, key);
    uint8_t out[256], made[AEAD_TAG_SIZE];

    assert_non_null(seal);
    assert_non_null(open);
    for (int round = 0; round < 2; round++) {
        assert_true(aead_key_seal(seal, nonce.data, additional, plain, out, made));
        assert_octets(cipher, out, plain.size);
        assert_octets(tag, made, sizeof(made));
        assert_true(aead_key_open(open, nonce.data, additional, cipher, tag.data, out));
        assert_octets(plain, out, cipher.size);
    }
    aead_key_free(seal);
    aead_key_free(open);
}

/* Every algorithm, many sizes, with and without additional data, in place; one pair of handles. */
static void aead_round_trips(enum aead_algorithm algorithm) {
    struct aead_key *seal = aead_key_make(algorithm, AEAD_SEAL);
    struct aead_key *open = aead_key_make(algorithm, AEAD_OPEN);
    uint8_t plain[200], out[200], nonce[AEAD_NONCE_MAX] = {0}, tag[AEAD_TAG_SIZE];

    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * 7 + 1);
    for (size_t size = 1; size <= sizeof(plain); size++) {
        struct span additional = {plain, size % 40};

        nonce[0] = (uint8_t)size;
        memcpy(out, plain, size);
        assert_true(aead_key_seal(seal, nonce, additional, (struct span){out, size}, out, tag));
        if (size >= 16)
            assert_memory_not_equal(out, plain, size);
        assert_true(aead_key_open(open, nonce, additional, (struct span){out, size}, tag, out));
        assert_memory_equal(out, plain, size);
    }
    aead_key_free(seal);
    aead_key_free(open);
}

static void test_aead_round_trips(void **state) {
    (void)state;
    for (size_t i = 0; i < AEAD_COUNT; i++)
        aead_round_trips(aead_algorithms[i]);
}

static void test_aead_algorithms_differ(void **state) {
    (void)state;
    static const uint8_t plain[32], nonce[AEAD_NONCE_MAX];
    uint8_t out[AEAD_COUNT][32], tag[AEAD_TAG_SIZE];

    for (size_t i = 0; i < AEAD_COUNT; i++) {
        struct aead_key *key = aead_key_make(aead_algorithms[i], AEAD_SEAL);

        assert_true(aead_key_seal(key, nonce, (struct span){NULL, 0}, (struct span){plain, 32},
                                  out[i], tag));
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(out[i], out[j], 32);
        aead_key_free(key);
    }
}

static void assert_wiped(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], 0);
}

struct sealed {
    uint8_t nonce[AEAD_NONCE_MAX];
    uint8_t additional[20];
    uint8_t cipher[33];
    uint8_t tag[AEAD_TAG_SIZE];
};

static bool sealed_open(struct aead_key *key, const struct sealed *sealed, uint8_t *plain) {
    return aead_key_open(key, sealed->nonce,
                         (struct span){sealed->additional, sizeof(sealed->additional)},
                         (struct span){sealed->cipher, sizeof(sealed->cipher)}, sealed->tag, plain);
}

/* One bit changed anywhere: refused and wiped. The handle goes on: what is right opens after each.
 */
static void aead_flips(enum aead_algorithm algorithm) {
    struct aead_key *seal = aead_key_make(algorithm, AEAD_SEAL);
    struct aead_key *open = aead_key_make(algorithm, AEAD_OPEN);
    struct sealed sealed = {.nonce = {1}, .additional = {2}};
    uint8_t plain[sizeof(sealed.cipher)], expected[sizeof(plain)];
    size_t skipped = AEAD_NONCE_MAX - aead_nonce_size(algorithm);

    memset(expected, 0x5a, sizeof(expected));
    assert_true(aead_key_seal(seal, sealed.nonce, (struct span){sealed.additional, 20},
                              (struct span){expected, sizeof(expected)}, sealed.cipher,
                              sealed.tag));
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        uint8_t *octet = (uint8_t *)&sealed + bit / 8;

        if (bit / 8 < AEAD_NONCE_MAX && bit / 8 >= AEAD_NONCE_MAX - skipped)
            continue; /* not part of this algorithm's nonce */
        *octet ^= (uint8_t)(1u << bit % 8);
        memset(plain, 0x5a, sizeof(plain));
        assert_false(sealed_open(open, &sealed, plain));
        assert_wiped(plain, sizeof(plain));
        *octet ^= (uint8_t)(1u << bit % 8);
        assert_true(sealed_open(open, &sealed, plain));
        assert_memory_equal(plain, expected, sizeof(plain));
    }
    aead_key_free(seal);
    aead_key_free(open);
}

static void test_aead_flips(void **state) {
    (void)state;
    for (size_t i = 0; i < AEAD_COUNT; i++)
        aead_flips(aead_algorithms[i]);
}

static void test_aead_refuses(void **state) {
    (void)state;
    static const uint8_t octets[AEAD_KEY_MAX + 1];
    uint8_t out[16], tag[AEAD_TAG_SIZE] = {0};

    assert_int_equal(aead_key_size((enum aead_algorithm)0), 0);
    assert_int_equal(aead_key_size((enum aead_algorithm)5), 0);
    assert_int_equal(aead_nonce_size((enum aead_algorithm)5), 0);
    assert_null(aead_key_new((enum aead_algorithm)0, AEAD_SEAL, (struct span){octets, 16}));
    for (size_t i = 0; i < AEAD_COUNT; i++) {
        for (size_t size = 0; size <= sizeof(octets); size++) {
            struct aead_key *key =
                aead_key_new(aead_algorithms[i], AEAD_OPEN, (struct span){octets, size});

            assert_int_equal(key != NULL, size == aead_key_size(aead_algorithms[i]));
            aead_key_free(key);
        }
        struct aead_key *seal = aead_key_make(aead_algorithms[i], AEAD_SEAL);
        struct aead_key *open = aead_key_make(aead_algorithms[i], AEAD_OPEN);
        const struct span none = {octets, 0}, huge = {octets, CRYPTO_MESSAGE_MAX + 1};
        const struct span some = {octets, 16};
        assert_false(aead_key_seal(seal, octets, none, none, out, tag));
        assert_false(aead_key_seal(seal, octets, none, huge, out, tag));
        assert_false(aead_key_seal(seal, octets, huge, some, out, tag));
        assert_false(aead_key_open(open, octets, none, none, tag, out));
        assert_false(aead_key_open(open, octets, none, huge, tag, out));
        aead_key_free(seal);
        aead_key_free(open);
    }
    aead_key_free(NULL);
}

/* ---- the rest ---- */

static void test_random(void **state) {
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};

    assert_true(crypto_random(a, sizeof(a)));
    assert_true(crypto_random(b, sizeof(b)));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(crypto_random(NULL, 0));
}

static void test_equal(void **state) {
    (void)state;
    uint8_t a[16] = {0}, b[16] = {0};

    for (size_t i = 0; i < sizeof(a); i++) {
        assert_true(crypto_equal(a, b, sizeof(a)));
        b[i] = 0x80;
        assert_false(crypto_equal(a, b, sizeof(a)));
        assert_true(crypto_equal(a, b, i));
        b[i] = 0;
    }
    assert_true(crypto_equal(a, b, 0));
}

static void test_wipe(void **state) {
    (void)state;
    uint8_t a[] = {1, 2, 3, 4};

    crypto_wipe(a, 3);
    assert_wiped(a, 3);
    assert_int_equal(a[3], 4);
    crypto_wipe(NULL, 0);
}

static void test_self_test(void **state) {
    (void)state;
    assert_true(crypto_self_test());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha512_published),
        cmocka_unit_test(test_sha512_starts_again),
        cmocka_unit_test(test_sha512_into_its_input),
        cmocka_unit_test(test_hmac_published),
        cmocka_unit_test(test_hmac_of_nothing),
        cmocka_unit_test(test_key_derive_published),
        cmocka_unit_test(test_key_derive_by_hand),
        cmocka_unit_test(test_key_derive_refuses),
        cmocka_unit_test(test_mac_published),
        cmocka_unit_test(test_cmac_messages_in_turn),
        cmocka_unit_test(test_cmac_together),
        cmocka_unit_test(test_others_together),
        cmocka_unit_test(test_lanes_are_told),
        cmocka_unit_test(test_together_refuses),
        cmocka_unit_test(test_gmac_depends_on_nonce),
        cmocka_unit_test(test_mac_refuses),
        cmocka_unit_test(test_aead_published),
        cmocka_unit_test(test_aead_round_trips),
        cmocka_unit_test(test_aead_algorithms_differ),
        cmocka_unit_test(test_aead_flips),
        cmocka_unit_test(test_aead_refuses),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_self_test),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
