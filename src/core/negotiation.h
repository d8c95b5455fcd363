/* The negotiation record: what was offered, what was answered, what both must now do.
 *
 * It owns copies and has a fixed size. A client keeps one, a server keeps one, and an analysis keeps one per side
 * of the capture. When nobody has changed anything on the way the two records are equal; that they are is what
 * FSCTL_VALIDATE_NEGOTIATE_INFO and the preauthentication hash are there to show. */
#ifndef SMBPROOF_CORE_NEGOTIATION_H
#define SMBPROOF_CORE_NEGOTIATION_H

#include "core/policy.h"
#include "core/verdict.h"
#include "wire/message.h"

/* Dialects kept of an offer. Windows refuses longer ones (2.2.3, note 8). */
#define NEGOTIATION_DIALECTS_MAX 64
/* Ids kept, in order, of each list of a negotiate context. */
#define NEGOTIATION_IDS_MAX 16
/* Octets kept of the raw context list of each message. Windows 11 sends about 200. */
#define NEGOTIATION_CONTEXTS_MAX 512
#define PREAUTH_HASH_SIZE 64

/* Where the variable parts begin, from the protocol id (2.2.3, 2.2.4). */
#define NEGOTIATE_DIALECTS_OFFSET 100u
#define NEGOTIATE_BUFFER_OFFSET 128u

/* The ids of one list of a negotiate context: the first ones in order, and the set of all that are below 32. */
struct id_summary {
    bool present;    /* the context was there */
    bool repeated;   /* an id below 32 stands in it twice */
    bool foreign;    /* an id of 32 or more stands in it */
    uint16_t count;  /* as the message counts */
    uint32_t set;    /* bit n: id n */
    uint32_t offset; /* of the context, from the message's protocol id */
    uint16_t ids[NEGOTIATION_IDS_MAX];
};

bool id_summary_has(const struct id_summary *summary, uint16_t id);

struct negotiation_contexts {
    uint16_t count; /* NegotiateContextCount */
    struct id_summary hashes, ciphers, compression, rdma, signing;
    uint16_t salt_size;
    uint16_t transport_count; /* transport contexts in the message */
    uint32_t transport_flags;
    bool raw_cut; /* the list is longer than what is kept of it */
    uint16_t raw_size;
    uint8_t raw[NEGOTIATION_CONTEXTS_MAX];
};

struct negotiation_offered {
    bool known;         /* an SMB2 NEGOTIATE request is in here */
    bool smb1;          /* an SMB1 NEGOTIATE came first */
    bool smb1_202;      /* with "SMB 2.002" */
    bool smb1_wildcard; /* with "SMB 2.???" */
    uint16_t dialect_count; /* kept; at most NEGOTIATION_DIALECTS_MAX */
    uint16_t dialects[NEGOTIATION_DIALECTS_MAX];
    uint8_t client_guid[16];
    uint16_t security_mode; /* as sent, never recomputed (3.3.5.15.12) */
    uint32_t capabilities;
    struct negotiation_contexts contexts;
};

struct negotiation_answered {
    bool known;
    uint16_t dialect; /* 0x02FF possible */
    uint16_t security_mode;
    uint8_t server_guid[16];
    uint32_t capabilities;
    uint32_t max_transact_size, max_read_size, max_write_size;
    struct negotiation_contexts contexts;
};

/* What both must now do. Valid where stage is NEGOTIATION_DONE. */
struct negotiation_agreed {
    uint16_t dialect;
    uint16_t signing_algorithm; /* as in SMB2_SIGNING_CAPABILITIES: 0 HMAC-SHA256, 1 AES-CMAC, 2 AES-GMAC */
    uint16_t cipher;            /* as in SMB2_ENCRYPTION_CAPABILITIES; 0 none */
    uint16_t hash;              /* 1 SHA-512 on 3.1.1; 0 none */
    uint32_t max_transact_size, max_read_size, max_write_size;
    bool multi_credit;        /* requests may cost more than one credit */
    bool signing_required;    /* of an authenticated session, which is not encrypted as a whole */
    bool must_validate;       /* the client must send FSCTL_VALIDATE_NEGOTIATE_INFO after TREE_CONNECT */
    bool must_sign_tree_connect; /* 3.1.1: TREE_CONNECT must be signed or encrypted */
};

/* Connection.NegotiateDialect: 0xFFFF, 0x02FF, or a dialect. */
enum negotiation_stage {
    NEGOTIATION_NONE,
    NEGOTIATION_WILDCARD, /* 0x02FF was answered: an SMB2 NEGOTIATE has to follow */
    NEGOTIATION_DONE,
};

/* What became of FSCTL_VALIDATE_NEGOTIATE_INFO. */
enum validation {
    VALIDATION_NONE,        /* not asked yet, or not needed */
    VALIDATION_PENDING,     /* an interim response came: keep waiting, within a bound */
    VALIDATION_SAME,        /* both have seen the same NEGOTIATE */
    VALIDATION_UNSUPPORTED, /* the genuine server does not implement it */
    VALIDATION_FAILED,
};

struct negotiation {
    enum negotiation_stage stage;
    uint16_t negotiates_seen; /* NEGOTIATE requests so far, SMB1 or SMB2: the MessageId of the next */
    struct negotiation_offered offered;
    struct negotiation_answered answered;
    struct negotiation_agreed agreed;
    enum validation validation;
    uint8_t preauth_hash[PREAUTH_HASH_SIZE]; /* Connection.PreauthIntegrityHashValue; kept by core/preauth.h */
};

/* How a message came, as far as the one who asks could tell. */
enum protection {
    PROTECTION_NONE,       /* neither correctly signed nor encrypted, on a session that has keys */
    PROTECTION_SIGNED,     /* the signature was verified */
    PROTECTION_ENCRYPTED,  /* it came decrypted */
    PROTECTION_IMPOSSIBLE, /* a guest or anonymous session has no keys */
    PROTECTION_UNCHECKED,  /* signed, but the observer has no key */
};

void negotiation_init(struct negotiation *negotiation);

/* What is wrong with a list of negotiate contexts; each side has its own rules for it. */
enum context_fault {
    CONTEXT_FAULT_NONE,
    CONTEXT_FAULT_BOUNDS, /* misaligned, in front of where the list may begin, or past the end */
    CONTEXT_FAULT_PREAUTH_COUNT,
    CONTEXT_FAULT_TWICE,
    CONTEXT_FAULT_SHORT,
    CONTEXT_FAULT_EMPTY,
};

struct context_check {
    enum context_fault fault;
    uint32_t offset;         /* of the context or field at fault, from the protocol id */
    uint16_t type;           /* of the context at fault */
};

/* Reads the `count` contexts at `offset` of the message, none of which may begin before `earliest`. Summarises all
 * that can be read, also when there is a fault; the first fault is returned. */
struct context_check contexts_read(struct span message, uint32_t offset, uint16_t count, uint32_t earliest,
                                   struct negotiation_contexts *contexts);

/* Puts a request that goes by, or is about to be sent, into `offered`; for a client, and for an analysis of the
 * client's side. server_validate() does it for a server. The message must be an SMB2 NEGOTIATE request or an SMB1
 * one whose body is valid. Contexts are summarised as far as they can be read. */
void negotiation_store_offer(struct negotiation *negotiation, const struct message *request);

/* Fills `agreed` from `offered` and `answered`, which is all that it depends on: two records that hold the same
 * offer and the same answer agree on the same. */
void negotiation_agree(struct negotiation *negotiation);

/* Is a dialect of the 3.x family among those offered? Such a client validates below 3.1.1 (3.2.5.5). */
bool negotiation_offers_3x(const struct negotiation *negotiation);

/* The greatest dialect that is in both, 0 where none is. Order, repetition and unknown codes do not matter. */
uint16_t dialect_greatest_common(const uint16_t *dialects, uint16_t count, const struct id_list *implemented);

struct verdict verdict_accept(void);
struct verdict verdict_note(enum rule rule, size_t offset);
struct verdict verdict_refuse(enum rule rule, uint32_t status, size_t offset);
struct verdict verdict_disconnect(enum rule rule, size_t offset);
bool verdict_goes_on(const struct verdict *verdict); /* ACCEPT or NOTE */

#endif
