/* Which leg of a connection a segment belongs to, and whether it is a copy of another.
 *
 * Seen in real files: a transparent proxy (the same addresses and ports on both legs, other
 * sequence numbers and MAC addresses), a box or router in line (the same sequence numbers, every
 * packet twice, other MAC addresses or TTL), one interface per leg, and mirror ports that copy
 * packets as they are. One leg may still use several paths: taps with an interface per direction,
 * asymmetric routes, a router's failover. */
#include "capture/flow.h"

#include <string.h>

/* Sequence numbers nearer than this may belong together. */
#define LEG_NEAR (1024 * 1024)
/* Copies without an IP id or a time stamp that would show that they are copies come within this
 * time: */
#define COPY_BLIND_NS      (20ull * 1000000ull)
#define DUPLICATE_BLIND_NS (1ull * 1000000ull)
/* A SYN that is sent again comes no sooner (RFC 6298: 1 s, some systems less). */
#define SYN_AGAIN_NS (200ull * 1000000ull)

bool side_knows(const struct side *side, const struct path *path) {
    for (unsigned i = 0; i < side->path_count; i++)
        if (path_equal(&side->paths[i], path))
            return true;
    return false;
}

/* The newest goes first, where it is looked for first. */
void side_learn(struct side *side, const struct path *path) {
    unsigned kept = side->path_count < FLOW_PATHS ? side->path_count : FLOW_PATHS - 1;
    for (unsigned i = 0; i < kept; i++)
        if (path_equal(&side->paths[i], path))
            kept = i;
    if (kept >= side->path_count)
        side->path_count++;
    memmove(side->paths + 1, side->paths, kept * sizeof *side->paths);
    side->paths[0] = *path;
}

void side_remember(struct side *side, const struct packet *packet, const struct segment *segment) {
    side->recent[side->recent_at] = (struct recent){
        .time_ns = packet->time_ns,
        .sequence = segment->sequence,
        .acknowledgment = segment->acknowledgment,
        .size = segment->payload_size,
        .timestamp = segment->timestamp,
        .ip_id = segment->ip_id,
        .window = segment->window,
        .flags = segment->flags,
        .ttl = segment->ttl,
        .used = true,
    };
    side->recent_at = (uint8_t)((side->recent_at + 1u) % FLOW_RECENT);
}

static bool recent_matches(const struct recent *recent, const struct packet *packet,
                           const struct segment *segment) {
    return recent->sequence == segment->sequence && recent->used &&
           recent->size == segment->payload_size &&
           recent->acknowledgment == segment->acknowledgment && recent->flags == segment->flags &&
           time_within(recent->time_ns, packet->time_ns, FLOW_COPY_NS);
}

/* Sent again, a segment has another IP id; a stack that leaves it 0 leaves only the time to tell.
 */
static bool recent_is_duplicate(const struct recent *recent, const struct packet *packet,
                                const struct segment *segment) {
    if (!recent_matches(recent, packet, segment) || recent->ttl != segment->ttl ||
        recent->window != segment->window || recent->timestamp != segment->timestamp)
        return false;
    if (recent->ip_id != 0 || segment->ip_id != 0)
        return recent->ip_id == segment->ip_id;
    return time_within(recent->time_ns, packet->time_ns, DUPLICATE_BLIND_NS);
}

bool side_is_duplicate(const struct side *side, const struct packet *packet,
                       const struct segment *segment) {
    for (unsigned i = 0; i < FLOW_RECENT; i++)
        if (recent_is_duplicate(&side->recent[i], packet, segment))
            return true;
    return false;
}

/* On the way through a box TTL, addresses and even the IP id may change; a time stamp does not, but
 * says less where the sender's clock is slow. */
static bool recent_is_repeated(const struct recent *recent, const struct packet *packet,
                               const struct segment *segment) {
    if (!recent_matches(recent, packet, segment))
        return false;
    if (recent->ip_id != 0 && recent->ip_id == segment->ip_id)
        return true;
    if (segment->has_timestamp)
        return recent->timestamp == segment->timestamp && segment->payload_size > 0;
    return time_within(recent->time_ns, packet->time_ns, COPY_BLIND_NS);
}

static const struct recent *recent_syn(const struct side *side, uint32_t initial) {
    for (unsigned i = 0; i < FLOW_RECENT; i++)
        if (side->recent[i].used && (side->recent[i].flags & TCP_SYN) &&
            side->recent[i].sequence == initial)
            return &side->recent[i];
    return NULL;
}

/* A second handshake on another path is another leg's; unless the first had no answer, and its SYN
 * is sent again over a path that changed. */
static bool syn_is_repeated(const struct side *side, const struct packet *packet,
                            const struct segment *segment) {
    if (!side->syn_seen)
        return false;
    const struct recent *recent = recent_syn(side, segment->sequence);
    if (!recent || segment->sequence != side->initial)
        return true;
    bool again = !time_within(recent->time_ns, packet->time_ns, SYN_AGAIN_NS);
    return !again || recent->ip_id == segment->ip_id;
}

bool side_is_repeated(const struct side *side, const struct packet *packet,
                      const struct segment *segment) {
    if (segment->flags & TCP_SYN)
        return syn_is_repeated(side, packet, segment);
    for (unsigned i = 0; i < FLOW_RECENT; i++)
        if (recent_is_repeated(&side->recent[i], packet, segment))
            return true;
    return false;
}

/* How far a segment is from where the leg's directions stand; 0 fits exactly. */
static uint64_t leg_distance(const struct flow *flow, enum flow_side from,
                             const struct segment *segment) {
    const struct side *side = &flow->sides[from], *other = &flow->sides[!from];
    uint64_t total = 0;
    if (side->synced) {
        int64_t off =
            distance(side->highest, segment->sequence + (segment->flags & TCP_SYN ? 1 : 0));
        total += (uint64_t)(off < 0 ? -off : off);
    }
    if (other->synced && segment->flags & TCP_ACK) {
        int64_t off = distance(other->highest, segment->acknowledgment);
        total += (uint64_t)(off < 0 ? -off : off);
    }
    return total;
}

static bool mac_set(const uint8_t mac[6]) {
    static const uint8_t none[6];
    return memcmp(mac, none, 6) != 0;
}

/* How well `path` goes with a path of the other direction: 4 its reverse ... 0 nothing in common.
 */
static unsigned path_grade(const struct path *path, const struct path *reverse) {
    bool same_place =
        path->interface == reverse->interface && path->link_index == reverse->link_index;
    bool macs = !path->without_mac && !reverse->without_mac;
    bool there = macs && mac_set(path->macs.source) &&
                 memcmp(path->macs.source, reverse->macs.destination, 6) == 0;
    bool back = macs && mac_set(path->macs.destination) &&
                memcmp(path->macs.destination, reverse->macs.source, 6) == 0;
    if (!same_place)
        return there && back ? 1 : 0;
    return there && back ? 4 : there || back ? 3 : 2;
}

static unsigned leg_grade(const struct flow *flow, enum flow_side from, const struct path *path) {
    const struct side *other = &flow->sides[!from];
    unsigned best = 0;
    for (unsigned i = 0; i < other->path_count; i++) {
        unsigned grade = path_grade(path, &other->paths[i]);
        if (grade > best)
            best = grade;
    }
    return best;
}

static bool path_shares_mac(const struct path *a, const struct path *b) {
    return memcmp(a->macs.source, b->macs.source, 6) == 0 ||
           memcmp(a->macs.source, b->macs.destination, 6) == 0 ||
           memcmp(a->macs.destination, b->macs.source, 6) == 0 ||
           memcmp(a->macs.destination, b->macs.destination, 6) == 0;
}

static bool leg_shares_mac(const struct flow *flow, const struct path *path) {
    for (unsigned from = 0; from < 2; from++)
        for (unsigned i = 0; i < flow->sides[from].path_count; i++)
            if (path_shares_mac(path, &flow->sides[from].paths[i]))
                return true;
    return false;
}

/* A capture that begins in the middle shows no handshake: then a segment is another leg's where it
 * fits this leg's numbers in neither direction, on machines that the leg does not know or by a long
 * way. A reset is believed to be the leg's, since a forged one looks exactly so. */
static bool leg_is_alien(const struct flow *flow, enum flow_side from, const struct path *path,
                         const struct segment *segment) {
    const struct side *side = &flow->sides[from], *other = &flow->sides[!from];
    if (segment->flags & (TCP_RST | TCP_SYN) || !side->synced || !other->synced ||
        !side->path_count)
        return false;
    int32_t ahead = distance(side->highest, segment->sequence);
    int32_t acks = distance(other->highest, segment->acknowledgment);
    if (!path->without_mac && !leg_shares_mac(flow, path))
        return ahead != 0 && acks != 0;
    return (ahead < -LEG_NEAR || ahead > LEG_NEAR) && (acks < -LEG_NEAR || acks > LEG_NEAR);
}

/* Without MAC addresses both legs look the same: the one whose numbers are nearest. */
static struct flow *leg_known(struct flows *flows, struct flow *first, const struct path *path,
                              const struct segment *segment) {
    struct flow *best = NULL;
    uint64_t best_distance = UINT64_MAX;
    for (struct flow *leg = first; leg; leg = flow_at(flows, leg->leg_next)) {
        enum flow_side from = flow_side_of(leg, segment);
        bool silent = path->without_mac && leg->sides[from].path_count == 0;
        if (!silent && !side_knows(&leg->sides[from], path))
            continue;
        uint64_t far = leg_distance(leg, from, segment);
        if (far <= best_distance) {
            best = leg;
            best_distance = far;
        }
    }
    return best;
}

struct flow *leg_choose(struct flows *flows, struct flow *first, const struct path *path,
                        const struct packet *packet, const struct segment *segment) {
    struct flow *best = leg_known(flows, first, path, segment);
    unsigned best_grade = 0;
    uint64_t best_distance = UINT64_MAX;
    if (best &&
        !(path->without_mac && leg_is_alien(best, flow_side_of(best, segment), path, segment)))
        return best;
    best = NULL;
    for (struct flow *leg = first; leg; leg = flow_at(flows, leg->leg_next)) {
        enum flow_side from = flow_side_of(leg, segment);
        bool known = leg->sides[from].path_count == 0 || side_knows(&leg->sides[from], path);
        if ((!known && side_is_repeated(&leg->sides[from], packet, segment)) ||
            leg_is_alien(leg, from, path, segment))
            continue;
        unsigned grade = leg_grade(leg, from, path);
        uint64_t far = leg_distance(leg, from, segment);
        /* Of equals the newest: the answer passes the server's leg, which opened last, first. */
        if (!best || grade > best_grade || (grade == best_grade && far <= best_distance)) {
            best = leg;
            best_grade = grade;
            best_distance = far;
        }
    }
    return best;
}
