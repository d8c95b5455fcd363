/* For tests: a server in the same process, of the deciders' making, that answers a client's frames and can be told to
 * do one thing wrong. */
#ifndef SMBPROOF_TESTS_PEER_H
#define SMBPROOF_TESTS_PEER_H

#include "core/client.h"
#include "core/server_validate.h"

#define PEER_FRAME_MAX  4096u
#define PEER_FRAMES_MAX 4u
#define PEER_SESSION_ID 0x1122334455667788u
#define PEER_TREE_ID    7u
#define PEER_ASYNC_ID   0x0000000500000006u

/* One change of the response to a command. */
struct peer_twist {
    bool active;
    uint16_t command;
    unsigned nth;        /* 0: the first response to that command that is not interim, 1: the second */
    size_t offset;       /* from the protocol id; of the transform header where `sealed` */
    unsigned width;      /* octets; 0: the message is cut to `offset` octets */
    uint64_t value;
    bool flip;           /* the value is added to what is there by exclusive or */
    bool after;          /* after it was signed; else before */
    bool sealed;         /* the transform header or ciphertext is changed */
};

struct peer_frame {
    uint8_t data[PEER_FRAME_MAX];
    size_t size;
};

struct peer {
    struct server_policy policy;
    struct fresh fresh;
    struct negotiation record;
    struct preauth preauth;
    uint8_t session_key[SESSION_KEY_SIZE];
    uint16_t session_flags;
    uint32_t setup_status, tree_status, info_status, request_status; /* in place of success; 0: success */
    uint32_t share_flags;
    unsigned legs;       /* tokens of the client's before success */
    uint16_t credits;    /* granted with each response */
    bool interim;        /* STATUS_PENDING goes before each response but that of NEGOTIATE */
    bool silent_info;    /* never answers the validation */
    uint32_t unsigned_commands, plain_commands; /* bit n: responses to command n are not signed, not encrypted */
    bool says_202_to_smb1;
    struct peer_twist twist;

    struct session_keys keys;
    struct client_handles handles; /* seal: to the client; open: from it */
    struct sealer sealer;
    bool has_keys;
    unsigned tokens, answered[32];
    unsigned bad_signatures, unsigned_requests; /* of the client's */
    uint32_t signed_commands;                   /* bit n: a request of command n came signed */
    bool last_sealed;
    uint64_t last_message_id;

    struct peer_frame frames[PEER_FRAMES_MAX];
    unsigned frames_count;
};

void peer_init(struct peer *peer);
void peer_free(struct peer *peer);
/* Takes one frame with its header; the answers are in `frames`, each with its header. */
void peer_answer(struct peer *peer, struct span frame);

#endif
