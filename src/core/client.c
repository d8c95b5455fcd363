#include "core/client_internal.h"

#include <assert.h>
#include <string.h>

#include "core/client_validate.h"

void client_init(struct client *client, const struct client_setup *setup) {
    assert(setup->policy != NULL && setup->output != NULL && setup->policy->dialects.count > 0);
    memset(client, 0, sizeof *client);
    client->policy = *setup->policy;
    memcpy(client->salt, setup->salt, sizeof client->salt);
    client->anonymous = setup->anonymous;
    client->output = setup->output;
    client->credits = 1; /* MessageId 0 (3.2.4.1.6) */
    negotiation_init(&client->negotiation);
    conversation_init(&client->conversation, &client->events);
    client_begin(client);
}

void client_wipe(struct client *client) {
    session_keys_wipe(&client->keys);
    crypto_wipe(client->full_key, sizeof client->full_key);
    client->handles = (struct client_handles){NULL, NULL, NULL};
    client->sealer.key = NULL;
    client->has_keys = client->has_session = false;
    client->want = CLIENT_CLOSED;
}

enum client_want client_step(struct client *client) {
    return client->want;
}

bool client_is_closed(const struct client *client) {
    return client->want == CLIENT_CLOSED;
}

struct span client_output(const struct client *client) {
    return client->frame;
}

void client_sent(struct client *client) {
    assert(client->want == CLIENT_SEND);
    client->frame = (struct span){NULL, 0};
    client->want = CLIENT_RECEIVE;
}

struct span client_token_in(const struct client *client) {
    return client->token;
}

uint32_t client_tree(const struct client *client) {
    return client->tree;
}

/* ---- failures ---- */

void client_fail(struct client *client, enum client_fault fault, uint32_t status) {
    if (client_is_closed(client))
        return;
    client->want = CLIENT_CLOSED;
    client->failure = (struct client_failure){.fault = fault, .phase = client->phase, .status = status};
}

/* The field of a message that holds the octet at `offset`, and where the list that it is of begins. */
static const struct field *field_at(const struct message *message, size_t offset, size_t *base) {
    struct message_fields list = message_fields(message->kind);
    const struct ioctl_response *ioctl = &message->body.ioctl_response;

    if (message_is_smb2(message) && offset < SMB2_HEADER_SIZE)
        list = (struct message_fields){smb2_header_fields, smb2_header_fields_count, 0};
    else if (message->kind == MESSAGE_IOCTL_RESPONSE && ioctl->ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO &&
             offset >= ioctl->output_offset)
        list = (struct message_fields){validate_response_fields, validate_response_fields_count, ioctl->output_offset};
    *base = list.at;
    for (unsigned i = 0; i < list.count; i++) {
        size_t at = list.at + list.fields[i].wire_offset;

        if (offset >= at && offset - at < list.fields[i].width)
            return &list.fields[i];
    }
    return NULL;
}

static struct span value_copy(uint8_t room[CLIENT_VALUE_MAX], struct span value) {
    value = span_slice(value, 0, CLIENT_VALUE_MAX);
    if (value.size > 0)
        memcpy(room, value.data, value.size);
    return (struct span){room, value.size};
}

/* What the field should have been, in wire octets; nothing where there is no one value. */
static void write_expected(const struct client *client, enum rule rule, struct writer *writer) {
    const struct negotiation_answered *answered = &client->negotiation.answered;
    const struct negotiation_offered *offered = &client->negotiation.offered;

    switch (rule) {
    case RULE_INFO_RESPONSE_CAPABILITIES:
        writer_u32(writer, answered->capabilities);
        break;
    case RULE_INFO_RESPONSE_GUID:
        writer_put(writer, (struct span){answered->server_guid, sizeof answered->server_guid});
        break;
    case RULE_INFO_RESPONSE_SECURITY_MODE:
        writer_u16(writer, answered->security_mode);
        break;
    case RULE_INFO_RESPONSE_DIALECT:
        writer_u16(writer, answered->dialect);
        break;
    case RULE_RESPONSE_DIALECT:
        for (unsigned i = 0; i < offered->dialect_count && i < CLIENT_VALUE_MAX / 2; i++)
            writer_u16(writer, offered->dialects[i]);
        break;
    case RULE_SESSION_ID:
    case RULE_TRANSFORM_SESSION:
        writer_u64(writer, client->session_id);
        break;
    default:
        break;
    }
}

static void tell_values(struct client *client, const struct verdict *verdict, const struct message *message) {
    struct writer writer = writer_over(client->expected, sizeof client->expected);
    size_t base;
    const struct field *field = field_at(message, verdict->offset, &base);

    if (field == NULL)
        return;
    client->failure.field = field->name;
    client->failure.found = value_copy(client->found, fields_octets(field, span_slice(message->bytes, base, SIZE_MAX)));
    write_expected(client, verdict->rule, &writer);
    client->failure.expected = writer_done(&writer);
}

void client_fail_verdict(struct client *client, const struct verdict *verdict, const struct message *message) {
    if (client_is_closed(client))
        return;
    client_fail(client, CLIENT_FAULT_RULE, message != NULL ? message->header.status : 0);
    client->failure.verdict = *verdict;
    if (message != NULL)
        tell_values(client, verdict, message);
}

void client_fail_rule(struct client *client, enum rule rule, const struct message *message, size_t offset) {
    struct verdict verdict = verdict_disconnect(rule, offset);

    client_fail_verdict(client, &verdict, message);
}

void client_refuse_token(struct client *client, uint32_t status) {
    client_fail(client, CLIENT_FAULT_TOKEN, status);
}

/* Nobody may drop the validation, and call it unsupported (3.2.6.1). */
static void fail_without_answer(struct client *client, enum client_fault fault, uint32_t status) {
    bool is_validating = client->phase == CLIENT_PHASE_VALIDATE;

    if (client_is_closed(client))
        return;
    client_fail(client, fault, status);
    if (is_validating)
        client->failure.verdict = client_info_missing(&client->negotiation);
}

void client_timed_out(struct client *client) {
    fail_without_answer(client, CLIENT_FAULT_TIMED_OUT, STATUS_IO_TIMEOUT);
}

void client_disconnected(struct client *client) {
    if (client->phase == CLIENT_PHASE_LOGOFF && !client_is_closed(client))
        client_fail(client, CLIENT_FAULT_NONE, 0);
    else
        fail_without_answer(client, CLIENT_FAULT_DISCONNECTED, STATUS_CONNECTION_DISCONNECTED);
}

/* Nobody but the server can tell why it says nothing while it ought to prove something. */
static bool is_proving(enum client_phase phase) {
    return phase == CLIENT_PHASE_SESSION_SETUP || phase == CLIENT_PHASE_TREE_CONNECT || phase == CLIENT_PHASE_VALIDATE;
}

bool client_failed_securely(const struct client *client) {
    const struct client_failure *failure = &client->failure;
    bool no_answer = failure->fault == CLIENT_FAULT_TIMED_OUT || failure->fault == CLIENT_FAULT_DISCONNECTED;

    if (!client_is_closed(client))
        return false;
    return failure->verdict.rule != RULE_NONE || (no_answer && is_proving(failure->phase));
}

/* ---- what is observed ---- */

static void note_broken(struct verdict *first, const struct event *event) {
    bool must = rule_text(event->verdict.rule)->severity == SEVERITY_MUST;

    if (event->from == FROM_SERVER && must && first->rule == RULE_NONE)
        *first = verdict_disconnect(event->verdict.rule, event->verdict.offset);
}

struct verdict client_observe(struct client *client, enum direction from, struct span message) {
    struct verdict first = verdict_accept();
    struct event event;

    conversation_frame(&client->conversation, from, (uint32_t)message.size);
    while (message.size > 0) {
        size_t used = conversation_feed(&client->conversation, from, message);

        while (conversation_next(&client->conversation, &event))
            if (event.kind == EVENT_BROKEN)
                note_broken(&first, &event);
        message = span_slice(message, used, message.size);
    }
    return first;
}
