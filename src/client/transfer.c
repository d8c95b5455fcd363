#include "client/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/chain.h"

/* Interim answers in a row without a final one: each gives the server its time once more. */
#define INTERIMS_MAX 1024u
/* Times in a row that a session expires without anything having come of the last time. */
#define EXPIRIES_MAX 3u
/* Octets of a frame in front of a WRITE's data. */
#define WRITE_HEAD (CLIENT_HEADROOM + WRITE_REQUEST_DATA_AT)
/* Octets of a frame with a READ. */
#define READ_ROOM (CLIENT_HEADROOM + SMB2_HEADER_SIZE + 64u)

/* Requests in flight. */
#define READ_DEPTH  (TRANSFER_WINDOW / TRANSFER_READ_SIZE)
#define WRITE_DEPTH (TRANSFER_WINDOW / TRANSFER_WRITE_SIZE)
#define DEPTH_MAX   (READ_DEPTH > WRITE_DEPTH ? READ_DEPTH : WRITE_DEPTH)

enum slot_state {
    SLOT_FREE,
    SLOT_WAITING, /* to be sent (again) */
    SLOT_FLYING,
    SLOT_HELD, /* answered, but a stream has to be written in order */
};

/* A part of the file that is on its way; what has come of it is taken off its front. */
struct slot {
    enum slot_state state;
    uint64_t offset;
    uint32_t length;
    uint32_t asked; /* octets of the request in flight: fewer than `length` where credits are short */
    bool is_read;   /* its part of the stream that is sent lies in `held`, from `held_at` on */
    uint64_t held_at;
};

/* Memory of a stream's part, or that answers are received in. */
struct room {
    uint8_t *memory;
    size_t size;
};

/* A part of a stream: one that is sent; or an answer that has to wait for its turn, where it was received. */
struct held {
    struct room room;
    struct span data; /* of the answer */
};

struct engine {
    struct transfer *transfer;
    struct client *client;
    uint32_t chunk_size; /* octets of a request, at most */
    unsigned depth;      /* requests in flight, at most: so many of the slots are used */
    unsigned refill_at;  /* requests in flight: with more no new ones are sent, so that several go out together */
    struct slot slots[DEPTH_MAX];
    struct held held[DEPTH_MAX]; /* of the slots */
    struct room spare[READ_DEPTH]; /* a stack, so that what was used last is used next: it may still be in the cache */
    unsigned spare_count;
    unsigned flying;
    uint64_t next;     /* the first octet that no slot has had */
    uint64_t written;  /* to a stream */
    bool sends_stream; /* what was read cannot be read again, and is held until it is there */
    bool ended;        /* the stream that is sent has */
    bool expired;
    unsigned expiries; /* since something came of a request */
    enum transfer_end end;
    unsigned together;   /* requests that are made before the first of them is sent, at most */
    uint8_t *frames[SIGN_TOGETHER_MAX]; /* memory for them; NULL: not yet */
    size_t frame_size;
    struct client_frame made[SIGN_TOGETHER_MAX];
    unsigned made_count;

    uint32_t (*most)(const struct client *client);
    /* Makes the request of a slot. False: the engine has failed, or the stream has ended. */
    bool (*make)(struct engine *engine, struct slot *slot);
    /* Takes a good answer: how many octets of it are dealt with. */
    uint32_t (*take)(struct engine *engine, struct slot *slot, struct span message);
};

static void fail(struct engine *engine, enum transfer_end end) {
    if (engine->end == TRANSFER_DONE)
        engine->end = end;
}

/* A signal came while something here was waited for: does somebody want an end? */
static bool is_stopped(struct engine *engine) {
    const struct transfer *transfer = engine->transfer;
    bool stop = transfer->tick != NULL && !transfer->tick(transfer->context, transfer->done);

    if (stop)
        fail(engine, TRANSFER_STOPPED);
    return stop;
}

static void fail_local(struct engine *engine, int number) {
    if (engine->end == TRANSFER_DONE)
        engine->transfer->number = number;
    fail(engine, TRANSFER_LOCAL);
}

static void fail_refused(struct engine *engine, uint32_t status) {
    if (engine->end == TRANSFER_DONE)
        chain_refused(&engine->transfer->error, status);
    fail(engine, TRANSFER_REMOTE);
}

static void fail_malformed(struct engine *engine) {
    if (engine->end == TRANSFER_DONE)
        chain_malformed(&engine->transfer->error);
    fail(engine, TRANSFER_REMOTE);
}

/* ---- slots ---- */

static uint64_t done_so_far(const struct engine *engine) {
    uint64_t done = engine->next;

    for (unsigned i = 0; i < engine->depth; i++)
        if (engine->slots[i].state != SLOT_FREE && engine->slots[i].offset < done)
            done = engine->slots[i].offset;
    return done;
}

static struct slot *slot_in(struct engine *engine, enum slot_state state) {
    for (unsigned i = 0; i < engine->depth; i++)
        if (engine->slots[i].state == state)
            return &engine->slots[i];
    return NULL;
}

/* The octets that one request may have now. */
static uint32_t chunk(const struct engine *engine) {
    uint32_t most = engine->most(engine->client);

    return most < engine->chunk_size ? most : engine->chunk_size;
}

/* A slot that waits, or a free one with the next part of the file. */
static struct slot *slot_to_send(struct engine *engine) {
    struct slot *slot = slot_in(engine, SLOT_WAITING);
    uint64_t left = engine->transfer->size - engine->next;

    if (slot != NULL || left == 0 || engine->ended)
        return slot;
    slot = slot_in(engine, SLOT_FREE);
    if (slot == NULL)
        return NULL;
    *slot = (struct slot){.state = SLOT_WAITING, .offset = engine->next};
    slot->length = left < chunk(engine) ? (uint32_t)left : chunk(engine);
    engine->next += slot->length;
    return slot;
}

/* Memory for a slot's part of a stream that is sent; NULL: there is none, and the engine has failed. */
static uint8_t *held_of(struct engine *engine, const struct slot *slot) {
    struct room *room = &engine->held[slot - engine->slots].room;

    if (room->memory == NULL)
        *room = (struct room){malloc(engine->chunk_size), engine->chunk_size};
    if (room->memory == NULL)
        fail_local(engine, ENOMEM);
    return room->memory;
}

static bool has_credits(const struct engine *engine, uint32_t payload) {
    return client_credits(engine->client) >= client_charge(engine->client, payload);
}

/* Says how much the request of a slot asks for. What of a stream does not fit is left in it. */
static void ask(struct engine *engine, struct slot *slot) {
    slot->asked = slot->length < chunk(engine) ? slot->length : chunk(engine);
    if (!engine->sends_stream || slot->is_read)
        return;
    engine->next -= slot->length - slot->asked;
    slot->length = slot->asked;
}

/* Sends the requests that were made: they count as in flight already. */
static void send_made(struct engine *engine) {
    struct transfer *transfer = engine->transfer;
    unsigned count = engine->made_count;

    engine->made_count = 0;
    if (count > 0 && !session_send_many(transfer->share->session, engine->made, count, &transfer->error))
        fail(engine, TRANSFER_REMOTE);
}

static void make_requests(struct engine *engine) {
    while (engine->end == TRANSFER_DONE && !engine->expired && client_credits(engine->client) > 0) {
        struct slot *slot = slot_to_send(engine);

        if (slot == NULL)
            return;
        ask(engine, slot);
        if (!has_credits(engine, slot->asked) || !engine->make(engine, slot))
            return;
        slot->state = SLOT_FLYING;
        engine->flying++;
        if (engine->made_count == engine->together)
            send_made(engine);
    }
}

/* Sends what can be sent. */
static void pump(struct engine *engine) {
    if (engine->flying > engine->refill_at)
        return;
    make_requests(engine);
    send_made(engine);
}

/* Memory for the request that is made next; NULL: there is none, and the engine has failed. */
static uint8_t *frame_room(struct engine *engine) {
    uint8_t **frame = &engine->frames[engine->made_count];

    if (*frame == NULL && (*frame = malloc(engine->frame_size)) == NULL)
        fail_local(engine, ENOMEM);
    return *frame;
}

/* Adds a request to those that were made, in the room that frame_room() gave. */
static bool make_request(struct engine *engine, struct slot *slot, uint16_t command, client_body_encode *encode,
                         const void *arguments) {
    struct client_request request = {
        .command = command, .tree_id = engine->transfer->share->tree, .payload = slot->asked, .owner = slot};
    struct client_frame *frame = &engine->made[engine->made_count];

    client_frame_begin(frame, engine->frames[engine->made_count], engine->frame_size);
    if (!client_frame_add(engine->client, frame, &request, encode, arguments)) {
        fail_refused(engine, STATUS_INSUFFICIENT_RESOURCES);
        return false;
    }
    engine->made_count++;
    return true;
}

/* ---- answers ---- */

static void take_final(struct engine *engine, struct slot *slot, const struct client_response *response) {
    uint32_t taken;

    engine->flying--;
    slot->state = SLOT_WAITING;
    if (response->status == STATUS_NETWORK_SESSION_EXPIRED) {
        engine->expired = true;
        return;
    }
    if (response->status == STATUS_END_OF_FILE) {
        fail(engine, TRANSFER_SHRUNK);
        return;
    }
    if (!status_has_body(response->status)) {
        fail_refused(engine, response->status);
        return;
    }
    if (engine->end != TRANSFER_DONE)
        return;
    taken = engine->take(engine, slot, response->message);
    engine->expiries = 0;
    if (slot->state == SLOT_HELD)
        return;
    slot->offset += taken;
    slot->length -= taken;
    if (slot->length == 0)
        *slot = (struct slot){.state = SLOT_FREE};
}

/* Waits for one final answer. */
static void await(struct engine *engine) {
    struct transfer *transfer = engine->transfer;
    struct client_response response = {.is_interim = true};

    for (unsigned i = 0; response.is_interim; i++) {
        if (i == INTERIMS_MAX)
            client_timed_out(engine->client);
        session_expect(transfer->share->session, engine->together > 1 ? engine->flying : 1);
        if (!session_receive(transfer->share->session, &response, &transfer->error)) {
            engine->end = TRANSFER_REMOTE;
            engine->flying = 0;
            return;
        }
    }
    take_final(engine, response.owner, &response);
    transfer->done = done_so_far(engine);
    if (engine->end == TRANSFER_DONE && transfer->tick != NULL && !transfer->tick(transfer->context, transfer->done))
        fail(engine, TRANSFER_STOPPED);
}

static void authenticate_again(struct engine *engine) {
    struct transfer *transfer = engine->transfer;

    engine->expired = false;
    if (++engine->expiries > EXPIRIES_MAX)
        fail_refused(engine, STATUS_NETWORK_SESSION_EXPIRED);
    else if (!session_reauthenticate(transfer->share->session, &transfer->error))
        fail(engine, TRANSFER_REMOTE);
}

static bool is_finished(const struct engine *engine) {
    if (engine->end != TRANSFER_DONE)
        return true;
    for (unsigned i = 0; i < engine->depth; i++)
        if (engine->slots[i].state != SLOT_FREE)
            return false;
    return engine->ended || engine->next == engine->transfer->size;
}

static void free_memory(struct engine *engine) {
    for (unsigned i = 0; i < engine->depth; i++)
        free(engine->held[i].room.memory);
    for (unsigned i = 0; i < SIGN_TOGETHER_MAX; i++)
        free(engine->frames[i]);
    while (engine->spare_count > 0)
        free(engine->spare[--engine->spare_count].memory);
}

static enum transfer_end run(struct engine *engine) {
    struct transfer *transfer = engine->transfer;

    engine->client = session_frames(transfer->share->session);
    engine->next = engine->written = transfer->done = transfer->start;
    engine->together = client_signs_together(engine->client) && !engine->sends_stream ? SIGN_TOGETHER_MAX : 1;
    if (engine->refill_at > engine->depth - engine->together)
        engine->refill_at = engine->depth - engine->together;
    while (engine->flying > 0 || !is_finished(engine)) {
        pump(engine);
        if (engine->flying > 0)
            await(engine);
        else if (engine->expired && engine->end == TRANSFER_DONE)
            authenticate_again(engine);
        else if (!is_finished(engine)) /* nothing in flight, and nothing can be sent */
            fail_refused(engine, STATUS_INSUFFICIENT_RESOURCES);
    }
    transfer->done = done_so_far(engine);
    free_memory(engine);
    return engine->end;
}

/* ---- get ---- */

static void put_read(struct writer *writer, const void *arguments) {
    read_request_encode(arguments, writer);
}

static bool make_read(struct engine *engine, struct slot *slot) {
    struct read_request request = {.length = slot->asked, .offset = slot->offset};

    if (frame_room(engine) == NULL)
        return false;
    memcpy(request.file_id, engine->transfer->file->id, FILE_ID_SIZE);
    read_request_place(&request);
    return make_request(engine, slot, SMB2_READ, put_read, &request);
}

static bool write_at(struct engine *engine, struct span data, uint64_t offset) {
    const struct transfer *transfer = engine->transfer;

    while (data.size > 0) {
        ssize_t wrote = transfer->is_stream ? write(transfer->fd, data.data, data.size)
                                            : pwrite(transfer->fd, data.data, data.size, (off_t)offset);

        if (wrote < 0 && errno == EINTR) {
            if (is_stopped(engine))
                return false;
            continue;
        }
        if (wrote < 0) {
            fail_local(engine, errno);
            return false;
        }
        data = span_slice(data, (size_t)wrote, data.size);
        offset += (uint64_t)wrote;
    }
    return true;
}

/* What came short, or together with others, is read again. */
static uint32_t hold(struct engine *engine, struct slot *slot, struct span data) {
    struct held *held = &engine->held[slot - engine->slots];
    struct room room = {NULL, 0};

    if (data.size < slot->length)
        return 0;
    if (engine->spare_count > 0)
        room = engine->spare[--engine->spare_count];
    if (session_keep_received(engine->transfer->share->session, &room.memory, &room.size)) {
        *held = (struct held){room, data};
        slot->state = SLOT_HELD;
    } else if (room.memory != NULL) {
        engine->spare[engine->spare_count++] = room;
    }
    return 0;
}

static bool write_held(struct engine *engine, struct slot *slot) {
    struct held *held = &engine->held[slot - engine->slots];

    if (!write_at(engine, held->data, slot->offset))
        return false;
    engine->written += slot->length;
    engine->spare[engine->spare_count++] = held->room;
    *held = (struct held){0};
    *slot = (struct slot){.state = SLOT_FREE};
    return true;
}

/* Writes what was held back, as far as it is its turn. */
static void release_held(struct engine *engine) {
    for (unsigned i = 0; i < engine->depth; i++) {
        struct slot *slot = &engine->slots[i];

        if (slot->state != SLOT_HELD || slot->offset != engine->written)
            continue;
        if (!write_held(engine, slot))
            return;
        i = UINT32_MAX; /* another one's turn may have come: from the first again */
    }
}

static uint32_t take_read(struct engine *engine, struct slot *slot, struct span message) {
    struct read_response response;

    if (!read_response_decode(message, &response) || response.data.size > slot->asked) {
        fail_malformed(engine);
        return 0;
    }
    if (response.data.size == 0) {
        fail(engine, TRANSFER_SHRUNK);
        return 0;
    }
    if (engine->transfer->is_stream && slot->offset != engine->written)
        return hold(engine, slot, response.data);
    if (!write_at(engine, response.data, slot->offset))
        return 0;
    engine->written += response.data.size;
    if (engine->transfer->is_stream)
        release_held(engine);
    return (uint32_t)response.data.size;
}

enum transfer_end transfer_get(struct transfer *transfer) {
    struct engine engine = {
        .transfer = transfer,
        .chunk_size = TRANSFER_READ_SIZE,
        .depth = READ_DEPTH,
        .refill_at = READ_DEPTH / 2,
        .most = client_read_max,
        .make = make_read,
        .take = take_read,
        .frame_size = READ_ROOM,
    };

    return run(&engine);
}

/* ---- put ---- */

/* Reads `size` octets; `got` is fewer where the file or stream ends. */
static bool read_octets(struct engine *engine, uint8_t *data, uint32_t size, uint64_t offset, uint32_t *got) {
    const struct transfer *transfer = engine->transfer;

    for (*got = 0; *got < size;) {
        size_t left = size - *got;
        ssize_t came = transfer->is_stream ? read(transfer->fd, data + *got, left)
                                           : pread(transfer->fd, data + *got, left, (off_t)(offset + *got));

        if (came < 0 && errno == EINTR) {
            if (is_stopped(engine))
                return false;
            continue;
        }
        if (came < 0)
            fail_local(engine, errno);
        if (came <= 0)
            return came == 0;
        *got += (uint32_t)came;
    }
    return true;
}

/* The stream's next octets go to the slot, whose length becomes 0 where it has ended. */
static bool read_stream(struct engine *engine, struct slot *slot) {
    uint8_t *held = held_of(engine, slot);
    uint32_t got;

    if (held == NULL || !read_octets(engine, held, slot->asked, slot->offset, &got))
        return false;
    engine->ended = got < slot->asked;
    engine->next -= slot->length - got;
    slot->length = slot->asked = got;
    slot->held_at = slot->offset;
    slot->is_read = true;
    return true;
}

/* Puts the slot's data at their place in a frame. False: there are none to be sent. */
static bool fill_frame(struct engine *engine, struct slot *slot, uint8_t *data) {
    uint32_t got;

    if (engine->sends_stream) {
        if (!slot->is_read && !read_stream(engine, slot))
            return false;
        if (slot->length == 0)
            *slot = (struct slot){.state = SLOT_FREE};
        else
            memcpy(data, held_of(engine, slot) + (slot->offset - slot->held_at), slot->asked);
        return slot->state != SLOT_FREE;
    }
    if (!read_octets(engine, data, slot->asked, slot->offset, &got))
        return false;
    if (got < slot->asked)
        fail(engine, TRANSFER_SHRUNK);
    return got == slot->asked;
}

/* The data are in the frame already: room is all that they need. */
static void put_write(struct writer *writer, const void *arguments) {
    const struct write_request *request = arguments;
    struct write_request fixed = *request;

    fixed.length = 0;
    fixed.data = (struct span){0};
    write_request_encode(&fixed, writer);
    if (writer->failed || request->data.data != writer->data + writer->at ||
        request->data.size > writer->size - writer->at) {
        writer->failed = true;
        return;
    }
    struct writer length = writer_over(writer->data + SMB2_HEADER_SIZE + 4, 4);
    writer_u32(&length, request->length);
    writer->at += request->data.size;
}

static bool make_write(struct engine *engine, struct slot *slot) {
    struct write_request request = {.offset = slot->offset};
    uint8_t *frame = frame_room(engine);

    if (frame == NULL || !fill_frame(engine, slot, frame + WRITE_HEAD))
        return false;
    memcpy(request.file_id, engine->transfer->file->id, FILE_ID_SIZE);
    request.data = (struct span){frame + WRITE_HEAD, slot->asked};
    write_request_place(&request);
    return make_request(engine, slot, SMB2_WRITE, put_write, &request);
}

static uint32_t take_write(struct engine *engine, struct slot *slot, struct span message) {
    struct write_response response;

    if (!write_response_decode(message, &response) || response.count > slot->asked)
        fail_malformed(engine);
    else if (response.count == 0)
        fail_refused(engine, STATUS_DISK_FULL);
    else
        return response.count;
    return 0;
}

enum transfer_end transfer_put(struct transfer *transfer) {
    struct engine engine = {
        .transfer = transfer,
        .chunk_size = TRANSFER_WRITE_SIZE,
        .depth = WRITE_DEPTH,
        .refill_at = WRITE_DEPTH,
        .most = client_write_max,
        .make = make_write,
        .take = take_write,
        .sends_stream = transfer->is_stream,
        .frame_size = WRITE_HEAD + TRANSFER_WRITE_SIZE,
    };

    return run(&engine);
}
