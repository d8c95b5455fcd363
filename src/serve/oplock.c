#include "serve/oplock.h"

bool oplock_is_glance(uint32_t access, bool overwrites) {
    return !overwrites && (access & ~(uint32_t)(FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | ACCESS_SYNCHRONIZE)) == 0;
}

bool oplock_is_alone(enum oplock_level level) {
    return level == OPLOCK_LEVEL_EXCLUSIVE || level == OPLOCK_LEVEL_BATCH;
}

/* Where share modes are violated the open fails, unless the holder of a batch oplock closes its file when it is asked. */
enum oplock_level oplock_left(enum oplock_level held, const struct oplock_claim *claim) {
    if (held == OPLOCK_LEVEL_NONE || oplock_is_glance(claim->access, claim->overwrites))
        return held;
    if (claim->violates_share)
        return held == OPLOCK_LEVEL_BATCH ? OPLOCK_LEVEL_II : held;
    return claim->overwrites ? OPLOCK_LEVEL_NONE : OPLOCK_LEVEL_II;
}

enum oplock_level oplock_granted(enum oplock_level wanted, bool is_glance, const struct oplock_scene *scene) {
    if (scene->is_folder || (wanted != OPLOCK_LEVEL_II && !oplock_is_alone(wanted)))
        return OPLOCK_LEVEL_NONE;
    if (is_glance && (scene->has_opens || scene->has_oplocks))
        return OPLOCK_LEVEL_NONE;
    if (oplock_is_alone(wanted) && !scene->has_opens && !scene->has_oplocks)
        return wanted;
    return scene->has_locks ? OPLOCK_LEVEL_NONE : OPLOCK_LEVEL_II;
}

uint32_t oplock_acknowledged(enum oplock_level held, enum oplock_level acknowledged, enum oplock_level *left) {
    *left = OPLOCK_LEVEL_NONE;
    if (acknowledged == OPLOCK_LEVEL_LEASE)
        return STATUS_INVALID_PARAMETER;
    if (acknowledged == OPLOCK_LEVEL_EXCLUSIVE) /* nothing breaks to that here */
        return held == OPLOCK_LEVEL_BATCH ? STATUS_SUCCESS : STATUS_INVALID_OPLOCK_PROTOCOL;
    if (acknowledged != OPLOCK_LEVEL_II && acknowledged != OPLOCK_LEVEL_NONE)
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    *left = acknowledged;
    return STATUS_SUCCESS;
}
