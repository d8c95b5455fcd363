/* `smbproof explain`: options -> explain(). */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explain/codes.h"
#include "explain/explain.h"
#include "tools/commands.h"

#define WIDTH_DEFAULT 80u
#define CODES_FOUND_MAX 16u

enum option_key {
    KEY_JSON = 'j',
    KEY_VERBOSE = 'v',
    KEY_TAKEN_AT = 256,
    KEY_CLIENT_OS,
    KEY_SERVER_OS,
    KEY_FAIL_ON,
    KEY_CODE,
    KEY_COLOUR,
};

static const struct argp_option options_table[] = {
    {"json", KEY_JSON, NULL, 0, "Write JSON lines, one object per connection, and nothing else to standard output", 0},
    {"verbose", KEY_VERBOSE, NULL, 0, "Tell all about healthy connections, too", 0},
    {"taken-at", KEY_TAKEN_AT, "PLACE", 0,
     "Where the capture was taken: client, server or middle (inferred where not given)", 0},
    {"client-os", KEY_CLIENT_OS, "SYSTEM", 0,
     "The client's system: windows-7, windows-8, windows-10, windows-11, linux, macos, samba or other", 0},
    {"server-os", KEY_SERVER_OS, "SYSTEM", 0, "The server's system, likewise", 0},
    {"fail-on", KEY_FAIL_ON, "SEVERITY", 0, "Exit with 1 for this and worse: problem (default) or exposure", 0},
    {"code", KEY_CODE, "CODE", 0,
     "Explain an error code, status, Windows event id or message instead of a capture (1240, 0xC000A000, 31012, ...)",
     0},
    {"color", KEY_COLOUR, "WHEN", 0,
     "Use colour: auto (default: on a terminal, unless NO_COLOR is set), always or never", 0},
    {0},
};

struct arguments {
    struct explain_options options;
    const char *code;
    unsigned captures;
    enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } colour;
};

static enum place parse_place(struct argp_state *state, const char *text) {
    for (enum place place = PLACE_CLIENT; place <= PLACE_MIDDLE; place++) {
        static const char *const names[] = {"unknown", "client", "server", "middle"};

        if (strcmp(text, names[place]) == 0)
            return place;
    }
    argp_error(state, "`%s' is no place: say client, server or middle", text);
    return PLACE_UNKNOWN;
}

static enum system parse_system(struct argp_state *state, const char *text) {
    static const struct {
        const char *name;
        enum system system;
    } systems[] = {
        {"windows-7", SYSTEM_WINDOWS_OLD},   {"windows-2008", SYSTEM_WINDOWS_OLD}, {"windows-8", SYSTEM_WINDOWS_8},
        {"windows-8.1", SYSTEM_WINDOWS_8},   {"windows-2012", SYSTEM_WINDOWS_8},   {"windows-10", SYSTEM_WINDOWS_10},
        {"windows-11", SYSTEM_WINDOWS_10},   {"windows-2016", SYSTEM_WINDOWS_10},  {"windows-2019", SYSTEM_WINDOWS_10},
        {"windows-2022", SYSTEM_WINDOWS_10}, {"windows-2025", SYSTEM_WINDOWS_10},  {"linux", SYSTEM_LINUX},
        {"macos", SYSTEM_MACOS},             {"samba", SYSTEM_SAMBA},              {"other", SYSTEM_OTHER},
    };

    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++)
        if (strcmp(text, systems[i].name) == 0)
            return systems[i].system;
    argp_error(state, "`%s' is no system known here; `smbproof explain --help' lists them", text);
    return SYSTEM_UNKNOWN;
}

static void parse_colour(struct argp_state *state, struct arguments *arguments, const char *text) {
    if (strcmp(text, "auto") == 0)
        arguments->colour = COLOUR_AUTO;
    else if (strcmp(text, "always") == 0)
        arguments->colour = COLOUR_ALWAYS;
    else if (strcmp(text, "never") == 0)
        arguments->colour = COLOUR_NEVER;
    else
        argp_error(state, "--color takes auto, always or never, not `%s'", text);
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;
    struct explain_options *options = &arguments->options;

    switch (key) {
    case KEY_JSON:
        options->json = true;
        return 0;
    case KEY_VERBOSE:
        options->style.verbose = true;
        return 0;
    case KEY_TAKEN_AT:
        options->taken_at = parse_place(state, text);
        return 0;
    case KEY_CLIENT_OS:
        options->client_system = parse_system(state, text);
        return 0;
    case KEY_SERVER_OS:
        options->server_system = parse_system(state, text);
        return 0;
    case KEY_FAIL_ON:
        if (strcmp(text, "problem") != 0 && strcmp(text, "exposure") != 0)
            argp_error(state, "--fail-on takes problem or exposure, not `%s'", text);
        options->fail_on_exposure = strcmp(text, "exposure") == 0;
        return 0;
    case KEY_CODE:
        arguments->code = text;
        return 0;
    case KEY_COLOUR:
        parse_colour(state, arguments, text);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->captures == 2)
            argp_error(state, "at most two captures can be compared, the client's and the server's");
        options->captures[arguments->captures++] = text;
        return 0;
    case ARGP_KEY_END:
        if (arguments->captures == 0 && arguments->code == NULL)
            argp_error(state, "name a capture file, or - for standard input");
        if (arguments->captures == 2 && strcmp(options->captures[0], "-") == 0 &&
            strcmp(options->captures[1], "-") == 0)
            argp_error(state, "standard input can be only one of the two captures");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool colour_wanted(const struct arguments *arguments) {
    const char *no_colour = getenv("NO_COLOR");

    if (arguments->colour != COLOUR_AUTO)
        return arguments->colour == COLOUR_ALWAYS;
    return isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0');
}

static int explain_code(const char *query) {
    const struct code *found[CODES_FOUND_MAX];
    int count = codes_find(query, found, CODES_FOUND_MAX);
    char shown[CODE_QUERY_MAX];

    if (count == 0 && codes_print_cause(stdout, query))
        return EXIT_NO_PROBLEM;
    if (count == 0) {
        visible_text(query, shown, sizeof shown);
        fprintf(stderr, "smbproof: `%s' is not known here; give the number (decimal or 0x...) or the name\n", shown);
        return EXIT_CANNOT_TELL;
    }
    for (int i = 0; i < count; i++)
        codes_print(stdout, found[i], i > 0);
    return EXIT_NO_PROBLEM;
}

/* The first Ctrl-C ends the reading, not the report: a pipe from tcpdump ends so. The second one ends the program. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

int command_explain(int argc, char **argv) {
    static const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .args_doc = "CAPTURE [CAPTURE-FROM-THE-OTHER-SIDE]\n--code CODE",
        .doc =
            "Say for every SMB connection of a capture whether its negotiation was fine, and if it was aborted: by "
            "whom, at which packet, why, how sure that is, and what to do.\v"
            "Reads pcap, pcapng and Network Monitor files, plain, gzip or zstd; - is standard input. Two captures of "
            "the same connections from both ends prove what was changed between them.\n\n"
            "Exit status: 0 no problem, 1 problems, 2 cannot tell, 3 usage, 4 input unreadable, 5 internal error.",
    };
    struct arguments arguments = {.options.style.width = WIDTH_DEFAULT};

    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof explain"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.code != NULL)
        return explain_code(arguments.code);
    arguments.options.style.colour = colour_wanted(&arguments);
    arguments.options.progress = isatty(STDERR_FILENO) != 0;
    arguments.options.interrupted = &interrupted;
    sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND}, NULL);
    return explain(&arguments.options, stdout);
}
