/* `smbproof relay`: options -> a plan, a listening socket, relay_run() -> what happened, in words or JSON. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "explain/explain.h"
#include "explain/output.h"
#include "relay/profiles.h"
#include "relay/relay.h"
#include "tools/address.h"
#include "tools/commands.h"
#include "wire/names.h"

#define LISTEN_BACKLOG 4096
#define USUAL_PORT     "445"
#define USUAL_LISTEN   "127.0.0.1:4450"

enum {
    KEY_JSON = 'j',
    KEY_LISTEN = 256,
    KEY_TO,
    KEY_TAMPER,
    KEY_PROFILE,
    KEY_LIST,
    KEY_ONLY,
    KEY_EVERY,
    KEY_RECORD,
    KEY_CONNECTIONS,
    KEY_IDLE,
    KEY_TRANSPARENT
};

static const struct argp_option options_table[] = {
    {"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
     "Wait for clients there (default: " USUAL_LISTEN "); port 0 takes a free one", 0},
    {"to", KEY_TO, "HOST:PORT", 0, "Pass everything on to this server (port " USUAL_PORT " where none is named)", 0},
    {"transparent", KEY_TRANSPARENT, NULL, 0,
     "Be a box on the path: go on to where the client wanted to, with the client's address and port (needs CAP_NET_ADMIN "
     "and a TPROXY rule)", 0},
    {"tamper", KEY_TAMPER, "ALTERATION", 0, "Make this alteration; may stand more than once", 0},
    {"profile", KEY_PROFILE, "NAME", 0, "Behave as this known box or attack; may stand more than once", 0},
    {"list", KEY_LIST, NULL, 0, "Describe the profiles, and what must happen with each", 0},
    {"only", KEY_ONLY, "N,...", 0, "Alter these connections only, counted from 1", 0},
    {"every", KEY_EVERY, "N", 0, "Alter each N-th connection only", 0},
    {"record", KEY_RECORD, "PATH", 0,
     "Write a capture (pcapng) with both sides: a file, or a folder, which gets each side alone as well", 0},
    {"connections", KEY_CONNECTIONS, "N", 0, "Stop when so many connections are over (default: on SIGINT or SIGTERM)", 0},
    {"idle", KEY_IDLE, "SECONDS", 0, "Close a connection without traffic for so long (default: 3600)", 0},
    {"json", KEY_JSON, NULL, 0, "Write JSON lines, one object per connection, and nothing else to standard output", 0},
    {0},
};

struct arguments {
    struct plan plan;
    struct relay_config config;
    const char *listen, *to, *record;
    bool json, list;
    struct output *output;
    uint64_t outcomes[NOTICES_COUNT], refused;
};

/* ---- options ---- */

static void add_tamper(struct arguments *arguments, const char *text, struct argp_state *state) {
    char complaint[TAMPER_COMPLAINT_MAX];
    struct plan *plan = &arguments->plan;

    if (plan->count == TAMPERS_MAX)
        argp_error(state, "no more than %u alterations", TAMPERS_MAX);
    else if (!tamper_parse(text, &plan->tampers[plan->count], complaint))
        argp_error(state, "--tamper %s: %s", text, complaint);
    else
        plan->count++;
}

static void add_profile(struct arguments *arguments, const char *name, struct argp_state *state) {
    const struct profile *profile = profile_find(name);
    char text[TAMPER_TEXT_MAX];
    const char *list;

    if (profile == NULL) {
        argp_error(state, "there is no profile `%s'; --list tells of all", name);
        return;
    }
    list = profile->tampers;
    while (tamper_next(&list, text))
        add_tamper(arguments, text, state);
}

static uint64_t take_number(const char *text, const char *option, struct argp_state *state) {
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || number == 0 || text[0] == '-')
        argp_error(state, "--%s takes numbers from 1 on, not `%s'", option, text);
    return number;
}

static uint32_t take_seconds(const char *text, struct argp_state *state) {
    uint64_t seconds = take_number(text, "idle", state);

    if (seconds > RELAY_IDLE_MAX_S)
        argp_error(state, "--idle: no more than %u", RELAY_IDLE_MAX_S);
    return (uint32_t)seconds;
}

static void take_only(struct relay_config *config, char *text, struct argp_state *state) {
    char *word;

    while ((word = strsep(&text, ",")) != NULL) {
        if (config->only_count == RELAY_ONLY_MAX)
            argp_error(state, "--only: no more than %u", RELAY_ONLY_MAX);
        else
            config->only[config->only_count++] = take_number(word, "only", state);
    }
}

static void check_end(const struct arguments *arguments, struct argp_state *state) {
    if (arguments->list)
        return;
    if (arguments->to == NULL && !arguments->config.transparent)
        argp_error(state, "where to? --to HOST:PORT names the server");
    if (arguments->to != NULL && arguments->config.transparent)
        argp_error(state, "--transparent goes on to where the client wanted to, so --to has no meaning");
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case KEY_LISTEN:
        arguments->listen = text;
        return 0;
    case KEY_TO:
        arguments->to = text;
        return 0;
    case KEY_TRANSPARENT:
        arguments->config.transparent = true;
        return 0;
    case KEY_TAMPER:
        add_tamper(arguments, text, state);
        return 0;
    case KEY_PROFILE:
        add_profile(arguments, text, state);
        return 0;
    case KEY_LIST:
        arguments->list = true;
        return 0;
    case KEY_ONLY:
        take_only(&arguments->config, text, state);
        return 0;
    case KEY_EVERY:
        arguments->config.every = take_number(text, "every", state);
        return 0;
    case KEY_RECORD:
        arguments->record = text;
        return 0;
    case KEY_CONNECTIONS:
        arguments->config.stop_after = take_number(text, "connections", state);
        return 0;
    case KEY_IDLE:
        arguments->config.idle_s = take_seconds(text, state);
        return 0;
    case KEY_JSON:
        arguments->json = true;
        return 0;
    case ARGP_KEY_END:
        check_end(arguments, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- --list ---- */

static void tell_profile(struct output *output, const struct profile *profile) {
    const char *list = profile->tampers;
    char text[TAMPER_TEXT_MAX];

    output_format(output, "%s\n  %s\n", profile->name, profile->what);
    output_format(output, "  Must happen: %s\n", profile->must);
    while (tamper_next(&list, text))
        output_format(output, "  --tamper '%s'\n", text);
    output_text(output, "\n");
}

static void json_profile(struct output *output, const struct profile *profile) {
    const char *list = profile->tampers;
    char text[TAMPER_TEXT_MAX];

    json_open(output, NULL, '{');
    json_string(output, "profile", profile->name);
    json_string(output, "what", profile->what);
    json_string(output, "must_happen", profile->must);
    json_open(output, "alterations", '[');
    while (tamper_next(&list, text))
        json_string(output, NULL, text);
    json_close(output, ']');
    json_close(output, '}');
    output_text(output, "\n");
    output->comma = false;
}

static int list_profiles(struct output *output, bool json) {
    for (unsigned i = 0; i < profiles_count; i++)
        if (json)
            json_profile(output, &profiles[i]);
        else
            tell_profile(output, &profiles[i]);
    return output_finish(output) == 0 ? EXIT_NO_PROBLEM : EXIT_INTERNAL;
}

/* ---- what happened, in words ---- */

static void tell_tampers(struct output *output, const struct plan *plan, uint64_t set) {
    bool first = true;

    for (unsigned i = 0; i < plan->count; i++) {
        if ((set & 1ull << i) == 0)
            continue;
        output_format(output, "%s%s", first ? "" : ", ", plan->tampers[i].text);
        first = false;
    }
}

static void tell_alterations(struct output *output, const struct passage *passage) {
    const struct passage_facts *facts = &passage->facts;

    for (unsigned i = 0; i < facts->alterations_count; i++) {
        const struct alteration *alteration = &facts->alterations[i];

        output_format(output, "  %s of %s: ", alteration->from == FROM_CLIENT ? "request" : "response",
                      reach_text(alteration->stage));
        tell_tampers(output, passage->plan, alteration->tampers | alteration->timings);
        output_format(output, "%s%s%s\n", alteration->detail[0] != '\0' ? " (" : "", alteration->detail,
                      alteration->detail[0] != '\0' ? ")" : "");
    }
    if (facts->alterations_more > 0)
        output_format(output, "  and %u more\n", facts->alterations_more);
}

static void tell_prediction(struct output *output, const struct prediction *prediction) {
    const struct rule_text *rule = rule_text(prediction->rule);

    if (prediction->who == WHO_NOBODY) {
        output_format(output, "  predicted: nobody has to notice: %s\n", prediction->why);
        return;
    }
    output_format(output, "  predicted: %s %s notice at %s: %s", who_text(prediction->who),
                  prediction->must ? "must" : "may", reach_text(prediction->stage), prediction->why);
    if (prediction->rule != RULE_NONE)
        output_format(output, " [%s]", rule->id);
    output_text(output, "\n");
}

static void tell_judgement(struct output *output, const struct judgement *judgement) {
    output_format(output, "  happened: %s", notice_text(judgement->outcome));
    if (judgement->who != WHO_NOBODY)
        output_format(output, ", by %s at %s", who_text(judgement->who), reach_text(judgement->stage));
    output_text(output, "\n");
}

static void tell_text(struct output *output, const struct relay_end *end) {
    char near[16], far[16];
    const struct passage_facts *facts = &end->passage->facts;

    output_format(output, "connection %llu from %s", (unsigned long long)end->number, end->client);
    if (end->refused) {
        output_format(output, ": the server could not be reached: %s\n", strerror(-end->error));
        return;
    }
    if (facts->near.answered.known)
        output_format(output, ", SMB %s", dialect_text(facts->near.answered.dialect, near));
    if (facts->near.answered.known && facts->far.answered.known &&
        facts->near.answered.dialect != facts->far.answered.dialect)
        output_format(output, " (the server: %s)", dialect_text(facts->far.answered.dialect, far));
    output_format(output, ": %s\n", notice_text(end->judgement.outcome));
    if (facts->alterations_count == 0)
        return;
    tell_alterations(output, end->passage);
    tell_prediction(output, &end->prediction);
    tell_judgement(output, &end->judgement);
}

/* ---- and in JSON ---- */

static const char *who_word(enum who who) {
    static const char *const words[] = {"nobody", "client", "server", "either"};

    return words[who];
}

static const char *notice_word(enum notice outcome) {
    static const char *const words[] = {"untouched", "predicted", "elsewhere", "harmless",
                                        "allowed",   "unnoticed", "ended",     "open"};

    return words[outcome];
}

static void json_bool(struct output *output, const char *key, bool value) {
    json_raw(output, key, value ? "true" : "false");
}

static void json_alteration(struct output *output, const struct plan *plan, const struct alteration *alteration) {
    json_open(output, NULL, '{');
    json_string(output, "stage", reach_text(alteration->stage));
    json_string(output, "from", alteration->from == FROM_CLIENT ? "client" : "server");
    json_open(output, "alterations", '[');
    for (unsigned i = 0; i < plan->count; i++)
        if (((alteration->tampers | alteration->timings) & 1ull << i) != 0)
            json_string(output, NULL, plan->tampers[i].text);
    json_close(output, ']');
    json_string(output, "detail", alteration->detail[0] != '\0' ? alteration->detail : NULL);
    json_close(output, '}');
}

static void json_dialect(struct output *output, const char *key, const struct negotiation *record) {
    char text[16];

    json_string(output, key, record->answered.known ? dialect_text(record->answered.dialect, text) : NULL);
}

static void json_prediction(struct output *output, const struct prediction *prediction) {
    json_open(output, "predicted", '{');
    json_string(output, "who", who_word(prediction->who));
    json_bool(output, "must", prediction->must);
    json_string(output, "stage", prediction->who != WHO_NOBODY ? reach_text(prediction->stage) : NULL);
    json_string(output, "rule", prediction->rule != RULE_NONE ? rule_text(prediction->rule)->id : NULL);
    json_string(output, "why", prediction->why);
    json_close(output, '}');
}

static void tell_json(struct output *output, const struct relay_end *end) {
    const struct passage_facts *facts = &end->passage->facts;
    const struct judgement *judgement = &end->judgement;

    json_open(output, NULL, '{');
    json_number(output, "connection", end->number);
    json_string(output, "client", end->client);
    json_string(output, "error", end->refused ? strerror(-end->error) : NULL);
    json_dialect(output, "client_dialect", &facts->near);
    json_dialect(output, "server_dialect", &facts->far);
    json_open(output, "altered", '[');
    for (unsigned i = 0; i < facts->alterations_count; i++)
        json_alteration(output, end->passage->plan, &facts->alterations[i]);
    json_close(output, ']');
    json_prediction(output, &end->prediction);
    json_string(output, "outcome", notice_word(judgement->outcome));
    json_string(output, "noticed_by", judgement->who != WHO_NOBODY ? who_word(judgement->who) : NULL);
    json_string(output, "noticed_at", judgement->who != WHO_NOBODY ? reach_text(judgement->stage) : NULL);
    json_number(output, "octets_from_client", end->octets[FROM_CLIENT]);
    json_number(output, "octets_from_server", end->octets[FROM_SERVER]);
    json_close(output, '}');
    output_text(output, "\n");
    output->comma = false;
}

static void ended(const struct relay_end *end, void *context) {
    struct arguments *arguments = context;

    if (end->refused)
        arguments->refused++;
    else
        arguments->outcomes[end->judgement.outcome]++;
    if (arguments->json)
        tell_json(arguments->output, end);
    else
        tell_text(arguments->output, end);
    output_finish(arguments->output);
}

/* ---- the summary ---- */

static void tell_summary(struct arguments *arguments) {
    struct output *output = arguments->output;
    uint64_t all = arguments->refused;

    for (unsigned i = 0; i < NOTICES_COUNT; i++)
        all += arguments->outcomes[i];
    output_format(output, "%llu connection%s", (unsigned long long)all, all == 1 ? "" : "s");
    for (unsigned i = 0; i < NOTICES_COUNT; i++)
        if (arguments->outcomes[i] > 0)
            output_format(output, "; %llu %s", (unsigned long long)arguments->outcomes[i],
                          notice_text((enum notice)i));
    if (arguments->refused > 0)
        output_format(output, "; %llu without a server", (unsigned long long)arguments->refused);
    output_text(output, "\n");
}

static void tell_summary_json(struct arguments *arguments) {
    json_open(arguments->output, NULL, '{');
    json_open(arguments->output, "summary", '{');
    for (unsigned i = 0; i < NOTICES_COUNT; i++)
        json_number(arguments->output, notice_word((enum notice)i), arguments->outcomes[i]);
    json_number(arguments->output, "without_server", arguments->refused);
    json_close(arguments->output, '}');
    json_close(arguments->output, '}');
    output_text(arguments->output, "\n");
}

/* ---- */

static void tell_listening(struct arguments *arguments, int listener) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char text[RELAY_ADDRESS_MAX];
    struct output *output = arguments->output;

    getsockname(listener, (struct sockaddr *)&address, &size);
    relay_address_text(&address, text);
    if (arguments->json) {
        json_open(output, NULL, '{');
        json_number(output, "schema", 1);
        json_string(output, "listening", text);
        json_close(output, '}');
        output->comma = false;
    } else {
        output_text(output, text);
    }
    output_text(output, "\n");
    output_finish(output);
}

/* As many descriptors as are allowed: two for each connection. */
static void prepare_process(void) {
    struct rlimit limit;
    sigset_t signals;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int complain(const char *about, const char *what, int status) {
    fprintf(stderr, "smbproof relay: %s: %s\n", about, what);
    return status;
}

static int run(struct arguments *arguments, int listener) {
    struct relay_config *config = &arguments->config;
    char complaint[RECORDER_COMPLAINT_MAX];
    int error, record_error = 0;

    if (arguments->record != NULL) {
        config->recorder = recorder_open(arguments->record, complaint);
        if (config->recorder == NULL)
            return complain("--record", complaint, EXIT_INPUT);
    }
    tell_listening(arguments, listener);
    error = relay_run(config, listener);
    if (config->recorder != NULL)
        record_error = recorder_close(config->recorder);
    if (arguments->json)
        tell_summary_json(arguments);
    else
        tell_summary(arguments);
    if (error != 0)
        return complain("stopped", strerror(-error), EXIT_INTERNAL);
    if (record_error != 0)
        return complain("--record", strerror(-record_error), EXIT_INTERNAL);
    if (output_finish(arguments->output) != 0)
        return EXIT_INTERNAL;
    return arguments->outcomes[NOTICE_UNNOTICED] > 0 ? EXIT_PROBLEM : EXIT_NO_PROBLEM;
}

static int relay(struct arguments *arguments) {
    struct sockaddr_storage address;
    const char *complaint;
    int listener;

    if (arguments->to != NULL && !address_parse(arguments->to, USUAL_PORT, &arguments->config.target, &complaint))
        return complain(arguments->to, complaint, EXIT_USAGE);
    if (!address_parse(arguments->listen, "4450", &address, &complaint))
        return complain(arguments->listen, complaint, EXIT_USAGE);
    prepare_process();
    listener = address_listen(&address, LISTEN_BACKLOG, arguments->config.transparent);
    if (listener < 0)
        return complain("cannot listen there", strerror(errno), EXIT_UNREACHABLE);
    return run(arguments, listener);
}

int command_relay(int argc, char **argv) {
    static const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .doc = "Stand between SMB clients and a server: pass everything on, but for what is to be altered, and tell who "
               "has to notice and who did.\v"
               "An alteration is MESSAGE.WAY.FIELD OPERATOR VALUE, MESSAGE.WAY:VERB or MESSAGE.WAY@OFFSET=OCTET, in the "
               "words of [MS-SMB2]:\n\n"
               "  negotiate.request.Dialects-=3.1.1\n"
               "  negotiate.response.Capabilities&=~ENCRYPTION\n"
               "  validate.response:status=NOT_SUPPORTED\n\n"
               "`man smbproof-relay' has all of it. The address is printed once the relay is ready.\n\n"
               "Exit status: 0 no problem, 1 an alteration went unnoticed that a correct end must notice, 3 usage, 4 the "
               "recording cannot be written, 5 internal error, 6 cannot listen there.",
    };
    static struct arguments arguments;
    struct output *output = malloc(sizeof *output);
    int status;

    if (output == NULL)
        return EXIT_INTERNAL;
    output_init(output, stdout);
    arguments = (struct arguments){.listen = USUAL_LISTEN, .output = output};
    arguments.config.plan = &arguments.plan;
    arguments.config.ended = ended;
    arguments.config.idle_s = RELAY_IDLE_S;
    arguments.config.context = &arguments;
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof relay"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    status = arguments.list ? list_profiles(output, arguments.json) : relay(&arguments);
    free(output);
    return status;
}
