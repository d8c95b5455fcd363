#include "client/requests.h"

#include <string.h>

#include "wire/text.h"

/* Octets of an answer to QUERY_INFO: FileAllInformation with the longest name. */
#define INFO_SIZE_MAX 4096u
#define INHERITED 0xff

bool wire_path_set(struct wire_path *wire, const char *path, struct session_error *error) {
    struct writer writer = writer_over(wire->octets, sizeof wire->octets);

    if (text_to_utf16(text_span(path), &writer)) {
        wire->span = writer_done(&writer);
        return true;
    }
    chain_refused(error, STATUS_OBJECT_NAME_INVALID);
    return false;
}

void file_id_inherit(uint8_t id[FILE_ID_SIZE]) {
    memset(id, INHERITED, FILE_ID_SIZE);
}

/* ---- bodies ---- */

static void put_create(struct writer *writer, const void *arguments) {
    create_request_encode(arguments, writer);
}

static void put_close(struct writer *writer, const void *arguments) {
    close_request_encode(arguments, writer);
}

static void put_read(struct writer *writer, const void *arguments) {
    read_request_encode(arguments, writer);
}

static void put_write(struct writer *writer, const void *arguments) {
    write_request_encode(arguments, writer);
}

static void put_query_info(struct writer *writer, const void *arguments) {
    query_info_request_encode(arguments, writer);
}

static void put_set_info(struct writer *writer, const void *arguments) {
    set_info_request_encode(arguments, writer);
}

struct create_request create_body(const struct wire_path *path, const struct share_open *how) {
    struct create_request request = {
        .requested_oplock_level = OPLOCK_LEVEL_NONE,
        .impersonation_level = IMPERSONATION_LEVEL_IMPERSONATION,
        .desired_access = how->access,
        .share_access = how->sharing,
        .create_disposition = how->disposition,
        .create_options = how->options,
        .name = path->span,
    };

    create_request_place(&request);
    return request;
}

struct close_request close_body(const uint8_t id[FILE_ID_SIZE]) {
    struct close_request request = {.flags = CLOSE_FLAG_POSTQUERY_ATTRIB};

    memcpy(request.file_id, id, FILE_ID_SIZE);
    close_request_place(&request);
    return request;
}

struct read_request read_body(const uint8_t id[FILE_ID_SIZE], uint32_t size) {
    struct read_request request = {.length = size};

    memcpy(request.file_id, id, FILE_ID_SIZE);
    read_request_place(&request);
    return request;
}

struct query_info_request query_body(const uint8_t id[FILE_ID_SIZE]) {
    struct query_info_request request = {
        .info_type = INFO_FILE, .file_info_class = FILE_ALL_INFORMATION, .output_buffer_length = INFO_SIZE_MAX};

    memcpy(request.file_id, id, FILE_ID_SIZE);
    query_info_request_place(&request);
    return request;
}

struct set_info_request set_body(const uint8_t id[FILE_ID_SIZE], enum file_info_class info_class, struct span buffer) {
    struct set_info_request request = {
        .info_type = INFO_FILE, .file_info_class = (uint8_t)info_class, .buffer = buffer};

    memcpy(request.file_id, id, FILE_ID_SIZE);
    set_info_request_place(&request);
    return request;
}

bool rename_buffer_set(struct rename_buffer *buffer, const char *to, bool replace, struct session_error *error) {
    struct file_rename_info info = {.replace_if_exists = replace};
    struct writer writer = writer_over(buffer->octets, sizeof buffer->octets);
    struct wire_path wire;

    if (!wire_path_set(&wire, to, error))
        return false;
    info.name = wire.span;
    file_rename_info_place(&info);
    file_rename_info_encode(&info, &writer);
    buffer->span = writer_done(&writer);
    return true;
}

void basic_buffer_set(struct basic_buffer *buffer, const struct file_status *status) {
    const struct file_basic_info info = {
        .creation_time = status->creation_time,
        .last_access_time = status->last_access_time,
        .last_write_time = status->last_write_time,
        .change_time = status->change_time,
        .file_attributes = status->attributes,
    };
    struct writer writer = writer_over(buffer->octets, sizeof buffer->octets);

    file_basic_info_encode(&info, &writer);
    buffer->span = writer_done(&writer);
}

/* ---- answers ---- */

static bool take_create(struct span message, void *result) {
    struct share_file *file = result;
    struct create_response response;

    if (!create_response_decode(message, &response))
        return false;
    memcpy(file->id, response.file_id, FILE_ID_SIZE);
    file->status = (struct file_status){
        .creation_time = response.creation_time,
        .last_access_time = response.last_access_time,
        .last_write_time = response.last_write_time,
        .change_time = response.change_time,
        .size = response.end_of_file,
        .allocation_size = response.allocation_size,
        .attributes = response.file_attributes,
    };
    return true;
}

static bool take_close(struct span message, void *result) {
    struct file_status *status = result;
    struct close_response response;

    if (!close_response_decode(message, &response))
        return false;
    if (response.flags & CLOSE_FLAG_POSTQUERY_ATTRIB)
        *status = (struct file_status){
            .creation_time = response.creation_time,
            .last_access_time = response.last_access_time,
            .last_write_time = response.last_write_time,
            .change_time = response.change_time,
            .size = response.end_of_file,
            .allocation_size = response.allocation_size,
            .attributes = response.file_attributes,
        };
    return true;
}

/* The name at its end may be cut where it is long: nobody needs it. */
static bool take_all_info(struct span message, void *result) {
    struct file_status *status = result;
    struct output_response response;
    struct file_all_info info;

    if (!output_response_decode(message, &response))
        return false;
    file_all_info_decode(response.output, &info);
    if (response.output.size < file_all_info_fields[file_all_info_fields_count - 1].wire_offset)
        return false;
    *status = (struct file_status){
        .creation_time = info.creation_time,
        .last_access_time = info.last_access_time,
        .last_write_time = info.last_write_time,
        .change_time = info.change_time,
        .size = info.end_of_file,
        .allocation_size = info.allocation_size,
        .index = info.index_number,
        .attributes = info.file_attributes,
        .links = info.number_of_links,
    };
    return true;
}

static bool take_read(struct span message, void *result) {
    struct read_result *read = result;
    struct read_response response;

    if (!read_response_decode(message, &response) || response.data.size > read->size)
        return false;
    memcpy(read->data, response.data.data, response.data.size);
    read->got = (uint32_t)response.data.size;
    return true;
}

static bool take_write(struct span message, void *result) {
    struct write_response response;

    if (!write_response_decode(message, &response))
        return false;
    *(uint32_t *)result = response.count;
    return true;
}

/* ---- steps ---- */

struct chain_step create_step(const struct create_request *body, struct share_file *file) {
    return (struct chain_step){
        .command = SMB2_CREATE, .encode = put_create, .arguments = body, .take = take_create, .result = file};
}

struct chain_step close_step(const struct close_request *body, struct file_status *status) {
    return (struct chain_step){.command = SMB2_CLOSE,
                               .encode = put_close,
                               .arguments = body,
                               .take = status == NULL ? NULL : take_close,
                               .result = status};
}

struct chain_step read_step(const struct read_request *body, struct read_result *result) {
    return (struct chain_step){.command = SMB2_READ,
                               .payload = body->length,
                               .encode = put_read,
                               .arguments = body,
                               .take = take_read,
                               .result = result};
}

struct chain_step write_step(const struct write_request *body, uint32_t *count) {
    return (struct chain_step){.command = SMB2_WRITE,
                               .payload = (uint32_t)body->data.size,
                               .encode = put_write,
                               .arguments = body,
                               .take = take_write,
                               .result = count};
}

struct chain_step query_step(const struct query_info_request *body, struct file_status *status) {
    return (struct chain_step){.command = SMB2_QUERY_INFO,
                               .payload = INFO_SIZE_MAX,
                               .encode = put_query_info,
                               .arguments = body,
                               .take = take_all_info,
                               .result = status};
}

struct chain_step set_step(const struct set_info_request *body) {
    return (struct chain_step){
        .command = SMB2_SET_INFO, .payload = (uint32_t)body->buffer.size, .encode = put_set_info, .arguments = body};
}
