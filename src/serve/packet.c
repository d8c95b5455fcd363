/* A frame with its memory, from the first octet received to the last one sent. */
#include <assert.h>

#include "serve/connection_parts.h"
#include "store/identity.h"

/* Octets of the largest body of a response, and what is around it. */
#define PACKET_OUTPUT_MAX (SIZE_USUAL + 2u * 65536u)

static struct pool *pool_of(const struct inside *inside) {
    return inside->connection.pool;
}

struct packet *packet_new(struct inside *inside, size_t content_size, size_t output_size) {
    size_t size = sizeof(struct packet) + content_size + output_size;
    struct packet *packet = pool_take(pool_of(inside), size);

    if (packet == NULL)
        return NULL;
    *packet = (struct packet){.inside = inside, .block_size = size, .content_size = content_size,
                              .output_size = output_size, .next = inside->packets};
    packet->content = (uint8_t *)(packet + 1);
    packet->output = packet->content + content_size;
    if (packet->next != NULL)
        packet->next->previous = packet;
    inside->packets = packet;
    inside->held += content_size + output_size;
    return packet;
}

static bool output_is_inside(const struct packet *packet) {
    return packet->output == packet->content + packet->content_size;
}

static void output_free(struct packet *packet) {
    if (!output_is_inside(packet))
        pool_give(pool_of(packet->inside), packet->output, packet->output_size);
}

void packet_unlink(struct packet *packet) {
    struct inside *inside = packet->inside;

    if (packet->next != NULL)
        packet->next->previous = packet->previous;
    if (packet->previous != NULL)
        packet->previous->next = packet->next;
    else
        inside->packets = packet->next;
    inside->held -= packet->content_size + packet->output_size;
}

void packet_drop(struct packet *packet) {
    struct pool *pool = pool_of(packet->inside);

    if (packet->sent != NULL)
        packet->sent(packet->sent_argument);
    identity_release(packet->identity);
    output_free(packet);
    pool_give(pool, packet, packet->block_size);
}

void packet_free(struct packet *packet) {
    packet_unlink(packet);
    packet_drop(packet);
}

bool packet_grow(struct packet *packet, size_t size) {
    uint8_t *output = size <= PACKET_OUTPUT_MAX ? pool_take(pool_of(packet->inside), size) : NULL;

    if (output == NULL)
        return false;
    server_frame_move(&packet->frame, output, size);
    output_free(packet);
    packet->inside->held += size - packet->output_size;
    packet->output = output;
    packet->output_size = size;
    return true;
}

void packet_hand(struct packet *packet) {
    packet->handed = true;
    packet->inside->busy++;
}

bool packet_take_back(struct packet *packet) {
    struct inside *inside = packet->inside;

    assert(packet->handed);
    packet->handed = false;
    inside->busy--;
    if (!inside->closed)
        return true;
    packet_free(packet);
    connection_settle(inside);
    return false;
}
