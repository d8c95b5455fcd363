/* For tests: the shell of a server, in memory. It authenticates by a made-up exchange whose key is known, has a share
 * or two, and answers every request that is handed over with an empty body, at once or when told to. */
#ifndef SMBPROOF_TESTS_HOST_H
#define SMBPROOF_TESTS_HOST_H

#include "core/server.h"
#include "keyring.h"

#define HOST_FRAMES     16u
#define HOST_OUTPUT_MAX (80u * 1024u) /* octets */
#define HOST_KEY_MAX    32u /* octets; NTLM yields 16, Kerberos with AES-256 32 */
#define HOST_KEY_USUAL  16u

/* How a logon ends. */
enum host_logon { HOST_LOGON_USER, HOST_LOGON_GUEST, HOST_LOGON_ANONYMOUS, HOST_LOGON_REFUSED, HOST_LOGON_DIALECT };

struct host_place {
    struct server_frame frame;
    bool used;
    uint8_t *content; /* of its exact size, so that a read beyond it is noticed */
    uint8_t output[HOST_OUTPUT_MAX];
};

struct host {
    struct server server;
    struct server_policy policy;
    struct keyring *ring;
    uint8_t key[HOST_KEY_MAX]; /* what the authentication yields */
    size_t key_size;           /* of it; HOST_KEY_USUAL unless it is changed */
    enum host_logon logon;
    unsigned legs; /* requests that the authentication takes; 2 as with NTLM */
    /* Another authentication in place of the made-up one; NULL: none. What it fills in is as server_take_token() has
     * it. */
    void (*authenticate)(void *arguments, struct span token, struct server_logon *logon);
    const struct server_stranger *stranger;           /* a session of another connection; NULL: none */
    struct span hint;                                 /* of the NEGOTIATE response */
    bool holds;                                       /* requests are not answered, but counted in `held` */
    bool checks_ahead;                                /* signatures of requests, before they are received */
    bool holds_tokens, holds_trees; /* likewise what asks for authentication, or for a share */
    size_t output_size;                               /* octets of output that frames begin with */
    void (*send)(void *arguments, struct span frame); /* gets each frame, header included */
    void (*served)(void *arguments,
                   const struct server_request *request); /* a request reached the shell; may be NULL */
    void *arguments;
    unsigned requests, cancels, trees_ended, sessions_ended, released, rooms; /* what happened */
    struct server_frame *held[HOST_FRAMES];
    unsigned held_count;
    struct server_frame *cancelled; /* by the last SERVER_CANCEL */
    struct host_place *places;      /* HOST_FRAMES of them */
};

/* Policy by default, all else zero but `key`, two legs, and outputs of the greatest size. Memory for frames is kept
 * from one host_begin() to the next. */
void host_init(struct host *host, struct keyring *ring);
void host_free(struct host *host);
/* A new connection. */
void host_begin(struct host *host);
/* A frame's content came, and is served as far as that goes. False: the connection is closed. */
bool host_give(struct host *host, struct span content);
/* The same for several, at most SIGN_TOGETHER_MAX, whose signatures are checked ahead. */
bool host_give_together(struct host *host, const struct span *contents, unsigned count);
/* Goes on after something was answered by hand. */
bool host_run(struct host *host);
/* Answers a request that was held. */
void host_answer(struct host *host, struct server_frame *frame, uint32_t status);

#endif
