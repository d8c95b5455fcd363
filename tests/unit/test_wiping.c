/* No secret is left in memory that is given back: every free() of src/auth comes here (see
 * meson.build), where what is freed is searched for the password, its hash, and the session key.
 * The stack and the Kerberos library are not looked at. */
#undef free
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/accounts_file.h"
#include "auth/ntlm.h"
#include "logon.h"
#include "wire/text.h"

#define HASH     "7C4FE5EADA682714A036E39378362BAB"
#define PASSWORD "Password01!"

struct secret {
    uint8_t data[64];
    size_t size;
};

/* What is looked for, and how often it was found. The counter of frees shows that this test looks
 * at all. */
static struct secret secrets[8];
static size_t secrets_count, found, freed;

void free_looking(void *memory);

void free_looking(void *memory) {
    if (memory != NULL) {
        size_t size = malloc_usable_size(memory);

        freed++;
        for (size_t i = 0; i < secrets_count; i++)
            found += memmem(memory, size, secrets[i].data, secrets[i].size) != NULL;
    }
    free(memory);
}

static void look_for(struct span secret) {
    assert_true(secrets_count < sizeof secrets / sizeof secrets[0]);
    assert_in_range(secret.size, 8, sizeof secrets[0].data);
    memcpy(secrets[secrets_count].data, secret.data, secret.size);
    secrets[secrets_count++].size = secret.size;
}

static int setup(void **state) {
    uint8_t hash[AUTH_NT_HASH_SIZE], room[64];
    struct writer writer = writer_over(room, sizeof room);

    (void)state;
    secrets_count = found = freed = 0;
    assert_true(ntlm_hash(PASSWORD, hash));
    assert_true(text_to_utf16(text_span(PASSWORD), &writer));
    look_for((struct span){hash, sizeof hash});
    look_for(writer_done(&writer));
    look_for(text_span(PASSWORD));
    look_for(text_span(HASH));
    return 0;
}

/* Would this test notice? */
static void test_notices(void **state) {
    (void)state;
    char *kept = malloc(64);

    memset(kept, 0, 64);
    memcpy(kept + 7, PASSWORD, sizeof PASSWORD);
    free_looking(kept);
    assert_int_equal(freed, 1);
    assert_int_equal(found, 1);
}

static void test_logon(void **state) {
    (void)state;
    const struct auth_credentials credentials = {
        .method = AUTH_METHOD_NTLM, .user = "alice", .password = PASSWORD, .host = "files"};
    struct auth_acceptor_config config = {.computer = "FILES"};
    char *path = accounts_file_make("alice:" HASH ":\n");
    struct logon logon;

    assert_int_equal(accounts_open(path, &config.accounts, NULL), 0);
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_true(logon_succeeded(&logon));
    look_for(auth_initiator_session_key(logon.initiator));
    logon_free(&logon);
    accounts_file_write(path, "alice:" HASH ":disabled\n"); /* the old table goes */
    assert_int_equal(accounts_count(config.accounts), 1);
    accounts_close(config.accounts);
    assert_true(freed > 10);
    assert_int_equal(found, 0);
    accounts_file_remove(path);
}

static void test_change(void **state) {
    (void)state;
    char *path = accounts_file_make("alice:" HASH ":\n"), problem[ACCOUNTS_PROBLEM_MAX];
    struct accounts_change change = {.kind = ACCOUNT_DISABLE, .user = "alice"};

    assert_int_equal(accounts_change(path, &change, problem), 0);
    assert_true(freed > 2);
    assert_int_equal(found, 0);
    accounts_file_remove(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_notices, setup),
        cmocka_unit_test_setup(test_logon, setup),
        cmocka_unit_test_setup(test_change, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
