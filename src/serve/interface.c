/* At which of the machine's interfaces a connection came in. */
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "serve/host.h"

/* Bits a second. What an interface can do is not always to be had (a tunnel, the loopback): the same for all, as there is but
 * one of them to choose from. */
#define INTERFACE_SPEED 1000000000u

static void take_address(const struct sockaddr_storage *name, struct interface *interface) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)name;
    const struct sockaddr_in *four = (const struct sockaddr_in *)name;

    interface->is_ipv6 = name->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
    if (interface->is_ipv6)
        memcpy(interface->address, &six->sin6_addr, 16);
    else if (name->ss_family == AF_INET6)
        memcpy(interface->address, six->sin6_addr.s6_addr + 12, 4);
    else
        memcpy(interface->address, &four->sin_addr, 4);
}

static bool has_address(const struct ifaddrs *one, const struct interface *wanted) {
    struct sockaddr_storage name = {0};
    struct interface its = {0};

    if (one->ifa_addr == NULL || (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
        return false;
    memcpy(&name, one->ifa_addr, one->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    take_address(&name, &its);
    return its.is_ipv6 == wanted->is_ipv6 && memcmp(its.address, wanted->address, sizeof its.address) == 0;
}

bool interface_of(int descriptor, struct interface *interface) {
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    struct ifaddrs *all;

    *interface = (struct interface){.speed = INTERFACE_SPEED};
    if (getsockname(descriptor, (struct sockaddr *)&name, &size) < 0 || getifaddrs(&all) < 0)
        return false;
    take_address(&name, interface);
    for (const struct ifaddrs *one = all; one != NULL && interface->index == 0; one = one->ifa_next)
        if (has_address(one, interface))
            interface->index = if_nametoindex(one->ifa_name);
    freeifaddrs(all);
    return interface->index != 0;
}
