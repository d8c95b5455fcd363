#include <string.h>

#include "serve/work.h"
#include "wire/text.h"

/* What no component may hold ([MS-FSCC] 2.1.5.1); ':' separates the stream and is looked at apart. */
static bool is_forbidden(char letter) {
    return (letter > 0 && letter < 0x20) || (letter != '\0' && strchr("\"*<>?|", letter) != NULL);
}

static bool component_is_valid(const char *start, size_t size) {
    return size > 0 && size < STORE_NAME_MAX && !(start[0] == '.' && (size == 1 || (size == 2 && start[1] == '.')));
}

/* Checks the components of the path up to its end, where the stream was cut off. */
static uint32_t components_check(const char *path) {
    for (const char *at = path; *at != '\0'; at++)
        if (is_forbidden(*at))
            return STATUS_OBJECT_NAME_INVALID;
    for (;;) {
        size_t size = strcspn(path, "/");

        if (!component_is_valid(path, size))
            return size >= STORE_NAME_MAX ? STATUS_OBJECT_NAME_INVALID : STATUS_OBJECT_PATH_SYNTAX_BAD;
        if (path[size] == '\0')
            return STATUS_SUCCESS;
        path += size + 1;
    }
}

/* ".." takes back the component before it. Where there is none, it stays where it is, and is refused. */
static void climbs_take(char *path) {
    size_t kept = 0, size;

    for (const char *in = path;; in += size + 1) {
        size = strcspn(in, "/");
        bool is_climb = size == 2 && in[0] == '.' && in[1] == '.', is_last = in[size] == '\0';

        if (is_climb && kept == 0)
            return;
        if (is_climb) {
            while (kept > 0 && path[--kept] != '/')
                continue;
        } else {
            if (kept > 0)
                path[kept++] = '/';
            memmove(path + kept, in, size);
            kept += size;
        }
        if (is_last)
            break;
    }
    path[kept] = '\0';
}

static bool is_data_type(const char *type) {
    static const char data[] = "$DATA";

    for (size_t i = 0; i < sizeof data; i++)
        if (text_upper((uint8_t)type[i]) != (uint8_t)data[i])
            return false;
    return true;
}

/* Cuts "name:stream:$DATA" apart. A stream's name may hold anything but separators ([MS-FSCC] 2.1.5.3). */
static uint32_t stream_split(char *path, const char **stream, bool *has_stream) {
    char *name = strchr(path, ':');
    char *type;

    *stream = "";
    *has_stream = name != NULL;
    if (name == NULL)
        return STATUS_SUCCESS;
    *name++ = '\0';
    type = strchr(name, ':');
    if (type != NULL)
        *type++ = '\0';
    if (strchr(name, '/') != NULL || strlen(name) >= STORE_NAME_MAX || (type == NULL ? *name == '\0' : !is_data_type(type)))
        return STATUS_OBJECT_NAME_INVALID;
    *stream = name;
    return STATUS_SUCCESS;
}

uint32_t path_decode(struct span name, char *path, const char **stream, bool *has_stream) {
    struct reader reader = reader_over(name);
    struct writer writer = writer_over((uint8_t *)path, STORE_PATH_MAX);
    uint32_t status;

    while (reader_left(&reader) > 0) {
        uint32_t code = text_take_utf16(&reader);

        if (reader.failed || code == 0)
            return STATUS_OBJECT_NAME_INVALID;
        text_put_utf8(&writer, code == '\\' ? '/' : code);
    }
    writer_u8(&writer, 0);
    if (writer.failed)
        return STATUS_NAME_TOO_LONG;
    status = stream_split(path, stream, has_stream);
    if (status == STATUS_SUCCESS && *path == '/')
        return STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && *path != '\0')
        climbs_take(path);
    return status != STATUS_SUCCESS || *path == '\0' ? status : components_check(path);
}
