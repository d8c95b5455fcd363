#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/directory_parts.h"

/* What is copied in one go where the file system cannot do it, in octets. */
#define COPY_BUFFER_MAX (1024u * 1024u)
/* Octets between two places where io_sendable() looks whether they are in memory. */
#define SENDABLE_STEP 131072u

/* Where the file system cannot take it from a pipe, what is in there goes on by way of the memory that it has room in. */
static ssize_t take_out(struct store_op *op) {
    ssize_t got = read(op->pipe, op->data, op->piped);

    if (got < 0 || (uint64_t)got < op->piped)
        return got < 0 ? -errno : -EIO;
    op->piped = 0;
    return -EINTR;
}

/* Out of the pipe; -EINTR: come again. */
static ssize_t transfer_piped(struct store_op *op) {
    off_t offset = (off_t)(op->offset + (uint64_t)op->result);
    ssize_t moved = splice(op->pipe, NULL, op->file->fd, &offset, op->piped - (uint64_t)op->result, SPLICE_F_MOVE);

    if (moved < 0 && errno == EINVAL && op->result == 0)
        return take_out(op);
    return moved < 0 ? -errno : moved;
}

/* What is left of the request, behind what was transferred already. */
static ssize_t transfer(struct store_op *op, bool is_write, int flags) {
    if ((uint64_t)op->result < op->piped)
        return transfer_piped(op);
    struct iovec part = {(char *)op->data + op->result, op->size - (uint64_t)op->result};
    off_t offset = (off_t)(op->offset + (uint64_t)op->result);
    ssize_t moved = is_write ? pwritev2(op->file->fd, &part, 1, offset, flags | (op->durable ? RWF_DSYNC : 0))
                             : preadv2(op->file->fd, &part, 1, offset, flags);
    return moved < 0 ? -errno : moved;
}

/* True: done. False: the rest has to wait for the disk. */
static bool transfer_all(struct store_op *op, bool is_write, int flags) {
    while ((uint64_t)op->result < op->size) {
        ssize_t moved = transfer(op, is_write, flags);
        if (moved == -EINTR)
            continue;
        if (moved < 0 && flags != 0)
            return false;
        if (moved < 0)
            op->result = op->result > 0 ? op->result : moved;
        if (moved <= 0)
            return true;
        op->result += moved;
    }
    return true;
}

static int no_wait(const struct directory *directory) {
    return directory->is_memory ? 0 : RWF_NOWAIT;
}

bool read_cached(struct directory *directory, struct store_op *op) {
    return op->file->stream[0] == '\0' && transfer_all(op, false, no_wait(directory));
}

bool write_cached(struct directory *directory, struct store_op *op) {
    if (op->file->stream[0] != '\0' || op->durable || (op->piped > 0 && !directory->is_memory))
        return false;
    return transfer_all(op, true, no_wait(directory));
}

bool io_takes_pipe(const struct store *store, const struct store_file *file) {
    (void)store;
    return file->stream[0] == '\0';
}

static bool is_cached(int fd, uint64_t offset) {
    uint8_t octet;
    struct iovec part = {&octet, sizeof octet};
    return preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT) >= 0;
}

/* Looks at a place here and there: what is read ahead comes in pieces that are larger. */
static bool range_is_cached(int fd, uint64_t offset, uint64_t size) {
    bool cached = is_cached(fd, offset + size - 1);
    for (uint64_t at = 0; at < size && cached; at += SENDABLE_STEP)
        cached = is_cached(fd, offset + at);
    return cached;
}

int io_sendable(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size) {
    struct stat status;
    uint64_t end;
    if (file->stream[0] != '\0' || fstat(file->fd, &status) < 0 || (uint64_t)status.st_size <= offset)
        return -1;
    end = (uint64_t)status.st_size;
    *size = *size < end - offset ? *size : end - offset;
    return directory_of(store)->is_memory || range_is_cached(file->fd, offset, *size) ? file->fd : -1;
}

static int allocate(const struct store_op *op) {
    struct stat status;
    if (fstat(op->file->fd, &status) < 0)
        return -errno;
    if (op->size < (uint64_t)status.st_size)
        return ftruncate(op->file->fd, (off_t)op->size) < 0 ? -errno : 0;
    if (op->size == 0)
        return 0;
    int result = fallocate(op->file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)op->size) < 0 ? -errno : 0;
    return result == -EOPNOTSUPP ? 0 : result;
}

/* Zeroes within the file; it does not grow. Only a sparse one gives space back, where the file system can tell. */
static int zero(const struct store_op *op) {
    struct store_attributes attributes;
    int result = op->size == 0 ? 0 : attributes_get(op->file->fd, &attributes);
    if (op->size == 0 || result < 0 || op->offset >= attributes.size)
        return result;
    uint64_t size = op->size < attributes.size - op->offset ? op->size : attributes.size - op->offset;
    int flags = (attributes.dos_attributes & DOS_SPARSE) != 0 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    result = fallocate(op->file->fd, flags | FALLOC_FL_KEEP_SIZE, (off_t)op->offset, (off_t)size);
    if (result < 0 && errno == EOPNOTSUPP && flags == FALLOC_FL_ZERO_RANGE)
        result = fallocate(op->file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)op->offset, (off_t)size);
    return result < 0 ? -errno : 0;
}

/* Read as a whole before it is written: what overlaps is copied as it was. */
static int64_t copy_through(const struct store_op *op) {
    uint64_t size = op->size < COPY_BUFFER_MAX ? op->size : COPY_BUFFER_MAX;
    uint8_t *data = malloc(size);
    if (data == NULL)
        return -ENOMEM;
    ssize_t got = pread(op->source->fd, data, size, (off_t)op->source_offset);
    ssize_t put = got > 0 ? pwrite(op->file->fd, data, (size_t)got, (off_t)op->offset) : got;
    int64_t result = put < 0 ? -errno : put;
    free(data);
    return result;
}

static int64_t copy(const struct store_op *op) {
    off_t from = (off_t)op->source_offset, to = (off_t)op->offset;
    int64_t done = 0;
    while ((uint64_t)done < op->size) {
        ssize_t moved = copy_file_range(op->source->fd, &from, op->file->fd, &to, op->size - (uint64_t)done, 0);
        bool is_impossible = moved < 0 && (errno == EINVAL || errno == EXDEV || errno == EOPNOTSUPP);
        if (moved < 0 && done == 0) /* EINVAL: the ranges overlap */
            return is_impossible ? copy_through(op) : -errno;
        if (moved <= 0)
            break;
        done += moved;
    }
    return done;
}

static int ranges(struct store_op *op) {
    off_t at = (off_t)op->offset, end = at + (off_t)op->size;
    while (at < end) {
        off_t data = lseek(op->file->fd, at, SEEK_DATA);
        if (data < 0)
            return errno == ENXIO ? 0 : -errno;
        off_t hole = lseek(op->file->fd, data, SEEK_HOLE);
        if (hole < 0)
            return -errno;
        hole = hole < end ? hole : end;
        if (data >= end || !op->range(op, (uint64_t)data, (uint64_t)(hole - data)))
            return 0;
        at = hole;
    }
    return 0;
}

void io_work(struct directory *directory, struct store_op *op) {
    (void)directory;
    switch (op->kind) {
    case STORE_READ:
    case STORE_WRITE:
        transfer_all(op, op->kind == STORE_WRITE, 0);
        break;
    case STORE_TRUNCATE:
        op->result = ftruncate(op->file->fd, (off_t)op->size) < 0 ? -errno : 0;
        break;
    case STORE_ALLOCATE:
        op->result = allocate(op);
        break;
    case STORE_ZERO:
        op->result = zero(op);
        break;
    case STORE_COPY:
        op->result = copy(op);
        break;
    case STORE_RANGES:
        op->result = ranges(op);
        break;
    default:
        op->result = -EOPNOTSUPP;
    }
}
