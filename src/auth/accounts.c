#include "auth/accounts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/mechanism.h"
#include "crypto/crypto.h"
#include "wire/text.h"

/* ---- lines ---- */

const char *account_name_wrong(struct span name) {
    struct reader reader = reader_over(name);

    if (name.size == 0)
        return "a user needs a name";
    if (name.size >= AUTH_NAME_MAX)
        return "the name is too long";
    if (name.data[0] == '#')
        return "a name cannot begin with #";
    while (reader_left(&reader) > 0) {
        uint32_t code = text_take_utf8(&reader);

        if (reader.failed)
            return "the name is not UTF-8";
        if (code == ':')
            return "a name cannot have a colon";
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            return "a name cannot have a control character";
    }
    return NULL;
}

static int hex_digit(uint8_t octet) {
    if (octet >= '0' && octet <= '9')
        return octet - '0';
    octet |= 0x20;
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

static bool take_hash(struct span text, uint8_t hash[AUTH_NT_HASH_SIZE]) {
    if (text.size != 2u * AUTH_NT_HASH_SIZE)
        return false;
    for (size_t i = 0; i < AUTH_NT_HASH_SIZE; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Up to the octet, which is passed over; all where it is not there. */
static struct span take_until(struct reader *reader, uint8_t octet) {
    size_t left = reader_left(reader);
    const uint8_t *start = reader->bytes.data + reader->at,
                  *end = left > 0 ? memchr(start, octet, left) : NULL;
    struct span taken = reader_take(reader, end != NULL ? (size_t)(end - start) : left);

    if (end != NULL)
        reader_skip(reader, 1);
    return taken;
}

void account_line_parse(struct span line, struct account_line *parsed) {
    struct reader reader = reader_over(line);
    struct span hash, flags;

    *parsed = (struct account_line){.kind = ACCOUNT_LINE_EMPTY};
    if (line.size == 0 || line.data[0] == '#')
        return;
    parsed->name = take_until(&reader, ':');
    hash = take_until(&reader, ':');
    flags = span_slice(line, reader.at, line.size);
    parsed->disabled = span_equal(flags, text_span("disabled"));
    parsed->wrong = account_name_wrong(parsed->name);
    if (parsed->wrong == NULL && !take_hash(hash, parsed->nt_hash))
        parsed->wrong = "the hash has not 32 hexadecimal digits";
    else if (parsed->wrong == NULL && flags.size > 0 && !parsed->disabled)
        parsed->wrong = "the only flag is `disabled'";
    parsed->kind = parsed->wrong == NULL ? ACCOUNT_LINE_USER : ACCOUNT_LINE_WRONG;
}

/* ---- the table ---- */

/* A name as it is looked up: upper case, UTF-16LE. */
struct folded {
    uint8_t data[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    size_t size;
};

static bool fold_utf16(struct span name, struct folded *folded) {
    struct reader reader = reader_over(name);
    struct writer writer = writer_over(folded->data, sizeof folded->data);

    while (reader_left(&reader) > 0 && !writer.failed)
        writer_u16(&writer, text_upper(reader_u16(&reader)));
    folded->size = writer.at;
    return !reader.failed && !writer.failed;
}

static bool fold_utf8(struct span name, struct folded *folded) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    struct writer writer = writer_over(room, sizeof room);

    return text_to_utf16(name, &writer) && fold_utf16(writer_done(&writer), folded);
}

bool account_name_equal(struct span a, struct span b) {
    struct folded first, second;

    return fold_utf8(a, &first) && fold_utf8(b, &second) && first.size == second.size &&
           memcmp(first.data, second.data, first.size) == 0;
}

struct entry {
    uint32_t folded_at, name_at; /* in the table's names */
    uint16_t folded_size, name_size;
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
static size_t slot_of(const struct table *table, const uint8_t *folded, size_t size) {
    uint32_t hash = 0x811c9dc5u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ folded[i]) * 0x01000193u;
    return hash & (table->slots_count - 1);
}

/* Where the name is, or where it would go. */
static uint32_t *table_slot(const struct table *table, const struct folded *name) {
    size_t at = slot_of(table, name->data, name->size);

    for (;; at = (at + 1) & (table->slots_count - 1)) {
        const struct entry *entry;

        if (table->slots[at] == 0)
            return &table->slots[at];
        entry = &table->entries[table->slots[at] - 1];
        if (entry->folded_size == name->size &&
            memcmp(table->names + entry->folded_at, name->data, name->size) == 0)
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
    struct folded folded;
    uint32_t *slot;

    if (!fold_utf8(line->name, &folded))
        return "the name is not UTF-8";
    slot = table_slot(table, &folded);
    if (*slot != 0)
        return "this user is there twice";
    entry->folded_size = (uint16_t)folded.size;
    entry->folded_at = table_keep(table, folded.data, folded.size);
    entry->name_size = (uint16_t)line->name.size;
    entry->name_at = table_keep(table, line->name.data, line->name.size);
    entry->disabled = line->disabled;
    memcpy(entry->nt_hash, line->nt_hash, sizeof entry->nt_hash);
    *slot = (uint32_t)++table->count;
    return NULL;
}

static bool table_find(const struct table *table, struct span user, struct account *account) {
    const struct entry *entry;
    struct folded folded;
    uint32_t slot;

    if (!fold_utf16(user, &folded) || (slot = *table_slot(table, &folded)) == 0)
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

struct content {
    uint8_t *data;
    size_t size;
    struct version version;
};

static void content_free(struct content *content) {
    if (content->data != NULL)
        crypto_wipe(content->data, content->size);
    free(content->data);
}

static int read_whole(int file, uint8_t *data, size_t size) {
    size_t at = 0;

    while (at < size) {
        ssize_t got = read(file, data + at, size - at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG; /* it shrank under our hands */
        at += (size_t)got;
    }
    return 0;
}

static int file_check(const struct stat *status) {
    if (!S_ISREG(status->st_mode))
        return -EINVAL;
    if ((status->st_mode & (S_IRWXG | S_IRWXO | S_IXUSR)) != 0 ||
        (status->st_uid != geteuid() && status->st_uid != 0))
        return -EACCES;
    return status->st_size > (off_t)ACCOUNTS_FILE_MAX ? -EFBIG : 0;
}

static int content_read(const char *path, struct content *content) {
    struct stat status;
    int result, file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (file < 0)
        return -errno;
    result = fstat(file, &status) != 0 ? -errno : file_check(&status);
    if (result == 0) {
        content->version = version_of(&status);
        content->size = (size_t)status.st_size;
        content->data = malloc(content->size + 1);
        result = content->data == NULL ? -ENOMEM : read_whole(file, content->data, content->size);
    }
    close(file);
    return result;
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

        account_line_parse(take_until(&reader, '\n'), &line);
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

static const char *file_wrong(int error) {
    switch (error) {
    case -EACCES:
        return "others than its owner have access to the file (chmod 600), or it is not ours";
    case -EFBIG:
        return "the file is too large";
    case -EINVAL:
        return "this is no ordinary file";
    default:
        return strerror(-error);
    }
}

/* Reads the file into a new table, which replaces the old one if all is well. */
static int load(struct accounts *accounts) {
    struct content content = {0};
    struct table table = {0};
    char problem[ACCOUNTS_PROBLEM_MAX] = "";
    int result = content_read(accounts->path, &content);

    if (result != 0)
        say(problem, file_wrong(result));
    else
        result = parse_file((struct span){content.data, content.size}, &table, problem);
    if (result == 0) {
        struct table old = accounts->table;

        accounts->table = table;
        table = old;
    }
    table_free(&table);
    content_free(&content);
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
