#include "serve/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_event(const char *event, const char *format, ...) {
    char line[LOG_LINE_MAX];
    size_t size = (size_t)snprintf(line, sizeof line, "event=%s ", event);
    va_list arguments;
    ssize_t written;

    va_start(arguments, format);
    vsnprintf(line + size, sizeof line - size - 1, format, arguments);
    va_end(arguments);
    size = strlen(line);
    line[size++] = '\n';
    written = write(STDERR_FILENO, line, size);
    (void)written; /* nobody is left to be told */
}

const char *log_quote(const char *value, char text[LOG_VALUE_MAX]) {
    size_t at = 0;

    text[at++] = '"';
    for (; *value != '\0' && at + 6 < LOG_VALUE_MAX; value++) {
        unsigned char octet = (unsigned char)*value;

        if (octet < 0x20 || octet == 0x7f || octet == '"' || octet == '\\')
            at += (size_t)snprintf(text + at, LOG_VALUE_MAX - at, "\\x%02x", octet);
        else
            text[at++] = (char)octet;
    }
    text[at++] = '"';
    text[at] = '\0';
    return text;
}
