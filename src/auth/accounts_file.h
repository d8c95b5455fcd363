/* The file of accounts on disk: read under its conditions, and changed as a whole. */
#ifndef SMBPROOF_AUTH_ACCOUNTS_FILE_H
#define SMBPROOF_AUTH_ACCOUNTS_FILE_H

#include <sys/stat.h>

#include "auth/accounts.h"

struct accounts_content {
    uint8_t *data;
    size_t size;
    struct stat status; /* of the file that was read */
};

/* Reads it whole where it is an ordinary file of ours or of root's, with mode 0600 or less. 0, or a
 * negative errno as of accounts_open(). */
int accounts_content_read(int file, struct accounts_content *content);
/* The same, by a path. */
int accounts_content_open(const char *path, struct accounts_content *content);
/* Wipes and frees. */
void accounts_content_free(struct accounts_content *content);
/* What such an error means, in words. */
const char *accounts_content_wrong(int error);

enum accounts_change_kind { ACCOUNT_SET, ACCOUNT_DISABLE, ACCOUNT_ENABLE, ACCOUNT_DELETE };

struct accounts_change {
    enum accounts_change_kind kind;
    const char *user;
    uint8_t nt_hash[AUTH_NT_HASH_SIZE]; /* with ACCOUNT_SET */
};

/* Changes one account and leaves every other line as it is. Setting a password adds a user who is
 * not there, and leaves one who is disabled disabled. The new file is complete on the disk before
 * it takes the old one's place; whoever comes at the same time waits. 0, or a negative errno: as of
 * accounts_open(), -EINVAL for a name that cannot be one, -ENOENT where there is no such user or,
 * for all but ACCOUNT_SET, no such file. `problem` gets a sentence. */
int accounts_change(const char *path, const struct accounts_change *change,
                    char problem[ACCOUNTS_PROBLEM_MAX]);

#endif
