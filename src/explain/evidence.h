/* Evidence: everything that the rules may know about one connection, as one flat record.
 *
 * It holds no pointers, so it can be set aside in a file and read back (spill.h); what a rule concludes from
 * it is therefore repeatable. All of it is bounded by the limits below. Packet numbers count from 1; 0 means
 * "not seen". Times are nanoseconds since 1970; 0 where unknown. */
#ifndef SMBPROOF_EXPLAIN_EVIDENCE_H
#define SMBPROOF_EXPLAIN_EVIDENCE_H

#include "capture/flows.h"
#include "core/conversation.h"

#define EVIDENCE_DIALECTS_MAX 64u    /* Windows refuses more, [MS-SMB2] <8> */
#define EVIDENCE_RAW_MAX 1024u       /* octets kept of the NEGOTIATE request and of its response */
#define EVIDENCE_VALIDATIONS_MAX 12u
#define EVIDENCE_SESSIONS_MAX 6u
#define EVIDENCE_TREES_MAX 8u
#define EVIDENCE_BROKEN_MAX 8u
#define EVIDENCE_LOG_HEAD_MAX 72u    /* messages from the start of the connection */
#define EVIDENCE_LOG_TAIL_MAX 16u    /* and the last ones */
#define EVIDENCE_LOG_SHORT 12u       /* kept of those where nothing happened that needs more */

/* A closing segment and what tells its true sender. */
struct closing_segment {
    uint64_t packet, time_ns;
    int64_t sequence_distance; /* from the next octet expected of its side */
    uint64_t reaction_ns;      /* since the octets of the other end that it is the first to acknowledge; 0: none */
    uint16_t ip_id, window;
    uint8_t ttl;
    bool has_ip_id, dont_fragment, has_timestamp, other_mac, has_ack;
    bool ip_id_leaps; /* its IP id breaks the even steps of its side's others */
};

/* What one end's TCP did, as seen at the capture point. First what nearly every packet changes, in two lines of the cache. */
struct tcp_side {
    uint64_t packets, octets;         /* payload octets, retransmissions not counted */
    uint64_t last_packet, last_time_ns;
    uint64_t first_data_packet;
    uint64_t last_data_packet, last_data_time_ns;
    uint64_t last_new_data_time_ns;   /* the same without retransmissions */
    uint64_t least_reaction_ns; /* smallest: from octets of the other end to this end's acknowledgment or answer */
    uint32_t sent_end, highest_ack;   /* sent_end: behind its last octet seen */
    uint32_t tail_retransmissions;    /* of the same octets at the end, without an answer */
    uint32_t stuck_sequence;          /* where those octets begin */
    uint32_t largest_acked, largest_stuck;  /* payload of one segment: acknowledged, retransmitted in vain */
    uint32_t ip_id_steps, ip_id_small_steps; /* between packets of this side; small: 1 to 16 */
    uint16_t last_ip_id, mss;
    uint8_t ttl;                      /* of its data and SYN (closing segments aside); 0 unknown */
    uint8_t ttl_other;                /* another value that was seen; 0 none */
    uint8_t mac[6];
    bool has_mac, has_timestamp, optimiser_option;
    bool closed;                      /* fin or rst is there */
    struct closing_segment fin, rst;  /* the first of each; packet 0: none */
    uint64_t first_packet;
    uint64_t syn_packet, syn_time_ns; /* SYN of the client, SYN|ACK of the server */
    uint64_t retransmissions, duplicates, early, conflicts, keep_alives;
    uint64_t unseen_acked;            /* times it acknowledged octets of the other side that are not in the capture */
    uint64_t gaps, lost_octets, cut_packets; /* holes; packets cut by a snap length */
    uint64_t gap_packet;              /* the first */
    uint64_t packets_after_rst, packets_after_fin; /* with payload or SYN: proof that it was not closed */
    uint32_t isn, syn_retransmissions;
};

/* [MS-SMB2] 2.2.3 or 2.2.4 as captured: the decoded scalars and the message itself. */
struct negotiate_side {
    uint64_t packet, time_ns;
    bool whole;   /* nothing of it was lost */
    bool decoded; /* its fixed part and dialects are there */
    bool valid;   /* all its offsets and lengths hold together */
    uint16_t security_mode;
    uint32_t capabilities;
    uint8_t guid[16];
    uint16_t raw_size;     /* octets kept in raw */
    uint32_t message_size; /* octets of the message */
    uint8_t raw[EVIDENCE_RAW_MAX];
};

struct negotiate_evidence {
    uint64_t smb1_request_packet, smb1_response_packet, wildcard_response_packet;
    bool smb1_offers_202, smb1_offers_wildcard;
    bool smb1_offers_smb2, smb1_answer_is_smb1, smb1_request_cut;
    uint16_t smb1_dialect_index;
    uint32_t requests;          /* SMB2 NEGOTIATE requests seen */
    uint64_t second_request_packet; /* one after a dialect was agreed */
    struct negotiate_side request, response; /* the last ones before authentication */
    uint16_t dialect_count;
    uint16_t dialects[EVIDENCE_DIALECTS_MAX];
    uint16_t dialect;           /* DialectRevision of the final response; 0 none */
    uint32_t status;            /* of the response */
    uint32_t max_transact_size, max_read_size, max_write_size;
    uint64_t system_time, server_start_time; /* FILETIME */
    uint16_t cipher, signing_algorithm; /* 3.1.1; 0xffff: no context */
    bool has_encryption_context, has_signing_context;
};

/* NTLMSSP as far as it tells an anonymous logon and the systems at hand. */
struct ntlm_evidence {
    bool seen_negotiate, seen_challenge, seen_authenticate;
    bool anonymous;          /* AUTHENTICATE without user name and response */
    bool is_v1;              /* 24-octet NT response */
    bool has_client_version, has_server_version;
    uint8_t client_version[8], server_version[8]; /* [MS-NLMP] 2.2.2.10 */
    uint32_t flags;          /* of AUTHENTICATE */
};

struct session_evidence {
    uint64_t session_id;
    uint64_t first_request_packet, last_request_packet, last_request_time_ns;
    uint64_t response_packet, response_time_ns; /* the last response */
    uint32_t status;         /* of the last response; STATUS_PENDING while there was none */
    uint32_t rounds;
    uint16_t flags;          /* SessionFlags of the success response */
    uint8_t security_mode;   /* of the request */
    bool has_response, success, response_signed, binding, reauthentication, kerberos, signature_zero;
    bool response_cut, encrypted; /* could not be read whole; inside a transform (response not seen in clear) */
    uint64_t logoff_packet, logoff_response_packet;
    uint32_t logoff_status;
    struct ntlm_evidence ntlm;
};

struct tree_evidence {
    uint64_t request_packet, response_packet, request_time_ns, response_time_ns;
    uint64_t session_id;
    uint32_t tree_id, status, share_flags;
    uint8_t share_type;
    bool request_signed, has_response, response_signed, is_ipc, response_cut, name_present;
    uint64_t disconnect_packet;
};

enum validation_result {
    VALIDATION_VALID, VALIDATION_MISMATCH, VALIDATION_UNANSWERED, VALIDATION_UNSIGNED, VALIDATION_REFUSED,
    VALIDATION_MALFORMED,
};

/* One FSCTL_VALIDATE_NEGOTIATE_INFO exchange, [MS-SMB2] 2.2.31.4 and 2.2.32.6. */
struct validation_evidence {
    uint64_t request_packet, request_time_ns, response_packet, response_time_ns;
    uint64_t message_id, session_id;
    bool request_cut, response_cut, request_decoded, response_decoded;
    bool request_signed, response_signed, signature_copied, signature_zero, response_unmatched;
    uint32_t status;
    uint32_t request_input_count, max_output_response, output_count, ioctl_flags;
    bool file_id_all_ones;
    uint32_t request_capabilities, response_capabilities;
    uint8_t request_guid[16], response_guid[16];
    uint16_t request_security_mode, response_security_mode, dialect;
    uint16_t dialect_count, dialects_kept;
    uint16_t dialects[EVIDENCE_DIALECTS_MAX];
    uint64_t pending_packet; /* an interim STATUS_PENDING response */
};

/* One line of the ladder; `digest` is of the whole message and 0 where it was not whole. */
struct log_entry {
    uint64_t time_ns, message_id, digest;
    uint32_t size, status;
    uint64_t packet : 40;  /* captures with more packets than 2^40 do not exist */
    uint64_t command : 12; /* enum smb2_command */
    uint64_t kind : 6;     /* enum message_kind */
    uint64_t from : 1;     /* enum direction */
    uint64_t is_signed : 1, cut : 1, chained : 1, validate : 1, after_gap : 1;
};

struct broken_rule {
    enum rule rule;
    uint64_t packet;
};

/* The flags that a message of the middle of a session leaves behind. */
struct traffic_evidence {
    uint64_t messages[2], encrypted[2];   /* by direction */
    uint64_t first_encrypted_packet[2], last_encrypted_packet[2];
    uint64_t requests_signed, requests_unsigned;     /* after authentication, VALIDATE and TREE_CONNECT aside */
    uint64_t responses_signed, responses_unsigned;
    uint64_t last_message_packet[2], last_message_time_ns[2];
    uint16_t last_command[2];
    uint32_t last_status;                 /* of the last response in clear */
    uint64_t unanswered_packet;           /* the oldest request still without a final answer at the end */
    uint64_t unanswered_time_ns;
    uint16_t unanswered_command;
    bool has_answer_ahead;
    uint64_t answer_ahead;                /* MessageId of the last answer whose request was not seen before it */
    uint64_t data_requests;               /* CREATE, READ, WRITE and the like: the connection was used */
    uint64_t requests_after_validation;   /* any request after the last validation's answer */
    uint64_t last_other_request_packet;   /* the last request that is no VALIDATE */
    uint64_t last_working_request_packet; /* the same, LOGOFF and TREE_DISCONNECT aside: more than taking leave */
    uint64_t first_denied_packet;         /* first signed request answered by ACCESS_DENIED */
    uint16_t first_denied_command;
    uint64_t session_deleted_packet, session_expired_packet, name_deleted_packet;
    uint16_t session_deleted_command;
    uint64_t guest_signed_packet;         /* a signed request in a guest or anonymous session */
    uint64_t after_guest_signed_denied_packet;
    uint64_t smb1_messages, compressed;
    uint64_t first_good_signed_packet;    /* first signed request that was answered with success, signed */
    uint64_t longest_gap_ns;              /* silence before the last request */
    uint64_t unsigned_denied_packet;      /* an unsigned request answered by ACCESS_DENIED */
    uint16_t unsigned_denied_command;
    uint32_t netbios_negative_packet;
    bool netbios;
};

struct evidence {
    uint64_t serial;            /* order of first packets; also the record's key */
    uint32_t file;              /* which capture: 0 or 1 */
    uint32_t interface;
    struct endpoint client, server;
    bool client_known;          /* by SYN or by an SMB message, not guessed from ports */
    bool reversed;              /* the flow's initiator turned out to be the server (no SYN seen) */
    bool smb;                   /* SMB was seen */
    bool many_interfaces;       /* until its end there had been flows on several: its other leg may be among them */
    bool began_before_capture;  /* the first bytes seen were not the connection's first */
    uint64_t first_packet, last_packet, first_time_ns, last_time_ns;
    struct tcp_side tcp[2];     /* by enum direction */
    uint64_t syn_answer_ns, answer_ack_ns; /* SYN to SYN|ACK, SYN|ACK to the client's ACK; 0 unknown */
    uint64_t request_wait_ns, answer_wait_ns; /* smallest: request to its TCP ACK or answer; answer to its ACK or next request */
    /* From here on: what was read of messages. */
    struct negotiate_evidence negotiate;
    uint32_t sessions_count, trees_count, validations_count, broken_count, sessions_unlisted, trees_unlisted;
    struct session_evidence sessions[EVIDENCE_SESSIONS_MAX];
    struct tree_evidence trees[EVIDENCE_TREES_MAX];
    struct validation_evidence validations[EVIDENCE_VALIDATIONS_MAX];
    struct broken_rule broken[EVIDENCE_BROKEN_MAX];
    struct traffic_evidence traffic;
    uint64_t validations_seen;  /* requests, also those beyond the limit */
    uint32_t log_count;         /* entries used in log[] from the front */
    bool log_disordered;        /* an entry of log[] came after one of a later packet */
    uint64_t log_last_packet;   /* of the entry of log[] that came last */
    uint64_t log_seen;          /* messages; more than log_count where not all of them were kept */
    uint32_t log_tail_count;    /* entries used in log_tail[] */
    struct log_entry log_tail[EVIDENCE_LOG_TAIL_MAX]; /* a ring, which begins behind log[] */
    struct log_entry log[EVIDENCE_LOG_HEAD_MAX];      /* last: written only as far as used */
};

/* Make the two parts of a record empty: what is known of the connection and its TCP, and of its messages. Arrays are not
 * cleared: their counts say what is in use, and an item is cleared when taken. */
void evidence_clear_connection(struct evidence *evidence);
void evidence_clear_messages(struct evidence *evidence);

/* Leaves EVIDENCE_LOG_SHORT messages from the start of the connection. */
void evidence_shorten(struct evidence *evidence);

/* Octets of the record that are in use: all of it but the unused end of log[]. */
size_t evidence_size(const struct evidence *evidence);

#endif
