#include "capture/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_SIZE_MAX 4096

/* Not every file system knows files without a name; there it is taken away at once. */
static int open_in(const char *folder) {
    char name[PATH_SIZE_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    int length = snprintf(name, sizeof name, "%s/smbproof-XXXXXX", folder);
    if (length < 0 || (size_t)length >= sizeof name)
        return -ENAMETOOLONG;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(name);
    return fd;
}

int temporary_open(void) {
    const char *folders[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int result = -ENOENT;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && result < 0; i++)
        if (folders[i] != NULL && *folders[i] != '\0')
            result = open_in(folders[i]);
    return result;
}

FILE *temporary_stream(void) {
    int fd = temporary_open();
    if (fd < 0) {
        errno = -fd;
        return NULL;
    }
    FILE *stream = fdopen(fd, "w+");
    if (stream == NULL)
        close(fd);
    return stream;
}
