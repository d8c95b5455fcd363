#include "tools/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/names.h"
#include "explain/explain.h"
#include "tools/interrupt.h"
#include "tools/remote.h"

#define BAR_WIDTH     24u
#define REDRAW_MS     200
#define SHOWN_MAX     40u /* octets of a name in the bar */
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

static void draw(struct progress *progress, const char *name, uint64_t done, uint64_t total) {
    char shown[SHOWN_MAX], have[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX], bar[BAR_WIDTH + 1];
    double seconds = (double)(progress->drawn_ms - progress->begun_ms) / 1000.0;
    uint64_t came = done > progress->begun_at ? done - progress->begun_at : 0;
    double rate = seconds > 0 ? (double)came / seconds : 0;
    unsigned filled = total > 0 && total != UINT64_MAX ? (unsigned)((double)done / (double)total * BAR_WIDTH) : 0;

    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', filled < BAR_WIDTH ? filled : BAR_WIDTH);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%s ", name_shown(name, shown, sizeof shown));
    if (total != UINT64_MAX)
        fprintf(stderr, "[%s] %3.0f%% ", bar, total > 0 ? 100.0 * (double)done / (double)total : 100.0);
    fprintf(stderr, "%s, %s/s", size_text((double)done, have), size_text(rate, speed));
    if (total != UINT64_MAX && rate > 0 && total > done)
        fprintf(stderr, ", %.0f s left", (double)(total - done) / rate);
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

void progress_init(struct progress *progress, bool quiet) {
    *progress = (struct progress){.is_quiet = quiet, .is_shown = !quiet && isatty(STDERR_FILENO)};
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
