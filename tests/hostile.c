/* Captures, alone and in pairs, cut at random places, with random octets changed, begun late and with packets left out,
 * many seeded cases: no crash, no leak, no hang, memory within the limit. Prints TAP.
 * usage: hostile CASES SEED FOLDER... (folders that are not there are passed over) */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "explain/explain.h"
#include "wire/bytes.h"

#define FILES_MAX 512
#define FILE_SIZE_MAX (64u * 1024u) /* octets; larger captures say nothing more here */
#define FILE_HEADER_SIZE 24u /* of pcap */
#define RECORD_HEADER_SIZE 16u
#define CASE_SECONDS_MAX 5.0
#define PAIR_EVERY 3u /* cases of which one has two captures */
#define RESIDENT_MAX_KIB (768u * 1024u) /* with the sanitizers' own */

struct sample {
    uint8_t *data;
    size_t size;
};

/* xorshift64*: the same cases for the same seed, everywhere. */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static bool load(const char *path, struct sample *sample) {
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return false;
    sample->data = malloc(FILE_SIZE_MAX + 1);
    sample->size = sample->data != NULL ? fread(sample->data, 1, FILE_SIZE_MAX + 1, file) : 0;
    fclose(file);
    if (sample->size > 0 && sample->size <= FILE_SIZE_MAX)
        return true;
    free(sample->data);
    return false;
}

/* In order of their names, so that the cases are the same everywhere. */
static unsigned load_folder(const char *folder, struct sample *samples, unsigned room) {
    struct dirent **entries;
    int found = scandir(folder, &entries, NULL, alphasort);
    unsigned count = 0;

    for (int i = 0; i < found; i++) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (count < room && strstr(path, "cap") != NULL)
            count += load(path, &samples[count]);
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
    return count;
}

/* The size of the pcap record at `at` of a file of little-endian pcap; 0 at its end and in files of another kind. */
static size_t record_size(const struct sample *sample, size_t at) {
    struct reader reader = reader_over((struct span){sample->data, sample->size});
    uint32_t captured;

    if (reader_u32(&reader) != 0xa1b2c3d4u)
        return 0;
    reader_seek(&reader, at + 8);
    captured = reader_u32(&reader);
    return reader.failed || captured > sample->size - at - RECORD_HEADER_SIZE ? 0 : RECORD_HEADER_SIZE + captured;
}

/* The capture as of one that began late, or that lost packets, or both. Returns the size; 0 where it is none of pcap. */
static size_t leave_out(const struct sample *sample, uint8_t *to, uint64_t *state) {
    size_t begin = FILE_HEADER_SIZE + next_random(state) % (next_random(state) % 2 != 0 ? sample->size : 1);
    unsigned lost_of_64 = (unsigned)(next_random(state) % 3 * 4);
    size_t size = FILE_HEADER_SIZE, at = FILE_HEADER_SIZE, record = record_size(sample, at);

    if (record == 0)
        return 0;
    memcpy(to, sample->data, FILE_HEADER_SIZE);
    for (; record > 0; at += record, record = record_size(sample, at)) {
        if (at < begin || next_random(state) % 64 < lost_of_64)
            continue;
        memcpy(to + size, sample->data + at, record);
        size += record;
    }
    return size;
}

static size_t mutate(const struct sample *sample, uint8_t *to, uint64_t *state) {
    size_t size = next_random(state) % 2 != 0 ? leave_out(sample, to, state) : 0;
    unsigned flips = (unsigned)(next_random(state) % 24);

    if (size == 0) {
        memcpy(to, sample->data, sample->size);
        size = next_random(state) % 3 == 0 ? 1 + next_random(state) % sample->size : sample->size;
    } else if (flips % 2 == 0) {
        return size;
    }
    for (unsigned i = 0; i < flips; i++) {
        size_t at = next_random(state) % size;

        switch (next_random(state) % 4) {
        case 0:
            to[at] ^= (uint8_t)(1u << next_random(state) % 8);
            break;
        case 1:
            to[at] = (uint8_t)next_random(state);
            break;
        case 2:
            to[at] = 0xff;
            break;
        default:
            memset(to + at, 0, size - at < 4 ? size - at : 4);
            break;
        }
    }
    return size;
}

/* In memory of its exact size, so that a sanitizer sees reads past it. The caller frees it. */
static struct span mutated(const struct sample *sample, uint64_t *state) {
    uint8_t *data = malloc(sample->size);
    size_t size = mutate(sample, data, state);

    return (struct span){realloc(data, size), size};
}

/* `contents[1]` without octets: one capture, else the two ends' captures. */
static bool run_case(const struct span contents[2], bool json, FILE *nowhere) {
    struct explain_options options = {
        .captures = {"hostile", contents[1].size > 0 ? "hostile too" : NULL},
        .contents = {contents[0], contents[1]},
        .quiet = true,
        .json = json,
        .style = {.verbose = true, .width = 80},
    };
    struct timespec before, after;
    enum exit_status status;

    clock_gettime(CLOCK_MONOTONIC, &before);
    status = explain(&options, nowhere);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if ((double)(after.tv_sec - before.tv_sec) > CASE_SECONDS_MAX)
        return false;
    return status == EXIT_NO_PROBLEM || status == EXIT_PROBLEM || status == EXIT_CANNOT_TELL || status == EXIT_INPUT;
}

int main(int argc, char **argv) {
    static struct sample samples[FILES_MAX];
    uint64_t cases, state, failed = 0;
    unsigned count = 0;
    struct rusage usage;
    FILE *nowhere = fopen("/dev/null", "w");

    if (argc < 4 || nowhere == NULL)
        return 2;
    cases = strtoull(argv[1], NULL, 10);
    state = strtoull(argv[2], NULL, 10) | 1;
    for (int i = 3; i < argc; i++)
        count += load_folder(argv[i], &samples[count], FILES_MAX - count);
    if (count == 0) {
        puts("1..0 # SKIP no capture to begin with");
        return 0;
    }
    for (uint64_t i = 0; i < cases; i++) {
        unsigned chosen = (unsigned)(next_random(&state) % count);
        uint64_t case_state = state;
        struct span contents[2] = {mutated(&samples[chosen], &state), {0}};

        /* By their names the captures of two ends are neighbours. */
        if (i % PAIR_EVERY == 0)
            contents[1] = mutated(&samples[(chosen + 1) % count], &state);
        if (!run_case(contents, i % 2 == 0, nowhere)) {
            printf("# case %llu (state %llu) failed\n", (unsigned long long)i, (unsigned long long)case_state);
            failed++;
        }
        free((void *)(uintptr_t)contents[0].data);
        free((void *)(uintptr_t)contents[1].data);
    }
    for (unsigned i = 0; i < count; i++)
        free(samples[i].data);
    fclose(nowhere);
    getrusage(RUSAGE_SELF, &usage);
    printf("1..2\n%sok 1 - %llu mutated captures end with a verdict or an error\n", failed ? "not " : "",
           (unsigned long long)cases);
    printf("%sok 2 - %ld KiB resident at most\n", usage.ru_maxrss > (long)RESIDENT_MAX_KIB ? "not " : "",
           usage.ru_maxrss);
    return failed != 0 || usage.ru_maxrss > (long)RESIDENT_MAX_KIB;
}
