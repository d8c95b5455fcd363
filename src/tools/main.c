#include <stdio.h>
#include <string.h>

#include "explain/explain.h"
#include "tools/commands.h"

struct command {
    const char *name, *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"explain", "say why the SMB connections of a capture were aborted", command_explain},
    {"passwd", "change who may log on, in a file of accounts", command_passwd},
};

static void help(FILE *out) {
    fputs("Usage: smbproof COMMAND [OPTION...] ...\n"
          "SMB negotiation that can be trusted, and explained when it fails.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].what);
    fputs("\n`smbproof COMMAND --help` tells the options of a command; `man smbproof` tells more.\n"
          "\nExit status: 0 no problem, 1 problems, 2 cannot tell, 3 usage, 4 input unreadable,\n"
          "5 internal error.\n",
          out);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return EXIT_NO_PROBLEM;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("smbproof " SMBPROOF_VERSION);
        return EXIT_NO_PROBLEM;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "smbproof: there is no command `%s'; `smbproof --help' lists them\n", argv[1]);
    return EXIT_USAGE;
}
