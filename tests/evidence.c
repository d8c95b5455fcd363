/* Prints what src/explain read of the NEGOTIATE and VALIDATE messages of some captures, for tests/tshark_check.py to
 * hold against what Wireshark's dissectors say: a line of JSON per connection. usage: evidence FILE... */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "capture/capture.h"
#include "explain/watch.h"

static void print_guid(const uint8_t guid[16]) {
    for (unsigned i = 0; i < 16; i++)
        printf("%02x", guid[i]);
}

static void print_dialects(const uint16_t *dialects, unsigned count) {
    printf("\"dialects\":[");
    for (unsigned i = 0; i < count; i++)
        printf("%s%u", i > 0 ? "," : "", dialects[i]);
    printf("]");
}

static void print_fields(uint32_t capabilities, uint16_t security_mode, const uint8_t guid[16]) {
    printf("\"capabilities\":%" PRIu32 ",\"security_mode\":%u,\"guid\":\"", capabilities, security_mode);
    print_guid(guid);
    printf("\",");
}

static void print_negotiate(const struct negotiate_evidence *negotiate) {
    const struct negotiate_side *request = &negotiate->request, *response = &negotiate->response;

    if (request->decoded) {
        printf("{\"kind\":\"NEGOTIATE request\",\"packet\":%" PRIu64 ",", request->packet);
        print_fields(request->capabilities, request->security_mode, request->guid);
        print_dialects(negotiate->dialects, negotiate->dialect_count);
        printf("},");
    }
    if (response->decoded) {
        printf("{\"kind\":\"NEGOTIATE response\",\"packet\":%" PRIu64 ",", response->packet);
        print_fields(response->capabilities, response->security_mode, response->guid);
        print_dialects(&negotiate->dialect, 1);
        printf("},");
    }
}

static void print_validation(const struct validation_evidence *validation) {
    if (validation->request_decoded) {
        printf("{\"kind\":\"VALIDATE request\",\"packet\":%" PRIu64 ",", validation->request_packet);
        print_fields(validation->request_capabilities, validation->request_security_mode, validation->request_guid);
        print_dialects(validation->dialects, validation->dialects_kept);
        printf("},");
    }
    if (validation->response_decoded) {
        printf("{\"kind\":\"VALIDATE response\",\"packet\":%" PRIu64 ",", validation->response_packet);
        print_fields(validation->response_capabilities, validation->response_security_mode, validation->response_guid);
        print_dialects(&validation->dialect, 1);
        printf("},");
    }
}

static bool is_smb1_negotiate(const struct log_entry *entry) {
    return entry->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST || entry->kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE;
}

/* Is it SMB2's NEGOTIATE or VALIDATE? */
static bool is_wanted(const struct log_entry *entry) {
    return entry->kind >= MESSAGE_NEGOTIATE_REQUEST && entry->kind < MESSAGE_TRANSFORM &&
           (entry->command == SMB2_NEGOTIATE || entry->validate);
}

static void print_log(const struct log_entry *entries, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (is_smb1_negotiate(&entries[i]) || is_wanted(&entries[i]))
            printf("{\"packet\":%" PRIu64 ",\"from\":%u,\"validate\":%s,\"smb1\":%s},", (uint64_t)entries[i].packet,
                   (unsigned)entries[i].from, entries[i].validate ? "true" : "false",
                   is_smb1_negotiate(&entries[i]) ? "true" : "false");
}

/* The first packet behind which octets are missing; 0: none are. */
static uint64_t first_gap(const struct tcp_side tcp[2]) {
    uint64_t client = tcp[FROM_CLIENT].gap_packet, server = tcp[FROM_SERVER].gap_packet;

    return client == 0 || (server != 0 && server < client) ? server : client;
}

static void print_evidence(void *context, struct evidence *evidence) {
    char client[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX];
    uint64_t tail = evidence->log_seen - evidence->log_count;

    if (!evidence->smb)
        return;
    endpoint_text(&evidence->client, client);
    endpoint_text(&evidence->server, server);
    printf("{\"file\":\"%s\",\"client\":\"%s\",\"server\":\"%s\",\"gap\":%" PRIu64 ",\"decoded\":[",
           (const char *)context, client, server, first_gap(evidence->tcp));
    print_negotiate(&evidence->negotiate);
    for (uint32_t i = 0; i < evidence->validations_count; i++)
        print_validation(&evidence->validations[i]);
    printf("null],\"messages\":[");
    print_log(evidence->log, evidence->log_count);
    print_log(evidence->log_tail, tail < EVIDENCE_LOG_TAIL_MAX ? tail : EVIDENCE_LOG_TAIL_MAX);
    printf("null],\"dialect\":%u}\n", evidence->negotiate.dialect);
}

static bool print_capture(const char *path) {
    struct flow_sink sink;
    struct watch watch;
    bool good;
    struct capture_error error;
    struct capture *capture;
    struct packet packet;
    struct segment segment;
    struct flows *flows;
    struct link *link;

    if (capture_open(&capture, path, &error) != 0)
        return true; /* not a capture: nothing to hold against anything */
    watch_init(&watch, 0, print_evidence, (void *)(uintptr_t)path);
    sink = watch_sink(&watch);
    flows = flows_new(&sink);
    link = link_new();
    if (flows == NULL || link == NULL)
        return false;
    while (capture_next(capture, &packet) == CAPTURE_PACKET)
        if (link_decode(link, &packet, &segment) == LINK_SEGMENT)
            flows_segment(flows, &packet, &segment);
    flows_finish(flows);
    flows_free(flows);
    good = !watch_is_incomplete(&watch);
    watch_free(&watch);
    link_free(link);
    capture_close(capture);
    return good;
}

int main(int argc, char **argv) {
    bool good = argc > 1;

    for (int i = 1; i < argc && good; i++)
        good = print_capture(argv[i]);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
