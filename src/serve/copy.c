/* Copying on the server: 3.3.5.15.5 and 3.3.5.15.6. */
#include <string.h>

#include "serve/control.h"

enum {
    KEY_SIZE = 24, KEY_ANSWER_SIZE = 32, CHUNK_SIZE = 24, COPY_HEAD_SIZE = 32, COPY_ANSWER_SIZE = 12,
    /* What a request may ask for, as Windows has it. */
    CHUNKS_MAX = 256, CHUNK_OCTETS_MAX = 1024 * 1024, COPY_OCTETS_MAX = 16 * 1024 * 1024,
};

struct chunk {
    uint64_t source_offset, target_offset;
    uint32_t length;
};

/* The key is the open's FileId and nothing else: only opens of the same session are found by it. */
void copy_key(struct work *work, const struct ioctl_request *request) {
    uint8_t octets[KEY_ANSWER_SIZE] = {0};

    if (request->max_output_response < KEY_ANSWER_SIZE) {
        work_refuse(work, STATUS_INVALID_PARAMETER);
        return;
    }
    open_id_put(work->open, octets);
    control_answer(work, (struct span){octets, sizeof octets}, STATUS_SUCCESS);
}

static void copy_answer(struct work *work, uint32_t chunks, uint32_t octets_of_chunk, uint32_t octets, uint32_t status) {
    uint8_t output[COPY_ANSWER_SIZE];
    struct writer writer = writer_over(output, sizeof output);

    writer_u32(&writer, chunks);
    writer_u32(&writer, octets_of_chunk);
    writer_u32(&writer, octets);
    control_answer(work, writer_done(&writer), status);
}

static void copy_refuse_limits(struct work *work) {
    copy_answer(work, CHUNKS_MAX, CHUNK_OCTETS_MAX, COPY_OCTETS_MAX, STATUS_INVALID_PARAMETER);
}

static struct chunk chunk_at(struct span chunks, uint64_t index) {
    struct reader reader = reader_over(span_slice(chunks, (size_t)index * CHUNK_SIZE, CHUNK_SIZE));
    struct chunk chunk;

    chunk.source_offset = reader_u64(&reader);
    chunk.target_offset = reader_u64(&reader);
    chunk.length = reader_u32(&reader);
    return chunk;
}

/* What was copied so far is told with every status. */
static void copy_end(struct work *work, uint32_t status) {
    copy_answer(work, (uint32_t)work->done, 0, (uint32_t)work->total, status);
}

static void copy_next(struct work *work);

static void chunk_copied(struct work *work) {
    if (work->op.result < 0) {
        copy_end(work, status_of_errno(work->op.result));
        return;
    }
    work->total += (uint64_t)work->op.result;
    work->op.offset += (uint64_t)work->op.result;
    work->op.source_offset += (uint64_t)work->op.result;
    work->op.size -= (uint64_t)work->op.result;
    if (work->op.size > 0 && work->op.result > 0) {
        work_submit(work, STORE_COPY, chunk_copied);
        return;
    }
    if (work->op.size > 0) { /* the source was cut meanwhile */
        copy_end(work, STATUS_INVALID_VIEW_SIZE);
        return;
    }
    work->done++;
    copy_next(work);
}

static uint32_t chunk_check(struct work *work, const struct chunk *chunk) {
    struct nodes *nodes = host_nodes(work->connection->host);
    uint32_t status;

    if (chunk->source_offset > work->source_size || chunk->length > work->source_size - chunk->source_offset)
        return STATUS_INVALID_VIEW_SIZE;
    if (chunk->target_offset > (uint64_t)INT64_MAX - chunk->length)
        return STATUS_INVALID_PARAMETER;
    status = node_check_io(nodes, &work->source->seat, chunk->source_offset, chunk->length, false);
    return status != STATUS_SUCCESS ? status
                                    : node_check_io(nodes, &work->open->seat, chunk->target_offset, chunk->length, true);
}

static void copy_next(struct work *work) {
    struct chunk chunk;
    uint32_t status;

    if (work->done >= work->count) {
        copy_end(work, STATUS_SUCCESS);
        return;
    }
    chunk = chunk_at(work->list, work->done);
    status = chunk_check(work, &chunk);
    if (status != STATUS_SUCCESS) {
        copy_end(work, status);
        return;
    }
    work->op.source = work->source->file;
    work->op.source_offset = chunk.source_offset;
    work->op.offset = chunk.target_offset;
    work->op.size = chunk.length;
    work_submit(work, STORE_COPY, chunk_copied);
}

static void source_stated(struct work *work) {
    if (work_failed(work))
        return;
    work->source_size = work->op.attributes.size;
    copy_next(work);
}

/* All within the limits, or the answer tells them. */
static bool chunks_fit(const struct work *work) {
    uint64_t octets = 0;

    for (uint32_t i = 0; i < work->count; i++) {
        uint32_t length = chunk_at(work->list, i).length;

        if (length == 0 || length > CHUNK_OCTETS_MAX)
            return false;
        octets += length;
    }
    return octets <= COPY_OCTETS_MAX;
}

static uint32_t copy_access(const struct work *work, uint32_t code) {
    uint32_t target = work->open->access, source = work->source->access;

    if (work->source->file == NULL || work->source->is_folder || work->open->is_folder)
        return STATUS_INVALID_DEVICE_REQUEST;
    if ((source & (FILE_READ_DATA | FILE_EXECUTE)) == 0 || (target & (FILE_WRITE_DATA | FILE_APPEND_DATA)) == 0 ||
        work->open->share->read_only)
        return STATUS_ACCESS_DENIED;
    return code == FSCTL_SRV_COPYCHUNK && (target & FILE_READ_DATA) == 0 ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
}

void copy_chunks(struct work *work, const struct ioctl_request *request) {
    struct reader reader = reader_over(request->input);
    struct span key = reader_take(&reader, KEY_SIZE);
    uint32_t status = STATUS_OBJECT_NAME_NOT_FOUND;

    work->count = reader_u32(&reader);
    reader_skip(&reader, 4);
    if (reader.failed || request->max_output_response < COPY_ANSWER_SIZE) {
        work_refuse(work, STATUS_INVALID_PARAMETER);
        return;
    }
    work->list = reader_take(&reader, reader_left(&reader));
    work->source = open_find_key(work->connection, work->open->session, key.data);
    if (work->source != NULL) {
        open_hold(work->source);
        status = copy_access(work, request->ctl_code);
    }
    if (status != STATUS_SUCCESS)
        work_refuse(work, status);
    else if (work->count > CHUNKS_MAX || work->list.size / CHUNK_SIZE < work->count || !chunks_fit(work))
        copy_refuse_limits(work);
    else
        work_submit_on(work, work->source, STORE_STAT, source_stated);
}
