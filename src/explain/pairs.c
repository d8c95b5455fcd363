#include "explain/pairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "explain/compare.h"
#include "explain/facts.h"

/* What is kept of each record to find its partner: digests of messages that no two connections share. */
#define MARKS_MAX 6u

struct mark {
    uint64_t digest;
    uint32_t record;
    uint32_t file;
};

struct choice {
    uint32_t record;
    unsigned likeness;
    bool is_server;
};

struct pairs {
    struct mark *marks;
    size_t count, room;
    struct choice *best; /* one for each record */
    size_t records;
};

struct pairs *pairs_new(void) {
    return calloc(1, sizeof(struct pairs));
}

static int add_mark(struct pairs *marks, uint64_t digest, uint32_t record, uint32_t file) {
    if (marks->count == marks->room) {
        size_t room = marks->room ? 2 * marks->room : 1024;
        struct mark *grown = realloc(marks->marks, room * sizeof *grown);

        if (grown == NULL)
            return -ENOMEM;
        marks->marks = grown;
        marks->room = room;
    }
    marks->marks[marks->count++] = (struct mark){digest, record, file};
    return 0;
}

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const uint8_t *octets = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ octets[i]) * 0x100000001b3u;
    return hash;
}

/* SESSION_SETUP messages carry challenges and random session ids; the ClientGuid serves those that got no further.
 * One salt per kind, so that they do not meet. */
int pairs_note(struct pairs *marks, const struct evidence *evidence, size_t number) {
    uint32_t record = (uint32_t)number;
    unsigned kept = 0;
    int error = 0;

    marks->records = number + 1;
    for (uint32_t i = 0; i < evidence->log_count && kept < MARKS_MAX; i++) {
        const struct log_entry *entry = &evidence->log[i];

        if (entry->digest == 0 || entry->size < 80 ||
            (entry->command != SMB2_SESSION_SETUP && entry->command != SMB2_NEGOTIATE && !entry->validate))
            continue;
        kept++;
        error = error ? error : add_mark(marks, entry->digest, record, evidence->file);
    }
    if (evidence->negotiate.request.decoded)
        error = error ? error
                      : add_mark(marks, mix(1469598103934665603u, evidence->negotiate.request.guid, 16), record,
                                 evidence->file);
    if (evidence->sessions_count > 0 && evidence->sessions[0].session_id != 0)
        error = error ? error
                      : add_mark(marks, mix(88172645463325252u, &evidence->sessions[0].session_id, 8), record,
                                 evidence->file);
    if (evidence->tcp[FROM_CLIENT].syn_packet != 0)
        error = error ? error
                      : add_mark(marks, mix(mix(362436069u, &evidence->tcp[FROM_CLIENT].isn, 4), &evidence->client, sizeof evidence->client), record,
                                 evidence->file);
    return error;
}

static int by_digest(const void *a, const void *b) {
    const struct mark *x = a, *y = b;

    if (x->digest != y->digest)
        return x->digest < y->digest ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

/* Two connections of one file cannot be two legs of one unless they run at the same time on different paths. */
static bool can_be_legs(const struct evidence *a, const struct evidence *b) {
    if (a->file != b->file)
        return true;
    return a->first_time_ns <= b->last_time_ns && b->first_time_ns <= a->last_time_ns &&
           (a->interface != b->interface || memcmp(a->tcp[0].mac, b->tcp[0].mac, 6) != 0 ||
            a->tcp[0].isn != b->tcp[0].isn);
}

/* What retries of one client have in common, too, is enough only between two files, for a connection that ended before
 * there was more to compare. */
#define LIKENESS_WEAK_MIN 3u

static unsigned enough(const struct evidence *a, const struct evidence *b) {
    bool early = a->sessions_count == 0 || b->sessions_count == 0;

    return a->file != b->file && early ? LIKENESS_WEAK_MIN : LIKENESS_SINGULAR;
}

static int consider(struct spill *spill, uint32_t record, uint32_t other, struct evidence *a, struct evidence *b,
                    struct choice *best) {
    int error = spill_get(spill, record, a);
    unsigned likeness;

    if (error == 0)
        error = spill_get(spill, other, b);
    if (error != 0 || !can_be_legs(a, b))
        return error;
    likeness = compare_likeness(a, b);
    if (likeness >= enough(a, b) && likeness > best[record].likeness && likeness > best[other].likeness) {
        best[record] = (struct choice){other, likeness, false};
        best[other] = (struct choice){record, likeness, false};
    }
    return 0;
}

/* The client's side: where the connection's first message came first (one file), where its end is near (TTL), where
 * the handshake answers at once; else the file given first. */
static bool second_is_server(const struct evidence *a, const struct evidence *b) {
    unsigned a_hops = ttl_hops(a->tcp[FROM_CLIENT].ttl), b_hops = ttl_hops(b->tcp[FROM_CLIENT].ttl);

    if (a->tcp[FROM_CLIENT].ttl != 0 && b->tcp[FROM_CLIENT].ttl != 0 && a_hops != b_hops)
        return a_hops < b_hops;
    if (a->file == b->file)
        return a->first_packet < b->first_packet;
    return a->file < b->file;
}

static bool is_mutual(const struct pairs *pairs, size_t record) {
    const struct choice *choice = &pairs->best[record];

    return choice->likeness > 0 && pairs->best[choice->record].likeness == choice->likeness &&
           pairs->best[choice->record].record == record;
}

static int find_sides(struct pairs *pairs, struct spill *spill, struct evidence evidence[2]) {
    int error = 0;

    for (size_t i = 0; i < pairs->records && error == 0; i++) {
        uint32_t other = pairs->best[i].record;

        if (!is_mutual(pairs, i) || other < i)
            continue;
        error = spill_get(spill, i, &evidence[0]);
        if (error == 0)
            error = spill_get(spill, other, &evidence[1]);
        pairs->best[i].is_server = !second_is_server(&evidence[0], &evidence[1]);
        pairs->best[other].is_server = !pairs->best[i].is_server;
    }
    return error;
}

int pairs_find(struct pairs *pairs, struct spill *spill) {
    struct evidence *evidence = malloc(2 * sizeof *evidence);
    int error = 0;

    pairs->best = calloc(pairs->records + 1, sizeof pairs->best[0]);
    if (evidence == NULL || pairs->best == NULL)
        error = -ENOMEM;
    if (error == 0 && pairs->count > 1)
        qsort(pairs->marks, pairs->count, sizeof pairs->marks[0], by_digest);
    for (size_t i = 0; i < pairs->count && error == 0; i++)
        for (size_t j = i + 1; j < pairs->count && j < i + PAIR_CANDIDATES_MAX && error == 0; j++) {
            const struct mark *a = &pairs->marks[i], *b = &pairs->marks[j];

            if (a->digest != b->digest)
                break;
            if (a->record != b->record && (pairs->best[a->record].likeness == 0 ||
                                           pairs->best[a->record].record != b->record))
                error = consider(spill, a->record, b->record, &evidence[0], &evidence[1], pairs->best);
        }
    if (error == 0)
        error = find_sides(pairs, spill, evidence);
    free(evidence);
    return error;
}

uint32_t pairs_partner(const struct pairs *pairs, size_t record, bool *is_server) {
    if (!is_mutual(pairs, record))
        return PAIR_NONE;
    *is_server = pairs->best[record].is_server;
    return pairs->best[record].record;
}

void pairs_free(struct pairs *pairs) {
    if (pairs == NULL)
        return;
    free(pairs->marks);
    free(pairs->best);
    free(pairs);
}
