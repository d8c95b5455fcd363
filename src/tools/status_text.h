/* A file's status for people and for programs. */
#ifndef SMBPROOF_TOOLS_STATUS_TEXT_H
#define SMBPROOF_TOOLS_STATUS_TEXT_H

#include "client/share.h"
#include "explain/output.h"

#define FILETIME_TEXT_MAX       40u
#define ATTRIBUTES_TEXT_MAX 9u

/* "2026-05-04 13:14:15", in local time; "-" for none. Returns `text`. */
const char *filetime_text(uint64_t filetime, char text[FILETIME_TEXT_MAX]);
/* "drhsalce": folder, read-only, hidden, system, archive, link, compressed, encrypted, with '-' for what is not. */
const char *attributes_text(uint32_t attributes, char text[ATTRIBUTES_TEXT_MAX]);
/* Members of an object: kind, size, allocated, attributes, four times in UTC, links and index where they are known. */
void status_json(struct output *output, const struct file_status *status);

#endif
