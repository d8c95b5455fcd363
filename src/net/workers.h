/* Threads for what may block: cold files, Kerberos. */
#ifndef SMBPROOF_NET_WORKERS_H
#define SMBPROOF_NET_WORKERS_H

#include "net/loop.h"

/* Jobs that may wait for a thread; beyond it workers_submit() refuses, and the caller answers
 * STATUS_INSUFFICIENT_RESOURCES. */
#define WORKERS_QUEUE_MAX 4096u

/* Embedded in its owner. `work` runs on a worker, `done` afterwards on `loop`'s thread. */
struct job {
    struct loop_task task;  /* the workers' */
    struct loop *loop;
    void (*work)(struct job *job);
    void (*done)(struct job *job);
};

struct workers;
struct workers *workers_new(unsigned threads);
/* Waits for what is running, and for what is queued. */
void workers_free(struct workers *workers);
bool workers_submit(struct workers *workers, struct job *job);

#endif
