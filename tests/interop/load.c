/* Puts a server to work, for measurements and long runs: with little work of its own, so that the server is what is seen.
 *
 * usage: load HOST PORT SHARE MODE NUMBER PATH [option value]...   (the options of connect.c)
 *   connect NUMBER        so many connections one after the other: logged on, validated, the share connected, closed
 *   idle NUMBER           so many at once; says "ready", and after each line on standard input asks every one of them to
 *                         ECHO and says "answered"; ends with its standard input
 *   read NUMBER PATH      reads the file so often
 *   write NUMBER PATH     writes so many MiB
 *   list NUMBER PATH      lists the folder so often, and says how many names it has
 *   garble NUMBER SEED    sends so many requests that are properly protected, and whose bodies are nearly right; says how
 *                         many were answered, and how often the server ended the connection
 *   greedy NUMBER PATH    so many connections that ask for the file as often as they have credits, and take no answer;
 *                         says "asked", and waits for the end of standard input
 *   churn NUMBER PATH     makes, writes, reads, renames and deletes so many files beneath the folder
 * PATH is - where it counts for nothing. Exit status 0: all of it went well; else standard error says what did not. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/share.h"
#include "client/transfer.h"
#include "request.h"

#define MIB 1048576u
#define SMALL_SIZE 8192u /* octets of a file of `churn` */

struct load {
    struct request request;
    struct session_options options;
    struct session_error error;
    unsigned number;
    const char *path;
};

static int fail(const struct load *load, const char *what) {
    fprintf(stderr, "load: %s: %s (status 0x%08x, errno %d)\n", what, load->error.sentence, load->error.status,
            load->error.number);
    return 1;
}

/* NULL: `error` says why. */
static struct session *begin(struct load *load, struct share *share) {
    struct session *session = session_open(&load->options, &load->error);

    *share = (struct share){.session = session};
    if (session == NULL || session_connect_tree(session, load->request.share, &share->tree, &load->error))
        return session;
    session_close(session);
    return NULL;
}

static int connect_many(struct load *load) {
    for (unsigned i = 0; i < load->number; i++) {
        struct share share;

        if (begin(load, &share) == NULL)
            return fail(load, "connect");
        session_close(share.session);
    }
    return 0;
}

static bool echo_all(struct load *load, const struct share *shares) {
    for (unsigned i = 0; i < load->number; i++)
        if (!session_echo(shares[i].session, &load->error))
            return false;
    return true;
}

static int idle_with(struct load *load, struct share *shares) {
    char line[16];

    for (unsigned i = 0; i < load->number; i++)
        if (begin(load, &shares[i]) == NULL)
            return fail(load, "connect");
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!echo_all(load, shares))
            return fail(load, "ECHO");
        puts("answered");
        fflush(stdout);
    }
    for (unsigned i = 0; i < load->number; i++)
        session_close(shares[i].session);
    return 0;
}

static int idle(struct load *load) {
    struct share *shares = calloc(load->number, sizeof *shares);
    int status = shares != NULL ? idle_with(load, shares) : 1;

    free(shares);
    return status;
}

static int ended(struct load *load, struct transfer *transfer, enum transfer_end end) {
    if (end == TRANSFER_DONE)
        return 0;
    load->error = transfer->error;
    return fail(load, end == TRANSFER_LOCAL ? "this side" : end == TRANSFER_SHRUNK ? "the file shrank" : "transfer");
}

static int read_once(struct load *load, struct share *share, int fd) {
    struct share_file file;
    struct transfer transfer = {.share = share, .file = &file, .fd = fd, .is_stream = true};
    int status;

    if (!share_open(share, load->path, &share_open_to_read, &file, &load->error))
        return fail(load, load->path);
    transfer.size = file.status.size;
    status = ended(load, &transfer, transfer_get(&transfer));
    if (status == 0 && !share_close(share, &file, NULL, &load->error))
        return fail(load, load->path);
    return status;
}

static int read_often(struct load *load, struct share *share) {
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), status = 0;

    for (unsigned i = 0; i < load->number && status == 0; i++)
        status = read_once(load, share, fd);
    close(fd);
    return status;
}

static int write_once(struct load *load, struct share *share) {
    const struct share_open how = share_open_to_write(false);
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), status;
    struct share_file file;
    struct transfer transfer = {.share = share, .file = &file, .fd = fd, .size = (uint64_t)load->number * MIB};

    if (!share_open(share, load->path, &how, &file, &load->error))
        return fail(load, load->path);
    status = ended(load, &transfer, transfer_put(&transfer));
    close(fd);
    if (status == 0 && !share_close(share, &file, NULL, &load->error))
        return fail(load, load->path);
    return status;
}

static int list_often(struct load *load, struct share *share) {
    size_t count = 0;

    for (unsigned i = 0; i < load->number; i++) {
        struct listing listing = {0};
        bool listed = share_list(share, load->path, &listing, &load->error);

        count = listing.count;
        listing_free(&listing);
        if (!listed)
            return fail(load, load->path);
    }
    printf("%zu\n", count);
    return 0;
}

/* Each octet follows from file and place, so that what comes back can be told from what was not written. */
static void fill(uint8_t *data, size_t size, unsigned number) {
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 + number * 7 + (i >> 8));
}

/* As a pipe is written and read: once, at the start. */
static bool put_once(struct load *load, struct share *share, const char *path, struct span data) {
    const struct share_open how = share_open_to_write(false);
    struct share_file file;

    return share_open(share, path, &how, &file, &load->error) && share_pipe_write(share, &file, data, &load->error) &&
           share_close(share, &file, NULL, &load->error);
}

static bool get_once(struct load *load, struct share *share, const char *path, uint8_t *data, uint32_t *got) {
    struct share_file file;
    bool more;

    return share_open(share, path, &share_open_to_read, &file, &load->error) &&
           share_pipe_read(share, &file, data, SMALL_SIZE, got, &more, &load->error) &&
           share_close(share, &file, NULL, &load->error);
}

static bool churn_once(struct load *load, struct share *share, unsigned number) {
    uint8_t data[SMALL_SIZE], back[SMALL_SIZE];
    char path[512], other[512];
    uint32_t got = 0;

    snprintf(path, sizeof path, "%s\\%u", load->path, number);
    snprintf(other, sizeof other, "%s\\%u.other", load->path, number);
    fill(data, sizeof data, number);
    if (!put_once(load, share, path, (struct span){data, sizeof data}) ||
        !share_rename(share, path, other, true, &load->error) || !get_once(load, share, other, back, &got))
        return false;
    if (got != sizeof back || memcmp(data, back, sizeof back) != 0) {
        fprintf(stderr, "load: %s holds something else than was written\n", other);
        return false;
    }
    return share_delete(share, other, false, &load->error);
}

static int churn(struct load *load, struct share *share) {
    for (unsigned i = 0; i < load->number; i++)
        if (!churn_once(load, share, i))
            return fail(load, "churn");
    return 0;
}

/* ---- requests that are nearly right ---- */

#define BODY_MAX 200u

struct garble {
    struct load *load;
    struct share share;
    struct share_file folder, file;
    uint64_t random;
    unsigned answered, closed;
};

struct body {
    uint8_t octets[BODY_MAX];
    size_t size;
};

/* xorshift64 */
static uint32_t next_random(struct garble *garble) {
    garble->random ^= garble->random << 13;
    garble->random ^= garble->random >> 7;
    garble->random ^= garble->random << 17;
    return (uint32_t)(garble->random >> 16);
}

/* StructureSize and where the FileId is, after the header; 0 none. */
static const struct {
    uint16_t command;
    uint8_t size, file_id_at;
} garbled[] = {
    {SMB2_CREATE, 57, 0}, {SMB2_CLOSE, 24, 8}, {SMB2_FLUSH, 24, 8}, {SMB2_READ, 49, 16}, {SMB2_WRITE, 49, 16},
    {SMB2_LOCK, 48, 8}, {SMB2_IOCTL, 57, 8}, {SMB2_QUERY_DIRECTORY, 33, 8}, {SMB2_CHANGE_NOTIFY, 32, 8},
    {SMB2_QUERY_INFO, 41, 24}, {SMB2_SET_INFO, 33, 16}, {SMB2_OPLOCK_BREAK, 24, 8}, {SMB2_TREE_CONNECT, 9, 0},
};

static void encode_garbled(struct writer *writer, const void *arguments) {
    const struct body *body = arguments;

    writer_put(writer, (struct span){body->octets, body->size});
}

static void make_body(struct garble *garble, unsigned row, struct body *body) {
    const uint8_t *id = next_random(garble) % 2 ? garble->file.id : garble->folder.id;

    body->size = next_random(garble) % 8 != 0 ? garbled[row].size + next_random(garble) % 64 : next_random(garble) % BODY_MAX;
    for (size_t i = 0; i < sizeof body->octets; i++)
        body->octets[i] = next_random(garble) % 4 == 0 ? (uint8_t)next_random(garble) : (uint8_t)(next_random(garble) % 3);
    if (next_random(garble) % 16 != 0) {
        body->octets[0] = garbled[row].size;
        body->octets[1] = 0;
    }
    if (garbled[row].file_id_at > 0 && next_random(garble) % 4 != 0)
        memcpy(body->octets + garbled[row].file_id_at, id, FILE_ID_SIZE);
}

/* The answer to one request; what waits is cancelled. False: the connection is gone. */
static bool ask_garbled(struct garble *garble) {
    unsigned row = next_random(garble) % (sizeof garbled / sizeof *garbled);
    struct session *session = garble->share.session;
    struct client_request request = {.command = garbled[row].command, .tree_id = garble->share.tree};
    struct client_response response;
    struct client_frame frame;
    struct body body = {.size = 0};
    uint8_t room[1024];

    make_body(garble, row, &body);
    client_frame_begin(&frame, room, sizeof room);
    if (!client_frame_add(session_frames(session), &frame, &request, encode_garbled, &body) ||
        !session_send(session, &frame, &garble->load->error) ||
        !session_receive(session, &response, &garble->load->error))
        return false;
    if (response.is_interim && !session_cancel(session, request.message_id, &garble->load->error))
        return false;
    return !response.is_interim || session_receive(session, &response, &garble->load->error);
}

static bool open_for_garbled(struct garble *garble) {
    const struct share_open folder = {.access = FILE_READ_DATA | FILE_READ_ATTRIBUTES, .sharing = FILE_SHARE_ALL,
                                      .disposition = FILE_OPEN, .options = FILE_DIRECTORY_FILE};
    const struct share_open file = {.access = FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES,
                                    .sharing = FILE_SHARE_ALL, .disposition = FILE_OPEN_IF};
    struct load *load = garble->load;

    return begin(load, &garble->share) != NULL && share_open(&garble->share, "", &folder, &garble->folder, &load->error) &&
           share_open(&garble->share, "garbled", &file, &garble->file, &load->error);
}

static int garble(struct load *load) {
    struct garble garble = {.load = load, .random = 0x9e3779b97f4a7c15u + (uint64_t)atoi(load->path)};

    for (unsigned i = 0; i < load->number; i++) {
        if (garble.share.session == NULL && !open_for_garbled(&garble))
            return fail(load, "connect");
        if (ask_garbled(&garble)) {
            garble.answered++;
            continue;
        }
        if (load->error.kind != SESSION_ERROR_DISCONNECTED)
            return fail(load, "garble");
        garble.closed++;
        session_close(garble.share.session);
        garble.share.session = NULL;
    }
    session_close(garble.share.session);
    printf("answered %u closed %u\n", garble.answered, garble.closed);
    return 0;
}

/* ---- one who takes no answer ---- */

static void encode_read(struct writer *writer, const void *file_id) {
    struct read_request request = {.length = 65536};

    memcpy(request.file_id, file_id, FILE_ID_SIZE);
    read_request_place(&request);
    read_request_encode(&request, writer);
}

/* ECHO brings more credits than it costs. */
static bool gather_credits(struct session *session, struct session_error *error) {
    for (unsigned i = 0; i < 32; i++)
        if (!session_echo(session, error))
            return false;
    return true;
}

static int ask_all(struct load *load, struct share *share) {
    struct share_file file;
    unsigned asked = 0;

    if (begin(load, share) == NULL || !share_open(share, load->path, &share_open_to_read, &file, &load->error) ||
        !gather_credits(share->session, &load->error))
        return -1;
    while (client_credits(session_frames(share->session)) > 1) {
        struct client_request request = {.command = SMB2_READ, .tree_id = share->tree, .payload = 65536};
        struct client_frame frame;
        uint8_t room[512];

        client_frame_begin(&frame, room, sizeof room);
        if (!client_frame_add(session_frames(share->session), &frame, &request, encode_read, file.id))
            break; /* no more can be in flight */
        if (!session_send(share->session, &frame, &load->error))
            return -1;
        asked++;
    }
    return (int)asked;
}

static int greedy(struct load *load) {
    struct share *shares = calloc(load->number, sizeof *shares);
    int asked = 0;
    char line[16];

    for (unsigned i = 0; i < load->number && shares != NULL; i++) {
        int more = ask_all(load, &shares[i]);

        if (more < 0)
            return fail(load, "greedy");
        asked += more;
    }
    printf("asked %d\n", asked);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL)
        continue;
    return 0; /* and the connections end as they are */
}

static int with_share(struct load *load, int (*work)(struct load *load, struct share *share)) {
    struct share share;
    int status;

    if (begin(load, &share) == NULL)
        return fail(load, "connect");
    status = work(load, &share);
    session_close(share.session);
    return status;
}

static int run(struct load *load, const char *mode) {
    if (strcmp(mode, "connect") == 0)
        return connect_many(load);
    if (strcmp(mode, "idle") == 0)
        return idle(load);
    if (strcmp(mode, "garble") == 0)
        return garble(load);
    if (strcmp(mode, "greedy") == 0)
        return greedy(load);
    if (strcmp(mode, "read") == 0)
        return with_share(load, read_often);
    if (strcmp(mode, "write") == 0)
        return with_share(load, write_once);
    if (strcmp(mode, "list") == 0)
        return with_share(load, list_often);
    if (strcmp(mode, "churn") == 0)
        return with_share(load, churn);
    fprintf(stderr, "load: cannot use %s\n", mode);
    return 2;
}

int main(int argc, char **argv) {
    static struct load load;
    const char *mode = argc > 6 ? argv[4] : "nothing";

    if (argc > 6) {
        load.number = (unsigned)atoi(argv[5]);
        load.path = strcmp(argv[6], "-") == 0 ? "" : argv[6];
        memmove(argv + 4, argv + 7, (size_t)(argc - 7) * sizeof *argv);
        argc -= 3;
    }
    read_arguments(&load.request, argc, argv);
    load.options = (struct session_options){.host = load.request.host, .port = load.request.port,
        .policy = &load.request.policy, .credentials = &load.request.credentials,
        .timeout_ms = load.request.timeout_ms};
    return run(&load, mode);
}
