/* Encryption: what is encrypted, with which cipher, and frames that are wrong ([MS-SMB2] 3.3.5.2.1.1). */
#include <string.h>

#include "conform/cases.h"
#include "conform/trial.h"

/* Offsets of the transform header (2.2.41). */
enum { TRANSFORM_SIGNATURE = 4, TRANSFORM_SIZE_AT = 36, TRANSFORM_FLAGS_AT = 42, TRANSFORM_SESSION_AT = 44 };

static const uint8_t sample[] = "smbproof conform";

/* Makes a file, writes, reads, closes, all encrypted; what is read back has to be as long. */
static void round_trip(struct trial *trial, const char *with) {
    struct batch_answer made, answer;
    const enum line_protection how = LINE_ENCRYPTED;
    uint32_t written, read;

    batch_begin(trial->batch, trial->line);
    add_create(trial->batch, "smbproof-conform-encrypted", FILE_OPEN_IF);
    batch_run(trial->batch, how, &made);
    if (!reply_has(&made.reply, STATUS_SUCCESS) || !made.reply.decrypted) {
        char text[CONFORM_TEXT_MAX];

        trial_fail(trial, "CREATE: %s", seen_text(&made.reply, text));
        return;
    }
    batch_begin(trial->batch, trial->line);
    add_write(trial->batch, made.file_id, (struct span){sample, sizeof sample});
    batch_run(trial->batch, how, &answer);
    written = answer.count;
    batch_begin(trial->batch, trial->line);
    add_read(trial->batch, made.file_id, sizeof sample);
    batch_run(trial->batch, how, &answer);
    read = answer.count;
    batch_begin(trial->batch, trial->line);
    add_close(trial->batch, made.file_id);
    batch_run(trial->batch, how, &answer);
    if (written != sizeof sample || read != sizeof sample)
        trial_fail(trial, "%u octets written and %u read of %zu", written, read, sizeof sample);
    else if (!reply_has(&answer.reply, STATUS_SUCCESS) || !answer.reply.decrypted)
        trial_fail(trial, "the answer to CLOSE is not as it should be");
    else
        trial_pass(trial, "%s", with);
}

/* A tree, with an encrypted TREE_CONNECT where that is possible. */
static bool connect_encrypted(struct trial *trial, const struct id_list *list) {
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (!trial_log_on(trial, list))
        return false;
    if (trial->line->seal == NULL) {
        trial_skip(trial, "no cipher was agreed");
        return false;
    }
    reply = line_connect_tree(trial->line, LINE_ENCRYPTED);
    if (reply_has(&reply, STATUS_SUCCESS) && reply.decrypted)
        return true;
    trial_fail(trial, "TREE_CONNECT: %s", seen_text(&reply, text));
    return false;
}

void case_encrypt_session(struct trial *trial) {
    struct id_list all = trial_all(trial);

    if (!trial->facts->encrypts_session)
        trial_skip(trial, "the server does not demand encryption of whole sessions");
    else if (connect_encrypted(trial, &all))
        round_trip(trial, "SessionFlags has ENCRYPT_DATA");
}

void case_encrypt_share(struct trial *trial) {
    struct id_list all = trial_all(trial);

    if (!trial->facts->encrypts_share)
        trial_skip(trial, "the share does not demand encryption");
    else if (connect_encrypted(trial, &all))
        round_trip(trial, "ShareFlags has ENCRYPT_DATA");
}

void case_encrypt_311(struct trial *trial) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);

    if (!trial_speaks(trial, SMB2_DIALECT_311))
        trial_skip(trial, "3.1.1 is not spoken");
    else if (connect_encrypted(trial, &list))
        round_trip(trial, cipher_name(trial->line->negotiation.agreed.cipher));
}

static void encrypt_with(struct trial *trial, uint16_t cipher) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    struct line_reply reply;

    if (!trial_speaks(trial, SMB2_DIALECT_311)) {
        trial_skip(trial, "3.1.1 is not spoken");
        return;
    }
    if (!trial_open(trial, &list))
        return;
    trial->line->policy.ciphers = (struct id_list){{cipher}, 1};
    if (!line_agree(trial->line, &reply)) {
        judge_status(trial, &reply, STATUS_SUCCESS);
        return;
    }
    if (trial->line->negotiation.agreed.cipher != cipher) {
        trial_skip(trial, "the server does not choose it");
        return;
    }
    trial->logon = line_log_on(trial->line, NULL);
    reply = trial->logon.has_keys ? line_connect_tree(trial->line, LINE_ENCRYPTED) : trial->logon.reply;
    if (judge_status(trial, &reply, STATUS_SUCCESS) && !reply.decrypted)
        trial_fail(trial, "the answer is not encrypted");
    else if (reply_has(&reply, STATUS_SUCCESS))
        round_trip(trial, cipher_name(cipher));
}

void case_encrypt_128_ccm(struct trial *trial) {
    encrypt_with(trial, CIPHER_AES_128_CCM);
}

void case_encrypt_256_ccm(struct trial *trial) {
    encrypt_with(trial, CIPHER_AES_256_CCM);
}

void case_encrypt_128_gcm(struct trial *trial) {
    encrypt_with(trial, CIPHER_AES_128_GCM);
}

void case_encrypt_256_gcm(struct trial *trial) {
    encrypt_with(trial, CIPHER_AES_256_GCM);
}

void case_encrypt_300(struct trial *trial) {
    struct id_list list = trial_below_311(trial);

    if (!dialect_is_3x(trial->facts->greatest_below_311))
        trial_skip(trial, "neither 3.0 nor 3.0.2 is spoken");
    else if (connect_encrypted(trial, &list))
        round_trip(trial, "AES-128-CCM");
}

/* Inside a transform nothing is signed (3.1.4.3). */
void case_inner_signature(struct trial *trial) {
    static const uint8_t zero[16];
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!connect_encrypted(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, SMB2_TREE_DISCONNECT);
    reply = batch_exchange(trial->batch, LINE_ENCRYPTED);
    if (!judge_status(trial, &reply, STATUS_SUCCESS))
        return;
    if (!reply.decrypted)
        trial_fail(trial, "the answer is not encrypted");
    else if (memcmp(reply.message.header.signature, zero, sizeof zero) != 0)
        trial_fail(trial, "the inner Signature is not zero");
}

/* The answer to an encrypted request is encrypted, errors too. */
void case_clear_answer(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!connect_encrypted(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    put_u32(add_plain(trial->batch, SMB2_TREE_DISCONNECT), AT_TREE_ID, 0x00ab00cd);
    reply = batch_exchange(trial->batch, LINE_ENCRYPTED);
    if (judge_status(trial, &reply, STATUS_NETWORK_NAME_DELETED) && !reply.decrypted)
        trial_fail(trial, "the error comes in the clear");
}

void case_clear_where_encrypted(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial->facts->encrypts_session && !trial->facts->encrypts_share) {
        trial_skip(trial, "neither session nor share demand encryption");
        return;
    }
    if (!connect_encrypted(trial, &all))
        return;
    trial->line->encrypts = false;
    batch_begin(trial->batch, trial->line);
    add_create(trial->batch, "smbproof-conform-clear", FILE_OPEN_IF);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_status_or_close(trial, &reply, STATUS_ACCESS_DENIED);
}

/* Without a cipher a server that demands encryption refuses SESSION_SETUP or the share. */
void case_cipher_required(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial->facts->encrypts_session) {
        trial_skip(trial, "the server does not demand encryption of whole sessions");
        return;
    }
    if (!trial_open(trial, &all))
        return;
    trial->line->policy.encryption = ENCRYPTION_OFF;
    if (!line_agree(trial->line, &reply)) {
        judge_status(trial, &reply, STATUS_ACCESS_DENIED);
        return;
    }
    trial->logon = line_log_on(trial->line, NULL);
    if (trial->logon.result == LOGON_DONE)
        trial->logon.reply = line_connect_tree(trial->line, LINE_SIGNED);
    judge_status_or_close(trial, &trial->logon.reply, STATUS_ACCESS_DENIED);
}

/* ---- frames that are wrong: each ends the connection without an answer ---- */

/* An encrypted ECHO, as it goes over the wire, in the batch's scratch. */
static bool seal_echo(struct trial *trial, struct span *sealed) {
    struct id_list all = trial_all(trial);
    struct batch *batch = trial->batch;

    if (!connect_encrypted(trial, &all))
        return false;
    batch_begin(batch, trial->line);
    add_plain(batch, SMB2_TREE_DISCONNECT);
    *sealed = (struct span){batch->scratch, TRANSFORM_HEADER_SIZE + batch->writer.at};
    if (sealer_seal(&trial->line->sealer, writer_done(&batch->writer), batch->scratch, sizeof batch->scratch))
        return true;
    trial_unclear(trial, "the encryption failed here");
    return false;
}

static void send_sealed(struct trial *trial, struct span sealed) {
    struct line_reply reply = line_send_raw(trial->line, sealed);

    judge_close(trial, &reply);
}

void case_transform_tag(struct trial *trial) {
    struct span sealed;

    if (!seal_echo(trial, &sealed))
        return;
    trial->batch->scratch[TRANSFORM_SIGNATURE] ^= 1;
    send_sealed(trial, sealed);
}

void case_transform_flags(struct trial *trial) {
    struct span sealed;

    if (!seal_echo(trial, &sealed))
        return;
    put_u16(trial->batch->scratch, TRANSFORM_FLAGS_AT, 2);
    send_sealed(trial, sealed);
}

void case_transform_size(struct trial *trial) {
    struct span sealed;

    if (!seal_echo(trial, &sealed))
        return;
    put_u32(trial->batch->scratch, TRANSFORM_SIZE_AT, 7);
    send_sealed(trial, sealed);
}

void case_transform_session(struct trial *trial) {
    struct span sealed;

    if (!seal_echo(trial, &sealed))
        return;
    put_u64(trial->batch->scratch, TRANSFORM_SESSION_AT, 0x1122334455667788u);
    send_sealed(trial, sealed);
}

void case_transform_empty(struct trial *trial) {
    struct span sealed;

    if (!seal_echo(trial, &sealed))
        return;
    sealed.size = TRANSFORM_HEADER_SIZE;
    put_u32(trial->batch->scratch, TRANSFORM_SIZE_AT, 0);
    send_sealed(trial, sealed);
}

static void send_inner(struct trial *trial, uint64_t session_id, uint32_t flags) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    uint8_t *message;

    if (!connect_encrypted(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    message = add_plain(trial->batch, SMB2_TREE_DISCONNECT);
    if (session_id != 0)
        put_u64(message, AT_SESSION_ID, session_id);
    add_flags(message, flags);
    reply = batch_exchange(trial->batch, LINE_ENCRYPTED);
    judge_close(trial, &reply);
}

void case_transform_inner_session(struct trial *trial) {
    send_inner(trial, 0x1122334455667788u, 0);
}

void case_transform_inner_related(struct trial *trial) {
    send_inner(trial, 0, SMB2_FLAGS_RELATED_OPERATIONS);
}

/* Before any session, so with no key that anybody has. */
void case_transform_early(struct trial *trial) {
    struct id_list all = trial_all(trial);
    uint8_t octets[TRANSFORM_HEADER_SIZE + 68] = {0xfd, 'S', 'M', 'B'};

    put_u32(octets, TRANSFORM_SIZE_AT, 68);
    put_u16(octets, TRANSFORM_FLAGS_AT, 1);
    put_u64(octets, TRANSFORM_SESSION_AT, 0x1122334455667788u);
    if (trial_agree(trial, &all))
        send_sealed(trial, (struct span){octets, sizeof octets});
}

/* Compression was not offered. */
void case_compressed(struct trial *trial) {
    struct id_list all = trial_all(trial);
    uint8_t octets[16 + 68] = {0xfc, 'S', 'M', 'B'};

    put_u32(octets, 4, 68);
    if (trial_agree(trial, &all))
        send_sealed(trial, (struct span){octets, sizeof octets});
}
