/* Which name of a folder equals another without regard to case.
 *
 * The names of folders that were asked about are kept, and kept right by inotify: the kernel queues an event before the
 * call that made or removed a name returns, so that reading the queue before each look finds all that is done. What cannot
 * be watched (the limits of the kernel, file systems that others change behind its back) is read anew each time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/directory_parts.h"

/* Folders and names that are kept at most, of one share; the folders that were asked about longest ago go first. A name
 * takes about 48 octets. */
#define INDEX_FOLDERS_MAX 256u
#define INDEX_NAMES_MAX   1000000u
#define INDEX_BUCKETS_MIN 64u
#define INDEX_EVENTS_SIZE 16384u /* octets read in one go */
#define INDEX_EVENTS      (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

struct entry {
    struct entry *next;
    uint32_t hash;
    char name[];
};

struct folder {
    dev_t device;
    ino_t inode;
    int watch;
    uint64_t used; /* when, in looks */
    struct entry **buckets;
    uint32_t bucket_count, count;
};

struct name_index {
    pthread_mutex_t lock;
    int events; /* inotify; -1: nothing can be watched */
    uint64_t looks;
    uint32_t folder_count, name_count;
    struct folder folders[INDEX_FOLDERS_MAX];
};

struct name_index *index_new(void) {
    struct name_index *index = calloc(1, sizeof *index);
    if (index == NULL)
        return NULL;
    pthread_mutex_init(&index->lock, NULL);
    index->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return index;
}

static void names_drop(struct name_index *index, struct folder *folder) {
    for (uint32_t i = 0; i < folder->bucket_count; i++)
        for (struct entry *entry = folder->buckets[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            free(entry);
        }
    free(folder->buckets);
    index->name_count -= folder->count;
}

static void folder_drop(struct name_index *index, struct folder *folder) {
    inotify_rm_watch(index->events, folder->watch);
    names_drop(index, folder);
    *folder = index->folders[--index->folder_count];
}

void index_free(struct name_index *index) {
    while (index->folder_count > 0)
        folder_drop(index, &index->folders[0]);
    if (index->events >= 0)
        close(index->events);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

/* ---- names of a folder ---- */

static struct entry **place_of(struct folder *folder, const char *name, uint32_t hash) {
    struct entry **place = &folder->buckets[hash & (folder->bucket_count - 1)];
    while (*place != NULL && ((*place)->hash != hash || strcmp((*place)->name, name) != 0))
        place = &(*place)->next;
    return place;
}

static bool buckets_grow(struct folder *folder) {
    uint32_t count = folder->bucket_count > 0 ? 2 * folder->bucket_count : INDEX_BUCKETS_MIN;
    struct entry **buckets = calloc(count, sizeof(struct entry *));
    if (buckets == NULL)
        return false;
    for (uint32_t i = 0; i < folder->bucket_count; i++)
        for (struct entry *entry = folder->buckets[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash & (count - 1)];
            buckets[entry->hash & (count - 1)] = entry;
        }
    free(folder->buckets);
    folder->buckets = buckets;
    folder->bucket_count = count;
    return true;
}

/* False: no memory, or INDEX_NAMES_MAX are kept. */
static bool name_add(struct name_index *index, struct folder *folder, const char *name) {
    uint32_t hash = name_hash(name);
    if (folder->count >= folder->bucket_count && !buckets_grow(folder))
        return false;
    struct entry **place = place_of(folder, name, hash);
    if (*place != NULL)
        return true;
    struct entry *entry = index->name_count < INDEX_NAMES_MAX ? malloc(sizeof *entry + strlen(name) + 1) : NULL;
    if (entry == NULL)
        return false;
    *entry = (struct entry){.hash = hash};
    strcpy(entry->name, name);
    *place = entry;
    folder->count++;
    index->name_count++;
    return true;
}

static void name_remove(struct name_index *index, struct folder *folder, const char *name) {
    struct entry **place = place_of(folder, name, name_hash(name)), *entry = *place;
    if (entry == NULL)
        return;
    *place = entry->next;
    free(entry);
    folder->count--;
    index->name_count--;
}

/* ---- events ---- */

static struct folder *folder_watched(struct name_index *index, int watch) {
    for (uint32_t i = 0; i < index->folder_count; i++)
        if (index->folders[i].watch == watch)
            return &index->folders[i];
    return NULL;
}

static void event_apply(struct name_index *index, const struct inotify_event *event) {
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        while (index->folder_count > 0)
            folder_drop(index, &index->folders[0]);
    struct folder *folder = folder_watched(index, event->wd);
    if (folder == NULL) /* dropped meanwhile */
        return;
    if ((event->mask & (IN_CREATE | IN_MOVED_TO)) != 0 && name_add(index, folder, event->name))
        return;
    if ((event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0)
        name_remove(index, folder, event->name);
    else
        folder_drop(index, folder); /* it is gone, or there is no room for its names */
}

static void events_take(struct name_index *index) {
    _Alignas(struct inotify_event) char octets[INDEX_EVENTS_SIZE];
    ssize_t size;
    while ((size = read(index->events, octets, sizeof octets)) > 0)
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *event = (const struct inotify_event *)(octets + at);
            at += (ssize_t)(sizeof *event + event->len);
            event_apply(index, event);
        }
}

/* ---- folders ---- */

/* Calls `take` with each name until it says false. A negative errno on failure. */
static int names_read(int fd, bool (*take)(void *argument, const char *name), void *argument) {
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = again < 0 ? NULL : fdopendir(again);
    if (entries == NULL) {
        int error = errno;
        if (again >= 0)
            close(again);
        return -error;
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(entries)) != NULL && take(argument, entry->d_name))
        continue;
    int result = entry == NULL ? -errno : 0;
    closedir(entries);
    return result;
}

struct filling {
    struct name_index *index;
    struct folder *folder;
    bool failed;
};

static bool fill(void *argument, const char *name) {
    struct filling *filling = argument;
    filling->failed = strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
                      !name_add(filling->index, filling->folder, name);
    return !filling->failed;
}

/* Others change these, and no event comes of it. */
static bool is_remote(int fd) {
    struct statfs status;
    if (fstatfs(fd, &status) < 0)
        return true;
    switch ((unsigned)status.f_type) {
    case NFS_SUPER_MAGIC: case SMB_SUPER_MAGIC: case CIFS_SUPER_MAGIC: case SMB2_SUPER_MAGIC: case FUSE_SUPER_MAGIC:
    case V9FS_MAGIC: case CEPH_SUPER_MAGIC: case AFS_SUPER_MAGIC: case CODA_SUPER_MAGIC: case OCFS2_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

static void oldest_drop(struct name_index *index) {
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < index->folder_count; i++)
        if (index->folders[i].used < index->folders[oldest].used)
            oldest = i;
    folder_drop(index, &index->folders[oldest]);
}

/* The watch comes first: what changes while the names are read is in the queue afterwards. */
static struct folder *folder_add(struct name_index *index, int fd, const struct stat *status) {
    char path[64];
    if (index->folder_count == INDEX_FOLDERS_MAX || (index->name_count > INDEX_NAMES_MAX / 2 && index->folder_count > 0))
        oldest_drop(index);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int watch = is_remote(fd) ? -1 : inotify_add_watch(index->events, path, INDEX_EVENTS);
    if (watch < 0)
        return NULL;
    struct folder *folder = &index->folders[index->folder_count++];
    *folder = (struct folder){.device = status->st_dev, .inode = status->st_ino, .watch = watch};
    struct filling filling = {.index = index, .folder = folder};
    if (buckets_grow(folder) && names_read(fd, fill, &filling) == 0 && !filling.failed)
        return folder;
    folder_drop(index, folder);
    return NULL;
}

static struct folder *folder_of(struct name_index *index, int fd) {
    struct stat status;
    if (index->events < 0 || fstat(fd, &status) < 0)
        return NULL;
    for (uint32_t i = 0; i < index->folder_count; i++)
        if (index->folders[i].inode == status.st_ino && index->folders[i].device == status.st_dev)
            return &index->folders[i];
    return folder_add(index, fd, &status);
}

/* ---- looking ---- */

struct look {
    const char *wanted;
    bool is_short; /* the wanted name has the form of a made-up short one */
    char *found;
    bool has_found;
};

static bool name_fits(const struct look *look, const char *disk) {
    char name[STORE_NAME_MAX], made[SHORT_NAME_MAX];
    if (name_equal(disk, look->wanted))
        return true;
    if (!look->is_short)
        return false;
    return name_from_disk(disk, name) && short_name(name, made) && name_equal(made, look->wanted);
}

static bool look_at(void *argument, const char *disk) {
    struct look *look = argument;
    look->has_found = name_fits(look, disk);
    if (look->has_found)
        strcpy(look->found, disk);
    return !look->has_found;
}

static void folder_look(const struct folder *folder, struct look *look) {
    uint32_t hash = name_hash(look->wanted);
    for (const struct entry *entry = folder->buckets[hash & (folder->bucket_count - 1)]; entry != NULL; entry = entry->next)
        if (entry->hash == hash && !look_at(look, entry->name))
            return;
    for (uint32_t i = 0; i < folder->bucket_count && look->is_short; i++)
        for (const struct entry *entry = folder->buckets[i]; entry != NULL; entry = entry->next)
            if (!look_at(look, entry->name))
                return;
}

int index_find(struct name_index *index, int fd, const char *disk_name, char found[NAME_MAX + 1]) {
    struct look look = {.wanted = disk_name, .is_short = is_short_name(disk_name), .found = found};
    int result = 0;
    pthread_mutex_lock(&index->lock);
    if (index->events >= 0)
        events_take(index);
    struct folder *folder = folder_of(index, fd);
    if (folder != NULL) {
        folder->used = ++index->looks;
        folder_look(folder, &look);
    } else {
        result = names_read(fd, look_at, &look);
    }
    pthread_mutex_unlock(&index->lock);
    return result < 0 ? result : look.has_found ? 0 : -ENOENT;
}
