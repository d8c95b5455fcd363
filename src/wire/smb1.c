/* SMB1, as far as a multi-protocol negotiation needs it ([MS-CIFS] 2.2.4.52, [MS-SMB2] 3.3.5.3). */
#include <string.h>

#include "wire/parts.h"

#define SMB1_BUFFER_FORMAT_DIALECT 0x02u

#define FIELDS_STRUCT struct smb1_header
FIELDS_DEFINE(smb1_header, SMB1_HEADER_FIELDS)
#undef FIELDS_STRUCT

static bool dialect_is(struct span dialect, const char *name) {
    return dialect.size == strlen(name) && memcmp(dialect.data, name, dialect.size) == 0;
}

bool smb1_dialect_next(struct span *dialects, struct span *dialect) {
    size_t end = 1;

    if (dialects->size == 0 || dialects->data[0] != SMB1_BUFFER_FORMAT_DIALECT)
        return false;
    while (end < dialects->size && dialects->data[end] != 0)
        end++;
    if (end == dialects->size)
        return false;
    *dialect = span_slice(*dialects, 1, end - 1);
    *dialects = span_slice(*dialects, end + 1, dialects->size);
    return true;
}

static void look_at_dialects(struct smb1_negotiate_request *request) {
    struct span left = request->dialects, name;

    while (smb1_dialect_next(&left, &name)) {
        request->offers_nt_lm |= dialect_is(name, "NT LM 0.12");
        request->offers_smb2_002 |= dialect_is(name, "SMB 2.002");
        request->offers_smb2_wildcard |= dialect_is(name, "SMB 2.???");
    }
}

bool smb1_negotiate_request_decode(struct span message, struct smb1_negotiate_request *request) {
    struct reader reader = reader_over(message);

    memset(request, 0, sizeof *request);
    fields_decode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &reader,
                  &request->header);
    request->word_count = reader_u8(&reader);
    request->words = reader_take(&reader, 2u * (size_t)request->word_count);
    request->byte_count = reader_u16(&reader);
    if (reader.failed)
        return false;
    request->dialects = span_slice(message, reader.at, request->byte_count);
    look_at_dialects(request);
    return request->dialects.size == request->byte_count;
}

void smb1_negotiate_request_encode(const struct smb1_negotiate_request *request,
                                   struct writer *writer) {
    fields_encode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &request->header,
                  writer);
    writer_u8(writer, request->word_count);
    writer_put(writer, request->words);
    writer_u16(writer, request->byte_count);
    writer_put(writer, request->dialects);
}

bool smb1_negotiate_response_decode(struct span message, struct smb1_negotiate_response *response) {
    struct reader reader = reader_over(message);

    memset(response, 0, sizeof *response);
    fields_decode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &reader,
                  &response->header);
    response->word_count = reader_u8(&reader);
    response->dialect_index = response->word_count > 0 ? reader_u16(&reader) : 0xffff;
    response->rest = reader_take(&reader, reader_left(&reader));
    return !reader.failed;
}

void smb1_negotiate_response_encode(const struct smb1_negotiate_response *response,
                                    struct writer *writer) {
    fields_encode(smb1_header_fields, smb1_header_fields_count, SMB1_HEADER_SIZE, &response->header,
                  writer);
    writer_u8(writer, response->word_count);
    if (response->word_count > 0)
        writer_u16(writer, response->dialect_index);
    writer_put(writer, response->rest);
}
