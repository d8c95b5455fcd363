/* What the status shows of connections. */
#include <stdio.h>
#include <stdlib.h>

#include "serve/connection_parts.h"

static void copy_text(char *to, size_t size, const char *from) {
    snprintf(to, size, "%.*s", (int)size - 1, from);
}

static void tell_sessions(const struct server *server, struct status_connection *row) {
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++) {
        const struct server_session *session = &server->sessions[i];
        const struct logon *logon = session->owner;

        if (session->state != SERVER_SESSION_VALID && session->state != SERVER_SESSION_EXPIRED)
            continue;
        if (row->sessions++ > 0)
            continue;
        row->guest = session->is_guest || session->is_anonymous;
        row->signing_required = session->signing_required;
        row->encrypted = session->encrypt;
        if (logon != NULL)
            copy_text(row->user, sizeof row->user, logon->user);
    }
    for (unsigned i = 0; i < SERVER_TREES_MAX; i++)
        row->trees += server->trees[i].id != 0;
}

static void tell_connection(const struct inside *inside, struct status_connection *row) {
    const struct server *server = &inside->connection.server;
    const struct negotiation *negotiation = &server->negotiation;
    bool negotiated = negotiation->stage == NEGOTIATION_DONE;

    *row = (struct status_connection){
        .number = inside->number,
        .dialect = negotiated ? negotiation->agreed.dialect : 0,
        .signing = negotiation->agreed.signing_algorithm,
        .cipher = negotiation->agreed.cipher,
        .logged_on = inside->logged_on,
        .validated = negotiation->validation == VALIDATION_SAME,
        .preauth = negotiated && negotiation->agreed.dialect == SMB2_DIALECT_311 && inside->logged_on,
        .open_files = inside->connection.open_count,
        .seconds = (loop_now_ms(inside->connection.loop) - inside->began_ms) / 1000,
    };
    copy_text(row->from, sizeof row->from, inside->from);
    tell_sessions(server, row);
    row->preauth = row->preauth && !row->guest;
}

static void tell_files(const struct inside *inside, struct status_part *part) {
    const struct open *opens = inside->connection.opens;
    unsigned told = 0;

    if (part->files != NULL)
        told = opens_tell(opens, inside->number, part->files + part->file_count, STATUS_FILES_MAX - part->file_count);
    part->file_count += told;
    part->files_untold += inside->connection.open_count - told;
}

void connections_tell(const struct station *station, struct status_part *part) {
    unsigned count = 0;

    part->counters = station->counters;
    for (struct connection *at = station->connections; at != NULL; at = inside_of(at)->next)
        count++;
    part->connections = calloc(count > 0 ? count : 1, sizeof *part->connections);
    part->files = calloc(STATUS_FILES_MAX, sizeof *part->files);
    for (struct connection *at = station->connections; at != NULL; at = inside_of(at)->next) {
        const struct server *server = &at->server;

        part->counters.validations += server->negotiation.validation == VALIDATION_SAME && !inside_of(at)->closed;
        if (part->connections != NULL)
            tell_connection(inside_of(at), &part->connections[part->connection_count++]);
        tell_files(inside_of(at), part);
    }
}
