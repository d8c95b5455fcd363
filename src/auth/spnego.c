#include "auth/spnego.h"

#include "auth/der.h"
#include "wire/text.h"

/* Without tag and length. */
struct oid {
    uint8_t size;
    uint8_t data[10];
};

static const struct oid oid_spnego = {6, {0x2b, 0x06, 0x01, 0x05, 0x05, 0x02}};
static const struct oid oids[] = {
    [SPNEGO_KERBEROS] = {9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}},
    [SPNEGO_MS_KERBEROS] = {9, {0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02}},
    [SPNEGO_NTLM] = {10, {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a}},
};

static struct span oid_span(const struct oid *oid) {
    return (struct span){oid->data, oid->size};
}

static enum spnego_mechanism mechanism_of(struct span oid) {
    for (enum spnego_mechanism at = SPNEGO_KERBEROS; at < SPNEGO_UNKNOWN; at++)
        if (span_equal(oid, oid_span(&oids[at])))
            return at;
    return SPNEGO_UNKNOWN;
}

/* ---- decoding ---- */

static void take_list(struct reader *reader, struct spnego_init *init) {
    struct reader field = der_enter(reader, DER_CONTEXT(0)), list;

    init->mechanism_list = span_slice(field.bytes, 0, field.bytes.size);
    list = der_enter(&field, DER_SEQUENCE);
    while (!list.failed && reader_left(&list) > 0) {
        enum spnego_mechanism mechanism = mechanism_of(der_take(&list, DER_OID));

        if (init->count == SPNEGO_MECHANISMS_MAX)
            list.failed = true;
        else
            init->mechanisms[init->count++] = mechanism;
    }
    if (list.failed || init->count == 0 || !der_is_done(&field))
        reader->failed = true;
}

/* An OCTET STRING behind a context tag; empty where it is not there. */
static struct span take_octets(struct reader *reader, unsigned tag) {
    struct reader field;
    struct span octets;

    if (!der_is_next(reader, DER_CONTEXT(tag)))
        return (struct span){0};
    field = der_enter(reader, DER_CONTEXT(tag));
    octets = der_take(&field, DER_OCTET_STRING);
    if (!der_is_done(&field))
        reader->failed = true;
    return octets;
}

/* Whatever a field holds: reqFlags, hints, and the MIC of a first token, which nothing here needs.
 */
static void pass_field(struct reader *reader, unsigned tag) {
    if (der_is_next(reader, DER_CONTEXT(tag)))
        der_take(reader, DER_CONTEXT(tag));
}

bool spnego_init_decode(struct span bytes, struct spnego_init *init) {
    struct reader reader = reader_over(bytes), outer, choice, sequence;

    *init = (struct spnego_init){0};
    outer = der_enter(&reader, DER_APPLICATION_0);
    if (!span_equal(der_take(&outer, DER_OID), oid_span(&oid_spnego)))
        return false;
    choice = der_enter(&outer, DER_CONTEXT(0));
    sequence = der_enter(&choice, DER_SEQUENCE);
    take_list(&sequence, init);
    pass_field(&sequence, 1);
    init->token = take_octets(&sequence, 2);
    pass_field(&sequence, 3);
    pass_field(&sequence, 4);
    return der_is_done(&sequence) && der_is_done(&choice) && der_is_done(&outer) &&
           der_is_done(&reader);
}

static enum spnego_state take_state(struct reader *reader) {
    struct reader field;
    struct span value;

    if (!der_is_next(reader, DER_CONTEXT(0)))
        return SPNEGO_NO_STATE;
    field = der_enter(reader, DER_CONTEXT(0));
    value = der_take(&field, DER_ENUMERATED);
    if (!der_is_done(&field) || value.size != 1 || value.data[0] > SPNEGO_REQUEST_MIC) {
        reader->failed = true;
        return SPNEGO_REJECT;
    }
    return (enum spnego_state)value.data[0];
}

static void take_mechanism(struct reader *reader, struct spnego_response *response) {
    struct reader field;

    if (!der_is_next(reader, DER_CONTEXT(1)))
        return;
    field = der_enter(reader, DER_CONTEXT(1));
    response->has_mechanism = true;
    response->mechanism = mechanism_of(der_take(&field, DER_OID));
    if (!der_is_done(&field))
        reader->failed = true;
}

bool spnego_response_decode(struct span bytes, struct spnego_response *response) {
    struct reader reader = reader_over(bytes), choice, sequence;

    *response = (struct spnego_response){.mechanism = SPNEGO_UNKNOWN};
    choice = der_enter(&reader, DER_CONTEXT(1));
    sequence = der_enter(&choice, DER_SEQUENCE);
    response->state = take_state(&sequence);
    take_mechanism(&sequence, response);
    response->token = take_octets(&sequence, 2);
    response->mic = take_octets(&sequence, 3);
    return der_is_done(&sequence) && der_is_done(&choice) && der_is_done(&reader);
}

/* ---- encoding ---- */

static size_t list_content_size(const enum spnego_mechanism *mechanisms, size_t count) {
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += der_size(oids[mechanisms[i]].size);
    return size;
}

void spnego_list_put(const enum spnego_mechanism *mechanisms, size_t count, struct writer *writer) {
    der_put_header(writer, DER_SEQUENCE, list_content_size(mechanisms, count));
    for (size_t i = 0; i < count; i++)
        der_put(writer, DER_OID, oid_span(&oids[mechanisms[i]]));
}

/* A field that holds one element; nothing where that would be empty. */
static size_t octets_size(struct span octets) {
    return octets.size == 0 ? 0 : der_size(der_size(octets.size));
}

static void put_octets(struct writer *writer, unsigned tag, struct span octets) {
    if (octets.size == 0)
        return;
    der_put_header(writer, DER_CONTEXT(tag), der_size(octets.size));
    der_put(writer, DER_OCTET_STRING, octets);
}

/* Everything of a first token up to and with mechTypes; `rest` is the size of what follows it. */
static void put_init_head(const enum spnego_mechanism *mechanisms, size_t count, size_t rest,
                          struct writer *writer) {
    size_t list = der_size(list_content_size(mechanisms, count)), content = der_size(list) + rest,
           sequence = der_size(content);

    der_put_header(writer, DER_APPLICATION_0, der_size(oid_spnego.size) + der_size(sequence));
    der_put(writer, DER_OID, oid_span(&oid_spnego));
    der_put_header(writer, DER_CONTEXT(0), sequence);
    der_put_header(writer, DER_SEQUENCE, content);
    der_put_header(writer, DER_CONTEXT(0), list);
    spnego_list_put(mechanisms, count, writer);
}

bool spnego_init_encode(const struct spnego_init *init, struct writer *writer) {
    put_init_head(init->mechanisms, init->count, octets_size(init->token), writer);
    put_octets(writer, 2, init->token);
    return !writer->failed;
}

bool spnego_hint_encode(const enum spnego_mechanism *mechanisms, size_t count,
                        struct writer *writer) {
    struct span text = text_span("not_defined_in_RFC4178@please_ignore");
    size_t string = der_size(text.size), name = der_size(string), hints = der_size(name);

    put_init_head(mechanisms, count, der_size(hints), writer);
    der_put_header(writer, DER_CONTEXT(3), hints);
    der_put_header(writer, DER_SEQUENCE, name);
    der_put_header(writer, DER_CONTEXT(0), string);
    der_put(writer, DER_GENERAL_STRING, text);
    return !writer->failed;
}

bool spnego_response_encode(const struct spnego_response *response, struct writer *writer) {
    bool has_state = response->state != SPNEGO_NO_STATE;
    uint8_t state = (uint8_t)response->state;
    size_t content = octets_size(response->token) + octets_size(response->mic);

    if (has_state)
        content += der_size(der_size(1));
    if (response->has_mechanism)
        content += der_size(der_size(oids[response->mechanism].size));
    der_put_header(writer, DER_CONTEXT(1), der_size(content));
    der_put_header(writer, DER_SEQUENCE, content);
    if (has_state) {
        der_put_header(writer, DER_CONTEXT(0), der_size(1));
        der_put(writer, DER_ENUMERATED, (struct span){&state, 1});
    }
    if (response->has_mechanism) {
        der_put_header(writer, DER_CONTEXT(1), der_size(oids[response->mechanism].size));
        der_put(writer, DER_OID, oid_span(&oids[response->mechanism]));
    }
    put_octets(writer, 2, response->token);
    put_octets(writer, 3, response->mic);
    return !writer->failed;
}
