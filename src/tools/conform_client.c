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

enum option_key { KEY_LISTEN = 256, KEY_RUN, KEY_TIMEOUT, KEY_GRACE, KEY_LOG, KEY_JOBS, KEY_VERBOSE = 'v' };

static const struct argp_option options_table[] = {
    {"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
     "Wait for the client there (default: " USUAL_LISTEN "); port 0 takes a free one", 0},
    {"run", KEY_RUN, "COMMAND", 0,
     "Run this for each case, with `sh -c': the client, once. SMBPROOF_PORT has the port, SMBPROOF_CASE the case's "
     "name",
     0},
    {"jobs", KEY_JOBS, "NUMBER", 0,
     "Run so many commands side by side (default: 1), each with a port of its own: that of --listen or one behind it",
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
    unsigned timeout_ms, grace_ms, jobs;
    bool verbose;
    FILE *voice; /* standard error as it was: the server's log has its place */
};

static unsigned take_number(const char *text, unsigned most, const char *option, struct argp_state *state) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (*end != '\0' || end == text || number == 0 || number > most)
        argp_error(state, "--%s takes 1 to %u, not `%s'", option, most, text);
    return (unsigned)number;
}

static unsigned take_seconds(const char *text, const char *option, struct argp_state *state) {
    return take_number(text, TIMEOUT_MAX_S, option, state) * 1000u;
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
    case KEY_JOBS:
        arguments->jobs = take_number(text, LAB_LANES_MAX, "jobs", state);
        return 0;
    case KEY_LOG:
        arguments->log = text;
        return 0;
    case KEY_VERBOSE:
        arguments->verbose = true;
        return 0;
    case ARGP_KEY_END:
        if (arguments->jobs > 1 && arguments->run == NULL)
            argp_error(state, "--jobs needs --run");
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

static void tell_name(const struct arguments *arguments, const struct lab_progress *progress) {
    fprintf(arguments->voice, "%u/%u %s: ", progress->number, progress->count, progress->test->name);
}

static void tell_begin(void *context, const struct lab_progress *progress) {
    const struct arguments *arguments = context;

    if (arguments->jobs == 1) {
        tell_name(arguments, progress);
        fflush(arguments->voice);
    }
}

/* In one piece, since several cases may end at the same time. */
static void tell_end(void *context, const struct lab_progress *progress, const struct conform_result *result) {
    const struct arguments *arguments = context;

    flockfile(arguments->voice);
    if (arguments->jobs > 1)
        tell_name(arguments, progress);
    fprintf(arguments->voice, "%s, %s\n", conform_outcome_word(result->outcome), result->seen);
    fflush(arguments->voice);
    funlockfile(arguments->voice);
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

static int run(struct arguments *arguments, const int *listeners, const struct conform_options *options) {
    static struct conform_report report;
    bool tells = arguments->verbose || (isatty(STDERR_FILENO) && !arguments->wishes.json && !arguments->wishes.tap) ||
                 arguments->run == NULL;
    struct lab_setup setup = {.listeners = listeners,
                              .listener_count = arguments->jobs,
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
    tell_what_to_run(arguments, listeners[0], count);
    fflush(arguments->voice);
    error = lab_run(&setup, options, &report);
    fflush(arguments->voice);
    dup2(own, STDERR_FILENO);
    if (error != 0)
        return complain("conform client", strerror(-error), EXIT_INTERNAL);
    return settle(&report, conform_tell(&arguments->wishes, &report, arguments->verbose));
}

/* At that port and those behind it; at free ones where it is 0. False, and errno; some are open then. */
static bool listen_at(struct sockaddr_storage *address, unsigned count, int listeners[LAB_LANES_MAX]) {
    unsigned port = address_port(address);

    for (unsigned i = 0; i < count; i++) {
        if (port + i > UINT16_MAX) {
            errno = EADDRNOTAVAIL;
            return false;
        }
        address_set_port(address, port == 0 ? 0 : (uint16_t)(port + i));
        listeners[i] = address_listen(address, LISTEN_BACKLOG, false);
        if (listeners[i] < 0)
            return false;
    }
    return true;
}

/* False, and it was said why. */
static bool open_listeners(const struct arguments *arguments, int listeners[LAB_LANES_MAX]) {
    struct sockaddr_storage address;
    const char *complaint;

    if (!address_parse(arguments->listen, USUAL_PORT, &address, &complaint)) {
        complain(arguments->listen, complaint, 0);
        return false;
    }
    if (!listen_at(&address, arguments->jobs, listeners)) {
        complain(arguments->listen, strerror(errno), 0);
        return false;
    }
    return true;
}

int command_conform_client(int argc, char **argv) {
    static struct arguments arguments = {
        .listen = USUAL_LISTEN, .timeout_ms = LAB_TIMEOUT_MS, .grace_ms = LAB_GRACE_MS, .jobs = 1};
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
    int listeners[LAB_LANES_MAX];
    int status;

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
    return open_listeners(&arguments, listeners) ? run(&arguments, listeners, &options) : EXIT_UNREACHABLE;
}
