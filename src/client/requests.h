/* The requests on files that this client makes: their bodies, and the steps of chains that carry them.
 *
 * A step borrows its body, and a body what it was made of, until the chain was sent and, where its session may expire,
 * answered. */
#ifndef SMBPROOF_CLIENT_REQUESTS_H
#define SMBPROOF_CLIENT_REQUESTS_H

#include "client/chain.h"
#include "client/share.h"
#include "wire/info.h"

/* A path in UTF-16LE. */
struct wire_path {
    uint8_t octets[SHARE_PATH_MAX];
    struct span span;
};
/* False: it is too long, or no UTF-8. */
bool wire_path_set(struct wire_path *wire, const char *path, struct session_error *error);

/* The FileId of a related request: that of the one before (3.2.4.1.4). */
void file_id_inherit(uint8_t id[FILE_ID_SIZE]);

struct create_request create_body(const struct wire_path *path, const struct share_open *how);
struct close_request close_body(const uint8_t id[FILE_ID_SIZE]);
struct read_request read_body(const uint8_t id[FILE_ID_SIZE], uint32_t size);
struct query_info_request query_body(const uint8_t id[FILE_ID_SIZE]);
struct set_info_request set_body(const uint8_t id[FILE_ID_SIZE], enum file_info_class info_class, struct span buffer);

/* FileRenameInformation with a path in it. */
struct rename_buffer {
    uint8_t octets[SHARE_PATH_MAX + 32];
    struct span span;
};
bool rename_buffer_set(struct rename_buffer *buffer, const char *to, bool replace, struct session_error *error);

/* FileBasicInformation with the times and attributes of `status`. */
struct basic_buffer {
    uint8_t octets[40];
    struct span span;
};
void basic_buffer_set(struct basic_buffer *buffer, const struct file_status *status);

/* What a READ brought. */
struct read_result {
    uint8_t *data;
    uint32_t size, got;
};

struct chain_step create_step(const struct create_request *body, struct share_file *file);
/* `status` may be NULL. */
struct chain_step close_step(const struct close_request *body, struct file_status *status);
struct chain_step read_step(const struct read_request *body, struct read_result *result);
/* `count`: how many octets the server says that it wrote. */
struct chain_step write_step(const struct write_request *body, uint32_t *count);
struct chain_step query_step(const struct query_info_request *body, struct file_status *status);
struct chain_step set_step(const struct set_info_request *body);

#endif
