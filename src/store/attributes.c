#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/directory_parts.h"
#include "wire/bytes.h"

#define DOS_READONLY 0x01u
#define DOS_ARCHIVE  0x20u
#define DOS_SIZE     16u         /* octets: attributes, nanoseconds, seconds */
#define NO_TIME      UINT32_MAX  /* in place of nanoseconds: the file system's own birth time counts */
#define STAT_BLOCK   512u        /* octets of stx_blocks */

/* What the extended attribute XATTR_DOS holds. */
struct dos {
    uint32_t attributes, nanoseconds;
    uint64_t seconds;
};

static struct timespec time_of(struct statx_timestamp stamp) {
    return (struct timespec){.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

/* False: there is none, or the file system has no extended attributes. */
static bool dos_parse(const uint8_t *octets, ssize_t size, struct dos *dos) {
    if (size != DOS_SIZE)
        return false;
    struct reader reader = reader_over((struct span){octets, DOS_SIZE});
    *dos = (struct dos){.attributes = reader_u32(&reader), .nanoseconds = reader_u32(&reader)};
    dos->seconds = reader_u64(&reader);
    return true;
}

static bool dos_get(int fd, struct dos *dos) {
    uint8_t octets[DOS_SIZE];
    return dos_parse(octets, fgetxattr(fd, XATTR_DOS, octets, sizeof octets), dos);
}

static int dos_put(int fd, const struct dos *dos) {
    uint8_t octets[DOS_SIZE];
    struct writer writer = writer_over(octets, sizeof octets);
    writer_u32(&writer, dos->attributes);
    writer_u32(&writer, dos->nanoseconds);
    writer_u64(&writer, dos->seconds);
    return fsetxattr(fd, XATTR_DOS, octets, sizeof octets, 0) < 0 ? -errno : 0;
}

static uint32_t derived_dos(const struct statx *status) {
    bool is_read_only = (status->stx_mode & 0222) == 0;
    return (S_ISDIR(status->stx_mode) ? 0 : DOS_ARCHIVE) | (is_read_only ? DOS_READONLY : 0);
}

static void fill(struct store_attributes *attributes, const struct statx *status, const struct dos *dos) {
    *attributes = (struct store_attributes){
        .id = {makedev(status->stx_dev_major, status->stx_dev_minor), status->stx_ino},
        .is_folder = S_ISDIR(status->stx_mode),
        .dos_attributes = dos != NULL ? dos->attributes : derived_dos(status),
        .links = status->stx_nlink,
        .size = S_ISDIR(status->stx_mode) ? 0 : status->stx_size,
        .allocated = S_ISDIR(status->stx_mode) ? 0 : status->stx_blocks * STAT_BLOCK,
        .accessed = time_of(status->stx_atime),
        .written = time_of(status->stx_mtime),
        .changed = time_of(status->stx_ctime),
    };
    if (dos != NULL && dos->nanoseconds != NO_TIME)
        attributes->created = (struct timespec){(time_t)dos->seconds, dos->nanoseconds};
    else if ((status->stx_mask & STATX_BTIME) != 0)
        attributes->created = time_of(status->stx_btime);
    else
        attributes->created = attributes->written;
}

int attributes_get(int fd, struct store_attributes *attributes) {
    struct statx status;
    struct dos dos;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return -errno;
    fill(attributes, &status, dos_get(fd, &dos) ? &dos : NULL);
    return 0;
}

/* A link shows what it leads to, where that is beneath the root. */
static int link_attributes(const struct directory *directory, int folder, const char *name,
                           struct store_attributes *attributes) {
    char disk[STORE_PATH_MAX];
    int result = descriptor_path(directory, folder, disk);
    size_t size = result == 0 ? strlen(disk) : 0;
    if (result < 0 || size + strlen(name) + 2 > sizeof disk)
        return result < 0 ? result : -ENAMETOOLONG;
    snprintf(disk + size, sizeof disk - size, "%s%s", size > 0 ? "/" : "", name);
    int fd = beneath_open(directory, disk, O_PATH, 0, 0);
    if (fd < 0)
        return fd;
    struct statx status;
    result = statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) < 0 ? -errno : 0;
    if (result == 0 && !S_ISDIR(status.stx_mode) && !S_ISREG(status.stx_mode))
        result = -ENOENT;
    if (result == 0)
        fill(attributes, &status, NULL);
    close(fd);
    return result;
}

int attributes_at(const struct directory *directory, int folder, const char *name, struct store_attributes *attributes) {
    struct statx status;
    struct dos dos;
    uint8_t octets[DOS_SIZE];
    char path[64 + NAME_MAX];
    if (statx(folder, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return -errno;
    if (S_ISLNK(status.stx_mode))
        return link_attributes(directory, folder, name, attributes);
    if (!S_ISDIR(status.stx_mode) && !S_ISREG(status.stx_mode))
        return -ENOENT;
    /* There is no getxattrat() before Linux 6.13. */
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name);
    ssize_t size = lgetxattr(path, XATTR_DOS, octets, sizeof octets);
    fill(attributes, &status, dos_parse(octets, size, &dos) ? &dos : NULL);
    return 0;
}

static int dos_set(int fd, unsigned set, const struct store_attributes *attributes) {
    struct dos dos;
    if ((set & (STORE_SET_DOS | STORE_SET_CREATED)) == 0)
        return 0;
    if (!dos_get(fd, &dos)) {
        struct store_attributes now;
        int result = attributes_get(fd, &now);
        if (result < 0)
            return result;
        dos = (struct dos){.attributes = now.dos_attributes, .nanoseconds = NO_TIME};
    }
    if ((set & STORE_SET_DOS) != 0)
        dos.attributes = attributes->dos_attributes;
    if ((set & STORE_SET_CREATED) != 0) {
        dos.seconds = (uint64_t)attributes->created.tv_sec;
        dos.nanoseconds = (uint32_t)attributes->created.tv_nsec;
    }
    return dos_put(fd, &dos);
}

/* The time of change is the kernel's and cannot be set. Where the file system has no extended attributes, attributes and
 * creation time stay derived: no error, since clients set them on every copy. */
int attributes_set(int fd, unsigned set, const struct store_attributes *attributes) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    int result = dos_set(fd, set, attributes);
    if (result < 0 && result != -EOPNOTSUPP)
        return result;
    if ((set & STORE_SET_ACCESSED) != 0)
        times[0] = attributes->accessed;
    if ((set & STORE_SET_WRITTEN) != 0)
        times[1] = attributes->written;
    bool has_times = (set & (STORE_SET_ACCESSED | STORE_SET_WRITTEN)) != 0;
    return has_times && futimens(fd, times) < 0 ? -errno : 0;
}

static void attribute_get(struct store_op *op, const char *attribute) {
    ssize_t size = fgetxattr(op->file->fd, attribute, NULL, 0);
    if (size >= 0 && (uint64_t)size <= op->size)
        size = fgetxattr(op->file->fd, attribute, op->data, op->size);
    else if (size >= 0) {
        op->size = (uint64_t)size;
        op->result = -ERANGE;
        return;
    }
    op->result = size >= 0 ? size : errno == EOPNOTSUPP ? -ENODATA : -errno;
}

void security_work(struct directory *directory, struct store_op *op) {
    (void)directory;
    if (op->kind == STORE_SECURITY_GET)
        attribute_get(op, XATTR_SECURITY);
    else if (op->size > STORE_STREAM_MAX)
        op->result = -E2BIG;
    else
        op->result = fsetxattr(op->file->fd, XATTR_SECURITY, op->data, op->size, 0) < 0 ? -errno : 0;
}

static bool is_own(const char *attribute) {
    return strncmp(attribute, XATTR_OWN, strlen(XATTR_OWN)) == 0;
}

static int attribute_name(const struct store_op *op, char attribute[XATTR_NAME_SIZE]) {
    int size = snprintf(attribute, XATTR_NAME_SIZE, "user.%s", op->name);
    if (size < 0 || (size_t)size >= XATTR_NAME_SIZE)
        return -ENAMETOOLONG;
    return op->name[0] == '\0' || is_own(attribute) ? -EINVAL : 0;
}

static void attribute_list(struct store_op *op) {
    char *names = malloc(XATTR_LIST_SIZE);
    ssize_t size = names == NULL ? -1 : flistxattr(op->file->fd, names, XATTR_LIST_SIZE);
    op->result = size < 0 ? (errno == EOPNOTSUPP ? 0 : -errno) : 0;
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        if (strncmp(name, "user.", 5) != 0 || is_own(name))
            continue;
        ssize_t octets = fgetxattr(op->file->fd, name, NULL, 0);
        struct store_attributes attributes = {.size = octets > 0 ? (uint64_t)octets : 0};
        if (!op->entry(op, name + 5, &attributes))
            break;
        op->result++;
    }
    free(names);
}

void xattr_work(struct directory *directory, struct store_op *op) {
    char attribute[XATTR_NAME_SIZE];
    (void)directory;
    if (op->kind == STORE_XATTR_LIST) {
        attribute_list(op);
        return;
    }
    op->result = attribute_name(op, attribute);
    if (op->result < 0)
        return;
    if (op->kind == STORE_XATTR_GET)
        attribute_get(op, attribute);
    else if (op->size > STORE_STREAM_MAX)
        op->result = -E2BIG;
    else if (op->size == 0)
        op->result = fremovexattr(op->file->fd, attribute) < 0 && errno != ENODATA ? -errno : 0;
    else
        op->result = fsetxattr(op->file->fd, attribute, op->data, op->size, 0) < 0 ? -errno : 0;
}
