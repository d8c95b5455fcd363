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

/* A copy of the header, its signature zeroed. */
static void header_copy(struct span element, uint8_t header[HEADER_SIZE]) {
    memcpy(header, element.data, HEADER_SIGNATURE);
    memset(header + HEADER_SIGNATURE, 0, MAC_TAG_SIZE);
}

/* An element on its way to its signature. */
struct signing {
    struct element fields;
    uint8_t header[HEADER_SIZE]; /* a copy, its signature zero */
    uint8_t nonce[MAC_NONCE_SIZE];
    struct span spans[2];
};

static void signing_prepare(struct signing *signing, struct span bytes, struct mac_job *job) {
    header_copy(bytes, signing->header);
    nonce_write(&signing->fields, signing->nonce);
    signing->spans[0] = (struct span){signing->header, HEADER_SIZE};
    signing->spans[1] = span_slice(bytes, HEADER_SIZE, bytes.size);
    *job = (struct mac_job){.nonce = signing->nonce, .spans = signing->spans, .count = 2};
}

static bool element_may_be_signed(struct span bytes, struct element *fields) {
    return element_read(bytes, fields) && fields->command != COMMAND_NEGOTIATE && !element_is_interim(fields) &&
           !element_is_unsolicited(fields);
}

static void flags_set_signed(struct signing *signing) {
    struct writer flags = writer_over(signing->header + HEADER_FLAGS, sizeof(uint32_t));

    writer_u32(&flags, signing->fields.flags | FLAG_SIGNED);
}

bool elements_sign(struct mac_key *key, const struct element_place *elements, size_t count) {
    struct signing signings[SIGN_TOGETHER_MAX];
    struct mac_job jobs[SIGN_TOGETHER_MAX];

    assert(key && count <= SIGN_TOGETHER_MAX);
    for (size_t i = 0; i < count; i++) {
        struct span bytes = {elements[i].data, elements[i].size};

        if (!element_may_be_signed(bytes, &signings[i].fields))
            return false;
        signing_prepare(&signings[i], bytes, &jobs[i]);
        flags_set_signed(&signings[i]);
    }
    if (!mac_key_compute_many(key, jobs, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        memcpy(elements[i].data, signings[i].header, HEADER_SIGNATURE);
        memcpy(elements[i].data + HEADER_SIGNATURE, jobs[i].tag, MAC_TAG_SIZE);
    }
    return true;
}

bool element_sign(struct mac_key *key, uint8_t *element, size_t size) {
    assert(element);
    return elements_sign(key, &(struct element_place){element, size}, 1);
}

/* What can be said before the signature is computed; SIGNATURE_GOOD: nothing speaks against it. */
static enum signature_check element_look(struct span bytes, struct element *fields) {
    if (!element_read(bytes, fields))
        return SIGNATURE_BAD;
    if (element_is_interim(fields) || (element_is_response(fields) && element_is_unsolicited(fields)))
        return SIGNATURE_EXEMPT;
    return fields->flags & FLAG_SIGNED ? SIGNATURE_GOOD : SIGNATURE_MISSING;
}

static enum signature_check signature_compare(bool computed, const struct mac_job *job, struct span element) {
    if (!computed)
        return SIGNATURE_FAILED;
    return crypto_equal(job->tag, element.data + HEADER_SIGNATURE, MAC_TAG_SIZE) ? SIGNATURE_GOOD : SIGNATURE_BAD;
}

void elements_check(struct mac_key *key, const struct span *elements, size_t count, enum signature_check *checks) {
    struct signing signings[SIGN_TOGETHER_MAX];
    struct mac_job jobs[SIGN_TOGETHER_MAX];
    size_t computed = 0, compared = 0;

    assert(key && count <= SIGN_TOGETHER_MAX);
    for (size_t i = 0; i < count; i++) {
        checks[i] = element_look(elements[i], &signings[computed].fields);
        if (checks[i] != SIGNATURE_GOOD)
            continue;
        signing_prepare(&signings[computed], elements[i], &jobs[computed]);
        computed++;
    }
    bool good = computed == 0 || mac_key_compute_many(key, jobs, computed);
    for (size_t i = 0; i < count; i++)
        if (checks[i] == SIGNATURE_GOOD)
            checks[i] = signature_compare(good, &jobs[compared++], elements[i]);
}

enum signature_check element_check(struct mac_key *key, struct span element) {
    enum signature_check check;

    elements_check(key, &element, 1, &check);
    return check;
}
