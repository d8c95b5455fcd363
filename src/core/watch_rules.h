/* What a watcher of a connection can say about single messages: the requests it remembers, the rules it sees broken.
 * Part of the conversation, which calls it for each message. */
#ifndef SMBPROOF_CORE_WATCH_RULES_H
#define SMBPROOF_CORE_WATCH_RULES_H

#include "core/conversation.h"

/* Takes note of a message: remembers a request, finds a response's request, raises what it breaks. */
void watch_message(struct conversation *conversation, struct event *event);
/* The request with this MessageId and command, if it is remembered. */
const struct request_note *watch_note(const struct conversation *conversation, uint64_t message_id, uint16_t command);
/* The note made of a request's event; NULL for a response or where none was made. */
struct request_note *watch_request_note(struct conversation *conversation, const struct event *event);
/* Queues EVENT_BROKEN; what does not fit any more is left out. */
void watch_broken(struct conversation *conversation, enum direction from, enum rule rule, uint32_t offset);

#endif
