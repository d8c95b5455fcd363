/* A finding: a cause with its proof, what was ruled out, and what to do. */
#ifndef SMBPROOF_EXPLAIN_FINDING_H
#define SMBPROOF_EXPLAIN_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FINDING_TEXT_MAX 480u
#define FINDING_PACKETS_MAX 12u
#define FINDING_FIELDS_MAX 24u
#define FINDING_RULED_OUT_MAX 6u
#define FINDING_REMEDIES_MAX 8u
#define FINDINGS_MAX 12u
#define VALUE_TEXT_MAX 440u

enum cause {
    CAUSE_NONE = 0,
#define CAUSE(id, title) CAUSE_##id,
#include "explain/causes.def"
#undef CAUSE
    CAUSE_COUNT
};

const char *cause_id(enum cause cause);    /* "M01" */
const char *cause_title(enum cause cause); /* a few words */

/* Whose client a remedy is for; bits, so that ANY is all of them. */
enum system {
    SYSTEM_UNKNOWN = 0,
    SYSTEM_WINDOWS_8 = 1,   /* 8, 8.1, Server 2012, 2012 R2 */
    SYSTEM_WINDOWS_10 = 2,  /* 10, 11, Server 2016 and later */
    SYSTEM_WINDOWS_OLD = 4, /* Vista, 7, Server 2008, 2008 R2 */
    SYSTEM_SAMBA = 8,
    SYSTEM_LINUX = 16,      /* the kernel's client or server */
    SYSTEM_MACOS = 32,
    SYSTEM_OTHER = 64,
    SYSTEM_WINDOWS = SYSTEM_WINDOWS_8 | SYSTEM_WINDOWS_10 | SYSTEM_WINDOWS_OLD,
    SYSTEM_ANY = 127,
};

enum remedy {
#define REMEDY(name, end, systems, text) REMEDY_##name,
#include "explain/remedies.def"
#undef REMEDY
    REMEDY_COUNT
};

const char *remedy_text(enum remedy remedy);
/* Is it for these systems? A system that is unknown may be any. */
bool remedy_applies(enum remedy remedy, enum system client, enum system server);

enum severity { SEVERITY_PROBLEM, SEVERITY_EXPOSURE, SEVERITY_FINDING_NOTE };
enum confidence { CONFIDENCE_CERTAIN, CONFIDENCE_LIKELY, CONFIDENCE_POSSIBLE };

/* One field of one message, as three parties have it. An empty text: not known, or not there.
 * A text that begins with '[' is a list of strings, ready as JSON. */
struct field_values {
    const char *message; /* "NEGOTIATE request" */
    const char *field;   /* as [MS-SMB2] spells it */
    char sent[VALUE_TEXT_MAX], arrived[VALUE_TEXT_MAX], claimed[VALUE_TEXT_MAX];
};

struct ruled_out {
    enum cause cause;
    char because[200];
};

struct finding {
    enum cause cause;
    enum severity severity;
    enum confidence confidence;
    bool explains_end; /* it says why the connection was closed */
    bool open;         /* a question that matters cannot be answered: the verdict is "cannot tell" */
    unsigned packets_count, fields_count, ruled_out_count, remedies_count;
    char summary[FINDING_TEXT_MAX];
    uint64_t packets[FINDING_PACKETS_MAX];
    struct ruled_out ruled_out[FINDING_RULED_OUT_MAX];
    enum remedy remedies[FINDING_REMEDIES_MAX];
    struct field_values fields[FINDING_FIELDS_MAX]; /* last, since most findings use none of it */
};

/* Empties one; not all of it, as it is large: only what is read before it is written. */
void finding_clear(struct finding *finding, enum cause cause);
/* Copies what is in use. */
void finding_copy(struct finding *to, const struct finding *from);

/* Building one; what does not fit is left out (the limits are generous). */
void finding_say(struct finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void finding_packet(struct finding *finding, uint64_t packet); /* 0 is passed over */
void finding_rule_out(struct finding *finding, enum cause cause, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void finding_remedy(struct finding *finding, enum remedy remedy);
struct field_values *finding_field(struct finding *finding, const char *message, const char *field);

#endif
