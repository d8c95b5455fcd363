/* Encrypted frames ([MS-SMB2] 2.2.41, 3.1.4.3, 3.2.5.1.1.1, 3.3.5.2.1.1).
 *
 * A frame is encrypted as a whole: one transform header in front of one message or one compound
 * chain. Each direction of a session has its own key, and with several connections they share it.
 */
#ifndef SMBPROOF_CORE_SEAL_H
#define SMBPROOF_CORE_SEAL_H

#include "crypto/crypto.h"

#define TRANSFORM_HEADER_SIZE 52u /* octets */
#define TRANSFORM_NONCE_SIZE  16u /* octets; CCM uses the first 11, GCM the first 12 */

/* The sending side of one session. Shared by all connections of the session, since the nonce
 * belongs to the key. */
struct sealer {
    struct aead_key *key; /* AEAD_SEAL; borrowed */
    uint64_t session_id;
    uint64_t next_nonce;
};

void sealer_init(struct sealer *sealer, struct aead_key *key, uint64_t session_id);

/* Encrypts `message`, which is not signed, behind a transform header. `out` has room for `room`
 * octets, at least TRANSFORM_HEADER_SIZE more than the message, which is either at its final place
 * in `out` or outside of it. False: the message is empty or longer than CRYPTO_MESSAGE_MAX, the
 * room is too small, the key's nonces are used up, or the encryption failed. A nonce is used up
 * even by a call that fails, once it was given to the key. */
bool sealer_seal(struct sealer *sealer, struct span message, uint8_t *out, size_t room);

/* The same with a nonce that the caller is responsible for: never twice for one key. */
bool transform_seal(struct aead_key *key, uint64_t session_id,
                    const uint8_t nonce[TRANSFORM_NONCE_SIZE], struct span message, uint8_t *out,
                    size_t room);

/* What is wrong with a frame. A live endpoint closes the connection on any of them and says
 * nothing. */
enum transform_fault {
    TRANSFORM_GOOD,
    TRANSFORM_PROTOCOL_ID, /* not FD 'S' 'M' 'B' */
    TRANSFORM_SHORT,   /* no octet behind the header, or less, or more than CRYPTO_MESSAGE_MAX */
    TRANSFORM_FLAGS,   /* Flags, or EncryptionAlgorithm, is not 1 */
    TRANSFORM_SIZE,    /* OriginalMessageSize is not the number of octets that follow */
    TRANSFORM_SESSION, /* SessionId is not the one that the key belongs to */
    TRANSFORM_TAG,     /* changed on the way, sealed with another key, or the decryption failed */
    TRANSFORM_INNER_PROTOCOL_ID, /* neither an SMB2 nor a compressed message is inside */
    TRANSFORM_INNER_CHAIN,   /* a header is cut short or not SMB2, or NextCommand leads nowhere */
    TRANSFORM_INNER_RELATED, /* the first element has SMB2_FLAGS_RELATED_OPERATIONS set */
    TRANSFORM_INNER_SESSION, /* the SessionId of an element is not that of the transform header */
};

/* The fields of a transform header; good or not, as far as they are there. */
struct transform {
    uint32_t original_size;
    uint16_t flags;
    uint64_t session_id;
};

/* Reads and checks the header of a frame, for the caller to find the session and its key by. No key
 * is needed and the fault is one of the first five. */
enum transform_fault transform_read(struct span frame, struct transform *transform);

/* Decrypts `frame` into `plain`, which has room for frame.size - TRANSFORM_HEADER_SIZE octets (and
 * may be the place of the ciphertext itself), and checks what is inside with transform_check(). Up
 * to and including TRANSFORM_TAG nothing of the plaintext is in `plain`; after that it is there,
 * and was sealed by the owner of the key. */
enum transform_fault transform_open(struct aead_key *key, uint64_t session_id, struct span frame,
                                    uint8_t *plain);

/* Checks a message or chain that came out of a frame of this session. A compressed one passes: it
 * is to be checked again when it was decompressed. */
enum transform_fault transform_check(struct span plain, uint64_t session_id);

#endif
