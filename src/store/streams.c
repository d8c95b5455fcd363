#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/directory_parts.h"

#define PREFIX_SIZE (sizeof XATTR_STREAM - 1)
/* What streams are said to be allocated in, in octets. */
#define STREAM_UNIT 512u

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
    op->made = is_new;
    return 0;
}

static uint64_t stream_allocated(uint64_t size) {
    return (size + STREAM_UNIT - 1) / STREAM_UNIT * STREAM_UNIT;
}

const char *stream_name(const struct store_file *file) {
    return file->stream + PREFIX_SIZE;
}

void stream_attributes(const struct store_file *file, struct store_attributes *attributes) {
    ssize_t size = fgetxattr(file->fd, file->stream, NULL, 0);
    attributes->size = size < 0 ? 0 : (uint64_t)size;
    if (size < 0 && errno == ENODATA)
        attributes->links = 0;
    attributes->allocated = stream_allocated(attributes->size);
}

/* The stream's octets are in `whole`, `size` of them; zeroes follow. */
static int64_t stream_change(struct store_op *op, uint8_t *whole, uint64_t size) {
    uint64_t end = op->kind == STORE_TRUNCATE ? op->size : op->offset + op->size;
    if (op->offset > STORE_STREAM_MAX || op->size > STORE_STREAM_MAX || end > STORE_STREAM_MAX)
        return -EFBIG;
    if (op->kind == STORE_ZERO) { /* within what there is */
        end = size;
        op->size = op->offset >= size ? 0 : op->size < size - op->offset ? op->size : size - op->offset;
        memset(whole + op->offset, 0, op->size);
    } else if (op->kind != STORE_TRUNCATE) {
        memcpy(whole + op->offset, op->data, op->size);
        end = end > size ? end : size;
    }
    if (fsetxattr(op->file->fd, op->file->stream, whole, end, XATTR_REPLACE) < 0)
        return -errno;
    return op->kind == STORE_WRITE || op->kind == STORE_COPY ? (int64_t)op->size : 0;
}

static int64_t stream_read(struct store_op *op, const uint8_t *whole, uint64_t size) {
    if (op->offset >= size)
        return 0;
    uint64_t count = size - op->offset < op->size ? size - op->offset : op->size;
    memcpy(op->data, whole + op->offset, count);
    return (int64_t)count;
}

/* A new name for a stream: it has both for a moment, so that it is never lost. */
static int stream_rename(struct store_op *op, const uint8_t *whole, uint64_t size) {
    char found[XATTR_NAME_SIZE], wanted[XATTR_NAME_SIZE];
    int length = snprintf(wanted, sizeof wanted, "%s%s", XATTR_STREAM, op->stream);
    if (length < 0 || (size_t)length >= sizeof wanted)
        return -ENAMETOOLONG;
    bool exists = stream_find(op->file->fd, op->stream, found) == 0;
    if (strcmp(wanted, op->file->stream) == 0)
        return 0;
    bool is_itself = exists && strcmp(found, op->file->stream) == 0; /* only its case changes */
    if (exists && !is_itself && !op->replace)
        return -EEXIST;
    if (exists && !is_itself && fremovexattr(op->file->fd, found) < 0)
        return -errno;
    if (fsetxattr(op->file->fd, wanted, whole, size, 0) < 0 || fremovexattr(op->file->fd, op->file->stream) < 0)
        return -errno;
    strcpy(op->file->stream, wanted);
    return 0;
}

/* Part of the source of a copy, which is a stream or a file. */
static int64_t source_read(struct store_op *op, uint8_t *data) {
    uint64_t count = op->size < STORE_STREAM_MAX ? op->size : STORE_STREAM_MAX;
    struct store_op read = {.offset = op->source_offset, .size = count, .data = data};
    if (op->source->stream[0] == '\0') {
        ssize_t got = pread(op->source->fd, data, count, (off_t)op->source_offset);
        return got < 0 ? -errno : got;
    }
    uint8_t *whole = malloc(STORE_STREAM_MAX);
    if (whole == NULL)
        return -ENOMEM;
    ssize_t size = fgetxattr(op->source->fd, op->source->stream, whole, STORE_STREAM_MAX);
    int64_t got = size < 0 ? -errno : stream_read(&read, whole, (uint64_t)size);
    free(whole);
    return got;
}

/* From or to a stream, or both. `whole` is the target's contents where it is one. */
static int64_t stream_copy(struct store_op *op, uint8_t *whole, uint64_t size) {
    uint8_t *data = malloc(STORE_STREAM_MAX);
    if (data == NULL)
        return -ENOMEM;
    int64_t got = source_read(op, data);
    if (got > 0 && op->file->stream[0] != '\0') {
        op->data = data;
        op->size = (uint64_t)got;
        got = stream_change(op, whole, size);
    } else if (got > 0) {
        got = pwrite(op->file->fd, data, (size_t)got, (off_t)op->offset);
        got = got < 0 ? -errno : got;
    }
    free(data);
    op->data = NULL;
    return got;
}

static int64_t stream_perform(struct store_op *op, uint8_t *whole, uint64_t size) {
    switch (op->kind) {
    case STORE_READ: return stream_read(op, whole, size);
    case STORE_WRITE: case STORE_TRUNCATE: case STORE_ZERO: return stream_change(op, whole, size);
    case STORE_COPY: return stream_copy(op, whole, size);
    case STORE_RENAME: return stream_rename(op, whole, size);
    case STORE_REMOVE: return fremovexattr(op->file->fd, op->file->stream) < 0 ? -errno : 0;
    default: return op->kind == STORE_ALLOCATE ? 0 : -EOPNOTSUPP;
    }
}

void stream_work(struct directory *directory, struct store_op *op) {
    bool has_whole = op->file->stream[0] != '\0'; /* else the source of a copy is the stream */
    uint8_t *whole = calloc(1, STORE_STREAM_MAX);
    if (whole == NULL) {
        op->result = -ENOMEM;
        return;
    }
    pthread_mutex_lock(&directory->streams);
    ssize_t size = has_whole ? fgetxattr(op->file->fd, op->file->stream, whole, STORE_STREAM_MAX) : 0;
    op->result = size < 0 ? -errno : stream_perform(op, whole, (uint64_t)size);
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
        uint64_t stream_octets = octets > 0 ? (uint64_t)octets : 0;
        struct store_attributes attributes = {.size = stream_octets, .allocated = stream_allocated(stream_octets)};
        if (!op->entry(op, name + PREFIX_SIZE, &attributes))
            break;
        op->result++;
    }
    free(names);
}
