/* Watches every flow of a capture and gathers its evidence: the sink of capture/flows.h. */
#ifndef SMBPROOF_EXPLAIN_WATCH_H
#define SMBPROOF_EXPLAIN_WATCH_H

#include "explain/evidence.h"

struct watch {
    uint32_t file;     /* stamped on each record */
    uint64_t serial;
    bool failed; /* no memory for a connection: the report would be incomplete */
    struct watched *spare; /* records of flows that are over, for the next ones */
    void *context;
    /* A connection is over; the record is the callee's during the call only. */
    void (*done)(void *context, struct evidence *evidence);
};

/* A sink that fills evidence and hands each SMB connection to watch->done. `watch` must outlive the flows. */
struct flow_sink watch_sink(struct watch *watch);
/* Gives back what is kept for reuse, when the flows are freed. */
void watch_free(struct watch *watch);

#endif
