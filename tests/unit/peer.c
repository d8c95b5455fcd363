#include "peer.h"

#include <assert.h>
#include <string.h>

#define PROTOCOL_ID 0x424d53feu

/* One response that is being made, maybe a chain. */
struct answer {
    uint8_t data[PEER_FRAME_MAX];
    size_t size;
    bool encrypt;
};

void peer_init(struct peer *peer) {
    memset(peer, 0, sizeof *peer);
    server_policy_defaults(&peer->policy);
    negotiation_init(&peer->record);
    memset(peer->fresh.server_guid, 0x5e, 16);
    memset(peer->fresh.salt, 0xa5, SALT_SIZE);
    memset(peer->session_key, 0x4b, sizeof peer->session_key);
    peer->fresh.system_time = 0x01dd7a8c5e0206a4;
    peer->fresh.security_buffer = (struct span){(const uint8_t *)"hint", 4};
    peer->legs = 2;
    peer->credits = 32;
}

void peer_free(struct peer *peer) {
    mac_key_free(peer->handles.mac);
    aead_key_free(peer->handles.seal);
    aead_key_free(peer->handles.open);
}

static bool twist_is_for(const struct peer *peer, uint16_t command, bool after) {
    const struct peer_twist *twist = &peer->twist;

    return twist->active && !twist->sealed && twist->after == after && twist->command == command &&
           peer->answered[command] == twist->nth;
}

static void twist_octets(const struct peer_twist *twist, uint8_t *data, size_t size) {
    assert(twist->offset + twist->width <= size);
    for (unsigned i = 0; i < twist->width; i++) {
        uint8_t octet = (uint8_t)(twist->value >> 8 * i);

        data[twist->offset + i] = twist->flip ? data[twist->offset + i] ^ octet : octet;
    }
}

/* The size of the message that comes out. */
static size_t twist_message(const struct peer *peer, uint16_t command, bool after, uint8_t *data, size_t size) {
    if (!twist_is_for(peer, command, after))
        return size;
    if (peer->twist.width == 0)
        return peer->twist.offset;
    twist_octets(&peer->twist, data, size);
    return size;
}

static void make_keys(struct peer *peer) {
    const struct negotiation_agreed *agreed = &peer->record.agreed;
    struct span key = {peer->session_key, sizeof peer->session_key};
    enum mac_algorithm algorithm;

    if (peer->has_keys || !session_keys_derive(&peer->keys, agreed->dialect, agreed->cipher, key, &peer->preauth))
        return;
    signing_algorithm_find(agreed->dialect, agreed->signing_algorithm, &algorithm);
    peer->handles.mac = mac_key_new(algorithm, (struct span){peer->keys.signing, SESSION_KEY_SIZE});
    if (agreed->cipher != CIPHER_NONE) {
        struct span to_client = {peer->keys.server_to_client, peer->keys.cipher_size};
        struct span from_client = {peer->keys.client_to_server, peer->keys.cipher_size};

        peer->handles.seal = aead_key_new(agreed->cipher, AEAD_SEAL, to_client);
        peer->handles.open = aead_key_new(agreed->cipher, AEAD_OPEN, from_client);
        if (peer->handles.seal != NULL)
            sealer_init(&peer->sealer, peer->handles.seal, PEER_SESSION_ID);
    }
    peer->has_keys = peer->handles.mac != NULL;
}

/* ---- bodies ---- */

static void set_error(struct message *response, uint32_t status) {
    response->kind = MESSAGE_ERROR;
    response->header.status = status;
    response->body.error = (struct error_response){.structure_size = 9};
}

static bool answer_negotiate(struct peer *peer, const struct message *request, struct message *response) {
    static struct server_answer answer; /* its spans are encoded before the next call */
    struct verdict verdict = request->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST
                                 ? server_validate_smb1(request, &peer->policy, &peer->fresh, &peer->record, &answer)
                                 : server_validate(request, &peer->policy, &peer->fresh, &peer->record, &answer);

    if (verdict.action == ACTION_REFUSE)
        set_error(response, verdict.status);
    if (!verdict_goes_on(&verdict))
        return verdict.action == ACTION_REFUSE;
    response->kind = MESSAGE_NEGOTIATE_RESPONSE;
    response->body.negotiate_response = answer.response;
    return true;
}

static bool is_keyless(const struct peer *peer) {
    return (peer->session_flags & (SESSION_FLAG_IS_GUEST | SESSION_FLAG_IS_NULL)) != 0;
}

static bool answer_session_setup(struct peer *peer, struct message *response) {
    bool more = ++peer->tokens % peer->legs != 0;

    response->header.session_id = PEER_SESSION_ID;
    if (peer->setup_status != 0 && !more) {
        set_error(response, peer->setup_status);
        return true;
    }
    response->kind = MESSAGE_SESSION_SETUP_RESPONSE;
    response->header.status = more ? STATUS_MORE_PROCESSING_REQUIRED : STATUS_SUCCESS;
    response->body.session_setup_response = (struct session_setup_response){
        .structure_size = 9,
        .session_flags = more ? 0 : peer->session_flags,
        .security_buffer_offset = 72,
        .security_buffer_length = 6,
        .security_buffer = {(const uint8_t *)"answer", 6},
    };
    if (!more && !is_keyless(peer))
        make_keys(peer);
    return true;
}

static void answer_tree_connect(const struct peer *peer, struct message *response) {
    if (peer->tree_status != 0) {
        set_error(response, peer->tree_status);
        return;
    }
    response->kind = MESSAGE_TREE_CONNECT_RESPONSE;
    response->header.tree_id = PEER_TREE_ID;
    response->body.tree_connect_response =
        (struct tree_connect_response){.structure_size = 16, .share_type = 1, .share_flags = peer->share_flags};
}

/* False: the server closes the connection. */
static bool answer_ioctl(struct peer *peer, const struct message *request, struct message *response, bool sealed) {
    static uint8_t output[VALIDATE_RESPONSE_SIZE]; /* as above */
    struct validate_negotiate_info_response info;
    struct writer writer = writer_over(output, sizeof output);
    enum protection protection = sealed                                        ? PROTECTION_ENCRYPTED
                                 : request->header.flags & SMB2_FLAGS_SIGNED ? PROTECTION_SIGNED
                                                                               : PROTECTION_NONE;
    struct verdict verdict = server_validate_info(request, &peer->record, &peer->policy, protection, &info);

    if (peer->info_status != 0 || verdict.action == ACTION_REFUSE) {
        set_error(response, peer->info_status != 0 ? peer->info_status : verdict.status);
        return true;
    }
    if (!verdict_goes_on(&verdict) || peer->silent_info)
        return false;
    validate_response_encode(&info, &writer);
    response->kind = MESSAGE_IOCTL_RESPONSE;
    response->body.ioctl_response = (struct ioctl_response){.structure_size = 49,
                                                            .ctl_code = FSCTL_VALIDATE_NEGOTIATE_INFO,
                                                            .input_offset = 112,
                                                            .output_offset = 112,
                                                            .output_count = VALIDATE_RESPONSE_SIZE,
                                                            .output = writer_done(&writer)};
    memset(response->body.ioctl_response.file_id, 0xff, 16);
    return true;
}

static bool answer_body(struct peer *peer, const struct message *request, struct message *response, bool sealed) {
    switch (request->header.command) {
    case SMB2_NEGOTIATE:
        return answer_negotiate(peer, request, response);
    case SMB2_SESSION_SETUP:
        return answer_session_setup(peer, response);
    case SMB2_TREE_CONNECT:
        answer_tree_connect(peer, response);
        return true;
    case SMB2_IOCTL:
        return answer_ioctl(peer, request, response, sealed);
    default: /* LOGOFF, ECHO and whatever the tests call a request */
        response->kind = MESSAGE_LOGOFF_RESPONSE;
        response->body.empty = (struct empty_body){.structure_size = 4};
        if (peer->request_status != 0)
            set_error(response, peer->request_status);
        return true;
    }
}

/* ---- frames ---- */

static bool is_to_be_signed(const struct peer *peer, const struct message *request, const struct message *response) {
    uint16_t command = request->header.command;
    bool is_final = command == SMB2_SESSION_SETUP && response->header.status == STATUS_SUCCESS;

    if (!peer->has_keys || peer->unsigned_commands >> command & 1u || response->header.status == STATUS_PENDING)
        return false;
    return is_final || (request->header.flags & SMB2_FLAGS_SIGNED);
}

static void put_frame(struct peer *peer, struct answer *answer) {
    assert(peer->frames_count < PEER_FRAMES_MAX);
    struct peer_frame *frame = &peer->frames[peer->frames_count++];
    size_t size = answer->size;
    uint8_t *content = frame->data + FRAME_HEADER_SIZE;

    if (answer->encrypt) {
        memcpy(content + TRANSFORM_HEADER_SIZE, answer->data, size);
        bool good = sealer_seal(&peer->sealer, (struct span){content + TRANSFORM_HEADER_SIZE, size}, content,
                                PEER_FRAME_MAX - FRAME_HEADER_SIZE);
        assert(good);
        size += TRANSFORM_HEADER_SIZE;
        if (peer->twist.active && peer->twist.sealed)
            twist_octets(&peer->twist, content, size);
    } else {
        memcpy(content, answer->data, size);
    }
    struct writer writer = writer_over(frame->data, FRAME_HEADER_SIZE);
    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, (uint32_t)size});
    frame->size = FRAME_HEADER_SIZE + size;
}

static void sign_response(struct peer *peer, const struct message *request, const struct message *response,
                          uint8_t *data, size_t size) {
    if (is_to_be_signed(peer, request, response)) {
        bool good = element_sign(peer->handles.mac, data, size);
        assert(good || peer->twist.active);
    }
}

static struct smb2_header response_header(const struct peer *peer, const struct message *request) {
    struct smb2_header header = request->header;

    header.protocol_id = PROTOCOL_ID;
    header.structure_size = SMB2_HEADER_SIZE;
    header.credits = peer->credits;
    header.status = STATUS_SUCCESS;
    header.flags = (header.flags & SMB2_FLAGS_RELATED_OPERATIONS) | SMB2_FLAGS_SERVER_TO_REDIR;
    header.next_command = 0;
    memset(header.signature, 0, sizeof header.signature);
    return header;
}

static void put_interim(struct peer *peer, const struct message *request, bool sealed) {
    struct answer answer = {.encrypt = sealed};
    struct message interim = {.header = response_header(peer, request)};
    struct writer writer = writer_over(answer.data, sizeof answer.data);

    set_error(&interim, STATUS_PENDING);
    interim.header.flags |= SMB2_FLAGS_ASYNC_COMMAND;
    interim.header.process_id = (uint32_t)PEER_ASYNC_ID;
    interim.header.tree_id = (uint32_t)(PEER_ASYNC_ID >> 32);
    message_encode(&interim, &writer);
    answer.size = writer.at;
    put_frame(peer, &answer);
}

/* Appends the response to one element. False: the connection is closed. */
static bool answer_element(struct peer *peer, const struct message *request, bool sealed, bool last,
                           struct answer *answer) {
    struct message response = {.header = response_header(peer, request)};
    struct writer writer = writer_over(answer->data + answer->size, sizeof answer->data - answer->size);
    uint16_t command = request->header.command;

    assert(command < 32);
    if (command == SMB2_SESSION_SETUP && !peer->has_keys)
        preauth_update(&peer->preauth, request->bytes);
    if (!answer_body(peer, request, &response, sealed))
        return false;
    if (peer->interim && command != SMB2_NEGOTIATE && last && answer->size == 0)
        put_interim(peer, request, sealed);
    message_encode(&response, &writer);
    assert(!writer.failed);
    if (!last) {
        writer_align(&writer, 8);
        struct writer next = writer_over(writer.data + 20, 4);
        writer_u32(&next, (uint32_t)writer.at);
    }
    size_t size = twist_message(peer, command, false, writer.data, writer.at);
    if (!sealed)
        sign_response(peer, request, &response, writer.data, size);
    struct span bytes = {writer.data, size};
    if (command == SMB2_NEGOTIATE || (command == SMB2_SESSION_SETUP && !peer->has_keys))
        preauth_update(&peer->preauth, bytes);
    answer->size += twist_message(peer, command, true, writer.data, size);
    peer->answered[command]++;
    return true;
}

/* What the client sent is looked at as a server does. */
static void check_request(struct peer *peer, const struct message *request) {
    if (message_is_smb2(request))
        peer->last_message_id = request->header.message_id;
    if (!(request->header.flags & SMB2_FLAGS_SIGNED)) {
        peer->unsigned_requests++;
        return;
    }
    peer->signed_commands |= 1u << request->header.command;
    if (!peer->has_keys || element_check(peer->handles.mac, request->bytes) != SIGNATURE_GOOD)
        peer->bad_signatures++;
}

void peer_answer(struct peer *peer, struct span frame) {
    uint8_t plain[PEER_FRAME_MAX];
    struct span content = span_slice(frame, FRAME_HEADER_SIZE, frame.size);
    struct answer answer = {.size = 0};
    struct message request;
    bool sealed = content.data[0] == 0xfd;

    peer->frames_count = 0;
    peer->last_sealed = sealed;
    if (sealed) {
        assert(content.size <= sizeof plain && peer->handles.open != NULL);
        enum transform_fault fault = transform_open(peer->handles.open, PEER_SESSION_ID, content, plain);
        assert(fault == TRANSFORM_GOOD);
        content = (struct span){plain, content.size - TRANSFORM_HEADER_SIZE};
    }
    struct chain_cursor cursor = chain_cursor(content, content.size);
    while (chain_next(&cursor, &request)) {
        check_request(peer, &request);
        if (request.header.command == SMB2_CANCEL)
            return;
        if (request.kind == MESSAGE_NEGOTIATE_REQUEST) {
            preauth_init(&peer->preauth);
            preauth_update(&peer->preauth, request.bytes);
        }
        if (!answer_element(peer, &request, sealed, cursor.done, &answer))
            return;
    }
    answer.encrypt = sealed && !(peer->plain_commands >> request.header.command & 1u);
    put_frame(peer, &answer);
}
