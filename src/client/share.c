#include "client/share.h"

#include <stdlib.h>
#include <string.h>

#include "client/names.h"
#include "client/requests.h"
#include "client/task.h"
#include "wire/info.h"

/* Octets of one QUERY_DIRECTORY answer where the server allows it, and where credits count 64 KiB each. */
#define LIST_SIZE_MAX   1048576u
#define LIST_SIZE_FIRST 65536u

const struct share_open share_open_to_read = {
    .access = FILE_READ_DATA | FILE_READ_ATTRIBUTES | ACCESS_SYNCHRONIZE,
    .sharing = FILE_SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = FILE_NON_DIRECTORY_FILE,
};

struct share_open share_open_to_write(bool resume) {
    return (struct share_open){
        .access = FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | ACCESS_DELETE | ACCESS_SYNCHRONIZE,
        .disposition = resume ? FILE_OPEN_IF : FILE_OVERWRITE_IF,
        .options = FILE_NON_DIRECTORY_FILE | FILE_OPEN_REPARSE_POINT,
    };
}

static const struct share_open open_to_look = {
    .access = FILE_READ_ATTRIBUTES | ACCESS_SYNCHRONIZE,
    .sharing = FILE_SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = FILE_OPEN_REPARSE_POINT,
};

static const struct share_open open_to_list = {
    .access = FILE_READ_DATA | FILE_READ_ATTRIBUTES | ACCESS_SYNCHRONIZE,
    .sharing = FILE_SHARE_ALL,
    .disposition = FILE_OPEN,
    .options = FILE_DIRECTORY_FILE,
};

bool file_is_folder(const struct file_status *status) {
    return (status->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

bool file_is_reparse_point(const struct file_status *status) {
    return (status->attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
}

/* ---- files ---- */

/* CREATE, whatever stands in between, CLOSE. */
static bool run_on_path(struct share *share, const char *path, const struct share_open *how,
                        const struct chain_step *between, struct share_file *file, struct session_error *error) {
    uint8_t inherited[FILE_ID_SIZE];
    struct close_request closing;
    struct create_request opening;
    struct session_error ignored;
    struct chain_step steps[3];
    struct wire_path wire;
    unsigned count = 0;

    if (!wire_path_set(&wire, path, error))
        return false;
    file_id_inherit(inherited);
    opening = create_body(&wire, how);
    closing = close_body(inherited);
    closing.flags = 0;
    steps[count++] = create_step(&opening, file);
    if (between != NULL)
        steps[count++] = *between;
    steps[count++] = close_step(&closing, NULL);
    if (chain_succeed(share->session, share->tree, steps, count, error))
        return true;
    if (error->kind == SESSION_ERROR_REFUSED && steps[0].status == STATUS_SUCCESS &&
        steps[count - 1].status != STATUS_SUCCESS) /* some servers fail what follows a failure (3.3.5.2.7.2) */
        share_close(share, file, NULL, &ignored);
    return false;
}

bool share_open(struct share *share, const char *path, const struct share_open *how, struct share_file *file,
                struct session_error *error) {
    struct create_request body;
    struct chain_step step;
    struct wire_path wire;

    if (!wire_path_set(&wire, path, error))
        return false;
    body = create_body(&wire, how);
    step = create_step(&body, file);
    return chain_succeed(share->session, share->tree, &step, 1, error);
}

bool share_close(struct share *share, const struct share_file *file, struct file_status *status,
                 struct session_error *error) {
    struct close_request body = close_body(file->id);
    struct chain_step step = close_step(&body, status);

    return chain_succeed(share->session, share->tree, &step, 1, error);
}

bool share_stat(struct share *share, const char *path, struct file_status *status, struct session_error *error) {
    uint8_t inherited[FILE_ID_SIZE];
    struct query_info_request body;
    struct chain_step step;
    struct share_file file;

    file_id_inherit(inherited);
    body = query_body(inherited);
    step = query_step(&body, status);
    return run_on_path(share, path, &open_to_look, &step, &file, error);
}

bool share_query(struct share *share, const struct share_file *file, struct file_status *status,
                 struct session_error *error) {
    struct query_info_request body = query_body(file->id);
    struct chain_step step = query_step(&body, status);

    return chain_succeed(share->session, share->tree, &step, 1, error);
}

bool share_make_folder(struct share *share, const char *path, struct session_error *error) {
    const struct share_open how = {
        .access = FILE_READ_ATTRIBUTES | ACCESS_SYNCHRONIZE,
        .sharing = FILE_SHARE_ALL,
        .disposition = FILE_CREATE,
        .options = FILE_DIRECTORY_FILE,
    };
    struct share_file file;

    return run_on_path(share, path, &how, NULL, &file, error);
}

bool share_delete(struct share *share, const char *path, bool is_folder, struct session_error *error) {
    struct file_task task;

    return file_task_delete(&task, path, is_folder, error) && file_task_run(share, &task, error);
}

bool share_rename(struct share *share, const char *from, const char *to, bool replace, struct session_error *error) {
    const struct share_open how = {
        .access = ACCESS_DELETE | FILE_READ_ATTRIBUTES | ACCESS_SYNCHRONIZE,
        .sharing = FILE_SHARE_ALL,
        .disposition = FILE_OPEN,
        .options = FILE_OPEN_REPARSE_POINT,
    };
    uint8_t inherited[FILE_ID_SIZE];
    struct rename_buffer buffer;
    struct set_info_request body;
    struct chain_step step;
    struct share_file file;

    if (!rename_buffer_set(&buffer, to, replace, error))
        return false;
    file_id_inherit(inherited);
    body = set_body(inherited, FILE_RENAME_INFORMATION, buffer.span);
    step = set_step(&body);
    return run_on_path(share, from, &how, &step, &file, error);
}

static bool set_open(struct share *share, const struct share_file *file, enum file_info_class info_class,
                     struct span buffer, struct session_error *error) {
    struct set_info_request body = set_body(file->id, info_class, buffer);
    struct chain_step step = set_step(&body);

    return chain_succeed(share->session, share->tree, &step, 1, error);
}

bool share_rename_open(struct share *share, const struct share_file *file, const char *to, bool replace,
                       struct session_error *error) {
    struct rename_buffer buffer;

    return rename_buffer_set(&buffer, to, replace, error) &&
           set_open(share, file, FILE_RENAME_INFORMATION, buffer.span, error);
}

bool share_set_times(struct share *share, const struct share_file *file, const struct file_status *status,
                     struct session_error *error) {
    struct basic_buffer buffer;

    basic_buffer_set(&buffer, status);
    return set_open(share, file, FILE_BASIC_INFORMATION, buffer.span, error);
}

bool share_finish(struct share *share, const struct share_file *file, const char *path, const struct file_status *times,
                  struct session_error *error) {
    struct set_info_request basic, rename;
    struct basic_buffer basic_buffer;
    struct rename_buffer rename_buffer;

    if (!rename_buffer_set(&rename_buffer, path, true, error))
        return false;
    basic_buffer_set(&basic_buffer, times);
    basic = set_body(file->id, FILE_BASIC_INFORMATION, basic_buffer.span);
    /* The file is named in both, and closed by itself: the Linux kernel's server hands on session and file of a CREATE
     * only. */
    rename = set_body(file->id, FILE_RENAME_INFORMATION, rename_buffer.span);
    struct chain_step steps[] = {set_step(&basic), set_step(&rename)};
    return chain_succeed(share->session, share->tree, steps, 2, error) && share_close(share, file, NULL, error);
}

bool share_set_size(struct share *share, const struct share_file *file, uint64_t size, struct session_error *error) {
    uint8_t octets[8];
    struct writer writer = writer_over(octets, sizeof octets);

    writer_u64(&writer, size);
    return set_open(share, file, FILE_END_OF_FILE_INFORMATION, writer_done(&writer), error);
}

/* ---- folders ---- */

static bool listing_add(struct listing *listing, const char *name, bool is_text, const struct directory_entry *entry) {
    struct share_entry *added;

    if (listing->count == listing->room) {
        size_t room = listing->room == 0 ? 64 : 2 * listing->room;
        struct share_entry *larger = room > SHARE_ENTRIES_MAX ? NULL : realloc(listing->entries, room * sizeof *larger);

        if (larger == NULL)
            return false;
        listing->entries = larger;
        listing->room = room;
    }
    added = &listing->entries[listing->count];
    *added = (struct share_entry){.name = strdup(name), .is_text = is_text};
    added->status = (struct file_status){
        .creation_time = entry->creation_time,
        .last_access_time = entry->last_access_time,
        .last_write_time = entry->last_write_time,
        .change_time = entry->change_time,
        .size = entry->end_of_file,
        .allocation_size = entry->allocation_size,
        .index = entry->file_id,
        .attributes = entry->file_attributes,
    };
    listing->count += added->name != NULL;
    return added->name != NULL;
}

void listing_free(struct listing *listing) {
    for (size_t i = 0; i < listing->count; i++)
        free(listing->entries[i].name);
    free(listing->entries);
    *listing = (struct listing){0};
}

struct list_result {
    struct listing *listing;
    bool full; /* out of memory, or too many */
};

static bool take_entries(struct span message, void *result) {
    struct list_result *list = result;
    struct output_response response;
    struct directory_entry entry;
    struct entry_cursor cursor;
    char name[NAME_TEXT_MAX];
    struct span octets;

    if (!output_response_decode(message, &response))
        return false;
    cursor = entry_cursor(response.output);
    while (entry_next(&cursor, &octets)) {
        bool is_text;

        if (!directory_entry_decode(FILE_ID_BOTH_DIRECTORY_INFORMATION, octets, &entry))
            return false;
        is_text = name_from_wire(entry.name, name);
        if (is_text && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
            continue;
        list->full |= !listing_add(list->listing, name, is_text, &entry);
    }
    return !cursor.malformed || cursor.leads_to_end; /* as with impacket's smbserver, where there is more than fits */
}

static void put_query_directory(struct writer *writer, const void *arguments) {
    query_directory_request_encode(arguments, writer);
}

static struct query_directory_request list_body(const uint8_t id[FILE_ID_SIZE], uint32_t size) {
    static const uint8_t all[] = {'*', 0};
    struct query_directory_request request = {
        .file_information_class = FILE_ID_BOTH_DIRECTORY_INFORMATION,
        .output_buffer_length = size,
        .pattern = {all, sizeof all},
    };

    memcpy(request.file_id, id, FILE_ID_SIZE);
    query_directory_request_place(&request);
    return request;
}

static struct chain_step list_step(const struct query_directory_request *body, struct list_result *result) {
    return (struct chain_step){.command = SMB2_QUERY_DIRECTORY,
                               .payload = body->output_buffer_length,
                               .encode = put_query_directory,
                               .arguments = body,
                               .take = take_entries,
                               .result = result};
}

/* CREATE and the first two QUERY_DIRECTORY: a short folder says at the second that this was all. */
static bool list_begin(struct share *share, const char *path, struct list_result *result, struct share_file *file,
                       bool *is_open, bool *is_done, struct session_error *error) {
    uint8_t inherited[FILE_ID_SIZE];
    struct query_directory_request body;
    struct create_request opening;
    struct wire_path wire;

    if (!wire_path_set(&wire, path, error))
        return false;
    file_id_inherit(inherited);
    opening = create_body(&wire, &open_to_list);
    body = list_body(inherited, LIST_SIZE_FIRST);
    struct chain_step steps[] = {create_step(&opening, file), list_step(&body, result), list_step(&body, result)};
    if (!chain_run(share->session, share->tree, steps, 3, error))
        return false;
    *is_open = steps[0].status == STATUS_SUCCESS;
    *is_done = steps[1].status == STATUS_NO_SUCH_FILE || steps[1].status == STATUS_NO_MORE_FILES ||
               steps[2].status == STATUS_NO_MORE_FILES;
    for (unsigned i = 0; i < 3; i++)
        if (steps[i].status != STATUS_SUCCESS && !(i > 0 && *is_done)) {
            chain_refused(error, steps[i].status);
            return false;
        }
    return true;
}

/* The rest of a long folder, in pieces as large as the server and the credits allow. */
static bool list_rest(struct share *share, const struct share_file *file, struct list_result *result,
                      struct session_error *error) {
    const struct client *client = session_client(share->session);

    for (;;) {
        uint32_t most = client_read_max(client), transact = client->negotiation.agreed.max_transact_size;
        uint32_t size = most < transact ? most : transact;
        struct query_directory_request body = list_body(file->id, size < LIST_SIZE_MAX ? size : LIST_SIZE_MAX);
        struct chain_step step = list_step(&body, result);
        size_t before = result->listing->count;

        if (!chain_run(share->session, share->tree, &step, 1, error))
            return false;
        if (step.status == STATUS_NO_MORE_FILES)
            return true;
        if (step.status != STATUS_SUCCESS || result->full) {
            chain_refused(error, step.status != STATUS_SUCCESS ? step.status : STATUS_INSUFFICIENT_RESOURCES);
            return false;
        }
        if (result->listing->count == before) { /* would go on for ever */
            chain_malformed(error);
            return false;
        }
    }
}

bool share_list(struct share *share, const char *path, struct listing *listing, struct session_error *error) {
    struct list_result result = {.listing = listing};
    struct session_error ignored;
    struct share_file file;
    bool is_open = false, is_done = false, good;

    *listing = (struct listing){0};
    good = list_begin(share, path, &result, &file, &is_open, &is_done, error);
    if (good && !is_done)
        good = list_rest(share, &file, &result, error);
    if (good && result.full) {
        chain_refused(error, STATUS_INSUFFICIENT_RESOURCES);
        good = false;
    }
    if (is_open)
        share_close(share, &file, NULL, &ignored);
    return good;
}

/* ---- pipes ---- */

bool share_pipe_write(struct share *share, const struct share_file *file, struct span octets,
                      struct session_error *error) {
    struct write_request body = {.data = octets};
    struct chain_step step;
    uint32_t count;

    memcpy(body.file_id, file->id, FILE_ID_SIZE);
    write_request_place(&body);
    step = write_step(&body, &count);
    return chain_succeed(share->session, share->tree, &step, 1, error);
}

bool share_pipe_read(struct share *share, const struct share_file *file, uint8_t *data, uint32_t size, uint32_t *got,
                     bool *more, struct session_error *error) {
    struct read_result result = {.data = data, .size = size};
    struct read_request body = read_body(file->id, size);
    struct chain_step step = read_step(&body, &result);

    if (!chain_succeed(share->session, share->tree, &step, 1, error))
        return false;
    *got = result.got;
    *more = step.status == STATUS_BUFFER_OVERFLOW;
    return true;
}
