/* Whole files, there and back: nothing half done ever stands under the final name.
 *
 * A file is written under another name (name_of_part()), gets its time, and is then renamed to what it replaces. A copy
 * that is interrupted can be kept and gone on with. A file that changes while it is copied is copied again, and in the
 * end not at all. */
#ifndef SMBPROOF_CLIENT_COPY_H
#define SMBPROOF_CLIENT_COPY_H

#include "client/share.h"

/* Times that a file that keeps changing is copied anew. */
#define COPY_TRIES_MAX 3u
/* Octets up to which a file is read or written at once, in a tree beside others: BATCH_TASKS_MAX of client/batch.h. */
#define COPY_SMALL_SIZE 65536u
/* Folders within folders that are followed. */
#define COPY_DEPTH_MAX 128u

enum copy_end {
    COPY_DONE,
    COPY_STOPPED, /* tick() said so */
    COPY_CHANGED, /* the file did, each time */
    COPY_TORN,    /* the file did, and what went to a stream is of two versions */
    COPY_BUSY,    /* another copy is writing the same file */
    COPY_LOCAL,   /* something here failed: `number` */
    COPY_STREAM,  /* writing to a stream did: likewise */
    COPY_REMOTE,  /* `error` */
};

/* What it is told to, and what came of it. `context` goes to both functions. */
struct copy {
    struct share *share;
    bool resume; /* go on with what an interrupted copy left */
    /* Told what is copied, how much of it is there, and of how much; UINT64_MAX where that is not known. False: stop.
     */
    bool (*tick)(void *context, const char *name, uint64_t done, uint64_t total);
    /* Something that somebody should know, about `name`; the copy goes on. */
    void (*note)(void *context, const char *name, const char *sentence);
    /* One thing of a tree was not copied, for the reason that is in the copy; the rest is. */
    void (*failed)(void *context, const char *name, const struct copy *copy, enum copy_end end);
    void *context;

    uint64_t files, octets; /* copied */
    unsigned failures;      /* of what is in a tree */
    int number;             /* errno */
    struct session_error error;
};

/* The file at `path` becomes `name` in the folder `folder` (as for openat()). */
enum copy_end copy_get(struct copy *copy, const char *path, int folder, const char *name);
/* The open file `fd`, called `name` in messages, becomes the file at `path`. A stream is sent until it ends. */
enum copy_end copy_put(struct copy *copy, int fd, const char *name, const char *path);
/* The file at `path` goes to a stream, in order. */
enum copy_end copy_to_stream(struct copy *copy, const char *path, int fd);

/* What is in the folder at `path` becomes what is in `folder`. Names that may not be, and links, are left out with a
 * note. What fails on the way is told to `failed`, and the rest goes on while there is a connection. */
enum copy_end copy_get_tree(struct copy *copy, const char *path, int folder);
/* The other way; the folder at `path` exists. Links and whatever is neither file nor folder are left out with a note.
 */
enum copy_end copy_put_tree(struct copy *copy, int folder, const char *path);

#endif
