/* For tests: our client and our server in one process, and an adversary between them who sees every frame and may do
 * with it what somebody on the path can do. Keys, salts and GUIDs are fixed, so that every run is the same run. */
#ifndef SMBPROOF_TESTS_WORLD_H
#define SMBPROOF_TESTS_WORLD_H

#include "core/client.h"
#include "core/conversation.h"
#include "host.h"

#define WORLD_FRAME_MAX  2048u /* octets of a frame's content: tokens are short here */
#define WORLD_QUEUE_MAX  16u   /* frames under way in one direction */
#define WORLD_FRAMES_MAX 32u   /* frames of one run in one direction */

/* The content of a frame under way: what follows its four octets. */
struct world_frame {
    size_t size;
    uint8_t data[WORLD_FRAME_MAX];
};

struct world_queue {
    unsigned first, count;
    struct world_frame frames[WORLD_QUEUE_MAX];
};

/* How far the client came. */
enum world_phase { WORLD_SETTING_UP, WORLD_CONNECTING, WORLD_OPERATING, WORLD_WORKED, WORLD_STOPPED };

struct world {
    struct client client;
    struct host host;
    struct client_policy policy;
    struct keyring ring;
    bool anonymous;
    uint8_t client_key[HOST_KEY_MAX]; /* what the client's authentication yields, host.key_size octets of it */
    const char *share;                 /* "docs" by default */
    /* Another authentication on the client's side, in place of the made-up one: calls client_take_token() or
     * client_refuse_token(). NULL: none. */
    void (*authenticate)(struct world *world, struct span token);
    /* Called for each frame in the order they are sent; puts into the queue what goes on. NULL: everything does. */
    void (*adversary)(struct world *world, enum direction from, unsigned index, struct world_frame *frame);
    void *arguments;              /* the adversary's */
    struct world_queue queues[2]; /* by the direction that they come from */
    unsigned sent[2];             /* frames, as the ends sent them */
    enum world_phase phase;
    bool served;       /* the operation reached the server's shell */
    bool served_apart; /* while the two ends did not agree */
    bool timed_out;
    uint32_t operation_status;
    uint8_t *output; /* the client's, CLIENT_OUTPUT_MAX */
};

void world_init(struct world *world);
void world_free(struct world *world);
/* One whole connection: set-up, tree, validation where it is due, and one operation. */
void world_run(struct world *world);
void world_queue_put(struct world *world, enum direction from, const struct world_frame *frame);

/* Do both ends hold the same dialect, GUIDs, security modes, capabilities, signing and cipher? The name of the first
 * that differs, NULL where none does. */
const char *world_difference(const struct world *world);
/* The operation was done and answered: nobody refused. */
bool world_worked(const struct world *world);
/* In one line, who refused and by which rule; NUL-terminated. */
void world_tell(const struct world *world, char *text, size_t size);

#endif
