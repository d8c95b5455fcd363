/* `smbproof settings [HOST]`: what is in force, where it came from, and what comes nearest to it elsewhere. */
#include <string.h>

#include "explain/explain.h"
#include "explain/output.h"
#include "tools/commands.h"
#include "tools/equivalents.h"
#include "tools/options.h"
#include "tools/remote.h"
#include "wire/messages.h"
#include "wire/names.h"

#define ALLOWED_MAX 128u /* octets of "off, allowed or required" and the like */

enum { KEY_OUTPUT = 'o' };

struct arguments {
    struct options options;
    const char *host;
    bool json;
};

static const struct argp_option options_table[] = {
    {"output", KEY_OUTPUT, "FORMAT", 0, "Write text (default) or json", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->options;
        return 0;
    case KEY_OUTPUT:
        arguments->json = options_want_json(state, text);
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->host != NULL)
            argp_error(state, "the settings of one host at a time");
        arguments->host = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What is allowed, as the file and the command line take it. */
static const char *allowed_text(const struct option_row *row, char text[ALLOWED_MAX]) {
    switch (row->type) {
    case OPTION_TYPE_CHOICE:
        text[0] = '\0';
        for (unsigned i = 0; i < OPTION_CHOICES_MAX && row->choices[i].word != NULL; i++) {
            strncat(text, i > 0 ? "|" : "", ALLOWED_MAX - strlen(text) - 1);
            strncat(text, row->choices[i].word, ALLOWED_MAX - strlen(text) - 1);
        }
        return text;
    case OPTION_TYPE_DIALECTS:
        return "some of 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1";
    case OPTION_TYPE_SECONDS:
        return "1 to 3600";
    case OPTION_TYPE_DESCRIPTOR:
        return "the number of an open descriptor";
    case OPTION_TYPE_COUNT:
        return "up to three times";
    case OPTION_TYPE_NUMBER:
        snprintf(text, ALLOWED_MAX, "%u to %u %s", row->least, row->most, row->unit);
        return text;
    case OPTION_TYPE_TEXT:
        break;
    }
    return "any text";
}

static void dialects_text(const struct id_list *list, char text[OPTION_TEXT_MAX]) {
    char dialect[16];
    size_t at = 0;

    for (unsigned i = 0; i < list->count; i++)
        at += (size_t)snprintf(text + at, OPTION_TEXT_MAX - at, "%s%s", i > 0 ? "," : "",
                               dialect_text(list->ids[i], dialect));
}

/* A choice as its word, with the number that stood for it; "" for none. */
static const char *value_text(const struct settings *settings, enum option_id id, char text[OPTION_TEXT_MAX]) {
    const struct option_value *value = &settings->values[id];
    const struct option_row *row = option_row(id);

    if (value->unusual_number)
        snprintf(text, OPTION_TEXT_MAX, "%s (%.16s)", row->choices[value->number].word, value->text);
    else if (row->type == OPTION_TYPE_CHOICE)
        snprintf(text, OPTION_TEXT_MAX, "%s", row->choices[value->number].word);
    else if (row->type == OPTION_TYPE_COUNT)
        snprintf(text, OPTION_TEXT_MAX, "%u", value->number);
    else if (row->type == OPTION_TYPE_DIALECTS)
        dialects_text(&value->dialects, text);
    else
        snprintf(text, OPTION_TEXT_MAX, "%s", value->text);
    return text;
}

/* What of these settings has no effect, or less than it seems; "" nothing. */
static const char *remark(const struct settings *settings, enum option_id id) {
    const struct client_policy *policy = &settings->policy;
    bool only_311 = policy->dialects.count == 1 && policy->dialects.ids[0] == SMB2_DIALECT_311;

    if (id == OPTION_REQUIRE_SECURE_NEGOTIATE && only_311)
        return "without effect: SMB 3.1.1 protects its negotiation otherwise, and that cannot be switched off";
    if (id == OPTION_REQUIRE_SECURE_NEGOTIATE && !policy->require_secure_negotiate)
        return "SMB 3.1.1 stays protected; the safer way is to require signing (RequireSecuritySignature = 1)";
    if (id == OPTION_REQUIRE_SECURE_NEGOTIATE)
        return "with SMB 3.1.1 it is not needed and has no effect";
    if (id == OPTION_SIGN && settings->method == AUTH_METHOD_ANONYMOUS)
        return "without effect: an anonymous session has no key";
    if (id == OPTION_DIALECTS && policy->transport == TRANSPORT_NETBIOS)
        return "3.1.1 is left out: it is not spoken over NetBIOS";
    return "";
}

static void print_heading(const struct settings *settings, enum option_id id, struct output *output) {
    char text[OPTION_TEXT_MAX], origin[OPTION_TEXT_MAX], allowed[ALLOWED_MAX];
    const struct option_row *row = option_row(id);
    const char *value = value_text(settings, id, text), *note = remark(settings, id);

    output_format(output, "\n%s = %s   (%s)\n", row->key != NULL ? row->key : row->flag,
                  value[0] != '\0' ? value : "none",
                  option_origin_text(id, &settings->values[id], origin, sizeof origin));
    output_format(output, "    %s.\n    --%s", row->what, row->flag);
    if (row->argument != NULL)
        output_format(output, "=%s: %s", row->argument, allowed_text(row, allowed));
    output_text(output, "\n");
    if (note[0] != '\0')
        output_format(output, "    note        %s\n", note);
}

static void print_text(const struct settings *settings, struct output *output) {
    struct equivalents equivalents;

    output_format(output, "Settings for %s\n",
                  settings->host != NULL ? settings->host : "hosts without a section of their own");
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        print_heading(settings, id, output);
        if (!equivalents_find(settings, id, &equivalents))
            continue;
        for (unsigned i = 0; i < EQUIVALENT_SYSTEMS; i++)
            output_format(output, "    %-10s  %s\n", equivalent_system_name(i), equivalents.texts[i]);
    }
}

static void print_option(const struct settings *settings, enum option_id id, struct output *output) {
    char text[OPTION_TEXT_MAX], origin[OPTION_TEXT_MAX], allowed[ALLOWED_MAX];
    const struct option_row *row = option_row(id);
    const char *note = remark(settings, id);
    struct equivalents equivalents;

    json_open(output, NULL, '{');
    json_string(output, "key", row->key);
    json_string(output, "flag", row->flag);
    json_string(output, "value", value_text(settings, id, text));
    json_string(output, "from", option_origin_text(id, &settings->values[id], origin, sizeof origin));
    json_string(output, "default", row->standard);
    json_string(output, "allowed", allowed_text(row, allowed));
    json_string(output, "meaning", row->what);
    json_string(output, "note", note[0] != '\0' ? note : NULL);
    json_raw(output, "named_host_only", row->for_named_host ? "true" : "false");
    json_open(output, "equivalents", '{');
    if (equivalents_find(settings, id, &equivalents))
        for (unsigned i = 0; i < EQUIVALENT_SYSTEMS; i++)
            json_string(output, equivalent_system_id(i), equivalents.texts[i]);
    json_close(output, '}');
    json_close(output, '}');
}

static void print_json(const struct settings *settings, struct output *output) {
    json_open(output, NULL, '{');
    json_number(output, "schema", 1);
    json_string(output, "host", settings->host);
    json_open(output, "settings", '[');
    for (unsigned id = 0; id < OPTION_COUNT; id++)
        print_option(settings, id, output);
    json_close(output, ']');
    json_close(output, '}');
    output_text(output, "\n");
}

int command_settings(int argc, char **argv) {
    static struct output output;
    struct arguments arguments = {.json = false};
    struct settings settings;
    const struct argp argp = {
        .options = options_table,
        .parser = parse_option,
        .args_doc = "[HOST]",
        .doc = "Show what is in force for HOST, or for hosts in general, where each value came from, and what comes "
               "nearest "
               "to it on Windows, Samba, Linux and macOS.",
        .children = arguments.options.children,
    };

    options_init(&arguments.options);
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"smbproof settings"};
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (!options_settle(&arguments.options, arguments.host, &settings)) {
        fprintf(stderr, "smbproof: %s\n", settings.complaint);
        return EXIT_USAGE;
    }
    output_init(&output, stdout);
    if (arguments.json)
        print_json(&settings, &output);
    else
        print_text(&settings, &output);
    return output_end(&output, EXIT_NO_PROBLEM);
}
