/* What the files of the cases share. */
#ifndef SMBPROOF_CONFORM_TRIAL_H
#define SMBPROOF_CONFORM_TRIAL_H

#include "conform/conform.h"
#include "wire/files.h"
#include "wire/names.h"

#define BATCH_ELEMENTS_MAX 256u

/* A frame under construction: requests as a correct client sends them, which a case then spoils. */
struct batch {
    struct line *line;
    struct writer writer;
    size_t starts[BATCH_ELEMENTS_MAX];
    uint64_t ids[BATCH_ELEMENTS_MAX]; /* MessageIds */
    unsigned count;
    uint8_t octets[LINE_FRAME_MAX];
    uint8_t scratch[LINE_FRAME_MAX]; /* of one message while it is made */
};

/* One run of one case. */
struct trial {
    const struct conform_options *options;
    const struct conform_case *test;
    const struct conform_facts *facts;
    struct conform_result *result;
    struct line *line, *second; /* most need one connection */
    struct line_logon logon;
    struct batch *batch;
    bool zero_in_guid;   /* the ClientGuid of what trial_agree() opens has an octet 0 near its beginning */
};

/* What a report says of the server. */
void conform_server_text(const struct conform_report *report, FILE *out);
void conform_server_json(const struct conform_report *report, struct output *output);

/* ---- results: the last one said counts ---- */

void trial_pass(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trial_fail(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trial_skip(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trial_unclear(struct trial *trial, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was just said to be wrong is, in this trial, only what a server should not do. */
void trial_lessen(struct trial *trial);

/* "STATUS_ACCESS_DENIED, signed", "closed (FIN)": what came. Borrowed from `text`. */
const char *seen_text(const struct line_reply *reply, char text[CONFORM_TEXT_MAX]);

/* Passes where the reply is what a correct server sends, fails otherwise; true: it passed. */
bool judge_close(struct trial *trial, const struct line_reply *reply);
bool judge_status(struct trial *trial, const struct line_reply *reply, uint32_t status);
bool judge_status_or_close(struct trial *trial, const struct line_reply *reply, uint32_t status);
/* Any error status, or the connection's end. */
bool judge_refusal(struct trial *trial, const struct line_reply *reply);

/* ---- connections. False: the result says why ---- */

bool trial_open(struct trial *trial, const struct id_list *dialects);
bool trial_agree(struct trial *trial, const struct id_list *dialects);
bool trial_log_on(struct trial *trial, const struct id_list *dialects);
bool trial_connect(struct trial *trial, const struct id_list *dialects);
/* With the dialects that the server speaks, all or those below 3.1.1. */
struct id_list trial_all(const struct trial *trial);
struct id_list trial_below_311(const struct trial *trial);
struct id_list dialect_alone(uint16_t dialect);
bool trial_speaks(const struct trial *trial, uint16_t dialect);
/* Can a tree be connected with it? A server that demands encryption has nothing to say below 3.0. */
bool trial_admits(const struct trial *trial, uint16_t dialect);

/* ---- frames ---- */

void batch_begin(struct batch *batch, struct line *line);
/* Adds a request; returns its octets, from the header on, for a case to change. */
uint8_t *batch_add(struct batch *batch, uint16_t command, struct span body);
/* Requests of their own kind. FileId NULL: all ones, which stands for the one of the element before. */
uint8_t *add_plain(struct batch *batch, uint16_t command); /* ECHO, LOGOFF, TREE_DISCONNECT, CANCEL: 4 octets */
uint8_t *add_tree_connect(struct batch *batch, const char *share, uint16_t flags);
uint8_t *add_token(struct batch *batch, struct span token); /* a SESSION_SETUP */
/* Octets of the line's ClientGuid follow the name: other cases and other runs may be at work at the same time, and a file
 * that is about to go can be opened by nobody. */
uint8_t *add_create(struct batch *batch, const char *name, uint32_t disposition);
uint8_t *add_close(struct batch *batch, const uint8_t *file_id);
uint8_t *add_flush(struct batch *batch, const uint8_t *file_id);
uint8_t *add_read(struct batch *batch, const uint8_t *file_id, uint32_t length);
uint8_t *add_write(struct batch *batch, const uint8_t *file_id, struct span data);
/* FSCTL_VALIDATE_NEGOTIATE_INFO as it should be. */
uint8_t *add_validation(struct batch *batch);
/* Chains what was added; each but the first `related`. */
void batch_chain(struct batch *batch, bool related);
/* What a negative errno of sending stands for. */
struct line_reply reply_of(int error);
/* Signs or encrypts, and sends. 0, or a negative errno. */
int batch_send(struct batch *batch, enum line_protection protection);
/* And reads the answer to the only request. */
struct line_reply batch_exchange(struct batch *batch, enum line_protection protection);
/* The answers to all requests, in their order, however the server frames them; those that did not come have the answer
 * LINE_SILENT or what ended the connection. Only header, status and protection are kept, and the FileId of a CREATE. */
struct batch_answer {
    struct line_reply reply; /* its spans are not valid */
    uint8_t file_id[FILE_ID_SIZE];
    uint32_t count; /* of a WRITE, or data of a READ, in octets */
    bool flagged_related, aligned;
    unsigned frame; /* in which frame it came, from 0 on */
    uint16_t credits;
};
void batch_collect(struct batch *batch, struct batch_answer *answers);
/* Sends and collects. */
void batch_run(struct batch *batch, enum line_protection protection, struct batch_answer *answers);

/* Changes fields of a header or body, by their offset from the protocol id. */
void put_u16(uint8_t *message, size_t at, uint16_t value);
void put_u32(uint8_t *message, size_t at, uint32_t value);
void put_u64(uint8_t *message, size_t at, uint64_t value);
enum {
    AT_STRUCTURE_SIZE = 4,
    AT_CREDIT_CHARGE = 6,
    AT_COMMAND = 12,
    AT_CREDITS = 14,
    AT_FLAGS = 16,
    AT_NEXT_COMMAND = 20,
    AT_MESSAGE_ID = 24,
    AT_TREE_ID = 36,
    AT_SESSION_ID = 40,
    AT_BODY = 64,
};
void add_flags(uint8_t *message, uint32_t flags);

#endif
