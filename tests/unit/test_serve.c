/* Parts of the server's shell that need no socket: editions of the configuration, and what the log makes of what it is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/clients.h"
#include "serve/edition.h"
#include "serve/log.h"

/* ---- editions ---- */

struct counted {
    struct host_config config;
    unsigned *freed;
};

static void counted_free(struct host_config *config) {
    struct counted *counted = (struct counted *)config;

    for (unsigned i = 0; i < config->share_count; i++)
        share_release(config->shares[i]);
    ++*counted->freed;
    free(counted);
}

/* With these shares, NULL-terminated, which it takes over. */
static struct host_config *config_new(unsigned *freed, struct share *one, struct share *two) {
    struct counted *counted = calloc(1, sizeof *counted);

    assert_non_null(counted);
    *counted = (struct counted){.config = {.acceptor = {.computer = "SERVER"}, .free = counted_free}, .freed = freed};
    counted->config.shares[counted->config.share_count++] = one;
    if (two != NULL)
        counted->config.shares[counted->config.share_count++] = two;
    return &counted->config;
}

static void test_an_edition_lives_as_long_as_it_is_held(void **state) {
    unsigned freed[3] = {0, 0, 0};
    struct editions editions;
    struct edition *first, *second;

    (void)state;
    assert_true(editions_init(&editions, config_new(&freed[0], share_new("a", NULL), NULL)));
    first = edition_hold(&editions);
    assert_true(editions_replace(&editions, config_new(&freed[1], share_new("a", NULL), NULL)));
    assert_int_equal(freed[0], 0);
    second = edition_hold(&editions);
    assert_ptr_not_equal(first, second);
    assert_true(editions_replace(&editions, config_new(&freed[2], share_new("a", NULL), NULL)));
    edition_release(&editions, second);
    assert_int_equal(freed[1], 0); /* whoever holds the first may use the second */
    edition_release(&editions, first);
    assert_int_equal(freed[0], 1);
    assert_int_equal(freed[1], 1);
    assert_int_equal(freed[2], 0);
    editions_free(&editions);
    assert_int_equal(freed[2], 1);
}

static void test_nobody_holds_it(void **state) {
    unsigned freed[2] = {0, 0};
    struct editions editions;

    (void)state;
    assert_true(editions_init(&editions, config_new(&freed[0], share_new("a", NULL), NULL)));
    assert_true(editions_replace(&editions, config_new(&freed[1], share_new("a", NULL), NULL)));
    assert_int_equal(freed[0], 1);
    edition_release(&editions, edition_hold(&editions));
    assert_int_equal(freed[1], 0); /* the current one stays */
    editions_free(&editions);
    assert_int_equal(freed[1], 1);
}

static void test_shares_that_stay_and_go(void **state) {
    unsigned freed = 0;
    struct share *stays = share_new("stays", NULL), *goes = share_new("goes", NULL);
    struct editions editions;
    struct edition *held;

    (void)state;
    assert_true(editions_init(&editions, config_new(&freed, stays, goes)));
    held = edition_hold(&editions);
    assert_true(editions_replace(&editions, config_new(&freed, share_hold(stays), share_new("goes", NULL))));
    assert_false(atomic_load(&stays->gone));
    assert_true(atomic_load(&goes->gone)); /* one of the same name is another one */
    assert_false(atomic_load(&edition_current(&editions)->shares[1]->gone));
    edition_release(&editions, held);
    assert_int_equal(freed, 1);
    assert_string_equal(edition_current(&editions)->shares[0]->name, "stays");
    editions_free(&editions);
    assert_int_equal(freed, 2);
}

/* ---- clients ---- */

static void test_a_client_keeps_to_its_dialect(void **state) {
    static const uint8_t ada[CLIENT_GUID_SIZE] = {1}, bob[CLIENT_GUID_SIZE] = {2};
    struct clients *clients = clients_new();

    (void)state;
    assert_non_null(clients);
    assert_int_equal(clients_enter(clients, ada, 0x300), CLIENTS_ENTERED);
    assert_int_equal(clients_enter(clients, ada, 0x311), CLIENTS_DIFFERENT);
    assert_int_equal(clients_enter(clients, bob, 0x311), CLIENTS_ENTERED);
    assert_int_equal(clients_enter(clients, ada, 0x300), CLIENTS_ENTERED);
    clients_leave(clients, ada);
    assert_int_equal(clients_enter(clients, ada, 0x311), CLIENTS_DIFFERENT);
    clients_leave(clients, ada);
    assert_int_equal(clients_enter(clients, ada, 0x311), CLIENTS_ENTERED);
    clients_leave(clients, ada);
    clients_leave(clients, bob);
    clients_free(clients);
}

/* More than there are buckets; they leave in another order. */
static void test_many_clients(void **state) {
    struct clients *clients = clients_new();

    (void)state;
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(clients_enter(clients, (uint8_t[CLIENT_GUID_SIZE]){(uint8_t)i, (uint8_t)(i >> 8)}, 0x210),
                         CLIENTS_ENTERED);
    for (unsigned i = 0, k = 0; i < 5000; i++, k = (k + 1777) % 5000)
        clients_leave(clients, (uint8_t[CLIENT_GUID_SIZE]){(uint8_t)k, (uint8_t)(k >> 8)});
    clients_free(clients);
}

/* ---- the log ---- */

static void expect_quoted(const char *value, const char *wanted) {
    char text[LOG_VALUE_MAX];

    assert_string_equal(log_quote(value, text), wanted);
}

static void test_quotes(void **state) {
    (void)state;
    expect_quoted("", "\"\"");
    expect_quoted("ada", "\"ada\"");
    expect_quoted("J\xc3\xbcrgen \xe6\x96\x87", "\"J\xc3\xbcrgen \xe6\x96\x87\"");
    expect_quoted("a\"b\\c", "\"a\\x22b\\x5cc\"");
    expect_quoted("a\nevent=logon\r", "\"a\\x0aevent=logon\\x0d\"");
    expect_quoted("\x1b[2J\x7f", "\"\\x1b[2J\\x7f\"");
    expect_quoted("\xc2\x9b" "2J", "\"\\xc2\\x9b2J\"");                          /* CSI of Latin-1 */
    expect_quoted("\xe2\x80\xae" "x\xe2\x80\xa8", "\"\\xe2\\x80\\xaex\\xe2\\x80\\xa8\""); /* right to left, a line's end */
    expect_quoted("\xff\xc3", "\"\\xff\\xc3\"");                                   /* no UTF-8, and cut */
    expect_quoted("\xed\xa0\x80", "\"\\xed\\xa0\\x80\"");                          /* a surrogate */
}

static void test_long_values_are_cut(void **state) {
    char value[4 * LOG_VALUE_MAX], text[LOG_VALUE_MAX];

    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        memset(value, kind == 0 ? 'a' : '\n', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        log_quote(value, text);
        assert_true(strlen(text) < LOG_VALUE_MAX && strlen(text) > LOG_VALUE_MAX / 2);
        assert_int_equal(text[strlen(text) - 1], '"');
        assert_null(strchr(text, '\n'));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_edition_lives_as_long_as_it_is_held),
        cmocka_unit_test(test_nobody_holds_it),
        cmocka_unit_test(test_shares_that_stay_and_go),
        cmocka_unit_test(test_a_client_keeps_to_its_dialect),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_long_values_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
