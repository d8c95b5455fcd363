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

/* The 8.3 name ([MS-FSCC] 2.1.5.2.1) of a name as clients see it. One that has the form itself is its own, in upper case,
 * and false; to the others one is made up from their hash: "AB~12345.EXT". */
#define SHORT_NAME_MAX 13u /* octets with the NUL */
bool short_name(const char *name, char made[SHORT_NAME_MAX]);
/* Could short_name() have made it up? */
bool is_short_name(const char *name);

/* A pattern of [MS-FSCC] 2.1.4.4: * ? and < (DOS_STAR) > (DOS_QM) " (DOS_DOT), without regard to case. */
bool pattern_matches(const char *pattern, const char *name);

#endif
