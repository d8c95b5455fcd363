/* `smbproof get`: files and folders of a share, here. */
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

static const struct argp_option options_table[] = {
    {"recursive", 'r', NULL, 0, "A folder, with what is in it; links are left out", 0},
    {"continue", 'c', NULL, 0, "Go on with what an interrupted copy of it left", 0},
    {"quiet", 'q', NULL, 0, "No progress, no notes; errors only", 0},
    {0},
};

/* A place here: a folder, open, and a name in it. */
struct target {
    int folder;
    char name[NAME_TEXT_MAX];
};

static int open_folder(const char *path) {
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* `target` as the place for something called `name`: in it where it is a folder, else itself. A negative errno. */
static int find_target(const char *target, const char *name, struct target *where) {
    const char *slash = strrchr(target, '/');
    char folder[URL_PATH_MAX];

    where->folder = open_folder(target);
    if (where->folder >= 0) {
        snprintf(where->name, sizeof where->name, "%s", name);
        return 0;
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return -errno;
    snprintf(where->name, sizeof where->name, "%s", slash == NULL ? target : slash + 1);
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 0 : (int)(slash - target + 1), target);
    if (where->name[0] == '\0')
        return -ENOENT;
    where->folder = open_folder(folder[0] != '\0' ? folder : ".");
    return where->folder < 0 ? -errno : 0;
}

/* The folder of that name in the place, made where it is not there. A negative errno. */
static int enter(const struct target *where) {
    int fd;

    if (mkdirat(where->folder, where->name, 0777) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(where->folder, where->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int get_tree(struct copy *copy, const char *text, const char *path, const struct target *where) {
    int fd = where->name[0] == '\0' ? dup(where->folder) : enter(where);
    enum copy_end end;

    if (fd < 0)
        return complain(where->name, strerror(-fd), EXIT_INPUT);
    end = copy_get_tree(copy, path, fd);
    close(fd);
    return copy_complain(text, copy, end);
}

/* A device or pipe that is written to, rather than replaced; -1: it is none. */
static int open_stream(const struct target *where) {
    struct stat status;

    if (fstatat(where->folder, where->name, &status, 0) < 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
        return -1;
    return openat(where->folder, where->name, O_WRONLY | O_CLOEXEC);
}

static int get_file(struct copy *copy, const char *text, const char *path, const struct target *where) {
    int stream = open_stream(where);
    enum copy_end end;

    if (stream < 0)
        return copy_complain(text, copy, copy_get(copy, path, where->folder, where->name));
    end = copy_to_stream(copy, path, stream);
    close(stream);
    return copy_complain(text, copy, end);
}

/* -r takes a file, too. False: it cannot be looked at, which was told. */
static bool look_for_folder(struct copy *copy, const char *text, const char *path, bool *is_folder, int *status) {
    struct session_error error;
    struct file_status known;

    if (!share_stat(copy->share, path, &known, &error)) {
        *status = remote_complain(text, &error);
        return false;
    }
    *is_folder = file_is_folder(&known);
    return true;
}

static int get_to(struct copy *copy, const char *text, const struct url *url, const char *target, bool is_tree) {
    const char *name = url->path[0] != '\0' ? url_last(url->path) : url->share;
    struct target where;
    int status;

    if (strcmp(target, "-") == 0)
        return copy_complain(text, copy, copy_to_stream(copy, url->path, STDOUT_FILENO));
    if (!name_is_safe(name))
        return complain(text, "its name is none that a file here may have: name the target", EXIT_USAGE);
    if (is_tree && !look_for_folder(copy, text, url->path, &is_tree, &status))
        return status;
    status = find_target(target, name, &where);
    if (status < 0)
        return complain(target, strerror(-status), EXIT_INPUT);
    if (is_tree)
        status = get_tree(copy, text, url->path, &where);
    else
        status = get_file(copy, text, url->path, &where);
    close(where.folder);
    return status;
}

int command_get(int argc, char **argv) {
    static const struct file_command command = {
        .name = "get",
        .args_doc = "URL [TARGET]",
        .options = options_table,
        .least = 1,
        .most = 2,
        .doc =
            "Copy a file, or with -r a folder, from a share. TARGET is a file, a folder that is there (default: the "
            "current one), or - for standard output.\v"
            "The copy has another name until it is whole, and keeps the time of last writing. Ctrl-C leaves what there "
            "is for --continue, and says so.\n\n" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    static struct remote remote;
    struct progress progress;
    struct copy copy = {.resume = file_command_has(arguments, 'c')};
    int status;

    progress_init(&progress, file_command_has(arguments, 'q'));
    progress_attach(&progress, &copy);
    remote_init(&remote, &arguments->options);
    status = remote_go_share(&remote, arguments->items[0]);
    copy.share = &remote.share;
    interrupt_install();
    if (status == EXIT_NO_PROBLEM)
        status = get_to(&copy, arguments->items[0], &remote.url, arguments->count > 1 ? arguments->items[1] : ".",
                        file_command_has(arguments, 'r'));
    progress_clear(&progress);
    remote_close(&remote);
    free(arguments);
    return status;
}
