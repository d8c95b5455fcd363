#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve/ea.h"
#include "serve/security.h"
#include "serve/work.h"
#include "store/identity.h"
#include "wire/text.h"

enum {
    ACCESS_FILE_ALL = 0x001f01ff,  /* FILE_ALL_ACCESS */
    ACCESS_FILE_READ = 0x001200a9, /* FILE_GENERIC_READ | FILE_GENERIC_EXECUTE */
    ACCESS_UNKNOWN = 0x0ce0fe00,   /* bits that no file has a right for */
    CREATE_CONTEXTS_ROOM = 256,    /* octets of all contexts in an answer */
    CREATE_ATTRIBUTES = FILE_ATTRIBUTE_READONLY | FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM |
                        FILE_ATTRIBUTE_ARCHIVE | FILE_ATTRIBUTE_TEMPORARY | FILE_ATTRIBUTE_OFFLINE |
                        FILE_ATTRIBUTE_NOT_CONTENT_INDEXED,
    MODE_OPTIONS = FILE_WRITE_THROUGH | FILE_SEQUENTIAL_ONLY | FILE_NO_INTERMEDIATE_BUFFERING | FILE_SYNCHRONOUS_IO_ALERT |
                   FILE_SYNCHRONOUS_IO_NONALERT | FILE_DELETE_ON_CLOSE, /* what FileModeInformation shows */
    /* What the right to delete from a folder gives for what is in it, and the right to list it. */
    ACCESS_BY_FOLDER = ACCESS_DELETE | FILE_READ_ATTRIBUTES,
    /* Who wants no more than these needs no right of the file system to the file itself. */
    ACCESS_OF_GLANCE = FILE_READ_ATTRIBUTES | ACCESS_READ_CONTROL | ACCESS_SYNCHRONIZE,
};
#define ACCESS_WRITES (FILE_WRITE_DATA | FILE_APPEND_DATA)
#define ACCESS_CHANGES                                                                                     \
    (ACCESS_WRITES | FILE_WRITE_EA | FILE_DELETE_CHILD | FILE_WRITE_ATTRIBUTES | ACCESS_DELETE |            \
     ACCESS_WRITE_DAC | ACCESS_WRITE_OWNER)

/* What a share allows at most. */
static uint32_t access_most(const struct share *share) {
    return share->read_only ? ACCESS_FILE_READ : ACCESS_FILE_ALL;
}

/* The access that is granted; 0 none. */
static uint32_t access_grant(const struct share *share, uint32_t desired) {
    uint32_t most = access_most(share), granted = security_map(desired) & ACCESS_FILE_ALL;

    if ((desired & ACCESS_UNKNOWN & ~(uint32_t)ACCESS_MAXIMUM_ALLOWED) != 0 || (granted & ~most) != 0)
        return 0;
    return (desired & ACCESS_MAXIMUM_ALLOWED) != 0 ? most : granted;
}

static bool replaces(uint32_t disposition) {
    return disposition == FILE_SUPERSEDE || disposition == FILE_OVERWRITE || disposition == FILE_OVERWRITE_IF;
}

static bool has_context(const struct create_request *create, const char *name) {
    struct span data;

    return create_context_find(create->contexts, name, &data);
}

static uint32_t contexts_check(const struct create_request *create) {
    struct security security;
    struct span data;
    uint32_t status = STATUS_SUCCESS;

    if (create_context_find(create->contexts, "ExtA", &data))
        status = ea_list_check(data);
    if (create_context_find(create->contexts, "SecD", &data) && !security_decode(data, &security))
        status = STATUS_INVALID_SECURITY_DESCR;
    return status;
}

/* 3.3.5.9, as far as the request alone says it. */
static uint32_t create_check(const struct create_request *create) {
    uint32_t options = create->create_options;

    if (create->impersonation_level > 3)
        return STATUS_BAD_IMPERSONATION_LEVEL;
    if ((create->desired_access & ACCESS_SYSTEM_SECURITY) != 0)
        return STATUS_PRIVILEGE_NOT_HELD;
    if (create->create_disposition > FILE_OVERWRITE_IF || (create->share_access & ~FILE_SHARE_ALL) != 0)
        return STATUS_INVALID_PARAMETER;
    if ((options & FILE_DIRECTORY_FILE) != 0 &&
        ((options & FILE_NON_DIRECTORY_FILE) != 0 || replaces(create->create_disposition)))
        return STATUS_INVALID_PARAMETER;
    if ((options & FILE_OPEN_BY_FILE_ID) != 0)
        return STATUS_NOT_SUPPORTED;
    if (has_context(create, "DHnC") || has_context(create, "DH2C") || has_context(create, "TWrp"))
        return STATUS_OBJECT_NAME_NOT_FOUND; /* no durable handle is kept, and no snapshot */
    return contexts_check(create);
}

static uint32_t create_access(const struct work *work) {
    const struct create_request *create = &work->create;
    const struct share *share = work->open->share;
    uint32_t access = access_grant(share, create->desired_access);
    bool may_make = create->create_disposition != FILE_OPEN;

    if (access == 0 || (may_make && share->read_only && create->create_disposition != FILE_OPEN_IF))
        return STATUS_ACCESS_DENIED;
    if ((create->create_options & FILE_DELETE_ON_CLOSE) != 0 && (access & ACCESS_DELETE) == 0)
        return share->read_only ? STATUS_ACCESS_DENIED : STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

/* The work lets go of its open, which is closed where that has not begun, and goes on with `closed` when that is done
 * and a file that had to go is gone: who has the answer may count on it. */
static void work_close(struct work *work, void (*closed)(void *work)) {
    struct open *open = work->open;

    work->open = NULL;
    open->closed = closed;
    open->closed_argument = work;
    if (!open->is_closing)
        open_close(open);
    open_release(open);
}

static void create_refuse(void *argument) {
    struct work *work = argument;

    work_refuse(work, work->status);
}

static struct node_entry create_entry(const struct work *work) {
    return (struct node_entry){.id = work->op.attributes.id, .stream = work->op.stream, .share = work->open->share,
        .path = work->path, .is_folder = work->open->is_folder, .overwrites = replaces(work->create.create_disposition),
        .wanted = work->create.requested_oplock_level, .removals = work->removals};
}

/* Ends a CREATE that came to nothing: the open goes, and with it what was made for it, unless somebody else has come to
 * that meanwhile. */
static void create_fail(struct work *work, uint32_t status) {
    struct nodes *nodes = host_nodes(work->connection->host);
    struct open *open = work->open;

    if (open->file != NULL && work->op.made) {
        struct node_entry entry = create_entry(work);

        node_unmake(nodes, &open->seat, &entry, work->op.made_file);
    }
    node_make_end(nodes, &work->making);
    work->status = status;
    work_close(work, create_refuse);
}

static void context_put(struct work *work, const char *name, struct span data) {
    struct create_context context = {.name = text_span(name), .data = data};

    create_context_encode(&context, &work->out, work->start, &work->previous);
}

/* 2.2.14.2.5, 2.2.14.2.9 */
static void contexts_put(struct work *work) {
    uint8_t octets[32] = {0};
    struct writer writer = writer_over(octets, sizeof octets);
    struct span data;

    if (create_context_find(work->create.contexts, "MxAc", &data)) {
        writer_u32(&writer, STATUS_SUCCESS);
        writer_u32(&writer, work->most);
        context_put(work, "MxAc", writer_done(&writer));
    }
    if (create_context_find(work->create.contexts, "QFid", &data)) {
        writer = writer_over(octets, sizeof octets);
        writer_u64(&writer, work->op.attributes.id.file);
        writer_u64(&writer, work->op.attributes.id.volume);
        writer_zero(&writer, 16);
        context_put(work, "QFid", writer_done(&writer));
    }
}

static struct create_response create_body(const struct work *work) {
    const struct store_attributes *a = &work->op.attributes;
    struct create_response body = {.oplock_level = (uint8_t)work->oplock, .create_action = work->action,
        .creation_time = filetime_of(a->created), .last_access_time = filetime_of(a->accessed),
        .last_write_time = filetime_of(a->written), .change_time = filetime_of(a->changed),
        .allocation_size = a->is_folder ? 0 : a->allocated, .end_of_file = a->is_folder ? 0 : a->size,
        .file_attributes = file_attributes_of(a)};

    open_id_put(work->open, body.file_id);
    create_response_place(&body);
    return body;
}

/* The contexts are written first, where they belong, and then the body in front of them. */
static void create_answer(struct work *work) {
    enum { CONTEXTS_AT = SMB2_HEADER_SIZE + 88 };
    struct create_response body = create_body(work);
    struct open *open = work->open;
    struct writer head;

    if (open->is_closing) {
        create_fail(work, STATUS_FILE_CLOSED);
        return;
    }
    if (!work_reserve(work, CONTEXTS_AT - SMB2_HEADER_SIZE + CREATE_CONTEXTS_ROOM)) {
        create_fail(work, STATUS_INSUFFICIENT_RESOURCES);
        return;
    }
    work->start = work->out.at = CONTEXTS_AT;
    work->previous = SIZE_MAX;
    contexts_put(work);
    head = writer_over(work->out.data, CONTEXTS_AT);
    head.at = SMB2_HEADER_SIZE;
    create_response_encode(&body, &head);
    if (work->out.at > CONTEXTS_AT) {
        head.at = CONTEXTS_AT - 8;
        writer_u32(&head, CONTEXTS_AT);
        writer_u32(&head, (uint32_t)(work->out.at - CONTEXTS_AT));
    }
    open_hold(open);
    open->is_ready = true;
    open->seat.delete_on_close = (work->create.create_options & FILE_DELETE_ON_CLOSE) != 0;
    work_answer(work, STATUS_SUCCESS);
    open_ready(open);
    open_release(open);
}

static void create_restat(struct work *work) {
    if (work->op.result < 0)
        create_fail(work, status_of_errno(work->op.result));
    else
        create_answer(work);
}

/* AlSi (2.2.13.2.6) is a wish: what cannot be reserved now is found out by writing. */
static void create_allocated(struct work *work) {
    work_submit(work, STORE_STAT, create_restat);
}

static void create_allocate(struct work *work) {
    struct span data;
    struct reader reader;

    if (work->op.result < 0) {
        create_fail(work, work->op.result == -EOPNOTSUPP ? STATUS_EAS_NOT_SUPPORTED : status_of_errno(work->op.result));
        return;
    }
    if (!create_context_find(work->create.contexts, "AlSi", &data) || data.size != 8 || work->open->is_folder) {
        create_allocated(work);
        return;
    }
    reader = reader_over(data);
    work->op.size = reader_u64(&reader);
    work_submit(work, STORE_ALLOCATE, create_allocated);
}

static void create_attributes(struct work *work) {
    struct span data;

    if (work->op.result < 0)
        create_fail(work, status_of_errno(work->op.result));
    else if (create_context_find(work->create.contexts, "ExtA", &data))
        ea_list_set(work, data, create_allocate);
    else
        create_allocate(work);
}

/* The DOS attributes of what is made or replaced. */
static void dress(struct work *work) {
    work->op.set = STORE_SET_DOS;
    work->op.attributes.dos_attributes = work->create.file_attributes & CREATE_ATTRIBUTES;
    if ((work->create.create_options & FILE_DIRECTORY_FILE) == 0)
        work->op.attributes.dos_attributes |= FILE_ATTRIBUTE_ARCHIVE;
}

static void create_set(struct work *work) {
    if (work->op.result < 0) {
        create_fail(work, status_of_errno(work->op.result));
        return;
    }
    if (work->open->is_stream) { /* its file stays as it is */
        create_attributes(work);
        return;
    }
    dress(work);
    work_submit(work, STORE_SET, create_attributes);
}

static struct security_token token_of(const struct work *work) {
    const struct identity *as = work->open->as;

    if (as == NULL)
        return (struct security_token){.user = geteuid(), .group = getegid()};
    return (struct security_token){.user = as->user, .group = as->group, .groups = as->groups,
                                   .group_count = as->group_count};
}

/* The descriptor that the client asks for, in full, or what the folder hands on. 0: there is none. */
static size_t security_of_new(struct work *work, uint8_t *octets) {
    struct writer writer = writer_over(octets, SECURITY_SIZE_MAX);
    struct security_token token = token_of(work);
    struct security folder, wanted, own;
    struct span data;
    bool has_folder = work->op.security != NULL &&
                      security_decode((struct span){work->op.security, work->op.security_size}, &folder);

    if (has_folder && !security_inherit(&folder, &token, work->open->is_folder, &writer))
        writer = writer_over(octets, SECURITY_SIZE_MAX);
    if (!create_context_find(work->create.contexts, "SecD", &data) || !security_decode(data, &wanted))
        return writer.at;
    if (writer.at == 0)
        security_default(token.user, token.group, work->op.attributes.mode, work->open->is_folder, &writer);
    free(work->op.security);
    work->op.security = writer.at <= SECURITY_SIZE_MAX ? malloc(writer.at) : NULL;
    if (work->op.security == NULL)
        return SIZE_MAX;
    memcpy(work->op.security, octets, writer.at);
    security_decode((struct span){work->op.security, writer.at}, &own);
    own = security_merge(&own, &wanted, (wanted.owner.size > 0 ? SECURITY_OWNER : 0) |
                                            (wanted.group.size > 0 ? SECURITY_GROUP : 0) |
                                            ((wanted.control & SECURITY_DACL_PRESENT) != 0 ? SECURITY_DACL : 0));
    writer = writer_over(octets, SECURITY_SIZE_MAX);
    security_encode(&own, &writer);
    return writer.failed ? SIZE_MAX : writer.at;
}

static void create_secure(struct work *work) {
    struct span data;
    size_t size = 0;

    if (work->op.security != NULL || create_context_find(work->create.contexts, "SecD", &data)) {
        free(work->name);
        work->name = malloc(SECURITY_SIZE_MAX);
        size = work->name == NULL ? SIZE_MAX : security_of_new(work, (uint8_t *)work->name);
    }
    if (size == 0 || !work->op.made_file) {
        create_attributes(work);
        return;
    }
    work->op.data = work->name;
    work->op.size = size;
    work_submit(work, STORE_SECURITY_SET, create_attributes);
}

/* The file is this open's: empty it where it is to be replaced, dress it where it is new. */
static void create_fill(struct work *work) {
    if (work->action == CREATED_NEW) {
        create_secure(work); /* the store gave it its attributes */
    } else if (work->action == CREATED_OPENED) {
        create_answer(work);
    } else {
        work->op.size = 0;
        work_submit(work, STORE_TRUNCATE, create_set);
    }
}

/* What the attributes of the file forbid. */
static uint32_t create_admit(struct work *work) {
    enum { MARKED = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM };
    struct open *open = work->open;
    uint32_t options = work->create.create_options, attributes = work->op.attributes.dos_attributes;
    bool is_fixed = (attributes & FILE_ATTRIBUTE_READONLY) != 0 && !open->is_folder;
    bool changes = replaces(work->create.create_disposition);

    if (is_fixed && (options & FILE_DELETE_ON_CLOSE) != 0)
        return STATUS_CANNOT_DELETE;
    if (work->op.made)
        return STATUS_SUCCESS;
    if (is_fixed && (changes || (security_map(work->create.desired_access) & ACCESS_WRITES) != 0))
        return STATUS_ACCESS_DENIED;
    /* Who replaces a marked file has to say that the new one is, too ([MS-FSA] 2.1.5.1.2.1). */
    if (changes && !open->is_stream && (attributes & MARKED & ~work->create.file_attributes) != 0)
        return STATUS_ACCESS_DENIED;
    if (is_fixed || !work->op.can_write) { /* MAXIMUM_ALLOWED is no more than could be asked for */
        work->most &= ~(uint32_t)ACCESS_WRITES;
        open->access &= work->most | ~(uint32_t)ACCESS_WRITES;
    }
    return STATUS_SUCCESS;
}

static uint32_t action_of(const struct work *work) {
    if (work->op.made)
        return CREATED_NEW;
    if (work->create.create_disposition == FILE_SUPERSEDE)
        return CREATED_SUPERSEDED;
    return replaces(work->create.create_disposition) ? CREATED_OVERWRITTEN : CREATED_OPENED;
}

static uint32_t create_join(struct work *work) {
    struct open *open = work->open;
    struct node_entry entry = create_entry(work);
    struct nodes *nodes = host_nodes(work->connection->host);
    uint32_t status;

    open->seat.access = open->access;
    open->seat.share = work->create.share_access;
    entry.making = work->op.made ? &work->making : NULL;
    status = node_join(nodes, &open->seat, &entry, &work->queue);
    work->oplock = node_oplock(nodes, &open->seat);
    return status;
}

static void create_submit(struct work *work);

static void create_closed(struct work *work) {
    work->open->file = NULL;
    if (work->open->is_closing)
        create_fail(work, STATUS_FILE_CLOSED);
    else
        create_submit(work);
}

/* From the name on, which may be another file's by now, or nobody's. */
static void create_again(struct work *work) {
    node_make_end(host_nodes(work->connection->host), &work->making);
    work_submit(work, STORE_CLOSE, create_closed);
}

static void create_enter(struct work *work);

/* Is the file one of those that were removed meanwhile? */
static void create_looked(struct work *work) {
    if (work->op.result < 0 || work->op.attributes.links == 0)
        create_again(work);
    else
        create_enter(work);
}

static void create_look(struct work *work) {
    work->removals = node_removals(host_nodes(work->connection->host));
    work_submit(work, STORE_STAT, create_looked);
}

/* What this CREATE has made itself it does not let go of: it would meet it under its name. */
static void create_woken(struct loop_task *task) {
    struct work *work = (struct work *)((char *)task - offsetof(struct work, queue.task));

    work_resume(work);
    if (work->op.made)
        create_enter(work);
    else
        create_again(work);
}

static bool create_take_back(struct work *work) {
    return node_take_queue(host_nodes(work->connection->host), &work->queue);
}

static const struct waiting create_waiting = {create_take_back, create_fail, STATUS_FILE_CLOSED};

/* Everything allows it: share modes and oplocks are next. */
static void create_enter(struct work *work) {
    uint32_t status = work->open->is_closing ? STATUS_FILE_CLOSED : create_join(work);

    if (status == STATUS_SUCCESS)
        create_fill(work);
    else if (status == STATUS_PENDING)
        work_wait(work, &create_waiting);
    else if (status == STATUS_RETRY)
        create_look(work);
    else
        create_fail(work, status);
}

/* `granted`: by the file's descriptor and its folder's. */
static void create_granted(struct work *work, uint32_t granted) {
    uint32_t desired = security_map(work->create.desired_access) & ACCESS_FILE_ALL;

    if (replaces(work->create.create_disposition))
        desired |= FILE_WRITE_DATA;
    if ((work->create.create_options & FILE_DELETE_ON_CLOSE) != 0)
        desired |= ACCESS_DELETE; /* which MAXIMUM_ALLOWED alone does not insist on */
    work->most &= granted;
    if ((desired & ~granted & ~(uint32_t)ACCESS_SYNCHRONIZE) != 0) {
        create_fail(work, STATUS_ACCESS_DENIED);
        return;
    }
    if ((work->create.desired_access & ACCESS_MAXIMUM_ALLOWED) != 0)
        work->open->access &= granted;
    create_enter(work);
}

static void create_folder_had(struct work *work) {
    struct security_token token = token_of(work);
    struct security folder;
    uint32_t granted = work->granted;

    if (work->op.result >= 0 && work->op.security == NULL)
        granted |= ACCESS_BY_FOLDER;
    if (work->op.result >= 0 && work->op.security != NULL &&
        security_decode((struct span){work->op.security, work->op.security_size}, &folder)) {
        uint32_t by_folder = security_grant(&folder, &token);

        granted |= (by_folder & FILE_DELETE_CHILD) != 0 ? ACCESS_DELETE : 0;
        granted |= (by_folder & FILE_READ_DATA) != 0 ? FILE_READ_ATTRIBUTES : 0;
    }
    create_granted(work, granted);
}

/* A descriptor that is kept is obeyed. What it does not grant the folder may. */
static void create_check_file(struct work *work, const struct security *security) {
    struct security_token token = token_of(work);

    work->granted = security_grant(security, &token) | ACCESS_SYNCHRONIZE;
    if ((work->granted & ACCESS_BY_FOLDER) == ACCESS_BY_FOLDER) {
        create_granted(work, work->granted);
        return;
    }
    free(work->op.security);
    work->op.security = NULL;
    work->op.of_folder = true;
    work_submit(work, STORE_SECURITY_GET, create_folder_had);
}

/* What was made needs the folder's leave. */
static uint32_t create_check_folder(struct work *work, const struct security *folder) {
    struct security_token token = token_of(work);
    uint32_t needs = work->open->is_folder ? FILE_APPEND_DATA : FILE_WRITE_DATA;

    return (security_grant(folder, &token) & needs) != 0 ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

static void create_authorize(struct work *work) {
    struct security security;
    struct span kept = {work->op.security, work->op.security_size};
    uint32_t status = STATUS_SUCCESS;

    if (work->op.security == NULL) {
        create_enter(work);
        return;
    }
    if (!security_decode(kept, &security))
        status = STATUS_ACCESS_DENIED; /* somebody else wrote it */
    else if (work->op.made_file)
        status = create_check_folder(work, &security);
    if (status != STATUS_SUCCESS)
        create_fail(work, status);
    else if (work->op.made_file)
        create_enter(work);
    else
        create_check_file(work, &security);
}

static void create_opened(struct work *work) {
    struct open *open = work->open;
    uint32_t status;

    if (work->op.result == -ENOENT && work->op.path_missing) {
        create_fail(work, STATUS_OBJECT_PATH_NOT_FOUND);
        return;
    }
    if (work->op.result < 0) {
        create_fail(work, status_of_errno(work->op.result));
        return;
    }
    open->file = work->op.file;
    if (open->is_closing) {
        create_fail(work, STATUS_FILE_CLOSED);
        return;
    }
    if (!work->op.made)
        node_make_end(host_nodes(work->connection->host), &work->making);
    open->is_folder = work->op.attributes.is_folder && !open->is_stream;
    work->action = action_of(work);
    work->most = access_most(open->share);
    work->queue.task.run = create_woken;
    work->queue.loop = work->connection->loop;
    status = create_admit(work);
    if (status == STATUS_SUCCESS)
        create_authorize(work);
    else
        create_fail(work, status);
}

static enum store_how how_of(const struct open *open, uint32_t disposition) {
    if (disposition == FILE_CREATE)
        return STORE_MUST_NOT_EXIST;
    if (disposition == FILE_OPEN || disposition == FILE_OVERWRITE || open->share->read_only)
        return STORE_MUST_EXIST;
    return STORE_EITHER;
}

static void create_submit(struct work *work) {
    const struct create_request *create = &work->create;
    struct open *open = work->open;
    struct nodes *nodes = host_nodes(work->connection->host);
    bool replaced = replaces(create->create_disposition);

    work->removals = node_removals(nodes);
    open->access = access_grant(open->share, create->desired_access);
    work->op.path = work->path;
    work->op.as = open->as;
    work->op.how = how_of(open, create->create_disposition);
    if (work->op.how != STORE_MUST_EXIST)
        node_make(nodes, &work->making, open->share, work->path);
    work->op.want_folder = (create->create_options & FILE_DIRECTORY_FILE) != 0;
    work->op.want_file = !open->is_stream && ((create->create_options & FILE_NON_DIRECTORY_FILE) != 0 || replaced ||
                                              open->is_data);
    work->op.write_if_can = (create->desired_access & ACCESS_MAXIMUM_ALLOWED) != 0 && !replaced &&
                            (security_map(create->desired_access) & ACCESS_WRITES) == 0;
    work->op.want_write = work->op.write_if_can ? !open->share->read_only : (open->access & ACCESS_WRITES) != 0 || replaced;
    work->op.want_delete = (security_map(create->desired_access) & ACCESS_DELETE) != 0;
    work->op.glances = create->create_disposition == FILE_OPEN && !open->is_stream && !work->op.write_if_can &&
                       (create->desired_access & ~(uint32_t)ACCESS_OF_GLANCE) == 0;
    work->op.want_removed = (create->create_options & FILE_DELETE_ON_CLOSE) != 0;
    work->op.made = work->op.made_file = false;
    free(work->op.security); /* of an attempt before */
    work->op.security = NULL;
    dress(work);
    work_submit(work, STORE_OPEN, create_opened);
}

static void create_file(struct work *work) {
    const struct create_request *create = &work->create;
    struct open *open = work->open;
    bool has_stream = false;
    uint32_t status;

    work->path = malloc(STORE_PATH_MAX);
    status = work->path == NULL ? STATUS_INSUFFICIENT_RESOURCES
                                : path_decode(create->name, work->path, &work->op.stream, &has_stream);
    if (status == STATUS_SUCCESS && has_stream && (create->create_options & FILE_DIRECTORY_FILE) != 0)
        status = STATUS_NOT_A_DIRECTORY;
    if (status == STATUS_SUCCESS)
        status = create_access(work);
    if (status != STATUS_SUCCESS) {
        create_fail(work, status);
        return;
    }
    open->is_stream = *work->op.stream != '\0';
    open->is_data = has_stream;
    create_submit(work);
}

/* The only pipe there is. */
static void create_pipe(struct work *work) {
    static const uint8_t name[] = {'s', 0, 'r', 0, 'v', 0, 's', 0, 'v', 0, 'c', 0};

    if (!span_equal(work->create.name, (struct span){name, sizeof name})) {
        create_fail(work, STATUS_OBJECT_NAME_NOT_FOUND);
        return;
    }
    work->open->access = ACCESS_FILE_ALL;
    work->action = CREATED_OPENED;
    create_answer(work);
}

void serve_create(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_new(connection, frame);
    uint32_t status;

    if (work == NULL)
        return;
    status = create_request_decode(frame->request.message.bytes, &work->create) ? create_check(&work->create)
                                                                               : STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && (work->open = open_new(connection, frame)) == NULL)
        status = STATUS_INSUFFICIENT_RESOURCES;
    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    open_hold(work->open);
    work->open->options = work->create.create_options;
    work->open->mode = work->create.create_options & MODE_OPTIONS;
    if (work->open->share->store == NULL)
        create_pipe(work);
    else
        create_file(work);
}

/* --- CLOSE --- */

static void close_answer(void *argument) {
    struct work *work = argument;
    const struct store_attributes *a = &work->op.attributes;
    struct close_response body = {0};

    if (work->post_query)
        body = (struct close_response){.flags = CLOSE_FLAG_POSTQUERY_ATTRIB,
            .creation_time = filetime_of(a->created), .last_access_time = filetime_of(a->accessed),
            .last_write_time = filetime_of(a->written), .change_time = filetime_of(a->changed),
            .allocation_size = a->is_folder ? 0 : a->allocated, .end_of_file = a->is_folder ? 0 : a->size,
            .file_attributes = file_attributes_of(a)};
    close_response_place(&body);
    if (!work_begin(work, 60))
        return;
    close_response_encode(&body, &work->out);
    work_answer(work, STATUS_SUCCESS);
}

static void close_file(struct work *work) {
    work->post_query &= work->op.result >= 0;
    if (work->open->is_closing) /* by another CLOSE, or its tree or session is being ended */
        work_refuse(work, STATUS_FILE_CLOSED);
    else
        work_close(work, close_answer);
}

static void close_stat(struct work *work) {
    if (work->post_query)
        work_submit(work, STORE_STAT, close_file);
    else
        close_file(work);
}

/* What did not show until now shows as written now, as with Windows. */
static void close_written(struct work *work) {
    work->op.set = STORE_SET_WRITTEN;
    clock_gettime(CLOCK_REALTIME, &work->op.attributes.written);
    work_submit(work, STORE_SET, close_stat);
}

void serve_close(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct close_request request;

    if (work == NULL)
        return;
    if (!close_request_decode(frame->request.message.bytes, &request)) {
        work_refuse(work, STATUS_INVALID_PARAMETER);
        return;
    }
    work->post_query = (request.flags & CLOSE_FLAG_POSTQUERY_ATTRIB) != 0 && work->open->file != NULL;
    if (work->open->seat.hides_written && open_show_written(work->open))
        close_written(work);
    else
        close_stat(work);
}
