#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/directory_parts.h"
#include "wire/bytes.h"

#define DOS_READONLY     0x01u
#define DOS_ARCHIVE      0x20u
#define DOS_SIZE         16u        /* octets: attributes, nanoseconds, seconds */
#define DOS_SIZE_CHANGED 40u        /* and the time of change that was set, and when it was set */
#define NO_TIME          UINT32_MAX /* in place of nanoseconds: the file system's own birth time counts */
#define STAT_BLOCK       512u       /* octets of stx_blocks */
/* A time of change that was set counts until the file changes again. Setting it is itself a change, which the kernel notes
 * with its own clock; whatever it notes within this time afterwards is taken for that one. */
#define CHANGED_SETTLES_S 1

/* getxattrat() of Linux 6.13, which the C library does not know yet; it costs less than half of a path through /proc. Calls
 * that came since 5.1 have the same distance from each other on all architectures. */
#define GETXATTRAT (SYS_openat2 + 27)

struct getxattrat_room {
    uint64_t value; /* address */
    uint32_t size, flags;
};

/* What the extended attribute XATTR_DOS holds. */
struct dos {
    uint32_t attributes;
    struct timespec created;  /* tv_nsec NO_TIME: none */
    struct timespec changed;  /* tv_nsec NO_TIME: none was set */
    struct timespec noted;    /* when `changed` was set */
};

static struct timespec time_of(struct statx_timestamp stamp) {
    return (struct timespec){.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

static struct timespec time_take(struct reader *reader) {
    uint32_t nanoseconds = reader_u32(reader);
    return (struct timespec){.tv_nsec = nanoseconds, .tv_sec = (time_t)reader_u64(reader)};
}

static void time_put(struct writer *writer, struct timespec time) {
    writer_u32(writer, (uint32_t)time.tv_nsec);
    writer_u64(writer, (uint64_t)time.tv_sec);
}

/* False: there is none, or the file system has no extended attributes. */
static bool dos_parse(const uint8_t *octets, ssize_t size, struct dos *dos) {
    if (size != DOS_SIZE && size != DOS_SIZE_CHANGED)
        return false;
    struct reader reader = reader_over((struct span){octets, (size_t)size});
    *dos = (struct dos){.attributes = reader_u32(&reader), .changed.tv_nsec = NO_TIME};
    dos->created = time_take(&reader);
    if (size == DOS_SIZE_CHANGED) {
        dos->changed = time_take(&reader);
        dos->noted = time_take(&reader);
    }
    return true;
}

static bool dos_get(int fd, struct dos *dos) {
    uint8_t octets[DOS_SIZE_CHANGED];
    return dos_parse(octets, fgetxattr(fd, XATTR_DOS, octets, sizeof octets), dos);
}

/* All at once, so that nobody ever finds a part of it. */
static int dos_put(int fd, const struct dos *dos) {
    uint8_t octets[DOS_SIZE_CHANGED];
    struct writer writer = writer_over(octets, sizeof octets);
    writer_u32(&writer, dos->attributes);
    time_put(&writer, dos->created);
    if (dos->changed.tv_nsec != NO_TIME) {
        time_put(&writer, dos->changed);
        time_put(&writer, dos->noted);
    }
    return fsetxattr(fd, XATTR_DOS, octets, writer.at, 0) < 0 ? -errno : 0;
}

static uint32_t derived_dos(const struct statx *status) {
    bool is_read_only = (status->stx_mode & 0222) == 0;
    return (S_ISDIR(status->stx_mode) ? 0 : DOS_ARCHIVE) | (is_read_only ? DOS_READONLY : 0);
}

static bool is_settled(struct timespec changed, struct timespec noted) {
    noted.tv_sec += CHANGED_SETTLES_S;
    return changed.tv_sec < noted.tv_sec || (changed.tv_sec == noted.tv_sec && changed.tv_nsec <= noted.tv_nsec);
}

static void fill(struct store_attributes *attributes, const struct statx *status, const struct dos *dos) {
    *attributes = (struct store_attributes){
        .id = {makedev(status->stx_dev_major, status->stx_dev_minor), status->stx_ino},
        .is_folder = S_ISDIR(status->stx_mode),
        .dos_attributes = dos != NULL ? dos->attributes : derived_dos(status),
        .links = status->stx_nlink,
        .mode = status->stx_mode & 07777u,
        .user = status->stx_uid,
        .group = status->stx_gid,
        .size = S_ISDIR(status->stx_mode) ? 0 : status->stx_size,
        .allocated = S_ISDIR(status->stx_mode) ? 0 : status->stx_blocks * STAT_BLOCK,
        .accessed = time_of(status->stx_atime),
        .written = time_of(status->stx_mtime),
        .changed = time_of(status->stx_ctime),
    };
    if (dos != NULL && dos->created.tv_nsec != NO_TIME)
        attributes->created = dos->created;
    else if ((status->stx_mask & STATX_BTIME) != 0)
        attributes->created = time_of(status->stx_btime);
    else
        attributes->created = attributes->written;
    if (dos != NULL && dos->changed.tv_nsec != NO_TIME && is_settled(attributes->changed, dos->noted))
        attributes->changed = dos->changed;
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

/* Of XATTR_DOS of a name in a folder: octets, or -1. */
static ssize_t dos_octets_at(struct directory *directory, int folder, const char *name, uint8_t octets[DOS_SIZE_CHANGED]) {
    char path[64 + NAME_MAX];
    if (!atomic_load_explicit(&directory->lacks_getxattrat, memory_order_relaxed)) {
        struct getxattrat_room room = {.value = (uint64_t)(uintptr_t)octets, .size = DOS_SIZE_CHANGED};
        long size = syscall(GETXATTRAT, folder, name, AT_SYMLINK_NOFOLLOW, XATTR_DOS, &room, sizeof room);
        if (size >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: what a filter of system calls does not know */
            return size;
        atomic_store_explicit(&directory->lacks_getxattrat, true, memory_order_relaxed);
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name);
    return lgetxattr(path, XATTR_DOS, octets, DOS_SIZE_CHANGED);
}

int attributes_at(struct directory *directory, int folder, const char *name, struct store_attributes *attributes) {
    struct statx status;
    struct dos dos;
    uint8_t octets[DOS_SIZE_CHANGED];
    if (statx(folder, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return -errno;
    if (S_ISLNK(status.stx_mode))
        return link_attributes(directory, folder, name, attributes);
    if (!S_ISDIR(status.stx_mode) && !S_ISREG(status.stx_mode))
        return -ENOENT;
    ssize_t size = dos_octets_at(directory, folder, name, octets);
    fill(attributes, &status, dos_parse(octets, size, &dos) ? &dos : NULL);
    return 0;
}

static int dos_set(int fd, unsigned set, const struct store_attributes *attributes) {
    struct dos dos;
    if ((set & (STORE_SET_DOS | STORE_SET_CREATED | STORE_SET_CHANGED)) == 0)
        return 0;
    if (!dos_get(fd, &dos)) {
        struct store_attributes now;
        int result = attributes_get(fd, &now);
        if (result < 0)
            return result;
        dos = (struct dos){.attributes = now.dos_attributes, .created.tv_nsec = NO_TIME, .changed.tv_nsec = NO_TIME};
    }
    if ((set & STORE_SET_DOS) != 0)
        dos.attributes = attributes->dos_attributes;
    if ((set & STORE_SET_CREATED) != 0)
        dos.created = attributes->created;
    if ((set & STORE_SET_CHANGED) != 0) {
        dos.changed = attributes->changed;
        clock_gettime(CLOCK_REALTIME, &dos.noted);
    }
    return dos_put(fd, &dos);
}

/* Where the file system has no extended attributes, attributes, creation time and time of change stay what they are: no
 * error, since clients set them on every copy. */
int attributes_set(int fd, unsigned set, const struct store_attributes *attributes) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    if ((set & STORE_SET_ACCESSED) != 0)
        times[0] = attributes->accessed;
    if ((set & STORE_SET_WRITTEN) != 0)
        times[1] = attributes->written;
    bool has_times = (set & (STORE_SET_ACCESSED | STORE_SET_WRITTEN)) != 0;
    if (has_times && futimens(fd, times) < 0)
        return -errno;
    int result = dos_set(fd, set, attributes); /* last, so that no change by us comes after a time of change */
    return result == -EOPNOTSUPP ? 0 : result;
}

int sparse_set(int fd, bool sparse) {
    struct store_attributes attributes;
    int result = attributes_get(fd, &attributes);
    uint32_t wanted = (attributes.dos_attributes & ~DOS_SPARSE) | (sparse ? DOS_SPARSE : 0);
    if (result < 0 || wanted == attributes.dos_attributes)
        return result;
    attributes.dos_attributes = wanted;
    return dos_set(fd, STORE_SET_DOS, &attributes);
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

/* Extended attributes: the file system has none, or the file was opened for a glance only. */
static bool has_none(int error) {
    return error == EOPNOTSUPP || error == EBADF;
}

int security_get(int fd, uint8_t **security, size_t *security_size) {
    ssize_t size = fgetxattr(fd, XATTR_SECURITY, NULL, 0);
    *security = size > 0 ? malloc((size_t)size) : NULL;
    if (size <= 0)
        return size == 0 || errno == ENODATA || has_none(errno) ? 0 : -errno;
    if (*security == NULL)
        return -ENOMEM;
    size = fgetxattr(fd, XATTR_SECURITY, *security, (size_t)size);
    *security_size = size > 0 ? (size_t)size : 0;
    if (size > 0)
        return 0;
    int result = size < 0 ? -errno : -EIO;
    free(*security);
    *security = NULL;
    return result;
}

/* Of the folder that the file has its name in. */
static int folder_security(struct directory *directory, struct store_op *op) {
    char disk[STORE_PATH_MAX];
    int result = descriptor_path(directory, op->file->fd, disk);
    if (result < 0)
        return result;
    char *slash = strrchr(disk, '/');
    *(slash != NULL ? slash : disk) = '\0';
    int folder = beneath_open(directory, disk, O_RDONLY | O_DIRECTORY, 0, 0);
    if (folder < 0)
        return folder;
    result = security_get(folder, &op->security, &op->security_size);
    close(folder);
    return result;
}

void security_work(struct directory *directory, struct store_op *op) {
    if (op->kind == STORE_SECURITY_GET)
        op->security = NULL;
    if (op->kind == STORE_SECURITY_GET && op->of_folder)
        op->result = folder_security(directory, op);
    else if (op->kind == STORE_SECURITY_GET)
        op->result = security_get(op->file->fd, &op->security, &op->security_size);
    else if (op->size > STORE_STREAM_MAX)
        op->result = -E2BIG;
    else
        op->result = fsetxattr(op->file->fd, XATTR_SECURITY, op->data, op->size, 0) < 0 ? -errno : 0;
}

#define USER_SIZE (sizeof "user." - 1)

static bool is_own(const char *attribute) {
    return strncmp(attribute, XATTR_OWN, strlen(XATTR_OWN)) == 0;
}

static int attribute_name(const struct store_op *op, char attribute[XATTR_NAME_SIZE]) {
    int size = snprintf(attribute, XATTR_NAME_SIZE, "user.%s", op->name);
    if (size < 0 || (size_t)size >= XATTR_NAME_SIZE)
        return -ENAMETOOLONG;
    return op->name[0] == '\0' || is_own(attribute) ? -EINVAL : 0;
}

/* Attributes whose value goes while it is looked at are left out. */
static bool attribute_deliver(struct store_op *op, const char *name, uint8_t *value) {
    ssize_t size = fgetxattr(op->file->fd, name, value, STORE_STREAM_MAX);
    struct store_attributes attributes = {.size = size > 0 ? (uint64_t)size : 0};
    if (size < 0)
        return true;
    op->data = value;
    op->size = (uint64_t)size;
    if (!op->entry(op, name + USER_SIZE, &attributes))
        return false;
    op->result++;
    return true;
}

static void attribute_list(struct store_op *op) {
    char *names = malloc(XATTR_LIST_SIZE);
    uint8_t *value = NULL;
    ssize_t size = names == NULL ? -1 : flistxattr(op->file->fd, names, XATTR_LIST_SIZE);
    op->result = names == NULL ? -ENOMEM : size < 0 && !has_none(errno) ? -errno : 0;
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        if (strncmp(name, "user.", USER_SIZE) != 0 || is_own(name))
            continue;
        if (value == NULL && (value = malloc(STORE_STREAM_MAX)) == NULL) {
            op->result = -ENOMEM;
            break;
        }
        if (!attribute_deliver(op, name, value))
            break;
    }
    free(value);
    free(names);
    op->data = NULL;
}

/* The attribute that has this name without regard to case, as clients have it; else the name as it is. */
static void attribute_match(int fd, char attribute[XATTR_NAME_SIZE]) {
    char *names = malloc(XATTR_LIST_SIZE);
    ssize_t size = names == NULL ? -1 : flistxattr(fd, names, XATTR_LIST_SIZE);
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1)
        if (strncmp(name, "user.", USER_SIZE) == 0 && name_equal(name, attribute)) {
            strcpy(attribute, name);
            break;
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
    attribute_match(op->file->fd, attribute);
    if (op->kind == STORE_XATTR_GET)
        attribute_get(op, attribute);
    else if (op->size > STORE_STREAM_MAX)
        op->result = -E2BIG;
    else if (op->size == 0)
        op->result = fremovexattr(op->file->fd, attribute) < 0 && errno != ENODATA ? -errno : 0;
    else
        op->result = fsetxattr(op->file->fd, attribute, op->data, op->size, 0) < 0 ? -errno : 0;
}
