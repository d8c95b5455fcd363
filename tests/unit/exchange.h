/* For tests: one negotiation and its validation between two deciders, as octets, so that they can be changed on the
 * way. Nothing is signed: the tests say how a message is protected. */
#ifndef SMBPROOF_TESTS_EXCHANGE_H
#define SMBPROOF_TESTS_EXCHANGE_H

#include "core/client_validate.h"
#include "core/server_validate.h"

#define EXCHANGE_MESSAGE_MAX 1024

struct octets {
    uint8_t data[EXCHANGE_MESSAGE_MAX];
    size_t size;
};

struct exchange {
    struct client_policy client_policy;
    struct server_policy server_policy;
    struct fresh fresh;
    struct negotiation client, server; /* each side's record */
    uint64_t message_id;               /* of the next request */
    struct octets request, response, info_request, info_response;
};

/* Default policies, GUIDs and a time that are not zero. */
void exchange_init(struct exchange *exchange);
void exchange_set_dialects(struct id_list *list, const uint16_t *dialects, unsigned count);

/* Each step encodes or decodes one message; the deciding ones return the verdict. A step of the server leaves a
 * response to be read unless it disconnects. */
void exchange_offer(struct exchange *exchange);
void exchange_offer_smb1(struct exchange *exchange, const char *const *dialects, unsigned count);
struct verdict exchange_serve(struct exchange *exchange);
struct verdict exchange_receive(struct exchange *exchange);
void exchange_ask(struct exchange *exchange);
struct verdict exchange_serve_info(struct exchange *exchange, enum protection protection);
struct verdict exchange_receive_info(struct exchange *exchange, enum protection protection);

/* Offer, serve, receive; both must go on. */
void exchange_negotiate(struct exchange *exchange);

void octets_put(struct octets *octets, size_t offset, unsigned width, uint64_t value);
uint64_t octets_get(const struct octets *octets, size_t offset, unsigned width);
void octets_append(struct octets *octets, const void *data, size_t size);

/* The project's source tree: the environment's SMBPROOF_SOURCE_ROOT, or as the compiler saw it. */
void source_path(char *path, size_t size, const char *relative);

#endif
