#include "serve/ea.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/text.h"

/* [MS-SMB2] 2.2.37, Flags */
enum { EA_RESTART = 1, EA_SINGLE = 2 };

/* A name of printable ASCII without what [MS-FSCC] 2.4.16 forbids; NUL-terminated in `entry`. */
static bool name_take(struct reader *reader, size_t size, char name[EA_NAME_MAX]) {
    struct span octets = reader_take(reader, size);

    if (reader->failed || reader_u8(reader) != 0 || size == 0 || size >= EA_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (octets.data[i] < 0x20 || octets.data[i] > 0x7e || strchr("\"*+,/:;<=>?[\\]|", octets.data[i]) != NULL)
            return false;
    memcpy(name, octets.data, size);
    name[size] = '\0';
    return !reader->failed;
}

bool ea_decode(struct span entry, struct ea *ea) {
    struct reader reader = reader_over(entry);
    size_t name_size, value_size;

    reader_skip(&reader, 4);
    ea->flags = reader_u8(&reader);
    name_size = reader_u8(&reader);
    value_size = reader_u16(&reader);
    if (!name_take(&reader, name_size, ea->name))
        return false;
    ea->value = reader_take(&reader, value_size);
    return !reader.failed;
}

uint32_t ea_list_check(struct span list) {
    struct entry_cursor cursor = entry_cursor(list);
    struct span entry;
    struct ea ea;

    while (entry_next(&cursor, &entry))
        if (!ea_decode(entry, &ea))
            return STATUS_INVALID_EA_NAME;
    return cursor.malformed ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

/* The entry that comes after `work->done` others. */
static bool list_at(const struct work *work, struct ea *ea) {
    struct entry_cursor cursor = entry_cursor(work->list);
    struct span entry;

    for (uint64_t i = 0; entry_next(&cursor, &entry); i++)
        if (i == work->done)
            return ea_decode(entry, ea);
    return false;
}

static void list_step(struct work *work) {
    struct ea ea;

    if (work->op.result >= 0 && list_at(work, &ea)) {
        work->done++;
        strcpy(work->name, ea.name);
        work->op.name = work->name;
        work->op.data = (uint8_t *)(uintptr_t)ea.value.data; /* is only read */
        work->op.size = ea.value.size;
        work_submit(work, STORE_XATTR_SET, list_step);
        return;
    }
    work->then(work);
}

void ea_list_set(struct work *work, struct span list, void (*then)(struct work *work)) {
    free(work->name);
    work->name = malloc(EA_NAME_MAX);
    work->list = list;
    work->then = then;
    work->done = 0;
    work->op.result = work->name == NULL ? -ENOMEM : 0;
    list_step(work);
}

/* ---- QUERY_INFO ---- */

/* Appends one; false, and nothing changed, where it does not fit. */
static bool ea_put(struct work *work, const char *name, struct span value) {
    struct writer before = work->out;
    size_t previous = work->previous, size = strlen(name);

    entry_begin(&work->out, work->start, &work->previous);
    writer_u32(&work->out, 0);
    writer_u8(&work->out, 0);
    writer_u8(&work->out, (uint8_t)size);
    writer_u16(&work->out, (uint16_t)value.size);
    writer_put(&work->out, (struct span){(const uint8_t *)name, size + 1});
    writer_put(&work->out, value);
    if (!work->out.failed && work->out.at <= work->start + (size_t)work->total)
        return true;
    work->out = before;
    work->previous = previous;
    if (previous != SIZE_MAX) /* NextEntryOffset of the last one again */
        memset(work->out.data + previous, 0, 4);
    return false;
}

/* No list: all are asked for. */
static bool is_asked_for(const struct work *work, const char *name) {
    struct entry_cursor cursor = entry_cursor(work->list);
    struct span entry, wanted = text_span(name);

    while (entry_next(&cursor, &entry)) {
        struct reader reader = reader_over(entry);
        bool is_equal = true;

        reader_skip(&reader, 4);
        struct span asked = reader_take(&reader, reader_u8(&reader));
        for (size_t i = 0; i < asked.size && i < wanted.size; i++)
            is_equal &= text_upper(asked.data[i]) == text_upper(wanted.data[i]);
        if (is_equal && asked.size == wanted.size && !reader.failed)
            return true;
    }
    return work->list.size == 0;
}

static bool ea_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct work *work = op->owner;
    uint32_t index = work->count++;

    (void)attributes;
    if (strlen(name) >= EA_NAME_MAX || op->size > UINT16_MAX || !is_asked_for(work, name))
        return true;
    work->has_any = true;
    if (work->list.size == 0 && index < work->open->ea_index)
        return true;
    if (work->single && work->done > 0)
        return false;
    work->full = !ea_put(work, name, (struct span){op->data, op->size});
    if (work->full)
        return false;
    work->done++;
    if (work->list.size == 0)
        work->open->ea_index = index + 1;
    return true;
}

/* [MS-FSA] 2.1.5.12.13 */
static void ea_listed(struct work *work) {
    if (work_failed(work))
        return;
    if (work->done > 0)
        work_answer_output(work, work->full ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS);
    else if (work->full)
        work_refuse(work, STATUS_BUFFER_TOO_SMALL);
    else
        work_refuse(work, work->has_any ? STATUS_NO_MORE_EAS : STATUS_NO_EAS_ON_FILE);
}

void ea_query(struct work *work, const struct query_info_request *request) {
    if ((request->flags & EA_RESTART) != 0)
        work->open->ea_index = 0;
    work->list = request->input;
    work->single = (request->flags & EA_SINGLE) != 0;
    work->op.entry = ea_entry;
    work_submit(work, STORE_XATTR_LIST, ea_listed);
}
