#include "wire/frame.h"

bool frame_decode(struct span bytes, struct frame *frame) {
    struct reader reader = reader_over(bytes);

    frame->type = reader_u8(&reader);
    frame->length = reader_u24_be(&reader);
    if (frame->type != FRAME_MESSAGE)
        frame->length &= 0x1ffff; /* the E bit and 16 more, [RFC1002] 4.3.1 */
    return !reader.failed &&
           (frame->type == FRAME_MESSAGE ||
            (frame->type >= FRAME_SESSION_REQUEST && frame->type <= FRAME_KEEP_ALIVE));
}

void frame_encode(struct writer *writer, const struct frame *frame) {
    uint32_t most = frame->type == FRAME_MESSAGE ? FRAME_DIRECT_TCP_MAX : 0x1ffff;

    if (frame->length > most) {
        writer->failed = true;
        return;
    }
    writer_u8(writer, frame->type);
    writer_u24_be(writer, frame->length);
}
