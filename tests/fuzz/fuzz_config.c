/* The configuration file: whatever it holds is taken or refused with a place and a reason. */
#include <stdlib.h>
#include <string.h>

#include "tools/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of type config_take: each value goes through the parser of each option. */
static bool take(void *context, const struct config_entry *entry, char *complaint) {
    unsigned *entries = context;
    struct option_value value;

    if (entry->name == NULL || strlen(entry->name) >= CONFIG_NAME_MAX || entry->line == 0)
        abort();
    *entries += 1;
    if (entry->key == NULL) /* a section begins */
        return entry->name[0] != '\0';
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        complaint[0] = '\0';
        if (!option_parse(id, entry->value, &value, complaint) && complaint[0] == '\0')
            abort();
    }
    return true;
}

static void parse(struct span text, const struct config_sections *sections) {
    char complaint[CONFIG_COMPLAINT_MAX];
    unsigned entries = 0;
    bool taken = config_parse(text, "fuzzed", sections, take, &entries, complaint);

    if (taken != (complaint[0] == '\0') || strlen(complaint) >= sizeof complaint)
        abort();
    if (!taken && strncmp(complaint, "fuzzed:", 7) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct config_sections shares = {"server", "share", "a name", true, true};

    parse((struct span){data, size}, &config_hosts);
    parse((struct span){data, size}, &shares);
    return 0;
}
