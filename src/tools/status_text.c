#include "tools/status_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/info.h"

static const struct {
    uint32_t bit;
    char letter;
    const char *name;
} attributes[] = {
    {FILE_ATTRIBUTE_DIRECTORY, 'd', "directory"},   {FILE_ATTRIBUTE_READONLY, 'r', "readonly"},
    {FILE_ATTRIBUTE_HIDDEN, 'h', "hidden"},         {FILE_ATTRIBUTE_SYSTEM, 's', "system"},
    {FILE_ATTRIBUTE_ARCHIVE, 'a', "archive"},       {FILE_ATTRIBUTE_REPARSE_POINT, 'l', "reparse_point"},
    {FILE_ATTRIBUTE_COMPRESSED, 'c', "compressed"}, {FILE_ATTRIBUTE_ENCRYPTED, 'e', "encrypted"},
};
#define ATTRIBUTE_COUNT (sizeof attributes / sizeof attributes[0])
_Static_assert(ATTRIBUTE_COUNT + 1 == ATTRIBUTES_TEXT_MAX, "one letter for each, and the NUL");

static time_t split(uint64_t filetime, int32_t *nanoseconds) {
    int64_t seconds;

    filetime_split(filetime, &seconds, nanoseconds);
    return seconds;
}

const char *filetime_text(uint64_t filetime, char text[FILETIME_TEXT_MAX]) {
    int32_t nanoseconds;
    time_t seconds = split(filetime, &nanoseconds);
    struct tm parts;

    if (filetime == 0 || localtime_r(&seconds, &parts) == NULL ||
        strftime(text, FILETIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(text, FILETIME_TEXT_MAX, "%19s", "-");
    return text;
}

/* [RFC3339] in UTC with the seven digits that FILETIME has; "" for none. */
static const char *time_utc(uint64_t filetime, char text[FILETIME_TEXT_MAX]) {
    int32_t nanoseconds;
    time_t seconds = split(filetime, &nanoseconds);
    struct tm parts;
    size_t at;

    text[0] = '\0';
    if (filetime == 0 || gmtime_r(&seconds, &parts) == NULL)
        return text;
    at = strftime(text, FILETIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + at, FILETIME_TEXT_MAX - at, ".%07dZ", (int)(nanoseconds / 100));
    return text;
}

const char *attributes_text(uint32_t bits, char text[ATTRIBUTES_TEXT_MAX]) {
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
        text[i] = bits & attributes[i].bit ? attributes[i].letter : '-';
    text[ATTRIBUTE_COUNT] = '\0';
    return text;
}

static void json_time(struct output *output, const char *key, uint64_t filetime) {
    char text[FILETIME_TEXT_MAX];

    json_string(output, key, filetime != 0 ? time_utc(filetime, text) : NULL);
}

void status_json(struct output *output, const struct file_status *status) {
    json_string(output, "kind", file_is_reparse_point(status) ? "link" : file_is_folder(status) ? "folder" : "file");
    json_number(output, "size", status->size);
    json_number(output, "allocated", status->allocation_size);
    json_open(output, "attributes", '[');
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
        if (status->attributes & attributes[i].bit)
            json_string(output, NULL, attributes[i].name);
    json_close(output, ']');
    json_time(output, "created", status->creation_time);
    json_time(output, "written", status->last_write_time);
    json_time(output, "accessed", status->last_access_time);
    json_time(output, "changed", status->change_time);
    if (status->links > 0)
        json_number(output, "links", status->links);
    if (status->index != 0)
        json_number(output, "index", status->index);
}
