/* `smbproof mkdir`, `smbproof rmdir`: folders made, and taken away. */
#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "wire/messages.h"

static const struct argp_option mkdir_table[] = {
    {"parents", 'p', NULL, 0, "The folders on the way to it too; no error where it is there already", 0},
    {0},
};
static const struct argp_option rmdir_table[] = {{0}};

/* True also where it is there already, whatever it is: what follows will tell. */
static bool make_or_have(struct share *share, const char *path, struct session_error *error) {
    return share_make_folder(share, path, error) ||
           (error->kind == SESSION_ERROR_REFUSED && error->status == STATUS_OBJECT_NAME_COLLISION);
}

/* From the share's root on. A folder that may not be made may be there all the same, so only the last one counts. */
static bool make_parents(struct share *share, const char *path, struct session_error *error) {
    char part[URL_PATH_MAX];
    struct file_status status;

    for (const char *end = strchr(path, '\\'); end != NULL; end = strchr(end + 1, '\\')) {
        snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
        if (!make_or_have(share, part, error) && error->kind != SESSION_ERROR_REFUSED)
            return false;
    }
    if (!make_or_have(share, path, error))
        return false;
    return share_stat(share, path, &status, error);
}

static int mkdir_one(struct remote *remote, const char *text, const struct file_arguments *arguments) {
    bool parents = file_command_has(arguments, 'p');
    struct session_error error;

    if (remote->url.path[0] == '\0')
        return parents ? EXIT_NO_PROBLEM : complain(text, "names a share, not a folder in it", EXIT_USAGE);
    if (parents ? make_parents(&remote->share, remote->url.path, &error)
                : share_make_folder(&remote->share, remote->url.path, &error))
        return EXIT_NO_PROBLEM;
    return remote_complain(text, &error);
}

static int rmdir_one(struct remote *remote, const char *text, const struct file_arguments *arguments) {
    struct session_error error;

    (void)arguments;
    if (remote->url.path[0] == '\0')
        return complain(text, "names a share, not a folder in it", EXIT_USAGE);
    if (share_delete(&remote->share, remote->url.path, true, &error))
        return EXIT_NO_PROBLEM;
    return remote_complain(text, &error);
}

int command_mkdir(int argc, char **argv) {
    static const struct file_command command = {.name = "mkdir",
                                                .args_doc = "URL...",
                                                .options = mkdir_table,
                                                .least = 1,
                                                .most = FILE_ARGUMENTS_MAX,
                                                .doc = "Make folders on a share.\v" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    int status = file_command_each(arguments, mkdir_one);

    free(arguments);
    return status;
}

int command_rmdir(int argc, char **argv) {
    static const struct file_command command = {.name = "rmdir",
                                                .args_doc = "URL...",
                                                .options = rmdir_table,
                                                .least = 1,
                                                .most = FILE_ARGUMENTS_MAX,
                                                .doc = "Delete empty folders of a share.\v" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    int status = file_command_each(arguments, rmdir_one);

    free(arguments);
    return status;
}
