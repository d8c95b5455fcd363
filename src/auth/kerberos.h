/* Kerberos, by MIT's GSSAPI and its krb5 mechanism alone ([RFC4121]); SPNEGO around it is ours.
 *
 * A step of the initiator may talk to a KDC, and so may block; one of the acceptor reads the keytab
 * and writes the replay cache. */
#ifndef SMBPROOF_AUTH_KERBEROS_H
#define SMBPROOF_AUTH_KERBEROS_H

#include "auth/acceptor.h"
#include "auth/mechanism.h"

/* Both borrow what they are given, and return NULL where there is no memory. */
struct mechanism *kerberos_initiator_new(const struct auth_credentials *credentials);
struct mechanism *kerberos_acceptor_new(const struct auth_acceptor_config *config);

#endif
