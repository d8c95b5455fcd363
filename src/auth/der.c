#include "auth/der.h"

bool der_is_next(const struct reader *reader, uint8_t tag) {
    return !reader->failed && reader_left(reader) > 0 && reader->bytes.data[reader->at] == tag;
}

/* Anything but the shortest form is refused, and so is what one or two octets cannot say. */
static size_t take_length(struct reader *reader) {
    size_t length = reader_u8(reader);

    if (length < 0x80)
        return length;
    if (length == 0x81) {
        length = reader_u8(reader);
        reader->failed |= length < 0x80;
    } else if (length == 0x82) {
        length = reader_u16_be(reader);
        reader->failed |= length < 0x100;
    } else {
        reader->failed = true;
    }
    return length;
}

struct span der_take(struct reader *reader, uint8_t tag) {
    if (reader_u8(reader) != tag)
        reader->failed = true;
    return reader_take(reader, take_length(reader));
}

struct reader der_enter(struct reader *reader, uint8_t tag) {
    struct reader inner = reader_over(der_take(reader, tag));

    inner.failed = reader->failed;
    return inner;
}

bool der_is_done(const struct reader *reader) {
    return !reader->failed && reader_left(reader) == 0;
}

size_t der_size(size_t content_size) {
    return content_size + (content_size < 0x80 ? 2 : content_size < 0x100 ? 3 : DER_HEADER_MAX);
}

void der_put_header(struct writer *writer, uint8_t tag, size_t content_size) {
    writer_u8(writer, tag);
    if (content_size < 0x80) {
        writer_u8(writer, (uint8_t)content_size);
    } else if (content_size < 0x100) {
        writer_u8(writer, 0x81);
        writer_u8(writer, (uint8_t)content_size);
    } else {
        writer_u8(writer, 0x82);
        writer_u16_be(writer, (uint16_t)content_size);
        writer->failed |= content_size > 0xffff;
    }
}

void der_put(struct writer *writer, uint8_t tag, struct span content) {
    der_put_header(writer, tag, content.size);
    writer_put(writer, content);
}
