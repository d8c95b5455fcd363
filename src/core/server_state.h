/* The inside of a server, for those who embed one; included by server.h. What the shell may read says so. */
#ifndef SMBPROOF_CORE_SERVER_STATE_H
#define SMBPROOF_CORE_SERVER_STATE_H

enum server_session_state {
    SERVER_SESSION_FREE,
    SERVER_SESSION_IN_PROGRESS, /* being authenticated for the first time */
    SERVER_SESSION_VALID,
    SERVER_SESSION_EXPIRED,     /* only SESSION_SETUP, LOGOFF, CLOSE and LOCK are served (3.3.5.2.9) */
    SERVER_SESSION_ENDED,       /* waits for the last of its requests; no new one finds it */
};

struct server_session {
    /* The shell may read these. */
    uint64_t id;
    enum server_session_state state;
    bool has_keys;           /* neither guest nor anonymous */
    bool is_guest, is_anonymous;
    bool signing_required;   /* Session.SigningRequired */
    bool encrypt;            /* Session.EncryptData */
    void *owner;             /* of the last logon that was done; the shell may change it */
    /* The rest is the server's. */
    bool stepping;           /* an authentication step is with the shell */
    uint8_t legs;            /* SESSION_SETUP requests of this logon so far */
    uint32_t references;     /* frames and requests that point here */
    struct preauth preauth;  /* Session.PreauthIntegrityHashValue, until the keys are made */
    struct server_handles handles;
    struct sealer sealer;
};

struct server_tree {
    /* The shell may read these. */
    uint32_t id;             /* 0: a free place */
    struct server_session *session;
    bool encrypt;            /* Share.EncryptData */
    void *owner;             /* the share; the shell may change it */
    /* The rest is the server's. */
    bool ended;
    uint32_t references;
};

/* The element of a frame that is being served. The shell may read it. */
struct server_request {
    struct message message;  /* decoded; borrows from the frame's content */
    uint16_t command;
    uint64_t message_id;
    uint64_t session_id;           /* as in the header, or of the element before where it is related */
    uint32_t tree_id;
    struct server_session *session;
    struct server_tree *tree;      /* NULL where the command has none */
    enum protection protection;    /* how it came */
    bool has_file_id;              /* the command has a FileId */
    uint8_t file_id[16];           /* as it stands in the request, or of the element before where it is related */
    uint64_t async_id;             /* not 0: an interim response went out */
    bool cancelled;                /* SERVER_CANCEL was said of it */
    bool is_handed;                /* by SERVER_REQUEST: it may be cancelled */
    bool sign;                     /* the response is to be signed */
    struct mac_key *stranger;      /* with this key, where the session is another connection's */
};

/* What a related element inherits (3.3.5.2.7.2). */
struct server_chain {
    bool first;                    /* no element came before */
    uint32_t status;               /* of the response before */
    uint64_t session_id;
    uint32_t tree_id;
    bool has_file_id;
    uint8_t file_id[16];
};

enum server_frame_state {
    SERVER_FRAME_NEXT,    /* the element at `at` comes next */
    SERVER_FRAME_HANDED,  /* the shell has the request */
    SERVER_FRAME_KEYS,    /* the session's keys are there, handles are wanted */
    SERVER_FRAME_END,     /* a session or tree has to be ended before the answer */
    SERVER_FRAME_DONE,    /* every element was answered: to be sent */
};

struct server_frame {
    /* The shell may read these. */
    void *owner;
    struct server_request request;
    /* The rest is the server's. */
    enum server_frame_state state;
    struct server_frame *next, *previous; /* in the list of those that are ready, or of those handed over */
    uint8_t *content;
    size_t size, at;             /* at: of the element that comes next */
    size_t element_size;         /* of the one being served */
    bool encrypted;              /* it came so, and so is the answer */
    struct server_session *seals; /* the session whose key encrypts the answer; NULL: it is not encrypted */
    uint64_t checked_session;    /* is_checked: whose key the request's signature was checked with ahead */
    enum signature_check check;
    bool is_checked;
    struct server_session *signs; /* whose key is still to sign the answer, together with others; NULL: nothing is owed */
    struct server_chain chain;
    uint8_t *output;
    size_t output_size;
    size_t start;                /* of the first response that was not sent yet */
    size_t end;                  /* of the last one that is finished: the next one begins here */
    size_t trail;                /* octets that the shell sends behind it */
    uint32_t end_status;         /* SERVER_FRAME_END: what the answer will be */
    size_t body_size;            /* SERVER_FRAME_KEYS: of the answer that is written but for its header */
};

struct server_frames {
    struct server_frame *first, *last;
};

/* Connection.CommandSequenceWindow (3.3.1.1): the ids from `low` on, `reach` of them, less those that are used. */
struct server_window {
    uint64_t low;
    uint32_t reach;
    uint64_t used[SERVER_CREDITS_MAX / 64]; /* bit (id modulo SERVER_CREDITS_MAX) */
};

/* Why the connection was closed. */
struct server_failure {
    struct verdict verdict; /* RULE_NONE: cryptography failed on this side */
    uint16_t command;       /* of the request at fault, where there was one */
    uint64_t message_id;
};

struct server {
    /* The shell may read these. */
    const struct server_policy *policy;
    struct negotiation negotiation;
    struct server_failure failure;
    struct server_failure refused;   /* the last request that a rule had answered with an error, for the log */
    struct session_keys keys;        /* SERVER_KEYS: to be made into handles; wiped by server_take_handles() */
    struct server_session released;  /* SERVER_RELEASE: the session that is gone, with its handles */
    struct server_session sessions[SERVER_SESSIONS_MAX];
    struct server_tree trees[SERVER_TREES_MAX];
    /* The rest is the server's. */
    struct fresh fresh;
    struct preauth preauth;          /* Connection.PreauthIntegrityHashValue */
    bool closed;
    bool authenticated;              /* some session has been */
    bool release_due;                /* some session waits for SERVER_RELEASE */
    uint64_t session_ids;
    uint16_t sessions_made;
    uint32_t trees_made;
    uint64_t asyncs_made;
    uint32_t asyncs;                 /* in flight */
    struct server_window window;
    struct server_frames ready, handed;
    unsigned unsigned_count;         /* answers among the ready that wait to be signed */
    bool expects_more;               /* the shell says so: they may wait for others */
    struct server_frame *current;
    struct server_frame *keys_frame; /* whose session `keys` are of; NULL none */
};

#endif
