/* The few forms of DER ([X.690]) that SPNEGO is made of: definite lengths, in their shortest form.
 */
#ifndef SMBPROOF_AUTH_DER_H
#define SMBPROOF_AUTH_DER_H

#include "wire/bytes.h"

enum der_tag {
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_GENERAL_STRING = 0x1b,
    DER_SEQUENCE = 0x30,
    DER_APPLICATION_0 = 0x60,
    DER_CONTEXT_0 = 0xa0, /* and so on */
};
#define DER_CONTEXT(n) ((uint8_t)(DER_CONTEXT_0 + (n)))
/* Octets of the longest header that is read or written: a tag, and a length up to 65,535. */
#define DER_HEADER_MAX 4u

/* Does an element with this tag come next? */
bool der_is_next(const struct reader *reader, uint8_t tag);
/* The content of the next element, which must have this tag; else `failed`. */
struct reader der_enter(struct reader *reader, uint8_t tag);
struct span der_take(struct reader *reader, uint8_t tag);
/* Everything was read, and nothing failed. */
bool der_is_done(const struct reader *reader);

/* Of an element with so much content, header and all. */
size_t der_size(size_t content_size);
void der_put_header(struct writer *writer, uint8_t tag, size_t content_size);
void der_put(struct writer *writer, uint8_t tag, struct span content);

#endif
