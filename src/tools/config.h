/* The configuration file: sections [defaults] and [host NAME] of `Key = value` lines.
 *
 * The syntax is libinih's; what the keys mean is the reader's affair. A line begins where its first character stands,
 * so indentation means nothing and no value runs over two lines. */
#ifndef SMBPROOF_TOOLS_CONFIG_H
#define SMBPROOF_TOOLS_CONFIG_H

#include "wire/bytes.h"

/* Octets of one file: far more than anybody writes. */
#define CONFIG_SIZE_MAX 65536u
/* Octets of a host's name with its NUL; those of DNS have 253. */
#define CONFIG_HOST_MAX 256u
/* Octets of a complaint with its NUL. */
#define CONFIG_COMPLAINT_MAX 512u

struct config_entry {
    const char *host; /* of [host NAME]; "" in [defaults] */
    const char *key, *value;
    const char *path; /* the file, for messages */
    unsigned line;    /* from 1 */
};

/* Takes one entry. False: it is refused, and the complaint, of CONFIG_COMPLAINT_MAX octets, says why, without place. */
typedef bool config_take(void *context, const struct config_entry *entry, char *complaint);

/* Gives each entry of `text` to `take`, in order. False, and "path:line: why" in `complaint`: the first line that is
 * neither a section, an entry nor a comment, or that was refused; nothing behind it is given. */
bool config_parse(struct span text, const char *path, config_take *take, void *context,
                  char complaint[CONFIG_COMPLAINT_MAX]);

/* The same for a file. One that is not there is no error unless it `must_exist`; one that others may write to is. */
bool config_read(const char *path, bool must_exist, config_take *take, void *context,
                 char complaint[CONFIG_COMPLAINT_MAX]);

#endif
