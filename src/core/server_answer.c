/* Responses: written in place in the frame's output, signed one by one, encrypted together. */
#include "core/server_parts.h"

#include <assert.h>
#include <string.h>

#define INTERIM_MESSAGE_SIZE (SERVER_INTERIM_SIZE - SERVER_HEADROOM)
/* Where the FileId stands in a CREATE response's body (2.2.14), and how much of the body that takes. */
enum { CREATE_FILE_ID_AT = 64, CREATE_FILE_ID_END = 80 };

void server_frame_init(struct server_frame *frame, uint8_t *content, size_t size, uint8_t *output, size_t output_size,
                       void *owner) {
    assert(output_size >= SERVER_OUTPUT_LEAST);
    memset(frame, 0, sizeof *frame);
    frame->owner = owner;
    frame->content = content;
    frame->size = size;
    frame->chain.first = true;
    frame->output = output;
    frame->output_size = output_size;
    frame->start = frame->end = SERVER_HEADROOM;
}

void server_frame_move(struct server_frame *frame, uint8_t *output, size_t output_size) {
    assert(output_size >= frame->output_size);
    if (output != frame->output)
        memcpy(output, frame->output, frame->end);
    frame->output = output;
    frame->output_size = output_size;
}

bool server_is_last(const struct server_frame *frame) {
    return frame->at + frame->element_size == frame->size;
}

bool server_frame_alone(const struct server_frame *frame) {
    return frame->at == 0 && server_is_last(frame);
}

/* Room is always kept for the padding, too. */
uint8_t *server_body(struct server_frame *frame, size_t size) {
    size_t room = frame->output_size - frame->end;
    if (room < SMB2_HEADER_SIZE + 7u || room - SMB2_HEADER_SIZE - 7u < size)
        return NULL;
    return frame->output + frame->end + SMB2_HEADER_SIZE;
}

struct writer server_answer_writer(struct server_frame *frame) {
    return writer_over(frame->output + frame->end, frame->output_size - frame->end);
}

/* Is the answer encrypted where the request was not (3.3.4.1.4)? TREE_CONNECT has no tree yet, and so is not by its
 * share's wish. */
static bool encrypts(const struct server_session *session, const struct server_tree *tree, uint16_t command) {
    if (session == NULL || session->handles.seal == NULL || command == SMB2_NEGOTIATE || command == SMB2_SESSION_SETUP)
        return false;
    return session->encrypt || (tree != NULL && tree->encrypt);
}

static struct smb2_header header_of(const struct server_frame *frame, uint32_t status) {
    const struct server_request *request = &frame->request;
    struct smb2_header header = {
        .protocol_id = PROTOCOL_ID_SMB2,
        .structure_size = SMB2_HEADER_SIZE,
        .credit_charge = request->message.header.credit_charge,
        .status = status,
        .command = request->command,
        .flags = SMB2_FLAGS_SERVER_TO_REDIR,
        .message_id = request->message_id,
        .process_id = request->message.header.process_id,
        .tree_id = request->tree_id,
        .session_id = request->session_id,
    };
    if (request->async_id != 0) {
        header.flags |= SMB2_FLAGS_ASYNC_COMMAND;
        header.process_id = (uint32_t)request->async_id;
        header.tree_id = (uint32_t)(request->async_id >> 32);
    }
    /* Not in the first message of a frame, which may be no longer the one that the request's stood in. */
    if (frame->end > frame->start)
        header.flags |= request->message.header.flags & SMB2_FLAGS_RELATED_OPERATIONS;
    return header;
}

static void header_write(uint8_t *at, const struct smb2_header *header) {
    struct writer writer = writer_over(at, SMB2_HEADER_SIZE);
    smb2_header_encode(header, &writer);
    assert(!writer.failed);
}

static uint16_t grant(struct server *server, const struct server_request *request) {
    uint32_t most = server->policy->max_credits > 0 ? server->policy->max_credits : SERVER_CREDITS_MAX;
    uint32_t limit = server->authenticated ? most : SERVER_CREDITS_EARLY_MAX;
    return server_window_grant(&server->window, request->message.header.credits, limit);
}

/* What the next element may inherit. */
static void chain_follow(struct server_frame *frame, uint32_t status, size_t body_size) {
    const struct server_request *request = &frame->request;
    struct server_chain *chain = &frame->chain;
    const uint8_t *body = frame->output + frame->end + SMB2_HEADER_SIZE;
    *chain = (struct server_chain){.status = status,
                                   .session_id = request->session != NULL ? request->session_id : 0,
                                   .tree_id = request->tree_id,
                                   .has_file_id = request->has_file_id};
    memcpy(chain->file_id, request->file_id, sizeof chain->file_id);
    if (request->command == SMB2_CREATE && status >> 30 != 3 && body_size >= CREATE_FILE_ID_END) {
        chain->has_file_id = true;
        memcpy(chain->file_id, body + CREATE_FILE_ID_AT, sizeof chain->file_id);
    }
}

static void request_done(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    if (request->async_id != 0)
        server->asyncs--;
    if (request->tree != NULL)
        server_tree_release(request->tree);
    if (request->session != NULL)
        server_session_release(server, request->session);
    request->tree = NULL;
    request->session = NULL;
}

/* May the answer be signed later, with others? Only one that is alone in its frame, and is nobody's business until it is
 * sent; the last of a logon is hashed or not by what it says. */
static bool signs_later(const struct server *server, const struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    return request->session != NULL && request->command != SMB2_SESSION_SETUP && server_frame_alone(frame) &&
           server->unsigned_count < SIGN_TOGETHER_MAX && mac_key_lanes(request->session->handles.mac) > 1;
}

static void sign_later(struct server *server, struct server_frame *frame) {
    frame->signs = frame->request.session;
    frame->signs->references++;
    server->unsigned_count++;
}

static bool sign_response(struct server *server, struct server_frame *frame, uint8_t *at, size_t size) {
    const struct server_request *request = &frame->request;
    struct mac_key *mac = request->session != NULL ? request->session->handles.mac : request->stranger;
    if (!request->sign || frame->seals != NULL || mac == NULL)
        return true;
    if (!signs_later(server, frame))
        return element_sign(mac, at, size);
    sign_later(server, frame);
    return true;
}

/* Header, padding, signature. False: the signature could not be made. */
static bool response_write(struct server *server, struct server_frame *frame, uint32_t status, size_t body_size) {
    struct server_request *request = &frame->request;
    struct smb2_header header = header_of(frame, status);
    uint8_t *at = frame->output + frame->end;
    size_t size = SMB2_HEADER_SIZE + body_size;
    header.credits = request->async_id != 0 ? 0 : grant(server, request);
    if (!server_frame_alone(frame)) { /* the last of a chain as well, as Windows does it */
        size_t padded = (size + 7) & ~(size_t)7;
        memset(at + size, 0, padded - size);
        header.next_command = server_is_last(frame) ? 0 : (uint32_t)padded;
        size = padded;
    }
    header_write(at, &header);
    if (encrypts(request->session, request->tree, request->command) && frame->seals == NULL) {
        frame->seals = request->session;
        frame->seals->references++;
    }
    if (!sign_response(server, frame, at, size))
        return false;
    chain_follow(frame, status, body_size);
    frame->end += size;
    return true;
}

void server_respond(struct server *server, struct server_frame *frame, uint32_t status, size_t body_size) {
    assert(frame->state != SERVER_FRAME_DONE && server_body(frame, body_size) != NULL);
    bool good = response_write(server, frame, status, body_size);
    request_done(server, frame);
    frame->at += frame->element_size;
    if (frame->state != SERVER_FRAME_NEXT)
        server_take_back(server, frame, SERVER_FRAME_NEXT);
    if (!good)
        server_close(server, verdict_disconnect(RULE_NONE, 0), &frame->request);
}

bool server_may_trail(const struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    return server_is_last(frame) && frame->seals == NULL && !request->sign &&
           !encrypts(request->session, request->tree, request->command);
}

void server_respond_trailing(struct server *server, struct server_frame *frame, uint32_t status, size_t body_size,
                             size_t trail) {
    assert(server_may_trail(frame));
    frame->trail = trail;
    server_respond(server, frame, status, body_size);
}

void server_refuse(struct server *server, struct server_frame *frame, uint32_t status, struct span error_data) {
    const struct error_response error = {
        .structure_size = 9, .byte_count = (uint32_t)error_data.size, .data = error_data};
    struct writer writer = server_answer_writer(frame);
    error_response_encode(&(struct smb2_header){0}, &error, &writer);
    assert(!writer.failed);
    server_respond(server, frame, status, writer.at - SMB2_HEADER_SIZE);
}

void server_answer_verdict(struct server *server, struct server_frame *frame, struct verdict verdict) {
    const struct server_request *request = &frame->request;
    if (verdict.action == ACTION_DISCONNECT) {
        server_close(server, verdict, request);
        return;
    }
    server->refused = (struct server_failure){verdict, request->command, request->message_id};
    server_answer_error(server, frame, verdict.status);
}

void server_answer_error(struct server *server, struct server_frame *frame, uint32_t status) {
    server_refuse(server, frame, status, (struct span){NULL, 0});
}

void server_answer_empty(struct server *server, struct server_frame *frame) {
    const struct empty_body body = {.structure_size = 4};
    struct writer writer = server_answer_writer(frame);
    empty_body_encode(&(struct smb2_header){0}, &body, &writer);
    server_respond(server, frame, STATUS_SUCCESS, writer.at - SMB2_HEADER_SIZE);
}

/* Puts the frame header, and the transform header where the message is encrypted, in front of the message that begins
 * at `start` and ends at `end` of the data; `trail` more octets follow elsewhere. */
static struct span frame_close(struct server_session *seals, uint8_t *data, size_t start, size_t end, size_t trail) {
    struct span message = {data + start, end - start};
    if (seals != NULL) {
        start -= TRANSFORM_HEADER_SIZE;
        if (!sealer_seal(&seals->sealer, message, data + start, end - start))
            return (struct span){NULL, 0};
    }
    const struct frame frame = {.type = FRAME_MESSAGE, .length = (uint32_t)(end - start + trail)};
    start -= FRAME_HEADER_SIZE;
    struct writer writer = writer_over(data + start, FRAME_HEADER_SIZE);
    frame_encode(&writer, &frame);
    if (writer.failed)
        return (struct span){NULL, 0};
    return (struct span){data + start, end - start};
}

bool server_frame_finish(struct server_frame *frame) {
    if (frame->end == frame->start)
        return true;
    struct span octets = frame_close(frame->seals, frame->output, frame->start, frame->end, frame->trail);
    if (octets.size == 0) {
        frame->end = frame->start;
        return false;
    }
    frame->start = (size_t)(octets.data - frame->output);
    return true;
}

/* What they owe is done with, either way. */
static void signed_together(struct server *server, struct server_frame **frames, size_t count, bool good) {
    for (size_t i = 0; i < count; i++) {
        server_session_release(server, frames[i]->signs);
        frames[i]->signs = NULL;
        if (!good)
            frames[i]->end = frames[i]->start;
    }
    server->unsigned_count -= (unsigned)count;
}

bool server_sign_waiting(struct server *server, const struct server_frame *frame) {
    struct element_place places[SIGN_TOGETHER_MAX] = {0};
    struct server_frame *frames[SIGN_TOGETHER_MAX];
    const struct server_session *session = frame->signs;
    size_t count = 0;
    for (struct server_frame *at = server->ready.first; at != NULL; at = at->next) {
        if (at->signs != session)
            continue;
        assert(count < SIGN_TOGETHER_MAX);
        places[count] = (struct element_place){at->output + at->start, at->end - at->start};
        frames[count++] = at;
    }
    bool good = elements_sign(session->handles.mac, places, count);
    signed_together(server, frames, count, good);
    return good;
}

static bool may_pend(const struct server *server, const struct server_frame *frame, size_t size) {
    size_t before = frame->end - frame->start;
    return server_is_last(frame) && frame->request.async_id == 0 && server->asyncs < SERVER_ASYNC_MAX &&
           frame->request.command != SMB2_SESSION_SETUP && size >= SERVER_INTERIM_SIZE &&
           size - SERVER_INTERIM_SIZE >= before;
}

/* Never signed: the final response has the same MessageId, and so the same nonce (3.3.4.1.1). */
static void interim_write(const struct server_frame *frame, uint8_t *at, uint16_t credits) {
    struct smb2_header header = header_of(frame, STATUS_PENDING);
    const struct error_response error = {.structure_size = 9};
    struct writer writer = writer_over(at, INTERIM_MESSAGE_SIZE);
    header.credits = credits;
    error_response_encode(&header, &error, &writer);
    assert(!writer.failed);
}

struct span server_pend(struct server *server, struct server_frame *frame, uint8_t *data, size_t size) {
    assert(frame->state == SERVER_FRAME_HANDED);
    struct server_request *request = &frame->request;
    size_t before = frame->end - frame->start;
    if (server->closed || !may_pend(server, frame, size))
        return (struct span){NULL, 0};
    request->async_id = ++server->asyncs_made;
    server->asyncs++;
    memcpy(data + SERVER_HEADROOM, frame->output + frame->start, before);
    interim_write(frame, data + SERVER_HEADROOM + before, grant(server, request));
    struct server_session *seals = frame->seals;
    if (seals == NULL && encrypts(request->session, request->tree, request->command))
        seals = request->session;
    frame->start = frame->end;
    struct span octets = frame_close(seals, data, SERVER_HEADROOM, SERVER_HEADROOM + before + INTERIM_MESSAGE_SIZE, 0);
    if (octets.size == 0)
        server_close(server, verdict_disconnect(RULE_NONE, 0), request);
    return octets;
}

struct span server_notify(struct server *server, struct server_session *session, const struct server_tree *tree,
                          uint16_t command, uint8_t *data, size_t body_size) {
    bool sealed = encrypts(session, tree, command);
    const struct smb2_header header = {.protocol_id = PROTOCOL_ID_SMB2,
                                       .structure_size = SMB2_HEADER_SIZE,
                                       .command = command,
                                       .flags = SMB2_FLAGS_SERVER_TO_REDIR,
                                       .message_id = UINT64_MAX};
    if (server->closed)
        return (struct span){NULL, 0};
    header_write(data + SERVER_HEADROOM, &header);
    struct span octets =
        frame_close(sealed ? session : NULL, data, SERVER_HEADROOM, SERVER_HEADROOM + SMB2_HEADER_SIZE + body_size, 0);
    if (octets.size == 0)
        server_close(server, verdict_disconnect(RULE_NONE, 0), NULL);
    return octets;
}
