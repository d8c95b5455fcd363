/* Who must notice an alteration, where, and by which rule; and who did.
 *
 * Pure: from what each end knows of the negotiation, and from what was done to which message. What catches what is in
 * [MS-SMB2] 3.2.5.5, 3.2.5.14.12, 3.3.5.15.12 (validation), 3.1.4.1 and 3.2.5.3.1 (the hash of 3.1.1), 3.2.5.1.3 and
 * 3.3.5.2.4 (signatures). */
#ifndef SMBPROOF_RELAY_PREDICT_H
#define SMBPROOF_RELAY_PREDICT_H

#include "core/negotiation.h"
#include "relay/tamper.h"

/* How far a connection got. In the order in which they come. */
enum reach {
    REACH_NONE,
    REACH_NEGOTIATE,
    REACH_SESSION_SETUP,
    REACH_TREE_CONNECT,
    REACH_VALIDATE,
    REACH_OPERATION, /* whatever a session is for */
};

/* Sets of ends. */
enum who { WHO_NOBODY = 0, WHO_CLIENT = 1, WHO_SERVER = 2, WHO_EITHER = 3 };

/* Of a connection; further ones are counted, and not predicted. */
#define ALTERATIONS_MAX 24u

/* One message that was altered. */
struct alteration {
    enum reach stage;       /* of the message */
    enum direction from;
    uint64_t tampers;       /* bit n: the n-th alteration changed it */
    uint64_t timings;       /* bit n: the n-th held it up, split or coalesced it */
    enum fate fate;
    bool answered;          /* the relay answered in the server's place */
    bool was_signed;        /* as it came */
    bool is_signed;         /* as it went on */
    bool request_signed;    /* of a response */
    bool final;             /* the SESSION_SETUP response of STATUS_SUCCESS */
    bool flags_made_guest;  /* SessionFlags say guest or anonymous now, and did not */
    bool forged;            /* of a response: another status, or another kind of body */
    char detail[TAMPER_DETAIL_MAX];
};

/* What is known of a connection when it is over. */
struct passage_facts {
    struct negotiation near, far; /* as the client's and as the server's end has it */
    struct verdict near_verdict;  /* of a client that read the last altered NEGOTIATE response; ACCEPT where none was */
    struct verdict far_verdict;   /* of a server that read the last altered NEGOTIATE request */
    bool smb1;                    /* the server answered in SMB1 */
    bool session;                 /* a session was set up */
    bool anonymous;               /* the client has logged on without a name */
    bool keyless;                 /* it is a guest's by the server's word, or anonymous */
    bool signs_anyway;            /* a SESSION_SETUP request says that signing is required */
    bool validated;               /* a validation was asked for */
    bool validation_unknown;      /* and the server said, with a signature, that it does not know it */
    unsigned alterations_count, alterations_more;
    struct alteration alterations[ALTERATIONS_MAX];
};

struct prediction {
    enum who who;
    enum reach stage;    /* at which it must be noticed at the latest */
    enum reach earliest; /* noticed from here on is as predicted */
    enum rule rule;      /* RULE_NONE: none of the protocol's */
    bool must;           /* a correct endpoint has to notice */
    bool ends;           /* the connection ends by what was done, noticed or not */
    const char *why;     /* a sentence without full stop */
};

/* Of all alterations together: the first that must be noticed, else the first that may. */
struct prediction predict(const struct passage_facts *facts);

/* How the connection went on from the first alteration. */
struct passage_ending {
    bool reset_by_relay;
    unsigned operations;     /* answered ones, after the last alteration */
    enum reach stage;        /* of the last message that asked for something */
    bool refused;            /* by the server: the last of its own answers is an error */
    bool outstanding;        /* a request was not answered */
    enum who closed;         /* who closed first; NOBODY: the relay ended it, or it is open */
};

enum notice {
    NOTICE_UNTOUCHED,  /* nothing was altered */
    NOTICE_PREDICTED,  /* noticed by whom and where it must be */
    NOTICE_ELSEWHERE,  /* noticed by another end, at another place, or though nobody has to */
    NOTICE_HARMLESS,   /* nobody has to notice, and nobody did */
    NOTICE_ALLOWED,    /* a careful end would have noticed */
    NOTICE_UNNOTICED,  /* a correct end would have noticed */
    NOTICE_ENDED,      /* the relay ended the connection */
    NOTICE_OPEN,       /* neither noticed nor worked when the relay stopped */
};
#define NOTICES_COUNT 8u

struct judgement {
    enum notice outcome;
    enum who who;     /* noticed */
    enum reach stage;
};

struct judgement judge(const struct passage_facts *facts, const struct prediction *prediction,
                       const struct passage_ending *ending);

const char *reach_text(enum reach stage);
const char *who_text(enum who who);
const char *notice_text(enum notice outcome);

#endif
