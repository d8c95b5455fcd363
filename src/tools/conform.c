/* `smbproof conform server`: options -> conform_run(). */
#include "conform/conform.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/remote.h"

enum option_key { KEY_JSON = 'j', KEY_TAP = 256, KEY_JUNIT, KEY_ONLY, KEY_LIST, KEY_KNOWN, KEY_STRICT };

static const struct argp_option options_table[] = {
    {"json", KEY_JSON, NULL, 0, "Write one JSON object, and nothing else to standard output", 0},
    {"tap", KEY_TAP, NULL, 0, "Write TAP (Test Anything Protocol), and nothing else to standard output", 0},
    {"junit", KEY_JUNIT, "FILE", 0, "Write a JUnit report to FILE as well", 0},
    {"only", KEY_ONLY, "NAMES", 0,
     "Make just these cases, separated by commas; `*' at the end of a name stands for any rest, and an area for all of "
     "its cases",
     0},
    {"list", KEY_LIST, NULL, 0, "List the cases (-v: with what they send and expect); nothing is sent", 0},
    {"known", KEY_KNOWN, "FILE", 0,
     "Deviations that are known and no failure: a line each, with the case's name, the last day on which that holds, "
     "and the reason",
     0},
    {"strict", KEY_STRICT, NULL, 0, "What a server should do counts as what it must do", 0},
    {0},
};

struct arguments {
    struct options options;
    const char *url, *only, *junit, *known;
    bool json, tap, list, strict;
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->options;
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case KEY_TAP:
        arguments->tap = true;
        return 0;
    case KEY_JUNIT:
        arguments->junit = text;
        return 0;
    case KEY_ONLY:
        arguments->only = text;
        return 0;
    case KEY_LIST:
        arguments->list = true;
        return 0;
    case KEY_KNOWN:
        arguments->known = text;
        return 0;
    case KEY_STRICT:
        arguments->strict = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->url != NULL)
            argp_error(state, "one server at a time");
        arguments->url = text;
        return 0;
    case ARGP_KEY_END:
        if (arguments->url == NULL && !arguments->list)
            argp_error(state, "name a server and share: smb://user@host/share");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void tell_progress(const struct conform_case *test, unsigned number, unsigned count) {
    fprintf(stderr, "\r\033[K%u/%u %s", number, count, test->name);
}

static void fill_options(const struct arguments *arguments, const struct remote *remote,
                         struct conform_options *options) {
    time_t now = time(NULL);
    struct tm parts;

    options->target = remote_target(remote, CONFORM_TIMEOUT_MS);
    options->strict = arguments->strict;
    strftime(options->today, sizeof options->today, "%Y-%m-%d", gmtime_r(&now, &parts));
    if (isatty(STDERR_FILENO) && !arguments->json && !arguments->tap)
        options->progress = tell_progress;
}

/* 0, or an exit status when that has been told. */
static int read_known(const char *path, struct deviations *deviations) {
    FILE *file = fopen(path, "r");
    char sentence[160];
    bool good;

    if (file == NULL)
        return complain(path, "cannot be read", EXIT_INPUT);
    good = deviations_read(deviations, file);
    fclose(file);
    if (good)
        return EXIT_NO_PROBLEM;
    snprintf(sentence, sizeof sentence, "line %u: %s", deviations->bad_line, deviations->complaint);
    return complain(path, sentence, EXIT_INPUT);
}

static int write_junit(const struct conform_report *report, const char *path) {
    FILE *file = fopen(path, "w");
    bool failed;

    if (file == NULL)
        return complain(path, "cannot be written", EXIT_INTERNAL);
    conform_write_junit(report, file);
    failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    return failed ? complain(path, "cannot be written", EXIT_INTERNAL) : EXIT_NO_PROBLEM;
}

static int status_of(const struct conform_report *report) {
    if (report->counts[CONFORM_FAIL] > 0)
        return EXIT_PROBLEM;
    return report->counts[CONFORM_UNCLEAR] > 0 ? EXIT_CANNOT_TELL : EXIT_NO_PROBLEM;
}

static int report_all(const struct arguments *arguments, const struct remote *remote,
                      const struct conform_report *report) {
    int status = EXIT_NO_PROBLEM;

    if (report->options->progress != NULL)
        fputs("\r\033[K", stderr);
    if (!report->facts.reached)
        return complain(report->options->target.host, strerror(-report->facts.error), EXIT_UNREACHABLE);
    if (arguments->json)
        conform_write_json(report, stdout);
    else if (arguments->tap)
        conform_write_tap(report, stdout);
    else
        conform_write_text(report, remote->settings.verbosity > 0, stdout);
    if (fflush(stdout) != 0)
        return complain("standard output", "cannot be written", EXIT_INTERNAL);
    if (arguments->junit != NULL)
        status = write_junit(report, arguments->junit);
    return status != EXIT_NO_PROBLEM ? status : status_of(report);
}

static int conform_server(const struct arguments *arguments, struct remote *remote, struct conform_options *options) {
    static struct conform_report report;
    static struct deviations deviations;
    int status = remote_prepare(remote, arguments->url, remote_has_credentials);

    if (status == EXIT_NO_PROBLEM && arguments->known != NULL) {
        status = read_known(arguments->known, &deviations);
        options->deviations = &deviations;
    }
    if (status != EXIT_NO_PROBLEM)
        return status;
    fill_options(arguments, remote, options);
    if (!conform_run(options, &report))
        return complain("conform", "no memory", EXIT_INTERNAL);
    return report_all(arguments, remote, &report);
}

static int command_server(int argc, char **argv) {
    static struct arguments arguments;
    static struct remote remote;
    struct conform_options options = {.progress = NULL};
    const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .args_doc = "smb://[DOMAIN;]USER@HOST[:PORT]/SHARE",
        .doc = "Does a server do what [MS-SMB2] demands of it? Small named cases on negotiation, validation, sessions, "
               "signing, encryption, trees, credits, compound chains and frames, each on a connection of its own. A few "
               "files are made on the share and deleted again.\v"
               "Without a user in the URL only what needs no logon is looked at. It is meant for a server in a "
               "laboratory: it sends what no client sends, as fast as the server answers.\n\n"
               "Exit status: 0 no deviation, 1 deviations, 2 cannot tell, 3 usage, 4 a file or password could not be "
               "read, 5 internal error, 6 unreachable.",
        .children = arguments.options.children,
    };
    int status;

    options_init(&arguments.options);
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof conform server"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.json && arguments.tap)
        return complain("conform", "either --json or --tap", EXIT_USAGE);
    if (conform_select(arguments.only, options.wanted) <= 0)
        return complain(arguments.only, "a name in it is no case's; `smbproof conform server --list' has them",
                        EXIT_USAGE);
    remote_init(&remote, &arguments.options);
    if (arguments.list) {
        conform_write_list(options.wanted, arguments.options.flags[OPTION_VERBOSE].origin == ORIGIN_FLAG, stdout);
        return fflush(stdout) == 0 ? EXIT_NO_PROBLEM : EXIT_INTERNAL;
    }
    status = conform_server(&arguments, &remote, &options);
    remote_close(&remote);
    return status;
}

int command_conform(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "server") == 0)
        return command_server(argc - 1, argv + 1);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0))
        return command_server(argc, argv);
    fputs("Usage: smbproof conform server [OPTION...] smb://USER@HOST/SHARE\n"
          "`smbproof conform server --help' tells more.\n",
          stderr);
    return EXIT_USAGE;
}
