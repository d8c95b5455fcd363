/* An event loop: descriptors, timers, and tasks from other threads. One thread runs it; there may be several loops, and
 * none has state outside its own memory.
 *
 * Everything but loop_post() and loop_stop() is called on the loop's own thread. Callbacks run one after the other; one may
 * remove any watch or timer, its own included. */
#ifndef SMBPROOF_NET_LOOP_H
#define SMBPROOF_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* A descriptor that is watched; embedded in its owner. */
struct loop_watch {
    int descriptor;
    uint32_t events; /* EPOLLIN, EPOLLOUT */
    void (*ready)(struct loop_watch *watch, uint32_t events);
};

/* One shot; embedded in its owner. Not armed while `index` is 0. */
struct loop_timer {
    uint64_t due_ms;  /* of loop_now_ms() */
    uint32_t index;
    void (*expired)(struct loop_timer *timer);
};

/* Work that is handed to the loop's thread; embedded in its owner, in one queue at a time. */
struct loop_task {
    struct loop_task *next;
    void (*run)(struct loop_task *task);
};

/* NULL, and errno, on failure. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);
/* Until loop_stop(). 0 or a negative errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* from any thread or signal handler */
void loop_post(struct loop *loop, struct loop_task *task); /* from any thread; runs in order of posting */

int loop_watch_add(struct loop *loop, struct loop_watch *watch);
int loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

uint64_t loop_now_ms(const struct loop *loop); /* monotonic, taken once a turn */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

#endif
