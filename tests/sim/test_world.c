/* Our client against our server with somebody on the path: what every alteration of a negotiation comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configs.h"

static void assert_told(const struct world *world, const char *wanted) {
    char text[256];
    world_tell(world, text, sizeof text);
    assert_string_equal(text, wanted);
}

/* ---- nobody on the path ---- */

static void test_undisturbed(void **state) {
    struct world *world = *state;
    for (unsigned i = 0; i < configs_count; i++) {
        config_apply(&configs[i], world);
        world_run(world);
        assert_told(world, "worked");
        assert_null(world_difference(world));
        assert_int_equal(world->client.negotiation.agreed.dialect, configs[i].dialect);
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

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_undisturbed),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
