#include "probe/line.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SMB2_PROTOCOL_ID 0x424d53feu
#define TRANSFORM_ID     0x424d53fdu
/* Credits asked for with each request: more than a test ever needs at once. */
#define CREDITS_ASKED 16u
/* Where an IOCTL's input begins, from the protocol id (2.2.31). */
#define IOCTL_INPUT_AT 120u
#define IOCTL_IS_FSCTL 1u
#define TREE_PATH_AT   72u

bool reply_has(const struct line_reply *reply, uint32_t status) {
    return reply->answer == LINE_ANSWERED && message_is_smb2(&reply->message) && reply->status == status;
}

bool reply_is_close(const struct line_reply *reply) {
    return reply->answer == LINE_CLOSED || reply->answer == LINE_RESET;
}

bool reply_is_protected(const struct line_reply *reply) {
    return reply->answer == LINE_ANSWERED && (reply->decrypted || reply->signature == SIGNATURE_GOOD);
}

const char *reply_protection(const struct line_reply *reply) {
    if (reply->decrypted)
        return ", encrypted";
    switch (reply->signature) {
    case SIGNATURE_GOOD:
        return ", signed";
    case SIGNATURE_BAD:
    case SIGNATURE_FAILED:
        return ", wrongly signed";
    case SIGNATURE_MISSING:
    case SIGNATURE_EXEMPT:
        break;
    }
    return "";
}

static struct line_reply reply_of_error(int error) {
    enum line_answer answer = error == -ETIMEDOUT                       ? LINE_SILENT
                              : error == -ECONNRESET || error == -EPIPE ? LINE_RESET
                              : error == -EPROTO || error == -EBADMSG   ? LINE_NOISE
                                                                        : LINE_FAILED;

    return (struct line_reply){.answer = answer, .error = error, .signature = SIGNATURE_MISSING};
}

/* ---- open and close ---- */

static void forget_session(struct line *line) {
    mac_key_free(line->mac);
    aead_key_free(line->seal);
    aead_key_free(line->open);
    auth_initiator_free(line->initiator);
    line->mac = NULL;
    line->seal = line->open = NULL;
    line->initiator = NULL;
    session_keys_wipe(&line->keys);
    crypto_wipe(line->full_key, sizeof line->full_key);
    line->full_key_size = 0;
}

void line_close(struct line *line) {
    if (line->target == NULL)
        return; /* never opened */
    transport_close(&line->transport);
    forget_session(line);
}

/* False: there is no randomness to be had. */
static bool start(struct line *line, const struct line_target *target, const struct id_list *dialects) {
    line_close(line);
    line->target = target;
    line->transport = (struct transport_socket){.fd = -1};
    line->next_message_id = line->session_id = 0;
    line->tree_id = 0;
    line->encrypts = line->established = false;
    line->setup_flags = 0;
    line->previous_session_id = 0;
    line->verdict = (struct verdict){.rule = RULE_NONE};
    line->hashed_count = 0;
    line->hashed_size = 0;
    negotiation_init(&line->negotiation);
    preauth_init(&line->preauth);
    client_policy_defaults(&line->policy);
    line->policy.dialects = *dialects;
    line->policy.transport = target->transport;
    line->policy.accept_small_sizes = true;
    return crypto_random(line->policy.guid, sizeof line->policy.guid);
}

struct line_reply line_adopt(struct line *line, const struct line_target *target, const struct id_list *dialects,
                             int fd) {
    int error = start(line, target, dialects) ? transport_adopt(&line->transport, fd) : -EIO;

    return error < 0 ? reply_of_error(error) : (struct line_reply){.answer = LINE_ANSWERED};
}

struct line_reply line_open(struct line *line, const struct line_target *target, const struct id_list *dialects) {
    int error;

    if (!start(line, target, dialects))
        return reply_of_error(-EIO);
    error = transport_connect(&line->transport, target->host, target->port, transport_deadline(target->timeout_ms));
    if (error < 0)
        return (struct line_reply){.answer = LINE_UNREACHABLE, .error = error};
    return (struct line_reply){.answer = LINE_ANSWERED};
}

/* ---- octets out ---- */

static bool put_frame_header(struct line *line, size_t size) {
    struct writer writer = writer_over(line->out, FRAME_HEADER_SIZE);

    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, (uint32_t)size});
    return !writer.failed;
}

/* Sends `size` octets that stand behind the frame header in line->out. */
static int send_frame(struct line *line, size_t size) {
    if (!put_frame_header(line, size))
        return -EMSGSIZE;
    return transport_send(&line->transport, (struct span){line->out, FRAME_HEADER_SIZE + size},
                          transport_deadline(line->target->timeout_ms));
}

/* The signature fits the message with its last octet changed, so it is the right key's and yet wrong. With AES-GMAC
 * that uses the nonce of this MessageId once, for a message that is never sent. */
static bool sign_badly(struct line *line, uint8_t *message, size_t size) {
    message[size - 1] ^= 1;
    if (!element_sign(line->mac, message, size))
        return false;
    message[size - 1] ^= 1;
    return true;
}

/* Protects the message in line->out and returns the size of what is to be sent; 0: that failed. */
static size_t protect(struct line *line, size_t size, enum line_protection protection) {
    uint8_t *message = line->out + FRAME_HEADER_SIZE;

    switch (protection) {
    case LINE_PLAIN:
        return size;
    case LINE_SIGNED:
        return line->mac != NULL && element_sign(line->mac, message, size) ? size : 0;
    case LINE_BADLY_SIGNED:
        return line->mac != NULL && sign_badly(line, message, size) ? size : 0;
    case LINE_ENCRYPTED:
        memmove(message + TRANSFORM_HEADER_SIZE, message, size);
        if (line->seal == NULL || !sealer_seal(&line->sealer, (struct span){message + TRANSFORM_HEADER_SIZE, size},
                                               message, sizeof line->out - FRAME_HEADER_SIZE))
            return 0;
        return TRANSFORM_HEADER_SIZE + size;
    }
    return 0;
}

/* ---- octets in ---- */

/* The next frame's content into line->in; its size, 0 where the peer closed, or a negative errno. */
static int64_t read_frame(struct line *line, int64_t deadline_ms) {
    int64_t size = transport_next_frame(&line->transport, deadline_ms);
    int error;

    if (size <= 0)
        return size;
    if (size > (int64_t)sizeof line->in)
        return -EPROTO;
    error = transport_read(&line->transport, line->in, (size_t)size, deadline_ms);
    return error < 0 ? error : size;
}

static bool decrypt(struct line *line, struct span *content) {
    if (line->open == NULL || transform_open(line->open, line->session_id, *content, line->in) != TRANSFORM_GOOD)
        return false;
    *content = (struct span){line->in, content->size - TRANSFORM_HEADER_SIZE};
    return true;
}

static bool is_transform(struct span content) {
    struct reader reader = reader_over(content);

    return reader_u32(&reader) == TRANSFORM_ID;
}

/* Of a chain each element is signed for itself. */
static struct span first_element(struct span content, const struct message *message) {
    uint32_t next = message->header.next_command;

    return next >= SMB2_HEADER_SIZE && next < content.size ? span_slice(content, 0, next) : content;
}

static struct line_reply read_reply(struct line *line, int64_t deadline_ms) {
    struct line_reply reply = {.answer = LINE_ANSWERED, .signature = SIGNATURE_MISSING};
    int64_t size = read_frame(line, deadline_ms);
    struct span content;

    if (size == 0)
        return (struct line_reply){.answer = LINE_CLOSED, .signature = SIGNATURE_MISSING};
    if (size < 0)
        return reply_of_error((int)size);
    content = (struct span){line->in, (size_t)size};
    reply.decrypted = is_transform(content);
    if (reply.decrypted && !decrypt(line, &content))
        return reply_of_error(-EBADMSG);
    reply.content = content;
    message_decode(content, content.size, &reply.message);
    if (!message_is_smb2(&reply.message) && !message_is_smb1(&reply.message))
        return reply_of_error(-EPROTO);
    if (message_is_smb2(&reply.message))
        reply.status = reply.message.header.status;
    if (message_is_smb2(&reply.message) && line->mac != NULL && !reply.decrypted)
        reply.signature = element_check(line->mac, first_element(content, &reply.message));
    return reply;
}

/* The answer to one request; interim ones and others are passed over. */
static struct line_reply await_answer(struct line *line, uint64_t message_id) {
    int64_t deadline_ms = transport_deadline(line->target->timeout_ms);

    for (unsigned i = 0; i < LINE_STRAYS_MAX; i++) {
        struct line_reply reply = read_reply(line, deadline_ms);

        if (reply.answer != LINE_ANSWERED)
            return reply;
        if (!message_is_smb2(&reply.message))
            return reply_of_error(-EPROTO);
        if (reply.message.header.message_id == message_id && message_is_response(&reply.message) &&
            reply.status != STATUS_PENDING)
            return reply;
    }
    return reply_of_error(-EPROTO);
}

int line_send(struct line *line, struct span message) {
    assert(message.size <= sizeof line->out - FRAME_HEADER_SIZE);
    memcpy(line->out + FRAME_HEADER_SIZE, message.data, message.size);
    return send_frame(line, message.size);
}

struct line_reply line_receive(struct line *line) {
    return read_reply(line, transport_deadline(line->target->timeout_ms));
}

struct line_reply line_send_raw(struct line *line, struct span message) {
    int error = line_send(line, message);

    return error < 0 ? reply_of_error(error) : line_receive(line);
}

/* ---- requests ---- */

static void fill_header(struct line *line, struct message *request, uint16_t command) {
    bool first = command == SMB2_NEGOTIATE;

    request->header = (struct smb2_header){
        .protocol_id = SMB2_PROTOCOL_ID,
        .structure_size = SMB2_HEADER_SIZE,
        .credit_charge = first || line->negotiation.agreed.dialect == SMB2_DIALECT_202 ? 0 : 1,
        .command = command,
        .credits = CREDITS_ASKED,
        .message_id = line->next_message_id,
        .process_id = 0xfeff,
        .tree_id = command == SMB2_IOCTL ? line->tree_id : 0,
        .session_id = line->session_id,
    };
    line->next_message_id++;
}

static uint16_t command_of(const struct message *request) {
    switch (request->kind) {
    case MESSAGE_NEGOTIATE_REQUEST:
        return SMB2_NEGOTIATE;
    case MESSAGE_SESSION_SETUP_REQUEST:
        return SMB2_SESSION_SETUP;
    case MESSAGE_TREE_CONNECT_REQUEST:
        return SMB2_TREE_CONNECT;
    case MESSAGE_IOCTL_REQUEST:
        return SMB2_IOCTL;
    default:
        return SMB2_ECHO;
    }
}

/* Keeps a message of the preauthentication hash, and hashes it. */
static bool hash_message(struct line *line, struct span message) {
    if (line->hashed_count == LINE_HASHED_MAX || message.size > sizeof line->hashed_octets - line->hashed_size)
        return false;
    memmove(line->hashed_octets + line->hashed_size, message.data, message.size);
    line->hashed[line->hashed_count++] = (struct span){line->hashed_octets + line->hashed_size, message.size};
    line->hashed_size += message.size;
    return preauth_update(&line->preauth, message);
}

/* Encodes, protects, sends; 0 or a negative errno. */
static int send_request(struct line *line, struct message *request, enum line_protection protection) {
    struct writer writer = writer_over(line->out + FRAME_HEADER_SIZE, LINE_MESSAGE_MAX);
    uint16_t command = command_of(request);
    size_t size;

    if (protection == LINE_SIGNED && line->encrypts)
        protection = LINE_ENCRYPTED;
    fill_header(line, request, command);
    message_encode(request, &writer);
    if (writer.failed)
        return -EMSGSIZE;
    if (command == SMB2_NEGOTIATE || (command == SMB2_SESSION_SETUP && !line->established))
        if (!hash_message(line, writer_done(&writer)))
            return -ENOBUFS;
    size = protect(line, writer.at, protection);
    return size == 0 ? -EIO : send_frame(line, size);
}

struct line_reply line_exchange(struct line *line, struct message *request, enum line_protection protection) {
    int error = send_request(line, request, protection);

    return error < 0 ? reply_of_error(error) : await_answer(line, request->header.message_id);
}

/* ---- NEGOTIATE ---- */

void line_offer(const struct line *line, struct client_offer *offer) {
    uint8_t salt[CLIENT_SALT_SIZE] = {0};

    crypto_random(salt, sizeof salt); /* a salt that repeats itself harms no probe */
    client_offer_fill(&line->policy, salt, offer);
}

/* What was sent, as an observer decodes it. */
static void store_offer(struct line *line) {
    struct message sent;
    struct span octets = line->hashed[line->hashed_count - 1];

    message_decode(octets, octets.size, &sent);
    if (sent.body_valid)
        negotiation_store_offer(&line->negotiation, &sent);
}

struct line_reply line_negotiate(struct line *line, const struct client_offer *offer) {
    struct message request = {.kind = MESSAGE_NEGOTIATE_REQUEST, .body_valid = true};
    struct line_reply reply;

    request.body.negotiate_request = offer->request;
    preauth_init(&line->preauth);
    line->hashed_count = 0;
    line->hashed_size = 0;
    reply = line_exchange(line, &request, LINE_PLAIN);
    if (reply.answer != LINE_ANSWERED)
        return reply;
    store_offer(line);
    line->verdict = client_validate(&reply.message, &line->policy, &line->negotiation);
    if (verdict_goes_on(&line->verdict) && !hash_message(line, reply.message.bytes))
        return reply_of_error(-ENOBUFS);
    return reply;
}

bool line_agree(struct line *line, struct line_reply *reply) {
    struct client_offer offer;

    line_offer(line, &offer);
    *reply = line_negotiate(line, &offer);
    return reply->answer == LINE_ANSWERED && line->negotiation.stage == NEGOTIATION_DONE;
}

/* ---- SESSION_SETUP ---- */

void line_forget_session(struct line *line) {
    unsigned negotiates = line->hashed_count < 2 ? line->hashed_count : 2;

    forget_session(line);
    line->session_id = 0;
    line->encrypts = line->established = false;
    line->hashed_count = 0;
    line->hashed_size = 0;
    preauth_init(&line->preauth);
    for (unsigned i = 0; i < negotiates; i++)
        hash_message(line, line->hashed[i]);
}

static struct line_reply send_token(struct line *line, struct span token) {
    struct message request = {.kind = MESSAGE_SESSION_SETUP_REQUEST, .body_valid = true};

    request.body.session_setup_request = (struct session_setup_request){
        .structure_size = 25,
        .flags = line->setup_flags,
        .security_mode = (uint8_t)client_security_mode(&line->policy),
        .capabilities = SMB2_GLOBAL_CAP_DFS,
        .security_buffer_offset = 88,
        .security_buffer_length = (uint16_t)token.size,
        .previous_session_id = line->previous_session_id,
        .security_buffer = token,
    };
    return line_exchange(line, &request, line->established ? LINE_SIGNED : LINE_PLAIN);
}

static bool make_handles(struct line *line) {
    const struct negotiation_agreed *agreed = &line->negotiation.agreed;
    struct span key = {line->full_key, line->full_key_size};
    enum mac_algorithm algorithm;

    if (!session_keys_derive(&line->keys, agreed->dialect, agreed->cipher, key, &line->preauth) ||
        !signing_algorithm_find(agreed->dialect, agreed->signing_algorithm, &algorithm))
        return false;
    line->mac = mac_key_new(algorithm, (struct span){line->keys.signing, SESSION_KEY_SIZE});
    if (line->keys.cipher_size > 0) {
        line->seal =
            aead_key_new(agreed->cipher, AEAD_SEAL, (struct span){line->keys.client_to_server, line->keys.cipher_size});
        line->open =
            aead_key_new(agreed->cipher, AEAD_OPEN, (struct span){line->keys.server_to_client, line->keys.cipher_size});
        sealer_init(&line->sealer, line->seal, line->session_id);
    }
    return line->mac != NULL && (line->keys.cipher_size == 0 || (line->seal != NULL && line->open != NULL));
}

static bool take_key(struct line *line) {
    struct span key = auth_initiator_session_key(line->initiator);

    if (key.size == 0 || key.size > sizeof line->full_key)
        return false;
    memcpy(line->full_key, key.data, key.size);
    line->full_key_size = key.size;
    return true;
}

static struct line_logon fail_logon(struct line_logon logon, const char *reason) {
    logon.result = LOGON_FAILED;
    logon.reason = reason;
    return logon;
}

/* The server has said SUCCESS: keys, and the signature of what it said. */
static struct line_logon finish_logon(struct line *line, struct line_logon logon) {
    const struct session_setup_response *body = &logon.reply.message.body.session_setup_response;

    logon.result = LOGON_DONE;
    if (logon.reply.message.kind != MESSAGE_SESSION_SETUP_RESPONSE || !logon.reply.message.body_valid)
        return fail_logon(logon, "the server's last answer is malformed");
    logon.session_flags = body->session_flags;
    line->final = logon.reply.message.bytes;
    if ((logon.session_flags & (SESSION_FLAG_IS_GUEST | SESSION_FLAG_IS_NULL)) ||
        auth_initiator_is_anonymous(line->initiator))
        return logon;
    if (!line->established && (!take_key(line) || !make_handles(line)))
        return fail_logon(logon, "no keys could be made");
    logon.has_keys = line->established = true;
    if (!logon.reply.decrypted)
        logon.reply.signature = element_check(line->mac, line->final);
    line->encrypts |= (logon.session_flags & SESSION_FLAG_ENCRYPT_DATA) != 0 && line->seal != NULL;
    return logon;
}

static bool wants_more(const struct line_reply *reply) {
    return reply_has(reply, STATUS_MORE_PROCESSING_REQUIRED) && reply->message.kind == MESSAGE_SESSION_SETUP_RESPONSE &&
           reply->message.body_valid;
}

/* The authentication with the server's word in `token`; false where it failed on this side. */
static bool step(struct line *line, struct span token, enum auth_state *state, struct span *out) {
    *state = auth_initiator_step(line->initiator, token, out);
    return *state != AUTH_FAILED;
}

/* The server accepted: where the authentication still waits for its last word, this is it. */
static struct line_logon take_success(struct line *line, struct line_logon logon, enum auth_state state) {
    struct span token = logon.reply.message.body.session_setup_response.security_buffer, out;

    if (logon.reply.message.kind != MESSAGE_SESSION_SETUP_RESPONSE || !logon.reply.message.body_valid)
        token = (struct span){NULL, 0};
    if (state == AUTH_CONTINUE && !step(line, token, &state, &out))
        return fail_logon(logon, auth_initiator_reason(line->initiator));
    return state == AUTH_COMPLETE ? finish_logon(line, logon) : fail_logon(logon, "the server was content too early");
}

struct line_logon line_log_on(struct line *line, const struct auth_credentials *credentials) {
    struct line_logon logon = {.result = LOGON_LOST};
    struct span token = {NULL, 0}, out;
    enum auth_state state;

    auth_initiator_free(line->initiator);
    line->initiator = auth_initiator_new(credentials != NULL ? credentials : line->target->credentials);
    if (line->initiator == NULL)
        return fail_logon(logon, "no memory");
    for (unsigned leg = 0; leg < AUTH_LEGS_MAX; leg++) {
        if (!step(line, token, &state, &out))
            return fail_logon(logon, auth_initiator_reason(line->initiator));
        logon.reply = send_token(line, out);
        if (logon.reply.answer != LINE_ANSWERED)
            return logon;
        line->session_id = logon.reply.message.header.session_id;
        if (logon.reply.status == STATUS_SUCCESS)
            return take_success(line, logon, state);
        if (!wants_more(&logon.reply)) {
            logon.result = LOGON_REFUSED;
            return logon;
        }
        if (!line->established && !hash_message(line, logon.reply.message.bytes))
            return fail_logon(logon, "the messages are too long");
        token = logon.reply.message.body.session_setup_response.security_buffer;
    }
    return fail_logon(logon, "the authentication does not end");
}

/* ---- TREE_CONNECT, ECHO ---- */

static bool put_path(const struct line_target *target, struct writer *writer) {
    const char *share = target->share != NULL && target->share[0] != '\0' ? target->share : "IPC$";

    return text_to_utf16(text_span("\\\\"), writer) && text_to_utf16(text_span(target->host), writer) &&
           text_to_utf16(text_span("\\"), writer) && text_to_utf16(text_span(share), writer);
}

struct line_reply line_connect_tree(struct line *line, enum line_protection protection) {
    struct message request = {.kind = MESSAGE_TREE_CONNECT_REQUEST, .body_valid = true};
    uint8_t path[LINE_PATH_MAX];
    struct writer writer = writer_over(path, sizeof path);
    struct line_reply reply;

    if (!put_path(line->target, &writer))
        return reply_of_error(-EMSGSIZE);
    request.body.tree_connect_request = (struct tree_connect_request){.structure_size = 9,
                                                                      .path_offset = TREE_PATH_AT,
                                                                      .path_length = (uint16_t)writer.at,
                                                                      .path = writer_done(&writer)};
    reply = line_exchange(line, &request, protection);
    if (reply_has(&reply, STATUS_SUCCESS) && reply.message.body_valid) {
        const uint32_t encrypt_data = 0x8000; /* SMB2_SHAREFLAG_ENCRYPT_DATA (2.2.10) */

        line->tree_id = reply.message.header.tree_id;
        if ((reply.message.body.tree_connect_response.share_flags & encrypt_data) != 0 && line->seal != NULL)
            line->encrypts = true;
    }
    return reply;
}

bool line_is_alive(struct line *line) {
    struct message request = {.kind = MESSAGE_OTHER_REQUEST, .body_valid = true};
    static const uint8_t body[] = {4, 0, 0, 0}; /* 2.2.28 */
    uint8_t octets[SMB2_HEADER_SIZE + sizeof body] = {0};

    memcpy(octets + SMB2_HEADER_SIZE, body, sizeof body);
    request.bytes = (struct span){octets, sizeof octets};
    request.size = sizeof octets;
    return line_exchange(line, &request, line->mac != NULL ? LINE_SIGNED : LINE_PLAIN).answer == LINE_ANSWERED;
}

/* ---- FSCTL_VALIDATE_NEGOTIATE_INFO ---- */

void line_claim(const struct line *line, struct line_claim *claim) {
    client_info_fill(&line->negotiation, &line->policy, &claim->info);
    claim->max_output = VALIDATE_RESPONSE_SIZE;
}

void claim_set_dialects(struct line_claim *claim, const uint16_t *dialects, unsigned count) {
    struct writer writer = writer_over(claim->info.dialect_octets, sizeof claim->info.dialect_octets);

    for (unsigned i = 0; i < count; i++)
        writer_u16(&writer, dialects[i]);
    claim->info.request.dialects = writer_done(&writer);
    claim->info.request.dialect_count = (uint16_t)count;
}

struct line_reply line_validate(struct line *line, const struct line_claim *claim, enum line_protection protection) {
    struct message request = {.kind = MESSAGE_IOCTL_REQUEST, .body_valid = true};
    uint8_t input[VALIDATE_RESPONSE_SIZE + 2 * NEGOTIATION_DIALECTS_MAX];
    struct writer writer = writer_over(input, sizeof input);
    struct validate_negotiate_info_request info = claim->info.request;

    info.dialects.data = claim->info.dialect_octets; /* the claim may have been copied */
    validate_request_encode(&info, &writer);
    request.body.ioctl_request = (struct ioctl_request){
        .structure_size = 57,
        .ctl_code = FSCTL_VALIDATE_NEGOTIATE_INFO,
        .input_offset = IOCTL_INPUT_AT,
        .input_count = (uint32_t)writer.at,
        .output_offset = IOCTL_INPUT_AT,
        .max_output_response = claim->max_output,
        .flags = IOCTL_IS_FSCTL,
        .input = writer_done(&writer),
    };
    memset(request.body.ioctl_request.file_id, 0xff, sizeof request.body.ioctl_request.file_id);
    return line_exchange(line, &request, protection);
}

bool reply_read_info(const struct line_reply *reply, struct validate_negotiate_info_response *info) {
    return reply_has(reply, STATUS_SUCCESS) && reply->message.kind == MESSAGE_IOCTL_RESPONSE &&
           reply->message.body_valid && reply->message.body.ioctl_response.ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO &&
           validate_response_decode(reply->message.body.ioctl_response.output, info);
}
