#include "client/refusals.h"

#include <stdio.h>

#include "wire/names.h"

static const struct refusal refusals[] = {
#define REFUSAL(name, means, remedy) {STATUS_##name, means, remedy},
#include "client/refusals.def"
#undef REFUSAL
};

const struct refusal *refusal_find(uint32_t status) {
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i].status == status)
            return &refusals[i];
    return NULL;
}

void refusal_sentence(uint32_t status, char *text, size_t size) {
    const struct refusal *refusal = refusal_find(status);
    const char *name = ntstatus_name(status);
    char number[16];

    snprintf(number, sizeof number, "0x%08x", (unsigned)status);
    if (refusal == NULL)
        snprintf(text, size, "the server refused it with %s; `smbproof explain %s' may know more",
                 name != NULL ? name : number, number);
    else
        snprintf(text, size, "%s (%s)%s%s", refusal->means, name, refusal->remedy[0] != '\0' ? ". " : "",
                 refusal->remedy);
}
