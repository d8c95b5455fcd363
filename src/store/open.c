#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/directory_parts.h"

#define MADE_FILE_MODE   0666u /* less the umask */
#define MADE_FOLDER_MODE 0777u
/* Pipes and terminals neither block the opening nor become ours; they are refused once they are open. */
#define OPEN_FLAGS (O_NONBLOCK | O_NOCTTY)

static bool has_stream(const struct store_op *op) {
    return op->stream != NULL && op->stream[0] != '\0';
}

/* A folder is never opened for writing, though its access may say so; a stream is written by its attribute. */
static int existing_open(const struct directory *directory, struct store_op *op, const char *disk, uint64_t resolve) {
    bool writes = op->want_write && !has_stream(op);
    int fd = beneath_open(directory, disk, OPEN_FLAGS | (writes ? O_RDWR : O_RDONLY), 0, resolve);
    bool is_refused = fd == -EACCES || fd == -EROFS || fd == -EPERM || fd == -ETXTBSY;
    op->can_write = true;
    if (fd == -EACCES && op->glances)
        return beneath_open(directory, disk, O_PATH, 0, resolve);
    if (!writes || !((fd == -EISDIR && !op->want_file) || (is_refused && op->write_if_can)))
        return fd;
    op->can_write = fd == -EISDIR;
    return beneath_open(directory, disk, OPEN_FLAGS | O_RDONLY, 0, resolve);
}

static int kind_check(int fd, const struct store_op *op, bool *is_folder) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *is_folder = S_ISDIR(status.st_mode);
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return -EACCES;
    if (*is_folder && op->want_file)
        return -EISDIR;
    return !*is_folder && op->want_folder ? -ENOTDIR : 0;
}

void file_close(struct store_file *file) {
    store_listing_free(file->listing);
    pthread_mutex_destroy(&file->lock);
    close(file->fd);
    identity_release(file->as);
    free(file);
}

static struct store_file *file_new(int fd, bool is_folder, const struct store_op *op) {
    struct store_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return NULL;
    file->fd = fd;
    file->as = identity_hold(op->as);
    file->is_folder = is_folder;
    file->is_fresh = op->made_file;
    pthread_mutex_init(&file->lock, NULL);
    return file;
}

static bool is_read_only(int fd) {
    struct statvfs status;
    return fstatvfs(fd, &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
}

static int opened_finish(struct store_op *op, int fd, bool is_folder, const char *attribute) {
    if (op->truncate && !op->made && !is_folder && attribute[0] == '\0' && ftruncate(fd, 0) < 0)
        return -errno;
    int result = op->made_file ? attributes_set(fd, op->set, &op->attributes) : 0;
    if (result == 0 && !op->made_file)
        result = security_get(fd, &op->security, &op->security_size);
    if (result == 0)
        result = attributes_get(fd, &op->attributes);
    if (result < 0)
        return result;
    op->file = file_new(fd, is_folder, op);
    if (op->file == NULL)
        return -ENOMEM;
    strcpy(op->file->stream, attribute);
    return 0;
}

/* Takes over the descriptor. What was made goes again where a later step fails. */
static int opened(struct directory *directory, struct store_op *op, int fd) {
    char attribute[XATTR_NAME_SIZE] = "";
    bool is_folder = false;
    int result = kind_check(fd, op, &is_folder);
    if (result == 0 && op->want_delete && is_read_only(fd))
        result = -EROFS;
    if (result == 0 && op->want_removed && !op->made_file && !has_stream(op))
        result = entry_removable(directory, fd);
    op->made = op->made_file;
    if (result == 0 && has_stream(op))
        result = stream_open(directory, op, fd, attribute);
    if (result == 0)
        result = opened_finish(op, fd, is_folder, attribute);
    if (result == 0 && has_stream(op))
        stream_attributes(op->file, &op->attributes);
    if (result == 0)
        return 0;
    if (op->made_file)
        entry_remove(directory, fd, is_folder);
    free(op->security);
    op->security = NULL;
    close(fd);
    return result;
}

bool open_cached(struct directory *directory, struct store_op *op) {
    char disk[STORE_PATH_MAX];
    if (has_stream(op) || op->truncate || op->how == STORE_MUST_NOT_EXIST)
        return false;
    op->result = path_to_disk(op->path, disk);
    if (op->result < 0)
        return true;
    int fd = existing_open(directory, op, disk, RESOLVE_CACHED);
    if (fd < 0)
        return false;
    op->made_file = false;
    op->result = opened(directory, op, fd);
    return true;
}

/* The folder's descriptor is kept for what is made in it, from which it may inherit. */
static int folder_security(struct store_op *op, int folder) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", folder); /* what O_PATH opened has no attributes itself */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno;
    int result = security_get(fd, &op->security, &op->security_size);
    close(fd);
    return result;
}

static int make_in(struct store_op *op, int folder, const char *name) {
    int access = op->want_write ? O_RDWR : O_RDONLY;
    if (!op->want_folder)
        return openat(folder, name, access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MADE_FILE_MODE);
    if (mkdirat(folder, name, MADE_FOLDER_MODE) < 0)
        return -1;
    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Makes the last name of `disk`, in a folder that exists. */
static int make(struct directory *directory, struct store_op *op, const char *disk) {
    char before[NAME_MAX + 1];
    const char *name;
    int folder = parent_open(directory, disk, &name);
    if (folder < 0)
        return folder;
    if (tunnel_find(&directory->tunnel, folder, name, before))
        name = before;
    int result = folder_security(op, folder);
    if (result == 0) {
        result = make_in(op, folder, name);
        result = result < 0 ? -errno : result;
    }
    close(folder);
    op->made_file = result >= 0;
    op->can_write = true;
    return result;
}

static bool may_exist(const struct store_op *op) {
    return op->how != STORE_MUST_NOT_EXIST || has_stream(op);
}

/* One attempt with `making` held. */
static int open_or_make(struct directory *directory, struct store_op *op) {
    char disk[STORE_PATH_MAX];
    bool path_missing = false;
    int result = path_to_disk(op->path, disk);
    if (result == 0)
        result = lookup(directory, disk, &path_missing);
    op->path_missing = path_missing;
    if (result == 0)
        return may_exist(op) ? existing_open(directory, op, disk, 0) : -EEXIST;
    if (result != -ENOENT || path_missing || op->how == STORE_MUST_EXIST)
        return result;
    return directory->settings.read_only ? -EROFS : make(directory, op, disk);
}

static int open_once(struct directory *directory, struct store_op *op) {
    char disk[STORE_PATH_MAX];
    int fd = path_to_disk(op->path, disk);
    if (fd == 0)
        fd = existing_open(directory, op, disk, 0);
    if (fd >= 0 && !may_exist(op))
        close(fd);
    if ((fd >= 0 || fd == -EISDIR) && !may_exist(op))
        fd = -EEXIST;
    if (fd != -ENOENT)
        return fd;
    pthread_mutex_lock(&directory->making);
    fd = open_or_make(directory, op);
    pthread_mutex_unlock(&directory->making);
    return fd;
}

void open_work(struct directory *directory, struct store_op *op) {
    int fd = -EEXIST;
    op->made_file = false;
    for (unsigned i = 0; i < DIRECTORY_ATTEMPTS_MAX; i++) {
        fd = open_once(directory, op);
        bool is_race = (fd == -EEXIST && op->how == STORE_EITHER) || (fd == -ENOENT && op->how == STORE_EITHER);
        if (!is_race || op->path_missing)
            break;
    }
    op->result = fd < 0 ? fd : opened(directory, op, fd);
    if (fd < 0) { /* of the folder, where nothing was made after all */
        free(op->security);
        op->security = NULL;
    }
}
