#include "tools/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 300u

static bool resolve(const char *host, const char *port, struct sockaddr_storage *address, const char **complaint) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found;
    int error = getaddrinfo(host, port, &hints, &found);

    if (error != 0) {
        *complaint = gai_strerror(error);
        return false;
    }
    memset(address, 0, sizeof *address);
    memcpy(address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

bool address_parse(const char *text, const char *usual_port, struct sockaddr_storage *address, const char **complaint) {
    char host[TEXT_MAX];
    const char *port = usual_port, *start = host;
    char *colon, *bracket;

    if (strlen(text) >= sizeof host) {
        *complaint = "it is too long";
        return false;
    }
    strcpy(host, text);
    bracket = host[0] == '[' ? strchr(host, ']') : NULL;
    colon = bracket != NULL ? bracket + 1 : strchr(host, ':');
    if (bracket != NULL) {
        *bracket = '\0';
        start = host + 1;
    }
    if (colon != NULL && *colon == ':') {
        *colon = '\0';
        port = colon + 1;
    }
    if (*start == '\0' || *port == '\0') {
        *complaint = "it is not HOST:PORT";
        return false;
    }
    return resolve(start, port, address, complaint);
}

unsigned address_port(const struct sockaddr_storage *address) {
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

void address_set_port(struct sockaddr_storage *address, uint16_t port) {
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

static bool set_options(int descriptor, int family, bool transparent) {
    int one = 1;

    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!transparent)
        return true;
    return family == AF_INET ? setsockopt(descriptor, SOL_IP, IP_TRANSPARENT, &one, sizeof one) == 0
                             : setsockopt(descriptor, SOL_IPV6, IPV6_TRANSPARENT, &one, sizeof one) == 0;
}

int address_listen(const struct sockaddr_storage *address, int backlog, bool transparent) {
    socklen_t size = address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int descriptor = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (descriptor < 0)
        return -1;
    if (set_options(descriptor, address->ss_family, transparent) &&
        bind(descriptor, (const struct sockaddr *)address, size) == 0 && listen(descriptor, backlog) == 0)
        return descriptor;
    error = errno;
    close(descriptor);
    errno = error;
    return -1;
}
