#include "core/server_parts.h"

#include <assert.h>
#include <string.h>

void server_init(struct server *server, const struct server_setup *setup) {
    assert(setup->fresh.security_buffer.size <= SERVER_HINT_MAX && (setup->session_ids & 0xffffu) == 0);
    memset(server, 0, sizeof *server);
    server->policy = setup->policy;
    server->fresh = setup->fresh;
    server->session_ids = setup->session_ids;
    negotiation_init(&server->negotiation);
    server_window_init(&server->window);
}

void server_wipe(struct server *server) {
    session_keys_wipe(&server->keys);
    crypto_wipe(server, sizeof *server);
}

void server_close(struct server *server, struct verdict verdict, const struct server_request *request) {
    if (server->closed)
        return;
    server->closed = true;
    server->failure.verdict = verdict;
    if (request != NULL) {
        server->failure.command = request->command;
        server->failure.message_id = request->message_id;
    }
    session_keys_wipe(&server->keys);
}

/* ---- lists of frames ---- */

void server_frames_push(struct server_frames *frames, struct server_frame *frame) {
    frame->next = NULL;
    frame->previous = frames->last;
    if (frames->last != NULL)
        frames->last->next = frame;
    else
        frames->first = frame;
    frames->last = frame;
}

void server_frames_remove(struct server_frames *frames, struct server_frame *frame) {
    if (frame->previous != NULL)
        frame->previous->next = frame->next;
    else
        frames->first = frame->next;
    if (frame->next != NULL)
        frame->next->previous = frame->previous;
    else
        frames->last = frame->previous;
    frame->next = frame->previous = NULL;
}

enum server_want server_hand_over(struct server *server, struct server_frame *frame, enum server_want want) {
    frame->state = SERVER_FRAME_HANDED;
    server_frames_remove(&server->ready, frame);
    server_frames_push(&server->handed, frame);
    return want;
}

void server_take_back(struct server *server, struct server_frame *frame, enum server_frame_state state) {
    if (frame->state == SERVER_FRAME_HANDED) {
        server_frames_remove(&server->handed, frame);
        server_frames_push(&server->ready, frame);
    }
    frame->state = state;
}

/* ---- what comes in ---- */

static uint32_t greatest_size(const struct negotiation_agreed *agreed) {
    uint32_t greatest = agreed->max_transact_size;
    greatest = agreed->max_read_size > greatest ? agreed->max_read_size : greatest;
    return agreed->max_write_size > greatest ? agreed->max_write_size : greatest;
}

size_t server_frame_max(const struct server *server) {
    if (!server->authenticated)
        return SERVER_EARLY_FRAME_MAX;
    size_t most = (size_t)greatest_size(&server->negotiation.agreed) + SERVER_FRAME_MARGIN;
    return most > SERVER_EARLY_FRAME_MAX ? most : SERVER_EARLY_FRAME_MAX;
}

static enum rule rule_of_fault(enum transform_fault fault) {
    switch (fault) {
    case TRANSFORM_FLAGS:
        return RULE_TRANSFORM_FLAGS;
    case TRANSFORM_SIZE:
    case TRANSFORM_SHORT:
        return RULE_TRANSFORM_SIZE;
    case TRANSFORM_INNER_CHAIN:
        return RULE_CHAIN_OUT_OF_BOUNDS;
    case TRANSFORM_INNER_RELATED:
        return RULE_CHAIN_FIRST_RELATED;
    default:
        return RULE_TRANSFORM_REFUSED;
    }
}

/* Any failure closes the connection (3.3.5.2.1.1). */
static struct verdict decrypt(struct server *server, struct server_frame *frame) {
    struct span sealed = {frame->content, frame->size};
    struct transform transform;
    enum transform_fault fault = transform_read(sealed, &transform);
    if (fault != TRANSFORM_GOOD)
        return verdict_disconnect(rule_of_fault(fault), 0);
    struct server_session *session = server_session_find(server, transform.session_id);
    if (session == NULL || session->handles.open == NULL)
        return verdict_disconnect(RULE_TRANSFORM_BEFORE_SESSION, 0);
    fault = transform_open(session->handles.open, session->id, sealed, frame->content + TRANSFORM_HEADER_SIZE);
    if (fault != TRANSFORM_GOOD)
        return verdict_disconnect(rule_of_fault(fault), 0);
    frame->content += TRANSFORM_HEADER_SIZE;
    frame->size -= TRANSFORM_HEADER_SIZE;
    frame->encrypted = true;
    frame->seals = session;
    session->references++;
    return verdict_accept();
}

/* NextCommand of all elements, before any of them is served. */
static struct verdict check_chain(const struct server_frame *frame) {
    size_t at = 0;
    for (unsigned count = 1;; count++) {
        struct span left = {frame->content + at, frame->size - at};
        struct smb2_header header;
        if (!smb2_header_decode(left, &header))
            return verdict_disconnect(at == 0 ? RULE_HEADER_SHORT : RULE_CHAIN_OUT_OF_BOUNDS, at);
        if (header.protocol_id != PROTOCOL_ID_SMB2)
            return verdict_disconnect(RULE_PROTOCOL_ID_UNKNOWN, at);
        if (header.next_command == 0)
            return verdict_accept();
        if (header.next_command < SMB2_HEADER_SIZE || header.next_command >= left.size)
            return verdict_disconnect(RULE_CHAIN_OUT_OF_BOUNDS, at + 20);
        if (header.next_command % 8 != 0)
            return verdict_disconnect(RULE_CHAIN_MISALIGNED, at + 20);
        if (count == SERVER_CHAIN_MAX)
            return verdict_disconnect(RULE_CHAIN_TOO_LONG, at);
        at += header.next_command;
    }
}

static struct verdict check_frame(struct server *server, struct server_frame *frame) {
    static const uint8_t name[] = {'S', 'M', 'B'};
    struct verdict verdict = verdict_accept();
    if (frame->size > server_frame_max(server))
        return verdict_disconnect(RULE_FRAME_TOO_LONG, 0);
    if (frame->size < 4 || memcmp(frame->content + 1, name, sizeof name) != 0)
        return verdict_disconnect(RULE_PROTOCOL_ID_UNKNOWN, 0);
    switch (frame->content[0]) {
    case 0xff:
        return verdict;
    case 0xfc:
        return verdict_disconnect(RULE_COMPRESSED_NOT_NEGOTIATED, 0);
    case 0xfd:
        verdict = decrypt(server, frame);
        break;
    default:
        break;
    }
    /* What was encrypted may hold a compressed message, which is none that was negotiated. */
    if (verdict.action == ACTION_ACCEPT)
        verdict = check_chain(frame);
    return verdict;
}

bool server_may_come_late(struct span head) {
    struct smb2_header header;
    return head.size >= SERVER_LATE_HEAD && smb2_header_decode(head, &header) && header.protocol_id == PROTOCOL_ID_SMB2 &&
           header.command == SMB2_WRITE && header.next_command == 0 && (header.flags & SMB2_FLAGS_SIGNED) == 0;
}

void server_receive(struct server *server, struct server_frame *frame) {
    assert(frame->state == SERVER_FRAME_NEXT && frame->at == 0);
    if (server->closed)
        return;
    struct verdict verdict = check_frame(server, frame);
    if (verdict.action == ACTION_ACCEPT)
        server_frames_push(&server->ready, frame);
    else
        server_close(server, verdict, NULL);
}

/* ---- one element after the other ---- */

static void request_read(struct server_frame *frame) {
    struct span left = {frame->content + frame->at, frame->size - frame->at};
    struct server_request *request = &frame->request;
    struct smb2_header header;
    memset(request, 0, sizeof *request);
    frame->element_size = left.size;
    if (left.data[0] == 0xfe && smb2_header_decode(left, &header) && header.next_command != 0)
        frame->element_size = header.next_command;
    message_decode(span_slice(left, 0, frame->element_size), frame->element_size, &request->message);
    request->command = request->message.header.command;
    request->message_id = request->message.header.message_id;
    request->session_id = request->message.header.session_id;
    if (!(request->message.header.flags & SMB2_FLAGS_ASYNC_COMMAND))
        request->tree_id = request->message.header.tree_id;
}

static enum server_want element_serve(struct server *server, struct server_frame *frame) {
    request_read(frame);
    if (frame->content[0] == 0xff) {
        server_serve_smb1(server, frame);
        return SERVER_RECEIVE;
    }
    struct verdict verdict = server_check_arrival(server, frame);
    if (verdict_goes_on(&verdict) && server_names_stranger(frame))
        return server_hand_over(server, frame, SERVER_STRANGER);
    if (verdict_goes_on(&verdict))
        verdict = server_check(server, frame);
    if (verdict_goes_on(&verdict))
        return server_serve(server, frame);
    if (frame->request.command == SMB2_CANCEL && verdict.action == ACTION_REFUSE) {
        server_cancel_done(server, frame); /* it has no response, not even this one */
        return SERVER_RECEIVE;
    }
    server_answer_verdict(server, frame, verdict);
    return SERVER_RECEIVE;
}

static enum server_want frame_end(struct server *server, struct server_frame *frame) {
    if ((frame->signs == NULL || server_sign_waiting(server, frame)) && server_frame_finish(frame)) {
        frame->state = SERVER_FRAME_DONE;
        return SERVER_SEND;
    }
    frame->state = SERVER_FRAME_DONE;
    server_close(server, verdict_disconnect(RULE_NONE, 0), &frame->request);
    return SERVER_CLOSED;
}

/* SERVER_RECEIVE: come again. */
static enum server_want frame_advance(struct server *server, struct server_frame *frame) {
    switch (frame->state) {
    case SERVER_FRAME_DONE:
        return SERVER_SEND;
    case SERVER_FRAME_END:
        return server_hand_over(server, frame, SERVER_END_SESSION);
    default:
        break;
    }
    if (frame->at == frame->size)
        return frame_end(server, frame);
    if (frame->output_size - frame->end < SERVER_ANSWER_MAX)
        return SERVER_ROOM;
    return element_serve(server, frame);
}

/* A session that nothing points to any more gives its place back. */
static bool release_one(struct server *server) {
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state != SERVER_SESSION_ENDED || session->references > 0)
            continue;
        server->released = *session;
        crypto_wipe(session, sizeof *session);
        return true;
    }
    server->release_due = false;
    return false;
}

static bool is_answered(const struct server_frame *frame) {
    return frame->state == SERVER_FRAME_DONE || (frame->state == SERVER_FRAME_NEXT && frame->at == frame->size);
}

/* The oldest; but answers that wait for others to be signed with them do so while there is something else to do. */
static struct server_frame *frame_in_turn(const struct server *server) {
    struct server_frame *first = server->ready.first, *frame = first;
    if (server->unsigned_count == SIGN_TOGETHER_MAX)
        return first;
    while (frame != NULL && frame->signs != NULL)
        frame = frame->next;
    if (frame == NULL)
        return server->expects_more ? NULL : first;
    return is_answered(frame) ? first : frame;
}

/* The connection is closed; but what was answered before it was, is sent. */
static enum server_want step_closed(struct server *server) {
    struct server_frame *frame = server->ready.first;
    while (frame != NULL && !is_answered(frame))
        frame = frame->next;
    if (frame == NULL)
        return SERVER_CLOSED;
    server->current = frame;
    return frame->state == SERVER_FRAME_DONE ? SERVER_SEND : frame_end(server, frame);
}

enum server_want server_step(struct server *server) {
    while (!server->closed) {
        struct server_frame *frame = frame_in_turn(server);
        if (server->release_due && release_one(server))
            return SERVER_RELEASE;
        if (server->keys_frame != NULL)
            return SERVER_KEYS;
        if (frame == NULL)
            return SERVER_RECEIVE;
        server->current = frame;
        enum server_want want = frame_advance(server, frame);
        if (want != SERVER_RECEIVE)
            return want;
    }
    return step_closed(server);
}

void server_expect(struct server *server, bool more) {
    server->expects_more = more;
}

struct server_frame *server_current(struct server *server) {
    return server->current;
}

struct span server_output(const struct server *server) {
    const struct server_frame *frame = server->current;
    assert(frame->state == SERVER_FRAME_DONE);
    if (frame->end == frame->start)
        return (struct span){NULL, 0};
    return (struct span){frame->output + frame->start, frame->end - frame->start};
}

struct server_frame *server_sent(struct server *server) {
    struct server_frame *frame = server->current;
    assert(frame->state == SERVER_FRAME_DONE);
    server_frames_remove(&server->ready, frame);
    if (frame->seals != NULL)
        server_session_release(server, frame->seals);
    frame->seals = NULL;
    return frame;
}
