/* SPNEGO, the client's part ([RFC4178] 4, [MS-SPNG] 3.1.5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/kerberos.h"
#include "auth/ntlm.h"
#include "auth/spnego.h"
#include "crypto/crypto.h"

#define OFFERS_MAX 2u

struct auth_initiator {
    struct auth_credentials credentials;
    enum { START, FIRST_ANSWER, GO_ON, FINISHED } state;
    unsigned legs;
    struct {
        enum spnego_mechanism name;
        struct mechanism *mechanism;
    } offers[OFFERS_MAX]; /* in the order of preference */
    size_t offers_count;
    struct mechanism *chosen;
    bool mechanism_complete;
    bool mic_needed; /* the choice is not what we preferred, or the server asks */
    bool mic_sent, mic_verified;
    uint8_t *out; /* what was given out last */
    char reason[MECHANISM_REASON_MAX];
};

struct auth_initiator *auth_initiator_new(const struct auth_credentials *credentials) {
    struct auth_initiator *initiator = calloc(1, sizeof *initiator);

    if (initiator != NULL)
        initiator->credentials = *credentials;
    return initiator;
}

void auth_initiator_free(struct auth_initiator *initiator) {
    if (initiator == NULL)
        return;
    for (size_t i = 0; i < initiator->offers_count; i++)
        mechanism_free(initiator->offers[i].mechanism);
    free(initiator->out);
    crypto_wipe(initiator, sizeof *initiator);
    free(initiator);
}

static enum auth_state fail(struct auth_initiator *initiator, const char *reason) {
    if (reason != initiator->reason)
        snprintf(initiator->reason, sizeof initiator->reason, "%s", reason);
    initiator->state = FINISHED;
    return AUTH_FAILED;
}

/* Room for a token around one of so many octets. The last one is given up. */
static bool out_begin(struct auth_initiator *initiator, size_t inner, struct writer *writer) {
    free(initiator->out);
    initiator->out = malloc(inner + SPNEGO_OVERHEAD_MAX);
    *writer = writer_over(initiator->out, initiator->out ? inner + SPNEGO_OVERHEAD_MAX : 0);
    return initiator->out != NULL;
}

static bool out_end(const struct writer *writer, struct span *out) {
    *out = writer_done(writer);
    return out->size > 0 && out->size <= AUTH_TOKEN_MAX;
}

/* ---- the offer ---- */

static void offer(struct auth_initiator *initiator, enum spnego_mechanism name,
                  struct mechanism *mechanism) {
    if (mechanism == NULL)
        return;
    initiator->offers[initiator->offers_count].name = name;
    initiator->offers[initiator->offers_count++].mechanism = mechanism;
}

static bool can_ntlm(const struct auth_credentials *credentials) {
    if (credentials->method == AUTH_METHOD_KERBEROS)
        return false;
    return credentials->method == AUTH_METHOD_ANONYMOUS || credentials->password != NULL ||
           credentials->nt_hash != NULL;
}

/* Kerberos is offered only with its token in hand, so whoever has no ticket offers NTLM alone. */
static bool make_offers(struct auth_initiator *initiator, struct span *token) {
    const struct auth_credentials *credentials = &initiator->credentials;
    struct mechanism *kerberos = NULL, *ntlm = NULL;

    if (credentials->method == AUTH_METHOD_ANY || credentials->method == AUTH_METHOD_KERBEROS)
        kerberos = kerberos_initiator_new(credentials);
    if (kerberos != NULL &&
        kerberos->methods->step(kerberos, (struct span){0}, token) == AUTH_FAILED) {
        memcpy(initiator->reason, kerberos->reason, sizeof initiator->reason);
        mechanism_free(kerberos);
        kerberos = NULL;
    }
    if (can_ntlm(credentials) && !auth_ntlm_is_available())
        strcpy(initiator->reason,
               "this system's policy forbids MD5, without which there is no NTLM");
    else if (can_ntlm(credentials))
        ntlm = ntlm_initiator_new(credentials);
    if (ntlm != NULL && kerberos == NULL)
        ntlm->methods->step(ntlm, (struct span){0}, token);
    offer(initiator, SPNEGO_KERBEROS, kerberos);
    offer(initiator, SPNEGO_NTLM, ntlm);
    return initiator->offers_count > 0;
}

static size_t offered_names(const struct auth_initiator *initiator,
                            enum spnego_mechanism names[OFFERS_MAX]) {
    for (size_t i = 0; i < initiator->offers_count; i++)
        names[i] = initiator->offers[i].name;
    return initiator->offers_count;
}

static enum auth_state start(struct auth_initiator *initiator, struct span *out) {
    struct spnego_init init = {0};
    struct writer writer;

    if (!make_offers(initiator, &init.token))
        return fail(initiator, initiator->reason[0] != '\0'
                                   ? initiator->reason
                                   : "there is neither a Kerberos ticket nor a password");
    initiator->reason[0] = '\0';
    init.count = offered_names(initiator, init.mechanisms);
    if (!out_begin(initiator, init.token.size, &writer) || !spnego_init_encode(&init, &writer) ||
        !out_end(&writer, out))
        return fail(initiator, "no memory, or a Kerberos ticket that is too long");
    initiator->state = FIRST_ANSWER;
    return AUTH_CONTINUE;
}

/* ---- the server's answers ---- */

/* Which mechanism goes on. NULL: none that was offered. */
static struct mechanism *choose(struct auth_initiator *initiator,
                                const struct spnego_response *response) {
    enum spnego_mechanism wanted = response->mechanism;

    if (!response->has_mechanism)
        return initiator->offers[0].mechanism;
    if (wanted == SPNEGO_MS_KERBEROS)
        wanted = SPNEGO_KERBEROS;
    for (size_t i = 0; i < initiator->offers_count; i++)
        if (initiator->offers[i].name == wanted)
            return initiator->offers[i].mechanism;
    return NULL;
}

static bool list_put(const struct auth_initiator *initiator, struct writer *writer) {
    enum spnego_mechanism names[OFFERS_MAX];
    size_t count = offered_names(initiator, names);

    spnego_list_put(names, count, writer);
    return !writer->failed;
}

static bool mic_put(struct auth_initiator *initiator, struct writer *mic) {
    uint8_t room[SPNEGO_OVERHEAD_MAX];
    struct writer list = writer_over(room, sizeof room);

    return list_put(initiator, &list) &&
           initiator->chosen->methods->sign(initiator->chosen, writer_done(&list), mic);
}

static bool mic_fits(struct auth_initiator *initiator, struct span mic) {
    uint8_t room[SPNEGO_OVERHEAD_MAX];
    struct writer list = writer_over(room, sizeof room);

    return list_put(initiator, &list) &&
           initiator->chosen->methods->verify(initiator->chosen, writer_done(&list), mic);
}

/* The next token of ours: the mechanism's, and our MIC once there is a key. */
static enum auth_state answer(struct auth_initiator *initiator, struct span token,
                              struct span *out) {
    struct spnego_response response = {.state = SPNEGO_NO_STATE, .token = token};
    uint8_t room[MECHANISM_MIC_MAX];
    struct writer mic = writer_over(room, sizeof room), writer;

    if (initiator->mechanism_complete && !initiator->mic_sent && initiator->chosen->key_size > 0) {
        if (!mic_put(initiator, &mic))
            return fail(initiator, "the list of mechanisms cannot be signed");
        response.mic = writer_done(&mic);
        initiator->mic_sent = true;
    }
    if (response.token.size == 0 && response.mic.size == 0)
        return fail(initiator, "the server waits for something that it does not name");
    if (!out_begin(initiator, token.size, &writer) || !spnego_response_encode(&response, &writer) ||
        !out_end(&writer, out))
        return fail(initiator, "no memory, or a token that is too long");
    return AUTH_CONTINUE;
}

/* The server says that all is well. Is it? Not where something of ours is still to be sent. */
static enum auth_state finish(struct auth_initiator *initiator, struct span token) {
    if (!initiator->mechanism_complete || token.size > 0)
        return fail(initiator, "the server accepts what was not proven");
    if (initiator->mic_needed && !initiator->mic_verified && !initiator->chosen->anonymous)
        return fail(initiator, "the server does not sign the list of mechanisms, of which it did "
                               "not take the first one");
    initiator->state = FINISHED;
    return AUTH_COMPLETE;
}

/* The server's token to the mechanism. The mechanism that the server prefers begins here, without
 * one. */
static enum auth_state run(struct auth_initiator *initiator, struct span theirs,
                           struct span *ours) {
    struct mechanism *chosen = initiator->chosen;
    bool begins = initiator->state == FIRST_ANSWER && chosen != initiator->offers[0].mechanism;
    enum auth_state state;

    *ours = (struct span){0};
    if (theirs.size == 0 && !begins)
        return AUTH_CONTINUE;
    if (initiator->mechanism_complete)
        return fail(initiator, "the server goes on where nothing is left to say");
    state = chosen->methods->step(chosen, theirs, ours);
    if (state == AUTH_FAILED)
        return fail(initiator, chosen->reason);
    initiator->mechanism_complete = state == AUTH_COMPLETE;
    return AUTH_CONTINUE;
}

static enum auth_state take_mic(struct auth_initiator *initiator, struct span mic) {
    if (mic.size == 0)
        return AUTH_CONTINUE;
    if (!initiator->mechanism_complete || !mic_fits(initiator, mic))
        return fail(initiator, "the server's signature of the list of mechanisms is wrong");
    initiator->mic_verified = true;
    return AUTH_CONTINUE;
}

static enum auth_state go_on(struct auth_initiator *initiator,
                             const struct spnego_response *response, struct span *out) {
    struct span token;

    if (run(initiator, response->token, &token) == AUTH_FAILED ||
        take_mic(initiator, response->mic) == AUTH_FAILED)
        return AUTH_FAILED;
    if (response->state == SPNEGO_ACCEPT_COMPLETED)
        return finish(initiator, token);
    initiator->state = GO_ON;
    return answer(initiator, token, out);
}

static enum auth_state take_answer(struct auth_initiator *initiator, struct span bytes,
                                   struct span *out) {
    struct spnego_response response;

    if (!spnego_response_decode(bytes, &response))
        return fail(initiator, "the server's SPNEGO token is malformed");
    if (response.state == SPNEGO_REJECT)
        return fail(initiator, "the server rejects every mechanism that was offered");
    if (initiator->state == FIRST_ANSWER) {
        initiator->chosen = choose(initiator, &response);
        if (initiator->chosen == NULL)
            return fail(initiator, "the server wants a mechanism that was not offered");
        initiator->mic_needed = initiator->chosen != initiator->offers[0].mechanism ||
                                response.state == SPNEGO_REQUEST_MIC;
    } else if (response.has_mechanism && choose(initiator, &response) != initiator->chosen) {
        return fail(initiator, "the server changes its mind about the mechanism");
    }
    return go_on(initiator, &response, out);
}

enum auth_state auth_initiator_step(struct auth_initiator *initiator, struct span token,
                                    struct span *out) {
    *out = (struct span){0};
    if (initiator->state == START)
        return start(initiator, out);
    if (initiator->state == FINISHED || token.size > AUTH_TOKEN_MAX ||
        ++initiator->legs > AUTH_LEGS_MAX)
        return fail(initiator, "the server's token is too long, or one too many");
    return take_answer(initiator, token, out);
}

struct span auth_initiator_session_key(const struct auth_initiator *initiator) {
    if (initiator->chosen == NULL)
        return (struct span){0};
    return (struct span){initiator->chosen->key, initiator->chosen->key_size};
}

bool auth_initiator_is_anonymous(const struct auth_initiator *initiator) {
    return initiator->credentials.method == AUTH_METHOD_ANONYMOUS;
}

const char *auth_initiator_mechanism(const struct auth_initiator *initiator) {
    return initiator->chosen != NULL ? initiator->chosen->methods->name : "";
}

const char *auth_initiator_reason(const struct auth_initiator *initiator) {
    return initiator->reason;
}
