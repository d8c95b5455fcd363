#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/directory_parts.h"

/* A folder that may not be read is flushed with all of its file system. */
static int folder_flush(const struct directory *directory, const char *disk, int fd) {
    int folder = beneath_open(directory, disk, O_RDONLY | O_DIRECTORY, 0, 0);
    int result = folder >= 0 ? fsync(folder) : folder == -EACCES ? syncfs(fd) : 0;
    result = folder < 0 && folder != -EACCES ? folder : result < 0 ? -errno : 0;
    if (folder >= 0)
        close(folder);
    return result;
}

/* All folders from the file up, since those may be new, too. */
static int folders_flush(struct directory *directory, int fd) {
    char disk[STORE_PATH_MAX];
    int result = descriptor_path(directory, fd, disk);
    if (result < 0)
        return result == -ENOENT ? 0 : result; /* removed: no entry to keep */
    while (result == 0 && disk[0] != '\0') {
        char *slash = strrchr(disk, '/');
        *(slash != NULL ? slash : disk) = '\0';
        result = folder_flush(directory, disk, fd);
    }
    return result;
}

void flush_work(struct directory *directory, struct store_op *op) {
    struct store_file *file = op->file;
    op->result = fsync(file->fd) < 0 ? -errno : 0;
    pthread_mutex_lock(&file->lock);
    if (op->result == 0 && file->is_fresh)
        op->result = folders_flush(directory, file->fd);
    if (op->result == 0)
        file->is_fresh = false;
    pthread_mutex_unlock(&file->lock);
}

static bool is_same_file(int fd, int parent, const char *name) {
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/* A new name, whose folder is opened: an existing spelling is found, and allowed only where `replace` says so. */
static int target_open(struct directory *directory, struct store_op *op, char disk[STORE_PATH_MAX], const char **name) {
    char wanted[STORE_PATH_MAX];
    int result = path_to_disk(op->path, disk);
    if (result < 0)
        return result;
    strcpy(wanted, disk);
    result = lookup(directory, disk, &op->path_missing);
    if (result < 0 && (result != -ENOENT || op->path_missing))
        return result;
    int parent = parent_open(directory, disk, name);
    if (parent < 0 || result == -ENOENT)
        return parent;
    const char *slash = strrchr(wanted, '/');
    if (is_same_file(op->file->fd, parent, *name)) /* only its case changes */
        snprintf(disk + (*name - disk), (size_t)(STORE_PATH_MAX - (*name - disk)), "%s", slash != NULL ? slash + 1 : wanted);
    else if (!op->replace)
        result = -EEXIST;
    if (result < 0)
        close(parent);
    return result < 0 ? result : parent;
}

static int rename_between(int from, const char *old, int to, const char *name, bool replace) {
    return renameat2(from, old, to, name, replace ? 0 : RENAME_NOREPLACE) < 0 ? -errno : 0;
}

static int entry_change(struct directory *directory, struct store_op *op) {
    char source[STORE_PATH_MAX], target[STORE_PATH_MAX];
    const char *old, *name;
    if (op->file->stream[0] != '\0')
        return -EOPNOTSUPP; /* a stream has no names of its own */
    int result = descriptor_path(directory, op->file->fd, source);
    if (result < 0)
        return result;
    int to = target_open(directory, op, target, &name);
    if (to < 0)
        return to;
    int from = parent_open(directory, source, &old);
    if (from < 0)
        result = from;
    else if (op->kind == STORE_RENAME)
        result = strcmp(source, target) == 0 ? 0 : rename_between(from, old, to, name, op->replace);
    else
        result = linkat(from, old, to, name, 0) < 0 ? -errno : 0;
    if (from >= 0)
        close(from);
    close(to);
    return result;
}

static void entry_change_work(struct directory *directory, struct store_op *op) {
    pthread_mutex_lock(&directory->making);
    op->result = entry_change(directory, op);
    pthread_mutex_unlock(&directory->making);
    pthread_mutex_lock(&op->file->lock);
    op->file->is_fresh = op->file->is_fresh || op->result == 0;
    pthread_mutex_unlock(&op->file->lock);
}

void rename_work(struct directory *directory, struct store_op *op) {
    entry_change_work(directory, op);
}

void link_work(struct directory *directory, struct store_op *op) {
    entry_change_work(directory, op);
}

/* In a folder where all may write, such as /tmp, only the owners of the file and of the folder remove it, and root. */
static bool is_kept_by_owner(int folder, int fd) {
    uid_t user = (uid_t)setfsuid((uid_t)-1);
    struct stat above, file;
    if (fstat(folder, &above) < 0 || fstat(fd, &file) < 0)
        return false;
    return (above.st_mode & S_ISVTX) != 0 && user != 0 && user != file.st_uid && user != above.st_uid;
}

/* Whoever acts on this thread is asked about, which access(2) would not do. */
int entry_removable(const struct directory *directory, int fd) {
    char disk[STORE_PATH_MAX];
    const char *name;
    int result = descriptor_path(directory, fd, disk);
    int folder = result < 0 ? -ENOENT : parent_open(directory, disk, &name);
    if (folder < 0)
        return folder == -ENOENT ? 0 : folder; /* its removal will say so */
    result = (int)syscall(SYS_faccessat2, folder, ".", W_OK | X_OK, AT_EACCESS) < 0 && errno == EACCES ? -EACCES : 0;
    if (result == 0 && is_kept_by_owner(folder, fd))
        result = -EACCES;
    close(folder);
    return result;
}

/* The name could go to another file just before it is removed, by somebody beside this server; a moment that no call of
 * the kernel spares. */
int entry_remove(struct directory *directory, int fd, bool is_folder) {
    char disk[STORE_PATH_MAX];
    const char *name;
    int result = descriptor_path(directory, fd, disk);
    if (result < 0 || disk[0] == '\0')
        return result < 0 ? result : -EBUSY; /* the root */
    int folder = parent_open(directory, disk, &name);
    if (folder < 0)
        return folder;
    result = unlinkat(folder, name, is_folder ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
    if (result == 0)
        tunnel_note(&directory->tunnel, folder, name);
    close(folder);
    return result;
}

void remove_work(struct directory *directory, struct store_op *op) {
    op->result = entry_remove(directory, op->file->fd, op->file->is_folder);
}
