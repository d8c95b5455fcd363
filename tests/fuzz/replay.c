/* A main for fuzz targets in the ordinary test run: feeds every file of the folders given, and the
 * files given, to the target once. Fails where a folder or file cannot be read, and where there was
 * nothing to feed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_SIZE_MAX (16u * 1024u * 1024u) /* octets; seeds are small */
#define PATH_SIZE_MAX 4096u                 /* octets with the NUL */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(FILE *file, size_t size, const char *path) {
    uint8_t *data =
        malloc(size > 0 ? size : 1); /* of the exact size, so that a read beyond it is noticed */

    if (data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(1);
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static unsigned replay_file(const char *path, const struct stat *status) {
    FILE *file = fopen(path, "rb");

    if (file == NULL || status->st_size < 0 || (uintmax_t)status->st_size > FILE_SIZE_MAX) {
        fprintf(stderr, "replay: cannot read %s, or it is too large\n", path);
        exit(1);
    }
    fprintf(stderr, "%s\n", path); /* the last one printed is the one that crashed */
    feed(file, (size_t)status->st_size, path);
    fclose(file);
    return 1;
}

static unsigned replay(const char *path);

static unsigned replay_folder(const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    unsigned fed = 0;

    if (count < 0) {
        fprintf(stderr, "replay: cannot read the folder %s\n", path);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char inner[PATH_SIZE_MAX];
        int length = snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);

        if (entries[i]->d_name[0] != '.' && length > 0 && (size_t)length < sizeof inner)
            fed += replay(inner);
        free(entries[i]);
    }
    free(entries);
    return fed;
}

static unsigned replay(const char *path) {
    struct stat status;

    if (stat(path, &status) != 0) {
        fprintf(stderr, "replay: there is no %s\n", path);
        exit(1);
    }
    return S_ISDIR(status.st_mode) ? replay_folder(path) : replay_file(path, &status);
}

int main(int argc, char **argv) {
    unsigned fed = 0;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        fed += replay(argv[i]);
    fprintf(stderr, "%u inputs\n", fed);
    return fed > 0 ? 0 : 1;
}
