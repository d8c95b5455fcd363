#include "core/client_offer.h"

#include <assert.h>
#include <string.h>

#define DIALECTS_OFFSET 100u /* from the protocol id (2.2.3) */

uint32_t client_capabilities(const struct client_policy *policy) {
    if (!dialect_is_3x(id_list_greatest(&policy->dialects)))
        return 0; /* a client of 2.x has none (2.2.3) */
    uint32_t encryption = policy->encryption != ENCRYPTION_OFF ? SMB2_GLOBAL_CAP_ENCRYPTION : 0;
    return (policy->capabilities & ~(uint32_t)SMB2_GLOBAL_CAP_ENCRYPTION) | encryption;
}

uint16_t client_security_mode(const struct client_policy *policy) {
    return policy->signing_required ? SMB2_SIGNING_REQUIRED : SMB2_SIGNING_ENABLED;
}

/* 3.1.1 is not spoken over NetBIOS (2.1). */
static struct span put_dialects(const struct client_policy *policy, struct client_offer *offer) {
    struct writer writer = writer_over(offer->dialects, sizeof offer->dialects);
    for (unsigned i = 0; i < policy->dialects.count; i++)
        if (policy->transport == TRANSPORT_DIRECT_TCP || policy->dialects.ids[i] != SMB2_DIALECT_311)
            writer_u16(&writer, policy->dialects.ids[i]);
    return writer_done(&writer);
}

static void put_context(struct writer *writer, uint16_t type, const struct id_list *list, struct span salt) {
    uint8_t id_octets[2 * POLICY_IDS_MAX];
    struct writer id_writer = writer_over(id_octets, sizeof id_octets);
    for (unsigned i = 0; i < list->count; i++)
        writer_u16(&id_writer, list->ids[i]);
    const struct context_ids ids = {.count = list->count,
                                    .salt_length = (uint16_t)salt.size,
                                    .ids = writer_done(&id_writer),
                                    .rest = salt};
    uint8_t data[8 + 2 * POLICY_IDS_MAX + CLIENT_SALT_SIZE];
    struct writer data_writer = writer_over(data, sizeof data);
    context_ids_encode(type, &ids, &data_writer);
    struct context context = {.type = type, .data = writer_done(&data_writer)};
    context.data_length = (uint16_t)context.data.size;
    context_encode(&context, writer);
}

static void put_contexts(const struct client_policy *policy, const uint8_t *salt, struct client_offer *offer) {
    static const struct id_list hashes = {{HASH_SHA512}, 1};
    const struct span nothing = {NULL, 0};
    struct writer writer = writer_over(offer->contexts, sizeof offer->contexts);
    uint16_t count = 1;
    put_context(&writer, CONTEXT_PREAUTH_INTEGRITY, &hashes, (struct span){salt, CLIENT_SALT_SIZE});
    if (policy->encryption != ENCRYPTION_OFF && policy->ciphers.count > 0) {
        put_context(&writer, CONTEXT_ENCRYPTION, &policy->ciphers, nothing);
        count++;
    }
    if (policy->signing_algorithms.count > 0) {
        put_context(&writer, CONTEXT_SIGNING, &policy->signing_algorithms, nothing);
        count++;
    }
    struct negotiate_request *request = &offer->request;
    request->contexts = writer_done(&writer);
    request->negotiate_context_count = count;
    request->negotiate_context_offset = (uint32_t)((DIALECTS_OFFSET + request->dialects.size + 7) / 8 * 8);
    assert(request->contexts.size > 0);
}

void client_offer_fill(const struct client_policy *policy, const uint8_t salt[CLIENT_SALT_SIZE],
                       struct client_offer *offer) {
    struct negotiate_request *request = &offer->request;
    *request = (struct negotiate_request){
        .structure_size = 36,
        .security_mode = client_security_mode(policy),
        .capabilities = client_capabilities(policy),
    };
    /* A client that implements only 2.0.2 has no GUID (2.2.3). */
    if (id_list_greatest(&policy->dialects) > SMB2_DIALECT_202)
        memcpy(request->client_guid, policy->guid, sizeof request->client_guid);
    request->dialects = put_dialects(policy, offer);
    request->dialect_count = (uint16_t)(request->dialects.size / 2);
    if (negotiate_offers(request, SMB2_DIALECT_311))
        put_contexts(policy, salt, offer);
}
