#include "auth/ntlm.h"

#include <string.h>

#include "auth/md4.h"
#include "auth/rc4.h"
#include "crypto/crypto.h"
#include "wire/text.h"

#define CHECKSUM_SIZE 8u

bool ntlm_hash(const char *password, uint8_t hash[AUTH_NT_HASH_SIZE]) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_PASSWORD_MAX)];
    struct writer writer = writer_over(room, sizeof room);
    struct span text = text_span(password);
    bool good = text.size <= AUTH_PASSWORD_MAX && text_to_utf16(text, &writer);

    if (good)
        md4(writer_done(&writer), hash);
    crypto_wipe(room, sizeof room);
    return good;
}

bool ntlm_response_key(const uint8_t hash[AUTH_NT_HASH_SIZE], struct span user, struct span domain,
                       uint8_t key[NTLM_KEY_SIZE]) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    struct writer writer = writer_over(room, sizeof room);
    struct reader reader = reader_over(user);

    while (reader_left(&reader) > 0 && !writer.failed)
        writer_u16(&writer, text_upper(reader_u16(&reader)));
    if (writer.failed || reader.failed)
        return false;
    const struct span spans[] = {writer_done(&writer), domain};
    return hmac_md5((struct span){hash, AUTH_NT_HASH_SIZE}, spans, 2, key);
}

bool ntlm_proof(const uint8_t response_key[NTLM_KEY_SIZE],
                const uint8_t challenge[NTLM_CHALLENGE_SIZE], struct span temp,
                uint8_t proof[NTLM_KEY_SIZE]) {
    const struct span spans[] = {{challenge, NTLM_CHALLENGE_SIZE}, temp};

    return hmac_md5((struct span){response_key, NTLM_KEY_SIZE}, spans, 2, proof);
}

bool ntlm_base_key(const uint8_t response_key[NTLM_KEY_SIZE], const uint8_t proof[NTLM_KEY_SIZE],
                   uint8_t key[NTLM_KEY_SIZE]) {
    const struct span spans[] = {{proof, NTLM_KEY_SIZE}};

    return hmac_md5((struct span){response_key, NTLM_KEY_SIZE}, spans, 1, key);
}

bool ntlm_mic(const uint8_t key[NTLM_KEY_SIZE], struct span negotiate, struct span challenge,
              struct span authenticate, uint8_t mic[NTLM_MIC_SIZE]) {
    static const uint8_t zero[NTLM_MIC_SIZE];
    const struct span spans[] = {
        negotiate,
        challenge,
        span_slice(authenticate, 0, NTLM_MIC_AT),
        {zero, sizeof zero},
        span_slice(authenticate, NTLM_MIC_AT + NTLM_MIC_SIZE, authenticate.size),
    };

    return authenticate.size >= NTLM_MIC_AT + NTLM_MIC_SIZE &&
           hmac_md5((struct span){key, NTLM_KEY_SIZE}, spans, 5, mic);
}

/* MD5 of a key and a sentence that the specification fixes, the sentence with its NUL. */
static bool key_from_sentence(struct span key, const char *sentence, uint8_t out[NTLM_KEY_SIZE]) {
    const struct span spans[] = {key, {(const uint8_t *)sentence, strlen(sentence) + 1}};

    return hash_md5(spans, 2, out);
}

/* [MS-NLMP] 3.4.5.2 */
bool ntlm_sign_key(const uint8_t key[NTLM_KEY_SIZE], enum ntlm_side side,
                   uint8_t out[NTLM_KEY_SIZE]) {
    static const char *const sentences[] = {
        "session key to client-to-server signing key magic constant",
        "session key to server-to-client signing key magic constant",
    };

    return key_from_sentence((struct span){key, NTLM_KEY_SIZE}, sentences[side], out);
}

/* [MS-NLMP] 3.4.5.3 */
bool ntlm_seal_key(const uint8_t key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_side side,
                   uint8_t out[NTLM_KEY_SIZE]) {
    static const char *const sentences[] = {
        "session key to client-to-server sealing key magic constant",
        "session key to server-to-client sealing key magic constant",
    };
    size_t used = flags & NTLM_128 ? 16 : flags & NTLM_56 ? 7 : 5;

    return key_from_sentence((struct span){key, used}, sentences[side], out);
}

/* The checksum is enciphered only where a key was exchanged. */
static bool sign_with(const uint8_t sign_key[NTLM_KEY_SIZE], const uint8_t *seal_key,
                      struct span message, uint8_t signature[NTLM_SIGNATURE_SIZE]) {
    static const uint8_t sequence[4];
    const struct span spans[] = {{sequence, sizeof sequence}, message};
    uint8_t checksum[MD5_SIZE];
    struct writer writer = writer_over(signature, NTLM_SIGNATURE_SIZE);

    if (!hmac_md5((struct span){sign_key, NTLM_KEY_SIZE}, spans, 2, checksum))
        return false;
    if (seal_key != NULL)
        rc4((struct span){seal_key, NTLM_KEY_SIZE}, (struct span){checksum, CHECKSUM_SIZE},
            checksum);
    writer_u32(&writer, 1); /* version */
    writer_put(&writer, (struct span){checksum, CHECKSUM_SIZE});
    writer_put(&writer, spans[0]);
    return true;
}

bool ntlm_sign(const uint8_t key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_side side,
               struct span message, uint8_t signature[NTLM_SIGNATURE_SIZE]) {
    uint8_t sign_key[NTLM_KEY_SIZE], seal_key[NTLM_KEY_SIZE];
    bool good = flags & NTLM_EXTENDED_SECURITY && ntlm_sign_key(key, side, sign_key) &&
                ntlm_seal_key(key, flags, side, seal_key) &&
                sign_with(sign_key, flags & NTLM_KEY_EXCH ? seal_key : NULL, message, signature);

    crypto_wipe(sign_key, sizeof sign_key);
    crypto_wipe(seal_key, sizeof seal_key);
    return good;
}

bool ntlm_signature_fits(const uint8_t key[NTLM_KEY_SIZE], uint32_t flags, enum ntlm_side side,
                         struct span message, struct span signature) {
    uint8_t expected[NTLM_SIGNATURE_SIZE];

    return signature.size == sizeof expected && ntlm_sign(key, flags, side, message, expected) &&
           crypto_equal(expected, signature.data, sizeof expected);
}

bool auth_ntlm_is_available(void) {
    uint8_t digest[MD5_SIZE];

    return hash_md5(NULL, 0, digest) &&
           hmac_md5((struct span){digest, sizeof digest}, NULL, 0, digest);
}

bool ntlm_fresh_take(struct ntlm_fresh *fresh) {
    fresh->time = auth_filetime_now();
    return crypto_random(fresh->challenge, sizeof fresh->challenge) &&
           crypto_random(fresh->key, sizeof fresh->key);
}
