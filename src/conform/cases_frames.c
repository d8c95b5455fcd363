/* Frames, headers, MessageIds and credits, compound chains ([MS-SMB2] 3.3.5.2 to 3.3.5.2.7). */
#include <string.h>

#include "conform/cases.h"
#include "conform/trial.h"

/* One octet more than two credits pay for less one, so that it takes two. */
#define TWO_CREDITS 65537u
/* Octets that no request but those with data may have (3.3.5.2). */
#define REQUEST_MAX (68u * 1024u)
#define FRAME_LONGEST 0xffffffu
/* Octets of a message beyond MaxTransactSize that a server has to take (3.3.5.2). */
#define FRAME_SURPLUS 256u
/* Elements of a long chain. */
#define LONG_CHAIN 200u

static const uint8_t sample[] = "smbproof conform";

static struct line_reply exchange_plain(struct trial *trial, uint16_t command, enum line_protection protection) {
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, command);
    return batch_exchange(trial->batch, protection);
}

/* ECHO on a session; is the connection still in order? */
static bool echoes(struct trial *trial) {
    struct line_reply reply = exchange_plain(trial, SMB2_ECHO, LINE_SIGNED);

    return reply_has(&reply, STATUS_SUCCESS);
}

static const char *text_of(const struct batch_answer *answer, char text[CONFORM_TEXT_MAX]) {
    return seen_text(&answer->reply, text);
}

/* A file that is gone again when it is closed. */
static bool make_file(struct trial *trial, struct batch_answer *made) {
    struct id_list all = trial_all(trial);
    char text[CONFORM_TEXT_MAX];

    if (!trial_connect(trial, &all))
        return false;
    batch_begin(trial->batch, trial->line);
    add_create(trial->batch, "smbproof-conform-file", FILE_OPEN_IF);
    batch_run(trial->batch, LINE_SIGNED, made);
    if (reply_has(&made->reply, STATUS_SUCCESS))
        return true;
    trial_unclear(trial, "CREATE: %s", text_of(made, text));
    return false;
}

/* ---- credits ---- */

static bool has_multi_credit(struct trial *trial) {
    if (!trial->line->negotiation.agreed.multi_credit)
        trial_skip(trial, "the server has no multi-credit requests");
    return trial->line->negotiation.agreed.multi_credit;
}

/* A WRITE and a READ that cost two credits each, and an ECHO with the MessageId behind them. */
void case_multi_credit(struct trial *trial) {
    static const uint8_t data[TWO_CREDITS];
    struct batch_answer made, answer;
    char text[CONFORM_TEXT_MAX];

    if (!make_file(trial, &made) || !has_multi_credit(trial))
        return;
    batch_begin(trial->batch, trial->line);
    add_write(trial->batch, made.file_id, (struct span){data, sizeof data});
    batch_run(trial->batch, LINE_SIGNED, &answer);
    if (!reply_has(&answer.reply, STATUS_SUCCESS) || answer.count != TWO_CREDITS) {
        trial_fail(trial, "WRITE: %s", text_of(&answer, text));
        return;
    }
    batch_begin(trial->batch, trial->line);
    add_read(trial->batch, made.file_id, TWO_CREDITS);
    batch_run(trial->batch, LINE_SIGNED, &answer);
    if (!reply_has(&answer.reply, STATUS_SUCCESS) || answer.count != TWO_CREDITS)
        trial_fail(trial, "READ: %s", text_of(&answer, text));
    else if (!echoes(trial))
        trial_fail(trial, "the MessageIds behind them are not taken");
    else
        trial_pass(trial, "%u octets each way", TWO_CREDITS);
}

void case_credit_charge(struct trial *trial) {
    struct batch_answer made;
    struct line_reply reply;

    if (!make_file(trial, &made) || !has_multi_credit(trial))
        return;
    batch_begin(trial->batch, trial->line);
    put_u16(add_read(trial->batch, made.file_id, TWO_CREDITS), AT_CREDIT_CHARGE, 1);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_INVALID_PARAMETER);
}

/* NEGOTIATE asks for no credit and gets one nevertheless; a later request that asks gets some (3.3.1.2). */
void case_credit_grant(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct client_offer made;
    struct line_reply reply;
    uint8_t octets[512];
    struct writer writer = writer_over(octets, sizeof octets);

    if (!trial_log_on(trial, &all))
        return;
    reply = exchange_plain(trial, SMB2_ECHO, LINE_SIGNED);
    if (!judge_status(trial, &reply, STATUS_SUCCESS))
        return;
    if (reply.message.header.credits == 0)
        trial_fail(trial, "a request that asks for credits gets none");
    if (trial->result->outcome != CONFORM_PASS || !trial_open(trial, &all))
        return;
    line_offer(trial->line, &made);
    negotiate_request_encode(&(struct smb2_header){0}, &made.request, &writer);
    batch_begin(trial->batch, trial->line);
    put_u16(batch_add(trial->batch, SMB2_NEGOTIATE, span_slice(writer_done(&writer), SMB2_HEADER_SIZE, SIZE_MAX)),
            AT_CREDITS, 0);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    if (judge_status(trial, &reply, STATUS_SUCCESS) && reply.message.header.credits == 0)
        trial_fail(trial, "NEGOTIATE grants no credit");
}

static void send_message_id(struct trial *trial, uint64_t message_id) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    put_u64(add_plain(trial->batch, SMB2_ECHO), AT_MESSAGE_ID, message_id);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_close(trial, &reply);
}

void case_message_id_used(struct trial *trial) {
    send_message_id(trial, 1);
}

void case_message_id_beyond(struct trial *trial) {
    send_message_id(trial, 1u << 20);
}

/* More MessageIds than were granted, of which the first is right. */
void case_charge_beyond(struct trial *trial) {
    struct batch_answer made;
    struct line_reply reply;

    if (!make_file(trial, &made) || !has_multi_credit(trial))
        return;
    batch_begin(trial->batch, trial->line);
    put_u16(add_read(trial->batch, made.file_id, 16), AT_CREDIT_CHARGE, UINT16_MAX);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_close(trial, &reply);
}

/* A CANCEL of what is not there is passed over: the next answer is that to the ECHO behind it. */
void case_cancel_unanswered(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    int error;

    if (!trial_log_on(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_CANCEL);
    trial->line->next_message_id--;
    error = batch_send(trial->batch, LINE_SIGNED);
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    if (error == 0 && judge_status(trial, &reply, STATUS_SUCCESS) && reply.message.header.command != SMB2_ECHO)
        trial_fail(trial, "the CANCEL is answered");
}

/* MessageIds of the window in another order than theirs. */
void case_out_of_order(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    uint64_t next;

    if (!trial_log_on(trial, &all))
        return;
    next = trial->line->next_message_id;
    for (unsigned i = 0; i < 2; i++) {
        batch_begin(trial->batch, trial->line);
        put_u64(add_plain(trial->batch, SMB2_ECHO), AT_MESSAGE_ID, next + 1 - i);
        reply = batch_exchange(trial->batch, LINE_SIGNED);
        if (!judge_status(trial, &reply, STATUS_SUCCESS))
            return;
    }
}

/* ---- chains ---- */

/* CREATE, WRITE and CLOSE of one file. */
static void related(struct trial *trial, enum line_protection protection) {
    struct id_list all = trial_all(trial);
    struct batch_answer answers[3];
    char text[CONFORM_TEXT_MAX];

    if (!trial_connect(trial, &all))
        return;
    if (protection == LINE_ENCRYPTED && trial->line->seal == NULL) {
        trial_skip(trial, "no cipher was agreed");
        return;
    }
    batch_begin(trial->batch, trial->line);
    add_create(trial->batch, "smbproof-conform-related", FILE_OPEN_IF);
    add_write(trial->batch, NULL, (struct span){sample, sizeof sample});
    add_close(trial->batch, NULL);
    batch_chain(trial->batch, true);
    batch_run(trial->batch, protection, answers);
    trial_pass(trial, "all three, in %u frames", answers[2].frame + 1);
    for (unsigned i = 0; i < 3; i++)
        if (!reply_has(&answers[i].reply, STATUS_SUCCESS) || !reply_is_protected(&answers[i].reply)) {
            trial_fail(trial, "element %u: %s", i + 1, text_of(&answers[i], text));
            return;
        }
    for (unsigned i = 1; i < 3; i++)
        if (answers[i].frame == answers[i - 1].frame && !answers[i].flagged_related)
            trial_fail(trial, "answer %u of the chain does not have RELATED_OPERATIONS set", i + 1);
    for (unsigned i = 0; i < 3; i++)
        if (!answers[i].aligned)
            trial_fail(trial, "answer %u of the chain is misaligned", i + 1);
}

void case_related(struct trial *trial) {
    related(trial, LINE_SIGNED);
}

void case_related_encrypted(struct trial *trial) {
    related(trial, LINE_ENCRYPTED);
}

static void unrelated(struct trial *trial, enum line_protection protection) {
    struct id_list all = trial_all(trial);
    struct batch_answer answers[2], closed;
    char text[CONFORM_TEXT_MAX];

    if (!trial_connect(trial, &all))
        return;
    if (protection == LINE_ENCRYPTED && trial->line->seal == NULL) {
        trial_skip(trial, "no cipher was agreed");
        return;
    }
    batch_begin(trial->batch, trial->line);
    add_create(trial->batch, "smbproof-conform-one", FILE_OPEN_IF);
    add_create(trial->batch, "smbproof-conform-two", FILE_OPEN_IF);
    batch_chain(trial->batch, false);
    batch_run(trial->batch, protection, answers);
    trial_pass(trial, "both, each with its own FileId");
    for (unsigned i = 0; i < 2; i++) {
        if (!reply_has(&answers[i].reply, STATUS_SUCCESS) || !reply_is_protected(&answers[i].reply)) {
            trial_fail(trial, "element %u: %s", i + 1, text_of(&answers[i], text));
            continue;
        }
        batch_begin(trial->batch, trial->line);
        add_close(trial->batch, answers[i].file_id);
        batch_run(trial->batch, protection, &closed);
    }
    if (trial->result->outcome == CONFORM_PASS && memcmp(answers[0].file_id, answers[1].file_id, FILE_ID_SIZE) == 0)
        trial_fail(trial, "both have the same FileId");
}

void case_unrelated(struct trial *trial) {
    unrelated(trial, LINE_SIGNED);
}

void case_unrelated_encrypted(struct trial *trial) {
    unrelated(trial, LINE_ENCRYPTED);
}

void case_first_related(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct batch_answer answers[2];

    if (!trial_connect(trial, &all))
        return;
    if (trial->line->encrypts) {
        trial_skip(trial, "encrypted, a case of its own");
        return;
    }
    batch_begin(trial->batch, trial->line);
    add_flags(add_plain(trial->batch, SMB2_ECHO), SMB2_FLAGS_RELATED_OPERATIONS);
    add_plain(trial->batch, SMB2_ECHO);
    batch_chain(trial->batch, true);
    batch_run(trial->batch, LINE_SIGNED, answers);
    judge_status_or_close(trial, &answers[0].reply, STATUS_INVALID_PARAMETER);
}

/* The element before has no tree. */
void case_nothing_inherited(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct batch_answer answers[2];

    if (!trial_connect(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    put_u32(add_create(trial->batch, "smbproof-conform-none", FILE_OPEN_IF), AT_TREE_ID, UINT32_MAX);
    batch_chain(trial->batch, true);
    batch_run(trial->batch, LINE_SIGNED, answers);
    if (!reply_has(&answers[1].reply, STATUS_NETWORK_NAME_DELETED))
        judge_status(trial, &answers[1].reply, STATUS_INVALID_PARAMETER);
    else
        trial_pass(trial, "the ECHO's TreeId 0 is taken for a tree, and there is none");
}

/* The element before has a tree and no file. */
void case_no_file_inherited(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct batch_answer answers[2];

    if (!trial_connect(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_tree_connect(trial->batch, "IPC$", 0);
    add_flush(trial->batch, NULL);
    batch_chain(trial->batch, true);
    batch_run(trial->batch, LINE_SIGNED, answers);
    judge_status(trial, &answers[1].reply, STATUS_INVALID_HANDLE);
}

/* The CREATE before fails, so there is no file to be written and closed. */
void case_failure_inherited(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct batch_answer answers[3];

    if (!trial_connect(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_create(trial->batch, "smbproof-conform-missing", FILE_OPEN);
    add_write(trial->batch, NULL, (struct span){sample, sizeof sample});
    add_close(trial->batch, NULL);
    batch_chain(trial->batch, true);
    batch_run(trial->batch, LINE_SIGNED, answers);
    if (judge_status(trial, &answers[0].reply, STATUS_OBJECT_NAME_NOT_FOUND) &&
        judge_status(trial, &answers[1].reply, STATUS_OBJECT_NAME_NOT_FOUND))
        judge_status(trial, &answers[2].reply, STATUS_OBJECT_NAME_NOT_FOUND);
}

/* A chain of two ECHOs whose first NextCommand is spoiled, and which therefore cannot be signed. */
static bool send_next_command(struct trial *trial, uint32_t next_command, struct line_reply *reply) {
    struct id_list all = trial_all(trial);

    if (!trial_log_on(trial, &all))
        return false;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    add_plain(trial->batch, SMB2_ECHO);
    batch_chain(trial->batch, false);
    put_u32(trial->batch->octets, AT_NEXT_COMMAND, next_command);
    *reply = batch_exchange(trial->batch, LINE_PLAIN);
    return true;
}

/* The second element begins where NextCommand says, at 68. */
void case_chain_misaligned(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct batch *batch = trial->batch;
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    batch_begin(batch, trial->line);
    add_plain(batch, SMB2_ECHO);
    add_plain(batch, SMB2_ECHO);
    put_u32(batch->octets, AT_NEXT_COMMAND, (uint32_t)batch->starts[1]);
    reply = batch_exchange(batch, LINE_PLAIN);
    judge_close(trial, &reply);
}

void case_chain_beyond(struct trial *trial) {
    struct line_reply reply;

    if (send_next_command(trial, 4096, &reply))
        judge_refusal(trial, &reply);
}

void case_chain_into_header(struct trial *trial) {
    struct line_reply reply;

    if (send_next_command(trial, 32, &reply))
        judge_refusal(trial, &reply);
}

/* Either all are answered or the chain is refused. */
void case_chain_long(struct trial *trial) {
    static struct batch_answer answers[BATCH_ELEMENTS_MAX];
    struct id_list all = trial_all(trial);
    unsigned answered = 0;
    char text[CONFORM_TEXT_MAX];

    if (!trial_log_on(trial, &all))
        return;
    /* Credits for so many. */
    for (unsigned i = 0; i < 8; i++)
        if (!echoes(trial)) {
            trial_unclear(trial, "ECHO is not answered");
            return;
        }
    batch_begin(trial->batch, trial->line);
    for (unsigned i = 0; i < LONG_CHAIN; i++)
        add_plain(trial->batch, SMB2_ECHO);
    batch_chain(trial->batch, false);
    batch_run(trial->batch, LINE_SIGNED, answers);
    for (unsigned i = 0; i < LONG_CHAIN; i++)
        answered += answers[i].reply.answer == LINE_ANSWERED;
    if (answered == LONG_CHAIN)
        trial_pass(trial, "all %u are answered", LONG_CHAIN);
    else if (reply_is_close(&answers[LONG_CHAIN - 1].reply))
        trial_pass(trial, "refused: closed");
    else
        trial_fail(trial, "%u of %u are answered, then: %s", answered, LONG_CHAIN,
                   text_of(&answers[LONG_CHAIN - 1], text));
}

/* A LOGOFF in front of it would leave SESSION_SETUP without what it hashes: nobody defines these chains. What must not
 * be is that nothing comes. */
void case_chain_negotiate(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    struct client_offer made;
    uint8_t octets[512];
    struct writer writer = writer_over(octets, sizeof octets);
    char text[CONFORM_TEXT_MAX];

    if (!trial_open(trial, &all))
        return;
    line_offer(trial->line, &made);
    negotiate_request_encode(&(struct smb2_header){0}, &made.request, &writer);
    batch_begin(trial->batch, trial->line);
    batch_add(trial->batch, SMB2_NEGOTIATE, span_slice(writer_done(&writer), SMB2_HEADER_SIZE, SIZE_MAX));
    add_plain(trial->batch, SMB2_ECHO);
    batch_chain(trial->batch, false);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    if (reply.answer == LINE_ANSWERED || reply_is_close(&reply))
        trial_pass(trial, "%s", seen_text(&reply, text));
    else
        trial_fail(trial, "%s", seen_text(&reply, text));
}

/* ---- frames and headers ---- */

/* Sends an ECHO in the longest frame that there can be, or as much of it as the server takes; 0, or a negative errno. */
static int send_long_frame(struct line *line, struct batch *batch) {
    static const uint8_t header[] = {0, 0xff, 0xff, 0xff};
    const struct span octets = {batch->scratch, sizeof batch->scratch};
    int error = transport_send(&line->transport, (struct span){header, sizeof header},
                               transport_deadline(line->target->timeout_ms));

    memset(batch->scratch, 0, sizeof batch->scratch);
    batch_begin(batch, line);
    add_plain(batch, SMB2_ECHO);
    memcpy(batch->scratch, batch->octets, batch->writer.at);
    for (size_t sent = 0; error == 0 && sent < FRAME_LONGEST; sent += sizeof batch->scratch) {
        error = transport_send(&line->transport, span_slice(octets, 0, FRAME_LONGEST - sent),
                               transport_deadline(line->target->timeout_ms));
        memset(batch->scratch, 0, batch->writer.at);
    }
    return error;
}

/* Longer than MaxTransactSize allows by far. */
void case_frame_long(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    uint32_t size;
    int error;

    if (!trial_log_on(trial, &all))
        return;
    size = trial->line->negotiation.answered.max_transact_size;
    if (size >= FRAME_LONGEST - FRAME_SURPLUS) {
        trial_skip(trial, "MaxTransactSize is %u", size);
        return;
    }
    error = send_long_frame(trial->line, trial->batch);
    reply = error < 0 ? reply_of(error) : line_receive(trial->line);
    judge_close(trial, &reply);
}

/* No command but those that carry data may be so long. Without Connection.SupportsMultiCredit that is a SHOULD. */
void case_echo_long(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    writer_zero(&trial->batch->writer, REQUEST_MAX + 1 - trial->batch->writer.at);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_close(trial, &reply);
    if (!trial->line->negotiation.agreed.multi_credit)
        trial_lessen(trial);
}

void case_frame_garbage(struct trial *trial) {
    struct id_list all = trial_all(trial);
    uint8_t octets[128] = {'X', 'S', 'M', 'B', 64};
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    reply = line_send_raw(trial->line, (struct span){octets, sizeof octets});
    judge_close(trial, &reply);
}

void case_header_short(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_ECHO);
    trial->batch->writer.at = SMB2_HEADER_SIZE - 1;
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    judge_close(trial, &reply);
}

/* An ECHO of which one number is another. A header of another size cannot be signed. */
static bool send_echo(struct trial *trial, size_t at, uint16_t value, struct line_reply *reply) {
    struct id_list all = trial_all(trial);

    if (!trial_log_on(trial, &all))
        return false;
    batch_begin(trial->batch, trial->line);
    put_u16(add_plain(trial->batch, SMB2_ECHO), at, value);
    *reply = batch_exchange(trial->batch, at == AT_STRUCTURE_SIZE ? LINE_PLAIN : LINE_SIGNED);
    return true;
}

void case_header_size(struct trial *trial) {
    struct line_reply reply;

    if (send_echo(trial, AT_STRUCTURE_SIZE, 63, &reply))
        judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_command_unknown(struct trial *trial) {
    struct line_reply reply;

    if (send_echo(trial, AT_COMMAND, 0x20, &reply))
        judge_close(trial, &reply);
}

void case_body_size(struct trial *trial) {
    struct line_reply reply;

    if (send_echo(trial, AT_BODY, 5, &reply))
        judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_direction(struct trial *trial) {
    struct line_reply reply;

    if (send_echo(trial, AT_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR, &reply))
        judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}

/* Each answer has the MessageId and the Command of its request. */
void case_echo(struct trial *trial) {
    struct id_list all = trial_all(trial);

    if (!trial_log_on(trial, &all))
        return;
    for (unsigned i = 0; i < 3; i++) {
        struct line_reply reply = exchange_plain(trial, SMB2_ECHO, LINE_SIGNED);

        if (!judge_status(trial, &reply, STATUS_SUCCESS))
            return;
        if (reply.message.header.message_id != trial->batch->ids[0] || reply.message.header.command != SMB2_ECHO ||
            !message_is_response(&reply.message)) {
            trial_fail(trial, "the answer has another MessageId, Command or direction");
            return;
        }
    }
}

/* On a connection without any session it is refused (3.3.5.17). */
void case_echo_without_session(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_agree(trial, &all))
        return;
    reply = exchange_plain(trial, SMB2_ECHO, LINE_PLAIN);
    judge_close(trial, &reply);
}

/* Only a CANCEL may have SMB2_FLAGS_ASYNC_COMMAND (2.2.1.1). */
void case_async_request(struct trial *trial) {
    struct line_reply reply;

    if (send_echo(trial, AT_FLAGS, SMB2_FLAGS_ASYNC_COMMAND, &reply))
        judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}
