/* The server's log: one line of key=value on standard error for each thing that happened, never a secret. */
#ifndef SMBPROOF_SERVE_LOG_H
#define SMBPROOF_SERVE_LOG_H

/* Octets of one line; a longer one is cut. */
#define LOG_LINE_MAX 1024u
/* Octets of a quoted value with its NUL; a longer one is cut. */
#define LOG_VALUE_MAX 256u

/* `event` and the rest of the line, as printf() makes it. Safe from several threads: one write() each. */
void log_event(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a peer said, in quotes, with everything escaped that could end the quotes or the line; returns `text`. */
const char *log_quote(const char *value, char text[LOG_VALUE_MAX]);

#endif
