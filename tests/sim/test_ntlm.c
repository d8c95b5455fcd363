/* Client, server and adversary with a real authentication, NTLMv2 in SPNEGO: each configuration works, keys and all;
 * and an alteration of any octet of what goes before the first operation never leaves the two ends at work and apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/acceptor.h"
#include "configs.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* NT hash of "Password01!", of the vectors. */
static const char accounts_text[] = "administrator:7C4FE5EADA682714A036E39378362BAB:\n";
static const struct auth_credentials credentials = {
    .method = AUTH_METHOD_NTLM, .user = "administrator", .domain = "", .password = "Password01!", .host = "host"};

struct ntlm {
    struct world world;
    char path[64];
    struct accounts *accounts;
    struct auth_acceptor_config config;
    struct auth_initiator *initiator;
    struct auth_acceptor *acceptor;
    uint8_t hint[AUTH_HINT_MAX];
    /* What the adversary changes. */
    enum direction from;
    unsigned index;
    size_t offset;
    uint8_t change;
    size_t sizes[2][WORLD_FRAMES_MAX];
};

static void client_step_token(struct world *world, struct span token) {
    struct ntlm *ntlm = world->arguments;
    struct span out;
    enum auth_state state = auth_initiator_step(ntlm->initiator, token, &out);
    if (state == AUTH_FAILED)
        client_refuse_token(&world->client, (uint32_t)STATUS_LOGON_FAILURE);
    else if (state == AUTH_CONTINUE)
        client_take_token(&world->client, out, false, (struct span){NULL, 0});
    else
        client_take_token(&world->client, out, true, auth_initiator_session_key(ntlm->initiator));
}

static void server_step_token(void *arguments, struct span token, struct server_logon *logon) {
    struct ntlm *ntlm = ((struct world *)arguments)->arguments;
    enum auth_state state = auth_acceptor_step(ntlm->acceptor, token, &logon->token);
    logon->state = state == AUTH_CONTINUE   ? SERVER_LOGON_CONTINUE
                   : state == AUTH_COMPLETE ? SERVER_LOGON_DONE
                                            : SERVER_LOGON_REFUSED;
    if (state == AUTH_FAILED)
        logon->status = auth_acceptor_status(ntlm->acceptor);
    if (state != AUTH_COMPLETE)
        return;
    logon->session_key = auth_acceptor_session_key(ntlm->acceptor);
    logon->is_anonymous = auth_acceptor_is_anonymous(ntlm->acceptor);
    logon->is_guest = auth_acceptor_is_guest(ntlm->acceptor);
}

static void alter(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    struct ntlm *ntlm = world->arguments;
    if (ntlm->change == 0)
        ntlm->sizes[from][index] = frame->size;
    if (from == ntlm->from && index == ntlm->index && ntlm->offset < frame->size)
        frame->data[ntlm->offset] ^= ntlm->change;
    world_queue_put(world, from, frame);
}

static void run(struct ntlm *ntlm) {
    ntlm->initiator = auth_initiator_new(&credentials);
    ntlm->acceptor = auth_acceptor_new(&ntlm->config);
    assert_true(ntlm->initiator != NULL && ntlm->acceptor != NULL);
    world_run(&ntlm->world);
    auth_initiator_free(ntlm->initiator);
    auth_acceptor_free(ntlm->acceptor);
}

static void test_each_configuration(void **state) {
    struct ntlm *ntlm = *state;
    for (unsigned i = 0; i < configs_count; i++) {
        char text[256];
        config_apply(&configs[i], &ntlm->world);
        run(ntlm);
        world_tell(&ntlm->world, text, sizeof text);
        assert_string_equal(text, "worked");
        assert_null(world_difference(&ntlm->world));
        ntlm->world.policy.signing_required = false;
    }
}

static void alter_octets(struct ntlm *ntlm, const char *config, unsigned frames, uint8_t change) {
    for (unsigned from = 0; from < 2; from++)
        for (ntlm->index = 0; ntlm->index < frames; ntlm->index++)
            for (ntlm->offset = 0; ntlm->offset < ntlm->sizes[from][ntlm->index]; ntlm->offset++) {
                ntlm->from = (enum direction)from;
                ntlm->change = change;
                run(ntlm);
                bool worked = world_worked(&ntlm->world);
                if (ntlm->world.served_apart || (worked && world_difference(&ntlm->world) != NULL))
                    fail_msg("%s: frame %u from %u, octet %zu: the ends differ and it works", config, ntlm->index, from,
                             ntlm->offset);
                if (worked && config_find(config)->dialect == SMB2_DIALECT_311)
                    fail_msg("%s: frame %u from %u, octet %zu goes unnoticed", config, ntlm->index, from, ntlm->offset);
            }
}

static void test_each_octet(void **state) {
    static const char *const chosen[] = {"2.1-plain", "3.0.2-plain", "3.0.2-encrypted", "3.1.1-plain-gmac",
                                         "3.1.1-gcm128"};
    struct ntlm *ntlm = *state;
    for (unsigned i = 0; i < COUNT_OF(chosen); i++) {
        config_apply(config_find(chosen[i]), &ntlm->world);
        ntlm->world.adversary = alter;
        ntlm->change = 0;
        run(ntlm);
        assert_true(world_worked(&ntlm->world));
        /* The last frame of each end is the operation. */
        alter_octets(ntlm, chosen[i], ntlm->world.sent[FROM_CLIENT] - 1, (uint8_t)(1u << i));
    }
}

static int set_up(void **state) {
    struct ntlm *ntlm = calloc(1, sizeof *ntlm);
    assert_non_null(ntlm);
    world_init(&ntlm->world);
    snprintf(ntlm->path, sizeof ntlm->path, "/tmp/smbproof-sim-XXXXXX");
    int file = mkstemp(ntlm->path);
    assert_true(file >= 0 && write(file, accounts_text, sizeof accounts_text - 1) == sizeof accounts_text - 1);
    close(file);
    assert_int_equal(accounts_open(ntlm->path, &ntlm->accounts, NULL), 0);
    ntlm->config = (struct auth_acceptor_config){.accounts = ntlm->accounts, .computer = "HOST"};
    struct writer writer = writer_over(ntlm->hint, sizeof ntlm->hint);
    assert_true(auth_hint_put(&ntlm->config, &writer));
    ntlm->world.host.hint = writer_done(&writer);
    ntlm->world.host.authenticate = server_step_token;
    ntlm->world.authenticate = client_step_token;
    ntlm->world.arguments = ntlm;
    *state = ntlm;
    return 0;
}

static int tear_down(void **state) {
    struct ntlm *ntlm = *state;
    world_free(&ntlm->world);
    accounts_close(ntlm->accounts);
    unlink(ntlm->path);
    free(ntlm);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_octet, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("ntlm", tests, NULL, NULL);
}
