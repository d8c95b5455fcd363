/* What follows from the evidence of one connection without any judgement: how it ended, what differs from what.
 * Rules read facts and evidence; they never look at packets. */
#ifndef SMBPROOF_EXPLAIN_FACTS_H
#define SMBPROOF_EXPLAIN_FACTS_H

#include "explain/evidence.h"

enum ending { ENDING_OPEN, ENDING_FIN, ENDING_RST };
enum closer { CLOSER_NONE, CLOSER_CLIENT, CLOSER_SERVER, CLOSER_INJECTED, CLOSER_UNKNOWN };

/* Where in the life of a connection something happened: the last thing that was completed before it. */
enum stage {
    STAGE_SYN,            /* not even connected */
    STAGE_CONNECTED,      /* handshake, no SMB */
    STAGE_NEGOTIATE_SENT, /* NEGOTIATE without an answer */
    STAGE_NEGOTIATED,     /* answered; no SESSION_SETUP */
    STAGE_SESSION_SENT,   /* SESSION_SETUP under way */
    STAGE_SESSION_FAILED,
    STAGE_SESSION,        /* authenticated; no TREE_CONNECT */
    STAGE_TREE_SENT,
    STAGE_TREE_FAILED,
    STAGE_TREE,           /* connected to a share; nothing else */
    STAGE_VALIDATE_SENT,
    STAGE_VALIDATE_ANSWERED, /* and nothing after it */
    STAGE_WORK,           /* requests after that */
    STAGE_UNKNOWN,        /* the capture began later */
};

/* The four fields of VALIDATE_NEGOTIATE_INFO, as bits. */
enum validated_field {
    FIELD_DIALECTS = 1,      /* request: Dialects; response: Dialect against DialectRevision */
    FIELD_SECURITY_MODE = 2,
    FIELD_CAPABILITIES = 4,
    FIELD_GUID = 8,
};

struct validation_facts {
    enum validation_result result;
    bool request_comparable, response_comparable; /* both messages are there whole */
    uint32_t request_differs, response_differs;   /* bits of enum validated_field */
};

/* Signs that a closing segment was not sent by the end whose address it bears. */
struct forgery {
    bool other_distance; /* its TTL says another number of hops than that end's other packets */
    bool other_mac;
    bool still_talking;  /* that end went on sending afterwards */
    bool out_of_place;   /* its sequence number is not the next one */
    bool odd_ip_id;      /* that end counts its IP ids, and this one does not fit */
    bool too_soon;       /* it acknowledges what can hardly have reached that end by then */
    unsigned weight;     /* two and more: forged */
};
#define FORGERY_WEIGHT_MIN 2u

struct facts {
    const struct evidence *evidence;
    enum ending ending;
    enum closer closer;
    const struct closing_segment *closing; /* the first of the one who closed; NULL where open */
    enum direction closing_from;           /* whose address it bears */
    struct forgery forgery;                /* of `closing` */
    uint64_t quiet_ns;      /* from the last SMB message to the closing segment */
    enum stage stage;       /* reached at the end */
    bool aborted;           /* it ended earlier than an ordinary one would */
    bool dialect_known;
    bool below_311;         /* 2.0.2 to 3.0.2 agreed */
    bool client_offers_3x, client_offers_311;
    const struct session_evidence *session; /* the first success with a key, else without, else the last try; none: zeros */
    bool authenticated, guest, anonymous, keyed; /* keyed: real credentials, so messages can be signed */
    bool encrypted;         /* transforms went by */
    const struct tree_evidence *tree;       /* the last one; none: zeros */
    struct validation_facts validations[EVIDENCE_VALIDATIONS_MAX];
    const struct validation_evidence *validation; /* the last one; NULL none */
    const struct validation_facts *validated;     /* facts of it */
    /* The first exchange whose request differs from NEGOTIATE, and the first whose response does; NULL none. */
    const struct validation_evidence *asked, *told;
    uint32_t asked_differs, told_differs;
    bool start_missing, response_missing, request_missing; /* of NEGOTIATE, though SMB came after it */
    bool one_way;           /* only one direction was captured */
    bool cut;               /* packets were cut by a snap length */
    bool lossy;             /* octets are missing in between */
    bool cut_off;           /* the capture ends while a request of the set-up waits for its answer */
};

/* `facts` points into itself and into the evidence: neither may move. */
void facts_from(const struct evidence *evidence, struct facts *facts);

/* Hops that a packet has come, from the nearest usual initial TTL (32, 64, 128, 255). */
unsigned ttl_hops(uint8_t ttl);
bool session_is_anonymous(const struct session_evidence *session);
const char *stage_text(enum stage stage);

#endif
