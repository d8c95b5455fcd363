/* One logon in one process: an initiator and an acceptor that hand each other their tokens. */
#ifndef SMBPROOF_TESTS_LOGON_H
#define SMBPROOF_TESTS_LOGON_H

#include "auth/acceptor.h"
#include "auth/auth.h"

struct logon {
    struct auth_initiator *initiator;
    struct auth_acceptor *acceptor;
    enum auth_state initiator_state, acceptor_state;
    unsigned tokens; /* that went over the wire, in both directions */
};

/* Changes the n-th token (from 0) on its way. */
typedef void logon_tamper(void *context, unsigned number, uint8_t *token, size_t *size);

void logon_run(struct logon *logon, const struct auth_credentials *credentials,
               const struct auth_acceptor_config *config, logon_tamper *tamper, void *context);
void logon_free(struct logon *logon);
/* Are both through, with the same key? */
bool logon_succeeded(const struct logon *logon);

/* A file of accounts in a folder of its own; the path is freed by accounts_file_remove(). */
char *accounts_file_make(const char *content);
void accounts_file_write(const char *path, const char *content);
void accounts_file_remove(char *path);

#endif
