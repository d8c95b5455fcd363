#include "tools/serve_options.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "serve/mapping.h"
#include "wire/messages.h"
#include "wire/text.h"

/* MaxReadSize and MaxWriteSize, in octets. Clients ask for as much as they may, and what is longer than the processor's
 * cache is fetched from memory again for each thing that is done with it: copied, signed, sent. Of a read the file's pages
 * and the socket's want room there as well. */
#define READ_MAX  (512u * 1024u)
#define WRITE_MAX (1024u * 1024u)
#define KEY_FIRST  512
#define KEY_CONFIG (KEY_FIRST + SERVE_OPTION_COUNT)
#define OFF_WORDS  "0 no false"
#define ON_WORDS   "1 yes true"

enum { SWITCH_OFF, SWITCH_ON };
enum { SIGN_ALLOWED, SIGN_REQUIRED };
enum { ENCRYPT_OFF, ENCRYPT_ALLOWED, ENCRYPT_REQUIRED };

#define TEXT   OPTION_TYPE_TEXT
#define NUMBER OPTION_TYPE_NUMBER

/* clang-format off */
static const struct option_row table[SERVE_OPTION_COUNT] = {
    [SERVE_LISTEN] = {"listen", 0, "Listen", TEXT, "ADDRESS:PORT", "127.0.0.1:4450", false, {{0}},
        "Listen there; may stand more than once, port 0 takes a free one"},
    [SERVE_SHARE] = {"share", 0, NULL, TEXT, "NAME=FOLDER[,ro][,guest][,encrypt]", "", false, {{0}},
        "Serve this folder under that name; may stand more than once"},
    [SERVE_ACCOUNTS] = {"accounts", 0, "Accounts", TEXT, "FILE", "", false, {{0}},
        "Who may log on by NTLM, as smbproof passwd keeps them"},
    [SERVE_KEYTAB] = {"keytab", 0, "Keytab", TEXT, "FILE", "", false, {{0}},
        "Take Kerberos tickets for cifs/ or host/ with the keys of FILE"},
    [SERVE_MAP] = {"map", 0, "Map", TEXT, "ACCOUNT=USER", "", false, {{0}},
        "Open the account's files as that user of the system; *=* is each by its own name, *=USER all others; may stand "
        "more than once"},
    [SERVE_NAME] = {"name", 0, "Name", TEXT, "NAME", "SMBPROOF", false, {{0}},
        "The server's NetBIOS name, as it is told to clients that log on by NTLM"},
    [SERVE_DOMAIN] = {"domain", 0, "Domain", TEXT, "NAME", "", false, {{0}},
        "The domain or workgroup that is told to them; none means the server's name"},
    [SERVE_DIALECTS] = {"dialects", 0, "Dialects", OPTION_TYPE_DIALECTS, "LIST", "2.0.2,2.1,3.0,3.0.2,3.1.1", false, {{0}},
        "Speak just these dialects, or a range such as 3.0-3.1.1"},
    [SERVE_SIGN] = {"sign", 0, "RequireSecuritySignature", OPTION_TYPE_CHOICE, "WHEN", "required", false,
        {{"allowed", OFF_WORDS " off"}, {"required", ON_WORDS " on"}},
        "Every message has to be signed, or only where the client demands it"},
    [SERVE_ENCRYPT] = {"encrypt", 0, "Encryption", OPTION_TYPE_CHOICE, "WHEN", "allowed", false,
        {{"off", OFF_WORDS}, {"allowed", ""}, {"required", ON_WORDS " on"}},
        "Encryption (SMB 3): never, where the client or the share demands it, or always"},
    [SERVE_CONNECTIONS] = {"max-connections", 0, "MaxConnections", NUMBER, "N", "16384", false, {{0}},
        "Connections at the same time", 1, 1000000, "connections"},
    [SERVE_CONNECTIONS_PER_ADDRESS] = {"max-connections-per-address", 0, "MaxConnectionsPerAddress", NUMBER, "N", "1024", false,
        {{0}}, "Of those, from one address, or one /64 of IPv6: fewer than all", 1, 1000000, "connections"},
    [SERVE_HALF_OPEN] = {"max-half-open", 0, "MaxHalfOpen", NUMBER, "N", "2048", false, {{0}},
        "Connections on which nobody has logged on yet", 1, 1000000, "connections"},
    [SERVE_LOGON_TIME] = {"logon-time", 0, "LogonTime", NUMBER, "SECONDS", "30", false, {{0}},
        "How long such a connection is kept", 1, 3600, "seconds"},
    [SERVE_EXPIRED_TIME] = {"expired-time", 0, "ExpiredTime", NUMBER, "SECONDS", "3600", false, {{0}},
        "How long a session that has expired keeps its files open without another logon", 1, 86400, "seconds"},
    [SERVE_SESSIONS] = {"max-sessions", 0, "MaxSessions", NUMBER, "N", "32", false, {{0}},
        "Sessions of one connection", 1, SERVER_SESSIONS_MAX, "sessions"},
    [SERVE_OPEN_FILES] = {"max-open-files", 0, "MaxOpenFiles", NUMBER, "N", "16384", false, {{0}},
        "Files that one connection may have open", 1, 1000000, "files"},
    [SERVE_CREDITS] = {"max-credits", 0, "MaxCredits", NUMBER, "N", "8192", false, {{0}},
        "Credits, and so requests at the same time, of one connection", SERVER_CREDITS_EARLY_MAX, SERVER_CREDITS_MAX, "credits"},
    [SERVE_LOOPS] = {"loops", 0, "Loops", NUMBER, "N", "0", false, {{0}},
        "Event loops; 0 takes one for each processor, up to 8", 0, 64, "loops"},
    [SERVE_STATUS_SOCKET] = {"status-socket", 0, "StatusSocket", TEXT, "PATH", "", false, {{0}},
        "Tell smbproof status there what is going on"},
    [SERVE_METRICS] = {"metrics", 0, "Metrics", TEXT, "ADDRESS:PORT", "", false, {{0}},
        "Serve numbers for Prometheus there, over HTTP; a loopback address"},
};

static const struct option_row share_table[SHARE_OPTION_COUNT] = {
    [SHARE_FOLDER] = {NULL, 0, "Folder", TEXT, "FOLDER", "", false, {{0}}, "The folder that is served"},
    [SHARE_READ_ONLY] = {"ro", 0, "ReadOnly", OPTION_TYPE_CHOICE, NULL, "off", false, {{"off", OFF_WORDS}, {"on", ON_WORDS}},
        "Nothing can be changed"},
    [SHARE_GUEST] = {"guest", 0, "Guest", OPTION_TYPE_CHOICE, NULL, "off", false, {{"off", OFF_WORDS}, {"on", ON_WORDS}},
        "Guests and the anonymous come in; nothing protects their sessions"},
    [SHARE_ENCRYPT] = {"encrypt", 0, "Encrypt", OPTION_TYPE_CHOICE, NULL, "off", false, {{"off", OFF_WORDS}, {"on", ON_WORDS}},
        "Whatever is said of this share has to be encrypted"},
};
/* clang-format on */

const struct option_row *serve_option_row(enum serve_option id) {
    assert(id < SERVE_OPTION_COUNT);
    return &table[id];
}

const struct option_row *serve_share_row(enum serve_share_option id) {
    assert(id < SHARE_OPTION_COUNT);
    return &share_table[id];
}

bool serve_option_stays(enum serve_option id) {
    return id == SERVE_LISTEN || id == SERVE_LOOPS || id == SERVE_STATUS_SOCKET || id == SERVE_METRICS;
}

/* ---- shares ---- */

/* NULL, or what is wrong with it as the name of a share ([MS-SRVS] 2.2.1.3 has no say; these cannot be asked for, or
 * are the server's own). */
static const char *name_wrong(const char *name) {
    uint8_t utf16[2 * SERVE_NAME_MAX];
    struct writer writer = writer_over(utf16, sizeof utf16);

    if (name[0] == '\0' || strlen(name) >= SERVE_NAME_MAX)
        return "a share's name has 1 to 80 octets";
    if (strpbrk(name, "\\/:*?\"<>|,=[]") != NULL || !text_to_utf16(text_span(name), &writer))
        return "a share's name is UTF-8 without \\ / : * ? \" < > | , = [ and ]";
    for (; *name != '\0'; name++)
        if (iscntrl((unsigned char)*name))
            return "a share's name has no control characters";
    return NULL;
}

/* The share of that name, with its defaults where it is new; NULL, and a complaint. */
static struct serve_share *add_share(struct serve_share *shares, unsigned *count, const char *name, char *complaint) {
    struct serve_share *share = shares;
    const char *wrong = strcasecmp(name, "IPC$") == 0 ? "IPC$ is the server's own" : name_wrong(name);
    char why[CONFIG_COMPLAINT_MAX];

    if (wrong != NULL) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "%s", wrong);
        return NULL;
    }
    while (share < shares + *count && strcasecmp(share->name, name) != 0)
        share++;
    if (share == shares + HOST_SHARES_MAX) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "there can be %u shares", HOST_SHARES_MAX);
        return NULL;
    }
    *count += share == shares + *count;
    *share = (struct serve_share){.origin = ORIGIN_FLAG};
    snprintf(share->name, sizeof share->name, "%s", name);
    for (unsigned id = 0; id < SHARE_OPTION_COUNT; id++)
        option_row_parse(&share_table[id], share_table[id].standard, &share->values[id], why);
    return share;
}

static bool take_word(struct serve_share *share, const char *word, char *complaint) {
    for (unsigned id = SHARE_FOLDER + 1; id < SHARE_OPTION_COUNT; id++)
        if (strcmp(word, share_table[id].flag) == 0)
            return option_row_parse(&share_table[id], "on", &share->values[id], complaint);
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "behind the folder come ro, guest or encrypt, not `%.64s'", word);
    return false;
}

/* NAME=FOLDER[,ro][,guest][,encrypt] */
static bool take_share_flag(struct serve_options *options, const char *text, char *complaint) {
    char copy[OPTION_TEXT_MAX], *at = copy, *name, *folder;
    struct serve_share *share;

    snprintf(copy, sizeof copy, "%s", text);
    name = strsep(&at, "=");
    folder = at != NULL ? strsep(&at, ",") : NULL;
    if (strlen(text) >= sizeof copy || folder == NULL || folder[0] == '\0') {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "say NAME=FOLDER, not `%.64s'", text);
        return false;
    }
    share = add_share(options->shares, &options->share_count, name, complaint);
    if (share == NULL || !option_row_parse(&share_table[SHARE_FOLDER], folder, &share->values[SHARE_FOLDER], complaint))
        return false;
    while (at != NULL)
        if (!take_word(share, strsep(&at, ","), complaint))
            return false;
    return true;
}

/* ---- addresses ---- */

bool serve_listen_at(const char *list, unsigned index, char *host, size_t host_size, char *port, size_t port_size) {
    const char *at = list + strspn(list, ", "), *colon = NULL;
    size_t size = strcspn(at, ", ");

    while (index-- > 0 && size > 0) {
        at += size + strspn(at + size, ", ");
        size = strcspn(at, ", ");
    }
    for (size_t i = 0; i < size; i++)
        if (at[i] == ':')
            colon = at + i;
    if (size == 0 || colon == NULL)
        return false;
    snprintf(port, port_size, "%.*s", (int)(at + size - colon - 1), colon + 1);
    if (at[0] == '[' && colon > at && colon[-1] == ']')
        snprintf(host, host_size, "%.*s", (int)(colon - at - 2), at + 1);
    else
        snprintf(host, host_size, "%.*s", (int)(colon - at), at);
    return true;
}

static bool check_addresses(const char *list, unsigned most, char *complaint) {
    const char *at = list + strspn(list, ", ");
    unsigned count = 0;

    for (size_t size; *at != '\0'; at += size, at += strspn(at, ", ")) {
        const char *colon = NULL;

        size = strcspn(at, ", ");
        for (size_t i = 0; i < size; i++)
            if (at[i] == ':')
                colon = at + i;
        if (colon == NULL || colon == at || colon + 1 == at + size ||
            strspn(colon + 1, "0123456789") != (size_t)(at + size - colon - 1)) {
            snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.*s' is no ADDRESS:PORT such as 127.0.0.1:4450 or [::]:445",
                     (int)(size < 64 ? size : 64), at);
            return false;
        }
        count++;
    }
    if (count <= most)
        return true;
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "no more than %u", most);
    return false;
}

/* ---- one value ---- */

static bool parse_value(enum serve_option id, const char *text, struct option_value *value, char *complaint) {
    if (!option_row_parse(&table[id], text, value, complaint))
        return false;
    if (id == SERVE_MAP && mapping_wrong(text) != NULL) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "%s, not `%.200s'", mapping_wrong(text), text);
        return false;
    }
    if (id == SERVE_LISTEN || id == SERVE_METRICS)
        return check_addresses(text, id == SERVE_LISTEN ? SERVE_LISTEN_MAX : 1, complaint);
    return true;
}

/* Listen and Map of the same origin stand for one more. */
static bool add_value(struct option_value *place, enum serve_option id, const char *text, enum option_origin origin,
                      char *complaint) {
    char list[2 * OPTION_TEXT_MAX];
    bool more = (id == SERVE_LISTEN || id == SERVE_MAP) && place->origin == origin;
    const char *between = id == SERVE_MAP ? "," : " ";

    snprintf(list, sizeof list, "%s%s%s", more ? place->text : "", more ? between : "", text);
    if (!parse_value(id, list, place, complaint))
        return false;
    place->origin = origin;
    return true;
}

/* ---- the command line ---- */

static error_t parse_argument(int key, char *text, struct argp_state *state) {
    struct serve_options *options = state->input;
    enum serve_option id = (enum serve_option)(key - KEY_FIRST);
    char complaint[CONFIG_COMPLAINT_MAX];

    if (key == KEY_CONFIG) {
        options->config_path = text;
        return 0;
    }
    if (key < KEY_FIRST || key > KEY_CONFIG)
        return ARGP_ERR_UNKNOWN;
    if (id == SERVE_SHARE ? !take_share_flag(options, text, complaint)
                          : !add_value(&options->flags[id], id, text, ORIGIN_FLAG, complaint))
        argp_error(state, "--%s: %s", table[id].flag, complaint);
    return 0;
}

void serve_options_init(struct serve_options *options) {
    *options = (struct serve_options){0};
    for (unsigned id = 0; id < SERVE_OPTION_COUNT; id++) {
        option_help(&table[id], options->help[id]);
        options->rows[id] =
            (struct argp_option){table[id].flag, KEY_FIRST + (int)id, table[id].argument, 0, options->help[id], 0};
    }
    options->rows[SERVE_OPTION_COUNT] =
        (struct argp_option){"config", KEY_CONFIG, "FILE", 0, "Read this configuration file", 0};
    options->argp = (struct argp){.options = options->rows, .parser = parse_argument};
    options->children[0] = (struct argp_child){&options->argp, 0, NULL, 0};
}

/* ---- the file ---- */

static const struct config_sections sections = {"server", "share", "a name", true, true};

struct reading {
    struct serve_settings *settings;
    struct serve_share *share; /* of the section */
};

static bool begin_share(struct reading *reading, const struct config_entry *entry, char *complaint) {
    struct serve_settings *settings = reading->settings;
    unsigned before = settings->share_count;

    reading->share = add_share(settings->shares, &settings->share_count, entry->name, complaint);
    if (reading->share == NULL)
        return false;
    if (settings->share_count == before) {
        snprintf(complaint, CONFIG_COMPLAINT_MAX, "the share %.80s is there twice", entry->name);
        return false;
    }
    reading->share->origin = ORIGIN_FILE;
    reading->share->path = entry->path;
    reading->share->line = entry->line;
    return true;
}

static bool unknown_key(const char *key, const char *section, char *complaint) {
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "`%.64s' is no key of a section [%s]; smbproof-serve(1) lists them", key, section);
    return false;
}

static bool wrong_value(const char *key, const char *why, char *complaint) {
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "%s: %.400s", key, why);
    return false;
}

static bool take_share_entry(struct reading *reading, const struct config_entry *entry, char *complaint) {
    struct option_value value;
    char why[CONFIG_COMPLAINT_MAX];
    unsigned id = 0;

    while (id < SHARE_OPTION_COUNT && strcasecmp(share_table[id].key, entry->key) != 0)
        id++;
    if (id == SHARE_OPTION_COUNT)
        return unknown_key(entry->key, "share NAME", complaint);
    if (!option_row_parse(&share_table[id], entry->value, &value, why))
        return wrong_value(share_table[id].key, why, complaint);
    value.origin = ORIGIN_FILE;
    value.path = entry->path;
    value.line = entry->line;
    reading->share->values[id] = value;
    return true;
}

/* Of type config_take. */
static bool take_entry(void *context, const struct config_entry *entry, char *complaint) {
    struct reading *reading = context;
    struct option_value *place;
    char why[CONFIG_COMPLAINT_MAX];
    unsigned id = 0;

    if (entry->key == NULL)
        return begin_share(reading, entry, complaint);
    if (entry->name[0] != '\0')
        return take_share_entry(reading, entry, complaint);
    while (id < SERVE_OPTION_COUNT && (table[id].key == NULL || strcasecmp(table[id].key, entry->key) != 0))
        id++;
    if (id == SERVE_OPTION_COUNT)
        return unknown_key(entry->key, "server", complaint);
    place = &reading->settings->values[id];
    if (!add_value(place, id, entry->value, ORIGIN_FILE, why))
        return wrong_value(table[id].key, why, complaint);
    place->path = entry->path;
    place->line = entry->line;
    return true;
}

/* ---- what is in force ---- */

static bool take_flags(const struct serve_options *options, struct serve_settings *settings) {
    for (unsigned id = 0; id < SERVE_OPTION_COUNT; id++)
        if (options->flags[id].origin == ORIGIN_FLAG)
            settings->values[id] = options->flags[id];
    for (unsigned i = 0; i < options->share_count; i++) {
        struct serve_share *share =
            add_share(settings->shares, &settings->share_count, options->shares[i].name, settings->complaint);

        if (share == NULL)
            return false;
        *share = options->shares[i];
    }
    return true;
}

static const char *origin_text(const struct serve_settings *settings, enum serve_option id, char text[OPTION_TEXT_MAX]) {
    const struct option_value *value = &settings->values[id];

    if (value->origin == ORIGIN_FILE)
        snprintf(text, OPTION_TEXT_MAX, "%s:%u", value->path, value->line);
    else
        snprintf(text, OPTION_TEXT_MAX, value->origin == ORIGIN_FLAG ? "--%s" : "default of --%s", table[id].flag);
    return text;
}

static bool impossible(struct serve_settings *settings, enum serve_option one, enum serve_option other, const char *why) {
    char first[OPTION_TEXT_MAX], second[OPTION_TEXT_MAX];

    snprintf(settings->complaint, CONFIG_COMPLAINT_MAX, "%.120s and %.120s: %s", origin_text(settings, one, first),
             origin_text(settings, other, second), why);
    return false;
}

static bool wrong_share(struct serve_settings *settings, const struct serve_share *share, const char *why) {
    if (share->origin == ORIGIN_FILE)
        snprintf(settings->complaint, CONFIG_COMPLAINT_MAX, "%.200s:%u: share %.80s: %s", share->path, share->line, share->name,
                 why);
    else
        snprintf(settings->complaint, CONFIG_COMPLAINT_MAX, "--share %.80s: %s", share->name, why);
    return false;
}

static bool check_share(struct serve_settings *settings, const struct serve_share *share) {
    const struct option_value *values = share->values;
    bool encrypts = values[SHARE_ENCRYPT].number == SWITCH_ON;

    if (values[SHARE_FOLDER].text[0] == '\0')
        return wrong_share(settings, share, "it has no Folder");
    if (encrypts && settings->values[SERVE_ENCRYPT].number == ENCRYPT_OFF)
        return wrong_share(settings, share, "it demands encryption, and the server has it off");
    if (encrypts && !dialect_is_3x(id_list_greatest(&settings->values[SERVE_DIALECTS].dialects)))
        return wrong_share(settings, share, "it demands encryption, and the server speaks no SMB 3");
    if (values[SHARE_GUEST].number == SWITCH_ON && (encrypts || settings->values[SERVE_ENCRYPT].number == ENCRYPT_REQUIRED))
        return wrong_share(settings, share, "guests have no key to encrypt with");
    return true;
}

/* Where only the total was given, one address may not have all of it either. */
static void lower_per_address(struct option_value *values) {
    struct option_value *most = &values[SERVE_CONNECTIONS_PER_ADDRESS];
    unsigned connections = values[SERVE_CONNECTIONS].number;

    if (most->origin != ORIGIN_DEFAULT || most->number < connections)
        return;
    most->number = connections > 1 ? connections / 2 : 1;
    snprintf(most->text, sizeof most->text, "%u", most->number);
}

/* Values that are right each, and cannot be had together. */
static bool check_together(struct serve_settings *settings) {
    const struct option_value *values = settings->values;

    if (values[SERVE_CONNECTIONS_PER_ADDRESS].number >= values[SERVE_CONNECTIONS].number && values[SERVE_CONNECTIONS].number > 1)
        return impossible(settings, SERVE_CONNECTIONS_PER_ADDRESS, SERVE_CONNECTIONS,
                          "one address may not have all connections");
    if (values[SERVE_ENCRYPT].number == ENCRYPT_REQUIRED && !dialect_is_3x(id_list_greatest(&values[SERVE_DIALECTS].dialects)))
        return impossible(settings, SERVE_ENCRYPT, SERVE_DIALECTS, "SMB 2 has no encryption");
    for (unsigned i = 0; i < settings->share_count; i++)
        if (!check_share(settings, &settings->shares[i]))
            return false;
    return true;
}

static void fill_policy(struct serve_settings *settings) {
    static const enum encryption_policy encryption[] = {ENCRYPTION_OFF, ENCRYPTION_OFFERED, ENCRYPTION_MUST};
    const struct option_value *values = settings->values;
    struct server_policy *policy = &settings->policy;

    server_policy_defaults(policy);
    policy->capabilities = SMB2_GLOBAL_CAP_LARGE_MTU;
    policy->max_read_size = READ_MAX;
    policy->max_write_size = WRITE_MAX;
    policy->dialects = values[SERVE_DIALECTS].dialects;
    policy->signing_required = values[SERVE_SIGN].number == SIGN_REQUIRED;
    policy->encryption = encryption[values[SERVE_ENCRYPT].number];
    policy->max_sessions = (uint16_t)values[SERVE_SESSIONS].number;
    policy->max_credits = (uint16_t)values[SERVE_CREDITS].number;
    for (unsigned i = 0; i < settings->share_count; i++)
        policy->allow_guest |= settings->shares[i].values[SHARE_GUEST].number == SWITCH_ON;
}

static void fill_limits(struct serve_settings *settings) {
    const struct option_value *values = settings->values;

    settings->limits = (struct host_limits){
        .connections = values[SERVE_CONNECTIONS].number,
        .connections_per_address = values[SERVE_CONNECTIONS_PER_ADDRESS].number,
        .half_open = values[SERVE_HALF_OPEN].number,
        .logon_ms = 1000 * values[SERVE_LOGON_TIME].number,
        .expired_ms = 1000 * values[SERVE_EXPIRED_TIME].number,
        .open_files = values[SERVE_OPEN_FILES].number,
    };
}

bool serve_options_settle(const struct serve_options *options, struct serve_settings *settings) {
    struct reading reading = {settings, NULL};

    *settings = (struct serve_settings){0};
    for (unsigned id = 0; id < SERVE_OPTION_COUNT; id++)
        if (!parse_value(id, table[id].standard, &settings->values[id], settings->complaint))
            return false;
    if (options->config_path != NULL &&
        !config_read(options->config_path, true, &sections, take_entry, &reading, settings->complaint))
        return false;
    if (!take_flags(options, settings))
        return false;
    lower_per_address(settings->values);
    if (!check_together(settings))
        return false;
    fill_policy(settings);
    fill_limits(settings);
    return true;
}
