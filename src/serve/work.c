#include "serve/security.h"
#include "serve/status.h"
#include "serve/work.h"
#include "store/identity.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct work *work_new(struct connection *connection, struct server_frame *frame) {
    struct work *work = pool_take(connection->pool, sizeof *work);

    if (work == NULL) {
        connection_refuse(connection, frame, STATUS_INSUFFICIENT_RESOURCES);
        return NULL;
    }
    *work = (struct work){.connection = connection, .frame = frame, .pool = connection->pool};
    return work;
}

struct work *work_on_open(struct connection *connection, struct server_frame *frame, uint32_t access) {
    struct open *open = open_find(connection, &frame->request);
    struct work *work;

    if (open == NULL || (access != 0 && (open->access & access) == 0)) {
        connection_refuse(connection, frame, open == NULL ? STATUS_FILE_CLOSED : STATUS_ACCESS_DENIED);
        return NULL;
    }
    work = work_new(connection, frame);
    if (work != NULL) {
        work->open = open;
        open_hold(open);
    }
    return work;
}

static void work_free(struct work *work) {
    if (work->open != NULL)
        open_release(work->open);
    if (work->source != NULL)
        open_release(work->source);
    free(work->path);
    free(work->name);
    free(work->op.security);
    pool_give(work->pool, work, sizeof *work); /* the connection may be gone */
}

/* What it waits for is posted to this thread, so it cannot come before. */
void work_wait(struct work *work, const struct waiting *waiting) {
    work->waiting = waiting;
    work->next = work->open->waiting;
    work->open->waiting = work;
    connection_pend(work->connection, work->frame);
}

void work_resume(struct work *work) {
    struct work **at = &work->open->waiting;

    while (*at != work)
        at = &(*at)->next;
    *at = work->next;
    work->waiting = NULL;
}

static void operation_done(struct store_op *op) {
    struct work *work = op->owner;

    if (op->result >= 0 && (op->kind == STORE_OPEN || op->kind == STORE_STAT))
        node_written(host_nodes(work->connection->host), &op->attributes, loop_now_ms(op->loop));
    work->step(work);
}

void work_submit_on(struct work *work, const struct open *open, enum store_kind kind, void (*step)(struct work *work)) {
    work->step = step;
    work->op.kind = kind;
    work->op.owner = work;
    work->op.done = operation_done;
    work->op.loop = work->connection->loop;
    if (open->file != NULL)
        work->op.file = open->file;
    store_submit(open->share->store, &work->op);
}

void work_submit(struct work *work, enum store_kind kind, void (*step)(struct work *work)) {
    work_submit_on(work, work->open, kind, step);
}

void work_refuse(struct work *work, uint32_t status) {
    connection_refuse(work->connection, work->frame, status);
    work_free(work);
}

void work_answer(struct work *work, uint32_t status) {
    assert(work->out.at >= SMB2_HEADER_SIZE);
    if (work->out.failed)
        connection_refuse(work->connection, work->frame, STATUS_INSUFFICIENT_RESOURCES);
    else
        connection_answer(work->connection, work->frame, status, work->out.at - SMB2_HEADER_SIZE);
    work_free(work);
}

static void file_sent(void *argument) {
    work_free(argument);
}

void work_answer_file(struct work *work, uint32_t status, const struct file_part *part) {
    connection_answer_file(work->connection, work->frame, status, work->out.at - SMB2_HEADER_SIZE, part, file_sent, work);
}

bool work_failed(struct work *work) {
    if (work->op.result >= 0)
        return false;
    work_refuse(work, status_of_errno(work->op.result));
    return true;
}

bool work_reserve(struct work *work, size_t room) {
    uint8_t *body = connection_body(work->connection, work->frame, room);

    if (body == NULL)
        return false;
    work->out = writer_over(body - SMB2_HEADER_SIZE, SMB2_HEADER_SIZE + room);
    work->out.at = SMB2_HEADER_SIZE;
    return true;
}

bool work_begin(struct work *work, size_t room) {
    bool has_room = work_reserve(work, room);

    if (!has_room)
        work_refuse(work, STATUS_INSUFFICIENT_RESOURCES);
    return has_room;
}

enum { OUTPUT_HEAD = 8, OUTPUT_AT = SMB2_HEADER_SIZE + OUTPUT_HEAD };

bool work_begin_output(struct work *work, size_t room) {
    if (!work_begin(work, OUTPUT_HEAD + room + 1))
        return false;
    work->out.at = OUTPUT_AT;
    work->out.size--;
    work->start = OUTPUT_AT;
    work->previous = SIZE_MAX;
    return true;
}

void work_answer_output(struct work *work, uint32_t status) {
    struct writer head = writer_over(work->out.data + SMB2_HEADER_SIZE, OUTPUT_HEAD);
    size_t size = work->out.at - OUTPUT_AT;

    writer_u16(&head, OUTPUT_HEAD + 1);
    writer_u16(&head, size > 0 ? OUTPUT_AT : 0);
    writer_u32(&head, (uint32_t)size);
    work->out.size++;
    if (size == 0) /* its StructureSize counts one octet of it */
        writer_u8(&work->out, 0);
    work_answer(work, status);
}

/* --- opens --- */

struct open *open_new(struct connection *connection, struct server_frame *frame) {
    struct open *open = connection->open_count < connection->open_limit ? calloc(1, sizeof *open) : NULL;

    if (open == NULL)
        return NULL;
    connection->open_count++;
    open->connection = connection;
    open->session = frame->request.session;
    open->tree = frame->request.tree;
    open->share = open->tree->owner;
    open->as = identity_hold(connection_identity(open->session));
    open->uses = 1;
    open->seat.loop = connection->loop;
    open->seat.notice.run = open_noticed;
    open->patience.expired = open_impatient;
    open->id = ++connection->opens_made;
    open->next = connection->opens;
    if (open->next != NULL)
        open->next->previous = open;
    connection->opens = open;
    return open;
}

struct open *open_find_key(struct connection *connection, const struct server_session *session, const uint8_t id[16]) {
    struct reader reader = reader_over((struct span){id, 16});
    uint64_t persistent = reader_u64(&reader), fleeting = reader_u64(&reader);

    for (struct open *open = connection->opens; open != NULL; open = open->next)
        if (open->id == fleeting && open->id == persistent && open->is_ready && !open->is_closing &&
            open->session == session)
            return open;
    return NULL;
}

struct open *open_find_id(struct connection *connection, const struct server_request *request, const uint8_t id[16]) {
    struct open *open = open_find_key(connection, request->session, id);

    return open != NULL && open->tree == request->tree ? open : NULL;
}

struct open *open_find(struct connection *connection, const struct server_request *request) {
    return open_find_id(connection, request, request->file_id);
}

void open_id_put(const struct open *open, uint8_t id[16]) {
    struct writer writer = writer_over(id, 16);

    writer_u64(&writer, open->id);
    writer_u64(&writer, open->id);
}

void open_hold(struct open *open) {
    open->uses++;
}

static void open_unlink(struct open *open) {
    if (open->previous != NULL)
        open->previous->next = open->next;
    else
        open->connection->opens = open->next;
    if (open->next != NULL)
        open->next->previous = open->previous;
    open->connection->open_count--;
}

static void open_free(struct open *open) {
    struct closing *endings[OPEN_ENDINGS];

    memcpy(endings, open->endings, sizeof endings);
    open_unlink(open);
    if (open->closed != NULL)
        open->closed(open->closed_argument);
    free(open->pattern);
    free(open->reply);
    identity_release(open->as);
    free(open);
    for (unsigned i = 0; i < OPEN_ENDINGS; i++)
        if (endings[i] != NULL && --endings[i]->left == 0)
            endings[i]->done(endings[i]);
}

static void file_closed(struct store_op *op) {
    open_free(op->owner);
}

static void file_close(struct store_op *op) {
    struct open *open = op->owner;

    op->kind = STORE_CLOSE;
    op->done = file_closed;
    store_submit(open->share->store, op);
}

static void file_removed(struct store_op *op) {
    struct open *open = op->owner;

    node_removed(host_nodes(open->connection->host), &open->seat);
    file_close(op);
}

void open_leave(struct open *open) {
    if (open->file == NULL) {
        open_free(open);
        return;
    }
    open->op = (struct store_op){.kind = STORE_REMOVE, .file = open->file, .owner = open, .done = file_removed,
                                 .loop = open->connection->loop};
    open->op.whole = open->seat.removes_whole;
    if (open->is_removed)
        store_submit(open->share->store, &open->op);
    else
        file_close(&open->op);
}

/* A notice that is on its way finds the open by its seat: it goes on then. */
void open_release(struct open *open) {
    struct nodes *nodes = host_nodes(open->connection->host);

    assert(open->uses > 0);
    if (--open->uses > 0)
        return;
    loop_timer_clear(open->connection->loop, &open->patience);
    notify_end(open);
    open->is_removed = node_leave(nodes, &open->seat);
    if (!node_is_noticed(nodes, &open->seat))
        open_leave(open);
}

bool open_show_written(struct open *open) {
    open->hides_written_ms = 0;
    return node_show_written(host_nodes(open->connection->host), &open->seat);
}

static struct work *waiting_take(struct open *open) {
    struct work *work = open->waiting;

    while (work != NULL && !work->waiting->take_back(work))
        work = work->next;
    return work;
}

/* Those that wait end with the file; each is taken out of the list before it ends. */
static void waiting_end(struct open *open) {
    struct work *work;

    while ((work = waiting_take(open)) != NULL) {
        const struct waiting *waiting = work->waiting;

        work_resume(work);
        waiting->end(work, waiting->closed_status);
    }
}

void open_close(struct open *open) {
    assert(!open->is_closing);
    open->is_closing = true;
    waiting_end(open);
    open_release(open);
}

bool work_security(struct work *work, struct security *security) {
    const struct store_attributes *a = &work->op.attributes;
    struct writer writer;

    if (work->op.security != NULL && security_decode((struct span){work->op.security, work->op.security_size}, security))
        return true;
    free(work->op.security);
    work->op.security = malloc(SECURITY_DEFAULT_MAX);
    if (work->op.security == NULL)
        return false;
    writer = writer_over(work->op.security, SECURITY_DEFAULT_MAX);
    security_default(a->user, a->group, a->mode, a->is_folder, &writer);
    work->op.security_size = writer.at;
    return security_decode(writer_done(&writer), security);
}

/* --- times, attributes, errors --- */

uint64_t filetime_of(struct timespec time) {
    return filetime_join(time.tv_sec, (int32_t)time.tv_nsec);
}

uint32_t file_attributes_of(const struct store_attributes *attributes) {
    uint32_t value = attributes->dos_attributes | (attributes->is_folder ? FILE_ATTRIBUTE_DIRECTORY : 0);

    return value != 0 ? value : FILE_ATTRIBUTE_NORMAL;
}

static const struct { int error; uint32_t status; } statuses[] = {
    {EACCES, STATUS_ACCESS_DENIED}, {EPERM, STATUS_ACCESS_DENIED},
    {ENOENT, STATUS_OBJECT_NAME_NOT_FOUND}, {EEXIST, STATUS_OBJECT_NAME_COLLISION},
    {ENOTDIR, STATUS_NOT_A_DIRECTORY}, {EISDIR, STATUS_FILE_IS_A_DIRECTORY},
    {ENOTEMPTY, STATUS_DIRECTORY_NOT_EMPTY}, {ENOSPC, STATUS_DISK_FULL},
    {EDQUOT, STATUS_QUOTA_EXCEEDED}, {EFBIG, STATUS_DISK_FULL},
    {EROFS, STATUS_MEDIA_WRITE_PROTECTED}, {ENOMEM, STATUS_INSUFFICIENT_RESOURCES},
    {EMFILE, STATUS_TOO_MANY_OPENED_FILES}, {ENFILE, STATUS_TOO_MANY_OPENED_FILES},
    {ENAMETOOLONG, STATUS_NAME_TOO_LONG}, {EXDEV, STATUS_NOT_SAME_DEVICE},
    {ELOOP, STATUS_OBJECT_PATH_NOT_FOUND}, {EMLINK, STATUS_TOO_MANY_LINKS},
    {EINVAL, STATUS_INVALID_PARAMETER}, {EILSEQ, STATUS_OBJECT_NAME_INVALID},
    {EOPNOTSUPP, STATUS_NOT_SUPPORTED}, {ENOSYS, STATUS_NOT_SUPPORTED},
    {EBUSY, STATUS_SHARING_VIOLATION}, {ETXTBSY, STATUS_SHARING_VIOLATION},
    {EIO, STATUS_IO_DEVICE_ERROR}, {ENODATA, STATUS_NOT_FOUND}, {ESTALE, STATUS_FILE_CLOSED},
};

uint32_t status_of_errno(int64_t result) {
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].error == -result)
            return statuses[i].status;
    return STATUS_UNSUCCESSFUL;
}

unsigned opens_tell(const struct open *opens, uint64_t connection, struct status_file *files, unsigned room) {
    unsigned count = 0;
    char path[STORE_PATH_MAX];

    for (const struct open *open = opens; open != NULL && count < room; open = open->next) {
        struct status_file *file = &files[count];
        struct store *store = open->share->store;

        if (!open->is_ready || open->is_closing)
            continue;
        if (store == NULL || store->methods->path(store, open->file, path) != 0)
            path[0] = '\0';
        file->connection = connection;
        file->writes = (open->access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) != 0;
        snprintf(file->share, sizeof file->share, "%.255s", open->share->name);
        snprintf(file->path, sizeof file->path, "%.511s", path);
        count++;
    }
    return count;
}
