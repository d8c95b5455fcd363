#include "core/conversation.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "core/watch_rules.h"

#define SEARCH_LOOK 10u /* octets that tell a frame: its header, the protocol id, StructureSize */
#define IOCTL_LOOK 72u  /* octets of an IOCTL request that reach to the end of CtlCode */
#define SMB1_NEGOTIATE 0x72u
/* Octets of an SMB2 header that reach to the end of Flags: command and direction are known then. */
#define SMB2_HEADER_LOOK 20u

static_assert(sizeof(struct conversation) <= 16u * 1024u, "a conversation is held for each open connection");

void conversation_init(struct conversation *conversation, struct event_list *events) {
    memset(conversation, 0, offsetof(struct conversation, outstanding));
    conversation->events = events;
    events->count = events->next = 0;
    for (unsigned i = 0; i < 2; i++) {
        conversation->streams[i].synced = true;
        conversation->streams[i].wants = 1;
    }
}

bool conversation_is_smb(const struct conversation *conversation) {
    return conversation->is_smb;
}

bool conversation_is_noise(const struct conversation *conversation) {
    return conversation->is_noise;
}

size_t conversation_wants(const struct conversation *conversation, enum direction from) {
    return conversation->streams[from].wants;
}

size_t conversation_skips(const struct conversation *conversation, enum direction from) {
    return conversation->streams[from].skip;
}

void conversation_tag(struct conversation *conversation, uint64_t tag) {
    if (conversation->tagged != NULL)
        conversation->tagged->tag = tag;
}

const struct event *conversation_event(struct conversation *conversation) {
    struct event_list *list = conversation->events;
    const struct event *event;

    if (list->next == list->count) {
        list->next = list->count = 0;
        return NULL;
    }
    event = &list->events[list->next++];
    if (event->kind == EVENT_MESSAGE)
        conversation->tagged =
            message_is_smb2(&event->message) || event->message.kind == MESSAGE_SMB1_NEGOTIATE_REQUEST
                ? watch_request_note(conversation, event)
                : NULL;
    return event;
}

bool conversation_next(struct conversation *conversation, struct event *event) {
    const struct event *next = conversation_event(conversation);

    if (next != NULL)
        *event = *next;
    return next != NULL;
}

static inline struct event *event_new(struct conversation *conversation, enum event_kind kind, enum direction from) {
    struct event_list *list = conversation->events;
    struct event *event;

    if (list->count == CONVERSATION_EVENTS_MAX)
        return NULL;
    event = &list->events[list->count++];
    memset(event, 0, offsetof(struct event, message)); /* the rest of it belongs to one kind or another */
    event->message.kind = MESSAGE_UNKNOWN;
    event->request.known = false;
    event->netbios_type = 0;
    event->lost = 0;
    event->verdict = (struct verdict){0};
    event->kind = kind;
    event->from = from;
    event->offset = conversation->streams[from].offset;
    return event;
}

void watch_broken(struct conversation *conversation, enum direction from, enum rule rule, uint32_t offset) {
    struct event *event = event_new(conversation, EVENT_BROKEN, from);

    if (event != NULL)
        event->verdict = (struct verdict){.rule = rule, .action = ACTION_NOTE, .offset = offset};
}

/* Moves on by octets that belong to the current frame. */
static inline void pass(struct stream *stream, size_t size) {
    stream->offset += size;
    stream->frame_left -= (uint32_t)size;
    if (stream->frame_left == 0)
        stream->chained = false;
}

static void skip_rest_of_frame(struct stream *stream) {
    stream->skip = stream->frame_left;
}

static void lose_sync(struct stream *stream) {
    stream->synced = false;
    stream->after_gap = true;
    stream->frame_left = stream->skip = 0;
    stream->chained = false;
}

static inline bool is_protocol_id(const uint8_t *at) {
    return at[0] >= 0xfc && memcmp(at + 1, "SMB", 3) == 0;
}

static uint32_t least_size(uint8_t protocol) {
    switch (protocol) {
    case 0xfe:
        return SMB2_HEADER_SIZE;
    case 0xfd:
        return TRANSFORM_HEADER_SIZE;
    case 0xff:
        return SMB1_HEADER_SIZE;
    default:
        return COMPRESSION_HEADER_SIZE;
    }
}

static bool looks_like_frame(const uint8_t *at) {
    uint32_t length = (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];

    if (at[0] != 0 || !is_protocol_id(at + 4) || length < least_size(at[4]))
        return false;
    return at[4] != 0xfe || (at[8] == SMB2_HEADER_SIZE && at[9] == 0);
}

enum conversation_look conversation_look(struct span first_bytes) {
    const uint8_t *at = first_bytes.data;

    if (first_bytes.size == 0)
        return CONVERSATION_LOOK_MORE;
    if (at[0] != 0 && (at[0] < 0x81 || at[0] > 0x85))
        return CONVERSATION_LOOK_NOT_SMB;
    if (first_bytes.size < 4)
        return CONVERSATION_LOOK_MORE;
    switch (at[0]) {
    case FRAME_SESSION_REQUEST:
        return at[1] == 0 && at[2] == 0 && at[3] == 68 ? CONVERSATION_LOOK_SMB : CONVERSATION_LOOK_NOT_SMB;
    case FRAME_POSITIVE_RESPONSE:
    case FRAME_KEEP_ALIVE:
        return at[1] == 0 && at[2] == 0 && at[3] == 0 ? CONVERSATION_LOOK_SMB : CONVERSATION_LOOK_NOT_SMB;
    case FRAME_NEGATIVE_RESPONSE:
        return at[1] == 0 && at[2] == 0 && at[3] == 1 ? CONVERSATION_LOOK_SMB : CONVERSATION_LOOK_NOT_SMB;
    case FRAME_RETARGET_RESPONSE:
        return at[1] == 0 && at[2] == 0 && at[3] == 6 ? CONVERSATION_LOOK_SMB : CONVERSATION_LOOK_NOT_SMB;
    default:
        break;
    }
    if (first_bytes.size < 8)
        return CONVERSATION_LOOK_MORE;
    return is_protocol_id(at + 4) ? CONVERSATION_LOOK_SMB : CONVERSATION_LOOK_NOT_SMB;
}

/* Passes over octets until some look like a frame. Returns how many were consumed. */
static size_t search(struct conversation *conversation, enum direction from, struct span bytes) {
    struct stream *stream = &conversation->streams[from];
    size_t at = 0, end;

    if (bytes.size < SEARCH_LOOK) {
        stream->wants = SEARCH_LOOK;
        return 0;
    }
    end = bytes.size - SEARCH_LOOK + 1;
    if (!conversation->is_smb && end > CONVERSATION_SEARCH_MAX + 1 - stream->searched)
        end = (size_t)(CONVERSATION_SEARCH_MAX + 1 - stream->searched);
    while (at < end) {
        const uint8_t *zero = memchr(bytes.data + at, 0, end - at);

        if (zero == NULL) {
            at = end;
            break;
        }
        at = (size_t)(zero - bytes.data);
        if (looks_like_frame(zero)) {
            stream->synced = true;
            break;
        }
        at++;
    }
    stream->offset += at;
    stream->searched += at;
    if (!conversation->is_smb && !conversation->is_noise && stream->searched > CONVERSATION_SEARCH_MAX) {
        conversation->is_noise = true;
        event_new(conversation, EVENT_NOISE, from);
    }
    return at;
}

void conversation_frame(struct conversation *conversation, enum direction from, uint32_t length) {
    struct stream *stream = &conversation->streams[from];

    assert(stream->synced && stream->frame_left == 0);
    stream->offset += FRAME_HEADER_SIZE;
    stream->frame_left = length;
    stream->chained = false;
    stream->session_id = 0;
}

/* The four octets between messages. They are only believed when what follows fits. */
static inline size_t feed_frame_header(struct conversation *conversation, enum direction from, struct span bytes) {
    struct stream *stream = &conversation->streams[from];
    struct frame frame;
    struct event *event;

    if (bytes.size < FRAME_HEADER_SIZE) {
        stream->wants = FRAME_HEADER_SIZE;
        return 0;
    }
    if (!frame_decode(bytes, &frame)) {
        lose_sync(stream);
        conversation->incomplete = true;
        return 0;
    }
    if (frame.type == FRAME_MESSAGE && frame.length >= 4) {
        if (bytes.size < FRAME_HEADER_SIZE + 4) {
            stream->wants = FRAME_HEADER_SIZE + 4;
            return 0;
        }
        if (!is_protocol_id(bytes.data + FRAME_HEADER_SIZE)) {
            watch_broken(conversation, from, RULE_PROTOCOL_ID_UNKNOWN, 0);
            lose_sync(stream);
            conversation->incomplete = true;
            return 0;
        }
    }
    conversation_frame(conversation, from, frame.length);
    if (frame.type == FRAME_MESSAGE && frame.length >= 4)
        return FRAME_HEADER_SIZE;
    skip_rest_of_frame(stream);
    if (frame.type != FRAME_MESSAGE) {
        event = event_new(conversation, EVENT_NETBIOS, from);
        if (event != NULL)
            event->netbios_type = frame.type;
    }
    return FRAME_HEADER_SIZE;
}

/* Is this message needed to its end? `head` has what is at hand of it; *more: that is not enough to say. */
static bool wanted_whole(const struct conversation *conversation, struct span head, const struct smb2_header *header,
                         bool *more) {
    const struct request_note *note;

    if (header->command <= SMB2_TREE_DISCONNECT)
        return true;
    if (header->command != SMB2_IOCTL)
        return false;
    if (header->flags & SMB2_FLAGS_SERVER_TO_REDIR) {
        note = watch_note(conversation, header->message_id, SMB2_IOCTL);
        return note != NULL && note->control_code == FSCTL_VALIDATE_NEGOTIATE_INFO;
    }
    if (head.size < IOCTL_LOOK) {
        *more = true;
        return false;
    }
    struct reader reader = reader_over(span_slice(head, IOCTL_LOOK - 4, 4));

    return reader_u32(&reader) == FSCTL_VALIDATE_NEGOTIATE_INFO;
}

/* What of the element at the front of the frame has to be at hand, and how long it is. */
struct element {
    size_t size;  /* octets, of the wire */
    size_t need;  /* octets to look at */
    bool bad_next;
    bool misaligned;
};

static inline struct element measure_smb2(const struct conversation *conversation, const struct stream *stream,
                                   struct span bytes) {
    struct element element = {.size = stream->frame_left, .need = SMB2_HEADER_SIZE};
    struct smb2_header header;
    bool more = false, whole;

    if (element.size < SMB2_HEADER_SIZE) {
        element.need = element.size;
        return element;
    }
    if (bytes.size < SMB2_HEADER_SIZE)
        return element;
    smb2_header_decode(bytes, &header);
    if (header.next_command != 0) {
        element.misaligned = header.next_command % 8 != 0;
        if (header.next_command >= SMB2_HEADER_SIZE && header.next_command < element.size)
            element.size = header.next_command;
        else
            element.bad_next = true;
    }
    whole = wanted_whole(conversation, span_slice(bytes, 0, element.size), &header, &more);
    if (more && element.size >= IOCTL_LOOK)
        element.need = IOCTL_LOOK;
    else
        element.need = whole ? (element.size < CONVERSATION_WHOLE_MAX ? element.size : CONVERSATION_WHOLE_MAX)
                             : (element.size < CONVERSATION_HEAD_MAX ? element.size : CONVERSATION_HEAD_MAX);
    return element;
}

static inline struct element measure(const struct conversation *conversation, const struct stream *stream,
                              struct span bytes) {
    struct element element = {.size = stream->frame_left};

    switch (bytes.data[0]) {
    case 0xfe:
        element = measure_smb2(conversation, stream, bytes);
        break;
    case 0xfd:
        element.need = TRANSFORM_HEADER_SIZE;
        break;
    case 0xfc:
        element.need = COMPRESSION_HEADER_SIZE;
        break;
    default:
        element.need = bytes.size > 4 && bytes.data[4] == SMB1_NEGOTIATE ? CONVERSATION_WHOLE_MAX
                       : bytes.size > 4                                  ? CONVERSATION_HEAD_MAX
                                                                         : 5;
        break;
    }
    if (element.need > element.size)
        element.need = element.size;
    return element;
}

static inline void take_message(struct conversation *conversation, enum direction from, struct span bytes,
                         const struct element *element, bool whole) {
    struct stream *stream = &conversation->streams[from];
    struct event *event = event_new(conversation, EVENT_MESSAGE, from);

    assert(event != NULL);
    message_decode(bytes, element->size, &event->message);
    event->chained = stream->chained;
    event->whole = whole;
    event->after_gap = stream->after_gap;
    stream->after_gap = false;
    conversation->is_smb = true;
    if (element->bad_next)
        watch_broken(conversation, from, RULE_CHAIN_OUT_OF_BOUNDS, 20);
    else if (element->misaligned)
        watch_broken(conversation, from, RULE_CHAIN_MISALIGNED, 20);
    watch_message(conversation, event);
    stream->session_id = event->message.header.session_id;
}

static inline size_t feed_element(struct conversation *conversation, enum direction from, struct span bytes) {
    struct stream *stream = &conversation->streams[from];
    struct element element;

    if (bytes.size < 4 && stream->frame_left >= 4) {
        stream->wants = 4;
        return 0;
    }
    if (stream->frame_left < 4 || !is_protocol_id(bytes.data) || (stream->chained && bytes.data[0] != 0xfe)) {
        watch_broken(conversation, from, RULE_CHAIN_OUT_OF_BOUNDS, 0);
        skip_rest_of_frame(stream);
        return 0;
    }
    element = measure(conversation, stream, bytes);
    if (bytes.size < element.need) {
        stream->wants = (uint32_t)element.need;
        return 0;
    }
    take_message(conversation, from, span_slice(bytes, 0, element.need), &element, true);
    pass(stream, element.need);
    stream->skip = (uint32_t)(element.size - element.need);
    if (stream->frame_left > stream->skip)
        stream->chained = true;
    return element.need;
}

bool conversation_pass(struct conversation *conversation, enum direction from, size_t size) {
    struct stream *stream = &conversation->streams[from];

    if (size > stream->skip)
        return false;
    stream->skip -= (uint32_t)size;
    pass(stream, size);
    return true;
}

size_t conversation_feed(struct conversation *conversation, enum direction from, struct span bytes) {
    struct stream *stream = &conversation->streams[from];
    struct event_list *list = conversation->events;
    size_t used = 0;

    if (list->count != list->next || conversation->is_noise)
        return conversation->is_noise ? bytes.size : 0;
    list->count = list->next = 0;
    /* What raises an event without consuming anything only says what to do with the octets: that comes next. */
    while (used < bytes.size && (list->count == 0 || used == 0)) {
        struct span rest = span_slice(bytes, used, bytes.size - used);
        bool synced = stream->synced;
        uint32_t skip = stream->skip;
        size_t step;

        stream->wants = 1;
        if (!stream->synced) {
            step = search(conversation, from, rest);
        } else if (stream->skip > 0) {
            step = stream->skip < rest.size ? stream->skip : rest.size;
            conversation_pass(conversation, from, step);
        } else if (stream->frame_left == 0) {
            step = feed_frame_header(conversation, from, rest);
        } else {
            step = feed_element(conversation, from, rest);
        }
        used += step;
        if (step == 0 && synced == stream->synced && skip == stream->skip)
            break;
    }
    return used;
}

/* A message of which only the front was captured. */
static bool take_cut_message(struct conversation *conversation, enum direction from, struct span partial) {
    struct stream *stream = &conversation->streams[from];
    struct element element;

    if (partial.size < 4 || !is_protocol_id(partial.data) ||
        partial.size < (partial.data[0] == 0xfe ? SMB2_HEADER_LOOK : least_size(partial.data[0])))
        return false;
    element = measure(conversation, stream, partial);
    take_message(conversation, from, span_slice(partial, 0, element.need), &element, false);
    return true;
}

void conversation_gap(struct conversation *conversation, enum direction from, struct span partial, size_t lost) {
    struct stream *stream = &conversation->streams[from];
    struct event *event;
    bool told = false;

    conversation->events->count = conversation->events->next = 0;
    if (stream->synced && lost > 0 && lost <= stream->skip && partial.size <= stream->skip - lost) {
        stream->skip -= (uint32_t)(partial.size + lost);
        pass(stream, partial.size + lost);
        return; /* nobody wanted these */
    }
    conversation->incomplete = true;
    if (stream->synced && stream->frame_left == 0 && partial.size >= FRAME_HEADER_SIZE) {
        struct frame frame;

        if (frame_decode(partial, &frame) && frame.type == FRAME_MESSAGE && frame.length >= 4) {
            stream->frame_left = frame.length;
            stream->offset += FRAME_HEADER_SIZE;
            partial = span_slice(partial, FRAME_HEADER_SIZE, partial.size);
            stream->chained = false;
        }
    }
    if (stream->synced && stream->frame_left > 0 && stream->skip == 0)
        told = take_cut_message(conversation, from, partial);
    if (!told) {
        event = event_new(conversation, EVENT_GAP, from);
        event->lost = lost;
    }
    if (stream->synced && lost > 0 && lost <= stream->frame_left && partial.size <= stream->frame_left - lost) {
        pass(stream, partial.size + lost);
        skip_rest_of_frame(stream);
        stream->after_gap = true;
    } else {
        stream->offset += partial.size + lost;
        lose_sync(stream);
    }
    stream->wants = 1;
}
