#include <assert.h>

#include "serve/work.h"

static void (*const commands[])(struct connection *, struct server_frame *) = {
    [SMB2_CREATE] = serve_create,
    [SMB2_CLOSE] = serve_close,
    [SMB2_FLUSH] = serve_flush,
    [SMB2_READ] = serve_read,
    [SMB2_WRITE] = serve_write,
    [SMB2_LOCK] = serve_lock,
    [SMB2_IOCTL] = serve_ioctl,
    [SMB2_QUERY_DIRECTORY] = serve_query_directory,
    [SMB2_CHANGE_NOTIFY] = serve_change_notify,
    [SMB2_QUERY_INFO] = serve_query_info,
    [SMB2_SET_INFO] = serve_set_info,
    [SMB2_OPLOCK_BREAK] = serve_oplock_break,
};

static bool is_gone(const struct server_request *request) {
    const struct share *share = request->tree != NULL ? request->tree->owner : NULL;

    return share != NULL && atomic_load_explicit(&share->gone, memory_order_relaxed);
}

void dispatch(struct connection *connection, struct server_frame *frame) {
    uint16_t command = frame->request.command;

    if (is_gone(&frame->request) && command != SMB2_CLOSE)
        connection_refuse(connection, frame, STATUS_NETWORK_NAME_DELETED);
    else if (command >= sizeof commands / sizeof *commands || commands[command] == NULL)
        connection_refuse(connection, frame, STATUS_NOT_SUPPORTED);
    else
        commands[command](connection, frame);
}

static struct work *take_waiting(struct open *open, const struct server_frame *frame) {
    struct work *work = open->waiting;

    while (work != NULL && work->frame != frame)
        work = work->next;
    return work != NULL && work->waiting->take_back(work) ? work : NULL;
}

void dispatch_cancel(struct connection *connection, struct server_frame *frame) {
    for (struct open *open = connection->opens; open != NULL; open = open->next) {
        struct work *work = take_waiting(open, frame);

        if (work != NULL) {
            const struct waiting *waiting = work->waiting;

            work_resume(work);
            waiting->end(work, STATUS_CANCELLED);
            return;
        }
    }
}

static struct work *take_any_waiting(struct connection *connection) {
    for (struct open *open = connection->opens; open != NULL; open = open->next)
        for (struct work *work = open->waiting; work != NULL; work = work->next)
            if (work->waiting->take_back(work))
                return work;
    return NULL;
}

void dispatch_cancel_all(struct connection *connection) {
    for (struct work *work; (work = take_any_waiting(connection)) != NULL;) {
        const struct waiting *waiting = work->waiting;

        work_resume(work);
        waiting->end(work, STATUS_CANCELLED);
    }
}

static bool is_to_end(const struct open *open, const struct server_session *session, const struct server_tree *tree) {
    return (tree == NULL || open->tree == tree) && (session == NULL || open->session == session);
}

static void ending_add(struct open *open, struct closing *ending) {
    struct closing **at = open->endings;

    while (*at != NULL)
        at++;
    assert(at < open->endings + OPEN_ENDINGS);
    *at = ending;
    ending->left++;
}

static bool is_ending(const struct open *open, const struct closing *ending) {
    for (unsigned i = 0; i < OPEN_ENDINGS; i++)
        if (open->endings[i] == ending)
            return true;
    return false;
}

static struct open *find_ending(struct connection *connection, const struct closing *ending) {
    struct open *open = connection->opens;

    while (open != NULL && (open->is_closing || !is_ending(open, ending)))
        open = open->next;
    return open;
}

/* All are marked first, so that `done` comes with the last of them, even where they close at once; it may free the
 * connection, which is why nothing looks at it afterwards. */
void dispatch_end(struct connection *connection, struct server_session *session, struct server_tree *tree,
                  struct closing *ending) {
    unsigned to_close = 0;

    ending->left = 0;
    for (struct open *open = connection->opens; open != NULL; open = open->next)
        if (is_to_end(open, session, tree)) {
            ending_add(open, ending);
            to_close += !open->is_closing;
        }
    if (ending->left == 0)
        ending->done(ending);
    while (to_close-- > 0)
        open_close(find_ending(connection, ending));
}
