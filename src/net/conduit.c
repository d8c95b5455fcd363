#include "net/conduit.h"

#include <fcntl.h>
#include <unistd.h>

static void conduit_close(const struct conduit *conduit) {
    close(conduit->out);
    close(conduit->in);
}

static bool conduit_open(struct conduit *conduit) {
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    *conduit = (struct conduit){.out = ends[0], .in = ends[1]};
    if (fcntl(conduit->in, F_SETPIPE_SZ, CONDUIT_SIZE) >= CONDUIT_SIZE)
        return true;
    conduit_close(conduit);
    return false;
}

bool conduit_take(struct conduits *conduits, struct conduit *conduit) {
    if (conduits == NULL)
        return false;
    if (!conduits->has_spare)
        return conduit_open(conduit);
    *conduit = conduits->spare;
    conduits->has_spare = false;
    return true;
}

void conduit_give(struct conduits *conduits, const struct conduit *conduit, bool is_empty) {
    if (!is_empty || conduits->has_spare) {
        conduit_close(conduit);
        return;
    }
    conduits->spare = *conduit;
    conduits->has_spare = true;
}

void conduits_close(struct conduits *conduits) {
    if (conduits->has_spare)
        conduit_close(&conduits->spare);
    conduits->has_spare = false;
}
