/* The tokens of SPNEGO ([RFC4178] 4.2, [MS-SPNG] 2.2): octets to structs and back. What is said
 * with them is in initiator.c and acceptor.c. */
#ifndef SMBPROOF_AUTH_SPNEGO_H
#define SMBPROOF_AUTH_SPNEGO_H

#include "auth/auth.h"

/* Mechanisms that one token may list; more are refused. */
#define SPNEGO_MECHANISMS_MAX 16u
/* What a token adds to what is inside: no more than this, in octets. */
#define SPNEGO_OVERHEAD_MAX 512u

enum spnego_mechanism {
    SPNEGO_KERBEROS,
    SPNEGO_MS_KERBEROS, /* the same, by the number that Windows 2000 gave it */
    SPNEGO_NTLM,
    SPNEGO_UNKNOWN,
};

/* [RFC4178] 4.2.2 */
enum spnego_state {
    SPNEGO_ACCEPT_COMPLETED = 0,
    SPNEGO_ACCEPT_INCOMPLETE = 1,
    SPNEGO_REJECT = 2,
    SPNEGO_REQUEST_MIC = 3,
    SPNEGO_NO_STATE, /* the field is not there */
};

/* The client's first token, or the server's hint. Spans borrow from the token. */
struct spnego_init {
    enum spnego_mechanism mechanisms[SPNEGO_MECHANISMS_MAX];
    size_t count;
    struct span mechanism_list; /* the SEQUENCE itself: what mechListMIC is over */
    struct span token;          /* for the first mechanism; may be empty */
};

bool spnego_init_decode(struct span bytes, struct spnego_init *init);
/* `list` are the mechanisms in order. `init`'s `mechanism_list` is not used. */
bool spnego_init_encode(const struct spnego_init *init, struct writer *writer);
/* The SEQUENCE alone. */
void spnego_list_put(const enum spnego_mechanism *mechanisms, size_t count, struct writer *writer);
/* The server's hint with the text that everybody sends in it ([MS-SPNG] 3.2.5.2). */
bool spnego_hint_encode(const enum spnego_mechanism *mechanisms, size_t count,
                        struct writer *writer);

/* Every other token. Absent and empty octet strings are the same here. */
struct spnego_response {
    enum spnego_state state;
    bool has_mechanism;
    enum spnego_mechanism mechanism;
    struct span token;
    struct span mic;
};

bool spnego_response_decode(struct span bytes, struct spnego_response *response);
bool spnego_response_encode(const struct spnego_response *response, struct writer *writer);

#endif
