/* Whichever call of the cryptography fails on the client's side: it closes, and never takes anything for proven. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "faulty_crypto.h"
#include "talk.h"

#define CALLS_MAX 200u

static struct talk talk;
static uint8_t room[PEER_FRAME_MAX];

static bool chain(void) {
    struct client_frame frame;
    struct client_response response;
    struct client_request first = {.command = SMB2_ECHO, .tree_id = PEER_TREE_ID};
    struct client_request second = {.command = SMB2_CLOSE, .tree_id = PEER_TREE_ID, .related = true};

    client_frame_begin(&frame, room, sizeof room);
    if (!client_frame_add(&talk.client, &frame, &first, client_encode_empty, NULL) ||
        !client_frame_add(&talk.client, &frame, &second, client_encode_empty, NULL))
        return false;
    struct span octets = client_frame_finish(&talk.client, &frame);
    if (octets.size == 0)
        return false;
    faulty_crypto_pause(true);
    talk.next_frame = 0;
    peer_answer(&talk.peer, octets);
    faulty_crypto_pause(false);
    return talk_read(&talk) && client_next_response(&talk.client, &response) &&
           client_next_response(&talk.client, &response);
}

/* Everything that uses a key. */
static void live(void) {
    if (talk_connect(&talk) != CLIENT_READY || !chain())
        return;
    client_reauthenticate(&talk.client);
    talk_run(&talk);
}

/* How many calls there were. */
static unsigned move_failure(uint16_t dialect, bool sealing) {
    for (unsigned nth = 1; nth < CALLS_MAX; nth++) {
        talk_init(&talk);
        talk_only(&talk, dialect);
        talk.policy.signing_required = true;
        talk.peer_turn = faulty_crypto_pause;
        talk.peer.session_flags = sealing ? SESSION_FLAG_ENCRYPT_DATA : 0;
        faulty_crypto_arm(nth);
        live();
        bool failed = faulty_crypto_failed();
        enum client_fault fault = talk.client.failure.fault;
        enum rule rule = talk.client.failure.verdict.rule;
        enum client_want want = client_step(&talk.client);
        faulty_crypto_arm(0);
        talk_free(&talk);
        if (!failed) {
            assert_int_equal(want, CLIENT_READY);
            return nth - 1;
        }
        assert_int_equal(want, CLIENT_CLOSED);
        /* A tag that could not be computed is one that does not fit. */
        assert_true(fault == CLIENT_FAULT_CRYPTO || (fault == CLIENT_FAULT_RULE && rule == RULE_TRANSFORM_TAG));
    }
    fail();
    return 0;
}

static void test_moving_failure(void **state) {
    (void)state;
    static const uint16_t dialects[] = {SMB2_DIALECT_202, SMB2_DIALECT_300, SMB2_DIALECT_302, SMB2_DIALECT_311};

    for (unsigned i = 0; i < sizeof dialects / sizeof *dialects; i++)
        for (unsigned sealing = 0; sealing <= (dialects[i] >= SMB2_DIALECT_300); sealing++)
            assert_true(move_failure(dialects[i], sealing) > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moving_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
