/* A configuration file: a plain section and named ones, such as [defaults] and [host NAME], of `Key = value` lines.
 *
 * The syntax is libinih's; what the keys mean is the reader's affair. A line begins where its first character stands,
 * so indentation means nothing and no value runs over two lines. */
#ifndef SMBPROOF_TOOLS_CONFIG_H
#define SMBPROOF_TOOLS_CONFIG_H

#include "wire/bytes.h"

/* Octets of one file: far more than anybody writes. */
#define CONFIG_SIZE_MAX 65536u
/* Octets of a section's name with its NUL; those of hosts in DNS have 253. */
#define CONFIG_NAME_MAX 256u
/* Octets of a complaint with its NUL. */
#define CONFIG_COMPLAINT_MAX 512u

/* Which sections there are. */
struct config_sections {
    const char *plain;      /* "defaults" */
    const char *named;      /* "host" */
    const char *name_is;    /* "one host name or address, as the URL spells it" */
    bool blanks;            /* a name may have blanks inside */
    bool announced;         /* the beginning of a named section is an entry without key */
};

struct config_entry {
    const char *name; /* of [host NAME]; "" in [defaults] */
    const char *key, *value;
    const char *path; /* the file, for messages */
    unsigned line;    /* from 1 */
};

/* Takes one entry. False: it is refused, and the complaint, of CONFIG_COMPLAINT_MAX octets, says why, without place. */
typedef bool config_take(void *context, const struct config_entry *entry, char *complaint);

/* [defaults] and [host NAME]. */
extern const struct config_sections config_hosts;

/* Gives each entry of `text` to `take`, in order. False, and "path:line: why" in `complaint`: the first line that is
 * neither a section, an entry nor a comment, or that was refused; nothing behind it is given. */
bool config_parse(struct span text, const char *path, const struct config_sections *sections, config_take *take,
                  void *context, char complaint[CONFIG_COMPLAINT_MAX]);

/* The same for a file. One that is not there is no error unless it `must_exist`; one that others may write to is. */
bool config_read(const char *path, bool must_exist, const struct config_sections *sections, config_take *take,
                 void *context, char complaint[CONFIG_COMPLAINT_MAX]);

#endif
