/* `smbproof shares`: what a server offers, by the service srvsvc ([MS-SRVS] 3.1.4.8). */
#include <stdlib.h>
#include <string.h>

#include "client/names.h"
#include "client/shares.h"
#include "explain/explain.h"
#include "explain/output.h"
#include "tools/commands.h"
#include "tools/file_command.h"

static const struct argp_option options_table[] = {FILE_OPTION_OUTPUT, {0}};

static const char *kind_name(uint32_t kind) {
    static const char *const names[] = {"disk", "printer", "device", "ipc"};

    kind &= SHARE_KIND_MASK;
    return kind < sizeof names / sizeof names[0] ? names[kind] : "other";
}

static void print_json(struct output *output, const struct share_list *list) {
    json_open(output, NULL, '[');
    for (size_t i = 0; i < list->count; i++) {
        json_open(output, NULL, '{');
        json_string(output, "name", list->shares[i].name);
        json_string(output, "kind", kind_name(list->shares[i].kind));
        json_raw(output, "special", list->shares[i].kind & SHARE_KIND_SPECIAL ? "true" : "false");
        json_string(output, "comment", list->shares[i].comment);
        json_close(output, '}');
    }
    json_close(output, ']');
    output_text(output, "\n");
}

static void print_text(struct output *output, const struct share_list *list) {
    char name[NAME_SHOWN_MAX(NAME_TEXT_MAX)], comment[NAME_SHOWN_MAX(NAME_TEXT_MAX)];

    for (size_t i = 0; i < list->count; i++)
        output_format(output, "%-20s %-8s %s\n", name_shown(list->shares[i].name, name, sizeof name),
                      kind_name(list->shares[i].kind), name_shown(list->shares[i].comment, comment, sizeof comment));
}

int command_shares(int argc, char **argv) {
    static const struct file_command command = {
        .name = "shares",
        .args_doc = "URL",
        .options = options_table,
        .least = 1,
        .most = 1,
        .doc = "List the shares of a server: name, kind, comment.\vURL is smb://[domain;]user@host[:port] or "
               "\\\\host.\n\n" REMOTE_EXIT_HELP};
    struct file_arguments *arguments = file_command_parse(&command, argc, argv);
    static struct remote remote;
    static struct output output;
    struct session_error error;
    struct share_list list;
    int status;

    remote_init(&remote, &arguments->options);
    status = remote_go(&remote, arguments->items[0]);
    if (status == EXIT_NO_PROBLEM && !shares_list(remote.session, remote.url.host, &list, &error)) {
        status = remote_complain(arguments->items[0], &error);
    } else if (status == EXIT_NO_PROBLEM) {
        output_init(&output, stdout);
        if (arguments->json)
            print_json(&output, &list);
        else
            print_text(&output, &list);
        status = output_end(&output, EXIT_NO_PROBLEM);
        shares_free(&list);
    }
    remote_close(&remote);
    free(arguments);
    return status;
}
