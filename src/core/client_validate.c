#include "core/client_validate.h"

#include "core/client_offer.h"

#include <assert.h>
#include <string.h>

/* Offsets from the protocol id, to say which octet was wrong. */
enum {
    AT_STATUS = 8,
    AT_FLAGS = 16,
    AT_STRUCTURE_SIZE = 64,
    AT_DIALECT = 68,
    AT_MAX_TRANSACT_SIZE = 92,
    AT_MAX_READ_SIZE = 96,
    AT_MAX_WRITE_SIZE = 100,
    AT_BUFFER_OFFSET = 120,
    AT_CONTEXT_OFFSET = 124,
    AT_IOCTL_OUTPUT_OFFSET = 96,
    AT_IOCTL_OUTPUT_COUNT = 100,
    AT_IOCTL_BUFFER = 112,
};

/* Of the output of FSCTL_VALIDATE_NEGOTIATE_INFO (2.2.32.6). */
enum { INFO_AT_CAPABILITIES = 0, INFO_AT_GUID = 4, INFO_AT_MODE = 20, INFO_AT_DIALECT = 22 };

#define NEGOTIATE_STRUCTURE_SIZE 65u
#define IOCTL_STRUCTURE_SIZE     49u
/* What Windows up to 8.1 is content with, in octets (3.2.5.2, note 189). */
#define SIZE_LEAST_OLD 4096u

static struct verdict refuse_response(enum rule rule, size_t offset) {
    return verdict_refuse(rule, (uint32_t)STATUS_INVALID_NETWORK_RESPONSE, offset);
}

static struct verdict check_body(const struct message *response) {
    const struct negotiate_response *body = &response->body.negotiate_response;
    size_t size = response->bytes.size;
    if (size < NEGOTIATE_BUFFER_OFFSET || body->structure_size != NEGOTIATE_STRUCTURE_SIZE)
        return refuse_response(RULE_RESPONSE_MALFORMED, AT_STRUCTURE_SIZE);
    if (body->security_buffer_length == 0)
        return verdict_accept();
    if (body->security_buffer_offset < NEGOTIATE_BUFFER_OFFSET || body->security_buffer_offset > size ||
        body->security_buffer_length > size - body->security_buffer_offset)
        return refuse_response(RULE_RESPONSE_MALFORMED, AT_BUFFER_OFFSET);
    return verdict_accept();
}

static struct verdict check_sizes(const struct negotiate_response *body, const struct client_policy *policy) {
    uint32_t least = policy->accept_small_sizes ? SIZE_LEAST_OLD : SIZE_LEAST;
    if (body->max_transact_size < least)
        return verdict_disconnect(RULE_RESPONSE_SIZES, AT_MAX_TRANSACT_SIZE);
    if (body->max_read_size < least)
        return verdict_disconnect(RULE_RESPONSE_SIZES, AT_MAX_READ_SIZE);
    if (body->max_write_size < least)
        return verdict_disconnect(RULE_RESPONSE_SIZES, AT_MAX_WRITE_SIZE);
    return verdict_accept();
}

static void record_answer(struct negotiation *record, const struct negotiate_response *body) {
    struct negotiation_answered *answered = &record->answered;
    *answered = (struct negotiation_answered){
        .known = true,
        .dialect = body->dialect_revision,
        .security_mode = body->security_mode,
        .capabilities = body->capabilities,
        .max_transact_size = body->max_transact_size,
        .max_read_size = body->max_read_size,
        .max_write_size = body->max_write_size,
    };
    memcpy(answered->server_guid, body->server_guid, sizeof answered->server_guid);
}

/* 0x02FF may only answer an SMB1 NEGOTIATE; after an SMB2 one it is a dialect that was not offered. Over NetBIOS it
 * would lead a client that could have 3.1.1 to less than that. */
static struct verdict check_wildcard(const struct negotiation *record, const struct client_policy *policy) {
    const struct negotiation_offered *offered = &record->offered;
    if (offered->known || !offered->smb1_wildcard)
        return verdict_disconnect(RULE_RESPONSE_WILDCARD, AT_DIALECT);
    if (policy->transport == TRANSPORT_NETBIOS && id_list_has(&policy->dialects, SMB2_DIALECT_311))
        return verdict_disconnect(RULE_RESPONSE_WILDCARD_NETBIOS, AT_DIALECT);
    return verdict_accept();
}

/* The first check against a downgrade, and the only one in front of authentication. */
static struct verdict check_dialect(const struct negotiation_offered *offered, uint16_t dialect) {
    if (!offered->known && offered->smb1_202 && dialect == SMB2_DIALECT_202)
        return verdict_accept();
    for (unsigned i = 0; i < offered->dialect_count; i++)
        if (offered->dialects[i] == dialect)
            return verdict_accept();
    return verdict_disconnect(RULE_RESPONSE_DIALECT, AT_DIALECT);
}

/* An empty list breaks the rule of its own context. */
static enum rule rule_of_context(uint16_t type) {
    switch (type) {
    case CONTEXT_PREAUTH_INTEGRITY:
        return RULE_RESPONSE_HASH;
    case CONTEXT_ENCRYPTION:
        return RULE_RESPONSE_CIPHER;
    case CONTEXT_COMPRESSION:
        return RULE_RESPONSE_COMPRESSION;
    case CONTEXT_RDMA_TRANSFORM:
        return RULE_RESPONSE_RDMA;
    default:
        return RULE_RESPONSE_SIGNING;
    }
}

static struct verdict check_context_list(const struct context_check *check,
                                         const struct negotiation_contexts *contexts) {
    switch (check->fault) {
    case CONTEXT_FAULT_BOUNDS:
        return refuse_response(RULE_RESPONSE_CONTEXTS_MALFORMED, check->offset);
    case CONTEXT_FAULT_PREAUTH_COUNT:
        return refuse_response(RULE_RESPONSE_PREAUTH_COUNT, check->offset > 0 ? check->offset : AT_CONTEXT_OFFSET);
    case CONTEXT_FAULT_TWICE:
        return refuse_response(RULE_RESPONSE_CONTEXT_TWICE, check->offset);
    case CONTEXT_FAULT_SHORT:
        return refuse_response(RULE_RESPONSE_CONTEXT_SHORT, check->offset);
    case CONTEXT_FAULT_EMPTY:
        return refuse_response(rule_of_context(check->type), check->offset);
    case CONTEXT_FAULT_NONE:
        break;
    }
    if (contexts->transport_count > 1)
        return refuse_response(RULE_RESPONSE_CONTEXT_TWICE, AT_CONTEXT_OFFSET);
    return verdict_accept();
}

static bool is_one_of(const struct id_summary *chosen, const struct id_summary *offered) {
    return chosen->count == 1 && id_summary_has(offered, chosen->ids[0]);
}

/* Every id but 0 (NONE), which may always stand for "nothing", was offered. */
static bool is_subset(const struct id_summary *chosen, const struct id_summary *offered) {
    return !chosen->foreign && (chosen->set & ~1u & ~offered->set) == 0;
}

static struct verdict check_choices(const struct negotiation_contexts *chosen,
                                    const struct negotiation_contexts *offered) {
    if (!is_one_of(&chosen->hashes, &offered->hashes) || chosen->hashes.ids[0] != HASH_SHA512)
        return refuse_response(RULE_RESPONSE_HASH, chosen->hashes.offset);
    const struct id_summary *ciphers = &chosen->ciphers;
    bool no_cipher = ciphers->count == 1 && ciphers->ids[0] == CIPHER_NONE;
    if (ciphers->present && !no_cipher && !is_one_of(ciphers, &offered->ciphers))
        return refuse_response(RULE_RESPONSE_CIPHER, ciphers->offset);
    if (chosen->signing.present && !is_one_of(&chosen->signing, &offered->signing))
        return refuse_response(RULE_RESPONSE_SIGNING, chosen->signing.offset);
    const struct id_summary *compression = &chosen->compression;
    if (compression->repeated || !is_subset(compression, &offered->compression))
        return refuse_response(RULE_RESPONSE_COMPRESSION, compression->offset);
    const struct id_summary *rdma = &chosen->rdma;
    bool rdma_more = offered->rdma.present && rdma->count > offered->rdma.count;
    if (rdma_more || !is_subset(rdma, &offered->rdma))
        return refuse_response(RULE_RESPONSE_RDMA, rdma->offset);
    return verdict_accept();
}

static struct verdict check_contexts(const struct message *response, struct negotiation *record) {
    const struct negotiate_response *body = &response->body.negotiate_response;
    struct negotiation_contexts *contexts = &record->answered.contexts;
    struct context_check check = contexts_read(response->bytes, body->negotiate_context_offset,
                                               body->negotiate_context_count, NEGOTIATE_BUFFER_OFFSET, contexts);
    struct verdict verdict = check_context_list(&check, contexts);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_choices(contexts, &record->offered.contexts);
    return verdict;
}

static struct verdict decide(const struct message *response, const struct client_policy *policy,
                             struct negotiation *record) {
    const struct negotiate_response *body = &response->body.negotiate_response;
    struct verdict verdict = check_body(response);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_sizes(body, policy);
    if (verdict.action != ACTION_ACCEPT)
        return verdict;
    record_answer(record, body);
    if (body->dialect_revision == SMB2_DIALECT_WILDCARD) {
        record->stage = NEGOTIATION_WILDCARD;
        return check_wildcard(record, policy);
    }
    record->stage = NEGOTIATION_DONE;
    verdict = check_dialect(&record->offered, body->dialect_revision);
    /* Below 3.1.1 the fields that point to the list are reserved, and old servers leave anything there (2.2.4). */
    if (verdict.action == ACTION_ACCEPT && body->dialect_revision == SMB2_DIALECT_311)
        verdict = check_contexts(response, record);
    return verdict;
}

/* Does this client expect validation? Its maximum dialect counts, not what was chosen (3.2.5.5). */
static bool client_validates(const struct negotiation *record, const struct client_policy *policy) {
    bool has_3x = record->offered.known ? negotiation_offers_3x(record)
                                        : dialect_is_3x(id_list_greatest(&policy->dialects));
    return policy->require_secure_negotiate && has_3x && record->answered.dialect != SMB2_DIALECT_311;
}

static struct verdict finish(struct negotiation *record, const struct client_policy *policy) {
    negotiation_agree(record);
    record->agreed.signing_required |= policy->signing_required;
    record->agreed.must_validate = client_validates(record, policy);
    if (policy->encryption == ENCRYPTION_MUST && record->agreed.cipher == CIPHER_NONE)
        return verdict_refuse(RULE_ENCRYPTION_UNAVAILABLE, (uint32_t)STATUS_NOT_SUPPORTED, AT_DIALECT);
    return verdict_accept();
}

struct verdict client_validate(const struct message *response, const struct client_policy *policy,
                               struct negotiation *record) {
    uint32_t status = response->header.status;
    if (status == STATUS_PENDING)
        return verdict_accept();
    if (status != STATUS_SUCCESS)
        return verdict_refuse(RULE_RESPONSE_STATUS, status, AT_STATUS);
    if (response->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE)
        return refuse_response(RULE_SMB1_MESSAGE, 0); /* SMB1 is never fallen back to */
    if (response->kind != MESSAGE_NEGOTIATE_RESPONSE)
        return refuse_response(RULE_RESPONSE_MALFORMED, AT_STRUCTURE_SIZE);
    struct negotiation next = *record;
    struct verdict verdict = decide(response, policy, &next);
    if (verdict.action == ACTION_ACCEPT && next.stage == NEGOTIATION_DONE)
        verdict = finish(&next, policy);
    if (verdict.action == ACTION_ACCEPT)
        *record = next;
    return verdict;
}

bool client_must_validate_info(const struct negotiation *record, const struct client_policy *policy,
                               bool session_has_keys) {
    return session_has_keys && record->stage == NEGOTIATION_DONE && client_validates(record, policy);
}

static void info_from_policy(const struct client_policy *policy, struct validate_negotiate_info_request *request,
                             struct writer *writer) {
    request->capabilities = client_capabilities(policy);
    request->security_mode = client_security_mode(policy);
    memcpy(request->guid, policy->guid, sizeof request->guid);
    for (unsigned i = 0; i < policy->dialects.count; i++)
        writer_u16(writer, policy->dialects.ids[i]);
}

static void info_from_offer(const struct negotiation_offered *offered,
                            struct validate_negotiate_info_request *request, struct writer *writer) {
    request->capabilities = offered->capabilities;
    request->security_mode = offered->security_mode;
    memcpy(request->guid, offered->client_guid, sizeof request->guid);
    for (unsigned i = 0; i < offered->dialect_count; i++)
        writer_u16(writer, offered->dialects[i]);
}

void client_info_fill(const struct negotiation *record, const struct client_policy *policy, struct client_info *info) {
    struct writer writer = writer_over(info->dialect_octets, sizeof info->dialect_octets);
    info->request = (struct validate_negotiate_info_request){.capabilities = 0};
    if (record->offered.known)
        info_from_offer(&record->offered, &info->request, &writer);
    else
        info_from_policy(policy, &info->request, &writer);
    info->request.dialects = writer_done(&writer);
    info->request.dialect_count = (uint16_t)(info->request.dialects.size / 2);
}

static struct verdict check_info_length(const struct message *response, const struct client_policy *policy) {
    const struct ioctl_response *ioctl = &response->body.ioctl_response;
    size_t size = response->bytes.size;
    if (response->kind != MESSAGE_IOCTL_RESPONSE || size < AT_IOCTL_BUFFER ||
        ioctl->structure_size != IOCTL_STRUCTURE_SIZE)
        return verdict_disconnect(RULE_INFO_RESPONSE_LENGTH, AT_STRUCTURE_SIZE);
    if (ioctl->output_offset < AT_IOCTL_BUFFER || ioctl->output_offset > size)
        return verdict_disconnect(RULE_INFO_RESPONSE_LENGTH, AT_IOCTL_OUTPUT_OFFSET);
    bool right = policy->accept_longer_info ? ioctl->output_count >= VALIDATE_RESPONSE_SIZE
                                            : ioctl->output_count == VALIDATE_RESPONSE_SIZE;
    if (!right || ioctl->output_count > size - ioctl->output_offset)
        return verdict_disconnect(RULE_INFO_RESPONSE_LENGTH, AT_IOCTL_OUTPUT_COUNT);
    return verdict_accept();
}

static struct verdict check_info(const struct validate_negotiate_info_response *info,
                                 const struct negotiation *record, size_t at) {
    const struct negotiation_answered *answered = &record->answered;
    if (info->capabilities != answered->capabilities)
        return verdict_disconnect(RULE_INFO_RESPONSE_CAPABILITIES, at + INFO_AT_CAPABILITIES);
    if (memcmp(info->guid, answered->server_guid, sizeof answered->server_guid) != 0)
        return verdict_disconnect(RULE_INFO_RESPONSE_GUID, at + INFO_AT_GUID);
    if (info->security_mode != answered->security_mode)
        return verdict_disconnect(RULE_INFO_RESPONSE_SECURITY_MODE, at + INFO_AT_MODE);
    if (info->dialect != answered->dialect)
        return verdict_disconnect(RULE_INFO_RESPONSE_DIALECT, at + INFO_AT_DIALECT);
    return verdict_accept();
}

static struct verdict check_info_success(const struct message *response, const struct client_policy *policy,
                                         const struct negotiation *record) {
    struct verdict verdict = check_info_length(response, policy);
    if (verdict.action != ACTION_ACCEPT)
        return verdict;
    const struct ioctl_response *ioctl = &response->body.ioctl_response;
    struct validate_negotiate_info_response info;
    struct span output = span_slice(response->bytes, ioctl->output_offset, ioctl->output_count);
    if (!validate_response_decode(output, &info))
        return verdict_disconnect(RULE_INFO_RESPONSE_LENGTH, AT_IOCTL_OUTPUT_COUNT);
    return check_info(&info, record, ioctl->output_offset);
}

/* What a server that does not know the FSCTL says: Windows up to 2008 R2 and smbd the first, others the next two. */
static bool says_unknown(uint32_t status) {
    return status == STATUS_FILE_CLOSED || status == STATUS_NOT_SUPPORTED || status == STATUS_INVALID_DEVICE_REQUEST;
}

/* A genuine server, since it knows the key, that does not implement the validation: it is one of 2.x, and nobody can
 * have talked it down from 3.x. On a 3.x dialect it contradicts itself, and with another status it may have compared
 * and found a difference (ksmbd says INVALID_PARAMETER then). [MS-SMB2] lets both pass. */
static struct verdict check_info_error(const struct message *response, const struct client_policy *policy,
                                       const struct negotiation *record) {
    enum rule rule = RULE_INFO_RESPONSE_STATUS;

    if (dialect_is_3x(record->answered.dialect))
        rule = RULE_INFO_RESPONSE_UNSUPPORTED_3X;
    else if (says_unknown(response->header.status))
        return verdict_accept();
    return policy->refuse_unvalidated_3x ? verdict_disconnect(rule, AT_STATUS) : verdict_note(rule, AT_STATUS);
}

static struct verdict decide_info(const struct message *response, const struct client_policy *policy,
                                  enum protection protection, const struct negotiation *record) {
    if (protection == PROTECTION_NONE || protection == PROTECTION_IMPOSSIBLE)
        return verdict_disconnect(RULE_INFO_RESPONSE_UNPROTECTED, AT_FLAGS);
    if (response->header.status == (uint32_t)STATUS_ACCESS_DENIED)
        return verdict_disconnect(RULE_INFO_RESPONSE_ACCESS_DENIED, AT_STATUS);
    if (response->header.status == STATUS_SUCCESS)
        return check_info_success(response, policy, record);
    return check_info_error(response, policy, record);
}

struct verdict client_validate_info(const struct message *response, const struct client_policy *policy,
                                    enum protection protection, struct negotiation *record) {
    /* An interim response is never signed, and proves nothing (3.2.5.1.3). */
    if (response->header.status == STATUS_PENDING) {
        record->validation = VALIDATION_PENDING;
        return verdict_accept();
    }
    struct verdict verdict = decide_info(response, policy, protection, record);
    if (!verdict_goes_on(&verdict))
        record->validation = VALIDATION_FAILED;
    else if (response->header.status == STATUS_SUCCESS)
        record->validation = VALIDATION_SAME;
    else
        record->validation = VALIDATION_UNSUPPORTED;
    return verdict;
}

struct verdict client_info_missing(struct negotiation *record) {
    record->validation = VALIDATION_FAILED;
    return verdict_disconnect(RULE_INFO_RESPONSE_MISSING, 0);
}
