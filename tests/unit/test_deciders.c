/* The deciders of NEGOTIATE and of FSCTL_VALIDATE_NEGOTIATE_INFO, rule by rule: an exchange that is right but for one
 * thing, and the verdict that it must get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exchange.h"
#include "raised.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Where things stand in the messages that exchange.c makes with the default policies (3.1.1). */
enum {
    REQUEST_DIALECTS = 100,
    REQUEST_PREAUTH = 112,    /* context header; its data 8 octets on */
    REQUEST_ENCRYPTION = 160,
    REQUEST_SIGNING = 184,
    RESPONSE_PREAUTH = 128,
    RESPONSE_ENCRYPTION = 176,
    RESPONSE_SIGNING = 192,
};

static const uint16_t below_311[] = {0x0202, 0x0210, 0x0300, 0x0302};

static void assert_verdict(struct verdict verdict, enum rule rule, enum action action, uint32_t status,
                           uint32_t offset) {
    assert_rule(verdict.rule, rule);
    assert_int_equal(verdict.action, action);
    assert_int_equal(verdict.status, status);
    assert_int_equal(verdict.offset, offset);
}

static void assert_accepted(struct verdict verdict) {
    assert_verdict(verdict, RULE_NONE, ACTION_ACCEPT, 0, 0);
}

/* One change to a message: `width` octets at `offset`; and, where `size` is not 0, its new length. */
struct change {
    size_t offset;
    unsigned width;
    uint64_t value;
    size_t size;
};

static void octets_change(struct octets *octets, const struct change *change) {
    octets_put(octets, change->offset, change->width, change->value);
    if (change->size > octets->size)
        memset(octets->data + octets->size, 0, change->size - octets->size);
    if (change->size > 0)
        octets->size = change->size;
}

struct bad_message {
    struct change change;
    enum rule rule;
    enum action action;
    uint32_t status;
    uint32_t offset;
};

#define PARAMETER ((uint32_t)STATUS_INVALID_PARAMETER)
#define RESPONSE  ((uint32_t)STATUS_INVALID_NETWORK_RESPONSE)

static const struct bad_message bad_requests[] = {
    {{16, 4, SMB2_FLAGS_SIGNED, 0}, RULE_NEGOTIATE_SIGNED, ACTION_REFUSE, PARAMETER, 16},
    {{24, 8, 1, 0}, RULE_NEGOTIATE_MESSAGE_ID, ACTION_DISCONNECT, 0, 24},
    {{64, 2, 37, 0}, RULE_NEGOTIATE_MALFORMED, ACTION_REFUSE, PARAMETER, 64},
    {{64, 2, 36, 99}, RULE_NEGOTIATE_MALFORMED, ACTION_REFUSE, PARAMETER, 64},
    {{66, 2, 0, 0}, RULE_NEGOTIATE_NO_DIALECTS, ACTION_REFUSE, PARAMETER, 66},
    {{66, 2, 51, 0}, RULE_NEGOTIATE_MALFORMED, ACTION_REFUSE, PARAMETER, 66},
    {{66, 2, 65, 400}, RULE_NEGOTIATE_TOO_MANY_DIALECTS, ACTION_REFUSE, PARAMETER, 66},
    {{92, 4, 113, 0}, RULE_CONTEXTS_MALFORMED, ACTION_REFUSE, PARAMETER, 113},
    {{92, 4, 104, 0}, RULE_CONTEXTS_MALFORMED, ACTION_REFUSE, PARAMETER, 104},
    {{92, 4, 0xfffffff8, 0}, RULE_CONTEXTS_MALFORMED, ACTION_REFUSE, PARAMETER, 0xfffffff8},
    {{96, 2, 4, 0}, RULE_CONTEXTS_MALFORMED, ACTION_REFUSE, PARAMETER, 200},
    {{REQUEST_SIGNING + 2, 2, 9, 0}, RULE_CONTEXTS_MALFORMED, ACTION_REFUSE, PARAMETER, 178},
    {{96, 2, 0, 0}, RULE_CONTEXT_PREAUTH_COUNT, ACTION_REFUSE, PARAMETER, 92},
    {{REQUEST_PREAUTH, 2, 0x4444, 0}, RULE_CONTEXT_PREAUTH_COUNT, ACTION_REFUSE, PARAMETER, REQUEST_PREAUTH},
    {{REQUEST_SIGNING, 2, CONTEXT_PREAUTH_INTEGRITY, 0},
     RULE_CONTEXT_PREAUTH_COUNT,
     ACTION_REFUSE,
     PARAMETER,
     REQUEST_SIGNING},
    {{REQUEST_SIGNING, 2, CONTEXT_ENCRYPTION, 0}, RULE_CONTEXT_TWICE, ACTION_REFUSE, PARAMETER, REQUEST_SIGNING},
    {{REQUEST_SIGNING + 8, 2, 4, 0}, RULE_CONTEXT_SHORT, ACTION_REFUSE, PARAMETER, REQUEST_SIGNING},
    {{REQUEST_PREAUTH + 10, 2, 33, 0}, RULE_CONTEXT_SHORT, ACTION_REFUSE, PARAMETER, REQUEST_PREAUTH},
    {{REQUEST_ENCRYPTION + 2, 2, 1, 0}, RULE_CONTEXT_SHORT, ACTION_REFUSE, PARAMETER, REQUEST_ENCRYPTION},
    {{REQUEST_ENCRYPTION + 8, 2, 0, 0}, RULE_CONTEXT_EMPTY, ACTION_REFUSE, PARAMETER, REQUEST_ENCRYPTION},
    {{REQUEST_SIGNING + 8, 2, 0, 0}, RULE_CONTEXT_EMPTY, ACTION_REFUSE, PARAMETER, REQUEST_SIGNING},
    {{REQUEST_PREAUTH + 12, 2, 2, 0},
     RULE_CONTEXT_HASH_OVERLAP,
     ACTION_REFUSE,
     (uint32_t)STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP,
     REQUEST_PREAUTH},
};

static void test_bad_requests(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad_requests); i++) {
        const struct bad_message *bad = &bad_requests[i];
        struct exchange exchange;
        exchange_init(&exchange);
        exchange_offer(&exchange);
        octets_change(&exchange.request, &bad->change);
        struct verdict verdict = exchange_serve(&exchange);
        assert_verdict(verdict, bad->rule, bad->action, bad->status, bad->offset);
        assert_int_equal(exchange.server.stage, NEGOTIATION_NONE);
        assert_false(exchange.server.offered.known);
    }
}

/* A NEGOTIATE that was refused may be followed by another one. */
static void test_request_after_refusal(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer(&exchange);
    octets_put(&exchange.request, 66, 2, 0);
    assert_int_equal(exchange_serve(&exchange).action, ACTION_REFUSE);
    exchange_offer(&exchange);
    assert_accepted(exchange_serve(&exchange));
    assert_accepted(exchange_receive(&exchange));
    assert_int_equal(exchange.server.agreed.dialect, SMB2_DIALECT_311);
}

static void test_second_negotiate(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_negotiate(&exchange);
    exchange_offer(&exchange);
    assert_verdict(exchange_serve(&exchange), RULE_NEGOTIATE_SECOND, ACTION_DISCONNECT, 0, 0);
    assert_int_equal(exchange.server.agreed.dialect, SMB2_DIALECT_311);
}

static void test_no_common_dialect(void **state) {
    (void)state;
    static const uint16_t old[] = {0x0202};
    static const uint16_t unknown[] = {0x0222, 0x0310, 0x02ff, 0x0401};
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.client_policy.dialects, unknown, COUNT_OF(unknown));
    exchange_offer(&exchange);
    assert_verdict(exchange_serve(&exchange), RULE_NEGOTIATE_NO_COMMON_DIALECT, ACTION_REFUSE,
                   (uint32_t)STATUS_NOT_SUPPORTED, REQUEST_DIALECTS);
    assert_verdict(exchange_receive(&exchange), RULE_RESPONSE_STATUS, ACTION_REFUSE, (uint32_t)STATUS_NOT_SUPPORTED, 8);
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.client_policy.dialects, below_311 + 1, 3);
    exchange_set_dialects(&exchange.server_policy.dialects, old, 1);
    exchange_offer(&exchange);
    assert_rule(exchange_serve(&exchange).rule, RULE_NEGOTIATE_NO_COMMON_DIALECT);
}

/* Odd, but nobody is refused for it. */
static void test_oddities(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer(&exchange);
    octets_put(&exchange.request, 70, 2, 1);
    assert_verdict(exchange_serve(&exchange), RULE_NEGOTIATE_RESERVED, ACTION_NOTE, 0, 70);
    assert_accepted(exchange_receive(&exchange));
    exchange_init(&exchange);
    memset(exchange.client_policy.guid, 0, 16);
    exchange_offer(&exchange);
    assert_verdict(exchange_serve(&exchange), RULE_NEGOTIATE_GUID_ZERO, ACTION_NOTE, 0, 76);
    assert_int_equal(exchange.server.stage, NEGOTIATION_DONE);
}

/* Below 3.1.1 the list is not looked at, and without 0x0311 the octets are something else (3.3.5.4). */
static void test_contexts_ignored_below_311(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.server_policy.dialects, below_311, COUNT_OF(below_311));
    exchange_offer(&exchange);
    octets_put(&exchange.request, 92, 4, 0xffffffff);
    assert_accepted(exchange_serve(&exchange));
    octets_put(&exchange.response, 70, 2, 0xffff);
    octets_put(&exchange.response, 124, 4, 0x204d4c20);
    assert_accepted(exchange_receive(&exchange));
    assert_int_equal(exchange.client.agreed.dialect, SMB2_DIALECT_302);
}

/* Dialects in any order, twice, and unknown ones among them. */
static void test_dialect_choice(void **state) {
    (void)state;
    static const uint16_t shuffled[] = {0x0302, 0x0300, 0x0777, 0x0302, 0x0210};
    static const uint16_t implemented[] = {0x0300, 0x0202, 0x0210};
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.client_policy.dialects, shuffled, COUNT_OF(shuffled));
    exchange_set_dialects(&exchange.server_policy.dialects, implemented, COUNT_OF(implemented));
    exchange_negotiate(&exchange);
    assert_int_equal(exchange.server.agreed.dialect, SMB2_DIALECT_300);
    assert_int_equal(exchange.server.offered.dialect_count, COUNT_OF(shuffled));
    assert_memory_equal(exchange.server.offered.dialects, shuffled, sizeof shuffled);
}

static void test_choices_of_311(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_negotiate(&exchange);
    const struct negotiation_agreed *agreed = &exchange.client.agreed;
    assert_int_equal(agreed->hash, HASH_SHA512);
    assert_int_equal(agreed->cipher, CIPHER_AES_128_GCM);
    assert_int_equal(agreed->signing_algorithm, SIGNING_AES_GMAC);
    assert_true(agreed->multi_credit);
    assert_true(agreed->must_sign_tree_connect);
    assert_false(agreed->must_validate);
    assert_memory_equal(&exchange.server.offered, &exchange.client.offered, sizeof exchange.client.offered);
    assert_int_equal(exchange.client.offered.contexts.salt_size, 32);
    assert_int_equal(exchange.client.offered.contexts.ciphers.count, 4);
    assert_int_equal(exchange.client.answered.contexts.raw_size, 76);
    assert_int_equal(octets_get(&exchange.response, 70, 2), 3);
    assert_int_equal(octets_get(&exchange.response, 72, 4), 0x5e5e5e5e);
    assert_int_equal(octets_get(&exchange.response, 88, 4), 0x07);
    assert_int_equal(octets_get(&exchange.response, 124, 4), 128);
}

/* No common cipher is said by 0, no common signing algorithm by silence; contexts not sent are not answered. */
static void test_nothing_in_common(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange.server_policy.ciphers = (struct id_list){{CIPHER_AES_256_GCM}, 1};
    exchange.client_policy.ciphers = (struct id_list){{CIPHER_AES_128_GCM}, 1};
    exchange.server_policy.signing_algorithms = (struct id_list){{SIGNING_AES_CMAC}, 1};
    exchange.client_policy.signing_algorithms = (struct id_list){{SIGNING_AES_GMAC}, 1};
    exchange_negotiate(&exchange);
    assert_int_equal(exchange.client.agreed.cipher, CIPHER_NONE);
    assert_int_equal(exchange.client.agreed.signing_algorithm, SIGNING_AES_CMAC);
    assert_true(exchange.client.answered.contexts.ciphers.present);
    assert_false(exchange.client.answered.contexts.signing.present);
    assert_int_equal(octets_get(&exchange.response, 70, 2), 2);
    exchange_init(&exchange);
    exchange.client_policy.encryption = ENCRYPTION_OFF;
    exchange.client_policy.signing_algorithms.count = 0;
    exchange_negotiate(&exchange);
    assert_int_equal(exchange.client.answered.contexts.count, 1);
    assert_int_equal(exchange.server.agreed.signing_algorithm, SIGNING_AES_CMAC);
}

/* Unknown types, NETNAME and a second transport context in a request do no harm. */
static void test_contexts_of_others(void **state) {
    (void)state;
    static const uint8_t more[] = {
        0, 1, 3, 0, 0, 0, 0, 0, 'a', 'b', 'c', 0, 0, 0, 0, 0, /* 0x0100 */
        5, 0, 2, 0, 0, 0, 0, 0, 's', 0,   0,   0, 0, 0, 0, 0, /* NETNAME */
        6, 0, 4, 0, 0, 0, 0, 0, 1,   0,   0,   0, 0, 0, 0, 0, /* TRANSPORT */
        6, 0, 4, 0, 0, 0, 0, 0, 1,   0,   0,   0,
    };
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer(&exchange);
    octets_put(&exchange.request, 96, 2, 7);
    octets_append(&exchange.request, more, sizeof more);
    assert_accepted(exchange_serve(&exchange));
    assert_int_equal(exchange.server.offered.contexts.transport_count, 2);
    assert_int_equal(exchange.server.offered.contexts.transport_flags, 1);
}

/* An extra context behind those of the default request, and what the server says to it. */
static void assert_extra_context(const uint8_t *octets, size_t size, enum rule rule) {
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer(&exchange);
    octets_put(&exchange.request, 96, 2, 4);
    octets_append(&exchange.request, octets, size);
    struct verdict verdict = exchange_serve(&exchange);
    assert_rule(verdict.rule, rule);
    if (rule != RULE_NONE)
        assert_int_equal(verdict.offset, 200);
}

static void test_compression_and_rdma_requests(void **state) {
    (void)state;
    static const uint8_t lz77[] = {3, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0};
    static const uint8_t none[] = {3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t counts_two[] = {3, 0, 10, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0};
    static const uint8_t rdma[] = {7, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    static const uint8_t rdma_none[] = {7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t transport_short[] = {6, 0, 2, 0, 0, 0, 0, 0, 1, 0};
    assert_extra_context(lz77, sizeof lz77, RULE_NONE);
    assert_extra_context(none, sizeof none, RULE_CONTEXT_EMPTY);
    assert_extra_context(counts_two, sizeof counts_two, RULE_CONTEXT_SHORT);
    assert_extra_context(rdma, sizeof rdma, RULE_NONE);
    assert_extra_context(rdma_none, sizeof rdma_none, RULE_CONTEXT_EMPTY);
    assert_extra_context(transport_short, sizeof transport_short, RULE_CONTEXT_SHORT);
}

static uint32_t capabilities_answered(uint16_t dialect, enum transport transport, uint32_t client) {
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.server_policy.dialects, &dialect, 1);
    exchange.server_policy.capabilities = 0xff;
    exchange.client_policy.capabilities = client;
    exchange.client_policy.transport = exchange.server_policy.transport = transport;
    exchange_negotiate(&exchange);
    return exchange.client.answered.capabilities;
}

/* 3.3.5.4: by dialect, by transport, and what is only echoed. */
static void test_capabilities(void **state) {
    (void)state;
    assert_int_equal(capabilities_answered(0x0202, TRANSPORT_DIRECT_TCP, 0xff), 0x01);
    assert_int_equal(capabilities_answered(0x0210, TRANSPORT_DIRECT_TCP, 0xff), 0x07);
    assert_int_equal(capabilities_answered(0x0210, TRANSPORT_NETBIOS, 0xff), 0x03);
    assert_int_equal(capabilities_answered(0x0300, TRANSPORT_DIRECT_TCP, 0xff), 0x7f);
    assert_int_equal(capabilities_answered(0x0302, TRANSPORT_DIRECT_TCP, 0x08), 0x4f);
    assert_int_equal(capabilities_answered(0x0302, TRANSPORT_NETBIOS, 0x7f), 0x7b);
    assert_int_equal(capabilities_answered(0x0311, TRANSPORT_DIRECT_TCP, 0xff), 0xbf);
    assert_int_equal(capabilities_answered(0x0311, TRANSPORT_DIRECT_TCP, 0x00), 0x07);
}

/* 3.1.1 and large transfers need direct TCP. */
static void test_netbios(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange.server_policy.transport = TRANSPORT_NETBIOS;
    exchange_offer(&exchange);
    assert_accepted(exchange_serve(&exchange));
    assert_int_equal(exchange.server.agreed.dialect, SMB2_DIALECT_302);
    assert_false(exchange.server.agreed.multi_credit);
    assert_int_equal(exchange.server.agreed.max_read_size, 65536);
    exchange_init(&exchange);
    exchange.client_policy.transport = TRANSPORT_NETBIOS;
    exchange_offer(&exchange);
    assert_int_equal(exchange.client.offered.dialect_count, 4);
}

static void test_encryption_required(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange.server_policy.encryption = ENCRYPTION_MUST;
    exchange_negotiate(&exchange);
    assert_accepted(server_validate_encryption(&exchange.server, &exchange.server_policy));
    exchange_init(&exchange);
    exchange.server_policy.encryption = ENCRYPTION_MUST;
    exchange_set_dialects(&exchange.client_policy.dialects, below_311, 2);
    exchange_negotiate(&exchange);
    assert_verdict(server_validate_encryption(&exchange.server, &exchange.server_policy), RULE_ENCRYPTION_REQUIRED,
                   ACTION_REFUSE, (uint32_t)STATUS_ACCESS_DENIED, 0);
    exchange_init(&exchange);
    exchange.client_policy.encryption = ENCRYPTION_MUST;
    exchange.server_policy.encryption = ENCRYPTION_OFF;
    exchange_offer(&exchange);
    assert_accepted(exchange_serve(&exchange));
    assert_verdict(exchange_receive(&exchange), RULE_ENCRYPTION_UNAVAILABLE, ACTION_REFUSE,
                   (uint32_t)STATUS_NOT_SUPPORTED, 68);
    assert_int_equal(exchange.client.stage, NEGOTIATION_NONE);
}

/* 3.3.5.3 */
static const char *const windows_strings[] = {"NT LM 0.12", "SMB 2.002", "SMB 2.???"};

static void test_smb1_wildcard(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    assert_accepted(exchange_serve(&exchange));
    assert_int_equal(exchange.server.stage, NEGOTIATION_WILDCARD);
    assert_int_equal(octets_get(&exchange.response, 68, 2), 0x02ff);
    assert_int_equal(octets_get(&exchange.response, 88, 4), 0x07);
    assert_accepted(exchange_receive(&exchange));
    assert_int_equal(exchange.client.stage, NEGOTIATION_WILDCARD);
    exchange_negotiate(&exchange);
    assert_int_equal(exchange.client.agreed.dialect, SMB2_DIALECT_311);
    assert_int_equal(exchange.server.negotiates_seen, 2);
}

static void test_smb1_202(void **state) {
    (void)state;
    static const uint16_t only_202[] = {0x0202};
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.server_policy.dialects, only_202, 1);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    assert_accepted(exchange_serve(&exchange));
    assert_accepted(exchange_receive(&exchange));
    assert_int_equal(exchange.client.agreed.dialect, SMB2_DIALECT_202);
    assert_true(exchange.client.agreed.must_validate);
    assert_false(exchange.server.agreed.multi_credit);
    exchange_ask(&exchange);
    struct verdict verdict = exchange_serve_info(&exchange, PROTECTION_SIGNED);
    assert_verdict(verdict, RULE_INFO_NOT_IMPLEMENTED, ACTION_REFUSE, (uint32_t)STATUS_FILE_CLOSED, 0);
    assert_accepted(exchange_receive_info(&exchange, PROTECTION_SIGNED));
    assert_int_equal(exchange.client.validation, VALIDATION_UNSUPPORTED);
}

/* Somebody takes "SMB 2.???" away: 2.0.2 comes out, and the validation finds it. */
static void test_smb1_wildcard_stripped(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    struct negotiation sent = exchange.client;
    exchange_offer_smb1(&exchange, windows_strings, 2);
    exchange.client = sent;
    assert_accepted(exchange_serve(&exchange));
    assert_accepted(exchange_receive(&exchange));
    assert_int_equal(exchange.client.agreed.dialect, SMB2_DIALECT_202);
    exchange_ask(&exchange);
    assert_int_equal(exchange_serve_info(&exchange, PROTECTION_SIGNED).action, ACTION_DISCONNECT);
}

static void test_smb1_refused(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 1);
    assert_verdict(exchange_serve(&exchange), RULE_SMB1_NO_DIALECT, ACTION_DISCONNECT, 0, 35);
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    octets_put(&exchange.request, 33, 2, 60000);
    assert_verdict(exchange_serve(&exchange), RULE_SMB1_MALFORMED, ACTION_DISCONNECT, 0, 35);
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    exchange_serve(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    assert_verdict(exchange_serve(&exchange), RULE_SMB1_AFTER_NEGOTIATE, ACTION_DISCONNECT, 0, 0);
    exchange_init(&exchange);
    exchange_negotiate(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    assert_rule(exchange_serve(&exchange).rule, RULE_SMB1_AFTER_NEGOTIATE);
}

static const struct bad_message bad_responses[] = {
    {{8, 4, (uint32_t)STATUS_INVALID_PARAMETER, 0}, RULE_RESPONSE_STATUS, ACTION_REFUSE, PARAMETER, 8},
    {{64, 2, 9, 0}, RULE_RESPONSE_MALFORMED, ACTION_REFUSE, RESPONSE, 64},
    {{64, 2, 65, 127}, RULE_RESPONSE_MALFORMED, ACTION_REFUSE, RESPONSE, 64},
    {{122, 2, 77, 0}, RULE_RESPONSE_MALFORMED, ACTION_REFUSE, RESPONSE, 120},
    {{120, 4, 0x00010078, 0}, RULE_RESPONSE_MALFORMED, ACTION_REFUSE, RESPONSE, 120},
    {{12, 2, SMB2_ECHO, 0}, RULE_RESPONSE_MALFORMED, ACTION_REFUSE, RESPONSE, 64},
    {{92, 4, 65535, 0}, RULE_RESPONSE_SIZES, ACTION_DISCONNECT, 0, 92},
    {{96, 4, 4096, 0}, RULE_RESPONSE_SIZES, ACTION_DISCONNECT, 0, 96},
    {{100, 4, 0, 0}, RULE_RESPONSE_SIZES, ACTION_DISCONNECT, 0, 100},
    {{68, 2, 0x02ff, 0}, RULE_RESPONSE_WILDCARD, ACTION_DISCONNECT, 0, 68},
    {{68, 2, 0x0310, 0}, RULE_RESPONSE_DIALECT, ACTION_DISCONNECT, 0, 68},
    {{68, 2, 0, 0}, RULE_RESPONSE_DIALECT, ACTION_DISCONNECT, 0, 68},
    {{124, 4, 129, 0}, RULE_RESPONSE_CONTEXTS_MALFORMED, ACTION_REFUSE, RESPONSE, 129},
    {{124, 4, 120, 0}, RULE_RESPONSE_CONTEXTS_MALFORMED, ACTION_REFUSE, RESPONSE, 120},
    {{70, 2, 4, 0}, RULE_RESPONSE_CONTEXTS_MALFORMED, ACTION_REFUSE, RESPONSE, 204},
    {{70, 2, 0, 0}, RULE_RESPONSE_PREAUTH_COUNT, ACTION_REFUSE, RESPONSE, 124},
    {{RESPONSE_PREAUTH, 2, 0x0100, 0}, RULE_RESPONSE_PREAUTH_COUNT, ACTION_REFUSE, RESPONSE, RESPONSE_PREAUTH},
    {{RESPONSE_SIGNING, 2, CONTEXT_ENCRYPTION, 0},
     RULE_RESPONSE_CONTEXT_TWICE,
     ACTION_REFUSE,
     RESPONSE,
     RESPONSE_SIGNING},
    {{RESPONSE_SIGNING + 8, 2, 2, 0}, RULE_RESPONSE_CONTEXT_SHORT, ACTION_REFUSE, RESPONSE, RESPONSE_SIGNING},
    {{RESPONSE_PREAUTH + 12, 2, 2, 0}, RULE_RESPONSE_HASH, ACTION_REFUSE, RESPONSE, RESPONSE_PREAUTH},
    {{RESPONSE_PREAUTH + 8, 4, 0x001e0002, 0}, RULE_RESPONSE_HASH, ACTION_REFUSE, RESPONSE, RESPONSE_PREAUTH},
    {{RESPONSE_PREAUTH + 8, 2, 0, 0}, RULE_RESPONSE_HASH, ACTION_REFUSE, RESPONSE, RESPONSE_PREAUTH},
    {{RESPONSE_ENCRYPTION + 10, 2, 5, 0}, RULE_RESPONSE_CIPHER, ACTION_REFUSE, RESPONSE, RESPONSE_ENCRYPTION},
    {{RESPONSE_ENCRYPTION + 8, 2, 0, 0}, RULE_RESPONSE_CIPHER, ACTION_REFUSE, RESPONSE, RESPONSE_ENCRYPTION},
    {{RESPONSE_SIGNING + 10, 2, 3, 0}, RULE_RESPONSE_SIGNING, ACTION_REFUSE, RESPONSE, RESPONSE_SIGNING},
    {{RESPONSE_SIGNING + 10, 2, 777, 0}, RULE_RESPONSE_SIGNING, ACTION_REFUSE, RESPONSE, RESPONSE_SIGNING},
    {{RESPONSE_SIGNING + 8, 2, 0, 0}, RULE_RESPONSE_SIGNING, ACTION_REFUSE, RESPONSE, RESPONSE_SIGNING},
};

static void test_bad_responses(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad_responses); i++) {
        const struct bad_message *bad = &bad_responses[i];
        struct exchange exchange;
        exchange_init(&exchange);
        exchange_offer(&exchange);
        assert_accepted(exchange_serve(&exchange));
        octets_change(&exchange.response, &bad->change);
        struct verdict verdict = exchange_receive(&exchange);
        assert_verdict(verdict, bad->rule, bad->action, bad->status, bad->offset);
        assert_int_equal(exchange.client.stage, NEGOTIATION_NONE);
        assert_false(exchange.client.answered.known);
    }
}

/* A context of the response that the client has not asked for. */
static enum rule rule_of_extra_answer(const uint8_t *octets, size_t size, unsigned count) {
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer(&exchange);
    assert_accepted(exchange_serve(&exchange));
    octets_put(&exchange.response, 70, 2, 3 + count);
    static const uint8_t padding[8];
    octets_append(&exchange.response, padding, 4);
    octets_append(&exchange.response, octets, size);
    return exchange_receive(&exchange).rule;
}

static void test_extra_answers(void **state) {
    (void)state;
    static const uint8_t lz77[] = {3, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0};
    static const uint8_t lz77_none[] = {3, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t none_twice[] = {3, 0, 12, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t empty[] = {3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t high[] = {3, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 32, 0};
    static const uint8_t rdma[] = {7, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    static const uint8_t rdma_empty[] = {7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t transports[] = {6, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                                         6, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    static const uint8_t unknown[] = {0, 1, 2, 0, 0, 0, 0, 0, 1, 0};
    assert_rule(rule_of_extra_answer(lz77, sizeof lz77, 1), RULE_RESPONSE_COMPRESSION);
    assert_rule(rule_of_extra_answer(lz77_none, sizeof lz77_none, 1), RULE_NONE);
    assert_rule(rule_of_extra_answer(none_twice, sizeof none_twice, 1), RULE_RESPONSE_COMPRESSION);
    assert_rule(rule_of_extra_answer(empty, sizeof empty, 1), RULE_RESPONSE_COMPRESSION);
    assert_rule(rule_of_extra_answer(high, sizeof high, 1), RULE_RESPONSE_COMPRESSION);
    assert_rule(rule_of_extra_answer(rdma, sizeof rdma, 1), RULE_RESPONSE_RDMA);
    assert_rule(rule_of_extra_answer(rdma_empty, sizeof rdma_empty, 1), RULE_RESPONSE_RDMA);
    assert_rule(rule_of_extra_answer(transports, sizeof transports, 2), RULE_RESPONSE_CONTEXT_TWICE);
    assert_rule(rule_of_extra_answer(unknown, sizeof unknown, 1), RULE_NONE);
}

/* A cipher or signing algorithm of a client that has offered none. */
static void test_answer_to_nothing(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer(&exchange);
    assert_accepted(exchange_serve(&exchange));
    exchange.client.offered.contexts.ciphers = (struct id_summary){.present = false};
    assert_rule(exchange_receive(&exchange).rule, RULE_RESPONSE_CIPHER);
    exchange_init(&exchange);
    exchange_offer(&exchange);
    assert_accepted(exchange_serve(&exchange));
    exchange.client.offered.contexts.signing = (struct id_summary){.present = false};
    assert_rule(exchange_receive(&exchange).rule, RULE_RESPONSE_SIGNING);
}

static void test_small_sizes_of_old_servers(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange.client_policy.accept_small_sizes = true;
    exchange.server_policy.max_read_size = 4096;
    exchange_negotiate(&exchange);
    assert_int_equal(exchange.client.agreed.max_read_size, 4096);
    exchange_init(&exchange);
    exchange.client_policy.accept_small_sizes = true;
    exchange.server_policy.max_read_size = 4095;
    exchange_offer(&exchange);
    exchange_serve(&exchange);
    assert_rule(exchange_receive(&exchange).rule, RULE_RESPONSE_SIZES);
}

/* 0x02FF: after "SMB 2.???" only, and over NetBIOS not for a client of 3.1.1. */
static void test_wildcard_responses(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    exchange_serve(&exchange);
    exchange.client.offered.smb1_wildcard = false;
    assert_verdict(exchange_receive(&exchange), RULE_RESPONSE_WILDCARD, ACTION_DISCONNECT, 0, 68);
    exchange.client.offered.smb1_wildcard = true;
    exchange.client_policy.transport = TRANSPORT_NETBIOS;
    assert_verdict(exchange_receive(&exchange), RULE_RESPONSE_WILDCARD_NETBIOS, ACTION_DISCONNECT, 0, 68);
    exchange_set_dialects(&exchange.client_policy.dialects, below_311, COUNT_OF(below_311));
    assert_accepted(exchange_receive(&exchange));
    octets_put(&exchange.response, 68, 2, 0x0210);
    assert_rule(exchange_receive(&exchange).rule, RULE_RESPONSE_DIALECT);
}

static void test_other_answers(void **state) {
    (void)state;
    static const uint8_t smb1[] = {0xff, 'S', 'M', 'B', 0x72, 0, 0, 0, 0, 0x98};
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, windows_strings, 3);
    memset(&exchange.response, 0, sizeof exchange.response);
    octets_append(&exchange.response, smb1, sizeof smb1);
    exchange.response.size = 37;
    assert_rule(exchange_receive(&exchange).rule, RULE_SMB1_MESSAGE);
    exchange_init(&exchange);
    exchange_offer(&exchange);
    exchange_serve(&exchange);
    octets_put(&exchange.response, 8, 4, STATUS_PENDING);
    assert_accepted(exchange_receive(&exchange));
    assert_int_equal(exchange.client.stage, NEGOTIATION_NONE);
}

static void test_signing_required(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct exchange exchange;
        exchange_init(&exchange);
        exchange.client_policy.signing_required = (i & 1) != 0;
        exchange.server_policy.signing_required = (i & 2) != 0;
        exchange_negotiate(&exchange);
        assert_int_equal(exchange.client.agreed.signing_required, i != 0);
        assert_int_equal(exchange.server.agreed.signing_required, i != 0);
        assert_int_equal(exchange.client.answered.security_mode, (i & 2) != 0 ? 3 : 1);
        assert_int_equal(exchange.server.offered.security_mode, (i & 1) != 0 ? 2 : 1);
    }
}

/* FSCTL_VALIDATE_NEGOTIATE_INFO. */

static void exchange_init_302(struct exchange *exchange) {
    exchange_init(exchange);
    exchange_set_dialects(&exchange->client_policy.dialects, below_311, COUNT_OF(below_311));
    exchange_negotiate(exchange);
    exchange_ask(exchange);
}

static void test_info_same(void **state) {
    (void)state;
    static const enum protection protections[] = {PROTECTION_SIGNED, PROTECTION_ENCRYPTED, PROTECTION_UNCHECKED};
    for (unsigned i = 0; i < COUNT_OF(protections); i++) {
        struct exchange exchange;
        exchange_init_302(&exchange);
        assert_true(client_must_validate_info(&exchange.client, &exchange.client_policy, true));
        assert_false(client_must_validate_info(&exchange.client, &exchange.client_policy, false));
        assert_accepted(exchange_serve_info(&exchange, protections[i]));
        assert_int_equal(exchange.info_response.size, 136);
        assert_accepted(exchange_receive_info(&exchange, protections[i]));
        assert_int_equal(exchange.client.validation, VALIDATION_SAME);
    }
}

/* What a client implements counts, not what was chosen (3.2.5.5). */
static void test_info_when(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_negotiate(&exchange);
    assert_false(client_must_validate_info(&exchange.client, &exchange.client_policy, true));
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.server_policy.dialects, below_311, 2);
    exchange_negotiate(&exchange);
    assert_int_equal(exchange.client.agreed.dialect, SMB2_DIALECT_210);
    assert_true(client_must_validate_info(&exchange.client, &exchange.client_policy, true));
    exchange.client_policy.require_secure_negotiate = false;
    assert_false(client_must_validate_info(&exchange.client, &exchange.client_policy, true));
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.client_policy.dialects, below_311, 2);
    exchange_negotiate(&exchange);
    assert_false(client_must_validate_info(&exchange.client, &exchange.client_policy, true));
    assert_int_equal(exchange.client.offered.capabilities, 0);
}

static const struct bad_message bad_info_requests[] = {
    {{64, 2, 58, 0}, RULE_BODY_INVALID, ACTION_REFUSE, PARAMETER, 64},
    {{112, 4, 0, 0}, RULE_INFO_REQUEST_FLAGS, ACTION_REFUSE, (uint32_t)STATUS_NOT_SUPPORTED, 112},
    {{80, 1, 0, 0}, RULE_INFO_REQUEST_FILE_ID, ACTION_REFUSE, PARAMETER, 72},
    {{92, 4, 0x800001, 0}, RULE_INFO_REQUEST_SIZES, ACTION_REFUSE, PARAMETER, 92},
    {{96, 4, 0x800001, 0}, RULE_INFO_REQUEST_SIZES, ACTION_REFUSE, PARAMETER, 96},
    {{108, 4, 0x800001, 0}, RULE_INFO_REQUEST_SIZES, ACTION_REFUSE, PARAMETER, 108},
    {{88, 4, 112, 0}, RULE_INFO_REQUEST_INPUT, ACTION_REFUSE, PARAMETER, 88},
    {{88, 4, 122, 0}, RULE_INFO_REQUEST_INPUT, ACTION_REFUSE, PARAMETER, 88},
    {{88, 4, 0xfffffff8, 0}, RULE_INFO_REQUEST_INPUT, ACTION_REFUSE, PARAMETER, 92},
    {{92, 4, 33, 0}, RULE_INFO_REQUEST_INPUT, ACTION_REFUSE, PARAMETER, 92},
    {{92, 4, 0, 0}, RULE_INFO_REQUEST_SHORT, ACTION_REFUSE, PARAMETER, 92},
    {{92, 4, 23, 0}, RULE_INFO_REQUEST_SHORT, ACTION_REFUSE, PARAMETER, 120},
    {{142, 2, 5, 0}, RULE_INFO_REQUEST_SHORT, ACTION_REFUSE, PARAMETER, 120},
    {{108, 4, 23, 0}, RULE_INFO_OUTPUT_SMALL, ACTION_DISCONNECT, 0, 108},
    {{142, 2, 3, 0}, RULE_INFO_REQUEST_DIALECTS, ACTION_DISCONNECT, 0, 142},
    {{146, 2, 0x0209, 0}, RULE_INFO_REQUEST_DIALECTS, ACTION_DISCONNECT, 0, 146},
    {{124, 1, 0, 0}, RULE_INFO_REQUEST_GUID, ACTION_DISCONNECT, 0, 124},
    {{139, 1, 0, 0}, RULE_INFO_REQUEST_GUID, ACTION_DISCONNECT, 0, 124},
    {{140, 2, 3, 0}, RULE_INFO_REQUEST_SECURITY_MODE, ACTION_DISCONNECT, 0, 140},
    {{120, 4, 0x07, 0}, RULE_INFO_REQUEST_CAPABILITIES, ACTION_DISCONNECT, 0, 120},
};

static void test_bad_info_requests(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad_info_requests); i++) {
        const struct bad_message *bad = &bad_info_requests[i];
        struct exchange exchange;
        exchange_init_302(&exchange);
        octets_change(&exchange.info_request, &bad->change);
        struct verdict verdict = exchange_serve_info(&exchange, PROTECTION_SIGNED);
        assert_verdict(verdict, bad->rule, bad->action, bad->status, bad->offset);
    }
}

/* A server that does not implement 3.1.1 compares only the greatest common dialect. */
static void test_info_common_dialect(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.server_policy.dialects, below_311, COUNT_OF(below_311));
    exchange_negotiate(&exchange);
    exchange_ask(&exchange);
    octets_put(&exchange.info_request, 144, 2, 0x0777);
    assert_verdict(exchange_serve_info(&exchange, PROTECTION_SIGNED), RULE_INFO_REQUEST_DIALECTS, ACTION_DISCONNECT, 0,
                   144);
    exchange.server_policy.compare_all_dialects = false;
    assert_accepted(exchange_serve_info(&exchange, PROTECTION_SIGNED));
    octets_put(&exchange.info_request, 150, 2, 0x0777);
    assert_verdict(exchange_serve_info(&exchange, PROTECTION_SIGNED), RULE_INFO_REQUEST_COMMON_DIALECT,
                   ACTION_DISCONNECT, 0, 144);
}

static void test_info_order(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init_302(&exchange);
    struct negotiation negotiated = exchange.server;
    negotiation_init(&exchange.server);
    assert_verdict(exchange_serve_info(&exchange, PROTECTION_SIGNED), RULE_COMMAND_BEFORE_NEGOTIATE, ACTION_DISCONNECT,
                   0, 0);
    exchange.server = negotiated;
    assert_verdict(exchange_serve_info(&exchange, PROTECTION_NONE), RULE_INFO_REQUEST_UNSIGNED, ACTION_DISCONNECT, 0,
                   16);
    assert_accepted(exchange_serve_info(&exchange, PROTECTION_IMPOSSIBLE));
    /* Errors that are answered come before those that are not. */
    octets_put(&exchange.info_request, 108, 4, 23);
    octets_put(&exchange.info_request, 72, 1, 0);
    assert_rule(exchange_serve_info(&exchange, PROTECTION_SIGNED).rule, RULE_INFO_REQUEST_FILE_ID);
}

static void test_info_on_311(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init(&exchange);
    exchange_negotiate(&exchange);
    exchange_ask(&exchange);
    assert_verdict(exchange_serve_info(&exchange, PROTECTION_SIGNED), RULE_INFO_ON_311, ACTION_DISCONNECT, 0, 0);
}

static const struct bad_message bad_info_responses[] = {
    {{8, 4, (uint32_t)STATUS_ACCESS_DENIED, 0}, RULE_INFO_RESPONSE_ACCESS_DENIED, ACTION_DISCONNECT, 0, 8},
    {{64, 2, 9, 0}, RULE_INFO_RESPONSE_LENGTH, ACTION_DISCONNECT, 0, 64},
    {{96, 4, 104, 0}, RULE_INFO_RESPONSE_LENGTH, ACTION_DISCONNECT, 0, 96},
    {{96, 4, 0xffffffff, 0}, RULE_INFO_RESPONSE_LENGTH, ACTION_DISCONNECT, 0, 96},
    {{96, 4, 120, 0}, RULE_INFO_RESPONSE_LENGTH, ACTION_DISCONNECT, 0, 100},
    {{100, 4, 23, 0}, RULE_INFO_RESPONSE_LENGTH, ACTION_DISCONNECT, 0, 100},
    {{100, 4, 25, 140}, RULE_INFO_RESPONSE_LENGTH, ACTION_DISCONNECT, 0, 100},
    {{112, 4, 0x07, 0}, RULE_INFO_RESPONSE_CAPABILITIES, ACTION_DISCONNECT, 0, 112},
    {{116, 1, 0, 0}, RULE_INFO_RESPONSE_GUID, ACTION_DISCONNECT, 0, 116},
    {{132, 2, 3, 0}, RULE_INFO_RESPONSE_SECURITY_MODE, ACTION_DISCONNECT, 0, 132},
    {{134, 2, 0x0311, 0}, RULE_INFO_RESPONSE_DIALECT, ACTION_DISCONNECT, 0, 134},
};

static void test_bad_info_responses(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(bad_info_responses); i++) {
        const struct bad_message *bad = &bad_info_responses[i];
        struct exchange exchange;
        exchange_init_302(&exchange);
        assert_accepted(exchange_serve_info(&exchange, PROTECTION_SIGNED));
        octets_change(&exchange.info_response, &bad->change);
        struct verdict verdict = exchange_receive_info(&exchange, PROTECTION_SIGNED);
        assert_verdict(verdict, bad->rule, bad->action, bad->status, bad->offset);
        assert_int_equal(exchange.client.validation, VALIDATION_FAILED);
    }
}

/* Whatever the status: an answer that anybody could have made is none. */
static void test_info_unprotected(void **state) {
    (void)state;
    static const uint32_t statuses[] = {0, (uint32_t)STATUS_NOT_SUPPORTED, (uint32_t)STATUS_ACCESS_DENIED};
    for (unsigned i = 0; i < COUNT_OF(statuses); i++) {
        struct exchange exchange;
        exchange_init_302(&exchange);
        exchange_serve_info(&exchange, PROTECTION_SIGNED);
        octets_put(&exchange.info_response, 8, 4, statuses[i]);
        assert_verdict(exchange_receive_info(&exchange, PROTECTION_NONE), RULE_INFO_RESPONSE_UNPROTECTED,
                       ACTION_DISCONNECT, 0, 16);
        assert_rule(exchange_receive_info(&exchange, PROTECTION_IMPOSSIBLE).rule, RULE_INFO_RESPONSE_UNPROTECTED);
    }
}

/* Signed errors: fine on 2.x; on 3.x a contradiction that a strict client does not let pass (V-10, V-11). */
static void test_info_errors(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init_302(&exchange);
    exchange_serve_info(&exchange, PROTECTION_SIGNED);
    octets_put(&exchange.info_response, 8, 4, (uint32_t)STATUS_INVALID_DEVICE_REQUEST);
    assert_verdict(exchange_receive_info(&exchange, PROTECTION_SIGNED), RULE_INFO_RESPONSE_UNSUPPORTED_3X,
                   ACTION_DISCONNECT, 0, 8);
    exchange.client_policy.refuse_unvalidated_3x = false;
    assert_verdict(exchange_receive_info(&exchange, PROTECTION_SIGNED), RULE_INFO_RESPONSE_UNSUPPORTED_3X, ACTION_NOTE,
                   0, 8);
    assert_int_equal(exchange.client.validation, VALIDATION_UNSUPPORTED);
}

/* Below 3.0 the statuses by which servers say that they do not know the FSCTL, and no other. */
static void test_info_errors_2x(void **state) {
    (void)state;
    static const struct {
        uint32_t status;
        bool accepted;
    } cases[] = {
        {STATUS_FILE_CLOSED, true},           {STATUS_NOT_SUPPORTED, true},     {STATUS_INVALID_DEVICE_REQUEST, true},
        {STATUS_INVALID_PARAMETER, false},    {STATUS_NOT_IMPLEMENTED, false},  {STATUS_FS_DRIVER_REQUIRED, false},
        {STATUS_USER_SESSION_DELETED, false}, {STATUS_BUFFER_TOO_SMALL, false}, {STATUS_BUFFER_OVERFLOW, false},
    };
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        struct exchange exchange;
        exchange_init_302(&exchange);
        exchange_serve_info(&exchange, PROTECTION_SIGNED);
        exchange.client.answered.dialect = SMB2_DIALECT_210;
        octets_put(&exchange.info_response, 8, 4, cases[i].status);
        struct verdict verdict = exchange_receive_info(&exchange, PROTECTION_SIGNED);
        assert_int_equal(verdict.rule, cases[i].accepted ? RULE_NONE : RULE_INFO_RESPONSE_STATUS);
        assert_int_equal(verdict.action, cases[i].accepted ? ACTION_ACCEPT : ACTION_DISCONNECT);
        exchange.client_policy.refuse_unvalidated_3x = false;
        verdict = exchange_receive_info(&exchange, PROTECTION_SIGNED);
        assert_true(verdict_goes_on(&verdict));
    }
}

static void test_info_pending_and_missing(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init_302(&exchange);
    exchange_serve_info(&exchange, PROTECTION_SIGNED);
    octets_put(&exchange.info_response, 8, 4, STATUS_PENDING);
    assert_accepted(exchange_receive_info(&exchange, PROTECTION_NONE));
    assert_int_equal(exchange.client.validation, VALIDATION_PENDING);
    assert_verdict(client_info_missing(&exchange.client), RULE_INFO_RESPONSE_MISSING, ACTION_DISCONNECT, 0, 0);
    assert_int_equal(exchange.client.validation, VALIDATION_FAILED);
}

static void test_info_longer(void **state) {
    (void)state;
    struct exchange exchange;
    exchange_init_302(&exchange);
    exchange.client_policy.accept_longer_info = true;
    exchange_serve_info(&exchange, PROTECTION_SIGNED);
    octets_change(&exchange.info_response, &(struct change){100, 4, 32, 144});
    assert_accepted(exchange_receive_info(&exchange, PROTECTION_SIGNED));
    octets_put(&exchange.info_response, 100, 4, 23);
    assert_rule(exchange_receive_info(&exchange, PROTECTION_SIGNED).rule, RULE_INFO_RESPONSE_LENGTH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_request_after_refusal),
        cmocka_unit_test(test_second_negotiate),
        cmocka_unit_test(test_no_common_dialect),
        cmocka_unit_test(test_oddities),
        cmocka_unit_test(test_contexts_ignored_below_311),
        cmocka_unit_test(test_dialect_choice),
        cmocka_unit_test(test_choices_of_311),
        cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_contexts_of_others),
        cmocka_unit_test(test_compression_and_rdma_requests),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_netbios),
        cmocka_unit_test(test_encryption_required),
        cmocka_unit_test(test_smb1_wildcard),
        cmocka_unit_test(test_smb1_202),
        cmocka_unit_test(test_smb1_wildcard_stripped),
        cmocka_unit_test(test_smb1_refused),
        cmocka_unit_test(test_bad_responses),
        cmocka_unit_test(test_extra_answers),
        cmocka_unit_test(test_answer_to_nothing),
        cmocka_unit_test(test_small_sizes_of_old_servers),
        cmocka_unit_test(test_wildcard_responses),
        cmocka_unit_test(test_other_answers),
        cmocka_unit_test(test_signing_required),
        cmocka_unit_test(test_info_same),
        cmocka_unit_test(test_info_when),
        cmocka_unit_test(test_bad_info_requests),
        cmocka_unit_test(test_info_common_dialect),
        cmocka_unit_test(test_info_order),
        cmocka_unit_test(test_info_on_311),
        cmocka_unit_test(test_bad_info_responses),
        cmocka_unit_test(test_info_unprotected),
        cmocka_unit_test(test_info_errors),
        cmocka_unit_test(test_info_errors_2x),
        cmocka_unit_test(test_info_pending_and_missing),
        cmocka_unit_test(test_info_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
