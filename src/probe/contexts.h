/* Negotiate contexts put together one by one, for tests that say what no correct client says ([MS-SMB2] 2.2.3.1). */
#ifndef SMBPROOF_PROBE_CONTEXTS_H
#define SMBPROOF_PROBE_CONTEXTS_H

#include "core/client_offer.h"

/* Numbers that nobody has defined. */
#define CONTEXT_ID_UNKNOWN   0x7ffeu
#define CONTEXT_TYPE_UNKNOWN 0x7ffdu

/* The contexts of one request. */
struct contexts {
    uint8_t octets[512];
    struct writer writer;
    uint16_t count;
};

void contexts_begin(struct contexts *contexts);
void contexts_add(struct contexts *contexts, uint16_t type, struct span data);
/* A context that is a list of ids; that of hashes with a salt. */
void contexts_add_ids(struct contexts *contexts, uint16_t type, const uint16_t *ids, unsigned count);
void contexts_add_hash(struct contexts *contexts);
void contexts_add_ciphers(struct contexts *contexts);
/* Puts them in place of the offer's own, which borrows them. */
void contexts_place(const struct contexts *contexts, struct client_offer *offer);

#endif
