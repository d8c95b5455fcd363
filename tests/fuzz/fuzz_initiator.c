/* src/auth's initiator against any tokens: no crash, no leak, and no server that proves itself
 * without the password.
 *
 * The input is a list of tokens, each behind its size in two octets. An initiator may be through at
 * the end, since a server that does not sign may still be one (impacket's); but it has its own key
 * then, which nobody else has. */
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check_through(const struct auth_initiator *initiator) {
    size_t size = auth_initiator_session_key(initiator).size;

    CHECK(size == (auth_initiator_is_anonymous(initiator) ? 0 : 16));
    CHECK(strcmp(auth_initiator_mechanism(initiator), "NTLMv2") == 0);
}

static void feed(struct span bytes, const struct auth_credentials *credentials) {
    struct auth_initiator *initiator = auth_initiator_new(credentials);
    struct reader reader = reader_over(bytes);
    struct span out;
    enum auth_state state;

    CHECK(initiator != NULL);
    state = auth_initiator_step(initiator, (struct span){0}, &out);
    CHECK(state == AUTH_CONTINUE);
    while (reader_left(&reader) > 0 && state == AUTH_CONTINUE) {
        size_t size = reader_u16(&reader);
        struct span token;
        uint8_t *copy;

        if (size > reader_left(&reader))
            size = reader_left(&reader);
        token = reader_take(&reader, size);
        copy = malloc(size + 1);
        CHECK(copy != NULL);
        if (size > 0)
            memcpy(copy, token.data, size);
        state = auth_initiator_step(initiator, (struct span){copy, size}, &out);
        free(copy);
        CHECK(state != AUTH_FAILED || auth_initiator_reason(initiator)[0] != '\0');
    }
    if (state == AUTH_COMPLETE)
        check_through(initiator);
    auth_initiator_free(initiator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct auth_credentials somebody = {.method = AUTH_METHOD_NTLM,
                                                     .user = "alice",
                                                     .domain = "WORKGROUP",
                                                     .password = "Password01!",
                                                     .host = "files.example.org"};
    static const struct auth_credentials nobody = {.method = AUTH_METHOD_ANONYMOUS};

    feed((struct span){data, size}, &somebody);
    feed((struct span){data, size}, &nobody);
    return 0;
}
