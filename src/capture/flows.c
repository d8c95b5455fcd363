#include "capture/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Twice FLOWS_MAX, a power of two: probing stays short. */
#define SLOTS       32768u
#define BLOCK_FLOWS 256u
#define BLOCKS      (FLOWS_MAX / BLOCK_FLOWS)
/* How often the closed connections are looked through, in capture time, and how many at a time. */
#define SWEEP_NS  (1ull * 1000000000ull)
#define SWEEP_MAX 64u
/* And with each new connection. */
#define SWEEP_FEW 2u

/* A SYN that is stored after data is at most so far behind it, in octets. */
#define SYN_LATE_MAX 65535

/* Open addressing with linear probing, by 4-tuple; the value is the connection's first leg. */
struct flow_slot {
    uint32_t hash; /* never 0 in a slot that is used */
    uint32_t index;
};

struct flow *flow_at(const struct flows *flows, uint32_t index) {
    if (index == FLOW_NONE)
        return NULL;
    return &flows->blocks[index / BLOCK_FLOWS][index % BLOCK_FLOWS];
}

/* The table */

static inline uint64_t load_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t endpoint_mix(const struct endpoint *endpoint, uint64_t seed) {
    uint64_t a = load_u64(endpoint->address) ^ seed, b = load_u64(endpoint->address + 8);
    uint64_t mixed =
        (a * 0x9e3779b97f4a7c15ull ^ b ^ (uint64_t)endpoint->port << 17) * 0xd6e8feb86659fd93ull;
    return mixed ^ mixed >> 32;
}

/* The same for both directions. The seed is another in each run, so that nobody can make a file
 * whose connections all fall into one place. */
static inline uint32_t segment_hash(const struct flows *flows, const struct segment *segment) {
    uint64_t sum = endpoint_mix(&segment->source, flows->seed) +
                   endpoint_mix(&segment->destination, flows->seed);
    return (uint32_t)((sum * 0x9e3779b97f4a7c15ull) >> 32) | 1u;
}

static uint32_t slot_find_free(const struct flows *flows, uint32_t hash) {
    uint32_t at = hash >> 1 & (SLOTS - 1);
    while (flows->slots[at].hash != 0)
        at = (at + 1) & (SLOTS - 1);
    return at;
}

static uint32_t slot_of(const struct flows *flows, const struct flow *first) {
    uint32_t at = first->hash >> 1 & (SLOTS - 1);
    while (flows->slots[at].index != first->index || flows->slots[at].hash == 0)
        at = (at + 1) & (SLOTS - 1);
    return at;
}

/* Moves later entries up, so that no probe stops at the hole. */
static void slot_remove(struct flows *flows, uint32_t hole) {
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & (SLOTS - 1);
        struct flow_slot slot = flows->slots[at];
        if (slot.hash == 0)
            break;
        uint32_t home = slot.hash >> 1 & (SLOTS - 1);
        if (((at - home) & (SLOTS - 1)) < ((at - hole) & (SLOTS - 1)))
            continue;
        flows->slots[hole] = slot;
        hole = at;
    }
    flows->slots[hole].hash = 0;
}

static struct flow *flows_find(struct flows *flows, const struct segment *segment, uint32_t hash) {
    for (uint32_t at = hash >> 1 & (SLOTS - 1); flows->slots[at].hash != 0;
         at = (at + 1) & (SLOTS - 1)) {
        if (flows->slots[at].hash != hash)
            continue;
        struct flow *flow = flow_at(flows, flows->slots[at].index);
        if (flow_has(flow, flow_side_of(flow, segment), segment))
            return flow;
    }
    return NULL;
}

/* A new leg goes to the end of its connection's; without `first` it is a new connection. */
static void table_add(struct flows *flows, struct flow *first, struct flow *flow) {
    flow->leg_next = FLOW_NONE;
    flows->last = first ? first : flow;
    if (!first) {
        flows->slots[slot_find_free(flows, flow->hash)] =
            (struct flow_slot){flow->hash, flow->index};
        return;
    }
    while (first->leg_next != FLOW_NONE)
        first = flow_at(flows, first->leg_next);
    first->leg_next = flow->index;
}

static struct flow *table_first(const struct flows *flows, const struct flow *flow) {
    uint32_t at = flow->hash >> 1 & (SLOTS - 1);
    for (; flows->slots[at].hash != 0; at = (at + 1) & (SLOTS - 1)) {
        struct flow *leg =
            flows->slots[at].hash == flow->hash ? flow_at(flows, flows->slots[at].index) : NULL;
        for (struct flow *first = leg; leg; leg = flow_at(flows, leg->leg_next))
            if (leg == flow)
                return first;
    }
    return NULL;
}

static void table_remove(struct flows *flows, struct flow *flow) {
    struct flow *first = table_first(flows, flow);
    assert(first);
    flows->last = NULL;
    if (first != flow) {
        while (first->leg_next != flow->index)
            first = flow_at(flows, first->leg_next);
        first->leg_next = flow->leg_next;
        return;
    }
    uint32_t slot = slot_of(flows, flow);
    if (flow->leg_next != FLOW_NONE)
        flows->slots[slot].index = flow->leg_next;
    else
        slot_remove(flows, slot);
}

/* The lists. A flow is not moved with each of its packets: an old one that had some since it was
 * listed is moved when it is looked at, which costs less and comes to the same. */

static void list_remove(struct flows *flows, struct flow *flow) {
    struct flow *newer = flow_at(flows, flow->newer), *older = flow_at(flows, flow->older);
    *(newer ? &newer->older : &flows->newest[flow->list]) = flow->older;
    *(older ? &older->newer : &flows->oldest[flow->list]) = flow->newer;
}

static void list_add(struct flows *flows, struct flow *flow, enum flow_list list) {
    struct flow *newest = flow_at(flows, flows->newest[list]);
    flow->list = (uint8_t)list;
    flow->newer = FLOW_NONE;
    flow->older = flows->newest[list];
    flow->listed_number = flow->last_number;
    *(newest ? &newest->newer : &flows->oldest[list]) = flow->index;
    flows->newest[list] = flow->index;
}

static void list_move(struct flows *flows, struct flow *flow, enum flow_list list) {
    list_remove(flows, flow);
    list_add(flows, flow, list);
}

static struct flow *list_oldest(struct flows *flows, enum flow_list list) {
    for (;;) {
        struct flow *flow = flow_at(flows, flows->oldest[list]);
        if (!flow || flow->listed_number == flow->last_number)
            return flow;
        list_move(flows, flow, list);
    }
}

/* Life of a flow */

static bool flows_grow(struct flows *flows) {
    if (flows->block_count >= BLOCKS)
        return false;
    struct flow *block = calloc(BLOCK_FLOWS, sizeof *block);
    if (!block) {
        flows->counts.no_memory++;
        return false;
    }
    flows->blocks[flows->block_count] = block;
    for (uint32_t i = BLOCK_FLOWS; i-- > 0;) {
        block[i].index = flows->block_count * BLOCK_FLOWS + i;
        block[i].leg_next = flows->free_list;
        flows->free_list = block[i].index;
    }
    flows->block_count++;
    return true;
}

static void flow_let_go(struct flows *flows, struct flow *flow) {
    stream_free(flows, &flow->sides[FLOW_INITIATOR]);
    stream_free(flows, &flow->sides[FLOW_RESPONDER]);
    if (!flow->ignored)
        flows->sink.closed(flow->user);
    flow->user = NULL;
    flow->ignored = true;
}

void flow_ignore(struct flows *flows, struct flow *flow) {
    if (flow->ignored)
        return;
    flows->counts.ignored++;
    flow_let_go(flows, flow);
    list_move(flows, flow, LIST_IGNORED);
}

/* The reader is told that it is over; a tombstone stays. */
static void flow_bury(struct flows *flows, struct flow *flow) {
    stream_release(flows, flow);
    flow_let_go(flows, flow);
    list_move(flows, flow, LIST_IGNORED);
}

void flow_close(struct flows *flows, struct flow *flow) {
    stream_release(flows, flow);
    flow_let_go(flows, flow);
    table_remove(flows, flow);
    list_remove(flows, flow);
    flow->leg_next = flows->free_list;
    flows->free_list = flow->index;
    flows->open_count--;
}

/* Tombstones go first, then closed connections, then the one that said nothing for the longest
 * time. */
static bool flows_evict(struct flows *flows) {
    static const enum flow_list order[] = {LIST_IGNORED, LIST_FINISHED, LIST_LIVE};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        struct flow *flow = list_oldest(flows, order[i]);
        if (!flow)
            continue;
        if (!flow->ignored)
            flows->counts.evicted++;
        flow_close(flows, flow);
        return true;
    }
    return false;
}

static struct flow *flow_allocate(struct flows *flows) {
    if (flows->free_list == FLOW_NONE && !flows_grow(flows) && !flows_evict(flows))
        return NULL;
    struct flow *flow = flow_at(flows, flows->free_list);
    uint32_t index = flow->index;
    flows->free_list = flow->leg_next;
    flows->open_count++;
    memset(flow, 0, sizeof *flow);
    flow->index = index;
    return flow;
}

bool is_smb_port(uint16_t port) {
    return port == 445 || port == 139;
}

/* Without a handshake the server is who has SMB's port, else the lower one. */
static bool source_is_initiator(const struct segment *segment, const struct flow *other_leg) {
    if (segment->flags & TCP_SYN)
        return !(segment->flags & TCP_ACK);
    if (other_leg)
        return flow_side_of(other_leg, segment) == FLOW_INITIATOR;
    uint16_t source = segment->source.port, destination = segment->destination.port;
    if (is_smb_port(source) != is_smb_port(destination))
        return is_smb_port(destination);
    return source >= destination;
}

/* The oldest of a list that said nothing for so long; NULL where there is none. */
static struct flow *list_overdue(struct flows *flows, enum flow_list list, uint64_t now_ns,
                                 uint64_t most_ns) {
    struct flow *flow = list_oldest(flows, list);
    if (!flow || flow->last_ns > now_ns || now_ns - flow->last_ns < most_ns)
        return NULL;
    return flow;
}

/* Closed connections whose stragglers had their time become tombstones; tombstones that nobody
 * stumbled over for long go. */
static void flows_sweep(struct flows *flows, uint64_t now_ns, unsigned most) {
    struct flow *flow;
    flows->swept_ns = now_ns;
    for (unsigned i = 0; i < most; i++)
        if ((flow = list_overdue(flows, LIST_FINISHED, now_ns, FLOW_LINGER_NS)))
            flow_bury(flows, flow);
    for (unsigned i = 0; i < most; i++)
        if ((flow = list_overdue(flows, LIST_IGNORED, now_ns, FLOW_TOMB_NS)))
            flow_close(flows, flow);
}

/* A new connection, or another leg of one that is in the table. */
static struct flow *flow_open(struct flows *flows, const struct packet *packet,
                              const struct segment *segment, uint32_t hash) {
    flows_sweep(flows, packet->time_ns, SWEEP_FEW); /* as many go as come */
    struct flow *flow = flow_allocate(flows);
    if (!flow)
        return NULL;
    struct flow *first = flows_find(flows, segment, hash);
    bool initiator = source_is_initiator(segment, first);
    flow->endpoints[FLOW_INITIATOR] = initiator ? segment->source : segment->destination;
    flow->endpoints[FLOW_RESPONDER] = initiator ? segment->destination : segment->source;
    flow->hash = hash;
    flow->first_number = flow->last_number = packet->number;
    flow->last_ns = packet->time_ns;
    table_add(flows, first, flow);
    list_add(flows, flow, LIST_LIVE);
    flows->counts.flows++;
    flow->user = flows->sink.opened(flows->sink.context, &flow->endpoints[FLOW_INITIATOR],
                                    &flow->endpoints[FLOW_RESPONDER], segment->flags & TCP_SYN,
                                    packet->interface);
    return flow;
}

/* A handshake where there was one: is it the next connection's? */

static bool flow_is_over(const struct flow *flow, const struct packet *packet) {
    bool idle = packet->time_ns > flow->last_ns && packet->time_ns - flow->last_ns >= FLOW_IDLE_NS;
    return flow->ignored || flow->reset || flow->sides[0].fin_seen || flow->sides[1].fin_seen ||
           idle;
}

/* A SYN that fits what is known of its direction: sent again, stored late, or the one that the
 * capture began after. */
static bool syn_fits(const struct side *side, const struct segment *segment) {
    if (side->syn_seen)
        return side->initial == segment->sequence;
    int32_t behind = distance(segment->sequence + 1, side->next);
    return !side->synced || (behind >= 0 && behind <= SYN_LATE_MAX);
}

/* While the old connection lives, a SYN may be a stranger's. That it was meant is seen when the
 * other side agrees, or when it comes a second time. */
static bool syn_begins_anew(struct flow *flow, enum flow_side from, const struct packet *packet,
                            const struct segment *segment) {
    struct side *side = &flow->sides[from];
    const struct side *other = &flow->sides[!from];
    if (syn_fits(side, segment))
        return false;
    if (segment->flags & TCP_ACK)
        return flow_is_over(flow, packet) ||
               (other->rival_seen && segment->acknowledgment == other->rival + 1) ||
               (!side->syn_seen && !other->syn_seen);
    bool again = side->rival_seen && side->rival == segment->sequence;
    side->rival_seen = true;
    side->rival = segment->sequence;
    return again || flow_is_over(flow, packet) || !other->seen || !side->syn_seen;
}

/* A SYN|ACK that answers the SYN which the old connection got: the new one knows of that SYN. */
static void flow_inherit(struct flow *flow, const struct side *asked,
                         const struct segment *segment) {
    if (!(segment->flags & TCP_ACK) || !asked->rival_seen ||
        segment->acknowledgment != asked->rival + 1)
        return;
    struct side *side = &flow->sides[FLOW_INITIATOR];
    side->syn_seen = true;
    side->initial = asked->rival;
    if (asked->path_count > 0)
        side_learn(side, &asked->paths[0]);
}

/* Without MAC addresses a second handshake while the first connection lives is a second leg's. */
static bool is_second_leg(const struct flow *flow, const struct path *path,
                          const struct packet *packet) {
    return path->without_mac && !flow_is_over(flow, packet);
}

/* A proxy asks its server before it passes any octet on. */
static bool syn_is_of_second_leg(const struct side *side, const struct segment *segment) {
    return !(segment->flags & TCP_ACK) && side->syn_seen && side->highest == side->initial + 1 &&
           segment->sequence != side->initial;
}

static unsigned leg_count(const struct flows *flows, const struct flow *first) {
    unsigned count = 0;
    for (; first; first = flow_at(flows, first->leg_next))
        count++;
    return count;
}

/* Of too many legs the one that said nothing for the longest time. */
static void leg_make_room(struct flows *flows, struct flow *first) {
    if (leg_count(flows, first) < FLOW_LEGS_MAX)
        return;
    struct flow *oldest = first;
    for (struct flow *leg = first; leg; leg = flow_at(flows, leg->leg_next))
        if (leg->last_number < oldest->last_number)
            oldest = leg;
    flow_close(flows, oldest);
}

/* The flow of a SYN, or of a segment on a path that its connection has not used yet. */
static struct flow *flow_choose(struct flows *flows, struct flow *first, const struct path *path,
                                const struct packet *packet, const struct segment *segment,
                                uint32_t hash) {
    struct flow *flow = leg_choose(flows, first, path, packet, segment);
    if (!flow) {
        leg_make_room(flows, first);
        return flow_open(flows, packet, segment, hash);
    }
    enum flow_side from = flow_side_of(flow, segment);
    bool second = is_second_leg(flow, path, packet);
    if (!(segment->flags & TCP_SYN) ||
        (!(second && syn_is_of_second_leg(&flow->sides[from], segment)) &&
         !syn_begins_anew(flow, from, packet, segment)))
        return flow;
    struct side asked = flow->sides[!from];
    if (second)
        leg_make_room(flows, first);
    else
        flow_close(flows, flow);
    flow = flow_open(flows, packet, segment, hash);
    if (flow)
        flow_inherit(flow, &asked, segment);
    return flow;
}

/* Segments */

/* New octets in order, and acknowledgments of new ones, cannot have been seen before. */
static inline bool is_surely_new(const struct side *side, const struct segment *segment) {
    if (segment->flags & (TCP_SYN | TCP_FIN | TCP_RST) || !side->synced)
        return false;
    if (segment->payload_size > 0)
        return segment->sequence == side->highest;
    return side->acked_known && distance(side->acked, segment->acknowledgment) > 0;
}

/* A reset that the other side would believe ends the connection; what it sent before comes first.
 */
static void flow_reset(struct flows *flows, struct flow *flow, const struct segment_note *note) {
    int64_t far = note->sequence_distance;
    if (far > FLOW_HELD_MAX || far < -(int64_t)FLOW_HELD_MAX)
        return;
    flow->reset = true;
    stream_release(flows, flow);
}

static void flow_finish(struct flows *flows, struct flow *flow) {
    bool over = flow->reset || (flow->sides[0].fin_seen && flow->sides[1].fin_seen);
    if (over && flow->list == LIST_LIVE)
        list_move(flows, flow, LIST_FINISHED);
}

/* A segment that is not plain. Here as below out of line: plain ones need the registers. */
static __attribute__((noinline)) void flow_segment_other(struct flows *flows, struct flow *flow, enum flow_side from,
                                                         const struct packet *packet, const struct segment *segment) {
    struct side *side = &flow->sides[from];
    struct segment_note note = {.side = from};
    stream_note(flow, from, segment, &note);
    if (!is_surely_new(side, segment) && side_is_duplicate(side, packet, segment)) {
        note.duplicate = true;
        note.retransmission = note.keep_alive = false;
        flows->counts.duplicates++;
    } else {
        side_remember(side, packet, segment);
    }
    if (segment->flags & TCP_RST)
        flow_reset(flows, flow, &note);
    if (flow->ignored)
        return;
    flows->sink.segment(flow->user, packet, segment, &note);
    stream_take(flows, flow, from, packet, segment, &note);
    if (flow->ignored)
        return;
    if (flow->sides[0].early || flow->sides[1].early)
        stream_check_holes(flows, flow, packet);
    stream_look(flow);
    if (!flow->ignored && segment->flags & (TCP_FIN | TCP_RST))
        flow_finish(flows, flow);
}

static inline void flow_segment(struct flows *flows, struct flow *flow, enum flow_side from,
                                const struct packet *packet, const struct segment *segment) {
    flow->packets++;
    if (stream_is_plain(flow, from, segment)) {
        side_remember(&flow->sides[from], packet, segment);
        stream_take_plain(flows, flow, from, packet, segment);
    } else {
        flow_segment_other(flows, flow, from, packet, segment);
    }
}

/* Did the segment come by the path that the side used last? Field by field: a path that was just put together could not
 * be compared as one before its parts are written. */
static inline bool path_is(const struct side *side, const struct packet *packet, const struct segment *segment) {
    const struct path *path = &side->paths[0];
    uint32_t without_mac = segment->has_mac ? 0 : 1u + segment->ttl;
    uint64_t difference = macs_difference(&path->macs, &segment->macs) | (path->interface ^ packet->interface) |
                          (path->link_index ^ segment->link_index) | (path->without_mac ^ without_mac);

    return side->path_count > 0 && difference == 0;
}

/* Without addresses a segment far off may be another leg's. */
static bool is_far(const struct flow *flow, enum flow_side from, const struct segment *segment) {
    const struct side *side = &flow->sides[from];
    int32_t off = distance(side->highest, segment->sequence);
    return side->synced && (off > 1024 * 1024 || off < -1024 * 1024);
}

static inline void flow_continue(struct flows *flows, struct flow *flow, enum flow_side from,
                                 const struct packet *packet, const struct segment *segment) {
    flow->last_number = packet->number;
    flow->last_ns = packet->time_ns;
    if (!flow->ignored)
        flow_segment(flows, flow, from, packet, segment);
}

/* A segment that begins a connection, is of one of several legs, or comes on another path than its sender used last. */
static __attribute__((noinline)) void flows_segment_other(struct flows *flows, struct flow *first,
                                                          const struct packet *packet,
                                                          const struct segment *segment) {
    struct path path = path_of(packet, segment);
    uint32_t hash = segment_hash(flows, segment);
    struct flow *flow = first ? flow_choose(flows, first, &path, packet, segment, hash)
                              : flow_open(flows, packet, segment, hash);
    if (!flow) { /* as if the packet had not been captured */
        flows->counts.no_memory++;
        return;
    }
    enum flow_side from = flow_side_of(flow, segment);
    if (!path_is(&flow->sides[from], packet, segment))
        side_learn(&flow->sides[from], &path);
    flow_continue(flows, flow, from, packet, segment);
}

void flows_segment(struct flows *flows, const struct packet *packet,
                   const struct segment *segment) {
    if (packet->time_ns - flows->swept_ns >= SWEEP_NS)
        flows_sweep(flows, packet->time_ns, SWEEP_MAX);
    struct flow *first = flows->last;
    enum flow_side from = first ? flow_side_of(first, segment) : FLOW_INITIATOR;
    if (!first || !flow_has(first, from, segment)) {
        first = flows->last = flows_find(flows, segment, segment_hash(flows, segment));
        from = first ? flow_side_of(first, segment) : FLOW_INITIATOR;
    }
    bool single = first && first->leg_next == FLOW_NONE && !(segment->flags & TCP_SYN);
    if (single && (first->ignored || (path_is(&first->sides[from], packet, segment) &&
                                      (segment->has_mac || !is_far(first, from, segment)))))
        flow_continue(flows, first, from, packet, segment);
    else
        flows_segment_other(flows, first, packet, segment);
}

struct flows *flows_new(const struct flow_sink *sink) {
    struct flows *flows = calloc(1, sizeof *flows);
    if (!flows)
        return NULL;
    flows->sink = *sink;
    flows->free_list = FLOW_NONE;
    for (unsigned i = 0; i < LISTS; i++)
        flows->newest[i] = flows->oldest[i] = FLOW_NONE;
    flows->slots = calloc(SLOTS, sizeof *flows->slots);
    flows->blocks = calloc(BLOCKS, sizeof(struct flow *));
    if (getrandom(&flows->seed, sizeof flows->seed, GRND_NONBLOCK) != (ssize_t)sizeof flows->seed)
        flows->seed = (uint64_t)(uintptr_t)flows->slots;
    if (flows->slots && flows->blocks)
        return flows;
    flows_free(flows);
    return NULL;
}

static int by_first_packet(const void *a, const void *b) {
    const struct flow *const *one = a, *const *two = b;
    return (*one)->first_number < (*two)->first_number
               ? -1
               : (*one)->first_number > (*two)->first_number;
}

static size_t flows_collect(const struct flows *flows, struct flow **open) {
    size_t count = 0;
    for (unsigned list = 0; list < LISTS; list++)
        for (struct flow *flow = flow_at(flows, flows->oldest[list]); flow;
             flow = flow_at(flows, flow->newer))
            open[count++] = flow;
    qsort(open, count, sizeof(struct flow *), by_first_packet);
    return count;
}

void flows_finish(struct flows *flows) {
    struct flow **open = calloc(flows->open_count + 1u, sizeof(struct flow *));
    if (open) {
        size_t count = flows_collect(flows, open);
        for (size_t i = 0; i < count; i++)
            flow_close(flows, open[i]);
        free(open);
    }
    while (flows_evict(flows)) /* without memory to sort, in any order */
        ;
}

/* What is still open is let go without a word: the sink may be gone. */
void flows_free(struct flows *flows) {
    if (!flows)
        return;
    for (uint32_t i = 0; i < flows->block_count; i++) {
        for (uint32_t j = 0; j < BLOCK_FLOWS; j++) {
            stream_free(flows, &flows->blocks[i][j].sides[FLOW_INITIATOR]);
            stream_free(flows, &flows->blocks[i][j].sides[FLOW_RESPONDER]);
        }
        free(flows->blocks[i]);
    }
    free(flows->blocks);
    free(flows->slots);
    free(flows);
}

void flows_counts(const struct flows *flows, struct flow_counts *counts) {
    *counts = flows->counts;
}
