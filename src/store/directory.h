/* A store over a folder of the file system. */
#ifndef SMBPROOF_STORE_DIRECTORY_H
#define SMBPROOF_STORE_DIRECTORY_H

#include "store/store.h"

struct directory_settings {
    bool case_sensitive; /* names are what they are */
    bool read_only;      /* every change is -EROFS */
};

/* `workers` must outlive it; NULL: everything is done inline. NULL, and a negative errno, on failure. store_free() may only
 * be called where the loops of what is in flight run on, or nothing is in flight. */
struct store *directory_new(const char *folder, const struct directory_settings *settings, struct workers *workers, int *error);

#endif
