#include "explain/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *cause_id(enum cause cause) {
    static const char *const ids[] = {
        [CAUSE_NONE] = "",
#define CAUSE(id, title) [CAUSE_##id] = #id,
#include "explain/causes.def"
#undef CAUSE
    };

    return ids[cause];
}

const char *cause_title(enum cause cause) {
    static const char *const titles[] = {
        [CAUSE_NONE] = "",
#define CAUSE(id, title) [CAUSE_##id] = title,
#include "explain/causes.def"
#undef CAUSE
    };

    return titles[cause];
}

const char *remedy_text(enum remedy remedy) {
    static const char *const texts[] = {
#define REMEDY(name, end, systems, text) [REMEDY_##name] = text,
#include "explain/remedies.def"
#undef REMEDY
    };

    return texts[remedy];
}

bool remedy_applies(enum remedy remedy, enum system client, enum system server) {
    enum { END_CLIENT, END_SERVER };
    static const unsigned char end_of[] = {
#define REMEDY(name, end, systems, text) [REMEDY_##name] = END_##end,
#include "explain/remedies.def"
#undef REMEDY
    };
    static const unsigned char systems_of[] = {
#define REMEDY(name, end, systems, text) [REMEDY_##name] = SYSTEM_##systems,
#include "explain/remedies.def"
#undef REMEDY
    };

    enum system system = end_of[remedy] == END_CLIENT ? client : server;

    return system == SYSTEM_UNKNOWN || (systems_of[remedy] & system) != 0;
}

void finding_clear(struct finding *finding, enum cause cause) {
    finding->cause = cause;
    finding->severity = SEVERITY_PROBLEM;
    finding->confidence = CONFIDENCE_POSSIBLE;
    finding->explains_end = finding->open = false;
    finding->summary[0] = '\0';
    finding->packets_count = finding->fields_count = 0;
    finding->ruled_out_count = finding->remedies_count = 0;
}

void finding_copy(struct finding *to, const struct finding *from) {
    memcpy(to, from, offsetof(struct finding, fields) + from->fields_count * sizeof from->fields[0]);
}

void finding_say(struct finding *finding, const char *format, ...) {
    va_list arguments;
    size_t used = strlen(finding->summary);

    va_start(arguments, format);
    vsnprintf(finding->summary + used, sizeof finding->summary - used, format, arguments);
    va_end(arguments);
}

void finding_packet(struct finding *finding, uint64_t packet) {
    unsigned at = finding->packets_count;

    if (packet == 0 || at == FINDING_PACKETS_MAX)
        return;
    for (unsigned i = 0; i < at; i++)
        if (finding->packets[i] == packet)
            return;
    while (at > 0 && finding->packets[at - 1] > packet) { /* kept in order */
        finding->packets[at] = finding->packets[at - 1];
        at--;
    }
    finding->packets[at] = packet;
    finding->packets_count++;
}

void finding_rule_out(struct finding *finding, enum cause cause, const char *format, ...) {
    struct ruled_out *out;
    va_list arguments;

    if (finding->ruled_out_count == FINDING_RULED_OUT_MAX)
        return;
    out = &finding->ruled_out[finding->ruled_out_count++];
    out->cause = cause;
    va_start(arguments, format);
    vsnprintf(out->because, sizeof out->because, format, arguments);
    va_end(arguments);
}

void finding_remedy(struct finding *finding, enum remedy remedy) {
    if (finding->remedies_count < FINDING_REMEDIES_MAX)
        finding->remedies[finding->remedies_count++] = remedy;
}

struct field_values *finding_field(struct finding *finding, const char *message,
                                   const char *field) {
    struct field_values *values;

    if (finding->fields_count == FINDING_FIELDS_MAX)
        finding->fields_count--; /* the last one gives way: the first ones matter most */
    values = &finding->fields[finding->fields_count++];
    memset(values, 0, sizeof *values);
    values->message = message;
    values->field = field;
    return values;
}
