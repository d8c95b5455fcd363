/* A file server that errs on purpose, and the clients that come to it, case by case.
 *
 * The server runs on a thread of its own (serve/host.h), and the lab is its bystander; whoever runs the cases waits on
 * another one, or on several, each with a port of its own. All connections that begin at a port while a case is current
 * there belong to it. */
#ifndef SMBPROOF_TOOLS_CONFORM_LAB_H
#define SMBPROOF_TOOLS_CONFORM_LAB_H

#include <sys/socket.h>

#include "conform/client.h"

/* What a client logs on with, and to. */
#define LAB_USER       "user"
#define LAB_PASSWORD   "password"
#define LAB_SHARE      "share"
#define LAB_FILE       "file.txt"
#define LAB_TIMEOUT_MS 5000u
/* How long a command may take to end once its case is over, before it is told to. */
#define LAB_GRACE_MS 1000u
/* And then before it is killed. */
#define LAB_LAST_GRACE_MS 1000u
/* Cases that are run side by side. */
#define LAB_LANES_MAX 16u

struct lab_progress {
    const struct conform_case *test;
    unsigned number, count; /* in the order in which cases begin */
};

struct lab_setup {
    const int *listeners; /* taken over; as many cases are run side by side, which needs a command */
    unsigned listener_count;
    unsigned timeout_ms; /* a case in which so long nothing is asked for is over */
    unsigned grace_ms;   /* LAB_GRACE_MS, or more for a command that has to tidy up */
    /* Run by `sh -c` for each case, with SMBPROOF_CASE and SMBPROOF_PORT set; NULL: clients come by themselves. */
    const char *command;
    int output;   /* where to the command writes; -1: nowhere */
    /* May be NULL: a case begins, and is over. Called on any thread. */
    void (*begins)(void *context, const struct lab_progress *progress);
    void (*ends)(void *context, const struct lab_progress *progress, const struct conform_result *result);
    void *context;
};

/* Runs the cases that are wanted until all are done, or SIGINT or SIGTERM comes; what was not tried by then is told as
 * skipped. These signals have to be blocked. 0, or a negative errno. */
int lab_run(const struct lab_setup *setup, const struct conform_options *options, struct conform_report *report);

#endif
