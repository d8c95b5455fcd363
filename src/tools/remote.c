#include "tools/remote.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/names.h"
#include "client/words.h"
#include "crypto/crypto.h"
#include "explain/explain.h"
#include "explain/output.h"
#include "tools/interrupt.h"
#include "wire/names.h"

#define SHOWN_MAX  1024u
#define PROMPT_MAX (2 * AUTH_NAME_MAX + 64u)

int complain(const char *about, const char *sentence, int status) {
    char shown[SHOWN_MAX];

    fprintf(stderr, "smbproof: %s: %s\n", name_shown(about, shown, sizeof shown), sentence);
    return status;
}

int output_end(struct output *output, int status) {
    int error = output_finish(output);

    return error == 0 ? status : complain("standard output", strerror(-error), EXIT_INTERNAL);
}

int standard_output_end(int status) {
    bool failed = ferror(stdout) != 0; /* before now: errno has forgotten why */

    if (fflush(stdout) != 0)
        return complain("standard output", strerror(errno), EXIT_INTERNAL);
    return failed ? complain("standard output", "cannot be written", EXIT_INTERNAL) : status;
}

static int status_of(const struct session_error *error) {
    switch (error->kind) {
    case SESSION_ERROR_NONE:
        return EXIT_NO_PROBLEM;
    case SESSION_ERROR_ARGUMENT:
    case SESSION_ERROR_REFUSED:
    case SESSION_ERROR_STOPPED:
        return EXIT_PROBLEM;
    case SESSION_ERROR_UNREACHABLE:
        return EXIT_UNREACHABLE;
    case SESSION_ERROR_TIMED_OUT:
    case SESSION_ERROR_DISCONNECTED:
        return error->is_security ? EXIT_UNTRUSTED : EXIT_UNREACHABLE;
    case SESSION_ERROR_AUTHENTICATION:
        return EXIT_LOGON;
    case SESSION_ERROR_PROTOCOL:
        return EXIT_UNTRUSTED;
    case SESSION_ERROR_SYSTEM:
        break;
    }
    return EXIT_INTERNAL;
}

int remote_complain(const char *about, const struct session_error *error) {
    char sentence[2 * SESSION_SENTENCE_MAX];
    bool needs_none = error->kind == SESSION_ERROR_STOPPED ||
                      (error->kind == SESSION_ERROR_REFUSED && error->phase == CLIENT_PHASE_READY); /* or has one */
    const char *remedy = needs_none ? "" : session_error_remedy(error);

    size_t length = strlen(error->sentence);
    bool is_ended = length > 0 && error->sentence[length - 1] == '.';

    snprintf(sentence, sizeof sentence, "%s%s%s", error->sentence,
             remedy[0] == '\0' ? ""
             : is_ended        ? " "
                               : ". ",
             remedy);
    return complain(about, sentence, status_of(error));
}

int exit_worse(int a, int b) {
    if (a == EXIT_NO_PROBLEM || (a == EXIT_PROBLEM && b != EXIT_NO_PROBLEM))
        return b;
    return a;
}

void remote_init(struct remote *remote, const struct options *options) {
    *remote = (struct remote){.options = options};
}

void remote_close(struct remote *remote) {
    session_close(remote->session);
    remote->session = NULL;
    crypto_wipe(remote->password, sizeof remote->password);
}

/* ---- who logs on ---- */

static const char *first_of(const char *a, const char *b) {
    return a != NULL && a[0] != '\0' ? a : b;
}

static const char *login_name(void) {
    const struct passwd *entry = getpwuid(getuid());

    return entry != NULL ? entry->pw_name : "";
}

/* Is there likely to be a Kerberos ticket? */
static bool has_ticket_cache(void) {
    char path[64];

    snprintf(path, sizeof path, "/tmp/krb5cc_%u", (unsigned)getuid());
    return getenv("KRB5CCNAME") != NULL || access(path, R_OK) == 0;
}

/* A password where one is needed. 0, or an exit status when that has been told. */
static int find_password(struct remote *remote, bool may_ask) {
    const struct settings *settings = &remote->settings;
    char prompt[PROMPT_MAX], shown[PROMPT_MAX];
    struct credentials_sources sources = {.file = settings->password_file[0] != '\0' ? settings->password_file : NULL,
                                          .descriptor = settings->password_fd,
                                          .environment = true};
    int result;

    snprintf(prompt, sizeof prompt, "Password for %s at %s: ", remote->credentials.user, remote->url.host);
    if (may_ask)
        sources.prompt = name_shown(prompt, shown, sizeof shown);
    result = credentials_read(&sources, remote->password);
    if (result == -ENODATA && !may_ask)
        return EXIT_NO_PROBLEM;
    if (result < 0)
        return complain(settings->password_file[0] != '\0' ? settings->password_file : "password",
                        credentials_error(result), EXIT_INPUT);
    remote->credentials.password = remote->password;
    return EXIT_NO_PROBLEM;
}

static int find_credentials(struct remote *remote) {
    const struct settings *settings = &remote->settings;
    struct auth_credentials *credentials = &remote->credentials;
    const char *named;
    int status;

    *credentials = (struct auth_credentials){.method = settings->method, .host = remote->url.host};
    if (settings->method == AUTH_METHOD_ANONYMOUS)
        return EXIT_NO_PROBLEM;
    if (settings->guest) {
        credentials->user = "guest";
        credentials->password = "";
        return EXIT_NO_PROBLEM;
    }
    named = first_of(remote->url.user, first_of(settings->user, NULL));
    credentials->user = first_of(named, login_name());
    credentials->domain = first_of(remote->url.domain, first_of(settings->domain, NULL));
    status = find_password(remote, settings->method == AUTH_METHOD_NTLM ||
                                       (settings->method == AUTH_METHOD_ANY && !has_ticket_cache()));
    credentials->user_is_presumed = named == NULL && credentials->domain == NULL && credentials->password == NULL;
    return status;
}

/* ---- the connection ---- */

static void tell_connection(const struct remote *remote) {
    const struct client *client = session_client(remote->session);
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;
    char dialect[16];

    if (remote->settings.verbosity == 0)
        return;
    fprintf(stderr, "smbproof: %s: SMB %s, logged on with %s%s, %s%s%s; %s\n", session_address(remote->session),
            dialect_text(agreed->dialect, dialect), session_mechanism(remote->session),
            client->is_guest ? " as guest" : "", client->signing_required ? "signed with " : "signing possible with ",
            signing_name(agreed->signing_algorithm), client->encrypts ? ", encrypted" : "",
            agreed->dialect == SMB2_DIALECT_311                 ? "the negotiation is part of the keys"
            : client->negotiation.validation == VALIDATION_SAME ? "the negotiation was validated"
                                                                : "the negotiation was not validated");
}

static bool open_session(struct remote *remote, struct session_error *error) {
    const struct session_options options = {
        .host = remote->url.host,
        .port = remote->url.port != 0 ? remote->url.port : remote->settings.port,
        .policy = &remote->settings.policy,
        .credentials = &remote->credentials,
        .timeout_ms = remote->settings.timeout_ms,
        .stop_fd = interrupt_descriptor(),
    };

    remote->session = session_open(&options, error);
    return remote->session != NULL;
}

/* Without a password Kerberos was tried; where that does not do, there is still the terminal. */
static int connect_session(struct remote *remote) {
    struct session_error error;
    int status;

    if (open_session(remote, &error))
        return EXIT_NO_PROBLEM;
    if (error.kind != SESSION_ERROR_AUTHENTICATION || remote->credentials.password != NULL ||
        remote->settings.method != AUTH_METHOD_ANY)
        return remote_complain(remote->url.host, &error);
    status = find_password(remote, true);
    if (status != EXIT_NO_PROBLEM)
        return status;
    remote->credentials.method = AUTH_METHOD_NTLM;
    return open_session(remote, &error) ? EXIT_NO_PROBLEM : remote_complain(remote->url.host, &error);
}

static bool leads_to_same(const struct url *a, const struct url *b) {
    return strcmp(a->host, b->host) == 0 && a->port == b->port && strcmp(a->user, b->user) == 0 &&
           strcmp(a->domain, b->domain) == 0 && strcmp(a->share, b->share) == 0;
}

static int connect_share(struct remote *remote, const char *text) {
    struct session_error error;

    remote->share = (struct share){.session = remote->session};
    if (remote->url.share[0] == '\0' ||
        session_connect_tree(remote->session, remote->url.share, &remote->share.tree, &error)) {
        tell_connection(remote);
        return EXIT_NO_PROBLEM;
    }
    return remote_complain(text, &error);
}

int remote_prepare(struct remote *remote, const char *text, bool (*needed)(const struct remote *remote)) {
    char complaint[URL_COMPLAINT_MAX];

    if (!url_parse(text, &remote->url, complaint))
        return complain(text, complaint, EXIT_USAGE);
    if (!options_settle(remote->options, remote->url.host, &remote->settings))
        return complain("settings", remote->settings.complaint, EXIT_USAGE);
    return needed == NULL || needed(remote) ? find_credentials(remote) : EXIT_NO_PROBLEM;
}

int remote_go(struct remote *remote, const char *text) {
    char complaint[URL_COMPLAINT_MAX];
    struct url before = remote->url;
    int status;

    if (!url_parse(text, &remote->url, complaint))
        return complain(text, complaint, EXIT_USAGE);
    if (remote->session != NULL && session_is_open(remote->session) && leads_to_same(&before, &remote->url))
        return EXIT_NO_PROBLEM;
    remote_close(remote);
    if (!options_settle(remote->options, remote->url.host, &remote->settings))
        return complain("settings", remote->settings.complaint, EXIT_USAGE);
    status = find_credentials(remote);
    if (status != EXIT_NO_PROBLEM)
        return status;
    settings_warn(&remote->settings);
    status = connect_session(remote);
    return status != EXIT_NO_PROBLEM ? status : connect_share(remote, text);
}

int remote_go_share(struct remote *remote, const char *text) {
    char complaint[URL_COMPLAINT_MAX];
    struct url url;

    if (url_parse(text, &url, complaint) && url.share[0] == '\0')
        return complain(text, "name a share too: smb://user@host/share; `smbproof shares' lists them", EXIT_USAGE);
    return remote_go(remote, text);
}

bool remote_has_credentials(const struct remote *remote) {
    const struct settings *settings = &remote->settings;

    return remote->url.user[0] != '\0' || settings->user[0] != '\0' || settings->method == AUTH_METHOD_KERBEROS;
}

struct line_target remote_target(const struct remote *remote, int64_t timeout_ms) {
    const struct settings *settings = &remote->settings;
    bool given = settings->values[OPTION_TIMEOUT].origin != ORIGIN_DEFAULT;

    return (struct line_target){
        .host = remote->url.host,
        .share = remote->url.share,
        .port = remote->url.port != 0 ? remote->url.port : settings->port,
        .transport = settings->policy.transport,
        .timeout_ms = given ? settings->timeout_ms : timeout_ms,
        .credentials = remote_has_credentials(remote) ? &remote->credentials : NULL,
    };
}
