/* What a correct peer would have said to the NEGOTIATE messages of a capture: the deciders of the core are asked. */
#include <string.h>

#include "core/server_validate.h"
#include "explain/rules.h"

const char *negotiate_request_fault(const struct evidence *evidence) {
    const struct negotiate_side *side = &evidence->negotiate.request;
    struct server_policy policy;
    struct negotiation record;
    struct server_answer answer;
    struct fresh fresh = {0};
    struct message message;
    struct verdict verdict;

    if (!side->whole || side->raw_size != side->message_size)
        return NULL;
    message_decode((struct span){side->raw, side->raw_size}, side->message_size, &message);
    server_policy_defaults(&policy);
    negotiation_init(&record);
    if (message.header.message_id > 0)
        record.negotiates_seen = 1;
    verdict = server_validate(&message, &policy, &fresh, &record, &answer);
    if (verdict.action != ACTION_REFUSE || verdict.status != STATUS_INVALID_PARAMETER)
        return NULL;
    return rule_text(verdict.rule)->sentence;
}

static uint32_t padding_of(const struct negotiate_side *side, struct context_cursor cursor, uint32_t first) {
    struct context context;
    uint32_t end = first;

    while (context_next(&cursor, &context))
        end = context.offset + 8u + context.data_length;
    return !cursor.malformed && end > first && side->message_size > end ? side->message_size - end : 0;
}

uint32_t negotiate_padding(const struct evidence *evidence) {
    const struct negotiate_side *sides[2] = {&evidence->negotiate.request, &evidence->negotiate.response};
    uint32_t most = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct message message;
        uint32_t padding = 0;

        if (!sides[i]->whole || sides[i]->raw_size != sides[i]->message_size)
            continue;
        message_decode((struct span){sides[i]->raw, sides[i]->raw_size}, sides[i]->message_size, &message);
        if (message.kind == MESSAGE_NEGOTIATE_REQUEST && message.body.negotiate_request.contexts.size > 0) {
            const struct negotiate_request *request = &message.body.negotiate_request;

            padding = padding_of(sides[i],
                                 context_cursor(request->contexts, request->negotiate_context_count,
                                                request->negotiate_context_offset),
                                 request->negotiate_context_offset);
        } else if (message.kind == MESSAGE_NEGOTIATE_RESPONSE && message.body.negotiate_response.contexts.size > 0) {
            const struct negotiate_response *response = &message.body.negotiate_response;

            padding = padding_of(sides[i],
                                 context_cursor(response->contexts, response->negotiate_context_count,
                                                response->negotiate_context_offset),
                                 response->negotiate_context_offset);
        }
        if (padding > most)
            most = padding;
    }
    return most;
}
