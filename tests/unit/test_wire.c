/* src/wire: real messages decode to what is known of them and encode to the same octets; whatever
 * is cut or nonsense is told apart without a read beyond the end (run under AddressSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/frame.h"
#include "wire/message.h"
#include "wire/names.h"

#define MESSAGE_SIZE_MAX 1024u /* octets; more than any message here has */

struct sample {
    const char *name;
    enum message_kind kind;
    const char *hex;
};

enum sample_id {
#define MESSAGE(name, kind, hex) SAMPLE_##name,
#include "wire_messages.def"
#undef MESSAGE
    SAMPLE_COUNT
};

static const struct sample samples[] = {
#define MESSAGE(name, kind, hex) {#name, MESSAGE_##kind, hex},
#include "wire_messages.def"
#undef MESSAGE
};

static unsigned digit(char c) {
    const char *digits = "0123456789ABCDEF", *found = strchr(digits, c);

    assert_true(c != '\0' && found != NULL);
    return (unsigned)(found - digits);
}

/* In memory of exactly its size, so that a read beyond it is noticed. The caller frees `data`. */
static struct span copy(struct span bytes) {
    uint8_t *data = malloc(bytes.size > 0 ? bytes.size : 1);

    assert_non_null(data);
    if (bytes.size > 0)
        memcpy(data, bytes.data, bytes.size);
    return (struct span){data, bytes.size};
}

static struct span unhex(const char *hex) {
    uint8_t data[MESSAGE_SIZE_MAX];
    size_t size = strlen(hex) / 2;

    assert_true(size <= sizeof data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return copy((struct span){data, size});
}

static void release(struct span bytes) {
    free((void *)(uintptr_t)bytes.data);
}

/* Decodes a sample; its octets are the caller's to release. */
static struct span decode_sample(enum sample_id id, struct message *message) {
    struct span bytes = unhex(samples[id].hex);

    message_decode(bytes, bytes.size, message);
    assert_int_equal(message->kind, samples[id].kind);
    assert_true(message->body_valid);
    return bytes;
}

static void assert_octets(struct span bytes, const char *hex) {
    struct span wanted = unhex(hex);

    assert_int_equal(bytes.size, wanted.size);
    assert_memory_equal(bytes.data, wanted.data, wanted.size);
    release(wanted);
}

static void samples_decode_and_encode(void **state) {
    uint8_t room[MESSAGE_SIZE_MAX];

    (void)state;
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        struct message message;
        struct span bytes = decode_sample(i, &message), again;
        struct writer writer = writer_over(room, sizeof room);

        message_encode(&message, &writer);
        assert_false(writer.failed);
        again = writer_done(&writer);
        if (message.kind == MESSAGE_ERROR) /* the pad octet may have any value */
            room[again.size - 1] = bytes.data[bytes.size - 1];
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        release(bytes);
    }
}

/* One octet less of room, and every octet less than that. */
static void encoders_respect_their_room(void **state) {
    (void)state;
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        struct message message;
        struct span bytes = decode_sample(i, &message);

        for (size_t size = 0; size < bytes.size; size++) {
            uint8_t *room = malloc(size > 0 ? size : 1);
            struct writer writer = writer_over(room, size);

            assert_non_null(room);
            message_encode(&message, &writer);
            assert_true(writer.failed);
            assert_int_equal(writer_done(&writer).size, 0);
            free(room);
        }
        release(bytes);
    }
}

static bool kind_has_parsed_body(enum message_kind kind) {
    return kind != MESSAGE_OTHER_REQUEST && kind != MESSAGE_OTHER_RESPONSE &&
           kind != MESSAGE_TRANSFORM && kind != MESSAGE_ERROR;
}

/* A message whose capture was cut, at every length: never valid where an octet of it is missing,
 * and the fixed fields that are there are the same as in the whole. */
static void cut_messages(void **state) {
    (void)state;
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        struct message whole, message;
        struct span bytes = decode_sample(i, &whole);

        for (size_t size = 0; size < bytes.size; size++) {
            struct span cut = copy((struct span){bytes.data, size});

            message_decode(cut, bytes.size, &message);
            assert_int_equal(message.size, bytes.size);
            if (kind_has_parsed_body(whole.kind))
                assert_false(message.body_valid);
            if (message_is_smb2(&message)) { /* known by command and flags, at octets 12 and 16 */
                assert_true(size >= 20);
                assert_int_equal(message.header.command, whole.header.command);
                assert_int_equal(message.header.flags, whole.header.flags);
                if (size >= SMB2_HEADER_SIZE)
                    assert_memory_equal(&message.header, &whole.header, sizeof whole.header);
            }
            release(cut);
        }
        release(bytes);
    }
}

/* The same octets, but the message itself ends there. */
static void short_messages(void **state) {
    (void)state;
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        struct span bytes = unhex(samples[i].hex);

        for (size_t size = 0; size < bytes.size; size++) {
            struct span cut = copy((struct span){bytes.data, size});
            struct message message;

            message_decode(cut, size, &message);
            assert_true(message.bytes.size == size);
            release(cut);
        }
        release(bytes);
    }
}

static void fixed_fields_of_a_cut_body(void **state) {
    struct span bytes = unhex(samples[SAMPLE_v302_rsp].hex);
    struct message message;

    (void)state;
    bytes.size = SMB2_HEADER_SIZE + 10; /* CtlCode is there, FileId is not */
    message_decode(bytes, 136, &message);
    assert_int_equal(message.kind, MESSAGE_IOCTL_RESPONSE);
    assert_false(message.body_valid);
    assert_int_equal(message.body.ioctl_response.ctl_code, FSCTL_VALIDATE_NEGOTIATE_INFO);
    assert_int_equal(message.body.ioctl_response.file_id[0], 0);
    assert_int_equal(message.body.ioctl_response.output_count, 0);
    release(bytes);
}

static void header_fields(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_gm_final, &message);
    const struct smb2_header *header = &message.header;

    (void)state;
    assert_int_equal(header->protocol_id, 0x424d53fe);
    assert_int_equal(header->structure_size, 64);
    assert_int_equal(header->credit_charge, 1);
    assert_int_equal(header->status, STATUS_CANCELLED);
    assert_int_equal(header->command, SMB2_CHANGE_NOTIFY);
    assert_int_equal(header->credits, 0);
    assert_int_equal(header->flags,
                     SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_ASYNC_COMMAND | SMB2_FLAGS_SIGNED);
    assert_int_equal(header->next_command, 0);
    assert_int_equal(header->message_id, 5);
    assert_int_equal(smb2_header_async_id(header), 5);
    assert_int_equal(header->session_id, 0x7dac6bc5);
    assert_int_equal(header->signature[0], 0x60);
    assert_int_equal(header->signature[15], 0x0b);
    assert_true(message_is_response(&message));
    assert_int_equal(message.body.error.byte_count, 0);
    release(bytes);
}

static void interim_response_is_an_error_kind(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_gm_interim, &message);

    (void)state;
    assert_int_equal(message.header.status, STATUS_PENDING);
    assert_int_equal(message.body.error.structure_size, 9);
    assert_int_equal(message.body.error.data.size, 0);
    release(bytes);
}

static void negotiate_request_311(void **state) {
    static const uint16_t dialects[] = {0x0202, 0x0210, 0x0300, 0x0302, 0x0311};
    struct message message;
    struct span bytes = decode_sample(SAMPLE_pa_negreq, &message);
    const struct negotiate_request *request = &message.body.negotiate_request;

    (void)state;
    assert_int_equal(request->structure_size, 36);
    assert_int_equal(request->dialect_count, 5);
    assert_int_equal(request->security_mode, 0);
    assert_int_equal(request->capabilities, 0x3f);
    assert_int_equal(request->client_guid[0], 0xec);
    assert_int_equal(request->client_guid[15], 0x3a);
    assert_int_equal(request->negotiate_context_offset, 0x70);
    assert_int_equal(request->negotiate_context_count, 2);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(negotiate_dialect(request, i), dialects[i]);
        assert_true(negotiate_offers(request, dialects[i]));
    }
    assert_int_equal(negotiate_dialect(request, 5), 0);
    assert_false(negotiate_offers(request, SMB2_DIALECT_WILDCARD));
    assert_ptr_equal(request->contexts.data, bytes.data + 0x70);
    assert_int_equal(request->contexts.size, bytes.size - 0x70);
    release(bytes);
}

static void contexts_of_a_request(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_pa_negreq, &message);
    const struct negotiate_request *request = &message.body.negotiate_request;
    struct context_cursor cursor = context_cursor(request->contexts, 2, 0x70);
    struct context context;
    struct context_ids ids;

    (void)state;
    assert_true(context_next(&cursor, &context));
    assert_int_equal(context.type, CONTEXT_PREAUTH_INTEGRITY);
    assert_int_equal(context.data_length, 38);
    assert_int_equal(context.offset, 0x70);
    assert_true(context_ids_decode(&context, &ids));
    assert_int_equal(ids.count, 1);
    assert_int_equal(context_id(&ids, 0), HASH_SHA512);
    assert_int_equal(ids.salt_length, 32);
    assert_octets(ids.rest, "FA49E6578F1F3A9F4CD3E9CC14A67AA884B3D05844E0E5A118225C15887F32FF");

    assert_true(context_next(&cursor, &context));
    assert_int_equal(context.type, CONTEXT_ENCRYPTION);
    assert_int_equal(context.offset, 0xa0);
    assert_true(context_ids_decode(&context, &ids));
    assert_int_equal(ids.count, 2);
    assert_int_equal(context_id(&ids, 0), CIPHER_AES_128_GCM);
    assert_int_equal(context_id(&ids, 1), CIPHER_AES_128_CCM);
    assert_int_equal(context_id(&ids, 2), 0);
    assert_false(context_next(&cursor, &context));
    assert_false(cursor.malformed);
    release(bytes);
}

static void negotiate_response_311(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_pa_negrsp, &message);
    const struct negotiate_response *response = &message.body.negotiate_response;

    (void)state;
    assert_int_equal(response->structure_size, 65);
    assert_int_equal(response->security_mode, SMB2_SIGNING_ENABLED);
    assert_int_equal(response->dialect_revision, SMB2_DIALECT_311);
    assert_int_equal(response->negotiate_context_count, 2);
    assert_int_equal(response->server_guid[0], 0x39);
    assert_int_equal(response->capabilities, 0x2f);
    assert_int_equal(response->max_transact_size, 0x800000);
    assert_int_equal(response->max_read_size, 0x800000);
    assert_int_equal(response->max_write_size, 0x800000);
    assert_int_equal(response->system_time, 0x01d0aecbade5dad8);
    assert_int_equal(response->server_start_time, 0x01d0ae95b04a0909);
    assert_int_equal(response->security_buffer_offset, 0x80);
    assert_int_equal(response->security_buffer.size, 0x140);
    assert_ptr_equal(response->security_buffer.data, bytes.data + 0x80);
    assert_int_equal(response->negotiate_context_offset, 0x1c0);
    assert_ptr_equal(response->contexts.data, bytes.data + 0x1c0);
    assert_int_equal(response->contexts.size, bytes.size - 0x1c0);
    release(bytes);
}

/* Below 3.1.1 the fields of the contexts mean nothing, and Windows leaves garbage there. */
static void negotiate_response_below_311(void **state) {
    struct span bytes = unhex(samples[SAMPLE_v302_negrsp].hex);
    uint8_t *octets = (uint8_t *)(uintptr_t)bytes.data;
    struct message message;

    (void)state;
    memset(octets + 70, 0xa5, 2);
    memset(octets + 124, 0xa5, 4);
    message_decode(bytes, bytes.size, &message);
    assert_true(message.body_valid);
    assert_int_equal(message.body.negotiate_response.dialect_revision, SMB2_DIALECT_302);
    assert_int_equal(message.body.negotiate_response.capabilities, 0x47);
    assert_int_equal(message.body.negotiate_response.contexts.size, 0);
    release(bytes);
}

static void negotiate_request_below_311(void **state) {
    struct span bytes = unhex(samples[SAMPLE_v302_negreq].hex);
    uint8_t *octets = (uint8_t *)(uintptr_t)bytes.data;
    struct message message;

    (void)state;
    memset(octets + 92, 0x5a, 8); /* ClientStartTime */
    message_decode(bytes, bytes.size, &message);
    assert_true(message.body_valid);
    assert_int_equal(message.body.negotiate_request.dialect_count, 4);
    assert_int_equal(message.body.negotiate_request.contexts.size, 0);
    release(bytes);
}

static void contexts_out_of_bounds_are_left_out(void **state) {
    struct span bytes = unhex(samples[SAMPLE_pa_negrsp].hex);
    uint8_t *octets = (uint8_t *)(uintptr_t)bytes.data;
    const struct field *offset = fields_find(
        negotiate_response_fields, negotiate_response_fields_count, "NegotiateContextOffset");
    const uint32_t wrong[] = {0, 0x7f, 0x80, 0x1bf, 508, 0xffffffff};
    struct message message;

    (void)state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_true(
            fields_set(offset, octets + SMB2_HEADER_SIZE, bytes.size - SMB2_HEADER_SIZE, wrong[i]));
        message_decode(bytes, bytes.size, &message);
        assert_true(message.body_valid);
        assert_int_equal(message.body.negotiate_response.contexts.size, 0);
    }
    release(bytes);
}

/* Within the dialects, before them, past the end. */
static void request_contexts_out_of_bounds_are_left_out(void **state) {
    struct span bytes = unhex(samples[SAMPLE_pa_negreq].hex);
    const uint8_t wrong[] = {0, 0x63, 0x64, 0x6d, 174};
    struct message message;

    (void)state;
    for (unsigned i = 0; i < sizeof wrong; i++) {
        ((uint8_t *)(uintptr_t)bytes.data)[92] = wrong[i];
        message_decode(bytes, bytes.size, &message);
        assert_true(message.body_valid);
        assert_int_equal(message.body.negotiate_request.contexts.size, 0);
    }
    ((uint8_t *)(uintptr_t)bytes.data)[92] =
        0x6e; /* misaligned, which is for the deciders to say */
    message_decode(bytes, bytes.size, &message);
    assert_int_equal(message.body.negotiate_request.contexts.size, bytes.size - 0x6e);
    release(bytes);
}

static void session_setup(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_bd_req1, &message);

    (void)state;
    assert_int_equal(message.body.session_setup_request.structure_size, 25);
    assert_int_equal(message.body.session_setup_request.flags, 1);
    assert_int_equal(message.body.session_setup_request.security_mode, 1);
    assert_int_equal(message.body.session_setup_request.security_buffer_offset, 88);
    assert_int_equal(message.body.session_setup_request.security_buffer.size, 74);
    assert_int_equal(message.body.session_setup_request.previous_session_id, 0);
    release(bytes);

    bytes = decode_sample(SAMPLE_pa_ss1rsp, &message);
    assert_int_equal(message.header.status, STATUS_MORE_PROCESSING_REQUIRED);
    assert_int_equal(message.body.session_setup_response.session_flags, 0);
    assert_int_equal(message.body.session_setup_response.security_buffer.size, 0xb3);
    assert_int_equal(message.body.session_setup_response.security_buffer.data[0], 0xa1);
    release(bytes);
}

static void tree_connect(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_gm0_tcreq, &message);

    (void)state;
    assert_int_equal(message.body.tree_connect_request.path_offset, 72);
    assert_octets(message.body.tree_connect_request.path,
                  "5C005C003100320037002E0030002E0030002E0031005C004900500043002400");
    assert_int_equal(message.header.flags & SMB2_FLAGS_PRIORITY_MASK, 0x10);
    release(bytes);

    bytes = decode_sample(SAMPLE_gm0_tcrsp, &message);
    assert_int_equal(message.body.tree_connect_response.share_type, 2);
    assert_int_equal(message.body.tree_connect_response.share_flags, 0);
    assert_int_equal(message.body.tree_connect_response.maximal_access, 0x001f00a9);
    release(bytes);
}

static void validation_of_windows(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_windows_req, &message);
    const struct ioctl_request *ioctl = &message.body.ioctl_request;
    struct validate_negotiate_info_request info;

    (void)state;
    assert_int_equal(ioctl->ctl_code, FSCTL_VALIDATE_NEGOTIATE_INFO);
    assert_int_equal(ioctl->file_id[15], 0xff);
    assert_int_equal(ioctl->input_offset, 120);
    assert_int_equal(ioctl->output_offset, 120);
    assert_int_equal(ioctl->max_output_response, 24);
    assert_int_equal(ioctl->flags, 1);
    assert_int_equal(ioctl->input.size, 34);
    assert_true(validate_request_decode(ioctl->input, &info));
    assert_int_equal(info.capabilities, 0x7f);
    assert_int_equal(info.guid[0], 0x34);
    assert_int_equal(info.guid[15], 0x22);
    assert_int_equal(info.security_mode, 1);
    assert_int_equal(info.dialect_count, 5);
    assert_octets(info.dialects, "02021002000302031103");
    release(bytes);
}

static void validation_answer(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_v302_rsp, &message);
    struct validate_negotiate_info_response info;
    uint8_t room[VALIDATE_RESPONSE_SIZE];
    struct writer writer = writer_over(room, sizeof room);
    struct span output = message.body.ioctl_response.output;

    (void)state;
    assert_int_equal(message.body.ioctl_response.output_offset, 112);
    assert_int_equal(message.body.ioctl_response.input.size, 0);
    assert_int_equal(output.size, VALIDATE_RESPONSE_SIZE);
    assert_true(validate_response_decode(output, &info));
    assert_int_equal(info.capabilities, 0x47);
    assert_memory_equal(info.guid, "specsrv\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(info.security_mode, 1);
    assert_int_equal(info.dialect, SMB2_DIALECT_302);
    validate_response_encode(&info, &writer);
    assert_true(span_equal(writer_done(&writer), output));
    release(bytes);
}

/* Longer answers exist (old Macs), shorter ones are none. */
static void validation_sizes(void **state) {
    uint8_t octets[40] = {[22] = 2, [24] = 0x10, 0x02, 0x00, 0x03};
    struct validate_negotiate_info_response response;
    struct validate_negotiate_info_request request;

    (void)state;
    for (size_t size = 0; size <= sizeof octets; size++) {
        struct span bytes = copy((struct span){octets, size});

        assert_int_equal(validate_response_decode(bytes, &response), size >= 24);
        assert_int_equal(validate_request_decode(bytes, &request), size >= 28);
        release(bytes);
    }
    assert_int_equal(request.dialects.size, 4);
}

static void signed_error(void **state) {
    struct span bytes = unhex(samples[SAMPLE_fc_rsp].hex);
    struct message message;

    (void)state;
    message_decode(bytes, bytes.size, &message);
    assert_int_equal(message.header.status, STATUS_FILE_CLOSED);
    assert_true(message.body_valid);
    message_decode(bytes, bytes.size - 1, &message); /* without the pad octet */
    assert_int_equal(message.kind, MESSAGE_ERROR);
    assert_true(message.body_valid);
    release(bytes);
}

static void set_status(struct span bytes, uint32_t status) {
    const struct field *field = fields_find(smb2_header_fields, smb2_header_fields_count, "status");

    assert_non_null(field);
    assert_true(fields_set(field, (uint8_t *)(uintptr_t)bytes.data, bytes.size, status));
}

static enum message_kind kind_with_status(enum sample_id id, uint32_t status, bool *valid) {
    struct span bytes = unhex(samples[id].hex);
    struct message message;

    set_status(bytes, status);
    message_decode(bytes, bytes.size, &message);
    *valid = message.body_valid;
    release(bytes);
    return message.kind;
}

static void statuses_choose_the_body(void **state) {
    bool valid;

    (void)state;
    assert_int_equal(kind_with_status(SAMPLE_v302_rsp, STATUS_BUFFER_OVERFLOW, &valid),
                     MESSAGE_IOCTL_RESPONSE);
    assert_true(valid);
    assert_int_equal(kind_with_status(SAMPLE_v302_rsp, STATUS_INVALID_PARAMETER, &valid),
                     MESSAGE_IOCTL_RESPONSE);
    assert_true(valid);
    assert_int_equal(kind_with_status(SAMPLE_fc_rsp, STATUS_INVALID_PARAMETER, &valid),
                     MESSAGE_ERROR);
    assert_true(valid);
    assert_int_equal(kind_with_status(SAMPLE_v302_rsp, STATUS_ACCESS_DENIED, &valid),
                     MESSAGE_ERROR);
    assert_false(valid); /* StructureSize 49 */
    assert_int_equal(kind_with_status(SAMPLE_fc_rsp, STATUS_SUCCESS, &valid),
                     MESSAGE_IOCTL_RESPONSE);
    assert_false(valid); /* StructureSize 9 */
    assert_int_equal(kind_with_status(SAMPLE_pa_final, STATUS_LOGON_FAILURE, &valid),
                     MESSAGE_ERROR);
    assert_int_equal(kind_with_status(SAMPLE_gm0_tcrsp, STATUS_MORE_PROCESSING_REQUIRED, &valid),
                     MESSAGE_ERROR);
}

/* Sets a named field of a sample's body and tells whether the body still decodes. */
static bool valid_with(enum sample_id id, const char *name, uint64_t value) {
    struct span bytes = unhex(samples[id].hex);
    struct message_fields list = message_fields(samples[id].kind);
    const struct field *field = fields_find(list.fields, list.count, name);
    struct message message;

    assert_non_null(field);
    assert_true(
        fields_set(field, (uint8_t *)(uintptr_t)bytes.data + list.at, bytes.size - list.at, value));
    message_decode(bytes, bytes.size, &message);
    release(bytes);
    return message.body_valid;
}

static void offsets_and_counts(void **state) {
    (void)state;
    assert_true(valid_with(SAMPLE_windows_req, "MaxOutputResponse", 40));
    assert_true(valid_with(SAMPLE_windows_req, "OutputOffset", 0));
    assert_true(valid_with(SAMPLE_v302_rsp, "InputOffset", 0));
    assert_true(valid_with(SAMPLE_v302_rsp, "InputOffset", 0xffffffff)); /* InputCount is 0 */
    assert_false(valid_with(SAMPLE_v302_rsp, "InputCount", 8));          /* then they overlap */
    assert_false(valid_with(SAMPLE_v302_rsp, "OutputOffset", 0));
    assert_false(valid_with(SAMPLE_v302_rsp, "OutputOffset", 111));
    assert_false(valid_with(SAMPLE_v302_rsp, "OutputOffset", 113));
    assert_true(valid_with(SAMPLE_v302_rsp, "OutputCount", 23));
    assert_false(valid_with(SAMPLE_v302_rsp, "OutputCount", 25));
    assert_false(valid_with(SAMPLE_v302_rsp, "OutputCount", 0xffffffff));
    assert_false(valid_with(SAMPLE_v302_rsp, "StructureSize", 48));
    assert_false(valid_with(SAMPLE_v302_negreq, "DialectCount", 5));
    assert_false(valid_with(SAMPLE_v302_negreq, "DialectCount", 0xffff));
    assert_true(valid_with(SAMPLE_v302_negreq, "DialectCount", 0)); /* for the deciders to refuse */
    assert_false(valid_with(SAMPLE_v302_negrsp, "SecurityBufferLength", 0xffff));
    assert_false(valid_with(SAMPLE_v302_negrsp, "SecurityBufferOffset", 0x7f));
    assert_false(valid_with(SAMPLE_pa_ss1, "SecurityBufferOffset", 0));
    assert_false(valid_with(SAMPLE_gm0_tcreq, "PathLength", 33));
    assert_false(valid_with(SAMPLE_fc_rsp, "ByteCount", 2));
    assert_true(valid_with(SAMPLE_fc_rsp, "ByteCount", 1));
}

static void encoders_refuse_what_contradicts(void **state) {
    uint8_t room[MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(room, sizeof room);
    struct message message;
    struct span bytes = decode_sample(SAMPLE_pa_ss1, &message);

    (void)state;
    message.body.session_setup_request.security_buffer_offset = 87; /* within the fixed part */
    message_encode(&message, &writer);
    assert_true(writer.failed);
    release(bytes);
}

static void contexts_before_the_security_buffer(void **state) {
    uint8_t room[MESSAGE_SIZE_MAX], again[MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(room, sizeof room),
                  second = writer_over(again, sizeof again);
    const uint8_t octets[24] = {1, 0, 6, 0, 0,   0,   0,   0,   1,   0,   0,   0,
                                1, 0, 0, 0, 'b', 'u', 'f', 'f', 'e', 'r', '!', '!'};
    struct negotiate_response response = {.structure_size = 65,
                                          .dialect_revision = SMB2_DIALECT_311,
                                          .negotiate_context_count = 1,
                                          .negotiate_context_offset = 128,
                                          .contexts = {octets, sizeof octets},
                                          .security_buffer_offset = 144,
                                          .security_buffer_length = 8,
                                          .security_buffer = {octets + 16, 8}};
    struct smb2_header header = {.protocol_id = 0x424d53fe, .flags = SMB2_FLAGS_SERVER_TO_REDIR};
    struct message message;

    (void)state;
    negotiate_response_encode(&header, &response, &writer);
    message_decode(writer_done(&writer), writer.at, &message);
    assert_true(message.body_valid);
    assert_memory_equal(message.body.negotiate_response.security_buffer.data, "buffer!!", 8);
    assert_int_equal(message.body.negotiate_response.contexts.size, sizeof octets);
    message_encode(&message, &second);
    assert_true(span_equal(writer_done(&writer), writer_done(&second)));
}

static void smb1_request(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_smb1_req, &message);
    const struct smb1_negotiate_request *request = &message.body.smb1_negotiate_request;
    struct span left = request->dialects, name;

    (void)state;
    assert_false(message_is_smb2(&message));
    assert_false(message_is_response(&message));
    assert_int_equal(request->header.command, 0x72);
    assert_int_equal(request->header.flags, 0x18);
    assert_int_equal(request->header.flags2, 0xc843);
    assert_int_equal(request->header.pid, 0xfffe);
    assert_int_equal(request->header.tid, 0);
    assert_int_equal(request->word_count, 0);
    assert_int_equal(request->byte_count, 0x31);
    assert_true(request->offers_nt_lm && request->offers_smb2_002 && request->offers_smb2_wildcard);
    for (const char *const *wanted =
             (const char *const[]){"NT LANMAN 1.0", "NT LM 0.12", "SMB 2.002", "SMB 2.???", NULL};
         *wanted != NULL; wanted++) {
        assert_true(smb1_dialect_next(&left, &name));
        assert_int_equal(name.size, strlen(*wanted));
        assert_memory_equal(name.data, *wanted, name.size);
    }
    assert_false(smb1_dialect_next(&left, &name));
    release(bytes);
}

static void smb1_dialects_that_are_none(void **state) {
    struct span dialects = {(const uint8_t *)"\2\0\2SMB 2.002\0\2SMB 2.???", 22}, name;

    (void)state;
    assert_true(smb1_dialect_next(&dialects, &name));
    assert_int_equal(name.size, 0);
    assert_true(smb1_dialect_next(&dialects, &name));
    assert_int_equal(name.size, 9);
    assert_false(smb1_dialect_next(&dialects, &name)); /* not ended */
    dialects = (struct span){(const uint8_t *)"\3SMB 2.002", 11};
    assert_false(smb1_dialect_next(&dialects, &name));
}

static void smb1_response(void **state) {
    const char *hex = "FF534D4272000000009843C80000000000000000000000000000FEFF00000000"
                      "01FFFF0000";
    struct span bytes = unhex(hex);
    uint8_t room[MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(room, sizeof room);
    struct message message;

    (void)state;
    message_decode(bytes, bytes.size, &message);
    assert_int_equal(message.kind, MESSAGE_SMB1_NEGOTIATE_RESPONSE);
    assert_true(message.body_valid && message_is_response(&message));
    assert_int_equal(message.body.smb1_negotiate_response.word_count, 1);
    assert_int_equal(message.body.smb1_negotiate_response.dialect_index, 0xffff);
    assert_int_equal(message.body.smb1_negotiate_response.header.status, 0);
    message_encode(&message, &writer);
    assert_true(span_equal(writer_done(&writer), bytes));
    release(bytes);
}

static void transform(void **state) {
    struct message message;
    struct span bytes = decode_sample(SAMPLE_gcm_wrsp_msg, &message);
    const struct transform_header *header = &message.body.transform;

    (void)state;
    assert_int_equal(header->protocol_id, 0x424d53fd);
    assert_int_equal(header->signature[0], 0xac);
    assert_int_equal(header->nonce[0], 0xe0);
    assert_int_equal(header->nonce[15], 0);
    assert_int_equal(header->original_message_size, 80);
    assert_int_equal(header->flags, 1);
    assert_int_equal(header->session_id, 0x100000000025);
    release(bytes);
}

static void compression(void **state) {
    struct span bytes = unhex("FC534D42001000000200000040000000AABB");
    uint8_t room[MESSAGE_SIZE_MAX];
    struct writer writer = writer_over(room, sizeof room);
    struct message message;

    (void)state;
    message_decode(bytes, bytes.size, &message);
    assert_int_equal(message.kind, MESSAGE_COMPRESSED);
    assert_true(message.body_valid);
    assert_int_equal(message.body.compression.original_compressed_segment_size, 4096);
    assert_int_equal(message.body.compression.compression_algorithm, COMPRESSION_LZ77);
    assert_int_equal(message.body.compression.offset, 64);
    message_encode(&message, &writer);
    assert_true(span_equal(writer_done(&writer), bytes));
    release(bytes);
}

static void chains(void **state) {
    static const enum sample_id both[] = {SAMPLE_cp_req, SAMPLE_cp_rsp};
    static const size_t first[] = {0x80, 0x98};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct span bytes = unhex(samples[both[i]].hex);
        struct chain_cursor cursor = chain_cursor(bytes, bytes.size);
        struct message message;

        assert_true(chain_next(&cursor, &message));
        assert_int_equal(message.header.command, SMB2_CREATE);
        assert_int_equal(message.size, first[i]);
        assert_int_equal(message.bytes.size, first[i]);
        assert_true(chain_next(&cursor, &message));
        assert_int_equal(message.header.command, SMB2_CLOSE);
        assert_true((message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS) != 0);
        assert_int_equal(message.size, bytes.size - first[i]);
        assert_ptr_equal(message.bytes.data, bytes.data + first[i]);
        assert_false(chain_next(&cursor, &message));
        assert_false(cursor.malformed || cursor.misaligned);
        release(bytes);
    }
}

static void chain_with(uint32_t next, bool malformed, bool misaligned) {
    struct span bytes = unhex(samples[SAMPLE_cp_req].hex);
    const struct field *field =
        fields_find(smb2_header_fields, smb2_header_fields_count, "NextCommand");
    struct chain_cursor cursor = chain_cursor(bytes, bytes.size);
    struct message message;

    assert_true(fields_set(field, (uint8_t *)(uintptr_t)bytes.data, bytes.size, next));
    assert_true(chain_next(&cursor, &message));
    assert_int_equal(cursor.malformed, malformed);
    assert_int_equal(cursor.misaligned, misaligned);
    assert_int_equal(message.size, malformed ? bytes.size : next);
    assert_int_equal(chain_next(&cursor, &message), !malformed);
    assert_false(chain_next(&cursor, &message));
    release(bytes);
}

static void chains_that_lead_nowhere(void **state) {
    (void)state;
    chain_with(8, true, false);
    chain_with(1, true, true);
    chain_with(216, true, false);
    chain_with(0xfffffff8, true, false);
    chain_with(0x79, false, true);
    chain_with(64, false, false);
}

/* The capture ends within the first element: the others are known to be there, and nothing more. */
static void cut_chain(void **state) {
    struct span bytes = unhex(samples[SAMPLE_cp_req].hex);
    struct chain_cursor cursor = chain_cursor((struct span){bytes.data, 100}, bytes.size);
    struct message message;

    (void)state;
    assert_true(chain_next(&cursor, &message));
    assert_int_equal(message.bytes.size, 100);
    assert_int_equal(message.size, 0x80);
    assert_true(chain_next(&cursor, &message));
    assert_int_equal(message.kind, MESSAGE_UNKNOWN);
    assert_int_equal(message.bytes.size, 0);
    assert_int_equal(message.size, 88);
    assert_false(chain_next(&cursor, &message));
    release(bytes);
}

static void other_magic(void **state) {
    const char *const none[] = {"", "FE", "FE534D", "FB534D42", "00000000", "FE534D42400000"};
    struct message message;

    (void)state;
    for (unsigned i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct span bytes = unhex(none[i]);

        message_decode(bytes, bytes.size, &message);
        assert_int_equal(message.kind, MESSAGE_UNKNOWN);
        assert_false(message.body_valid || message_is_smb2(&message) ||
                     message_is_response(&message));
        release(bytes);
    }
}

static void fields_by_name(void **state) {
    struct span bytes = unhex(samples[SAMPLE_v302_negreq].hex);
    uint8_t *body = (uint8_t *)(uintptr_t)bytes.data + SMB2_HEADER_SIZE;
    size_t size = bytes.size - SMB2_HEADER_SIZE;
    struct message_fields list = message_fields(MESSAGE_NEGOTIATE_REQUEST);
    const struct field *mode = fields_find(list.fields, list.count, "securitymode");
    const struct field *guid = fields_find(list.fields, list.count, "ClientGuid");
    const uint8_t zero[16] = {0};
    uint64_t value;

    (void)state;
    assert_int_equal(list.at, SMB2_HEADER_SIZE);
    assert_string_equal(mode->name, "SecurityMode");
    assert_string_equal(mode->member, "security_mode");
    assert_int_equal(mode->wire_offset, 4);
    assert_int_equal(mode->width, 2);
    assert_null(fields_find(list.fields, list.count, "SecurityMod"));
    assert_null(fields_find(list.fields, list.count, "SecurityModes"));
    assert_null(fields_find(list.fields, list.count, ""));
    for (unsigned i = 0; i < 3; i++) {
        const char *const names[] = {"CreditRequest", "creditresponse", "CreditRequest/CreditResponse"};
        const struct field *credits = fields_find(smb2_header_fields, smb2_header_fields_count, names[i]);

        assert_non_null(credits);
        assert_int_equal(credits->wire_offset, 14);
    }
    assert_null(fields_find(smb2_header_fields, smb2_header_fields_count, "Response"));
    assert_null(fields_find(smb2_header_fields, smb2_header_fields_count, "CreditRequest/"));

    assert_true(fields_get(mode, (struct span){body, size}, &value));
    assert_int_equal(value, 1);
    assert_true(fields_set(mode, body, size, 3));
    assert_true(fields_get(mode, (struct span){body, size}, &value));
    assert_int_equal(value, 3);
    assert_int_equal(body[4], 3);
    assert_false(fields_set(mode, body, size, 0x10000));
    assert_false(fields_set(mode, body, 5, 1));
    assert_false(fields_get(mode, (struct span){body, 5}, &value));

    assert_false(fields_set(guid, body, size, 0));
    assert_false(fields_get(guid, (struct span){body, size}, &value));
    assert_octets(fields_octets(guid, (struct span){body, size}),
                  "54C36370FC569046A095A958D9796FBE");
    assert_int_equal(fields_octets(guid, (struct span){body, 27}).size, 0);
    assert_false(fields_set_octets(guid, body, size, (struct span){zero, 15}));
    assert_false(fields_set_octets(guid, body, 27, (struct span){zero, 16}));
    assert_true(fields_set_octets(guid, body, size, (struct span){zero, 16}));
    assert_memory_equal(body + 12, zero, 16);
    assert_false(fields_set_octets(mode, body, size, (struct span){zero, 2}));
    release(bytes);
}

static void fields_as_text(void **state) {
    static const char wanted[] =
        "StructureSize 0x0024\nDialectCount 0x0004\nSecurityMode 0x0001\nReserved 0x0000\n"
        "Capabilities 0x0000007f\nClientGuid 54c36370fc569046a095a958d9796fbe\n"
        "NegotiateContextOffset 0x00000000\nNegotiateContextCount 0x0000\nReserved2 0x0000\n";
    struct message message;
    struct span bytes = decode_sample(SAMPLE_v302_negreq, &message);
    struct message_fields list = message_fields(message.kind);
    char text[512];

    (void)state;
    assert_int_equal(fields_print(list.fields, list.count, &message.body, text, sizeof text),
                     strlen(wanted));
    assert_string_equal(text, wanted);
    memset(text, 'x', sizeof text);
    assert_int_equal(fields_print(list.fields, list.count, &message.body, text, 10), 9);
    assert_string_equal(text, "Structure");
    assert_int_equal(text[10], 'x');
    assert_int_equal(fields_print(list.fields, list.count, &message.body, text, 0), 0);
    release(bytes);
}

/* No two fields of a list overlap, none is left out, and the list covers what StructureSize says.
 */
static void lists_have_no_holes(void **state) {
    (void)state;
    for (unsigned kind = MESSAGE_UNKNOWN; kind <= MESSAGE_COMPRESSED; kind++) {
        struct message_fields list = message_fields(kind);
        unsigned at = 0;

        for (unsigned i = 0; i < list.count; i++) {
            assert_int_equal(list.fields[i].wire_offset, at);
            at += list.fields[i].width;
        }
        if (list.count > 0 && list.at == 0)
            assert_int_equal(at, kind == MESSAGE_TRANSFORM    ? TRANSFORM_HEADER_SIZE
                                 : kind == MESSAGE_COMPRESSED ? COMPRESSION_HEADER_SIZE
                                                              : SMB1_HEADER_SIZE);
    }
}

static void contexts_that_do_not_hold_together(void **state) {
    uint8_t octets[24] = {1, 0, 4, 0, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
    struct context context;
    struct context_cursor cursor = context_cursor((struct span){octets, 24}, 3, 0x70);

    (void)state;
    assert_true(context_next(&cursor, &context));
    assert_true(context_next(&cursor, &context));
    assert_int_equal(context.offset, 0x80);
    assert_int_equal(context.data.size, 0);
    assert_false(context_next(&cursor, &context)); /* three are counted */
    assert_true(cursor.malformed);
    assert_false(context_next(&cursor, &context));

    cursor = context_cursor((struct span){octets, 23}, 2, 0x70);
    assert_true(context_next(&cursor, &context));
    assert_false(context_next(&cursor, &context));
    assert_true(cursor.malformed);

    octets[2] = 17; /* one octet more than there is */
    cursor = context_cursor((struct span){octets, 24}, 1, 0x70);
    assert_false(context_next(&cursor, &context));
    assert_true(cursor.malformed);

    cursor = context_cursor((struct span){0}, 0, 0);
    assert_false(context_next(&cursor, &context));
    assert_false(cursor.malformed);
}

static void context_data_too_short(void **state) {
    static const struct {
        uint16_t type;
        size_t least; /* with one id */
    } types[] = {
        {CONTEXT_PREAUTH_INTEGRITY, 6}, {CONTEXT_ENCRYPTION, 4},
        {CONTEXT_COMPRESSION, 10},      {CONTEXT_TRANSPORT, 4},
        {CONTEXT_SIGNING, 4},           {CONTEXT_RDMA_TRANSFORM, 10},
        {CONTEXT_NETNAME, 0},           {0x0100, 0},
    };
    const uint8_t octets[12] = {1};

    (void)state;
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t size = 0; size <= sizeof octets; size++) {
            struct span data = copy((struct span){octets, size});
            struct context context = {.type = types[i].type, .data = data};
            struct context_ids ids;

            assert_int_equal(context_ids_decode(&context, &ids), size >= types[i].least);
            release(data);
        }
}

static void contexts_encode_and_decode(void **state) {
    static const uint16_t types[] = {1, 2, 3, 5, 6, 7, 8, 0x100};
    const uint8_t list[] = {2, 0, 1, 0};
    uint8_t room[256], data[64];
    struct writer writer = writer_over(room, sizeof room);
    struct context_cursor cursor;
    struct context context;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct context_ids ids = {
            .count = 2, .salt_length = 3, .flags = 1, .ids = {list, 4}, .rest = {list, 3}};
        struct writer inner = writer_over(data, sizeof data);

        context_ids_encode(types[i], &ids, &inner);
        context = (struct context){.type = types[i], .reserved = i, .data = writer_done(&inner)};
        context_encode(&context, &writer);
    }
    cursor = context_cursor(writer_done(&writer), 8, 0);
    for (unsigned i = 0; i < 8; i++) {
        struct context_ids ids;

        assert_true(context_next(&cursor, &context));
        assert_int_equal(context.type, types[i]);
        assert_int_equal(context.reserved, i);
        assert_int_equal(context.offset % 8, 0);
        assert_true(context_ids_decode(&context, &ids));
        if (types[i] == CONTEXT_TRANSPORT)
            assert_int_equal(ids.flags, 1);
        else if (types[i] == CONTEXT_NETNAME || types[i] == 0x100)
            assert_int_equal(ids.rest.size, 3);
        else
            assert_int_equal(context_id(&ids, 0) << 8 | context_id(&ids, 1), 0x201);
    }
    assert_false(context_next(&cursor, &context) || cursor.malformed);
}

static bool frame_of(const char *hex, struct frame *frame) {
    struct span bytes = unhex(hex);
    bool decoded = frame_decode(bytes, frame);

    release(bytes);
    return decoded;
}

static void frames(void **state) {
    struct frame frame;
    uint8_t room[4];
    struct writer writer = writer_over(room, sizeof room);

    (void)state;
    assert_true(frame_of("00FFFFFE", &frame));
    assert_int_equal(frame.length, 0xfffffe);
    assert_true(frame_of("81000044", &frame));
    assert_int_equal(frame.type, FRAME_SESSION_REQUEST);
    assert_int_equal(frame.length, 0x44);
    assert_true(frame_of("8501000F", &frame));
    assert_int_equal(frame.length, 0x1000f);
    assert_false(frame_of("80000000", &frame));
    assert_false(frame_of("86000000", &frame));
    assert_false(frame_of("FE534D42", &frame));
    assert_false(frame_of("000000", &frame));
    assert_false(frame_of("", &frame));

    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, 0x12345});
    assert_octets(writer_done(&writer), "00012345");
    writer = writer_over(room, sizeof room);
    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, 0x1000000});
    assert_true(writer.failed);
    writer = writer_over(room, sizeof room);
    frame_encode(&writer, &(struct frame){FRAME_KEEP_ALIVE, 0x20000});
    assert_true(writer.failed);
}

static void readers(void **state) {
    const uint8_t octets[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct reader reader = reader_over((struct span){octets, 10});

    (void)state;
    assert_int_equal(reader_u16(&reader), 0x0201);
    assert_int_equal(reader_u24_be(&reader), 0x030405);
    reader_align(&reader, 8);
    assert_int_equal(reader.at, 8);
    reader_seek(&reader, 9);
    assert_int_equal(reader_u8(&reader), 10);
    assert_int_equal(reader_left(&reader), 0);
    assert_false(reader.failed);
    reader_seek(&reader, 3); /* only forward */
    assert_true(reader.failed);
    assert_int_equal(reader_u8(&reader), 0);

    reader = reader_over((struct span){octets, 7});
    assert_int_equal(reader_u64(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(reader_u8(&reader), 0); /* errors stick */
    assert_int_equal(reader_take(&reader, 0).size, 0);
    assert_true(reader.failed);
}

static void writers(void **state) {
    uint8_t room[16];
    struct writer writer = writer_over(room, sizeof room);

    (void)state;
    writer_u8(&writer, 1);
    writer_u16_be(&writer, 0x0203);
    writer_align(&writer, 4);
    writer_u32(&writer, 0x04050607);
    writer_u24_be(&writer, 0x08090a);
    assert_octets(writer_done(&writer), "010203000706050408090A");
    writer_u64(&writer, 0);
    assert_true(writer.failed);
    writer_u8(&writer, 0); /* errors stick */
    assert_int_equal(writer_done(&writer).size, 0);

    writer = writer_over(NULL, 0);
    writer_zero(&writer, 0);
    writer_put(&writer, (struct span){0});
    assert_false(writer.failed);
    writer_u8(&writer, 0);
    assert_true(writer.failed);
}

static void slices(void **state) {
    const uint8_t octets[4] = {1, 2, 3, 4};
    struct span bytes = {octets, 4};

    (void)state;
    assert_int_equal(span_slice(bytes, 1, 2).size, 2);
    assert_int_equal(span_slice(bytes, 1, SIZE_MAX).size, 3);
    assert_int_equal(span_slice(bytes, 4, 1).size, 0);
    assert_int_equal(span_slice(bytes, SIZE_MAX, SIZE_MAX).size, 0);
    assert_true(span_equal(span_slice(bytes, 0, 0), (struct span){0}));
    assert_false(span_equal(bytes, span_slice(bytes, 0, 3)));
}

static void names(void **state) {
    char text[16];

    (void)state;
    assert_string_equal(ntstatus_name(0xc000a000), "STATUS_INVALID_SIGNATURE");
    assert_string_equal(ntstatus_name(0), "STATUS_SUCCESS");
    assert_null(ntstatus_name(0x12345678));
    assert_string_equal(command_name(SMB2_SESSION_SETUP), "SESSION_SETUP");
    assert_string_equal(command_name(SMB2_SERVER_TO_CLIENT_NOTIFICATION),
                        "SERVER_TO_CLIENT_NOTIFICATION");
    assert_string_equal(command_name(0x14), "unknown command");
    assert_string_equal(dialect_text(SMB2_DIALECT_302, text), "3.0.2");
    assert_string_equal(dialect_text(SMB2_DIALECT_WILDCARD, text), "2.???");
    assert_string_equal(dialect_text(0x0310, text), "0x0310");
    assert_string_equal(cipher_name(CIPHER_AES_256_CCM), "AES-256-CCM");
    assert_string_equal(cipher_name(5), "unknown cipher");
    assert_string_equal(signing_name(SIGNING_AES_GMAC), "AES-GMAC");
    assert_string_equal(hash_name(HASH_SHA512), "SHA-512");
    assert_string_equal(compression_name(COMPRESSION_LZ4), "LZ4");
    assert_string_equal(compression_name(6), "unknown algorithm");
    assert_string_equal(context_type_name(CONTEXT_SIGNING), "SMB2_SIGNING_CAPABILITIES");
    assert_string_equal(capability_name(0x40), "ENCRYPTION");
    assert_null(capability_name(0x100));
    assert_string_equal(security_mode_name(2), "SIGNING_REQUIRED");
    assert_null(security_mode_name(4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_decode_and_encode),
        cmocka_unit_test(encoders_respect_their_room),
        cmocka_unit_test(cut_messages),
        cmocka_unit_test(short_messages),
        cmocka_unit_test(fixed_fields_of_a_cut_body),
        cmocka_unit_test(header_fields),
        cmocka_unit_test(interim_response_is_an_error_kind),
        cmocka_unit_test(negotiate_request_311),
        cmocka_unit_test(contexts_of_a_request),
        cmocka_unit_test(negotiate_response_311),
        cmocka_unit_test(negotiate_response_below_311),
        cmocka_unit_test(negotiate_request_below_311),
        cmocka_unit_test(contexts_out_of_bounds_are_left_out),
        cmocka_unit_test(request_contexts_out_of_bounds_are_left_out),
        cmocka_unit_test(session_setup),
        cmocka_unit_test(tree_connect),
        cmocka_unit_test(validation_of_windows),
        cmocka_unit_test(validation_answer),
        cmocka_unit_test(validation_sizes),
        cmocka_unit_test(signed_error),
        cmocka_unit_test(statuses_choose_the_body),
        cmocka_unit_test(offsets_and_counts),
        cmocka_unit_test(encoders_refuse_what_contradicts),
        cmocka_unit_test(contexts_before_the_security_buffer),
        cmocka_unit_test(smb1_request),
        cmocka_unit_test(smb1_dialects_that_are_none),
        cmocka_unit_test(smb1_response),
        cmocka_unit_test(transform),
        cmocka_unit_test(compression),
        cmocka_unit_test(chains),
        cmocka_unit_test(chains_that_lead_nowhere),
        cmocka_unit_test(cut_chain),
        cmocka_unit_test(other_magic),
        cmocka_unit_test(fields_by_name),
        cmocka_unit_test(fields_as_text),
        cmocka_unit_test(lists_have_no_holes),
        cmocka_unit_test(contexts_that_do_not_hold_together),
        cmocka_unit_test(context_data_too_short),
        cmocka_unit_test(contexts_encode_and_decode),
        cmocka_unit_test(frames),
        cmocka_unit_test(readers),
        cmocka_unit_test(writers),
        cmocka_unit_test(slices),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
