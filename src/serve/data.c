#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "serve/work.h"

enum { READ_HEAD = 16, READ_AT = SMB2_HEADER_SIZE + READ_HEAD, EMPTY_BODY = 4 };
/* Elements of one LOCK request. */
enum { LOCK_ELEMENTS_MAX = 64 };
/* Octets of a READ from which on it is cheaper to send the file's pages than to copy them. */
enum { READ_SEND_LEAST = 16384 };

static void answer_empty(struct work *work) {
    if (!work_begin(work, EMPTY_BODY))
        return;
    writer_u16(&work->out, EMPTY_BODY);
    writer_u16(&work->out, 0);
    work_answer(work, STATUS_SUCCESS);
}

/* --- READ --- */

static void read_head(struct work *work, size_t size) {
    struct writer head = writer_over(work->out.data + SMB2_HEADER_SIZE, READ_HEAD);

    writer_u16(&head, READ_HEAD + 1);
    writer_u8(&head, READ_AT);
    writer_u8(&head, 0);
    writer_u32(&head, (uint32_t)size);
    writer_zero(&head, 8);
}

static void read_answer(struct work *work, size_t size, uint32_t status) {
    read_head(work, size);
    work->out.at = READ_AT + size;
    work_answer(work, status);
}

static void read_done(struct work *work) {
    uint64_t least = work->total;

    if (work_failed(work))
        return;
    if ((uint64_t)work->op.result < least || (work->op.result == 0 && work->op.size > 0))
        work_refuse(work, STATUS_END_OF_FILE);
    else {
        work->open->position = work->op.offset + (uint64_t)work->op.result;
        read_answer(work, (size_t)work->op.result, STATUS_SUCCESS);
    }
}

static void read_pipe(struct work *work, size_t size) {
    struct open *open = work->open;
    uint32_t status;
    struct span reply = pipe_give(open, size, &status);

    if (reply.size == 0) {
        work_refuse(work, STATUS_PIPE_DISCONNECTED);
        return;
    }
    work->out.at = READ_AT;
    writer_put(&work->out, reply);
    pipe_given(open, reply.size);
    read_answer(work, reply.size, status);
}

/* What READ and WRITE have in common. */
static uint32_t check_io(const struct work *work, uint64_t offset, uint32_t length, bool writes) {
    const struct open *open = work->open;

    if (open->file == NULL)
        return STATUS_SUCCESS;
    if (open->is_folder)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return STATUS_INVALID_PARAMETER;
    return node_check_io(host_nodes(work->connection->host), &work->open->seat, offset, length, writes);
}

static uint32_t read_check(const struct work *work, const struct read_request *request) {
    if (request->length > work->connection->server.policy->max_read_size || request->channel != 0)
        return STATUS_INVALID_PARAMETER;
    return check_io(work, request->offset, request->length, false);
}

/* Sends the file's own pages where they are in memory and nothing has to be computed over them. False: it has not. */
static bool read_sends(struct work *work, const struct read_request *request) {
    const struct open *open = work->open;
    struct file_part part = {.offset = request->offset};
    uint64_t size = request->length;

    if (open->file == NULL || request->length < READ_SEND_LEAST || !server_may_trail(work->frame))
        return false;
    part.descriptor = store_sendable(open->share->store, open->file, request->offset, &size);
    if (part.descriptor < 0 || size < request->minimum_count)
        return false;
    if (!work_begin(work, READ_HEAD))
        return true; /* refused */
    part.size = (size_t)size;
    read_head(work, part.size);
    work->out.at = READ_AT;
    work_answer_file(work, STATUS_SUCCESS, &part);
    return true;
}

/* 3.3.5.12; the file is read into the answer itself. */
void serve_read(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, FILE_READ_DATA | FILE_EXECUTE);
    struct read_request request;
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    if (read_request_decode(frame->request.message.bytes, &request))
        status = read_check(work, &request);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    if (read_sends(work, &request) || !work_begin(work, READ_HEAD + (size_t)request.length))
        return;
    if (work->open->file == NULL) {
        read_pipe(work, request.length);
        return;
    }
    work->total = request.minimum_count;
    work->op.offset = request.offset;
    work->op.size = request.length;
    work->op.data = work->out.data + READ_AT;
    work_submit(work, STORE_READ, read_done);
}

/* --- WRITE --- */

static void write_answer(struct work *work, uint64_t count) {
    struct write_response body = {.count = (uint32_t)count};

    write_response_place(&body);
    if (!work_begin(work, READ_HEAD))
        return;
    write_response_encode(&body, &work->out);
    work_answer(work, STATUS_SUCCESS);
}

static void write_held(struct work *work) {
    if (!work_failed(work))
        write_answer(work, work->done);
}

static void write_give_conduit(struct work *work) {
    bool is_empty = work->op.result >= 0 && (uint64_t)work->op.result >= work->op.piped;

    if (work->has_conduit)
        conduit_give(work->connection->conduits, &work->conduit, is_empty);
    work->has_conduit = false;
}

/* A time of writing that this open set stays. */
static void write_done(struct work *work) {
    write_give_conduit(work);
    if (work_failed(work))
        return;
    work->done = (uint64_t)work->op.result;
    work->open->position = work->op.offset + work->done;
    if (!work->open->holds_written) {
        write_answer(work, work->done);
        return;
    }
    work->op.set = STORE_SET_WRITTEN;
    work->op.attributes.written = work->open->written;
    work_submit(work, STORE_SET, write_held);
}

static void write_noted(struct work *work) {
    struct open *open = work->open;

    if (work->op.result < 0)
        write_give_conduit(work);
    if (work_failed(work))
        return;
    open->hides_written_ms = node_hide_written(host_nodes(work->connection->host), &open->seat, work->op.attributes.written,
                                               loop_now_ms(work->connection->loop));
    work_submit(work, STORE_WRITE, write_done);
}

/* The first write of an open, and the first one after the time of writing showed, need to know it. */
static void write_submit(struct work *work) {
    const struct open *open = work->open;

    if (open->is_stream || open->holds_written || loop_now_ms(work->connection->loop) < open->hides_written_ms)
        work_submit(work, STORE_WRITE, write_done);
    else
        work_submit(work, STORE_STAT, write_noted);
}

static uint32_t write_check(const struct work *work, const struct write_request *request) {
    if (request->length > work->connection->server.policy->max_write_size || request->channel != 0)
        return STATUS_INVALID_PARAMETER;
    return check_io(work, request->offset, request->length, true);
}

/* Nothing looks at the data, so they go from the socket to the file without being copied in between. */
static void write_pour(struct work *work, const struct write_request *request) {
    size_t late = connection_late(work->frame);
    bool pours = work->open->file != NULL && !work->op.durable && late == request->data.size &&
                 request->data_offset == SERVER_LATE_HEAD && store_takes_pipe(work->open->share->store, work->open->file);

    work->has_conduit = pours && late > 0 && conduit_take(work->connection->conduits, &work->conduit);
    if (work->has_conduit) {
        work->op.pipe = work->conduit.out;
        work->op.piped = connection_pour(work->connection, work->frame, &work->conduit);
    }
}

/* False: it was refused. What did not go into the pipe is in memory then. */
static bool write_take_late(struct work *work, const struct write_request *request) {
    write_pour(work, request);
    if (connection_late(work->frame) == 0 || connection_receive_late(work->connection, work->frame))
        return true;
    work->op.result = -EPIPE;
    write_give_conduit(work);
    work_refuse(work, STATUS_UNSUCCESSFUL);
    return false;
}

static bool is_durable(const struct work *work, const struct write_request *request) {
    enum { WRITEFLAG_WRITE_THROUGH = 1 };

    return (work->open->options & FILE_WRITE_THROUGH) != 0 || (request->flags & WRITEFLAG_WRITE_THROUGH) != 0;
}

/* 3.3.5.13; the file is written from the request itself, which stays where it is until it is answered. */
void serve_write(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, FILE_WRITE_DATA | FILE_APPEND_DATA);
    struct write_request request;
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    if (write_request_decode(frame->request.message.bytes, &request))
        status = write_check(work, &request);
    if (status == STATUS_SUCCESS) {
        work->op.durable = is_durable(work, &request);
        if (!write_take_late(work, &request))
            return;
    }
    if (status == STATUS_SUCCESS && work->open->file == NULL)
        status = pipe_take(work->open, request.data);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    if (work->open->file == NULL || request.length == 0) {
        write_answer(work, request.length);
        return;
    }
    work->op.offset = request.offset;
    work->op.size = request.data.size;
    work->op.data = frame->request.message.bytes.data == NULL ? NULL : (uint8_t *)(uintptr_t)request.data.data;
    write_submit(work);
}

/* --- FLUSH --- */

static void flush_done(struct work *work) {
    if (work_failed(work))
        return;
    open_show_written(work->open);
    answer_empty(work);
}

void serve_flush(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);

    if (work == NULL)
        return;
    if (work->open->file == NULL)
        answer_empty(work);
    else if (!work->open->is_folder && (work->open->access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) == 0)
        work_refuse(work, STATUS_ACCESS_DENIED);
    else
        work_submit(work, STORE_FLUSH, flush_done);
}

/* --- LOCK --- */

static void lock_granted(struct loop_task *task) {
    struct work *work = (struct work *)((char *)task - offsetof(struct work, wait.task));

    work_resume(work);
    answer_empty(work);
}

static bool lock_take_back(struct work *work) {
    return node_take_wait(host_nodes(work->connection->host), &work->wait);
}

/* 3.3.5.14.2, as Windows does it. */
static const struct waiting lock_waiting = {lock_take_back, work_refuse, STATUS_RANGE_NOT_LOCKED};

static struct node_range range_of(const struct lock_element *element) {
    return (struct node_range){.offset = element->offset, .length = element->length,
                               .exclusive = (element->flags & LOCK_EXCLUSIVE) != 0};
}

/* 3.3.5.14: all are unlocks, or none is; only a single one may wait. */
static uint32_t element_allowed(const struct lock_element *element, bool unlocks, bool single) {
    uint32_t flags = element->flags;

    if (element->length > 0 && element->offset > UINT64_MAX - (element->length - 1))
        return STATUS_INVALID_LOCK_RANGE;
    if (unlocks)
        return flags == LOCK_UNLOCK ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    if (!single && (flags & LOCK_FAIL_IMMEDIATELY) == 0)
        return STATUS_INVALID_PARAMETER;
    flags &= ~(uint32_t)LOCK_FAIL_IMMEDIATELY;
    return flags == LOCK_SHARED || flags == LOCK_EXCLUSIVE ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

/* Takes back what was locked before the one that could not be. */
static void locks_undo(struct work *work, const struct lock_request *request, unsigned count) {
    struct lock_element element;

    while (count-- > 0 && lock_element_at(request, count, &element)) {
        struct node_range range = range_of(&element);

        node_unlock(host_nodes(work->connection->host), &work->open->seat, &range);
    }
}

static uint32_t locks_take(struct work *work, const struct lock_request *request, bool unlocks) {
    struct nodes *nodes = host_nodes(work->connection->host);
    struct lock_element element;
    uint32_t status = STATUS_SUCCESS;

    for (unsigned i = 0; i < request->lock_count && status == STATUS_SUCCESS; i++) {
        struct node_range range;

        lock_element_at(request, i, &element);
        status = element_allowed(&element, unlocks, request->lock_count == 1);
        if (status == STATUS_SUCCESS) {
            range = range_of(&element);
            status = unlocks ? node_unlock(nodes, &work->open->seat, &range)
                             : node_lock(nodes, &work->open->seat, &range,
                                         (element.flags & LOCK_FAIL_IMMEDIATELY) != 0 ? NULL : &work->wait);
        }
        if (status != STATUS_SUCCESS && !unlocks && status != STATUS_PENDING)
            locks_undo(work, request, i);
    }
    return status;
}

/* On an expired session (3.3.5.2.9) locks are given back, but none is taken, as with Windows. */
static uint32_t locks_do(struct work *work, const struct lock_request *request, bool unlocks) {
    if (!unlocks && work->frame->request.session->state == SERVER_SESSION_EXPIRED)
        return (uint32_t)STATUS_NETWORK_SESSION_EXPIRED;
    return locks_take(work, request, unlocks);
}

void serve_lock(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct lock_request request;
    struct lock_element first;
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    work->wait.task.run = lock_granted;
    work->wait.loop = connection->loop;
    if (work->open->file == NULL || work->open->is_folder)
        status = STATUS_INVALID_DEVICE_REQUEST;
    else if (lock_request_decode(frame->request.message.bytes, &request) &&
             request.lock_count <= LOCK_ELEMENTS_MAX && lock_element_at(&request, 0, &first))
        status = locks_do(work, &request, (first.flags & LOCK_UNLOCK) != 0);
    if (status == STATUS_PENDING)
        work_wait(work, &lock_waiting);
    else if (status == STATUS_SUCCESS)
        answer_empty(work);
    else
        work_refuse(work, status);
}
