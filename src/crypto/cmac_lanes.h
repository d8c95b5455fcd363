/* AES-CMAC (RFC 4493) of several messages at a time, with the processor's own AES instructions.
 *
 * A CMAC is a chain: each block waits for the one before, and so the unit that computes AES is idle for most of the time.
 * The blocks of other messages fill that time, and four messages take about as long as one. Only crypto/openssl.c uses this;
 * what it offers to others is in crypto.h. */
#ifndef SMBPROOF_CRYPTO_CMAC_LANES_H
#define SMBPROOF_CRYPTO_CMAC_LANES_H

#include "crypto/crypto.h"

/* Messages at a time: round keys and states of four just fit in the registers of x86-64. */
#define CMAC_LANES 4u

#define AES_BLOCK_SIZE   16u
#define AES_128_KEY_SIZE 16u
#define AES_128_ROUNDS   10u

/* Secret, all of it: whoever has one wipes it. */
struct cmac_schedule {
    uint8_t rounds[AES_128_ROUNDS + 1][AES_BLOCK_SIZE];
    uint8_t whole_key[AES_BLOCK_SIZE]; /* K1: for a last block that is whole */
    uint8_t short_key[AES_BLOCK_SIZE]; /* K2: for one that is padded */
};

/* Has this processor the instructions? Where it has not, neither of the other two may be called. */
bool cmac_lanes_supported(void);
/* Sets the round keys. K1 and K2 are the caller's. */
void cmac_schedule_expand(struct cmac_schedule *schedule, const uint8_t key[AES_128_KEY_SIZE]);
/* Sets the tag of each job; none has more than CRYPTO_MESSAGE_MAX octets. */
void cmac_lanes_compute(const struct cmac_schedule *schedule, struct mac_job *jobs, size_t count);

/* An AES-CMAC key that goes by the library alone, as on a processor without the instructions; for tests. */
struct mac_key *mac_key_new_without_lanes(struct span key);

#endif
