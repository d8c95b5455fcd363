/* The file of known deviations: what is wrong with a server, why that is left so, and until when. */
#include <string.h>

#include "conform/conform.h"

static bool is_date(const char *text) {
    static const char form[] = "dddd-dd-dd";

    if (strlen(text) != sizeof form - 1)
        return false;
    for (unsigned i = 0; form[i] != '\0'; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

static bool is_case(const struct conform_suite *suite, const char *name) {
    for (unsigned i = 0; i < suite->count; i++)
        if (strcmp(suite->cases[i].name, name) == 0)
            return true;
    return false;
}

/* The next word of the line, into `word`; what follows it. */
static const char *take_word(const char *line, char *word, size_t room) {
    size_t size;

    line += strspn(line, " \t");
    size = strcspn(line, " \t");
    snprintf(word, room, "%.*s", size < room ? (int)size : 0, line);
    line += size;
    return line + strspn(line, " \t");
}

/* What is wrong with the line; NULL: nothing. */
static const char *take_line(struct deviations *deviations, const struct conform_suite *suite, const char *line) {
    struct deviation *deviation = &deviations->list[deviations->count];

    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#')
        return NULL;
    if (deviations->count == DEVIATIONS_MAX)
        return "there are too many deviations";
    *deviation = (struct deviation){.used = false};
    line = take_word(line, deviation->name, sizeof deviation->name);
    line = take_word(line, deviation->until, sizeof deviation->until);
    snprintf(deviation->reason, sizeof deviation->reason, "%s", line);
    if (!is_case(suite, deviation->name))
        return "its first word is no case's name";
    if (!is_date(deviation->until))
        return "its second word is no date like 2027-03-31";
    if (deviation->reason[0] == '\0')
        return "it gives no reason";
    deviations->count++;
    return NULL;
}

bool deviations_read(struct deviations *deviations, const struct conform_suite *suite, FILE *file) {
    char line[512];

    *deviations = (struct deviations){.count = 0};
    for (unsigned number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        const char *complaint = strchr(line, '\n') == NULL && !feof(file) ? "it is too long" : NULL;

        line[strcspn(line, "\r\n")] = '\0';
        if (complaint == NULL)
            complaint = take_line(deviations, suite, line);
        if (complaint != NULL) {
            deviations->bad_line = number;
            deviations->complaint = complaint;
            return false;
        }
    }
    return true;
}

struct deviation *deviations_find(struct deviations *deviations, const char *name, const char *today) {
    for (unsigned i = 0; i < deviations->count; i++)
        if (strcmp(deviations->list[i].name, name) == 0 && strcmp(today, deviations->list[i].until) <= 0)
            return &deviations->list[i];
    return NULL;
}

static bool deviates(enum conform_outcome outcome) {
    return outcome == CONFORM_FAIL || outcome == CONFORM_SHOULD;
}

void conform_settle(struct conform_report *report, unsigned index) {
    const struct conform_options *options = report->options;
    struct conform_result *result = &report->results[index];
    struct deviation *known = NULL;

    if (options->deviations != NULL)
        known = deviations_find(options->deviations, report->suite->cases[index].name, options->today);
    result->known = known;
    if (known != NULL && deviates(result->outcome)) {
        known->used = true;
        result->outcome = CONFORM_KNOWN;
    }
    report->counts[result->outcome]++;
}
