/* Watches every flow of a capture and gathers its evidence: the sink of capture/flows.h. */
#ifndef SMBPROOF_EXPLAIN_WATCH_H
#define SMBPROOF_EXPLAIN_WATCH_H

#include "explain/evidence.h"

struct watch {
    uint32_t file;     /* stamped on each record */
    uint64_t serial;
    bool failed; /* no memory for a connection: the report would be incomplete */
    struct watched *spare; /* records of flows that are over, for the next ones */
    struct later *later;   /* calls `done` on a thread of its own; NULL: whoever closes the flow does */
    void *context;
    /* A connection is over; the record is the callee's during the call only. */
    void (*done)(void *context, struct evidence *evidence);
};

/* Has `done` called on another thread, where one can be had, until watch_free: worth it for large captures. */
void watch_use_thread(struct watch *watch);

/* A sink that fills evidence and hands each SMB connection to watch->done. `watch` must outlive the flows. */
struct flow_sink watch_sink(struct watch *watch);
/* Once the flows are freed: waits for the last `done` and gives back what was kept for reuse. */
void watch_free(struct watch *watch);

#endif
