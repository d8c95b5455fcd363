/* The two sides of one connection, found without clocks, through NAT and through boxes that terminate TCP. */
#ifndef SMBPROOF_EXPLAIN_PAIRS_H
#define SMBPROOF_EXPLAIN_PAIRS_H

#include "explain/spill.h"

#define PAIR_NONE ((uint32_t)-1)
/* Candidates looked at for one connection. */
#define PAIR_CANDIDATES_MAX 64u

struct pairs;

struct pairs *pairs_new(void); /* NULL where there is no memory */
/* Notes a record when it is put into the spill, under its number there. Returns 0 or a negative errno. */
int pairs_note(struct pairs *pairs, const struct evidence *evidence, size_t record);
/* Finds the partners of all. Within one file only connections that run at the same time can be two legs of one.
 * Returns 0 or a negative errno. */
int pairs_find(struct pairs *pairs, struct spill *spill);
/* The record that shows the same connection from the other side, or PAIR_NONE; *is_server says whether the given
 * one is the server's side of the two. */
uint32_t pairs_partner(const struct pairs *pairs, size_t record, bool *is_server);
void pairs_free(struct pairs *pairs);

#endif
