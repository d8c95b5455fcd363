/* Field lists: the fixed part of each message is written once, as a list, and everything else
 * follows from it.
 *
 * A list is a macro that is given two others: NUMBER(C type, member, "Name as [MS-SMB2] spells it",
 * width, offset) and OCTETS(member, "Name", width, offset); widths and offsets are octets on the
 * wire. From the list come the struct, its table of fields, a check at compile time that each type
 * is as wide as the wire's, and, through the functions below, decode, encode, print, find by name,
 * and get or set a named field in wire octets. */
#ifndef SMBPROOF_WIRE_FIELDS_H
#define SMBPROOF_WIRE_FIELDS_H

#include "wire/bytes.h"

/* Is the wire's byte order the host's? */
#define HOST_IS_WIRE_ORDER (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

enum field_kind { FIELD_KIND_NUMBER, FIELD_KIND_OCTETS };

struct field {
    const char *name;     /* as [MS-SMB2] spells it */
    const char *member;   /* as the struct spells it */
    uint16_t offset;      /* of the member in the struct */
    uint16_t width;       /* octets, on the wire and in the struct */
    uint16_t wire_offset; /* from the start of the part that the list describes */
    enum field_kind kind;
};

#define FIELDS_MEMBER_NUMBER(type, member, name, width, at) type member;
#define FIELDS_MEMBER_OCTETS(member, name, width, at)       uint8_t member[width];
/* The members of a list, for use inside a struct. */
#define FIELDS_MEMBERS(LIST) LIST(FIELDS_MEMBER_NUMBER, FIELDS_MEMBER_OCTETS)

#define FIELDS_CHECK_NUMBER(type, member, name, width, at)                                         \
    _Static_assert(sizeof(type) == (width), name " is not as wide as on the wire");
#define FIELDS_CHECK_OCTETS(member, name, width, at)
#define FIELDS_CHECK(LIST) LIST(FIELDS_CHECK_NUMBER, FIELDS_CHECK_OCTETS)

/* A table of the fields and its count, declared here, defined in the message's file. */
#define FIELDS_DECLARE(prefix)                                                                     \
    extern const struct field prefix##_fields[];                                                   \
    extern const unsigned prefix##_fields_count;

/* Reads the fixed part into the struct at `record`; false (and a failed reader) where it is cut.
 * Then the fields that are there whole are filled in, and the others are zero. */
bool fields_decode(const struct field *fields, unsigned count, size_t size, struct reader *reader,
                   void *record);
/* Writes the fixed part, `size` octets. */
void fields_encode(const struct field *fields, unsigned count, size_t size, const void *record,
                   struct writer *writer);
/* The field of that name ([MS-SMB2] spelling, letter case aside), NULL where there is none. One that
 * is called "CreditRequest/CreditResponse" has either name, too. */
const struct field *fields_find(const struct field *fields, unsigned count, const char *name);
/* A number field's value in the struct. */
uint64_t field_number(const struct field *field, const void *record);
/* The same in wire octets that hold the described part from their start, without decoding the rest.
 * False where the field is cut, is of the other kind, or the value does not fit; the octets are
 * then as they were. */
bool fields_get(const struct field *field, struct span wire, uint64_t *value);
bool fields_set(const struct field *field, uint8_t *wire, size_t size, uint64_t value);
bool fields_set_octets(const struct field *field, uint8_t *wire, size_t size, struct span octets);
/* The octets of a field of either kind as they stand on the wire; empty where they are cut. */
struct span fields_octets(const struct field *field, struct span wire);
/* "Name value\n" for each field into `text`, with its NUL; returns the octets used, cut at `size`.
 */
size_t fields_print(const struct field *fields, unsigned count, const void *record, char *text,
                    size_t size);

#endif
