/* src/capture against any file: records, headers and segments are read without going beyond the
 * end, and the flows keep their promises to the sink: `opened` and `closed` pair, nothing is said
 * to a flow that is over or ignored, what a reader left unused comes again at the front, and what
 * is held back stays below its limit. */
#include <stdlib.h>
#include <string.h>

#include "capture/flows.h"

#define INPUT_SIZE_MAX 65536u /* octets; longer inputs show nothing new */
#define PACKETS_MAX    65536u /* a small compressed file may hold very many */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* Readers of several tempers, by the responder's port. */
enum temper { TEMPER_ALL, TEMPER_SOME, TEMPER_NONE, TEMPER_IGNORE, TEMPERS };

struct reader_state {
    struct watcher *watcher;
    enum temper temper;
    size_t left[2]; /* octets that the last call left unused */
    uint8_t first[2];
    unsigned calls;
};

struct watcher {
    size_t open;
    uint64_t sum; /* so that every octet is read */
};

static void *on_opened(void *context, const struct endpoint *initiator,
                       const struct endpoint *responder, bool initiator_known, uint32_t interface) {
    struct watcher *watcher = context;
    char text[ENDPOINT_TEXT_MAX];
    struct reader_state *state = calloc(1, sizeof *state);
    (void)initiator_known, (void)interface;
    CHECK(state);
    endpoint_text(initiator, text);
    endpoint_text(responder, text);
    CHECK(strlen(text) < ENDPOINT_TEXT_MAX);
    state->watcher = watcher;
    state->temper = (enum temper)(responder->port % TEMPERS);
    watcher->open++;
    return state;
}

static void on_segment(void *flow, const struct packet *packet, const struct segment *segment,
                       const struct segment_note *note) {
    struct reader_state *state = flow;
    CHECK(state->watcher->open > 0);
    CHECK(segment->payload.size <= segment->payload_size && packet->number > 0);
    CHECK(note->side == FLOW_INITIATOR || note->side == FLOW_RESPONDER);
}

static size_t on_bytes(void *flow, enum flow_side side, struct span bytes,
                       const struct packet *packet) {
    struct reader_state *state = flow;
    CHECK(bytes.size > state->left[side] && packet->number > 0);
    CHECK(state->left[side] == 0 || bytes.data[0] == state->first[side]);
    for (size_t i = 0; i < bytes.size; i++)
        state->watcher->sum += bytes.data[i];
    if (state->temper == TEMPER_IGNORE && state->calls++ > 3)
        return FLOW_IGNORE;
    size_t used = bytes.size;
    if (state->temper == TEMPER_SOME)
        used = bytes.data[0] % 64u + 1 <= bytes.size ? bytes.data[0] % 64u + 1 : 0;
    if (state->temper == TEMPER_NONE)
        used = 0;
    state->left[side] = bytes.size - used;
    CHECK(state->left[side] == 0 || used < bytes.size);
    state->first[side] = used < bytes.size ? bytes.data[used] : 0;
    return used;
}

static void on_gap(void *flow, enum flow_side side, struct span partial, size_t lost,
                   const struct packet *packet) {
    struct reader_state *state = flow;
    CHECK(partial.size == state->left[side] && partial.size <= FLOW_HELD_MAX && packet->number > 0);
    CHECK(lost <= UINT32_MAX);
    for (size_t i = 0; i < partial.size; i++)
        state->watcher->sum += partial.data[i];
    state->left[side] = 0;
}

static void on_closed(void *flow) {
    struct reader_state *state = flow;
    CHECK(state->watcher->open-- > 0);
    free(state);
}

static void read_capture(struct capture *capture, struct flows *flows, struct link *link) {
    struct packet packet;
    struct segment segment;
    uint64_t number = 0;
    for (unsigned i = 0; i < PACKETS_MAX && capture_next(capture, &packet) == CAPTURE_PACKET; i++) {
        CHECK(packet.number > number && packet.bytes.size <= packet.wire_size);
        number = packet.number;
        if (link_decode(link, &packet, &segment) == LINK_SEGMENT)
            flows_segment(flows, &packet, &segment);
    }
}

static void watch_capture(struct capture *capture) {
    struct watcher watcher = {0};
    struct flow_sink sink = {&watcher, on_opened, on_segment, on_bytes, on_gap, on_closed};
    struct flow_counts counts;
    struct flows *flows = flows_new(&sink);
    struct link *link = link_new();
    CHECK(flows && link);
    read_capture(capture, flows, link);
    flows_finish(flows);
    flows_counts(flows, &counts);
    CHECK(watcher.open == 0);
    flows_free(flows);
    link_free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct capture *capture;
    struct capture_error error;
    if (size > INPUT_SIZE_MAX)
        return 0;
    int result = capture_open_memory(&capture, (struct span){data, size}, &error);
    CHECK(result == 0 ||
          (result < 0 && capture == NULL && memchr(error.reason, 0, sizeof error.reason)));
    if (result < 0)
        return 0;
    watch_capture(capture);
    CHECK(capture_position(capture) <= capture_size(capture));
    capture_close(capture);
    return 0;
}
