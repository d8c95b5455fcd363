#include "relay/vocabulary.h"

#include <stdio.h>
#include <string.h>

#include "wire/files.h"

/* Octets of the longest word that is compared, with its NUL. */
#define WORD_MAX 64u
/* Letters that a word may be wrong in to be taken for near. */
#define NEAR_DISTANCE_MAX 3u

static char folded(char c) {
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

bool words_equal(const char *a, const char *b) {
    while (*a != '\0' && folded(*a) == folded(*b)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

/* ---- names of numbers ---- */

struct word {
    enum vocabulary vocabulary;
    const char *word;
    uint32_t value;
};

static const struct word words[] = {
    {VOCABULARY_DIALECT, "2.0.2", SMB2_DIALECT_202},
    {VOCABULARY_DIALECT, "2.1", SMB2_DIALECT_210},
    {VOCABULARY_DIALECT, "2.???", SMB2_DIALECT_WILDCARD},
    {VOCABULARY_DIALECT, "3.0", SMB2_DIALECT_300},
    {VOCABULARY_DIALECT, "3.0.2", SMB2_DIALECT_302},
    {VOCABULARY_DIALECT, "3.1.1", SMB2_DIALECT_311},
    {VOCABULARY_CAPABILITY, "DFS", SMB2_GLOBAL_CAP_DFS},
    {VOCABULARY_CAPABILITY, "LEASING", SMB2_GLOBAL_CAP_LEASING},
    {VOCABULARY_CAPABILITY, "LARGE_MTU", SMB2_GLOBAL_CAP_LARGE_MTU},
    {VOCABULARY_CAPABILITY, "MULTI_CHANNEL", SMB2_GLOBAL_CAP_MULTI_CHANNEL},
    {VOCABULARY_CAPABILITY, "PERSISTENT_HANDLES", SMB2_GLOBAL_CAP_PERSISTENT_HANDLES},
    {VOCABULARY_CAPABILITY, "DIRECTORY_LEASING", SMB2_GLOBAL_CAP_DIRECTORY_LEASING},
    {VOCABULARY_CAPABILITY, "ENCRYPTION", SMB2_GLOBAL_CAP_ENCRYPTION},
    {VOCABULARY_CAPABILITY, "NOTIFICATIONS", SMB2_GLOBAL_CAP_NOTIFICATIONS},
    {VOCABULARY_SECURITY_MODE, "SIGNING_ENABLED", SMB2_SIGNING_ENABLED},
    {VOCABULARY_SECURITY_MODE, "SIGNING_REQUIRED", SMB2_SIGNING_REQUIRED},
    {VOCABULARY_SESSION_FLAG, "IS_GUEST", SESSION_FLAG_IS_GUEST},
    {VOCABULARY_SESSION_FLAG, "IS_NULL", SESSION_FLAG_IS_NULL},
    {VOCABULARY_SESSION_FLAG, "ENCRYPT_DATA", SESSION_FLAG_ENCRYPT_DATA},
    {VOCABULARY_SHARE_FLAG, "ENCRYPT_DATA", SMB2_SHAREFLAG_ENCRYPT_DATA},
    {VOCABULARY_HEADER_FLAG, "SERVER_TO_REDIR", SMB2_FLAGS_SERVER_TO_REDIR},
    {VOCABULARY_HEADER_FLAG, "ASYNC_COMMAND", SMB2_FLAGS_ASYNC_COMMAND},
    {VOCABULARY_HEADER_FLAG, "RELATED_OPERATIONS", SMB2_FLAGS_RELATED_OPERATIONS},
    {VOCABULARY_HEADER_FLAG, "SIGNED", SMB2_FLAGS_SIGNED},
    {VOCABULARY_HEADER_FLAG, "DFS_OPERATIONS", SMB2_FLAGS_DFS_OPERATIONS},
    {VOCABULARY_HEADER_FLAG, "REPLAY_OPERATION", SMB2_FLAGS_REPLAY_OPERATION},
    {VOCABULARY_CONTEXT, "PREAUTH_INTEGRITY_CAPABILITIES", CONTEXT_PREAUTH_INTEGRITY},
    {VOCABULARY_CONTEXT, "ENCRYPTION_CAPABILITIES", CONTEXT_ENCRYPTION},
    {VOCABULARY_CONTEXT, "COMPRESSION_CAPABILITIES", CONTEXT_COMPRESSION},
    {VOCABULARY_CONTEXT, "NETNAME_NEGOTIATE_CONTEXT_ID", CONTEXT_NETNAME},
    {VOCABULARY_CONTEXT, "TRANSPORT_CAPABILITIES", CONTEXT_TRANSPORT},
    {VOCABULARY_CONTEXT, "RDMA_TRANSFORM_CAPABILITIES", CONTEXT_RDMA_TRANSFORM},
    {VOCABULARY_CONTEXT, "SIGNING_CAPABILITIES", CONTEXT_SIGNING},
    {VOCABULARY_CIPHER, "AES-128-CCM", CIPHER_AES_128_CCM},
    {VOCABULARY_CIPHER, "AES-128-GCM", CIPHER_AES_128_GCM},
    {VOCABULARY_CIPHER, "AES-256-CCM", CIPHER_AES_256_CCM},
    {VOCABULARY_CIPHER, "AES-256-GCM", CIPHER_AES_256_GCM},
    {VOCABULARY_SIGNING, "HMAC-SHA256", SIGNING_HMAC_SHA256},
    {VOCABULARY_SIGNING, "AES-CMAC", SIGNING_AES_CMAC},
    {VOCABULARY_SIGNING, "AES-GMAC", SIGNING_AES_GMAC},
    {VOCABULARY_HASH, "SHA-512", HASH_SHA512},
    {VOCABULARY_COMPRESSION, "NONE", COMPRESSION_NONE},
    {VOCABULARY_COMPRESSION, "LZNT1", COMPRESSION_LZNT1},
    {VOCABULARY_COMPRESSION, "LZ77", COMPRESSION_LZ77},
    {VOCABULARY_COMPRESSION, "LZ77-HUFFMAN", COMPRESSION_LZ77_HUFFMAN},
    {VOCABULARY_COMPRESSION, "PATTERN_V1", COMPRESSION_PATTERN_V1},
    {VOCABULARY_COMPRESSION, "LZ4", COMPRESSION_LZ4},
#define ONE(name, value) {VOCABULARY_STATUS, #name, value},
    NTSTATUS_LIST(ONE)
#undef ONE
};
#define WORDS_COUNT (sizeof words / sizeof words[0])

/* [MS-SMB2] and [MS-ERREF] put these in front of their names; both ways of writing are taken. */
static const char *without_prefix(enum vocabulary vocabulary, const char *word) {
    static const struct {
        enum vocabulary vocabulary;
        const char *prefix;
    } prefixes[] = {
        {VOCABULARY_STATUS, "STATUS_"},
        {VOCABULARY_CAPABILITY, "SMB2_GLOBAL_CAP_"},
        {VOCABULARY_SECURITY_MODE, "SMB2_NEGOTIATE_"},
        {VOCABULARY_SESSION_FLAG, "SMB2_SESSION_FLAG_"},
        {VOCABULARY_SHARE_FLAG, "SMB2_SHAREFLAG_"},
        {VOCABULARY_HEADER_FLAG, "SMB2_FLAGS_"},
        {VOCABULARY_CONTEXT, "SMB2_"},
    };

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t size = strlen(prefixes[i].prefix);

        if (prefixes[i].vocabulary == vocabulary && strncasecmp(word, prefixes[i].prefix, size) == 0)
            return word + size;
    }
    return word;
}

bool vocabulary_find(enum vocabulary vocabulary, const char *word, uint64_t *value) {
    word = without_prefix(vocabulary, word);
    for (size_t i = 0; i < WORDS_COUNT; i++)
        if (words[i].vocabulary == vocabulary && words_equal(word, words[i].word)) {
            *value = words[i].value;
            return true;
        }
    for (uint16_t command = 0; vocabulary == VOCABULARY_COMMAND && command <= SMB2_OPLOCK_BREAK; command++)
        if (words_equal(word, command_name(command))) {
            *value = command;
            return true;
        }
    return false;
}

void vocabulary_add(enum vocabulary vocabulary, struct near_words *near) {
    for (size_t i = 0; i < WORDS_COUNT; i++)
        if (words[i].vocabulary == vocabulary)
            near_add(near, words[i].word);
}

enum vocabulary vocabulary_of_field(const char *field, bool in_header) {
    static const struct {
        const char *field;
        enum vocabulary vocabulary;
    } fields[] = {
        {"Capabilities", VOCABULARY_CAPABILITY}, {"SecurityMode", VOCABULARY_SECURITY_MODE},
        {"SessionFlags", VOCABULARY_SESSION_FLAG}, {"ShareFlags", VOCABULARY_SHARE_FLAG},
        {"DialectRevision", VOCABULARY_DIALECT}, {"Dialect", VOCABULARY_DIALECT},
        {"Status", VOCABULARY_STATUS}, {"Command", VOCABULARY_COMMAND},
    };

    if (in_header && strcmp(field, "Flags") == 0)
        return VOCABULARY_HEADER_FLAG;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcmp(field, fields[i].field) == 0)
            return fields[i].vocabulary;
    return VOCABULARY_NONE;
}

/* ---- lists within contexts ---- */

static const struct {
    const char *name;
    uint16_t type;
    enum vocabulary vocabulary;
} context_lists[] = {
    {"Ciphers", CONTEXT_ENCRYPTION, VOCABULARY_CIPHER},
    {"SigningAlgorithms", CONTEXT_SIGNING, VOCABULARY_SIGNING},
    {"HashAlgorithms", CONTEXT_PREAUTH_INTEGRITY, VOCABULARY_HASH},
    {"CompressionAlgorithms", CONTEXT_COMPRESSION, VOCABULARY_COMPRESSION},
    {"RDMATransformIds", CONTEXT_RDMA_TRANSFORM, VOCABULARY_NONE},
};
#define CONTEXT_LISTS_COUNT (sizeof context_lists / sizeof context_lists[0])

enum vocabulary vocabulary_of_context(uint16_t type) {
    for (size_t i = 0; i < CONTEXT_LISTS_COUNT; i++)
        if (context_lists[i].type == type)
            return context_lists[i].vocabulary;
    return VOCABULARY_NONE;
}

bool vocabulary_context_list(const char *word, uint16_t *type) {
    for (size_t i = 0; i < CONTEXT_LISTS_COUNT; i++)
        if (words_equal(word, context_lists[i].name)) {
            *type = context_lists[i].type;
            return true;
        }
    return false;
}

void vocabulary_add_context_lists(struct near_words *near) {
    for (size_t i = 0; i < CONTEXT_LISTS_COUNT; i++)
        near_add(near, context_lists[i].name);
}

/* ---- fields of bodies ---- */

struct body {
    uint16_t command;
    bool response;
    const struct field *fields;
    const unsigned *count;
};

#define BODY(command, response, name) {command, response, name##_fields, &name##_fields_count}
#define BODIES(command, name) BODY(command, false, name##_request), BODY(command, true, name##_response)

static const struct body bodies[] = {
    BODIES(SMB2_NEGOTIATE, negotiate),
    BODIES(SMB2_SESSION_SETUP, session_setup),
    BODIES(SMB2_TREE_CONNECT, tree_connect),
    BODIES(SMB2_IOCTL, ioctl),
    BODIES(SMB2_CREATE, create),
    BODIES(SMB2_CLOSE, close),
    BODIES(SMB2_READ, read),
    BODIES(SMB2_WRITE, write),
    BODIES(SMB2_SET_INFO, set_info),
    BODY(SMB2_FLUSH, false, flush_request),
    BODY(SMB2_LOCK, false, lock_request),
    BODY(SMB2_QUERY_DIRECTORY, false, query_directory_request),
    BODY(SMB2_QUERY_DIRECTORY, true, output_response),
    BODY(SMB2_CHANGE_NOTIFY, false, change_notify_request),
    BODY(SMB2_CHANGE_NOTIFY, true, output_response),
    BODY(SMB2_QUERY_INFO, false, query_info_request),
    BODY(SMB2_QUERY_INFO, true, output_response),
};

const struct field *vocabulary_body(uint16_t command, bool response, unsigned *count) {
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        if (bodies[i].command == command && bodies[i].response == response) {
            *count = *bodies[i].count;
            return bodies[i].fields;
        }
    *count = empty_body_fields_count;
    return empty_body_fields;
}

/* ---- near words ---- */

struct near_words near_begin(const char *word) {
    return (struct near_words){.word = word};
}

void near_add(struct near_words *near, const char *word) {
    for (unsigned i = 0; i < near->count; i++)
        if (strcmp(near->words[i], word) == 0)
            return;
    if (near->count < NEAR_WORDS_MAX)
        near->words[near->count++] = word;
}

static unsigned least(unsigned a, unsigned b, unsigned c) {
    unsigned two = a < b ? a : b;

    return two < c ? two : c;
}

/* Letters to change, add or take away to get from one word to the other (Levenshtein's distance). */
static unsigned distance(const char *a, const char *b) {
    unsigned row[WORD_MAX];
    size_t width = strlen(b);

    if (width >= WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < width; j++) {
            unsigned kept = row[j + 1];

            row[j + 1] = least(row[j] + 1, row[j + 1] + 1, diagonal + (folded(a[i]) != folded(b[j])));
            diagonal = kept;
        }
    }
    return row[width];
}

static bool has_part(const char *word, const char *part) {
    size_t size = strlen(part);

    for (; size > 2 && strlen(word) >= size; word++) {
        size_t same = 0;

        while (same < size && folded(word[same]) == folded(part[same]))
            same++;
        if (same == size)
            return true;
    }
    return false;
}

static bool is_near(const char *word, const char *other) {
    size_t size = strlen(word);
    unsigned allowed = size / 3 < NEAR_DISTANCE_MAX ? (unsigned)(size / 3) : NEAR_DISTANCE_MAX;

    return distance(word, other) <= allowed || has_part(other, word) || (strlen(other) > 3 && has_part(word, other));
}

static void append(char *text, size_t size, const char *more) {
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s", more);
}

static void append_list(const struct near_words *near, bool only_near, unsigned most, char *text, size_t size) {
    unsigned told = 0;

    for (unsigned i = 0; i < near->count && told < most; i++) {
        if (only_near && !is_near(near->word, near->words[i]))
            continue;
        append(text, size, told++ > 0 ? ", " : "");
        append(text, size, near->words[i]);
    }
}

void near_tell(const struct near_words *near, const char *what, char *text, size_t size) {
    unsigned found = 0;

    for (unsigned i = 0; i < near->count; i++)
        found += is_near(near->word, near->words[i]);
    snprintf(text, size, "there is no %s `%.60s'", what, near->word);
    if (near->count == 0)
        append(text, size, "; a number is needed, such as 3 or 0x40");
    else if (found > 0) {
        append(text, size, "; did you mean ");
        append_list(near, true, NEAR_TOLD_MAX, text, size);
        append(text, size, "?");
    } else {
        append(text, size, "; known are ");
        append_list(near, false, near->count, text, size);
    }
}
