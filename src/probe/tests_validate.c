/* Tests of FSCTL_VALIDATE_NEGOTIATE_INFO ([MS-SMB2] 3.2.5.5, 3.2.5.14.12, 3.3.5.15.12). */
#include <string.h>

#include "probe/tests.h"
#include "wire/names.h"

#define DIALECT_UNKNOWN  0x0999u
#define OUTPUT_TOO_SMALL 23u

/* ---- the right one ---- */

/* Which of the four fields of the answer is not the NEGOTIATE response's; NULL: none. */
static const char *differing_field(const struct negotiation_answered *told,
                                   const struct validate_negotiate_info_response *info, struct probe_result *result) {
    char dialect[16];

    if (info->dialect != told->dialect) {
        snprintf(result->here, sizeof result->here, "%s", dialect_text(told->dialect, dialect));
        snprintf(result->there, sizeof result->there, "%s", dialect_text(info->dialect, dialect));
        return "DialectRevision";
    }
    if (info->security_mode != told->security_mode) {
        snprintf(result->here, sizeof result->here, "0x%04x", told->security_mode);
        snprintf(result->there, sizeof result->there, "0x%04x", info->security_mode);
        return "SecurityMode";
    }
    if (info->capabilities != told->capabilities) {
        snprintf(result->here, sizeof result->here, "0x%08x", told->capabilities);
        snprintf(result->there, sizeof result->there, "0x%08x", info->capabilities);
        return "Capabilities";
    }
    if (memcmp(info->guid, told->server_guid, sizeof info->guid) == 0)
        return NULL;
    for (unsigned i = 0; i < sizeof info->guid; i++) {
        snprintf(result->here + 2 * i, 3, "%02x", told->server_guid[i]);
        snprintf(result->there + 2 * i, 3, "%02x", info->guid[i]);
    }
    return "ServerGuid";
}

static bool answer_removes_security(const struct negotiation_answered *told,
                                    const struct validate_negotiate_info_response *info) {
    return (info->security_mode & SMB2_SIGNING_REQUIRED & ~told->security_mode) != 0 ||
           (info->capabilities & SMB2_GLOBAL_CAP_ENCRYPTION & ~told->capabilities) != 0 ||
           info->dialect > told->dialect;
}

/* An answer with the four fields. */
static void judge_info(struct probe *probe, const struct validate_negotiate_info_response *info,
                       struct probe_result *result) {
    const struct negotiation_answered *told = &probe->line->negotiation.answered;
    const char *field = differing_field(told, info, result);

    if (field == NULL) {
        if (told->dialect > probe->facts->validated)
            probe->facts->validated = told->dialect;
        result_say(result, PROBE_RIGHT, "the same in all four fields, signed");
        return;
    }
    result->suspicion = SUSPICION_RESPONSE;
    result->cause = CAUSE_M02;
    result->also = answer_removes_security(told, info) ? CAUSE_M10 : CAUSE_NONE;
    snprintf(result->field, sizeof result->field, "NEGOTIATE response %s", field);
    result_say(result, PROBE_UNCLEAR, "%s came here as %s; under signature the server says %s", result->field,
               result->here, result->there);
}

/* A signed error: an old server's right, and nobody else's. */
static void judge_error(struct probe *probe, const struct line_reply *reply, struct probe_result *result) {
    bool knows_3x = dialect_is_3x(id_list_greatest(&probe->facts->spoken));
    char text[PROBE_TEXT_MAX];

    if (reply->status == STATUS_ACCESS_DENIED) {
        result_blame(probe, result, "%s", reply_text(reply, text));
        result->cause = CAUSE_V03;
    } else if (!knows_3x) {
        result_say(result, PROBE_RIGHT, "%s: a server of SMB 2 says so", reply_text(reply, text));
        result->cause = CAUSE_V02;
    } else {
        result_blame(probe, result, "%s, although the server speaks SMB 3", reply_text(reply, text));
    }
}

/* ---- what did the server see? ---- */

/* One claim that would be right if this or that had been changed on the way. */
struct candidate {
    const char *field;
    char here[PROBE_VALUE_MAX], there[PROBE_VALUE_MAX];
    bool removes_security;
};

static void list_text(const uint16_t *dialects, unsigned count, char text[PROBE_VALUE_MAX]) {
    size_t at = 0;
    char dialect[16];

    text[0] = '\0';
    for (unsigned i = 0; i < count && at < PROBE_VALUE_MAX; i++)
        at += (size_t)snprintf(text + at, PROBE_VALUE_MAX - at, "%s%s", i > 0 ? " " : "",
                               dialect_text(dialects[i], dialect));
}

/* The list without its last 1, 2, ... dialects, then without each other one. False past the last. */
static bool claim_dialects(const struct negotiation_offered *sent, unsigned index, struct line_claim *claim,
                           struct candidate *candidate) {
    uint16_t left[NEGOTIATION_DIALECTS_MAX];
    unsigned count = 0, total = sent->dialect_count, cut = index + 1;

    if (total < 2 || index >= 2 * total - 2)
        return false;
    for (unsigned i = 0; i < total; i++)
        if (cut < total ? i < total - cut : i != cut - total)
            left[count++] = sent->dialects[i];
    claim_set_dialects(claim, left, count);
    candidate->field = "Dialects";
    candidate->removes_security = left[count - 1] < sent->dialects[total - 1];
    list_text(sent->dialects, total, candidate->here);
    list_text(left, count, candidate->there);
    return true;
}

static bool claim_mode(const struct negotiation_offered *sent, unsigned index, struct line_claim *claim,
                       struct candidate *candidate) {
    uint16_t mode = (uint16_t)((sent->security_mode + 1 + index) & 3);

    if (index >= 3)
        return false;
    claim->info.request.security_mode = mode;
    candidate->field = "SecurityMode";
    candidate->removes_security = (sent->security_mode & ~mode & SMB2_SIGNING_REQUIRED) != 0;
    snprintf(candidate->here, sizeof candidate->here, "0x%04x", sent->security_mode);
    snprintf(candidate->there, sizeof candidate->there, "0x%04x", mode);
    return true;
}

/* Each bit the other way, then none at all. */
static bool claim_capabilities(const struct negotiation_offered *sent, unsigned index, struct line_claim *claim,
                               struct candidate *candidate) {
    uint32_t capabilities = index < 8 ? sent->capabilities ^ 1u << index : 0;

    if (index > 8)
        return false;
    claim->info.request.capabilities = capabilities;
    candidate->field = "Capabilities";
    candidate->removes_security = (sent->capabilities & ~capabilities & SMB2_GLOBAL_CAP_ENCRYPTION) != 0;
    snprintf(candidate->here, sizeof candidate->here, "0x%08x", sent->capabilities);
    snprintf(candidate->there, sizeof candidate->there, "0x%08x", capabilities);
    return true;
}

static bool claim_guid(unsigned index, struct line_claim *claim, struct candidate *candidate) {
    if (index > 0)
        return false;
    memset(claim->info.request.guid, 0, sizeof claim->info.request.guid);
    candidate->field = "ClientGuid";
    snprintf(candidate->here, sizeof candidate->here, "random");
    snprintf(candidate->there, sizeof candidate->there, "zero");
    return true;
}

static bool claim_candidate(unsigned group, unsigned index, const struct negotiation_offered *sent,
                            struct line_claim *claim, struct candidate *candidate) {
    *candidate = (struct candidate){0};
    switch (group) {
    case 0:
        return claim_dialects(sent, index, claim, candidate);
    case 1:
        return claim_mode(sent, index, claim, candidate);
    case 2:
        return claim_capabilities(sent, index, claim, candidate);
    default:
        return claim_guid(index, claim, candidate);
    }
}

/* On a new connection: does the server answer this claim? */
static bool is_answered(struct probe *probe, const struct id_list *dialects, unsigned group, unsigned index, bool *more,
                        struct candidate *candidate) {
    struct probe_result ignored = {.outcome = PROBE_SKIPPED};
    struct line_claim claim;
    struct line_reply reply;

    *more = false;
    if (!probe_connect_tree(probe, dialects, &ignored))
        return false;
    line_claim(probe->line, &claim);
    *more = claim_candidate(group, index, &probe->line->negotiation.offered, &claim, candidate);
    if (!*more)
        return false;
    reply = line_validate(probe->line, &claim, LINE_SIGNED);
    return reply_has(&reply, STATUS_SUCCESS) && reply_is_protected(&reply);
}

/* The server closes on the right claim. It answers the one that repeats what it has seen. What was found once is tried
 * again, and where nothing was found nothing is looked for again: each try is a logon. */
static bool ask_what_was_seen(struct probe *probe, const struct id_list *dialects, struct candidate *candidate) {
    struct probe_claim *seen = &probe->facts->seen;
    unsigned tried = 0;
    bool ignored;

    if (probe->facts->asked && (seen->group > 0 || !seen->found)) /* lists of dialects differ from test to test */
        return seen->found && is_answered(probe, dialects, seen->group, seen->index, &ignored, candidate);
    probe->facts->asked = true;

    for (unsigned group = 0; group < 4; group++) {
        bool more = true;

        for (unsigned index = 0; more && tried < PROBE_CANDIDATES_MAX; index++, tried++)
            if (is_answered(probe, dialects, group, index, &more, candidate)) {
                *seen = (struct probe_claim){true, group, index};
                return true;
            }
    }
    return false;
}

static void explain_close(struct probe *probe, const struct id_list *dialects, const struct line_reply *reply,
                          struct probe_result *result) {
    struct candidate candidate;
    char text[PROBE_TEXT_MAX];

    result->cause = CAUSE_M01;
    result->suspicion = SUSPICION_REQUEST_REFUSED;
    result_say(result, PROBE_UNCLEAR, "%s", reply_text(reply, text));
    if (!ask_what_was_seen(probe, dialects, &candidate))
        return;
    result->suspicion = SUSPICION_REQUEST_SEEN;
    result->also = candidate.removes_security ? CAUSE_M10 : CAUSE_NONE;
    snprintf(result->field, sizeof result->field, "NEGOTIATE request %s", candidate.field);
    snprintf(result->here, sizeof result->here, "%s", candidate.here);
    snprintf(result->there, sizeof result->there, "%s", candidate.there);
    result_say(result, PROBE_UNCLEAR, "%.60s was sent as %.80s; the server answers only to %.80s", result->field,
               candidate.here, candidate.there);
}

static void judge_validation(struct probe *probe, const struct id_list *dialects, const struct line_reply *reply,
                             struct probe_result *result) {
    struct validate_negotiate_info_response info;
    char text[PROBE_TEXT_MAX];

    if (reply_is_close(reply)) {
        explain_close(probe, dialects, reply, result);
    } else if (reply->answer != LINE_ANSWERED) {
        result->cause = CAUSE_M09;
        result_say(result, PROBE_UNCLEAR, "%s", reply_text(reply, text));
    } else if (!reply_is_protected(reply)) {
        result->suspicion = SUSPICION_UNSIGNED;
        result->cause = CAUSE_V01;
        result_say(result, PROBE_UNCLEAR, "%s", reply_text(reply, text));
    } else if (reply_read_info(reply, &info)) {
        judge_info(probe, &info, result);
    } else if (reply->status == STATUS_SUCCESS) {
        result_blame(probe, result, "the answer has not the four fields");
        result->cause = CAUSE_V07;
    } else {
        judge_error(probe, reply, result);
    }
}

/* A second fault, beside what the validation has shown ([MS-SMB2] 3.3.5.5.3). */
static void note_unsigned_logon(struct probe *probe, struct probe_result *result) {
    static const char what[] = "; the last SESSION_SETUP response was not signed";

    if (result->outcome == PROBE_RIGHT) {
        result_blame(probe, result, "the validation is fine");
        result->cause = CAUSE_S09;
    } else if (result->also == CAUSE_NONE) {
        result->also = CAUSE_S09;
    }
    strncat(result->seen, what, sizeof result->seen - strlen(result->seen) - 1);
}

static void test_right(struct probe *probe, const struct id_list *dialects, struct probe_result *result) {
    struct line_logon logon;
    struct line_claim claim;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_log_on(probe, dialects, &logon, result))
        return;
    if (logon.reply.signature == SIGNATURE_BAD) {
        explain_bad_signature(probe, result);
        return;
    }
    reply = line_connect_tree(probe->line, LINE_SIGNED);
    if (!reply_has(&reply, STATUS_SUCCESS)) {
        result_say(result, PROBE_UNCLEAR, "TREE_CONNECT: %s", reply_text(&reply, text));
        return;
    }
    line_claim(probe->line, &claim);
    reply = line_validate(probe->line, &claim, LINE_SIGNED);
    judge_validation(probe, dialects, &reply, result);
    if (logon.reply.signature == SIGNATURE_MISSING)
        note_unsigned_logon(probe, result);
}

static void test_one(struct probe *probe, uint16_t dialect, struct probe_result *result) {
    struct id_list list = list_one(dialect);

    if (!server_speaks(probe, dialect))
        result_say(result, PROBE_SKIPPED, "the dialect is not spoken");
    else if (probe->facts->encrypts && !dialect_is_3x(dialect))
        result_say(result, PROBE_SKIPPED, "the server demands encryption, which SMB 2 has not");
    else
        test_right(probe, &list, result);
}

void test_validate_202(struct probe *probe, struct probe_result *result) {
    test_one(probe, SMB2_DIALECT_202, result);
}

void test_validate_210(struct probe *probe, struct probe_result *result) {
    test_one(probe, SMB2_DIALECT_210, result);
}

void test_validate_300(struct probe *probe, struct probe_result *result) {
    test_one(probe, SMB2_DIALECT_300, result);
}

void test_validate_302(struct probe *probe, struct probe_result *result) {
    test_one(probe, SMB2_DIALECT_302, result);
}

/* Where 3.1.1 was offered and something else was chosen, that list is the one to be validated. */
void test_validate_list(struct probe *probe, struct probe_result *result) {
    struct id_list list = {{SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302}, 4};

    if (probe->facts->chosen != SMB2_DIALECT_311)
        list = list_all();
    if (probe->facts->spoken.count == 1 && probe->facts->chosen == SMB2_DIALECT_311) {
        result_say(result, PROBE_SKIPPED, "the server speaks 3.1.1 only");
        return;
    }
    test_right(probe, &list, result);
    if (result->outcome == PROBE_RIGHT && result->cause == CAUSE_NONE)
        probe->facts->validated_list = list;
}

/* ---- wrong ones ---- */

/* The list whose right validation was answered, so that a wrong one can only fail for what is wrong in it. */
static bool begin_wrong(struct probe *probe, struct line_claim *claim, struct probe_result *result) {
    if (!probe_connect_tree(probe, &probe->facts->validated_list, result))
        return false;
    line_claim(probe->line, claim);
    return true;
}

/* Anything but a close is an answer, and tells an attacker, or a lenient client, too much. */
static void expect_close(struct probe *probe, const struct line_reply *reply, struct probe_result *result) {
    char text[PROBE_TEXT_MAX];
    bool alive;

    if (reply_is_close(reply)) {
        result_say(result, PROBE_RIGHT, "%s", reply_text(reply, text));
        return;
    }
    if (reply->answer != LINE_ANSWERED) {
        result_say(result, PROBE_UNCLEAR, "%s", reply_text(reply, text));
        return;
    }
    result_blame(probe, result, "%s", reply_text(reply, text));
    alive = line_is_alive(probe->line);
    if (alive)
        strncat(result->seen, ", and the connection lives on", sizeof result->seen - strlen(result->seen) - 1);
}

static void send_wrong(struct probe *probe, const struct line_claim *claim, struct probe_result *result) {
    struct line_reply reply = line_validate(probe->line, claim, LINE_SIGNED);

    expect_close(probe, &reply, result);
}

void test_wrong_guid(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;

    if (!begin_wrong(probe, &claim, result))
        return;
    claim.info.request.guid[0] ^= 0x40;
    send_wrong(probe, &claim, result);
}

/* Some servers compare as they would text, and so only up to a zero. */
void test_wrong_guid_end(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;
    bool begun;

    probe->zero_in_guid = true;
    begun = begin_wrong(probe, &claim, result);
    probe->zero_in_guid = false;
    if (!begun)
        return;
    claim.info.request.guid[15] ^= 0x40;
    send_wrong(probe, &claim, result);
}

void test_wrong_mode(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;

    if (!begin_wrong(probe, &claim, result))
        return;
    claim.info.request.security_mode ^= SMB2_SIGNING_REQUIRED;
    send_wrong(probe, &claim, result);
}

void test_wrong_capabilities(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;

    if (!begin_wrong(probe, &claim, result))
        return;
    claim.info.request.capabilities ^= SMB2_GLOBAL_CAP_ENCRYPTION;
    send_wrong(probe, &claim, result);
}

void test_wrong_dialects(struct probe *probe, struct probe_result *result) {
    static const uint16_t unknown[] = {DIALECT_UNKNOWN};
    struct line_claim claim;

    if (!begin_wrong(probe, &claim, result))
        return;
    claim_set_dialects(&claim, unknown, 1);
    send_wrong(probe, &claim, result);
}

void test_fewer_dialects(struct probe *probe, struct probe_result *result) {
    const struct negotiation *record = &probe->line->negotiation;
    uint16_t left[NEGOTIATION_DIALECTS_MAX];
    unsigned count = 0;
    struct line_claim claim;

    if (!begin_wrong(probe, &claim, result))
        return;
    for (unsigned i = 0; i < record->offered.dialect_count; i++)
        if (record->offered.dialects[i] != record->agreed.dialect)
            left[count++] = record->offered.dialects[i];
    claim_set_dialects(&claim, left, count);
    send_wrong(probe, &claim, result);
}

/* Only a server that implements 3.1.1 keeps the list and compares it as such; an older one takes the greatest common
 * dialect, which is the same. */
void test_permuted_dialects(struct probe *probe, struct probe_result *result) {
    const struct negotiation_offered *sent = &probe->line->negotiation.offered;
    uint16_t reversed[NEGOTIATION_DIALECTS_MAX];
    struct line_claim claim;

    if (!server_speaks(probe, SMB2_DIALECT_311)) {
        result_say(result, PROBE_SKIPPED, "a server without 3.1.1 may accept it");
        return;
    }
    if (!begin_wrong(probe, &claim, result))
        return;
    for (unsigned i = 0; i < sent->dialect_count; i++)
        reversed[i] = sent->dialects[sent->dialect_count - 1 - i];
    claim_set_dialects(&claim, reversed, sent->dialect_count);
    send_wrong(probe, &claim, result);
}

void test_small_output(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;

    if (!begin_wrong(probe, &claim, result))
        return;
    claim.max_output = OUTPUT_TOO_SMALL;
    send_wrong(probe, &claim, result);
}

/* A session that is encrypted as a whole hides what is signed in it. */
static bool must_encrypt(struct probe *probe, struct probe_result *result) {
    if (!probe->line->encrypts)
        return false;
    result_say(result, PROBE_SKIPPED, "the server demands encryption, which stands for a signature");
    return true;
}

void test_unsigned(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;
    struct line_reply reply;

    if (!begin_wrong(probe, &claim, result) || must_encrypt(probe, result))
        return;
    reply = line_validate(probe->line, &claim, LINE_PLAIN);
    if (reply_has(&reply, STATUS_ACCESS_DENIED))
        result_say(result, PROBE_RIGHT, "STATUS_ACCESS_DENIED");
    else
        expect_close(probe, &reply, result);
    if (result->outcome == PROBE_EXPOSED)
        result->outcome = PROBE_SERVER; /* no setting of the server's makes this right */
}

void test_bad_signature(struct probe *probe, struct probe_result *result) {
    struct line_claim claim;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!begin_wrong(probe, &claim, result) || must_encrypt(probe, result))
        return;
    reply = line_validate(probe->line, &claim, LINE_BADLY_SIGNED);
    if (reply_has(&reply, STATUS_ACCESS_DENIED))
        result_say(result, PROBE_RIGHT, "%s", reply_text(&reply, text));
    else
        expect_close(probe, &reply, result);
}

void test_validate_311(struct probe *probe, struct probe_result *result) {
    struct id_list list = list_one(SMB2_DIALECT_311);
    struct line_claim claim;

    if (!probe_connect_tree(probe, &list, result))
        return;
    line_claim(probe->line, &claim);
    send_wrong(probe, &claim, result);
}
