/* `smbproof rm`: files, and with -r folders, deleted. */
#include <stdlib.h>

#include "client/names.h"
#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "tools/progress.h"

/* Folders within folders that -r goes into. */
#define DEPTH_MAX 128u

static const struct argp_option options_table[] = {
    {"recursive", 'r', NULL, 0, "Folders too, with what is in them; of links only the link", 0},
    {0},
};

static int delete_folder(struct share *share, const char *path, unsigned depth);

static int delete_entry(struct share *share, const char *path, const struct share_entry *entry, unsigned depth) {
    bool is_folder = file_is_folder(&entry->status), is_link = file_is_reparse_point(&entry->status);
    struct session_error error;
    char inner[URL_PATH_MAX];

    if (!entry->is_text || !name_is_safe(entry->name) || !url_join(path, entry->name, inner))
        return complain(entry->name, "is left: a request cannot name it", EXIT_PROBLEM);
    if (is_folder && !is_link)
        return delete_folder(share, inner, depth + 1);
    if (share_delete(share, inner, is_folder, &error))
        return EXIT_NO_PROBLEM;
    return remote_complain(inner, &error);
}

static int delete_contents(struct share *share, const char *path, unsigned depth) {
    struct session_error error;
    struct listing listing;
    int worst = EXIT_NO_PROBLEM;

    if (!share_list(share, path, &listing, &error))
        worst = remote_complain(path, &error);
    for (size_t i = 0; i < listing.count && session_is_open(share->session) && !interrupt_came(); i++)
        worst = exit_worse(worst, delete_entry(share, path, &listing.entries[i], depth));
    listing_free(&listing);
    return interrupt_came() ? exit_worse(worst, EXIT_PROBLEM) : worst;
}

static int delete_folder(struct share *share, const char *path, unsigned depth) {
    struct session_error error;
    int worst;

    if (depth >= DEPTH_MAX)
        return complain(path, "is left: it lies too deep", EXIT_PROBLEM);
    worst = delete_contents(share, path, depth);
    if (worst != EXIT_NO_PROBLEM) /* it is not empty then */
        return worst;
    return share_delete(share, path, true, &error) ? EXIT_NO_PROBLEM : remote_complain(path, &error);
}

static int delete_one(struct remote *remote, const char *text, const struct file_arguments *arguments) {
    struct session_error error;
    struct file_status status;

    if (remote->url.path[0] == '\0')
        return complain(text, "names a share, not something in it", EXIT_USAGE);
    if (!file_command_has(arguments, 'r'))
        return share_delete(&remote->share, remote->url.path, false, &error) ? EXIT_NO_PROBLEM
                                                                             : remote_complain(text, &error);
    if (!share_stat(&remote->share, remote->url.path, &status, &error))
        return remote_complain(text, &error);
    if (file_is_folder(&status) && !file_is_reparse_point(&status))
        return delete_folder(&remote->share, remote->url.path, 0);
    return share_delete(&remote->share, remote->url.path, file_is_folder(&status), &error)
               ? EXIT_NO_PROBLEM
               : remote_complain(text, &error);
}

int command_rm(int argc, char **argv) {
    static const struct file_command command = {.name = "rm",
                                                .args_doc = "URL...",
                                                .options = options_table,
                                                .least = 1,
                                                .most = FILE_ARGUMENTS_MAX,
                                                .doc = "Delete files of a share.\v" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    int status;

    interrupt_install();
    status = file_command_each(arguments, delete_one);
    free(arguments);
    return status;
}
