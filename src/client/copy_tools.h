/* What copy.c and copy_tree.c share. */
#ifndef SMBPROOF_CLIENT_COPY_TOOLS_H
#define SMBPROOF_CLIENT_COPY_TOOLS_H

#include <sys/stat.h>

#include "client/copy.h"
#include "client/task.h"
#include "client/url.h"

/* COPY_LOCAL, with that errno. */
enum copy_end copy_local(struct copy *copy, int number);
void copy_note(const struct copy *copy, const char *name, const char *sentence);
/* Tells of a whole small file. False: somebody wants to stop. */
bool copy_goes_on(const struct copy *copy, const char *name, uint64_t size);
/* Sets a file's time of last writing; nothing where it is 0. A negative errno. */
int copy_set_time(int fd, uint64_t filetime);
/* The octets become the file `name` in `folder`, with that time of last writing. */
enum copy_end copy_store(struct copy *copy, struct span data, int folder, const char *name, uint64_t filetime);

/* A file that is sent. */
struct copy_source {
    int fd;
    const char *name;
    bool is_stream;
    struct stat status; /* when it was looked at */
};
/* Fills in what the file is now. A negative errno. */
int copy_look(struct copy_source *source);
/* Does it go as one task? */
bool copy_is_small(const struct copy *copy, const struct copy_source *source);
/* Reads all of a small one, and makes the task that writes it. `data` is to be freed after the task, whatever comes
 * back. */
enum copy_end copy_begin_small(struct copy *copy, const struct copy_source *source, const char *path,
                               struct file_task *task, uint8_t **data);

#endif
