/* Sets of alterations, each named after a box or an attack that is known. */
#ifndef SMBPROOF_RELAY_PROFILES_H
#define SMBPROOF_RELAY_PROFILES_H

struct profile {
    const char *name;
    const char *tampers; /* separated by " ; " */
    const char *what;
    const char *must;    /* happen */
};

extern const struct profile profiles[];
extern const unsigned profiles_count;

/* NULL where there is none of that name. */
const struct profile *profile_find(const char *name);

#endif
