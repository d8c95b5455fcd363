/* For tests: a client and a peer that talk to each other, frame by frame. */
#ifndef SMBPROOF_TESTS_TALK_H
#define SMBPROOF_TESTS_TALK_H

#include "peer.h"

struct talk {
    struct client client;
    struct client_policy policy;
    struct peer peer;
    struct client_handles handles;
    bool anonymous;
    bool completes_early; /* the authentication is complete with its last token, not with the server's last */
    bool never_completes;
    bool times_out;       /* where the server says nothing the client waits in vain, and is not disconnected */
    bool keyless_handles; /* the shell cannot make handles */
    unsigned tokens;
    unsigned next_frame;  /* of the peer's frames that was not read yet */
    unsigned frames_read; /* in all */
    uint8_t received[PEER_FRAME_MAX];
    uint8_t output[CLIENT_OUTPUT_MAX];
    /* Called with each frame's content that the client is about to get; may change it. NULL: none. */
    void (*see)(void *context, const uint8_t *content, size_t size);
    void *context;
    /* Called with true before the peer's turn, with false after it. NULL: not. */
    void (*peer_turn)(bool begins);
};

/* Default policies on both sides; change them, then talk_start(). */
void talk_init(struct talk *talk);
void talk_only(struct talk *talk, uint16_t dialect); /* the client offers just this one */
void talk_start(struct talk *talk);
/* Until the client is ready or closed. */
enum client_want talk_run(struct talk *talk);
/* Set up, and a tree connected. */
enum client_want talk_connect(struct talk *talk);
/* Reads the next of the peer's frames; false where there is none, or the client closed over it. */
bool talk_read(struct talk *talk);
void talk_free(struct talk *talk);

#endif
