#include "tools/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file while it is read. libinih does not say in which line an entry stands and cuts the names of sections, so
 * lines are counted, and sections read, as they are handed to it. */
struct config {
    struct span text;
    size_t at;
    const char *path;
    unsigned line;
    bool in_section;
    char name[CONFIG_NAME_MAX]; /* of the section; "" in the plain one */
    const struct config_sections *sections;
    config_take *take;
    void *context;
    char *complaint; /* the first one; "" none */
};

static bool complain(struct config *config, const char *why) {
    if (config->complaint[0] == '\0')
        snprintf(config->complaint, CONFIG_COMPLAINT_MAX, "%s:%u: %s", config->path, config->line, why);
    return false;
}

static const char *skip_blanks(const char *text) {
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

const struct config_sections config_hosts = {"defaults", "host", "one host name or address, as the URL spells it",
                                             false, false};

static bool complain_sections(struct config *config) {
    char why[CONFIG_COMPLAINT_MAX / 2];

    snprintf(why, sizeof why, "sections are [%s] and [%s NAME]", config->sections->plain, config->sections->named);
    return complain(config, why);
}

static bool complain_name(struct config *config) {
    char why[CONFIG_COMPLAINT_MAX / 2];

    snprintf(why, sizeof why, "[%s NAME] takes %s", config->sections->named, config->sections->name_is);
    return complain(config, why);
}

static bool announce(struct config *config) {
    const struct config_entry entry = {config->name, NULL, NULL, config->path, config->line};
    char why[CONFIG_COMPLAINT_MAX] = "";

    return !config->sections->announced || config->take(config->context, &entry, why) || complain(config, why);
}

/* "host NAME" or "defaults", `size` octets. */
static bool take_section(struct config *config, const char *title, size_t size) {
    const struct config_sections *sections = config->sections;
    size_t word = strlen(sections->named);
    const char *name = title + word;

    config->in_section = true;
    config->name[0] = '\0';
    if (size == strlen(sections->plain) && strncasecmp(title, sections->plain, size) == 0)
        return true;
    if (size < word + 2 || strncasecmp(title, sections->named, word) != 0 || !isspace((unsigned char)*name))
        return complain_sections(config);
    name = skip_blanks(name);
    size -= (size_t)(name - title);
    if (size == 0 || size >= sizeof config->name || (!sections->blanks && memchr(name, ' ', size) != NULL))
        return complain_name(config);
    memcpy(config->name, name, size);
    config->name[size] = '\0';
    return announce(config);
}

static bool note_section(struct config *config, const char *line) {
    const char *end = strchr(line, ']');

    if (line[0] != '[')
        return true;
    if (end == NULL)
        return complain(config, "a section's name ends with `]'");
    return take_section(config, line + 1, (size_t)(end - line - 1));
}

/* Hands out one line, without the blanks in front of it; of type ini_reader. */
static char *next_line(char *line, int size, void *stream) {
    struct config *config = stream;
    const char *from = (const char *)config->text.data + config->at;
    size_t left = config->text.size - config->at, length;
    const char *end;

    if (left == 0 || config->complaint[0] != '\0')
        return NULL;
    end = memchr(from, '\n', left);
    length = end != NULL ? (size_t)(end - from) + 1 : left;
    config->line++;
    config->at += length;
    while (length > 0 && (*from == ' ' || *from == '\t')) {
        from++;
        length--;
    }
    if (length >= (size_t)size) {
        complain(config, "the line is too long");
        return NULL;
    }
    memcpy(line, from, length);
    line[length] = '\0';
    return note_section(config, line) ? line : NULL;
}

/* Of type ini_handler. */
static int take_entry(void *user, const char *section, const char *key, const char *value) {
    struct config *config = user;
    const struct config_entry entry = {config->name, key, value, config->path, config->line};
    char why[CONFIG_COMPLAINT_MAX] = "";

    (void)section;
    if (!config->in_section) {
        snprintf(why, sizeof why, "an entry in front of the first section: say [%s] or [%s NAME] before it",
                 config->sections->plain, config->sections->named);
        return complain(config, why);
    }
    return config->take(config->context, &entry, why) || complain(config, why);
}

bool config_parse(struct span text, const char *path, const struct config_sections *sections, config_take *take,
                  void *context, char complaint[CONFIG_COMPLAINT_MAX]) {
    struct config config = {
        .text = text, .path = path, .sections = sections, .take = take, .context = context, .complaint = complaint};

    complaint[0] = '\0';
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        return complain(&config, "this is no text file");
    if (ini_parse_stream(next_line, &config, take_entry, &config) != 0)
        complain(&config, "this line is no `Key = value'");
    return complaint[0] == '\0';
}

static bool complain_file(const char *path, const char *why, char *complaint) {
    snprintf(complaint, CONFIG_COMPLAINT_MAX, "%s: %s", path, why);
    return false;
}

static bool read_open(int descriptor, const char *path, const struct config_sections *sections, config_take *take,
                      void *context, char *complaint) {
    static const char too_large[] = "this is longer than a configuration file may be (65536 octets)";
    uint8_t text[CONFIG_SIZE_MAX + 1];
    size_t size = 0;
    struct stat status;
    ssize_t got;

    if (fstat(descriptor, &status) != 0)
        return complain_file(path, strerror(errno), complaint);
    if ((status.st_mode & S_IWOTH) != 0 && S_ISREG(status.st_mode))
        return complain_file(path, "everybody may write to it, so it cannot be trusted (chmod o-w)", complaint);
    while ((got = read(descriptor, text + size, sizeof text - size)) > 0)
        size += (size_t)got;
    if (got < 0)
        return complain_file(path, strerror(errno), complaint);
    if (size > CONFIG_SIZE_MAX)
        return complain_file(path, too_large, complaint);
    return config_parse((struct span){text, size}, path, sections, take, context, complaint);
}

bool config_read(const char *path, bool must_exist, const struct config_sections *sections, config_take *take,
                 void *context, char complaint[CONFIG_COMPLAINT_MAX]) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool taken;

    complaint[0] = '\0';
    if (descriptor < 0 && !must_exist && (errno == ENOENT || errno == ENOTDIR))
        return true;
    if (descriptor < 0)
        return complain_file(path, strerror(errno), complaint);
    taken = read_open(descriptor, path, sections, take, context, complaint);
    close(descriptor);
    return taken;
}
