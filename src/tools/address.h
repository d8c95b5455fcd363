/* "HOST:PORT" on the command line. */
#ifndef SMBPROOF_TOOLS_ADDRESS_H
#define SMBPROOF_TOOLS_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* "192.0.2.1:445", "[2001:db8::1]:445", "nas.example.net"; without a port that of `usual_port`. False, and `complaint`
 * is a sentence about it, borrowed. */
bool address_parse(const char *text, const char *usual_port, struct sockaddr_storage *address, const char **complaint);
/* Of an address of IPv4 or IPv6. */
unsigned address_port(const struct sockaddr_storage *address);
void address_set_port(struct sockaddr_storage *address, uint16_t port);
/* A socket that listens there, non-blocking; SO_REUSEADDR is set, and IP_TRANSPARENT where `transparent`. -1, and
 * errno. */
int address_listen(const struct sockaddr_storage *address, int backlog, bool transparent);

#endif
