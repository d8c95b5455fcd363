/* The server's log: one line of key=value on standard error for each thing that happened, never a secret. A line begins with
 * time and level; where standard error is the journal, which has a time of its own, with the level as sd-daemon(3) has it. */
#ifndef SMBPROOF_SERVE_LOG_H
#define SMBPROOF_SERVE_LOG_H

/* Octets of one line; a longer one is cut. */
#define LOG_LINE_MAX 1024u
/* Octets of a quoted value with its NUL; a longer one is cut. */
#define LOG_VALUE_MAX 256u

/* `event` and the rest of the line, as printf() makes it. Safe from several threads: one write() each. */
void log_event(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what somebody should look at. */
void log_warning(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a peer said, in quotes. All that could end the quotes or the line, that a terminal obeys, that turns the direction of
 * writing or that is no UTF-8 is escaped. Returns `text`. */
const char *log_quote(const char *value, char text[LOG_VALUE_MAX]);

#endif
