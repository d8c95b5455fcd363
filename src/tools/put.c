/* `smbproof put`: files and folders from here, on a share. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/names.h"
#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "tools/interrupt.h"
#include "tools/progress.h"
#include "wire/messages.h"

static const struct argp_option options_table[] = {
    {"recursive", 'r', NULL, 0, "A folder, with what is in it; links are left out", 0},
    {"continue", 'c', NULL, 0, "Go on with what an interrupted copy of it left", 0},
    {"quiet", 'q', NULL, 0, "No progress, no notes; errors only", 0},
    {0},
};

/* The last part of a local path, without slashes at its end; "" where there is none. */
static void local_name(const char *path, char name[NAME_TEXT_MAX]) {
    size_t size = strlen(path);
    const char *at;

    while (size > 0 && path[size - 1] == '/')
        size--;
    at = memrchr(path, '/', size);
    at = at == NULL ? path : at + 1;
    snprintf(name, NAME_TEXT_MAX, "%.*s", (int)(path + size - at), at);
}

/* Where it goes: into the URL's path where that is a folder, else there. False: told. */
static bool find_target(struct share *share, const struct url *url, const char *text, const char *name,
                        char path[URL_PATH_MAX], int *status) {
    struct file_status known;
    struct session_error error;
    bool is_folder = url->is_folder || url->path[0] == '\0';

    if (!is_folder && share_stat(share, url->path, &known, &error))
        is_folder = file_is_folder(&known);
    if (!session_is_open(share->session)) {
        *status = remote_complain(text, &error);
        return false;
    }
    if (!is_folder) {
        memcpy(path, url->path, strlen(url->path) + 1);
        return true;
    }
    if (name_is_safe(name) && strcmp(name, "-") != 0 && url_join(url->path, name, path))
        return true;
    *status = complain(text, "is a folder: name the file too", EXIT_USAGE);
    return false;
}

static int put_tree(struct copy *copy, int fd, const char *local, const char *path) {
    struct session_error error;
    struct file_status known;

    if (!share_make_folder(copy->share, path, &error) &&
        (error.kind != SESSION_ERROR_REFUSED || error.status != STATUS_OBJECT_NAME_COLLISION ||
         !share_stat(copy->share, path, &known, &error) || !file_is_folder(&known)))
        return remote_complain(path, &error);
    return copy_complain(local, copy, copy_put_tree(copy, fd, path));
}

static int put_to(struct copy *copy, int fd, const char *local, const struct url *url, const char *text, bool is_tree) {
    char name[NAME_TEXT_MAX], path[URL_PATH_MAX];
    int status = EXIT_NO_PROBLEM;

    local_name(local, name);
    if (!find_target(copy->share, url, text, name, path, &status))
        return status;
    if (is_tree)
        return put_tree(copy, fd, local, path);
    return copy_complain(local, copy, copy_put(copy, fd, local, path));
}

/* The source, open; -1 when it has been told why not. With -r it may be a folder, which `is_tree` then says. */
static int open_source(const char *path, bool *is_tree) {
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    bool may_be_tree = *is_tree;
    struct stat status;

    if (fd < 0) {
        complain(path, strerror(errno), EXIT_INPUT);
        return -1;
    }
    *is_tree = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    if (*is_tree && !may_be_tree) {
        complain(path, "is a folder: -r copies it with what is in it", EXIT_INPUT);
        close(fd);
        return -1;
    }
    return fd;
}

int command_put(int argc, char **argv) {
    static const struct file_command command = {
        .name = "put",
        .args_doc = "SOURCE URL",
        .options = options_table,
        .least = 2,
        .most = 2,
        .doc =
            "Copy a file, or with -r a folder, to a share. SOURCE - is standard input. Where URL is a folder, it goes "
            "into it.\v"
            "The copy has another name until it is whole, and keeps the time of last writing. Ctrl-C leaves what there "
            "is for --continue, and says so.\n\n" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    bool is_tree = file_command_has(arguments, 'r');
    static struct remote remote;
    struct progress progress;
    struct copy copy = {.resume = file_command_has(arguments, 'c')};
    int fd = open_source(arguments->items[0], &is_tree), status = EXIT_INPUT;

    progress_init(&progress, file_command_has(arguments, 'q'));
    progress_attach(&progress, &copy);
    remote_init(&remote, &arguments->options);
    copy.share = &remote.share;
    if (fd >= 0)
        status = remote_go_share(&remote, arguments->items[1]);
    interrupt_install();
    if (fd >= 0 && status == EXIT_NO_PROBLEM)
        status = put_to(&copy, fd, arguments->items[0], &remote.url, arguments->items[1], is_tree);
    progress_clear(&progress);
    remote_close(&remote);
    if (fd >= 0)
        close(fd);
    free(arguments);
    return status;
}
