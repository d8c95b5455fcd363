/* `smbproof passwd`: options and a password -> accounts_change(). */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/accounts_file.h"
#include "auth/accounts_line.h"
#include "auth/credentials.h"
#include "auth/ntlm.h"
#include "crypto/crypto.h"
#include "explain/explain.h"
#include "tools/commands.h"
#include "wire/text.h"

enum option_key { KEY_DISABLE = 256, KEY_ENABLE, KEY_DELETE };

static const struct argp_option options_table[] = {
    {"disable", KEY_DISABLE, NULL, 0, "Let the user log on no more; the password is kept", 0},
    {"enable", KEY_ENABLE, NULL, 0, "Let the user log on again, with the same password", 0},
    {"delete", KEY_DELETE, NULL, 0, "Take the user out of the file", 0},
    {0},
};

struct arguments {
    const char *file;
    struct accounts_change change;
};

static void set_kind(struct argp_state *state, enum accounts_change_kind kind) {
    struct arguments *arguments = state->input;

    if (arguments->change.kind != ACCOUNT_SET)
        argp_error(state, "--disable, --enable and --delete exclude each other");
    arguments->change.kind = kind;
}

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case KEY_DISABLE:
        set_kind(state, ACCOUNT_DISABLE);
        return 0;
    case KEY_ENABLE:
        set_kind(state, ACCOUNT_ENABLE);
        return 0;
    case KEY_DELETE:
        set_kind(state, ACCOUNT_DELETE);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "a password is never an argument: it is asked for, or read from standard input");
        *(state->arg_num == 0 ? &arguments->file : &arguments->change.user) = text;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < 2)
            argp_error(state, "name a file and a user");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int complain(const char *about, const char *what, int status) {
    fprintf(stderr, "smbproof passwd: %s: %s\n", about, what);
    return status;
}

/* Twice, as nobody sees what is typed. -EAGAIN: the two differ. */
static int ask_twice(const char *user, char password[CREDENTIALS_ROOM]) {
    char prompt[AUTH_NAME_MAX + 32], again[CREDENTIALS_ROOM];
    int result;

    snprintf(prompt, sizeof prompt, "New password for %s: ", user);
    result = credentials_from_terminal(prompt, password);
    if (result != 0)
        return result;
    result = credentials_from_terminal("The same once more: ", again);
    if (result == 0 && strcmp(password, again) != 0)
        result = -EAGAIN;
    crypto_wipe(again, sizeof again);
    return result;
}

/* -> an exit status, 0 with the hash taken. */
static int take_password(struct accounts_change *change) {
    char password[CREDENTIALS_ROOM];
    int status = EXIT_NO_PROBLEM,
        result = isatty(STDIN_FILENO) ? ask_twice(change->user, password)
                                      : credentials_from_descriptor(STDIN_FILENO, password);

    if (result == -EAGAIN)
        status = complain(change->user, "the two passwords differ; nothing was changed", EXIT_PROBLEM);
    else if (result != 0)
        status = complain(change->user, credentials_error(result), EXIT_INPUT);
    else if (password[0] == '\0')
        status = complain(change->user, "an empty password is none; nothing was changed", EXIT_PROBLEM);
    else if (!ntlm_hash(password, change->nt_hash))
        status = complain(change->user, "the password cannot be hashed", EXIT_INTERNAL);
    crypto_wipe(password, sizeof password);
    return status;
}

static int exit_status_of(int result) {
    if (result == 0)
        return EXIT_NO_PROBLEM;
    return result == -ENOENT || result == -EINVAL ? EXIT_PROBLEM : result == -ENOMEM ? EXIT_INTERNAL : EXIT_INPUT;
}

int command_passwd(int argc, char **argv) {
    static const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .args_doc = "FILE USER",
        .doc = "Add a user to a file of accounts, or change the user's password.\v"
               "The password is asked for twice on a terminal; else one line of standard input is the password. The "
               "file holds NT hashes and must be readable by its owner alone; where it is not there it is made so.\n\n"
               "Exit status: 0 done, 1 no such user, a name that cannot be one, or passwords that differ, 3 usage, "
               "4 file or password unreadable, 5 internal error.",
    };
    struct arguments arguments = {.change.kind = ACCOUNT_SET};
    char problem[ACCOUNTS_PROBLEM_MAX];
    const char *wrong;
    int status = EXIT_NO_PROBLEM, result;

    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof passwd"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    wrong = account_name_wrong(text_span(arguments.change.user));
    if (wrong != NULL)
        return complain("the user", wrong, EXIT_PROBLEM);
    if (arguments.change.kind == ACCOUNT_SET)
        status = take_password(&arguments.change);
    if (status != EXIT_NO_PROBLEM)
        return status;
    result = accounts_change(arguments.file, &arguments.change, problem);
    crypto_wipe(&arguments.change, sizeof arguments.change);
    return result == 0 ? EXIT_NO_PROBLEM : complain(arguments.file, problem, exit_status_of(result));
}
