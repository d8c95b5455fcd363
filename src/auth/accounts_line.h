/* One line of the file of accounts, and the names in it. */
#ifndef SMBPROOF_AUTH_ACCOUNTS_LINE_H
#define SMBPROOF_AUTH_ACCOUNTS_LINE_H

#include "auth/auth.h"

/* One line, without its newline. `name` borrows from it. */
struct account_line {
    enum { ACCOUNT_LINE_EMPTY, ACCOUNT_LINE_USER, ACCOUNT_LINE_WRONG } kind;
    struct span name;
    uint8_t nt_hash[AUTH_NT_HASH_SIZE];
    bool disabled;
    const char *wrong; /* with ACCOUNT_LINE_WRONG, a sentence */
};

void account_line_parse(struct span line, struct account_line *parsed);
/* Up to the octet, which is passed over; all that is left where it is not there. */
struct span account_text_until(struct reader *reader, uint8_t octet);
/* NULL where the name may stand in the file, else a sentence. */
const char *account_name_wrong(struct span name);

/* A name as it is looked up: upper case, UTF-16LE. */
struct account_key {
    uint8_t data[2 * AUTH_NAME_MAX];
    size_t size;
};

/* False where the name is ill-formed or too long. */
bool account_key_from_utf16(struct span name, struct account_key *key);
bool account_key_from_utf8(struct span name, struct account_key *key);
/* Do both, in UTF-8, name the same account? */
bool account_name_equal(struct span a, struct span b);

#endif
