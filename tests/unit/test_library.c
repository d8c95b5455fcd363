/* libsmbproof through its public header: a logon of the program's own, requests, the observer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <smbproof.h>
#include <string.h>

#include "peer.h"

static struct peer peer;
static struct smbproof_client *client;
static struct smbproof_observer *observer;
static unsigned next_frame, messages, broken;
static uint8_t received[PEER_FRAME_MAX];

static void observe(enum smbproof_direction from, const uint8_t *octets, size_t size) {
    struct smbproof_event event;

    while (size > 0) {
        size_t used = smbproof_observer_feed(observer, from, octets, size);

        while (smbproof_observer_next(observer, &event)) {
            messages += event.kind == SMBPROOF_MESSAGE;
            broken += event.kind == SMBPROOF_BROKEN;
        }
        assert_true(used > 0);
        octets += used;
        size -= used;
    }
}

static void begin(const struct smbproof_options *options) {
    peer_init(&peer);
    client = smbproof_client_new(options);
    observer = smbproof_observer_new();
    assert_non_null(client);
    assert_non_null(observer);
    next_frame = messages = broken = 0;
}

static void end(void) {
    smbproof_client_free(client);
    smbproof_observer_free(observer);
    peer_free(&peer);
}

static void ask_peer(const uint8_t *octets, size_t size) {
    observe(SMBPROOF_FROM_CLIENT, octets, size);
    peer_answer(&peer, (struct span){octets, size});
    next_frame = 0;
    for (unsigned i = 0; i < peer.frames_count; i++)
        observe(SMBPROOF_FROM_SERVER, peer.frames[i].data, peer.frames[i].size);
}

/* The output goes out in two parts. */
static void send_output(void) {
    uint8_t whole[PEER_FRAME_MAX];
    size_t first, rest;
    const uint8_t *octets = smbproof_client_output(client, &first);

    assert_true(first > 10 && first <= sizeof whole);
    memcpy(whole, octets, first);
    smbproof_client_sent(client, 10);
    assert_int_equal(smbproof_client_step(client), SMBPROOF_SEND);
    octets = smbproof_client_output(client, &rest);
    assert_int_equal(rest, first - 10);
    assert_memory_equal(octets, whole + 10, rest);
    smbproof_client_sent(client, rest);
    ask_peer(whole, first);
}

static void read_frame(void) {
    if (next_frame >= peer.frames_count) {
        smbproof_client_disconnected(client);
        return;
    }
    const struct peer_frame *frame = &peer.frames[next_frame++];
    size_t size = smbproof_frame_size(frame->data);

    assert_int_equal(size, frame->size - 4);
    memcpy(received, frame->data + 4, size);
    smbproof_client_receive(client, received, size);
}

static void give_token(void) {
    static const uint8_t token[] = "token";
    size_t size;

    smbproof_client_token(client, &size);
    assert_true(size == 4 || size == 6); /* the peer's hint or its answer */
    smbproof_client_take_token(client, token, sizeof token, peer.tokens + 1 >= peer.legs, peer.session_key,
                               sizeof peer.session_key);
}

static enum smbproof_want run(void) {
    for (;;) {
        switch (smbproof_client_step(client)) {
        case SMBPROOF_SEND:
            send_output();
            break;
        case SMBPROOF_RECEIVE:
            read_frame();
            break;
        case SMBPROOF_TOKEN:
            give_token();
            break;
        default:
            return smbproof_client_step(client);
        }
    }
}

static struct smbproof_options own_logon(void) {
    struct smbproof_options options;

    smbproof_options_init(&options);
    options.host = "server";
    options.logon = SMBPROOF_LOGON_OWN;
    return options;
}

static void test_own_logon(void **state) {
    (void)state;
    static const struct {
        uint16_t dialect;
        const char *name, *validation;
    } cases[] = {{0x0202, "2.0.2", "none"}, {0x0300, "3.0", "same"}, {0x0302, "3.0.2", "same"}, {0x0311, "3.1.1", "hash"}};

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct smbproof_options options = own_logon();
        struct smbproof_facts facts;
        struct smbproof_failure failure;

        options.dialects[0] = cases[i].dialect;
        begin(&options);
        assert_int_equal(run(), SMBPROOF_READY);
        assert_int_equal(smbproof_client_connect_tree(client, "a/b"), 0);
        assert_int_equal(smbproof_client_connect_tree(client, "share"), 1);
        assert_int_equal(run(), SMBPROOF_READY);
        assert_int_equal(smbproof_client_tree(client), PEER_TREE_ID);
        assert_int_equal(smbproof_client_facts(client, &facts), 1);
        assert_string_equal(facts.dialect, cases[i].name);
        assert_string_equal(facts.validation, cases[i].validation);
        assert_true(facts.has_keys && !facts.is_guest && facts.credits > 0);
        assert_int_equal(smbproof_client_failure(client, &failure), 0);
        assert_true(messages >= 8);
        assert_int_equal(broken, 0);
        smbproof_client_log_off(client);
        assert_int_equal(run(), SMBPROOF_CLOSED);
        assert_int_equal(smbproof_client_failure(client, &failure), 0);
        end();
    }
}

static void test_failure(void **state) {
    (void)state;
    struct smbproof_options options = own_logon();
    struct smbproof_failure failure;
    struct smbproof_facts facts;

    options.dialects[0] = 0x0302;
    begin(&options);
    peer.twist = (struct peer_twist){.active = true, .offset = 88, .width = 1, .value = 1, .flip = true};
    assert_int_equal(run(), SMBPROOF_READY);
    smbproof_client_connect_tree(client, "share");
    assert_int_equal(run(), SMBPROOF_CLOSED);
    assert_int_equal(smbproof_client_facts(client, &facts), 0);
    assert_int_equal(smbproof_client_failure(client, &failure), 1);
    assert_string_equal(failure.rule, "3.2.5.14.12-04");
    assert_string_equal(failure.field, "Capabilities");
    assert_string_equal(failure.phase, "FSCTL_VALIDATE_NEGOTIATE_INFO");
    assert_int_equal(failure.expected_size, 4);
    assert_int_equal(failure.expected[0] ^ failure.found[0], 1);
    assert_true(failure.is_security && failure.sentence[0] != 0 && failure.remedy[0] != 0);
    end();
}

static void test_request(void **state) {
    (void)state;
    static const uint8_t body[] = {4, 0, 0, 0};
    struct smbproof_options options = own_logon();
    struct smbproof_request request = {.command = 13, .body = body, .body_size = sizeof body, .owner = &options};
    struct smbproof_response response;
    uint8_t buffer[SMBPROOF_REQUEST_ROOM + sizeof body];
    size_t size;

    options.signing_required = 1;
    begin(&options);
    assert_null(smbproof_client_request(client, &request, buffer, sizeof buffer, &size));
    assert_int_equal(run(), SMBPROOF_READY);
    const uint8_t *frame = smbproof_client_request(client, &request, buffer, sizeof buffer, &size);
    assert_non_null(frame);
    assert_int_equal(size, 4 + 64 + 4);
    ask_peer(frame, size);
    assert_int_equal(smbproof_client_next(client, &response), 0);
    read_frame();
    assert_int_equal(smbproof_client_next(client, &response), 1);
    assert_ptr_equal(response.owner, &options);
    assert_int_equal(response.command, 13);
    assert_int_equal(response.status, 0);
    assert_int_equal(smbproof_client_next(client, &response), 0);
    assert_int_equal(peer.bad_signatures, 0);
    assert_true(peer.signed_commands >> 13 & 1);
    end();
}

static void test_options(void **state) {
    (void)state;
    struct smbproof_options options;

    smbproof_options_init(&options);
    assert_null(smbproof_client_new(&options)); /* no host */
    options.host = "server";
    options.dialects[0] = 0x0310;
    assert_null(smbproof_client_new(&options));
    assert_string_equal(smbproof_status_name(0xc0000022), "STATUS_ACCESS_DENIED");
    assert_string_equal(smbproof_status_name(0x12345678), "");
    assert_true(strlen(smbproof_version()) >= 5);
}

static void test_observer_sees_what_is_wrong(void **state) {
    (void)state;
    struct smbproof_options options = own_logon();

    options.dialects[0] = 0x0302;
    begin(&options);
    peer.unsigned_commands = UINT32_MAX;
    assert_int_equal(run(), SMBPROOF_CLOSED);
    assert_true(broken > 0);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_logon), cmocka_unit_test(test_failure),
        cmocka_unit_test(test_request),   cmocka_unit_test(test_options),
        cmocka_unit_test(test_observer_sees_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
