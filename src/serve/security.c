#include "serve/security.h"

#include <string.h>

#include "wire/files.h"

enum {
    SID_SIZE_MAX = 8 + 15 * 4, HEADER_SIZE = 20, ACL_HEADER_SIZE = 8, ACE_HEADER_SIZE = 8, ACL_REVISION = 2,
    ACE_ALLOW = 0, ACE_DENY = 1,
    /* [MS-DTYP] 2.4.4.1 */
    ACE_OBJECT_INHERIT = 0x01, ACE_CONTAINER_INHERIT = 0x02, ACE_NO_PROPAGATE = 0x04, ACE_INHERIT_ONLY = 0x08,
    ACE_INHERITED = 0x10,
    ACCESS_ALL = 0x001f01ff,
    ACCESS_OF_OWNER = ACCESS_READ_CONTROL | ACCESS_WRITE_DAC, /* whatever the DACL says */
};
/* Everything about a file but its contents, as whoever owns it has. */
#define ACCESS_MANAGE (ACCESS_ALL & ~(uint32_t)(FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_EXECUTE))

static const uint8_t sid_everyone[] = {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
static const uint8_t sid_creator_owner[] = {1, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0};
static const uint8_t sid_creator_group[] = {1, 1, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0};
static const uint8_t sid_owner_rights[] = {1, 1, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0};
static const uint8_t sid_network[] = {1, 1, 0, 0, 0, 0, 0, 5, 2, 0, 0, 0};
static const uint8_t sid_authenticated[] = {1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0};

enum { UNIX_USER = 1, UNIX_GROUP = 2, UNIX_SID_SIZE = 16 };

struct ace {
    uint8_t type, flags;
    uint32_t mask;
    struct span sid, rest; /* rest: of types that carry more than a SID */
};

uint32_t security_map(uint32_t access) {
    uint32_t mapped = access & ~(ACCESS_GENERIC_READ | ACCESS_GENERIC_WRITE | ACCESS_GENERIC_EXECUTE | ACCESS_GENERIC_ALL);

    if ((access & ACCESS_GENERIC_READ) != 0)
        mapped |= 0x00120089;
    if ((access & ACCESS_GENERIC_WRITE) != 0)
        mapped |= 0x00120116;
    if ((access & ACCESS_GENERIC_EXECUTE) != 0)
        mapped |= 0x001200a0;
    if ((access & ACCESS_GENERIC_ALL) != 0)
        mapped |= ACCESS_ALL;
    return mapped;
}

/* ---- SIDs ---- */

static struct span sid_take(struct reader *reader) {
    struct span rest = span_slice(reader->bytes, reader->at, reader_left(reader));
    size_t size = rest.size >= 8 && rest.data[0] == 1 && rest.data[1] <= 15 ? 8 + 4u * rest.data[1] : SIZE_MAX;

    return reader_take(reader, size);
}

static struct span sid_unix(uint8_t kind, uint32_t id, uint8_t octets[UNIX_SID_SIZE]) {
    struct writer writer = writer_over(octets, UNIX_SID_SIZE);

    writer_u16(&writer, 0x0201);
    writer_u16(&writer, 0);
    writer_u32_be(&writer, 22);
    writer_u32(&writer, kind);
    writer_u32(&writer, id);
    return writer_done(&writer);
}

static bool sid_is(struct span sid, const uint8_t *known, size_t size) {
    return span_equal(sid, (struct span){known, size});
}

static bool token_in(const struct security_token *token, struct span sid) {
    uint8_t group[UNIX_SID_SIZE];
    bool found = span_equal(sid, sid_unix(UNIX_GROUP, token->group, group));

    for (unsigned i = 0; i < token->group_count && !found; i++)
        found = span_equal(sid, sid_unix(UNIX_GROUP, token->groups[i], group));
    return found;
}

static bool token_has(const struct security_token *token, struct span sid, bool is_owner) {
    uint8_t user[UNIX_SID_SIZE];

    return span_equal(sid, sid_unix(UNIX_USER, token->user, user)) || token_in(token, sid) ||
           sid_is(sid, sid_everyone, sizeof sid_everyone) ||
           sid_is(sid, sid_network, sizeof sid_network) || sid_is(sid, sid_authenticated, sizeof sid_authenticated) ||
           (is_owner && sid_is(sid, sid_owner_rights, sizeof sid_owner_rights));
}

/* ---- ACLs ---- */

static struct reader acl_reader(struct span acl) {
    struct reader reader = reader_over(acl);

    reader_skip(&reader, acl.size > 0 ? ACL_HEADER_SIZE : 0);
    return reader;
}

static unsigned acl_count(struct span acl) {
    return acl.size >= ACL_HEADER_SIZE ? (unsigned)(acl.data[4] | acl.data[5] << 8) : 0;
}

/* False: it is malformed. */
static bool ace_take(struct reader *reader, struct ace *ace) {
    struct reader inside;
    uint16_t size;

    *ace = (struct ace){.type = reader_u8(reader), .flags = reader_u8(reader)};
    size = reader_u16(reader);
    inside = reader_over(reader_take(reader, size >= 4 ? size - 4u : SIZE_MAX));
    ace->mask = reader_u32(&inside);
    if (ace->type == ACE_ALLOW || ace->type == ACE_DENY)
        ace->sid = sid_take(&inside);
    ace->rest = reader_take(&inside, reader_left(&inside));
    return !reader->failed && !inside.failed;
}

static void ace_put(struct writer *writer, const struct ace *ace) {
    writer_u8(writer, ace->type);
    writer_u8(writer, ace->flags);
    writer_u16(writer, (uint16_t)(ACE_HEADER_SIZE + ace->sid.size + ace->rest.size));
    writer_u32(writer, ace->mask);
    writer_put(writer, ace->sid);
    writer_put(writer, ace->rest);
}

/* Its header says how long it is; all its entries are whole. */
static struct span acl_take(struct reader *reader) {
    struct span rest = span_slice(reader->bytes, reader->at, reader_left(reader));
    size_t size = rest.size >= ACL_HEADER_SIZE ? (size_t)(rest.data[2] | rest.data[3] << 8) : SIZE_MAX;
    struct span acl = reader_take(reader, size >= ACL_HEADER_SIZE ? size : SIZE_MAX);
    struct reader inside = acl_reader(acl);
    struct ace ace;

    for (unsigned i = acl_count(acl); i > 0 && !reader->failed; i--)
        reader->failed = !ace_take(&inside, &ace);
    return acl;
}

/* Writes the header of an ACL that began at `start` and has `count` entries. */
static void acl_finish(struct writer *writer, size_t start, unsigned count) {
    struct writer head = writer_over(writer->data + start, ACL_HEADER_SIZE);

    writer->failed |= writer->at - start > UINT16_MAX;
    writer_u16(&head, ACL_REVISION);
    writer_u16(&head, (uint16_t)(writer->at - start));
    writer_u16(&head, (uint16_t)count);
    writer_u16(&head, 0);
}

/* ---- descriptors ---- */

static struct span part_take(struct span octets, uint32_t offset, struct span (*take)(struct reader *), bool *failed) {
    struct reader reader = reader_over(span_slice(octets, offset, octets.size));
    struct span part = {NULL, 0};

    if (offset == 0)
        return part;
    part = take(&reader);
    *failed |= reader.failed || offset < HEADER_SIZE;
    return part;
}

bool security_decode(struct span octets, struct security *security) {
    struct reader reader = reader_over(octets);
    uint32_t offsets[4];
    bool failed;

    failed = reader_u16(&reader) % 256 != 1;
    *security = (struct security){.control = reader_u16(&reader)};
    for (unsigned i = 0; i < 4; i++)
        offsets[i] = reader_u32(&reader);
    failed |= reader.failed || octets.size > SECURITY_SIZE_MAX;
    security->owner = part_take(octets, offsets[0], sid_take, &failed);
    security->group = part_take(octets, offsets[1], sid_take, &failed);
    security->sacl = part_take(octets, offsets[2], acl_take, &failed);
    security->dacl = part_take(octets, offsets[3], acl_take, &failed);
    return !failed;
}

void security_encode(const struct security *security, struct writer *writer) {
    const struct span parts[4] = {security->owner, security->group, security->sacl, security->dacl};
    uint32_t at = HEADER_SIZE;

    writer_u16(writer, 1);
    writer_u16(writer, security->control | SECURITY_SELF_RELATIVE);
    for (unsigned i = 0; i < 4; i++) {
        writer_u32(writer, parts[i].size > 0 ? at : 0);
        at += (uint32_t)(parts[i].size + 3) / 4 * 4;
    }
    for (unsigned i = 0; i < 4; i++) {
        writer_put(writer, parts[i]);
        writer_zero(writer, (4 - parts[i].size % 4) % 4);
    }
}

enum {
    CONTROL_DACL = SECURITY_DACL_PRESENT | SECURITY_DACL_AUTO_INHERIT_REQ | SECURITY_DACL_AUTO_INHERITED | SECURITY_DACL_PROTECTED,
    CONTROL_SACL = SECURITY_SACL_PRESENT | SECURITY_SACL_AUTO_INHERIT_REQ | SECURITY_SACL_AUTO_INHERITED | SECURITY_SACL_PROTECTED,
};

static uint16_t control_of(uint32_t information) {
    return (uint16_t)(((information & SECURITY_DACL) != 0 ? CONTROL_DACL : 0) |
                      ((information & SECURITY_SACL) != 0 ? CONTROL_SACL : 0));
}

struct security security_part(const struct security *security, uint32_t information) {
    const struct security none = {0};

    return security_merge(&none, security, information);
}

struct security security_merge(const struct security *kept, const struct security *changes, uint32_t information) {
    struct security merged = *kept;
    uint16_t control = control_of(information);

    merged.control = (uint16_t)((kept->control & ~control) | (changes->control & control));
    if ((information & SECURITY_OWNER) != 0)
        merged.owner = changes->owner;
    if ((information & SECURITY_GROUP) != 0)
        merged.group = changes->group;
    if ((information & SECURITY_DACL) != 0)
        merged.dacl = changes->dacl;
    if ((information & SECURITY_SACL) != 0)
        merged.sacl = changes->sacl;
    return merged;
}

/* ---- of a file that has none ---- */

static uint32_t mode_access(uint32_t bits, bool is_folder) {
    uint32_t access = 0;

    if ((bits & 4) != 0)
        access |= security_map(ACCESS_GENERIC_READ);
    if ((bits & 2) != 0)
        access |= security_map(ACCESS_GENERIC_WRITE) | ACCESS_DELETE | (is_folder ? FILE_DELETE_CHILD : 0);
    if ((bits & 1) != 0)
        access |= security_map(ACCESS_GENERIC_EXECUTE);
    return access;
}

void security_default(uint32_t user, uint32_t group, uint32_t mode, bool is_folder, struct writer *writer) {
    uint8_t octets[SECURITY_DEFAULT_MAX], owner_octets[UNIX_SID_SIZE], group_octets[UNIX_SID_SIZE];
    struct writer dacl = writer_over(octets, sizeof octets);
    struct security security = {.control = SECURITY_DACL_PRESENT, .owner = sid_unix(UNIX_USER, user, owner_octets),
                                .group = sid_unix(UNIX_GROUP, group, group_octets)};
    const struct ace aces[] = {
        {.mask = mode_access(mode >> 6, is_folder) | ACCESS_MANAGE, .sid = security.owner},
        {.mask = mode_access(mode >> 3, is_folder), .sid = security.group},
        {.mask = mode_access(mode, is_folder), .sid = {sid_everyone, sizeof sid_everyone}},
    };
    unsigned count = 0;

    writer_zero(&dacl, ACL_HEADER_SIZE);
    for (unsigned i = 0; i < sizeof aces / sizeof *aces; i++)
        if (aces[i].mask != 0) {
            ace_put(&dacl, &aces[i]);
            count++;
        }
    acl_finish(&dacl, 0, count);
    security.dacl = writer_done(&dacl);
    security_encode(&security, writer);
}

/* ---- inheriting ([MS-DTYP] 2.5.3.4.3 and on) ---- */

static struct span sid_of_creator(struct span sid, struct span owner, struct span group) {
    if (sid_is(sid, sid_creator_owner, sizeof sid_creator_owner))
        return owner;
    return sid_is(sid, sid_creator_group, sizeof sid_creator_group) ? group : sid;
}

/* An entry that counts for what is made, and one that is only handed on where they differ. Yields how many it wrote. */
static unsigned ace_inherit(const struct ace *ace, bool is_folder, const struct security *made, struct writer *writer) {
    struct ace own = *ace, next = *ace;
    bool counts = (ace->flags & (is_folder ? ACE_CONTAINER_INHERIT : ACE_OBJECT_INHERIT)) != 0;
    bool goes_on = is_folder && (ace->flags & ACE_NO_PROPAGATE) == 0 &&
                   (ace->flags & (ACE_CONTAINER_INHERIT | ACE_OBJECT_INHERIT)) != 0;
    unsigned before = (unsigned)counts;

    own.sid = sid_of_creator(ace->sid, made->owner, made->group);
    own.mask = security_map(ace->mask);
    own.flags = ACE_INHERITED;
    next.flags = (uint8_t)((ace->flags & (ACE_CONTAINER_INHERIT | ACE_OBJECT_INHERIT)) | ACE_INHERITED);
    if (counts && goes_on && span_equal(own.sid, ace->sid) && own.mask == ace->mask) {
        own.flags = next.flags;
        goes_on = false;
    }
    if (counts)
        ace_put(writer, &own);
    next.flags |= ACE_INHERIT_ONLY;
    if (goes_on)
        ace_put(writer, &next);
    return before + (unsigned)goes_on;
}

bool security_inherit(const struct security *folder, const struct security_token *token, bool is_folder,
                      struct writer *writer) {
    uint8_t owner[UNIX_SID_SIZE], group[UNIX_SID_SIZE];
    struct security made = {.control = SECURITY_DACL_PRESENT | (folder->control & SECURITY_DACL_AUTO_INHERITED),
                            .owner = sid_unix(UNIX_USER, token->user, owner),
                            .group = sid_unix(UNIX_GROUP, token->group, group)};
    struct reader reader = acl_reader(folder->dacl);
    size_t start = writer->at, dacl_at = start + HEADER_SIZE + 2 * UNIX_SID_SIZE;
    unsigned count = 0;
    struct ace ace;

    writer_zero(writer, HEADER_SIZE + 2 * UNIX_SID_SIZE + ACL_HEADER_SIZE);
    for (unsigned i = acl_count(folder->dacl); i > 0 && ace_take(&reader, &ace); i--)
        count += ace_inherit(&ace, is_folder, &made, writer);
    if (writer->failed || count == 0)
        return false;
    acl_finish(writer, dacl_at, count);
    made.dacl = (struct span){writer->data + dacl_at, writer->at - dacl_at};
    /* The parts in front stand where security_encode() puts them; the DACL stands already. */
    struct writer head = writer_over(writer->data + start, HEADER_SIZE + 2 * UNIX_SID_SIZE);
    struct security front = made;

    security_encode(&front, &head);
    return !writer->failed;
}

/* ---- granting ([MS-DTYP] 2.5.3.2) ---- */

static bool has_owner_rights(struct span dacl) {
    struct reader reader = acl_reader(dacl);
    struct ace ace;

    for (unsigned i = acl_count(dacl); i > 0 && ace_take(&reader, &ace); i--)
        if ((ace.flags & ACE_INHERIT_ONLY) == 0 && sid_is(ace.sid, sid_owner_rights, sizeof sid_owner_rights))
            return true;
    return false;
}

uint32_t security_grant(const struct security *security, const struct security_token *token) {
    bool is_owner = security->owner.size > 0 && token_has(token, security->owner, false);
    struct reader reader = acl_reader(security->dacl);
    uint32_t granted = is_owner && !has_owner_rights(security->dacl) ? ACCESS_OF_OWNER : 0, denied = 0;
    struct ace ace;

    if (security->dacl.size == 0)
        return ACCESS_ALL;
    for (unsigned i = acl_count(security->dacl); i > 0 && ace_take(&reader, &ace); i--) {
        uint32_t mask = security_map(ace.mask) & ACCESS_ALL;

        if ((ace.flags & ACE_INHERIT_ONLY) != 0 || !token_has(token, ace.sid, is_owner))
            continue;
        if (ace.type == ACE_DENY)
            denied |= mask & ~granted;
        else if (ace.type == ACE_ALLOW)
            granted |= mask & ~denied;
    }
    return granted;
}
