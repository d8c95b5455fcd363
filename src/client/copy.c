#include "client/copy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/chain.h"
#include "client/copy_tools.h"
#include "client/names.h"
#include "client/transfer.h"
#include "client/url.h"
#include "wire/info.h"

#define NOTE_MAX 256u

/* What of a part on the server may have gaps, since its writer vanished with requests in flight: octets. */
#define PART_WINDOW ((uint64_t)TRANSFER_WINDOW)

/* ---- shared ---- */

enum copy_end copy_local(struct copy *copy, int number) {
    copy->number = number;
    return COPY_LOCAL;
}

void copy_note(const struct copy *copy, const char *name, const char *sentence) {
    if (copy->note != NULL)
        copy->note(copy->context, name, sentence);
}

bool copy_goes_on(const struct copy *copy, const char *name, uint64_t size) {
    return copy->tick == NULL || copy->tick(copy->context, name, size, size);
}

/* A transfer tells how far it is. */
struct ticking {
    struct copy *copy;
    const char *name;
    uint64_t total;
};

static bool tick(void *context, uint64_t done) {
    const struct ticking *ticking = context;
    const struct copy *copy = ticking->copy;

    return copy->tick == NULL || copy->tick(copy->context, ticking->name, done, ticking->total);
}

static enum copy_end copy_end_of(struct copy *copy, const struct transfer *transfer, enum transfer_end end) {
    switch (end) {
    case TRANSFER_DONE:
        return COPY_DONE;
    case TRANSFER_STOPPED:
        return COPY_STOPPED;
    case TRANSFER_SHRUNK:
        return COPY_CHANGED;
    case TRANSFER_LOCAL:
        return copy_local(copy, transfer->number);
    case TRANSFER_REMOTE:
        break;
    }
    copy->error = transfer->error;
    return COPY_REMOTE;
}

static void note_kept(const struct copy *copy, const char *name, const char *part, uint64_t done) {
    char sentence[NOTE_MAX];

    snprintf(sentence, sizeof sentence, "%" PRIu64 " octets are kept as %s; --continue goes on from there", done, part);
    copy_note(copy, name, sentence);
}

static void note_resumed(const struct copy *copy, const char *name, uint64_t start) {
    char sentence[NOTE_MAX];

    snprintf(sentence, sizeof sentence, "goes on at octet %" PRIu64, start);
    copy_note(copy, name, sentence);
}

static struct timespec time_of(uint64_t filetime) {
    struct timespec time;
    int64_t seconds;
    int32_t nanoseconds;

    filetime_split(filetime, &seconds, &nanoseconds);
    time.tv_sec = seconds;
    time.tv_nsec = nanoseconds;
    return time;
}

static uint64_t filetime_of(const struct timespec *time) {
    return filetime_join(time->tv_sec, (int32_t)time->tv_nsec);
}

/* ---- get ---- */

static bool is_unchanged(const struct file_status *before, const struct file_status *after) {
    return before->size == after->size && before->last_write_time == after->last_write_time;
}

/* A file system may keep fewer digits than FILETIME has. */
static bool has_time(const struct stat *part, uint64_t filetime) {
    struct timespec wanted = time_of(filetime);

    return part->st_mtim.tv_sec == wanted.tv_sec &&
           (part->st_mtim.tv_nsec == wanted.tv_nsec || part->st_mtim.tv_nsec == 0);
}

int copy_set_time(int fd, uint64_t filetime) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(filetime)};

    if (filetime == 0)
        return 0;
    return futimens(fd, times) < 0 ? -errno : 0;
}

/* Opens the part and claims it. A negative errno; -EWOULDBLOCK: another copy has it. */
static int open_part(int folder, const char *part) {
    int fd = openat(folder, part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    struct stat status;

    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 0)
        return fd;
    close(fd);
    return -EWOULDBLOCK;
}

/* Where to begin: behind what is there, if it is of this file as it is now, else at its start. */
static uint64_t start_of(const struct copy *copy, const char *name, int fd, const struct file_status *file) {
    struct stat part;

    if (fstat(fd, &part) < 0 || part.st_size == 0)
        return 0;
    if (copy->resume && has_time(&part, file->last_write_time) && (uint64_t)part.st_size <= file->size) {
        note_resumed(copy, name, (uint64_t)part.st_size);
        return (uint64_t)part.st_size;
    }
    if (copy->resume)
        copy_note(copy, name, "what was kept of it is of another version, so it is copied from its start");
    return 0;
}

/* The part becomes the file. */
static enum copy_end finish_part(struct copy *copy, int fd, int folder, const char *part, const char *name,
                                 uint64_t filetime) {
    int status = copy_set_time(fd, filetime);

    if (status < 0)
        return copy_local(copy, -status);
    if (renameat(folder, part, folder, name) < 0)
        return copy_local(copy, errno);
    return COPY_DONE;
}

/* It did not become the file: it is kept where that is of use, else taken away. */
static void leave_part(const struct copy *copy, const char *name, int fd, int folder, const char *part, uint64_t done,
                       uint64_t filetime, enum copy_end end) {
    bool is_of_use = end == COPY_STOPPED || end == COPY_REMOTE || (end == COPY_LOCAL && copy->resume);
    bool is_kept = is_of_use && done > 0;

    if (is_kept && ftruncate(fd, (off_t)done) == 0 && copy_set_time(fd, filetime) == 0)
        note_kept(copy, name, part, done);
    else
        unlinkat(folder, part, 0);
}

/* Cuts the part where the copy begins, and takes what the rest needs from the file system, where that can be had in
 * advance: a disk that is too small says so at once, and what is written out of order does not lie in pieces. */
static int prepare_local_part(int fd, uint64_t start, uint64_t size) {
    if (ftruncate(fd, (off_t)start) < 0)
        return -errno;
    if (size > start && fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)(size - start)) < 0 && errno == ENOSPC)
        return -ENOSPC;
    return 0;
}

/* Reads the open file into the part, and closes the file: did it stay the same? */
static enum copy_end fill_part(struct copy *copy, const struct share_file *file, int fd, const char *name,
                               uint64_t *done) {
    struct ticking ticking = {copy, name, file->status.size};
    struct transfer transfer = {
        .share = copy->share, .file = file, .fd = fd, .size = file->status.size, .tick = tick, .context = &ticking};
    struct file_status after = file->status;
    struct session_error error;
    enum transfer_end end;
    int status;

    *done = transfer.start = start_of(copy, name, fd, &file->status);
    status = prepare_local_part(fd, transfer.start, transfer.size);
    if (status < 0) {
        share_close(copy->share, file, NULL, &error);
        return copy_local(copy, -status);
    }
    end = transfer_get(&transfer);
    *done = transfer.done;
    if (!share_close(copy->share, file, &after, &error) && end == TRANSFER_DONE) {
        copy->error = error;
        return COPY_REMOTE;
    }
    if (end == TRANSFER_DONE && !is_unchanged(&file->status, &after))
        return COPY_CHANGED;
    copy->octets += transfer.done - transfer.start;
    return copy_end_of(copy, &transfer, end);
}

static enum copy_end get_once(struct copy *copy, const char *path, int folder, const char *name) {
    struct session_error ignored;
    char part[NAME_PART_MAX];
    struct share_file file;
    enum copy_end end;
    uint64_t done = 0;
    int fd;

    if (!share_open(copy->share, path, &share_open_to_read, &file, &copy->error))
        return COPY_REMOTE;
    name_of_part(name, part);
    fd = open_part(folder, part);
    if (fd < 0) {
        share_close(copy->share, &file, NULL, &ignored);
        return fd == -EWOULDBLOCK ? COPY_BUSY : copy_local(copy, -fd);
    }
    end = fill_part(copy, &file, fd, name, &done);
    if (end == COPY_DONE)
        end = finish_part(copy, fd, folder, part, name, file.status.last_write_time);
    if (end != COPY_DONE)
        leave_part(copy, name, fd, folder, part, done, file.status.last_write_time, end);
    close(fd);
    return end;
}

static int write_all(int fd, struct span data) {
    while (data.size > 0) {
        ssize_t wrote = write(fd, data.data, data.size);

        if (wrote < 0 && errno != EINTR)
            return -errno;
        if (wrote > 0)
            data = span_slice(data, (size_t)wrote, data.size);
    }
    return 0;
}

enum copy_end copy_store(struct copy *copy, struct span data, int folder, const char *name, uint64_t filetime) {
    char part[NAME_PART_MAX];
    enum copy_end end;
    int fd, status;

    name_of_part(name, part);
    fd = open_part(folder, part);
    if (fd < 0)
        return fd == -EWOULDBLOCK ? COPY_BUSY : copy_local(copy, -fd);
    status = ftruncate(fd, 0) < 0 ? -errno : write_all(fd, data);
    end = status < 0 ? copy_local(copy, -status) : finish_part(copy, fd, folder, part, name, filetime);
    if (end != COPY_DONE)
        unlinkat(folder, part, 0);
    close(fd);
    return end;
}

enum copy_end copy_get(struct copy *copy, const char *path, int folder, const char *name) {
    enum copy_end end = COPY_CHANGED;

    for (unsigned i = 0; i < COPY_TRIES_MAX && end == COPY_CHANGED; i++) {
        if (i > 0)
            copy_note(copy, name, "it changed while it was copied, so it is copied again");
        end = get_once(copy, path, folder, name);
    }
    copy->files += end == COPY_DONE;
    return end;
}

enum copy_end copy_to_stream(struct copy *copy, const char *path, int fd) {
    struct session_error ignored;
    struct file_status after;
    struct share_file file;
    enum transfer_end end;

    if (!share_open(copy->share, path, &share_open_to_read, &file, &copy->error))
        return COPY_REMOTE;
    after = file.status;
    struct ticking ticking = {copy, url_last(path), file.status.size};
    struct transfer transfer = {.share = copy->share,
                                .file = &file,
                                .fd = fd,
                                .is_stream = true,
                                .size = file.status.size,
                                .tick = tick,
                                .context = &ticking};
    end = transfer_get(&transfer);
    share_close(copy->share, &file, &after, &ignored);
    copy->octets += transfer.done;
    if (end == TRANSFER_SHRUNK || (end == TRANSFER_DONE && !is_unchanged(&file.status, &after)))
        return COPY_TORN;
    copy->files += end == TRANSFER_DONE;
    copy->number = transfer.number;
    return end == TRANSFER_LOCAL ? COPY_STREAM : copy_end_of(copy, &transfer, end);
}

/* ---- put ---- */

static struct file_status times_of(const struct copy_source *source) {
    struct file_status times = {0};

    if (!source->is_stream)
        times.last_write_time = filetime_of(&source->status.st_mtim);
    return times;
}

static bool source_is_unchanged(const struct copy_source *source) {
    struct stat now;

    return source->is_stream || (fstat(source->fd, &now) == 0 && now.st_size == source->status.st_size &&
                                 now.st_mtim.tv_sec == source->status.st_mtim.tv_sec &&
                                 now.st_mtim.tv_nsec == source->status.st_mtim.tv_nsec);
}

/* Where to begin, as for start_of(). The time of a part is set before its first octet, and servers let a time that was
 * set stand; what was in flight when its writer vanished may have gaps, and is sent again. */
static bool prepare_part(struct copy *copy, const struct copy_source *source, const struct share_file *part,
                         uint64_t *start) {
    struct file_status times = times_of(source);
    uint64_t size = part->status.size;

    *start = 0;
    if (copy->resume && !source->is_stream && size > 0) {
        bool is_same =
            part->status.last_write_time == times.last_write_time && size <= (uint64_t)source->status.st_size;

        *start = is_same && size > PART_WINDOW ? size - PART_WINDOW : 0;
        if (is_same)
            note_resumed(copy, source->name, *start);
        else
            copy_note(copy, source->name, "what was kept of it is of another version, so it is copied from its start");
    }
    if (size > *start && !share_set_size(copy->share, part, *start, &copy->error))
        return false;
    return source->is_stream || share_set_times(copy->share, part, &times, &copy->error);
}

/* What is left of a copy that did not come to its end; the file is closed. */
static void leave_remote_part(struct copy *copy, const struct copy_source *source, const struct share_file *file,
                              const char *part, uint64_t done, enum copy_end end) {
    struct file_status times = times_of(source);
    bool is_kept = end == COPY_STOPPED && !source->is_stream && done > 0;
    struct session_error ignored;

    if (!session_is_open(copy->share->session)) {
        copy_note(copy, source->name,
                  "the connection is gone; what was sent may be left on the share, under another name");
        return;
    }
    is_kept = is_kept && share_set_size(copy->share, file, done, &ignored) &&
              share_set_times(copy->share, file, &times, &ignored);
    share_close(copy->share, file, NULL, &ignored);
    if (is_kept)
        note_kept(copy, source->name, url_last(part), done);
    else
        share_delete(copy->share, part, false, &ignored);
}

static enum copy_end send_open(struct copy *copy, const struct copy_source *source, const struct share_file *file,
                               const char *path, uint64_t *done) {
    uint64_t total = source->is_stream ? UINT64_MAX : (uint64_t)source->status.st_size;
    struct ticking ticking = {copy, source->name, total};
    struct transfer transfer = {.share = copy->share,
                                .file = file,
                                .fd = source->fd,
                                .is_stream = source->is_stream,
                                .size = total,
                                .tick = tick,
                                .context = &ticking};
    struct file_status times = times_of(source);
    enum transfer_end end;

    if (!prepare_part(copy, source, file, &transfer.start))
        return COPY_REMOTE;
    end = transfer_put(&transfer);
    *done = transfer.done;
    if (end != TRANSFER_DONE)
        return copy_end_of(copy, &transfer, end);
    if (!source_is_unchanged(source))
        return COPY_CHANGED;
    if (!share_finish(copy->share, file, path, &times, &copy->error))
        return COPY_REMOTE;
    copy->octets += transfer.done - transfer.start;
    return COPY_DONE;
}

static bool part_path(const char *path, char part[URL_PATH_MAX]) {
    char parent[URL_PATH_MAX], name[NAME_PART_MAX];

    url_parent(path, parent);
    name_of_part(url_last(path), name);
    return url_join(parent, name, part);
}

static enum copy_end put_long(struct copy *copy, const struct copy_source *source, const char *path) {
    struct share_open how = share_open_to_write(copy->resume && !source->is_stream);
    char part[URL_PATH_MAX];
    struct share_file file;
    enum copy_end end;
    uint64_t done = 0;

    if (!part_path(path, part))
        return copy_local(copy, ENAMETOOLONG);
    if (!share_open(copy->share, part, &how, &file, &copy->error)) {
        bool is_busy = copy->error.kind == SESSION_ERROR_REFUSED && copy->error.status == STATUS_SHARING_VIOLATION;

        return is_busy ? COPY_BUSY : COPY_REMOTE;
    }
    end = send_open(copy, source, &file, path, &done);
    if (end != COPY_DONE)
        leave_remote_part(copy, source, &file, part, done, end);
    return end;
}

/* All of a short file; -EAGAIN where it is not as long as it was. */
static int read_whole(const struct copy_source *source, uint8_t *data, size_t size) {
    size_t at = 0;

    while (at < size) {
        ssize_t got = pread(source->fd, data + at, size - at, (off_t)at);

        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -EAGAIN;
        at += got > 0 ? (size_t)got : 0;
    }
    return source_is_unchanged(source) ? 0 : -EAGAIN;
}

bool copy_is_small(const struct copy *copy, const struct copy_source *source) {
    return !copy->resume && !source->is_stream && source->status.st_size <= (off_t)COPY_SMALL_SIZE;
}

enum copy_end copy_begin_small(struct copy *copy, const struct copy_source *source, const char *path,
                               struct file_task *task, uint8_t **data) {
    size_t size = (size_t)source->status.st_size;
    struct file_status times = times_of(source);
    char part[URL_PATH_MAX];
    int status;

    *data = malloc(size + 1);
    status = *data == NULL ? -ENOMEM : read_whole(source, *data, size);
    if (status == -EAGAIN)
        return COPY_CHANGED;
    if (status < 0)
        return copy_local(copy, -status);
    if (!part_path(path, part))
        return copy_local(copy, ENAMETOOLONG);
    if (!file_task_write(task, part, path, (struct span){*data, size}, &times, &copy->error))
        return COPY_REMOTE;
    return COPY_DONE;
}

static enum copy_end put_small(struct copy *copy, const struct copy_source *source, const char *path) {
    size_t size = (size_t)source->status.st_size;
    struct file_task task;
    uint8_t *data;
    enum copy_end end = copy_begin_small(copy, source, path, &task, &data);

    if (end == COPY_DONE && !file_task_run(copy->share, &task, &copy->error))
        end = COPY_REMOTE;
    free(data);
    if (end != COPY_DONE)
        return end;
    copy->octets += size;
    return copy_goes_on(copy, source->name, size) ? COPY_DONE : COPY_STOPPED;
}

int copy_look(struct copy_source *source) {
    if (fstat(source->fd, &source->status) < 0)
        return -errno;
    if (S_ISDIR(source->status.st_mode))
        return -EISDIR;
    source->is_stream = !S_ISREG(source->status.st_mode);
    return 0;
}

enum copy_end copy_put(struct copy *copy, int fd, const char *name, const char *path) {
    struct copy_source source = {.fd = fd, .name = name};
    enum copy_end end = COPY_CHANGED;

    for (unsigned i = 0; i < COPY_TRIES_MAX && end == COPY_CHANGED; i++) {
        int status = copy_look(&source);

        if (status < 0)
            return copy_local(copy, -status);
        if (i > 0)
            copy_note(copy, name, "it changed while it was copied, so it is copied again");
        end = copy_is_small(copy, &source) ? put_small(copy, &source, path) : put_long(copy, &source, path);
    }
    copy->files += end == COPY_DONE;
    return end;
}
