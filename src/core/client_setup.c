/* From NEGOTIATE to an authenticated session (3.2.4.2, 3.2.5.2, 3.2.5.3). */
#include "core/client_internal.h"

#include <assert.h>
#include <string.h>

#include "core/client_validate.h"

#define SMB1_PROTOCOL_ID 0x424d53ffu
#define SMB1_NEGOTIATE   0x72u
/* What Windows sends: Unicode, NT status codes, extended security, long names, signing possible. */
#define SMB1_FLAGS        0x18u
#define SMB1_FLAGS2       0xc853u
#define SMB1_TID_NONE     0xffffu
#define SMB1_DIALECTS_MAX 32u /* octets: both strings with their marks */
/* Where the security buffer of a SESSION_SETUP request begins, from the protocol id (2.2.5). */
#define SESSION_BUFFER_AT 88u

/* ---- messages of the set-up ---- */

/* Writes the body of a `struct message` behind the header that is there. */
static void encode_message(struct writer *writer, const void *arguments) {
    struct message message = *(const struct message *)arguments;
    struct writer whole = writer_over(writer->data, writer->size);

    smb2_header_decode((struct span){writer->data, writer->at}, &message.header);
    message_encode(&message, &whole);
    writer->at = whole.at;
    writer->failed |= whole.failed;
}

bool client_hash(struct client *client, struct span message) {
    if (preauth_update(&client->preauth, message))
        return true;
    client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
    return false;
}

void client_send_message(struct client *client, uint16_t command, bool must_sign, struct message *message) {
    struct client_frame frame;
    struct client_request request = {.command = command, .tree_id = client->tree, .must_sign = must_sign};

    if (command != SMB2_IOCTL)
        request.tree_id = 0;
    client_frame_begin(&frame, client->output, CLIENT_OUTPUT_MAX);
    if (!client_frame_add(client, &frame, &request, encode_message, message)) { /* room there is */
        client_fail_rule(client, RULE_CREDITS_NONE, NULL, 0);
        return;
    }
    client_pending_find(client, request.message_id)->internal = true;
    struct span plain = {client->output + CLIENT_HEADROOM, frame.at - CLIENT_HEADROOM};
    if (frame.encrypt)
        client_observe(client, FROM_CLIENT, plain);
    client->frame = client_frame_finish(client, &frame);
    if (client_is_closed(client))
        return;
    if (!frame.encrypt)
        client_observe(client, FROM_CLIENT, plain);
    client->want = CLIENT_SEND;
}

/* ---- NEGOTIATE ---- */

static void put_smb1_dialect(struct writer *writer, const char *name) {
    writer_u8(writer, 2);
    writer_put(writer, (struct span){(const uint8_t *)name, strlen(name) + 1});
}

/* Only SMB2 is offered, so that a server which has but SMB1 closes the connection. */
static void fill_smb1(const struct client *client, struct smb1_negotiate_request *request, struct writer *dialects) {
    if (id_list_has(&client->policy.dialects, SMB2_DIALECT_202))
        put_smb1_dialect(dialects, "SMB 2.002");
    if (id_list_greatest(&client->policy.dialects) > SMB2_DIALECT_202)
        put_smb1_dialect(dialects, "SMB 2.???");
    *request = (struct smb1_negotiate_request){
        .header = {.protocol_id = SMB1_PROTOCOL_ID,
                   .command = SMB1_NEGOTIATE,
                   .flags = SMB1_FLAGS,
                   .flags2 = SMB1_FLAGS2,
                   .tid = SMB1_TID_NONE},
        .byte_count = (uint16_t)dialects->at,
        .dialects = writer_done(dialects),
    };
}

static void store_offer(struct client *client, struct span octets) {
    struct message message;

    message_decode(octets, octets.size, &message);
    negotiation_store_offer(&client->negotiation, &message);
}

/* It takes the first MessageId (3.3.5.2.3). */
static void send_smb1(struct client *client) {
    uint8_t room[SMB1_DIALECTS_MAX];
    struct smb1_negotiate_request request;
    struct writer dialects = writer_over(room, sizeof room);
    struct writer writer = writer_over(client->output, CLIENT_OUTPUT_MAX);

    fill_smb1(client, &request, &dialects);
    writer_zero(&writer, FRAME_HEADER_SIZE);
    smb1_negotiate_request_encode(&request, &writer);
    client->frame = writer_done(&writer);
    struct span message = span_slice(client->frame, FRAME_HEADER_SIZE, SIZE_MAX);
    struct writer head = writer_over(client->output, FRAME_HEADER_SIZE);
    frame_encode(&head, &(struct frame){FRAME_MESSAGE, (uint32_t)message.size});
    assert(!writer.failed && !head.failed && !dialects.failed);
    store_offer(client, message);
    client_observe(client, FROM_CLIENT, message);
    client_pending_add(client, client->next_message_id++, SMB2_NEGOTIATE)->internal = true;
    client->credits--;
    client->want = CLIENT_SEND;
}

static void send_negotiate(struct client *client) {
    struct client_offer offer;
    struct message message = {.kind = MESSAGE_NEGOTIATE_REQUEST};

    client_offer_fill(&client->policy, client->salt, &offer);
    message.body.negotiate_request = offer.request;
    client_send_message(client, SMB2_NEGOTIATE, false, &message);
    if (client_is_closed(client))
        return;
    struct span octets = span_slice(client->frame, FRAME_HEADER_SIZE, SIZE_MAX);
    store_offer(client, octets);
    preauth_init(&client->preauth); /* what went before in SMB1 is not hashed */
    client_hash(client, octets);
}

void client_begin(struct client *client) {
    if (client->policy.offers_smb1_first)
        send_smb1(client);
    else
        send_negotiate(client);
}

static void fail_negotiate(struct client *client, const struct verdict *verdict, const struct message *response) {
    if (verdict->rule == RULE_RESPONSE_STATUS)
        client_fail(client, CLIENT_FAULT_STATUS, verdict->status);
    else
        client_fail_verdict(client, verdict, response);
}

/* The server's hint begins the authentication. */
static void begin_session(struct client *client, struct span hint) {
    client->phase = CLIENT_PHASE_SESSION_SETUP;
    client->token = hint;
    client->want = CLIENT_TOKEN;
}

static void take_negotiate_answer(struct client *client, const struct message *response) {
    struct verdict verdict = client_validate(response, &client->policy, &client->negotiation);
    struct verdict observed = client_observe(client, FROM_SERVER, response->bytes);

    if (verdict_goes_on(&verdict) && observed.rule != RULE_NONE)
        verdict = observed;
    if (!verdict_goes_on(&verdict)) {
        fail_negotiate(client, &verdict, response);
        return;
    }
    if (client->negotiation.stage == NEGOTIATION_WILDCARD) {
        send_negotiate(client);
        return;
    }
    if (!client_hash(client, response->bytes))
        return;
    if (client->negotiation.agreed.dialect == SMB2_DIALECT_311)
        memcpy(client->negotiation.preauth_hash, client->preauth.value, PREAUTH_HASH_SIZE);
    begin_session(client, response->body.negotiate_response.security_buffer);
}

/* ---- SESSION_SETUP ---- */

static void send_token(struct client *client, struct span token) {
    struct message message = {.kind = MESSAGE_SESSION_SETUP_REQUEST};
    uint16_t mode = client_security_mode(&client->policy);

    message.body.session_setup_request = (struct session_setup_request){
        .structure_size = 25,
        .security_mode = (uint8_t)mode,
        .capabilities = client_capabilities(&client->policy) & SMB2_GLOBAL_CAP_DFS,
        .security_buffer_offset = SESSION_BUFFER_AT,
        .security_buffer_length = (uint16_t)token.size,
        .security_buffer = token,
    };
    client_send_message(client, SMB2_SESSION_SETUP, client->reauthenticating, &message);
    if (!client_is_closed(client) && !client->reauthenticating)
        client_hash(client, span_slice(client->frame, FRAME_HEADER_SIZE, SIZE_MAX));
}

static void become_ready(struct client *client) {
    client->phase = CLIENT_PHASE_READY;
    client->reauthenticating = false;
    client->final = client->token = (struct span){NULL, 0};
    crypto_wipe(client->full_key, sizeof client->full_key);
    client->want = CLIENT_READY;
}

/* A session without keys: nobody proved anything, nothing is protected. */
static void finish_keyless(struct client *client) {
    if (client->policy.encryption == ENCRYPTION_MUST) {
        client_fail_rule(client, RULE_ENCRYPTION_UNAVAILABLE, NULL, CLIENT_AT_SESSION_FLAGS);
        return;
    }
    client->has_session = true;
    become_ready(client);
}

static void derive_keys(struct client *client) {
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;
    struct span key = {client->full_key, client->full_key_size};

    if (session_keys_derive(&client->keys, agreed->dialect, agreed->cipher, key, &client->preauth))
        client->want = CLIENT_KEYS;
    else
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
}

/* The server has said SUCCESS, and the authentication on this side is complete. */
static void finish_session(struct client *client) {
    if (client->reauthenticating)
        become_ready(client); /* the keys stay, and this response was verified with them (3.2.5.3.2) */
    else if (client->anonymous || client->is_guest || client->is_null)
        finish_keyless(client);
    else
        derive_keys(client);
}

static bool guest_is_refused(const struct client *client) {
    bool degraded = client->is_guest || client->is_null;

    if (client->anonymous || !degraded)
        return false;
    return !client->policy.allow_guest || client->policy.signing_required;
}

static void take_success(struct client *client, const struct message *response) {
    if (!client->reauthenticating) {
        client->session_flags = response->body.session_setup_response.session_flags;
        client->is_guest = client->session_flags & SESSION_FLAG_IS_GUEST;
        client->is_null = client->session_flags & SESSION_FLAG_IS_NULL;
        if (guest_is_refused(client)) {
            client_fail_rule(client, RULE_SESSION_GUEST, response, CLIENT_AT_SESSION_FLAGS);
            return;
        }
    }
    client->final = response->bytes;
    if (client->token_complete || (!client->anonymous && (client->is_guest || client->is_null)))
        finish_session(client);
    else
        client->want = CLIENT_TOKEN;
}

static void take_more(struct client *client, const struct message *response) {
    if (client->token_complete || client->legs >= CLIENT_AUTHENTICATION_LEGS_MAX) {
        client_fail_rule(client, RULE_SESSION_ENDLESS, response, CLIENT_AT_STATUS);
        return;
    }
    if (!client->reauthenticating && !client_hash(client, response->bytes))
        return;
    client->want = CLIENT_TOKEN;
}

/* The server's first answer names the session, and the next ones must not change it (3.3.5.5.1). */
static bool take_session_id(struct client *client, const struct message *response) {
    uint64_t id = response->header.session_id;
    bool is_first = client->session_id == 0;

    if (id == 0 || id == UINT64_MAX || (!is_first && id != client->session_id)) {
        client_fail_rule(client, RULE_SESSION_ID, response, CLIENT_AT_SESSION_ID);
        return false;
    }
    client->session_id = id;
    return true;
}

void client_take_session_answer(struct client *client, const struct message *response) {
    uint32_t status = response->header.status;

    if (status != STATUS_SUCCESS && status != STATUS_MORE_PROCESSING_REQUIRED) {
        client_fail(client, CLIENT_FAULT_STATUS, status);
        return;
    }
    if (!take_session_id(client, response))
        return;
    client->token = response->body.session_setup_response.security_buffer;
    if (status == STATUS_SUCCESS)
        take_success(client, response);
    else
        take_more(client, response);
}

static void keep_key(struct client *client, struct span session_key) {
    size_t size = session_key.size < sizeof client->full_key ? session_key.size : sizeof client->full_key;

    client->token_complete = true;
    client->full_key_size = size;
    if (size > 0)
        memcpy(client->full_key, session_key.data, size);
}

void client_take_token(struct client *client, struct span token, bool is_complete, struct span session_key) {
    assert(client->want == CLIENT_TOKEN);
    if (token.size > CLIENT_TOKEN_MAX) {
        client_refuse_token(client, STATUS_INVALID_PARAMETER);
        return;
    }
    if (is_complete)
        keep_key(client, session_key);
    if (client->final.size == 0) {
        client->legs++;
        send_token(client, token);
    } else if (is_complete) {
        finish_session(client);
    } else {
        client_fail_rule(client, RULE_SESSION_INCOMPLETE, NULL, CLIENT_AT_STATUS);
    }
}

/* ---- keys ---- */

static bool encryption_is_wanted(const struct client *client) {
    return (client->session_flags & SESSION_FLAG_ENCRYPT_DATA) || client->policy.encryption == ENCRYPTION_MUST;
}

/* The last response proves the server's knowledge of the key and, on 3.1.1, the whole negotiation. It is asked for in
 * every dialect, where [MS-SMB2] 3.2.5.3.1 demands it on 3.1.1 only. */
static bool verify_final(struct client *client) {
    enum signature_check check = element_check(client->handles.mac, client->final);
    struct message message;

    message_decode(client->final, client->final.size, &message);
    if (check == SIGNATURE_FAILED)
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
    else if (check == SIGNATURE_MISSING)
        client_fail_rule(client, RULE_SESSION_RESPONSE_UNSIGNED, &message, CLIENT_AT_FLAGS);
    else if (check != SIGNATURE_GOOD)
        client_fail_rule(client, RULE_RESPONSE_SIGNATURE, &message, CLIENT_AT_SIGNATURE);
    return check == SIGNATURE_GOOD;
}

static bool begin_encryption(struct client *client) {
    if (!encryption_is_wanted(client))
        return true;
    if (client->negotiation.agreed.cipher == CIPHER_NONE) {
        client_fail_rule(client, RULE_ENCRYPTION_UNAVAILABLE, NULL, CLIENT_AT_SESSION_FLAGS);
        return false;
    }
    client->encrypts = true;
    return true;
}

void client_take_handles(struct client *client, const struct client_handles *handles) {
    assert(client->want == CLIENT_KEYS);
    bool has_cipher = client->keys.cipher_size > 0;

    client->handles = *handles;
    if (handles->mac == NULL || (has_cipher && (handles->seal == NULL || handles->open == NULL))) {
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
        return;
    }
    if (!verify_final(client) || !begin_encryption(client))
        return;
    if (has_cipher)
        sealer_init(&client->sealer, handles->seal, client->session_id);
    client->has_session = client->has_keys = true;
    client->signing_required = client->negotiation.agreed.signing_required && !client->encrypts;
    become_ready(client);
}

void client_reauthenticate(struct client *client) {
    assert(client->want == CLIENT_READY && client->has_session);
    client->reauthenticating = true;
    client->token_complete = false;
    client->legs = 0;
    begin_session(client, (struct span){NULL, 0});
}

/* ---- answers ---- */

void client_take_answer(struct client *client, const struct message *response, enum protection protection) {
    struct verdict observed = verdict_accept();

    if (response->header.command == SMB2_NEGOTIATE) {
        take_negotiate_answer(client, response);
        return;
    }
    if (client->phase == CLIENT_PHASE_VALIDATE) {
        client_take_info_answer(client, response, protection);
        return;
    }
    observed = client_observe(client, FROM_SERVER, response->bytes);
    if (observed.rule == RULE_SESSION_RESPONSE_UNSIGNED)
        observed = verdict_accept(); /* decided when it is known whose session it is */
    if (observed.rule == RULE_BODY_INVALID && response->kind == MESSAGE_ERROR)
        observed = verdict_accept(); /* a refusal all the same, and its body says nothing */
    if (observed.rule != RULE_NONE)
        client_fail_verdict(client, &observed, response);
    else if (response->header.command == SMB2_SESSION_SETUP)
        client_take_session_answer(client, response);
    else
        client_take_tree_answer(client, response);
}
