/* What changes in folders, told to one event loop: by the kernel's inotify, so that changes made by others count as well.
 *
 * One watcher for each loop. All but watcher_free() is called on that loop's thread; only the folders below a folder that
 * is watched with all its tree are looked for on a worker, and changes in those that it has not come to yet are not told.
 * Links are not followed. */
#ifndef SMBPROOF_STORE_WATCH_H
#define SMBPROOF_STORE_WATCH_H

#include "net/workers.h"

/* Folders that one watcher looks at, counted for each watch. */
#define WATCH_FOLDERS_MAX 65536u
/* Folders above each other below the one that is watched. */
#define WATCH_DEPTH_MAX 128u
/* Entries of a new folder that are looked through on the loop; of a larger one WATCH_LOST is told. */
#define WATCH_ENTRIES_MAX 4096u

enum watch_event {
    WATCH_ADDED,
    WATCH_REMOVED,
    WATCH_WRITTEN,  /* contents */
    WATCH_CHANGED,  /* attributes, times, extended attributes */
    WATCH_OLD_NAME, /* of a rename within the folder; the new name follows at once */
    WATCH_NEW_NAME,
    WATCH_LOST,     /* more changed than can be told; no path */
};

struct watcher;
struct watch_link;

/* Memory of its own, which is the watcher's from watch_begin() until freed(). */
struct watch {
    /* `path` is the store's (store.h), from the watched folder on. It must neither begin nor end a watch. */
    void (*changed)(struct watch *watch, enum watch_event event, bool is_folder, const char *path);
    /* After some of these: no more is known for now. It may do anything. */
    void (*settled)(struct watch *watch);
    void (*freed)(struct watch *watch);
    struct identity *as; /* who looks for folders (store/identity.h); NULL the server */
    /* The rest is watch.c's. */
    struct watcher *watcher;
    struct watch_link *links;
    struct watch *touched, **touched_at;
    int root;
    bool is_tree, is_touched, is_walking, is_lost, is_ended;
    struct job walk;
};

/* NULL, and errno. The watcher uses workers for trees. */
struct watcher *watcher_new(struct loop *loop, struct workers *workers);
/* No watch is left. */
void watcher_free(struct watcher *watcher);
/* 0, or a negative errno and the watch is the caller's. */
int watch_begin(struct watcher *watcher, struct watch *watch, int folder, bool is_tree);
void watch_end(struct watch *watch);

#endif
