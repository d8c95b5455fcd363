/* What is going on: told to whoever asks over a local socket (smbproof status), and as numbers over HTTP (Prometheus).
 *
 * A telling is put together loop by loop, each by its own thread, and made into text on the first. */
#ifndef SMBPROOF_SERVE_STATUS_H
#define SMBPROOF_SERVE_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "net/loop.h"

struct host;
struct station;
struct connection;

/* Askers at the same time; one more waits in the socket's queue. */
#define STATUS_ASKERS_MAX 8u
/* How long one may take, from coming to having read all. */
#define STATUS_TIME_MS 10000u
/* Octets of what one may ask. */
#define STATUS_REQUEST_MAX 2048u
/* Open files that are told of by name, of one loop. */
#define STATUS_FILES_MAX 1000u
/* Octets of a path, with its NUL; a longer one is cut. */
#define STATUS_PATH_MAX 512u
#define STATUS_NAME_MAX 256u

/* Of one loop. */
struct status_counters {
    uint64_t connections, requests, received, sent; /* octets */
    uint64_t logons, logons_refused, closed_by_rule, validations, validations_failed;
};

/* One connection. */
struct status_connection {
    uint64_t number;
    char from[80], user[STATUS_NAME_MAX]; /* of its first session; "" none */
    uint16_t dialect, signing, cipher;    /* as in struct negotiation_agreed; dialect 0: not negotiated */
    bool logged_on, guest, signing_required, encrypted, validated, preauth;
    unsigned sessions, trees, open_files;
    uint64_t seconds;
};

struct status_file {
    uint64_t connection; /* its number */
    char share[STATUS_NAME_MAX], path[STATUS_PATH_MAX];
    bool writes;
};

struct status_part {
    struct status_counters counters;
    struct status_connection *connections;
    struct status_file *files;
    unsigned connection_count, file_count;
    unsigned files_untold; /* beyond STATUS_FILES_MAX, or without memory */
};

struct status_telling {
    const struct status_part *parts; /* one for each loop */
    unsigned part_count;
    unsigned connections, half_open, shares;
    uint64_t seconds; /* since the server began */
    uint64_t refused_connections, refused_half_open, refused_per_address, reloads, reloads_refused;
};

enum status_format { STATUS_TEXT, STATUS_JSON, STATUS_METRICS };

/* Made by the caller of host_run(). */
typedef void status_write(const struct status_telling *telling, enum status_format format, FILE *file);

struct status;
/* `local` is a Unix socket and `http` an IP one, both listening and non-blocking, or -1. They are the status's own, also on
 * failure (NULL: no memory, or a loop's error). On the first loop's thread, or before it runs. */
struct status *status_new(struct host *host, int local, int http, status_write *write);
/* No asker is served any more. No loop may run. */
void status_free(struct status *status);

/* connection.c. On the station's thread: fills the part's rows, as far as there is memory. */
void connections_tell(const struct station *station, struct status_part *part);

#endif
