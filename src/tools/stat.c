/* `smbproof stat`: what a server knows of files and folders. */
#include <inttypes.h>
#include <stdlib.h>

#include "client/names.h"
#include "explain/explain.h"
#include "tools/commands.h"
#include "tools/file_command.h"
#include "tools/status_text.h"

static const struct argp_option options_table[] = {FILE_OPTION_OUTPUT, {0}};

static void print_text(struct output *output, const char *text, const struct file_status *status) {
    char shown[NAME_SHOWN_MAX(URL_PATH_MAX)], flags[ATTRIBUTES_TEXT_MAX], time[FILETIME_TEXT_MAX];

    output_format(output, "%s\n", name_shown(text, shown, sizeof shown));
    output_format(output, "  size        %" PRIu64 " octets, %" PRIu64 " allocated\n", status->size,
                  status->allocation_size);
    output_format(output, "  attributes  %s (0x%08x)\n", attributes_text(status->attributes, flags),
                  status->attributes);
    output_format(output, "  written     %s\n", filetime_text(status->last_write_time, time));
    output_format(output, "  changed     %s\n", filetime_text(status->change_time, time));
    output_format(output, "  accessed    %s\n", filetime_text(status->last_access_time, time));
    output_format(output, "  created     %s\n", filetime_text(status->creation_time, time));
    output_format(output, "  links       %u\n  index       %" PRIu64 "\n", status->links, status->index);
}

static int stat_one(struct remote *remote, const char *text, const struct file_arguments *arguments) {
    static struct output output;
    struct session_error error;
    struct file_status status;

    if (!share_stat(&remote->share, remote->url.path, &status, &error))
        return remote_complain(text, &error);
    output_init(&output, stdout);
    if (!arguments->json) {
        print_text(&output, text, &status);
    } else {
        json_open(&output, NULL, '{');
        json_string(&output, "name", text);
        status_json(&output, &status);
        json_close(&output, '}');
        output_text(&output, "\n");
    }
    return output_end(&output, EXIT_NO_PROBLEM);
}

int command_stat(int argc, char **argv) {
    static const struct file_command command = {
        .name = "stat",
        .args_doc = "URL...",
        .options = options_table,
        .least = 1,
        .most = FILE_ARGUMENTS_MAX,
        .doc = "Tell what a server knows of files and folders.\v" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    int status = file_command_each(arguments, stat_one);

    free(arguments);
    return status;
}
