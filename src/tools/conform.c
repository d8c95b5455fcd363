/* `smbproof conform server`: options -> conform_run(). `smbproof conform client` is in conform_client.c. */
#include <string.h>
#include <unistd.h>

#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/conform_client.h"
#include "tools/conform_report.h"
#include "tools/remote.h"

struct arguments {
    struct options options;
    struct conform_wishes wishes;
    const char *url;
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->options;
        state->child_inputs[1] = &arguments->wishes;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->url != NULL)
            argp_error(state, "one server at a time");
        arguments->url = text;
        return 0;
    case ARGP_KEY_END:
        if (arguments->url == NULL && !arguments->wishes.list)
            argp_error(state, "name a server and share: smb://user@host/share");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void tell_progress(const struct conform_case *test, unsigned number, unsigned count) {
    fprintf(stderr, "\r\033[K%u/%u %s", number, count, test->name);
}

static int conform_server(const struct arguments *arguments, struct remote *remote, struct conform_options *options) {
    static struct conform_report report;
    int status = remote_prepare(remote, arguments->url, remote_has_credentials);

    if (status != EXIT_NO_PROBLEM)
        return status;
    options->target = remote_target(remote, CONFORM_TIMEOUT_MS);
    if (isatty(STDERR_FILENO) && !arguments->wishes.json && !arguments->wishes.tap)
        options->progress = tell_progress;
    if (!conform_run(options, &report))
        return complain("conform", "no memory", EXIT_INTERNAL);
    if (options->progress != NULL)
        fputs("\r\033[K", stderr);
    if (!report.facts.reached)
        return complain(options->target.host, strerror(-report.facts.error), EXIT_UNREACHABLE);
    return conform_tell(&arguments->wishes, &report, remote->settings.verbosity > 0);
}

static int command_server(int argc, char **argv) {
    static struct arguments arguments;
    static struct deviations deviations;
    static struct remote remote;
    struct conform_options options = {.progress = NULL};
    struct argp_child children[] = {{NULL}, {&conform_wishes_argp, 0, NULL, 0}, {NULL}};
    const struct argp argp = {
        .parser = parse_option,
        .args_doc = "smb://[DOMAIN;]USER@HOST[:PORT]/SHARE",
        .doc = "Does a server do what [MS-SMB2] demands of it? Small named cases on negotiation, validation, sessions, "
               "signing, encryption, trees, credits, compound chains and frames, each on a connection of its own. A few "
               "files are made on the share and deleted again.\v"
               "Without a user in the URL only what needs no logon is looked at. It is meant for a server in a "
               "laboratory: it sends what no client sends, as fast as the server answers.\n\n"
               "Exit status: 0 no deviation, 1 deviations, 2 cannot tell, 3 usage, 4 a file or password could not be "
               "read, 5 internal error, 6 unreachable.",
        .children = children,
    };
    int status;

    options_init(&arguments.options);
    children[0] = arguments.options.children[0];
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof conform server"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    status = conform_prepare(&arguments.wishes, conform_servers(), &deviations, &options);
    if (status != EXIT_NO_PROBLEM)
        return status;
    remote_init(&remote, &arguments.options);
    if (arguments.wishes.list) {
        conform_write_list(conform_servers(), options.wanted, arguments.options.flags[OPTION_VERBOSE].origin == ORIGIN_FLAG,
                           stdout);
        return fflush(stdout) == 0 ? EXIT_NO_PROBLEM : EXIT_INTERNAL;
    }
    status = conform_server(&arguments, &remote, &options);
    remote_close(&remote);
    return status;
}

int command_conform(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "server") == 0)
        return command_server(argc - 1, argv + 1);
#ifdef SMBPROOF_SERVE
    if (argc > 1 && strcmp(argv[1], "client") == 0)
        return command_conform_client(argc - 1, argv + 1);
#endif
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0))
        return command_server(argc, argv);
    fputs("Usage: smbproof conform server [OPTION...] smb://USER@HOST/SHARE\n"
          "  or:  smbproof conform client [OPTION...] --listen ADDRESS:PORT (built with the file server)\n"
          "`smbproof conform server --help' and `smbproof conform client --help' tell more.\n",
          stderr);
    return EXIT_USAGE;
}
