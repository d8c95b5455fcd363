#include "client/chain.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/refusals.h"
#include "client/requests.h"
#include "wire/message.h"

/* Octets of the frame of a chain besides what its steps send: bodies with at most two paths, and headers. */
#define CHAIN_ROOM 32768u
/* ECHOs that are sent to get the credits that a chain needs. */
#define CREDIT_TRIES 8u
/* Interim answers to one chain. Each gives the server its time once more. */
#define CHAIN_INTERIMS_MAX 64u

void chain_refused(struct session_error *error, uint32_t status) {
    *error = (struct session_error){
        .kind = SESSION_ERROR_REFUSED, .phase = CLIENT_PHASE_READY, .rule = RULE_NONE, .status = status};
    refusal_sentence(status, error->sentence, sizeof error->sentence);
}

void chain_malformed(struct session_error *error) {
    *error = (struct session_error){.kind = SESSION_ERROR_PROTOCOL, .phase = CLIENT_PHASE_READY, .rule = RULE_NONE};
    snprintf(error->sentence, sizeof error->sentence, "the server sent an answer that cannot be read");
}

bool status_has_body(uint32_t status) {
    return status == STATUS_SUCCESS || status == STATUS_BUFFER_OVERFLOW;
}

static uint32_t chain_charge(const struct client *client, const struct chain *chain) {
    uint32_t charge = 0;

    for (unsigned i = 0; i < chain->count; i++)
        charge += client_charge(client, chain->steps[i].payload);
    return charge;
}

static bool has_credits(struct session *session, const struct chain *chain) {
    const struct client *client = session_client(session);

    return client_credits(client) >= chain_charge(client, chain);
}

/* A server that grants few credits is asked for more, as long as that yields any. */
static bool get_credits(struct session *session, const struct chain *chain, struct session_error *error) {
    const struct client *client = session_client(session);
    uint32_t before = 0;

    for (unsigned i = 0; i < CREDIT_TRIES && !has_credits(session, chain) && client_credits(client) > before; i++) {
        before = client_credits(client);
        if (!session_echo(session, error))
            return false;
    }
    return true;
}

static bool goes_singly(struct session *session, const struct chain *chain) {
    return chain->count > 1 && session_client(session)->negotiation.agreed.dialect == SMB2_DIALECT_202;
}

static size_t chain_room(const struct chain *chain) {
    size_t room = CHAIN_ROOM;

    for (unsigned i = 0; i < chain->count; i++)
        room += chain->steps[i].payload;
    return room;
}

static bool put_frame(struct session *session, uint32_t tree, struct chain *chain, struct client_frame *frame) {
    for (unsigned i = 0; i < chain->count; i++) {
        struct chain_step *step = &chain->steps[i];
        struct client_request request = {.command = step->command,
                                         .tree_id = tree,
                                         .payload = step->payload,
                                         .related = i > 0,
                                         .owner = step};

        step->chain = chain;
        if (!client_frame_add(session_frames(session), frame, &request, step->encode, step->arguments))
            return false;
    }
    return true;
}

enum chain_sent chain_send(struct session *session, uint32_t tree, struct chain *chain, struct session_error *error) {
    struct client_frame frame;
    size_t size = chain_room(chain);
    uint8_t *room;
    bool good;

    assert(chain->count > 0 && chain->count <= CHAIN_STEPS_MAX);
    if (goes_singly(session, chain) || !has_credits(session, chain) || !session_is_open(session))
        return CHAIN_WAITS;
    room = malloc(size);
    if (room == NULL)
        return CHAIN_WAITS;
    client_frame_begin(&frame, room, size);
    good = put_frame(session, tree, chain, &frame);
    if (!good && frame.count > 0) /* what was added awaits an answer that will not come */
        client_disconnected(session_frames(session));
    if (good || frame.count > 0)
        good = session_send(session, &frame, error);
    chain->awaited = good ? chain->count : 0;
    chain->interims = 0;
    free(room);
    if (good)
        return CHAIN_SENT;
    return frame.count > 0 ? CHAIN_LOST : CHAIN_WAITS;
}

/* Remembers the file that a CREATE opened. */
static bool learn_file_id(struct chain *chain, struct span message) {
    struct create_response response;

    if (!create_response_decode(message, &response))
        return false;
    memcpy(chain->file_id, response.file_id, FILE_ID_SIZE);
    return true;
}

static void take_answer(struct chain_step *step, const struct client_response *response) {
    struct chain *chain = step->chain;

    step->status = response->status;
    if (!status_has_body(step->status))
        return;
    if (step->command == SMB2_CREATE && !learn_file_id(chain, response->message))
        chain->is_malformed = true;
    if (step->take != NULL && !step->take(response->message, step->result))
        chain->is_malformed = true;
}

bool chain_receive(struct session *session, struct chain **ended, struct session_error *error) {
    struct client_response response;
    struct chain *chain;

    *ended = NULL;
    if (!session_receive(session, &response, error))
        return false;
    chain = ((struct chain_step *)response.owner)->chain;
    if (response.is_interim && ++chain->interims > CHAIN_INTERIMS_MAX) {
        client_timed_out(session_frames(session));
        return session_receive(session, &response, error);
    }
    if (response.is_interim)
        return true;
    take_answer(response.owner, &response);
    if (--chain->awaited == 0)
        *ended = chain;
    return true;
}

/* ---- one by one ---- */

/* A step, and where its request has its FileId, in octets from the body's start; 0: nowhere. */
static size_t file_id_at(uint16_t command) {
    switch (command) {
    case SMB2_CLOSE:
    case SMB2_QUERY_DIRECTORY:
        return 8;
    case SMB2_READ:
    case SMB2_WRITE:
    case SMB2_SET_INFO:
        return 16;
    case SMB2_QUERY_INFO:
        return 24;
    default:
        return 0;
    }
}

/* A step by itself names the file that it would have inherited. */
static void put_single(struct writer *writer, const void *arguments) {
    const struct chain_step *step = arguments;
    size_t offset = file_id_at(step->command), at = writer->at + offset;
    uint8_t inherited[FILE_ID_SIZE];

    step->encode(writer, step->arguments);
    if (writer->failed || offset == 0)
        return;
    file_id_inherit(inherited);
    if (memcmp(writer->data + at, inherited, FILE_ID_SIZE) == 0)
        memcpy(writer->data + at, step->chain->file_id, FILE_ID_SIZE);
}

/* What the server would have said of a step that uses a file which was not opened (3.3.5.2.7.2). */
static void fail_rest(struct chain *chain, unsigned from) {
    for (unsigned i = from; i < chain->count; i++)
        chain->steps[i].status = chain->steps[0].status;
}

static bool run_singly(struct session *session, uint32_t tree, struct chain *chain, unsigned from,
                       struct session_error *error) {
    for (unsigned i = from; i < chain->count; i++) {
        struct chain_step *step = &chain->steps[i];
        struct client_response response;

        step->chain = chain;
        if (!session_request(session, step->command, tree, step->payload, put_single, step, &response, error))
            return false;
        take_answer(step, &response);
        if (chain->is_malformed) {
            chain_malformed(error);
            return false;
        }
        if (step->command == SMB2_CREATE && step->status != STATUS_SUCCESS) {
            fail_rest(chain, i + 1);
            return true;
        }
    }
    return true;
}

/* ---- whole chains ---- */

static unsigned first_expired(const struct chain *chain) {
    unsigned i = 0;

    while (i < chain->count && chain->steps[i].status != STATUS_NETWORK_SESSION_EXPIRED)
        i++;
    return i;
}

bool chain_has_expired(const struct chain *chain) {
    return first_expired(chain) < chain->count;
}

bool chain_end(struct session *session, uint32_t tree, struct chain *chain, struct session_error *error) {
    assert(chain->awaited == 0);
    if (chain->is_malformed) {
        chain_malformed(error);
        return false;
    }
    return run_singly(session, tree, chain, first_expired(chain), error);
}

static bool receive_all(struct session *session, struct session_error *error) {
    struct chain *ended = NULL;

    while (ended == NULL)
        if (!chain_receive(session, &ended, error))
            return false;
    return true;
}

static bool run(struct session *session, uint32_t tree, struct chain *chain, struct session_error *error) {
    if (!goes_singly(session, chain) && !get_credits(session, chain, error))
        return false;
    switch (chain_send(session, tree, chain, error)) {
    case CHAIN_SENT:
        return receive_all(session, error) && chain_end(session, tree, chain, error);
    case CHAIN_WAITS:
        return run_singly(session, tree, chain, 0, error);
    case CHAIN_LOST:
        break;
    }
    return false;
}

bool chain_run(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
               struct session_error *error) {
    struct chain chain = {.steps = steps, .count = count};

    return run(session, tree, &chain, error);
}

uint32_t chain_status(const struct chain *chain) {
    for (unsigned i = 0; i < chain->count; i++)
        if (!status_has_body(chain->steps[i].status))
            return chain->steps[i].status;
    return STATUS_SUCCESS;
}

bool chain_succeed(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                   struct session_error *error) {
    struct chain chain = {.steps = steps, .count = count};
    uint32_t status;

    if (!run(session, tree, &chain, error))
        return false;
    status = chain_status(&chain);
    if (status != STATUS_SUCCESS)
        chain_refused(error, status);
    return status == STATUS_SUCCESS;
}
