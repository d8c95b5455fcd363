/* Records set aside come back as they were, from memory and from the file behind it, in the order of their packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/spill.h"

static uint32_t random_next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Some octets are 0, alone and in runs, as in real records. */
static void scatter(uint32_t *state, void *to, size_t size) {
    uint8_t *octets = to;
    unsigned zeros = random_next(state) % 4;

    for (size_t i = 0; i < size; i++)
        octets[i] = random_next(state) % 4 < zeros ? 0 : (uint8_t)random_next(state);
}

static void make_record(uint32_t seed, struct evidence *evidence) {
    uint32_t state = seed * 2654435761u + 1;

    memset(evidence, 0, sizeof *evidence);
    scatter(&state, evidence->tcp, sizeof evidence->tcp);
    scatter(&state, &evidence->traffic, sizeof evidence->traffic);
    evidence->first_packet = 1000000 - seed;
    evidence->negotiate.request.raw_size = (uint16_t)(random_next(&state) % (EVIDENCE_RAW_MAX + 1));
    scatter(&state, evidence->negotiate.request.raw, evidence->negotiate.request.raw_size);
    evidence->negotiate.response.raw_size = (uint16_t)(random_next(&state) % (EVIDENCE_RAW_MAX + 1));
    scatter(&state, evidence->negotiate.response.raw, evidence->negotiate.response.raw_size);
    evidence->sessions_count = random_next(&state) % (EVIDENCE_SESSIONS_MAX + 1);
    scatter(&state, evidence->sessions, evidence->sessions_count * sizeof evidence->sessions[0]);
    evidence->trees_count = random_next(&state) % (EVIDENCE_TREES_MAX + 1);
    scatter(&state, evidence->trees, evidence->trees_count * sizeof evidence->trees[0]);
    evidence->validations_count = random_next(&state) % (EVIDENCE_VALIDATIONS_MAX + 1);
    scatter(&state, evidence->validations, evidence->validations_count * sizeof evidence->validations[0]);
    evidence->broken_count = random_next(&state) % (EVIDENCE_BROKEN_MAX + 1);
    scatter(&state, evidence->broken, evidence->broken_count * sizeof evidence->broken[0]);
    evidence->log_count = random_next(&state) % (EVIDENCE_LOG_HEAD_MAX + 1);
    scatter(&state, evidence->log, evidence->log_count * sizeof evidence->log[0]);
    evidence->log_tail_count = random_next(&state) % (EVIDENCE_LOG_TAIL_MAX + 1);
    scatter(&state, evidence->log_tail, evidence->log_tail_count * sizeof evidence->log_tail[0]);
}

static void check_record(struct spill *spill, uint32_t seed) {
    struct evidence *expected = malloc(sizeof *expected), *found = calloc(1, sizeof *found);

    assert_non_null(expected);
    assert_non_null(found);
    make_record(seed, expected);
    assert_int_equal(spill_get(spill, seed, found), 0);
    assert_memory_equal(found, expected, sizeof *expected);
    free(expected);
    free(found);
}

static void put_records(struct spill *spill, uint32_t count) {
    struct evidence *evidence = malloc(sizeof *evidence);

    assert_non_null(evidence);
    for (uint32_t seed = 0; seed < count; seed++) {
        make_record(seed, evidence);
        assert_int_equal(spill_put(spill, evidence), 0);
    }
    assert_int_equal(spill_sort(spill), 0);
    free(evidence);
}

/* About 6 KiB each: well beyond what is kept in memory. */
static void records_come_back(void **state) {
    uint32_t count = 2 * SPILL_MEMORY_MAX / 6144;
    struct spill *spill = spill_new();

    (void)state;
    assert_non_null(spill);
    put_records(spill, count);
    assert_int_equal(spill_count(spill), count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(spill_at(spill, i), count - 1 - i); /* the last had the first packet */
        check_record(spill, i);
    }
    spill_free(spill);
}

static void full_records_come_back(void **state) {
    struct spill *spill = spill_new();
    struct evidence *full = malloc(sizeof *full), *found = malloc(sizeof *found);

    (void)state;
    assert_true(spill != NULL && full != NULL && found != NULL);
    memset(full, 0xff, sizeof *full);
    full->negotiate.request.raw_size = full->negotiate.response.raw_size = EVIDENCE_RAW_MAX;
    full->sessions_count = EVIDENCE_SESSIONS_MAX;
    full->trees_count = EVIDENCE_TREES_MAX;
    full->validations_count = EVIDENCE_VALIDATIONS_MAX;
    full->broken_count = EVIDENCE_BROKEN_MAX;
    full->log_count = EVIDENCE_LOG_HEAD_MAX;
    full->log_tail_count = EVIDENCE_LOG_TAIL_MAX;
    for (unsigned i = 0; i < 3 * SPILL_MEMORY_MAX / sizeof *full / 2; i++)
        assert_int_equal(spill_put(spill, full), 0);
    assert_int_equal(spill_sort(spill), 0);
    for (size_t i = 0; i < spill_count(spill); i += 97) {
        assert_int_equal(spill_get(spill, i, found), 0);
        assert_memory_equal(found, full, sizeof *full);
    }
    free(full);
    free(found);
    spill_free(spill);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(full_records_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
