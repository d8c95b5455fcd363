/* Shared by the server's files; nobody else includes it. */
#ifndef SMBPROOF_CORE_SERVER_PARTS_H
#define SMBPROOF_CORE_SERVER_PARTS_H

#include "core/server.h"

#define PROTOCOL_ID_SMB2 0x424d53feu

/* ---- server_window.c ---- */

/* One credit, and so the id 0 (3.3.1.1, 3.3.1.2). */
void server_window_init(struct server_window *window);
/* Uses up `count` ids from `first` on; false, and nothing changed, where one is used already or was not granted. */
bool server_window_take(struct server_window *window, uint64_t first, uint32_t count);
/* Grants as many more ids as are wanted, at least one, and no more than let the client hold `limit`. */
uint16_t server_window_grant(struct server_window *window, uint16_t wanted, uint32_t limit);

/* ---- server_check.c ---- */

/* What comes in front of the command itself (3.3.5.2), for the request that was just read from the frame. First header
 * and MessageIds: it gets its session. */
struct verdict server_check_arrival(struct server *server, struct server_frame *frame);
/* A SESSION_SETUP names a session that this connection does not have. */
bool server_names_stranger(const struct server_frame *frame);
/* Then everything else: it gets its tree, its FileId and its protection. */
struct verdict server_check(struct server *server, struct server_frame *frame);
/* The session of this id that new requests may find; NULL where there is none. */
struct server_session *server_session_find(struct server *server, uint64_t session_id);

/* ---- server_command.c, server_session.c ---- */

/* Serves the request of the frame. SERVER_RECEIVE: it was answered, or the connection is closed; go on. */
enum server_want server_serve(struct server *server, struct server_frame *frame);
/* A CANCEL is over, whatever came of it: it has no response. */
void server_cancel_done(struct server *server, struct server_frame *frame);
void server_serve_smb1(struct server *server, struct server_frame *frame);
enum server_want server_session_setup(struct server *server, struct server_frame *frame);
/* The session serves no new requests, and its trees neither. */
void server_session_end(struct server *server, struct server_session *session);
void server_tree_end(struct server_tree *tree);
void server_session_release(struct server *server, struct server_session *session);
void server_tree_release(struct server_tree *tree);

/* ---- server_answer.c ---- */

bool server_frame_alone(const struct server_frame *frame);
/* What a verdict that does not go on asks for: an error response, or the connection's end. */
void server_answer_verdict(struct server *server, struct server_frame *frame, struct verdict verdict);
/* Answers without a body of the command's own. */
void server_answer_error(struct server *server, struct server_frame *frame, uint32_t status);
/* Answers with a body of four octets (2.2.8, 2.2.12, 2.2.29). */
void server_answer_empty(struct server *server, struct server_frame *frame);
/* Where the whole response may be written, its header included. */
struct writer server_answer_writer(struct server_frame *frame);
/* All responses are there: encrypts where it has to be, and writes the frame header. False: that failed, and the frame has
 * no answer. */
bool server_frame_finish(struct server_frame *frame);
/* Signs the answer of the frame, and with it those of other frames that wait for a signature with the same key. False: that
 * failed, and none of them has an answer. */
bool server_sign_waiting(struct server *server, const struct server_frame *frame);

/* ---- server.c ---- */

void server_close(struct server *server, struct verdict verdict, const struct server_request *request);
void server_frames_push(struct server_frames *frames, struct server_frame *frame);
void server_frames_remove(struct server_frames *frames, struct server_frame *frame);
/* The frame is with the shell. */
enum server_want server_hand_over(struct server *server, struct server_frame *frame, enum server_want want);
/* It came back, in this state. */
void server_take_back(struct server *server, struct server_frame *frame, enum server_frame_state state);

#endif
