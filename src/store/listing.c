#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/directory_parts.h"

/* Entries that are looked at in one go, on a worker. */
#define LISTING_BATCH_MAX   128u
#define LISTING_REFRESH_MAX 16u

struct listing_entry {
    char name[STORE_NAME_MAX];
    struct store_attributes attributes;
};

struct store_listing {
    DIR *entries;
    char pattern[STORE_NAME_MAX];
    unsigned count, at;
    unsigned fresh; /* up to there they were looked at for this request */
    bool is_finished;
    struct listing_entry batch[LISTING_BATCH_MAX];
};

void store_listing_free(struct store_listing *listing) {
    if (listing != NULL && listing->entries != NULL)
        closedir(listing->entries);
    free(listing);
}

static int listing_start(struct store_op *op) {
    const char *pattern = op->pattern != NULL ? op->pattern : "*";
    if (strlen(pattern) >= STORE_NAME_MAX)
        return -ENAMETOOLONG;
    int fd = openat(op->file->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct store_listing *listing = calloc(1, sizeof *listing);
    DIR *entries = listing != NULL ? fdopendir(fd) : NULL;
    if (entries == NULL) {
        free(listing);
        close(fd);
        return -ENOMEM;
    }
    listing->entries = entries;
    strcpy(listing->pattern, pattern);
    store_listing_free(op->file->listing);
    op->file->listing = listing;
    return 0;
}

static bool is_root(const struct directory *directory, int folder) {
    struct stat here, root;
    return fstat(folder, &here) == 0 && fstat(directory->root, &root) == 0 && here.st_ino == root.st_ino &&
           here.st_dev == root.st_dev;
}

/* ".." of the root shows the root. */
static int entry_attributes(struct directory *directory, const struct store_op *op, const char *name,
                            struct store_attributes *attributes) {
    if (strcmp(name, ".") == 0 || (strcmp(name, "..") == 0 && is_root(directory, op->file->fd)))
        return attributes_get(op->file->fd, attributes);
    return attributes_at(directory, op->file->fd, name, attributes);
}

static void entry_take(struct directory *directory, struct store_op *op, const char *disk) {
    struct store_listing *listing = op->file->listing;
    struct listing_entry *entry = &listing->batch[listing->count];
    bool is_dots = strcmp(disk, ".") == 0 || strcmp(disk, "..") == 0;
    if (is_dots)
        strcpy(entry->name, disk);
    else if (!name_from_disk(disk, entry->name))
        return;
    if (pattern_matches(listing->pattern, entry->name) && entry_attributes(directory, op, disk, &entry->attributes) == 0)
        listing->count++;
}

/* Looks again at some of what is left from a request before: it may be gone, and has no name then. */
static void listing_refresh(struct directory *directory, struct store_op *op) {
    struct store_listing *listing = op->file->listing;
    unsigned end = listing->fresh + LISTING_REFRESH_MAX < listing->count ? listing->fresh + LISTING_REFRESH_MAX : listing->count;
    for (; listing->fresh < end; listing->fresh++) {
        char disk[STORE_PATH_MAX];
        struct listing_entry *entry = &listing->batch[listing->fresh];
        bool is_dots = strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0;
        if (is_dots)
            strcpy(disk, entry->name);
        if ((!is_dots && path_to_disk(entry->name, disk) < 0) ||
            entry_attributes(directory, op, disk, &entry->attributes) < 0)
            entry->name[0] = '\0';
    }
}

static int listing_fill(struct directory *directory, struct store_op *op) {
    struct store_listing *listing = op->file->listing;
    listing->count = listing->at = listing->fresh = 0;
    while (listing->count < LISTING_BATCH_MAX) {
        errno = 0;
        struct dirent *entry = readdir(listing->entries);
        if (entry == NULL) {
            listing->is_finished = errno == 0;
            listing->fresh = listing->count;
            return -errno;
        }
        entry_take(directory, op, entry->d_name);
    }
    listing->fresh = listing->count;
    return 0;
}

bool listing_ready(struct store_op *op) {
    struct store_listing *listing = op->file->listing;
    if (listing == NULL || op->restart)
        return false;
    return listing->at < listing->fresh || (listing->at == listing->count && listing->is_finished);
}

void listing_work(struct directory *directory, struct store_op *op) {
    int64_t before = op->result;
    int result = op->file->is_folder ? 0 : -ENOTDIR;
    if (result == 0 && (op->file->listing == NULL || op->restart))
        result = listing_start(op);
    op->restart = false;
    if (result == 0 && op->file->listing->fresh < op->file->listing->count)
        listing_refresh(directory, op);
    else if (result == 0)
        result = listing_fill(directory, op);
    op->result = result < 0 ? result : before;
}

bool listing_deliver(struct store_op *op) {
    struct store_listing *listing = op->file->listing;
    if (op->result < 0)
        return true;
    for (; listing->at < listing->fresh; listing->at++) {
        const struct listing_entry *entry = &listing->batch[listing->at];
        if (entry->name[0] == '\0')
            continue;
        if (!op->entry(op, entry->name, &entry->attributes)) {
            listing->fresh = listing->at;
            return true;
        }
        op->result++;
    }
    return listing->at == listing->count && listing->is_finished;
}
