/* A path that changes a good logon: each edit of the input changes one token on its way. Whatever
 * it does, either one of both ends refuses, or both are through with the same key and the acceptor
 * knows the right name.
 *
 * An edit has five octets: which token (the first bit of 0x80 set: it is cut there, 0x40: an octet
 * is put in), where (two octets), what to put there, and how often to repeat that. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/acceptor.h"

#define EDIT_SIZE   5u
#define TOKEN_ROOM  4096u /* octets; the tokens of a good logon have less than a thousand */
#define TOKEN_CUT   0x80u
#define TOKEN_GROW  0x40u
#define TOKEN_INDEX 0x0fu

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

struct edit {
    uint8_t token, value, count;
    uint16_t at;
};

struct token {
    uint8_t data[TOKEN_ROOM];
    size_t size;
};

static void apply(const struct edit *edit, struct token *token) {
    if (edit->at >= token->size)
        return;
    if (edit->token & TOKEN_CUT) {
        token->size = edit->at;
        return;
    }
    if (edit->token & TOKEN_GROW && token->size + 1 < TOKEN_ROOM) {
        memmove(token->data + edit->at + 1, token->data + edit->at, token->size - edit->at);
        token->size++;
    }
    for (size_t i = 0; i <= edit->count && edit->at + i < token->size; i++)
        token->data[edit->at + i] = edit->value;
}

/* A copy of the exact size with all edits of this token; the caller frees it. */
static struct span deliver(struct span sent, unsigned number, struct span edits, uint8_t **copy) {
    static struct token token;
    struct reader reader = reader_over(edits);

    CHECK(sent.size <= sizeof token.data);
    token.size = sent.size;
    if (sent.size > 0)
        memcpy(token.data, sent.data, sent.size);
    while (reader_left(&reader) >= EDIT_SIZE) {
        struct edit edit = {.token = reader_u8(&reader), .at = reader_u16(&reader)};

        edit.value = reader_u8(&reader);
        edit.count = reader_u8(&reader);
        if ((edit.token & TOKEN_INDEX) == number)
            apply(&edit, &token);
    }
    *copy = malloc(token.size + 1);
    CHECK(*copy != NULL);
    memcpy(*copy, token.data, token.size);
    return (struct span){*copy, token.size};
}

static void check_end(const struct auth_initiator *initiator, enum auth_state initiator_state,
                      const struct auth_acceptor *acceptor, enum auth_state acceptor_state) {
    if (acceptor_state == AUTH_COMPLETE)
        CHECK(strcmp(auth_acceptor_user(acceptor), "Alice") == 0 &&
              auth_acceptor_session_key(acceptor).size == 16);
    if (initiator_state == AUTH_COMPLETE && acceptor_state == AUTH_COMPLETE)
        CHECK(
            span_equal(auth_initiator_session_key(initiator), auth_acceptor_session_key(acceptor)));
}

static void run(struct span edits, const struct auth_credentials *credentials,
                const struct auth_acceptor_config *config) {
    struct auth_initiator *initiator = auth_initiator_new(credentials);
    struct auth_acceptor *acceptor = auth_acceptor_new(config);
    enum auth_state theirs = AUTH_CONTINUE, ours = AUTH_CONTINUE;
    struct span token = {0};
    uint8_t *copy = NULL;

    CHECK(initiator != NULL && acceptor != NULL);
    for (unsigned number = 0; theirs != AUTH_FAILED; number++) {
        ours = auth_initiator_step(initiator, token, &token);
        free(copy);
        copy = NULL;
        if (ours != AUTH_CONTINUE || theirs != AUTH_CONTINUE)
            break;
        token = deliver(token, number, edits, &copy);
        theirs = auth_acceptor_step(acceptor, token, &token);
        free(copy);
        token = deliver(token, ++number, edits, &copy);
    }
    free(copy);
    check_end(initiator, ours, acceptor, theirs);
    auth_initiator_free(initiator);
    auth_acceptor_free(acceptor);
}

/* Of "Password01!". */
static struct accounts *accounts_make(void) {
    static const char text[] = "Alice:7C4FE5EADA682714A036E39378362BAB:\n";
    char path[] = "/tmp/smbproof-fuzz-XXXXXX";
    struct accounts *accounts = NULL;
    int file = mkstemp(path);

    CHECK(file >= 0 && write(file, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
    close(file);
    CHECK(accounts_open(path, &accounts, NULL) == 0);
    unlink(path); /* the table stays in force */
    return accounts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct auth_acceptor_config config = {.computer = "FILES"};
    static const struct auth_credentials credentials = {
        .method = AUTH_METHOD_NTLM, .user = "alice", .password = "Password01!", .host = "files"};

    if (config.accounts == NULL)
        config.accounts = accounts_make();
    run((struct span){data, size}, &credentials, &config);
    return 0;
}
