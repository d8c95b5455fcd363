/* One SMB message, decoded: what every other part of the program looks at.
 *
 * Everything here borrows: spans point into the bytes that were decoded and are valid until those
 * change. The fixed parts come from the field lists of messages.h; the variable parts are spans
 * beside them. */
#ifndef SMBPROOF_WIRE_MESSAGE_H
#define SMBPROOF_WIRE_MESSAGE_H

#include "wire/bytes.h"
#include "wire/messages.h"

/* [MS-SMB2] 2.2.1.2: the commands. */
enum smb2_command {
    SMB2_NEGOTIATE = 0x00,
    SMB2_SESSION_SETUP = 0x01,
    SMB2_LOGOFF = 0x02,
    SMB2_TREE_CONNECT = 0x03,
    SMB2_TREE_DISCONNECT = 0x04,
    SMB2_CREATE = 0x05,
    SMB2_CLOSE = 0x06,
    SMB2_FLUSH = 0x07,
    SMB2_READ = 0x08,
    SMB2_WRITE = 0x09,
    SMB2_LOCK = 0x0a,
    SMB2_IOCTL = 0x0b,
    SMB2_CANCEL = 0x0c,
    SMB2_ECHO = 0x0d,
    SMB2_QUERY_DIRECTORY = 0x0e,
    SMB2_CHANGE_NOTIFY = 0x0f,
    SMB2_QUERY_INFO = 0x10,
    SMB2_SET_INFO = 0x11,
    SMB2_OPLOCK_BREAK = 0x12,
    SMB2_SERVER_TO_CLIENT_NOTIFICATION = 0x13,
};

/* What a message is, found from its protocol id, its command, its direction bit and, for IOCTL, its
 * CtlCode. */
enum message_kind {
    MESSAGE_UNKNOWN, /* none of the protocol ids, or cut before anything could be told */
    MESSAGE_SMB1_NEGOTIATE_REQUEST, /* multi-protocol NEGOTIATE, [MS-CIFS] 2.2.4.52.1 */
    MESSAGE_SMB1_NEGOTIATE_RESPONSE,
    MESSAGE_SMB1_OTHER,
    MESSAGE_NEGOTIATE_REQUEST,
    MESSAGE_NEGOTIATE_RESPONSE,
    MESSAGE_SESSION_SETUP_REQUEST,
    MESSAGE_SESSION_SETUP_RESPONSE,
    MESSAGE_LOGOFF_REQUEST,
    MESSAGE_LOGOFF_RESPONSE,
    MESSAGE_TREE_CONNECT_REQUEST,
    MESSAGE_TREE_CONNECT_RESPONSE,
    MESSAGE_IOCTL_REQUEST,
    MESSAGE_IOCTL_RESPONSE,
    MESSAGE_ERROR,         /* a response whose body is the error body, 2.2.2 (any command) */
    MESSAGE_OTHER_REQUEST, /* SMB2, header only is decoded */
    MESSAGE_OTHER_RESPONSE,
    MESSAGE_TRANSFORM,  /* encrypted, 2.2.41 */
    MESSAGE_COMPRESSED, /* 2.2.42 */
};

struct message {
    enum message_kind kind;
    struct span
        bytes;   /* from the protocol id on; fewer octets than `size` where the message was cut */
    size_t size; /* octets as the frame or NextCommand says, with a chain element's padding */
    bool body_valid;           /* the body below was decoded whole and is within bounds */
    struct smb2_header header; /* SMB2 kinds only (all but SMB1, transform, compressed, unknown) */
    union {
        struct smb1_negotiate_request smb1_negotiate_request;
        struct smb1_negotiate_response smb1_negotiate_response;
        struct negotiate_request negotiate_request;
        struct negotiate_response negotiate_response;
        struct session_setup_request session_setup_request;
        struct session_setup_response session_setup_response;
        struct tree_connect_request tree_connect_request;
        struct tree_connect_response tree_connect_response;
        struct ioctl_request ioctl_request;
        struct ioctl_response ioctl_response;
        struct error_response error;
        struct empty_body empty; /* LOGOFF */
        struct transform_header transform;
        struct compression_header compression;
    } body;
};

/* Decodes the message that starts at `bytes` and is `size` octets long on the wire (bytes.size <=
 * size). Never fails: what cannot be decoded is MESSAGE_UNKNOWN or has body_valid false. A response
 * of a non-success status is MESSAGE_ERROR, but for the statuses whose body is the command's own
 * (MORE_PROCESSING_REQUIRED in SESSION_SETUP, BUFFER_OVERFLOW and so on, 3.3.4.4). */
void message_decode(struct span bytes, size_t size, struct message *message);

/* Writes a valid message again from its header and body, which may have been changed since they
 * were decoded. Of kinds whose body is not decoded (other commands, what follows a transform
 * header) the octets behind the header are copied as they came. Octets that no field accounts for,
 * such as padding behind the last part, are left out. */
void message_encode(const struct message *message, struct writer *writer);

/* The elements of a compound chain (3.2.4.1.4), or the one message of a frame that has no chain. */
struct chain_cursor {
    struct span bytes; /* what was captured of the frame's content */
    size_t size;       /* octets of the frame's content on the wire */
    size_t at;         /* of the next element */
    bool done;
    bool misaligned; /* some NextCommand is no multiple of 8: seen in the wild, so it does not stop
                        the chain */
    bool malformed;  /* some NextCommand points into its own header or past the end: its element is
                        the last */
};

struct chain_cursor chain_cursor(struct span bytes, size_t size);
bool chain_next(struct chain_cursor *cursor, struct message *message);

/* The field list of a kind's body, and where on the wire it starts, from the protocol id; of SMB1
 * it is the header. `count` is 0 where a kind has none. Every SMB2 kind has smb2_header_fields in
 * front, at 0. */
struct message_fields {
    const struct field *fields;
    unsigned count;
    size_t at;
};

struct message_fields message_fields(enum message_kind kind);

bool message_is_smb1(const struct message *message);
bool message_is_smb2(const struct message *message);
bool message_is_response(
    const struct message *message); /* SERVER_TO_REDIR set, or a response kind */

#endif
