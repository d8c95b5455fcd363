/* As which user of the system an account is served. root, daemon and nobody are users of every system. */
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "serve/mapping.h"
#include "store/identity.h"

/* The user's id; -1: the server's own, else a negative errno less one. */
static int64_t served_as(const char *mapping, const char *account) {
    struct identity *identity;
    int result = mapping_identity(mapping, account, &identity);
    int64_t user = result == 0 && identity != NULL ? (int64_t)identity->user : result - 1;

    assert_true(result == 0 || identity == NULL);
    identity_release(identity);
    return user;
}

static int64_t id_of(const char *user) {
    const struct passwd *entry = getpwnam(user);

    assert_non_null(entry);
    return entry->pw_uid;
}

static void test_what_is_right(void **state) {
    static const char *const right[] = {"", "a=b", "a = b , c=d", "*=*", "*=nobody", "*=*,*=nobody,ada lovelace=ada"};
    static const char *const wrong[] = {"a", "a=", "=b", "a=*", "a=b=c", "a=b,,c=d", "*", "a=b,c"};
    char longest[MAPPING_USER_MAX + 8];

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_null(mapping_wrong(right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(mapping_wrong(wrong[i]));
    memset(longest, 'b', sizeof longest - 1);
    memcpy(longest, "a=", 2);
    longest[sizeof longest - 1] = '\0';
    assert_non_null(mapping_wrong(longest));
    longest[MAPPING_USER_MAX + 1] = '\0';
    assert_null(mapping_wrong(longest));
}

static void test_who_is_who(void **state) {
    int64_t daemon = id_of("daemon"), nobody = id_of("nobody");

    (void)state;
    assert_int_equal(served_as(NULL, "ada"), -1);
    assert_int_equal(served_as("", "ada"), -1);
    assert_int_equal(served_as("ada=daemon", "bob"), -1);
    assert_int_equal(served_as("bob=nobody, ada=daemon", "ADA"), daemon);
    assert_int_equal(served_as("*=nobody,*=*,ada=daemon", "ada"), daemon);
    assert_int_equal(served_as("*=*", "daemon"), daemon);
    assert_int_equal(served_as("*=*", "nobody of this name"), -1);
    assert_int_equal(served_as("*=*,*=nobody", "nobody of this name"), nobody);
    assert_int_equal(served_as("ada=nobody of this name", "ada"), -ENOENT - 1);
}

/* By its own name nobody becomes root, only where it is said. */
static void test_root(void **state) {
    (void)state;
    assert_int_equal(served_as("*=*", "root"), -1);
    assert_int_equal(served_as("*=*,*=nobody", "root"), id_of("nobody"));
    assert_int_equal(served_as("root=root", "root"), 0);
    assert_true(mapping_has_rest("ada=daemon,*=nobody"));
    assert_false(mapping_has_rest("*=*,ada=daemon"));
}

/* They are never who they say that they are. */
static void test_guests(void **state) {
    (void)state;
    assert_int_equal(served_as("ada=daemon,*=*", NULL), -1);
    assert_int_equal(served_as("ada=daemon,*=*,*=nobody", NULL), id_of("nobody"));
}

/* The groups of a user come with him, and nothing stays behind on the way back. */
static void test_groups(void **state) {
    struct identity *identity;

    (void)state;
    assert_int_equal(identity_new("daemon", &identity), 0);
    assert_int_equal(identity->group, getpwnam("daemon")->pw_gid);
    assert_true(identity->group_count >= 1);
    if (identity_take(identity)) {
        identity_drop(identity);
        assert_int_equal(identity_allowed(), 0);
    } else {
        assert_int_not_equal(identity_allowed(), 0);
    }
    assert_ptr_equal(identity_hold(identity), identity);
    identity_release(identity);
    identity_release(identity);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_right), cmocka_unit_test(test_who_is_who), cmocka_unit_test(test_root),
        cmocka_unit_test(test_guests), cmocka_unit_test(test_groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
