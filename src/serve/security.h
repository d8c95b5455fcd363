/* Security descriptors ([MS-DTYP] 2.4.6) in their self-relative form: taken apart and put together, what one shows for a file
 * that has none, what a new file inherits, and what is granted. Pure; spans borrow.
 *
 * Owners are the users and groups of Unix, in the form that Samba gave them: S-1-22-1-UID and S-1-22-2-GID. */
#ifndef SMBPROOF_SERVE_SECURITY_H
#define SMBPROOF_SERVE_SECURITY_H

#include "wire/bytes.h"

/* Octets of a descriptor that is kept, at most: what STORE_SECURITY_SET takes. */
#define SECURITY_SIZE_MAX 65536u
/* Room that a default or a part of one never exceeds. */
#define SECURITY_DEFAULT_MAX 256u

/* [MS-DTYP] 2.4.7 */
enum security_information {
    SECURITY_OWNER = 1, SECURITY_GROUP = 2, SECURITY_DACL = 4, SECURITY_SACL = 8,
};
/* 2.4.6 */
enum security_control {
    SECURITY_DACL_PRESENT = 0x0004, SECURITY_SACL_PRESENT = 0x0010, SECURITY_DACL_AUTO_INHERIT_REQ = 0x0100,
    SECURITY_SACL_AUTO_INHERIT_REQ = 0x0200, SECURITY_DACL_AUTO_INHERITED = 0x0400, SECURITY_SACL_AUTO_INHERITED = 0x0800,
    SECURITY_DACL_PROTECTED = 0x1000, SECURITY_SACL_PROTECTED = 0x2000, SECURITY_SELF_RELATIVE = 0x8000,
};

struct security {
    uint16_t control;
    struct span owner, group; /* SIDs; empty: none */
    struct span sacl, dacl;   /* ACLs; empty and yet present: everyone may everything */
};

/* Who asks. */
struct security_token {
    uint32_t user, group; /* of Unix */
    const uint32_t *groups; /* others that he is in; borrowed */
    unsigned group_count;
};

/* False: it is no descriptor that could be kept. */
bool security_decode(struct span octets, struct security *security);
void security_encode(const struct security *security, struct writer *writer);
/* The parts that `information` names, of `security`. */
struct security security_part(const struct security *security, uint32_t information);
/* `kept` with the parts that `information` names from `changes`. */
struct security security_merge(const struct security *kept, const struct security *changes, uint32_t information);

/* The descriptor of a file that has none: of its owners and its permissions. */
void security_default(uint32_t user, uint32_t group, uint32_t mode, bool is_folder, struct writer *writer);
/* The descriptor of what is made in a folder that has this one. False: nothing is inherited, or it does not fit. */
bool security_inherit(const struct security *folder, const struct security_token *token, bool is_folder,
                      struct writer *writer);
/* An access_mask: all that is granted. */
uint32_t security_grant(const struct security *security, const struct security_token *token);
/* Generic rights as those of files ([MS-DTYP] 2.4.3, [MS-FSA] 2.1.5.1.2.1). */
uint32_t security_map(uint32_t access);

#endif
