#include "core/watch_rules.h"

#include <string.h>

/* Before a dialect is agreed nothing legitimate is longer, in octets. */
#define NEGOTIATE_SIZE_MAX 65536u
#define UNSOLICITED_MESSAGE_ID UINT64_MAX

static unsigned slot_of(uint64_t message_id) {
    return (unsigned)(message_id % CONVERSATION_OUTSTANDING_MAX);
}

/* The request with this MessageId, NULL where it is not remembered. */
static const struct request_note *note_at(const struct conversation *conversation, uint64_t message_id) {
    unsigned slot = slot_of(message_id);

    if (!conversation->noted[slot] || conversation->outstanding[slot].message_id != message_id)
        return NULL;
    return &conversation->outstanding[slot];
}

static void note_put(struct conversation *conversation, const struct request_note *note) {
    unsigned slot = slot_of(note->message_id);

    conversation->outstanding[slot] = *note;
    conversation->noted[slot] = true;
}

const struct request_note *watch_note(const struct conversation *conversation, uint64_t message_id,
                                      uint16_t command) {
    const struct request_note *note = note_at(conversation, message_id);

    return note != NULL && note->command == command ? note : NULL;
}

/* Cut within its header a message may have no MessageId, and the 0 in its place is somebody else's. */
static bool has_message_id(const struct message *message) {
    return message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST || message->bytes.size >= SMB2_HEADER_SIZE;
}

struct request_note *watch_request_note(struct conversation *conversation, const struct event *event) {
    const struct message *message = &event->message;
    uint64_t message_id = message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST ? 0 : message->header.message_id;

    if (message_is_response(message) || !has_message_id(message) || note_at(conversation, message_id) == NULL)
        return NULL;
    return &conversation->outstanding[slot_of(message_id)];
}

static bool is_agreed(uint16_t dialect) {
    return dialect != 0 && dialect != SMB2_DIALECT_WILDCARD;
}

static bool is_signed(const struct message *message) {
    return (message->header.flags & SMB2_FLAGS_SIGNED) != 0;
}

static void remember(struct conversation *conversation, const struct event *event, const struct stream *stream) {
    const struct message *message = &event->message;
    const struct smb2_header *header = &message->header;
    bool related = event->chained && (header->flags & SMB2_FLAGS_RELATED_OPERATIONS);
    struct request_note note = {
        .known = true,
        .is_signed = is_signed(message),
        .command = header->command,
        .control_code = message->kind == MESSAGE_IOCTL_REQUEST ? message->body.ioctl_request.ctl_code : 0,
        .message_id = header->message_id,
        .session_id = related ? stream->session_id : header->session_id,
    };

    if (header->command == SMB2_CANCEL || !has_message_id(message))
        return; /* repeats its target's MessageId; is cut before its own */
    memcpy(note.signature, header->signature, sizeof note.signature);
    note_put(conversation, &note);
}

bool token_names_no_user(struct span token, bool *authenticate) {
    static const uint8_t start[12] = {'N', 'T', 'L', 'M', 'S', 'S', 'P', 0, 3, 0, 0, 0};

    for (size_t at = 0; at + 64 <= token.size; at++)
        if (token.data[at] == 'N' && memcmp(token.data + at, start, sizeof start) == 0) {
            *authenticate = true;
            return token.data[at + 36] == 0 && token.data[at + 37] == 0;
        }
    return false;
}

static void watch_negotiate_request(struct conversation *conversation, const struct event *event) {
    const struct negotiate_request *request = &event->message.body.negotiate_request;

    if (is_agreed(conversation->dialect)) {
        watch_broken(conversation, event->from, RULE_NEGOTIATE_SECOND, 0);
        return;
    }
    if (is_signed(&event->message))
        watch_broken(conversation, event->from, RULE_NEGOTIATE_SIGNED, 16);
    if (event->message.header.message_id > 1)
        watch_broken(conversation, event->from, RULE_NEGOTIATE_MESSAGE_ID, 24);
    conversation->dialect_count = 0;
    if (request->dialects.size / 2 < request->dialect_count)
        return; /* of a list that is cut the rest may have been offered */
    for (unsigned i = 0; i < request->dialects.size / 2 && i < CONVERSATION_DIALECTS_MAX; i++)
        conversation->dialects[conversation->dialect_count++] = negotiate_dialect(request, i);
}

static bool was_offered(const struct conversation *conversation, uint16_t dialect) {
    for (unsigned i = 0; i < conversation->dialect_count; i++)
        if (conversation->dialects[i] == dialect)
            return true;
    return false;
}

static void watch_negotiate_response(struct conversation *conversation, const struct event *event) {
    const struct negotiate_response *response = &event->message.body.negotiate_response;
    struct context_cursor cursor;
    struct context context;

    if (event->message.kind != MESSAGE_NEGOTIATE_RESPONSE || event->message.bytes.size < 72 ||
        is_agreed(conversation->dialect))
        return;
    conversation->dialect = response->dialect_revision;
    if (response->dialect_revision == SMB2_DIALECT_WILDCARD) {
        if (conversation->dialect_count > 0)
            watch_broken(conversation, event->from, RULE_RESPONSE_WILDCARD, 68);
    } else if (conversation->dialect_count > 0 && conversation->dialect_count < CONVERSATION_DIALECTS_MAX &&
               !was_offered(conversation, response->dialect_revision)) {
        watch_broken(conversation, event->from, RULE_RESPONSE_DIALECT, 68);
    }
    cursor = context_cursor(response->contexts, response->negotiate_context_count, response->negotiate_context_offset);
    while (context_next(&cursor, &context))
        conversation->compression_negotiated |= context.type == CONTEXT_COMPRESSION;
}

static void watch_session_response(struct conversation *conversation, const struct event *event) {
    const struct message *message = &event->message;
    uint16_t flags = message->body.session_setup_response.session_flags;

    if (message->kind != MESSAGE_SESSION_SETUP_RESPONSE || message->header.status != STATUS_SUCCESS || !event->whole)
        return;
    conversation->session_known = true;
    conversation->session_keyless =
        (flags & (SESSION_FLAG_IS_GUEST | SESSION_FLAG_IS_NULL)) || conversation->logon_anonymous;
    if (!is_signed(message) && !conversation->session_keyless && is_agreed(conversation->dialect))
        watch_broken(conversation, event->from, RULE_SESSION_RESPONSE_UNSIGNED, 16);
}

static void watch_smb2_request(struct conversation *conversation, const struct event *event) {
    const struct message *message = &event->message;
    bool keyed = conversation->session_known && !conversation->session_keyless;
    bool anonymous, authenticate = false;

    if (message->header.command != SMB2_NEGOTIATE && conversation->start_seen && !conversation->incomplete &&
        !is_agreed(conversation->dialect))
        watch_broken(conversation, event->from, RULE_COMMAND_BEFORE_NEGOTIATE, 12);
    switch (message->kind) {
    case MESSAGE_NEGOTIATE_REQUEST:
        watch_negotiate_request(conversation, event);
        break;
    case MESSAGE_SESSION_SETUP_REQUEST:
        anonymous = token_names_no_user(message->body.session_setup_request.security_buffer, &authenticate);
        if (authenticate)
            conversation->logon_anonymous = anonymous;
        break;
    case MESSAGE_TREE_CONNECT_REQUEST:
        if (conversation->dialect == SMB2_DIALECT_311 && !is_signed(message) && keyed)
            watch_broken(conversation, event->from, RULE_TREE_CONNECT_UNSIGNED, 16);
        break;
    case MESSAGE_IOCTL_REQUEST:
        if (message->body.ioctl_request.ctl_code != FSCTL_VALIDATE_NEGOTIATE_INFO)
            break;
        if (conversation->dialect == SMB2_DIALECT_311)
            watch_broken(conversation, event->from, RULE_INFO_ON_311, 68);
        if (!is_signed(message) && keyed)
            watch_broken(conversation, event->from, RULE_INFO_REQUEST_UNSIGNED, 16);
        break;
    default:
        break;
    }
}

/* Statuses that a server sends when it has lost the key itself. */
static bool cannot_be_signed(uint32_t status) {
    return status == STATUS_PENDING || status == STATUS_USER_SESSION_DELETED ||
           status == STATUS_NETWORK_SESSION_EXPIRED || status == STATUS_NOT_SUPPORTED;
}

static void watch_smb2_response(struct conversation *conversation, struct event *event) {
    const struct message *message = &event->message;
    const struct smb2_header *header = &message->header;
    const struct request_note *note =
        has_message_id(message) ? note_at(conversation, header->message_id) : NULL;
    bool matches = note != NULL;
    bool multi_protocol = matches && header->command == SMB2_NEGOTIATE;

    if (matches && (note->command == header->command || multi_protocol))
        event->request = *note;
    else if (matches)
        watch_broken(conversation, event->from, RULE_RESPONSE_COMMAND, 12);
    else if (conversation->start_seen && !conversation->incomplete && !conversation->noted[slot_of(header->message_id)] &&
             header->message_id != UNSOLICITED_MESSAGE_ID && header->command != SMB2_OPLOCK_BREAK)
        watch_broken(conversation, event->from, RULE_RESPONSE_WITHOUT_REQUEST, 24);
    if (event->request.known && event->request.is_signed && !is_signed(message) &&
        header->command != SMB2_SESSION_SETUP && !conversation->session_keyless && !cannot_be_signed(header->status))
        watch_broken(conversation, event->from, RULE_RESPONSE_UNSIGNED, 16);
    if (header->command == SMB2_NEGOTIATE)
        watch_negotiate_response(conversation, event);
    else if (header->command == SMB2_SESSION_SETUP)
        watch_session_response(conversation, event);
}

static void watch_smb2(struct conversation *conversation, struct event *event) {
    const struct message *message = &event->message;
    const struct smb2_header *header = &message->header;
    bool response = message_is_response(message);

    if (header->structure_size != SMB2_HEADER_SIZE)
        watch_broken(conversation, event->from, RULE_HEADER_STRUCTURE_SIZE, 4);
    if (response != (event->from == FROM_SERVER)) {
        watch_broken(conversation, event->from, RULE_DIRECTION_BIT, 16);
        return;
    }
    if (header->command > SMB2_SERVER_TO_CLIENT_NOTIFICATION)
        watch_broken(conversation, event->from, RULE_COMMAND_UNKNOWN, 12);
    if (!event->chained && !response && (header->flags & SMB2_FLAGS_RELATED_OPERATIONS))
        watch_broken(conversation, event->from, RULE_CHAIN_FIRST_RELATED, 16);
    if (event->whole && !message->body_valid && message->bytes.size == message->size)
        watch_broken(conversation, event->from, RULE_BODY_INVALID, SMB2_HEADER_SIZE);
    if (!is_agreed(conversation->dialect) && conversation->start_seen && message->size > NEGOTIATE_SIZE_MAX)
        watch_broken(conversation, event->from, RULE_FRAME_TOO_LONG, 0);
    if (response) {
        watch_smb2_response(conversation, event);
        return;
    }
    if (has_message_id(message) && note_at(conversation, header->message_id) != NULL &&
        header->command != SMB2_CANCEL && !event->after_gap)
        watch_broken(conversation, event->from, RULE_MESSAGE_ID_USED, 24);
    watch_smb2_request(conversation, event);
    remember(conversation, event, &conversation->streams[event->from]);
}

static void watch_transform(struct conversation *conversation, const struct event *event) {
    const struct transform_header *transform = &event->message.body.transform;

    if (!event->message.body_valid)
        return;
    if (transform->flags != 1)
        watch_broken(conversation, event->from, RULE_TRANSFORM_FLAGS, 42);
    if (event->message.size != (size_t)TRANSFORM_HEADER_SIZE + transform->original_message_size)
        watch_broken(conversation, event->from, RULE_TRANSFORM_SIZE, 36);
    if (conversation->start_seen && !conversation->incomplete && !conversation->session_known)
        watch_broken(conversation, event->from, RULE_TRANSFORM_BEFORE_SESSION, 0);
}

static void watch_smb1(struct conversation *conversation, const struct event *event) {
    const struct message *message = &event->message;

    if (message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST) {
        if (conversation->start_seen && event->from == FROM_CLIENT)
            watch_broken(conversation, event->from, RULE_SMB1_AFTER_NEGOTIATE, 0);
        note_put(conversation, &(struct request_note){.known = true, .command = SMB2_NEGOTIATE});
    } else if (is_agreed(conversation->dialect)) {
        watch_broken(conversation, event->from, RULE_SMB1_MESSAGE, 0);
    }
}

void watch_message(struct conversation *conversation, struct event *event) {
    const struct message *message = &event->message;
    bool negotiate = message->kind == MESSAGE_NEGOTIATE_REQUEST || message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST;

    if (message_is_smb2(message))
        watch_smb2(conversation, event);
    else if (message->kind == MESSAGE_TRANSFORM)
        watch_transform(conversation, event);
    else if (message->kind == MESSAGE_COMPRESSED && conversation->start_seen && !conversation->compression_negotiated)
        watch_broken(conversation, event->from, RULE_COMPRESSED_NOT_NEGOTIATED, 0);
    else if (message->kind == MESSAGE_UNKNOWN)
        watch_broken(conversation, event->from, RULE_HEADER_SHORT, 0);
    else
        watch_smb1(conversation, event);
    if (!conversation->began && negotiate)
        conversation->start_seen = true;
    conversation->began = true;
}
