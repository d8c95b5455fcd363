#include "explain/ntlm.h"

#include <string.h>

#define NTLM_ANONYMOUS 0x00000800u
#define NTLM_VERSION 0x02000000u
#define NTLM_V1_RESPONSE_SIZE 24u

/* Where the NTLMSSP message begins in the token; the message reaches to the token's end at most. */
static struct span ntlm_find(struct span token) {
    static const uint8_t signature[8] = "NTLMSSP";
    const uint8_t *at = token.size < 12 ? NULL : memmem(token.data, token.size, signature, 8);

    if (at == NULL)
        return (struct span){0};
    return span_slice(token, (size_t)(at - token.data), token.size);
}

static uint16_t field_length(struct span message, size_t offset) {
    struct reader reader = reader_over(span_slice(message, offset, 2));

    return reader_u16(&reader);
}

static uint32_t flags_at(struct span message, size_t offset) {
    struct reader reader = reader_over(span_slice(message, offset, 4));

    return reader_u32(&reader);
}

static bool version_at(struct span message, uint32_t flags, size_t offset, uint8_t version[8]) {
    struct span found = span_slice(message, offset, 8);

    if (!(flags & NTLM_VERSION) || found.size < 8)
        return false;
    memcpy(version, found.data, 8);
    return version[0] != 0;
}

bool ntlm_look(struct span token, struct ntlm_evidence *ntlm) {
    struct span message = ntlm_find(token);
    struct reader reader = reader_over(message);

    reader_skip(&reader, 8);
    switch (reader_u32(&reader)) {
    case 1:
        ntlm->seen_negotiate = true;
        ntlm->has_client_version |=
            version_at(message, flags_at(message, 12), 32, ntlm->client_version);
        break;
    case 2:
        ntlm->seen_challenge = true;
        ntlm->has_server_version |=
            version_at(message, flags_at(message, 20), 48, ntlm->server_version);
        break;
    case 3: {
        uint16_t response = field_length(message, 20);

        if (message.size < 64)
            break;
        ntlm->seen_authenticate = true;
        ntlm->flags = flags_at(message, 60);
        ntlm->anonymous = (field_length(message, 36) == 0 && response == 0) ||
                          (ntlm->flags & NTLM_ANONYMOUS && response == 0);
        ntlm->is_v1 = response == NTLM_V1_RESPONSE_SIZE;
        ntlm->has_client_version |= version_at(message, ntlm->flags, 64, ntlm->client_version);
        break;
    }
    default:
        break;
    }
    return message.size > 0;
}

bool token_is_kerberos(struct span token) {
    static const uint8_t kerberos[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};
    static const uint8_t ap_req[] = {0x6e};

    if (ntlm_find(token).size > 0 || token.size < sizeof kerberos)
        return false;
    return memmem(token.data, token.size, kerberos, sizeof kerberos) != NULL &&
           memchr(token.data, ap_req[0], token.size) != NULL;
}
