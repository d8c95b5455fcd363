#include "auth/md4.h"

#include <string.h>

#include "crypto/crypto.h"

#define BLOCK_SIZE  64u
#define LENGTH_SIZE 8u /* the message's length in bits, at the end of the last block */

static uint32_t rotate(uint32_t value, unsigned bits) {
    return value << bits | value >> (32 - bits);
}

/* [RFC1320] 3.4: the function of each round. */
static uint32_t mix(unsigned round, uint32_t x, uint32_t y, uint32_t z) {
    if (round == 0)
        return (x & y) | (~x & z);
    if (round == 1)
        return (x & y) | (x & z) | (y & z);
    return x ^ y ^ z;
}

static void add_block(uint32_t state[4], const uint8_t block[BLOCK_SIZE]) {
    static const uint8_t order[3][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
        {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15},
    };
    static const uint8_t shifts[3][4] = {{3, 7, 11, 19}, {3, 5, 9, 13}, {3, 9, 11, 15}};
    static const uint32_t constants[3] = {0, 0x5a827999, 0x6ed9eba1};
    struct reader reader = reader_over((struct span){block, BLOCK_SIZE});
    uint32_t words[16], a = state[0], b = state[1], c = state[2], d = state[3];

    for (unsigned i = 0; i < 16; i++)
        words[i] = reader_u32(&reader);
    for (unsigned step = 0; step < 48; step++) {
        unsigned round = step / 16;
        uint32_t sum = a + mix(round, b, c, d) + words[order[round][step % 16]] + constants[round];

        a = d;
        d = c;
        c = b;
        b = rotate(sum, shifts[round][step % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    crypto_wipe(words, sizeof words);
}

void md4(struct span message, uint8_t digest[MD4_SIZE]) {
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t last[2 * BLOCK_SIZE] = {0};
    size_t whole = message.size / BLOCK_SIZE * BLOCK_SIZE, rest = message.size - whole;
    size_t padded = rest + 1 + LENGTH_SIZE <= BLOCK_SIZE ? BLOCK_SIZE : 2 * BLOCK_SIZE;
    struct writer writer = writer_over(last, padded);

    for (size_t at = 0; at < whole; at += BLOCK_SIZE)
        add_block(state, message.data + at);
    writer_put(&writer, span_slice(message, whole, rest));
    writer_u8(&writer, 0x80);
    writer_zero(&writer, padded - LENGTH_SIZE - writer.at);
    writer_u64(&writer, (uint64_t)message.size * 8);
    for (size_t at = 0; at < padded; at += BLOCK_SIZE)
        add_block(state, last + at);
    writer = writer_over(digest, MD4_SIZE);
    for (unsigned i = 0; i < 4; i++)
        writer_u32(&writer, state[i]);
    crypto_wipe(last, sizeof last);
    crypto_wipe(state, sizeof state);
}
