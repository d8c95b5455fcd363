/* What a server's refusal means for somebody who works with files, and what to do about it. The table is
 * client/refusals.def. */
#ifndef SMBPROOF_CLIENT_REFUSALS_H
#define SMBPROOF_CLIENT_REFUSALS_H

#include <stddef.h>
#include <stdint.h>

struct refusal {
    uint32_t status;
    const char *means;  /* half a sentence, without a full stop */
    const char *remedy; /* a sentence, or "" where there is nothing to be done */
};

/* NULL where the table has nothing on it. */
const struct refusal *refusal_find(uint32_t status);
/* "STATUS_DISK_FULL: the share has no room left. Delete ..." */
void refusal_sentence(uint32_t status, char *text, size_t size);

#endif
