/* Connects once and says how, as one line of JSON: for the tests against other people's servers.
 *
 * usage: connect HOST PORT SHARE [option value]...
 *   dialects 2.0.2,2.1   sign required   encrypt off|required   guest yes   smb1 yes   netbios yes
 *   secure-negotiate off   ciphers 1,2   signing 0,1,2   timeout MS
 *   user NAME   domain NAME   anonymous yes   nt-hash HEX   kerberos yes
 *   again yes (authenticates again)   wait MS (before the share is used)   chains no|only (what some servers cannot)
 * The password is in SMBPROOF_PASSWORD. Exit status 0: connected; 1: not, and the JSON says why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/session.h"
#include "client/words.h"
#include "request.h"
#include "wire/names.h"

/* As a JSON string. */
static void tell_text(const char *name, const char *text) {
    printf("\"%s\": \"", name);
    for (; *text != 0; text++)
        printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    printf("\"");
}

static int tell_error(const struct session_error *error) {
    const char *status = ntstatus_name(error->status);

    printf("{\"connected\": false, \"kind\": %d, \"phase\": \"%s\", \"rule\": \"%s\", \"field\": \"%s\", ", error->kind,
           client_phase_name(error->phase), rule_text(error->rule)->id, error->field != NULL ? error->field : "");
    printf("\"status\": \"%s\", \"errno\": %d, \"security\": %s, ", status != NULL ? status : "", error->number,
           error->is_security ? "true" : "false");
    tell_text("sentence", error->sentence);
    printf(", ");
    tell_text("remedy", session_error_remedy(error));
    printf("}\n");
    return 1;
}

static const char *validation_name(enum validation validation) {
    static const char *const names[] = {"none", "pending", "same", "unsupported", "failed"};

    return names[validation];
}

static void tell(const struct session *session, uint32_t tree_id) {
    const struct client *client = session_client(session);
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;
    const struct client_tree *tree = client_tree_find(client, tree_id);
    char dialect[16];

    printf("{\"connected\": true, \"dialect\": \"%s\", \"signing\": \"%s\", \"cipher\": \"%s\", ",
           dialect_text(agreed->dialect, dialect), signing_name(agreed->signing_algorithm),
           agreed->cipher != 0 ? cipher_name(agreed->cipher) : "");
    printf("\"validation\": \"%s\", \"signed\": %s, \"encrypted\": %s, \"guest\": %s, \"keys\": %s, ",
           validation_name(client->negotiation.validation), client->signing_required ? "true" : "false",
           client->encrypts || (tree != NULL && tree->encrypts) ? "true" : "false", client->is_guest ? "true" : "false",
           client->has_keys ? "true" : "false");
    printf("\"mechanism\": \"%s\", \"credits\": %u, \"read_max\": %u}\n", session_mechanism(session),
           client_credits(client), client_read_max(client));
}

/* ---- requests ---- */

#define FILE_ID_SIZE 16u
#define NOTIFY_ROOM  1024u /* octets of output that CHANGE_NOTIFY asks for */

static const uint8_t file_id_of_before[FILE_ID_SIZE] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                        255, 255, 255, 255, 255, 255, 255, 255};

/* 2.2.13: opens the root of the share for listing. */
static void encode_create(struct writer *writer, const void *arguments) {
    (void)arguments;
    writer_u16(writer, 57);
    writer_zero(writer, 2);
    writer_u32(writer, 2); /* ImpersonationLevel */
    writer_zero(writer, 16);
    writer_u32(writer, 0x00120089); /* DesiredAccess: read, list */
    writer_u32(writer, 0);
    writer_u32(writer, 7); /* ShareAccess */
    writer_u32(writer, 1); /* CreateDisposition: open */
    writer_u32(writer, 1); /* CreateOptions: directory */
    writer_u16(writer, SMB2_HEADER_SIZE + 56);
    writer_zero(writer, 2 + 8 + 1); /* NameLength, contexts, one octet of an empty buffer */
}

/* 2.2.15 */
static void encode_close(struct writer *writer, const void *file_id) {
    writer_u16(writer, 24);
    writer_zero(writer, 6);
    writer_put(writer, (struct span){file_id, FILE_ID_SIZE});
}

/* 2.2.35 */
static void encode_notify(struct writer *writer, const void *file_id) {
    writer_u16(writer, 32);
    writer_u16(writer, 0);
    writer_u32(writer, NOTIFY_ROOM);
    writer_put(writer, (struct span){file_id, FILE_ID_SIZE});
    writer_u32(writer, 1); /* CompletionFilter: names of files */
    writer_u32(writer, 0);
}

/* A response that was not hoped for. */
static bool refused(const struct client_response *response, struct session_error *error) {
    *error = (struct session_error){
        .kind = SESSION_ERROR_REFUSED, .phase = CLIENT_PHASE_READY, .status = response->status};
    session_error_describe(error);
    return false;
}

/* Waits for `count` final responses, all with this status. */
static bool await(struct session *session, unsigned count, uint32_t status, struct session_error *error) {
    struct client_response response;

    while (count > 0) {
        if (!session_receive(session, &response, error))
            return false;
        if (response.is_interim)
            continue;
        if (response.status != status)
            return refused(&response, error);
        count--;
    }
    return true;
}

static bool add(struct session *session, struct client_frame *frame, struct client_request *request,
                client_body_encode *encode, const void *arguments) {
    bool added = client_frame_add(session_frames(session), frame, request, encode, arguments);

    if (!added)
        fprintf(stderr, "connect: no place for a request\n");
    return added;
}

/* CREATE and CLOSE in one chain, several chains in flight. */
static bool use_chains(struct session *session, uint32_t tree, struct session_error *error) {
    uint8_t room[1024];

    for (unsigned i = 0; i < 4; i++) {
        struct client_frame frame;
        struct client_request create = {.command = SMB2_CREATE, .tree_id = tree};
        struct client_request close = {.command = SMB2_CLOSE, .tree_id = tree, .related = true};

        client_frame_begin(&frame, room, sizeof room);
        if (!add(session, &frame, &create, encode_create, NULL) ||
            !add(session, &frame, &close, encode_close, file_id_of_before) || !session_send(session, &frame, error))
            return false;
    }
    return await(session, 8, STATUS_SUCCESS, error);
}

static bool send_notify(struct session *session, uint32_t tree, const uint8_t *file_id, uint64_t *message_id,
                        struct session_error *error) {
    uint8_t room[512];
    struct client_frame frame;
    struct client_request notify = {.command = SMB2_CHANGE_NOTIFY, .tree_id = tree, .payload = NOTIFY_ROOM};

    client_frame_begin(&frame, room, sizeof room);
    if (!add(session, &frame, &notify, encode_notify, file_id) || !session_send(session, &frame, error))
        return false;
    *message_id = notify.message_id;
    return true;
}

/* A request that waits, gets its interim response, and is cancelled. */
static bool use_cancel(struct session *session, uint32_t tree, struct session_error *error) {
    uint8_t file_id[FILE_ID_SIZE];
    struct client_response response;
    uint64_t message_id;

    if (!session_request(session, SMB2_CREATE, tree, 0, encode_create, NULL, &response, error))
        return false;
    if (response.status != STATUS_SUCCESS || response.message.size < SMB2_HEADER_SIZE + 64 + FILE_ID_SIZE)
        return refused(&response, error);
    memcpy(file_id, response.message.data + SMB2_HEADER_SIZE + 64, FILE_ID_SIZE);
    if (!send_notify(session, tree, file_id, &message_id, error) || !session_receive(session, &response, error))
        return false;
    if (!response.is_interim)
        return refused(&response, error);
    if (!session_cancel(session, message_id, error) || !await(session, 1, STATUS_CANCELLED, error) ||
        !session_request(session, SMB2_CLOSE, tree, 0, encode_close, file_id, &response, error))
        return false;
    return response.status == STATUS_SUCCESS || refused(&response, error);
}

static bool use_share(struct session *session, const struct request *request, uint32_t tree,
                      struct session_error *error) {
    struct timespec pause = {.tv_sec = request->wait_ms / 1000, .tv_nsec = request->wait_ms % 1000 * 1000000L};

    nanosleep(&pause, NULL);
    if (!session_echo(session, error))
        return false;
    if (request->without_chains)
        return true;
    /* The first request that waits for its answer: a session that has expired is renewed here. */
    return (request->only_chains || use_cancel(session, tree, error)) && use_chains(session, tree, error);
}

static bool use(struct session *session, const struct request *request, uint32_t *tree, struct session_error *error) {
    uint32_t other;

    if (!session_connect_tree(session, request->share, tree, error) ||
        !use_share(session, request, *tree, error))
        return false;
    if (request->again && !(session_reauthenticate(session, error) && session_echo(session, error)))
        return false;
    return session_connect_tree(session, "IPC$", &other, error) && session_disconnect_tree(session, other, error) &&
           session_echo(session, error) && (request->without_chains || use_chains(session, *tree, error));
}

int main(int argc, char **argv) {
    static struct request request;
    struct session_options options = {.policy = &request.policy, .credentials = &request.credentials};
    struct session_error error = {.kind = SESSION_ERROR_NONE};
    struct session *session;
    uint32_t tree = 0;
    int status = 0;

    read_arguments(&request, argc, argv);
    options.host = request.host;
    options.port = request.port;
    options.timeout_ms = request.timeout_ms;
    session = session_open(&options, &error);
    if (session == NULL)
        return tell_error(&error);
    if (use(session, &request, &tree, &error))
        tell(session, tree);
    else
        status = tell_error(&error);
    session_close(session);
    return status;
}
