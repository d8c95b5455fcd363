#include "core/server_validate.h"

#include <assert.h>
#include <string.h>

/* Offsets from the protocol id, to say which octet was wrong. */
enum {
    AT_FLAGS = 16,
    AT_MESSAGE_ID = 24,
    AT_STRUCTURE_SIZE = 64,
    AT_DIALECT_COUNT = 66,
    AT_RESERVED = 70,
    AT_CLIENT_GUID = 76,
    AT_CONTEXT_OFFSET = 92,
    AT_SMB1_DIALECTS = 35,
    AT_IOCTL_FILE_ID = 72,
    AT_IOCTL_INPUT_OFFSET = 88,
    AT_IOCTL_INPUT_COUNT = 92,
    AT_IOCTL_MAX_INPUT = 96,
    AT_IOCTL_MAX_OUTPUT = 108,
    AT_IOCTL_FLAGS = 112,
    AT_IOCTL_BUFFER = 120,
};

#define NEGOTIATE_STRUCTURE_SIZE 36u
#define IOCTL_STRUCTURE_SIZE 57u
#define IOCTL_IS_FSCTL 1u

/* Of the input of FSCTL_VALIDATE_NEGOTIATE_INFO (2.2.31.4). */
enum { INFO_AT_CAPABILITIES = 0, INFO_AT_GUID = 4, INFO_AT_MODE = 20, INFO_AT_DIALECTS = 24 };

static const uint32_t wildcard_capabilities =
    SMB2_GLOBAL_CAP_DFS | SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU;

/* Set in a response only where the client has set them (3.3.5.4). */
static const uint32_t echoed_capabilities = SMB2_GLOBAL_CAP_MULTI_CHANNEL | SMB2_GLOBAL_CAP_PERSISTENT_HANDLES |
                                            SMB2_GLOBAL_CAP_DIRECTORY_LEASING | SMB2_GLOBAL_CAP_ENCRYPTION |
                                            SMB2_GLOBAL_CAP_NOTIFICATIONS;

static struct verdict refuse_parameter(enum rule rule, size_t offset) {
    return verdict_refuse(rule, (uint32_t)STATUS_INVALID_PARAMETER, offset);
}

/* The dialects that the server implements on this transport: 3.1.1 is not spoken over NetBIOS (2.1). */
static struct id_list server_dialects(const struct server_policy *policy) {
    struct id_list dialects = {.count = 0};
    for (unsigned i = 0; i < policy->dialects.count; i++)
        if (policy->transport == TRANSPORT_DIRECT_TCP || policy->dialects.ids[i] != SMB2_DIALECT_311)
            dialects.ids[dialects.count++] = policy->dialects.ids[i];
    return dialects;
}

/* The capabilities that mean something in a dialect (2.2.4). In 3.1.1 a context stands for ENCRYPTION. */
static uint32_t dialect_capabilities(uint16_t dialect) {
    switch (dialect) {
    case SMB2_DIALECT_202:
        return SMB2_GLOBAL_CAP_DFS;
    case SMB2_DIALECT_300:
    case SMB2_DIALECT_302:
        return wildcard_capabilities | (echoed_capabilities & ~(uint32_t)SMB2_GLOBAL_CAP_NOTIFICATIONS);
    case SMB2_DIALECT_311:
        return wildcard_capabilities | (echoed_capabilities & ~(uint32_t)SMB2_GLOBAL_CAP_ENCRYPTION);
    default:
        return wildcard_capabilities;
    }
}

static uint32_t server_capabilities(const struct server_policy *policy, uint16_t dialect, uint32_t offered) {
    uint32_t wanted = policy->capabilities & ~(uint32_t)SMB2_GLOBAL_CAP_ENCRYPTION;
    if (policy->encryption != ENCRYPTION_OFF && id_list_has(&policy->ciphers, CIPHER_AES_128_CCM))
        wanted |= SMB2_GLOBAL_CAP_ENCRYPTION;
    if (policy->transport == TRANSPORT_NETBIOS)
        wanted &= ~(uint32_t)SMB2_GLOBAL_CAP_LARGE_MTU;
    return wanted & dialect_capabilities(dialect) & (offered | ~echoed_capabilities);
}

static uint32_t server_size(uint32_t wanted, uint32_t capabilities) {
    bool multi_credit = (capabilities & SMB2_GLOBAL_CAP_LARGE_MTU) != 0;
    return multi_credit || wanted < SIZE_LEAST ? wanted : SIZE_LEAST;
}

static void answer_fill(struct negotiate_response *response, const struct server_policy *policy,
                        const struct fresh *fresh, uint16_t dialect, uint32_t capabilities) {
    *response = (struct negotiate_response){
        .structure_size = 65,
        .security_mode = SMB2_SIGNING_ENABLED | (policy->signing_required ? SMB2_SIGNING_REQUIRED : 0),
        .dialect_revision = dialect,
        .capabilities = capabilities,
        .max_transact_size = server_size(policy->max_transact_size, capabilities),
        .max_read_size = server_size(policy->max_read_size, capabilities),
        .max_write_size = server_size(policy->max_write_size, capabilities),
        .system_time = fresh->system_time,
        .security_buffer_offset = NEGOTIATE_BUFFER_OFFSET,
        .security_buffer_length = (uint16_t)fresh->security_buffer.size,
        .security_buffer = fresh->security_buffer,
    };
    assert(fresh->security_buffer.size <= UINT16_MAX);
    memcpy(response->server_guid, fresh->server_guid, sizeof response->server_guid);
}

static void record_answer(struct negotiation *record, const struct negotiate_response *response) {
    struct negotiation_answered *answered = &record->answered;
    *answered = (struct negotiation_answered){
        .known = true,
        .dialect = response->dialect_revision,
        .security_mode = response->security_mode,
        .capabilities = response->capabilities,
        .max_transact_size = response->max_transact_size,
        .max_read_size = response->max_read_size,
        .max_write_size = response->max_write_size,
    };
    memcpy(answered->server_guid, response->server_guid, sizeof answered->server_guid);
}

/* The most wanted id of the policy that the client offered too, or `otherwise`. */
static uint16_t choose(const struct id_list *wanted, const struct id_summary *offered, uint16_t otherwise) {
    for (unsigned i = 0; i < wanted->count; i++)
        if (id_summary_has(offered, wanted->ids[i]))
            return wanted->ids[i];
    return otherwise;
}

static void put_context(struct writer *writer, uint16_t type, uint16_t id, struct span salt) {
    const uint8_t id_octets[2] = {(uint8_t)id, (uint8_t)(id >> 8)};
    const struct context_ids ids = {.count = 1,
                                    .salt_length = (uint16_t)salt.size,
                                    .ids = {id_octets, sizeof id_octets},
                                    .rest = salt};
    uint8_t data[8 + SALT_SIZE];
    struct writer data_writer = writer_over(data, sizeof data);
    context_ids_encode(type, &ids, &data_writer);
    struct context context = {.type = type, .data = writer_done(&data_writer)};
    context.data_length = (uint16_t)context.data.size;
    context_encode(&context, writer);
}

/* The contexts of a 3.1.1 response (2.2.4.1): one algorithm each, and only for what was offered. Where no cipher is
 * common the context says so by 0. Where no signing algorithm is common there is no context, as Samba does it, and
 * AES-CMAC is used: naming AES-CMAC would make a client that did not offer it give up (3.2.5.2). */
static void put_contexts(struct writer *writer, const struct negotiation_contexts *offered,
                         const struct server_policy *policy, const struct fresh *fresh) {
    const struct id_list no_ciphers = {.count = 0};
    const struct id_list *ciphers = policy->encryption == ENCRYPTION_OFF ? &no_ciphers : &policy->ciphers;
    const struct span nothing = {NULL, 0};
    put_context(writer, CONTEXT_PREAUTH_INTEGRITY, HASH_SHA512, (struct span){fresh->salt, sizeof fresh->salt});
    if (offered->ciphers.present)
        put_context(writer, CONTEXT_ENCRYPTION, choose(ciphers, &offered->ciphers, CIPHER_NONE), nothing);
    uint16_t signing = choose(&policy->signing_algorithms, &offered->signing, UINT16_MAX);
    if (offered->signing.present && signing != UINT16_MAX)
        put_context(writer, CONTEXT_SIGNING, signing, nothing);
}

static void answer_contexts(struct server_answer *answer, struct negotiation *record,
                            const struct server_policy *policy, const struct fresh *fresh) {
    const struct negotiation_contexts *offered = &record->offered.contexts;
    struct writer writer = writer_over(answer->contexts, sizeof answer->contexts);
    put_contexts(&writer, offered, policy, fresh);
    struct span contexts = writer_done(&writer);
    assert(contexts.size > 0);
    bool has_signing = choose(&policy->signing_algorithms, &offered->signing, UINT16_MAX) != UINT16_MAX;
    struct negotiate_response *response = &answer->response;
    response->contexts = contexts;
    response->negotiate_context_count = (uint16_t)(1 + offered->ciphers.present + has_signing);
    response->negotiate_context_offset =
        (uint32_t)((NEGOTIATE_BUFFER_OFFSET + response->security_buffer_length + 7u) / 8u * 8u);
    contexts_read(contexts, 0, response->negotiate_context_count, 0, &record->answered.contexts);
}

/* of the request's list, and X-4. */
static struct verdict check_contexts(const struct message *request, struct negotiation_contexts *contexts) {
    const struct negotiate_request *body = &request->body.negotiate_request;
    struct context_check check =
        contexts_read(request->bytes, body->negotiate_context_offset, body->negotiate_context_count,
                      NEGOTIATE_DIALECTS_OFFSET + 2u * body->dialect_count, contexts);
    switch (check.fault) {
    case CONTEXT_FAULT_BOUNDS:
        return refuse_parameter(RULE_CONTEXTS_MALFORMED, check.offset);
    case CONTEXT_FAULT_PREAUTH_COUNT:
        return refuse_parameter(RULE_CONTEXT_PREAUTH_COUNT, check.offset > 0 ? check.offset : AT_CONTEXT_OFFSET);
    case CONTEXT_FAULT_TWICE:
        return refuse_parameter(RULE_CONTEXT_TWICE, check.offset);
    case CONTEXT_FAULT_SHORT:
        return refuse_parameter(RULE_CONTEXT_SHORT, check.offset);
    case CONTEXT_FAULT_EMPTY:
        return refuse_parameter(RULE_CONTEXT_EMPTY, check.offset);
    case CONTEXT_FAULT_NONE:
        break;
    }
    if (!id_summary_has(&contexts->hashes, HASH_SHA512))
        return verdict_refuse(RULE_CONTEXT_HASH_OVERLAP, (uint32_t)STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP,
                              contexts->hashes.offset);
    return verdict_accept();
}

/* What comes before the body is read: the state, the window (3.3.5.2.3), the signature (3.3.5.2.4). */
static struct verdict check_header(const struct message *request, const struct negotiation *record) {
    if (record->stage == NEGOTIATION_DONE)
        return verdict_disconnect(RULE_NEGOTIATE_SECOND, 0);
    if (request->header.message_id != record->negotiates_seen)
        return verdict_disconnect(RULE_NEGOTIATE_MESSAGE_ID, AT_MESSAGE_ID);
    if ((request->header.flags & SMB2_FLAGS_SIGNED) != 0)
        return refuse_parameter(RULE_NEGOTIATE_SIGNED, AT_FLAGS);
    return verdict_accept();
}

static struct verdict check_body(const struct message *request) {
    const struct negotiate_request *body = &request->body.negotiate_request;
    if (request->bytes.size < NEGOTIATE_DIALECTS_OFFSET || body->structure_size != NEGOTIATE_STRUCTURE_SIZE)
        return refuse_parameter(RULE_NEGOTIATE_MALFORMED, AT_STRUCTURE_SIZE);
    if (body->dialect_count == 0)
        return refuse_parameter(RULE_NEGOTIATE_NO_DIALECTS, AT_DIALECT_COUNT);
    if (request->bytes.size - NEGOTIATE_DIALECTS_OFFSET < 2u * body->dialect_count)
        return refuse_parameter(RULE_NEGOTIATE_MALFORMED, AT_DIALECT_COUNT);
    if (body->dialect_count > NEGOTIATION_DIALECTS_MAX)
        return refuse_parameter(RULE_NEGOTIATE_TOO_MANY_DIALECTS, AT_DIALECT_COUNT);
    return verdict_accept();
}

/* What is odd but does no harm. */
static struct verdict check_oddities(const struct negotiate_request *body, const struct negotiation_offered *offered) {
    static const uint8_t zero[16];
    if (body->reserved != 0)
        return verdict_note(RULE_NEGOTIATE_RESERVED, AT_RESERVED);
    bool only_202 = true;
    for (unsigned i = 0; i < offered->dialect_count; i++)
        only_202 &= offered->dialects[i] == SMB2_DIALECT_202;
    if (!only_202 && memcmp(offered->client_guid, zero, sizeof zero) == 0)
        return verdict_note(RULE_NEGOTIATE_GUID_ZERO, AT_CLIENT_GUID);
    return verdict_accept();
}

static struct verdict decide(const struct message *request, const struct server_policy *policy,
                             const struct fresh *fresh, struct negotiation *record, struct server_answer *answer) {
    struct verdict verdict = check_body(request);
    if (verdict.action != ACTION_ACCEPT)
        return verdict;
    struct id_list implemented = server_dialects(policy);
    const struct negotiation_offered *offered = &record->offered;
    negotiation_store_offer(record, request);
    uint16_t dialect = dialect_greatest_common(offered->dialects, offered->dialect_count, &implemented);
    if (dialect == 0)
        return verdict_refuse(RULE_NEGOTIATE_NO_COMMON_DIALECT, (uint32_t)STATUS_NOT_SUPPORTED,
                              NEGOTIATE_DIALECTS_OFFSET);
    /* Below 3.1.1 the list is not looked at, even if it is nonsense (3.3.5.4). */
    if (dialect == SMB2_DIALECT_311)
        verdict = check_contexts(request, &record->offered.contexts);
    if (verdict.action != ACTION_ACCEPT)
        return verdict;
    answer_fill(&answer->response, policy, fresh, dialect, server_capabilities(policy, dialect, offered->capabilities));
    record_answer(record, &answer->response);
    if (dialect == SMB2_DIALECT_311)
        answer_contexts(answer, record, policy, fresh);
    return check_oddities(&request->body.negotiate_request, offered);
}

struct verdict server_validate(const struct message *request, const struct server_policy *policy,
                               const struct fresh *fresh, struct negotiation *record, struct server_answer *answer) {
    assert(request->kind == MESSAGE_NEGOTIATE_REQUEST);
    struct negotiation next = *record;
    struct verdict verdict = check_header(request, record);
    if (verdict.action == ACTION_ACCEPT)
        verdict = decide(request, policy, fresh, &next, answer);
    next.negotiates_seen = (uint16_t)(record->negotiates_seen + 1);
    if (!verdict_goes_on(&verdict)) {
        record->negotiates_seen = next.negotiates_seen;
        return verdict;
    }
    next.stage = NEGOTIATION_DONE;
    negotiation_agree(&next);
    *record = next;
    return verdict;
}

/* M-2, M-3, M-5: what an SMB1 NEGOTIATE is answered; 0 where SMB2 cannot be spoken. */
static uint16_t smb1_dialect(const struct smb1_negotiate_request *request, const struct id_list *implemented) {
    if (request->offers_smb2_wildcard && id_list_greatest(implemented) >= SMB2_DIALECT_210)
        return SMB2_DIALECT_WILDCARD;
    if (request->offers_smb2_002 && id_list_has(implemented, SMB2_DIALECT_202))
        return SMB2_DIALECT_202;
    return 0;
}

static struct verdict check_smb1(const struct message *request, const struct negotiation *record, uint16_t dialect) {
    if (record->stage != NEGOTIATION_NONE)
        return verdict_disconnect(RULE_SMB1_AFTER_NEGOTIATE, 0);
    if (!request->body_valid)
        return verdict_disconnect(RULE_SMB1_MALFORMED, AT_SMB1_DIALECTS);
    if (dialect == 0)
        return verdict_disconnect(RULE_SMB1_NO_DIALECT, AT_SMB1_DIALECTS);
    return verdict_accept();
}

struct verdict server_validate_smb1(const struct message *request, const struct server_policy *policy,
                                    const struct fresh *fresh, struct negotiation *record,
                                    struct server_answer *answer) {
    assert(request->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST);
    struct id_list implemented = server_dialects(policy);
    uint16_t dialect = request->body_valid ? smb1_dialect(&request->body.smb1_negotiate_request, &implemented) : 0;
    struct verdict verdict = check_smb1(request, record, dialect);
    if (verdict.action != ACTION_ACCEPT) {
        record->negotiates_seen++;
        return verdict;
    }
    negotiation_store_offer(record, request);
    /* 3.3.5.3.1, 3.3.5.3.2: of the client's capabilities nothing is known, so none is echoed. */
    answer_fill(&answer->response, policy, fresh, dialect, server_capabilities(policy, dialect, 0));
    record_answer(record, &answer->response);
    if (dialect == SMB2_DIALECT_WILDCARD) {
        record->stage = NEGOTIATION_WILDCARD;
        return verdict;
    }
    record->stage = NEGOTIATION_DONE;
    negotiation_agree(record);
    return verdict;
}

struct verdict server_validate_encryption(const struct negotiation *record, const struct server_policy *policy) {
    if (policy->encryption == ENCRYPTION_MUST && record->agreed.cipher == CIPHER_NONE)
        return verdict_refuse(RULE_ENCRYPTION_REQUIRED, (uint32_t)STATUS_ACCESS_DENIED, 0);
    return verdict_accept();
}

/* The generic part of IOCTL: these errors are answered (3.3.5.15). */
static struct verdict check_ioctl(const struct message *request, const struct negotiation *record) {
    const struct ioctl_request *ioctl = &request->body.ioctl_request;
    static const uint8_t all_ones[16] = {255, 255, 255, 255, 255, 255, 255, 255,
                                         255, 255, 255, 255, 255, 255, 255, 255};
    uint32_t most = record->answered.max_transact_size;
    if (memcmp(ioctl->file_id, all_ones, sizeof all_ones) != 0)
        return refuse_parameter(RULE_INFO_REQUEST_FILE_ID, AT_IOCTL_FILE_ID);
    if (ioctl->input_count > most)
        return refuse_parameter(RULE_INFO_REQUEST_SIZES, AT_IOCTL_INPUT_COUNT);
    if (ioctl->max_input_response > most)
        return refuse_parameter(RULE_INFO_REQUEST_SIZES, AT_IOCTL_MAX_INPUT);
    if (ioctl->max_output_response > most)
        return refuse_parameter(RULE_INFO_REQUEST_SIZES, AT_IOCTL_MAX_OUTPUT);
    if (ioctl->input_count == 0)
        return verdict_accept();
    if (ioctl->input_offset < AT_IOCTL_BUFFER || ioctl->input_offset % 8 != 0)
        return refuse_parameter(RULE_INFO_REQUEST_INPUT, AT_IOCTL_INPUT_OFFSET);
    if (ioctl->input_offset > request->bytes.size ||
        ioctl->input_count > request->bytes.size - ioctl->input_offset)
        return refuse_parameter(RULE_INFO_REQUEST_INPUT, AT_IOCTL_INPUT_COUNT);
    return verdict_accept();
}

/* A server of 3.1.1 remembers the whole array and compares it; any other the greatest common dialect. The sentence of
 * 3.3.5.15.12 leaves open whether the first does the second as well: it does no harm. */
static struct verdict check_info_dialects(const struct validate_negotiate_info_request *info,
                                          const struct negotiation *record, const struct server_policy *policy,
                                          size_t at) {
    struct id_list implemented = server_dialects(policy);
    const struct negotiation_offered *offered = &record->offered;
    struct reader reader = reader_over(info->dialects);
    bool whole = policy->compare_all_dialects || id_list_has(&implemented, SMB2_DIALECT_311);
    uint16_t common = 0;
    for (unsigned i = 0; i < info->dialect_count; i++) {
        uint16_t dialect = reader_u16(&reader);
        if (whole && (i >= offered->dialect_count || dialect != offered->dialects[i]))
            return verdict_disconnect(RULE_INFO_REQUEST_DIALECTS, at + INFO_AT_DIALECTS + 2 * i);
        if (dialect > common && id_list_has(&implemented, dialect))
            common = dialect;
    }
    if (whole && info->dialect_count != offered->dialect_count)
        return verdict_disconnect(RULE_INFO_REQUEST_DIALECTS, at + INFO_AT_DIALECTS - 2);
    if (common != record->agreed.dialect)
        return verdict_disconnect(RULE_INFO_REQUEST_COMMON_DIALECT, at + INFO_AT_DIALECTS);
    return verdict_accept();
}

/* 3.3.5.15.12: whatever differs ends the connection without a word. An error status would not do: the client would
 * take it for a server that does not implement the validation. */
static struct verdict check_info(const struct validate_negotiate_info_request *info, const struct negotiation *record,
                                 const struct server_policy *policy, size_t at) {
    const struct negotiation_offered *offered = &record->offered;
    struct verdict verdict = check_info_dialects(info, record, policy, at);
    if (verdict.action != ACTION_ACCEPT)
        return verdict;
    if (memcmp(info->guid, offered->client_guid, sizeof offered->client_guid) != 0)
        return verdict_disconnect(RULE_INFO_REQUEST_GUID, at + INFO_AT_GUID);
    if (info->security_mode != offered->security_mode)
        return verdict_disconnect(RULE_INFO_REQUEST_SECURITY_MODE, at + INFO_AT_MODE);
    if (info->capabilities != offered->capabilities)
        return verdict_disconnect(RULE_INFO_REQUEST_CAPABILITIES, at + INFO_AT_CAPABILITIES);
    return verdict_accept();
}

static void info_fill(struct validate_negotiate_info_response *response, const struct negotiation *record) {
    *response = (struct validate_negotiate_info_response){
        .capabilities = record->answered.capabilities,
        .security_mode = record->answered.security_mode,
        .dialect = record->answered.dialect,
    };
    memcpy(response->guid, record->answered.server_guid, sizeof response->guid);
}

/* What comes before the FSCTL is dispatched. */
static struct verdict check_info_request(const struct message *request, const struct negotiation *record,
                                         const struct server_policy *policy, enum protection protection) {
    const struct ioctl_request *ioctl = &request->body.ioctl_request;
    if (record->stage != NEGOTIATION_DONE)
        return verdict_disconnect(RULE_COMMAND_BEFORE_NEGOTIATE, 0);
    /* Not in 3.3.5.15.12, but Windows closes: an answer would be as unsigned as the request. */
    if (protection == PROTECTION_NONE && server_policy_implements_3x(policy))
        return verdict_disconnect(RULE_INFO_REQUEST_UNSIGNED, AT_FLAGS);
    if (request->bytes.size < AT_IOCTL_BUFFER || ioctl->structure_size != IOCTL_STRUCTURE_SIZE)
        return refuse_parameter(RULE_BODY_INVALID, AT_STRUCTURE_SIZE);
    if (ioctl->flags != IOCTL_IS_FSCTL)
        return verdict_refuse(RULE_INFO_REQUEST_FLAGS, (uint32_t)STATUS_NOT_SUPPORTED, AT_IOCTL_FLAGS);
    if (!server_policy_implements_3x(policy))
        return verdict_refuse(RULE_INFO_NOT_IMPLEMENTED, (uint32_t)STATUS_FILE_CLOSED, 0);
    return check_ioctl(request, record);
}

struct verdict server_validate_info(const struct message *request, const struct negotiation *record,
                                    const struct server_policy *policy, enum protection protection,
                                    struct validate_negotiate_info_response *response) {
    assert(request->kind == MESSAGE_IOCTL_REQUEST);
    struct verdict verdict = check_info_request(request, record, policy, protection);
    if (verdict.action != ACTION_ACCEPT)
        return verdict;
    const struct ioctl_request *ioctl = &request->body.ioctl_request;
    struct validate_negotiate_info_request info;
    if (!validate_request_decode(span_slice(request->bytes, ioctl->input_offset, ioctl->input_count), &info))
        return refuse_parameter(RULE_INFO_REQUEST_SHORT, ioctl->input_count == 0 ? AT_IOCTL_INPUT_COUNT
                                                                                 : ioctl->input_offset);
    if (record->agreed.dialect == SMB2_DIALECT_311)
        return verdict_disconnect(RULE_INFO_ON_311, 0);
    if (ioctl->max_output_response < VALIDATE_RESPONSE_SIZE)
        return verdict_disconnect(RULE_INFO_OUTPUT_SMALL, AT_IOCTL_MAX_OUTPUT);
    verdict = check_info(&info, record, policy, ioctl->input_offset);
    if (verdict.action == ACTION_ACCEPT)
        info_fill(response, record);
    return verdict;
}
