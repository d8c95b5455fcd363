#include "tools/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t came;
static int ends[2]; /* of a pipe; 0: not made yet */

static void interrupt(int number) {
    int before = errno;

    (void)number;
    came = 1;
    if (ends[1] > 0 && write(ends[1], "!", 1) < 0)
        came = 1; /* it is full: then it is readable too */
    errno = before;
}

static void catch(int number) {
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;

    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

void interrupt_install(void) {
    catch(SIGINT);
    catch(SIGTERM);
}

bool interrupt_came(void) {
    return came != 0;
}

int interrupt_descriptor(void) {
    if (ends[0] == 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        ends[0] = ends[1] = 0;
    return ends[0];
}
