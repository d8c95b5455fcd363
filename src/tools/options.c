#include "tools/options.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "crypto/crypto.h"
#include "wire/messages.h"
#include "wire/names.h"

#define SYSTEM_PATH  "/etc/smbproof.conf"
#define PORT_DIRECT  445u
#define PORT_NETBIOS 139u
/* Keys of options without a letter; argp keeps those of different parsers apart. */
#define KEY_FIRST  256
#define KEY_CONFIG (KEY_FIRST + OPTION_COUNT)
/* Octets of one word of a list. */
#define WORD_MAX 32u

/* Values of the choices, by their index in the table. */
enum { SWITCH_OFF, SWITCH_ON };
enum { VALIDATE_ERROR_REFUSE, VALIDATE_ERROR_ACCEPT };
enum { SIGN_ALLOWED, SIGN_REQUIRED };
enum { ENCRYPT_OFF, ENCRYPT_ALLOWED, ENCRYPT_REQUIRED };
enum { AUTH_ANY, AUTH_NTLM, AUTH_KERBEROS, AUTH_ANONYMOUS, AUTH_GUEST };

#define OFF_WORDS "0 no false"
#define ON_WORDS  "1 yes true"

static const struct option_row table[OPTION_COUNT] = {
    [OPTION_DIALECTS] = {"dialects",
                         0,
                         "Dialects",
                         OPTION_TYPE_DIALECTS,
                         "LIST",
                         "2.0.2,2.1,3.0,3.0.2,3.1.1",
                         false,
                         {{0}},
                         "Offer just these dialects"},
    [OPTION_SIGN] = {"sign",
                     0,
                     "RequireSecuritySignature",
                     OPTION_TYPE_CHOICE,
                     "WHEN",
                     "allowed",
                     false,
                     {{"allowed", OFF_WORDS " off"}, {"required", ON_WORDS " on"}},
                     "Sign every message, or only where the protocol or the server demands it"},
    [OPTION_ENCRYPT] = {"encrypt",
                        0,
                        "Encryption",
                        OPTION_TYPE_CHOICE,
                        "WHEN",
                        "allowed",
                        false,
                        {{"off", OFF_WORDS}, {"allowed", ""}, {"required", ON_WORDS " on"}},
                        "Encrypt (SMB 3): never, where the server demands it, or every message"},
    [OPTION_REQUIRE_SECURE_NEGOTIATE] =
        {"require-secure-negotiate",
         0,
         "RequireSecureNegotiate",
         OPTION_TYPE_CHOICE,
         "VALUE",
         "on",
         true,
         {{"off", OFF_WORDS}, {"on", ON_WORDS}},
         "Validate the negotiation below SMB 3.1.1; any number but 1 means off, and off is "
         "possible for a named host only"},
    [OPTION_VALIDATE_ERROR] =
        {"validate-error",
         0,
         "ValidateError",
         OPTION_TYPE_CHOICE,
         "WHAT",
         "refuse",
         true,
         {{"refuse", ""}, {"accept", ""}},
         "What to do where a server answers the validation with a signed error on SMB 3.0 or 3.0.2, "
         "which no correct one does; accept is possible for a named host only"},
    [OPTION_ALLOW_GUEST] = {"allow-guest",
                            0,
                            "AllowInsecureGuestAuth",
                            OPTION_TYPE_CHOICE,
                            NULL,
                            "off",
                            false,
                            {{"off", OFF_WORDS}, {"on", ON_WORDS}},
                            "Go on where a server takes a user for a guest; nothing protects such a session"},
    [OPTION_AUTH] = {"auth",
                     0,
                     "Authentication",
                     OPTION_TYPE_CHOICE,
                     "METHOD",
                     "any",
                     false,
                     {{"any", ""}, {"ntlm", ""}, {"kerberos", "krb5"}, {"anonymous", ""}, {"guest", ""}},
                     "Log on so; any is Kerberos where a ticket can be had, else NTLM"},
    [OPTION_USER] =
        {"user", 0, "User", OPTION_TYPE_TEXT, "NAME", "", false, {{0}}, "Log on as NAME where the URL has none"},
    [OPTION_DOMAIN] = {"domain",
                       0,
                       "Domain",
                       OPTION_TYPE_TEXT,
                       "NAME",
                       "",
                       false,
                       {{0}},
                       "The user's domain or realm where the URL has none"},
    [OPTION_PASSWORD_FILE] = {"password-file",
                              0,
                              "PasswordFile",
                              OPTION_TYPE_TEXT,
                              "FILE",
                              "",
                              false,
                              {{0}},
                              "The password is the first line of FILE"},
    [OPTION_PASSWORD_FD] = {"password-fd",
                            0,
                            NULL,
                            OPTION_TYPE_DESCRIPTOR,
                            "N",
                            "",
                            false,
                            {{0}},
                            "The password is the first line that can be read from descriptor N"},
    [OPTION_NETBIOS] = {"netbios",
                        0,
                        "NetBIOS",
                        OPTION_TYPE_CHOICE,
                        NULL,
                        "off",
                        false,
                        {{"off", OFF_WORDS}, {"on", ON_WORDS}},
                        "Use the NetBIOS session service, port 139, which rules SMB 3.1.1 out"},
    [OPTION_TIMEOUT] =
        {"timeout", 0, "Timeout", OPTION_TYPE_SECONDS, "SECONDS", "60", false, {{0}}, "Wait so long for an answer"},
    [OPTION_VERBOSE] = {"verbose",
                        'v',
                        NULL,
                        OPTION_TYPE_COUNT,
                        NULL,
                        "",
                        false,
                        {{0}},
                        "Tell on standard error what was negotiated"},
};

const struct option_row *option_row(enum option_id id) {
    assert(id < OPTION_COUNT);
    return &table[id];
}

/* Does `words`, separated by blanks, hold this one? */
static bool words_have(const char *words, const char *word) {
    size_t length = strlen(word);

    while (*words != '\0') {
        size_t size = strcspn(words, " ");

        if (size == length && strncasecmp(words, word, size) == 0)
            return true;
        words += size;
        words += strspn(words, " ");
    }
    return false;
}

const char *option_choices_text(const struct option_row *row, char *text, size_t size) {
    text[0] = '\0';
    for (unsigned i = 0; i < OPTION_CHOICES_MAX && row->choices[i].word != NULL; i++) {
        bool last = i + 1 == OPTION_CHOICES_MAX || row->choices[i + 1].word == NULL;

        strncat(text, i == 0 ? "" : last ? " or " : ", ", size - strlen(text) - 1);
        strncat(text, row->choices[i].word, size - strlen(text) - 1);
    }
    return text;
}

static bool parse_number(const char *text, int base, unsigned long most, unsigned *number) {
    char *end;
    unsigned long value;

    if (text[0] < '0' || text[0] > '9')
        return false;
    value = strtoul(text, &end, base);
    *number = (unsigned)value;
    return *end == '\0' && value <= most;
}

/* Windows 8 and Server 2012 take any number but 1 for off ([MS-SMB2] 3.2.3, note 108). */
static bool parse_registry_number(const struct option_row *row, const char *text, struct option_value *value) {
    unsigned number;

    if (row != &table[OPTION_REQUIRE_SECURE_NEGOTIATE] || !parse_number(text, 0, UINT32_MAX, &number))
        return false;
    value->number = number == 1 ? SWITCH_ON : SWITCH_OFF;
    value->unusual_number = number > 1;
    return true;
}

static bool parse_choice(const struct option_row *row, const char *text, struct option_value *value, char *complaint) {
    char allowed[CONFIG_COMPLAINT_MAX / 2];

    for (unsigned i = 0; i < OPTION_CHOICES_MAX && row->choices[i].word != NULL; i++)
        if (strcasecmp(text, row->choices[i].word) == 0 || words_have(row->choices[i].aliases, text)) {
            value->number = i;
            snprintf(value->text, sizeof value->text, "%s", row->choices[i].word);
            return true;
        }
    if (parse_registry_number(row, text, value))
        return true;
    option_choices_text(row, allowed, sizeof allowed);
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.64s' is not possible here: say %s", text, allowed);
    return false;
}

static uint16_t dialect_of(const char *word) {
    struct client_policy policy;
    char text[16];

    client_policy_defaults(&policy);
    for (unsigned i = 0; i < policy.dialects.count; i++)
        if (strcmp(dialect_text(policy.dialects.ids[i], text), word) == 0)
            return policy.dialects.ids[i];
    return 0;
}

/* Adds a dialect where it belongs in the ascending list. */
static void add_dialect(struct id_list *list, uint16_t dialect) {
    unsigned at = list->count;

    if (id_list_has(list, dialect))
        return;
    while (at > 0 && list->ids[at - 1] > dialect) {
        list->ids[at] = list->ids[at - 1];
        at--;
    }
    list->ids[at] = dialect;
    list->count++;
}

/* One dialect, or "2.1-3.0.2". */
static bool add_dialects(struct id_list *list, char *word) {
    char *end = strchr(word, '-');
    uint16_t first, last;
    struct client_policy policy;

    if (end != NULL)
        *end++ = '\0';
    first = dialect_of(word);
    last = end != NULL ? dialect_of(end) : first;
    if (first == 0 || last < first)
        return false;
    client_policy_defaults(&policy);
    for (unsigned i = 0; i < policy.dialects.count; i++)
        if (policy.dialects.ids[i] >= first && policy.dialects.ids[i] <= last)
            add_dialect(list, policy.dialects.ids[i]);
    return true;
}

static bool parse_dialects(const char *text, struct option_value *value, char *complaint) {
    const char *at = text + strspn(text, ", ");

    value->dialects.count = 0;
    while (*at != '\0') {
        size_t size = strcspn(at, ", ");
        char word[WORD_MAX];

        snprintf(word, sizeof word, "%.*s", (int)size, at);
        if (size >= sizeof word || !add_dialects(&value->dialects, word)) {
            snprintf(complaint, CONFIG_COMPLAINT_MAX,
                     "`%.*s' is no dialect: say some of 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1, or a range such as 2.1-3.1.1",
                     (int)(size < WORD_MAX ? size : WORD_MAX - 1), at);
            return false;
        }
        at += size;
        at += strspn(at, ", ");
    }
    if (value->dialects.count == 0)
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "name at least one of 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1");
    return value->dialects.count > 0;
}

static bool parse_seconds(const char *text, struct option_value *value, char *complaint) {
    if (parse_number(text, 10, OPTION_TIMEOUT_MAX_S, &value->number) && value->number > 0)
        return true;
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.64s' is not possible here: say 1 to %u seconds", text,
             OPTION_TIMEOUT_MAX_S);
    return false;
}

static bool parse_descriptor(const char *text, struct option_value *value, char *complaint) {
    if (parse_number(text, 10, INT32_MAX, &value->number))
        return true;
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.64s' is no descriptor: say a number such as 3", text);
    return false;
}

static bool parse_limited(const struct option_row *row, const char *text, struct option_value *value, char *complaint) {
    if (parse_number(text, 10, row->most, &value->number) && value->number >= row->least)
        return true;
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.64s' is not possible here: say %u to %u %s", text, row->least,
             row->most, row->unit);
    return false;
}

bool option_row_parse(const struct option_row *row, const char *text, struct option_value *value,
                      char complaint[CONFIG_COMPLAINT_MAX]) {
    *value = (struct option_value){0};
    if (strlen(text) >= sizeof value->text) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "the value is too long");
        return false;
    }
    snprintf(value->text, sizeof value->text, "%s", text);
    switch (row->type) {
    case OPTION_TYPE_CHOICE:
        return parse_choice(row, text, value, complaint);
    case OPTION_TYPE_DIALECTS:
        return parse_dialects(text, value, complaint);
    case OPTION_TYPE_SECONDS:
        return parse_seconds(text, value, complaint);
    case OPTION_TYPE_DESCRIPTOR:
        return text[0] == '\0' || parse_descriptor(text, value, complaint);
    case OPTION_TYPE_NUMBER:
        return parse_limited(row, text, value, complaint);
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_COUNT:
        return true;
    }
    return false;
}

bool option_parse(enum option_id id, const char *text, struct option_value *value,
                  char complaint[CONFIG_COMPLAINT_MAX]) {
    return option_row_parse(option_row(id), text, value, complaint);
}

const char *option_origin_text(enum option_id id, const struct option_value *value, char *text, size_t size) {
    if (value->origin == ORIGIN_FILE)
        snprintf(text, size, "%s:%u", value->path, value->line);
    else if (value->origin == ORIGIN_FLAG)
        snprintf(text, size, "--%s", table[id].flag);
    else
        snprintf(text, size, "default");
    return text;
}

/* The command line. */

static error_t parse_flag(struct options *options, enum option_id id, const char *text, struct argp_state *state) {
    struct option_value *value = &options->flags[id];
    char complaint[CONFIG_COMPLAINT_MAX];
    unsigned count = value->number + 1;

    if (text == NULL) /* a switch: its last choice */
        text = table[id].type == OPTION_TYPE_CHOICE ? table[id].choices[SWITCH_ON].word : "";
    if (!option_parse(id, text, value, complaint))
        argp_error(state, "--%s: %s", table[id].flag, complaint);
    if (table[id].type == OPTION_TYPE_COUNT)
        value->number = count < OPTION_VERBOSE_MAX ? count : OPTION_VERBOSE_MAX;
    value->origin = ORIGIN_FLAG;
    return 0;
}

static error_t parse_argument(int key, char *text, struct argp_state *state) {
    struct options *options = state->input;

    if (key == KEY_CONFIG) {
        options->config_path = text;
        return 0;
    }
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if (options->rows[id].key == key)
            return parse_flag(options, id, text, state);
    return ARGP_ERR_UNKNOWN;
}

void option_help(const struct option_row *row, char help[OPTION_HELP_MAX]) {
    char possible[OPTION_HELP_MAX / 2] = "";

    if (row->argument != NULL && row->type == OPTION_TYPE_CHOICE)
        option_choices_text(row, possible, sizeof possible);
    else if (row->type == OPTION_TYPE_NUMBER)
        snprintf(possible, sizeof possible, "%u to %u %s", row->least, row->most, row->unit);
    if (row->argument != NULL && possible[0] != '\0')
        snprintf(help, OPTION_HELP_MAX, "%s: %s (default: %s)", row->what, possible, row->standard);
    else if (row->argument != NULL && row->standard[0] != '\0')
        snprintf(help, OPTION_HELP_MAX, "%s (default: %s)", row->what, row->standard);
    else
        snprintf(help, OPTION_HELP_MAX, "%s", row->what);
}

static void find_user_path(char path[OPTION_TEXT_MAX]) {
    const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    path[0] = '\0';
    if (folder != NULL && folder[0] == '/')
        snprintf(path, OPTION_TEXT_MAX, "%s/smbproof/smbproof.conf", folder);
    else if (home != NULL && home[0] == '/')
        snprintf(path, OPTION_TEXT_MAX, "%s/.config/smbproof/smbproof.conf", home);
}

void options_init(struct options *options) {
    *options = (struct options){.system_path = SYSTEM_PATH};
    find_user_path(options->user_path);
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        const struct option_row *row = &table[id];

        option_help(row, options->help[id]);
        options->rows[id] = (struct argp_option){
            row->flag, row->letter != 0 ? row->letter : KEY_FIRST + (int)id, row->argument, 0, options->help[id], 0};
    }
    options->rows[OPTION_COUNT] = (struct argp_option){
        "config", KEY_CONFIG, "FILE", 0, "Read this configuration file in place of the system's and the user's", 0};
    options->argp = (struct argp){.options = options->rows, .parser = parse_argument};
    options->children[0] = (struct argp_child){&options->argp, 0, "Connection:", 1};
}

/* The files. */

enum pass { PASS_DEFAULTS, PASS_HOST };

struct reading {
    struct settings *settings;
    enum pass pass;
};

static enum option_id find_key(const char *key) {
    unsigned id = 0;

    while (id < OPTION_COUNT && (table[id].key == NULL || strcasecmp(table[id].key, key) != 0))
        id++;
    return id;
}

static bool differs_from_default(enum option_id id, const struct option_value *value) {
    struct option_value standard;
    char complaint[CONFIG_COMPLAINT_MAX];

    option_parse(id, table[id].standard, &standard, complaint);
    return value->number != standard.number;
}

static bool refuse_unnamed(enum option_id id, char *complaint) {
    snprintf(complaint, CONFIG_COMPLAINT_MAX,
             "%s = %s is possible only for a named host: in a section [host NAME], or on "
             "the command line of a command that names the host",
             table[id].key, table[id].choices[id == OPTION_VALIDATE_ERROR ? VALIDATE_ERROR_ACCEPT : SWITCH_OFF].word);
    return false;
}

/* Checks every entry, and takes those of this pass. Of type config_take. */
static bool take_entry(void *context, const struct config_entry *entry, char *complaint) {
    struct reading *reading = context;
    struct settings *settings = reading->settings;
    enum option_id id = find_key(entry->key);
    struct option_value value;
    char why[CONFIG_COMPLAINT_MAX];

    if (strcasecmp(entry->key, "EnableSecuritySignature") == 0) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX,
                 "EnableSecuritySignature means nothing in SMB 2 and 3; RequireSecuritySignature "
                 "decides");
        return false;
    }
    if (id == OPTION_COUNT) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.64s' is no key; smbproof.conf(5) lists them", entry->key);
        return false;
    }
    if (!option_parse(id, entry->value, &value, why)) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "%s: %.400s", table[id].key, why);
        return false;
    }
    if (table[id].for_named_host && entry->name[0] == '\0' && differs_from_default(id, &value))
        return refuse_unnamed(id, complaint);
    if (reading->pass == PASS_DEFAULTS ? entry->name[0] != '\0'
                                       : settings->host == NULL || strcasecmp(entry->name, settings->host) != 0)
        return true;
    value.origin = ORIGIN_FILE;
    value.path = entry->path;
    value.line = entry->line;
    settings->values[id] = value;
    return true;
}

static bool read_files(const struct options *options, struct settings *settings) {
    for (enum pass pass = PASS_DEFAULTS; pass <= PASS_HOST; pass++) {
        struct reading reading = {settings, pass};

        if (options->config_path != NULL) {
            if (!config_read(options->config_path, true, &config_hosts, take_entry, &reading, settings->complaint))
                return false;
            continue;
        }
        if (!config_read(options->system_path, false, &config_hosts, take_entry, &reading, settings->complaint))
            return false;
        if (options->user_path[0] != '\0' &&
            !config_read(options->user_path, false, &config_hosts, take_entry, &reading, settings->complaint))
            return false;
    }
    return true;
}

/* What is in force. */

static bool take_flags(const struct options *options, struct settings *settings) {
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        if (options->flags[id].origin != ORIGIN_FLAG)
            continue;
        if (table[id].for_named_host && settings->host == NULL && differs_from_default(id, &options->flags[id]))
            return refuse_unnamed(id, settings->complaint);
        settings->values[id] = options->flags[id];
    }
    return true;
}

static bool impossible(struct settings *settings, enum option_id one, enum option_id other, const char *why) {
    char first[OPTION_TEXT_MAX], second[OPTION_TEXT_MAX];

    option_origin_text(one, &settings->values[one], first, sizeof first);
    option_origin_text(other, &settings->values[other], second, sizeof second);
    snprintf(settings->complaint, CONFIG_COMPLAINT_MAX, "%s %.32s (%.100s) and %s %.32s (%.100s): %s", table[one].flag,
             settings->values[one].text, first, table[other].flag, settings->values[other].text, second, why);
    return false;
}

/* Values that are right each, and cannot be had together. */
static bool check_together(struct settings *settings) {
    const struct option_value *values = settings->values;
    unsigned auth = values[OPTION_AUTH].number;
    bool keyless = auth == AUTH_ANONYMOUS || auth == AUTH_GUEST;
    const struct id_list *dialects = &values[OPTION_DIALECTS].dialects;

    if (keyless && values[OPTION_SIGN].number == SIGN_REQUIRED)
        return impossible(settings, OPTION_AUTH, OPTION_SIGN, "such a session has no key to sign with");
    if (keyless && values[OPTION_ENCRYPT].number == ENCRYPT_REQUIRED)
        return impossible(settings, OPTION_AUTH, OPTION_ENCRYPT, "such a session has no key to encrypt with");
    if (values[OPTION_ENCRYPT].number == ENCRYPT_REQUIRED && !dialect_is_3x(id_list_greatest(dialects)))
        return impossible(settings, OPTION_ENCRYPT, OPTION_DIALECTS, "SMB 2 has no encryption");
    if (values[OPTION_NETBIOS].number == SWITCH_ON && dialects->count == 1 && dialects->ids[0] == SMB2_DIALECT_311)
        return impossible(settings, OPTION_NETBIOS, OPTION_DIALECTS, "SMB 3.1.1 is not spoken over NetBIOS");
    return true;
}

static bool fill_policy(struct settings *settings) {
    static const enum encryption_policy encryption[] = {ENCRYPTION_OFF, ENCRYPTION_OFFERED, ENCRYPTION_MUST};
    const struct option_value *values = settings->values;
    struct client_policy *policy = &settings->policy;

    client_policy_defaults(policy);
    policy->dialects = values[OPTION_DIALECTS].dialects;
    policy->signing_required = values[OPTION_SIGN].number == SIGN_REQUIRED;
    policy->encryption = encryption[values[OPTION_ENCRYPT].number];
    policy->require_secure_negotiate = values[OPTION_REQUIRE_SECURE_NEGOTIATE].number == SWITCH_ON;
    policy->refuse_unvalidated_3x = values[OPTION_VALIDATE_ERROR].number == VALIDATE_ERROR_REFUSE;
    policy->allow_guest = values[OPTION_ALLOW_GUEST].number == SWITCH_ON || settings->guest;
    policy->transport = values[OPTION_NETBIOS].number == SWITCH_ON ? TRANSPORT_NETBIOS : TRANSPORT_DIRECT_TCP;
    if (crypto_random(policy->guid, sizeof policy->guid))
        return true;
    snprintf(settings->complaint, CONFIG_COMPLAINT_MAX, "no randomness can be had");
    return false;
}

static bool fill_settings(struct settings *settings) {
    static const enum auth_method methods[] = {AUTH_METHOD_ANY, AUTH_METHOD_NTLM, AUTH_METHOD_KERBEROS,
                                               AUTH_METHOD_ANONYMOUS, AUTH_METHOD_NTLM};
    const struct option_value *values = settings->values;
    bool netbios = values[OPTION_NETBIOS].number == SWITCH_ON;

    settings->method = methods[values[OPTION_AUTH].number];
    settings->guest = values[OPTION_AUTH].number == AUTH_GUEST;
    settings->timeout_ms = values[OPTION_TIMEOUT].number * 1000;
    settings->port = netbios ? PORT_NETBIOS : PORT_DIRECT;
    settings->verbosity = values[OPTION_VERBOSE].number;
    settings->user = values[OPTION_USER].text;
    settings->domain = values[OPTION_DOMAIN].text;
    settings->password_file = values[OPTION_PASSWORD_FILE].text;
    settings->password_fd = values[OPTION_PASSWORD_FD].text[0] != '\0' ? (int)values[OPTION_PASSWORD_FD].number : -1;
    return fill_policy(settings);
}

bool options_settle(const struct options *options, const char *host, struct settings *settings) {
    *settings = (struct settings){.host = host};
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        if (!option_parse(id, table[id].standard, &settings->values[id], settings->complaint))
            return false;
    return read_files(options, settings) && take_flags(options, settings) && check_together(settings) &&
           fill_settings(settings);
}

bool options_want_json(struct argp_state *state, const char *text) {
    if (strcmp(text, "json") == 0)
        return true;
    if (strcmp(text, "text") != 0)
        argp_error(state, "--output takes text or json, not `%s'", text);
    return false;
}

bool settings_are_weakened(const struct settings *settings) {
    bool only_311 = settings->policy.dialects.count == 1 && settings->policy.dialects.ids[0] == SMB2_DIALECT_311;

    return !only_311 && (!settings->policy.require_secure_negotiate || !settings->policy.refuse_unvalidated_3x);
}

static void warn(const struct settings *settings, enum option_id id, const char *what) {
    char origin[OPTION_TEXT_MAX];
    const char *safer = settings->policy.signing_required
                            ? "signing is required, which limits the harm"
                            : "the safer way is to require signing (--sign=required, RequireSecuritySignature = 1)";

    option_origin_text(id, &settings->values[id], origin, sizeof origin);
    fprintf(stderr, "smbproof: warning: %s for %s (%s): %s; %s; SMB 3.1.1 is protected all the same\n", table[id].key,
            settings->host, origin, what, safer);
    syslog(LOG_WARNING | LOG_AUTH, "%s for %s (%s): %s; %s; SMB 3.1.1 is protected all the same", table[id].key,
           settings->host, origin, what, safer);
}

void settings_warn(const struct settings *settings) {
    if (!settings_are_weakened(settings))
        return;
    openlog("smbproof", LOG_PID, LOG_AUTH);
    if (!settings->policy.require_secure_negotiate)
        warn(settings, OPTION_REQUIRE_SECURE_NEGOTIATE,
             "the negotiation is not validated below SMB 3.1.1, and whoever is on the path may weaken it unseen");
    else
        warn(settings, OPTION_VALIDATE_ERROR,
             "an error in place of a validation is taken on SMB 3.0 and 3.0.2, and a downgrade may go unseen");
    closelog();
}
