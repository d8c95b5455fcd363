/* How far a copy is, on a terminal; and whether it is to end (tools/interrupt.h), which is asked at the same moments.
 */
#ifndef SMBPROOF_TOOLS_PROGRESS_H
#define SMBPROOF_TOOLS_PROGRESS_H

#include "client/copy.h"

struct progress {
    bool is_shown, is_quiet;
    bool is_drawn;     /* there is a line to be taken away */
    int64_t drawn_ms;  /* when */
    int64_t begun_ms;
    const char *name;  /* of what began then */
    uint64_t begun_at; /* octets that were there */
    unsigned notes;
};

/* A bar is shown where standard error is a terminal and `quiet` is false; notes where `quiet` is false. */
void progress_init(struct progress *progress, bool quiet);
/* The copy tells all that it has to say to the progress. */
void progress_attach(struct progress *progress, struct copy *copy);
/* Takes the bar away, for something else to be written. */
void progress_clear(struct progress *progress);

/* Tells why a copy of `about` did not come to its end, and returns the exit status. */
int copy_complain(const char *about, const struct copy *copy, enum copy_end end);

#endif
