#include "core/negotiation.h"

#include <assert.h>
#include <string.h>

#define ID_SET_BITS 32u
#define CONTEXT_HEADER_SIZE 8u

static uint16_t smaller_u16(size_t a, uint16_t b) {
    return a < b ? (uint16_t)a : b;
}

struct verdict verdict_accept(void) {
    return (struct verdict){RULE_NONE, ACTION_ACCEPT, 0, 0};
}

struct verdict verdict_note(enum rule rule, size_t offset) {
    return (struct verdict){rule, ACTION_NOTE, 0, (uint32_t)offset};
}

struct verdict verdict_refuse(enum rule rule, uint32_t status, size_t offset) {
    return (struct verdict){rule, ACTION_REFUSE, status, (uint32_t)offset};
}

struct verdict verdict_disconnect(enum rule rule, size_t offset) {
    return (struct verdict){rule, ACTION_DISCONNECT, 0, (uint32_t)offset};
}

bool verdict_goes_on(const struct verdict *verdict) {
    return verdict->action == ACTION_ACCEPT || verdict->action == ACTION_NOTE;
}

void negotiation_init(struct negotiation *negotiation) {
    memset(negotiation, 0, sizeof *negotiation);
}

bool id_summary_has(const struct id_summary *summary, uint16_t id) {
    if (id < ID_SET_BITS)
        return (summary->set >> id & 1u) != 0;
    for (unsigned i = 0; i < summary->count && i < NEGOTIATION_IDS_MAX; i++)
        if (summary->ids[i] == id)
            return true;
    return false;
}

uint16_t dialect_greatest_common(const uint16_t *dialects, uint16_t count, const struct id_list *implemented) {
    uint16_t greatest = 0;
    for (unsigned i = 0; i < count; i++)
        if (dialects[i] > greatest && id_list_has(implemented, dialects[i]))
            greatest = dialects[i];
    return greatest;
}

static void id_summary_add(struct id_summary *summary, unsigned place, uint16_t id) {
    if (place < NEGOTIATION_IDS_MAX)
        summary->ids[place] = id;
    if (id >= ID_SET_BITS) {
        summary->foreign = true;
        return;
    }
    summary->repeated |= (summary->set >> id & 1u) != 0;
    summary->set |= 1u << id;
}

static void id_summary_fill(struct id_summary *summary, const struct context_ids *ids, uint32_t offset) {
    memset(summary, 0, sizeof *summary);
    summary->present = true;
    summary->offset = offset;
    summary->count = ids->count;
    for (unsigned i = 0; i < ids->count; i++)
        id_summary_add(summary, i, context_id(ids, i));
}

/* Where the ids of a context of this type go; NULL for types without a list, or unknown ones. */
static struct id_summary *contexts_list(struct negotiation_contexts *contexts, uint16_t type) {
    switch (type) {
    case CONTEXT_PREAUTH_INTEGRITY:
        return &contexts->hashes;
    case CONTEXT_ENCRYPTION:
        return &contexts->ciphers;
    case CONTEXT_COMPRESSION:
        return &contexts->compression;
    case CONTEXT_RDMA_TRANSFORM:
        return &contexts->rdma;
    case CONTEXT_SIGNING:
        return &contexts->signing;
    default:
        return NULL;
    }
}

static enum context_fault contexts_add_transport(struct negotiation_contexts *contexts,
                                                 const struct context *context) {
    struct context_ids ids;
    contexts->transport_count++;
    if (!context_ids_decode(context, &ids))
        return CONTEXT_FAULT_SHORT;
    contexts->transport_flags = ids.flags;
    return CONTEXT_FAULT_NONE;
}

static enum context_fault contexts_add(struct negotiation_contexts *contexts, const struct context *context) {
    if (context->type == CONTEXT_TRANSPORT)
        return contexts_add_transport(contexts, context);
    struct id_summary *list = contexts_list(contexts, context->type);
    if (list == NULL)
        return CONTEXT_FAULT_NONE; /* NETNAME and unknown types are ignored (3.3.5.4, 3.2.5.2) */
    if (list->present)
        return list == &contexts->hashes ? CONTEXT_FAULT_PREAUTH_COUNT : CONTEXT_FAULT_TWICE;
    struct context_ids ids;
    if (!context_ids_decode(context, &ids)) {
        list->present = true;
        list->offset = context->offset;
        return CONTEXT_FAULT_SHORT;
    }
    id_summary_fill(list, &ids, context->offset);
    if (list == &contexts->hashes)
        contexts->salt_size = ids.salt_length;
    return ids.count == 0 ? CONTEXT_FAULT_EMPTY : CONTEXT_FAULT_NONE;
}

static void contexts_keep_raw(struct negotiation_contexts *contexts, struct span list) {
    contexts->raw_size = smaller_u16(list.size, NEGOTIATION_CONTEXTS_MAX);
    contexts->raw_cut = list.size > NEGOTIATION_CONTEXTS_MAX;
    if (contexts->raw_size > 0)
        memcpy(contexts->raw, list.data, contexts->raw_size);
}

static struct context_check contexts_walk(struct context_cursor *cursor, struct negotiation_contexts *contexts) {
    struct context_check first = {CONTEXT_FAULT_NONE, 0, 0};
    struct context context;
    while (context_next(cursor, &context)) {
        enum context_fault fault = contexts_add(contexts, &context);
        if (fault != CONTEXT_FAULT_NONE && first.fault == CONTEXT_FAULT_NONE)
            first = (struct context_check){fault, context.offset, context.type};
    }
    return first;
}

struct context_check contexts_read(struct span message, uint32_t offset, uint16_t count, uint32_t earliest,
                                   struct negotiation_contexts *contexts) {
    memset(contexts, 0, sizeof *contexts);
    contexts->count = count;
    if (count == 0)
        return (struct context_check){CONTEXT_FAULT_PREAUTH_COUNT, 0, CONTEXT_PREAUTH_INTEGRITY};
    if (offset % 8 != 0 || offset < earliest || message.size < CONTEXT_HEADER_SIZE ||
        offset > message.size - CONTEXT_HEADER_SIZE)
        return (struct context_check){CONTEXT_FAULT_BOUNDS, offset, 0};
    struct span list = span_slice(message, offset, message.size - offset);
    contexts_keep_raw(contexts, list);
    struct context_cursor cursor = context_cursor(list, count, offset);
    struct context_check check = contexts_walk(&cursor, contexts);
    if (cursor.malformed)
        return (struct context_check){CONTEXT_FAULT_BOUNDS, offset + (uint32_t)cursor.at, 0};
    if (check.fault == CONTEXT_FAULT_NONE && !contexts->hashes.present)
        return (struct context_check){CONTEXT_FAULT_PREAUTH_COUNT, offset, CONTEXT_PREAUTH_INTEGRITY};
    return check;
}

bool negotiation_offers_3x(const struct negotiation *negotiation) {
    const struct negotiation_offered *offered = &negotiation->offered;
    for (unsigned i = 0; i < offered->dialect_count; i++)
        if (dialect_is_3x(offered->dialects[i]))
            return true;
    return false;
}

static uint16_t agreed_signing_algorithm(const struct negotiation *negotiation) {
    uint16_t dialect = negotiation->answered.dialect;
    const struct id_summary *chosen = &negotiation->answered.contexts.signing;
    if (!dialect_is_3x(dialect))
        return SIGNING_HMAC_SHA256;
    if (dialect == SMB2_DIALECT_311 && chosen->present)
        return chosen->ids[0];
    return SIGNING_AES_CMAC;
}

static uint16_t agreed_cipher(const struct negotiation *negotiation) {
    const struct negotiation_answered *answered = &negotiation->answered;
    if (answered->dialect == SMB2_DIALECT_311)
        return answered->contexts.ciphers.ids[0]; /* 0 where the context is missing */
    /* 3.0 and 3.0.2 know one cipher, and say so by a capability that both must have set (3.3.5.4). */
    uint32_t both = answered->capabilities & negotiation->offered.capabilities;
    bool possible = dialect_is_3x(answered->dialect) && (both & SMB2_GLOBAL_CAP_ENCRYPTION) != 0;
    return possible ? CIPHER_AES_128_CCM : CIPHER_NONE;
}

void negotiation_agree(struct negotiation *negotiation) {
    const struct negotiation_answered *answered = &negotiation->answered;
    uint16_t modes = negotiation->offered.security_mode | answered->security_mode;
    bool is_311 = answered->dialect == SMB2_DIALECT_311;
    negotiation->agreed = (struct negotiation_agreed){
        .dialect = answered->dialect,
        .signing_algorithm = agreed_signing_algorithm(negotiation),
        .cipher = agreed_cipher(negotiation),
        .hash = is_311 ? answered->contexts.hashes.ids[0] : 0,
        .max_transact_size = answered->max_transact_size,
        .max_read_size = answered->max_read_size,
        .max_write_size = answered->max_write_size,
        .multi_credit = answered->dialect >= SMB2_DIALECT_210 &&
                        (answered->capabilities & SMB2_GLOBAL_CAP_LARGE_MTU) != 0,
        .signing_required = (modes & SMB2_SIGNING_REQUIRED) != 0,
        .must_validate = !is_311 && negotiation_offers_3x(negotiation),
        .must_sign_tree_connect = is_311,
    };
}

static void store_smb1_offer(struct negotiation_offered *offered, const struct smb1_negotiate_request *request) {
    offered->smb1 = true;
    offered->smb1_202 = request->offers_smb2_002;
    offered->smb1_wildcard = request->offers_smb2_wildcard;
}

static void store_smb2_offer(struct negotiation_offered *offered, const struct message *message) {
    const struct negotiate_request *request = &message->body.negotiate_request;
    struct reader reader = reader_over(span_slice(message->bytes, NEGOTIATE_DIALECTS_OFFSET, message->bytes.size));
    offered->known = true;
    offered->security_mode = request->security_mode;
    offered->capabilities = request->capabilities;
    memcpy(offered->client_guid, request->client_guid, sizeof offered->client_guid);
    bool has_311 = false;
    offered->dialect_count = 0;
    for (unsigned i = 0; i < request->dialect_count && reader_left(&reader) >= 2; i++) {
        uint16_t dialect = reader_u16(&reader);
        has_311 |= dialect == SMB2_DIALECT_311;
        if (i < NEGOTIATION_DIALECTS_MAX)
            offered->dialects[offered->dialect_count++] = dialect;
    }
    /* Without 0x0311 the same octets are ClientStartTime, and no list is there (2.2.3). */
    memset(&offered->contexts, 0, sizeof offered->contexts);
    if (has_311)
        contexts_read(message->bytes, request->negotiate_context_offset, request->negotiate_context_count,
                      NEGOTIATE_DIALECTS_OFFSET + 2u * request->dialect_count, &offered->contexts);
}

void negotiation_store_offer(struct negotiation *negotiation, const struct message *request) {
    assert(request->kind == MESSAGE_NEGOTIATE_REQUEST || request->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST);
    negotiation->negotiates_seen++;
    if (request->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST)
        store_smb1_offer(&negotiation->offered, &request->body.smb1_negotiate_request);
    else
        store_smb2_offer(&negotiation->offered, request);
}
