#include "places.h"

#include <stdio.h>

const char *place_message(enum message_kind kind) {
    switch (kind) {
    case MESSAGE_SMB1_NEGOTIATE_REQUEST:
        return "SMB1 NEGOTIATE request";
    case MESSAGE_NEGOTIATE_REQUEST:
        return "NEGOTIATE request";
    case MESSAGE_NEGOTIATE_RESPONSE:
        return "NEGOTIATE response";
    case MESSAGE_SESSION_SETUP_REQUEST:
        return "SESSION_SETUP request";
    case MESSAGE_SESSION_SETUP_RESPONSE:
        return "SESSION_SETUP response";
    case MESSAGE_TREE_CONNECT_REQUEST:
        return "TREE_CONNECT request";
    case MESSAGE_TREE_CONNECT_RESPONSE:
        return "TREE_CONNECT response";
    case MESSAGE_IOCTL_REQUEST:
        return "VALIDATE request";
    case MESSAGE_IOCTL_RESPONSE:
        return "VALIDATE response";
    case MESSAGE_ERROR:
        return "error response";
    case MESSAGE_TRANSFORM:
        return "encrypted message";
    default:
        return "other message";
    }
}

static const char *field_in(const struct field *fields, unsigned count, size_t offset) {
    for (unsigned i = 0; i < count; i++)
        if (offset >= fields[i].wire_offset && offset - fields[i].wire_offset < fields[i].width)
            return fields[i].name;
    return NULL;
}

static bool lies_in(struct span message, struct span part, size_t offset) {
    size_t start = part.size > 0 ? (size_t)(part.data - message.data) : 0;
    return part.size > 0 && offset >= start && offset - start < part.size;
}

/* The variable part that holds the octet. */
static const char *part_name(const struct message *message, size_t offset) {
    const struct negotiate_request *request = &message->body.negotiate_request;
    const struct negotiate_response *response = &message->body.negotiate_response;
    if (message->kind == MESSAGE_NEGOTIATE_REQUEST && lies_in(message->bytes, request->dialects, offset))
        return "Dialects";
    if (message->kind == MESSAGE_NEGOTIATE_REQUEST && lies_in(message->bytes, request->contexts, offset))
        return "NegotiateContextList";
    if (message->kind == MESSAGE_NEGOTIATE_RESPONSE && lies_in(message->bytes, response->contexts, offset))
        return "NegotiateContextList";
    if (message->kind == MESSAGE_NEGOTIATE_RESPONSE && !lies_in(message->bytes, response->security_buffer, offset))
        return "padding";
    if (message->kind == MESSAGE_NEGOTIATE_REQUEST)
        return "padding";
    return message->kind == MESSAGE_TRANSFORM ? "ciphertext" : "Buffer";
}

const char *place_field(const struct message *message, size_t offset) {
    struct message_fields list = message_fields(message->kind);
    const char *name = NULL;
    if (message_is_smb2(message) && offset < SMB2_HEADER_SIZE)
        return field_in(smb2_header_fields, smb2_header_fields_count, offset);
    if (offset >= list.at)
        name = field_in(list.fields, list.count, offset - list.at);
    return name != NULL ? name : part_name(message, offset);
}

void place_name(const struct message *message, unsigned index, size_t offset, char *name, size_t size) {
    bool in_header = message_is_smb2(message) && offset < SMB2_HEADER_SIZE;
    snprintf(name, size, "%s (%u) %s%s", place_message(message->kind), index + 1, in_header ? "header " : "",
             place_field(message, offset));
}
