#include "serve/service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void service_tell(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size;
    int descriptor;

    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') /* of the abstract kind */
        address.sun_path[0] = '\0';
    size = (socklen_t)(sizeof address.sun_family + strlen(path));
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    sendto(descriptor, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    close(descriptor);
}

void service_tell_reloading(void) {
    struct timespec now;
    char state[64];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    service_tell(state);
}

unsigned service_descriptors(void) {
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    unsigned long descriptors;

    if (process == NULL || count == NULL || strtol(process, NULL, 10) != (long)getpid())
        return 0;
    descriptors = strtoul(count, NULL, 10);
    if (descriptors > 1024)
        return 0;
    for (unsigned long i = 0; i < descriptors; i++)
        fcntl(SERVICE_DESCRIPTOR_FIRST + (int)i, F_SETFD, FD_CLOEXEC);
    return (unsigned)descriptors;
}

bool service_descriptor_listens(int descriptor) {
    int type = 0, listens = 0;
    struct sockaddr_storage address = {0};
    socklen_t one = sizeof type, two = sizeof listens, three = sizeof address;

    return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &one) == 0 && type == SOCK_STREAM &&
           getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &two) == 0 && listens != 0 &&
           getsockname(descriptor, (struct sockaddr *)&address, &three) == 0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}
