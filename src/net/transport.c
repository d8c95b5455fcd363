#include "net/transport.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* [RFC1001] 14.1: sixteen octets become two letters each; a length in front, the root's empty label behind. */
#define NETBIOS_NAME_SIZE    34u
#define NETBIOS_NAME_OCTETS  16u
#define NETBIOS_SUFFIX_SERVER 0x20u
#define NETBIOS_SUFFIX_CLIENT 0x00u

int64_t transport_now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t transport_deadline(int64_t timeout_ms) {
    return transport_now_ms() + timeout_ms;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms) {
    return a_ms < b_ms ? a_ms : b_ms;
}

/* Where an end is wanted, an earlier deadline. */
static int64_t stop_deadline(const struct transport_socket *transport, int64_t deadline_ms) {
    if (transport->stopped_ms == 0)
        return deadline_ms;
    return sooner(deadline_ms,
                  sooner(transport_deadline(TRANSPORT_STOP_SILENCE_MS), transport->stopped_ms + TRANSPORT_STOP_MS));
}

/* Lets poll() wait for so many octets, and not wake for each segment; but each is a sign of life where an end is wanted. On
 * a socket that does not know it, poll() wakes early. */
static void wake_after(struct transport_socket *transport, size_t octets) {
    int wanted = transport->stopped_ms != 0 ? 1 : octets < INT_MAX ? (int)octets : INT_MAX;

    if (wanted != transport->wakes_after)
        setsockopt(transport->fd, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
    transport->wakes_after = wanted;
}

/* Waits until `fd` is ready for `events`; 0, or a negative errno. */
static int wait_for(struct transport_socket *transport, int fd, short events, int64_t deadline_ms) {
    int64_t until = stop_deadline(transport, deadline_ms);

    for (;;) {
        bool is_stopped = transport->stopped_ms != 0;
        struct pollfd entries[] = {{.fd = fd, .events = events}, {.fd = transport->stop_fd, .events = POLLIN}};
        int64_t left = until - transport_now_ms();
        int ready;

        if (left <= 0)
            return is_stopped ? -ECANCELED : -ETIMEDOUT;
        ready = poll(entries, transport->stop_fd > 0 && !is_stopped ? 2 : 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready > 0 && entries[0].revents != 0)
            return 0;
        if (ready > 0) {
            transport->stopped_ms = transport_now_ms();
            wake_after(transport, 1);
            until = stop_deadline(transport, deadline_ms);
        }
    }
}

/* ---- connecting ---- */

static void describe_peer(struct transport_socket *transport, const struct sockaddr *address, socklen_t size) {
    char host[46] = "?", service[8] = "?";
    int error = getnameinfo(address, size, host, sizeof host, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV);
    bool is_v6 = error == 0 && strchr(host, ':') != NULL;

    snprintf(transport->address, sizeof transport->address, is_v6 ? "[%s]:%s" : "%s:%s", host, service);
}

static int finish_connect(struct transport_socket *transport, int fd, int64_t deadline_ms) {
    int status = wait_for(transport, fd, POLLOUT, deadline_ms), error = 0;
    socklen_t size = sizeof error;

    if (status < 0)
        return status;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* A connected socket, or a negative errno. */
static int connect_address(struct transport_socket *transport, const struct addrinfo *address, int64_t deadline_ms) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int status = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0)
        status = errno == EINPROGRESS ? finish_connect(transport, fd, deadline_ms) : -errno;
    if (status == 0)
        return fd;
    close(fd);
    return status;
}

static unsigned count_addresses(const struct addrinfo *address) {
    unsigned count = 0;

    for (; address != NULL; address = address->ai_next)
        count++;
    return count;
}

static int connect_any(struct transport_socket *transport, const struct addrinfo *address, int64_t deadline_ms) {
    int status = -ENOENT;

    for (; address != NULL; address = address->ai_next) {
        int64_t now = transport_now_ms();

        if (status == -ECANCELED)
            return status;
        status = connect_address(transport, address, now + (deadline_ms - now) / count_addresses(address));
        if (status < 0)
            continue;
        describe_peer(transport, address->ai_addr, address->ai_addrlen);
        return transport_adopt(transport, status);
    }
    return status;
}

static int error_of_lookup(int code) {
    switch (code) {
    case EAI_SYSTEM:
        return -errno;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -ENOENT;
    }
}

static void put_netbios_name(struct writer *writer, const char *name, uint8_t suffix) {
    uint8_t octets[NETBIOS_NAME_OCTETS];

    memset(octets, ' ', sizeof octets);
    memcpy(octets, name, strlen(name));
    octets[NETBIOS_NAME_OCTETS - 1] = suffix;
    writer_u8(writer, 2 * NETBIOS_NAME_OCTETS);
    for (unsigned i = 0; i < NETBIOS_NAME_OCTETS; i++) {
        writer_u8(writer, (uint8_t)('A' + (octets[i] >> 4)));
        writer_u8(writer, (uint8_t)('A' + (octets[i] & 15)));
    }
    writer_u8(writer, 0);
}

int transport_request_netbios(struct transport_socket *transport, int64_t deadline_ms) {
    uint8_t request[FRAME_HEADER_SIZE + 2 * NETBIOS_NAME_SIZE], head[FRAME_HEADER_SIZE];
    struct writer writer = writer_over(request, sizeof request);
    struct frame frame = {FRAME_SESSION_REQUEST, 2 * NETBIOS_NAME_SIZE};
    int status;

    frame_encode(&writer, &frame);
    put_netbios_name(&writer, "*SMBSERVER", NETBIOS_SUFFIX_SERVER);
    put_netbios_name(&writer, "SMBPROOF", NETBIOS_SUFFIX_CLIENT);
    assert(!writer.failed);
    status = transport_send(transport, writer_done(&writer), deadline_ms);
    if (status == 0)
        status = transport_read(transport, head, sizeof head, deadline_ms);
    if (status < 0)
        return status;
    if (!frame_decode((struct span){head, sizeof head}, &frame))
        return -EPROTO;
    return frame.type == FRAME_POSITIVE_RESPONSE && frame.length == 0 ? 0 : -ECONNREFUSED;
}

int transport_connect(struct transport_socket *transport, const char *host, uint16_t port, int64_t deadline_ms) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *addresses;
    char service[6];
    int status;

    transport->fd = -1;
    transport->wakes_after = 1;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    status = getaddrinfo(host, service, &hints, &addresses);
    if (status != 0)
        return error_of_lookup(status);
    status = connect_any(transport, addresses, deadline_ms);
    freeaddrinfo(addresses);
    if (status < 0)
        transport_close(transport);
    return status;
}

int transport_adopt(struct transport_socket *transport, int fd) {
    const int on = 1;
    int flags = fcntl(fd, F_GETFL);

    transport->fd = fd;
    transport->wakes_after = 1;
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on a socket that is not TCP, and need not be */
    return 0;
}

void transport_close(struct transport_socket *transport) {
    if (transport->fd >= 0)
        close(transport->fd);
    transport->fd = -1;
}

/* ---- octets ---- */

int transport_send(struct transport_socket *transport, struct span octets, int64_t deadline_ms) {
    while (octets.size > 0) {
        ssize_t sent = send(transport->fd, octets.data, octets.size, MSG_NOSIGNAL);

        if (sent > 0) {
            octets = span_slice(octets, (size_t)sent, octets.size);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            int status = wait_for(transport, transport->fd, POLLOUT, deadline_ms);

            if (status < 0)
                return status;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Waits until so many octets are there, or it is over. */
static int wait_octets(struct transport_socket *transport, size_t octets, int64_t deadline_ms) {
    wake_after(transport, octets);
    return wait_for(transport, transport->fd, POLLIN, deadline_ms);
}

/* Reads `size` octets; fewer where the peer closes: how many came, or a negative errno. */
static int64_t read_octets(struct transport_socket *transport, uint8_t *data, size_t size, int64_t deadline_ms) {
    size_t at = 0;

    while (at < size) {
        ssize_t got = recv(transport->fd, data + at, size - at, 0);

        if (got > 0) {
            at += (size_t)got;
        } else if (got == 0) {
            break;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            int status = wait_octets(transport, size - at, deadline_ms);

            if (status < 0)
                return status;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return (int64_t)at;
}

int transport_read(struct transport_socket *transport, uint8_t *data, size_t size, int64_t deadline_ms) {
    int64_t got = read_octets(transport, data, size, deadline_ms);

    if (got < 0)
        return (int)got;
    return (size_t)got == size ? 0 : -ECONNRESET;
}

/* The next frame's header, of which a part may be there. Positive: all of it is; 0: the peer has closed the connection; or a
 * negative errno. */
static int64_t read_head(struct transport_socket *transport, int64_t deadline_ms) {
    while (transport->head_size < FRAME_HEADER_SIZE) {
        ssize_t got = recv(transport->fd, transport->head + transport->head_size,
                           FRAME_HEADER_SIZE - transport->head_size, 0);
        int status;

        if (got > 0)
            transport->head_size += (unsigned)got;
        else if (got == 0)
            return transport->head_size == 0 ? 0 : -ECONNRESET;
        else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        else if ((status = wait_octets(transport, FRAME_HEADER_SIZE - transport->head_size, deadline_ms)) < 0)
            return status;
    }
    return 1;
}

static bool decode_head(const struct transport_socket *transport, struct frame *frame) {
    return frame_decode((struct span){transport->head, sizeof transport->head}, frame);
}

uint32_t transport_whole_frame(struct transport_socket *transport, int64_t wait_ms) {
    int64_t deadline_ms = transport_deadline(wait_ms);
    struct frame frame;

    if (transport->stopped_ms != 0 || read_head(transport, deadline_ms) <= 0)
        return 0;
    if (!decode_head(transport, &frame) || frame.type != FRAME_MESSAGE || frame.length == 0)
        return 0;
    return wait_octets(transport, frame.length, deadline_ms) == 0 ? frame.length : 0;
}

int64_t transport_next_frame(struct transport_socket *transport, int64_t deadline_ms) {
    for (unsigned i = 0; i < TRANSPORT_IDLE_FRAMES_MAX; i++) {
        struct frame frame;
        int64_t got = read_head(transport, deadline_ms);

        if (got <= 0)
            return got;
        transport->head_size = 0;
        if (!decode_head(transport, &frame))
            return -EPROTO;
        if (frame.type == FRAME_MESSAGE && frame.length > 0)
            return frame.length;
        if (frame.length > 0 || (frame.type != FRAME_MESSAGE && frame.type != FRAME_KEEP_ALIVE))
            return -EPROTO;
    }
    return -EPROTO;
}
