/* For tests: a client that says whatever it is told to a host, right or wrong, one request at a time, and looks at the
 * answers as they came. */
#ifndef SMBPROOF_TESTS_TALK_H
#define SMBPROOF_TESTS_TALK_H

#include "host.h"

#define TALK_MESSAGE_MAX (72u * 1024u) /* octets of a frame */
#define TALK_ANSWERS_MAX 16u

/* One message of a frame that came from the server. */
struct talk_answer {
    struct message message;
    bool encrypted;
    enum signature_check signature; /* as checked with the session's key; MISSING where there is none */
};

/* A frame that is being made: elements one after the other. */
struct talk_frame {
    uint8_t data[TALK_MESSAGE_MAX]; /* from the protocol id on */
    size_t size;
    size_t starts[SERVER_CHAIN_MAX + 2];
    bool sign[SERVER_CHAIN_MAX + 2];
    unsigned count;
};

struct talk {
    struct host host;
    struct keyring ring;
    uint16_t dialect;         /* to be offered, alone */
    uint16_t signing, cipher; /* to be offered on 3.1.1 */
    uint16_t mode;            /* SecurityMode, in NEGOTIATE and SESSION_SETUP */
    uint64_t message_id;      /* of the next request */
    uint64_t session_id;
    uint32_t tree_id;
    struct preauth preauth, session_preauth;
    struct session_keys keys;
    struct mac_key *mac; /* NULL: no keys */
    struct aead_key *seal, *open;
    uint64_t nonce;
    /* What came back since the last talk_send(). The messages point into `received`. */
    unsigned answers_count, frames_count;
    size_t received_size;
    bool closed;
    /* From here on nothing is cleared. */
    struct talk_frame frame;
    struct talk_frame kept[SIGN_TOGETHER_MAX];
    unsigned kept_count;
    struct talk_answer answers[TALK_ANSWERS_MAX];
    uint8_t received[4 * TALK_MESSAGE_MAX];
};

void talk_init(struct talk *talk, uint16_t dialect);
void talk_free(struct talk *talk);

/* An element: the body is copied, header as it should be. Then the header may be changed in talk->frame before sending.
 * Returns its place in frame.data. */
uint8_t *talk_add(struct talk *talk, uint16_t command, const void *body, size_t body_size, bool sign);
/* Sends what was added; `seal` encrypts it. False: the server closed. */
bool talk_send(struct talk *talk, bool seal);
/* Signs what was added, and keeps it for talk_send_together(), which sends up to SIGN_TOGETHER_MAX of them at once. */
void talk_keep(struct talk *talk);
bool talk_send_together(struct talk *talk);
/* Sends any octets. */
bool talk_give(struct talk *talk, const void *content, size_t size);
/* The first answer's status; asserts that there is one. */
uint32_t talk_status(const struct talk *talk);

/* The usual beginnings. Each asserts that it works. */
void talk_negotiate(struct talk *talk);
void talk_logon(struct talk *talk); /* and negotiates before, where that was not done */
void talk_tree(struct talk *talk, const char *share, bool sign, bool seal);
/* One SESSION_SETUP request; its answer is in answers[0]. False: closed. */
bool talk_setup(struct talk *talk, uint64_t session_id, bool sign);

#endif
