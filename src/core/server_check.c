#include "core/server_parts.h"

#include <assert.h>
#include <string.h>

/* Offsets from the protocol id, to say which octet was wrong. */
enum {
    AT_STRUCTURE_SIZE = 4,
    AT_CREDIT_CHARGE = 6,
    AT_COMMAND = 12,
    AT_FLAGS = 16,
    AT_MESSAGE_ID = 24,
    AT_TREE_ID = 36,
    AT_SESSION_ID = 40,
    AT_BODY = 64,
};

/* Octets that one credit pays for (3.1.5.2). */
#define CREDIT_OCTETS 65536u
/* Octets of a request that carries no data (3.3.5.2). */
#define REQUEST_MAX (68u * 1024u)

/* What a server knows of a command before it reads the body. Offsets are from the body's first octet; 0: none. */
struct command {
    uint16_t structure_size, other_size; /* StructureSize; OPLOCK_BREAK has a second one for leases */
    bool needs_session, needs_tree, when_expired;
    uint8_t file_id_at;
    uint8_t payload_at[2]; /* 32-bit lengths sent or expected, the greater counts */
};

static const struct command commands[] = {
    [SMB2_NEGOTIATE] = {36, 0, false, false, false, 0, {0}},
    [SMB2_SESSION_SETUP] = {25, 0, false, false, true, 0, {0}},
    [SMB2_LOGOFF] = {4, 0, true, false, true, 0, {0}},
    [SMB2_TREE_CONNECT] = {9, 0, true, false, false, 0, {0}},
    [SMB2_TREE_DISCONNECT] = {4, 0, true, true, false, 0, {0}},
    [SMB2_CREATE] = {57, 0, true, true, false, 0, {0}},
    [SMB2_CLOSE] = {24, 0, true, true, true, 8, {0}},
    [SMB2_FLUSH] = {24, 0, true, true, false, 8, {0}},
    [SMB2_READ] = {49, 0, true, true, false, 16, {4}},
    [SMB2_WRITE] = {49, 0, true, true, false, 16, {4}},
    [SMB2_LOCK] = {48, 0, true, true, true, 8, {0}},
    [SMB2_IOCTL] = {57, 0, true, true, false, 8, {0}}, /* its payload is a sum: see below */
    [SMB2_CANCEL] = {4, 0, false, false, true, 0, {0}},
    [SMB2_ECHO] = {4, 0, false, false, false, 0, {0}},
    [SMB2_QUERY_DIRECTORY] = {33, 0, true, true, false, 8, {28}},
    [SMB2_CHANGE_NOTIFY] = {32, 0, true, true, false, 8, {4}},
    [SMB2_QUERY_INFO] = {41, 0, true, true, false, 24, {4, 12}},
    [SMB2_SET_INFO] = {33, 0, true, true, false, 16, {4}},
    [SMB2_OPLOCK_BREAK] = {24, 36, true, true, false, 8, {0}},
};

static struct verdict refuse(enum rule rule, enum ntstatus status, size_t offset) {
    return verdict_refuse(rule, (uint32_t)status, offset);
}

static bool is_known(uint16_t command) {
    return command < sizeof commands / sizeof commands[0];
}

/* An unknown one gets as far as its body, where it is refused, for those who are logged on. */
static const struct command *command_of(const struct server_request *request) {
    static const struct command unknown = {.needs_session = true};
    return is_known(request->command) ? &commands[request->command] : &unknown;
}

struct server_session *server_session_find(struct server *server, uint64_t session_id) {
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state != SERVER_SESSION_FREE && session->state != SERVER_SESSION_ENDED &&
            session->id == session_id)
            return session;
    }
    return NULL;
}

static struct server_tree *tree_find(struct server *server, const struct server_session *session, uint32_t tree_id) {
    for (unsigned i = 0; i < SERVER_TREES_MAX; i++) {
        struct server_tree *tree = &server->trees[i];
        if (tree->id != 0 && tree->id == tree_id && tree->session == session && !tree->ended)
            return tree;
    }
    return NULL;
}

static bool is_related(const struct server_request *request) {
    return (request->message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS) != 0;
}

/* Commands that carry data may be as long as the sizes that were negotiated. */
static bool carries_data(uint16_t command) {
    switch (command) {
    case SMB2_READ:
    case SMB2_WRITE:
    case SMB2_IOCTL:
    case SMB2_QUERY_DIRECTORY:
    case SMB2_CHANGE_NOTIFY:
    case SMB2_QUERY_INFO:
    case SMB2_SET_INFO:
        return true;
    default:
        return false;
    }
}

/* The header, and whether this command may come now (3.3.5.2.2, 3.3.5.2.6). An unknown one closes the connection; in a
 * compound it is only refused, later, as smbd does it. */
static struct verdict check_header(const struct server *server, const struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    const struct smb2_header *header = &request->message.header;
    if (frame->element_size < SMB2_HEADER_SIZE)
        return verdict_disconnect(RULE_HEADER_SHORT, 0);
    if (header->structure_size != SMB2_HEADER_SIZE)
        return verdict_disconnect(RULE_HEADER_STRUCTURE_SIZE, AT_STRUCTURE_SIZE);
    if (header->flags & SMB2_FLAGS_SERVER_TO_REDIR)
        return verdict_disconnect(RULE_DIRECTION_BIT, AT_FLAGS);
    if (!is_known(request->command) && server_frame_alone(frame))
        return verdict_disconnect(RULE_COMMAND_UNKNOWN, AT_COMMAND);
    if (frame->element_size > REQUEST_MAX && !carries_data(request->command))
        return verdict_disconnect(RULE_REQUEST_TOO_LONG, AT_COMMAND);
    if (request->command != SMB2_NEGOTIATE && server->negotiation.stage != NEGOTIATION_DONE)
        return verdict_disconnect(RULE_COMMAND_BEFORE_NEGOTIATE, AT_COMMAND);
    if ((request->command == SMB2_NEGOTIATE || request->command == SMB2_CANCEL) && !server_frame_alone(frame))
        return verdict_disconnect(RULE_CHAIN_COMMAND, AT_COMMAND);
    return verdict_accept();
}

/* CreditCharge means something where requests may cost more than one credit; and 0 is 1 (3.3.5.2.3). */
static uint32_t charge_of(const struct server *server, const struct smb2_header *header) {
    bool counts = server->negotiation.stage == NEGOTIATION_DONE && server->negotiation.agreed.multi_credit;
    return counts && header->credit_charge > 0 ? header->credit_charge : 1;
}

/* CANCEL repeats the id of its target. */
static struct verdict check_window(struct server *server, const struct server_request *request) {
    if (request->command == SMB2_CANCEL)
        return verdict_accept();
    uint32_t charge = charge_of(server, &request->message.header);
    if (server_window_take(&server->window, request->message_id, charge))
        return verdict_accept();
    return verdict_disconnect(server->negotiation.stage == NEGOTIATION_NONE ? RULE_NEGOTIATE_MESSAGE_ID
                                                                            : RULE_MESSAGE_ID_WINDOW,
                              AT_MESSAGE_ID);
}

/* What a related element has from the one before (3.3.5.2.7.2). */
static struct verdict inherit(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    if (is_related(request)) {
        if (frame->chain.first)
            return refuse(RULE_CHAIN_FIRST_RELATED, STATUS_INVALID_PARAMETER, AT_FLAGS);
        request->session_id = frame->chain.session_id;
        request->tree_id = frame->chain.tree_id;
        if (request->session_id == 0 && command_of(request)->needs_session)
            return refuse(RULE_CHAIN_NOTHING_INHERITED, STATUS_INVALID_PARAMETER, AT_SESSION_ID);
    }
    request->session = server_session_find(server, request->session_id);
    if (request->session != NULL)
        request->session->references++;
    return verdict_accept();
}

/* Whose key a frame of one signed element is to be checked with; NULL: it is none, or nothing is gained by others. */
static struct server_session *signer_of(struct server *server, const struct server_frame *frame) {
    struct server_session *session;
    struct smb2_header header;
    if (!smb2_header_decode((struct span){frame->content, frame->size}, &header) ||
        header.protocol_id != PROTOCOL_ID_SMB2 || header.next_command != 0 || !(header.flags & SMB2_FLAGS_SIGNED))
        return NULL;
    session = server_session_find(server, header.session_id);
    if (session == NULL || session->handles.mac == NULL || mac_key_lanes(session->handles.mac) == 1)
        return NULL;
    return session;
}

bool server_may_check_ahead(struct server *server, const struct server_frame *frame) {
    return signer_of(server, frame) != NULL;
}

void server_check_ahead(struct server *server, struct server_frame *const *frames, size_t count) {
    const struct server_session *session = NULL;
    struct span elements[SIGN_TOGETHER_MAX] = {0};
    enum signature_check checks[SIGN_TOGETHER_MAX];
    struct server_frame *checked[SIGN_TOGETHER_MAX];
    size_t checked_count = 0;
    assert(count <= SIGN_TOGETHER_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct server_session *signer = signer_of(server, frames[i]);
        session = session != NULL ? session : signer;
        if (signer == NULL || signer != session)
            continue;
        elements[checked_count] = (struct span){frames[i]->content, frames[i]->size};
        checked[checked_count++] = frames[i];
    }
    if (checked_count == 0)
        return;
    elements_check(session->handles.mac, elements, checked_count, checks);
    for (size_t i = 0; i < checked_count; i++) {
        checked[i]->is_checked = true;
        checked[i]->check = checks[i];
        checked[i]->checked_session = session->id;
    }
}

/* It may have been computed with those of other frames. A session's key never changes, and no other has its id. */
static enum signature_check signature_of(const struct server_frame *frame, const struct server_session *session) {
    if (frame->is_checked && frame->checked_session == session->id && server_frame_alone(frame))
        return frame->check;
    return element_check(session->handles.mac, frame->request.message.bytes);
}

static struct verdict check_signed(struct server_frame *frame) {
    struct server_request *request = &frame->request;
    struct server_session *session = request->session;
    if (session == NULL)
        return refuse(RULE_SESSION_UNKNOWN, STATUS_USER_SESSION_DELETED, AT_SESSION_ID);
    if (session->handles.mac == NULL)
        return refuse(RULE_REQUEST_SIGNED_WITHOUT_KEY, STATUS_NOT_SUPPORTED, AT_FLAGS);
    request->sign = true;
    switch (signature_of(frame, session)) {
    case SIGNATURE_GOOD:
        request->protection = PROTECTION_SIGNED;
        return verdict_accept();
    case SIGNATURE_FAILED:
        return verdict_disconnect(RULE_NONE, 0);
    default:
        return refuse(RULE_REQUEST_SIGNATURE, STATUS_ACCESS_DENIED, AT_FLAGS);
    }
}

/* 3.3.5.2.4. NEGOTIATE has a rule of its own, in server_validate(). */
static struct verdict check_signature(struct server_frame *frame) {
    struct server_request *request = &frame->request;
    const struct server_session *session = request->session;
    request->protection = session != NULL && session->has_keys ? PROTECTION_NONE : PROTECTION_IMPOSSIBLE;
    if (frame->encrypted)
        request->protection = PROTECTION_ENCRYPTED;
    if (frame->encrypted || request->command == SMB2_NEGOTIATE)
        return verdict_accept();
    if (request->message.header.flags & SMB2_FLAGS_SIGNED)
        return check_signed(frame);
    if (session != NULL && session->signing_required)
        return refuse(RULE_REQUEST_UNSIGNED, STATUS_ACCESS_DENIED, AT_FLAGS);
    return verdict_accept();
}

static uint64_t number_at(const struct message *message, size_t body_offset) {
    struct reader reader = reader_over(span_slice(message->bytes, SMB2_HEADER_SIZE + body_offset, 4));
    return reader_u32(&reader);
}

/* Octets that a request sends or expects, the greater (3.1.5.2). Cut bodies count as 0: they are refused anyway. */
static uint64_t payload_of(const struct server_request *request) {
    const struct message *message = &request->message;
    uint64_t payload = 0;
    if (message->kind == MESSAGE_IOCTL_REQUEST) {
        const struct ioctl_request *ioctl = &message->body.ioctl_request;
        uint64_t sent = (uint64_t)ioctl->input_count + ioctl->output_count;
        uint64_t expected = (uint64_t)ioctl->max_input_response + ioctl->max_output_response;
        return sent > expected ? sent : expected;
    }
    for (unsigned i = 0; i < 2; i++) {
        uint8_t at = command_of(request)->payload_at[i];
        uint64_t length = at > 0 ? number_at(message, at) : 0;
        payload = length > payload ? length : payload;
    }
    return payload;
}

static struct verdict check_charge(const struct server *server, const struct server_request *request) {
    uint64_t payload = payload_of(request);
    uint64_t charge = charge_of(server, &request->message.header);
    if (!server->negotiation.agreed.multi_credit || payload <= charge * CREDIT_OCTETS)
        return verdict_accept();
    return refuse(RULE_CREDIT_CHARGE, STATUS_INVALID_PARAMETER, AT_CREDIT_CHARGE);
}

/* 3.3.5.2.9. ECHO needs no session; SESSION_SETUP has its own rules, but an id that it names must be known. */
static struct verdict check_session(const struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    const struct server_session *session = request->session;
    const struct command *command = command_of(request);
    bool is_setup = request->command == SMB2_SESSION_SETUP;
    if (!command->needs_session && !(is_setup && request->session_id != 0))
        return verdict_accept();
    if (session == NULL || (session->state == SERVER_SESSION_IN_PROGRESS && !is_setup))
        return refuse(RULE_SESSION_UNKNOWN, STATUS_USER_SESSION_DELETED, AT_SESSION_ID);
    if (session->state == SERVER_SESSION_EXPIRED && !command->when_expired)
        return refuse(RULE_SESSION_EXPIRED, STATUS_NETWORK_SESSION_EXPIRED, AT_SESSION_ID);
    if (session->encrypt && !frame->encrypted && !is_setup)
        return refuse(RULE_SESSION_UNENCRYPTED, STATUS_ACCESS_DENIED, AT_SESSION_ID);
    return verdict_accept();
}

/* 3.3.5.2.11 */
static struct verdict check_tree(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    if (!command_of(request)->needs_tree)
        return verdict_accept();
    if (is_related(request) && request->tree_id == 0)
        return refuse(RULE_CHAIN_NOTHING_INHERITED, STATUS_INVALID_PARAMETER, AT_TREE_ID);
    request->tree = tree_find(server, request->session, request->tree_id);
    if (request->tree == NULL)
        return refuse(RULE_TREE_UNKNOWN, STATUS_NETWORK_NAME_DELETED, AT_TREE_ID);
    request->tree->references++;
    if (request->tree->encrypt && !frame->encrypted)
        return refuse(RULE_TREE_UNENCRYPTED, STATUS_ACCESS_DENIED, AT_TREE_ID);
    return verdict_accept();
}

/* StructureSize counts one octet of the variable part where there is one, so the fixed part is that size made even. */
static struct verdict check_body(const struct server_request *request) {
    const struct command *command = command_of(request);
    struct reader reader = reader_over(span_slice(request->message.bytes, SMB2_HEADER_SIZE, SIZE_MAX));
    uint16_t size = reader_u16(&reader);
    bool fits = size == command->structure_size || (command->other_size != 0 && size == command->other_size);
    bool is_decoded = request->command == SMB2_SESSION_SETUP || request->command == SMB2_TREE_CONNECT;
    if (!is_known(request->command))
        return refuse(RULE_COMMAND_UNKNOWN, STATUS_INVALID_PARAMETER, AT_COMMAND);
    if (!fits || reader.bytes.size < (size & ~1u) || (is_decoded && !request->message.body_valid))
        return refuse(RULE_BODY_INVALID, STATUS_INVALID_PARAMETER, AT_BODY);
    if (request->command != SMB2_CANCEL && request->message.header.flags & SMB2_FLAGS_ASYNC_COMMAND)
        return refuse(RULE_BODY_INVALID, STATUS_INVALID_PARAMETER, AT_FLAGS);
    return verdict_accept();
}

/* The FileId, of the element before where the two are related; if that one should have made it, and failed, so does this
 * (3.3.5.2.7.2). */
static struct verdict check_file_id(struct server_frame *frame) {
    struct server_request *request = &frame->request;
    const struct server_chain *chain = &frame->chain;
    uint8_t at = command_of(request)->file_id_at;
    if (at == 0)
        return verdict_accept();
    struct span in_place = span_slice(request->message.bytes, SMB2_HEADER_SIZE + at, sizeof request->file_id);
    memcpy(request->file_id, in_place.data, sizeof request->file_id);
    if (is_related(request) && !chain->has_file_id && chain->status >> 30 == 3)
        return verdict_refuse(RULE_NONE, chain->status, 0);
    if (is_related(request) && !chain->has_file_id)
        return refuse(RULE_CHAIN_NOTHING_INHERITED, STATUS_INVALID_HANDLE, SMB2_HEADER_SIZE + at);
    if (is_related(request))
        memcpy(request->file_id, chain->file_id, sizeof request->file_id);
    request->has_file_id = true;
    return verdict_accept();
}

struct verdict server_check_arrival(struct server *server, struct server_frame *frame) {
    struct verdict verdict = check_header(server, frame);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_window(server, &frame->request);
    if (verdict.action == ACTION_ACCEPT)
        verdict = inherit(server, frame);
    return verdict;
}

bool server_names_stranger(const struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    return request->command == SMB2_SESSION_SETUP && request->session_id != 0 && request->session == NULL &&
           !frame->encrypted && server_frame_alone(frame);
}

struct verdict server_check(struct server *server, struct server_frame *frame) {
    struct verdict verdict = check_signature(frame);
    if (frame->request.command == SMB2_NEGOTIATE)
        return verdict; /* its body is for server_validate() */
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_charge(server, &frame->request);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_session(frame);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_tree(server, frame);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_body(&frame->request);
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_file_id(frame);
    return verdict;
}
