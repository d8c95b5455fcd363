/* What is done with one file in a few round trips, and can be done with many files at once (client/batch.h).
 *
 *     struct file_task task;
 *     file_task_read(&task, "folder\\file", data, sizeof data, &error) && file_task_run(&share, &task, &error)
 *
 * A task is a state machine: it says which chain is to be sent next until there is none. */
#ifndef SMBPROOF_CLIENT_TASK_H
#define SMBPROOF_CLIENT_TASK_H

#include "client/requests.h"

struct file_task {
    struct chain chain; /* to be sent; `owner` is the task */
    uint32_t status;    /* what came of it; 0: success */
    struct share_file file;
    struct read_result read;

    bool (*next)(struct file_task *task); /* makes the next chain; false: there is none */
    struct chain_step steps[CHAIN_STEPS_MAX];
    struct create_request opening;
    struct read_request reading;
    struct write_request writing;
    struct set_info_request setting, renaming;
    struct close_request closing;
    uint32_t written;
    struct wire_path path;
    struct rename_buffer rename;
    struct basic_buffer basic;
};

/* Each begins a task; the paths are copied. False: a path cannot be put on the wire. */

/* A file of at most `size` octets, not more than 64 KiB: task->read.got is how many came, which a longer file makes
 * fewer than task->file.status.size. Of one that should be empty nothing is read: the Linux kernel's server signs its
 * STATUS_END_OF_FILE within a chain wrongly. `data` is borrowed. */
bool file_task_read(struct file_task *task, const char *path, uint8_t *data, uint32_t size,
                    struct session_error *error);
/* A file of at most 64 KiB, written under `part`; when all of it is there it gets its times and becomes `path`, in the
 * place of what was there. Where that fails it is deleted. `data` is borrowed. */
bool file_task_write(struct file_task *task, const char *part, const char *path, struct span data,
                     const struct file_status *times, struct session_error *error);
/* Of a link the link itself. */
bool file_task_delete(struct file_task *task, const char *path, bool is_folder, struct session_error *error);

/* The chain was answered: makes the next one. False: the task is done. */
bool file_task_next(struct file_task *task);
/* One task by itself. False: as for the functions of client/share.h. */
bool file_task_run(struct share *share, struct file_task *task, struct session_error *error);

#endif
