#include "logon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LEGS_MAX 16u

/* The token as it arrives: a copy of its exact size, so that a read beyond it is noticed. */
static struct span deliver(struct span token, unsigned number, logon_tamper *tamper, void *context,
                           uint8_t **copy) {
    size_t size = token.size;

    *copy = malloc(size + 1);
    assert_non_null(*copy);
    if (size > 0)
        memcpy(*copy, token.data, size);
    if (tamper != NULL)
        tamper(context, number, *copy, &size);
    return (struct span){*copy, size};
}

void logon_run(struct logon *logon, const struct auth_credentials *credentials,
               const struct auth_acceptor_config *config, logon_tamper *tamper, void *context) {
    struct span token = {0};
    uint8_t *copy = NULL;

    *logon = (struct logon){.initiator = auth_initiator_new(credentials),
                            .acceptor = auth_acceptor_new(config),
                            .initiator_state = AUTH_CONTINUE,
                            .acceptor_state = AUTH_CONTINUE};
    assert_non_null(logon->initiator);
    assert_non_null(logon->acceptor);
    for (unsigned leg = 0; leg < LEGS_MAX; leg++) {
        struct span arrived = deliver(token, leg - 1, leg > 0 ? tamper : NULL, context, &copy);

        logon->initiator_state = auth_initiator_step(logon->initiator, arrived, &token);
        free(copy);
        if (logon->initiator_state != AUTH_CONTINUE || logon->acceptor_state != AUTH_CONTINUE)
            break;
        arrived = deliver(token, leg++, tamper, context, &copy);
        logon->acceptor_state = auth_acceptor_step(logon->acceptor, arrived, &token);
        free(copy);
        logon->tokens = leg + (logon->acceptor_state != AUTH_FAILED);
        if (logon->acceptor_state == AUTH_FAILED)
            break;
    }
}

void logon_free(struct logon *logon) {
    auth_initiator_free(logon->initiator);
    auth_acceptor_free(logon->acceptor);
}

bool logon_succeeded(const struct logon *logon) {
    return logon->initiator_state == AUTH_COMPLETE && logon->acceptor_state == AUTH_COMPLETE &&
           span_equal(auth_initiator_session_key(logon->initiator),
                      auth_acceptor_session_key(logon->acceptor));
}

void accounts_file_write(const char *path, const char *content) {
    char fresh[256];
    FILE *file;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "w");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

char *accounts_file_make(const char *content) {
    const char *folder = getenv("TMPDIR");
    char path[200];

    snprintf(path, sizeof path, "%s/smbproof-accounts-XXXXXX", folder ? folder : "/tmp");
    assert_non_null(mkdtemp(path));
    strcat(path, "/accounts");
    accounts_file_write(path, content);
    return strdup(path);
}

void accounts_file_remove(char *path) {
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    free(path);
}
