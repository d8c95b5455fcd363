/* A server of one connection: it takes a client's frames, decides all that [MS-SMB2] 3.3 decides about connection,
 * sessions and trees, and hands the rest to the shell around it.
 *
 * It does no IO, allocates nothing, and has neither clock nor randomness. It says what it wants next; the shell does
 * that and comes back:
 *
 *     server_init(&server, &setup);
 *     for (;;) {
 *         switch (server_step(&server)) {
 *         case SERVER_RECEIVE:     either read a frame's content, server_frame_init(frame, ...), server_receive();
 *                                  or answer something that is in flight. Then step again.                   break;
 *         case SERVER_SEND:        send server_output(&server) unless it is empty; then the frame that
 *                                  server_sent(&server) gives back is free again.                            break;
 *         case SERVER_ROOM:        server_frame_move(server_current(&server), larger output);                break;
 *         case SERVER_TOKEN:       authenticate with server_token(frame); server_take_token(...);            break;
 *         case SERVER_KEYS:        make handles of server.keys; server_take_handles(&server, &handles);      break;
 *         case SERVER_STRANGER:    look for the session request.session_id; server_take_stranger(...);      break;
 *         case SERVER_TREE:        look for the share server_path(frame); server_take_tree(...);             break;
 *         case SERVER_REQUEST:     serve &frame->request; server_respond(&server, frame, status, size);      break;
 *         case SERVER_CANCEL:      finish server_current(&server) soon, with STATUS_CANCELLED;               break;
 *         case SERVER_END_TREE:    close all files of frame->request.tree; server_ended(&server, frame);     break;
 *         case SERVER_END_SESSION: close all files of frame->request.session; server_ended(&server, frame);  break;
 *         case SERVER_RELEASE:     free the handles of server.released, and forget its owner;                break;
 *         case SERVER_CLOSED:      close the transport; server.failure says why.                             return;
 *         }
 *     }
 *
 * Words. A *frame* is what came in one piece, one message or a compound chain, with the room for the frame that answers
 * it. It is the shell's memory, lent from server_receive() to server_sent(); many may be in flight, and the server
 * keeps them in lists. Its *request* is the element that is being served; the chain's next comes when it was answered.
 * What SERVER_TOKEN, SERVER_TREE, SERVER_REQUEST and SERVER_END_... hand over (server_current()) is answered at once or
 * later, in any order, on the thread that steps.
 *
 * The order of checks is that of 3.3.5.2: frame, MessageIds, signature, credit charge, session, tree, command. A
 * request that reaches the shell has a session, a tree where its command needs one, its fixed body whole with the right
 * StructureSize, and was signed or encrypted as far as the session or the share asks for it. What [MS-SMB2] answers by
 * terminating the connection ends in SERVER_CLOSED without a word to the client (what was answered before is still sent):
 * above all an FSCTL_VALIDATE_NEGOTIATE_INFO that differs from NEGOTIATE (3.3.5.15.12). Then all frames are the shell's again, those
 * it was handed when it has finished with them, and it frees the handles of every session that is not free.
 *
 * A response is made in place, in the frame's output: the shell writes the body at server_body() and says how long it
 * is; header, padding, credits, signature or encryption are the server's. Every response to a signed request is signed,
 * errors included, interim ones not; the final SESSION_SETUP response of a session with keys always is.
 *
 * Who wants to watch feeds the same octets to a core/conversation.h; the server itself keeps none, since it would
 * decode each message a second time and take as much memory again for every idle connection. */
#ifndef SMBPROOF_CORE_SERVER_H
#define SMBPROOF_CORE_SERVER_H

#include "core/keys.h"
#include "core/negotiation.h"
#include "core/seal.h"
#include "core/server_validate.h"
#include "core/sign.h"
#include "wire/frame.h"

/* Sessions of one connection, those that are being set up included (3.3.1.7 Connection.SessionTable). */
#define SERVER_SESSIONS_MAX 32u
/* Trees of one connection, over all its sessions (3.3.1.8 Session.TreeConnectTable). */
#define SERVER_TREES_MAX 64u
/* Credits that a client may hold, and the reach of its window of MessageIds (3.3.1.1); Windows and Samba allow as
 * many. */
#define SERVER_CREDITS_MAX 8192u
/* Credits that a client may hold before a session of the connection was authenticated. */
#define SERVER_CREDITS_EARLY_MAX 64u
/* Requests that may be answered by an interim response and be in flight after it (3.3.4.2). */
#define SERVER_ASYNC_MAX 512u
/* Elements of one compound chain. */
#define SERVER_CHAIN_MAX 128u
/* SESSION_SETUP requests that one logon may take: SPNEGO needs three at most. */
#define SERVER_LOGON_LEGS_MAX 8u
/* Octets of a frame's content before any session was authenticated: a token of 64 KiB and what is around it. */
#define SERVER_EARLY_FRAME_MAX (68u * 1024u)
/* Octets on top of the sizes that were negotiated, for headers (3.3.5.2). */
#define SERVER_FRAME_MARGIN (256u + TRANSFORM_HEADER_SIZE)
/* Octets in front of the first response of a frame: frame header and transform header. */
#define SERVER_HEADROOM (FRAME_HEADER_SIZE + TRANSFORM_HEADER_SIZE)
/* Octets of the longest SPNEGO hint in the NEGOTIATE response. */
#define SERVER_HINT_MAX 256u
/* Octets that any answer of the server's own needs, a token aside. */
#define SERVER_ANSWER_MAX 512u
/* The least room for output of a frame; with a token, that on top. */
#define SERVER_OUTPUT_LEAST (SERVER_HEADROOM + SERVER_ANSWER_MAX)
/* Octets of a WRITE in front of its data: header and fixed body (2.2.21). */
#define SERVER_LATE_HEAD (SMB2_HEADER_SIZE + 48u)
/* Octets of a frame that holds just an interim response. */
#define SERVER_INTERIM_SIZE (SERVER_HEADROOM + SMB2_HEADER_SIZE + 9u)

enum server_want {
    SERVER_RECEIVE,
    SERVER_SEND,
    SERVER_ROOM,
    SERVER_TOKEN,
    SERVER_KEYS,
    SERVER_STRANGER,
    SERVER_TREE,
    SERVER_REQUEST,
    SERVER_CANCEL,
    SERVER_END_TREE,
    SERVER_END_SESSION,
    SERVER_RELEASE,
    SERVER_CLOSED,
};

struct server_setup {
    const struct server_policy *policy; /* borrowed until server_wipe(); many connections may share it */
    struct fresh fresh; /* its security_buffer, SERVER_HINT_MAX octets at most, is borrowed until NEGOTIATE is done */
    uint64_t session_ids; /* random, the low 16 bits zero; no other connection of the server has the same */
};

/* The keyed handles of a session. They are the shell's, lent until SERVER_RELEASE gives them back. */
struct server_handles {
    struct mac_key *mac;
    struct aead_key *seal, *open; /* NULL where there is no cipher */
};

/* What a step of the authentication came to. */
enum server_logon_state {
    SERVER_LOGON_CONTINUE, /* send the token and wait for the client's next */
    SERVER_LOGON_DONE,     /* the client is who it says; the token, which may be empty, is the last */
    SERVER_LOGON_REFUSED,  /* `status` goes to the client, and the session is gone */
};

struct server_logon {
    enum server_logon_state state;
    uint32_t status;         /* REFUSED: an NTSTATUS that is an error */
    struct span token;       /* copied; server_body(frame, 8 + token.size) says whether there is room */
    struct span session_key; /* DONE: as the authentication yielded it; empty for guest and anonymous */
    bool is_guest, is_anonymous;
    bool dialect_differs;    /* DONE: the client has logged on with another dialect before (3.3.5.5.3) */
    void *owner;             /* DONE: becomes session->owner */
};

/* A session of another connection of the server, which a SESSION_SETUP named. */
struct server_stranger {
    uint16_t dialect, cipher, signing_algorithm; /* as in struct negotiation_agreed of its connection */
    struct mac_key *mac;                         /* its signing key, lent for the call */
};

/* What a share is like, for one session. */
struct server_share {
    uint8_t type;            /* ShareType (2.2.10): 1 disk, 2 pipe, 3 print */
    uint32_t flags;          /* ShareFlags, SMB2_SHAREFLAG_ENCRYPT_DATA aside, which follows from `encrypt` */
    uint32_t capabilities;
    uint32_t maximal_access; /* that the account has */
    bool encrypt;            /* Share.EncryptData: nothing in the clear beyond TREE_CONNECT */
    void *owner;             /* becomes tree->owner */
};

struct server;
struct server_frame;
struct server_session;
struct server_tree;
struct server_request;
#include "core/server_state.h" /* the inside, for those who embed one; what the shell reads is described there */

void server_init(struct server *server, const struct server_setup *setup);
/* Wipes what is secret. Frames and handles are the shell's to free. */
void server_wipe(struct server *server);

enum server_want server_step(struct server *server);
/* The frame that the last step was about: SEND, ROOM, TOKEN, TREE, REQUEST, END_..., CANCEL (the one to be
 * cancelled). */
struct server_frame *server_current(struct server *server);

/* Prepares a frame: `content` is what followed the four octets in front, and is changed where it has to be decrypted.
 * `output` has SERVER_OUTPUT_LEAST octets at least. Both are borrowed until server_sent(), and so is the frame once it
 * was received; `owner` is the shell's own. */
void server_frame_init(struct server_frame *frame, uint8_t *content, size_t size, uint8_t *output, size_t output_size,
                       void *owner);
/* Is anything gained by server_check_ahead() for this frame, which was prepared? */
bool server_may_check_ahead(struct server *server, const struct server_frame *frame);
/* Computes the signatures of several frames together, at most SIGN_TOGETHER_MAX, before they are given to server_receive() one
 * after the other. That is all: each is served, or refused, as if it had come by itself, and nothing follows from a signature
 * before its own frame's turn. */
void server_check_ahead(struct server *server, struct server_frame *const *frames, size_t count);
/* May what a frame has behind its first SERVER_LATE_HEAD octets, given here, come to its place in `content` after
 * server_receive()? It may where the server does not look at it: in a WRITE that is alone and neither signed nor encrypted.
 * Whoever serves the request (SERVER_REQUEST) sees to it that it comes. */
bool server_may_come_late(struct span head);
/* A frame came. NetBIOS packets (a keep-alive) are not to be given here. */
void server_receive(struct server *server, struct server_frame *frame);
/* Where several answers are signed together for the price of one (mac_key_lanes()), a few of them wait for each other while the
 * shell says that more is to be expected: there are more frames that it can receive without waiting, or answers before them
 * could not be sent yet. It takes that back in time. Nothing is held back otherwise. */
void server_expect(struct server *server, bool more);
/* The longest content that the next frame may have: a longer one need not be read, server_receive() would refuse it. */
size_t server_frame_max(const struct server *server);
/* Another place for the output, at least as large as the one so far; what was written is copied. */
void server_frame_move(struct server_frame *frame, uint8_t *output, size_t output_size);

/* SERVER_SEND: octets with their frame header; empty where there is no answer (a CANCEL). */
struct span server_output(const struct server *server);
/* They are sent, or copied: the frame is the shell's again. */
struct server_frame *server_sent(struct server *server);

/* SERVER_TOKEN: what the client sent. frame->request.session says for which session. */
struct span server_token(const struct server_frame *frame);
void server_take_token(struct server *server, struct server_frame *frame, const struct server_logon *logon);
/* After SERVER_KEYS, which comes with the first step after server_take_token(); no other token may be given in
 * between. */
void server_take_handles(struct server *server, const struct server_handles *handles);
/* SERVER_STRANGER: the session is on another connection, or nowhere (NULL). Either way this one has nothing to do with
 * it; but the refusal says why, and is signed with the key that the client knows (3.3.5.5). */
void server_take_stranger(struct server *server, struct server_frame *frame, const struct server_stranger *stranger);
/* PreviousSessionId of the request (3.3.5.5.3): a session of the same account, on whatever connection, that the shell
 * ends once the logon is done (server_delete_session() there). 0: none. */
uint64_t server_previous_session(const struct server_frame *frame);

/* SERVER_TREE: \\server\share, UTF-16LE. */
struct span server_path(const struct server_frame *frame);
/* Either STATUS_SUCCESS and a share, or an error and NULL. */
void server_take_tree(struct server *server, struct server_frame *frame, uint32_t status,
                      const struct server_share *share);
/* SERVER_END_TREE, SERVER_END_SESSION: no file of it is open any more. Requests of it may still be in flight. */
void server_ended(struct server *server, struct server_frame *frame);

/* SERVER_REQUEST: where the body of the response goes, `size` octets of room from its StructureSize on; NULL where the
 * output is too small (server_frame_move() it, then ask again). */
uint8_t *server_body(struct server_frame *frame, size_t size);
/* The answer, with a body of so many octets that was written at server_body(). */
void server_respond(struct server *server, struct server_frame *frame, uint32_t status, size_t body_size);
/* May octets follow the answer that are not in the output, since the shell sends them itself, out of a file? Not where
 * it is signed or encrypted, or has another one behind it. */
bool server_may_trail(const struct server_frame *frame);
/* The same as server_respond() where server_may_trail(), and `trail` more octets of body are sent after
 * server_output(). */
void server_respond_trailing(struct server *server, struct server_frame *frame, uint32_t status, size_t body_size,
                             size_t trail);
/* The answer is an error body (2.2.2) with this ErrorData, which is usually empty. It needs room as server_body() does;
 * for SERVER_ANSWER_MAX - 128 octets there always is. */
void server_refuse(struct server *server, struct server_frame *frame, uint32_t status, struct span error_data);
/* The request is the last of its chain, or alone: only then can it have an interim response. */
bool server_is_last(const struct server_frame *frame);
/* Makes the interim response (3.3.4.2) of a request that is handed over, in `data`, to be sent as it is. In a chain it
 * has to be the last element, and the responses of those before go with it. Empty, and nothing changed: it is not the
 * last, `size` (SERVER_INTERIM_SIZE, and the responses before) is too small, an interim response was made already,
 * SERVER_ASYNC_MAX are in flight, or it is a SESSION_SETUP, whose place in the hash nobody defines. */
struct span server_pend(struct server *server, struct server_frame *frame, uint8_t *data, size_t size);

/* What the shell ends, its files being closed, or lets expire by itself. False where it is not known. */
bool server_expire_session(struct server *server, uint64_t session_id);
bool server_delete_session(struct server *server, uint64_t session_id);
/* An unsolicited message (OPLOCK_BREAK, 3.3.4.6): `data` has SERVER_HEADROOM + SMB2_HEADER_SIZE octets in front of a
 * body of `body_size`. Not signed; encrypted where session or tree are. Empty: the server is closed. */
struct span server_notify(struct server *server, struct server_session *session, const struct server_tree *tree,
                          uint16_t command, uint8_t *data, size_t body_size);

#endif
