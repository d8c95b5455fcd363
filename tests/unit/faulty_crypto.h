/* For tests: the cryptography, of which the n-th call fails. */
#ifndef SMBPROOF_TESTS_FAULTY_CRYPTO_H
#define SMBPROOF_TESTS_FAULTY_CRYPTO_H

#include <stdbool.h>

/* From now on the n-th call fails, counted from 1, once; 0: none. */
void faulty_crypto_arm(unsigned nth);
/* Calls in between are not counted, and work. */
void faulty_crypto_pause(bool paused);
/* Has the call that was to fail been made? */
bool faulty_crypto_failed(void);

#endif
