#include "golden.h"

#include <stdio.h>
#include <stdlib.h>

char *golden_read(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long size = -1;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (size >= 0 && (text = calloc(1, (size_t)size + 2)) != NULL) {
        rewind(file);
        text[0] = '\n';
        if (fread(text + 1, 1, (size_t)size, file) != (size_t)size)
            size = -1;
    }
    if (file != NULL)
        fclose(file);
    if (text != NULL && size >= 0)
        return text;
    fprintf(stderr, "%s cannot be read\n", path);
    exit(2);
}
