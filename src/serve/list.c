#include <stdlib.h>
#include <string.h>

#include "serve/work.h"
#include "store/names.h"
#include "wire/text.h"

static struct directory_entry entry_of(const struct store_attributes *a, struct span name) {
    return (struct directory_entry){.creation_time = filetime_of(a->created),
        .last_access_time = filetime_of(a->accessed), .last_write_time = filetime_of(a->written),
        .change_time = filetime_of(a->changed), .end_of_file = a->is_folder ? 0 : a->size,
        .allocation_size = a->is_folder ? 0 : a->allocated, .file_attributes = file_attributes_of(a),
        .file_id = a->id.file, .name = name};
}

/* Empty where the name has the form itself. */
static void short_name_set(const char *name, struct directory_entry *entry) {
    struct writer utf16 = writer_over(entry->short_name, sizeof entry->short_name);
    char made[SHORT_NAME_MAX];

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !short_name(name, made))
        return;
    text_to_utf16(text_span(made), &utf16);
    entry->short_name_length = (uint8_t)utf16.at;
}

/* Appends one entry; false, and nothing changed, where it does not fit. */
static bool entry_put(struct work *work, const char *name, const struct store_attributes *attributes) {
    uint8_t octets[2 * STORE_NAME_MAX];
    struct writer utf16 = writer_over(octets, sizeof octets), before = work->out;
    size_t previous = work->previous;
    struct directory_entry entry;

    if (!text_to_utf16(text_span(name), &utf16))
        return true; /* a name that has no form on the wire is left out */
    entry = entry_of(attributes, writer_done(&utf16));
    short_name_set(name, &entry);
    entry_begin(&work->out, work->start, &work->previous);
    directory_entry_encode((enum file_info_class)work->info_class, &entry, &work->out);
    if (!work->out.failed)
        return true;
    work->out = before;
    work->previous = previous;
    if (previous != SIZE_MAX) /* NextEntryOffset of the last one again */
        memset(work->out.data + previous, 0, 4);
    return false;
}

static bool list_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct work *work = op->owner;
    struct store_attributes shown = *attributes;

    if (work->full)
        return false;
    node_written(host_nodes(work->connection->host), &shown, loop_now_ms(work->connection->loop));
    work->full = !entry_put(work, name, &shown);
    if (work->full)
        return false;
    work->done++;
    work->full = work->single;
    return true;
}

/* 3.3.5.18: nothing at all is another status the first time, and too little room another one still. */
static void list_done(struct work *work) {
    struct open *open = work->open;
    bool first = !open->has_listed;

    if (work_failed(work))
        return;
    open->has_listed = true;
    if (work->done > 0)
        work_answer_output(work, STATUS_SUCCESS);
    else if (work->full)
        work_refuse(work, STATUS_INFO_LENGTH_MISMATCH);
    else
        work_refuse(work, first ? STATUS_NO_SUCH_FILE : STATUS_NO_MORE_FILES);
}

/* Keeps the pattern of the first request, and of those that begin anew. */
static uint32_t pattern_take(struct open *open, struct span pattern) {
    struct writer utf8;
    size_t room = TEXT_UTF8_ROOM(pattern.size) + 2;
    char *text = malloc(room);

    if (text == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    utf8 = writer_over((uint8_t *)text, room);
    if (pattern.size == 0)
        writer_u8(&utf8, '*');
    if (pattern.size % 2 != 0 || !text_to_utf8(pattern, &utf8) || memchr(text, 0, utf8.at) != NULL) {
        free(text);
        return STATUS_OBJECT_NAME_INVALID;
    }
    text[utf8.at] = '\0';
    free(open->pattern);
    open->pattern = text;
    return STATUS_SUCCESS;
}

static uint32_t list_check(struct work *work, const struct query_directory_request *request) {
    struct open *open = work->open;
    bool anew = (request->flags & (QUERY_DIRECTORY_RESTART_SCANS | QUERY_DIRECTORY_REOPEN)) != 0;

    if (!open->is_folder)
        return STATUS_INVALID_PARAMETER;
    if (directory_entry_size((enum file_info_class)request->file_information_class) == 0)
        return STATUS_INVALID_INFO_CLASS;
    if (request->output_buffer_length > work->connection->server.policy->max_transact_size)
        return STATUS_INVALID_PARAMETER;
    if (request->output_buffer_length < directory_entry_size((enum file_info_class)request->file_information_class))
        return STATUS_INFO_LENGTH_MISMATCH;
    if (anew)
        open->has_listed = false;
    work->op.restart = anew;
    if (open->pattern != NULL && !anew)
        return STATUS_SUCCESS;
    return pattern_take(open, request->pattern);
}

void serve_query_directory(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, FILE_READ_DATA);
    struct query_directory_request request;
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    if (query_directory_request_decode(frame->request.message.bytes, &request))
        status = list_check(work, &request);
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    if (!work_begin_output(work, request.output_buffer_length))
        return;
    work->info_class = request.file_information_class;
    work->single = (request.flags & QUERY_DIRECTORY_RETURN_SINGLE_ENTRY) != 0;
    work->op.pattern = work->open->pattern;
    work->op.entry = list_entry;
    work_submit(work, STORE_LIST, list_done);
}
