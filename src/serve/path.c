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
