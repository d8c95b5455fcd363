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
    char host[CONFIG_HOST_MAX]; /* of the section; "" in [defaults] */
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

/* "host NAME" or "defaults", `size` octets. */
static bool take_section(struct config *config, const char *name, size_t size) {
    const char *host = name + 4;

    config->in_section = true;
    config->host[0] = '\0';
    if (size == strlen("defaults") && strncasecmp(name, "defaults", size) == 0)
        return true;
    if (size < 6 || strncasecmp(name, "host", 4) != 0 || !isspace((unsigned char)*host))
        return complain(config, "sections are [defaults] and [host NAME]");
    host = skip_blanks(host);
    size -= (size_t)(host - name);
    if (size == 0 || size >= sizeof config->host || memchr(host, ' ', size) != NULL)
        return complain(config, "[host NAME] takes one host name or address, as the URL spells it");
    memcpy(config->host, host, size);
    config->host[size] = '\0';
    return true;
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
    const struct config_entry entry = {config->host, key, value, config->path, config->line};
    char why[CONFIG_COMPLAINT_MAX] = "";

    (void)section;
    if (!config->in_section)
        return complain(config, "an entry in front of the first section: say [defaults] or [host NAME] before it");
    return config->take(config->context, &entry, why) || complain(config, why);
}

bool config_parse(struct span text, const char *path, config_take *take, void *context,
                  char complaint[CONFIG_COMPLAINT_MAX]) {
    struct config config = {.text = text, .path = path, .take = take, .context = context, .complaint = complaint};

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

static bool read_open(int descriptor, const char *path, config_take *take, void *context, char *complaint) {
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
    return config_parse((struct span){text, size}, path, take, context, complaint);
}

bool config_read(const char *path, bool must_exist, config_take *take, void *context,
                 char complaint[CONFIG_COMPLAINT_MAX]) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool taken;

    complaint[0] = '\0';
    if (descriptor < 0 && !must_exist && (errno == ENOENT || errno == ENOTDIR))
        return true;
    if (descriptor < 0)
        return complain_file(path, strerror(errno), complaint);
    taken = read_open(descriptor, path, take, context, complaint);
    close(descriptor);
    return taken;
}
