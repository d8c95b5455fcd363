/* TREE_CONNECT, FSCTL_VALIDATE_NEGOTIATE_INFO behind the first one, LOGOFF (3.2.4.2.4, 3.2.5.5, 3.2.5.14.12). */
#include "core/client_internal.h"

#include <assert.h>
#include <string.h>

#include "core/client_validate.h"

/* Where buffers begin, from the protocol id (2.2.9, 2.2.31). */
#define PATH_AT        72u
#define IOCTL_INPUT_AT 120u

#define IOCTL_IS_FSCTL          1u
#define SHAREFLAG_ENCRYPT_DATA  0x8000u

void client_connect_tree(struct client *client, struct span path) {
    assert(client->want == CLIENT_READY && path.size <= CLIENT_PATH_MAX);
    struct message message = {.kind = MESSAGE_TREE_CONNECT_REQUEST};

    client->tree = 0;
    client->tree_status = STATUS_INSUFFICIENT_RESOURCES;
    if (client->tree_count == CLIENT_TREES_MAX || client->credits == 0)
        return;
    message.body.tree_connect_request = (struct tree_connect_request){
        .structure_size = 9,
        .path_offset = PATH_AT,
        .path_length = (uint16_t)path.size,
        .path = path,
    };
    client->phase = CLIENT_PHASE_TREE_CONNECT;
    client_send_message(client, SMB2_TREE_CONNECT, true, &message);
}

static void become_ready(struct client *client) {
    client->phase = CLIENT_PHASE_READY;
    client->want = CLIENT_READY;
}

/* ---- validation ---- */

static void send_validation(struct client *client) {
    struct client_info info;
    uint8_t input[VALIDATE_RESPONSE_SIZE + sizeof info.dialect_octets];
    struct writer writer = writer_over(input, sizeof input);
    struct message message = {.kind = MESSAGE_IOCTL_REQUEST};
    struct ioctl_request *request = &message.body.ioctl_request;

    client_info_fill(&client->negotiation, &client->policy, &info);
    validate_request_encode(&info.request, &writer);
    assert(!writer.failed);
    *request = (struct ioctl_request){
        .structure_size = 57,
        .ctl_code = FSCTL_VALIDATE_NEGOTIATE_INFO,
        .input_offset = IOCTL_INPUT_AT,
        .input_count = (uint32_t)writer.at,
        .output_offset = IOCTL_INPUT_AT,
        .max_output_response = VALIDATE_RESPONSE_SIZE,
        .flags = IOCTL_IS_FSCTL,
        .input = writer_done(&writer),
    };
    memset(request->file_id, 0xff, sizeof request->file_id);
    client->phase = CLIENT_PHASE_VALIDATE;
    client_send_message(client, SMB2_IOCTL, true, &message);
}

void client_take_info_answer(struct client *client, const struct message *response, enum protection protection) {
    struct verdict verdict = client_validate_info(response, &client->policy, protection, &client->negotiation);
    struct verdict observed = client_observe(client, FROM_SERVER, response->bytes);

    if (verdict_goes_on(&verdict) && observed.rule != RULE_NONE)
        verdict = observed;
    if (verdict_goes_on(&verdict))
        become_ready(client);
    else
        client_fail_verdict(client, &verdict, response);
}

/* Once is enough, since what is validated belongs to the connection. */
static bool validation_is_due(const struct client *client) {
    return client->negotiation.validation == VALIDATION_NONE &&
           client_must_validate_info(&client->negotiation, &client->policy, client->has_keys);
}

/* ---- answers ---- */

/* On a 2.x connection the flag means nothing; elsewhere a share that demands what is not there is of no use. */
static bool tree_encrypts(const struct client *client, uint32_t share_flags) {
    return (share_flags & SHAREFLAG_ENCRYPT_DATA) && dialect_is_3x(client->negotiation.agreed.dialect);
}

static void keep_tree(struct client *client, uint32_t id, const struct tree_connect_response *body, bool encrypts) {
    struct client_tree *tree = client_tree_at(client, id);

    if (tree == NULL)
        tree = &client->trees[client->tree_count++];
    *tree = (struct client_tree){
        .id = id,
        .encrypts = encrypts,
        .share_type = body->share_type,
        .share_flags = body->share_flags,
        .capabilities = body->capabilities,
        .maximal_access = body->maximal_access,
    };
    client->tree = id;
}

static void take_tree(struct client *client, const struct message *response) {
    const struct tree_connect_response *body = &response->body.tree_connect_response;
    bool encrypts = tree_encrypts(client, body->share_flags);

    if (encrypts && !(client->has_keys && client->keys.cipher_size > 0)) {
        client_fail_rule(client, RULE_ENCRYPTION_UNAVAILABLE, response, SMB2_HEADER_SIZE + 4);
        return;
    }
    keep_tree(client, response->header.tree_id, body, encrypts);
    if (validation_is_due(client))
        send_validation(client);
    else
        become_ready(client);
}

void client_take_tree_answer(struct client *client, const struct message *response) {
    if (client->phase == CLIENT_PHASE_LOGOFF) {
        client_fail(client, CLIENT_FAULT_NONE, response->header.status);
        return;
    }
    client->tree_status = response->header.status;
    if (response->kind == MESSAGE_TREE_CONNECT_RESPONSE)
        take_tree(client, response);
    else
        become_ready(client);
}

void client_log_off(struct client *client) {
    assert(client->want == CLIENT_READY);
    struct message message = {.kind = MESSAGE_LOGOFF_REQUEST};

    message.body.empty = (struct empty_body){.structure_size = 4};
    client->phase = CLIENT_PHASE_LOGOFF;
    client_send_message(client, SMB2_LOGOFF, false, &message);
}
