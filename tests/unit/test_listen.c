/* Octets handed over to the thread that listens, and what it holds of them until a message is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <cmocka.h>

#include "explain/handover.h"
#include "explain/listen.h"
#include "explain/observe.h"

#define ITEMS 40000u
#define LONGEST 3000u

/* What item `i` is about: a text of its own, now and then as long as a batch can copy. */
static size_t make_octets(unsigned i, uint8_t *octets) {
    size_t size = i % 1000 == 999 ? HANDOVER_SPARE : i * 7 % LONGEST;

    memset(octets, (int)(i % 251), size);
    return size;
}

static void *put_items(void *argument) {
    static const uint8_t lasting[] = "octets of the capture";
    struct handover *handover = argument;
    uint8_t *octets = malloc(HANDOVER_SPARE);

    for (unsigned i = 0; octets != NULL && i < ITEMS; i++) {
        struct handed handed = {.packet = i, .count = i, .kind = HANDED_BYTES};

        if (i % 3 == 0) {
            handed.bytes = (struct span){lasting, sizeof lasting};
            handover_put(handover, &handed, true);
        } else {
            handed.bytes = (struct span){octets, make_octets(i, octets)};
            handover_put(handover, &handed, false);
        }
    }
    handover_finish(handover);
    free(octets);
    return NULL;
}

/* Nobody has to do more in a pause than this. */
#define PIECES 5u

static bool do_piece(void *context) {
    unsigned *pieces = context;

    return *pieces > 0 && (*pieces)-- > 0;
}

/* All of it comes, in order, though the octets that were to be copied have changed meanwhile. */
static void test_handover(void **state) {
    unsigned pieces = PIECES;
    struct handover *handover = handover_new(&(struct meanwhile){do_piece, &pieces});
    uint8_t *expected = malloc(HANDOVER_SPARE);
    const struct handed *handed;
    unsigned taken = 0;
    pthread_t thread;

    (void)state;
    assert_non_null(handover);
    assert_non_null(expected);
    assert_int_equal(pthread_create(&thread, NULL, put_items, handover), 0);
    for (; (handed = handover_take(handover)) != NULL; taken++) {
        assert_int_equal(handed->packet, taken);
        if (taken % 3 == 0) {
            assert_string_equal((const char *)handed->bytes.data, "octets of the capture");
        } else {
            assert_int_equal(handed->bytes.size, make_octets(taken, expected));
            if (handed->bytes.size > 0)
                assert_memory_equal(handed->bytes.data, expected, handed->bytes.size);
        }
    }
    assert_int_equal(taken, ITEMS);
    assert_null(handover_take(handover));
    pthread_join(thread, NULL);
    handover_free(handover);
    free(expected);
}

static void test_handover_of_nothing(void **state) {
    unsigned pieces = 0;
    struct handover *handover = handover_new(&(struct meanwhile){do_piece, &pieces});

    (void)state;
    assert_non_null(handover);
    handover_finish(handover);
    assert_null(handover_take(handover));
    handover_free(handover);
}

#define ECHO_SIZE 72u /* frame, header, body */

struct hearing {
    struct listener listener;
    struct heard heard;
    struct evidence evidence;
};

static struct hearing *hearing_new(void) {
    struct hearing *hearing = calloc(1, sizeof *hearing);

    assert_non_null(hearing);
    evidence_clear_connection(&hearing->evidence);
    listen_begin(&hearing->heard, &hearing->listener, &hearing->evidence);
    return hearing;
}

/* ECHO requests, one behind the other. */
static void make_echoes(uint8_t *octets, unsigned count) {
    static const uint8_t front[] = {0, 0, 0, ECHO_SIZE - 4, 0xfe, 'S', 'M', 'B', 64};

    memset(octets, 0, count * ECHO_SIZE);
    for (unsigned i = 0; i < count; i++, octets += ECHO_SIZE) {
        memcpy(octets, front, sizeof front);
        octets[4 + 12] = SMB2_ECHO;
        octets[4 + 24] = (uint8_t)(i + 1); /* MessageId */
        octets[4 + 64] = 4;                /* StructureSize */
    }
}

/* However the octets are cut, the messages are the same, each at the packet that brought its last octet. */
static void test_pieces(void **state) {
    uint8_t octets[3 * ECHO_SIZE];

    (void)state;
    make_echoes(octets, 3);
    for (size_t a = 0; a <= sizeof octets; a++)
        for (size_t b = a; b <= sizeof octets; b += 5) {
            struct hearing *hearing = hearing_new();
            const size_t ends[] = {a, b, sizeof octets};
            size_t at = 0;

            for (unsigned i = 0; i < 3; at = ends[i++])
                listen_bytes(&hearing->heard, FROM_CLIENT, (struct span){octets + at, ends[i] - at}, i + 1, 0);
            assert_int_equal(hearing->evidence.log_count, 3);
            for (unsigned i = 0; i < 3; i++) {
                size_t end = (i + 1) * ECHO_SIZE;

                assert_int_equal(hearing->evidence.log[i].message_id, i + 1);
                assert_int_equal(hearing->evidence.log[i].packet, end <= a ? 1 : end <= b ? 2 : 3);
            }
            assert_int_equal(hearing->listener.held_total, 0);
            listen_end(&hearing->heard);
            free(hearing);
        }
}

/* Octets that come again are compared with those that are still held, and with no others. */
static void test_repeats(void **state) {
    struct hearing *hearing = hearing_new();
    uint8_t octets[ECHO_SIZE], other[ECHO_SIZE];

    (void)state;
    make_echoes(octets, 1);
    listen_bytes(&hearing->heard, FROM_CLIENT, (struct span){octets, 40}, 1, 0);
    assert_int_equal(hearing->heard.held[FROM_CLIENT].octets.size, 40 - 4); /* the frame's own four are used */
    memcpy(other, octets, sizeof other);
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other, sizeof other}, 40);
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other + 30, 10}, 10);
    other[3] ^= 1;
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other, sizeof other}, 40);
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other, 4}, 40);
    other[50] ^= 1; /* not there yet */
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other, sizeof other}, 40);
    assert_int_equal(hearing->heard.held[FROM_CLIENT].conflicts, 0);
    other[4] ^= 1;
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other, sizeof other}, 40);
    other[39] ^= 1;
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other + 35, 5}, 5);
    listen_repeat(&hearing->heard, FROM_CLIENT, (struct span){other + 35, 4}, 5);
    listen_end(&hearing->heard);
    assert_int_equal(hearing->evidence.tcp[FROM_CLIENT].conflicts, 2);
    assert_int_equal(hearing->evidence.tcp[FROM_SERVER].conflicts, 0);
    free(hearing);
}

static void test_gap(void **state) {
    struct hearing *hearing = hearing_new();
    uint8_t octets[2 * ECHO_SIZE];

    (void)state;
    make_echoes(octets, 2);
    listen_bytes(&hearing->heard, FROM_CLIENT, (struct span){octets, 60}, 1, 0);
    listen_gap(&hearing->heard, FROM_CLIENT, (struct span){NULL, 0}, ECHO_SIZE - 60, 2, 0);
    assert_int_equal(hearing->listener.held_total, 0);
    listen_bytes(&hearing->heard, FROM_CLIENT, (struct span){octets + ECHO_SIZE, ECHO_SIZE}, 3, 0);
    listen_end(&hearing->heard);
    assert_int_equal(hearing->evidence.log_count, 2); /* the first one cut */
    assert_true(hearing->evidence.log[0].cut);
    assert_true(hearing->evidence.log[1].after_gap);
    assert_int_equal(hearing->evidence.tcp[FROM_CLIENT].gaps, 0); /* whoever follows TCP counted it */
    free(hearing);
}

/* A SESSION_SETUP request that never gets whole. */
#define SETUP_PART (100u * 1024u)
#define HEARINGS (LISTEN_HELD_TOTAL_MAX / SETUP_PART + 2u)

static void test_limit(void **state) {
    struct listener listener = {0};
    struct heard *heard = calloc(HEARINGS, sizeof *heard);
    struct evidence *evidence = calloc(HEARINGS, sizeof *evidence);
    uint8_t *octets = calloc(1, SETUP_PART);
    uint64_t gaps = 0;

    (void)state;
    assert_non_null(heard);
    assert_non_null(evidence);
    assert_non_null(octets);
    make_echoes(octets, 1);
    octets[1] = 2; /* 128 KiB */
    octets[4 + 12] = SMB2_SESSION_SETUP;
    for (unsigned i = 0; i < HEARINGS; i++) {
        listen_begin(&heard[i], &listener, &evidence[i]);
        listen_bytes(&heard[i], FROM_CLIENT, (struct span){octets, SETUP_PART}, i + 1, 0);
        assert_true(listener.held_total <= LISTEN_HELD_TOTAL_MAX);
        listen_bytes(&heard[i], FROM_CLIENT, (struct span){octets, 1}, i + 1, 0);
        assert_true(listener.held_total <= LISTEN_HELD_TOTAL_MAX);
    }
    for (unsigned i = 0; i < HEARINGS; i++) {
        listen_end(&heard[i]);
        gaps += evidence[i].tcp[FROM_CLIENT].gaps;
    }
    assert_true(gaps > 0 && gaps < 4);
    assert_int_equal(listener.held_total, 0);
    assert_false(listener.failed);
    free(heard);
    free(evidence);
    free(octets);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover), cmocka_unit_test(test_handover_of_nothing), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_repeats),  cmocka_unit_test(test_gap),                 cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
