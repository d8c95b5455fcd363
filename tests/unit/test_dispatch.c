/* The commands of a file server over a store that is made up here: one file at most, and a fault where it is asked for.
 * The connection is made up, too: it keeps the last answer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/control.h"
#include "serve/node.h"
#include "serve/security.h"
#include "serve/work.h"
#include "store/watch.h"
#include "wire/files.h"
#include "wire/info.h"
#include "wire/text.h"

enum { ROOM = 65536, REQUEST_ROOM = 4096, DATA_MAX = 64 };

struct store_file {
    bool is_folder;
    unsigned life; /* which of the files that had the name */
};

struct host {
    struct nodes *nodes;
};

struct bench {
    struct store store; /* first: the store finds its bench by it */
    struct share share;
    struct host host;
    struct server_policy policy;
    struct connection connection;
    struct server_session session;
    struct server_tree tree;
    struct loop_task *posted;
    bool exists, is_folder;
    bool is_fixed;          /* read-only */
    bool is_others;         /* somebody else's, who lets others read it; its folder likewise */
    unsigned life;          /* counts the removals */
    char data[DATA_MAX];
    size_t size;
    unsigned files;         /* open in the store */
    int fault_kind;         /* -1: none */
    int fault;
    int slow_kind;          /* -1: none; one such operation waits until slow_finish() */
    bool slow_tells;        /* it is done at once, and only told then */
    struct store_op *slow;
    struct store_attributes attributes;
    uint8_t output[ROOM], input[REQUEST_ROOM];
    struct server_frame frame;
    unsigned answers, pends, notices, timers;
    struct oplock_break notice; /* the last one */
    struct watch *watch;
    bool watches_tree;
    uint32_t status;
    size_t body_size;
    uint8_t file_id[16];
    uint64_t now_ms;        /* also the seconds of what is written */
    bool lacks_memory;      /* for answers */
    bool sends;             /* files may be sent as they are */
    struct file_part part;  /* what is being sent */
    void (*sent)(void *argument), *sent_argument;
};

/* --- the store --- */

static void security_give(const struct bench *bench, struct store_op *op) {
    struct writer writer;

    if (!bench->is_others)
        return;
    op->security = malloc(SECURITY_DEFAULT_MAX);
    writer = writer_over(op->security, SECURITY_DEFAULT_MAX);
    security_default(geteuid() + 1, getegid() + 1, 0744, false, &writer);
    op->security_size = writer.at;
}

static int64_t store_open(struct bench *bench, struct store_op *op) {
    if (op->how == STORE_MUST_EXIST && !bench->exists)
        return -ENOENT;
    if (op->how == STORE_MUST_NOT_EXIST && bench->exists)
        return -EEXIST;
    op->made = op->made_file = !bench->exists;
    op->can_write = true;
    if (op->made)
        bench->is_folder = op->want_folder;
    if (bench->is_folder && op->want_file)
        return -EISDIR;
    bench->exists = true;
    op->file = malloc(sizeof *op->file);
    *op->file = (struct store_file){bench->is_folder, bench->life};
    bench->files++;
    op->attributes = (struct store_attributes){.id = {1, 2 + bench->life}, .is_folder = bench->is_folder, .links = 1,
        .size = bench->size, .dos_attributes = op->made ? op->attributes.dos_attributes : FILE_ATTRIBUTE_ARCHIVE};
    if (bench->is_fixed)
        op->attributes.dos_attributes |= FILE_ATTRIBUTE_READONLY;
    security_give(bench, op);
    return 0;
}

static int64_t store_read(const struct bench *bench, struct store_op *op) {
    size_t left = op->offset < bench->size ? bench->size - op->offset : 0;
    size_t size = op->size < left ? op->size : left;

    memcpy(op->data, bench->data + (left > 0 ? op->offset : 0), size);
    return (int64_t)size;
}

static int64_t store_write(struct bench *bench, struct store_op *op) {
    if (op->offset + op->size > DATA_MAX)
        return -ENOSPC;
    memcpy(bench->data + op->offset, op->data, op->size);
    if (bench->size < op->offset + op->size)
        bench->size = op->offset + op->size;
    bench->attributes.written.tv_sec = (time_t)bench->now_ms;
    return (int64_t)op->size;
}

static int64_t store_perform(struct bench *bench, struct store_op *op) {
    if (bench->fault_kind == (int)op->kind && op->kind != STORE_CLOSE)
        return -bench->fault;
    switch (op->kind) {
    case STORE_OPEN: return store_open(bench, op);
    case STORE_CLOSE: free(op->file); bench->files--; return 0;
    case STORE_READ: return store_read(bench, op);
    case STORE_WRITE: return store_write(bench, op);
    case STORE_REMOVE:
        if (op->file->life != bench->life)
            return -ENOENT;
        bench->exists = false;
        bench->life++;
        bench->size = 0;
        return 0;
    case STORE_TRUNCATE: bench->size = op->size; return 0;
    case STORE_SECURITY_GET: security_give(bench, op); return 0;
    case STORE_LIST: return op->restart || !bench->answers ? op->entry(op, "a", &bench->attributes) : 0;
    case STORE_SET:
        if ((op->set & STORE_SET_WRITTEN) != 0)
            bench->attributes.written = op->attributes.written;
        return 0;
    case STORE_STAT:
        op->attributes.written = bench->attributes.written;
        op->attributes.id = (struct store_id){1, 2 + op->file->life};
        op->attributes.size = bench->size;
        op->attributes.links = op->file->life == bench->life;
        op->attributes.is_folder = bench->is_folder;
        return 0;
    default: return 0;
    }
}

static void store_do(struct bench *bench, struct store_op *op) {
    op->path_missing = false;
    op->result = store_perform(bench, op);
}

static void fake_submit(struct store *store, struct store_op *op) {
    struct bench *bench = (struct bench *)store;
    bool is_slow = bench->slow_kind == (int)op->kind && bench->slow == NULL;

    if (is_slow)
        bench->slow = op;
    if (!is_slow || bench->slow_tells)
        store_do(bench, op);
    if (!is_slow)
        op->done(op);
}

static void slow_finish(struct bench *bench) {
    struct store_op *op = bench->slow;

    assert_non_null(op);
    bench->slow = NULL;
    if (!bench->slow_tells)
        store_do(bench, op);
    op->done(op);
}

static int fake_path(struct store *store, struct store_file *file, char *path) {
    (void)store, (void)file;
    memcpy(path, "a", 2);
    return 0;
}

/* The watcher is the bench. */
static int fake_watch(struct store_file *file, struct watcher *watcher, struct watch *watch, bool is_tree) {
    struct bench *bench = (struct bench *)watcher;

    assert_true(file->is_folder && bench->watch == NULL);
    bench->watch = watch;
    bench->watches_tree = is_tree;
    watch->watcher = watcher;
    return 0;
}

void watch_end(struct watch *watch) {
    struct bench *bench = (struct bench *)watch->watcher;

    assert_ptr_equal(bench->watch, watch);
    bench->watch = NULL;
    watch->freed(watch);
}

static const struct store_methods fake_methods = {.submit = fake_submit, .path = fake_path, .watch = fake_watch};

void store_submit(struct store *store, struct store_op *op) {
    store->methods->submit(store, op);
}

bool store_takes_pipe(const struct store *store, const struct store_file *file) {
    (void)store;
    (void)file;
    return false;
}

int store_sendable(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size) {
    const struct bench *bench = (struct bench *)store;

    (void)file;
    if (!bench->sends || offset >= bench->size)
        return -1;
    *size = *size < bench->size - offset ? *size : bench->size - offset;
    return 7;
}

/* --- the connection --- */

static struct bench *bench_of(struct connection *connection) {
    return connection->inside;
}

uint8_t *connection_body(struct connection *connection, struct server_frame *frame, size_t size) {
    (void)frame;
    assert_true(size <= ROOM - SMB2_HEADER_SIZE);
    return bench_of(connection)->lacks_memory ? NULL : bench_of(connection)->output + SMB2_HEADER_SIZE;
}

void connection_answer(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size) {
    struct bench *bench = bench_of(connection);

    (void)frame;
    bench->answers++;
    bench->status = status;
    bench->body_size = body_size;
}

size_t connection_late(const struct server_frame *frame) {
    (void)frame;
    return 0;
}

size_t connection_pour(struct connection *connection, struct server_frame *frame, const struct conduit *conduit) {
    (void)connection;
    (void)frame;
    (void)conduit;
    return 0;
}

bool connection_receive_late(struct connection *connection, struct server_frame *frame) {
    (void)connection;
    (void)frame;
    return true;
}

void connection_answer_file(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size,
                            const struct file_part *part, void (*sent)(void *argument), void *argument) {
    struct bench *bench = bench_of(connection);

    connection_answer(connection, frame, status, body_size);
    bench->part = *part;
    bench->sent = sent;
    bench->sent_argument = argument;
}

void connection_refuse(struct connection *connection, struct server_frame *frame, uint32_t status) {
    connection_answer(connection, frame, status, 0);
}

void connection_pend(struct connection *connection, struct server_frame *frame) {
    (void)frame;
    bench_of(connection)->pends++;
}

void connection_notify(struct connection *connection, struct server_session *session, const struct server_tree *tree,
                       uint16_t command, const void *body, size_t body_size) {
    struct bench *bench = bench_of(connection);
    uint8_t octets[SMB2_HEADER_SIZE + 24] = {0};

    assert_true(session == &bench->session && tree == &bench->tree && command == SMB2_OPLOCK_BREAK && body_size == 24);
    memcpy(octets + SMB2_HEADER_SIZE, body, body_size);
    assert_true(oplock_break_decode((struct span){octets, sizeof octets}, &bench->notice));
    bench->notices++;
}

bool connection_interface(struct connection *connection, struct interface *interface) {
    *interface = (struct interface){.index = 7, .speed = 1000, .address = {192, 0, 2, 1}};
    return connection != NULL;
}

struct identity *connection_identity(const struct server_session *session) {
    (void)session;
    return NULL;
}

struct watcher *connection_watcher(struct connection *connection) {
    return (struct watcher *)bench_of(connection);
}

uint64_t loop_now_ms(const struct loop *loop) {
    return ((const struct bench *)loop)->now_ms;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms) {
    struct bench *bench = (struct bench *)loop;

    assert_true(after_ms >= 1000);
    bench->timers += timer->index == 0;
    timer->index = 1;
    return 0;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer) {
    struct bench *bench = (struct bench *)loop;

    bench->timers -= timer->index != 0;
    timer->index = 0;
}

struct nodes *host_nodes(struct host *host) {
    return host->nodes;
}

const struct share *host_share(struct host *host, unsigned index, unsigned *count) {
    (void)host, (void)index;
    *count = 0;
    return NULL;
}

void loop_post(struct loop *loop, struct loop_task *task) {
    struct bench *bench = (struct bench *)loop;

    task->next = bench->posted;
    bench->posted = task;
}

static void post_run(struct bench *bench) {
    while (bench->posted != NULL) {
        struct loop_task *task = bench->posted;

        bench->posted = task->next;
        task->run(task);
    }
}

/* --- requests --- */

static struct bench *bench_new(void) {
    struct bench *bench = calloc(1, sizeof *bench);

    bench->store.methods = &fake_methods;
    bench->share = (struct share){.name = "docs", .store = &bench->store};
    bench->host.nodes = nodes_new();
    server_policy_defaults(&bench->policy);
    bench->connection.host = &bench->host;
    bench->connection.inside = bench;
    bench->connection.open_limit = 1000;
    bench->connection.loop = (struct loop *)bench;
    bench->connection.server.policy = &bench->policy;
    bench->tree.owner = &bench->share;
    bench->fault_kind = bench->slow_kind = -1;
    return bench;
}

struct count {
    struct closing ending; /* first */
    unsigned ends;
};

static void count_end(struct closing *ending) {
    ((struct count *)ending)->ends++;
}

/* Everything is closed, exactly once, and nothing is left in the store. */
static void bench_end(struct bench *bench) {
    struct count count = {.ending.done = count_end};

    dispatch_end(&bench->connection, NULL, NULL, &count.ending);
    assert_int_equal(count.ends, 1);
    assert_null(bench->connection.opens);
    assert_int_equal(bench->files, 0);
    assert_int_equal(bench->timers, 0);
    nodes_free(bench->host.nodes);
    free(bench);
}

static struct writer request_begin(struct bench *bench) {
    struct writer writer = writer_over(bench->input, REQUEST_ROOM);

    memset(bench->input, 0, REQUEST_ROOM);
    writer.at = SMB2_HEADER_SIZE;
    return writer;
}

static uint32_t ask(struct bench *bench, uint16_t command, const struct writer *writer) {
    struct server_request *request = &bench->frame.request;
    unsigned before = bench->answers;

    assert_false(writer->failed);
    *request = (struct server_request){.command = command, .session = &bench->session, .tree = &bench->tree};
    request->message.bytes = writer_done(writer);
    memcpy(request->file_id, bench->file_id, sizeof request->file_id);
    dispatch(&bench->connection, &bench->frame);
    assert_int_equal(bench->answers + (bench->pends > 0 || bench->slow != NULL), before + 1);
    return bench->status;
}

static uint32_t create_with(struct bench *bench, const char *name, struct create_request request) {
    struct writer writer = request_begin(bench);
    uint8_t octets[64];
    struct writer utf16 = writer_over(octets, sizeof octets);
    uint32_t status;

    text_to_utf16(text_span(name), &utf16);
    request.name = writer_done(&utf16);
    request.impersonation_level = IMPERSONATION_LEVEL_IMPERSONATION;
    create_request_place(&request);
    create_request_encode(&request, &writer);
    status = ask(bench, SMB2_CREATE, &writer);
    if (status == STATUS_SUCCESS)
        memcpy(bench->file_id, bench->output + SMB2_HEADER_SIZE + 64, 16);
    return status;
}

static uint32_t create(struct bench *bench, uint32_t disposition, uint32_t share, uint32_t options) {
    return create_with(bench, "a", (struct create_request){.desired_access = ACCESS_GENERIC_ALL,
        .share_access = share, .create_disposition = disposition, .create_options = options});
}

static uint32_t close_file(struct bench *bench) {
    struct writer writer = request_begin(bench);
    struct close_request request = {.flags = CLOSE_FLAG_POSTQUERY_ATTRIB};

    close_request_place(&request);
    close_request_encode(&request, &writer);
    return ask(bench, SMB2_CLOSE, &writer);
}

static uint32_t write_file(struct bench *bench, const char *text) {
    struct writer writer = request_begin(bench);
    struct write_request request = {.data = text_span(text)};

    write_request_place(&request);
    write_request_encode(&request, &writer);
    return ask(bench, SMB2_WRITE, &writer);
}

static uint32_t flush_file(struct bench *bench) {
    struct writer writer = request_begin(bench);
    struct flush_request request = {0};

    flush_request_place(&request);
    flush_request_encode(&request, &writer);
    return ask(bench, SMB2_FLUSH, &writer);
}

static uint64_t written_at(time_t seconds) {
    return filetime_of((struct timespec){.tv_sec = seconds});
}

/* The time of writing that the client is told. */
static uint64_t written_shown(struct bench *bench) {
    struct query_info_request request = {.info_type = INFO_FILE, .file_info_class = FILE_BASIC_INFORMATION,
                                         .output_buffer_length = 64};
    struct writer writer = request_begin(bench);
    struct file_basic_info info;

    query_info_request_place(&request);
    query_info_request_encode(&request, &writer);
    assert_int_equal(ask(bench, SMB2_QUERY_INFO, &writer), STATUS_SUCCESS);
    assert_true(file_basic_info_decode((struct span){bench->output + SMB2_HEADER_SIZE + 8, 40}, &info));
    return info.last_write_time;
}

/* What is written shows in the time of writing after a while, then no more until it is flushed. */
static void test_written_shows_late(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    bench->attributes.written.tv_sec = 7;
    create(bench, FILE_CREATE, FILE_SHARE_ALL, 0);
    bench->now_ms = 1000;
    write_file(bench, "one");
    assert_int_equal(written_shown(bench), written_at(7));
    bench->now_ms = 1000 + NODE_WRITTEN_DELAY_MS;
    assert_int_equal(written_shown(bench), written_at(1000));
    write_file(bench, "two");
    bench->now_ms = 100000;
    assert_int_equal(written_shown(bench), written_at(1000));
    assert_int_equal(flush_file(bench), STATUS_SUCCESS);
    assert_int_equal(written_shown(bench), written_at(1000 + NODE_WRITTEN_DELAY_MS));
    write_file(bench, "three");
    assert_int_equal(written_shown(bench), written_at(1000 + NODE_WRITTEN_DELAY_MS));
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    assert_int_equal(bench->attributes.written.tv_sec, 100000);
    create(bench, FILE_OPEN, FILE_SHARE_ALL, 0);
    assert_int_equal(written_shown(bench), written_at(100000));
    close_file(bench);
    bench_end(bench);
}

/* Writes after the while, which did not show, are as of the CLOSE. */
static void test_written_as_of_close(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    create(bench, FILE_CREATE, FILE_SHARE_ALL, 0);
    write_file(bench, "one");
    bench->now_ms = NODE_WRITTEN_DELAY_MS;
    write_file(bench, "two");
    close_file(bench);
    assert_true(bench->attributes.written.tv_sec > (time_t)NODE_WRITTEN_DELAY_MS);
    bench_end(bench);
}

/* An IOCTL of no file, or of the one that is open. */
static uint32_t control(struct bench *bench, uint32_t code, bool names_file, uint32_t flags, uint32_t most) {
    struct server_request *request = &bench->frame.request;
    struct ioctl_request ioctl = {.structure_size = 57, .ctl_code = code, .max_output_response = most, .flags = flags};
    struct smb2_header header = {.protocol_id = 0x424d53fe, .structure_size = SMB2_HEADER_SIZE, .command = SMB2_IOCTL};
    struct writer writer = writer_over(bench->input, REQUEST_ROOM);

    memset(bench->input, 0, REQUEST_ROOM);
    ioctl_request_encode(&header, &ioctl, &writer);
    *request = (struct server_request){.command = SMB2_IOCTL, .session = &bench->session, .tree = &bench->tree};
    message_decode(writer_done(&writer), writer.at, &request->message);
    assert_true(request->message.body_valid);
    memset(request->file_id, 0xff, sizeof request->file_id);
    if (names_file)
        memcpy(request->file_id, bench->file_id, sizeof request->file_id);
    dispatch(&bench->connection, &bench->frame);
    return bench->status;
}

/* Those of no file (3.3.5.15, 3.3.5.15.11). */
static void test_general_controls(void **state) {
    static const uint8_t told[] = {0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                   0xe8, 3, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 192, 0, 2, 1, 0};
    struct bench *bench = bench_new();
    const uint8_t *output = bench->output + SMB2_HEADER_SIZE + 48;

    (void)state;
    bench->connection.server.negotiation.agreed.dialect = SMB2_DIALECT_210;
    assert_int_equal(control(bench, FSCTL_QUERY_NETWORK_INTERFACE_INFO, false, 1, 4096), STATUS_NOT_SUPPORTED);
    bench->connection.server.negotiation.agreed.dialect = SMB2_DIALECT_300;
    assert_int_equal(control(bench, FSCTL_QUERY_NETWORK_INTERFACE_INFO, false, 0, 4096), STATUS_NOT_SUPPORTED);
    assert_int_equal(control(bench, FSCTL_QUERY_NETWORK_INTERFACE_INFO, true, 1, 4096), STATUS_INVALID_PARAMETER);
    assert_int_equal(control(bench, FSCTL_QUERY_NETWORK_INTERFACE_INFO, false, 1, 151), STATUS_BUFFER_TOO_SMALL);
    assert_int_equal(control(bench, FSCTL_QUERY_NETWORK_INTERFACE_INFO, false, 1, 152), STATUS_SUCCESS);
    assert_memory_equal(output, told, sizeof told);
    assert_int_equal(control(bench, FSCTL_DFS_GET_REFERRALS, true, 1, 4096), STATUS_INVALID_PARAMETER);
    assert_int_equal(control(bench, FSCTL_DFS_GET_REFERRALS, false, 1, 4096), STATUS_FS_DRIVER_REQUIRED);
    assert_int_equal(control(bench, FSCTL_SET_SPARSE, false, 1, 4096), STATUS_FILE_CLOSED);
    bench_end(bench);
}

static uint32_t read_file(struct bench *bench, uint64_t offset, uint32_t length) {
    struct writer writer = request_begin(bench);
    struct read_request request = {.length = length, .offset = offset};

    read_request_place(&request);
    read_request_encode(&request, &writer);
    return ask(bench, SMB2_READ, &writer);
}

static uint32_t lock_file(struct bench *bench, uint64_t offset, uint64_t length, uint32_t flags) {
    struct writer writer = request_begin(bench), one;
    uint8_t octets[LOCK_ELEMENT_SIZE];
    struct lock_element element = {.offset = offset, .length = length, .flags = flags};
    struct lock_request request = {0};

    one = writer_over(octets, sizeof octets);
    lock_element_encode(&element, &one);
    request.locks = writer_done(&one);
    lock_request_place(&request);
    lock_request_encode(&request, &writer);
    return ask(bench, SMB2_LOCK, &writer);
}

/* --- tests --- */

static void test_file_comes_and_goes(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    assert_int_equal(create(bench, FILE_OPEN, FILE_SHARE_ALL, 0), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_int_equal(create(bench, FILE_CREATE, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    assert_int_equal(write_file(bench, "hello"), STATUS_SUCCESS);
    assert_int_equal(read_file(bench, 1, 100), STATUS_SUCCESS);
    assert_int_equal(bench->body_size, 16 + 4);
    assert_memory_equal(bench->output + SMB2_HEADER_SIZE + 16, "ello", 4);
    assert_int_equal(read_file(bench, 5, 100), STATUS_END_OF_FILE);
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    assert_int_equal(bench->body_size, 60);
    assert_int_equal(close_file(bench), STATUS_FILE_CLOSED);
    assert_int_equal(create(bench, FILE_CREATE, FILE_SHARE_ALL, 0), STATUS_OBJECT_NAME_COLLISION);
    assert_int_equal(create(bench, FILE_OVERWRITE_IF, FILE_SHARE_ALL, FILE_DELETE_ON_CLOSE), STATUS_SUCCESS);
    assert_int_equal(bench->size, 0);
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    assert_false(bench->exists);
    bench_end(bench);
}

static void test_create_refuses(void **state) {
    struct bench *bench = bench_new();
    const struct create_request good = {.desired_access = ACCESS_GENERIC_ALL, .create_disposition = FILE_OPEN_IF};
    struct create_request bad = good;

    (void)state;
    bad.create_options = FILE_DIRECTORY_FILE | FILE_NON_DIRECTORY_FILE;
    assert_int_equal(create_with(bench, "a", bad), STATUS_INVALID_PARAMETER);
    bad = good, bad.create_disposition = 6;
    assert_int_equal(create_with(bench, "a", bad), STATUS_INVALID_PARAMETER);
    bad = good, bad.desired_access = 0;
    assert_int_equal(create_with(bench, "a", bad), STATUS_ACCESS_DENIED);
    assert_int_equal(create_with(bench, "..\\a", good), STATUS_OBJECT_PATH_SYNTAX_BAD);
    assert_int_equal(create_with(bench, "b\\..\\..\\a", good), STATUS_OBJECT_PATH_SYNTAX_BAD);
    assert_int_equal(create_with(bench, "bb\\..\\c\\..\\..\\a", good), STATUS_OBJECT_PATH_SYNTAX_BAD);
    assert_int_equal(create_with(bench, "a\\", good), STATUS_OBJECT_PATH_SYNTAX_BAD);
    assert_int_equal(create_with(bench, "\\a", good), STATUS_INVALID_PARAMETER);
    assert_int_equal(create_with(bench, "a:b:c", good), STATUS_OBJECT_NAME_INVALID);
    assert_int_equal(create_with(bench, "a:", good), STATUS_OBJECT_NAME_INVALID);
    assert_int_equal(create_with(bench, "a*", good), STATUS_OBJECT_NAME_INVALID);
    bench->share.read_only = true;
    assert_int_equal(create_with(bench, "a", good), STATUS_ACCESS_DENIED);
    bench_end(bench);
}

/* What a CREATE had made is gone before its refusal is told, so that the next CREATE of the name does not meet it; and
 * a file that goes with its CLOSE before that is answered. However long the disk takes. */
static void test_gone_before_the_answer(void **state) {
    struct bench *bench = bench_new();
    const struct create_request refused = {.desired_access = ACCESS_GENERIC_ALL, .create_disposition = FILE_CREATE,
        .create_options = FILE_DELETE_ON_CLOSE, .file_attributes = FILE_ATTRIBUTE_READONLY};

    (void)state;
    bench->slow_kind = STORE_REMOVE;
    create_with(bench, "a", refused);
    assert_int_equal(bench->answers, 0);
    assert_true(bench->exists);
    slow_finish(bench);
    assert_int_equal(bench->answers, 1);
    assert_int_equal(bench->status, STATUS_CANNOT_DELETE);
    assert_false(bench->exists);
    assert_int_equal(create(bench, FILE_CREATE, FILE_SHARE_ALL, FILE_DELETE_ON_CLOSE), STATUS_SUCCESS);
    close_file(bench);
    assert_int_equal(bench->answers, 2);
    slow_finish(bench);
    assert_int_equal(bench->answers, 3);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_false(bench->exists);
    bench_end(bench);
}

/* The session ends while what a refused CREATE had made is being removed: it is answered once, and ends with it. */
static void test_end_meets_a_refusal(void **state) {
    struct bench *bench = bench_new();
    struct count count = {.ending.done = count_end};
    const struct create_request refused = {.desired_access = ACCESS_GENERIC_ALL, .create_disposition = FILE_CREATE,
        .create_options = FILE_DELETE_ON_CLOSE, .file_attributes = FILE_ATTRIBUTE_READONLY};

    (void)state;
    bench->slow_kind = STORE_REMOVE;
    create_with(bench, "a", refused);
    dispatch_end(&bench->connection, &bench->session, NULL, &count.ending);
    assert_int_equal(bench->answers, 0);
    assert_int_equal(count.ends, 0);
    slow_finish(bench);
    assert_int_equal(bench->answers, 1);
    assert_int_equal(count.ends, 1);
    bench_end(bench);
}

static void test_share_modes(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_READ, 0), STATUS_SUCCESS);
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SHARING_VIOLATION);
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    bench_end(bench);
}

/* A lock that waits is granted by the unlock, or ends with CANCEL. */
static void test_locks(void **state) {
    struct bench *bench = bench_new();
    uint8_t first[16], second[16];

    (void)state;
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    memcpy(first, bench->file_id, 16);
    assert_int_equal(lock_file(bench, 0, 10, LOCK_EXCLUSIVE), STATUS_SUCCESS);
    assert_int_equal(lock_file(bench, 0, 9, LOCK_UNLOCK), STATUS_RANGE_NOT_LOCKED);
    assert_int_equal(lock_file(bench, UINT64_MAX, 2, LOCK_EXCLUSIVE), STATUS_INVALID_LOCK_RANGE);
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    memcpy(second, bench->file_id, 16);
    assert_int_equal(lock_file(bench, 9, 1, LOCK_SHARED | LOCK_FAIL_IMMEDIATELY), STATUS_LOCK_NOT_GRANTED);
    assert_int_equal(read_file(bench, 0, 1), STATUS_FILE_LOCK_CONFLICT);
    assert_int_equal(write_file(bench, "x"), STATUS_FILE_LOCK_CONFLICT);
    lock_file(bench, 9, 1, LOCK_SHARED);
    assert_int_equal(bench->pends, 1);
    dispatch_cancel(&bench->connection, &bench->frame);
    assert_int_equal(bench->status, STATUS_CANCELLED);
    bench->pends = 0;
    lock_file(bench, 9, 1, LOCK_SHARED);
    assert_int_equal(bench->pends, 1);
    bench->pends = 0;
    memcpy(bench->file_id, first, 16);
    assert_int_equal(lock_file(bench, 0, 10, LOCK_UNLOCK), STATUS_SUCCESS);
    unsigned before = bench->answers;
    post_run(bench);
    assert_int_equal(bench->answers, before + 1);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    memcpy(bench->file_id, second, 16);
    bench->session.state = SERVER_SESSION_EXPIRED; /* then locks are only given back */
    assert_int_equal(lock_file(bench, 20, 1, LOCK_EXCLUSIVE), STATUS_NETWORK_SESSION_EXPIRED);
    assert_int_equal(lock_file(bench, 9, 1, LOCK_UNLOCK), STATUS_SUCCESS);
    bench_end(bench);
}

static uint32_t create_oplock(struct bench *bench, uint32_t disposition, uint32_t access, enum oplock_level wanted) {
    return create_with(bench, "a", (struct create_request){.desired_access = access, .share_access = FILE_SHARE_ALL,
        .create_disposition = disposition, .requested_oplock_level = (uint8_t)wanted});
}

static enum oplock_level granted(const struct bench *bench) {
    return bench->output[SMB2_HEADER_SIZE + 2];
}

static uint32_t acknowledge(struct bench *bench, const uint8_t file_id[16], enum oplock_level level) {
    struct writer writer = request_begin(bench);
    struct oplock_break request = {.oplock_level = (uint8_t)level};

    memcpy(bench->file_id, file_id, 16);
    oplock_break_place(&request);
    oplock_break_encode(&request, &writer);
    return ask(bench, SMB2_OPLOCK_BREAK, &writer);
}

/* A second open waits until the first one's oplock is broken; a write breaks what is shared without waiting. */
static void test_oplock_is_broken(void **state) {
    struct bench *bench = bench_new();
    uint8_t first[16];

    (void)state;
    assert_int_equal(create_oplock(bench, FILE_OPEN_IF, ACCESS_GENERIC_ALL, OPLOCK_LEVEL_BATCH), STATUS_SUCCESS);
    assert_int_equal(granted(bench), OPLOCK_LEVEL_BATCH);
    memcpy(first, bench->file_id, 16);
    assert_int_equal(acknowledge(bench, first, OPLOCK_LEVEL_II), STATUS_INVALID_DEVICE_STATE);
    assert_int_equal(create_oplock(bench, FILE_OPEN, FILE_READ_ATTRIBUTES, OPLOCK_LEVEL_BATCH), STATUS_SUCCESS);
    assert_int_equal(granted(bench), OPLOCK_LEVEL_NONE);
    create_oplock(bench, FILE_OPEN, ACCESS_GENERIC_ALL, OPLOCK_LEVEL_BATCH);
    assert_int_equal(bench->pends, 1);
    post_run(bench);
    assert_int_equal(bench->notices, 1);
    assert_int_equal(bench->timers, 1);
    assert_int_equal(bench->notice.oplock_level, OPLOCK_LEVEL_II);
    assert_memory_equal(bench->notice.file_id, first, 16);
    bench->pends = 0;
    assert_int_equal(acknowledge(bench, first, OPLOCK_LEVEL_II), STATUS_SUCCESS);
    assert_int_equal(granted(bench), OPLOCK_LEVEL_II);
    assert_int_equal(bench->timers, 0);
    post_run(bench);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_int_equal(granted(bench), OPLOCK_LEVEL_II);
    memcpy(bench->file_id, first, 16);
    assert_int_equal(write_file(bench, "x"), STATUS_SUCCESS);
    post_run(bench);
    assert_int_equal(bench->notices, 3);
    assert_int_equal(bench->notice.oplock_level, OPLOCK_LEVEL_NONE);
    assert_int_equal(bench->timers, 0);
    assert_int_equal(acknowledge(bench, first, OPLOCK_LEVEL_NONE), STATUS_INVALID_OPLOCK_PROTOCOL);
    bench_end(bench);
}

static void oplock_wait(struct bench *bench, uint8_t first[16]) {
    assert_int_equal(create_oplock(bench, FILE_OPEN_IF, ACCESS_GENERIC_ALL, OPLOCK_LEVEL_EXCLUSIVE), STATUS_SUCCESS);
    memcpy(first, bench->file_id, 16);
    bench->pends = 0;
    create_oplock(bench, FILE_OVERWRITE_IF, ACCESS_GENERIC_ALL, OPLOCK_LEVEL_LEASE);
    assert_int_equal(bench->pends, 1);
    bench->pends = 0;
}

/* What ends the waiting otherwise: CANCEL, the holder's CLOSE, its silence, the end of the session. */
static void test_oplock_wait_ends(void **state) {
    struct bench *bench = bench_new();
    uint8_t first[16];

    (void)state;
    oplock_wait(bench, first);
    dispatch_cancel(&bench->connection, &bench->frame);
    assert_int_equal(bench->status, STATUS_CANCELLED);
    bench->pends = 1; /* it is closed before the notice came, and answered after that */
    memcpy(bench->file_id, first, 16);
    close_file(bench);
    bench->pends = 0;
    post_run(bench);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_int_equal(bench->notices, 0);
    oplock_wait(bench, first);
    post_run(bench);
    assert_int_equal(bench->notice.oplock_level, OPLOCK_LEVEL_NONE);
    struct open *holder = bench->connection.opens->next;
    holder->patience.index = 0;
    bench->timers--;
    holder->patience.expired(&holder->patience);
    post_run(bench);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_int_equal(granted(bench), OPLOCK_LEVEL_NONE);
    assert_int_equal(create_oplock(bench, FILE_OPEN, ACCESS_GENERIC_ALL, OPLOCK_LEVEL_II), STATUS_SUCCESS);
    assert_int_equal(granted(bench), OPLOCK_LEVEL_II);
    bench_end(bench);
    bench = bench_new();
    oplock_wait(bench, first);
    unsigned answers = bench->answers;
    struct open *open = bench->connection.opens;
    open_close(open); /* that of the CREATE */
    assert_int_equal(bench->answers, answers + 1);
    assert_int_equal(bench->status, STATUS_FILE_CLOSED);
    post_run(bench);
    bench_end(bench);
}

static uint32_t notify(struct bench *bench, uint32_t size, uint32_t filter) {
    struct writer writer = request_begin(bench);
    struct change_notify_request request = {.flags = CHANGE_NOTIFY_WATCH_TREE, .output_buffer_length = size,
                                            .completion_filter = filter};

    change_notify_request_place(&request);
    change_notify_request_encode(&request, &writer);
    bench->pends = 0;
    return ask(bench, SMB2_CHANGE_NOTIFY, &writer);
}

static void expect_change(const struct bench *bench, uint32_t action, const char *name) {
    struct span output = {bench->output + SMB2_HEADER_SIZE + 8, bench->body_size - 8};
    struct file_notify_info info;
    uint8_t octets[64];
    struct writer utf16 = writer_over(octets, sizeof octets);

    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_true(file_notify_info_decode(output, &info));
    assert_int_equal(info.action, action);
    assert_true(text_to_utf16(text_span(name), &utf16) && span_equal(info.name, writer_done(&utf16)));
}

/* Changes are kept between requests, up to the size of the first; what was not asked for is not told. */
static void test_change_notify(void **state) {
    enum { FILE_NAMES = 1, FOLDER_NAMES = 2, REMOVED = 2, MODIFIED = 3 };
    struct bench *bench = bench_new();

    (void)state;
    assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    assert_int_equal(notify(bench, 100, FILE_NAMES), STATUS_INVALID_PARAMETER);
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    bench->exists = false;
    assert_int_equal(create(bench, FILE_CREATE, FILE_SHARE_ALL, FILE_DIRECTORY_FILE), STATUS_SUCCESS);
    notify(bench, 100, FOLDER_NAMES | 0x10);
    assert_int_equal(bench->pends, 1);
    assert_true(bench->watches_tree);
    bench->watch->changed(bench->watch, WATCH_ADDED, false, "a");
    bench->watch->settled(bench->watch);
    assert_int_equal(bench->pends, 1);
    bench->watch->changed(bench->watch, WATCH_REMOVED, true, "b/c");
    bench->watch->settled(bench->watch);
    expect_change(bench, REMOVED, "b\\c");
    bench->watch->changed(bench->watch, WATCH_WRITTEN, false, "d");
    bench->watch->changed(bench->watch, WATCH_WRITTEN, false, "d");
    bench->watch->settled(bench->watch);
    notify(bench, 100, 0);
    expect_change(bench, MODIFIED, "d");
    assert_int_equal(bench->body_size, 8 + 12 + 2);
    for (unsigned i = 0; i < 10; i++)
        bench->watch->changed(bench->watch, WATCH_ADDED, true, "e");
    assert_int_equal(notify(bench, 1000, 0), STATUS_NOTIFY_ENUM_DIR);
    notify(bench, 100, 0);
    assert_int_equal(bench->pends, 1);
    dispatch_cancel(&bench->connection, &bench->frame);
    assert_int_equal(bench->status, STATUS_CANCELLED);
    notify(bench, 100, 0);
    node_set_delete(bench->host.nodes, &bench->connection.opens->seat, true);
    post_run(bench);
    assert_int_equal(bench->status, STATUS_DELETE_PENDING);
    assert_int_equal(notify(bench, 100, 0), STATUS_DELETE_PENDING);
    node_set_delete(bench->host.nodes, &bench->connection.opens->seat, false);
    notify(bench, 100, 0);
    unsigned answers = bench->answers;
    open_close(bench->connection.opens);
    assert_int_equal(bench->answers, answers + 1);
    assert_int_equal(bench->status, STATUS_NOTIFY_CLEANUP);
    assert_null(bench->watch);
    bench_end(bench);
}

/* A long READ is answered out of the file, which stays open until that is sent, whatever happens meanwhile. */
static void test_read_is_sent(void **state) {
    enum { SIZE = 100000, HEAD = 16 };
    struct bench *bench = bench_new();
    struct writer writer;
    struct close_request request = {0};

    (void)state;
    bench->sends = true;
    bench->size = SIZE;
    bench->exists = true;
    assert_int_equal(create(bench, FILE_OPEN, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
    assert_int_equal(read_file(bench, SIZE, 20000), STATUS_END_OF_FILE);
    assert_null(bench->sent);
    assert_int_equal(read_file(bench, SIZE - 20000, 65536), STATUS_SUCCESS);
    assert_int_equal(bench->body_size, HEAD);
    assert_int_equal(bench->part.descriptor, 7);
    assert_int_equal(bench->part.offset, SIZE - 20000);
    assert_int_equal(bench->part.size, 20000);
    bench->answers = 0;
    writer = request_begin(bench);
    close_request_place(&request);
    close_request_encode(&request, &writer);
    bench->frame.request.command = SMB2_CLOSE;
    bench->frame.request.message.bytes = writer_done(&writer);
    dispatch(&bench->connection, &bench->frame);
    assert_int_equal(bench->answers, 0);
    assert_int_equal(bench->files, 1);
    bench->sent(bench->sent_argument);
    assert_int_equal(bench->answers, 1);
    assert_int_equal(bench->files, 0);
    bench->sends = false;
    bench_end(bench);
}

/* Each operation's failure reaches the client as its status, and leaves nothing open. */
static void test_faults(void **state) {
    static const struct { int error; uint32_t status; } faults[] = {
        {EACCES, STATUS_ACCESS_DENIED}, {ENOSPC, STATUS_DISK_FULL}, {EIO, STATUS_IO_DEVICE_ERROR},
        {EROFS, STATUS_MEDIA_WRITE_PROTECTED}, {ENOMEM, STATUS_INSUFFICIENT_RESOURCES}};

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct bench *bench = bench_new();

        bench->fault = faults[i].error;
        bench->fault_kind = STORE_OPEN;
        assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), faults[i].status);
        bench->fault_kind = -1;
        assert_int_equal(create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0), STATUS_SUCCESS);
        bench->fault_kind = STORE_WRITE;
        assert_int_equal(write_file(bench, "x"), faults[i].status);
        bench->fault_kind = STORE_READ;
        assert_int_equal(read_file(bench, 0, 1), faults[i].status);
        bench->fault_kind = STORE_TRUNCATE;
        assert_int_equal(create(bench, FILE_OVERWRITE, FILE_SHARE_ALL, 0), faults[i].status);
        bench_end(bench);
    }
}

/* --- CREATEs that meet each other --- */

static const struct create_request batch_open = {.desired_access = ACCESS_GENERIC_ALL, .share_access = FILE_SHARE_ALL,
    .create_disposition = FILE_OPEN, .requested_oplock_level = OPLOCK_LEVEL_BATCH};

static uint32_t action(const struct bench *bench) {
    return bench->output[SMB2_HEADER_SIZE + 4];
}

/* What the store has done for a CREATE is told to it only by the next slow_finish(). */
static struct store_op *create_late(struct bench *bench, const struct create_request *request) {
    struct store_op *late;

    bench->slow_kind = STORE_OPEN;
    bench->slow_tells = true;
    create_with(bench, "a", *request);
    bench->slow_kind = -1;
    late = bench->slow;
    assert_non_null(late);
    bench->slow = NULL;
    return late;
}

/* A CREATE makes the file; another opens that by another name, before the first one knows, and writes. */
static void made_and_opened(struct bench *bench, uint32_t disposition, const struct create_request *second) {
    const struct create_request first = {.desired_access = ACCESS_GENERIC_ALL, .share_access = FILE_SHARE_ALL,
                                         .create_disposition = disposition};
    struct store_op *late = create_late(bench, &first);

    assert_true(bench->exists);
    assert_int_equal(create_with(bench, "b", *second), STATUS_SUCCESS);
    assert_int_equal(action(bench), CREATED_OPENED);
    assert_int_equal(write_file(bench, "hello"), STATUS_SUCCESS);
    bench->slow = late;
    slow_finish(bench);
}

/* The one that made the file waits for the other's oplock: it has made it nevertheless, and empties nothing. */
static void test_made_then_waits(void **state) {
    static const uint32_t dispositions[] = {FILE_CREATE, FILE_OPEN_IF, FILE_OVERWRITE_IF, FILE_SUPERSEDE};

    (void)state;
    for (size_t i = 0; i < sizeof dispositions / sizeof *dispositions; i++) {
        struct bench *bench = bench_new();

        made_and_opened(bench, dispositions[i], &batch_open);
        assert_int_equal(bench->pends, 1);
        bench->pends = 0;
        post_run(bench);
        assert_int_equal(bench->notices, 1);
        assert_int_equal(acknowledge(bench, bench->notice.file_id, OPLOCK_LEVEL_NONE), STATUS_SUCCESS);
        bench->status = STATUS_PENDING;
        post_run(bench);
        assert_int_equal(bench->status, STATUS_SUCCESS);
        assert_int_equal(action(bench), CREATED_NEW);
        assert_int_equal(bench->size, 5);
        bench_end(bench);
    }
}

/* The one that makes a file is the first to have it open, however late it learns that it has; the other one waits for that,
 * in whatever case it spells the name. */
static void test_maker_is_first(void **state) {
    static const uint32_t shares[] = {FILE_SHARE_ALL, 0};
    struct create_request first = {.desired_access = ACCESS_GENERIC_ALL, .create_disposition = FILE_CREATE};
    struct create_request second = {.desired_access = ACCESS_GENERIC_ALL, .share_access = FILE_SHARE_ALL,
                                    .create_disposition = FILE_OPEN_IF};

    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        struct bench *bench = bench_new();

        first.share_access = shares[i];
        struct store_op *late = create_late(bench, &first);
        create_with(bench, "A", second);
        assert_int_equal(bench->answers, 0);
        assert_int_equal(bench->pends, 1);
        bench->pends = 0;
        bench->slow = late;
        slow_finish(bench);
        assert_int_equal(bench->answers, 1);
        assert_int_equal(bench->status, STATUS_SUCCESS);
        assert_int_equal(action(bench), CREATED_NEW);
        post_run(bench);
        assert_int_equal(bench->answers, 2);
        assert_int_equal(bench->status, shares[i] != 0 ? STATUS_SUCCESS : STATUS_SHARING_VIOLATION);
        assert_int_equal(action(bench), shares[i] != 0 ? CREATED_OPENED : CREATED_NEW);
        bench_end(bench);
    }
}

/* Of those that wait for a maker one may be taken back, and one comes to nothing with the maker; then it makes the file. */
static void test_maker_comes_to_nothing(void **state) {
    const struct create_request refused = {.desired_access = ACCESS_GENERIC_ALL, .create_disposition = FILE_CREATE,
        .create_options = FILE_DELETE_ON_CLOSE, .file_attributes = FILE_ATTRIBUTE_READONLY};
    struct bench *bench = bench_new();

    (void)state;
    struct store_op *late = create_late(bench, &refused);
    create(bench, FILE_OPEN, FILE_SHARE_ALL, 0);
    assert_int_equal(bench->pends, 1);
    dispatch_cancel(&bench->connection, &bench->frame);
    assert_int_equal(bench->status, STATUS_CANCELLED);
    bench->pends = 0;
    create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0);
    assert_int_equal(bench->pends, 1);
    bench->pends = 0;
    bench->slow = late;
    slow_finish(bench);
    assert_int_equal(bench->status, STATUS_CANNOT_DELETE);
    post_run(bench);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_int_equal(action(bench), CREATED_NEW);
    assert_true(bench->exists);
    bench_end(bench);
}

/* What it made stays where the other has it open, however its own CREATE ends. */
static void test_made_stays_for_others(void **state) {
    struct create_request alone = batch_open;
    struct bench *bench = bench_new();

    (void)state;
    made_and_opened(bench, FILE_OPEN_IF, &batch_open);
    dispatch_cancel(&bench->connection, &bench->frame);
    assert_int_equal(bench->status, STATUS_CANCELLED);
    bench->pends = 0;
    post_run(bench);
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    assert_true(bench->exists);
    bench_end(bench);
    bench = bench_new();
    alone.share_access = 0;
    alone.requested_oplock_level = OPLOCK_LEVEL_NONE;
    made_and_opened(bench, FILE_OPEN_IF, &alone);
    assert_int_equal(bench->status, STATUS_SHARING_VIOLATION);
    assert_int_equal(close_file(bench), STATUS_SUCCESS);
    assert_true(bench->exists);
    bench_end(bench);
}

/* The same where the other comes while the new file is being dressed, which fails. */
static void test_made_then_fails(void **state) {
    const struct create_request plain = {.desired_access = ACCESS_GENERIC_ALL, .share_access = FILE_SHARE_ALL,
                                         .create_disposition = FILE_OPEN_IF};

    (void)state;
    for (unsigned others = 0; others < 2; others++) {
        struct bench *bench = bench_new();

        bench->slow_kind = STORE_STAT;
        create_with(bench, "a", plain);
        bench->slow_kind = -1;
        struct store_op *late = bench->slow;
        bench->slow = NULL;
        if (others > 0)
            assert_int_equal(create_with(bench, "a", plain), STATUS_SUCCESS);
        bench->slow = late;
        bench->fault_kind = STORE_STAT;
        bench->fault = EIO;
        slow_finish(bench);
        assert_int_equal(bench->status, STATUS_IO_DEVICE_ERROR);
        bench->fault_kind = -1;
        assert_int_equal(bench->exists, others > 0);
        if (others > 0)
            assert_int_equal(close_file(bench), STATUS_SUCCESS);
        assert_int_equal(bench->exists, others > 0);
        bench_end(bench);
    }
}

/* A CREATE that fails deletes nothing that was there, though it should have been deleted on its close. */
static void test_refused_deletes_nothing(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    bench->exists = true;
    bench->fault_kind = STORE_TRUNCATE;
    bench->fault = EIO;
    assert_int_equal(create(bench, FILE_OVERWRITE, FILE_SHARE_ALL, FILE_DELETE_ON_CLOSE), STATUS_IO_DEVICE_ERROR);
    assert_true(bench->exists);
    bench->fault_kind = -1;
    bench->lacks_memory = true;
    assert_int_equal(create(bench, FILE_OPEN, FILE_SHARE_ALL, FILE_DELETE_ON_CLOSE), STATUS_INSUFFICIENT_RESOURCES);
    assert_true(bench->exists);
    bench->exists = false;
    assert_int_equal(create(bench, FILE_CREATE, FILE_SHARE_ALL, 0), STATUS_INSUFFICIENT_RESOURCES);
    assert_false(bench->exists);
    bench_end(bench);
}

/* Whoever comes while a file is being removed waits until it is gone, and makes a new one. */
static void test_create_meets_removal(void **state) {
    struct bench *bench = bench_new();

    (void)state;
    assert_int_equal(create(bench, FILE_CREATE, FILE_SHARE_ALL, FILE_DELETE_ON_CLOSE), STATUS_SUCCESS);
    bench->slow_kind = STORE_REMOVE;
    close_file(bench);
    struct store_op *late = bench->slow;
    bench->slow = NULL;
    bench->slow_kind = -1;
    create(bench, FILE_OPEN_IF, FILE_SHARE_ALL, 0);
    assert_int_equal(bench->pends, 1);
    bench->pends = 0;
    bench->slow = late;
    slow_finish(bench);
    post_run(bench);
    assert_int_equal(bench->answers, 3);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    assert_int_equal(action(bench), CREATED_NEW);
    assert_true(bench->exists);
    bench_end(bench);
}

/* The file that a CREATE found, or made, is removed before it is told: it looks again, and no other removal misleads it. */
static void test_create_finds_what_is_gone(void **state) {
    const struct create_request goes = {.desired_access = ACCESS_GENERIC_ALL, .share_access = FILE_SHARE_ALL,
        .create_disposition = FILE_OPEN, .create_options = FILE_DELETE_ON_CLOSE};
    const struct create_request plain = {.desired_access = ACCESS_GENERIC_ALL, .share_access = FILE_SHARE_ALL,
                                         .create_disposition = FILE_OPEN_IF};

    (void)state;
    for (unsigned exists = 0; exists < 2; exists++) {
        struct bench *bench = bench_new();

        bench->exists = exists;
        struct store_op *late = create_late(bench, &plain);
        assert_int_equal(create_with(bench, "b", goes), STATUS_SUCCESS);
        assert_int_equal(close_file(bench), STATUS_SUCCESS);
        assert_false(bench->exists);
        bench->slow = late;
        slow_finish(bench);
        assert_int_equal(bench->status, STATUS_SUCCESS);
        assert_int_equal(action(bench), CREATED_NEW);
        assert_true(bench->exists);
        bench_end(bench);
    }
}

static const struct create_request open_most = {.desired_access = ACCESS_MAXIMUM_ALLOWED,
    .share_access = FILE_SHARE_ALL, .create_disposition = FILE_OPEN};

/* Who may not delete a file has it not deleted on his close either, be it that he asks for whatever he may have. */
static void test_delete_on_close_needs_the_right(void **state) {
    struct bench *bench = bench_new();
    struct create_request most = open_most;

    (void)state;
    bench->exists = bench->is_others = true;
    assert_int_equal(create_with(bench, "a", most), STATUS_SUCCESS);
    most.create_options = FILE_DELETE_ON_CLOSE;
    assert_int_equal(create_with(bench, "a", most), STATUS_ACCESS_DENIED);
    bench->is_others = false;
    assert_int_equal(create_with(bench, "a", most), STATUS_SUCCESS);
    assert_true(bench->exists);
    bench_end(bench);
}

/* Who waits for an oplock may get what can be had then, be it more than could be had at first. */
static void test_maximum_after_waiting(void **state) {
    struct bench *bench = bench_new();
    uint8_t first[16];

    (void)state;
    assert_int_equal(create_oplock(bench, FILE_CREATE, ACCESS_GENERIC_ALL, OPLOCK_LEVEL_BATCH), STATUS_SUCCESS);
    memcpy(first, bench->file_id, 16);
    bench->is_fixed = true;
    create_with(bench, "a", open_most);
    assert_int_equal(bench->pends, 1);
    bench->pends = 0;
    bench->is_fixed = false;
    assert_int_equal(acknowledge(bench, first, OPLOCK_LEVEL_NONE), STATUS_SUCCESS);
    post_run(bench);
    assert_int_equal(bench->status, STATUS_SUCCESS);
    memcpy(bench->file_id, bench->output + SMB2_HEADER_SIZE + 64, 16);
    assert_int_equal(write_file(bench, "x"), STATUS_SUCCESS);
    bench_end(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_comes_and_goes), cmocka_unit_test(test_create_refuses),
        cmocka_unit_test(test_gone_before_the_answer), cmocka_unit_test(test_end_meets_a_refusal),
        cmocka_unit_test(test_share_modes), cmocka_unit_test(test_locks),
        cmocka_unit_test(test_oplock_is_broken), cmocka_unit_test(test_oplock_wait_ends),
        cmocka_unit_test(test_change_notify), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_read_is_sent), cmocka_unit_test(test_general_controls),
        cmocka_unit_test(test_written_shows_late), cmocka_unit_test(test_written_as_of_close),
        cmocka_unit_test(test_maker_is_first), cmocka_unit_test(test_maker_comes_to_nothing),
        cmocka_unit_test(test_made_then_waits), cmocka_unit_test(test_made_stays_for_others),
        cmocka_unit_test(test_made_then_fails), cmocka_unit_test(test_refused_deletes_nothing),
        cmocka_unit_test(test_create_meets_removal), cmocka_unit_test(test_create_finds_what_is_gone),
        cmocka_unit_test(test_maximum_after_waiting), cmocka_unit_test(test_delete_on_close_needs_the_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
