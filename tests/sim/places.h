/* For tests: what an octet of a message is called. */
#ifndef SMBPROOF_TESTS_PLACES_H
#define SMBPROOF_TESTS_PLACES_H

#include "wire/message.h"

/* "NEGOTIATE request", "VALIDATE response". */
const char *place_message(enum message_kind kind);
/* The field or variable part that the octet belongs to. */
const char *place_field(const struct message *message, size_t offset);
/* "NEGOTIATE request (1) header Flags": of the index-th message of its direction, from 0 on. */
void place_name(const struct message *message, unsigned index, size_t offset, char *name, size_t size);

#endif
