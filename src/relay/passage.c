#include "relay/passage.h"

#include <stdio.h>
#include <string.h>

#include "core/client_validate.h"
#include "core/conversation.h"
#include "core/server_validate.h"

/* Octets of a message by which it is known whether it may be altered: to the end of an IOCTL's CtlCode. */
#define LOOK_SIZE     72u
#define SMB1_COMMAND  4u /* offset from the protocol id */
#define SMB1_NEGOTIATE_COMMAND     0x72u
#define SMB1_SESSION_SETUP_COMMAND 0x73u
#define SMB1_TREE_CONNECT_COMMAND  0x75u
#define SMB1_NO_DIALECT 0xffffu
#define STATUS_IS_ERROR 0xc0000000u

void passage_init(struct passage *passage, const struct plan *plan, bool is_selected) {
    memset(passage, 0, sizeof *passage);
    passage->plan = plan;
    passage->is_selected = is_selected && plan->count > 0;
    conversation_init(&passage->conversations[0], &passage->events[0]);
    conversation_init(&passage->conversations[1], &passage->events[1]);
    negotiation_init(&passage->facts.near);
    negotiation_init(&passage->facts.far);
}

/* ---- what messages say about the connection ---- */

static enum reach smb1_stage(const struct message *message) {
    uint8_t command = message->bytes.size > SMB1_COMMAND ? message->bytes.data[SMB1_COMMAND] : 0;

    switch (command) {
    case SMB1_NEGOTIATE_COMMAND:
        return REACH_NEGOTIATE;
    case SMB1_SESSION_SETUP_COMMAND:
        return REACH_SESSION_SETUP;
    case SMB1_TREE_CONNECT_COMMAND:
        return REACH_TREE_CONNECT;
    default:
        return REACH_OPERATION;
    }
}

static enum reach smb2_stage(const struct tamper_message *message) {
    switch (message->message->header.command) {
    case SMB2_NEGOTIATE:
        return REACH_NEGOTIATE;
    case SMB2_SESSION_SETUP:
        return REACH_SESSION_SETUP;
    case SMB2_TREE_CONNECT:
        return REACH_TREE_CONNECT;
    case SMB2_LOGOFF:
    case SMB2_TREE_DISCONNECT:
    case SMB2_CANCEL:
    case SMB2_ECHO:
        return REACH_NONE;
    default:
        return tamper_is_validation(message) ? REACH_VALIDATE : REACH_OPERATION;
    }
}

/* An encrypted session begins, behind its SESSION_SETUP, with TREE_CONNECT and where it is due the validation. */
static enum reach sealed_stage(const struct passage *passage, unsigned count) {
    bool validates = passage->facts.near.answered.dialect != SMB2_DIALECT_311;

    if (count <= 1)
        return REACH_TREE_CONNECT;
    return validates && count == 2 ? REACH_VALIDATE : REACH_OPERATION;
}

static enum reach stage_of(const struct passage *passage, const struct tamper_message *message) {
    const struct message *decoded = message->message;

    if (message_is_smb2(decoded))
        return smb2_stage(message);
    if (decoded->kind == MESSAGE_TRANSFORM)
        return sealed_stage(passage,
                            message->from == FROM_CLIENT ? passage->sealed_requests : passage->sealed_responses);
    return decoded->kind >= MESSAGE_SMB1_NEGOTIATE_REQUEST && decoded->kind <= MESSAGE_SMB1_OTHER ? smb1_stage(decoded)
                                                                                                  : REACH_NONE;
}

static bool is_whole(const struct message *message) {
    return message->bytes.size == message->size;
}

static bool is_negotiate_request(const struct message *message) {
    return is_whole(message) && message->body_valid &&
           (message->kind == MESSAGE_NEGOTIATE_REQUEST || message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST);
}

static bool is_negotiate_response(const struct message *message) {
    bool smb2 = message_is_smb2(message) && message->header.command == SMB2_NEGOTIATE && message_is_response(message);

    return is_whole(message) && (smb2 || message->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE);
}

/* A client that takes whatever it may, so that what it refuses has to be refused. */
static struct verdict read_response(const struct message *response, struct negotiation *record) {
    struct client_policy policy;

    client_policy_defaults(&policy);
    policy.accept_small_sizes = true;
    return client_validate(response, &policy, record);
}

/* Likewise a server, of every dialect, before its first NEGOTIATE. */
static struct verdict read_request(const struct message *request) {
    struct server_policy policy;
    struct server_answer answer;
    struct negotiation record;
    const struct fresh fresh = {.system_time = 0};

    if (request->kind != MESSAGE_NEGOTIATE_REQUEST || !is_whole(request))
        return verdict_accept();
    server_policy_defaults(&policy);
    negotiation_init(&record);
    record.negotiates_seen = (uint16_t)request->header.message_id;
    return server_validate(request, &policy, &fresh, &record, &answer);
}

static void session_answered(struct passage_facts *facts, const struct message *response) {
    uint16_t keyless = SESSION_FLAG_IS_GUEST | SESSION_FLAG_IS_NULL;

    if (response->kind != MESSAGE_SESSION_SETUP_RESPONSE || response->header.status != STATUS_SUCCESS)
        return;
    facts->session = true;
    facts->keyless = (response->body.session_setup_response.session_flags & keyless) != 0 || facts->anonymous;
}

/* A server need not say that a session is anonymous, and not each signs the last response where there are keys. */
static void session_asked(struct passage_facts *facts, const struct message *request) {
    bool authenticate = false, anonymous;

    if (request->kind != MESSAGE_SESSION_SETUP_REQUEST || !request->body_valid)
        return;
    facts->signs_anyway |= (request->body.session_setup_request.security_mode & SMB2_SIGNING_REQUIRED) != 0;
    anonymous = token_names_no_user(request->body.session_setup_request.security_buffer, &authenticate);
    if (authenticate)
        facts->anonymous = anonymous;
}

/* FILE_CLOSED and the like under a signature, of a server that chose a 2.x dialect. */
static void validation_answered(struct passage_facts *facts, const struct message *response) {
    uint32_t status = response->header.status;

    facts->validation_unknown = !dialect_is_3x(facts->far.answered.dialect) &&
                                (response->header.flags & SMB2_FLAGS_SIGNED) != 0 &&
                                (status == STATUS_FILE_CLOSED || status == STATUS_NOT_SUPPORTED ||
                                 status == STATUS_INVALID_DEVICE_REQUEST);
}

static void client_sent(struct passage *passage, const struct tamper_message *message, enum reach stage) {
    struct passage_facts *facts = &passage->facts;
    const struct message *request = message->message;

    if (is_negotiate_request(request))
        negotiation_store_offer(&facts->near, request);
    session_asked(facts, request);
    facts->validated |= stage == REACH_VALIDATE && message_is_smb2(request);
    if (stage == REACH_NONE)
        return;
    passage->ending.stage = stage;
    passage->ending.outstanding = true;
    passage->ending.refused = false;
}

/* In the words of SMB1: none of the dialects will do ([MS-CIFS] 2.2.4.52.2). Who closes first then is chance. */
static bool refuses_dialects(const struct message *response) {
    return response->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE &&
           response->body.smb1_negotiate_response.dialect_index == SMB1_NO_DIALECT;
}

static void server_sent(struct passage *passage, const struct tamper_message *message, enum reach stage) {
    struct passage_facts *facts = &passage->facts;
    const struct message *response = message->message;
    uint32_t status = response->header.status;

    if (is_negotiate_response(response)) {
        read_response(response, &facts->far);
        facts->smb1 |= response->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE;
    }
    if (!message_is_smb2(response) || status == STATUS_PENDING) {
        passage->ending.outstanding &= status == STATUS_PENDING;
        passage->ending.refused |= refuses_dialects(response);
        return;
    }
    session_answered(facts, response);
    if (stage == REACH_VALIDATE)
        validation_answered(facts, response);
    passage->ending.outstanding = false;
    if (stage != REACH_NONE)
        passage->ending.refused = status >= STATUS_IS_ERROR && status != STATUS_MORE_PROCESSING_REQUIRED;
}

static void note_sent(struct passage *passage, const struct tamper_message *message) {
    enum reach stage;

    if (message->message->kind == MESSAGE_TRANSFORM) {
        passage->sealed_requests += message->from == FROM_CLIENT;
        passage->sealed_responses += message->from == FROM_SERVER;
    }
    stage = stage_of(passage, message);
    if (message->from == FROM_CLIENT)
        client_sent(passage, message, stage);
    else
        server_sent(passage, message, stage);
}

/* Did an operation work, as the client sees it? Refusals for want of a signature are no success. */
static bool is_success(const struct message *response) {
    uint32_t status = response->header.status;

    return !message_is_smb2(response) || (status != STATUS_PENDING && status != (uint32_t)STATUS_ACCESS_DENIED &&
                                          status != (uint32_t)STATUS_USER_SESSION_DELETED);
}

static void note_received(struct passage *passage, const struct tamper_message *message, bool is_altered) {
    struct passage_facts *facts = &passage->facts;
    const struct message *decoded = message->message;
    struct verdict verdict;

    if (message->from == FROM_CLIENT && is_negotiate_request(decoded)) {
        negotiation_store_offer(&facts->far, decoded);
        if (is_altered)
            facts->far_verdict = read_request(decoded);
    }
    if (message->from == FROM_SERVER && is_negotiate_response(decoded)) {
        verdict = read_response(decoded, &facts->near);
        if (is_altered)
            facts->near_verdict = verdict;
    }
    if (message->from == FROM_SERVER && stage_of(passage, message) == REACH_OPERATION && is_success(decoded))
        passage->ending.operations++;
}

/* ---- alterations ---- */

static bool is_signed(const struct message *message) {
    return message_is_smb2(message) && (message->header.flags & SMB2_FLAGS_SIGNED) != 0;
}

static uint16_t session_flags(const struct message *message) {
    return message->kind == MESSAGE_SESSION_SETUP_RESPONSE ? message->body.session_setup_response.session_flags : 0;
}

static void fill_alteration(struct alteration *alteration, const struct tamper_message *before,
                            const struct message *after, const struct tamper_result *result) {
    uint16_t keyless = SESSION_FLAG_IS_GUEST | SESSION_FLAG_IS_NULL;

    alteration->from = before->from;
    alteration->tampers = result->changed;
    alteration->timings = result->applied & ~result->changed;
    alteration->fate = result->fate;
    alteration->answered = result->answer_size > 0;
    alteration->was_signed = is_signed(before->message);
    alteration->is_signed = is_signed(after);
    alteration->request_signed = before->request->known && before->request->is_signed;
    alteration->final = before->message->kind == MESSAGE_SESSION_SETUP_RESPONSE &&
                        before->message->header.status == STATUS_SUCCESS;
    alteration->flags_made_guest =
        (session_flags(after) & keyless) != 0 && (session_flags(before->message) & keyless) == 0;
    alteration->forged = after->kind != before->message->kind;
    memcpy(alteration->detail, result->detail, sizeof alteration->detail);
}

static void note_alteration(struct passage *passage, const struct tamper_message *before, const struct message *after,
                            const struct tamper_result *result) {
    struct passage_facts *facts = &passage->facts;
    enum reach stage = stage_of(passage, before);
    bool first = facts->alterations_count == 0;

    if (result->applied == 0)
        return;
    if (result->changed != 0 && (first || stage < REACH_OPERATION))
        passage->ending.operations = 0;
    if (result->changed != 0 && before->from == FROM_SERVER)
        passage->ending.refused = false; /* whatever the client does now, it does not do for the server's own words */
    if (facts->alterations_count == ALTERATIONS_MAX) {
        facts->alterations_more++;
        return;
    }
    facts->alterations[facts->alterations_count].stage = stage;
    fill_alteration(&facts->alterations[facts->alterations_count++], before, after, result);
}

static void keep_answer(struct passage *passage, const struct tamper_result *result) {
    struct writer writer = writer_over(passage->answer, sizeof passage->answer);

    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, (uint32_t)result->answer_size});
    writer_put(&writer, (struct span){result->answer, result->answer_size});
    passage->answer_size = writer_done(&writer).size;
    passage->answer_waits = passage->answer_size > 0;
    passage->ending.outstanding = false;
}

static void append(char *text, size_t size, const char *more) {
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s", more);
}

static const char *comment_beginning(const struct tamper_result *result) {
    if (result->answer_size > 0)
        return "smbproof relay did not pass this on, and answered it: ";
    if (result->fate == FATE_RESET)
        return "smbproof relay reset the connection here: ";
    if (result->fate == FATE_DROP)
        return "smbproof relay did not pass this on: ";
    return result->changed != 0 ? "smbproof relay changed this: " : "smbproof relay held this up: ";
}

static void write_comment(const struct plan *plan, const struct tamper_result *result, char *comment, size_t size) {
    bool first = comment[0] == '\0';

    append(comment, size, first ? comment_beginning(result) : "; ");
    first = true;
    for (unsigned i = 0; i < plan->count; i++) {
        if ((result->applied & 1ull << i) == 0)
            continue;
        append(comment, size, first ? "" : "; ");
        append(comment, size, plan->tampers[i].text);
        first = false;
    }
    if (result->detail[0] == '\0')
        return;
    append(comment, size, " (");
    append(comment, size, result->detail);
    append(comment, size, ")");
}

/* ---- conversations ---- */

/* The next octets of what an end sent or got; returns how many were taken. Where its conversation cannot keep up,
 * which needs a message that was altered into something strange, it is not asked any more. */
static size_t feed(struct passage *passage, enum direction end, enum direction from, struct span octets) {
    if (passage->lost[end])
        return octets.size;
    return conversation_feed(&passage->conversations[end], from, octets);
}

static const struct event *next_message(struct passage *passage, enum direction end) {
    const struct event *event;

    while (!passage->lost[end] && (event = conversation_event(&passage->conversations[end])) != NULL)
        if (event->kind == EVENT_MESSAGE)
            return event;
    return NULL;
}

/* What arrives at the other end; with what is noted of it. */
static void arrive(struct passage *passage, enum direction from, struct span octets, bool is_altered) {
    enum direction end = direction_other(from);
    const struct event *event;
    size_t used = 0, step = 1;

    while (used < octets.size && step > 0) {
        step = feed(passage, end, from, span_slice(octets, used, octets.size));
        while ((event = next_message(passage, end)) != NULL) {
            struct tamper_message message = {from, &event->message, &event->request};

            note_received(passage, &message, is_altered);
        }
        used += step;
    }
    passage->lost[end] |= used < octets.size;
}

/* ---- frames ---- */

/* May some alteration meet this message? Only its first octets are known. */
static bool may_meet(const struct tamper *tamper, enum direction from, const struct message *message) {
    enum tamper_way way = from == FROM_CLIENT ? WAY_REQUEST : WAY_RESPONSE;
    bool smb2 = message_is_smb2(message);

    if (tamper->way != WAY_BOTH && tamper->way != way)
        return false;
    switch (tamper->target) {
    case TARGET_COMMAND:
        return smb2 && (message->header.command == tamper->command || message->header.next_command != 0);
    case TARGET_VALIDATE:
        return smb2 && (message->header.command == SMB2_IOCTL || message->header.next_command != 0);
    case TARGET_SMB1:
        return message->kind >= MESSAGE_SMB1_NEGOTIATE_REQUEST && message->kind <= MESSAGE_SMB1_OTHER;
    case TARGET_ENCRYPTED:
        return message->kind == MESSAGE_TRANSFORM;
    default:
        return true;
    }
}

static bool is_wanted(const struct passage *passage, enum direction from, struct span head, size_t size) {
    struct message message;

    if (!passage->is_selected || size > CONVERSATION_WHOLE_MAX || size < SMB1_HEADER_SIZE)
        return false;
    message_decode(head, size, &message);
    for (unsigned i = 0; i < passage->plan->count; i++)
        if (may_meet(&passage->plan->tampers[i], from, &message))
            return true;
    return false;
}

/* As much as is there of a frame that goes on as it is. Returns how many octets were taken. */
static size_t pass_on(struct passage *passage, enum direction from, struct span octets) {
    struct span part = span_slice(octets, 0, passage->frame_left[from]);
    const struct event *event;
    size_t used = feed(passage, from, from, part);

    while ((event = next_message(passage, from)) != NULL)
        note_sent(passage, &(struct tamper_message){from, &event->message, &event->request});
    if (used == 0 && part.size == passage->frame_left[from]) { /* it is all there, and cannot be read */
        passage->lost[from] = true;
        used = part.size;
    }
    if (used > 0)
        arrive(passage, from, span_slice(octets, 0, used), false);
    passage->frame_left[from] -= used;
    return used;
}

/* Alters one element of the frame whose copy is in `room`. Returns the size of the frame's content then. */
static size_t alter(struct passage *passage, const struct event *event, size_t at, size_t size, uint8_t *room,
                    struct passage_step *step) {
    struct tamper_message message = {event->from, &event->message, &event->request};
    bool in_chain = event->chained || event->message.header.next_command != 0;
    struct tamper_buffer buffer = {room + FRAME_HEADER_SIZE + at, event->message.size,
                                   event->message.size + (in_chain ? 0 : TAMPER_GROWTH_MAX), in_chain};
    struct tamper_result result;
    struct message after;

    if (at + event->message.size > size || step->kind == STEP_RESET || step->kind == STEP_DROP)
        return size;
    tamper_apply(passage->plan->tampers, passage->plan->count, &message, &buffer, &result);
    if (result.applied == 0)
        return size;
    message_decode((struct span){buffer.data, buffer.size}, buffer.size, &after);
    note_alteration(passage, &message, &after, &result);
    if (result.answer_size > 0)
        keep_answer(passage, &result);
    write_comment(passage->plan, &result, step->comment, sizeof step->comment);
    if (result.changed != 0 && step->kind == STEP_PASS)
        step->kind = STEP_CHANGED;
    if (result.fate != FATE_PASS)
        step->kind = result.fate == FATE_DROP ? STEP_DROP : STEP_RESET;
    step->delay_ms = result.delay_ms;
    step->split_size = result.split_size;
    step->coalesce_ms = result.coalesce_ms;
    return in_chain ? size : buffer.size;
}

/* A whole frame that some alteration may meet. */
static void alter_frame(struct passage *passage, enum direction from, struct span frame, uint8_t *room,
                        struct passage_step *step) {
    size_t size = frame.size - FRAME_HEADER_SIZE, used = 0, fed = 1;
    struct writer header = writer_over(room, FRAME_HEADER_SIZE);
    const struct event *event;

    memcpy(room, frame.data, frame.size);
    step->kind = STEP_PASS;
    step->used = frame.size;
    while (used < frame.size && fed > 0) {
        fed = feed(passage, from, from, span_slice(frame, used, frame.size));
        while ((event = next_message(passage, from)) != NULL) {
            note_sent(passage, &(struct tamper_message){from, &event->message, &event->request});
            size = alter(passage, event, (size_t)(event->message.bytes.data - frame.data) - FRAME_HEADER_SIZE, size,
                         room, step);
        }
        used += fed;
    }
    passage->lost[from] |= used < frame.size;
    frame_encode(&header, &(struct frame){FRAME_MESSAGE, (uint32_t)size});
    step->out = (struct span){room, FRAME_HEADER_SIZE + size};
    if (step->kind == STEP_PASS || step->kind == STEP_CHANGED)
        arrive(passage, from, step->kind == STEP_CHANGED ? step->out : frame, step->kind == STEP_CHANGED);
    if (step->kind == STEP_RESET)
        passage_reset(passage);
}

enum look { LOOK_MORE, LOOK_PLAIN, LOOK_WANTED };

/* The first octet alone tells what cannot be one. */
static bool begins_frame(uint8_t type) {
    struct frame frame;

    return frame_decode((struct span){(const uint8_t[FRAME_HEADER_SIZE]){type}, FRAME_HEADER_SIZE}, &frame);
}

/* At the beginning of a frame, whose size with its header becomes known. */
static enum look look_at_frame(struct passage *passage, enum direction from, struct span octets, size_t *size) {
    struct frame frame;
    size_t look;

    if (octets.size < FRAME_HEADER_SIZE && begins_frame(octets.data[0]))
        return LOOK_MORE;
    if (!frame_decode(octets, &frame)) {
        passage->blind[from] = true;
        return LOOK_PLAIN;
    }
    *size = FRAME_HEADER_SIZE + (size_t)frame.length;
    look = frame.length < LOOK_SIZE ? frame.length : LOOK_SIZE;
    if (frame.type != FRAME_MESSAGE)
        return LOOK_PLAIN;
    if (octets.size < FRAME_HEADER_SIZE + look)
        return LOOK_MORE;
    return is_wanted(passage, from, span_slice(octets, FRAME_HEADER_SIZE, look), frame.length) ? LOOK_WANTED
                                                                                              : LOOK_PLAIN;
}

/* Where no frame is under way: may octets be passed on? False where more are needed, or this frame is dealt with. */
static bool begin_frame(struct passage *passage, enum direction from, struct span octets, size_t passed,
                        uint8_t *room, struct passage_step *step) {
    size_t size = 0;
    enum look look = look_at_frame(passage, from, octets, &size);

    if (look == LOOK_WANTED && passed == 0 && octets.size >= size)
        alter_frame(passage, from, span_slice(octets, 0, size), room, step);
    if (look == LOOK_PLAIN)
        passage->frame_left[from] = size;
    return look == LOOK_PLAIN;
}

void passage_step(struct passage *passage, enum direction from, struct span octets, uint8_t *room,
                  struct passage_step *step) {
    size_t passed = 0, used = 1;

    step->kind = STEP_MORE;
    step->used = 0;
    step->out = (struct span){0};
    step->delay_ms = step->split_size = step->coalesce_ms = 0;
    step->comment[0] = '\0';
    while (passed < octets.size && used > 0) {
        struct span rest = span_slice(octets, passed, octets.size);

        if (!passage->blind[from] && passage->frame_left[from] == 0 &&
            !begin_frame(passage, from, rest, passed, room, step))
            break;
        used = passage->blind[from] ? rest.size : pass_on(passage, from, rest);
        passed += used;
    }
    if (passed == 0)
        return;
    step->kind = STEP_PASS;
    step->used = passed;
}

bool passage_take_answer(struct passage *passage, struct span *answer) {
    if (!passage->answer_waits || passage->frame_left[FROM_SERVER] > 0)
        return false;
    passage->answer_waits = false;
    arrive(passage, FROM_SERVER, (struct span){passage->answer, passage->answer_size}, true);
    *answer = (struct span){passage->answer, passage->answer_size};
    return true;
}

void passage_closed(struct passage *passage, enum direction from) {
    if (passage->ending.closed == WHO_NOBODY && !passage->ending.reset_by_relay)
        passage->ending.closed = from == FROM_CLIENT ? WHO_CLIENT : WHO_SERVER;
}

void passage_reset(struct passage *passage) {
    if (passage->ending.closed == WHO_NOBODY)
        passage->ending.reset_by_relay = true;
}
