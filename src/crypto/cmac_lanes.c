#include "crypto/cmac_lanes.h"

#include <assert.h>

#if defined __x86_64__
#include <immintrin.h>
#include <string.h>

/* For these functions alone: the rest of the program runs on any x86-64. */
#define WITH_AES __attribute__((target("aes,sse4.1")))

bool cmac_lanes_supported(void) {
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

/* ---- the key ---- */

/* The next round key from the one before; `assist` is what _mm_aeskeygenassist_si128() made of that (FIPS 197, 5.2). */
WITH_AES static __m128i round_key_after(__m128i before, __m128i assist) {
    __m128i key = _mm_xor_si128(before, _mm_slli_si128(before, 4));

    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, _mm_shuffle_epi32(assist, 0xff));
}

WITH_AES void cmac_schedule_expand(struct cmac_schedule *schedule, const uint8_t key[AES_128_KEY_SIZE]) {
    __m128i keys[AES_128_ROUNDS + 1];

    /* The round constant is part of the instruction, and so has to be written out. */
    keys[0] = _mm_loadu_si128((const __m128i *)key);
    keys[1] = round_key_after(keys[0], _mm_aeskeygenassist_si128(keys[0], 0x01));
    keys[2] = round_key_after(keys[1], _mm_aeskeygenassist_si128(keys[1], 0x02));
    keys[3] = round_key_after(keys[2], _mm_aeskeygenassist_si128(keys[2], 0x04));
    keys[4] = round_key_after(keys[3], _mm_aeskeygenassist_si128(keys[3], 0x08));
    keys[5] = round_key_after(keys[4], _mm_aeskeygenassist_si128(keys[4], 0x10));
    keys[6] = round_key_after(keys[5], _mm_aeskeygenassist_si128(keys[5], 0x20));
    keys[7] = round_key_after(keys[6], _mm_aeskeygenassist_si128(keys[6], 0x40));
    keys[8] = round_key_after(keys[7], _mm_aeskeygenassist_si128(keys[7], 0x80));
    keys[9] = round_key_after(keys[8], _mm_aeskeygenassist_si128(keys[8], 0x1b));
    keys[10] = round_key_after(keys[9], _mm_aeskeygenassist_si128(keys[9], 0x36));
    memcpy(schedule->rounds, keys, sizeof schedule->rounds);
    crypto_wipe(keys, sizeof keys);
}

/* ---- lanes ---- */

/* A message on its way: all its blocks but the last lie in a run of whole blocks in one span, or across spans, and are
 * copied then. */
struct lane {
    struct mac_job *job; /* NULL: the lane is idle */
    const struct span *next;
    struct span rest;    /* of the span before `next` */
    size_t left;         /* octets in front of the last block: whole blocks */
    size_t last;         /* octets of the last block */
    bool ends;           /* the run is the last block */
    const uint8_t *at;   /* the run: so many blocks lie there */
    size_t blocks;
    uint8_t block[AES_BLOCK_SIZE]; /* a run of one that was copied */
};

static void lane_begin(struct lane *lane, struct mac_job *job) {
    size_t size = 0;

    for (size_t i = 0; i < job->count; i++)
        size += job->spans[i].size;
    *lane = (struct lane){.job = job, .next = job->spans};
    lane->last = size == 0 ? 0 : (size - 1) % AES_BLOCK_SIZE + 1;
    lane->left = size - lane->last;
}

/* Takes `size` octets of those that are there. */
static void lane_copy(struct lane *lane, size_t size) {
    for (size_t held = 0; held < size;) {
        struct span part;

        while (lane->rest.size == 0)
            lane->rest = *lane->next++;
        part = span_slice(lane->rest, 0, size - held);
        memcpy(lane->block + held, part.data, part.size);
        held += part.size;
        lane->rest = span_slice(lane->rest, part.size, lane->rest.size);
    }
    lane->at = lane->block;
    lane->blocks = 1;
}

static void lane_end(struct lane *lane, const struct cmac_schedule *schedule) {
    const uint8_t *mask = lane->last == AES_BLOCK_SIZE ? schedule->whole_key : schedule->short_key;

    memset(lane->block, 0, sizeof lane->block);
    lane_copy(lane, lane->last);
    if (lane->last < AES_BLOCK_SIZE)
        lane->block[lane->last] = 0x80;
    for (unsigned i = 0; i < AES_BLOCK_SIZE; i++)
        lane->block[i] ^= mask[i];
    lane->ends = true;
}

/* The run is used up: the next one. */
static void lane_advance(struct lane *lane, const struct cmac_schedule *schedule) {
    size_t whole;

    if (lane->left == 0) {
        lane_end(lane, schedule);
        return;
    }
    while (lane->rest.size == 0)
        lane->rest = *lane->next++;
    whole = span_slice(lane->rest, 0, lane->left).size / AES_BLOCK_SIZE;
    if (whole > 0) {
        lane->at = lane->rest.data;
        lane->blocks = whole;
        lane->rest = span_slice(lane->rest, whole * AES_BLOCK_SIZE, lane->rest.size);
    } else {
        lane_copy(lane, AES_BLOCK_SIZE);
    }
    lane->left -= lane->blocks * AES_BLOCK_SIZE;
}

/* ---- AES ---- */

WITH_AES static inline __m128i block_at(const uint8_t *octets, size_t index) {
    return _mm_loadu_si128((const __m128i *)(octets + index * AES_BLOCK_SIZE));
}

WITH_AES static inline __m128i middle_rounds(const __m128i keys[AES_128_ROUNDS + 1], __m128i state) {
    for (unsigned round = 1; round < AES_128_ROUNDS; round++)
        state = _mm_aesenc_si128(state, keys[round]);
    return state;
}

/* One chain, `blocks` further, and at least one. What the next block adds goes into the last round of the one before, where
 * it is not waited for. */
WITH_AES static void chain_one(const struct cmac_schedule *schedule, __m128i *state, const uint8_t *at, size_t blocks) {
    __m128i keys[AES_128_ROUNDS + 1], a, both;

    for (unsigned i = 0; i <= AES_128_ROUNDS; i++)
        keys[i] = block_at(schedule->rounds[i], 0);
    both = _mm_xor_si128(keys[0], keys[AES_128_ROUNDS]);
    a = middle_rounds(keys, _mm_xor_si128(*state, _mm_xor_si128(block_at(at, 0), keys[0])));
    for (size_t i = 1; i < blocks; i++)
        a = middle_rounds(keys, _mm_aesenclast_si128(a, _mm_xor_si128(block_at(at, i), both)));
    *state = _mm_aesenclast_si128(a, keys[AES_128_ROUNDS]);
}

/* Four at a time, each round of all before the next of any. */
WITH_AES static void chain_four(const struct cmac_schedule *schedule, __m128i states[CMAC_LANES],
                                const uint8_t *const at[CMAC_LANES], size_t blocks) {
    __m128i keys[AES_128_ROUNDS + 1], a = states[0], b = states[1], c = states[2], d = states[3];

    for (unsigned i = 0; i <= AES_128_ROUNDS; i++)
        keys[i] = block_at(schedule->rounds[i], 0);
    for (size_t i = 0; i < blocks; i++) {
        a = _mm_xor_si128(a, _mm_xor_si128(block_at(at[0], i), keys[0]));
        b = _mm_xor_si128(b, _mm_xor_si128(block_at(at[1], i), keys[0]));
        c = _mm_xor_si128(c, _mm_xor_si128(block_at(at[2], i), keys[0]));
        d = _mm_xor_si128(d, _mm_xor_si128(block_at(at[3], i), keys[0]));
        for (unsigned round = 1; round < AES_128_ROUNDS; round++) {
            a = _mm_aesenc_si128(a, keys[round]);
            b = _mm_aesenc_si128(b, keys[round]);
            c = _mm_aesenc_si128(c, keys[round]);
            d = _mm_aesenc_si128(d, keys[round]);
        }
        a = _mm_aesenclast_si128(a, keys[AES_128_ROUNDS]);
        b = _mm_aesenclast_si128(b, keys[AES_128_ROUNDS]);
        c = _mm_aesenclast_si128(c, keys[AES_128_ROUNDS]);
        d = _mm_aesenclast_si128(d, keys[AES_128_ROUNDS]);
    }
    states[0] = a;
    states[1] = b;
    states[2] = c;
    states[3] = d;
}

/* ---- together ---- */

struct lanes {
    const struct cmac_schedule *schedule;
    struct lane lanes[CMAC_LANES];
    __m128i states[CMAC_LANES];
    struct mac_job *jobs; /* that are still to be begun */
    size_t count;
};

/* A lane whose run is used up gets the next one, of its message or of another. */
static void lane_fill(struct lanes *all, unsigned index) {
    struct lane *lane = &all->lanes[index];

    if (lane->blocks > 0)
        return;
    if (lane->job != NULL && lane->ends) {
        memcpy(lane->job->tag, &all->states[index], MAC_TAG_SIZE);
        lane->job = NULL;
    }
    if (lane->job == NULL && all->count > 0) {
        lane_begin(lane, all->jobs++);
        all->count--;
        all->states[index] = _mm_setzero_si128();
    }
    if (lane->job != NULL)
        lane_advance(lane, all->schedule);
}

/* As far as the shortest run goes. An idle lane goes over the octets of a busy one, and what comes of that is not used: that
 * takes no time. */
static void lanes_step(struct lanes *all, const struct lane *first, unsigned busy) {
    const uint8_t *at[CMAC_LANES];
    size_t blocks = first->blocks;

    for (unsigned i = 0; i < CMAC_LANES; i++) {
        const struct lane *lane = &all->lanes[i];

        at[i] = lane->job != NULL ? lane->at : first->at;
        blocks = lane->job != NULL && lane->blocks < blocks ? lane->blocks : blocks;
    }
    if (busy == 1)
        chain_one(all->schedule, &all->states[first - all->lanes], first->at, blocks);
    else
        chain_four(all->schedule, all->states, at, blocks);
    for (unsigned i = 0; i < CMAC_LANES; i++)
        if (all->lanes[i].job != NULL) {
            all->lanes[i].at += blocks * AES_BLOCK_SIZE;
            all->lanes[i].blocks -= blocks;
        }
}

void cmac_lanes_compute(const struct cmac_schedule *schedule, struct mac_job *jobs, size_t count) {
    struct lanes all = {.schedule = schedule, .jobs = jobs, .count = count};

    for (;;) {
        const struct lane *first = NULL;
        unsigned busy = 0;

        for (unsigned i = 0; i < CMAC_LANES; i++) {
            lane_fill(&all, i);
            if (all.lanes[i].job == NULL)
                continue;
            busy++;
            first = first != NULL ? first : &all.lanes[i];
        }
        if (busy == 0)
            return;
        lanes_step(&all, first, busy);
    }
}

#else

bool cmac_lanes_supported(void) {
    return false;
}

void cmac_schedule_expand(struct cmac_schedule *schedule, const uint8_t key[AES_128_KEY_SIZE]) {
    (void)schedule;
    (void)key;
    assert(false);
}

void cmac_lanes_compute(const struct cmac_schedule *schedule, struct mac_job *jobs, size_t count) {
    (void)schedule;
    (void)jobs;
    (void)count;
    assert(false);
}

#endif
