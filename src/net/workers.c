#include "net/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job came, or the end */
    struct loop_task *first, *last;
    unsigned queued;
    bool ending;
    unsigned thread_count;
    pthread_t threads[];
};

static struct job *job_of(struct loop_task *task) {
    return (struct job *)((char *)task - offsetof(struct job, task));
}

/* On the loop's thread. */
static void finish(struct loop_task *task) {
    struct job *job = job_of(task);

    job->done(job);
}

/* The next job; waits for one. NULL: there is none any more. */
static struct job *take(struct workers *workers) {
    struct loop_task *task;

    pthread_mutex_lock(&workers->lock);
    while (workers->first == NULL && !workers->ending)
        pthread_cond_wait(&workers->changed, &workers->lock);
    task = workers->first;
    if (task != NULL) {
        workers->first = task->next;
        workers->queued--;
    }
    pthread_mutex_unlock(&workers->lock);
    return task != NULL ? job_of(task) : NULL;
}

static void *work(void *argument) {
    struct workers *workers = argument;
    struct job *job;

    while ((job = take(workers)) != NULL) {
        job->work(job);
        job->task.run = finish;
        loop_post(job->loop, &job->task);
    }
    return NULL;
}

/* Signals are for the main thread. */
static bool start_threads(struct workers *workers, unsigned threads) {
    sigset_t all, kept;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    while (workers->thread_count < threads &&
           pthread_create(&workers->threads[workers->thread_count], NULL, work, workers) == 0)
        workers->thread_count++;
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    return workers->thread_count == threads;
}

struct workers *workers_new(unsigned threads) {
    struct workers *workers = calloc(1, sizeof *workers + threads * sizeof workers->threads[0]);

    if (workers == NULL)
        return NULL;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->changed, NULL);
    if (start_threads(workers, threads))
        return workers;
    workers_free(workers);
    return NULL;
}

void workers_free(struct workers *workers) {
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

bool workers_submit(struct workers *workers, struct job *job) {
    bool taken;

    job->task.next = NULL;
    pthread_mutex_lock(&workers->lock);
    taken = workers->queued < WORKERS_QUEUE_MAX;
    if (taken) {
        if (workers->first == NULL)
            workers->first = &job->task;
        else
            workers->last->next = &job->task;
        workers->last = &job->task;
        workers->queued++;
        pthread_cond_signal(&workers->changed);
    }
    pthread_mutex_unlock(&workers->lock);
    return taken;
}
