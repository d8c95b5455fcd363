/* What `conform client` does to a client, and what it makes of the client's answer: each misdeed is done to a real
 * answer and shown to this project's own deciders, which have to find it; and the judge is shown what clients do next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conform/client.h"
#include "core/keys.h"
#include "exchange.h"

#define SESSION_ID     0x5e55000000000001u
#define MESSAGE_ID     7u
#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static const uint8_t key_octets[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

struct bench {
    struct misdeed_keys keys;
    struct sealer sealer;
    struct misdeed_answer answer;
    struct misdeed_plan plan;
    struct span instead;
};

static void bench_init(struct bench *bench) {
    struct span key = {key_octets, sizeof key_octets};

    memset(bench, 0, sizeof *bench);
    bench->keys = (struct misdeed_keys){.mac = mac_key_new(MAC_AES_CMAC, key),
                                        .seal = aead_key_new(AEAD_AES_128_GCM, AEAD_SEAL, key),
                                        .open = aead_key_new(AEAD_AES_128_GCM, AEAD_OPEN, key),
                                        .sealer = &bench->sealer};
    assert_non_null(bench->keys.mac);
    sealer_init(&bench->sealer, bench->keys.seal, SESSION_ID);
}

static void bench_free(struct bench *bench) {
    mac_key_free(bench->keys.mac);
    aead_key_free(bench->keys.seal);
    aead_key_free(bench->keys.open);
}

static const struct conform_case *find_case(const char *name) {
    const struct conform_suite *suite = conform_clients();

    for (unsigned i = 0; i < suite->count; i++)
        if (strcmp(suite->cases[i].name, name) == 0)
            return &suite->cases[i];
    fail_msg("there is no case %s", name);
    return NULL;
}

/* True: it was done, and bench->instead is sent. */
static bool commit(struct bench *bench, const struct conform_case *test, struct span frame) {
    char complaint[TAMPER_COMPLAINT_MAX] = "";

    if (!misdeed_plan(test->misdeed, &bench->plan, complaint))
        fail_msg("%s: %s", test->name, complaint);
    assert_true(misdeed_take(&bench->answer, &bench->keys, frame));
    return misdeed_commit(&bench->plan, &bench->keys, MESSAGE_ID, &bench->answer, &bench->instead);
}

static void take_octets(struct octets *octets, struct span span) {
    octets->size = 0;
    octets_append(octets, span.data, span.size);
}

/* ---- the table ---- */

static void test_the_table_is_sound(void **state) {
    const struct conform_suite *suite = conform_clients();
    struct misdeed_plan plan;
    char complaint[TAMPER_COMPLAINT_MAX];

    (void)state;
    for (unsigned i = 0; i < suite->count; i++) {
        const struct conform_case *test = &suite->cases[i];
        bool judged = test->misdeed->judge == JUDGE_STAGE || test->misdeed->judge == JUDGE_ANYTHING;

        if (!misdeed_plan(test->misdeed, &plan, complaint))
            fail_msg("%s: %s", test->name, complaint);
        assert_true(strlen(test->sends) > 0 && strlen(test->expected) > 0 && strlen(test->section) > 0);
        assert_int_equal(strcspn(test->name, " ,#*"), strlen(test->name));
        assert_true(judged == (test->rules[0] != RULE_NONE));
        assert_true(judged == (plan.count > 0 || test->misdeed->finish >= FINISH_CLEAR));
        assert_true(client_works_case(test->misdeed->setting) <= i);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(test->name, suite->cases[j].name) == 0)
                fail_msg("%s is there twice", test->name);
    }
}

static void test_what_is_wanted_needs_to_work(void **state) {
    bool wanted[CONFORM_CASES_MAX];
    const struct conform_suite *suite = conform_clients();
    unsigned count = 0;

    (void)state;
    assert_int_equal(conform_select(suite, "Validate_Guid", wanted), 1);
    client_want_works(wanted);
    for (unsigned i = 0; i < suite->count; i++)
        count += wanted[i];
    assert_int_equal(count, 2);
    assert_true(wanted[client_works_case(SETTING_302_ALLOWED)]);
}

/* ---- NEGOTIATE ---- */

static void offer(struct exchange *exchange, const struct conform_case *test) {
    static const uint8_t hint[] = "hint";

    exchange_init(exchange);
    exchange->fresh.security_buffer = (struct span){hint, sizeof hint};
    client_setting_policy(test->misdeed->setting, &exchange->server_policy);
    exchange->server_policy.capabilities |= SMB2_GLOBAL_CAP_ENCRYPTION;
    exchange_offer(exchange);
    assert_true(exchange_serve(exchange).action == ACTION_ACCEPT);
}

/* This project's client finds each by the rule that the case is about. */
static void test_wrong_answers_to_negotiate(void **state) {
    const struct conform_suite *suite = conform_clients();
    struct bench bench;
    unsigned count = 0;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < suite->count; i++) {
        const struct conform_case *test = &suite->cases[i];
        struct exchange exchange;
        struct verdict verdict;

        if (test->misdeed->judge != JUDGE_STAGE || test->misdeed->stage != REACH_NEGOTIATE)
            continue;
        offer(&exchange, test);
        if (!commit(&bench, test, (struct span){exchange.response.data, exchange.response.size}))
            fail_msg("%s: nothing is altered", test->name);
        take_octets(&exchange.response, bench.instead);
        count++;
        if (exchange.response.data[0] == 0xfd)
            continue; /* no answer to NEGOTIATE any more */
        if (test->rules[0] == RULE_CREDITS_NONE) { /* the client itself counts them, not its deciders */
            assert_int_equal(octets_get(&exchange.response, 14, 2), 0);
            continue;
        }
        verdict = exchange_receive(&exchange);
        if (verdict_goes_on(&verdict) || verdict.rule != test->rules[0])
            fail_msg("%s: found %s", test->name, rule_text(verdict.rule)->id);
    }
    assert_true(count > 15);
    bench_free(&bench);
}

/* What is altered there only, and below 3.1.1, goes unnoticed until the validation. */
static void test_validation_finds_what_was_altered(void **state) {
    static const char *const names[] = {"Altered_Dialect", "Altered_SecurityMode", "Altered_Capabilities",
                                        "Altered_ServerGuid"};
    struct bench bench;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        const struct conform_case *test = find_case(names[i]);
        struct exchange exchange;
        struct verdict verdict;

        offer(&exchange, test);
        assert_true(commit(&bench, test, (struct span){exchange.response.data, exchange.response.size}));
        take_octets(&exchange.response, bench.instead);
        verdict = exchange_receive(&exchange);
        assert_true(verdict_goes_on(&verdict));
        exchange_ask(&exchange);
        verdict = exchange_serve_info(&exchange, PROTECTION_SIGNED);
        assert_true(verdict_goes_on(&verdict));
        assert_int_equal(exchange_receive_info(&exchange, PROTECTION_SIGNED).rule, test->rules[0]);
    }
    bench_free(&bench);
}

/* On 3.1.1 it goes unnoticed by itself, and makes the hash another one. */
static void test_the_hash_finds_what_was_altered(void **state) {
    static const char *const names[] = {"Hash_Salt",       "Hash_SecurityMode", "Hash_Capabilities",
                                        "Hash_ServerGuid", "Hash_MaxReadSize",  "Hash_Dialect"};
    struct bench bench;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        const struct conform_case *test = find_case(names[i]);
        struct exchange exchange;
        struct octets before;
        struct verdict verdict;

        offer(&exchange, test);
        before = exchange.response;
        assert_true(commit(&bench, test, (struct span){exchange.response.data, exchange.response.size}));
        take_octets(&exchange.response, bench.instead);
        assert_true(before.size == exchange.response.size &&
                    memcmp(before.data, exchange.response.data, before.size) != 0);
        verdict = exchange_receive(&exchange);
        if (!verdict_goes_on(&verdict))
            fail_msg("%s: found before its time, by %s", names[i], rule_text(verdict.rule)->id);
    }
    bench_free(&bench);
}

static void test_the_answer_to_smb1_is_left_alone(void **state) {
    static const char *const dialects[] = {"SMB 2.???"};
    struct exchange exchange;
    struct bench bench;

    (void)state;
    bench_init(&bench);
    exchange_init(&exchange);
    exchange_offer_smb1(&exchange, dialects, 1);
    exchange_serve(&exchange);
    assert_false(
        commit(&bench, find_case("Hash_ServerGuid"), (struct span){exchange.response.data, exchange.response.size}));
    bench_free(&bench);
}

/* ---- the answer to the validation ---- */

static void test_wrong_answers_to_the_validation(void **state) {
    const struct conform_suite *suite = conform_clients();
    struct bench bench;
    unsigned count = 0;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < suite->count; i++) {
        const struct conform_case *test = &suite->cases[i];
        struct exchange exchange;
        struct verdict verdict;
        enum signature_check check;

        if (strncmp(test->name, "Validate_", 9) != 0)
            continue;
        offer(&exchange, test);
        verdict = exchange_receive(&exchange);
        assert_true(verdict_goes_on(&verdict));
        exchange_ask(&exchange);
        verdict = exchange_serve_info(&exchange, PROTECTION_SIGNED);
        assert_true(verdict_goes_on(&verdict));
        octets_put(&exchange.info_response, 24, 8, MESSAGE_ID);
        assert_true(element_sign(bench.keys.mac, exchange.info_response.data, exchange.info_response.size));
        if (!commit(&bench, test, (struct span){exchange.info_response.data, exchange.info_response.size}))
            fail_msg("%s: nothing is altered", test->name);
        count++;
        if (bench.instead.size == 0) {
            assert_int_equal(client_info_missing(&exchange.client).rule, test->rules[0]);
            continue;
        }
        check = element_check(bench.keys.mac, bench.instead);
        assert_true((check == SIGNATURE_GOOD) == (test->misdeed->finish == FINISH_SIGNED));
        take_octets(&exchange.info_response, bench.instead);
        verdict = exchange_receive_info(&exchange, check == SIGNATURE_GOOD ? PROTECTION_SIGNED : PROTECTION_NONE);
        if (verdict_goes_on(&verdict) || (test->level == LEVEL_MUST && verdict.rule != test->rules[0]))
            fail_msg("%s: found %s", test->name, rule_text(verdict.rule)->id);
    }
    assert_int_equal(count, 12);
    bench_free(&bench);
}

static void test_other_ioctls_are_left_alone(void **state) {
    const struct conform_case *test = find_case("Validate_Guid");
    struct exchange exchange;
    struct bench bench;
    struct verdict verdict;

    (void)state;
    bench_init(&bench);
    offer(&exchange, test);
    verdict = exchange_receive(&exchange);
    assert_true(verdict_goes_on(&verdict));
    exchange_ask(&exchange);
    exchange_serve_info(&exchange, PROTECTION_SIGNED);
    octets_put(&exchange.info_response, 24, 8, MESSAGE_ID + 1);
    assert_false(commit(&bench, test, (struct span){exchange.info_response.data, exchange.info_response.size}));
    bench_free(&bench);
}

/* ---- answers of a session ---- */

static const struct smb2_header header_usual = {.protocol_id = 0x424d53fe,
                                                .structure_size = SMB2_HEADER_SIZE,
                                                .credits = 1,
                                                .flags = SMB2_FLAGS_SERVER_TO_REDIR,
                                                .message_id = MESSAGE_ID,
                                                .tree_id = 1,
                                                .session_id = SESSION_ID};

/* A response of TREE_CONNECT, not signed. */
static void make_tree_connect(struct octets *octets) {
    struct smb2_header header = header_usual;
    struct tree_connect_response body = {.structure_size = 16, .share_type = 1, .maximal_access = 0x1f01ff};
    struct writer writer = writer_over(octets->data, sizeof octets->data);

    header.command = SMB2_TREE_CONNECT;
    smb2_header_encode(&header, &writer);
    tree_connect_response_encode(&header, &body, &writer);
    assert_false(writer.failed);
    octets->size = writer.at;
}

static void test_signatures_of_tree_connect(void **state) {
    static const struct {
        const char *name;
        enum signature_check check;
    } expected[] = {
        {"Tree_Unsigned_311", SIGNATURE_MISSING},
        {"Tree_BadSignature_311", SIGNATURE_BAD},
        {"Tree_Altered", SIGNATURE_BAD},
        {"Tree_ExpiredUnsigned", SIGNATURE_MISSING},
        {"Header_MessageId", SIGNATURE_GOOD},
        {"Header_Command", SIGNATURE_GOOD},
        {"Header_StructureSize", SIGNATURE_GOOD},
        {"Body_StructureSize", SIGNATURE_GOOD},
        {"Body_Cut", SIGNATURE_GOOD},
        {"Header_Direction", SIGNATURE_GOOD},
    };
    struct bench bench;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < COUNT_OF(expected); i++) {
        struct octets tree;

        make_tree_connect(&tree);
        assert_true(element_sign(bench.keys.mac, tree.data, tree.size));
        assert_true(commit(&bench, find_case(expected[i].name), (struct span){tree.data, tree.size}));
        if (element_check(bench.keys.mac, bench.instead) != expected[i].check)
            fail_msg("%s: another signature", expected[i].name);
    }
    bench_free(&bench);
}

static void test_only_what_is_meant_is_altered(void **state) {
    struct octets tree;
    struct bench bench;

    (void)state;
    bench_init(&bench);
    make_tree_connect(&tree);
    assert_false(commit(&bench, find_case("Tree_Unsigned_311"), (struct span){tree.data, tree.size})); /* has none */
    assert_true(element_sign(bench.keys.mac, tree.data, tree.size));
    assert_false(commit(&bench, find_case("Create_Unsigned"), (struct span){tree.data, tree.size}));
    assert_false(commit(&bench, find_case("Works"), (struct span){tree.data, tree.size}));
    assert_false(commit(&bench, find_case("Encrypted_BadTag"), (struct span){tree.data, tree.size}));
    assert_false(commit(&bench, find_case("Encrypted_Clear"), (struct span){tree.data, tree.size}));
    bench_free(&bench);
}

/* Of a chain the element that is meant is altered, and only that is signed again. */
static void test_one_element_of_a_chain(void **state) {
    struct octets chain = {.size = 0}, one;
    struct bench bench;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < 3; i++) {
        make_tree_connect(&one);
        octets_put(&one, 12, 2, i == 1 ? SMB2_TREE_CONNECT : SMB2_ECHO);
        octets_put(&one, 20, 4, i < 2 ? one.size : 0);
        assert_true(element_sign(bench.keys.mac, one.data, one.size));
        octets_append(&chain, one.data, one.size);
    }
    assert_true(commit(&bench, find_case("Body_StructureSize"), (struct span){chain.data, chain.size}));
    assert_int_equal(bench.instead.size, chain.size);
    for (unsigned i = 0; i < 3; i++) {
        struct span was = {chain.data + i * one.size, one.size}, is = {bench.instead.data + i * one.size, one.size};

        assert_int_equal(element_check(bench.keys.mac, is), SIGNATURE_GOOD);
        assert_true((memcmp(was.data, is.data, one.size) != 0) == (i == 1));
    }
    bench_free(&bench);
}

/* ---- what is encrypted ---- */

static void seal_tree_connect(struct bench *bench, uint8_t *frame, size_t room, size_t *size) {
    struct octets tree;

    make_tree_connect(&tree);
    assert_true(sealer_seal(&bench->sealer, (struct span){tree.data, tree.size}, frame, room));
    *size = tree.size + TRANSFORM_HEADER_SIZE;
}

static void test_sealed_answers(void **state) {
    static const struct {
        const char *name;
        enum transform_fault fault;
    } expected[] = {
        {"Encrypted_BadTag", TRANSFORM_TAG},
        {"Encrypted_Flags", TRANSFORM_FLAGS},
        {"Encrypted_Size", TRANSFORM_SIZE},
        {"Encrypted_ForeignSession", TRANSFORM_SESSION},
        {"Encrypted_InnerSession", TRANSFORM_INNER_SESSION},
        {"Encrypted_InnerGarbage", TRANSFORM_INNER_PROTOCOL_ID},
        {"Body_StructureSize", TRANSFORM_GOOD},
    };
    uint8_t frame[512], plain[512];
    struct bench bench;
    size_t size;

    (void)state;
    bench_init(&bench);
    for (unsigned i = 0; i < COUNT_OF(expected); i++) {
        seal_tree_connect(&bench, frame, sizeof frame, &size);
        assert_true(commit(&bench, find_case(expected[i].name), (struct span){frame, size}));
        if (transform_open(bench.keys.open, SESSION_ID, bench.instead, plain) != expected[i].fault)
            fail_msg("%s: another fault", expected[i].name);
    }
    /* The one for a foreign session is sealed rightly. */
    seal_tree_connect(&bench, frame, sizeof frame, &size);
    assert_true(commit(&bench, find_case("Encrypted_ForeignSession"), (struct span){frame, size}));
    assert_int_equal(transform_open(bench.keys.open, SESSION_ID ^ 1, bench.instead, plain), TRANSFORM_INNER_SESSION);
    bench_free(&bench);
}

/* Whoever encrypts by its own choice checks no signatures. */
static void test_sealed_answers_have_no_signature(void **state) {
    uint8_t frame[512];
    struct bench bench;
    size_t size;

    (void)state;
    bench_init(&bench);
    seal_tree_connect(&bench, frame, sizeof frame, &size);
    assert_false(commit(&bench, find_case("Tree_BadSignature_311"), (struct span){frame, size}));
    assert_false(commit(&bench, find_case("Tree_Altered"), (struct span){frame, size}));
    bench_free(&bench);
}

static void test_answers_in_the_clear(void **state) {
    uint8_t frame[512];
    struct bench bench;
    size_t size;

    (void)state;
    bench_init(&bench);
    seal_tree_connect(&bench, frame, sizeof frame, &size);
    assert_true(commit(&bench, find_case("Encrypted_Clear"), (struct span){frame, size}));
    assert_int_equal(bench.instead.size, size - TRANSFORM_HEADER_SIZE);
    assert_int_equal(element_check(bench.keys.mac, bench.instead), SIGNATURE_MISSING);
    seal_tree_connect(&bench, frame, sizeof frame, &size);
    assert_true(commit(&bench, find_case("Encrypted_ClearSigned"), (struct span){frame, size}));
    assert_int_equal(element_check(bench.keys.mac, bench.instead), SIGNATURE_GOOD);
    bench_free(&bench);
}

static void test_what_cannot_be_altered(void **state) {
    static uint8_t big[MISDEED_MESSAGE_MAX + 1];
    uint8_t frame[512];
    struct bench bench;
    size_t size;

    (void)state;
    bench_init(&bench);
    assert_false(misdeed_take(&bench.answer, &bench.keys, (struct span){big, sizeof big}));
    seal_tree_connect(&bench, frame, sizeof frame, &size);
    frame[size - 1] ^= 1;
    assert_false(misdeed_take(&bench.answer, &bench.keys, (struct span){frame, size}));
    aead_key_free(bench.keys.open);
    bench.keys.open = NULL;
    frame[size - 1] ^= 1;
    assert_false(misdeed_take(&bench.answer, &bench.keys, (struct span){frame, size}));
    bench_free(&bench);
}

/* ---- the judge ---- */

struct play {
    struct client_watch watch;
    struct conform_client client;
};

static void begin(struct play *play, const char *name) {
    memset(play, 0, sizeof *play);
    client_watch_begin(&play->watch, find_case(name)->misdeed);
}

/* A request: the header alone is read of most. */
static void ask(struct play *play, uint16_t command) {
    struct smb2_header header = header_usual;
    uint8_t octets[SMB2_HEADER_SIZE + 64] = {0};
    struct writer writer = writer_over(octets, sizeof octets);

    header.command = command;
    header.flags = 0;
    smb2_header_encode(&header, &writer);
    client_watch_request(&play->watch, (struct span){octets, sizeof octets}, &play->client);
}

static void ask_negotiate(struct play *play) {
    struct exchange exchange;

    exchange_init(&exchange);
    exchange_offer(&exchange);
    client_watch_request(&play->watch, (struct span){exchange.request.data, exchange.request.size}, &play->client);
}

static void ask_validation(struct play *play) {
    struct exchange exchange;

    exchange_init(&exchange);
    exchange_negotiate(&exchange);
    exchange_ask(&exchange);
    octets_put(&exchange.info_request, 24, 8, MESSAGE_ID);
    client_watch_request(&play->watch, (struct span){exchange.info_request.data, exchange.info_request.size},
                         &play->client);
}

static void expect(struct play *play, const char *name, enum conform_outcome outcome, const char *word) {
    struct conform_result result;

    client_judge(find_case(name), &play->watch, 1, false, &result);
    if (result.outcome != outcome || strstr(result.seen, word) == NULL)
        fail_msg("%s: %s, %s", name, conform_outcome_word(result.outcome), result.seen);
}

static void test_a_client_that_goes_on(void **state) {
    struct play play;

    (void)state;
    begin(&play, "Hash_Salt");
    ask_negotiate(&play);
    client_watch_altered(&play.watch);
    ask(&play, SMB2_SESSION_SETUP);
    assert_false(client_watch_decided(&play.watch));
    ask(&play, SMB2_TREE_CONNECT);
    assert_true(client_watch_decided(&play.watch));
    expect(&play, "Hash_Salt", CONFORM_FAIL, "TREE_CONNECT");
    begin(&play, "Setup_Guest_311"); /* what it only should notice */
    client_watch_altered(&play.watch);
    ask(&play, SMB2_TREE_CONNECT);
    expect(&play, "Setup_Guest_311", CONFORM_SHOULD, "TREE_CONNECT");
}

static void test_a_client_that_does_not(void **state) {
    struct play play;

    (void)state;
    begin(&play, "Hash_Salt");
    ask(&play, SMB2_TREE_CONNECT); /* before anything was altered */
    client_watch_altered(&play.watch);
    ask(&play, SMB2_ECHO);
    expect(&play, "Hash_Salt", CONFORM_PASS, "nothing more");
    play.watch.closed = true;
    expect(&play, "Hash_Salt", CONFORM_PASS, "closed");
    ask(&play, SMB2_LOGOFF);
    expect(&play, "Hash_Salt", CONFORM_PASS, "leave");
    begin(&play, "Hash_Salt");
    expect(&play, "Hash_Salt", CONFORM_SKIP, "another dialect");
    begin(&play, "Validate_Guid");
    expect(&play, "Validate_Guid", CONFORM_SKIP, "did not ask");
}

/* Encrypted with keys that only the client has: it must have accepted what made them so. */
static void test_what_cannot_be_read_counts(void **state) {
    uint8_t sealed[128] = {0xfd, 'S', 'M', 'B'};
    struct play play;

    (void)state;
    begin(&play, "Hash_Salt");
    client_watch_altered(&play.watch);
    client_watch_request(&play.watch, (struct span){sealed, sizeof sealed}, &play.client);
    expect(&play, "Hash_Salt", CONFORM_FAIL, "TREE_CONNECT");
}

static void test_the_same_again_counts_where_it_must(void **state) {
    struct play play;

    (void)state;
    begin(&play, "Tree_Unsigned_311");
    client_watch_altered(&play.watch);
    ask(&play, SMB2_TREE_CONNECT);
    expect(&play, "Tree_Unsigned_311", CONFORM_PASS, "");
    begin(&play, "Tree_ExpiredUnsigned");
    client_watch_altered(&play.watch);
    ask(&play, SMB2_SESSION_SETUP);
    expect(&play, "Tree_ExpiredUnsigned", CONFORM_FAIL, "SESSION_SETUP");
}

static void test_validation_has_to_come_first(void **state) {
    struct play play;

    (void)state;
    begin(&play, "Validates_302");
    ask_negotiate(&play);
    ask(&play, SMB2_TREE_CONNECT);
    ask_validation(&play);
    assert_int_equal(play.watch.validation, MESSAGE_ID);
    assert_false(client_watch_decided(&play.watch));
    ask(&play, SMB2_CREATE);
    assert_true(client_watch_decided(&play.watch));
    expect(&play, "Validates_302", CONFORM_PASS, "validated");
    begin(&play, "Validates_302");
    ask_negotiate(&play);
    ask(&play, SMB2_CREATE);
    ask_validation(&play);
    expect(&play, "Validates_302", CONFORM_FAIL, "without");
    play.watch.offers_3x = false;
    expect(&play, "Validates_302", CONFORM_SKIP, "nothing to validate");
}

/* A second connection without what was altered on the first one. */
static void test_a_way_around(void **state) {
    struct client_watch watches[2];
    struct conform_result result;
    struct play play;

    (void)state;
    begin(&play, "Validate_Guid");
    client_watch_altered(&play.watch);
    watches[0] = play.watch;
    begin(&play, "Validate_Guid");
    ask(&play, SMB2_CREATE);
    watches[1] = play.watch;
    client_judge(find_case("Validate_Guid"), watches, 2, false, &result);
    assert_int_equal(result.outcome, CONFORM_FAIL);
    assert_non_null(strstr(result.seen, "another connection"));
}

static void answer(struct play *play, uint16_t command, uint32_t status) {
    struct smb2_header header = header_usual;
    uint8_t octets[SMB2_HEADER_SIZE + 64] = {0};
    struct writer writer = writer_over(octets, sizeof octets);

    header.command = command;
    header.status = status;
    smb2_header_encode(&header, &writer);
    client_watch_answer(&play->watch, (struct span){octets, sizeof octets});
}

static void test_whether_it_works(void **state) {
    struct conform_result result;
    struct play play;

    (void)state;
    begin(&play, "Works");
    client_judge(find_case("Works"), &play.watch, 0, false, &result);
    assert_int_equal(result.outcome, CONFORM_UNCLEAR);
    ask_negotiate(&play);
    answer(&play, SMB2_TREE_CONNECT, STATUS_SUCCESS);
    answer(&play, SMB2_CREATE, (uint32_t)STATUS_ACCESS_DENIED);
    expect(&play, "Works", CONFORM_SKIP, "left");
    answer(&play, SMB2_CREATE, STATUS_SUCCESS);
    expect(&play, "Works", CONFORM_PASS, "succeeded");
    play.watch.broken = RULE_MESSAGE_ID_USED;
    expect(&play, "Works", CONFORM_FAIL, rule_text(RULE_MESSAGE_ID_USED)->id);
    assert_true(play.client.seen && play.client.dialects.count == 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_sound),
        cmocka_unit_test(test_what_is_wanted_needs_to_work),
        cmocka_unit_test(test_wrong_answers_to_negotiate),
        cmocka_unit_test(test_validation_finds_what_was_altered),
        cmocka_unit_test(test_the_hash_finds_what_was_altered),
        cmocka_unit_test(test_the_answer_to_smb1_is_left_alone),
        cmocka_unit_test(test_wrong_answers_to_the_validation),
        cmocka_unit_test(test_other_ioctls_are_left_alone),
        cmocka_unit_test(test_signatures_of_tree_connect),
        cmocka_unit_test(test_only_what_is_meant_is_altered),
        cmocka_unit_test(test_one_element_of_a_chain),
        cmocka_unit_test(test_sealed_answers),
        cmocka_unit_test(test_sealed_answers_have_no_signature),
        cmocka_unit_test(test_answers_in_the_clear),
        cmocka_unit_test(test_what_cannot_be_altered),
        cmocka_unit_test(test_a_client_that_goes_on),
        cmocka_unit_test(test_a_client_that_does_not),
        cmocka_unit_test(test_what_cannot_be_read_counts),
        cmocka_unit_test(test_the_same_again_counts_where_it_must),
        cmocka_unit_test(test_validation_has_to_come_first),
        cmocka_unit_test(test_a_way_around),
        cmocka_unit_test(test_whether_it_works),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
