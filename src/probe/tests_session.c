/* Tests of sessions: the ordinary client, guests, signing and encryption in use, the hash of 3.1.1. */
#include <string.h>

#include "client/session.h"
#include "probe/search.h"
#include "probe/tests.h"
#include "wire/names.h"

/* ---- the ordinary client ---- */

static void note_session(struct probe *probe, const struct session *session, struct probe_result *result) {
    const struct client *client = session_client(session);
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;
    struct probe_facts *facts = probe->facts;
    char dialect[16];

    facts->logged_on = true;
    facts->has_keys = client->has_keys;
    snprintf(facts->client, sizeof facts->client, "%s, %s, %s, %s", dialect_text(agreed->dialect, dialect),
             signing_name(agreed->signing_algorithm), session_mechanism(session),
             agreed->cipher != CIPHER_NONE ? cipher_name(agreed->cipher) : "no encryption");
    result_say(result, PROBE_RIGHT, "%.*s", (int)sizeof facts->client - 1, facts->client);
}

/* What the client gave up for; the verdict on the whole may say more. */
static void note_failure(struct probe *probe, const struct session_error *error, struct probe_result *result) {
    struct probe_facts *facts = probe->facts;

    result_say(result, PROBE_UNCLEAR, "%s", error->sentence);
    if (error->kind == SESSION_ERROR_AUTHENTICATION) {
        facts->logon_failed = true;
        result->cause = CAUSE_A01;
    } else if (error->rule == RULE_SESSION_GUEST) {
        result->cause = CAUSE_G01;
    } else if (error->kind == SESSION_ERROR_PROTOCOL || error->is_security) {
        facts->has_keys = true; /* the line will look into it */
        result->cause = error->phase == CLIENT_PHASE_VALIDATE ? CAUSE_M01
                        : facts->chosen == SMB2_DIALECT_311   ? CAUSE_M03
                                                              : CAUSE_S04;
    } else if (error->phase == CLIENT_PHASE_TREE_CONNECT) {
        result->cause = CAUSE_L03;
    }
}

static bool demands_encryption(const struct client *client) {
    return client->encrypts || (client->tree_count > 0 && client->trees[0].encrypts);
}

void test_client(struct probe *probe, struct probe_result *result) {
    const struct line_target *target = &probe->options->target;
    struct session_options options = {.host = target->host,
                                      .port = target->port,
                                      .policy = &probe->options->policy,
                                      .credentials = target->credentials,
                                      .timeout_ms = target->timeout_ms};
    const char *share = target->share != NULL && target->share[0] != '\0' ? target->share : "IPC$";
    struct session_error error;
    struct session *session;
    uint32_t tree;

    if (target->credentials == NULL) {
        result_say(result, PROBE_SKIPPED, "needs credentials");
        return;
    }
    probe->connections++;
    session = session_open(&options, &error);
    if (session == NULL) {
        note_failure(probe, &error, result);
        return;
    }
    note_session(probe, session, result);
    if (!session_connect_tree(session, share, &tree, &error))
        note_failure(probe, &error, result);
    probe->facts->encrypts = demands_encryption(session_client(session));
    session_close(session);
}

/* ---- guests ---- */

/* A session with these credentials, and whether the share opens to it. Needs no keys. */
static bool enter(struct probe *probe, const struct auth_credentials *credentials, struct line_logon *logon,
                  struct line_reply *tree, struct probe_result *result) {
    struct id_list all = list_all();

    if (!probe_agree(probe, &all, result))
        return false;
    *logon = line_log_on(probe->line, credentials);
    if (logon->result == LOGON_DONE)
        *tree = line_connect_tree(probe->line, logon->has_keys ? LINE_SIGNED : LINE_PLAIN);
    return true;
}

static void judge_entry(struct probe *probe, const char *who, const struct line_logon *logon,
                        const struct line_reply *tree, struct probe_result *result) {
    char text[PROBE_TEXT_MAX];

    if (logon->result == LOGON_FAILED)
        result_say(result, PROBE_UNCLEAR, "the logon failed here: %.200s", logon->reason);
    else if (logon->result != LOGON_DONE)
        result_say(result, PROBE_RIGHT, "refused: %s", reply_text(&logon->reply, text));
    else if (reply_has(tree, STATUS_SUCCESS))
        result_blame(probe, result, "%s may enter the share; nothing protects such a session", who);
    else
        result_say(result, PROBE_RIGHT, "the logon is accepted%s, the share is refused: %s",
                   logon->session_flags & SESSION_FLAG_IS_GUEST ? " as a guest's" : "", reply_text(tree, text));
}

void test_anonymous(struct probe *probe, struct probe_result *result) {
    const struct auth_credentials nobody = {.method = AUTH_METHOD_ANONYMOUS, .host = probe->options->target.host};
    struct line_logon logon;
    struct line_reply tree;

    if (enter(probe, &nobody, &logon, &tree, result))
        judge_entry(probe, "anybody", &logon, &tree, result);
}

void test_guest(struct probe *probe, struct probe_result *result) {
    const struct auth_credentials guest = {
        .method = AUTH_METHOD_NTLM, .user = "guest", .password = "", .host = probe->options->target.host};
    struct line_logon logon;
    struct line_reply tree;

    if (enter(probe, &guest, &logon, &tree, result))
        judge_entry(probe, "guests", &logon, &tree, result);
}

/* ---- signing and encryption, in use ---- */

static void judge_signed(struct probe *probe, const char *what, const struct line_reply *reply,
                         struct probe_result *result) {
    char text[PROBE_TEXT_MAX];

    if (reply_is_protected(reply))
        return;
    if (reply->answer == LINE_ANSWERED)
        result_blame(probe, result, "the response to %s: %s", what, reply_text(reply, text));
    else
        result_say(result, PROBE_UNCLEAR, "%s: %s", what, reply_text(reply, text));
}

void test_signing_used(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();
    struct line_logon logon;
    struct line_reply reply;
    enum mac_algorithm algorithm;

    if (!probe_agree(probe, &all, result))
        return;
    probe->line->policy.signing_required = true; /* SESSION_SETUP says it from here on */
    logon = line_log_on(probe->line, NULL);
    if (logon.result != LOGON_DONE || !logon.has_keys) {
        result_say(result, PROBE_UNCLEAR, "no session could be set up");
        return;
    }
    if (logon.reply.signature == SIGNATURE_BAD) {
        result_say(result, PROBE_SKIPPED, "the two ends have no key in common");
        return;
    }
    algorithm = mac_key_algorithm(probe->line->mac);
    result_say(result, PROBE_RIGHT, "%s", signing_name((uint16_t)algorithm));
    judge_signed(probe, "SESSION_SETUP", &logon.reply, result);
    if (result->outcome != PROBE_RIGHT)
        return;
    reply = line_connect_tree(probe->line, LINE_SIGNED);
    judge_signed(probe, "TREE_CONNECT", &reply, result);
}

void test_encryption_used(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();
    struct line_logon logon;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_log_on(probe, &all, &logon, result))
        return;
    if (probe->line->seal == NULL) {
        result_say(result, PROBE_SKIPPED, "encryption is not possible");
        return;
    }
    if (probe->facts->hash == PROBE_HASH_BROKEN) {
        result_say(result, PROBE_SKIPPED, "the two ends have no key in common");
        return;
    }
    reply = line_connect_tree(probe->line, LINE_ENCRYPTED);
    if (reply.decrypted)
        result_say(result, PROBE_RIGHT, "%s%s", cipher_name(probe->line->negotiation.agreed.cipher),
                   logon.session_flags & SESSION_FLAG_ENCRYPT_DATA ? "; the server demands it" : "");
    else
        result_blame(probe, result, "%s", reply_text(&reply, text));
}

/* ---- 3.1.1 ---- */

static void say_alteration(const struct alteration *alteration, struct probe_result *result) {
    const char *message = alteration->in_response ? "NEGOTIATE response" : "NEGOTIATE request";

    result->suspicion = SUSPICION_HASH_FOUND;
    result->cause = CAUSE_M03;
    result->also = alteration->removes_security ? CAUSE_M10 : CAUSE_NONE;
    snprintf(result->field, sizeof result->field, "%s %.100s", message, alteration->field);
    snprintf(result->here, sizeof result->here, "%s", alteration->here);
    snprintf(result->there, sizeof result->there, "%s", alteration->there);
    result_say(result, PROBE_UNCLEAR, "%.100s was %s here and %s at the server: its signature fits only so",
               result->field, strlen(alteration->here) <= 32 ? alteration->here : "something else",
               strlen(alteration->there) <= 32 ? alteration->there : "something else");
}

/* The last response of the logon is not signed with the key that this end has. */
void explain_bad_signature(struct probe *probe, struct probe_result *result) {
    struct alteration alteration;
    const char *mistake;

    if (search_alteration(probe->line, &alteration)) {
        say_alteration(&alteration, result);
        return;
    }
    mistake = probe->line->negotiation.agreed.dialect == SMB2_DIALECT_311 ? search_mistake(probe->line) : NULL;
    if (mistake != NULL) {
        result_say(result, PROBE_SERVER, "the server signs with another key: %s", mistake);
        result->cause = CAUSE_P01;
        return;
    }
    if (probe->line->negotiation.agreed.dialect != SMB2_DIALECT_311) {
        result->suspicion = SUSPICION_KEY;
        result->cause = CAUSE_S04;
        result_say(result, PROBE_UNCLEAR,
                   "the signature of the last SESSION_SETUP response is wrong, and its key does not hang "
                   "on the negotiation: the server has another session key, or a box signs without it");
        return;
    }
    result->suspicion = SUSPICION_HASH;
    result->cause = CAUSE_M03;
    result_say(result, PROBE_UNCLEAR, "the signature of the last SESSION_SETUP response is wrong");
}

void test_hash(struct probe *probe, struct probe_result *result) {
    struct id_list list = list_one(SMB2_DIALECT_311);
    struct line_logon logon;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_log_on(probe, &list, &logon, result))
        return;
    if (logon.reply.signature == SIGNATURE_MISSING) {
        result_say(result, PROBE_SERVER, "the last SESSION_SETUP response is not signed");
        result->cause = CAUSE_S09;
        return;
    }
    if (logon.reply.signature != SIGNATURE_GOOD) {
        probe->facts->hash = PROBE_HASH_BROKEN;
        explain_bad_signature(probe, result);
        return;
    }
    reply = line_connect_tree(probe->line, LINE_SIGNED);
    if (!reply_is_protected(&reply)) {
        result_blame(probe, result, "SESSION_SETUP is fine, TREE_CONNECT is not: %s", reply_text(&reply, text));
        result->cause = CAUSE_S06;
        return;
    }
    probe->facts->hash = PROBE_HASH_PROVEN;
    probe->facts->proven = probe->line->negotiation.answered;
    result_say(result, PROBE_RIGHT, "both ends have hashed the same NEGOTIATE, octet for octet");
}

/* What it is refused for anyway where signing is required (3.3.5.2.4) or the session is encrypted (3.3.5.2.9): that comes
 * before 3.3.5.7. */
static bool is_refused_before(const struct line *line, const struct line_reply *reply) {
    bool signs = (line->negotiation.answered.security_mode & SMB2_SIGNING_REQUIRED) != 0;

    return reply_has(reply, STATUS_ACCESS_DENIED) && (signs || line->encrypts);
}

void test_unsigned_tree(struct probe *probe, struct probe_result *result) {
    struct id_list list = list_one(SMB2_DIALECT_311);
    struct line_logon logon;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_log_on(probe, &list, &logon, result))
        return;
    reply = line_connect_tree(probe->line, LINE_PLAIN);
    if (reply_is_close(&reply) || is_refused_before(probe->line, &reply)) {
        result_say(result, PROBE_RIGHT, "%s", reply_text(&reply, text));
        return;
    }
    result_blame(probe, result, "%s%s", reply_text(&reply, text),
                 line_is_alive(probe->line) ? ", and the connection lives on" : "");
    if (reply_has(&reply, STATUS_SUCCESS)) {
        result->outcome = PROBE_SERVER;
        result->severity = SEVERITY_PROBLEM;
    }
}
