/* The store over a folder: what is done, what is refused, and that nothing leads out of it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/directory.h"
#include "store/names.h"

struct bench {
    char folder[64], shared[80];
    struct store *store;
    unsigned entries, room;
    char last[STORE_NAME_MAX];
};

/* In place of threads: at once. */
bool workers_submit(struct workers *workers, struct job *job) {
    assert_non_null(workers);
    job->work(job);
    job->done(job);
    return true;
}

static void finished(struct store_op *op) {
    ++*(unsigned *)op->owner;
}

static int64_t run(struct bench *bench, struct store_op *op) {
    unsigned calls = 0;
    void *owner = op->owner;
    op->owner = &calls;
    op->done = finished;
    store_submit(bench->store, op);
    op->owner = owner;
    assert_int_equal(calls, 1);
    return op->result;
}

static int64_t open_path(struct bench *bench, const char *path, enum store_how how, struct store_file **file) {
    struct store_op op = {.kind = STORE_OPEN, .path = path, .how = how, .want_write = how != STORE_MUST_EXIST};
    int64_t result = run(bench, &op);
    *file = result == 0 ? op.file : NULL;
    return result;
}

static int64_t on(struct bench *bench, struct store_file *file, enum store_kind kind, void *data, uint64_t size) {
    return run(bench, &(struct store_op){.kind = kind, .file = file, .data = data, .size = size});
}

static int set_up(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    int error;
    strcpy(bench->folder, "/tmp/smbproof-store-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    snprintf(bench->shared, sizeof bench->shared, "%s/shared", bench->folder);
    assert_int_equal(mkdir(bench->shared, 0700), 0);
    bench->store = directory_new(bench->shared, &(struct directory_settings){0}, NULL, &error);
    assert_non_null(bench->store);
    *state = bench;
    return 0;
}

static int tear_down(void **state) {
    struct bench *bench = *state;
    char command[128];
    store_free(bench->store);
    snprintf(command, sizeof command, "rm -r '%s'", bench->folder);
    assert_int_equal(system(command), 0);
    free(bench);
    return 0;
}

static void contents(void **state) {
    struct store_file *file;
    char data[8] = "";
    assert_int_equal(open_path(*state, "Letter", STORE_MUST_NOT_EXIST, &file), 0);
    assert_int_equal(on(*state, file, STORE_WRITE, "hello", 5), 5);
    assert_int_equal(on(*state, file, STORE_READ, data, sizeof data), 5);
    assert_string_equal(data, "hello");
    assert_int_equal(on(*state, file, STORE_FLUSH, NULL, 0), 0);
    assert_int_equal(on(*state, file, STORE_TRUNCATE, NULL, 2), 0);
    assert_int_equal(on(*state, file, STORE_READ, data, sizeof data), 2);
    assert_int_equal(on(*state, file, STORE_CLOSE, NULL, 0), 0);
    assert_int_equal(open_path(*state, "lETTER", STORE_MUST_NOT_EXIST, &file), -EEXIST);
    assert_int_equal(open_path(*state, "lETTER", STORE_MUST_EXIST, &file), 0);
    char path[STORE_PATH_MAX];
    struct bench *bench = *state;
    assert_int_equal(bench->store->methods->path(bench->store, file, path), 0);
    assert_string_equal(path, "Letter");
    struct store_op rename = {.kind = STORE_RENAME, .file = file, .path = "LETTER"};
    assert_int_equal(run(bench, &rename), 0);
    assert_int_equal(bench->store->methods->path(bench->store, file, path), 0);
    assert_string_equal(path, "LETTER");
    assert_int_equal(on(bench, file, STORE_REMOVE, NULL, 0), 0);
    assert_int_equal(on(bench, file, STORE_CLOSE, NULL, 0), 0);
    assert_int_equal(open_path(bench, "letter", STORE_MUST_EXIST, &file), -ENOENT);
}

static void streams(void **state) {
    char data[4] = "";
    struct store_op op = {.kind = STORE_OPEN, .path = "f", .stream = "Side", .how = STORE_EITHER, .want_write = true};
    assert_int_equal(run(*state, &op), 0);
    assert_int_equal(on(*state, op.file, STORE_WRITE, "abc", 3), 3);
    assert_int_equal(on(*state, op.file, STORE_WRITE, "", STORE_STREAM_MAX + 1), -EFBIG);
    assert_int_equal(on(*state, op.file, STORE_CLOSE, NULL, 0), 0);
    struct store_op again = {.kind = STORE_OPEN, .path = "F", .stream = "sIDE", .how = STORE_MUST_EXIST};
    assert_int_equal(run(*state, &again), 0);
    assert_int_equal(again.attributes.size, 3);
    assert_int_equal(on(*state, again.file, STORE_READ, data, sizeof data), 3);
    assert_string_equal(data, "abc");
    struct store_op security = {.kind = STORE_SECURITY_GET, .file = again.file};
    assert_int_equal(run(*state, &security), 0);
    assert_null(security.security);
    assert_int_equal(on(*state, again.file, STORE_CLOSE, NULL, 0), 0);
}

static void confined(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char link[128];
    for (const char *const *path = (const char *const[]){"..", "../shared", "/etc", "a//b", ".", "a/..", "\xEF\x80\xAE", NULL};
         *path != NULL; path++)
        assert_int_equal(open_path(bench, *path, STORE_MUST_EXIST, &file), -EINVAL);
    for (const char *const *target = (const char *const[]){"/etc", "..", "../..", NULL}; *target != NULL; target++) {
        snprintf(link, sizeof link, "%s/out", bench->shared);
        assert_int_equal(symlink(*target, link), 0);
        assert_int_equal(open_path(bench, "out", STORE_MUST_EXIST, &file), -EACCES);
        assert_int_equal(open_path(bench, "OUT/new", STORE_EITHER, &file), -EACCES);
        assert_int_equal(unlink(link), 0);
    }
}

static bool entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct bench *bench = op->listing != NULL ? NULL : op->data;
    assert_true(attributes->links > 0);
    if (bench->room == 0)
        return false;
    bench->room--;
    bench->entries++;
    strcpy(bench->last, name);
    return true;
}

static void listing(void **state) {
    struct bench *bench = *state;
    struct store_file *file, *root;
    char name[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "n%u.txt", i);
        assert_int_equal(open_path(bench, name, STORE_MUST_NOT_EXIST, &file), 0);
        on(bench, file, STORE_CLOSE, NULL, 0);
    }
    assert_int_equal(open_path(bench, "", STORE_MUST_EXIST, &root), 0);
    struct store_op op = {.kind = STORE_LIST, .file = root, .entry = entry, .data = bench, .pattern = "N*.TXT"};
    int64_t count;
    do {
        bench->room = 7;
        count = run(bench, &op);
        assert_in_range(count, 0, 7);
    } while (count > 0);
    assert_int_equal(bench->entries, 300);
    on(bench, root, STORE_CLOSE, NULL, 0);
}

static void refused(void **state) {
    struct bench *bench = *state;
    struct store_file *file, *other;
    int error;
    assert_int_equal(open_path(bench, "a", STORE_EITHER, &file), 0);
    assert_int_equal(open_path(bench, "B", STORE_EITHER, &other), 0);
    struct store_op rename = {.kind = STORE_RENAME, .file = file, .path = "b"};
    assert_int_equal(run(bench, &rename), -EEXIST);
    rename.replace = true;
    assert_int_equal(run(bench, &rename), 0);
    struct store_op deep = {.kind = STORE_OPEN, .path = "none/x", .how = STORE_EITHER};
    assert_int_equal(run(bench, &deep), -ENOENT);
    assert_true(deep.path_missing);
    struct store_op folder = {.kind = STORE_OPEN, .path = "B", .want_folder = true};
    assert_int_equal(run(bench, &folder), -ENOTDIR);
    on(bench, file, STORE_CLOSE, NULL, 0);
    on(bench, other, STORE_CLOSE, NULL, 0);
    store_free(bench->store);
    bench->store = directory_new(bench->shared, &(struct directory_settings){.read_only = true}, NULL, &error);
    assert_int_equal(open_path(bench, "new", STORE_EITHER, &file), -EROFS);
    struct store_op made = {.kind = STORE_OPEN, .path = "new", .how = STORE_EITHER};
    assert_int_equal(run(bench, &made), -EROFS);
}

static void patterns(void **state) {
    (void)state;
    assert_true(pattern_matches("*", "a"));
    assert_true(pattern_matches("a?c", "ABC"));
    assert_false(pattern_matches("a?c", "ac"));
    assert_true(pattern_matches("<.txt", "a.b.txt"));
    assert_false(pattern_matches("<b", "a.b"));
    assert_true(pattern_matches("a>>", "a"));
    assert_true(pattern_matches("a\"", "a"));
    assert_false(pattern_matches("*x", "abc"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(confined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
