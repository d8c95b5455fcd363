/* Watches every flow of a capture and gathers its evidence: the sink of capture/flows.h. */
#ifndef SMBPROOF_EXPLAIN_WATCH_H
#define SMBPROOF_EXPLAIN_WATCH_H

#include "explain/evidence.h"

struct watch {
    uint32_t file;     /* stamped on each record */
    uint64_t serial;
    bool failed; /* no memory for a connection: the report would be incomplete */
    struct event_list events; /* of the conversation that was fed last */
    struct watched *spare; /* records of flows that are over, for the next ones */
    struct later *later;   /* what another thread calls `done` for; NULL: whoever closes the flow does */
    void (*ready)(void *context); /* with `later`: there is something to do for watch_step */
    void *context;
    /* A connection is over; the record is the callee's during the call only. */
    void (*done)(void *context, struct evidence *evidence);
};

/* Has `done` called by watch_step, on another thread, `ready` when there is something to do: worth it for large captures. */
void watch_defer(struct watch *watch, void (*ready)(void *context));
/* The other thread: `done` for some connections that are over. False where there was none. */
bool watch_step(void *watch);

/* A sink that fills evidence and hands each SMB connection to watch->done. `watch` must outlive the flows. */
struct flow_sink watch_sink(struct watch *watch);
/* Once the flows are freed and the other thread has ended: the last `done`, and gives back what was kept for reuse. */
void watch_free(struct watch *watch);

#endif
