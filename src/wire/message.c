#include "wire/message.h"

#include <stddef.h>
#include <string.h>

#define PROTOCOL_ID_SMB1       0x424d53ffu
#define PROTOCOL_ID_SMB2       0x424d53feu
#define PROTOCOL_ID_TRANSFORM  0x424d53fdu
#define PROTOCOL_ID_COMPRESSED 0x424d53fcu
#define SMB1_COMMAND_OFFSET    4u
#define SMB1_FLAGS_OFFSET      9u
#define SMB1_COMMAND_NEGOTIATE 0x72u
#define SMB1_FLAGS_REPLY       0x80u
#define IOCTL_RESPONSE_SIZE    49u /* StructureSize, 2.2.32 */

/* What is fixed about a kind: its body's StructureSize (0: the body is not looked at) and its field
 * list. */
struct kind {
    uint16_t structure_size;
    uint16_t at; /* of the list, from the protocol id */
    const struct field *fields;
    const unsigned *count;
};

#define KIND(size, at, prefix)                                                                     \
    { size, at, prefix##_fields, &prefix##_fields_count }

static const struct kind kinds[] = {
    [MESSAGE_UNKNOWN] = {0},
    [MESSAGE_SMB1_NEGOTIATE_REQUEST] = KIND(0, 0, smb1_header),
    [MESSAGE_SMB1_NEGOTIATE_RESPONSE] = KIND(0, 0, smb1_header),
    [MESSAGE_SMB1_OTHER] = KIND(0, 0, smb1_header),
    [MESSAGE_NEGOTIATE_REQUEST] = KIND(36, SMB2_HEADER_SIZE, negotiate_request),
    [MESSAGE_NEGOTIATE_RESPONSE] = KIND(65, SMB2_HEADER_SIZE, negotiate_response),
    [MESSAGE_SESSION_SETUP_REQUEST] = KIND(25, SMB2_HEADER_SIZE, session_setup_request),
    [MESSAGE_SESSION_SETUP_RESPONSE] = KIND(9, SMB2_HEADER_SIZE, session_setup_response),
    [MESSAGE_LOGOFF_REQUEST] = KIND(4, SMB2_HEADER_SIZE, empty_body),
    [MESSAGE_LOGOFF_RESPONSE] = KIND(4, SMB2_HEADER_SIZE, empty_body),
    [MESSAGE_TREE_CONNECT_REQUEST] = KIND(9, SMB2_HEADER_SIZE, tree_connect_request),
    [MESSAGE_TREE_CONNECT_RESPONSE] = KIND(16, SMB2_HEADER_SIZE, tree_connect_response),
    [MESSAGE_IOCTL_REQUEST] = KIND(57, SMB2_HEADER_SIZE, ioctl_request),
    [MESSAGE_IOCTL_RESPONSE] = KIND(IOCTL_RESPONSE_SIZE, SMB2_HEADER_SIZE, ioctl_response),
    [MESSAGE_ERROR] = KIND(9, SMB2_HEADER_SIZE, error_response),
    [MESSAGE_OTHER_REQUEST] = {0},
    [MESSAGE_OTHER_RESPONSE] = {0},
    [MESSAGE_TRANSFORM] = KIND(0, 0, transform_header),
    [MESSAGE_COMPRESSED] = KIND(0, 0, compression_header),
};

struct message_fields message_fields(enum message_kind kind) {
    const struct kind *found = &kinds[kind];

    if (found->fields == NULL)
        return (struct message_fields){0};
    return (struct message_fields){found->fields, *found->count, found->at};
}

static uint16_t structure_size(const struct message *message) {
    struct reader reader = reader_over(span_slice(message->bytes, SMB2_HEADER_SIZE, 2));

    return reader_u16(&reader);
}

/* 3.3.4.4: statuses that come with the command's own body. */
static bool has_own_body(const struct message *message) {
    uint16_t command = message->header.command;

    switch (message->header.status) {
    case STATUS_SUCCESS:
        return true;
    case STATUS_MORE_PROCESSING_REQUIRED:
        return command == SMB2_SESSION_SETUP;
    case STATUS_BUFFER_OVERFLOW:
        return command == SMB2_QUERY_INFO || command == SMB2_READ || command == SMB2_IOCTL;
    case STATUS_INVALID_PARAMETER: /* FSCTL_SRV_COPYCHUNK tells its limits this way; others send an
                                      error body */
        return command == SMB2_IOCTL && structure_size(message) == IOCTL_RESPONSE_SIZE;
    case STATUS_NOTIFY_ENUM_DIR:
        return command == SMB2_CHANGE_NOTIFY;
    default:
        return false;
    }
}

static enum message_kind request_kind(uint16_t command) {
    switch (command) {
    case SMB2_NEGOTIATE:
        return MESSAGE_NEGOTIATE_REQUEST;
    case SMB2_SESSION_SETUP:
        return MESSAGE_SESSION_SETUP_REQUEST;
    case SMB2_LOGOFF:
        return MESSAGE_LOGOFF_REQUEST;
    case SMB2_TREE_CONNECT:
        return MESSAGE_TREE_CONNECT_REQUEST;
    case SMB2_IOCTL:
        return MESSAGE_IOCTL_REQUEST;
    default:
        return MESSAGE_OTHER_REQUEST;
    }
}

static enum message_kind response_kind(uint16_t command) {
    switch (command) {
    case SMB2_NEGOTIATE:
        return MESSAGE_NEGOTIATE_RESPONSE;
    case SMB2_SESSION_SETUP:
        return MESSAGE_SESSION_SETUP_RESPONSE;
    case SMB2_LOGOFF:
        return MESSAGE_LOGOFF_RESPONSE;
    case SMB2_TREE_CONNECT:
        return MESSAGE_TREE_CONNECT_RESPONSE;
    case SMB2_IOCTL:
        return MESSAGE_IOCTL_RESPONSE;
    default:
        return MESSAGE_OTHER_RESPONSE;
    }
}

/* Negotiate contexts reach to the message's end, so where 3.1.1 has them any cut takes some of them
 * away. */
static bool negotiate_whole(const struct message *message, bool has_contexts) {
    return !has_contexts || message->bytes.size == message->size;
}

static bool negotiate_request_body(struct message *message) {
    struct negotiate_request *request = &message->body.negotiate_request;

    return negotiate_request_decode(message->bytes, request) &&
           negotiate_whole(message, negotiate_offers(request, SMB2_DIALECT_311));
}

static bool negotiate_response_body(struct message *message) {
    struct negotiate_response *response = &message->body.negotiate_response;

    return negotiate_response_decode(message->bytes, response) &&
           negotiate_whole(message, response->dialect_revision == SMB2_DIALECT_311);
}

static bool decode_body(struct message *message) {
    struct span bytes = message->bytes;

    switch (message->kind) {
    case MESSAGE_NEGOTIATE_REQUEST:
        return negotiate_request_body(message);
    case MESSAGE_NEGOTIATE_RESPONSE:
        return negotiate_response_body(message);
    case MESSAGE_SESSION_SETUP_REQUEST:
        return session_setup_request_decode(bytes, &message->body.session_setup_request);
    case MESSAGE_SESSION_SETUP_RESPONSE:
        return session_setup_response_decode(bytes, &message->body.session_setup_response);
    case MESSAGE_LOGOFF_REQUEST:
    case MESSAGE_LOGOFF_RESPONSE:
        return empty_body_decode(bytes, &message->body.empty);
    case MESSAGE_TREE_CONNECT_REQUEST:
        return tree_connect_request_decode(bytes, &message->body.tree_connect_request);
    case MESSAGE_TREE_CONNECT_RESPONSE:
        return tree_connect_response_decode(bytes, &message->body.tree_connect_response);
    case MESSAGE_IOCTL_REQUEST:
        return ioctl_request_decode(bytes, &message->body.ioctl_request);
    case MESSAGE_IOCTL_RESPONSE:
        return ioctl_response_decode(bytes, &message->body.ioctl_response);
    case MESSAGE_ERROR:
        return error_response_decode(bytes, &message->body.error);
    default:
        return true;
    }
}

/* Octets of a header that reach to the end of Flags. */
#define SMB2_HEADER_KIND 20u

static void decode_smb2(struct message *message) {
    uint16_t size;

    /* Cut within its header a message still has its kind, where command and flags are there. */
    if (!smb2_header_decode(message->bytes, &message->header) &&
        (message->bytes.size < SMB2_HEADER_KIND || message->size < SMB2_HEADER_SIZE))
        return;
    if (!(message->header.flags & SMB2_FLAGS_SERVER_TO_REDIR))
        message->kind = request_kind(message->header.command);
    else if (has_own_body(message))
        message->kind = response_kind(message->header.command);
    else
        message->kind = MESSAGE_ERROR;
    size = kinds[message->kind].structure_size;
    message->body_valid = decode_body(message) && (size == 0 || size == structure_size(message));
}

static void decode_smb1(struct message *message) {
    message->kind = MESSAGE_SMB1_OTHER;
    if (message->bytes.size < SMB1_HEADER_SIZE ||
        message->bytes.data[SMB1_COMMAND_OFFSET] != SMB1_COMMAND_NEGOTIATE)
        return;
    if (message->bytes.data[SMB1_FLAGS_OFFSET] & SMB1_FLAGS_REPLY) {
        message->kind = MESSAGE_SMB1_NEGOTIATE_RESPONSE;
        message->body_valid =
            smb1_negotiate_response_decode(message->bytes, &message->body.smb1_negotiate_response);
    } else {
        message->kind = MESSAGE_SMB1_NEGOTIATE_REQUEST;
        message->body_valid =
            smb1_negotiate_request_decode(message->bytes, &message->body.smb1_negotiate_request);
    }
}

void message_decode(struct span bytes, size_t size, struct message *message) {
    struct reader reader = reader_over(span_slice(bytes, 0, size));
    uint32_t protocol_id = reader_u32(&reader);

    message->kind = MESSAGE_UNKNOWN;
    message->bytes = reader.bytes;
    message->size = size;
    message->body_valid = false; /* each kind's decoder fills its body */
    if (protocol_id != PROTOCOL_ID_SMB2 || reader.bytes.size < SMB2_HEADER_SIZE)
        memset(&message->header, 0, sizeof message->header);
    switch (protocol_id) {
    case PROTOCOL_ID_SMB2:
        decode_smb2(message);
        break;
    case PROTOCOL_ID_TRANSFORM:
        message->kind = MESSAGE_TRANSFORM;
        message->body_valid = transform_header_decode(message->bytes, &message->body.transform);
        break;
    case PROTOCOL_ID_COMPRESSED:
        message->kind = MESSAGE_COMPRESSED;
        message->body_valid = compression_header_decode(message->bytes, &message->body.compression);
        break;
    case PROTOCOL_ID_SMB1:
        decode_smb1(message);
        break;
    default:
        break;
    }
}

static void encode_smb2(const struct message *message, struct writer *writer) {
    const struct smb2_header *header = &message->header;

    switch (message->kind) {
    case MESSAGE_NEGOTIATE_REQUEST:
        negotiate_request_encode(header, &message->body.negotiate_request, writer);
        break;
    case MESSAGE_NEGOTIATE_RESPONSE:
        negotiate_response_encode(header, &message->body.negotiate_response, writer);
        break;
    case MESSAGE_SESSION_SETUP_REQUEST:
        session_setup_request_encode(header, &message->body.session_setup_request, writer);
        break;
    case MESSAGE_SESSION_SETUP_RESPONSE:
        session_setup_response_encode(header, &message->body.session_setup_response, writer);
        break;
    case MESSAGE_LOGOFF_REQUEST:
    case MESSAGE_LOGOFF_RESPONSE:
        empty_body_encode(header, &message->body.empty, writer);
        break;
    case MESSAGE_TREE_CONNECT_REQUEST:
        tree_connect_request_encode(header, &message->body.tree_connect_request, writer);
        break;
    case MESSAGE_TREE_CONNECT_RESPONSE:
        tree_connect_response_encode(header, &message->body.tree_connect_response, writer);
        break;
    case MESSAGE_IOCTL_REQUEST:
        ioctl_request_encode(header, &message->body.ioctl_request, writer);
        break;
    case MESSAGE_IOCTL_RESPONSE:
        ioctl_response_encode(header, &message->body.ioctl_response, writer);
        break;
    case MESSAGE_ERROR:
        error_response_encode(header, &message->body.error, writer);
        break;
    default:
        smb2_header_encode(header, writer);
        writer_put(writer, span_slice(message->bytes, SMB2_HEADER_SIZE, message->bytes.size));
        break;
    }
}

void message_encode(const struct message *message, struct writer *writer) {
    struct span bytes = message->bytes;

    switch (message->kind) {
    case MESSAGE_SMB1_NEGOTIATE_REQUEST:
        smb1_negotiate_request_encode(&message->body.smb1_negotiate_request, writer);
        break;
    case MESSAGE_SMB1_NEGOTIATE_RESPONSE:
        smb1_negotiate_response_encode(&message->body.smb1_negotiate_response, writer);
        break;
    case MESSAGE_TRANSFORM:
        transform_header_encode(&message->body.transform, writer);
        writer_put(writer, span_slice(bytes, TRANSFORM_HEADER_SIZE, bytes.size));
        break;
    case MESSAGE_COMPRESSED:
        compression_header_encode(&message->body.compression, writer);
        writer_put(writer, span_slice(bytes, COMPRESSION_HEADER_SIZE, bytes.size));
        break;
    case MESSAGE_UNKNOWN:
    case MESSAGE_SMB1_OTHER:
        writer_put(writer, bytes);
        break;
    default:
        encode_smb2(message, writer);
        break;
    }
}

struct chain_cursor chain_cursor(struct span bytes, size_t size) {
    return (struct chain_cursor){.bytes = bytes, .size = size};
}

bool chain_next(struct chain_cursor *cursor, struct message *message) {
    struct span bytes = span_slice(cursor->bytes, cursor->at, cursor->bytes.size);
    size_t left = cursor->size - cursor->at, next;

    if (cursor->done)
        return false;
    message_decode(bytes, left, message);
    next = message->header.next_command; /* 0 in what has no such header */
    cursor->misaligned |= next % 8 != 0;
    cursor->malformed = next != 0 && (next < SMB2_HEADER_SIZE || next >= left);
    cursor->done = next == 0 || cursor->malformed;
    if (cursor->done)
        return true;
    message_decode(bytes, next, message);
    cursor->at += next;
    return true;
}

bool message_is_smb2(const struct message *message) {
    return message->kind >= MESSAGE_NEGOTIATE_REQUEST && message->kind <= MESSAGE_OTHER_RESPONSE;
}

bool message_is_smb1(const struct message *message) {
    return message->kind >= MESSAGE_SMB1_NEGOTIATE_REQUEST && message->kind <= MESSAGE_SMB1_OTHER;
}

bool message_is_response(const struct message *message) {
    if (message_is_smb2(message))
        return (message->header.flags & SMB2_FLAGS_SERVER_TO_REDIR) != 0;
    return message->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE;
}
