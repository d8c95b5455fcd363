#include "store/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/directory_parts.h"
#include "store/watch.h"

static bool is_change(const struct store_op *op) {
    switch (op->kind) {
    case STORE_WRITE: case STORE_SET: case STORE_TRUNCATE: case STORE_ALLOCATE: case STORE_RENAME: case STORE_LINK:
    case STORE_REMOVE: case STORE_XATTR_SET: case STORE_SECURITY_SET: case STORE_COPY: case STORE_ZERO: case STORE_SPARSE:
        return true;
    case STORE_OPEN:
        return op->want_write || op->truncate;
    default:
        return false;
    }
}

static int volume_get(const struct directory *directory, struct store_volume *volume) {
    struct statvfs status;
    if (fstatvfs(directory->root, &status) < 0)
        return -errno;
    *volume = (struct store_volume){
        .id = directory->device, .block_size = status.f_frsize, .blocks = status.f_blocks, .blocks_free = status.f_bfree,
        .blocks_available = status.f_bavail, .file_system = "NTFS", .name_max = 255,
        .read_only = directory->settings.read_only || (status.f_flag & ST_RDONLY) != 0,
    };
    return 0;
}

/* What never waits for long, and what calls op->entry() or op->range(). */
static bool work_inline(struct directory *directory, struct store_op *op) {
    switch (op->kind) {
    case STORE_OPEN:
        return open_cached(directory, op);
    case STORE_CLOSE:
        file_close(op->file);
        return true;
    case STORE_READ:
        return read_cached(directory, op);
    case STORE_WRITE:
        return write_cached(directory, op);
    case STORE_STAT:
        op->result = attributes_get(op->file->fd, &op->attributes);
        if (op->result == 0 && op->file->stream[0] != '\0')
            stream_attributes(op->file, &op->attributes);
        return true;
    case STORE_STREAMS:
        streams_list(op);
        return true;
    case STORE_XATTR_LIST:
        xattr_work(directory, op);
        return true;
    case STORE_RANGES:
        io_work(directory, op);
        return true;
    case STORE_LIST:
        return listing_ready(op) && listing_deliver(op);
    default:
        return false;
    }
}

static void work(struct directory *directory, struct store_op *op) {
    bool is_contents = op->kind == STORE_READ || op->kind == STORE_WRITE || op->kind == STORE_TRUNCATE ||
                       op->kind == STORE_ALLOCATE || op->kind == STORE_ZERO || op->kind == STORE_COPY || op->kind == STORE_RENAME ||
                       (op->kind == STORE_REMOVE && !op->whole);
    bool of_stream = op->kind == STORE_COPY && op->source->stream[0] != '\0';
    if (is_contents && (of_stream || op->file->stream[0] != '\0')) {
        stream_work(directory, op);
        return;
    }
    switch (op->kind) {
    case STORE_OPEN: open_work(directory, op); break;
    case STORE_FLUSH: flush_work(directory, op); break;
    case STORE_SET: op->result = attributes_set(op->file->fd, op->set, &op->attributes); break;
    case STORE_RENAME: rename_work(directory, op); break;
    case STORE_SPARSE: op->result = sparse_set(op->file->fd, op->sparse); break;
    case STORE_LINK: link_work(directory, op); break;
    case STORE_REMOVE: remove_work(directory, op); break;
    case STORE_REMOVABLE: op->result = op->file->stream[0] == '\0' ? entry_removable(directory, op->file->fd) : 0; break;
    case STORE_LIST: listing_work(directory, op); break;
    case STORE_XATTR_GET: case STORE_XATTR_SET: xattr_work(directory, op); break;
    case STORE_SECURITY_GET: case STORE_SECURITY_SET: security_work(directory, op); break;
    case STORE_VOLUME: op->result = volume_get(directory, &op->volume); break;
    default: io_work(directory, op);
    }
}

/* What goes by the descriptor alone needs nobody's leave any more. */
static const struct identity *identity_of(const struct store_op *op) {
    switch (op->kind) {
    case STORE_OPEN:
        return op->as;
    case STORE_CLOSE: case STORE_VOLUME:
        return NULL;
    case STORE_READ: case STORE_WRITE:
        return op->file->stream[0] != '\0' ? op->file->as : NULL;
    default:
        return op->file->as;
    }
}

/* True: it is done, be it that the identity cannot be taken on. */
static bool submit_inline(struct directory *directory, struct store_op *op) {
    const struct identity *as = identity_of(op);
    bool is_done;
    if (!identity_take(as)) {
        op->result = -EPERM;
        return true;
    }
    is_done = work_inline(directory, op);
    identity_drop(as);
    return is_done;
}

static void finish(struct directory *directory, struct store_op *op) {
    op->done(op); /* which may free the operation */
    pthread_mutex_lock(&directory->counting);
    if (--directory->in_flight == 0)
        pthread_cond_broadcast(&directory->idle);
    pthread_mutex_unlock(&directory->counting);
}

static struct store_op *op_of(struct job *job) {
    return (struct store_op *)((char *)job - offsetof(struct store_op, job));
}

/* Who may write a file may set its times, as Windows has it, though the kernel wants its owner for that. */
static bool is_for_server(const struct store_op *op, const struct identity *as) {
    return as != NULL && op->kind == STORE_SET && op->result == -EPERM &&
           syscall(SYS_faccessat2, op->file->fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

static void job_work(struct job *job) {
    struct store_op *op = op_of(job);
    const struct identity *as = identity_of(op);
    bool goes_on;
    if (!identity_take(as)) {
        op->result = -EPERM;
        return;
    }
    work(directory_of(op->store), op);
    goes_on = is_for_server(op, as);
    identity_drop(as);
    if (goes_on)
        work(directory_of(op->store), op);
}

static void job_done(struct job *job);

static void hand_over(struct directory *directory, struct store_op *op) {
    if (directory->workers == NULL || op->loop == NULL) {
        job_work(&op->job);
        job_done(&op->job);
        return;
    }
    op->job = (struct job){.loop = op->loop, .work = job_work, .done = job_done};
    if (!workers_submit(directory->workers, &op->job)) {
        op->result = -EAGAIN;
        finish(directory, op);
    }
}

static void job_done(struct job *job) {
    struct store_op *op = op_of(job);
    struct directory *directory = directory_of(op->store);
    if (op->kind == STORE_LIST && !listing_deliver(op))
        hand_over(directory, op);
    else
        finish(directory, op);
}

static void directory_submit(struct store *store, struct store_op *op) {
    struct directory *directory = directory_of(store);
    pthread_mutex_lock(&directory->counting);
    directory->in_flight++;
    pthread_mutex_unlock(&directory->counting);
    bool is_refused = directory->settings.read_only && is_change(op);
    if (is_refused)
        op->result = -EROFS;
    if (is_refused || submit_inline(directory, op))
        finish(directory, op);
    else
        hand_over(directory, op);
}

static void directory_free(struct store *store) {
    struct directory *directory = directory_of(store);
    pthread_mutex_lock(&directory->counting);
    while (directory->in_flight > 0)
        pthread_cond_wait(&directory->idle, &directory->counting);
    pthread_mutex_unlock(&directory->counting);
    close(directory->root);
    index_free(directory->index);
    free(directory);
}

static int directory_path(struct store *store, struct store_file *file, char *path) {
    char disk[STORE_PATH_MAX];
    int result = -EPERM;
    if (identity_take(file->as)) {
        result = descriptor_path(directory_of(store), file->fd, disk);
        identity_drop(file->as);
    }
    if (result < 0 || !path_from_disk(disk, path))
        return result < 0 ? result : -ENAMETOOLONG;
    if (file->stream[0] == '\0')
        return 0;
    size_t size = strlen(path), room = STORE_PATH_MAX - size;
    return (size_t)snprintf(path + size, room, ":%s", stream_name(file)) < room ? 0 : -ENAMETOOLONG;
}

static int directory_watch(struct store_file *file, struct watcher *watcher, struct watch *watch, bool is_tree) {
    int result = -EPERM;
    watch->as = file->as;
    if (identity_take(file->as)) {
        result = watch_begin(watcher, watch, file->fd, is_tree);
        identity_drop(file->as);
    }
    return result;
}

static const struct store_methods methods = {directory_submit, directory_free, directory_path, directory_watch, io_sendable,
                                             io_takes_pipe};

static bool is_memory(int root) {
    struct statfs status;
    return fstatfs(root, &status) == 0 && (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

struct store *directory_new(const char *folder, const struct directory_settings *settings, struct workers *workers, int *error) {
    struct stat status;
    int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *error = root < 0 || fstat(root, &status) < 0 ? -errno : 0;
    struct directory *directory = *error == 0 ? calloc(1, sizeof *directory) : NULL;
    struct name_index *index = directory != NULL ? index_new() : NULL;
    if (index == NULL) {
        *error = *error < 0 ? *error : -ENOMEM;
        free(directory);
        if (root >= 0)
            close(root);
        return NULL;
    }
    *directory = (struct directory){.store = {&methods}, .settings = *settings, .workers = workers, .root = root,
                                    .device = status.st_dev, .index = index, .is_memory = is_memory(root)};
    tunnel_init(&directory->tunnel);
    pthread_mutex_init(&directory->making, NULL);
    pthread_mutex_init(&directory->streams, NULL);
    pthread_mutex_init(&directory->counting, NULL);
    pthread_cond_init(&directory->idle, NULL);
    return &directory->store;
}
