/* Integers at an address that was checked before: the hot paths of the capture reader. */
#ifndef SMBPROOF_CAPTURE_LOAD_H
#define SMBPROOF_CAPTURE_LOAD_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_u16_le(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static inline uint32_t load_u32_le(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t load_u64_le(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static inline uint16_t load_u16_be(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return be16toh(value);
}

static inline uint32_t load_u32_be(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

/* In the byte order that a file's header announced. */
static inline uint16_t load_u16(const uint8_t *at, bool big_endian) {
    return big_endian ? load_u16_be(at) : load_u16_le(at);
}

static inline uint32_t load_u32(const uint8_t *at, bool big_endian) {
    return big_endian ? load_u32_be(at) : load_u32_le(at);
}

#endif
