#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/directory_parts.h"

int index_find(struct name_index *index, int folder, const char *disk_name, char found[NAME_MAX + 1]) {
    char wanted[STORE_NAME_MAX], name[STORE_NAME_MAX];
    (void)index;
    if (!name_from_disk(disk_name, wanted))
        return -ENAMETOOLONG;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL)
        return -errno;
    int result = -ENOENT;
    struct dirent *entry;
    while (result != 0 && (entry = readdir(entries)) != NULL)
        if (name_from_disk(entry->d_name, name) && name_equal(name, wanted)) {
            strcpy(found, entry->d_name);
            result = 0;
        }
    closedir(entries);
    return result;
}
