/* Connections judged together: what others of the same capture say about one. Bounded: COMPANY_PATHS_MAX paths,
 * servers and clients are kept; of more, the later ones are judged alone. */
#ifndef SMBPROOF_EXPLAIN_COMPANY_H
#define SMBPROOF_EXPLAIN_COMPANY_H

#include "explain/inquiry.h"

#define COMPANY_PATHS_MAX 16384u

struct company_book;

struct company_book *company_new(void); /* NULL where there is no memory */
/* First pass, every connection once: a rough look is enough to count it as failed. */
void company_note(struct company_book *book, const struct evidence *evidence, const struct facts *facts);
/* Second pass. */
struct company company_of(const struct company_book *book, const struct evidence *evidence);
void company_free(struct company_book *book);

#endif
