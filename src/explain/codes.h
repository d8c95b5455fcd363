/* The dictionary behind `smbproof explain --code`: what people paste into a search box when SMB
 * fails.
 *
 * The same number means different things to different systems (5 is a Windows error and a Linux
 * errno), so a query can have several answers, and all of them are given. */
#ifndef SMBPROOF_EXPLAIN_CODES_H
#define SMBPROOF_EXPLAIN_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CODE_QUERY_MAX 1024u /* octets; what is longer is cut */

enum code_kind {
    CODE_NTSTATUS, /* on the wire, in Samba's messages as NT_STATUS_... */
    CODE_WIN32,    /* "System error 64" */
    CODE_HRESULT,  /* those that do not wrap a Win32 error */
    CODE_EVENT,    /* Windows event logs */
    CODE_ERRNO,    /* Linux: mount error(5), rc = -5 */
    CODE_TEXT,     /* a message without a number */
};

struct code {
    enum code_kind kind;
    uint32_t value; /* 0 for CODE_TEXT */
    const char
        *name; /* STATUS_..., ERROR_..., E...; of an event its log; of a text its first words */
    const char *says;  /* what the code itself says */
    const char *means; /* what it means for an SMB connection */
    const char *rules; /* ids of the causes to look for first, likeliest first, separated by blanks;
                          may be empty */
    const char *then;  /* what to do next */
    const char *texts; /* wordings by which it is found as well, in lower case, separated by '|' */
};

/* Everything that `query` can mean: a number (decimal, 0x..., negative), a name, a message, or a
 * line with one of them in it ("mount error(5): Input/output error"). Points found[0..n) to the
 * entries, best first, and returns n. */
int codes_find(const char *query, const struct code **found, size_t max);

/* The entries one after the other, for tests and lists; NULL past the last. */
const struct code *codes_at(size_t index);

/* The words for a cause's id in `rules`; NULL where there is no such cause. */
const char *code_rule_title(const char *id);

/* Explains a cause by its id ("M01", in either case): its title and the codes that it hides behind, 80 columns wide.
 * False, and prints nothing, where there is no such cause. */
bool codes_print_cause(FILE *out, const char *id);

/* Prints one entry, 80 columns wide; `again`: it is not the first, so a blank line goes before it.
 */
void codes_print(FILE *out, const struct code *code, bool again);

#endif
