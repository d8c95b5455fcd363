/* src/auth's acceptor against any tokens: no crash, no leak, and nobody gets in.
 *
 * The input is a list of tokens, each behind its size in two octets, for an acceptor that knows one
 * user whose hash is nobody's, and no anonymous logon; then the same tokens once more for one that
 * lets in guests and anonymous, who must end without a key. Where the tokens are those of a client
 * that answers challenges, the challenge is not the one that it answered. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/acceptor.h"
#include "wire/text.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static struct accounts *accounts_make(void) {
    static const char text[] = "alice:0123456789ABCDEF0123456789ABCDEF:\n"
                               "gone:0123456789ABCDEF0123456789ABCDEF:disabled\n";
    char path[] = "/tmp/smbproof-fuzz-XXXXXX";
    struct accounts *accounts = NULL;
    int file = mkstemp(path);

    CHECK(file >= 0 && write(file, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    close(file);
    CHECK(accounts_open(path, &accounts, NULL) == 0);
    unlink(path); /* the table stays in force */
    return accounts;
}

static void check_through(const struct auth_acceptor *acceptor,
                          const struct auth_acceptor_config *config) {
    bool nameless = auth_acceptor_is_anonymous(acceptor) || auth_acceptor_is_guest(acceptor);

    CHECK(config->allow_guest && nameless);
    CHECK(auth_acceptor_session_key(acceptor).size == 0);
    CHECK(strlen(auth_acceptor_user(acceptor)) < AUTH_NAME_MAX);
}

static void feed(struct span bytes, const struct auth_acceptor_config *config) {
    struct auth_acceptor *acceptor = auth_acceptor_new(config);
    struct reader reader = reader_over(bytes);
    enum auth_state state = AUTH_CONTINUE;
    unsigned legs = 0;

    CHECK(acceptor != NULL);
    while (reader_left(&reader) > 0 && state == AUTH_CONTINUE) {
        size_t size = reader_u16(&reader);
        struct span token, out;
        uint8_t *copy;

        if (size > reader_left(&reader))
            size = reader_left(&reader);
        token = reader_take(&reader, size);
        copy = malloc(size + 1); /* of its own, so that a read beyond it is noticed */
        CHECK(copy != NULL);
        if (size > 0)
            memcpy(copy, token.data, size);
        state = auth_acceptor_step(acceptor, (struct span){copy, size}, &out);
        free(copy);
        CHECK(++legs <= AUTH_LEGS_MAX + 1);
        CHECK(out.size <= AUTH_TOKEN_MAX);
        if (state == AUTH_FAILED)
            CHECK(auth_acceptor_status(acceptor) != 0 && auth_acceptor_reason(acceptor)[0] != '\0');
    }
    if (state == AUTH_COMPLETE)
        check_through(acceptor, config);
    auth_acceptor_free(acceptor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct auth_acceptor_config strict, open;

    if (strict.accounts == NULL) {
        strict.accounts = accounts_make();
        strict.computer = "FILES";
        open = strict;
        open.allow_anonymous = open.allow_guest = true;
    }
    feed((struct span){data, size}, &strict);
    feed((struct span){data, size}, &open);
    return 0;
}
