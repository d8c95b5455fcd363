/* src/wire: bodies of files and directories, information classes, srvsvc. Real messages have the fields that are known
 * of them, each kind goes round, and whatever is cut or nonsense is told apart (run under AddressSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../fuzz/bodies.h"
#include "wire/files.h"
#include "wire/info.h"
#include "wire/rpc.h"

#define ROOM 1024u

struct room {
    uint8_t data[ROOM];
    struct writer writer;
};

static void message_begin(struct room *room) {
    memset(room->data, 0xee, sizeof room->data);
    room->writer = writer_over(room->data, sizeof room->data);
    writer_zero(&room->writer, SMB2_HEADER_SIZE);
}

static struct span octets(const char *text) {
    return (struct span){(const uint8_t *)text, strlen(text)};
}

static void assert_octets(struct span a, struct span b) {
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, b.size);
}

/* What smbclient sent to create a file, and what is known of it. */
static void create_request_is_as_on_the_wire(void **state) {
    static const uint8_t body[] = {
        0x39, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x89, 0x00, 0x12, 0x00, 0x10, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x00,
        0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x78, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    struct create_request request;
    uint8_t message[SMB2_HEADER_SIZE + sizeof body] = {0};
    struct room room;

    (void)state;
    memcpy(message + SMB2_HEADER_SIZE, body, sizeof body);
    assert_true(create_request_decode((struct span){message, sizeof message}, &request));
    assert_int_equal(request.desired_access,
                     ACCESS_SYNCHRONIZE | ACCESS_READ_CONTROL | FILE_READ_DATA | FILE_READ_EA | FILE_READ_ATTRIBUTES);
    assert_int_equal(request.file_attributes, FILE_ATTRIBUTE_DIRECTORY);
    assert_int_equal(request.share_access, FILE_SHARE_ALL);
    assert_int_equal(request.create_disposition, FILE_OPEN);
    assert_int_equal(request.create_options, FILE_DIRECTORY_FILE);
    assert_int_equal(request.name.size, 0);
    message_begin(&room);
    create_request_encode(&request, &room.writer);
    assert_octets(writer_done(&room.writer), (struct span){message, sizeof message});
}

static void create_request_is_placed(void **state) {
    struct create_request request = {.desired_access = FILE_READ_DATA, .name = octets("a\0b\0c\0d\0e\0")}, again;
    struct create_context maximal = {.name = octets("MxAc")}, durable = {octets("DHnQ"), octets("0123456789abcdef")};
    size_t previous = SIZE_MAX;
    struct writer contexts;
    uint8_t data[128];
    struct span found;
    struct room room;

    (void)state;
    request.name.size = 10;
    contexts = writer_over(data, sizeof data);
    create_context_encode(&maximal, &contexts, 0, &previous);
    create_context_encode(&durable, &contexts, 0, &previous);
    request.contexts = writer_done(&contexts);
    assert_true(create_request_place(&request));
    assert_int_equal(request.structure_size, 57);
    assert_int_equal(request.name_offset, 120);
    assert_int_equal(request.create_contexts_offset, 136);
    message_begin(&room);
    create_request_encode(&request, &room.writer);
    assert_true(create_request_decode(writer_done(&room.writer), &again));
    assert_octets(again.name, request.name);
    assert_octets(again.contexts, request.contexts);
    assert_true(create_context_find(again.contexts, "DHnQ", &found));
    assert_octets(found, durable.data);
    assert_true(create_context_find(again.contexts, "MxAc", &found));
    assert_int_equal(found.size, 0);
    assert_false(create_context_find(again.contexts, "QFid", &found));
}

/* Microsoft's published WRITE request of 23 octets, and ours of the same, differ in nothing. */
static void write_request_is_as_on_the_wire(void **state) {
    static const char text[] = "Smb3 encryption testing";
    struct write_request request = {.length = 23, .file_id = {0x15, 0x01, 0, 0, 0x39, 0, 0, 2, 1, 0, 0, 0, 0x39, 0, 0, 2},
                                    .data = octets(text)}, again;
    struct room room;

    (void)state;
    assert_true(write_request_place(&request));
    assert_int_equal(request.data_offset, WRITE_REQUEST_DATA_AT);
    message_begin(&room);
    write_request_encode(&request, &room.writer);
    assert_int_equal(room.writer.at, 0x70 + 23);
    assert_true(write_request_decode(writer_done(&room.writer), &again));
    assert_octets(again.data, octets(text));
    again.length = 24; /* contradicts the span */
    message_begin(&room);
    write_request_encode(&again, &room.writer);
    assert_true(room.writer.failed);
}

static void requests_that_need_an_octet_have_one(void **state) {
    struct read_request read = {.length = 65536};
    struct query_info_request query = {.info_type = INFO_FILE};
    struct room room;

    (void)state;
    assert_true(read_request_place(&read) && query_info_request_place(&query));
    message_begin(&room);
    read_request_encode(&read, &room.writer);
    assert_int_equal(room.writer.at, SMB2_HEADER_SIZE + 49);
    message_begin(&room);
    query_info_request_encode(&query, &room.writer);
    assert_int_equal(room.writer.at, SMB2_HEADER_SIZE + 40);
}

static void read_response_may_not_point_outside(void **state) {
    struct read_response response = {.data = octets("hello")}, again;
    struct room room;
    struct span message;

    (void)state;
    assert_true(read_response_place(&response));
    assert_int_equal(response.data_offset, 80);
    message_begin(&room);
    read_response_encode(&response, &room.writer);
    message = writer_done(&room.writer);
    assert_true(read_response_decode(message, &again));
    assert_octets(again.data, octets("hello"));
    for (size_t size = 0; size < message.size; size++)
        assert_false(read_response_decode(span_slice(message, 0, size), &again));
    room.data[SMB2_HEADER_SIZE + 2] = 79; /* within the fixed part */
    assert_false(read_response_decode(message, &again));
    room.data[SMB2_HEADER_SIZE + 2] = 81; /* one past the end */
    assert_false(read_response_decode(message, &again));
    room.data[SMB2_HEADER_SIZE + 2] = 80;
    room.data[SMB2_HEADER_SIZE] = 18; /* StructureSize */
    assert_false(read_response_decode(message, &again));
    room.data[SMB2_HEADER_SIZE] = 17;
    memset(room.data + SMB2_HEADER_SIZE + 4, 0xff, 4); /* DataLength */
    assert_false(read_response_decode(message, &again));
}

static void locks_follow_their_count(void **state) {
    struct lock_element element = {.offset = 7, .length = 9, .flags = LOCK_EXCLUSIVE | LOCK_FAIL_IMMEDIATELY}, again;
    struct lock_request request = {0}, decoded;
    uint8_t data[2 * LOCK_ELEMENT_SIZE];
    struct writer writer = writer_over(data, sizeof data);
    struct room room;

    (void)state;
    lock_element_encode(&element, &writer);
    element.offset = 70;
    lock_element_encode(&element, &writer);
    request.locks = writer_done(&writer);
    assert_true(lock_request_place(&request));
    assert_int_equal(request.lock_count, 2);
    message_begin(&room);
    lock_request_encode(&request, &room.writer);
    assert_true(lock_request_decode(writer_done(&room.writer), &decoded));
    assert_true(lock_element_at(&decoded, 1, &again));
    assert_int_equal(again.offset, 70);
    assert_false(lock_element_at(&decoded, 2, &again));
}

/* Zeros with the right StructureSize, of growing length: each kind decodes from some length on, and goes round. */
static void every_body_goes_round(void **state) {
    static const uint16_t sizes[] = {57, 89, 24, 60, 24, 49, 17, 49, 17, 48, 33, 32, 41, 9, 33, 2, 24, 44, 36};
    const unsigned messages = sizeof sizes / sizeof sizes[0];

    (void)state;
    for (unsigned kind = 0; kind < bodies_count(); kind++) {
        bool decoded = false;

        for (size_t size = 0; size < 256; size++) {
            uint8_t *data = calloc(1, size + 1);
            bool good;

            assert_non_null(data);
            if (kind < messages && size >= SMB2_HEADER_SIZE + 2)
                data[SMB2_HEADER_SIZE] = (uint8_t)sizes[kind];
            good = bodies_check(kind, (struct span){data, size});
            assert_true(good || !decoded); /* more octets do no harm */
            decoded = good;
            free(data);
        }
        if (!decoded)
            fail_msg("%s never decodes", bodies_name(kind));
    }
}

/* The tables have no hole and no overlap, so that no octet is forgotten: the last field ends at the fixed size. */
static void info_fields_are_in_order(void **state) {
    (void)state;
    assert_int_equal(file_all_info_fields[file_all_info_fields_count - 1].wire_offset + 4, 100);
    for (unsigned i = 1; i < file_all_info_fields_count; i++)
        assert_int_equal(file_all_info_fields[i].wire_offset,
                         file_all_info_fields[i - 1].wire_offset + file_all_info_fields[i - 1].width);
}

static void directory_entries_are_listed(void **state) {
    static const enum file_info_class classes[] = {
        FILE_DIRECTORY_INFORMATION, FILE_FULL_DIRECTORY_INFORMATION, FILE_BOTH_DIRECTORY_INFORMATION,
        FILE_NAMES_INFORMATION, FILE_ID_BOTH_DIRECTORY_INFORMATION, FILE_ID_FULL_DIRECTORY_INFORMATION};
    struct directory_entry entry = {.end_of_file = 5, .file_id = 77, .file_attributes = FILE_ATTRIBUTE_ARCHIVE}, again;

    (void)state;
    for (unsigned i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t previous = SIZE_MAX, start = 3; /* alignment counts from the list's start */
        uint8_t data[1024] = {0};
        struct writer writer = writer_over(data, sizeof data);
        struct entry_cursor cursor;
        struct span octets_of_one;
        unsigned count = 0;

        writer_zero(&writer, start);
        for (unsigned n = 1; n <= 3; n++) {
            entry.name = (struct span){(const uint8_t *)"a\0b\0c\0", 2 * n};
            entry_begin(&writer, start, &previous);
            directory_entry_encode(classes[i], &entry, &writer);
        }
        cursor = entry_cursor((struct span){data + start, writer.at - start});
        while (entry_next(&cursor, &octets_of_one)) {
            assert_true(directory_entry_decode(classes[i], octets_of_one, &again));
            assert_int_equal(again.name.size, 2 * ++count);
            assert_true(classes[i] == FILE_NAMES_INFORMATION || again.end_of_file == 5);
            assert_int_equal((octets_of_one.data - data - (ptrdiff_t)start) % 8, 0);
        }
        assert_int_equal(count, 3);
        assert_false(cursor.malformed);
    }
}

static void lists_that_lead_nowhere_end(void **state) {
    static const uint8_t past[] = {9, 0, 0, 0, 1, 2, 3, 4}, within[] = {3, 0, 0, 0, 1, 2, 3, 4}, cut[] = {0, 0, 0};
    static const uint8_t to_end[] = {8, 0, 0, 0, 1, 2, 3, 4};
    struct entry_cursor cursor = entry_cursor((struct span){past, sizeof past});
    struct span entry;

    (void)state;
    assert_true(entry_next(&cursor, &entry) && cursor.malformed && !entry_next(&cursor, &entry));
    assert_false(cursor.leads_to_end);
    cursor = entry_cursor((struct span){within, sizeof within});
    assert_true(entry_next(&cursor, &entry) && cursor.malformed && !entry_next(&cursor, &entry));
    assert_false(cursor.leads_to_end);
    cursor = entry_cursor((struct span){to_end, sizeof to_end});
    assert_true(entry_next(&cursor, &entry) && cursor.malformed && !entry_next(&cursor, &entry));
    assert_true(cursor.leads_to_end && entry.size == sizeof to_end);
    cursor = entry_cursor((struct span){cut, sizeof cut});
    assert_false(entry_next(&cursor, &entry));
    assert_true(cursor.malformed);
    cursor = entry_cursor((struct span){0});
    assert_false(entry_next(&cursor, &entry));
    assert_false(cursor.malformed);
}

static void times_go_round(void **state) {
    int64_t seconds;
    int32_t nanoseconds;

    (void)state;
    assert_int_equal(filetime_join(0, 0), 116444736000000000ull);
    assert_int_equal(filetime_join(1700000000, 123456789), 133444736001234567ull);
    filetime_split(133444736001234567ull, &seconds, &nanoseconds);
    assert_int_equal(seconds, 1700000000);
    assert_int_equal(nanoseconds, 123456700);
    filetime_split(0, &seconds, &nanoseconds);
    assert_int_equal(seconds, -11644473600);
    assert_int_equal(filetime_join(seconds, nanoseconds), 0);
    assert_int_equal(filetime_join(-20000000000, 5), 0);
    assert_int_equal(filetime_join(INT64_MAX, 999999999), INT64_MAX);
    filetime_split(UINT64_MAX, &seconds, &nanoseconds);
    assert_true(seconds > 0 && nanoseconds >= 0 && nanoseconds < 1000000000);
}

static void shares_go_round(void **state) {
    struct share_info shares[] = {{{(const uint8_t *)"a\0b\0", 4}, {0}, SHARE_KIND_DISK},
                                  {{(const uint8_t *)"I\0P\0C\0$\0", 8}, {(const uint8_t *)"x\0", 2},
                                   SHARE_KIND_IPC | SHARE_KIND_SPECIAL}}, share;
    struct share_enum_response response;
    uint8_t data[512];
    struct writer writer = writer_over(data, sizeof data);
    struct span stub;

    (void)state;
    share_enum_response_encode(shares, 2, 0, &writer);
    stub = writer_done(&writer);
    assert_true(share_enum_response_decode(stub, &response));
    assert_int_equal(response.count, 2);
    assert_int_equal(response.total, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(share_next(&response.shares, &share));
        assert_octets(share.name, shares[i].name);
        assert_int_equal(share.comment.size, shares[i].comment.size);
        assert_int_equal(share.kind, shares[i].kind);
    }
    assert_false(share_next(&response.shares, &share));
    for (size_t size = 0; size < stub.size; size++)
        assert_false(share_enum_response_decode(span_slice(stub, 0, size), &response));
    memset(data + 12, 0xff, 4); /* EntriesRead */
    memset(data + 20, 0xff, 4); /* and the array's count */
    assert_false(share_enum_response_decode(stub, &response));
}

static void no_shares_are_fine(void **state) {
    struct share_enum_response response;
    uint8_t data[64];
    struct writer writer = writer_over(data, sizeof data);

    (void)state;
    share_enum_response_encode(NULL, 0, 5, &writer);
    assert_true(share_enum_response_decode(writer_done(&writer), &response));
    assert_int_equal(response.count, 0);
    assert_int_equal(response.status, 5);
}

static void bind_goes_round(void **state) {
    struct rpc_pdu bind = {.type = RPC_BIND, .flags = RPC_FIRST_FRAGMENT | RPC_LAST_FRAGMENT, .call_id = 7,
                           .max_transmit = RPC_FRAGMENT_MAX, .max_receive = RPC_FRAGMENT_MAX, .interface = rpc_srvsvc,
                           .transfer = rpc_ndr}, again;
    uint8_t data[128];
    struct writer writer = writer_over(data, sizeof data);
    size_t size;

    (void)state;
    rpc_pdu_encode(&bind, &writer);
    assert_int_equal(writer.at, 72);
    assert_true(rpc_pdu_decode(writer_done(&writer), &again, &size));
    assert_int_equal(size, 72);
    assert_memory_equal(again.interface.uuid, rpc_srvsvc.uuid, RPC_UUID_SIZE);
    assert_int_equal(again.transfer.version, 2);
    assert_int_equal(again.call_id, 7);
    for (size_t cut = 0; cut < 72; cut++)
        assert_false(rpc_pdu_decode(span_slice(writer_done(&writer), 0, cut), &again, &size));
    data[10] = 8; /* auth_length */
    assert_false(rpc_pdu_decode(writer_done(&writer), &again, &size));
}

static void bind_ack_goes_round(void **state) {
    struct rpc_pdu ack = {.type = RPC_BIND_ACK, .max_transmit = 4280, .max_receive = 4280, .transfer = rpc_ndr,
                          .secondary_address = {(const uint8_t *)"\\PIPE\\srvsvc", 13}}, again;
    uint8_t data[128];
    struct writer writer = writer_over(data, sizeof data);
    size_t size;

    (void)state;
    rpc_pdu_encode(&ack, &writer);
    assert_int_equal(writer.at, 68);
    assert_true(rpc_pdu_decode(writer_done(&writer), &again, &size));
    assert_octets(again.secondary_address, ack.secondary_address);
    assert_int_equal(again.result, RPC_ACCEPTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_request_is_as_on_the_wire),
        cmocka_unit_test(create_request_is_placed),
        cmocka_unit_test(write_request_is_as_on_the_wire),
        cmocka_unit_test(requests_that_need_an_octet_have_one),
        cmocka_unit_test(read_response_may_not_point_outside),
        cmocka_unit_test(locks_follow_their_count),
        cmocka_unit_test(every_body_goes_round),
        cmocka_unit_test(info_fields_are_in_order),
        cmocka_unit_test(directory_entries_are_listed),
        cmocka_unit_test(lists_that_lead_nowhere_end),
        cmocka_unit_test(times_go_round),
        cmocka_unit_test(shares_go_round),
        cmocka_unit_test(no_shares_are_fine),
        cmocka_unit_test(bind_goes_round),
        cmocka_unit_test(bind_ack_goes_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
