/* One connection through the relay: octets that came from one end in, what goes to the other end out.
 *
 * It embeds a conversation for each end, fed with what that end sent and got, and the negotiation record that follows
 * from it; where nothing is altered the two are equal. It knows no sockets and allocates nothing. Octets that nobody
 * asked to change go on exactly as they came, whatever they are. */
#ifndef SMBPROOF_RELAY_PASSAGE_H
#define SMBPROOF_RELAY_PASSAGE_H

#include "core/conversation.h"
#include "relay/predict.h"
#include "relay/tamper.h"

/* Octets that must fit behind each other for a message that may be altered: frame header, message, growth. Longer
 * messages pass unaltered. */
#define PASSAGE_FRAME_MAX (FRAME_HEADER_SIZE + CONVERSATION_WHOLE_MAX + TAMPER_GROWTH_MAX)
/* Octets of the comment on a packet, with its NUL. */
#define PASSAGE_COMMENT_MAX 512u

struct plan {
    unsigned count;
    struct tamper tampers[TAMPERS_MAX];
};

enum step_kind {
    STEP_MORE,    /* more octets of this direction are needed first */
    STEP_PASS,    /* the first `used` octets go on as they are */
    STEP_CHANGED, /* `out` goes on in their place */
    STEP_DROP,    /* nothing does */
    STEP_RESET,   /* nothing does, and both connections are reset */
};

struct passage_step {
    enum step_kind kind;
    size_t used;
    struct span out;
    uint32_t delay_ms, split_size, coalesce_ms; /* 0: no */
    char comment[PASSAGE_COMMENT_MAX];          /* "" where nothing was done */
};

struct passage {
    const struct plan *plan;
    bool is_selected; /* alterations are made */
    bool blind[2];    /* by direction: not SMB, passes unseen */
    size_t frame_left[2]; /* by direction: octets of a frame that goes on as it is */
    bool lost[2]; /* by end: its conversation is not fed any more */
    struct conversation conversations[2]; /* by end: FROM_CLIENT the client's, FROM_SERVER the server's */
    struct event_list events[2];          /* of each */
    unsigned sealed_requests, sealed_responses;
    bool answer_waits;
    uint8_t answer[FRAME_HEADER_SIZE + 80u];
    size_t answer_size;
    struct passage_facts facts;
    struct passage_ending ending;
};

void passage_init(struct passage *passage, const struct plan *plan, bool is_selected);

/* What becomes of the front of `octets`. `room` has PASSAGE_FRAME_MAX octets, and `out` may point into it. */
void passage_step(struct passage *passage, enum direction from, struct span octets, uint8_t *room,
                  struct passage_step *step);

/* The relay's own answer to the client, complete with its frame header; taken once, and only between two frames of
 * FROM_SERVER. False where there is none. The span is good until the next step. */
bool passage_take_answer(struct passage *passage, struct span *answer);

/* An end closed, or reset, its connection. */
void passage_closed(struct passage *passage, enum direction from);
void passage_reset(struct passage *passage); /* the relay did */

#endif
