/* NTLMv2, the server's part ([MS-NLMP] 3.2.5). */
#include <stdlib.h>
#include <string.h>

#include "auth/ntlm.h"
#include "auth/rc4.h"
#include "crypto/crypto.h"
#include "wire/messages.h"
#include "wire/text.h"

#define PAYLOAD_AT 56u /* in CHALLENGE: behind Version, which stays zero */
#define OFFERED                                                                                    \
    (NTLM_UNICODE | NTLM_SIGN | NTLM_SEAL | NTLM_NTLM | NTLM_ALWAYS_SIGN |                         \
     NTLM_EXTENDED_SECURITY | NTLM_128 | NTLM_KEY_EXCH | NTLM_56)

struct ntlm_acceptor {
    struct mechanism mechanism;
    const struct auth_acceptor_config *config;
    enum { WAIT_NEGOTIATE, WAIT_AUTHENTICATE, DONE } state;
    uint32_t flags;
    uint8_t challenge[NTLM_CHALLENGE_SIZE];
    /* Both messages as they went by, for the MIC, in one allocation. */
    uint8_t *messages;
    size_t negotiate_size, challenge_size;
};

static void acceptor_free(struct mechanism *mechanism) {
    struct ntlm_acceptor *acceptor = (struct ntlm_acceptor *)mechanism;

    free(acceptor->messages);
    crypto_wipe(acceptor, sizeof *acceptor);
    free(acceptor);
}

static struct span negotiate_message(const struct ntlm_acceptor *acceptor) {
    return (struct span){acceptor->messages, acceptor->negotiate_size};
}

static struct span challenge_message(const struct ntlm_acceptor *acceptor) {
    return (struct span){acceptor->messages + acceptor->negotiate_size, acceptor->challenge_size};
}

/* ---- CHALLENGE ---- */

static const char *or_else(const char *name, const char *otherwise) {
    return name != NULL ? name : otherwise;
}

static void put_name_pair(struct writer *writer, enum ntlm_av_id id, const char *name) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    struct writer text = writer_over(room, sizeof room);

    if (!text_to_utf16(text_span(name), &text))
        writer->failed = true;
    ntlm_av_put(writer, id, writer_done(&text));
}

/* With a timestamp, so that clients send a MIC. */
static void put_target_info(struct writer *writer, const struct auth_acceptor_config *config,
                            uint64_t time) {
    uint8_t stamp[sizeof time];
    struct writer stamped = writer_over(stamp, sizeof stamp);

    writer_u64(&stamped, time);
    put_name_pair(writer, NTLM_AV_NB_DOMAIN, or_else(config->domain, config->computer));
    put_name_pair(writer, NTLM_AV_NB_COMPUTER, config->computer);
    put_name_pair(writer, NTLM_AV_DNS_DOMAIN, or_else(config->dns_domain, ""));
    put_name_pair(writer, NTLM_AV_DNS_COMPUTER, or_else(config->dns_computer, config->computer));
    ntlm_av_put(writer, NTLM_AV_TIMESTAMP, writer_done(&stamped));
    ntlm_av_put(writer, NTLM_AV_EOL, (struct span){0});
}

static void put_field(struct writer *writer, size_t size, size_t offset) {
    writer_u16(writer, (uint16_t)size);
    writer_u16(writer, (uint16_t)size);
    writer_u32(writer, (uint32_t)offset);
}

static void put_challenge(struct ntlm_acceptor *acceptor, uint64_t time, struct writer *writer) {
    uint8_t name_room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)], info_room[NTLM_MESSAGE_MAX / 2];
    struct writer name = writer_over(name_room, sizeof name_room),
                  info = writer_over(info_room, sizeof info_room);

    put_target_info(&info, acceptor->config, time);
    if (acceptor->flags & NTLM_REQUEST_TARGET)
        text_to_utf16(text_span(acceptor->config->computer), &name);
    writer_put(writer, (struct span){(const uint8_t *)"NTLMSSP", 8});
    writer_u32(writer, 2);
    put_field(writer, name.at, PAYLOAD_AT);
    writer_u32(writer, acceptor->flags);
    writer_put(writer, (struct span){acceptor->challenge, NTLM_CHALLENGE_SIZE});
    writer_zero(writer, 8);
    put_field(writer, info.at, PAYLOAD_AT + name.at);
    writer_zero(writer, PAYLOAD_AT - writer->at);
    writer_put(writer, writer_done(&name));
    writer_put(writer, writer_done(&info));
    writer->failed |= name.failed || info.failed;
}

static bool keep_messages(struct ntlm_acceptor *acceptor, struct span negotiate,
                          struct span challenge) {
    acceptor->messages = malloc(negotiate.size + challenge.size);
    if (acceptor->messages == NULL)
        return false;
    memcpy(acceptor->messages, negotiate.data, negotiate.size);
    memcpy(acceptor->messages + negotiate.size, challenge.data, challenge.size);
    acceptor->negotiate_size = negotiate.size;
    acceptor->challenge_size = challenge.size;
    return true;
}

static enum auth_state take_negotiate(struct ntlm_acceptor *acceptor, struct span token,
                                      struct span *out) {
    struct ntlm_fresh fresh;
    uint8_t room[NTLM_MESSAGE_MAX];
    struct writer writer = writer_over(room, sizeof room);
    uint32_t flags;

    if (!ntlm_negotiate_decode(token, &flags))
        return mechanism_fail(&acceptor->mechanism, STATUS_INVALID_PARAMETER,
                              "the client's first NTLM message is malformed");
    if (!(flags & NTLM_UNICODE))
        return mechanism_fail(&acceptor->mechanism, STATUS_NOT_SUPPORTED,
                              "the client's NTLM does not know Unicode");
    if (!ntlm_fresh_take(&fresh))
        return mechanism_fail(&acceptor->mechanism, STATUS_INSUFFICIENT_RESOURCES,
                              "no randomness for the NTLM challenge");
    acceptor->flags = (flags & (OFFERED | NTLM_REQUEST_TARGET)) | NTLM_TARGET_INFO;
    if (flags & NTLM_REQUEST_TARGET)
        acceptor->flags |= NTLM_TARGET_TYPE_SERVER;
    memcpy(acceptor->challenge, fresh.challenge, NTLM_CHALLENGE_SIZE);
    put_challenge(acceptor, fresh.time, &writer);
    crypto_wipe(&fresh, sizeof fresh);
    if (writer.failed || !keep_messages(acceptor, token, writer_done(&writer)))
        return mechanism_fail(&acceptor->mechanism, STATUS_INSUFFICIENT_RESOURCES,
                              "no memory, or the server's own names are too long");
    acceptor->state = WAIT_AUTHENTICATE;
    *out = challenge_message(acceptor);
    return AUTH_CONTINUE;
}

/* ---- AUTHENTICATE ---- */

static bool is_anonymous(const struct ntlm_authenticate *authenticate) {
    return authenticate->user.size == 0 && authenticate->nt.size == 0 && authenticate->lm.size <= 1;
}

/* The name as the client wrote it; a name of the accounts file replaces it later. */
static bool take_names(struct mechanism *mechanism, const struct ntlm_authenticate *authenticate) {
    uint8_t room[AUTH_NAME_MAX - 1];
    struct writer user = writer_over(room, sizeof room), domain;

    if (!text_to_utf8(authenticate->user, &user) ||
        !auth_name_set(mechanism->user, writer_done(&user)))
        return false;
    domain = writer_over(room, sizeof room);
    return text_to_utf8(authenticate->domain, &domain) &&
           auth_name_set(mechanism->domain, writer_done(&domain));
}

static bool mic_fits(const struct ntlm_acceptor *acceptor, struct span message,
                     struct span av_pairs) {
    uint8_t expected[NTLM_MIC_SIZE];
    struct span value;

    if (!ntlm_av_find(av_pairs, NTLM_AV_FLAGS, &value) || value.size != 4 ||
        !(value.data[0] & NTLM_AV_FLAG_MIC))
        return true; /* not promised, and the proof covers that */
    return ntlm_mic(acceptor->mechanism.key, negotiate_message(acceptor),
                    challenge_message(acceptor), message, expected) &&
           crypto_equal(expected, message.data + NTLM_MIC_AT, sizeof expected);
}

/* The exported session key ([MS-NLMP] 3.2.5.1.2); false where the client's encrypted one is not
 * one. */
static bool settle_key(struct ntlm_acceptor *acceptor, const uint8_t base[NTLM_KEY_SIZE],
                       struct span encrypted) {
    struct mechanism *mechanism = &acceptor->mechanism;

    if (acceptor->flags & NTLM_KEY_EXCH) {
        if (encrypted.size != NTLM_KEY_SIZE)
            return false;
        rc4((struct span){base, NTLM_KEY_SIZE}, encrypted, mechanism->key);
    } else {
        memcpy(mechanism->key, base, NTLM_KEY_SIZE);
    }
    mechanism->key_size = NTLM_KEY_SIZE;
    return true;
}

/* The same work whether the account is known or not. */
static bool proof_fits(const struct ntlm_acceptor *acceptor,
                       const struct ntlm_authenticate *authenticate,
                       const struct ntlm_v2_response *response, const struct account *account,
                       uint8_t base[NTLM_KEY_SIZE]) {
    uint8_t key[NTLM_KEY_SIZE], proof[NTLM_KEY_SIZE];
    bool good =
        ntlm_response_key(account->nt_hash, authenticate->user, authenticate->domain, key) &&
        ntlm_proof(key, acceptor->challenge, response->temp, proof) &&
        ntlm_base_key(key, proof, base);
    bool fits = crypto_equal(proof, response->proof, sizeof proof);

    crypto_wipe(key, sizeof key);
    crypto_wipe(proof, sizeof proof);
    return good & fits;
}

static enum auth_state fail_logon(struct ntlm_acceptor *acceptor, const char *reason) {
    return mechanism_fail(&acceptor->mechanism, STATUS_LOGON_FAILURE, reason);
}

static enum auth_state complete(struct ntlm_acceptor *acceptor) {
    acceptor->state = DONE;
    return AUTH_COMPLETE;
}

static enum auth_state complete_guest(struct ntlm_acceptor *acceptor) {
    acceptor->mechanism.guest = true;
    return complete(acceptor);
}

/* Who is proven by now: is the account good, and the message what he sent? */
static enum auth_state settle(struct ntlm_acceptor *acceptor, struct span token,
                              const struct ntlm_authenticate *authenticate,
                              const struct ntlm_v2_response *response,
                              const struct account *account, const uint8_t base[NTLM_KEY_SIZE]) {
    acceptor->flags &= authenticate->flags | ~(uint32_t)(NTLM_KEY_EXCH | NTLM_128 | NTLM_56);
    if (!settle_key(acceptor, base, authenticate->session_key))
        return mechanism_fail(&acceptor->mechanism, STATUS_INVALID_PARAMETER,
                              "the client's encrypted session key has not 16 octets");
    if (!mic_fits(acceptor, token, response->av_pairs))
        return mechanism_fail(
            &acceptor->mechanism, STATUS_INVALID_PARAMETER,
            "the NTLM messages were changed on their way: their MIC does not fit");
    if (account->disabled)
        return mechanism_fail(&acceptor->mechanism, STATUS_ACCOUNT_DISABLED,
                              "the account is disabled");
    memcpy(acceptor->mechanism.user, account->name, sizeof account->name);
    acceptor->mechanism.has_account = true;
    return complete(acceptor);
}

/* "alice@example.org" is alice, where it is not a name of its own. */
static bool find_account(struct accounts *accounts, struct span user, struct account *account) {
    size_t at = 0;

    if (accounts_find(accounts, user, account))
        return true;
    while (at + 1 < user.size && (user.data[at] != '@' || user.data[at + 1] != 0))
        at += 2;
    return accounts_find(accounts, span_slice(user, 0, at), account);
}

static bool pairs_are_whole(struct span av_pairs) {
    struct reader reader = reader_over(av_pairs);
    struct span value;
    uint16_t id;

    while (ntlm_av_next(&reader, &id, &value))
        continue;
    return !reader.failed;
}

static enum auth_state check_proof(struct ntlm_acceptor *acceptor, struct span token,
                                   const struct ntlm_authenticate *authenticate) {
    struct ntlm_v2_response response;
    struct account account;
    uint8_t base[NTLM_KEY_SIZE];
    bool known, fits;
    enum auth_state state;

    if (!ntlm_v2_response_decode(authenticate->nt, &response))
        return fail_logon(acceptor, "the client answers with something older than NTLMv2");
    if (!pairs_are_whole(response.av_pairs))
        return mechanism_fail(&acceptor->mechanism, STATUS_INVALID_PARAMETER,
                              "the client's NTLMv2 response is malformed");
    known = find_account(acceptor->config->accounts, authenticate->user, &account);
    fits = proof_fits(acceptor, authenticate, &response, &account, base);
    if (known & fits)
        state = settle(acceptor, token, authenticate, &response, &account, base);
    else if (!known && acceptor->config->allow_guest)
        state = complete_guest(acceptor);
    else
        state = fail_logon(acceptor, "the user is not known or the password is wrong");
    crypto_wipe(&account, sizeof account);
    crypto_wipe(base, sizeof base);
    return state;
}

static enum auth_state take_authenticate(struct ntlm_acceptor *acceptor, struct span token) {
    struct ntlm_authenticate authenticate;

    if (!ntlm_authenticate_decode(token, &authenticate) ||
        !take_names(&acceptor->mechanism, &authenticate))
        return mechanism_fail(&acceptor->mechanism, STATUS_INVALID_PARAMETER,
                              "the client's last NTLM message is malformed");
    if (!is_anonymous(&authenticate))
        return check_proof(acceptor, token, &authenticate);
    if (!acceptor->config->allow_anonymous)
        return fail_logon(acceptor, "anonymous logons are not allowed");
    acceptor->mechanism.anonymous = true;
    acceptor->mechanism.domain[0] = '\0';
    return complete(acceptor);
}

static enum auth_state acceptor_step(struct mechanism *mechanism, struct span token,
                                     struct span *out) {
    struct ntlm_acceptor *acceptor = (struct ntlm_acceptor *)mechanism;

    *out = (struct span){0};
    switch (acceptor->state) {
    case WAIT_NEGOTIATE:
        return take_negotiate(acceptor, token, out);
    case WAIT_AUTHENTICATE:
        return take_authenticate(acceptor, token);
    case DONE:
        break;
    }
    return mechanism_fail(mechanism, STATUS_INVALID_PARAMETER, "one NTLM message too many");
}

static bool acceptor_sign(struct mechanism *mechanism, struct span message, struct writer *mic) {
    const struct ntlm_acceptor *acceptor = (struct ntlm_acceptor *)mechanism;
    uint8_t signature[NTLM_SIGNATURE_SIZE];

    if (mechanism->key_size == 0 ||
        !ntlm_sign(mechanism->key, acceptor->flags, NTLM_SERVER, message, signature))
        return false;
    writer_put(mic, (struct span){signature, sizeof signature});
    return !mic->failed;
}

static bool acceptor_verify(struct mechanism *mechanism, struct span message, struct span mic) {
    const struct ntlm_acceptor *acceptor = (struct ntlm_acceptor *)mechanism;

    return mechanism->key_size > 0 &&
           ntlm_signature_fits(mechanism->key, acceptor->flags, NTLM_CLIENT, message, mic);
}

struct mechanism *ntlm_acceptor_new(const struct auth_acceptor_config *config) {
    static const struct mechanism_methods methods = {"NTLMv2", acceptor_free, acceptor_step,
                                                     acceptor_sign, acceptor_verify};
    struct ntlm_acceptor *acceptor = calloc(1, sizeof *acceptor);

    if (acceptor == NULL)
        return NULL;
    acceptor->mechanism.methods = &methods;
    acceptor->config = config;
    return &acceptor->mechanism;
}
