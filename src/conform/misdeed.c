/* Misdeeds: an answer of the server's, altered before or behind its protection. */
#include <string.h>

#include "conform/client.h"

bool misdeed_plan(const struct misdeed *misdeed, struct misdeed_plan *plan, char complaint[TAMPER_COMPLAINT_MAX]) {
    const char *list = misdeed->tampers != NULL ? misdeed->tampers : "";
    char text[TAMPER_TEXT_MAX];

    *plan = (struct misdeed_plan){.misdeed = misdeed};
    while (tamper_next(&list, text)) {
        if (plan->count == MISDEED_TAMPERS_MAX) {
            snprintf(complaint, TAMPER_COMPLAINT_MAX, "too many alterations");
            return false;
        }
        if (!tamper_parse(text, &plan->tampers[plan->count++], complaint))
            return false;
    }
    return true;
}

/* ---- the answer ---- */

static uint8_t *message_of(struct misdeed_answer *answer) {
    return answer->octets + TRANSFORM_HEADER_SIZE;
}

bool misdeed_take(struct misdeed_answer *answer, const struct misdeed_keys *keys, struct span frame) {
    struct transform transform;
    size_t size = frame.size;

    answer->frame = frame;
    answer->is_sealed = frame.size > 0 && frame.data[0] == 0xfd;
    if (frame.size > MISDEED_MESSAGE_MAX)
        return false;
    if (!answer->is_sealed) {
        memcpy(message_of(answer), frame.data, size);
    } else {
        if (keys->open == NULL || transform_read(frame, &transform) != TRANSFORM_GOOD ||
            transform_open(keys->open, transform.session_id, frame, message_of(answer)) != TRANSFORM_GOOD)
            return false;
        size -= TRANSFORM_HEADER_SIZE;
    }
    answer->message = (struct span){message_of(answer), size};
    return true;
}

/* ---- its elements ---- */

static bool signs(const struct misdeed *misdeed) {
    return misdeed->finish == FINISH_SIGNED || misdeed->finish == FINISH_CLEAR_SIGNED;
}

static bool is_clear(const struct misdeed *misdeed) {
    return misdeed->finish == FINISH_CLEAR || misdeed->finish == FINISH_CLEAR_SIGNED;
}

/* The answer to an SMB1 NEGOTIATE only leads to the one that counts. */
static bool is_wildcard(const struct message *message) {
    return message->kind == MESSAGE_NEGOTIATE_RESPONSE &&
           message->body.negotiate_response.dialect_revision == SMB2_DIALECT_WILDCARD;
}

/* One element. True: it was altered; its new size is the buffer's, 0 where nothing is to be sent. */
static bool alter_element(const struct misdeed_plan *plan, uint64_t validation, struct tamper_buffer *buffer) {
    struct message message;
    struct tamper_message meant = {.from = FROM_SERVER, .message = &message};
    struct request_note note = {.known = true};
    struct tamper_result result;

    message_decode((struct span){buffer->data, buffer->size}, buffer->size, &message);
    if (is_wildcard(&message))
        return false;
    note.command = message.header.command;
    note.control_code = message.header.message_id == validation ? FSCTL_VALIDATE_NEGOTIATE_INFO : 0;
    meant.request = &note;
    tamper_apply(plan->tampers, plan->count, &meant, buffer, &result);
    if (result.fate != FATE_PASS)
        buffer->size = 0;
    return result.changed != 0;
}

/* Octets of the element at `at`, and whether it is the only one. */
static size_t element_size(struct span message, size_t at) {
    struct smb2_header header;
    struct span rest = span_slice(message, at, message.size);

    if (!smb2_header_decode(rest, &header) || header.next_command == 0 || header.next_command > rest.size)
        return rest.size;
    return header.next_command;
}

static bool alter_elements(const struct misdeed_plan *plan, const struct misdeed_keys *keys, uint64_t validation,
                           struct misdeed_answer *answer) {
    size_t size = answer->message.size;
    bool altered = false, again = signs(plan->misdeed) && !(answer->is_sealed && !is_clear(plan->misdeed));

    for (size_t at = 0, one; at < size; at += one) {
        bool is_only = at == 0 && (one = element_size(answer->message, at)) == size;
        struct tamper_buffer buffer = {.data = message_of(answer) + at, .fixed = !is_only};
        bool changed;

        one = element_size(answer->message, at);
        buffer.size = one;
        buffer.room = is_only ? one + TAMPER_GROWTH_MAX : one;
        changed = alter_element(plan, validation, &buffer);
        altered |= changed;
        if (is_only)
            answer->message.size = buffer.size;
        if (buffer.size > 0 && (changed || plan->count == 0) && again && keys->mac != NULL)
            element_sign(keys->mac, buffer.data, buffer.size);
    }
    return altered;
}

/* ---- what goes around them ---- */

/* Seals the message again, in place. */
static bool seal_again(const struct misdeed *misdeed, const struct misdeed_keys *keys, struct misdeed_answer *answer,
                       struct span *instead) {
    struct sealer foreign = *keys->sealer;
    bool good;

    foreign.session_id ^= 1;
    good = sealer_seal(misdeed->finish == FINISH_FOREIGN ? &foreign : keys->sealer, answer->message, answer->octets,
                       sizeof answer->octets);
    keys->sealer->next_nonce = misdeed->finish == FINISH_FOREIGN ? foreign.next_nonce : keys->sealer->next_nonce;
    *instead = (struct span){answer->octets, answer->message.size + TRANSFORM_HEADER_SIZE};
    return good;
}

/* Alters the transform header, which nothing can make right again. */
static bool alter_outside(const struct misdeed_plan *plan, struct misdeed_answer *answer, struct span *instead) {
    struct tamper_buffer buffer = {answer->octets, answer->frame.size, sizeof answer->octets, false};

    memcpy(answer->octets, answer->frame.data, answer->frame.size);
    if (!alter_element(plan, UINT64_MAX, &buffer))
        return false;
    *instead = (struct span){answer->octets, buffer.size};
    return true;
}

static bool commit_sealed(const struct misdeed_plan *plan, const struct misdeed_keys *keys, bool altered,
                          struct misdeed_answer *answer, struct span *instead) {
    enum misdeed_finish finish = plan->misdeed->finish;

    if (is_clear(plan->misdeed)) {
        *instead = answer->message;
        return true;
    }
    if (altered || finish == FINISH_FOREIGN)
        return keys->sealer != NULL && seal_again(plan->misdeed, keys, answer, instead);
    return alter_outside(plan, answer, instead);
}

/* What a client encrypts by its own choice has no signatures that could be wrong. */
static bool is_about_signing(const struct misdeed *misdeed) {
    return misdeed->setting != SETTING_ENCRYPTED && misdeed->finish == FINISH_AS_IT_IS;
}

bool misdeed_commit(const struct misdeed_plan *plan, const struct misdeed_keys *keys, uint64_t validation,
                    struct misdeed_answer *answer, struct span *instead) {
    bool altered;

    if (plan->misdeed->judge == JUDGE_WORKS || plan->misdeed->judge == JUDGE_VALIDATES)
        return false;
    if (answer->is_sealed && is_about_signing(plan->misdeed))
        return false;
    altered = alter_elements(plan, keys, validation, answer);
    *instead = answer->message;
    if (altered && answer->message.size == 0)
        return true;
    return answer->is_sealed ? commit_sealed(plan, keys, altered, answer, instead) : altered;
}
