#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Descriptors that one turn looks at. */
#define EVENTS_MAX 128
#define TIMERS_FIRST 64u

struct loop {
    int epoll;
    struct loop_watch wake; /* an eventfd: tasks, or the end */
    atomic_bool stopping;
    uint64_t now_ms;
    struct epoll_event events[EVENTS_MAX]; /* of this turn; a watch that was removed is NULL here */
    int event_count, event_at;
    struct loop_timer **timers; /* a heap from index 1 on, the earliest first */
    uint32_t timer_count, timer_room;
    pthread_mutex_t lock; /* of the tasks */
    struct loop_task *first, *last;
};

static uint64_t clock_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Safe in a signal handler. */
static void wake(struct loop *loop) {
    static const uint64_t one = 1;
    int kept = errno;
    ssize_t written = write(loop->wake.descriptor, &one, sizeof one);

    (void)written; /* it fails only where the counter is full, and then the loop wakes all the same */
    errno = kept;
}

static void woken(struct loop_watch *watch, uint32_t events) {
    uint64_t count;
    ssize_t got = read(watch->descriptor, &count, sizeof count);

    (void)got;
    (void)events;
}

static int open_descriptors(struct loop *loop) {
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = (struct loop_watch){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), EPOLLIN, woken};
    if (loop->epoll < 0 || loop->wake.descriptor < 0)
        return -errno;
    return loop_watch_add(loop, &loop->wake);
}

struct loop *loop_new(void) {
    struct loop *loop = calloc(1, sizeof *loop);
    int error;

    if (loop == NULL)
        return NULL;
    pthread_mutex_init(&loop->lock, NULL);
    loop->now_ms = clock_ms();
    error = open_descriptors(loop);
    if (error == 0)
        return loop;
    loop_free(loop);
    errno = -error;
    return NULL;
}

void loop_free(struct loop *loop) {
    if (loop == NULL)
        return;
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake.descriptor >= 0)
        close(loop->wake.descriptor);
    pthread_mutex_destroy(&loop->lock);
    free(loop->timers);
    free(loop);
}

void loop_stop(struct loop *loop) {
    atomic_store(&loop->stopping, true);
    wake(loop);
}

void loop_post(struct loop *loop, struct loop_task *task) {
    bool was_empty;

    task->next = NULL;
    pthread_mutex_lock(&loop->lock);
    was_empty = loop->first == NULL;
    if (was_empty)
        loop->first = task;
    else
        loop->last->next = task;
    loop->last = task;
    pthread_mutex_unlock(&loop->lock);
    if (was_empty)
        wake(loop);
}

/* Those that are there now; what they post comes in the next turn, behind the descriptors. */
static void run_tasks(struct loop *loop) {
    struct loop_task *task;

    pthread_mutex_lock(&loop->lock);
    task = loop->first;
    loop->first = loop->last = NULL;
    pthread_mutex_unlock(&loop->lock);
    while (task != NULL) {
        struct loop_task *next = task->next; /* `run` may free the task */

        task->run(task);
        task = next;
    }
}

static int control(struct loop *loop, int how, struct loop_watch *watch) {
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};

    return epoll_ctl(loop->epoll, how, watch->descriptor, &event) == 0 ? 0 : -errno;
}

int loop_watch_add(struct loop *loop, struct loop_watch *watch) {
    return control(loop, EPOLL_CTL_ADD, watch);
}

int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events) {
    if (watch->events == events)
        return 0;
    watch->events = events;
    return control(loop, EPOLL_CTL_MOD, watch);
}

void loop_watch_remove(struct loop *loop, struct loop_watch *watch) {
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->descriptor, NULL);
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

static void run_watches(struct loop *loop) {
    for (loop->event_at = 0; loop->event_at < loop->event_count;) {
        const struct epoll_event *event = &loop->events[loop->event_at++];
        struct loop_watch *watch = event->data.ptr;

        if (watch != NULL)
            watch->ready(watch, event->events);
    }
    loop->event_count = loop->event_at = 0;
}

uint64_t loop_now_ms(const struct loop *loop) {
    return loop->now_ms;
}

static void place(struct loop *loop, uint32_t index, struct loop_timer *timer) {
    loop->timers[index] = timer;
    timer->index = index;
}

/* Moves `timer`, for which there is a gap at `index`, up to where it belongs; returns that place. */
static uint32_t rise(struct loop *loop, uint32_t index, const struct loop_timer *timer) {
    for (; index > 1 && timer->due_ms < loop->timers[index / 2]->due_ms; index /= 2)
        place(loop, index, loop->timers[index / 2]);
    return index;
}

static uint32_t sink(struct loop *loop, uint32_t index, const struct loop_timer *timer) {
    for (;;) {
        uint32_t child = 2 * index;

        if (child < loop->timer_count && loop->timers[child + 1]->due_ms < loop->timers[child]->due_ms)
            child++;
        if (child > loop->timer_count || timer->due_ms <= loop->timers[child]->due_ms)
            return index;
        place(loop, index, loop->timers[child]);
        index = child;
    }
}

static int grow_timers(struct loop *loop) {
    uint32_t room = loop->timer_room == 0 ? TIMERS_FIRST : 2 * loop->timer_room;
    struct loop_timer **timers = realloc(loop->timers, room * sizeof(struct loop_timer *));

    if (timers == NULL)
        return -ENOMEM;
    loop->timers = timers;
    loop->timer_room = room;
    return 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms) {
    loop_timer_clear(loop, timer);
    if (loop->timer_count + 1 >= loop->timer_room) {
        int error = grow_timers(loop);

        if (error != 0)
            return error;
    }
    timer->due_ms = loop->now_ms + after_ms;
    place(loop, rise(loop, ++loop->timer_count, timer), timer);
    return 0;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer) {
    uint32_t index = timer->index;
    struct loop_timer *last;

    if (index == 0)
        return;
    assert(index <= loop->timer_count && loop->timers[index] == timer);
    last = loop->timers[loop->timer_count--];
    timer->index = 0;
    if (last == timer)
        return;
    index = rise(loop, index, last);
    place(loop, sink(loop, index, last), last);
}

static void run_timers(struct loop *loop) {
    while (loop->timer_count > 0 && loop->timers[1]->due_ms <= loop->now_ms) {
        struct loop_timer *timer = loop->timers[1];

        loop_timer_clear(loop, timer);
        timer->expired(timer);
    }
}

/* For epoll_wait(): -1 for ever. */
static int patience_ms(const struct loop *loop) {
    uint64_t left;

    if (loop->timer_count == 0)
        return -1;
    if (loop->timers[1]->due_ms <= loop->now_ms)
        return 0;
    left = loop->timers[1]->due_ms - loop->now_ms;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

int loop_run(struct loop *loop) {
    loop->now_ms = clock_ms();
    while (!atomic_load(&loop->stopping)) {
        int count = epoll_wait(loop->epoll, loop->events, EVENTS_MAX, patience_ms(loop));

        if (count < 0 && errno != EINTR)
            return -errno;
        loop->event_count = count < 0 ? 0 : count;
        loop->now_ms = clock_ms();
        run_watches(loop);
        run_tasks(loop);
        run_timers(loop);
    }
    atomic_store(&loop->stopping, false);
    return 0;
}
