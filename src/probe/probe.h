/* The probe: small, named, read-only tests of a live server and of the path to it.
 *
 * Each test says what it sends, what a correct server does, and which cause of explain/causes.def another answer is.
 * What comes of it is told apart: the server is wrong, the path is, or it cannot be told. A file is never opened, and
 * nothing is written. */
#ifndef SMBPROOF_PROBE_PROBE_H
#define SMBPROOF_PROBE_PROBE_H

#include <stdio.h>

#include "explain/finding.h"
#include "probe/line.h"

/* At most ten connections a second, so that the probe does not look like a flood, nor act as one. */
#define PROBE_INTERVAL_MS 100
/* An answer that does not come within this time, in milliseconds, is none; servers answer these requests at once. */
#define PROBE_TIMEOUT_MS 10000
/* Connections that one test may make while it looks for what the server saw. */
#define PROBE_CANDIDATES_MAX 24u
/* Octets of a sentence with its NUL. */
#define PROBE_TEXT_MAX  320u
#define PROBE_VALUE_MAX 160u
#define PROBE_TESTS_MAX 64u

enum probe_outcome {
    PROBE_RIGHT,   /* as [MS-SMB2] demands; or a fact, with which nothing is wrong */
    PROBE_EXPOSED, /* allowed, but it protects less than it could */
    PROBE_SERVER,  /* the server does what [MS-SMB2] forbids */
    PROBE_PATH,    /* something between here and the server changes packets */
    PROBE_UNCLEAR, /* cannot be told */
    PROBE_SKIPPED,
};

/* What a test has seen that only all tests together can explain. */
enum probe_suspicion {
    SUSPICION_NONE,
    SUSPICION_REQUEST_REFUSED, /* the server closes on the right validation, and what it saw was not found */
    SUSPICION_REQUEST_SEEN,    /* it closes on the right one, and answers one with another value */
    SUSPICION_RESPONSE,        /* its validation differs from its NEGOTIATE response */
    SUSPICION_UNSIGNED,        /* its validation is not protected, although it signed before */
    SUSPICION_DIALECT,         /* a dialect was chosen that was not offered */
    SUSPICION_KEY,             /* below 3.1.1: its signature is not that of the session key */
    SUSPICION_HASH,            /* 3.1.1: its signature is not that of the messages as they are here */
    SUSPICION_HASH_FOUND,      /* but that of messages with one value changed */
};

struct probe_result {
    enum probe_outcome outcome;
    enum confidence confidence;
    enum probe_suspicion suspicion;
    enum cause cause, also; /* CAUSE_NONE where there is none; `also` M10 where an alteration takes protection away */
    enum severity severity;
    unsigned connections;
    char seen[PROBE_TEXT_MAX]; /* what happened, without a full stop */
    /* Of an alteration: the field, "NEGOTIATE request Capabilities", and its two values. */
    char field[PROBE_VALUE_MAX], here[PROBE_VALUE_MAX], there[PROBE_VALUE_MAX];
};

/* The 3.1.1 negotiation as a whole. */
enum probe_hash { PROBE_HASH_UNKNOWN, PROBE_HASH_PROVEN, PROBE_HASH_BROKEN };

/* What the tests found out, for the ones behind them and for the verdict. */
struct probe_facts {
    int error;                /* of the first connection; 0: it was made */
    struct id_list spoken;    /* dialects that were agreed to when offered alone */
    uint16_t chosen;          /* when all were offered; 0: none */
    unsigned unoffered_count; /* times that a dialect was chosen which was not offered */
    uint16_t unoffered;       /* the first of them */
    bool unoffered_differ;
    bool server_known;
    uint8_t server_guid[16];
    uint16_t security_mode;
    uint64_t system_time;         /* FILETIME */
    bool logged_on, logon_failed; /* with the given credentials */
    bool has_keys;                /* and they made a session that can be signed */
    bool encrypts;                /* the server demands encryption, of the session or of the share */
    enum probe_hash hash;
    struct negotiation_answered proven; /* of the 3.1.1 negotiation, where hash is PROVEN */
    uint16_t validated;                 /* the greatest dialect on which the right validation was answered rightly */
    struct id_list
        validated_list; /* of several dialects, on which the right validation was answered; wrong ones use it */
    bool asked;         /* what the server saw was looked for, and `seen` says where it was found */
    struct probe_claim {
        bool found;
        unsigned group, index; /* of the candidates of tests_validate.c */
    } seen;
    bool validation_is_blind;    /* the server answers wrong claims, so its answers prove nothing of the request */
    unsigned altered;            /* tests with a suspicion that is not the server's fault */
    char client[PROBE_TEXT_MAX]; /* what the ordinary client came to */
};

struct probe;
struct probe_test {
    const char *name;
    const char *sends;      /* what is sent, for --list and --dry-run */
    const char *expected;   /* what a correct server does */
    const char *section;    /* of [MS-SMB2] */
    enum cause cause;       /* what another answer is, unless the test says otherwise */
    enum severity severity; /* of another answer */
    enum probe_need {
        NEEDS_NOTHING,
        NEEDS_311,   /* the server speaks 3.1.1 */
        NEEDS_LOGON, /* credentials that the server took */
        NEEDS_LOGON_311,
        NEEDS_VALIDATION, /* and it answered the right validation of the same list rightly */
    } needs;
    void (*run)(struct probe *probe, struct probe_result *result);
};

/* All tests, in the order in which they run. */
const struct probe_test *probe_tests(unsigned *count);
/* The names of `only`, separated by commas, stand for those and for the tests that they need. -1: `only` has a name
 * that is none; else how many are wanted. */
int probe_select(const char *only, bool wanted[PROBE_TESTS_MAX]);

struct probe_options {
    struct line_target target;
    struct client_policy policy; /* of the ordinary client */
    bool wanted[PROBE_TESTS_MAX];
    void (*progress)(const struct probe_test *test, unsigned number, unsigned count); /* may be NULL */
};

enum probe_verdict {
    PROBE_HEALTHY,
    PROBE_SERVER_DEVIATES,
    PROBE_PATH_ALTERS,
    PROBE_CANNOT_TELL,
    PROBE_NOT_REACHED,
};

struct probe_report {
    const struct probe_options *options;
    struct probe_facts facts;
    struct probe_result results[PROBE_TESTS_MAX]; /* by the test's number; those not wanted are SKIPPED, without text */
    unsigned connections;
    char address[64]; /* of the server */
    enum probe_verdict verdict;
    bool path_is_proven; /* both ends have seen the same NEGOTIATE, wherever that can be shown */
    bool share_is_missing;
    char start[40]; /* ISO 8601 */
};

/* Runs the tests. False: no memory. */
bool probe_run(const struct probe_options *options, struct probe_report *report);

/* Explains what the tests have seen: the suspicions, then the verdict. Pure. */
void probe_judge(struct probe_report *report);

/* The faces of a report. */
void probe_write_text(const struct probe_report *report, bool verbose, FILE *out);
void probe_write_json(const struct probe_report *report, FILE *out);
void probe_write_junit(const struct probe_report *report, FILE *out);
/* What would be sent. */
void probe_write_plan(const bool wanted[PROBE_TESTS_MAX], bool details, FILE *out);

const char *probe_outcome_word(enum probe_outcome outcome);
const char *probe_verdict_word(enum probe_verdict verdict);

#endif
