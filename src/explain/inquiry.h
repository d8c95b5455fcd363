/* An inquiry: one connection, everything that is known about it, and the rules that look at it. */
#ifndef SMBPROOF_EXPLAIN_INQUIRY_H
#define SMBPROOF_EXPLAIN_INQUIRY_H

#include "explain/compare.h"
#include "explain/facts.h"
#include "explain/finding.h"

/* Where on the path the capture was taken. */
enum place { PLACE_UNKNOWN, PLACE_CLIENT, PLACE_SERVER, PLACE_MIDDLE };

struct vantage {
    enum place place;
    bool given;         /* by the user */
    char because[160];  /* the evidence, in words */
};

/* What the other connections of the capture say about this one. */
struct company {
    uint32_t path_total, path_failed;     /* same client and server address */
    uint32_t server_total, server_failed; /* same server */
    uint32_t server_guids;                /* different ServerGuids under the server's address */
    uint32_t client_retries;              /* connections of the same ClientGuid to this server */
    uint32_t lower_dialect_fine;          /* same path, dialect below 3.1.1, no failure */
    uint32_t worked_after_validation;     /* same path: validated, then went to work */
    uint32_t preauth_failed, preauth_total; /* same ClientGuid or address: 3.1.1 connections */
    uint64_t other_session_packet;        /* SESSION_SETUP from the same client address just before our reset */
};

struct inquiry {
    const struct evidence *evidence; /* with both sides at hand: the client's */
    const struct facts *facts;
    const struct evidence *far;      /* the server's side, else NULL */
    const struct facts *far_facts;
    const struct comparison *comparison; /* of the two sides, else NULL */
    struct vantage vantage;
    const struct company *company; /* never NULL; all zero where nobody asked */
    enum system client_system, server_system;
};

/* A rule: true when it fits, with `finding` filled in (it comes cleared, its cause set). */
typedef bool rule_function(const struct inquiry *inquiry, struct finding *finding);

/* Runs every rule and sorts what fits: first the finding that explains the end, problems before exposures
 * before notes, the surer ones first. Returns how many of at most FINDINGS_MAX were found. */
unsigned inquire(const struct inquiry *inquiry, struct finding findings[FINDINGS_MAX]);

enum outcome { OUTCOME_OK, OUTCOME_FINDING, OUTCOME_CANNOT_TELL };
enum outcome outcome_of(const struct finding *findings, unsigned count);

/* Shared by the rules. */
bool at_client(const struct inquiry *inquiry); /* taken at the client's end, or nothing says otherwise */
bool at_server(const struct inquiry *inquiry);
bool place_known(const struct inquiry *inquiry);
/* Both sides at hand, or only one: is this the message as its sender sent it, as far as can be seen? */
bool negotiation_unaltered(const struct inquiry *inquiry);  /* NEGOTIATE and SESSION_SETUP */
bool logon_answer_unaltered(const struct inquiry *inquiry); /* the SESSION_SETUP responses */
bool logon_request_unaltered(const struct inquiry *inquiry);
/* Both sides are at hand, and show different VALIDATE requests, or answers, under one MessageId. */
bool claim_altered(const struct inquiry *inquiry);
bool confirmation_altered(const struct inquiry *inquiry);
/* The first change of this kind to a message of `command` from this end; NULL none. */
const struct change *change_of_command(const struct comparison *comparison, enum change_kind kind, uint16_t command,
                                       enum direction from);
const char *closer_text(const struct facts *facts);  /* "the server" */
const char *ending_text(const struct facts *facts);  /* "FIN" */
/* The fields of the NEGOTIATE request that differ from the VALIDATE request: what the client claims it sent. */
void name_request_fields(const struct inquiry *inquiry, struct finding *finding, uint32_t fields);
/* The same for the NEGOTIATE response and the VALIDATE response. */
void name_response_fields(const struct inquiry *inquiry, struct finding *finding, uint32_t fields);
/* "Dialects and Capabilities" */
const char *field_words(uint32_t fields, bool response, char *text, size_t size);
void remedies_for_alteration(const struct inquiry *inquiry, struct finding *finding);
void packets_of_validation(const struct inquiry *inquiry, struct finding *finding);
double seconds(uint64_t nanoseconds);

#endif
