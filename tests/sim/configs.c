#include "configs.h"

#include <string.h>

const struct config configs[] = {
    {"2.0.2-plain", 0x0202, false, false, CONFIG_PLAIN, 0, 0},
    {"2.0.2-signed", 0x0202, false, false, CONFIG_SIGNED, 0, 0},
    {"2.0.2-smb1", 0x0202, false, true, CONFIG_PLAIN, 0, 0},
    {"2.1-plain", 0x0210, false, false, CONFIG_PLAIN, 0, 0},
    {"2.1-signed", 0x0210, false, false, CONFIG_SIGNED, 0, 0},
    {"2.1-smb1", 0x0210, false, true, CONFIG_PLAIN, 0, 0},
    {"3.0-plain", 0x0300, false, false, CONFIG_PLAIN, 0, 0},
    {"3.0-signed", 0x0300, false, false, CONFIG_SIGNED, 0, 0},
    {"3.0-encrypted", 0x0300, false, false, CONFIG_ENCRYPTED, 0, 0},
    {"3.0-smb1", 0x0300, false, true, CONFIG_PLAIN, 0, 0},
    {"3.0.2-plain", 0x0302, false, false, CONFIG_PLAIN, 0, 0},
    {"3.0.2-signed", 0x0302, false, false, CONFIG_SIGNED, 0, 0},
    {"3.0.2-encrypted", 0x0302, false, false, CONFIG_ENCRYPTED, 0, 0},
    {"3.0.2-smb1", 0x0302, false, true, CONFIG_PLAIN, 0, 0},
    {"3.1.1-plain-hmac", 0x0311, false, false, CONFIG_PLAIN, SIGNING_HMAC_SHA256, CIPHER_AES_128_GCM},
    {"3.1.1-plain-cmac", 0x0311, false, false, CONFIG_PLAIN, SIGNING_AES_CMAC, CIPHER_AES_128_GCM},
    {"3.1.1-plain-gmac", 0x0311, false, false, CONFIG_PLAIN, SIGNING_AES_GMAC, CIPHER_AES_128_GCM},
    {"3.1.1-signed-hmac", 0x0311, false, false, CONFIG_SIGNED, SIGNING_HMAC_SHA256, CIPHER_AES_128_GCM},
    {"3.1.1-signed-cmac", 0x0311, false, false, CONFIG_SIGNED, SIGNING_AES_CMAC, CIPHER_AES_128_GCM},
    {"3.1.1-signed-gmac", 0x0311, false, false, CONFIG_SIGNED, SIGNING_AES_GMAC, CIPHER_AES_128_GCM},
    {"3.1.1-ccm128", 0x0311, false, false, CONFIG_ENCRYPTED, SIGNING_AES_GMAC, CIPHER_AES_128_CCM},
    {"3.1.1-gcm128", 0x0311, false, false, CONFIG_ENCRYPTED, SIGNING_AES_GMAC, CIPHER_AES_128_GCM},
    {"3.1.1-ccm256", 0x0311, false, false, CONFIG_ENCRYPTED, SIGNING_AES_GMAC, CIPHER_AES_256_CCM},
    {"3.1.1-gcm256", 0x0311, false, false, CONFIG_ENCRYPTED, SIGNING_AES_GMAC, CIPHER_AES_256_GCM},
    {"3.1.1-smb1", 0x0311, false, true, CONFIG_PLAIN, SIGNING_AES_GMAC, CIPHER_AES_128_GCM},
    {"old-2.0.2-plain", 0x0202, true, false, CONFIG_PLAIN, 0, 0},
    {"old-2.0.2-signed", 0x0202, true, false, CONFIG_SIGNED, 0, 0},
    {"old-2.1-plain", 0x0210, true, false, CONFIG_PLAIN, 0, 0},
    {"old-2.1-signed", 0x0210, true, false, CONFIG_SIGNED, 0, 0},
};
const unsigned configs_count = sizeof configs / sizeof configs[0];

static const uint16_t dialects[] = {0x0202, 0x0210, 0x0300, 0x0302, 0x0311};

const struct config *config_find(const char *name) {
    for (unsigned i = 0; i < configs_count; i++)
        if (strcmp(configs[i].name, name) == 0)
            return &configs[i];
    return NULL;
}

static void list_up_to(struct id_list *list, uint16_t greatest) {
    list->count = 0;
    for (unsigned i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
        if (dialects[i] <= greatest)
            list->ids[list->count++] = dialects[i];
}

static void list_add(struct id_list *list, uint16_t id) {
    list->ids[list->count++] = id;
}

/* Below 3.0 both ends have a 3.x dialect that the other one has not: they validate, and agree on less. */
static void set_dialects(const struct config *config, struct world *world) {
    struct id_list *client = &world->policy.dialects, *server = &world->host.policy.dialects;
    list_up_to(client, 0x0311);
    list_up_to(server, config->dialect);
    if (dialect_is_3x(config->dialect) || config->old_server)
        return;
    list_up_to(client, config->dialect);
    list_add(client, SMB2_DIALECT_311);
    list_add(server, SMB2_DIALECT_302);
}

void config_apply(const struct config *config, struct world *world) {
    set_dialects(config, world);
    world->policy.offers_smb1_first = config->smb1;
    world->policy.signing_required = config->protection == CONFIG_SIGNED;
    world->host.policy.encryption = config->protection == CONFIG_ENCRYPTED ? ENCRYPTION_MUST : ENCRYPTION_OFFERED;
    if (config->dialect != SMB2_DIALECT_311)
        return;
    world->host.policy.signing_algorithms = (struct id_list){{config->signing}, 1};
    world->host.policy.ciphers = (struct id_list){{config->cipher}, 1};
}
