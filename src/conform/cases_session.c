/* SESSION_SETUP, LOGOFF, signing and trees ([MS-SMB2] 3.3.5.2.4, 3.3.5.2.9, 3.3.5.2.11, 3.3.5.5 to 3.3.5.8). */
#include <string.h>

#include "conform/cases.h"
#include "conform/trial.h"

#define SESSION_BINDING    0x01u
#define CLUSTER_RECONNECT  0x0001u
#define SESSION_UNKNOWN    0x1122334455667788u
#define TREE_UNKNOWN       0x00ab00cdu
/* SESSION_SETUP requests of one session that never ends. */
#define ENDLESS_LEGS       32u
#define FSCTL_INTERFACES   0x001401fcu /* FSCTL_QUERY_NETWORK_INTERFACE_INFO */

static struct line_reply exchange_plain(struct trial *trial, uint16_t command, enum line_protection protection) {
    batch_begin(trial->batch, trial->line);
    add_plain(trial->batch, command);
    return batch_exchange(trial->batch, protection);
}

static const char *share_of(const struct trial *trial) {
    const char *share = trial->options->target.share;

    return share != NULL && share[0] != '\0' ? share : "IPC$";
}

/* ---- sessions ---- */

void case_new_session(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    if (trial->line->session_id == 0 || trial->line->session_id == UINT64_MAX) {
        trial_fail(trial, "SessionId is 0x%016llx", (unsigned long long)trial->line->session_id);
        return;
    }
    reply = line_connect_tree(trial->line, LINE_SIGNED);
    if (!judge_status(trial, &reply, STATUS_SUCCESS))
        return;
    reply = exchange_plain(trial, SMB2_LOGOFF, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_SUCCESS);
}

/* Two sessions of one connection have ids of their own. */
void case_session_id(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_logon logon;
    uint64_t first;

    if (!trial_log_on(trial, &all))
        return;
    first = trial->line->session_id;
    line_forget_session(trial->line);
    logon = line_log_on(trial->line, NULL);
    if (logon.result != LOGON_DONE) {
        judge_status(trial, &logon.reply, STATUS_SUCCESS);
        return;
    }
    if (trial->line->session_id == 0 || trial->line->session_id == UINT64_MAX || trial->line->session_id == first)
        trial_fail(trial, "the second SessionId is 0x%016llx", (unsigned long long)trial->line->session_id);
    else
        trial_pass(trial, "two, each with its own");
}

void case_reauthenticate(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_logon logon;
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    logon = line_log_on(trial->line, NULL);
    if (!judge_status(trial, &logon.reply, STATUS_SUCCESS))
        return;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    if (judge_status(trial, &reply, STATUS_SUCCESS) && !reply_is_protected(&reply))
        trial_fail(trial, "what follows is not signed with the key as it was");
}

static bool log_on_second(struct trial *trial, const struct id_list *list, const uint8_t guid[16],
                          struct line_logon *logon) {
    struct line_reply reply = line_open(trial->second, &trial->options->target, list);
    char text[CONFORM_TEXT_MAX];

    if (guid != NULL)
        memcpy(trial->second->policy.guid, guid, sizeof trial->second->policy.guid);
    if (reply.answer != LINE_ANSWERED || !line_agree(trial->second, &reply)) {
        trial_unclear(trial, "the second connection: %s", seen_text(&reply, text));
        return false;
    }
    trial->second->previous_session_id = trial->line->session_id;
    *logon = line_log_on(trial->second, NULL);
    return true;
}

/* A second connection names the session of the first as the previous one, which is then gone. */
void case_reconnect(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_logon logon;
    struct line_reply reply;

    if (!trial_connect(trial, &all) || !log_on_second(trial, &all, trial->line->policy.guid, &logon))
        return;
    if (!judge_status(trial, &logon.reply, STATUS_SUCCESS))
        return;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    judge_status_or_close(trial, &reply, STATUS_USER_SESSION_DELETED);
}

/* The same ClientGuid with another dialect (3.3.5.5.3): the session that is named as the previous one stays. */
void case_reconnect_other_dialect(struct trial *trial) {
    uint16_t other = 0;
    struct id_list first, second;
    struct line_logon logon;
    struct line_reply reply;

    for (unsigned i = 0; i < trial->facts->spoken.count; i++)
        if (trial->facts->spoken.ids[i] != SMB2_DIALECT_202 && trial->facts->spoken.ids[i] != trial->facts->greatest)
            other = trial->facts->spoken.ids[i];
    if (other == 0) {
        trial_skip(trial, "needs two dialects above 2.0.2");
        return;
    }
    first = dialect_alone(trial->facts->greatest);
    second = dialect_alone(other);
    if (!trial_log_on(trial, &first) || !log_on_second(trial, &second, trial->line->policy.guid, &logon) ||
        !judge_status(trial, &logon.reply, STATUS_USER_SESSION_DELETED))
        return;
    reply = exchange_plain(trial, SMB2_LOGOFF, LINE_SIGNED);
    if (!reply_has(&reply, STATUS_SUCCESS))
        trial_fail(trial, "the new session is refused, but the other one is gone");
}

static void bind_with(struct trial *trial, const struct id_list *list) {
    struct line_logon logon;

    if (!trial_log_on(trial, list))
        return;
    trial->line->setup_flags = SESSION_BINDING;
    logon = line_log_on(trial->line, NULL);
    judge_status(trial, &logon.reply, STATUS_REQUEST_NOT_ACCEPTED);
}

static void bind_dialect(struct trial *trial, uint16_t dialect) {
    struct id_list one = dialect_alone(dialect);

    if (!trial_admits(trial, dialect) || !dialect_is_3x(trial->facts->greatest))
        trial_skip(trial, "needs a logon with this dialect to a server that speaks one of SMB 3");
    else
        bind_with(trial, &one);
}

void case_bind_202(struct trial *trial) {
    bind_dialect(trial, SMB2_DIALECT_202);
}

void case_bind_210(struct trial *trial) {
    bind_dialect(trial, SMB2_DIALECT_210);
}

void case_bind_without_multichannel(struct trial *trial) {
    struct id_list all = trial_all(trial);

    if ((trial->facts->capabilities & SMB2_GLOBAL_CAP_MULTI_CHANNEL) != 0)
        trial_skip(trial, "the server does multichannel");
    else if (trial->facts->encrypts_session)
        trial_skip(trial, "the request would be encrypted, and a binding has to be signed");
    else
        bind_with(trial, &all);
}

/* ---- which session a request belongs to ---- */

void case_session_unknown(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_agree(trial, &all))
        return;
    trial->line->session_id = SESSION_UNKNOWN;
    trial->line->tree_id = 1;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_PLAIN);
    judge_status(trial, &reply, STATUS_USER_SESSION_DELETED);
}

void case_session_setup_unknown(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_logon logon;

    if (!trial_agree(trial, &all))
        return;
    trial->line->session_id = SESSION_UNKNOWN;
    logon = line_log_on(trial->line, NULL);
    judge_status(trial, &logon.reply, STATUS_USER_SESSION_DELETED);
}

void case_session_logged_off(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    reply = exchange_plain(trial, SMB2_LOGOFF, LINE_SIGNED);
    if (!judge_status(trial, &reply, STATUS_SUCCESS))
        return;
    if (trial->line->encrypts) {
        trial_skip(trial, "everything is encrypted, with a key that is gone");
        return;
    }
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_PLAIN);
    judge_status(trial, &reply, STATUS_USER_SESSION_DELETED);
}

/* A session of another connection, to which this one was not bound. */
void case_session_foreign(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    reply = line_open(trial->second, &trial->options->target, &all);
    if (reply.answer != LINE_ANSWERED || !line_agree(trial->second, &reply)) {
        trial_unclear(trial, "no second connection");
        return;
    }
    trial->second->session_id = trial->line->session_id;
    trial->second->tree_id = trial->line->tree_id;
    batch_begin(trial->batch, trial->second);
    add_plain(trial->batch, SMB2_TREE_DISCONNECT);
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    if (reply_has(&reply, STATUS_ACCESS_DENIED))
        trial_pass(trial, "refused as unsigned: the session requires signing"); /* 3.3.5.2.4 looks it up globally */
    else
        judge_status(trial, &reply, STATUS_USER_SESSION_DELETED);
}

/* The first SESSION_SETUP of a logon and no more; false where it is not answered as one. */
static bool begin_logon(struct trial *trial, struct auth_initiator **initiator, struct span *token,
                        struct line_reply *reply) {
    static const struct span nothing = {NULL, 0};
    struct id_list all = trial_all(trial);
    char text[CONFORM_TEXT_MAX];

    if (!trial_agree(trial, &all))
        return false;
    *initiator = auth_initiator_new(trial->options->target.credentials);
    if (*initiator == NULL || auth_initiator_step(*initiator, nothing, token) == AUTH_FAILED) {
        trial_unclear(trial, "the logon failed here");
        return false;
    }
    batch_begin(trial->batch, trial->line);
    add_token(trial->batch, *token);
    *reply = batch_exchange(trial->batch, LINE_PLAIN);
    if (reply_has(reply, STATUS_MORE_PROCESSING_REQUIRED)) {
        trial->line->session_id = reply->message.header.session_id;
        return true;
    }
    trial_unclear(trial, "the first SESSION_SETUP: %s", seen_text(reply, text));
    return false;
}

void case_session_in_progress(struct trial *trial) {
    struct auth_initiator *initiator = NULL;
    struct span token;
    struct line_reply reply;

    if (begin_logon(trial, &initiator, &token, &reply)) {
        batch_begin(trial->batch, trial->line);
        add_tree_connect(trial->batch, share_of(trial), 0);
        reply = batch_exchange(trial->batch, LINE_PLAIN);
        judge_refusal(trial, &reply);
    }
    auth_initiator_free(initiator);
}

/* A session that has no key yet cannot be signed on. */
void case_signed_in_progress(struct trial *trial) {
    struct auth_initiator *initiator = NULL;
    struct span token;
    struct line_reply reply;

    if (begin_logon(trial, &initiator, &token, &reply)) {
        uint8_t *message;

        batch_begin(trial->batch, trial->line);
        message = add_plain(trial->batch, SMB2_LOGOFF);
        add_flags(message, SMB2_FLAGS_SIGNED);
        memset(message + 48, 0x5a, 16);
        reply = batch_exchange(trial->batch, LINE_PLAIN);
        judge_status_or_close(trial, &reply, STATUS_NOT_SUPPORTED);
    }
    auth_initiator_free(initiator);
}

/* The same first message again and again: whichever way it takes, a server ends this. */
void case_session_setup_endless(struct trial *trial) {
    struct auth_initiator *initiator = NULL;
    struct span token;
    struct line_reply reply;
    bool fine = begin_logon(trial, &initiator, &token, &reply);

    for (unsigned i = 0; fine && i < ENDLESS_LEGS && reply_has(&reply, STATUS_MORE_PROCESSING_REQUIRED); i++) {
        batch_begin(trial->batch, trial->line);
        add_token(trial->batch, token);
        reply = batch_exchange(trial->batch, LINE_PLAIN);
    }
    if (fine)
        judge_refusal(trial, &reply);
    auth_initiator_free(initiator);
}

/* The next SESSION_SETUP does not wait for the answer to the one before. Both are answered, or the connection ends. */
void case_session_setup_pipelined(struct trial *trial) {
    struct auth_initiator *initiator = NULL;
    struct span token;
    struct line_reply reply;
    struct batch_answer answers[2];
    char text[CONFORM_TEXT_MAX];

    if (begin_logon(trial, &initiator, &token, &reply)) {
        int error = 0;

        for (unsigned i = 0; i < 2 && error == 0; i++) {
            batch_begin(trial->batch, trial->line);
            add_token(trial->batch, token);
            error = batch_send(trial->batch, LINE_PLAIN);
        }
        trial->batch->count = 1;
        batch_collect(trial->batch, answers);
        if (answers[0].reply.answer == LINE_ANSWERED || reply_is_close(&answers[0].reply))
            trial_pass(trial, "%s", seen_text(&answers[0].reply, text));
        else
            trial_fail(trial, "%s", seen_text(&answers[0].reply, text));
    }
    auth_initiator_free(initiator);
}

void case_session_garbage(struct trial *trial) {
    static const uint8_t garbage[] = {0x60, 0x82, 0xff, 0xff, 0x00, 0x01, 0x02, 0x03};
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_agree(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    add_token(trial->batch, (struct span){garbage, sizeof garbage});
    reply = batch_exchange(trial->batch, LINE_PLAIN);
    judge_refusal(trial, &reply);
}

void case_session_wrong_password(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct auth_credentials wrong = *trial->options->target.credentials;
    struct line_logon logon;

    if (wrong.method != AUTH_METHOD_NTLM && wrong.method != AUTH_METHOD_ANY) {
        trial_skip(trial, "the logon is by ticket");
        return;
    }
    wrong.method = AUTH_METHOD_NTLM;
    wrong.nt_hash = NULL;
    wrong.password = "not the password of anybody";
    if (!trial_agree(trial, &all))
        return;
    logon = line_log_on(trial->line, &wrong);
    judge_refusal(trial, &logon.reply);
}

/* ---- signing ---- */

/* In every dialect that is spoken. */
void case_final_signed(struct trial *trial) {
    struct id_list all = trial_all(trial);

    for (unsigned i = 0; i < all.count; i++) {
        struct id_list one = dialect_alone(all.ids[i]);

        if (!trial_admits(trial, all.ids[i]))
            continue;
        if (!trial_log_on(trial, &one))
            return;
        if (trial->logon.reply.signature != SIGNATURE_GOOD) {
            trial_fail(trial, "0x%04x: %s", all.ids[i],
                       trial->logon.reply.signature == SIGNATURE_MISSING ? "not signed" : "wrongly signed");
            return;
        }
    }
    trial_pass(trial, "in each dialect");
}

static bool connect_signing(struct trial *trial, const struct id_list *list) {
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (!trial_agree(trial, list))
        return false;
    trial->line->policy.signing_required = true; /* SESSION_SETUP says it from here on */
    trial->logon = line_log_on(trial->line, NULL);
    if (trial->logon.result != LOGON_DONE || !trial->logon.has_keys) {
        trial_unclear(trial, "SESSION_SETUP: %s", seen_text(&trial->logon.reply, text));
        return false;
    }
    reply = line_connect_tree(trial->line, LINE_SIGNED);
    if (reply_has(&reply, STATUS_SUCCESS) && reply_is_protected(&reply))
        return true;
    trial_fail(trial, "TREE_CONNECT: %s", seen_text(&reply, text));
    return false;
}

/* Everything from the final SESSION_SETUP response on is signed. */
void case_signing(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (!connect_signing(trial, &all))
        return;
    if (trial->logon.reply.signature != SIGNATURE_GOOD) {
        trial_fail(trial, "the last SESSION_SETUP response is not correctly signed");
        return;
    }
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    if (reply_has(&reply, STATUS_SUCCESS) && reply_is_protected(&reply))
        trial_pass(trial, "%s", signing_name(trial->line->negotiation.agreed.signing_algorithm));
    else
        trial_fail(trial, "TREE_DISCONNECT: %s", seen_text(&reply, text));
}

static void sign_with(struct trial *trial, uint16_t algorithm) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    struct line_reply reply;
    char text[CONFORM_TEXT_MAX];

    if (!trial_open(trial, &list))
        return;
    trial->line->policy.signing_algorithms = (struct id_list){{algorithm}, 1};
    if (!line_agree(trial->line, &reply)) {
        judge_status(trial, &reply, STATUS_SUCCESS);
        return;
    }
    if (trial->line->negotiation.agreed.signing_algorithm != algorithm ||
        !trial->line->negotiation.answered.contexts.signing.present) {
        trial_skip(trial, "the server does not choose it");
        return;
    }
    trial->logon = line_log_on(trial->line, NULL);
    reply = trial->logon.has_keys ? line_connect_tree(trial->line, LINE_SIGNED) : trial->logon.reply;
    if (reply_has(&reply, STATUS_SUCCESS) && reply_is_protected(&reply))
        trial_pass(trial, "%s", seen_text(&reply, text));
    else
        trial_fail(trial, "%s", seen_text(&reply, text));
}

void case_gmac(struct trial *trial) {
    sign_with(trial, SIGNING_AES_GMAC);
}

void case_cmac(struct trial *trial) {
    sign_with(trial, SIGNING_AES_CMAC);
}

void case_hmac(struct trial *trial) {
    sign_with(trial, SIGNING_HMAC_SHA256);
}

static bool is_encrypted(struct trial *trial) {
    if (trial->line->encrypts)
        trial_skip(trial, "the server demands encryption, which stands for signatures");
    return trial->line->encrypts;
}

void case_bad_signature(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all) || is_encrypted(trial))
        return;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_BADLY_SIGNED);
    judge_status_or_close(trial, &reply, STATUS_ACCESS_DENIED);
}

void case_unsigned_where_required(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!connect_signing(trial, &all) || is_encrypted(trial))
        return;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_PLAIN);
    judge_status_or_close(trial, &reply, STATUS_ACCESS_DENIED);
}

void case_signed_unknown_session(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    uint8_t *message;

    if (!trial_connect(trial, &all) || is_encrypted(trial))
        return;
    batch_begin(trial->batch, trial->line);
    message = add_plain(trial->batch, SMB2_TREE_DISCONNECT);
    put_u64(message, AT_SESSION_ID, SESSION_UNKNOWN);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_USER_SESSION_DELETED);
}

/* An error is signed as any other answer to a signed request. */
void case_errors_signed(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    trial->line->tree_id = TREE_UNKNOWN;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    if (judge_status(trial, &reply, STATUS_NETWORK_NAME_DELETED) && !reply_is_protected(&reply))
        trial_fail(trial, "STATUS_NETWORK_NAME_DELETED, %s",
                   reply.signature == SIGNATURE_MISSING ? "unsigned" : "wrongly signed");
}

/* ---- trees ---- */

void case_tree(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    if (trial->line->tree_id == UINT32_MAX) {
        trial_fail(trial, "TreeId is all ones");
        return;
    }
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_SUCCESS);
}

void case_unsigned_tree_311(struct trial *trial) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    struct line_reply reply;

    if (!trial_log_on(trial, &list))
        return;
    if (trial->line->encrypts) {
        trial_skip(trial, "the session is encrypted as a whole");
        return;
    }
    reply = line_connect_tree(trial->line, LINE_PLAIN);
    if ((trial->facts->security_mode & SMB2_SIGNING_REQUIRED) != 0)
        judge_status_or_close(trial, &reply, STATUS_ACCESS_DENIED); /* by 3.3.5.2.4, which comes before */
    else
        judge_close(trial, &reply);
}

static bool connect_flagged(struct trial *trial, const struct id_list *list, const char *share, uint16_t flags,
                            struct line_reply *reply) {
    if (!trial_log_on(trial, list))
        return false;
    batch_begin(trial->batch, trial->line);
    add_tree_connect(trial->batch, share, flags);
    *reply = batch_exchange(trial->batch, LINE_SIGNED);
    return true;
}

void case_cluster_reconnect(struct trial *trial) {
    struct id_list list = dialect_alone(SMB2_DIALECT_311);
    struct line_reply reply;

    if (connect_flagged(trial, &list, share_of(trial), CLUSTER_RECONNECT, &reply))
        judge_status(trial, &reply, STATUS_SUCCESS);
}

void case_share_unknown(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (connect_flagged(trial, &all, "smbproof-no-such-share", 0, &reply))
        judge_status(trial, &reply, STATUS_BAD_NETWORK_NAME);
}

/* PathLength reaches past the message. */
void case_path_bad(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_log_on(trial, &all))
        return;
    batch_begin(trial->batch, trial->line);
    put_u16(add_tree_connect(trial->batch, share_of(trial), 0), AT_BODY + 6, 0x4000);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_status_or_close(trial, &reply, STATUS_INVALID_PARAMETER);
}

void case_tree_unknown(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    trial->line->tree_id = TREE_UNKNOWN;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_NETWORK_NAME_DELETED);
}

void case_tree_gone(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_NETWORK_NAME_DELETED);
}

/* A tree of one session is none of another one on the same connection. */
void case_tree_foreign(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_logon logon;
    struct line_reply reply;

    if (!trial_connect(trial, &all))
        return;
    if (trial->line->encrypts) {
        trial_skip(trial, "needs two sessions in the clear");
        return;
    }
    line_forget_session(trial->line);
    logon = line_log_on(trial->line, NULL);
    if (!judge_status(trial, &logon.reply, STATUS_SUCCESS))
        return;
    reply = exchange_plain(trial, SMB2_TREE_DISCONNECT, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_NETWORK_NAME_DELETED);
}

void case_tree_unknown_ioctl(struct trial *trial) {
    struct id_list all = trial_all(trial);
    struct line_reply reply;
    uint8_t *message;

    if (!trial_connect(trial, &all))
        return;
    trial->line->tree_id = TREE_UNKNOWN;
    batch_begin(trial->batch, trial->line);
    message = add_validation(trial->batch);
    put_u32(message, AT_BODY + 4, FSCTL_INTERFACES);
    put_u32(message, AT_BODY + 28, 0); /* InputCount */
    put_u32(message, AT_BODY + 44, 4096);
    reply = batch_exchange(trial->batch, LINE_SIGNED);
    judge_status(trial, &reply, STATUS_NETWORK_NAME_DELETED);
}
