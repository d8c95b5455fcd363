#include "wire/text.h"

#include <string.h>

#define ASCII_END       0x80u
#define CODE_MAX        0x10ffffu
#define SURROGATE_FIRST 0xd800u /* of a pair, the first half */
#define SURROGATE_LOW   0xdc00u /* the second half */
#define SURROGATE_END   0xe000u

struct span text_span(const char *string) {
    if (string == NULL)
        return (struct span){0};
    return (struct span){(const uint8_t *)string, strlen(string)};
}

static bool is_code(uint32_t code) {
    return code <= CODE_MAX && (code < SURROGATE_FIRST || code >= SURROGATE_END);
}

static uint32_t reader_refuse(struct reader *reader) {
    reader->failed = true;
    return 0;
}

/* The octets that follow a first octet, or -1 where none may begin so. */
static int utf8_continuation(uint8_t first) {
    if (first < 0x80)
        return 0;
    if (first < 0xc2)
        return -1;
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
}

uint32_t text_take_utf8(struct reader *reader) {
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint8_t first = reader_u8(reader);
    int more = utf8_continuation(first);
    uint32_t code;

    if (more < 0)
        return reader_refuse(reader);
    code = more == 0 ? first : first & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
        uint8_t next = reader_u8(reader);

        if ((next & 0xc0) != 0x80)
            return reader_refuse(reader);
        code = code << 6 | (next & 0x3fu);
    }
    return !reader->failed && is_code(code) && code >= least[more] ? code : reader_refuse(reader);
}

uint32_t text_take_utf16(struct reader *reader) {
    uint32_t unit = reader_u16(reader), low;

    if (unit < SURROGATE_FIRST || unit >= SURROGATE_END)
        return unit;
    if (unit >= SURROGATE_LOW)
        return reader_refuse(reader);
    low = reader_u16(reader);
    if (low < SURROGATE_LOW || low >= SURROGATE_END)
        return reader_refuse(reader);
    return 0x10000 + ((unit - SURROGATE_FIRST) << 10 | (low - SURROGATE_LOW));
}

void text_put_utf8(struct writer *writer, uint32_t code) {
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};

    if (!is_code(code)) {
        writer->failed = true;
        return;
    }
    writer_u8(writer, (uint8_t)(marks[more] | code >> (6 * more)));
    while (more-- > 0)
        writer_u8(writer, (uint8_t)(0x80 | (code >> (6 * more) & 0x3f)));
}

void text_put_utf16(struct writer *writer, uint32_t code) {
    if (!is_code(code)) {
        writer->failed = true;
    } else if (code < 0x10000) {
        writer_u16(writer, (uint16_t)code);
    } else {
        writer_u16(writer, (uint16_t)(SURROGATE_FIRST + ((code - 0x10000) >> 10)));
        writer_u16(writer, (uint16_t)(SURROGATE_LOW + ((code - 0x10000) & 0x3ff)));
    }
}

static bool convert(struct span text, struct writer *writer, uint32_t (*take)(struct reader *),
                    void (*put)(struct writer *, uint32_t)) {
    struct reader reader = reader_over(text);

    while (reader_left(&reader) > 0 && !reader.failed && !writer->failed) {
        uint32_t code = take(&reader);

        if (!reader.failed)
            put(writer, code);
    }
    if (reader.failed)
        writer->failed = true;
    return !writer->failed;
}

/* Up to the first letter that is more than one octet, or has no room. */
static size_t ascii_to_utf16(struct span utf8, struct writer *utf16) {
    size_t room = utf16->failed ? 0 : (utf16->size - utf16->at) / 2, most = utf8.size < room ? utf8.size : room, taken = 0;

    for (; taken < most && utf8.data[taken] < ASCII_END; taken++) {
        utf16->data[utf16->at++] = utf8.data[taken];
        utf16->data[utf16->at++] = 0;
    }
    return taken;
}

bool text_to_utf16(struct span utf8, struct writer *utf16) {
    size_t taken = ascii_to_utf16(utf8, utf16);

    return convert(span_slice(utf8, taken, utf8.size), utf16, text_take_utf8, text_put_utf16);
}

bool text_to_utf8(struct span utf16, struct writer *utf8) {
    return convert(utf16, utf8, text_take_utf16, text_put_utf8);
}

struct upper_range {
    uint16_t first, last, stride, shift;
};

static const struct upper_range upper_ranges[] = {
#define UPPER(first, last, stride, shift) {first, last, stride, (uint16_t)(shift)},
#include "wire/upper.def"
#undef UPPER
};

/* The last range that begins at or before the unit; the ranges are in order. */
uint16_t text_upper(uint16_t unit) {
    size_t low = 0, high = sizeof upper_ranges / sizeof upper_ranges[0];

    if (unit < ASCII_END)
        return unit >= 'a' && unit <= 'z' ? (uint16_t)(unit - 'a' + 'A') : unit;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (upper_ranges[middle].first <= unit)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return unit;
    const struct upper_range *range = &upper_ranges[low - 1];
    if (unit > range->last || (unit - range->first) % range->stride != 0)
        return unit;
    return (uint16_t)(unit + range->shift);
}
