#include "explain/spill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/temporary.h"
#include "explain/grown.h"

/* A record on its way: the parts of struct evidence that are in use, one behind the other. Most of a record is zero: of
 * each run of up to 64 words there is a mask, bit by bit from the lowest, and only the words that are not 0, the last one
 * first. Parts that have few zeros are copied as they are. */
struct part {
    size_t offset, size;
    bool dense;
};
#define PARTS_COUNT 12u
#define WORD sizeof(uint64_t)
#define RUN_WORDS 64u
/* What packing can add at most: a mask for each run, and for each part one that is not full, padded to a word. */
#define PACKED_MAX (sizeof(struct evidence) + sizeof(struct evidence) / RUN_WORDS + PARTS_COUNT * 2 * WORD)

struct place_of_record {
    uint64_t first_packet, offset; /* of the record in the store */
    uint32_t size, file;
};

struct sorted {
    uint64_t first_packet;
    uint32_t file, record;
};

struct spill {
    uint8_t *memory;
    uint64_t memory_used, file_used;
    FILE *file;
    struct grown index; /* struct place_of_record, as they were put */
    struct grown order; /* struct sorted */
};

#define MEMBER(member) offsetof(struct evidence, member)
#define AFTER(member) (MEMBER(member) + sizeof((struct evidence *)0)->member)

static struct part part_between(size_t from, size_t to) {
    return (struct part){from, to - from, false};
}

/* Which parts are in use follows from fields of the parts before. */
static struct part part_of(const struct evidence *evidence, unsigned i) {
    const struct negotiate_evidence *negotiate = &evidence->negotiate;

    switch (i) {
    case 0:
        return part_between(0, MEMBER(negotiate.request.raw));
    case 1:
        return (struct part){MEMBER(negotiate.request.raw), negotiate->request.raw_size, true};
    case 2:
        return part_between(AFTER(negotiate.request.raw), MEMBER(negotiate.response.raw));
    case 3:
        return (struct part){MEMBER(negotiate.response.raw), negotiate->response.raw_size, true};
    case 4:
        return part_between(AFTER(negotiate.response.raw), MEMBER(sessions));
    case 5:
        return (struct part){MEMBER(sessions), evidence->sessions_count * sizeof evidence->sessions[0], false};
    case 6:
        return (struct part){MEMBER(trees), evidence->trees_count * sizeof evidence->trees[0], false};
    case 7:
        return (struct part){MEMBER(validations), evidence->validations_count * sizeof evidence->validations[0], false};
    case 8:
        return (struct part){MEMBER(broken), evidence->broken_count * sizeof evidence->broken[0], false};
    case 9:
        return part_between(AFTER(broken), MEMBER(log_tail));
    case 10:
        return (struct part){MEMBER(log_tail), evidence->log_tail_count * sizeof evidence->log_tail[0], true};
    default:
        return (struct part){MEMBER(log), evidence->log_count * sizeof evidence->log[0], true};
    }
}

static uint64_t word_at(const uint8_t *from) {
    uint64_t word;

    memcpy(&word, from, WORD);
    return word;
}

/* One run of whole words behind their mask, returns what follows them. */
static inline uint8_t *pack_run(const uint8_t *from, size_t words, uint8_t *to) {
    uint64_t mask = 0;
    size_t kept = 1;

    for (size_t i = words; i-- > 0;) {
        uint64_t word = word_at(from + i * WORD);

        memcpy(to + kept * WORD, &word, WORD); /* overwritten by the next one where it is 0 */
        mask += mask + (word != 0);
        kept += word != 0;
    }
    memcpy(to, &mask, WORD);
    return to + kept * WORD;
}

/* Writes `size` octets packed, returns what follows them. */
static uint8_t *pack(const uint8_t *from, size_t size, uint8_t *to) {
    uint8_t rest[WORD] = {0};

    for (; size >= RUN_WORDS * WORD; size -= RUN_WORDS * WORD, from += RUN_WORDS * WORD)
        to = pack_run(from, RUN_WORDS, to);
    if (size >= WORD)
        to = pack_run(from, size / WORD, to);
    if (size % WORD == 0)
        return to;
    memcpy(rest, from + size / WORD * WORD, size % WORD);
    return pack_run(rest, 1, to);
}

/* The way back, returns what follows in the packed octets. */
static inline const uint8_t *unpack_run(const uint8_t *from, uint8_t *to) {
    for (uint64_t mask = word_at(from); mask != 0;) {
        unsigned highest = (unsigned)__builtin_clzll(mask) ^ (RUN_WORDS - 1);

        memcpy(to + highest * WORD, from += WORD, WORD);
        mask ^= UINT64_C(1) << highest;
    }
    return from + WORD;
}

static const uint8_t *unpack(const uint8_t *from, uint8_t *to, size_t size) {
    uint8_t rest[WORD] = {0};

    memset(to, 0, size);
    for (; size >= RUN_WORDS * WORD; size -= RUN_WORDS * WORD, to += RUN_WORDS * WORD)
        from = unpack_run(from, to);
    if (size >= WORD)
        from = unpack_run(from, to);
    if (size % WORD == 0)
        return from;
    from = unpack_run(from, rest);
    memcpy(to + size / WORD * WORD, rest, size % WORD);
    return from;
}

struct spill *spill_new(void) {
    struct spill *spill = calloc(1, sizeof *spill);

    if (spill == NULL)
        return NULL;
    grown_init(&spill->index, sizeof(struct place_of_record));
    grown_init(&spill->order, sizeof(struct sorted));
    spill->memory = mmap(NULL, SPILL_MEMORY_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (spill->memory == MAP_FAILED) {
        free(spill);
        return NULL;
    }
    madvise(spill->memory, SPILL_MEMORY_MAX, MADV_HUGEPAGE); /* fewer page faults, where the system has them */
    return spill;
}

static int note(struct spill *spill, const struct evidence *evidence, uint64_t offset, size_t size) {
    struct place_of_record *place = grown_add(&spill->index);

    if (place == NULL)
        return -ENOMEM;
    *place = (struct place_of_record){evidence->first_packet, offset, (uint32_t)size, evidence->file};
    return 0;
}

static int put_in_file(struct spill *spill, const struct evidence *evidence, const uint8_t *octets, size_t size) {
    if (spill->file == NULL) {
        spill->file = temporary_stream();
        if (spill->file == NULL)
            return -errno;
        setvbuf(spill->file, NULL, _IOFBF, 1 << 20);
    }
    errno = 0;
    if (fwrite(octets, 1, size, spill->file) != size)
        return errno != 0 ? -errno : -EIO;
    spill->file_used += size;
    return note(spill, evidence, SPILL_MEMORY_MAX + spill->file_used - size, size);
}

int spill_put(struct spill *spill, const struct evidence *evidence) {
    uint8_t room[PACKED_MAX];
    bool in_memory = spill->file == NULL && SPILL_MEMORY_MAX - spill->memory_used >= sizeof room;
    uint8_t *begin = in_memory ? spill->memory + spill->memory_used : room, *to = begin;
    size_t size;

    for (unsigned i = 0; i < PARTS_COUNT; i++) {
        struct part part = part_of(evidence, i);
        const uint8_t *octets = (const uint8_t *)evidence + part.offset;

        to = part.dense ? mempcpy(to, octets, part.size) : pack(octets, part.size, to);
    }
    size = (size_t)(to - begin);
    if (!in_memory)
        return put_in_file(spill, evidence, room, size);
    spill->memory_used += size;
    return note(spill, evidence, spill->memory_used - size, size);
}

size_t spill_count(const struct spill *spill) {
    return grown_count(&spill->index);
}

static int by_first_packet(const void *a, const void *b) {
    const struct sorted *x = a, *y = b;

    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return x->first_packet < y->first_packet ? -1 : x->first_packet > y->first_packet;
}

int spill_sort(struct spill *spill) {
    size_t count = spill_count(spill);

    for (size_t i = 0; i < count; i++) {
        const struct place_of_record *place = grown_at(&spill->index, i);
        struct sorted *sorted = grown_add(&spill->order);

        if (sorted == NULL)
            return -ENOMEM;
        *sorted = (struct sorted){place->first_packet, place->file, (uint32_t)i};
    }
    if (count > 1)
        qsort(grown_at(&spill->order, 0), count, sizeof(struct sorted), by_first_packet);
    if (spill->file != NULL && fflush(spill->file) != 0)
        return -errno;
    return 0;
}

size_t spill_at(const struct spill *spill, size_t i) {
    return ((const struct sorted *)grown_at(&spill->order, i))->record;
}

static int read_octets(struct spill *spill, uint64_t offset, uint8_t *to, size_t size) {
    while (size > 0) {
        ssize_t got = pread(fileno(spill->file), to, size, (off_t)offset);

        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

int spill_get(struct spill *spill, size_t record, struct evidence *evidence) {
    const struct place_of_record *place = grown_at(&spill->index, record);
    uint8_t octets[PACKED_MAX];
    const uint8_t *from = octets;

    if (place->offset < SPILL_MEMORY_MAX) {
        from = spill->memory + place->offset;
    } else {
        int error = read_octets(spill, place->offset - SPILL_MEMORY_MAX, octets, place->size);

        if (error != 0)
            return error;
    }
    for (unsigned i = 0; i < PARTS_COUNT; i++) {
        struct part part = part_of(evidence, i); /* with what the parts before have brought */
        uint8_t *to = (uint8_t *)evidence + part.offset;

        if (part.dense)
            memcpy(to, from, part.size);
        from = part.dense ? from + part.size : unpack(from, to, part.size);
    }
    return 0;
}

void spill_free(struct spill *spill) {
    if (spill == NULL)
        return;
    munmap(spill->memory, SPILL_MEMORY_MAX);
    if (spill->file != NULL)
        fclose(spill->file);
    grown_free(&spill->index);
    grown_free(&spill->order);
    free(spill);
}
