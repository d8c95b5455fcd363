/* Where something is: smb://[domain;]user@host[:port]/share/path, or \\host\share\path.
 *
 * In the first form %XX is decoded, after the parts were told apart. A password is refused there: it would be seen by
 * everybody who lists processes. In the second form, in which slashes do as well, everything is taken as it stands. */
#ifndef SMBPROOF_CLIENT_URL_H
#define SMBPROOF_CLIENT_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets of each part with its NUL. */
#define URL_HOST_MAX      256u
#define URL_NAME_MAX      256u
#define URL_SHARE_MAX     256u
#define URL_PATH_MAX      4096u
#define URL_COMPLAINT_MAX 256u

struct url {
    char host[URL_HOST_MAX]; /* an IPv6 address stands without its brackets */
    uint16_t port;           /* 0: none was named */
    char user[URL_NAME_MAX], domain[URL_NAME_MAX];
    char share[URL_SHARE_MAX];
    char path[URL_PATH_MAX]; /* from the share's root, parts separated by '\'; "" is the root itself */
    bool is_folder;          /* it ends in a separator */
};

/* Is this meant as one of the two forms, rather than as a local path? */
bool url_is(const char *text);
/* Takes it apart. False: `complaint` says why, without what might be a password. */
bool url_parse(const char *text, struct url *url, char complaint[URL_COMPLAINT_MAX]);

/* The last part of a path; the whole where there is one part. Borrowed. */
const char *url_last(const char *path);
/* `path` with one part more; false where it is too long. `joined` may not be `path`. */
bool url_join(const char *path, const char *part, char joined[URL_PATH_MAX]);
/* The path without its last part: "" of a single one. */
void url_parent(const char *path, char parent[URL_PATH_MAX]);

#endif
