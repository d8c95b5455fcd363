/* The server, told one thing after the other by a client that may be wrong: what it answers, what it signs, what it
 * encrypts, when it closes without a word, and what it hands to its shell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/server_parts.h"
#include "crypto_sim.h"
#include "talk.h"
#include "../unit/raised.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Header fields, from the protocol id. */
enum {
    AT_STRUCTURE_SIZE = 4,
    AT_CHARGE = 6,
    AT_COMMAND = 12,
    AT_CREDITS = 14,
    AT_FLAGS = 16,
    AT_NEXT = 20,
    AT_MESSAGE_ID = 24,
    AT_ASYNC_ID = 32,
    AT_TREE_ID = 36,
    AT_SESSION_ID = 40,
    AT_SIGNATURE = 48,
    AT_BODY = 64,
};

static const uint16_t dialects[] = {0x0202, 0x0210, 0x0300, 0x0302, 0x0311};
static const uint8_t empty_body[] = {4, 0, 0, 0};
static const uint8_t flush_body[] = {24, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void put(uint8_t *at, unsigned width, uint64_t value) {
    for (unsigned i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void or_flags(uint8_t *element, uint32_t flags) {
    element[AT_FLAGS] |= (uint8_t)flags;
    element[AT_FLAGS + 3] |= (uint8_t)(flags >> 24);
}

static void assert_closed(const struct talk *talk, enum rule rule) {
    assert_true(talk->closed);
    assert_rule(talk->host.server.failure.verdict.rule, rule);
    assert_int_equal(talk->answers_count, 0);
}

/* Answered with an error, by this rule. */
static void assert_refused(const struct talk *talk, enum ntstatus status, enum rule rule) {
    assert_false(talk->closed);
    assert_int_equal(talk_status(talk), (uint32_t)status);
    assert_rule(talk->host.server.refused.verdict.rule, rule);
}

static void assert_status(const struct talk *talk, uint32_t status) {
    assert_false(talk->closed);
    assert_int_equal(talk_status(talk), status);
}

static struct talk *talk_of(void **state) {
    return *state;
}

/* Another conversation in the same place. */
static void again(struct talk *talk, uint16_t dialect) {
    talk_free(talk);
    talk_init(talk, dialect);
}

/* ---- set-up ---- */

static void test_signatures_of_the_set_up(void **state) {
    struct talk *talk = talk_of(state);
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        again(talk, dialects[i]);
        talk_logon(talk);
        /* The final response was signed although nobody requires it, the others were not. */
        struct talk_answer *answer = &talk->answers[0];
        assert_int_equal(element_check(talk->mac, answer->message.bytes), SIGNATURE_GOOD);
        assert_int_equal(answer->message.body.session_setup_response.session_flags, 0);
        talk_tree(talk, "docs", true, false);
        assert_status(talk, STATUS_SUCCESS);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
        assert_true(talk->tree_id != 0);
        talk_add(talk, SMB2_ECHO, empty_body, 4, false);
        talk_send(talk, false);
        assert_status(talk, STATUS_SUCCESS);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_MISSING);
    }
}

static void test_logon_refused(void **state) {
    struct talk *talk = talk_of(state);
    talk->host.logon = HOST_LOGON_REFUSED;
    talk_negotiate(talk);
    talk_setup(talk, 0, false);
    uint64_t first = talk->session_id;
    talk_setup(talk, first, false);
    assert_status(talk, (uint32_t)STATUS_LOGON_FAILURE);
    assert_int_equal(talk->host.released, 1);
    talk_setup(talk, first, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
    /* Another attempt begins anew, and works. */
    talk->host.logon = HOST_LOGON_USER;
    talk_logon(talk);
    assert_true(talk->session_id != first);
}

static void test_logon_guest_and_anonymous(void **state) {
    struct talk *talk = talk_of(state);
    talk->host.logon = HOST_LOGON_GUEST;
    talk_negotiate(talk);
    talk_setup(talk, 0, false);
    talk_setup(talk, talk->session_id, false);
    assert_status(talk, (uint32_t)STATUS_LOGON_FAILURE);
    again(talk, SMB2_DIALECT_311);
    talk->host.policy.allow_guest = true;
    talk->host.logon = HOST_LOGON_GUEST;
    talk_logon(talk);
    assert_int_equal(talk->answers[0].message.body.session_setup_response.session_flags, SESSION_FLAG_IS_GUEST);
    assert_int_equal(talk->answers[0].message.header.flags, SMB2_FLAGS_SERVER_TO_REDIR);
    talk_tree(talk, "docs", false, false); /* on 3.1.1, too: it cannot be signed */
    assert_status(talk, STATUS_SUCCESS);
    or_flags(talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false), SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_refused(talk, STATUS_NOT_SUPPORTED, RULE_REQUEST_SIGNED_WITHOUT_KEY);
    again(talk, SMB2_DIALECT_302);
    talk->host.logon = HOST_LOGON_ANONYMOUS;
    talk_logon(talk);
    assert_int_equal(talk->answers[0].message.body.session_setup_response.session_flags, SESSION_FLAG_IS_NULL);
}

static void test_keyless_where_all_is_encrypted(void **state) {
    struct talk *talk = talk_of(state);
    talk->host.policy.encryption = ENCRYPTION_MUST;
    talk->host.logon = HOST_LOGON_ANONYMOUS;
    talk_negotiate(talk);
    talk_setup(talk, 0, false);
    talk_setup(talk, talk->session_id, false);
    assert_status(talk, (uint32_t)STATUS_ACCESS_DENIED);
    /* A dialect without encryption does not get so far. */
    again(talk, SMB2_DIALECT_210);
    talk->host.policy.encryption = ENCRYPTION_MUST;
    talk_negotiate(talk);
    talk_setup(talk, 0, false);
    assert_refused(talk, STATUS_ACCESS_DENIED, RULE_ENCRYPTION_REQUIRED);
}

/* A session of another connection is no session here; but why that is so is said, signed as the client asked. */
static void test_stranger(void **state) {
    static const uint8_t key[SESSION_KEY_SIZE] = {7};
    struct talk *talk = talk_of(state);
    const struct negotiation_agreed *agreed = &talk->host.server.negotiation.agreed;
    struct server_stranger stranger = {.dialect = SMB2_DIALECT_300,
                                       .mac = mac_key_new(MAC_AES_CMAC, (struct span){key, sizeof key})};
    uint8_t body[24] = {25, 0, 1 /* BINDING */, 1};
    talk_negotiate(talk);
    stranger.signing_algorithm = agreed->signing_algorithm;
    stranger.cipher = agreed->cipher;
    talk->session_id = 99;
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, false);
    talk_send(talk, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
    talk->host.stranger = &stranger;
    talk->mac = stranger.mac;
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_INVALID_PARAMETER, RULE_SESSION_BINDING); /* another dialect */
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    stranger.dialect = agreed->dialect;
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_REQUEST_NOT_ACCEPTED, RULE_SESSION_BINDING);
    body[2] = 0;
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    stranger.signing_algorithm ^= SIGNING_AES_GMAC;
    body[2] = 1;
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, false);
    talk_send(talk, false);
    assert_int_not_equal(talk_status(talk), STATUS_REQUEST_NOT_ACCEPTED);
    talk->mac = NULL;
    mac_key_free(stranger.mac);
}

static void test_setup_flags_and_limits(void **state) {
    struct talk *talk = talk_of(state);
    talk_negotiate(talk);
    uint8_t body[24] = {25, 0, 1 /* BINDING */, 1};
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, false);
    talk_send(talk, false);
    assert_refused(talk, STATUS_REQUEST_NOT_ACCEPTED, RULE_SESSION_BINDING);
    body[2] = 0;
    talk_add(talk, SMB2_SESSION_SETUP, body, 10, false);
    talk_send(talk, false);
    assert_refused(talk, STATUS_INVALID_PARAMETER, RULE_BODY_INVALID);
    /* An authentication without end. */
    talk->host.legs = UINT32_MAX;
    talk_setup(talk, 0, false);
    for (unsigned i = 1; i < SERVER_LOGON_LEGS_MAX; i++) {
        talk_setup(talk, talk->session_id, false);
        assert_status(talk, (uint32_t)STATUS_MORE_PROCESSING_REQUIRED);
    }
    talk_setup(talk, talk->session_id, false);
    assert_refused(talk, STATUS_LOGON_FAILURE, RULE_SESSION_LEGS);
    /* Sessions without end. */
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++) {
        talk_setup(talk, 0, false);
        assert_status(talk, (uint32_t)STATUS_MORE_PROCESSING_REQUIRED);
    }
    talk_setup(talk, 0, false);
    assert_status(talk, (uint32_t)STATUS_INSUFFICIENT_RESOURCES);
}

/* The client is known with another dialect. */
static void test_dialect_differs(void **state) {
    struct talk *talk = talk_of(state);
    talk->host.logon = HOST_LOGON_DIALECT;
    talk_negotiate(talk);
    talk_setup(talk, 0, false);
    talk_setup(talk, talk->session_id, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_DIALECT);
    assert_int_equal(talk->host.released, 1);
    talk_tree(talk, "docs", false, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
}

static void test_reauthentication(void **state) {
    struct talk *talk = talk_of(state);
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        again(talk, dialects[i]);
        talk->mode = SMB2_SIGNING_REQUIRED;
        talk_logon(talk);
        talk_tree(talk, "docs", true, false);
        assert_true(server_expire_session(&talk->host.server, talk->session_id));
        talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
        talk_send(talk, false);
        assert_refused(talk, STATUS_NETWORK_SESSION_EXPIRED, RULE_SESSION_EXPIRED);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
        talk_add(talk, SMB2_CLOSE, flush_body, sizeof flush_body, true);
        talk_send(talk, false);
        assert_status(talk, STATUS_SUCCESS);
        talk_setup(talk, talk->session_id, false); /* unsigned, where signing is required */
        assert_refused(talk, STATUS_ACCESS_DENIED, RULE_REQUEST_UNSIGNED);
        memset(talk->host.key, 0x99, sizeof talk->host.key); /* a new key that nobody takes */
        talk_setup(talk, talk->session_id, true);
        assert_status(talk, (uint32_t)STATUS_MORE_PROCESSING_REQUIRED);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
        talk_setup(talk, talk->session_id, true);
        assert_status(talk, STATUS_SUCCESS);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
        talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
        talk_send(talk, false);
        assert_status(talk, STATUS_SUCCESS);
        /* A reauthentication that fails ends the session, in order. */
        talk->host.logon = HOST_LOGON_REFUSED;
        talk_setup(talk, talk->session_id, true);
        talk_setup(talk, talk->session_id, true);
        assert_status(talk, (uint32_t)STATUS_LOGON_FAILURE);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
        assert_int_equal(talk->host.sessions_ended, 1);
        assert_int_equal(talk->host.released, 1);
    }
}

static void test_logoff(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    talk_add(talk, SMB2_LOGOFF, empty_body, 4, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    assert_int_equal(talk->host.sessions_ended, 1);
    assert_int_equal(talk->host.released, 1);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false);
    talk_send(talk, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
    or_flags(talk_add(talk, SMB2_ECHO, empty_body, 4, false), SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
}

/* ---- answers that are signed together ---- */

/* A FLUSH that is signed; how many answers have come since. */
static unsigned flush_signed(struct talk *talk) {
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    return talk->answers_count;
}

/* Ready for answers that wait, where the processor has them wait. False: it has not, and each is sent at once. */
static bool begin_waiting(struct talk *talk) {
    again(talk, SMB2_DIALECT_302);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    server_expect(&talk->host.server, true);
    return mac_key_lanes(talk->mac) > 1;
}

static void end_waiting(struct talk *talk) {
    server_expect(&talk->host.server, false);
    talk->closed = !host_run(&talk->host);
}

static void assert_signed_answers(const struct talk *talk, unsigned count) {
    assert_int_equal(talk->answers_count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(talk->answers[i].signature, SIGNATURE_GOOD);
        assert_true(i == 0 ||
                    talk->answers[i].message.header.message_id > talk->answers[i - 1].message.header.message_id);
    }
}

static void test_answers_wait(void **state) {
    struct talk *talk = talk_of(state);
    bool waits = begin_waiting(talk);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 1; i < SIGN_TOGETHER_MAX; i++)
            assert_int_equal(flush_signed(talk), waits ? 0 : 1);
        flush_signed(talk);
        assert_signed_answers(talk, waits ? SIGN_TOGETHER_MAX : 1);
    }
    assert_int_equal(flush_signed(talk), waits ? 0 : 1);
    end_waiting(talk);
    assert_signed_answers(talk, 1);
    assert_int_equal(flush_signed(talk), 1); /* nothing more is at hand: it is sent at once */
}

/* One that need not wait does not overtake those that do, and takes them along. */
static void test_answers_keep_their_order(void **state) {
    struct talk *talk = talk_of(state);
    bool waits = begin_waiting(talk);
    flush_signed(talk);
    talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    talk_send(talk, false);
    assert_int_equal(talk->answers_count, waits ? 2 : 1);
    assert_int_equal(talk->answers[0].signature, waits ? SIGNATURE_GOOD : SIGNATURE_MISSING);
    assert_int_equal(talk->answers[talk->answers_count - 1].message.header.command, SMB2_ECHO);
    flush_signed(talk);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true); /* a chain is signed as it grows */
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    assert_signed_answers(talk, waits ? 3 : 2);
}

/* What was answered before the connection is closed, is sent. */
static void test_answers_outlive_the_end(void **state) {
    struct talk *talk = talk_of(state);
    bool waits = begin_waiting(talk);
    flush_signed(talk);
    flush_signed(talk);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false)[AT_STRUCTURE_SIZE] = 63;
    talk_send(talk, false);
    assert_true(talk->closed);
    assert_rule(talk->host.server.failure.verdict.rule, RULE_HEADER_STRUCTURE_SIZE);
    assert_signed_answers(talk, waits ? 2 : 0);
}

/* A wrong signature is refused for itself, among others as it is alone. */
static void test_wrong_signature_among_others(void **state) {
    struct talk *talk = talk_of(state);
    unsigned requests;
    bool waits = begin_waiting(talk);
    flush_signed(talk);
    requests = talk->host.requests;
    or_flags(talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false), SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_rule(talk->host.server.refused.verdict.rule, RULE_REQUEST_SIGNATURE);
    assert_int_equal(talk->host.requests, requests);
    assert_int_equal(talk->answers_count, waits ? 0 : 1);
    end_waiting(talk);
    assert_signed_answers(talk, waits ? 2 : 1);
    assert_int_equal(talk->answers[waits ? 1 : 0].message.header.status, STATUS_ACCESS_DENIED);
    assert_int_equal(talk->answers[0].message.header.status, waits ? STATUS_SUCCESS : STATUS_ACCESS_DENIED);
}

static void test_signing_together_fails(void **state) {
    struct talk *talk = talk_of(state);
    bool waits = begin_waiting(talk);
    flush_signed(talk);
    flush_signed(talk);
    crypto_sim_fail_at(waits ? 1 : 2); /* else that of the answer, behind the request's */
    if (waits)
        end_waiting(talk);
    else
        flush_signed(talk);
    crypto_sim_fail_at(0);
    assert_closed(talk, RULE_NONE);
}

/* The session's key is kept until its last answer was signed. */
static void test_logoff_among_waiting(void **state) {
    struct talk *talk = talk_of(state);
    bool waits = begin_waiting(talk);
    flush_signed(talk);
    talk_add(talk, SMB2_LOGOFF, empty_body, 4, true);
    talk_send(talk, false);
    assert_int_equal(talk->host.released, waits ? 0 : 1);
    end_waiting(talk);
    assert_signed_answers(talk, waits ? 2 : 1);
    assert_int_equal(talk->host.released, 1);
}

/* ---- requests whose signatures are checked together ---- */

static void keep_flush(struct talk *talk) {
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_keep(talk);
}

/* Any of them wrong, or none: it is refused, and the others are served. */
static void test_checked_together(void **state) {
    struct talk *talk = talk_of(state);
    for (unsigned dialect = 0; dialect < COUNT_OF(dialects); dialect++)
        for (unsigned wrong = 0; wrong <= SIGN_TOGETHER_MAX; wrong++) {
            again(talk, dialects[dialect]);
            talk_logon(talk);
            talk_tree(talk, "docs", true, false);
            unsigned requests = talk->host.requests;
            for (unsigned i = 0; i < SIGN_TOGETHER_MAX; i++)
                keep_flush(talk);
            if (wrong < SIGN_TOGETHER_MAX)
                talk->kept[wrong].data[AT_BODY + 8 + wrong] ^= 4;
            assert_true(talk_send_together(talk));
            assert_int_equal(talk->host.requests - requests, wrong < SIGN_TOGETHER_MAX ? 3 : 4);
            assert_signed_answers(talk, SIGN_TOGETHER_MAX);
            for (unsigned i = 0; i < SIGN_TOGETHER_MAX; i++)
                assert_int_equal(talk->answers[i].message.header.status,
                                 i == wrong ? (uint32_t)STATUS_ACCESS_DENIED : STATUS_SUCCESS);
        }
}

/* What is no single signed element is left for its turn; and what came before still counts. */
static void test_checked_together_with_others(void **state) {
    struct talk *talk = talk_of(state);
    begin_waiting(talk);
    server_expect(&talk->host.server, false);
    talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    talk_keep(talk);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_keep(talk);
    talk->kept[1].data[talk->kept[1].size - 1] ^= 1; /* of the second element */
    keep_flush(talk);
    assert_true(talk_send_together(talk));
    assert_int_equal(talk->answers_count, 4);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_MISSING);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_SUCCESS);
    assert_int_equal(talk->answers[2].message.header.status, STATUS_ACCESS_DENIED);
    assert_int_equal(talk->answers[3].message.header.status, STATUS_SUCCESS);
    talk_add(talk, SMB2_LOGOFF, empty_body, 4, true);
    talk_keep(talk);
    keep_flush(talk);
    assert_true(talk_send_together(talk));
    assert_int_equal(talk->answers[0].message.header.status, STATUS_SUCCESS);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_USER_SESSION_DELETED);
}

static void test_previous_session(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    assert_true(server_delete_session(&talk->host.server, talk->session_id));
    assert_false(server_delete_session(&talk->host.server, talk->session_id));
    talk_add(talk, SMB2_ECHO, empty_body, 4, true);
    talk_send(talk, false);
    assert_status(talk, (uint32_t)STATUS_USER_SESSION_DELETED);
    assert_int_equal(talk->host.released, 1);
}

/* A session is authenticated by one step at a time, and may be gone when the step was taken. */
static void test_logon_busy(void **state) {
    struct talk *talk = talk_of(state);
    struct server *server = &talk->host.server;
    const struct server_logon refused = {.state = SERVER_LOGON_REFUSED, .status = (uint32_t)STATUS_LOGON_FAILURE};
    const struct server_logon proceed = {.state = SERVER_LOGON_CONTINUE};
    talk->mode = SMB2_SIGNING_REQUIRED;
    talk_logon(talk);
    talk->host.holds_tokens = true;
    talk_setup(talk, talk->session_id, true);
    assert_int_equal(talk->host.held_count, 1);
    talk_setup(talk, talk->session_id, true);
    assert_refused(talk, STATUS_REQUEST_NOT_ACCEPTED, RULE_SESSION_BUSY);
    server_take_token(server, talk->host.held[0], &proceed);
    host_run(&talk->host);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_MORE_PROCESSING_REQUIRED);
    talk_setup(talk, talk->session_id, true);
    assert_true(server_delete_session(server, talk->session_id));
    server_take_token(server, talk->host.held[1], &refused);
    host_run(&talk->host);
    assert_status(talk, (uint32_t)STATUS_USER_SESSION_DELETED);
    assert_int_equal(talk->host.released, 1);
    assert_int_equal(talk->host.sessions_ended, 0);
}

static void test_previous_session_id(void **state) {
    struct talk *talk = talk_of(state);
    uint8_t body[24] = {25, 0, 0, 1};
    talk_negotiate(talk);
    talk->host.holds_tokens = true;
    put(body + 16, 8, 0x1234567890);
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, false);
    talk_send(talk, false);
    struct server_frame *frame = talk->host.held[0];
    assert_int_equal(server_previous_session(frame), 0x1234567890);
    assert_int_equal(server_token(frame).size, 0);
    /* Its own id says nothing. */
    talk->session_id = frame->request.session->id;
    put(body + 16, 8, talk->session_id);
    server_take_token(&talk->host.server, frame, &(struct server_logon){.state = SERVER_LOGON_CONTINUE});
    host_run(&talk->host);
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, false);
    talk_send(talk, false);
    assert_int_equal(server_previous_session(talk->host.held[1]), 0);
}

/* ---- frames and order ---- */

static void test_frames_that_close(void **state) {
    struct talk *talk = talk_of(state);
    static const uint8_t noise[100] = {0xfe, 'S', 'M', 'C', 64};
    static uint8_t long_frame[SERVER_EARLY_FRAME_MAX + 1] = {0xfe, 'S', 'M', 'B', 64};
    talk_give(talk, noise, sizeof noise);
    assert_closed(talk, RULE_PROTOCOL_ID_UNKNOWN);
    again(talk, SMB2_DIALECT_311);
    talk_give(talk, noise, 0);
    assert_closed(talk, RULE_PROTOCOL_ID_UNKNOWN);
    again(talk, SMB2_DIALECT_311);
    talk_give(talk, long_frame, sizeof long_frame);
    assert_closed(talk, RULE_FRAME_TOO_LONG);
    again(talk, SMB2_DIALECT_311);
    talk_give(talk, long_frame, 63);
    assert_closed(talk, RULE_HEADER_SHORT);
    again(talk, SMB2_DIALECT_311);
    talk_give(talk, "\xfcSMB and more", 14);
    assert_closed(talk, RULE_COMPRESSED_NOT_NEGOTIATED);
    again(talk, SMB2_DIALECT_311);
    talk_give(talk, "\xffSMB\x73 and more", 14);
    assert_closed(talk, RULE_SMB1_MESSAGE);
    again(talk, SMB2_DIALECT_311);
    talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_COMMAND_BEFORE_NEGOTIATE);
    again(talk, SMB2_DIALECT_311);
    talk_negotiate(talk);
    talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_ECHO_WITHOUT_SESSION);
}

/* 3.3.5.2: requests without data are short, the others as long as was negotiated. */
/* Nothing but a WRITE, alone, in the clear, unsigned. */
static void test_what_may_come_late(void **state) {
    const struct smb2_header write = {.protocol_id = PROTOCOL_ID_SMB2, .structure_size = SMB2_HEADER_SIZE, .command = SMB2_WRITE};
    const struct {
        bool may;
        struct smb2_header header;
        size_t size;
    } rows[] = {
        {true, write, SERVER_LATE_HEAD},
        {false, write, SERVER_LATE_HEAD - 1},
        {false, {.protocol_id = 0x424d53fd, .command = SMB2_WRITE}, SERVER_LATE_HEAD},
        {false, {.protocol_id = PROTOCOL_ID_SMB2, .command = SMB2_READ}, SERVER_LATE_HEAD},
        {false, {.protocol_id = PROTOCOL_ID_SMB2, .command = SMB2_IOCTL}, SERVER_LATE_HEAD},
        {false, {.protocol_id = PROTOCOL_ID_SMB2, .command = SMB2_WRITE, .flags = SMB2_FLAGS_SIGNED}, SERVER_LATE_HEAD},
        {false, {.protocol_id = PROTOCOL_ID_SMB2, .command = SMB2_WRITE, .next_command = 112}, SERVER_LATE_HEAD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t head[SERVER_LATE_HEAD] = {0};
        struct writer writer = writer_over(head, sizeof head);

        smb2_header_encode(&rows[i].header, &writer);
        assert_int_equal(server_may_come_late((struct span){head, rows[i].size}), rows[i].may);
    }
}

static void test_long_requests(void **state) {
    struct talk *talk = talk_of(state);
    static uint8_t body[68u * 1024u - SMB2_HEADER_SIZE + 1] = {4};
    talk_logon(talk);
    talk_add(talk, SMB2_ECHO, body, sizeof body - 1, false);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    talk_add(talk, SMB2_ECHO, body, sizeof body, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_REQUEST_TOO_LONG);
}

/* One change to the header of a request that is right but for it. */
struct header_fault {
    size_t at;
    unsigned width;
    uint64_t value;
    enum rule rule;
};

static void test_headers_that_close(void **state) {
    struct talk *talk = talk_of(state);
    static const struct header_fault faults[] = {
        {AT_STRUCTURE_SIZE, 2, 63, RULE_HEADER_STRUCTURE_SIZE},
        {AT_FLAGS, 4, SMB2_FLAGS_SERVER_TO_REDIR, RULE_DIRECTION_BIT},
        {AT_COMMAND, 2, 0x13, RULE_COMMAND_UNKNOWN},
        {AT_COMMAND, 2, 0xffff, RULE_COMMAND_UNKNOWN},
        {AT_MESSAGE_ID, 8, 0, RULE_MESSAGE_ID_WINDOW},
        {AT_MESSAGE_ID, 8, 100000, RULE_MESSAGE_ID_WINDOW},
        {AT_MESSAGE_ID, 8, UINT64_MAX, RULE_MESSAGE_ID_WINDOW},
        {AT_NEXT, 4, 8, RULE_CHAIN_OUT_OF_BOUNDS},
        {AT_NEXT, 4, 68, RULE_CHAIN_OUT_OF_BOUNDS},
        {AT_COMMAND, 2, SMB2_NEGOTIATE, RULE_NEGOTIATE_SECOND},
        {AT_CHARGE, 2, 60000, RULE_MESSAGE_ID_WINDOW},
    };
    for (unsigned i = 0; i < COUNT_OF(faults); i++) {
        again(talk, SMB2_DIALECT_311);
        talk_logon(talk);
        put(talk_add(talk, SMB2_ECHO, empty_body, 4, false) + faults[i].at, faults[i].width, faults[i].value);
        talk_send(talk, false);
        assert_closed(talk, faults[i].rule);
    }
}

static void test_checks_in_their_order(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    uint32_t tree = talk->tree_id;
    /* A bad signature comes before everything that follows from it, and is answered signed. */
    uint8_t *element = talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false);
    put(element + AT_TREE_ID, 4, 99);
    or_flags(element, SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_refused(talk, STATUS_ACCESS_DENIED, RULE_REQUEST_SIGNATURE);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    talk->tree_id = 99;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_NETWORK_NAME_DELETED, RULE_TREE_UNKNOWN);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    talk->tree_id = tree;
    talk_add(talk, SMB2_FLUSH, flush_body, 20, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_INVALID_PARAMETER, RULE_BODY_INVALID);
    element = talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    put(element + AT_SESSION_ID, 8, 0x1234);
    talk_send(talk, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_MISSING);
    assert_int_equal(talk->host.requests, 0);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_int_equal(talk->host.requests, 1);
}

/* A tree belongs to its session, and a session that is being set up has none. */
static void test_other_sessions(void **state) {
    struct talk *talk = talk_of(state);
    talk->dialect = SMB2_DIALECT_210;
    talk_logon(talk);
    talk_tree(talk, "docs", false, false);
    uint32_t tree = talk->tree_id;
    talk_setup(talk, 0, false);
    talk_add(talk, SMB2_TREE_CONNECT, (const uint8_t[]){9, 0, 0, 0, 72, 0, 2, 0, 's', 0}, 10, false);
    talk_send(talk, false);
    assert_refused(talk, STATUS_USER_SESSION_DELETED, RULE_SESSION_UNKNOWN);
    or_flags(talk_add(talk, SMB2_ECHO, empty_body, 4, false), SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_refused(talk, STATUS_NOT_SUPPORTED, RULE_REQUEST_SIGNED_WITHOUT_KEY);
    talk_setup(talk, talk->session_id, false);
    assert_status(talk, STATUS_SUCCESS);
    talk->tree_id = tree;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false);
    talk_send(talk, false);
    assert_refused(talk, STATUS_NETWORK_NAME_DELETED, RULE_TREE_UNKNOWN);
    or_flags(talk_add(talk, SMB2_ECHO, empty_body, 4, false), SMB2_FLAGS_ASYNC_COMMAND);
    talk_send(talk, false);
    assert_status(talk, (uint32_t)STATUS_INVALID_PARAMETER);
}

static void test_signing_required(void **state) {
    struct talk *talk = talk_of(state);
    for (unsigned i = 0; i < COUNT_OF(dialects); i++) {
        again(talk, dialects[i]);
        talk->host.policy.signing_required = true;
        talk_logon(talk);
        talk_add(talk, SMB2_ECHO, empty_body, 4, false);
        talk_send(talk, false);
        assert_refused(talk, STATUS_ACCESS_DENIED, RULE_REQUEST_UNSIGNED);
        talk_add(talk, SMB2_ECHO, empty_body, 4, true);
        talk_send(talk, false);
        assert_status(talk, STATUS_SUCCESS);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    }
}

static void test_tree_connect(void **state) {
    struct talk *talk = talk_of(state);
    talk->dialect = SMB2_DIALECT_302;
    talk_logon(talk);
    talk_tree(talk, "nowhere!", false, false);
    assert_status(talk, (uint32_t)STATUS_BAD_NETWORK_NAME);
    for (unsigned i = 0; i < SERVER_TREES_MAX; i++) {
        talk_tree(talk, "docs", false, false);
        assert_status(talk, STATUS_SUCCESS);
    }
    uint32_t last = talk->tree_id;
    talk_tree(talk, "docs", false, false);
    assert_status(talk, (uint32_t)STATUS_INSUFFICIENT_RESOURCES);
    talk->tree_id = last;
    talk_add(talk, SMB2_TREE_DISCONNECT, empty_body, 4, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_int_equal(talk->host.trees_ended, 1);
    talk_add(talk, SMB2_TREE_DISCONNECT, empty_body, 4, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_NETWORK_NAME_DELETED, RULE_TREE_UNKNOWN);
    talk_tree(talk, "docs", false, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_true(talk->tree_id != last);
    again(talk, SMB2_DIALECT_311);
    talk_logon(talk);
    const uint8_t body[] = {9, 0, 0, 0, 72, 0, 2, 0, 's', 0};
    talk_add(talk, SMB2_TREE_CONNECT, body, sizeof body, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_TREE_CONNECT_UNSIGNED);
}

/* ---- credits ---- */

static void test_window(void **state) {
    (void)state;
    struct server_window window;
    server_window_init(&window);
    assert_false(server_window_take(&window, 1, 1));
    assert_true(server_window_take(&window, 0, 1));
    assert_false(server_window_take(&window, 0, 1));
    assert_int_equal(server_window_grant(&window, 0, 100), 1);
    assert_int_equal(server_window_grant(&window, 500, 100), 99);
    assert_int_equal(server_window_grant(&window, 1, 100), 0);
    assert_true(server_window_take(&window, 50, 10));
    assert_false(server_window_take(&window, 59, 2));
    assert_false(server_window_take(&window, 99, 3));
    /* The lowest one is not used, so the window does not move. */
    assert_int_equal(server_window_grant(&window, 10, 100), 0);
    for (uint64_t id = 1; id < 50; id++)
        assert_true(server_window_take(&window, id, 1));
    assert_int_equal(window.low, 60);
    assert_int_equal(server_window_grant(&window, 1000, SERVER_CREDITS_MAX), 1000);
    assert_int_equal(window.reach, 1041);
    /* A long life: every id once. */
    for (uint64_t id = 60; id < 100000; id++) {
        assert_true(server_window_take(&window, id, 1));
        assert_false(server_window_take(&window, id, 1));
        assert_int_equal(server_window_grant(&window, 1, SERVER_CREDITS_MAX), 1);
    }
}

static void test_credits(void **state) {
    struct talk *talk = talk_of(state);
    talk_negotiate(talk);
    put(talk_add(talk, SMB2_LOGOFF, empty_body, 4, false) + AT_CREDITS, 2, 60000);
    talk_send(talk, false);
    uint32_t held = talk->host.server.window.reach;
    assert_int_equal(held, SERVER_CREDITS_EARLY_MAX);
    talk_logon(talk);
    put(talk_add(talk, SMB2_ECHO, empty_body, 4, false) + AT_CREDITS, 2, 60000);
    talk_send(talk, false);
    assert_int_equal(talk->host.server.window.reach, SERVER_CREDITS_MAX);
    talk_tree(talk, "docs", true, false);
    /* READ of 64 KiB + 1 for one credit, then for two. */
    uint8_t read[49] = {49, 0, 0x50, 0, 1, 0, 1, 0};
    talk_add(talk, SMB2_READ, read, sizeof read, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_INVALID_PARAMETER, RULE_CREDIT_CHARGE);
    put(talk_add(talk, SMB2_READ, read, sizeof read, true) + AT_CHARGE, 2, 2);
    talk->message_id++;
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    talk->message_id--;
    talk_add(talk, SMB2_ECHO, empty_body, 4, false); /* an id that the READ has used */
    talk_send(talk, false);
    assert_closed(talk, RULE_MESSAGE_ID_WINDOW);
}

/* ---- chains ---- */

static void test_chain(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    for (unsigned seal = 0; seal < 2; seal++) {
        talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
        uint8_t *second = talk_add(talk, SMB2_CLOSE, flush_body, sizeof flush_body, true);
        or_flags(second, SMB2_FLAGS_RELATED_OPERATIONS);
        put(second + AT_SESSION_ID, 8, UINT64_MAX);
        put(second + AT_TREE_ID, 4, UINT32_MAX);
        talk_add(talk, SMB2_ECHO, empty_body, 4, true);
        talk_send(talk, seal);
        assert_int_equal(talk->frames_count, 1);
        assert_int_equal(talk->answers_count, 3);
        for (unsigned i = 0; i < 3; i++) {
            const struct talk_answer *answer = &talk->answers[i];
            assert_int_equal(answer->message.header.status, STATUS_SUCCESS);
            assert_int_equal(answer->encrypted, seal);
            assert_int_equal(answer->signature, seal ? SIGNATURE_MISSING : SIGNATURE_GOOD);
            assert_int_equal(answer->message.header.session_id, talk->session_id);
            assert_int_equal((answer->message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS) != 0, i == 1);
        }
    }
}

static void remember_file(void *arguments, const struct server_request *request) {
    struct talk *talk = arguments;
    (void)talk;
    assert_true(!request->has_file_id || request->file_id[0] == 1);
}

/* A related element has the FileId of the one before, or the failure to make it. */
static void test_chain_inherits(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    uint8_t other[24];
    memset(other, 0xff, sizeof other);
    put(other, 2, 24);
    talk->host.served = remember_file;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    or_flags(talk_add(talk, SMB2_CLOSE, other, sizeof other, true), SMB2_FLAGS_RELATED_OPERATIONS);
    talk_send(talk, false);
    assert_int_equal(talk->answers_count, 2);
    assert_int_equal(talk->host.requests, 2);
    /* The first fails (no such tree): the others do the same. */
    put(talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true) + AT_TREE_ID, 4, 99);
    or_flags(talk_add(talk, SMB2_CLOSE, other, sizeof other, true), SMB2_FLAGS_RELATED_OPERATIONS);
    talk_send(talk, false);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_NETWORK_NAME_DELETED);
    /* ECHO has no file to inherit. */
    talk_add(talk, SMB2_ECHO, empty_body, 4, true);
    or_flags(talk_add(talk, SMB2_CLOSE, other, sizeof other, true), SMB2_FLAGS_RELATED_OPERATIONS);
    talk_send(talk, false);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_INVALID_HANDLE);
    assert_rule(talk->host.server.refused.verdict.rule, RULE_CHAIN_NOTHING_INHERITED);
    assert_int_equal(talk->host.requests, 2);
    or_flags(talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true), SMB2_FLAGS_RELATED_OPERATIONS);
    or_flags(talk_add(talk, SMB2_CLOSE, other, sizeof other, true), SMB2_FLAGS_RELATED_OPERATIONS);
    talk_send(talk, false);
    assert_int_equal(talk->answers[0].message.header.status, STATUS_INVALID_PARAMETER);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_INVALID_PARAMETER);
    /* A file that is there stays there for those that follow, whatever becomes of one of them. */
    talk->host.served = NULL;
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    or_flags(talk_add(talk, SMB2_CLOSE, other, sizeof other, true), SMB2_FLAGS_RELATED_OPERATIONS);
    talk_send(talk, false);
    talk->host.holds = false;
    host_answer(&talk->host, talk->host.held[0], (uint32_t)STATUS_ACCESS_DENIED);
    assert_true(host_run(&talk->host));
    assert_int_equal(talk->answers[0].message.header.status, STATUS_ACCESS_DENIED);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_SUCCESS);
    assert_int_equal(talk->answers[1].message.bytes.size % 8, 0);
}

/* Alone it closes the connection; in a chain it is refused, wherever it stands, and the others are served. */
static void test_unknown_in_a_chain(void **state) {
    enum { UNKNOWN = 0xff };
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    for (unsigned related = 0; related < 2; related++) {
        talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
        uint8_t *unknown = talk_add(talk, UNKNOWN, empty_body, 4, true);
        if (related)
            or_flags(unknown, SMB2_FLAGS_RELATED_OPERATIONS);
        talk_add(talk, SMB2_ECHO, empty_body, 4, true);
        talk_send(talk, false);
        assert_int_equal(talk->answers_count, 3);
        assert_int_equal(talk->answers[0].message.header.status, STATUS_SUCCESS);
        assert_int_equal(talk->answers[1].message.header.status, STATUS_INVALID_PARAMETER);
        assert_int_equal(talk->answers[1].message.header.command, UNKNOWN);
        assert_int_equal(talk->answers[1].signature, SIGNATURE_GOOD);
        assert_rule(talk->host.server.refused.verdict.rule, RULE_COMMAND_UNKNOWN);
        assert_int_equal(talk->answers[2].message.header.status, STATUS_SUCCESS);
    }
    talk_add(talk, UINT16_MAX, empty_body, 4, true);
    put(talk_add(talk, UNKNOWN, empty_body, 4, false) + AT_SESSION_ID, 8, 99);
    talk_send(talk, false);
    assert_int_equal(talk->answers[0].message.header.status, STATUS_INVALID_PARAMETER);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_USER_SESSION_DELETED);
    talk_add(talk, UNKNOWN, empty_body, 4, true);
    talk_send(talk, false);
    assert_closed(talk, RULE_COMMAND_UNKNOWN);
}

static void test_chains_that_are_refused(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    for (unsigned i = 0; i <= SERVER_CHAIN_MAX; i++)
        talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_CHAIN_TOO_LONG);
    again(talk, SMB2_DIALECT_311);
    talk_logon(talk);
    talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    talk_add(talk, SMB2_CANCEL, empty_body, 4, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_CHAIN_COMMAND);
    again(talk, SMB2_DIALECT_311);
    talk_logon(talk);
    put(talk_add(talk, SMB2_ECHO, empty_body, 4, false) + AT_NEXT, 4, 0);
    talk_add(talk, SMB2_ECHO, empty_body, 4, false);
    put(talk->frame.data + AT_NEXT, 4, 70);
    talk_send(talk, false);
    assert_closed(talk, RULE_CHAIN_MISALIGNED);
}

/* Many answers to a chain, and little room at first. */
static void test_room(void **state) {
    struct talk *talk = talk_of(state);
    talk->host.output_size = SERVER_OUTPUT_LEAST;
    talk_logon(talk);
    for (unsigned i = 0; i < TALK_ANSWERS_MAX; i++)
        talk_add(talk, SMB2_ECHO, empty_body, 4, true);
    talk_send(talk, false);
    assert_int_equal(talk->answers_count, TALK_ANSWERS_MAX);
    assert_true(talk->host.rooms > 0);
    for (unsigned i = 0; i < TALK_ANSWERS_MAX; i++)
        assert_int_equal(talk->answers[i].signature, SIGNATURE_GOOD);
}

/* ---- what is answered later ---- */

static void test_later(void **state) {
    struct talk *talk = talk_of(state);
    struct server *server = &talk->host.server;
    uint8_t room[256];
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    assert_int_equal(talk->answers_count, 0);
    struct server_frame *frame = talk->host.held[0];
    uint64_t message_id = talk->message_id - 1;
    assert_int_equal(server_pend(server, frame, room, SERVER_INTERIM_SIZE - 1).size, 0);
    struct span interim = server_pend(server, frame, room, sizeof room);
    struct message message;
    message_decode(span_slice(interim, FRAME_HEADER_SIZE, SIZE_MAX), interim.size - FRAME_HEADER_SIZE, &message);
    assert_int_equal(message.header.status, STATUS_PENDING);
    assert_int_equal(message.header.flags, SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_ASYNC_COMMAND);
    assert_true(message.header.credits > 0 && smb2_header_async_id(&message.header) != 0);
    assert_int_equal(message.header.message_id, message_id);
    assert_int_equal(server_pend(server, frame, room, sizeof room).size, 0);
    /* Others go on meanwhile. */
    talk_add(talk, SMB2_ECHO, empty_body, 4, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    /* CANCEL by AsyncId; it has no answer itself. */
    uint8_t *cancel = talk_add(talk, SMB2_CANCEL, empty_body, 4, true);
    put(cancel + AT_MESSAGE_ID, 8, message_id);
    or_flags(cancel, SMB2_FLAGS_ASYNC_COMMAND);
    put(cancel + AT_ASYNC_ID, 8, smb2_header_async_id(&message.header));
    talk->message_id--;
    talk_send(talk, false);
    assert_int_equal(talk->answers_count, 0);
    assert_int_equal(talk->host.cancels, 1);
    assert_ptr_equal(talk->host.cancelled, frame);
    host_answer(&talk->host, frame, (uint32_t)STATUS_CANCELLED);
    host_run(&talk->host);
    assert_status(talk, (uint32_t)STATUS_CANCELLED);
    const struct talk_answer *answer = &talk->answers[0];
    assert_int_equal(answer->signature, SIGNATURE_GOOD);
    assert_int_equal(answer->message.header.credits, 0);
    assert_int_equal(smb2_header_async_id(&answer->message.header), smb2_header_async_id(&message.header));
    assert_int_equal(server->asyncs, 0);
}

/* A chain whose last element takes its time: what is there goes out with the interim response. */
static void test_later_in_a_chain(void **state) {
    struct talk *talk = talk_of(state);
    struct server *server = &talk->host.server;
    uint8_t room[512];
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    or_flags(talk_add(talk, SMB2_CLOSE, flush_body, sizeof flush_body, true), SMB2_FLAGS_RELATED_OPERATIONS);
    talk_send(talk, false);
    struct server_frame *frame = talk->host.held[0];
    assert_int_equal(server_pend(server, frame, room, sizeof room).size, 0); /* not the last */
    host_answer(&talk->host, frame, STATUS_SUCCESS);
    host_run(&talk->host);
    assert_int_equal(talk->host.held_count, 2);
    struct span octets = server_pend(server, frame, room, sizeof room);
    talk->host.send(talk, octets);
    assert_int_equal(talk->answers_count, 2);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    assert_int_equal(talk->answers[1].message.header.status, STATUS_PENDING);
    host_answer(&talk->host, frame, STATUS_SUCCESS);
    host_run(&talk->host);
    assert_int_equal(talk->answers_count, 3);
    assert_int_equal(talk->frames_count, 2);
    assert_int_equal(talk->answers[2].signature, SIGNATURE_GOOD);
    assert_int_equal(talk->answers[2].message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS, 0);
}

/* A session that ends while something of it is in flight is there until that was answered, signed. */
static void test_logoff_meanwhile(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    talk_add(talk, SMB2_LOGOFF, empty_body, 4, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_int_equal(talk->host.released, 0);
    host_answer(&talk->host, talk->host.held[0], (uint32_t)STATUS_CANCELLED);
    host_run(&talk->host);
    assert_int_equal(talk->answers_count, 2);
    assert_int_equal(talk->answers[1].signature, SIGNATURE_GOOD);
    assert_int_equal(talk->host.released, 1);
}

static void test_cancel_of_nothing(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    uint64_t message_id = talk->message_id - 1;
    put(talk_add(talk, SMB2_CANCEL, empty_body, 4, true) + AT_MESSAGE_ID, 8, 12345);
    talk_send(talk, false);
    assert_int_equal(talk->host.cancels, 0);
    /* A bad signature: ignored, since there is no answer. */
    uint8_t *cancel = talk_add(talk, SMB2_CANCEL, empty_body, 4, false);
    put(cancel + AT_MESSAGE_ID, 8, message_id);
    or_flags(cancel, SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_int_equal(talk->host.cancels, 0);
    assert_int_equal(talk->answers_count, 0);
    put(talk_add(talk, SMB2_CANCEL, empty_body, 4, true) + AT_MESSAGE_ID, 8, message_id);
    talk_send(talk, false);
    assert_int_equal(talk->host.cancels, 1);
    assert_false(talk->closed);
}

/* One more than may be in flight is answered without an interim response. */
static void test_too_many_in_flight(void **state) {
    struct talk *talk = talk_of(state);
    uint8_t room[256];
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    talk->host.server.asyncs = SERVER_ASYNC_MAX;
    assert_int_equal(server_pend(&talk->host.server, talk->host.held[0], room, sizeof room).size, 0);
    talk->host.server.asyncs--;
    assert_true(server_pend(&talk->host.server, talk->host.held[0], room, sizeof room).size > 0);
}

/* A request is cancelled once, and not by another session. */
static void test_cancel_once(void **state) {
    struct talk *talk = talk_of(state);
    talk->dialect = SMB2_DIALECT_210;
    talk_logon(talk);
    talk_tree(talk, "docs", false, false);
    uint64_t first_session = talk->session_id;
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false);
    talk_send(talk, false);
    uint64_t message_id = talk->message_id - 1;
    talk_setup(talk, 0, false);
    talk_setup(talk, talk->session_id, false);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *cancel = talk_add(talk, SMB2_CANCEL, empty_body, 4, false);
        put(cancel + AT_MESSAGE_ID, 8, message_id);
        put(cancel + AT_SESSION_ID, 8, i == 0 ? talk->session_id : first_session);
        talk->message_id--;
        talk_send(talk, false);
        assert_int_equal(talk->host.cancels, i > 0);
    }
}

/* A tree that is asked for while its session ends is none. */
/* 2.2.9.1: the path stands behind the extension. Who is meant by it is not asked: no share here has remoted identities. */
static void test_tree_connect_extension(void **state) {
    struct talk *talk = talk_of(state);
    uint8_t body[8 + 16 + 8 + 24] = {9, 0, 4 /* EXTENSION_PRESENT */, 0, 72 + 16, 0, 8, 0, 32 /* its contexts */, 0, 0, 0, 1};
    talk_logon(talk);
    for (unsigned i = 0; i < 4; i++)
        body[8 + 16 + 2 * i] = (uint8_t)"docs"[i];
    body[8 + 16 + 8] = 1;      /* SMB2_REMOTED_IDENTITY_TREE_CONNECT_CONTEXT_ID */
    body[8 + 16 + 8 + 2] = 16; /* octets of it */
    talk->tree_id = 0;
    talk_add(talk, SMB2_TREE_CONNECT, body, sizeof body, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_int_equal(talk->answers[0].message.body.tree_connect_response.share_flags, 0);
    assert_int_not_equal(talk->answers[0].message.header.tree_id, 0);
}

static void test_tree_of_a_session_that_ends(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk->host.holds_trees = true;
    const uint8_t body[] = {9, 0, 0, 0, 72, 0, 2, 0, 's', 0};
    talk_add(talk, SMB2_TREE_CONNECT, body, sizeof body, true);
    talk_send(talk, false);
    assert_true(server_delete_session(&talk->host.server, talk->session_id));
    const struct server_share share = {.type = 1};
    server_take_tree(&talk->host.server, talk->host.held[0], STATUS_SUCCESS, &share);
    host_run(&talk->host);
    assert_status(talk, (uint32_t)STATUS_USER_SESSION_DELETED);
    assert_int_equal(talk->host.server.trees[0].id, 0);
}

/* Nothing of what stood in the room before is sent as padding. */
static void test_padding_is_zero(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    for (unsigned i = 0; i < HOST_FRAMES; i++)
        memset(talk->host.places[i].output, 0xee, HOST_OUTPUT_MAX);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true); /* no tree: 73 octets of error, 7 of padding */
    talk_add(talk, SMB2_ECHO, empty_body, 4, true);
    talk_send(talk, false);
    const struct message *first = &talk->answers[0].message;
    assert_int_equal(first->size, 80);
    for (size_t i = 72; i < 80; i++)
        assert_int_equal(first->bytes.data[i], 0);
}

/* ---- encryption ---- */

static void test_encrypted_session(void **state) {
    struct talk *talk = talk_of(state);
    for (unsigned i = 2; i < COUNT_OF(dialects); i++) {
        again(talk, dialects[i]);
        talk->host.policy.encryption = ENCRYPTION_MUST;
        talk->host.policy.signing_required = true;
        talk_logon(talk);
        assert_int_equal(talk->answers[0].message.body.session_setup_response.session_flags, SESSION_FLAG_ENCRYPT_DATA);
        assert_false(talk->answers[0].encrypted);
        assert_false(server_session_find(&talk->host.server, talk->session_id)->signing_required);
        talk_tree(talk, "docs", false, true);
        assert_status(talk, STATUS_SUCCESS);
        assert_true(talk->answers[0].encrypted);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_MISSING);
        /* In the clear: refused, and not even the refusal is. */
        talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
        talk_send(talk, false);
        assert_refused(talk, STATUS_ACCESS_DENIED, RULE_SESSION_UNENCRYPTED);
        assert_true(talk->answers[0].encrypted);
        assert_int_equal(talk->host.requests, 0);
    }
}

static void test_encrypted_share(void **state) {
    struct talk *talk = talk_of(state);
    talk_logon(talk);
    talk_tree(talk, "vault", true, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_false(talk->answers[0].encrypted);
    assert_true(talk->answers[0].message.body.tree_connect_response.share_flags & SMB2_SHAREFLAG_ENCRYPT_DATA);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, true);
    talk_send(talk, false);
    assert_refused(talk, STATUS_ACCESS_DENIED, RULE_TREE_UNENCRYPTED);
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false);
    talk_send(talk, true);
    assert_status(talk, STATUS_SUCCESS);
    assert_true(talk->answers[0].encrypted);
    again(talk, SMB2_DIALECT_210);
    talk_logon(talk);
    talk_tree(talk, "vault", true, false);
    assert_status(talk, (uint32_t)STATUS_ACCESS_DENIED);
}

/* An encrypted request gets an encrypted answer though nothing asks for it; interim responses, too. */
static void test_encrypted_by_choice(void **state) {
    struct talk *talk = talk_of(state);
    uint8_t room[256];
    talk_logon(talk);
    talk_tree(talk, "docs", false, true);
    assert_true(talk->answers[0].encrypted);
    talk->host.holds = true;
    talk_add(talk, SMB2_FLUSH, flush_body, sizeof flush_body, false);
    talk_send(talk, true);
    struct span interim = server_pend(&talk->host.server, talk->host.held[0], room, sizeof room);
    assert_int_equal(interim.data[FRAME_HEADER_SIZE], 0xfd);
    talk->host.send(talk, interim);
    assert_true(talk->answers[0].encrypted);
    host_answer(&talk->host, talk->host.held[0], STATUS_SUCCESS);
    host_run(&talk->host);
    assert_true(talk->answers[1].encrypted);
}

static void test_transforms_that_close(void **state) {
    struct talk *talk = talk_of(state);
    static const struct header_fault faults[] = {
        {0, 1, 0xfd, RULE_TRANSFORM_REFUSED}, /* unchanged but for the ciphertext, see below */
        {4, 1, 0x55, RULE_TRANSFORM_REFUSED},
        {20, 1, 0x55, RULE_TRANSFORM_REFUSED},
        {36, 4, 1, RULE_TRANSFORM_SIZE},
        {42, 2, 2, RULE_TRANSFORM_FLAGS},
        {44, 8, 77, RULE_TRANSFORM_BEFORE_SESSION},
    };
    for (unsigned i = 0; i < COUNT_OF(faults); i++) {
        uint8_t sealed[256], nonce[TRANSFORM_NONCE_SIZE] = {9};
        again(talk, SMB2_DIALECT_311);
        talk_logon(talk);
        talk_add(talk, SMB2_ECHO, empty_body, 4, false);
        struct span plain = {talk->frame.data, talk->frame.size};
        assert_true(transform_seal(talk->seal, talk->session_id, nonce, plain, sealed, sizeof sealed));
        put(sealed + faults[i].at, faults[i].width, faults[i].value);
        sealed[i == 0 ? 60 : 0] ^= i == 0;
        talk_give(talk, sealed, plain.size + TRANSFORM_HEADER_SIZE);
        assert_closed(talk, faults[i].rule);
    }
    again(talk, SMB2_DIALECT_210);
    talk_logon(talk);
    uint8_t sealed[120] = {0xfd, 'S', 'M', 'B'};
    put(sealed + 36, 4, sizeof sealed - TRANSFORM_HEADER_SIZE);
    put(sealed + 42, 2, 1);
    put(sealed + 44, 8, talk->session_id);
    talk_give(talk, sealed, sizeof sealed);
    assert_closed(talk, RULE_TRANSFORM_BEFORE_SESSION);
}

static void test_notification(void **state) {
    struct talk *talk = talk_of(state);
    uint8_t data[SERVER_HEADROOM + SMB2_HEADER_SIZE + 24] = {0};
    talk_logon(talk);
    talk_tree(talk, "vault", true, false);
    struct server_session *session = server_session_find(&talk->host.server, talk->session_id);
    talk->answers_count = 0;
    put(data + SERVER_HEADROOM + SMB2_HEADER_SIZE, 2, 24);
    talk->host.send(talk, server_notify(&talk->host.server, session, NULL, SMB2_OPLOCK_BREAK, data, 24));
    assert_false(talk->answers[0].encrypted);
    assert_int_equal(talk->answers[0].message.header.message_id, UINT64_MAX);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_EXEMPT);
    talk->host.send(
        talk, server_notify(&talk->host.server, session, &talk->host.server.trees[0], SMB2_OPLOCK_BREAK, data, 24));
    assert_true(talk->answers[1].encrypted);
}

/* ---- FSCTL_VALIDATE_NEGOTIATE_INFO ---- */

static size_t info_body(const struct talk *talk, uint8_t body[128]) {
    const struct negotiation_offered *offered = &talk->host.server.negotiation.offered;
    struct writer writer = writer_over(body, 128);
    writer_u32(&writer, 57);
    writer_u32(&writer, FSCTL_VALIDATE_NEGOTIATE_INFO);
    writer_u64(&writer, UINT64_MAX);
    writer_u64(&writer, UINT64_MAX);
    writer_u32(&writer, 120);
    writer_u32(&writer, 26);
    writer_zero(&writer, 12);
    writer_u32(&writer, 24);
    writer_u32(&writer, 1);
    writer_u32(&writer, 0);
    writer_u32(&writer, offered->capabilities);
    writer_put(&writer, (struct span){offered->client_guid, 16});
    writer_u16(&writer, offered->security_mode);
    writer_u16(&writer, 1);
    writer_u16(&writer, talk->dialect);
    assert_false(writer.failed);
    return writer.at;
}

/* One change to the body of a validation that is right but for it, and the answer; 0: closed. */
struct info_case {
    size_t at;
    unsigned width;
    uint64_t value;
    uint32_t status;
    enum rule rule;
};

static void test_validation(void **state) {
    struct talk *talk = talk_of(state);
    static const struct info_case cases[] = {
        {2, 1, 0, 0xffffffff, RULE_NONE},
        {56, 4, 0, 0, RULE_INFO_REQUEST_CAPABILITIES},
        {60, 1, 0, 0, RULE_INFO_REQUEST_GUID},
        {76, 2, 3, 0, RULE_INFO_REQUEST_SECURITY_MODE},
        {80, 2, 0x0210, 0, RULE_INFO_REQUEST_DIALECTS},
        {44, 4, 23, 0, RULE_INFO_OUTPUT_SMALL},
        {48, 4, 0, (uint32_t)STATUS_NOT_SUPPORTED, RULE_NONE},
        {8, 1, 0, (uint32_t)STATUS_INVALID_PARAMETER, RULE_NONE},
        {28, 4, 20, (uint32_t)STATUS_INVALID_PARAMETER, RULE_NONE},
        {24, 4, 119, (uint32_t)STATUS_INVALID_PARAMETER, RULE_NONE},
    };
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        uint8_t body[128];
        again(talk, SMB2_DIALECT_302);
        talk_logon(talk);
        talk_tree(talk, "docs", true, false);
        size_t size = info_body(talk, body);
        put(body + cases[i].at, cases[i].width, cases[i].value);
        talk_add(talk, SMB2_IOCTL, body, size, true);
        talk_send(talk, false);
        if (cases[i].status == 0) {
            assert_closed(talk, cases[i].rule);
            continue;
        }
        assert_status(talk, cases[i].status == 0xffffffff ? STATUS_SUCCESS : cases[i].status);
        assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
        assert_int_equal(talk->host.requests, 0);
    }
}

/* Another FSCTL is the shell's; this one is nobody's on 3.1.1, and unsigned it is nobody's at all. */
static void test_validation_is_the_servers(void **state) {
    struct talk *talk = talk_of(state);
    uint8_t body[128];
    talk_logon(talk);
    talk_tree(talk, "docs", true, false);
    size_t size = info_body(talk, body);
    put(body + 4, 4, 0x00060194);
    talk_add(talk, SMB2_IOCTL, body, size, true);
    talk_send(talk, false);
    assert_status(talk, STATUS_SUCCESS);
    assert_int_equal(talk->host.requests, 1);
    put(body + 4, 4, FSCTL_VALIDATE_NEGOTIATE_INFO);
    talk_add(talk, SMB2_IOCTL, body, size, true);
    talk_send(talk, false);
    assert_closed(talk, RULE_INFO_ON_311);
    again(talk, SMB2_DIALECT_302);
    talk_logon(talk);
    talk_tree(talk, "docs", false, false);
    size = info_body(talk, body);
    talk_add(talk, SMB2_IOCTL, body, size, false);
    talk_send(talk, false);
    assert_closed(talk, RULE_INFO_REQUEST_UNSIGNED);
    /* Bad signature: an answer, signed; the client will draw its conclusion. */
    again(talk, SMB2_DIALECT_302);
    talk_logon(talk);
    talk_tree(talk, "docs", false, false);
    size = info_body(talk, body);
    or_flags(talk_add(talk, SMB2_IOCTL, body, size, false), SMB2_FLAGS_SIGNED);
    talk_send(talk, false);
    assert_refused(talk, STATUS_ACCESS_DENIED, RULE_REQUEST_SIGNATURE);
    assert_int_equal(talk->answers[0].signature, SIGNATURE_GOOD);
    /* Encrypted is as good as signed. */
    size = info_body(talk, body);
    talk_add(talk, SMB2_IOCTL, body, size, false);
    talk_send(talk, true);
    assert_status(talk, STATUS_SUCCESS);
    assert_true(talk->answers[0].encrypted);
}

/* ---- */

static int set_up(void **state) {
    struct talk *talk = calloc(1, sizeof *talk);
    assert_non_null(talk);
    talk_init(talk, SMB2_DIALECT_311);
    *state = talk;
    return 0;
}

static int tear_down(void **state) {
    talk_free(*state);
    free(*state);
    return 0;
}

#define TALK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_signatures_of_the_set_up),
        TALK_TEST(test_logon_refused),
        TALK_TEST(test_logon_guest_and_anonymous),
        TALK_TEST(test_keyless_where_all_is_encrypted),
        TALK_TEST(test_stranger),
        TALK_TEST(test_setup_flags_and_limits),
        TALK_TEST(test_dialect_differs),
        TALK_TEST(test_reauthentication),
        TALK_TEST(test_logoff),
        TALK_TEST(test_answers_wait),
        TALK_TEST(test_answers_keep_their_order),
        TALK_TEST(test_answers_outlive_the_end),
        TALK_TEST(test_wrong_signature_among_others),
        TALK_TEST(test_signing_together_fails),
        TALK_TEST(test_logoff_among_waiting),
        TALK_TEST(test_checked_together),
        TALK_TEST(test_checked_together_with_others),
        TALK_TEST(test_previous_session),
        TALK_TEST(test_logon_busy),
        TALK_TEST(test_previous_session_id),
        TALK_TEST(test_frames_that_close),
        TALK_TEST(test_long_requests),
        TALK_TEST(test_headers_that_close),
        TALK_TEST(test_checks_in_their_order),
        TALK_TEST(test_other_sessions),
        TALK_TEST(test_signing_required),
        TALK_TEST(test_tree_connect),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_what_may_come_late),
        TALK_TEST(test_credits),
        TALK_TEST(test_chain),
        TALK_TEST(test_chain_inherits),
        TALK_TEST(test_unknown_in_a_chain),
        TALK_TEST(test_chains_that_are_refused),
        TALK_TEST(test_room),
        TALK_TEST(test_later),
        TALK_TEST(test_later_in_a_chain),
        TALK_TEST(test_logoff_meanwhile),
        TALK_TEST(test_cancel_of_nothing),
        TALK_TEST(test_too_many_in_flight),
        TALK_TEST(test_cancel_once),
        TALK_TEST(test_tree_connect_extension),
        TALK_TEST(test_tree_of_a_session_that_ends),
        TALK_TEST(test_padding_is_zero),
        TALK_TEST(test_encrypted_session),
        TALK_TEST(test_encrypted_share),
        TALK_TEST(test_encrypted_by_choice),
        TALK_TEST(test_transforms_that_close),
        TALK_TEST(test_notification),
        TALK_TEST(test_validation),
        TALK_TEST(test_validation_is_the_servers),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
