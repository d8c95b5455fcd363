#include "wire/files.h"

#include <string.h>

#include "wire/layout_rows.h"
#include "wire/parts.h"

#define FIELDS_STRUCT struct create_request
FIELDS_DEFINE(create_request, CREATE_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct create_response
FIELDS_DEFINE(create_response, CREATE_RESPONSE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct close_request
FIELDS_DEFINE(close_request, CLOSE_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct close_response
FIELDS_DEFINE(close_response, CLOSE_RESPONSE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct flush_request
FIELDS_DEFINE(flush_request, FLUSH_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct read_request
FIELDS_DEFINE(read_request, READ_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct read_response
FIELDS_DEFINE(read_response, READ_RESPONSE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct write_request
FIELDS_DEFINE(write_request, WRITE_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct write_response
FIELDS_DEFINE(write_response, WRITE_RESPONSE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct lock_request
FIELDS_DEFINE(lock_request, LOCK_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct lock_element
FIELDS_DEFINE(lock_element, LOCK_ELEMENT_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct query_directory_request
FIELDS_DEFINE(query_directory_request, QUERY_DIRECTORY_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct change_notify_request
FIELDS_DEFINE(change_notify_request, CHANGE_NOTIFY_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct query_info_request
FIELDS_DEFINE(query_info_request, QUERY_INFO_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct output_response
FIELDS_DEFINE(output_response, OUTPUT_RESPONSE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct set_info_request
FIELDS_DEFINE(set_info_request, SET_INFO_REQUEST_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct set_info_response
FIELDS_DEFINE(set_info_response, SET_INFO_RESPONSE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct oplock_break
FIELDS_DEFINE(oplock_break, OPLOCK_BREAK_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct lease_break_notification
FIELDS_DEFINE(lease_break_notification, LEASE_BREAK_NOTIFICATION_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct lease_break
FIELDS_DEFINE(lease_break, LEASE_BREAK_FIELDS)
#undef FIELDS_STRUCT

#define MESSAGE_DEFINE(name, size, structure_size, least, ...) \
    LAYOUT_DEFINE(name, SMB2_HEADER_SIZE, size, structure_size, least, __VA_ARGS__)
FILE_BODIES(MESSAGE_DEFINE, LAYOUT_PART, LAYOUT_TAIL)

bool lock_element_at(const struct lock_request *request, unsigned i, struct lock_element *element) {
    struct reader reader = reader_over(span_slice(request->locks, (size_t)i * LOCK_ELEMENT_SIZE, LOCK_ELEMENT_SIZE));

    return fields_decode(lock_element_fields, lock_element_fields_count, LOCK_ELEMENT_SIZE, &reader, element);
}

void lock_element_encode(const struct lock_element *element, struct writer *writer) {
    fields_encode(lock_element_fields, lock_element_fields_count, LOCK_ELEMENT_SIZE, element, writer);
}

/* 2.2.13.2: Next, NameOffset, NameLength, Reserved, DataOffset, DataLength. */
#define CREATE_CONTEXT_SIZE 16u

bool create_context_decode(struct span entry, struct create_context *context) {
    struct reader reader = reader_over(entry);
    uint16_t name_offset, name_length, data_offset;
    uint32_t data_length;
    bool valid = true;

    reader_skip(&reader, 4);
    name_offset = reader_u16(&reader);
    name_length = reader_u16(&reader);
    reader_skip(&reader, 2);
    data_offset = reader_u16(&reader);
    data_length = reader_u32(&reader);
    context->name = part_at(entry, name_offset, name_length, CREATE_CONTEXT_SIZE, &valid);
    context->data = part_at(entry, data_offset, data_length, (size_t)name_offset + name_length, &valid);
    return valid && !reader.failed && name_length > 0;
}

void create_context_encode(const struct create_context *context, struct writer *writer, size_t start,
                           size_t *previous) {
    size_t padding = (ENTRY_ALIGNMENT - context->name.size % ENTRY_ALIGNMENT) % ENTRY_ALIGNMENT;
    bool has_data = context->data.size > 0;

    entry_begin(writer, start, previous);
    writer_u32(writer, 0);
    writer_u16(writer, CREATE_CONTEXT_SIZE);
    writer_u16(writer, (uint16_t)context->name.size);
    writer_u16(writer, 0);
    writer_u16(writer, has_data ? (uint16_t)(CREATE_CONTEXT_SIZE + context->name.size + padding) : 0);
    writer_u32(writer, (uint32_t)context->data.size);
    writer_put(writer, context->name);
    if (has_data)
        writer_zero(writer, padding);
    writer_put(writer, context->data);
    writer->failed |= context->name.size > UINT16_MAX - CREATE_CONTEXT_SIZE - ENTRY_ALIGNMENT;
}

bool create_context_find(struct span contexts, const char *name, struct span *data) {
    struct entry_cursor cursor = entry_cursor(contexts);
    struct span entry, wanted = {(const uint8_t *)name, strlen(name)};
    struct create_context context;

    while (entry_next(&cursor, &entry))
        if (create_context_decode(entry, &context) && span_equal(context.name, wanted)) {
            *data = context.data;
            return true;
        }
    return false;
}
