#include "auth/ntlm.h"

#include <string.h>

#define FIELDS_AT     12u /* where the first field behind signature and type stands */
#define FIELD_SIZE    8u
#define CHALLENGE_MIN 48u /* without Version: up to and with TargetInfo */
#define PAYLOAD_MIN   64u /* of AUTHENTICATE: some clients have neither Version nor MIC */
#define TEMP_AV_AT    28u /* AV pairs in NTLMv2_CLIENT_CHALLENGE */
#define V2_MIN        48u /* proof, the fixed part, and MsvAvEOL */

enum ntlm_type { NTLM_NEGOTIATE = 1, NTLM_CHALLENGE = 2, NTLM_AUTHENTICATE = 3 };

static const uint8_t ntlm_signature[8] = "NTLMSSP";

bool ntlm_is_message(struct span token) {
    return token.size >= sizeof ntlm_signature &&
           memcmp(token.data, ntlm_signature, sizeof ntlm_signature) == 0;
}

static bool is_type(struct span message, enum ntlm_type type) {
    struct reader reader = reader_over(span_slice(message, sizeof ntlm_signature, 4));

    return ntlm_is_message(message) && message.size <= NTLM_MESSAGE_MAX &&
           reader_u32(&reader) == type;
}

bool ntlm_negotiate_decode(struct span message, uint32_t *flags) {
    struct reader reader = reader_over(message);

    reader_seek(&reader, FIELDS_AT);
    *flags = reader_u32(&reader);
    return is_type(message, NTLM_NEGOTIATE) && !reader.failed;
}

/* What the next {length, maximum, offset} points to, at `floor` or behind it. */
static struct span take_field(struct reader *reader, size_t floor) {
    uint16_t size = reader_u16(reader);
    uint32_t offset;
    struct span value;

    reader_skip(reader, 2);
    offset = reader_u32(reader);
    if (size == 0)
        return (struct span){0};
    value = span_slice(reader->bytes, offset, size);
    if (value.size != size || offset < floor)
        reader->failed = true;
    return value;
}

bool ntlm_challenge_decode(struct span message, struct ntlm_challenge *challenge) {
    struct reader reader = reader_over(message);

    reader_seek(&reader, FIELDS_AT);
    take_field(&reader, CHALLENGE_MIN); /* TargetName */
    challenge->flags = reader_u32(&reader);
    challenge->challenge = reader_take(&reader, NTLM_CHALLENGE_SIZE).data;
    reader_skip(&reader, 8);
    challenge->target_info = (struct span){0};
    if (challenge->flags & NTLM_TARGET_INFO)
        challenge->target_info = take_field(&reader, CHALLENGE_MIN);
    return is_type(message, NTLM_CHALLENGE) && !reader.failed;
}

bool ntlm_authenticate_decode(struct span message, struct ntlm_authenticate *authenticate) {
    struct reader reader = reader_over(message);

    reader_seek(&reader, FIELDS_AT);
    authenticate->lm = take_field(&reader, PAYLOAD_MIN);
    authenticate->nt = take_field(&reader, PAYLOAD_MIN);
    authenticate->domain = take_field(&reader, PAYLOAD_MIN);
    authenticate->user = take_field(&reader, PAYLOAD_MIN);
    authenticate->workstation = take_field(&reader, PAYLOAD_MIN);
    authenticate->session_key = take_field(&reader, PAYLOAD_MIN);
    authenticate->flags = reader_u32(&reader);
    return is_type(message, NTLM_AUTHENTICATE) && !reader.failed;
}

bool ntlm_v2_response_decode(struct span nt, struct ntlm_v2_response *response) {
    if (nt.size < V2_MIN)
        return false;
    response->proof = nt.data;
    response->temp = span_slice(nt, NTLM_KEY_SIZE, nt.size);
    response->av_pairs = span_slice(response->temp, TEMP_AV_AT, nt.size);
    return response->temp.data[0] == 1 && response->temp.data[1] == 1;
}

bool ntlm_av_next(struct reader *reader, uint16_t *id, struct span *value) {
    *id = reader_u16(reader);
    *value = reader_take(reader, reader_u16(reader));
    return !reader->failed && *id != NTLM_AV_EOL;
}

bool ntlm_av_find(struct span av_pairs, enum ntlm_av_id id, struct span *value) {
    struct reader reader = reader_over(av_pairs);
    uint16_t found;

    while (ntlm_av_next(&reader, &found, value))
        if (found == id)
            return true;
    return false;
}

void ntlm_av_put(struct writer *writer, enum ntlm_av_id id, struct span value) {
    writer_u16(writer, (uint16_t)id);
    writer_u16(writer, (uint16_t)value.size);
    writer_put(writer, value);
}
