#include "explain/observe.h"

#include <string.h>

#include "explain/ntlm.h"

/* Two captures of one message have the same digest, an altered one has not. Not against forgers: a digest only says
 * where to look. */
static uint64_t digest_add(uint64_t digest, const uint8_t *octets, size_t count) {
    uint64_t word = 0;

    memcpy(&word, octets, count);
    digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
    return digest << 32 | digest >> 32;
}

/* Two at a time, as a processor can multiply the second before it has the first's product. */
static uint64_t digest_of(struct span bytes) {
    uint64_t digest = 0xcbf29ce484222325u ^ bytes.size, other = 0;
    const uint8_t *at = bytes.data, *end = at + bytes.size;

    for (; end - at >= 32; at += 32) {
        digest = digest_add(digest_add(digest, at, 8), at + 16, 8);
        other = digest_add(digest_add(other, at + 8, 8), at + 24, 8);
    }
    digest ^= other << 1 | other >> 63;
    for (; end - at >= 8; at += 8)
        digest = digest_add(digest, at, 8);
    if (at < end)
        digest = digest_add(digest, at, (size_t)(end - at));
    return digest | 1;
}

static bool is_validate(const struct event *event) {
    const struct message *message = &event->message;

    if (message->kind == MESSAGE_IOCTL_REQUEST)
        return message->body.ioctl_request.ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO;
    return message->header.command == SMB2_IOCTL && message_is_response(message) &&
           ((event->request.known && event->request.control_code == FSCTL_VALIDATE_NEGOTIATE_INFO) ||
            (message->kind == MESSAGE_IOCTL_RESPONSE && !event->request.known &&
             message->body.ioctl_response.ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO));
}

static bool is_signed(const struct message *message) {
    return (message->header.flags & SMB2_FLAGS_SIGNED) != 0;
}

static bool all_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* What the members of a log entry can hold. */
#define LOG_PACKET_MAX ((UINT64_C(1) << 40) - 1)
#define LOG_COMMAND_MAX 0xfffu
#define LOG_KIND_MAX 0x3fu

/* The next place in the log: at its front, then in the ring of the last messages. */
static struct log_entry *log_place(struct evidence *evidence, uint64_t packet) {
    uint64_t seen = evidence->log_seen++;

    if (evidence->log_count < EVIDENCE_LOG_HEAD_MAX) {
        evidence->log_disordered |= evidence->log_last_packet > packet;
        evidence->log_last_packet = packet;
        return &evidence->log[evidence->log_count++];
    }
    evidence->log_tail_count += evidence->log_tail_count < EVIDENCE_LOG_TAIL_MAX;
    return &evidence->log_tail[(seen - EVIDENCE_LOG_HEAD_MAX) % EVIDENCE_LOG_TAIL_MAX];
}

/* Of the operations behind the negotiation, of which there may be many, only those are compared that the front of the
 * log has, and of each the first CONVERSATION_HEAD_MAX octets. */
static uint64_t digest_for_log(const struct evidence *evidence, const struct message *message) {
    bool operation = message->kind == MESSAGE_OTHER_REQUEST || message->kind == MESSAGE_OTHER_RESPONSE;

    return operation && evidence->log_count == EVIDENCE_LOG_HEAD_MAX ? 0 : digest_of(message->bytes);
}

static void log_message(struct evidence *evidence, const struct event *event, uint64_t packet,
                        uint64_t time_ns) {
    const struct message *message = &event->message;
    bool smb2 = message_is_smb2(message);
    /* Put together before it is written: a bit field that is set in its place waits for what was there. */
    struct log_entry entry = {
        .time_ns = time_ns,
        .message_id = smb2 ? message->header.message_id : 0,
        .digest = event->whole ? digest_for_log(evidence, message) : 0,
        .size = (uint32_t)message->size,
        .status = smb2 && message_is_response(message) ? message->header.status : 0,
        .packet = packet & LOG_PACKET_MAX,
        .command = smb2 ? message->header.command & LOG_COMMAND_MAX : 0,
        .kind = message->kind & LOG_KIND_MAX,
        .from = event->from & 1u,
        .is_signed = smb2 && is_signed(message),
        .cut = !event->whole,
        .chained = event->chained,
        .validate = smb2 && is_validate(event),
        .after_gap = event->after_gap,
    };

    memcpy(log_place(evidence, packet), &entry, sizeof entry);
}

static void note_negotiate(struct negotiate_side *side, const struct event *event, uint64_t packet, uint64_t time_ns) {
    size_t kept = event->message.bytes.size;

    if (kept > EVIDENCE_RAW_MAX)
        kept = EVIDENCE_RAW_MAX;
    memset(side, 0, offsetof(struct negotiate_side, raw));
    side->packet = packet;
    side->time_ns = time_ns;
    side->whole = event->whole;
    side->valid = event->message.body_valid;
    side->raw_size = (uint16_t)kept;
    side->message_size = (uint32_t)event->message.size;
    memcpy(side->raw, event->message.bytes.data, kept);
}

static bool is_agreed(const struct negotiate_evidence *negotiate) {
    return negotiate->dialect != 0 && negotiate->dialect != SMB2_DIALECT_WILDCARD;
}

/* Behind a gap, or in a file out of order, messages are seen late: their times tell what came first. */
static bool is_before(uint64_t time_ns, uint64_t packet, const struct negotiate_side *other) {
    return time_ns != other->time_ns ? time_ns < other->time_ns : packet < other->packet;
}

/* In a capture out of order a request may come behind its own answer, which has the same MessageId. */
static bool was_answered_before(const struct negotiate_evidence *negotiate, const struct smb2_header *request) {
    struct smb2_header answer;

    if (negotiate->requests > 1 || negotiate->response.raw_size < SMB2_HEADER_SIZE)
        return false;
    smb2_header_decode((struct span){negotiate->response.raw, negotiate->response.raw_size}, &answer);
    return answer.message_id == request->message_id;
}

static void observe_negotiate_request(struct evidence *evidence, const struct event *event,
                                      uint64_t packet, uint64_t time_ns) {
    struct negotiate_evidence *negotiate = &evidence->negotiate;
    const struct negotiate_request *request = &event->message.body.negotiate_request;

    negotiate->requests++;
    if (is_agreed(negotiate) && !is_before(time_ns, packet, &negotiate->response) &&
        !was_answered_before(negotiate, &event->message.header)) {
        if (negotiate->second_request_packet == 0)
            negotiate->second_request_packet = packet;
        return; /* the ones that led to the agreed dialect stay */
    }
    note_negotiate(&negotiate->request, event, packet, time_ns);
    negotiate->request.security_mode = request->security_mode;
    negotiate->request.capabilities = request->capabilities;
    memcpy(negotiate->request.guid, request->client_guid, 16);
    negotiate->request.decoded = request->structure_size == 36 &&
                                 request->dialects.size == 2u * (size_t)request->dialect_count;
    negotiate->dialect_count = 0;
    for (unsigned i = 0; i < request->dialects.size / 2 && i < EVIDENCE_DIALECTS_MAX; i++)
        negotiate->dialects[negotiate->dialect_count++] = negotiate_dialect(request, i);
}

static void observe_contexts(struct negotiate_evidence *negotiate,
                             const struct negotiate_response *response) {
    struct context_cursor cursor = context_cursor(response->contexts, response->negotiate_context_count,
                                                  response->negotiate_context_offset);
    struct context context;

    negotiate->cipher = negotiate->signing_algorithm = 0xffff;
    negotiate->has_encryption_context = negotiate->has_signing_context = false;
    while (context_next(&cursor, &context)) {
        struct reader reader = reader_over(context.data);
        uint16_t count = reader_u16(&reader), first = reader_u16(&reader);

        if (reader.failed || count != 1)
            continue;
        if (context.type == CONTEXT_ENCRYPTION) {
            negotiate->has_encryption_context = true;
            negotiate->cipher = first;
        } else if (context.type == CONTEXT_SIGNING) {
            negotiate->has_signing_context = true;
            negotiate->signing_algorithm = first;
        }
    }
}

static void observe_negotiate_response(struct evidence *evidence, const struct event *event,
                                       uint64_t packet, uint64_t time_ns) {
    struct negotiate_evidence *negotiate = &evidence->negotiate;
    const struct negotiate_response *response = &event->message.body.negotiate_response;

    if (is_agreed(negotiate))
        return;
    if (event->message.header.status == STATUS_SUCCESS &&
        response->dialect_revision == SMB2_DIALECT_WILDCARD && event->message.bytes.size >= 72)
        negotiate->wildcard_response_packet = packet;
    note_negotiate(&negotiate->response, event, packet, time_ns);
    negotiate->status = event->message.header.status;
    negotiate->dialect = 0; /* an error after 0x02FF leaves none agreed */
    if (event->message.kind != MESSAGE_NEGOTIATE_RESPONSE || event->message.bytes.size < 72)
        return;
    negotiate->dialect = response->dialect_revision;
    negotiate->response.security_mode = response->security_mode;
    if (event->message.bytes.size < 128) /* cut within the fixed part */
        return;
    negotiate->response.decoded = response->structure_size == 65;
    negotiate->response.capabilities = response->capabilities;
    memcpy(negotiate->response.guid, response->server_guid, 16);
    negotiate->max_transact_size = response->max_transact_size;
    negotiate->max_read_size = response->max_read_size;
    negotiate->max_write_size = response->max_write_size;
    negotiate->system_time = response->system_time;
    negotiate->server_start_time = response->server_start_time;
    observe_contexts(negotiate, response);
}

static struct session_evidence *session_by_id(struct evidence *evidence, uint64_t session_id) {
    for (uint32_t i = evidence->sessions_count; session_id != 0 && i-- > 0;)
        if (evidence->sessions[i].session_id == session_id)
            return &evidence->sessions[i];
    return NULL;
}

static struct session_evidence *session_by_request(struct evidence *evidence, uint64_t packet) {
    for (uint32_t i = evidence->sessions_count; packet != 0 && i-- > 0;)
        if (evidence->sessions[i].last_request_packet == packet)
            return &evidence->sessions[i];
    return NULL;
}

static struct session_evidence *session_new(struct evidence *evidence, uint64_t session_id,
                                            uint64_t packet) {
    struct session_evidence *session;

    if (evidence->sessions_count == EVIDENCE_SESSIONS_MAX) {
        evidence->sessions_unlisted++;
        return NULL;
    }
    session = &evidence->sessions[evidence->sessions_count++];
    memset(session, 0, sizeof *session);
    session->session_id = session_id;
    session->first_request_packet = packet;
    session->status = STATUS_PENDING;
    return session;
}

/* The session of a request whose answers were seen first: it lay behind a gap. */
static struct session_evidence *session_answered_later(struct evidence *evidence, uint64_t time_ns) {
    for (uint32_t i = 0; i < evidence->sessions_count; i++)
        if (evidence->sessions[i].first_request_packet == 0 && evidence->sessions[i].response_time_ns > time_ns)
            return &evidence->sessions[i];
    return NULL;
}

/* What a SESSION_SETUP request says, [MS-SMB2] 2.2.5. */
static void note_logon(struct session_evidence *session, const struct event *event, uint64_t packet,
                       uint64_t time_ns) {
    const struct session_setup_request *request = &event->message.body.session_setup_request;

    if (session->first_request_packet == 0)
        session->first_request_packet = packet;
    session->last_request_packet = packet;
    session->last_request_time_ns = time_ns;
    session->rounds++;
    session->security_mode = request->security_mode;
    session->binding |= (request->flags & 1) != 0;
    if (!ntlm_look(request->security_buffer, &session->ntlm))
        session->kerberos |= token_is_kerberos(request->security_buffer);
}

static void observe_session_request(struct evidence *evidence, const struct event *event, uint64_t packet,
                                    uint64_t time_ns) {
    uint64_t session_id = event->message.header.session_id;
    struct session_evidence *session = session_by_id(evidence, session_id);

    if (session == NULL)
        session = session_answered_later(evidence, time_ns);
    if (session == NULL)
        session = session_new(evidence, session_id, packet);
    if (session == NULL)
        return;
    if (session->has_response && session->response_time_ns > time_ns) {
        note_logon(session, event, packet, time_ns); /* seen late, behind a gap: its answer stands */
        return;
    }
    if (session->success && session->status == STATUS_SUCCESS)
        session->reauthentication = true;
    note_logon(session, event, packet, time_ns);
    session->has_response = false;
}

static void observe_session_response(struct evidence *evidence, const struct event *event,
                                     uint64_t packet, uint64_t time_ns) {
    const struct message *message = &event->message;
    struct session_evidence *session = NULL;

    if (message->header.status == STATUS_PENDING)
        return;
    if (event->request.known)
        session = session_by_request(evidence, event->request.tag);
    if (session == NULL)
        session = session_by_id(evidence, message->header.session_id);
    if (session == NULL)
        session = session_new(evidence, message->header.session_id, 0);
    if (session == NULL)
        return;
    if (session->session_id == 0)
        session->session_id = message->header.session_id;
    session->has_response = true;
    session->response_packet = packet;
    session->response_time_ns = time_ns;
    session->response_cut = !event->whole;
    if (session->reauthentication && session->success && message->header.status == STATUS_SUCCESS)
        return; /* keys and flags stay those of the first success, 3.3.5.5.3 */
    session->status = message->header.status;
    session->response_signed = is_signed(message);
    session->signature_zero = all_zero(message->header.signature, 16);
    if (message->kind != MESSAGE_SESSION_SETUP_RESPONSE)
        return;
    ntlm_look(message->body.session_setup_response.security_buffer, &session->ntlm);
    if (message->header.status == STATUS_SUCCESS) {
        session->success = true;
        session->flags = message->body.session_setup_response.session_flags;
    }
}

/* [MS-SMB2] 2.2.9: \\server\IPC$ in UTF-16LE. */
static bool path_is_ipc(struct span path) {
    static const uint8_t ipc[] = {'\\', 0, 'I', 0, 'P', 0, 'C', 0, '$', 0};

    if (path.size < sizeof ipc)
        return false;
    for (size_t i = 0; i < sizeof ipc; i++) {
        uint8_t octet = path.data[path.size - sizeof ipc + i];

        if ((octet | 0x20) != (ipc[i] | 0x20))
            return false;
    }
    return true;
}

static struct tree_evidence *tree_new(struct evidence *evidence) {
    struct tree_evidence *tree = &evidence->trees[evidence->trees_count++];

    memset(tree, 0, sizeof *tree);
    return tree;
}

static struct validation_evidence *validation_new(struct evidence *evidence) {
    struct validation_evidence *validation = &evidence->validations[evidence->validations_count++];

    memset(validation, 0, sizeof *validation);
    return validation;
}

static void observe_tree_request(struct evidence *evidence, const struct event *event,
                                 uint64_t packet, uint64_t time_ns) {
    struct span path = event->message.body.tree_connect_request.path;
    struct tree_evidence *tree;

    if (evidence->trees_count == EVIDENCE_TREES_MAX) {
        evidence->trees_unlisted++;
        return;
    }
    tree = tree_new(evidence);
    tree->request_packet = packet;
    tree->request_time_ns = time_ns;
    tree->session_id = event->message.header.session_id;
    tree->request_signed = is_signed(&event->message);
    tree->status = STATUS_PENDING;
    tree->name_present = path.size > 0;
    tree->is_ipc = path_is_ipc(path);
}

static void observe_tree_response(struct evidence *evidence, const struct event *event,
                                  uint64_t packet, uint64_t time_ns) {
    const struct message *message = &event->message;
    struct tree_evidence *tree = NULL;

    if (message->header.status == STATUS_PENDING)
        return;
    for (uint32_t i = evidence->trees_count; event->request.known && i-- > 0;)
        if (evidence->trees[i].request_packet == event->request.tag) {
            tree = &evidence->trees[i];
            break;
        }
    if (tree == NULL && evidence->trees_count < EVIDENCE_TREES_MAX)
        tree = tree_new(evidence);
    if (tree == NULL)
        return;
    tree->has_response = true;
    tree->response_packet = packet;
    tree->response_time_ns = time_ns;
    tree->response_signed = is_signed(message);
    tree->response_cut = !event->whole;
    tree->status = message->header.status;
    tree->tree_id = message->header.tree_id;
    if (message->kind == MESSAGE_TREE_CONNECT_RESPONSE) {
        tree->share_type = message->body.tree_connect_response.share_type;
        tree->share_flags = message->body.tree_connect_response.share_flags;
    }
}

static void observe_validate_request(struct evidence *evidence, const struct event *event,
                                     uint64_t packet, uint64_t time_ns) {
    const struct ioctl_request *ioctl = &event->message.body.ioctl_request;
    static const uint8_t ones[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct validate_negotiate_info_request info = {0};
    struct validation_evidence *validation = NULL;

    evidence->validations_seen++;
    evidence->traffic.requests_after_validation = 0;
    for (uint32_t i = 0; i < evidence->validations_count; i++) /* packets stored in disorder: the answer came first */
        if (evidence->validations[i].request_packet == 0 &&
            evidence->validations[i].message_id == event->message.header.message_id)
            validation = &evidence->validations[i];
    if (validation == NULL && evidence->validations_count == EVIDENCE_VALIDATIONS_MAX)
        return;
    if (validation == NULL)
        validation = validation_new(evidence);
    validation->request_packet = packet;
    validation->request_time_ns = time_ns;
    validation->message_id = event->message.header.message_id;
    validation->session_id = event->message.header.session_id;
    validation->request_signed = is_signed(&event->message);
    validation->request_cut = !event->whole;
    if (validation->response_packet == 0)
        validation->status = STATUS_PENDING;
    validation->max_output_response = ioctl->max_output_response;
    validation->request_input_count = ioctl->input_count;
    validation->ioctl_flags = ioctl->flags;
    validation->file_id_all_ones = memcmp(ioctl->file_id, ones, 16) == 0;
    validation->request_decoded = validate_request_decode(ioctl->input, &info);
    if (!validation->request_decoded)
        return;
    validation->request_capabilities = info.capabilities;
    memcpy(validation->request_guid, info.guid, 16);
    validation->request_security_mode = info.security_mode;
    validation->dialect_count = info.dialect_count;
    for (unsigned i = 0; i < info.dialects.size / 2 && i < EVIDENCE_DIALECTS_MAX; i++) {
        struct reader reader = reader_over(span_slice(info.dialects, 2u * i, 2));

        validation->dialects[validation->dialects_kept++] = reader_u16(&reader);
    }
}

static struct validation_evidence *validation_for(struct evidence *evidence,
                                                  const struct event *event) {
    for (uint32_t i = evidence->validations_count; i-- > 0;) {
        struct validation_evidence *validation = &evidence->validations[i];

        if (event->request.known ? validation->request_packet == event->request.tag &&
                                       validation->message_id == event->message.header.message_id
                                 : validation->request_packet != 0 &&
                                       validation->message_id == event->message.header.message_id)
            return validation;
    }
    if (evidence->validations_count == EVIDENCE_VALIDATIONS_MAX)
        return NULL;
    return validation_new(evidence); /* its request was not captured */
}

static void observe_validate_response(struct evidence *evidence, const struct event *event,
                                      uint64_t packet, uint64_t time_ns) {
    const struct message *message = &event->message;
    struct validate_negotiate_info_response info = {0};
    struct validation_evidence *validation = validation_for(evidence, event);

    if (validation == NULL)
        return;
    if (message->header.status == STATUS_PENDING) {
        validation->pending_packet = packet;
        return;
    }
    /* Behind a gap the answer is seen late: what the client sent after it may have gone by. */
    evidence->traffic.requests_after_validation = evidence->traffic.last_other_request_packet > packet;
    validation->response_packet = packet;
    validation->response_time_ns = time_ns;
    validation->message_id = message->header.message_id;
    validation->response_cut = !event->whole;
    validation->response_signed = is_signed(message);
    validation->signature_zero = all_zero(message->header.signature, 16);
    validation->signature_copied =
        event->request.known && !validation->signature_zero &&
        memcmp(event->request.signature, message->header.signature, 16) == 0;
    validation->status = message->header.status;
    if (message->kind != MESSAGE_IOCTL_RESPONSE)
        return;
    validation->output_count = message->body.ioctl_response.output_count;
    validation->response_decoded =
        validate_response_decode(message->body.ioctl_response.output, &info);
    if (!validation->response_decoded)
        return;
    validation->response_capabilities = info.capabilities;
    memcpy(validation->response_guid, info.guid, 16);
    validation->response_security_mode = info.security_mode;
    validation->dialect = info.dialect;
}

static void observe_logoff(struct evidence *evidence, const struct event *event, uint64_t packet) {
    struct session_evidence *session = session_by_id(
        evidence, event->request.known ? event->request.session_id : event->message.header.session_id);

    if (session == NULL)
        return;
    if (!message_is_response(&event->message)) {
        session->logoff_packet = packet;
    } else {
        session->logoff_response_packet = packet;
        session->logoff_status = event->message.header.status;
    }
}

static bool is_guest_or_anonymous(const struct session_evidence *session) {
    return session->success && ((session->flags & 3) || session->ntlm.anonymous);
}

/* Requests of an established session, negotiation and its like aside. */
static void observe_traffic_request(struct evidence *evidence, const struct event *event,
                                    uint64_t packet, uint64_t time_ns) {
    struct traffic_evidence *traffic = &evidence->traffic;
    const struct message *message = &event->message;
    const struct session_evidence *session = session_by_id(evidence, message->header.session_id);
    uint16_t command = message->header.command;

    if (traffic->last_message_time_ns[FROM_CLIENT] != 0 &&
        time_ns > traffic->last_message_time_ns[FROM_CLIENT])
        traffic->longest_gap_ns = time_ns - traffic->last_message_time_ns[FROM_CLIENT];
    if (command <= SMB2_TREE_CONNECT || (command == SMB2_IOCTL && is_validate(event)))
        return;
    if (command != SMB2_LOGOFF && command != SMB2_TREE_DISCONNECT && command != SMB2_ECHO)
        traffic->data_requests++;
    if (is_signed(message))
        traffic->requests_signed++;
    else
        traffic->requests_unsigned++;
    if (session != NULL && is_guest_or_anonymous(session) && is_signed(message) &&
        traffic->guest_signed_packet == 0)
        traffic->guest_signed_packet = packet;
}

static void observe_denied(struct evidence *evidence, const struct event *event, uint64_t packet) {
    struct traffic_evidence *traffic = &evidence->traffic;
    uint16_t command = event->message.header.command;

    if (event->request.known && !event->request.is_signed && command != SMB2_SESSION_SETUP &&
        traffic->unsigned_denied_packet == 0) {
        traffic->unsigned_denied_packet = packet;
        traffic->unsigned_denied_command = command;
    }
    if (event->request.known && event->request.is_signed && traffic->first_denied_packet == 0) {
        traffic->first_denied_packet = packet;
        traffic->first_denied_command = command;
    }
    if (traffic->guest_signed_packet != 0 && event->request.known && event->request.is_signed &&
        traffic->after_guest_signed_denied_packet == 0)
        traffic->after_guest_signed_denied_packet = packet;
}

static void observe_traffic_response(struct evidence *evidence, const struct event *event,
                                     uint64_t packet) {
    struct traffic_evidence *traffic = &evidence->traffic;
    const struct message *message = &event->message;
    uint32_t status = message->header.status;

    traffic->last_status = status;
    if (status == STATUS_PENDING)
        return;
    if (message->header.command > SMB2_TREE_CONNECT || message->header.command == SMB2_LOGOFF) {
        if (is_signed(message))
            traffic->responses_signed++;
        else
            traffic->responses_unsigned++;
    }
    if (status == STATUS_ACCESS_DENIED)
        observe_denied(evidence, event, packet);
    if (status == STATUS_USER_SESSION_DELETED && traffic->session_deleted_packet == 0) {
        traffic->session_deleted_packet = packet;
        traffic->session_deleted_command = message->header.command;
    }
    if (status == STATUS_NETWORK_SESSION_EXPIRED && traffic->session_expired_packet == 0)
        traffic->session_expired_packet = packet;
    if (status == STATUS_NETWORK_NAME_DELETED && traffic->name_deleted_packet == 0)
        traffic->name_deleted_packet = packet;
    if (status == STATUS_SUCCESS && event->request.known && event->request.is_signed &&
        is_signed(message) && traffic->first_good_signed_packet == 0 &&
        message->header.command != SMB2_SESSION_SETUP)
        traffic->first_good_signed_packet = packet;
}

/* The oldest request without a final answer: remembered while one is open. In a file out of order an answer can come before
 * its request. */
static void observe_open_request(struct evidence *evidence, const struct event *event,
                                 uint64_t packet, uint64_t time_ns) {
    struct traffic_evidence *traffic = &evidence->traffic;
    const struct message *message = &event->message;

    if (!message_is_response(message)) {
        bool answered = traffic->has_answer_ahead && traffic->answer_ahead == message->header.message_id;

        if (traffic->unanswered_packet == 0 && !answered && message->header.command != SMB2_CANCEL) {
            traffic->unanswered_packet = packet;
            traffic->unanswered_time_ns = time_ns;
            traffic->unanswered_command = message->header.command;
        }
        return;
    }
    if (!event->request.known) {
        traffic->has_answer_ahead = true;
        traffic->answer_ahead = message->header.message_id;
    }
    if (message->header.status != STATUS_PENDING &&
        (!event->request.known || event->request.tag >= traffic->unanswered_packet))
        traffic->unanswered_packet = 0;
}

/* Any request but VALIDATE. */
static void observe_other_request(struct evidence *evidence, uint16_t command, uint64_t packet) {
    struct traffic_evidence *traffic = &evidence->traffic;
    bool takes_leave = command == SMB2_LOGOFF || command == SMB2_TREE_DISCONNECT;

    traffic->requests_after_validation++;
    if (packet > traffic->last_other_request_packet)
        traffic->last_other_request_packet = packet;
    if (!takes_leave && packet > traffic->last_working_request_packet)
        traffic->last_working_request_packet = packet;
}

static void observe_smb2(struct evidence *evidence, const struct event *event, uint64_t packet,
                         uint64_t time_ns) {
    const struct message *message = &event->message;
    uint16_t command = message->header.command;
    bool response = message_is_response(message);

    if (!response)
        observe_traffic_request(evidence, event, packet, time_ns);
    else
        observe_traffic_response(evidence, event, packet);
    observe_open_request(evidence, event, packet, time_ns);
    switch (command) {
    case SMB2_NEGOTIATE:
        if (response)
            observe_negotiate_response(evidence, event, packet, time_ns);
        else
            observe_negotiate_request(evidence, event, packet, time_ns);
        break;
    case SMB2_SESSION_SETUP:
        if (response)
            observe_session_response(evidence, event, packet, time_ns);
        else
            observe_session_request(evidence, event, packet, time_ns);
        break;
    case SMB2_LOGOFF:
        observe_logoff(evidence, event, packet);
        break;
    case SMB2_TREE_CONNECT:
        if (response)
            observe_tree_response(evidence, event, packet, time_ns);
        else
            observe_tree_request(evidence, event, packet, time_ns);
        break;
    case SMB2_TREE_DISCONNECT:
        for (uint32_t i = 0; i < evidence->trees_count && !response; i++)
            if (evidence->trees[i].tree_id == message->header.tree_id)
                evidence->trees[i].disconnect_packet = packet;
        break;
    case SMB2_IOCTL:
        if (is_validate(event) && response)
            observe_validate_response(evidence, event, packet, time_ns);
        else if (is_validate(event))
            observe_validate_request(evidence, event, packet, time_ns);
        break;
    default:
        break;
    }
    if (!response && !is_validate(event))
        observe_other_request(evidence, command, packet);
}

static void observe_smb1(struct evidence *evidence, const struct event *event, uint64_t packet) {
    struct negotiate_evidence *negotiate = &evidence->negotiate;
    const struct message *message = &event->message;

    evidence->traffic.smb1_messages++;
    if (message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST) {
        negotiate->smb1_request_packet = packet;
        negotiate->smb1_request_cut = !event->whole;
        negotiate->smb1_offers_202 = message->body.smb1_negotiate_request.offers_smb2_002;
        negotiate->smb1_offers_wildcard = message->body.smb1_negotiate_request.offers_smb2_wildcard;
        negotiate->smb1_offers_smb2 = message->body.smb1_negotiate_request.offers_smb2_002 ||
                                      message->body.smb1_negotiate_request.offers_smb2_wildcard;
    } else if (message->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE) {
        negotiate->smb1_response_packet = packet;
        negotiate->smb1_answer_is_smb1 = true;
        negotiate->smb1_dialect_index = message->body.smb1_negotiate_response.dialect_index;
    }
}

static void observe_transform(struct evidence *evidence, const struct event *event,
                              uint64_t packet) {
    struct traffic_evidence *traffic = &evidence->traffic;

    if (traffic->encrypted[event->from]++ == 0)
        traffic->first_encrypted_packet[event->from] = packet;
    traffic->last_encrypted_packet[event->from] = packet;
}

static void observe_message(struct evidence *evidence, const struct event *event, uint64_t packet,
                            uint64_t time_ns) {
    struct traffic_evidence *traffic = &evidence->traffic;
    const struct message *message = &event->message;

    log_message(evidence, event, packet, time_ns);
    traffic->messages[event->from]++;
    if (message_is_smb2(message)) {
        observe_smb2(evidence, event, packet, time_ns);
        traffic->last_command[event->from] = message->header.command;
    } else if (message->kind == MESSAGE_TRANSFORM) {
        observe_transform(evidence, event, packet);
    } else if (message->kind == MESSAGE_COMPRESSED) {
        traffic->compressed++;
    } else {
        observe_smb1(evidence, event, packet);
    }
    traffic->last_message_packet[event->from] = packet;
    traffic->last_message_time_ns[event->from] = time_ns;
}

void observe_event(struct evidence *evidence, const struct event *event, uint64_t packet,
                   uint64_t time_ns) {
    switch (event->kind) {
    case EVENT_MESSAGE:
        if (event->message.kind != MESSAGE_UNKNOWN)
            observe_message(evidence, event, packet, time_ns);
        break;
    case EVENT_NETBIOS:
        evidence->traffic.netbios = true;
        if (event->netbios_type == FRAME_NEGATIVE_RESPONSE)
            evidence->traffic.netbios_negative_packet = (uint32_t)packet;
        break;
    case EVENT_BROKEN:
        if (evidence->broken_count < EVIDENCE_BROKEN_MAX)
            evidence->broken[evidence->broken_count++] =
                (struct broken_rule){event->verdict.rule, packet};
        break;
    default:
        break;
    }
}

/* What waited behind a gap of one direction was written down late. */
static void sort_log(struct evidence *evidence) {
    for (uint32_t i = 1; i < evidence->log_count; i++) {
        struct log_entry entry = evidence->log[i];
        uint32_t at = i;

        for (; at > 0 && evidence->log[at - 1].packet > entry.packet; at--)
            evidence->log[at] = evidence->log[at - 1];
        evidence->log[at] = entry;
    }
}

void observe_end(struct evidence *evidence) {
    const struct tcp_side *client = &evidence->tcp[FROM_CLIENT];

    if (evidence->log_disordered)
        sort_log(evidence);
    evidence->smb |= evidence->log_seen > 0;
    /* A capture without the SYN, whose first SMB message is not a NEGOTIATE, began too late. */
    if (client->syn_packet == 0 && evidence->negotiate.request.packet == 0 &&
        evidence->negotiate.smb1_request_packet == 0)
        evidence->began_before_capture = true;
}

void evidence_clear_connection(struct evidence *evidence) {
    memset(evidence, 0, offsetof(struct evidence, negotiate));
}

void evidence_clear_messages(struct evidence *evidence) {
    uint8_t *octets = (uint8_t *)evidence;
    size_t messages = offsetof(struct evidence, negotiate);
    size_t request_raw = offsetof(struct evidence, negotiate.request.raw);
    size_t response_raw = offsetof(struct evidence, negotiate.response.raw);
    size_t after = response_raw + EVIDENCE_RAW_MAX;

    memset(octets + messages, 0, request_raw - messages);
    memset(octets + request_raw + EVIDENCE_RAW_MAX, 0, response_raw - request_raw - EVIDENCE_RAW_MAX);
    memset(octets + after, 0, offsetof(struct evidence, sessions) - after);
    memset(octets + offsetof(struct evidence, broken), 0,
           offsetof(struct evidence, log_tail) - offsetof(struct evidence, broken));
}

void evidence_shorten(struct evidence *evidence) {
    if (evidence->log_count > EVIDENCE_LOG_SHORT)
        evidence->log_count = EVIDENCE_LOG_SHORT;
    evidence->log_tail_count = 0;
}

size_t evidence_size(const struct evidence *evidence) {
    return offsetof(struct evidence, log) + evidence->log_count * sizeof evidence->log[0];
}
