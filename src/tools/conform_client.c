/* `smbproof conform client`: options -> lab_run(). */
#include "tools/conform_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explain/explain.h"
#include "relay/relay.h"
#include "tools/address.h"
#include "tools/conform_lab.h"
#include "tools/conform_report.h"
#include "tools/remote.h"

#define LISTEN_BACKLOG 64
#define USUAL_LISTEN   "127.0.0.1:4450"
#define USUAL_PORT     "4450"
#define TIMEOUT_MAX_S  600u

enum option_key { KEY_LISTEN = 256, KEY_RUN, KEY_TIMEOUT, KEY_GRACE, KEY_LOG, KEY_VERBOSE = 'v' };

static const struct argp_option options_table[] = {
    {"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
     "Wait for the client there (default: " USUAL_LISTEN "); port 0 takes a free one", 0},
    {"run", KEY_RUN, "COMMAND", 0,
     "Run this for each case, with `sh -c': the client, once. SMBPROOF_PORT has the port, SMBPROOF_CASE the case's "
     "name",
     0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "A client that asks for nothing more for so long has given up (default: 5)",
     0},
    {"grace", KEY_GRACE, "SECONDS", 0, "The command may take so long to end once its case is over (default: 1)", 0},
    {"log", KEY_LOG, "FILE", 0, "Where the server's log goes (default: nowhere)", 0},
    {"verbose", KEY_VERBOSE, NULL, 0, "Tell of each case, and show what the command of --run prints", 0},
    {0},
};

struct arguments {
    struct conform_wishes wishes;
    const char *listen, *run, *log;
    unsigned timeout_ms, grace_ms;
    bool verbose;
    FILE *voice; /* standard error as it was: the server's log has its place */
};

static unsigned take_seconds(const char *text, const char *option, struct argp_state *state) {
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);

    if (*end != '\0' || end == text || seconds == 0 || seconds > TIMEOUT_MAX_S)
        argp_error(state, "--%s takes 1 to %u seconds, not `%s'", option, TIMEOUT_MAX_S, text);
    return (unsigned)seconds * 1000u;
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->wishes;
        return 0;
    case KEY_LISTEN:
        arguments->listen = text;
        return 0;
    case KEY_RUN:
        arguments->run = text;
        return 0;
    case KEY_TIMEOUT:
        arguments->timeout_ms = take_seconds(text, "timeout", state);
        return 0;
    case KEY_GRACE:
        arguments->grace_ms = take_seconds(text, "grace", state);
        return 0;
    case KEY_LOG:
        arguments->log = text;
        return 0;
    case KEY_VERBOSE:
        arguments->verbose = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- what a person is told meanwhile ---- */

static void tell_what_to_run(const struct arguments *arguments, int listener, unsigned count) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char text[RELAY_ADDRESS_MAX];
    const char *port;

    getsockname(listener, (struct sockaddr *)&address, &size);
    relay_address_text(&address, text);
    port = strrchr(text, ':') + 1;
    fprintf(arguments->voice, "Waiting on %s.\n", text);
    if (arguments->run != NULL)
        return;
    fprintf(arguments->voice,
            "Run your client against it again and again, until all %u cases are done or you interrupt this:\n"
            "    user %s, password %s, share %s, in which there is %s\n"
            "    for example: while smbclient //127.0.0.1/%s -p %s -U %s%%%s -c ls; true; do sleep 0.1; done\n",
            count, LAB_USER, LAB_PASSWORD, LAB_SHARE, LAB_FILE, LAB_SHARE, port, LAB_USER, LAB_PASSWORD);
}

static void tell_begin(void *context, const struct conform_case *test, unsigned number, unsigned count) {
    const struct arguments *arguments = context;

    fprintf(arguments->voice, "%u/%u %s: ", number, count, test->name);
    fflush(arguments->voice);
}

static void tell_end(void *context, const struct conform_case *test, const struct conform_result *result) {
    const struct arguments *arguments = context;

    (void)test;
    fprintf(arguments->voice, "%s, %s\n", conform_outcome_word(result->outcome), result->seen);
}

/* ---- the run ---- */

static void block_signals(void) {
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* The server writes its log to standard error, so another file takes that place. -1: it cannot be opened. */
static int divert_log(struct arguments *arguments) {
    int own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    int log =
        open(arguments->log != NULL ? arguments->log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    arguments->voice = own >= 0 ? fdopen(own, "w") : NULL;
    if (log < 0 || arguments->voice == NULL)
        return -1;
    dup2(log, STDERR_FILENO);
    close(log);
    return own;
}

/* Nothing can be said of a client that works with no server at all. */
static bool works_at_all(const struct conform_report *report) {
    for (unsigned i = 0; i < SETTING_COUNT; i++) {
        unsigned at = client_works_case((enum client_setting)i);
        enum conform_outcome outcome = report->results[at].outcome;

        if (report->options->wanted[at] && outcome != CONFORM_SKIP && outcome != CONFORM_UNCLEAR)
            return true;
    }
    return false;
}

static int settle(const struct conform_report *report, int status) {
    bool judged = status == EXIT_NO_PROBLEM || status == EXIT_PROBLEM;

    return judged && !works_at_all(report) ? EXIT_CANNOT_TELL : status;
}

static int run(struct arguments *arguments, int listener, const struct conform_options *options) {
    static struct conform_report report;
    bool tells = arguments->verbose || (isatty(STDERR_FILENO) && !arguments->wishes.json && !arguments->wishes.tap) ||
                 arguments->run == NULL;
    struct lab_setup setup = {.listener = listener,
                              .timeout_ms = arguments->timeout_ms,
                              .grace_ms = arguments->grace_ms,
                              .command = arguments->run,
                              .context = arguments};
    unsigned count = 0;
    int own, error;

    for (unsigned i = 0; i < conform_clients()->count; i++)
        count += options->wanted[i];
    own = divert_log(arguments);
    if (own < 0)
        return complain(arguments->log != NULL ? arguments->log : "/dev/null", "cannot be written", EXIT_INTERNAL);
    setup.output = arguments->verbose ? own : -1;
    if (tells) {
        setup.begins = tell_begin;
        setup.ends = tell_end;
    }
    tell_what_to_run(arguments, listener, count);
    fflush(arguments->voice);
    error = lab_run(&setup, options, &report);
    fflush(arguments->voice);
    dup2(own, STDERR_FILENO);
    if (error != 0)
        return complain("conform client", strerror(-error), EXIT_INTERNAL);
    return settle(&report, conform_tell(&arguments->wishes, &report, arguments->verbose));
}

/* -1, and it was said why. */
static int open_listener(const char *text) {
    struct sockaddr_storage address;
    const char *complaint;
    int listener;

    if (!address_parse(text, USUAL_PORT, &address, &complaint)) {
        complain(text, complaint, 0);
        return -1;
    }
    listener = address_listen(&address, LISTEN_BACKLOG, false);
    if (listener < 0) {
        complain(text, strerror(errno), 0);
        return -1;
    }
    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
    return listener;
}

int command_conform_client(int argc, char **argv) {
    static struct arguments arguments = {
        .listen = USUAL_LISTEN, .timeout_ms = LAB_TIMEOUT_MS, .grace_ms = LAB_GRACE_MS};
    static struct deviations deviations;
    struct conform_options options = {.progress = NULL};
    const struct argp_child children[] = {{&conform_wishes_argp, 0, NULL, 0}, {NULL}};
    const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .doc = "What does an SMB client let pass? A file server that is right in everything but one thing waits for "
               "the client, "
               "errs in another way each time, and looks at what the client asks for next: an answer that is not "
               "signed, a "
               "field that the validation or the hash must betray, a guest's session for real credentials, and so on.\v"
               "The client has to come once for each case: give its command with --run, or start it again and again. "
               "It is a "
               "server for a laboratory: its account is known to everybody, and its share has one file that says "
               "nothing.\n\n"
               "Exit status: 0 nothing was let pass, 1 something was, 2 cannot tell, 3 usage, 4 a file could not be "
               "read, 5 "
               "internal error, 6 the address cannot be listened on.",
        .children = children,
    };
    int status, listener;

    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof conform client"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    status = conform_prepare(&arguments.wishes, conform_clients(), &deviations, &options);
    if (status != EXIT_NO_PROBLEM)
        return status;
    if (arguments.wishes.list) {
        conform_write_list(conform_clients(), options.wanted, arguments.verbose, stdout);
        return fflush(stdout) == 0 ? EXIT_NO_PROBLEM : EXIT_INTERNAL;
    }
    client_want_works(options.wanted);
    block_signals();
    listener = open_listener(arguments.listen);
    return listener < 0 ? EXIT_UNREACHABLE : run(&arguments, listener, &options);
}
