/* Temporary files without a name: nothing stays behind, however the program ends. */
#ifndef SMBPROOF_CAPTURE_TEMPORARY_H
#define SMBPROOF_CAPTURE_TEMPORARY_H

#include <stdio.h>

/* In $TMPDIR, else in /var/tmp (where there is room, not memory), else in /tmp. Returns a descriptor for reading and
 * writing, which the caller closes, or a negative errno. */
int temporary_open(void);
/* The same as a stream; NULL, and errno, where there is none. */
FILE *temporary_stream(void);

#endif
