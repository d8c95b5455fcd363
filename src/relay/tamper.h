/* What a relay changes: alterations that are written in the protocol's own names, and what they do to a message.
 *
 *     negotiate.request.Dialects-=3.1.1              MESSAGE.WAY.FIELD OPERATOR VALUE
 *     negotiate.response.Capabilities&=~ENCRYPTION
 *     validate.response:status=NOT_SUPPORTED         MESSAGE.WAY:VERB[=ARGUMENT]
 *     session_setup.response@66=1                    MESSAGE.WAY@OFFSET=OCTET, the offset from the protocol id
 *
 * The names of fields are those of the field lists (wire/messages.h, wire/files.h). Pure: text in, a record out; a
 * record and a message in, the changed message out. */
#ifndef SMBPROOF_RELAY_TAMPER_H
#define SMBPROOF_RELAY_TAMPER_H

#include "core/conversation.h"

/* Octets of an alteration's text, with its NUL, and of what is wrong with one. */
#define TAMPER_TEXT_MAX      160u
#define TAMPER_COMPLAINT_MAX 640u
/* Alterations that one relay makes; a set of them is the bits of a uint64_t. */
#define TAMPERS_MAX 64u
/* Values that one alteration takes out of a list, or puts into it. */
#define TAMPER_VALUES_MAX 16u
/* The longest message whose lists are written anew, in octets. Those of Windows 11 have some 300. */
#define TAMPER_REBUILD_MAX 16384u
/* Octets that an alteration may make a message longer by. */
#define TAMPER_GROWTH_MAX 64u
#define TAMPER_TIME_MAX_MS 60000u

enum tamper_target {
    TARGET_COMMAND,   /* SMB2 messages of one command */
    TARGET_VALIDATE,  /* IOCTL with FSCTL_VALIDATE_NEGOTIATE_INFO */
    TARGET_SMB1,      /* the multi-protocol NEGOTIATE, and whatever else begins with 0xFF "SMB" */
    TARGET_ENCRYPTED, /* what begins with a transform header */
    TARGET_ANY,
};

enum tamper_way { WAY_BOTH, WAY_REQUEST, WAY_RESPONSE };

/* Which of several messages of one name. */
enum tamper_which {
    WHICH_ANY,
    WHICH_FINAL,    /* SESSION_SETUP response of STATUS_SUCCESS */
    WHICH_WILDCARD, /* NEGOTIATE response of dialect 0x02FF */
};

enum tamper_verb {
    VERB_SET, /* = of a number */
    VERB_OR,
    VERB_AND,
    VERB_XOR,
    VERB_OCTETS, /* = of a field of octets */
    VERB_TAKE,   /* -= of a list */
    VERB_PUT,    /* += of a list */
    VERB_OCTET,  /* @ */
    VERB_DROP,
    VERB_RESET,
    VERB_STRIP_SIGNATURE,
    VERB_STATUS,  /* an unsigned error response in place of the real one */
    VERB_GARBAGE, /* likewise, with a signature that is wrong */
    VERB_ANSWER,  /* the request is not passed on, and answered so */
    VERB_TRUNCATE,
    VERB_DELAY,
    VERB_SPLIT,
    VERB_COALESCE,
};

enum tamper_part {
    PART_NONE,
    PART_HEADER,
    PART_BODY,
    PART_INFO, /* VALIDATE_NEGOTIATE_INFO, within the IOCTL */
    PART_DIALECTS,
    PART_CONTEXTS,    /* the list of contexts */
    PART_CONTEXT_IDS, /* the ids within one context */
    PART_SALT,        /* of SMB2_PREAUTH_INTEGRITY_CAPABILITIES */
};

struct tamper {
    char text[TAMPER_TEXT_MAX]; /* as it was written */
    enum tamper_target target;
    uint16_t command; /* TARGET_COMMAND */
    enum tamper_way way;
    enum tamper_which which;
    enum tamper_verb verb;
    enum tamper_part part;
    const struct field *field; /* PART_HEADER, _BODY, _INFO */
    uint16_t context_type;     /* PART_CONTEXT_IDS */
    uint64_t value;            /* a number, an NTSTATUS, milliseconds, octets, an octet */
    uint32_t offset;           /* VERB_OCTET */
    uint16_t values_count;
    uint16_t values[TAMPER_VALUES_MAX];
    uint8_t octets[16];    /* VERB_OCTETS */
    char dialect_text[32]; /* smb1 Dialects-= : the string that becomes an unknown one */
};

/* False, and the complaint says what is wrong, with names that are near to one that is not known. */
bool tamper_parse(const char *text, struct tamper *tamper, char complaint[TAMPER_COMPLAINT_MAX]);
/* Takes the next alteration off the front of a list, as a profile has it: " ; " stands between them. False at its end. */
bool tamper_next(const char **list, char text[TAMPER_TEXT_MAX]);

/* One message on its way, as the end that sent it knows it. */
struct tamper_message {
    enum direction from;
    const struct message *message;
    const struct request_note *request; /* of a response: what it answers */
};

bool tamper_fits(const struct tamper *tamper, const struct tamper_message *message);
/* Of a response: is a validation what it answers? Of a request: is it one? */
bool tamper_is_validation(const struct tamper_message *message);

enum fate { FATE_PASS, FATE_DROP, FATE_RESET };

#define TAMPER_DETAIL_MAX 96u

/* What became of a message. */
struct tamper_result {
    enum fate fate;
    uint64_t applied; /* bit n: the n-th alteration met this message and did something */
    uint64_t changed; /* of those, the ones that changed octets, or took the message away */
    uint32_t delay_ms, split_size, coalesce_ms; /* 0: no */
    size_t answer_size;                         /* VERB_ANSWER: octets in `answer` */
    uint8_t answer[80];                         /* an error response, from its protocol id */
    char detail[TAMPER_DETAIL_MAX];             /* "Capabilities 0x7f -> 0x3f", of the first field; "" none */
};

/* The octets of a message that may be changed, from the protocol id. */
struct tamper_buffer {
    uint8_t *data;
    size_t size, room; /* room >= size */
    bool fixed;        /* an element of a chain: its length stays */
};

/* Does to the buffer, which holds the message, what all that fit do, in their order. The message and its note may
 * borrow from other octets than the buffer's. */
void tamper_apply(const struct tamper *tampers, unsigned count, const struct tamper_message *message,
                  struct tamper_buffer *buffer, struct tamper_result *result);

#endif
