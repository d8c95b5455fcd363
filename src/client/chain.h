/* Compound chains: several requests in one frame, each answer taken as it comes. For client/share.c and its kin. */
#ifndef SMBPROOF_CLIENT_CHAIN_H
#define SMBPROOF_CLIENT_CHAIN_H

#include "client/session.h"

#define CHAIN_STEPS_MAX 5u

struct chain_step {
    uint16_t command;
    uint32_t payload; /* octets sent or expected */
    client_body_encode *encode;
    const void *arguments;
    /* Takes an answer whose body is the command's own; false: it is malformed. NULL: nothing is wanted of it. */
    bool (*take)(struct span message, void *result);
    void *result;
    uint32_t status; /* set: of the answer */
};

/* Makes the second and later ones use the file of the first (3.2.4.1.4), sends all, and waits for all answers. On 2.0.2
 * they are sent one by one instead: what speaks it, and no more, may sign chains wrongly (impacket does). False: the
 * connection is gone, or an answer was malformed; what the server said is in the steps. */
bool chain_run(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
               struct session_error *error);
/* The same, and the first error of a step becomes the error. */
bool chain_succeed(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                   struct session_error *error);

/* SESSION_ERROR_REFUSED with its words. */
void chain_refused(struct session_error *error, uint32_t status);
/* An answer that cannot be read: nothing that comes from there is to be trusted. */
void chain_malformed(struct session_error *error);
/* An answer with a body of its own: success, or a warning such as BUFFER_OVERFLOW (3.3.4.4). */
bool status_has_body(uint32_t status);

#endif
