/* `smbproof status`: what a server on this machine tells of itself over its status socket. */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "explain/explain.h"
#include "tools/commands.h"

#define STANDARD_SOCKET "/run/smbproof/status"
#define WAIT_MS         15000

enum { KEY_OUTPUT = 'o' };

struct arguments {
    const char *path, *format;
};

static const struct argp_option options_table[] = {
    {"output", KEY_OUTPUT, "FORMAT", 0, "Write text (default), json, or metrics as Prometheus reads them", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case KEY_OUTPUT:
        if (strcmp(text, "text") != 0 && strcmp(text, "json") != 0 && strcmp(text, "metrics") != 0)
            argp_error(state, "--output takes text, json or metrics, not `%s'", text);
        arguments->format = text;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one socket at a time");
        arguments->path = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int complain(const char *path, const char *what, int status) {
    fprintf(stderr, "smbproof status: %s: %s\n", path, what);
    return status;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

    if (descriptor < 0)
        return -errno;
    if (strlen(path) >= sizeof address.sun_path)
        error = -ENAMETOOLONG;
    else {
        memcpy(address.sun_path, path, strlen(path));
        error = connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
    }
    if (error == 0)
        return descriptor;
    close(descriptor);
    return error;
}

/* Copies until the end. How many octets, or a negative errno. */
static ssize_t copy_answer(int descriptor) {
    struct pollfd wait = {descriptor, POLLIN, 0};
    ssize_t total = 0, got;
    char text[65536];

    for (;;) {
        if (poll(&wait, 1, WAIT_MS) == 0)
            return -ETIMEDOUT;
        got = read(descriptor, text, sizeof text);
        if (got < 0)
            return -errno;
        if (got == 0)
            return total;
        total += got;
        if (fwrite(text, 1, (size_t)got, stdout) != (size_t)got)
            return -EIO;
    }
}

int command_status(int argc, char **argv) {
    struct arguments arguments = {STANDARD_SOCKET, "text"};
    const struct argp argp = {.options = options_table,
                              .parser = parse_option,
                              .args_doc = "[SOCKET]",
                              .doc = "Show what a server on this machine is doing, which was started with "
                                     "--status-socket=SOCKET (default: " STANDARD_SOCKET ")."};
    char request[16];
    ssize_t answer;
    int descriptor;

    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof status"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    descriptor = connect_to(arguments.path);
    if (descriptor < 0)
        return complain(arguments.path, strerror(-descriptor), EXIT_UNREACHABLE);
    snprintf(request, sizeof request, "%s\n", arguments.format);
    answer = send(descriptor, request, strlen(request), MSG_NOSIGNAL) < 0 ? -errno : copy_answer(descriptor);
    close(descriptor);
    if (answer < 0)
        return complain(arguments.path, strerror((int)-answer), EXIT_UNREACHABLE);
    return answer > 0 ? EXIT_NO_PROBLEM : complain(arguments.path, "the server said nothing", EXIT_UNREACHABLE);
}
