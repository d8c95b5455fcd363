#include "tools/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/names.h"
#include "explain/explain.h"
#include "tools/interrupt.h"
#include "tools/remote.h"

#define BAR_WIDTH     24u
#define REDRAW_MS     200
#define SHOWN_MAX     40u /* octets of a name in the bar */
#define COLUMNS_USUAL 80u /* where the terminal does not say */
#define LINE_MAX_OCTETS 160u
#define SENTENCE_MAX  512u
#define SIZE_TEXT_MAX 16u

/* ---- the bar ---- */

static int64_t now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *size_text(double octets, char text[SIZE_TEXT_MAX]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;

    while (octets >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        octets /= 1024;
        unit++;
    }
    snprintf(text, SIZE_TEXT_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", octets, units[unit]);
    return text;
}

/* Columns that a character takes, told by its first octet: beyond U+07FF it may be a wide one. */
static unsigned columns_of(unsigned char first) {
    if ((first & 0xc0) == 0x80)
        return 0;
    return first >= 0xe0 ? 2 : 1;
}

static unsigned text_columns(const char *text) {
    unsigned columns = 0;

    for (; *text != '\0'; text++)
        columns += columns_of((unsigned char)*text);
    return columns;
}

/* Cuts the text where it would take more columns. */
static void cut_text(char *text, unsigned most) {
    unsigned columns = 0;

    for (; *text != '\0'; text++) {
        columns += columns_of((unsigned char)*text);
        if (columns > most)
            *text-- = '\0';
    }
}

static unsigned terminal_columns(void) {
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_USUAL;
}

/* A line that never wraps: what does not fit any more is left out. */
struct bar_line {
    char text[LINE_MAX_OCTETS];
    unsigned columns, most;
};

__attribute__((format(printf, 2, 3))) static void add_part(struct bar_line *line, const char *format, ...) {
    char part[LINE_MAX_OCTETS];
    size_t length = strlen(line->text);
    va_list arguments;
    unsigned columns;

    va_start(arguments, format);
    vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    columns = text_columns(part);
    if (line->columns + columns > line->most || length + strlen(part) >= sizeof line->text)
        return;
    memcpy(line->text + length, part, strlen(part) + 1);
    line->columns += columns;
}

static void add_bar(struct bar_line *line, uint64_t done, uint64_t total) {
    double share = total > 0 ? (double)done / (double)total : 1;
    unsigned filled = (unsigned)(share * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];

    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', filled < BAR_WIDTH ? filled : BAR_WIDTH);
    bar[BAR_WIDTH] = '\0';
    add_part(line, " [%s]", bar);
    add_part(line, " %3.0f%%", 100 * share);
}

static void draw(struct progress *progress, const char *name, uint64_t done, uint64_t total) {
    char shown[SHOWN_MAX], have[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX];
    double seconds = (double)(progress->drawn_ms - progress->begun_ms) / 1000.0;
    uint64_t came = done > progress->begun_at ? done - progress->begun_at : 0;
    double rate = seconds > 0 ? (double)came / seconds : 0;
    struct bar_line line = {.most = terminal_columns() - 1};

    name_shown(name, shown, sizeof shown);
    cut_text(shown, line.most / 2);
    add_part(&line, "%s", shown);
    if (total != UINT64_MAX)
        add_bar(&line, done, total);
    add_part(&line, " %s", size_text((double)done, have));
    if (rate > 0)
        add_part(&line, ", %s/s", size_text(rate, speed));
    if (total != UINT64_MAX && rate > 0 && total > done)
        add_part(&line, ", %.0f s left", (double)(total - done) / rate);
    fprintf(stderr, "\r\033[K%s", line.text);
    fflush(stderr);
    progress->is_drawn = true;
}

void progress_clear(struct progress *progress) {
    if (progress->is_drawn)
        fputs("\r\033[K", stderr);
    progress->is_drawn = false;
}

static bool tick(void *context, const char *name, uint64_t done, uint64_t total) {
    struct progress *progress = context;
    int64_t now;

    if (!progress->is_shown)
        return !interrupt_came();
    now = now_ms();
    if (name != progress->name || done < progress->begun_at) {
        progress->name = name;
        progress->begun_ms = now;
        progress->begun_at = done;
    }
    if (now - progress->drawn_ms >= REDRAW_MS) {
        progress->drawn_ms = now;
        draw(progress, name, done, total);
    }
    return !interrupt_came();
}

static void note(void *context, const char *name, const char *sentence) {
    struct progress *progress = context;

    progress_clear(progress);
    progress->notes++;
    if (!progress->is_quiet)
        complain(name, sentence, 0);
}

static void failed(void *context, const char *name, const struct copy *copy, enum copy_end end) {
    progress_clear(context);
    copy_complain(name, copy, end);
}

/* Can the line be taken away again there? */
static bool is_capable_terminal(void) {
    const char *kind = getenv("TERM");

    return isatty(STDERR_FILENO) && kind != NULL && kind[0] != '\0' && strcmp(kind, "dumb") != 0;
}

void progress_init(struct progress *progress, bool quiet) {
    *progress = (struct progress){.is_quiet = quiet, .is_shown = !quiet && is_capable_terminal()};
}

void progress_attach(struct progress *progress, struct copy *copy) {
    copy->tick = tick;
    copy->note = note;
    copy->failed = failed;
    copy->context = progress;
}

int copy_complain(const char *about, const struct copy *copy, enum copy_end end) {
    char sentence[SENTENCE_MAX];

    switch (end) {
    case COPY_DONE:
        return copy->failures > 0 ? EXIT_PROBLEM : EXIT_NO_PROBLEM;
    case COPY_STOPPED:
        return complain(about, "interrupted", EXIT_PROBLEM);
    case COPY_CHANGED:
        return complain(about,
                        "it changes while it is copied, each time anew, so it was not copied. Try again when "
                        "nobody writes to it",
                        EXIT_PROBLEM);
    case COPY_TORN:
        return complain(about,
                        "it changed while it was read, so what was written may be of two versions. Read it again when "
                        "nobody writes to it",
                        EXIT_PROBLEM);
    case COPY_BUSY:
        return complain(about, "another copy of it is under way. Wait for its end", EXIT_PROBLEM);
    case COPY_LOCAL:
        snprintf(sentence, sizeof sentence, "%s%s", strerror(copy->number),
                 copy->number == ENOSPC ? ": there is no room left here. What was copied was taken away" : "");
        return complain(about, sentence, EXIT_INPUT);
    case COPY_STREAM:
        snprintf(sentence, sizeof sentence, "what was read cannot be written: %s", strerror(copy->number));
        return complain(about, sentence, EXIT_INPUT);
    case COPY_REMOTE:
        break;
    }
    return remote_complain(about, &copy->error);
}
