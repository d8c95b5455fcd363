/* What `conform server` and `conform client` have in common: which cases, known deviations, and the reports. */
#ifndef SMBPROOF_TOOLS_CONFORM_REPORT_H
#define SMBPROOF_TOOLS_CONFORM_REPORT_H

#include <argp.h>

#include "conform/conform.h"

struct conform_wishes {
    const char *only, *junit, *known;
    bool json, tap, list, strict;
};

/* Options of a command; their input is a struct conform_wishes. */
extern const struct argp conform_wishes_argp;

/* What the wishes mean for a run: cases, strictness, deviations and the day. 0, or an exit status when that has been
 * told. */
int conform_prepare(const struct conform_wishes *wishes, const struct conform_suite *suite,
                    struct deviations *deviations, struct conform_options *options);
/* Writes the report as it is wished. An exit status. */
int conform_tell(const struct conform_wishes *wishes, const struct conform_report *report, bool verbose);

#endif
