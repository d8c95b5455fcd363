/* Oplocks that are broken: telling the client, and what it answers ([MS-SMB2] 3.3.4.6, 3.3.5.22, 3.3.6.1). */
#include <stddef.h>

#include "serve/work.h"

/* How long a client may take to acknowledge a break; Windows gives it as long. */
#define BREAK_PATIENCE_MS 35000u

enum { BREAK_SIZE = 24 };

static void break_tell(struct open *open, enum oplock_level level) {
    uint8_t octets[SMB2_HEADER_SIZE + BREAK_SIZE];
    struct writer writer = writer_over(octets, sizeof octets);
    struct oplock_break body = {.oplock_level = (uint8_t)level};

    writer.at = SMB2_HEADER_SIZE;
    open_id_put(open, body.file_id);
    oplock_break_place(&body);
    oplock_break_encode(&body, &writer);
    connection_notify(open->connection, open->session, open->tree, SMB2_OPLOCK_BREAK, octets + SMB2_HEADER_SIZE,
                      BREAK_SIZE);
}

/* A client that cannot be waited for has not answered. Telling it may end the connection, and with it the open. */
void open_noticed(struct loop_task *task) {
    struct open *open = (struct open *)((char *)task - offsetof(struct open, seat.notice));
    struct nodes *nodes = host_nodes(open->connection->host);
    struct node_notice notice = node_take_notice(nodes, &open->seat);

    if (notice.has_left) {
        open_leave(open);
        return;
    }
    if (open->is_closing) /* and its session may have ended */
        return;
    open->is_notice_due = notice.is_broken && !open->is_ready;
    if (notice.wants_answer && loop_timer_set(open->connection->loop, &open->patience, BREAK_PATIENCE_MS) != 0)
        node_expire(nodes, &open->seat);
    if (notice.is_broken && open->is_ready)
        break_tell(open, notice.level);
    else if (notice.is_deleted)
        notify_refuse(open, STATUS_DELETE_PENDING);
}

void open_impatient(struct loop_timer *timer) {
    struct open *open = (struct open *)((char *)timer - offsetof(struct open, patience));

    node_expire(host_nodes(open->connection->host), &open->seat);
}

void open_ready(struct open *open) {
    if (!open->is_notice_due || open->is_closing)
        return;
    open->is_notice_due = false;
    break_tell(open, open->seat.broken_to);
}

/* 3.3.5.22.1. There are no leases that could be acknowledged. */
void serve_oplock_break(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct oplock_break request;
    enum oplock_level left = OPLOCK_LEVEL_NONE;
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    if (oplock_break_decode(frame->request.message.bytes, &request) && work->open->file != NULL)
        status = node_acknowledge(host_nodes(connection->host), &work->open->seat, request.oplock_level, &left);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    loop_timer_clear(connection->loop, &work->open->patience);
    request.oplock_level = (uint8_t)left;
    open_id_put(work->open, request.file_id);
    oplock_break_place(&request);
    if (!work_begin(work, BREAK_SIZE))
        return;
    oplock_break_encode(&request, &work->out);
    work_answer(work, STATUS_SUCCESS);
}
