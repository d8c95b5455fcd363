/* Tests of what a server makes of negotiate contexts ([MS-SMB2] 2.2.3.1, 3.3.5.4). */
#include <string.h>

#include "probe/contexts.h"
#include "probe/tests.h"
#include "wire/names.h"

/* Offers 3.1.1 with just these contexts. False: there was no connection. */
static bool offer_contexts(struct probe *probe, const struct contexts *contexts, struct line_reply *reply,
                           struct probe_result *result) {
    struct id_list list = list_one(SMB2_DIALECT_311);
    struct client_offer offer;

    if (!probe_open(probe, &list, result))
        return false;
    line_offer(probe->line, &offer);
    contexts_place(contexts, &offer);
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

    contexts_begin(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, result);
}

void test_no_preauth(struct probe *probe, struct probe_result *result) {
    struct contexts contexts;

    contexts_begin(&contexts);
    contexts_add_ciphers(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, result);
}

static bool is_worse(enum probe_outcome one, enum probe_outcome other) {
    return one != PROBE_RIGHT && other != PROBE_SERVER;
}

/* One fault, that nobody counts, which may show with hashes, with ciphers, or with both. */
void test_two_preauth(struct probe *probe, struct probe_result *result) {
    struct probe_result hashes = *result, ciphers = *result;
    struct contexts contexts;

    contexts_begin(&contexts);
    contexts_add_hash(&contexts);
    contexts_add_hash(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, &hashes);

    contexts_begin(&contexts);
    contexts_add_hash(&contexts);
    contexts_add_ciphers(&contexts);
    contexts_add_ciphers(&contexts);
    expect_status(probe, &contexts, STATUS_INVALID_PARAMETER, &ciphers);

    *result = is_worse(ciphers.outcome, hashes.outcome) ? ciphers : hashes;
    snprintf(result->seen, sizeof result->seen, "pre-authentication: %.80s; encryption: %.80s", hashes.seen, ciphers.seen);
}

void test_unknown_hash(struct probe *probe, struct probe_result *result) {
    static const uint16_t hashes[] = {CONTEXT_ID_UNKNOWN};
    struct contexts contexts;

    contexts_begin(&contexts);
    contexts_add_ids(&contexts, CONTEXT_PREAUTH_INTEGRITY, hashes, 1);
    expect_status(probe, &contexts, STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP, result);
}

void test_unknown_cipher(struct probe *probe, struct probe_result *result) {
    static const uint16_t ciphers[] = {CONTEXT_ID_UNKNOWN};
    struct contexts contexts;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    contexts_begin(&contexts);
    contexts_add_hash(&contexts);
    contexts_add_ids(&contexts, CONTEXT_ENCRYPTION, ciphers, 1);
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

    contexts_begin(&contexts);
    contexts_add_hash(&contexts);
    contexts_add(&contexts, CONTEXT_TYPE_UNKNOWN, (struct span){data, sizeof data});
    contexts_add_ciphers(&contexts);
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

    contexts_begin(&contexts);
    contexts_add_hash(&contexts);
    contexts_add_ciphers(&contexts);
    contexts_add_ids(&contexts, CONTEXT_COMPRESSION, compression, 5);
    contexts_add_ids(&contexts, CONTEXT_SIGNING, signing, 3);
    if (text_to_utf16(text_span(probe->options->target.host), &name_writer) && name_writer.at <= 256)
        contexts_add(&contexts, CONTEXT_NETNAME, writer_done(&name_writer));
    contexts_add(&contexts, CONTEXT_TRANSPORT, (struct span){transport, sizeof transport});
    contexts_add_ids(&contexts, CONTEXT_RDMA_TRANSFORM, rdma, 2);
    expect_status(probe, &contexts, STATUS_SUCCESS, result);
}
