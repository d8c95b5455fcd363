/* What the files of the directory store share. */
#ifndef SMBPROOF_STORE_DIRECTORY_PARTS_H
#define SMBPROOF_STORE_DIRECTORY_PARTS_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/directory.h"
#include "store/identity.h"
#include "store/names.h"
#include "store/tunnel.h"

/* How often an open starts again because others made or removed the name in between. */
#define DIRECTORY_ATTEMPTS_MAX 8u
/* Names of its own among the extended attributes. */
#define XATTR_OWN      "user.smbproof."
#define XATTR_STREAM   XATTR_OWN "stream."
#define XATTR_DOS      XATTR_OWN "dos"
#define XATTR_SECURITY XATTR_OWN "security"
#define XATTR_NAME_SIZE 256u  /* octets with the NUL, of the kernel */
#define XATTR_LIST_SIZE 65536u /* octets of all names, of the kernel */
#define DOS_SPARSE      0x0200u /* [MS-FSCC] 2.6 */

struct name_index;

struct directory {
    struct store store;
    struct directory_settings settings;
    struct workers *workers;
    int root; /* descriptor */
    dev_t device;
    bool is_memory; /* all of it, always: nothing waits for a disk, though RWF_NOWAIT is not known there */
    atomic_bool lacks_getxattrat; /* the system, or what filters its calls, does not know it */
    struct name_index *index;
    struct tunnel tunnel;
    pthread_mutex_t making;  /* from looking for a name to making it: else "A" and "a" could both be made */
    pthread_mutex_t streams; /* streams are read and written as a whole */
    pthread_mutex_t counting;
    pthread_cond_t idle;
    unsigned in_flight;
};

struct store_file {
    int fd;
    struct identity *as; /* who opened it */
    bool is_folder;
    bool is_fresh;  /* its folder entry is not on disk for sure */
    char stream[XATTR_NAME_SIZE]; /* the attribute's name; "": none */
    pthread_mutex_t lock;         /* of `listing` and `is_fresh` */
    struct store_listing *listing;
};

static inline struct directory *directory_of(struct store *store) {
    return (struct directory *)store;
}

/* lookup.c. Everything is opened beneath the root; what leads out of it is -EACCES. */
int beneath_open(const struct directory *directory, const char *disk, uint64_t flags, uint64_t mode, uint64_t resolve);
/* Splits off the last name and opens the folder before it. */
int parent_open(const struct directory *directory, const char *disk, const char **name);
/* What of `disk` there is, in the case it has there. `disk` is changed to it. -ENOENT: only the last name is missing,
 * and stands as it was; *path_missing: one before it. */
int lookup(struct directory *directory, char disk[STORE_PATH_MAX], bool *path_missing);
/* The path below the root that a descriptor has now, as the file system has it. -ENOENT: it has none any more. */
int descriptor_path(const struct directory *directory, int fd, char disk[STORE_PATH_MAX]);

/* index.c. NULL: no memory. */
struct name_index *index_new(void);
void index_free(struct name_index *index);
/* The name in the folder that equals this one without regard to case, or has it as its short name. -ENOENT: none does. */
int index_find(struct name_index *index, int folder, const char *disk_name, char found[NAME_MAX + 1]);

/* open.c */
bool open_cached(struct directory *directory, struct store_op *op);
void open_work(struct directory *directory, struct store_op *op);
void file_close(struct store_file *file);

/* attributes.c */
int attributes_get(int fd, struct store_attributes *attributes);
int attributes_set(int fd, unsigned set, const struct store_attributes *attributes);
/* Of a name in a folder, without opening it for reading. */
int attributes_at(struct directory *directory, int folder, const char *name, struct store_attributes *attributes);
int sparse_set(int fd, bool sparse);
/* As of struct store_op; 0 with NULL where none is kept. */
int security_get(int fd, uint8_t **security, size_t *security_size);
void xattr_work(struct directory *directory, struct store_op *op);
void security_work(struct directory *directory, struct store_op *op);

/* io.c */
bool read_cached(struct directory *directory, struct store_op *op);
bool write_cached(struct directory *directory, struct store_op *op);
void io_work(struct directory *directory, struct store_op *op);
int io_sendable(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size);
bool io_takes_pipe(const struct store *store, const struct store_file *file);

/* entries.c. May the name that the descriptor has now be removed? 0 or -EACCES. */
int entry_removable(const struct directory *directory, int fd);
/* Removes the name that the descriptor has now. */
int entry_remove(struct directory *directory, int fd, bool is_folder);
void rename_work(struct directory *directory, struct store_op *op);
void link_work(struct directory *directory, struct store_op *op);
void remove_work(struct directory *directory, struct store_op *op);
void flush_work(struct directory *directory, struct store_op *op);

/* streams.c */
int stream_find(int fd, const char *stream, char attribute[XATTR_NAME_SIZE]);
int stream_open(struct directory *directory, struct store_op *op, int fd, char attribute[XATTR_NAME_SIZE]);
/* Its bare name. */
const char *stream_name(const struct store_file *file);
/* Sets the sizes to those of the stream, and the links to 0 where it is gone. */
void stream_attributes(const struct store_file *file, struct store_attributes *attributes);
void streams_list(struct store_op *op);
void stream_work(struct directory *directory, struct store_op *op);

/* listing.c. Filled on a worker; delivered on the loop. */
bool listing_ready(struct store_op *op);
void listing_work(struct directory *directory, struct store_op *op);
/* False: it has to be filled once more. */
bool listing_deliver(struct store_op *op);
void store_listing_free(struct store_listing *listing);

#endif
