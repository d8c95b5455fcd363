#include "client/chain.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/refusals.h"
#include "wire/files.h"
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

/* A server that grants few credits is asked for more until the chain can go out. */
static bool get_credits(struct session *session, uint32_t wanted, struct session_error *error) {
    for (unsigned i = 0; i < CREDIT_TRIES && client_credits(session_client(session)) < wanted; i++)
        if (!session_echo(session, error))
            return false;
    return true;
}

static uint32_t chain_charge(const struct client *client, const struct chain_step *steps, unsigned count) {
    uint32_t charge = 0;

    for (unsigned i = 0; i < count; i++)
        charge += client_charge(client, steps[i].payload);
    return charge;
}

static size_t chain_payload(const struct chain_step *steps, unsigned count) {
    size_t payload = 0;

    for (unsigned i = 0; i < count; i++)
        payload += steps[i].payload;
    return payload;
}

static bool send_chain(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count, uint8_t *room,
                       size_t size, struct session_error *error) {
    struct client *client = session_frames(session);
    struct client_frame frame;

    client_frame_begin(&frame, room, size);
    for (unsigned i = 0; i < count; i++) {
        struct client_request request = {.command = steps[i].command,
                                         .tree_id = tree,
                                         .payload = steps[i].payload,
                                         .related = i > 0,
                                         .owner = &steps[i]};

        if (client_frame_add(client, &frame, &request, steps[i].encode, steps[i].arguments))
            continue;
        chain_refused(error, STATUS_INSUFFICIENT_RESOURCES);
        if (i > 0) /* what was added awaits an answer that will not come */
            client_disconnected(client);
        return false;
    }
    return session_send(session, &frame, error);
}

static bool take_answer(const struct client_response *response, struct session_error *error) {
    struct chain_step *step = response->owner;

    step->status = response->status;
    if (step->take == NULL || !status_has_body(step->status) || step->take(response->message, step->result))
        return true;
    chain_malformed(error);
    return false;
}

static bool receive_chain(struct session *session, unsigned count, struct session_error *error) {
    struct client_response response;
    unsigned interims = 0;
    bool valid = true;

    while (count > 0) {
        if (!session_receive(session, &response, error))
            return false;
        if (response.is_interim && ++interims > CHAIN_INTERIMS_MAX) {
            client_timed_out(session_frames(session));
            return session_receive(session, &response, error);
        }
        if (response.is_interim)
            continue;
        valid = take_answer(&response, error) && valid;
        count--;
    }
    return valid;
}

/* ---- one by one ---- */

/* A step, and the FileId of the chain: the first step brings it along, or opens the file; the others use it. */
struct single {
    const struct chain_step *step;
    uint8_t *file_id;
    bool is_first;
};

/* Where a command's request has its FileId, in octets from the body's start; 0: nowhere. */
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

static void put_single(struct writer *writer, const void *arguments) {
    const struct single *single = arguments;
    size_t offset = file_id_at(single->step->command), at = writer->at + offset;

    single->step->encode(writer, single->step->arguments);
    if (writer->failed || offset == 0)
        return;
    if (single->is_first)
        memcpy(single->file_id, writer->data + at, FILE_ID_SIZE);
    else
        memcpy(writer->data + at, single->file_id, FILE_ID_SIZE);
}

/* False: there is no file for the steps that follow. */
static bool learn_file_id(const struct chain_step *step, struct span message, uint8_t file_id[FILE_ID_SIZE]) {
    struct create_response response;

    if (step->command != SMB2_CREATE)
        return true;
    if (step->status != STATUS_SUCCESS || !create_response_decode(message, &response))
        return false;
    memcpy(file_id, response.file_id, FILE_ID_SIZE);
    return true;
}

/* What the server would have said of a step that uses a file which was not opened (3.3.5.2.7.2). */
static void fail_rest(struct chain_step *steps, unsigned from, unsigned count) {
    for (unsigned i = from; i < count; i++)
        steps[i].status = steps[0].status;
}

static bool run_singly(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                       struct session_error *error) {
    uint8_t file_id[FILE_ID_SIZE] = {0};

    for (unsigned i = 0; i < count; i++) {
        struct single single = {&steps[i], file_id, i == 0};
        struct client_response response;

        if (!session_request(session, steps[i].command, tree, steps[i].payload, put_single, &single, &response, error))
            return false;
        response.owner = &steps[i];
        if (!take_answer(&response, error))
            return false;
        if (!learn_file_id(&steps[i], response.message, file_id)) {
            fail_rest(steps, i + 1, count);
            return true;
        }
    }
    return true;
}

static bool run_chained(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                        struct session_error *error) {
    size_t size = CHAIN_ROOM + chain_payload(steps, count);
    uint8_t *room = malloc(size);
    bool good;

    if (room == NULL) {
        chain_refused(error, STATUS_INSUFFICIENT_RESOURCES);
        return false;
    }
    good = get_credits(session, chain_charge(session_client(session), steps, count), error) &&
           send_chain(session, tree, steps, count, room, size, error);
    free(room);
    return good && receive_chain(session, count, error);
}

static bool run_once(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                     struct session_error *error) {
    bool singly = session_client(session)->negotiation.agreed.dialect == SMB2_DIALECT_202 && count > 1;

    return singly ? run_singly(session, tree, steps, count, error) : run_chained(session, tree, steps, count, error);
}

bool chain_run(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
               struct session_error *error) {
    assert(count > 0 && count <= CHAIN_STEPS_MAX);
    if (!run_once(session, tree, steps, count, error))
        return false;
    if (steps[0].status != STATUS_NETWORK_SESSION_EXPIRED)
        return true;
    return session_reauthenticate(session, error) && run_once(session, tree, steps, count, error);
}

bool chain_succeed(struct session *session, uint32_t tree, struct chain_step *steps, unsigned count,
                   struct session_error *error) {
    if (!chain_run(session, tree, steps, count, error))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!status_has_body(steps[i].status)) {
            chain_refused(error, steps[i].status);
            return false;
        }
    return true;
}
