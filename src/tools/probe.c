/* `smbproof probe`: options -> probe_run(). */
#include "probe/probe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/remote.h"

enum option_key {
    KEY_JSON = 'j',
    KEY_JUNIT = 256,
    KEY_ONLY,
    KEY_LIST,
    KEY_DRY_RUN,
    KEY_FAIL_ON,
};

static const struct argp_option options_table[] = {
    {"json", KEY_JSON, NULL, 0, "Write one JSON object, and nothing else to standard output", 0},
    {"junit", KEY_JUNIT, "FILE", 0, "Write a JUnit report to FILE as well", 0},
    {"only", KEY_ONLY, "NAMES", 0, "Make just these tests, separated by commas, and those that they need", 0},
    {"list", KEY_LIST, NULL, 0, "List the tests; nothing is sent", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Say what would be sent, and what the answers would mean; nothing is sent", 0},
    {"fail-on", KEY_FAIL_ON, "SEVERITY", 0,
     "Exit with 1 for this and worse: problem (default), exposure, or note (each deviation)", 0},
    {0},
};

struct arguments {
    struct options options;
    const char *url, *only, *junit;
    bool json, list, dry_run;
    enum severity fail_on;
};

static enum severity parse_severity(struct argp_state *state, const char *text) {
    if (strcmp(text, "problem") == 0)
        return SEVERITY_PROBLEM;
    if (strcmp(text, "exposure") == 0)
        return SEVERITY_EXPOSURE;
    if (strcmp(text, "note") != 0)
        argp_error(state, "--fail-on takes problem, exposure or note, not `%s'", text);
    return SEVERITY_FINDING_NOTE;
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->options;
        return 0;
    case KEY_JSON:
        arguments->json = true;
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
    case KEY_DRY_RUN:
        arguments->dry_run = true;
        return 0;
    case KEY_FAIL_ON:
        arguments->fail_on = parse_severity(state, text);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->url != NULL)
            argp_error(state, "one server at a time");
        arguments->url = text;
        return 0;
    case ARGP_KEY_END:
        if (arguments->url == NULL && !arguments->list && !arguments->dry_run)
            argp_error(state, "name a server and share: smb://user@host/share");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void tell_progress(const struct probe_test *test, unsigned number, unsigned count) {
    fprintf(stderr, "\r\033[K%u/%u %s", number, count, test->name);
}

static void fill_options(const struct arguments *arguments, const struct remote *remote,
                         struct probe_options *options) {
    options->target = remote_target(remote, PROBE_TIMEOUT_MS);
    options->policy = remote->settings.policy;
    if (isatty(STDERR_FILENO) && !arguments->json)
        options->progress = tell_progress;
}

/* Findings of this severity or worse, or none that can be told. */
static int status_of(const struct probe_report *report, enum severity fail_on) {
    if (report->verdict == PROBE_NOT_REACHED)
        return EXIT_UNREACHABLE;
    for (unsigned i = 0; i < PROBE_TESTS_MAX; i++) {
        const struct probe_result *result = &report->results[i];
        bool wrong =
            result->outcome == PROBE_SERVER || result->outcome == PROBE_PATH || result->outcome == PROBE_EXPOSED;

        if (wrong && result->severity <= fail_on)
            return EXIT_PROBLEM;
    }
    return report->verdict == PROBE_CANNOT_TELL ? EXIT_CANNOT_TELL : EXIT_NO_PROBLEM;
}

static int write_junit(const struct probe_report *report, const char *path) {
    FILE *file = fopen(path, "w");
    bool failed;

    if (file == NULL)
        return complain(path, "cannot be written", EXIT_INTERNAL);
    probe_write_junit(report, file);
    failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    return failed ? complain(path, "cannot be written", EXIT_INTERNAL) : EXIT_NO_PROBLEM;
}

static int report_all(const struct arguments *arguments, const struct remote *remote,
                      const struct probe_report *report) {
    int status;

    if (report->options->progress != NULL)
        fputs("\r\033[K", stderr);
    if (arguments->json)
        probe_write_json(report, stdout);
    else
        probe_write_text(report, remote->settings.verbosity > 0, stdout);
    status = standard_output_end(EXIT_NO_PROBLEM);
    if (arguments->junit != NULL)
        status = exit_worse(status, write_junit(report, arguments->junit));
    return status != EXIT_NO_PROBLEM ? status : status_of(report, arguments->fail_on);
}

static int probe_server(const struct arguments *arguments, struct remote *remote, struct probe_options *options) {
    static struct probe_report report;
    int status = remote_prepare(remote, arguments->url, remote_has_credentials);

    if (status != EXIT_NO_PROBLEM)
        return status;
    fill_options(arguments, remote, options);
    settings_warn(&remote->settings);
    fputs("smbproof: note: an intrusion prevention system may take this probe for an attack; it reads and writes no "
          "file\n",
          stderr);
    if (!probe_run(options, &report))
        return complain("probe", "no memory", EXIT_INTERNAL);
    return report_all(arguments, remote, &report);
}

int command_probe(int argc, char **argv) {
    static struct arguments arguments = {.fail_on = SEVERITY_PROBLEM};
    static struct remote remote;
    struct probe_options options = {.progress = NULL};
    const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .args_doc = "smb://[DOMAIN;]USER@HOST[:PORT]/SHARE",
        .doc = "Put a live server, and the path to it, to the test: does something change packets, and what does the "
               "server "
               "get wrong? Nothing is written, and no file is opened.\v"
               "Without a user in the URL only what needs no logon is tested.\n\n"
               "Exit status: 0 no problem, 1 problems, 2 cannot tell, 3 usage, 4 no password could be read, 5 internal "
               "error, "
               "6 unreachable.",
        .children = arguments.options.children,
    };
    int status;

    options_init(&arguments.options);
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof probe"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (probe_select(arguments.only, options.wanted) <= 0)
        return complain(arguments.only, "a name in it is no test's; `smbproof probe --list' has them", EXIT_USAGE);
    if (arguments.list || arguments.dry_run) {
        probe_write_plan(options.wanted, arguments.dry_run, stdout);
        return standard_output_end(EXIT_NO_PROBLEM);
    }
    remote_init(&remote, &arguments.options);
    status = probe_server(&arguments, &remote, &options);
    remote_close(&remote);
    return status;
}
