/* Reads tests/vectors/smb.vec for the tests. A vector that is missing or malformed fails the test.
 */
#ifndef SMBPROOF_TESTS_VECTORS_H
#define SMBPROOF_TESTS_VECTORS_H

#include "wire/bytes.h"

#define VECTORS_MAX 256u /* vectors in the file */

struct vectors;

struct vectors *vectors_new(void);
void vectors_free(struct vectors *vectors);
/* The octets of a vector, valid until vectors_free(). */
struct span vector(struct vectors *vectors, const char *name);
/* The name of a vector that nobody has asked for, NULL where there is none. */
const char *vectors_unused(const struct vectors *vectors);

#endif
