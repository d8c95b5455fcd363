/* SMB1, as far as a multi-protocol negotiation needs it ([MS-CIFS] 2.2.4.52, [MS-SMB2] 3.3.5.3). */
#include <string.h>

#include "wire/parts.h"

#define FIELDS_STRUCT struct smb1_header
FIELDS_DEFINE(smb1_header, SMB1_HEADER_FIELDS)
#undef FIELDS_STRUCT

static bool dialect_is(struct span dialect, const char *name) {
    return dialect.size == strlen(name) && memcmp(dialect.data, name, dialect.size) == 0;
}

/* Every dialect is 0x02, its name, 0x00; an unfinished last one is passed over. */
static void look_at_dialects(struct smb1_negotiate_request *request) {
    struct span left = request->dialects;

    while (left.size > 0) {
        const uint8_t *end = memchr(left.data, 0, left.size);
        struct span name;

        if (end == NULL || left.data[0] != 0x02)
            return;
        name = span_slice(left, 1, (size_t)(end - left.data) - 1);
        if (end - left.data > 1) {
            request->offers_nt_lm |= dialect_is(name, "NT LM 0.12");
            request->offers_smb2_002 |= dialect_is(name, "SMB 2.002");
            request->offers_smb2_wildcard |= dialect_is(name, "SMB 2.???");
        }
        left = span_slice(left, (size_t)(end - left.data) + 1, left.size);
    }
}

bool smb1_negotiate_request_decode(struct span message, struct smb1_negotiate_request *request) {
    struct reader reader = reader_over(message);

    memset(request, 0, sizeof *request);
    fields_decode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &reader, &request->header);
    request->word_count = reader_u8(&reader);
    reader_skip(&reader, 2u * (size_t)request->word_count);
    request->byte_count = reader_u16(&reader);
    if (reader.failed)
        return false;
    request->dialects = span_slice(message, reader.at, request->byte_count);
    look_at_dialects(request);
    return request->dialects.size == request->byte_count;
}

void smb1_negotiate_request_encode(const struct smb1_negotiate_request *request, struct writer *writer) {
    fields_encode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &request->header, writer);
    writer_u8(writer, request->word_count);
    writer_zero(writer, 2u * (size_t)request->word_count);
    writer_u16(writer, request->byte_count);
    writer_put(writer, request->dialects);
}

bool smb1_negotiate_response_decode(struct span message, struct smb1_negotiate_response *response) {
    struct reader reader = reader_over(message);

    memset(response, 0, sizeof *response);
    fields_decode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &reader, &response->header);
    response->word_count = reader_u8(&reader);
    response->dialect_index = reader_u16(&reader);
    return !reader.failed;
}
