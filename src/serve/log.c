#include "serve/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wire/text.h"

/* As syslog(3) numbers them. */
enum { LEVEL_WARNING = 4, LEVEL_INFO = 6 };

/* $JOURNAL_STREAM names the journal's end by device and inode (systemd.exec(5)); standard error may be another by now. */
static bool writes_to_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat status;

    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return false;
    snprintf(own, sizeof own, "%llu:%llu", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
    return strcmp(stream, own) == 0;
}

/* Returns its length. */
static size_t begin_line(char line[LOG_LINE_MAX], int level, const char *event) {
    struct timespec now;
    struct tm parts;
    char time[32];

    if (writes_to_journal())
        return (size_t)snprintf(line, LOG_LINE_MAX, "<%d>event=%s ", level, event);
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
    return (size_t)snprintf(line, LOG_LINE_MAX, "%s.%03ldZ %s event=%s ", time, now.tv_nsec / 1000000,
                            level == LEVEL_WARNING ? "warning" : "info", event);
}

static void write_line(int level, const char *event, const char *format, va_list arguments) {
    char line[LOG_LINE_MAX];
    size_t size = begin_line(line, level, event);
    ssize_t written;

    vsnprintf(line + size, sizeof line - size - 1, format, arguments);
    size = strlen(line);
    line[size++] = '\n';
    written = write(STDERR_FILENO, line, size);
    (void)written; /* nobody is left to be told */
}

void log_event(const char *event, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    write_line(LEVEL_INFO, event, format, arguments);
    va_end(arguments);
}

void log_warning(const char *event, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    write_line(LEVEL_WARNING, event, format, arguments);
    va_end(arguments);
}

/* Does it do something other than to be seen? Controls of ASCII and of Latin-1, marks of direction, separators of lines,
 * and what is no character at all. */
static bool is_active(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == '"' || code == '\\' || code == 0x061c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
           code == 0xfeff || code >= 0xe0000;
}

const char *log_quote(const char *value, char text[LOG_VALUE_MAX]) {
    struct reader reader = reader_over(text_span(value));
    size_t at = 0, size;

    text[at++] = '"';
    while (reader_left(&reader) > 0 && at + 18 < LOG_VALUE_MAX) {
        size_t from = reader.at;
        uint32_t code = text_take_utf8(&reader);
        bool good = !reader.failed && !is_active(code);

        size = reader.failed ? 1 : reader.at - from;
        reader.failed = false;
        reader.at = from + size;
        for (size_t i = 0; i < size; i++)
            at += (size_t)snprintf(text + at, LOG_VALUE_MAX - at, good ? "%c" : "\\x%02x", (unsigned char)value[from + i]);
    }
    text[at++] = '"';
    text[at] = '\0';
    return text;
}
