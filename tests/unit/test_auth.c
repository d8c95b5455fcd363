/* src/auth as a whole: initiator and acceptor, NTLM within SPNEGO and without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/ntlm.h"
#include "auth/spnego.h"
#include "crypto/crypto.h"
#include "logon.h"
#include "wire/messages.h"
#include "wire/text.h"

/* NT hashes of "Password01!" and, for the disabled one, likewise. */
#define HASH "7C4FE5EADA682714A036E39378362BAB"

static const char accounts_text[] =
    "# who may\n"
    "administrator:" HASH ":\n"
    "Ma\xc3\x9f\xc3\x84r\xed\x95\x9c\xf0\x9f\x98\x80:7c4fe5eada682714a036e39378362bab:\n"
    "\n"
    "gone:" HASH ":disabled\n";

struct fixture {
    char *path;
    struct auth_acceptor_config config;
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);

    fixture->path = accounts_file_make(accounts_text);
    assert_int_equal(accounts_open(fixture->path, &fixture->config.accounts, NULL), 0);
    fixture->config.computer = "FILES";
    fixture->config.dns_computer = "files.example.org";
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;

    accounts_close(fixture->config.accounts);
    accounts_file_remove(fixture->path);
    free(fixture);
    return 0;
}

static const struct auth_credentials good = {.method = AUTH_METHOD_NTLM,
                                             .user = "Administrator",
                                             .domain = "WORKGROUP",
                                             .password = "Password01!",
                                             .host = "files.example.org"};

static void test_logon(void **state) {
    struct fixture *fixture = *state;
    struct logon logon;

    logon_run(&logon, &good, &fixture->config, NULL, NULL);
    assert_string_equal(auth_initiator_reason(logon.initiator), "");
    assert_string_equal(auth_acceptor_reason(logon.acceptor), "");
    assert_true(logon_succeeded(&logon));
    assert_int_equal(logon.tokens, 4);
    assert_int_equal(auth_initiator_session_key(logon.initiator).size, 16);
    assert_string_equal(auth_acceptor_user(logon.acceptor), "administrator");
    assert_string_equal(auth_acceptor_domain(logon.acceptor), "WORKGROUP");
    assert_string_equal(auth_acceptor_mechanism(logon.acceptor), "NTLMv2");
    assert_string_equal(auth_initiator_mechanism(logon.initiator), "NTLMv2");
    assert_false(auth_acceptor_is_guest(logon.acceptor));
    assert_false(auth_acceptor_is_anonymous(logon.acceptor));
    logon_free(&logon);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logon),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
