#include "wire/bytes.h"

#include <string.h>

struct span span_slice(struct span bytes, size_t offset, size_t size) {
    if (offset >= bytes.size)
        return (struct span){0};
    if (size > bytes.size - offset)
        size = bytes.size - offset;
    return (struct span){bytes.data + offset, size};
}

bool span_equal(struct span a, struct span b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct reader reader_over(struct span bytes) {
    return (struct reader){.bytes = bytes};
}

size_t reader_left(const struct reader *reader) {
    return reader->bytes.size - reader->at;
}

struct span reader_take(struct reader *reader, size_t size) {
    struct span taken;

    if (reader->failed || size > reader_left(reader)) {
        reader->failed = true;
        reader->at = reader->bytes.size;
        return (struct span){0};
    }
    if (size == 0)
        return (struct span){0};
    taken = (struct span){reader->bytes.data + reader->at, size};
    reader->at += size;
    return taken;
}

static inline uint64_t take_little(struct reader *reader, size_t size) {
    struct span octets = reader_take(reader, size);
    uint64_t value = 0;

    if (octets.size == 0)
        return 0;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | octets.data[i];
    return value;
}

static inline uint64_t take_big(struct reader *reader, size_t size) {
    struct span octets = reader_take(reader, size);
    uint64_t value = 0;

    if (octets.size == 0)
        return 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | octets.data[i];
    return value;
}

uint8_t reader_u8(struct reader *reader) {
    return (uint8_t)take_little(reader, 1);
}

uint16_t reader_u16(struct reader *reader) {
    return (uint16_t)take_little(reader, 2);
}

uint32_t reader_u32(struct reader *reader) {
    return (uint32_t)take_little(reader, 4);
}

uint64_t reader_u64(struct reader *reader) {
    return take_little(reader, 8);
}

uint16_t reader_u16_be(struct reader *reader) {
    return (uint16_t)take_big(reader, 2);
}

uint32_t reader_u24_be(struct reader *reader) {
    return (uint32_t)take_big(reader, 3);
}

uint32_t reader_u32_be(struct reader *reader) {
    return (uint32_t)take_big(reader, 4);
}

void reader_skip(struct reader *reader, size_t size) {
    (void)reader_take(reader, size);
}

void reader_seek(struct reader *reader, size_t offset) {
    if (offset < reader->at || offset > reader->bytes.size) {
        reader->failed = true;
        reader->at = reader->bytes.size;
    } else {
        reader->at = offset;
    }
}

void reader_align(struct reader *reader, size_t alignment) {
    size_t over = reader->at % alignment;

    if (over == 0 || reader_left(reader) == 0)
        return;
    if (alignment - over > reader_left(reader))
        reader->at = reader->bytes.size;
    else
        reader->at += alignment - over;
}

struct writer writer_over(uint8_t *data, size_t size) {
    return (struct writer){.data = data, .size = size};
}

void writer_put(struct writer *writer, struct span bytes) {
    if (writer->failed || bytes.size > writer->size - writer->at) {
        writer->failed = true;
        return;
    }
    if (bytes.size > 0)
        memcpy(writer->data + writer->at, bytes.data, bytes.size);
    writer->at += bytes.size;
}

static void put_little(struct writer *writer, uint64_t value, size_t size) {
    uint8_t octets[8];

    for (size_t i = 0; i < size; i++)
        octets[i] = (uint8_t)(value >> (8 * i));
    writer_put(writer, (struct span){octets, size});
}

static void put_big(struct writer *writer, uint64_t value, size_t size) {
    uint8_t octets[8];

    for (size_t i = 0; i < size; i++)
        octets[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    writer_put(writer, (struct span){octets, size});
}

void writer_u8(struct writer *writer, uint8_t value) {
    put_little(writer, value, 1);
}

void writer_u16(struct writer *writer, uint16_t value) {
    put_little(writer, value, 2);
}

void writer_u32(struct writer *writer, uint32_t value) {
    put_little(writer, value, 4);
}

void writer_u64(struct writer *writer, uint64_t value) {
    put_little(writer, value, 8);
}

void writer_u16_be(struct writer *writer, uint16_t value) {
    put_big(writer, value, 2);
}

void writer_u24_be(struct writer *writer, uint32_t value) {
    put_big(writer, value, 3);
}

void writer_u32_be(struct writer *writer, uint32_t value) {
    put_big(writer, value, 4);
}

void writer_zero(struct writer *writer, size_t size) {
    if (writer->failed || size > writer->size - writer->at) {
        writer->failed = true;
        return;
    }
    if (size > 0) /* data may be NULL where there is no room at all */
        memset(writer->data + writer->at, 0, size);
    writer->at += size;
}

void writer_align(struct writer *writer, size_t alignment) {
    size_t over = writer->at % alignment;

    if (over != 0)
        writer_zero(writer, alignment - over);
}

struct span writer_done(const struct writer *writer) {
    if (writer->failed)
        return (struct span){0};
    return (struct span){writer->data, writer->at};
}
