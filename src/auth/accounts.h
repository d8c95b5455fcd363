/* Who may log on by NTLM: a file of names and NT hashes, kept in a hash table.
 *
 * A line of the file is USER:HASH:FLAGS, in UTF-8. USER has no colon and no control character, and
 * is compared without regard to case; HASH is the NT hash in 32 hexadecimal digits; FLAGS is empty
 * or "disabled", and the colon before it may be left out where it is empty. Empty lines and lines
 * that begin with # are passed over; any other line makes the whole file invalid, and so does a
 * user who is there twice. As an NT hash is as good as the password, a file that anybody but its
 * owner can read or write is refused.
 *
 * The file is read again when it was replaced or changed. Where the new one is refused, the old
 * table stays in force, and accounts_problem() tells. All calls may come from several threads. */
#ifndef SMBPROOF_AUTH_ACCOUNTS_H
#define SMBPROOF_AUTH_ACCOUNTS_H

#include "auth/auth.h"

#define ACCOUNTS_FILE_MAX    (16u * 1024u * 1024u) /* octets */
#define ACCOUNTS_COUNT_MAX   100000u
#define ACCOUNTS_PROBLEM_MAX 256u /* octets of a sentence, with its NUL */

struct account {
    char name[AUTH_NAME_MAX]; /* as the file spells it */
    uint8_t nt_hash[AUTH_NT_HASH_SIZE];
    bool disabled;
};

struct accounts;
/* 0, or a negative errno: what opening and reading gave, -EACCES for the wrong owner or mode,
 * -EBADMSG for a line that is wrong, -EFBIG beyond a limit. `problem` may be NULL; else it gets a
 * sentence. */
int accounts_open(const char *path, struct accounts **accounts, char problem[ACCOUNTS_PROBLEM_MAX]);
void accounts_close(struct accounts *accounts);
/* Looks a name up, UTF-16LE as it comes over the wire. Where there is none, the answer is false and
 * `account` holds a hash that fits no password, so that the caller can go on as if there were one.
 * The caller wipes `account`. */
bool accounts_find(struct accounts *accounts, struct span user, struct account *account);
/* Is there such an account, UTF-8, and not disabled? */
bool accounts_allow(struct accounts *accounts, const char *user);
size_t accounts_count(struct accounts *accounts);
/* Copies out why the file could not be read again; false where all is well. */
bool accounts_problem(struct accounts *accounts, char problem[ACCOUNTS_PROBLEM_MAX]);

#endif
