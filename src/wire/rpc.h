/* The little of DCE/RPC that lists a server's shares: connection-oriented PDUs ([C706] 12.6, [MS-RPCE] 2.2.2) in one
 * fragment each, and NetrShareEnum at level 1 of the interface srvsvc ([MS-SRVS] 3.1.4.8) in NDR, both ways. */
#ifndef SMBPROOF_WIRE_RPC_H
#define SMBPROOF_WIRE_RPC_H

#include "wire/bytes.h"

#define RPC_UUID_SIZE 16u
/* Octets of the longest fragment that this project sends or asks for; [MS-RPCE] 2.2.2.5 demands at least 1432. */
#define RPC_FRAGMENT_MAX  4280u
#define RPC_HEADER_SIZE   16u
#define RPC_REQUEST_SIZE  24u /* octets of a request's or response's header: its stub follows */
#define SRVSVC_SHARE_ENUM 15u /* opnum */

enum rpc_type { RPC_REQUEST = 0, RPC_RESPONSE = 2, RPC_FAULT = 3, RPC_BIND = 11, RPC_BIND_ACK = 12, RPC_BIND_NAK = 13 };
enum rpc_flag { RPC_FIRST_FRAGMENT = 1, RPC_LAST_FRAGMENT = 2 };
enum rpc_result { RPC_ACCEPTED, RPC_USER_REJECTION, RPC_PROVIDER_REJECTION };

/* An interface and its version, or a transfer syntax. */
struct rpc_syntax {
    uint8_t uuid[RPC_UUID_SIZE]; /* as on the wire */
    uint32_t version;
};

extern const struct rpc_syntax rpc_srvsvc, rpc_ndr;

/* A PDU. Which members are meaningful follows from `type`; what is not named here is sent as 0 and ignored. */
struct rpc_pdu {
    uint8_t type;  /* enum rpc_type, or another */
    uint8_t flags; /* enum rpc_flag */
    uint32_t call_id;
    uint16_t context_id;
    uint16_t opnum;                       /* REQUEST */
    uint32_t status;                      /* FAULT */
    uint16_t max_transmit, max_receive;   /* BIND, BIND_ACK: octets */
    uint8_t context_count;                /* BIND: offered, of which the first is here; BIND_ACK: results */
    struct rpc_syntax interface;          /* BIND */
    struct rpc_syntax transfer;           /* BIND: the first that is offered; BIND_ACK: the one that is accepted */
    uint16_t result, reason;              /* BIND_ACK */
    struct span secondary_address;        /* BIND_ACK: the pipe's name, with its NUL */
    struct span stub;                     /* REQUEST, RESPONSE: alloc_hint octets or fewer */
};

/* Decodes the PDU that `octets` begin with and says how long it is. False where that is cut, is not little-endian
 * version 5.0, or carries authentication, which nobody asked for. */
bool rpc_pdu_decode(struct span octets, struct rpc_pdu *pdu, size_t *size);
void rpc_pdu_encode(const struct rpc_pdu *pdu, struct writer *writer);

struct share_enum_request {
    struct span server;      /* UTF-16LE without a terminator; empty: none */
    uint32_t level;          /* 1 is what this project answers */
    uint32_t preferred_size; /* octets; 0xffffffff: as many as there are */
    bool has_resume;
    uint32_t resume;
};

bool share_enum_request_decode(struct span stub, struct share_enum_request *request);
void share_enum_request_encode(const struct share_enum_request *request, struct writer *writer);

/* [MS-SRVS] 2.2.2.4 */
enum share_kind {
    SHARE_KIND_DISK,
    SHARE_KIND_PRINTER,
    SHARE_KIND_DEVICE,
    SHARE_KIND_IPC,
};
#define SHARE_KIND_MASK    0x0fffffffu
#define SHARE_KIND_SPECIAL 0x80000000u /* administrative, such as C$ */

struct share_info {
    struct span name, comment; /* UTF-16LE without a terminator */
    uint32_t kind;             /* enum share_kind and bits above it */
};

/* Shares in a response, one after the other. */
struct share_cursor {
    struct reader heads, strings;
    uint32_t left;
    bool malformed;
};

struct share_enum_response {
    uint32_t level, count, total, resume, status; /* status: WERROR, 0 success, 234 more data */
    struct share_cursor shares;
};

/* False where something is cut or contradicts itself, strings included. */
bool share_enum_response_decode(struct span stub, struct share_enum_response *response);
bool share_next(struct share_cursor *cursor, struct share_info *share);
/* Writes a response at level 1 with all `count` shares. */
void share_enum_response_encode(const struct share_info *shares, uint32_t count, uint32_t status,
                                struct writer *writer);

#endif
