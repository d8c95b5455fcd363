/* The clients that are logged on, by ClientGuid, and the dialect of each ([MS-SMB2] 3.3.1.16: GlobalClientTable).
 *
 * A client is there as long as a connection of it is on which somebody has logged on. One lock, for memory work. */
#ifndef SMBPROOF_SERVE_CLIENTS_H
#define SMBPROOF_SERVE_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#define CLIENT_GUID_SIZE 16u /* octets */

struct clients;

enum clients_answer {
    CLIENTS_ENTERED,   /* to be left again */
    CLIENTS_DIFFERENT, /* it is there with another dialect */
    CLIENTS_MEMORY,
};

/* NULL: no memory, or no randomness. */
struct clients *clients_new(void);
/* None may be left. */
void clients_free(struct clients *clients);
/* A connection of this client, on which somebody logs on. */
enum clients_answer clients_enter(struct clients *clients, const uint8_t guid[CLIENT_GUID_SIZE], uint16_t dialect);
void clients_leave(struct clients *clients, const uint8_t guid[CLIENT_GUID_SIZE]);

#endif
