/* Every body of wire/files.h and every record of wire/info.h and wire/rpc.h, held to one property: what decodes,
 * encodes, and decodes to the same. Used by the unit tests and by the fuzz target. */
#ifndef SMBPROOF_TESTS_BODIES_H
#define SMBPROOF_TESTS_BODIES_H

#include "wire/bytes.h"

unsigned bodies_count(void);
const char *bodies_name(unsigned kind);
/* Tries octets as one kind; aborts where the property does not hold. True where they decoded. */
bool bodies_check(unsigned kind, struct span bytes);
/* The same for what lies in lists: directory entries, create contexts, shares. */
void bodies_check_lists(struct span bytes);

#endif
