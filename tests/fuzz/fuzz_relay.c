/* The relay against hostile ends: a passage is fed any octets from both sides, with alterations that the input chooses.
 *
 * The first octet says how many alterations (from their texts, up to a line break each) come first; what follows are
 * pieces: a direction bit and a length in two octets, then octets. What a passage says of octets must hold: no step
 * takes more than it was given, nothing changes where nothing was altered, and it always comes to an end. */
#include <stdlib.h>
#include <string.h>

#include "relay/passage.h"
#include "relay/profiles.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define TEXTS_MAX 6u
#define HELD_MAX  (160u * 1024u)

struct side {
    uint8_t octets[HELD_MAX];
    size_t size;
};

static void add_tamper(struct plan *plan, struct span line) {
    char text[TAMPER_TEXT_MAX], complaint[TAMPER_COMPLAINT_MAX];

    if (line.size >= sizeof text)
        return;
    memcpy(text, line.data, line.size);
    text[line.size] = '\0';
    complaint[0] = '\0';
    if (tamper_parse(text, &plan->tampers[plan->count], complaint))
        plan->count++;
    else
        CHECK(complaint[0] != '\0' && memchr(complaint, '\0', sizeof complaint) != NULL);
}

static void read_plan(struct reader *reader, struct plan *plan) {
    unsigned texts = reader_u8(reader) % (TEXTS_MAX + 1);

    memset(plan, 0, sizeof *plan);
    for (unsigned i = 0; i < texts && reader_left(reader) > 0; i++) {
        struct span rest = span_slice(reader->bytes, reader->at, reader_left(reader));
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;

        add_tamper(plan, span_slice(rest, 0, size));
        reader_skip(reader, size + (end != NULL));
    }
}

static void check_step(const struct passage *passage, const struct passage_step *step, size_t size) {
    CHECK(step->kind == STEP_MORE ? step->used == 0 : step->used > 0 && step->used <= size);
    CHECK(step->kind != STEP_CHANGED || (step->out.size >= FRAME_HEADER_SIZE && step->out.size <= PASSAGE_FRAME_MAX));
    CHECK(step->kind == STEP_MORE || step->kind == STEP_PASS || passage->facts.alterations_count > 0);
    CHECK(memchr(step->comment, '\0', sizeof step->comment) != NULL);
}

/* A frame that is there to its end never waits for more. */
static void check_progress(const struct passage *passage, enum direction from, struct span rest) {
    struct frame frame;

    if (passage->frame_left[from] == 0 && frame_decode(rest, &frame))
        CHECK(rest.size < FRAME_HEADER_SIZE + frame.length);
    else
        CHECK(rest.size < FRAME_HEADER_SIZE || rest.size < passage->frame_left[from]);
}

/* Takes steps as long as there are any. False where the connection was reset. */
static bool run(struct passage *passage, enum direction from, struct side *side, uint8_t *room) {
    struct passage_step step;
    struct span answer;
    size_t start = 0;

    for (;;) {
        passage_step(passage, from, (struct span){side->octets + start, side->size - start}, room, &step);
        check_step(passage, &step, side->size - start);
        if (from == FROM_SERVER && passage_take_answer(passage, &answer))
            CHECK(answer.size > FRAME_HEADER_SIZE);
        if (step.kind == STEP_MORE || step.kind == STEP_RESET)
            break;
        start += step.used;
    }
    if (step.kind == STEP_MORE)
        check_progress(passage, from, (struct span){side->octets + start, side->size - start});
    memmove(side->octets, side->octets + start, side->size - start);
    side->size -= start;
    CHECK(side->size < HELD_MAX - UINT16_MAX); /* so the relay's buffer is never full without a step */
    return step.kind != STEP_RESET;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct reader reader = reader_over((struct span){data, size});
    struct side *sides = calloc(2, sizeof *sides);
    uint8_t *room = malloc(PASSAGE_FRAME_MAX);
    struct passage *passage = malloc(sizeof *passage);
    struct plan plan;
    struct prediction prediction;
    bool goes_on = true;

    CHECK(sides != NULL && room != NULL && passage != NULL);
    read_plan(&reader, &plan);
    passage_init(passage, &plan, true);
    while (goes_on && reader_left(&reader) > 3) {
        enum direction from = reader_u8(&reader) & 1 ? FROM_SERVER : FROM_CLIENT;
        size_t length = reader_u16(&reader), left = reader_left(&reader);
        struct span octets = reader_take(&reader, length < left ? length : left);

        if (octets.size > 0)
            memcpy(sides[from].octets + sides[from].size, octets.data, octets.size);
        sides[from].size += octets.size;
        goes_on = run(passage, from, &sides[from], room);
    }
    passage_closed(passage, size % 2 ? FROM_CLIENT : FROM_SERVER);
    prediction = predict(&passage->facts);
    CHECK(judge(&passage->facts, &prediction, &passage->ending).outcome < NOTICES_COUNT);
    CHECK(plan.count > 0 || passage->facts.alterations_count == 0);
    free(passage);
    free(room);
    free(sides);
    return 0;
}
