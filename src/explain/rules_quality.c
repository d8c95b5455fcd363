/* Family Q: what the capture itself cannot show. Told as notes; `open` where the question matters. */
#include "explain/rules.h"

static bool negotiation_unknown(const struct facts *facts) {
    return facts->request_missing || facts->response_missing;
}

/* Is there a question that the missing part would have answered? A protected 3.1.1 session at work, or a
 * validated one, leaves none. */
static bool question_open(const struct inquiry *inquiry) {
    const struct facts *facts = inquiry->facts;

    if (inquiry->comparison != NULL && inquiry->comparison->comparable)
        return false;
    if (facts->stage == STAGE_WORK && !negotiation_unknown(facts) &&
        (!facts->below_311 || inquiry->evidence->validations_seen > 0))
        return false;
    return true;
}

bool find_Q00(const struct inquiry *inquiry, struct finding *finding) {
    const struct negotiate_evidence *negotiate = &inquiry->evidence->negotiate;
    const struct negotiate_side *bad = NULL;

    if (negotiate->request.packet != 0 && negotiate->request.whole && !negotiate->request.valid)
        bad = &negotiate->request;
    else if (negotiate->response.packet != 0 && negotiate->response.whole &&
             !negotiate->response.valid && negotiate->status == STATUS_SUCCESS)
        bad = &negotiate->response;
    if (bad == NULL)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "A NEGOTIATE message (packet %llu) does not hold together: its lengths and offsets contradict "
                         "each other.",
                (unsigned long long)bad->packet);
    finding_packet(finding, bad->packet);
    return true;
}

bool find_Q01(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct evidence *evidence = inquiry->evidence;
    bool late = evidence->began_before_capture && (negotiation_unknown(facts) || facts->stage == STAGE_UNKNOWN);

    if (!late || facts->one_way)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->open = question_open(inquiry);
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "The capture begins after this connection's %s: what was negotiated cannot be judged.",
                facts->response_missing || facts->stage == STAGE_UNKNOWN ? "negotiation" : "NEGOTIATE request");
    finding_packet(finding, evidence->first_packet);
    finding_remedy(finding, REMEDY_CAPTURE_START);
    return true;
}

bool find_Q02(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct evidence *evidence = inquiry->evidence;
    const struct negotiate_evidence *negotiate = &evidence->negotiate;
    bool negotiate_cut = (negotiate->request.packet != 0 && !negotiate->request.decoded) ||
                         (negotiate->response.packet != 0 && !negotiate->response.decoded);
    bool validate_cut = facts->validation != NULL &&
                        ((facts->validation->request_cut && !facts->validation->request_decoded) ||
                         (facts->validation->response_cut && !facts->validation->response_decoded));

    if (!facts->cut)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->open = (negotiate_cut || validate_cut || negotiation_unknown(facts) || !facts->dialect_known) &&
                    (inquiry->comparison == NULL || !inquiry->comparison->comparable);
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "The capture cut %llu packets of this connection short (snap length)%s.",
                (unsigned long long)(evidence->tcp[0].cut_packets + evidence->tcp[1].cut_packets),
                finding->open ? ": NEGOTIATE or VALIDATE cannot be read whole, so they cannot be compared" : "");
    finding_packet(finding, negotiate->request.packet);
    finding_packet(finding, negotiate->response.packet);
    finding_remedy(finding, REMEDY_CAPTURE_WHOLE);
    return true;
}

bool find_Q03(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (!facts->one_way)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->open = inquiry->comparison == NULL;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "Only the %s's packets are in the capture; what the other end said cannot be judged.",
                inquiry->evidence->tcp[FROM_CLIENT].packets > 0 ? "client" : "server");
    finding_packet(finding, inquiry->evidence->first_packet);
    finding_remedy(finding, REMEDY_CAPTURE_BOTH_WAYS);
    return true;
}

static bool capture_ends_early(const struct inquiry *inquiry, struct finding *finding) {
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;

    finding->severity = SEVERITY_FINDING_NOTE;
    finding->open = true;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding,
                "The capture ends before this connection does, %s (packet %llu): what came of it cannot be told.",
                stage_text(inquiry->facts->stage), (unsigned long long)traffic->unanswered_packet);
    finding_packet(finding, traffic->unanswered_packet);
    finding_remedy(finding, REMEDY_CAPTURE_END);
    return true;
}

bool find_Q04(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct evidence *evidence = inquiry->evidence;
    bool validate_missing = facts->validation != NULL && facts->validation->request_packet == 0;
    bool unanswered = facts->stage == STAGE_VALIDATE_SENT || facts->stage == STAGE_SESSION_SENT ||
                      facts->stage == STAGE_NEGOTIATE_SENT || facts->stage == STAGE_TREE_SENT;
    uint64_t packet = evidence->tcp[0].gap_packet != 0 ? evidence->tcp[0].gap_packet : evidence->tcp[1].gap_packet;

    if (facts->cut_off && !facts->lossy && inquiry->comparison == NULL)
        return capture_ends_early(inquiry, finding);
    if (!facts->lossy || facts->one_way)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->open =
        (inquiry->comparison == NULL || !inquiry->comparison->comparable || facts->stage == STAGE_VALIDATE_SENT) &&
        (negotiation_unknown(facts) || validate_missing || unanswered ||
         (facts->below_311 && evidence->validations_seen == 0 && facts->client_offers_3x) ||
         (facts->closer != CLOSER_NONE && facts->stage != STAGE_WORK));
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "Packets of this connection are missing from the capture (%llu octets in %llu places)%s: they were "
                         "acknowledged on the wire, so the capture lost them.",
                (unsigned long long)(evidence->tcp[0].lost_octets + evidence->tcp[1].lost_octets),
                (unsigned long long)(evidence->tcp[0].gaps + evidence->tcp[1].gaps),
                negotiation_unknown(facts) ? ", among them NEGOTIATE"
                : validate_missing         ? ", among them the VALIDATE request"
                                           : "");
    finding_packet(finding, packet);
    finding_remedy(finding, REMEDY_CAPTURE_BUFFER);
    return true;
}

/* The most that this end put into one segment beyond what the other one asked for; 0: never more. */
static uint32_t beyond_mss(const struct evidence *evidence, enum direction from) {
    const struct tcp_side *side = &evidence->tcp[from];
    uint16_t mss = evidence->tcp[direction_other(from)].mss;

    return mss != 0 && side->largest_acked > mss ? side->largest_acked : 0;
}

bool find_Q05(const struct inquiry *inquiry, struct finding *finding) {
    uint32_t client = beyond_mss(inquiry->evidence, FROM_CLIENT), server = beyond_mss(inquiry->evidence, FROM_SERVER);

    if (client == 0 && server == 0)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "Segments of up to %u octets from the %s are larger than the network carries: a network card cuts or "
                         "joins them (offload). Harmless here: lengths come from the IP header, checksums are not looked at.",
                client > server ? client : server, client > server ? "client" : "server");
    finding_packet(finding, inquiry->evidence->tcp[client > server ? FROM_SERVER : FROM_CLIENT].syn_packet);
    return true;
}

bool find_Q06(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    const struct closing_segment *closing = facts->closing;
    uint64_t answers = traffic->encrypted[FROM_SERVER];
    bool first_requests = traffic->encrypted[FROM_CLIENT] <= 4;
    bool abrupt = first_requests && closing != NULL && facts->quiet_ns < AT_ONCE_NS;

    if (!facts->encrypted || !facts->below_311 || inquiry->evidence->validations_seen > 0)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->open = abrupt && (inquiry->comparison == NULL || !inquiry->comparison->comparable);
    finding->confidence = CONFIDENCE_CERTAIN;
    if (finding->open)
        finding_say(finding,
                    "After %llu encrypted requests and %llu answers %s closed the connection (packet %llu). VALIDATE would "
                    "be among them, but cannot be seen: a failed validation and a sudden change of mind look the same.",
                    (unsigned long long)traffic->encrypted[FROM_CLIENT], (unsigned long long)answers,
                    closer_text(facts), (unsigned long long)closing->packet);
    else
        finding_say(finding, "The session is encrypted (from packet %llu on): VALIDATE cannot be seen, nor could anybody "
                             "on the path see it.",
                    (unsigned long long)traffic->first_encrypted_packet[FROM_CLIENT]);
    finding_packet(finding, traffic->first_encrypted_packet[FROM_CLIENT]);
    finding_remedy(finding, finding->open ? REMEDY_BOTH_ENDS : REMEDY_OFF_BOX_ENCRYPTED);
    if (finding->open)
        finding_remedy(finding, REMEDY_OFF_BOX_ENCRYPTED);
    return true;
}

bool find_Q07(const struct inquiry *inquiry, struct finding *finding) {
    const struct tcp_side *tcp = inquiry->evidence->tcp;
    uint64_t duplicates = tcp[0].duplicates + tcp[1].duplicates;

    if (duplicates < 4)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "%llu packets of this connection were captured more than once (mirror port); the copies were left out.",
                (unsigned long long)duplicates);
    return true;
}

bool find_Q08(const struct inquiry *inquiry, struct finding *finding) {
    if (inquiry->comparison == NULL || !inquiry->comparison->clocks_differ)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "The clocks of the two captures differ: the server's has the request before the client sent it. "
                         "The two were aligned by content, so nothing here rests on the clocks.");
    return true;
}
