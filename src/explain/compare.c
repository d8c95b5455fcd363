#include "explain/compare.h"

#include <stdio.h>
#include <string.h>

#include "wire/messages.h"

static void number_value(char *text, uint64_t value, unsigned width) {
    snprintf(text, VALUE_TEXT_MAX, "0x%0*llx", (int)(2 * width), (unsigned long long)value);
}

/* Octets as one hexadecimal number in wire order: GUIDs, signatures, reserved fields. */
static void octets_value(char *text, const uint8_t *octets, size_t size) {
    size_t used = 0;

    for (size_t i = 0; i < size && used + 3 < VALUE_TEXT_MAX; i++)
        used += (size_t)snprintf(text + used, VALUE_TEXT_MAX - used, "%02x", octets[i]);
}

/* [MS-DTYP] 2.3.4.3, the curly form without braces. */
static void guid_value(char *text, const uint8_t g[16]) {
    snprintf(text, VALUE_TEXT_MAX, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3],
             g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

struct list_text {
    char *text;
    size_t used;
};

static void list_begin(struct list_text *list, char *text) {
    list->text = text;
    list->used = (size_t)snprintf(text, VALUE_TEXT_MAX, "[");
}

static void list_add(struct list_text *list, const char *item) {
    if (list->used + strlen(item) + 5 > VALUE_TEXT_MAX)
        return;
    list->used += (size_t)snprintf(list->text + list->used, VALUE_TEXT_MAX - list->used, "%s\"%s\"",
                                   list->used > 1 ? "," : "", item);
}

static void list_end(struct list_text *list) {
    snprintf(list->text + list->used, VALUE_TEXT_MAX - list->used, "]");
}

static struct message decoded(const struct negotiate_side *side) {
    struct message message;

    message_decode((struct span){side->raw, side->raw_size}, side->message_size, &message);
    return message;
}

static struct span dialects_of(const struct message *message) {
    return message->body.negotiate_request.dialects;
}

static void dialects_value(char *text, struct span dialects) {
    struct reader reader = reader_over(dialects);
    struct list_text list;
    char item[16];

    list_begin(&list, text);
    while (reader_left(&reader) >= 2) {
        snprintf(item, sizeof item, "0x%04x", reader_u16(&reader));
        list_add(&list, item);
    }
    list_end(&list);
}

/* One string for each context: its type and its data. */
static void contexts_value(char *text, struct context_cursor cursor) {
    struct context context;
    struct list_text list;

    list_begin(&list, text);
    while (context_next(&cursor, &context)) {
        char item[112];
        size_t used = (size_t)snprintf(item, sizeof item, "0x%04x:", context.type);

        for (size_t i = 0; i < context.data.size && used + 6 < sizeof item; i++)
            used += (size_t)snprintf(item + used, sizeof item - used, "%02x", context.data.data[i]);
        list_add(&list, item);
    }
    list_end(&list);
}

static struct context_cursor request_contexts(const struct message *message) {
    const struct negotiate_request *request = &message->body.negotiate_request;

    return context_cursor(request->contexts, request->negotiate_context_count, request->negotiate_context_offset);
}

static struct context_cursor response_contexts(const struct message *message) {
    const struct negotiate_response *response = &message->body.negotiate_response;

    return context_cursor(response->contexts, response->negotiate_context_count, response->negotiate_context_offset);
}

static struct field_values *changed_field(struct comparison *comparison, const char *message, const char *field) {
    struct field_values *values;

    if (comparison->fields_count == FINDING_FIELDS_MAX)
        return &comparison->fields[FINDING_FIELDS_MAX - 1];
    values = &comparison->fields[comparison->fields_count++];
    memset(values, 0, sizeof *values);
    values->message = message;
    values->field = field;
    return values;
}

/* Every scalar of a field list that differs; `from` is the sender's copy. The places of variable parts follow from
 * what they hold, so they are not told by themselves. */
static void compare_fields(struct comparison *comparison, const char *name, const struct field *fields,
                           unsigned count, const struct message *sent, const struct message *arrived,
                           const void *sent_body, const void *arrived_body) {
    (void)sent;
    (void)arrived;
    for (unsigned i = 0; i < count; i++) {
        const struct field *field = &fields[i];
        const uint8_t *a = (const uint8_t *)sent_body + field->offset;
        const uint8_t *b = (const uint8_t *)arrived_body + field->offset;
        struct field_values *values;

        if (memcmp(a, b, field->width) == 0)
            continue;
        values = changed_field(comparison, name, field->name);
        if (field->width == 16) {
            guid_value(values->sent, a);
            guid_value(values->arrived, b);
        } else if (field->width <= 8) {
            uint64_t x = 0, y = 0;

            memcpy(&x, a, field->width); /* fields are kept in host order, which is little-endian here or widened */
            memcpy(&y, b, field->width);
            number_value(values->sent, x, field->width);
            number_value(values->arrived, y, field->width);
        } else {
            octets_value(values->sent, a, field->width);
            octets_value(values->arrived, b, field->width);
        }
    }
}

static bool derived_field(const char *name) {
    static const char *const names[] = {"DialectCount", "NegotiateContextOffset", "NegotiateContextCount",
                                        "SecurityBufferOffset", "SecurityBufferLength", "Signature"};

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Counts and offsets that merely follow a changed list go to the end, or away when something else is told. */
static void drop_derived(struct comparison *comparison, unsigned from, bool lists_differ) {
    unsigned kept = from;

    if (!lists_differ)
        return;
    for (unsigned i = from; i < comparison->fields_count; i++)
        if (!derived_field(comparison->fields[i].field))
            comparison->fields[kept++] = comparison->fields[i];
    comparison->fields_count = kept;
}

static void compare_contexts(struct comparison *comparison, const char *name, struct context_cursor sent,
                             struct context_cursor arrived) {
    struct field_values values;

    contexts_value(values.sent, sent);
    contexts_value(values.arrived, arrived);
    if (strcmp(values.sent, values.arrived) == 0)
        return;
    memcpy(changed_field(comparison, name, "NegotiateContexts")->sent, values.sent, VALUE_TEXT_MAX);
    memcpy(comparison->fields[comparison->fields_count - 1].arrived, values.arrived, VALUE_TEXT_MAX);
}

static void compare_request(struct comparison *comparison, const struct negotiate_side *near,
                            const struct negotiate_side *far) {
    static const char name[] = "NEGOTIATE request";
    struct message sent = decoded(near), arrived = decoded(far);
    unsigned first = comparison->fields_count;
    bool lists;

    if (sent.kind != MESSAGE_NEGOTIATE_REQUEST || arrived.kind != MESSAGE_NEGOTIATE_REQUEST)
        return;
    if (!span_equal(dialects_of(&sent), dialects_of(&arrived))) {
        struct field_values *values = changed_field(comparison, name, "Dialects");

        dialects_value(values->sent, dialects_of(&sent));
        dialects_value(values->arrived, dialects_of(&arrived));
    }
    compare_contexts(comparison, name, request_contexts(&sent), request_contexts(&arrived));
    lists = comparison->fields_count > first;
    compare_fields(comparison, name, negotiate_request_fields, negotiate_request_fields_count, &sent, &arrived,
                   &sent.body.negotiate_request, &arrived.body.negotiate_request);
    compare_fields(comparison, name, smb2_header_fields, smb2_header_fields_count, &sent, &arrived, &sent.header,
                   &arrived.header);
    drop_derived(comparison, first, lists);
}

static void compare_response(struct comparison *comparison, const struct negotiate_side *far,
                             const struct negotiate_side *near) {
    static const char name[] = "NEGOTIATE response";
    struct message sent = decoded(far), arrived = decoded(near);
    unsigned first = comparison->fields_count;
    bool lists = false;

    if (sent.kind != arrived.kind)
        return;
    if (sent.kind == MESSAGE_NEGOTIATE_RESPONSE) {
        compare_contexts(comparison, name, response_contexts(&sent), response_contexts(&arrived));
        if (!span_equal(sent.body.negotiate_response.security_buffer, arrived.body.negotiate_response.security_buffer)) {
            struct field_values *values = changed_field(comparison, name, "Buffer");
            struct span a = sent.body.negotiate_response.security_buffer;
            struct span b = arrived.body.negotiate_response.security_buffer;

            octets_value(values->sent, a.data, a.size);
            octets_value(values->arrived, b.data, b.size);
        }
        lists = comparison->fields_count > first;
        compare_fields(comparison, name, negotiate_response_fields, negotiate_response_fields_count, &sent, &arrived,
                       &sent.body.negotiate_response, &arrived.body.negotiate_response);
    }
    compare_fields(comparison, name, smb2_header_fields, smb2_header_fields_count, &sent, &arrived, &sent.header,
                   &arrived.header);
    drop_derived(comparison, first, lists);
}

static bool same_octets(const struct negotiate_side *a, const struct negotiate_side *b) {
    return a->message_size == b->message_size && a->raw_size == b->raw_size &&
           memcmp(a->raw, b->raw, a->raw_size) == 0;
}

static bool same_message(const struct log_entry *a, const struct log_entry *b) {
    return a->from == b->from && a->command == b->command && a->message_id == b->message_id &&
           (a->kind == MESSAGE_TRANSFORM) == (b->kind == MESSAGE_TRANSFORM) &&
           (a->status == STATUS_PENDING) == (b->status == STATUS_PENDING) && a->chained == b->chained;
}

static bool has_digest(const struct evidence *evidence, const struct log_entry *sought) {
    for (uint32_t i = 0; i < evidence->log_count; i++)
        if (evidence->log[i].from == sought->from && evidence->log[i].digest == sought->digest)
            return true;
    return false;
}

/* Encrypted messages are told apart by their octets alone; one that was altered is left over on both sides. */
static bool may_be_counterpart(const struct log_entry *entry, const struct evidence *own, const struct log_entry *other,
                               const struct evidence *others) {
    if (!same_message(entry, other))
        return false;
    if (entry->kind != MESSAGE_TRANSFORM || entry->digest == 0 || other->digest == 0 || entry->digest == other->digest)
        return true;
    return !has_digest(others, entry) && !has_digest(own, other);
}

static const struct log_entry *counterpart(const struct log_entry *entry, const struct evidence *own,
                                           const struct evidence *others, bool *used) {
    for (uint32_t i = 0; i < others->log_count; i++)
        if (!used[i] && may_be_counterpart(entry, own, &others->log[i], others)) {
            used[i] = true;
            return &others->log[i];
        }
    return NULL;
}

static void add_change(struct comparison *comparison, enum change_kind kind, const struct log_entry *near,
                       const struct log_entry *far) {
    struct change *change;

    if (comparison->changes_count == COMPARISON_CHANGES_MAX)
        return;
    change = &comparison->changes[comparison->changes_count++];
    memset(change, 0, sizeof *change);
    change->kind = kind;
    if (near != NULL)
        change->near = *near;
    if (far != NULL)
        change->far = *far;
}

static const struct closing_segment *first_of(const struct tcp_side *side) {
    if (side->fin.packet == 0 || (side->rst.packet != 0 && side->rst.packet < side->fin.packet))
        return side->rst.packet != 0 ? &side->rst : NULL;
    return &side->fin;
}

/* A message that only one side has: dropped when its sender has it, added when its receiver has it. What a capture
 * itself lost, or what came after its end, proves nothing. */
static bool captured_whole(const struct evidence *evidence) {
    return evidence->tcp[0].gaps == 0 && evidence->tcp[1].gaps == 0 && evidence->tcp[0].unseen_acked == 0 &&
           evidence->tcp[1].unseen_acked == 0 && !evidence->began_before_capture;
}

static bool reliable(const struct evidence *evidence) {
    return captured_whole(evidence) && evidence->log_seen <= EVIDENCE_LOG_HEAD_MAX;
}

static bool is_over(const struct evidence *evidence) {
    return first_of(&evidence->tcp[FROM_CLIENT]) != NULL || first_of(&evidence->tcp[FROM_SERVER]) != NULL;
}

/* Is a FIN acknowledged, which takes a number of its own, that the capture does not have? */
static bool fin_missing(const struct evidence *evidence) {
    for (unsigned from = FROM_CLIENT; from <= FROM_SERVER; from++) {
        const struct tcp_side *side = &evidence->tcp[from], *other = &evidence->tcp[direction_other(from)];

        if (side->fin.packet == 0 && side->sent_end != 0 && other->highest_ack - side->sent_end == 1)
            return true;
    }
    return false;
}

/* The last message from each end that both captures have. What one of them has behind it is missing in the other for
 * certain only where that one goes on to the end of the connection. */
struct last_common {
    uint32_t near[2], far[2];
};

static bool is_settled(const struct log_entry *entry, const struct evidence *own, const uint32_t last[2],
                       const struct evidence *others) {
    return !entry->cut && (is_over(others) || (uint32_t)(entry - own->log) < last[entry->from]);
}

static struct last_common last_common(const struct evidence *near, const struct evidence *far) {
    struct last_common last = {0};

    for (uint32_t i = 0; i < near->log_count; i++)
        for (uint32_t j = 0; j < far->log_count; j++)
            if (near->log[i].digest != 0 && near->log[i].digest == far->log[j].digest &&
                near->log[i].from == far->log[j].from) {
                last.near[near->log[i].from] = i;
                last.far[near->log[i].from] = last.far[near->log[i].from] < j ? j : last.far[near->log[i].from];
            }
    return last;
}

static void compare_logs(struct comparison *comparison, const struct evidence *near, const struct evidence *far) {
    bool far_used[EVIDENCE_LOG_HEAD_MAX] = {false};
    bool whole = reliable(near) && reliable(far) && near->log_count == near->log_seen && far->log_count == far->log_seen;
    struct last_common last = last_common(near, far);

    for (unsigned i = 0; i < near->log_count; i++) {
        const struct log_entry *entry = &near->log[i], *other = counterpart(entry, near, far, far_used);

        if (other == NULL) {
            if (whole && is_settled(entry, near, last.near, far))
                add_change(comparison, entry->from == FROM_CLIENT ? CHANGE_DROPPED : CHANGE_ADDED, entry, NULL);
        } else if (entry->digest != 0 && other->digest != 0 && entry->digest != other->digest &&
                   (entry->kind == MESSAGE_TRANSFORM ? whole : entry->command != SMB2_NEGOTIATE)) {
            add_change(comparison, CHANGE_ALTERED, entry, other);
        }
    }
    for (unsigned i = 0; i < far->log_count && whole; i++) {
        const struct log_entry *entry = &far->log[i];

        if (!far_used[i] && is_settled(entry, far, last.far, near))
            add_change(comparison, entry->from == FROM_SERVER ? CHANGE_DROPPED : CHANGE_ADDED, NULL, entry);
    }
}

/* Did `end` close first at its own capture, or only after it had been told that the other end closed? */
static bool closed_of_its_own(const struct evidence *own, enum direction end) {
    const struct closing_segment *mine = first_of(&own->tcp[end]);
    const struct closing_segment *theirs = first_of(&own->tcp[direction_other(end)]);

    return mine != NULL && (theirs == NULL || mine->packet < theirs->packet);
}

static void compare_closings(struct comparison *comparison, const struct evidence *near, const struct evidence *far) {
    bool whole = captured_whole(near) && captured_whole(far) && is_over(near) && is_over(far) && !fin_missing(near) &&
                 !fin_missing(far);

    comparison->close_not_sent_by_server =
        whole && closed_of_its_own(near, FROM_SERVER) && !closed_of_its_own(far, FROM_SERVER);
    comparison->close_not_sent_by_client =
        whole && closed_of_its_own(far, FROM_CLIENT) && !closed_of_its_own(near, FROM_CLIENT);
    if (comparison->close_not_sent_by_server)
        comparison->close_near_packet = first_of(&near->tcp[FROM_SERVER])->packet;
    if (comparison->close_not_sent_by_client)
        comparison->close_far_packet = first_of(&far->tcp[FROM_CLIENT])->packet;
}

static const struct log_entry *smb1_request(const struct evidence *evidence) {
    for (uint32_t i = 0; i < evidence->log_count; i++)
        if (evidence->log[i].kind == MESSAGE_SMB1_NEGOTIATE_REQUEST)
            return &evidence->log[i];
    return NULL;
}

static bool smb1_altered(const struct evidence *near, const struct evidence *far) {
    const struct log_entry *a = smb1_request(near), *b = smb1_request(far);

    return a != NULL && b != NULL && a->digest != 0 && b->digest != 0 && a->digest != b->digest;
}

static void smb1_dialects_value(char *text, const struct negotiate_evidence *negotiate) {
    struct list_text list;

    list_begin(&list, text);
    if (negotiate->smb1_offers_202)
        list_add(&list, "SMB 2.002");
    if (negotiate->smb1_offers_wildcard)
        list_add(&list, "SMB 2.???");
    list_end(&list);
}

/* [MS-SMB2] 3.3.5.3: the strings of a multi-protocol NEGOTIATE that speak of SMB 2. */
static void compare_smb1_dialects(struct comparison *comparison, const struct negotiate_evidence *near,
                                  const struct negotiate_evidence *far) {
    struct field_values *values = changed_field(comparison, "NEGOTIATE request", "Dialects");

    smb1_dialects_value(values->sent, near);
    smb1_dialects_value(values->arrived, far);
}

static uint64_t message_id_of(const struct negotiate_side *side) {
    struct smb2_header header = {0};

    smb2_header_decode((struct span){side->raw, side->raw_size}, &header);
    return header.message_id;
}

/* Behind an SMB 1 NEGOTIATE there are two exchanges, of which a capture may have lost one. */
static bool same_exchange(const struct evidence *near, const struct negotiate_side *a, const struct evidence *far,
                          const struct negotiate_side *b) {
    return a->whole && b->whole && (message_id_of(a) == message_id_of(b) || (reliable(near) && reliable(far)));
}

void compare(const struct evidence *near, const struct evidence *far, struct comparison *comparison) {
    const struct negotiate_evidence *a = &near->negotiate, *b = &far->negotiate;
    bool requests = same_exchange(near, &a->request, far, &b->request);
    bool responses = same_exchange(near, &a->response, far, &b->response);

    bool began_behind = a->request.packet == 0 && b->request.packet == 0 && reliable(near) && reliable(far);

    memset(comparison, 0, sizeof *comparison);
    comparison->requests_compared = requests || began_behind || smb1_altered(near, far);
    comparison->responses_compared = responses || began_behind;
    comparison->comparable = requests || responses || began_behind;
    if (requests && !same_octets(&a->request, &b->request)) {
        compare_request(comparison, &a->request, &b->request);
        comparison->negotiate_request_altered = true;
    }
    if (responses && !same_octets(&a->response, &b->response)) {
        compare_response(comparison, &b->response, &a->response);
        comparison->negotiate_response_altered = true;
    }
    if (smb1_altered(near, far)) {
        compare_smb1_dialects(comparison, a, b);
        comparison->negotiate_request_altered = true;
    }
    compare_logs(comparison, near, far);
    compare_closings(comparison, near, far);
    comparison->clocks_differ = a->request.packet != 0 && b->request.packet != 0 &&
                                b->request.time_ns + 1000000u < a->request.time_ns;
}

bool guid_known(const uint8_t guid[16]) {
    for (unsigned i = 0; i < 16; i++)
        if (guid[i] != 0)
            return true;
    return false;
}

/* A SESSION_SETUP request of this size holds more than NTLM's first message (128 to 200 octets), which all connections of a
 * client have in common: the proof of a logon, made from a fresh challenge or time (Linux with a short name: 278). */
#define LOGON_PROOF_SIZE_MIN 240u

bool compare_is_singular(const struct log_entry *entry) {
    return entry->digest != 0 && entry->size >= 72 &&
           (entry->is_signed || (entry->command == SMB2_SESSION_SETUP &&
                                 (entry->from == FROM_SERVER || entry->size >= LOGON_PROOF_SIZE_MIN)));
}

uint64_t compare_answer(const struct evidence *evidence) {
    for (uint32_t i = 0; i < evidence->log_count; i++) {
        const struct log_entry *entry = &evidence->log[i];

        if (entry->packet == evidence->negotiate.response.packet && entry->kind == MESSAGE_NEGOTIATE_RESPONSE)
            return entry->digest;
    }
    return 0;
}

/* [MS-DTYP] 2.3.3: the units of SystemTime in a second. */
#define FILETIME_SECOND 10000000u

bool compare_answer_is_singular(const struct evidence *evidence) {
    struct message message;

    if (evidence->negotiate.dialect == SMB2_DIALECT_311)
        return true;
    if (!evidence->negotiate.response.whole)
        return false;
    message = decoded(&evidence->negotiate.response);
    return message.kind == MESSAGE_NEGOTIATE_RESPONSE &&
           message.body.negotiate_response.system_time % FILETIME_SECOND != 0;
}

/* Messages that are octet by octet the same on both sides: *singular counts those that cannot be so by chance. */
static unsigned common_messages(const struct evidence *a, const struct evidence *b, unsigned *singular) {
    unsigned common = 0;

    *singular = 0;
    for (unsigned i = 0; i < a->log_count; i++)
        for (unsigned j = 0; j < b->log_count; j++)
            if (a->log[i].digest != 0 && a->log[i].digest == b->log[j].digest && a->log[i].from == b->log[j].from) {
                common++;
                *singular += compare_is_singular(&a->log[i]);
                break;
            }
    return common;
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b) {
    return a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

unsigned compare_likeness(const struct evidence *a, const struct evidence *b) {
    const struct negotiate_evidence *x = &a->negotiate, *y = &b->negotiate;
    unsigned singular, likeness = common_messages(a, b, &singular);

    likeness += LIKENESS_SINGULAR * singular;
    if (guid_known(x->request.guid) && memcmp(x->request.guid, y->request.guid, 16) == 0)
        likeness += 3;
    if (compare_answer(a) != 0 && compare_answer(a) == compare_answer(b) && compare_answer_is_singular(a))
        likeness += LIKENESS_SINGULAR;
    if (a->sessions_count > 0 && b->sessions_count > 0 && a->sessions[0].session_id > UINT32_MAX &&
        a->sessions[0].session_id == b->sessions[0].session_id)
        likeness += LIKENESS_SINGULAR;
    if (same_endpoint(&a->client, &b->client) && same_endpoint(&a->server, &b->server)) {
        likeness += LIKENESS_SINGULAR;
        if (a->tcp[FROM_CLIENT].isn != 0 && a->tcp[FROM_CLIENT].isn == b->tcp[FROM_CLIENT].isn)
            likeness += LIKENESS_SINGULAR;
    }
    return likeness;
}
