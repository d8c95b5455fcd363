/* The file of accounts with any content: it is refused, or each line of it can be found; and what
 * is written after a change is a file of accounts again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/accounts_file.h"
#include "auth/accounts_line.h"
#include "wire/text.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static bool can_find(struct accounts *accounts, struct span name, struct account *account) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    struct writer writer = writer_over(room, sizeof room);

    CHECK(text_to_utf16(name, &writer));
    return accounts_find(accounts, writer_done(&writer), account);
}

static void check_lines(struct span bytes, struct accounts *accounts) {
    struct reader reader = reader_over(bytes);
    size_t count = 0;

    while (reader_left(&reader) > 0) {
        struct account_line line;
        struct account account;

        account_line_parse(account_text_until(&reader, '\n'), &line);
        CHECK(line.kind != ACCOUNT_LINE_WRONG);
        if (line.kind == ACCOUNT_LINE_EMPTY)
            continue;
        CHECK(can_find(accounts, line.name, &account));
        CHECK(memcmp(account.nt_hash, line.nt_hash, sizeof account.nt_hash) == 0);
        CHECK(account.disabled == line.disabled);
        CHECK(span_equal(text_span(account.name), line.name));
        count++;
    }
    CHECK(count == accounts_count(accounts));
}

static void check_change(const char *path, struct accounts *accounts,
                         enum accounts_change_kind kind, bool there) {
    struct accounts_change change = {.kind = kind, .user = "somebody else"};
    char problem[ACCOUNTS_PROBLEM_MAX];
    struct account account;

    CHECK(accounts_change(path, &change, problem) == 0);
    CHECK(can_find(accounts, text_span(change.user), &account) == there);
    CHECK(!accounts_problem(accounts, problem));
    CHECK(account.disabled == (kind == ACCOUNT_DISABLE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64], problem[ACCOUNTS_PROBLEM_MAX];
    struct accounts *accounts = NULL;
    int file;

    /* In memory where there is such a place: a change waits for the disk. */
    snprintf(path, sizeof path, "%s/smbproof-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    file = mkstemp(path);
    CHECK(file >= 0 && write(file, data, size) == (ssize_t)size);
    close(file);
    if (accounts_open(path, &accounts, problem) == 0) {
        check_lines((struct span){data, size}, accounts);
        check_change(path, accounts, ACCOUNT_SET, true);
        check_change(path, accounts, ACCOUNT_DISABLE, true);
        check_change(path, accounts, ACCOUNT_ENABLE, true);
        check_change(path, accounts, ACCOUNT_DELETE, false);
        accounts_close(accounts);
    } else {
        CHECK(problem[0] != '\0');
    }
    unlink(path);
    return 0;
}
