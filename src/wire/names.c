#include "wire/names.h"

#include <stddef.h>

struct name {
    uint32_t value;
    const char *text;
};

static const char *name_of(const struct name *names, size_t count, uint32_t value) {
    for (size_t i = 0; i < count; i++)
        if (names[i].value == value)
            return names[i].text;
    return NULL;
}
#define NAME_OF(names, value) name_of(names, sizeof(names) / sizeof((names)[0]), value)

const char *ntstatus_name(uint32_t status) {
    static const struct name names[] = {
#define ONE(name, value) {value, "STATUS_" #name},
        NTSTATUS_LIST(ONE)
#undef ONE
    };

    return NAME_OF(names, status);
}

const char *command_name(uint16_t command) {
    static const char *const names[] = {
        "NEGOTIATE",
        "SESSION_SETUP",
        "LOGOFF",
        "TREE_CONNECT",
        "TREE_DISCONNECT",
        "CREATE",
        "CLOSE",
        "FLUSH",
        "READ",
        "WRITE",
        "LOCK",
        "IOCTL",
        "CANCEL",
        "ECHO",
        "QUERY_DIRECTORY",
        "CHANGE_NOTIFY",
        "QUERY_INFO",
        "SET_INFO",
        "OPLOCK_BREAK",
        "SERVER_TO_CLIENT_NOTIFICATION",
    };

    return command < sizeof names / sizeof names[0] ? names[command] : "unknown command";
}

static const char *copied(const char *from, char text[16]) {
    size_t at = 0;

    for (; from[at] != '\0' && at < 15; at++)
        text[at] = from[at];
    text[at] = '\0';
    return text;
}

const char *dialect_text(uint16_t dialect, char text[16]) {
    static const struct name names[] = {
        {SMB2_DIALECT_202, "2.0.2"}, {SMB2_DIALECT_210, "2.1"},   {SMB2_DIALECT_WILDCARD, "2.???"},
        {SMB2_DIALECT_300, "3.0"},   {SMB2_DIALECT_302, "3.0.2"}, {SMB2_DIALECT_311, "3.1.1"},
    };
    const char *name = NAME_OF(names, dialect);
    char hex[7] = "0x0000";

    if (name != NULL)
        return copied(name, text);
    for (unsigned i = 0; i < 4; i++)
        hex[5 - i] = "0123456789abcdef"[dialect >> (4 * i) & 15];
    return copied(hex, text);
}

const char *cipher_name(uint16_t cipher) {
    static const struct name names[] = {
        {CIPHER_NONE, "none"},
        {CIPHER_AES_128_CCM, "AES-128-CCM"},
        {CIPHER_AES_128_GCM, "AES-128-GCM"},
        {CIPHER_AES_256_CCM, "AES-256-CCM"},
        {CIPHER_AES_256_GCM, "AES-256-GCM"},
    };
    const char *name = NAME_OF(names, cipher);

    return name != NULL ? name : "unknown cipher";
}

const char *signing_name(uint16_t signing) {
    static const struct name names[] = {
        {SIGNING_HMAC_SHA256, "HMAC-SHA256"},
        {SIGNING_AES_CMAC, "AES-CMAC"},
        {SIGNING_AES_GMAC, "AES-GMAC"},
    };
    const char *name = NAME_OF(names, signing);

    return name != NULL ? name : "unknown algorithm";
}

const char *hash_name(uint16_t hash) {
    return hash == HASH_SHA512 ? "SHA-512" : "unknown hash";
}

const char *compression_name(uint16_t compression) {
    static const char *const names[] = {"none",         "LZNT1",      "LZ77",
                                        "LZ77+Huffman", "Pattern_V1", "LZ4"};

    return compression < sizeof names / sizeof names[0] ? names[compression] : "unknown algorithm";
}

const char *context_type_name(uint16_t type) {
    static const struct name names[] = {
        {CONTEXT_PREAUTH_INTEGRITY, "SMB2_PREAUTH_INTEGRITY_CAPABILITIES"},
        {CONTEXT_ENCRYPTION, "SMB2_ENCRYPTION_CAPABILITIES"},
        {CONTEXT_COMPRESSION, "SMB2_COMPRESSION_CAPABILITIES"},
        {CONTEXT_NETNAME, "SMB2_NETNAME_NEGOTIATE_CONTEXT_ID"},
        {CONTEXT_TRANSPORT, "SMB2_TRANSPORT_CAPABILITIES"},
        {CONTEXT_RDMA_TRANSFORM, "SMB2_RDMA_TRANSFORM_CAPABILITIES"},
        {CONTEXT_SIGNING, "SMB2_SIGNING_CAPABILITIES"},
    };
    const char *name = NAME_OF(names, type);

    return name != NULL ? name : "unknown context";
}

const char *capability_name(uint32_t bit) {
    static const struct name names[] = {
        {SMB2_GLOBAL_CAP_DFS, "DFS"},
        {SMB2_GLOBAL_CAP_LEASING, "LEASING"},
        {SMB2_GLOBAL_CAP_LARGE_MTU, "LARGE_MTU"},
        {SMB2_GLOBAL_CAP_MULTI_CHANNEL, "MULTI_CHANNEL"},
        {SMB2_GLOBAL_CAP_PERSISTENT_HANDLES, "PERSISTENT_HANDLES"},
        {SMB2_GLOBAL_CAP_DIRECTORY_LEASING, "DIRECTORY_LEASING"},
        {SMB2_GLOBAL_CAP_ENCRYPTION, "ENCRYPTION"},
        {SMB2_GLOBAL_CAP_NOTIFICATIONS, "NOTIFICATIONS"},
    };

    return NAME_OF(names, bit);
}

const char *security_mode_name(uint16_t bit) {
    static const struct name names[] = {
        {SMB2_SIGNING_ENABLED, "SIGNING_ENABLED"},
        {SMB2_SIGNING_REQUIRED, "SIGNING_REQUIRED"},
    };

    return NAME_OF(names, bit);
}
