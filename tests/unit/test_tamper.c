/* Alterations: what their text may be, and what they do to a message, octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "exchange.h"
#include "relay/passage.h"
#include "relay/profiles.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* ---- the text ---- */

struct good {
    const char *text;
    enum tamper_verb verb;
    enum tamper_part part;
    const char *field;
    uint64_t value;
};

static void good_texts_are_taken(void **state) {
    static const struct good cases[] = {
        {"negotiate.request.SecurityMode=1", VERB_SET, PART_BODY, "SecurityMode", 1},
        {"NEGOTIATE.request.securitymode=1", VERB_SET, PART_BODY, "SecurityMode", 1},
        {"negotiate.response.Capabilities&=~ENCRYPTION", VERB_AND, PART_BODY, "Capabilities", ~0x40ull},
        {"negotiate.response.Capabilities|=DFS|SMB2_GLOBAL_CAP_LEASING|0x10", VERB_OR, PART_BODY, "Capabilities", 0x13},
        {"negotiate.response.DialectRevision=3.0.2", VERB_SET, PART_BODY, "DialectRevision", 0x302},
        {"negotiate.request.ClientGuid^=1", VERB_XOR, PART_BODY, "ClientGuid", 1},
        {"negotiate.request.Flags|=SIGNED", VERB_OR, PART_HEADER, "Flags", 8},
        {"negotiate.request.CreditRequest^=1", VERB_XOR, PART_HEADER, "CreditRequest/CreditResponse", 1},
        {"negotiate.response.CreditRequest/CreditResponse=0", VERB_SET, PART_HEADER, "CreditRequest/CreditResponse", 0},
        {"session_setup.request.Flags=1", VERB_SET, PART_BODY, "Flags", 1},
        {"session_setup.request.header.Flags=1", VERB_SET, PART_HEADER, "Flags", 1},
        {"session_setup.final_response.SessionFlags|=IS_GUEST", VERB_OR, PART_BODY, "SessionFlags", 1},
        {"validate.request.Capabilities=0", VERB_SET, PART_INFO, "Capabilities", 0},
        {"validate.request.MaxOutputResponse=23", VERB_SET, PART_BODY, "MaxOutputResponse", 23},
        {"validate.response:status=NOT_SUPPORTED", VERB_STATUS, PART_NONE, NULL, 0xc00000bb},
        {"validate.response:status=STATUS_FILE_CLOSED", VERB_STATUS, PART_NONE, NULL, 0xc0000128},
        {"validate.response:strip-signature", VERB_STRIP_SIGNATURE, PART_NONE, NULL, 0},
        {"validate.request:answer=0xc0000010", VERB_ANSWER, PART_NONE, NULL, 0xc0000010},
        {"tree_connect:reset", VERB_RESET, PART_NONE, NULL, 0},
        {"any:delay=250", VERB_DELAY, PART_NONE, NULL, 250},
        {"read.response:truncate=100", VERB_TRUNCATE, PART_NONE, NULL, 100},
        {"encrypted.request:split=16", VERB_SPLIT, PART_NONE, NULL, 16},
        {"encrypted.request.Nonce^=1", VERB_XOR, PART_HEADER, "Nonce", 1},
        {"any:coalesce", VERB_COALESCE, PART_NONE, NULL, 50},
        {"session_setup.response@66=0x01", VERB_OCTET, PART_NONE, NULL, 1},
        {"create.request.DesiredAccess&=~2", VERB_AND, PART_BODY, "DesiredAccess", ~2ull},
        {"negotiate.request.Salt^=255", VERB_XOR, PART_SALT, NULL, 255},
        {"negotiate.request.contexts-=SIGNING_CAPABILITIES", VERB_TAKE, PART_CONTEXTS, NULL, 0},
        {"negotiate.request.Ciphers-=AES-256-GCM,2", VERB_TAKE, PART_CONTEXT_IDS, NULL, 0},
        {"negotiate.request.Dialects+=2.1", VERB_PUT, PART_DIALECTS, NULL, 0},
        {"smb1.request.Dialects-=SMB 2.???", VERB_TAKE, PART_DIALECTS, NULL, 0},
    };
    char complaint[TAMPER_COMPLAINT_MAX];
    struct tamper tamper;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (!tamper_parse(cases[i].text, &tamper, complaint))
            fail_msg("%s: %s", cases[i].text, complaint);
        assert_int_equal(tamper.verb, cases[i].verb);
        assert_int_equal(tamper.part, cases[i].part);
        assert_true(tamper.value == cases[i].value);
        if (cases[i].field != NULL)
            assert_string_equal(tamper.field->name, cases[i].field);
        assert_string_equal(tamper.text, cases[i].text);
    }
}

/* What is wrong is said in a way that helps. */
static void bad_texts_are_explained(void **state) {
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"", "there is no message"},
        {"negotiat.request:drop", "did you mean NEGOTIATE?"},
        {"tree_conect:reset", "did you mean TREE_CONNECT"},
        {"negotiate.request.Capabilites=1", "did you mean Capabilities?"},
        {"negotiate.request.Dialect-=1", "did you mean Dialects, DialectCount?"},
        {"negotiate.request.Cyphers-=1", "did you mean Ciphers"},
        {"negotiate.response.Capabilities&=~ENCRYPTON", "did you mean ENCRYPTION?"},
        {"negotiate.response.Capabilities=", "there is no value"},
        {"validate.response:status=NOT_SUPORTED", "did you mean NOT_SUPPORTED?"},
        {"validate.response:strip-sig", "did you mean strip-signature?"},
        {"validate.request:status=NOT_SUPPORTED", "for a .response"},
        {"validate.response:answer=NOT_SUPPORTED", "for a .request"},
        {"negotiate.Dialects-=2.1", "behind .request or .response"},
        {"negotiate.request", "behind the message comes"},
        {"negotiate.request.SecurityMode", "behind the field comes"},
        {"negotiate.request.SecurityMode-=1", "-= and += are for lists"},
        {"negotiate.request.Dialects=1", "a list takes -= and +="},
        {"negotiate.request.contexts+=1,2", "takes one context"},
        {"negotiate.request.contexts=1", "a list takes -= and +="},
        {"negotiate.request.ClientGuid=12", "two hexadecimal digits"},
        {"negotiate.request:delay=60001", "longer than a minute"},
        {"negotiate.request:delay", "needs a value"},
        {"negotiate.request:drop=1", "takes no value"},
        {"negotiate.request@=1", "@ takes OFFSET=OCTET"},
        {"negotiate.request@66=256", "@ takes OFFSET=OCTET"},
        {"negotiate.request.SecurityMode=-1", "there is no value"},
        {"negotiate.request.Dialects-=99999", "there is no value"},
    };
    char complaint[TAMPER_COMPLAINT_MAX];
    struct tamper tamper;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        complaint[0] = '\0';
        if (tamper_parse(cases[i].text, &tamper, complaint))
            fail_msg("%s is taken", cases[i].text);
        if (strstr(complaint, cases[i].complaint) == NULL)
            fail_msg("%s: \"%s\" should say \"%s\"", cases[i].text, complaint, cases[i].complaint);
    }
}

static void profiles_are_alterations(void **state) {
    char one[512], complaint[TAMPER_COMPLAINT_MAX];
    struct tamper tamper;

    (void)state;
    for (unsigned i = 0; i < profiles_count; i++) {
        char *rest = one, *end;

        assert_ptr_equal(profile_find(profiles[i].name), &profiles[i]);
        snprintf(one, sizeof one, "%s", profiles[i].tampers);
        while (rest != NULL && rest[0] != '\0') {
            end = strstr(rest, " ; ");
            if (end != NULL)
                *end = '\0';
            if (!tamper_parse(rest, &tamper, complaint))
                fail_msg("%s: %s", profiles[i].name, complaint);
            rest = end != NULL ? end + 3 : NULL;
        }
    }
    assert_null(profile_find("no such profile"));
}

/* ---- the octets ---- */

static const struct request_note no_note;

/* Applies one alteration to a message; returns whether it changed something. */
static bool apply_noted(const char *text, enum direction from, struct octets *octets, const struct request_note *note,
                        struct tamper_result *result) {
    char complaint[TAMPER_COMPLAINT_MAX];
    struct tamper_buffer buffer = {octets->data, octets->size, sizeof octets->data, false};
    struct message message;
    const struct tamper_message what = {from, &message, note};
    struct tamper tamper;

    if (!tamper_parse(text, &tamper, complaint))
        fail_msg("%s: %s", text, complaint);
    message_decode((struct span){octets->data, octets->size}, octets->size, &message);
    tamper_apply(&tamper, 1, &what, &buffer, result);
    octets->size = buffer.size;
    return result->changed != 0;
}

static bool apply(const char *text, enum direction from, struct octets *octets) {
    struct tamper_result result;

    return apply_noted(text, from, octets, &no_note, &result);
}

static struct message decoded(const struct octets *octets) {
    struct message message;

    message_decode((struct span){octets->data, octets->size}, octets->size, &message);
    assert_true(message.body_valid);
    return message;
}

static void negotiate(struct exchange *exchange) {
    exchange_init(exchange);
    exchange_negotiate(exchange);
}

static void numbers_change(void **state) {
    struct exchange exchange;
    struct message before, after;
    struct octets changed;

    (void)state;
    negotiate(&exchange);
    changed = exchange.response;
    before = decoded(&exchange.response);
    assert_true(apply("negotiate.response.Capabilities^=LEASING", FROM_SERVER, &changed));
    after = decoded(&changed);
    assert_int_equal(after.body.negotiate_response.capabilities, before.body.negotiate_response.capabilities ^ 2);
    assert_int_equal(changed.size, exchange.response.size);
    octets_put(&changed, SMB2_HEADER_SIZE + 24, 4, before.body.negotiate_response.capabilities);
    assert_memory_equal(changed.data, exchange.response.data, changed.size);
}

/* Nothing changes where nothing fits: another message, another way, a value that is there already, a list without it. */
static void nothing_else_changes(void **state) {
    static const char *const texts[] = {
        "negotiate.request.Capabilities=0",   "session_setup.response.SessionFlags=1",
        "validate.response:drop",             "encrypted:drop",
        "smb1:drop",                          "negotiate.wildcard_response.ServerGuid^=1",
        "tree_connect:reset",                 "negotiate.response.contexts-=RDMA_TRANSFORM_CAPABILITIES",
        "negotiate.response.Ciphers-=0x7777", "negotiate.response.DialectRevision=3.1.1",
    };
    struct exchange exchange;
    struct octets changed;

    (void)state;
    negotiate(&exchange);
    changed = exchange.response;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (apply(texts[i], FROM_SERVER, &changed))
            fail_msg("%s changed something", texts[i]);
        assert_int_equal(changed.size, exchange.response.size);
        assert_memory_equal(changed.data, exchange.response.data, changed.size);
    }
}

static unsigned contexts_of(const struct octets *octets, uint16_t *types, unsigned most) {
    struct message message = decoded(octets);
    const struct negotiate_request *request = &message.body.negotiate_request;
    struct context_cursor cursor =
        context_cursor(request->contexts, request->negotiate_context_count, request->negotiate_context_offset);
    struct context context;
    unsigned count = 0;

    while (context_next(&cursor, &context) && count < most)
        types[count++] = context.type;
    assert_false(cursor.malformed);
    return count;
}

static void lists_are_written_anew(void **state) {
    struct exchange exchange;
    struct negotiation record;
    struct message message;
    struct octets changed;
    uint16_t before[16], after[16];
    unsigned count;

    (void)state;
    negotiate(&exchange);
    count = contexts_of(&exchange.request, before, COUNT_OF(before));
    assert_int_equal(count, exchange.client.offered.contexts.count);

    changed = exchange.request;
    assert_true(apply("negotiate.request.contexts-=SIGNING_CAPABILITIES", FROM_CLIENT, &changed));
    assert_int_equal(contexts_of(&changed, after, COUNT_OF(after)), count - 1);
    for (unsigned i = 0; i < count - 1; i++)
        assert_true(after[i] != CONTEXT_SIGNING);

    /* Once more, or an empty one, or one with just what is put in. */
    changed = exchange.request;
    assert_true(apply("negotiate.request.contexts+=ENCRYPTION_CAPABILITIES", FROM_CLIENT, &changed));
    assert_int_equal(contexts_of(&changed, after, COUNT_OF(after)), count + 1);
    changed = exchange.request;
    assert_true(apply("negotiate.request.contexts+=RDMA_TRANSFORM_CAPABILITIES", FROM_CLIENT, &changed));
    assert_int_equal(contexts_of(&changed, after, COUNT_OF(after)), count + 1);
    assert_int_equal(after[count], CONTEXT_RDMA_TRANSFORM);
    message = decoded(&changed);
    negotiation_init(&record);
    negotiation_store_offer(&record, &message);
    assert_int_equal(record.offered.contexts.rdma.count, 0);
    changed = exchange.request;
    assert_true(apply("negotiate.request.RDMATransformIds+=1,2", FROM_CLIENT, &changed));
    message = decoded(&changed);
    negotiation_store_offer(&record, &message);
    assert_int_equal(record.offered.contexts.rdma.count, 2);
    assert_true(id_summary_has(&record.offered.contexts.rdma, 2));

    changed = exchange.request;
    assert_true(apply("negotiate.request.Dialects-=3.0", FROM_CLIENT, &changed));
    message = decoded(&changed);
    assert_int_equal(message.body.negotiate_request.dialect_count, exchange.client.offered.dialect_count - 1);
    assert_false(negotiate_offers(&message.body.negotiate_request, 0x300));
    assert_true(negotiate_offers(&message.body.negotiate_request, 0x311));
    assert_int_equal(contexts_of(&changed, after, COUNT_OF(after)), count);

    /* Without 3.1.1 there are no contexts. */
    assert_true(apply("negotiate.request.Dialects-=3.1.1", FROM_CLIENT, &changed));
    message = decoded(&changed);
    assert_int_equal(message.body.negotiate_request.negotiate_context_offset, 0);
    assert_int_equal(message.body.negotiate_request.negotiate_context_count, 0);
    assert_int_equal(changed.size, 100 + 2 * message.body.negotiate_request.dialect_count);
}

static void ids_within_a_context_change(void **state) {
    struct exchange exchange;
    struct negotiation record;
    struct message message;
    struct octets changed;

    (void)state;
    negotiate(&exchange);
    changed = exchange.request;
    assert_true(apply("negotiate.request.Ciphers-=AES-256-GCM,AES-256-CCM", FROM_CLIENT, &changed));
    assert_true(apply("negotiate.request.SigningAlgorithms+=0x1234", FROM_CLIENT, &changed));
    message = decoded(&changed);
    negotiation_init(&record);
    negotiation_store_offer(&record, &message);
    assert_true(id_summary_has(&exchange.client.offered.contexts.ciphers, CIPHER_AES_256_GCM));
    assert_false(id_summary_has(&record.offered.contexts.ciphers, CIPHER_AES_256_GCM));
    assert_true(id_summary_has(&record.offered.contexts.ciphers, CIPHER_AES_128_GCM));
    assert_int_equal(record.offered.contexts.signing.count, exchange.client.offered.contexts.signing.count + 1);
    assert_int_equal(record.offered.contexts.salt_size, exchange.client.offered.contexts.salt_size);
}

static void the_salt_changes_by_one_bit(void **state) {
    struct exchange exchange;
    struct octets changed;
    unsigned different = 0;

    (void)state;
    negotiate(&exchange);
    changed = exchange.request;
    assert_true(apply("negotiate.request.Salt^=1", FROM_CLIENT, &changed));
    assert_int_equal(changed.size, exchange.request.size);
    for (size_t i = 0; i < changed.size; i++)
        different += changed.data[i] != exchange.request.data[i];
    assert_int_equal(different, 1);
}

static void validations_are_met(void **state) {
    static const uint16_t below_311[] = {0x0300, 0x0302};
    const struct request_note note = {
        .known = true, .command = SMB2_IOCTL, .control_code = FSCTL_VALIDATE_NEGOTIATE_INFO};
    struct tamper_result result;
    struct exchange exchange;
    struct message message;
    struct octets changed;

    (void)state;
    exchange_init(&exchange);
    exchange_set_dialects(&exchange.server_policy.dialects, below_311, 2);
    exchange_negotiate(&exchange);
    exchange_ask(&exchange);
    assert_int_equal(exchange_serve_info(&exchange, PROTECTION_SIGNED).action, ACTION_ACCEPT);

    changed = exchange.info_request;
    assert_true(apply("validate.request.Guid^=1", FROM_CLIENT, &changed));
    assert_int_equal(changed.data[124], exchange.info_request.data[124] ^ 1);
    changed = exchange.info_request;
    assert_true(apply("validate.request.Dialects-=3.1.1", FROM_CLIENT, &changed));
    message = decoded(&changed);
    assert_int_equal(message.body.ioctl_request.input_count, 24 + 2 * (exchange.client.offered.dialect_count - 1));

    changed = exchange.info_request;
    assert_true(apply_noted("validate.request:answer=NOT_SUPPORTED", FROM_CLIENT, &changed, &no_note, &result));
    assert_int_equal(result.fate, FATE_DROP);
    message_decode((struct span){result.answer, result.answer_size}, result.answer_size, &message);
    assert_int_equal(message.kind, MESSAGE_ERROR);
    assert_true(message.body_valid);
    assert_int_equal(message.header.status, STATUS_NOT_SUPPORTED);
    assert_true(message.header.message_id == octets_get(&exchange.info_request, 24, 8));

    changed = exchange.info_response;
    assert_true(apply_noted("validate.response:garbage=FILE_CLOSED", FROM_SERVER, &changed, &note, &result));
    message = decoded(&changed);
    assert_int_equal(message.kind, MESSAGE_ERROR);
    assert_true(message.header.flags & SMB2_FLAGS_SIGNED);
    changed = exchange.info_response; /* of another IOCTL */
    assert_false(apply("validate.response:drop", FROM_SERVER, &changed));
}

/* A message within a chain keeps its length, whatever is asked. */
static void chains_keep_their_shape(void **state) {
    static const char *const texts[] = {"negotiate.request:truncate=64", "negotiate.request.Dialects-=3.1.1",
                                        "negotiate.request:answer=NOT_SUPPORTED"};
    char complaint[TAMPER_COMPLAINT_MAX];
    struct exchange exchange;
    struct message message;

    (void)state;
    negotiate(&exchange);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct octets changed = exchange.request;
        struct tamper_buffer buffer = {changed.data, changed.size, changed.size, true};
        const struct tamper_message what = {FROM_CLIENT, &message, &no_note};
        struct tamper_result result;
        struct tamper tamper;

        assert_true(tamper_parse(texts[i], &tamper, complaint));
        message_decode((struct span){changed.data, changed.size}, changed.size, &message);
        tamper_apply(&tamper, 1, &what, &buffer, &result);
        assert_int_equal(result.applied, 0);
        assert_int_equal(buffer.size, exchange.request.size);
    }
}

/* ---- passages ---- */

/* Octets of any kind go on as they came, however they are cut, and in at most as many steps as they were fed in. */
static void what_is_not_smb_passes(void **state) {
    static uint8_t octets[70000], out[70000], room[PASSAGE_FRAME_MAX];
    static struct passage passage;
    struct plan plan = {.count = 1};
    char complaint[TAMPER_COMPLAINT_MAX];
    struct passage_step step;
    size_t start = 0, written = 0;
    uint32_t seed = 1;

    (void)state;
    assert_true(tamper_parse("any:drop", &plan.tampers[0], complaint));
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
    octets[0] = 0x47; /* no type that frames have */
    passage_init(&passage, &plan, true);
    for (size_t end = 1; start < sizeof octets; end = end + 977 < sizeof octets ? end + 977 : sizeof octets) {
        passage_step(&passage, FROM_CLIENT, (struct span){octets + start, end - start}, room, &step);
        if (step.kind == STEP_MORE)
            continue;
        assert_int_equal(step.kind, STEP_PASS);
        memcpy(out + written, octets + start, step.used);
        written += step.used;
        start += step.used;
    }
    assert_int_equal(written, sizeof octets);
    assert_memory_equal(out, octets, sizeof octets);
    assert_int_equal(passage.facts.alterations_count, 0);
}

/* Feeds one message as a frame, which nobody alters. */
static void pass(struct passage *passage, enum direction from, const struct octets *message) {
    static uint8_t octets[sizeof message->data + 4], room[PASSAGE_FRAME_MAX];
    const uint8_t frame_header[4] = {0, 0, (uint8_t)(message->size >> 8), (uint8_t)message->size};
    struct passage_step step;

    memcpy(octets, frame_header, 4);
    memcpy(octets + 4, message->data, message->size);
    passage_step(passage, from, (struct span){octets, 4 + message->size}, room, &step);
    assert_int_equal(step.kind, STEP_PASS);
    assert_int_equal(step.used, 4 + message->size);
}

/* A logon whose last response says nothing of a guest and is not signed: has the session keys? */
static bool is_keyless(uint8_t name_size) {
    static struct passage passage;
    static const struct plan nothing = {.count = 0};
    uint8_t token[64] = {'N', 'T', 'L', 'M', 'S', 'S', 'P', 0, 3, [36] = name_size};
    struct smb2_header header = {.protocol_id = 0x424d53fe, .structure_size = 64, .command = SMB2_SESSION_SETUP};
    struct session_setup_request request = {.structure_size = 25,
                                            .security_buffer_offset = 88,
                                            .security_buffer_length = sizeof token,
                                            .security_buffer = {token, sizeof token}};
    struct session_setup_response response = {.structure_size = 9, .security_buffer_offset = 72};
    struct octets message;
    struct writer writer = writer_over(message.data, sizeof message.data);

    passage_init(&passage, &nothing, true);
    session_setup_request_encode(&header, &request, &writer);
    message.size = writer.at;
    pass(&passage, FROM_CLIENT, &message);
    header.flags = SMB2_FLAGS_SERVER_TO_REDIR;
    writer = writer_over(message.data, sizeof message.data);
    session_setup_response_encode(&header, &response, &writer);
    message.size = writer.at;
    pass(&passage, FROM_SERVER, &message);
    assert_true(passage.facts.session);
    return passage.facts.keyless;
}

/* Some servers leave the last response unsigned though there are keys, and some do not say that a logon is anonymous. */
static void a_name_makes_keys(void **state) {
    (void)state;
    assert_true(is_keyless(0));
    assert_false(is_keyless(8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_texts_are_taken),
        cmocka_unit_test(bad_texts_are_explained),
        cmocka_unit_test(profiles_are_alterations),
        cmocka_unit_test(numbers_change),
        cmocka_unit_test(nothing_else_changes),
        cmocka_unit_test(lists_are_written_anew),
        cmocka_unit_test(ids_within_a_context_change),
        cmocka_unit_test(the_salt_changes_by_one_bit),
        cmocka_unit_test(validations_are_met),
        cmocka_unit_test(chains_keep_their_shape),
        cmocka_unit_test(what_is_not_smb_passes),
        cmocka_unit_test(a_name_makes_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
