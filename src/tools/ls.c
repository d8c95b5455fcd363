/* `smbproof ls`: what is in a folder. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/names.h"
#include "explain/explain.h"
#include "explain/output.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "tools/status_text.h"

/* Folders within folders that -R goes into. */
#define DEPTH_MAX 128u

static const struct argp_option options_table[] = {
    {"long", 'l', NULL, 0, "Attributes, size and time of last writing too", 0},
    {"recursive", 'R', NULL, 0, "The folders that are in it too; links are not followed", 0},
    FILE_OPTION_OUTPUT,
    {0},
};

struct list {
    struct share *share;
    struct output *output;
    bool is_long, is_recursive, json;
    const char *root; /* as the user wrote it */
    int status;
};

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct share_entry *)a)->name, ((const struct share_entry *)b)->name);
}

/* The path below the one that was asked for, with slashes. */
static void shown_path(const char *below, const char *name, char path[URL_PATH_MAX]) {
    snprintf(path, URL_PATH_MAX, "%s%s%s", below, below[0] != '\0' ? "/" : "", name);
}

static void print_entry(const struct list *list, const char *below, const struct share_entry *entry) {
    char path[URL_PATH_MAX], shown[NAME_SHOWN_MAX(URL_PATH_MAX)], time[FILETIME_TEXT_MAX], flags[ATTRIBUTES_TEXT_MAX];
    const struct file_status *status = &entry->status;

    shown_path(below, entry->name, path);
    if (list->json) {
        json_open(list->output, NULL, '{');
        json_string(list->output, "name", path);
        status_json(list->output, status);
        json_close(list->output, '}');
        return;
    }
    if (list->is_long)
        output_format(list->output, "%s %14" PRIu64 " %s ", attributes_text(status->attributes, flags), status->size,
                      filetime_text(status->last_write_time, time));
    output_format(list->output, "%s%s\n", name_shown(path, shown, sizeof shown), file_is_folder(status) ? "/" : "");
}

static void list_folder(struct list *list, const char *path, const char *below, unsigned depth);

static void list_below(struct list *list, const char *path, const char *below, const struct share_entry *entry,
                       unsigned depth) {
    char inner[URL_PATH_MAX], inner_below[URL_PATH_MAX];

    if (!list->is_recursive || !file_is_folder(&entry->status) || file_is_reparse_point(&entry->status) ||
        !entry->is_text || !name_is_safe(entry->name))
        return;
    shown_path(below, entry->name, inner_below);
    if (depth + 1 >= DEPTH_MAX || !url_join(path, entry->name, inner))
        list->status = exit_worse(list->status, complain(inner_below, "lies too deep to be listed", EXIT_PROBLEM));
    else
        list_folder(list, inner, inner_below, depth + 1);
}

static void list_folder(struct list *list, const char *path, const char *below, unsigned depth) {
    struct session_error error;
    struct listing listing;

    if (!share_list(list->share, path, &listing, &error))
        list->status = exit_worse(list->status, remote_complain(below[0] != '\0' ? below : list->root, &error));
    if (listing.count > 0)
        qsort(listing.entries, listing.count, sizeof *listing.entries, by_name);
    for (size_t i = 0; i < listing.count && session_is_open(list->share->session); i++) {
        print_entry(list, below, &listing.entries[i]);
        list_below(list, path, below, &listing.entries[i], depth);
    }
    listing_free(&listing);
}

/* A file is listed as itself. */
static bool list_file(struct list *list, const char *path) {
    struct session_error error;
    struct share_entry entry = {.is_text = true};

    if (path[0] == '\0' || !share_stat(list->share, path, &entry.status, &error) || file_is_folder(&entry.status))
        return false;
    entry.name = (char *)(uintptr_t)url_last(path);
    print_entry(list, "", &entry);
    return true;
}

static int list_one(struct remote *remote, const char *text, const struct file_arguments *arguments) {
    static struct output output;
    struct list list = {.share = &remote->share, .output = &output, .root = text, .json = arguments->json};

    list.is_long = file_command_has(arguments, 'l');
    list.is_recursive = file_command_has(arguments, 'R');
    output_init(&output, stdout);
    if (list.json)
        json_open(&output, NULL, '[');
    if (!list_file(&list, remote->url.path))
        list_folder(&list, remote->url.path, "", 0);
    if (list.json)
        json_close(&output, ']');
    if (list.json)
        output_text(&output, "\n");
    return output_end(&output, list.status);
}

int command_ls(int argc, char **argv) {
    static const struct file_command command = {
        .name = "ls",
        .args_doc = "URL...",
        .options = options_table,
        .least = 1,
        .most = FILE_ARGUMENTS_MAX,
        .doc =
            "List what is in folders of a share, sorted by name.\vURL is smb://[domain;]user@host[:port]/share/path or "
            "\\\\host\\share\\path. Control characters in names are shown as \\x1b and the like.\n\n" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    int status = file_command_each(arguments, list_one);

    free(arguments);
    return status;
}
