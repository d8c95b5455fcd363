#include "explain/facts.h"

#include <string.h>

/* Packets of a side, the closing one among them, before its TTL is known well enough. */
#define FINGERPRINT_PACKETS_MIN 3u

/* A closing segment ahead of its place by no more than this may follow on octets that the capture lost. */
#define CAPTURE_LOSS_MAX 65535
/* A closing segment that much sooner than anything else its end ever answered; less is a host's own pace. */
#define TOO_SOON_MARGIN_NS 1000000u
/* A request without an answer for longer than this, with packets still going by, waits for more than the capture. */
#define CUT_OFF_WAIT_MAX_NS 1000000000u

unsigned ttl_hops(uint8_t ttl) {
    static const unsigned initial[] = {32, 64, 128, 255};

    for (unsigned i = 0; i < sizeof initial / sizeof initial[0]; i++)
        if (ttl <= initial[i])
            return initial[i] - ttl;
    return 0;
}

bool session_is_anonymous(const struct session_evidence *session) {
    return session->ntlm.anonymous || (session->flags & 2);
}

/* Neither a guest's nor anonymous: its messages can be signed. Where what the client said of itself is not in the
 * capture, that is not known, and no. */
static bool session_is_keyed(const struct evidence *evidence, const struct session_evidence *session) {
    const struct tcp_side *client = &evidence->tcp[FROM_CLIENT];
    bool whole = client->cut_packets == 0 && client->gaps == 0 && evidence->tcp[FROM_SERVER].unseen_acked == 0;
    bool seen = session->ntlm.seen_authenticate || session->kerberos || whole;

    return seen && !(session->flags & 1) && !session_is_anonymous(session);
}

static struct forgery forgery_of(const struct closing_segment *closing, const struct tcp_side *side,
                                 uint64_t handshake_ns) {
    uint64_t least_ns =
        handshake_ns != 0 && handshake_ns < side->least_reaction_ns ? handshake_ns : side->least_reaction_ns;
    struct forgery forgery = {
        .other_distance = side->ttl != 0 && side->packets >= FINGERPRINT_PACKETS_MIN && closing->ttl != side->ttl &&
                          closing->ttl != side->ttl_other && ttl_hops(closing->ttl) != ttl_hops(side->ttl),
        .other_mac = closing->other_mac,
        .still_talking =
            side->packets_after_rst > 0 && closing == &side->rst && side->last_data_time_ns > closing->time_ns,
        .out_of_place = closing->sequence_distance < 0 || closing->sequence_distance > CAPTURE_LOSS_MAX,
        .odd_ip_id = closing->ip_id_leaps,
        .too_soon = closing == &side->rst && handshake_ns != 0 && closing->reaction_ns != 0 &&
                    least_ns > TOO_SOON_MARGIN_NS && closing->reaction_ns < least_ns / 2 &&
                    least_ns - closing->reaction_ns > TOO_SOON_MARGIN_NS,
    };

    /* A hint only: all that was measured before may have waited for the program or for the address of a neighbour. */
    forgery.weight = 2u * forgery.other_distance + 2u * forgery.other_mac + 2u * forgery.still_talking +
                     forgery.out_of_place + forgery.odd_ip_id + forgery.too_soon;
    return forgery;
}

static bool is_before(const struct closing_segment *a, const struct closing_segment *b) {
    if (a->packet == 0 || b->packet == 0)
        return a->packet != 0;
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->packet < b->packet;
}

static void find_ending(struct facts *facts) {
    const struct evidence *evidence = facts->evidence;
    const struct closing_segment *first = NULL;

    for (unsigned from = FROM_CLIENT; from <= FROM_SERVER; from++) {
        const struct tcp_side *side = &evidence->tcp[from];
        const struct closing_segment *closing = is_before(&side->rst, &side->fin) ? &side->rst : &side->fin;

        if (closing->packet != 0 && (first == NULL || is_before(closing, first))) {
            first = closing;
            facts->closing_from = from;
            facts->ending = closing == &side->rst ? ENDING_RST : ENDING_FIN;
        }
    }
    facts->closing = first;
    if (first == NULL)
        return;
    facts->forgery =
        forgery_of(first, &evidence->tcp[facts->closing_from],
                   facts->closing_from == FROM_SERVER ? evidence->syn_answer_ns : evidence->answer_ack_ns);
    facts->closer = facts->forgery.weight >= FORGERY_WEIGHT_MIN ? CLOSER_INJECTED
                    : facts->closing_from == FROM_CLIENT        ? CLOSER_CLIENT
                                                                : CLOSER_SERVER;
}

static uint64_t last_message_time(const struct evidence *evidence) {
    const uint64_t *times = evidence->traffic.last_message_time_ns;

    return times[0] > times[1] ? times[0] : times[1];
}

static void find_session(struct facts *facts) {
    static const struct session_evidence no_session;
    static const struct tree_evidence no_tree;
    const struct evidence *evidence = facts->evidence;

    facts->session = &no_session;
    facts->tree = &no_tree;
    for (uint32_t i = 0; i < evidence->sessions_count && !facts->keyed; i++) {
        const struct session_evidence *session = &evidence->sessions[i];

        if (!session->success)
            continue;
        facts->keyed = session_is_keyed(evidence, session);
        if (facts->keyed || !facts->authenticated)
            facts->session = session;
        facts->authenticated = true;
    }
    if (!facts->authenticated && evidence->sessions_count > 0)
        facts->session = &evidence->sessions[evidence->sessions_count - 1];
    if (facts->authenticated) {
        facts->guest = facts->session->flags & 1;
        facts->anonymous = session_is_anonymous(facts->session);
    }
    if (evidence->trees_count > 0)
        facts->tree = &evidence->trees[evidence->trees_count - 1];
}

static uint32_t request_differences(const struct evidence *evidence,
                                    const struct validation_evidence *validation) {
    const struct negotiate_evidence *negotiate = &evidence->negotiate;
    uint32_t differs = 0;

    if (validation->dialect_count != negotiate->dialect_count ||
        memcmp(validation->dialects, negotiate->dialects,
               sizeof negotiate->dialects[0] * negotiate->dialect_count) != 0)
        differs |= FIELD_DIALECTS;
    if (validation->request_security_mode != negotiate->request.security_mode)
        differs |= FIELD_SECURITY_MODE;
    if (validation->request_capabilities != negotiate->request.capabilities)
        differs |= FIELD_CAPABILITIES;
    if (memcmp(validation->request_guid, negotiate->request.guid, 16) != 0)
        differs |= FIELD_GUID;
    return differs;
}

static uint32_t response_differences(const struct evidence *evidence,
                                     const struct validation_evidence *validation) {
    const struct negotiate_evidence *negotiate = &evidence->negotiate;
    uint32_t differs = 0;

    if (validation->dialect != negotiate->dialect)
        differs |= FIELD_DIALECTS;
    if (validation->response_security_mode != negotiate->response.security_mode)
        differs |= FIELD_SECURITY_MODE;
    if (validation->response_capabilities != negotiate->response.capabilities)
        differs |= FIELD_CAPABILITIES;
    if (memcmp(validation->response_guid, negotiate->response.guid, 16) != 0)
        differs |= FIELD_GUID;
    return differs;
}

static enum validation_result result_of(const struct validation_evidence *validation,
                                        const struct validation_facts *facts) {
    if (validation->response_packet == 0)
        return VALIDATION_UNANSWERED;
    if (!validation->response_signed)
        return VALIDATION_UNSIGNED;
    if (validation->status != STATUS_SUCCESS)
        return VALIDATION_REFUSED;
    if (!validation->response_decoded && !validation->response_cut)
        return VALIDATION_MALFORMED;
    if (facts->response_comparable && facts->response_differs != 0)
        return VALIDATION_MISMATCH;
    if (facts->request_comparable && facts->request_differs != 0)
        return VALIDATION_MISMATCH;
    return VALIDATION_VALID;
}

static void find_validations(struct facts *facts) {
    const struct evidence *evidence = facts->evidence;
    const struct negotiate_evidence *negotiate = &evidence->negotiate;

    for (uint32_t i = 0; i < evidence->validations_count; i++) {
        const struct validation_evidence *validation = &evidence->validations[i];
        struct validation_facts *found = &facts->validations[i];

        found->request_comparable = validation->request_decoded && negotiate->request.decoded;
        found->response_comparable = validation->response_decoded && negotiate->response.decoded &&
                                     negotiate->dialect != 0;
        if (found->request_comparable)
            found->request_differs = request_differences(evidence, validation);
        if (found->response_comparable)
            found->response_differs = response_differences(evidence, validation);
        found->result = result_of(validation, found);
        if (found->request_differs != 0 && facts->asked == NULL) {
            facts->asked = validation;
            facts->asked_differs = found->request_differs;
        }
        if (found->response_differs != 0 && facts->told == NULL) {
            facts->told = validation;
            facts->told_differs = found->response_differs;
        }
        facts->validation = validation;
        facts->validated = found;
    }
}

static enum stage stage_of(const struct facts *facts) {
    const struct evidence *evidence = facts->evidence;
    const struct negotiate_evidence *negotiate = &evidence->negotiate;
    bool encrypted_work = evidence->traffic.encrypted[FROM_CLIENT] > 0;

    if (evidence->traffic.data_requests > 0 || encrypted_work)
        if (facts->validation == NULL || evidence->traffic.requests_after_validation > 0)
            return STAGE_WORK;
    if (facts->validation != NULL && evidence->traffic.requests_after_validation == 0)
        return facts->validation->response_packet != 0 ? STAGE_VALIDATE_ANSWERED : STAGE_VALIDATE_SENT;
    if (facts->tree->request_packet != 0)
        return !facts->tree->has_response                   ? STAGE_TREE_SENT
               : facts->tree->status != STATUS_SUCCESS      ? STAGE_TREE_FAILED
               : evidence->traffic.requests_unsigned + evidence->traffic.requests_signed > 0
                   ? STAGE_WORK
                   : STAGE_TREE;
    if (evidence->sessions_count > 0)
        return facts->authenticated                            ? STAGE_SESSION
               : !facts->session->has_response ||
                       facts->session->status == STATUS_MORE_PROCESSING_REQUIRED
                   ? STAGE_SESSION_SENT
                   : STAGE_SESSION_FAILED;
    if (negotiate->response.packet != 0 || negotiate->smb1_response_packet != 0)
        return STAGE_NEGOTIATED;
    if (negotiate->request.packet != 0 || negotiate->smb1_request_packet != 0)
        return STAGE_NEGOTIATE_SENT;
    if (evidence->began_before_capture)
        return STAGE_UNKNOWN;
    return evidence->tcp[FROM_SERVER].syn_packet != 0 ? STAGE_CONNECTED : STAGE_SYN;
}

static void find_quality(struct facts *facts) {
    const struct evidence *evidence = facts->evidence;
    const struct negotiate_evidence *negotiate = &evidence->negotiate;
    const struct tcp_side *tcp = evidence->tcp;
    bool beyond = evidence->sessions_count > 0 || evidence->trees_count > 0 ||
                  evidence->validations_count > 0 || evidence->traffic.data_requests > 0 ||
                  facts->encrypted;

    facts->one_way = evidence->smb && (tcp[0].packets == 0 || tcp[1].packets == 0 ||
                                       (evidence->traffic.messages[FROM_SERVER] == 0 && beyond) ||
                                       evidence->traffic.messages[FROM_CLIENT] == 0);
    facts->cut = tcp[0].cut_packets + tcp[1].cut_packets > 0;
    facts->lossy = tcp[0].gaps + tcp[1].gaps > tcp[0].cut_packets + tcp[1].cut_packets ||
                   tcp[0].unseen_acked + tcp[1].unseen_acked > 0;
    facts->cut_off = facts->ending == ENDING_OPEN && !facts->one_way && facts->stage < STAGE_WORK &&
                     evidence->traffic.unanswered_packet != 0 && tcp[FROM_CLIENT].tail_retransmissions == 0 &&
                     evidence->last_time_ns - evidence->traffic.unanswered_time_ns < CUT_OFF_WAIT_MAX_NS;
    facts->request_missing = negotiate->request.packet == 0 &&
                             (negotiate->smb1_request_packet == 0 || beyond) &&
                             (negotiate->response.packet != 0 || beyond);
    facts->response_missing = negotiate->response.packet == 0 &&
                              negotiate->smb1_response_packet == 0 && beyond;
    facts->start_missing = facts->request_missing && facts->response_missing;
}

void facts_from(const struct evidence *evidence, struct facts *facts) {
    uint16_t dialect = evidence->negotiate.dialect;
    uint64_t last = last_message_time(evidence);

    *facts = (struct facts){.evidence = evidence};
    find_ending(facts);
    if (facts->closing != NULL && facts->closing->time_ns > last && last != 0)
        facts->quiet_ns = facts->closing->time_ns - last;
    facts->dialect_known = dialect == SMB2_DIALECT_202 || dialect == SMB2_DIALECT_210 ||
                          dialect == SMB2_DIALECT_300 || dialect == SMB2_DIALECT_302 ||
                          dialect == SMB2_DIALECT_311;
    facts->below_311 = facts->dialect_known && dialect < SMB2_DIALECT_311;
    for (unsigned i = 0; i < evidence->negotiate.dialect_count; i++) {
        facts->client_offers_3x |= evidence->negotiate.dialects[i] >= SMB2_DIALECT_300 &&
                                  evidence->negotiate.dialects[i] <= SMB2_DIALECT_311;
        facts->client_offers_311 |= evidence->negotiate.dialects[i] == SMB2_DIALECT_311;
    }
    find_session(facts);
    facts->encrypted = evidence->traffic.encrypted[0] + evidence->traffic.encrypted[1] > 0;
    find_validations(facts);
    facts->stage = stage_of(facts);
    find_quality(facts);
}

const char *stage_text(enum stage stage) {
    static const char *const texts[] = {
        [STAGE_SYN] = "before the TCP connection was made",
        [STAGE_CONNECTED] = "after the TCP handshake, before any SMB message",
        [STAGE_NEGOTIATE_SENT] = "after NEGOTIATE was sent, without an answer",
        [STAGE_NEGOTIATED] = "after NEGOTIATE was answered",
        [STAGE_SESSION_SENT] = "during SESSION_SETUP",
        [STAGE_SESSION_FAILED] = "after SESSION_SETUP was refused",
        [STAGE_SESSION] = "after SESSION_SETUP succeeded, before TREE_CONNECT",
        [STAGE_TREE_SENT] = "after TREE_CONNECT was sent, without an answer",
        [STAGE_TREE_FAILED] = "after TREE_CONNECT was refused",
        [STAGE_TREE] = "after TREE_CONNECT succeeded",
        [STAGE_VALIDATE_SENT] = "after VALIDATE_NEGOTIATE_INFO was sent, without an answer",
        [STAGE_VALIDATE_ANSWERED] = "after VALIDATE_NEGOTIATE_INFO was answered",
        [STAGE_WORK] = "during ordinary requests",
        [STAGE_UNKNOWN] = "in a session that began before the capture",
    };

    return texts[stage];
}
