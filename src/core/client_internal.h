/* What the files of the client share. */
#ifndef SMBPROOF_CORE_CLIENT_INTERNAL_H
#define SMBPROOF_CORE_CLIENT_INTERNAL_H

#include "core/client.h"

/* Where fields lie, from the protocol id. */
enum {
    CLIENT_AT_STATUS = 8,
    CLIENT_AT_COMMAND = 12,
    CLIENT_AT_FLAGS = 16,
    CLIENT_AT_NEXT_COMMAND = 20,
    CLIENT_AT_MESSAGE_ID = 24,
    CLIENT_AT_SESSION_ID = 40,
    CLIENT_AT_SIGNATURE = 48,
    CLIENT_AT_SESSION_FLAGS = 66,
};

#define CLIENT_MESSAGE_ID_NONE UINT64_MAX /* of what the server sends unasked */

/* The connection is given up. The first reason stays. */
void client_fail(struct client *client, enum client_fault fault, uint32_t status);
/* A verdict that does not go on; `message` (may be NULL) is what it is about, and yields the field and its values. */
void client_fail_verdict(struct client *client, const struct verdict *verdict, const struct message *message);
void client_fail_rule(struct client *client, enum rule rule, const struct message *message, size_t offset);
bool client_is_closed(const struct client *client);

/* The conversation sees a message of the set-up. The first MUST that the server broke by it; RULE_NONE else. */
struct verdict client_observe(struct client *client, enum direction from, struct span message);

/* Makes a request of the set-up, whose body is that of `message`, to be sent next. */
void client_send_message(struct client *client, uint16_t command, bool must_sign, struct message *message);
/* The answer to such a request came; it was verified as far as `protection` says. */
void client_take_answer(struct client *client, const struct message *response, enum protection protection);
void client_take_session_answer(struct client *client, const struct message *response);
void client_take_tree_answer(struct client *client, const struct message *response);
void client_take_info_answer(struct client *client, const struct message *response, enum protection protection);
/* NEGOTIATE, the first or, after "SMB 2.???", the second. */
void client_begin(struct client *client);
/* NEGOTIATE or SESSION_SETUP goes into the preauthentication hash; false: the client is closed. */
bool client_hash(struct client *client, struct span message);

struct client_pending *client_pending_find(struct client *client, uint64_t message_id);
struct client_pending *client_pending_add(struct client *client, uint64_t message_id, uint16_t command);
void client_pending_remove(struct client *client, struct client_pending *pending);
struct client_tree *client_tree_at(struct client *client, uint32_t tree_id);

#endif
