#include "tools/conform_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/ntlm.h"
#include "serve/host.h"
#include "store/directory.h"
#include "tools/address.h"

#define LAB_WORKERS      2u
#define LAB_CONNECTIONS  64u
#define LAB_LOGON_MS     30000u
#define LAB_OPEN_FILES   256u
#define LAB_PATH_MAX     512u
#define LAB_SETTLE_MS    300u /* what a client that has ended has left in its sockets is read by then */
#define LAB_CASE_MAX_MS  60000u
#define LAB_START_FACTOR 4u /* a command may take so many times the timeout to connect */
#define FILE_TEXT        "The client has come as far as to this file.\n"

_Static_assert(LAB_LANES_MAX <= HOST_LISTENERS_MAX, "each lane has its listener");

struct lab;

/* Cases one after another, at a port of its own: by that it is known which case a connection belongs to. */
struct lane {
    struct lab *lab;
    unsigned port;
    int wake; /* an eventfd: something happened */
    pthread_t thread;

    /* under the lab's lock */
    const struct conform_case *test; /* the current one; NULL: none */
    struct misdeed_plan plan;
    unsigned watch_count;
    struct client_watch watches[CLIENT_WATCHES_MAX];
    uint64_t stirred_ms; /* when something was asked for last */
};

/* A connection. */
struct guest {
    struct guest *next;
    struct lane *lane;
    struct server *server;
    int descriptor;
    struct client_watch *watch; /* NULL: its case is over */
    struct aead_key *opener;    /* for what the server seals */
    struct misdeed_answer answer;
    uint8_t out[FRAME_HEADER_SIZE + sizeof((struct misdeed_answer *)0)->octets];
};

struct lab {
    const struct lab_setup *setup;
    struct conform_report *report;
    struct server_policy policies[SETTING_COUNT];
    struct host_setup host;
    char folder[LAB_PATH_MAX], share[LAB_PATH_MAX], file[LAB_PATH_MAX], accounts_file[LAB_PATH_MAX];
    struct accounts *accounts;
    struct host_config config;
    pthread_t thread;
    int error;
    unsigned lane_count;
    struct lane lanes[LAB_LANES_MAX];

    pthread_mutex_t lock; /* of all that follows, and of the report */
    bool stopped;
    struct guest *guests;
    bool looks_for_work;    /* the cases without a misdeed are run, before all others */
    unsigned next, started; /* cases that were looked at, and that were begun */
};

static uint64_t now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* ---- the bystander, on the server's thread ---- */

static void wake(struct lane *lane) {
    const uint64_t one = 1;
    ssize_t written = write(lane->wake, &one, sizeof one);

    (void)written;
}

static void stir(struct lane *lane) {
    lane->stirred_ms = now_ms();
    wake(lane);
}

/* Of a socket. */
static unsigned port_of(int descriptor) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    getsockname(descriptor, (struct sockaddr *)&address, &size);
    return address_port(&address);
}

/* That a connection came to; NULL: it is gone already. */
static struct lane *lane_of(struct lab *lab, int descriptor) {
    unsigned port = port_of(descriptor);

    for (unsigned i = 0; i < lab->lane_count; i++)
        if (lab->lanes[i].port == port)
            return &lab->lanes[i];
    return NULL;
}

/* Whoever came and went without NEGOTIATE, as a scanner does, leaves its place. NULL: there is none. */
static struct client_watch *take_watch(struct lane *lane) {
    for (unsigned i = 0; i < lane->watch_count; i++)
        if (lane->watches[i].over && !lane->watches[i].negotiated)
            return &lane->watches[i];
    return lane->watch_count < CLIENT_WATCHES_MAX ? &lane->watches[lane->watch_count++] : NULL;
}

static void *guest_begin(void *context, struct server *server, int descriptor) {
    struct lab *lab = context;
    struct lane *lane = lane_of(lab, descriptor);
    struct guest *guest = lane != NULL ? calloc(1, sizeof *guest) : NULL;
    struct client_watch *watch;

    pthread_mutex_lock(&lab->lock);
    watch = guest != NULL && lane->test != NULL ? take_watch(lane) : NULL;
    if (watch == NULL) {
        shutdown(descriptor, SHUT_RDWR);
        free(guest);
        guest = NULL;
    } else {
        *guest = (struct guest){
            .next = lab->guests, .lane = lane, .server = server, .descriptor = descriptor, .watch = watch};
        lab->guests = guest;
        lab->report->client.connections++;
        client_watch_begin(guest->watch, lane->test->misdeed);
        server->policy = &lab->policies[lane->test->misdeed->setting];
        stir(lane);
    }
    pthread_mutex_unlock(&lab->lock);
    return guest;
}

static void guest_received(void *context, struct span content) {
    struct guest *guest = context;

    if (guest == NULL)
        return;
    struct lab *lab = guest->lane->lab;

    pthread_mutex_lock(&lab->lock);
    if (guest->watch != NULL) {
        client_watch_request(guest->watch, content, &lab->report->client);
        stir(guest->lane);
    }
    pthread_mutex_unlock(&lab->lock);
}

static void guest_keyed(void *context, const struct server *server) {
    struct guest *guest = context;

    if (guest == NULL || server->keys.cipher_size == 0)
        return;
    aead_key_free(guest->opener);
    guest->opener = aead_key_new(server->negotiation.agreed.cipher, AEAD_OPEN,
                                 (struct span){server->keys.server_to_client, server->keys.cipher_size});
}

/* Of the session that the frame belongs to. */
static struct misdeed_keys find_keys(struct guest *guest, struct span frame) {
    struct misdeed_keys keys = {.open = guest->opener};
    struct transform transform;
    struct smb2_header header;
    uint64_t id = 0;

    if (transform_read(frame, &transform) == TRANSFORM_GOOD)
        id = transform.session_id;
    else if (smb2_header_decode(frame, &header))
        id = header.session_id;
    for (unsigned i = 0; i < SERVER_SESSIONS_MAX; i++) {
        struct server_session *session = &guest->server->sessions[i];

        if (session->state == SERVER_SESSION_FREE || session->id != id)
            continue;
        keys.mac = session->handles.mac;
        keys.seal = session->handles.seal;
        keys.sealer = keys.seal != NULL ? &session->sealer : NULL;
    }
    return keys;
}

static struct span framed(struct guest *guest, struct span content) {
    struct writer writer = writer_over(guest->out, sizeof guest->out);

    if (content.size == 0)
        return content;
    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, (uint32_t)content.size});
    writer_put(&writer, content);
    return writer_done(&writer);
}

static struct span change(struct guest *guest, struct span frame) {
    struct span content = span_slice(frame, FRAME_HEADER_SIZE, frame.size), instead;
    struct misdeed_keys keys = find_keys(guest, content);

    if (!misdeed_take(&guest->answer, &keys, content))
        return frame;
    client_watch_answer(guest->watch, guest->answer.message);
    if (!client_watch_applies(guest->watch) ||
        !misdeed_commit(&guest->lane->plan, &keys, guest->watch->validation, &guest->answer, &instead))
        return frame;
    client_watch_altered(guest->watch);
    return framed(guest, instead);
}

static struct span guest_answers(void *context, struct server *server, struct span frame) {
    struct guest *guest = context;

    (void)server;
    if (guest == NULL)
        return frame;
    struct lab *lab = guest->lane->lab;

    pthread_mutex_lock(&lab->lock);
    if (guest->watch != NULL)
        frame = change(guest, frame);
    pthread_mutex_unlock(&lab->lock);
    return frame;
}

/* What the client has done wrong itself. */
static enum rule broken_by(const struct server *server) {
    enum rule closed = server->failure.verdict.rule, refused = server->refused.verdict.rule;

    if (closed != RULE_NONE && rule_text(closed)->whose == WHOSE_CLIENT)
        return closed;
    return refused != RULE_NONE && rule_text(refused)->whose == WHOSE_CLIENT ? refused : RULE_NONE;
}

static void guest_ended(void *context, bool by_peer) {
    struct guest *guest = context;

    if (guest == NULL)
        return;
    struct lab *lab = guest->lane->lab;

    pthread_mutex_lock(&lab->lock);
    if (guest->watch != NULL) {
        guest->watch->over = true;
        guest->watch->closed = by_peer;
        guest->watch->broken = broken_by(guest->server);
    }
    for (struct guest **place = &lab->guests; *place != NULL; place = &(*place)->next)
        if (*place == guest) {
            *place = guest->next;
            break;
        }
    wake(guest->lane);
    pthread_mutex_unlock(&lab->lock);
    aead_key_free(guest->opener);
    free(guest);
}

/* ---- cases ---- */

static void begin_case(struct lane *lane, const struct conform_case *test) {
    char complaint[TAMPER_COMPLAINT_MAX];

    pthread_mutex_lock(&lane->lab->lock);
    misdeed_plan(test->misdeed, &lane->plan, complaint);
    lane->test = test;
    lane->watch_count = 0;
    lane->stirred_ms = now_ms();
    pthread_mutex_unlock(&lane->lab->lock);
}

/* The connections of the case are of no interest any more. */
static void close_guests(struct lane *lane) {
    struct lab *lab = lane->lab;

    pthread_mutex_lock(&lab->lock);
    lane->test = NULL;
    for (struct guest *guest = lab->guests; guest != NULL; guest = guest->next)
        if (guest->lane == lane) {
            guest->watch = NULL;
            shutdown(guest->descriptor, SHUT_RDWR);
        }
    pthread_mutex_unlock(&lab->lock);
}

struct state {
    bool stopped, decided, came, all_over;
    uint64_t idle_ms;
};

static struct state look(const struct lane *lane) {
    struct state state = {.all_over = true};

    pthread_mutex_lock(&lane->lab->lock);
    state.stopped = lane->lab->stopped;
    state.idle_ms = now_ms() - lane->stirred_ms;
    for (unsigned i = 0; i < lane->watch_count; i++) {
        const struct client_watch *watch = &lane->watches[i];

        state.decided |= client_watch_decided(watch);
        state.came |= watch->negotiated;
        state.all_over &= watch->over;
    }
    pthread_mutex_unlock(&lane->lab->lock);
    return state;
}

/* Waits until something happens; true: the command has ended. */
static bool wait_for(const struct lane *lane, int command, uint64_t most_ms) {
    struct pollfd watched[] = {{lane->wake, POLLIN, 0}, {command, POLLIN, 0}};
    uint64_t count;

    poll(watched, 2, (int)most_ms);
    if (watched[0].revents != 0 && read(lane->wake, &count, sizeof count) < 0)
        return watched[1].revents != 0;
    return watched[1].revents != 0;
}

/* Is it over? `ended`: the command has. */
static bool is_over(const struct lab_setup *setup, const struct state *state, bool ended, uint64_t ended_ms,
                    uint64_t began_ms) {
    if (state->stopped || state->decided || now_ms() - began_ms > LAB_CASE_MAX_MS)
        return setup->command != NULL || state->stopped || state->decided || state->came;
    if (setup->command == NULL)
        return state->came && (state->all_over || state->idle_ms >= setup->timeout_ms);
    if (ended)
        return state->all_over || now_ms() - ended_ms >= LAB_SETTLE_MS;
    return state->idle_ms >= setup->timeout_ms * (state->came ? 1 : LAB_START_FACTOR);
}

/* False: the end of everything was asked for. */
static bool await_case(const struct lane *lane, int command) {
    uint64_t began_ms = now_ms(), ended_ms = 0;
    bool ended = false;
    struct state state;

    for (;;) {
        state = look(lane);
        if (is_over(lane->lab->setup, &state, ended, ended_ms, began_ms))
            return !state.stopped;
        if (wait_for(lane, ended ? -1 : command, ended ? LAB_SETTLE_MS / 10 : 100) && !ended) {
            ended = true;
            ended_ms = now_ms();
        }
    }
}

/* ---- the command ---- */

struct command {
    pid_t pid; /* 0: none */
    int descriptor;
};

static bool take_attributes(posix_spawnattr_t *attributes) {
    sigset_t none;

    sigemptyset(&none);
    return posix_spawnattr_setsigmask(attributes, &none) == 0 && posix_spawnattr_setpgroup(attributes, 0) == 0 &&
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP) == 0;
}

static bool take_files(const struct lab_setup *setup, posix_spawn_file_actions_t *actions) {
    bool good = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0;

    if (setup->output >= 0)
        return good && posix_spawn_file_actions_adddup2(actions, setup->output, STDOUT_FILENO) == 0 &&
               posix_spawn_file_actions_adddup2(actions, setup->output, STDERR_FILENO) == 0;
    return good && posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
           posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0;
}

/* 0 or a negative errno. */
static int start(const struct lane *lane, const char *name, struct command *command) {
    const struct lab_setup *setup = lane->lab->setup;
    char port[32], test[CONFORM_NAME_MAX + 16];
    char *const words[] = {"env", port, test, "sh", "-c", (char *)(uintptr_t)setup->command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = ENOMEM;

    *command = (struct command){0, -1};
    if (setup->command == NULL)
        return 0;
    snprintf(port, sizeof port, "SMBPROOF_PORT=%u", lane->port);
    snprintf(test, sizeof test, "SMBPROOF_CASE=%s", name);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (take_attributes(&attributes) && take_files(setup, &actions))
        error = posix_spawnp(&command->pid, words[0], &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error == 0)
        command->descriptor = (int)syscall(SYS_pidfd_open, command->pid, 0);
    return -error;
}

static bool has_ended(const struct command *command, unsigned within_ms) {
    struct pollfd watched = {command->descriptor, POLLIN, 0};

    return poll(&watched, 1, (int)within_ms) > 0;
}

/* Whatever is left of it ends, too. */
static void finish(const struct command *command, unsigned grace_ms) {
    if (command->pid == 0)
        return;
    if (!has_ended(command, grace_ms)) {
        kill(-command->pid, SIGTERM);
        if (!has_ended(command, LAB_LAST_GRACE_MS))
            kill(-command->pid, SIGKILL);
    }
    if (has_ended(command, LAB_LAST_GRACE_MS))
        waitpid(command->pid, NULL, 0);
    close(command->descriptor);
}

/* ---- the run ---- */

static void say(struct conform_result *result, const char *what) {
    result->outcome = CONFORM_SKIP;
    snprintf(result->seen, sizeof result->seen, "%s", what);
}

static bool works(const struct conform_report *report, enum client_setting setting) {
    enum conform_outcome outcome = report->results[client_works_case(setting)].outcome;

    return outcome != CONFORM_SKIP && outcome != CONFORM_UNCLEAR;
}

static void run_case(struct lane *lane, const struct conform_case *test, struct conform_result *result) {
    struct lab *lab = lane->lab;
    struct command command;
    bool goes_on;

    begin_case(lane, test);
    if (start(lane, test->name, &command) != 0) {
        say(result, "the command cannot be run");
        return;
    }
    goes_on = await_case(lane, command.descriptor);
    pthread_mutex_lock(&lab->lock);
    client_judge(test, lane->watches, lane->watch_count, lab->report->options->strict, result);
    pthread_mutex_unlock(&lab->lock);
    if (!goes_on && result->outcome != CONFORM_FAIL)
        say(result, "not tried: interrupted");
    close_guests(lane);
    finish(&command, lab->setup->grace_ms);
}

/* Where there is a reason for it. */
static bool is_left_out(struct lab *lab, const struct conform_case *test, struct conform_result *result) {
    bool stopped;

    pthread_mutex_lock(&lab->lock);
    stopped = lab->stopped;
    pthread_mutex_unlock(&lab->lock);
    if (stopped)
        say(result, "not tried: interrupted");
    else if (test->misdeed->judge != JUDGE_WORKS && !works(lab->report, test->misdeed->setting))
        say(result, "not tried: without any misdeed the client does not work with such a server");
    else
        return false;
    return true;
}

static void do_case(struct lane *lane, struct lab_progress progress, unsigned at) {
    const struct lab_setup *setup = lane->lab->setup;
    struct conform_report *report = lane->lab->report;

    if (setup->begins != NULL)
        setup->begins(setup->context, &progress);
    if (!is_left_out(lane->lab, progress.test, &report->results[at]))
        run_case(lane, progress.test, &report->results[at]);
    pthread_mutex_lock(&lane->lab->lock);
    conform_settle(report, at);
    pthread_mutex_unlock(&lane->lab->lock);
    if (setup->ends != NULL)
        setup->ends(setup->context, &progress, &report->results[at]);
}

/* The next case that is nobody's yet; false: there is none. */
static bool take_case(struct lab *lab, struct lab_progress *progress, unsigned *at) {
    const struct conform_suite *suite = lab->report->suite;
    bool found = false;

    pthread_mutex_lock(&lab->lock);
    for (; !found && lab->next < suite->count; lab->next++) {
        *at = lab->next;
        progress->test = &suite->cases[*at];
        found =
            lab->report->options->wanted[*at] && (progress->test->misdeed->judge == JUDGE_WORKS) == lab->looks_for_work;
    }
    if (found)
        progress->number = ++lab->started;
    pthread_mutex_unlock(&lab->lock);
    return found;
}

static void *run_lane(void *argument) {
    struct lane *lane = argument;
    struct lab_progress progress = {.count = 0};
    unsigned at;

    for (unsigned i = 0; i < lane->lab->report->suite->count; i++)
        progress.count += lane->lab->report->options->wanted[i];
    while (take_case(lane->lab, &progress, &at))
        do_case(lane, progress, at);
    return NULL;
}

/* In all lanes, of which this thread is the first; those that cannot be had are done without. */
static void run_lanes(struct lab *lab, bool looks_for_work) {
    bool runs[LAB_LANES_MAX] = {false};

    lab->looks_for_work = looks_for_work;
    lab->next = 0;
    for (unsigned i = 1; i < lab->lane_count; i++)
        runs[i] = pthread_create(&lab->lanes[i].thread, NULL, run_lane, &lab->lanes[i]) == 0;
    run_lane(&lab->lanes[0]);
    for (unsigned i = 1; i < lab->lane_count; i++)
        if (runs[i])
            pthread_join(lab->lanes[i].thread, NULL);
}

static void run_cases(struct lab *lab) {
    run_lanes(lab, true);
    run_lanes(lab, false);
}

/* ---- the server ---- */

static bool write_file(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t size = strlen(text);
    bool good = descriptor >= 0 && write(descriptor, text, size) == (ssize_t)size;

    if (descriptor >= 0)
        close(descriptor);
    return good;
}

static bool write_account(const char *path) {
    uint8_t hash[AUTH_NT_HASH_SIZE];
    char line[sizeof LAB_USER + 2 * sizeof hash + 4];
    size_t at = (size_t)snprintf(line, sizeof line, "%s:", LAB_USER);

    if (!ntlm_hash(LAB_PASSWORD, hash))
        return false;
    for (unsigned i = 0; i < sizeof hash; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, "%02x", hash[i]);
    snprintf(line + at, sizeof line - at, ":\n");
    return write_file(path, line);
}

static int make_folder(struct lab *lab) {
    const char *above = getenv("TMPDIR");

    snprintf(lab->folder, sizeof lab->folder - 32, "%s/smbproof-conform-XXXXXX", above != NULL ? above : "/var/tmp");
    if (mkdtemp(lab->folder) == NULL) {
        lab->folder[0] = '\0';
        return -errno;
    }
    snprintf(lab->share, sizeof lab->share, "%.400s/" LAB_SHARE, lab->folder);
    snprintf(lab->file, sizeof lab->file, "%.400s/" LAB_SHARE "/" LAB_FILE, lab->folder);
    snprintf(lab->accounts_file, sizeof lab->accounts_file, "%.400s/accounts", lab->folder);
    if (mkdir(lab->share, 0700) != 0 || !write_file(lab->file, FILE_TEXT) || !write_account(lab->accounts_file))
        return errno != 0 ? -errno : -EIO;
    return accounts_open(lab->accounts_file, &lab->accounts, NULL);
}

static void remove_folder(struct lab *lab) {
    if (lab->accounts != NULL)
        accounts_close(lab->accounts);
    if (lab->folder[0] == '\0')
        return;
    unlink(lab->file);
    unlink(lab->accounts_file);
    rmdir(lab->share);
    rmdir(lab->folder);
}

static void config_free(struct host_config *config) {
    for (unsigned i = 0; i < config->share_count; i++)
        share_release(config->shares[i]);
    config->share_count = 0;
}

static bool add_share(struct host_config *config, const char *name, struct store *store) {
    struct share *share = share_new(name, store);

    if (share == NULL)
        return false;
    share->read_only = store != NULL;
    share->allow_guest = true; /* the core lets a guest in only where the policy does */
    config->shares[config->share_count++] = share;
    return true;
}

static int make_config(struct lab *lab) {
    const struct directory_settings settings = {.read_only = true};
    struct host_config *config = &lab->config;
    unsigned connections = LAB_CONNECTIONS * lab->lane_count;
    struct store *store;
    int error = 0;

    *config = (struct host_config){
        .limits = {.connections = connections,
                   .connections_per_address = connections,
                   .half_open = connections,
                   .logon_ms = LAB_LOGON_MS,
                   .expired_ms = LAB_LOGON_MS,
                   .open_files = LAB_OPEN_FILES},
        .acceptor = {.accounts = lab->accounts, .computer = "SMBPROOF"},
        .free = config_free};
    server_policy_defaults(&config->policy);
    store = directory_new(lab->share, &settings, lab->host.workers, &error);
    if (store == NULL)
        return error;
    if (!add_share(config, LAB_SHARE, store)) {
        store_free(store);
        return -ENOMEM;
    }
    return add_share(config, "IPC$", NULL) ? 0 : -ENOMEM;
}

static void *serve(void *argument) {
    struct lab *lab = argument;

    lab->error = host_run(&lab->host);
    pthread_mutex_lock(&lab->lock);
    lab->stopped = true;
    for (unsigned i = 0; i < lab->lane_count; i++)
        wake(&lab->lanes[i]);
    pthread_mutex_unlock(&lab->lock);
    return NULL;
}

static void make_policies(struct lab *lab) {
    for (unsigned i = 0; i < SETTING_COUNT; i++)
        client_setting_policy((enum client_setting)i, &lab->policies[i]);
}

/* The server takes workers and configuration over once it runs. */
static int start_server(struct lab *lab) {
    int error;

    lab->host.workers = workers_new(LAB_WORKERS);
    if (lab->host.workers == NULL)
        return -ENOMEM;
    error = make_config(lab);
    if (error == 0)
        error = -pthread_create(&lab->thread, NULL, serve, lab);
    if (error == 0)
        return 0;
    workers_free(lab->host.workers);
    config_free(&lab->config);
    return error;
}

static void stop_server(struct lab *lab) {
    kill(getpid(), SIGTERM); /* which its loop waits for */
    pthread_join(lab->thread, NULL);
}

/* False: descriptors are lacking. */
static bool make_lanes(struct lab *lab) {
    bool good = true;

    lab->lane_count = lab->setup->listener_count;
    for (unsigned i = 0; i < lab->lane_count; i++) {
        int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        lab->lanes[i] = (struct lane){.lab = lab, .port = port_of(lab->setup->listeners[i]), .wake = wake};
        good &= wake >= 0;
    }
    return good;
}

static void close_lanes(struct lab *lab) {
    for (unsigned i = 0; i < lab->lane_count; i++)
        if (lab->lanes[i].wake >= 0)
            close(lab->lanes[i].wake);
}

static void close_listeners(const struct lab_setup *setup) {
    for (unsigned i = 0; i < setup->listener_count; i++)
        close(setup->listeners[i]);
}

int lab_run(const struct lab_setup *setup, const struct conform_options *options, struct conform_report *report) {
    struct lab *lab = calloc(1, sizeof *lab);
    const struct host_bystander bystander = {lab, guest_begin, guest_received, guest_keyed, guest_answers, guest_ended};
    int error;

    *report = (struct conform_report){.suite = conform_clients(), .options = options};
    if (lab == NULL) {
        close_listeners(setup);
        return -ENOMEM;
    }
    lab->setup = setup;
    lab->report = report;
    pthread_mutex_init(&lab->lock, NULL);
    make_policies(lab);
    lab->host = (struct host_setup){.listeners = setup->listeners,
                                    .listener_count = setup->listener_count,
                                    .loop_count = 1,
                                    .config = &lab->config,
                                    .status_local = -1,
                                    .status_http = -1,
                                    .bystander = &bystander};
    error = make_lanes(lab) ? make_folder(lab) : -EMFILE;
    if (error == 0)
        error = start_server(lab);
    if (error == 0) {
        run_cases(lab);
        stop_server(lab);
        error = lab->error;
    } else {
        close_listeners(setup);
    }
    remove_folder(lab);
    close_lanes(lab);
    pthread_mutex_destroy(&lab->lock);
    free(lab);
    return error;
}
