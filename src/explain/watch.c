#include "explain/watch.h"

#include <stdlib.h>
#include <string.h>

#include "explain/observe.h"

/* Segments of a flow that began before the capture are searched for SMB on any port, this many of them. */
#define SEARCH_SEGMENTS_MAX 16u
/* Steps of the IP identification that a host which counts would make between two of a connection's packets. */
#define IP_ID_SMALL_STEP_MAX 64u
/* What was handed over is fetched this many places before its turn, and of octets so many. */
#define FETCH_PLACES 6u
#define FETCH_SIZE 512u

/* Octets of one end that the other has not acknowledged yet. */
struct waiting {
    uint64_t since_ns; /* 0: none */
    uint32_t end, size;
};

/* One connection. Until HANDED_END it is shared: `heard`, and the evidence's part about messages, are of the thread that
 * listens; all else is of the one that runs the flows. */
struct watched {
    struct watch *watch;
    bool reversed;     /* the initiator is the server: the ports had suggested the other way */
    bool begun;        /* the first bytes were SMB: they are listened to */
    uint32_t searched; /* segments looked at for SMB in vain */
    struct waiting waiting[2]; /* by enum direction */
    struct watched *next_spare;
    struct evidence evidence;
    struct heard heard;
};

static enum direction direction_of(const struct watched *watched, enum flow_side side) {
    _Static_assert((int)FROM_CLIENT == FLOW_INITIATOR && (int)FROM_SERVER == FLOW_RESPONDER, "both are 0 and 1");
    return (enum direction)((unsigned)side ^ watched->reversed);
}

static struct watched *take_spare(struct watch *watch) {
    struct watched *watched;

    pthread_mutex_lock(&watch->lock);
    watched = watch->spare;
    if (watched != NULL)
        watch->spare = watched->next_spare;
    pthread_mutex_unlock(&watch->lock);
    return watched;
}

static void give_back(struct watch *watch, struct watched *watched) {
    pthread_mutex_lock(&watch->lock);
    watched->next_spare = watch->spare;
    watch->spare = watched;
    pthread_mutex_unlock(&watch->lock);
}

static void *watch_opened(void *context, const struct endpoint *initiator,
                          const struct endpoint *responder, bool initiator_known,
                          uint32_t interface) {
    struct watch *watch = context;
    struct watched *watched = take_spare(watch);

    if (watched == NULL)
        watched = calloc(1, sizeof *watched);
    if (watched == NULL) {
        watch->failed = true;
        return NULL;
    }
    memset(watched, 0, offsetof(struct watched, evidence));
    evidence_clear_connection(&watched->evidence);
    watched->watch = watch;
    watched->evidence.file = watch->file;
    watched->evidence.serial = watch->serial++;
    watched->evidence.interface = interface;
    watch->many_interfaces |= interface != 0;
    watched->evidence.client = *initiator;
    watched->evidence.server = *responder;
    watched->evidence.client_known = initiator_known;
    return watched;
}

/* Is this segment, of the other end, the first to acknowledge octets that wait for it? */
static inline bool acknowledges(const struct waiting *waiting, const struct segment *segment) {
    return waiting->since_ns != 0 && (segment->flags & TCP_ACK) &&
           (int32_t)(segment->acknowledgment - waiting->end) >= 0;
}

/* Time since the octets of the other end that this segment is the first to acknowledge; 0 where there are none. */
static uint64_t reaction_of(const struct waiting *waiting, const struct packet *packet, const struct segment *segment) {
    if (packet->time_ns < waiting->since_ns || !acknowledges(waiting, segment))
        return 0;
    return packet->time_ns - waiting->since_ns + 1;
}

static struct closing_segment closing_of(const struct packet *packet, const struct segment *segment,
                                         const struct segment_note *note, const struct tcp_side *side,
                                         uint64_t reaction_ns) {
    return (struct closing_segment){
        .packet = packet->number,
        .time_ns = packet->time_ns,
        .sequence_distance = note->sequence_distance,
        .reaction_ns = reaction_ns,
        .ip_id = segment->ip_id,
        .window = segment->window,
        .ttl = segment->ttl,
        .has_ip_id = segment->has_ip_id,
        .dont_fragment = segment->dont_fragment,
        .has_timestamp = segment->has_timestamp,
        .other_mac =
            segment->has_mac && side->has_mac && memcmp(segment->macs.source, side->mac, sizeof side->mac) != 0,
        .has_ack = (segment->flags & TCP_ACK) != 0,
        .ip_id_leaps = segment->has_ip_id && segment->ip_id != 0 && side->ip_id_steps >= 4 &&
                       side->ip_id_small_steps == side->ip_id_steps &&
                       (uint16_t)(segment->ip_id - side->last_ip_id) > IP_ID_SMALL_STEP_MAX,
    };
}

static void note_ttl(struct tcp_side *side, uint8_t ttl) {
    if (side->ttl == 0)
        side->ttl = ttl;
    else if (side->ttl_other == 0)
        side->ttl_other = ttl;
}

/* What identifies the sender's stack and its distance, from segments that are not about closing. */
static inline void note_fingerprint(struct tcp_side *side, const struct segment *segment) {
    if (segment->ttl != side->ttl)
        note_ttl(side, segment->ttl);
    if (!side->has_mac && segment->has_mac) {
        memcpy(side->mac, segment->macs.source, sizeof side->mac);
        side->has_mac = true;
    }
    if (segment->has_ip_id && segment->ip_id != 0) {
        uint16_t step = (uint16_t)(segment->ip_id - side->last_ip_id);

        if (side->last_ip_id != 0) {
            side->ip_id_steps++;
            side->ip_id_small_steps += step <= IP_ID_SMALL_STEP_MAX;
        }
        side->last_ip_id = segment->ip_id;
    }
    side->has_timestamp |= segment->has_timestamp;
    side->optimiser_option |= segment->has_optimiser_option;
}

static void note_syn(struct evidence *evidence, enum direction from, const struct packet *packet,
                     const struct segment *segment) {
    struct tcp_side *side = &evidence->tcp[from];
    const struct tcp_side *client = &evidence->tcp[FROM_CLIENT];

    if (side->syn_packet != 0) {
        side->syn_retransmissions++;
        evidence->syn_answer_ns = 0; /* of which one the answer was cannot be told */
        return;
    }
    side->syn_packet = packet->number;
    side->syn_time_ns = packet->time_ns;
    side->isn = segment->sequence;
    side->mss = segment->mss;
    if (from == FROM_SERVER && client->syn_packet != 0 && client->syn_retransmissions == 0 &&
        packet->time_ns >= client->syn_time_ns)
        evidence->syn_answer_ns = packet->time_ns - client->syn_time_ns;
}

/* 0 is for "never". */
static inline void note_least(uint64_t *least_ns, uint64_t wait_ns) {
    if (*least_ns == 0 || wait_ns < *least_ns)
        *least_ns = wait_ns + (wait_ns == 0);
}

/* How long each end's octets wait for an acknowledgment at this place: near the client, what the server says
 * is acknowledged at once and what the client says a round trip later. `acked`: whose octets they were. */
static inline void note_acknowledged(struct watched *watched, enum direction acked, struct tcp_side *side,
                                     struct tcp_side *other, const struct packet *packet,
                                     const struct segment *segment) {
    struct evidence *evidence = &watched->evidence;
    struct waiting *waiting = &watched->waiting[acked];

    if (!(segment->flags & (TCP_FIN | TCP_RST)) && packet->time_ns >= waiting->since_ns) {
        uint64_t wait_ns = packet->time_ns - waiting->since_ns;

        /* Only a bare acknowledgment: one that comes with the next message waited for the program, too. */
        if (segment->payload_size == 0)
            note_least(acked == FROM_CLIENT ? &evidence->request_wait_ns : &evidence->answer_wait_ns,
                       wait_ns);
        note_least(&side->least_reaction_ns, wait_ns);
    }
    waiting->since_ns = 0;
    if (waiting->size > other->largest_acked)
        other->largest_acked = waiting->size;
}

/* A client's next packet that carries octets waited for its program: the handshake's own acknowledgment is lost. */
static void note_answer_ack(struct evidence *evidence, const struct packet *packet, const struct segment *segment) {
    const struct tcp_side *client = &evidence->tcp[FROM_CLIENT], *server = &evidence->tcp[FROM_SERVER];

    if (evidence->answer_ack_ns == 0 && segment->payload_size == 0 && client->octets == 0 &&
        !(segment->flags & (TCP_SYN | TCP_FIN | TCP_RST)) && server->syn_packet != 0 && packet->time_ns > server->syn_time_ns)
        evidence->answer_ack_ns = packet->time_ns - server->syn_time_ns;
}

static inline void note_waits(struct watched *watched, enum direction from, struct tcp_side *side,
                              struct tcp_side *other, const struct packet *packet, const struct segment *segment,
                              const struct segment_note *note) {
    enum direction acked = direction_other(from);

    if (acknowledges(&watched->waiting[acked], segment))
        note_acknowledged(watched, acked, side, other, packet, segment);
    if (segment->payload_size > 0 && !note->retransmission && !note->duplicate)
        watched->waiting[from] =
            (struct waiting){packet->time_ns, segment->sequence + segment->payload_size, segment->payload_size};
    if (from == FROM_CLIENT)
        note_answer_ack(&watched->evidence, packet, segment);
}

/* A sender that waits in vain sends its first unacknowledged octets again and again; several segments that are each sent
 * again once are the repair of a loss. */
static void note_stuck(struct tcp_side *side, const struct segment *segment) {
    if (side->tail_retransmissions == 0 || segment->sequence != side->stuck_sequence) {
        side->stuck_sequence = segment->sequence;
        side->tail_retransmissions = 0;
        side->largest_stuck = 0;
    }
    side->tail_retransmissions++;
    if (segment->payload_size > side->largest_stuck)
        side->largest_stuck = segment->payload_size;
}

static inline void note_payload(struct tcp_side *side, const struct packet *packet,
                         const struct segment *segment, const struct segment_note *note) {
    if (note->keep_alive) {
        side->keep_alives++;
        return;
    }
    if (side->first_data_packet == 0)
        side->first_data_packet = packet->number;
    side->last_data_packet = packet->number;
    side->last_data_time_ns = packet->time_ns;
    if (segment->payload.size < segment->payload_size)
        side->cut_packets++;
    if (note->retransmission) {
        side->retransmissions++;
        note_stuck(side, segment);
        return;
    }
    side->octets += segment->payload_size;
    side->last_new_data_time_ns = packet->time_ns;
    side->tail_retransmissions = 0;
}

/* In a file out of order the first closing segment need not come first. */
static bool is_earlier(const struct packet *packet, const struct closing_segment *other) {
    return other->packet == 0 || packet->time_ns < other->time_ns;
}

/* A closing segment, or one that comes after it. */
static void note_closing(struct watched *watched, enum direction from, const struct packet *packet,
                         const struct segment *segment, const struct segment_note *note) {
    struct tcp_side *side = &watched->evidence.tcp[from];
    bool closes = (segment->flags & (TCP_FIN | TCP_RST)) != 0;
    uint64_t reaction_ns;

    side->closed = true;
    reaction_ns = closes ? reaction_of(&watched->waiting[direction_other(from)], packet, segment) : 0;
    if (segment->payload_size > 0 || (segment->flags & TCP_SYN)) {
        if (side->rst.packet != 0 && !note->duplicate)
            side->packets_after_rst++;
        if (side->fin.packet != 0 && !note->retransmission)
            side->packets_after_fin++;
    }
    if ((segment->flags & TCP_FIN) && is_earlier(packet, &side->fin))
        side->fin = closing_of(packet, segment, note, side, reaction_ns);
    if ((segment->flags & TCP_RST) && is_earlier(packet, &side->rst))
        side->rst = closing_of(packet, segment, note, side, reaction_ns);
}

static void note_disorder(struct tcp_side *side, const struct segment_note *note) {
    side->early += note->early;
    side->conflicts += note->conflict;
    side->unseen_acked += note->acks_unseen;
}

/* What the other end acknowledges was not sent in vain. */
static inline void note_acknowledgment(struct tcp_side *side, struct tcp_side *other, const struct segment *segment) {
    uint32_t end = segment->sequence + segment->payload_size;

    if (side->sent_end == 0 || (int32_t)(end - side->sent_end) > 0)
        side->sent_end = end;
    if (!(segment->flags & TCP_ACK))
        return;
    if (side->highest_ack == 0 || (int32_t)(segment->acknowledgment - side->highest_ack) > 0)
        side->highest_ack = segment->acknowledgment;
    if (other->sent_end != 0 && (int32_t)(side->highest_ack - other->sent_end) >= 0)
        other->tail_retransmissions = 0;
}

/* The capture began in the middle of a connection to an SMB port, and no message's beginning was seen. */
static bool began_unseen(const struct evidence *evidence) {
    return evidence->began_before_capture && evidence->tcp[0].octets + evidence->tcp[1].octets > 0 &&
           (is_smb_port(evidence->server.port) || is_smb_port(evidence->client.port));
}

/* Connections that never said anything are told where the port says what they were for. */
static bool worth_telling(const struct evidence *evidence) {
    return evidence->smb || began_unseen(evidence) ||
           (evidence->tcp[0].first_data_packet == 0 && evidence->tcp[1].first_data_packet == 0 &&
            evidence->tcp[FROM_CLIENT].syn_packet != 0 && is_smb_port(evidence->server.port));
}

/* The thread that listens; the record is its alone by now. */
static void end(struct watched *watched) {
    struct watch *watch = watched->watch;
    struct evidence *evidence = &watched->evidence;

    if (watched->begun)
        listen_end(&watched->heard);
    else
        evidence_clear_messages(evidence);
    observe_end(evidence);
    if (worth_telling(evidence))
        watch->done(watch->context, evidence);
    give_back(watch, watched);
}

/* The thread that listens. */
static void listen_to(const struct handed *handed) {
    struct watched *watched = handed->watched;
    struct heard *heard = &watched->heard;
    enum direction from = handed->from;

    switch ((enum handed_kind)handed->kind) {
    case HANDED_BEGIN:
        listen_begin(heard, &watched->watch->listener, &watched->evidence);
        break;
    case HANDED_BYTES:
        listen_bytes(heard, from, handed->bytes, handed->packet, handed->time_ns);
        break;
    case HANDED_REPEAT:
        listen_repeat(heard, from, handed->bytes, handed->count);
        break;
    case HANDED_GAP:
        listen_gap(heard, from, handed->bytes, handed->count, handed->packet, handed->time_ns);
        break;
    case HANDED_END:
        end(watched);
        break;
    }
}

static void hand(const struct handed *handed, bool lasting) {
    struct handover *handover = handed->watched->watch->handover;

    if (handover != NULL)
        handover_put(handover, handed, lasting);
    else
        listen_to(handed);
}

/* Octets of a packet that was captured so stay where they are, if any of the capture do; others are somebody's copy. */
static inline bool is_within(struct span inner, struct span outer) {
    uintptr_t at = (uintptr_t)inner.data - (uintptr_t)outer.data;
    return inner.size == 0 || (at <= outer.size && inner.size <= outer.size - at);
}

static void hand_begin(struct watched *watched) {
    watched->begun = true;
    hand(&(struct handed){.watched = watched, .kind = HANDED_BEGIN}, true);
}

/* Field by field: a whole that was just put together could not be copied before its parts are written. */
static inline void fill_bytes(struct handed *handed, struct watched *watched, enum direction from, struct span bytes,
                              const struct packet *packet) {
    handed->watched = watched;
    handed->bytes = bytes;
    handed->packet = packet->number;
    handed->time_ns = packet->time_ns;
    handed->count = 0;
    handed->kind = HANDED_BYTES;
    handed->from = (uint8_t)from;
}

/* To whoever listens in this thread; or octets that may be somebody's copy. */
static void hand_other_bytes(struct watched *watched, enum direction from, struct span bytes,
                             const struct packet *packet) {
    struct handed handed;

    fill_bytes(&handed, watched, from, bytes, packet);
    if (is_within(bytes, packet->bytes)) {
        hand(&handed, true);
        return;
    }
    for (size_t at = 0; at < bytes.size; at += handed.bytes.size) {
        handed.bytes = span_slice(bytes, at, HANDOVER_SPARE);
        hand(&handed, false);
    }
}

static inline void hand_bytes(struct watched *watched, enum direction from, struct span bytes,
                              const struct packet *packet) {
    struct handover *handover = watched->watch->handover;

    if (handover != NULL && is_within(bytes, packet->bytes))
        fill_bytes(handover_place(handover), watched, from, bytes, packet);
    else
        hand_other_bytes(watched, from, bytes, packet);
}

/* What is held of these octets, if anything, is the listener's. */
static void hand_repeat(struct watched *watched, enum direction from, const struct packet *packet,
                        const struct segment *segment, uint32_t before) {
    struct handed handed = {
        .watched = watched,
        .bytes = segment->payload,
        .count = before,
        .kind = HANDED_REPEAT,
        .from = (uint8_t)from,
    };

    hand(&handed, is_within(segment->payload, packet->bytes));
}

/* Inline, since nearly always there is nothing in the note: then little of this is left. */
static inline void note_segment(struct watched *watched, const struct packet *packet, const struct segment *segment,
                                const struct segment_note *note) {
    struct evidence *evidence = &watched->evidence;
    enum direction from = direction_of(watched, note->side);
    struct tcp_side *tcp = evidence->tcp; /* chosen, not counted to: that would be done again for each use */
    struct tcp_side *side = from == FROM_CLIENT ? &tcp[FROM_CLIENT] : &tcp[FROM_SERVER];
    struct tcp_side *other = from == FROM_CLIENT ? &tcp[FROM_SERVER] : &tcp[FROM_CLIENT];

    if (evidence->first_packet == 0) {
        evidence->first_packet = packet->number;
        evidence->first_time_ns = packet->time_ns;
    }
    evidence->last_packet = packet->number;
    evidence->last_time_ns = packet->time_ns;
    if (note->duplicate) {
        side->duplicates++;
        return;
    }
    if (side->packets++ == 0)
        side->first_packet = packet->number;
    side->last_packet = packet->number;
    side->last_time_ns = packet->time_ns;
    if (note->early || note->conflict || note->acks_unseen)
        note_disorder(side, note);
    if (segment->flags & TCP_SYN)
        note_syn(evidence, from, packet, segment);
    if (side->closed || (segment->flags & (TCP_FIN | TCP_RST)))
        note_closing(watched, from, packet, segment, note);
    if (!(segment->flags & TCP_RST))
        note_fingerprint(side, segment);
    note_waits(watched, from, side, other, packet, segment, note);
    if (segment->payload_size > 0)
        note_payload(side, packet, segment, note);
    if (note->before > 0 && watched->begun && !note->conflict)
        hand_repeat(watched, from, packet, segment, note->before);
    note_acknowledgment(side, other, segment);
}

static void watch_segment(void *flow, const struct packet *packet, const struct segment *segment,
                          const struct segment_note *note) {
    if (flow != NULL)
        note_segment(flow, packet, segment, note);
}

/* The direction bit of the first message tells who is the server, whatever the ports suggested. */
static bool sent_by_server(struct span bytes) {
    static const uint8_t smb2[4] = {0xfe, 'S', 'M', 'B'}, smb1[4] = {0xff, 'S', 'M', 'B'};

    if (bytes.size >= 24 && memcmp(bytes.data + 4, smb2, 4) == 0)
        return bytes.data[20] & 1; /* Flags, SERVER_TO_REDIR */
    if (bytes.size >= 24 && memcmp(bytes.data + 4, smb1, 4) == 0)
        return bytes.data[13] & 0x80; /* SMB_FLAGS_REPLY */
    return bytes.size > 0 && (bytes.data[0] == 0x82 || bytes.data[0] == 0x83);
}

static void reverse(struct watched *watched) {
    struct evidence *evidence = &watched->evidence;
    struct endpoint endpoint = evidence->client;
    struct tcp_side side = evidence->tcp[FROM_CLIENT];

    evidence->client = evidence->server;
    evidence->server = endpoint;
    evidence->tcp[FROM_CLIENT] = evidence->tcp[FROM_SERVER];
    evidence->tcp[FROM_SERVER] = side;
    evidence->syn_answer_ns = evidence->answer_ack_ns = 0;
    evidence->request_wait_ns = evidence->answer_wait_ns = 0;
    watched->waiting[0].since_ns = watched->waiting[1].since_ns = 0;
    watched->reversed = !watched->reversed;
    evidence->reversed = watched->reversed;
}

/* Is this flow SMB? FLOW_IGNORE: no; 0: more is needed; else how many octets to pass over before the answer. */
static size_t watch_begin(struct watched *watched, enum flow_side side, struct span bytes) {
    struct evidence *evidence = &watched->evidence;
    bool smb_port = is_smb_port(evidence->server.port) || is_smb_port(evidence->client.port);
    bool seen_from_start = evidence->tcp[direction_of(watched, side)].syn_packet != 0;

    switch (conversation_look(bytes)) {
    case CONVERSATION_LOOK_MORE:
        return 0;
    case CONVERSATION_LOOK_SMB:
        if (!evidence->client_known) {
            if (bytes.size < 24 && bytes.data[0] == 0)
                return 0;
            if (sent_by_server(bytes) != (direction_of(watched, side) == FROM_SERVER))
                reverse(watched);
            evidence->client_known = true;
        }
        hand_begin(watched);
        evidence->smb = true;
        break;
    case CONVERSATION_LOOK_NOT_SMB:
        if (seen_from_start)
            return FLOW_IGNORE;
        evidence->began_before_capture = true;
        if (smb_port) {
            hand_begin(watched);
            break;
        }
        return ++watched->searched > SEARCH_SEGMENTS_MAX ? FLOW_IGNORE : bytes.size;
    }
    if (!seen_from_start)
        evidence->began_before_capture = true;
    return 0;
}

static size_t watch_bytes(void *flow, enum flow_side side, struct span bytes,
                          const struct packet *packet) {
    struct watched *watched = flow;

    if (watched == NULL)
        return FLOW_IGNORE;
    if (!watched->begun) {
        size_t passed = watch_begin(watched, side, bytes);

        if (!watched->begun)
            return passed;
    }
    hand_bytes(watched, direction_of(watched, side), bytes, packet);
    return bytes.size;
}

static size_t watch_plain(void *flow, enum flow_side side, const struct packet *packet, const struct segment *segment) {
    struct watched *watched = flow;
    struct span bytes = segment->payload;

    if (watched != NULL)
        note_segment(watched, packet, segment, &(struct segment_note){.side = side});
    if (bytes.size == 0)
        return 0;
    if (watched == NULL || !watched->begun)
        return watch_bytes(flow, side, bytes, packet);
    hand_bytes(watched, direction_of(watched, side), bytes, packet);
    return bytes.size;
}

static void hand_gap(struct watched *watched, enum direction from, struct span partial, size_t lost,
                     const struct packet *packet) {
    struct handed handed = {
        .watched = watched,
        .bytes = partial,
        .packet = packet->number,
        .time_ns = packet->time_ns,
        .count = (uint32_t)lost,
        .kind = HANDED_GAP,
        .from = (uint8_t)from,
    };

    hand(&handed, false);
}

static void watch_gap(void *flow, enum flow_side side, struct span partial, size_t lost,
                      const struct packet *packet) {
    struct watched *watched = flow;
    enum direction from;
    struct tcp_side *tcp;

    if (watched == NULL)
        return;
    from = direction_of(watched, side);
    tcp = &watched->evidence.tcp[from];
    tcp->gaps++;
    tcp->lost_octets += lost;
    if (tcp->gap_packet == 0)
        tcp->gap_packet = packet->number;
    if (!watched->begun) { /* the very first octets are missing: look for what follows */
        if (!is_smb_port(watched->evidence.server.port) && !is_smb_port(watched->evidence.client.port))
            return;
        if (conversation_look(partial) == CONVERSATION_LOOK_SMB)
            watched->evidence.smb = true;
        hand_begin(watched);
    }
    hand_gap(watched, from, partial, lost, packet);
}

/* In a capture out of order an acknowledgment may come before what it is of. Nothing was lost where in the end there
 * are as many octets as were acknowledged. */
static void settle_acknowledged(struct tcp_side *side, const struct tcp_side *other) {
    uint32_t end = other->isn + 1 + (uint32_t)other->octets + (other->fin.packet != 0);

    if (other->syn_packet != 0 && other->gaps == 0 && (int32_t)(side->highest_ack - end) <= 0)
        side->unseen_acked = 0;
}

static void watch_closed(void *flow) {
    struct watched *watched = flow;

    if (watched == NULL)
        return;
    settle_acknowledged(&watched->evidence.tcp[FROM_CLIENT], &watched->evidence.tcp[FROM_SERVER]);
    settle_acknowledged(&watched->evidence.tcp[FROM_SERVER], &watched->evidence.tcp[FROM_CLIENT]);
    watched->evidence.many_interfaces = watched->watch->many_interfaces;
    hand(&(struct handed){.watched = watched, .kind = HANDED_END}, true);
}

void watch_init(struct watch *watch, uint32_t file, void (*done)(void *context, struct evidence *evidence),
                void *context) {
    memset(watch, 0, sizeof *watch);
    watch->file = file;
    watch->done = done;
    watch->context = context;
    pthread_mutex_init(&watch->lock, NULL);
}

bool watch_hand_over(struct watch *watch, const struct meanwhile *meanwhile) {
    watch->handover = handover_new(meanwhile);
    return watch->handover != NULL;
}

void watch_hand_nothing(struct watch *watch) {
    handover_free(watch->handover);
    watch->handover = NULL;
}

void watch_finish(struct watch *watch) {
    if (watch->handover != NULL)
        handover_finish(watch->handover);
}

static inline void fetch(const void *from, size_t size) {
    for (size_t at = 0; at < size; at += CACHE_LINE)
        __builtin_prefetch((const uint8_t *)from + at);
}

/* Octets that will be looked at, as far as can be told by now. */
static inline void fetch_bytes(const struct handed *handed) {
    size_t size = handed->bytes.size;

    if (conversation_skips(&handed->watched->heard.conversation, handed->from) < size)
        fetch(handed->bytes.data, size < FETCH_SIZE ? size : FETCH_SIZE);
}

/* What has been noted of TCP is in the other processor's cache. */
static inline void fetch_early(const struct handed *handed) {
    if (handed->kind == HANDED_BYTES)
        fetch_bytes(handed);
    else if (handed->kind == HANDED_END)
        fetch(&handed->watched->evidence, offsetof(struct evidence, negotiate));
}

void watch_listen(struct watch *watch) {
    const struct handed *handed, *soon;

    while ((handed = handover_take(watch->handover)) != NULL) {
        soon = handover_soon(watch->handover, FETCH_PLACES);
        if (soon != NULL)
            fetch_early(soon);
        listen_to(handed);
    }
}

bool watch_is_incomplete(const struct watch *watch) {
    return watch->failed || watch->listener.failed;
}

void watch_free(struct watch *watch) {
    handover_free(watch->handover);
    while (watch->spare != NULL) {
        struct watched *next = watch->spare->next_spare;

        free(watch->spare);
        watch->spare = next;
    }
    pthread_mutex_destroy(&watch->lock);
}

struct flow_sink watch_sink(struct watch *watch) {
    return (struct flow_sink){
        .context = watch,
        .opened = watch_opened,
        .segment = watch_segment,
        .bytes = watch_bytes,
        .gap = watch_gap,
        .closed = watch_closed,
        .plain = watch_plain,
    };
}
