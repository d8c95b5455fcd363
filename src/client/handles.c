#include "client/handles.h"

static struct aead_key *cipher_new(const struct client *client, enum aead_use use, const uint8_t *key) {
    return aead_key_new(client->negotiation.agreed.cipher, use, (struct span){key, client->keys.cipher_size});
}

bool client_handles_new(const struct client *client, struct client_handles *handles) {
    const struct negotiation_agreed *agreed = &client->negotiation.agreed;
    bool has_cipher = client->keys.cipher_size > 0;
    enum mac_algorithm algorithm;

    *handles = (struct client_handles){NULL, NULL, NULL};
    if (!signing_algorithm_find(agreed->dialect, agreed->signing_algorithm, &algorithm))
        return false;
    handles->mac = mac_key_new(algorithm, (struct span){client->keys.signing, SESSION_KEY_SIZE});
    if (has_cipher) {
        handles->seal = cipher_new(client, AEAD_SEAL, client->keys.client_to_server);
        handles->open = cipher_new(client, AEAD_OPEN, client->keys.server_to_client);
    }
    if (handles->mac != NULL && (!has_cipher || (handles->seal != NULL && handles->open != NULL)))
        return true;
    client_handles_free(handles);
    return false;
}

void client_handles_free(struct client_handles *handles) {
    mac_key_free(handles->mac);
    aead_key_free(handles->seal);
    aead_key_free(handles->open);
    *handles = (struct client_handles){NULL, NULL, NULL};
}
