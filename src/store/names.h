/* Names as a server's clients see them, and as a file system has them: mapping, comparison, patterns. */
#ifndef SMBPROOF_STORE_NAMES_H
#define SMBPROOF_STORE_NAMES_H

#include "store/store.h"

/* A path to what the file system has. -EINVAL: an empty component, "." or ".."; -EILSEQ: no UTF-8; -ENAMETOOLONG. */
int path_to_disk(const char *path, char disk[STORE_PATH_MAX]);
/* One name of the file system as clients see it: octets that Windows forbids (control characters, " * : < > ? | \, a space
 * or dot at the end) and those that are no UTF-8 become U+F000 + octet. False: it does not fit. */
bool name_from_disk(const char *disk, char name[STORE_NAME_MAX]);
/* The same for a whole path. */
bool path_from_disk(const char *disk, char path[STORE_PATH_MAX]);

/* Without regard to case, letter by letter. */
bool name_equal(const char *a, const char *b);
uint32_t name_hash(const char *name);

/* A pattern of [MS-FSCC] 2.1.4.4: * ? and < (DOS_STAR) > (DOS_QM) " (DOS_DOT), without regard to case. */
bool pattern_matches(const char *pattern, const char *name);

#endif
