/* What happened on a connection, and what to do about it, in words for people. */
#ifndef SMBPROOF_CLIENT_WORDS_H
#define SMBPROOF_CLIENT_WORDS_H

#include "client/session.h"

/* Why a client was closed; `number` is the errno behind it, 0 where there is none. */
void session_error_of_client(const struct client *client, int number, struct session_error *error);
/* Fills error->sentence from the other members. */
void session_error_describe(struct session_error *error);
/* What to do; one or two sentences. Never NULL. */
const char *session_error_remedy(const struct session_error *error);
/* "NEGOTIATE", "SESSION_SETUP": what was going on. */
const char *client_phase_name(enum client_phase phase);

#endif
