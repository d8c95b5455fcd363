#include "client/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/handles.h"
#include "client/words.h"
#include "net/transport.h"
#include "wire/text.h"

/* Octets that a receive buffer begins with; it grows to the longest frame that came. */
#define RECEIVE_SIZE 65536u
/* Frames that are received before the first of them is looked at, where the caller expects as many. */
#define GATHERED_MAX SIGN_TOGETHER_MAX
/* Milliseconds that are waited for another frame to be whole, for the sake of those that are here already. A server that
 * has it in memory needs a fraction of one; on a slow network there is nothing to be gained. */
#define GATHER_MS 10
/* Room for one request that is sent by itself, besides its payload. */
#define REQUEST_ROOM 8192u
/* Octets of small frames that are sent together: a READ takes 117 of them, sealed 169. */
#define COLLECTED_MAX 4096u
/* Interim responses to one request. Each gives the server the timeout once more, and nothing proves who sent it. */
#define INTERIMS_MAX 8u
/* Milliseconds that LOGOFF may take: the connection is closed anyhow. */
#define LOG_OFF_MS 2000

/* Memory that grows to the longest frame that came. */
struct buffer {
    uint8_t *data;
    size_t size;
};

struct session {
    struct client client;
    struct transport_socket transport;
    struct auth_credentials credentials;
    struct auth_initiator *initiator;
    struct client_handles handles;
    struct session_error error; /* why the connection is gone */
    int64_t timeout_ms;
    char host[AUTH_NAME_MAX];
    char mechanism[16];
    struct buffer received[GATHERED_MAX];
    struct client_arrival arrivals[GATHERED_MAX];
    unsigned expected; /* frames, by the caller's word */
    struct buffer sending;
    struct span taken; /* the response that was taken last */
    uint8_t collected[COLLECTED_MAX]; /* frames that wait to be sent together */
    size_t collected_size;
    uint8_t output[CLIENT_OUTPUT_MAX];
};

/* ---- errors ---- */

/* The client is closed: what it says becomes the session's error. */
static void keep_failure(struct session *session, int number) {
    struct session_error *error = &session->error;

    if (error->kind != SESSION_ERROR_NONE)
        return;
    session_error_of_client(&session->client, number, error);
    if (session->client.failure.fault == CLIENT_FAULT_TOKEN && session->credentials.method == AUTH_METHOD_KERBEROS)
        error->number = ENOKEY;
    if (session->client.failure.fault == CLIENT_FAULT_TOKEN && session->initiator != NULL)
        snprintf(error->sentence, sizeof error->sentence, "%s", auth_initiator_reason(session->initiator));
}

/* The connection is gone for the reason that the client has; false, for the caller to return. */
static bool fail(struct session *session, int number, struct session_error *error) {
    keep_failure(session, number);
    transport_close(&session->transport);
    *error = session->error;
    return false;
}

static void set_error(struct session_error *error, enum session_error_kind kind, uint32_t status, int number) {
    *error = (struct session_error){
        .kind = kind, .phase = CLIENT_PHASE_READY, .status = status, .number = number};
    session_error_describe(error);
}

/* An error of the transport, as a negative errno; 0: the peer closed. */
static bool fail_transport(struct session *session, int64_t status, struct session_error *error) {
    if (status == -ECANCELED)
        set_error(&session->error, SESSION_ERROR_STOPPED, 0, 0);
    if (status == -ETIMEDOUT)
        client_timed_out(&session->client);
    else
        client_disconnected(&session->client);
    return fail(session, (int)-status, error);
}

bool session_is_open(const struct session *session) {
    return session->client.want != CLIENT_CLOSED;
}

const struct client *session_client(const struct session *session) {
    return &session->client;
}

struct client *session_frames(struct session *session) {
    return &session->client;
}

const char *session_mechanism(const struct session *session) {
    return session->mechanism;
}

const char *session_address(const struct session *session) {
    return session->transport.address;
}

/* ---- octets ---- */

static bool grow(struct buffer *buffer, size_t wanted) {
    uint8_t *larger;

    if (wanted <= buffer->size)
        return true;
    larger = realloc(buffer->data, wanted);
    if (larger == NULL)
        return false;
    *buffer = (struct buffer){larger, wanted};
    return true;
}

/* Memory ran out in the middle of a connection: what lies in the stream cannot be skipped. */
static bool fail_memory(struct session *session, struct session_error *error) {
    set_error(&session->error, SESSION_ERROR_SYSTEM, 0, ENOMEM);
    client_disconnected(&session->client);
    return fail(session, ENOMEM, error);
}

/* The content of a frame, whose length was just read. */
static bool receive_content(struct session *session, unsigned index, size_t size, int64_t deadline_ms,
                            struct session_error *error) {
    struct buffer *buffer = &session->received[index];
    int status;

    if (!grow(buffer, size))
        return fail_memory(session, error);
    status = transport_read(&session->transport, buffer->data, size, deadline_ms);
    if (status < 0)
        return fail_transport(session, status, error);
    session->arrivals[index] = (struct client_arrival){.content = buffer->data, .size = size};
    return true;
}

static bool receive_first(struct session *session, int64_t deadline_ms, struct session_error *error) {
    int64_t size = transport_next_frame(&session->transport, deadline_ms);

    if (size <= 0)
        return fail_transport(session, size, error);
    if (size > client_frame_max(&session->client)) {
        client_receive(&session->client, NULL, (size_t)size); /* says what is wrong with it */
        return fail(session, 0, error);
    }
    return receive_content(session, 0, (size_t)size, deadline_ms, error);
}

/* Those that are expected and come at once. A connection that ends over one of them takes those before along. */
static bool receive_more(struct session *session, unsigned *count, int64_t deadline_ms, struct session_error *error) {
    uint32_t size;

    while (*count < session->expected && *count < GATHERED_MAX) {
        size = transport_whole_frame(&session->transport, GATHER_MS);
        if (size == 0 || size > client_frame_max(&session->client))
            break;
        if (transport_next_frame(&session->transport, deadline_ms) != size)
            return fail_transport(session, -ECONNRESET, error);
        if (!receive_content(session, *count, size, deadline_ms, error))
            return false;
        ++*count;
    }
    return true;
}

/* One frame or several, handed to the client. */
static bool receive_frames(struct session *session, int64_t deadline_ms, struct session_error *error) {
    unsigned count = 1;

    if (!receive_first(session, deadline_ms, error))
        return false;
    if (client_signs_together(&session->client) && !receive_more(session, &count, deadline_ms, error))
        return false;
    session->expected = 0;
    return client_receive_many(&session->client, session->arrivals, count) || fail(session, 0, error);
}

/* ---- set-up ---- */

static void step_authentication(struct session *session) {
    struct span out = {NULL, 0}, key = {NULL, 0};
    enum auth_state state = auth_initiator_step(session->initiator, client_token_in(&session->client), &out);

    if (state == AUTH_FAILED) {
        client_refuse_token(&session->client, STATUS_LOGON_FAILURE);
        return;
    }
    if (state == AUTH_COMPLETE) {
        key = auth_initiator_session_key(session->initiator);
        snprintf(session->mechanism, sizeof session->mechanism, "%s", auth_initiator_mechanism(session->initiator));
    }
    client_take_token(&session->client, out, state == AUTH_COMPLETE, key);
}

static void take_keys(struct session *session) {
    struct client_handles handles;

    client_handles_new(&session->client, &handles); /* on failure they are NULL, and the client closes */
    session->handles = handles;
    client_take_handles(&session->client, &handles);
}

/* Does what the client wants until it is ready. */
static bool drive(struct session *session, int64_t deadline_ms, struct session_error *error) {
    for (;;) {
        int status;

        switch (client_step(&session->client)) {
        case CLIENT_SEND:
            status = transport_send(&session->transport, client_output(&session->client), deadline_ms);
            if (status < 0)
                return fail_transport(session, status, error);
            client_sent(&session->client);
            break;
        case CLIENT_RECEIVE:
            if (!receive_frames(session, deadline_ms, error))
                return false;
            break;
        case CLIENT_TOKEN:
            step_authentication(session);
            break;
        case CLIENT_KEYS:
            take_keys(session);
            break;
        case CLIENT_READY:
            return true;
        case CLIENT_CLOSED:
            return fail(session, 0, error);
        }
    }
}

static int64_t deadline(const struct session *session) {
    return transport_deadline(session->timeout_ms);
}

static bool new_initiator(struct session *session) {
    auth_initiator_free(session->initiator);
    session->initiator = auth_initiator_new(&session->credentials);
    return session->initiator != NULL;
}

static bool is_zero(const uint8_t *octets, size_t size) {
    uint8_t any = 0;

    for (size_t i = 0; i < size; i++)
        any |= octets[i];
    return any == 0;
}

static bool start_client(struct session *session, const struct client_policy *policy) {
    struct client_policy own = *policy;
    struct client_setup setup = {.policy = &own, .output = session->output};

    setup.anonymous = session->credentials.method == AUTH_METHOD_ANONYMOUS;
    if (!crypto_random(setup.salt, sizeof setup.salt))
        return false;
    if (is_zero(own.guid, sizeof own.guid) && !crypto_random(own.guid, sizeof own.guid))
        return false;
    client_init(&session->client, &setup);
    return true;
}

static struct session *session_new(const struct session_options *options) {
    struct session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return NULL;
    session->transport.fd = -1;
    session->client.want = CLIENT_CLOSED;
    session->credentials = *options->credentials;
    session->transport.stop_fd = options->stop_fd;
    session->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : SESSION_TIMEOUT_MS;
    snprintf(session->host, sizeof session->host, "%s", options->host);
    if (session->credentials.host == NULL)
        session->credentials.host = session->host;
    if (!grow(&session->received[0], RECEIVE_SIZE) || !new_initiator(session)) {
        session_close(session);
        return NULL;
    }
    return session;
}

/* The transport is connected. */
static struct session *set_up(struct session *session, const struct client_policy *policy,
                              struct session_error *error) {
    if (!start_client(session, policy))
        set_error(error, SESSION_ERROR_SYSTEM, 0, 0);
    else if (drive(session, deadline(session), error))
        return session;
    session_close(session);
    return NULL;
}

/* 0, or a negative errno. Port 139 is NetBIOS', whatever the policy says. */
static int connect_server(struct session *session, const struct session_options *options,
                          struct client_policy *policy) {
    uint16_t port = options->port != 0 ? options->port : TRANSPORT_PORT_DIRECT;
    int64_t until = deadline(session);
    int status = transport_connect(&session->transport, session->host, port, until);

    *policy = *options->policy;
    if (port == TRANSPORT_PORT_NETBIOS)
        policy->transport = TRANSPORT_NETBIOS;
    if (status == 0 && policy->transport == TRANSPORT_NETBIOS)
        status = transport_request_netbios(&session->transport, until);
    return status;
}

struct session *session_open(const struct session_options *options, struct session_error *error) {
    struct session *session = session_new(options);
    struct client_policy policy;
    int status;

    *error = (struct session_error){.kind = SESSION_ERROR_NONE};
    if (session == NULL) {
        set_error(error, SESSION_ERROR_SYSTEM, 0, ENOMEM);
        return NULL;
    }
    status = connect_server(session, options, &policy);
    if (status < 0) {
        set_error(error, SESSION_ERROR_UNREACHABLE, 0, -status);
        session_close(session);
        return NULL;
    }
    return set_up(session, &policy, error);
}

struct session *session_open_socket(const struct session_options *options, int fd, struct session_error *error) {
    struct session *session = session_new(options);
    int status;

    *error = (struct session_error){.kind = SESSION_ERROR_NONE};
    if (session == NULL) {
        set_error(error, SESSION_ERROR_SYSTEM, 0, ENOMEM);
        return NULL;
    }
    status = transport_adopt(&session->transport, fd);
    if (status < 0) {
        set_error(error, SESSION_ERROR_UNREACHABLE, 0, -status);
        session_close(session);
        return NULL;
    }
    return set_up(session, options->policy, error);
}

void session_close(struct session *session) {
    struct session_error ignored;

    if (session == NULL)
        return;
    if (session->client.want == CLIENT_READY && session->client.pending_count == 0) {
        client_log_off(&session->client);
        drive(session, transport_deadline(LOG_OFF_MS), &ignored);
    }
    transport_close(&session->transport);
    client_wipe(&session->client);
    client_handles_free(&session->handles);
    auth_initiator_free(session->initiator);
    for (unsigned i = 0; i < GATHERED_MAX; i++)
        free(session->received[i].data);
    free(session->sending.data);
    crypto_wipe(session->output, sizeof session->output);
    free(session);
}

bool session_reauthenticate(struct session *session, struct session_error *error) {
    if (!session_is_open(session))
        return fail(session, 0, error);
    assert(session->client.pending_count == 0);
    if (!new_initiator(session)) {
        set_error(error, SESSION_ERROR_SYSTEM, 0, ENOMEM);
        return false;
    }
    client_reauthenticate(&session->client);
    return drive(session, deadline(session), error);
}

/* ---- trees ---- */

/* \\host\share in UTF-16LE. */
static struct span share_path(const char *host, const char *share, uint8_t *room, size_t size) {
    struct writer writer = writer_over(room, size);

    if (strlen(share) >= SESSION_SHARE_MAX || strpbrk(share, "\\/") != NULL || share[0] == 0)
        return (struct span){NULL, 0};
    text_to_utf16(text_span("\\\\"), &writer);
    text_to_utf16(text_span(host), &writer);
    text_to_utf16(text_span("\\"), &writer);
    text_to_utf16(text_span(share), &writer);
    return writer_done(&writer);
}

bool session_connect_tree(struct session *session, const char *share, uint32_t *tree, struct session_error *error) {
    uint8_t room[CLIENT_PATH_MAX];
    struct span path = share_path(session->host, share, room, sizeof room);

    if (!session_is_open(session))
        return fail(session, 0, error);
    if (path.size == 0) {
        set_error(error, SESSION_ERROR_ARGUMENT, STATUS_BAD_NETWORK_NAME, 0);
        return false;
    }
    client_connect_tree(&session->client, path);
    if (!drive(session, deadline(session), error))
        return false;
    *tree = client_tree(&session->client);
    if (session->client.tree_status == STATUS_SUCCESS)
        return true;
    *error = (struct session_error){.kind = SESSION_ERROR_REFUSED,
                                    .phase = CLIENT_PHASE_TREE_CONNECT,
                                    .status = session->client.tree_status};
    session_error_describe(error);
    return false;
}

bool session_disconnect_tree(struct session *session, uint32_t tree, struct session_error *error) {
    struct client_response response;

    return session_request(session, SMB2_TREE_DISCONNECT, tree, 0, client_encode_empty, NULL, &response, error);
}

/* ---- requests ---- */

static bool send_octets(struct session *session, struct span octets, struct session_error *error) {
    int status = transport_send(&session->transport, octets, deadline(session));

    return status == 0 || fail_transport(session, status, error);
}

static bool send_collected(struct session *session, struct session_error *error) {
    struct span octets = {session->collected, session->collected_size};

    session->collected_size = 0;
    return octets.size == 0 || send_octets(session, octets, error);
}

/* Each call of the kernel to send wakes the peer, at the cost of some microseconds for both; so small frames wait until
 * there are many, or an answer is waited for. */
static bool send_frame(struct session *session, struct span octets, struct session_error *error) {
    if (octets.size > COLLECTED_MAX - session->collected_size && !send_collected(session, error))
        return false;
    if (octets.size > COLLECTED_MAX)
        return send_octets(session, octets, error);
    memcpy(session->collected + session->collected_size, octets.data, octets.size);
    session->collected_size += octets.size;
    return true;
}

bool session_send_many(struct session *session, struct client_frame *frames, unsigned count,
                       struct session_error *error) {
    struct span octets[SIGN_TOGETHER_MAX];

    if (!client_frames_finish(&session->client, frames, count, octets))
        return fail(session, 0, error);
    for (unsigned i = 0; i < count; i++)
        if (!send_frame(session, octets[i], error))
            return false;
    return true;
}

bool session_send(struct session *session, struct client_frame *frame, struct session_error *error) {
    return session_send_many(session, frame, 1, error);
}

bool session_receive(struct session *session, struct client_response *response, struct session_error *error) {
    int64_t until = deadline(session);

    while (!client_next_response(&session->client, response)) {
        if (!session_is_open(session))
            return fail(session, 0, error);
        if (!send_collected(session, error) || !receive_frames(session, until, error))
            return false;
    }
    session->taken = response->message;
    return true;
}

void session_expect(struct session *session, unsigned frames) {
    session->expected = frames;
}

static bool buffer_holds(const struct buffer *buffer, const uint8_t *octet) {
    return (uintptr_t)octet - (uintptr_t)buffer->data < buffer->size;
}

bool session_keep_received(struct session *session, uint8_t **data, size_t *size) {
    struct buffer *buffer = session->received;
    struct buffer kept;

    while (!buffer_holds(buffer, session->taken.data)) {
        buffer++;
        assert(buffer < session->received + GATHERED_MAX);
    }
    if (session->client.has_response && buffer_holds(buffer, session->client.response.message.data))
        return false;
    kept = *buffer;
    *buffer = (struct buffer){*data, *size};
    *data = kept.data;
    *size = kept.size;
    return true;
}

bool session_cancel(struct session *session, uint64_t message_id, struct session_error *error) {
    uint8_t room[CLIENT_CANCEL_MAX];
    struct span octets = client_cancel(&session->client, message_id, room);

    if (!session_is_open(session))
        return fail(session, 0, error);
    return send_collected(session, error) && send_octets(session, octets, error);
}

/* One request, one final response. */
static bool request_once(struct session *session, struct client_request *request, client_body_encode *encode,
                         const void *arguments, struct client_response *response, struct session_error *error) {
    size_t room = CLIENT_HEADROOM + SMB2_HEADER_SIZE + REQUEST_ROOM + (size_t)request->payload;
    struct client_frame frame;

    if (!session_is_open(session))
        return fail(session, 0, error);
    assert(session->client.pending_count == 0);
    if (!grow(&session->sending, room)) {
        set_error(error, SESSION_ERROR_SYSTEM, 0, ENOMEM);
        return false;
    }
    client_frame_begin(&frame, session->sending.data, session->sending.size);
    if (!client_frame_add(&session->client, &frame, request, encode, arguments)) {
        set_error(error, SESSION_ERROR_ARGUMENT, STATUS_INSUFFICIENT_RESOURCES, 0);
        return false;
    }
    if (!session_send(session, &frame, error))
        return false;
    for (unsigned i = 0; i <= INTERIMS_MAX; i++) {
        if (!session_receive(session, response, error))
            return false;
        if (!response->is_interim)
            return true;
    }
    return fail_transport(session, -ETIMEDOUT, error);
}

bool session_request(struct session *session, uint16_t command, uint32_t tree, uint32_t payload,
                     client_body_encode *encode, const void *arguments, struct client_response *response,
                     struct session_error *error) {
    struct client_request request = {.command = command, .tree_id = tree, .payload = payload};

    if (!request_once(session, &request, encode, arguments, response, error))
        return false;
    if (response->status != STATUS_NETWORK_SESSION_EXPIRED)
        return true;
    return session_reauthenticate(session, error) &&
           request_once(session, &request, encode, arguments, response, error);
}

bool session_echo(struct session *session, struct session_error *error) {
    struct client_response response;

    if (!session_request(session, SMB2_ECHO, 0, 0, client_encode_empty, NULL, &response, error))
        return false;
    if (response.status == STATUS_SUCCESS)
        return true;
    set_error(error, SESSION_ERROR_REFUSED, response.status, 0);
    return false;
}
