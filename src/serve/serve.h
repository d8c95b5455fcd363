/* The file server's parts and how they hang together.
 *
 * A `host` is the whole server: configuration, shares, accounts, event loops, workers. A `connection` belongs to one loop for
 * its life: socket, core server (core/server.h), frames, the files that its sessions have open. `dispatch` serves the requests
 * that the core hands over, one function per command, over the store of the share. A `node` is what all opens of one file
 * share, over all connections and loops: share modes, byte-range locks, oplock, pending deletion; the table of nodes has its
 * own lock, which is never held while anything blocks. Work for another loop's connection (an oplock break) is posted to it.
 */
#ifndef SMBPROOF_SERVE_SERVE_H
#define SMBPROOF_SERVE_SERVE_H

#include <stdatomic.h>

#include "core/server.h"
#include "net/conduit.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/workers.h"
#include "store/store.h"

struct host;
struct connection;
struct nodes; /* the table of open files (serve/node.h) */
struct watcher; /* store/watch.h */
struct open; /* a file that is open: [MS-SMB2] 3.3.1.10 Open */

struct share {
    const char *name;      /* UTF-8 */
    struct store *store;   /* NULL: IPC$ */
    bool read_only, allow_guest, encrypt;
    atomic_bool gone;      /* no longer served: its trees know STATUS_NETWORK_NAME_DELETED only */
    atomic_uint holders;   /* editions (edition.h) */
};

/* What a connection offers to the commands. `frame` is in the shell's hands (SERVER_REQUEST) until connection_answer(). */
struct connection {
    struct host *host;
    struct loop *loop;
    struct pool *pool;     /* the loop's, for what lives no longer than a request; NULL: malloc()'s */
    struct conduits *conduits; /* the loop's; NULL: none */
    struct server server;
    struct open *opens;    /* list */
    uint64_t opens_made;   /* FileIds count them */
    unsigned open_count;   /* in `opens` */
    unsigned open_limit;
    void *inside;          /* the host's: socket, queues, timers */
};

/* Serves a request now or later; ends in exactly one connection_answer() or connection_refuse(). */
void dispatch(struct connection *connection, struct server_frame *frame);
/* CANCEL came for a request that dispatch() keeps. */
void dispatch_cancel(struct connection *connection, struct server_frame *frame);
/* The same for all that wait (a change, a lock): the server ends. */
void dispatch_cancel_all(struct connection *connection);
/* The end of several opens; embedded in its owner. */
struct closing {
    void (*done)(struct closing *ending);
    unsigned left;
};

/* Closes what is open of a tree (NULL: of the session; both NULL: of the connection); calls ending->done() afterwards,
 * which may be before this returns. */
void dispatch_end(struct connection *connection, struct server_session *session, struct server_tree *tree,
                  struct closing *ending);

/* Tells of the opens of a list, at most `room`; how many that were. */
struct status_file;
unsigned opens_tell(const struct open *opens, uint64_t connection, struct status_file *files, unsigned room);

/* How many octets at the end of the request are not in memory yet, but still in the socket (server_may_come_late()). They are
 * poured or received before store_submit() or anything else that lets the loop go on; what is left when it is answered is
 * thrown away. */
size_t connection_late(const struct server_frame *frame);
/* Moves what it can of them into a pipe; how many octets, from the first one on. */
size_t connection_pour(struct connection *connection, struct server_frame *frame, const struct conduit *conduit);
/* Receives them to their place. False: the connection is closed (refuse then). */
bool connection_receive_late(struct connection *connection, struct server_frame *frame);

/* Room for a response body of so many octets, growing the frame's output where it must; NULL: no memory (refuse then). */
uint8_t *connection_body(struct connection *connection, struct server_frame *frame, size_t size);
void connection_answer(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size);
/* The answer ends with `size` octets out of a file, which server_may_trail() has to allow. They are zeros where the file
 * ends sooner by then. The descriptor is borrowed until sent(), which is called in any case, later or before this
 * returns. */
struct file_part {
    int descriptor;
    uint64_t offset;
    size_t size;
};
void connection_answer_file(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size,
                            const struct file_part *part, void (*sent)(void *argument), void *argument);
void connection_refuse(struct connection *connection, struct server_frame *frame, uint32_t status);
/* Sends the interim response of a request that takes longer (3.3.4.2). */
void connection_pend(struct connection *connection, struct server_frame *frame);
/* Sends an unsolicited OPLOCK_BREAK. */
void connection_notify(struct connection *connection, struct server_session *session, const struct server_tree *tree,
                       uint16_t command, const void *body, size_t body_size);
/* As whom the files of a session are opened: the user of the system that its account is mapped to. NULL: the server's own. */
struct identity *connection_identity(const struct server_session *session);
/* What tells the connection's loop of changes in folders; NULL: there is none. */
struct watcher *connection_watcher(struct connection *connection);
/* The interface that the connection came in at. False: it cannot be told. */
struct interface {
    uint32_t index;      /* IfIndex, as the system counts them */
    uint64_t speed;      /* bits a second */
    bool is_ipv6;
    uint8_t address[16]; /* the first four of IPv4; in network order */
};
bool connection_interface(struct connection *connection, struct interface *interface);
/* The table of open files (nodes_new() at its start), workers for jobs, and the shares, of the host. A tree's owner is
 * its `const struct share`. */
struct workers *host_workers(struct host *host);
struct nodes *host_nodes(struct host *host);
const struct share *host_share(struct host *host, unsigned index, unsigned *count);

#endif
