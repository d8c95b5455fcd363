/* What the commands share: opens, requests at work, and how both end. */
#ifndef SMBPROOF_SERVE_WORK_H
#define SMBPROOF_SERVE_WORK_H

#include "serve/node.h"
#include "serve/serve.h"
#include "wire/files.h"
#include "wire/info.h"

/* Octets of the longest search pattern, and of any other name on the wire. */
#define NAME_OCTETS_MAX 65535u

/* Its tree, its session and its connection may all end before it is closed. */
#define OPEN_ENDINGS 3u

struct work;

/* [MS-SMB2] 3.3.1.10. It is in its connection's list from the CREATE on, until its file is closed. `uses` counts the
 * requests that work with it, and one for being open. */
struct open {
    struct open *next, *previous;
    struct store_op op; /* of its closing */
    struct connection *connection;
    struct server_session *session;
    struct server_tree *tree;
    const struct share *share;
    struct identity *as;           /* store/identity.h; NULL: the server's own */
    struct store_file *file;       /* NULL: a pipe, or not yet */
    struct node_seat seat;
    struct loop_timer patience;    /* for the acknowledgment of a broken oplock */
    uint64_t id;                   /* both halves of the FileId */
    uint64_t position;             /* FilePositionInformation, which nothing uses */
    bool holds_written;            /* its writes leave the time of writing at this: */
    struct timespec written;
    uint64_t hides_written_ms;     /* from then on a write delays the time of writing (node_hide_written()) */
    uint32_t ea_index;             /* of the attribute that a query goes on with */
    uint32_t access, options, mode;
    unsigned uses;
    bool is_folder, is_stream, is_ready, is_closing;
    bool is_data;                  /* a stream was named, be it "::$DATA" */
    bool has_listed;
    bool is_removed;               /* it was the last open of a file that is to go */
    bool is_notice_due;            /* its oplock was broken before its CREATE was answered */
    char *pattern;                 /* UTF-8 */
    uint8_t *reply;                /* a pipe's, not read yet */
    size_t reply_size;
    struct work *waiting;          /* a list, the newest first: what may be cancelled */
    struct notify *notify;         /* of a folder that is watched (notify.c) */
    void (*closed)(void *argument), *closed_argument;
    struct closing *endings[OPEN_ENDINGS]; /* dispatch_end() */
};

/* A request at work. Each step ends in one more store operation or in one answer. */
struct work {
    struct store_op op;
    union {
        struct node_wait wait;     /* LOCK */
        struct {                   /* CREATE */
            struct node_queue queue;
            struct node_making making;
        };
    };
    struct work *next;             /* in open->waiting */
    struct pool *pool;             /* whose this memory is */
    struct conduit conduit;        /* WRITE: while op.pipe is its */
    bool has_conduit;
    const struct waiting *waiting; /* NULL: it does not wait */
    struct connection *connection;
    struct server_frame *frame;
    struct open *open;             /* NULL: none yet */
    void (*step)(struct work *work);
    uint32_t status;               /* to be answered after what is under way */
    char *path, *name;             /* of malloc() */
    struct span list;              /* of the request: extended attributes, their names, chunks */
    void (*then)(struct work *work); /* behind a list of operations */
    uint32_t information;          /* enum security_information */
    uint32_t count;
    bool has_any;
    struct writer out;             /* the answer as far as it is written */
    size_t start, previous;        /* of entries */
    uint8_t info_class;
    bool single, full;
    struct open *source;           /* COPYCHUNK, and how long it was */
    uint64_t source_size;
    uint64_t done, total;          /* chunks, octets */
    struct create_request create;
    uint32_t action;
    uint64_t removals;             /* CREATE: node_removals() when its file had its name for sure */
    uint32_t most, granted;        /* access_mask: all that can be had, and what the descriptors grant */
    enum oplock_level oplock;      /* that was granted */
    bool post_query;
};

/* What requests that wait for somebody else have in common. */
struct waiting {
    /* False: what it waits for has happened, and it is about to go on by itself. */
    bool (*take_back)(struct work *work);
    /* Ends it with this status. */
    void (*end)(struct work *work, uint32_t status);
    uint32_t closed_status; /* where its file is closed */
};

/* NULL: no memory; the request was refused then. */
struct work *work_new(struct connection *connection, struct server_frame *frame);
/* Of an open that the request names and that has one of the accesses (0: any); NULL: refused. */
struct work *work_on_open(struct connection *connection, struct server_frame *frame, uint32_t access);
/* It waits: the client is told so, and may cancel it. */
void work_wait(struct work *work, const struct waiting *waiting);
/* It waits no longer. */
void work_resume(struct work *work);
void work_submit(struct work *work, enum store_kind kind, void (*step)(struct work *work));
/* On another open's file. */
void work_submit_on(struct work *work, const struct open *open, enum store_kind kind, void (*step)(struct work *work));
/* The answer; each ends the work. */
void work_refuse(struct work *work, uint32_t status);
void work_answer(struct work *work, uint32_t status);
/* The same, and a part of the open's file behind it; the work keeps the open until that is sent. */
void work_answer_file(struct work *work, uint32_t status, const struct file_part *part);
/* True where the last operation failed: the request was refused with that. */
bool work_failed(struct work *work);
/* The room for so many octets of body: work->out counts from the protocol id. False: no memory. */
bool work_reserve(struct work *work, size_t room);
/* Begins an answer with room for so many octets of body, as work_reserve(). False: refused. */
bool work_begin(struct work *work, size_t room);
/* The same for the answers of 2.2.34, 2.2.36, 2.2.38: work->out stands where the output begins. */
bool work_begin_output(struct work *work, size_t room);
void work_answer_output(struct work *work, uint32_t status);

/* NULL: no memory, or connection->open_limit are open. */
struct open *open_new(struct connection *connection, struct server_frame *frame);
struct open *open_find(struct connection *connection, const struct server_request *request);
struct open *open_find_id(struct connection *connection, const struct server_request *request, const uint8_t id[16]);
/* By its FileId alone, of any tree of the session. */
struct open *open_find_key(struct connection *connection, const struct server_session *session, const uint8_t id[16]);
void open_id_put(const struct open *open, uint8_t id[16]);
void open_hold(struct open *open);
void open_release(struct open *open);
/* Closes it once nothing uses it any more. */
void open_close(struct open *open);
/* The last step of its closing, when nothing points to it any more. */
void open_leave(struct open *open);
/* What was written shows in the file's time of writing. True: something did not so far (node_show_written()). */
bool open_show_written(struct open *open);
/* The CREATE is answered: a break of its oplock that came meanwhile may be told now. */
void open_ready(struct open *open);

struct security;
/* The descriptor that SECURITY_GET found or, where none is kept, the one that follows from work->op.attributes. It borrows
 * from the work. False: no memory. */
bool work_security(struct work *work, struct security *security);

uint32_t status_of_errno(int64_t result);
uint64_t filetime_of(struct timespec time);
uint32_t file_attributes_of(const struct store_attributes *attributes);
/* A name on the wire, from the share's root, to a store's path of STORE_PATH_MAX and the stream's name, which points
 * into it ("" none). `has_stream`: one is named, be it the unnamed "::$DATA". '/' separates as '\\' does, which Windows
 * does not allow. An NTSTATUS. */
uint32_t path_decode(struct span name, char *path, const char **stream, bool *has_stream);

void serve_create(struct connection *connection, struct server_frame *frame);
void serve_close(struct connection *connection, struct server_frame *frame);
void serve_flush(struct connection *connection, struct server_frame *frame);
void serve_read(struct connection *connection, struct server_frame *frame);
void serve_write(struct connection *connection, struct server_frame *frame);
void serve_lock(struct connection *connection, struct server_frame *frame);
void serve_ioctl(struct connection *connection, struct server_frame *frame);
void serve_query_directory(struct connection *connection, struct server_frame *frame);
void serve_query_info(struct connection *connection, struct server_frame *frame);
void serve_set_info(struct connection *connection, struct server_frame *frame);
void serve_oplock_break(struct connection *connection, struct server_frame *frame);
void serve_change_notify(struct connection *connection, struct server_frame *frame);
/* notify.c: the folder is watched no more. */
void notify_end(struct open *open);
/* The folder is about to go: whoever watches it learns so. */
void notify_refuse(struct open *open, uint32_t status);
/* breaks.c: the task of an open's seat, and the timer that runs from then on. */
void open_noticed(struct loop_task *task);
void open_impatient(struct loop_timer *timer);

/* Pipes (control.c): what was written, or the input of a transceive. An NTSTATUS. */
uint32_t pipe_take(struct open *open, struct span request);
/* Gives out at most `size` octets of the reply; what is left goes to the next. */
struct span pipe_give(struct open *open, size_t size, uint32_t *status);
void pipe_given(struct open *open, size_t size);

#endif
