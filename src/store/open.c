#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/directory_parts.h"

#define MADE_FILE_MODE   0666u /* less the umask */
#define MADE_FOLDER_MODE 0777u
/* Pipes and terminals neither block the opening nor become ours; they are refused once they are open. */
#define OPEN_FLAGS (O_NONBLOCK | O_NOCTTY)

static uint64_t flags_of(const struct store_op *op) {
    bool has_stream = op->stream != NULL && op->stream[0] != '\0';
    return OPEN_FLAGS | (op->want_write && !has_stream ? O_RDWR : O_RDONLY);
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
    free(file);
}

static struct store_file *file_new(int fd, bool is_folder, const struct store_op *op) {
    struct store_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return NULL;
    file->fd = fd;
    file->is_folder = is_folder;
    file->can_write = op->want_write;
    file->is_fresh = op->made;
    pthread_mutex_init(&file->lock, NULL);
    return file;
}

static int opened_finish(struct directory *directory, struct store_op *op, int fd, bool is_folder, const char *attribute) {
    if (op->truncate && !op->made && !is_folder && attribute[0] == '\0' && ftruncate(fd, 0) < 0)
        return -errno;
    int result = op->made ? attributes_set(fd, op->set, &op->attributes) : 0;
    if (result == 0)
        result = attributes_get(fd, &op->attributes);
    if (result < 0)
        return result;
    op->file = file_new(fd, is_folder, op);
    if (op->file == NULL)
        return -ENOMEM;
    strcpy(op->file->stream, attribute);
    (void)directory;
    return 0;
}

/* Takes over the descriptor. What was made stays where a later step fails: it is whole, only not as wished. */
static int opened(struct directory *directory, struct store_op *op, int fd) {
    char attribute[XATTR_NAME_SIZE] = "";
    bool is_folder = false, has_stream = op->stream != NULL && op->stream[0] != '\0';
    int result = kind_check(fd, op, &is_folder);
    if (result == 0 && has_stream)
        result = stream_open(directory, op, fd, attribute);
    if (result == 0)
        result = opened_finish(directory, op, fd, is_folder, attribute);
    if (result < 0)
        close(fd);
    else if (has_stream)
        op->attributes.size = op->attributes.allocated = (uint64_t)stream_size(op->file);
    return result;
}

bool open_cached(struct directory *directory, struct store_op *op) {
    char disk[STORE_PATH_MAX];
    bool has_stream = op->stream != NULL && op->stream[0] != '\0';
    if (has_stream || op->truncate || op->how == STORE_MUST_NOT_EXIST)
        return false;
    op->result = path_to_disk(op->path, disk);
    if (op->result < 0)
        return true;
    int fd = beneath_open(directory, disk, flags_of(op), 0, RESOLVE_CACHED);
    if (fd < 0)
        return false;
    op->made = false;
    op->result = opened(directory, op, fd);
    return true;
}

/* Makes the last name of `disk`, in a folder that exists. */
static int make(struct directory *directory, struct store_op *op, const char *disk) {
    const char *name;
    int parent = parent_open(directory, disk, &name);
    if (parent < 0)
        return parent;
    int fd;
    if (op->want_folder) {
        fd = mkdirat(parent, name, MADE_FOLDER_MODE) < 0 ? -errno : 0;
        if (fd == 0)
            fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    } else {
        int access = op->want_write ? O_RDWR : O_RDONLY;
        fd = openat(parent, name, access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MADE_FILE_MODE);
    }
    int result = fd == -1 ? -errno : fd;
    close(parent);
    op->made = result >= 0;
    return result;
}

static bool may_exist(const struct store_op *op) {
    return op->how != STORE_MUST_NOT_EXIST || (op->stream != NULL && op->stream[0] != '\0');
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
        return may_exist(op) ? beneath_open(directory, disk, flags_of(op), 0, 0) : -EEXIST;
    if (result != -ENOENT || path_missing || op->how == STORE_MUST_EXIST)
        return result;
    return directory->settings.read_only ? -EROFS : make(directory, op, disk);
}

static int open_once(struct directory *directory, struct store_op *op) {
    char disk[STORE_PATH_MAX];
    op->made = false;
    int fd = path_to_disk(op->path, disk);
    if (fd == 0)
        fd = beneath_open(directory, disk, flags_of(op), 0, 0);
    if (fd >= 0 && !may_exist(op)) {
        close(fd);
        fd = -EEXIST;
    }
    if (fd != -ENOENT)
        return fd;
    pthread_mutex_lock(&directory->making);
    fd = open_or_make(directory, op);
    pthread_mutex_unlock(&directory->making);
    return fd;
}

void open_work(struct directory *directory, struct store_op *op) {
    int fd = -EEXIST;
    for (unsigned i = 0; i < DIRECTORY_ATTEMPTS_MAX; i++) {
        fd = open_once(directory, op);
        bool is_race = (fd == -EEXIST && op->how == STORE_EITHER) || (fd == -ENOENT && op->how == STORE_EITHER);
        if (!is_race || op->path_missing)
            break;
    }
    op->result = fd < 0 ? fd : opened(directory, op, fd);
}
