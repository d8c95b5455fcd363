/* The keys of a session ([MS-SMB2] 3.1.4.2, 3.2.5.3.1, 3.3.5.5.3).
 *
 * They are derived once, when the session is set up for the first time; reauthentication does not
 * change them (3.2.5.3.2, 3.3.5.5.2). A guest or anonymous session has none: nobody may sign with a
 * key that everybody knows. */
#ifndef SMBPROOF_CORE_KEYS_H
#define SMBPROOF_CORE_KEYS_H

#include "core/preauth.h"

#define SESSION_KEY_SIZE 16u /* octets: Session.SessionKey and every key but those of AES-256 */
/* The longest key taken from an authentication, in octets. Kerberos has at most 32 today. */
#define FULL_SESSION_KEY_MAX 64u

struct session_keys {
    uint8_t session[SESSION_KEY_SIZE]; /* Session.SessionKey */
    uint8_t signing[SESSION_KEY_SIZE]; /* Session.SigningKey; below 3.0 the same as `session` */
    /* Session.ApplicationKey, for the protocols above; below 3.0 the same as `session`. */
    uint8_t application[SESSION_KEY_SIZE];
    size_t cipher_size; /* octets of each of the next two; 0: the connection has no cipher */
    uint8_t client_to_server[AEAD_KEY_MAX]; /* EncryptionKey of the client, DecryptionKey of the
                                               server */
    uint8_t server_to_client[AEAD_KEY_MAX]; /* the other way */
};

/* Derives all keys of a session. `full_key` is what the authentication yielded, untruncated
 * (FullSessionKey); `cipher` is Connection.CipherId as in negotiation_agreed, 0 where there is
 * none; `preauth` is the session's hash after the last SESSION_SETUP request, needed on 3.1.1 and
 * ignored elsewhere.
 *
 * False, and all keys zero: the key is empty, longer than FULL_SESSION_KEY_MAX or all zeros, the
 * dialect is unknown, it does not have that cipher, or the derivation failed. */
bool session_keys_derive(struct session_keys *keys, uint16_t dialect, uint16_t cipher,
                         struct span full_key, const struct preauth *preauth);

/* Channel.SigningKey of a further connection that a 3.x session was bound to: from the key that the
 * binding's authentication yielded and the binding's hash. The cipher keys belong to the session
 * and stay. False as above. */
bool channel_key_derive(uint8_t signing[SESSION_KEY_SIZE], uint16_t dialect, struct span full_key,
                        const struct preauth *preauth);

void session_keys_wipe(struct session_keys *keys);

#endif
