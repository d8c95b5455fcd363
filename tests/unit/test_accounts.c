/* The file of accounts: what it may be, how it is read again, how it is changed; and passwords from
 * descriptors and files. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/accounts_file.h"
#include "auth/accounts_line.h"
#include "auth/credentials.h"
#include "logon.h"
#include "wire/text.h"

#define HASH "000102030405060708090A0B0C0D0E0F"

static bool find(struct accounts *accounts, const char *name, struct account *account) {
    uint8_t room[4 * AUTH_NAME_MAX];
    struct writer writer = writer_over(room, sizeof room);

    assert_true(text_to_utf16(text_span(name), &writer));
    return accounts_find(accounts, writer_done(&writer), account);
}

static bool is_there(struct accounts *accounts, const char *name) {
    struct account account;

    return find(accounts, name, &account);
}

static int open_text(const char *content, char problem[ACCOUNTS_PROBLEM_MAX]) {
    char *path = accounts_file_make(content);
    struct accounts *accounts = NULL;
    int result = accounts_open(path, &accounts, problem);

    accounts_close(accounts);
    accounts_file_remove(path);
    return result;
}

static void test_lines(void **state) {
    (void)state;
    static const struct {
        const char *content;
        int result;
        const char *problem;
    } cases[] = {
        {"", 0, ""},
        {"\n\n# all: right\n", 0, ""},
        {"a:" HASH ":", 0, ""},
        {"a:" HASH "\n", 0, ""},
        {"a:" HASH ":disabled\n", 0, ""},
        {"a b.c@d\\e:" HASH ":\n", 0, ""},
        {"a\n", -EBADMSG, "line 1: the hash"},
        {"\na:" HASH "0:\n", -EBADMSG, "line 2: the hash"},
        {"a:00010203040506070809\n", -EBADMSG, "line 1: the hash"},
        {"a:000102030405060708090A0B0C0D0E0G:\n", -EBADMSG, "line 1: the hash"},
        {"a:" HASH ":Disabled\n", -EBADMSG, "line 1: the only flag"},
        {"a:" HASH "::\n", -EBADMSG, "line 1: the only flag"},
        {"a:" HASH ":\r\n", -EBADMSG, "line 1: the only flag"},
        {":" HASH ":\n", -EBADMSG, "line 1: a user needs a name"},
        {"a\t:" HASH ":\n", -EBADMSG, "line 1: a name cannot have a control"},
        {"a\xc2\x85:" HASH ":\n", -EBADMSG, "line 1: a name cannot have a control"},
        {"\xff:" HASH ":\n", -EBADMSG, "line 1: the name is not UTF-8"},
        {"J\xc3\xbcrgen:" HASH ":\n\nj\xc3\x9cRGEN:" HASH ":\n", -EBADMSG, "line 3: this user"},
    };
    char problem[ACCOUNTS_PROBLEM_MAX];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(open_text(cases[i].content, problem), cases[i].result);
        if (cases[i].problem[0] == '\0')
            assert_string_equal(problem, "");
        else
            assert_non_null(strstr(problem, cases[i].problem));
        assert_null(strstr(problem, "0001020304")); /* no hash in a message */
    }
}

static void test_find(void **state) {
    (void)state;
    char *path = accounts_file_make("Alice:" HASH ":\nbob:" HASH ":disabled\n");
    struct accounts *accounts;
    struct account account;
    static const uint8_t hash[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    assert_int_equal(accounts_open(path, &accounts, NULL), 0);
    assert_int_equal(accounts_count(accounts), 2);
    assert_true(find(accounts, "aLICE", &account));
    assert_string_equal(account.name, "Alice");
    assert_memory_equal(account.nt_hash, hash, sizeof hash);
    assert_false(account.disabled);
    assert_true(find(accounts, "Bob", &account));
    assert_true(account.disabled);
    assert_false(find(accounts, "Alic", &account));
    assert_string_equal(account.name, "");
    assert_memory_not_equal(account.nt_hash, hash, sizeof hash);
    assert_false(find(accounts, "", &account));
    assert_false(accounts_find(accounts, (struct span){(const uint8_t *)"a", 1}, &account));
    assert_false(accounts_find(NULL, (struct span){0}, &account));
    assert_true(accounts_allow(accounts, "alice"));
    assert_false(accounts_allow(accounts, "bob"));
    assert_false(accounts_allow(accounts, "Alic"));
    assert_false(accounts_allow(NULL, "alice"));
    accounts_close(accounts);
    accounts_close(NULL);
    accounts_file_remove(path);
}

/* An unknown name never has the hash of all zeros, nor the same one in the next process. */
static void test_dummies_differ(void **state) {
    (void)state;
    char *path = accounts_file_make("");
    struct accounts *first, *second;
    struct account a, b;

    assert_int_equal(accounts_open(path, &first, NULL), 0);
    assert_int_equal(accounts_open(path, &second, NULL), 0);
    assert_false(find(first, "x", &a));
    assert_false(find(second, "x", &b));
    assert_memory_not_equal(a.nt_hash, b.nt_hash, sizeof a.nt_hash);
    accounts_close(first);
    accounts_close(second);
    accounts_file_remove(path);
}

static void test_modes(void **state) {
    (void)state;
    static const mode_t modes[] = {0601, 0610, 0640, 0604, 0644, 0666, 0700};
    char *path = accounts_file_make("a:" HASH ":\n"), problem[ACCOUNTS_PROBLEM_MAX];
    struct accounts *accounts;

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(accounts_open(path, &accounts, problem), -EACCES);
        assert_non_null(strstr(problem, "chmod 600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(accounts_open(path, &accounts, NULL), 0);
    accounts_close(accounts);
    accounts_file_remove(path);
    assert_int_equal(accounts_open("/nonexistent/accounts", &accounts, problem), -ENOENT);
    assert_int_equal(accounts_open("/", &accounts, problem), -EINVAL);
}

static void test_reload(void **state) {
    (void)state;
    char *path = accounts_file_make("a:" HASH ":\n"), problem[ACCOUNTS_PROBLEM_MAX];
    struct accounts *accounts;

    assert_int_equal(accounts_open(path, &accounts, NULL), 0);
    assert_true(is_there(accounts, "a"));
    accounts_file_write(path, "b:" HASH ":\n");
    assert_true(is_there(accounts, "b"));
    assert_false(is_there(accounts, "a"));
    assert_false(accounts_problem(accounts, problem));

    /* What is wrong changes nothing, until it is right again. */
    accounts_file_write(path, "c:" HASH ":\nd\n");
    assert_true(is_there(accounts, "b"));
    assert_false(is_there(accounts, "c"));
    assert_true(accounts_problem(accounts, problem));
    assert_non_null(strstr(problem, "line 2"));
    assert_int_equal(unlink(path), 0);
    assert_true(is_there(accounts, "b"));
    assert_true(accounts_problem(accounts, problem));
    accounts_file_write(path, "c:" HASH ":\n");
    assert_true(is_there(accounts, "c"));
    assert_false(accounts_problem(accounts, problem));

    /* A mode that is too wide counts as a change, too, and so does its end. */
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(is_there(accounts, "c"));
    assert_true(accounts_problem(accounts, problem));
    assert_int_equal(chmod(path, 0600), 0);
    assert_false(accounts_problem(accounts, problem));
    accounts_close(accounts);
    accounts_file_remove(path);
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Of CPU time. A scan of the file for each name would take minutes; a slow machine, or valgrind,
 * does not. */
#define USERS         10000
#define SECONDS_LIMIT 20.0

static void test_many(void **state) {
    (void)state;
    char *content = malloc(USERS * 64), *at = content, *path, name[32];
    struct accounts *accounts;
    struct timespec start;

    for (int i = 0; i < USERS; i++)
        at += sprintf(at, "user%d:%032X:\n", i, (unsigned)i);
    path = accounts_file_make(content);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    assert_int_equal(accounts_open(path, &accounts, NULL), 0);
    assert_int_equal(accounts_count(accounts), USERS);
    for (int i = 0; i < USERS; i++) {
        struct account account;

        snprintf(name, sizeof name, "USER%d", i);
        assert_true(find(accounts, name, &account));
        assert_int_equal(account.nt_hash[15], i & 0xff);
        assert_int_equal(account.nt_hash[14], i >> 8);
        snprintf(name, sizeof name, "nobody%d", i);
        assert_false(find(accounts, name, &account));
    }
    assert_true(seconds_since(&start) < SECONDS_LIMIT);
    accounts_close(accounts);
    accounts_file_remove(path);
    free(content);
}

/* ---- changes ---- */

static void assert_content(const char *path, const char *expected) {
    char content[1024];
    FILE *file = fopen(path, "r");
    struct stat status;
    size_t size;

    assert_non_null(file);
    size = fread(content, 1, sizeof content - 1, file);
    content[size] = '\0';
    assert_int_equal(fstat(fileno(file), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    fclose(file);
    assert_string_equal(content, expected);
}

static int change(const char *path, enum accounts_change_kind kind, const char *user) {
    struct accounts_change change = {.kind = kind, .user = user};
    char problem[ACCOUNTS_PROBLEM_MAX];
    int result;

    for (uint8_t i = 0; i < sizeof change.nt_hash; i++)
        change.nt_hash[i] = i;
    result = accounts_change(path, &change, problem);
    assert_int_equal(problem[0] != '\0', result != 0);
    return result;
}

static void test_change(void **state) {
    (void)state;
    char *path = accounts_file_make("# kept\n");

    assert_int_equal(change(path, ACCOUNT_SET, "Alice"), 0);
    assert_content(path, "# kept\nAlice:" HASH ":\n");
    assert_int_equal(change(path, ACCOUNT_SET, "Bob"), 0);
    assert_int_equal(change(path, ACCOUNT_DISABLE, "ALICE"), 0);
    assert_content(path, "# kept\nAlice:" HASH ":disabled\nBob:" HASH ":\n");
    assert_int_equal(change(path, ACCOUNT_SET, "alice"), 0); /* stays disabled */
    assert_content(path, "# kept\nAlice:" HASH ":disabled\nBob:" HASH ":\n");
    assert_int_equal(change(path, ACCOUNT_ENABLE, "alice"), 0);
    assert_int_equal(change(path, ACCOUNT_DELETE, "bob"), 0);
    assert_content(path, "# kept\nAlice:" HASH ":\n");
    assert_int_equal(change(path, ACCOUNT_DELETE, "bob"), -ENOENT);
    assert_int_equal(change(path, ACCOUNT_ENABLE, "bob"), -ENOENT);
    assert_int_equal(change(path, ACCOUNT_SET, "a:b"), -EINVAL);
    assert_int_equal(change(path, ACCOUNT_SET, "a\nb"), -EINVAL);
    assert_int_equal(change(path, ACCOUNT_SET, "#a"), -EINVAL);
    assert_int_equal(change(path, ACCOUNT_SET, ""), -EINVAL);
    assert_content(path, "# kept\nAlice:" HASH ":\n");
    accounts_file_write(path, "wrong\n");
    assert_int_equal(change(path, ACCOUNT_SET, "alice"), -EBADMSG);
    assert_content(path, "wrong\n");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(change(path, ACCOUNT_SET, "alice"), -EACCES);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(change(path, ACCOUNT_DELETE, "alice"), -ENOENT);
    assert_int_equal(change(path, ACCOUNT_SET, "alice"), 0);
    assert_content(path, "alice:" HASH ":\n");
    accounts_file_remove(path);
}

/* ---- passwords ---- */

static int from_pipe(const char *text, size_t size, char password[CREDENTIALS_ROOM], char *rest) {
    int ends[2], result;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, size), size);
    close(ends[1]);
    memset(password, 'x', CREDENTIALS_ROOM);
    result = credentials_from_descriptor(ends[0], password);
    if (rest != NULL)
        rest[read(ends[0], rest, 16)] = '\0';
    close(ends[0]);
    return result;
}

static void test_password_lines(void **state) {
    (void)state;
    char password[CREDENTIALS_ROOM], rest[17], longest[AUTH_PASSWORD_MAX + 2];
    static const char zero[CREDENTIALS_ROOM];

    assert_int_equal(from_pipe("secret\nmore", 11, password, rest), 0);
    assert_string_equal(password, "secret");
    assert_string_equal(rest, "more");
    assert_int_equal(from_pipe(" a b \r\n", 7, password, NULL), 0);
    assert_string_equal(password, " a b ");
    assert_int_equal(from_pipe("no newline", 10, password, NULL), 0);
    assert_string_equal(password, "no newline");
    assert_int_equal(from_pipe("\n", 1, password, NULL), 0);
    assert_string_equal(password, "");
    assert_int_equal(from_pipe("", 0, password, NULL), -ENODATA);
    assert_int_equal(from_pipe("sec\0ret\n", 8, password, NULL), -EILSEQ);
    assert_memory_equal(password, zero, sizeof zero); /* wiped */
    assert_int_equal(from_pipe("\xff\n", 2, password, NULL), -EILSEQ);
    memset(longest, 'y', sizeof longest);
    longest[AUTH_PASSWORD_MAX] = '\n';
    assert_int_equal(from_pipe(longest, AUTH_PASSWORD_MAX + 1, password, NULL), 0);
    assert_int_equal(strlen(password), AUTH_PASSWORD_MAX);
    longest[AUTH_PASSWORD_MAX] = 'y';
    assert_int_equal(from_pipe(longest, AUTH_PASSWORD_MAX + 1, password, NULL), -E2BIG);
    assert_memory_equal(password, zero, sizeof zero);
    assert_int_equal(credentials_from_descriptor(-1, password), -EBADF);
}

static void test_password_sources(void **state) {
    (void)state;
    char *path = accounts_file_make("from file\n"), password[CREDENTIALS_ROOM];
    char variable[] = CREDENTIALS_VARIABLE "=from environment";
    struct credentials_sources sources = {.file = path, .descriptor = -1, .environment = true};

    assert_int_equal(putenv(variable), 0);
    assert_int_equal(credentials_read(&sources, password), 0);
    assert_string_equal(password, "from file");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(credentials_read(&sources, password), -EACCES);
    sources.file = NULL;
    assert_int_equal(credentials_read(&sources, password), 0);
    assert_string_equal(password, "from environment");
    assert_null(getenv(CREDENTIALS_VARIABLE)); /* gone, and its octets, too */
    assert_string_equal(variable + sizeof CREDENTIALS_VARIABLE, "");
    assert_int_equal(credentials_read(&sources, password), -ENODATA);
    sources.file = "/nonexistent";
    assert_int_equal(credentials_read(&sources, password), -ENOENT);
    accounts_file_remove(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_dummies_differ),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_password_lines),
        cmocka_unit_test(test_password_sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
