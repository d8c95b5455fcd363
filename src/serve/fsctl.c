/* The control codes of files. */
#include <stdlib.h>

#include "serve/control.h"

enum { RANGE_SIZE = 16, OBJECT_ID_SIZE = 64 };

static void set_sparse(struct work *work, const struct ioctl_request *request) {
    enum { ACCESSES = FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_ATTRIBUTES };

    if (work->open->is_folder) {
        work_refuse(work, STATUS_INVALID_PARAMETER);
        return;
    }
    if ((work->open->access & ACCESSES) == 0) {
        work_refuse(work, STATUS_ACCESS_DENIED);
        return;
    }
    work->op.sparse = request->input.size == 0 || request->input.data[0] != 0;
    work_submit(work, STORE_SPARSE, control_done);
}

static void set_zero(struct work *work, const struct ioctl_request *request) {
    struct reader reader = reader_over(request->input);
    uint64_t from = reader_u64(&reader), to = reader_u64(&reader);
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work->open->is_folder)
        status = STATUS_INVALID_DEVICE_REQUEST;
    else if ((work->open->access & FILE_WRITE_DATA) == 0)
        status = STATUS_ACCESS_DENIED;
    else if (!reader.failed && from <= to && to <= INT64_MAX)
        status = node_check_io(host_nodes(work->connection->host), &work->open->seat, from, to - from, true);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    work->op.offset = from;
    work->op.size = to - from;
    work_submit(work, STORE_ZERO, control_done);
}

/* --- FSCTL_QUERY_ALLOCATED_RANGES --- */

/* Ranges are written as they come; the answer is begun with all the room that the client gives. */
static bool range_put(struct store_op *op, uint64_t offset, uint64_t size) {
    struct work *work = op->owner;

    work->full = work->count + RANGE_SIZE > work->total;
    if (work->full)
        return false;
    struct writer writer = writer_over((uint8_t *)work->name + work->count, RANGE_SIZE);

    writer_u64(&writer, offset);
    writer_u64(&writer, size);
    work->count += RANGE_SIZE;
    return true;
}

static void ranges_had(struct work *work) {
    struct span output = {(const uint8_t *)work->name, work->count};

    if (work_failed(work))
        return;
    if (work->full && work->count == 0)
        work_refuse(work, STATUS_BUFFER_TOO_SMALL);
    else
        control_answer(work, output, work->full ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS);
}

/* Of a file that is not sparse, all is allocated. */
static void ranges_stated(struct work *work) {
    const struct store_attributes *a = &work->op.attributes;
    uint64_t left = a->size > work->op.offset ? a->size - work->op.offset : 0;
    uint64_t size = left < work->op.size ? left : work->op.size;

    if (work_failed(work))
        return;
    if ((a->dos_attributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0 && !work->open->is_stream && size > 0) {
        work->op.size = size;
        work_submit(work, STORE_RANGES, ranges_had);
        return;
    }
    if (size > 0)
        range_put(&work->op, work->op.offset, size);
    ranges_had(work);
}

static void ranges_query(struct work *work, const struct ioctl_request *request) {
    struct reader reader = reader_over(request->input);
    uint64_t offset = reader_u64(&reader), size = reader_u64(&reader);
    uint32_t status = STATUS_SUCCESS;

    if (work->open->is_folder)
        status = STATUS_INVALID_DEVICE_REQUEST;
    else if ((work->open->access & FILE_READ_DATA) == 0)
        status = STATUS_ACCESS_DENIED;
    else if (reader.failed || offset > INT64_MAX || size > INT64_MAX - offset)
        status = STATUS_INVALID_PARAMETER;
    else if ((work->name = malloc(request->max_output_response + 1u)) == NULL)
        status = STATUS_INSUFFICIENT_RESOURCES;
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    work->total = request->max_output_response;
    work->op.offset = offset;
    work->op.size = size;
    work->op.range = range_put;
    work_submit(work, STORE_STAT, ranges_stated);
}

/* --- others --- */

/* A file has an id that nobody needs to make: ObjectId, and the same as the one of its birth ([MS-FSCC] 2.1.3.1). */
static void object_id_had(struct work *work) {
    uint8_t octets[OBJECT_ID_SIZE];
    struct writer writer = writer_over(octets, sizeof octets);
    struct store_id id = work->op.attributes.id;

    if (work_failed(work))
        return;
    for (unsigned i = 0; i < 3; i++) {
        writer_u64(&writer, i == 1 ? 0 : id.file); /* the second is the volume's */
        writer_u64(&writer, id.volume);
    }
    writer_zero(&writer, OBJECT_ID_SIZE - writer.at);
    control_answer(work, writer_done(&writer), STATUS_SUCCESS);
}

static void object_id_get(struct work *work, const struct ioctl_request *request) {
    if (request->max_output_response < OBJECT_ID_SIZE)
        work_refuse(work, STATUS_BUFFER_TOO_SMALL);
    else
        work_submit(work, STORE_STAT, object_id_had);
}

/* Nothing is compressed. */
static void compression_get(struct work *work, const struct ioctl_request *request) {
    static const uint8_t none[2] = {0};

    if (request->max_output_response < sizeof none)
        work_refuse(work, STATUS_BUFFER_TOO_SMALL);
    else
        control_answer(work, (struct span){none, sizeof none}, STATUS_SUCCESS);
}

static void compression_set(struct work *work, const struct ioctl_request *request) {
    struct reader reader = reader_over(request->input);
    bool is_none = reader_u16(&reader) == 0;

    if (reader.failed)
        work_refuse(work, STATUS_INVALID_PARAMETER);
    else if (is_none)
        control_answer(work, (struct span){NULL, 0}, STATUS_SUCCESS);
    else
        work_refuse(work, STATUS_NOT_SUPPORTED);
}

bool fsctl_serve(struct work *work, const struct ioctl_request *request) {
    switch (request->ctl_code) {
    case FSCTL_SET_SPARSE:             set_sparse(work, request); return true;
    case FSCTL_SET_ZERO_DATA:          set_zero(work, request); return true;
    case FSCTL_QUERY_ALLOCATED_RANGES: ranges_query(work, request); return true;
    case FSCTL_SRV_REQUEST_RESUME_KEY: copy_key(work, request); return true;
    case FSCTL_SRV_COPYCHUNK:
    case FSCTL_SRV_COPYCHUNK_WRITE:    copy_chunks(work, request); return true;
    case FSCTL_CREATE_OR_GET_OBJECT_ID: object_id_get(work, request); return true;
    case FSCTL_GET_COMPRESSION:        compression_get(work, request); return true;
    case FSCTL_SET_COMPRESSION:        compression_set(work, request); return true;
    case FSCTL_GET_REPARSE_POINT:      work_refuse(work, STATUS_NOT_A_REPARSE_POINT); return true;
    default:                           return false;
    }
}
