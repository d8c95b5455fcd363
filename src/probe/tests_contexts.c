/* Tests of what a server makes of negotiate contexts ([MS-SMB2] 2.2.3.1, 3.3.5.4). */
#include <string.h>

#include "probe/tests.h"
#include "wire/names.h"

/* Numbers that nobody has defined. */
#define ID_UNKNOWN   0x7ffeu
#define TYPE_UNKNOWN 0x7ffdu

/* The contexts of one request, as they are put together. */
struct contexts {
    uint8_t octets[512];
    struct writer writer;
    uint16_t count;
};

static void begin(struct contexts *contexts) {
    contexts->writer = writer_over(contexts->octets, sizeof contexts->octets);
    contexts->count = 0;
}

static void add_data(struct contexts *contexts, uint16_t type, struct span data) {
    struct context context = {.type = type, .data_length = (uint16_t)data.size, .data = data};

    context_encode(&context, &contexts->writer);
    contexts->count++;
}

/* A context that is a list of ids; that of hashes with a salt. */
static void add_ids(struct contexts *contexts, uint16_t type, const uint16_t *ids, unsigned count) {
    static const uint8_t salt[CLIENT_SALT_SIZE] = {1};
    uint8_t id_octets[32], data[96];
    struct writer id_writer = writer_over(id_octets, sizeof id_octets), writer = writer_over(data, sizeof data);
    struct context_ids list = {.count = (uint16_t)count};

    for (unsigned i = 0; i < count; i++)
        writer_u16(&id_writer, ids[i]);
    list.ids = writer_done(&id_writer);
    if (type == CONTEXT_PREAUTH_INTEGRITY) {
        list.salt_length = sizeof salt;
        list.rest = (struct span){salt, sizeof salt};
    }
    context_ids_encode(type, &list, &writer);
    add_data(contexts, type, writer_done(&writer));
}

static void add_hash(struct contexts *contexts) {
    static const uint16_t hashes[] = {HASH_SHA512};

    add_ids(contexts, CONTEXT_PREAUTH_INTEGRITY, hashes, 1);
}

static void add_ciphers(struct contexts *contexts) {
    static const uint16_t ciphers[] = {CIPHER_AES_128_GCM, CIPHER_AES_128_CCM, CIPHER_AES_256_GCM, CIPHER_AES_256_CCM};

    add_ids(contexts, CONTEXT_ENCRYPTION, ciphers, 4);
}

/* Offers 3.1.1 with just these contexts. False: there was no connection. */
static bool offer_contexts(struct probe *probe, const struct contexts *contexts, struct line_reply *reply,
                           struct probe_result *result) {
    struct id_list list = list_one(SMB2_DIALECT_311);
    struct client_offer offer;

    if (!probe_open(probe, &list, result))
        return false;
    line_offer(probe->line, &offer);
    offer.request.contexts = (struct span){contexts->octets, contexts->writer.at};
    offer.request.negotiate_context_count = contexts->count;
    if (contexts->count == 0)
        offer.request.negotiate_context_offset = 0;
    *reply = line_negotiate(probe->line, &offer);
    return true;
}

static void expect_status(struct probe *probe, const struct contexts *contexts, uint32_t status,
                          struct probe_result *result) {
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!offer_contexts(probe, contexts, &reply, result))
        return;
    if (reply_has(&reply, status))
        result_say(result, PROBE_RIGHT, "%s", ntstatus_name(status));
    else if (reply.answer == LINE_SILENT)
        result_say(result, PROBE_UNCLEAR, "no answer");
    else
        result_blame(probe, result, "%s",
                     reply.answer == LINE_ANSWERED && reply.status == STATUS_SUCCESS
                         ? "STATUS_SUCCESS: they are accepted"
                         : reply_text(&reply, text));
}

void test_no_contexts(struct probe *probe, struct probe_result *result) {
    struct contexts contexts;

    begin(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, result);
}

void test_no_preauth(struct probe *probe, struct probe_result *result) {
    struct contexts contexts;

    begin(&contexts);
    add_ciphers(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, result);
}

void test_two_preauth(struct probe *probe, struct probe_result *result) {
    struct contexts contexts;

    begin(&contexts);
    add_hash(&contexts);
    add_hash(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, result);
}

void test_two_ciphers(struct probe *probe, struct probe_result *result) {
    struct contexts contexts;

    begin(&contexts);
    add_hash(&contexts);
    add_ciphers(&contexts);
    add_ciphers(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, result);
}

void test_unknown_hash(struct probe *probe, struct probe_result *result) {
    static const uint16_t hashes[] = {ID_UNKNOWN};
    struct contexts contexts;

    begin(&contexts);
    add_ids(&contexts, CONTEXT_PREAUTH_INTEGRITY, hashes, 1);
    expect_status(probe, &contexts, STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP, result);
}

void test_unknown_cipher(struct probe *probe, struct probe_result *result) {
    static const uint16_t ciphers[] = {ID_UNKNOWN};
    struct contexts contexts;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    begin(&contexts);
    add_hash(&contexts);
    add_ids(&contexts, CONTEXT_ENCRYPTION, ciphers, 1);
    if (!offer_contexts(probe, &contexts, &reply, result))
        return;
    if (!reply_has(&reply, STATUS_SUCCESS))
        result_blame(probe, result, "%s", reply_text(&reply, text));
    else if (probe->line->negotiation.agreed.cipher != CIPHER_NONE)
        result_blame(probe, result, "success, with a cipher that was not offered");
    else
        result_say(result, PROBE_RIGHT, "success without a cipher");
}

void test_unknown_context(struct probe *probe, struct probe_result *result) {
    static const uint8_t data[] = {0x70, 0x72, 0x6f, 0x62, 0x65};
    struct contexts contexts;

    begin(&contexts);
    add_hash(&contexts);
    add_data(&contexts, TYPE_UNKNOWN, (struct span){data, sizeof data});
    add_ciphers(&contexts);
    expect_status(probe, &contexts, STATUS_SUCCESS, result);
}

void test_newest_contexts(struct probe *probe, struct probe_result *result) {
    static const uint16_t compression[] = {COMPRESSION_PATTERN_V1, COMPRESSION_LZ77, COMPRESSION_LZ77_HUFFMAN,
                                           COMPRESSION_LZNT1, COMPRESSION_LZ4};
    static const uint16_t signing[] = {SIGNING_AES_GMAC, SIGNING_AES_CMAC, SIGNING_HMAC_SHA256};
    static const uint16_t rdma[] = {1, 2};
    static const uint8_t transport[4] = {0};
    uint8_t name[512];
    struct writer name_writer = writer_over(name, sizeof name);
    struct contexts contexts;

    begin(&contexts);
    add_hash(&contexts);
    add_ciphers(&contexts);
    add_ids(&contexts, CONTEXT_COMPRESSION, compression, 5);
    add_ids(&contexts, CONTEXT_SIGNING, signing, 3);
    if (text_to_utf16(text_span(probe->options->target.host), &name_writer) && name_writer.at <= 256)
        add_data(&contexts, CONTEXT_NETNAME, writer_done(&name_writer));
    add_data(&contexts, CONTEXT_TRANSPORT, (struct span){transport, sizeof transport});
    add_ids(&contexts, CONTEXT_RDMA_TRANSFORM, rdma, 2);
    expect_status(probe, &contexts, STATUS_SUCCESS, result);
}
