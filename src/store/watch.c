#include "store/watch.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/identity.h"
#include "store/names.h"

enum { BUCKETS = 1024, READ_SIZE = 65536 };
#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_ONLYDIR)

/* A folder as one watch sees it. */
struct watch_link {
    struct watch_link *next;       /* of the watch */
    struct watch_link *next_there; /* of the spot */
    struct watch *watch;
    struct spot *spot;
    char path[];                   /* from the watched folder on; "" itself */
};

/* A folder as the kernel sees it. */
struct spot {
    struct spot *next;
    int descriptor; /* inotify's */
    struct watch_link *links;
    char **told;    /* names that were found, and told, when the spot was new: their creation may still be in the queue */
    size_t told_count;
};

struct watcher {
    struct loop *loop;
    struct workers *workers;
    struct loop_watch inotify;
    pthread_mutex_t mutex; /* of all that follows, and the lists of watches */
    struct spot *buckets[BUCKETS];
    unsigned links;
    struct watch *touched;
};

/* ---- spots and links ---- */

static struct spot **spot_place(struct watcher *watcher, int descriptor) {
    struct spot **at = &watcher->buckets[(unsigned)descriptor % BUCKETS];

    while (*at != NULL && (*at)->descriptor != descriptor)
        at = &(*at)->next;
    return at;
}

static void told_forget(struct spot *spot) {
    for (size_t i = 0; i < spot->told_count; i++)
        free(spot->told[i]);
    free(spot->told);
    spot->told = NULL;
    spot->told_count = 0;
}

static void spot_drop(struct watcher *watcher, struct spot *spot) {
    struct spot **at = spot_place(watcher, spot->descriptor);

    assert(spot->links == NULL);
    *at = spot->next;
    told_forget(spot);
    free(spot);
}

/* Takes it out of both lists; the spot stays. */
static void link_drop(struct watch_link *link) {
    struct watch_link **at = &link->watch->links;

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    for (at = &link->spot->links; *at != link; )
        at = &(*at)->next_there;
    *at = link->next_there;
    link->watch->watcher->links--;
    free(link);
}

static void link_end(struct watch_link *link) {
    struct watcher *watcher = link->watch->watcher;
    struct spot *spot = link->spot;

    link_drop(link);
    if (spot->links != NULL)
        return;
    inotify_rm_watch(watcher->inotify.descriptor, spot->descriptor);
    spot_drop(watcher, spot);
}

static bool is_linked(const struct spot *spot, const struct watch *watch) {
    const struct watch_link *link = spot->links;

    while (link != NULL && link->watch != watch)
        link = link->next_there;
    return link != NULL;
}

static struct spot *spot_of(struct watcher *watcher, int folder) {
    char name[64];
    struct spot **at;
    int descriptor;

    snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
    descriptor = inotify_add_watch(watcher->inotify.descriptor, name, EVENTS);
    if (descriptor < 0)
        return NULL;
    at = spot_place(watcher, descriptor);
    if (*at == NULL && (*at = calloc(1, sizeof **at)) != NULL)
        (*at)->descriptor = descriptor;
    return *at;
}

/* 0, 1 where the watch sees the folder already, or a negative errno. */
static int link_make(struct watch *watch, int folder, const char *path, struct spot **made) {
    struct watcher *watcher = watch->watcher;
    size_t size = strlen(path) + 1;
    struct watch_link *link;
    struct spot *spot;

    if (watcher->links >= WATCH_FOLDERS_MAX)
        return -ENOSPC;
    spot = spot_of(watcher, folder);
    if (spot == NULL)
        return errno != 0 ? -errno : -ENOMEM;
    if (is_linked(spot, watch))
        return 1;
    link = malloc(sizeof *link + size);
    if (link == NULL)
        return -ENOMEM;
    *link = (struct watch_link){.next = watch->links, .next_there = spot->links, .watch = watch, .spot = spot};
    memcpy(link->path, path, size);
    watch->links = spot->links = link;
    watcher->links++;
    *made = spot;
    return 0;
}

/* ---- telling ---- */

static void touch(struct watch *watch) {
    struct watcher *watcher = watch->watcher;

    if (watch->is_touched)
        return;
    watch->is_touched = true;
    watch->touched = watcher->touched;
    watch->touched_at = &watcher->touched;
    if (watch->touched != NULL)
        watch->touched->touched_at = &watch->touched;
    watcher->touched = watch;
}

static void untouch(struct watch *watch) {
    if (!watch->is_touched)
        return;
    watch->is_touched = false;
    *watch->touched_at = watch->touched;
    if (watch->touched != NULL)
        watch->touched->touched_at = watch->touched_at;
}

/* A name that the store cannot say is lost. */
static void tell(struct watch *watch, enum watch_event event, bool is_folder, const char *disk) {
    char path[STORE_PATH_MAX];

    if (watch->is_ended)
        return;
    if (path_from_disk(disk, path))
        watch->changed(watch, event, is_folder, path);
    else
        watch->changed(watch, WATCH_LOST, false, "");
    touch(watch);
}

static void lose(struct watch *watch) {
    tell(watch, WATCH_LOST, false, "");
}

/* False, and nothing changed: too long. */
static bool path_append(char path[PATH_MAX], const char *name) {
    size_t size = strlen(path);
    int more = snprintf(path + size, PATH_MAX - size, "%s%s", size > 0 ? "/" : "", name);
    bool fits = more > 0 && size + (size_t)more < PATH_MAX;

    if (!fits)
        path[size] = '\0';
    return fits;
}

/* ---- trees ---- */

/* How a tree is gone through: the whole of it on a worker, or on the loop what comes to be in it, which tells what is found
 * in a folder that is new. (A folder that was moved has had what is in it for long.) */
struct walk {
    struct watch *watch;
    bool on_loop, tells, is_lost;
    unsigned entries_left;
    char path[PATH_MAX];
};

static void told_remember(struct spot *spot, const char *name) {
    char **more = realloc(spot->told, (spot->told_count + 1) * sizeof *more);

    if (more == NULL)
        return;
    spot->told = more;
    if ((spot->told[spot->told_count] = strdup(name)) != NULL)
        spot->told_count++;
}

static bool told_take(struct spot *spot, const char *name) {
    for (size_t i = 0; i < spot->told_count; i++)
        if (strcmp(spot->told[i], name) == 0) {
            free(spot->told[i]);
            spot->told[i] = spot->told[--spot->told_count];
            return true;
        }
    return false;
}

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int folder_open(int parent, const char *name) {
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The spot of the folder where it is new to the watch, else NULL. */
static struct spot *walk_link(struct walk *walk, int folder) {
    struct watcher *watcher = walk->watch->watcher;
    struct spot *spot = NULL;

    if (!walk->on_loop) /* where it is locked already */
        pthread_mutex_lock(&watcher->mutex);
    if (!walk->watch->is_ended)
        walk->is_lost |= link_make(walk->watch, folder, walk->path, &spot) < 0;
    if (!walk->on_loop)
        pthread_mutex_unlock(&watcher->mutex);
    return spot;
}

static void walk_folder(struct walk *walk, int folder, unsigned depth);

static void walk_entry(struct walk *walk, struct spot *spot, int folder, const struct dirent *entry, unsigned depth) {
    size_t size = strlen(walk->path);
    int below = -1;

    if (!path_append(walk->path, entry->d_name))
        return;
    if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
        below = folder_open(folder, entry->d_name);
    walk->entries_left--;
    if (walk->tells) {
        told_remember(spot, entry->d_name);
        tell(walk->watch, WATCH_ADDED, below >= 0, walk->path);
    }
    if (below >= 0)
        walk_folder(walk, below, depth + 1);
    walk->path[size] = '\0';
}

/* Takes the descriptor over. Each folder is watched before it is read, so that nothing is missed. */
static void walk_folder(struct walk *walk, int folder, unsigned depth) {
    struct spot *spot = folder >= 0 ? walk_link(walk, folder) : NULL;
    DIR *stream = spot != NULL || depth == 0 ? fdopendir(folder) : NULL;
    const struct dirent *entry;

    if (stream == NULL) {
        if (folder >= 0)
            close(folder);
        return;
    }
    while (!walk->is_lost && (entry = readdir(stream)) != NULL) {
        walk->is_lost = depth >= WATCH_DEPTH_MAX || (walk->on_loop && walk->entries_left == 0);
        if (!is_dots(entry->d_name) && !walk->is_lost)
            walk_entry(walk, spot, folder, entry, depth);
    }
    closedir(stream);
}

static struct watch *watch_of(struct job *job) {
    return (struct watch *)((char *)job - offsetof(struct watch, walk));
}

/* On a worker. The root has its link already. */
static void tree_walk(struct job *job) {
    struct watch *watch = watch_of(job);
    struct walk *walk = calloc(1, sizeof *walk);

    watch->is_lost = true;
    if (walk == NULL)
        return;
    walk->watch = watch;
    if (identity_take(watch->as)) {
        walk_folder(walk, folder_open(watch->root, "."), 0);
        watch->is_lost = walk->is_lost;
        identity_drop(watch->as);
    }
    free(walk);
}

static void watch_free(struct watch *watch) {
    if (watch->root >= 0)
        close(watch->root);
    identity_release(watch->as);
    watch->freed(watch);
}

static void settle(struct watcher *watcher) {
    while (watcher->touched != NULL) {
        struct watch *watch = watcher->touched;

        untouch(watch);
        watch->settled(watch);
    }
}

static void tree_walked(struct job *job) {
    struct watch *watch = watch_of(job);
    struct watcher *watcher = watch->watcher;

    watch->is_walking = false;
    if (watch->is_ended) {
        watch_free(watch);
        return;
    }
    if (watch->is_lost)
        lose(watch);
    settle(watcher);
}

static void grow_from(struct walk *walk, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    int folder = (int)syscall(SYS_openat2, walk->watch->root, path, &how, sizeof how);

    if (folder < 0)
        return;
    strcpy(walk->path, path);
    walk_folder(walk, folder, 1);
}

/* A folder that came to be below a watched one. */
static void tree_grow(struct watch *watch, const char *path, bool is_new) {
    struct walk *walk = calloc(1, sizeof *walk);
    bool is_taken = walk != NULL && identity_take(watch->as);

    if (is_taken) {
        *walk = (struct walk){.watch = watch, .on_loop = true, .tells = is_new, .entries_left = WATCH_ENTRIES_MAX};
        grow_from(walk, path);
        identity_drop(watch->as);
    }
    if (!is_taken || walk->is_lost)
        lose(watch);
    free(walk);
}

/* A folder that is no longer below it, with all that is in it. */
static void tree_shrink(struct watch *watch, const char *path) {
    size_t size = strlen(path);

    for (struct watch_link *link = watch->links, *next; link != NULL; link = next) {
        next = link->next;
        if (strncmp(link->path, path, size) == 0 && (link->path[size] == '/' || link->path[size] == '\0'))
            link_end(link);
    }
}

/* ---- events ---- */

static enum watch_event event_of(uint32_t mask) {
    if (mask & (IN_CREATE | IN_MOVED_TO))
        return WATCH_ADDED;
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        return WATCH_REMOVED;
    return mask & IN_MODIFY ? WATCH_WRITTEN : WATCH_CHANGED;
}

/* What has become of a name in a folder. */
struct change {
    enum watch_event event;
    bool is_folder, is_moved;
    const char *name;
};

/* To one that watches it. */
static void link_tell(const struct watch_link *link, const struct change *change) {
    struct watch *watch = link->watch;
    char path[PATH_MAX];

    strcpy(path, link->path);
    if (!path_append(path, change->name)) {
        lose(watch);
        return;
    }
    tell(watch, change->event, change->is_folder, path);
    if (!watch->is_tree || !change->is_folder)
        return;
    if (change->event == WATCH_REMOVED || change->event == WATCH_OLD_NAME)
        tree_shrink(watch, path);
    if (change->event == WATCH_ADDED || change->event == WATCH_NEW_NAME)
        tree_grow(watch, path, !change->is_moved);
}

/* Growing and shrinking change the links of other folders, not of this one. */
static void spot_tell(const struct spot *spot, enum watch_event event, const struct inotify_event *from) {
    const struct change change = {event, (from->mask & IN_ISDIR) != 0, (from->mask & IN_MOVE) != 0, from->name};

    for (const struct watch_link *link = spot->links; link != NULL; link = link->next_there)
        link_tell(link, &change);
}

static void lose_all(struct watcher *watcher) {
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct spot *spot = watcher->buckets[i]; spot != NULL; spot = spot->next)
            for (struct watch_link *link = spot->links; link != NULL; link = link->next_there)
                lose(link->watch);
}

/* The kernel looks no more: the folder is gone. */
static void spot_end(struct watcher *watcher, struct spot *spot) {
    while (spot->links != NULL)
        link_drop(spot->links);
    spot_drop(watcher, spot);
}

/* A rename within a folder is two events that follow each other; anything else that moves goes here and comes there. */
static bool is_renamed(const struct inotify_event *from, const struct inotify_event *to) {
    return to != NULL && (from->mask & IN_MOVED_FROM) && (to->mask & IN_MOVED_TO) && from->cookie == to->cookie &&
           from->wd == to->wd;
}

/* True: `next` was told as well. */
static bool event_take(struct watcher *watcher, const struct inotify_event *event, const struct inotify_event *next) {
    struct spot *spot = event->mask & IN_Q_OVERFLOW ? NULL : *spot_place(watcher, event->wd);
    bool is_rename = is_renamed(event, next);

    if (event->mask & IN_Q_OVERFLOW)
        lose_all(watcher);
    if (spot != NULL && event->mask & IN_IGNORED)
        spot_end(watcher, spot);
    if (spot == NULL || event->len == 0 || event->mask & IN_IGNORED)
        return false;
    if (is_rename) {
        spot_tell(spot, WATCH_OLD_NAME, event);
        spot_tell(spot, WATCH_NEW_NAME, next);
    } else if (!(event->mask & IN_CREATE) || !told_take(spot, event->name)) {
        spot_tell(spot, event_of(event->mask), event);
    }
    return is_rename;
}

static void events_take(struct watcher *watcher, const char *data, size_t size) {
    const char *end = data + size;

    while (data < end) {
        const struct inotify_event *event = (const void *)data;
        const char *after = data + sizeof *event + event->len;
        const struct inotify_event *next = after < end ? (const void *)after : NULL;

        data = after;
        if (event_take(watcher, event, next))
            data += sizeof *next + next->len;
    }
}

static void told_forget_all(struct watcher *watcher) {
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct spot *spot = watcher->buckets[i]; spot != NULL; spot = spot->next)
            told_forget(spot);
}

/* As much as one reading yields; the loop comes again while there is more. */
static void inotify_ready(struct loop_watch *loop_watch, uint32_t events) {
    struct watcher *watcher = (struct watcher *)((char *)loop_watch - offsetof(struct watcher, inotify));
    _Alignas(struct inotify_event) char data[READ_SIZE];
    ssize_t size = read(loop_watch->descriptor, data, sizeof data);

    (void)events;
    if (size <= 0)
        return;
    pthread_mutex_lock(&watcher->mutex);
    events_take(watcher, data, (size_t)size);
    if (size < READ_SIZE / 2)
        told_forget_all(watcher);
    pthread_mutex_unlock(&watcher->mutex);
    settle(watcher);
}

/* ---- the watcher ---- */

struct watcher *watcher_new(struct loop *loop, struct workers *workers) {
    struct watcher *watcher = calloc(1, sizeof *watcher);
    int error;

    if (watcher == NULL)
        return NULL;
    watcher->loop = loop;
    watcher->workers = workers;
    watcher->inotify = (struct loop_watch){inotify_init1(IN_NONBLOCK | IN_CLOEXEC), EPOLLIN, inotify_ready};
    error = watcher->inotify.descriptor < 0 ? -errno : loop_watch_add(loop, &watcher->inotify);
    if (error == 0) {
        pthread_mutex_init(&watcher->mutex, NULL);
        return watcher;
    }
    if (watcher->inotify.descriptor >= 0)
        close(watcher->inotify.descriptor);
    free(watcher);
    errno = -error;
    return NULL;
}

void watcher_free(struct watcher *watcher) {
    if (watcher == NULL)
        return;
    assert(watcher->links == 0);
    loop_watch_remove(watcher->loop, &watcher->inotify);
    close(watcher->inotify.descriptor);
    pthread_mutex_destroy(&watcher->mutex);
    free(watcher);
}

int watch_begin(struct watcher *watcher, struct watch *watch, int folder, bool is_tree) {
    struct spot *spot;
    int result;

    watch->watcher = watcher;
    watch->is_tree = is_tree;
    watch->root = is_tree ? folder_open(folder, ".") : -1;
    if (is_tree && watch->root < 0)
        return -errno;
    pthread_mutex_lock(&watcher->mutex);
    result = link_make(watch, folder, "", &spot);
    pthread_mutex_unlock(&watcher->mutex);
    if (result < 0 && watch->root >= 0)
        close(watch->root);
    if (result < 0)
        return result;
    identity_hold(watch->as);
    if (!is_tree)
        return 0;
    watch->walk = (struct job){.loop = watcher->loop, .work = tree_walk, .done = tree_walked};
    watch->is_walking = workers_submit(watcher->workers, &watch->walk);
    if (!watch->is_walking)
        lose(watch);
    return 0;
}

void watch_end(struct watch *watch) {
    struct watcher *watcher = watch->watcher;

    pthread_mutex_lock(&watcher->mutex);
    watch->is_ended = true;
    while (watch->links != NULL)
        link_end(watch->links);
    untouch(watch);
    pthread_mutex_unlock(&watcher->mutex);
    if (!watch->is_walking)
        watch_free(watch);
}
