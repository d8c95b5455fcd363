#include <stdlib.h>
#include <string.h>

#include "serve/ea.h"
#include "serve/security.h"
#include "serve/work.h"

enum {
    SETTABLE_ATTRIBUTES = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE |
                          FILE_ATTRIBUTE_TEMPORARY | FILE_ATTRIBUTE_OFFLINE | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED,
    MODE_SETTABLE = FILE_WRITE_THROUGH | FILE_SEQUENTIAL_ONLY | FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT,
    ACCESS_ANY = 0,
};
/* [MS-FSCC] 2.4.7: times that are not times. */
#define TIME_FREEZE UINT64_MAX
#define TIME_THAW   (UINT64_MAX - 1)

static void set_done(struct work *work) {
    if (work_failed(work) || !work_begin(work, 2))
        return;
    writer_u16(&work->out, 2);
    work_answer(work, STATUS_SUCCESS);
}

/* False: no time ([MS-FSA] 2.1.5.15.2). 0 and the two that stop and start its updating leave it as it is. */
static bool time_take(struct work *work, uint64_t filetime, enum store_set which, struct timespec *time) {
    int64_t seconds;
    int32_t nanoseconds;

    if (filetime == 0 || filetime >= TIME_THAW)
        return true;
    if (filetime > INT64_MAX)
        return false;
    filetime_split(filetime, &seconds, &nanoseconds);
    *time = (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
    work->op.set |= which;
    return true;
}

static bool times_take(struct work *work, const struct file_basic_info *info) {
    struct store_attributes *a = &work->op.attributes;

    return time_take(work, info->creation_time, STORE_SET_CREATED, &a->created) &&
           time_take(work, info->last_access_time, STORE_SET_ACCESSED, &a->accessed) &&
           time_take(work, info->last_write_time, STORE_SET_WRITTEN, &a->written) &&
           time_take(work, info->change_time, STORE_SET_CHANGED, &a->changed);
}

/* What this open writes from now on leaves the time that it set, or that it found, alone. */
static void written_hold(struct work *work, const struct store_attributes *now, const struct file_basic_info *info) {
    struct open *open = work->open;

    if (info->last_write_time == TIME_THAW) {
        open->holds_written = false;
    } else if (info->last_write_time != 0) {
        open->holds_written = true;
        open->written = (work->op.set & STORE_SET_WRITTEN) != 0 ? work->op.attributes.written : now->written;
    }
}

static uint32_t basic_check(const struct work *work, const struct file_basic_info *info) {
    bool is_folder = work->open->is_folder;

    if ((info->file_attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 && !is_folder)
        return STATUS_INVALID_PARAMETER;
    return (info->file_attributes & FILE_ATTRIBUTE_TEMPORARY) != 0 && is_folder ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

/* Sparseness is not set by attributes, and so not lost by them. */
static void basic_stated(struct work *work) {
    struct store_attributes now = work->op.attributes;
    struct file_basic_info info;

    if (work_failed(work))
        return;
    if (!file_basic_info_decode(work->list, &info) || !times_take(work, &info)) {
        work_refuse(work, STATUS_INVALID_PARAMETER);
        return;
    }
    written_hold(work, &now, &info);
    open_show_written(work->open);
    if (info.file_attributes != 0) {
        work->op.attributes.dos_attributes = (info.file_attributes & SETTABLE_ATTRIBUTES) |
                                             (now.dos_attributes & FILE_ATTRIBUTE_SPARSE_FILE);
        work->op.set |= STORE_SET_DOS;
    }
    work_submit(work, STORE_SET, set_done);
}

static void set_basic(struct work *work, struct span buffer) {
    struct file_basic_info info;
    uint32_t status = file_basic_info_decode(buffer, &info) ? basic_check(work, &info) : STATUS_INFO_LENGTH_MISMATCH;

    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    work->list = buffer;
    work_submit(work, STORE_STAT, basic_stated);
}

static void set_position(struct work *work, struct span buffer) {
    struct file_number_info info;

    if (!file_number_info_decode(buffer, &info) || info.value > INT64_MAX) {
        work_refuse(work, buffer.size < 8 ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER);
        return;
    }
    work->open->position = info.value;
    set_done(work);
}

/* [MS-FSCC] 2.4.31: only some of the bits can be changed, the others have to stand as they are. */
static void set_mode(struct work *work, struct span buffer) {
    struct file_short_number_info info;

    if (!file_short_number_info_decode(buffer, &info) || (info.value & ~(uint32_t)MODE_SETTABLE) != 0) {
        work_refuse(work, buffer.size < 4 ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER);
        return;
    }
    work->open->mode = info.value;
    set_done(work);
}

static void set_ea(struct work *work, struct span buffer) {
    uint32_t status = ea_list_check(buffer);

    if (status != STATUS_SUCCESS)
        work_refuse(work, status);
    else
        ea_list_set(work, buffer, set_done);
}

static void set_size(struct work *work, struct span buffer, enum store_kind kind) {
    struct file_number_info info;

    if (!file_number_info_decode(buffer, &info) || info.value > INT64_MAX) {
        work_refuse(work, buffer.size < 8 ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER);
        return;
    }
    work->op.size = info.value;
    node_break_shared(host_nodes(work->connection->host), &work->open->seat);
    open_show_written(work->open);
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

static void disposition_allowed(struct work *work) {
    if (work_failed(work))
        return;
    work->op.result = 0;
    work->op.restart = true;
    work->op.entry = folder_entry;
    if (work->open->is_folder)
        work_submit(work, STORE_LIST, folder_listed);
    else
        folder_listed(work);
}

static void disposition_stated(struct work *work) {
    if (work_failed(work))
        return;
    if ((work->op.attributes.dos_attributes & FILE_ATTRIBUTE_READONLY) != 0) {
        work_refuse(work, STATUS_CANNOT_DELETE);
        return;
    }
    work_submit(work, STORE_REMOVABLE, disposition_allowed);
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

static void name_set(struct work *work) {
    if (work->op.result >= 0 && work->op.kind == STORE_RENAME)
        node_renamed(host_nodes(work->connection->host), &work->open->seat, work->path, work->op.stream);
    set_done(work);
}

/* A stream is renamed to another of its file's, ":NAME"; a file to a path. */
static uint32_t name_check(struct work *work, enum store_kind kind, bool has_stream) {
    struct open *open = work->open;

    if (open->is_stream)
        return kind == STORE_RENAME && *work->path == '\0' && *work->op.stream != '\0' ? STATUS_SUCCESS : STATUS_NOT_SUPPORTED;
    if (has_stream)
        return STATUS_NOT_SUPPORTED;
    if (*work->path == '\0')
        return STATUS_OBJECT_NAME_INVALID;
    if (kind == STORE_LINK)
        return open->is_folder ? STATUS_FILE_IS_A_DIRECTORY : STATUS_SUCCESS;
    return node_check_rename(host_nodes(work->connection->host), &open->seat, work->path, open->is_folder);
}

/* FileRenameInformation and FileLinkInformation ([MS-FSCC] 2.4.42.2, 2.4.28.2). Some clients begin the name with a
 * separator. */
static void set_name(struct work *work, struct span buffer, enum store_kind kind) {
    struct file_rename_info info;
    uint32_t status = STATUS_INFO_LENGTH_MISMATCH;
    bool has_stream = false;

    work->path = malloc(STORE_PATH_MAX);
    if (work->path != NULL && file_rename_info_decode(buffer, &info)) {
        bool has_separator = info.name.size > 2 && info.name.data[0] == '\\' && info.name.data[1] == 0;

        if (has_separator)
            info.name = span_slice(info.name, 2, info.name.size);
        status = info.root_directory != 0 ? STATUS_INVALID_PARAMETER
                                          : path_decode(info.name, work->path, &work->op.stream, &has_stream);
    }
    if (status == STATUS_SUCCESS)
        status = name_check(work, kind, has_stream);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    work->op.path = work->path;
    work->op.replace = info.replace_if_exists != 0;
    work_submit(work, kind, name_set);
}

/* --- the security descriptor --- */

/* What of it may be changed by this open; [MS-FSA] 2.1.5.16. */
static uint32_t security_check(const struct work *work, uint32_t information) {
    uint32_t access = work->open->access;

    if ((information & SECURITY_SACL) != 0)
        return STATUS_ACCESS_DENIED; /* nobody has ACCESS_SYSTEM_SECURITY */
    if ((information & SECURITY_DACL) != 0 && (access & ACCESS_WRITE_DAC) == 0)
        return STATUS_ACCESS_DENIED;
    if ((information & (SECURITY_OWNER | SECURITY_GROUP)) != 0 && (access & ACCESS_WRITE_OWNER) == 0)
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

static void security_had(struct work *work) {
    struct security kept, changes, merged;
    struct writer writer;
    uint8_t *octets;

    if (work_failed(work))
        return;
    octets = malloc(SECURITY_SIZE_MAX);
    free(work->name);
    work->name = (char *)octets;
    if (octets == NULL || !work_security(work, &kept)) {
        work_refuse(work, STATUS_INSUFFICIENT_RESOURCES);
        return;
    }
    security_decode(work->list, &changes);
    changes.control |= SECURITY_DACL_PRESENT; /* none at all is one that grants everything */
    merged = security_merge(&kept, &changes, work->information);
    writer = writer_over(octets, SECURITY_SIZE_MAX);
    security_encode(&merged, &writer);
    work->op.data = octets;
    work->op.size = writer.failed ? SIZE_MAX : writer.at; /* -E2BIG then */
    work_submit(work, STORE_SECURITY_SET, set_done);
}

static void security_stated(struct work *work) {
    if (!work_failed(work))
        work_submit(work, STORE_SECURITY_GET, security_had);
}

static void set_security(struct work *work, const struct set_info_request *request) {
    struct security changes;
    uint32_t status = security_check(work, request->additional_information);

    if (status == STATUS_SUCCESS && !security_decode(request->buffer, &changes))
        status = STATUS_INVALID_SECURITY_DESCR;
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    work->list = request->buffer;
    work->information = request->additional_information;
    work_submit(work, STORE_STAT, security_stated);
}

/* --- SET_INFO --- */

struct set_class {
    void (*set)(struct work *work, struct span buffer);
    uint32_t access; /* one of these */
};

static void set_end_of_file(struct work *work, struct span buffer) {
    set_size(work, buffer, STORE_TRUNCATE);
}

static void set_allocation(struct work *work, struct span buffer) {
    set_size(work, buffer, STORE_ALLOCATE);
}

static void set_rename(struct work *work, struct span buffer) {
    set_name(work, buffer, STORE_RENAME);
}

static void set_link(struct work *work, struct span buffer) {
    set_name(work, buffer, STORE_LINK);
}

static const struct set_class set_classes[] = {
    [FILE_BASIC_INFORMATION] = {set_basic, FILE_WRITE_ATTRIBUTES},
    [FILE_RENAME_INFORMATION] = {set_rename, ACCESS_DELETE},
    [FILE_LINK_INFORMATION] = {set_link, ACCESS_ANY},
    [FILE_DISPOSITION_INFORMATION] = {set_disposition, ACCESS_DELETE},
    [FILE_POSITION_INFORMATION] = {set_position, ACCESS_ANY},
    [FILE_FULL_EA_INFORMATION] = {set_ea, FILE_WRITE_EA},
    [FILE_MODE_INFORMATION] = {set_mode, ACCESS_ANY},
    [FILE_ALLOCATION_INFORMATION] = {set_allocation, FILE_WRITE_DATA},
    [FILE_END_OF_FILE_INFORMATION] = {set_end_of_file, FILE_WRITE_DATA},
};

static void set_file(struct work *work, const struct set_info_request *request) {
    size_t count = sizeof set_classes / sizeof *set_classes;
    const struct set_class *found = request->file_info_class < count ? &set_classes[request->file_info_class] : NULL;

    if (found == NULL || found->set == NULL)
        work_refuse(work, STATUS_INVALID_INFO_CLASS);
    else if (found->access != ACCESS_ANY && (work->open->access & found->access) == 0)
        work_refuse(work, STATUS_ACCESS_DENIED);
    else
        found->set(work, request->buffer);
}

void serve_set_info(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct set_info_request request;
    uint32_t status = STATUS_SUCCESS;

    if (work == NULL)
        return;
    if (!set_info_request_decode(frame->request.message.bytes, &request))
        status = STATUS_INVALID_PARAMETER;
    else if ((request.info_type != INFO_FILE && request.info_type != INFO_SECURITY) || work->open->file == NULL)
        status = STATUS_NOT_SUPPORTED;
    else if (work->open->share->read_only)
        status = STATUS_ACCESS_DENIED;
    if (status != STATUS_SUCCESS)
        work_refuse(work, status);
    else if (request.info_type == INFO_SECURITY)
        set_security(work, &request);
    else
        set_file(work, &request);
}
