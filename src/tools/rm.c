/* `smbproof rm`: files, and with -r folders, deleted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/batch.h"
#include "client/names.h"
#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"

/* Folders within folders that -r goes into. */
#define DEPTH_MAX 128u

static const struct argp_option options_table[] = {
    {"recursive", 'r', NULL, 0, "Folders too, with what is in them; of links only the link", 0},
    {0},
};

/* A file on its way to being deleted, beside others. */
struct job {
    struct batch_task task; /* first: the one is known by the other */
    char path[URL_PATH_MAX];
    int *worst;
};

static void told(struct batch_task *task, const struct session_error *error) {
    struct job *job = (struct job *)task;
    struct session_error own;

    if (error == NULL && task->task.status != STATUS_SUCCESS) {
        chain_refused(&own, task->task.status);
        error = &own;
    }
    if (error != NULL) /* a connection is lost once */
        *job->worst =
            exit_worse(*job->worst, *job->worst > EXIT_PROBLEM ? *job->worst : remote_complain(job->path, error));
    free(job);
}

static int start_deletion(struct batch *batch, const char *path, bool is_folder, int *worst) {
    struct job *job = malloc(sizeof *job);
    struct session_error error;
    int status;

    if (job == NULL)
        return complain(path, strerror(ENOMEM), EXIT_INTERNAL);
    job->task.done = told;
    job->worst = worst;
    snprintf(job->path, sizeof job->path, "%s", path);
    if (file_task_delete(&job->task.task, path, is_folder, &error)) {
        batch_start(batch, &job->task);
        return *worst;
    }
    status = remote_complain(path, &error);
    free(job);
    return status;
}

/* A link to a folder is deleted like a file. */
static bool is_entered(const struct share_entry *entry) {
    return file_is_folder(&entry->status) && !file_is_reparse_point(&entry->status);
}

static bool has_name(const char *path, const struct share_entry *entry, char inner[URL_PATH_MAX]) {
    return entry->is_text && name_is_safe(entry->name) && url_join(path, entry->name, inner);
}

static int delete_files(struct share *share, const char *path, const struct listing *listing) {
    struct batch batch = {.share = share};
    int worst = EXIT_NO_PROBLEM;
    char inner[URL_PATH_MAX];

    for (size_t i = 0; i < listing->count && session_is_open(share->session); i++) {
        const struct share_entry *entry = &listing->entries[i];

        if (!has_name(path, entry, inner))
            worst = exit_worse(worst, complain(entry->name, "is left: a request cannot name it", EXIT_PROBLEM));
        else if (!is_entered(entry))
            worst = exit_worse(worst, start_deletion(&batch, inner, file_is_folder(&entry->status), &worst));
    }
    batch_finish(&batch);
    return worst;
}

static int delete_folder(struct share *share, const char *path, unsigned depth);

static int delete_folders(struct share *share, const char *path, const struct listing *listing, unsigned depth) {
    int worst = EXIT_NO_PROBLEM;
    char inner[URL_PATH_MAX];

    for (size_t i = 0; i < listing->count && session_is_open(share->session); i++)
        if (is_entered(&listing->entries[i]) && has_name(path, &listing->entries[i], inner))
            worst = exit_worse(worst, delete_folder(share, inner, depth + 1));
    return worst;
}

static int delete_contents(struct share *share, const char *path, unsigned depth) {
    struct session_error error;
    struct listing listing;
    int worst = EXIT_NO_PROBLEM;

    if (!share_list(share, path, &listing, &error))
        worst = remote_complain(path, &error);
    worst = exit_worse(worst, delete_files(share, path, &listing));
    worst = exit_worse(worst, delete_folders(share, path, &listing, depth));
    listing_free(&listing);
    return worst;
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

    status = file_command_each(arguments, delete_one);
    free(arguments);
    return status;
}
