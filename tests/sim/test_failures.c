/* Cryptography that fails at the n-th call, for every n, on either side: the connection is given up, and never goes on
 * unprotected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "configs.h"
#include "crypto_sim.h"

static void run_failing(struct world *world, uint64_t call) {
    keyring_empty(&world->ring); /* so that making handles can fail, too */
    crypto_sim_fail_at(call);
    world_run(world);
}

/* Closed, on one side at least, because of that. A frame that cannot be decrypted looks like one that was altered. */
static bool gave_up(const struct world *world) {
    const struct server_failure *server = &world->host.server.failure;
    const struct client_failure *client = &world->client.failure;
    bool client_closed = world->client.want == CLIENT_CLOSED;
    bool server_told = server->verdict.rule == RULE_NONE || server->verdict.rule == RULE_TRANSFORM_REFUSED;
    bool client_told = client->fault == CLIENT_FAULT_CRYPTO || client->verdict.rule == RULE_TRANSFORM_TAG;
    return (world->host.server.closed && server_told) || (client_closed && client_told);
}

static void fail_everywhere(struct world *world, const struct config *config) {
    config_apply(config, world);
    run_failing(world, 0);
    uint64_t calls = crypto_sim_calls();
    assert_true(world_worked(world) && calls > 4);
    for (uint64_t call = 1; call <= calls; call++) {
        run_failing(world, call);
        if (world_worked(world) || !gave_up(world))
            fail_msg("%s: call %u of %u fails, and it goes on", config->name, (unsigned)call, (unsigned)calls);
        assert_false(world->served_apart);
    }
    run_failing(world, 0);
    assert_true(world_worked(world));
}

static void test_crypto_fails(void **state) {
    struct world *world = *state;
    for (unsigned i = 0; i < configs_count; i++) {
        fail_everywhere(world, &configs[i]);
        world_free(world);
        world_init(world);
    }
}

static int set_up(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world_init(world);
    *state = world;
    return 0;
}

static int tear_down(void **state) {
    world_free(*state);
    free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_crypto_fails, set_up, tear_down)};
    return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
