/* The client of the core against a server in the same process: what it does right, and each thing that a server, or
 * somebody on the way, may do wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "talk.h"
#include "raised.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const uint16_t dialects[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                    SMB2_DIALECT_311};

static struct talk talk; /* large; each test begins it anew */

static void begin(uint16_t dialect) {
    talk_init(&talk);
    talk.peer.policy.dialects = (struct id_list){{dialect}, 1};
}

static void assert_failed(enum client_fault fault, enum client_phase phase, enum rule rule) {
    const struct client_failure *failure = &talk.client.failure;

    assert_int_equal(client_step(&talk.client), CLIENT_CLOSED);
    assert_rule(failure->verdict.rule, rule);
    assert_int_equal(failure->fault, fault);
    assert_int_equal(failure->phase, phase);
}

/* ---- set-up ---- */

static void test_each_dialect(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        for (unsigned variant = 0; variant < 16; variant++) {
            bool sealing = (variant & 4) && dialects[i] >= SMB2_DIALECT_300;
            begin(dialects[i]);
            talk.policy.signing_required = variant & 1;
            talk.policy.offers_smb1_first = (variant & 2) != 0;
            talk.policy.encryption = sealing ? ENCRYPTION_MUST : ENCRYPTION_OFFERED;
            talk.completes_early = (variant & 8) != 0;
            assert_int_equal(talk_connect(&talk), CLIENT_READY);
            assert_int_equal(talk.client.negotiation.agreed.dialect, dialects[i]);
            assert_int_equal(client_tree(&talk.client), PEER_TREE_ID);
            assert_int_equal(talk.client.negotiation.validation,
                             dialects[i] == SMB2_DIALECT_311 ? VALIDATION_NONE
                             : dialects[i] < SMB2_DIALECT_300 ? VALIDATION_UNSUPPORTED
                                                              : VALIDATION_SAME);
            assert_true(talk.client.has_keys);
            assert_int_equal(talk.client.encrypts, sealing);
            assert_int_equal(talk.client.signing_required, (variant & 1) && !sealing);
            assert_int_equal(talk.peer.bad_signatures, 0);
            assert_int_equal(talk.peer.signed_commands >> SMB2_TREE_CONNECT & 1, !sealing);
            assert_int_equal(talk.peer.signed_commands >> SMB2_SESSION_SETUP & 1, 0);
            talk_free(&talk);
        }
    }
}

/* A server of 3.x that the client speaks 2.x with is to know the FSCTL. */
static void test_validation_on_2x(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        talk_init(&talk);
        talk_only(&talk, dialects[i]);
        talk.policy.dialects = (struct id_list){{dialects[i], SMB2_DIALECT_302}, 2};
        talk.peer.policy.dialects = (struct id_list){{dialects[i], SMB2_DIALECT_311}, 2};
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        assert_int_equal(talk.client.negotiation.agreed.dialect, dialects[i]);
        assert_int_equal(talk.client.negotiation.validation, VALIDATION_SAME);
        assert_true(talk.peer.signed_commands >> SMB2_IOCTL & 1);
        talk_free(&talk);
        talk_init(&talk); /* whose maximum is 2.x has nothing to validate */
        talk_only(&talk, dialects[i]);
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        assert_int_equal(talk.client.negotiation.validation, VALIDATION_NONE);
        talk_free(&talk);
    }
}

static void test_algorithms(void **state) {
    (void)state;
    for (uint16_t cipher = CIPHER_AES_128_CCM; cipher <= CIPHER_AES_256_GCM; cipher++) {
        for (uint16_t signing = SIGNING_HMAC_SHA256; signing <= SIGNING_AES_GMAC; signing++) {
            begin(SMB2_DIALECT_311);
            talk.policy.ciphers = (struct id_list){{cipher}, 1};
            talk.policy.signing_algorithms = (struct id_list){{signing}, 1};
            talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
            assert_int_equal(talk_connect(&talk), CLIENT_READY);
            assert_int_equal(talk.client.negotiation.agreed.cipher, cipher);
            assert_int_equal(talk.client.negotiation.agreed.signing_algorithm, signing);
            assert_true(talk.client.encrypts);
            assert_true(talk.peer.last_sealed);
            talk_free(&talk);
        }
    }
}

static void test_interim_answers(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        begin(dialects[i]);
        talk.peer.interim = true;
        talk.peer.session_flags = dialects[i] >= SMB2_DIALECT_300 ? SESSION_FLAG_ENCRYPT_DATA : 0;
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        assert_true(talk.frames_read > 6);
        talk_free(&talk);
    }
}

static void test_encrypted_share(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        bool is_3x = dialects[i] >= SMB2_DIALECT_300;
        begin(dialects[i]);
        talk.peer.share_flags = 0x8000;
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        assert_false(talk.client.encrypts);
        assert_int_equal(client_tree_find(&talk.client, PEER_TREE_ID)->encrypts, is_3x);
        assert_true(talk.peer.signed_commands >> SMB2_TREE_CONNECT & 1);
        talk_free(&talk);
    }
    begin(SMB2_DIALECT_302);
    talk.peer.share_flags = 0x8000;
    talk.policy.encryption = ENCRYPTION_OFF;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_TREE_CONNECT, RULE_ENCRYPTION_UNAVAILABLE);
    talk_free(&talk);
}

static void test_no_such_share(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    talk.peer.tree_status = (uint32_t)STATUS_BAD_NETWORK_NAME;
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    assert_int_equal(client_tree(&talk.client), 0);
    assert_int_equal(talk.client.tree_status, (uint32_t)STATUS_BAD_NETWORK_NAME);
    talk_free(&talk);
}

/* ---- guests ---- */

struct guest_case {
    uint16_t flags;
    bool anonymous, allow, sign;
    bool fails;
};

static void test_guests(void **state) {
    (void)state;
    static const struct guest_case cases[] = {
        {SESSION_FLAG_IS_GUEST, false, false, false, true}, {SESSION_FLAG_IS_NULL, false, false, false, true},
        {SESSION_FLAG_IS_GUEST, false, true, false, false}, {SESSION_FLAG_IS_NULL, false, true, false, false},
        {SESSION_FLAG_IS_GUEST, false, true, true, true},   {0, true, false, false, false},
        {SESSION_FLAG_IS_NULL, true, false, true, false},   {SESSION_FLAG_IS_GUEST, true, false, false, false},
    };
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        for (unsigned j = 0; j < COUNT_OF(cases); j++) {
            begin(dialects[i]);
            talk.peer.session_flags = cases[j].flags;
            talk.anonymous = cases[j].anonymous;
            talk.policy.allow_guest = cases[j].allow;
            talk.policy.signing_required = cases[j].sign;
            if (cases[j].anonymous) /* such a server derives no keys */
                talk.peer.unsigned_commands = UINT32_MAX;
            talk_connect(&talk);
            if (cases[j].fails) {
                assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_GUEST);
                assert_true(client_failed_securely(&talk.client));
                assert_string_equal(talk.client.failure.field, "SessionFlags");
            } else {
                assert_int_equal(client_step(&talk.client), CLIENT_READY);
                assert_false(talk.client.has_keys);
                assert_false(talk.client.signing_required);
                assert_int_equal(talk.client.negotiation.validation, VALIDATION_NONE);
                assert_int_equal(talk.peer.signed_commands, 0);
            }
            talk_free(&talk);
        }
    }
    begin(SMB2_DIALECT_311);
    talk.anonymous = true;
    talk.policy.encryption = ENCRYPTION_MUST;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_SESSION_SETUP, RULE_ENCRYPTION_UNAVAILABLE);
    talk_free(&talk);
}

/* ---- what is wrong with one message ---- */

struct wrong {
    const char *name;
    uint16_t dialect;
    struct peer_twist twist;
    enum client_phase phase;
    enum rule rule;
    const char *field;
};

#define TWIST(...) {.active = true, __VA_ARGS__}

static const struct wrong wrongs[] = {
    /* NEGOTIATE: what is checked at once. */
    {"dialect not offered", 0x0302, TWIST(.offset = 68, .width = 2, .value = 0x0310), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_DIALECT, "DialectRevision"},
    {"wildcard", 0x0302, TWIST(.offset = 68, .width = 2, .value = 0x02ff), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_WILDCARD, "DialectRevision"},
    {"small buffers", 0x0302, TWIST(.offset = 96, .width = 4, .value = 4096), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_SIZES, "MaxReadSize"},
    {"buffer outside", 0x0302, TWIST(.offset = 122, .width = 2, .value = 60000), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_MALFORMED, "SecurityBufferOffset"},
    {"no context", 0x0311, TWIST(.offset = 70, .width = 2, .value = 0), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_PREAUTH_COUNT, NULL},
    {"header size", 0x0302, TWIST(.offset = 4, .width = 2, .value = 65), CLIENT_PHASE_NEGOTIATE,
     RULE_HEADER_STRUCTURE_SIZE, "StructureSize"},
    {"a request", 0x0302, TWIST(.offset = 16, .width = 4, .value = 0), CLIENT_PHASE_NEGOTIATE, RULE_DIRECTION_BIT,
     "Flags"},
    {"MessageId", 0x0302, TWIST(.offset = 24, .width = 8, .value = 9), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_WITHOUT_REQUEST, "MessageId"},
    {"another command", 0x0302, TWIST(.offset = 12, .width = 2, .value = SMB2_ECHO), CLIENT_PHASE_NEGOTIATE,
     RULE_RESPONSE_COMMAND, "Command"},
    {"NextCommand", 0x0302, TWIST(.offset = 20, .width = 4, .value = 4096), CLIENT_PHASE_NEGOTIATE,
     RULE_CHAIN_OUT_OF_BOUNDS, "NextCommand"},
    {"protocol id", 0x0302, TWIST(.offset = 0, .width = 1, .value = 0xfa), CLIENT_PHASE_NEGOTIATE,
     RULE_PROTOCOL_ID_UNKNOWN, NULL},
    {"SMB1", 0x0302, TWIST(.offset = 0, .width = 1, .value = 0xff), CLIENT_PHASE_NEGOTIATE, RULE_SMB1_MESSAGE, NULL},
    {"compressed", 0x0302, TWIST(.offset = 0, .width = 1, .value = 0xfc), CLIENT_PHASE_NEGOTIATE,
     RULE_COMPRESSED_NOT_NEGOTIATED, NULL},
    {"encrypted too early", 0x0302, TWIST(.offset = 0, .width = 1, .value = 0xfd), CLIENT_PHASE_NEGOTIATE,
     RULE_TRANSFORM_BEFORE_SESSION, NULL},
    {"no credits", 0x0302, TWIST(.offset = 14, .width = 2, .value = 0), CLIENT_PHASE_SESSION_SETUP, RULE_CREDITS_NONE,
     "CreditRequest/CreditResponse"},
    {"short", 0x0302, TWIST(.offset = 40, .width = 0), CLIENT_PHASE_NEGOTIATE, RULE_HEADER_SHORT, NULL},
    /* NEGOTIATE: what validation shows. Rows 2, 5, 6 and 7 of the attacks, in the response. */
    {"dialect lowered", 0x0302, TWIST(.offset = 68, .width = 2, .value = 0x0300), CLIENT_PHASE_VALIDATE,
     RULE_INFO_RESPONSE_DIALECT, "Dialect"},
    {"SecurityMode", 0x0302, TWIST(.offset = 66, .width = 2, .value = 2, .flip = true), CLIENT_PHASE_VALIDATE,
     RULE_INFO_RESPONSE_SECURITY_MODE, "SecurityMode"},
    {"ServerGuid", 0x0302, TWIST(.offset = 87, .width = 1, .value = 1, .flip = true), CLIENT_PHASE_VALIDATE,
     RULE_INFO_RESPONSE_GUID, "Guid"},
    {"Capabilities", 0x0302, TWIST(.offset = 88, .width = 4, .value = 4, .flip = true), CLIENT_PHASE_VALIDATE,
     RULE_INFO_RESPONSE_CAPABILITIES, "Capabilities"},
    /* And what the hash shows, whatever it is. */
    {"dialect lowered to another family", 0x0302, TWIST(.offset = 68, .width = 2, .value = 0x0210),
     CLIENT_PHASE_SESSION_SETUP, RULE_RESPONSE_SIGNATURE, "Signature"},
    {"3.1.1 lowered", 0x0311, TWIST(.offset = 68, .width = 2, .value = 0x0302), CLIENT_PHASE_SESSION_SETUP,
     RULE_RESPONSE_SIGNATURE, "Signature"},
    {"3.1.1 SystemTime", 0x0311, TWIST(.offset = 104, .width = 1, .value = 1, .flip = true, .after = true),
     CLIENT_PHASE_SESSION_SETUP, RULE_RESPONSE_SIGNATURE, "Signature"},
    {"3.1.1 SecurityMode", 0x0311, TWIST(.offset = 66, .width = 1, .value = 2, .flip = true, .after = true),
     CLIENT_PHASE_SESSION_SETUP, RULE_RESPONSE_SIGNATURE, "Signature"},
    /* SESSION_SETUP */
    {"SessionId 0", 0x0302, TWIST(SMB2_SESSION_SETUP, .offset = 40, .width = 8, .value = 0),
     CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_ID, "SessionId"},
    {"SessionId changes", 0x0302, TWIST(SMB2_SESSION_SETUP, .nth = 1, .offset = 40, .width = 8, .value = 5),
     CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_ID, "SessionId"},
    {"3.1.1 token", 0x0311,
     TWIST(SMB2_SESSION_SETUP, .offset = 73, .width = 1, .value = 1, .flip = true, .after = true),
     CLIENT_PHASE_SESSION_SETUP, RULE_RESPONSE_SIGNATURE, "Signature"},
    {"token outside", 0x0302, TWIST(SMB2_SESSION_SETUP, .offset = 70, .width = 2, .value = 999),
     CLIENT_PHASE_SESSION_SETUP, RULE_BODY_INVALID, NULL},
    {"guest flag set", 0x0302,
     TWIST(SMB2_SESSION_SETUP, .nth = 1, .offset = 66, .width = 2, .value = 1, .after = true),
     CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_GUEST, "SessionFlags"},
    {"encryption flag set", 0x0302,
     TWIST(SMB2_SESSION_SETUP, .nth = 1, .offset = 66, .width = 2, .value = 4, .after = true),
     CLIENT_PHASE_SESSION_SETUP, RULE_RESPONSE_SIGNATURE, "Signature"},
    /* TREE_CONNECT */
    {"ShareFlags", 0x0311, TWIST(SMB2_TREE_CONNECT, .offset = 68, .width = 4, .value = 0x8000, .after = true),
     CLIENT_PHASE_TREE_CONNECT, RULE_RESPONSE_SIGNATURE, "Signature"},
    {"status", 0x0210, TWIST(SMB2_TREE_CONNECT, .offset = 8, .width = 4, .value = 0xc0000022, .after = true),
     CLIENT_PHASE_TREE_CONNECT, RULE_RESPONSE_SIGNATURE, "Signature"},
    {"forged PENDING is nothing", 0x0302,
     TWIST(SMB2_TREE_CONNECT, .offset = 8, .width = 4, .value = 0x103, .after = true), CLIENT_PHASE_TREE_CONNECT,
     RULE_NONE, NULL},
    /* Validation */
    {"info signature", 0x0302, TWIST(SMB2_IOCTL, .offset = 60, .width = 1, .value = 1, .flip = true, .after = true),
     CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_UNPROTECTED, "Flags"},
    {"info status", 0x0302, TWIST(SMB2_IOCTL, .offset = 8, .width = 4, .value = 0xc00000bb, .after = true),
     CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_UNPROTECTED, "Flags"},
    {"info count", 0x0302, TWIST(SMB2_IOCTL, .offset = 100, .width = 4, .value = 23), CLIENT_PHASE_VALIDATE,
     RULE_INFO_RESPONSE_LENGTH, "OutputCount"},
    {"info capabilities", 0x0300, TWIST(SMB2_IOCTL, .offset = 112, .width = 1, .value = 1, .flip = true),
     CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_CAPABILITIES, "Capabilities"},
};

static void test_wrong_messages(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(wrongs); i++) {
        const struct wrong *wrong = &wrongs[i];
        print_message("# %s\n", wrong->name);
        begin(wrong->dialect);
        talk.peer.twist = wrong->twist;
        talk_connect(&talk);
        if (wrong->rule == RULE_NONE) {
            assert_failed(CLIENT_FAULT_DISCONNECTED, wrong->phase, RULE_NONE);
        } else {
            assert_failed(CLIENT_FAULT_RULE, wrong->phase, wrong->rule);
            if (wrong->field != NULL)
                assert_string_equal(talk.client.failure.field, wrong->field);
        }
        assert_true(client_failed_securely(&talk.client));
        talk_free(&talk);
    }
}

/* The failure tells both values. */
static void test_values_of_a_failure(void **state) {
    (void)state;
    static const uint8_t expected[] = {0x00, 0x03}, found[] = {0x02, 0x03};
    const struct client_failure *failure = &talk.client.failure;
    begin(SMB2_DIALECT_302);
    talk.peer.twist = (struct peer_twist)TWIST(.offset = 68, .width = 2, .value = 0x0300);
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_DIALECT);
    assert_true(span_equal(failure->expected, (struct span){expected, 2}));
    assert_true(span_equal(failure->found, (struct span){found, 2}));
    assert_int_equal(talk.client.negotiation.validation, VALIDATION_FAILED);
    talk_free(&talk);
}

/* Every response that has to be signed is left unsigned once, in every dialect. */
static void test_unsigned_responses(void **state) {
    (void)state;
    static const struct {
        uint16_t command;
        enum client_phase phase;
        enum rule rule;
    } cases[] = {
        {SMB2_SESSION_SETUP, CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_RESPONSE_UNSIGNED},
        {SMB2_TREE_CONNECT, CLIENT_PHASE_TREE_CONNECT, RULE_RESPONSE_UNSIGNED},
        {SMB2_IOCTL, CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_UNPROTECTED},
    };
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        for (unsigned j = 0; j < COUNT_OF(cases); j++) {
            if (dialects[i] == SMB2_DIALECT_311 && cases[j].command == SMB2_IOCTL)
                continue;
            begin(dialects[i]);
            talk.peer.unsigned_commands = 1u << cases[j].command;
            talk_connect(&talk);
            assert_failed(CLIENT_FAULT_RULE, cases[j].phase, cases[j].rule);
            talk_free(&talk);
        }
    }
}

static void test_info_statuses(void **state) {
    (void)state;
    static const struct {
        uint16_t dialect;
        uint32_t status;
        enum rule rule; /* NONE: goes on */
    } cases[] = {
        {0x0302, (uint32_t)STATUS_NOT_SUPPORTED, RULE_INFO_RESPONSE_UNSUPPORTED_3X},
        {0x0300, (uint32_t)STATUS_INVALID_PARAMETER, RULE_INFO_RESPONSE_UNSUPPORTED_3X},
        {0x0302, (uint32_t)STATUS_ACCESS_DENIED, RULE_INFO_RESPONSE_ACCESS_DENIED},
        {0x0210, (uint32_t)STATUS_ACCESS_DENIED, RULE_INFO_RESPONSE_ACCESS_DENIED},
        {0x0210, (uint32_t)STATUS_FILE_CLOSED, RULE_NONE},
        {0x0202, (uint32_t)STATUS_NOT_SUPPORTED, RULE_NONE},
        {0x0202, (uint32_t)STATUS_INVALID_PARAMETER, RULE_INFO_RESPONSE_STATUS},
    };
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        begin(cases[i].dialect);
        talk.peer.info_status = cases[i].status;
        talk_connect(&talk);
        if (cases[i].rule == RULE_NONE)
            assert_int_equal(talk.client.negotiation.validation, VALIDATION_UNSUPPORTED);
        else
            assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_VALIDATE, cases[i].rule);
        talk_free(&talk);
    }
}

static void test_no_answer(void **state) {
    (void)state;
    for (unsigned times_out = 0; times_out < 2; times_out++) {
        begin(SMB2_DIALECT_302);
        talk.peer.silent_info = true;
        talk.times_out = times_out;
        talk_connect(&talk);
        assert_failed(times_out ? CLIENT_FAULT_TIMED_OUT : CLIENT_FAULT_DISCONNECTED, CLIENT_PHASE_VALIDATE,
                      RULE_INFO_RESPONSE_MISSING);
        assert_int_equal(talk.client.negotiation.validation, VALIDATION_FAILED);
        talk_free(&talk);
    }
    begin(SMB2_DIALECT_302); /* somebody changed the request: the server closes */
    talk_start(&talk);
    talk.peer.policy.dialects = (struct id_list){{SMB2_DIALECT_300, SMB2_DIALECT_302}, 2};
    talk_run(&talk);
    talk.peer.record.offered.capabilities ^= 1;
    client_connect_tree(&talk.client, (struct span){(const uint8_t *)"\\\0", 2});
    talk_run(&talk);
    assert_failed(CLIENT_FAULT_DISCONNECTED, CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_MISSING);
    talk_free(&talk);
}

static void test_refusals(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    talk.peer.setup_status = (uint32_t)STATUS_LOGON_FAILURE;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_STATUS, CLIENT_PHASE_SESSION_SETUP, RULE_NONE);
    assert_int_equal(talk.client.failure.status, (uint32_t)STATUS_LOGON_FAILURE);
    assert_false(client_failed_securely(&talk.client));
    talk_free(&talk);
    begin(SMB2_DIALECT_202); /* with a body that is none, as impacket's */
    talk.peer.setup_status = (uint32_t)STATUS_LOGON_FAILURE;
    talk.peer.twist = (struct peer_twist)TWIST(SMB2_SESSION_SETUP, .nth = 1, .offset = 68, .width = 4, .value = 500);
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_STATUS, CLIENT_PHASE_SESSION_SETUP, RULE_NONE);
    talk_free(&talk);
    begin(SMB2_DIALECT_311);
    talk_only(&talk, SMB2_DIALECT_210);
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_STATUS, CLIENT_PHASE_NEGOTIATE, RULE_NONE);
    assert_int_equal(talk.client.failure.status, (uint32_t)STATUS_NOT_SUPPORTED);
    talk_free(&talk);
}

static void test_authentication_that_does_not_end(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    talk.peer.legs = CLIENT_AUTHENTICATION_LEGS_MAX + 2;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_ENDLESS);
    talk_free(&talk);
    begin(SMB2_DIALECT_311);
    talk.never_completes = true;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_SESSION_SETUP, RULE_SESSION_INCOMPLETE);
    talk_free(&talk);
    begin(SMB2_DIALECT_311);
    talk_start(&talk);
    while (client_step(&talk.client) != CLIENT_TOKEN) {
        peer_answer(&talk.peer, client_output(&talk.client));
        client_sent(&talk.client);
        talk.next_frame = 0;
        assert_true(talk_read(&talk));
    }
    assert_true(span_equal(client_token_in(&talk.client), talk.peer.fresh.security_buffer));
    client_refuse_token(&talk.client, (uint32_t)STATUS_LOGON_FAILURE);
    assert_failed(CLIENT_FAULT_TOKEN, CLIENT_PHASE_SESSION_SETUP, RULE_NONE);
    talk_free(&talk);
}

static void test_no_handles(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    talk.keyless_handles = true;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_CRYPTO, CLIENT_PHASE_SESSION_SETUP, RULE_NONE);
    talk_free(&talk);
}

/* ---- encryption ---- */

static void test_encrypted_frames(void **state) {
    (void)state;
    static const struct {
        size_t offset;
        enum rule rule;
    } cases[] = {
        {4, RULE_TRANSFORM_TAG},    {20, RULE_TRANSFORM_TAG},  {36, RULE_TRANSFORM_SIZE},    {42, RULE_TRANSFORM_FLAGS},
        {44, RULE_TRANSFORM_SESSION}, {40, RULE_TRANSFORM_TAG}, {52, RULE_TRANSFORM_TAG},
    };
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        begin(SMB2_DIALECT_311);
        talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
        talk.peer.twist = (struct peer_twist)TWIST(.sealed = true, .offset = cases[i].offset, .width = 1, .value = 8,
                                                   .flip = true);
        talk_connect(&talk);
        assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_TREE_CONNECT, cases[i].rule);
        talk_free(&talk);
    }
    begin(SMB2_DIALECT_302);
    talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
    talk.peer.plain_commands = 1u << SMB2_TREE_CONNECT;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_TREE_CONNECT, RULE_RESPONSE_UNENCRYPTED);
    talk_free(&talk);
    begin(SMB2_DIALECT_302);
    talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
    talk.peer.plain_commands = 1u << SMB2_IOCTL;
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_VALIDATE, RULE_INFO_RESPONSE_UNPROTECTED);
    talk_free(&talk);
}

/* Inside, the SessionId has to be the one outside. */
static void test_encrypted_session_id(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
    talk.peer.twist = (struct peer_twist)TWIST(SMB2_TREE_CONNECT, .offset = 40, .width = 1, .value = 1, .flip = true);
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_TREE_CONNECT, RULE_TRANSFORM_SESSION);
    talk_free(&talk);
    begin(SMB2_DIALECT_311); /* and the message that of SMB2 */
    talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
    talk.peer.twist = (struct peer_twist)TWIST(SMB2_TREE_CONNECT, .offset = 0, .width = 1, .value = 0xfa);
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_TREE_CONNECT, RULE_TRANSFORM_INNER);
    talk_free(&talk);
    begin(SMB2_DIALECT_311); /* and no compressed message is in it */
    talk.peer.session_flags = SESSION_FLAG_ENCRYPT_DATA;
    talk.peer.twist = (struct peer_twist)TWIST(SMB2_TREE_CONNECT, .offset = 0, .width = 1, .value = 0xfc);
    talk_connect(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_TREE_CONNECT, RULE_COMPRESSED_NOT_NEGOTIATED);
    talk_free(&talk);
}

/* ---- requests ---- */

static uint8_t room[PEER_FRAME_MAX];

static bool add_echo(struct client_frame *frame, bool related, void *owner, uint64_t *message_id) {
    struct client_request request = {
        .command = related ? SMB2_CLOSE : SMB2_ECHO, .tree_id = PEER_TREE_ID, .related = related, .owner = owner};
    bool added = client_frame_add(&talk.client, frame, &request, client_encode_empty, NULL);

    if (message_id != NULL)
        *message_id = request.message_id;
    return added;
}

static void send_frame(struct client_frame *frame) {
    struct span octets = client_frame_finish(&talk.client, frame);

    assert_true(octets.size > 0);
    peer_answer(&talk.peer, octets);
    talk.next_frame = 0;
}

static void test_chains(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        for (unsigned sealing = 0; sealing < 2; sealing++) {
            struct client_frame frame;
            struct client_response response;
            int owners[3];

            begin(dialects[i]);
            talk.policy.signing_required = true;
            talk.peer.session_flags = sealing && dialects[i] >= SMB2_DIALECT_300 ? SESSION_FLAG_ENCRYPT_DATA : 0;
            assert_int_equal(talk_connect(&talk), CLIENT_READY);
            client_frame_begin(&frame, room, sizeof room);
            for (unsigned j = 0; j < 3; j++)
                assert_true(add_echo(&frame, j > 0, &owners[j], NULL));
            send_frame(&frame);
            assert_int_equal(talk.peer.bad_signatures, 0);
            assert_int_equal(talk.peer.last_sealed, talk.client.encrypts);
            assert_true(talk_read(&talk));
            for (unsigned j = 0; j < 3; j++) {
                assert_true(client_next_response(&talk.client, &response));
                assert_ptr_equal(response.owner, &owners[j]);
                assert_int_equal(response.status, STATUS_SUCCESS);
                assert_int_equal(response.command, j > 0 ? SMB2_CLOSE : SMB2_ECHO);
            }
            assert_false(client_next_response(&talk.client, &response));
            assert_int_equal(talk.client.pending_count, 0);
            talk_free(&talk);
        }
    }
}

static void test_chain_with_a_bad_element(void **state) {
    (void)state;
    struct client_frame frame;
    struct client_response response;

    begin(SMB2_DIALECT_311);
    talk.policy.signing_required = true;
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    client_frame_begin(&frame, room, sizeof room);
    add_echo(&frame, false, NULL, NULL);
    add_echo(&frame, true, NULL, NULL);
    talk.peer.twist = (struct peer_twist)TWIST(SMB2_CLOSE, .offset = 66, .width = 1, .value = 1, .after = true);
    send_frame(&frame);
    assert_true(talk_read(&talk)); /* the first one is good, and is handed over */
    assert_true(client_next_response(&talk.client, &response));
    assert_int_equal(response.command, SMB2_ECHO);
    assert_false(client_next_response(&talk.client, &response));
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_READY, RULE_RESPONSE_SIGNATURE);
    talk_free(&talk);
}

static void test_credits(void **state) {
    (void)state;
    struct client_frame frame;
    struct client_response response;
    struct client_request large = {.command = SMB2_READ, .tree_id = PEER_TREE_ID, .payload = 3 * 65536 + 1};

    begin(SMB2_DIALECT_311);
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    uint32_t credits = client_credits(&talk.client);
    uint64_t next = talk.client.next_message_id;
    client_frame_begin(&frame, room, sizeof room);
    assert_true(client_frame_add(&talk.client, &frame, &large, client_encode_empty, NULL));
    assert_int_equal(large.message_id, next);
    assert_int_equal(client_credits(&talk.client), credits - 4);
    assert_int_equal(talk.client.next_message_id, next + 4);
    assert_int_equal(frame.data[CLIENT_HEADROOM + 6], 4); /* CreditCharge */
    send_frame(&frame);
    assert_true(talk_read(&talk) && client_next_response(&talk.client, &response));
    assert_int_equal(client_credits(&talk.client), credits - 4 + talk.peer.credits);
    talk.peer.credits = 0;
    while (client_credits(&talk.client) > 1) {
        client_frame_begin(&frame, room, sizeof room);
        assert_true(add_echo(&frame, false, NULL, NULL));
        send_frame(&frame);
        assert_true(talk_read(&talk) && client_next_response(&talk.client, &response));
    }
    client_frame_begin(&frame, room, sizeof room);
    assert_false(client_frame_add(&talk.client, &frame, &large, client_encode_empty, NULL));
    assert_true(add_echo(&frame, false, NULL, NULL));
    assert_false(add_echo(&frame, true, NULL, NULL));
    send_frame(&frame);
    talk_read(&talk);
    client_next_response(&talk.client, &response);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_READY, RULE_CREDITS_NONE);
    talk_free(&talk);
}

/* Where requests cost one credit each the field is zero, and a payload has 64 KiB at most. */
static void test_charge_of_202(void **state) {
    (void)state;
    struct client_frame frame;

    begin(SMB2_DIALECT_202);
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    assert_int_equal(client_charge(&talk.client, 65536), 1);
    assert_int_equal(client_read_max(&talk.client), 65536);
    assert_int_equal(client_write_max(&talk.client), 65536);
    client_frame_begin(&frame, room, sizeof room);
    assert_true(add_echo(&frame, false, NULL, NULL));
    assert_int_equal(frame.data[CLIENT_HEADROOM + 6], 0);
    send_frame(&frame);
    talk_free(&talk);
}

static void test_places_run_out(void **state) {
    (void)state;
    struct client_frame frame;
    unsigned sent = 0;

    begin(SMB2_DIALECT_311);
    talk.peer.credits = 1000;
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    for (;; sent++) {
        client_frame_begin(&frame, room, sizeof room);
        if (!add_echo(&frame, false, NULL, NULL))
            break;
        assert_true(client_frame_finish(&talk.client, &frame).size > 0);
    }
    assert_int_equal(sent, CLIENT_REQUESTS_MAX);
    client_frame_begin(&frame, room, CLIENT_HEADROOM + SMB2_HEADER_SIZE + 2);
    assert_false(add_echo(&frame, false, NULL, NULL));
    talk_free(&talk);
}

static void test_interim_and_cancel(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        struct client_frame frame;
        struct client_response response;
        uint8_t cancel[CLIENT_CANCEL_MAX];
        uint64_t message_id;
        int owner;

        begin(dialects[i]);
        talk.policy.signing_required = true;
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        talk.peer.interim = true;
        client_frame_begin(&frame, room, sizeof room);
        assert_true(add_echo(&frame, false, &owner, &message_id));
        send_frame(&frame);
        assert_int_equal(talk.peer.frames_count, 2);
        struct peer_frame final = talk.peer.frames[1];
        assert_true(talk_read(&talk) && client_next_response(&talk.client, &response));
        assert_true(response.is_interim);
        assert_ptr_equal(response.owner, &owner);
        struct span octets = client_cancel(&talk.client, message_id, cancel);
        assert_int_equal(octets.size, FRAME_HEADER_SIZE + SMB2_HEADER_SIZE + 4);
        peer_answer(&talk.peer, octets);
        assert_int_equal(talk.peer.bad_signatures, 0);
        assert_true(talk.peer.signed_commands >> SMB2_CANCEL & 1);
        struct message message;
        message_decode(span_slice(octets, FRAME_HEADER_SIZE, SIZE_MAX), octets.size - FRAME_HEADER_SIZE, &message);
        assert_int_equal(smb2_header_async_id(&message.header), PEER_ASYNC_ID);
        assert_true(message.header.flags & SMB2_FLAGS_ASYNC_COMMAND);
        assert_int_equal(client_cancel(&talk.client, message_id, cancel).size, 0); /* the nonce of GMAC, once */
        assert_true(client_receive(&talk.client, final.data + FRAME_HEADER_SIZE, final.size - FRAME_HEADER_SIZE));
        assert_true(client_next_response(&talk.client, &response));
        assert_false(response.is_interim);
        assert_int_equal(client_cancel(&talk.client, message_id, cancel).size, 0);
        talk_free(&talk);
    }
}

/* ---- several frames that came together ---- */

struct together {
    struct client_arrival arrivals[SIGN_TOGETHER_MAX];
    uint8_t contents[SIGN_TOGETHER_MAX][PEER_FRAME_MAX];
    int owners[SIGN_TOGETHER_MAX];
};

/* So many requests, each in a frame of its own, and what the server says to them; to the first also that it takes time. */
static void ask_together(struct together *together, unsigned count) {
    unsigned arrived = 0;

    for (unsigned i = 0; arrived < count; i++) {
        struct client_frame frame;

        talk.peer.interim = i == 0;
        client_frame_begin(&frame, room, sizeof room);
        assert_true(add_echo(&frame, false, &together->owners[i], NULL));
        send_frame(&frame);
        for (unsigned k = 0; k < talk.peer.frames_count; k++, arrived++) {
            size_t size = talk.peer.frames[k].size - FRAME_HEADER_SIZE;

            memcpy(together->contents[arrived], talk.peer.frames[k].data + FRAME_HEADER_SIZE, size);
            together->arrivals[arrived] = (struct client_arrival){together->contents[arrived], size, true, SIGNATURE_BAD};
        }
    }
}

static void begin_together(uint16_t dialect) {
    begin(dialect);
    talk.policy.signing_required = true;
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    assert_int_equal(client_signs_together(&talk.client), mac_key_lanes(talk.handles.mac) > 1);
}

/* The first is an interim one, which nobody signs. */
static void take_together(struct together *together, unsigned count) {
    struct client_response response;

    for (unsigned i = 0; i < count; i++) {
        assert_true(client_next_response(&talk.client, &response));
        assert_int_equal(response.is_interim, i == 0);
        assert_ptr_equal(response.owner, &together->owners[i == 0 ? 0 : i - 1]);
        assert_ptr_equal(response.message.data, together->contents[i]);
    }
    assert_false(client_next_response(&talk.client, &response));
}

static void test_received_together(void **state) {
    (void)state;
    static struct together together;

    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        begin_together(dialects[i]);
        for (unsigned count = 2; count <= SIGN_TOGETHER_MAX; count++) {
            ask_together(&together, count);
            assert_true(client_receive_many(&talk.client, together.arrivals, count));
            take_together(&together, count);
        }
        assert_int_equal(talk.client.pending_count, 0);
        talk_free(&talk);
    }
}

/* Any bit of any of them: those before it are taken, it and those behind it are not. */
static void test_one_is_wrong_among_others(void **state) {
    (void)state;
    static struct together together;

    for (unsigned i = 0; i < COUNT_OF(dialects); i++)
        for (unsigned wrong = 1; wrong < SIGN_TOGETHER_MAX; wrong++) {
            begin_together(dialects[i]);
            ask_together(&together, SIGN_TOGETHER_MAX);
            together.contents[wrong][SMB2_HEADER_SIZE + wrong % 4] ^= 1;
            assert_true(client_receive_many(&talk.client, together.arrivals, SIGN_TOGETHER_MAX));
            take_together(&together, wrong);
            assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_READY, RULE_RESPONSE_SIGNATURE);
            assert_false(client_receive_many(&talk.client, together.arrivals, 1));
            talk_free(&talk);
        }
}

/* An oplock break that nobody asked for is passed over; anything else of that kind is not. */
static void test_unsolicited(void **state) {
    (void)state;
    static const uint16_t commands[] = {SMB2_OPLOCK_BREAK, SMB2_READ};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t message[SMB2_HEADER_SIZE + 24] = {0};
        struct writer writer = writer_over(message, sizeof message);
        struct client_response response;
        struct smb2_header header = {.protocol_id = 0x424d53fe,
                                     .structure_size = SMB2_HEADER_SIZE,
                                     .command = commands[i],
                                     .flags = SMB2_FLAGS_SERVER_TO_REDIR,
                                     .message_id = UINT64_MAX};

        begin(SMB2_DIALECT_311);
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        smb2_header_encode(&header, &writer);
        assert_int_equal(client_receive(&talk.client, message, sizeof message), i == 0);
        assert_false(client_next_response(&talk.client, &response));
        if (i == 1)
            assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_READY, RULE_RESPONSE_WITHOUT_REQUEST);
        talk_free(&talk);
    }
}

static void test_too_long(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    assert_false(client_receive(&talk.client, NULL, client_frame_max(&talk.client) + 1));
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_READY, RULE_FRAME_TOO_LONG);
    talk_free(&talk);
}

/* ---- later ---- */

static void test_reauthentication(void **state) {
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        begin(dialects[i]);
        assert_int_equal(talk_connect(&talk), CLIENT_READY);
        struct session_keys keys = talk.client.keys;
        memset(talk.peer.session_key, 0x77, sizeof talk.peer.session_key); /* the new key is of no consequence */
        client_reauthenticate(&talk.client);
        assert_int_equal(talk_run(&talk), CLIENT_READY);
        assert_memory_equal(&keys, &talk.client.keys, sizeof keys);
        assert_true(talk.peer.signed_commands >> SMB2_SESSION_SETUP & 1);
        assert_int_equal(talk.peer.bad_signatures, 0);
        talk.peer.setup_status = (uint32_t)STATUS_LOGON_FAILURE;
        client_reauthenticate(&talk.client);
        talk_run(&talk);
        assert_failed(CLIENT_FAULT_STATUS, CLIENT_PHASE_SESSION_SETUP, RULE_NONE);
        talk_free(&talk);
    }
    begin(SMB2_DIALECT_302);
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    talk.peer.unsigned_commands = 1u << SMB2_SESSION_SETUP;
    client_reauthenticate(&talk.client);
    talk_run(&talk);
    assert_failed(CLIENT_FAULT_RULE, CLIENT_PHASE_SESSION_SETUP, RULE_RESPONSE_UNSIGNED);
    talk_free(&talk);
}

static void test_log_off(void **state) {
    (void)state;
    begin(SMB2_DIALECT_311);
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    client_log_off(&talk.client);
    assert_int_equal(talk_run(&talk), CLIENT_CLOSED);
    assert_int_equal(talk.client.failure.fault, CLIENT_FAULT_NONE);
    assert_false(client_failed_securely(&talk.client));
    talk_free(&talk);
}

static void test_tree_disconnect(void **state) {
    (void)state;
    struct client_frame frame;
    struct client_response response;
    struct client_request request = {.command = SMB2_TREE_DISCONNECT, .tree_id = PEER_TREE_ID};

    begin(SMB2_DIALECT_311);
    assert_int_equal(talk_connect(&talk), CLIENT_READY);
    assert_non_null(client_tree_find(&talk.client, PEER_TREE_ID));
    client_frame_begin(&frame, room, sizeof room);
    assert_true(client_frame_add(&talk.client, &frame, &request, client_encode_empty, NULL));
    send_frame(&frame);
    assert_true(talk_read(&talk) && client_next_response(&talk.client, &response));
    assert_null(client_tree_find(&talk.client, PEER_TREE_ID));
    talk_free(&talk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_dialect),
        cmocka_unit_test(test_validation_on_2x),
        cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_interim_answers),
        cmocka_unit_test(test_encrypted_share),
        cmocka_unit_test(test_no_such_share),
        cmocka_unit_test(test_guests),
        cmocka_unit_test(test_wrong_messages),
        cmocka_unit_test(test_values_of_a_failure),
        cmocka_unit_test(test_unsigned_responses),
        cmocka_unit_test(test_info_statuses),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_authentication_that_does_not_end),
        cmocka_unit_test(test_no_handles),
        cmocka_unit_test(test_encrypted_frames),
        cmocka_unit_test(test_encrypted_session_id),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_chain_with_a_bad_element),
        cmocka_unit_test(test_credits),
        cmocka_unit_test(test_charge_of_202),
        cmocka_unit_test(test_places_run_out),
        cmocka_unit_test(test_interim_and_cancel),
        cmocka_unit_test(test_received_together),
        cmocka_unit_test(test_one_is_wrong_among_others),
        cmocka_unit_test(test_unsolicited),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_reauthentication),
        cmocka_unit_test(test_log_off),
        cmocka_unit_test(test_tree_disconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
