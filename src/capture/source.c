#include "capture/source.h"
#include "capture/temporary.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct inflater {
    const char *name;
    bool (*step)(struct source *source, uint8_t *to, size_t room, size_t *made);
    z_stream gzip;
    ZSTD_DStream *zstd;
    ZSTD_inBuffer packed;
    bool inside; /* between the beginning and the end of a member or frame */
    uint8_t chunk[SOURCE_CHUNK];
};

/* Some octets from the file itself; 0 at its end. Returns a negative errno where reading failed: a signal that has a
 * handler ends it, too, since a pipe may be silent for long. */
static ssize_t raw_read(struct source *source, uint8_t *to, size_t room) {
    if (source->fd < 0)
        return 0;
    ssize_t got = read(source->fd, to, room);
    if (got < 0)
        return -errno;
    source->raw_read += (uint64_t)got;
    return got;
}

static bool source_fail(struct source *source, const char *failure) {
    source->failure = failure;
    source->ended = true;
    return false;
}

static const char *failure_of(ssize_t error) {
    return error == -EINTR ? "reading was interrupted" : error == -EISDIR ? "it is a directory" : "reading failed";
}

/* More packed octets; false at the end of the file or where it cannot be read. */
static bool inflater_refill(struct source *source) {
    struct inflater *inflater = source->inflater;
    ssize_t got = raw_read(source, inflater->chunk, sizeof inflater->chunk);
    if (got < 0)
        return source_fail(source, failure_of(got));
    if (got == 0) {
        source->ended = true;
        if (inflater->inside)
            source->failure = "the compressed file ends in the middle (a copy that was cut short?)";
        return false;
    }
    inflater->packed = (ZSTD_inBuffer){inflater->chunk, (size_t)got, 0};
    return true;
}

/* gzip files may have several members, and padding behind the last, which gzip itself ignores. */
static bool gzip_next_member(struct source *source) {
    struct inflater *inflater = source->inflater;
    if (inflater->packed.pos == inflater->packed.size && !inflater_refill(source))
        return false;
    const uint8_t *next = (const uint8_t *)inflater->packed.src + inflater->packed.pos;
    if (*next != 0x1f) {
        source->ended = true;
        return false;
    }
    inflateReset(&inflater->gzip);
    inflater->inside = true;
    return true;
}

static bool gzip_step(struct source *source, uint8_t *to, size_t room, size_t *made) {
    struct inflater *inflater = source->inflater;
    z_stream *gzip = &inflater->gzip;
    if (!inflater->inside && !gzip_next_member(source))
        return false;
    if (inflater->packed.pos == inflater->packed.size && !inflater_refill(source))
        return false;
    gzip->next_in = (Bytef *)inflater->packed.src + inflater->packed.pos;
    gzip->avail_in = (uInt)(inflater->packed.size - inflater->packed.pos);
    gzip->next_out = to;
    gzip->avail_out = (uInt)room;
    int result = inflate(gzip, Z_NO_FLUSH);
    inflater->packed.pos = inflater->packed.size - gzip->avail_in;
    *made = room - gzip->avail_out;
    if (result == Z_STREAM_END)
        inflater->inside = false;
    else if (result != Z_OK && result != Z_BUF_ERROR)
        return source_fail(source, "the gzip data is damaged");
    return true;
}

static bool zstd_step(struct source *source, uint8_t *to, size_t room, size_t *made) {
    struct inflater *inflater = source->inflater;
    ZSTD_outBuffer out = {to, room, 0};
    if (inflater->packed.pos == inflater->packed.size && !inflater_refill(source))
        return false;
    size_t result = ZSTD_decompressStream(inflater->zstd, &out, &inflater->packed);
    if (ZSTD_isError(result) &&
        ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge)
        return source_fail(source,
                           "the zstd data needs a window above 128 MiB: unpack it first with "
                           "`zstd -d --long=31`");
    if (ZSTD_isError(result))
        return source_fail(source, "the zstd data is damaged");
    inflater->inside = result != 0;
    *made = out.pos;
    return true;
}

/* Reads once into the room behind the window. */
static bool source_read(struct source *source) {
    size_t made = 0;
    uint8_t *to = source->buffer + source->size;
    if (source->inflater) {
        bool more = source->inflater->step(source, to, source->room - source->size, &made);
        source->size += made;
        return more;
    }
    ssize_t got = raw_read(source, to, source->room - source->size);
    if (got < 0)
        return source_fail(source, failure_of(got));
    source->ended = got == 0;
    source->size += (size_t)got;
    return got > 0;
}

/* Moves what is left to the front of the window, which grows where a record is larger than it. */
static bool source_make_room(struct source *source, size_t size) {
    size_t left = source->size - source->at;
    if (source->buffer && source->at > 0)
        memmove(source->buffer, source->buffer + source->at, left);
    source->base += source->at;
    source->at = 0;
    source->size = left;
    if (size > source->room) {
        uint8_t *larger = realloc(source->buffer, size + SOURCE_WINDOW);
        if (!larger)
            return source_fail(source, "there is not enough memory");
        source->buffer = larger;
        source->room = size + SOURCE_WINDOW;
    }
    source->data = source->buffer;
    return true;
}

bool source_fill(struct source *source, size_t size) {
    if (source->ended || size > SOURCE_PEEK_MAX || !source_make_room(source, size))
        return false;
    while (source->size < size)
        if (!source_read(source))
            return source->size >= size;
    return true;
}

bool source_skip(struct source *source, uint64_t size) {
    while (size > 0) {
        size_t left = source->size - source->at;
        size_t step = size < left ? (size_t)size : left;
        source_advance(source, step);
        size -= step;
        if (size > 0 && !source_peek(source, 1))
            return false;
    }
    return true;
}

/* Somebody's turn at pages that begin less than `ahead` octets in front of the reader; false where they are there. */
static bool source_populate(struct source *source, size_t ahead) {
    size_t from = atomic_load_explicit(&source->populated, memory_order_relaxed);
    size_t left = source->size > from ? source->size - from : 0;
    if (left == 0 || from >= atomic_load_explicit(&source->reached, memory_order_relaxed) + ahead)
        return false;
    if (atomic_compare_exchange_strong(&source->populated, &from, from + SOURCE_PAGES))
        madvise((uint8_t *)source->map + from, left < SOURCE_PAGES ? left : SOURCE_PAGES, MADV_POPULATE_READ);
    return true;
}

/* The same with those that lie `resident` octets behind it. What was handed out of them may still be read: the pages
 * would come back. */
static bool source_release(struct source *source, size_t resident) {
    size_t from = atomic_load_explicit(&source->released, memory_order_relaxed);
    size_t reached = atomic_load_explicit(&source->reached, memory_order_relaxed);
    if (reached < from + resident)
        return false;
    if (atomic_compare_exchange_strong(&source->released, &from, from + SOURCE_RELEASE))
        madvise((uint8_t *)source->map + from, SOURCE_RELEASE, MADV_DONTNEED);
    return true;
}

void source_pages(struct source *source) {
    source->pages_end = (source->at / SOURCE_PAGES + 1) * SOURCE_PAGES;
    atomic_store_explicit(&source->reached, source->at, memory_order_relaxed);
    while (source_populate(source, SOURCE_AHEAD_MIN))
        ;
    while (source_release(source, SOURCE_RESIDENT))
        ;
}

bool source_help(struct source *source) {
    return source->map &&
           (source_populate(source, SOURCE_AHEAD_MAX) || source_release(source, SOURCE_RESIDENT / 2));
}

static bool source_map(struct source *source, int fd, size_t size) {
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return false;
    madvise(map, size, MADV_SEQUENTIAL);
    source->map = map;
    source->map_size = size;
    source->data = map;
    source->size = size;
    source->at = 0;
    source->base = 0;
    source->pages_end = 0;
    source->reached = 0;
    source->populated = 0;
    source->released = 0;
    source->ended = true;
    return true;
}

static const char *packing_of(const uint8_t *first, size_t size) {
    if (size >= 3 && memcmp(first, "\x1f\x8b\x08", 3) == 0)
        return "gzip";
    if (size >= 4 && memcmp(first, "\x28\xb5\x2f\xfd", 4) == 0)
        return "zstd";
    /* A skippable frame, as pzstd writes at the beginning. */
    if (size >= 4 && (first[0] & 0xf0) == 0x50 && memcmp(first + 1, "\x2a\x4d\x18", 3) == 0)
        return "zstd";
    return NULL;
}

/* The octets that are in the window already go through the inflater first: what was read to look
 * at, or all of the memory that was given. */
static int source_unpack(struct source *source, const char *name) {
    struct inflater *inflater = calloc(1, sizeof *inflater);
    if (!inflater)
        return -ENOMEM;
    source->inflater = inflater;
    inflater->packed = (ZSTD_inBuffer){source->data, source->size, 0};
    if (source->buffer) {
        assert(source->size <= sizeof inflater->chunk);
        memcpy(inflater->chunk, source->data, source->size);
        inflater->packed.src = inflater->chunk;
    }
    inflater->name = name;
    inflater->inside = true;
    inflater->step = name[0] == 'g' ? gzip_step : zstd_step;
    source->size = 0;
    source->ended = false;
    if (name[0] == 'g')
        return inflateInit2(&inflater->gzip, 15 + 16) == Z_OK ? 0 : -ENOMEM;
    inflater->zstd = ZSTD_createDStream();
    return inflater->zstd ? 0 : -ENOMEM;
}

static void source_init(struct source *source) {
    *source = (struct source){.fd = -1, .pages_end = SIZE_MAX};
}

/* Reads the first octets of a stream, few enough that an inflater can take them over. */
static int source_begin(struct source *source) {
    source->room = SOURCE_CHUNK;
    source->buffer = malloc(source->room);
    if (!source->buffer)
        return -ENOMEM;
    source->data = source->buffer;
    while (source->size < 4 && source_read(source))
        ;
    const char *packing = packing_of(source->data, source->size);
    return packing ? source_unpack(source, packing) : 0;
}

static int source_open_regular(struct source *source, off_t size) {
    uint8_t first[4];
    source->raw_size = (uint64_t)size;
    ssize_t got = pread(source->fd, first, sizeof first, 0);
    bool plain = got > 0 && !packing_of(first, (size_t)got);
    if (plain && lseek(source->fd, 0, SEEK_CUR) == 0 &&
        source_map(source, source->fd, (size_t)size))
        return 0;
    return source_begin(source);
}

int source_open(struct source *source, const char *path) {
    struct stat status;
    source_init(source);
    source->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (S_ISREG(status.st_mode) && status.st_size > 0)
        return source_open_regular(source, status.st_size);
    return source_begin(source);
}

int source_open_memory(struct source *source, struct span bytes) {
    source_init(source);
    source->data = bytes.data;
    source->size = bytes.size;
    source->raw_size = bytes.size;
    source->raw_read = bytes.size;
    source->ended = true;
    const char *packing = bytes.size > 0 ? packing_of(bytes.data, bytes.size) : NULL;
    return packing ? source_unpack(source, packing) : 0;
}

void source_close(struct source *source) {
    if (source->inflater) {
        inflateEnd(&source->inflater->gzip);
        ZSTD_freeDStream(source->inflater->zstd);
        free(source->inflater);
    }
    if (source->map)
        munmap(source->map, source->map_size);
    if (source->fd >= 0)
        close(source->fd);
    free(source->buffer);
    source_init(source);
}

const char *source_packing(const struct source *source) {
    return source->inflater ? source->inflater->name : NULL;
}

uint64_t source_position(const struct source *source) {
    if (source->inflater)
        return source->raw_read - (source->inflater->packed.size - source->inflater->packed.pos);
    return source_offset(source);
}

static int spool_write(int fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static int spool_fill(struct source *source, int fd, uint64_t *total) {
    while (source_peek(source, 1)) {
        size_t left = source->size - source->at;
        int error = spool_write(fd, source->data + source->at, left);
        if (error)
            return error;
        *total += left;
        if (*total > SOURCE_SPOOL_MAX)
            return -EFBIG;
        source->at = source->size;
    }
    return 0;
}

int source_whole(struct source *source, struct span *whole) {
    if (source->map || (!source->buffer && !source->inflater)) {
        *whole = (struct span){source->data, source->size};
        return 0;
    }
    assert(source->base == 0);
    source->at = 0;
    uint64_t total = 0;
    int fd = temporary_open();
    if (fd < 0)
        return fd;
    int error = spool_fill(source, fd, &total);
    if (!error && !source_map(source, fd, (size_t)total))
        error = -errno;
    close(fd);
    *whole = (struct span){source->data, source->size};
    return error;
}
