/* The header and the messages around a session: SESSION_SETUP, TREE_CONNECT, IOCTL, errors,
 * transforms. */
#include <string.h>

#include "wire/parts.h"

#define SESSION_SETUP_REQUEST_SIZE  24u
#define SESSION_SETUP_RESPONSE_SIZE 8u
#define EMPTY_BODY_SIZE             4u
#define TREE_CONNECT_REQUEST_SIZE   8u
#define TREE_CONNECT_RESPONSE_SIZE  16u
#define IOCTL_REQUEST_SIZE          56u
#define IOCTL_RESPONSE_SIZE         48u
#define VALIDATE_REQUEST_SIZE       24u
#define ERROR_RESPONSE_SIZE         8u

#define FIELDS_STRUCT struct smb2_header
FIELDS_DEFINE(smb2_header, SMB2_HEADER_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct session_setup_request
FIELDS_DEFINE(session_setup_request, SESSION_SETUP_REQUEST_FIELDS)
FIELDS_DECODER(session_setup_request, SESSION_SETUP_REQUEST_FIELDS, SESSION_SETUP_REQUEST_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct session_setup_response
FIELDS_DEFINE(session_setup_response, SESSION_SETUP_RESPONSE_FIELDS)
FIELDS_DECODER(session_setup_response, SESSION_SETUP_RESPONSE_FIELDS, SESSION_SETUP_RESPONSE_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct empty_body
FIELDS_DEFINE(empty_body, EMPTY_BODY_FIELDS)
FIELDS_DECODER(empty_body, EMPTY_BODY_FIELDS, EMPTY_BODY_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct tree_connect_request
FIELDS_DEFINE(tree_connect_request, TREE_CONNECT_REQUEST_FIELDS)
FIELDS_DECODER(tree_connect_request, TREE_CONNECT_REQUEST_FIELDS, TREE_CONNECT_REQUEST_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct tree_connect_response
FIELDS_DEFINE(tree_connect_response, TREE_CONNECT_RESPONSE_FIELDS)
FIELDS_DECODER(tree_connect_response, TREE_CONNECT_RESPONSE_FIELDS, TREE_CONNECT_RESPONSE_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct ioctl_request
FIELDS_DEFINE(ioctl_request, IOCTL_REQUEST_FIELDS)
FIELDS_DECODER(ioctl_request, IOCTL_REQUEST_FIELDS, IOCTL_REQUEST_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct ioctl_response
FIELDS_DEFINE(ioctl_response, IOCTL_RESPONSE_FIELDS)
FIELDS_DECODER(ioctl_response, IOCTL_RESPONSE_FIELDS, IOCTL_RESPONSE_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct validate_negotiate_info_request
FIELDS_DEFINE(validate_request, VALIDATE_REQUEST_FIELDS)
FIELDS_DECODER(validate_request, VALIDATE_REQUEST_FIELDS, VALIDATE_REQUEST_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct validate_negotiate_info_response
FIELDS_DEFINE(validate_response, VALIDATE_RESPONSE_FIELDS)
FIELDS_DECODER(validate_response, VALIDATE_RESPONSE_FIELDS, VALIDATE_RESPONSE_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct error_response
FIELDS_DEFINE(error_response, ERROR_RESPONSE_FIELDS)
FIELDS_DECODER(error_response, ERROR_RESPONSE_FIELDS, ERROR_RESPONSE_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct transform_header
FIELDS_DEFINE(transform_header, TRANSFORM_HEADER_FIELDS)
FIELDS_DECODER(transform_header, TRANSFORM_HEADER_FIELDS, TRANSFORM_HEADER_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct compression_header
FIELDS_DEFINE(compression_header, COMPRESSION_HEADER_FIELDS)
FIELDS_DECODER(compression_header, COMPRESSION_HEADER_FIELDS, COMPRESSION_HEADER_SIZE)
#undef FIELDS_STRUCT

struct reader body_reader(struct span message) {
    struct reader reader = reader_over(message);

    reader_skip(&reader, SMB2_HEADER_SIZE);
    return reader;
}

struct span part_at(struct span message, uint32_t offset, uint32_t size, size_t earliest,
                    bool *valid) {
    struct span part = span_slice(message, offset, size);

    if (size == 0)
        return (struct span){0};
    if (offset < earliest || part.size < size) {
        *valid = false;
        return (struct span){0};
    }
    return part;
}

void part_put(struct writer *writer, uint32_t offset, struct span part) {
    if (part.size == 0)
        return;
    if (offset < writer->at)
        writer->failed = true;
    else
        writer_zero(writer, offset - writer->at);
    writer_put(writer, part);
}

uint64_t smb2_header_async_id(const struct smb2_header *header) {
    return (uint64_t)header->tree_id << 32 | header->process_id;
}

bool smb2_header_decode_fields(struct span message, struct smb2_header *header) {
    struct reader reader = reader_over(message);

    return fields_decode(smb2_header_fields, smb2_header_fields_count, SMB2_HEADER_SIZE, &reader, header);
}

void smb2_header_encode(const struct smb2_header *header, struct writer *writer) {
    fields_encode(smb2_header_fields, smb2_header_fields_count, SMB2_HEADER_SIZE, header, writer);
}

bool session_setup_request_decode(struct span message, struct session_setup_request *request) {
    struct reader reader = body_reader(message);
    bool valid = session_setup_request_fields_decode(&reader, request);

    request->security_buffer =
        part_at(message, request->security_buffer_offset, request->security_buffer_length,
                SMB2_HEADER_SIZE + SESSION_SETUP_REQUEST_SIZE, &valid);
    return valid;
}

void session_setup_request_encode(const struct smb2_header *header,
                                  const struct session_setup_request *request,
                                  struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(session_setup_request_fields, session_setup_request_fields_count,
                  SESSION_SETUP_REQUEST_SIZE, request, writer);
    part_put(writer, request->security_buffer_offset, request->security_buffer);
}

bool session_setup_response_decode(struct span message, struct session_setup_response *response) {
    struct reader reader = body_reader(message);
    bool valid = session_setup_response_fields_decode(&reader, response);

    response->security_buffer =
        part_at(message, response->security_buffer_offset, response->security_buffer_length,
                SMB2_HEADER_SIZE + SESSION_SETUP_RESPONSE_SIZE, &valid);
    return valid;
}

void session_setup_response_encode(const struct smb2_header *header,
                                   const struct session_setup_response *response,
                                   struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(session_setup_response_fields, session_setup_response_fields_count,
                  SESSION_SETUP_RESPONSE_SIZE, response, writer);
    part_put(writer, response->security_buffer_offset, response->security_buffer);
}

bool empty_body_decode(struct span message, struct empty_body *body) {
    struct reader reader = body_reader(message);

    return empty_body_fields_decode(&reader, body);
}

void empty_body_encode(const struct smb2_header *header, const struct empty_body *body,
                       struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(empty_body_fields, empty_body_fields_count, EMPTY_BODY_SIZE, body, writer);
}

bool tree_connect_request_decode(struct span message, struct tree_connect_request *request) {
    struct reader reader = body_reader(message);
    bool valid = tree_connect_request_fields_decode(&reader, request);

    request->path = part_at(message, request->path_offset, request->path_length,
                            SMB2_HEADER_SIZE + TREE_CONNECT_REQUEST_SIZE, &valid);
    return valid;
}

void tree_connect_request_encode(const struct smb2_header *header,
                                 const struct tree_connect_request *request,
                                 struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(tree_connect_request_fields, tree_connect_request_fields_count,
                  TREE_CONNECT_REQUEST_SIZE, request, writer);
    part_put(writer, request->path_offset, request->path);
}

bool tree_connect_response_decode(struct span message, struct tree_connect_response *response) {
    struct reader reader = body_reader(message);

    return tree_connect_response_fields_decode(&reader, response);
}

void tree_connect_response_encode(const struct smb2_header *header,
                                  const struct tree_connect_response *response,
                                  struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(tree_connect_response_fields, tree_connect_response_fields_count,
                  TREE_CONNECT_RESPONSE_SIZE, response, writer);
}

/* InputOffset and OutputOffset of what is empty differ from peer to peer, so they mean nothing
 * then. */
bool ioctl_request_decode(struct span message, struct ioctl_request *request) {
    struct reader reader = body_reader(message);
    bool valid = ioctl_request_fields_decode(&reader, request);

    request->input = part_at(message, request->input_offset, request->input_count,
                             SMB2_HEADER_SIZE + IOCTL_REQUEST_SIZE, &valid);
    return valid;
}

void ioctl_request_encode(const struct smb2_header *header, const struct ioctl_request *request,
                          struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(ioctl_request_fields, ioctl_request_fields_count, IOCTL_REQUEST_SIZE, request,
                  writer);
    part_put(writer, request->input_offset, request->input);
}

bool ioctl_response_decode(struct span message, struct ioctl_response *response) {
    struct reader reader = body_reader(message);
    bool valid = ioctl_response_fields_decode(&reader, response);
    size_t earliest = SMB2_HEADER_SIZE + IOCTL_RESPONSE_SIZE;

    response->input =
        part_at(message, response->input_offset, response->input_count, earliest, &valid);
    if (response->input.size > 0)
        earliest = (size_t)response->input_offset + response->input_count;
    response->output =
        part_at(message, response->output_offset, response->output_count, earliest, &valid);
    return valid;
}

void ioctl_response_encode(const struct smb2_header *header, const struct ioctl_response *response,
                           struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(ioctl_response_fields, ioctl_response_fields_count, IOCTL_RESPONSE_SIZE, response,
                  writer);
    part_put(writer, response->input_offset, response->input);
    part_put(writer, response->output_offset, response->output);
}

bool validate_request_decode(struct span input, struct validate_negotiate_info_request *info) {
    struct reader reader = reader_over(input);

    validate_request_fields_decode(&reader, info);
    info->dialects = reader_take(&reader, 2u * (size_t)info->dialect_count);
    return !reader.failed;
}

void validate_request_encode(const struct validate_negotiate_info_request *info,
                             struct writer *writer) {
    fields_encode(validate_request_fields, validate_request_fields_count, VALIDATE_REQUEST_SIZE,
                  info, writer);
    writer_put(writer, info->dialects);
}

bool validate_response_decode(struct span output, struct validate_negotiate_info_response *info) {
    struct reader reader = reader_over(output);

    return validate_response_fields_decode(&reader, info);
}

void validate_response_encode(const struct validate_negotiate_info_response *info,
                              struct writer *writer) {
    fields_encode(validate_response_fields, validate_response_fields_count, VALIDATE_RESPONSE_SIZE,
                  info, writer);
}

/* 2.2.2. Where ByteCount is 0 one pad octet may follow or not. */
bool error_response_decode(struct span message, struct error_response *error) {
    struct reader reader = body_reader(message);
    bool valid = error_response_fields_decode(&reader, error);

    error->data =
        part_at(message, SMB2_HEADER_SIZE + ERROR_RESPONSE_SIZE, error->byte_count, 0, &valid);
    return valid;
}

void error_response_encode(const struct smb2_header *header, const struct error_response *error,
                           struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(error_response_fields, error_response_fields_count, ERROR_RESPONSE_SIZE, error,
                  writer);
    if (error->data.size > 0)
        writer_put(writer, error->data);
    else
        writer_u8(writer, 0);
}

bool transform_header_decode(struct span message, struct transform_header *header) {
    struct reader reader = reader_over(message);

    return transform_header_fields_decode(&reader, header);
}

void transform_header_encode(const struct transform_header *header, struct writer *writer) {
    fields_encode(transform_header_fields, transform_header_fields_count, TRANSFORM_HEADER_SIZE,
                  header, writer);
}

bool compression_header_decode(struct span message, struct compression_header *header) {
    struct reader reader = reader_over(message);

    return compression_header_fields_decode(&reader, header);
}

void compression_header_encode(const struct compression_header *header, struct writer *writer) {
    fields_encode(compression_header_fields, compression_header_fields_count,
                  COMPRESSION_HEADER_SIZE, header, writer);
}
