/* For tests: the cryptography of src/crypto with a point of failure, and quicker where the same is asked for again. */
#ifndef SMBPROOF_TESTS_CRYPTO_SIM_H
#define SMBPROOF_TESTS_CRYPTO_SIM_H

#include <stdint.h>

/* The n-th call from now on fails, counting from 1; 0: none. */
void crypto_sim_fail_at(uint64_t call);
/* Calls since then. */
uint64_t crypto_sim_calls(void);

#endif
