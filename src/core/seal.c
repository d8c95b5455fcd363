#include "core/seal.h"

#include <assert.h>
#include <string.h>

/* [MS-SMB2] 2.2.41: offsets in the transform header. What lies behind the tag is authenticated with
 * the message. */
#define TRANSFORM_TAG_AT       4u
#define TRANSFORM_NONCE_AT     20u
#define TRANSFORM_SIZE_AT      36u
#define TRANSFORM_AUTHENTIC_AT TRANSFORM_NONCE_AT

#define TRANSFORM_FLAG_ENCRYPTED                                                                   \
    0x0001u /* EncryptionAlgorithm AES-128-CCM on 3.0: the same number */

/* [MS-SMB2] 2.2.1.2: offsets in the header of an element. */
#define HEADER_SIZE       64u
#define HEADER_FLAGS      16u
#define HEADER_SESSION_ID 40u

#define FLAG_SERVER_TO_REDIR    0x00000001u
#define FLAG_RELATED_OPERATIONS 0x00000004u

_Static_assert(TRANSFORM_TAG_AT + AEAD_TAG_SIZE == TRANSFORM_NONCE_AT, "the nonce follows the tag");
_Static_assert(TRANSFORM_NONCE_AT + TRANSFORM_NONCE_SIZE == TRANSFORM_SIZE_AT,
               "the size follows the nonce");
_Static_assert(AEAD_NONCE_MAX <= TRANSFORM_NONCE_SIZE, "the field holds every nonce");

static bool protocol_id_is(struct span bytes, uint8_t first) {
    const uint8_t protocol_id[] = {first, 'S', 'M', 'B'};

    return bytes.size >= sizeof(protocol_id) &&
           memcmp(bytes.data, protocol_id, sizeof(protocol_id)) == 0;
}

static struct span authentic_part(const uint8_t *header) {
    return (struct span){header + TRANSFORM_AUTHENTIC_AT,
                         TRANSFORM_HEADER_SIZE - TRANSFORM_AUTHENTIC_AT};
}

/* ---- sealing ---- */

/* All but the tag, which is known last. */
static void transform_write(uint8_t *out, const uint8_t nonce[TRANSFORM_NONCE_SIZE], uint32_t size,
                            uint64_t session_id) {
    static const uint8_t protocol_id[] = {0xfd, 'S', 'M', 'B'};
    struct writer writer = writer_over(out, TRANSFORM_HEADER_SIZE);

    writer_put(&writer, (struct span){protocol_id, sizeof(protocol_id)});
    writer_zero(&writer, AEAD_TAG_SIZE);
    writer_put(&writer, (struct span){nonce, TRANSFORM_NONCE_SIZE});
    writer_u32(&writer, size);
    writer_u16(&writer, 0);
    writer_u16(&writer, TRANSFORM_FLAG_ENCRYPTED);
    writer_u64(&writer, session_id);
    assert(!writer.failed && writer.at == TRANSFORM_HEADER_SIZE);
}

static bool transform_fits(struct span message, size_t room) {
    return message.size > 0 && message.size <= CRYPTO_MESSAGE_MAX &&
           room >= TRANSFORM_HEADER_SIZE && room - TRANSFORM_HEADER_SIZE >= message.size;
}

bool transform_seal(struct aead_key *key, uint64_t session_id,
                    const uint8_t nonce[TRANSFORM_NONCE_SIZE], struct span message, uint8_t *out,
                    size_t room) {
    assert(key && nonce && out);
    if (!transform_fits(message, room))
        return false;
    transform_write(out, nonce, (uint32_t)message.size, session_id);
    return aead_key_seal(key, nonce, authentic_part(out), message, out + TRANSFORM_HEADER_SIZE,
                         out + TRANSFORM_TAG_AT);
}

void sealer_init(struct sealer *sealer, struct aead_key *key, uint64_t session_id) {
    assert(sealer && key);
    *sealer = (struct sealer){.key = key, .session_id = session_id};
}

bool sealer_seal(struct sealer *sealer, struct span message, uint8_t *out, size_t room) {
    assert(sealer && out);
    uint8_t nonce[TRANSFORM_NONCE_SIZE] = {0};
    struct writer writer = writer_over(nonce, sizeof(nonce));

    /* The last value is given up, so that the counter never comes round. */
    if (!transform_fits(message, room) || sealer->next_nonce == UINT64_MAX)
        return false;
    writer_u64(&writer, sealer->next_nonce++);
    assert(!writer.failed);
    return transform_seal(sealer->key, sealer->session_id, nonce, message, out, room);
}

/* ---- opening ---- */

enum transform_fault transform_read(struct span frame, struct transform *transform) {
    assert(transform);
    struct reader reader = reader_over(frame);

    memset(transform, 0, sizeof(*transform));
    if (!protocol_id_is(frame, 0xfd))
        return TRANSFORM_PROTOCOL_ID;
    reader_seek(&reader, TRANSFORM_SIZE_AT);
    transform->original_size = reader_u32(&reader);
    reader_skip(&reader,
                sizeof(uint16_t)); /* Reserved: to be ignored, and authenticated all the same */
    transform->flags = reader_u16(&reader);
    transform->session_id = reader_u64(&reader);
    if (reader.failed || frame.size <= TRANSFORM_HEADER_SIZE ||
        frame.size - TRANSFORM_HEADER_SIZE > CRYPTO_MESSAGE_MAX)
        return TRANSFORM_SHORT;
    if (transform->flags != TRANSFORM_FLAG_ENCRYPTED)
        return TRANSFORM_FLAGS;
    if (transform->original_size != frame.size - TRANSFORM_HEADER_SIZE)
        return TRANSFORM_SIZE;
    return TRANSFORM_GOOD;
}

/* One element of a chain. */
struct element {
    uint32_t flags;
    uint32_t next;
    uint64_t message_id;
    uint64_t session_id;
};

/* False where no whole header is there, or NextCommand does not lead to another one behind this. */
static bool element_read(struct span bytes, struct element *element) {
    struct reader reader = reader_over(bytes);

    reader_seek(&reader, HEADER_FLAGS);
    element->flags = reader_u32(&reader);
    element->next = reader_u32(&reader);
    element->message_id = reader_u64(&reader);
    reader_seek(&reader, HEADER_SESSION_ID);
    element->session_id = reader_u64(&reader);
    return !reader.failed && bytes.size >= HEADER_SIZE && protocol_id_is(bytes, 0xfe) &&
           (element->next == 0 || (element->next >= HEADER_SIZE && element->next < bytes.size));
}

/* Related elements inherit the session and say all ones. An oplock break, which the server sends
 * unasked (MessageId all ones), belongs to no session in its own header (3.3.4.6). */
static bool element_session_fits(const struct element *element, uint64_t session_id) {
    bool is_unsolicited =
        (element->flags & FLAG_SERVER_TO_REDIR) && element->message_id == UINT64_MAX;

    return element->session_id == session_id || (element->flags & FLAG_RELATED_OPERATIONS) ||
           (is_unsolicited && element->session_id == 0);
}

static enum transform_fault chain_check(struct span chain, uint64_t session_id) {
    struct element element;

    for (size_t at = 0;; at += element.next) {
        if (!element_read(span_slice(chain, at, chain.size), &element))
            return TRANSFORM_INNER_CHAIN;
        if (at == 0 && (element.flags & FLAG_RELATED_OPERATIONS))
            return TRANSFORM_INNER_RELATED;
        if (!element_session_fits(&element, session_id))
            return TRANSFORM_INNER_SESSION;
        if (element.next == 0)
            return TRANSFORM_GOOD;
    }
}

enum transform_fault transform_check(struct span plain, uint64_t session_id) {
    if (protocol_id_is(plain, 0xfc))
        return TRANSFORM_GOOD;
    if (!protocol_id_is(plain, 0xfe))
        return TRANSFORM_INNER_PROTOCOL_ID;
    return chain_check(plain, session_id);
}

enum transform_fault transform_open(struct aead_key *key, uint64_t session_id, struct span frame,
                                    uint8_t *plain) {
    assert(key && plain);
    struct transform transform;
    enum transform_fault fault = transform_read(frame, &transform);

    if (fault != TRANSFORM_GOOD)
        return fault;
    if (transform.session_id != session_id)
        return TRANSFORM_SESSION;
    struct span cipher = span_slice(frame, TRANSFORM_HEADER_SIZE, frame.size);
    if (!aead_key_open(key, frame.data + TRANSFORM_NONCE_AT, authentic_part(frame.data), cipher,
                       frame.data + TRANSFORM_TAG_AT, plain))
        return TRANSFORM_TAG;
    return transform_check((struct span){plain, cipher.size}, session_id);
}
