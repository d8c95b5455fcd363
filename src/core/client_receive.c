/* What comes from the server: unsealing, finding the request, verifying (3.2.5.1). */
#include "core/client_internal.h"

#include <assert.h>

/* Octets of a frame beyond the payload that was asked for: headers, several to a chain (3.3.5.2). */
#define FRAME_EXTRA 4096u

uint32_t client_frame_max(const struct client *client) {
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;
    uint32_t most = CLIENT_TOKEN_MAX;

    if (client->has_session) {
        most = agreed->max_transact_size > most ? agreed->max_transact_size : most;
        most = agreed->max_read_size > most ? agreed->max_read_size : most;
    }
    return most < FRAME_DIRECT_TCP_MAX - FRAME_EXTRA ? most + FRAME_EXTRA : FRAME_DIRECT_TCP_MAX;
}

/* ---- encrypted frames ---- */

static enum rule rule_of_fault(enum transform_fault fault) {
    switch (fault) {
    case TRANSFORM_FLAGS:
        return RULE_TRANSFORM_FLAGS;
    case TRANSFORM_SIZE:
        return RULE_TRANSFORM_SIZE;
    case TRANSFORM_SESSION:
    case TRANSFORM_INNER_SESSION:
        return RULE_TRANSFORM_SESSION;
    case TRANSFORM_TAG:
        return RULE_TRANSFORM_TAG;
    case TRANSFORM_INNER_PROTOCOL_ID:
    case TRANSFORM_INNER_CHAIN:
    case TRANSFORM_INNER_RELATED:
        return RULE_TRANSFORM_INNER;
    default:
        return RULE_HEADER_SHORT;
    }
}

/* Where the field at fault lies in the transform header (2.2.41). */
static size_t place_of_fault(enum transform_fault fault) {
    switch (fault) {
    case TRANSFORM_FLAGS:
        return 42;
    case TRANSFORM_SIZE:
        return 36;
    case TRANSFORM_SESSION:
        return 44;
    case TRANSFORM_TAG:
        return 4;
    default:
        return 0;
    }
}

static void take_sealed(struct client *client, uint8_t *content, size_t size) {
    struct span frame = {content, size};
    uint8_t *plain = content + TRANSFORM_HEADER_SIZE;
    struct message message;

    message_decode(frame, size, &message);
    if (!client->has_keys || client->handles.open == NULL) {
        client_fail_rule(client, RULE_TRANSFORM_BEFORE_SESSION, &message, 0);
        return;
    }
    enum transform_fault fault = transform_open(client->handles.open, client->session_id, frame, plain);
    if (fault == TRANSFORM_GOOD && plain[0] == 0xfc)
        client_fail_rule(client, RULE_COMPRESSED_NOT_NEGOTIATED, NULL, 0);
    else if (fault != TRANSFORM_GOOD)
        client_fail_rule(client, rule_of_fault(fault), &message, place_of_fault(fault));
    client->sealed = true;
    client->cursor = chain_cursor((struct span){plain, size - TRANSFORM_HEADER_SIZE}, size - TRANSFORM_HEADER_SIZE);
}

/* ---- elements ---- */

static bool header_is_right(struct client *client, const struct message *message) {
    if (client->cursor.malformed)
        client_fail_rule(client, RULE_CHAIN_OUT_OF_BOUNDS, message, CLIENT_AT_NEXT_COMMAND);
    else if (message->bytes.size < SMB2_HEADER_SIZE)
        client_fail_rule(client, RULE_HEADER_SHORT, NULL, 0);
    else if (!message_is_smb2(message))
        client_fail_rule(client, RULE_PROTOCOL_ID_UNKNOWN, NULL, 0);
    else if (message->header.structure_size != SMB2_HEADER_SIZE)
        client_fail_rule(client, RULE_HEADER_STRUCTURE_SIZE, message, 4);
    else if (!message_is_response(message))
        client_fail_rule(client, RULE_DIRECTION_BIT, message, CLIENT_AT_FLAGS);
    return !client_is_closed(client);
}

/* This client holds no oplock, and needs no notification; they are never signed (3.2.5.1.3). */
static bool is_unsolicited(const struct message *message) {
    uint16_t command = message->header.command;

    return message->header.message_id == CLIENT_MESSAGE_ID_NONE &&
           (command == SMB2_OPLOCK_BREAK || command == SMB2_SERVER_TO_CLIENT_NOTIFICATION);
}

static struct client_pending *find_request(struct client *client, const struct message *message) {
    struct client_pending *pending = client_pending_find(client, message->header.message_id);

    if (pending == NULL)
        client_fail_rule(client, RULE_RESPONSE_WITHOUT_REQUEST, message, CLIENT_AT_MESSAGE_ID);
    else if (pending->command != message->header.command)
        client_fail_rule(client, RULE_RESPONSE_COMMAND, message, CLIENT_AT_COMMAND);
    return client_is_closed(client) ? NULL : pending;
}

/* How the response is protected. Where the request was signed the answer has to be, whatever its status, and whether
 * or not the session demands it (3.2.5.1.3 asks only in the latter case, and validation could be forged). */
struct proof {
    enum protection protection;
    enum rule rule; /* that was broken */
    size_t offset;
};

/* It may have been computed with those of other frames. */
static enum signature_check check_signature(const struct client *client, struct span element) {
    const struct client_arrival *arrival = client->arrival;

    if (arrival->is_checked && element.data == arrival->content && element.size == arrival->size)
        return arrival->check;
    return element_check(client->handles.mac, element);
}

static struct proof prove_signature(struct client *client, const struct message *message) {
    switch (check_signature(client, message->bytes)) {
    case SIGNATURE_GOOD:
        return (struct proof){PROTECTION_SIGNED, RULE_NONE, 0};
    case SIGNATURE_EXEMPT:
        return (struct proof){PROTECTION_NONE, RULE_NONE, 0};
    case SIGNATURE_MISSING:
        return (struct proof){PROTECTION_NONE, RULE_RESPONSE_UNSIGNED, CLIENT_AT_FLAGS};
    case SIGNATURE_FAILED:
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
        break;
    case SIGNATURE_BAD:
        break;
    }
    return (struct proof){PROTECTION_NONE, RULE_RESPONSE_SIGNATURE, CLIENT_AT_SIGNATURE};
}

static struct proof prove(struct client *client, const struct client_pending *pending, const struct message *message) {
    if (client->sealed)
        return (struct proof){PROTECTION_ENCRYPTED, RULE_NONE, 0};
    if (pending->is_encrypted)
        return (struct proof){PROTECTION_NONE, RULE_RESPONSE_UNENCRYPTED, 0};
    if (pending->is_signed)
        return prove_signature(client, message);
    return (struct proof){client->has_keys ? PROTECTION_NONE : PROTECTION_IMPOSSIBLE, RULE_NONE, 0};
}

/* The validation has rules of its own for an answer that proves nothing. */
static bool proof_is_enough(struct client *client, const struct proof *proof, const struct client_pending *pending,
                            const struct message *message) {
    bool decided_later = pending->internal && client->phase == CLIENT_PHASE_VALIDATE;

    if (proof->rule != RULE_NONE && (!decided_later || message->header.status == STATUS_PENDING))
        client_fail_rule(client, proof->rule, message, proof->offset);
    return !client_is_closed(client);
}

static void add_credits(struct client *client, uint16_t granted) {
    client->credits += granted;
    if (client->credits > UINT16_MAX)
        client->credits = UINT16_MAX;
}

static void take_interim(struct client_pending *pending, const struct smb2_header *header) {
    pending->is_async = (header->flags & SMB2_FLAGS_ASYNC_COMMAND) != 0;
    pending->async_id = smb2_header_async_id(header);
}

static void forget_tree(struct client *client, const struct client_pending *pending) {
    struct client_tree *tree = client_tree_at(client, pending->tree_id);

    if (tree != NULL)
        *tree = client->trees[--client->tree_count];
}

static void stage_response(struct client *client, const struct client_pending *pending, const struct message *message) {
    client->has_response = true;
    client->response = (struct client_response){
        .owner = pending->owner,
        .message_id = message->header.message_id,
        .command = message->header.command,
        .status = message->header.status,
        .is_interim = message->header.status == STATUS_PENDING,
        .message = message->bytes,
    };
}

/* The final response: the request is not in flight any more. */
static void take_final(struct client *client, struct client_pending *found, const struct message *message,
                       enum protection protection) {
    struct client_pending pending = *found;

    client_pending_remove(client, found);
    if (pending.internal) {
        client_take_answer(client, message, protection);
        return;
    }
    if (pending.command == SMB2_TREE_DISCONNECT && message->header.status == STATUS_SUCCESS)
        forget_tree(client, &pending);
    stage_response(client, &pending, message);
}

/* Nothing can be sent any more, and nothing will come that might change it. */
static bool is_starved(const struct client *client) {
    return client->credits == 0 && client->pending_count == 0 && client->phase != CLIENT_PHASE_LOGOFF;
}

static void take_element(struct client *client, const struct message *message) {
    if (!header_is_right(client, message) || is_unsolicited(message))
        return;
    struct client_pending *pending = find_request(client, message);
    if (pending == NULL)
        return;
    struct proof proof = prove(client, pending, message);
    if (!proof_is_enough(client, &proof, pending, message))
        return;
    add_credits(client, message->header.credits);
    if (message->header.status != STATUS_PENDING) {
        take_final(client, pending, message, proof.protection);
    } else {
        take_interim(pending, &message->header);
        if (!pending->internal)
            stage_response(client, pending, message);
    }
    if (is_starved(client))
        client_fail_rule(client, RULE_CREDITS_NONE, message, 14);
}

static void take_smb1(struct client *client, struct span content) {
    struct message message;
    struct client_pending *pending = client_pending_find(client, 0);

    message_decode(content, content.size, &message);
    if (message.kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE && pending != NULL && client->policy.offers_smb1_first)
        client_take_answer(client, &message, PROTECTION_NONE);
    client_fail_rule(client, RULE_SMB1_MESSAGE, &message, 0);
}

static void begin_frame(struct client *client, const struct client_arrival *arrival) {
    struct span frame = {arrival->content, arrival->size};
    uint8_t *content = arrival->content;
    size_t size = arrival->size;

    client->arrival = arrival;
    client->sealed = false;
    client->cursor = chain_cursor(frame, size);
    if (size > client_frame_max(client))
        client_fail_rule(client, RULE_FRAME_TOO_LONG, NULL, 0);
    else if (size < 4 || content[1] != 'S' || content[2] != 'M' || content[3] != 'B')
        client_fail_rule(client, RULE_PROTOCOL_ID_UNKNOWN, NULL, 0);
    else if (content[0] == 0xfd)
        take_sealed(client, content, size);
    else if (content[0] == 0xfc)
        client_fail_rule(client, RULE_COMPRESSED_NOT_NEGOTIATED, NULL, 0);
    else if (content[0] == 0xff)
        take_smb1(client, frame);
}

/* False: no frame is left. */
static bool next_frame(struct client *client) {
    if (client->arrivals_left == 0)
        return false;
    client->arrivals_left--;
    begin_frame(client, client->arrival + 1);
    return true;
}

/* Goes on to the next response of the caller's. */
static void advance(struct client *client) {
    struct message message;

    client->has_response = false;
    while (!client->has_response && !client_is_closed(client)) {
        if (chain_next(&client->cursor, &message))
            take_element(client, &message);
        else if (!next_frame(client))
            return;
    }
}

bool client_signs_together(const struct client *client) {
    return client->want == CLIENT_READY && client->handles.mac != NULL && client->signing_required && !client->encrypts &&
           mac_key_lanes(client->handles.mac) > 1;
}

/* Of a frame that is no single signed element nothing is known by it. */
static void check_together(const struct client *client, struct client_arrival *arrivals, unsigned count) {
    struct span elements[SIGN_TOGETHER_MAX];
    enum signature_check checks[SIGN_TOGETHER_MAX];

    for (unsigned i = 0; i < count; i++)
        elements[i] = (struct span){arrivals[i].content, arrivals[i].size};
    elements_check(client->handles.mac, elements, count, checks);
    for (unsigned i = 0; i < count; i++) {
        arrivals[i].check = checks[i];
        arrivals[i].is_checked = true;
    }
}

static bool receive_frames(struct client *client, const struct client_arrival *arrivals, unsigned count) {
    client->arrivals_left = count - 1;
    begin_frame(client, arrivals);
    advance(client);
    return !client_is_closed(client);
}

bool client_receive(struct client *client, uint8_t *content, size_t size) {
    if (client_is_closed(client))
        return false;
    client->arrived = (struct client_arrival){.content = content, .size = size};
    return receive_frames(client, &client->arrived, 1);
}

bool client_receive_many(struct client *client, struct client_arrival *arrivals, unsigned count) {
    assert(count > 0 && count <= SIGN_TOGETHER_MAX);
    if (client_is_closed(client))
        return false;
    for (unsigned i = 0; i < count; i++)
        arrivals[i].is_checked = false;
    if (count > 1 && client_signs_together(client))
        check_together(client, arrivals, count);
    return receive_frames(client, arrivals, count);
}

bool client_next_response(struct client *client, struct client_response *response) {
    if (!client->has_response)
        return false;
    *response = client->response;
    advance(client);
    return true;
}
