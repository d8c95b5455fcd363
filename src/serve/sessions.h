/* The sessions of all connections: for a client that names one on another connection ([MS-SMB2] 3.3.5.5: GlobalSessionTable).
 *
 * Those that have keys only; under one lock, for memory work. Records are copied in and out. */
#ifndef SMBPROOF_SERVE_SESSIONS_H
#define SMBPROOF_SERVE_SESSIONS_H

#include "auth/auth.h"
#include "core/keys.h"
#include "net/loop.h"

struct connection;
struct sessions;

struct session_record {
    uint64_t id;
    uint16_t dialect, cipher, signing_algorithm; /* as in struct negotiation_agreed */
    uint8_t signing[SESSION_KEY_SIZE];           /* secret: wipe it */
    struct loop *loop;                           /* its connection's */
    struct connection *connection;               /* there while the record is, on that loop's thread */
    char user[AUTH_NAME_MAX];
};

/* NULL: no memory. */
struct sessions *sessions_new(void);
/* None may be left. */
void sessions_free(struct sessions *sessions);
/* False: no memory. */
bool sessions_add(struct sessions *sessions, const struct session_record *record);
/* Somebody else has logged on to it. */
void sessions_rename(struct sessions *sessions, uint64_t id, const char *user);
void sessions_remove(struct sessions *sessions, uint64_t id);
bool sessions_find(struct sessions *sessions, uint64_t id, struct session_record *record);

#endif
