/* Settings of `smbproof serve` -> what the host runs with: stores opened, accounts read. */
#ifndef SMBPROOF_TOOLS_SERVE_CONFIG_H
#define SMBPROOF_TOOLS_SERVE_CONFIG_H

#include "serve/host.h"
#include "tools/serve_options.h"

/* Shares of `current` (NULL: none) that are the same in the settings are taken over from it. NULL, and a sentence with
 * the place of what is wrong. */
struct host_config *serve_config_new(const struct serve_settings *settings, struct workers *workers,
                                     const struct host_config *current, char problem[HOST_PROBLEM_MAX]);

struct serve_reload {
    const struct serve_options *options;
    struct workers *workers;
};

/* Of struct host_setup: `context` is a struct serve_reload. */
struct host_config *serve_config_reload(void *context, const struct host_config *current, char problem[HOST_PROBLEM_MAX]);

/* What is possible, for the --check and the manual page. */
const char *serve_allowed_text(const struct option_row *row, char text[OPTION_HELP_MAX]);

#endif
