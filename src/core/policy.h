/* What one endpoint implements and wants. Plain records: fill one with its defaults, then change fields.
 *
 * Lists are in order of preference, the most wanted first. A dialect list is a set to a server, which takes
 * the greatest common one whatever the order; a client offers its dialects in the order given here. */
#ifndef SMBPROOF_CORE_POLICY_H
#define SMBPROOF_CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* Ids in one list. The longest that [MS-SMB2] can fill is five dialects; the rest is room for tests. */
#define POLICY_IDS_MAX 8

/* The smallest MaxTransactSize, MaxReadSize and MaxWriteSize a server should offer, in octets (3.3.5.4). */
#define SIZE_LEAST 65536u
/* What this server offers where the transport allows multi-credit requests, in octets. */
#define SIZE_USUAL (8u * 1024u * 1024u)

struct id_list {
    uint16_t ids[POLICY_IDS_MAX];
    uint16_t count;
};

bool id_list_has(const struct id_list *list, uint16_t id);
/* The greatest id of the list, 0 where it is empty. */
uint16_t id_list_greatest(const struct id_list *list);

enum transport {
    TRANSPORT_DIRECT_TCP, /* port 445 */
    TRANSPORT_NETBIOS,    /* port 139: neither 3.1.1 nor multi-credit (2.1) */
};

enum encryption_policy {
    ENCRYPTION_OFF,     /* no cipher is offered or chosen */
    ENCRYPTION_OFFERED, /* possible, used where the peer or a share wants it */
    ENCRYPTION_MUST,    /* a connection without a cipher is given up */
};

struct client_policy {
    struct id_list dialects;
    bool offers_smb1_first;   /* begin with a multi-protocol NEGOTIATE (3.2.4.2.2.1) */
    bool signing_required;    /* RequireMessageSigning */
    uint32_t capabilities;    /* sent where a 3.x dialect is implemented; ENCRYPTION is added by `encryption` */
    uint8_t guid[16];         /* ClientGuid; a new one whenever the dialects change (3.3.5.5.3) */
    enum encryption_policy encryption;
    struct id_list ciphers;            /* 3.1.1; 3.0 and 3.0.2 know AES-128-CCM only */
    struct id_list signing_algorithms; /* 3.1.1; empty: no signing context is sent */
    enum transport transport;
    bool require_secure_negotiate; /* RequireSecureNegotiate: validate below 3.1.1 */
    bool refuse_unvalidated_3x;    /* a signed error to the validation ends the connection on 3.0 and 3.0.2, and below
                                      where it does not say "unknown"; [MS-SMB2] accepts it */
    bool accept_longer_info;       /* more than 24 octets of validation output are accepted (old Macs) */
    bool accept_small_sizes;       /* sizes below 65536 are accepted (Windows up to 8.1: from 4096 on) */
    bool allow_guest;              /* a guest session, which nothing protects, is accepted */
};

struct server_policy {
    struct id_list dialects;
    bool signing_required;
    uint32_t capabilities; /* at most; what the dialect, the transport and the client rule out is left out */
    enum encryption_policy encryption;
    struct id_list ciphers;
    struct id_list signing_algorithms;
    enum transport transport;
    uint32_t max_transact_size, max_read_size, max_write_size; /* in octets */
    bool allow_guest;
    /* Of one connection; 0: as many as SERVER_SESSIONS_MAX and SERVER_CREDITS_MAX, which they may not exceed. */
    uint16_t max_sessions, max_credits;
    /* Validation compares all Dialects of the NEGOTIATE request, which [MS-SMB2] asks only of servers that
     * implement 3.1.1, also where 3.1.1 is not among `dialects`. Else, there, the greatest common one. */
    bool compare_all_dialects;
};

/* All dialects, all ciphers, signing and encryption possible but not required, validation on and strict, no guest. The
 * ClientGuid is zero: the caller has the randomness. */
void client_policy_defaults(struct client_policy *policy);
void server_policy_defaults(struct server_policy *policy);

/* Does the server implement any 3.x dialect? Then it answers FSCTL_VALIDATE_NEGOTIATE_INFO. */
bool server_policy_implements_3x(const struct server_policy *policy);

/* Does this dialect belong to the 3.x family? */
bool dialect_is_3x(uint16_t dialect);

#endif
