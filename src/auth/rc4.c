#include "auth/rc4.h"

#include <assert.h>

#include "crypto/crypto.h"

static void swap(uint8_t *a, uint8_t *b) {
    uint8_t kept = *a;

    *a = *b;
    *b = kept;
}

void rc4(struct span key, struct span in, uint8_t *out) {
    uint8_t state[256], i = 0, j = 0;

    assert(key.size > 0 && key.size <= sizeof state);
    for (unsigned at = 0; at < sizeof state; at++)
        state[at] = (uint8_t)at;
    for (size_t at = 0, next = 0; at < sizeof state; at++) {
        j = (uint8_t)(j + state[at] + key.data[next]);
        swap(&state[at], &state[j]);
        next = next + 1 < key.size ? next + 1 : 0;
    }
    j = 0;
    for (size_t at = 0; at < in.size; at++) {
        i++;
        j = (uint8_t)(j + state[i]);
        swap(&state[i], &state[j]);
        out[at] = in.data[at] ^ state[(uint8_t)(state[i] + state[j])];
    }
    crypto_wipe(state, sizeof state);
}
