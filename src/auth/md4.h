/* MD4 [RFC1320], in one go: NTLM hashes passwords with it. Broken as a hash for anything else. */
#ifndef SMBPROOF_AUTH_MD4_H
#define SMBPROOF_AUTH_MD4_H

#include "wire/bytes.h"

#define MD4_SIZE 16u

void md4(struct span message, uint8_t digest[MD4_SIZE]);

#endif
