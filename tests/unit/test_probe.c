/* The probe without a server: what its tests mean together, the search for what the server hashed, the names of tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "exchange.h"
#include "probe/probe.h"
#include "probe/search.h"

/* ---- verdicts ---- */

struct ground {
    struct probe_options options;
    struct probe_report report;
};

static int set_up(void **state) {
    struct ground *ground = test_calloc(1, sizeof *ground);

    ground->report.options = &ground->options;
    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++)
        ground->report.results[i].outcome = PROBE_SKIPPED;
    ground->report.facts.spoken = (struct id_list){{0x0302, 0x0311}, 2};
    strcpy(ground->report.address, "192.0.2.1:445");
    *state = ground;
    return 0;
}

static int tear_down(void **state) {
    test_free(*state);
    return 0;
}

static struct probe_result *result_of(struct ground *ground, const char *name) {
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);

    for (unsigned i = 0; i < count; i++)
        if (strcmp(tests[i].name, name) == 0)
            return &ground->report.results[i];
    fail_msg("there is no test %s", name);
    return NULL;
}

static struct probe_result *suspect(struct ground *ground, const char *name, enum probe_suspicion suspicion,
                                    enum cause cause, const char *field) {
    struct probe_result *result = result_of(ground, name);

    result->outcome = PROBE_UNCLEAR;
    result->suspicion = suspicion;
    result->cause = cause;
    snprintf(result->field, sizeof result->field, "%s", field);
    return result;
}

static void expect(struct ground *ground, const struct probe_result *result, enum probe_outcome outcome,
                   enum probe_verdict verdict) {
    probe_judge(&ground->report);
    assert_int_equal(result->outcome, outcome);
    assert_int_equal(ground->report.verdict, verdict);
}

static void test_healthy(void **state) {
    struct ground *ground = *state;
    struct probe_result *result = result_of(ground, "hash-3.1.1");

    result->outcome = PROBE_RIGHT;
    ground->report.facts.hash = PROBE_HASH_PROVEN;
    ground->report.facts.validated = 0x0302;
    expect(ground, result, PROBE_RIGHT, PROBE_HEALTHY);
    assert_true(ground->report.path_is_proven);
    ground->report.facts.hash = PROBE_HASH_UNKNOWN; /* the server speaks 3.1.1, and nobody has looked at it */
    expect(ground, result, PROBE_RIGHT, PROBE_CANNOT_TELL);
    assert_false(ground->report.path_is_proven);
}

static void test_unreachable(void **state) {
    struct ground *ground = *state;
    struct probe_result *result = result_of(ground, "reach");

    result->outcome = PROBE_UNCLEAR;
    ground->report.facts = (struct probe_facts){.error = -111};
    ground->report.address[0] = '\0';
    expect(ground, result, PROBE_UNCLEAR, PROBE_NOT_REACHED);
}

/* The server says under signature what its NEGOTIATE response did not. */
static void test_response_differs(void **state) {
    struct ground *ground = *state;
    struct probe_facts *facts = &ground->report.facts;
    struct probe_result *result =
        suspect(ground, "validate-3.0.2", SUSPICION_RESPONSE, CAUSE_M02, "NEGOTIATE response SecurityMode");

    strcpy(result->here, "0x0001");
    strcpy(result->there, "0x0003");
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS); /* without 3.1.1: likely */
    assert_int_equal(result->confidence, CONFIDENCE_LIKELY);
    facts->hash = PROBE_HASH_BROKEN;
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
    assert_int_equal(result->confidence, CONFIDENCE_CERTAIN);
    facts->hash = PROBE_HASH_PROVEN;
    facts->proven.security_mode = 3; /* what it says under signature is what it says on 3.1.1 */
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
    facts->proven.security_mode = 1; /* what came here is what it says on 3.1.1: its validation is wrong */
    expect(ground, result, PROBE_SERVER, PROBE_SERVER_DEVIATES);
    assert_int_equal(result->cause, CAUSE_V04);
    result->outcome = PROBE_UNCLEAR;
    facts->proven.security_mode = 0;
    expect(ground, result, PROBE_UNCLEAR, PROBE_CANNOT_TELL);
}

static void test_server_forgets_its_guid(void **state) {
    struct ground *ground = *state;
    struct probe_result *result =
        suspect(ground, "validate-3.0.2", SUSPICION_RESPONSE, CAUSE_M02, "NEGOTIATE response ServerGuid");

    strcpy(result->here, "0102030405060708090a0b0c0d0e0f10");
    strcpy(result->there, "00000000000000000000000000000000");
    expect(ground, result, PROBE_SERVER, PROBE_SERVER_DEVIATES);
    assert_int_equal(result->cause, CAUSE_V04);
}

static void test_request_seen(void **state) {
    struct ground *ground = *state;
    struct probe_facts *facts = &ground->report.facts;
    struct probe_result *result =
        suspect(ground, "validate-list", SUSPICION_REQUEST_SEEN, CAUSE_M01, "NEGOTIATE request Capabilities");

    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
    facts->hash = PROBE_HASH_PROVEN; /* a server that forgets capabilities, or a box that knows no 3.1.1 */
    expect(ground, result, PROBE_UNCLEAR, PROBE_CANNOT_TELL);
    strcpy(result->field, "NEGOTIATE request Dialects"); /* no server forgets these */
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
    assert_int_equal(result->confidence, CONFIDENCE_CERTAIN);
}

static void test_hash_differs(void **state) {
    struct ground *ground = *state;
    struct probe_facts *facts = &ground->report.facts;
    struct probe_result *result = suspect(ground, "hash-3.1.1", SUSPICION_HASH, CAUSE_M03, ""), *other;

    facts->hash = PROBE_HASH_BROKEN;
    facts->validated = 0x0302; /* all that validation protects is the same */
    expect(ground, result, PROBE_UNCLEAR, PROBE_CANNOT_TELL);
    other = suspect(ground, "validate-list", SUSPICION_REQUEST_REFUSED, CAUSE_M01, "");
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS); /* two protections have failed at once */
    assert_int_equal(other->outcome, PROBE_PATH);
    other->suspicion = SUSPICION_NONE;
    other->outcome = PROBE_RIGHT;
    result->suspicion = SUSPICION_HASH_FOUND;
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
}

static void test_stubborn_server(void **state) {
    struct ground *ground = *state;
    struct probe_facts *facts = &ground->report.facts;
    struct probe_result *result = suspect(ground, "dialect-3.0", SUSPICION_DIALECT, CAUSE_M02, "");

    facts->spoken = (struct id_list){{0x0202}, 1};
    facts->unoffered = 0x0202;
    facts->unoffered_count = 4;
    expect(ground, result, PROBE_SERVER, PROBE_SERVER_DEVIATES);
    result->cause = CAUSE_M02;
    facts->unoffered_differ = true;
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
}

static void test_blind_server_proves_nothing(void **state) {
    struct ground *ground = *state;
    struct probe_result *result = result_of(ground, "wrong-guid");

    ground->report.facts.spoken = (struct id_list){{0x0302}, 1};
    ground->report.facts.validated = 0x0302;
    result->outcome = PROBE_SERVER;
    result->cause = CAUSE_V13;
    result->severity = SEVERITY_PROBLEM;
    expect(ground, result, PROBE_SERVER, PROBE_SERVER_DEVIATES);
    assert_false(ground->report.path_is_proven);
    result->severity = SEVERITY_FINDING_NOTE; /* the order of dialects alone */
    expect(ground, result, PROBE_SERVER, PROBE_SERVER_DEVIATES);
    assert_true(ground->report.path_is_proven);
}

static void test_client_follows(void **state) {
    struct ground *ground = *state;
    struct probe_result *client = result_of(ground, "client"), *result;

    client->outcome = PROBE_UNCLEAR;
    client->cause = CAUSE_M03;
    result = suspect(ground, "hash-3.1.1", SUSPICION_HASH_FOUND, CAUSE_M03, "");
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
    assert_int_equal(client->outcome, PROBE_PATH);
    client->outcome = PROBE_UNCLEAR;
    client->cause = CAUSE_L03; /* no such share: nobody's fault */
    expect(ground, result, PROBE_PATH, PROBE_PATH_ALTERS);
    assert_int_equal(client->outcome, PROBE_UNCLEAR);
}

static const uint8_t session_key[SESSION_KEY_SIZE] = {7, 1, 7, 2, 7, 3, 7, 4};

/* ---- answers ---- */

/* What comes in a frame with this content, where the line has this key. */
static struct line_reply reply_with_key(const void *content, uint8_t size, struct mac_key *mac) {
    static struct line line;
    const struct line_target target = {.timeout_ms = 1000};
    const struct id_list dialects = {{0x0302}, 1};
    const uint8_t frame_header[4] = {0, 0, 0, size};
    struct line_reply reply;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(write(ends[1], frame_header, 4), 4);
    assert_int_equal(write(ends[1], content, size), size);
    assert_int_equal(line_adopt(&line, &target, &dialects, ends[0]).answer, LINE_ANSWERED);
    line.mac = mac; /* freed with the line */
    reply = line_receive(&line);
    line_close(&line);
    close(ends[1]);
    return reply;
}

static struct line_reply reply_to(const void *content, uint8_t size) {
    return reply_with_key(content, size, NULL);
}

/* Of a chain each element is signed for itself. */
static void test_first_element_is_verified(void **state) {
    static const uint8_t element[72] = {0xfe, 'S', 'M', 'B', 64, [12] = SMB2_LOGOFF, [16] = 1, [64] = 4};
    const struct span key = {session_key, sizeof session_key};
    uint8_t chain[144];
    struct mac_key *mac = mac_key_new(MAC_HMAC_SHA256, key);

    (void)state;
    assert_non_null(mac);
    memcpy(chain, element, 72);
    memcpy(chain + 72, element, 72);
    chain[20] = 72; /* NextCommand */
    assert_true(element_sign(mac, chain, 72));
    assert_int_equal(reply_with_key(chain, sizeof chain, mac).signature, SIGNATURE_GOOD);
    chain[70] ^= 1;
    mac = mac_key_new(MAC_HMAC_SHA256, key);
    assert_int_equal(reply_with_key(chain, sizeof chain, mac).signature, SIGNATURE_BAD);
}

/* Nothing but an SMB2 message has an SMB2 status; ksmbd answers an SMB1 NEGOTIATE with a frame within a frame. */
static void test_only_smb2_succeeds(void **state) {
    static const uint8_t noise[41] = {0, 0, 0, 37, 0xff, 'S', 'M', 'B', 0x72}, smb1[37] = {0xff, 'S', 'M', 'B', 0x2b},
                         smb2[73] = {0xfe, 'S', 'M', 'B', 64, [12] = SMB2_LOGOFF, [16] = 1, [64] = 4};
    struct line_reply reply;

    (void)state;
    assert_int_equal(reply_to(noise, sizeof noise).answer, LINE_NOISE);
    reply = reply_to(smb1, sizeof smb1);
    assert_int_equal(reply.answer, LINE_ANSWERED);
    assert_false(reply_has(&reply, STATUS_SUCCESS));
    reply = reply_to(smb2, sizeof smb2);
    assert_true(reply_has(&reply, STATUS_SUCCESS));
}

/* ---- the search ---- */

/* A line after a logon on 3.1.1, as the client sees it: its NEGOTIATE messages, and one SESSION_SETUP request. */
static struct line *line_after_logon(struct exchange *exchange) {
    static const uint8_t setup[] = "whatever SESSION_SETUP is";
    struct line *line = test_calloc(1, sizeof *line);
    const struct span messages[] = {{exchange->request.data, exchange->request.size},
                                    {exchange->response.data, exchange->response.size},
                                    {setup, sizeof setup}};

    for (unsigned i = 0; i < 3; i++)
        line->hashed[line->hashed_count++] = messages[i];
    line->negotiation = exchange->client;
    memcpy(line->full_key, session_key, sizeof session_key);
    line->full_key_size = sizeof session_key;
    line->mac = mac_key_new(line->negotiation.agreed.signing_algorithm, (struct span){session_key, sizeof session_key});
    assert_non_null(line->mac);
    return line;
}

/* The last SESSION_SETUP response, signed by a server that hashed these messages; `skip`: it left this one out. */
static void sign_final(struct line *line, const struct span *hashed, unsigned count, unsigned skip) {
    struct smb2_header header = {.protocol_id = 0x424d53fe,
                                 .structure_size = 64,
                                 .command = SMB2_SESSION_SETUP,
                                 .flags = SMB2_FLAGS_SERVER_TO_REDIR,
                                 .message_id = 2};
    struct session_setup_response body = {.structure_size = 9, .security_buffer_offset = 72};
    struct writer writer = writer_over(line->in, sizeof line->in);
    struct preauth preauth;
    uint8_t signing[SESSION_KEY_SIZE];
    struct mac_key *mac;

    preauth_init(&preauth);
    for (unsigned i = 0; i < count; i++)
        if (i != skip)
            assert_true(preauth_update(&preauth, hashed[i]));
    assert_true(
        channel_key_derive(signing, SMB2_DIALECT_311, (struct span){session_key, sizeof session_key}, &preauth));
    mac = mac_key_new(line->negotiation.agreed.signing_algorithm, (struct span){signing, sizeof signing});
    session_setup_response_encode(&header, &body, &writer);
    assert_true(element_sign(mac, line->in, writer.at));
    line->final = (struct span){line->in, writer.at};
    mac_key_free(mac);
}

static void free_line(struct line *line) {
    mac_key_free(line->mac);
    test_free(line);
}

static struct exchange *negotiated(void) {
    struct exchange *exchange = test_calloc(1, sizeof *exchange);

    exchange_init(exchange);
    exchange_negotiate(exchange);
    assert_int_equal(exchange->client.agreed.dialect, SMB2_DIALECT_311);
    return exchange;
}

static void test_search_finds_one_octet(void **state) {
    struct exchange *exchange = negotiated();
    struct line *line = line_after_logon(exchange);
    struct octets there = exchange->request;
    struct span hashed[3];
    struct alteration alteration;

    (void)state;
    there.data[72] &= 0xbf; /* Capabilities: ENCRYPTION */
    memcpy(hashed, line->hashed, sizeof hashed);
    hashed[0] = (struct span){there.data, there.size};
    sign_final(line, hashed, 3, UINT32_MAX);
    assert_true(search_alteration(line, &alteration));
    assert_false(alteration.in_response);
    assert_string_equal(alteration.field, "Capabilities");
    assert_string_not_equal(alteration.here, alteration.there);
    assert_true(alteration.removes_security);
    assert_null(search_mistake(line));
    free_line(line);
    test_free(exchange);
}

static void test_search_finds_zeros(void **state) {
    struct exchange *exchange = negotiated();
    struct line *line = line_after_logon(exchange);
    struct octets there = exchange->response;
    struct span hashed[3];
    struct alteration alteration;

    (void)state;
    memset(there.data + 72, 0, 16); /* ServerGuid */
    memcpy(hashed, line->hashed, sizeof hashed);
    hashed[1] = (struct span){there.data, there.size};
    sign_final(line, hashed, 3, UINT32_MAX);
    assert_true(search_alteration(line, &alteration));
    assert_true(alteration.in_response);
    assert_string_equal(alteration.field, "ServerGuid");
    assert_string_equal(alteration.there, "00000000000000000000000000000000");
    free_line(line);
    test_free(exchange);
}

static void test_search_finds_mistakes(void **state) {
    struct exchange *exchange = negotiated();
    struct line *line = line_after_logon(exchange);

    (void)state;
    sign_final(line, line->hashed, 3, 1);
    assert_string_equal(search_mistake(line), "it leaves the NEGOTIATE response out of the hash");
    sign_final(line, line->hashed, 0, 0);
    assert_string_equal(search_mistake(line), "it hashes nothing at all");
    free_line(line);
    test_free(exchange);
}

static void test_fields_by_offset(void **state) {
    struct exchange *exchange = negotiated();
    struct span request = {exchange->request.data, exchange->request.size};
    struct span response = {exchange->response.data, exchange->response.size};

    (void)state;
    assert_string_equal(search_field_at(request, false, 6).name, "CreditCharge");
    assert_string_equal(search_field_at(request, false, 68).name, "SecurityMode");
    assert_string_equal(search_field_at(request, false, 101).name, "Dialects");
    assert_string_equal(search_field_at(request, false, 112).name, "SMB2_PREAUTH_INTEGRITY_CAPABILITIES context");
    assert_string_equal(search_field_at(request, false, 110).name, "padding");
    assert_string_equal(search_field_at(response, true, 68).name, "DialectRevision");
    assert_int_equal(search_field_at(response, true, 75).at, 72);
    assert_int_equal(search_field_at(response, true, 75).size, 16);
    test_free(exchange);
}

/* ---- names ---- */

static unsigned count_wanted(const bool wanted[PROBE_TESTS_MAX], unsigned count) {
    unsigned sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += wanted[i];
    return sum;
}

static void test_selection(void **state) {
    bool wanted[PROBE_TESTS_MAX];
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);

    (void)state;
    assert_true(probe_select(NULL, wanted) >= (int)count);
    assert_int_equal(count_wanted(wanted, count), count);
    assert_int_equal(probe_select("smb1", wanted), 2); /* and reach */
    assert_int_equal(probe_select("smb1,nonsense", wanted), -1);
    assert_int_equal(probe_select("smb", wanted), -1);
    assert_true(probe_select("wrong-guid", wanted) > 5); /* what it needs comes along */
    for (unsigned i = 0; i < count; i++)
        if (strcmp(tests[i].name, "validate-list") == 0 || strcmp(tests[i].name, "client") == 0)
            assert_true(wanted[i]);
}

static void test_names_differ(void **state) {
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(tests[i].name, tests[j].name);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_healthy),
        TEST(test_unreachable),
        TEST(test_response_differs),
        TEST(test_server_forgets_its_guid),
        TEST(test_request_seen),
        TEST(test_hash_differs),
        TEST(test_stubborn_server),
        TEST(test_blind_server_proves_nothing),
        TEST(test_client_follows),
        cmocka_unit_test(test_only_smb2_succeeds),
        cmocka_unit_test(test_first_element_is_verified),
        cmocka_unit_test(test_search_finds_one_octet),
        cmocka_unit_test(test_search_finds_zeros),
        cmocka_unit_test(test_search_finds_mistakes),
        cmocka_unit_test(test_fields_by_offset),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_names_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
