/* A client of one connection and one session: an observer that also talks ([MS-SMB2] 3.2).
 *
 * It does no IO and allocates nothing. It says what it wants next; the shell around it does that and comes back:
 *
 *     client_init(&client, &setup);
 *     for (;;) {
 *         switch (client_step(&client)) {
 *         case CLIENT_SEND:    send_all(client_output(&client)); client_sent(&client); break;
 *         case CLIENT_RECEIVE: size = read_frame(buffer); client_receive(&client, buffer, size); break;
 *         case CLIENT_TOKEN:   step the authentication with client_token_in(&client);
 *                              client_take_token(&client, token, is_complete, session_key); break;
 *         case CLIENT_KEYS:    make handles of the keys in client.keys; client_take_handles(&client, &handles); break;
 *         case CLIENT_READY:   return true;   // set up: a tree may be connected, then requests made
 *         case CLIENT_CLOSED:  return false;  // close the transport; client.failure says why
 *         }
 *     }
 *
 * That begins with NEGOTIATE and ends with a session that is authenticated and whose final SESSION_SETUP response was
 * verified. client_connect_tree() adds a TREE_CONNECT and, below 3.1.1, the first time, the signed
 * FSCTL_VALIDATE_NEGOTIATE_INFO (3.2.5.5); no other request goes out before its answer was verified.
 *
 * Then requests: several messages may share a frame (a compound chain), and several frames may be in flight as far as
 * credits allow. The message lies in the caller's buffer, behind CLIENT_HEADROOM octets, and is signed or sealed there:
 *
 *     struct client_frame frame;
 *     client_frame_begin(&frame, buffer, sizeof buffer);
 *     struct client_request read = {.command = SMB2_READ, .tree_id = tree, .payload = length, .owner = me};
 *     client_frame_add(&client, &frame, &read, encode_read_body, &arguments);
 *     struct span octets = client_frame_finish(&client, &frame);    // frame header included: send as it is
 *
 * What a peer does wrong ends in CLIENT_CLOSED with the rule, and nothing more is taken from that connection. */
#ifndef SMBPROOF_CORE_CLIENT_H
#define SMBPROOF_CORE_CLIENT_H

#include "core/client_offer.h"
#include "core/conversation.h"
#include "core/keys.h"
#include "core/negotiation.h"
#include "core/seal.h"
#include "core/sign.h"

/* Requests that may be in flight at once (3.2.1.2 Connection.OutstandingRequests). */
#define CLIENT_REQUESTS_MAX 128u
/* Trees that may be connected at once. */
#define CLIENT_TREES_MAX 16u
/* Elements of one compound chain that this client sends. */
#define CLIENT_CHAIN_MAX 8u
/* Octets in front of the first message of a frame: frame header and transform header. */
#define CLIENT_HEADROOM (FRAME_HEADER_SIZE + TRANSFORM_HEADER_SIZE)
/* The longest token of an authentication, in octets (SecurityBufferLength has 16 bits). */
#define CLIENT_TOKEN_MAX 65535u
/* Room for a message of the set-up: a token and what goes around it. */
#define CLIENT_OUTPUT_MAX (CLIENT_HEADROOM + CLIENT_TOKEN_MAX + 1024u)
/* The most octets of a share's path \\server\share, UTF-16LE. */
#define CLIENT_PATH_MAX 2048u
/* The most messages that SESSION_SETUP may take: SPNEGO needs three at most. */
#define CLIENT_AUTHENTICATION_LEGS_MAX 8u

enum client_want { CLIENT_SEND, CLIENT_RECEIVE, CLIENT_TOKEN, CLIENT_KEYS, CLIENT_READY, CLIENT_CLOSED };

/* What the client is doing, for error messages. */
enum client_phase {
    CLIENT_PHASE_NEGOTIATE,
    CLIENT_PHASE_SESSION_SETUP,
    CLIENT_PHASE_TREE_CONNECT,
    CLIENT_PHASE_VALIDATE,
    CLIENT_PHASE_READY,
    CLIENT_PHASE_LOGOFF,
};

enum client_fault {
    CLIENT_FAULT_NONE,         /* closed by the caller's wish: LOGOFF */
    CLIENT_FAULT_RULE,         /* the server, or somebody on the way, broke verdict.rule */
    CLIENT_FAULT_STATUS,       /* the server refused, with `status` */
    CLIENT_FAULT_TOKEN,        /* the authentication failed on this side */
    CLIENT_FAULT_TIMED_OUT,    /* no answer came; with verdict.rule where that is a failure of the validation */
    CLIENT_FAULT_DISCONNECTED, /* likewise */
    CLIENT_FAULT_CRYPTO,       /* a key, hash or signature could not be computed */
};

/* Why a connection was given up. */
struct client_failure {
    enum client_fault fault;
    enum client_phase phase;
    struct verdict verdict;   /* its rule is RULE_NONE where none was broken */
    uint32_t status;          /* NTSTATUS of the answer at fault; 0 none */
    const char *field;        /* as [MS-SMB2] spells it, NULL none: what was wrong */
    struct span expected, found; /* its values in wire octets, empty where there is none; they point into the client */
};

/* The keyed handles of a session; borrowed from the shell until client_wipe(). */
struct client_handles {
    struct mac_key *mac;
    struct aead_key *seal, *open; /* NULL where there is no cipher */
};

struct client_setup {
    const struct client_policy *policy; /* copied */
    uint8_t salt[CLIENT_SALT_SIZE];     /* random */
    bool anonymous;     /* the shell will authenticate nobody: such a session has no keys */
    uint8_t *output;    /* CLIENT_OUTPUT_MAX octets, borrowed: messages of the set-up are made here */
};

/* A message to be sent. The caller keeps nothing but `owner`. */
struct client_request {
    uint16_t command;      /* enum smb2_command */
    uint32_t tree_id;      /* 0 where the command has no tree */
    uint32_t payload;      /* octets sent or expected, the greater: CreditCharge follows from it (3.1.5.2). At most
                              64 KiB where the server has no multi-credit requests, 8 MiB elsewhere */
    bool related;          /* SMB2_FLAGS_RELATED_OPERATIONS: an element that uses the one before */
    bool must_sign;        /* sign where nothing else demands it */
    void *owner;           /* comes back with the response */
    uint64_t message_id;   /* set by client_frame_add() */
};

/* A frame that is being made. Its inside is the client's. */
struct client_frame {
    uint8_t *data;         /* the caller's, `size` octets */
    size_t size, at;       /* at: where the next element begins */
    unsigned count;
    size_t starts[CLIENT_CHAIN_MAX];
    uint64_t message_ids[CLIENT_CHAIN_MAX];
    bool encrypt, failed, is_signed;
};

/* Writes a body behind the header: the writer stands at the body's first octet, and counts from the protocol id. */
typedef void client_body_encode(struct writer *writer, const void *arguments);

struct client_response {
    void *owner;           /* of the request that it answers */
    uint64_t message_id;
    uint16_t command;
    uint32_t status;
    bool is_interim;       /* STATUS_PENDING: the final one is still to come */
    struct span message;   /* from the protocol id, with padding; borrows from what was received */
};

/* The content of a frame that came. */
struct client_arrival {
    uint8_t *content;
    size_t size;
    /* The rest is the client's. */
    bool is_checked;
    enum signature_check check; /* of the whole frame as one element */
};

struct client; /* its inside is in core/client_state.h, for those who embed one */
#include "core/client_state.h"

void client_init(struct client *client, const struct client_setup *setup);
/* Forgets and wipes keys. The handles are the shell's to free, afterwards. */
void client_wipe(struct client *client);

enum client_want client_step(struct client *client);
/* CLIENT_SEND: the frame, with its header. */
struct span client_output(const struct client *client);
void client_sent(struct client *client);
/* One frame's content (without the four octets in front), at most client_frame_max(). It is changed where it has to be
 * decrypted, and is to be left alone until client_next_response() said false and client_step() wants neither TOKEN nor
 * KEYS. False: the connection is closed (see client.failure). A keep-alive or
 * another NetBIOS packet is not to be given here. */
bool client_receive(struct client *client, uint8_t *content, size_t size);
/* The same for several frames, at most SIGN_TOGETHER_MAX, in the order in which they came. Signatures are computed together
 * where that is quicker; nothing else is done with a frame before those in front of it are done with. The arrivals are
 * borrowed as the contents are. */
bool client_receive_many(struct client *client, struct client_arrival *arrivals, unsigned count);
/* Is anything gained by client_receive_many() and client_frames_finish()? */
bool client_signs_together(const struct client *client);

/* CLIENT_TOKEN: what the server said last; at first its SPNEGO hint, which may be empty. */
struct span client_token_in(const struct client *client);
/* The token to send, copied. `is_complete`: the authentication has all that it needs, and `session_key` is the key
 * (empty for anonymous). An empty token that is complete after the server's last word is not sent. */
void client_take_token(struct client *client, struct span token, bool is_complete, struct span session_key);
/* The authentication failed on this side. */
void client_refuse_token(struct client *client, uint32_t status);
void client_take_handles(struct client *client, const struct client_handles *handles);

/* In CLIENT_READY: connects the share \\server\share (UTF-16LE) and, where that is due, validates. Then step again. A
 * refusal by the server (no such share) leaves the client ready, with the status in client.tree_status. */
void client_connect_tree(struct client *client, struct span path);
/* A tree that is connected; NULL for none. Forgotten when its TREE_DISCONNECT was answered. */
const struct client_tree *client_tree_find(const struct client *client, uint32_t tree_id);
/* Of the tree connected last: its TreeId; 0 where that was refused. */
uint32_t client_tree(const struct client *client);
/* In CLIENT_READY, after a request came back with STATUS_NETWORK_SESSION_EXPIRED: authenticates again, with the same
 * keys (3.2.5.3.2). Requests in flight keep their owners. Then step again, CLIENT_TOKEN comes first. */
void client_reauthenticate(struct client *client);
/* Is there something that only a retry with less protection would get round? Then none is to be made (3.2.5.14.12). */
bool client_failed_securely(const struct client *client);
/* In CLIENT_READY: LOGOFF. Then step until CLIENT_CLOSED, without a failure. */
void client_log_off(struct client *client);
/* No answer came in time, or the transport is gone. While validation is awaited that is a security failure (3.2.6.1,
 * protocol rule V-14), else a plain one. The client is closed. */
void client_timed_out(struct client *client);
void client_disconnected(struct client *client);

/* The longest frame's content that may come now, in octets. */
uint32_t client_frame_max(const struct client *client);

/* Credits at hand, of which each request takes its CreditCharge (3.2.4.1.2). */
uint32_t client_credits(const struct client *client);
/* The CreditCharge of a payload of so many octets; 1 at least. */
uint16_t client_charge(const struct client *client, uint32_t payload);
/* The longest payload of READ and WRITE that the server and the credits granted so far allow, in octets. */
uint32_t client_read_max(const struct client *client);
uint32_t client_write_max(const struct client *client);

void client_frame_begin(struct client_frame *frame, uint8_t *data, size_t size);
/* Adds an element; false where credits, room or places for requests run out (nothing is added then). A frame to which
 * something was added has to be finished and sent. */
bool client_frame_add(struct client *client, struct client_frame *frame, struct client_request *request,
                      client_body_encode *encode, const void *arguments);
/* Signs or seals; the octets to send. Empty on failure: the client is closed. */
struct span client_frame_finish(struct client *client, struct client_frame *frame);
/* The same for several frames, at most SIGN_TOGETHER_MAX, whose signatures are made together where that is quicker. False:
 * the client is closed. */
bool client_frames_finish(struct client *client, struct client_frame *frames, unsigned count, struct span *octets);
/* Makes a CANCEL of a request in flight (3.2.4.24), to be sent as it is; `data` has CLIENT_CANCEL_MAX octets. Empty
 * where it is not in flight any more, or was cancelled before. */
#define CLIENT_CANCEL_MAX (CLIENT_HEADROOM + 72u)
struct span client_cancel(struct client *client, uint64_t message_id, uint8_t *data);

/* A body of StructureSize 4 and nothing else: ECHO, TREE_DISCONNECT, LOGOFF. */
void client_encode_empty(struct writer *writer, const void *arguments);

/* The next response of what was received last; false when there is none, or when the connection has been closed over
 * it. Oplock breaks and other messages that nobody asked for are passed over. */
bool client_next_response(struct client *client, struct client_response *response);

#endif
