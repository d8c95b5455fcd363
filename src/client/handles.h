/* The keyed handles of a session, made from the keys that the core derived. */
#ifndef SMBPROOF_CLIENT_HANDLES_H
#define SMBPROOF_CLIENT_HANDLES_H

#include "core/client.h"

/* In CLIENT_KEYS. False, and nothing made: the library underneath failed. */
bool client_handles_new(const struct client *client, struct client_handles *handles);
/* After client_wipe(). */
void client_handles_free(struct client_handles *handles);

#endif
