/* `smbproof serve`: options -> a listening socket -> host_run(). */
#include <argp.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain/explain.h"
#include "serve/host.h"
#include "store/directory.h"
#include "tools/commands.h"
#include "tools/options.h"

#define LISTEN_BACKLOG 4096
#define LOOPS_USUAL_MAX 8u

enum { KEY_LISTEN = 256, KEY_SHARE, KEY_ACCOUNTS, KEY_KEYTAB, KEY_CHECK, KEY_DIALECTS, KEY_SIGN, KEY_ENCRYPT };

struct arguments {
    struct host_config config;
    const char *accounts, *folders[HOST_SHARES_MAX];
    char *host, *port;
    bool check;
};

static const struct argp_option options_table[] = {
    {"listen", KEY_LISTEN, "ADDRESS:PORT", 0, "Listen there (default: 127.0.0.1:4450); port 0 takes a free one", 0},
    {"share", KEY_SHARE, "NAME=FOLDER[,ro][,guest][,encrypt]", 0, "Serve this folder; may stand more than once", 0},
    {"accounts", KEY_ACCOUNTS, "FILE", 0, "Who may log on, as smbproof passwd keeps them", 0},
    {"keytab", KEY_KEYTAB, "FILE", 0, "Take Kerberos tickets with the keys of FILE", 0},
    {"dialects", KEY_DIALECTS, "LIST", 0, "Speak just these dialects (default: 2.0.2,2.1,3.0,3.0.2,3.1.1)", 0},
    {"sign", KEY_SIGN, "WHEN", 0, "Signing is allowed or required (default: required)", 0},
    {"encrypt", KEY_ENCRYPT, "WHEN", 0, "Encryption (SMB 3) is off, allowed or required (default: allowed)", 0},
    {"check", KEY_CHECK, NULL, 0, "Look whether all this is right, and serve nothing", 0},
    {0},
};

static void take_words(struct share *share, char *words, struct argp_state *state) {
    char *word;

    while ((word = strsep(&words, ",")) != NULL) {
        if (strcmp(word, "ro") == 0)
            share->read_only = true;
        else if (strcmp(word, "guest") == 0)
            share->allow_guest = true;
        else if (strcmp(word, "encrypt") == 0)
            share->encrypt = true;
        else
            argp_error(state, "--share: after the folder come ro, guest or encrypt, not `%s'", word);
    }
}

static void take_share(struct arguments *arguments, char *text, struct argp_state *state) {
    struct host_config *config = &arguments->config;
    char *folder = strchr(text, '='), *words;

    if (folder == NULL || folder == text || folder[1] == '\0')
        argp_error(state, "--share takes NAME=FOLDER, not `%s'", text);
    if (config->share_count == HOST_SHARES_MAX)
        argp_error(state, "--share: no more than %u", HOST_SHARES_MAX);
    *folder++ = '\0';
    if (strcasecmp(text, "IPC$") == 0)
        argp_error(state, "--share: IPC$ is the server's own");
    words = strchr(folder, ',');
    if (words != NULL)
        *words++ = '\0';
    config->shares[config->share_count] = (struct share){.name = text};
    if (words != NULL)
        take_words(&config->shares[config->share_count], words, state);
    arguments->folders[config->share_count++] = folder;
}

/* "127.0.0.1:4450", "[::1]:4450" */
static void take_listen(struct arguments *arguments, char *text, struct argp_state *state) {
    char *colon = strrchr(text, ':');

    if (colon == NULL || colon[1] == '\0')
        argp_error(state, "--listen takes ADDRESS:PORT, not `%s'", text);
    *colon = '\0';
    arguments->port = colon + 1;
    arguments->host = text;
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        arguments->host = text + 1;
    }
}

/* With the values of the options that clients have. */
static void take_policy(struct server_policy *policy, enum option_id id, const char *text, struct argp_state *state) {
    static const enum encryption_policy encryption[] = {ENCRYPTION_OFF, ENCRYPTION_OFFERED, ENCRYPTION_MUST};
    char complaint[CONFIG_COMPLAINT_MAX];
    struct option_value value;

    if (!option_parse(id, text, &value, complaint))
        argp_error(state, "--%s: %s", option_row(id)->flag, complaint);
    else if (id == OPTION_DIALECTS)
        policy->dialects = value.dialects;
    else if (id == OPTION_SIGN)
        policy->signing_required = value.number == 1;
    else
        policy->encryption = encryption[value.number];
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;
    struct server_policy *policy = &arguments->config.policy;

    switch (key) {
    case KEY_LISTEN:
        take_listen(arguments, text, state);
        return 0;
    case KEY_SHARE:
        take_share(arguments, text, state);
        return 0;
    case KEY_ACCOUNTS:
        arguments->accounts = text;
        return 0;
    case KEY_KEYTAB:
        arguments->config.acceptor.keytab = text;
        return 0;
    case KEY_CHECK:
        arguments->check = true;
        return 0;
    case KEY_DIALECTS:
        take_policy(policy, OPTION_DIALECTS, text, state);
        return 0;
    case KEY_SIGN:
        take_policy(policy, OPTION_SIGN, text, state);
        return 0;
    case KEY_ENCRYPT:
        take_policy(policy, OPTION_ENCRYPT, text, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool check_shares(struct arguments *arguments) {
    struct host_config *config = &arguments->config;
    struct stat status;
    int error;

    for (unsigned i = 0; i < config->share_count; i++) {
        if (stat(arguments->folders[i], &status) != 0 || !S_ISDIR(status.st_mode)) {
            fprintf(stderr, "smbproof serve: %s is no folder that can be read\n", arguments->folders[i]);
            return false;
        }
        config->shares[i].store = directory_new(arguments->folders[i],
            &(struct directory_settings){.read_only = config->shares[i].read_only}, NULL, &error);
        if (config->shares[i].store == NULL) {
            fprintf(stderr, "smbproof serve: %s: %s\n", arguments->folders[i], strerror(-error));
            return false;
        }
        if (config->shares[i].allow_guest) {
            config->policy.allow_guest = true;
            config->acceptor.allow_guest = config->acceptor.allow_anonymous = true;
        }
    }
    return true;
}

static int complain(const char *about, const char *what, int status) {
    fprintf(stderr, "smbproof serve: %s: %s\n", about, what);
    return status;
}

static int bind_one(const struct addrinfo *address) {
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (descriptor < 0)
        return -1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 && listen(descriptor, LISTEN_BACKLOG) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static int open_listener(const struct arguments *arguments) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *address;
    int descriptor;

    if (getaddrinfo(arguments->host, arguments->port, &hints, &address) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    descriptor = bind_one(address);
    freeaddrinfo(address);
    return descriptor;
}

static void tell_address(int listener) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char text[HOST_ADDRESS_MAX];

    getsockname(listener, (struct sockaddr *)&address, &size);
    host_address_text(&address, text);
    printf("%s\n", text);
    fflush(stdout);
}

static void block_signals(void) {
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int serve(struct arguments *arguments) {
    int listener, error;

    if (arguments->check)
        return EXIT_NO_PROBLEM;
    block_signals();
    listener = open_listener(arguments);
    if (listener < 0)
        return complain("cannot listen there", strerror(errno), EXIT_UNREACHABLE);
    tell_address(listener);
    error = host_run(&arguments->config, listener);
    return error == 0 ? EXIT_NO_PROBLEM : complain("stopped", strerror(-error), EXIT_INTERNAL);
}

static void set_defaults(struct arguments *arguments) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    static char host[] = "127.0.0.1", port[] = "4450";

    server_policy_defaults(&arguments->config.policy);
    arguments->config.policy.signing_required = true;
    arguments->config.policy.capabilities = SMB2_GLOBAL_CAP_LARGE_MTU;
    arguments->config.acceptor.computer = "SMBPROOF";
    arguments->config.loop_count =
        processors < 1 ? 1 : processors > (long)LOOPS_USUAL_MAX ? LOOPS_USUAL_MAX : (unsigned)processors;
    arguments->host = host;
    arguments->port = port;
}

int command_serve(int argc, char **argv) {
    static struct arguments arguments;
    char problem[ACCOUNTS_PROBLEM_MAX];
    const struct argp argp = {.options = options_table,
                              .parser = parse_option,
                              .doc = "Serve files over SMB 2 and 3. The address is printed once the server is ready."};
    int status;

    set_defaults(&arguments);
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof serve"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (!check_shares(&arguments))
        return EXIT_INPUT;
    if (arguments.accounts != NULL && accounts_open(arguments.accounts, &arguments.config.acceptor.accounts, problem) != 0)
        return complain(arguments.accounts, problem, EXIT_INPUT);
    status = serve(&arguments);
    for (unsigned i = 0; i < arguments.config.share_count; i++)
        store_free(arguments.config.shares[i].store);
    if (arguments.config.acceptor.accounts != NULL)
        accounts_close(arguments.config.acceptor.accounts);
    return status;
}
