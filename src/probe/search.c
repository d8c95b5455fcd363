#include "probe/search.h"

#include <stdio.h>
#include <string.h>

#include "wire/message.h"
#include "wire/names.h"

/* NEGOTIATE messages longer than this are not searched. */
#define SEARCHED_OCTETS_MAX 2048u
#define BODY_AT             64u

static bool algorithm_fits(const struct line *line, enum mac_algorithm algorithm,
                           const uint8_t signing[SESSION_KEY_SIZE]) {
    struct mac_key *mac = mac_key_new(algorithm, (struct span){signing, SESSION_KEY_SIZE});
    bool fits = mac != NULL && element_check(mac, line->final) == SIGNATURE_GOOD;

    mac_key_free(mac);
    return fits;
}

/* Is the last response signed with this key? By `any` of the algorithms, where the one that was agreed may be what was
 * changed. */
static bool key_fits(const struct line *line, const uint8_t signing[SESSION_KEY_SIZE], bool any) {
    bool fits = false;

    if (!any)
        return algorithm_fits(line, mac_key_algorithm(line->mac), signing);
    for (unsigned algorithm = MAC_HMAC_SHA256; algorithm <= MAC_AES_GMAC && !fits; algorithm++)
        fits = algorithm_fits(line, algorithm, signing);
    return fits;
}

/* Likewise, with the key that this dialect and hash lead to. */
static bool signature_fits(const struct line *line, uint16_t dialect, const struct preauth *preauth, bool any) {
    struct session_keys keys;
    struct span full_key = {line->full_key, line->full_key_size};
    bool fits = false;

    if (dialect == SMB2_DIALECT_311 && channel_key_derive(keys.signing, dialect, full_key, preauth))
        fits = key_fits(line, keys.signing, any);
    else if (dialect != SMB2_DIALECT_311 && session_keys_derive(&keys, dialect, 0, full_key, preauth))
        fits = key_fits(line, keys.signing, any);
    session_keys_wipe(&keys);
    return fits;
}

/* The hash over the messages, `replaced` in place of number `index`. */
static bool hash_fits(const struct line *line, uint16_t dialect, unsigned index, struct span replaced, bool any) {
    struct preauth preauth;

    preauth_init(&preauth);
    for (unsigned i = 0; i < line->hashed_count; i++)
        if (!preauth_update(&preauth, i == index ? replaced : line->hashed[i]))
            return false;
    return signature_fits(line, dialect, &preauth, any);
}

/* ---- where an octet belongs ---- */

static struct search_field named_field(const struct field *field, size_t base) {
    struct search_field found = {.at = base + field->wire_offset, .size = field->width};

    snprintf(found.name, sizeof found.name, "%s", field->name);
    return found;
}

static bool field_in(const struct field *fields, unsigned count, size_t base, size_t offset,
                     struct search_field *found) {
    for (unsigned i = 0; i < count; i++)
        if (offset >= base + fields[i].wire_offset && offset < base + fields[i].wire_offset + fields[i].width) {
            *found = named_field(&fields[i], base);
            return true;
        }
    return false;
}

static struct search_field context_at(const struct message *message, bool in_response, size_t offset) {
    struct search_field found = {"padding", offset, 1};
    const struct negotiate_request *request = &message->body.negotiate_request;
    const struct negotiate_response *response = &message->body.negotiate_response;
    struct context_cursor cursor =
        in_response
            ? context_cursor(response->contexts, response->negotiate_context_count, response->negotiate_context_offset)
            : context_cursor(request->contexts, request->negotiate_context_count, request->negotiate_context_offset);
    struct context context;

    while (context_next(&cursor, &context)) {
        const char *name = context_type_name(context.type);

        if (offset < context.offset || offset >= context.offset + 8u + context.data.size)
            continue;
        snprintf(found.name, sizeof found.name, "%s context", name != NULL ? name : "unknown");
        found.at = context.offset;
        found.size = 8u + context.data.size;
    }
    return found;
}

struct search_field search_field_at(struct span octets, bool in_response, size_t offset) {
    struct message message;
    struct message_fields body;
    struct search_field found;
    size_t variable_at = in_response ? NEGOTIATE_BUFFER_OFFSET : NEGOTIATE_DIALECTS_OFFSET, variable_size;

    message_decode(octets, octets.size, &message);
    body = message_fields(message.kind);
    if (field_in(smb2_header_fields, smb2_header_fields_count, 0, offset, &found) ||
        field_in(body.fields, body.count, body.at, offset, &found))
        return found;
    variable_size = in_response ? message.body.negotiate_response.security_buffer.size
                                : message.body.negotiate_request.dialects.size;
    if (offset < variable_at || offset >= variable_at + variable_size)
        return context_at(&message, in_response, offset);
    found = (struct search_field){.at = variable_at, .size = variable_size};
    snprintf(found.name, sizeof found.name, "%s", in_response ? "SecurityBuffer" : "Dialects");
    return found;
}

/* ---- one change ---- */

static void put_hex(char text[SEARCH_VALUE_MAX], struct span octets) {
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < octets.size && at + 3 < SEARCH_VALUE_MAX; i++)
        at += (size_t)snprintf(text + at, SEARCH_VALUE_MAX - at, "%02x", octets.data[i]);
}

static uint64_t number_of(struct span octets) {
    uint64_t number = 0;

    for (size_t i = octets.size < 8 ? octets.size : 8; i > 0; i--)
        number = number << 8 | octets.data[i - 1];
    return number;
}

/* Does the client learn of less than the server said, or the server of less than the client said? */
static bool removes_security(const char *field, bool in_response, struct span here, struct span there) {
    uint64_t bits = 0, before, after;

    if (strcmp(field, "SecurityMode") == 0)
        bits = SMB2_SIGNING_REQUIRED;
    else if (strcmp(field, "Capabilities") == 0)
        bits = SMB2_GLOBAL_CAP_ENCRYPTION;
    else
        return false;
    before = number_of(in_response ? there : here) & bits;
    after = number_of(in_response ? here : there) & bits;
    return (before & ~after) != 0;
}

static void describe(struct span here, struct span there, bool in_response, size_t offset,
                     struct alteration *alteration) {
    struct search_field field = search_field_at(here, in_response, offset);
    struct span mine = span_slice(here, field.at, field.size), other = span_slice(there, field.at, field.size);

    *alteration = (struct alteration){.in_response = in_response, .offset = (uint32_t)offset};
    snprintf(alteration->field, sizeof alteration->field, "%s", field.name);
    put_hex(alteration->here, mine);
    put_hex(alteration->there, other);
    alteration->removes_security = removes_security(field.name, in_response, mine, other);
}

/* Where the contexts of a response begin, among which the signing algorithm is; its end where it has none. */
static size_t contexts_of(struct span response) {
    struct message message;
    struct span contexts;

    message_decode(response, response.size, &message);
    contexts = message.body.negotiate_response.contexts;
    return contexts.size > 0 ? (size_t)(contexts.data - response.data) : response.size;
}

/* Each other value of each octet. */
static bool search_octets(const struct line *line, bool in_response, struct alteration *alteration) {
    struct span here = line->hashed[in_response];
    size_t contexts_at = in_response ? contexts_of(here) : here.size;
    uint8_t changed[SEARCHED_OCTETS_MAX];

    memcpy(changed, here.data, here.size);
    for (size_t at = 0; at < here.size; at++) {
        for (unsigned value = 1; value < 256; value++) {
            changed[at] = here.data[at] ^ (uint8_t)value;
            if (hash_fits(line, SMB2_DIALECT_311, in_response, (struct span){changed, here.size}, at >= contexts_at)) {
                describe(here, (struct span){changed, here.size}, in_response, at, alteration);
                return true;
            }
        }
        changed[at] = here.data[at];
    }
    return false;
}

/* Each field zero, as boxes do that do not know it. */
static bool search_zeros(const struct line *line, bool in_response, struct alteration *alteration) {
    struct span here = line->hashed[in_response];
    uint8_t changed[SEARCHED_OCTETS_MAX];

    for (size_t at = BODY_AT; at < here.size;) {
        struct search_field field = search_field_at(here, in_response, at);
        size_t size = field.at + field.size > here.size ? here.size - field.at : field.size;

        memcpy(changed, here.data, here.size);
        memset(changed + field.at, 0, size);
        if (hash_fits(line, SMB2_DIALECT_311, in_response, (struct span){changed, here.size}, true)) {
            describe(here, (struct span){changed, here.size}, in_response, at, alteration);
            return true;
        }
        at = field.at + size > at ? field.at + size : at + 1;
    }
    return false;
}

/* Another dialect in the response than the one that the server chose: its keys are made in another way. */
static bool search_dialect(const struct line *line, struct alteration *alteration) {
    static const uint16_t dialects[] = {SMB2_DIALECT_311, SMB2_DIALECT_302, SMB2_DIALECT_210};
    const struct field *field =
        fields_find(negotiate_response_fields, negotiate_response_fields_count, "DialectRevision");
    struct span here = line->hashed[1];
    uint8_t changed[SEARCHED_OCTETS_MAX];

    memcpy(changed, here.data, here.size);
    for (unsigned i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        struct span there = {changed, here.size};

        if (!fields_set(field, changed + BODY_AT, here.size - BODY_AT, dialects[i]) || span_equal(here, there))
            continue;
        if (hash_fits(line, dialects[i], 1, there, true)) {
            describe(here, there, true, BODY_AT + field->wire_offset, alteration);
            alteration->removes_security = dialects[i] > line->negotiation.agreed.dialect;
            return true;
        }
    }
    return false;
}

bool search_alteration(const struct line *line, struct alteration *alteration) {
    if (line->hashed_count < 2 || line->full_key_size == 0 || line->mac == NULL)
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (line->hashed[i].size > SEARCHED_OCTETS_MAX)
            return false;
    if (line->hashed[1].size < BODY_AT)
        return false;
    if (search_dialect(line, alteration))
        return true;
    if (line->negotiation.agreed.dialect != SMB2_DIALECT_311)
        return false;
    return search_zeros(line, false, alteration) || search_zeros(line, true, alteration) ||
           search_octets(line, false, alteration) || search_octets(line, true, alteration);
}

/* ---- a server's mistakes ---- */

const char *search_mistake(const struct line *line) {
    static const char *const mistakes[] = {
        "it leaves the NEGOTIATE request out of the hash",
        "it leaves the NEGOTIATE response out of the hash",
        "it leaves the first SESSION_SETUP request out of the hash",
        "it leaves the first SESSION_SETUP response out of the hash",
        "it leaves the last SESSION_SETUP request out of the hash",
    };
    struct preauth preauth = line->preauth;

    for (unsigned i = 0; i < line->hashed_count && i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct preauth without;

        preauth_init(&without);
        for (unsigned j = 0; j < line->hashed_count; j++)
            if (j != i)
                preauth_update(&without, line->hashed[j]);
        if (signature_fits(line, SMB2_DIALECT_311, &without, false))
            return mistakes[i];
    }
    if (preauth_update(&preauth, line->final) && signature_fits(line, SMB2_DIALECT_311, &preauth, false))
        return "it hashes its last SESSION_SETUP response, too";
    preauth_init(&preauth);
    return signature_fits(line, SMB2_DIALECT_311, &preauth, false) ? "it hashes nothing at all" : NULL;
}
