/* Authentication: token in, token out, and at the end a name and a session key.
 *
 * An initiator (the client's part) or an acceptor (the server's) carries one logon. Both speak
 * SPNEGO around NTLMv2 or Kerberos ([MS-SPNG], [MS-NLMP], [RFC4178]); an acceptor also takes
 * NTLMSSP without SPNEGO. A step may block where Kerberos is asked (it talks to a KDC), so a server
 * takes it on a worker. Nothing here knows SMB.
 *
 * Secrets are wiped when they are no longer needed, compared in constant time, and never printed.
 */
#ifndef SMBPROOF_AUTH_AUTH_H
#define SMBPROOF_AUTH_AUTH_H

#include "wire/bytes.h"

/* Octets of the longest token in either direction; a longer one is refused. */
#define AUTH_TOKEN_MAX 65535u
/* Octets of the longest session key: Kerberos has at most 32 today. */
#define AUTH_SESSION_KEY_MAX 64u
/* Octets of a user, domain, realm or host name, UTF-8, with its NUL. */
#define AUTH_NAME_MAX 512u
/* Octets of the longest password, UTF-8. */
#define AUTH_PASSWORD_MAX 1024u
#define AUTH_NT_HASH_SIZE 16u
/* Tokens that one logon may take in one direction. */
#define AUTH_LEGS_MAX 6u

/* Does the system's policy allow NTLM, which is made of MD5? To be asked when a program starts. */
bool auth_ntlm_is_available(void);

enum auth_method { AUTH_METHOD_ANY, AUTH_METHOD_NTLM, AUTH_METHOD_KERBEROS, AUTH_METHOD_ANONYMOUS };

/* Who logs on. Strings are UTF-8 and borrowed while the initiator lives. */
struct auth_credentials {
    enum auth_method method;   /* ANY: Kerberos where a ticket can be had, else NTLM */
    const char *user, *domain; /* NULL or "": none */
    bool user_is_presumed;     /* nobody named `user`: where there is a ticket, it is whosoever's the ticket is */
    const char *password;      /* NULL: none */
    const uint8_t *nt_hash;    /* AUTH_NT_HASH_SIZE octets in place of a password, or NULL */
    const char *host;          /* the server's name, for the principal cifs/host */
    const char *ccache;        /* Kerberos cache to use; NULL: the default one */
};

enum auth_state {
    AUTH_CONTINUE, /* send the token, and step again with the answer */
    AUTH_COMPLETE, /* send the token unless it is empty; name and key are there */
    AUTH_FAILED,   /* auth_..._reason() says why */
};

struct auth_initiator;
/* NULL: no memory. */
struct auth_initiator *auth_initiator_new(const struct auth_credentials *credentials);
void auth_initiator_free(struct auth_initiator *initiator);
/* `token` is the server's: at first its hint from the NEGOTIATE response, which may be empty. `out`
 * borrows from the initiator until its next step. */
enum auth_state auth_initiator_step(struct auth_initiator *initiator, struct span token,
                                    struct span *out);
/* After AUTH_COMPLETE; empty for an anonymous logon. Borrowed. */
struct span auth_initiator_session_key(const struct auth_initiator *initiator);
bool auth_initiator_is_anonymous(const struct auth_initiator *initiator);
/* "NTLMv2" or "Kerberos": what was used in the end, or tried; "" before the first answer. */
const char *auth_initiator_mechanism(const struct auth_initiator *initiator);
/* A sentence for people, without secrets; "" where nothing went wrong. */
const char *auth_initiator_reason(const struct auth_initiator *initiator);

#endif
