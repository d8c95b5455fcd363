#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/names.h"

static void world_send(void *arguments, struct span frame);
static void world_served(void *arguments, const struct server_request *request);

void world_init(struct world *world) {
    memset(world, 0, sizeof *world);
    client_policy_defaults(&world->policy);
    world->policy.refuse_unvalidated_3x = true;
    memset(world->policy.guid, 0xc1, sizeof world->policy.guid);
    host_init(&world->host, &world->ring);
    memcpy(world->client_key, world->host.key, sizeof world->client_key);
    world->share = "docs";
    world->host.send = world_send;
    world->host.served = world_served;
    world->host.arguments = world;
    world->output = malloc(CLIENT_OUTPUT_MAX);
    assert(world->output != NULL);
}

void world_free(struct world *world) {
    client_wipe(&world->client);
    host_free(&world->host);
    keyring_empty(&world->ring);
    free(world->output);
}

/* ---- frames under way ---- */

void world_queue_put(struct world *world, enum direction from, const struct world_frame *frame) {
    struct world_queue *queue = &world->queues[from];
    if (queue->count == WORLD_QUEUE_MAX)
        return;
    struct world_frame *place = &queue->frames[(queue->first + queue->count++) % WORLD_QUEUE_MAX];
    place->size = frame->size;
    memcpy(place->data, frame->data, frame->size);
}

static struct world_frame *queue_take(struct world_queue *queue) {
    if (queue->count == 0)
        return NULL;
    struct world_frame *frame = &queue->frames[queue->first];
    queue->first = (queue->first + 1) % WORLD_QUEUE_MAX;
    queue->count--;
    return frame;
}

static void put_on_the_way(struct world *world, enum direction from, struct span octets) {
    struct world_frame frame = {.size = octets.size - FRAME_HEADER_SIZE};
    assert(frame.size <= WORLD_FRAME_MAX);
    memcpy(frame.data, octets.data + FRAME_HEADER_SIZE, frame.size);
    unsigned index = world->sent[from]++;
    if (world->adversary != NULL)
        world->adversary(world, from, index, &frame);
    else
        world_queue_put(world, from, &frame);
}

static void world_send(void *arguments, struct span frame) {
    put_on_the_way(arguments, FROM_SERVER, frame);
}

static void world_served(void *arguments, const struct server_request *request) {
    struct world *world = arguments;
    (void)request;
    world->served = true;
    world->served_apart |= world_difference(world) != NULL;
}

/* ---- the client's shell ---- */

static void client_token(struct world *world) {
    static const uint8_t word[] = "client";
    if (world->authenticate != NULL) {
        world->authenticate(world, client_token_in(&world->client));
        return;
    }
    bool is_last = world->client.legs + 1 >= world->host.legs;
    struct span key = {world->client_key, world->anonymous || !is_last ? 0 : world->host.key_size};
    struct span token = {word, sizeof word};
    client_take_token(&world->client, token, is_last, key);
}

static void client_handles(struct world *world) {
    const struct session_keys *keys = &world->client.keys;
    const struct negotiation_agreed *agreed = &world->client.negotiation.agreed;
    struct client_handles handles = {
        .mac = keyring_mac(&world->ring, agreed, keys),
        .seal = keyring_seal(&world->ring, agreed->cipher, keys->client_to_server, keys->cipher_size),
        .open = keyring_open(&world->ring, agreed->cipher, keys->server_to_client, keys->cipher_size),
    };
    client_take_handles(&world->client, &handles);
}

static void connect_share(struct world *world) {
    char path[64];
    uint8_t wide[128];
    int length = snprintf(path, sizeof path, "\\\\host\\%s", world->share);
    for (int i = 0; i < length; i++) {
        wide[2 * i] = (uint8_t)path[i];
        wide[2 * i + 1] = 0;
    }
    world->phase = WORLD_CONNECTING;
    client_connect_tree(&world->client, (struct span){wide, 2 * (size_t)length});
}

static void encode_flush(struct writer *writer, const void *arguments) {
    (void)arguments;
    writer_u16(writer, 24);
    writer_zero(writer, 6);
    writer_u64(writer, 0x11);
    writer_u64(writer, 0x22);
}

/* The first thing that a user would notice: here a FLUSH of a file that the shell does not look at. */
static void operate(struct world *world) {
    struct client *client = &world->client;
    uint8_t data[512];
    struct client_frame frame;
    struct client_request request = {.command = SMB2_FLUSH, .tree_id = client_tree(client)};
    world->phase = WORLD_OPERATING;
    client_frame_begin(&frame, data, sizeof data);
    if (!client_frame_add(client, &frame, &request, encode_flush, NULL)) {
        world->phase = WORLD_STOPPED;
        return;
    }
    struct span octets = client_frame_finish(client, &frame);
    if (octets.size > 0)
        put_on_the_way(world, FROM_CLIENT, octets);
}

static void go_on(struct world *world) {
    if (world->phase == WORLD_SETTING_UP)
        connect_share(world);
    else if (world->phase == WORLD_CONNECTING && client_tree(&world->client) != 0)
        operate(world);
    else if (world->phase == WORLD_CONNECTING)
        world->phase = WORLD_STOPPED; /* no such share */
}

static void take_responses(struct world *world) {
    struct client_response response;
    while (client_next_response(&world->client, &response)) {
        if (response.is_interim || world->phase != WORLD_OPERATING)
            continue;
        world->operation_status = response.status;
        world->phase = response.status == STATUS_SUCCESS ? WORLD_WORKED : WORLD_STOPPED;
    }
}

/* Gives what is under way to its receiver; false where nothing is. */
static bool deliver(struct world *world) {
    struct world_frame *to_server = queue_take(&world->queues[FROM_CLIENT]);
    if (to_server != NULL) {
        host_give(&world->host, (struct span){to_server->data, to_server->size});
        return true;
    }
    struct world_frame *to_client = queue_take(&world->queues[FROM_SERVER]);
    if (to_client != NULL) {
        client_receive(&world->client, to_client->data, to_client->size);
        take_responses(world);
        /* What was received borrows from its frame until keys and token are taken. */
        for (;;) {
            enum client_want want = client_step(&world->client);
            if (want == CLIENT_TOKEN)
                client_token(world);
            else if (want == CLIENT_KEYS)
                client_handles(world);
            else
                return true;
        }
    }
    return false;
}

static void wait_for_more(struct world *world) {
    if (deliver(world))
        return;
    if (world->host.server.closed) {
        client_disconnected(&world->client);
    } else {
        world->timed_out = true;
        client_timed_out(&world->client);
    }
}

static void client_turn(struct world *world, enum client_want want) {
    switch (want) {
    case CLIENT_SEND:
        put_on_the_way(world, FROM_CLIENT, client_output(&world->client));
        client_sent(&world->client);
        break;
    case CLIENT_TOKEN:
        client_token(world);
        break;
    case CLIENT_KEYS:
        client_handles(world);
        break;
    case CLIENT_READY:
        if (world->phase == WORLD_OPERATING)
            wait_for_more(world);
        else
            go_on(world);
        break;
    default:
        wait_for_more(world);
        break;
    }
}

static void world_begin(struct world *world) {
    struct client_setup setup = {.policy = &world->policy, .anonymous = world->anonymous, .output = world->output};
    memset(setup.salt, 0x11, sizeof setup.salt);
    client_init(&world->client, &setup);
    host_begin(&world->host);
    for (unsigned i = 0; i < 2; i++)
        world->queues[i].first = world->queues[i].count = world->sent[i] = 0;
    world->phase = WORLD_SETTING_UP;
    world->served = world->served_apart = world->timed_out = false;
    world->operation_status = 0;
}

void world_run(struct world *world) {
    world_begin(world);
    while (world->phase < WORLD_WORKED) {
        enum client_want want = client_step(&world->client);
        if (want == CLIENT_CLOSED)
            break;
        client_turn(world, want);
    }
}

/* ---- what came of it ---- */

bool world_worked(const struct world *world) {
    return world->phase == WORLD_WORKED;
}

static bool same_dialects(const struct negotiation_offered *a, const struct negotiation_offered *b) {
    return a->dialect_count == b->dialect_count &&
           memcmp(a->dialects, b->dialects, a->dialect_count * sizeof a->dialects[0]) == 0;
}

static const char *session_difference(const struct world *world) {
    const struct server_session *session = NULL;
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++)
        if (world->host.server.sessions[i].state == SERVER_SESSION_VALID)
            session = &world->host.server.sessions[i];
    if (session == NULL || !world->client.has_session)
        return "session";
    if (session->has_keys != world->client.has_keys)
        return "keys";
    return session->encrypt && !world->client.encrypts ? "encryption" : NULL;
}

const char *world_difference(const struct world *world) {
    const struct negotiation *client = &world->client.negotiation, *server = &world->host.server.negotiation;
    if (client->stage != NEGOTIATION_DONE || server->stage != NEGOTIATION_DONE)
        return "negotiation";
    if (client->agreed.dialect != server->agreed.dialect)
        return "dialect";
    if (client->offered.known != server->offered.known || !same_dialects(&client->offered, &server->offered))
        return "offered dialects";
    if (memcmp(client->offered.client_guid, server->offered.client_guid, 16) != 0)
        return "ClientGuid";
    if (memcmp(client->answered.server_guid, server->answered.server_guid, 16) != 0)
        return "ServerGuid";
    if (client->offered.security_mode != server->offered.security_mode)
        return "SecurityMode of the client";
    if (client->answered.security_mode != server->answered.security_mode)
        return "SecurityMode of the server";
    if (client->offered.capabilities != server->offered.capabilities)
        return "Capabilities of the client";
    if (client->answered.capabilities != server->answered.capabilities)
        return "Capabilities of the server";
    if (client->agreed.signing_algorithm != server->agreed.signing_algorithm)
        return "signing algorithm";
    if (client->agreed.cipher != server->agreed.cipher)
        return "cipher";
    return session_difference(world);
}

static void tell_client(const struct client_failure *failure, char *text, size_t size) {
    static const char *const phases[] = {"NEGOTIATE", "SESSION_SETUP", "TREE_CONNECT", "VALIDATE", "READY", "LOGOFF"};
    const char *status = ntstatus_name(failure->status);
    const char *what = failure->verdict.rule != RULE_NONE            ? rule_text(failure->verdict.rule)->id
                       : failure->fault == CLIENT_FAULT_DISCONNECTED ? "disconnected"
                       : failure->fault == CLIENT_FAULT_TIMED_OUT    ? "timed out"
                       : failure->fault == CLIENT_FAULT_CRYPTO       ? "crypto"
                       : status != NULL                              ? status
                                                                     : "?";
    snprintf(text, size, "client in %s: %s", phases[failure->phase], what);
}

void world_tell(const struct world *world, char *text, size_t size) {
    char client[128];
    if (world_worked(world)) {
        snprintf(text, size, "worked");
        return;
    }
    snprintf(client, sizeof client, "client: %s",
             world->phase == WORLD_CONNECTING || world->phase == WORLD_STOPPED ? "refused by status" : "");
    if (world->client.want == CLIENT_CLOSED)
        tell_client(&world->client.failure, client, sizeof client);
    if (!world->host.server.closed)
        snprintf(text, size, "%s", client);
    else if (world->host.server.failure.verdict.rule == RULE_NONE)
        snprintf(text, size, "server: crypto; %s", client);
    else
        snprintf(text, size, "server: %s; %s", rule_text(world->host.server.failure.verdict.rule)->id, client);
}
