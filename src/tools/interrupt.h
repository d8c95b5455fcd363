/* Ctrl-C, and SIGTERM: what has something to tidy up is told once, and is killed at the second time. */
#ifndef SMBPROOF_TOOLS_INTERRUPT_H
#define SMBPROOF_TOOLS_INTERRUPT_H

#include <stdbool.h>

/* From now on the signals are caught, unless they were ignored; until now they kill, since nothing was begun. */
void interrupt_install(void);
bool interrupt_came(void);
/* Becomes readable when one came, and stays so; for session_options.stop_fd. 0: there is no descriptor left. */
int interrupt_descriptor(void);

#endif
