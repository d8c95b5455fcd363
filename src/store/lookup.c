#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/directory_parts.h"

static int open_below(int folder, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .mode = mode,
        .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
    if (fd >= 0)
        return (int)fd;
    /* EAGAIN without RESOLVE_CACHED: a rename went on meanwhile, and the kernel could not be sure. */
    return errno == EXDEV ? -EACCES : -errno;
}

int beneath_open(const struct directory *directory, const char *disk, uint64_t flags, uint64_t mode, uint64_t resolve) {
    const char *path = disk[0] != '\0' ? disk : ".";
    int fd = -EAGAIN;
    unsigned attempts = (resolve & RESOLVE_CACHED) != 0 ? 1 : DIRECTORY_ATTEMPTS_MAX;
    for (unsigned i = 0; i < attempts && fd == -EAGAIN; i++)
        fd = open_below(directory->root, path, flags, mode, resolve);
    return fd;
}

int parent_open(const struct directory *directory, const char *disk, const char **name) {
    char parent[STORE_PATH_MAX];
    const char *slash = strrchr(disk, '/');
    size_t size = slash != NULL ? (size_t)(slash - disk) : 0;
    memcpy(parent, disk, size);
    parent[size] = '\0';
    *name = slash != NULL ? slash + 1 : disk;
    return beneath_open(directory, parent, O_PATH | O_DIRECTORY, 0, 0);
}

/* Replaces the component at `at` by the name that the folder before it has for it. In a folder that may not be listed only
 * the name as it is can be found. */
static int component_find(struct directory *directory, char disk[STORE_PATH_MAX], size_t at, size_t size) {
    char name[NAME_MAX + 1], found[NAME_MAX + 1], parent[STORE_PATH_MAX];
    struct stat status;
    if (size > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, disk + at, size);
    name[size] = '\0';
    memcpy(parent, disk, at);
    parent[at] = '\0';
    int folder = beneath_open(directory, parent, O_RDONLY | O_DIRECTORY, 0, 0);
    bool may_list = folder != -EACCES;
    if (!may_list)
        folder = beneath_open(directory, parent, O_PATH | O_DIRECTORY, 0, 0);
    if (folder < 0)
        return folder;
    int result = fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
    if (result == -ENOENT && may_list && !directory->settings.case_sensitive) {
        result = index_find(directory->index, folder, name, found);
        size_t tail = strlen(disk + at + size) + 1, length = result == 0 ? strlen(found) : 0;
        if (result == 0 && at + length + tail > STORE_PATH_MAX)
            result = -ENAMETOOLONG;
        if (result == 0) {
            memmove(disk + at + length, disk + at + size, tail);
            memcpy(disk + at, found, length);
        }
    }
    close(folder);
    return result;
}

/* Where the folder before the last name is there as it was asked for, only that name is looked for. */
static size_t lookup_start(const struct directory *directory, const char *disk) {
    const char *name;
    int parent = strchr(disk, '/') != NULL ? parent_open(directory, disk, &name) : -ENOENT;
    if (parent < 0)
        return 0;
    close(parent);
    return (size_t)(name - disk);
}

int lookup(struct directory *directory, char disk[STORE_PATH_MAX], bool *path_missing) {
    for (size_t at = lookup_start(directory, disk); disk[at] != '\0';) {
        size_t size = strcspn(disk + at, "/");
        bool is_last = disk[at + size] == '\0';
        int result = component_find(directory, disk, at, size);
        if (result < 0) {
            *path_missing = !is_last && (result == -ENOENT || result == -ENOTDIR);
            return *path_missing ? -ENOENT : result;
        }
        at += strcspn(disk + at, "/");
        at += disk[at] == '/';
    }
    return 0;
}

static int descriptor_name(int fd, char name[STORE_PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, name, STORE_PATH_MAX - 1);
    if (size < 0)
        return -errno;
    if (size == STORE_PATH_MAX - 1)
        return -ENAMETOOLONG;
    name[size] = '\0';
    return (int)size;
}

/* "name (deleted)" can be a name; only what is found under it tells. */
static bool is_at(const struct directory *directory, int fd, const char *disk) {
    struct stat ours, there;
    int opened = beneath_open(directory, disk, O_PATH | O_NOFOLLOW, 0, 0);
    if (opened < 0)
        return false;
    bool is_same = fstat(fd, &ours) == 0 && fstat(opened, &there) == 0 && ours.st_ino == there.st_ino &&
                   ours.st_dev == there.st_dev;
    close(opened);
    return is_same;
}

int descriptor_path(const struct directory *directory, int fd, char disk[STORE_PATH_MAX]) {
    char root[STORE_PATH_MAX], path[STORE_PATH_MAX];
    int root_size = descriptor_name(directory->root, root), size = descriptor_name(fd, path);
    if (root_size < 0 || size < 0)
        return root_size < 0 ? root_size : size;
    root_size -= root_size == 1; /* "/" */
    if (size < root_size || memcmp(root, path, (size_t)root_size) != 0)
        return -ENOENT;
    const char *below = path + root_size;
    if (*below != '\0' && *below != '/')
        return -ENOENT;
    strcpy(disk, below + (*below == '/'));
    return is_at(directory, fd, disk) ? 0 : -ENOENT;
}
