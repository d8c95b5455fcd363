/* The commands of the file server, as somebody who is logged on may send them, over a store that is made up here.
 *
 * The input is a script. The first octet: bit 0 the share is read-only, bit 1 files are sent as they are. Then steps: a
 * control octet, an octet more, a length of 16 bits (little-endian), and as many octets, fewer at the end. Control octet
 * below 0x20: a request of that command, whose body follows, made as long as its StructureSize at least; the octet more
 * says by bits 0 to 2 which of the files opened last it is about, and by bits 4 to 7 after how many operations the store
 * fails (0: never). 0x20: a request that waits is cancelled. 0x21: what was sent is sent. 0x22: timers ring. 0x23:
 * something changes in folders that are watched. 0x24: another tree is connected. 0x25: the tree ends, and a new one
 * begins. 0x26: from now on what the store does is told late, or at once again. 0x27: something of that is told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "serve/node.h"
#include "serve/work.h"
#include "store/watch.h"

#define INPUT_SIZE_MAX 65536u /* octets */
#define PLACES         8u
#define DATA_MAX       4096u  /* octets of a file */
#define FRAMES_MAX     64u    /* requests of one input */
#define IDS            8u
#define TIMERS_MAX     64u
#define WATCHES_MAX    16u
#define LATE_MAX       8u
#define BODY_AT        SMB2_HEADER_SIZE
#define FILE_ID_AT     (BODY_AT + 64u) /* in a CREATE response */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

/* A name in the store. The first one is the root. */
struct place {
    bool used, is_folder;
    char name[64];
    uint8_t data[DATA_MAX], security[256];
    size_t size, security_size;
    uint32_t dos_attributes;
    unsigned life; /* which of the files that had this place */
};

struct store_file {
    struct place *place;
    unsigned listed, life;
};

struct host {
    struct nodes *nodes;
};

/* A request, from coming to being answered. */
struct asked {
    struct server_frame frame;
    uint8_t *input, *output;
    size_t room;
    bool answered, pends;
    void (*sent)(void *argument), *sent_argument;
};

struct run {
    struct store store; /* first: the store finds its run by it */
    struct share share;
    struct host host;
    struct server_policy policy;
    struct connection connection;
    struct server_session session;
    struct server_tree trees[2];
    unsigned tree;
    struct place places[PLACES];
    struct loop_task *first, **last;
    struct loop_timer *timers[TIMERS_MAX];
    struct watch *watches[WATCHES_MAX];
    struct asked asked[FRAMES_MAX];
    unsigned asked_count, files, fails_in;
    struct store_op *late[LATE_MAX]; /* done, and not told yet */
    unsigned late_count;
    bool sends, is_late;
    uint8_t ids[IDS][16];
    unsigned id_count;
};

/* ---- the store ---- */

static struct place *place_find(struct run *run, const char *path) {
    for (unsigned i = 0; i < PLACES; i++)
        if (run->places[i].used && strcmp(run->places[i].name, path) == 0)
            return &run->places[i];
    return NULL;
}

static struct place *place_make(struct run *run, const char *path, bool is_folder) {
    for (unsigned i = 0; i < PLACES && strlen(path) < sizeof run->places[0].name; i++)
        if (!run->places[i].used) {
            struct place *place = &run->places[i];

            unsigned life = place->life + 1;

            memset(place, 0, sizeof *place);
            place->life = life;
            place->used = true;
            place->is_folder = is_folder;
            strcpy(place->name, path);
            return place;
        }
    return NULL;
}

static void tell_attributes(const struct run *run, const struct place *place, unsigned life,
                            struct store_attributes *attributes) {
    uint64_t number = (uint64_t)(place - run->places) + 1;

    *attributes = (struct store_attributes){.id = {life + 1, number}, .is_folder = place->is_folder,
        .dos_attributes = place->dos_attributes, .links = place->used && place->life == life, .size = place->size, .allocated = DATA_MAX};
}

static int64_t store_open(struct run *run, struct store_op *op) {
    struct place *place = place_find(run, op->path);

    if (op->stream != NULL && op->stream[0] != '\0')
        return -ENOENT;
    op->made = place == NULL;
    if (place == NULL && op->how == STORE_MUST_EXIST)
        return -ENOENT;
    if (place != NULL && op->how == STORE_MUST_NOT_EXIST)
        return -EEXIST;
    if (place != NULL && ((op->want_folder && !place->is_folder) || (op->want_file && place->is_folder)))
        return op->want_file ? -EISDIR : -ENOTDIR;
    if (place == NULL && (place = place_make(run, op->path, op->want_folder)) == NULL)
        return -ENOSPC;
    op->file = calloc(1, sizeof *op->file);
    *op->file = (struct store_file){.place = place, .life = place->life};
    run->files++;
    tell_attributes(run, place, place->life, &op->attributes);
    return 0;
}

static int64_t store_close(struct run *run, struct store_op *op) {
    CHECK(run->files > 0);
    free(op->file);
    run->files--;
    return 0;
}

static int64_t store_read(const struct place *place, struct store_op *op) {
    size_t left = op->offset < place->size ? place->size - op->offset : 0, size = op->size < left ? op->size : left;

    memset(op->data, 0, op->size); /* all of it has to be there */
    if (size > 0)
        memcpy(op->data, place->data + op->offset, size);
    return (int64_t)size;
}

static int64_t store_write(struct place *place, const struct store_op *op) {
    if (op->offset > DATA_MAX || op->size > DATA_MAX - op->offset)
        return -ENOSPC;
    memcpy(place->data + op->offset, op->data, op->size);
    place->size = place->size > op->offset + op->size ? place->size : op->offset + op->size;
    return (int64_t)op->size;
}

static int64_t store_list(struct run *run, struct store_op *op) {
    struct store_file *file = op->file;
    int64_t count = 0;

    if (!file->place->is_folder)
        return -ENOTDIR;
    if (op->restart)
        file->listed = 0;
    for (; file->listed < PLACES; file->listed++) {
        const struct place *place = &run->places[file->listed];
        struct store_attributes attributes;

        if (!place->used)
            continue;
        tell_attributes(run, place, place->life, &attributes);
        if (!op->entry(op, place->name[0] != '\0' ? place->name : ".", &attributes))
            break;
        count++;
    }
    return count;
}

static int64_t store_rename(struct run *run, struct store_op *op) {
    struct place *there = place_find(run, op->path);

    if (op->file->place == run->places || there == run->places || strlen(op->path) >= sizeof there->name)
        return -EACCES;
    if (there != NULL && there != op->file->place && !op->replace)
        return -EEXIST;
    if (there != NULL && there != op->file->place)
        there->name[0] = 1; /* as good as away, and may be open */
    strcpy(op->file->place->name, op->path);
    return 0;
}

static int64_t store_security(struct place *place, struct store_op *op) {
    if (op->kind == STORE_SECURITY_SET) {
        if (op->size > sizeof place->security)
            return -ENOSPC;
        memcpy(place->security, op->data, op->size);
        place->security_size = op->size;
        return 0;
    }
    if (place->security_size == 0)
        return -ENODATA;
    if (place->security_size > op->size) {
        op->size = place->security_size;
        return -ERANGE;
    }
    memcpy(op->data, place->security, place->security_size);
    return (int64_t)place->security_size;
}

static int64_t store_perform(struct run *run, struct store_op *op) {
    struct place *place = op->file != NULL && op->kind != STORE_OPEN ? op->file->place : NULL;

    if (op->kind == STORE_CLOSE)
        return store_close(run, op);
    if (run->fails_in > 0 && --run->fails_in == 0)
        return -EIO;
    switch (op->kind) {
    case STORE_OPEN: return store_open(run, op);
    case STORE_READ: return store_read(place, op);
    case STORE_WRITE: return store_write(place, op);
    case STORE_STAT: tell_attributes(run, place, op->file->life, &op->attributes); return 0;
    case STORE_SET:
        place->dos_attributes = (op->set & STORE_SET_DOS) != 0 ? op->attributes.dos_attributes : place->dos_attributes;
        return 0;
    case STORE_TRUNCATE:
        if (op->size > DATA_MAX)
            return -ENOSPC;
        place->size = op->size;
        return 0;
    case STORE_RENAME: return store_rename(run, op);
    case STORE_REMOVE: /* its place may be taken again while it is open */
        if (op->file->life != place->life)
            return -ENOENT;
        place->used = place == run->places;
        return 0;
    case STORE_LIST: return store_list(run, op);
    case STORE_STREAMS: return op->entry(op, "one", &(struct store_attributes){.size = 3});
    case STORE_XATTR_GET: return -ENODATA;
    case STORE_SECURITY_GET: case STORE_SECURITY_SET: return store_security(place, op);
    case STORE_COPY: return op->size > DATA_MAX ? DATA_MAX : (int64_t)op->size;
    case STORE_RANGES: op->range(op, op->offset, op->size); return 0;
    case STORE_VOLUME:
        op->volume = (struct store_volume){.id = 1, .block_size = 4096, .blocks = 100, .name_max = 255,
                                           .file_system = "NTFS", .label = "made up"};
        return 0;
    default: return 0;
    }
}

static void made_up_submit(struct store *store, struct store_op *op) {
    struct run *run = (struct run *)store;

    op->path_missing = false;
    op->result = store_perform(run, op);
    if (run->is_late && run->late_count < LATE_MAX)
        run->late[run->late_count++] = op;
    else
        op->done(op);
}

static int made_up_path(struct store *store, struct store_file *file, char *path) {
    (void)store;
    strcpy(path, file->place->name);
    return 0;
}

/* The watcher is the run. */
static int made_up_watch(struct store_file *file, struct watcher *watcher, struct watch *watch, bool is_tree) {
    struct run *run = (struct run *)watcher;

    (void)file, (void)is_tree;
    for (unsigned i = 0; i < WATCHES_MAX; i++)
        if (run->watches[i] == NULL) {
            run->watches[i] = watch;
            watch->watcher = watcher;
            return 0;
        }
    return -ENOSPC;
}

void watch_end(struct watch *watch) {
    struct run *run = (struct run *)watch->watcher;
    unsigned i = 0;

    while (i < WATCHES_MAX && run->watches[i] != watch)
        i++;
    CHECK(i < WATCHES_MAX);
    run->watches[i] = NULL;
    watch->freed(watch);
}

static const struct store_methods made_up_methods = {
    .submit = made_up_submit, .path = made_up_path, .watch = made_up_watch};

void store_submit(struct store *store, struct store_op *op) {
    op->store = store;
    op->result = 0;
    store->methods->submit(store, op);
}

bool store_takes_pipe(const struct store *store, const struct store_file *file) {
    (void)store;
    (void)file;
    return false;
}

int store_sendable(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size) {
    const struct run *run = (struct run *)store;

    if (!run->sends || offset >= file->place->size)
        return -1;
    *size = *size < file->place->size - offset ? *size : file->place->size - offset;
    return 7;
}

/* ---- the connection ---- */

static struct asked *asked_of(struct server_frame *frame) {
    return frame->owner;
}

/* Of the exact size, so that what is written beyond it is noticed. */
uint8_t *connection_body(struct connection *connection, struct server_frame *frame, size_t size) {
    struct asked *asked = asked_of(frame);

    (void)connection;
    free(asked->output);
    asked->output = malloc(BODY_AT + size);
    asked->room = size;
    return asked->output + BODY_AT;
}

void connection_answer(struct connection *connection, struct server_frame *frame, uint32_t status, size_t body_size) {
    struct asked *asked = asked_of(frame);
    struct run *run = connection->inside;

    CHECK(!asked->answered && body_size <= asked->room && status != STATUS_PENDING);
    asked->answered = true;
    if (frame->request.command == SMB2_CREATE && status == STATUS_SUCCESS)
        memcpy(run->ids[run->id_count++ % IDS], asked->output + FILE_ID_AT, 16);
    frame->request.session = NULL; /* nobody may look at it any more */
    frame->request.tree = NULL;
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
    CHECK(part->descriptor == 7 && part->size > 0);
    connection_answer(connection, frame, status, body_size);
    asked_of(frame)->sent = sent;
    asked_of(frame)->sent_argument = argument;
}

void connection_refuse(struct connection *connection, struct server_frame *frame, uint32_t status) {
    connection_answer(connection, frame, status, 0);
}

void connection_pend(struct connection *connection, struct server_frame *frame) {
    (void)connection;
    CHECK(!asked_of(frame)->answered);
    asked_of(frame)->pends = true;
}

void connection_notify(struct connection *connection, struct server_session *session, const struct server_tree *tree,
                       uint16_t command, const void *body, size_t body_size) {
    const struct run *run = connection->inside;

    CHECK(session == &run->session && tree != NULL && command == SMB2_OPLOCK_BREAK && body != NULL && body_size > 0);
}

bool connection_interface(struct connection *connection, struct interface *interface) {
    *interface = (struct interface){.index = 1, .is_ipv6 = true, .speed = UINT64_MAX};
    return connection->inside != NULL;
}

struct identity *connection_identity(const struct server_session *session) {
    (void)session;
    return NULL;
}

struct watcher *connection_watcher(struct connection *connection) {
    return connection->inside;
}

struct nodes *host_nodes(struct host *host) {
    return host->nodes;
}

const struct share *host_share(struct host *host, unsigned index, unsigned *count) {
    const struct run *run = (struct run *)((char *)host - offsetof(struct run, host));

    if (count != NULL)
        *count = 1;
    return index == 0 ? &run->share : NULL;
}

/* ---- the loop, which is the run ---- */

void loop_post(struct loop *loop, struct loop_task *task) {
    struct run *run = (struct run *)loop;

    task->next = NULL;
    *run->last = task;
    run->last = &task->next;
}

static void run_posts(struct run *run) {
    while (run->first != NULL) {
        struct loop_task *task = run->first;

        run->first = task->next;
        if (run->first == NULL)
            run->last = &run->first;
        task->run(task);
    }
}

/* Each request takes a while. */
uint64_t loop_now_ms(const struct loop *loop) {
    return ((const struct run *)loop)->asked_count * 700u;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms) {
    struct run *run = (struct run *)loop;

    (void)after_ms;
    if (timer->index != 0)
        return 0;
    for (unsigned i = 0; i < TIMERS_MAX; i++)
        if (run->timers[i] == NULL) {
            run->timers[i] = timer;
            timer->index = i + 1;
            return 0;
        }
    return -ENOMEM;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer) {
    struct run *run = (struct run *)loop;

    if (timer->index == 0)
        return;
    CHECK(run->timers[timer->index - 1] == timer);
    run->timers[timer->index - 1] = NULL;
    timer->index = 0;
}

static void ring(struct run *run) {
    for (unsigned i = 0; i < TIMERS_MAX; i++)
        if (run->timers[i] != NULL) {
            struct loop_timer *timer = run->timers[i];

            loop_timer_clear((struct loop *)run, timer);
            timer->expired(timer);
        }
}

/* ---- steps ---- */

/* StructureSize as the core has checked it, made even. */
static size_t body_least(uint16_t command) {
    static const uint8_t sizes[] = {[SMB2_CREATE] = 56, [SMB2_CLOSE] = 24, [SMB2_FLUSH] = 24, [SMB2_READ] = 48,
        [SMB2_WRITE] = 48, [SMB2_LOCK] = 48, [SMB2_IOCTL] = 56, [SMB2_QUERY_DIRECTORY] = 32, [SMB2_CHANGE_NOTIFY] = 32,
        [SMB2_QUERY_INFO] = 40, [SMB2_SET_INFO] = 32, [SMB2_OPLOCK_BREAK] = 24};

    return command < sizeof sizes ? sizes[command] : 0;
}

static void ask(struct run *run, uint8_t command, uint8_t more, struct span octets) {
    size_t least = body_least(command), size = octets.size > least ? octets.size : least;
    struct asked *asked = &run->asked[run->asked_count++];
    struct server_request *request = &asked->frame.request;

    asked->frame.owner = asked;
    asked->input = calloc(1, BODY_AT + size + 1);
    if (octets.size > 0)
        memcpy(asked->input + BODY_AT, octets.data, octets.size);
    request->command = command;
    request->message_id = run->asked_count;
    request->session = &run->session;
    request->tree = &run->trees[run->tree];
    request->message.bytes = (struct span){asked->input, BODY_AT + size};
    request->has_file_id = true;
    memcpy(request->file_id, run->ids[(run->id_count - 1u - (more & 7u)) % IDS], sizeof request->file_id);
    run->fails_in = more >> 4;
    dispatch(&run->connection, &asked->frame);
    CHECK(asked->answered || asked->pends || run->files > 0 || run->late_count > 0);
    run_posts(run);
}

static void cancel(struct run *run) {
    for (unsigned i = 0; i < run->asked_count; i++)
        if (!run->asked[i].answered) {
            dispatch_cancel(&run->connection, &run->asked[i].frame);
            run_posts(run);
            return;
        }
}

static void send_all(struct run *run) {
    for (unsigned i = 0; i < run->asked_count; i++)
        if (run->asked[i].sent != NULL) {
            void (*sent)(void *argument) = run->asked[i].sent;

            run->asked[i].sent = NULL;
            sent(run->asked[i].sent_argument);
        }
    run_posts(run);
}

static void tell_late(struct run *run, unsigned which) {
    struct store_op *op = run->late[which];

    run->late[which] = run->late[--run->late_count];
    op->done(op);
    run_posts(run);
}

static void change(struct run *run, uint8_t more) {
    for (unsigned i = 0; i < WATCHES_MAX; i++)
        if (run->watches[i] != NULL) {
            struct watch *watch = run->watches[i];

            watch->changed(watch, more % (WATCH_LOST + 1u), (more & 0x80) != 0, more % (WATCH_LOST + 1u) == WATCH_LOST ? NULL : "a/b");
            watch->settled(watch);
        }
    run_posts(run);
}

struct count {
    struct closing closing; /* first */
    unsigned ends;
};

static void count_end(struct closing *closing) {
    ((struct count *)closing)->ends++;
}

/* While answers are being sent, or the store is at work, the end waits for them. */
static void end(struct run *run, struct server_tree *tree) {
    struct count count = {.closing.done = count_end};

    dispatch_end(&run->connection, tree != NULL ? &run->session : NULL, tree, &count.closing);
    run_posts(run);
    send_all(run);
    run->is_late = false;
    while (run->late_count > 0)
        tell_late(run, 0);
    CHECK(count.ends == 1);
}

static void step(struct run *run, uint8_t control, uint8_t more, struct span octets) {
    if (control < 0x20)
        ask(run, control, more, octets);
    else if (control == 0x20)
        cancel(run);
    else if (control == 0x21)
        send_all(run);
    else if (control == 0x22)
        ring(run);
    else if (control == 0x23)
        change(run, more);
    else if (control == 0x24)
        run->tree ^= 1;
    else if (control == 0x25)
        end(run, &run->trees[run->tree]);
    else if (control == 0x26)
        run->is_late = !run->is_late;
    else if (control == 0x27 && run->late_count > 0)
        tell_late(run, more % run->late_count);
}

static void begin(struct run *run, uint8_t how) {
    memset(run, 0, sizeof *run);
    run->store.methods = &made_up_methods;
    run->share.name = "docs";
    run->share.store = &run->store;
    run->share.read_only = how & 1;
    run->sends = how & 2;
    run->host.nodes = nodes_new();
    run->last = &run->first;
    run->places[0] = (struct place){.used = true, .is_folder = true};
    server_policy_defaults(&run->policy);
    run->connection = (struct connection){.host = &run->host, .loop = (struct loop *)run, .open_limit = 32, .inside = run};
    run->connection.server.policy = &run->policy;
    run->trees[0].owner = run->trees[1].owner = &run->share;
    run->trees[0].session = run->trees[1].session = &run->session;
}

static void finish(struct run *run) {
    end(run, NULL);
    CHECK(run->connection.opens == NULL && run->connection.open_count == 0 && run->files == 0 && run->first == NULL);
    for (unsigned i = 0; i < run->asked_count; i++) {
        CHECK(run->asked[i].answered);
        free(run->asked[i].input);
        free(run->asked[i].output);
    }
    for (unsigned i = 0; i < TIMERS_MAX; i++)
        CHECK(run->timers[i] == NULL);
    for (unsigned i = 0; i < WATCHES_MAX; i++)
        CHECK(run->watches[i] == NULL);
    nodes_free(run->host.nodes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run run;
    struct reader reader = reader_over((struct span){data, size});

    if (size > INPUT_SIZE_MAX || size == 0)
        return 0;
    begin(&run, reader_u8(&reader));
    while (reader_left(&reader) >= 4 && run.asked_count < FRAMES_MAX) {
        uint8_t control = reader_u8(&reader), more = reader_u8(&reader);
        size_t length = reader_u16(&reader);

        step(&run, control, more, reader_take(&reader, length < reader_left(&reader) ? length : reader_left(&reader)));
    }
    finish(&run);
    return 0;
}
