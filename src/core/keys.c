#include "core/keys.h"

#include <assert.h>
#include <string.h>

enum dialect_family { FAMILY_UNKNOWN, FAMILY_2X, FAMILY_30, FAMILY_311 };

static enum dialect_family dialect_family(uint16_t dialect) {
    switch (dialect) {
    case 0x0202:
    case 0x0210:
        return FAMILY_2X;
    case 0x0300:
    case 0x0302:
        return FAMILY_30;
    case 0x0311:
        return FAMILY_311;
    }
    return FAMILY_UNKNOWN;
}

enum purpose {
    PURPOSE_SIGNING,
    PURPOSE_CLIENT_TO_SERVER,
    PURPOSE_SERVER_TO_CLIENT,
    PURPOSE_APPLICATION
};

/* Labels and contexts end in a zero octet that is hashed with them ([MS-SMB2] 3.1.4.2): the one
 * that C puts at the end of a literal. */
#define TEXT(literal)                                                                              \
    { (const uint8_t *)(literal), sizeof(literal) }

struct derivation_text {
    struct span label;
    struct span context;
};

static const struct derivation_text texts_30[] = {
    [PURPOSE_SIGNING] = {TEXT("SMB2AESCMAC"), TEXT("SmbSign")},
    /* The blank is part of it. */
    [PURPOSE_CLIENT_TO_SERVER] = {TEXT("SMB2AESCCM"), TEXT("ServerIn ")},
    [PURPOSE_SERVER_TO_CLIENT] = {TEXT("SMB2AESCCM"), TEXT("ServerOut")},
    [PURPOSE_APPLICATION] = {TEXT("SMB2APP"), TEXT("SmbRpc")},
};

/* 3.1.1: the context is the session's preauthentication hash. */
static const struct span labels_311[] = {
    [PURPOSE_SIGNING] = TEXT("SMBSigningKey"),
    [PURPOSE_CLIENT_TO_SERVER] = TEXT("SMBC2SCipherKey"),
    [PURPOSE_SERVER_TO_CLIENT] = TEXT("SMBS2CCipherKey"),
    [PURPOSE_APPLICATION] = TEXT("SMBAppKey"),
};

/* What all keys of one session have in common. */
struct derivation {
    enum dialect_family family;
    struct span hash; /* 3.1.1 */
};

static struct derivation derivation_for(uint16_t dialect, const struct preauth *preauth) {
    struct derivation derivation = {.family = dialect_family(dialect)};

    if (derivation.family == FAMILY_311) {
        assert(preauth);
        derivation.hash = (struct span){preauth->value, sizeof(preauth->value)};
    }
    return derivation;
}

static bool purpose_derive(const struct derivation *derivation, enum purpose purpose,
                           struct span key, uint8_t *out, size_t size) {
    if (derivation->family == FAMILY_311)
        return key_derive(key, labels_311[purpose], derivation->hash, out, size);
    return key_derive(key, texts_30[purpose].label, texts_30[purpose].context, out, size);
}

/* Session.SessionKey: the first 16 octets, zeros behind a shorter key. False where there is no key
 * to speak of. */
static bool session_key_cut(struct span full_key, uint8_t session[SESSION_KEY_SIZE]) {
    uint8_t any = 0;

    memset(session, 0, SESSION_KEY_SIZE);
    if (full_key.size == 0 || full_key.size > FULL_SESSION_KEY_MAX)
        return false;
    memcpy(session, full_key.data,
           full_key.size < SESSION_KEY_SIZE ? full_key.size : SESSION_KEY_SIZE);
    for (size_t i = 0; i < SESSION_KEY_SIZE; i++)
        any |= session[i];
    return any != 0;
}

/* Before 3.1.1 there is one cipher only (3.1.4.3), and before 3.0 none. */
static bool cipher_fits(enum dialect_family family, uint16_t cipher) {
    if (cipher == 0)
        return true;
    if (family == FAMILY_311)
        return aead_key_size(cipher) > 0;
    return family == FAMILY_30 && cipher == AEAD_AES_128_CCM;
}

/* Only AES-256 is keyed from the whole of what the authentication yielded (Session.FullSessionKey),
 * and only its keys have L = 256; the text of 3.1.4.2 reads as if every key had, but signing and
 * application keys have 128 bits in 3.2.1.3 and 3.3.1.8 and on the wire. */
static bool cipher_keys_derive(struct session_keys *keys, const struct derivation *derivation,
                               uint16_t cipher, struct span full_key) {
    size_t size = aead_key_size(cipher);
    bool takes_full = size > SESSION_KEY_SIZE && full_key.size > SESSION_KEY_SIZE;
    struct span key = takes_full ? full_key : (struct span){keys->session, SESSION_KEY_SIZE};

    keys->cipher_size = size;
    if (size == 0)
        return true;
    return purpose_derive(derivation, PURPOSE_CLIENT_TO_SERVER, key, keys->client_to_server,
                          size) &&
           purpose_derive(derivation, PURPOSE_SERVER_TO_CLIENT, key, keys->server_to_client, size);
}

static bool keys_derive(struct session_keys *keys, const struct derivation *derivation,
                        uint16_t cipher, struct span full_key) {
    struct span session = {keys->session, SESSION_KEY_SIZE};

    if (derivation->family == FAMILY_UNKNOWN || !cipher_fits(derivation->family, cipher) ||
        !session_key_cut(full_key, keys->session))
        return false;
    if (derivation->family == FAMILY_2X) {
        memcpy(keys->signing, keys->session, SESSION_KEY_SIZE);
        memcpy(keys->application, keys->session, SESSION_KEY_SIZE);
        return true;
    }
    return purpose_derive(derivation, PURPOSE_SIGNING, session, keys->signing, SESSION_KEY_SIZE) &&
           purpose_derive(derivation, PURPOSE_APPLICATION, session, keys->application,
                          SESSION_KEY_SIZE) &&
           cipher_keys_derive(keys, derivation, cipher, full_key);
}

bool session_keys_derive(struct session_keys *keys, uint16_t dialect, uint16_t cipher,
                         struct span full_key, const struct preauth *preauth) {
    assert(keys);
    const struct derivation derivation = derivation_for(dialect, preauth);

    memset(keys, 0, sizeof(*keys));
    if (keys_derive(keys, &derivation, cipher, full_key))
        return true;
    session_keys_wipe(keys);
    return false;
}

/* [MS-SMB2] 3.2.5.3.3 prints the labels of 3.0 for 3.1.1 too; 3.3.5.5.3 and the traffic have those
 * of 3.1.1. */
bool channel_key_derive(uint8_t signing[SESSION_KEY_SIZE], uint16_t dialect, struct span full_key,
                        const struct preauth *preauth) {
    assert(signing);
    const struct derivation derivation = derivation_for(dialect, preauth);
    uint8_t session[SESSION_KEY_SIZE];
    bool is_3x = derivation.family == FAMILY_30 || derivation.family == FAMILY_311;
    bool good = is_3x && session_key_cut(full_key, session) &&
                purpose_derive(&derivation, PURPOSE_SIGNING,
                               (struct span){session, SESSION_KEY_SIZE}, signing, SESSION_KEY_SIZE);

    crypto_wipe(session, sizeof(session));
    if (!good)
        crypto_wipe(signing, SESSION_KEY_SIZE);
    return good;
}

void session_keys_wipe(struct session_keys *keys) {
    crypto_wipe(keys, sizeof(*keys));
}
