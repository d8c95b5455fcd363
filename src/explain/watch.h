/* Watches every flow of a capture and gathers its evidence: the sink of capture/flows.h.
 *
 * What TCP did is noted, and whether a connection is SMB found out, by the thread that runs the flows. The octets are
 * listened to there too, or handed over to another thread: what comes of it is the same. */
#ifndef SMBPROOF_EXPLAIN_WATCH_H
#define SMBPROOF_EXPLAIN_WATCH_H

#include <pthread.h>

#include "explain/handover.h"
#include "explain/listen.h"

struct watch {
    uint32_t file; /* stamped on each record */
    void *context;
    /* A connection is over; the record is the callee's during the call only. */
    void (*done)(void *context, struct evidence *evidence);
    /* The watch's own: */
    uint64_t serial;
    bool failed; /* no memory for a connection */
    bool many_interfaces; /* a flow was not on the first one */
    struct handover *handover; /* NULL: nothing is handed over */
    _Alignas(CACHE_LINE) struct listener listener; /* of the thread that listens */
    _Alignas(CACHE_LINE) pthread_mutex_t lock;     /* of `spare` */
    struct watched *spare;     /* records of connections that are over, for the next ones */
};

void watch_init(struct watch *watch, uint32_t file, void (*done)(void *context, struct evidence *evidence), void *context);
/* A sink that fills evidence and hands each SMB connection to `done`. `watch` must outlive the flows. */
struct flow_sink watch_sink(struct watch *watch);
/* From here on octets are handed over. False where there is no memory. */
bool watch_hand_over(struct watch *watch, const struct meanwhile *meanwhile);
/* Or not after all, as long as nothing was. */
void watch_hand_nothing(struct watch *watch);
/* The thread that runs the flows: they are finished. */
void watch_finish(struct watch *watch);
/* The other thread: listens, and calls `done`, until the first one has finished. */
void watch_listen(struct watch *watch);
/* Memory ran out at some connection: the report is incomplete. */
bool watch_is_incomplete(const struct watch *watch);
void watch_free(struct watch *watch);

#endif
