/* What a service manager wants to know and gives: sd_notify(3) and sd_listen_fds(3), by their protocols. */
#ifndef SMBPROOF_SERVE_SERVICE_H
#define SMBPROOF_SERVE_SERVICE_H

#include <stdbool.h>

/* "READY=1": nothing happens where $NOTIFY_SOCKET is not set. */
void service_tell(const char *state);
/* A reload begins: with the time that Type=notify-reload asks for. */
void service_tell_reloading(void);
/* How many descriptors from 3 on were handed over; they are closed on exec from now on. 0: none are for this process. */
unsigned service_descriptors(void);
/* Does it listen, for a stream over IP? */
bool service_descriptor_listens(int descriptor);

#define SERVICE_DESCRIPTOR_FIRST 3

#endif
