/* Family V: FSCTL_VALIDATE_NEGOTIATE_INFO itself. Conditions are those of the reference's decision matrix. */
#include "explain/rules.h"

#include <stdio.h>
#include <string.h>

/* An answer that takes longer is none: smbclient waits 20 s, Windows 60 s. */
#define CLOSE_AT_ONCE_NS 5000000000u

static bool closed_by_client(const struct facts *facts) {
    return facts->closer == CLOSER_CLIENT;
}

static bool answered_rightly(const struct inquiry *inquiry) {
    const struct facts *facts = inquiry->facts;

    return facts->validation != NULL && facts->validated->result == VALIDATION_VALID &&
           facts->validated->response_comparable;
}

/* LOGOFF right after the answer, the share neither used nor disconnected: so ends a client that has had enough. One
 * that only looked in disconnects from the share first. */
static bool logged_off_in_haste(const struct facts *facts) {
    const struct traffic_evidence *traffic = &facts->evidence->traffic;
    const struct validation_evidence *validation = facts->validation;

    return validation != NULL && validation->response_packet != 0 && facts->evidence->trees_count > 0 &&
           !facts->lossy && facts->session->logoff_packet > validation->response_packet && facts->tree->disconnect_packet == 0 &&
           traffic->data_requests == 0 && traffic->last_working_request_packet < validation->response_packet &&
           facts->closing->time_ns - validation->response_time_ns < CLOSE_AT_ONCE_NS;
}

bool gave_up_after_validation(const struct facts *facts) {
    return closed_by_client(facts) && facts->quiet_ns < CLOSE_AT_ONCE_NS && facts->closing->sequence_distance <= 0 &&
           (facts->stage == STAGE_VALIDATE_ANSWERED || logged_off_in_haste(facts));
}

bool only_looked_in(const struct inquiry *inquiry) {
    return inquiry->company->worked_after_validation > 0 && inquiry->evidence->validations_seen == 1;
}

static const struct validation_evidence *first_with(const struct facts *facts,
                                                    enum validation_result result) {
    for (uint32_t i = 0; i < facts->evidence->validations_count; i++)
        if (facts->validations[i].result == result && facts->evidence->validations[i].request_packet != 0)
            return &facts->evidence->validations[i];
    return NULL;
}

static const char *status_text(uint32_t status, char text[64]) {
    const char *name = ntstatus_name(status);

    snprintf(text, 64, "%s%s0x%08x%s", name ? name : "", name ? " (" : "", status, name ? ")" : "");
    return text;
}

/* With both sides at hand: the answer that reached the client is the one that the server sent. */
static bool is_servers_own(const struct inquiry *inquiry, const struct validation_evidence *near) {
    const struct evidence *far = inquiry->far;

    if (far == NULL)
        return true; /* as far as one side shows */
    if (confirmation_altered(inquiry))
        return false;
    for (uint32_t i = 0; i < far->validations_count; i++) {
        const struct validation_evidence *sent = &far->validations[i];

        if (sent->message_id == near->message_id && sent->response_packet != 0)
            return sent->status == near->status && sent->response_signed == near->response_signed &&
                   sent->output_count == near->output_count;
    }
    return false;
}

bool find_V01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = first_with(facts, VALIDATION_UNSIGNED);
    char status[64];

    if (validation == NULL || !(facts->keyed || validation->request_signed) || !is_servers_own(inquiry, validation))
        return false;
    finding->explains_end = closed_by_client(facts);
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding,
                "The answer to VALIDATE_NEGOTIATE_INFO (%s, packet %llu) carries no signature although "
                "the request was signed; [MS-SMB2] 3.2.5.14.12 has the client close the connection%s.",
                status_text(validation->status, status), (unsigned long long)validation->response_packet,
                finding->explains_end ? ", and it did" : ", yet this client went on");
    finding_packet(finding, validation->request_packet);
    finding_packet(finding, validation->response_packet);
    finding_packet(finding, facts->session->response_packet);
    if (inquiry->comparison != NULL)
        finding_rule_out(finding, CAUSE_M04, "the server's capture shows the answer unsigned, too");
    else if (facts->session->response_signed)
        finding_say(finding, " The server had signed the final SESSION_SETUP response, so it can sign: "
                             "a box on the path may have answered or stripped the signature (M04).");
    else if (facts->session->has_response)
        finding_rule_out(finding, CAUSE_M04,
                         "the final SESSION_SETUP response is unsigned too: this server does not sign at all");
    finding_rule_out(finding, CAUSE_V02, "a signed error would be harmless, this answer is not signed");
    finding_remedy(finding, REMEDY_FIX_SERVER_SIGNING);
    finding_remedy(finding, REMEDY_REQUIRE_SIGNING);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool find_V02(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = first_with(facts, VALIDATION_REFUSED);
    char status[64];

    if (validation == NULL || facts->evidence->negotiate.dialect >= SMB2_DIALECT_300 ||
        validation->status == STATUS_ACCESS_DENIED || gave_up_after_validation(facts) ||
        !is_servers_own(inquiry, validation))
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding,
                "The server does not know VALIDATE_NEGOTIATE_INFO and said so under signature (%s, packet "
                "%llu): it is older than SMB 3, so nothing newer can have been negotiated away. Harmless.",
                status_text(validation->status, status), (unsigned long long)validation->response_packet);
    finding_packet(finding, validation->request_packet);
    finding_packet(finding, validation->response_packet);
    finding_remedy(finding, REMEDY_NOTHING_TO_DO);
    return true;
}

bool find_V03(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = first_with(facts, VALIDATION_REFUSED);

    if (validation == NULL || validation->status != STATUS_ACCESS_DENIED || !is_servers_own(inquiry, validation) ||
        claim_altered(inquiry)) /* M04, which that follows from */
        return false;
    finding->explains_end = facts->closer != CLOSER_NONE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding,
                "The server answered VALIDATE_NEGOTIATE_INFO with a signed ACCESS_DENIED (packet %llu): it "
                "found the request's signature wrong. Either the request was edited on the way by someone "
                "without the key, or the two ends have different keys.",
                (unsigned long long)validation->response_packet);
    finding_packet(finding, validation->request_packet);
    finding_packet(finding, validation->response_packet);
    if (facts->evidence->traffic.first_good_signed_packet != 0)
        finding_rule_out(finding, CAUSE_S04, "another signed request was accepted (packet %llu), so the keys agree",
                         (unsigned long long)facts->evidence->traffic.first_good_signed_packet);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    finding_remedy(finding, REMEDY_CHECK_KEYS);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool find_V04(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool compared = inquiry->comparison != NULL && inquiry->comparison->responses_compared;
    char words[80];

    if (facts->told == NULL)
        return false;
    if (compared ? inquiry->comparison->negotiate_response_altered || confirmation_altered(inquiry)
                 : at_client(inquiry) && place_known(inquiry))
        return false; /* then it is M02, with V04 as its alternative, or M04 */
    finding->explains_end = closed_by_client(facts);
    finding->confidence = compared               ? CONFIDENCE_CERTAIN
                          : at_server(inquiry)   ? CONFIDENCE_LIKELY
                                                 : CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The server's VALIDATE answer (packet %llu) contradicts the NEGOTIATE response that it sent "
                "itself (packet %llu) in %s.",
                (unsigned long long)facts->told->response_packet,
                (unsigned long long)facts->evidence->negotiate.response.packet,
                field_words(facts->told_differs, true, words, sizeof words));
    name_response_fields(inquiry, finding, facts->told_differs);
    finding_packet(finding, facts->told->request_packet);
    finding_packet(finding, facts->told->response_packet);
    finding_packet(finding, facts->evidence->negotiate.response.packet);
    if (compared)
        finding_rule_out(finding, CAUSE_M02, "the NEGOTIATE response is the same at both ends");
    finding_remedy(finding, REMEDY_FIX_SERVER);
    finding_remedy(finding, REMEDY_REQUIRE_SIGNING);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool lists_what_it_implements(const struct inquiry *inquiry) {
    const struct evidence *evidence = inquiry->evidence;
    const struct validation_evidence *validation = inquiry->facts->asked;
    bool windows_10 = inquiry->client_system == SYSTEM_UNKNOWN || inquiry->client_system == SYSTEM_WINDOWS_10;
    unsigned at = 0;

    if (!windows_10 || inquiry->facts->asked_differs != FIELD_DIALECTS ||
        validation->dialect_count <= evidence->negotiate.dialect_count ||
        validation->dialects[validation->dialects_kept - 1] != SMB2_DIALECT_311)
        return false;
    for (unsigned i = 0; i < validation->dialects_kept && at < evidence->negotiate.dialect_count; i++)
        at += validation->dialects[i] == evidence->negotiate.dialects[at];
    return at == evidence->negotiate.dialect_count;
}

bool find_V05(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool compared = inquiry->comparison != NULL && inquiry->comparison->requests_compared;
    bool same_at_both = compared && !inquiry->comparison->negotiate_request_altered;
    char words[80];

    if (facts->asked == NULL)
        return false;
    if (compared && !same_at_both)
        return false;
    if (!compared && inquiry->vantage.place == PLACE_SERVER &&
        !lists_what_it_implements(inquiry))
        return false; /* M01, with V05 as its alternative */
    finding->explains_end = facts->closer == CLOSER_SERVER;
    finding->confidence = same_at_both                               ? CONFIDENCE_CERTAIN
                          : inquiry->vantage.place == PLACE_CLIENT   ? CONFIDENCE_LIKELY
                                                                     : CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The client's VALIDATE request (packet %llu) differs from its own NEGOTIATE request (packet "
                "%llu) in %s%s",
                (unsigned long long)facts->asked->request_packet,
                (unsigned long long)facts->evidence->negotiate.request.packet,
                field_words(facts->asked_differs, false, words, sizeof words),
                finding->explains_end ? "; the server has to close the connection then." : ".");
    if (lists_what_it_implements(inquiry)) {
        finding_say(finding, " Some Windows 10 and Server 2016 builds list all dialects they implement here, "
                             "not those they offered.");
        if (facts->asked->status == STATUS_SUCCESS && facts->asked->response_signed)
            finding->severity = SEVERITY_FINDING_NOTE; /* a habit, and the server took it for one */
    }
    name_request_fields(inquiry, finding, facts->asked_differs);
    packets_of_validation(inquiry, finding);
    finding_packet(finding, facts->evidence->negotiate.request.packet);
    if (same_at_both)
        finding_rule_out(finding, CAUSE_M01, "the NEGOTIATE request is the same at both ends");
    else if (inquiry->vantage.place == PLACE_CLIENT)
        finding_rule_out(finding, CAUSE_M01, "the capture was taken at the client, before any box (%s)",
                         inquiry->vantage.because);
    finding_remedy(finding, REMEDY_FIX_CLIENT);
    if (!same_at_both)
        finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

/* What is wrong with the form of the request, or NULL. */
static const char *request_fault(const struct validation_evidence *validation) {
    if (validation == NULL || validation->request_packet == 0 || validation->request_cut)
        return NULL;
    if (!validation->request_decoded)
        return "its input is shorter than its own DialectCount says";
    if (validation->request_input_count != 24u + 2u * validation->dialect_count)
        return "InputCount is not 24 + 2 * DialectCount";
    if (validation->dialect_count == 0)
        return "DialectCount is 0";
    if (validation->max_output_response < 24)
        return "MaxOutputResponse is less than 24";
    if (!validation->file_id_all_ones)
        return "FileId is not all ones";
    return validation->ioctl_flags != 1 ? "the IS_FSCTL flag is not set" : NULL;
}

bool validate_request_at_fault(const struct facts *facts) {
    return facts->evidence->negotiate.dialect == SMB2_DIALECT_311 || request_fault(facts->validation) != NULL ||
           (facts->keyed && !facts->validation->request_signed);
}

/* A request that arrived wrong need not have been sent so. */
static void leave_open_what_was_sent(const struct inquiry *inquiry, struct finding *finding) {
    if (inquiry->comparison == NULL && inquiry->vantage.place != PLACE_CLIENT)
        finding_rule_out(finding, CAUSE_M04,
                         "not ruled out: only a capture at the client shows whether it sent the request so");
}

bool find_V06(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = facts->validation;
    const char *what = request_fault(validation);

    if (what == NULL)
        return false;
    finding->explains_end = facts->closer == CLOSER_SERVER;
    finding->confidence = CONFIDENCE_CERTAIN;
    if (validation->status == STATUS_SUCCESS)
        finding->severity = SEVERITY_FINDING_NOTE;
    finding_say(finding, "The client's VALIDATE request (packet %llu) is malformed: %s ([MS-SMB2] 2.2.31.4).",
                (unsigned long long)validation->request_packet, what);
    packets_of_validation(inquiry, finding);
    leave_open_what_was_sent(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_CLIENT_VALIDATE);
    return true;
}

bool find_V07(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = first_with(facts, VALIDATION_MALFORMED);

    if (validation == NULL || !is_servers_own(inquiry, validation))
        return false;
    finding->explains_end = closed_by_client(facts);
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding,
                "The VALIDATE answer (packet %llu) has %u octets of output instead of 24: nothing in it can be "
                "compared, and a client has to treat it as a mismatch.",
                (unsigned long long)validation->response_packet, validation->output_count);
    finding_packet(finding, validation->request_packet);
    finding_packet(finding, validation->response_packet);
    finding_rule_out(finding, CAUSE_Q02, "the packet was captured whole");
    finding_remedy(finding, REMEDY_FIX_SERVER);
    finding_remedy(finding, REMEDY_BYPASS_BOX);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool find_V08(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = facts->validation;

    if (validation == NULL || validation->request_packet == 0 || validation->request_signed || !facts->keyed)
        return false;
    finding->explains_end = facts->closer == CLOSER_SERVER;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding,
                "The client sent VALIDATE_NEGOTIATE_INFO without a signature (packet %llu). [MS-SMB2] 3.2.5.5 "
                "demands one even where signing is not required; unsigned it proves nothing.",
                (unsigned long long)validation->request_packet);
    packets_of_validation(inquiry, finding);
    leave_open_what_was_sent(inquiry, finding);
    finding_rule_out(finding, CAUSE_G01, "the session belongs to an authenticated user, so there is a key");
    finding_remedy(finding, REMEDY_FIX_CLIENT_VALIDATE);
    return true;
}

bool find_V09(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (facts->validation == NULL || facts->evidence->negotiate.dialect != SMB2_DIALECT_311)
        return false;
    finding->explains_end = facts->closer == CLOSER_SERVER;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding->severity = finding->explains_end ? SEVERITY_PROBLEM : SEVERITY_FINDING_NOTE;
    finding_say(finding,
                "The client sent VALIDATE_NEGOTIATE_INFO (packet %llu) although SMB 3.1.1 was agreed; the server "
                "has to close the connection ([MS-SMB2] 3.3.5.15.12).",
                (unsigned long long)facts->validation->request_packet);
    packets_of_validation(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_CLIENT_VALIDATE);
    return true;
}

bool find_V10(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct evidence *evidence = inquiry->evidence;
    bool unused = facts->stage == STAGE_TREE;
    char dialect[16];

    if (!facts->below_311 || !facts->client_offers_3x || evidence->validations_seen > 0 ||
        !facts->authenticated || facts->encrypted || facts->one_way || facts->lossy || facts->cut)
        return false;
    if (evidence->trees_count == 0 || facts->tree->status != STATUS_SUCCESS || facts->session->binding)
        return false; /* additional channels connect no tree and validate nothing, 3.2.5.5 */
    if (unused && (facts->closer != CLOSER_CLIENT || facts->ending == ENDING_RST || missed_before_close(facts)))
        return false; /* cut off: VALIDATE may have been what comes next */
    finding->severity = SEVERITY_EXPOSURE;
    finding->confidence = unused ? CONFIDENCE_POSSIBLE : CONFIDENCE_CERTAIN;
    dialect_text(evidence->negotiate.dialect, dialect);
    finding_say(finding,
                "The client offered SMB 3, got SMB %s, and %s without VALIDATE_NEGOTIATE_INFO%s: had "
                "somebody cut the offer down on the way, nobody would have noticed.",
                dialect, unused ? "left the share (or was made to) without having used it," : "used the share",
                facts->guest       ? " (a guest session has no key to validate with)"
                : facts->anonymous ? " (an anonymous session has no key to validate with)"
                                   : "");
    finding_packet(finding, evidence->negotiate.request.packet);
    finding_packet(finding, evidence->negotiate.response.packet);
    finding_packet(finding, facts->tree->response_packet);
    if (facts->guest || facts->anonymous)
        finding_remedy(finding, REMEDY_ACCOUNT_NOT_GUEST);
    finding_remedy(finding, REMEDY_CLIENT_VALIDATES);
    finding_remedy(finding, REMEDY_VALIDATE_MACOS);
    finding_remedy(finding, REMEDY_REQUIRE_SIGNING);
    return true;
}

bool find_V11(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = facts->validation;
    bool refusal = validation != NULL && facts->validated->result == VALIDATION_REFUSED &&
                   validation->status != STATUS_ACCESS_DENIED;
    bool arrived = inquiry->far != NULL && validation != NULL && is_servers_own(inquiry, validation);
    bool may_be_content = only_looked_in(inquiry) || inquiry->comparison != NULL; /* nothing shows that it rejected */
    char status[64];

    if (!gave_up_after_validation(facts) || !(answered_rightly(inquiry) || refusal))
        return false;
    if (inquiry->comparison != NULL && inquiry->comparison->changes_count > 0)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    if (!refusal && may_be_content)
        finding->severity = SEVERITY_FINDING_NOTE;
    if (refusal)
        finding_say(finding,
                    "The server answered VALIDATE_NEGOTIATE_INFO with a signed error (%s, packet %llu), and the "
                    "client closed the connection.",
                    status_text(validation->status, status), (unsigned long long)validation->response_packet);
    else
        finding_say(finding,
                    "The VALIDATE answer (packet %llu) is signed and repeats the NEGOTIATE response of this "
                    "capture in all four fields, yet the client closed the connection at once. Either the client "
                    "found the signature wrong or has a bug%s.",
                    (unsigned long long)validation->response_packet,
                    at_server(inquiry) || !place_known(inquiry)
                        ? ", or it had received another NEGOTIATE response than the one seen here (M02)"
                        : ", or the answer was altered together with its claim and not re-signed (M02)");
    if (!refusal && may_be_content)
        finding_say(finding, " Or it wanted nothing more%s.",
                    arrived                   ? ": the answer reached it as it was sent"
                    : only_looked_in(inquiry) ? ": other connections of this client validated and went to work"
                                              : "");
    packets_of_validation(inquiry, finding);
    finding_packet(finding, facts->evidence->negotiate.response.packet);
    finding_packet(finding, facts->closing->packet);
    finding_rule_out(finding, CAUSE_V01, "the answer carries a signature");
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_CHECK_EVENTS);
    finding_remedy(finding, REMEDY_FIX_CLIENT_REJECT);
    return true;
}

/* A signed error from a server that has to know the request. */
static bool refused_by_smb3(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct validation_evidence *validation = first_with(facts, VALIDATION_REFUSED);
    char status[64];

    if (validation == NULL || validation->status == STATUS_ACCESS_DENIED ||
        facts->evidence->negotiate.dialect < SMB2_DIALECT_300 || !is_servers_own(inquiry, validation))
        return false;
    finding->explains_end = facts->closer == CLOSER_CLIENT && gave_up_after_validation(facts);
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding,
                "A server of SMB 3 has to know VALIDATE_NEGOTIATE_INFO, but this one answered it with %s "
                "(packet %llu, signed). A server that says so instead of closing may be hiding a mismatch: "
                "a negotiation altered on the path would look the same here.",
                status_text(validation->status, status), (unsigned long long)validation->response_packet);
    finding_packet(finding, validation->request_packet);
    finding_packet(finding, validation->response_packet);
    return true;
}

/* Closed instead of an answer, though the request repeats the NEGOTIATE request that reached the server. */
static bool closed_without_reason(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    bool is_compared = inquiry->comparison != NULL && inquiry->comparison->requests_compared;

    if (facts->stage != STAGE_VALIDATE_SENT || facts->closer != CLOSER_SERVER || !facts->validated->request_comparable ||
        facts->validated->request_differs != 0)
        return false;
    if (is_compared ? inquiry->comparison->close_not_sent_by_server
                    : inquiry->vantage.place != PLACE_SERVER || missed_before_close(facts))
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding, "The server closed the connection instead of answering VALIDATE_NEGOTIATE_INFO (packet %llu), %s.",
                (unsigned long long)facts->validation->request_packet,
                is_compared ? "although NEGOTIATE reached it unaltered and the request repeats it exactly"
                            : "although the request repeats the NEGOTIATE request that reached it, as this capture shows");
    if (is_compared)
        finding_rule_out(finding, CAUSE_M01, "the NEGOTIATE request is the same at both ends");
    packets_of_validation(inquiry, finding);
    return true;
}

bool find_V12(const struct inquiry *inquiry, struct finding *finding) {
    if (inquiry->comparison != NULL && inquiry->comparison->negotiate_request_altered)
        return false;
    if (!refused_by_smb3(inquiry, finding) && !closed_without_reason(inquiry, finding))
        return false;
    finding_remedy(finding, REMEDY_FIX_SERVER_VALIDATE);
    finding_remedy(finding, REMEDY_REQUIRE_SIGNING);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    return true;
}

bool find_V13(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct facts *seen = inquiry->far_facts != NULL ? inquiry->far_facts : facts;
    const struct validation_evidence *validation = seen->asked;

    if (validation == NULL || validation->status != STATUS_SUCCESS || !validation->response_decoded)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = inquiry->far_facts != NULL ? CONFIDENCE_CERTAIN : CONFIDENCE_LIKELY;
    finding_say(finding,
                "The server answered VALIDATE_NEGOTIATE_INFO (packet %llu) although the request differs from the "
                "NEGOTIATE request that reached it; [MS-SMB2] 3.3.5.15.12 has it close the connection.",
                (unsigned long long)validation->response_packet);
    if (inquiry->far_facts == NULL)
        packets_of_validation(inquiry, finding);
    finding_remedy(finding, REMEDY_FIX_SERVER_VALIDATE);
    return true;
}
