#include "wire/message.h"

#include <string.h>

#define PROTOCOL_ID_SMB1 0x424d53ffu
#define PROTOCOL_ID_SMB2 0x424d53feu
#define PROTOCOL_ID_TRANSFORM 0x424d53fdu
#define PROTOCOL_ID_COMPRESSED 0x424d53fcu
#define SMB1_COMMAND_NEGOTIATE 0x72u
#define SMB1_FLAGS_REPLY 0x80u

/* 3.3.4.4: statuses that come with the command's own body. */
static bool has_own_body(uint16_t command, uint32_t status) {
    switch (status) {
    case STATUS_SUCCESS:
        return true;
    case STATUS_MORE_PROCESSING_REQUIRED:
        return command == SMB2_SESSION_SETUP;
    case STATUS_BUFFER_OVERFLOW:
        return command == SMB2_QUERY_INFO || command == SMB2_READ || command == SMB2_IOCTL;
    case STATUS_NOTIFY_ENUM_DIR:
        return command == SMB2_CHANGE_NOTIFY;
    default:
        return false;
    }
}

static void decode_request(struct message *message) {
    switch (message->header.command) {
    case SMB2_NEGOTIATE:
        message->kind = MESSAGE_NEGOTIATE_REQUEST;
        message->body_valid = negotiate_request_decode(message->bytes, &message->body.negotiate_request) &&
                              message->body.negotiate_request.structure_size == 36;
        break;
    case SMB2_SESSION_SETUP:
        message->kind = MESSAGE_SESSION_SETUP_REQUEST;
        message->body_valid = session_setup_request_decode(message->bytes, &message->body.session_setup_request) &&
                              message->body.session_setup_request.structure_size == 25;
        break;
    case SMB2_LOGOFF:
        message->kind = MESSAGE_LOGOFF_REQUEST;
        message->body_valid = message->bytes.size >= SMB2_HEADER_SIZE + 4;
        break;
    case SMB2_TREE_CONNECT:
        message->kind = MESSAGE_TREE_CONNECT_REQUEST;
        message->body_valid = tree_connect_request_decode(message->bytes, &message->body.tree_connect_request) &&
                              message->body.tree_connect_request.structure_size == 9;
        break;
    case SMB2_IOCTL:
        message->kind = MESSAGE_IOCTL_REQUEST;
        message->body_valid = ioctl_request_decode(message->bytes, &message->body.ioctl_request) &&
                              message->body.ioctl_request.structure_size == 57;
        break;
    default:
        message->kind = MESSAGE_OTHER_REQUEST;
        message->body_valid = true;
        break;
    }
}

static void decode_response(struct message *message) {
    uint16_t command = message->header.command;

    if (!has_own_body(command, message->header.status)) {
        message->kind = MESSAGE_ERROR;
        message->body_valid = error_response_decode(message->bytes, &message->body.error) &&
                              message->body.error.structure_size == 9;
        return;
    }
    switch (command) {
    case SMB2_NEGOTIATE:
        message->kind = MESSAGE_NEGOTIATE_RESPONSE;
        message->body_valid = negotiate_response_decode(message->bytes, &message->body.negotiate_response) &&
                              message->body.negotiate_response.structure_size == 65;
        break;
    case SMB2_SESSION_SETUP:
        message->kind = MESSAGE_SESSION_SETUP_RESPONSE;
        message->body_valid = session_setup_response_decode(message->bytes, &message->body.session_setup_response) &&
                              message->body.session_setup_response.structure_size == 9;
        break;
    case SMB2_LOGOFF:
        message->kind = MESSAGE_LOGOFF_RESPONSE;
        message->body_valid = message->bytes.size >= SMB2_HEADER_SIZE + 4;
        break;
    case SMB2_TREE_CONNECT:
        message->kind = MESSAGE_TREE_CONNECT_RESPONSE;
        message->body_valid = tree_connect_response_decode(message->bytes, &message->body.tree_connect_response) &&
                              message->body.tree_connect_response.structure_size == 16;
        break;
    case SMB2_IOCTL:
        message->kind = MESSAGE_IOCTL_RESPONSE;
        message->body_valid = ioctl_response_decode(message->bytes, &message->body.ioctl_response) &&
                              message->body.ioctl_response.structure_size == 49;
        break;
    default:
        message->kind = MESSAGE_OTHER_RESPONSE;
        message->body_valid = true;
        break;
    }
}

static void decode_smb1(struct message *message) {
    bool reply = message->bytes.size > 9 && (message->bytes.data[9] & SMB1_FLAGS_REPLY);

    message->kind = MESSAGE_SMB1_OTHER;
    if (message->bytes.size < SMB1_HEADER_SIZE || message->bytes.data[4] != SMB1_COMMAND_NEGOTIATE)
        return;
    if (reply) {
        message->kind = MESSAGE_SMB1_NEGOTIATE_RESPONSE;
        message->body_valid = smb1_negotiate_response_decode(message->bytes, &message->body.smb1_negotiate_response);
    } else {
        message->kind = MESSAGE_SMB1_NEGOTIATE_REQUEST;
        message->body_valid = smb1_negotiate_request_decode(message->bytes, &message->body.smb1_negotiate_request);
    }
}

void message_decode(struct span bytes, size_t size, struct message *message) {
    struct reader reader = reader_over(bytes);
    uint32_t protocol = reader_u32(&reader);

    memset(message, 0, sizeof *message);
    message->bytes = span_slice(bytes, 0, size);
    message->size = size;
    switch (protocol) {
    case PROTOCOL_ID_SMB2:
        if (!smb2_header_decode(message->bytes, &message->header))
            break;
        if (message->header.flags & SMB2_FLAGS_SERVER_TO_REDIR)
            decode_response(message);
        else
            decode_request(message);
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

bool message_is_smb2(const struct message *message) {
    return message->kind >= MESSAGE_NEGOTIATE_REQUEST && message->kind <= MESSAGE_OTHER_RESPONSE;
}

bool message_is_response(const struct message *message) {
    if (message_is_smb2(message))
        return (message->header.flags & SMB2_FLAGS_SERVER_TO_REDIR) != 0;
    return message->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE;
}
