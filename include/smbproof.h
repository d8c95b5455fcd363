/* libsmbproof: SMB 2 and 3 negotiation that can be trusted, for other programs.
 *
 * Two things are offered. A CLIENT sets a connection up: NEGOTIATE, authentication, a share, and the proof that nobody
 * has changed the negotiation on the way (the preauthentication hash on 3.1.1, FSCTL_VALIDATE_NEGOTIATE_INFO below).
 * Then it carries requests, signed or encrypted. An OBSERVER is fed the octets of somebody else's connection, both
 * ways, and says what went by and which rules of [MS-SMB2] were broken.
 *
 * Neither does any input or output, starts a thread, looks at a clock or keeps anything outside of the object that
 * was made. (A logon by Kerberos asks a KDC within smbproof_client_step(); that is MIT Kerberos' doing.) The program
 * moves octets between its own sockets and the library, and brings its own time limits. One thread at a time may use an
 * object; different objects are independent.
 *
 * WORDS
 *
 *   frame     four octets (one zero, three of length, the highest first) and the content behind them; what TCP carries.
 *             smbproof_client_output() gives whole frames, smbproof_client_receive() takes the content of one.
 *   proven    signed or encrypted with the session's key, and verified. Whatever should be proven and is not ends the
 *             connection: the client is CLOSED then, and smbproof_client_failure() says why. Such a failure, where
 *             `is_security` is set, must not be answered by trying again with less protection.
 *   tree      a share that is connected. The first one is where validation below 3.1.1 takes place.
 *
 * STATES: smbproof_client_step() says what is wanted next.
 *
 *   SMBPROOF_SEND     send what smbproof_client_output() gives; say how much went out by smbproof_client_sent()
 *   SMBPROOF_RECEIVE  read one frame, give its content to smbproof_client_receive()
 *   SMBPROOF_TOKEN    only where the program authenticates by itself: smbproof_client_token(), ..._take_token()
 *   SMBPROOF_READY    set up: connect a tree, make requests, log off
 *   SMBPROOF_CLOSED   close the socket; nothing more is taken from this connection
 *
 * OWNERSHIP: what smbproof_client_new() and smbproof_observer_new() return belongs to the program, which frees it. All
 * other pointers are lent: strings of facts and failures live as long as the object, output until the next step,
 * responses until the next smbproof_client_receive(). Names are UTF-8. The password and the key are wiped when they are
 * no longer needed. The buffer given to smbproof_client_receive() may be changed, and has to be left alone until
 * smbproof_client_next() has returned 0.
 *
 * ERRORS: where a function can fail, 0 (or NULL) means that it has.
 *
 * A whole program, examples/validate.c:
 *
 *     // Is the negotiation with an SMB server proven? usage: SMBPROOF_PASSWORD=... validate ADDRESS PORT USER SHARE
 *     #include <arpa/inet.h>
 *     #include <smbproof.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *     #include <unistd.h>
 *
 *     static int connect_to(const char *address, const char *port) {
 *         struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
 *         int fd = socket(AF_INET, SOCK_STREAM, 0);
 *         if (fd < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
 *             return -1;
 *         return connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0 ? -1 : fd;
 *     }
 *
 *     // One step with the socket; 0 where the connection is gone.
 *     static int exchange(int fd, struct smbproof_client *client) {
 *         static uint8_t room[SMBPROOF_SETUP_MAX];
 *         size_t size;
 *
 *         if (smbproof_client_step(client) == SMBPROOF_SEND) {
 *             const uint8_t *octets = smbproof_client_output(client, &size);
 *             ssize_t sent = write(fd, octets, size);
 *             return sent > 0 ? smbproof_client_sent(client, (size_t)sent), 1 : 0;
 *         }
 *         if (recv(fd, room, 4, MSG_WAITALL) != 4)
 *             return 0;
 *         size = smbproof_frame_size(room);
 *         if (size > sizeof room || recv(fd, room, size, MSG_WAITALL) != (ssize_t)size)
 *             return 0;
 *         smbproof_client_receive(client, room, size);
 *         return 1;
 *     }
 *
 *     static enum smbproof_want run(int fd, struct smbproof_client *client) {
 *         while (smbproof_client_step(client) < SMBPROOF_READY)
 *             if (!exchange(fd, client))
 *                 smbproof_client_disconnected(client);
 *         return smbproof_client_step(client);
 *     }
 *
 *     int main(int argc, char **argv) {
 *         struct smbproof_options options;
 *         struct smbproof_facts facts;
 *         struct smbproof_failure failure;
 *         if (argc != 5)
 *             return 2;
 *         smbproof_options_init(&options);
 *         options.host = argv[1], options.user = argv[3], options.password = getenv("SMBPROOF_PASSWORD");
 *         struct smbproof_client *client = smbproof_client_new(&options);
 *         int fd = connect_to(argv[1], argv[2]), connected = 0;
 *         if (client && fd >= 0 && run(fd, client) == SMBPROOF_READY && smbproof_client_connect_tree(client, argv[4]))
 *             connected = run(fd, client) == SMBPROOF_READY && smbproof_client_tree(client) != 0;
 *         if (connected && smbproof_client_facts(client, &facts))
 *             printf("dialect %s, signing %s, validation %s\n", facts.dialect, facts.signing, facts.validation);
 *         else if (client && smbproof_client_failure(client, &failure))
 *             printf("%s %s\n", failure.sentence, failure.remedy);
 *         smbproof_client_free(client);
 *         return close(fd) < 0 || !connected;
 *     }
 */
#ifndef SMBPROOF_H
#define SMBPROOF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0": of the library that is linked. */
const char *smbproof_version(void);
/* The length of the content behind a frame's four octets. */
size_t smbproof_frame_size(const uint8_t head[4]);
/* "STATUS_ACCESS_DENIED"; "" where the number is not known. */
const char *smbproof_status_name(uint32_t status);

/* ---- client: options ---- */

/* Octets of the longest frame's content before smbproof_client_step() has said SMBPROOF_READY. */
#define SMBPROOF_SETUP_MAX 70000u
#define SMBPROOF_DIALECTS_MAX 8

enum smbproof_logon {
    SMBPROOF_LOGON_ANY,       /* Kerberos where there is a ticket, else NTLMv2 */
    SMBPROOF_LOGON_NTLM,      /* NTLMv2 */
    SMBPROOF_LOGON_KERBEROS,
    SMBPROOF_LOGON_ANONYMOUS, /* nobody: such a session has no keys, and nothing is proven */
    SMBPROOF_LOGON_OWN,       /* the program's own: SMBPROOF_TOKEN is wanted */
};

enum smbproof_encryption { SMBPROOF_ENCRYPTION_ALLOWED, SMBPROOF_ENCRYPTION_OFF, SMBPROOF_ENCRYPTION_REQUIRED };

struct smbproof_options {
    const char *host;         /* the server's name, as the share's path and Kerberos have it; required */
    const char *user, *domain, *password; /* NULL: none */
    const uint8_t *nt_hash;   /* 16 octets in place of a password, or NULL */
    enum smbproof_logon logon;
    enum smbproof_encryption encryption;
    uint16_t dialects[SMBPROOF_DIALECTS_MAX]; /* 0x0202, 0x0210, 0x0300, 0x0302, 0x0311; all zero: all of them */
    int signing_required;
    int guest_allowed;        /* a guest's session, which nothing protects, is accepted */
    int begins_with_smb1;     /* the multi-protocol NEGOTIATE first; SMB1 itself is never spoken */
    int validation_off;       /* RequireSecureNegotiate = 0: for a server that is known to be broken */
    int unvalidated_allowed;  /* a signed error to the validation is accepted on 3.0 and 3.0.2, as [MS-SMB2] does */
};

/* All dialects, signing and encryption possible but not required, no user, everything strict. */
void smbproof_options_init(struct smbproof_options *options);

/* ---- client: set-up ---- */

enum smbproof_want { SMBPROOF_SEND, SMBPROOF_RECEIVE, SMBPROOF_TOKEN, SMBPROOF_READY, SMBPROOF_CLOSED };

struct smbproof_client;

/* NULL: no memory, no randomness, or options that make no sense. The strings are copied. */
struct smbproof_client *smbproof_client_new(const struct smbproof_options *options);
void smbproof_client_free(struct smbproof_client *client);

enum smbproof_want smbproof_client_step(struct smbproof_client *client);
const uint8_t *smbproof_client_output(const struct smbproof_client *client, size_t *size);
/* So many octets of the output went out; the rest is wanted next. */
void smbproof_client_sent(struct smbproof_client *client, size_t size);
/* The content of one frame. 0: the client is closed over it. */
int smbproof_client_receive(struct smbproof_client *client, uint8_t *content, size_t size);
/* The longest frame's content that may come now. */
size_t smbproof_client_frame_max(const struct smbproof_client *client);
/* The server closed the connection, or no answer came in time. */
void smbproof_client_disconnected(struct smbproof_client *client);
void smbproof_client_timed_out(struct smbproof_client *client);

/* SMBPROOF_TOKEN: what the server said last. */
const uint8_t *smbproof_client_token(const struct smbproof_client *client, size_t *size);
/* The token to send. `is_complete`: there is a session key now, of 1 to 64 octets. */
void smbproof_client_take_token(struct smbproof_client *client, const uint8_t *token, size_t size, int is_complete,
                                const uint8_t *key, size_t key_size);

/* Connects \\host\share, in SMBPROOF_READY; then step until it is ready again. 0: the name cannot be used. */
int smbproof_client_connect_tree(struct smbproof_client *client, const char *share);
/* The TreeId of the tree connected last; 0 where the server refused it, with *_tree_status(). */
uint32_t smbproof_client_tree(const struct smbproof_client *client);
uint32_t smbproof_client_tree_status(const struct smbproof_client *client);
/* After STATUS_NETWORK_SESSION_EXPIRED, with nothing in flight: authenticates again; then step. */
int smbproof_client_reauthenticate(struct smbproof_client *client);
/* Then step until SMBPROOF_CLOSED. */
void smbproof_client_log_off(struct smbproof_client *client);

/* ---- client: what is known ---- */

struct smbproof_facts {
    const char *dialect;    /* "3.1.1" */
    const char *signing;    /* "AES-CMAC" */
    const char *cipher;     /* "AES-128-GCM"; "" where there is none */
    /* "same": proven; "hash": proven by 3.1.1 itself; "unsupported": a genuine server of 2.x that does not know how;
     * "none": not done, for want of keys or because the client is one of 2.x */
    const char *validation;
    int has_keys;           /* the server has proved that it knows the user */
    int is_guest, is_signed, is_encrypted;
    uint32_t read_max, write_max; /* octets of one READ or WRITE now */
    uint32_t credits;
};

/* In SMBPROOF_READY. */
int smbproof_client_facts(struct smbproof_client *client, struct smbproof_facts *facts);

struct smbproof_failure {
    const char *sentence, *remedy;
    const char *rule;       /* "3.2.5.14.12-07": the section of [MS-SMB2] and a number; "" where none was broken */
    const char *phase;      /* "SESSION_SETUP" */
    const char *field;      /* "" where it is not one field */
    const uint8_t *expected, *found; /* of the field, as on the wire; NULL where there is no one value */
    size_t expected_size, found_size;
    uint32_t status;        /* of the server's answer; 0: none */
    int is_security;        /* not to be answered by trying again with less protection */
};

/* In SMBPROOF_CLOSED, or after a share was refused. 0: nothing failed. */
int smbproof_client_failure(struct smbproof_client *client, struct smbproof_failure *failure);

/* ---- client: requests ---- */

/* Octets that a request's buffer has to have beside its body. */
#define SMBPROOF_REQUEST_ROOM 128u

struct smbproof_request {
    uint16_t command;       /* [MS-SMB2] 2.2.1.2: 8 READ, 13 ECHO... */
    uint32_t tree;
    uint32_t payload;       /* octets of the buffer that is sent or expected, the greater: credits follow from it */
    const uint8_t *body;    /* what stands behind the 64 octets of the header */
    size_t body_size;
    void *owner;            /* comes back with the response */
};

/* Makes a frame of one request in the program's buffer; the octets to send, NULL where credits or room run out (or the
 * client is closed). */
const uint8_t *smbproof_client_request(struct smbproof_client *client, const struct smbproof_request *request,
                                       uint8_t *buffer, size_t buffer_size, size_t *frame_size);

struct smbproof_response {
    void *owner;
    uint16_t command;
    uint32_t status;
    int is_interim;         /* STATUS_PENDING: the final response is still to come */
    const uint8_t *message; /* header and body */
    size_t message_size;
};

/* The next response of the frame received last; 0: there is none. */
int smbproof_client_next(struct smbproof_client *client, struct smbproof_response *response);

/* ---- observer ---- */

enum smbproof_direction { SMBPROOF_FROM_CLIENT, SMBPROOF_FROM_SERVER };
enum smbproof_event_kind { SMBPROOF_MESSAGE, SMBPROOF_BROKEN, SMBPROOF_GAP, SMBPROOF_OTHER };

struct smbproof_event {
    enum smbproof_event_kind kind;
    enum smbproof_direction from;
    uint64_t offset;        /* in the stream of its direction */
    int is_smb2, is_response, is_encrypted;
    uint16_t command;       /* MESSAGE, SMB2 only, as all that follows */
    const char *command_name;
    uint32_t status, flags, tree;
    uint64_t message_id, session_id;
    const char *rule, *rule_sentence; /* BROKEN */
};

struct smbproof_observer;

/* NULL: no memory. */
struct smbproof_observer *smbproof_observer_new(void);
void smbproof_observer_free(struct smbproof_observer *observer);
/* The next octets of one direction. How many were used: 0 where more have to be at hand first (keep these, come back
 * with more behind them), or where events are waiting. */
size_t smbproof_observer_feed(struct smbproof_observer *observer, enum smbproof_direction from, const uint8_t *octets,
                              size_t size);
/* So many octets of one direction were lost. */
void smbproof_observer_gap(struct smbproof_observer *observer, enum smbproof_direction from, size_t lost);
/* The next event; 0: there is none. */
int smbproof_observer_next(struct smbproof_observer *observer, struct smbproof_event *event);

#ifdef __cplusplus
}
#endif

#endif
