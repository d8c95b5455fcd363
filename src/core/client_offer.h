/* The NEGOTIATE request that a client's policy makes (3.2.4.2.2.2). */
#ifndef SMBPROOF_CORE_CLIENT_OFFER_H
#define SMBPROOF_CORE_CLIENT_OFFER_H

#include "core/policy.h"
#include "wire/messages.h"

/* Octets of salt in the preauthentication context; Windows sends as many. */
#define CLIENT_SALT_SIZE 32
/* Room for the contexts of a request: preauthentication, encryption, signing, each padded to 8 octets. */
#define CLIENT_CONTEXTS_MAX 112

/* The request to encode. Its spans point into the arrays behind it. */
struct client_offer {
    struct negotiate_request request;
    uint8_t dialects[2 * POLICY_IDS_MAX];
    uint8_t contexts[CLIENT_CONTEXTS_MAX];
};

void client_offer_fill(const struct client_policy *policy, const uint8_t salt[CLIENT_SALT_SIZE],
                       struct client_offer *offer);

/* What the policy says in NEGOTIATE, and again in FSCTL_VALIDATE_NEGOTIATE_INFO. */
uint32_t client_capabilities(const struct client_policy *policy);
uint16_t client_security_mode(const struct client_policy *policy);

#endif
