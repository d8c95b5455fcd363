/* NTLMSSP with NTLMv2 and nothing older ([MS-NLMP]): messages, keys, and the mechanism in both
 * roles. */
#ifndef SMBPROOF_AUTH_NTLM_H
#define SMBPROOF_AUTH_NTLM_H

#include "auth/acceptor.h"
#include "auth/mechanism.h"

#define NTLM_CHALLENGE_SIZE 8u /* octets, as all sizes here */
#define NTLM_KEY_SIZE       16u
#define NTLM_MIC_SIZE       16u
#define NTLM_SIGNATURE_SIZE 16u /* of a message, [MS-NLMP] 2.2.2.9.1 */
/* The longest message that is taken. Names and the copy of the server's AV pairs fill it. */
#define NTLM_MESSAGE_MAX 8192u

/* [MS-NLMP] 2.2.2.5 */
#define NTLM_UNICODE            0x00000001u
#define NTLM_REQUEST_TARGET     0x00000004u
#define NTLM_SIGN               0x00000010u
#define NTLM_SEAL               0x00000020u
#define NTLM_NTLM               0x00000200u
#define NTLM_ANONYMOUS          0x00000800u
#define NTLM_ALWAYS_SIGN        0x00008000u
#define NTLM_TARGET_TYPE_SERVER 0x00020000u
#define NTLM_EXTENDED_SECURITY  0x00080000u
#define NTLM_TARGET_INFO        0x00800000u
#define NTLM_VERSION            0x02000000u
#define NTLM_128                0x20000000u
#define NTLM_KEY_EXCH           0x40000000u
#define NTLM_56                 0x80000000u

/* [MS-NLMP] 2.2.2.1 */
enum ntlm_av_id {
    NTLM_AV_EOL = 0,
    NTLM_AV_NB_COMPUTER = 1,
    NTLM_AV_NB_DOMAIN = 2,
    NTLM_AV_DNS_COMPUTER = 3,
    NTLM_AV_DNS_DOMAIN = 4,
    NTLM_AV_FLAGS = 6,
    NTLM_AV_TIMESTAMP = 7,
    NTLM_AV_TARGET_NAME = 9,
    NTLM_AV_CHANNEL_BINDINGS = 10,
};
#define NTLM_AV_FLAG_MIC 0x2u

/* ---- messages ---- */

bool ntlm_is_message(struct span token);
/* [MS-NLMP] 2.2.1.1; what lies behind the flags is not looked at. */
bool ntlm_negotiate_decode(struct span message, uint32_t *flags);

struct ntlm_challenge {
    uint32_t flags;
    const uint8_t *challenge; /* NTLM_CHALLENGE_SIZE */
    struct span target_info;
};

bool ntlm_challenge_decode(struct span message, struct ntlm_challenge *challenge);

struct ntlm_authenticate {
    uint32_t flags;
    struct span lm, nt;                    /* responses */
    struct span domain, user, workstation; /* UTF-16LE */
    struct span session_key;               /* EncryptedRandomSessionKey */
};

bool ntlm_authenticate_decode(struct span message, struct ntlm_authenticate *authenticate);

/* NTLMv2_CLIENT_CHALLENGE behind the proof ([MS-NLMP] 2.2.2.7); false for anything older. */
struct ntlm_v2_response {
    const uint8_t *proof; /* NTLM_KEY_SIZE */
    struct span temp;     /* what the proof is over */
    struct span av_pairs;
};

bool ntlm_v2_response_decode(struct span nt, struct ntlm_v2_response *response);
/* false at the end, or where a pair is cut: then the reader failed. */
bool ntlm_av_next(struct reader *reader, uint16_t *id, struct span *value);
bool ntlm_av_find(struct span av_pairs, enum ntlm_av_id id, struct span *value);
void ntlm_av_put(struct writer *writer, enum ntlm_av_id id, struct span value);

/* ---- keys ---- */

/* NTOWFv1: the hash that stands for a password. False where it is not UTF-8, or is too long. */
bool ntlm_hash(const char *password, uint8_t hash[AUTH_NT_HASH_SIZE]);
/* NTOWFv2. The user is upper-cased here; the domain is hashed as it is. Both UTF-16LE. */
bool ntlm_response_key(const uint8_t hash[AUTH_NT_HASH_SIZE], struct span user, struct span domain,
                       uint8_t key[NTLM_KEY_SIZE]);
bool ntlm_proof(const uint8_t response_key[NTLM_KEY_SIZE],
                const uint8_t challenge[NTLM_CHALLENGE_SIZE], struct span temp,
                uint8_t proof[NTLM_KEY_SIZE]);
/* SessionBaseKey, which is the key exchange key, too. */
bool ntlm_base_key(const uint8_t response_key[NTLM_KEY_SIZE], const uint8_t proof[NTLM_KEY_SIZE],
                   uint8_t key[NTLM_KEY_SIZE]);
/* Over the three messages; the MIC inside the third counts as zero. */
bool ntlm_mic(const uint8_t key[NTLM_KEY_SIZE], struct span negotiate, struct span challenge,
              struct span authenticate, uint8_t mic[NTLM_MIC_SIZE]);
#define NTLM_MIC_AT 72u

enum ntlm_side { NTLM_CLIENT, NTLM_SERVER };
bool ntlm_sign_key(const uint8_t key[NTLM_KEY_SIZE], enum ntlm_side side,
                   uint8_t out[NTLM_KEY_SIZE]);
bool ntlm_seal_key(const uint8_t key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_side side,
                   uint8_t out[NTLM_KEY_SIZE]);
/* The signature of a side's first message, which is all that SPNEGO needs ([MS-NLMP] 3.4.4.2).
 * False without NTLM_EXTENDED_SECURITY. */
bool ntlm_sign(const uint8_t key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_side side,
               struct span message, uint8_t signature[NTLM_SIGNATURE_SIZE]);
/* Is `signature` that of the side's first message? */
bool ntlm_signature_fits(const uint8_t key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_side side,
                         struct span message, struct span signature);

/* ---- the mechanism ---- */

/* What must not be foreseen: random octets, and the time in 100 ns since 1601. */
struct ntlm_fresh {
    uint8_t challenge[NTLM_CHALLENGE_SIZE];
    uint8_t key[NTLM_KEY_SIZE];
    uint64_t time;
};

bool ntlm_fresh_take(struct ntlm_fresh *fresh);

/* `credentials` is borrowed. NULL: no memory or no randomness. */
struct mechanism *ntlm_initiator_new(const struct auth_credentials *credentials);
/* `config` is borrowed. */
struct mechanism *ntlm_acceptor_new(const struct auth_acceptor_config *config);

#endif
