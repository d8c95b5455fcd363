/* The inside of a client, for those who embed one; included by client.h. Others read it and write nothing. */
#ifndef SMBPROOF_CORE_CLIENT_STATE_H
#define SMBPROOF_CORE_CLIENT_STATE_H

/* Octets of the longest field whose values a failure tells. */
#define CLIENT_VALUE_MAX 16u

/* A request in flight (3.2.1.7). */
struct client_pending {
    uint64_t message_id, async_id;
    void *owner;
    uint32_t tree_id;
    uint16_t command;
    bool internal;     /* of the set-up, not of the caller */
    bool is_signed;    /* until the frame is finished: is to be signed unless it is encrypted */
    bool is_encrypted;
    bool is_async;     /* an interim response came, async_id is valid */
    bool is_cancelled; /* CANCEL was sent; a second one would repeat the nonce of AES-GMAC */
};

struct client_tree {
    uint32_t id;
    bool encrypts;           /* Share.EncryptData: everything but its TREE_CONNECT is encrypted */
    uint8_t share_type;      /* 1 disk, 2 pipe, 3 print */
    uint32_t share_flags, capabilities, maximal_access;
};

struct client {
    struct client_policy policy;
    uint8_t salt[CLIENT_SALT_SIZE];
    bool anonymous;

    enum client_want want;
    enum client_phase phase;
    struct client_failure failure; /* where want is CLIENT_CLOSED and it was not the caller's wish */
    uint8_t expected[CLIENT_VALUE_MAX], found[CLIENT_VALUE_MAX];

    struct negotiation negotiation;
    struct conversation conversation; /* of the set-up's messages, decrypted; not of the caller's requests */
    struct event_list events;         /* its own */
    struct preauth preauth;           /* of the connection, then of the session that is being set up */

    uint8_t *output; /* borrowed: messages of the set-up are made here */
    struct span frame;

    /* Connection.CommandSequenceWindow: `credits` MessageIds from this one on. */
    uint64_t next_message_id;
    uint32_t credits;
    unsigned pending_count, tree_count;
    struct client_pending pending[CLIENT_REQUESTS_MAX];
    struct client_tree trees[CLIENT_TREES_MAX];

    uint64_t session_id;
    bool has_session; /* a SESSION_SETUP succeeded, and its last response was verified */
    bool has_keys;    /* not of a guest or anonymous session */
    bool is_guest, is_null; /* as the server says */
    bool signing_required;  /* Session.SigningRequired */
    bool encrypts;          /* Session.EncryptData */
    struct session_keys keys;
    struct client_handles handles;
    struct sealer sealer;

    bool reauthenticating;
    bool token_complete; /* the authentication has all that it needs */
    unsigned legs;
    struct span token; /* the server's last */
    struct span final; /* the last SESSION_SETUP response, while keys are awaited to verify it */
    uint16_t session_flags;
    uint8_t full_key[FULL_SESSION_KEY_MAX];
    size_t full_key_size;

    uint32_t tree, tree_status; /* of the TREE_CONNECT made last */

    /* What was received last, as far as it was not handed over. */
    struct client_arrival arrived; /* where it is just one */
    const struct client_arrival *arrival;  /* the frame at hand */
    unsigned arrivals_left;                /* behind it */
    struct chain_cursor cursor;            /* in it */
    bool sealed; /* it came encrypted */
    bool has_response;
    struct client_response response;
};

#endif
