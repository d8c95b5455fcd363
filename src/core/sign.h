/* Signatures ([MS-SMB2] 3.1.4.1, 3.1.5.1).
 *
 * One element of a compound chain is signed at a time: from its header to its last octet, its
 * padding included, so exactly NextCommand octets, or the rest of the frame for the last one.
 * Whether a message has to be signed at all is decided elsewhere; here is what a signature says
 * when it is there. */
#ifndef SMBPROOF_CORE_SIGN_H
#define SMBPROOF_CORE_SIGN_H

#include "crypto/crypto.h"

/* Elements that are signed, or checked, in one call. */
#define SIGN_TOGETHER_MAX 4u

/* Which algorithm signs: below 3.0 HMAC-SHA256, on 3.0 and 3.0.2 AES-CMAC, on 3.1.1 the one that
 * was negotiated (negotiation_agreed.signing_algorithm, which is AES-CMAC where no signing context
 * went by). False where the dialect or the algorithm is unknown. */
bool signing_algorithm_find(uint16_t dialect, uint16_t negotiated, enum mac_algorithm *algorithm);

/* Sets SMB2_FLAGS_SIGNED and the Signature of an element all of whose other fields are final. An
 * element is signed once: with AES-GMAC a second, different one under the same MessageId gives the
 * key away.
 *
 * False, and the element unchanged: it is none (too short, not SMB2, NextCommand set and not its
 * size), or is one that is never signed (NEGOTIATE; an interim response; MessageId all ones), or
 * the computation failed. */
bool element_sign(struct mac_key *key, uint8_t *element, size_t size);

/* Where an element lies. */
struct element_place {
    uint8_t *data;
    size_t size;
};

/* The same for up to SIGN_TOGETHER_MAX elements, which costs less than one by one where mac_key_lanes() says so. False, and
 * none is changed: that is so for one of them. */
bool elements_sign(struct mac_key *key, const struct element_place *elements, size_t count);

enum signature_check {
    SIGNATURE_GOOD,
    SIGNATURE_BAD,
    SIGNATURE_MISSING, /* SMB2_FLAGS_SIGNED is not set; what is in the field then means nothing */
    SIGNATURE_EXEMPT,  /* a response that is never checked: interim, or MessageId all ones
                          (3.2.5.1.3) */
    SIGNATURE_FAILED,  /* could not be computed: to be treated as bad */
};

/* Checks the signature of an element as received. Only SIGNATURE_GOOD means that the key's owner
 * sent it. Whether it is a request or a response is taken from SMB2_FLAGS_SERVER_TO_REDIR, which
 * the caller has compared with the direction that the element came from. */
enum signature_check element_check(struct mac_key *key, struct span element);
/* The same for up to SIGN_TOGETHER_MAX elements, each by itself: what is wrong with one says nothing of the others. Only a
 * failed computation is one of them all. */
void elements_check(struct mac_key *key, const struct span *elements, size_t count, enum signature_check *checks);

#endif
