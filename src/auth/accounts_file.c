#include "auth/accounts_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "auth/accounts_line.h"
#include "crypto/crypto.h"
#include "wire/text.h"

/* Octets of the longest line that is written. */
#define LINE_MAX_SIZE (AUTH_NAME_MAX + 2 * AUTH_NT_HASH_SIZE + sizeof "::disabled\n")

/* ---- reading ---- */

void accounts_content_free(struct accounts_content *content) {
    if (content->data != NULL)
        crypto_wipe(content->data, content->size);
    free(content->data);
    *content = (struct accounts_content){0};
}

static int read_whole(int file, uint8_t *data, size_t size) {
    size_t at = 0;

    while (at < size) {
        ssize_t got = read(file, data + at, size - at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG; /* it became shorter meanwhile */
        at += (size_t)got;
    }
    return 0;
}

static int check_status(const struct stat *status) {
    if (!S_ISREG(status->st_mode))
        return -EINVAL;
    if ((status->st_mode & (S_IRWXG | S_IRWXO | S_IXUSR)) != 0 ||
        (status->st_uid != geteuid() && status->st_uid != 0))
        return -EACCES;
    return status->st_size > (off_t)ACCOUNTS_FILE_MAX ? -EFBIG : 0;
}

int accounts_content_read(int file, struct accounts_content *content) {
    int result = fstat(file, &content->status) != 0 ? -errno : check_status(&content->status);

    if (result != 0)
        return result;
    content->size = (size_t)content->status.st_size;
    content->data = malloc(content->size + 1);
    return content->data == NULL ? -ENOMEM : read_whole(file, content->data, content->size);
}

int accounts_content_open(const char *path, struct accounts_content *content) {
    int result, file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (file < 0)
        return -errno;
    result = accounts_content_read(file, content);
    close(file);
    return result;
}

const char *accounts_content_wrong(int error) {
    switch (error) {
    case -EACCES:
        return "the file cannot be read, or others than its owner have access to it (chmod 600), "
               "or it belongs to somebody else";
    case -EFBIG:
        return "the file is too large";
    case -EINVAL:
        return "this is no ordinary file";
    default:
        return strerror(-error);
    }
}

/* ---- one change ---- */

static int say(char problem[ACCOUNTS_PROBLEM_MAX], int error, const char *text) {
    snprintf(problem, ACCOUNTS_PROBLEM_MAX, "%s", text);
    return error;
}

static void put_account(struct writer *writer, struct span name,
                        const uint8_t nt_hash[AUTH_NT_HASH_SIZE], bool disabled) {
    static const char digits[] = "0123456789ABCDEF";

    writer_put(writer, name);
    writer_u8(writer, ':');
    for (size_t i = 0; i < AUTH_NT_HASH_SIZE; i++) {
        writer_u8(writer, (uint8_t)digits[nt_hash[i] >> 4]);
        writer_u8(writer, (uint8_t)digits[nt_hash[i] & 15]);
    }
    writer_put(writer, text_span(disabled ? ":disabled\n" : ":\n"));
}

/* The account's new line; nothing where it is deleted. */
static void put_changed(struct writer *writer, const struct account_line *line,
                        const struct accounts_change *change) {
    bool disabled =
        change->kind == ACCOUNT_DISABLE || (change->kind == ACCOUNT_SET && line->disabled);

    if (change->kind != ACCOUNT_DELETE)
        put_account(writer, line->name,
                    change->kind == ACCOUNT_SET ? change->nt_hash : line->nt_hash, disabled);
}

/* Copies the file with the change; `found` where the account was there. */
static int put_file(struct span old, const struct accounts_change *change, struct writer *writer,
                    bool *found, char problem[ACCOUNTS_PROBLEM_MAX]) {
    struct span user = text_span(change->user);
    struct reader reader = reader_over(old);

    for (size_t number = 1; reader_left(&reader) > 0; number++) {
        struct span text = account_text_until(&reader, '\n');
        struct account_line line;

        account_line_parse(text, &line);
        if (line.kind == ACCOUNT_LINE_WRONG) {
            snprintf(problem, ACCOUNTS_PROBLEM_MAX, "line %zu: %s", number, line.wrong);
            return -EBADMSG;
        }
        if (line.kind == ACCOUNT_LINE_USER && account_name_equal(line.name, user)) {
            *found = true;
            put_changed(writer, &line, change);
        } else {
            writer_put(writer, text);
            writer_u8(writer, '\n');
        }
        crypto_wipe(line.nt_hash, sizeof line.nt_hash);
    }
    return 0;
}

static int apply(struct span old, const struct accounts_change *change, struct writer *writer,
                 char problem[ACCOUNTS_PROBLEM_MAX]) {
    bool found = false;
    int result = put_file(old, change, writer, &found, problem);

    if (result != 0)
        return result;
    if (!found && change->kind != ACCOUNT_SET)
        return say(problem, -ENOENT, "there is no such user");
    if (!found)
        put_account(writer, text_span(change->user), change->nt_hash, false);
    return writer->failed ? say(problem, -EFBIG, "the file is too large") : 0;
}

/* ---- the file's place ---- */

static int write_whole(int file, struct span bytes) {
    while (bytes.size > 0) {
        ssize_t put = write(file, bytes.data, bytes.size);

        if (put < 0 && errno != EINTR)
            return -errno;
        if (put > 0)
            bytes = span_slice(bytes, (size_t)put, bytes.size);
    }
    return fsync(file) != 0 ? -errno : 0;
}

/* So that the new name outlives a loss of power. */
static int sync_folder(const char *path) {
    char folder[PATH_MAX];
    char *slash;
    int file, result;

    snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    assert(slash != NULL); /* the path is absolute */
    slash[slash == folder] = '\0';
    file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    result = fsync(file) != 0 ? -errno : 0;
    close(file);
    return result;
}

/* mkostemp() gives mode 0600. */
static int replace(const char *path, const struct stat *old, struct span bytes) {
    char fresh[PATH_MAX];
    int size = snprintf(fresh, sizeof fresh, "%s.XXXXXX", path), file, result;

    if (size < 0 || (size_t)size >= sizeof fresh)
        return -ENAMETOOLONG;
    file = mkostemp(fresh, O_CLOEXEC);
    if (file < 0)
        return -errno;
    result = write_whole(file, bytes);
    if (result == 0 && old->st_uid != geteuid() && fchown(file, old->st_uid, old->st_gid) != 0)
        result = -errno;
    close(file);
    if (result == 0 && rename(fresh, path) != 0)
        result = -errno;
    if (result != 0)
        unlink(fresh);
    return result == 0 ? sync_folder(path) : result;
}

/* Opens and locks what is at the path now; whoever waited for the lock may hold what was replaced.
 */
static int open_locked(const char *path, bool create) {
    struct stat held, there;

    for (;;) {
        int file = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (create ? O_CREAT : 0),
                        S_IRUSR | S_IWUSR);

        if (file < 0)
            return -errno;
        if (flock(file, LOCK_EX) == 0 && fstat(file, &held) == 0 && stat(path, &there) == 0 &&
            held.st_dev == there.st_dev && held.st_ino == there.st_ino)
            return file;
        close(file);
    }
}

static int change_locked(int file, const char *path, const struct accounts_change *change,
                         char problem[ACCOUNTS_PROBLEM_MAX]) {
    struct accounts_content content = {0};
    int result = accounts_content_read(file, &content);
    size_t room = content.size + 2 * LINE_MAX_SIZE;
    uint8_t *data = result == 0 ? malloc(room) : NULL;
    struct writer writer = writer_over(data, room);

    if (result != 0) {
        say(problem, result, accounts_content_wrong(result));
    } else if (data == NULL) {
        result = say(problem, -ENOMEM, "no memory");
    } else {
        result = apply((struct span){content.data, content.size}, change, &writer, problem);
        if (result == 0) {
            result = replace(path, &content.status, writer_done(&writer));
            if (result != 0)
                say(problem, result, strerror(-result));
        }
        crypto_wipe(data, room);
    }
    free(data);
    accounts_content_free(&content);
    return result;
}

int accounts_change(const char *path, const struct accounts_change *change,
                    char problem[ACCOUNTS_PROBLEM_MAX]) {
    const char *wrong = account_name_wrong(text_span(change->user));
    int file, result;
    char *place;

    problem[0] = '\0';
    if (wrong != NULL)
        return say(problem, -EINVAL, wrong);
    file = open_locked(path, change->kind == ACCOUNT_SET);
    if (file < 0)
        return say(problem, file, strerror(-file));
    place = realpath(path, NULL); /* what a link points to is replaced, and not the link */
    result = place == NULL ? say(problem, -errno, strerror(errno))
                           : change_locked(file, place, change, problem);
    free(place);
    close(file);
    return result;
}
