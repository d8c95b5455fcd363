/* A session with a server: the client of the core with a socket, an authentication and a clock.
 *
 *     struct session_error error;
 *     struct session *session = session_open(&options, &error);       // connected, negotiated, authenticated
 *     session_connect_tree(session, "data", &tree, &error);           // and, below 3.1.1, validated
 *     session_request(session, SMB2_ECHO, tree, 0, client_encode_empty, NULL, &response, &error);
 *     session_close(session);
 *
 * What fails says why in a struct session_error, and false or NULL. After an error of the connection (session_is_open()
 * false) every further call fails with the same error. A response with an error status is a response: the caller looks
 * at response.status.
 *
 * One thread at a time uses a session. */
#ifndef SMBPROOF_CLIENT_SESSION_H
#define SMBPROOF_CLIENT_SESSION_H

#include "auth/auth.h"
#include "core/client.h"
#include "core/policy.h"

/* Milliseconds that are waited for an answer where the options say nothing; Windows waits as long. */
#define SESSION_TIMEOUT_MS 60000
/* Octets of a share's name, UTF-8, with its NUL. */
#define SESSION_SHARE_MAX 256u
#define SESSION_SENTENCE_MAX 512u

enum session_error_kind {
    SESSION_ERROR_NONE,
    SESSION_ERROR_ARGUMENT,       /* a name that cannot be put on the wire */
    SESSION_ERROR_UNREACHABLE,    /* no connection: `number` says why */
    SESSION_ERROR_TIMED_OUT,      /* no answer in time */
    SESSION_ERROR_STOPPED,        /* somebody wanted an end, and the server did not answer any more */
    SESSION_ERROR_DISCONNECTED,   /* the connection ended, or failed with `number` */
    SESSION_ERROR_REFUSED,        /* the server said `status` */
    SESSION_ERROR_AUTHENTICATION, /* the logon failed: `status` of the server's, or this side's reason in `sentence` */
    SESSION_ERROR_PROTOCOL,       /* `rule` was broken: nothing that came is to be trusted */
    SESSION_ERROR_SYSTEM,         /* memory, randomness or cryptography failed here */
};

struct session_error {
    enum session_error_kind kind;
    enum client_phase phase;
    enum rule rule;              /* RULE_NONE: none */
    const char *field;           /* as [MS-SMB2] spells it; NULL: none */
    uint8_t expected[CLIENT_VALUE_MAX], found[CLIENT_VALUE_MAX]; /* of the field, in wire octets */
    size_t expected_size, found_size; /* 0: not known, or not one value */
    uint32_t status;             /* NTSTATUS; 0: none */
    int number;                  /* errno, positive; 0: none. ENOKEY: there is no ticket of use */
    bool is_security;            /* not to be retried with less protection (3.2.5.14.12) */
    char sentence[SESSION_SENTENCE_MAX]; /* what happened, for people; one sentence or two, without a newline */
};

struct session_options {
    const char *host;            /* a name or an address */
    uint16_t port;               /* 0: 445 */
    const struct client_policy *policy; /* copied; a ClientGuid of zeros is replaced by a random one */
    const struct auth_credentials *credentials; /* borrowed while the session lives: it may authenticate again */
    int64_t timeout_ms;          /* for each answer, and for connecting; 0: SESSION_TIMEOUT_MS */
    int stop_fd;                 /* once it is readable only TRANSPORT_STOP_SILENCE_MS are waited; 0: nobody stops it */
};

struct session;

/* Connects, negotiates, authenticates. NULL: `error` says why. */
struct session *session_open(const struct session_options *options, struct session_error *error);
/* The same over a socket that is connected already, which the session closes. */
struct session *session_open_socket(const struct session_options *options, int fd, struct session_error *error);
/* Logs off where that is possible, and frees. NULL is fine. */
void session_close(struct session *session);

bool session_is_open(const struct session *session);
/* The core's client, to be looked at: dialect, algorithms, validation, credits, trees. */
const struct client *session_client(const struct session *session);
/* What was used to authenticate: "NTLMv2", "Kerberos". */
const char *session_mechanism(const struct session *session);
/* "127.0.0.1:445" */
const char *session_address(const struct session *session);

/* Connects \\host\share, and validates where that is due. A share that the server refuses is SESSION_ERROR_REFUSED, and
 * leaves the session open. Nothing else may be in flight. */
bool session_connect_tree(struct session *session, const char *share, uint32_t *tree, struct session_error *error);
bool session_disconnect_tree(struct session *session, uint32_t tree, struct session_error *error);

/* Sends one request and waits for its final response, which borrows from the session until the next call. `payload` is
 * what CreditCharge follows from: the octets sent or expected in the buffer, the greater. Where the session had expired
 * it is authenticated again, and the request sent once more. Nothing else may be in flight. */
bool session_request(struct session *session, uint16_t command, uint32_t tree, uint32_t payload,
                     client_body_encode *encode, const void *arguments, struct client_response *response,
                     struct session_error *error);
bool session_echo(struct session *session, struct session_error *error);

/* For more than one at a time: make a frame with client_frame_begin() and client_frame_add() on the client that
 * session_frames() gives, and send it: at once, or, where it is small, together with others when the next response is
 * waited for. */
struct client *session_frames(struct session *session);
bool session_send(struct session *session, struct client_frame *frame, struct session_error *error);
/* The same for up to SIGN_TOGETHER_MAX frames, whose signatures cost less together where client_signs_together(). */
bool session_send_many(struct session *session, struct client_frame *frames, unsigned count, struct session_error *error);
/* The next response, final ones and interim ones; waits where nothing is there. False: the connection is gone. A final
 * STATUS_NETWORK_SESSION_EXPIRED asks for session_reauthenticate(), then for that request again. */
bool session_receive(struct session *session, struct client_response *response, struct session_error *error);
/* So many frames are on their way to the next session_receive() that has to wait: a few may be received before the first is
 * looked at, where their signatures cost less together. For that call alone. */
void session_expect(struct session *session, unsigned frames);
/* Gives the caller the memory that the response taken last lies in, and uses `*data` of `*size` octets (from malloc(), or
 * NULL and 0) in its place. False, and nothing changed: other responses lie there too. */
bool session_keep_received(struct session *session, uint8_t **data, size_t *size);
/* Asks the server to give up a request in flight, which is answered all the same (3.2.4.24). */
bool session_cancel(struct session *session, uint64_t message_id, struct session_error *error);
/* Authenticates again; the keys stay. Nothing may be in flight. */
bool session_reauthenticate(struct session *session, struct session_error *error);

#endif
