/* As whom a store does what it is asked to: a user of the system with all his groups, in place of the server's own.
 *
 * It is taken on by the calling thread alone (setfsuid(2), and setgroups(2) without the library, which would change all
 * threads) for as long as one operation lasts. With it go the rights of root to other people's files. */
#ifndef SMBPROOF_STORE_IDENTITY_H
#define SMBPROOF_STORE_IDENTITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct identity {
    atomic_uint holders;
    uint32_t user, group;
    unsigned group_count, own_count;
    uint32_t *groups;     /* behind the structure; `group` among them */
    uint32_t *own_groups; /* the server's, to go back to */
};

/* Of a user by his name. May ask a directory service, so on a worker. -ENOENT: there is none; other negative errno. */
int identity_new(const char *user, struct identity **identity);
/* NULL is the server itself, here and below. */
struct identity *identity_hold(struct identity *identity);
void identity_release(struct identity *identity);
/* False: it cannot be taken on, and nothing has changed. */
bool identity_take(const struct identity *identity);
void identity_drop(const struct identity *identity);
/* 0, or -EPERM where the process has not the capabilities for it (CAP_SETUID, CAP_SETGID). */
int identity_allowed(void);

#endif
