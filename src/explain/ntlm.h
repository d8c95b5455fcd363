/* NTLMSSP inside a security buffer, read just far enough to know who logs on how ([MS-NLMP] 2.2.1). */
#ifndef SMBPROOF_EXPLAIN_NTLM_H
#define SMBPROOF_EXPLAIN_NTLM_H

#include "explain/evidence.h"

/* Looks for an NTLMSSP message in an SPNEGO (or raw) token and notes what it tells; false where there is none. */
bool ntlm_look(struct span token, struct ntlm_evidence *ntlm);
/* Does the token carry Kerberos (its OID, and no NTLMSSP)? */
bool token_is_kerberos(struct span token);

#endif
