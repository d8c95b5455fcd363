/* What a correct client does with the answers to NEGOTIATE and to FSCTL_VALIDATE_NEGOTIATE_INFO.
 *
 * Pure functions over decoded messages and the negotiation record, whose `offered` has to hold what was sent: the live
 * client and the analysis of a capture call negotiation_store_offer() with each NEGOTIATE request first. The messages
 * must be there whole (message.bytes.size == message.size). */
#ifndef SMBPROOF_CORE_CLIENT_VALIDATE_H
#define SMBPROOF_CORE_CLIENT_VALIDATE_H

#include "core/negotiation.h"

/* A NEGOTIATE response, or the error response to NEGOTIATE (3.2.5.2). ACCEPT with the record's stage WILDCARD: an SMB2
 * NEGOTIATE has to follow on the same connection. REFUSE: the operation fails with the status, the client closes. */
struct verdict client_validate(const struct message *response, const struct client_policy *policy,
                               struct negotiation *record);

/* Must FSCTL_VALIDATE_NEGOTIATE_INFO follow the TREE_CONNECT (3.2.5.5)? Not on sessions without keys. */
bool client_must_validate_info(const struct negotiation *record, const struct client_policy *policy,
                               bool session_has_keys);

/* The input of FSCTL_VALIDATE_NEGOTIATE_INFO: what was sent in NEGOTIATE, never recomputed. */
struct client_info {
    struct validate_negotiate_info_request request; /* its span points into dialect_octets */
    uint8_t dialect_octets[2 * NEGOTIATION_DIALECTS_MAX];
};

/* Where only an SMB1 NEGOTIATE was sent it has none of the values, and those of the policy are told. */
void client_info_fill(const struct negotiation *record, const struct client_policy *policy, struct client_info *info);

/* The response to it, of any status (3.2.5.14.12). A PENDING response decides nothing: record->validation says
 * VALIDATION_PENDING. DISCONNECT is a security failure: no retry, no other dialect, no SMB1 after it. */
struct verdict client_validate_info(const struct message *response, const struct client_policy *policy,
                                    enum protection protection, struct negotiation *record);

/* No response came in time (3.2.6.1): somebody may have dropped it, so it is never taken for "not supported". */
struct verdict client_info_missing(struct negotiation *record);

#endif
