#include "bodies.h"

#include <stdlib.h>
#include <string.h>

#include "wire/files.h"
#include "wire/info.h"
#include "wire/rpc.h"

#define RECORD_SIZE_MAX 256u
#define ROOM_MORE       64u /* octets that an encoding may be longer: pads that came as nothing */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

struct body {
    const char *name;
    bool (*decode)(struct span bytes, void *record);
    void (*encode)(const void *record, struct writer *writer);
    const struct field *fields;
    const unsigned *count;
    size_t at;
};

#define NO_PART(name, span, length, unit, offset, alignment)
#define NO_TAIL(name, span, length, unit)
#define ADAPTERS(name, size, structure_size, least, ...)                                                               \
    static bool name##_any_decode(struct span bytes, void *record) {                                                   \
        _Static_assert(sizeof(struct name) <= RECORD_SIZE_MAX, #name);                                                 \
        return name##_decode(bytes, record);                                                                           \
    }                                                                                                                  \
    static void name##_any_encode(const void *record, struct writer *writer) {                                         \
        name##_encode(record, writer);                                                                                 \
    }
FILE_BODIES(ADAPTERS, NO_PART, NO_TAIL)
INFO_BODIES(ADAPTERS, NO_TAIL)

#define ROW_AT(name, start)                                                                                           \
    {#name, name##_any_decode, name##_any_encode, name##_fields, &name##_fields_count, start},
#define MESSAGE_ROW(name, size, structure_size, least, ...) ROW_AT(name, SMB2_HEADER_SIZE)
#define RECORD_ROW(name, size, structure_size, least, ...)  ROW_AT(name, 0)
static const struct body bodies[] = {FILE_BODIES(MESSAGE_ROW, NO_PART, NO_TAIL) INFO_BODIES(RECORD_ROW, NO_TAIL)};

unsigned bodies_count(void) {
    return sizeof bodies / sizeof bodies[0];
}

const char *bodies_name(unsigned kind) {
    return bodies[kind].name;
}

static bool same_fields(const struct body *body, const void *a, const void *b) {
    for (unsigned i = 0; i < *body->count; i++) {
        const struct field *field = &body->fields[i];

        if (memcmp((const uint8_t *)a + field->offset, (const uint8_t *)b + field->offset, field->width) != 0)
            return false;
    }
    return true;
}

static struct span encode(const struct body *body, const void *record, uint8_t *room, size_t size) {
    struct writer writer = writer_over(room, size);

    writer_zero(&writer, body->at);
    body->encode(record, &writer);
    CHECK(!writer.failed);
    return writer_done(&writer);
}

bool bodies_check(unsigned kind, struct span bytes) {
    const struct body *body = &bodies[kind];
    union {
        uint8_t octets[RECORD_SIZE_MAX];
        uint64_t aligned;
    } record, again;
    size_t size = bytes.size + ROOM_MORE;
    uint8_t *room = malloc(2 * size);
    struct span first, second;

    CHECK(room != NULL);
    if (!body->decode(bytes, &record)) {
        free(room);
        return false;
    }
    first = encode(body, &record, room, size);
    for (size_t i = body->at; i < first.size; i++)
        CHECK(first.data[i] == 0 || (i < bytes.size && first.data[i] == bytes.data[i]));
    CHECK(body->decode(first, &again) && same_fields(body, &record, &again));
    second = encode(body, &again, room + size, size);
    CHECK(span_equal(first, second));
    free(room);
    return true;
}

static void check_entries(enum file_info_class info_class, struct span bytes) {
    size_t size = bytes.size + ROOM_MORE, previous = SIZE_MAX, count = 0;
    uint8_t *room = malloc(size);
    struct writer writer = writer_over(room, size);
    struct entry_cursor cursor = entry_cursor(bytes);
    struct directory_entry entry;
    struct span octets;

    CHECK(room != NULL);
    while (entry_next(&cursor, &octets) && directory_entry_decode(info_class, octets, &entry)) {
        struct directory_entry again;
        size_t at;

        writer.at = count++ == 0 ? 0 : writer.at;
        if (writer.size - writer.at < octets.size + ENTRY_ALIGNMENT)
            writer.at = 0, previous = SIZE_MAX;
        entry_begin(&writer, 0, &previous);
        at = writer.at;
        directory_entry_encode(info_class, &entry, &writer);
        CHECK(!writer.failed);
        CHECK(directory_entry_decode(info_class, (struct span){room + at, writer.at - at}, &again));
        CHECK(span_equal(entry.name, again.name) && again.file_id == entry.file_id);
    }
    free(room);
}

static void check_create_contexts(struct span bytes) {
    struct entry_cursor cursor = entry_cursor(bytes);
    struct create_context context, again;
    struct span octets, found;

    while (entry_next(&cursor, &octets)) {
        size_t size = octets.size + ROOM_MORE, previous = SIZE_MAX;
        uint8_t *room = malloc(size);
        struct writer writer = writer_over(room, size);

        CHECK(room != NULL);
        if (create_context_decode(octets, &context)) {
            create_context_encode(&context, &writer, 0, &previous);
            CHECK(writer.failed || create_context_decode(writer_done(&writer), &again));
            CHECK(writer.failed || (span_equal(context.name, again.name) && span_equal(context.data, again.data)));
        }
        free(room);
    }
    create_context_find(bytes, "MxAc", &found);
}

static void check_shares(struct span bytes) {
    struct share_enum_response response;
    struct share_info share;
    uint32_t count = 0;

    if (!share_enum_response_decode(bytes, &response))
        return;
    while (share_next(&response.shares, &share))
        count++;
    CHECK(count == response.count && !response.shares.malformed);
}

static void check_share_request(struct span bytes) {
    struct share_enum_request request, again;
    uint8_t *room = malloc(bytes.size + ROOM_MORE);
    struct writer writer = writer_over(room, bytes.size + ROOM_MORE);

    CHECK(room != NULL);
    if (share_enum_request_decode(bytes, &request)) {
        share_enum_request_encode(&request, &writer);
        CHECK(share_enum_request_decode(writer_done(&writer), &again));
        CHECK(span_equal(request.server, again.server) && request.level == again.level &&
              request.preferred_size == again.preferred_size && request.resume == again.resume);
    }
    free(room);
}

static void check_pdu(struct span bytes) {
    struct rpc_pdu pdu, again;
    uint8_t *room = malloc(bytes.size + ROOM_MORE);
    struct writer writer = writer_over(room, bytes.size + ROOM_MORE);
    size_t size;

    CHECK(room != NULL);
    if (rpc_pdu_decode(bytes, &pdu, &size)) {
        CHECK(size <= bytes.size && pdu.stub.size <= size);
        rpc_pdu_encode(&pdu, &writer);
        CHECK(rpc_pdu_decode(writer_done(&writer), &again, &size));
        CHECK(again.type == pdu.type && again.call_id == pdu.call_id && span_equal(again.stub, pdu.stub) &&
              span_equal(again.secondary_address, pdu.secondary_address) && again.result == pdu.result);
    }
    free(room);
}

void bodies_check_lists(struct span bytes) {
    for (unsigned info_class = 0; info_class < 64; info_class++)
        if (directory_entry_size(info_class) > 0)
            check_entries(info_class, bytes);
    check_create_contexts(bytes);
    check_shares(bytes);
    check_share_request(bytes);
    check_pdu(bytes);
}
