#include "store/identity.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Octets of a user's entry in the system's list, at most. */
#define ENTRY_SIZE 65536u
/* Groups that are asked for at first; there may be more. */
#define GROUPS_FIRST 64

static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are kept as the kernel takes them");

/* -ENOENT: nobody has this name. */
static int find_user(const char *name, uid_t *user, gid_t *group) {
    struct passwd entry, *found = NULL;
    char *octets = malloc(ENTRY_SIZE);
    int error = octets == NULL ? ENOMEM : getpwnam_r(name, &entry, octets, ENTRY_SIZE, &found);

    if (found != NULL) {
        *user = entry.pw_uid;
        *group = entry.pw_gid;
    }
    free(octets);
    if (found != NULL)
        return 0;
    return error == 0 || error == ESRCH ? -ENOENT : -error;
}

/* Of malloc(); NULL: no memory. */
static gid_t *find_groups(const char *user, gid_t group, int *count) {
    gid_t *groups = NULL;

    for (*count = GROUPS_FIRST;;) {
        gid_t *more = realloc(groups, (size_t)*count * sizeof *groups);

        if (more == NULL) {
            free(groups);
            return NULL;
        }
        groups = more;
        if (getgrouplist(user, group, groups, count) >= 0)
            return groups;
    }
}

static struct identity *identity_make(uid_t user, gid_t group, const gid_t *groups, int count) {
    int own_count = getgroups(0, NULL);
    size_t size = own_count < 0 ? 0 : (size_t)(count + own_count) * sizeof *groups;
    struct identity *identity = own_count < 0 ? NULL : malloc(sizeof *identity + size);

    if (identity == NULL)
        return NULL;
    *identity = (struct identity){.user = user, .group = group, .group_count = (unsigned)count,
                                  .own_count = (unsigned)own_count, .groups = (uint32_t *)(identity + 1)};
    identity->own_groups = identity->groups + count;
    atomic_init(&identity->holders, 1);
    memcpy(identity->groups, groups, (size_t)count * sizeof *groups);
    if (getgroups(own_count, identity->own_groups) == own_count)
        return identity;
    free(identity);
    return NULL;
}

int identity_new(const char *user, struct identity **identity) {
    uid_t id = 0;
    gid_t group = 0;
    int count, result = find_user(user, &id, &group);
    gid_t *groups = result == 0 ? find_groups(user, group, &count) : NULL;

    *identity = groups != NULL ? identity_make(id, group, groups, count) : NULL;
    free(groups);
    return result == 0 && *identity == NULL ? -ENOMEM : result;
}

struct identity *identity_hold(struct identity *identity) {
    if (identity != NULL)
        atomic_fetch_add(&identity->holders, 1);
    return identity;
}

void identity_release(struct identity *identity) {
    if (identity != NULL && atomic_fetch_sub(&identity->holders, 1) == 1)
        free(identity);
}

static bool groups_set(unsigned count, const uint32_t *groups) {
    return syscall(SYS_setgroups, count, groups) == 0;
}

/* These calls do not say whether they failed: -1 is nobody, and so only asks. */
static bool ids_set(uid_t user, gid_t group) {
    setfsgid(group);
    setfsuid(user);
    return (gid_t)setfsgid((gid_t)-1) == group && (uid_t)setfsuid((uid_t)-1) == user;
}

bool identity_take(const struct identity *identity) {
    if (identity == NULL)
        return true;
    if (!groups_set(identity->group_count, identity->groups))
        return false;
    if (ids_set(identity->user, identity->group))
        return true;
    identity_drop(identity);
    return false;
}

/* The way back is always open; a thread that stayed somebody else would be worse than none. */
void identity_drop(const struct identity *identity) {
    bool is_back = identity == NULL ||
                   (ids_set(geteuid(), getegid()) && groups_set(identity->own_count, identity->own_groups));

    if (!is_back)
        abort();
}

int identity_allowed(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    const uint32_t wanted = CAP_TO_MASK(CAP_SETUID) | CAP_TO_MASK(CAP_SETGID);

    if (syscall(SYS_capget, &header, data) != 0)
        return -errno;
    return (data[0].effective & wanted) == wanted ? 0 : -EPERM;
}
