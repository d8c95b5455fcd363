/* The files that are open anywhere on the server: share modes, byte-range locks, oplocks, pending deletion.
 *
 * One table for all connections and loops, under one lock that is held for memory work only. What has to happen
 * elsewhere (a lock that is granted to another loop's request, an oplock to be broken) is posted to that loop. */
#ifndef SMBPROOF_SERVE_NODE_H
#define SMBPROOF_SERVE_NODE_H

#include "net/loop.h"
#include "serve/oplock.h"
#include "store/store.h"

/* Byte-range locks of one open. */
#define NODE_LOCKS_MAX 4096u
/* How long after the first write of an open the file's time of writing stays what it was, for those who ask. What is written
 * later shows when the open flushes, sets something or is closed ([MS-FSA] 2.1.4.17 lets a server do so, and clients
 * expect it). The file system notes each write at once. */
#define NODE_WRITTEN_DELAY_MS 2000u

struct nodes;
struct node;

/* A place at a node; embedded in an open. */
struct node_seat {
    struct node_seat *next;
    struct node *node;            /* NULL: at none */
    uint32_t access, share;       /* access_mask, share_access */
    bool delete_on_close;         /* set once its CREATE has succeeded */
    struct node *going;           /* after node_leave(): what is to be removed, until node_removed() */
    bool removes_whole;           /* and that is the file, be the seat at a stream */
    unsigned locks;
    struct loop *loop;            /* the open's; with `notice`, set before the seat joins */
    struct loop_task notice;      /* posted to `loop` when its oplock is broken, or the file is to go */
    bool heeds_deletion;          /* wants to know that; set by node_heed_deletion() */
    /* The rest is node.c's. */
    enum oplock_level oplock;     /* held */
    enum oplock_level broken_to;  /* less than `oplock`: the break is not acknowledged yet */
    bool is_noticed;              /* `notice` is on its way */
    bool is_broken;               /* and says that the oplock is broken */
    bool was_shared;              /* it was at level II, and broken */
    bool unmakes, unmakes_whole;  /* node_unmake() */
    bool hides_written;           /* node_hide_written() */
};

/* How an open comes to a node. */
struct node_entry {
    struct store_id id;
    const char *stream;           /* "" or NULL: the file itself; each stream has a node of its own */
    const void *share;
    const char *path;             /* below the share's root; copied */
    bool is_folder, overwrites;
    struct node_making *making;   /* where it was made for this open; ends with the joining, unless that says RETRY */
    enum oplock_level wanted;
    uint64_t removals;            /* node_removals() from before the file was opened, or known to have its name still */
};

/* An open that waits until an oplock is broken, a file is gone, or another CREATE has come to the file that it makes;
 * embedded in a request. */
struct node_queue {
    struct loop_task task; /* posted to `loop` when it is worth to join again */
    struct node_queue *next, **queue; /* NULL: it does not wait */
    struct loop *loop;
};

/* A name that a CREATE may be about to make; embedded in a request. */
struct node_making {
    struct node_making *next, **link; /* `link` points to this one */
    const void *share;
    const char *path;         /* borrowed; NULL: there is none */
    uint32_t hash;
    struct node_queue *queue; /* who has found what was made before its maker has come to it */
};

struct node_range {
    uint64_t offset, length; /* octets; they do not reach beyond 2^64 */
    bool exclusive;
};

/* A lock that waits; embedded in a request. */
struct node_wait {
    struct loop_task task; /* posted to `loop` when it is granted */
    struct node_wait *next;
    struct loop *loop;
    struct node_seat *seat;
    struct node_range range;
};

/* NULL: no memory. */
struct nodes *nodes_new(void);
/* No file may be open any more. */
void nodes_free(struct nodes *nodes);

/* Each yields an NTSTATUS. Joining checks the share modes ([MS-FSA] 2.1.5.1.2.2) and whether the file is to go, breaks
 * the oplocks of others, and grants one (node_oplock()). PENDING: the queue's task comes once it is worth another try,
 * unless it is taken out. RETRY: files were removed meanwhile; the caller has to see that this is not one of them. */
uint32_t node_join(struct nodes *nodes, struct node_seat *seat, const struct node_entry *entry,
                   struct node_queue *queue);
/* The CREATE may make this name from now on: whoever else finds it joins after the maker, who is the first so. Two names of
 * one file are not seen through; then whoever comes first is. */
void node_make(struct nodes *nodes, struct node_making *making, const void *share, const char *path);
/* It has not made it, or what it made goes; there need not be one. */
void node_make_end(struct nodes *nodes, struct node_making *making);
/* False: it does not wait, or its task is posted. */
bool node_take_queue(struct nodes *nodes, struct node_queue *queue);
/* Gives up locks and waits (none may be left waiting that is not the caller's to answer, see node_take_wait()). True:
 * that was the last open of a file that is to be deleted. Nobody joins that any more until node_removed(). */
bool node_leave(struct nodes *nodes, struct node_seat *seat);
/* It is gone, or cannot be removed: those who came meanwhile look again. */
void node_removed(struct nodes *nodes, struct node_seat *seat);
/* How many files were removed so far. */
uint64_t node_removals(struct nodes *nodes);
/* The seat's CREATE failed after it had made what the entry names, `whole` with its file. That goes when the seat leaves,
 * unless somebody else has it open then. The seat joins for that where it has not yet. */
void node_unmake(struct nodes *nodes, struct node_seat *seat, const struct node_entry *entry, bool whole);
/* Of a seat that has left: is its notice still on its way? It must stay where it is until then. */
bool node_is_noticed(struct nodes *nodes, const struct node_seat *seat);
/* May the file get this name ([MS-FSA] 2.1.5.15.11)? Not while somebody who may delete its folder has that open, nor while
 * anything below it is open, nor in place of an open file. Only opens of the same share are known. */
uint32_t node_check_rename(struct nodes *nodes, const struct node_seat *seat, const char *path, bool is_folder);
/* It got it (or, where `path` is "", its stream that name). */
void node_renamed(struct nodes *nodes, struct node_seat *seat, const char *path, const char *stream);
void node_set_delete(struct nodes *nodes, struct node_seat *seat, bool pending);
bool node_is_delete_pending(struct nodes *nodes, struct node_seat *seat);

/* SUCCESS, LOCK_NOT_GRANTED, or, with a `wait`, PENDING: it is granted later, unless it is taken back. */
uint32_t node_lock(struct nodes *nodes, struct node_seat *seat, const struct node_range *range,
                   struct node_wait *wait);
uint32_t node_unlock(struct nodes *nodes, struct node_seat *seat, const struct node_range *range);
/* False: it is granted, and its task is posted. */
bool node_take_wait(struct nodes *nodes, struct node_wait *wait);
/* May it read or write there? SUCCESS or FILE_LOCK_CONFLICT. Writing breaks the level II oplocks of all. */
uint32_t node_check_io(struct nodes *nodes, struct node_seat *seat, uint64_t offset, uint64_t length, bool write);
/* The seat is about to write to the file, which has this time of writing. When, in ms, a write of it has to say so again. */
uint64_t node_hide_written(struct nodes *nodes, struct node_seat *seat, struct timespec written, uint64_t now_ms);
/* True where something was written after the delay, which did not show. */
bool node_show_written(struct nodes *nodes, struct node_seat *seat);
/* Puts the time that is shown in place of the one that the file has, where these differ. */
void node_written(struct nodes *nodes, struct store_attributes *attributes, uint64_t now_ms);
/* The contents are about to change otherwise. */
void node_break_shared(struct nodes *nodes, struct node_seat *seat);

enum oplock_level node_oplock(struct nodes *nodes, const struct node_seat *seat);
/* What a notice says. */
struct node_notice {
    bool has_left;           /* the seat has meanwhile, and nothing else counts */
    bool is_broken;          /* the client is to be told that its oplock is now this level */
    enum oplock_level level;
    bool wants_answer;       /* and has to acknowledge */
    bool is_deleted;         /* the file is to go */
};

struct node_notice node_take_notice(struct nodes *nodes, struct node_seat *seat);
void node_heed_deletion(struct nodes *nodes, struct node_seat *seat);
/* The client acknowledges ([MS-SMB2] 3.3.5.22.1): an NTSTATUS, and what is left. */
uint32_t node_acknowledge(struct nodes *nodes, struct node_seat *seat, enum oplock_level level,
                          enum oplock_level *left);
/* It did not, in time (3.3.6.1). */
void node_expire(struct nodes *nodes, struct node_seat *seat);

#endif
