#include <string.h>

#include "wire/parts.h"

#define REQUEST_FIXED_SIZE  36u
#define RESPONSE_FIXED_SIZE 64u
#define CONTEXT_HEADER_SIZE 8u

#define FIELDS_STRUCT struct negotiate_request
FIELDS_DEFINE(negotiate_request, NEGOTIATE_REQUEST_FIELDS)
FIELDS_DECODER(negotiate_request, NEGOTIATE_REQUEST_FIELDS, REQUEST_FIXED_SIZE)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct negotiate_response
FIELDS_DEFINE(negotiate_response, NEGOTIATE_RESPONSE_FIELDS)
FIELDS_DECODER(negotiate_response, NEGOTIATE_RESPONSE_FIELDS, RESPONSE_FIXED_SIZE)
#undef FIELDS_STRUCT

uint16_t negotiate_dialect(const struct negotiate_request *request, unsigned i) {
    struct reader reader = reader_over(span_slice(request->dialects, 2u * (size_t)i, 2));

    return reader_u16(&reader);
}

bool negotiate_offers(const struct negotiate_request *request, uint16_t dialect) {
    for (unsigned i = 0; i < request->dialects.size / 2; i++)
        if (negotiate_dialect(request, i) == dialect)
            return true;
    return false;
}

/* 2.2.3. Contexts are only there when 3.1.1 is offered; else these octets are ClientStartTime.
 * Whether the contexts themselves hold together is for the deciders: a list out of bounds leaves
 * `contexts` empty. */
bool negotiate_request_decode(struct span message, struct negotiate_request *request) {
    struct reader reader = body_reader(message);
    bool fixed = negotiate_request_fields_decode(&reader, request);
    size_t wanted = 2u * (size_t)request->dialect_count;
    size_t first = SMB2_HEADER_SIZE + REQUEST_FIXED_SIZE;

    request->dialects = span_slice(message, first, wanted);
    request->dialects.size &= ~(size_t)1;
    request->contexts = (struct span){0};
    if (negotiate_offers(request, SMB2_DIALECT_311) &&
        request->negotiate_context_offset >= first + wanted)
        request->contexts = span_slice(message, request->negotiate_context_offset, message.size);
    return fixed && request->dialects.size == wanted;
}

void negotiate_request_encode(const struct smb2_header *header,
                              const struct negotiate_request *request, struct writer *writer) {
    smb2_header_encode(header, writer);
    fields_encode(negotiate_request_fields, negotiate_request_fields_count, REQUEST_FIXED_SIZE,
                  request, writer);
    writer_put(writer, request->dialects);
    part_put(writer, request->negotiate_context_offset, request->contexts);
}

/* Do the contexts begin within the security buffer? In front of it they may, though nobody is known
 * to do so. */
static bool contexts_overlap(const struct negotiate_response *response) {
    return response->security_buffer.size > 0 &&
           response->negotiate_context_offset >= response->security_buffer_offset &&
           response->negotiate_context_offset - response->security_buffer_offset <
               response->security_buffer.size;
}

/* 2.2.4 */
bool negotiate_response_decode(struct span message, struct negotiate_response *response) {
    struct reader reader = body_reader(message);
    bool valid = negotiate_response_fields_decode(&reader, response);
    size_t first = SMB2_HEADER_SIZE + RESPONSE_FIXED_SIZE;

    response->security_buffer = part_at(message, response->security_buffer_offset,
                                        response->security_buffer_length, first, &valid);
    response->contexts = (struct span){0};
    if (response->dialect_revision == SMB2_DIALECT_311 && !contexts_overlap(response) &&
        response->negotiate_context_offset >= first)
        response->contexts = span_slice(message, response->negotiate_context_offset, message.size);
    return valid;
}

void negotiate_response_encode(const struct smb2_header *header,
                               const struct negotiate_response *response, struct writer *writer) {
    bool contexts_first = response->contexts.size > 0 && response->security_buffer.size > 0 &&
                          response->negotiate_context_offset < response->security_buffer_offset;

    smb2_header_encode(header, writer);
    fields_encode(negotiate_response_fields, negotiate_response_fields_count, RESPONSE_FIXED_SIZE,
                  response, writer);
    if (contexts_first) { /* the span of contexts reaches to the message's end, and so holds the
                             buffer, too */
        part_put(writer, response->negotiate_context_offset, response->contexts);
        return;
    }
    part_put(writer, response->security_buffer_offset, response->security_buffer);
    part_put(writer, response->negotiate_context_offset, response->contexts);
}

struct context_cursor context_cursor(struct span contexts, uint16_t count, uint32_t offset) {
    return (struct context_cursor){.contexts = contexts, .base = offset, .left = count};
}

bool context_next(struct context_cursor *cursor, struct context *context) {
    struct reader reader;
    size_t aligned = cursor->at;

    if (cursor->left == 0 || cursor->malformed)
        return false;
    if (aligned > 0) /* 2.2.3.1: alignment counts from the header, and the first one lies where its
                        offset says */
        aligned += (8 - (cursor->base + aligned) % 8) % 8;
    reader = reader_over(span_slice(cursor->contexts, aligned, cursor->contexts.size));
    context->offset = cursor->base + (uint32_t)aligned;
    context->type = reader_u16(&reader);
    context->data_length = reader_u16(&reader);
    context->reserved = reader_u32(&reader);
    context->data = reader_take(&reader, context->data_length);
    if (reader.failed) {
        cursor->malformed = true;
        return false;
    }
    cursor->at = aligned + CONTEXT_HEADER_SIZE + context->data_length;
    cursor->left--;
    return true;
}

void context_encode(const struct context *context, struct writer *writer) {
    writer_align(writer, 8);
    writer_u16(writer, context->type);
    writer_u16(writer, (uint16_t)context->data.size);
    writer_u32(writer, context->reserved);
    writer_put(writer, context->data);
}

bool context_ids_decode(const struct context *context, struct context_ids *ids) {
    struct reader reader = reader_over(context->data);

    memset(ids, 0, sizeof *ids);
    switch (context->type) {
    case CONTEXT_PREAUTH_INTEGRITY:
        ids->count = reader_u16(&reader);
        ids->salt_length = reader_u16(&reader);
        ids->ids = reader_take(&reader, 2u * (size_t)ids->count);
        ids->rest = reader_take(&reader, ids->salt_length);
        break;
    case CONTEXT_ENCRYPTION:
    case CONTEXT_SIGNING:
        ids->count = reader_u16(&reader);
        ids->ids = reader_take(&reader, 2u * (size_t)ids->count);
        break;
    case CONTEXT_COMPRESSION:
    case CONTEXT_RDMA_TRANSFORM:
        ids->count = reader_u16(&reader);
        reader_skip(&reader, 2);
        ids->flags = reader_u32(&reader);
        ids->ids = reader_take(&reader, 2u * (size_t)ids->count);
        break;
    case CONTEXT_TRANSPORT:
        ids->flags = reader_u32(&reader);
        break;
    default:
        ids->rest = context->data;
        break;
    }
    return !reader.failed;
}

void context_ids_encode(uint16_t type, const struct context_ids *ids, struct writer *writer) {
    switch (type) {
    case CONTEXT_PREAUTH_INTEGRITY:
        writer_u16(writer, ids->count);
        writer_u16(writer, ids->salt_length);
        writer_put(writer, ids->ids);
        writer_put(writer, ids->rest);
        break;
    case CONTEXT_ENCRYPTION:
    case CONTEXT_SIGNING:
        writer_u16(writer, ids->count);
        writer_put(writer, ids->ids);
        break;
    case CONTEXT_COMPRESSION:
    case CONTEXT_RDMA_TRANSFORM:
        writer_u16(writer, ids->count);
        writer_u16(writer, 0);
        writer_u32(writer, ids->flags);
        writer_put(writer, ids->ids);
        break;
    case CONTEXT_TRANSPORT:
        writer_u32(writer, ids->flags);
        break;
    default:
        writer_put(writer, ids->rest);
        break;
    }
}

uint16_t context_id(const struct context_ids *ids, unsigned i) {
    struct reader reader = reader_over(span_slice(ids->ids, 2u * (size_t)i, 2));

    return reader_u16(&reader);
}
