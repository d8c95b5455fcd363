/* `smbproof explain`: captures in, verdicts out. */
#ifndef SMBPROOF_EXPLAIN_EXPLAIN_H
#define SMBPROOF_EXPLAIN_EXPLAIN_H

#include <signal.h>

#include "explain/inquiry.h"
#include "explain/report.h"

/* Exit statuses; the same for every command. */
enum exit_status {
    EXIT_NO_PROBLEM = 0,
    EXIT_PROBLEM = 1,
    EXIT_CANNOT_TELL = 2,
    EXIT_USAGE = 3,
    EXIT_INPUT = 4,
    EXIT_INTERNAL = 5,
    EXIT_UNREACHABLE = 6, /* nothing could be connected to */
};

struct explain_options {
    const char *captures[2]; /* the second NULL where there is one; "-": standard input */
    struct span contents[2]; /* of a capture that is in memory already; its name above is only told */
    bool quiet;              /* nothing on standard error */
    const volatile sig_atomic_t *interrupted; /* becomes 1 when reading is to stop and to report; may be NULL */
    bool json;
    bool fail_on_exposure;
    bool progress;            /* on standard error, for large files */
    enum place taken_at;      /* PLACE_UNKNOWN: to be inferred */
    enum system client_system, server_system; /* SYSTEM_UNKNOWN: to be inferred */
    struct text_style style;
};

/* Reads, judges, writes to `out`; messages go to standard error. */
enum exit_status explain(const struct explain_options *options, FILE *out);

#endif
