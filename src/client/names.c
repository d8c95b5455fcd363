#include "client/names.h"

#include <stdio.h>
#include <string.h>

#include "wire/text.h"

#define ESCAPE_MAX 8u /* octets of the longest escape with its NUL */

bool name_from_wire(struct span utf16, char text[NAME_TEXT_MAX]) {
    struct writer writer = writer_over((uint8_t *)text, NAME_TEXT_MAX - 1);
    bool valid = text_to_utf8(utf16, &writer);

    if (valid && memchr(text, 0, writer.at) == NULL) {
        text[writer.at] = '\0';
        return true;
    }
    snprintf(text, NAME_TEXT_MAX, "(a name that is no UTF-16)");
    return false;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* Characters that change the direction of what follows or hide: they make a name look like another. */
static bool is_deceptive(uint32_t code) {
    return code == 0x061c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

bool name_is_safe(const char *name) {
    struct reader reader = reader_over(text_span(name));

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strpbrk(name, "/\\") != NULL)
        return false;
    while (reader_left(&reader) > 0)
        if (is_control(text_take_utf8(&reader)) || reader.failed)
            return false;
    return true;
}

/* One character, or its escape; the octets that it took. */
static size_t show_one(struct span rest, char escape[ESCAPE_MAX]) {
    struct reader reader = reader_over(rest);
    uint32_t code = text_take_utf8(&reader);

    if (reader.failed) {
        snprintf(escape, ESCAPE_MAX, "\\x%02x", rest.data[0]);
        return 1;
    }
    if (is_control(code))
        snprintf(escape, ESCAPE_MAX, "\\x%02x", (unsigned)code & 0xff);
    else if (is_deceptive(code))
        snprintf(escape, ESCAPE_MAX, "\\u%04x", (unsigned)code & 0xffff);
    else
        snprintf(escape, ESCAPE_MAX, "%.*s", (int)reader.at, (const char *)rest.data);
    return reader.at;
}

const char *name_shown(const char *name, char *shown, size_t size) {
    struct span rest = text_span(name);
    size_t at = 0;

    while (rest.size > 0) {
        char escape[ESCAPE_MAX];
        size_t taken = show_one(rest, escape);

        if (at + strlen(escape) >= size)
            break;
        memcpy(shown + at, escape, strlen(escape));
        at += strlen(escape);
        rest = span_slice(rest, taken, rest.size);
    }
    shown[at] = '\0';
    return shown;
}

#define PART_FRONT ".smbproof-"
#define PART_BACK  ".part"
#define PART_SIZE  (sizeof PART_FRONT - 1 + 16 + sizeof PART_BACK - 1)

bool name_is_part(const char *name) {
    return strlen(name) == PART_SIZE && strncmp(name, PART_FRONT, strlen(PART_FRONT)) == 0 &&
           strcmp(name + PART_SIZE - strlen(PART_BACK), PART_BACK) == 0;
}

/* FNV-1a, 64 bits: short, and the same everywhere. Two names of one folder that share it are as good as impossible. */
void name_of_part(const char *name, char part[NAME_PART_MAX]) {
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
    snprintf(part, NAME_PART_MAX, PART_FRONT "%016llx" PART_BACK, (unsigned long long)hash);
}
