/* Bodies by table: a fixed part that is a field list, and at most two variable parts.
 *
 * The messages and records of a file server are many and alike, so each is one row that says where its variable parts
 * are named, and three functions serve them all. A list such as FILE_BODIES (wire/files.h) has the rows, and yields
 * for each NAME a typed NAME_decode(), NAME_encode() and NAME_place(). */
#ifndef SMBPROOF_WIRE_LAYOUT_H
#define SMBPROOF_WIRE_LAYOUT_H

#include "wire/fields.h"

#define LAYOUT_PARTS_MAX 2u

/* A variable part. Members are named by their offset in the record. */
struct layout_part {
    uint16_t span_at;      /* of the struct span */
    uint16_t length_at;    /* of the number that says how long it is; in units of `unit` octets */
    uint8_t length_width;  /* octets; 0: there is no such part */
    uint8_t unit;
    uint16_t offset_at;    /* of the number that says where it lies, counted from the protocol id */
    uint8_t offset_width;  /* octets; 0: it follows directly */
    uint8_t alignment;     /* that it is placed at */
};

struct layout {
    const struct field *fields;
    const unsigned *count;
    uint16_t size;           /* octets of the fixed part */
    uint16_t at;             /* of the fixed part: SMB2_HEADER_SIZE in messages, 0 in records */
    uint16_t structure_size; /* 0: has none */
    uint8_t least;           /* octets that follow the fixed part at least; a zero is written where nothing does */
    struct layout_part parts[LAYOUT_PARTS_MAX];
};

/* Reads the record; false where something is cut, lies elsewhere than it may, or StructureSize is wrong. What is there
 * of the fixed part is filled in also then. */
bool layout_decode(const struct layout *layout, struct span bytes, void *record);
/* Writes the record at the writer's position, which counts from the protocol id as the offsets do (from the record's
 * start where there is none). Fields that contradict a part's span fail the writer. */
void layout_encode(const struct layout *layout, const void *record, struct writer *writer);
/* Sets StructureSize, and the offsets and lengths of the parts from their spans. False where a part is longer than its
 * length field can say. */
bool layout_place(const struct layout *layout, void *record);

#define LAYOUT_DECLARE(name)                                                                                           \
    FIELDS_DECLARE(name)                                                                                               \
    bool name##_decode(struct span bytes, struct name *record);                                                        \
    void name##_encode(const struct name *record, struct writer *writer);                                              \
    bool name##_place(struct name *record);

/* Records that follow each other, each beginning with the distance to the next (0: the last): directory entries,
 * streams, notifications, create contexts. */
struct entry_cursor {
    struct span bytes;
    size_t at;
    bool done;
    bool malformed; /* a distance leads past the end: its entry is the last */
    bool leads_to_end; /* malformed, but no further than right to the end */
};

struct entry_cursor entry_cursor(struct span bytes);
/* The octets of the next record, to the start of the one after it. */
bool entry_next(struct entry_cursor *cursor, struct span *entry);

#define ENTRY_ALIGNMENT 8u /* octets, [MS-FSCC] 2.4 and [MS-SMB2] 2.2.13.2 */

/* The same when writing: says that a record begins at the writer's position, after padding, and enters the distance in
 * the one before. `previous` starts as SIZE_MAX; `start` is where the first record begins. */
void entry_begin(struct writer *writer, size_t start, size_t *previous);

#endif
