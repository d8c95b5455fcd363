#include "tools/file_command.h"

#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"

struct parsing {
    const struct file_command *command;
    struct file_arguments *arguments;
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    const struct parsing *parsing = state->input;
    struct file_arguments *arguments = parsing->arguments;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->options;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->count == parsing->command->most)
            argp_error(state, "too many arguments");
        arguments->items[arguments->count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (arguments->count < parsing->command->least)
            argp_error(state, "%s", "too few arguments");
        return 0;
    case 'o':
        arguments->json = options_want_json(state, text);
        return 0;
    default:
        break;
    }
    for (const struct argp_option *option = parsing->command->options; option->name != NULL; option++)
        if (option->key == key && arguments->flag_count < FILE_FLAGS_MAX) {
            arguments->flags[arguments->flag_count++] = (char)key;
            return 0;
        }
    return ARGP_ERR_UNKNOWN;
}

struct file_arguments *file_command_parse(const struct file_command *command, int argc, char **argv) {
    struct file_arguments *arguments = calloc(1, sizeof *arguments);
    struct parsing parsing = {command, arguments};
    char name[64];

    if (arguments == NULL) {
        fputs("smbproof: no memory\n", stderr);
        exit(EXIT_INTERNAL);
    }
    /* Of an empty table argp's help keeps two empty blocks of memory. */
    const struct argp argp = {.options = command->options->name != NULL ? command->options : NULL,
                              .parser = parse_option,
                              .args_doc = command->args_doc,
                              .doc = command->doc,
                              .children = arguments->options.children};
    options_init(&arguments->options);
    argp_err_exit_status = EXIT_USAGE;
    snprintf(name, sizeof name, "smbproof %s", command->name);
    argv[0] = name;
    argp_parse(&argp, argc, argv, 0, NULL, &parsing);
    return arguments;
}

bool file_command_has(const struct file_arguments *arguments, char letter) {
    return memchr(arguments->flags, letter, arguments->flag_count) != NULL;
}

int file_command_each(const struct file_arguments *arguments,
                      int (*each)(struct remote *remote, const char *text, const struct file_arguments *arguments)) {
    static struct remote remote;
    int worst = EXIT_NO_PROBLEM;

    remote_init(&remote, &arguments->options);
    for (int i = 0; i < arguments->count && (worst == EXIT_NO_PROBLEM || worst == EXIT_PROBLEM); i++) {
        int status = remote_go_share(&remote, arguments->items[i]);

        if (status == EXIT_NO_PROBLEM)
            status = each(&remote, arguments->items[i], arguments);
        worst = exit_worse(worst, status);
    }
    remote_close(&remote);
    return worst;
}
