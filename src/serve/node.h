/* The files that are open anywhere on the server: share modes, byte-range locks, pending deletion.
 *
 * One table for all connections and loops, under one lock that is held for memory work only. What has to happen
 * elsewhere (a lock that is granted to another loop's request) is posted to that loop. */
#ifndef SMBPROOF_SERVE_NODE_H
#define SMBPROOF_SERVE_NODE_H

#include "net/loop.h"
#include "store/store.h"

/* Byte-range locks of one open. */
#define NODE_LOCKS_MAX 4096u

struct nodes;
struct node;

/* A place at a node; embedded in an open. */
struct node_seat {
    struct node_seat *next;
    struct node *node;      /* NULL: at none */
    uint32_t access, share; /* access_mask, share_access */
    bool delete_on_close;
    unsigned locks;
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

/* Each yields an NTSTATUS. Joining checks the share modes ([MS-FSA] 2.1.5.1.2.2) and whether the file is to go. */
uint32_t node_join(struct nodes *nodes, struct node_seat *seat, struct store_id id);
/* Gives up locks and waits (none may be left waiting that is not the caller's to answer, see node_take_wait()). True:
 * that was the last open of a file that is to be deleted. */
bool node_leave(struct nodes *nodes, struct node_seat *seat);
void node_set_delete(struct nodes *nodes, struct node_seat *seat, bool pending);
bool node_is_delete_pending(struct nodes *nodes, struct node_seat *seat);

/* SUCCESS, LOCK_NOT_GRANTED, or, with a `wait`, PENDING: it is granted later, unless it is taken back. */
uint32_t node_lock(struct nodes *nodes, struct node_seat *seat, const struct node_range *range,
                   struct node_wait *wait);
uint32_t node_unlock(struct nodes *nodes, struct node_seat *seat, const struct node_range *range);
/* False: it is granted, and its task is posted. */
bool node_take_wait(struct nodes *nodes, struct node_wait *wait);
/* May it read or write there? SUCCESS or FILE_LOCK_CONFLICT. */
uint32_t node_check_io(struct nodes *nodes, struct node_seat *seat, uint64_t offset, uint64_t length, bool write);

#endif
