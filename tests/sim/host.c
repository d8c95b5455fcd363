#include "host.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void host_init(struct host *host, struct keyring *ring) {
    memset(host, 0, sizeof *host);
    server_policy_defaults(&host->policy);
    memset(host->key, 0x6b, sizeof host->key);
    host->key_size = HOST_KEY_USUAL;
    static const uint8_t hint[] = "hint";
    host->ring = ring;
    host->legs = 2;
    host->hint = (struct span){hint, sizeof hint};
    host->output_size = HOST_OUTPUT_MAX;
    host->places = malloc(HOST_FRAMES * sizeof *host->places);
    assert(host->places != NULL);
    for (unsigned i = 0; i < HOST_FRAMES; i++) {
        host->places[i].used = false;
        host->places[i].content = NULL;
    }
}

static void place_free(struct host_place *place) {
    free(place->content);
    place->content = NULL;
    place->used = false;
}

void host_free(struct host *host) {
    server_wipe(&host->server);
    for (unsigned i = 0; i < HOST_FRAMES; i++)
        place_free(&host->places[i]);
    free(host->places);
    host->places = NULL;
}

void host_begin(struct host *host) {
    struct server_setup setup = {.policy = &host->policy, .session_ids = 0x5e55000000000000};
    memset(setup.fresh.salt, 0xa5, sizeof setup.fresh.salt);
    memset(setup.fresh.server_guid, 0x5e, sizeof setup.fresh.server_guid);
    setup.fresh.system_time = 0x01dd7a8c5e0206a4;
    setup.fresh.security_buffer = host->hint;
    server_init(&host->server, &setup);
    for (unsigned i = 0; i < HOST_FRAMES; i++)
        place_free(&host->places[i]);
    host->requests = host->cancels = host->trees_ended = host->sessions_ended = host->released = host->rooms = 0;
    host->held_count = 0;
    host->cancelled = NULL;
}

static struct host_place *place_of(struct server_frame *frame) {
    return frame->owner;
}

static void hold(struct host *host, struct server_frame *frame) {
    assert(host->held_count < HOST_FRAMES);
    host->held[host->held_count++] = frame;
}

/* A word of its own in each leg, whatever the client's was. */
static void make_up(struct host *host, struct server_frame *frame) {
    static const uint8_t word[] = "host";
    struct server_logon logon = {.token = {word, sizeof word}, .owner = host};
    if (frame->request.session->legs < host->legs)
        logon.state = SERVER_LOGON_CONTINUE;
    else if (host->logon == HOST_LOGON_REFUSED)
        logon.state = SERVER_LOGON_REFUSED;
    else
        logon.state = SERVER_LOGON_DONE;
    logon.status = (uint32_t)STATUS_LOGON_FAILURE;
    logon.is_guest = host->logon == HOST_LOGON_GUEST;
    logon.is_anonymous = host->logon == HOST_LOGON_ANONYMOUS;
    logon.dialect_differs = host->logon == HOST_LOGON_DIALECT;
    if (!logon.is_guest && !logon.is_anonymous)
        logon.session_key = (struct span){host->key, host->key_size};
    server_take_token(&host->server, frame, &logon);
}

static void authenticate(struct host *host, struct server_frame *frame) {
    struct server_logon logon = {.owner = host};
    if (host->holds_tokens) {
        hold(host, frame);
        return;
    }
    if (host->authenticate == NULL) {
        make_up(host, frame);
        return;
    }
    host->authenticate(host->arguments, server_token(frame), &logon);
    server_take_token(&host->server, frame, &logon);
}

static void lend_handles(struct host *host) {
    const struct session_keys *keys = &host->server.keys;
    const struct negotiation_agreed *agreed = &host->server.negotiation.agreed;
    struct server_handles handles = {
        .mac = keyring_mac(host->ring, agreed, keys),
        .seal = keyring_seal(host->ring, agreed->cipher, keys->server_to_client, keys->cipher_size),
        .open = keyring_open(host->ring, agreed->cipher, keys->client_to_server, keys->cipher_size),
    };
    server_take_handles(&host->server, &handles);
}

static bool path_ends(struct span path, char last) {
    return path.size >= 2 && path.data[path.size - 2] == (uint8_t)last && path.data[path.size - 1] == 0;
}

/* \\host\docs; \\host\vault is for encrypted access only. */
static void look_for_share(struct host *host, struct server_frame *frame) {
    struct span path = server_path(frame);
    const struct server_share share = {
        .type = 1, .maximal_access = 0x001f01ff, .encrypt = path_ends(path, 't'), .owner = host};
    if (host->holds_trees)
        hold(host, frame);
    else if (path_ends(path, 's') || share.encrypt)
        server_take_tree(&host->server, frame, STATUS_SUCCESS, &share);
    else
        server_take_tree(&host->server, frame, (uint32_t)STATUS_BAD_NETWORK_NAME, NULL);
}

void host_answer(struct host *host, struct server_frame *frame, uint32_t status) {
    static const uint8_t body[] = {4, 0, 0, 0};
    if (status >> 30 == 3) {
        server_refuse(&host->server, frame, status, (struct span){NULL, 0});
        return;
    }
    uint8_t *at = server_body(frame, sizeof body);
    assert(at != NULL);
    memcpy(at, body, sizeof body);
    server_respond(&host->server, frame, status, sizeof body);
}

static void serve(struct host *host, struct server_frame *frame) {
    host->requests++;
    if (host->served != NULL)
        host->served(host->arguments, &frame->request);
    if (host->holds)
        hold(host, frame);
    else
        host_answer(host, frame, STATUS_SUCCESS);
}

static void send(struct host *host) {
    struct span output = server_output(&host->server);
    if (output.size > 0 && host->send != NULL)
        host->send(host->arguments, output);
    place_free(place_of(server_sent(&host->server)));
}

static void do_one(struct host *host, enum server_want want) {
    struct server *server = &host->server;
    struct server_frame *frame = server_current(server);
    switch (want) {
    case SERVER_SEND:
        send(host);
        break;
    case SERVER_ROOM:
        host->rooms++;
        server_frame_move(frame, place_of(frame)->output, HOST_OUTPUT_MAX);
        break;
    case SERVER_TOKEN:
        authenticate(host, frame);
        break;
    case SERVER_KEYS:
        lend_handles(host);
        break;
    case SERVER_STRANGER:
        server_take_stranger(server, frame, host->stranger);
        break;
    case SERVER_TREE:
        look_for_share(host, frame);
        break;
    case SERVER_REQUEST:
        serve(host, frame);
        break;
    case SERVER_CANCEL:
        host->cancels++;
        host->cancelled = frame;
        break;
    case SERVER_END_TREE:
        host->trees_ended++;
        server_ended(server, frame);
        break;
    case SERVER_END_SESSION:
        host->sessions_ended++;
        server_ended(server, frame);
        break;
    default:
        host->released++;
        break;
    }
}

bool host_run(struct host *host) {
    for (;;) {
        enum server_want want = server_step(&host->server);
        if (want == SERVER_RECEIVE || want == SERVER_CLOSED)
            return want == SERVER_RECEIVE;
        do_one(host, want);
    }
}

static struct server_frame *take_place(struct host *host, struct span content) {
    struct host_place *place = host->places;
    while (place->used)
        assert(++place < host->places + HOST_FRAMES);
    place->used = true;
    place->content = malloc(content.size > 0 ? content.size : 1);
    assert(place->content != NULL);
    if (content.size > 0)
        memcpy(place->content, content.data, content.size);
    server_frame_init(&place->frame, place->content, content.size, place->output, host->output_size, place);
    return &place->frame;
}

bool host_give(struct host *host, struct span content) {
    struct server_frame *frame = take_place(host, content);
    if (host->checks_ahead)
        server_check_ahead(&host->server, &frame, 1);
    server_receive(&host->server, frame);
    return host_run(host);
}

bool host_give_together(struct host *host, const struct span *contents, unsigned count) {
    struct server_frame *frames[SIGN_TOGETHER_MAX] = {0};
    bool is_open = true;
    assert(count <= SIGN_TOGETHER_MAX);
    for (unsigned i = 0; i < count; i++)
        frames[i] = take_place(host, contents[i]);
    server_check_ahead(&host->server, frames, count);
    for (unsigned i = 0; i < count && is_open; i++) {
        server_receive(&host->server, frames[i]);
        is_open = host_run(host);
    }
    return is_open;
}
