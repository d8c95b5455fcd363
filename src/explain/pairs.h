/* The two sides of one connection, found without clocks, through NAT and through boxes that terminate TCP. */
#ifndef SMBPROOF_EXPLAIN_PAIRS_H
#define SMBPROOF_EXPLAIN_PAIRS_H

#include "explain/spill.h"

#define PAIR_NONE ((uint32_t)-1)
/* Candidates looked at for one mark of a connection in two files. */
#define PAIR_CANDIDATES_MAX 64u
/* Connections of one file that ended last and may be a leg of the next one that ends. */
#define LEGS_RECENT_MAX 1024u

struct pairs;

/* `two_files`: the client's and the server's capture are to be compared. NULL where there is no memory. */
struct pairs *pairs_new(bool two_files);
/* Notes a record when it is put into the spill, under its number there. Two legs in one file are found here: they end
 * at nearly the same time, so only the last ones are kept for that. Returns 0 or a negative errno. */
int pairs_note(struct pairs *pairs, const struct evidence *evidence, size_t record);
/* Finds the partners of two files. Returns 0 or a negative errno. */
int pairs_find(struct pairs *pairs, struct spill *spill);
/* The record that shows the same connection from the other side, or PAIR_NONE; *is_server says whether the given
 * one is the server's side of the two. */
uint32_t pairs_partner(const struct pairs *pairs, size_t record, bool *is_server);
void pairs_free(struct pairs *pairs);

#endif
