/* Frames as a correct client makes them, for the cases to spoil, and the answers to them. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "conform/trial.h"

#define PROTOCOL_ID     0x424d53feu
#define CREDITS_ASKED   64u
#define CREDIT_OCTETS   65536u
#define IOCTL_INPUT_AT  120u
#define TREE_PATH_AT    72u
#define TOKEN_AT        88u
#define FILES_ACCESS    (FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | ACCESS_DELETE)
/* Frames that are read while answers are awaited, interim ones included. */
#define FRAMES_MAX 600u

void put_u16(uint8_t *message, size_t at, uint16_t value) {
    struct writer writer = writer_over(message + at, 2);

    writer_u16(&writer, value);
}

void put_u32(uint8_t *message, size_t at, uint32_t value) {
    struct writer writer = writer_over(message + at, 4);

    writer_u32(&writer, value);
}

void put_u64(uint8_t *message, size_t at, uint64_t value) {
    struct writer writer = writer_over(message + at, 8);

    writer_u64(&writer, value);
}

static uint32_t get_u32(struct span message, size_t at) {
    struct reader reader = reader_over(span_slice(message, at, 4));

    return reader_u32(&reader);
}

void add_flags(uint8_t *message, uint32_t flags) {
    put_u32(message, AT_FLAGS, get_u32((struct span){message, SMB2_HEADER_SIZE}, AT_FLAGS) | flags);
}

void batch_begin(struct batch *batch, struct line *line) {
    batch->line = line;
    batch->count = 0;
    batch->writer = writer_over(batch->octets, sizeof batch->octets);
}

uint8_t *batch_add(struct batch *batch, uint16_t command, struct span body) {
    struct line *line = batch->line;
    uint8_t *message = batch->octets + batch->writer.at;
    const struct smb2_header header = {
        .protocol_id = PROTOCOL_ID,
        .structure_size = SMB2_HEADER_SIZE,
        .credit_charge = line->negotiation.agreed.multi_credit ? 1 : 0,
        .command = command,
        .credits = CREDITS_ASKED,
        .message_id = line->next_message_id,
        .process_id = 0xfeff,
        .tree_id = command == SMB2_TREE_CONNECT || command == SMB2_ECHO || command == SMB2_LOGOFF ? 0 : line->tree_id,
        .session_id = line->session_id,
    };

    assert(batch->count < BATCH_ELEMENTS_MAX);
    batch->starts[batch->count] = batch->writer.at;
    batch->ids[batch->count++] = line->next_message_id++;
    smb2_header_encode(&header, &batch->writer);
    writer_put(&batch->writer, body);
    assert(!batch->writer.failed);
    return message;
}

/* The element of that number, to the start of the next one. */
static struct span element_at(const struct batch *batch, unsigned i) {
    size_t end = i + 1 < batch->count ? batch->starts[i + 1] : batch->writer.at;

    return (struct span){batch->octets + batch->starts[i], end - batch->starts[i]};
}

/* Elements follow each other without a gap until here, since each was added behind the one before. */
void batch_chain(struct batch *batch, bool related) {
    uint8_t *copy = batch->scratch;
    size_t at = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        struct span element = element_at(batch, i); /* looks at the next one's start, which is still the old one */
        size_t padded = i + 1 < batch->count ? (element.size + 7) / 8 * 8 : element.size;

        assert(at + padded <= sizeof batch->scratch);
        memset(copy + at, 0, padded);
        memcpy(copy + at, element.data, element.size);
        put_u32(copy + at, AT_NEXT_COMMAND, i + 1 < batch->count ? (uint32_t)padded : 0);
        if (related && i > 0)
            add_flags(copy + at, SMB2_FLAGS_RELATED_OPERATIONS);
        batch->starts[i] = at;
        at += padded;
    }
    memcpy(batch->octets, copy, at);
    batch->writer.at = at;
}

/* ---- requests ---- */

/* Where a body's encoder writes: behind the room of a header, from which its offsets count. */
static struct writer body_writer(struct batch *batch) {
    struct writer writer = writer_over(batch->scratch, sizeof batch->scratch);

    writer_zero(&writer, SMB2_HEADER_SIZE);
    return writer;
}

static uint8_t *add_written(struct batch *batch, uint16_t command, const struct writer *writer) {
    return batch_add(batch, command, span_slice(writer_done(writer), SMB2_HEADER_SIZE, SIZE_MAX));
}

uint8_t *add_plain(struct batch *batch, uint16_t command) {
    static const uint8_t body[] = {4, 0, 0, 0};

    return batch_add(batch, command, (struct span){body, sizeof body});
}

static void write_path(const struct line *line, const char *share, struct writer *writer) {
    const char *parts[] = {"\\\\", line->target->host, "\\", share};

    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        text_to_utf16(text_span(parts[i]), writer);
}

uint8_t *add_tree_connect(struct batch *batch, const char *share, uint16_t flags) {
    uint8_t path[LINE_PATH_MAX];
    struct writer writer = body_writer(batch), path_writer = writer_over(path, sizeof path);

    write_path(batch->line, share, &path_writer);
    writer_u16(&writer, 9);
    writer_u16(&writer, flags);
    writer_u16(&writer, TREE_PATH_AT);
    writer_u16(&writer, (uint16_t)path_writer.at);
    writer_put(&writer, writer_done(&path_writer));
    return add_written(batch, SMB2_TREE_CONNECT, &writer);
}

uint8_t *add_token(struct batch *batch, struct span token) {
    struct writer writer = body_writer(batch);

    writer_u16(&writer, 25);
    writer_u8(&writer, batch->line->setup_flags);
    writer_u8(&writer, (uint8_t)client_security_mode(&batch->line->policy));
    writer_u32(&writer, SMB2_GLOBAL_CAP_DFS);
    writer_u32(&writer, 0);
    writer_u16(&writer, TOKEN_AT);
    writer_u16(&writer, (uint16_t)token.size);
    writer_u64(&writer, batch->line->previous_session_id);
    writer_put(&writer, token);
    return add_written(batch, SMB2_SESSION_SETUP, &writer);
}

uint8_t *add_create(struct batch *batch, const char *name, uint32_t disposition) {
    const uint8_t *guid = batch->line->policy.guid;
    char whole[64];
    uint8_t wide[2 * sizeof whole];
    struct writer writer = body_writer(batch), name_writer = writer_over(wide, sizeof wide);
    struct create_request request = {
        .impersonation_level = IMPERSONATION_LEVEL_IMPERSONATION,
        .desired_access = FILES_ACCESS,
        .file_attributes = FILE_ATTRIBUTE_NORMAL,
        .share_access = FILE_SHARE_ALL,
        .create_disposition = disposition,
        .create_options = FILE_NON_DIRECTORY_FILE | FILE_DELETE_ON_CLOSE,
    };

    snprintf(whole, sizeof whole, "%s-%02x%02x%02x%02x", name, guid[12], guid[13], guid[14], guid[15]);
    text_to_utf16(text_span(whole), &name_writer);
    request.name = writer_done(&name_writer);
    create_request_place(&request);
    create_request_encode(&request, &writer);
    return add_written(batch, SMB2_CREATE, &writer);
}

static void set_file_id(uint8_t place[FILE_ID_SIZE], const uint8_t *file_id) {
    if (file_id != NULL)
        memcpy(place, file_id, FILE_ID_SIZE);
    else
        memset(place, 0xff, FILE_ID_SIZE);
}

uint8_t *add_close(struct batch *batch, const uint8_t *file_id) {
    struct writer writer = body_writer(batch);
    struct close_request request = {.flags = 0};

    set_file_id(request.file_id, file_id);
    close_request_place(&request);
    close_request_encode(&request, &writer);
    return add_written(batch, SMB2_CLOSE, &writer);
}

uint8_t *add_flush(struct batch *batch, const uint8_t *file_id) {
    struct writer writer = body_writer(batch);
    struct flush_request request = {.reserved1 = 0};

    set_file_id(request.file_id, file_id);
    flush_request_place(&request);
    flush_request_encode(&request, &writer);
    return add_written(batch, SMB2_FLUSH, &writer);
}

/* A request that is charged by its payload takes that many MessageIds (3.1.5.2). */
static void charge(struct batch *batch, uint8_t *message, size_t payload) {
    uint16_t cost = payload == 0 ? 1 : (uint16_t)((payload - 1) / CREDIT_OCTETS + 1);

    if (!batch->line->negotiation.agreed.multi_credit)
        return;
    put_u16(message, AT_CREDIT_CHARGE, cost);
    batch->line->next_message_id += cost - 1u;
}

uint8_t *add_read(struct batch *batch, const uint8_t *file_id, uint32_t length) {
    struct writer writer = body_writer(batch);
    struct read_request request = {.length = length};
    uint8_t *message;

    set_file_id(request.file_id, file_id);
    read_request_place(&request);
    read_request_encode(&request, &writer);
    message = add_written(batch, SMB2_READ, &writer);
    charge(batch, message, length);
    return message;
}

uint8_t *add_write(struct batch *batch, const uint8_t *file_id, struct span data) {
    struct writer writer = body_writer(batch);
    struct write_request request = {.data = data};
    uint8_t *message;

    set_file_id(request.file_id, file_id);
    write_request_place(&request);
    write_request_encode(&request, &writer);
    message = add_written(batch, SMB2_WRITE, &writer);
    charge(batch, message, data.size);
    return message;
}

uint8_t *add_validation(struct batch *batch) {
    struct writer writer = body_writer(batch);
    struct line_claim claim;

    line_claim(batch->line, &claim);
    writer_u16(&writer, 57);
    writer_u16(&writer, 0);
    writer_u32(&writer, FSCTL_VALIDATE_NEGOTIATE_INFO);
    writer_u64(&writer, UINT64_MAX);
    writer_u64(&writer, UINT64_MAX);
    writer_u32(&writer, IOCTL_INPUT_AT);
    writer_u32(&writer, (uint32_t)(VALIDATE_RESPONSE_SIZE + claim.info.request.dialects.size));
    writer_u32(&writer, 0);
    writer_u32(&writer, IOCTL_INPUT_AT);
    writer_u32(&writer, 0);
    writer_u32(&writer, VALIDATE_RESPONSE_SIZE);
    writer_u32(&writer, 1);
    writer_u32(&writer, 0);
    validate_request_encode(&claim.info.request, &writer);
    return add_written(batch, SMB2_IOCTL, &writer);
}

/* ---- out ---- */

static bool sign_all(struct batch *batch, bool badly) {
    for (unsigned i = 0; i < batch->count; i++) {
        struct span element = element_at(batch, i);
        uint8_t *message = batch->octets + batch->starts[i];

        if (!element_sign(batch->line->mac, message, element.size))
            return false;
        message[48] ^= badly;
    }
    return true;
}

static int send_sealed(struct batch *batch) {
    struct line *line = batch->line;

    if (line->seal == NULL || !sealer_seal(&line->sealer, writer_done(&batch->writer), batch->scratch,
                                           sizeof batch->scratch))
        return -EIO;
    return line_send(line, (struct span){batch->scratch, batch->writer.at + TRANSFORM_HEADER_SIZE});
}

int batch_send(struct batch *batch, enum line_protection protection) {
    struct line *line = batch->line;

    if (protection == LINE_SIGNED && line->encrypts)
        protection = LINE_ENCRYPTED;
    if (protection == LINE_ENCRYPTED)
        return send_sealed(batch);
    if (protection != LINE_PLAIN && (line->mac == NULL || !sign_all(batch, protection == LINE_BADLY_SIGNED)))
        return -EIO;
    return line_send(line, writer_done(&batch->writer));
}

/* ---- in ---- */

struct line_reply reply_of(int error) {
    enum line_answer answer = error == -ECONNRESET || error == -EPIPE ? LINE_RESET
                              : error == -ETIMEDOUT                   ? LINE_SILENT
                                                                      : LINE_FAILED;

    return (struct line_reply){.answer = answer, .error = error, .signature = SIGNATURE_MISSING};
}

struct line_reply batch_exchange(struct batch *batch, enum line_protection protection) {
    int error = batch_send(batch, protection);

    if (error < 0)
        return reply_of(error);
    for (unsigned i = 0; i < LINE_STRAYS_MAX; i++) {
        struct line_reply reply = line_receive(batch->line);

        if (reply.answer != LINE_ANSWERED || reply.status != STATUS_PENDING)
            return reply;
    }
    return (struct line_reply){.answer = LINE_NOISE, .signature = SIGNATURE_MISSING};
}

/* What is kept of one response. */
static void keep(struct batch_answer *answer, const struct line_reply *frame, const struct message *message,
                 struct mac_key *mac) {
    struct create_response create;
    struct read_response read;
    struct write_response write;

    answer->reply = *frame;
    answer->reply.message = *message;
    answer->reply.status = message->header.status;
    if (mac != NULL && !frame->decrypted)
        answer->reply.signature = element_check(mac, message->bytes);
    answer->flagged_related = (message->header.flags & SMB2_FLAGS_RELATED_OPERATIONS) != 0;
    answer->credits = message->header.credits;
    if (answer->reply.status != STATUS_SUCCESS)
        return;
    if (message->header.command == SMB2_CREATE && create_response_decode(message->bytes, &create))
        memcpy(answer->file_id, create.file_id, sizeof answer->file_id);
    if (message->header.command == SMB2_READ && read_response_decode(message->bytes, &read))
        answer->count = read.data_length;
    if (message->header.command == SMB2_WRITE && write_response_decode(message->bytes, &write))
        answer->count = write.count;
}

/* The answers that one frame has; how many. */
static unsigned take_frame(struct batch *batch, const struct line_reply *frame, unsigned number,
                           struct batch_answer *answers) {
    struct chain_cursor cursor = chain_cursor(frame->content, frame->content.size);
    struct message message;
    unsigned taken = 0;

    while (chain_next(&cursor, &message)) {
        if (!message_is_smb2(&message) || message.header.status == STATUS_PENDING)
            continue;
        for (unsigned i = 0; i < batch->count; i++) {
            if (batch->ids[i] != message.header.message_id || answers[i].reply.answer == LINE_ANSWERED)
                continue;
            keep(&answers[i], frame, &message, batch->line->mac);
            answers[i].frame = number;
            answers[i].aligned = (size_t)(message.bytes.data - frame->content.data) % 8 == 0;
            taken++;
            break;
        }
    }
    return taken;
}

void batch_collect(struct batch *batch, struct batch_answer *answers) {
    struct line_reply frame = {.answer = LINE_SILENT, .signature = SIGNATURE_MISSING};
    unsigned taken = 0;

    for (unsigned i = 0; i < batch->count; i++)
        answers[i] = (struct batch_answer){.reply = frame};
    for (unsigned number = 0; number < FRAMES_MAX && taken < batch->count; number++) {
        frame = line_receive(batch->line);
        if (frame.answer != LINE_ANSWERED)
            break;
        taken += take_frame(batch, &frame, number, answers);
    }
    for (unsigned i = 0; i < batch->count; i++)
        if (answers[i].reply.answer != LINE_ANSWERED && frame.answer != LINE_ANSWERED)
            answers[i].reply = frame;
}

void batch_run(struct batch *batch, enum line_protection protection, struct batch_answer *answers) {
    int error = batch_send(batch, protection);

    if (error == 0) {
        batch_collect(batch, answers);
        return;
    }
    for (unsigned i = 0; i < batch->count; i++)
        answers[i] = (struct batch_answer){.reply = reply_of(error)};
}
