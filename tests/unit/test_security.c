/* Security descriptors: what is shown, inherited and granted, and what is refused as none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/security.h"
#include "wire/files.h"

enum { ALLOW = 0, DENY = 1, OBJECT_INHERIT = 1, CONTAINER_INHERIT = 2, INHERIT_ONLY = 8, INHERITED = 0x10, ALL = 0x001f01ff };

struct entry {
    uint8_t type, flags;
    uint32_t mask;
    uint32_t user; /* of Unix; 0: everyone, 1: CREATOR OWNER */
};

static void sid_put(struct writer *writer, uint32_t user) {
    if (user > 1) {
        writer_u16(writer, 0x0201);
        writer_u16(writer, 0);
        writer_u32_be(writer, 22);
        writer_u32(writer, 1);
        writer_u32(writer, user);
        return;
    }
    writer_u16(writer, 0x0101);
    writer_u16(writer, 0);
    writer_u32_be(writer, user == 0 ? 1 : 3);
    writer_u32(writer, 0);
}

/* A descriptor of user 1000 with these entries. */
static struct span make(uint8_t *octets, size_t size, const struct entry *entries, unsigned count) {
    struct writer writer = writer_over(octets, size), acl;
    uint8_t list[512];

    acl = writer_over(list, sizeof list);
    writer_zero(&acl, 8);
    for (unsigned i = 0; i < count; i++) {
        writer_u8(&acl, entries[i].type);
        writer_u8(&acl, entries[i].flags);
        writer_u16(&acl, entries[i].user > 1 ? 24 : 20);
        writer_u32(&acl, entries[i].mask);
        sid_put(&acl, entries[i].user);
    }
    struct writer head = writer_over(list, 8);
    writer_u16(&head, 2);
    writer_u16(&head, (uint16_t)acl.at);
    writer_u16(&head, (uint16_t)count);
    uint8_t owner[16];
    struct writer sid = writer_over(owner, sizeof owner);
    sid_put(&sid, 1000);
    struct security security = {.control = SECURITY_DACL_PRESENT, .owner = writer_done(&sid), .dacl = writer_done(&acl)};
    security_encode(&security, &writer);
    assert_false(writer.failed);
    return writer_done(&writer);
}

static struct security decoded(struct span octets) {
    struct security security;

    assert_true(security_decode(octets, &security));
    return security;
}

static uint32_t granted(const struct entry *entries, unsigned count, uint32_t user) {
    uint8_t octets[1024];
    struct security security = decoded(make(octets, sizeof octets, entries, count));
    struct security_token token = {.user = user, .group = 50};

    return security_grant(&security, &token);
}

static void default_follows_the_mode(void **state) {
    uint8_t octets[SECURITY_DEFAULT_MAX];
    struct writer writer = writer_over(octets, sizeof octets);
    struct security_token owner = {1000, 50}, member = {1001, 50}, other = {1001, 51};

    (void)state;
    security_default(1000, 50, 0640, false, &writer);
    struct security security = decoded(writer_done(&writer));
    assert_int_equal(security_grant(&security, &owner) & (FILE_READ_DATA | FILE_WRITE_DATA | ACCESS_WRITE_DAC),
                     FILE_READ_DATA | FILE_WRITE_DATA | ACCESS_WRITE_DAC);
    assert_int_equal(security_grant(&security, &member) & (FILE_READ_DATA | FILE_WRITE_DATA), FILE_READ_DATA);
    assert_int_equal(security_grant(&security, &other), 0);
}

static void order_decides(void **state) {
    const struct entry denied[] = {{DENY, 0, FILE_WRITE_DATA, 0}, {ALLOW, 0, FILE_READ_DATA | FILE_WRITE_DATA, 0}};
    const struct entry allowed[] = {{ALLOW, 0, FILE_READ_DATA | FILE_WRITE_DATA, 0}, {DENY, 0, FILE_WRITE_DATA, 0}};
    const struct entry handed_on[] = {{ALLOW, INHERIT_ONLY | OBJECT_INHERIT, ALL, 0}};
    const struct entry generic[] = {{ALLOW, 0, ACCESS_GENERIC_ALL, 2000}};

    (void)state;
    assert_int_equal(granted(denied, 2, 2000), FILE_READ_DATA);
    assert_int_equal(granted(allowed, 2, 2000), FILE_READ_DATA | FILE_WRITE_DATA);
    assert_int_equal(granted(handed_on, 1, 2000), 0);
    assert_int_equal(granted(generic, 1, 2000), ALL);
    assert_int_equal(granted(NULL, 0, 2000), 0);
    assert_int_equal(granted(NULL, 0, 1000), ACCESS_READ_CONTROL | ACCESS_WRITE_DAC); /* the owner's, always */
    struct security open = {.control = SECURITY_DACL_PRESENT};
    assert_int_equal(security_grant(&open, &(struct security_token){1, 1}), ALL);
}

/* Counts the entries of a DACL and finds the flags of the first. */
static unsigned entries_of(const struct security *security, uint8_t *flags) {
    *flags = security->dacl.data[9];
    return security->dacl.data[4];
}

static void inherited(void **state) {
    const struct entry entries[] = {{ALLOW, OBJECT_INHERIT | CONTAINER_INHERIT, ACCESS_GENERIC_READ, 1}, {ALLOW, 0, ALL, 0}};
    const struct entry fixed[] = {{ALLOW, 0, ALL, 0}};
    uint8_t octets[1024], made[1024], flags;
    struct security folder = decoded(make(octets, sizeof octets, entries, 2));
    struct security_token token = {2000, 50};
    struct writer writer = writer_over(made, sizeof made);

    (void)state;
    assert_true(security_inherit(&folder, &token, false, &writer));
    struct security file = decoded(writer_done(&writer));
    assert_int_equal(entries_of(&file, &flags), 1);
    assert_int_equal(flags, INHERITED);
    assert_int_equal(security_grant(&file, &token) & FILE_READ_DATA, FILE_READ_DATA);
    assert_int_equal(security_grant(&file, &(struct security_token){2001, 50}), 0); /* it was the creator's */
    writer = writer_over(made, sizeof made);
    assert_true(security_inherit(&folder, &token, true, &writer));
    struct security below = decoded(writer_done(&writer));
    assert_int_equal(entries_of(&below, &flags), 2); /* one that counts, one to hand on */
    folder = decoded(make(octets, sizeof octets, fixed, 1));
    writer = writer_over(made, sizeof made);
    assert_false(security_inherit(&folder, &token, false, &writer));
}

static void merged(void **state) {
    const struct entry entry = {ALLOW, 0, ALL, 0};
    uint8_t a[512], b[512];
    struct security kept = decoded(make(a, sizeof a, &entry, 1)), changes = decoded(make(b, sizeof b, NULL, 0));

    (void)state;
    changes.control |= SECURITY_DACL_PROTECTED;
    struct security both = security_merge(&kept, &changes, SECURITY_OWNER);
    assert_true(span_equal(both.dacl, kept.dacl));
    assert_int_equal(both.control & SECURITY_DACL_PROTECTED, 0);
    both = security_merge(&kept, &changes, SECURITY_DACL);
    assert_true(span_equal(both.dacl, changes.dacl));
    assert_int_equal(both.control & SECURITY_DACL_PROTECTED, SECURITY_DACL_PROTECTED);
    assert_int_equal(security_part(&kept, SECURITY_OWNER).dacl.size, 0);
}

/* Cut anywhere, or with any octet changed, it is refused or read within its bounds (the sanitizer looks). */
static void malformed(void **state) {
    const struct entry entries[] = {{ALLOW, 3, ALL, 1}, {DENY, 0, ALL, 2000}};
    uint8_t octets[512], inherited_octets[1024];
    struct span whole = make(octets, sizeof octets, entries, 2);
    struct security security;

    (void)state;
    for (size_t size = 0; size < whole.size; size++) {
        uint8_t *cut = malloc(size + 1);
        memcpy(cut, whole.data, size);
        assert_false(security_decode((struct span){cut, size}, &security));
        free(cut);
    }
    for (size_t at = 0; at < whole.size; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            octets[at] ^= (uint8_t)(1u << bit);
            if (security_decode(whole, &security)) {
                struct writer writer = writer_over(inherited_octets, sizeof inherited_octets);
                security_grant(&security, &(struct security_token){2000, 50});
                security_inherit(&security, &(struct security_token){2000, 50}, true, &writer);
            }
            octets[at] ^= (uint8_t)(1u << bit);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_follows_the_mode), cmocka_unit_test(order_decides), cmocka_unit_test(inherited),
        cmocka_unit_test(merged), cmocka_unit_test(malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
