/* The other half of conformance: what a client lets pass.
 *
 * A server that is right in everything but one misdeed, and after it a look at what the client asks for next. A misdeed
 * is an alteration of the server's own answers (relay/tamper.h has its words), made before they are signed or
 * encrypted, or behind that. A client that goes on beyond the step by which [MS-SMB2] has it notice has let it pass;
 * one that closes, logs off or asks for nothing more has not. All here is pure: messages in, a record out. */
#ifndef SMBPROOF_CONFORM_CLIENT_H
#define SMBPROOF_CONFORM_CLIENT_H

#include "conform/conform.h"
#include "core/seal.h"
#include "core/sign.h"
#include "relay/predict.h"

/* Alterations of one misdeed. */
#define MISDEED_TAMPERS_MAX 4u
/* Octets of an answer that may be altered, without the four in front; longer ones are sent as they are. */
#define MISDEED_MESSAGE_MAX (64u * 1024u)
/* Connections of a client that are looked at for one case. */
#define CLIENT_WATCHES_MAX 16u

/* What the server is like. Each has a case of its own in which it is right in everything, without which nothing of that
 * setting can be judged. */
enum client_setting {
    SETTING_ALL,         /* all dialects, signing required */
    SETTING_ALL_ALLOWED, /* all dialects, signing and encryption not required */
    SETTING_302,         /* up to 3.0.2, signing required, no encryption */
    SETTING_302_ALLOWED, /* up to 3.0.2, signing not required, no encryption */
    SETTING_210_ALLOWED, /* up to 2.1, signing not required */
    SETTING_ENCRYPTED,   /* all dialects, encryption required */
    SETTING_COUNT
};

enum misdeed_finish {
    FINISH_AS_IT_IS,     /* sealed again where it was sealed, but not signed again */
    FINISH_SIGNED,       /* likewise, and signed again with the right key: the server means it */
    FINISH_CLEAR,        /* what was sealed is sent in the clear, unsigned */
    FINISH_CLEAR_SIGNED, /* and signed */
    FINISH_FOREIGN,      /* sealed rightly, for a session that is none */
};

enum misdeed_judge {
    JUDGE_WORKS,     /* no misdeed: an operation has to succeed */
    JUDGE_VALIDATES, /* no misdeed: FSCTL_VALIDATE_NEGOTIATE_INFO has to come before the first operation */
    JUDGE_STAGE,     /* nothing may come that lies beyond `stage` */
    JUDGE_ANYTHING,  /* nothing may come that makes use of it, not even the same again */
};

struct misdeed {
    enum client_setting setting;
    enum misdeed_judge judge;
    enum reach stage;
    enum misdeed_finish finish;
    uint16_t dialect;    /* only where this one is agreed; 0: whichever */
    const char *tampers; /* alterations, " ; " between them; NULL: none */
};

const struct conform_suite *conform_clients(void);
/* The case that says whether the client works in a setting. */
unsigned client_works_case(enum client_setting setting);
/* Those that are wanted need some that say whether the client works at all. */
void client_want_works(bool wanted[CONFORM_CASES_MAX]);
/* The policy of the server in a setting. */
void client_setting_policy(enum client_setting setting, struct server_policy *policy);

/* ---- what a misdeed does ---- */

struct misdeed_plan {
    const struct misdeed *misdeed;
    unsigned count;
    struct tamper tampers[MISDEED_TAMPERS_MAX];
};

/* The keys of the session that a frame belongs to; NULL where there are none. `open` opens what the server seals. */
struct misdeed_keys {
    struct mac_key *mac;
    struct aead_key *seal, *open;
    struct sealer *sealer; /* its next nonce is used */
};

/* False: the text of an alteration is wrong, and the complaint says how. */
bool misdeed_plan(const struct misdeed *misdeed, struct misdeed_plan *plan, char complaint[TAMPER_COMPLAINT_MAX]);

/* An answer that is to be altered. */
struct misdeed_answer {
    struct span frame;   /* as the server made it, without the four octets in front; borrowed */
    struct span message; /* the same, opened where it is sealed */
    bool is_sealed;
    uint8_t octets[TRANSFORM_HEADER_SIZE + MISDEED_MESSAGE_MAX + TAMPER_GROWTH_MAX];
};

/* False: it is longer than what can be altered, or cannot be opened. */
bool misdeed_take(struct misdeed_answer *answer, const struct misdeed_keys *keys, struct span frame);
/* Does it. False: there was nothing to be done, as with the answer to an SMB1 NEGOTIATE. What is sent instead, which
 * may be empty, borrows from the answer. `validation` is the MessageId of the last validation, UINT64_MAX none. */
bool misdeed_commit(const struct misdeed_plan *plan, const struct misdeed_keys *keys, uint64_t validation,
                    struct misdeed_answer *answer, struct span *instead);

/* ---- what the client does ---- */

/* One connection. */
struct client_watch {
    const struct misdeed *misdeed;
    bool negotiated;  /* a NEGOTIATE of SMB2 came */
    bool altered;     /* the misdeed was done */
    bool validated;   /* a validation was asked for */
    bool worked;      /* an operation succeeded */
    bool operated;    /* one was asked for */
    bool unvalidated; /* and before any validation */
    bool offers_3x;
    bool passed;         /* it asked for what it must not ask for any more */
    bool left;           /* after the misdeed: LOGOFF or TREE_DISCONNECT */
    bool closed;         /* by the client */
    bool over;           /* closed, by whomever */
    uint16_t dialect;    /* that was agreed; 0: none yet */
    enum reach stage;    /* of the last request that was no leaving */
    uint16_t next;       /* command of the request that was too much */
    uint64_t validation; /* MessageId of the last one; UINT64_MAX none */
    enum rule broken;    /* of the protocol, by the client; RULE_NONE: none */
};

void client_watch_begin(struct client_watch *watch, const struct misdeed *misdeed);
/* A frame of the client's, decrypted where that could be done. What it offers goes to `client`. */
void client_watch_request(struct client_watch *watch, struct span frame, struct conform_client *client);
/* An answer of the server's, opened, as it was before the misdeed. */
void client_watch_answer(struct client_watch *watch, struct span message);
/* Is the dialect that was agreed one that the misdeed is about? */
bool client_watch_applies(const struct client_watch *watch);
/* The misdeed was done to what was answered last. */
void client_watch_altered(struct client_watch *watch);
/* The case is decided, whatever comes. */
bool client_watch_decided(const struct client_watch *watch);

/* What came of a case, on all connections that the client made for it. `strict`: what a client should
 * do counts as what it must do. */
void client_judge(const struct conform_case *test, const struct client_watch *watches, unsigned count, bool strict,
                  struct conform_result *result);

#endif
