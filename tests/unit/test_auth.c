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

/* ---- who may ---- */

static void assert_refused(const struct logon *logon, uint32_t status) {
    assert_int_equal(logon->acceptor_state, AUTH_FAILED);
    assert_int_not_equal(logon->initiator_state, AUTH_COMPLETE);
    assert_int_equal(auth_acceptor_status(logon->acceptor), status);
    assert_true(strlen(auth_acceptor_reason(logon->acceptor)) > 0);
}

/* Unknown, wrong and wrong for a disabled account look the same, in the status and in the log. */
static void test_refusals(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        const char *user, *password;
        uint32_t status;
    } cases[] = {
        {"nobody", "Password01!", STATUS_LOGON_FAILURE},
        {"administrator", "password01!", STATUS_LOGON_FAILURE},
        {"administrator", "", STATUS_LOGON_FAILURE},
        {"gone", "Password02!", STATUS_LOGON_FAILURE},
        {"gone", "Password01!", STATUS_ACCOUNT_DISABLED},
    };
    char reason[256] = "";

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct auth_credentials credentials = good;
        struct logon logon;

        credentials.user = cases[i].user;
        credentials.password = cases[i].password;
        logon_run(&logon, &credentials, &fixture->config, NULL, NULL);
        assert_refused(&logon, cases[i].status);
        if (i == 0)
            strcpy(reason, auth_acceptor_reason(logon.acceptor));
        else if (cases[i].status == STATUS_LOGON_FAILURE)
            assert_string_equal(auth_acceptor_reason(logon.acceptor), reason);
        logon_free(&logon);
    }
}

static void test_spellings(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        const char *user, *domain, *name;
    } cases[] = {
        {"ADMINISTRATOR", "", "administrator"},
        {"administrator", NULL, "administrator"},
        {"administrator", "files", "administrator"},
        {"administrator", "\xed\x95\x9c\xf0\x9f\x98\x80", "administrator"},
        {"administrator@example.org", "", "administrator"},
        {"mA\xc3\x9f\xc3\xa4R\xed\x95\x9c\xf0\x9f\x98\x80", "x",
         "Ma\xc3\x9f\xc3\x84r\xed\x95\x9c\xf0\x9f\x98\x80"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct auth_credentials credentials = good;
        struct logon logon;

        credentials.user = cases[i].user;
        credentials.domain = cases[i].domain;
        logon_run(&logon, &credentials, &fixture->config, NULL, NULL);
        assert_true(logon_succeeded(&logon));
        assert_string_equal(auth_acceptor_user(logon.acceptor), cases[i].name);
        assert_string_equal(auth_acceptor_domain(logon.acceptor),
                            cases[i].domain ? cases[i].domain : "");
        logon_free(&logon);
    }
}

static void test_nt_hash(void **state) {
    struct fixture *fixture = *state;
    struct auth_credentials credentials = good;
    uint8_t hash[AUTH_NT_HASH_SIZE];
    struct logon logon;

    assert_true(ntlm_hash("Password01!", hash));
    credentials.password = NULL;
    credentials.nt_hash = hash;
    logon_run(&logon, &credentials, &fixture->config, NULL, NULL);
    assert_true(logon_succeeded(&logon));
    logon_free(&logon);
    hash[0] ^= 1;
    logon_run(&logon, &credentials, &fixture->config, NULL, NULL);
    assert_refused(&logon, STATUS_LOGON_FAILURE);
    logon_free(&logon);
}

static void test_names_that_are_none(void **state) {
    struct fixture *fixture = *state;
    static char longest[AUTH_NAME_MAX], too_long[2 * AUTH_NAME_MAX];
    const char *const names[] = {"\xff", longest, too_long};

    memset(longest, 'x', sizeof longest - 1);
    memset(too_long, 'x', sizeof too_long - 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct auth_credentials credentials = good;
        struct logon logon;

        credentials.user = names[i];
        logon_run(&logon, &credentials, &fixture->config, NULL, NULL);
        assert_false(logon_succeeded(&logon));
        assert_int_equal(logon.initiator_state == AUTH_FAILED, i != 1);
        logon_free(&logon);
    }
}

static void test_anonymous(void **state) {
    struct auth_acceptor_config config = ((struct fixture *)*state)->config;
    const struct auth_credentials credentials = {.method = AUTH_METHOD_ANONYMOUS};
    struct logon logon;

    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_refused(&logon, STATUS_LOGON_FAILURE);
    logon_free(&logon);
    config.allow_anonymous = true;
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_true(logon_succeeded(&logon));
    assert_true(auth_acceptor_is_anonymous(logon.acceptor));
    assert_true(auth_initiator_is_anonymous(logon.initiator));
    assert_false(auth_acceptor_is_guest(logon.acceptor));
    assert_int_equal(auth_acceptor_session_key(logon.acceptor).size, 0);
    assert_int_equal(auth_initiator_session_key(logon.initiator).size, 0);
    assert_string_equal(auth_acceptor_user(logon.acceptor), "");
    logon_free(&logon);
}

/* Whoever is not known; never whoever is known and has the wrong password, or is disabled. */
static void test_guest(void **state) {
    struct auth_acceptor_config config = ((struct fixture *)*state)->config;
    struct auth_credentials credentials = good;
    struct logon logon;

    config.allow_guest = true;
    credentials.user = "Visitor";
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_int_equal(logon.acceptor_state, AUTH_COMPLETE);
    assert_int_equal(logon.initiator_state, AUTH_COMPLETE);
    assert_true(auth_acceptor_is_guest(logon.acceptor));
    assert_int_equal(auth_acceptor_session_key(logon.acceptor).size, 0);
    assert_string_equal(auth_acceptor_user(logon.acceptor), "Visitor");
    logon_free(&logon);
    credentials.user = "administrator";
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_true(logon_succeeded(&logon));
    assert_false(auth_acceptor_is_guest(logon.acceptor));
    logon_free(&logon);
    credentials.password = "wrong";
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_refused(&logon, STATUS_LOGON_FAILURE);
    logon_free(&logon);
    credentials.user = "gone";
    credentials.password = "Password01!";
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_refused(&logon, STATUS_ACCOUNT_DISABLED);
    logon_free(&logon);
    config.accounts = NULL; /* then everybody is unknown */
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_int_equal(logon.acceptor_state, AUTH_COMPLETE);
    assert_true(auth_acceptor_is_guest(logon.acceptor));
    logon_free(&logon);
}

/* Where there are no accounts, no hash is anybody's: not the one of zeros either. */
static void test_no_accounts(void **state) {
    (void)state;
    static const uint8_t zero[AUTH_NT_HASH_SIZE];
    const struct auth_acceptor_config config = {.computer = "FILES", .allow_anonymous = true};
    struct auth_credentials credentials = good;
    struct logon logon;

    credentials.password = NULL;
    credentials.nt_hash = zero;
    logon_run(&logon, &credentials, &config, NULL, NULL);
    assert_refused(&logon, STATUS_LOGON_FAILURE);
    logon_free(&logon);
}

static void test_nothing_to_offer(void **state) {
    struct fixture *fixture = *state;
    struct auth_credentials credentials = {.method = AUTH_METHOD_NTLM, .user = "administrator"};
    struct auth_acceptor_config config = {.computer = "FILES"};
    struct logon logon;

    logon_run(&logon, &credentials, &fixture->config, NULL, NULL);
    assert_int_equal(logon.initiator_state, AUTH_FAILED);
    assert_true(strlen(auth_initiator_reason(logon.initiator)) > 0);
    logon_free(&logon);
    logon_run(&logon, &good, &config, NULL, NULL);
    assert_refused(&logon, STATUS_NOT_SUPPORTED);
    logon_free(&logon);
}

/* ---- the path ---- */

struct flip {
    unsigned token;
    size_t at;
    uint8_t mask;
    size_t size; /* of the token, filled in */
};

static void flip(void *context, unsigned number, uint8_t *token, size_t *size) {
    struct flip *flip = context;

    if (number != flip->token)
        return;
    flip->size = *size;
    if (flip->at < *size)
        token[flip->at] ^= flip->mask;
}

/* One octet changed on its way, whichever and however: refused by one of both, or without effect.
 */
static void test_every_octet(void **state) {
    struct fixture *fixture = *state;
    static const uint8_t masks[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
    unsigned harmless = 0, all = 0;

    for (struct flip change = {0}; change.token < 4; change.token++) {
        change.size = 1;
        for (change.at = 0; change.at < change.size; change.at++)
            for (size_t i = 0; i < sizeof masks; i++) {
                struct logon logon;

                change.mask = masks[i];
                logon_run(&logon, &good, &fixture->config, flip, &change);
                all++;
                if (logon.initiator_state == AUTH_COMPLETE) {
                    assert_true(logon_succeeded(&logon));
                    assert_string_equal(auth_acceptor_user(logon.acceptor), "administrator");
                    assert_string_equal(auth_acceptor_domain(logon.acceptor), "WORKGROUP");
                    harmless++;
                }
                logon_free(&logon);
            }
    }
    assert_true(all > 6000);
    /* negState of the first answer says "give me a MIC", which was to come anyway; that of the last
     * token is the one that there is. */
    assert_int_equal(harmless, 1);
}

static void cut(void *context, unsigned number, uint8_t *token, size_t *size) {
    struct flip *flip = context;

    (void)token;
    if (number != flip->token)
        return;
    flip->size = *size;
    *size = flip->at;
}

static void test_cut_tokens(void **state) {
    struct fixture *fixture = *state;

    for (struct flip change = {0}; change.token < 4; change.token++) {
        change.size = 1;
        for (change.at = 0; change.at < change.size; change.at++) {
            struct logon logon;

            logon_run(&logon, &good, &fixture->config, cut, &change);
            assert_false(logon_succeeded(&logon));
            logon_free(&logon);
        }
    }
}

/* Tokens are decoded, changed as a whole, and encoded again. */
static void rewrite(uint8_t *token, size_t *size, const struct spnego_response *response) {
    uint8_t room[2048];
    struct writer writer = writer_over(room, sizeof room);

    assert_true(spnego_response_encode(response, &writer));
    assert_true(writer.at <= *size);
    memcpy(token, room, writer.at);
    *size = writer.at;
}

static void strip_client_mic(void *context, unsigned number, uint8_t *token, size_t *size) {
    struct spnego_response response;
    uint8_t copy[2048];

    (void)context;
    if (number != 2)
        return;
    memcpy(copy, token, *size);
    assert_true(spnego_response_decode((struct span){copy, *size}, &response));
    assert_true(response.mic.size > 0);
    response.mic = (struct span){0};
    rewrite(token, size, &response);
}

static void strip_server_mic(void *context, unsigned number, uint8_t *token, size_t *size) {
    struct spnego_response response;
    uint8_t copy[2048];

    (void)context;
    if (number != 3)
        return;
    memcpy(copy, token, *size);
    assert_true(spnego_response_decode((struct span){copy, *size}, &response));
    assert_true(response.mic.size > 0);
    response.mic = (struct span){0};
    rewrite(token, size, &response);
}

/* With a single mechanism there is nothing to choose, so nothing to sign: some servers do not. */
static void test_no_list_mic(void **state) {
    struct fixture *fixture = *state;
    struct logon logon;

    logon_run(&logon, &good, &fixture->config, strip_client_mic, NULL);
    assert_true(logon_succeeded(&logon));
    logon_free(&logon);
    logon_run(&logon, &good, &fixture->config, strip_server_mic, NULL);
    assert_true(logon_succeeded(&logon));
    logon_free(&logon);
}

/* ---- other clients ---- */

/* A client by hand: NTLM within the tokens that a test builds. */
struct client {
    struct mechanism *ntlm;
    struct auth_acceptor *acceptor;
    struct span ours, theirs;
    struct spnego_response answer;
};

static void client_begin(struct client *client, const struct auth_acceptor_config *config) {
    *client =
        (struct client){.ntlm = ntlm_initiator_new(&good), .acceptor = auth_acceptor_new(config)};
    assert_non_null(client->ntlm);
    assert_non_null(client->acceptor);
}

static void client_end(struct client *client) {
    mechanism_free(client->ntlm);
    auth_acceptor_free(client->acceptor);
}

static enum auth_state client_send_init(struct client *client, const enum spnego_mechanism *names,
                                        size_t count, struct span token) {
    uint8_t room[1024];
    struct writer writer = writer_over(room, sizeof room);
    struct spnego_init init = {.count = count, .token = token};
    enum auth_state state;

    memcpy(init.mechanisms, names, count * sizeof names[0]);
    assert_true(spnego_init_encode(&init, &writer));
    state = auth_acceptor_step(client->acceptor, writer_done(&writer), &client->theirs);
    if (state != AUTH_FAILED)
        assert_true(spnego_response_decode(client->theirs, &client->answer));
    return state;
}

static enum auth_state client_send(struct client *client, struct span token, struct span mic) {
    uint8_t room[2048];
    struct writer writer = writer_over(room, sizeof room);
    struct spnego_response response = {.state = SPNEGO_NO_STATE, .token = token, .mic = mic};
    enum auth_state state;

    assert_true(spnego_response_encode(&response, &writer));
    state = auth_acceptor_step(client->acceptor, writer_done(&writer), &client->theirs);
    if (state != AUTH_FAILED)
        assert_true(spnego_response_decode(client->theirs, &client->answer));
    return state;
}

static struct span client_sign(struct client *client, const enum spnego_mechanism *names,
                               size_t count, uint8_t room[NTLM_SIGNATURE_SIZE]) {
    uint8_t list_room[64];
    struct writer list = writer_over(list_room, sizeof list_room),
                  mic = writer_over(room, NTLM_SIGNATURE_SIZE);

    spnego_list_put(names, count, &list);
    assert_true(client->ntlm->methods->sign(client->ntlm, writer_done(&list), &mic));
    return writer_done(&mic);
}

static bool client_verifies(struct client *client, const enum spnego_mechanism *names,
                            size_t count) {
    uint8_t list_room[64];
    struct writer list = writer_over(list_room, sizeof list_room);

    spnego_list_put(names, count, &list);
    return client->ntlm->methods->verify(client->ntlm, writer_done(&list), client->answer.mic);
}

static const enum spnego_mechanism kerberos_first[] = {SPNEGO_MS_KERBEROS, SPNEGO_KERBEROS,
                                                       SPNEGO_NTLM};

/* Up to AUTHENTICATE, in `ours`, with a client that would rather have had Kerberos. */
static void client_counter_proposal(struct client *client) {
    assert_int_equal(client_send_init(client, kerberos_first, 3, text_span("a ticket")),
                     AUTH_CONTINUE);
    assert_int_equal(client->answer.state, SPNEGO_REQUEST_MIC);
    assert_true(client->answer.has_mechanism);
    assert_int_equal(client->answer.mechanism, SPNEGO_NTLM);
    assert_int_equal(client->answer.token.size, 0);
    client->ntlm->methods->step(client->ntlm, (struct span){0}, &client->ours);
    assert_int_equal(client_send(client, client->ours, (struct span){0}), AUTH_CONTINUE);
    assert_false(client->answer.has_mechanism);
    assert_int_equal(client->ntlm->methods->step(client->ntlm, client->answer.token, &client->ours),
                     AUTH_COMPLETE);
}

static void test_counter_proposal(void **state) {
    struct fixture *fixture = *state;
    uint8_t room[NTLM_SIGNATURE_SIZE];
    struct client client;

    client_begin(&client, &fixture->config);
    client_counter_proposal(&client);
    assert_int_equal(
        client_send(&client, client.ours, client_sign(&client, kerberos_first, 3, room)),
        AUTH_COMPLETE);
    assert_int_equal(client.answer.state, SPNEGO_ACCEPT_COMPLETED);
    assert_true(client_verifies(&client, kerberos_first, 3));
    client_end(&client);
}

/* The MIC may come a token later, but without it there is no logon. */
static void test_counter_proposal_late_mic(void **state) {
    struct fixture *fixture = *state;
    uint8_t room[NTLM_SIGNATURE_SIZE];
    struct client client;

    client_begin(&client, &fixture->config);
    client_counter_proposal(&client);
    assert_int_equal(client_send(&client, client.ours, (struct span){0}), AUTH_CONTINUE);
    assert_int_equal(client.answer.state, SPNEGO_ACCEPT_INCOMPLETE);
    assert_true(client_verifies(&client, kerberos_first, 3));
    assert_int_equal(
        client_send(&client, (struct span){0}, client_sign(&client, kerberos_first, 3, room)),
        AUTH_COMPLETE);
    client_end(&client);
}

/* Somebody on the path took Kerberos away, or put it there. */
static void test_counter_proposal_altered(void **state) {
    struct fixture *fixture = *state;
    uint8_t room[NTLM_SIGNATURE_SIZE];
    struct client client;

    for (unsigned how = 0; how < 3; how++) {
        client_begin(&client, &fixture->config);
        client_counter_proposal(&client);
        if (how == 0)
            assert_int_equal(client_send(&client, client.ours,
                                         client_sign(&client, kerberos_first + 2, 1, room)),
                             AUTH_FAILED);
        else if (how == 1)
            assert_int_equal(
                client_send(&client, client.ours, client_sign(&client, kerberos_first, 2, room)),
                AUTH_FAILED);
        else {
            assert_int_equal(client_send(&client, client.ours, (struct span){0}), AUTH_CONTINUE);
            assert_int_equal(client_send(&client, (struct span){0}, (struct span){0}), AUTH_FAILED);
        }
        assert_int_equal(auth_acceptor_status(client.acceptor), STATUS_INVALID_PARAMETER);
        client_end(&client);
    }
}

/* The first token may come without one for the mechanism. */
static void test_no_first_token(void **state) {
    struct fixture *fixture = *state;
    const enum spnego_mechanism names[] = {SPNEGO_NTLM};
    struct client client;

    client_begin(&client, &fixture->config);
    assert_int_equal(client_send_init(&client, names, 1, (struct span){0}), AUTH_CONTINUE);
    assert_int_equal(client.answer.state, SPNEGO_ACCEPT_INCOMPLETE);
    client.ntlm->methods->step(client.ntlm, (struct span){0}, &client.ours);
    assert_int_equal(client_send(&client, client.ours, (struct span){0}), AUTH_CONTINUE);
    assert_int_equal(client.ntlm->methods->step(client.ntlm, client.answer.token, &client.ours),
                     AUTH_COMPLETE);
    assert_int_equal(client_send(&client, client.ours, (struct span){0}), AUTH_COMPLETE);
    client_end(&client);
}

static void test_raw(void **state) {
    struct fixture *fixture = *state;
    struct client client;

    client_begin(&client, &fixture->config);
    client.ntlm->methods->step(client.ntlm, (struct span){0}, &client.ours);
    assert_int_equal(auth_acceptor_step(client.acceptor, client.ours, &client.theirs),
                     AUTH_CONTINUE);
    assert_true(ntlm_is_message(client.theirs));
    assert_int_equal(client.ntlm->methods->step(client.ntlm, client.theirs, &client.ours),
                     AUTH_COMPLETE);
    assert_int_equal(auth_acceptor_step(client.acceptor, client.ours, &client.theirs),
                     AUTH_COMPLETE);
    assert_int_equal(client.theirs.size, 0);
    assert_memory_equal(client.ntlm->key, auth_acceptor_session_key(client.acceptor).data, 16);
    assert_int_equal(auth_acceptor_step(client.acceptor, client.ours, &client.theirs), AUTH_FAILED);
    client_end(&client);
}

/* Fields of AUTHENTICATE that the proof does not cover; the MIC does, but it is looked at last. */
static void test_raw_altered(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        size_t at;
        uint8_t value;
        uint32_t status;
        const char *word; /* of the reason */
    } cases[] = {
        {52, 15, STATUS_INVALID_PARAMETER, "16 octets"}, /* the encrypted key: too short */
        {52, 0, STATUS_INVALID_PARAMETER, "16 octets"},  /* none at all */
        {52, 17, STATUS_INVALID_PARAMETER, "malformed"}, /* beyond the end */
        {20, 24, STATUS_LOGON_FAILURE, "older"},         /* an NTLMv1 response */
        {20, 0, STATUS_LOGON_FAILURE, "older"},          /* none, but a name */
        {36, 1, STATUS_INVALID_PARAMETER, "malformed"},  /* half a character */
        {0, 'n', STATUS_INVALID_PARAMETER, "malformed"},
        {8, 1, STATUS_INVALID_PARAMETER, "malformed"},
        {72, 0x5a, STATUS_INVALID_PARAMETER, "MIC"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t message[2048];
        struct client client;

        client_begin(&client, &fixture->config);
        client.ntlm->methods->step(client.ntlm, (struct span){0}, &client.ours);
        auth_acceptor_step(client.acceptor, client.ours, &client.theirs);
        client.ntlm->methods->step(client.ntlm, client.theirs, &client.ours);
        memcpy(message, client.ours.data, client.ours.size);
        message[cases[i].at] = cases[i].value;
        assert_int_equal(auth_acceptor_step(client.acceptor,
                                            (struct span){message, client.ours.size},
                                            &client.theirs),
                         AUTH_FAILED);
        assert_int_equal(auth_acceptor_status(client.acceptor), cases[i].status);
        assert_non_null(strstr(auth_acceptor_reason(client.acceptor), cases[i].word));
        client_end(&client);
    }
}

/* ---- other servers ---- */

static enum auth_state server_says(struct auth_initiator *initiator, enum spnego_state state,
                                   enum spnego_mechanism name, struct span token, struct span mic,
                                   struct span *out) {
    uint8_t room[1024];
    struct writer writer = writer_over(room, sizeof room);
    const struct spnego_response response = {.state = state,
                                             .has_mechanism = name != SPNEGO_UNKNOWN,
                                             .mechanism = name,
                                             .token = token,
                                             .mic = mic};

    assert_true(spnego_response_encode(&response, &writer));
    return auth_initiator_step(initiator, writer_done(&writer), out);
}

static void test_servers_that_err(void **state) {
    (void)state;
    static const struct {
        enum spnego_state state;
        enum spnego_mechanism name;
        const char *token, *mic;
    } cases[] = {
        {SPNEGO_ACCEPT_COMPLETED, SPNEGO_NTLM, "", ""}, /* nothing was proven */
        {SPNEGO_ACCEPT_COMPLETED, SPNEGO_UNKNOWN, "", ""},
        {SPNEGO_REJECT, SPNEGO_UNKNOWN, "", ""},
        {SPNEGO_ACCEPT_INCOMPLETE, SPNEGO_NTLM, "", ""}, /* waits for nothing */
        {SPNEGO_REQUEST_MIC, SPNEGO_NTLM, "", ""},
        {SPNEGO_ACCEPT_INCOMPLETE, SPNEGO_KERBEROS, "x", ""}, /* was not offered */
        {SPNEGO_ACCEPT_INCOMPLETE, SPNEGO_NTLM, "x", ""},
        {SPNEGO_ACCEPT_INCOMPLETE, SPNEGO_NTLM, "", "x"}, /* signed without a key */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct auth_initiator *initiator = auth_initiator_new(&good);
        struct span out;

        assert_non_null(initiator);
        assert_int_equal(auth_initiator_step(initiator, (struct span){0}, &out), AUTH_CONTINUE);
        assert_int_equal(server_says(initiator, cases[i].state, cases[i].name,
                                     text_span(cases[i].token), text_span(cases[i].mic), &out),
                         AUTH_FAILED);
        assert_true(strlen(auth_initiator_reason(initiator)) > 0);
        assert_int_equal(auth_initiator_step(initiator, out, &out), AUTH_FAILED);
        auth_initiator_free(initiator);
    }
}

/* A hint is not believed, whatever it is. */
static void test_hint_is_ignored(void **state) {
    (void)state;
    static const char *const hints[] = {"", "garbage", "NTLMSSP"};

    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        struct auth_initiator *initiator = auth_initiator_new(&good);
        struct span out;
        struct spnego_init init;

        assert_int_equal(auth_initiator_step(initiator, text_span(hints[i]), &out), AUTH_CONTINUE);
        assert_true(spnego_init_decode(out, &init));
        assert_int_equal(init.count, 1);
        auth_initiator_free(initiator);
    }
}

static void test_too_much(void **state) {
    struct fixture *fixture = *state;
    uint8_t *token = calloc(1, AUTH_TOKEN_MAX + 1);
    struct auth_acceptor *acceptor = auth_acceptor_new(&fixture->config);
    struct auth_initiator *initiator = auth_initiator_new(&good);
    struct span out;

    assert_string_equal(auth_acceptor_user(acceptor), "");
    assert_string_equal(auth_acceptor_domain(acceptor), "");
    assert_string_equal(auth_acceptor_mechanism(acceptor), "");
    assert_string_equal(auth_initiator_mechanism(initiator), "");
    assert_false(auth_acceptor_is_guest(acceptor) || auth_acceptor_is_anonymous(acceptor));
    assert_int_equal(
        auth_acceptor_session_key(acceptor).size + auth_initiator_session_key(initiator).size, 0);
    assert_int_equal(auth_acceptor_step(acceptor, (struct span){token, AUTH_TOKEN_MAX + 1}, &out),
                     AUTH_FAILED);
    assert_int_equal(auth_acceptor_status(acceptor), STATUS_INVALID_PARAMETER);
    assert_int_equal(auth_initiator_step(initiator, (struct span){0}, &out), AUTH_CONTINUE);
    assert_int_equal(auth_initiator_step(initiator, (struct span){token, AUTH_TOKEN_MAX + 1}, &out),
                     AUTH_FAILED);
    assert_non_null(strstr(auth_initiator_reason(initiator), "too long"));
    auth_acceptor_free(acceptor);
    auth_initiator_free(initiator);
    auth_acceptor_free(NULL);
    auth_initiator_free(NULL);
    free(token);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logon),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_nt_hash),
        cmocka_unit_test(test_names_that_are_none),
        cmocka_unit_test(test_anonymous),
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_no_accounts),
        cmocka_unit_test(test_nothing_to_offer),
        cmocka_unit_test(test_every_octet),
        cmocka_unit_test(test_cut_tokens),
        cmocka_unit_test(test_no_list_mic),
        cmocka_unit_test(test_counter_proposal),
        cmocka_unit_test(test_counter_proposal_late_mic),
        cmocka_unit_test(test_counter_proposal_altered),
        cmocka_unit_test(test_no_first_token),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_raw_altered),
        cmocka_unit_test(test_servers_that_err),
        cmocka_unit_test(test_hint_is_ignored),
        cmocka_unit_test(test_too_much),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
