/* The conformance suites for other people's servers and clients: small named cases, each with its section of [MS-SMB2].
 *
 * A case for servers says what it sends and what a correct server does; what another server does is a deviation. Those of
 * Microsoft's test suite for file servers that can be judged from outside have the names that they have there, so that
 * results can be compared; the others are named after what they look at. Each rule of rules.def that a server can be
 * seen to keep is looked at by at least one case.
 *
 * Files are made on the share, with names that begin with "smbproof-conform", and deleted again. */
#ifndef SMBPROOF_CONFORM_CONFORM_H
#define SMBPROOF_CONFORM_CONFORM_H

#include <stdio.h>

#include "probe/line.h"

struct output;

#define CONFORM_CASES_MAX 192u
/* Octets of a sentence with its NUL. */
#define CONFORM_TEXT_MAX 256u
/* Octets of a case's name with its NUL. */
#define CONFORM_NAME_MAX 96u
/* Rules that one case looks at. */
#define CONFORM_RULES_MAX 12u
/* An answer that does not come within this time, in milliseconds, is none; nor is a connection closed that is not by
 * then. Linux's ksmbd takes 7 s, and some more when it is busy, to close where it has decided to. */
#define CONFORM_TIMEOUT_MS 10000

enum conform_area {
    AREA_NEGOTIATE,
    AREA_VALIDATE,
    AREA_SESSION,
    AREA_SIGNING,
    AREA_ENCRYPTION,
    AREA_TREE,
    AREA_CREDITS,
    AREA_COMPOUND,
    AREA_FRAME,
    AREA_WORKS, /* of a client: whether it does at all */
    AREA_COUNT
};

enum conform_level {
    LEVEL_MUST,
    LEVEL_SHOULD, /* another behaviour is told, and is no failure unless that is asked for */
};

enum conform_outcome {
    CONFORM_PASS,
    CONFORM_FAIL,
    CONFORM_SHOULD,  /* another behaviour than a server should have */
    CONFORM_KNOWN,   /* one of the two before, and in the file of known deviations */
    CONFORM_SKIP,    /* nothing to be judged: the server does not do what the case is about */
    CONFORM_UNCLEAR, /* the case did not come as far as to what it judges */
};

/* What a case must find before it can run. */
enum conform_need {
    NEED_NOTHING,
    NEED_311,
    NEED_LOGON, /* credentials that the server took, for a session that has keys */
    NEED_LOGON_311,
    NEED_LOGON_3X,
    NEED_VALIDATION, /* and a dialect below 3.1.1 of a server that has a 3.x one */
    NEED_FILE,       /* a share on which files can be made */
    NEED_CIPHER,     /* a logon and a cipher */
};

struct trial;
struct misdeed; /* client.h */
struct conform_case {
    const char *name;
    enum conform_area area;
    const char *section; /* of [MS-SMB2] */
    enum conform_level level;
    enum conform_need need;
    const char *sends;
    const char *expected;
    void (*run)(struct trial *trial);
    enum rule rules[CONFORM_RULES_MAX]; /* that it looks at; RULE_NONE behind the last */
    const struct misdeed *misdeed;      /* for clients; `sends` says then what the server does */
};

struct conform_report;
/* The cases in the order in which they run, and what a report says of the one that was looked at. */
struct conform_suite {
    const char *name; /* "smbproof conform server" */
    const struct conform_case *cases;
    unsigned count; /* CONFORM_CASES_MAX at most */
    void (*subject_text)(const struct conform_report *report, FILE *out);
    void (*subject_json)(const struct conform_report *report, struct output *output);
};

const struct conform_suite *conform_servers(void);
/* Which cases the list of names, separated by commas, means; a name may be an area's, and `*` at its end stands for any
 * rest. NULL: all. -1: some name means none; else how many are wanted. */
int conform_select(const struct conform_suite *suite, const char *only, bool wanted[CONFORM_CASES_MAX]);

/* ---- known deviations ---- */

#define DEVIATIONS_MAX 128u

struct deviation {
    char name[CONFORM_NAME_MAX];
    char until[11]; /* the last day on which it holds: 2027-03-31 */
    char reason[160];
    bool used;
};

struct deviations {
    struct deviation list[DEVIATIONS_MAX];
    unsigned count;
    unsigned bad_line;       /* the first that cannot be read; 0: none */
    const char *complaint;   /* what is wrong with it */
};

/* Lines of "NAME UNTIL REASON"; empty ones and those that begin with # are passed over. False: see bad_line. */
bool deviations_read(struct deviations *deviations, const struct conform_suite *suite, FILE *file);
/* The one of that name that still holds on that day (as text: 2026-11-28); NULL: none. */
struct deviation *deviations_find(struct deviations *deviations, const char *name, const char *today);

/* ---- a run ---- */

/* What was found out of a server before the first case. */
struct conform_facts {
    bool reached;
    int error;                   /* negative errno where it was not reached */
    char address[64];
    struct id_list spoken;       /* dialects that were agreed to when offered alone */
    uint16_t greatest;           /* of them, 0: none */
    uint16_t greatest_below_311; /* likewise */
    uint32_t capabilities;       /* with the greatest dialect */
    uint16_t security_mode;
    bool logged_on, has_keys;
    uint32_t logon_status;       /* where it was refused */
    bool encrypts_session, encrypts_share, share_connected, can_write, has_cipher;
    uint32_t share_status;       /* where it was not connected */
    bool validates;              /* FSCTL_VALIDATE_NEGOTIATE_INFO is answered, or has to be */
};

/* What a client offered, over all its connections. */
struct conform_client {
    bool seen;               /* a NEGOTIATE of SMB2 came */
    unsigned connections;
    struct id_list dialects; /* those that are known */
    uint16_t security_mode;
    uint32_t capabilities;
};

struct conform_result {
    enum conform_outcome outcome;
    const struct deviation *known;
    char seen[CONFORM_TEXT_MAX]; /* what happened, without a full stop */
};

struct conform_options {
    struct line_target target;
    bool wanted[CONFORM_CASES_MAX];
    bool strict;                   /* SHOULD counts as MUST */
    struct deviations *deviations; /* NULL: none are known */
    char today[11];
    void (*progress)(const struct conform_case *test, unsigned number, unsigned count); /* may be NULL */
};

struct conform_report {
    const struct conform_suite *suite;
    const struct conform_options *options;
    struct conform_facts facts;   /* of a server */
    struct conform_client client; /* of a client */
    struct conform_result results[CONFORM_CASES_MAX];
    unsigned counts[CONFORM_UNCLEAR + 1];
};

/* Counts the result of a case that is over, and looks whether it is known. */
void conform_settle(struct conform_report *report, unsigned index);

/* Runs what is wanted of the cases for servers. False: no memory. */
bool conform_run(const struct conform_options *options, struct conform_report *report);

void conform_write_text(const struct conform_report *report, bool verbose, FILE *out);
void conform_write_tap(const struct conform_report *report, FILE *out);
void conform_write_junit(const struct conform_report *report, FILE *out);
void conform_write_json(const struct conform_report *report, FILE *out);
/* The cases, without running them. */
void conform_write_list(const struct conform_suite *suite, const bool wanted[CONFORM_CASES_MAX], bool details, FILE *out);

const char *conform_area_word(enum conform_area area);
const char *conform_outcome_word(enum conform_outcome outcome);

#endif
