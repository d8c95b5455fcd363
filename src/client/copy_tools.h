/* What copy.c and copy_tree.c share. */
#ifndef SMBPROOF_CLIENT_COPY_TOOLS_H
#define SMBPROOF_CLIENT_COPY_TOOLS_H

#include "client/copy.h"

/* COPY_LOCAL, with that errno. */
enum copy_end copy_local(struct copy *copy, int number);
void copy_note(const struct copy *copy, const char *name, const char *sentence);
/* Sets a file's time of last writing; nothing where it is 0. A negative errno. */
int copy_set_time(int fd, uint64_t filetime);

#endif
