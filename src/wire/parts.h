/* Shared by the messages' files: a list's table and the variable parts behind a fixed part. */
#ifndef SMBPROOF_WIRE_PARTS_H
#define SMBPROOF_WIRE_PARTS_H

#include <stddef.h>
#include <string.h>

#include "wire/messages.h"

/* The table of a list, and the check of its widths. */
#define FIELDS_ROW_NUMBER(type, member, name, width, at)                                           \
    {name, #member, offsetof(FIELDS_STRUCT, member), width, at, FIELD_KIND_NUMBER},
#define FIELDS_ROW_OCTETS(member, name, width, at)                                                 \
    {name, #member, offsetof(FIELDS_STRUCT, member), width, at, FIELD_KIND_OCTETS},
#define FIELDS_DEFINE(prefix, LIST)                                                                \
    FIELDS_CHECK(LIST)                                                                             \
    const struct field prefix##_fields[] = {LIST(FIELDS_ROW_NUMBER, FIELDS_ROW_OCTETS)};           \
    const unsigned prefix##_fields_count = sizeof prefix##_fields / sizeof prefix##_fields[0];

/* A list's own decoder: what fields_decode() does with its table. Where the part is whole, and the host's byte order is the
 * wire's, each field is a copy at a known place, which is not looked up. */
#define FIELDS_COPY_NUMBER(type, member, name, width, at) FIELDS_COPY_OCTETS(member, name, width, at)
#define FIELDS_COPY_OCTETS(member, name, width, at)                                                \
    _Static_assert((at) + (width) <= size, name " is not within the part");                        \
    memcpy(&record->member, part.data + (at), width);
#define FIELDS_DECODER(prefix, LIST, part_size)                                                    \
    static inline bool prefix##_fields_decode(struct reader *reader, FIELDS_STRUCT *record) {      \
        enum { size = part_size };                                                                 \
        struct span part;                                                                          \
                                                                                                   \
        if (!HOST_IS_WIRE_ORDER || reader->failed || reader_left(reader) < size)                   \
            return fields_decode(prefix##_fields, sizeof prefix##_fields / sizeof *prefix##_fields,\
                                 size, reader, record);                                            \
        part = reader_take(reader, size);                                                          \
        LIST(FIELDS_COPY_NUMBER, FIELDS_COPY_OCTETS)                                               \
        return true;                                                                               \
    }

/* A part that lies at `offset` (from the protocol id) and is `size` octets long. Empty ones may
 * have any offset, as real peers send 0 or the end. Fails where it is not within the message or
 * begins before `earliest`. */
struct span part_at(struct span message, uint32_t offset, uint32_t size, size_t earliest,
                    bool *valid);
/* Writes zeros up to the offset that the wire names, then the part; an offset behind the position
 * fails. */
void part_put(struct writer *writer, uint32_t offset, struct span part);
/* A reader at the body of an SMB2 message. */
struct reader body_reader(struct span message);

#endif
