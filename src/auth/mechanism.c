#include "auth/mechanism.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/crypto.h"

#define FILETIME_PER_SECOND 10000000u    /* 100 ns */
#define FILETIME_1970       11644473600u /* seconds from 1601 to 1970 */

void mechanism_free(struct mechanism *mechanism) {
    if (mechanism == NULL)
        return;
    crypto_wipe(mechanism->key, sizeof mechanism->key);
    mechanism->methods->free(mechanism);
}

enum auth_state mechanism_fail(struct mechanism *mechanism, uint32_t status, const char *reason) {
    mechanism->status = status;
    snprintf(mechanism->reason, sizeof mechanism->reason, "%s", reason);
    return AUTH_FAILED;
}

bool auth_name_set(char name[AUTH_NAME_MAX], struct span utf8) {
    if (utf8.size >= AUTH_NAME_MAX || (utf8.size > 0 && memchr(utf8.data, 0, utf8.size) != NULL))
        return false;
    if (utf8.size > 0)
        memcpy(name, utf8.data, utf8.size);
    name[utf8.size] = '\0';
    return true;
}

uint64_t auth_filetime_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec + FILETIME_1970) * FILETIME_PER_SECOND +
           (uint64_t)now.tv_nsec / 100;
}
