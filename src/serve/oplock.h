/* What opens do to each other's oplocks: pure functions ([MS-FSA] 2.1.4.12, 2.1.5.18, [MS-SMB2] 3.3.5.22.1). */
#ifndef SMBPROOF_SERVE_OPLOCK_H
#define SMBPROOF_SERVE_OPLOCK_H

#include "wire/files.h"

/* How an open comes to a file that others have open. */
struct oplock_claim {
    uint32_t access;     /* access_mask */
    bool overwrites;     /* its disposition replaces the contents */
    bool violates_share; /* the other's share mode and this one's access, or the other way round, do not agree */
};

/* For attributes alone: such an open breaks no oplock, and none is broken for it. */
bool oplock_is_glance(uint32_t access, bool overwrites);
/* What an oplock that is held comes down to where such an open comes; the same level: it stays. */
enum oplock_level oplock_left(enum oplock_level held, const struct oplock_claim *claim);
/* Must its holder agree before anybody else goes on? */
bool oplock_is_alone(enum oplock_level level);

/* What a file looks like to the open that asks for an oplock. */
struct oplock_scene {
    bool is_folder;
    bool has_opens;   /* others than glances without an oplock */
    bool has_oplocks; /* one of them has an oplock */
    bool has_locks;   /* byte ranges are locked */
};

/* What is granted of what is asked for. Leases are not: whoever asks for one gets no oplock either. */
enum oplock_level oplock_granted(enum oplock_level wanted, bool is_glance, const struct oplock_scene *scene);

/* The acknowledgment of a break from `held` to less: an NTSTATUS, and what is left of the oplock. */
uint32_t oplock_acknowledged(enum oplock_level held, enum oplock_level acknowledged, enum oplock_level *left);

#endif
