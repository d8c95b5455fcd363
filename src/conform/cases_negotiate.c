/* NEGOTIATE: dialects, what they are chosen by, and requests that are wrong ([MS-SMB2] 3.3.5.3, 3.3.5.4). */
#include <string.h>

#include "conform/cases.h"
#include "conform/trial.h"

#define SMB1_ID        0x424d53ffu
#define SMB1_NEGOTIATE 0x72u
#define SMB1_ECHO      0x2bu
/* As Windows sends them ([MS-CIFS] 2.2.3.1). */
#define SMB1_FLAGS   0x18u
#define SMB1_FLAGS2  0xc853u
#define SMB1_NO_TREE 0xffffu
/* More dialects than servers take (2.2.3, note 8), and one that nobody has defined. */
#define MANY_DIALECTS   65u
#define DIALECT_UNKNOWN 0x0399u

/* ---- dialects ---- */

static uint16_t spoken_up_to(const struct trial *trial, uint16_t most) {
    uint16_t greatest = 0;

    for (unsigned i = 0; i < trial->facts->spoken.count; i++)
        if (trial->facts->spoken.ids[i] <= most)
            greatest = trial->facts->spoken.ids[i];
    return greatest;
}

static struct id_list list_up_to(uint16_t most) {
    static const uint16_t all[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                   SMB2_DIALECT_311};
    struct id_list list = {.count = 0};

    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] <= most)
            list.ids[list.count++] = all[i];
    return list;
}

/* The highest that the server implements of those up to `most`; none in common is NOT_SUPPORTED. */
static void judge_dialect(struct trial *trial, uint16_t most) {
    struct id_list list = list_up_to(most);
    uint16_t expected = spoken_up_to(trial, most);
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX], chosen[16];

    if (!trial_open(trial, &list))
        return;
    if (!line_agree(trial->line, &reply)) {
        if (expected == 0)
            judge_status(trial, &reply, STATUS_NOT_SUPPORTED);
        else
            trial_fail(trial, "%s%s%s", seen_text(&reply, text), trial->line->verdict.rule != RULE_NONE ? "; rule " : "",
                       rule_text(trial->line->verdict.rule)->id);
        return;
    }
    dialect_text(trial->line->negotiation.agreed.dialect, chosen);
    if (trial->line->negotiation.agreed.dialect == expected)
        trial_pass(trial, "%s", chosen);
    else
        trial_fail(trial, "%s is chosen", chosen);
}

void case_dialect_202(struct trial *trial) {
    judge_dialect(trial, SMB2_DIALECT_202);
}

void case_dialect_210(struct trial *trial) {
    judge_dialect(trial, SMB2_DIALECT_210);
}

void case_dialect_300(struct trial *trial) {
    judge_dialect(trial, SMB2_DIALECT_300);
}

void case_dialect_302(struct trial *trial) {
    judge_dialect(trial, SMB2_DIALECT_302);
}

void case_dialect_311(struct trial *trial) {
    judge_dialect(trial, SMB2_DIALECT_311);
}

/* Each dialect alone that the server does not agree to. */
void case_dialect_unspoken(struct trial *trial) {
    struct id_list all = list_up_to(SMB2_DIALECT_311);

    trial_skip(trial, "every dialect is spoken");
    for (unsigned i = 0; i < all.count; i++) {
        struct id_list one = dialect_alone(all.ids[i]);
        struct line_reply reply;

        if (trial_speaks(trial, all.ids[i]))
            continue;
        if (!trial_open(trial, &one))
            return;
        line_agree(trial->line, &reply);
        if (!judge_status(trial, &reply, STATUS_NOT_SUPPORTED))
            return;
    }
}

static bool offer(struct trial *trial, const struct id_list *list, struct client_offer *made) {
    if (!trial_open(trial, list))
        return false;
    line_offer(trial->line, made);
    return true;
}

/* With an unknown dialect in front of the others, which has to be passed over. */
void case_dialect_unknown(struct trial *trial) {
    struct id_list all = trial_all(trial), list = {.count = 0};
    struct client_offer made;
    struct line_reply reply;

    list.ids[list.count++] = DIALECT_UNKNOWN;
    for (unsigned i = 0; i < all.count; i++)
        list.ids[list.count++] = all.ids[i];
    if (!offer(trial, &list, &made))
        return;
    reply = line_negotiate(trial->line, &made);
    if (judge_status(trial, &reply, STATUS_SUCCESS) && trial->line->negotiation.answered.dialect != trial->facts->greatest)
        trial_fail(trial, "another dialect is chosen than without it");
}

/* ---- SMB1 ---- */

/* An SMB1 NEGOTIATE with these strings; `size` octets of it. */
static struct span smb1_message(uint8_t *octets, size_t room, const char *const *names, unsigned count) {
    uint8_t dialects[64];
    struct writer dialect_writer = writer_over(dialects, sizeof dialects), writer = writer_over(octets, room);
    struct smb1_negotiate_request request = {.header = {.protocol_id = SMB1_ID,
                                                        .command = SMB1_NEGOTIATE,
                                                        .flags = SMB1_FLAGS,
                                                        .flags2 = SMB1_FLAGS2,
                                                        .tid = SMB1_NO_TREE}};

    for (unsigned i = 0; i < count; i++) {
        writer_u8(&dialect_writer, 2);
        writer_put(&dialect_writer, (struct span){(const uint8_t *)names[i], strlen(names[i]) + 1});
    }
    request.dialects = writer_done(&dialect_writer);
    request.byte_count = (uint16_t)request.dialects.size;
    smb1_negotiate_request_encode(&request, &writer);
    return writer_done(&writer);
}

static const char *const smb1_names[] = {"NT LM 0.12", "SMB 2.002", "SMB 2.???"};

static bool send_smb1(struct trial *trial, unsigned first, unsigned count, struct line_reply *reply) {
    struct id_list all = trial_all(trial);
    uint8_t octets[128];

    if (!trial_open(trial, &all))
        return false;
    *reply = line_send_raw(trial->line, smb1_message(octets, sizeof octets, smb1_names + first, count));
    return true;
}

/* Does the reply choose this dialect, as MessageId 0? */
static bool judge_smb1(struct trial *trial, const struct line_reply *reply, uint16_t dialect) {
    char chosen[16];

    if (!judge_status(trial, reply, STATUS_SUCCESS))
        return false;
    if (reply->message.kind != MESSAGE_NEGOTIATE_RESPONSE || !reply->message.body_valid)
        trial_fail(trial, "no NEGOTIATE response of SMB2");
    else if (reply->message.body.negotiate_response.dialect_revision != dialect)
        trial_fail(trial, "dialect %s", dialect_text(reply->message.body.negotiate_response.dialect_revision, chosen));
    else if (reply->message.header.message_id != 0)
        trial_fail(trial, "MessageId is not 0");
    else
        trial_pass(trial, "0x%04x", dialect);
    return trial->result->outcome == CONFORM_PASS;
}

void case_smb1_wildcard(struct trial *trial) {
    struct line_reply reply;

    if (trial->facts->greatest < SMB2_DIALECT_210) {
        trial_skip(trial, "nothing above 2.0.2 is spoken");
        return;
    }
    if (!send_smb1(trial, 0, 3, &reply) || !judge_smb1(trial, &reply, SMB2_DIALECT_WILDCARD))
        return;
    trial->line->next_message_id = 1;
    if (!line_agree(trial->line, &reply))
        judge_status(trial, &reply, STATUS_SUCCESS);
    else if (trial->line->negotiation.agreed.dialect != trial->facts->greatest)
        trial_fail(trial, "the NEGOTIATE behind it is answered with another dialect than one without it");
}

void case_smb1_202(struct trial *trial) {
    struct line_reply reply;

    if (!trial_speaks(trial, SMB2_DIALECT_202))
        trial_skip(trial, "2.0.2 is not spoken");
    else if (send_smb1(trial, 1, 1, &reply))
        judge_smb1(trial, &reply, SMB2_DIALECT_202);
}

void case_smb1_no_smb2(struct trial *trial) {
    struct line_reply reply;

    if (!send_smb1(trial, 0, 1, &reply))
        return;
    if (reply.answer == LINE_ANSWERED && reply.message.kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE)
        trial_skip(trial, "the server speaks SMB1, or answers in it");
    else
        judge_close(trial, &reply);
}

/* The dialects' ByteCount reaches past the end. */
void case_smb1_malformed(struct trial *trial) {
    struct id_list all = trial_all(trial);
    uint8_t octets[128];
    struct span message = smb1_message(octets, sizeof octets, smb1_names, 3);
    struct line_reply reply;

    if (!trial_open(trial, &all))
        return;
    put_u16(octets, SMB1_HEADER_SIZE + 1, 0xfff0);
    reply = line_send_raw(trial->line, message);
    judge_close(trial, &reply);
}

static void send_smb1_later(struct trial *trial, uint8_t command) {
    struct id_list all = trial_all(trial);
    uint8_t octets[128];
    struct span message = smb1_message(octets, sizeof octets, smb1_names, 3);
    struct line_reply reply;

    octets[4] = command;
    if (!trial_agree(trial, &all))
        return;
    reply = line_send_raw(trial->line, message);
    judge_close(trial, &reply);
}

void case_smb1_later(struct trial *trial) {
    send_smb1_later(trial, SMB1_NEGOTIATE);
}

void case_smb1_message(struct trial *trial) {
    send_smb1_later(trial, SMB1_ECHO);
}

/* Twice on a fresh connection. */
void case_smb1_second(struct trial *trial) {
    struct line_reply reply;
    uint8_t octets[128];

    if (!send_smb1(trial, 0, 3, &reply))
        return;
    if (!reply_has(&reply, STATUS_SUCCESS)) {
        trial_skip(trial, "the first one is not answered");
        return;
    }
    reply = line_send_raw(trial->line, smb1_message(octets, sizeof octets, smb1_names, 3));
    judge_close(trial, &reply);
}

/* Behind 0x02FF only a NEGOTIATE may come. */
void case_wildcard_then_session(struct trial *trial) {
    struct line_reply reply;

    if (!send_smb1(trial, 0, 3, &reply))
        return;
    if (!reply_has(&reply, STATUS_SUCCESS) || trial->facts->greatest < SMB2_DIALECT_210) {
        trial_skip(trial, "the SMB1 NEGOTIATE is not answered with 0x02FF");
        return;
    }
    trial->line->next_message_id = 1;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    judge_close(trial, &reply);
}

/* ---- requests that are wrong ---- */

void case_signing_enabled(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct client_offer made;
    struct line_reply reply;
    uint16_t mode;

    if (!offer(trial, &all, &made))
        return;
    made.request.security_mode = SMB2_SIGNING_ENABLED | SMB2_SIGNING_REQUIRED;
    reply = line_negotiate(trial->line, &made);
    if (!judge_status(trial, &reply, STATUS_SUCCESS))
        return;
    mode = trial->line->negotiation.answered.security_mode;
    if ((mode & SMB2_SIGNING_ENABLED) == 0)
        trial_fail(trial, "SecurityMode is 0x%04x", mode);
    else if (((mode ^ trial->facts->security_mode) & SMB2_SIGNING_REQUIRED) != 0)
        trial_fail(trial, "SIGNING_REQUIRED follows the client's");
    else
        trial_pass(trial, "SecurityMode is 0x%04x", mode);
}

void case_second_negotiate(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct client_offer made;
    struct line_reply reply;

    if (!trial_agree(trial, &all))
        return;
    line_offer(trial->line, &made);
    reply = line_negotiate(trial->line, &made);
    judge_close(trial, &reply);
}

void case_no_dialects(struct trial *trial) {
    struct id_list one = dialect_alone(SMB2_DIALECT_210);
    struct client_offer made;
    struct line_reply reply;

    if (!offer(trial, &one, &made))
        return;
    made.request.dialect_count = 0;
    made.request.dialects.size = 0;
    reply = line_negotiate(trial->line, &made);
    judge_status(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_no_common_dialect(struct trial *trial) {
    struct id_list one = dialect_alone(DIALECT_UNKNOWN);
    struct client_offer made;
    struct line_reply reply;

    if (!offer(trial, &one, &made))
        return;
    reply = line_negotiate(trial->line, &made);
    judge_status(trial, &reply, STATUS_NOT_SUPPORTED);
}

void case_many_dialects(struct trial *trial) {
    struct id_list one = dialect_alone(trial->facts->greatest);
    uint8_t octets[2 * MANY_DIALECTS];
    struct writer writer = writer_over(octets, sizeof octets);
    struct client_offer made;
    struct line_reply reply;

    for (unsigned i = 0; i < MANY_DIALECTS; i++)
        writer_u16(&writer, i == 0 ? SMB2_DIALECT_202 : DIALECT_UNKNOWN);
    if (!offer(trial, &one, &made))
        return;
    made.request.dialects = writer_done(&writer);
    made.request.dialect_count = MANY_DIALECTS;
    made.request.negotiate_context_offset = made.request.negotiate_context_count = 0;
    made.request.contexts.size = 0;
    reply = line_negotiate(trial->line, &made);
    if (reply_has(&reply, STATUS_SUCCESS))
        trial_pass(trial, "they are taken");
    else
        judge_refusal(trial, &reply);
}

/* The body of a right NEGOTIATE request, in a frame that the case may still change. */
static uint8_t *add_negotiate(struct trial *trial, const struct client_offer *made) {
    uint8_t octets[512];
    struct writer writer = writer_over(octets, sizeof octets);

    batch_begin(trial->batch, trial->line);
    negotiate_request_encode(&(struct smb2_header){0}, &made->request, &writer);
    return batch_add(trial->batch, SMB2_NEGOTIATE, span_slice(writer_done(&writer), SMB2_HEADER_SIZE, SIZE_MAX));
}

/* A right NEGOTIATE of which one thing in the header or the fixed part is changed. */
static void send_spoiled(struct trial *trial, size_t at, uint32_t value, uint32_t status, bool may_close) {
    struct id_list all = trial_all(trial);
    struct client_offer made;
    struct line_reply reply;

    if (!offer(trial, &all, &made))
        return;
    put_u32(add_negotiate(trial, &made), at, value);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    if (status == STATUS_SUCCESS)
        judge_close(trial, &reply);
    else if (may_close)
        judge_status_or_close(trial, &reply, status);
    else
        judge_status(trial, &reply, status);
}

/* StructureSize 36 and DialectCount 400, of which there are fewer. */
void case_negotiate_short(struct trial *trial) {
    send_spoiled(trial, AT_BODY, 36u | 400u << 16, STATUS_INVALID_PARAMETER, true);
}

void case_negotiate_message_id(struct trial *trial) {
    send_spoiled(trial, AT_MESSAGE_ID, 7, STATUS_SUCCESS, true);
}

void case_negotiate_signed(struct trial *trial) {
    send_spoiled(trial, AT_FLAGS, SMB2_FLAGS_SIGNED, STATUS_INVALID_PARAMETER, false);
}

void case_negotiate_reserved(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct client_offer made;
    struct line_reply reply;

    if (!offer(trial, &all, &made))
        return;
    made.request.reserved = 1;
    reply = line_negotiate(trial->line, &made);
    if (reply_has(&reply, STATUS_NOT_SUPPORTED))
        trial_pass(trial, "refused, as Windows does");
    else
        judge_status(trial, &reply, STATUS_SUCCESS);
}

void case_negotiate_guid_zero(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct client_offer made;
    struct line_reply reply;

    if (!offer(trial, &all, &made))
        return;
    memset(made.request.client_guid, 0, sizeof made.request.client_guid);
    reply = line_negotiate(trial->line, &made);
    judge_status(trial, &reply, STATUS_SUCCESS);
}

void case_session_before_negotiate(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_open(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    judge_close(trial, &reply);
}

/* ---- responses ---- */

/* What a correct client makes of the answer to each dialect alone and to all. */
void case_responses_as_client(struct trial *trial) {
    struct id_list all = trial_all(trial);

    for (unsigned i = 0; i <= all.count; i++) {
        struct id_list list = i < all.count ? dialect_alone(all.ids[i]) : all;
        struct line_reply reply;

        if (!trial_open(trial, &list))
            return;
        line_agree(trial->line, &reply);
        if (!judge_status(trial, &reply, STATUS_SUCCESS))
            return;
        if (trial->line->verdict.rule != RULE_NONE && rule_text(trial->line->verdict.rule)->severity == SEVERITY_MUST) {
            trial_fail(trial, "0x%04x: %s", list.ids[list.count - 1], rule_text(trial->line->verdict.rule)->sentence);
            return;
        }
    }
    trial_pass(trial, "%u answers, each as it should be", all.count + 1u);
}

/* Capabilities that mean something in each dialect (2.2.4), and that the client has where they are to be echoed. */
void case_capabilities(struct trial *trial) {
    static const struct {
        uint16_t dialect;
        uint32_t allowed;
    } rows[] = {{SMB2_DIALECT_202, 0x01}, {SMB2_DIALECT_210, 0x07}, {SMB2_DIALECT_300, 0x7f}, {SMB2_DIALECT_302, 0x7f},
                {SMB2_DIALECT_311, 0xbf}};

    trial_pass(trial, "none beyond what the dialect has");
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct id_list one = dialect_alone(rows[i].dialect);
        uint32_t seen;

        if (!trial_speaks(trial, rows[i].dialect))
            continue;
        if (!trial_agree(trial, &one))
            return;
        seen = trial->line->negotiation.answered.capabilities;
        if ((seen & ~rows[i].allowed) != 0) {
            trial_fail(trial, "0x%04x: Capabilities 0x%08x", rows[i].dialect, seen);
            return;
        }
    }
}
