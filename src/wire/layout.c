#include "wire/layout.h"

#include <assert.h>
#include <string.h>

static uint64_t load(const void *record, uint16_t at, uint8_t width) {
    const struct field field = {.offset = at, .width = width, .kind = FIELD_KIND_NUMBER};

    return width == 0 ? 0 : field_number(&field, record);
}

static void store(void *record, uint16_t at, uint8_t width, uint64_t value) {
    uint8_t *member = (uint8_t *)record + at;

    switch (width) {
    case 1:
        *member = (uint8_t)value;
        break;
    case 2:
        memcpy(member, &(uint16_t){(uint16_t)value}, 2);
        break;
    default:
        assert(width == 4);
        memcpy(member, &(uint32_t){(uint32_t)value}, 4);
        break;
    }
}

static struct span *part_span(const struct layout_part *part, void *record) {
    return (struct span *)(void *)((uint8_t *)record + part->span_at);
}

static struct span part_octets(const struct layout_part *part, const void *record) {
    struct span octets;

    memcpy(&octets, (const uint8_t *)record + part->span_at, sizeof octets);
    return octets;
}

static uint64_t part_size(const struct layout_part *part, const void *record) {
    return load(record, part->length_at, part->length_width) * part->unit;
}

/* StructureSize is the first member of every record that has one. */
static bool has_structure_size(const struct layout *layout, const void *record) {
    return layout->structure_size == 0 || load(record, 0, 2) == layout->structure_size;
}

/* Takes one part; `earliest` is where it may begin, and becomes its end. Empty ones may have any offset, as real peers
 * send 0 or the end. */
static bool decode_part(const struct layout_part *part, struct span bytes, size_t *earliest, void *record) {
    uint64_t size = part_size(part, record);
    uint64_t offset = part->offset_width > 0 ? load(record, part->offset_at, part->offset_width) : *earliest;

    if (size == 0)
        return true;
    if (offset < *earliest || offset > bytes.size || size > bytes.size - offset)
        return false;
    *part_span(part, record) = (struct span){bytes.data + offset, (size_t)size};
    *earliest = (size_t)(offset + size);
    return true;
}

bool layout_decode(const struct layout *layout, struct span bytes, void *record) {
    struct reader reader = reader_over(bytes);
    size_t earliest = (size_t)layout->at + layout->size;
    bool valid;

    reader_skip(&reader, layout->at);
    valid = fields_decode(layout->fields, *layout->count, layout->size, &reader, record) &&
            has_structure_size(layout, record);
    for (unsigned i = 0; i < LAYOUT_PARTS_MAX && layout->parts[i].length_width > 0; i++)
        *part_span(&layout->parts[i], record) = (struct span){0};
    for (unsigned i = 0; valid && i < LAYOUT_PARTS_MAX && layout->parts[i].length_width > 0; i++)
        valid = decode_part(&layout->parts[i], bytes, &earliest, record);
    return valid;
}

static void encode_part(const struct layout_part *part, const void *record, struct writer *writer) {
    struct span octets = part_octets(part, record);
    uint64_t offset = load(record, part->offset_at, part->offset_width);

    if (octets.size != part_size(part, record)) {
        writer->failed = true;
        return;
    }
    if (octets.size == 0)
        return;
    if (part->offset_width > 0 && offset < writer->at)
        writer->failed = true;
    else if (part->offset_width > 0)
        writer_zero(writer, (size_t)(offset - writer->at));
    writer_put(writer, octets);
}

void layout_encode(const struct layout *layout, const void *record, struct writer *writer) {
    size_t end;

    assert(layout->at == 0 || writer->failed || writer->at == layout->at);
    fields_encode(layout->fields, *layout->count, layout->size, record, writer);
    end = writer->at;
    for (unsigned i = 0; i < LAYOUT_PARTS_MAX && layout->parts[i].length_width > 0; i++)
        encode_part(&layout->parts[i], record, writer);
    if (writer->at < end + layout->least)
        writer_zero(writer, end + layout->least - writer->at);
}

static bool fits(uint64_t value, uint8_t width) {
    return width == 0 || value >> (8 * width) == 0;
}

static bool place_part(const struct layout_part *part, size_t *at, void *record) {
    struct span octets = part_octets(part, record);
    size_t offset = (*at + part->alignment - 1) / part->alignment * part->alignment;

    if (!fits(octets.size / part->unit, part->length_width) || octets.size % part->unit != 0 ||
        !fits(offset, part->offset_width))
        return false;
    store(record, part->length_at, part->length_width, octets.size / part->unit);
    if (octets.size > 0)
        *at = offset + octets.size;
    if (part->offset_width > 0)
        store(record, part->offset_at, part->offset_width, octets.size > 0 ? offset : 0);
    return true;
}

bool layout_place(const struct layout *layout, void *record) {
    size_t at = (size_t)layout->at + layout->size;
    bool valid = true;

    if (layout->structure_size != 0)
        store(record, 0, 2, layout->structure_size);
    for (unsigned i = 0; valid && i < LAYOUT_PARTS_MAX && layout->parts[i].length_width > 0; i++)
        valid = place_part(&layout->parts[i], &at, record);
    return valid;
}

struct entry_cursor entry_cursor(struct span bytes) {
    return (struct entry_cursor){.bytes = bytes, .done = bytes.size == 0};
}

bool entry_next(struct entry_cursor *cursor, struct span *entry) {
    struct span rest = span_slice(cursor->bytes, cursor->at, cursor->bytes.size);
    struct reader reader = reader_over(rest);
    uint32_t next = reader_u32(&reader);

    if (cursor->done)
        return false;
    cursor->malformed = reader.failed || (next != 0 && (next < sizeof next || next >= rest.size));
    cursor->leads_to_end = cursor->malformed && next == rest.size;
    cursor->done = next == 0 || cursor->malformed;
    *entry = cursor->done ? rest : span_slice(rest, 0, next);
    cursor->at += next;
    return !reader.failed;
}

void entry_begin(struct writer *writer, size_t start, size_t *previous) {
    size_t over = (writer->at - start) % ENTRY_ALIGNMENT;

    if (*previous != SIZE_MAX && over != 0)
        writer_zero(writer, ENTRY_ALIGNMENT - over);
    if (*previous != SIZE_MAX && !writer->failed) {
        struct writer before = writer_over(writer->data + *previous, sizeof(uint32_t));

        writer_u32(&before, (uint32_t)(writer->at - *previous));
    }
    *previous = writer->at;
}
