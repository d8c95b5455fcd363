/* Compound chains: several requests in one frame, each answer taken as it comes. For client/share.c and its kin. */
#ifndef SMBPROOF_CLIENT_CHAIN_H
#define SMBPROOF_CLIENT_CHAIN_H

#include "client/session.h"
#include "wire/files.h"

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
    struct chain *chain; /* set: that it is of */
};

/* The second and later steps use the file of the first (3.2.4.1.4) where their FileId is file_id_inherit()'s. */
struct chain {
    struct chain_step *steps; /* borrowed until the chain has ended, with all that they borrow */
    unsigned count;
    void *owner; /* the caller's */
    unsigned awaited, interims;
    bool is_malformed;
    uint8_t file_id[FILE_ID_SIZE]; /* that its CREATE brought */
};

/* Sends all and waits for all answers. On 2.0.2, and where there are not credits enough for all at once, they are sent
 * one by one instead: what speaks 2.0.2, and no more, may sign chains wrongly (impacket does). Where the session had
 * expired it is authenticated again, and the rest sent. False: the connection is gone, or an answer was malformed; what
 * the server said is in the steps. Nothing else may be in flight. */
bool chain_run(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
               struct session_error *error);
/* The same, and the first error of a step becomes the error. */
bool chain_succeed(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                   struct session_error *error);
/* The first error status among the steps; 0: there is none. */
uint32_t chain_status(const struct chain *chain);

/* For several at a time: chain_send() each, chain_receive() until all came back, and, when nothing is in flight any
 * more, chain_end() those that have expired. */
enum chain_sent {
    CHAIN_SENT,
    CHAIN_WAITS, /* has to wait for others to end, or to be run by itself: credits, or the dialect */
    CHAIN_LOST,  /* the connection is gone */
};
enum chain_sent chain_send(struct session *session, uint32_t tree, struct chain *chain, struct session_error *error);
/* Takes one answer. `ended`: the chain of which it was the last one, NULL where there is none. False: the connection is
 * gone. */
bool chain_receive(struct session *session, struct chain **ended, struct session_error *error);
/* Did the session expire at one of its steps? */
bool chain_has_expired(const struct chain *chain);
/* What is left to do of a chain that was sent and answered; as for chain_run(). */
bool chain_end(struct session *session, uint32_t tree, struct chain *chain, struct session_error *error);

/* SESSION_ERROR_REFUSED with its words. */
void chain_refused(struct session_error *error, uint32_t status);
/* An answer that cannot be read: nothing that comes from there is to be trusted. */
void chain_malformed(struct session_error *error);
/* An answer with a body of its own: success, or a warning such as BUFFER_OVERFLOW (3.3.4.4). */
bool status_has_body(uint32_t status);

#endif
