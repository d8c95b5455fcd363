/* The store over a folder: what is done, what is refused, and that nothing leads out of it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/directory.h"
#include "store/names.h"
#include "store/tunnel.h"

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
    struct store_op stat = {.kind = STORE_STAT, .file = again.file};
    assert_int_equal(run(*state, &stat), 0);
    assert_int_equal(stat.attributes.links, 1);
    assert_int_equal(on(*state, again.file, STORE_REMOVE, NULL, 0), 0);
    assert_int_equal(run(*state, &stat), 0);
    assert_int_equal(stat.attributes.links, 0);
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
    assert_true(pattern_matches("A*", "a"));
    assert_true(pattern_matches("a*", "Abc"));
    assert_false(pattern_matches("b*", "abc"));
    assert_true(pattern_matches("a*c*", "abcd"));
    assert_false(pattern_matches("a*c*", "abd"));
}

/* Who looks for a name in another case finds what others made, renamed and removed beside the store, at once. */
static void names_of_others(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char path[2 * sizeof bench->shared], other[2 * sizeof bench->shared];
    assert_int_equal(open_path(bench, "first", STORE_MUST_NOT_EXIST, &file), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    assert_int_equal(open_path(bench, "FIRST", STORE_MUST_EXIST, &file), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    for (unsigned i = 0; i < 200; i++) {
        char name[32];
        snprintf(path, sizeof path, "%s/Other%u", bench->shared, i);
        snprintf(other, sizeof other, "%s/Moved%u", bench->shared, i);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        close(fd);
        snprintf(name, sizeof name, "OTHER%u", i);
        assert_int_equal(open_path(bench, name, STORE_MUST_EXIST, &file), 0);
        on(bench, file, STORE_CLOSE, NULL, 0);
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(open_path(bench, name, STORE_MUST_EXIST, &file), -ENOENT);
        snprintf(name, sizeof name, "mOVED%u", i);
        assert_int_equal(open_path(bench, name, STORE_MUST_NOT_EXIST, &file), -EEXIST);
        assert_int_equal(unlink(other), 0);
        assert_int_equal(open_path(bench, name, STORE_MUST_EXIST, &file), -ENOENT);
    }
}

/* More folders than are kept: the oldest are forgotten and read again. */
static void names_in_many_folders(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char name[32];
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 300; i++) {
            struct store_op folder = {.kind = STORE_OPEN, .how = STORE_EITHER, .want_folder = true, .path = name};
            snprintf(name, sizeof name, "d%u", i);
            assert_int_equal(run(bench, &folder), 0);
            on(bench, folder.file, STORE_CLOSE, NULL, 0);
            snprintf(name, sizeof name, "d%u/%s", i, round == 0 ? "File" : "fILE");
            assert_int_equal(open_path(bench, name, round == 0 ? STORE_MUST_NOT_EXIST : STORE_MUST_EXIST, &file), 0);
            on(bench, file, STORE_CLOSE, NULL, 0);
        }
}

static void short_names(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char made[SHORT_NAME_MAX], again[SHORT_NAME_MAX];
    assert_false(short_name("readme.txt", made));
    assert_string_equal(made, "README.TXT");
    assert_true(short_name("A long name.document", made));
    assert_true(short_name("a LONG name.document", again));
    assert_string_equal(made, again);
    assert_true(is_short_name(made));
    for (const char *const *name = (const char *const[]){".x", "a.b.c", "x.", "nine letters", "a+b", NULL}; *name != NULL; name++)
        assert_true(short_name(*name, made));
    assert_false(is_short_name("a~1.txt"));
    assert_false(is_short_name(""));
    for (const char *const *name = (const char *const[]){"~a long name.x", "a~ long name", "~~~ long", NULL}; *name != NULL; name++) {
        assert_true(short_name(*name, made));
        assert_true(is_short_name(made));
    }
    assert_int_equal(open_path(bench, "A long name.document", STORE_MUST_NOT_EXIST, &file), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    short_name("A long name.document", made);
    assert_int_equal(open_path(bench, made, STORE_MUST_EXIST, &file), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
}

/* Whoever makes a file by the short name of one that was just removed gets the long one. */
static void removed_names(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char made[SHORT_NAME_MAX], path[STORE_PATH_MAX];
    short_name("A long name.document", made);
    assert_int_equal(open_path(bench, "A long name.document", STORE_MUST_NOT_EXIST, &file), 0);
    on(bench, file, STORE_REMOVE, NULL, 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    assert_int_equal(open_path(bench, made, STORE_MUST_EXIST, &file), -ENOENT);
    assert_int_equal(open_path(bench, made, STORE_MUST_NOT_EXIST, &file), 0);
    assert_int_equal(bench->store->methods->path(bench->store, file, path), 0);
    assert_string_equal(path, "A long name.document");
    on(bench, file, STORE_CLOSE, NULL, 0);
    for (unsigned i = 0; i < TUNNEL_NAMES_MAX; i++) { /* until it is forgotten */
        snprintf(path, sizeof path, "another long name %u", i);
        assert_int_equal(open_path(bench, i == 0 ? "a LONG name.document" : path, STORE_EITHER, &file), 0);
        on(bench, file, STORE_REMOVE, NULL, 0);
        on(bench, file, STORE_CLOSE, NULL, 0);
    }
    assert_int_equal(open_path(bench, "another long name 32", STORE_EITHER, &file), 0);
    on(bench, file, STORE_REMOVE, NULL, 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    assert_int_equal(open_path(bench, made, STORE_MUST_NOT_EXIST, &file), 0);
    assert_int_equal(bench->store->methods->path(bench->store, file, path), 0);
    assert_string_equal(path, made);
    on(bench, file, STORE_CLOSE, NULL, 0);
}

static struct store_attributes stat_of(struct bench *bench, struct store_file *file) {
    struct store_op op = {.kind = STORE_STAT, .file = file};
    assert_int_equal(run(bench, &op), 0);
    return op.attributes;
}

static void attributes(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    assert_int_equal(open_path(bench, "a", STORE_EITHER, &file), 0);
    struct store_op op = {.kind = STORE_SET, .file = file,
                          .set = STORE_SET_DOS | STORE_SET_CREATED | STORE_SET_WRITTEN | STORE_SET_CHANGED};
    op.attributes.dos_attributes = 0x22;
    op.attributes.created = (struct timespec){1000, 100};
    op.attributes.written = (struct timespec){-2000, 200};
    op.attributes.changed = (struct timespec){3000, 300};
    assert_int_equal(run(bench, &op), 0);
    struct store_attributes now = stat_of(bench, file);
    assert_int_equal(now.dos_attributes, 0x22);
    assert_int_equal(now.created.tv_sec, 1000);
    assert_int_equal(now.written.tv_sec, -2000);
    assert_int_equal(now.changed.tv_sec, 3000);
    assert_int_equal(now.changed.tv_nsec, 300);
    struct store_op sparse = {.kind = STORE_SPARSE, .file = file, .sparse = true};
    assert_int_equal(run(bench, &sparse), 0);
    assert_int_equal(stat_of(bench, file).dos_attributes, 0x222);
    on(bench, file, STORE_CLOSE, NULL, 0);
}

static bool attributes_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    struct bench *bench = op->data;
    assert_int_equal(attributes->created.tv_sec == 1000, strcmp(name, "set") == 0);
    assert_int_equal(attributes->dos_attributes, strcmp(name, "set") == 0 ? 0x22 : 0x20);
    bench->entries++;
    return true;
}

/* As a filter does that was written before the call was there: it is a call that is not permitted. */
static void forbid_getxattrat(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2 + 27, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

/* A listing shows what is kept in extended attributes, whether or not the system can read those of a name in a folder. The
 * last test: what was forbidden stays forbidden. */
static void attributes_listed(void **state) {
    struct bench *bench = *state;
    struct store_file *file, *root;
    assert_int_equal(open_path(bench, "plain", STORE_EITHER, &file), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    assert_int_equal(open_path(bench, "set", STORE_EITHER, &file), 0);
    struct store_op set = {.kind = STORE_SET, .file = file, .set = STORE_SET_DOS | STORE_SET_CREATED};
    set.attributes.dos_attributes = 0x22;
    set.attributes.created = (struct timespec){1000, 0};
    assert_int_equal(run(bench, &set), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
    assert_int_equal(open_path(bench, "", STORE_MUST_EXIST, &root), 0);
    struct store_op list = {.kind = STORE_LIST, .file = root, .entry = attributes_entry, .data = bench};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned j = 0; j < 2; j++) {
            list.pattern = j == 0 ? "plain" : "set";
            list.restart = true;
            assert_int_equal(run(bench, &list), 1);
        }
        forbid_getxattrat();
    }
    assert_int_equal(bench->entries, 4);
    on(bench, root, STORE_CLOSE, NULL, 0);
}

static bool value_entry(struct store_op *op, const char *name, const struct store_attributes *attributes) {
    assert_string_equal(name, "Colour");
    assert_int_equal(attributes->size, 4);
    assert_int_equal(op->size, 4);
    assert_memory_equal(op->data, "blue", 4);
    return true;
}

static void extended_attributes(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    assert_int_equal(open_path(bench, "a", STORE_EITHER, &file), 0);
    struct store_op set = {.kind = STORE_XATTR_SET, .file = file, .name = "Colour", .data = "red", .size = 3};
    assert_int_equal(run(bench, &set), 0);
    set = (struct store_op){.kind = STORE_XATTR_SET, .file = file, .name = "COLOUR", .data = "blue", .size = 4};
    assert_int_equal(run(bench, &set), 0);
    struct store_op own = {.kind = STORE_XATTR_SET, .file = file, .name = "smbproof.dos", .data = "x", .size = 1};
    assert_int_equal(run(bench, &own), -EINVAL);
    struct store_op list = {.kind = STORE_XATTR_LIST, .file = file, .entry = value_entry};
    assert_int_equal(run(bench, &list), 1);
    set = (struct store_op){.kind = STORE_XATTR_SET, .file = file, .name = "colour"};
    assert_int_equal(run(bench, &set), 0);
    assert_int_equal(run(bench, &list), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
}

static void streams_move(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char data[8] = "";
    struct store_op one = {.kind = STORE_OPEN, .path = "f", .stream = "one", .how = STORE_EITHER, .want_write = true};
    struct store_op two = {.kind = STORE_OPEN, .path = "f", .stream = "two", .how = STORE_EITHER, .want_write = true};
    assert_int_equal(run(bench, &one), 0);
    assert_true(one.made && one.made_file);
    assert_int_equal(run(bench, &two), 0);
    assert_true(two.made && !two.made_file);
    assert_int_equal(on(bench, one.file, STORE_WRITE, "abcdef", 6), 6);
    struct store_op copy = {.kind = STORE_COPY, .file = two.file, .source = one.file, .source_offset = 2, .size = 3};
    assert_int_equal(run(bench, &copy), 3);
    assert_int_equal(on(bench, two.file, STORE_READ, data, sizeof data), 3);
    assert_memory_equal(data, "cde", 3);
    assert_int_equal(open_path(bench, "f", STORE_EITHER, &file), 0);
    copy = (struct store_op){.kind = STORE_COPY, .file = file, .source = one.file, .size = 6};
    assert_int_equal(run(bench, &copy), 6);
    copy = (struct store_op){.kind = STORE_COPY, .file = file, .source = file, .offset = 2, .size = 6}; /* they overlap */
    assert_int_equal(run(bench, &copy), 6);
    assert_int_equal(on(bench, file, STORE_READ, data, sizeof data), 8);
    assert_memory_equal(data, "ababcdef", 8);
    struct store_op rename = {.kind = STORE_RENAME, .file = one.file, .path = "", .stream = "TWO"};
    assert_int_equal(run(bench, &rename), -EEXIST);
    rename.replace = true;
    assert_int_equal(run(bench, &rename), 0);
    assert_int_equal(on(bench, one.file, STORE_READ, data, sizeof data), 6);
    assert_int_equal(on(bench, two.file, STORE_READ, data, sizeof data), -ENODATA); /* it was replaced */
    char path[STORE_PATH_MAX];
    assert_int_equal(bench->store->methods->path(bench->store, one.file, path), 0);
    assert_string_equal(path, "f:TWO");
    on(bench, file, STORE_CLOSE, NULL, 0);
    on(bench, one.file, STORE_CLOSE, NULL, 0);
    on(bench, two.file, STORE_CLOSE, NULL, 0);
}

/* A stream that does not fit (no extended attribute can be so long) takes the file with it that was made for it. */
static void made_in_vain(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char stream[256];
    memset(stream, 'x', sizeof stream - 1);
    stream[sizeof stream - 1] = '\0';
    struct store_op op = {.kind = STORE_OPEN, .path = "f", .stream = stream, .how = STORE_EITHER, .want_write = true};
    assert_int_equal(run(bench, &op), -ENAMETOOLONG);
    assert_int_equal(open_path(bench, "f", STORE_MUST_EXIST, &file), -ENOENT);
    assert_int_equal(open_path(bench, "f", STORE_EITHER, &file), 0); /* and leaves alone what was there */
    on(bench, file, STORE_CLOSE, NULL, 0);
    assert_int_equal(run(bench, &op), -ENAMETOOLONG);
    assert_int_equal(open_path(bench, "f", STORE_MUST_EXIST, &file), 0);
    on(bench, file, STORE_CLOSE, NULL, 0);
}

static void security_is_handed_on(void **state) {
    struct bench *bench = *state;
    struct store_op folder = {.kind = STORE_OPEN, .path = "d", .how = STORE_EITHER, .want_folder = true};
    assert_int_equal(run(bench, &folder), 0);
    assert_null(folder.security);
    assert_int_equal(on(bench, folder.file, STORE_SECURITY_SET, "descriptor", 10), 0);
    struct store_op file = {.kind = STORE_OPEN, .path = "d/f", .how = STORE_EITHER, .want_write = true};
    assert_int_equal(run(bench, &file), 0);
    assert_int_equal(file.security_size, 10);
    assert_memory_equal(file.security, "descriptor", 10);
    free(file.security);
    on(bench, file.file, STORE_CLOSE, NULL, 0);
    file.security = NULL;
    assert_int_equal(run(bench, &file), 0); /* it has none itself */
    assert_null(file.security);
    struct store_op get = {.kind = STORE_SECURITY_GET, .file = file.file, .of_folder = true};
    assert_int_equal(run(bench, &get), 0);
    assert_int_equal(get.security_size, 10);
    free(get.security);
    on(bench, file.file, STORE_CLOSE, NULL, 0);
    on(bench, folder.file, STORE_CLOSE, NULL, 0);
}

/* What was listed before, and removed since, is not listed any more. */
static void listing_is_fresh(void **state) {
    struct bench *bench = *state;
    struct store_file *file, *root;
    char name[16];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "n%u.txt", i);
        assert_int_equal(open_path(bench, name, STORE_MUST_NOT_EXIST, &file), 0);
        on(bench, file, STORE_CLOSE, NULL, 0);
    }
    assert_int_equal(open_path(bench, "", STORE_MUST_EXIST, &root), 0);
    struct store_op op = {.kind = STORE_LIST, .file = root, .entry = entry, .data = bench, .pattern = "n*"};
    bench->room = 1;
    assert_int_equal(run(bench, &op), 1);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "n%u.txt", i);
        assert_int_equal(open_path(bench, name, STORE_EITHER, &file), 0);
        assert_int_equal(on(bench, file, STORE_REMOVE, NULL, 0), 0);
        on(bench, file, STORE_CLOSE, NULL, 0);
    }
    bench->room = 100;
    assert_int_equal(run(bench, &op), 0);
    assert_int_equal(bench->entries, 1);
    on(bench, root, STORE_CLOSE, NULL, 0);
}

static bool count_range(struct store_op *op, uint64_t offset, uint64_t size) {
    struct bench *bench = op->data;
    bench->entries++;
    bench->room = (unsigned)(offset / 65536);
    assert_in_range(size, 1, 65536);
    return true;
}

static void holes(void **state) {
    struct bench *bench = *state;
    struct store_file *file;
    char *data = calloc(1, 262144);
    memset(data, 'x', 262144);
    assert_int_equal(open_path(bench, "f", STORE_EITHER, &file), 0);
    assert_int_equal(on(bench, file, STORE_WRITE, data, 262144), 262144);
    struct store_op zero = {.kind = STORE_ZERO, .file = file, .offset = 65536, .size = INT64_MAX - 65536};
    struct store_op sparse = {.kind = STORE_SPARSE, .file = file, .sparse = true};
    assert_int_equal(run(bench, &sparse), 0);
    assert_int_equal(run(bench, &zero), 0);
    assert_int_equal(stat_of(bench, file).size, 262144); /* it neither grows nor shrinks */
    struct store_op ranges = {.kind = STORE_RANGES, .file = file, .size = 262144, .range = count_range, .data = bench};
    assert_int_equal(run(bench, &ranges), 0);
    assert_int_equal(bench->entries, 1);
    assert_int_equal(bench->room, 0);
    assert_int_equal(on(bench, file, STORE_READ, data, 262144), 262144);
    assert_true(data[65535] == 'x' && data[65536] == 0);
    free(data);
    on(bench, file, STORE_CLOSE, NULL, 0);
}

/* Links that change while names are opened through them never lead out. */
static void confined_in_a_race(void **state) {
    struct bench *bench = *state;
    char inside[128], outside[128], link[128];
    snprintf(inside, sizeof inside, "%s/in", bench->shared);
    snprintf(outside, sizeof outside, "%s/secret", bench->folder);
    snprintf(link, sizeof link, "%s/link", bench->shared);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(mkdir(outside, 0700), 0);
    pid_t child = fork();
    if (child == 0) {
        for (;;) { /* a folder, then a link out of the share */
            unlink(link);
            symlink("in", link);
            unlink(link);
            symlink("../secret", link);
        }
    }
    for (unsigned i = 0; i < 3000; i++) {
        struct store_file *file;
        char name[32];
        snprintf(name, sizeof name, "link/f%u", i);
        if (open_path(bench, name, STORE_EITHER, &file) == 0)
            on(bench, file, STORE_CLOSE, NULL, 0);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(rmdir(outside), 0); /* nothing was made there */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(confined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_in_many_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removed_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extended_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(made_in_vain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(security_is_handed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listing_is_fresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(holes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(confined_in_a_race, set_up, tear_down),
        cmocka_unit_test(patterns),
        cmocka_unit_test_setup_teardown(attributes_listed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
