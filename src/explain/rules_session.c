/* Families D, A, G, S, E, K, P and X: before and around authentication. */
#include "explain/rules.h"

#include <stdio.h>

static const struct negotiate_evidence *negotiate_of(const struct inquiry *inquiry) {
    return &inquiry->evidence->negotiate;
}

static void negotiate_packets(const struct inquiry *inquiry, struct finding *finding) {
    finding_packet(finding, negotiate_of(inquiry)->request.packet);
    finding_packet(finding, negotiate_of(inquiry)->response.packet);
}

static bool refused_with(const struct inquiry *inquiry, struct finding *finding, uint32_t status) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);

    if (negotiate->response.packet == 0 || negotiate->status != status || negotiate->dialect != 0)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_CERTAIN;
    negotiate_packets(inquiry, finding);
    return true;
}

bool find_D01(const struct inquiry *inquiry, struct finding *finding) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    char low[16], high[16];

    if (!refused_with(inquiry, finding, STATUS_NOT_SUPPORTED))
        return false;
    finding_say(finding, "The server refused NEGOTIATE with STATUS_NOT_SUPPORTED (packet %llu): it speaks none of the dialects offered",
                (unsigned long long)negotiate->response.packet);
    if (negotiate->dialect_count > 0) {
        dialect_text(negotiate->dialects[0], low);
        dialect_text(negotiate->dialects[negotiate->dialect_count - 1], high);
        finding_say(finding, " (%s%s%s)", low, negotiate->dialect_count > 1 ? " to " : "",
                    negotiate->dialect_count > 1 ? high : "");
    }
    finding_say(finding, ".");
    if (inquiry->far == NULL)
        finding_rule_out(finding, CAUSE_M01, "not ruled out: only a capture at the server shows whether the list arrived whole");
    finding_remedy(finding, REMEDY_COMMON_DIALECT);
    return true;
}

bool find_D02(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    bool smb1_answer = negotiate->smb1_answer_is_smb1 && negotiate->smb1_offers_smb2 &&
                       negotiate->requests == 0;
    bool asked_in_smb1 = negotiate->smb1_request_packet != 0 && negotiate->smb1_offers_smb2;
    bool dismissed = facts->stage == STAGE_NEGOTIATE_SENT && (negotiate->request.packet != 0 || asked_in_smb1) &&
                     facts->closer == CLOSER_SERVER && facts->ending == ENDING_FIN && !facts->lossy &&
                     inquiry->comparison == NULL;

    if (!smb1_answer && !dismissed)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = smb1_answer ? CONFIDENCE_CERTAIN : CONFIDENCE_POSSIBLE;
    if (smb1_answer)
        finding_say(finding, "The client offered SMB 2 as well, and the server answered in SMB 1 (packet %llu): it speaks nothing newer.",
                    (unsigned long long)negotiate->smb1_response_packet);
    else
        finding_say(finding,
                    "The server closed the connection (packet %llu) on the NEGOTIATE request of SMB 2 (packet %llu) "
                    "without a word, as one does that speaks only SMB 1.",
                    (unsigned long long)facts->closing->packet,
                    (unsigned long long)(negotiate->request.packet != 0 ? negotiate->request.packet
                                                                        : negotiate->smb1_request_packet));
    finding_packet(finding, negotiate->smb1_request_packet);
    finding_packet(finding, negotiate->smb1_response_packet);
    negotiate_packets(inquiry, finding);
    if (!smb1_answer)
        finding_packet(finding, facts->closing->packet);
    finding_remedy(finding, REMEDY_UPGRADE_SMB1_SERVER);
    return true;
}

bool find_D03(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    bool refused;

    if (negotiate->smb1_request_packet == 0 || negotiate->smb1_offers_smb2 || negotiate->smb1_request_cut ||
        negotiate->requests > 0)
        return false;
    refused = negotiate->smb1_response_packet != 0 ? negotiate->smb1_dialect_index == 0xffff
                                                   : facts->closer == CLOSER_SERVER;
    if (!refused)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "The client speaks only SMB 1 (packet %llu offers no \"SMB 2\" dialect), and the server %s.",
                (unsigned long long)negotiate->smb1_request_packet,
                negotiate->smb1_response_packet != 0 ? "accepts none of its dialects" : "closed the connection");
    finding_packet(finding, negotiate->smb1_request_packet);
    finding_packet(finding, negotiate->smb1_response_packet);
    finding_remedy(finding, REMEDY_UPGRADE_SMB1_CLIENT);
    return true;
}

bool find_D04(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    bool again = negotiate->smb1_request_packet != 0 && negotiate->dialect == SMB2_DIALECT_202 &&
                 negotiate->second_request_packet != 0 && negotiate->requests == 1;
    bool stopped = negotiate->wildcard_response_packet != 0 && negotiate->requests == 0 &&
                   inquiry->evidence->sessions_count > 0 && !facts->lossy && !facts->one_way;

    if (!again && !stopped)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    /* Elsewhere than at the client: another answer may have reached it (M02). */
    finding->confidence = again || inquiry->vantage.place == PLACE_CLIENT ? CONFIDENCE_CERTAIN : CONFIDENCE_POSSIBLE;
    finding_say(finding,
                again ? "The server had chosen SMB 2.0.2 for good (packet %llu), yet the client sent another NEGOTIATE."
                      : "The server asked for an SMB 2 NEGOTIATE (0x02FF, packet %llu), and the client went on without one.",
                (unsigned long long)negotiate->response.packet);
    finding_packet(finding, negotiate->smb1_request_packet);
    negotiate_packets(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
    return true;
}

bool find_D05(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);

    if (negotiate->second_request_packet == 0 || negotiate->smb1_request_packet != 0)
        return false;
    finding->explains_end = facts->closer == CLOSER_SERVER;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "The client sent a second NEGOTIATE (packet %llu) after a dialect was agreed; the server has to close "
                         "the connection ([MS-SMB2] 3.3.5.4).",
                (unsigned long long)negotiate->second_request_packet);
    negotiate_packets(inquiry, finding);
    finding_packet(finding, negotiate->second_request_packet);
    finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
    return true;
}

bool find_D06(const struct inquiry *inquiry, struct finding *finding) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    const char *fault;

    if (!refused_with(inquiry, finding, STATUS_INVALID_PARAMETER))
        return false;
    fault = negotiate_request_fault(inquiry->evidence);
    finding->confidence = fault != NULL ? CONFIDENCE_CERTAIN : CONFIDENCE_POSSIBLE;
    finding_say(finding, "The server refused NEGOTIATE as malformed (STATUS_INVALID_PARAMETER, packet %llu)",
                (unsigned long long)negotiate->response.packet);
    if (fault != NULL)
        finding_say(finding, ", rightly: %s", fault);
    else
        finding_say(finding, ". As captured here the request (packet %llu) is well-formed, so either the server is too strict, "
                             "or the request was altered on its way (M01).",
                    (unsigned long long)negotiate->request.packet);
    if (fault != NULL && inquiry->comparison == NULL && inquiry->vantage.place != PLACE_CLIENT)
        finding_rule_out(finding, CAUSE_M01,
                         "not ruled out: only a capture at the client shows whether it sent the request so");
    finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
    if (inquiry->comparison == NULL)
        finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool find_D07(const struct inquiry *inquiry, struct finding *finding) {
    if (!refused_with(inquiry, finding, STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP))
        return false;
    finding_say(finding, "The server refused NEGOTIATE (packet %llu): no pre-authentication hash in common; SHA-512 is the only one there is.",
                (unsigned long long)negotiate_of(inquiry)->response.packet);
    finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
    return true;
}

static bool session_failed(const struct session_evidence *session) {
    return session->has_response && !session->success && session->status != STATUS_PENDING &&
           session->status != STATUS_MORE_PROCESSING_REQUIRED && session->status != STATUS_SUCCESS;
}

static void say_status(struct finding *finding, uint32_t status) {
    const char *name = ntstatus_name(status);

    finding_say(finding, "%s%s0x%08x%s", name ? name : "", name ? " (" : "status ", status, name ? ")" : "");
}

/* As negotiated this connection cannot be encrypted. */
static bool cannot_encrypt(const struct inquiry *inquiry) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);

    if (!inquiry->facts->dialect_known)
        return false;
    if (negotiate->dialect == SMB2_DIALECT_311)
        return !negotiate->has_encryption_context || negotiate->cipher == 0;
    return negotiate->dialect < SMB2_DIALECT_300 ||
           (negotiate->request.decoded && !(negotiate->request.capabilities & SMB2_GLOBAL_CAP_ENCRYPTION));
}

/* Wrong credentials are told otherwise: a server that demands encryption refuses the whole logon so. */
static bool refused_for_encryption(const struct inquiry *inquiry) {
    const struct session_evidence *session = inquiry->facts->session;

    return session_failed(session) && session->status == STATUS_ACCESS_DENIED &&
           !session->binding && cannot_encrypt(inquiry);
}

bool find_A01(const struct inquiry *inquiry, struct finding *finding) {
    const struct session_evidence *session = inquiry->facts->session;

    if (inquiry->facts->authenticated || !session_failed(session) || session->binding ||
        !logon_answer_unaltered(inquiry))
        return false;
    finding->explains_end = logon_request_unaltered(inquiry);
    finding->confidence =
        finding->explains_end && !refused_for_encryption(inquiry) ? CONFIDENCE_CERTAIN : CONFIDENCE_POSSIBLE;
    finding_say(finding, "The server refused the logon with ");
    say_status(finding, session->status);
    finding_say(finding, ", packet %llu. %s", (unsigned long long)session->response_packet,
                finding->explains_end ? "Negotiation itself is not to blame."
                                      : "What it refused is not what the client sent; the credentials may be right.");
    finding_packet(finding, session->last_request_packet);
    finding_packet(finding, session->response_packet);
    finding_rule_out(finding, CAUSE_M01, "the connection ended before anything was validated");
    finding_remedy(finding, REMEDY_CHECK_CREDENTIALS);
    return true;
}

bool find_A06(const struct inquiry *inquiry, struct finding *finding) {
    const struct session_evidence *session = inquiry->facts->session;

    if (inquiry->facts->authenticated || !session_failed(session) || !session->ntlm.is_v1)
        return false;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding, "The client answered with NTLMv1 (a response of 24 octets), which servers refuse today.");
    finding_packet(finding, session->last_request_packet);
    finding_remedy(finding, REMEDY_USE_NTLMV2);
    return true;
}

bool find_G01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (!facts->guest || !logon_answer_unaltered(inquiry) || facts->closer != CLOSER_CLIENT ||
        missed_before_close(facts) || facts->session->ntlm.anonymous ||
        (facts->stage != STAGE_SESSION && facts->stage != STAGE_TREE))
        return false;
    if (facts->stage == STAGE_TREE && facts->tree->disconnect_packet != 0)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding, "The server let the client in as guest (packet %llu), and the client closed the connection: a guest "
                         "session can be neither signed nor validated, so careful clients refuse it.",
                (unsigned long long)facts->session->response_packet);
    finding_packet(finding, facts->session->last_request_packet);
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, facts->closing->packet);
    finding_rule_out(finding, CAUSE_M02, "an unsigned answer is normal in a guest session");
    finding_remedy(finding, REMEDY_ACCOUNT_NOT_GUEST);
    finding_remedy(finding, REMEDY_CHECK_CREDENTIALS);
    finding_remedy(finding, REMEDY_ALLOW_GUEST_WINDOWS);
    return true;
}

bool find_G02(const struct inquiry *inquiry, struct finding *finding) {
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    const struct facts *facts = inquiry->facts;
    bool tree_refused = facts->tree->request_signed && facts->tree->has_response &&
                        (facts->tree->status == STATUS_ACCESS_DENIED ||
                         facts->tree->status == STATUS_USER_SESSION_DELETED);

    if (!facts->guest && !facts->anonymous)
        return false;
    if (traffic->after_guest_signed_denied_packet == 0 && !tree_refused)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding, "The session is %s and has no key, yet the client signed a request and was refused (packet %llu).",
                facts->guest ? "a guest's" : "anonymous",
                (unsigned long long)(tree_refused ? facts->tree->response_packet
                                                  : traffic->after_guest_signed_denied_packet));
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, traffic->guest_signed_packet);
    finding_packet(finding, tree_refused ? facts->tree->response_packet : traffic->after_guest_signed_denied_packet);
    finding_remedy(finding, REMEDY_NEVER_SIGN_GUEST);
    finding_remedy(finding, REMEDY_ACCOUNT_NOT_GUEST);
    return true;
}

bool find_K01(const struct inquiry *inquiry, struct finding *finding) {
    const struct evidence *evidence = inquiry->evidence;

    for (uint32_t i = 0; i < evidence->sessions_count; i++) {
        const struct session_evidence *session = &evidence->sessions[i];

        if (!session->binding || !session_failed(session))
            continue;
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_CERTAIN;
        finding_say(finding, "The client wanted to bind this connection to its session as another channel, and the server refused with ");
        say_status(finding, session->status);
        finding_say(finding, ", packet %llu.", (unsigned long long)session->response_packet);
        finding_packet(finding, session->last_request_packet);
        finding_packet(finding, session->response_packet);
        finding_remedy(finding, REMEDY_NO_MULTICHANNEL);
        return true;
    }
    return false;
}

bool find_E01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct session_evidence *session = facts->session;
    bool cannot = cannot_encrypt(inquiry);
    bool logon = session_failed(session) && session->status == STATUS_ACCESS_DENIED;
    bool tree = facts->tree->has_response && facts->tree->status == STATUS_ACCESS_DENIED &&
                !facts->encrypted;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    uint64_t denied =
        traffic->unsigned_denied_packet != 0 ? traffic->unsigned_denied_packet : traffic->first_denied_packet;
    bool plain = facts->authenticated && !facts->encrypted && denied != 0 &&
                 ((session->flags & 4) || (facts->tree->share_flags & 0x8000));

    if (!(logon && cannot) && !(tree && cannot && facts->evidence->traffic.first_good_signed_packet != 0) && !plain)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = plain ? CONFIDENCE_CERTAIN : logon ? CONFIDENCE_LIKELY : CONFIDENCE_POSSIBLE;
    finding_say(
        finding,
        "The server refused %s with ACCESS_DENIED (packet %llu) and the connection %s: it may demand encryption.",
        logon  ? "the logon"
        : tree ? "the share"
               : "a request in clear",
        (unsigned long long)(logon  ? session->response_packet
                             : tree ? facts->tree->response_packet
                                    : denied),
        plain ? "is not encrypted although the server asked for it" : "cannot be encrypted as negotiated");
    finding_packet(finding, logon ? session->response_packet : tree ? facts->tree->response_packet : denied);
    finding_remedy(finding, REMEDY_ENCRYPT_CLIENT);
    return true;
}

bool find_S01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool requires = (negotiate_of(inquiry)->request.security_mode & 2) != 0;
    bool unsigned_logon = facts->authenticated && !facts->session->response_signed;
    bool unsigned_tree = facts->tree->has_response && facts->tree->request_signed &&
                         !facts->tree->response_signed && facts->tree->status == STATUS_SUCCESS;

    if (!requires || !facts->authenticated || !logon_answer_unaltered(inquiry) || facts->closer != CLOSER_CLIENT ||
        (facts->stage != STAGE_SESSION && facts->stage != STAGE_TREE) || (!unsigned_logon && !unsigned_tree))
        return false;
    if (facts->guest && !facts->session->ntlm.anonymous)
        return false; /* G01 */
    finding->explains_end = true;
    finding->confidence = facts->anonymous ? CONFIDENCE_POSSIBLE : CONFIDENCE_LIKELY;
    finding_say(finding, "The client requires signing (NEGOTIATE, packet %llu), the server answered without a signature (packet %llu), "
                         "and the client closed the connection.",
                (unsigned long long)negotiate_of(inquiry)->request.packet,
                (unsigned long long)(unsigned_logon ? facts->session->response_packet : facts->tree->response_packet));
    finding_packet(finding, negotiate_of(inquiry)->request.packet);
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, facts->closing->packet);
    finding_remedy(finding, REMEDY_SIGN_SERVER);
    return true;
}

bool find_S02(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    bool required = (negotiate_of(inquiry)->response.security_mode & 2) != 0;
    bool on_311 = negotiate_of(inquiry)->dialect == SMB2_DIALECT_311 &&
                  !facts->tree->request_signed && facts->tree->status == STATUS_ACCESS_DENIED;

    if (traffic->unsigned_denied_packet == 0 || facts->encrypted || !(required || on_311) || !facts->keyed)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding, "The %s request was not signed although %s, and the server refused it (ACCESS_DENIED, packet %llu).",
                command_name(traffic->unsigned_denied_command),
                required ? "the server requires signing" : "SMB 3.1.1 demands a signed or encrypted TREE_CONNECT",
                (unsigned long long)traffic->unsigned_denied_packet);
    finding_packet(finding, negotiate_of(inquiry)->response.packet);
    finding_packet(finding, traffic->unsigned_denied_packet);
    finding_rule_out(finding, CAUSE_M01, "the request itself lacks the signature");
    finding_remedy(finding, REMEDY_SIGN_CLIENT);
    return true;
}

static bool encryption_offered(const struct inquiry *inquiry) {
    return negotiate_of(inquiry)->dialect >= SMB2_DIALECT_300 &&
           (negotiate_of(inquiry)->response.capabilities & SMB2_GLOBAL_CAP_ENCRYPTION) != 0;
}

/* The keys of the two ends differ, on a dialect that has no pre-authentication hash. */
bool find_S04(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool left = left_after_session(facts), refused = first_signed_refused(facts);

    if (!facts->below_311 || !negotiation_unaltered(inquiry) || (!left && !refused))
        return false;
    finding->explains_end = true;
    finding->confidence = inquiry->comparison != NULL ? CONFIDENCE_LIKELY : CONFIDENCE_POSSIBLE;
    if (left && !refused)
        finding_say(
            finding,
            "The server accepted the logon (packet %llu) and the client closed at once (packet %llu) without "
            "connecting "
            "to a share: it found the answer's signature wrong. The ends have different keys or algorithms%s.",
            (unsigned long long)facts->session->response_packet, (unsigned long long)facts->closing->packet,
            inquiry->comparison != NULL
                ? ""
                : "; a NEGOTIATE response whose dialect was altered on the way (M02) does that");
    if (left && !refused && (negotiate_of(inquiry)->request.security_mode & 2) != 0 &&
        (negotiate_of(inquiry)->request.capabilities & SMB2_GLOBAL_CAP_ENCRYPTION) != 0 &&
        !encryption_offered(inquiry))
        finding_say(finding, " Or the client demands encryption, which was not negotiated (E01).");
    else
        finding_say(finding,
                    "The first signed request was refused with ACCESS_DENIED (packet %llu) although the logon had "
                    "succeeded: the "
                    "ends have different keys or algorithms%s.",
                    (unsigned long long)facts->evidence->traffic.first_denied_packet,
                    inquiry->comparison != NULL ? "" : "; a dialect altered on the way (M01, M02) does that, too");
    negotiate_packets(inquiry, finding);
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, facts->closing != NULL ? facts->closing->packet : 0);
    if (inquiry->comparison != NULL)
        finding_rule_out(finding, CAUSE_M02, "NEGOTIATE and SESSION_SETUP are the same at both ends");
    finding_rule_out(finding, CAUSE_G01, "the session is neither guest nor anonymous");
    finding_rule_out(finding, CAUSE_A01, "the server accepted the logon");
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_CHECK_KEYS);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    return true;
}

bool find_S09(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (!facts->keyed || !facts->dialect_known || facts->session->response_signed ||
        !logon_answer_unaltered(inquiry) || facts->session->response_cut || facts->session->reauthentication ||
        facts->session->has_response == false || facts->encrypted)
        return false;
    if (negotiate_of(inquiry)->dialect < SMB2_DIALECT_300)
        return false;
    finding->explains_end = facts->stage == STAGE_SESSION && facts->closer == CLOSER_CLIENT;
    finding->severity = finding->explains_end ? SEVERITY_PROBLEM : SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "The final SESSION_SETUP response (packet %llu) is not signed although a user logged on; "
                         "[MS-SMB2] 3.3.5.5.3 demands it%s.",
                (unsigned long long)facts->session->response_packet,
                negotiate_of(inquiry)->dialect == SMB2_DIALECT_311 ? ", and on 3.1.1 the client has to refuse" : "");
    finding_packet(finding, facts->session->response_packet);
    finding_rule_out(finding, CAUSE_G01, "the session is neither guest nor anonymous");
    finding_remedy(finding, REMEDY_FIX_SERVER_SIGNING);
    if (inquiry->comparison == NULL)
        finding_remedy(finding, REMEDY_BOTH_ENDS); /* was it signed when it left the server? */
    return true;
}

bool find_P01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct company *company = inquiry->company;

    if (negotiate_of(inquiry)->dialect != SMB2_DIALECT_311 || !negotiation_unaltered(inquiry) ||
        (!left_after_session(facts) && !first_signed_refused(facts)))
        return false;
    finding->confidence = CONFIDENCE_POSSIBLE;
    if (inquiry->comparison != NULL) {
        finding->explains_end = true;
        finding_say(finding,
                    "The negotiation reached both ends unaltered, yet their keys differ: one of them computes the "
                    "pre-authentication hash over the wrong messages, or another session key (S04).");
        negotiate_packets(inquiry, finding);
        finding_packet(finding, facts->session->response_packet);
        finding_packet(finding, facts->closing != NULL ? facts->closing->packet : 0);
        finding_rule_out(finding, CAUSE_M03, "NEGOTIATE and SESSION_SETUP are the same at both ends");
        finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
        finding_remedy(finding, REMEDY_CHECK_KEYS);
        return true;
    }
    if (company->preauth_total < 2 || company->preauth_failed < company->preauth_total ||
        company->lower_dialect_fine == 0)
        return false;
    finding_say(finding,
                "All %u connections of this client on SMB 3.1.1 fail so, while %u on lower dialects work: one of the two ends may "
                "compute the pre-authentication hash over the wrong messages.",
                company->preauth_total, company->lower_dialect_fine);
    negotiate_packets(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
    return true;
}

bool find_P02(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    uint32_t padding;

    if (negotiate_of(inquiry)->dialect != SMB2_DIALECT_311 || !negotiation_unaltered(inquiry) ||
        (!left_after_session(facts) && !first_signed_refused(facts)))
        return false;
    padding = negotiate_padding(inquiry->evidence);
    if (padding == 0)
        return false;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "A NEGOTIATE message ends with %u octets of padding behind its last context. They belong to the pre-authentication "
                "hash; an end that leaves them out gets other keys.",
                padding);
    negotiate_packets(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
    return true;
}

bool find_P03(const struct inquiry *inquiry, struct finding *finding) {
    const struct evidence *evidence = inquiry->evidence;
    const struct session_evidence *first = &evidence->sessions[0];

    if (negotiate_of(inquiry)->dialect != SMB2_DIALECT_311 || evidence->sessions_count < 2 || !first->success ||
        evidence->traffic.first_good_signed_packet == 0)
        return false;
    for (uint32_t i = 1; i < evidence->sessions_count; i++) {
        const struct session_evidence *session = &evidence->sessions[i];

        if (!session->success || session->ntlm.anonymous || (session->flags & 3) ||
            inquiry->facts->closer != CLOSER_CLIENT || inquiry->facts->quiet_ns > AT_ONCE_NS ||
            evidence->traffic.last_message_packet[FROM_SERVER] != session->response_packet)
            continue;
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_POSSIBLE;
        finding_say(finding,
                    "The first session on this connection works; the client closed right after a later one was accepted "
                    "(packet %llu). Each session's hash has to start from the connection's own value.",
                    (unsigned long long)session->response_packet);
        finding_packet(finding, first->response_packet);
        finding_packet(finding, session->response_packet);
        finding_remedy(finding, REMEDY_FIX_NEGOTIATE);
        return true;
    }
    return false;
}

bool find_X04(const struct inquiry *inquiry, struct finding *finding) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    bool accepted = negotiate->smb1_answer_is_smb1 && negotiate->smb1_dialect_index != 0xffff;

    if (!accepted || inquiry->evidence->traffic.smb1_messages <= 2)
        return false;
    finding->severity = SEVERITY_EXPOSURE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "This connection uses SMB 1 (packet %llu): nothing protects its negotiation.",
                (unsigned long long)negotiate->smb1_response_packet);
    finding_packet(finding, negotiate->smb1_request_packet);
    finding_packet(finding, negotiate->smb1_response_packet);
    finding_remedy(finding, REMEDY_UPGRADE_SMB1_SERVER);
    return true;
}
