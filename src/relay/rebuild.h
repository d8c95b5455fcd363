/* Messages written anew with other lists: Dialects, negotiate contexts, the ids within a context. */
#ifndef SMBPROOF_RELAY_REBUILD_H
#define SMBPROOF_RELAY_REBUILD_H

#include "relay/tamper.h"

/* Does what the alteration says to the message in the buffer; leaves it alone where it has no such list, cannot be
 * read, or would not fit. The message must have been decoded from the buffer. What is not in the list, and not behind
 * it, stays as it was. */
void rebuild_lists(const struct tamper *tamper, const struct message *message, struct tamper_buffer *buffer);

#endif
