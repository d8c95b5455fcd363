/* What `smbproof serve` tells of itself: as text, as JSON, as Prometheus' text. */
#ifndef SMBPROOF_TOOLS_SERVE_STATUS_H
#define SMBPROOF_TOOLS_SERVE_STATUS_H

#include "serve/status.h"

/* Of type status_write. */
void serve_status_write(const struct status_telling *telling, enum status_format format, FILE *file);

/* A socket that listens at that path, for its owner alone; one that nobody listens at any more is replaced. Negative
 * errno: -EADDRINUSE where somebody does. */
int serve_status_listen(const char *path);

#endif
