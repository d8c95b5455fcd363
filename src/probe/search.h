/* Which octets did the server hash?
 *
 * On 3.1.1 the server's last SESSION_SETUP response is signed with a key that hangs on every octet of NEGOTIATE and
 * SESSION_SETUP. Where that signature is wrong here and the session key is right, some octets were others at the
 * server. The change that makes the signature right is found by trying: a signature of 16 octets does not fit by
 * chance, so a hit is proof. */
#ifndef SMBPROOF_PROBE_SEARCH_H
#define SMBPROOF_PROBE_SEARCH_H

#include "probe/line.h"

#define SEARCH_VALUE_MAX 160u

struct alteration {
    bool in_response;                                     /* of NEGOTIATE; else in the request */
    uint32_t offset;                                      /* from the protocol id */
    char field[SEARCH_VALUE_MAX];                         /* "Capabilities" */
    char here[SEARCH_VALUE_MAX], there[SEARCH_VALUE_MAX]; /* hexadecimal, as on the wire: at this end, at the server */
    bool removes_security;
};

/* After a logon whose last response did not verify. True: this one change makes it right. Tries other dialects;
 * on 3.1.1 also each field with zeros, and each other value of each octet of both NEGOTIATE messages; a few seconds of
 * work. */
bool search_alteration(const struct line *line, struct alteration *alteration);

/* Is the signature that of a server which hashes the wrong messages ([MS-SMB2] 3.3.5.5.3)? NULL: it is not; else what
 * it does wrong. */
const char *search_mistake(const struct line *line);

/* What a NEGOTIATE message has at this offset: the field's name, its first octet and its size. */
struct search_field {
    char name[SEARCH_VALUE_MAX];
    size_t at, size;
};
struct search_field search_field_at(struct span message, bool in_response, size_t offset);

#endif
