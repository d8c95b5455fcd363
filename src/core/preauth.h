/* The preauthentication integrity hash of 3.1.1 ([MS-SMB2] 3.2.5.2, 3.2.5.3.1, 3.3.5.4, 3.3.5.5): a
 * SHA-512 chain over the messages exactly as they went by.
 *
 * Connection.PreauthIntegrityHashValue starts at zero and takes the NEGOTIATE request and response.
 * Each session that is being set up starts with a copy of that (a plain assignment) and takes every
 * SESSION_SETUP request, and every response but the last, successful one, which is signed with the
 * key that the hash led to. Binding a session to a further connection does the same with that
 * connection's own value. Reauthentication leaves the hash alone. */
#ifndef SMBPROOF_CORE_PREAUTH_H
#define SMBPROOF_CORE_PREAUTH_H

#include "crypto/crypto.h"

struct preauth {
    uint8_t value[SHA512_SIZE];
};

void preauth_init(struct preauth *preauth);

/* Takes one message, from its protocol id to its last octet, with its signature as transmitted:
 * what is sent when all of its fields are final, what is received before anything in it is changed.
 * False: the hash failed, and the value is the old one. */
bool preauth_update(struct preauth *preauth, struct span message);

#endif
