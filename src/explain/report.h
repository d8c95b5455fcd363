/* The faces of a result: JSON lines for programs, text for people. */
#ifndef SMBPROOF_EXPLAIN_REPORT_H
#define SMBPROOF_EXPLAIN_REPORT_H

#include "explain/inquiry.h"
#include "explain/output.h"

/* One connection (or one pair of its two sides), judged. */
struct result {
    const struct inquiry *inquiry;
    const struct finding *findings;
    unsigned findings_count;
    enum outcome outcome;
    const char *capture, *far_capture; /* file names as the user gave them */
};

/* Counts over all results, for the first line and the exit status. */
struct tally {
    uint64_t connections, problems, exposures, unclear, fine;
    uint64_t causes[CAUSE_COUNT]; /* connections whose first problem it is */
};

void tally_add(struct tally *tally, const struct result *result);

void report_json(struct output *output, const struct result *result);

struct text_style {
    bool colour, verbose;
    unsigned width; /* columns */
};

/* The first line: the verdict of everything. */
void report_summary(struct output *output, const struct text_style *style, const struct tally *tally,
                    const char *capture);
void report_text(struct output *output, const struct text_style *style, const struct result *result);

/* Words that both faces use. */
const char *signing_text(const struct inquiry *inquiry);
const char *encryption_text(const struct inquiry *inquiry);
const char *validation_word(const struct inquiry *inquiry);     /* valid, failed, not-needed, not-sent, hidden, unknown */
const char *validation_result_word(enum validation_result result);
const char *severity_word(enum severity severity);
const char *confidence_word(enum confidence confidence);
const char *outcome_word(enum outcome outcome);
#define TIME_TEXT_MAX 40u
void time_text(uint64_t time_ns, char text[TIME_TEXT_MAX]); /* ISO 8601, UTC */
void version_text(const struct inquiry *inquiry, char text[16]); /* the agreed dialect, or empty */
/* What to capture next, where something cannot be told; NULL past the last. */
const char *next_step(const struct result *result, unsigned i);

#endif
