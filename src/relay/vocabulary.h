/* The words that alterations are written in: names of numbers, fields of bodies, and what is near to a wrong word. */
#ifndef SMBPROOF_RELAY_VOCABULARY_H
#define SMBPROOF_RELAY_VOCABULARY_H

#include "wire/fields.h"
#include "wire/message.h"
#include "wire/names.h"

enum vocabulary {
    VOCABULARY_NONE, /* numbers only */
    VOCABULARY_DIALECT,
    VOCABULARY_CAPABILITY,
    VOCABULARY_SECURITY_MODE,
    VOCABULARY_SESSION_FLAG,
    VOCABULARY_SHARE_FLAG,
    VOCABULARY_HEADER_FLAG,
    VOCABULARY_STATUS,
    VOCABULARY_COMMAND,
    VOCABULARY_CONTEXT,
    VOCABULARY_CIPHER,
    VOCABULARY_SIGNING,
    VOCABULARY_HASH,
    VOCABULARY_COMPRESSION,
};

/* Letter case, and - or _, do not matter. */
bool words_equal(const char *a, const char *b);

/* The number of a word; false where it has none. */
bool vocabulary_find(enum vocabulary vocabulary, const char *word, uint64_t *value);
enum vocabulary vocabulary_of_field(const char *field, bool in_header);
enum vocabulary vocabulary_of_context(uint16_t type);

/* "Ciphers", "SigningAlgorithms" and so on: lists within a negotiate context (2.2.3.1). */
bool vocabulary_context_list(const char *word, uint16_t *type);

/* The field list of a command's body; NULL where it has none. */
const struct field *vocabulary_body(uint16_t command, bool response, unsigned *count);

/* Words that were possible in place of one that is not known. */
#define NEAR_WORDS_MAX 128u
#define NEAR_TOLD_MAX  3u

struct near_words {
    const char *word;
    unsigned count;
    const char *words[NEAR_WORDS_MAX];
};

struct near_words near_begin(const char *word);
void near_add(struct near_words *near, const char *word);
void vocabulary_add(enum vocabulary vocabulary, struct near_words *near);
void vocabulary_add_context_lists(struct near_words *near);
/* "there is no WHAT `WORD'; did you mean ...?", or all that there are where none is near. */
void near_tell(const struct near_words *near, const char *what, char *text, size_t size);

#endif
