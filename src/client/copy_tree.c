#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/chain.h"
#include "client/copy_tools.h"
#include "client/names.h"
#include "client/url.h"

/* Is there a point in going on? */
static bool ends_all(const struct copy *copy, enum copy_end end) {
    return end == COPY_STOPPED || (end == COPY_REMOTE && copy->error.kind != SESSION_ERROR_REFUSED) ||
           !session_is_open(copy->share->session);
}

/* Tells that one thing was not copied. What is to be returned: COPY_DONE where the rest may be. */
static enum copy_end told(struct copy *copy, const char *path, enum copy_end end) {
    if (end == COPY_DONE || ends_all(copy, end))
        return end;
    copy->failures++;
    if (copy->failed != NULL)
        copy->failed(copy->context, path, copy, end);
    return COPY_DONE;
}

static bool is_too_deep(struct copy *copy, const char *path, unsigned depth) {
    if (depth < COPY_DEPTH_MAX)
        return false;
    copy_note(copy, path, "is left out: so many folders within folders are not followed");
    copy->failures++;
    return true;
}

/* ---- get ---- */

static enum copy_end get_folder(struct copy *copy, const char *path, int folder, unsigned depth);

/* Makes the folder, or takes one that is there; a link is none. A negative errno. */
static int make_folder(int folder, const char *name) {
    int fd;

    if (mkdirat(folder, name, 0777) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static enum copy_end get_subfolder(struct copy *copy, const char *path, const struct share_entry *entry, int folder,
                                   unsigned depth) {
    int fd = make_folder(folder, entry->name);
    enum copy_end end;

    if (fd < 0)
        return told(copy, path, copy_local(copy, -fd));
    end = get_folder(copy, path, fd, depth + 1);
    copy_set_time(fd, entry->status.last_write_time); /* for what it is worth */
    close(fd);
    return end;
}

/* Says why an entry has to be left out; NULL: it has not. */
static const char *objection(const struct share_entry *entry) {
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
    return NULL;
}

static enum copy_end get_entry(struct copy *copy, const char *folder_path, const struct share_entry *entry, int folder,
                               unsigned depth) {
    const char *why = objection(entry);
    char path[URL_PATH_MAX];

    if (why == NULL && !url_join(folder_path, entry->name, path))
        why = "is left out: its path is too long";
    if (why != NULL) {
        copy_note(copy, entry->name, why);
        copy->failures++;
        return COPY_DONE;
    }
    if (file_is_folder(&entry->status))
        return get_subfolder(copy, path, entry, folder, depth);
    return told(copy, path, copy_get(copy, path, &entry->status, folder, entry->name));
}

static enum copy_end get_folder(struct copy *copy, const char *path, int folder, unsigned depth) {
    enum copy_end end = COPY_DONE;
    struct listing listing;

    if (is_too_deep(copy, path, depth))
        return COPY_DONE;
    if (!share_list(copy->share, path, &listing, &copy->error))
        end = told(copy, path, COPY_REMOTE);
    for (size_t i = 0; i < listing.count && end == COPY_DONE; i++)
        end = get_entry(copy, path, &listing.entries[i], folder, depth);
    listing_free(&listing);
    return end;
}

enum copy_end copy_get_tree(struct copy *copy, const char *path, int folder) {
    return get_folder(copy, path, folder, 0);
}

/* ---- put ---- */

static enum copy_end put_folder(struct copy *copy, int folder, const char *path, unsigned depth);

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

static enum copy_end put_subfolder(struct copy *copy, int fd, const char *path, unsigned depth) {
    enum copy_end end = make_remote_folder(copy, path);

    return end == COPY_DONE ? put_folder(copy, fd, path, depth + 1) : told(copy, path, end);
}

/* What is behind a name, opened without following it. */
static enum copy_end put_open(struct copy *copy, int fd, const char *name, const char *path, unsigned depth) {
    struct stat status;

    if (fstat(fd, &status) < 0)
        return told(copy, name, copy_local(copy, errno));
    if (S_ISDIR(status.st_mode))
        return put_subfolder(copy, fd, path, depth);
    if (S_ISREG(status.st_mode))
        return told(copy, path, copy_put(copy, fd, name, path));
    copy_note(copy, name, "is left out: it is neither a file nor a folder");
    copy->failures++;
    return COPY_DONE;
}

static enum copy_end put_entry(struct copy *copy, int folder, const char *name, const char *folder_path,
                               unsigned depth) {
    char path[URL_PATH_MAX];
    enum copy_end end;
    int fd;

    if (name_is_part(name) || !name_is_safe(name) || !url_join(folder_path, name, path)) {
        copy_note(copy, name,
                  name_is_part(name) ? "is left out: it is what an interrupted copy left"
                                     : "is left out: a share cannot have this name");
        copy->failures++;
        return COPY_DONE;
    }
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP) {
        copy_note(copy, name, "is left out: it is a link, and links are not followed");
        copy->failures++;
        return COPY_DONE;
    }
    if (fd < 0)
        return told(copy, name, copy_local(copy, errno));
    end = put_open(copy, fd, name, path, depth);
    close(fd);
    return end;
}

static enum copy_end put_folder(struct copy *copy, int folder, const char *path, unsigned depth) {
    enum copy_end end = COPY_DONE;
    int own = dup(folder); /* closedir() closes it */
    DIR *directory = own < 0 ? NULL : fdopendir(own);
    struct dirent *entry;

    if (directory == NULL) {
        end = told(copy, path, copy_local(copy, errno));
        if (own >= 0)
            close(own);
        return end;
    }
    if (!is_too_deep(copy, path, depth))
        while (end == COPY_DONE && (errno = 0, entry = readdir(directory)) != NULL)
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                end = put_entry(copy, folder, entry->d_name, path, depth);
    closedir(directory);
    return end;
}

enum copy_end copy_put_tree(struct copy *copy, int folder, const char *path) {
    return put_folder(copy, folder, path, 0);
}
