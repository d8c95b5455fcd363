/* Cursors over borrowed bytes: the only way that wire data is read or written.
 *
 * A reader or writer carries a position and a sticky error. Reading past the end returns zero and
 * sets `failed`, so a decoder is a straight line of reads that is checked once, at its end.
 * Integers are little-endian, as everywhere in [MS-SMB2] but in the transport's frame header; the
 * few big-endian ones say so in their name. Nothing here allocates, and nothing owns the bytes it
 * points to. */
#ifndef SMBPROOF_WIRE_BYTES_H
#define SMBPROOF_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. `data` may be NULL only where `size` is 0. */
struct span {
    const uint8_t *data;
    size_t size;
};

/* The part of `bytes` from `offset` on, at most `size` octets; empty where `offset` lies past the
 * end. */
struct span span_slice(struct span bytes, size_t offset, size_t size);
bool span_equal(struct span a, struct span b);

struct reader {
    struct span bytes;
    size_t at;
    bool failed;
};

struct reader reader_over(struct span bytes);
size_t reader_left(const struct reader *reader);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
uint16_t reader_u16_be(struct reader *reader);
uint32_t reader_u24_be(struct reader *reader);
uint32_t reader_u32_be(struct reader *reader);
/* The next `size` octets, borrowed; an empty span and `failed` where fewer are left. */
struct span reader_take(struct reader *reader, size_t size);
void reader_skip(struct reader *reader, size_t size);
/* Moves to an offset that the wire names, counted from the start of `bytes`. Only forward: moving
 * back would let two fields overlap, and fails. */
void reader_seek(struct reader *reader, size_t offset);
/* Moves to the next multiple of `alignment`, if there are octets left at all. */
void reader_align(struct reader *reader, size_t alignment);

struct writer {
    uint8_t *data;
    size_t size; /* room, in octets */
    size_t at;
    bool failed;
};

struct writer writer_over(uint8_t *data, size_t size);
void writer_u8(struct writer *writer, uint8_t value);
void writer_u16(struct writer *writer, uint16_t value);
void writer_u32(struct writer *writer, uint32_t value);
void writer_u64(struct writer *writer, uint64_t value);
void writer_u16_be(struct writer *writer, uint16_t value);
void writer_u24_be(struct writer *writer, uint32_t value);
void writer_u32_be(struct writer *writer, uint32_t value);
void writer_put(struct writer *writer, struct span bytes);
void writer_zero(struct writer *writer, size_t size);
void writer_align(struct writer *writer, size_t alignment);
/* What has been written; empty where the writer failed. */
struct span writer_done(const struct writer *writer);

#endif
