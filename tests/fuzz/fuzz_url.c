/* URLs and names against any octets: what is taken has only harmless parts, and what is shown only harmless characters.
 */
#include <stdlib.h>
#include <string.h>

#include "client/names.h"
#include "client/url.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_path(const char *path) {
    char part[URL_PATH_MAX];

    while (*path != '\0') {
        size_t size = strcspn(path, "\\");

        memcpy(part, path, size);
        part[size] = '\0';
        CHECK(name_is_safe(part));
        path += size + (path[size] != '\0');
    }
}

static void check_url(const char *text) {
    char complaint[URL_COMPLAINT_MAX];
    struct url url;

    complaint[0] = '\0';
    if (!url_parse(text, &url, complaint)) {
        CHECK(complaint[0] != '\0');
        return;
    }
    CHECK(url_is(text) && url.host[0] != '\0');
    CHECK(url.share[0] == '\0' || strpbrk(url.share, "/\\") == NULL);
    check_path(url.path);
}

static void check_shown(const char *text, size_t size) {
    char *shown = malloc(NAME_SHOWN_MAX(size));

    CHECK(shown != NULL);
    name_shown(text, shown, NAME_SHOWN_MAX(size));
    for (const char *c = shown; *c != '\0'; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
    CHECK((size == 0) == (shown[0] == '\0'));
    free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1), name[NAME_TEXT_MAX];

    CHECK(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_url(text);
    check_shown(text, strlen(text));
    if (name_from_wire((struct span){data, size}, name))
        check_shown(name, strlen(name));
    free(text);
    return 0;
}
