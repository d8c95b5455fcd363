/* Negotiate contexts of 3.1.1 ([MS-SMB2] 2.2.3.1, 3.3.5.4). */
#include <string.h>

#include "conform/cases.h"
#include "conform/trial.h"
#include "probe/contexts.h"

static const uint16_t compression_ids[] = {COMPRESSION_PATTERN_V1, COMPRESSION_LZ77, COMPRESSION_LZ77_HUFFMAN,
                                           COMPRESSION_LZNT1, COMPRESSION_LZ4};
static const uint16_t signing_ids[] = {SIGNING_AES_GMAC, SIGNING_AES_CMAC, SIGNING_HMAC_SHA256};
static const uint16_t rdma_ids[] = {1, 2};
static const uint16_t unknown_ids[] = {CONTEXT_ID_UNKNOWN};

#define COMPRESSION_CHAINED 1u
#define CONTEXT_HEADER_SIZE 8u

static void add_raw(struct contexts *contexts, uint16_t type, const uint8_t *data, size_t size) {
    contexts_add(contexts, type, (struct span){data, size});
}

static void add_compression(struct contexts *contexts, const uint16_t *ids, uint16_t count, uint32_t flags) {
    uint8_t data[32];
    struct writer writer = writer_over(data, sizeof data);

    writer_u16(&writer, count);
    writer_u16(&writer, 0);
    writer_u32(&writer, flags);
    for (unsigned i = 0; i < count; i++)
        writer_u16(&writer, ids[i]);
    contexts_add(contexts, CONTEXT_COMPRESSION, writer_done(&writer));
}

static void add_signing(struct contexts *contexts) {
    contexts_add_ids(contexts, CONTEXT_SIGNING, signing_ids, 3);
}

/* Begins with the context of hashes, which each request needs. */
static void begin_right(struct contexts *contexts) {
    contexts_begin(contexts);
    contexts_add_hash(contexts);
}

/* Offers 3.1.1 with just these contexts. */
static bool offer(struct trial *trial, const struct contexts *contexts, struct line_reply *reply) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    struct client_offer made;

    if (!trial_open(trial, &list))
        return false;
    line_offer(trial->line, &made);
    contexts_place(contexts, &made);
    *reply = line_negotiate(trial->line, &made);
    return true;
}

static bool expect(struct trial *trial, const struct contexts *contexts, uint32_t status) {
    struct line_reply reply;

    return offer(trial, contexts, &reply) && judge_status(trial, &reply, status);
}

/* And the answer is one that a correct client takes. */
static bool expect_agreement(struct trial *trial, const struct contexts *contexts) {
    if (!expect(trial, contexts, STATUS_SUCCESS))
        return false;
    if (trial->line->negotiation.stage == NEGOTIATION_DONE)
        return true;
    trial_fail(trial, "%s", rule_text(trial->line->verdict.rule)->sentence);
    return false;
}

static const struct negotiation_contexts *answered(const struct trial *trial) {
    return &trial->line->negotiation.answered.contexts;
}

/* ---- hash and ciphers ---- */

void case_preauth_alone(struct trial *trial) {
    struct contexts contexts;

    begin_right(&contexts);
    if (!expect_agreement(trial, &contexts))
        return;
    if (answered(trial)->ciphers.present || answered(trial)->count != 1)
        trial_fail(trial, "%u contexts are answered", answered(trial)->count);
    else if (answered(trial)->salt_size == 0)
        trial_fail(trial, "the answer has no salt");
    else
        trial_pass(trial, "one hash, a salt of %u octets", answered(trial)->salt_size);
}

static void judge_cipher(struct trial *trial, uint16_t cipher) {
    struct contexts contexts;
    const struct id_summary *ciphers;

    begin_right(&contexts);
    contexts_add_ids(&contexts, CONTEXT_ENCRYPTION, &cipher, 1);
    if (!expect_agreement(trial, &contexts))
        return;
    ciphers = &answered(trial)->ciphers;
    if (!ciphers->present && !trial->facts->has_cipher)
        trial_skip(trial, "the server has no encryption");
    else if (!ciphers->present)
        trial_fail(trial, "there is no encryption context in the answer");
    else if (ciphers->ids[0] == CIPHER_NONE)
        trial_pass(trial, "not implemented, and said so");
    else
        trial_pass(trial, "chosen");
}

void case_cipher_128_ccm(struct trial *trial) {
    judge_cipher(trial, CIPHER_AES_128_CCM);
}

void case_cipher_256_ccm(struct trial *trial) {
    judge_cipher(trial, CIPHER_AES_256_CCM);
}

void case_cipher_128_gcm(struct trial *trial) {
    judge_cipher(trial, CIPHER_AES_128_GCM);
}

void case_cipher_256_gcm(struct trial *trial) {
    judge_cipher(trial, CIPHER_AES_256_GCM);
}

void case_all_contexts(struct trial *trial) {
    struct contexts contexts;

    begin_right(&contexts);
    contexts_add_ciphers(&contexts);
    add_compression(&contexts, compression_ids, 5, COMPRESSION_CHAINED);
    add_signing(&contexts);
    if (!expect_agreement(trial, &contexts))
        return;
    if (answered(trial)->count > contexts.count)
        trial_fail(trial, "%u contexts are answered to %u", answered(trial)->count, contexts.count);
    else
        trial_pass(trial, "%u contexts are answered", answered(trial)->count);
}

void case_no_contexts(struct trial *trial) {
    struct contexts contexts;

    contexts_begin(&contexts);
    expect(trial, &contexts, STATUS_INVALID_PARAMETER);
}

void case_encryption_without_preauth(struct trial *trial) {
    struct contexts contexts;

    contexts_begin(&contexts);
    contexts_add_ciphers(&contexts);
    expect(trial, &contexts, STATUS_INVALID_PARAMETER);
}

void case_compression_without_preauth(struct trial *trial) {
    struct contexts contexts;

    contexts_begin(&contexts);
    add_compression(&contexts, compression_ids, 5, 0);
    expect(trial, &contexts, STATUS_INVALID_PARAMETER);
}

void case_both_without_preauth(struct trial *trial) {
    struct contexts contexts;

    contexts_begin(&contexts);
    contexts_add_ciphers(&contexts);
    add_compression(&contexts, compression_ids, 5, 0);
    expect(trial, &contexts, STATUS_INVALID_PARAMETER);
}

void case_unknown_hash(struct trial *trial) {
    struct contexts contexts;

    contexts_begin(&contexts);
    contexts_add_ids(&contexts, CONTEXT_PREAUTH_INTEGRITY, unknown_ids, 1);
    expect(trial, &contexts, STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP);
}

void case_unknown_cipher(struct trial *trial) {
    struct contexts contexts;

    begin_right(&contexts);
    contexts_add_ids(&contexts, CONTEXT_ENCRYPTION, unknown_ids, 1);
    if (!expect_agreement(trial, &contexts))
        return;
    if (!answered(trial)->ciphers.present && trial->facts->has_cipher)
        trial_fail(trial, "there is no encryption context in the answer");
    else
        trial_pass(trial, answered(trial)->ciphers.present ? "cipher 0" : "no encryption context; there is none");
}

/* ---- signing ---- */

void case_signing_capability(struct trial *trial) {
    struct contexts contexts;

    begin_right(&contexts);
    add_signing(&contexts);
    if (!expect_agreement(trial, &contexts))
        return;
    if (answered(trial)->signing.present)
        trial_pass(trial, "%s", signing_name(trial->line->negotiation.agreed.signing_algorithm));
    else
        trial_pass(trial, "no context: AES-CMAC");
}

/* A server that knows the context answers AES-CMAC where nothing is common; one that does not know it says nothing. */
void case_signing_unknown(struct trial *trial) {
    struct contexts contexts;
    struct line_reply reply;
    const struct negotiate_response *body;

    begin_right(&contexts);
    contexts_add_ids(&contexts, CONTEXT_SIGNING, unknown_ids, 1);
    if (!offer(trial, &contexts, &reply) || !judge_status(trial, &reply, STATUS_SUCCESS))
        return;
    body = &reply.message.body.negotiate_response;
    if (body->negotiate_context_count > contexts.count)
        trial_fail(trial, "%u contexts are answered", body->negotiate_context_count);
}

/* ---- compression ---- */

static bool begin_compression(struct trial *trial, const uint16_t *ids, uint16_t count, uint32_t flags) {
    struct contexts contexts;

    begin_right(&contexts);
    add_compression(&contexts, ids, count, flags);
    return expect_agreement(trial, &contexts);
}

void case_compression_enabled(struct trial *trial) {
    if (!begin_compression(trial, compression_ids, 5, 0))
        return;
    if (answered(trial)->compression.present && answered(trial)->compression.ids[0] != COMPRESSION_NONE)
        trial_pass(trial, "%u algorithms", answered(trial)->compression.count);
    else
        trial_pass(trial, "the server does not compress");
}

/* The Flags of the compression context in the answer; 0 where there is none. */
static uint32_t compression_flags(const struct trial *trial) {
    const struct negotiation_contexts *contexts = answered(trial);
    struct span raw = {contexts->raw, contexts->raw_size};
    struct context_cursor cursor = {.contexts = raw, .left = contexts->count};
    struct context context;

    while (context_next(&cursor, &context)) {
        struct context_ids ids;

        if (context.type == CONTEXT_COMPRESSION && context_ids_decode(&context, &ids))
            return ids.flags;
    }
    return 0;
}

void case_compression_chained(struct trial *trial) {
    if (!begin_compression(trial, compression_ids, 5, COMPRESSION_CHAINED))
        return;
    if (!answered(trial)->compression.present)
        trial_pass(trial, "the server does not compress");
    else
        trial_pass(trial, compression_flags(trial) & COMPRESSION_CHAINED ? "chained" : "not chained");
}

void case_compression_unknown(struct trial *trial) {
    if (!begin_compression(trial, unknown_ids, 1, 0))
        return;
    if (answered(trial)->compression.present && answered(trial)->compression.count > 1)
        trial_fail(trial, "%u algorithms are answered", answered(trial)->compression.count);
}

void case_compression_not_chained(struct trial *trial) {
    if (!begin_compression(trial, compression_ids, 5, 0))
        return;
    if (compression_flags(trial) & COMPRESSION_CHAINED)
        trial_fail(trial, "the answer says that chains are possible");
}

/* Below 3.1.1 the place of the list's offset is reserved, and whatever it leads to ignored. */
void case_compression_below_311(struct trial *trial) {
    struct id_list below = trial_below_311(trial);
    struct contexts contexts;
    struct client_offer made;
    struct line_reply reply;

    if (below.count == 0) {
        trial_skip(trial, "nothing below 3.1.1 is spoken");
        return;
    }
    if (!trial_open(trial, &below))
        return;
    line_offer(trial->line, &made);
    contexts_begin(&contexts);
    add_compression(&contexts, compression_ids, 5, 0);
    contexts_place(&contexts, &made);
    made.request.negotiate_context_offset = (uint32_t)((100 + made.request.dialects.size + 7) / 8 * 8);
    reply = line_negotiate(trial->line, &made);
    judge_status(trial, &reply, STATUS_SUCCESS);
}

/* ---- lists that are wrong ---- */

/* A server that does not implement a context ignores it, right or wrong; one that answers the right one must refuse the
 * wrong one. */
static void expect_refusal_or_ignorance(struct trial *trial, const struct contexts *right,
                                        const struct contexts *wrong) {
    struct line_reply reply;
    bool ignores;

    if (!expect_agreement(trial, right))
        return;
    ignores = answered(trial)->count == 1;
    if (!offer(trial, wrong, &reply))
        return;
    if (ignores && reply_has(&reply, STATUS_SUCCESS))
        trial_pass(trial, "ignored, as the server does with a right one too");
    else
        judge_status(trial, &reply, STATUS_INVALID_PARAMETER);
}

static void expect_wrong_compression(struct trial *trial, const uint8_t *data, size_t size) {
    struct contexts right, wrong;

    begin_right(&right);
    add_compression(&right, compression_ids, 5, 0);
    begin_right(&wrong);
    add_raw(&wrong, CONTEXT_COMPRESSION, data, size);
    expect_refusal_or_ignorance(trial, &right, &wrong);
}

static void expect_wrong_ids(struct trial *trial, uint16_t type, const uint16_t *ids, unsigned count,
                             const uint8_t *data, size_t size) {
    struct contexts right, wrong;

    begin_right(&right);
    contexts_add_ids(&right, type, ids, count);
    begin_right(&wrong);
    add_raw(&wrong, type, data, size);
    expect_refusal_or_ignorance(trial, &right, &wrong);
}

void case_compression_short(struct trial *trial) {
    static const uint8_t data[] = {1, 0, 0, 0, 0, 0};

    expect_wrong_compression(trial, data, sizeof data);
}

void case_compression_empty(struct trial *trial) {
    static const uint8_t data[10] = {0};

    expect_wrong_compression(trial, data, sizeof data);
}

void case_rdma(struct trial *trial) {
    struct contexts contexts;

    begin_right(&contexts);
    contexts_add_ids(&contexts, CONTEXT_RDMA_TRANSFORM, rdma_ids, 2);
    if (!expect_agreement(trial, &contexts))
        return;
    trial_pass(trial, answered(trial)->rdma.present ? "answered" : "ignored: the server does no RDMA transforms");
}

void case_rdma_empty(struct trial *trial) {
    static const uint8_t data[10] = {0};

    expect_wrong_ids(trial, CONTEXT_RDMA_TRANSFORM, rdma_ids, 2, data, sizeof data);
}

void case_rdma_short(struct trial *trial) {
    static const uint8_t data[] = {1, 0};

    expect_wrong_ids(trial, CONTEXT_RDMA_TRANSFORM, rdma_ids, 2, data, sizeof data);
}

void case_netname(struct trial *trial) {
    uint8_t name[512];
    struct writer writer = writer_over(name, sizeof name);
    struct contexts contexts;

    begin_right(&contexts);
    text_to_utf16(text_span(trial->options->target.host), &writer);
    if (writer.failed || writer.at > 256)
        writer.at = 0;
    contexts_add(&contexts, CONTEXT_NETNAME, writer_done(&writer));
    if (!expect_agreement(trial, &contexts))
        return;
    if (answered(trial)->count != 1)
        trial_fail(trial, "%u contexts are answered", answered(trial)->count);
}

void case_two_preauth(struct trial *trial) {
    struct contexts contexts;

    begin_right(&contexts);
    contexts_add_hash(&contexts);
    expect(trial, &contexts, STATUS_INVALID_PARAMETER);
}

/* A context that may be there once, twice. A server that does not implement it has to ignore it, and may do so before it
 * counts: of the two rules of 3.3.5.4 neither says that it comes first. */
static void expect_two_refused(struct trial *trial, void (*add)(struct contexts *contexts)) {
    struct contexts once, twice;
    bool ignores;

    begin_right(&once);
    add(&once);
    if (!expect_agreement(trial, &once))
        return;
    ignores = answered(trial)->count == 1;
    begin_right(&twice);
    add(&twice);
    add(&twice);
    if (!expect(trial, &twice, STATUS_INVALID_PARAMETER) && ignores)
        trial_lessen(trial);
}

static void add_usual_compression(struct contexts *contexts) {
    add_compression(contexts, compression_ids, 5, 0);
}

void case_two_ciphers(struct trial *trial) {
    expect_two_refused(trial, contexts_add_ciphers);
}

void case_two_signing(struct trial *trial) {
    expect_two_refused(trial, add_signing);
}

void case_two_compression(struct trial *trial) {
    expect_two_refused(trial, add_usual_compression);
}

static void expect_raw_refused(struct trial *trial, uint16_t type, const uint8_t *data, size_t size) {
    struct contexts contexts;

    contexts_begin(&contexts);
    if (type != CONTEXT_PREAUTH_INTEGRITY)
        contexts_add_hash(&contexts);
    add_raw(&contexts, type, data, size);
    expect(trial, &contexts, STATUS_INVALID_PARAMETER);
}

/* The count has to be greater than zero (2.2.3.1.1), and none of the hashes is one that the server has (3.3.5.4). */
void case_hash_empty(struct trial *trial) {
    static const uint8_t data[] = {0, 0, 2, 0, 7, 7};
    struct contexts contexts;
    struct line_reply reply;

    contexts_begin(&contexts);
    add_raw(&contexts, CONTEXT_PREAUTH_INTEGRITY, data, sizeof data);
    if (!offer(trial, &contexts, &reply))
        return;
    if (reply_has(&reply, STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP))
        trial_pass(trial, "no hash in common");
    else
        judge_status(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_hash_short(struct trial *trial) {
    static const uint8_t data[] = {1, 0, 0};

    expect_raw_refused(trial, CONTEXT_PREAUTH_INTEGRITY, data, sizeof data);
}

/* HashAlgorithmCount 9, of which there is one. */
void case_hash_count(struct trial *trial) {
    static const uint8_t data[] = {9, 0, 2, 0, 1, 0, 7, 7};

    expect_raw_refused(trial, CONTEXT_PREAUTH_INTEGRITY, data, sizeof data);
}

void case_ciphers_empty(struct trial *trial) {
    static const uint8_t data[] = {0, 0, 0, 0};

    if (trial->facts->has_cipher)
        expect_raw_refused(trial, CONTEXT_ENCRYPTION, data, sizeof data);
    else
        trial_skip(trial, "the server has no encryption, and ignores the context");
}

void case_signing_empty(struct trial *trial) {
    static const uint8_t data[] = {0, 0, 0, 0};

    expect_wrong_ids(trial, CONTEXT_SIGNING, signing_ids, 3, data, sizeof data);
}

/* The offset of the list says otherwise than where it is. */
static void send_offset(struct trial *trial, uint32_t offset) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    uint8_t octets[512];
    struct writer writer = writer_over(octets, sizeof octets);
    struct client_offer made;
    struct line_reply reply;
    uint8_t *message;

    if (!trial_open(trial, &list))
        return;
    line_offer(trial->line, &made);
    negotiate_request_encode(&(struct smb2_header){0}, &made.request, &writer);
    batch_begin(trial->batch, trial->line);
    message = batch_add(trial->batch, SMB2_NEGOTIATE, span_slice(writer_done(&writer), SMB2_HEADER_SIZE, SIZE_MAX));
    put_u32(message, AT_BODY + 28, offset);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    judge_status(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_contexts_misaligned(struct trial *trial) {
    send_offset(trial, 101);
}

void case_contexts_beyond(struct trial *trial) {
    send_offset(trial, 0x10000);
}

void case_contexts_in_dialects(struct trial *trial) {
    send_offset(trial, 64);
}

void case_unknown_context(struct trial *trial) {
    static const uint8_t data[] = {1, 2, 3};
    struct contexts contexts;

    begin_right(&contexts);
    add_raw(&contexts, CONTEXT_TYPE_UNKNOWN, data, sizeof data);
    if (!expect_agreement(trial, &contexts))
        return;
    if (answered(trial)->count != 1)
        trial_fail(trial, "%u contexts are answered", answered(trial)->count);
}

/* Two connections are not told the same salt. */
void case_salt_differs(struct trial *trial) {
    struct negotiation_contexts first;
    struct contexts contexts;

    begin_right(&contexts);
    if (!expect_agreement(trial, &contexts))
        return;
    first = *answered(trial);
    if (!expect_agreement(trial, &contexts))
        return;
    if (first.raw_size == answered(trial)->raw_size && memcmp(first.raw, answered(trial)->raw, first.raw_size) == 0)
        trial_fail(trial, "the same salt twice");
    else
        trial_pass(trial, "another one each time");
}
