#include "talk.h"

#include <assert.h>
#include <string.h>

#include "core/client_offer.h"

#define PROTOCOL_ID 0x424d53feu

static void take_frame(void *arguments, struct span frame);

void talk_init(struct talk *talk, uint16_t dialect) {
    memset(talk, 0, offsetof(struct talk, frame));
    talk->frame.size = talk->frame.count = 0;
    host_init(&talk->host, &talk->ring);
    talk->host.send = take_frame;
    talk->host.arguments = talk;
    talk->dialect = dialect;
    talk->signing = SIGNING_AES_GMAC;
    talk->cipher = CIPHER_AES_128_GCM;
    talk->mode = SMB2_SIGNING_ENABLED;
    host_begin(&talk->host);
}

void talk_free(struct talk *talk) {
    host_free(&talk->host);
    keyring_empty(&talk->ring);
}

/* ---- what comes ---- */

static void take_message(struct talk *talk, const struct message *message, bool encrypted) {
    assert(talk->answers_count < TALK_ANSWERS_MAX);
    struct talk_answer *answer = &talk->answers[talk->answers_count++];
    *answer = (struct talk_answer){.message = *message, .encrypted = encrypted, .signature = SIGNATURE_MISSING};
    if (talk->mac != NULL)
        answer->signature = element_check(talk->mac, message->bytes);
}

static struct span unseal(struct talk *talk, struct span content) {
    struct transform transform;
    assert(transform_read(content, &transform) == TRANSFORM_GOOD && talk->open != NULL);
    uint8_t *plain = talk->received + talk->received_size;
    enum transform_fault fault = transform_open(talk->open, talk->session_id, content, plain);
    assert(fault == TRANSFORM_GOOD);
    talk->received_size += content.size - TRANSFORM_HEADER_SIZE;
    return (struct span){plain, content.size - TRANSFORM_HEADER_SIZE};
}

static void take_frame(void *arguments, struct span frame) {
    struct talk *talk = arguments;
    struct frame header;
    assert(frame_decode(frame, &header) && header.length == frame.size - FRAME_HEADER_SIZE);
    assert(talk->received_size + 2 * frame.size < sizeof talk->received);
    uint8_t *copy = talk->received + talk->received_size;
    memcpy(copy, frame.data + FRAME_HEADER_SIZE, header.length);
    talk->received_size += header.length;
    struct span content = {copy, header.length};
    bool encrypted = copy[0] == 0xfd;
    if (encrypted)
        content = unseal(talk, content);
    struct chain_cursor cursor = chain_cursor(content, content.size);
    struct message message;
    while (chain_next(&cursor, &message))
        take_message(talk, &message, encrypted);
    assert(!cursor.malformed && !cursor.misaligned);
    talk->frames_count++;
}

uint32_t talk_status(const struct talk *talk) {
    assert(talk->answers_count > 0);
    return talk->answers[0].message.header.status;
}

/* ---- what goes ---- */

uint8_t *talk_add(struct talk *talk, uint16_t command, const void *body, size_t body_size, bool sign) {
    struct talk_frame *frame = &talk->frame;
    size_t start = (frame->size + 7) & ~(size_t)7;
    const struct smb2_header header = {.protocol_id = PROTOCOL_ID,
                                       .structure_size = SMB2_HEADER_SIZE,
                                       .credit_charge = talk->dialect == SMB2_DIALECT_202 ? 0 : 1,
                                       .command = command,
                                       .credits = 8,
                                       .message_id = talk->message_id++,
                                       .tree_id = talk->tree_id,
                                       .session_id = talk->session_id};
    assert(start + SMB2_HEADER_SIZE + body_size <= TALK_MESSAGE_MAX && frame->count < SERVER_CHAIN_MAX + 2);
    memset(frame->data + frame->size, 0, start - frame->size);
    if (frame->count > 0) {
        struct writer next = writer_over(frame->data + frame->starts[frame->count - 1] + 20, 4);
        writer_u32(&next, (uint32_t)(start - frame->starts[frame->count - 1]));
    }
    struct writer writer = writer_over(frame->data + start, TALK_MESSAGE_MAX - start);
    smb2_header_encode(&header, &writer);
    writer_put(&writer, (struct span){body, body_size});
    assert(!writer.failed);
    frame->starts[frame->count] = start;
    frame->sign[frame->count++] = sign;
    frame->size = start + writer.at;
    return frame->data + start;
}

static void sign_elements(struct talk *talk) {
    struct talk_frame *frame = &talk->frame;
    for (unsigned i = 0; i < frame->count; i++) {
        size_t end = i + 1 < frame->count ? frame->starts[i + 1] : frame->size;
        if (!frame->sign[i])
            continue;
        bool good = element_sign(talk->mac, frame->data + frame->starts[i], end - frame->starts[i]);
        assert(good);
    }
}

bool talk_give(struct talk *talk, const void *content, size_t size) {
    talk->answers_count = talk->frames_count = 0;
    talk->received_size = 0;
    talk->closed = !host_give(&talk->host, (struct span){content, size});
    return !talk->closed;
}

bool talk_send(struct talk *talk, bool seal) {
    static uint8_t sealed[TALK_MESSAGE_MAX + TRANSFORM_HEADER_SIZE];
    struct talk_frame *frame = &talk->frame;
    struct span content = {frame->data, frame->size};
    if (!seal)
        sign_elements(talk);
    if (seal) {
        uint8_t nonce[TRANSFORM_NONCE_SIZE] = {0};
        talk->nonce++;
        memcpy(nonce, &talk->nonce, sizeof talk->nonce);
        bool good = transform_seal(talk->seal, talk->session_id, nonce, content, sealed, sizeof sealed);
        assert(good);
        content = (struct span){sealed, frame->size + TRANSFORM_HEADER_SIZE};
    }
    frame->size = frame->count = 0;
    return talk_give(talk, content.data, content.size);
}

void talk_keep(struct talk *talk) {
    assert(talk->kept_count < SIGN_TOGETHER_MAX);
    sign_elements(talk);
    talk->kept[talk->kept_count++] = talk->frame;
    talk->frame.size = talk->frame.count = 0;
}

bool talk_send_together(struct talk *talk) {
    struct span contents[SIGN_TOGETHER_MAX] = {0};
    for (unsigned i = 0; i < talk->kept_count; i++)
        contents[i] = (struct span){talk->kept[i].data, talk->kept[i].size};
    talk->answers_count = talk->frames_count = 0;
    talk->received_size = 0;
    talk->closed = !host_give_together(&talk->host, contents, talk->kept_count);
    talk->kept_count = 0;
    return !talk->closed;
}

/* ---- the usual beginnings ---- */

void talk_negotiate(struct talk *talk) {
    struct client_policy policy;
    struct client_offer offer;
    uint8_t message[512];
    static const uint8_t salt[CLIENT_SALT_SIZE] = {0x77};
    client_policy_defaults(&policy);
    policy.dialects = (struct id_list){{talk->dialect}, 1};
    policy.signing_algorithms = (struct id_list){{talk->signing}, 1};
    policy.ciphers = (struct id_list){{talk->cipher}, 1};
    policy.signing_required = (talk->mode & SMB2_SIGNING_REQUIRED) != 0;
    memset(policy.guid, 0xc1, sizeof policy.guid);
    client_offer_fill(&policy, salt, &offer);
    struct writer writer = writer_over(message, sizeof message);
    negotiate_request_encode(&(struct smb2_header){0}, &offer.request, &writer);
    talk_add(talk, SMB2_NEGOTIATE, message + SMB2_HEADER_SIZE, writer.at - SMB2_HEADER_SIZE, false);
    struct talk_frame *frame = &talk->frame;
    preauth_init(&talk->preauth);
    preauth_update(&talk->preauth, (struct span){frame->data, frame->size});
    bool open = talk_send(talk, false);
    assert(open && talk_status(talk) == STATUS_SUCCESS);
    preauth_update(&talk->preauth, talk->answers[0].message.bytes);
    assert(talk->answers[0].message.body.negotiate_response.dialect_revision == talk->dialect);
}

bool talk_setup(struct talk *talk, uint64_t session_id, bool sign) {
    const uint8_t body[] = {
        25, 0, 0, (uint8_t)talk->mode, 0, 0, 0, 0, 0, 0, 0, 0, 88, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 't', 'a', 'l', 'k'};
    talk->session_id = session_id;
    talk_add(talk, SMB2_SESSION_SETUP, body, sizeof body, sign);
    if (session_id == 0)
        talk->session_preauth = talk->preauth;
    if (talk->mac == NULL)
        preauth_update(&talk->session_preauth, (struct span){talk->frame.data, talk->frame.size});
    bool open = talk_send(talk, false);
    if (!open || talk->answers_count == 0)
        return open;
    const struct message *answer = &talk->answers[0].message;
    talk->session_id = answer->header.session_id;
    if (answer->header.status == STATUS_MORE_PROCESSING_REQUIRED && talk->mac == NULL)
        preauth_update(&talk->session_preauth, answer->bytes);
    return open;
}

static void make_keys(struct talk *talk) {
    const struct negotiation_agreed *agreed = &talk->host.server.negotiation.agreed;
    bool good = session_keys_derive(&talk->keys, agreed->dialect, agreed->cipher,
                                    (struct span){talk->host.key, talk->host.key_size}, &talk->session_preauth);
    assert(good);
    talk->mac = keyring_mac(&talk->ring, agreed, &talk->keys);
    talk->seal = keyring_seal(&talk->ring, agreed->cipher, talk->keys.client_to_server, talk->keys.cipher_size);
    talk->open = keyring_open(&talk->ring, agreed->cipher, talk->keys.server_to_client, talk->keys.cipher_size);
}

void talk_logon(struct talk *talk) {
    if (talk->message_id == 0)
        talk_negotiate(talk);
    bool open = talk_setup(talk, 0, false);
    assert(open && talk_status(talk) == STATUS_MORE_PROCESSING_REQUIRED);
    open = talk_setup(talk, talk->session_id, false);
    assert(open && talk_status(talk) == STATUS_SUCCESS);
    if (talk->host.logon == HOST_LOGON_USER)
        make_keys(talk);
}

void talk_tree(struct talk *talk, const char *share, bool sign, bool seal) {
    uint8_t body[8 + 64] = {9, 0, 0, 0, 72, 0};
    size_t length = strlen(share);
    assert(2 * length <= 64);
    body[6] = (uint8_t)(2 * length);
    for (size_t i = 0; i < length; i++)
        body[8 + 2 * i] = (uint8_t)share[i];
    talk->tree_id = 0;
    talk_add(talk, SMB2_TREE_CONNECT, body, 8 + 2 * length, sign);
    bool open = talk_send(talk, seal);
    assert(open);
    talk->tree_id = talk->answers[0].message.header.tree_id;
}
