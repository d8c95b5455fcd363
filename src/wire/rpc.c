#include "wire/rpc.h"

#include <string.h>

#define RPC_VERSION       5u
#define RPC_LITTLE_ENDIAN 0x10u /* integers little-endian, characters ASCII ([C706] 14.1) */
#define RPC_CONTEXTS_MAX  16u   /* presentation contexts that one bind may offer */
#define NDR_ALIGNMENT     4u
#define SHARE_HEAD_SIZE   12u /* octets of a SHARE_INFO_1: name, type, comment */
#define REFERENT          0x00020000u
#define FRAG_LENGTH_AT    8u

const struct rpc_syntax rpc_srvsvc = {
    {0xc8, 0x4f, 0x32, 0x4b, 0x70, 0x16, 0xd3, 0x01, 0x12, 0x78, 0x5a, 0x47, 0xbf, 0x6e, 0xe1, 0x88}, 3};
const struct rpc_syntax rpc_ndr = {
    {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10, 0x48, 0x60}, 2};

static void read_syntax(struct reader *reader, struct rpc_syntax *syntax) {
    struct span uuid = reader_take(reader, RPC_UUID_SIZE);

    if (uuid.size > 0)
        memcpy(syntax->uuid, uuid.data, RPC_UUID_SIZE);
    syntax->version = reader_u32(reader);
}

static void write_syntax(struct writer *writer, const struct rpc_syntax *syntax) {
    writer_put(writer, (struct span){syntax->uuid, RPC_UUID_SIZE});
    writer_u32(writer, syntax->version);
}

static void read_bind(struct reader *reader, struct rpc_pdu *pdu) {
    uint8_t syntaxes;

    pdu->max_transmit = reader_u16(reader);
    pdu->max_receive = reader_u16(reader);
    reader_skip(reader, 4); /* association group */
    pdu->context_count = reader_u8(reader);
    reader_skip(reader, 3);
    pdu->context_id = reader_u16(reader);
    syntaxes = reader_u8(reader);
    reader_skip(reader, 1);
    read_syntax(reader, &pdu->interface);
    read_syntax(reader, &pdu->transfer);
    reader->failed |= syntaxes == 0 || pdu->context_count == 0 || pdu->context_count > RPC_CONTEXTS_MAX;
}

static void write_bind(struct writer *writer, const struct rpc_pdu *pdu) {
    writer_u16(writer, pdu->max_transmit);
    writer_u16(writer, pdu->max_receive);
    writer_u32(writer, 0);
    writer_u8(writer, 1);
    writer_zero(writer, 3);
    writer_u16(writer, pdu->context_id);
    writer_u8(writer, 1);
    writer_zero(writer, 1);
    write_syntax(writer, &pdu->interface);
    write_syntax(writer, &pdu->transfer);
}

static void read_bind_ack(struct reader *reader, struct rpc_pdu *pdu) {
    pdu->max_transmit = reader_u16(reader);
    pdu->max_receive = reader_u16(reader);
    reader_skip(reader, 4);
    pdu->secondary_address = reader_take(reader, reader_u16(reader));
    reader_align(reader, NDR_ALIGNMENT);
    pdu->context_count = reader_u8(reader);
    reader_skip(reader, 3);
    pdu->result = reader_u16(reader);
    pdu->reason = reader_u16(reader);
    read_syntax(reader, &pdu->transfer);
    reader->failed |= pdu->context_count == 0;
}

/* As the association group any number but 0 will do: there is one association. */
static void write_bind_ack(struct writer *writer, const struct rpc_pdu *pdu, size_t start) {
    writer_u16(writer, pdu->max_transmit);
    writer_u16(writer, pdu->max_receive);
    writer_u32(writer, 1);
    writer_u16(writer, (uint16_t)pdu->secondary_address.size);
    writer_put(writer, pdu->secondary_address);
    while (!writer->failed && (writer->at - start) % NDR_ALIGNMENT != 0)
        writer_u8(writer, 0);
    writer_u8(writer, 1);
    writer_zero(writer, 3);
    writer_u16(writer, pdu->result);
    writer_u16(writer, pdu->reason);
    write_syntax(writer, &pdu->transfer);
}

static void read_call(struct reader *reader, struct rpc_pdu *pdu) {
    reader_skip(reader, 4); /* alloc_hint: only a hint */
    pdu->context_id = reader_u16(reader);
    if (pdu->type == RPC_REQUEST)
        pdu->opnum = reader_u16(reader);
    else
        reader_skip(reader, 2);
    if (pdu->type == RPC_FAULT)
        pdu->status = reader_u32(reader);
    else
        pdu->stub = reader_take(reader, reader_left(reader));
}

static void write_call(struct writer *writer, const struct rpc_pdu *pdu) {
    writer_u32(writer, (uint32_t)pdu->stub.size);
    writer_u16(writer, pdu->context_id);
    writer_u16(writer, pdu->type == RPC_REQUEST ? pdu->opnum : 0);
    if (pdu->type == RPC_FAULT)
        writer_u32(writer, pdu->status);
    if (pdu->type == RPC_FAULT)
        writer_u32(writer, 0);
    else
        writer_put(writer, pdu->stub);
}

static void read_body(struct reader *reader, struct rpc_pdu *pdu) {
    switch (pdu->type) {
    case RPC_BIND:
        read_bind(reader, pdu);
        break;
    case RPC_BIND_ACK:
        read_bind_ack(reader, pdu);
        break;
    case RPC_REQUEST:
    case RPC_RESPONSE:
    case RPC_FAULT:
        read_call(reader, pdu);
        break;
    default:
        break;
    }
}

bool rpc_pdu_decode(struct span octets, struct rpc_pdu *pdu, size_t *size) {
    struct reader header = reader_over(octets), body;
    uint16_t version, length, authentication;
    uint32_t representation;

    *pdu = (struct rpc_pdu){0};
    version = reader_u16(&header); /* major, minor */
    pdu->type = reader_u8(&header);
    pdu->flags = reader_u8(&header);
    representation = reader_u32(&header);
    length = reader_u16(&header);
    authentication = reader_u16(&header);
    pdu->call_id = reader_u32(&header);
    *size = length;
    if (header.failed || (version & 0xff) != RPC_VERSION || (representation & 0xff) != RPC_LITTLE_ENDIAN ||
        authentication != 0 || length < RPC_HEADER_SIZE || length > octets.size)
        return false;
    body = reader_over(span_slice(octets, 0, length));
    reader_skip(&body, RPC_HEADER_SIZE);
    read_body(&body, pdu);
    return !body.failed;
}

static void write_header(struct writer *writer, const struct rpc_pdu *pdu) {
    writer_u16(writer, RPC_VERSION);
    writer_u8(writer, pdu->type);
    writer_u8(writer, pdu->flags);
    writer_u32(writer, RPC_LITTLE_ENDIAN);
    writer_u32(writer, 0); /* frag_length is written at the end; auth_length */
    writer_u32(writer, pdu->call_id);
}

void rpc_pdu_encode(const struct rpc_pdu *pdu, struct writer *writer) {
    size_t start = writer->at;

    write_header(writer, pdu);
    if (pdu->type == RPC_BIND)
        write_bind(writer, pdu);
    else if (pdu->type == RPC_BIND_ACK)
        write_bind_ack(writer, pdu, start);
    else if (pdu->type == RPC_REQUEST || pdu->type == RPC_RESPONSE || pdu->type == RPC_FAULT)
        write_call(writer, pdu);
    writer->failed |= writer->at - start > UINT16_MAX;
    if (!writer->failed) {
        struct writer length = writer_over(writer->data + start + FRAG_LENGTH_AT, 2);

        writer_u16(&length, (uint16_t)(writer->at - start));
    }
}

/* A conformant and varying string ([C706] 14.3.4.2): maximum, offset, actual count, characters. A NUL at its end is
 * left out of what is returned. */
static struct span read_string(struct reader *reader) {
    uint32_t most, offset, count;
    struct span text;

    reader_align(reader, NDR_ALIGNMENT);
    most = reader_u32(reader);
    offset = reader_u32(reader);
    count = reader_u32(reader);
    reader->failed |= offset != 0 || count > most || count > reader_left(reader) / 2;
    if (reader->failed)
        return (struct span){0};
    text = reader_take(reader, 2 * (size_t)count);
    if (count > 0 && text.data[text.size - 1] == 0 && text.data[text.size - 2] == 0)
        text.size -= 2;
    return text;
}

static void write_string(struct writer *writer, struct span text) {
    uint32_t count = (uint32_t)(text.size / 2) + 1;

    writer_align(writer, NDR_ALIGNMENT);
    writer_u32(writer, count);
    writer_u32(writer, 0);
    writer_u32(writer, count);
    writer_put(writer, text);
    writer_u16(writer, 0);
}

bool share_enum_request_decode(struct span stub, struct share_enum_request *request) {
    struct reader reader = reader_over(stub);
    bool has_server, has_container;
    uint32_t chosen;

    *request = (struct share_enum_request){0};
    has_server = reader_u32(&reader) != 0;
    if (has_server)
        request->server = read_string(&reader);
    reader_align(&reader, NDR_ALIGNMENT);
    request->level = reader_u32(&reader);
    chosen = reader_u32(&reader);
    has_container = reader_u32(&reader) != 0;
    if (has_container)
        reader_skip(&reader, 4); /* EntriesRead */
    if (has_container && reader_u32(&reader) != 0)
        reader.failed = true; /* a client has no shares to tell */
    request->preferred_size = reader_u32(&reader);
    request->has_resume = reader_u32(&reader) != 0;
    if (request->has_resume)
        request->resume = reader_u32(&reader);
    return !reader.failed && chosen == request->level;
}

void share_enum_request_encode(const struct share_enum_request *request, struct writer *writer) {
    writer_u32(writer, request->server.size > 0 ? REFERENT : 0);
    if (request->server.size > 0)
        write_string(writer, request->server);
    writer_align(writer, NDR_ALIGNMENT);
    writer_u32(writer, request->level);
    writer_u32(writer, request->level);
    writer_u32(writer, REFERENT + 4);
    writer_u32(writer, 0);
    writer_u32(writer, 0);
    writer_u32(writer, request->preferred_size);
    writer_u32(writer, request->has_resume ? REFERENT + 8 : 0);
    if (request->has_resume)
        writer_u32(writer, request->resume);
}

/* The shares of a container, if there are any; the reader moves behind their strings. */
static struct share_cursor read_shares(struct reader *reader, uint32_t *count) {
    struct share_cursor cursor = {0}, probe;
    struct share_info share;
    bool has_array;

    *count = reader_u32(reader);
    has_array = reader_u32(reader) != 0;
    if (!has_array) {
        reader->failed |= *count != 0;
        return cursor;
    }
    reader->failed |= reader_u32(reader) != *count || *count > reader_left(reader) / SHARE_HEAD_SIZE;
    if (reader->failed)
        return cursor;
    cursor.heads = cursor.strings = *reader;
    reader_skip(&cursor.strings, (size_t)*count * SHARE_HEAD_SIZE);
    cursor.left = *count;
    for (probe = cursor; share_next(&probe, &share);)
        continue;
    reader->failed |= probe.malformed;
    reader->at = probe.strings.at;
    return cursor;
}

bool share_next(struct share_cursor *cursor, struct share_info *share) {
    bool has_name, has_comment;

    if (cursor->left == 0)
        return false;
    cursor->left--;
    *share = (struct share_info){0};
    has_name = reader_u32(&cursor->heads) != 0;
    share->kind = reader_u32(&cursor->heads);
    has_comment = reader_u32(&cursor->heads) != 0;
    if (has_name)
        share->name = read_string(&cursor->strings);
    if (has_comment)
        share->comment = read_string(&cursor->strings);
    cursor->malformed |= cursor->heads.failed || cursor->strings.failed;
    if (cursor->malformed)
        cursor->left = 0;
    return !cursor->malformed;
}

bool share_enum_response_decode(struct span stub, struct share_enum_response *response) {
    struct reader reader = reader_over(stub);

    *response = (struct share_enum_response){0};
    response->level = reader_u32(&reader);
    reader.failed |= reader_u32(&reader) != response->level || response->level != 1;
    if (reader_u32(&reader) != 0)
        response->shares = read_shares(&reader, &response->count);
    reader_align(&reader, NDR_ALIGNMENT);
    response->total = reader_u32(&reader);
    if (reader_u32(&reader) != 0)
        response->resume = reader_u32(&reader);
    response->status = reader_u32(&reader);
    return !reader.failed;
}

void share_enum_response_encode(const struct share_info *shares, uint32_t count, uint32_t status,
                                struct writer *writer) {
    writer_u32(writer, 1);
    writer_u32(writer, 1);
    writer_u32(writer, REFERENT);
    writer_u32(writer, count);
    writer_u32(writer, count > 0 ? REFERENT + 4 : 0);
    if (count > 0)
        writer_u32(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        writer_u32(writer, REFERENT + 8 + 8 * i);
        writer_u32(writer, shares[i].kind);
        writer_u32(writer, REFERENT + 12 + 8 * i);
    }
    for (uint32_t i = 0; i < count; i++) {
        write_string(writer, shares[i].name);
        write_string(writer, shares[i].comment);
    }
    writer_align(writer, NDR_ALIGNMENT);
    writer_u32(writer, count);
    writer_u32(writer, 0);
    writer_u32(writer, status);
}
