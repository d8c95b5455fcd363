/* CHANGE_NOTIFY ([MS-SMB2] 3.3.5.19): what changes in a folder is kept for its open, from the first request on, and goes
 * out with the next one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "serve/work.h"
#include "store/watch.h"
#include "wire/text.h"

/* [MS-SMB2] 2.2.35 */
enum {
    CHANGE_FILE_NAME = 0x001, CHANGE_DIR_NAME = 0x002, CHANGE_ATTRIBUTES = 0x004, CHANGE_SIZE = 0x008,
    CHANGE_LAST_WRITE = 0x010, CHANGE_LAST_ACCESS = 0x020, CHANGE_CREATION = 0x040, CHANGE_EA = 0x080,
    CHANGE_SECURITY = 0x100, CHANGE_STREAM_NAME = 0x200, CHANGE_STREAM_SIZE = 0x400, CHANGE_STREAM_WRITE = 0x800,
};
/* [MS-FSCC] 2.7.1 */
enum { ACTION_ADDED = 1, ACTION_REMOVED, ACTION_MODIFIED, ACTION_RENAMED_OLD_NAME, ACTION_RENAMED_NEW_NAME };
/* Octets of changes that are kept for one open, whatever its client would take. */
#define NOTIFY_KEPT_MAX 65536u

/* It lives until the watch lets go of it, which may be after its open. */
struct notify {
    struct watch watch;   /* first */
    struct open *open;    /* NULL: closed */
    uint32_t filter;      /* of the first request, as is the size */
    struct writer kept;   /* FILE_NOTIFY_INFORMATION, of the size that the client takes at most */
    size_t previous;      /* where the last one begins */
    bool is_lost;
};

static uint32_t filter_of(enum watch_event event, bool is_folder) {
    switch (event) {
    case WATCH_WRITTEN:
        return CHANGE_SIZE | CHANGE_LAST_WRITE;
    case WATCH_CHANGED:
        return CHANGE_ATTRIBUTES | CHANGE_LAST_WRITE | CHANGE_LAST_ACCESS | CHANGE_CREATION | CHANGE_EA |
               CHANGE_SECURITY | CHANGE_STREAM_NAME | CHANGE_STREAM_SIZE | CHANGE_STREAM_WRITE;
    default:
        return is_folder ? CHANGE_DIR_NAME : CHANGE_FILE_NAME;
    }
}

static uint32_t action_of(enum watch_event event) {
    switch (event) {
    case WATCH_ADDED:    return ACTION_ADDED;
    case WATCH_REMOVED:  return ACTION_REMOVED;
    case WATCH_OLD_NAME: return ACTION_RENAMED_OLD_NAME;
    case WATCH_NEW_NAME: return ACTION_RENAMED_NEW_NAME;
    default:             return ACTION_MODIFIED;
    }
}

static void kept_clear(struct notify *notify) {
    notify->kept.at = 0;
    notify->kept.failed = false;
    notify->previous = SIZE_MAX;
    notify->is_lost = false;
}

/* More than the client takes: it is to look for itself. */
static void kept_lose(struct notify *notify) {
    kept_clear(notify);
    notify->is_lost = true;
}

static bool name_put(const char *path, struct writer *out) {
    char name[STORE_PATH_MAX];
    size_t size = strlen(path) + 1;

    memcpy(name, path, size);
    for (char *at = name; (at = strchr(at, '/')) != NULL; )
        *at = '\\';
    return text_to_utf16(text_span(name), out);
}

/* The same once more says nothing new. */
static bool is_repeated(const struct notify *notify, uint32_t action, struct span name) {
    struct span last = {notify->kept.data, notify->kept.at};
    struct file_notify_info info;

    return action == ACTION_MODIFIED && notify->previous != SIZE_MAX &&
           file_notify_info_decode(span_slice(last, notify->previous, SIZE_MAX), &info) && info.action == action &&
           span_equal(info.name, name);
}

static void change_keep(struct watch *watch, enum watch_event event, bool is_folder, const char *path) {
    struct notify *notify = (struct notify *)watch;
    uint8_t octets[2 * STORE_PATH_MAX];
    struct writer name = writer_over(octets, sizeof octets);
    struct file_notify_info info = {.action = action_of(event)};

    if (event == WATCH_LOST)
        kept_lose(notify);
    if (event == WATCH_LOST || notify->is_lost || (filter_of(event, is_folder) & notify->filter) == 0)
        return;
    if (!name_put(path, &name)) {
        kept_lose(notify);
        return;
    }
    info.name = writer_done(&name);
    if (is_repeated(notify, info.action, info.name))
        return;
    file_notify_info_place(&info);
    entry_begin(&notify->kept, 0, &notify->previous);
    file_notify_info_encode(&info, &notify->kept);
    if (notify->kept.failed)
        kept_lose(notify);
}

static bool has_kept(const struct notify *notify) {
    return notify->is_lost || notify->kept.at > 0;
}

/* Answers with what is kept. The open may be closed by it. */
static void notify_answer(struct work *work) {
    struct notify *notify = work->open->notify;
    struct span kept = writer_done(&notify->kept);

    if (notify->is_lost || kept.size > work->total) {
        kept_clear(notify);
        work_refuse(work, STATUS_NOTIFY_ENUM_DIR);
        return;
    }
    if (!work_begin_output(work, kept.size))
        return;
    writer_put(&work->out, kept);
    kept_clear(notify);
    work_answer_output(work, STATUS_SUCCESS);
}

static bool notify_take_back(struct work *work) {
    (void)work;
    return true;
}

static const struct waiting notify_waiting = {notify_take_back, work_refuse, STATUS_NOTIFY_CLEANUP};

static struct work *waiting_oldest(const struct open *open) {
    struct work *oldest = NULL;

    for (struct work *work = open->waiting; work != NULL; work = work->next)
        if (work->waiting == &notify_waiting)
            oldest = work;
    return oldest;
}

static void changes_settled(struct watch *watch) {
    struct notify *notify = (struct notify *)watch;
    struct work *work = waiting_oldest(notify->open);

    if (work == NULL || !has_kept(notify))
        return;
    work_resume(work);
    notify_answer(work);
}

static void notify_free(struct watch *watch) {
    struct notify *notify = (struct notify *)watch;

    free(notify->kept.data);
    free(notify);
}

void notify_end(struct open *open) {
    struct notify *notify = open->notify;

    open->notify = NULL;
    if (notify != NULL)
        watch_end(&notify->watch);
}

void notify_refuse(struct open *open, uint32_t status) {
    struct work *work;

    open_hold(open);
    while ((work = waiting_oldest(open)) != NULL) {
        work_resume(work);
        work_refuse(work, status);
    }
    open_release(open);
}

static uint32_t notify_begin(struct work *work, const struct change_notify_request *request) {
    const struct store_methods *methods = work->open->share->store->methods;
    struct watcher *watcher = connection_watcher(work->connection);
    uint32_t size = request->output_buffer_length < NOTIFY_KEPT_MAX ? request->output_buffer_length : NOTIFY_KEPT_MAX;
    struct notify *notify;
    int error;

    if (methods->watch == NULL || watcher == NULL)
        return STATUS_NOT_SUPPORTED;
    notify = calloc(1, sizeof *notify);
    if (notify == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    notify->watch = (struct watch){.changed = change_keep, .settled = changes_settled, .freed = notify_free};
    notify->filter = request->completion_filter;
    notify->kept = writer_over(malloc(size + 1), size);
    notify->open = work->open;
    kept_clear(notify);
    error = notify->kept.data == NULL ? -ENOMEM
                                      : methods->watch(work->open->file, watcher, &notify->watch,
                                                       (request->flags & CHANGE_NOTIFY_WATCH_TREE) != 0);
    if (error == 0) {
        work->open->notify = notify;
        node_heed_deletion(host_nodes(work->connection->host), &work->open->seat);
    } else {
        notify_free(&notify->watch);
    }
    return error == 0 ? STATUS_SUCCESS : error == -ENOSPC ? STATUS_INSUFFICIENT_RESOURCES : status_of_errno(error);
}

static uint32_t notify_check(struct work *work, const struct change_notify_request *request) {
    struct open *open = work->open;

    if (request->output_buffer_length > work->connection->server.policy->max_transact_size || !open->is_folder)
        return STATUS_INVALID_PARAMETER;
    if ((open->access & FILE_READ_DATA) == 0)
        return STATUS_ACCESS_DENIED;
    if (node_is_delete_pending(host_nodes(work->connection->host), &open->seat))
        return STATUS_DELETE_PENDING;
    return open->notify != NULL ? STATUS_SUCCESS : notify_begin(work, request);
}

void serve_change_notify(struct connection *connection, struct server_frame *frame) {
    struct work *work = work_on_open(connection, frame, 0);
    struct change_notify_request request = {0};
    uint32_t status = STATUS_INVALID_PARAMETER;

    if (work == NULL)
        return;
    if (change_notify_request_decode(frame->request.message.bytes, &request))
        status = notify_check(work, &request);
    work->total = request.output_buffer_length;
    if (status != STATUS_SUCCESS)
        work_refuse(work, status);
    else if (has_kept(work->open->notify))
        notify_answer(work);
    else if (!server_is_last(frame)) /* nobody could be told that it waits, nor what comes behind it; Windows does the same */
        work_refuse(work, STATUS_INTERNAL_ERROR);
    else
        work_wait(work, &notify_waiting);
}
