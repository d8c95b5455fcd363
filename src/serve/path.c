#include <string.h>

#include "serve/work.h"
#include "wire/text.h"

/* What no component may hold ([MS-FSCC] 2.1.5.1); ':' separates the stream and is looked at apart. */
static bool is_forbidden(uint32_t code) {
    return code < 0x20 || (code < 0x80 && strchr("\"*/<>?|", (int)code) != NULL);
}

static bool component_is_valid(const char *start, size_t size) {
    return size > 0 && size < STORE_NAME_MAX && !(start[0] == '.' && (size == 1 || (size == 2 && start[1] == '.')));
}

/* Checks the components of the path up to its end, where the stream was cut off. */
static uint32_t components_check(const char *path) {
    for (;;) {
        size_t size = strcspn(path, "/");

        if (!component_is_valid(path, size))
            return size >= STORE_NAME_MAX ? STATUS_OBJECT_NAME_INVALID : STATUS_OBJECT_PATH_SYNTAX_BAD;
        if (path[size] == '\0')
            return STATUS_SUCCESS;
        path += size + 1;
    }
}

/* Cuts "name:stream:$DATA" apart. */
static uint32_t stream_split(char *path, const char **stream) {
    char *name = strchr(path, ':');
    char *type;

    *stream = "";
    if (name == NULL)
        return STATUS_SUCCESS;
    *name++ = '\0';
    type = strchr(name, ':');
    if (type != NULL && strcmp(type, ":$DATA") != 0)
        return STATUS_OBJECT_NAME_INVALID;
    if (type != NULL)
        *type = '\0';
    if (strchr(name, '/') != NULL || strlen(name) >= STORE_NAME_MAX || (type == NULL && *name == '\0'))
        return STATUS_OBJECT_NAME_INVALID;
    *stream = name;
    return STATUS_SUCCESS;
}

uint32_t path_decode(struct span name, char *path, const char **stream) {
    struct reader reader = reader_over(name);
    struct writer writer = writer_over((uint8_t *)path, STORE_PATH_MAX);
    uint32_t status;

    while (reader_left(&reader) > 0) {
        uint32_t code = text_take_utf16(&reader);

        if (reader.failed || is_forbidden(code))
            return STATUS_OBJECT_NAME_INVALID;
        text_put_utf8(&writer, code == '\\' ? '/' : code);
    }
    writer_u8(&writer, 0);
    if (writer.failed)
        return STATUS_NAME_TOO_LONG;
    status = stream_split(path, stream);
    if (status != STATUS_SUCCESS || *path == '\0')
        return status;
    return *path == '/' ? STATUS_INVALID_PARAMETER : components_check(path);
}

/* The next code point of a name that the store gave, in upper case; 0 at its end. */
static uint32_t upper_take(const char **text) {
    struct reader reader = reader_over(text_span(*text));
    uint32_t code;

    if (**text == '\0')
        return 0;
    code = text_take_utf8(&reader);
    if (reader.failed) { /* no UTF-8: octet by octet */
        code = (uint8_t)**text;
        reader.at = 1;
    }
    *text += reader.at;
    return code <= UINT16_MAX ? text_upper((uint16_t)code) : code;
}

/* Does one wildcard or letter of the pattern take this letter? DOS_QM also takes the end, DOS_DOT a dot or the end. */
static bool letter_matches(uint32_t wanted, uint32_t code) {
    switch (wanted) {
    case '?': return code != 0;
    case '>': return code != '.';
    case '"': return code == '.' || code == 0;
    default:  return wanted == code && code != 0;
    }
}

/* DOS_STAR stands for all up to the last dot: it may not step over that one. */
static bool star_may_take(uint32_t star, const char *text) {
    return *text != '\0' && (star == '*' || *text != '.' || strchr(text + 1, '.') != NULL);
}

/* Backtracks to the last star alone, so the time is the product of the lengths at most. */
bool pattern_matches(const char *pattern, const char *name) {
    const char *resume_pattern = NULL, *resume_name = NULL;
    uint32_t star = 0;

    for (;;) {
        const char *next_pattern = pattern, *next_name = name;
        uint32_t wanted = upper_take(&next_pattern);

        if (wanted == '*' || wanted == '<') {
            star = wanted;
            resume_pattern = pattern = next_pattern;
            resume_name = name;
            continue;
        }
        if (wanted == 0 && *name == '\0')
            return true;
        if (wanted != 0 && letter_matches(wanted, upper_take(&next_name))) {
            pattern = next_pattern;
            name = next_name;
            continue;
        }
        if (resume_name == NULL || !star_may_take(star, resume_name))
            return false;
        upper_take(&resume_name);
        name = resume_name;
        pattern = resume_pattern;
    }
}
