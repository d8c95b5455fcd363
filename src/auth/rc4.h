/* RC4 from a fresh state over one short message: NTLM wraps a session key and a checksum in it. */
#ifndef SMBPROOF_AUTH_RC4_H
#define SMBPROOF_AUTH_RC4_H

#include "wire/bytes.h"

/* `key` has 1 to 256 octets. `out` has room for `in.size` octets and may be the same place. */
void rc4(struct span key, struct span in, uint8_t *out);

#endif
