/* Events of a conversation -> evidence. Pure: no capture, no clock, no memory of its own. */
#ifndef SMBPROOF_EXPLAIN_OBSERVE_H
#define SMBPROOF_EXPLAIN_OBSERVE_H

#include "explain/evidence.h"

/* Takes one event into the record; `packet` is the one in which its message was complete. */
void observe_event(struct evidence *evidence, const struct event *event, uint64_t packet,
                   uint64_t time_ns);

/* The connection is over: settles what could only be told at its end. */
void observe_end(struct evidence *evidence);

#endif
