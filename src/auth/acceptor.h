/* The server's part of a logon: tokens in, tokens out, and at the end who it is.
 *
 * Who the acceptor lets in: an account of the accounts file whose password NTLMv2 proves; a
 * Kerberos principal with a ticket for cifs/ or host/; and, only where the configuration says so,
 * anybody without a name (anonymous), or with a name that the accounts file does not have (guest).
 * Neither of those two has a session key, so nothing of theirs can be signed. */
#ifndef SMBPROOF_AUTH_ACCEPTOR_H
#define SMBPROOF_AUTH_ACCEPTOR_H

#include "auth/accounts.h"
#include "auth/auth.h"

/* Strings are UTF-8; all is borrowed while an acceptor that was made with it lives. Several threads
 * may use one. */
struct auth_acceptor_config {
    struct accounts *accounts; /* NULL: nobody logs on by NTLM, but for guests and anonymous */
    const char *keytab;        /* "/etc/krb5.keytab"; NULL: no Kerberos */
    const char *computer;      /* NetBIOS name, in capitals: "FILES" */
    const char *domain;        /* NetBIOS domain or workgroup; NULL: as computer */
    const char *dns_computer;  /* "files.example.org"; NULL: as computer */
    const char *dns_domain;    /* "example.org"; NULL: "" */
    bool allow_anonymous, allow_guest;
};

struct auth_acceptor;
/* NULL: no memory. */
struct auth_acceptor *auth_acceptor_new(const struct auth_acceptor_config *config);
void auth_acceptor_free(struct auth_acceptor *acceptor);
/* One token of the client's, SPNEGO or NTLMSSP. `out` borrows from the acceptor until its next
 * step. With AUTH_FAILED there is nothing to send but auth_acceptor_status(). */
enum auth_state auth_acceptor_step(struct auth_acceptor *acceptor, struct span token,
                                   struct span *out);

/* After AUTH_COMPLETE; for the log after AUTH_FAILED too, where the name is what somebody claims,
 * or empty. A user of the accounts file is named as the file spells him; a guest as he named
 * himself; anonymous has an empty name. With Kerberos the domain is the realm. */
const char *auth_acceptor_user(const struct auth_acceptor *acceptor);
const char *auth_acceptor_domain(const struct auth_acceptor *acceptor);
/* Empty for anonymous and guest. */
struct span auth_acceptor_session_key(const struct auth_acceptor *acceptor);
bool auth_acceptor_is_anonymous(const struct auth_acceptor *acceptor);
bool auth_acceptor_is_guest(const struct auth_acceptor *acceptor);
/* Is it one of the file of accounts who logged on? */
bool auth_acceptor_has_account(const struct auth_acceptor *acceptor);
/* Seconds from AUTH_COMPLETE on after which whoever logged on has to do it again, as a ticket's time is over; 0: never. */
uint32_t auth_acceptor_lifetime_s(const struct auth_acceptor *acceptor);
/* "NTLMv2" or "Kerberos"; "" where it did not come to either. */
const char *auth_acceptor_mechanism(const struct auth_acceptor *acceptor);

/* After AUTH_FAILED, the NTSTATUS to answer. Unknown users and wrong passwords are both
 * STATUS_LOGON_FAILURE. STATUS_ACCOUNT_DISABLED is told only to who knows the password, as Windows
 * and Samba do: whoever does not learns nothing of the account, and whoever does learns why. */
uint32_t auth_acceptor_status(const struct auth_acceptor *acceptor);
/* A sentence for the log, without secrets. It may tell more than the status does. */
const char *auth_acceptor_reason(const struct auth_acceptor *acceptor);

/* The security buffer of a NEGOTIATE response: the mechanisms that this configuration takes
 * ([MS-SPNG] 3.2.5.2). To be made once. false where it does not fit; AUTH_HINT_MAX always does. */
bool auth_hint_put(const struct auth_acceptor_config *config, struct writer *writer);
#define AUTH_HINT_MAX 128u /* octets */

#endif
