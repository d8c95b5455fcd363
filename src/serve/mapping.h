/* As which user of the system an account is served: "ACCOUNT=USER,...", where "*=*" stands for the user of the
 * account's own name, who is not root, and "*=USER" for all who have none, guests included. */
#ifndef SMBPROOF_SERVE_MAPPING_H
#define SMBPROOF_SERVE_MAPPING_H

#include "wire/bytes.h"

struct identity;

/* Octets of a user's name with its NUL. */
#define MAPPING_USER_MAX 256u

/* One part of it. */
struct mapping_part {
    struct span account, user;
    bool is_same, is_rest; /* "*=*", "*=USER" */
};

/* Takes the next part off the text. False: that was all, or it is none. */
bool mapping_next(struct span *text, struct mapping_part *part);
/* NULL, or what is wrong with it: a sentence. */
const char *mapping_wrong(const char *mapping);
/* Has it a "*=USER"? */
bool mapping_has_rest(const char *mapping);
/* On a worker. 0 and NULL: served as the server's own user. `account` is UTF-8, NULL for guests and the anonymous.
 * -ENOENT: the user is not in the system; or another negative errno. */
int mapping_identity(const char *mapping, const char *account, struct identity **identity);

#endif
