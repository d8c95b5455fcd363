/* What a correct server does with NEGOTIATE and with FSCTL_VALIDATE_NEGOTIATE_INFO.
 *
 * Pure functions over decoded messages and the negotiation record: the live server and the analysis of a capture
 * call the same ones. The messages must be there whole (message.bytes.size == message.size). */
#ifndef SMBPROOF_CORE_SERVER_VALIDATE_H
#define SMBPROOF_CORE_SERVER_VALIDATE_H

#include "core/negotiation.h"

/* Octets of salt in the preauthentication context; Windows has as many (3.3.5.4, note 287). */
#define SALT_SIZE 32
/* Room for the contexts of a response: preauthentication, encryption, signing, each padded to 8 octets. */
#define SERVER_CONTEXTS_MAX 96

/* What is new with each connection, and the core cannot know: randomness, clock, authentication. */
struct fresh {
    uint8_t salt[SALT_SIZE];
    uint8_t server_guid[16];
    uint64_t system_time;        /* FILETIME */
    struct span security_buffer; /* the SPNEGO hint, may be empty; borrowed by the answer */
};

/* The response to encode, where the verdict goes on. Its spans point into `contexts` and into fresh. */
struct server_answer {
    struct negotiate_response response;
    uint8_t contexts[SERVER_CONTEXTS_MAX];
};

/* An SMB2 NEGOTIATE request (3.3.5.4). Where the verdict is ACCEPT or NOTE the record holds the offer, the answer and
 * what is agreed; else only the number of NEGOTIATEs has changed, and another one may follow. */
struct verdict server_validate(const struct message *request, const struct server_policy *policy,
                               const struct fresh *fresh, struct negotiation *record, struct server_answer *answer);

/* An SMB1 NEGOTIATE request that may offer SMB2 (3.3.5.3). */
struct verdict server_validate_smb1(const struct message *request, const struct server_policy *policy,
                                    const struct fresh *fresh, struct negotiation *record,
                                    struct server_answer *answer);

/* Before SESSION_SETUP: may this connection go on without a cipher (3.3.5.5)? */
struct verdict server_validate_encryption(const struct negotiation *record, const struct server_policy *policy);

/* An IOCTL request whose CtlCode is FSCTL_VALIDATE_NEGOTIATE_INFO (3.3.5.15, 3.3.5.15.12). Signature, session and
 * tree were looked at before: a bad signature gets STATUS_ACCESS_DENIED, and does not come here. `response` is filled
 * in where the verdict goes on. */
struct verdict server_validate_info(const struct message *request, const struct negotiation *record,
                                    const struct server_policy *policy, enum protection protection,
                                    struct validate_negotiate_info_response *response);

#endif
