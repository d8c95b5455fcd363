/* Makes the tables and functions of a list of bodies, for the one file that defines them. */
#ifndef SMBPROOF_WIRE_LAYOUT_ROWS_H
#define SMBPROOF_WIRE_LAYOUT_ROWS_H

#include <stddef.h>

#include "wire/layout.h"

#define LAYOUT_WIDTH(name, member) sizeof(((const struct name *)0)->member)

#define LAYOUT_PART(name, span, length, unit, offset, alignment)                                                       \
    {offsetof(struct name, span), offsetof(struct name, length), LAYOUT_WIDTH(name, length), unit,                     \
     offsetof(struct name, offset), LAYOUT_WIDTH(name, offset), alignment},
#define LAYOUT_TAIL(name, span, length, unit)                                                                          \
    {offsetof(struct name, span), offsetof(struct name, length), LAYOUT_WIDTH(name, length), unit, 0, 0, 1},

#define LAYOUT_DEFINE(name, start, size, structure_size, least, ...)                                                   \
    static const struct layout name##_layout = {                                                                       \
        name##_fields, &name##_fields_count, size, start, structure_size, least, {__VA_ARGS__}};                       \
    bool name##_decode(struct span bytes, struct name *record) {                                                       \
        return layout_decode(&name##_layout, bytes, record);                                                           \
    }                                                                                                                  \
    void name##_encode(const struct name *record, struct writer *writer) {                                             \
        layout_encode(&name##_layout, record, writer);                                                                 \
    }                                                                                                                  \
    bool name##_place(struct name *record) {                                                                           \
        return layout_place(&name##_layout, record);                                                                   \
    }

#endif
