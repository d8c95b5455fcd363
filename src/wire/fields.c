#include "wire/fields.h"

#include <assert.h>
#include <string.h>

static void store(const struct field *field, void *record, uint64_t value) {
    uint8_t *member = (uint8_t *)record + field->offset;

    switch (field->width) {
    case 1:
        *member = (uint8_t)value;
        break;
    case 2:
        memcpy(member, &(uint16_t){(uint16_t)value}, 2);
        break;
    case 4:
        memcpy(member, &(uint32_t){(uint32_t)value}, 4);
        break;
    default:
        assert(field->width == 8);
        memcpy(member, &value, 8);
    }
}

uint64_t field_number(const struct field *field, const void *record) {
    const uint8_t *member = (const uint8_t *)record + field->offset;
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (field->width) {
    case 1:
        return *member;
    case 2:
        memcpy(&two, member, 2);
        return two;
    case 4:
        memcpy(&four, member, 4);
        return four;
    default:
        assert(field->width == 8 && field->kind == FIELD_KIND_NUMBER);
        memcpy(&eight, member, 8);
        return eight;
    }
}

static uint64_t little(struct span octets) {
    uint64_t value = 0;

    for (size_t i = octets.size; i-- > 0;)
        value = value << 8 | octets.data[i];
    return value;
}

struct span fields_octets(const struct field *field, struct span wire) {
    struct span octets = span_slice(wire, field->wire_offset, field->width);

    return octets.size == field->width ? octets : (struct span){0};
}

bool fields_get(const struct field *field, struct span wire, uint64_t *value) {
    struct span octets = fields_octets(field, wire);

    if (octets.size == 0 || field->kind != FIELD_KIND_NUMBER)
        return false;
    *value = little(octets);
    return true;
}

#if HOST_IS_WIRE_ORDER
/* The wire's byte order is the host's: every field is a copy, of a width that the compiler knows. */
static inline void copy_field(uint8_t *to, const uint8_t *from, uint16_t width) {
    switch (width) {
    case 1:
        *to = *from;
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, width);
        break;
    }
}
#else
static inline void copy_field(uint8_t *to, const uint8_t *from, uint16_t width) {
    memcpy(to, from, width);
}
#endif

bool fields_decode(const struct field *fields, unsigned count, size_t size, struct reader *reader,
                   void *record) {
    struct span part = span_slice(reader->bytes, reader->at, size);

    for (unsigned i = 0; i < count; i++) {
        struct span octets = fields_octets(&fields[i], part);

        if (octets.size != 0 && HOST_IS_WIRE_ORDER)
            copy_field((uint8_t *)record + fields[i].offset, octets.data, fields[i].width);
        else if (octets.size == 0)
            memset((uint8_t *)record + fields[i].offset, 0, fields[i].width);
        else if (fields[i].kind == FIELD_KIND_OCTETS)
            memcpy((uint8_t *)record + fields[i].offset, octets.data, octets.size);
        else
            store(&fields[i], record, little(octets));
    }
    reader_skip(reader, size);
    return !reader->failed;
}

bool fields_set(const struct field *field, uint8_t *wire, size_t size, uint64_t value) {
    if (field->kind != FIELD_KIND_NUMBER || (size_t)field->wire_offset + field->width > size)
        return false;
    if (field->width < 8 && value >> (8 * field->width) != 0)
        return false;
    for (unsigned i = 0; i < field->width; i++)
        wire[field->wire_offset + i] = (uint8_t)(value >> (8 * i));
    return true;
}

bool fields_set_octets(const struct field *field, uint8_t *wire, size_t size, struct span octets) {
    if (field->kind != FIELD_KIND_OCTETS || (size_t)field->wire_offset + field->width > size ||
        octets.size != field->width)
        return false;
    memcpy(wire + field->wire_offset, octets.data, octets.size);
    return true;
}

void fields_encode(const struct field *fields, unsigned count, size_t size, const void *record,
                   struct writer *writer) {
    uint8_t *part;

    writer_zero(writer, size);
    if (writer->failed)
        return;
    part = writer->data + writer->at - size;
    for (unsigned i = 0; i < count; i++) {
        if (fields[i].kind == FIELD_KIND_OCTETS)
            memcpy(part + fields[i].wire_offset, (const uint8_t *)record + fields[i].offset,
                   fields[i].width);
        else
            fields_set(&fields[i], part, size, field_number(&fields[i], record));
    }
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Where `at` is the beginning of a name, or of what stands behind a slash in it. */
static bool name_begins(const char *name, const char *at) {
    while (*name != '\0' && lower(*name) == lower(*at))
        name++, at++;
    return *name == '\0' && (*at == '\0' || *at == '/');
}

static bool is_named(const struct field *field, const char *name) {
    for (const char *at = field->name; *at != '\0'; at++)
        if ((at == field->name || at[-1] == '/') && name_begins(name, at))
            return true;
    return false;
}

const struct field *fields_find(const struct field *fields, unsigned count, const char *name) {
    for (unsigned i = 0; i < count; i++)
        if (is_named(&fields[i], name))
            return &fields[i];
    return NULL;
}

struct text {
    char *text;
    size_t size, used;
};

static void text_char(struct text *text, char c) {
    if (text->used + 1 < text->size)
        text->text[text->used++] = c;
}

static void text_hex(struct text *text, uint64_t value, unsigned digits) {
    while (digits-- > 0)
        text_char(text, "0123456789abcdef"[value >> (4 * digits) & 15]);
}

static void text_field(struct text *text, const struct field *field, const void *record) {
    const uint8_t *octets = (const uint8_t *)record + field->offset;

    for (const char *c = field->name; *c != '\0'; c++)
        text_char(text, *c);
    text_char(text, ' ');
    if (field->kind == FIELD_KIND_NUMBER) {
        text_char(text, '0');
        text_char(text, 'x');
        text_hex(text, field_number(field, record), 2u * field->width);
    } else {
        for (unsigned i = 0; i < field->width; i++)
            text_hex(text, octets[i], 2);
    }
    text_char(text, '\n');
}

size_t fields_print(const struct field *fields, unsigned count, const void *record, char *text,
                    size_t size) {
    struct text out = {text, size, 0};

    for (unsigned i = 0; i < count; i++)
        text_field(&out, &fields[i], record);
    if (size > 0)
        text[out.used] = '\0';
    return out.used;
}
