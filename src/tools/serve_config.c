#include "tools/serve_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/mapping.h"
#include "store/directory.h"
#include "store/identity.h"
#include "wire/text.h"

/* A configuration and the strings that it points to. */
struct owned {
    struct host_config config;
    struct accounts *accounts;
    char map[OPTION_TEXT_MAX], keytab[OPTION_TEXT_MAX], name[OPTION_TEXT_MAX], domain[OPTION_TEXT_MAX];
    char folders[HOST_SHARES_MAX][OPTION_TEXT_MAX]; /* of shares[i] */
};

static void owned_free(struct host_config *config) {
    struct owned *owned = (struct owned *)config;

    for (unsigned i = 0; i < config->share_count; i++)
        share_release(config->shares[i]);
    if (owned->accounts != NULL)
        accounts_close(owned->accounts);
    free(owned);
}

static bool complain_value(char *problem, const struct serve_settings *settings, enum serve_option id, const char *what) {
    const struct option_value *value = &settings->values[id];

    if (value->origin == ORIGIN_FILE)
        snprintf(problem, HOST_PROBLEM_MAX, "%.120s:%u: %.200s: %.160s", value->path, value->line, value->text, what);
    else
        snprintf(problem, HOST_PROBLEM_MAX, "--%s %.250s: %.200s", serve_option_row(id)->flag, value->text, what);
    return false;
}

static bool complain_share(char *problem, const struct serve_share *share, const char *what) {
    const struct option_value *folder = &share->values[SHARE_FOLDER];

    if (folder->origin == ORIGIN_FILE)
        snprintf(problem, HOST_PROBLEM_MAX, "%.120s:%u: %.200s: %.160s", folder->path, folder->line, folder->text, what);
    else
        snprintf(problem, HOST_PROBLEM_MAX, "--share %.80s: %.200s: %.160s", share->name, folder->text, what);
    return false;
}

/* The same share in the configuration so far; NULL: there is none. */
static struct share *find_same(const struct host_config *current, const struct serve_share *wanted) {
    const struct owned *owned = (const struct owned *)current;
    unsigned i = 0;

    if (current == NULL)
        return NULL;
    for (; i + 1 < current->share_count; i++) {
        const struct share *share = current->shares[i];

        if (strcmp(share->name, wanted->name) == 0 &&
            strcmp(owned->folders[i], wanted->values[SHARE_FOLDER].text) == 0 &&
            share->read_only == (wanted->values[SHARE_READ_ONLY].number == 1) &&
            share->allow_guest == (wanted->values[SHARE_GUEST].number == 1) &&
            share->encrypt == (wanted->values[SHARE_ENCRYPT].number == 1))
            return current->shares[i];
    }
    return NULL;
}

static struct share *open_share(const struct serve_share *wanted, struct workers *workers, char *problem) {
    const struct option_value *values = wanted->values;
    const struct directory_settings settings = {.read_only = values[SHARE_READ_ONLY].number == 1};
    struct store *store;
    struct share *share;
    struct stat status;
    int error = 0;

    if (stat(values[SHARE_FOLDER].text, &status) != 0 || (errno = ENOTDIR, !S_ISDIR(status.st_mode)) ||
        access(values[SHARE_FOLDER].text, R_OK | X_OK) != 0)
        return complain_share(problem, wanted, strerror(errno)), NULL;
    store = directory_new(values[SHARE_FOLDER].text, &settings, workers, &error);
    if (store == NULL)
        return complain_share(problem, wanted, strerror(-error)), NULL;
    share = share_new(wanted->name, store);
    if (share == NULL) {
        store_free(store);
        return complain_share(problem, wanted, "no memory"), NULL;
    }
    share->read_only = settings.read_only;
    share->allow_guest = values[SHARE_GUEST].number == 1;
    share->encrypt = values[SHARE_ENCRYPT].number == 1;
    return share;
}

static bool take_shares(struct owned *owned, const struct serve_settings *settings, struct workers *workers,
                        const struct host_config *current, char *problem) {
    for (unsigned i = 0; i < settings->share_count; i++) {
        struct share *same = find_same(current, &settings->shares[i]);
        struct share *share = same != NULL ? share_hold(same) : open_share(&settings->shares[i], workers, problem);

        if (share == NULL)
            return false;
        snprintf(owned->folders[i], sizeof owned->folders[i], "%s", settings->shares[i].values[SHARE_FOLDER].text);
        owned->config.shares[owned->config.share_count++] = share;
    }
    return true;
}

static bool take_pipes(struct host_config *config, const struct host_config *current, char *problem) {
    struct share *share = current != NULL ? share_hold(current->shares[current->share_count - 1]) : share_new("IPC$", NULL);

    if (share == NULL) {
        snprintf(problem, HOST_PROBLEM_MAX, "no memory");
        return false;
    }
    share->allow_guest = true;
    config->shares[config->share_count++] = share;
    return true;
}

static const char *text_or_null(const struct serve_settings *settings, enum serve_option id, char place[OPTION_TEXT_MAX]) {
    snprintf(place, OPTION_TEXT_MAX, "%s", settings->values[id].text);
    return place[0] != '\0' ? place : NULL;
}

static bool take_acceptor(struct owned *owned, const struct serve_settings *settings, char *problem) {
    struct auth_acceptor_config *acceptor = &owned->config.acceptor;
    const char *accounts = settings->values[SERVE_ACCOUNTS].text;
    char why[ACCOUNTS_PROBLEM_MAX];

    acceptor->computer = text_or_null(settings, SERVE_NAME, owned->name);
    acceptor->domain = text_or_null(settings, SERVE_DOMAIN, owned->domain);
    acceptor->keytab = text_or_null(settings, SERVE_KEYTAB, owned->keytab);
    acceptor->allow_guest = acceptor->allow_anonymous = settings->policy.allow_guest;
    if (acceptor->computer == NULL)
        return complain_value(problem, settings, SERVE_NAME, "the server needs a name");
    if (acceptor->keytab != NULL && access(acceptor->keytab, R_OK) != 0)
        return complain_value(problem, settings, SERVE_KEYTAB, strerror(errno));
    if (accounts[0] != '\0' && accounts_open(accounts, &owned->accounts, why) != 0)
        return complain_value(problem, settings, SERVE_ACCOUNTS, why);
    acceptor->accounts = owned->accounts;
    return true;
}

/* NULL, or why not. */
static const char *user_unusable(struct span user) {
    char name[MAPPING_USER_MAX];
    struct identity *identity;
    const char *wrong = NULL;
    int result;

    snprintf(name, sizeof name, "%.*s", (int)user.size, (const char *)user.data);
    result = identity_new(name, &identity);
    if (result < 0)
        return result == -ENOENT ? "there is no such user of the system" : "the system's users cannot be looked up";
    if (!identity_take(identity))
        wrong = "the server may not act as this user";
    else
        identity_drop(identity);
    identity_release(identity);
    return wrong;
}

/* Can each of these users be had, and the process be them? */
static const char *mapping_unusable(const char *map) {
    struct span text = text_span(map);
    struct mapping_part part;
    const char *wrong = NULL;

    if (identity_allowed() != 0)
        return "the server may not act as other users: it needs CAP_SETUID and CAP_SETGID, or to be root";
    if (geteuid() == 0 && !mapping_has_rest(map))
        return "accounts that are not mapped would act as root: say *=USER for them as well";
    while (text.size > 0 && wrong == NULL && mapping_next(&text, &part))
        wrong = part.is_same ? NULL : user_unusable(part.user);
    return wrong;
}

static bool take_map(struct owned *owned, const struct serve_settings *settings, char *problem) {
    const char *wrong;

    snprintf(owned->map, sizeof owned->map, "%s", settings->values[SERVE_MAP].text);
    owned->config.map = owned->map;
    wrong = owned->map[0] != '\0' ? mapping_unusable(owned->map) : NULL;
    return wrong == NULL || complain_value(problem, settings, SERVE_MAP, wrong);
}

struct host_config *serve_config_new(const struct serve_settings *settings, struct workers *workers,
                                     const struct host_config *current, char problem[HOST_PROBLEM_MAX]) {
    struct owned *owned = calloc(1, sizeof *owned);

    if (owned == NULL) {
        snprintf(problem, HOST_PROBLEM_MAX, "no memory");
        return NULL;
    }
    owned->config.policy = settings->policy;
    owned->config.limits = settings->limits;
    owned->config.free = owned_free;
    if (take_map(owned, settings, problem) && take_acceptor(owned, settings, problem) &&
        take_shares(owned, settings, workers, current, problem) && take_pipes(&owned->config, current, problem))
        return &owned->config;
    owned_free(&owned->config);
    return NULL;
}

struct host_config *serve_config_reload(void *context, const struct host_config *current, char problem[HOST_PROBLEM_MAX]) {
    const struct serve_reload *reload = context;
    struct serve_settings *settings = malloc(sizeof *settings);
    struct host_config *config = NULL;

    if (settings == NULL)
        snprintf(problem, HOST_PROBLEM_MAX, "no memory");
    else if (!serve_options_settle(reload->options, settings))
        snprintf(problem, HOST_PROBLEM_MAX, "%s", settings->complaint);
    else
        config = serve_config_new(settings, reload->workers, current, problem);
    free(settings);
    return config;
}

const char *serve_allowed_text(const struct option_row *row, char text[OPTION_HELP_MAX]) {
    text[0] = '\0';
    if (row->type == OPTION_TYPE_DIALECTS)
        return "some of 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1";
    if (row->type == OPTION_TYPE_NUMBER)
        snprintf(text, OPTION_HELP_MAX, "%u to %u %s", row->least, row->most, row->unit);
    else if (row->type != OPTION_TYPE_CHOICE)
        snprintf(text, OPTION_HELP_MAX, "%s", row->argument);
    for (unsigned i = 0; i < OPTION_CHOICES_MAX && row->choices[i].word != NULL; i++)
        snprintf(text + strlen(text), OPTION_HELP_MAX - strlen(text), "%s%s", i > 0 ? "|" : "", row->choices[i].word);
    return text;
}
