/* What went through the relay, as a capture: pcapng with one interface for the client's side and one for the server's.
 *
 * The relay sees octets, not packets, so the Ethernet, IP and TCP headers are made up: with the real addresses and
 * ports, and with sequence numbers, acknowledgments and checksums that are right. Each packet that was altered has a
 * comment. */
#ifndef SMBPROOF_RELAY_RECORDER_H
#define SMBPROOF_RELAY_RECORDER_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/conversation.h"

#define RECORDER_COMPLAINT_MAX 512u

struct recorder;

/* `path`: a file; or a folder that exists, which gets relay.pcapng (both sides), client.pcapng and server.pcapng (each
 * side alone). NULL, and the complaint, where it cannot be written. */
struct recorder *recorder_open(const char *path, char complaint[RECORDER_COMPLAINT_MAX]);
/* Writes what is left. 0, or the negative errno of the first write that failed; nothing was written since. */
int recorder_close(struct recorder *recorder);

/* Writes to the files what was recorded so far. */
void recorder_flush(struct recorder *recorder);

/* One TCP connection of the recording. Kept by its owner. */
struct recorded {
    enum direction side;            /* FROM_CLIENT: the one between client and relay */
    struct sockaddr_storage ends[2]; /* who connected, who accepted */
    uint32_t next[2];               /* sequence number of each one's next octet */
    uint16_t packets[2];
    bool finished[2];
    bool is_reset;
};

/* The handshake. */
void recorder_connect(struct recorder *recorder, struct recorded *connection, enum direction side,
                      const struct sockaddr_storage *connector, const struct sockaddr_storage *acceptor);
/* A connection that was refused: a SYN, and a reset. */
void recorder_refuse(struct recorder *recorder, struct recorded *connection, enum direction side,
                     const struct sockaddr_storage *connector, const struct sockaddr_storage *acceptor);
/* Octets from the one who connected (FROM_CLIENT) or accepted, with a comment on their first packet, or "". */
void recorder_data(struct recorder *recorder, struct recorded *connection, enum direction from, struct span octets,
                   const char *comment);
void recorder_finish(struct recorder *recorder, struct recorded *connection, enum direction from, const char *comment);
void recorder_reset(struct recorder *recorder, struct recorded *connection, enum direction from, const char *comment);

#endif
