/* A conversation watches one connection: bytes and their direction in, events out.
 *
 * It never buffers and never allocates. The caller feeds bytes in stream order and keeps what was not
 * consumed, to present it again with more behind it. Messages that matter to negotiation are wanted whole;
 * of bulk READ and WRITE traffic only the head is looked at, and the rest is consumed unseen, so a capture
 * of a large transfer costs next to nothing. Any segmentation of the two streams gives the same events.
 *
 *     while (size > 0) {
 *         size_t used = conversation_feed(&c, from, (struct span){data, size});
 *         while (conversation_next(&c, &event)) look(&event);   // borrows from data: look before feeding again
 *         if (used == 0) break;                                // incomplete: keep data[0..size), come back with more
 *         data += used; size -= used;
 *     }
 */
#ifndef SMBPROOF_CORE_CONVERSATION_H
#define SMBPROOF_CORE_CONVERSATION_H

#include "core/verdict.h"
#include "wire/frame.h"
#include "wire/message.h"

enum direction { FROM_CLIENT = 0, FROM_SERVER = 1 };

static inline enum direction direction_other(enum direction from) {
    return from == FROM_CLIENT ? FROM_SERVER : FROM_CLIENT;
}

/* Requests remembered per connection, to match responses with them ([MS-SMB2] Connection.OutstandingRequests).
 * An older one is forgotten first; a peer with more in flight loses only the match. */
#define CONVERSATION_OUTSTANDING_MAX 128
/* The longest message that is wanted whole, in octets: NEGOTIATE, SESSION_SETUP, TREE_CONNECT, VALIDATE. Longer
 * ones are reported cut at this size. NEGOTIATE before authentication has no business to be larger. */
#define CONVERSATION_WHOLE_MAX (128u * 1024u)
/* Octets looked at of every other message. */
#define CONVERSATION_HEAD_MAX 192u

enum event_kind {
    EVENT_MESSAGE,   /* a message went by, decoded */
    EVENT_NETBIOS,   /* a NetBIOS session packet that carries no SMB message ([RFC1002] 4.3) */
    EVENT_BROKEN,    /* the previous message broke a rule: `verdict` (more than one may follow a message) */
    EVENT_GAP,       /* bytes are missing here; the next message was found by its look, not by its place */
    EVENT_NOISE,     /* bytes that are not SMB: the stream is lost, or never was SMB */
};

/* What is remembered of a request when its response goes by. */
struct request_note {
    bool known;             /* false: never seen, or forgotten */
    bool is_signed;         /* SMB2_FLAGS_SIGNED was set in it */
    uint16_t command;
    uint32_t control_code;  /* IOCTL only */
    uint64_t message_id;
    uint64_t session_id;
    uint64_t tag;           /* whatever the caller set by conversation_tag() when the request went by */
    uint8_t signature[16];
};

struct event {
    enum event_kind kind;
    enum direction from;
    uint64_t offset;             /* of the message's first octet in its direction's stream, from the first byte fed */
    bool chained;                /* element of a compound chain, not the first */
    bool whole;                  /* MESSAGE: nothing of it was cut or lost */
    bool after_gap;              /* MESSAGE: first one after a gap in its direction */
    struct message message;      /* MESSAGE */
    struct request_note request; /* MESSAGE, responses: the request it answers */
    uint8_t netbios_type;        /* NETBIOS: 0x81, 0x82, 0x83, 0x84, 0x85 */
    size_t lost;                 /* GAP: octets */
    struct verdict verdict;      /* BROKEN */
};

/* Events that one feed can yield: a message (or a gap) and the rules that it broke. */
#define CONVERSATION_EVENTS_MAX 6u

/* Where a feed puts its events. Conversations may share one, as long as all events of a feed are fetched before the next
 * feed of any of them. */
struct event_list {
    uint32_t count, next;
    struct event events[CONVERSATION_EVENTS_MAX];
};

struct conversation; /* the whole of it is in core/conversation_state.h, for those who embed one */

#include "core/conversation_state.h"

/* `events` stays the caller's, and with the conversation. */
void conversation_init(struct conversation *conversation, struct event_list *events);

/* Feeds the next bytes of one direction. Returns how many were consumed; 0 when more are needed first
 * (see conversation_wants), or when events are still to be fetched. */
size_t conversation_feed(struct conversation *conversation, enum direction from, struct span bytes);

/* The same for octets that are passed over unseen; false, and nothing is consumed, where not all of them are. */
bool conversation_pass(struct conversation *conversation, enum direction from, size_t size);

/* A frame's four octets were read elsewhere, and its content of `length` octets is fed next. */
void conversation_frame(struct conversation *conversation, enum direction from, uint32_t length);

/* How many octets must be at hand before feeding this direction consumes anything; at least 1. */
size_t conversation_wants(const struct conversation *conversation, enum direction from);

/* How many of the next octets of this direction will be passed over unseen. */
size_t conversation_skips(const struct conversation *conversation, enum direction from);

/* The next event in its place, NULL when there is none; it stays until the next feed or gap. */
const struct event *conversation_event(struct conversation *conversation);
/* The next event, false when there is none. Events borrow from the bytes of the last feed or gap. */
bool conversation_next(struct conversation *conversation, struct event *event);

/* `lost` octets of this direction will never be seen (0: an unknown number). `partial` is what the caller held
 * that could not be consumed: a message cut by the gap is reported from it (whole = false) when its header is
 * there. Where the gap ends inside a message whose length is known the stream goes on exactly; else the next
 * message is searched for by its look. */
void conversation_gap(struct conversation *conversation, enum direction from, struct span partial, size_t lost);

/* Attaches a number (a packet number, say) to the request whose MESSAGE event was fetched last; the
 * response's event gives it back in request.tag. */
void conversation_tag(struct conversation *conversation, uint64_t tag);

/* Has SMB been seen in either direction? */
bool conversation_is_smb(const struct conversation *conversation);
/* Nothing like SMB was found in a long stretch: the caller may drop the connection. */
bool conversation_is_noise(const struct conversation *conversation);

/* Of a SESSION_SETUP request's token: is there an NTLMSSP AUTHENTICATE message in it (`authenticate`, else left as it was),
 * and one without a user name ([MS-NLMP] 2.2.1.3)? */
bool token_names_no_user(struct span token, bool *authenticate);

/* Are these the first octets of an SMB connection, or of a frame in its middle? */
enum conversation_look conversation_look(struct span first_bytes);

#endif
