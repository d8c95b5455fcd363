/* SESSION_SETUP and LOGOFF: who the client is, and the keys that follow from it (3.3.5.5, 3.3.5.6). */
#include "core/server_parts.h"

#include <assert.h>
#include <string.h>

#define SESSION_BINDING 0x01u /* Flags of SESSION_SETUP (2.2.5) */

/* ---- the table ---- */

static struct server_session *session_new(struct server *server) {
    unsigned most = server->policy->max_sessions > 0 ? server->policy->max_sessions : SERVER_SESSIONS_MAX;

    assert(most <= SERVER_SESSIONS_MAX);
    if (server->sessions_made == UINT16_MAX)
        return NULL;
    for (unsigned i = 0; i < most; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state != SERVER_SESSION_FREE)
            continue;
        *session = (struct server_session){.id = server->session_ids | ++server->sessions_made,
                                           .state = SERVER_SESSION_IN_PROGRESS,
                                           .preauth = server->preauth};
        return session;
    }
    return NULL;
}

void server_session_release(struct server *server, struct server_session *session) {
    assert(session->references > 0);
    session->references--;
    server->release_due |= session->references == 0 && session->state == SERVER_SESSION_ENDED;
}

void server_session_end(struct server *server, struct server_session *session) {
    session->state = SERVER_SESSION_ENDED;
    server->release_due |= session->references == 0;
    for (unsigned i = 0; i < SERVER_TREES_MAX; i++)
        if (server->trees[i].id != 0 && server->trees[i].session == session && !server->trees[i].ended)
            server_tree_end(&server->trees[i]);
}

bool server_delete_session(struct server *server, uint64_t session_id) {
    struct server_session *session = server_session_find(server, session_id);
    if (session != NULL)
        server_session_end(server, session);
    return session != NULL;
}

bool server_expire_session(struct server *server, uint64_t session_id) {
    struct server_session *session = server_session_find(server, session_id);
    if (session == NULL || session->state != SERVER_SESSION_VALID)
        return false;
    session->state = SERVER_SESSION_EXPIRED;
    return true;
}

/* ---- a request ---- */

static const struct session_setup_request *body_of(const struct server_frame *frame) {
    return &frame->request.message.body.session_setup_request;
}

static struct verdict refuse(enum rule rule, enum ntstatus status) {
    return verdict_refuse(rule, (uint32_t)status, 0);
}

/* The session that is to be set up, a new one where the client names none. */
static struct verdict session_take(struct server *server, struct server_frame *frame) {
    struct server_request *request = &frame->request;
    if (request->session != NULL)
        return verdict_accept();
    request->session = session_new(server);
    if (request->session == NULL)
        return refuse(RULE_NONE, STATUS_INSUFFICIENT_RESOURCES);
    request->session->references++;
    request->session_id = request->session->id;
    return verdict_accept();
}

static struct verdict check_setup(struct server *server, struct server_frame *frame) {
    struct verdict verdict = server_validate_encryption(&server->negotiation, server->policy);
    if (!verdict_goes_on(&verdict))
        return verdict;
    if (!server_frame_alone(frame))
        return refuse(RULE_CHAIN_COMMAND, STATUS_INVALID_PARAMETER);
    if (body_of(frame)->flags & SESSION_BINDING)
        return refuse(RULE_SESSION_BINDING, STATUS_REQUEST_NOT_ACCEPTED);
    if (frame->request.session != NULL && frame->request.session->stepping)
        return refuse(RULE_SESSION_BUSY, STATUS_REQUEST_NOT_ACCEPTED);
    return session_take(server, frame);
}

/* Binding is refused (there is no multichannel), but what is wrong with the request comes first, as the client may want to
 * know: an algorithm of one of the connections that the other does not have, then what 3.3.5.5 says. */
static enum ntstatus binding_refusal(const struct server *server, const struct server_request *request,
                                     const struct server_stranger *stranger) {
    const struct negotiation_agreed *here = &server->negotiation.agreed;
    bool has_gmac = here->signing_algorithm == SIGNING_AES_GMAC, had_gmac = stranger->signing_algorithm == SIGNING_AES_GMAC;
    if (had_gmac && !has_gmac)
        return STATUS_REQUEST_OUT_OF_SEQUENCE;
    if (has_gmac && !had_gmac)
        return STATUS_NOT_SUPPORTED;
    if (here->dialect < SMB2_DIALECT_300)
        return STATUS_REQUEST_NOT_ACCEPTED;
    if (!request->sign || stranger->dialect != here->dialect || stranger->cipher != here->cipher)
        return STATUS_INVALID_PARAMETER;
    return STATUS_REQUEST_NOT_ACCEPTED;
}

static struct verdict check_stranger(const struct server *server, struct server_frame *frame,
                                     const struct server_stranger *stranger) {
    struct server_request *request = &frame->request;
    bool is_signed = (request->message.header.flags & SMB2_FLAGS_SIGNED) != 0;
    request->sign = is_signed && element_check(stranger->mac, request->message.bytes) == SIGNATURE_GOOD;
    if (is_signed && !request->sign)
        return refuse(RULE_REQUEST_SIGNATURE, STATUS_ACCESS_DENIED);
    if (!request->message.body_valid || !(body_of(frame)->flags & SESSION_BINDING))
        return refuse(RULE_SESSION_UNKNOWN, STATUS_USER_SESSION_DELETED);
    return refuse(RULE_SESSION_BINDING, binding_refusal(server, request, stranger));
}

void server_take_stranger(struct server *server, struct server_frame *frame, const struct server_stranger *stranger) {
    struct verdict verdict = refuse(RULE_SESSION_UNKNOWN, STATUS_USER_SESSION_DELETED);
    assert(frame->state == SERVER_FRAME_HANDED && server_names_stranger(frame));
    if (stranger != NULL) {
        frame->request.stranger = stranger->mac;
        verdict = check_stranger(server, frame, stranger);
    }
    server_answer_verdict(server, frame, verdict);
    frame->request.stranger = NULL;
}

/* A new session's hash takes every request, and every response but the last (3.3.5.5). */
static bool hash_message(const struct server *server, struct server_session *session, struct span message) {
    if (session->state != SERVER_SESSION_IN_PROGRESS || server->negotiation.agreed.dialect != SMB2_DIALECT_311)
        return true;
    return preauth_update(&session->preauth, message);
}

/* The logon came to nothing. One that was valid before is ended in order, by way of the shell. */
static enum server_want logon_refused(struct server *server, struct server_frame *frame, struct verdict verdict) {
    struct server_session *session = frame->request.session;
    assert(verdict.status >> 30 == 3);
    if (verdict.rule != RULE_NONE)
        server->refused = (struct server_failure){verdict, SMB2_SESSION_SETUP, frame->request.message_id};
    if (session->state != SERVER_SESSION_IN_PROGRESS) {
        session->state = SERVER_SESSION_ENDED;
        frame->end_status = verdict.status;
        server_take_back(server, frame, SERVER_FRAME_END);
        return SERVER_RECEIVE;
    }
    server_session_end(server, session);
    server_answer_error(server, frame, verdict.status);
    return SERVER_RECEIVE;
}

enum server_want server_session_setup(struct server *server, struct server_frame *frame) {
    struct verdict verdict = check_setup(server, frame);
    if (!verdict_goes_on(&verdict)) {
        server_answer_verdict(server, frame, verdict);
        return SERVER_RECEIVE;
    }
    struct server_session *session = frame->request.session;
    if (session->legs == SERVER_LOGON_LEGS_MAX)
        return logon_refused(server, frame, refuse(RULE_SESSION_LEGS, STATUS_LOGON_FAILURE));
    session->legs++;
    if (!hash_message(server, session, frame->request.message.bytes)) {
        server_close(server, verdict_disconnect(RULE_NONE, 0), &frame->request);
        return SERVER_RECEIVE;
    }
    session->stepping = true;
    return server_hand_over(server, frame, SERVER_TOKEN);
}

struct span server_token(const struct server_frame *frame) {
    assert(frame->request.command == SMB2_SESSION_SETUP);
    return body_of(frame)->security_buffer;
}

uint64_t server_previous_session(const struct server_frame *frame) {
    assert(frame->request.command == SMB2_SESSION_SETUP);
    uint64_t previous = body_of(frame)->previous_session_id;
    return previous == frame->request.session_id ? 0 : previous;
}

/* ---- the answer ---- */

/* Writes the body; its size. The token may be a part of what is written over only if it lies outside of the output. */
static size_t body_write(struct server_frame *frame, uint16_t flags, struct span token) {
    const struct session_setup_response body = {.structure_size = 9,
                                                .session_flags = flags,
                                                .security_buffer_offset = 72,
                                                .security_buffer_length = (uint16_t)token.size,
                                                .security_buffer = token};
    struct writer writer = server_answer_writer(frame);
    assert(token.size <= UINT16_MAX);
    session_setup_response_encode(&(struct smb2_header){0}, &body, &writer);
    assert(!writer.failed);
    return writer.at - SMB2_HEADER_SIZE;
}

static void logon_continue(struct server *server, struct server_frame *frame, struct span token) {
    struct server_session *session = frame->request.session;
    size_t start = frame->end;
    server_respond(server, frame, (uint32_t)STATUS_MORE_PROCESSING_REQUIRED, body_write(frame, 0, token));
    if (!hash_message(server, session, (struct span){frame->output + start, frame->end - start}))
        server_close(server, verdict_disconnect(RULE_NONE, 0), &frame->request);
}

/* Session.SigningRequired (3.3.5.5.3). Nobody can sign without a key, and an encrypted session need not. */
static bool signing_required(const struct server *server, const struct server_frame *frame) {
    const struct server_session *session = frame->request.session;
    bool asked_for =
        (body_of(frame)->security_mode & SMB2_SIGNING_REQUIRED) != 0 || server->negotiation.agreed.signing_required;
    return asked_for && session->has_keys && !session->encrypt;
}

/* The final response is signed in every dialect, whether or not anything else is (3.3.5.5.3). */
static void logon_answer(struct server *server, struct server_frame *frame) {
    struct server_session *session = frame->request.session;
    session->state = SERVER_SESSION_VALID;
    session->legs = 0;
    frame->request.sign = session->has_keys;
    server->authenticated = true;
    server_respond(server, frame, STATUS_SUCCESS, frame->body_size);
}

static bool keys_make(struct server *server, const struct server_session *session, struct span session_key) {
    const struct negotiation_agreed *agreed = &server->negotiation.agreed;
    return session_keys_derive(&server->keys, agreed->dialect, agreed->cipher, session_key, &session->preauth);
}

/* For the first time. */
static void logon_new(struct server *server, struct server_frame *frame, struct span session_key) {
    struct server_session *session = frame->request.session;
    session->has_keys = !session->is_guest && !session->is_anonymous;
    if (!session->has_keys) {
        logon_answer(server, frame);
        return;
    }
    if (!keys_make(server, session, session_key)) {
        server_close(server, verdict_disconnect(RULE_NONE, 0), &frame->request);
        return;
    }
    server_take_back(server, frame, SERVER_FRAME_KEYS);
    server->keys_frame = frame;
}

static uint16_t session_flags(const struct server_session *session, const struct server_logon *logon) {
    return (uint16_t)((logon->is_guest ? SESSION_FLAG_IS_GUEST : 0) | (logon->is_anonymous ? SESSION_FLAG_IS_NULL : 0) |
                      (session->encrypt ? SESSION_FLAG_ENCRYPT_DATA : 0));
}

static void logon_done(struct server *server, struct server_frame *frame, const struct server_logon *logon) {
    struct server_session *session = frame->request.session;
    bool is_new = session->state == SERVER_SESSION_IN_PROGRESS;
    session->owner = logon->owner;
    session->is_guest = logon->is_guest;
    session->is_anonymous = logon->is_anonymous;
    if (is_new)
        session->encrypt = server->policy->encryption == ENCRYPTION_MUST;
    frame->body_size = body_write(frame, session_flags(session, logon), logon->token);
    if (is_new)
        logon_new(server, frame, logon->session_key);
    else
        logon_answer(server, frame); /* keys and protection stay what they are (3.3.5.5.2) */
}

/* A client that speaks another dialect elsewhere, a guest where the policy has none, and who cannot encrypt where
 * everything has to be. */
static struct verdict check_logon(const struct server *server, const struct server_session *session,
                                  const struct server_logon *logon) {
    bool has_keys = session->has_keys || (!logon->is_guest && !logon->is_anonymous);
    if (logon->dialect_differs)
        return refuse(RULE_SESSION_DIALECT, STATUS_USER_SESSION_DELETED);
    if (logon->is_guest && !server->policy->allow_guest)
        return refuse(RULE_NONE, STATUS_LOGON_FAILURE);
    if (!has_keys && server->policy->encryption == ENCRYPTION_MUST)
        return refuse(RULE_NONE, STATUS_ACCESS_DENIED);
    return verdict_accept();
}

void server_take_token(struct server *server, struct server_frame *frame, const struct server_logon *logon) {
    assert(frame->state == SERVER_FRAME_HANDED && frame->request.command == SMB2_SESSION_SETUP);
    assert(server->keys_frame == NULL);
    struct server_session *session = frame->request.session;
    struct verdict verdict = verdict_accept();
    session->stepping = false;
    if (session->state == SERVER_SESSION_ENDED) { /* meanwhile; there is nothing left to end */
        server_answer_error(server, frame, (uint32_t)STATUS_USER_SESSION_DELETED);
        return;
    }
    if (logon->state == SERVER_LOGON_REFUSED)
        verdict = verdict_refuse(RULE_NONE, logon->status, 0);
    else if (logon->state == SERVER_LOGON_DONE)
        verdict = check_logon(server, session, logon);
    if (!verdict_goes_on(&verdict))
        logon_refused(server, frame, verdict);
    else if (logon->state == SERVER_LOGON_CONTINUE)
        logon_continue(server, frame, logon->token);
    else
        logon_done(server, frame, logon);
}

void server_take_handles(struct server *server, const struct server_handles *handles) {
    struct server_frame *frame = server->keys_frame;
    assert(frame != NULL && frame->state == SERVER_FRAME_KEYS);
    server->keys_frame = NULL;
    struct server_session *session = frame->request.session;
    bool has_cipher = server->keys.cipher_size > 0;
    session_keys_wipe(&server->keys);
    session->handles = *handles;
    if (handles->mac == NULL || (has_cipher && (handles->seal == NULL || handles->open == NULL))) {
        server_close(server, verdict_disconnect(RULE_NONE, 0), &frame->request);
        return;
    }
    if (has_cipher)
        sealer_init(&session->sealer, handles->seal, session->id);
    session->signing_required = signing_required(server, frame);
    logon_answer(server, frame);
}
