/* `smbproof cat`: files to standard output. */
#include <stdlib.h>
#include <unistd.h>

#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "tools/progress.h"

static const struct argp_option options_table[] = {{0}};

static int cat_one(struct remote *remote, const char *text, const struct file_arguments *arguments) {
    struct copy copy = {.share = &remote->share};
    struct progress progress;

    (void)arguments;
    progress_init(&progress, true);
    progress_attach(&progress, &copy);
    return copy_complain(text, &copy, copy_to_stream(&copy, remote->url.path, STDOUT_FILENO));
}

int command_cat(int argc, char **argv) {
    static const struct file_command command = {
        .name = "cat",
        .args_doc = "URL...",
        .options = options_table,
        .least = 1,
        .most = FILE_ARGUMENTS_MAX,
        .doc = "Write files to standard output, one after the other.\v" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    int status;

    status = file_command_each(arguments, cat_one);
    free(arguments);
    return status;
}
