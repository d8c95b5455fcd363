#include <stdlib.h>
#include <string.h>

#include "serve/ea.h"
#include "serve/security.h"
#include "serve/work.h"
#include "store/names.h"
#include "wire/text.h"

enum {
    INFO_ROOM = 2 * STORE_PATH_MAX + 256, /* octets of the longest answer that is no list: FileAllInformation with a name */
    SECTOR_SIZE = 512,
    /* Case-preserving and -searching names, Unicode, kept ACLs, sparse files, named streams, extended attributes:
     * [MS-FSCC] 2.5.1. */
    FS_ATTRIBUTES = 0x0084004f, FS_READ_ONLY = 0x00080000,
    DEVICE_DISK = 7, DEVICE_IS_MOUNTED = 0x20,
    DIALECT_WITH_NORMALIZED_NAMES = 0x0311, DIALECT_WITH_ERROR_CONTEXTS = 0x0311,
};

/* --- a file --- */

static void basic_put(const struct store_attributes *a, struct writer *out) {
    struct file_basic_info info = {.creation_time = filetime_of(a->created),
        .last_access_time = filetime_of(a->accessed), .last_write_time = filetime_of(a->written),
        .change_time = filetime_of(a->changed), .file_attributes = file_attributes_of(a)};

    file_basic_info_encode(&info, out);
}

static void standard_put(const struct work *work, struct writer *out) {
    const struct store_attributes *a = &work->op.attributes;
    bool pending = node_is_delete_pending(host_nodes(work->connection->host), (struct node_seat *)&work->open->seat);
    struct file_standard_info info = {.allocation_size = a->is_folder ? 0 : a->allocated,
        .end_of_file = a->is_folder ? 0 : a->size, .number_of_links = pending ? a->links - 1 : a->links,
        .delete_pending = pending, .directory = a->is_folder};

    file_standard_info_encode(&info, out);
}

static void number_put(uint64_t value, struct writer *out) {
    writer_u64(out, value);
}

static void network_open_put(const struct store_attributes *a, struct writer *out) {
    struct file_network_open_info info = {.creation_time = filetime_of(a->created),
        .last_access_time = filetime_of(a->accessed), .last_write_time = filetime_of(a->written),
        .change_time = filetime_of(a->changed), .allocation_size = a->is_folder ? 0 : a->allocated,
        .end_of_file = a->is_folder ? 0 : a->size, .file_attributes = file_attributes_of(a)};

    file_network_open_info_encode(&info, out);
}

/* The path from the share's root in the case it has there, behind `lead`, with its length in front. */
static void name_put(const struct work *work, const char *lead, struct writer *out) {
    struct store *store = work->open->share->store;
    char path[STORE_PATH_MAX + STORE_NAME_MAX];
    size_t length_at = out->at;
    struct writer length;

    writer_u32(out, 0);
    text_to_utf16(text_span(lead), out);
    if (store->methods->path(store, work->open->file, path) != 0)
        *path = '\0';
    for (char *at = path; (at = strchr(at, '/')) != NULL; )
        *at = '\\';
    text_to_utf16(text_span(path), out);
    if (out->failed)
        return;
    length = writer_over(out->data + length_at, 4);
    writer_u32(&length, (uint32_t)(out->at - length_at - 4));
}

/* FileAlternateNameInformation: a made-up name, or the one that has the form already, in upper case. */
static void short_name_put(const struct work *work, struct writer *out) {
    struct store *store = work->open->share->store;
    char path[STORE_PATH_MAX + STORE_NAME_MAX], made[SHORT_NAME_MAX] = "";
    const char *slash;

    if (store->methods->path(store, work->open->file, path) == 0 && *path != '\0') {
        path[strcspn(path, ":")] = '\0';
        slash = strrchr(path, '/');
        short_name(slash != NULL ? slash + 1 : path, made);
    }
    writer_u32(out, (uint32_t)(2 * strlen(made)));
    text_to_utf16(text_span(made), out);
}

static void all_put(const struct work *work, struct writer *out) {
    basic_put(&work->op.attributes, out);
    standard_put(work, out);
    number_put(work->op.attributes.id.file, out);
    writer_u32(out, work->count); /* EaSize */
    writer_u32(out, work->open->access);
    number_put(work->open->position, out);
    writer_u32(out, work->open->mode);
    writer_u32(out, 0);
    name_put(work, "\\", out);
}

static void id_put(const struct store_attributes *a, struct writer *out) {
    number_put(a->id.volume, out);
    number_put(a->id.file, out);
    number_put(0, out);
}

static void compression_put(const struct store_attributes *a, struct writer *out) {
    number_put(a->is_folder ? 0 : a->size, out);
    writer_zero(out, 8);
}

/* What a class takes at least: octets of its fixed part, rounded as Windows' structures are, and one of these accesses
 * ([MS-SMB2] 3.3.5.20.1). */
struct query_class {
    uint16_t size;
    uint32_t access;
};

static const struct query_class file_classes[] = {
    [FILE_BASIC_INFORMATION] = {40, FILE_READ_ATTRIBUTES},
    [FILE_STANDARD_INFORMATION] = {24, 0},
    [FILE_INTERNAL_INFORMATION] = {8, 0},
    [FILE_EA_INFORMATION] = {4, 0},
    [FILE_ACCESS_INFORMATION] = {4, 0},
    [FILE_POSITION_INFORMATION] = {8, 0},
    [FILE_FULL_EA_INFORMATION] = {0, FILE_READ_EA},
    [FILE_MODE_INFORMATION] = {4, 0},
    [FILE_ALIGNMENT_INFORMATION] = {4, 0},
    [FILE_ALL_INFORMATION] = {104, FILE_READ_ATTRIBUTES},
    [FILE_ALTERNATE_NAME_INFORMATION] = {8, 0},
    [FILE_STREAM_INFORMATION] = {32, 0},
    [FILE_COMPRESSION_INFORMATION] = {16, 0},
    [FILE_NETWORK_OPEN_INFORMATION] = {56, FILE_READ_ATTRIBUTES},
    [FILE_ATTRIBUTE_TAG_INFORMATION] = {8, FILE_READ_ATTRIBUTES},
    [FILE_NORMALIZED_NAME_INFORMATION] = {8, 0},
    [FILE_ID_INFORMATION] = {24, 0},
};

static const struct query_class fs_classes[] = {
    [FS_VOLUME_INFORMATION] = {24, 0},
    [FS_SIZE_INFORMATION] = {24, 0},
    [FS_DEVICE_INFORMATION] = {8, 0},
    [FS_ATTRIBUTE_INFORMATION] = {16, 0},
    [FS_CONTROL_INFORMATION] = {48, 0},
    [FS_FULL_SIZE_INFORMATION] = {32, 0},
    [FS_OBJECT_ID_INFORMATION] = {64, 0},
    [FS_SECTOR_SIZE_INFORMATION] = {28, 0},
};

/* False: no such class. */
static bool file_put(const struct work *work, struct writer *out) {
    const struct store_attributes *a = &work->op.attributes;

    switch (work->info_class) {
    case FILE_BASIC_INFORMATION:           basic_put(a, out); return true;
    case FILE_STANDARD_INFORMATION:        standard_put(work, out); return true;
    case FILE_INTERNAL_INFORMATION:        number_put(a->id.file, out); return true;
    case FILE_EA_INFORMATION:              writer_u32(out, work->count); return true;
    case FILE_ACCESS_INFORMATION:          writer_u32(out, work->open->access); return true;
    case FILE_POSITION_INFORMATION:        number_put(work->open->position, out); return true;
    case FILE_MODE_INFORMATION:            writer_u32(out, work->open->mode); return true;
    case FILE_ALIGNMENT_INFORMATION:       writer_u32(out, 0); return true;
    case FILE_ALL_INFORMATION:             all_put(work, out); return true;
    case FILE_ALTERNATE_NAME_INFORMATION:  short_name_put(work, out); return true;
    case FILE_COMPRESSION_INFORMATION:     compression_put(a, out); return true;
    case FILE_NETWORK_OPEN_INFORMATION:    network_open_put(a, out); return true;
    case FILE_NORMALIZED_NAME_INFORMATION: name_put(work, "", out); return true;
    case FILE_ATTRIBUTE_TAG_INFORMATION:
        writer_u32(out, file_attributes_of(a));
        writer_u32(out, 0);
        return true;
    case FILE_ID_INFORMATION:              id_put(a, out); return true;
    default:                               return false;
    }
}

/* Sends what fits: a part of it with BUFFER_OVERFLOW where `work->total` octets are too few. */
static void query_answer(struct work *work, bool known) {
    size_t most = work->start + (size_t)work->total;
    bool over = work->out.at > most;

    if (!known) {
        work_refuse(work, STATUS_INVALID_INFO_CLASS);
        return;
    }
    if (over)
        work->out.at = most;
    work_answer_output(work, over ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS);
}

static void file_ready(struct work *work) {
    if (!work_failed(work))
        query_answer(work, file_put(work, &work->out));
}

static bool ea_size_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct work *work = op->owner;

    work->count += (work->count == 0 ? EA_LIST_SIZE : 0) + EA_HEAD_SIZE + (uint32_t)(strlen(name) + attributes->size);
    return true;
}

static void file_stated(struct work *work) {
    bool has_ea_size = work->info_class == FILE_EA_INFORMATION || work->info_class == FILE_ALL_INFORMATION;

    if (!has_ea_size || work->op.result < 0) {
        file_ready(work);
        return;
    }
    work->op.entry = ea_size_entry;
    work_submit(work, STORE_XATTR_LIST, file_ready);
}

static bool stream_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct work *work = op->owner;
    uint8_t octets[2 * STORE_NAME_MAX + 16];
    struct writer utf16 = writer_over(octets, sizeof octets);
    struct file_stream_info info = {.stream_size = attributes->size, .stream_allocation_size = attributes->allocated};

    text_put_utf16(&utf16, ':');
    text_to_utf16(text_span(name), &utf16);
    text_to_utf16(text_span(":$DATA"), &utf16);
    info.name = writer_done(&utf16);
    file_stream_info_place(&info);
    entry_begin(&work->out, work->start, &work->previous);
    file_stream_info_encode(&info, &work->out);
    return !work->out.failed;
}

static void streams_listed(struct work *work) {
    if (!work_failed(work))
        query_answer(work, true);
}

static void streams_stated(struct work *work) {
    if (work_failed(work))
        return;
    if (!work->op.attributes.is_folder)
        stream_entry(&work->op, "", &work->op.attributes);
    work->op.result = 0;
    work->op.entry = stream_entry;
    work_submit(work, STORE_STREAMS, streams_listed);
}

/* --- the file system --- */

static void fs_text_put(const char *text, struct writer *out) {
    text_to_utf16(text_span(text), out);
}

static void sectors_put(const struct store_volume *volume, struct writer *out) {
    enum { ALIGNED = 3 }; /* to the device, and to the partition on it */

    writer_u32(out, SECTOR_SIZE);
    for (unsigned i = 0; i < 3; i++)
        writer_u32(out, (uint32_t)volume->block_size);
    writer_u32(out, ALIGNED);
    writer_u32(out, 0);
    writer_u32(out, 0);
}

static size_t text_utf16_size(const char *text) {
    uint8_t octets[2 * STORE_NAME_MAX];
    struct writer utf16 = writer_over(octets, sizeof octets);

    text_to_utf16(text_span(text), &utf16);
    return writer_done(&utf16).size;
}

static bool fs_put(const struct work *work, struct writer *out) {
    const struct store_volume *volume = &work->op.volume;
    const char *label = volume->label[0] != '\0' ? volume->label : work->open->share->name;
    uint32_t sectors = volume->block_size < SECTOR_SIZE ? 1 : (uint32_t)(volume->block_size / SECTOR_SIZE);

    switch (work->info_class) {
    case FS_VOLUME_INFORMATION:
        number_put(0, out);
        writer_u32(out, (uint32_t)volume->id);
        writer_u32(out, (uint32_t)text_utf16_size(label));
        writer_u16(out, 0);
        fs_text_put(label, out);
        return true;
    case FS_SIZE_INFORMATION:
    case FS_FULL_SIZE_INFORMATION:
        number_put(volume->blocks, out);
        number_put(volume->blocks_available, out);
        if (work->info_class == FS_FULL_SIZE_INFORMATION)
            number_put(volume->blocks_free, out);
        writer_u32(out, sectors);
        writer_u32(out, SECTOR_SIZE);
        return true;
    case FS_DEVICE_INFORMATION:
        writer_u32(out, DEVICE_DISK);
        writer_u32(out, DEVICE_IS_MOUNTED);
        return true;
    case FS_ATTRIBUTE_INFORMATION:
        writer_u32(out, FS_ATTRIBUTES | (volume->read_only ? FS_READ_ONLY : 0));
        writer_u32(out, volume->name_max);
        writer_u32(out, 2 * 4);
        fs_text_put("NTFS", out); /* clients tell by it whether there are streams */
        return true;
    case FS_CONTROL_INFORMATION: /* no quotas: [MS-FSCC] 2.5.2 */
        writer_zero(out, 24);
        number_put(UINT64_MAX, out);
        number_put(UINT64_MAX, out);
        number_put(0, out);
        return true;
    case FS_OBJECT_ID_INFORMATION:
        number_put(volume->id, out);
        writer_zero(out, 56);
        return true;
    case FS_SECTOR_SIZE_INFORMATION:
        sectors_put(volume, out);
        return true;
    default:
        return false;
    }
}

static void volume_had(struct work *work) {
    if (!work_failed(work))
        query_answer(work, fs_put(work, &work->out));
}

/* --- the security descriptor --- */

/* 3.3.5.20.3: what it takes is told where the buffer is too small (2.2.2.2). */
static void security_too_large(struct work *work, size_t size) {
    enum { ERROR_SIZE = 9, ERROR_ID_DEFAULT = 0 };
    bool has_contexts = work->connection->server.negotiation.agreed.dialect >= DIALECT_WITH_ERROR_CONTEXTS;

    if (!work_begin(work, ERROR_SIZE + 16))
        return;
    writer_u16(&work->out, ERROR_SIZE);
    writer_u8(&work->out, has_contexts);
    writer_u8(&work->out, 0);
    writer_u32(&work->out, has_contexts ? 12 : 4);
    if (has_contexts) {
        writer_u32(&work->out, 4);
        writer_u32(&work->out, ERROR_ID_DEFAULT);
    }
    writer_u32(&work->out, (uint32_t)size);
    work_answer(work, STATUS_BUFFER_TOO_SMALL);
}

static void security_had(struct work *work) {
    struct security kept, part;
    size_t size;

    if (work_failed(work))
        return;
    if (!work_security(work, &kept)) {
        work_refuse(work, STATUS_INSUFFICIENT_RESOURCES);
        return;
    }
    part = security_part(&kept, work->information);
    if (!work_begin_output(work, SECURITY_SIZE_MAX))
        return;
    security_encode(&part, &work->out);
    size = work->out.at - work->start;
    if (work->out.failed)
        work_refuse(work, STATUS_INSUFFICIENT_RESOURCES);
    else if (size > work->total)
        security_too_large(work, size);
    else
        work_answer_output(work, STATUS_SUCCESS);
}

static void security_stated(struct work *work) {
    if (!work_failed(work))
        work_submit(work, STORE_SECURITY_GET, security_had);
}

static void security_query(struct work *work, const struct query_info_request *request) {
    uint32_t needs = ACCESS_READ_CONTROL;

    if ((request->additional_information & SECURITY_SACL) != 0)
        work_refuse(work, STATUS_ACCESS_DENIED); /* nobody has ACCESS_SYSTEM_SECURITY */
    else if (request->additional_information != 0 && (work->open->access & needs) == 0)
        work_refuse(work, STATUS_ACCESS_DENIED);
    else {
        work->information = request->additional_information;
        work_submit(work, STORE_STAT, security_stated);
    }
}

/* --- QUERY_INFO --- */

static void file_query(struct work *work, const struct query_info_request *request) {
    if (request->file_info_class == FILE_FULL_EA_INFORMATION)
        ea_query(work, request);
    else
        work_submit(work, STORE_STAT, request->file_info_class == FILE_STREAM_INFORMATION ? streams_stated : file_stated);
}

static uint32_t class_check(const struct work *work, const struct query_class *classes, size_t count,
                            const struct query_info_request *request) {
    const struct query_class *found = request->file_info_class < count ? &classes[request->file_info_class] : NULL;

    if (found == NULL || (found->size == 0 && found->access == 0))
        return STATUS_INVALID_INFO_CLASS;
    if (found->access != 0 && (work->open->access & found->access) == 0)
        return STATUS_ACCESS_DENIED;
    return request->output_buffer_length < found->size ? STATUS_INFO_LENGTH_MISMATCH : STATUS_SUCCESS;
}

static uint32_t query_check(const struct work *work, const struct query_info_request *request) {
    bool is_normalized = request->info_type == INFO_FILE && request->file_info_class == FILE_NORMALIZED_NAME_INFORMATION;

    if (request->output_buffer_length > work->connection->server.policy->max_transact_size)
        return STATUS_INVALID_PARAMETER;
    if (work->open->file == NULL)
        return STATUS_NOT_SUPPORTED;
    if (is_normalized && work->connection->server.negotiation.agreed.dialect < DIALECT_WITH_NORMALIZED_NAMES)
        return STATUS_NOT_SUPPORTED;
    switch (request->info_type) {
    case INFO_FILE:
        return class_check(work, file_classes, sizeof file_classes / sizeof *file_classes, request);
    case INFO_FILESYSTEM:
        return class_check(work, fs_classes, sizeof fs_classes / sizeof *fs_classes, request);
    case INFO_SECURITY:
        return STATUS_SUCCESS;
    default:
        return STATUS_NOT_SUPPORTED; /* no quotas */
    }
}

static void query_submit(struct work *work, const struct query_info_request *request) {
    if (request->info_type == INFO_FILE)
        file_query(work, request);
    else if (request->info_type == INFO_FILESYSTEM)
        work_submit(work, STORE_VOLUME, volume_had);
    else
        security_query(work, request);
}

/* Lists take as much room as the client allows. */
static size_t room_of(const struct query_info_request *request) {
    return request->output_buffer_length > INFO_ROOM ? request->output_buffer_length : INFO_ROOM;
}

void serve_query_info(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct query_info_request request;
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    if (query_info_request_decode(frame->request.message.bytes, &request))
        status = query_check(work, &request);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    if (!work_begin_output(work, room_of(&request)))
        return;
    work->total = request.output_buffer_length;
    work->info_class = request.file_info_class;
    query_submit(work, &request);
}
