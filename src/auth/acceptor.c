/* SPNEGO, the server's part ([RFC4178] 4, [MS-SPNG] 3.2.5), and NTLMSSP without it. */
#include "auth/acceptor.h"

#include <stdlib.h>
#include <string.h>

#include "auth/kerberos.h"
#include "auth/ntlm.h"
#include "auth/spnego.h"
#include "crypto/crypto.h"
#include "wire/messages.h"

#define CHOICES_MAX 3u

struct auth_acceptor {
    const struct auth_acceptor_config *config;
    enum { START, RAW, MECHANISM, WAIT_MIC, FINISHED } state;
    unsigned legs;
    struct mechanism *mechanism;
    enum spnego_mechanism chosen;
    bool announced;  /* the choice was told to the client */
    bool mic_needed; /* the client's first wish was another */
    uint8_t *list;   /* of mechanisms, as the client sent it */
    size_t list_size;
    uint8_t *out; /* what was given out last */
    uint32_t status;
    const char *reason;
};

struct auth_acceptor *auth_acceptor_new(const struct auth_acceptor_config *config) {
    struct auth_acceptor *acceptor = calloc(1, sizeof *acceptor);

    if (acceptor == NULL)
        return NULL;
    acceptor->config = config;
    acceptor->reason = "";
    return acceptor;
}

void auth_acceptor_free(struct auth_acceptor *acceptor) {
    if (acceptor == NULL)
        return;
    mechanism_free(acceptor->mechanism);
    free(acceptor->list);
    free(acceptor->out);
    free(acceptor);
}

static enum auth_state fail(struct auth_acceptor *acceptor, uint32_t status, const char *reason) {
    acceptor->state = FINISHED;
    acceptor->status = status;
    acceptor->reason = reason;
    return AUTH_FAILED;
}

static enum auth_state fail_malformed(struct auth_acceptor *acceptor) {
    return fail(acceptor, STATUS_INVALID_PARAMETER, "the client's SPNEGO token is malformed");
}

static enum auth_state fail_memory(struct auth_acceptor *acceptor) {
    return fail(acceptor, STATUS_INSUFFICIENT_RESOURCES, "no memory, or a token that is too long");
}

/* ---- which mechanisms ---- */

static size_t choices_of(const struct auth_acceptor_config *config,
                         enum spnego_mechanism choices[CHOICES_MAX]) {
    size_t count = 0;

    if (config->keytab != NULL) {
        choices[count++] = SPNEGO_MS_KERBEROS;
        choices[count++] = SPNEGO_KERBEROS;
    }
    if (config->accounts != NULL || config->allow_anonymous || config->allow_guest)
        choices[count++] = SPNEGO_NTLM;
    return count;
}

bool auth_hint_put(const struct auth_acceptor_config *config, struct writer *writer) {
    enum spnego_mechanism choices[CHOICES_MAX];
    size_t count = choices_of(config, choices);

    return spnego_hint_encode(choices, count, writer);
}

static bool is_choice(const struct auth_acceptor_config *config, enum spnego_mechanism name) {
    enum spnego_mechanism choices[CHOICES_MAX];
    size_t count = choices_of(config, choices);

    for (size_t i = 0; i < count; i++)
        if (choices[i] == name)
            return true;
    return false;
}

static bool begin_mechanism(struct auth_acceptor *acceptor, enum spnego_mechanism name) {
    acceptor->chosen = name;
    acceptor->mechanism = name == SPNEGO_NTLM ? ntlm_acceptor_new(acceptor->config)
                                              : kerberos_acceptor_new(acceptor->config);
    return acceptor->mechanism != NULL;
}

/* ---- answers ---- */

static enum auth_state answer(struct auth_acceptor *acceptor, struct spnego_response *response,
                              struct span *out) {
    size_t room = response->token.size + SPNEGO_OVERHEAD_MAX;
    struct writer writer;

    response->has_mechanism = !acceptor->announced;
    response->mechanism = acceptor->chosen;
    acceptor->announced = true;
    free(acceptor->out);
    acceptor->out = malloc(room);
    if (acceptor->out == NULL)
        return fail_memory(acceptor);
    writer = writer_over(acceptor->out, room);
    if (!spnego_response_encode(response, &writer) || writer.at > AUTH_TOKEN_MAX)
        return fail_memory(acceptor);
    *out = writer_done(&writer);
    if (response->state != SPNEGO_ACCEPT_COMPLETED)
        return AUTH_CONTINUE;
    acceptor->state = FINISHED;
    return AUTH_COMPLETE;
}

static bool mic_fits(const struct auth_acceptor *acceptor, struct span mic) {
    struct span list = {acceptor->list, acceptor->list_size};

    return acceptor->mechanism->methods->verify(acceptor->mechanism, list, mic);
}

static enum auth_state fail_mic(struct auth_acceptor *acceptor) {
    return fail(
        acceptor, STATUS_INVALID_PARAMETER,
        "the client's list of mechanisms was changed on its way: its signature does not fit");
}

/* The mechanism is through. Guests and anonymous have no key to sign the list with, and nothing
 * that a signature could protect. */
static enum auth_state settle(struct auth_acceptor *acceptor, struct span token, struct span mic,
                              struct span *out) {
    struct span list = {acceptor->list, acceptor->list_size};
    struct spnego_response response = {.state = SPNEGO_ACCEPT_COMPLETED, .token = token};
    uint8_t room[MECHANISM_MIC_MAX];
    struct writer own = writer_over(room, sizeof room);

    if (acceptor->mechanism->key_size == 0)
        return answer(acceptor, &response, out);
    if (mic.size > 0 && !mic_fits(acceptor, mic))
        return fail_mic(acceptor);
    if (mic.size > 0 || acceptor->mic_needed) {
        if (!acceptor->mechanism->methods->sign(acceptor->mechanism, list, &own))
            return fail(acceptor, STATUS_INVALID_PARAMETER,
                        "the list of mechanisms cannot be signed");
        response.mic = writer_done(&own);
    }
    if (mic.size == 0 && acceptor->mic_needed) {
        response.state = SPNEGO_ACCEPT_INCOMPLETE;
        acceptor->state = WAIT_MIC;
    }
    return answer(acceptor, &response, out);
}

static enum auth_state run(struct auth_acceptor *acceptor, struct span token, struct span mic,
                           struct span *out) {
    struct spnego_response response = {.state = SPNEGO_ACCEPT_INCOMPLETE};
    struct span produced = {0};

    switch (acceptor->mechanism->methods->step(acceptor->mechanism, token, &produced)) {
    case AUTH_CONTINUE:
        response.token = produced;
        if (acceptor->mic_needed && !acceptor->announced)
            response.state = SPNEGO_REQUEST_MIC;
        return answer(acceptor, &response, out);
    case AUTH_COMPLETE:
        return settle(acceptor, produced, mic, out);
    case AUTH_FAILED:
        break;
    }
    return fail(acceptor, acceptor->mechanism->status, acceptor->mechanism->reason);
}

/* ---- the client's tokens ---- */

static bool keep_list(struct auth_acceptor *acceptor, struct span list) {
    acceptor->list = malloc(list.size);
    if (acceptor->list == NULL)
        return false;
    memcpy(acceptor->list, list.data, list.size);
    acceptor->list_size = list.size;
    return true;
}

/* The client's order decides. Its token is for its first wish; where that is not ours, it has to
 * begin again with what is, and to sign its list ([RFC4178] 4.2.2, 5). */
static enum auth_state take_init(struct auth_acceptor *acceptor, const struct spnego_init *init,
                                 struct span *out) {
    struct spnego_response response = {.state = SPNEGO_REQUEST_MIC};
    size_t at = 0;

    while (at < init->count && !is_choice(acceptor->config, init->mechanisms[at]))
        at++;
    if (at == init->count)
        return fail(acceptor, STATUS_NOT_SUPPORTED,
                    "the client offers no mechanism that is set up here");
    if (!keep_list(acceptor, init->mechanism_list) ||
        !begin_mechanism(acceptor, init->mechanisms[at]))
        return fail_memory(acceptor);
    acceptor->state = MECHANISM;
    acceptor->mic_needed = at > 0;
    if (at == 0 && init->token.size > 0)
        return run(acceptor, init->token, (struct span){0}, out);
    if (at == 0)
        response.state = SPNEGO_ACCEPT_INCOMPLETE;
    return answer(acceptor, &response, out);
}

static enum auth_state take_raw(struct auth_acceptor *acceptor, struct span token,
                                struct span *out) {
    enum auth_state state = acceptor->mechanism->methods->step(acceptor->mechanism, token, out);

    if (state == AUTH_FAILED)
        return fail(acceptor, acceptor->mechanism->status, acceptor->mechanism->reason);
    acceptor->state = state == AUTH_COMPLETE ? FINISHED : RAW;
    return state;
}

static enum auth_state take_first(struct auth_acceptor *acceptor, struct span token,
                                  struct span *out) {
    struct spnego_init init;

    if (ntlm_is_message(token)) {
        if (!is_choice(acceptor->config, SPNEGO_NTLM))
            return fail(acceptor, STATUS_NOT_SUPPORTED, "NTLM is not set up here");
        return begin_mechanism(acceptor, SPNEGO_NTLM) ? take_raw(acceptor, token, out)
                                                      : fail_memory(acceptor);
    }
    if (!spnego_init_decode(token, &init))
        return fail_malformed(acceptor);
    return take_init(acceptor, &init, out);
}

static enum auth_state take_response(struct auth_acceptor *acceptor, struct span token,
                                     struct span *out) {
    struct spnego_response response, completed = {.state = SPNEGO_ACCEPT_COMPLETED};

    if (!spnego_response_decode(token, &response) || response.state == SPNEGO_REJECT)
        return fail_malformed(acceptor);
    if (acceptor->state == MECHANISM)
        return run(acceptor, response.token, response.mic, out);
    if (response.token.size > 0 || !mic_fits(acceptor, response.mic))
        return fail_mic(acceptor);
    return answer(acceptor, &completed, out);
}

enum auth_state auth_acceptor_step(struct auth_acceptor *acceptor, struct span token,
                                   struct span *out) {
    *out = (struct span){0};
    if (acceptor->state == FINISHED || token.size > AUTH_TOKEN_MAX ||
        ++acceptor->legs > AUTH_LEGS_MAX)
        return fail(acceptor, STATUS_INVALID_PARAMETER,
                    "the client's token is too long, or one too many");
    switch (acceptor->state) {
    case START:
        return take_first(acceptor, token, out);
    case RAW:
        return take_raw(acceptor, token, out);
    default:
        return take_response(acceptor, token, out);
    }
}

/* ---- results ---- */

const char *auth_acceptor_user(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL ? acceptor->mechanism->user : "";
}

const char *auth_acceptor_domain(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL ? acceptor->mechanism->domain : "";
}

struct span auth_acceptor_session_key(const struct auth_acceptor *acceptor) {
    if (acceptor->mechanism == NULL)
        return (struct span){0};
    return (struct span){acceptor->mechanism->key, acceptor->mechanism->key_size};
}

bool auth_acceptor_is_anonymous(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL && acceptor->mechanism->anonymous;
}

bool auth_acceptor_is_guest(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL && acceptor->mechanism->guest;
}

bool auth_acceptor_has_account(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL && acceptor->mechanism->has_account;
}

uint32_t auth_acceptor_lifetime_s(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL ? acceptor->mechanism->lifetime_s : 0;
}

const char *auth_acceptor_mechanism(const struct auth_acceptor *acceptor) {
    return acceptor->mechanism != NULL ? acceptor->mechanism->methods->name : "";
}

uint32_t auth_acceptor_status(const struct auth_acceptor *acceptor) {
    return acceptor->status;
}

const char *auth_acceptor_reason(const struct auth_acceptor *acceptor) {
    return acceptor->reason;
}
