#include "tools/serve_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "explain/output.h"
#include "wire/names.h"

#define BACKLOG 16

static const char *boolean(bool is) {
    return is ? "true" : "false";
}

/* ---- words ---- */

static const char *dialect_of(const struct status_connection *row, char text[16]) {
    return row->dialect != 0 ? dialect_text(row->dialect, text) : "-";
}

static const char *signing_of(const struct status_connection *row) {
    if (!row->logged_on || row->guest)
        return "none";
    return row->signing_required ? "required" : "allowed";
}

/* The negotiation: proved by the request that asks, by the hash of 3.1.1, or not (yet). */
static const char *validation_of(const struct status_connection *row) {
    return row->validated ? "validated" : row->preauth ? "preauth" : "no";
}

static const char *name_or_none(const char *name) {
    return name != NULL ? name : "none";
}

static struct status_counters sum(const struct status_telling *telling) {
    struct status_counters all = {0};

    for (unsigned i = 0; i < telling->part_count; i++) {
        const struct status_counters *one = &telling->parts[i].counters;

        all.connections += one->connections;
        all.requests += one->requests;
        all.received += one->received;
        all.sent += one->sent;
        all.logons += one->logons;
        all.logons_refused += one->logons_refused;
        all.closed_by_rule += one->closed_by_rule;
        all.validations += one->validations;
        all.validations_failed += one->validations_failed;
    }
    return all;
}

/* ---- counters, one list for all three ---- */

struct counter {
    const char *name; /* in JSON; with smbproof_ before and _total behind it for Prometheus */
    const char *what;
    uint64_t value;
};

#define COUNTERS 15

static void list_counters(const struct status_telling *telling, struct counter list[COUNTERS]) {
    const struct status_counters all = sum(telling);
    const struct counter counters[COUNTERS] = {
        {"connections", "connections accepted", all.connections},
        {"refused_connections", "connections refused: too many", telling->refused_connections},
        {"refused_half_open", "connections ended to make room: too many without a logon", telling->refused_half_open},
        {"refused_per_address", "connections refused: too many from one address", telling->refused_per_address},
        {"logons", "logons", all.logons},
        {"logons_refused", "logons refused", all.logons_refused},
        {"validations", "negotiations validated", all.validations},
        {"validations_failed", "negotiations that the two ends saw differently", all.validations_failed},
        {"closed_by_rule", "connections closed because a rule was broken", all.closed_by_rule},
        {"requests", "requests on files", all.requests},
        {"received_octets", "octets received", all.received},
        {"sent_octets", "octets sent", all.sent},
        {"reloads", "configurations taken on SIGHUP", telling->reloads},
        {"reloads_refused", "configurations refused on SIGHUP", telling->reloads_refused},
        {"seconds", "seconds since the start", telling->seconds},
    };

    memcpy(list, counters, sizeof counters);
}

/* ---- text ---- */

static void text_connection(struct output *output, const struct status_connection *row) {
    char dialect[16], user[STATUS_NAME_MAX];

    visible_text(row->user, user, sizeof user);
    output_format(output, "%-8llu %-24s %-7s %-9s %-12s %-12s %-10s %6u %6u %8llu %s%s\n", (unsigned long long)row->number,
                  row->from, dialect_of(row, dialect), signing_of(row),
                  row->dialect != 0 ? name_or_none(signing_name(row->signing)) : "-",
                  row->cipher != 0 ? name_or_none(cipher_name(row->cipher)) : "none", validation_of(row), row->trees,
                  row->open_files, (unsigned long long)row->seconds, user,
                  row->guest ? " (guest)" : row->encrypted ? " (encrypted)" : "");
}

static void text_file(struct output *output, const struct status_file *file) {
    char share[STATUS_NAME_MAX], path[STATUS_PATH_MAX];

    visible_text(file->share, share, sizeof share);
    visible_text(file->path, path, sizeof path);
    output_format(output, "%-8llu %-5s %s: %s\n", (unsigned long long)file->connection, file->writes ? "write" : "read", share,
                  path[0] != '\0' ? path : ".");
}

static void write_text(const struct status_telling *telling, struct output *output) {
    struct counter counters[COUNTERS];

    output_format(output, "%u connections, %u of them without a logon; %u shares\n\n", telling->connections,
                  telling->half_open, telling->shares);
    output_format(output, "%-8s %-24s %-7s %-9s %-12s %-12s %-10s %6s %6s %8s %s\n", "NUMBER", "FROM", "DIALECT", "SIGNING",
                  "ALGORITHM", "CIPHER", "VALIDATED", "TREES", "FILES", "SECONDS", "USER");
    for (unsigned i = 0; i < telling->part_count; i++)
        for (unsigned k = 0; k < telling->parts[i].connection_count; k++)
            text_connection(output, &telling->parts[i].connections[k]);
    output_format(output, "\n%-8s %-5s %s\n", "NUMBER", "FOR", "OPEN FILE");
    for (unsigned i = 0; i < telling->part_count; i++) {
        for (unsigned k = 0; k < telling->parts[i].file_count; k++)
            text_file(output, &telling->parts[i].files[k]);
        if (telling->parts[i].files_untold > 0)
            output_format(output, "... and %u more\n", telling->parts[i].files_untold);
    }
    output_text(output, "\n");
    list_counters(telling, counters);
    for (unsigned i = 0; i < COUNTERS; i++)
        output_format(output, "%20llu %s\n", (unsigned long long)counters[i].value, counters[i].what);
}

/* ---- JSON ---- */

static void json_connection(struct output *output, const struct status_connection *row) {
    char dialect[16];

    json_open(output, NULL, '{');
    json_number(output, "number", row->number);
    json_string(output, "from", row->from);
    json_string(output, "user", row->logged_on ? row->user : NULL);
    json_raw(output, "guest", boolean(row->guest));
    json_string(output, "dialect", row->dialect != 0 ? dialect_text(row->dialect, dialect) : NULL);
    json_string(output, "signing", signing_of(row));
    json_string(output, "signing_algorithm", row->dialect != 0 ? signing_name(row->signing) : NULL);
    json_string(output, "cipher", row->cipher != 0 ? cipher_name(row->cipher) : NULL);
    json_raw(output, "encrypted", boolean(row->encrypted));
    json_string(output, "validated", validation_of(row));
    json_number(output, "sessions", row->sessions);
    json_number(output, "trees", row->trees);
    json_number(output, "open_files", row->open_files);
    json_number(output, "seconds", row->seconds);
    json_close(output, '}');
}

static void json_file(struct output *output, const struct status_file *file) {
    json_open(output, NULL, '{');
    json_number(output, "connection", file->connection);
    json_string(output, "share", file->share);
    json_string(output, "path", file->path);
    json_raw(output, "writes", boolean(file->writes));
    json_close(output, '}');
}

static void write_json(const struct status_telling *telling, struct output *output) {
    struct counter counters[COUNTERS];
    unsigned untold = 0;

    list_counters(telling, counters);
    json_open(output, NULL, '{');
    json_number(output, "schema", 1);
    json_number(output, "half_open", telling->half_open);
    json_number(output, "shares", telling->shares);
    json_open(output, "counters", '{');
    for (unsigned i = 0; i < COUNTERS; i++)
        json_number(output, counters[i].name, counters[i].value);
    json_close(output, '}');
    json_open(output, "connections", '[');
    for (unsigned i = 0; i < telling->part_count; i++)
        for (unsigned k = 0; k < telling->parts[i].connection_count; k++)
            json_connection(output, &telling->parts[i].connections[k]);
    json_close(output, ']');
    json_open(output, "files", '[');
    for (unsigned i = 0; i < telling->part_count; i++) {
        untold += telling->parts[i].files_untold;
        for (unsigned k = 0; k < telling->parts[i].file_count; k++)
            json_file(output, &telling->parts[i].files[k]);
    }
    json_close(output, ']');
    json_number(output, "files_untold", untold);
    json_close(output, '}');
    output_text(output, "\n");
}

/* ---- Prometheus ---- */

static void metric(struct output *output, const char *name, const char *type, const char *what, uint64_t value) {
    output_format(output, "# HELP smbproof_%s Number of %s.\n# TYPE smbproof_%s %s\nsmbproof_%s %llu\n", name, what, name, type,
                  name, (unsigned long long)value);
}

static unsigned count_dialect(const struct status_telling *telling, uint16_t dialect) {
    unsigned count = 0;

    for (unsigned i = 0; i < telling->part_count; i++)
        for (unsigned k = 0; k < telling->parts[i].connection_count; k++)
            count += telling->parts[i].connections[k].dialect == dialect;
    return count;
}

static unsigned count_if(const struct status_telling *telling, bool (*is)(const struct status_connection *row)) {
    unsigned count = 0;

    for (unsigned i = 0; i < telling->part_count; i++)
        for (unsigned k = 0; k < telling->parts[i].connection_count; k++)
            count += is(&telling->parts[i].connections[k]);
    return count;
}

static bool is_signed(const struct status_connection *row) {
    return row->logged_on && row->signing_required;
}

static bool is_encrypted(const struct status_connection *row) {
    return row->encrypted;
}

static bool is_proved(const struct status_connection *row) {
    return row->validated || row->preauth;
}

static uint64_t count_files(const struct status_telling *telling) {
    uint64_t count = 0;

    for (unsigned i = 0; i < telling->part_count; i++)
        for (unsigned k = 0; k < telling->parts[i].connection_count; k++)
            count += telling->parts[i].connections[k].open_files;
    return count;
}

static void write_metrics(const struct status_telling *telling, struct output *output) {
    static const uint16_t dialects[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                        SMB2_DIALECT_311};
    struct counter counters[COUNTERS];
    char name[64], dialect[16];

    list_counters(telling, counters);
    for (unsigned i = 0; i < COUNTERS; i++) {
        snprintf(name, sizeof name, "%s_total", counters[i].name);
        metric(output, name, "counter", counters[i].what, counters[i].value);
    }
    metric(output, "connections", "gauge", "connections at the moment", telling->connections);
    metric(output, "half_open", "gauge", "connections without a logon", telling->half_open);
    metric(output, "open_files", "gauge", "open files", count_files(telling));
    metric(output, "shares", "gauge", "shares", telling->shares);
    metric(output, "connections_signed", "gauge", "connections that have to be signed", count_if(telling, is_signed));
    metric(output, "connections_encrypted", "gauge", "connections that are encrypted as a whole", count_if(telling, is_encrypted));
    metric(output, "connections_proved", "gauge", "connections whose negotiation is proved", count_if(telling, is_proved));
    output_text(output, "# HELP smbproof_connections_by_dialect Number of connections of each dialect.\n"
                        "# TYPE smbproof_connections_by_dialect gauge\n");
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        output_format(output, "smbproof_connections_by_dialect{dialect=\"%s\"} %u\n", dialect_text(dialects[i], dialect),
                      count_dialect(telling, dialects[i]));
}

void serve_status_write(const struct status_telling *telling, enum status_format format, FILE *file) {
    struct output *output = malloc(sizeof *output);

    if (output == NULL)
        return;
    output_init(output, file);
    if (format == STATUS_TEXT)
        write_text(telling, output);
    else if (format == STATUS_JSON)
        write_json(telling, output);
    else
        write_metrics(telling, output);
    output_finish(output);
    free(output);
}

/* ---- the socket ---- */

static bool somebody_listens(const struct sockaddr_un *address) {
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool listens = descriptor < 0 || connect(descriptor, (const struct sockaddr *)address, sizeof *address) == 0;

    if (descriptor >= 0)
        close(descriptor);
    return listens;
}

/* What lies there from a server that is gone goes; anything else stays, and bind() complains. */
static void remove_stale(const struct sockaddr_un *address) {
    struct stat status;

    if (lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) && !somebody_listens(address))
        unlink(address->sun_path);
}

int serve_status_listen(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor, error = 0;
    mode_t before;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    remove_stale(&address);
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -errno;
    before = umask(0177);
    if (bind(descriptor, (const struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, BACKLOG) != 0)
        error = -errno;
    umask(before);
    if (error == 0)
        return descriptor;
    close(descriptor);
    return error;
}
