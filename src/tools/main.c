#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explain/explain.h"
#include "tools/commands.h"

struct command {
    const char *name, *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"explain", "say why the SMB connections of a capture were aborted", command_explain},
    {"probe", "put a live server and the path to it to the test", command_probe},
    {"conform", "does a server, or a client, do what [MS-SMB2] demands of it?", command_conform},
    {"cat", "write files of a share to standard output", command_cat},
    {"get", "copy files from a share", command_get},
    {"ls", "list what is in a folder of a share", command_ls},
    {"mkdir", "make folders on a share", command_mkdir},
    {"mv", "rename or move within a share", command_mv},
    {"passwd", "change who may log on, in a file of accounts", command_passwd},
    {"put", "copy files to a share", command_put},
    {"relay", "be the box on the path that changes packets, and see who notices", command_relay},
    {"rm", "delete files of a share", command_rm},
    {"rmdir", "delete empty folders of a share", command_rmdir},
#ifdef SMBPROOF_SERVE
    {"serve", "serve files", command_serve},
#endif
    {"settings", "show the settings in force, and their equivalents elsewhere", command_settings},
    {"shares", "list the shares of a server", command_shares},
#ifdef SMBPROOF_SERVE
    {"status", "show what a server on this machine is doing", command_status},
#endif
    {"stat", "tell what a server knows of a file", command_stat},
};

static void help(FILE *out) {
    fputs("Usage: smbproof COMMAND [OPTION...] ...\n"
          "SMB negotiation that can be trusted, and explained when it fails.\n\nCommands:\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].what);
    fputs("\n`smbproof COMMAND --help` tells the options of a command, `man smbproof` more.\n"
          "\nExit status: 0 no problem, 1 problems, 2 cannot tell, 3 usage, 4 input\n"
          "unreadable, 5 internal error, 6 unreachable; of the commands on files also\n"
          "7 logon refused, 8 not to be trusted.\n",
          out);
}

/* A descriptor that was closed would be the next file's: what is meant for the terminal would go there. */
static void occupy_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0)
            _exit(EXIT_INTERNAL);
}

/* Also what argp printed before it ended the program. */
static void check_output(void) {
    bool failed = ferror(stdout) != 0; /* told by whoever wrote it, if it was the report */

    if (fflush(stdout) == 0 && !failed)
        return;
    if (!failed)
        fprintf(stderr, "smbproof: standard output: %s\n", strerror(errno));
    _exit(EXIT_INTERNAL);
}

int main(int argc, char **argv) {
    occupy_standard_descriptors();
    atexit(check_output);
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
