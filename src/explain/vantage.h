/* Where on the path a capture was taken, from TTLs and waiting times. */
#ifndef SMBPROOF_EXPLAIN_VANTAGE_H
#define SMBPROOF_EXPLAIN_VANTAGE_H

#include "explain/inquiry.h"

struct vantage vantage_from(const struct evidence *evidence);
const char *place_text(enum place place); /* "client", "server", "middle", "unknown" */

/* The systems at both ends, from what NTLMSSP and TCP say of them; SYSTEM_UNKNOWN where they do not. */
enum system client_system(const struct evidence *evidence);
enum system server_system(const struct evidence *evidence);

#endif
