/* Names that were removed a moment ago: whoever then makes a file by the short name of one gets its long name back, as old
 * programs expect that save a file by removing it and making it anew ([MS-FSA] 2.1.1.4, TunnelCacheList). */
#ifndef SMBPROOF_STORE_TUNNEL_H
#define SMBPROOF_STORE_TUNNEL_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Names that are kept, the oldest going first. */
#define TUNNEL_NAMES_MAX 32u
/* How long each is. */
#define TUNNEL_MS 15000u

struct tunnel_name {
    uint64_t removed_ms;
    dev_t device; /* of the folder, as is the next */
    ino_t folder;
    char name[NAME_MAX + 1]; /* as on disk; "" none */
};

struct tunnel {
    pthread_mutex_t lock;
    struct tunnel_name names[TUNNEL_NAMES_MAX];
    unsigned next;
};

void tunnel_init(struct tunnel *tunnel);
/* The name was removed from the folder. One that has no made-up short name is not kept. */
void tunnel_note(struct tunnel *tunnel, int folder, const char *disk_name);
/* The name that had this one for its short name there; false: none. */
bool tunnel_find(struct tunnel *tunnel, int folder, const char *short_one, char found[NAME_MAX + 1]);

#endif
