/* Round trip as a property: what decodes, encodes, and decodes to the same. Of every kind of message there are many,
 * made from the seeds of the fuzz target by changing some octets; the test fails where a kind was not among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/message.h"

#define VARIANTS_PER_SEED 400u
#define ROUND_TRIPS_MIN   100u /* of each kind */
#define SEED_SIZE_MAX     4096u
#define CHANGES_MAX       3u
#define KINDS             (MESSAGE_COMPRESSED + 1)

struct tally {
    uint64_t random; /* state of xorshift64* */
    unsigned round_trips[KINDS];
};

static uint64_t next_random(struct tally *tally) {
    tally->random ^= tally->random >> 12;
    tally->random ^= tally->random << 25;
    tally->random ^= tally->random >> 27;
    return tally->random * 0x2545f4914f6cdd1du;
}

static void assert_same_fields(const struct message *a, const struct message *b) {
    struct message_fields list = message_fields(a->kind);

    assert_int_equal(a->kind, b->kind);
    assert_true(b->body_valid);
    assert_memory_equal(&a->header, &b->header, sizeof a->header);
    for (unsigned i = 0; i < list.count; i++)
        assert_memory_equal((const uint8_t *)&a->body + list.fields[i].offset,
                            (const uint8_t *)&b->body + list.fields[i].offset, list.fields[i].width);
}

static void round_trip(struct span bytes, struct tally *tally) {
    uint8_t first_room[SEED_SIZE_MAX + 1], second_room[SEED_SIZE_MAX + 1]; /* and the pad octet of an error */
    struct writer first = writer_over(first_room, sizeof first_room);
    struct writer second = writer_over(second_room, sizeof second_room);
    struct message message, again;

    message_decode(bytes, bytes.size, &message);
    if (!message.body_valid)
        return;
    message_encode(&message, &first);
    assert_false(first.failed);
    message_decode(writer_done(&first), first.at, &again);
    assert_same_fields(&message, &again);
    message_encode(&again, &second);
    assert_true(span_equal(writer_done(&first), writer_done(&second)));
    tally->round_trips[message.kind]++;
}

static void change_and_round_trip(struct span seed, struct tally *tally) {
    uint8_t *data = malloc(seed.size); /* of its exact size, so that a read beyond it is noticed */

    assert_non_null(data);
    memcpy(data, seed.data, seed.size);
    for (uint64_t left = next_random(tally) % (CHANGES_MAX + 1); left > 0; left--)
        data[next_random(tally) % seed.size] = (uint8_t)next_random(tally);
    round_trip((struct span){data, seed.size}, tally);
    free(data);
}

static void seed_play(const char *path, struct tally *tally) {
    uint8_t data[SEED_SIZE_MAX];
    FILE *file = fopen(path, "rb");
    size_t size;

    assert_non_null(file);
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    for (unsigned i = 0; i < VARIANTS_PER_SEED && size > 0; i++)
        change_and_round_trip((struct span){data, size}, tally);
}

static void test_round_trips(void **state) {
    struct tally tally = {.random = 1};
    const char *root = getenv("SMBPROOF_SOURCE_ROOT");
    struct dirent **entries;
    char folder[2048], path[4096];
    int count;

    (void)state;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/seeds/wire", root != NULL ? root : ".");
    count = scandir(folder, &entries, NULL, alphasort);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            seed_play(path, &tally);
        free(entries[i]);
    }
    free(entries);
    for (unsigned kind = MESSAGE_UNKNOWN + 1; kind < KINDS; kind++)
        if (kind != MESSAGE_SMB1_OTHER && tally.round_trips[kind] < ROUND_TRIPS_MIN) /* of that nothing is decoded */
            fail_msg("kind %u: %u round trips only", kind, tally.round_trips[kind]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trips)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
