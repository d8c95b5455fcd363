#include <stdlib.h>
#include <string.h>

#include "serve/work.h"
#include "wire/text.h"

enum {
    INFO_ROOM = 2 * STORE_PATH_MAX + 256, /* octets of the longest answer: FileAllInformation with a name */
    SECTOR_SIZE = 512,
    FS_ATTRIBUTES = 0x0004004f, /* case-preserving and -searching names, Unicode, sparse files, named streams */
    DEVICE_DISK = 7, DEVICE_IS_MOUNTED = 0x20,
};

/* --- QUERY_INFO: a file --- */

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

/* The name from the share's root, with its length in front. */
static void name_put(const struct work *work, struct writer *out) {
    struct store *store = work->open->share->store;
    char path[STORE_PATH_MAX];
    size_t length_at = out->at;
    struct writer length;

    writer_u32(out, 0);
    text_put_utf16(out, '\\');
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

static void all_put(const struct work *work, struct writer *out) {
    basic_put(&work->op.attributes, out);
    standard_put(work, out);
    number_put(work->op.attributes.id.file, out);
    writer_u32(out, 0); /* EaSize */
    writer_u32(out, work->open->access);
    number_put(work->open->position, out);
    writer_u32(out, work->open->mode);
    writer_u32(out, 0);
    name_put(work, out);
}

/* False: no such class. */
static bool file_put(const struct work *work, struct writer *out) {
    const struct store_attributes *a = &work->op.attributes;

    switch (work->info_class) {
    case FILE_BASIC_INFORMATION:         basic_put(a, out); return true;
    case FILE_STANDARD_INFORMATION:      standard_put(work, out); return true;
    case FILE_INTERNAL_INFORMATION:      number_put(a->id.file, out); return true;
    case FILE_EA_INFORMATION:            writer_u32(out, 0); return true;
    case FILE_ACCESS_INFORMATION:        writer_u32(out, work->open->access); return true;
    case FILE_POSITION_INFORMATION:      number_put(work->open->position, out); return true;
    case FILE_MODE_INFORMATION:          writer_u32(out, work->open->mode); return true;
    case FILE_ALIGNMENT_INFORMATION:     writer_u32(out, 0); return true;
    case FILE_ALL_INFORMATION:           all_put(work, out); return true;
    case FILE_NETWORK_OPEN_INFORMATION:  network_open_put(a, out); return true;
    case FILE_NORMALIZED_NAME_INFORMATION: name_put(work, out); return true;
    case FILE_ATTRIBUTE_TAG_INFORMATION:
        writer_u32(out, file_attributes_of(a));
        writer_u32(out, 0);
        return true;
    case FILE_ID_INFORMATION:
        number_put(a->id.volume, out);
        number_put(a->id.file, out);
        number_put(0, out);
        return true;
    default:
        return false;
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

static void file_stated(struct work *work) {
    if (!work_failed(work))
        query_answer(work, file_put(work, &work->out));
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
    work->op.entry = stream_entry;
    work_submit(work, STORE_STREAMS, streams_listed);
}

/* --- QUERY_INFO: the file system --- */

static void fs_text_put(const char *text, struct writer *out) {
    text_to_utf16(text_span(text), out);
}

static bool fs_put(const struct work *work, struct writer *out) {
    const struct store_volume *volume = &work->op.volume;
    uint32_t sectors = volume->block_size < SECTOR_SIZE ? 1 : (uint32_t)(volume->block_size / SECTOR_SIZE);

    switch (work->info_class) {
    case FS_VOLUME_INFORMATION:
        number_put(0, out);
        writer_u32(out, (uint32_t)volume->id);
        writer_u32(out, (uint32_t)(2 * strlen(volume->label)));
        writer_u16(out, 0);
        fs_text_put(volume->label, out);
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
        writer_u32(out, FS_ATTRIBUTES | (volume->read_only ? 0x00080000u : 0));
        writer_u32(out, volume->name_max);
        writer_u32(out, 2 * 4);
        fs_text_put("NTFS", out); /* clients tell by it whether there are streams */
        return true;
    default:
        return false;
    }
}

static void volume_had(struct work *work) {
    if (!work_failed(work))
        query_answer(work, fs_put(work, &work->out));
}

/* --- QUERY_INFO --- */

static void query_submit(struct work *work, uint8_t info_type) {
    if (info_type == INFO_FILE && work->info_class == FILE_STREAM_INFORMATION)
        work_submit(work, STORE_STAT, streams_stated);
    else if (info_type == INFO_FILE)
        work_submit(work, STORE_STAT, file_stated);
    else if (info_type == INFO_FILESYSTEM)
        work_submit(work, STORE_VOLUME, volume_had);
    else
        work_refuse(work, STATUS_NOT_SUPPORTED); /* no security descriptors, no quota */
}

void serve_query_info(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct query_info_request request;
    uint32_t most;

    if (work == NULL)
        return;
    most = connection->server.policy->max_transact_size;
    if (!query_info_request_decode(frame->request.message.bytes, &request) || request.output_buffer_length > most) {
        work_refuse(work, STATUS_INVALID_PARAMETER);
        return;
    }
    if (work->open->file == NULL) {
        work_refuse(work, STATUS_NOT_SUPPORTED);
        return;
    }
    if (!work_begin_output(work, INFO_ROOM))
        return;
    work->total = request.output_buffer_length;
    work->info_class = request.file_info_class;
    query_submit(work, request.info_type);
}

/* --- SET_INFO --- */

static void set_done(struct work *work) {
    if (work_failed(work) || !work_begin(work, 2))
        return;
    writer_u16(&work->out, 2);
    work_answer(work, STATUS_SUCCESS);
}

/* A time to be set: 0 and the two that stop its updating leave it as it is ([MS-FSCC] 2.4.7). */
static void time_take(struct work *work, uint64_t filetime, enum store_set which, struct timespec *time) {
    int64_t seconds;
    int32_t nanoseconds;

    if (filetime == 0 || filetime >= UINT64_MAX - 1)
        return;
    filetime_split(filetime, &seconds, &nanoseconds);
    *time = (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
    work->op.set |= which;
}

static void set_basic(struct work *work, struct span buffer) {
    struct file_basic_info info;
    struct store_attributes *a = &work->op.attributes;

    if (!file_basic_info_decode(buffer, &info)) {
        work_refuse(work, STATUS_INFO_LENGTH_MISMATCH);
        return;
    }
    time_take(work, info.creation_time, STORE_SET_CREATED, &a->created);
    time_take(work, info.last_access_time, STORE_SET_ACCESSED, &a->accessed);
    time_take(work, info.last_write_time, STORE_SET_WRITTEN, &a->written);
    time_take(work, info.change_time, STORE_SET_CHANGED, &a->changed);
    if (info.file_attributes != 0) {
        a->dos_attributes = info.file_attributes & (FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN |
                                                    FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE);
        work->op.set |= STORE_SET_DOS;
    }
    work_submit(work, STORE_SET, set_done);
}

static void set_size(struct work *work, struct span buffer, enum store_kind kind) {
    struct file_number_info info;

    if (!file_number_info_decode(buffer, &info) || info.value > INT64_MAX) {
        work_refuse(work, buffer.size < 8 ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER);
        return;
    }
    work->op.size = info.value;
    node_break_shared(host_nodes(work->connection->host), &work->open->seat);
    work_submit(work, kind, set_done);
}

static void folder_listed(struct work *work) {
    if (work_failed(work))
        return;
    if (work->full) {
        work_refuse(work, STATUS_DIRECTORY_NOT_EMPTY);
        return;
    }
    node_set_delete(host_nodes(work->connection->host), &work->open->seat, true);
    set_done(work);
}

static bool folder_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct work *work = op->owner;

    (void)attributes;
    work->full |= strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    return !work->full;
}

static void disposition_stated(struct work *work) {
    if (work_failed(work))
        return;
    if ((work->op.attributes.dos_attributes & FILE_ATTRIBUTE_READONLY) != 0) {
        work_refuse(work, STATUS_CANNOT_DELETE);
        return;
    }
    work->op.result = 0;
    work->op.restart = true;
    work->op.entry = folder_entry;
    if (work->open->is_folder)
        work_submit(work, STORE_LIST, folder_listed);
    else
        folder_listed(work);
}

static void set_disposition(struct work *work, struct span buffer) {
    struct file_disposition_info info;

    if (!file_disposition_info_decode(buffer, &info)) {
        work_refuse(work, STATUS_INFO_LENGTH_MISMATCH);
    } else if (info.delete_pending != 0) {
        work_submit(work, STORE_STAT, disposition_stated);
    } else {
        node_set_delete(host_nodes(work->connection->host), &work->open->seat, false);
        set_done(work);
    }
}

/* FileRenameInformation and FileLinkInformation ([MS-FSCC] 2.4.42.2, 2.4.28.2). */
static void set_name(struct work *work, struct span buffer, enum store_kind kind) {
    struct file_rename_info info;
    uint32_t status = STATUS_INFO_LENGTH_MISMATCH;

    work->path = malloc(STORE_PATH_MAX);
    if (work->path != NULL && file_rename_info_decode(buffer, &info))
        status = info.root_directory != 0 ? STATUS_INVALID_PARAMETER
                                          : path_decode(info.name, work->path, &work->op.stream);
    if (status == STATUS_SUCCESS && *work->op.stream != '\0')
        status = STATUS_NOT_SUPPORTED;
    if (status == STATUS_SUCCESS && *work->path == '\0')
        status = STATUS_OBJECT_NAME_INVALID;
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    work->op.path = work->path;
    work->op.replace = info.replace_if_exists != 0;
    work_submit(work, kind, set_done);
}

/* The access that a class takes; 0: no such class. */
static uint32_t set_access(uint8_t info_class) {
    switch (info_class) {
    case FILE_BASIC_INFORMATION: return FILE_WRITE_ATTRIBUTES;
    case FILE_END_OF_FILE_INFORMATION:
    case FILE_ALLOCATION_INFORMATION: return FILE_WRITE_DATA;
    case FILE_DISPOSITION_INFORMATION:
    case FILE_RENAME_INFORMATION: return ACCESS_DELETE;
    case FILE_LINK_INFORMATION: return FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES;
    default: return 0;
    }
}

static void set_file(struct work *work, uint8_t info_class, struct span buffer) {
    switch (info_class) {
    case FILE_BASIC_INFORMATION:       set_basic(work, buffer); break;
    case FILE_END_OF_FILE_INFORMATION: set_size(work, buffer, STORE_TRUNCATE); break;
    case FILE_ALLOCATION_INFORMATION:  set_size(work, buffer, STORE_ALLOCATE); break;
    case FILE_DISPOSITION_INFORMATION: set_disposition(work, buffer); break;
    case FILE_RENAME_INFORMATION:      set_name(work, buffer, STORE_RENAME); break;
    default:                           set_name(work, buffer, STORE_LINK); break;
    }
}

void serve_set_info(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct set_info_request request;
    uint32_t status = STATUS_SUCCESS;

    if (work == NULL)
        return;
    if (!set_info_request_decode(frame->request.message.bytes, &request))
        status = STATUS_INVALID_PARAMETER;
    else if (request.info_type != INFO_FILE || work->open->file == NULL)
        status = STATUS_NOT_SUPPORTED;
    else if (set_access(request.file_info_class) == 0)
        status = STATUS_INVALID_INFO_CLASS;
    else if ((work->open->access & set_access(request.file_info_class)) == 0 || work->open->share->read_only)
        status = STATUS_ACCESS_DENIED;
    if (status == STATUS_SUCCESS)
        set_file(work, request.file_info_class, request.buffer);
    else
        work_refuse(work, status);
}
