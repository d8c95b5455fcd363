/* A verdict: the only result type for what a peer did, and the rules it can name.
 *
 * Each MUST of [MS-SMB2] that is checked is one line of rules.def and one `if` that names it. */
#ifndef SMBPROOF_CORE_VERDICT_H
#define SMBPROOF_CORE_VERDICT_H

#include <stdint.h>

enum rule {
    RULE_NONE = 0,
#define RULE(name, id, section, whose, severity, sentence) RULE_##name,
#include "core/rules.def"
#undef RULE
    RULE_COUNT
};

enum rule_whose { WHOSE_CLIENT, WHOSE_SERVER, WHOSE_EITHER };
enum rule_severity { SEVERITY_MUST, SEVERITY_SHOULD, SEVERITY_NOTE };

struct rule_text {
    const char *id;       /* "2.2.4-03": section and number; never reused */
    const char *section;  /* of [MS-SMB2] */
    enum rule_whose whose;
    enum rule_severity severity;
    const char *sentence; /* what the rule says, in our words */
};

/* The text of a rule; RULE_NONE has empty strings. */
const struct rule_text *rule_text(enum rule rule);

enum action {
    ACTION_ACCEPT,     /* go on */
    ACTION_REFUSE,     /* a server answers with `status`; a client fails the operation and closes */
    ACTION_DISCONNECT, /* close the transport and say nothing */
    ACTION_NOTE,       /* worth telling in an analysis; a live endpoint goes on */
};

struct verdict {
    enum rule rule;
    enum action action;
    uint32_t status; /* NTSTATUS, where action is ACTION_REFUSE */
    uint32_t offset; /* of the octet that broke the rule, from the message's protocol id; 0 where none */
};

#endif
