#include "core/sign.h"

#include <assert.h>
#include <string.h>

/* [MS-SMB2] 2.2.1.2: offsets in the header. */
#define HEADER_SIZE       64u
#define HEADER_STATUS     8u
#define HEADER_COMMAND    12u
#define HEADER_FLAGS      16u
#define HEADER_NEXT       20u
#define HEADER_MESSAGE_ID 24u
#define HEADER_SIGNATURE  48u

#define FLAG_SERVER_TO_REDIR 0x00000001u
#define FLAG_SIGNED          0x00000008u

#define COMMAND_NEGOTIATE 0x0000u
#define COMMAND_CANCEL    0x000cu

#define STATUS_PENDING 0x00000103u

/* [MS-SMB2] 3.1.4.1: the bits of the nonce's last four octets. */
#define NONCE_FROM_SERVER 1u
#define NONCE_CANCEL      2u

_Static_assert(HEADER_SIGNATURE + MAC_TAG_SIZE == HEADER_SIZE, "the signature ends the header");

/* The fields that matter to a signature. */
struct element {
    uint32_t status;
    uint16_t command;
    uint32_t flags;
    uint64_t message_id;
};

bool signing_algorithm_find(uint16_t dialect, uint16_t negotiated, enum mac_algorithm *algorithm) {
    switch (dialect) {
    case 0x0202:
    case 0x0210:
        *algorithm = MAC_HMAC_SHA256;
        return true;
    case 0x0300:
    case 0x0302:
        *algorithm = MAC_AES_CMAC;
        return true;
    case 0x0311:
        if (negotiated > MAC_AES_GMAC)
            return false;
        *algorithm = (enum mac_algorithm)negotiated;
        return true;
    }
    return false;
}

/* False where the bytes are not exactly one element. */
static bool element_read(struct span bytes, struct element *element) {
    static const uint8_t protocol_id[] = {0xfe, 'S', 'M', 'B'};
    struct reader reader = reader_over(bytes);
    struct span id = reader_take(&reader, sizeof(protocol_id));

    reader_seek(&reader, HEADER_STATUS);
    element->status = reader_u32(&reader);
    element->command = reader_u16(&reader);
    reader_seek(&reader, HEADER_FLAGS);
    element->flags = reader_u32(&reader);
    uint32_t next = reader_u32(&reader);
    element->message_id = reader_u64(&reader);
    return bytes.size >= HEADER_SIZE && bytes.size <= CRYPTO_MESSAGE_MAX && !reader.failed &&
           memcmp(id.data, protocol_id, sizeof(protocol_id)) == 0 &&
           (next == 0 || next == bytes.size);
}

static bool element_is_response(const struct element *element) {
    return element->flags & FLAG_SERVER_TO_REDIR;
}

static bool element_is_interim(const struct element *element) {
    return element_is_response(element) && element->status == STATUS_PENDING;
}

/* A server sends these unasked, all with the same MessageId, so that AES-GMAC could not sign a
 * second one. */
static bool element_is_unsolicited(const struct element *element) {
    return element->message_id == UINT64_MAX;
}

static void nonce_write(const struct element *element, uint8_t nonce[MAC_NONCE_SIZE]) {
    struct writer writer = writer_over(nonce, MAC_NONCE_SIZE);

    writer_u64(&writer, element->message_id);
    /* CANCEL carries the MessageId of the request that it cancels, and so needs a bit of its own.
     */
    writer_u32(&writer, (element_is_response(element) ? NONCE_FROM_SERVER : 0) |
                            (element->command == COMMAND_CANCEL ? NONCE_CANCEL : 0));
    assert(!writer.failed);
}

/* The signature of an element with this header (its own signature zero) and this rest. */
static bool signature_compute(struct mac_key *key, const struct element *element,
                              const uint8_t header[HEADER_SIZE], struct span rest,
                              uint8_t signature[MAC_TAG_SIZE]) {
    const struct span spans[] = {{header, HEADER_SIZE}, rest};
    uint8_t nonce[MAC_NONCE_SIZE];

    nonce_write(element, nonce);
    return mac_key_compute(key, nonce, spans, 2, signature);
}

/* A copy of the header, its signature zeroed. */
static void header_copy(struct span element, uint8_t header[HEADER_SIZE]) {
    memcpy(header, element.data, HEADER_SIGNATURE);
    memset(header + HEADER_SIGNATURE, 0, MAC_TAG_SIZE);
}

bool element_sign(struct mac_key *key, uint8_t *element, size_t size) {
    assert(key && element);
    struct span bytes = {element, size};
    uint8_t header[HEADER_SIZE];
    struct element fields;

    if (!element_read(bytes, &fields) || fields.command == COMMAND_NEGOTIATE ||
        element_is_interim(&fields) || element_is_unsolicited(&fields))
        return false;
    header_copy(bytes, header);
    struct writer flags = writer_over(header + HEADER_FLAGS, sizeof(uint32_t));
    writer_u32(&flags, fields.flags | FLAG_SIGNED);
    if (!signature_compute(key, &fields, header, span_slice(bytes, HEADER_SIZE, size),
                           header + HEADER_SIGNATURE))
        return false;
    memcpy(element, header, HEADER_SIZE);
    return true;
}

enum signature_check element_check(struct mac_key *key, struct span element) {
    assert(key);
    uint8_t header[HEADER_SIZE], signature[MAC_TAG_SIZE];
    struct element fields;

    if (!element_read(element, &fields))
        return SIGNATURE_BAD;
    if (element_is_interim(&fields) ||
        (element_is_response(&fields) && element_is_unsolicited(&fields)))
        return SIGNATURE_EXEMPT;
    if (!(fields.flags & FLAG_SIGNED))
        return SIGNATURE_MISSING;
    header_copy(element, header);
    if (!signature_compute(key, &fields, header, span_slice(element, HEADER_SIZE, element.size),
                           signature))
        return SIGNATURE_FAILED;
    return crypto_equal(signature, element.data + HEADER_SIGNATURE, MAC_TAG_SIZE) ? SIGNATURE_GOOD
                                                                                  : SIGNATURE_BAD;
}
