/* Our client against our server with somebody on the path: what each known alteration of a negotiation comes to, by
 * name; and frames that are lost, repeated, cut, swapped and late. The client is a strict one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configs.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Frames of each end, by number, where the client does not begin with SMB1. */
enum { NEGOTIATE, SETUP_FIRST, SETUP_LAST, TREE, VALIDATE, OPERATION };

/* Where things stand in them, from the protocol id. */
enum {
    AT_STATUS = 8,
    AT_FLAGS = 16,
    AT_SIGNATURE = 48,
    AT_REQUEST_DIALECT_COUNT = 66,
    AT_REQUEST_MODE = 68,
    AT_REQUEST_CAPABILITIES = 72,
    AT_REQUEST_GUID = 76,
    AT_REQUEST_CONTEXT_COUNT = 96,
    AT_REQUEST_DIALECTS = 100,
    AT_RESPONSE_MODE = 66,
    AT_RESPONSE_DIALECT = 68,
    AT_RESPONSE_CONTEXT_COUNT = 70,
    AT_RESPONSE_GUID = 72,
    AT_RESPONSE_CAPABILITIES = 88,
    AT_RESPONSE_CONTEXT_OFFSET = 124,
    AT_SETUP_RESPONSE_FLAGS = 66,
    AT_INFO_REQUEST_GUID = 124,
    AT_SMB1_DIALECTS = 35,
};

static void assert_told(const struct world *world, const char *wanted) {
    char text[256];
    world_tell(world, text, sizeof text);
    assert_string_equal(text, wanted);
}

static uint32_t get(const struct world_frame *frame, size_t at, unsigned width) {
    uint32_t value = 0;
    assert_true(at + width <= frame->size);
    for (unsigned i = 0; i < width; i++)
        value |= (uint32_t)frame->data[at + i] << 8 * i;
    return value;
}

static void put(struct world_frame *frame, size_t at, unsigned width, uint32_t value) {
    assert_true(at + width <= frame->size);
    for (unsigned i = 0; i < width; i++)
        frame->data[at + i] = (uint8_t)(value >> 8 * i);
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

/* ---- what somebody does ---- */

/* Changes a frame; false: it does not go on. */
typedef bool edit(struct world_frame *frame);

static void remove_dialects(struct world_frame *frame, uint32_t from) {
    uint32_t count = get(frame, AT_REQUEST_DIALECT_COUNT, 2), kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t dialect = get(frame, AT_REQUEST_DIALECTS + 2 * i, 2);
        if (dialect < from)
            put(frame, AT_REQUEST_DIALECTS + 2 * kept++, 2, dialect);
    }
    put(frame, AT_REQUEST_DIALECT_COUNT, 2, kept);
}

static bool remove_3x(struct world_frame *frame) {
    remove_dialects(frame, 0x0300);
    return true;
}

static bool remove_311(struct world_frame *frame) {
    remove_dialects(frame, 0x0311);
    return true;
}

static bool answer_302(struct world_frame *frame) {
    put(frame, AT_RESPONSE_DIALECT, 2, 0x0302);
    return true;
}

static bool answer_300(struct world_frame *frame) {
    put(frame, AT_RESPONSE_DIALECT, 2, 0x0300);
    return true;
}

static bool answer_210(struct world_frame *frame) {
    put(frame, AT_RESPONSE_DIALECT, 2, 0x0210);
    return true;
}

static bool answer_unoffered(struct world_frame *frame) {
    put(frame, AT_RESPONSE_DIALECT, 2, 0x0222);
    return true;
}

static bool answer_wildcard(struct world_frame *frame) {
    put(frame, AT_RESPONSE_DIALECT, 2, 0x02ff);
    return true;
}

static bool request_mode(struct world_frame *frame) {
    assert_int_equal(get(frame, AT_REQUEST_MODE, 2), SMB2_SIGNING_REQUIRED);
    put(frame, AT_REQUEST_MODE, 2, SMB2_SIGNING_ENABLED);
    return true;
}

static bool response_mode(struct world_frame *frame) {
    assert_int_equal(get(frame, AT_RESPONSE_MODE, 2), SMB2_SIGNING_ENABLED | SMB2_SIGNING_REQUIRED);
    put(frame, AT_RESPONSE_MODE, 2, SMB2_SIGNING_ENABLED);
    return true;
}

static bool request_capabilities(struct world_frame *frame) {
    put(frame, AT_REQUEST_CAPABILITIES, 4,
        get(frame, AT_REQUEST_CAPABILITIES, 4) & ~(uint32_t)SMB2_GLOBAL_CAP_ENCRYPTION);
    return true;
}

static bool response_capabilities(struct world_frame *frame) {
    put(frame, AT_RESPONSE_CAPABILITIES, 4,
        get(frame, AT_RESPONSE_CAPABILITIES, 4) ^ (uint32_t)SMB2_GLOBAL_CAP_LEASING);
    return true;
}

static bool request_guid(struct world_frame *frame) {
    frame->data[AT_REQUEST_GUID + 15] ^= 1;
    return true;
}

static bool response_guid(struct world_frame *frame) {
    frame->data[AT_RESPONSE_GUID] ^= 0x80;
    return true;
}

/* The contexts that come last are left out. */
static bool request_contexts(struct world_frame *frame) {
    put(frame, AT_REQUEST_CONTEXT_COUNT, 2, 1);
    return true;
}

static bool response_contexts(struct world_frame *frame) {
    put(frame, AT_RESPONSE_CONTEXT_COUNT, 2, get(frame, AT_RESPONSE_CONTEXT_COUNT, 2) - 1);
    return true;
}

static bool response_cipher(struct world_frame *frame) {
    size_t encryption = get(frame, AT_RESPONSE_CONTEXT_OFFSET, 4) + 48;
    assert_int_equal(get(frame, encryption, 2), CONTEXT_ENCRYPTION);
    put(frame, encryption + 10, 2, CIPHER_AES_128_CCM);
    return true;
}

static bool drop(struct world_frame *frame) {
    (void)frame;
    return false;
}

/* An error that a server without the FSCTL would give. */
static void make_error(struct world_frame *frame, uint32_t status) {
    put(frame, AT_STATUS, 4, status);
    frame->size = 73;
    memset(frame->data + 64, 0, 9);
    frame->data[64] = 9;
}

static bool unsupported_unsigned(struct world_frame *frame) {
    make_error(frame, (uint32_t)STATUS_NOT_SUPPORTED);
    put(frame, AT_FLAGS, 4, get(frame, AT_FLAGS, 4) & ~(uint32_t)SMB2_FLAGS_SIGNED);
    memset(frame->data + AT_SIGNATURE, 0, 16);
    return true;
}

static bool unsupported_garbage(struct world_frame *frame) {
    make_error(frame, (uint32_t)STATUS_NOT_SUPPORTED);
    memset(frame->data + AT_SIGNATURE, 0x5a, 16);
    return true;
}

static bool info_altered(struct world_frame *frame) {
    frame->data[AT_INFO_REQUEST_GUID] ^= 1;
    return true;
}

/* A refusal in the clear, in place of an encrypted answer. MessageIds can be counted. */
static bool refuse_tree_plainly(struct world_frame *frame) {
    assert_int_equal(frame->data[0], 0xfd);
    memcpy(frame->data + 12, "\3\0\1\0\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 20);
    memcpy(frame->data, "\xfeSMB\x40\0\1\0", 8);
    memset(frame->data + 32, 0, 32);
    make_error(frame, (uint32_t)STATUS_ACCESS_DENIED);
    return true;
}

static bool strip_signature(struct world_frame *frame) {
    assert_true(get(frame, AT_FLAGS, 4) & SMB2_FLAGS_SIGNED);
    put(frame, AT_FLAGS, 4, get(frame, AT_FLAGS, 4) & ~(uint32_t)SMB2_FLAGS_SIGNED);
    memset(frame->data + AT_SIGNATURE, 0, 16);
    return true;
}

static bool make_guest(struct world_frame *frame) {
    put(frame, AT_SETUP_RESPONSE_FLAGS, 2, SESSION_FLAG_IS_GUEST);
    return strip_signature(frame);
}

static bool make_anonymous(struct world_frame *frame) {
    put(frame, AT_SETUP_RESPONSE_FLAGS, 2, SESSION_FLAG_IS_NULL);
    return strip_signature(frame);
}

/* "SMB 2." becomes "SMB 9.": what is left is SMB1. */
static void spoil_dialect(struct world_frame *frame, const char *name) {
    for (size_t at = AT_SMB1_DIALECTS; at + strlen(name) <= frame->size; at++)
        if (memcmp(frame->data + at, name, strlen(name)) == 0)
            frame->data[at + 4] = '9';
}

static bool strip_smb2(struct world_frame *frame) {
    spoil_dialect(frame, "SMB 2.002");
    spoil_dialect(frame, "SMB 2.???");
    return true;
}

static bool strip_wildcard(struct world_frame *frame) {
    spoil_dialect(frame, "SMB 2.???");
    return true;
}

/* The answer of an SMB1 server that chose the first dialect. */
static bool answer_smb1(struct world_frame *frame) {
    static const uint8_t head[] = {0xff, 'S', 'M', 'B', 0x72, 0, 0, 0, 0, 0x98, 0x53, 0xc8};
    memset(frame->data, 0, 37 + 34);
    memcpy(frame->data, head, sizeof head);
    frame->data[32] = 17;
    frame->size = 37 + 34;
    return true;
}

static bool answer_wildcard_altered(struct world_frame *frame) {
    assert_int_equal(get(frame, AT_RESPONSE_DIALECT, 2), 0x02ff);
    response_guid(frame);
    response_capabilities(frame);
    return true;
}

/* ---- the rows ---- */

enum row_side { CLIENT_REQUIRES = 1, SERVER_REQUIRES = 2 };

struct row {
    const char *name, *config;
    enum direction from;
    unsigned index;
    edit *edit;
    int sides;        /* who requires signing */
    const char *told; /* how it ends */
};

static void row_adversary(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    const struct row *row = world->arguments;
    bool goes_on = from != row->from || index != row->index || row->edit(frame);
    if (goes_on)
        world_queue_put(world, from, frame);
}

static void run_row(struct world *world, const struct row *row) {
    config_apply(config_find(row->config), world);
    world->policy.signing_required |= (row->sides & CLIENT_REQUIRES) != 0;
    world->host.policy.signing_required = (row->sides & SERVER_REQUIRES) != 0;
    world->adversary = row_adversary;
    world->arguments = (void *)row;
    world_run(world);
}

/* Where the server closes, the client says how far it came; where the client refuses, by which rule. */
static const struct row rows[] = {
    {"dialects are removed from the request", "3.0.2-plain", FROM_CLIENT, NEGOTIATE, remove_3x, 0,
     "server: 3.3.5.15.12-03; client in VALIDATE: 3.2.6.1-01"},
    {"3.1.1 is removed from the request", "3.1.1-plain-gmac", FROM_CLIENT, NEGOTIATE, remove_311, 0,
     "server: 3.3.5.15.12-03; client in VALIDATE: 3.2.6.1-01"},
    {"all of 3.x is removed from the request", "3.1.1-plain-gmac", FROM_CLIENT, NEGOTIATE, remove_3x, 0,
     "server: 3.3.5.15.12-03; client in VALIDATE: 3.2.6.1-01"},
    {"3.0 is answered for 3.0.2", "3.0.2-plain", FROM_SERVER, NEGOTIATE, answer_300, 0,
     "client in VALIDATE: 3.2.5.14.12-07"},
    {"3.0.2 is answered for 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE, answer_302, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"2.1 is answered for 3.0.2", "3.0.2-plain", FROM_SERVER, NEGOTIATE, answer_210, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"a dialect is answered that was not offered", "3.0.2-plain", FROM_SERVER, NEGOTIATE, answer_unoffered, 0,
     "client in NEGOTIATE: 3.2.5.2-05"},
    {"the wildcard is answered to SMB2", "3.0.2-plain", FROM_SERVER, NEGOTIATE, answer_wildcard, 0,
     "client in NEGOTIATE: 3.2.5.2-03"},
    {"REQUIRED is cleared in the request", "3.0.2-plain", FROM_CLIENT, NEGOTIATE, request_mode, CLIENT_REQUIRES,
     "server: 3.3.5.15.12-06; client in VALIDATE: 3.2.6.1-01"},
    {"REQUIRED is cleared in the request, 3.1.1", "3.1.1-plain-gmac", FROM_CLIENT, NEGOTIATE, request_mode,
     CLIENT_REQUIRES, "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"REQUIRED is cleared in the response", "3.0.2-plain", FROM_SERVER, NEGOTIATE, response_mode, SERVER_REQUIRES,
     "client in VALIDATE: 3.2.5.14.12-06"},
    {"REQUIRED is cleared in the response, 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE, response_mode,
     SERVER_REQUIRES, "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"encryption is taken out of the request", "3.0.2-plain", FROM_CLIENT, NEGOTIATE, request_capabilities, 0,
     "server: 3.3.5.15.12-07; client in VALIDATE: 3.2.6.1-01"},
    {"encryption is taken out of the request, 3.1.1", "3.1.1-plain-gmac", FROM_CLIENT, NEGOTIATE, request_capabilities,
     0, "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"capabilities are taken out of the response", "3.0.2-plain", FROM_SERVER, NEGOTIATE, response_capabilities, 0,
     "client in VALIDATE: 3.2.5.14.12-04"},
    {"capabilities are taken out of the response, 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE,
     response_capabilities, 0, "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"ClientGuid is another", "3.0.2-plain", FROM_CLIENT, NEGOTIATE, request_guid, 0,
     "server: 3.3.5.15.12-05; client in VALIDATE: 3.2.6.1-01"},
    {"ClientGuid is another, 2.1", "2.1-plain", FROM_CLIENT, NEGOTIATE, request_guid, 0,
     "server: 3.3.5.15.12-05; client in VALIDATE: 3.2.6.1-01"},
    {"ClientGuid is another, 3.1.1", "3.1.1-plain-gmac", FROM_CLIENT, NEGOTIATE, request_guid, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"ServerGuid is another", "3.0.2-plain", FROM_SERVER, NEGOTIATE, response_guid, 0,
     "client in VALIDATE: 3.2.5.14.12-05"},
    {"ServerGuid is another, 2.0.2", "2.0.2-plain", FROM_SERVER, NEGOTIATE, response_guid, 0,
     "client in VALIDATE: 3.2.5.14.12-05"},
    {"ServerGuid is another, 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE, response_guid, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"contexts are taken out of the request", "3.1.1-plain-gmac", FROM_CLIENT, NEGOTIATE, request_contexts, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"the signing context is taken out of the response", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE, response_contexts,
     0, "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"another cipher is answered", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE, response_cipher, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"another cipher is answered, encrypted", "3.1.1-gcm128", FROM_SERVER, NEGOTIATE, response_cipher, 0,
     "client in SESSION_SETUP: 3.2.5.1.3-01"},
    {"the validation is dropped", "3.0.2-plain", FROM_CLIENT, VALIDATE, drop, 0, "client in VALIDATE: 3.2.6.1-01"},
    {"its answer is dropped", "3.0.2-plain", FROM_SERVER, VALIDATE, drop, 0, "client in VALIDATE: 3.2.6.1-01"},
    {"it is answered NOT_SUPPORTED, unsigned", "3.0.2-plain", FROM_SERVER, VALIDATE, unsupported_unsigned, 0,
     "client in VALIDATE: 3.2.5.14.12-01"},
    {"it is answered NOT_SUPPORTED, unsigned, 2.1", "2.1-plain", FROM_SERVER, VALIDATE, unsupported_unsigned, 0,
     "client in VALIDATE: 3.2.5.14.12-01"},
    {"it is answered NOT_SUPPORTED, garbage as signature", "3.0.2-plain", FROM_SERVER, VALIDATE, unsupported_garbage, 0,
     "client in VALIDATE: 3.2.5.14.12-01"},
    {"the validation is altered", "3.0.2-plain", FROM_CLIENT, VALIDATE, info_altered, 0,
     "client in VALIDATE: 3.2.5.14.12-02"},
    {"the signature of the final SESSION_SETUP response is stripped", "3.0.2-plain", FROM_SERVER, SETUP_LAST,
     strip_signature, 0, "client in SESSION_SETUP: 3.3.5.5.3-01"},
    {"likewise on 2.1", "2.1-plain", FROM_SERVER, SETUP_LAST, strip_signature, 0,
     "client in SESSION_SETUP: 3.3.5.5.3-01"},
    {"likewise on 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, SETUP_LAST, strip_signature, 0,
     "client in SESSION_SETUP: 3.3.5.5.3-01"},
    {"IS_GUEST is set", "3.0.2-plain", FROM_SERVER, SETUP_LAST, make_guest, 0, "client in SESSION_SETUP: 3.2.5.3.1-01"},
    {"IS_GUEST is set, 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, SETUP_LAST, make_guest, 0,
     "client in SESSION_SETUP: 3.2.5.3.1-01"},
    {"IS_NULL is set, 3.1.1", "3.1.1-plain-gmac", FROM_SERVER, SETUP_LAST, make_anonymous, 0,
     "client in SESSION_SETUP: 3.2.5.3.1-01"},
    {"SMB2 is taken out of the SMB1 NEGOTIATE", "3.0.2-smb1", FROM_CLIENT, NEGOTIATE, strip_smb2, 0,
     "server: 3.3.5.3-03; client in NEGOTIATE: disconnected"},
    {"an SMB1 server answers", "3.0.2-smb1", FROM_SERVER, NEGOTIATE, answer_smb1, 0, "client in NEGOTIATE: 3.3.5.2-02"},
    {"an SMB1 server answers to SMB2", "3.0.2-plain", FROM_SERVER, NEGOTIATE, answer_smb1, 0,
     "client in NEGOTIATE: 3.3.5.2-02"},
    {"\"SMB 2.???\" is taken out, 2.0.2 is left", "3.1.1-smb1", FROM_CLIENT, NEGOTIATE, strip_wildcard, 0,
     "server: 3.3.5.15.12-03; client in VALIDATE: 3.2.6.1-01"},
    {"the 0x02FF response is altered: harmless", "3.1.1-smb1", FROM_SERVER, NEGOTIATE, answer_wildcard_altered, 0,
     "worked"},
    {"the SIGNED flag of the validation is stripped", "3.0.2-plain", FROM_CLIENT, VALIDATE, strip_signature, 0,
     "server: 3.2.5.5-01; client in VALIDATE: 3.2.6.1-01"},
    {"the signature of TREE_CONNECT is stripped, 3.1.1", "3.1.1-plain-gmac", FROM_CLIENT, TREE, strip_signature, 0,
     "server: 3.3.5.7-01; client in TREE_CONNECT: disconnected"},
    {"TREE_CONNECT is refused in the clear, encrypted", "3.1.1-gcm128", FROM_SERVER, TREE, refuse_tree_plainly, 0,
     "client in TREE_CONNECT: 3.2.5.1.1.1-01"},
    {"the signature of its response is stripped", "3.0.2-plain", FROM_SERVER, TREE, strip_signature, 0,
     "client in TREE_CONNECT: 3.3.4.1.1-01"},
};

static void test_rows(void **state) {
    struct world *world = *state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        char text[256];
        run_row(world, &rows[i]);
        world_tell(world, text, sizeof text);
        if (strcmp(text, rows[i].told) != 0)
            fail_msg("%s: %s", rows[i].name, text);
        assert_false(world->served_apart);
        if (world_worked(world))
            assert_null(world_difference(world));
        world_free(world);
        world_init(world);
    }
}

/* A guest's session has no keys, and nothing protects it: that is why real credentials never end there by default. */
static void test_guest_is_unprotected(void **state) {
    static const struct row row = {"", "3.1.1-plain-gmac", FROM_SERVER, NEGOTIATE, response_guid, 0, ""};
    struct world *world = *state;
    world->host.logon = HOST_LOGON_GUEST;
    world->host.policy.allow_guest = true;
    run_row(world, &row);
    assert_told(world, "client in SESSION_SETUP: 3.2.5.3.1-01");
    world->policy.allow_guest = true;
    world_run(world);
    assert_told(world, "worked");
    assert_string_equal(world_difference(world), "ServerGuid");
}

/* Keys that differ: nobody is convinced. */
static void test_other_key(void **state) {
    struct world *world = *state;
    for (unsigned i = 0; i < configs_count; i++) {
        config_apply(&configs[i], world);
        world->client_key[0] ^= 1;
        world_run(world);
        assert_told(world, "client in SESSION_SETUP: 3.2.5.1.3-01");
        assert_false(world->served);
        world_free(world);
        world_init(world);
    }
}

/* ---- frames lost, repeated, cut, swapped, late ---- */

enum disturbance { LOST, REPEATED, CUT, SWAPPED, LATE, DISTURBANCES };

struct disturber {
    enum disturbance what;
    enum direction from;
    unsigned index;
    size_t cut;              /* octets that are left */
    struct world_frame held; /* the one that waits for the next */
    bool holds;
};

static void release(struct world *world, struct disturber *disturber, enum direction from) {
    if (disturber->holds && from == disturber->from)
        world_queue_put(world, from, &disturber->held);
    disturber->holds = disturber->holds && from != disturber->from;
}

static void disturb(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    struct disturber *disturber = world->arguments;
    bool is_meant = from == disturber->from && index == disturber->index;
    if (is_meant && (disturber->what == SWAPPED || disturber->what == LATE)) {
        disturber->held = *frame;
        disturber->holds = true;
        return;
    }
    if (is_meant && disturber->what == CUT)
        frame->size = disturber->cut < frame->size ? disturber->cut : frame->size;
    if (!is_meant || disturber->what != LOST)
        world_queue_put(world, from, frame);
    if (is_meant && disturber->what == REPEATED)
        world_queue_put(world, from, frame);
    release(world, disturber, from);
}

/* Whatever happened: never at work while the ends differ. */
static void assert_together(const struct world *world, const char *config, const struct disturber *disturber) {
    const char *difference = world_worked(world) ? world_difference(world) : NULL;
    if (world->served_apart || (difference != NULL && !config_find(config)->old_server))
        fail_msg("%s: disturbance %d of frame %u from %d: %s", config, disturber->what, disturber->index,
                 disturber->from, difference != NULL ? difference : "served");
}

static void run_disturbance(struct world *world, const struct config *config, struct disturber *disturber) {
    world->adversary = disturb;
    world->arguments = disturber;
    disturber->holds = false;
    config_apply(config, world);
    world_run(world);
    assert_together(world, config->name, disturber);
}

static void test_frames_disturbed(void **state) {
    struct world *world = *state;
    struct disturber disturber = {.what = LOST};
    unsigned worked = 0;
    for (unsigned i = 0; i < configs_count; i++)
        for (disturber.what = LOST; disturber.what < DISTURBANCES; disturber.what++)
            for (unsigned from = 0; from < 2; from++)
                for (disturber.index = 0; disturber.index <= OPERATION + 1; disturber.index++) {
                    disturber.from = (enum direction)from;
                    disturber.cut = 70;
                    run_disturbance(world, &configs[i], &disturber);
                    worked += world_worked(world);
                    if (disturber.what == LOST && disturber.index < OPERATION)
                        assert_true(config_find(configs[i].name)->old_server || !world_worked(world));
                }
    assert_true(worked > 0); /* frames that are not there, say */
}

static void test_frames_cut(void **state) {
    struct world *world = *state;
    static const char *const chosen[] = {"2.1-plain", "3.0.2-plain", "3.0.2-encrypted", "3.1.1-plain-gmac",
                                         "3.1.1-smb1"};
    struct disturber disturber = {.what = CUT};
    for (unsigned i = 0; i < COUNT_OF(chosen); i++)
        for (unsigned from = 0; from < 2; from++)
            for (disturber.index = 0; disturber.index <= OPERATION; disturber.index++)
                for (disturber.cut = 0; disturber.cut < 300; disturber.cut++) {
                    disturber.from = (enum direction)from;
                    run_disturbance(world, config_find(chosen[i]), &disturber);
                }
}

/* ---- */

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
        WORLD_TEST(test_undisturbed),          WORLD_TEST(test_rows),
        WORLD_TEST(test_guest_is_unprotected), WORLD_TEST(test_other_key),
        WORLD_TEST(test_frames_disturbed),     WORLD_TEST(test_frames_cut),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
