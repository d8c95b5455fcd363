/* src/wire against any octets: nothing is read beyond the end, and what decodes, encodes, and
 * decodes to the same.
 *
 * The input is taken as a message of its own kind and then, with a header made for the purpose, as
 * each other kind, as a chain, a frame, validation info and a list of negotiate contexts. */
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/message.h"
#include "wire/names.h"

#define INPUT_SIZE_MAX 65536u /* octets; longer inputs show nothing new */
#define CONTEXT_COUNT  16u

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static bool same_field(const struct field *field, const void *a, const void *b) {
    return memcmp((const uint8_t *)a + field->offset, (const uint8_t *)b + field->offset,
                  field->width) == 0;
}

static void check_same(const struct message *a, const struct message *b) {
    struct message_fields list = message_fields(a->kind);

    CHECK(a->kind == b->kind && b->body_valid);
    CHECK(memcmp(&a->header, &b->header, sizeof a->header) == 0);
    for (unsigned i = 0; i < list.count; i++)
        CHECK(same_field(&list.fields[i], &a->body, &b->body));
}

/* What is encoded has each octet of the original at its place, or zero where no field accounts for
 * it. */
static void check_nothing_invented(struct span original, struct span encoded) {
    for (size_t i = 0; i < encoded.size; i++)
        CHECK(encoded.data[i] == 0 || (i < original.size && encoded.data[i] == original.data[i]));
}

static void check_round_trip(const struct message *message, uint8_t *room, size_t size) {
    struct writer first = writer_over(room, size), second = writer_over(room + size, size);
    struct message again;

    message_encode(message, &first);
    CHECK(!first.failed);
    check_nothing_invented(message->bytes, writer_done(&first));
    message_decode(writer_done(&first), first.at, &again);
    check_same(message, &again);
    message_encode(&again, &second);
    CHECK(span_equal(writer_done(&first), writer_done(&second)));
}

/* The wire and the struct agree on every field that is there. */
static void check_fields(const struct message *message) {
    struct message_fields list = message_fields(message->kind);
    struct span wire = span_slice(message->bytes, list.at, message->bytes.size);
    char text[64];
    uint64_t value;

    if (message->kind == MESSAGE_SMB1_OTHER)
        return;
    for (unsigned i = 0; i < list.count; i++)
        if (fields_get(&list.fields[i], wire, &value))
            CHECK(value == field_number(&list.fields[i], &message->body));
    CHECK(fields_print(list.fields, list.count, &message->body, text, sizeof text) < sizeof text);
}

static void check_message(struct span bytes, size_t size) {
    struct message message;
    uint8_t *room;

    message_decode(bytes, size, &message);
    CHECK(message.size == size && message.bytes.size <= size && message.bytes.size <= bytes.size);
    CHECK(!message.body_valid || message.kind != MESSAGE_UNKNOWN);
    check_fields(&message);
    if (!message.body_valid || bytes.size != size)
        return;
    room = malloc(2 * (size + 1)); /* one for the pad octet of an error */
    CHECK(room != NULL);
    check_round_trip(&message, room, size + 1);
    free(room);
}

struct header {
    uint16_t command;
    uint32_t flags, status;
};

static const struct header headers[] = {
    {SMB2_NEGOTIATE, 0, 0},
    {SMB2_NEGOTIATE, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_SUCCESS},
    {SMB2_SESSION_SETUP, 0, 0},
    {SMB2_SESSION_SETUP, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_MORE_PROCESSING_REQUIRED},
    {SMB2_LOGOFF, 0, 0},
    {SMB2_LOGOFF, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_SUCCESS},
    {SMB2_TREE_CONNECT, 0, 0},
    {SMB2_TREE_CONNECT, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_SUCCESS},
    {SMB2_IOCTL, 0, 0},
    {SMB2_IOCTL, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_SUCCESS},
    {SMB2_IOCTL, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_FILE_CLOSED},
    {SMB2_READ, 0, 0},
    {SMB2_READ, SMB2_FLAGS_SERVER_TO_REDIR, STATUS_SUCCESS},
};

static void put_number(uint8_t *wire, size_t size, const char *name, uint64_t value) {
    fields_set(fields_find(smb2_header_fields, smb2_header_fields_count, name), wire, size, value);
}

static void check_as_every_kind(struct span bytes) {
    uint8_t *data = malloc(bytes.size > 0 ? bytes.size : 1);

    CHECK(data != NULL);
    if (bytes.size > 0)
        memcpy(data, bytes.data, bytes.size);
    for (unsigned i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        put_number(data, bytes.size, "ProtocolId", 0x424d53fe);
        put_number(data, bytes.size, "Command", headers[i].command);
        put_number(data, bytes.size, "Flags", headers[i].flags);
        put_number(data, bytes.size, "Status", headers[i].status);
        check_message((struct span){data, bytes.size}, bytes.size);
        check_message((struct span){data, bytes.size}, bytes.size + 1);
    }
    for (uint64_t id = 0x424d53fc; id <= 0x424d53ff; id++) {
        put_number(data, bytes.size, "ProtocolId", id);
        check_message((struct span){data, bytes.size}, bytes.size);
    }
    free(data);
}

static void check_chain(struct span bytes) {
    struct chain_cursor cursor = chain_cursor(bytes, bytes.size);
    struct message message;
    size_t total = 0;

    while (chain_next(&cursor, &message))
        total += message.size;
    CHECK(total == bytes.size);
}

static void check_frame(struct span bytes) {
    struct frame frame, again;
    uint8_t room[FRAME_HEADER_SIZE];
    struct writer writer = writer_over(room, sizeof room);

    if (!frame_decode(bytes, &frame))
        return;
    frame_encode(&writer, &frame);
    CHECK(frame_decode(writer_done(&writer), &again));
    CHECK(frame.type == again.type && frame.length == again.length);
}

static void check_validation_request(struct span bytes, struct writer writer) {
    struct validate_negotiate_info_request info;

    if (!validate_request_decode(bytes, &info))
        return;
    validate_request_encode(&info, &writer);
    CHECK(span_equal(writer_done(&writer), span_slice(bytes, 0, writer.at)));
    CHECK(writer.at == 24 + 2u * info.dialect_count);
}

static void check_validation_response(struct span bytes, struct writer writer) {
    struct validate_negotiate_info_response info;

    if (!validate_response_decode(bytes, &info))
        return;
    validate_response_encode(&info, &writer);
    CHECK(span_equal(writer_done(&writer), span_slice(bytes, 0, VALIDATE_RESPONSE_SIZE)));
}

static void check_context(const struct context *context, struct writer writer) {
    struct context again = *context;
    struct context_ids ids, same;

    CHECK(context->data.size == context->data_length);
    if (!context_ids_decode(context, &ids))
        return;
    context_ids_encode(context->type, &ids, &writer);
    CHECK(!writer.failed);
    again.data = writer_done(&writer);
    CHECK(context_ids_decode(&again, &same));
    CHECK(same.count == ids.count && same.salt_length == ids.salt_length &&
          same.flags == ids.flags);
    CHECK(span_equal(same.ids, ids.ids) && span_equal(same.rest, ids.rest));
    CHECK(ids.ids.size == 2u * ids.count);
}

static void check_contexts(struct span bytes, uint32_t offset, struct writer writer) {
    struct context_cursor cursor = context_cursor(bytes, CONTEXT_COUNT, offset);
    struct context context;
    unsigned count = 0;

    while (context_next(&cursor, &context)) {
        CHECK(context.offset >= offset && (count == 0 || context.offset % 8 == 0));
        check_context(&context, writer);
        count++;
    }
    CHECK(count + cursor.left == CONTEXT_COUNT && (cursor.left == 0 || cursor.malformed));
}

static void check_dialects(struct span bytes) {
    struct span dialect, left = bytes;

    while (smb1_dialect_next(&left, &dialect))
        CHECK(dialect.size + left.size + 2 <= bytes.size);
}

static void check_parts(struct span bytes) {
    uint8_t *room = malloc(bytes.size + 1);
    struct writer writer = writer_over(room, bytes.size);

    CHECK(room != NULL);
    check_validation_request(bytes, writer);
    check_validation_response(bytes, writer);
    check_contexts(bytes, 0x70, writer);
    check_contexts(bytes, 0x73, writer);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span bytes = {data, size};

    if (size > INPUT_SIZE_MAX)
        return 0;
    check_message(bytes, size);
    check_as_every_kind(bytes);
    check_chain(bytes);
    check_frame(bytes);
    check_parts(bytes);
    check_dialects(bytes);
    return 0;
}
