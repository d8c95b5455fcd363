/* What every command that works on a share does alike: a URL and the common options in, a connected share out; refusals
 * told in plain words; exit statuses. */
#ifndef SMBPROOF_TOOLS_REMOTE_H
#define SMBPROOF_TOOLS_REMOTE_H

#include "auth/credentials.h"
#include "client/share.h"
#include "client/url.h"
#include "probe/line.h"
#include "tools/options.h"

/* Beside those of explain/explain.h, of which EXIT_PROBLEM is "not all of it was done" and EXIT_INPUT a file here. */
enum remote_exit { EXIT_LOGON = 7, EXIT_UNTRUSTED = 8 };
/* The same in words, for --help. */
#define REMOTE_EXIT_HELP                                                                           \
    "Exit status: 0 done, 1 not all of it was done, 3 usage, 4 a file here could not be read or "  \
    "written, 5 internal error, 6 no connection or it was lost, 7 the logon was refused, 8 the "   \
    "connection was given up since it could not be trusted."

struct remote {
    const struct options *options; /* borrowed */
    struct settings settings;
    struct url url;
    struct auth_credentials credentials;
    char password[CREDENTIALS_ROOM];
    struct session *session; /* NULL: not connected */
    struct share share;
};

/* `options` as the command line left them. */
void remote_init(struct remote *remote, const struct options *options);
/* Everything up to the connection: URL, settings and, unless `needed` (may be NULL) says that there are none to be had,
 * credentials. 0, or an exit status when that has been told. */
int remote_prepare(struct remote *remote, const char *text, bool (*needed)(const struct remote *remote));
/* Is somebody named, or is there another way to log on? For remote_prepare. */
bool remote_has_credentials(const struct remote *remote);
/* For whoever speaks without a session of its own; where no timeout was given `timeout_ms` holds. Borrows from `remote`. */
struct line_target remote_target(const struct remote *remote, int64_t timeout_ms);
/* Goes to the share that `text` names, over the connection that is there already if that leads to the same share as the
 * same user; without a share in it, no further than the session. 0, or an exit status when that has been told. */
int remote_go(struct remote *remote, const char *text);
/* The same, for what has to name a share. */
int remote_go_share(struct remote *remote, const char *text);
void remote_close(struct remote *remote);

/* Tells what went wrong with `about` on standard error, and returns the exit status that it means. */
int remote_complain(const char *about, const struct session_error *error);
/* "smbproof: ABOUT: SENTENCE"; returns `status`. `about` is shown safely. */
int complain(const char *about, const char *sentence, int status);
/* Flushes what a command prints; returns `status`, or complains and returns EXIT_INTERNAL. */
struct output;
int output_end(struct output *output, int status);
/* The same for what was written to stdout itself. */
int standard_output_end(int status);
/* The graver of two exit statuses: one that ends everything before EXIT_PROBLEM, that before 0. */
int exit_worse(int a, int b);

#endif
