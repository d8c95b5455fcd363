/* Family M: something between the ends. From one capture the most that can be said is "likely". */
#include "explain/rules.h"

#include <stdio.h>
#include <string.h>

/* An answer to VALIDATE that did not come for so long did not come. */
#define SILENCE_NS 1000000000u
/* Nor one to another request, or to those that open a connection where the client leaves. */
#define PATIENCE_NS 10000000000u
#define OPENING_PATIENCE_NS 2000000000u

static const struct negotiate_evidence *negotiate_of(const struct inquiry *inquiry) {
    return &inquiry->evidence->negotiate;
}

/* As the client saw it, or where its capture lacks the answer, as the server gave it. */
static bool agreed_311(const struct inquiry *inquiry) {
    uint16_t dialect = negotiate_of(inquiry)->dialect;

    return (dialect == 0 && inquiry->far != NULL ? inquiry->far->negotiate.dialect : dialect) == SMB2_DIALECT_311;
}

/* The request that was answered, be it of SMB 2 or a multi-protocol one of SMB 1. */
static uint64_t request_packet(const struct evidence *evidence) {
    return evidence->negotiate.request.packet != 0 ? evidence->negotiate.request.packet
                                                   : evidence->negotiate.smb1_request_packet;
}

static void copy_fields(const struct comparison *comparison, const char *message,
                        struct finding *finding) {
    for (unsigned i = 0; i < comparison->fields_count; i++)
        if (strcmp(comparison->fields[i].message, message) == 0)
            *finding_field(finding, message, comparison->fields[i].field) = comparison->fields[i];
}

static void name_changed_fields(struct finding *finding) {
    for (unsigned i = 0; i < finding->fields_count; i++)
        finding_say(finding, "%s%s", i == 0 ? " Changed: " : ", ", finding->fields[i].field);
    if (finding->fields_count > 0)
        finding_say(finding, ".");
}

static void say_how_it_ended(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (facts->stage == STAGE_WORK || facts->closer == CLOSER_NONE) {
        finding_say(finding, " Nobody noticed, and the connection went on.");
        return;
    }
    finding->explains_end = true;
    finding_say(finding, " %s closed the connection (packet %llu, %s).",
                facts->closer == CLOSER_CLIENT ? "The client" : "The server",
                (unsigned long long)facts->closing->packet, ending_text(facts));
}

/* Both sides are at hand and NEGOTIATE differs: proven. */
static bool altered_proven(const struct inquiry *inquiry, struct finding *finding, bool request) {
    const struct comparison *comparison = inquiry->comparison;
    uint64_t near = request ? request_packet(inquiry->evidence) : negotiate_of(inquiry)->response.packet;

    if (!(request ? comparison->negotiate_request_altered : comparison->negotiate_response_altered))
        return false;
    finding->confidence = CONFIDENCE_CERTAIN;
    copy_fields(comparison, request ? "NEGOTIATE request" : "NEGOTIATE response", finding);
    finding_say(
        finding,
        request ? "The NEGOTIATE request that the client sent (packet %llu) is not the one that reached "
                  "the server (packet %llu of its capture): it was altered between the two captures."
                : "The NEGOTIATE response that reached the client (packet %llu) is not the one that the "
                  "server sent (packet %llu of its capture): it was altered between the two captures.",
        (unsigned long long)near,
        (unsigned long long)(request ? request_packet(inquiry->far) : inquiry->far->negotiate.response.packet));
    name_changed_fields(finding);
    say_how_it_ended(inquiry, finding);
    finding_packet(finding, near);
    packets_of_validation(inquiry, finding);
    finding_rule_out(finding, request ? CAUSE_V05 : CAUSE_V04,
                     "the two captures show two different NEGOTIATE messages for one connection");
    remedies_for_alteration(inquiry, finding);
    return true;
}

/* VALIDATE was sent and the server closed instead of answering. */
static bool server_closed_on_validate(const struct facts *facts) {
    return facts->stage == STAGE_VALIDATE_SENT && facts->closer == CLOSER_SERVER;
}

static void rule_out_for_request(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (facts->ending == ENDING_RST && facts->forgery.weight == 0)
        finding_rule_out(finding, CAUSE_M05, "the reset has the TTL, MAC and sequence number of the server's other packets");
    if (facts->ending == ENDING_FIN)
        finding_rule_out(finding, CAUSE_M05, "an orderly FIN with the server's TTL and the next sequence number");
    if (facts->validation->request_signed)
        finding_rule_out(finding, CAUSE_V08, "the VALIDATE request is signed");
    if (facts->validated->request_comparable && facts->validated->request_differs == 0)
        finding_rule_out(finding, CAUSE_V05, "VALIDATE repeats the NEGOTIATE request of this capture in all four fields");
    if (facts->keyed)
        finding_rule_out(finding, CAUSE_A01, "authentication succeeded (packet %llu)",
                         (unsigned long long)facts->session->response_packet);
}

static bool request_differs_here(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool answered = facts->asked->response_packet != 0;
    char words[80];

    if (inquiry->vantage.place == PLACE_CLIENT)
        return false; /* V05 */
    finding->confidence =
        inquiry->vantage.place == PLACE_SERVER && facts->asked->request_signed && !lists_what_it_implements(inquiry)
            ? CONFIDENCE_LIKELY
            : CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The NEGOTIATE request that arrived here (packet %llu) is not the one the client says it sent: its "
                "signed VALIDATE request (packet %llu) names other %s. It was altered on the way to the server%s.",
                (unsigned long long)negotiate_of(inquiry)->request.packet,
                (unsigned long long)facts->asked->request_packet,
                field_words(facts->asked_differs, false, words, sizeof words),
                inquiry->vantage.place == PLACE_SERVER ? "" : ", or the client contradicts itself (V05)");
    if (answered && facts->asked->status == STATUS_SUCCESS)
        finding_say(finding, " The server answered all the same, so nobody noticed.");
    else if (answered)
        finding_say(finding, " The server answered with a signed error instead of closing: a downgrade that went unnoticed%s.",
                    facts->stage == STAGE_WORK ? "" : " by it");
    else if (facts->closer == CLOSER_SERVER)
        finding_say(finding, " The server closed the connection (packet %llu), as it must.",
                    (unsigned long long)facts->closing->packet);
    finding->explains_end = facts->closer == CLOSER_SERVER;
    name_request_fields(inquiry, finding, facts->asked_differs);
    finding_packet(finding, negotiate_of(inquiry)->request.packet);
    packets_of_validation(inquiry, finding);
    remedies_for_alteration(inquiry, finding);
    return true;
}

/* The server chose 2.0.2 right from the SMB 1 NEGOTIATE: there is no SMB 2 request to compare VALIDATE with. */
static bool chosen_in_smb1(const struct inquiry *inquiry) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);

    return negotiate->smb1_request_packet != 0 && negotiate->requests == 0 && negotiate->dialect == SMB2_DIALECT_202;
}

/* The list of strings that arrived here says less than the client claims: it had "SMB 2.???", which stands for 2.1
 * and later ([MS-SMB2] 3.2.4.2.2.1). */
static bool smb1_list_cut(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = facts->validation;
    bool claims_more = false;

    if (validation == NULL || !validation->request_decoded || !chosen_in_smb1(inquiry) ||
        negotiate_of(inquiry)->smb1_offers_wildcard || negotiate_of(inquiry)->smb1_request_cut)
        return false;
    for (unsigned i = 0; i < validation->dialects_kept; i++)
        claims_more |= validation->dialects[i] > SMB2_DIALECT_202;
    if (!claims_more)
        return false;
    finding->explains_end = facts->closer == CLOSER_SERVER;
    finding->confidence = at_server(inquiry) && validation->request_signed ? CONFIDENCE_LIKELY : CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The SMB 1 NEGOTIATE that arrived here (packet %llu) offers no dialect above 2.0.2, but the client "
                "claims in its VALIDATE "
                "request (packet %llu) to have offered more: the list was cut on the way to the server.",
                (unsigned long long)negotiate_of(inquiry)->smb1_request_packet,
                (unsigned long long)validation->request_packet);
    finding_packet(finding, negotiate_of(inquiry)->smb1_request_packet);
    packets_of_validation(inquiry, finding);
    remedies_for_alteration(inquiry, finding);
    return true;
}

bool find_M01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (inquiry->comparison != NULL && inquiry->comparison->requests_compared)
        return !agreed_311(inquiry) && altered_proven(inquiry, finding, true);
    if (facts->asked != NULL)
        return request_differs_here(inquiry, finding);
    if (smb1_list_cut(inquiry, finding))
        return true;
    if (!server_closed_on_validate(facts) || !(facts->validated->request_comparable || chosen_in_smb1(inquiry)) ||
        inquiry->vantage.place == PLACE_SERVER || facts->told != NULL || validate_request_at_fault(facts) ||
        facts->closing->sequence_distance > 0 || /* octets in front of the FIN are missing: it may have answered */
        facts->quiet_ns >= AT_ONCE_NS)           /* a mismatch is noticed at once; see validate_swallowed() */
        return false;
    finding->explains_end = true;
    finding->confidence = facts->forgery.weight == 0 && facts->keyed && !facts->lossy && place_known(inquiry)
                              ? CONFIDENCE_LIKELY
                              : CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The server closed the connection (packet %llu, %s, %.1f ms after the %sVALIDATE request, packet "
                "%llu) instead of answering. A server must do that when the NEGOTIATE request it received is not "
                "the one the client now claims to have sent: it was altered on the way.",
                (unsigned long long)facts->closing->packet, ending_text(facts), seconds(facts->quiet_ns) * 1000.0,
                facts->validation->request_signed ? "signed " : "",
                (unsigned long long)facts->validation->request_packet);
    finding_packet(finding, request_packet(inquiry->evidence));
    packets_of_validation(inquiry, finding);
    finding_packet(finding, facts->closing->packet);
    rule_out_for_request(inquiry, finding);
    remedies_for_alteration(inquiry, finding);
    return true;
}

/* To an SMB 1 NEGOTIATE a server answers in SMB 2 with 2.0.2 or 0x02FF, nothing else ([MS-SMB2] 3.3.5.3); and to
 * 0x02FF a client sends another NEGOTIATE. */
static bool wrong_answer_to_smb1(const struct inquiry *inquiry, struct finding *finding) {
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    bool skipped = negotiate->dialect == SMB2_DIALECT_WILDCARD && inquiry->evidence->sessions_count > 0 &&
                   inquiry->vantage.place != PLACE_CLIENT;
    bool impossible = negotiate->dialect != 0 && negotiate->dialect != SMB2_DIALECT_WILDCARD &&
                      negotiate->dialect != SMB2_DIALECT_202;

    if (negotiate->smb1_request_packet == 0 || negotiate->requests > 0 || negotiate->response.packet == 0 ||
        inquiry->facts->lossy || inquiry->facts->one_way || (!skipped && !impossible))
        return false;
    finding->explains_end = inquiry->facts->closer != CLOSER_NONE;
    finding->confidence = impossible ? CONFIDENCE_LIKELY : CONFIDENCE_POSSIBLE;
    if (impossible)
        finding_say(finding,
                    "The SMB 1 NEGOTIATE (packet %llu) was answered with dialect 0x%04x (packet %llu); a server may "
                    "choose only 2.0.2 "
                    "or 0x02ff there: the answer was altered on the way.",
                    (unsigned long long)negotiate->smb1_request_packet, negotiate->dialect,
                    (unsigned long long)negotiate->response.packet);
    else
        finding_say(finding,
                    "The server asked for an SMB 2 NEGOTIATE (0x02ff, packet %llu), and the client went on without "
                    "one: another answer "
                    "may have reached it, altered behind this place, or the client is broken (D04).",
                    (unsigned long long)negotiate->response.packet);
    finding_packet(finding, negotiate->smb1_request_packet);
    finding_packet(finding, negotiate->response.packet);
    if (impossible)
        snprintf(finding_field(finding, "NEGOTIATE response", "DialectRevision")->arrived, VALUE_TEXT_MAX, "0x%04x",
                 negotiate->dialect);
    remedies_for_alteration(inquiry, finding);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

/* The server's own VALIDATE answer contradicts the NEGOTIATE response that arrived. */
static bool response_contradicted(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);
    char words[80];

    if (at_server(inquiry) && place_known(inquiry))
        return false; /* V04 */
    finding->explains_end = facts->closer == CLOSER_CLIENT;
    finding->confidence = !facts->told->response_signed ? CONFIDENCE_POSSIBLE : CONFIDENCE_LIKELY;
    finding_say(finding,
                "The NEGOTIATE response that arrived here (packet %llu) is not the one the server says it sent: "
                "its %s VALIDATE answer (packet %llu) names other %s. It was altered on the way to the client%s.",
                (unsigned long long)negotiate->response.packet,
                facts->told->response_signed ? "signed" : "(unsigned)",
                (unsigned long long)facts->told->response_packet,
                field_words(facts->told_differs, true, words, sizeof words),
                facts->closer == CLOSER_CLIENT ? ", and the client closed the connection" : "; the client did not mind");
    name_response_fields(inquiry, finding, facts->told_differs);
    finding_packet(finding, negotiate->response.packet);
    finding_packet(finding, facts->told->request_packet);
    finding_packet(finding, facts->told->response_packet);
    if (facts->closing != NULL)
        finding_packet(finding, facts->closing->packet);
    if (facts->told->response_signed) {
        finding_rule_out(finding, CAUSE_V01, "the VALIDATE answer is signed");
        finding_rule_out(finding, CAUSE_M04,
                         "not ruled out: without the session's key nobody sees whether that signature fits");
    }
    remedies_for_alteration(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_SERVER);
    return true;
}

/* The client left a good VALIDATE answer at once, as if another NEGOTIATE response had reached it. */
static bool response_rejected(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (!gave_up_after_validation(facts) || facts->validated->result != VALIDATION_VALID ||
        !facts->validated->response_comparable || inquiry->vantage.place == PLACE_CLIENT ||
        inquiry->comparison != NULL || only_looked_in(inquiry))
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The server's VALIDATE answer (packet %llu) is signed and repeats the NEGOTIATE response seen here, yet the "
                "client closed the connection at once. A client must do that when another NEGOTIATE response than this one "
                "reached it: it was altered behind this place, on the way to the client.",
                (unsigned long long)facts->validation->response_packet);
    finding_packet(finding, negotiate_of(inquiry)->response.packet);
    packets_of_validation(inquiry, finding);
    finding_rule_out(finding, CAUSE_V04, "the answer repeats the NEGOTIATE response of this capture in all four fields");
    finding_rule_out(finding, CAUSE_V01, "the answer carries a signature");
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    remedies_for_alteration(inquiry, finding);
    return true;
}

/* The dialect that was chosen is one that nobody offered: caught before authentication. */
static bool dialect_not_offered(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = negotiate_of(inquiry);

    if (negotiate->dialect == 0 || !negotiate->request.decoded || negotiate->dialect_count == 0)
        return false;
    for (unsigned i = 0; i < negotiate->dialect_count; i++)
        if (negotiate->dialects[i] == negotiate->dialect)
            return false;
    if (negotiate->response.time_ns < negotiate->request.time_ns ||
        (negotiate->dialect == SMB2_DIALECT_WILDCARD && facts->lossy))
        return false; /* the answer to an SMB 1 NEGOTIATE; the one to this request is missing */
    finding->explains_end = !facts->authenticated;
    finding->severity = facts->authenticated ? SEVERITY_FINDING_NOTE : SEVERITY_PROBLEM;
    finding->confidence = facts->authenticated ? CONFIDENCE_POSSIBLE : CONFIDENCE_LIKELY;
    finding_say(finding,
                "The NEGOTIATE response (packet %llu) chooses dialect 0x%04x, which the client did not offer "
                "(packet %llu). No sound server does that: the response was altered on the way, or the server is "
                "broken (V04). %s",
                (unsigned long long)negotiate->response.packet, negotiate->dialect,
                (unsigned long long)negotiate->request.packet,
                facts->authenticated ? "The client has to close, but this one went on and logged on."
                                     : "The client has to close.");
    finding_packet(finding, negotiate->request.packet);
    finding_packet(finding, negotiate->response.packet);
    snprintf(finding_field(finding, "NEGOTIATE response", "DialectRevision")->arrived, VALUE_TEXT_MAX, "0x%04x",
             negotiate->dialect);
    remedies_for_alteration(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_SERVER);
    return true;
}

bool find_M02(const struct inquiry *inquiry, struct finding *finding) {
    if (inquiry->comparison != NULL && inquiry->comparison->responses_compared)
        return !agreed_311(inquiry) && altered_proven(inquiry, finding, false);
    if (inquiry->facts->told != NULL)
        return response_contradicted(inquiry, finding);
    return response_rejected(inquiry, finding) || wrong_answer_to_smb1(inquiry, finding) ||
           dialect_not_offered(inquiry, finding);
}

bool missed_before_close(const struct facts *facts) {
    return facts->lossy || facts->one_way || (facts->closing != NULL && facts->closing->sequence_distance > 0);
}

/* 3.1.1, or keys that differ: the client leaves right after the final SESSION_SETUP response. */
bool left_after_session(const struct facts *facts) {
    return facts->stage == STAGE_SESSION && facts->closer == CLOSER_CLIENT && facts->keyed &&
           !facts->session->binding && facts->quiet_ns < AT_ONCE_NS && !facts->encrypted &&
           !missed_before_close(facts) &&
           (facts->session->logoff_response_packet == 0 || facts->session->logoff_status == STATUS_ACCESS_DENIED);
}

/* The first message under the new key was refused. */
bool first_signed_refused(const struct facts *facts) {
    const struct traffic_evidence *traffic = &facts->evidence->traffic;

    return facts->keyed && traffic->first_good_signed_packet == 0 &&
           ((traffic->first_denied_packet != 0 && traffic->first_denied_command == SMB2_TREE_CONNECT) ||
            (facts->session->logoff_packet != 0 && facts->session->logoff_status == STATUS_ACCESS_DENIED &&
             facts->evidence->trees_count == 0));
}

static bool preauth_proven(const struct inquiry *inquiry, struct finding *finding) {
    const struct comparison *comparison = inquiry->comparison;
    bool found = altered_proven(inquiry, finding, true);
    struct finding other = {.cause = CAUSE_M03};

    if (altered_proven(inquiry, &other, false)) {
        if (!found)
            *finding = other;
        else
            copy_fields(comparison, "NEGOTIATE response", finding);
        found = true;
    }
    for (unsigned i = 0; i < comparison->changes_count && !found; i++) {
        const struct change *change = &comparison->changes[i];

        if (change->near.command != SMB2_SESSION_SETUP || change->kind != CHANGE_ALTERED)
            continue;
        finding->confidence = CONFIDENCE_CERTAIN;
        finding_say(finding,
                    "A SESSION_SETUP message differs between the two captures (packet %llu here, %llu there): %s.",
                    (unsigned long long)change->near.packet, (unsigned long long)change->far.packet,
                    change->far.from == FROM_SERVER && change->far.status == STATUS_SUCCESS
                        ? "its own signature cannot fit any more"
                        : "on SMB 3.1.1 the keys of the two ends differ then, and no signature fits");
        finding_packet(finding, change->near.packet);
        say_how_it_ended(inquiry, finding);
        remedies_for_alteration(inquiry, finding);
        found = true;
    }
    return found;
}

/* The server closed on the first encrypted message: it could not open it. */
static bool first_encrypted_refused(const struct facts *facts) {
    const struct traffic_evidence *traffic = &facts->evidence->traffic;

    return facts->keyed && traffic->encrypted[FROM_CLIENT] == 1 && traffic->encrypted[FROM_SERVER] == 0 &&
           facts->evidence->trees_count == 0 && facts->closer == CLOSER_SERVER && facts->quiet_ns < AT_ONCE_NS &&
           !missed_before_close(facts);
}

bool find_M03(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool left = left_after_session(facts), refused = first_signed_refused(facts);
    bool unopened = first_encrypted_refused(facts);

    if (!agreed_311(inquiry))
        return false;
    if (inquiry->comparison != NULL && inquiry->comparison->comparable)
        return preauth_proven(inquiry, finding);
    if (!left && !refused && !unopened)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    if (unopened)
        finding_say(finding,
                    "The server closed the connection (packet %llu) on the very first encrypted message (packet %llu) "
                    "although the logon had succeeded: it could not decrypt it (E04), so the two ends have different keys. "
                    "On SMB 3.1.1 that is what any alteration of NEGOTIATE or SESSION_SETUP on the way leads to.",
                    (unsigned long long)facts->closing->packet,
                    (unsigned long long)facts->evidence->traffic.first_encrypted_packet[FROM_CLIENT]);
    else if (left)
        finding_say(finding,
                    "The server accepted the logon (packet %llu) and the client closed at once (packet %llu) without "
                    "connecting to a share. On SMB 3.1.1 a client does that when the signature of this answer does not "
                    "fit, because some octet of NEGOTIATE or SESSION_SETUP was altered on the way.",
                    (unsigned long long)facts->session->response_packet,
                    (unsigned long long)facts->closing->packet);
    else
        finding_say(finding,
                    "The very first signed request (packet %llu) was refused with ACCESS_DENIED although the logon had "
                    "succeeded: the two ends have different keys. On SMB 3.1.1 that is what any alteration of "
                    "NEGOTIATE or SESSION_SETUP on the way leads to.",
                    (unsigned long long)facts->evidence->traffic.first_denied_packet);
    finding_packet(finding, negotiate_of(inquiry)->request.packet);
    finding_packet(finding, negotiate_of(inquiry)->response.packet);
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, facts->closing != NULL ? facts->closing->packet : 0);
    if (facts->session->response_signed)
        finding_rule_out(finding, CAUSE_S09, "the final SESSION_SETUP response is signed");
    finding_rule_out(finding, CAUSE_G01, "the session is neither guest nor anonymous");
    finding_rule_out(finding, CAUSE_A01, "the server accepted the logon");
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    finding_remedy(finding, REMEDY_CHECK_SERVER_EVENTS);
    finding_remedy(finding, REMEDY_CHECK_KEYS);
    return true;
}

/* What a box without the key rewrote: the VALIDATE answer before all, then the answer to the logon, then any other
 * message. Of NEGOTIATE and of a logon on 3.1.1 other rules speak. */
static const struct change *rewritten(const struct inquiry *inquiry) {
    const struct comparison *comparison = inquiry->comparison;
    bool preauth = agreed_311(inquiry);
    const struct change *found = NULL;

    for (unsigned i = 0; i < comparison->changes_count; i++) {
        const struct change *change = &comparison->changes[i];
        bool answer = change->near.validate && change->near.from == FROM_SERVER;

        if (answer && change->kind != CHANGE_DROPPED)
            return change;
        if (change->kind == CHANGE_ALTERED && found == NULL &&
            !(preauth && change->near.command == SMB2_SESSION_SETUP))
            found = change;
    }
    return found;
}

static const char *message_name(const struct log_entry *entry) {
    return entry->validate                     ? "VALIDATE"
           : entry->kind == MESSAGE_TRANSFORM ? "encrypted"
                                              : command_name(entry->command);
}

static bool answer_forged(const struct inquiry *inquiry, struct finding *finding) {
    const struct change *change = rewritten(inquiry);
    const char *name;
    bool by_server;

    if (change == NULL)
        return false;
    name = message_name(&change->near);
    by_server = change->near.from == FROM_SERVER;
    finding->explains_end = inquiry->facts->closer == (by_server ? CLOSER_CLIENT : CLOSER_SERVER) ||
                            (inquiry->facts->closer == CLOSER_CLIENT && claim_altered(inquiry));
    finding->confidence = CONFIDENCE_LIKELY; /* that it differs is certain; who did it is concluded */
    if (change->kind == CHANGE_ADDED)
        finding_say(finding,
                    "The VALIDATE answer that reached the client (packet %llu) was never sent by the server: a box on "
                    "the path answered in its place, without the key.",
                    (unsigned long long)change->near.packet);
    else
        finding_say(finding,
                    "The %s %s at the client (packet %llu) is not the one at the server (packet %llu of its "
                    "capture)%s: a box "
                    "on the path rewrote it without the key.",
                    name, by_server ? "answer" : "request", (unsigned long long)change->near.packet,
                    (unsigned long long)change->far.packet,
                    change->far.is_signed && !change->near.is_signed ? "; its signature was stripped" : "");
    finding_packet(finding, change->near.packet);
    packets_of_validation(inquiry, finding);
    if (change->near.validate && by_server)
        finding_rule_out(finding, CAUSE_V01, "the server's own answer is %s",
                         change->kind == CHANGE_ADDED ? "not in its capture"
                         : change->far.is_signed      ? "signed"
                                                      : "a different one");
    else if (change->near.validate)
        finding_rule_out(finding, CAUSE_V05,
                         "the two captures show two different VALIDATE requests for one connection");
    remedies_for_alteration(inquiry, finding);
    return true;
}

/* Did the server answer this VALIDATE at all, as its own capture shows? */
static bool answered_at_server(const struct evidence *far, const struct validation_evidence *validation) {
    for (uint32_t i = 0; i < far->validations_count; i++)
        if (far->validations[i].message_id == validation->message_id && far->validations[i].response_packet != 0)
            return true;
    return false;
}

/* The logon was signed by the server, and then, on a connection that the client gave up, the answer to a signed
 * TREE_CONNECT is not. */
static bool stripped_elsewhere(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct tree_evidence *tree = facts->tree;
    bool unsigned_tree =
        facts->stage == STAGE_TREE && tree->request_signed && !tree->response_signed && !tree->response_cut;

    if (!unsigned_tree || facts->closer != CLOSER_CLIENT || facts->quiet_ns >= AT_ONCE_NS ||
        missed_before_close(facts))
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding,
                "The server signed the final SESSION_SETUP response (packet %llu), so it has the key and can sign; "
                "yet the answer to "
                "the signed TREE_CONNECT (packet %llu) is not signed, and the client closed the connection. A box on "
                "the path that "
                "has no key answered itself, or stripped the signature.",
                (unsigned long long)facts->session->response_packet, (unsigned long long)tree->response_packet);
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, tree->request_packet);
    finding_packet(finding, tree->response_packet);
    finding_packet(finding, facts->closing->packet);
    finding_rule_out(finding, CAUSE_S01, "a server that cannot sign would not have signed SESSION_SETUP either");
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    remedies_for_alteration(inquiry, finding);
    return true;
}

/* What a server says of a signature that does not fit its keys (3.3.5.2.4); it need not sign that. */
static bool denies_signature(const struct validation_evidence *validation) {
    return !validation->response_signed && validation->status == STATUS_ACCESS_DENIED;
}

bool find_M04(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = NULL;

    if (inquiry->comparison != NULL && answer_forged(inquiry, finding))
        return true;
    if (!facts->keyed || !facts->session->response_signed || facts->session->signature_zero)
        return false;
    for (uint32_t i = 0; i < facts->evidence->validations_count && validation == NULL; i++) {
        const struct validation_evidence *one = &facts->evidence->validations[i];

        if (one->request_packet != 0 && one->response_packet != 0 &&
            (facts->validations[i].result == VALIDATION_UNSIGNED || one->signature_zero || one->signature_copied))
            validation = one;
    }
    if (validation == NULL && inquiry->far == NULL)
        return stripped_elsewhere(inquiry, finding);
    if (validation == NULL || (inquiry->far != NULL && answered_at_server(inquiry->far, validation)))
        return false;
    finding->explains_end = facts->closer == CLOSER_CLIENT;
    finding->confidence = denies_signature(validation) ? CONFIDENCE_POSSIBLE : CONFIDENCE_LIKELY;
    finding_say(finding,
                "The server signed the final SESSION_SETUP response (packet %llu), so it has the key and can sign; yet "
                "the VALIDATE answer (packet %llu) %s. A box on the path that has no key answered itself, or "
                "stripped the signature.%s",
                (unsigned long long)facts->session->response_packet,
                (unsigned long long)validation->response_packet,
                !validation->response_signed   ? "is not signed"
                : validation->signature_copied ? "bears a copy of the request's signature"
                                               : "bears a signature of zeros",
                denies_signature(validation)
                    ? " But a server that has other keys than the client says the same, as where NEGOTIATE was altered "
                      "on the way and each end believes in another dialect (M02)."
                    : "");
    finding_packet(finding, facts->session->response_packet);
    finding_packet(finding, validation->request_packet);
    finding_packet(finding, validation->response_packet);
    finding_rule_out(finding, CAUSE_V01, "a server that cannot sign would not have signed SESSION_SETUP either");
    remedies_for_alteration(inquiry, finding);
    return true;
}

static void say_forgery(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct forgery *forgery = &facts->forgery;
    const struct tcp_side *side = &facts->evidence->tcp[facts->closing_from];

    bool certain = facts->closer == CLOSER_INJECTED;

    finding_say(finding, "The %s (packet %llu) bears the address of the %s but %s:", ending_text(facts),
                (unsigned long long)facts->closing->packet, facts->closing_from == FROM_CLIENT ? "client" : "server",
                certain ? "was sent by neither end" : "does not look like its own in one respect");
    if (forgery->other_distance)
        finding_say(finding, " its TTL is %u where that end's other packets have %u (%u hops away instead of %u);",
                    facts->closing->ttl, side->ttl, ttl_hops(facts->closing->ttl), ttl_hops(side->ttl));
    if (forgery->other_mac)
        finding_say(finding, " it comes from another MAC address;");
    if (forgery->still_talking)
        finding_say(finding, " that end went on sending afterwards (packet %llu);",
                    (unsigned long long)side->last_data_packet);
    if (forgery->out_of_place)
        finding_say(finding, " its sequence number is %lld octets off;",
                    (long long)facts->closing->sequence_distance);
    if (forgery->odd_ip_id)
        finding_say(finding, " its IP id 0x%04x does not follow that end's others;", facts->closing->ip_id);
    if (forgery->too_soon)
        finding_say(finding,
                    " it came %.1f ms after what it acknowledges, where that end never took less than %.1f ms;",
                    seconds(facts->closing->reaction_ns) * 1000.0, seconds(side->least_reaction_ns) * 1000.0);
    finding_say(finding, " a device on the path %s %s.", certain ? "injected it" : "may have injected it",
                stage_text(facts->stage));
}

/* One sign of forgery only, where a reset would be the server's answer to VALIDATE as well. */
static bool reset_in_doubt(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (facts->stage != STAGE_VALIDATE_SENT || facts->closer != CLOSER_SERVER || facts->ending != ENDING_RST ||
        facts->forgery.weight == 0)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    say_forgery(inquiry, finding);
    packets_of_validation(inquiry, finding);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_EXEMPT_IN_BOX);
    return true;
}

static void say_what_differs(const struct inquiry *inquiry, const struct change *change,
                             struct finding *finding) {
    const struct log_entry *entry = change->near.packet != 0 ? &change->near : &change->far;
    bool at_near = change->near.packet != 0;

    finding_say(finding, "The %s %s (packet %llu of the %s's capture) %s:", message_name(entry),
                entry->from == FROM_CLIENT ? "request" : "response", (unsigned long long)entry->packet,
                at_near ? "client" : "server",
                change->kind == CHANGE_DROPPED ? "never reached the other end" : "was never sent by the other end");
    finding_say(finding, " a device on the path %s it.",
                change->kind == CHANGE_DROPPED ? "swallowed" : "invented");
    if (at_near)
        finding_packet(finding, entry->packet);
    if (inquiry->facts->closing != NULL)
        finding_packet(finding, inquiry->facts->closing->packet);
}

static bool dropped_between(const struct inquiry *inquiry, struct finding *finding) {
    const struct comparison *comparison = inquiry->comparison;
    const struct change *change = NULL;

    if (comparison->negotiate_request_altered || comparison->negotiate_response_altered)
        return false; /* what follows an alteration follows from it */
    for (unsigned i = 0; i < comparison->changes_count && change == NULL; i++)
        if (comparison->changes[i].kind != CHANGE_ALTERED)
            change = &comparison->changes[i];
    if (comparison->close_not_sent_by_server || comparison->close_not_sent_by_client) {
        finding_say(finding, "The %s saw the connection closed by the %s (packet %llu%s), but the %s did no such "
                             "thing before it was itself told that the connection is over: a device on the path closed it.",
                    comparison->close_not_sent_by_server ? "client" : "server",
                    comparison->close_not_sent_by_server ? "server" : "client",
                    (unsigned long long)(comparison->close_not_sent_by_server ? comparison->close_near_packet
                                                                              : comparison->close_far_packet),
                    comparison->close_not_sent_by_server ? "" : " of the server's capture",
                    comparison->close_not_sent_by_server ? "server" : "client");
        if (comparison->close_not_sent_by_server)
            finding_packet(finding, comparison->close_near_packet);
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_LIKELY; /* what a capture lacks it may have lost */
    } else if (change != NULL) {
        say_what_differs(inquiry, change, finding);
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_LIKELY; /* what a capture lacks it may have lost */
    } else {
        return false;
    }
    packets_of_validation(inquiry, finding);
    finding_rule_out(finding, CAUSE_M01, "NEGOTIATE is the same at both ends");
    finding_remedy(finding, REMEDY_EXEMPT_IN_BOX);
    finding_remedy(finding, REMEDY_USE_311);
    return true;
}

/* The server has long answered what the client asked later. */
static bool answer_passed_over(const struct facts *facts) {
    return facts->stage == STAGE_WORK && facts->validation != NULL && !facts->encrypted &&
           facts->validated->result == VALIDATION_UNANSWERED &&
           facts->evidence->traffic.last_message_time_ns[FROM_SERVER] >= facts->validation->request_time_ns + SILENCE_NS;
}

/* VALIDATE was sent, acknowledged or not, and nothing came. */
static bool validate_swallowed(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool waited = facts->closer == CLOSER_NONE ||
                  (facts->closer == CLOSER_CLIENT && facts->quiet_ns >= SILENCE_NS) ||
                  (facts->closer == CLOSER_SERVER && facts->quiet_ns >= AT_ONCE_NS);

    if (facts->lossy || facts->one_way || !((facts->stage == STAGE_VALIDATE_SENT && waited) || answer_passed_over(facts)))
        return false;
    if (facts->closer == CLOSER_NONE &&
        facts->evidence->last_time_ns - facts->validation->request_time_ns < SILENCE_NS)
        return false; /* the capture ends here: the answer may still come */
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The VALIDATE request (packet %llu) was never answered%s: a device on the path swallowed it or its "
                "answer, or the server hangs on it (V12, M09). A client must take silence for a failure.",
                (unsigned long long)facts->validation->request_packet,
                facts->evidence->tcp[FROM_SERVER].tail_retransmissions == 0 &&
                        facts->evidence->tcp[FROM_CLIENT].tail_retransmissions == 0
                    ? ", though TCP acknowledged it"
                    : "");
    packets_of_validation(inquiry, finding);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_EXEMPT_IN_BOX);
    finding_remedy(finding, REMEDY_SERVER_LOG);
    return true;
}

/* A reset in the middle of setting up that no rule of SMB explains. */
static bool reset_while_setting_up(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool in_setup = facts->stage == STAGE_NEGOTIATE_SENT || facts->stage == STAGE_SESSION_SENT ||
                    facts->stage == STAGE_TREE_SENT ||
                    (facts->quiet_ns < AT_ONCE_NS && (facts->stage == STAGE_NEGOTIATED ||
                                                      facts->stage == STAGE_SESSION || facts->stage == STAGE_TREE));

    if (facts->stage == STAGE_NEGOTIATE_SENT && negotiate_of(inquiry)->request.packet == 0)
        return false; /* a client of SMB 1 only: D03 */
    if (!in_setup || facts->ending != ENDING_RST || facts->closer != CLOSER_SERVER || missed_before_close(facts))
        return false;
    if (facts->evidence->tcp[FROM_CLIENT].tail_retransmissions > 0)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The connection was reset (packet %llu) %s. The reset looks like the server's own, but SMB gives a "
                "server no reason for it here: a device on the path that resets in its name, or a server that "
                "crashed or does not want this client.",
                (unsigned long long)facts->closing->packet, stage_text(facts->stage));
    finding_packet(finding, facts->evidence->traffic.last_message_packet[FROM_CLIENT]);
    finding_packet(finding, facts->closing->packet);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_EXEMPT_IN_BOX);
    finding_remedy(finding, REMEDY_SERVER_LOG);
    return true;
}

bool find_M05(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (inquiry->comparison != NULL)
        return dropped_between(inquiry, finding);
    if (facts->closer == CLOSER_INJECTED) {
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_LIKELY;
        say_forgery(inquiry, finding);
        packets_of_validation(inquiry, finding);
        finding_packet(finding, facts->closing->packet);
        if (facts->stage == STAGE_VALIDATE_SENT)
            finding_rule_out(finding, CAUSE_M01, "the server did not close the connection itself");
        finding_rule_out(finding, CAUSE_L05, "the closing packet is not the end's own");
        finding_remedy(finding, REMEDY_EXEMPT_IN_BOX);
        finding_remedy(finding, REMEDY_BOTH_ENDS);
        return true;
    }
    return reset_in_doubt(inquiry, finding) || validate_swallowed(inquiry, finding) ||
           reset_while_setting_up(inquiry, finding);
}

bool find_M06(const struct inquiry *inquiry, struct finding *finding) {
    const struct tcp_side *tcp = inquiry->evidence->tcp;

    if (!tcp[0].optimiser_option && !tcp[1].optimiser_option)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding, "TCP options 76 or 78 are on this connection: a WAN optimiser (Riverbed SteelHead and its like) "
                         "is on the path and sees its traffic.");
    finding_packet(finding, tcp[FROM_CLIENT].syn_packet);
    finding_packet(finding, tcp[FROM_SERVER].syn_packet);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    finding_remedy(finding, REMEDY_UPGRADE_BOX);
    return true;
}

bool find_M07(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool offers_smb2 = negotiate_of(inquiry)->request.packet != 0 || negotiate_of(inquiry)->smb1_offers_smb2;
    bool first_payload = facts->stage == STAGE_NEGOTIATE_SENT && facts->ending != ENDING_OPEN && offers_smb2;
    bool first_encrypted = facts->authenticated && facts->encrypted &&
                           facts->evidence->traffic.encrypted[FROM_SERVER] == 0 &&
                           facts->evidence->traffic.encrypted[FROM_CLIENT] == 1 &&
                           facts->closer == CLOSER_SERVER;

    if (inquiry->comparison != NULL || (!first_payload && !first_encrypted) ||
        facts->closer == CLOSER_CLIENT || facts->closer == CLOSER_INJECTED || facts->lossy)
        return false;
    if (first_payload && facts->ending == ENDING_RST)
        return false; /* told as M05 */
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The connection was closed (packet %llu) straight after the first %s: a proxy or firewall that does not "
                "know this kind of SMB does that, and so does a server that speaks only SMB 1 (D02).",
                (unsigned long long)facts->closing->packet,
                first_payload ? "NEGOTIATE request" : "encrypted message");
    finding_packet(finding, negotiate_of(inquiry)->request.packet);
    finding_packet(finding, facts->closing->packet);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool find_M08(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    bool lost = traffic->session_deleted_packet != 0 || facts->session->binding;

    if (inquiry->company->server_guids < 2 || !lost)
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "%u different servers (ServerGuid) answer under this one address, and this connection lost its "
                "session: a load balancer mixes nodes.",
                inquiry->company->server_guids);
    finding_packet(finding, negotiate_of(inquiry)->response.packet);
    finding_packet(finding, traffic->session_deleted_packet);
    finding_remedy(finding, REMEDY_LB_STICKY);
    finding_remedy(finding, REMEDY_NO_MULTICHANNEL);
    return true;
}

/* An answer that takes longer than this is none. Nothing holds up those to the first messages, so that a client that
 * leaves sooner has given up, too. */
static uint64_t patience_ns(const struct facts *facts) {
    bool opening = facts->stage == STAGE_NEGOTIATE_SENT || facts->stage == STAGE_SESSION_SENT ||
                   facts->stage == STAGE_TREE_SENT;

    return opening && facts->closer == CLOSER_CLIENT ? OPENING_PATIENCE_NS : PATIENCE_NS;
}

bool find_M09(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    const struct tcp_side *client = &inquiry->evidence->tcp[FROM_CLIENT];
    const struct tcp_side *server = &inquiry->evidence->tcp[FROM_SERVER];
    uint64_t end = facts->closing != NULL ? facts->closing->time_ns : inquiry->evidence->last_time_ns;

    if (inquiry->comparison != NULL || traffic->unanswered_packet == 0 ||
        traffic->last_message_packet[FROM_CLIENT] != traffic->unanswered_packet || facts->one_way || facts->lossy ||
        facts->stage == STAGE_VALIDATE_SENT || traffic->unanswered_command == SMB2_CHANGE_NOTIFY)
        return false;
    if (end < traffic->unanswered_time_ns || end - traffic->unanswered_time_ns < patience_ns(facts))
        return false;
    if (client->tail_retransmissions > 0 || server->last_time_ns < traffic->unanswered_time_ns)
        return false; /* not even acknowledged: T05 */
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The server acknowledged the %s request (packet %llu) over TCP but did not answer it for %.0f s: its SMB "
                "service hangs, is slow, or a filter driver holds it back (Windows event 30809).",
                command_name(traffic->unanswered_command), (unsigned long long)traffic->unanswered_packet,
                seconds(end - traffic->unanswered_time_ns));
    finding_packet(finding, traffic->unanswered_packet);
    finding_packet(finding, facts->closing != NULL ? facts->closing->packet : 0);
    finding_rule_out(finding, CAUSE_T05, "the request was acknowledged and not retransmitted");
    finding_remedy(finding, REMEDY_SERVER_SECURITY_PRODUCT);
    finding_remedy(finding, REMEDY_SERVER_LOG);
    return true;
}

/* What a change took away. */
struct loss {
    bool dialects; /* of SMB 3 */
    bool signing;  /* the demand for it */
    uint32_t capabilities;
};

/* Is a dialect of SMB 3 in the first list and not in the second? */
static bool loses_dialect(const uint16_t *sent, unsigned sent_count, const uint16_t *arrived, unsigned arrived_count) {
    for (unsigned i = 0; i < sent_count; i++) {
        bool kept = sent[i] < SMB2_DIALECT_300;

        for (unsigned j = 0; j < arrived_count; j++)
            kept |= arrived[j] == sent[i];
        if (!kept)
            return true;
    }
    return false;
}

static struct loss loss_between(const struct negotiate_evidence *client, const struct negotiate_evidence *server) {
    return (struct loss){
        .dialects = loses_dialect(client->dialects, client->dialect_count, server->dialects, server->dialect_count) ||
                    (client->dialect != 0 && client->dialect < server->dialect),
        .signing = (client->request.security_mode & ~server->request.security_mode & SMB2_SIGNING_REQUIRED) ||
                   (server->response.security_mode & ~client->response.security_mode & SMB2_SIGNING_REQUIRED),
        .capabilities = (client->request.capabilities & ~server->request.capabilities) |
                        (server->response.capabilities & ~client->response.capabilities),
    };
}

static struct loss loss_by_request(const struct negotiate_evidence *seen, const struct validation_evidence *claim) {
    return (struct loss){
        .dialects = loses_dialect(claim->dialects, claim->dialects_kept, seen->dialects, seen->dialect_count),
        .signing = claim->request_security_mode & ~seen->request.security_mode & SMB2_SIGNING_REQUIRED,
        .capabilities = claim->request_capabilities & ~seen->request.capabilities,
    };
}

static struct loss loss_by_answer(const struct negotiate_evidence *seen, const struct validation_evidence *claim) {
    return (struct loss){
        .dialects = seen->dialect < claim->dialect,
        .signing = claim->response_security_mode & ~seen->response.security_mode & SMB2_SIGNING_REQUIRED,
        .capabilities = claim->response_capabilities & ~seen->response.capabilities,
    };
}

/* Names SMB 3, encryption and the demand for signing, as far as a change took them away; false: nothing of them. */
static bool removes_security(const struct inquiry *inquiry, char *what, size_t size) {
    const struct facts *facts = inquiry->facts;
    struct loss loss = {0};

    if (inquiry->comparison != NULL && inquiry->comparison->comparable)
        loss = loss_between(negotiate_of(inquiry), &inquiry->far->negotiate);
    else if (facts->asked != NULL)
        loss = loss_by_request(negotiate_of(inquiry), facts->asked);
    else if (facts->told != NULL)
        loss = loss_by_answer(negotiate_of(inquiry), facts->told);
    if (!loss.dialects && !loss.signing && !(loss.capabilities & SMB2_GLOBAL_CAP_ENCRYPTION))
        return false;
    snprintf(what, size, "%s%s%s", loss.dialects ? " newer dialects" : "",
             loss.capabilities & SMB2_GLOBAL_CAP_ENCRYPTION ? " encryption" : "",
             loss.signing ? " the demand for signing" : "");
    return true;
}

/* Names the packets of the alteration; a finding is large and does not live on the stack of those that need none. */
static __attribute__((noinline)) bool is_altered(const struct inquiry *inquiry, struct finding *finding) {
    struct finding altered;

    finding_clear(&altered, finding->cause);
    if (!find_M01(inquiry, &altered) && !find_M02(inquiry, &altered) && !find_M03(inquiry, &altered))
        return false;
    for (unsigned i = 0; i < altered.packets_count; i++)
        finding_packet(finding, altered.packets[i]);
    return true;
}

bool find_M10(const struct inquiry *inquiry, struct finding *finding) {
    char what[96];

    if (!removes_security(inquiry, what, sizeof what) || !is_altered(inquiry, finding))
        return false;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding, "The alteration takes security away:%s. Boxes do this for their own ends; so does an attacker. "
                         "Until the device is known, treat it as a downgrade attack.",
                what);
    finding_remedy(finding, REMEDY_TREAT_AS_INCIDENT);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    if (negotiate_of(inquiry)->dialect != SMB2_DIALECT_311)
        finding_remedy(finding, REMEDY_USE_311);
    return true;
}
