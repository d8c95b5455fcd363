#include "relay/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Reads of one direction before others have their turn. */
#define READS_MAX 8u

void lane_go_on(struct lane *lane) {
    lane->waits = lane->gathers = false;
}

void lane_free(struct lane *lane, struct loop *loop) {
    loop_timer_clear(loop, &lane->timer);
    free(lane->octets);
    free(lane->out);
}

/* ---- recording ---- */

static void record_source(const struct lane *lane, const struct lane_world *world, const struct passage_step *step) {
    struct span octets = {lane->octets + lane->start, step->used};

    if (world->recorder != NULL)
        recorder_data(world->recorder, &world->recorded[lane->from], lane->from, octets, step->comment);
}

/* What is to be written now, on the other side. */
static void record_target(struct lane *lane, const struct lane_world *world) {
    struct recorded *recorded = &world->recorded[direction_other(lane->from)];
    bool altered = lane->out_size > lane->out_at;

    if (!lane->unrecorded || world->recorder == NULL)
        return;
    lane->unrecorded = false;
    if (altered)
        recorder_data(world->recorder, recorded, lane->from,
                      (struct span){lane->out + lane->out_at, lane->out_size - lane->out_at}, lane->comment);
    if (lane->cleared > 0)
        recorder_data(world->recorder, recorded, lane->from, (struct span){lane->octets + lane->start, lane->cleared},
                      altered ? "" : lane->comment);
    lane->comment[0] = '\0';
}

/* ---- buffers ---- */

static bool make_buffer(struct lane *lane, const struct lane_world *world) {
    if (lane->octets == NULL && *world->spare != NULL) {
        lane->octets = *world->spare;
        *world->spare = NULL;
    }
    if (lane->octets == NULL)
        lane->octets = malloc(RELAY_HELD_MAX);
    return lane->octets != NULL;
}

/* A connection at rest holds nothing. */
static void drop_buffer(struct lane *lane, const struct lane_world *world) {
    if (lane->octets == NULL || lane->start < lane->end)
        return;
    lane->start = lane->end = 0;
    if (*world->spare == NULL)
        *world->spare = lane->octets;
    else
        free(lane->octets);
    lane->octets = NULL;
}

static void move_to_front(struct lane *lane) {
    if (lane->start == 0)
        return;
    memmove(lane->octets, lane->octets + lane->start, lane->end - lane->start);
    lane->end -= lane->start;
    lane->start = 0;
}

static bool out_append(struct lane *lane, struct span octets) {
    size_t kept = lane->out_size - lane->out_at;
    uint8_t *larger = malloc(kept + octets.size);

    if (larger == NULL)
        return false;
    if (kept > 0)
        memcpy(larger, lane->out + lane->out_at, kept);
    memcpy(larger + kept, octets.data, octets.size);
    free(lane->out);
    lane->out = larger;
    lane->out_at = 0;
    lane->out_size = kept + octets.size;
    return true;
}

/* ---- writing ---- */

static void wait_for(struct lane *lane, const struct lane_world *world, uint32_t time_ms) {
    if (loop_timer_set(world->loop, &lane->timer, time_ms) == 0)
        lane->waits = true; /* without memory for the timer it just does not wait */
}

/* One write; returns what it wrote, 0 where the target takes nothing now, or a negative errno. */
static ssize_t write_some(struct lane *lane, const uint8_t *octets, size_t size) {
    size_t most = lane->split_size > 0 && lane->split_size < size ? lane->split_size : size;
    ssize_t done = send(lane->target, octets, most, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
        lane->blocked = true;
        return 0;
    }
    if (done > 0)
        lane->written += (uint64_t)done;
    return done < 0 ? -errno : done;
}

static ssize_t write_out(struct lane *lane) {
    ssize_t done = write_some(lane, lane->out + lane->out_at, lane->out_size - lane->out_at);

    if (done > 0)
        lane->out_at += (size_t)done;
    if (lane->out_at < lane->out_size)
        return done;
    free(lane->out);
    lane->out = NULL;
    lane->out_at = lane->out_size = 0;
    return done;
}

static ssize_t write_cleared(struct lane *lane) {
    ssize_t done = write_some(lane, lane->octets + lane->start, lane->cleared);

    if (done > 0) {
        lane->start += (size_t)done;
        lane->cleared -= (size_t)done;
    }
    return done;
}

static bool has_pending(const struct lane *lane) {
    return lane->out_size > lane->out_at || lane->cleared > 0;
}

/* Writes all that may be written. False where that is not possible now, or (*failed) never. */
static bool flush(struct lane *lane, const struct lane_world *world, bool *failed) {
    lane->blocked = false;
    if (lane->waits)
        return false;
    if (lane->gathers)
        return true;
    record_target(lane, world);
    while (has_pending(lane)) {
        ssize_t done = lane->out_size > lane->out_at ? write_out(lane) : write_cleared(lane);

        *failed = done < 0;
        if (done <= 0)
            return false;
        if (lane->split_size > 0 && has_pending(lane)) {
            wait_for(lane, world, RELAY_SPLIT_GAP_MS);
            return false;
        }
    }
    lane->split_size = 0;
    return true;
}

/* ---- steps ---- */

/* Small messages go out together with what gathers before them. */
static bool release(struct lane *lane, const struct lane_world *world, const struct passage_step *step) {
    bool altered = step->kind == STEP_CHANGED, joins = lane->out_size > lane->out_at || step->coalesce_ms > 0;
    struct span octets = altered ? step->out : (struct span){lane->octets + lane->start, step->used};

    if (altered || (joins && step->used <= PASSAGE_FRAME_MAX)) {
        if (!out_append(lane, octets))
            return false;
        lane->start += step->used;
    } else {
        lane->cleared = step->used;
    }
    lane->unrecorded = true;
    if (step->comment[0] != '\0')
        memcpy(lane->comment, step->comment, sizeof lane->comment);
    lane->split_size = step->split_size;
    lane->gathers = false;
    if (step->coalesce_ms > 0 && loop_timer_set(world->loop, &lane->timer, step->coalesce_ms) == 0)
        lane->gathers = true;
    if (step->delay_ms > 0)
        wait_for(lane, world, step->delay_ms);
    return true;
}

/* Without more octets to come the rest goes on as it is: a message that was cut by its sender. */
static bool end_of_source(struct lane *lane, const struct lane_world *world) {
    if (lane->start < lane->end) {
        struct passage_step rest = {.kind = STEP_PASS, .used = lane->end - lane->start};

        record_source(lane, world, &rest);
        return release(lane, world, &rest);
    }
    if (lane->gathers)
        lane_go_on(lane);
    if (has_pending(lane) || lane->shut)
        return true;
    shutdown(lane->target, SHUT_WR);
    lane->shut = true;
    if (world->recorder != NULL)
        recorder_finish(world->recorder, &world->recorded[direction_other(lane->from)], lane->from, "");
    return true;
}

static void source_finished(struct lane *lane, const struct lane_world *world) {
    lane->finished = true;
    passage_closed(world->passage, lane->from);
    if (world->recorder != NULL)
        recorder_finish(world->recorder, &world->recorded[lane->from], lane->from, "");
}

/* Returns 1: some octets, or the end; 0: none now; or a negative errno. */
static int read_more(struct lane *lane, const struct lane_world *world) {
    ssize_t got;

    if (!make_buffer(lane, world))
        return -ENOMEM;
    move_to_front(lane);
    if (lane->end == RELAY_HELD_MAX)
        return -EMSGSIZE; /* cannot be: a step takes something long before */
    got = recv(lane->source, lane->octets + lane->end, RELAY_HELD_MAX - lane->end, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    lane->end += (size_t)got;
    if (got == 0)
        source_finished(lane, world);
    return 1;
}

/* What the relay itself has to say to the client goes between two messages of the server. */
static bool take_answer(struct lane *lane, const struct lane_world *world) {
    struct passage_step step = {.kind = STEP_CHANGED};

    if (lane->from != FROM_SERVER || !passage_take_answer(world->passage, &step.out))
        return true;
    strcpy(step.comment, "smbproof relay sent this in the server's place");
    return release(lane, world, &step);
}

/* Does what the passage says of the octets at hand. Returns false where it needs more. */
static bool take_step(struct lane *lane, const struct lane_world *world, struct passage_step *step, bool *failed) {
    passage_step(world->passage, lane->from, (struct span){lane->octets + lane->start, lane->end - lane->start},
                 world->room, step);
    if (step->kind == STEP_MORE)
        return false;
    record_source(lane, world, step);
    if (step->kind == STEP_DROP)
        lane->start += step->used;
    else if (step->kind != STEP_RESET)
        *failed = !release(lane, world, step);
    return true;
}

static enum lane_state failed_at(enum direction *culprit, enum direction end) {
    *culprit = end;
    return LANE_FAILED;
}

enum lane_state lane_run(struct lane *lane, const struct lane_world *world, enum direction *culprit) {
    struct passage_step step = {.kind = STEP_MORE};
    unsigned reads = 0;
    bool failed = false;

    while (!lane->shut) {
        if (!flush(lane, world, &failed))
            break;
        if (!take_answer(lane, world))
            return failed_at(culprit, lane->from);
        if (has_pending(lane) && !lane->gathers)
            continue;
        if (lane->start < lane->end && take_step(lane, world, &step, &failed)) {
            if (failed || step.kind == STEP_RESET)
                return failed ? failed_at(culprit, lane->from) : LANE_RESET;
            continue;
        }
        if (lane->finished) {
            if (!end_of_source(lane, world))
                return failed_at(culprit, lane->from);
            continue;
        }
        if (reads++ == READS_MAX)
            break;
        int got = read_more(lane, world);
        if (got < 0)
            return failed_at(culprit, lane->from);
        if (got == 0)
            break;
    }
    drop_buffer(lane, world);
    return failed ? failed_at(culprit, direction_other(lane->from)) : LANE_WAITS;
}
