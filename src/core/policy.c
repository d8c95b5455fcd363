#include "core/policy.h"

#include "wire/messages.h"

#include <string.h>

bool id_list_has(const struct id_list *list, uint16_t id) {
    for (unsigned i = 0; i < list->count; i++)
        if (list->ids[i] == id)
            return true;
    return false;
}

uint16_t id_list_greatest(const struct id_list *list) {
    uint16_t greatest = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (list->ids[i] > greatest)
            greatest = list->ids[i];
    return greatest;
}

bool dialect_is_3x(uint16_t dialect) {
    return dialect == SMB2_DIALECT_300 || dialect == SMB2_DIALECT_302 || dialect == SMB2_DIALECT_311;
}

static const struct id_list all_dialects = {
    {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302, SMB2_DIALECT_311}, 5};

/* GCM before CCM for its speed; 128 before 256 bits as Windows and Samba do. */
static const struct id_list all_ciphers = {
    {CIPHER_AES_128_GCM, CIPHER_AES_128_CCM, CIPHER_AES_256_GCM, CIPHER_AES_256_CCM}, 4};

static const struct id_list all_signing_algorithms = {
    {SIGNING_AES_GMAC, SIGNING_AES_CMAC, SIGNING_HMAC_SHA256}, 3};

void client_policy_defaults(struct client_policy *policy) {
    *policy = (struct client_policy){
        .dialects = all_dialects,
        .capabilities = SMB2_GLOBAL_CAP_DFS | SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU,
        .encryption = ENCRYPTION_OFFERED,
        .ciphers = all_ciphers,
        .signing_algorithms = all_signing_algorithms,
        .transport = TRANSPORT_DIRECT_TCP,
        .require_secure_negotiate = true,
        .refuse_unvalidated_3x = true,
    };
}

void server_policy_defaults(struct server_policy *policy) {
    *policy = (struct server_policy){
        .dialects = all_dialects,
        .capabilities = SMB2_GLOBAL_CAP_DFS | SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU,
        .encryption = ENCRYPTION_OFFERED,
        .ciphers = all_ciphers,
        .signing_algorithms = all_signing_algorithms,
        .transport = TRANSPORT_DIRECT_TCP,
        .max_transact_size = SIZE_USUAL,
        .max_read_size = SIZE_USUAL,
        .max_write_size = SIZE_USUAL,
        .compare_all_dialects = true,
    };
}

bool server_policy_implements_3x(const struct server_policy *policy) {
    return dialect_is_3x(id_list_greatest(&policy->dialects));
}
