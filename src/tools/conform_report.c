#include "tools/conform_report.h"

#include <time.h>

#include "explain/explain.h"
#include "tools/remote.h"

enum option_key { KEY_JSON = 'j', KEY_TAP = 512, KEY_JUNIT, KEY_ONLY, KEY_LIST, KEY_KNOWN, KEY_STRICT };

static const struct argp_option options_table[] = {
    {"json", KEY_JSON, NULL, 0, "Write one JSON object, and nothing else to standard output", 0},
    {"tap", KEY_TAP, NULL, 0, "Write TAP (Test Anything Protocol), and nothing else to standard output", 0},
    {"junit", KEY_JUNIT, "FILE", 0, "Write a JUnit report to FILE as well", 0},
    {"only", KEY_ONLY, "NAMES", 0,
     "Make just these cases, separated by commas; `*' at the end of a name stands for any rest, and an area for all of "
     "its cases",
     0},
    {"list", KEY_LIST, NULL, 0, "List the cases (-v: with what is sent and expected); nothing is sent", 0},
    {"known", KEY_KNOWN, "FILE", 0,
     "Deviations that are known and no failure: a line each, with the case's name, the last day on which that holds, "
     "and the reason",
     0},
    {"strict", KEY_STRICT, NULL, 0, "What should be done counts as what must be done", 0},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state) {
    struct conform_wishes *wishes = state->input;

    switch (key) {
    case KEY_JSON:
        wishes->json = true;
        return 0;
    case KEY_TAP:
        wishes->tap = true;
        return 0;
    case KEY_JUNIT:
        wishes->junit = text;
        return 0;
    case KEY_ONLY:
        wishes->only = text;
        return 0;
    case KEY_LIST:
        wishes->list = true;
        return 0;
    case KEY_KNOWN:
        wishes->known = text;
        return 0;
    case KEY_STRICT:
        wishes->strict = true;
        return 0;
    case ARGP_KEY_END:
        if (wishes->json && wishes->tap)
            argp_error(state, "either --json or --tap");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp conform_wishes_argp = {.options = options_table, .parser = parse_option};

/* 0, or an exit status when that has been told. */
static int read_known(const char *path, const struct conform_suite *suite, struct deviations *deviations) {
    FILE *file = fopen(path, "r");
    char sentence[160];
    bool good;

    if (file == NULL)
        return complain(path, "cannot be read", EXIT_INPUT);
    good = deviations_read(deviations, suite, file);
    fclose(file);
    if (good)
        return EXIT_NO_PROBLEM;
    snprintf(sentence, sizeof sentence, "line %u: %s", deviations->bad_line, deviations->complaint);
    return complain(path, sentence, EXIT_INPUT);
}

int conform_prepare(const struct conform_wishes *wishes, const struct conform_suite *suite,
                    struct deviations *deviations, struct conform_options *options) {
    time_t now = time(NULL);
    struct tm parts;
    char sentence[160];

    snprintf(sentence, sizeof sentence, "a name in it is no case's; `%s --list' has them", suite->name);
    if (conform_select(suite, wishes->only, options->wanted) <= 0)
        return complain(wishes->only, sentence, EXIT_USAGE);
    options->strict = wishes->strict;
    strftime(options->today, sizeof options->today, "%Y-%m-%d", gmtime_r(&now, &parts));
    if (wishes->known == NULL)
        return EXIT_NO_PROBLEM;
    options->deviations = deviations;
    return read_known(wishes->known, suite, deviations);
}

static int write_junit(const struct conform_report *report, const char *path) {
    FILE *file = fopen(path, "w");
    bool failed;

    if (file == NULL)
        return complain(path, "cannot be written", EXIT_INTERNAL);
    conform_write_junit(report, file);
    failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    return failed ? complain(path, "cannot be written", EXIT_INTERNAL) : EXIT_NO_PROBLEM;
}

static int status_of(const struct conform_report *report) {
    if (report->counts[CONFORM_FAIL] > 0)
        return EXIT_PROBLEM;
    return report->counts[CONFORM_UNCLEAR] > 0 ? EXIT_CANNOT_TELL : EXIT_NO_PROBLEM;
}

int conform_tell(const struct conform_wishes *wishes, const struct conform_report *report, bool verbose) {
    int status = EXIT_NO_PROBLEM;

    if (wishes->json)
        conform_write_json(report, stdout);
    else if (wishes->tap)
        conform_write_tap(report, stdout);
    else
        conform_write_text(report, verbose, stdout);
    if (fflush(stdout) != 0)
        return complain("standard output", "cannot be written", EXIT_INTERNAL);
    if (wishes->junit != NULL)
        status = write_junit(report, wishes->junit);
    return status != EXIT_NO_PROBLEM ? status : status_of(report);
}
