#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/names.h"

static void usage(const char *what) {
    fprintf(stderr, "cannot use %s\n", what);
    exit(2);
}

static uint16_t dialect_of(const char *text) {
    static const uint16_t dialects[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                        SMB2_DIALECT_311};
    char name[16];

    for (unsigned i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (strcmp(dialect_text(dialects[i], name), text) == 0)
            return dialects[i];
    usage(text);
    return 0;
}

/* "3.0,3.1.1"; ciphers and signing algorithms as numbers. */
static void read_list(struct id_list *list, const char *value, bool are_dialects) {
    char copy[128], *rest = copy, *item;

    snprintf(copy, sizeof copy, "%s", value);
    list->count = 0;
    while ((item = strsep(&rest, ",")) != NULL && list->count < POLICY_IDS_MAX)
        list->ids[list->count++] = are_dialects ? dialect_of(item) : (uint16_t)strtoul(item, NULL, 0);
}

static void read_hash(uint8_t *hash, const char *value) {
    for (unsigned i = 0; i < AUTH_NT_HASH_SIZE; i++) {
        unsigned octet;

        if (sscanf(value + 2 * (size_t)i, "%2x", &octet) != 1)
            usage(value);
        hash[i] = (uint8_t)octet;
    }
}

static void read_policy_option(struct client_policy *policy, const char *name, const char *value) {
    if (strcmp(name, "dialects") == 0)
        read_list(&policy->dialects, value, true);
    else if (strcmp(name, "ciphers") == 0)
        read_list(&policy->ciphers, value, false);
    else if (strcmp(name, "signing") == 0)
        read_list(&policy->signing_algorithms, value, false);
    else if (strcmp(name, "sign") == 0)
        policy->signing_required = strcmp(value, "required") == 0;
    else if (strcmp(name, "encrypt") == 0)
        policy->encryption = strcmp(value, "required") == 0 ? ENCRYPTION_MUST : ENCRYPTION_OFF;
    else if (strcmp(name, "guest") == 0)
        policy->allow_guest = true;
    else if (strcmp(name, "smb1") == 0)
        policy->offers_smb1_first = true;
    else if (strcmp(name, "netbios") == 0)
        policy->transport = TRANSPORT_NETBIOS;
    else if (strcmp(name, "secure-negotiate") == 0)
        policy->require_secure_negotiate = false;
    else
        usage(name);
}

static void read_option(struct request *request, const char *name, const char *value) {
    struct auth_credentials *credentials = &request->credentials;

    if (strcmp(name, "user") == 0) {
        credentials->user = value;
    } else if (strcmp(name, "domain") == 0) {
        credentials->domain = value;
    } else if (strcmp(name, "anonymous") == 0) {
        credentials->method = AUTH_METHOD_ANONYMOUS;
    } else if (strcmp(name, "kerberos") == 0) {
        credentials->method = AUTH_METHOD_KERBEROS;
    } else if (strcmp(name, "nt-hash") == 0) {
        read_hash(request->nt_hash, value);
        credentials->nt_hash = request->nt_hash;
    } else if (strcmp(name, "again") == 0) {
        request->again = true;
    } else if (strcmp(name, "wait") == 0) {
        request->wait_ms = (unsigned)atoi(value);
    } else if (strcmp(name, "chains") == 0) {
        request->without_chains = strcmp(value, "no") == 0;
        request->only_chains = strcmp(value, "only") == 0;
    } else if (strcmp(name, "timeout") == 0) {
        request->timeout_ms = atoi(value);
    } else {
        read_policy_option(&request->policy, name, value);
    }
}

void read_arguments(struct request *request, int argc, char **argv) {
    if (argc < 4 || argc % 2 != 0)
        usage("these arguments");
    request->host = argv[1];
    request->port = (uint16_t)atoi(argv[2]);
    request->share = argv[3];
    request->timeout_ms = 10000;
    request->credentials.method = AUTH_METHOD_NTLM;
    request->credentials.password = getenv("SMBPROOF_PASSWORD");
    client_policy_defaults(&request->policy);
    for (int i = 4; i < argc; i += 2)
        read_option(request, argv[i], argv[i + 1]);
}
