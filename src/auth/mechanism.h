/* What SPNEGO needs of a mechanism: NTLM or Kerberos, in either role. */
#ifndef SMBPROOF_AUTH_MECHANISM_H
#define SMBPROOF_AUTH_MECHANISM_H

#include "auth/auth.h"

#define MECHANISM_REASON_MAX 256u /* octets with the NUL */
#define MECHANISM_MIC_MAX    128u /* octets; NTLM has 16, Kerberos up to 37 today */

struct mechanism;

struct mechanism_methods {
    const char *name;
    void (*free)(struct mechanism *);
    /* As auth_initiator_step(). AUTH_COMPLETE with an empty `out` where nothing is to be sent. */
    enum auth_state (*step)(struct mechanism *, struct span token, struct span *out);
    /* A MIC over the message, after AUTH_COMPLETE. At most MECHANISM_MIC_MAX octets. */
    bool (*sign)(struct mechanism *, struct span message, struct writer *mic);
    /* The same of the peer. */
    bool (*verify)(struct mechanism *, struct span message, struct span mic);
};

/* Embedded, as the first member, in what a mechanism allocates. */
struct mechanism {
    const struct mechanism_methods *methods;
    /* Set with AUTH_COMPLETE. In the acceptor who it is that logs on, as he named himself. */
    char user[AUTH_NAME_MAX], domain[AUTH_NAME_MAX];
    uint8_t key[AUTH_SESSION_KEY_MAX];
    size_t key_size; /* 0: anonymous or guest; then there is no MIC either */
    bool anonymous, guest;
    bool has_account;    /* of the file of accounts */
    uint32_t lifetime_s; /* how long it counts from now on; 0: for ever */
    /* Set with AUTH_FAILED. */
    uint32_t status; /* what an SMB server answers */
    char reason[MECHANISM_REASON_MAX];
};

/* Wipes what is said above, and frees. NULL is fine. */
void mechanism_free(struct mechanism *mechanism);
/* Notes why, and returns AUTH_FAILED. */
enum auth_state mechanism_fail(struct mechanism *mechanism, uint32_t status, const char *reason);
/* Copies what fits with a NUL; false where it does not fit or has a NUL inside. */
bool auth_name_set(char name[AUTH_NAME_MAX], struct span utf8);

/* 100 ns since 1601 ([MS-DTYP] 2.3.3). */
uint64_t auth_filetime_now(void);

#endif
