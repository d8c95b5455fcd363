#include "auth/accounts.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/accounts_file.h"
#include "auth/accounts_line.h"
#include "auth/mechanism.h"
#include "crypto/crypto.h"
#include "wire/text.h"

/* ---- the table ---- */

struct entry {
    uint32_t key_at, name_at; /* in the table's names */
    uint16_t key_size, name_size;
    bool disabled;
    uint8_t nt_hash[AUTH_NT_HASH_SIZE];
};

/* Open addressing, at most half full. Names lie one behind the other. */
struct table {
    struct entry *entries;
    size_t count;
    uint32_t *slots; /* index + 1; 0: free */
    size_t slots_count;
    uint8_t *names;
    size_t names_size, names_room;
};

static void table_free(struct table *table) {
    if (table->entries != NULL)
        crypto_wipe(table->entries, table->count * sizeof *table->entries);
    free(table->entries);
    free(table->slots);
    free(table->names);
    *table = (struct table){0};
}

/* FNV-1a; who may write the file can also fill it, so collisions are nobody's attack. */
static size_t slot_of(const struct table *table, const uint8_t *key, size_t size) {
    uint32_t hash = 0x811c9dc5u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ key[i]) * 0x01000193u;
    return hash & (table->slots_count - 1);
}

/* Where the name is, or where it would go. */
static uint32_t *table_slot(const struct table *table, const struct account_key *name) {
    size_t at = slot_of(table, name->data, name->size);

    for (;; at = (at + 1) & (table->slots_count - 1)) {
        const struct entry *entry;

        if (table->slots[at] == 0)
            return &table->slots[at];
        entry = &table->entries[table->slots[at] - 1];
        if (entry->key_size == name->size &&
            memcmp(table->names + entry->key_at, name->data, name->size) == 0)
            return &table->slots[at];
    }
}

static uint32_t table_keep(struct table *table, const uint8_t *data, size_t size) {
    uint32_t at = (uint32_t)table->names_size;

    assert(size <= table->names_room - table->names_size);
    memcpy(table->names + at, data, size);
    table->names_size += size;
    return at;
}

/* `lines` bounds the accounts, and `size`, of the file, their names: folded ones have at most twice
 * as many octets as they have in UTF-8. */
static bool table_make(struct table *table, size_t lines, size_t size) {
    table->slots_count = 16;
    while (table->slots_count < 2 * lines)
        table->slots_count *= 2;
    table->names_room = 3 * size;
    table->entries = calloc(lines + 1, sizeof *table->entries);
    table->slots = calloc(table->slots_count, sizeof *table->slots);
    table->names = malloc(table->names_room + 1);
    return table->entries != NULL && table->slots != NULL && table->names != NULL;
}

static const char *table_add(struct table *table, const struct account_line *line) {
    struct entry *entry = &table->entries[table->count];
    struct account_key key;
    uint32_t *slot;

    if (!account_key_from_utf8(line->name, &key))
        return "the name is not UTF-8";
    slot = table_slot(table, &key);
    if (*slot != 0)
        return "this user is there twice";
    entry->key_size = (uint16_t)key.size;
    entry->key_at = table_keep(table, key.data, key.size);
    entry->name_size = (uint16_t)line->name.size;
    entry->name_at = table_keep(table, line->name.data, line->name.size);
    entry->disabled = line->disabled;
    memcpy(entry->nt_hash, line->nt_hash, sizeof entry->nt_hash);
    *slot = (uint32_t)++table->count;
    return NULL;
}

static bool table_find(const struct table *table, struct span user, struct account *account) {
    const struct entry *entry;
    struct account_key key;
    uint32_t slot;

    if (!account_key_from_utf16(user, &key) || (slot = *table_slot(table, &key)) == 0)
        return false;
    entry = &table->entries[slot - 1];
    memcpy(account->nt_hash, entry->nt_hash, sizeof entry->nt_hash);
    account->disabled = entry->disabled;
    return auth_name_set(account->name,
                         (struct span){table->names + entry->name_at, entry->name_size});
}

/* ---- the file ---- */

/* What tells one version of a file from another. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

static struct version version_of(const struct stat *status) {
    return (struct version){status->st_dev, status->st_ino, status->st_size, status->st_mtim,
                            status->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_version(const struct version *a, const struct version *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static size_t count_lines(struct span bytes) {
    size_t count = 1;

    for (size_t i = 0; i < bytes.size; i++)
        count += bytes.data[i] == '\n';
    return count;
}

static void say(char problem[ACCOUNTS_PROBLEM_MAX], const char *text) {
    snprintf(problem, ACCOUNTS_PROBLEM_MAX, "%s", text);
}

/* The sentence never quotes the line, which holds a hash. */
static int wrong_line(char problem[ACCOUNTS_PROBLEM_MAX], size_t line, const char *what) {
    snprintf(problem, ACCOUNTS_PROBLEM_MAX, "line %zu: %s", line, what);
    return -EBADMSG;
}

static int parse_file(struct span bytes, struct table *table, char problem[ACCOUNTS_PROBLEM_MAX]) {
    struct reader reader = reader_over(bytes);
    size_t lines = count_lines(bytes);

    if (!table_make(table, lines < ACCOUNTS_COUNT_MAX ? lines : ACCOUNTS_COUNT_MAX, bytes.size)) {
        say(problem, "no memory");
        return -ENOMEM;
    }
    for (size_t number = 1; reader_left(&reader) > 0; number++) {
        struct account_line line;
        const char *wrong = NULL;

        account_line_parse(account_text_until(&reader, '\n'), &line);
        if (line.kind == ACCOUNT_LINE_USER)
            wrong = table->count == ACCOUNTS_COUNT_MAX ? "this is one user too many"
                                                       : table_add(table, &line);
        else if (line.kind == ACCOUNT_LINE_WRONG)
            wrong = line.wrong;
        crypto_wipe(line.nt_hash, sizeof line.nt_hash);
        if (wrong != NULL)
            return wrong_line(problem, number, wrong);
    }
    return 0;
}

/* ---- accounts ---- */

struct accounts {
    char *path;
    uint8_t dummy[AUTH_NT_HASH_SIZE]; /* of whoever is not there */
    pthread_rwlock_t lock;            /* over all that follows */
    struct table table;
    struct version version; /* that was read, or was refused */
    bool absent;            /* the file could not even be looked at */
    char problem[ACCOUNTS_PROBLEM_MAX];
};

/* Reads the file into a new table, which replaces the old one if all is well. */
static int load(struct accounts *accounts) {
    struct accounts_content content = {0};
    struct table table = {0};
    char problem[ACCOUNTS_PROBLEM_MAX] = "";
    int result = accounts_content_open(accounts->path, &content);

    if (result != 0)
        say(problem, accounts_content_wrong(result));
    else
        result = parse_file((struct span){content.data, content.size}, &table, problem);
    if (result == 0) {
        struct table old = accounts->table;

        accounts->table = table;
        table = old;
    }
    table_free(&table);
    accounts_content_free(&content);
    memcpy(accounts->problem, problem, sizeof problem);
    return result;
}

static bool look(const struct accounts *accounts, struct version *version) {
    struct stat status;

    if (stat(accounts->path, &status) != 0)
        return false;
    *version = version_of(&status);
    return true;
}

/* Is what was read last still what is there? A version that was refused is not tried again either.
 */
static bool is_current(const struct accounts *accounts, bool present,
                       const struct version *version) {
    return present == !accounts->absent && (!present || same_version(version, &accounts->version));
}

static void lock_current(struct accounts *accounts) {
    struct version version;
    bool present = look(accounts, &version);

    pthread_rwlock_rdlock(&accounts->lock);
    if (is_current(accounts, present, &version))
        return;
    pthread_rwlock_unlock(&accounts->lock);
    pthread_rwlock_wrlock(&accounts->lock);
    present = look(accounts, &version); /* another thread may have been here before us */
    if (!is_current(accounts, present, &version)) {
        accounts->absent = !present;
        if (present)
            accounts->version = version;
        load(accounts);
    }
    pthread_rwlock_unlock(&accounts->lock);
    pthread_rwlock_rdlock(&accounts->lock);
}

int accounts_open(const char *path, struct accounts **accounts,
                  char problem[ACCOUNTS_PROBLEM_MAX]) {
    struct accounts *made = calloc(1, sizeof *made);
    int result;

    if (problem != NULL)
        problem[0] = '\0';
    if (made == NULL)
        return -ENOMEM;
    pthread_rwlock_init(&made->lock, NULL);
    made->path = strdup(path);
    if (made->path == NULL || !crypto_random(made->dummy, sizeof made->dummy)) {
        if (problem != NULL)
            say(problem, "there is no memory, or no randomness");
        accounts_close(made);
        return -ENOMEM;
    }
    made->absent = !look(made, &made->version);
    result = load(made);
    if (result != 0) {
        if (problem != NULL)
            say(problem, made->problem);
        accounts_close(made);
        return result;
    }
    *accounts = made;
    return 0;
}

void accounts_close(struct accounts *accounts) {
    if (accounts == NULL)
        return;
    table_free(&accounts->table);
    pthread_rwlock_destroy(&accounts->lock);
    free(accounts->path);
    crypto_wipe(accounts, sizeof *accounts);
    free(accounts);
}

bool accounts_find(struct accounts *accounts, struct span user, struct account *account) {
    bool found = false;

    *account = (struct account){0};
    if (accounts == NULL)
        return false;
    lock_current(accounts);
    found = table_find(&accounts->table, user, account);
    pthread_rwlock_unlock(&accounts->lock);
    if (!found)
        memcpy(account->nt_hash, accounts->dummy, sizeof accounts->dummy);
    return found;
}

bool accounts_allow(struct accounts *accounts, const char *user) {
    uint8_t name[2 * AUTH_NAME_MAX];
    struct writer writer = writer_over(name, sizeof name);
    struct account account;
    bool allow;

    if (!text_to_utf16((struct span){(const uint8_t *)user, strlen(user)}, &writer))
        return false;
    allow = accounts_find(accounts, writer_done(&writer), &account) && !account.disabled;
    crypto_wipe(&account, sizeof account);
    return allow;
}

size_t accounts_count(struct accounts *accounts) {
    size_t count;

    lock_current(accounts);
    count = accounts->table.count;
    pthread_rwlock_unlock(&accounts->lock);
    return count;
}

bool accounts_problem(struct accounts *accounts, char problem[ACCOUNTS_PROBLEM_MAX]) {
    bool is_problem;

    lock_current(accounts);
    is_problem = accounts->problem[0] != '\0';
    say(problem, accounts->problem);
    pthread_rwlock_unlock(&accounts->lock);
    return is_problem;
}
