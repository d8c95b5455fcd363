/* What comes nearest to a setting on other systems. */
#ifndef SMBPROOF_TOOLS_EQUIVALENTS_H
#define SMBPROOF_TOOLS_EQUIVALENTS_H

#include "tools/options.h"

enum equivalent_system {
    EQUIVALENT_REGISTRY,
    EQUIVALENT_POWERSHELL,
    EQUIVALENT_SAMBA,
    EQUIVALENT_LINUX,
    EQUIVALENT_MACOS,
    EQUIVALENT_SYSTEMS
};

#define EQUIVALENT_TEXT_MAX 512u /* octets with the NUL */

struct equivalents {
    char texts[EQUIVALENT_SYSTEMS][EQUIVALENT_TEXT_MAX];
};

const char *equivalent_system_name(enum equivalent_system system); /* for people: "Samba" */
const char *equivalent_system_id(enum equivalent_system system);   /* for programs: "samba" */

/* Of the value in force. False: there is nothing to compare, and nothing is filled in. */
bool equivalents_find(const struct settings *settings, enum option_id id, struct equivalents *equivalents);

#endif
