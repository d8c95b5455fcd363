/* Requests: MessageIds and credits, frames, signing and sealing, CANCEL (3.2.4.1). */
#include "core/client_internal.h"

#include <assert.h>
#include <string.h>

#define PROTOCOL_ID 0x424d53feu
/* Octets that one credit pays for (3.1.5.2). */
#define CREDIT_PAYLOAD 65536u
/* Credits that the client wants to have: eight requests of 8 MiB each. Servers grant up to 512 (Windows) or 8192. */
#define CREDITS_TARGET 1024u
/* What related elements say in place of the ids that they inherit (3.2.4.1.4). */
#define INHERITED_SESSION UINT64_MAX
#define INHERITED_TREE    UINT32_MAX
/* The longest payload of one request: with the frame's length in 24 bits there is room for headers. */
#define PAYLOAD_MAX (8u * 1024u * 1024u)

/* ---- requests in flight ---- */

struct client_pending *client_pending_find(struct client *client, uint64_t message_id) {
    for (unsigned i = 0; i < client->pending_count; i++)
        if (client->pending[i].message_id == message_id)
            return &client->pending[i];
    return NULL;
}

struct client_pending *client_pending_add(struct client *client, uint64_t message_id, uint16_t command) {
    assert(client->pending_count < CLIENT_REQUESTS_MAX);
    struct client_pending *pending = &client->pending[client->pending_count++];

    *pending = (struct client_pending){.message_id = message_id, .command = command};
    return pending;
}

void client_pending_remove(struct client *client, struct client_pending *pending) {
    *pending = client->pending[--client->pending_count];
}

struct client_tree *client_tree_at(struct client *client, uint32_t tree_id) {
    for (unsigned i = 0; i < client->tree_count; i++)
        if (client->trees[i].id == tree_id)
            return &client->trees[i];
    return NULL;
}

const struct client_tree *client_tree_find(const struct client *client, uint32_t tree_id) {
    for (unsigned i = 0; i < client->tree_count; i++)
        if (client->trees[i].id == tree_id)
            return &client->trees[i];
    return NULL;
}

/* ---- credits ---- */

uint32_t client_credits(const struct client *client) {
    return client->credits;
}

uint16_t client_charge(const struct client *client, uint32_t payload) {
    assert(payload <= PAYLOAD_MAX);
    if (payload == 0 || !client->negotiation.agreed.multi_credit)
        return 1;
    return (uint16_t)((payload - 1) / CREDIT_PAYLOAD + 1);
}

static uint32_t payload_max(const struct client *client, uint32_t server_max) {
    uint32_t most = server_max < PAYLOAD_MAX ? server_max : PAYLOAD_MAX;

    if (!client->negotiation.agreed.multi_credit)
        return most < CREDIT_PAYLOAD ? most : CREDIT_PAYLOAD;
    if (client->credits < most / CREDIT_PAYLOAD)
        most = (client->credits > 0 ? client->credits : 1) * CREDIT_PAYLOAD;
    return most;
}

uint32_t client_read_max(const struct client *client) {
    return payload_max(client, client->negotiation.agreed.max_read_size);
}

uint32_t client_write_max(const struct client *client) {
    return payload_max(client, client->negotiation.agreed.max_write_size);
}

/* What the header says: on 2.0.2, and where requests cost one credit each, the field is 0 (3.2.4.1.5). */
static uint16_t charge_field(const struct client *client, uint16_t charge) {
    return client->negotiation.agreed.multi_credit ? charge : 0;
}

static uint16_t credits_wanted(const struct client *client, uint16_t charge) {
    uint32_t left = client->credits - charge;
    uint32_t wanted = left < CREDITS_TARGET ? CREDITS_TARGET - left : 1;

    return (uint16_t)(wanted > charge ? wanted : charge);
}

/* ---- frames ---- */

static_assert(CLIENT_HEADROOM % 8 == 0, "elements are aligned to the first one, which lies behind the headroom");

void client_frame_begin(struct client_frame *frame, uint8_t *data, size_t size) {
    assert(size > CLIENT_HEADROOM + SMB2_HEADER_SIZE);
    *frame = (struct client_frame){.data = data, .size = size, .at = CLIENT_HEADROOM};
}

static bool frame_has_place(const struct client *client, const struct client_frame *frame, uint16_t charge) {
    return client->credits >= charge && client->pending_count < CLIENT_REQUESTS_MAX &&
           frame->count < CLIENT_CHAIN_MAX && client->next_message_id < UINT64_MAX - charge;
}

static struct smb2_header request_header(const struct client *client, const struct client_request *request,
                                         uint16_t charge) {
    return (struct smb2_header){
        .protocol_id = PROTOCOL_ID,
        .structure_size = SMB2_HEADER_SIZE,
        .credit_charge = charge_field(client, charge),
        .command = request->command,
        .credits = credits_wanted(client, charge),
        .flags = request->related ? SMB2_FLAGS_RELATED_OPERATIONS : 0,
        .message_id = client->next_message_id,
        .tree_id = request->related ? INHERITED_TREE : request->tree_id,
        .session_id = request->related ? INHERITED_SESSION : client->session_id,
    };
}

/* Pads the element before and lets it lead to the one at `start` (3.2.4.1.4). */
static void link_element(struct client_frame *frame, size_t start) {
    if (frame->count == 0)
        return;
    size_t before = frame->starts[frame->count - 1];
    struct writer next = writer_over(frame->data + before + CLIENT_AT_NEXT_COMMAND, 4);

    memset(frame->data + frame->at, 0, start - frame->at);
    writer_u32(&next, (uint32_t)(start - before));
}

/* Everything that an authenticated session demands to be signed; TREE_CONNECT in each dialect (3.2.4.1.1, 3.3.5.7). */
static bool is_to_be_signed(const struct client *client, const struct client_request *request) {
    return client->has_keys &&
           (client->signing_required || request->must_sign || request->command == SMB2_TREE_CONNECT);
}

static bool is_to_be_encrypted(const struct client *client, const struct client_request *request) {
    const struct client_tree *tree = client_tree_find(client, request->tree_id);

    return client->encrypts || (tree != NULL && tree->encrypts && client->has_keys);
}

bool client_frame_add(struct client *client, struct client_frame *frame, struct client_request *request,
                      client_body_encode *encode, const void *arguments) {
    uint16_t charge = client_charge(client, request->payload);
    size_t start = (frame->at + 7) / 8 * 8;

    assert(request->payload <= CREDIT_PAYLOAD || client->negotiation.agreed.multi_credit);
    assert(!request->related || frame->count > 0);
    if (client_is_closed(client) || start >= frame->size || !frame_has_place(client, frame, charge))
        return false;
    struct smb2_header header = request_header(client, request, charge);
    struct writer writer = writer_over(frame->data + start, frame->size - start);
    smb2_header_encode(&header, &writer);
    encode(&writer, arguments);
    if (writer.failed)
        return false;
    link_element(frame, start);
    struct client_pending *pending = client_pending_add(client, header.message_id, request->command);
    pending->owner = request->owner;
    pending->tree_id = request->tree_id;
    pending->is_signed = is_to_be_signed(client, request);
    frame->encrypt |= is_to_be_encrypted(client, request);
    frame->starts[frame->count] = start;
    frame->message_ids[frame->count++] = header.message_id;
    frame->at = start + writer.at;
    client->next_message_id += charge;
    client->credits -= charge;
    request->message_id = header.message_id;
    return true;
}

static bool sign_elements(struct client *client, const struct client_frame *frame) {
    for (unsigned i = 0; i < frame->count; i++) {
        size_t end = i + 1 < frame->count ? frame->starts[i + 1] : frame->at;
        const struct client_pending *pending = client_pending_find(client, frame->message_ids[i]);

        assert(pending != NULL);
        if (pending->is_signed &&
            !element_sign(client->handles.mac, frame->data + frame->starts[i], end - frame->starts[i]))
            return false;
    }
    return true;
}

static void mark_encrypted(struct client *client, const struct client_frame *frame) {
    for (unsigned i = 0; i < frame->count; i++) {
        struct client_pending *pending = client_pending_find(client, frame->message_ids[i]);

        assert(pending != NULL);
        pending->is_encrypted = true;
        pending->is_signed = false;
    }
}

/* The message lies behind CLIENT_HEADROOM octets of `data`; the frame with its header, empty where sealing failed. */
static struct span frame_seal(struct client *client, uint8_t *data, size_t size) {
    const struct frame head = {FRAME_MESSAGE, (uint32_t)(size + TRANSFORM_HEADER_SIZE)};
    struct writer writer = writer_over(data, FRAME_HEADER_SIZE);

    frame_encode(&writer, &head);
    if (writer.failed || !sealer_seal(&client->sealer, (struct span){data + CLIENT_HEADROOM, size},
                                      data + FRAME_HEADER_SIZE, size + TRANSFORM_HEADER_SIZE))
        return (struct span){NULL, 0};
    return (struct span){data, CLIENT_HEADROOM + size};
}

static struct span frame_plain(uint8_t *data, size_t size) {
    const struct frame head = {FRAME_MESSAGE, (uint32_t)size};
    uint8_t *at = data + TRANSFORM_HEADER_SIZE;
    struct writer writer = writer_over(at, FRAME_HEADER_SIZE);

    frame_encode(&writer, &head);
    if (writer.failed)
        return (struct span){NULL, 0};
    return (struct span){at, FRAME_HEADER_SIZE + size};
}

struct span client_frame_finish(struct client *client, struct client_frame *frame) {
    struct span octets = {NULL, 0};
    size_t size = frame->at - CLIENT_HEADROOM;

    assert(frame->count > 0);
    if (client_is_closed(client))
        return octets;
    if (frame->encrypt) {
        mark_encrypted(client, frame);
        octets = frame_seal(client, frame->data, size);
    } else if (frame->is_signed || sign_elements(client, frame)) {
        octets = frame_plain(frame->data, size);
    }
    if (octets.size == 0)
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
    return octets;
}

/* Signs those that are one element each. False: that failed. */
static bool sign_together(struct client *client, struct client_frame *frames, unsigned count) {
    struct element_place places[SIGN_TOGETHER_MAX] = {0};
    unsigned signed_count = 0;

    for (unsigned i = 0; i < count; i++) {
        struct client_frame *frame = &frames[i];
        const struct client_pending *pending = client_pending_find(client, frame->message_ids[0]);

        if (frame->encrypt || frame->count != 1 || !pending->is_signed)
            continue;
        places[signed_count++] = (struct element_place){frame->data + frame->starts[0], frame->at - frame->starts[0]};
        frame->is_signed = true;
    }
    return signed_count == 0 || elements_sign(client->handles.mac, places, signed_count);
}

bool client_frames_finish(struct client *client, struct client_frame *frames, unsigned count, struct span *octets) {
    assert(count <= SIGN_TOGETHER_MAX);
    if (client_is_closed(client))
        return false;
    if (count > 1 && client_signs_together(client) && !sign_together(client, frames, count))
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
    for (unsigned i = 0; i < count && !client_is_closed(client); i++)
        octets[i] = client_frame_finish(client, &frames[i]);
    return !client_is_closed(client);
}

void client_encode_empty(struct writer *writer, const void *arguments) {
    (void)arguments;
    writer_u16(writer, 4);
    writer_u16(writer, 0);
}

/* ---- CANCEL ---- */

static struct smb2_header cancel_header(const struct client *client, const struct client_pending *pending) {
    struct smb2_header header = {
        .protocol_id = PROTOCOL_ID,
        .structure_size = SMB2_HEADER_SIZE,
        .command = SMB2_CANCEL,
        .message_id = pending->message_id,
        .session_id = client->session_id,
    };

    if (pending->is_async) {
        header.flags = SMB2_FLAGS_ASYNC_COMMAND;
        header.process_id = (uint32_t)pending->async_id;
        header.tree_id = (uint32_t)(pending->async_id >> 32);
    }
    return header;
}

struct span client_cancel(struct client *client, uint64_t message_id, uint8_t *data) {
    struct client_pending *pending = client_pending_find(client, message_id);
    struct writer writer = writer_over(data + CLIENT_HEADROOM, CLIENT_CANCEL_MAX - CLIENT_HEADROOM);
    struct span octets = {NULL, 0};

    if (client_is_closed(client) || pending == NULL || pending->is_cancelled)
        return octets;
    struct smb2_header header = cancel_header(client, pending);
    smb2_header_encode(&header, &writer);
    client_encode_empty(&writer, NULL);
    assert(!writer.failed);
    pending->is_cancelled = true;
    if (pending->is_encrypted)
        octets = frame_seal(client, data, writer.at);
    else if (!pending->is_signed || element_sign(client->handles.mac, writer.data, writer.at))
        octets = frame_plain(data, writer.at);
    if (octets.size == 0)
        client_fail(client, CLIENT_FAULT_CRYPTO, STATUS_INTERNAL_ERROR);
    return octets;
}
