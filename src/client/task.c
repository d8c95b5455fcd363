#include "client/task.h"

#include <string.h>

static const uint8_t delete_pending[] = {1};

/* The chain begins anew. */
static void chain_restart(struct file_task *task, bool (*next)(struct file_task *task)) {
    uint8_t file_id[FILE_ID_SIZE];

    memcpy(file_id, task->chain.file_id, FILE_ID_SIZE);
    task->chain = (struct chain){.steps = task->steps, .owner = task};
    memcpy(task->chain.file_id, file_id, FILE_ID_SIZE);
    task->next = next;
}

static void add_step(struct file_task *task, struct chain_step step) {
    task->steps[task->chain.count++] = step;
}

static bool begin(struct file_task *task, const char *path, const struct share_open *how,
                  bool (*next)(struct file_task *task), struct session_error *error) {
    memset(task, 0, offsetof(struct file_task, path));
    if (!wire_path_set(&task->path, path, error))
        return false;
    task->opening = create_body(&task->path, how);
    chain_restart(task, next);
    add_step(task, create_step(&task->opening, &task->file));
    return true;
}

static bool is_open(const struct file_task *task) {
    return task->steps[0].status == STATUS_SUCCESS; /* of the CREATE */
}

/* The first failure stays. */
static void keep_status(struct file_task *task) {
    if (task->status == STATUS_SUCCESS)
        task->status = chain_status(&task->chain);
}

/* ---- closing ---- */

static bool after_close(struct file_task *task) {
    keep_status(task);
    return false;
}

static bool close_file(struct file_task *task) {
    chain_restart(task, after_close);
    task->closing = close_body(task->file.id);
    task->closing.flags = 0;
    add_step(task, close_step(&task->closing, NULL));
    return true;
}

/* A CLOSE at the end of a chain; servers differ in whether it is done where something before it failed (3.3.5.2.7.2).
 */
static void add_close(struct file_task *task) {
    uint8_t inherited[FILE_ID_SIZE];

    file_id_inherit(inherited);
    task->closing = close_body(inherited);
    task->closing.flags = 0;
    add_step(task, close_step(&task->closing, NULL));
}

static bool close_if_open(struct file_task *task) {
    bool is_closed = task->steps[task->chain.count - 1].status == STATUS_SUCCESS;

    return is_open(task) && !is_closed && close_file(task);
}

/* ---- reading ---- */

static bool after_read(struct file_task *task) {
    bool is_empty = is_open(task) && task->steps[1].status == STATUS_END_OF_FILE;

    if (!is_empty)
        keep_status(task);
    return close_if_open(task);
}

bool file_task_read(struct file_task *task, const char *path, uint8_t *data, uint32_t size,
                    struct session_error *error) {
    uint8_t inherited[FILE_ID_SIZE];

    if (!begin(task, path, &share_open_to_read, after_read, error))
        return false;
    file_id_inherit(inherited);
    task->read = (struct read_result){.data = data, .size = size};
    task->reading = read_body(inherited, size);
    if (size > 0)
        add_step(task, read_step(&task->reading, &task->read));
    add_close(task);
    return true;
}

/* ---- deleting ---- */

static bool after_delete(struct file_task *task) {
    keep_status(task);
    return close_if_open(task);
}

static struct span disposition(void) {
    return (struct span){delete_pending, sizeof delete_pending};
}

bool file_task_delete(struct file_task *task, const char *path, bool is_folder, struct session_error *error) {
    const struct share_open how = {
        .access = ACCESS_DELETE,
        .sharing = FILE_SHARE_ALL,
        .disposition = FILE_OPEN,
        .options = FILE_OPEN_REPARSE_POINT | (is_folder ? FILE_DIRECTORY_FILE : FILE_NON_DIRECTORY_FILE),
    };
    uint8_t inherited[FILE_ID_SIZE];

    if (!begin(task, path, &how, after_delete, error))
        return false;
    file_id_inherit(inherited);
    task->setting = set_body(inherited, FILE_DISPOSITION_INFORMATION, disposition());
    add_step(task, set_step(&task->setting));
    add_close(task);
    return true;
}

/* ---- writing ---- */

/* Each of these is a chain of its own, since a server may go on with a chain after a failure in it, and a rename must
 * not happen when not everything was written. */

static bool discard(struct file_task *task) {
    chain_restart(task, close_file);
    task->setting = set_body(task->file.id, FILE_DISPOSITION_INFORMATION, disposition());
    add_step(task, set_step(&task->setting));
    return true;
}

static bool after_rename(struct file_task *task) {
    keep_status(task);
    return task->status == STATUS_SUCCESS ? close_file(task) : discard(task);
}

static bool rename_file(struct file_task *task) {
    chain_restart(task, after_rename);
    task->renaming = set_body(task->file.id, FILE_RENAME_INFORMATION, task->rename.span);
    add_step(task, set_step(&task->renaming));
    return true;
}

static bool after_write(struct file_task *task) {
    keep_status(task);
    if (!is_open(task))
        return false;
    if (task->status == STATUS_SUCCESS && task->written < task->writing.data.size)
        task->status = STATUS_DISK_FULL;
    return task->status == STATUS_SUCCESS ? rename_file(task) : discard(task);
}

bool file_task_write(struct file_task *task, const char *part, const char *path, struct span data,
                     const struct file_status *times, struct session_error *error) {
    const struct share_open how = share_open_to_write(false);
    uint8_t inherited[FILE_ID_SIZE];

    if (!begin(task, part, &how, after_write, error) || !rename_buffer_set(&task->rename, path, true, error))
        return false;
    file_id_inherit(inherited);
    task->writing = (struct write_request){.data = data};
    file_id_inherit(task->writing.file_id);
    write_request_place(&task->writing);
    basic_buffer_set(&task->basic, times);
    task->setting = set_body(inherited, FILE_BASIC_INFORMATION, task->basic.span);
    if (data.size > 0)
        add_step(task, write_step(&task->writing, &task->written));
    add_step(task, set_step(&task->setting));
    return true;
}

/* ---- running ---- */

bool file_task_next(struct file_task *task) {
    return task->next(task);
}

bool file_task_run(struct share *share, struct file_task *task, struct session_error *error) {
    do {
        if (!chain_run(share->session, share->tree, task->steps, task->chain.count, error))
            return false;
    } while (file_task_next(task));
    if (task->status != STATUS_SUCCESS)
        chain_refused(error, task->status);
    return task->status == STATUS_SUCCESS;
}
