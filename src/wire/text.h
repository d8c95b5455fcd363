/* Text: UTF-8 inside the program, UTF-16LE on the wire ([MS-SMB2] 2.2, [MS-NLMP] 2.2).
 *
 * Both ways are strict: overlong forms, unpaired surrogates, code points beyond U+10FFFF and cut
 * sequences are errors, never replaced. NUL is a character as any other; whoever keeps a string
 * with a NUL at its end looks for one inside. */
#ifndef SMBPROOF_WIRE_TEXT_H
#define SMBPROOF_WIRE_TEXT_H

#include "wire/bytes.h"

/* Room that always suffices, in octets, for so many octets in the other encoding. */
#define TEXT_UTF16_ROOM(utf8_size) (2 * (utf8_size))
#define TEXT_UTF8_ROOM(utf16_size) ((utf16_size) / 2 * 3)

/* The octets of a string without its NUL; empty for NULL. */
struct span text_span(const char *string);
/* The next code point; 0 and `failed` where what follows is ill-formed or there is nothing. */
uint32_t text_take_utf8(struct reader *reader);
uint32_t text_take_utf16(struct reader *reader);
/* A code point that is none (a surrogate, or beyond U+10FFFF) makes the writer fail. */
void text_put_utf8(struct writer *writer, uint32_t code);
void text_put_utf16(struct writer *writer, uint32_t code);
/* The whole text; false, and the writer failed, where it is ill-formed or does not fit. */
bool text_to_utf16(struct span utf8, struct writer *utf16);
bool text_to_utf8(struct span utf16, struct writer *utf8);

/* Upper case of a UTF-16 code unit as Windows has it for names: letter by letter, within the BMP,
 * in no language. */
uint16_t text_upper(uint16_t unit);

#endif
