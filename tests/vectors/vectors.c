#include "vectors.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME_MAX_SIZE 32u   /* octets, with the terminating zero */
#define OCTETS_MAX    1024u /* of one vector */

struct entry {
    char name[NAME_MAX_SIZE];
    bool used;
    size_t size;
    uint8_t data[OCTETS_MAX];
};

struct vectors {
    size_t count;
    struct entry entries[VECTORS_MAX];
};

/* Beside this source file, wherever the compiler was run, or where SMBPROOF_VECTORS says. */
static FILE *vectors_open(void) {
    const char *chosen = getenv("SMBPROOF_VECTORS");
    const char *slash = strrchr(__FILE__, '/');
    char path[4096];

    snprintf(path, sizeof(path), "%.*ssmb.vec", slash ? (int)(slash + 1 - __FILE__) : 0, __FILE__);
    FILE *file = fopen(chosen ? chosen : path, "r");
    if (!file)
        fail_msg("cannot open %s", chosen ? chosen : path);
    return file;
}

static void entry_append(struct entry *entry, const char *hex) {
    unsigned octet;
    int used;

    while (isxdigit((unsigned char)hex[0])) {
        if (entry->size == OCTETS_MAX || sscanf(hex, "%2x%n", &octet, &used) != 1 || used != 2)
            fail_msg("%s: not an octet or too long", entry->name);
        entry->data[entry->size++] = (uint8_t)octet;
        hex += 2;
    }
    if (*hex != '\n' && *hex != '\0')
        fail_msg("%s: not hexadecimal: %s", entry->name, hex);
}

static void line_read(struct vectors *vectors, const char *line) {
    char name[NAME_MAX_SIZE];
    int at = 0;

    if (line[0] == '#' || line[0] == '\n')
        return;
    if (line[0] == ' ') {
        assert_true(vectors->count > 0);
        entry_append(&vectors->entries[vectors->count - 1], line + strspn(line, " "));
        return;
    }
    if (sscanf(line, "%31s = %n", name, &at) != 1 || at == 0 || vectors->count == VECTORS_MAX)
        fail_msg("not a vector, or one too many: %s", line);
    struct entry *entry = &vectors->entries[vectors->count++];
    memcpy(entry->name, name, sizeof(name));
    entry_append(entry, line + at);
}

struct vectors *vectors_new(void) {
    struct vectors *vectors = calloc(1, sizeof(*vectors));
    FILE *file = vectors_open();
    char line[512];

    assert_non_null(vectors);
    while (fgets(line, sizeof(line), file))
        line_read(vectors, line);
    fclose(file);
    return vectors;
}

void vectors_free(struct vectors *vectors) {
    free(vectors);
}

struct span vector(struct vectors *vectors, const char *name) {
    for (size_t i = 0; i < vectors->count; i++) {
        struct entry *entry = &vectors->entries[i];

        if (strcmp(entry->name, name) == 0) {
            entry->used = true;
            return (struct span){entry->data, entry->size};
        }
    }
    fail_msg("no vector %s", name);
    return (struct span){NULL, 0};
}

const char *vectors_unused(const struct vectors *vectors) {
    for (size_t i = 0; i < vectors->count; i++) {
        if (!vectors->entries[i].used)
            return vectors->entries[i].name;
    }
    return NULL;
}
