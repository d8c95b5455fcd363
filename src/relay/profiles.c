#include "relay/profiles.h"

#include <stddef.h>
#include <string.h>

const struct profile profiles[] = {
#define PROFILE(name, tampers, what, must) {name, tampers, what, must},
#include "relay/profiles.def"
#undef PROFILE
};
const unsigned profiles_count = sizeof profiles / sizeof profiles[0];

const struct profile *profile_find(const char *name) {
    for (unsigned i = 0; i < profiles_count; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    return NULL;
}
