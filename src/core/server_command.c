/* The commands that the server answers by itself, and the hand-over of the others. */
#include "core/server_parts.h"

#include <assert.h>
#include <string.h>

/* ---- NEGOTIATE ---- */

static void answer_negotiate(struct server *server, struct server_frame *frame, const struct server_answer *answer) {
    struct writer writer = server_answer_writer(frame);
    negotiate_response_encode(&(struct smb2_header){0}, &answer->response, &writer);
    assert(!writer.failed);
    server_respond(server, frame, STATUS_SUCCESS, writer.at - SMB2_HEADER_SIZE);
}

/* 3.3.5.3 */
void server_serve_smb1(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    struct server_answer answer;
    request->command = SMB2_NEGOTIATE;
    if (request->message.kind != MESSAGE_SMB1_NEGOTIATE_REQUEST) {
        server_close(server, verdict_disconnect(RULE_SMB1_MESSAGE, 0), request);
        return;
    }
    struct verdict verdict =
        server_validate_smb1(&request->message, server->policy, &server->fresh, &server->negotiation, &answer);
    /* It counts as MessageId 0 (3.3.5.2.3). */
    if (verdict_goes_on(&verdict) && !server_window_take(&server->window, 0, 1))
        verdict = verdict_disconnect(RULE_SMB1_AFTER_NEGOTIATE, 0);
    if (verdict_goes_on(&verdict))
        answer_negotiate(server, frame, &answer);
    else
        server_answer_verdict(server, frame, verdict);
}

/* The hash covers the messages as they went by (3.3.5.4). */
static bool hash_negotiate(struct server *server, struct span request, struct span response) {
    preauth_init(&server->preauth);
    if (!preauth_update(&server->preauth, request) || !preauth_update(&server->preauth, response))
        return false;
    memcpy(server->negotiation.preauth_hash, server->preauth.value, PREAUTH_HASH_SIZE);
    return true;
}

static enum server_want serve_negotiate(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    struct server_answer answer;
    struct verdict verdict =
        server_validate(&request->message, server->policy, &server->fresh, &server->negotiation, &answer);
    if (!verdict_goes_on(&verdict)) {
        server_answer_verdict(server, frame, verdict);
        return SERVER_RECEIVE;
    }
    size_t start = frame->end;
    answer_negotiate(server, frame, &answer);
    struct span response = {frame->output + start, frame->end - start};
    if (server->negotiation.agreed.dialect == SMB2_DIALECT_311 &&
        !hash_negotiate(server, request->message.bytes, response))
        server_close(server, verdict_disconnect(RULE_NONE, 0), request);
    return SERVER_RECEIVE;
}

/* ---- trees ---- */

struct span server_path(const struct server_frame *frame) {
    assert(frame->request.command == SMB2_TREE_CONNECT);
    return frame->request.message.body.tree_connect_request.path;
}

/* On 3.1.1 the server learns by it that the client has the same hash (3.3.5.7). */
static enum server_want serve_tree_connect(struct server *server, struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    if (server->negotiation.agreed.must_sign_tree_connect && request->protection == PROTECTION_NONE) {
        server_close(server, verdict_disconnect(RULE_TREE_CONNECT_UNSIGNED, 16), request);
        return SERVER_RECEIVE;
    }
    return server_hand_over(server, frame, SERVER_TREE);
}

static struct server_tree *tree_new(struct server *server, struct server_session *session,
                                    const struct server_share *share) {
    for (unsigned i = 0; i < SERVER_TREES_MAX; i++) {
        struct server_tree *tree = &server->trees[i];
        if (tree->id != 0 || server->trees_made == UINT32_MAX - 1)
            continue;
        *tree = (struct server_tree){
            .id = ++server->trees_made, .session = session, .encrypt = share->encrypt, .owner = share->owner};
        return tree;
    }
    return NULL;
}

void server_tree_release(struct server_tree *tree) {
    assert(tree->references > 0);
    if (--tree->references == 0 && tree->ended)
        *tree = (struct server_tree){0};
}

void server_tree_end(struct server_tree *tree) {
    tree->ended = true;
    if (tree->references == 0)
        *tree = (struct server_tree){0};
}

static void answer_tree(struct server *server, struct server_frame *frame, const struct server_share *share) {
    const struct tree_connect_response body = {
        .structure_size = 16,
        .share_type = share->type,
        .share_flags = share->flags | (share->encrypt ? SMB2_SHAREFLAG_ENCRYPT_DATA : 0),
        .capabilities = share->capabilities,
        .maximal_access = share->maximal_access,
    };
    struct writer writer = server_answer_writer(frame);
    tree_connect_response_encode(&(struct smb2_header){0}, &body, &writer);
    server_respond(server, frame, STATUS_SUCCESS, writer.at - SMB2_HEADER_SIZE);
}

void server_take_tree(struct server *server, struct server_frame *frame, uint32_t status,
                      const struct server_share *share) {
    assert(frame->state == SERVER_FRAME_HANDED && frame->request.command == SMB2_TREE_CONNECT);
    struct server_request *request = &frame->request;
    struct server_tree *tree = NULL;
    if (status == STATUS_SUCCESS && share->encrypt && request->session->handles.seal == NULL)
        status = (uint32_t)STATUS_ACCESS_DENIED;
    if (status == STATUS_SUCCESS && request->session->state == SERVER_SESSION_ENDED)
        status = (uint32_t)STATUS_USER_SESSION_DELETED;
    if (status == STATUS_SUCCESS)
        tree = tree_new(server, request->session, share);
    if (status == STATUS_SUCCESS && tree == NULL)
        status = (uint32_t)STATUS_INSUFFICIENT_RESOURCES;
    if (tree == NULL) {
        server_answer_error(server, frame, status);
        return;
    }
    request->tree_id = tree->id;
    answer_tree(server, frame, share);
}

void server_ended(struct server *server, struct server_frame *frame) {
    assert(frame->state == SERVER_FRAME_HANDED);
    struct server_request *request = &frame->request;
    if (request->command == SMB2_TREE_DISCONNECT)
        server_tree_end(request->tree);
    else
        server_session_end(server, request->session);
    if (request->command == SMB2_SESSION_SETUP)
        server_answer_error(server, frame, frame->end_status);
    else
        server_answer_empty(server, frame);
}

/* ---- CANCEL ---- */

/* The request that is meant: by AsyncId where there is one, else by MessageId (3.3.5.16). */
static struct server_frame *cancel_target(const struct server *server, const struct server_request *cancel) {
    const struct smb2_header *header = &cancel->message.header;
    bool by_async_id = header->flags & SMB2_FLAGS_ASYNC_COMMAND;
    for (struct server_frame *frame = server->handed.first; frame != NULL; frame = frame->next) {
        const struct server_request *request = &frame->request;
        bool is_meant = by_async_id ? request->async_id != 0 && request->async_id == smb2_header_async_id(header)
                                    : request->message_id == cancel->message_id;
        if (is_meant && request->session == cancel->session && request->is_handed)
            return frame;
    }
    return NULL;
}

void server_cancel_done(struct server *server, struct server_frame *frame) {
    if (frame->request.session != NULL)
        server_session_release(server, frame->request.session);
    frame->request.session = NULL;
    frame->at += frame->element_size;
}

static enum server_want serve_cancel(struct server *server, struct server_frame *frame) {
    struct server_frame *target = cancel_target(server, &frame->request);
    server_cancel_done(server, frame);
    if (target == NULL || target->request.cancelled)
        return SERVER_RECEIVE;
    target->request.cancelled = true;
    server->current = target;
    return SERVER_CANCEL;
}

/* ---- FSCTL_VALIDATE_NEGOTIATE_INFO ---- */

static void answer_info(struct server *server, struct server_frame *frame,
                        const struct validate_negotiate_info_response *info) {
    uint8_t output[VALIDATE_RESPONSE_SIZE];
    struct writer output_writer = writer_over(output, sizeof output);
    validate_response_encode(info, &output_writer);
    struct ioctl_response body = {
        .structure_size = 49,
        .ctl_code = FSCTL_VALIDATE_NEGOTIATE_INFO,
        .input_offset = 112,
        .output_offset = 112,
        .output_count = VALIDATE_RESPONSE_SIZE,
        .output = writer_done(&output_writer),
    };
    memset(body.file_id, 0xff, sizeof body.file_id);
    struct writer writer = server_answer_writer(frame);
    ioctl_response_encode(&(struct smb2_header){0}, &body, &writer);
    server_respond(server, frame, STATUS_SUCCESS, writer.at - SMB2_HEADER_SIZE);
}

/* 3.3.5.15.12. A mismatch ends the connection without a word: the client would take an error status for a server that
 * does not implement this. */
static enum server_want serve_info(struct server *server, struct server_frame *frame) {
    const struct server_request *request = &frame->request;
    struct validate_negotiate_info_response info;
    struct verdict verdict =
        server_validate_info(&request->message, &server->negotiation, server->policy, request->protection, &info);
    if (verdict_goes_on(&verdict)) {
        server->negotiation.validation = VALIDATION_SAME;
        answer_info(server, frame, &info);
        return SERVER_RECEIVE;
    }
    if (verdict.action == ACTION_DISCONNECT)
        server->negotiation.validation = VALIDATION_FAILED;
    server_answer_verdict(server, frame, verdict);
    return SERVER_RECEIVE;
}

static bool is_info(const struct server_request *request) {
    return request->message.kind == MESSAGE_IOCTL_REQUEST &&
           request->message.body.ioctl_request.ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO;
}

static bool has_sessions(const struct server *server) {
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++)
        if (server->sessions[i].state != SERVER_SESSION_FREE && server->sessions[i].state != SERVER_SESSION_ENDED)
            return true;
    return false;
}

/* 3.3.5.17: where no session was ever tried. After its last LOGOFF a client may still ask whether the server is there. */
static void serve_echo(struct server *server, struct server_frame *frame) {
    if (server->authenticated || has_sessions(server))
        server_answer_empty(server, frame);
    else
        server_close(server, verdict_disconnect(RULE_ECHO_WITHOUT_SESSION, 12), &frame->request);
}

enum server_want server_serve(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    switch (request->command) {
    case SMB2_NEGOTIATE:
        return serve_negotiate(server, frame);
    case SMB2_SESSION_SETUP:
        return server_session_setup(server, frame);
    case SMB2_LOGOFF:
        request->session->state = SERVER_SESSION_ENDED; /* nothing new may begin while its files are closed */
        return server_hand_over(server, frame, SERVER_END_SESSION);
    case SMB2_TREE_CONNECT:
        return serve_tree_connect(server, frame);
    case SMB2_TREE_DISCONNECT:
        request->tree->ended = true;
        return server_hand_over(server, frame, SERVER_END_TREE);
    case SMB2_CANCEL:
        return serve_cancel(server, frame);
    case SMB2_ECHO:
        serve_echo(server, frame);
        return SERVER_RECEIVE;
    default:
        break;
    }
    if (is_info(request))
        return serve_info(server, frame);
    request->is_handed = true;
    return server_hand_over(server, frame, SERVER_REQUEST);
}
