#include "relay/rebuild.h"

#include <string.h>

/* Offsets from the protocol id (2.2.3, 2.2.4, 2.2.31, 2.2.31.4). */
enum {
    AT_REQUEST_DIALECT_COUNT = 66,
    AT_REQUEST_CONTEXT_OFFSET = 92,
    AT_REQUEST_CONTEXT_COUNT = 96,
    AT_REQUEST_DIALECTS = 100,
    AT_RESPONSE_CONTEXT_COUNT = 70,
    AT_RESPONSE_CONTEXT_OFFSET = 124,
    AT_RESPONSE_BUFFER = 128,
    AT_IOCTL_INPUT_COUNT = 92,
};
enum { INFO_AT_DIALECT_COUNT = 22, INFO_AT_DIALECTS = 24 };

#define CONTEXT_ALIGNMENT 8u
/* Ids of one context that are kept when it is written anew. */
#define IDS_MAX 64u
/* Octets of a context's data when it is written anew. */
#define CONTEXT_DATA_MAX 512u

static bool is_meant(const struct tamper *tamper, uint16_t value) {
    for (unsigned i = 0; i < tamper->values_count; i++)
        if (tamper->values[i] == value)
            return true;
    return false;
}

static void set_u16(uint8_t *data, size_t at, uint16_t value) {
    struct writer writer = writer_over(data + at, sizeof value);

    writer_u16(&writer, value);
}

static void set_u32(uint8_t *data, size_t at, uint32_t value) {
    struct writer writer = writer_over(data + at, sizeof value);

    writer_u32(&writer, value);
}

/* A message that is written anew. */
struct rebuilding {
    const struct tamper *tamper;
    struct writer writer;
    bool met; /* what the alteration means was there */
};

/* Copies 16-bit ids without those that are meant, or with them at the end. Returns how many there are then. */
static uint16_t write_ids(struct rebuilding *rebuilding, struct span ids, struct writer *writer) {
    const struct tamper *tamper = rebuilding->tamper;
    struct reader reader = reader_over(ids);
    uint16_t count = 0;

    while (reader_left(&reader) >= 2) {
        uint16_t id = reader_u16(&reader);

        if (tamper->verb == VERB_TAKE && is_meant(tamper, id)) {
            rebuilding->met = true;
            continue;
        }
        writer_u16(writer, id);
        count++;
    }
    for (unsigned i = 0; tamper->verb == VERB_PUT && i < tamper->values_count; i++, count++)
        writer_u16(writer, tamper->values[i]);
    rebuilding->met |= tamper->verb == VERB_PUT;
    return count;
}

/* ---- contexts ---- */

/* A context's data with other ids, or another salt; as it was where it cannot be read. */
static struct span changed_data(struct rebuilding *rebuilding, const struct context *context, struct writer *writer) {
    uint8_t list[2 * (IDS_MAX + TAMPER_VALUES_MAX)], salt[UINT8_MAX];
    struct writer ids_writer = writer_over(list, sizeof list);
    struct context_ids ids;

    if (!context_ids_decode(context, &ids) || ids.ids.size > 2 * IDS_MAX || ids.rest.size > sizeof salt)
        return context->data;
    if (rebuilding->tamper->part == PART_SALT && ids.rest.size > 0) {
        memcpy(salt, ids.rest.data, ids.rest.size);
        salt[0] ^= (uint8_t)rebuilding->tamper->value;
        ids.rest.data = salt;
        rebuilding->met = true;
    } else if (rebuilding->tamper->part == PART_CONTEXT_IDS) {
        ids.count = write_ids(rebuilding, ids.ids, &ids_writer);
        ids.ids = writer_done(&ids_writer);
    }
    context_ids_encode(context->type, &ids, writer);
    rebuilding->writer.failed |= writer->failed;
    return writer_done(writer);
}

static bool changes_context(const struct tamper *tamper, const struct context *context) {
    if (tamper->part == PART_SALT)
        return context->type == CONTEXT_PREAUTH_INTEGRITY;
    return tamper->part == PART_CONTEXT_IDS && context->type == tamper->context_type;
}

static void write_context(struct rebuilding *rebuilding, const struct context *context) {
    uint8_t data[CONTEXT_DATA_MAX];
    struct writer data_writer = writer_over(data, sizeof data);
    struct context changed = *context;

    if (changes_context(rebuilding->tamper, context))
        changed.data = changed_data(rebuilding, context, &data_writer);
    context_encode(&changed, &rebuilding->writer);
}

/* What is put into a list of contexts, or into a context that is not there: an empty one, or one with just these ids. */
static uint16_t write_new_contexts(struct rebuilding *rebuilding) {
    const struct tamper *tamper = rebuilding->tamper;
    uint8_t data[2 * TAMPER_VALUES_MAX + 8], list[2 * TAMPER_VALUES_MAX];
    struct writer writer = writer_over(data, sizeof data), ids_writer = writer_over(list, sizeof list);
    struct context context = {.type = tamper->context_type};
    struct context_ids ids = {.count = 0};

    if (tamper->verb != VERB_PUT || rebuilding->met || tamper->part == PART_DIALECTS)
        return 0;
    if (tamper->part == PART_CONTEXTS) {
        context.type = tamper->values[0];
    } else {
        ids.count = write_ids(rebuilding, ids.ids, &ids_writer);
        ids.ids = writer_done(&ids_writer);
        context_ids_encode(context.type, &ids, &writer);
        context.data = writer_done(&writer);
    }
    context_encode(&context, &rebuilding->writer);
    rebuilding->met = true;
    return 1;
}

/* Writes the contexts that are left behind what is written already. Returns their number, and the first one's place. */
static uint16_t write_contexts(struct rebuilding *rebuilding, struct context_cursor cursor, uint32_t *first) {
    const struct tamper *tamper = rebuilding->tamper;
    struct context context;
    uint16_t count = 0;

    *first = (uint32_t)(rebuilding->writer.at + CONTEXT_ALIGNMENT - 1) & ~(CONTEXT_ALIGNMENT - 1);
    while (context_next(&cursor, &context)) {
        bool meant = tamper->part == PART_CONTEXTS && is_meant(tamper, context.type);

        rebuilding->met |= meant;
        if (meant && tamper->verb == VERB_TAKE)
            continue;
        write_context(rebuilding, &context);
        count++;
        if (meant) { /* once more */
            write_context(rebuilding, &context);
            count++;
        }
    }
    rebuilding->writer.failed |= cursor.malformed;
    return (uint16_t)(count + write_new_contexts(rebuilding));
}

/* ---- messages ---- */

static bool offers_311(struct span dialects) {
    struct reader reader = reader_over(dialects);

    while (reader_left(&reader) >= 2)
        if (reader_u16(&reader) == SMB2_DIALECT_311)
            return true;
    return false;
}

/* Without 3.1.1 there are no contexts: the octets that point to them are ClientStartTime then, which is zero (2.2.3). */
static void rebuild_request(struct rebuilding *rebuilding, const struct message *message) {
    const struct negotiate_request *request = &message->body.negotiate_request;
    struct context_cursor cursor =
        context_cursor(request->contexts, request->negotiate_context_count, request->negotiate_context_offset);
    struct writer *writer = &rebuilding->writer;
    uint32_t first = 0;
    uint16_t count = request->dialect_count, contexts = 0;

    writer_put(writer, span_slice(message->bytes, 0, AT_REQUEST_DIALECTS));
    if (rebuilding->tamper->part == PART_DIALECTS)
        count = write_ids(rebuilding, request->dialects, writer);
    else
        writer_put(writer, request->dialects);
    if (writer->failed)
        return;
    set_u16(writer->data, AT_REQUEST_DIALECT_COUNT, count);
    if (offers_311(span_slice(writer_done(writer), AT_REQUEST_DIALECTS, 2u * (size_t)count)))
        contexts = write_contexts(rebuilding, cursor, &first);
    else if (request->contexts.size == 0) /* never had any: these octets stay as they came */
        return;
    if (writer->failed)
        return;
    set_u32(writer->data, AT_REQUEST_CONTEXT_OFFSET, contexts > 0 ? first : 0);
    set_u16(writer->data, AT_REQUEST_CONTEXT_COUNT, contexts);
}

/* Contexts in front of the security buffer, which nobody is known to send, are left alone. */
static void rebuild_response(struct rebuilding *rebuilding, const struct message *message) {
    const struct negotiate_response *response = &message->body.negotiate_response;
    struct span buffer = response->security_buffer;
    size_t end = buffer.size > 0 ? (size_t)(buffer.data - message->bytes.data) + buffer.size : AT_RESPONSE_BUFFER;
    struct context_cursor cursor =
        context_cursor(response->contexts, response->negotiate_context_count, response->negotiate_context_offset);
    struct writer *writer = &rebuilding->writer;
    uint32_t first;
    uint16_t contexts;

    if (response->contexts.size == 0 || response->negotiate_context_offset < end) {
        writer->failed = true;
        return;
    }
    writer_put(writer, span_slice(message->bytes, 0, end));
    contexts = write_contexts(rebuilding, cursor, &first);
    if (writer->failed)
        return;
    set_u32(writer->data, AT_RESPONSE_CONTEXT_OFFSET, contexts > 0 ? first : 0);
    set_u16(writer->data, AT_RESPONSE_CONTEXT_COUNT, contexts);
}

static void rebuild_validation(struct rebuilding *rebuilding, const struct message *message) {
    const struct ioctl_request *request = &message->body.ioctl_request;
    struct validate_negotiate_info_request info;
    struct writer *writer = &rebuilding->writer;
    size_t start = request->input_offset;
    uint16_t count;

    if (!validate_request_decode(request->input, &info) || request->input.size == 0) {
        writer->failed = true;
        return;
    }
    writer_put(writer, span_slice(message->bytes, 0, start + INFO_AT_DIALECTS));
    count = write_ids(rebuilding, info.dialects, writer);
    if (writer->failed)
        return;
    set_u16(writer->data, start + INFO_AT_DIALECT_COUNT, count);
    set_u32(writer->data, AT_IOCTL_INPUT_COUNT, INFO_AT_DIALECTS + 2u * count);
}

static void rebuild(struct rebuilding *rebuilding, const struct message *message) {
    switch (message->kind) {
    case MESSAGE_NEGOTIATE_REQUEST:
        rebuild_request(rebuilding, message);
        break;
    case MESSAGE_NEGOTIATE_RESPONSE:
        rebuild_response(rebuilding, message);
        break;
    case MESSAGE_IOCTL_REQUEST:
        rebuild_validation(rebuilding, message);
        break;
    default:
        rebuilding->writer.failed = true;
        break;
    }
}

void rebuild_lists(const struct tamper *tamper, const struct message *message, struct tamper_buffer *buffer) {
    uint8_t octets[TAMPER_REBUILD_MAX];
    size_t room = buffer->room < sizeof octets ? buffer->room : sizeof octets;
    struct rebuilding rebuilding = {tamper, writer_over(octets, room), false};

    if (!message->body_valid || buffer->fixed)
        return;
    rebuild(&rebuilding, message);
    if (rebuilding.writer.failed || !rebuilding.met)
        return;
    memcpy(buffer->data, octets, rebuilding.writer.at);
    buffer->size = rebuilding.writer.at;
}
