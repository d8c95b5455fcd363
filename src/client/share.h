/* Files and folders of one connected share.
 *
 * Paths are UTF-8, from the share's root, their parts separated by '\' (see client/url.h); "" is the root. What needs
 * several requests sends them as one compound chain (3.2.4.1.4), so that each of these functions but share_list() of a
 * long folder is one round trip.
 *
 * What fails returns false: error->kind is SESSION_ERROR_REFUSED where the server said `status` and the session goes
 * on, and anything else as in client/session.h. A session that expired is authenticated again on the way (3.2.4.1). */
#ifndef SMBPROOF_CLIENT_SHARE_H
#define SMBPROOF_CLIENT_SHARE_H

#include "client/session.h"
#include "wire/files.h"

/* Entries of one folder that are listed; a folder with more is refused rather than let to fill the memory. */
#define SHARE_ENTRIES_MAX 8000000u
/* Octets of the longest path in UTF-16LE. */
#define SHARE_PATH_MAX 8192u

struct share {
    struct session *session; /* borrowed */
    uint32_t tree;
};

/* Times are FILETIMEs; 0: not known. */
struct file_status {
    uint64_t creation_time, last_access_time, last_write_time, change_time;
    uint64_t size, allocation_size, index; /* index: the file's number on its volume, 0 not known */
    uint32_t attributes, links;
};
bool file_is_folder(const struct file_status *status);
/* A symbolic link, mount point or the like, which this client does not follow. */
bool file_is_reparse_point(const struct file_status *status);

struct share_file {
    uint8_t id[FILE_ID_SIZE];
    struct file_status status; /* when it was opened */
};

struct share_open {
    uint32_t access;      /* enum access_mask */
    uint32_t sharing;     /* enum share_access */
    uint32_t disposition; /* enum create_disposition */
    uint32_t options;     /* enum create_option */
};

/* Reading a file that others may write, rename and delete. */
extern const struct share_open share_open_to_read;
/* Writing a new file that nobody else may open meanwhile; `resume` keeps what is there. */
struct share_open share_open_to_write(bool resume);

bool share_open(struct share *share, const char *path, const struct share_open *how, struct share_file *file,
                struct session_error *error);
/* CLOSE, and what it says of the file at the end. `status` may be NULL. */
bool share_close(struct share *share, const struct share_file *file, struct file_status *status,
                 struct session_error *error);
/* CREATE, QUERY_INFO, CLOSE. */
bool share_stat(struct share *share, const char *path, struct file_status *status, struct session_error *error);
/* The same of an open file. */
bool share_query(struct share *share, const struct share_file *file, struct file_status *status,
                 struct session_error *error);
/* CREATE, CLOSE. */
bool share_make_folder(struct share *share, const char *path, struct session_error *error);
/* CREATE, SET_INFO, CLOSE. Of a link the link itself. */
bool share_delete(struct share *share, const char *path, bool is_folder, struct session_error *error);
bool share_rename(struct share *share, const char *from, const char *to, bool replace, struct session_error *error);
/* The same of an open file, which needs ACCESS_DELETE. */
bool share_rename_open(struct share *share, const struct share_file *file, const char *to, bool replace,
                       struct session_error *error);
/* SET_INFO of the times, SET_INFO of the name, CLOSE: what ends a longer one. */
bool share_finish(struct share *share, const struct share_file *file, const char *path, const struct file_status *times,
                  struct session_error *error);
/* SET_INFO: times that are 0 stay as they are, attributes likewise. Needs FILE_WRITE_ATTRIBUTES. */
bool share_set_times(struct share *share, const struct share_file *file, const struct file_status *status,
                     struct session_error *error);
/* SET_INFO: the file's length. Needs FILE_WRITE_DATA. */
bool share_set_size(struct share *share, const struct share_file *file, uint64_t size, struct session_error *error);

struct share_entry {
    char *name;   /* UTF-8; owned by the listing */
    bool is_text; /* false: the name was no UTF-16, and `name` only says so */
    struct file_status status;
};

struct listing {
    struct share_entry *entries;
    size_t count, room;
};

/* What is in a folder, without "." and "..", in the server's order. Free it also after an error. */
bool share_list(struct share *share, const char *path, struct listing *listing, struct session_error *error);
void listing_free(struct listing *listing);

/* One read or write of a pipe. */
bool share_pipe_write(struct share *share, const struct share_file *file, struct span octets,
                      struct session_error *error);
/* What one READ yields, which may be less than the whole message (`more`). */
bool share_pipe_read(struct share *share, const struct share_file *file, uint8_t *data, uint32_t size, uint32_t *got,
                     bool *more, struct session_error *error);

#endif
