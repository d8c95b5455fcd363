/* The client of libsmbproof: the core's, with the authentication and the handles that its shell would bring. */
#include <smbproof.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "client/handles.h"
#include "client/words.h"
#include "wire/names.h"
#include "wire/text.h"

#define STRINGS_MAX 4u /* host, user, domain, password */

struct smbproof_client {
    struct client client;
    struct client_handles handles;
    struct auth_credentials credentials;
    struct auth_initiator *initiator;
    bool own_logon;
    size_t sent; /* octets of the output that went out */
    uint8_t nt_hash[AUTH_NT_HASH_SIZE];
    char *strings[STRINGS_MAX];
    struct session_error error;
    char dialect[16];
    uint8_t output[CLIENT_OUTPUT_MAX];
};

_Static_assert(SMBPROOF_SETUP_MAX >= CLIENT_TOKEN_MAX + 4096, "a frame of the set-up fits");

/* ---- making and freeing ---- */

/* A copy that belongs to the client. NULL stays NULL; *good is false where memory ran out. */
static const char *keep_string(struct smbproof_client *client, unsigned place, const char *string, bool *good) {
    if (string == NULL)
        return NULL;
    client->strings[place] = strdup(string);
    *good &= client->strings[place] != NULL;
    return client->strings[place];
}

static enum auth_method method_of(enum smbproof_logon logon) {
    switch (logon) {
    case SMBPROOF_LOGON_NTLM:
        return AUTH_METHOD_NTLM;
    case SMBPROOF_LOGON_KERBEROS:
        return AUTH_METHOD_KERBEROS;
    case SMBPROOF_LOGON_ANONYMOUS:
        return AUTH_METHOD_ANONYMOUS;
    default:
        return AUTH_METHOD_ANY;
    }
}

static bool keep_credentials(struct smbproof_client *client, const struct smbproof_options *options) {
    bool good = true;

    client->own_logon = options->logon == SMBPROOF_LOGON_OWN;
    client->credentials = (struct auth_credentials){
        .method = method_of(options->logon),
        .host = keep_string(client, 0, options->host, &good),
        .user = keep_string(client, 1, options->user, &good),
        .domain = keep_string(client, 2, options->domain, &good),
        .password = keep_string(client, 3, options->password, &good),
    };
    if (options->nt_hash != NULL) {
        memcpy(client->nt_hash, options->nt_hash, sizeof client->nt_hash);
        client->credentials.nt_hash = client->nt_hash;
    }
    return good;
}

static bool new_initiator(struct smbproof_client *client) {
    if (client->own_logon)
        return true;
    auth_initiator_free(client->initiator);
    client->initiator = auth_initiator_new(&client->credentials);
    return client->initiator != NULL;
}

static bool is_dialect(uint16_t dialect) {
    return dialect == SMB2_DIALECT_202 || dialect == SMB2_DIALECT_210 || dialect_is_3x(dialect);
}

/* False: a dialect that there is not. */
static bool fill_dialects(struct id_list *list, const struct smbproof_options *options) {
    struct id_list wanted = {.count = 0};

    for (unsigned i = 0; i < SMBPROOF_DIALECTS_MAX && options->dialects[i] != 0; i++) {
        if (!is_dialect(options->dialects[i]))
            return false;
        wanted.ids[wanted.count++] = options->dialects[i];
    }
    if (wanted.count > 0)
        *list = wanted;
    return true;
}

_Static_assert(SMBPROOF_DIALECTS_MAX <= POLICY_IDS_MAX, "the list takes every dialect");

static bool fill_policy(struct client_policy *policy, const struct smbproof_options *options) {
    client_policy_defaults(policy);
    policy->signing_required = options->signing_required != 0;
    policy->allow_guest = options->guest_allowed != 0;
    policy->offers_smb1_first = options->begins_with_smb1 != 0;
    policy->require_secure_negotiate = options->validation_off == 0;
    policy->refuse_unvalidated_3x = options->unvalidated_allowed == 0;
    if (options->encryption == SMBPROOF_ENCRYPTION_OFF)
        policy->encryption = ENCRYPTION_OFF;
    else if (options->encryption == SMBPROOF_ENCRYPTION_REQUIRED)
        policy->encryption = ENCRYPTION_MUST;
    return fill_dialects(&policy->dialects, options) && crypto_random(policy->guid, sizeof policy->guid);
}

static bool start(struct smbproof_client *client, const struct smbproof_options *options) {
    struct client_policy policy;
    struct client_setup setup = {.policy = &policy, .output = client->output};

    setup.anonymous = options->logon == SMBPROOF_LOGON_ANONYMOUS;
    if (!fill_policy(&policy, options) || !crypto_random(setup.salt, sizeof setup.salt) ||
        !keep_credentials(client, options) || !new_initiator(client))
        return false;
    client_init(&client->client, &setup);
    return true;
}

void smbproof_options_init(struct smbproof_options *options) {
    memset(options, 0, sizeof *options);
}

struct smbproof_client *smbproof_client_new(const struct smbproof_options *options) {
    struct smbproof_client *client;

    if (options->host == NULL)
        return NULL;
    client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->client.want = CLIENT_CLOSED;
    if (start(client, options))
        return client;
    smbproof_client_free(client);
    return NULL;
}

void smbproof_client_free(struct smbproof_client *client) {
    if (client == NULL)
        return;
    client_wipe(&client->client);
    client_handles_free(&client->handles);
    auth_initiator_free(client->initiator);
    for (unsigned i = 0; i < STRINGS_MAX; i++) {
        if (client->strings[i] != NULL)
            crypto_wipe(client->strings[i], strlen(client->strings[i]));
        free(client->strings[i]);
    }
    crypto_wipe(client, sizeof *client);
    free(client);
}

/* ---- set-up ---- */

static void step_authentication(struct smbproof_client *client) {
    struct span out = {NULL, 0}, key = {NULL, 0};
    enum auth_state state = auth_initiator_step(client->initiator, client_token_in(&client->client), &out);

    if (state == AUTH_FAILED) {
        client_refuse_token(&client->client, STATUS_LOGON_FAILURE);
        return;
    }
    if (state == AUTH_COMPLETE)
        key = auth_initiator_session_key(client->initiator);
    client_take_token(&client->client, out, state == AUTH_COMPLETE, key);
}

static void take_keys(struct smbproof_client *client) {
    client_handles_new(&client->client, &client->handles); /* where that fails they are NULL, and the client closes */
    client_take_handles(&client->client, &client->handles);
}

enum smbproof_want smbproof_client_step(struct smbproof_client *client) {
    for (;;) {
        switch (client_step(&client->client)) {
        case CLIENT_SEND:
            return SMBPROOF_SEND;
        case CLIENT_RECEIVE:
            return SMBPROOF_RECEIVE;
        case CLIENT_TOKEN:
            if (client->own_logon)
                return SMBPROOF_TOKEN;
            step_authentication(client);
            break;
        case CLIENT_KEYS:
            take_keys(client);
            break;
        case CLIENT_READY:
            return SMBPROOF_READY;
        case CLIENT_CLOSED:
            return SMBPROOF_CLOSED;
        }
    }
}

const uint8_t *smbproof_client_output(const struct smbproof_client *client, size_t *size) {
    struct span output = client_output(&client->client);

    output = span_slice(output, client->sent, output.size);
    *size = output.size;
    return output.data;
}

void smbproof_client_sent(struct smbproof_client *client, size_t size) {
    size_t left = client_output(&client->client).size - client->sent;

    assert(client->client.want == CLIENT_SEND && size <= left);
    client->sent += size;
    if (size < left)
        return;
    client->sent = 0;
    client_sent(&client->client);
}

int smbproof_client_receive(struct smbproof_client *client, uint8_t *content, size_t size) {
    return client_receive(&client->client, content, size);
}

size_t smbproof_client_frame_max(const struct smbproof_client *client) {
    return client_frame_max(&client->client);
}

void smbproof_client_disconnected(struct smbproof_client *client) {
    client_disconnected(&client->client);
}

void smbproof_client_timed_out(struct smbproof_client *client) {
    client_timed_out(&client->client);
}

const uint8_t *smbproof_client_token(const struct smbproof_client *client, size_t *size) {
    struct span token = client_token_in(&client->client);

    *size = token.size;
    return token.data;
}

void smbproof_client_take_token(struct smbproof_client *client, const uint8_t *token, size_t size, int is_complete,
                                const uint8_t *key, size_t key_size) {
    client_take_token(&client->client, (struct span){token, size}, is_complete != 0, (struct span){key, key_size});
}

int smbproof_client_connect_tree(struct smbproof_client *client, const char *share) {
    uint8_t room[CLIENT_PATH_MAX];
    struct writer writer = writer_over(room, sizeof room);

    if (client->client.want != CLIENT_READY || share[0] == 0 || strpbrk(share, "\\/") != NULL)
        return 0;
    text_to_utf16(text_span("\\\\"), &writer);
    text_to_utf16(text_span(client->credentials.host), &writer);
    text_to_utf16(text_span("\\"), &writer);
    text_to_utf16(text_span(share), &writer);
    if (writer.failed)
        return 0;
    client_connect_tree(&client->client, writer_done(&writer));
    return 1;
}

uint32_t smbproof_client_tree(const struct smbproof_client *client) {
    return client_tree(&client->client);
}

uint32_t smbproof_client_tree_status(const struct smbproof_client *client) {
    return client->client.tree_status;
}

int smbproof_client_reauthenticate(struct smbproof_client *client) {
    if (client->client.want != CLIENT_READY || client->client.pending_count > 0 || !new_initiator(client))
        return 0;
    client_reauthenticate(&client->client);
    return 1;
}

void smbproof_client_log_off(struct smbproof_client *client) {
    if (client->client.want == CLIENT_READY)
        client_log_off(&client->client);
}

/* ---- what is known ---- */

static const char *validation_text(const struct client *client) {
    if (client->has_keys && client->negotiation.agreed.dialect == SMB2_DIALECT_311)
        return "hash";
    switch (client->negotiation.validation) {
    case VALIDATION_SAME:
        return "same";
    case VALIDATION_UNSUPPORTED:
        return "unsupported";
    default:
        return "none";
    }
}

static bool is_encrypted(const struct client *client) {
    const struct client_tree *tree = client_tree_find(client, client_tree(client));

    return client->encrypts || (tree != NULL && tree->encrypts);
}

int smbproof_client_facts(struct smbproof_client *owner, struct smbproof_facts *facts) {
    const struct client *client = &owner->client;
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;

    if (client->want != CLIENT_READY)
        return 0;
    *facts = (struct smbproof_facts){
        .dialect = dialect_text(agreed->dialect, owner->dialect),
        .signing = signing_name(agreed->signing_algorithm),
        .cipher = agreed->cipher != CIPHER_NONE ? cipher_name(agreed->cipher) : "",
        .validation = validation_text(client),
        .has_keys = client->has_keys,
        .is_guest = client->is_guest,
        .is_signed = client->signing_required,
        .is_encrypted = is_encrypted(client),
        .read_max = client_read_max(client),
        .write_max = client_write_max(client),
        .credits = client_credits(client),
    };
    return 1;
}

/* Fills client->error; false where nothing failed. */
static bool find_error(struct smbproof_client *client) {
    if (client->client.want == CLIENT_CLOSED) {
        session_error_of_client(&client->client, 0, &client->error);
        if (client->client.failure.fault == CLIENT_FAULT_TOKEN && client->initiator != NULL)
            snprintf(client->error.sentence, sizeof client->error.sentence, "%s",
                     auth_initiator_reason(client->initiator));
        return client->client.failure.fault != CLIENT_FAULT_NONE;
    }
    if (client->client.tree_status == STATUS_SUCCESS)
        return false;
    client->error = (struct session_error){.kind = SESSION_ERROR_REFUSED,
                                           .phase = CLIENT_PHASE_TREE_CONNECT,
                                           .status = client->client.tree_status};
    session_error_describe(&client->error);
    return true;
}

int smbproof_client_failure(struct smbproof_client *client, struct smbproof_failure *failure) {
    const struct session_error *error = &client->error;

    if (!find_error(client))
        return 0;
    *failure = (struct smbproof_failure){
        .sentence = error->sentence,
        .remedy = session_error_remedy(error),
        .rule = rule_text(error->rule)->id,
        .phase = client_phase_name(error->phase),
        .field = error->field != NULL ? error->field : "",
        .expected = error->expected_size > 0 ? error->expected : NULL,
        .found = error->found_size > 0 ? error->found : NULL,
        .expected_size = error->expected_size,
        .found_size = error->found_size,
        .status = error->status,
        .is_security = error->is_security,
    };
    return 1;
}

/* ---- requests ---- */

static void encode_body(struct writer *writer, const void *arguments) {
    const struct smbproof_request *request = arguments;

    writer_put(writer, (struct span){request->body, request->body_size});
}

const uint8_t *smbproof_client_request(struct smbproof_client *client, const struct smbproof_request *request,
                                       uint8_t *buffer, size_t buffer_size, size_t *frame_size) {
    struct client_request inner = {.command = request->command,
                                   .tree_id = request->tree,
                                   .payload = request->payload,
                                   .owner = request->owner};
    struct client_frame frame;
    struct span octets = {NULL, 0};
    bool fits = request->payload <= SIZE_LEAST || client->client.negotiation.agreed.multi_credit;

    *frame_size = 0;
    if (client->client.want != CLIENT_READY || !fits || buffer_size <= SMBPROOF_REQUEST_ROOM)
        return NULL;
    client_frame_begin(&frame, buffer, buffer_size);
    if (client_frame_add(&client->client, &frame, &inner, encode_body, request))
        octets = client_frame_finish(&client->client, &frame);
    *frame_size = octets.size;
    return octets.data;
}

int smbproof_client_next(struct smbproof_client *client, struct smbproof_response *response) {
    struct client_response inner;

    if (!client_next_response(&client->client, &inner))
        return 0;
    *response = (struct smbproof_response){
        .owner = inner.owner,
        .command = inner.command,
        .status = inner.status,
        .is_interim = inner.is_interim,
        .message = inner.message.data,
        .message_size = inner.message.size,
    };
    return 1;
}
