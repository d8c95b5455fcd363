/* Pipes through which octets go from a socket to a file without being copied on the way (splice(2)).
 *
 * Making one takes as long as moving some ten kilobytes, so that each loop keeps one for the next use. Those of a
 * `struct conduits` are one thread's, but for what is in them: another thread may take that out. */
#ifndef SMBPROOF_NET_CONDUIT_H
#define SMBPROOF_NET_CONDUIT_H

#include <stdbool.h>

/* Octets that fit in, where they come in whole pages. */
#define CONDUIT_SIZE (1024 * 1024)

struct conduit {
    int out, in; /* descriptors, neither of which blocks */
};

/* Zeroed at first. */
struct conduits {
    struct conduit spare;
    bool has_spare;
};

/* False: there is none to be had. `conduits` may be NULL: then there is none. */
bool conduit_take(struct conduits *conduits, struct conduit *conduit);
/* One in which something is left is closed. */
void conduit_give(struct conduits *conduits, const struct conduit *conduit, bool is_empty);
/* Closes what is kept. */
void conduits_close(struct conduits *conduits);

#endif
