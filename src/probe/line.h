/* A connection that is driven message by message, for tests that say what no correct client says.
 *
 * Each message is made by the same encoders, keys and signatures as the client's; a test changes one thing of it before
 * it goes out. Nothing of what comes back is judged here beyond its signature. Everything waits with a deadline.
 *
 * Each connection has a ClientGuid of its own: a server ties a GUID to one dialect ([MS-SMB2] 3.3.5.5.3). */
#ifndef SMBPROOF_PROBE_LINE_H
#define SMBPROOF_PROBE_LINE_H

#include "auth/auth.h"
#include "core/client_offer.h"
#include "core/client_validate.h"
#include "core/keys.h"
#include "core/seal.h"
#include "core/sign.h"
#include "net/transport.h"
#include "wire/frame.h"
#include "wire/text.h"

/* Octets of the longest message either way: a token of a SESSION_SETUP and what goes around it. */
#define LINE_MESSAGE_MAX (AUTH_TOKEN_MAX + 1024u)
/* Messages that enter the preauthentication hash, and their octets in all. */
#define LINE_HASHED_MAX        (2u + 2u * AUTH_LEGS_MAX)
#define LINE_HASHED_OCTETS_MAX (4u * LINE_MESSAGE_MAX)
/* Octets of the longest content of a frame either way. */
#define LINE_FRAME_MAX (160u * 1024u)
/* Messages passed over while one answer is awaited: interim ones, and what nobody asked for. */
#define LINE_STRAYS_MAX 16u
/* Octets of \\host\share in UTF-16LE. */
#define LINE_PATH_MAX 1024u

struct line_target {
    const char *host, *share; /* share NULL or "": IPC$ */
    uint16_t port;
    enum transport transport;
    int64_t timeout_ms;                         /* for connecting, and for each answer */
    const struct auth_credentials *credentials; /* NULL: none */
};

enum line_answer {
    LINE_ANSWERED,
    LINE_CLOSED,      /* by FIN, without a word */
    LINE_RESET,       /* by RST */
    LINE_SILENT,      /* nothing within the time */
    LINE_NOISE,       /* what came is no SMB2 message, or more than fits; -EBADMSG: it does not decrypt */
    LINE_UNREACHABLE, /* no connection: `error` */
    LINE_FAILED,      /* something failed on this side */
};

/* How a message is protected on its way out. */
enum line_protection {
    LINE_PLAIN,
    LINE_SIGNED,       /* or encrypted, where the session or the share is */
    LINE_BADLY_SIGNED, /* the signature of a message of which one octet is another */
    LINE_ENCRYPTED,
};

struct line_reply {
    enum line_answer answer;
    int error;       /* negative errno; 0: none */
    uint32_t status; /* NTSTATUS */
    bool decrypted;
    enum signature_check signature; /* as it came; MISSING where there is no key to check with */
    struct message message;         /* LINE_ANSWERED; borrows from the line until the next message */
    struct span content;            /* of the frame, decrypted: with all elements of a chain; borrows likewise */
};

/* An answer with this status? */
bool reply_has(const struct line_reply *reply, uint32_t status);
/* Did the other end end the connection without an answer? */
bool reply_is_close(const struct line_reply *reply);
/* Correctly signed, or decrypted? */
bool reply_is_protected(const struct line_reply *reply);
/* What to say of it behind a status: ", signed", ", encrypted", ", wrongly signed"; "" of an unsigned answer. */
const char *reply_protection(const struct line_reply *reply);

enum logon_result {
    LOGON_DONE,
    LOGON_REFUSED, /* reply.status says how */
    LOGON_LOST,    /* no answer: reply.answer */
    LOGON_FAILED,  /* on this side: `reason` */
};

struct line_logon {
    enum logon_result result;
    struct line_reply reply; /* the last one */
    uint16_t session_flags;
    const char *reason; /* of LOGON_FAILED; borrowed from the line */
    bool has_keys;
};

struct line {
    const struct line_target *target;
    struct client_policy policy;
    struct transport_socket transport;
    struct negotiation negotiation;
    uint64_t next_message_id, session_id;
    uint32_t tree_id;
    bool encrypts; /* SESSION_FLAG_ENCRYPT_DATA, or the share demands it */
    bool established;     /* the session is valid: a further logon is a reauthentication, and makes no new keys */
    struct verdict verdict; /* of a correct client on the last NEGOTIATE response */
    /* Of the next SESSION_SETUP requests; 0 unless a test changes them. */
    uint8_t setup_flags;
    uint64_t previous_session_id;

    struct auth_initiator *initiator;
    struct preauth preauth;
    struct session_keys keys;
    uint8_t full_key[FULL_SESSION_KEY_MAX];
    size_t full_key_size;
    struct mac_key *mac;
    struct aead_key *seal, *open;
    struct sealer sealer;

    /* The messages of the preauthentication hash, as they went by. */
    struct span hashed[LINE_HASHED_MAX];
    unsigned hashed_count;
    size_t hashed_size;
    uint8_t hashed_octets[LINE_HASHED_OCTETS_MAX];
    struct span final; /* the last SESSION_SETUP response, in what was received last */

    uint8_t out[FRAME_HEADER_SIZE + TRANSFORM_HEADER_SIZE + LINE_FRAME_MAX];
    uint8_t in[TRANSFORM_HEADER_SIZE + LINE_FRAME_MAX];
};

/* Connects. The line is the caller's, all zeros before its first use; whatever was open on it is closed. `dialects` are
 * offered unless the test says otherwise. */
struct line_reply line_open(struct line *line, const struct line_target *target, const struct id_list *dialects);
/* The same over a socket that is connected already, which the line closes. */
struct line_reply line_adopt(struct line *line, const struct line_target *target, const struct id_list *dialects,
                             int fd);
void line_close(struct line *line);

/* What a correct client offers on this line; a test changes it. */
void line_offer(const struct line *line, struct client_offer *offer);
/* Sends a NEGOTIATE request, whatever is in it, and reads the answer. An answer that a correct client accepts is in
 * line->negotiation. */
struct line_reply line_negotiate(struct line *line, const struct client_offer *offer);
/* Offers what a correct client does; true where that was accepted. */
bool line_agree(struct line *line, struct line_reply *reply);
/* Sends what begins at the protocol id, and reads one message of any kind. */
struct line_reply line_send_raw(struct line *line, struct span message);
/* The same without reading; 0, or a negative errno. `message` is copied. */
int line_send(struct line *line, struct span message);
/* The next message, of any kind; answers to what `line_send()` sent may be many. */
struct line_reply line_receive(struct line *line);

/* SESSION_SETUP until it succeeds or fails; then the keys are there, unless it is a guest's or an anonymous session.
 * `credentials` NULL: the target's. The last response's signature is in reply.signature. */
struct line_logon line_log_on(struct line *line, const struct auth_credentials *credentials);

/* As if there were no session yet, behind NEGOTIATE; nothing is sent, and the server still has it. */
void line_forget_session(struct line *line);

/* One request and its answer. The header is the line's; the body, and where the test wants it other flags, the
 * message's. */
struct line_reply line_exchange(struct line *line, struct message *request, enum line_protection protection);
/* The tree becomes the line's where it is connected. */
struct line_reply line_connect_tree(struct line *line, enum line_protection protection);
/* ECHO: does the other end still answer? */
bool line_is_alive(struct line *line);

/* What a validation says of the NEGOTIATE request; the right thing, until a test changes it. */
struct line_claim {
    struct client_info info;
    uint32_t max_output; /* MaxOutputResponse, in octets */
};
void line_claim(const struct line *line, struct line_claim *claim);
/* Replaces the dialects that the claim lists. */
void claim_set_dialects(struct line_claim *claim, const uint16_t *dialects, unsigned count);
struct line_reply line_validate(struct line *line, const struct line_claim *claim, enum line_protection protection);

/* The four fields of a validation's answer; false where the reply has none. */
bool reply_read_info(const struct line_reply *reply, struct validate_negotiate_info_response *info);

#endif
