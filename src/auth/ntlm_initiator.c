/* NTLMv2, the client's part ([MS-NLMP] 3.1.5). */
#include <stdlib.h>
#include <string.h>

#include "auth/ntlm.h"
#include "auth/rc4.h"
#include "crypto/crypto.h"
#include "wire/messages.h"
#include "wire/text.h"

#define NEGOTIATE_SIZE 40u /* without names */
#define PAYLOAD_AT     88u /* in AUTHENTICATE: behind Version and MIC */
#define LM_SIZE        24u /* of zeros: no LM response */
#define WANTED                                                                                     \
    (NTLM_UNICODE | NTLM_REQUEST_TARGET | NTLM_SIGN | NTLM_SEAL | NTLM_NTLM | NTLM_ALWAYS_SIGN |   \
     NTLM_EXTENDED_SECURITY | NTLM_TARGET_INFO | NTLM_VERSION | NTLM_128 | NTLM_KEY_EXCH |         \
     NTLM_56)
/* Without these the server is older than NTLMv2, or somebody pretends that it is. */
#define NEEDED (NTLM_UNICODE | NTLM_EXTENDED_SECURITY)

struct ntlm_initiator {
    struct mechanism mechanism;
    const struct auth_credentials *credentials;
    struct ntlm_fresh fresh;
    enum { START, WAIT_CHALLENGE, DONE } state;
    uint32_t flags;
    uint8_t negotiate[NEGOTIATE_SIZE];
    uint8_t message[NTLM_MESSAGE_MAX]; /* AUTHENTICATE */
};

static void initiator_free(struct mechanism *mechanism) {
    crypto_wipe(mechanism, sizeof(struct ntlm_initiator));
    free(mechanism);
}

/* Some servers look for the MIC only behind a Version: one of no system in particular, as Samba has
 * it, with the revision of NTLMSSP that everybody means. */
static void put_version(struct writer *writer) {
    static const uint8_t version[] = {6, 1, 0, 0, 0, 0, 0, 15};

    writer_put(writer, (struct span){version, sizeof version});
}

static struct span put_negotiate(struct ntlm_initiator *initiator) {
    struct writer writer = writer_over(initiator->negotiate, NEGOTIATE_SIZE);

    writer_put(&writer, (struct span){(const uint8_t *)"NTLMSSP", 8});
    writer_u32(&writer, 1);
    writer_u32(&writer, WANTED);
    writer_zero(&writer, 16); /* neither domain nor workstation */
    put_version(&writer);
    return writer_done(&writer);
}

/* What the proof is over: the server's AV pairs, and our own ones behind them
 * ([MS-NLMP] 3.1.5.1.2). */
struct temp {
    uint8_t data[NTLM_MESSAGE_MAX / 2];
    size_t size;
};

static void put_server_pairs(struct writer *writer, struct span pairs, struct ntlm_fresh *fresh) {
    struct reader reader = reader_over(pairs);
    struct span value;
    uint16_t id;

    while (ntlm_av_next(&reader, &id, &value)) {
        if (id == NTLM_AV_FLAGS || id == NTLM_AV_TARGET_NAME || id == NTLM_AV_CHANNEL_BINDINGS)
            continue;
        if (id == NTLM_AV_TIMESTAMP && value.size == sizeof fresh->time) {
            struct reader time = reader_over(value);

            fresh->time = reader_u64(&time);
        }
        ntlm_av_put(writer, (enum ntlm_av_id)id, value);
    }
    if (reader.failed && pairs.size > 0)
        writer->failed = true;
}

static void put_target_name(struct writer *writer, const char *host) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    struct writer name = writer_over(room, sizeof room);

    text_to_utf16(text_span("cifs/"), &name);
    text_to_utf16(text_span(host), &name);
    writer->failed |= name.failed;
    ntlm_av_put(writer, NTLM_AV_TARGET_NAME, writer_done(&name));
}

static bool make_temp(struct ntlm_initiator *initiator, struct span server_pairs,
                      struct temp *temp) {
    static const uint8_t no_bindings[16], mic_follows[4] = {NTLM_AV_FLAG_MIC};
    const char *host = initiator->credentials->host;
    struct writer writer = writer_over(temp->data, sizeof temp->data);
    uint8_t pairs_room[NTLM_MESSAGE_MAX / 2];
    struct writer pairs = writer_over(pairs_room, sizeof pairs_room);

    put_server_pairs(&pairs, server_pairs, &initiator->fresh);
    ntlm_av_put(&pairs, NTLM_AV_FLAGS, (struct span){mic_follows, sizeof mic_follows});
    ntlm_av_put(&pairs, NTLM_AV_CHANNEL_BINDINGS, (struct span){no_bindings, sizeof no_bindings});
    if (host != NULL && host[0] != '\0')
        put_target_name(&pairs, host);
    ntlm_av_put(&pairs, NTLM_AV_EOL, (struct span){0});

    writer_u64(&writer, 0x0101);
    writer_u64(&writer, initiator->fresh.time);
    writer_put(&writer, (struct span){initiator->fresh.challenge, NTLM_CHALLENGE_SIZE});
    writer_u32(&writer, 0);
    writer_put(&writer, writer_done(&pairs));
    writer_u32(&writer, 0);
    temp->size = writer.at;
    return !pairs.failed && !writer.failed;
}

/* Everything of AUTHENTICATE but its MIC. */
struct answer {
    struct span lm, nt, domain, user, session_key;
    uint32_t flags;
};

static void put_field(struct writer *writer, struct span value, uint32_t *offset) {
    writer_u16(writer, (uint16_t)value.size);
    writer_u16(writer, (uint16_t)value.size);
    writer_u32(writer, *offset);
    *offset += (uint32_t)value.size;
}

/* The names first, so that they lie at even offsets. */
static struct span put_authenticate(struct ntlm_initiator *initiator, const struct answer *answer) {
    struct writer writer = writer_over(initiator->message, sizeof initiator->message);
    uint32_t names = PAYLOAD_AT, workstation = PAYLOAD_AT,
             rest = PAYLOAD_AT + (uint32_t)(answer->domain.size + answer->user.size);

    writer_put(&writer, (struct span){(const uint8_t *)"NTLMSSP", 8});
    writer_u32(&writer, 3);
    put_field(&writer, answer->lm, &rest);
    put_field(&writer, answer->nt, &rest);
    put_field(&writer, answer->domain, &names);
    put_field(&writer, answer->user, &names);
    put_field(&writer, (struct span){0}, &workstation);
    put_field(&writer, answer->session_key, &rest);
    writer_u32(&writer, answer->flags);
    put_version(&writer);
    writer_zero(&writer, PAYLOAD_AT - writer.at);
    writer_put(&writer, answer->domain);
    writer_put(&writer, answer->user);
    writer_put(&writer, answer->lm);
    writer_put(&writer, answer->nt);
    writer_put(&writer, answer->session_key);
    return writer_done(&writer);
}

static enum auth_state answer_anonymous(struct ntlm_initiator *initiator, struct span *out) {
    static const uint8_t lm[1];
    const struct answer answer = {.lm = {lm, sizeof lm},
                                  .flags = (initiator->flags & ~NTLM_KEY_EXCH) | NTLM_ANONYMOUS};

    *out = put_authenticate(initiator, &answer);
    initiator->mechanism.anonymous = true;
    initiator->state = DONE;
    return AUTH_COMPLETE;
}

static bool response_key(const struct auth_credentials *credentials, struct span user,
                         struct span domain, uint8_t key[NTLM_KEY_SIZE]) {
    uint8_t hash[AUTH_NT_HASH_SIZE];
    bool good;

    if (credentials->nt_hash != NULL)
        return ntlm_response_key(credentials->nt_hash, user, domain, key);
    good = ntlm_hash(credentials->password, hash) && ntlm_response_key(hash, user, domain, key);
    crypto_wipe(hash, sizeof hash);
    return good;
}

/* Where a key is exchanged it is a random one, sent under the key that the proof yields. */
static void settle_key(struct ntlm_initiator *initiator, const uint8_t base[NTLM_KEY_SIZE],
                       uint8_t sent[NTLM_KEY_SIZE], struct answer *answer) {
    struct mechanism *mechanism = &initiator->mechanism;

    mechanism->key_size = NTLM_KEY_SIZE;
    if (!(initiator->flags & NTLM_KEY_EXCH)) {
        memcpy(mechanism->key, base, NTLM_KEY_SIZE);
        return;
    }
    memcpy(mechanism->key, initiator->fresh.key, NTLM_KEY_SIZE);
    rc4((struct span){base, NTLM_KEY_SIZE}, (struct span){mechanism->key, NTLM_KEY_SIZE}, sent);
    answer->session_key = (struct span){sent, NTLM_KEY_SIZE};
}

static bool answer_with(struct ntlm_initiator *initiator, struct span message,
                        const struct ntlm_challenge *challenge,
                        const uint8_t response_key[NTLM_KEY_SIZE], struct answer *answer,
                        struct span *out) {
    static const uint8_t lm[LM_SIZE];
    struct temp temp;
    uint8_t nt[NTLM_KEY_SIZE + sizeof temp.data], base[NTLM_KEY_SIZE], sent[NTLM_KEY_SIZE];
    bool good =
        make_temp(initiator, challenge->target_info, &temp) &&
        ntlm_proof(response_key, challenge->challenge, (struct span){temp.data, temp.size}, nt) &&
        ntlm_base_key(response_key, nt, base);

    if (good)
        settle_key(initiator, base, sent, answer);
    crypto_wipe(base, sizeof base);
    if (!good)
        return false;
    memcpy(nt + NTLM_KEY_SIZE, temp.data, temp.size);
    answer->lm = (struct span){lm, sizeof lm};
    answer->nt = (struct span){nt, NTLM_KEY_SIZE + temp.size};
    answer->flags = initiator->flags;
    *out = put_authenticate(initiator, answer);
    return out->size > 0 &&
           ntlm_mic(initiator->mechanism.key, (struct span){initiator->negotiate, NEGOTIATE_SIZE},
                    message, *out, initiator->message + NTLM_MIC_AT);
}

static enum auth_state answer_challenge(struct ntlm_initiator *initiator, struct span message,
                                        const struct ntlm_challenge *challenge, struct span *out) {
    const struct auth_credentials *credentials = initiator->credentials;
    uint8_t user_room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)], domain_room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    uint8_t key[NTLM_KEY_SIZE];
    struct writer user = writer_over(user_room, sizeof user_room),
                  domain = writer_over(domain_room, sizeof domain_room);
    struct answer answer = {0};

    if (!text_to_utf16(text_span(credentials->user), &user) ||
        !text_to_utf16(text_span(credentials->domain), &domain))
        return mechanism_fail(&initiator->mechanism, STATUS_INVALID_PARAMETER,
                              "the user's or the domain's name is too long or not UTF-8");
    answer.user = writer_done(&user);
    answer.domain = writer_done(&domain);
    if (!response_key(credentials, answer.user, answer.domain, key))
        return mechanism_fail(&initiator->mechanism, STATUS_INVALID_PARAMETER,
                              "the password is too long or not UTF-8, or the system forbids MD5");
    bool good = answer_with(initiator, message, challenge, key, &answer, out);
    crypto_wipe(key, sizeof key);
    if (!good)
        return mechanism_fail(
            &initiator->mechanism, STATUS_INVALID_PARAMETER,
            "the server's NTLM challenge cannot be answered: it is malformed or too long");
    initiator->state = DONE;
    return AUTH_COMPLETE;
}

static enum auth_state take_challenge(struct ntlm_initiator *initiator, struct span token,
                                      struct span *out) {
    struct ntlm_challenge challenge;

    if (!ntlm_challenge_decode(token, &challenge))
        return mechanism_fail(&initiator->mechanism, STATUS_INVALID_PARAMETER,
                              "the server's NTLM challenge is malformed");
    if ((challenge.flags & NEEDED) != NEEDED)
        return mechanism_fail(&initiator->mechanism, STATUS_NOT_SUPPORTED,
                              "the server does not know NTLMv2 with extended session security");
    initiator->flags = (challenge.flags & WANTED) | NTLM_VERSION;
    if (initiator->credentials->method == AUTH_METHOD_ANONYMOUS)
        return answer_anonymous(initiator, out);
    return answer_challenge(initiator, token, &challenge, out);
}

static enum auth_state initiator_step(struct mechanism *mechanism, struct span token,
                                      struct span *out) {
    struct ntlm_initiator *initiator = (struct ntlm_initiator *)mechanism;

    switch (initiator->state) {
    case START:
        *out = put_negotiate(initiator);
        initiator->state = WAIT_CHALLENGE;
        return AUTH_CONTINUE;
    case WAIT_CHALLENGE:
        return take_challenge(initiator, token, out);
    case DONE:
        break;
    }
    return mechanism_fail(mechanism, STATUS_INVALID_PARAMETER, "one NTLM message too many");
}

static bool initiator_sign(struct mechanism *mechanism, struct span message, struct writer *mic) {
    const struct ntlm_initiator *initiator = (struct ntlm_initiator *)mechanism;
    uint8_t signature[NTLM_SIGNATURE_SIZE];

    if (mechanism->key_size == 0 ||
        !ntlm_sign(mechanism->key, initiator->flags, NTLM_CLIENT, message, signature))
        return false;
    writer_put(mic, (struct span){signature, sizeof signature});
    return !mic->failed;
}

static bool initiator_verify(struct mechanism *mechanism, struct span message, struct span mic) {
    const struct ntlm_initiator *initiator = (struct ntlm_initiator *)mechanism;

    return mechanism->key_size > 0 &&
           ntlm_signature_fits(mechanism->key, initiator->flags, NTLM_SERVER, message, mic);
}

struct mechanism *ntlm_initiator_new(const struct auth_credentials *credentials) {
    static const struct mechanism_methods methods = {"NTLMv2", initiator_free, initiator_step,
                                                     initiator_sign, initiator_verify};
    struct ntlm_initiator *initiator = calloc(1, sizeof *initiator);

    if (initiator == NULL)
        return NULL;
    initiator->mechanism.methods = &methods;
    initiator->credentials = credentials;
    if (!ntlm_fresh_take(&initiator->fresh)) {
        mechanism_free(&initiator->mechanism);
        return NULL;
    }
    return &initiator->mechanism;
}
