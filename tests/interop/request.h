/* The command line of the clients that tests drive: HOST PORT SHARE, then options and their values, as connect.c lists
 * them. */
#ifndef SMBPROOF_TESTS_REQUEST_H
#define SMBPROOF_TESTS_REQUEST_H

#include "auth/auth.h"
#include "core/policy.h"

struct request {
    const char *host, *share;
    uint16_t port;
    struct client_policy policy;
    struct auth_credentials credentials;
    uint8_t nt_hash[AUTH_NT_HASH_SIZE];
    bool again, without_chains, only_chains;
    unsigned wait_ms;
    int64_t timeout_ms;
};

/* Ends the program where the arguments are wrong. The password is taken from the environment. */
void read_arguments(struct request *request, int argc, char **argv);

#endif
