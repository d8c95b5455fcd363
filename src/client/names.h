/* Names that a server sends, which are hostile until looked at: what may become a local name, and how anything is shown
 * on a terminal. */
#ifndef SMBPROOF_CLIENT_NAMES_H
#define SMBPROOF_CLIENT_NAMES_H

#include "wire/bytes.h"

/* Octets of one name in UTF-8 with its NUL: 255 UTF-16 units at most are legal, and each takes three. */
#define NAME_TEXT_MAX 1024u

/* A name from the wire as UTF-8. False where it is no UTF-16, or too long to be one; then `text` shows the unit values
 * of what can be shown. */
bool name_from_wire(struct span utf16, char text[NAME_TEXT_MAX]);
/* May something of this name be made in a folder of ours? Not "", ".", "..", nothing with a separator, and nothing with
 * a control character. */
bool name_is_safe(const char *name);
/* `name` as it may go to a terminal: control characters, and those that turn the writing around, become \x1b or
 * \u202e, and octets that are no UTF-8 \xff. Cut where `size` is too small, never within an escape. Returns `shown`. */
const char *name_shown(const char *name, char *shown, size_t size);
/* Room for a name in which each octet is escaped. */
#define NAME_SHOWN_MAX(octets) (4 * (octets) + 1)

/* The name under which `name` is written until it is complete: the same for the same name, so that an interrupted
 * transfer can be found again. */
#define NAME_PART_MAX 40u
void name_of_part(const char *name, char part[NAME_PART_MAX]);
/* Is this such a name, of whatever file? */
bool name_is_part(const char *name);

#endif
