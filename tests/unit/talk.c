#include "talk.h"

#include <stdlib.h>
#include <string.h>

#include "client/handles.h"

void talk_init(struct talk *talk) {
    memset(talk, 0, sizeof *talk);
    client_policy_defaults(&talk->policy);
    memset(talk->policy.guid, 0xc1, sizeof talk->policy.guid);
    peer_init(&talk->peer);
}

void talk_only(struct talk *talk, uint16_t dialect) {
    talk->policy.dialects = (struct id_list){{dialect}, 1};
}

void talk_start(struct talk *talk) {
    struct client_setup setup = {.policy = &talk->policy, .anonymous = talk->anonymous, .output = talk->output};

    memset(setup.salt, 0x5a, sizeof setup.salt);
    client_init(&talk->client, &setup);
}

static void give_token(struct talk *talk) {
    static const uint8_t token[] = "token";
    struct span key = {talk->peer.session_key, SESSION_KEY_SIZE};
    struct span out = {token, sizeof token};
    bool server_done = talk->client.final.size > 0;
    bool last = ++talk->tokens % talk->peer.legs == 0;
    bool complete = !talk->never_completes && (server_done || (talk->completes_early && last));

    if (server_done)
        out.size = 0;
    if (talk->anonymous)
        key.size = 0;
    if (server_done)
        talk->tokens--;
    client_take_token(&talk->client, out, complete, complete ? key : (struct span){NULL, 0});
}

static void give_handles(struct talk *talk) {
    if (!talk->keyless_handles)
        client_handles_new(&talk->client, &talk->handles);
    client_take_handles(&talk->client, &talk->handles);
}

bool talk_read(struct talk *talk) {
    if (talk->next_frame >= talk->peer.frames_count)
        return false;
    const struct peer_frame *frame = &talk->peer.frames[talk->next_frame++];
    size_t size = frame->size - FRAME_HEADER_SIZE;

    memcpy(talk->received, frame->data + FRAME_HEADER_SIZE, size);
    talk->frames_read++;
    if (talk->see != NULL)
        talk->see(talk->context, talk->received, size);
    return client_receive(&talk->client, talk->received, size);
}

static void send_output(struct talk *talk) {
    talk->next_frame = 0;
    if (talk->peer_turn != NULL)
        talk->peer_turn(true);
    peer_answer(&talk->peer, client_output(&talk->client));
    if (talk->peer_turn != NULL)
        talk->peer_turn(false);
    client_sent(&talk->client);
}

static void read_or_give_up(struct talk *talk) {
    if (talk->next_frame < talk->peer.frames_count)
        talk_read(talk);
    else if (talk->times_out)
        client_timed_out(&talk->client);
    else
        client_disconnected(&talk->client);
}

enum client_want talk_run(struct talk *talk) {
    for (unsigned steps = 0; steps < 200; steps++) {
        enum client_want want = client_step(&talk->client);

        switch (want) {
        case CLIENT_SEND:
            send_output(talk);
            break;
        case CLIENT_RECEIVE:
            read_or_give_up(talk);
            break;
        case CLIENT_TOKEN:
            give_token(talk);
            break;
        case CLIENT_KEYS:
            give_handles(talk);
            break;
        case CLIENT_READY:
        case CLIENT_CLOSED:
            return want;
        }
    }
    abort(); /* the two talk without end */
}

enum client_want talk_connect(struct talk *talk) {
    static const uint8_t path[] = {'\\', 0, '\\', 0, 'h', 0, '\\', 0, 's', 0};

    talk_start(talk);
    if (talk_run(talk) != CLIENT_READY)
        return CLIENT_CLOSED;
    client_connect_tree(&talk->client, (struct span){path, sizeof path});
    return talk_run(talk);
}

void talk_free(struct talk *talk) {
    client_wipe(&talk->client);
    client_handles_free(&talk->handles);
    peer_free(&talk->peer);
}
