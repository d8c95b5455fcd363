#include <stdlib.h>
#include <string.h>

#include "serve/control.h"
#include "wire/rpc.h"
#include "wire/text.h"

enum { IOCTL_IS_FSCTL = 1, INTERFACE_SIZE = 152, INTERFACE_IPV4 = 0x0002, INTERFACE_IPV6 = 0x0017 };
enum { SHARES_MAX = 128, CONTROL_HEAD = 48, CONTROL_AT = SMB2_HEADER_SIZE + CONTROL_HEAD };

/* --- srvsvc --- */

static uint32_t shares_put(struct host *host, struct writer *out) {
    struct share_info shares[SHARES_MAX];
    uint8_t names[SHARES_MAX * 64];
    struct writer text = writer_over(names, sizeof names);
    unsigned count = 0, used = 0;

    for (const struct share *share; used < SHARES_MAX && (share = host_share(host, used, &count)) != NULL; used++) {
        size_t at = text.at;

        text_to_utf16(text_span(share->name), &text);
        if (text.failed)
            break;
        shares[used] = (struct share_info){.name = {names + at, text.at - at},
            .kind = share->store != NULL ? SHARE_KIND_DISK : SHARE_KIND_IPC | SHARE_KIND_SPECIAL};
    }
    share_enum_response_encode(shares, used, 0, out);
    return out->failed ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
}

static void bind_answer(const struct rpc_pdu *request, struct rpc_pdu *reply) {
    static const uint8_t pipe[] = "\\PIPE\\srvsvc";
    bool known = memcmp(&request->interface, &rpc_srvsvc, sizeof rpc_srvsvc) == 0;

    reply->type = RPC_BIND_ACK;
    reply->max_transmit = reply->max_receive = RPC_FRAGMENT_MAX;
    reply->context_count = request->context_count;
    reply->secondary_address = (struct span){pipe, sizeof pipe};
    reply->result = known ? RPC_ACCEPTED : RPC_PROVIDER_REJECTION;
    reply->reason = known ? 0 : 1; /* abstract syntax not supported */
    if (known)
        reply->transfer = rpc_ndr;
}

static uint32_t request_answer(struct host *host, const struct rpc_pdu *request, struct rpc_pdu *reply,
                               struct writer *stub) {
    struct share_enum_request wanted;

    reply->type = RPC_FAULT;
    reply->status = 0x1c010002; /* nca_s_op_rng_error */
    if (request->opnum != SRVSVC_SHARE_ENUM)
        return STATUS_SUCCESS;
    if (!share_enum_request_decode(request->stub, &wanted) || wanted.level != 1) {
        reply->status = 0x000006f7; /* RPC_X_BAD_STUB_DATA */
        return STATUS_SUCCESS;
    }
    reply->type = RPC_RESPONSE;
    return shares_put(host, stub);
}

uint32_t pipe_take(struct open *open, struct span request) {
    uint8_t stub_octets[RPC_FRAGMENT_MAX - RPC_REQUEST_SIZE], octets[RPC_FRAGMENT_MAX];
    struct writer stub = writer_over(stub_octets, sizeof stub_octets), out = writer_over(octets, sizeof octets);
    struct rpc_pdu pdu, reply = {.flags = RPC_FIRST_FRAGMENT | RPC_LAST_FRAGMENT};
    uint32_t status = STATUS_SUCCESS;
    size_t size;

    if (!rpc_pdu_decode(request, &pdu, &size) || (pdu.type != RPC_BIND && pdu.type != RPC_REQUEST))
        return STATUS_INVALID_PARAMETER;
    reply.call_id = pdu.call_id;
    reply.context_id = pdu.context_id;
    if (pdu.type == RPC_BIND)
        bind_answer(&pdu, &reply);
    else
        status = request_answer(open->connection->host, &pdu, &reply, &stub);
    reply.stub = writer_done(&stub);
    rpc_pdu_encode(&reply, &out);
    if (status != STATUS_SUCCESS || out.failed)
        return STATUS_INSUFFICIENT_RESOURCES;
    free(open->reply);
    open->reply_size = 0;
    open->reply = malloc(out.at);
    if (open->reply == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    memcpy(open->reply, octets, out.at);
    open->reply_size = out.at;
    return STATUS_SUCCESS;
}

struct span pipe_give(struct open *open, size_t size, uint32_t *status) {
    *status = open->reply_size > size ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
    return span_slice((struct span){open->reply, open->reply_size}, 0, size);
}

void pipe_given(struct open *open, size_t size) {
    open->reply_size -= size;
    memmove(open->reply, open->reply + size, open->reply_size);
}

/* --- IOCTL --- */

void control_answer(struct work *work, struct span output, uint32_t status) {
    const struct ioctl_request *request = &work->frame->request.message.body.ioctl_request;
    struct span file_id = {work->frame->request.file_id, 16};

    if (!work_begin(work, CONTROL_HEAD + output.size + 1))
        return;
    writer_u16(&work->out, CONTROL_HEAD + 1);
    writer_u16(&work->out, 0);
    writer_u32(&work->out, request->ctl_code);
    writer_put(&work->out, file_id);
    writer_u32(&work->out, CONTROL_AT);
    writer_u32(&work->out, 0);
    writer_u32(&work->out, CONTROL_AT);
    writer_u32(&work->out, (uint32_t)output.size);
    writer_zero(&work->out, 8);
    writer_put(&work->out, output);
    if (output.size == 0)
        writer_u8(&work->out, 0);
    work_answer(work, status);
}

void control_done(struct work *work) {
    if (!work_failed(work))
        control_answer(work, (struct span){NULL, 0}, STATUS_SUCCESS);
}

static void pipe_transceive(struct work *work, const struct ioctl_request *request) {
    struct open *open = work->open;
    uint32_t status = open->file == NULL ? pipe_take(open, request->input) : STATUS_INVALID_DEVICE_REQUEST;
    struct span reply;

    if (status != STATUS_SUCCESS) {
        work_refuse(work, status);
        return;
    }
    reply = pipe_give(open, request->max_output_response, &status);
    open_hold(open);
    control_answer(work, reply, status);
    pipe_given(open, reply.size);
    open_release(open);
}

/* NETWORK_INTERFACE_INFO (2.2.32.5) with its SOCKADDR_STORAGE. */
static void interface_put(const struct interface *interface, struct writer *out) {
    size_t size = interface->is_ipv6 ? 16 : 4, end = out->at + INTERFACE_SIZE;

    writer_u32(out, 0); /* no other one follows */
    writer_u32(out, interface->index);
    writer_u64(out, 0); /* neither RSS nor RDMA */
    writer_u64(out, interface->speed);
    writer_u16(out, interface->is_ipv6 ? INTERFACE_IPV6 : INTERFACE_IPV4);
    writer_zero(out, interface->is_ipv6 ? 6 : 2); /* port, and FlowInfo */
    writer_put(out, (struct span){interface->address, size});
    writer_zero(out, end - out->at);
}

/* 3.3.5.15.11. There is one channel, and so one interface to tell of: that of the connection itself. */
static void interface_tell(struct connection *connection, struct server_frame *frame) {
    uint32_t most = frame->request.message.body.ioctl_request.max_output_response;
    uint8_t octets[INTERFACE_SIZE];
    struct writer out = writer_over(octets, sizeof octets);
    struct interface interface;
    struct work *work;

    if (connection->server.negotiation.agreed.dialect < SMB2_DIALECT_300 || !connection_interface(connection, &interface)) {
        connection_refuse(connection, frame, STATUS_NOT_SUPPORTED);
    } else if (most < INTERFACE_SIZE) {
        connection_refuse(connection, frame, STATUS_BUFFER_TOO_SMALL);
    } else if ((work = work_new(connection, frame)) != NULL) {
        interface_put(&interface, &out);
        control_answer(work, writer_done(&out), STATUS_SUCCESS);
    }
}

/* Those that are of no file have to say so (3.3.5.15). */
static bool names_file(const struct server_frame *frame) {
    static const uint8_t none[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return memcmp(frame->request.file_id, none, sizeof none) != 0;
}

/* Those of no file. False: it is one of a file. */
static bool control_general(struct connection *connection, struct server_frame *frame) {
    uint32_t code = frame->request.message.body.ioctl_request.ctl_code;
    bool is_dfs = code == FSCTL_DFS_GET_REFERRALS || code == FSCTL_DFS_GET_REFERRALS_EX;

    if (!is_dfs && code != FSCTL_QUERY_NETWORK_INTERFACE_INFO)
        return false;
    if (names_file(frame))
        connection_refuse(connection, frame, STATUS_INVALID_PARAMETER);
    else if (is_dfs)
        connection_refuse(connection, frame, STATUS_FS_DRIVER_REQUIRED);
    else
        interface_tell(connection, frame);
    return true;
}

static void control_file(struct work *work, const struct ioctl_request *request) {
    if (request->ctl_code == FSCTL_PIPE_TRANSCEIVE)
        pipe_transceive(work, request);
    else if (work->open->file == NULL || !fsctl_serve(work, request))
        work_refuse(work, STATUS_INVALID_DEVICE_REQUEST);
}

/* 3.3.5.15 */
void serve_ioctl(struct connection *connection, struct server_frame *frame) {
    const struct ioctl_request *request = &frame->request.message.body.ioctl_request;
    struct work *work;

    if (!frame->request.message.body_valid ||
        request->max_output_response > connection->server.policy->max_transact_size)
        connection_refuse(connection, frame, STATUS_INVALID_PARAMETER);
    else if (request->flags != IOCTL_IS_FSCTL)
        connection_refuse(connection, frame, STATUS_NOT_SUPPORTED);
    else if (!control_general(connection, frame) && (work = work_on_open(connection, frame, 0)) != NULL)
        control_file(work, request);
}
