/* `smbproof serve`: options and configuration file -> listening sockets -> host_run(). */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "explain/explain.h"
#include "explain/output.h"
#include "serve/host.h"
#include "serve/log.h"
#include "serve/service.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/serve_config.h"
#include "tools/serve_status.h"

#define LISTEN_BACKLOG  4096
#define LOOPS_USUAL_MAX 8u
#define LARGE_BLOCK     131072 /* octets */

enum { KEY_CHECK = 256, KEY_OUTPUT = 'o' };

struct arguments {
    struct serve_options options;
    struct serve_settings settings;
    bool check, json;
    int listeners[HOST_LISTENERS_MAX];
    unsigned listener_count;
};

static const struct argp_option options_table[] = {
    {"check", KEY_CHECK, NULL, 0, "Look whether all this is right, show what would be in force, and serve nothing", 1},
    {"output", KEY_OUTPUT, "FORMAT", 0, "--check shows it as text (default) or json", 1},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->options;
        return 0;
    case KEY_CHECK:
        arguments->check = true;
        return 0;
    case KEY_OUTPUT:
        arguments->json = options_want_json(state, text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int complain(const char *about, const char *what, int status) {
    fprintf(stderr, "smbproof serve: %s%s%s\n", about, about[0] != '\0' ? ": " : "", what);
    return status;
}

/* ---- sockets ---- */

static int bind_one(const struct addrinfo *address) {
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (descriptor < 0)
        return -1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->ai_family == AF_INET6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 && listen(descriptor, LISTEN_BACKLOG) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

static int open_listener(const char *host, const char *port) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *address;
    int descriptor;

    if (getaddrinfo(host, port, &hints, &address) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    descriptor = bind_one(address);
    freeaddrinfo(address);
    return descriptor;
}

static bool open_listeners(struct arguments *arguments) {
    const char *list = arguments->settings.values[SERVE_LISTEN].text;
    char host[OPTION_TEXT_MAX], port[16], about[OPTION_TEXT_MAX + 32];

    while (serve_listen_at(list, arguments->listener_count, host, sizeof host, port, sizeof port)) {
        int descriptor = open_listener(host, port);

        if (descriptor < 0) {
            snprintf(about, sizeof about, "%s port %s", host, port);
            complain(about, strerror(errno), 0);
            return false;
        }
        arguments->listeners[arguments->listener_count++] = descriptor;
    }
    return true;
}

/* Sockets that a service manager opened stand in place of the addresses. False: one of them is of no use. */
static bool take_listeners(struct arguments *arguments) {
    unsigned count = service_descriptors();

    for (unsigned i = 0; i < count; i++) {
        int descriptor = SERVICE_DESCRIPTOR_FIRST + (int)i;

        if (i == HOST_LISTENERS_MAX || !service_descriptor_listens(descriptor)) {
            complain("LISTEN_FDS", "these have to be sockets that listen for TCP, and no more than 16", 0);
            return false;
        }
        fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
        arguments->listeners[arguments->listener_count++] = descriptor;
    }
    return count > 0 || open_listeners(arguments);
}

static bool is_loopback(const struct addrinfo *address) {
    if (address->ai_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address->ai_addr)->sin_addr.s_addr) >> 24 == 127;
    return address->ai_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address->ai_addr)->sin6_addr);
}

/* Nobody logs on for the numbers, so they stay on this machine. -1, and it was said why. */
static int open_metrics(const char *text) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    char host[OPTION_TEXT_MAX], port[16];
    struct addrinfo *address;
    int descriptor = -1;

    if (!serve_listen_at(text, 0, host, sizeof host, port, sizeof port) || getaddrinfo(host, port, &hints, &address) != 0) {
        complain(text, "this is no address", 0);
        return -1;
    }
    if (!is_loopback(address))
        complain(text, "--metrics takes a loopback address, such as 127.0.0.1:9645", 0);
    else if ((descriptor = bind_one(address)) < 0)
        complain(text, strerror(errno), 0);
    freeaddrinfo(address);
    return descriptor;
}

/* False, and it was said why. */
static bool open_status(const struct serve_settings *settings, struct host_setup *setup) {
    const char *path = settings->values[SERVE_STATUS_SOCKET].text, *metrics = settings->values[SERVE_METRICS].text;

    setup->status_write = serve_status_write;
    if (path[0] != '\0' && (setup->status_local = serve_status_listen(path)) < 0) {
        complain(path, strerror(-setup->status_local), 0);
        return false;
    }
    return metrics[0] == '\0' || (setup->status_http = open_metrics(metrics)) >= 0;
}

static void tell_address(int listener) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char text[HOST_ADDRESS_MAX];

    getsockname(listener, (struct sockaddr *)&address, &size);
    host_address_text(&address, text);
    printf("%s\n", text);
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

/* Each connection and each open file takes a descriptor: as many as the system lets it have. */
static void raise_descriptors(const struct serve_settings *settings) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < settings->limits.connections)
        log_warning("limits", "descriptors=%llu connections=%u", (unsigned long long)limit.rlim_cur,
                    settings->limits.connections);
}

static unsigned loop_count(const struct serve_settings *settings) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (settings->values[SERVE_LOOPS].number > 0)
        return settings->values[SERVE_LOOPS].number;
    return processors < 1 ? 1 : processors > (long)LOOPS_USUAL_MAX ? LOOPS_USUAL_MAX : (unsigned)processors;
}

/* A large block goes back to the system when it is freed. glibc would not do that any more for blocks of a size that it has
 * seen freed once, and what a busy hour took would stay. */
static void return_large_blocks(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

static int run(struct arguments *arguments, struct host_setup *setup) {
    int error;

    return_large_blocks();
    if (!take_listeners(arguments) || !open_status(&arguments->settings, setup)) {
        workers_free(setup->workers);
        setup->config->free(setup->config);
        return EXIT_UNREACHABLE;
    }
    setup->listeners = arguments->listeners;
    setup->listener_count = arguments->listener_count;
    for (unsigned i = 0; i < arguments->listener_count; i++)
        tell_address(arguments->listeners[i]);
    fflush(stdout);
    error = host_run(setup);
    if (setup->status_local >= 0)
        unlink(arguments->settings.values[SERVE_STATUS_SOCKET].text);
    return error == 0 ? EXIT_NO_PROBLEM : complain("stopped", strerror(-error), EXIT_INTERNAL);
}

static int serve(struct arguments *arguments) {
    char problem[HOST_PROBLEM_MAX];
    struct serve_reload reload = {&arguments->options, NULL};
    struct host_setup setup = {
        .loop_count = loop_count(&arguments->settings), .reload = serve_config_reload, .context = &reload,
        .status_local = -1, .status_http = -1};

    block_signals();
    raise_descriptors(&arguments->settings);
    setup.workers = reload.workers = workers_new(HOST_WORKERS);
    if (setup.workers == NULL)
        return complain("", "no threads can be had", EXIT_INTERNAL);
    setup.config = serve_config_new(&arguments->settings, setup.workers, NULL, problem);
    if (setup.config == NULL) {
        workers_free(setup.workers);
        return complain("", problem, EXIT_INPUT);
    }
    return run(arguments, &setup);
}

/* ---- --check ---- */

static void print_row(struct output *output, bool json, const struct option_row *row, const struct option_value *value) {
    char origin[OPTION_TEXT_MAX], allowed[OPTION_HELP_MAX];

    if (value->origin == ORIGIN_FILE)
        snprintf(origin, sizeof origin, "%s:%u", value->path, value->line);
    else
        snprintf(origin, sizeof origin, "%s", value->origin == ORIGIN_FLAG ? "command line" : "default");
    if (!json) {
        output_format(output, "%s = %s\t; %s\n", row->key, value->text, origin);
        return;
    }
    json_open(output, NULL, '{');
    json_string(output, "key", row->key);
    json_string(output, "flag", row->flag);
    json_string(output, "value", value->text);
    json_string(output, "from", origin);
    json_string(output, "default", row->standard);
    json_string(output, "allowed", serve_allowed_text(row, allowed));
    json_string(output, "meaning", row->what);
    json_close(output, '}');
}

static void print_settings(struct output *output, const struct serve_settings *settings, bool json) {
    if (json)
        json_open(output, "server", '[');
    else
        output_text(output, "[server]\n");
    for (unsigned id = 0; id < SERVE_OPTION_COUNT; id++)
        if (serve_option_row(id)->key != NULL)
            print_row(output, json, serve_option_row(id), &settings->values[id]);
    if (json)
        json_close(output, ']');
}

static void print_share(struct output *output, const struct serve_share *share, bool json) {
    if (json) {
        json_open(output, NULL, '{');
        json_string(output, "name", share->name);
        json_open(output, "settings", '[');
    } else {
        output_format(output, "\n[share %s]\n", share->name);
    }
    for (unsigned id = 0; id < SHARE_OPTION_COUNT; id++)
        print_row(output, json, serve_share_row(id), &share->values[id]);
    if (json) {
        json_close(output, ']');
        json_close(output, '}');
    }
}

static int show(const struct arguments *arguments) {
    static struct output output;
    const struct serve_settings *settings = &arguments->settings;

    output_init(&output, stdout);
    if (arguments->json) {
        json_open(&output, NULL, '{');
        json_number(&output, "schema", 1);
    }
    print_settings(&output, settings, arguments->json);
    if (arguments->json)
        json_open(&output, "shares", '[');
    for (unsigned i = 0; i < settings->share_count; i++)
        print_share(&output, &settings->shares[i], arguments->json);
    if (arguments->json) {
        json_close(&output, ']');
        json_close(&output, '}');
        output_text(&output, "\n");
    }
    return output_finish(&output) == 0 ? EXIT_NO_PROBLEM : EXIT_INTERNAL;
}

/* All that a start looks at, but for the addresses. */
static int check(const struct arguments *arguments) {
    char problem[HOST_PROBLEM_MAX];
    struct host_config *config = serve_config_new(&arguments->settings, NULL, NULL, problem);

    if (config == NULL)
        return complain("", problem, EXIT_INPUT);
    config->free(config);
    return show(arguments);
}

int command_serve(int argc, char **argv) {
    static struct arguments arguments;
    const struct argp argp = {.options = options_table,
                              .parser = parse_option,
                              .doc = "Serve files over SMB 2 and 3. Each address is printed once the server is ready.",
                              .children = arguments.options.children};

    serve_options_init(&arguments.options);
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof serve"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (!serve_options_settle(&arguments.options, &arguments.settings))
        return complain("", arguments.settings.complaint, EXIT_USAGE);
    return arguments.check ? check(&arguments) : serve(&arguments);
}
