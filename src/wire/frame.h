/* The four octets in front of every message: direct TCP ([MS-SMB2] 2.1) and the NetBIOS session
 * service
 * ([RFC1002] 4.3.1). */
#ifndef SMBPROOF_WIRE_FRAME_H
#define SMBPROOF_WIRE_FRAME_H

#include "wire/bytes.h"

#define FRAME_HEADER_SIZE    4u
#define FRAME_DIRECT_TCP_MAX 0xffffffu /* 24 bits of length */

enum frame_type {
    FRAME_MESSAGE = 0x00,
    FRAME_SESSION_REQUEST = 0x81,
    FRAME_POSITIVE_RESPONSE = 0x82,
    FRAME_NEGATIVE_RESPONSE = 0x83,
    FRAME_RETARGET_RESPONSE = 0x84,
    FRAME_KEEP_ALIVE = 0x85,
};

struct frame {
    uint8_t type; /* enum frame_type, or anything else */
    uint32_t
        length; /* octets that follow the header; 24 bits for direct TCP, 17 for the other types */
};

/* Decodes four octets; false where there are fewer or the type is none of the six. */
bool frame_decode(struct span bytes, struct frame *frame);
/* Writes the four octets; fails the writer where the length does not fit. */
void frame_encode(struct writer *writer, const struct frame *frame);

#endif
