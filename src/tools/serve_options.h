/* The options of `smbproof serve`: one table, from which come the flags, the keys of its configuration file, their values,
 * `--help` and what --check shows.
 *
 * Later ones win: the default, [server] of the file, the command line. A share of the command line replaces the one of that
 * name in the file. */
#ifndef SMBPROOF_TOOLS_SERVE_OPTIONS_H
#define SMBPROOF_TOOLS_SERVE_OPTIONS_H

#include "serve/edition.h"
#include "tools/options.h"

/* Octets of a share's name with its NUL: 80 characters of [MS-SRVS]'s NNLEN. */
#define SERVE_NAME_MAX 81u
/* Addresses to listen on. */
#define SERVE_LISTEN_MAX 16u

enum serve_option {
    SERVE_LISTEN,
    SERVE_SHARE, /* the flag; a section of its own in the file */
    SERVE_ACCOUNTS,
    SERVE_KEYTAB,
    SERVE_MAP,
    SERVE_NAME,
    SERVE_DOMAIN,
    SERVE_DIALECTS,
    SERVE_SIGN,
    SERVE_ENCRYPT,
    SERVE_CONNECTIONS,
    SERVE_CONNECTIONS_PER_ADDRESS,
    SERVE_HALF_OPEN,
    SERVE_LOGON_TIME,
    SERVE_EXPIRED_TIME,
    SERVE_SESSIONS,
    SERVE_OPEN_FILES,
    SERVE_CREDITS,
    SERVE_LOOPS,
    SERVE_STATUS_SOCKET,
    SERVE_METRICS,
    SERVE_OPTION_COUNT
};

const struct option_row *serve_option_row(enum serve_option id);
/* Does a reload leave it as it was? */
bool serve_option_stays(enum serve_option id);

/* The keys of [share NAME]; those but the first are words behind --share NAME=FOLDER as well. */
enum serve_share_option { SHARE_FOLDER, SHARE_READ_ONLY, SHARE_GUEST, SHARE_ENCRYPT, SHARE_OPTION_COUNT };
const struct option_row *serve_share_row(enum serve_share_option id);

struct serve_share {
    char name[SERVE_NAME_MAX]; /* UTF-8 */
    struct option_value values[SHARE_OPTION_COUNT];
    enum option_origin origin;
    const char *path; /* ORIGIN_FILE: where its section begins */
    unsigned line;
};

/* What the command line said. Not to be moved: argp's tables in it point into it. */
struct serve_options {
    const char *config_path; /* NULL: no file */
    struct option_value flags[SERVE_OPTION_COUNT];
    struct serve_share shares[HOST_SHARES_MAX];
    unsigned share_count;
    char help[SERVE_OPTION_COUNT][OPTION_HELP_MAX];
    struct argp_option rows[SERVE_OPTION_COUNT + 2];
    struct argp argp;
    struct argp_child children[2];
};

void serve_options_init(struct serve_options *options);

/* What is in force; it points into struct serve_options. */
struct serve_settings {
    struct option_value values[SERVE_OPTION_COUNT];
    struct serve_share shares[HOST_SHARES_MAX];
    unsigned share_count;
    char complaint[CONFIG_COMPLAINT_MAX];

    struct server_policy policy;
    struct host_limits limits;
};

/* Reads the file, if any, and makes the settings. False: settings->complaint, with place. Folders and the other files that
 * are named in it are not looked at. */
bool serve_options_settle(const struct serve_options *options, struct serve_settings *settings);

/* Takes the `index`-th address out of a list of them. False: there are not so many. */
bool serve_listen_at(const char *list, unsigned index, char *host, size_t host_size, char *port, size_t port_size);

#endif
