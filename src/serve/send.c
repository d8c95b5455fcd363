/* What goes out on a connection: answers in their order, parts of files behind them, interim responses, notifications. */
#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "serve/connection_parts.h"

/* ---- the queue ---- */

static ssize_t send_octets(const struct inside *inside, struct packet *packet) {
    int more = packet->part.size > 0 ? MSG_MORE : 0;
    ssize_t sent = send(inside->watch.descriptor, packet->out.data, packet->out.size, MSG_NOSIGNAL | more);

    if (sent > 0)
        packet->out = span_slice(packet->out, (size_t)sent, packet->out.size);
    return sent;
}

static ssize_t send_file(const struct inside *inside, struct packet *packet) {
    static const uint8_t zeros[4096];
    off_t offset = (off_t)packet->part.offset;
    ssize_t sent = sendfile(inside->watch.descriptor, packet->part.descriptor, &offset, packet->part.size);

    if (sent == 0) /* it was longer when the answer was begun */
        sent = send(inside->watch.descriptor, zeros, packet->part.size < sizeof zeros ? packet->part.size : sizeof zeros,
                    MSG_NOSIGNAL);
    if (sent > 0) {
        packet->part.offset += (uint64_t)sent;
        packet->part.size -= (size_t)sent;
    }
    return sent;
}

/* False: the peer takes no more at the moment, or the connection is closed. */
static bool send_packet(struct inside *inside, struct packet *packet) {
    while (packet->out.size > 0 || packet->part.size > 0) {
        ssize_t sent = packet->out.size > 0 ? send_octets(inside, packet) : send_file(inside, packet);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            connection_close(inside, "lost");
        if (sent < 0)
            return false;
        inside->unsent -= (size_t)sent;
        inside->station->counters.sent += (size_t)sent;
    }
    return true;
}

void connection_flush(struct inside *inside) {
    while (!inside->closed && inside->out_first != NULL) {
        struct packet *packet = inside->out_first;

        if (!send_packet(inside, packet))
            return;
        inside->out_first = packet->next_out;
        if (inside->out_first == NULL)
            inside->out_last = NULL;
        packet_free(packet);
    }
}

static void queue(struct inside *inside, struct packet *packet, struct span out) {
    packet->out = out;
    packet->next_out = NULL;
    inside->unsent += out.size + packet->part.size;
    if (inside->out_last != NULL)
        inside->out_last->next_out = packet;
    else
        inside->out_first = packet;
    inside->out_last = packet;
}

/* What is still in the socket of a request that is answered, since it was refused. */
static void discard_late(struct inside *inside, struct packet *packet) {
    while (inside->late > 0 && inside->late_packet == packet && !inside->closed) {
        ssize_t gone = recv(inside->watch.descriptor, packet->content, inside->late, MSG_TRUNC);

        if (gone > 0)
            inside->late -= (size_t)gone;
        else if (gone == 0 || errno != EINTR)
            connection_close(inside, "lost");
    }
}

/* What the bystander makes of an answer, in the packet's output. */
static struct span changed_answer(struct inside *inside, struct packet *packet, struct span out) {
    struct span changed = bystander_of(inside)->answers(inside->guest, &inside->connection.server, out);

    if (changed.size > packet->output_size && !packet_grow(packet, changed.size))
        return out;
    if (changed.size > 0)
        memmove(packet->output, changed.data, changed.size);
    return (struct span){packet->output, changed.size};
}

void connection_send_answer(struct inside *inside) {
    struct span out = server_output(&inside->connection.server);
    struct packet *packet = server_sent(&inside->connection.server)->owner;

    discard_late(inside, packet);
    if (inside->closed) /* and the packet gone */
        return;
    if (bystander_of(inside) != NULL && out.size > 0 && packet->part.size == 0)
        out = changed_answer(inside, packet, out);
    queue(inside, packet, out);
    if (inside->unsent >= CONNECTION_SEND_LEAST)
        connection_flush(inside);
}

/* ---- for the commands ---- */

uint8_t *connection_body(struct connection *connection, struct server_frame *frame, size_t size) {
    uint8_t *body = server_body(frame, size);
    struct packet *packet = frame->owner;

    (void)connection;
    if (body != NULL || !packet_grow(packet, frame->end + size + SERVER_OUTPUT_LEAST))
        return body;
    return server_body(frame, size);
}

void connection_answer(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size) {
    if (!packet_take_back(frame->owner))
        return;
    server_respond(&connection->server, frame, status, body_size);
    connection_pump(connection->inside);
}

void connection_answer_file(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size,
                            const struct file_part *part, void (*sent)(void *argument), void *argument) {
    struct packet *packet = frame->owner;

    packet->part = *part;
    packet->sent = sent;
    packet->sent_argument = argument;
    if (!packet_take_back(packet))
        return;
    server_respond_trailing(&connection->server, frame, status, body_size, part->size);
    connection_pump(connection->inside);
}

void connection_refuse(struct connection *connection, struct server_frame *frame, uint32_t status) {
    if (!packet_take_back(frame->owner))
        return;
    server_refuse(&connection->server, frame, status, (struct span){NULL, 0});
    connection_pump(connection->inside);
}

static void send_extra(struct inside *inside, struct packet *packet, struct span out) {
    if (out.size == 0) {
        packet_free(packet);
        return;
    }
    queue(inside, packet, out);
    connection_pump(inside);
}

void connection_pend(struct connection *connection, struct server_frame *frame) {
    struct inside *inside = connection->inside;
    size_t size = SERVER_INTERIM_SIZE + frame->end;
    struct packet *packet = inside->closed ? NULL : packet_new(inside, 0, size);

    if (packet != NULL) /* without memory the client waits without being told */
        send_extra(inside, packet, server_pend(&connection->server, frame, packet->output, size));
}

void connection_notify(struct connection *connection, struct server_session *session, const struct server_tree *tree,
                       uint16_t command, const void *body, size_t body_size) {
    struct inside *inside = connection->inside;
    size_t before = SERVER_HEADROOM + SMB2_HEADER_SIZE;
    struct packet *packet = inside->closed ? NULL : packet_new(inside, 0, before + body_size);

    if (packet == NULL)
        return;
    memcpy(packet->output + before, body, body_size);
    send_extra(inside, packet, server_notify(&connection->server, session, tree, command, packet->output, body_size));
}
