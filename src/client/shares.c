#include "client/shares.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/chain.h"
#include "client/names.h"
#include "client/share.h"
#include "wire/text.h"

#define PIPE_NAME "srvsvc"
#define CALL_ID   1u

static bool open_pipe(struct share *share, struct share_file *pipe, struct session_error *error) {
    static const struct share_open how = {
        .access = FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | ACCESS_SYNCHRONIZE,
        .sharing = FILE_SHARE_READ | FILE_SHARE_WRITE,
        .disposition = FILE_OPEN,
    };

    return share_open(share, PIPE_NAME, &how, pipe, error);
}

static bool write_pdu(struct share *share, const struct share_file *pipe, const struct rpc_pdu *pdu,
                      struct session_error *error) {
    uint8_t room[RPC_FRAGMENT_MAX];
    struct writer writer = writer_over(room, sizeof room);

    rpc_pdu_encode(pdu, &writer);
    if (!writer.failed)
        return share_pipe_write(share, pipe, writer_done(&writer), error);
    chain_refused(error, STATUS_OBJECT_NAME_INVALID); /* the host's name is too long */
    return false;
}

/* One fragment, however many READs it takes. */
static bool read_pdu(struct share *share, const struct share_file *pipe, uint8_t *room, struct rpc_pdu *pdu,
                     struct session_error *error) {
    uint32_t size = 0, got;
    size_t used;
    bool more;

    do {
        if (!share_pipe_read(share, pipe, room + size, RPC_FRAGMENT_MAX - size, &got, &more, error))
            return false;
        size += got;
        if (rpc_pdu_decode((struct span){room, size}, pdu, &used))
            return true;
    } while (got > 0 && size < RPC_FRAGMENT_MAX);
    chain_malformed(error);
    return false;
}

static bool bind(struct share *share, const struct share_file *pipe, struct session_error *error) {
    struct rpc_pdu pdu = {.type = RPC_BIND,
                          .flags = RPC_FIRST_FRAGMENT | RPC_LAST_FRAGMENT,
                          .call_id = CALL_ID,
                          .max_transmit = RPC_FRAGMENT_MAX,
                          .max_receive = RPC_FRAGMENT_MAX,
                          .interface = rpc_srvsvc,
                          .transfer = rpc_ndr};
    uint8_t room[RPC_FRAGMENT_MAX];

    if (!write_pdu(share, pipe, &pdu, error) || !read_pdu(share, pipe, room, &pdu, error))
        return false;
    if (pdu.type == RPC_BIND_ACK && pdu.result == RPC_ACCEPTED)
        return true;
    chain_refused(error, STATUS_NOT_SUPPORTED);
    return false;
}

static bool request(struct share *share, const struct share_file *pipe, const char *host, struct session_error *error) {
    struct rpc_pdu pdu = {.type = RPC_REQUEST,
                          .flags = RPC_FIRST_FRAGMENT | RPC_LAST_FRAGMENT,
                          .call_id = CALL_ID + 1,
                          .opnum = SRVSVC_SHARE_ENUM};
    struct share_enum_request arguments = {.level = 1, .preferred_size = UINT32_MAX, .has_resume = true};
    uint8_t room[RPC_FRAGMENT_MAX], name[2 * NAME_TEXT_MAX];
    struct writer writer = writer_over(room, sizeof room - RPC_REQUEST_SIZE), server = writer_over(name, sizeof name);

    text_to_utf16(text_span("\\\\"), &server);
    text_to_utf16(text_span(host), &server);
    arguments.server = writer_done(&server);
    share_enum_request_encode(&arguments, &writer);
    pdu.stub = writer_done(&writer);
    return write_pdu(share, pipe, &pdu, error);
}

/* The answer's stub out of all its fragments, in `stub`, which is allocated. */
static bool receive(struct share *share, const struct share_file *pipe, struct writer *stub,
                    struct session_error *error) {
    uint8_t room[RPC_FRAGMENT_MAX];
    struct rpc_pdu pdu;

    do {
        if (!read_pdu(share, pipe, room, &pdu, error))
            return false;
        if (pdu.type == RPC_FAULT) {
            chain_refused(error, pdu.status);
            return false;
        }
        writer_put(stub, pdu.stub);
        if (pdu.type != RPC_RESPONSE || pdu.call_id != CALL_ID + 1 || stub->failed) {
            chain_malformed(error);
            return false;
        }
    } while (!(pdu.flags & RPC_LAST_FRAGMENT));
    return true;
}

static char *text_of(struct span utf16) {
    char text[NAME_TEXT_MAX];

    name_from_wire(utf16, text);
    return strdup(text);
}

void shares_free(struct share_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->shares[i].name);
        free(list->shares[i].comment);
    }
    free(list->shares);
    *list = (struct share_list){0};
}

/* WERROR ([MS-ERREF] 2.2) that say more than a number. */
static void refuse_code(struct session_error *error, uint32_t code) {
    enum { ERROR_ACCESS_DENIED = 5 };

    chain_refused(error, code == ERROR_ACCESS_DENIED ? STATUS_ACCESS_DENIED : STATUS_UNSUCCESSFUL);
}

static bool take_list(struct span stub, struct share_list *list, struct session_error *error) {
    struct share_enum_response response;
    struct share_info share;

    if (!share_enum_response_decode(stub, &response)) {
        chain_malformed(error);
        return false;
    }
    if (response.status != 0) {
        refuse_code(error, response.status);
        return false;
    }
    list->shares = calloc(response.count + (size_t)1, sizeof *list->shares);
    while (list->shares != NULL && share_next(&response.shares, &share)) {
        struct share_list_entry *entry = &list->shares[list->count++];

        *entry = (struct share_list_entry){text_of(share.name), text_of(share.comment), share.kind};
        if (entry->name != NULL && entry->comment != NULL)
            continue;
        shares_free(list);
    }
    if (list->shares == NULL)
        chain_refused(error, STATUS_INSUFFICIENT_RESOURCES);
    return list->shares != NULL;
}

static bool ask(struct share *share, const struct share_file *pipe, const char *host, struct share_list *list,
                struct session_error *error) {
    uint8_t *room = malloc(SHARES_ANSWER_MAX);
    struct writer stub = writer_over(room, SHARES_ANSWER_MAX);
    bool good;

    if (room == NULL) {
        chain_refused(error, STATUS_INSUFFICIENT_RESOURCES);
        return false;
    }
    good = bind(share, pipe, error) && request(share, pipe, host, error) && receive(share, pipe, &stub, error) &&
           take_list(writer_done(&stub), list, error);
    free(room);
    return good;
}

bool shares_list(struct session *session, const char *host, struct share_list *list, struct session_error *error) {
    struct share share = {.session = session};
    struct session_error ignored;
    struct share_file pipe;
    bool good;

    *list = (struct share_list){0};
    if (!session_connect_tree(session, "IPC$", &share.tree, error) || !open_pipe(&share, &pipe, error))
        return false;
    good = ask(&share, &pipe, host, list, error);
    share_close(&share, &pipe, NULL, &ignored);
    session_disconnect_tree(session, share.tree, &ignored);
    return good;
}
