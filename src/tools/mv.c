/* `smbproof mv`: renames within a share. */
#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "wire/messages.h"

static const struct argp_option options_table[] = {
    {"force", 'f', NULL, 0, "In the place of a file of that name, where there is one", 0},
    {0},
};

/* Into a folder that is there, under its own name. */
static bool target_path(struct share *share, const struct url *from, const struct url *to, char path[URL_PATH_MAX]) {
    struct session_error error;
    struct file_status status;
    bool is_folder = to->is_folder || to->path[0] == '\0' ||
                     (share_stat(share, to->path, &status, &error) && file_is_folder(&status));

    if (is_folder)
        return url_join(to->path, url_last(from->path), path);
    memcpy(path, to->path, strlen(to->path) + 1);
    return true;
}

static int move(struct remote *remote, const struct file_arguments *arguments) {
    const char *from_text = arguments->items[0], *to_text = arguments->items[1];
    char complaint[URL_COMPLAINT_MAX], path[URL_PATH_MAX];
    struct session_error error;
    struct url to;
    int status;

    if (!url_parse(to_text, &to, complaint))
        return complain(to_text, complaint, EXIT_USAGE);
    status = remote_go_share(remote, from_text);
    if (status != EXIT_NO_PROBLEM)
        return status;
    if (remote->url.path[0] == '\0')
        return complain(from_text, "names a share, not something in it", EXIT_USAGE);
    if (strcmp(to.host, remote->url.host) != 0 || to.port != remote->url.port ||
        strcmp(to.share, remote->url.share) != 0)
        return complain(to_text, "is on another share: get it, put it there, and rm it here", EXIT_USAGE);
    if (!target_path(&remote->share, &remote->url, &to, path))
        return complain(to_text, "the path is too long", EXIT_USAGE);
    if (share_rename(&remote->share, remote->url.path, path, file_command_has(arguments, 'f'), &error))
        return EXIT_NO_PROBLEM;
    status = remote_complain(from_text, &error);
    if (error.status == STATUS_OBJECT_NAME_COLLISION)
        fputs("smbproof: with --force it takes the other's place\n", stderr);
    return status;
}

int command_mv(int argc, char **argv) {
    static const struct file_command command = {.name = "mv",
                                                .args_doc = "URL URL",
                                                .options = options_table,
                                                .least = 2,
                                                .most = 2,
                                                .doc = "Rename or move a file or folder within a share. Where the "
                                                       "second is a folder, it goes into it.\v" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    static struct remote remote;
    int status;

    remote_init(&remote, &arguments->options);
    status = move(&remote, arguments);
    remote_close(&remote);
    free(arguments);
    return status;
}
