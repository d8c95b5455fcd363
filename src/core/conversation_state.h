/* The inside of a conversation, for those who embed one; included by conversation.h. Nothing here points into the
 * bytes that were fed. */
#ifndef SMBPROOF_CORE_CONVERSATION_STATE_H
#define SMBPROOF_CORE_CONVERSATION_STATE_H

/* Octets searched in one direction, without SMB in either, before the stream is called noise. */
#define CONVERSATION_SEARCH_MAX (1024u * 1024u)
/* Dialects of the offer that are kept to judge the answer. */
#define CONVERSATION_DIALECTS_MAX 64u

/* One direction. */
struct stream {
    bool synced;         /* the next octet's place in a frame is known */
    bool after_gap;
    bool chained;        /* the next element is not the first of its frame */
    uint32_t frame_left; /* octets of the current frame that were not consumed; 0: a frame header comes next */
    uint32_t skip;       /* of those, octets to pass over unseen */
    uint64_t offset;     /* of the next octet, from the first fed */
    uint64_t searched;   /* octets passed over in search of SMB */
    uint64_t session_id; /* of the chain's element before, which related ones inherit */
    uint32_t wants;      /* octets that must be at hand before the next feed gets anywhere */
};

struct conversation {
    struct stream streams[2]; /* by enum direction */
    bool is_smb, is_noise;
    bool began;               /* a message has been seen */
    bool start_seen;          /* the first message was a NEGOTIATE */
    uint16_t dialect;         /* agreed; 0 none yet; 0x02ff: another NEGOTIATE has to come */
    uint16_t dialect_count;
    uint16_t dialects[CONVERSATION_DIALECTS_MAX];
    bool session_known, session_keyless; /* a session succeeded; the last one is a guest's or anonymous */
    bool logon_anonymous;     /* the last NTLMSSP AUTHENTICATE names no user */
    bool compression_negotiated;
    bool incomplete;          /* octets were lost: the absence of a message proves nothing */
    struct request_note *tagged; /* the note of the request fetched last, in outstanding[]; NULL none */
    struct event_list *events;
    uint8_t noted[CONVERSATION_OUTSTANDING_MAX]; /* outstanding[] of this index is in use */
    /* What follows is not cleared: the counts and marks above say what is in use. */
    struct request_note outstanding[CONVERSATION_OUTSTANDING_MAX]; /* at MessageId modulo the size */
};

/* What the first octets of a flow look like. */
enum conversation_look {
    CONVERSATION_LOOK_SMB,
    CONVERSATION_LOOK_NOT_SMB,
    CONVERSATION_LOOK_MORE, /* too few to tell */
};

#endif
