/* core/client against any server: one that knows no key, and one that does.
 *
 * The input is a policy (two octets) and the server's frames: a control octet, a length of 16 bits (little-endian) and
 * as many octets. Control bits let the frame be made right as far as its header goes, signed and sealed with the
 * client's own keys, and say what the client does before it reads. Without a single signature from here no session with
 * keys may come about. */
#include <stdlib.h>
#include <string.h>

#include "client/handles.h"

#define INPUT_SIZE_MAX 65536u

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

/* Bits of the control octet. */
enum {
    CONTROL_RIGHT = 1, /* protocol id, direction, command, MessageId and SessionId of a request in flight */
    CONTROL_SIGN = 2,
    CONTROL_SEAL = 4,
    CONTROL_REQUEST = 8,
    CONTROL_TREE = 16,
    CONTROL_AGAIN = 32,
    CONTROL_CANCEL = 64,
    CONTROL_LAST = 128, /* of the requests in flight the newest is answered, not the oldest */
};

struct run {
    struct client client;
    struct client_handles handles;
    struct aead_key *server_seal;
    uint8_t *output;
    uint8_t *frame; /* the one that was given last: the client may still look at it */
    unsigned tokens, tokens_wanted;
    bool anonymous, sign_final, has_signed;
    uint64_t nonce;
};

static const uint16_t dialects[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                    SMB2_DIALECT_311};

static void fill_policy(struct client_policy *policy, uint8_t first, uint8_t second) {
    client_policy_defaults(policy);
    memset(policy->guid, 0xc1, sizeof policy->guid);
    policy->offers_smb1_first = first & 1;
    policy->signing_required = (first & 2) != 0;
    policy->encryption = first & 4 ? ENCRYPTION_MUST : ENCRYPTION_OFFERED;
    policy->allow_guest = (first & 8) != 0;
    policy->refuse_unvalidated_3x = (first & 32) == 0;
    policy->accept_longer_info = (first & 64) != 0;
    policy->transport = first & 128 ? TRANSPORT_NETBIOS : TRANSPORT_DIRECT_TCP;
    if (second % 8 < 5)
        policy->dialects = (struct id_list){{dialects[second % 8]}, 1};
}

static void start(struct run *run, uint8_t first, uint8_t second) {
    struct client_policy policy;
    struct client_setup setup = {.policy = &policy, .output = run->output};

    fill_policy(&policy, first, second);
    run->anonymous = setup.anonymous = (first & 16) != 0;
    run->tokens_wanted = 1 + second / 8 % 4;
    client_init(&run->client, &setup);
}

static void give_token(struct run *run) {
    static const uint8_t token[] = "token", key[16] = {0x66, 1, 2, 3};
    bool complete = ++run->tokens >= run->tokens_wanted;
    struct span session_key = {key, complete && !run->anonymous ? sizeof key : 0};

    CHECK(client_token_in(&run->client).size <= CLIENT_TOKEN_MAX);
    client_take_token(&run->client, (struct span){token, sizeof token}, complete, session_key);
}

static void give_handles(struct run *run) {
    const struct session_keys *keys = &run->client.keys;

    CHECK(client_handles_new(&run->client, &run->handles));
    if (keys->cipher_size > 0)
        run->server_seal = aead_key_new(run->client.negotiation.agreed.cipher, AEAD_SEAL,
                                        (struct span){keys->server_to_client, keys->cipher_size});
    if (run->sign_final)
        run->has_signed |= element_sign(run->handles.mac, (uint8_t *)(uintptr_t)run->client.final.data,
                                        run->client.final.size);
    client_take_handles(&run->client, &run->handles);
}

/* All that the client can do without a server. */
static void go_on(struct run *run) {
    for (unsigned i = 0; i < 64; i++) {
        switch (client_step(&run->client)) {
        case CLIENT_SEND:
            CHECK(client_output(&run->client).size > FRAME_HEADER_SIZE);
            client_sent(&run->client);
            break;
        case CLIENT_TOKEN:
            give_token(run);
            break;
        case CLIENT_KEYS:
            give_handles(run);
            break;
        default:
            return;
        }
    }
    abort(); /* it asks without end */
}

/* ---- what the client does when it is ready ---- */

static void request(struct run *run) {
    uint8_t room[1024];
    struct client_frame frame;
    struct client_request first = {.command = SMB2_CHANGE_NOTIFY, .tree_id = client_tree(&run->client), .payload = 100};
    struct client_request second = {.command = SMB2_READ, .related = true};

    client_frame_begin(&frame, room, sizeof room);
    if (!client_frame_add(&run->client, &frame, &first, client_encode_empty, NULL))
        return;
    client_frame_add(&run->client, &frame, &second, client_encode_empty, NULL);
    CHECK(client_frame_finish(&run->client, &frame).size > 0);
}

static void act(struct run *run, uint8_t control) {
    static const uint8_t path[] = {'\\', 0, 's', 0};
    uint8_t cancel[CLIENT_CANCEL_MAX];

    if (client_step(&run->client) != CLIENT_READY)
        return;
    CHECK(!run->client.has_keys || run->has_signed);
    if (control & CONTROL_REQUEST)
        request(run);
    if ((control & CONTROL_CANCEL) && run->client.pending_count > 0)
        client_cancel(&run->client, run->client.pending[0].message_id, cancel);
    if (control & CONTROL_TREE)
        client_connect_tree(&run->client, (struct span){path, sizeof path});
    else if (control & CONTROL_AGAIN)
        client_reauthenticate(&run->client);
    go_on(run);
}

/* ---- the server's frames ---- */

static void make_right(const struct run *run, uint8_t control, uint8_t *message) {
    const struct client *client = &run->client;
    const struct client_pending *pending;
    struct smb2_header header;
    struct writer writer = writer_over(message, SMB2_HEADER_SIZE);

    if (client->pending_count == 0)
        return;
    pending = &client->pending[control & CONTROL_LAST ? client->pending_count - 1 : 0];
    smb2_header_decode((struct span){message, SMB2_HEADER_SIZE}, &header);
    header.protocol_id = 0x424d53fe;
    header.structure_size = SMB2_HEADER_SIZE;
    header.flags |= SMB2_FLAGS_SERVER_TO_REDIR;
    header.command = pending->command;
    header.message_id = pending->message_id;
    if (client->session_id != 0)
        header.session_id = client->session_id;
    smb2_header_encode(&header, &writer);
}

/* The frame in a room of just its size, so that reading past it is seen. */
static uint8_t *make_frame(struct run *run, uint8_t control, struct span octets, size_t *size) {
    bool seals = (control & CONTROL_SEAL) && run->server_seal != NULL && octets.size > 0;
    size_t front = seals ? TRANSFORM_HEADER_SIZE : 0;
    uint8_t *frame = malloc(front + octets.size + 1);

    CHECK(frame != NULL);
    *size = front + octets.size;
    if (octets.size > 0)
        memcpy(frame + front, octets.data, octets.size);
    if ((control & CONTROL_RIGHT) && octets.size >= SMB2_HEADER_SIZE)
        make_right(run, control, frame + front);
    if ((control & CONTROL_SIGN) && run->handles.mac != NULL)
        run->has_signed |= element_sign(run->handles.mac, frame + front, octets.size);
    if (seals) {
        uint8_t nonce[TRANSFORM_NONCE_SIZE] = {0};
        memcpy(nonce, &run->nonce, sizeof run->nonce);
        run->nonce++;
        CHECK(transform_seal(run->server_seal, run->client.session_id, nonce, (struct span){frame + front, octets.size},
                             frame, *size));
    }
    return frame;
}

static void drain(struct run *run, const uint8_t *frame, size_t size) {
    struct client_response response;

    while (client_next_response(&run->client, &response)) {
        CHECK(response.message.data >= frame && response.message.size <= size);
        CHECK((size_t)(response.message.data - frame) <= size - response.message.size);
        CHECK(response.is_interim == (response.status == STATUS_PENDING));
    }
}

static void give_frame(struct run *run, uint8_t control, struct span octets) {
    size_t size;
    uint8_t *frame = make_frame(run, control, octets, &size);

    run->sign_final = (control & CONTROL_SIGN) != 0;
    if (client_receive(&run->client, frame, size))
        drain(run, frame, size);
    go_on(run);
    free(run->frame);
    run->frame = frame;
}

static void check_end(struct run *run) {
    const struct client_failure *failure = &run->client.failure;

    if (client_step(&run->client) != CLIENT_CLOSED) {
        client_timed_out(&run->client);
        CHECK(client_step(&run->client) == CLIENT_CLOSED);
    }
    CHECK(failure->fault != CLIENT_FAULT_RULE || failure->verdict.rule != RULE_NONE);
    CHECK(failure->expected.size <= CLIENT_VALUE_MAX && failure->found.size <= CLIENT_VALUE_MAX);
    CHECK(!client_receive(&run->client, NULL, 0));
}

static void play(struct run *run, struct reader *reader) {
    while (reader_left(reader) >= 3) {
        uint8_t control = reader_u8(reader);
        size_t length = reader_u16(reader);

        if (length > reader_left(reader))
            length = reader_left(reader);
        act(run, control);
        give_frame(run, control, reader_take(reader, length));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct reader reader = reader_over((struct span){data, size});
    struct run *run;

    if (size < 2 || size > INPUT_SIZE_MAX)
        return 0;
    run = calloc(1, sizeof *run);
    CHECK(run != NULL);
    run->output = malloc(CLIENT_OUTPUT_MAX);
    CHECK(run->output != NULL);
    uint8_t first = reader_u8(&reader);
    start(run, first, reader_u8(&reader));
    go_on(run);
    play(run, &reader);
    check_end(run);
    client_wipe(&run->client);
    client_handles_free(&run->handles);
    aead_key_free(run->server_seal);
    free(run->frame);
    free(run->output);
    free(run);
    return 0;
}
