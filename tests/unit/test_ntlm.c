/* What NTLM and SPNEGO are made of: published answers, and a logon that Windows made, octet by
 * octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../vectors/vectors.h"
#include "auth/der.h"
#include "auth/md4.h"
#include "auth/ntlm.h"
#include "auth/rc4.h"
#include "auth/spnego.h"
#include "crypto/crypto.h"
#include "wire/text.h"

static int setup(void **state) {
    *state = vectors_new();
    return 0;
}

static int teardown(void **state) {
    vectors_free(*state);
    return 0;
}

struct octets {
    uint8_t data[64];
    size_t size;
};

static struct octets hex(const char *text) {
    struct octets octets = {.size = strlen(text) / 2};

    assert_true(octets.size <= sizeof octets.data);
    for (size_t i = 0; i < octets.size; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

        octets.data[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return octets;
}

static void assert_hex(const char *expected, const uint8_t *actual, size_t size) {
    struct octets octets = hex(expected);

    assert_int_equal(octets.size, size);
    assert_memory_equal(octets.data, actual, size);
}

/* ---- published answers ---- */

/* [RFC1320] A.5 */
static void test_md4(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "31d6cfe0d16ae931b73c59d7e0c089c0"},
        {"a", "bde52cb31de33e46245e05fbdbd6fb24"},
        {"abc", "a448017aaf21d8525fc10ae87aa6729d"},
        {"message digest", "d9130a8164549fe818874806e1c7014b"},
        {"abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
         "043f8582f241db351ce627e153e7f0e4"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "e33b4ddc9c38f2199c3e7b164fcc0536"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t digest[MD4_SIZE];

        md4(text_span(cases[i][0]), digest);
        assert_hex(cases[i][1], digest, sizeof digest);
    }
}

/* The ends of the padding: 55 octets fit in one block with it, 56 do not. From the second
 * implementation in OpenSSL's legacy provider. */
static void test_md4_padding(void **state) {
    (void)state;
    static const struct {
        size_t size;
        const char *digest;
    } cases[] = {
        {55, "92f32bb82c95ad10e8f87ae58ab06807"},  {56, "374d5f08103b7092c83b4626ebceffab"},
        {63, "2870452596e98fffd48332289b3472b9"},  {64, "b1abf956a5ae6f3221e5fe85e300fbb0"},
        {119, "b55ae15e41e55643b0c3daad5e05c905"}, {120, "d8f9adfc41ec43552619606c70cfd287"},
    };
    uint8_t text[120], digest[MD4_SIZE];

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        md4((struct span){text, cases[i].size}, digest);
        assert_hex(cases[i].digest, digest, sizeof digest);
    }
}

/* [RFC6229] 2 for the first, and two that everybody has. */
static void test_rc4(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"0102030405", "00000000000000000000000000000000", "b2396305f03dc027ccc3524a0a1118a8"},
        {"0102030405060708090a0b0c0d0e0f10", "00000000000000000000000000000000",
         "9ac7cc9a609d1ef7b2932899cde41b97"},
        {"4b6579", "506c61696e74657874", "bbf316e8d940af0ad3"},
        {"57696b69", "7065646961", "1021bf0420"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct octets key = hex(cases[i][0]), in = hex(cases[i][1]);

        rc4((struct span){key.data, key.size}, (struct span){in.data, in.size}, in.data);
        assert_hex(cases[i][2], in.data, in.size);
    }
}

/* [RFC2202] 2, and [RFC1321] A.5 for MD5 */
static void test_hmac_md5(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "9294727a3638bb1c13f48ef8158bfc9d"},
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "750c783e6ab0b503eaa86e310a5db738"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
         "ddddddd"
         "dddd",
         "56be34521d144c88dbb8c733f0e8b3f6"},
        {"0102030405060708090a0b0c0d0e0f10111213141516171819",
         "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
         "dcdcdcd"
         "cdcd",
         "697eaf0aca3a3aea3a75164746ffaa79"},
    };
    const struct span abc[] = {text_span("a"), {NULL, 0}, text_span("bc")};
    uint8_t tag[MD5_SIZE];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct octets key = hex(cases[i][0]), in = hex(cases[i][1]);
        const struct span spans[] = {{in.data, 3}, {in.data + 3, in.size - 3}};

        assert_true(hmac_md5((struct span){key.data, key.size}, spans, 2, tag));
        assert_hex(cases[i][2], tag, sizeof tag);
    }
    assert_true(hash_md5(abc, 3, tag));
    assert_hex("900150983cd24fb0d6963f7d28e17f72", tag, sizeof tag);
    assert_true(hash_md5(NULL, 0, tag));
    assert_hex("d41d8cd98f00b204e9800998ecf8427e", tag, sizeof tag);
}

/* ---- a logon of Windows ---- */

/* [MS-SMB2] 2.2.5 and 2.2.6: where a SESSION_SETUP says that its security buffer is. */
static struct span security_buffer(struct vectors *vectors, const char *name, size_t at) {
    struct span message = vector(vectors, name);
    struct reader reader = reader_over(span_slice(message, at, 4));
    uint16_t offset = reader_u16(&reader), size = reader_u16(&reader);
    struct span buffer = span_slice(message, offset, size);

    assert_int_equal(buffer.size, size);
    return buffer;
}

struct trace {
    struct spnego_init init;
    struct spnego_response first, second;
    struct ntlm_challenge challenge;
    struct ntlm_authenticate authenticate;
    struct ntlm_v2_response response;
};

static struct trace trace_read(struct vectors *vectors) {
    struct trace trace;
    uint32_t flags;

    assert_true(spnego_init_decode(security_buffer(vectors, "pa.ss1", 76), &trace.init));
    assert_true(spnego_response_decode(security_buffer(vectors, "pa.ss1rsp", 68), &trace.first));
    assert_true(spnego_response_decode(security_buffer(vectors, "pa.ss2", 76), &trace.second));
    assert_true(ntlm_negotiate_decode(trace.init.token, &flags));
    assert_true(ntlm_challenge_decode(trace.first.token, &trace.challenge));
    assert_true(ntlm_authenticate_decode(trace.second.token, &trace.authenticate));
    assert_true(ntlm_v2_response_decode(trace.authenticate.nt, &trace.response));
    return trace;
}

static void test_trace_tokens(void **state) {
    struct trace trace = trace_read(*state);
    uint8_t room[AUTH_NAME_MAX];
    struct writer user = writer_over(room, sizeof room), again;
    struct span value;

    assert_int_equal(trace.init.count, 1);
    assert_int_equal(trace.init.mechanisms[0], SPNEGO_NTLM);
    assert_hex("300c060a2b06010401823702020a", trace.init.mechanism_list.data,
               trace.init.mechanism_list.size);
    assert_int_equal(trace.first.state, SPNEGO_ACCEPT_INCOMPLETE);
    assert_true(trace.first.has_mechanism);
    assert_int_equal(trace.first.mechanism, SPNEGO_NTLM);
    assert_hex("0d1d8ba31179d008", trace.challenge.challenge, 8);
    assert_true(text_to_utf8(trace.authenticate.user, &user));
    assert_true(span_equal(writer_done(&user), text_span("administrator")));
    assert_true(ntlm_av_find(trace.response.av_pairs, NTLM_AV_FLAGS, &value));
    assert_hex("02000000", value.data, value.size);
    /* What was read is written the same way. */
    again = writer_over(room, sizeof room);
    assert_true(spnego_init_encode(&trace.init, &again));
    assert_true(span_equal(writer_done(&again), security_buffer(*state, "pa.ss1", 76)));
    again = writer_over(room, sizeof room);
    assert_true(spnego_response_encode(&trace.first, &again));
    assert_true(span_equal(writer_done(&again), security_buffer(*state, "pa.ss1rsp", 68)));
    uint8_t large[1024];
    again = writer_over(large, sizeof large);
    assert_true(spnego_response_encode(&trace.second, &again));
    assert_true(span_equal(writer_done(&again), security_buffer(*state, "pa.ss2", 76)));
}

static void test_trace_keys(void **state) {
    struct trace trace = trace_read(*state);
    uint8_t hash[16], owf[16], proof[16], base[16], key[16], out[16];
    struct span list = trace.init.mechanism_list;

    assert_true(ntlm_hash("Password01!", hash));
    assert_hex("7C4FE5EADA682714A036E39378362BAB", hash, 16);
    assert_true(ntlm_response_key(hash, trace.authenticate.user, trace.authenticate.domain, owf));
    assert_hex("AEE3959B44A815F1EB28C9511B4F533B", owf, 16);
    assert_true(ntlm_proof(owf, trace.challenge.challenge, trace.response.temp, proof));
    assert_hex("63078EB639FE03E20A231C3AE3BF2308", proof, 16);
    assert_memory_equal(proof, trace.response.proof, 16);
    assert_true(ntlm_base_key(owf, proof, base));
    assert_hex("B4CF22566926B1C069ACD80E4D73C814", base, 16);
    assert_int_equal(trace.authenticate.session_key.size, 16);
    rc4((struct span){base, 16}, trace.authenticate.session_key, key);
    assert_hex("270E1BA896585EEB7AF3472D3B4C75A7", key, 16);
    assert_true(ntlm_mic(key, trace.init.token, trace.first.token, trace.second.token, out));
    assert_hex("ECAC77A5F385A8BF9C38C706EEEDDCD3", out, 16);
    assert_memory_equal(out, trace.second.token.data + NTLM_MIC_AT, 16);

    assert_true(ntlm_sign_key(key, NTLM_CLIENT, out));
    assert_hex("D43F36C44BCE0630250A09EA0C2E8C2C", out, 16);
    assert_true(ntlm_sign_key(key, NTLM_SERVER, out));
    assert_hex("E1BD8B416B0B709D295E12F2CF18E6C5", out, 16);
    assert_true(ntlm_seal_key(key, trace.authenticate.flags, NTLM_CLIENT, out));
    assert_hex("31E5557D99BE13F1B2665C7C7C52CE70", out, 16);
    assert_true(ntlm_seal_key(key, trace.authenticate.flags, NTLM_SERVER, out));
    assert_hex("B0F5A0B32C81FF34A878E1409B3B0EF2", out, 16);
    assert_true(ntlm_sign(key, trace.authenticate.flags, NTLM_CLIENT, list, out));
    assert_hex("0100000063775A9A5FD97F0600000000", out, 16);
    assert_true(
        ntlm_signature_fits(key, trace.authenticate.flags, NTLM_CLIENT, list, trace.second.mic));
    assert_false(
        ntlm_signature_fits(key, trace.authenticate.flags, NTLM_SERVER, list, trace.second.mic));
    assert_true(ntlm_sign(key, trace.authenticate.flags, NTLM_SERVER, list, out));
    assert_hex("010000003B453CDC3524164200000000", out, 16);
}

/* ---- refusals ---- */

static void test_cut_messages(void **state) {
    struct trace trace = trace_read(*state);
    const struct span tokens[] = {trace.init.token, trace.first.token, trace.second.token};

    for (unsigned i = 0; i < 3; i++)
        for (size_t size = 0; size < tokens[i].size; size++) {
            uint8_t *copy = malloc(size + 1);
            struct span cut = {copy, size};
            struct ntlm_challenge challenge;
            struct ntlm_authenticate authenticate;
            uint32_t flags;

            memcpy(copy, tokens[i].data, size);
            assert_int_equal(ntlm_negotiate_decode(cut, &flags), i == 0 && size >= 16);
            assert_false(ntlm_challenge_decode(cut, &challenge));
            assert_false(ntlm_authenticate_decode(cut, &authenticate));
            free(copy);
        }
}

static void put_u16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

/* A field may point to anywhere from octet 64 on, as far as the message reaches. */
static void test_field_offsets(void **state) {
    struct trace trace = trace_read(*state);
    uint8_t copy[1024];
    struct span message = {copy, trace.second.token.size};
    struct ntlm_authenticate authenticate;

    memcpy(copy, trace.second.token.data, message.size);
    for (size_t field = 12; field <= 52; field += 8) {
        uint8_t kept[8];

        memcpy(kept, copy + field, 8);
        put_u16(copy + field, 2);
        for (uint32_t offset = 0; offset <= message.size + 2; offset++) {
            put_u16(copy + field + 4, (uint16_t)offset);
            assert_int_equal(ntlm_authenticate_decode(message, &authenticate),
                             offset >= 64 && offset + 2 <= message.size);
        }
        put_u16(copy + field + 6, 0xffff);
        assert_false(ntlm_authenticate_decode(message, &authenticate));
        put_u16(copy + field, 0); /* nothing may be anywhere */
        assert_true(ntlm_authenticate_decode(message, &authenticate));
        memcpy(copy + field, kept, 8);
    }
    assert_true(ntlm_authenticate_decode(message, &authenticate));
}

static void test_old_responses(void **state) {
    (void)state;
    uint8_t nt[64] = {0};
    struct ntlm_v2_response response;

    nt[16] = nt[17] = 1;
    assert_false(ntlm_v2_response_decode((struct span){nt, 24}, &response));
    assert_false(ntlm_v2_response_decode((struct span){nt, 47}, &response));
    assert_true(ntlm_v2_response_decode((struct span){nt, 48}, &response));
    assert_int_equal(response.temp.size, 32);
    assert_int_equal(response.av_pairs.size, 4);
    nt[16] = 2;
    assert_false(ntlm_v2_response_decode((struct span){nt, 48}, &response));
    nt[16] = 1;
    nt[17] = 2;
    assert_false(ntlm_v2_response_decode((struct span){nt, 48}, &response));
}

static void test_hash_refuses(void **state) {
    (void)state;
    char password[AUTH_PASSWORD_MAX + 2];
    uint8_t hash[16];

    assert_true(ntlm_hash("", hash));
    assert_hex("31d6cfe0d16ae931b73c59d7e0c089c0", hash, 16);
    assert_false(ntlm_hash("\xff", hash));
    memset(password, 'x', sizeof password);
    password[AUTH_PASSWORD_MAX] = '\0';
    assert_true(ntlm_hash(password, hash));
    password[AUTH_PASSWORD_MAX] = 'x';
    password[AUTH_PASSWORD_MAX + 1] = '\0';
    assert_false(ntlm_hash(password, hash));
}

/* The same user however it is spelt, and a domain that is another one. */
static void test_response_key_case(void **state) {
    (void)state;
    static const uint8_t hash[16] = {1};
    uint8_t a[16], b[16], names[3][16];
    struct writer writers[3];

    static const char *const spelt[] = {"J\xc3\xbcrgen", "j\xc3\x9cRGEN", "J\xc3\xbcrgem"};
    for (unsigned i = 0; i < 3; i++) {
        writers[i] = writer_over(names[i], sizeof names[i]);
        assert_true(text_to_utf16(text_span(spelt[i]), &writers[i]));
    }
    assert_true(ntlm_response_key(hash, writer_done(&writers[0]), writer_done(&writers[1]), a));
    assert_true(ntlm_response_key(hash, writer_done(&writers[1]), writer_done(&writers[1]), b));
    assert_memory_equal(a, b, 16);
    assert_true(ntlm_response_key(hash, writer_done(&writers[2]), writer_done(&writers[1]), b));
    assert_memory_not_equal(a, b, 16);
    assert_true(ntlm_response_key(hash, writer_done(&writers[0]), writer_done(&writers[0]), b));
    assert_memory_not_equal(a, b, 16);
}

/* ---- DER and SPNEGO ---- */

static void test_der_lengths(void **state) {
    (void)state;
    static const struct {
        const char *octets;
        bool good;
        size_t size;
    } cases[] = {
        {"0400", true, 0},          {"0401aa", true, 1},      {"0402aa", false, 0},
        {"048101aa", false, 0},     {"04820001aa", false, 0}, {"0480aa0000", false, 0},
        {"0483000001aa", false, 0}, {"04", false, 0},         {"0481", false, 0},
        {"0401", false, 0},         {"0501aa", false, 0},     {"04ffaa", false, 0},
    };
    uint8_t *large = calloc(1, 70000);
    struct writer writer;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct octets octets = hex(cases[i].octets);
        struct reader reader = reader_over((struct span){octets.data, octets.size});
        struct span content = der_take(&reader, DER_OCTET_STRING);

        assert_int_equal(!reader.failed, cases[i].good);
        assert_int_equal(content.size, cases[i].good ? cases[i].size : 0);
    }
    for (size_t size = 0; size <= 66000; size += size < 300 ? 1 : 4321) {
        struct reader reader;

        writer = writer_over(large, 70000);
        der_put_header(&writer, DER_OCTET_STRING, size);
        writer_zero(&writer, size);
        assert_int_equal(writer.failed, size > 65535);
        if (writer.failed)
            continue;
        assert_int_equal(writer.at, der_size(size));
        reader = reader_over(writer_done(&writer));
        assert_int_equal(der_take(&reader, DER_OCTET_STRING).size, size);
        assert_true(der_is_done(&reader));
    }
    free(large);
}

/* What everybody's server sends where it knows NTLM alone. */
static void test_hint(void **state) {
    (void)state;
    static const char text[] = "not_defined_in_RFC4178@please_ignore";
    const struct auth_acceptor_config ntlm = {.computer = "A", .allow_guest = true},
                                      both = {.computer = "A", .allow_guest = true, .keytab = "k"};
    uint8_t room[AUTH_HINT_MAX];
    struct writer writer = writer_over(room, sizeof room);
    struct spnego_init init;

    assert_true(auth_hint_put(&ntlm, &writer));
    assert_int_equal(writer.at, 74);
    assert_hex("604806062b0601050502a03e303ca00e300c060a2b06010401823702020aa32a3028a0261b24", room,
               38);
    assert_memory_equal(room + 38, text, 36);
    assert_true(spnego_init_decode(writer_done(&writer), &init));
    writer = writer_over(room, sizeof room);
    assert_true(auth_hint_put(&both, &writer));
    assert_true(spnego_init_decode(writer_done(&writer), &init));
    assert_int_equal(init.count, 3);
    assert_int_equal(init.mechanisms[0], SPNEGO_MS_KERBEROS);
    assert_int_equal(init.mechanisms[1], SPNEGO_KERBEROS);
    assert_int_equal(init.mechanisms[2], SPNEGO_NTLM);
}

static void test_spnego_refuses(void **state) {
    struct span token = security_buffer(*state, "pa.ss1", 76);
    struct spnego_init init;
    struct spnego_response response;

    for (size_t size = 0; size < token.size; size++)
        assert_false(spnego_init_decode(span_slice(token, 0, size), &init));
    token = security_buffer(*state, "pa.ss1rsp", 68);
    for (size_t size = 0; size < token.size; size++)
        assert_false(spnego_response_decode(span_slice(token, 0, size), &response));
    /* More mechanisms than are read. */
    uint8_t room[512];
    struct writer writer = writer_over(room, sizeof room);
    enum spnego_mechanism many[SPNEGO_MECHANISMS_MAX + 1] = {0};
    assert_true(spnego_hint_encode(many, SPNEGO_MECHANISMS_MAX, &writer));
    assert_true(spnego_init_decode(writer_done(&writer), &init));
    writer = writer_over(room, sizeof room);
    assert_true(spnego_hint_encode(many, SPNEGO_MECHANISMS_MAX + 1, &writer));
    assert_false(spnego_init_decode(writer_done(&writer), &init));
    writer = writer_over(room, sizeof room);
    assert_true(spnego_hint_encode(many, 0, &writer));
    assert_false(spnego_init_decode(writer_done(&writer), &init));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_md4),
        cmocka_unit_test(test_md4_padding),
        cmocka_unit_test(test_rc4),
        cmocka_unit_test(test_hmac_md5),
        cmocka_unit_test(test_trace_tokens),
        cmocka_unit_test(test_trace_keys),
        cmocka_unit_test(test_cut_messages),
        cmocka_unit_test(test_field_offsets),
        cmocka_unit_test(test_old_responses),
        cmocka_unit_test(test_hash_refuses),
        cmocka_unit_test(test_response_key_case),
        cmocka_unit_test(test_der_lengths),
        cmocka_unit_test(test_hint),
        cmocka_unit_test(test_spnego_refuses),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
