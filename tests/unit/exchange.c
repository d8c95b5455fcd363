#include "exchange.h"

#include "core/client_offer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMB2_PROTOCOL_ID 0x424d53feu

static struct span octets_span(const struct octets *octets) {
    return (struct span){octets->data, octets->size};
}

void octets_put(struct octets *octets, size_t offset, unsigned width, uint64_t value) {
    assert(offset + width <= sizeof octets->data);
    for (unsigned i = 0; i < width; i++)
        octets->data[offset + i] = (uint8_t)(value >> 8 * i);
}

uint64_t octets_get(const struct octets *octets, size_t offset, unsigned width) {
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)octets->data[offset + i] << 8 * i;
    return value;
}

void octets_append(struct octets *octets, const void *data, size_t size) {
    assert(octets->size + size <= sizeof octets->data);
    memcpy(octets->data + octets->size, data, size);
    octets->size += size;
}

void exchange_set_dialects(struct id_list *list, const uint16_t *dialects, unsigned count) {
    assert(count <= POLICY_IDS_MAX);
    *list = (struct id_list){.count = (uint16_t)count};
    memcpy(list->ids, dialects, count * sizeof *dialects);
}

void exchange_init(struct exchange *exchange) {
    memset(exchange, 0, sizeof *exchange);
    client_policy_defaults(&exchange->client_policy);
    server_policy_defaults(&exchange->server_policy);
    negotiation_init(&exchange->client);
    negotiation_init(&exchange->server);
    memset(exchange->client_policy.guid, 0xc1, 16);
    memset(exchange->fresh.server_guid, 0x5e, 16);
    memset(exchange->fresh.salt, 0xa5, SALT_SIZE);
    exchange->fresh.system_time = 0x01dd7a8c5e0206a4;
}

static struct smb2_header header_of(const struct exchange *exchange, uint16_t command, uint32_t flags) {
    return (struct smb2_header){.protocol_id = SMB2_PROTOCOL_ID,
                                .structure_size = SMB2_HEADER_SIZE,
                                .credits = 1,
                                .command = command,
                                .flags = flags,
                                .message_id = exchange->message_id};
}

static struct writer octets_writer(struct octets *octets) {
    return writer_over(octets->data, sizeof octets->data);
}

static void octets_finish(struct octets *octets, const struct writer *writer) {
    assert(!writer->failed);
    octets->size = writer->at;
}

static void store_offer(struct exchange *exchange) {
    struct message message;
    message_decode(octets_span(&exchange->request), exchange->request.size, &message);
    negotiation_store_offer(&exchange->client, &message);
}

void exchange_offer(struct exchange *exchange) {
    static const uint8_t salt[CLIENT_SALT_SIZE] = {0x11, 0x22, 0x33};
    struct client_offer offer;
    struct smb2_header header = header_of(exchange, SMB2_NEGOTIATE, 0);
    struct writer writer = octets_writer(&exchange->request);
    client_offer_fill(&exchange->client_policy, salt, &offer);
    negotiate_request_encode(&header, &offer.request, &writer);
    octets_finish(&exchange->request, &writer);
    store_offer(exchange);
}

void exchange_offer_smb1(struct exchange *exchange, const char *const *dialects, unsigned count) {
    static const uint8_t head[] = {0xff, 'S', 'M', 'B', 0x72, 0, 0, 0, 0, 0x18, 0x53, 0xc8};
    memset(&exchange->request, 0, sizeof exchange->request);
    octets_append(&exchange->request, head, sizeof head);
    exchange->request.size = 35;
    for (unsigned i = 0; i < count; i++) {
        octets_append(&exchange->request, "\2", 1);
        octets_append(&exchange->request, dialects[i], strlen(dialects[i]) + 1);
    }
    octets_put(&exchange->request, 33, 2, exchange->request.size - 35);
    store_offer(exchange);
}

static void encode_error(struct exchange *exchange, uint16_t command, uint32_t status, struct octets *octets) {
    struct smb2_header header = header_of(exchange, command, SMB2_FLAGS_SERVER_TO_REDIR);
    const struct error_response error = {.structure_size = 9};
    struct writer writer = octets_writer(octets);
    header.status = status;
    error_response_encode(&header, &error, &writer);
    octets_finish(octets, &writer);
}

static void encode_answer(struct exchange *exchange, const struct negotiate_response *response) {
    struct smb2_header header = header_of(exchange, SMB2_NEGOTIATE, SMB2_FLAGS_SERVER_TO_REDIR);
    struct writer writer = octets_writer(&exchange->response);
    negotiate_response_encode(&header, response, &writer);
    octets_finish(&exchange->response, &writer);
}

struct verdict exchange_serve(struct exchange *exchange) {
    struct message message;
    struct server_answer answer;
    struct verdict verdict;
    message_decode(octets_span(&exchange->request), exchange->request.size, &message);
    if (message.kind == MESSAGE_SMB1_NEGOTIATE_REQUEST)
        verdict = server_validate_smb1(&message, &exchange->server_policy, &exchange->fresh, &exchange->server, &answer);
    else if (message.kind == MESSAGE_NEGOTIATE_REQUEST)
        verdict = server_validate(&message, &exchange->server_policy, &exchange->fresh, &exchange->server, &answer);
    else
        verdict = verdict_disconnect(RULE_COMMAND_BEFORE_NEGOTIATE, 0);
    exchange->response.size = 0;
    if (verdict_goes_on(&verdict))
        encode_answer(exchange, &answer.response);
    else if (verdict.action == ACTION_REFUSE)
        encode_error(exchange, SMB2_NEGOTIATE, verdict.status, &exchange->response);
    exchange->message_id++;
    return verdict;
}

struct verdict exchange_receive(struct exchange *exchange) {
    struct message message;
    message_decode(octets_span(&exchange->response), exchange->response.size, &message);
    return client_validate(&message, &exchange->client_policy, &exchange->client);
}

void exchange_negotiate(struct exchange *exchange) {
    exchange_offer(exchange);
    struct verdict served = exchange_serve(exchange);
    assert(verdict_goes_on(&served));
    struct verdict received = exchange_receive(exchange);
    assert(verdict_goes_on(&received));
}

void exchange_ask(struct exchange *exchange) {
    struct client_info info;
    uint8_t input[VALIDATE_RESPONSE_SIZE + 2 * NEGOTIATION_DIALECTS_MAX];
    struct writer input_writer = writer_over(input, sizeof input);
    client_info_fill(&exchange->client, &exchange->client_policy, &info);
    validate_request_encode(&info.request, &input_writer);
    struct ioctl_request ioctl = {.structure_size = 57,
                                  .ctl_code = FSCTL_VALIDATE_NEGOTIATE_INFO,
                                  .input_offset = 120,
                                  .max_output_response = VALIDATE_RESPONSE_SIZE,
                                  .flags = 1,
                                  .input = writer_done(&input_writer)};
    ioctl.input_count = (uint32_t)ioctl.input.size;
    memset(ioctl.file_id, 0xff, sizeof ioctl.file_id);
    struct smb2_header header = header_of(exchange, SMB2_IOCTL, SMB2_FLAGS_SIGNED);
    struct writer writer = octets_writer(&exchange->info_request);
    ioctl_request_encode(&header, &ioctl, &writer);
    octets_finish(&exchange->info_request, &writer);
}

static void encode_info(struct exchange *exchange, const struct validate_negotiate_info_response *info) {
    uint8_t output[VALIDATE_RESPONSE_SIZE];
    struct writer output_writer = writer_over(output, sizeof output);
    validate_response_encode(info, &output_writer);
    struct ioctl_response ioctl = {.structure_size = 49,
                                   .ctl_code = FSCTL_VALIDATE_NEGOTIATE_INFO,
                                   .input_offset = 112,
                                   .output_offset = 112,
                                   .output_count = VALIDATE_RESPONSE_SIZE,
                                   .output = writer_done(&output_writer)};
    memset(ioctl.file_id, 0xff, sizeof ioctl.file_id);
    struct smb2_header header = header_of(exchange, SMB2_IOCTL, SMB2_FLAGS_SERVER_TO_REDIR | SMB2_FLAGS_SIGNED);
    struct writer writer = octets_writer(&exchange->info_response);
    ioctl_response_encode(&header, &ioctl, &writer);
    octets_finish(&exchange->info_response, &writer);
}

struct verdict exchange_serve_info(struct exchange *exchange, enum protection protection) {
    struct message message;
    struct validate_negotiate_info_response info;
    message_decode(octets_span(&exchange->info_request), exchange->info_request.size, &message);
    struct verdict verdict =
        server_validate_info(&message, &exchange->server, &exchange->server_policy, protection, &info);
    exchange->info_response.size = 0;
    if (verdict_goes_on(&verdict))
        encode_info(exchange, &info);
    else if (verdict.action == ACTION_REFUSE)
        encode_error(exchange, SMB2_IOCTL, verdict.status, &exchange->info_response);
    exchange->message_id++;
    return verdict;
}

struct verdict exchange_receive_info(struct exchange *exchange, enum protection protection) {
    struct message message;
    message_decode(octets_span(&exchange->info_response), exchange->info_response.size, &message);
    return client_validate_info(&message, &exchange->client_policy, protection, &exchange->client);
}

void source_path(char *path, size_t size, const char *relative) {
    static const char here[] = "tests/unit/exchange.c";
    const char *root = getenv("SMBPROOF_SOURCE_ROOT");
    int length = (int)(strlen(__FILE__) - strlen(here));
    if (root != NULL)
        snprintf(path, size, "%s/%s", root, relative);
    else
        snprintf(path, size, "%.*s%s", length, __FILE__, relative);
}
