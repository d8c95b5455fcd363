/* FSCTL_VALIDATE_NEGOTIATE_INFO ([MS-SMB2] 3.3.5.15, 3.3.5.15.12). */
#include <string.h>

#include "conform/cases.h"
#include "conform/trial.h"

/* Offsets of the IOCTL request, from the protocol id (2.2.31), and what VALIDATE leaves room for. */
enum {
    IOCTL_FILE_ID = 72,
    IOCTL_INPUT_OFFSET = 88,
    IOCTL_INPUT_COUNT = 92,
    IOCTL_MAX_OUTPUT = 108,
    IOCTL_FLAGS = 112,
    IOCTL_BUFFER = 120,
    INFO_DIALECT_COUNT = IOCTL_BUFFER + 22,
};
#define OUTPUT_TOO_SMALL 23u
#define DIALECT_UNKNOWN  0x0399u
#define CREDIT_OCTETS    65536u
/* Octets of the greatest MaxTransactSize above which something is asked for: 257 credits' worth. */
#define SIZE_MAX_TRIED (16u * 1024u * 1024u + 1u)

/* A tree below 3.1.1, where several dialects were offered. */
static bool connect_below(struct trial *trial, struct line_claim *claim) {
    struct id_list list = trial_below_311(trial);

    if (!trial_connect(trial, &list))
        return false;
    line_claim(trial->line, claim);
    return true;
}

/* ---- the right one ---- */

static void judge_info(struct trial *trial, const struct line_reply *reply) {
    const struct negotiation_answered *answered = &trial->line->negotiation.answered;
    struct validate_negotiate_info_response info;

    if (!judge_status(trial, reply, STATUS_SUCCESS))
        return;
    if (!reply_is_protected(reply))
        trial_fail(trial, "the answer is neither signed nor encrypted");
    else if (!reply_read_info(reply, &info) || reply->message.body.ioctl_response.output.size != VALIDATE_RESPONSE_SIZE)
        trial_fail(trial, "the output is not 24 octets");
    else if (info.capabilities != answered->capabilities)
        trial_fail(trial, "Capabilities differ from those of NEGOTIATE");
    else if (memcmp(info.guid, answered->server_guid, sizeof info.guid) != 0)
        trial_fail(trial, "Guid differs from that of NEGOTIATE");
    else if (info.security_mode != answered->security_mode)
        trial_fail(trial, "SecurityMode differs from that of NEGOTIATE");
    else if (info.dialect != answered->dialect)
        trial_fail(trial, "Dialect differs from that of NEGOTIATE");
}

void case_validate(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;

    if (!connect_below(trial, &claim))
        return;
    reply = line_validate(trial->line, &claim, LINE_SIGNED);
    judge_info(trial, &reply);
}

/* With each dialect below 3.1.1 offered alone, those of SMB 2 too: the server implements 3.x. */
void case_validate_every_dialect(struct trial *trial) {
    struct id_list list = trial_below_311(trial);

    for (unsigned i = 0; i < list.count; i++) {
        struct id_list one = dialect_alone(list.ids[i]);
        struct line_claim claim;
        struct line_reply reply;

        if (!trial_admits(trial, list.ids[i]))
            continue;
        if (!trial_connect(trial, &one))
            return;
        line_claim(trial->line, &claim);
        reply = line_validate(trial->line, &claim, LINE_SIGNED);
        judge_info(trial, &reply);
        if (trial->result->outcome != CONFORM_PASS)
            return;
    }
}

void case_validate_twice(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;

    if (!connect_below(trial, &claim))
        return;
    line_validate(trial->line, &claim, LINE_SIGNED);
    reply = line_validate(trial->line, &claim, LINE_SIGNED);
    judge_info(trial, &reply);
}

void case_validate_encrypted(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;

    if (!connect_below(trial, &claim))
        return;
    if (trial->line->seal == NULL) {
        trial_skip(trial, "no encryption below 3.1.1");
        return;
    }
    reply = line_validate(trial->line, &claim, LINE_ENCRYPTED);
    judge_info(trial, &reply);
}

/* A server of SMB 2 alone: an error, and signed, so that the client learns that the server is genuine. */
void case_validate_not_implemented(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (trial->facts->validates || trial->facts->greatest > SMB2_DIALECT_210) {
        trial_skip(trial, "the server implements it");
        return;
    }
    if (!connect_below(trial, &claim))
        return;
    reply = line_validate(trial->line, &claim, LINE_SIGNED);
    if (reply.answer == LINE_ANSWERED && reply_is_protected(&reply) && reply.status != STATUS_ACCESS_DENIED)
        trial_pass(trial, "%s", seen_text(&reply, text));
    else
        trial_fail(trial, "%s", seen_text(&reply, text));
}

/* ---- wrong ones ---- */

static void send_wrong(struct trial *trial, const struct line_claim *claim) {
    struct line_reply reply = line_validate(trial->line, claim, LINE_SIGNED);

    judge_close(trial, &reply);
}

void case_validate_no_common(struct trial *trial) {
    static const uint16_t unknown[] = {DIALECT_UNKNOWN};
    struct line_claim claim;

    if (!connect_below(trial, &claim))
        return;
    claim_set_dialects(&claim, unknown, 1);
    send_wrong(trial, &claim);
}

/* Another dialect that the server speaks; the greatest common one is then not the connection's. */
void case_validate_common_other(struct trial *trial) {
    struct id_list list = trial_below_311(trial);
    struct line_claim claim;

    if (list.count < 2) {
        trial_skip(trial, "a single dialect below 3.1.1 is spoken");
        return;
    }
    if (!connect_below(trial, &claim))
        return;
    claim_set_dialects(&claim, list.ids, list.count - 1u);
    send_wrong(trial, &claim);
}

/* Only a server that implements 3.1.1 keeps the list and compares it as such. */
void case_validate_permuted(struct trial *trial) {
    struct id_list list = trial_below_311(trial);
    uint16_t reversed[POLICY_IDS_MAX];
    struct line_claim claim;

    if (!trial_speaks(trial, SMB2_DIALECT_311) || list.count < 2) {
        trial_skip(trial, "needs a server with 3.1.1 and two dialects below");
        return;
    }
    if (!connect_below(trial, &claim))
        return;
    for (unsigned i = 0; i < list.count; i++)
        reversed[i] = list.ids[list.count - 1 - i];
    claim_set_dialects(&claim, reversed, list.count);
    send_wrong(trial, &claim);
}

void case_validate_guid(struct trial *trial) {
    struct line_claim claim;

    if (!connect_below(trial, &claim))
        return;
    claim.info.request.guid[0] ^= 1;
    send_wrong(trial, &claim);
}

/* A comparison of strings ends at the zero, and so before the difference. */
void case_validate_guid_end(struct trial *trial) {
    struct line_claim claim;

    trial->zero_in_guid = true;
    if (!connect_below(trial, &claim))
        return;
    claim.info.request.guid[15] ^= 1;
    send_wrong(trial, &claim);
}

void case_validate_mode(struct trial *trial) {
    struct line_claim claim;

    if (!connect_below(trial, &claim))
        return;
    claim.info.request.security_mode = 0;
    send_wrong(trial, &claim);
}

void case_validate_capabilities(struct trial *trial) {
    struct line_claim claim;

    if (!connect_below(trial, &claim))
        return;
    claim.info.request.capabilities ^= SMB2_GLOBAL_CAP_LARGE_MTU;
    send_wrong(trial, &claim);
}

void case_validate_max_output(struct trial *trial) {
    struct line_claim claim;

    if (!connect_below(trial, &claim))
        return;
    claim.max_output = OUTPUT_TOO_SMALL;
    send_wrong(trial, &claim);
}

void case_validate_311(struct trial *trial) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    struct line_claim claim;

    if (!trial_connect(trial, &list))
        return;
    line_claim(trial->line, &claim);
    send_wrong(trial, &claim);
}

/* ---- signatures ---- */

static bool is_encrypted(struct trial *trial) {
    if (trial->line->encrypts)
        trial_skip(trial, "the server demands encryption, which stands for a signature");
    return trial->line->encrypts;
}

/* Windows closes; a session that requires signing refuses it as any other unsigned request (3.3.5.2.4). Where it does not,
 * [MS-SMB2] has a rule for the client alone (3.2.5.5): the server should see that it was broken. */
void case_validate_unsigned(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;

    if (!connect_below(trial, &claim) || is_encrypted(trial))
        return;
    reply = line_validate(trial->line, &claim, LINE_PLAIN);
    judge_status_or_close(trial, &reply, STATUS_ACCESS_DENIED);
    if ((trial->facts->security_mode & SMB2_SIGNING_REQUIRED) == 0)
        trial_lessen(trial);
}

void case_validate_bad_signature(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;

    if (!connect_below(trial, &claim) || is_encrypted(trial))
        return;
    reply = line_validate(trial->line, &claim, LINE_BADLY_SIGNED);
    judge_status_or_close(trial, &reply, STATUS_ACCESS_DENIED);
}

/* ---- what every FSCTL is checked for ---- */

/* The right one with another number at `at`. */
static bool send_spoiled(struct trial *trial, size_t at, uint32_t value, struct line_reply *reply) {
    struct line_claim claim;

    if (!connect_below(trial, &claim))
        return false;
    batch_begin(trial->batch, trial->line);
    put_u32(add_validation(trial->batch), at, value);
    *reply = batch_exchange(trial->batch, LINE_SIGNED);
    return true;
}

void case_validate_flags(struct trial *trial) {
    struct line_reply reply;

    if (send_spoiled(trial, IOCTL_FLAGS, 0, &reply))
        judge_status(trial, &reply, STATUS_NOT_SUPPORTED);
}

void case_validate_file_id(struct trial *trial) {
    struct line_reply reply;

    if (send_spoiled(trial, IOCTL_FILE_ID, 7, &reply))
        judge_status(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_validate_input_offset(struct trial *trial) {
    struct line_reply reply;

    if (send_spoiled(trial, IOCTL_INPUT_OFFSET, 4, &reply))
        judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_validate_input_beyond(struct trial *trial) {
    struct line_reply reply;

    if (send_spoiled(trial, IOCTL_INPUT_COUNT, 4096, &reply))
        judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_validate_input_short(struct trial *trial) {
    struct line_reply reply;

    if (send_spoiled(trial, IOCTL_INPUT_COUNT, 23, &reply))
        judge_refusal(trial, &reply);
}

/* DialectCount 400, of which there are fewer. */
void case_validate_count(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;

    if (!connect_below(trial, &claim))
        return;
    batch_begin(trial->batch, trial->line);
    put_u16(add_validation(trial->batch), INFO_DIALECT_COUNT, 400);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_refusal(trial, &reply);
}

/* Asks for so many credits by ECHOs. */
static bool earn_credits(struct trial *trial, unsigned credits) {
    for (unsigned have = 0; have < credits;) {
        struct line_reply reply;

        batch_begin(trial->batch, trial->line);
        add_plain(trial->batch, SMB2_ECHO);
        reply = batch_exchange(trial->batch, LINE_SIGNED);
        if (reply.answer != LINE_ANSWERED || reply.message.header.credits == 0)
            return false;
        have += reply.message.header.credits;
    }
    return true;
}

/* MaxOutputResponse one octet above MaxTransactSize, and a charge that covers it. */
void case_validate_sizes(struct trial *trial) {
    struct line_claim claim;
    struct line_reply reply;
    uint32_t size;
    uint16_t charge;
    uint8_t *message;

    if (!connect_below(trial, &claim))
        return;
    size = trial->line->negotiation.answered.max_transact_size + 1;
    charge = (uint16_t)((size - 1) / CREDIT_OCTETS + 1);
    if (size > SIZE_MAX_TRIED) {
        trial_skip(trial, "MaxTransactSize is %u", size - 1);
        return;
    }
    if (trial->line->negotiation.agreed.multi_credit && !earn_credits(trial, charge)) {
        trial_skip(trial, "the server does not grant %u credits", charge);
        return;
    }
    batch_begin(trial->batch, trial->line);
    message = add_validation(trial->batch);
    put_u32(message, IOCTL_MAX_OUTPUT, size);
    if (trial->line->negotiation.agreed.multi_credit)
        put_u16(message, AT_CREDIT_CHARGE, charge);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}
