/* Family T and the lifecycle look-alikes L: below SMB, or after it has done its work. */
#include "explain/rules.h"

#define RETRANSMISSIONS_IN_VAIN_MIN 5u /* a sender gives up after about so many */
#define STUCK_RETRANSMISSIONS_MIN 3u
#define SMALL_SEGMENT_MAX 600u
#define LARGE_SEGMENT_MIN 1000u
#define SERVER_IDLE_LIMIT_NS 840000000000u /* 14 minutes: servers' own limit is usually 15 */

bool find_T01(const struct inquiry *inquiry, struct finding *finding) {
    const struct tcp_side *client = &inquiry->evidence->tcp[FROM_CLIENT];
    const struct tcp_side *server = &inquiry->evidence->tcp[FROM_SERVER];

    if (inquiry->facts->stage != STAGE_SYN || client->syn_packet == 0 || server->packets > 0 ||
        client->syn_retransmissions == 0)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding,
                "The client asked %u times for a connection (first in packet %llu) and nothing came back: TCP port %u "
                "is filtered on the way, or the address is dead.",
                client->syn_retransmissions + 1, (unsigned long long)client->syn_packet,
                inquiry->evidence->server.port);
    finding_packet(finding, client->syn_packet);
    finding_packet(finding, client->last_packet);
    finding_rule_out(finding, CAUSE_T02, "a host without the service would answer with a reset");
    finding_remedy(finding, REMEDY_OPEN_PORT);
    finding_remedy(finding, REMEDY_IPSEC_POLICY);
    return true;
}

bool find_T02(const struct inquiry *inquiry, struct finding *finding) {
    const struct tcp_side *client = &inquiry->evidence->tcp[FROM_CLIENT];
    const struct tcp_side *server = &inquiry->evidence->tcp[FROM_SERVER];

    if (client->syn_packet == 0 || server->syn_packet != 0 || server->rst.packet == 0 || server->octets > 0 ||
        client->octets > 0 || inquiry->facts->lossy ||
        client->packets > client->syn_retransmissions + 1u) /* who sends more than SYN is connected */
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_LIKELY;
    finding_say(finding,
                "The request for a connection (packet %llu) was answered with a reset (packet %llu): nothing listens on "
                "port %u there, or a firewall refuses in the server's name.",
                (unsigned long long)client->syn_packet, (unsigned long long)server->rst.packet,
                inquiry->evidence->server.port);
    finding_packet(finding, client->syn_packet);
    finding_packet(finding, server->rst.packet);
    finding_rule_out(finding, CAUSE_T01, "a filtered port would stay silent");
    finding_remedy(finding, REMEDY_START_SERVICE);
    finding_remedy(finding, REMEDY_OPEN_PORT);
    return true;
}

bool find_T03(const struct inquiry *inquiry, struct finding *finding) {
    for (unsigned from = FROM_CLIENT; from <= FROM_SERVER; from++) {
        const struct tcp_side *side = &inquiry->evidence->tcp[from];

        if (side->tail_retransmissions < STUCK_RETRANSMISSIONS_MIN ||
            side->largest_stuck < LARGE_SEGMENT_MIN || side->largest_acked == 0 ||
            side->largest_acked > SMALL_SEGMENT_MAX)
            continue;
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_LIKELY;
        finding_say(finding,
                    "Segments of up to %u octets from the %s arrive, but the first of %u octets was sent again %u times "
                    "and never acknowledged: packets of full size do not get through (path MTU black hole).",
                    side->largest_acked, from == FROM_CLIENT ? "client" : "server", side->largest_stuck,
                    side->tail_retransmissions);
        finding_packet(finding, side->last_data_packet);
        finding_rule_out(finding, CAUSE_T05, "small segments passed before");
        finding_remedy(finding, REMEDY_MSS_CLAMP);
        return true;
    }
    return false;
}

/* Was the peer silent when it mattered: the request after a long pause met a reset or nothing. */
bool find_T04(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct evidence *evidence = inquiry->evidence;
    const struct tcp_side *client = &evidence->tcp[FROM_CLIENT];
    const struct closing_segment *closing = facts->closing;
    uint64_t last = evidence->traffic.last_message_time_ns[FROM_CLIENT];
    bool after_request, after_pause;

    if (facts->stage < STAGE_SESSION || facts->stage == STAGE_VALIDATE_SENT)
        return false;
    after_request = evidence->traffic.longest_gap_ns >= IDLE_NS &&
                    ((facts->ending == ENDING_RST && facts->closer != CLOSER_CLIENT && facts->quiet_ns < AT_ONCE_NS) ||
                     client->tail_retransmissions >= STUCK_RETRANSMISSIONS_MIN);
    after_pause = closing != NULL && last != 0 && closing->time_ns > last &&
                  closing->time_ns - last >= IDLE_NS && facts->closer != CLOSER_CLIENT &&
                  evidence->traffic.unanswered_packet == 0;
    if (!after_request && !after_pause)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_LIKELY;
    if (after_pause && facts->ending == ENDING_FIN)
        finding->severity = SEVERITY_FINDING_NOTE;
    if (after_request)
        finding_say(finding,
                    "After %.0f s without traffic the next request (packet %llu) met %s: a device or server had forgotten "
                    "the idle connection.",
                    seconds(evidence->traffic.longest_gap_ns),
                    (unsigned long long)evidence->traffic.last_message_packet[FROM_CLIENT],
                    facts->ending == ENDING_RST ? "a reset" : "silence");
    else
        finding_say(finding, "The connection was idle for %.0f s when it was closed from the server's side (packet %llu, %s)%s.",
                    seconds(closing->time_ns - last), (unsigned long long)closing->packet, ending_text(facts),
                    closing->time_ns - last >= SERVER_IDLE_LIMIT_NS ? "; servers close idle sessions after about 15 minutes"
                                                                    : ": an idle limit, nothing to do with negotiation");
    finding_packet(finding, evidence->traffic.last_message_packet[FROM_CLIENT]);
    finding_packet(finding, closing != NULL ? closing->packet : 0);
    finding_rule_out(finding, CAUSE_M01, "negotiation had long been over");
    finding_remedy(finding, REMEDY_KEEPALIVE);
    return true;
}

bool find_T05(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    for (unsigned from = FROM_CLIENT; from <= FROM_SERVER; from++) {
        const struct tcp_side *side = &inquiry->evidence->tcp[from];
        bool own_reset = facts->ending == ENDING_RST && facts->closing_from == from;

        if (side->tail_retransmissions < RETRANSMISSIONS_IN_VAIN_MIN &&
            !(own_reset && side->tail_retransmissions >= STUCK_RETRANSMISSIONS_MIN))
            continue;
        if (inquiry->facts->one_way)
            continue;
        finding->explains_end = true;
        finding->confidence = CONFIDENCE_LIKELY;
        finding_say(finding,
                    "The %s sent the same octets %u times (last in packet %llu) and got no acknowledgment: the path loses "
                    "packets, or the %s is gone.",
                    from == FROM_CLIENT ? "client" : "server", side->tail_retransmissions + 1,
                    (unsigned long long)side->last_data_packet, from == FROM_CLIENT ? "server" : "client");
        finding_packet(finding, side->last_data_packet);
        finding_packet(finding, facts->closing != NULL ? facts->closing->packet : 0);
        finding_rule_out(finding, CAUSE_M09, "a hung service would still acknowledge over TCP");
        finding_remedy(finding, REMEDY_CHECK_NETWORK);
        finding_remedy(finding, REMEDY_BOTH_ENDS);
        return true;
    }
    return false;
}

bool find_T06(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;

    if (inquiry->company->other_session_packet == 0 || facts->ending != ENDING_RST ||
        facts->closer != CLOSER_SERVER)
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The server reset this connection (packet %llu) just when another connection from the same address "
                "logged on (packet %llu): servers do that to older connections of what they take for one client, "
                "behind NAT wrongly.",
                (unsigned long long)facts->closing->packet,
                (unsigned long long)inquiry->company->other_session_packet);
    finding_packet(finding, inquiry->company->other_session_packet);
    finding_packet(finding, facts->closing->packet);
    finding_remedy(finding, REMEDY_NO_NAT);
    return true;
}

bool find_T07(const struct inquiry *inquiry, struct finding *finding) {
    const struct tcp_side *client = &inquiry->evidence->tcp[FROM_CLIENT];

    /* Only where the capture itself comes from the client: elsewhere lost SYNs say nothing about its policy. */
    if (inquiry->facts->stage != STAGE_SYN || client->syn_retransmissions == 0 ||
        inquiry->evidence->tcp[FROM_SERVER].packets > 0 ||
        !(inquiry->vantage.given && inquiry->vantage.place == PLACE_CLIENT))
        return false;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding_say(finding, "The capture was taken on the client itself: its own IPsec or firewall rule may drop these "
                         "requests before they leave, or the answers on arrival.");
    finding_packet(finding, client->syn_packet);
    finding_remedy(finding, REMEDY_IPSEC_POLICY);
    return true;
}

static bool lifecycle(const struct inquiry *inquiry, struct finding *finding, uint64_t packet,
                      const char *what) {
    const struct facts *facts = inquiry->facts;

    if (packet == 0)
        return false;
    finding->severity = SEVERITY_FINDING_NOTE;
    finding->explains_end = facts->stage == STAGE_WORK && facts->closer != CLOSER_NONE;
    finding->confidence = CONFIDENCE_CERTAIN;
    finding_say(finding, "%s (packet %llu). Negotiation was over by then.", what, (unsigned long long)packet);
    finding_packet(finding, packet);
    finding_remedy(finding, REMEDY_RECONNECT);
    return true;
}

bool find_L01(const struct inquiry *inquiry, struct finding *finding) {
    return lifecycle(inquiry, finding, inquiry->evidence->traffic.session_expired_packet,
                     "The server said that the session has expired; the client has to authenticate again");
}

bool find_L02(const struct inquiry *inquiry, struct finding *finding) {
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;

    if (traffic->session_deleted_command == SMB2_SESSION_SETUP)
        return false;
    return lifecycle(inquiry, finding, traffic->session_deleted_packet, "The server no longer knew the session");
}

/* Cut off at work, by what looks like the server's own reset. */
bool find_L05(const struct inquiry *inquiry, struct finding *finding) {
    const struct facts *facts = inquiry->facts;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;

    if (facts->stage != STAGE_WORK || facts->ending != ENDING_RST || facts->closer != CLOSER_SERVER ||
        traffic->unanswered_packet == 0 || traffic->unanswered_command == SMB2_CHANGE_NOTIFY ||
        facts->quiet_ns >= AT_ONCE_NS || traffic->longest_gap_ns >= IDLE_NS || missed_before_close(facts) ||
        inquiry->company->other_session_packet != 0 ||
        (inquiry->comparison != NULL && inquiry->comparison->close_not_sent_by_server))
        return false;
    finding->explains_end = true;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding_say(finding,
                "The connection was reset (packet %llu) at work, while the %s request (packet %llu) waited for its "
                "answer: the server "
                "stopped or was restarted, or a device on the path reset it in the server's name (M05). Negotiation "
                "was over by then.",
                (unsigned long long)facts->closing->packet, command_name(traffic->unanswered_command),
                (unsigned long long)traffic->unanswered_packet);
    finding_packet(finding, traffic->unanswered_packet);
    finding_packet(finding, facts->closing->packet);
    finding_rule_out(finding, CAUSE_T04, "the connection was in use");
    finding_remedy(finding, REMEDY_SERVER_LOG);
    finding_remedy(finding, REMEDY_BOTH_ENDS);
    finding_remedy(finding, REMEDY_EXEMPT_IN_BOX);
    return true;
}

bool find_L03(const struct inquiry *inquiry, struct finding *finding) {
    const struct tree_evidence *tree = inquiry->facts->tree;
    bool no_share = tree->has_response && tree->status == STATUS_BAD_NETWORK_NAME;

    return lifecycle(inquiry, finding,
                     no_share ? tree->response_packet : inquiry->evidence->traffic.name_deleted_packet,
                     no_share ? "There is no share of that name on the server" : "The share was taken away while in use");
}
