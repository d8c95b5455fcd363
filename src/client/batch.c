#include "client/batch.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(BATCH_TASKS_MAX * CHAIN_STEPS_MAX <= CLIENT_REQUESTS_MAX, "all of them may be in flight");
static_assert(offsetof(struct batch_task, task) == 0, "the owner of a chain is taken for the task of a batch");

static void remove_at(struct batch *batch, unsigned at) {
    batch->count--;
    memmove(&batch->tasks[at], &batch->tasks[at + 1], (batch->count - at) * sizeof batch->tasks[0]);
}

static void finish_task(struct batch *batch, unsigned at, const struct session_error *error) {
    struct batch_task *task = batch->tasks[at];

    remove_at(batch, at);
    task->done(task, error);
}

static bool lose_all(struct batch *batch, const struct session_error *error) {
    while (batch->count > 0)
        finish_task(batch, 0, error);
    batch->flying = 0;
    return false;
}

static unsigned place_of(const struct batch *batch, const struct batch_task *task) {
    unsigned at = 0;

    while (batch->tasks[at] != task)
        at++;
    return at;
}

/* The task at `at` was answered, whole. */
static void go_on(struct batch *batch, unsigned at) {
    struct batch_task *task = batch->tasks[at];

    if (file_task_next(&task->task))
        task->place = BATCH_READY;
    else
        finish_task(batch, at, NULL);
}

/* Sends what is ready, as far as credits reach. */
static bool send_ready(struct batch *batch) {
    const struct share *share = batch->share;
    struct session_error error;

    for (unsigned i = 0; i < batch->count; i++) {
        struct batch_task *task = batch->tasks[i];

        if (task->place != BATCH_READY)
            continue;
        switch (chain_send(share->session, share->tree, &task->task.chain, &error)) {
        case CHAIN_WAITS:
            return true;
        case CHAIN_LOST:
            return lose_all(batch, &error);
        case CHAIN_SENT:
            task->place = BATCH_FLYING;
            batch->flying++;
        }
    }
    return true;
}

static bool receive_one(struct batch *batch) {
    struct session_error error;
    struct chain *ended;
    struct batch_task *task;

    if (!chain_receive(batch->share->session, &ended, &error))
        return lose_all(batch, &error);
    if (ended == NULL)
        return true;
    task = ended->owner;
    batch->flying--;
    if (ended->is_malformed || chain_has_expired(ended))
        task->place = BATCH_EXPIRED; /* until nothing is in flight */
    else
        go_on(batch, place_of(batch, task));
    return true;
}

/* Nothing is in flight: one that expired, or could not be sent beside others, is run by itself. */
static bool run_alone(struct batch *batch) {
    struct batch_task *task = batch->tasks[0];
    struct chain *chain = &task->task.chain;
    const struct share *share = batch->share;
    struct session_error error;
    bool good;

    if (task->place == BATCH_EXPIRED)
        good = chain_end(share->session, share->tree, chain, &error);
    else
        good = chain_run(share->session, share->tree, chain->steps, chain->count, &error);
    if (!good)
        return lose_all(batch, &error);
    go_on(batch, 0);
    return true;
}

static bool has_expired(const struct batch *batch) {
    for (unsigned i = 0; i < batch->count; i++)
        if (batch->tasks[i]->place == BATCH_EXPIRED)
            return true;
    return false;
}

/* One step towards the end of all. */
static bool step(struct batch *batch) {
    if (!has_expired(batch) && !send_ready(batch))
        return false;
    return batch->flying > 0 ? receive_one(batch) : run_alone(batch);
}

bool batch_start(struct batch *batch, struct batch_task *task) {
    while (batch->count == BATCH_TASKS_MAX)
        if (!step(batch))
            break;
    task->place = BATCH_READY;
    batch->tasks[batch->count++] = task;
    return has_expired(batch) || send_ready(batch);
}

bool batch_finish(struct batch *batch) {
    while (batch->count > 0)
        if (!step(batch))
            return false;
    return session_is_open(batch->share->session);
}
