#include "explain/pairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "explain/compare.h"
#include "explain/facts.h"
#include "explain/grown.h"

/* What is kept of each record of two files to find its partner. */
#define MARKS_MAX 6u
/* Messages of a leg that no other connection has, kept to find the other leg. */
#define LEG_MARKS_MAX 6u
#define LEG_SLOTS 8192u

/* In two files what retries of one client have in common, too, is enough for a connection that ended before there was
 * more to compare. */
#define LIKENESS_WEAK_MIN 3u

struct mark {
    uint64_t digest;
    uint32_t record, file;
};

struct choice {
    uint32_t record; /* its partner */
    uint32_t likeness;
    bool is_server;
};

/* What tells one leg from another connection, and from a replay of it. */
struct leg {
    struct endpoint client, server;
    uint64_t first_packet, first_time_ns, last_time_ns;
    uint64_t digests[LEG_MARKS_MAX], times[LEG_MARKS_MAX];
    uint8_t from[LEG_MARKS_MAX];
    uint64_t asked_ns, answered_ns; /* NEGOTIATE, of SMB1 where there was no other; 0 not seen */
    uint64_t closed_ns;             /* by the server; 0 it did not */
    uint64_t answer;                /* digest of the NEGOTIATE response; 0 none */
    bool only_smb1, salted;         /* salted: no other connection got that answer */
    uint8_t guid[16];               /* of the client; zero where there is none */
    uint8_t mac[6], ttl, marks;
    uint32_t record, interface, isn;
};

/* Where a leg is found by something that it has in common with another. Small, as most of the legs are in no cache. */
struct leg_slot {
    uint32_t number; /* legs_seen of the leg that was last put here; 0 none */
    uint32_t mark;   /* of what it has: the upper half */
};

struct pairs {
    bool two_files;
    struct grown marks;   /* struct mark */
    struct grown choices; /* struct choice, one for each record */
    uint64_t legs_seen;
    struct leg legs[LEGS_RECENT_MAX];
    struct leg_slot slots[LEG_SLOTS];
};

struct pairs *pairs_new(bool two_files) {
    struct pairs *pairs = calloc(1, sizeof *pairs);

    if (pairs == NULL)
        return NULL;
    pairs->two_files = two_files;
    grown_init(&pairs->marks, sizeof(struct mark));
    grown_init(&pairs->choices, sizeof(struct choice));
    return pairs;
}

void pairs_free(struct pairs *pairs) {
    if (pairs == NULL)
        return;
    grown_free(&pairs->marks);
    grown_free(&pairs->choices);
    free(pairs);
}

static struct choice *choice_of(const struct pairs *pairs, size_t record) {
    return grown_at(&pairs->choices, record);
}

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const uint8_t *octets = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ octets[i]) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

static uint64_t endpoints_mark(const struct endpoint *client, const struct endpoint *server) {
    uint64_t hash = mix(mix(362436069u, client->address, 16), &client->port, 2);

    return mix(mix(hash, server->address, 16), &server->port, 2);
}

static uint64_t guid_mark(const uint8_t guid[16]) {
    return mix(1469598103934665603u, guid, 16);
}

static uint64_t host_mark(const struct endpoint *endpoint) {
    return mix(521288629u, endpoint->address, sizeof endpoint->address);
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b) {
    return a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* The time of the client's first message; 0 where there was none. */
static uint64_t first_request_ns(const struct evidence *evidence) {
    for (uint32_t i = 0; i < evidence->log_count; i++)
        if (evidence->log[i].from == FROM_CLIENT)
            return evidence->log[i].time_ns;
    return 0;
}

static void leg_of(const struct evidence *evidence, size_t record, struct leg *leg) {
    *leg = (struct leg){
        .client = evidence->client,
        .server = evidence->server,
        .first_packet = evidence->first_packet,
        .first_time_ns = evidence->first_time_ns,
        .last_time_ns = evidence->last_time_ns,
        .ttl = evidence->tcp[FROM_CLIENT].ttl,
        .record = (uint32_t)record,
        .interface = evidence->interface,
        .isn = evidence->tcp[FROM_CLIENT].isn,
    };

    leg->only_smb1 = evidence->negotiate.smb1_request_packet != 0 && evidence->negotiate.requests == 0;
    leg->asked_ns = leg->only_smb1 ? first_request_ns(evidence) : evidence->negotiate.request.time_ns;
    /* What is answered in SMB1 need not be a message that can be read: Linux's ksmbd 6.1 frames it twice. */
    leg->answered_ns =
        leg->only_smb1 ? evidence->tcp[FROM_SERVER].last_data_time_ns : evidence->negotiate.response.time_ns;
    leg->closed_ns = evidence->tcp[FROM_SERVER].fin.packet != 0 ? evidence->tcp[FROM_SERVER].fin.time_ns
                                                               : evidence->tcp[FROM_SERVER].rst.time_ns;
    leg->answer = compare_answer(evidence);
    leg->salted = compare_answer_is_singular(evidence);
    memcpy(leg->guid, evidence->negotiate.request.guid, sizeof leg->guid);
    memcpy(leg->mac, evidence->tcp[FROM_CLIENT].mac, sizeof leg->mac);
    for (uint32_t i = 0; i < evidence->log_count && leg->marks < LEG_MARKS_MAX; i++) {
        if (!compare_is_singular(&evidence->log[i]))
            continue;
        leg->digests[leg->marks] = evidence->log[i].digest;
        leg->times[leg->marks] = evidence->log[i].time_ns;
        leg->from[leg->marks++] = evidence->log[i].from;
    }
}

/* Which leg had something first, by the end that it came from. */
struct order {
    bool seen[2], a_first[2], b_first[2];
};

static void order_note(struct order *order, enum direction from, uint64_t a_ns, uint64_t b_ns) {
    order->seen[from] = true;
    order->a_first[from] |= a_ns < b_ns;
    order->b_first[from] |= b_ns < a_ns;
}

/* A box that alters whatever one end sends leaves only NEGOTIATE to tell the order of that direction. */
static void order_note_negotiate(struct order *order, const struct leg *a, const struct leg *b) {
    if (!order->seen[FROM_CLIENT] && order->seen[FROM_SERVER] && a->asked_ns != 0 && b->asked_ns != 0)
        order_note(order, FROM_CLIENT, a->asked_ns, b->asked_ns);
    else if (!order->seen[FROM_SERVER] && order->seen[FROM_CLIENT] && a->answered_ns != 0 && b->answered_ns != 0)
        order_note(order, FROM_SERVER, a->answered_ns, b->answered_ns);
}

/* On the way a request passes the client's leg first and an answer the server's. A replay, or a retry, lags in both. */
static bool passes_both(const struct leg *a, const struct leg *b) {
    struct order order = {0};

    for (unsigned i = 0; i < a->marks; i++)
        for (unsigned j = 0; j < b->marks; j++)
            if (a->digests[i] == b->digests[j] && a->from[i] == b->from[j])
                order_note(&order, a->from[i], a->times[i], b->times[j]);
    order_note_negotiate(&order, a, b);
    if (!order.seen[FROM_CLIENT] || !order.seen[FROM_SERVER])
        return false;
    return !(order.a_first[0] && order.a_first[1]) && !(order.b_first[0] && order.b_first[1]);
}

/* One NEGOTIATE and its refusal, or the end without an answer, lie within the other in time. */
static bool is_within(const struct leg *inner, const struct leg *outer) {
    bool answered = inner->answered_ns != 0 && outer->answered_ns != 0;

    return outer->asked_ns <= inner->asked_ns &&
           (answered ? inner->answered_ns <= outer->answered_ns : inner->closed_ns <= outer->closed_ns);
}

/* Whom the one connection asked made the other: a box between them. */
static bool is_handed_on(const struct leg *from, const struct leg *to) {
    return memcmp(from->server.address, to->client.address, sizeof from->server.address) == 0 && is_within(to, from);
}

static bool same_client(const struct leg *a, const struct leg *b) {
    return guid_known(a->guid) && memcmp(a->guid, b->guid, sizeof a->guid) == 0;
}

/* The same of a client that is not answered, because the box between them keeps the answer. */
static bool is_kept(const struct leg *from, const struct leg *to) {
    return from->answered_ns == 0 && to->answered_ns != 0 && from->asked_ns <= to->asked_ns &&
           memcmp(from->server.address, to->client.address, sizeof from->server.address) == 0;
}

/* Of connections that ended with NEGOTIATE nothing is left to compare but who asked, when, and where it was seen. SMB1
 * does not say who asks. */
static bool are_legs_of_refusal(const struct leg *a, const struct leg *b) {
    if (a->marks > 0 || b->marks > 0 || a->interface == b->interface || a->asked_ns == 0 || b->asked_ns == 0)
        return false;
    if ((a->answered_ns == 0) != (b->answered_ns == 0))
        return same_client(a, b) && (is_kept(a, b) || is_kept(b, a));
    if (a->answered_ns == 0 && (a->closed_ns == 0 || b->closed_ns == 0))
        return false;
    if (a->only_smb1 && b->only_smb1)
        return is_handed_on(a, b) || is_handed_on(b, a);
    return same_client(a, b) && (is_within(a, b) || is_within(b, a));
}

/* The same client got the same answer at the same time: so it is where the messages behind NEGOTIATE were altered, and
 * there are not many. */
static bool are_legs_of_answer(const struct leg *a, const struct leg *b) {
    if (a->answer == 0 || a->answer != b->answer || a->interface == b->interface || !same_client(a, b))
        return false;
    return is_handed_on(a, b) || is_handed_on(b, a) || (a->salted && (is_within(a, b) || is_within(b, a)));
}

static bool are_legs(const struct leg *a, const struct leg *b) {
    bool same_ends = same_endpoint(&a->client, &b->client) && same_endpoint(&a->server, &b->server);
    bool other_path = a->interface != b->interface || memcmp(a->mac, b->mac, 6) != 0 || a->isn != b->isn ||
                      a->ttl != b->ttl;

    if (!other_path || a->first_time_ns > b->last_time_ns || b->first_time_ns > a->last_time_ns)
        return false;
    return same_ends || passes_both(a, b) || are_legs_of_refusal(a, b) || are_legs_of_answer(a, b);
}

/* The client's leg: the one whose client is nearer (TTL), else the one where the connection was seen first. */
static bool is_client_leg(const struct leg *a, const struct leg *b) {
    unsigned a_hops = ttl_hops(a->ttl), b_hops = ttl_hops(b->ttl);

    if (a->ttl != 0 && b->ttl != 0 && a_hops != b_hops)
        return a_hops < b_hops;
    if (a->first_time_ns != b->first_time_ns)
        return a->first_time_ns < b->first_time_ns;
    return a->first_packet < b->first_packet;
}

static bool join(struct pairs *pairs, const struct leg *a, const struct leg *b) {
    struct choice *mine = choice_of(pairs, a->record), *theirs = choice_of(pairs, b->record);

    if (a->record == b->record || mine->likeness > 0 || theirs->likeness > 0 || !are_legs(a, b))
        return false;
    *mine = (struct choice){b->record, LIKENESS_SINGULAR, !is_client_leg(a, b)};
    *theirs = (struct choice){a->record, LIKENESS_SINGULAR, !mine->is_server};
    return true;
}

/* Looks among the legs that ended last for the other one, by what they have in common. */
static void note_leg(struct pairs *pairs, const struct evidence *evidence, size_t record) {
    struct leg *leg = &pairs->legs[pairs->legs_seen++ % LEGS_RECENT_MAX];
    uint64_t keys[LEG_MARKS_MAX + 4];
    unsigned count = 0;

    leg_of(evidence, record, leg);
    keys[count++] = endpoints_mark(&leg->client, &leg->server);
    if (leg->marks == 0 && guid_known(leg->guid))
        keys[count++] = guid_mark(leg->guid);
    if (leg->marks == 0 && leg->only_smb1) {
        keys[count++] = host_mark(&leg->client);
        keys[count++] = host_mark(&leg->server);
    }
    for (unsigned i = 0; i < leg->marks; i++)
        keys[count++] = leg->digests[i];
    if (leg->answer != 0)
        keys[count++] = leg->answer;
    for (unsigned i = 0; i < count; i++) {
        const struct leg_slot *slot = &pairs->slots[keys[i] % LEG_SLOTS];

        if (slot->number != 0 && slot->mark == (uint32_t)(keys[i] >> 32) &&
            pairs->legs_seen - slot->number < LEGS_RECENT_MAX)
            join(pairs, leg, &pairs->legs[(slot->number - 1) % LEGS_RECENT_MAX]);
    }
    for (unsigned i = 0; i < count; i++)
        pairs->slots[keys[i] % LEG_SLOTS] = (struct leg_slot){(uint32_t)pairs->legs_seen, (uint32_t)(keys[i] >> 32)};
}

static int add_mark(struct pairs *pairs, uint64_t digest, size_t record, uint32_t file) {
    struct mark *mark = grown_add(&pairs->marks);

    if (mark == NULL)
        return -ENOMEM;
    *mark = (struct mark){digest, (uint32_t)record, file};
    return 0;
}

/* SESSION_SETUP messages carry challenges and session ids; the ClientGuid serves those that got no further. */
static int note_marks(struct pairs *pairs, const struct evidence *evidence, size_t record) {
    unsigned kept = 0;
    int error = add_mark(pairs, endpoints_mark(&evidence->client, &evidence->server), record, evidence->file);

    for (uint32_t i = 0; i < evidence->log_count && kept < MARKS_MAX && error == 0; i++) {
        const struct log_entry *entry = &evidence->log[i];

        if (!compare_is_singular(entry) && entry->command != SMB2_NEGOTIATE)
            continue;
        if (entry->digest == 0)
            continue;
        kept++;
        error = add_mark(pairs, entry->digest, record, evidence->file);
    }
    if (evidence->negotiate.request.decoded && error == 0)
        error = add_mark(pairs, guid_mark(evidence->negotiate.request.guid), record, evidence->file);
    return error;
}

int pairs_note(struct pairs *pairs, const struct evidence *evidence, size_t record) {
    struct choice *choice = grown_add(&pairs->choices);

    if (choice == NULL)
        return -ENOMEM;
    *choice = (struct choice){0};
    if (pairs->two_files)
        return note_marks(pairs, evidence, record);
    note_leg(pairs, evidence, record);
    return 0;
}

static int by_digest(const void *a, const void *b) {
    const struct mark *x = a, *y = b;

    if (x->digest != y->digest)
        return x->digest < y->digest ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

static int consider(struct pairs *pairs, struct spill *spill, uint32_t near, uint32_t far, struct evidence both[2]) {
    struct choice *mine = choice_of(pairs, near), *theirs = choice_of(pairs, far);
    int error = spill_get(spill, near, &both[0]);
    unsigned likeness, enough;

    if (error == 0)
        error = spill_get(spill, far, &both[1]);
    if (error != 0)
        return error;
    likeness = compare_likeness(&both[0], &both[1]);
    enough = both[0].sessions_count == 0 || both[1].sessions_count == 0 ? LIKENESS_WEAK_MIN : LIKENESS_SINGULAR;
    if (likeness < enough || likeness <= mine->likeness || likeness <= theirs->likeness)
        return 0;
    *mine = (struct choice){far, likeness, false};
    *theirs = (struct choice){near, likeness, false};
    return 0;
}

static bool is_mutual(const struct pairs *pairs, size_t record) {
    const struct choice *choice = choice_of(pairs, record);
    const struct choice *other;

    if (choice->likeness == 0)
        return false;
    other = choice_of(pairs, choice->record);
    return other->likeness == choice->likeness && other->record == record;
}

/* Which file is the client's: where a TTL shows its end to be near; else the one given first. */
static bool second_is_server(const struct evidence *a, const struct evidence *b) {
    unsigned a_hops = ttl_hops(a->tcp[FROM_CLIENT].ttl), b_hops = ttl_hops(b->tcp[FROM_CLIENT].ttl);

    if (a->tcp[FROM_CLIENT].ttl != 0 && b->tcp[FROM_CLIENT].ttl != 0 && a_hops != b_hops)
        return a_hops < b_hops;
    return a->file < b->file;
}

static int find_sides(struct pairs *pairs, struct spill *spill, struct evidence both[2]) {
    int error = 0;

    for (size_t i = 0; i < grown_count(&pairs->choices) && error == 0; i++) {
        struct choice *choice = choice_of(pairs, i);

        if (!is_mutual(pairs, i) || choice->record < i)
            continue;
        error = spill_get(spill, i, &both[0]);
        if (error == 0)
            error = spill_get(spill, choice->record, &both[1]);
        choice->is_server = !second_is_server(&both[0], &both[1]);
        choice_of(pairs, choice->record)->is_server = !choice->is_server;
    }
    return error;
}

int pairs_find(struct pairs *pairs, struct spill *spill) {
    size_t count = grown_count(&pairs->marks);
    const struct mark *marks = count > 0 ? grown_at(&pairs->marks, 0) : NULL;
    struct evidence *both;
    int error = 0;

    if (!pairs->two_files || count == 0)
        return 0;
    both = malloc(2 * sizeof *both);
    if (both == NULL)
        return -ENOMEM;
    qsort(grown_at(&pairs->marks, 0), count, sizeof(struct mark), by_digest);
    for (size_t i = 0; i < count && error == 0; i++)
        for (size_t j = i + 1; j < count && j < i + PAIR_CANDIDATES_MAX && error == 0; j++) {
            if (marks[i].digest != marks[j].digest)
                break;
            if (marks[i].file != marks[j].file && choice_of(pairs, marks[i].record)->record != marks[j].record)
                error = consider(pairs, spill, marks[i].record, marks[j].record, both);
            else if (marks[i].file != marks[j].file && choice_of(pairs, marks[i].record)->likeness == 0)
                error = consider(pairs, spill, marks[i].record, marks[j].record, both);
        }
    if (error == 0)
        error = find_sides(pairs, spill, both);
    free(both);
    return error;
}

uint32_t pairs_partner(const struct pairs *pairs, size_t record, bool *is_server) {
    if (!is_mutual(pairs, record))
        return PAIR_NONE;
    *is_server = choice_of(pairs, record)->is_server;
    return choice_of(pairs, record)->record;
}
