#include "store/tunnel.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/names.h"

void tunnel_init(struct tunnel *tunnel) {
    memset(tunnel, 0, sizeof *tunnel);
    pthread_mutex_init(&tunnel->lock, NULL);
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool short_name_of(const char *disk_name, char made[SHORT_NAME_MAX]) {
    char name[STORE_NAME_MAX];
    return name_from_disk(disk_name, name) && short_name(name, made);
}

void tunnel_note(struct tunnel *tunnel, int folder, const char *disk_name) {
    char made[SHORT_NAME_MAX];
    struct stat status;
    if (strlen(disk_name) > NAME_MAX || !short_name_of(disk_name, made) || fstat(folder, &status) < 0)
        return;
    pthread_mutex_lock(&tunnel->lock);
    struct tunnel_name *entry = &tunnel->names[tunnel->next++ % TUNNEL_NAMES_MAX];
    *entry = (struct tunnel_name){.removed_ms = now_ms(), .device = status.st_dev, .folder = status.st_ino};
    strcpy(entry->name, disk_name);
    pthread_mutex_unlock(&tunnel->lock);
}

static bool is_wanted(const struct tunnel_name *entry, const struct stat *folder, const char *short_one, uint64_t now) {
    char made[SHORT_NAME_MAX];
    return entry->name[0] != '\0' && now - entry->removed_ms < TUNNEL_MS && entry->folder == folder->st_ino &&
           entry->device == folder->st_dev && short_name_of(entry->name, made) && name_equal(made, short_one);
}

bool tunnel_find(struct tunnel *tunnel, int folder, const char *short_one, char found[NAME_MAX + 1]) {
    struct stat status;
    bool is_found = false;
    if (!is_short_name(short_one) || fstat(folder, &status) < 0)
        return false;
    pthread_mutex_lock(&tunnel->lock);
    for (unsigned i = 0; i < TUNNEL_NAMES_MAX && !is_found; i++) {
        is_found = is_wanted(&tunnel->names[i], &status, short_one, now_ms());
        if (is_found)
            strcpy(found, tunnel->names[i].name);
    }
    pthread_mutex_unlock(&tunnel->lock);
    return is_found;
}
