/* Two captures of one connection, message by message: what was changed, added or dropped between them. */
#ifndef SMBPROOF_EXPLAIN_COMPARE_H
#define SMBPROOF_EXPLAIN_COMPARE_H

#include "explain/evidence.h"
#include "explain/finding.h"

#define COMPARISON_CHANGES_MAX 16u

enum change_kind {
    CHANGE_ALTERED, /* both sides have it, with other octets */
    CHANGE_DROPPED, /* left its sender, never arrived */
    CHANGE_ADDED,   /* arrived, was never sent */
};

struct change {
    enum change_kind kind;
    struct log_entry near, far; /* as the client's and as the server's capture has it; packet 0: not there */
};

struct comparison {
    bool negotiate_request_altered, negotiate_response_altered;
    bool comparable;          /* both captures have NEGOTIATE whole, or enough of the rest */
    bool requests_compared, responses_compared; /* of NEGOTIATE: both captures have it, or began behind it */
    unsigned fields_count;
    struct field_values fields[FINDING_FIELDS_MAX]; /* of NEGOTIATE request and response */
    unsigned changes_count;   /* of all messages that both logs cover */
    struct change changes[COMPARISON_CHANGES_MAX];
    bool close_not_sent_by_server; /* the client saw the server close; the server did no such thing before */
    bool close_not_sent_by_client; /* the server saw the client close; the client did no such thing before */
    uint64_t close_near_packet, close_far_packet;
    bool clocks_differ;       /* the server's capture has the request before the client sent it */
};

/* `near` is the client's capture, `far` the server's. */
void compare(const struct evidence *near, const struct evidence *far, struct comparison *comparison);

/* Does a message carry what no two connections have in common: a challenge, a signature, a random session id? */
bool compare_is_singular(const struct log_entry *entry);
/* The digest of the NEGOTIATE response; 0 where it was not seen whole. */
uint64_t compare_answer(const struct evidence *evidence);
/* Does that response hold what no other one does: a salt, or a time finer than a second? */
bool compare_answer_is_singular(const struct evidence *evidence);
/* Is it a GUID, and not the zeros of a client that has none? */
bool guid_known(const uint8_t guid[16]);

/* Points for something that two different connections do not share. */
#define LIKENESS_SINGULAR 16u

/* Do two records show the same connection, seen at two places? 0: no; LIKENESS_SINGULAR and more: surely; in between
 * they have things in common that retries of one client have, too. */
unsigned compare_likeness(const struct evidence *a, const struct evidence *b);

#endif
