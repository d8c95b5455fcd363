/* Names of the protocol's numbers, as [MS-SMB2] and [MS-ERREF] spell them. */
#ifndef SMBPROOF_WIRE_NAMES_H
#define SMBPROOF_WIRE_NAMES_H

#include "wire/messages.h"

/* "STATUS_ACCESS_DENIED"; NULL where the number is not known here. */
const char *ntstatus_name(uint32_t status);
/* "SESSION_SETUP"; "unknown command" past the last. */
const char *command_name(uint16_t command);
/* "3.0.2", "2.???"; an unknown one as "0x0999". Writes at most 16 octets with the NUL. */
const char *dialect_text(uint16_t dialect, char text[16]);
const char *cipher_name(uint16_t cipher);           /* "AES-128-GCM" */
const char *signing_name(uint16_t signing);         /* "AES-CMAC" */
const char *hash_name(uint16_t hash);               /* "SHA-512" */
const char *compression_name(uint16_t compression); /* "LZ77" */
const char *context_type_name(uint16_t type);
/* The name of one bit of Capabilities; NULL where it has none. */
const char *capability_name(uint32_t bit);
/* The name of one bit of SecurityMode; NULL where it has none. */
const char *security_mode_name(uint16_t bit);

#endif
