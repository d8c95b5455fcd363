#include "probe/contexts.h"

void contexts_begin(struct contexts *contexts) {
    contexts->writer = writer_over(contexts->octets, sizeof contexts->octets);
    contexts->count = 0;
}

void contexts_add(struct contexts *contexts, uint16_t type, struct span data) {
    struct context context = {.type = type, .data_length = (uint16_t)data.size, .data = data};

    context_encode(&context, &contexts->writer);
    contexts->count++;
}

void contexts_add_ids(struct contexts *contexts, uint16_t type, const uint16_t *ids, unsigned count) {
    static const uint8_t salt[CLIENT_SALT_SIZE] = {1};
    uint8_t id_octets[32], data[96];
    struct writer id_writer = writer_over(id_octets, sizeof id_octets), writer = writer_over(data, sizeof data);
    struct context_ids list = {.count = (uint16_t)count};

    for (unsigned i = 0; i < count; i++)
        writer_u16(&id_writer, ids[i]);
    list.ids = writer_done(&id_writer);
    if (type == CONTEXT_PREAUTH_INTEGRITY) {
        list.salt_length = sizeof salt;
        list.rest = (struct span){salt, sizeof salt};
    }
    context_ids_encode(type, &list, &writer);
    contexts_add(contexts, type, writer_done(&writer));
}

void contexts_add_hash(struct contexts *contexts) {
    static const uint16_t hashes[] = {HASH_SHA512};

    contexts_add_ids(contexts, CONTEXT_PREAUTH_INTEGRITY, hashes, 1);
}

void contexts_add_ciphers(struct contexts *contexts) {
    static const uint16_t ciphers[] = {CIPHER_AES_128_GCM, CIPHER_AES_128_CCM, CIPHER_AES_256_GCM, CIPHER_AES_256_CCM};

    contexts_add_ids(contexts, CONTEXT_ENCRYPTION, ciphers, 4);
}

void contexts_place(const struct contexts *contexts, struct client_offer *offer) {
    offer->request.contexts = (struct span){contexts->octets, contexts->writer.at};
    offer->request.negotiate_context_count = contexts->count;
    if (contexts->count == 0)
        offer->request.negotiate_context_offset = 0;
}
