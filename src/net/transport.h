/* The client's end of a TCP connection that carries SMB: direct TCP, or the NetBIOS session service on port 139.
 *
 * Everything waits, with a deadline: a point of time on the clock of transport_now_ms(). Errors are negative errno
 * values: -ETIMEDOUT where the deadline passed, -ECANCELED where an end was wanted and the peer did not answer soon,
 * -ECONNRESET and so on as the kernel says. No threads, no globals. */
#ifndef SMBPROOF_NET_TRANSPORT_H
#define SMBPROOF_NET_TRANSPORT_H

#include "wire/frame.h"

#define TRANSPORT_PORT_DIRECT  445u
#define TRANSPORT_PORT_NETBIOS 139u
/* Keep-alives and empty frames that are passed over while one message is awaited. */
#define TRANSPORT_IDLE_FRAMES_MAX 64u

/* Milliseconds that are still waited for what is under way when an end is wanted: of silence, and in all. Long enough
 * for a server that lives, and for people it is at once. */
#define TRANSPORT_STOP_SILENCE_MS 500
#define TRANSPORT_STOP_MS         3000

struct transport_socket {
    int fd; /* non-blocking; -1: not connected */
    int wakes_after; /* SO_RCVLOWAT: octets */
    int stop_fd; /* readable: an end is wanted; 0: nobody wants one. Set by the caller before anything else */
    int64_t stopped_ms; /* since when; 0: not yet */
    uint8_t head[FRAME_HEADER_SIZE]; /* of the next message, as far as it was read: head_size octets */
    unsigned head_size;
    char address[64]; /* of the peer, as text, and its port; for messages to people */
};

int64_t transport_now_ms(void);
/* The point of time in so many milliseconds. */
int64_t transport_deadline(int64_t timeout_ms);

/* `transport` is zeroed, but for stop_fd. Connects to one of the addresses that the name has, tried one after the other
 * until the deadline; each gets its share of the time. -ENOENT: the name is not known. */
int transport_connect(struct transport_socket *transport, const char *host, uint16_t port, int64_t deadline_ms);
/* Requests a session of *SMBSERVER, as has to be done first on port 139 ([RFC1002] 4.3.2). -ECONNREFUSED: the answer is
 * that there is none. */
int transport_request_netbios(struct transport_socket *transport, int64_t deadline_ms);
/* Takes over a connected socket. */
int transport_adopt(struct transport_socket *transport, int fd);
void transport_close(struct transport_socket *transport);

/* Sends all of it, or fails. */
int transport_send(struct transport_socket *transport, struct span octets, int64_t deadline_ms);
/* The length of the next message's content, whose four octets in front were read; keep-alives are passed over. 0: the
 * peer has closed the connection. -EPROTO: what came is no frame. */
int64_t transport_next_frame(struct transport_socket *transport, int64_t deadline_ms);
/* The length of the next message's content, if all of it is there within so many milliseconds; 0: it is not, or what comes
 * is something else. transport_next_frame() says the same then, and reads no further. */
uint32_t transport_whole_frame(struct transport_socket *transport, int64_t wait_ms);
/* Reads just so many octets: a frame's content. -ECONNRESET where the peer closes in its middle. */
int transport_read(struct transport_socket *transport, uint8_t *data, size_t size, int64_t deadline_ms);

#endif
