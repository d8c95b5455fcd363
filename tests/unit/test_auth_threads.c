/* Several threads log users on while the file of accounts is replaced again and again. Built with
 * ThreadSanitizer where the build has no other sanitizer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "logon.h"
#include "wire/messages.h"

#define THREADS 4
#define ROUNDS  60 /* logons in each thread */
#define HASH    "7C4FE5EADA682714A036E39378362BAB"

/* alice is always there, bob comes, goes and is disabled. */
static const char *const versions[] = {
    "alice:" HASH ":\nbob:" HASH ":\n",
    "bob:" HASH ":disabled\nalice:" HASH ":\n",
    "# only one\nalice:" HASH ":\n",
};

struct worker {
    const struct auth_acceptor_config *config;
    unsigned wrong;        /* outcomes that no version allows */
    unsigned in, disabled; /* how often bob was */
};

static bool log_on(const struct auth_acceptor_config *config, const char *user, uint32_t *status) {
    const struct auth_credentials credentials = {
        .method = AUTH_METHOD_NTLM, .user = user, .password = "Password01!"};
    struct auth_initiator *initiator = auth_initiator_new(&credentials);
    struct auth_acceptor *acceptor = auth_acceptor_new(config);
    enum auth_state ours = AUTH_CONTINUE, theirs = AUTH_CONTINUE;
    struct span token = {0};

    while (theirs == AUTH_CONTINUE) {
        ours = auth_initiator_step(initiator, token, &token);
        if (ours != AUTH_CONTINUE)
            break;
        theirs = auth_acceptor_step(acceptor, token, &token);
    }
    *status = theirs == AUTH_FAILED ? auth_acceptor_status(acceptor) : STATUS_SUCCESS;
    auth_initiator_free(initiator);
    auth_acceptor_free(acceptor);
    return theirs == AUTH_COMPLETE;
}

static void *work(void *argument) {
    struct worker *worker = argument;
    char problem[ACCOUNTS_PROBLEM_MAX];
    uint32_t status;

    for (unsigned i = 0; i < ROUNDS; i++) {
        worker->wrong += !log_on(worker->config, "alice", &status);
        worker->wrong +=
            log_on(worker->config, "nobody", &status) || status != STATUS_LOGON_FAILURE;
        if (log_on(worker->config, "bob", &status))
            worker->in++;
        else if (status == STATUS_ACCOUNT_DISABLED)
            worker->disabled++;
        else
            worker->wrong += status != STATUS_LOGON_FAILURE;
        worker->wrong += accounts_problem(worker->config->accounts, problem);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    char *path = accounts_file_make(versions[0]);
    struct auth_acceptor_config config = {.computer = "FILES"};
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];

    assert_int_equal(accounts_open(path, &config.accounts, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].config = &config;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS * ROUNDS; i++)
        accounts_file_write(path, versions[i % 3]);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].wrong, 0);
    }
    accounts_close(config.accounts);
    accounts_file_remove(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
