#include "serve/status.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/host.h"

#define CONTAINER(type, member, pointer) ((type *)((char *)(pointer) - offsetof(type, member)))

/* One who asks. `text` is what is asked, then the answer. */
struct asker {
    struct status *status;
    struct loop_watch watch; /* descriptor -1: a free place */
    struct loop_timer timer;
    bool http, waits;
    enum status_format format;
    const char *refusal; /* HTTP: a status line in place of an answer */
    char request[STATUS_REQUEST_MAX + 1];
    size_t got, sent, size;
    char *answer;
};

struct door {
    struct status *status;
    struct loop_watch watch;
    bool http;
};

/* A loop's part of the telling that is being put together. */
struct piece {
    struct loop_task task; /* to the station, and back */
    struct status *status;
    struct station *station;
    struct status_part part;
};

struct status {
    struct host *host;
    status_write *write;
    struct door local, http;
    struct asker askers[STATUS_ASKERS_MAX];
    struct piece pieces[HOST_LOOPS_MAX];
    struct status_part parts[HOST_LOOPS_MAX];
    unsigned missing; /* pieces on their way */
};

static struct loop *loop_of(const struct status *status) {
    return status->host->stations[0].loop;
}

/* ---- askers ---- */

static void dismiss(struct asker *asker) {
    loop_watch_remove(loop_of(asker->status), &asker->watch);
    loop_timer_clear(loop_of(asker->status), &asker->timer);
    close(asker->watch.descriptor);
    free(asker->answer);
    *asker = (struct asker){.status = asker->status, .watch = {.descriptor = -1}};
}

static void send_answer(struct asker *asker) {
    while (asker->sent < asker->size) {
        ssize_t sent = send(asker->watch.descriptor, asker->answer + asker->sent, asker->size - asker->sent, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN && loop_watch_change(loop_of(asker->status), &asker->watch, EPOLLOUT) == 0)
            return;
        if (sent < 0)
            break;
        asker->sent += (size_t)sent;
    }
    dismiss(asker);
}

static void write_head(const struct asker *asker, FILE *file) {
    const char *type = asker->refusal != NULL ? "text/plain" : "text/plain; version=0.0.4; charset=utf-8";

    if (asker->http)
        fprintf(file, "HTTP/1.0 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n",
                asker->refusal != NULL ? asker->refusal : "200 OK", type);
}

static void answer(struct asker *asker, const struct status_telling *telling) {
    FILE *file = open_memstream(&asker->answer, &asker->size);

    if (file == NULL) {
        dismiss(asker);
        return;
    }
    write_head(asker, file);
    if (asker->refusal != NULL)
        fprintf(file, "%s\n", asker->refusal);
    else
        asker->status->write(telling, asker->format, file);
    if (fclose(file) != 0)
        dismiss(asker);
    else
        send_answer(asker);
}

/* ---- the telling ---- */

static void free_parts(struct status *status) {
    for (unsigned i = 0; i < HOST_LOOPS_MAX; i++) {
        free(status->parts[i].connections);
        free(status->parts[i].files);
        free(status->pieces[i].part.connections);
        free(status->pieces[i].part.files);
        status->parts[i] = status->pieces[i].part = (struct status_part){0};
    }
}

static struct status_telling tell(struct status *status) {
    struct host *host = status->host;

    return (struct status_telling){
        .parts = status->parts,
        .part_count = host->station_count,
        .connections = atomic_load(&host->connections),
        .half_open = atomic_load(&host->half_open),
        .shares = edition_current(&host->editions)->share_count - 1,
        .seconds = (loop_now_ms(loop_of(status)) - host->began_ms) / 1000,
        .refused_connections = host->refused.connections,
        .refused_half_open = atomic_load(&host->refused_half_open),
        .refused_per_address = host->refused.per_address,
        .reloads = host->reloads,
        .reloads_refused = host->reloads_refused,
    };
}

/* On the first loop: the last piece is here. */
static void answer_all(struct status *status) {
    struct status_telling telling = tell(status);

    for (unsigned i = 0; i < STATUS_ASKERS_MAX; i++)
        if (status->askers[i].waits) {
            status->askers[i].waits = false;
            answer(&status->askers[i], &telling);
        }
    free_parts(status);
}

static void piece_back(struct loop_task *task) {
    struct piece *piece = CONTAINER(struct piece, task, task);
    struct status *status = piece->status;

    status->parts[piece - status->pieces] = piece->part;
    piece->part = (struct status_part){0};
    if (--status->missing == 0)
        answer_all(status);
}

/* On the station's thread. */
static void fill_piece(struct loop_task *task) {
    struct piece *piece = CONTAINER(struct piece, task, task);

    connections_tell(piece->station, &piece->part);
    piece->task.run = piece_back;
    loop_post(loop_of(piece->status), &piece->task);
}

/* Whoever comes while one is under way has that one too. */
static void begin_telling(struct status *status) {
    if (status->missing > 0)
        return;
    status->missing = status->host->station_count;
    for (unsigned i = 0; i < status->host->station_count; i++) {
        struct station *station = &status->host->stations[i];

        status->pieces[i] = (struct piece){.task = {NULL, fill_piece}, .status = status, .station = station};
        loop_post(station->loop, &status->pieces[i].task);
    }
}

/* ---- what is asked ---- */

/* "text", "json" or "metrics", and a newline. */
static bool take_line(struct asker *asker) {
    static const char *const words[] = {[STATUS_TEXT] = "text\n", [STATUS_JSON] = "json\n", [STATUS_METRICS] = "metrics\n"};

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(asker->request, words[i]) == 0) {
            asker->format = (enum status_format)i;
            return true;
        }
    return false;
}

static void take_http(struct asker *asker) {
    asker->format = STATUS_METRICS;
    if (strncmp(asker->request, "GET ", 4) != 0)
        asker->refusal = "405 Method Not Allowed";
    else if (strncmp(asker->request, "GET /metrics ", 13) != 0)
        asker->refusal = "404 Not Found";
}

/* The whole request is here. */
static void take_request(struct asker *asker) {
    if (asker->http)
        take_http(asker);
    else if (!take_line(asker)) {
        dismiss(asker);
        return;
    }
    if (asker->refusal != NULL) {
        answer(asker, NULL);
        return;
    }
    loop_watch_change(loop_of(asker->status), &asker->watch, 0);
    asker->waits = true;
    begin_telling(asker->status);
}

static void asker_ready(struct loop_watch *watch, uint32_t events) {
    struct asker *asker = CONTAINER(struct asker, watch, watch);
    ssize_t got;

    if (asker->answer != NULL) {
        send_answer(asker);
        return;
    }
    if (asker->waits || (events & EPOLLIN) == 0) { /* it went away */
        dismiss(asker);
        return;
    }
    got = recv(watch->descriptor, asker->request + asker->got, STATUS_REQUEST_MAX - asker->got, 0);
    if (got <= 0) {
        dismiss(asker);
        return;
    }
    asker->got += (size_t)got;
    asker->request[asker->got] = '\0';
    if (strstr(asker->request, asker->http ? "\r\n\r\n" : "\n") != NULL)
        take_request(asker);
    else if (asker->got == STATUS_REQUEST_MAX)
        dismiss(asker);
}

static void asker_late(struct loop_timer *timer) {
    dismiss(CONTAINER(struct asker, timer, timer));
}

/* ---- the doors ---- */

static struct asker *free_place(struct status *status) {
    for (unsigned i = 0; i < STATUS_ASKERS_MAX; i++)
        if (status->askers[i].watch.descriptor < 0)
            return &status->askers[i];
    return NULL;
}

/* Without a free place, who comes is sent away: a local one asks again. */
static void door_ready(struct loop_watch *watch, uint32_t events) {
    struct door *door = CONTAINER(struct door, watch, watch);
    int descriptor = accept4(watch->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct asker *asker = free_place(door->status);
    struct loop *loop = loop_of(door->status);

    (void)events;
    if (descriptor < 0)
        return;
    if (asker == NULL) {
        close(descriptor);
        return;
    }
    *asker = (struct asker){.status = door->status, .watch = {descriptor, EPOLLIN, asker_ready}, .http = door->http};
    asker->timer.expired = asker_late;
    if (loop_watch_add(loop, &asker->watch) != 0) {
        close(descriptor);
        asker->watch.descriptor = -1;
    } else if (loop_timer_set(loop, &asker->timer, STATUS_TIME_MS) != 0) {
        dismiss(asker);
    }
}

static bool open_door(struct door *door, struct status *status, int descriptor, bool http) {
    *door = (struct door){.status = status, .watch = {descriptor, EPOLLIN, door_ready}, .http = http};
    return descriptor < 0 || loop_watch_add(loop_of(status), &door->watch) == 0;
}

struct status *status_new(struct host *host, int local, int http, status_write *write) {
    struct status *status = calloc(1, sizeof *status);
    bool open;

    if (status == NULL) {
        close(local);
        close(http);
        return NULL;
    }
    status->host = host;
    status->write = write;
    for (unsigned i = 0; i < STATUS_ASKERS_MAX; i++)
        status->askers[i] = (struct asker){.status = status, .watch = {.descriptor = -1}};
    open = open_door(&status->local, status, local, false);
    open = open_door(&status->http, status, http, true) && open;
    if (open)
        return status;
    status_free(status);
    return NULL;
}

void status_free(struct status *status) {
    if (status == NULL)
        return;
    for (unsigned i = 0; i < STATUS_ASKERS_MAX; i++)
        if (status->askers[i].watch.descriptor >= 0)
            dismiss(&status->askers[i]);
    if (status->local.watch.descriptor >= 0)
        close(status->local.watch.descriptor);
    if (status->http.watch.descriptor >= 0)
        close(status->http.watch.descriptor);
    free_parts(status);
    free(status);
}
