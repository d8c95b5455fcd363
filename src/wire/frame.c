#include "wire/frame.h"

bool frame_decode(struct span bytes, struct frame *frame) {
    if (bytes.size < FRAME_HEADER_SIZE) {
        *frame = (struct frame){0};
        return false;
    }
    frame->type = bytes.data[0];
    frame->length = (uint32_t)bytes.data[1] << 16 | (uint32_t)bytes.data[2] << 8 | bytes.data[3];
    if (frame->type != FRAME_MESSAGE)
        frame->length &= 0x1ffff; /* the E bit and 16 more, [RFC1002] 4.3.1 */
    return frame->type == FRAME_MESSAGE ||
           (frame->type >= FRAME_SESSION_REQUEST && frame->type <= FRAME_KEEP_ALIVE);
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
