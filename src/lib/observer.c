/* The observer of libsmbproof, and its few plain functions. */
#include <smbproof.h>

#include <stdlib.h>

#include "core/conversation.h"
#include "wire/names.h"

const char *smbproof_version(void) {
    return SMBPROOF_VERSION;
}

size_t smbproof_frame_size(const uint8_t head[4]) {
    return (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}

const char *smbproof_status_name(uint32_t status) {
    const char *name = ntstatus_name(status);

    return name != NULL ? name : "";
}

struct smbproof_observer {
    struct conversation conversation;
    struct event_list events;
};

struct smbproof_observer *smbproof_observer_new(void) {
    struct smbproof_observer *observer = malloc(sizeof *observer);

    if (observer != NULL)
        conversation_init(&observer->conversation, &observer->events);
    return observer;
}

void smbproof_observer_free(struct smbproof_observer *observer) {
    free(observer);
}

static enum direction direction_of(enum smbproof_direction from) {
    return from == SMBPROOF_FROM_SERVER ? FROM_SERVER : FROM_CLIENT;
}

size_t smbproof_observer_feed(struct smbproof_observer *observer, enum smbproof_direction from, const uint8_t *octets,
                              size_t size) {
    return conversation_feed(&observer->conversation, direction_of(from), (struct span){octets, size});
}

void smbproof_observer_gap(struct smbproof_observer *observer, enum smbproof_direction from, size_t lost) {
    conversation_gap(&observer->conversation, direction_of(from), (struct span){NULL, 0}, lost);
}

static void tell_message(const struct message *message, struct smbproof_event *event) {
    event->kind = SMBPROOF_MESSAGE;
    event->is_encrypted = message->kind == MESSAGE_TRANSFORM;
    event->is_smb2 = message_is_smb2(message);
    event->is_response = message_is_response(message);
    if (!event->is_smb2)
        return;
    event->command = message->header.command;
    event->command_name = command_name(message->header.command);
    event->status = event->is_response ? message->header.status : 0;
    event->flags = message->header.flags;
    event->tree = message->header.flags & SMB2_FLAGS_ASYNC_COMMAND ? 0 : message->header.tree_id;
    event->message_id = message->header.message_id;
    event->session_id = message->header.session_id;
}

int smbproof_observer_next(struct smbproof_observer *observer, struct smbproof_event *event) {
    const struct event *inner = conversation_event(&observer->conversation);

    if (inner == NULL)
        return 0;
    *event = (struct smbproof_event){
        .kind = SMBPROOF_OTHER,
        .from = inner->from == FROM_SERVER ? SMBPROOF_FROM_SERVER : SMBPROOF_FROM_CLIENT,
        .offset = inner->offset,
        .command_name = "",
        .rule = "",
        .rule_sentence = "",
    };
    if (inner->kind == EVENT_MESSAGE) {
        tell_message(&inner->message, event);
    } else if (inner->kind == EVENT_GAP) {
        event->kind = SMBPROOF_GAP;
    } else if (inner->kind == EVENT_BROKEN) {
        event->kind = SMBPROOF_BROKEN;
        event->rule = rule_text(inner->verdict.rule)->id;
        event->rule_sentence = rule_text(inner->verdict.rule)->sentence;
    }
    return 1;
}
