/* What a share can do, as a file server needs it, without a word of SMB.
 *
 * Asynchronous by contract: store_submit() takes an operation and calls op->done(op) on the submitting loop's thread, either
 * before it returns or later. Until then the operation and all that it points to belong to the store. What can be had from
 * memory (open, cached reads, attributes) is done at once; the rest goes to workers. An operation cannot be taken back.
 *
 * Results are 0 (or a count of octets) and negative errno. Names are UTF-8, components separated by '/', without a leading
 * one; "" is the root. A path never leads out of the root, whatever symbolic links there are (openat2, RESOLVE_BENEATH).
 * Names are looked up without regard to case where the store is not told otherwise, and keep the case they were made with.
 * Characters that Windows forbids in names, but the file system has, are mapped by the store (U+F000 + octet, as Samba's
 * and macOS' services for Macintosh do).
 *
 * A store knows nothing of share modes, byte-range locks or oplocks: those are the server's (serve/). */
#ifndef SMBPROOF_STORE_STORE_H
#define SMBPROOF_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "net/workers.h"

#define STORE_PATH_MAX 4096u /* octets with the NUL */
#define STORE_NAME_MAX 768u  /* octets of one component with the NUL: 255 that are all mapped to three */

struct identity; /* store/identity.h */
struct store;
struct store_file;   /* an open file, folder or stream */
struct store_listing; /* a position in a folder */
struct watch;
struct watcher;

/* A file for itself: the same for all its names and opens. */
struct store_id { uint64_t volume, file; };

struct store_attributes {
    struct store_id id;
    bool is_folder;
    uint32_t dos_attributes; /* [MS-FSCC] 2.6, without DIRECTORY and NORMAL */
    uint32_t links; /* 0: it has no name any more */
    uint32_t mode, user, group; /* of Unix: permissions, ids of the owners */
    uint64_t size, allocated; /* octets */
    struct timespec created, accessed, written, changed;
};

enum store_set { STORE_SET_DOS = 1, STORE_SET_CREATED = 2, STORE_SET_ACCESSED = 4, STORE_SET_WRITTEN = 8, STORE_SET_CHANGED = 16 };

enum store_kind {
    STORE_OPEN,       /* path, as, how, stream, set and attributes of what is made -> file, attributes, made, security */
    STORE_CLOSE,      /* file */
    STORE_READ,       /* file, offset, data, size -> result: octets, 0 at the end */
    STORE_WRITE,      /* file, offset, data, size, durable -> result: octets */
    STORE_FLUSH,      /* file: on disk, with its folder entry, when done */
    STORE_STAT,       /* file -> attributes */
    STORE_SET,        /* file, set (which), attributes (values) */
    STORE_TRUNCATE,   /* file, size */
    STORE_ALLOCATE,   /* file, size: reserve at least, or cut to */
    STORE_RENAME,     /* file, path (the new one), replace; of a stream: its new bare name in `stream` */
    STORE_LINK,       /* file, path, replace */
    STORE_REMOVE,     /* file: its name, or the stream (unless `whole`); an empty folder */
    STORE_REMOVABLE,  /* file: -EACCES where its folder does not let its name go */
    STORE_LIST,       /* file (folder), pattern, restart -> entries by op->entry(); result: how many; 0 at the end, or
                       * where the first was not taken */
    STORE_STREAMS,    /* file -> names and sizes by op->entry(), without the unnamed one; result as LIST */
    /* Extended attributes of users: name, data, size. -> result: octets; -ENODATA: none; -ERANGE: `size` is too small,
     * op->size says what it takes. LIST calls op->entry() with op->data and op->size at the value. */
    STORE_XATTR_LIST, STORE_XATTR_GET, STORE_XATTR_SET,
    /* A security descriptor as octets ([MS-DTYP] 2.4.6). GET: file (of_folder: of the folder that it is in) -> security;
     * SET: data, size. */
    STORE_SECURITY_GET, STORE_SECURITY_SET,
    STORE_COPY,       /* file, offset, source, source_offset, size -> result: octets (copy_file_range) */
    STORE_ZERO,       /* file, offset, size */
    STORE_RANGES,     /* file, offset, size -> allocated ranges by op->range() */
    STORE_SPARSE,     /* file, sparse */
    STORE_VOLUME,     /* -> volume */
};

enum store_how {
    STORE_MUST_EXIST, STORE_MUST_NOT_EXIST, STORE_EITHER, /* open, make, or whichever */
};

struct store_volume {
    uint64_t id, block_size, blocks, blocks_free, blocks_available; /* block_size in octets */
    char file_system[16], label[32];
    uint32_t name_max;
    bool read_only;
};

/* Octets of a stream, an extended attribute or a security descriptor at most: what Linux lets an attribute have. */
#define STORE_STREAM_MAX 65536u

/* One operation; embedded in its owner. Which fields count follows from the kind. */
struct store_op {
    enum store_kind kind;
    int64_t result;
    void (*done)(struct store_op *op);
    void *owner;
    struct loop *loop;               /* the submitting one; NULL: everything is done before store_submit() returns */
    struct job job;                  /* the store's, as is the next */
    struct store *store;

    struct store_file *file, *source;
    struct identity *as;             /* OPEN: who does this, and all that is done with the file; NULL the server */
    const char *path, *stream;       /* stream: "" or NULL none; its bare name, without ":$DATA" */
    const char *pattern;             /* LIST: * ? and < > " of [MS-FSCC] 2.1.4.3, kept until a restart; NULL: all */
    const char *name;                /* XATTR_GET, XATTR_SET (size 0: away) */
    enum store_how how;
    bool want_folder, want_file;     /* -ENOTDIR, -EISDIR where it is the other */
    bool want_write;                 /* data will be written */
    bool glances;                    /* OPEN: only attributes are wanted, which also a file has that may not be read */
    bool want_delete;                /* it may be removed later: -EROFS where that cannot be */
    bool want_removed;               /* it will be, once it is closed: also -EACCES, as STORE_REMOVABLE */
    bool truncate;                   /* an existing file is emptied once it is open */
    bool made, made_file;            /* OPEN: what was asked for is new; the file is (not its stream alone) */
    bool write_if_can, can_write;    /* OPEN: without writing where want_write is refused, and can_write says that it was */
    bool durable, replace, sparse, whole, of_folder;
    bool path_missing;               /* with -ENOENT: a folder on the way is what is missing */
    uint64_t offset, source_offset, size;
    void *data;
    /* WRITE, where store_takes_pipe(): the first `piped` octets are not at `data`, which has room for them, but in this
     * pipe. Those that were not written stay in it. */
    uint64_t piped;
    int pipe;
    struct store_attributes attributes;
    /* OPEN: the descriptor that is kept for the file or, where it was made, for the folder that it is in. Of malloc(), for
     * the receiver to free; NULL where none is kept. */
    uint8_t *security;
    size_t security_size;
    unsigned set;                    /* enum store_set */
    struct store_volume volume;
    struct store_listing *listing;   /* the store's; the position is kept with the file */
    bool restart;                    /* LIST: from the start, with this pattern */
    /* LIST, STREAMS, XATTR_LIST: called for each on the loop's thread; false: stop before this one, it comes again. */
    bool (*entry)(struct store_op *op, const char *name, const struct store_attributes *attributes);
    bool (*range)(struct store_op *op, uint64_t offset, uint64_t size);
};

struct store_methods {
    void (*submit)(struct store *store, struct store_op *op);
    /* Waits until nothing is in flight. */
    void (*free)(struct store *store);
    /* The path that the file has now, "" for the root, with ":" and its name behind that of a stream; into `path` of
     * STORE_PATH_MAX. */
    int (*path)(struct store *store, struct store_file *file, char *path);
    /* Begins a watch of a folder (store/watch.h); it is ended with watch_end(). NULL: not to be had. */
    int (*watch)(struct store_file *file, struct watcher *watcher, struct watch *watch, bool is_tree);
    /* May be NULL: never. */
    int (*sendable)(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size);
    /* May be NULL: none. */
    bool (*takes_pipe)(const struct store *store, const struct store_file *file);
};

struct store {
    const struct store_methods *methods;
};

void store_submit(struct store *store, struct store_op *op);
void store_free(struct store *store);
/* A descriptor, still the file's own, to send the file's contents from without copying them; *size becomes what of it is there.
 * -1: it would have to wait for the disk, or cannot be done, and STORE_READ is what remains. */
int store_sendable(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size);
/* Can STORE_WRITE, not a durable one, take what it writes out of a pipe? */
bool store_takes_pipe(const struct store *store, const struct store_file *file);

#endif
