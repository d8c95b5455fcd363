/* One direction of a connection: octets read from one socket, what a passage makes of them written to the other. */
#ifndef SMBPROOF_RELAY_LANE_H
#define SMBPROOF_RELAY_LANE_H

#include "net/loop.h"
#include "relay/relay.h"

struct lane {
    enum direction from;
    int source, target; /* descriptors, not owned */
    uint8_t *octets;    /* RELAY_HELD_MAX; NULL while there is nothing to hold */
    size_t start, end;  /* of what was read and not yet written */
    size_t cleared;     /* octets from `start` on that may be written as they are */
    uint8_t *out;       /* what goes in front of them: altered messages; NULL none */
    size_t out_at, out_size;
    uint32_t split_size; /* of what is to be written; 0: not split */
    bool waits;          /* for the timer: held up, or between two pieces */
    bool gathers;        /* more is to come before it is written, or the timer */
    bool blocked;        /* the target takes nothing now */
    bool finished;       /* the source has no more */
    bool shut;           /* and the target was told */
    struct loop_timer timer;
    uint64_t written;
    char comment[PASSAGE_COMMENT_MAX];
    bool unrecorded; /* what is to be written is still to be recorded */
};

enum lane_state {
    LANE_WAITS,  /* for the socket or the timer */
    LANE_FAILED, /* the connection cannot go on: `*culprit` is the end that broke it */
    LANE_RESET,  /* an alteration demands the end of both */
};

/* What lanes need of the relay. */
struct lane_world {
    struct loop *loop;
    struct passage *passage;
    struct recorder *recorder;       /* NULL */
    struct recorded *recorded;       /* two, by side */
    uint8_t *room;                   /* PASSAGE_FRAME_MAX octets, shared by all */
    uint8_t **spare;                 /* a buffer that is not in use, or NULL; shared by all */
};

/* Reads and writes as long as there is something to do. */
enum lane_state lane_run(struct lane *lane, const struct lane_world *world, enum direction *culprit);
/* The timer expired: what waited may be written. */
void lane_go_on(struct lane *lane);
void lane_free(struct lane *lane, struct loop *loop);

#endif
