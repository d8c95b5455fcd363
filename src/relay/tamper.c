/* What alterations do to a message. */
#include "relay/tamper.h"

#include <stdio.h>
#include <string.h>

#include "relay/rebuild.h"

/* FNV-1a, to see whether octets changed. */
static uint64_t octets_sum(struct span octets) {
    uint64_t sum = 0xcbf29ce484222325u;

    for (size_t i = 0; i < octets.size; i++)
        sum = (sum ^ octets.data[i]) * 0x100000001b3u;
    return sum;
}

/* Offsets from the protocol id. */
enum { AT_STATUS = 8, AT_FLAGS = 16, AT_NEXT_COMMAND = 20, AT_SIGNATURE = 48, AT_SMB1_DIALECTS = 35 };

#define SIGNATURE_SIZE       16u
#define GARBAGE              0x5au
#define ERROR_STRUCTURE_SIZE 9u /* 2.2.2 */
#define ERROR_SIZE           (SMB2_HEADER_SIZE + 9u)

/* ---- which messages ---- */

bool tamper_is_validation(const struct tamper_message *message) {
    const struct message *decoded = message->message;

    if (!message_is_smb2(decoded) || decoded->header.command != SMB2_IOCTL)
        return false;
    if (message_is_response(decoded))
        return message->request->known && message->request->control_code == FSCTL_VALIDATE_NEGOTIATE_INFO;
    return decoded->kind == MESSAGE_IOCTL_REQUEST &&
           decoded->body.ioctl_request.ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO;
}

static bool is_smb1(const struct message *message) {
    return message->kind >= MESSAGE_SMB1_NEGOTIATE_REQUEST && message->kind <= MESSAGE_SMB1_OTHER;
}

static bool fits_target(const struct tamper *tamper, const struct tamper_message *message) {
    switch (tamper->target) {
    case TARGET_COMMAND:
        return message_is_smb2(message->message) && message->message->header.command == tamper->command;
    case TARGET_VALIDATE:
        return tamper_is_validation(message);
    case TARGET_SMB1:
        return is_smb1(message->message);
    case TARGET_ENCRYPTED:
        return message->message->kind == MESSAGE_TRANSFORM;
    default:
        return true;
    }
}

static bool fits_which(const struct tamper *tamper, const struct message *message) {
    switch (tamper->which) {
    case WHICH_FINAL:
        return message->header.status == STATUS_SUCCESS;
    case WHICH_WILDCARD:
        return message->kind == MESSAGE_NEGOTIATE_RESPONSE &&
               message->body.negotiate_response.dialect_revision == SMB2_DIALECT_WILDCARD;
    default:
        return true;
    }
}

bool tamper_fits(const struct tamper *tamper, const struct tamper_message *message) {
    enum tamper_way way = message->from == FROM_CLIENT ? WAY_REQUEST : WAY_RESPONSE;

    return (tamper->way == WAY_BOTH || tamper->way == way) && fits_target(tamper, message) &&
           fits_which(tamper, message->message);
}

/* ---- numbers and octets ---- */

/* Where the described part begins, from the protocol id; SIZE_MAX where the message has it not. */
static size_t part_start(const struct tamper *tamper, const struct message *message) {
    const struct ioctl_request *request = &message->body.ioctl_request;
    const struct ioctl_response *response = &message->body.ioctl_response;
    bool is_error = message->kind == MESSAGE_ERROR;

    if (tamper->part == PART_HEADER)
        return 0;
    if (tamper->part == PART_BODY)
        return is_error || !message_is_smb2(message) ? SIZE_MAX : SMB2_HEADER_SIZE;
    if (message->kind == MESSAGE_IOCTL_REQUEST && request->input.size > 0)
        return request->input_offset;
    if (message->kind == MESSAGE_IOCTL_RESPONSE && response->output.size > 0)
        return response->output_offset;
    return SIZE_MAX;
}

static uint64_t operated(const struct tamper *tamper, uint64_t old) {
    unsigned width = tamper->field->width;
    uint64_t mask = width >= 8 ? UINT64_MAX : (1ull << (8 * width)) - 1;

    switch (tamper->verb) {
    case VERB_OR:
        return (old | tamper->value) & mask;
    case VERB_AND:
        return old & tamper->value & mask;
    case VERB_XOR:
        return (old ^ tamper->value) & mask;
    default:
        return tamper->value & mask;
    }
}

static void change_number(const struct tamper *tamper, uint8_t *part, size_t size, struct tamper_result *result) {
    uint64_t old, changed;

    if (!fields_get(tamper->field, (struct span){part, size}, &old))
        return;
    changed = operated(tamper, old);
    fields_set(tamper->field, part, size, changed);
    if (result->detail[0] == '\0' && changed != old)
        snprintf(result->detail, sizeof result->detail, "%s 0x%llx -> 0x%llx", tamper->field->name,
                 (unsigned long long)old, (unsigned long long)changed);
}

static void change_octets(const struct tamper *tamper, uint8_t *part, size_t size) {
    const struct field *field = tamper->field;

    if ((size_t)field->wire_offset + field->width > size)
        return;
    if (tamper->verb == VERB_XOR)
        part[field->wire_offset] ^= (uint8_t)tamper->value;
    else
        memcpy(part + field->wire_offset, tamper->octets, field->width);
}

static void change_field(const struct tamper *tamper, const struct message *message, struct tamper_buffer *buffer,
                         struct tamper_result *result) {
    size_t start = part_start(tamper, message);

    if (start >= buffer->size)
        return;
    if (tamper->field->kind == FIELD_KIND_OCTETS)
        change_octets(tamper, buffer->data + start, buffer->size - start);
    else
        change_number(tamper, buffer->data + start, buffer->size - start, result);
}

/* The string's letters become a name that nobody knows; its place in the list stays, which the answer counts by. */
static void take_smb1_dialect(const struct tamper *tamper, struct tamper_buffer *buffer) {
    size_t size = strlen(tamper->dialect_text);

    for (size_t at = AT_SMB1_DIALECTS; at + size + 1 < buffer->size; at++)
        if (buffer->data[at] == 0x02 && memcmp(buffer->data + at + 1, tamper->dialect_text, size) == 0 &&
            buffer->data[at + 1 + size] == 0)
            memset(buffer->data + at + 1, '9', size);
}

/* ---- whole messages ---- */

static void strip_signature(struct tamper_buffer *buffer) {
    if (buffer->size < SMB2_HEADER_SIZE)
        return;
    buffer->data[AT_FLAGS] &= (uint8_t)~SMB2_FLAGS_SIGNED;
    memset(buffer->data + AT_SIGNATURE, 0, SIGNATURE_SIZE);
}

static void put_u32(uint8_t *at, uint32_t value) {
    struct writer writer = writer_over(at, sizeof value);

    writer_u32(&writer, value);
}

/* An unsigned error response (2.2.2) to the request, or of the response, whose header is in `data`. */
static void make_error(uint8_t *data, uint32_t status) {
    put_u32(data + AT_STATUS, status);
    data[AT_FLAGS] = (uint8_t)((data[AT_FLAGS] & ~SMB2_FLAGS_SIGNED) | SMB2_FLAGS_SERVER_TO_REDIR);
    put_u32(data + AT_NEXT_COMMAND, 0);
    memset(data + AT_SIGNATURE, 0, SIGNATURE_SIZE);
    memset(data + SMB2_HEADER_SIZE, 0, ERROR_SIZE - SMB2_HEADER_SIZE);
    data[SMB2_HEADER_SIZE] = ERROR_STRUCTURE_SIZE;
}

static void replace_by_error(const struct tamper *tamper, struct tamper_buffer *buffer) {
    if (buffer->fixed || buffer->size < SMB2_HEADER_SIZE || buffer->room < ERROR_SIZE)
        return;
    make_error(buffer->data, (uint32_t)tamper->value);
    buffer->size = ERROR_SIZE;
    if (tamper->verb == VERB_GARBAGE) {
        buffer->data[AT_FLAGS] |= SMB2_FLAGS_SIGNED;
        memset(buffer->data + AT_SIGNATURE, GARBAGE, SIGNATURE_SIZE);
    }
}

static void answer_request(const struct tamper *tamper, const struct tamper_buffer *buffer,
                           struct tamper_result *result) {
    _Static_assert(sizeof result->answer >= ERROR_SIZE, "an error response fits");
    if (buffer->fixed || buffer->size < SMB2_HEADER_SIZE)
        return;
    memcpy(result->answer, buffer->data, SMB2_HEADER_SIZE);
    make_error(result->answer, (uint32_t)tamper->value);
    result->answer_size = ERROR_SIZE;
    result->fate = FATE_DROP;
}

static void truncate_message(const struct tamper *tamper, struct tamper_buffer *buffer) {
    if (!buffer->fixed && tamper->value < buffer->size)
        buffer->size = (size_t)tamper->value;
}

/* ---- */

static void apply_one(const struct tamper *tamper, const struct tamper_message *message, struct tamper_buffer *buffer,
                      struct tamper_result *result) {
    bool smb2 = message_is_smb2(message->message);

    switch (tamper->verb) {
    case VERB_DROP:
        result->fate = FATE_DROP;
        break;
    case VERB_RESET:
        result->fate = FATE_RESET;
        break;
    case VERB_STRIP_SIGNATURE:
        if (smb2)
            strip_signature(buffer);
        break;
    case VERB_STATUS:
    case VERB_GARBAGE:
        if (smb2)
            replace_by_error(tamper, buffer);
        break;
    case VERB_ANSWER:
        if (smb2)
            answer_request(tamper, buffer, result);
        break;
    case VERB_TRUNCATE:
        truncate_message(tamper, buffer);
        break;
    case VERB_DELAY:
        result->delay_ms += (uint32_t)tamper->value;
        break;
    case VERB_SPLIT:
        result->split_size = (uint32_t)tamper->value;
        break;
    case VERB_COALESCE:
        result->coalesce_ms = (uint32_t)tamper->value;
        break;
    case VERB_OCTET:
        if (tamper->offset < buffer->size)
            buffer->data[tamper->offset] = (uint8_t)tamper->value;
        break;
    default:
        if (tamper->field != NULL)
            change_field(tamper, message->message, buffer, result);
        else if (tamper->target == TARGET_SMB1)
            take_smb1_dialect(tamper, buffer);
        else
            rebuild_lists(tamper, message->message, buffer);
        break;
    }
}

static bool is_timing(enum tamper_verb verb) {
    return verb == VERB_DELAY || verb == VERB_SPLIT || verb == VERB_COALESCE;
}

/* As apply_one(), and says whether it changed something. `before` is room for the octets as they were. */
static void apply_and_note(const struct tamper *tamper, uint64_t bit, const struct tamper_message *message,
                           struct tamper_buffer *buffer, struct tamper_result *result) {
    struct span before = {buffer->data, buffer->size};
    uint64_t sum = octets_sum(before);
    enum fate fate = result->fate;

    apply_one(tamper, message, buffer, result);
    if (result->fate != fate || buffer->size != before.size ||
        octets_sum((struct span){buffer->data, buffer->size}) != sum)
        result->changed |= bit;
    if ((result->changed & bit) != 0 || is_timing(tamper->verb))
        result->applied |= bit;
}

void tamper_apply(const struct tamper *tampers, unsigned count, const struct tamper_message *message,
                  struct tamper_buffer *buffer, struct tamper_result *result) {
    struct tamper_message now = *message;
    struct message decoded;

    *result = (struct tamper_result){.fate = FATE_PASS};
    for (unsigned i = 0; i < count && i < TAMPERS_MAX && result->fate == FATE_PASS; i++) {
        message_decode((struct span){buffer->data, buffer->size}, buffer->size, &decoded);
        now.message = &decoded;
        if (tamper_fits(&tampers[i], &now))
            apply_and_note(&tampers[i], 1ull << i, &now, buffer, result);
    }
}
