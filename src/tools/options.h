/* The options of every command that connects: one table, from which come the flags, the keys of the configuration
 * file, their values, `--help` and what `smbproof settings` shows.
 *
 *     struct options options;
 *     options_init(&options);
 *     const struct argp argp = {..., .children = options.children};
 *     ... in the parser: case ARGP_KEY_INIT: state->child_inputs[0] = &options;
 *     argp_parse(&argp, ...);
 *     if (!options_settle(&options, host, &settings))
 *         "smbproof: ", settings.complaint; exit with EXIT_USAGE
 *     settings_warn(&settings);      // where a connection is about to be made
 *
 * Later ones win: the default; [defaults] of /etc/smbproof.conf, then of the user's file; [host NAME] of the one, then
 * of the other; the command line. */
#ifndef SMBPROOF_TOOLS_OPTIONS_H
#define SMBPROOF_TOOLS_OPTIONS_H

#include <argp.h>

#include "auth/auth.h"
#include "core/policy.h"
#include "tools/config.h"

/* Octets of a value as it was written, with its NUL. */
#define OPTION_TEXT_MAX 1024u
/* Octets of what --help says of one option. */
#define OPTION_HELP_MAX      320u
#define OPTION_TIMEOUT_MAX_S 3600u
/* -v that count. */
#define OPTION_VERBOSE_MAX 3u

enum option_id {
    OPTION_DIALECTS,
    OPTION_SIGN,
    OPTION_ENCRYPT,
    OPTION_REQUIRE_SECURE_NEGOTIATE,
    OPTION_VALIDATE_ERROR,
    OPTION_ALLOW_GUEST,
    OPTION_AUTH,
    OPTION_USER,
    OPTION_DOMAIN,
    OPTION_PASSWORD_FILE,
    OPTION_PASSWORD_FD,
    OPTION_NETBIOS,
    OPTION_TIMEOUT,
    OPTION_VERBOSE,
    OPTION_COUNT
};

enum option_type {
    OPTION_TYPE_CHOICE,
    OPTION_TYPE_DIALECTS,
    OPTION_TYPE_SECONDS,
    OPTION_TYPE_DESCRIPTOR,
    OPTION_TYPE_TEXT,
    OPTION_TYPE_NUMBER, /* from `least` to `most` */
    OPTION_TYPE_COUNT, /* a flag without a value that may stand more than once */
};

/* One value of a choice. */
struct option_choice {
    const char *word;    /* as it is shown */
    const char *aliases; /* words that mean the same, separated by blanks */
};

#define OPTION_CHOICES_MAX 5u

struct option_row {
    const char *flag; /* without its dashes */
    char letter;      /* 0: none */
    const char *key;  /* in the configuration file; NULL: the command line only */
    enum option_type type;
    const char *argument; /* what --help calls the value; NULL: it takes none, and stands for the last choice */
    const char *standard; /* the default, parsed like any other; "" for none */
    bool for_named_host;  /* any value but the default has to be for a named host */
    struct option_choice choices[OPTION_CHOICES_MAX]; /* their index is the value; up to the first without word */
    const char *what;                                 /* a sentence, without full stop */
    unsigned least, most;                             /* OPTION_TYPE_NUMBER */
    const char *unit;
};

const struct option_row *option_row(enum option_id id);
/* What --help says of it: the sentence, what is possible, the default. */
void option_help(const struct option_row *row, char help[OPTION_HELP_MAX]);

enum option_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_FLAG };

struct option_value {
    enum option_origin origin;
    const char *path; /* ORIGIN_FILE; borrowed from struct options */
    unsigned line;
    char text[OPTION_TEXT_MAX]; /* as written; a choice as its word */
    unsigned number;            /* of a choice its index, else seconds, descriptor, count */
    struct id_list dialects;    /* in ascending order */
    bool unusual_number;        /* RequireSecureNegotiate: a number that is neither 0 nor 1 */
};

/* Reads a value of such an option. False, and `complaint` says what is allowed. */
bool option_row_parse(const struct option_row *row, const char *text, struct option_value *value,
                      char complaint[CONFIG_COMPLAINT_MAX]);
bool option_parse(enum option_id id, const char *text, struct option_value *value,
                  char complaint[CONFIG_COMPLAINT_MAX]);
/* "off, allowed or required"; returns `text`. */
const char *option_choices_text(const struct option_row *row, char *text, size_t size);
/* "default", "/etc/smbproof.conf:3" or "--sign"; returns `text`. */
const char *option_origin_text(enum option_id id, const struct option_value *value, char *text, size_t size);

/* What the command line said, and where the files are. Not to be moved: argp's tables in it point into it. */
struct options {
    struct option_value flags[OPTION_COUNT]; /* those of ORIGIN_FLAG were given */
    const char *system_path;                 /* /etc/smbproof.conf */
    char user_path[OPTION_TEXT_MAX];         /* "" where there is no home */
    const char *config_path;                 /* --config: in place of both; NULL */
    char help[OPTION_COUNT][OPTION_HELP_MAX];
    struct argp_option rows[OPTION_COUNT + 2];
    struct argp argp;
    struct argp_child children[2];
};

void options_init(struct options *options);

/* What --output of a command says that writes text or JSON: true for "json". Anything else than these two is a usage error,
 * which ends the program as argp does. */
bool options_want_json(struct argp_state *state, const char *text);

/* What is in force for one host. It points into struct options. */
struct settings {
    struct option_value values[OPTION_COUNT];
    const char *host; /* NULL: none in particular */
    char complaint[CONFIG_COMPLAINT_MAX];

    struct client_policy policy; /* with a ClientGuid of its own */
    enum auth_method method;
    bool guest;          /* log on as guest, without a password */
    uint32_t timeout_ms; /* for each answer */
    uint16_t port;       /* where the URL names none */
    unsigned verbosity;
    const char *user, *domain, *password_file; /* "" none */
    int password_fd;                           /* -1 none */
};

/* Reads the files and makes the settings for `host` (NULL: for no host in particular). False: settings->complaint. */
bool options_settle(const struct options *options, const char *host, struct settings *settings);

/* Is validation, which would be due, switched off or let off? */
bool settings_are_weakened(const struct settings *settings);
/* Says so on standard error and in the system's log, with the safer way. Nothing where nothing is weakened. To be
 * called before a connection is made with these settings. */
void settings_warn(const struct settings *settings);

#endif
