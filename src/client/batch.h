/* Tasks on many files of one share, several in flight at once as far as credits allow. */
#ifndef SMBPROOF_CLIENT_BATCH_H
#define SMBPROOF_CLIENT_BATCH_H

#include "client/task.h"

/* Tasks at once: each has a chain of at most CHAIN_STEPS_MAX requests in flight, and CLIENT_REQUESTS_MAX there may be.
 */
#define BATCH_TASKS_MAX 16u

enum batch_place { BATCH_READY, BATCH_FLYING, BATCH_EXPIRED };

/* A task of a batch, whose owner embeds it. */
struct batch_task {
    struct file_task task;
    /* It is done: with success, with task.status, or not at all since the connection is lost (`error`, else NULL). The
     * task is not used any more. Nothing may be sent from there. */
    void (*done)(struct batch_task *task, const struct session_error *error);
    enum batch_place place;
};

struct batch {
    struct share *share;
    struct batch_task *tasks[BATCH_TASKS_MAX]; /* in the order of their beginning */
    unsigned count, flying;
};

/* Begins a task, after waiting for others where there is no place for it. False: the connection is lost; this task was
 * told so, as all were. */
bool batch_start(struct batch *batch, struct batch_task *task);
/* Waits until all are done; then other requests can be made. False: the connection is lost. */
bool batch_finish(struct batch *batch);

#endif
