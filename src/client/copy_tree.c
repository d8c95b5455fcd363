#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/batch.h"
#include "client/copy_tools.h"
#include "client/names.h"

/* A tree on its way. Of each folder the small files come first, many at once; then, with nothing else in flight, the
 * long ones and the folders in it. */
struct tree {
    struct copy *copy;
    struct batch batch;
    struct job *longer; /* get: found to be longer than it was when it was listed */
    enum copy_end end;  /* COPY_DONE while there is a point in going on */
};

/* A small file of it. */
struct job {
    struct batch_task task; /* first: the one is known by the other */
    struct tree *tree;
    uint8_t *data;
    int folder;     /* get: where it goes; open until the batch is finished */
    char *name;     /* its own */
    char *path;     /* on the share */
    size_t size;    /* put */
    struct job *following;
};

/* Is there a point in going on? */
static bool ends_all(const struct copy *copy, enum copy_end end) {
    return end == COPY_STOPPED || (end == COPY_REMOTE && copy->error.kind != SESSION_ERROR_REFUSED) ||
           !session_is_open(copy->share->session);
}

/* What came of one thing, which is told where it was not copied. */
static void settle(struct tree *tree, const char *path, enum copy_end end) {
    struct copy *copy = tree->copy;

    if (end == COPY_DONE || tree->end != COPY_DONE)
        return;
    if (ends_all(copy, end)) {
        tree->end = end;
        return;
    }
    copy->failures++;
    if (copy->failed != NULL)
        copy->failed(copy->context, path, copy, end);
}

static void leave_out(struct tree *tree, const char *name, const char *why) {
    copy_note(tree->copy, name, why);
    tree->copy->failures++;
}

static bool is_too_deep(struct tree *tree, const char *path, unsigned depth) {
    if (depth < COPY_DEPTH_MAX)
        return false;
    leave_out(tree, path, "is left out: so many folders within folders are not followed");
    return true;
}

/* ---- jobs ---- */

static void job_free(struct job *job) {
    free(job->data);
    free(job->name);
    free(job->path);
    free(job);
}

/* NULL: that there is no memory was told. */
static struct job *job_new(struct tree *tree, const char *name, const char *path,
                           void (*done)(struct batch_task *task, const struct session_error *error)) {
    struct job *job = malloc(sizeof *job);

    if (job != NULL) {
        job->task.done = done;
        job->tree = tree;
        job->data = NULL;
        job->name = strdup(name);
        job->path = strdup(path);
        if (job->name != NULL && job->path != NULL)
            return job;
        job_free(job);
    }
    settle(tree, path, copy_local(tree->copy, ENOMEM));
    return NULL;
}

/* How its task ended, as an error of the copy. */
static enum copy_end job_end(struct job *job, const struct session_error *error) {
    struct copy *copy = job->tree->copy;

    if (error != NULL)
        copy->error = *error;
    else if (job->task.task.status != STATUS_SUCCESS)
        chain_refused(&copy->error, job->task.task.status);
    else
        return COPY_DONE;
    return COPY_REMOTE;
}

static void count_done(struct job *job, size_t size) {
    struct copy *copy = job->tree->copy;

    copy->files++;
    copy->octets += size;
    if (!copy_goes_on(copy, job->name, size))
        settle(job->tree, job->path, COPY_STOPPED);
}

/* ---- get ---- */

static void get_folder(struct tree *tree, const char *path, int folder, unsigned depth);

/* Makes the folder, or takes one that is there; a link is none. A negative errno. */
static int make_folder(int folder, const char *name) {
    int fd;

    if (mkdirat(folder, name, 0777) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void get_subfolder(struct tree *tree, const char *path, const struct share_entry *entry, int folder,
                          unsigned depth) {
    int fd = make_folder(folder, entry->name);

    if (fd < 0) {
        settle(tree, path, copy_local(tree->copy, -fd));
        return;
    }
    get_folder(tree, path, fd, depth + 1);
    copy_set_time(fd, entry->status.last_write_time); /* for what it is worth */
    close(fd);
}

/* Says why an entry has to be left out; NULL: it has not, and `path` is where it is. */
static const char *objection(const char *folder_path, const struct share_entry *entry, char path[URL_PATH_MAX]) {
    if (!entry->is_text)
        return "is left out: its name is no Unicode";
    if (!name_is_safe(entry->name))
        return "is left out: a name with a separator or a control character in it would lead elsewhere";
    if (strlen(entry->name) > NAME_MAX)
        return "is left out: its name is too long here";
    if (name_is_part(entry->name))
        return "is left out: it is what an interrupted copy left";
    if (file_is_reparse_point(&entry->status))
        return "is left out: it is a link, and links are not followed";
    return url_join(folder_path, entry->name, path) ? NULL : "is left out: its path is too long";
}

static void get_done(struct batch_task *task, const struct session_error *error) {
    struct job *job = (struct job *)task;
    struct tree *tree = job->tree;
    const struct file_task *read = &task->task;
    const struct file_status *status = &read->file.status;
    enum copy_end end = job_end(job, error);

    if (end == COPY_DONE && read->read.got != status->size) {
        job->following = tree->longer;
        tree->longer = job;
        return;
    }
    if (end == COPY_DONE)
        end = copy_store(tree->copy, (struct span){job->data, read->read.got}, job->folder, job->name,
                         status->last_write_time);
    if (end == COPY_DONE)
        count_done(job, read->read.got);
    settle(tree, job->path, end);
    job_free(job);
}

static void get_small(struct tree *tree, const char *path, const struct share_entry *entry, int folder) {
    struct job *job = job_new(tree, entry->name, path, get_done);
    uint32_t size = entry->status.size > 0 ? COPY_SMALL_SIZE : 0;
    struct copy *copy = tree->copy;

    if (job == NULL)
        return;
    job->folder = folder;
    job->data = malloc(COPY_SMALL_SIZE);
    if (job->data == NULL) {
        settle(tree, path, copy_local(copy, ENOMEM));
    } else if (!file_task_read(&job->task.task, path, job->data, size, &copy->error)) {
        settle(tree, path, COPY_REMOTE);
    } else {
        batch_start(&tree->batch, &job->task);
        return;
    }
    job_free(job);
}

static void get_long(struct tree *tree, const char *path, const char *name, int folder) {
    if (tree->end == COPY_DONE)
        settle(tree, path, copy_get(tree->copy, path, folder, name));
}

/* Nothing is in flight any more, and what was found to be longer than it was is read the other way. */
static void finish_gets(struct tree *tree) {
    struct job *job;

    batch_finish(&tree->batch);
    while ((job = tree->longer) != NULL) {
        tree->longer = job->following;
        get_long(tree, job->path, job->name, job->folder);
        job_free(job);
    }
}

static bool is_small(const struct tree *tree, const struct share_entry *entry) {
    return !file_is_folder(&entry->status) && entry->status.size <= COPY_SMALL_SIZE && !tree->copy->resume;
}

static void get_small_ones(struct tree *tree, const char *folder_path, const struct listing *listing, int folder) {
    for (size_t i = 0; i < listing->count && tree->end == COPY_DONE; i++) {
        const struct share_entry *entry = &listing->entries[i];
        char path[URL_PATH_MAX];

        if (is_small(tree, entry) && objection(folder_path, entry, path) == NULL)
            get_small(tree, path, entry, folder);
    }
    finish_gets(tree);
}

static void get_other_ones(struct tree *tree, const char *folder_path, const struct listing *listing, int folder,
                           unsigned depth) {
    for (size_t i = 0; i < listing->count && tree->end == COPY_DONE; i++) {
        const struct share_entry *entry = &listing->entries[i];
        char path[URL_PATH_MAX];
        const char *why = objection(folder_path, entry, path);

        if (why != NULL)
            leave_out(tree, entry->name, why);
        else if (file_is_folder(&entry->status))
            get_subfolder(tree, path, entry, folder, depth);
        else if (!is_small(tree, entry))
            get_long(tree, path, entry->name, folder);
    }
}

static void get_folder(struct tree *tree, const char *path, int folder, unsigned depth) {
    struct listing listing;

    if (is_too_deep(tree, path, depth))
        return;
    if (!share_list(tree->copy->share, path, &listing, &tree->copy->error))
        settle(tree, path, COPY_REMOTE);
    get_small_ones(tree, path, &listing, folder);
    get_other_ones(tree, path, &listing, folder, depth);
    listing_free(&listing);
}

enum copy_end copy_get_tree(struct copy *copy, const char *path, int folder) {
    struct tree tree = {.copy = copy, .batch = {.share = copy->share}, .end = COPY_DONE};

    get_folder(&tree, path, folder, 0);
    return tree.end;
}

/* ---- put ---- */

static void put_folder(struct tree *tree, int folder, const char *path, unsigned depth);

/* The folder may be there already. */
static enum copy_end make_remote_folder(struct copy *copy, const char *path) {
    struct file_status status;

    if (share_make_folder(copy->share, path, &copy->error))
        return COPY_DONE;
    if (copy->error.kind != SESSION_ERROR_REFUSED || copy->error.status != STATUS_OBJECT_NAME_COLLISION)
        return COPY_REMOTE;
    if (!share_stat(copy->share, path, &status, &copy->error))
        return COPY_REMOTE;
    if (file_is_folder(&status))
        return COPY_DONE;
    chain_refused(&copy->error, STATUS_NOT_A_DIRECTORY);
    return COPY_REMOTE;
}

static void put_done(struct batch_task *task, const struct session_error *error) {
    struct job *job = (struct job *)task;
    struct tree *tree = job->tree;
    enum copy_end end = job_end(job, error);

    if (end == COPY_DONE)
        count_done(job, job->size);
    settle(tree, job->path, end);
    job_free(job);
}

/* False: it changes, and has to be sent the other way. */
static bool put_small(struct tree *tree, const struct copy_source *source, const char *path) {
    struct job *job = job_new(tree, source->name, path, put_done);
    enum copy_end end;

    if (job == NULL)
        return true;
    job->size = (size_t)source->status.st_size;
    end = copy_begin_small(tree->copy, source, path, &job->task.task, &job->data);
    if (end == COPY_DONE) {
        batch_start(&tree->batch, &job->task);
        return true;
    }
    if (end != COPY_CHANGED)
        settle(tree, path, end);
    job_free(job);
    return end != COPY_CHANGED;
}

static void put_file(struct tree *tree, int fd, const char *name, const char *path) {
    struct copy_source source = {.fd = fd, .name = name};

    if (copy_look(&source) == 0 && copy_is_small(tree->copy, &source) && put_small(tree, &source, path))
        return;
    batch_finish(&tree->batch);
    if (tree->end == COPY_DONE)
        settle(tree, path, copy_put(tree->copy, fd, name, path));
}

static void put_subfolder(struct tree *tree, int fd, const char *path, unsigned depth) {
    enum copy_end end = make_remote_folder(tree->copy, path);

    if (end == COPY_DONE)
        put_folder(tree, fd, path, depth + 1);
    else
        settle(tree, path, end);
}

/* What is behind a name, opened without following it: folders in one pass, everything else in another one. */
static void put_open(struct tree *tree, int fd, const char *name, const char *path, unsigned depth, bool folders) {
    struct stat status;

    if (fstat(fd, &status) < 0) {
        settle(tree, name, copy_local(tree->copy, errno));
    } else if (S_ISDIR(status.st_mode)) {
        if (folders)
            put_subfolder(tree, fd, path, depth);
    } else if (folders) {
        return;
    } else if (S_ISREG(status.st_mode)) {
        put_file(tree, fd, name, path);
    } else {
        leave_out(tree, name, "is left out: it is neither a file nor a folder");
    }
}

/* What has to be told is told in the pass of the files. */
static void put_entry(struct tree *tree, int folder, const char *name, const char *folder_path, unsigned depth,
                      bool folders) {
    bool is_part = name_is_part(name);
    char path[URL_PATH_MAX];
    int fd;

    if (is_part || !name_is_safe(name) || !url_join(folder_path, name, path)) {
        if (!folders)
            leave_out(tree, name,
                      is_part ? "is left out: it is what an interrupted copy left"
                              : "is left out: a share cannot have this name");
        return;
    }
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        put_open(tree, fd, name, path, depth, folders);
        close(fd);
    } else if (!folders && errno == ELOOP) {
        leave_out(tree, name, "is left out: it is a link, and links are not followed");
    } else if (!folders) {
        settle(tree, name, copy_local(tree->copy, errno));
    }
}

static void put_entries(struct tree *tree, DIR *directory, int folder, const char *path, unsigned depth,
                        bool folders) {
    struct dirent *entry;

    rewinddir(directory);
    while (tree->end == COPY_DONE && (entry = readdir(directory)) != NULL) {
        bool can_be_it = entry->d_type == DT_UNKNOWN || (entry->d_type == DT_DIR) == folders;

        if (can_be_it && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            put_entry(tree, folder, entry->d_name, path, depth, folders);
    }
    batch_finish(&tree->batch);
}

static void put_folder(struct tree *tree, int folder, const char *path, unsigned depth) {
    int own = dup(folder); /* closedir() closes it */
    DIR *directory = own < 0 ? NULL : fdopendir(own);

    if (directory == NULL) {
        settle(tree, path, copy_local(tree->copy, errno));
        if (own >= 0)
            close(own);
        return;
    }
    if (!is_too_deep(tree, path, depth)) {
        put_entries(tree, directory, folder, path, depth, false);
        put_entries(tree, directory, folder, path, depth, true);
    }
    closedir(directory);
}

enum copy_end copy_put_tree(struct copy *copy, int folder, const char *path) {
    struct tree tree = {.copy = copy, .batch = {.share = copy->share}, .end = COPY_DONE};

    put_folder(&tree, folder, path, 0);
    return tree.end;
}
