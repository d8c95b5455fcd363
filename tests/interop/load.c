/* Puts a server to work, for measurements and long runs: with little work of its own, so that the server is what is seen.
 *
 * usage: load HOST PORT SHARE MODE NUMBER PATH [option value]...   (the options of connect.c)
 *   connect NUMBER        so many connections one after the other: logged on, validated, the share connected, closed
 *   idle NUMBER           so many at once; says "ready", and after each line on standard input asks every one of them to
 *                         ECHO and says "answered"; ends with its standard input
 *   read NUMBER PATH      reads the file so often
 *   write NUMBER PATH     writes so many MiB
 *   list NUMBER PATH      lists the folder so often, and says how many names it has
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

static bool churn_once(struct load *load, struct share *share, unsigned number) {
    uint8_t data[SMALL_SIZE], back[SMALL_SIZE];
    char part[512], path[512], other[512];
    struct file_status status = {0};
    uint32_t got = 0;

    snprintf(part, sizeof part, "%s\\%u.part", load->path, number);
    snprintf(path, sizeof path, "%s\\%u", load->path, number);
    snprintf(other, sizeof other, "%s\\%u.other", load->path, number);
    fill(data, sizeof data, number);
    if (!share_write_small(share, part, path, (struct span){data, sizeof data}, &status, &load->error) ||
        !share_rename(share, path, other, false, &load->error) ||
        !share_read_small(share, other, back, sizeof back, &got, &status, &load->error))
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
