#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "store/directory_parts.h"

#define PREFIX_SIZE (sizeof XATTR_STREAM - 1)

int stream_find(int fd, const char *stream, char attribute[XATTR_NAME_SIZE]) {
    char *names = malloc(XATTR_LIST_SIZE);
    ssize_t size = names == NULL ? -1 : flistxattr(fd, names, XATTR_LIST_SIZE);
    int result = -ENOENT;
    for (char *name = names; size > 0 && name < names + size && result != 0; name += strlen(name) + 1)
        if (strncmp(name, XATTR_STREAM, PREFIX_SIZE) == 0 && name_equal(name + PREFIX_SIZE, stream)) {
            snprintf(attribute, XATTR_NAME_SIZE, "%s", name);
            result = 0;
        }
    free(names);
    return result;
}

int stream_open(struct directory *directory, struct store_op *op, int fd, char attribute[XATTR_NAME_SIZE]) {
    int result = stream_find(fd, op->stream, attribute);
    if (result == 0 && op->how == STORE_MUST_NOT_EXIST)
        return -EEXIST;
    bool is_new = result == -ENOENT;
    if (is_new && op->how == STORE_MUST_EXIST)
        return result;
    if ((is_new || op->truncate) && directory->settings.read_only)
        return -EROFS;
    if (is_new && (size_t)snprintf(attribute, XATTR_NAME_SIZE, XATTR_STREAM "%s", op->stream) >= XATTR_NAME_SIZE)
        return -ENAMETOOLONG;
    if ((is_new || op->truncate) && fsetxattr(fd, attribute, "", 0, is_new ? XATTR_CREATE : 0) < 0)
        return -errno;
    op->made = op->made || is_new;
    return 0;
}

int64_t stream_size(const struct store_file *file) {
    ssize_t size = fgetxattr(file->fd, file->stream, NULL, 0);
    return size < 0 ? 0 : size;
}

/* The stream's octets are in `whole`, `size` of them; zeroes follow. */
static int64_t stream_change(struct store_op *op, uint8_t *whole, uint64_t size) {
    uint64_t end = op->kind == STORE_WRITE ? op->offset + op->size : op->size;
    if (op->offset > STORE_STREAM_MAX || op->size > STORE_STREAM_MAX || end > STORE_STREAM_MAX)
        return -EFBIG;
    if (op->kind == STORE_WRITE) {
        memcpy(whole + op->offset, op->data, op->size);
        end = end > size ? end : size;
    }
    if (fsetxattr(op->file->fd, op->file->stream, whole, end, XATTR_REPLACE) < 0)
        return -errno;
    return op->kind == STORE_WRITE ? (int64_t)op->size : 0;
}

static int64_t stream_read(struct store_op *op, const uint8_t *whole, uint64_t size) {
    if (op->offset >= size)
        return 0;
    uint64_t count = size - op->offset < op->size ? size - op->offset : op->size;
    memcpy(op->data, whole + op->offset, count);
    return (int64_t)count;
}

void stream_work(struct directory *directory, struct store_op *op) {
    uint8_t *whole = calloc(1, STORE_STREAM_MAX);
    if (whole == NULL) {
        op->result = -ENOMEM;
        return;
    }
    pthread_mutex_lock(&directory->streams);
    ssize_t size = fgetxattr(op->file->fd, op->file->stream, whole, STORE_STREAM_MAX);
    if (size < 0)
        op->result = -errno;
    else if (op->kind == STORE_READ)
        op->result = stream_read(op, whole, (uint64_t)size);
    else if (op->kind == STORE_WRITE || op->kind == STORE_TRUNCATE)
        op->result = stream_change(op, whole, (uint64_t)size);
    else if (op->kind == STORE_REMOVE)
        op->result = fremovexattr(op->file->fd, op->file->stream) < 0 ? -errno : 0;
    else
        op->result = op->kind == STORE_ALLOCATE ? 0 : -EOPNOTSUPP;
    pthread_mutex_unlock(&directory->streams);
    free(whole);
}

void streams_list(struct store_op *op) {
    char *names = malloc(XATTR_LIST_SIZE);
    ssize_t size = names == NULL ? 0 : flistxattr(op->file->fd, names, XATTR_LIST_SIZE);
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        if (strncmp(name, XATTR_STREAM, PREFIX_SIZE) != 0)
            continue;
        ssize_t octets = fgetxattr(op->file->fd, name, NULL, 0);
        struct store_attributes attributes = {.size = octets > 0 ? (uint64_t)octets : 0};
        if (!op->entry(op, name + PREFIX_SIZE, &attributes))
            break;
        op->result++;
    }
    free(names);
}
