/* The frame of the commands that work on files: an argp parser with the common options, and the arguments in order. */
#ifndef SMBPROOF_TOOLS_FILE_COMMAND_H
#define SMBPROOF_TOOLS_FILE_COMMAND_H

#include "tools/remote.h"

/* Arguments that one command takes. */
#define FILE_ARGUMENTS_MAX 4096

struct file_command {
    const char *name;         /* "ls" */
    const char *args_doc, *doc;
    const struct argp_option *options; /* its own; keys are letters, or above 0x1000 */
    int least, most;          /* arguments */
};

#define FILE_FLAGS_MAX 8u

struct file_arguments {
    struct options options;
    char flags[FILE_FLAGS_MAX]; /* keys of its own options that were given, in order */
    unsigned flag_count;
    bool json;
    char *items[FILE_ARGUMENTS_MAX];
    int count;
};

/* Parses; usage errors end the program as argp does. Free the result with free(). */
struct file_arguments *file_command_parse(const struct file_command *command, int argc, char **argv);
/* Was the option of that letter given? */
bool file_command_has(const struct file_arguments *arguments, char letter);

/* Runs `each` for each argument, over as few connections as will do, until one ends everything. The worst status. */
int file_command_each(const struct file_arguments *arguments,
                      int (*each)(struct remote *remote, const char *text, const struct file_arguments *arguments));

/* "-o FORMAT" for commands that print a list. */
#define FILE_OPTION_OUTPUT {"output", 'o', "FORMAT", 0, "Write text (default) or json", 0}

#endif
