/* What changes in a folder, as it is told: on a real event loop, over a real folder. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/watch.h"

enum { PATIENCE_MS = 5000, SAID_SIZE = 1024 };

struct bench {
    struct watch watch; /* first */
    struct loop_timer patience;
    struct loop *loop;
    struct workers *workers;
    struct watcher *watcher;
    char folder[64], said[SAID_SIZE];
    const char *wanted;
    bool is_freed;
};

/* Attributes change more than once for some of these, so they do not count. */
static void changed(struct watch *watch, enum watch_event event, bool is_folder, const char *path) {
    static const char *const words[] = {"+", "-", "=", NULL, "<", ">", "lost"};
    struct bench *bench = (struct bench *)watch;
    size_t size = strlen(bench->said);

    if (words[event] != NULL)
        snprintf(bench->said + size, SAID_SIZE - size, "%s%s%s ", words[event], path, is_folder ? "/" : "");
}

static void settled(struct watch *watch) {
    struct bench *bench = (struct bench *)watch;

    if (strlen(bench->said) >= strlen(bench->wanted))
        loop_stop(bench->loop);
}

static void freed(struct watch *watch) {
    struct bench *bench = (struct bench *)watch;

    bench->is_freed = true;
    loop_stop(bench->loop);
}

static void impatient(struct loop_timer *timer) {
    struct bench *bench = (struct bench *)((char *)timer - offsetof(struct bench, patience));

    loop_stop(bench->loop);
}

/* Lets the loop run until as much was said as is wanted. */
static void expect(struct bench *bench, const char *wanted) {
    bench->wanted = wanted;
    assert_int_equal(loop_timer_set(bench->loop, &bench->patience, PATIENCE_MS), 0);
    if (strlen(bench->said) < strlen(wanted))
        assert_int_equal(loop_run(bench->loop), 0);
    loop_timer_clear(bench->loop, &bench->patience);
    assert_string_equal(bench->said, wanted);
    bench->said[0] = '\0';
}

static void in_folder(struct bench *bench, char path[256], const char *name) {
    snprintf(path, 256, "%s/%s", bench->folder, name);
}

static void make_folder(struct bench *bench, const char *name) {
    char path[256];

    in_folder(bench, path, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_file(struct bench *bench, const char *name, const char *text) {
    char path[256];
    int file;

    in_folder(bench, path, name);
    file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
}

static void move(struct bench *bench, const char *from, const char *to) {
    char old[256], new[256];

    in_folder(bench, old, from);
    in_folder(bench, new, to);
    assert_int_equal(rename(old, new), 0);
}

static void take_away(struct bench *bench, const char *name) {
    char path[256];

    in_folder(bench, path, name);
    assert_int_equal(remove(path), 0);
}

static struct bench *bench_new(void) {
    struct bench *bench = calloc(1, sizeof *bench);

    strcpy(bench->folder, "/tmp/smbproof-watch-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    bench->watch = (struct watch){.changed = changed, .settled = settled, .freed = freed};
    bench->patience.expired = impatient;
    bench->loop = loop_new();
    bench->workers = workers_new(1);
    bench->watcher = watcher_new(bench->loop, bench->workers);
    assert_true(bench->loop != NULL && bench->workers != NULL && bench->watcher != NULL);
    return bench;
}

static void begin(struct bench *bench, bool is_tree) {
    int folder = open(bench->folder, O_RDONLY | O_DIRECTORY);

    assert_int_equal(watch_begin(bench->watcher, &bench->watch, folder, is_tree), 0);
    close(folder);
}

static void bench_end(struct bench *bench) {
    char command[128];

    watch_end(&bench->watch);
    assert_int_equal(loop_timer_set(bench->loop, &bench->patience, PATIENCE_MS), 0);
    if (!bench->is_freed) /* the tree is still being gone through */
        assert_int_equal(loop_run(bench->loop), 0);
    loop_timer_clear(bench->loop, &bench->patience);
    assert_true(bench->is_freed);
    watcher_free(bench->watcher);
    workers_free(bench->workers);
    loop_free(bench->loop);
    snprintf(command, sizeof command, "rm -r '%s'", bench->folder);
    assert_int_equal(system(command), 0);
    free(bench);
}

static void test_one_folder(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    make_folder(bench, "below");
    begin(bench, false);
    make_file(bench, "a", "x");
    make_file(bench, "below/b", "x");
    move(bench, "a", "c");
    move(bench, "c", "below/c");
    make_folder(bench, "d");
    take_away(bench, "d");
    expect(bench, "+a =a <a >c -c +d/ -d/ ");
    bench_end(bench);
}

/* What is in the tree from the start, what comes to it whole, what leaves it. */
static void test_tree(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    make_folder(bench, "old");
    make_folder(bench, "old/deep");
    begin(bench, true);
    make_file(bench, "mark", ""); /* the worker's part is over when `old/deep` tells */
    expect(bench, "+mark ");
    for (unsigned i = 0; i < 200 && bench->watch.is_walking; i++) {
        loop_timer_set(bench->loop, &bench->patience, 10);
        loop_run(bench->loop);
    }
    make_file(bench, "old/deep/a", "");
    expect(bench, "+old/deep/a ");
    make_folder(bench, "new");
    make_file(bench, "new/b", "");
    make_folder(bench, "new/c");
    expect(bench, "+new/ +new/b +new/c/ ");
    make_file(bench, "new/c/d", "");
    expect(bench, "+new/c/d ");
    move(bench, "new", "moved");
    expect(bench, "<new/ >moved/ ");
    make_file(bench, "moved/c/f", "");
    expect(bench, "+moved/c/f ");
    take_away(bench, "old/deep/a");
    take_away(bench, "old/deep");
    expect(bench, "-old/deep/a -old/deep/ ");
    bench_end(bench);
}

/* A watch may end while its tree is gone through, and when its folder is gone. */
static void test_ends(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    make_folder(bench, "a");
    begin(bench, true);
    bench_end(bench);
    bench = bench_new();
    begin(bench, false);
    take_away(bench, "");
    assert_int_equal(mkdir(bench->folder, 0700), 0);
    make_file(bench, "a", "");
    bench->wanted = "?";
    assert_int_equal(loop_timer_set(bench->loop, &bench->patience, 20), 0);
    assert_int_equal(loop_run(bench->loop), 0);
    assert_string_equal(bench->said, "");
    bench_end(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_folder), cmocka_unit_test(test_tree), cmocka_unit_test(test_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
