#include "explain/codes.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_COLUMNS     80u
#define LABEL_COLUMNS    11u
#define ERRNO_MAX        4095u /* Linux: -1 to -4095 are errors */
#define PHRASE_SIZE_MIN  10u   /* octets of a query that may stand for a longer message */
#define WORD_SIZE_MAX    64u
#define PHRASE_SEPARATOR "|"

/* clang-format off */
static const struct code codes[] = {
#define NTSTATUS(value, ...)  {CODE_NTSTATUS, value, __VA_ARGS__},
#define WIN32(value, ...)     {CODE_WIN32, value, __VA_ARGS__},
#define HRESULT(value, ...)   {CODE_HRESULT, value, __VA_ARGS__},
#define EVENT(value, ...)     {CODE_EVENT, value, __VA_ARGS__},
#define ERRNO(value, ...)     {CODE_ERRNO, value, __VA_ARGS__},
#define TEXT(...)             {CODE_TEXT, 0, __VA_ARGS__},
#define RULE(id, title)
#include "explain/codes.def"
#undef RULE
};

struct rule_title {
    const char *id, *title;
};

static const struct rule_title rule_titles[] = {
#define CAUSE(id, title) {#id, title},
#include "explain/causes.def"
#undef CAUSE
#undef NTSTATUS
#undef WIN32
#undef HRESULT
#undef EVENT
#undef ERRNO
#undef TEXT
#define NTSTATUS(...)
#define WIN32(...)
#define HRESULT(...)
#define EVENT(...)
#define ERRNO(...)
#define TEXT(...)
#define RULE(id, title) {#id, title},
#include "explain/codes.def"
};
/* clang-format on */

#define CODES_COUNT (sizeof codes / sizeof codes[0])

/* A search under way: the query in lower case with single blanks, and what was found so far. */
struct search {
    char query[CODE_QUERY_MAX];
    const struct code **found;
    size_t count, max;
};

const struct code *codes_at(size_t index) {
    return index < CODES_COUNT ? &codes[index] : NULL;
}

const char *code_rule_title(const char *id) {
    for (size_t i = 0; i < sizeof rule_titles / sizeof rule_titles[0]; i++)
        if (strcmp(rule_titles[i].id, id) == 0)
            return rule_titles[i].title;
    return NULL;
}

static void search_add(struct search *search, const struct code *code) {
    for (size_t i = 0; i < search->count; i++)
        if (search->found[i] == code)
            return;
    if (search->count < search->max)
        search->found[search->count++] = code;
}

/* Only ASCII is folded: other letters compare as they stand. */
static void query_clean(const char *query, char clean[CODE_QUERY_MAX]) {
    size_t used = 0;

    for (; *query != '\0' && used + 1 < CODE_QUERY_MAX; query++) {
        unsigned char c = (unsigned char)*query;
        bool blank = c <= ' ' || c == '"' || c == '`';

        if (blank && (used == 0 || clean[used - 1] == ' '))
            continue;
        clean[used++] = blank ? ' ' : c < 0x80 ? (char)tolower(c) : (char)c;
    }
    while (used > 0 && strchr(" .!", clean[used - 1]) != NULL)
        used--;
    clean[used] = '\0';
}

/* Is `phrase` in the query, or the query a good part of it? */
static bool phrase_fits(const char *query, const char *phrase, size_t size) {
    char text[CODE_QUERY_MAX];

    if (size == 0 || size >= sizeof text)
        return false;
    memcpy(text, phrase, size);
    text[size] = '\0';
    return strstr(query, text) != NULL ||
           (strlen(query) >= PHRASE_SIZE_MIN && strchr(query, ' ') != NULL &&
            strstr(text, query) != NULL);
}

static bool any_phrase_fits(const char *query, const char *phrases) {
    while (*phrases != '\0') {
        size_t size = strcspn(phrases, PHRASE_SEPARATOR);

        if (phrase_fits(query, phrases, size))
            return true;
        phrases += size + (phrases[size] != '\0');
    }
    return false;
}

static void search_phrases(struct search *search) {
    for (size_t i = 0; i < CODES_COUNT; i++)
        if (any_phrase_fits(search->query, codes[i].texts))
            search_add(search, &codes[i]);
}

static bool same_word(const char *word, const char *name) {
    while (*word != '\0' && tolower((unsigned char)*name) == *word)
        word++, name++;
    return *word == '\0' && *name == '\0';
}

static const char *after_prefix(const char *text, const char *prefix) {
    size_t size = strlen(prefix);

    for (size_t i = 0; i < size; i++)
        if (tolower((unsigned char)text[i]) != prefix[i])
            return text;
    return text + size;
}

/* Samba writes NT_STATUS_X for STATUS_X; people leave the prefix out altogether, which only counts
 * where the word is the whole query. */
static bool word_names(const char *word, const char *name, bool whole) {
    const char *bare = after_prefix(after_prefix(name, "status_"), "error_");

    return same_word(after_prefix(word, "nt_"), name) || same_word(word, name) ||
           (whole && bare != name && same_word(word, bare));
}

static void search_name(struct search *search, const char *word, bool whole) {
    for (size_t i = 0; i < CODES_COUNT; i++)
        if (codes[i].kind != CODE_EVENT && codes[i].kind != CODE_TEXT && codes[i].name[0] != '\0' &&
            word_names(word, codes[i].name, whole))
            search_add(search, &codes[i]);
}

/* The next run of letters, digits, '_' and a leading '-'; NULL where there is none. */
static const char *next_word(const char *text, char word[WORD_SIZE_MAX]) {
    size_t used = 0;

    while (*text != '\0' && !isalnum((unsigned char)*text) &&
           !(*text == '-' && isdigit((unsigned char)text[1])))
        text++;
    if (*text == '\0')
        return NULL;
    do {
        if (used + 1 < WORD_SIZE_MAX)
            word[used++] = *text;
        text++;
    } while (isalnum((unsigned char)*text) || *text == '_');
    word[used] = '\0';
    return text;
}

static void search_names(struct search *search) {
    const char *at = search->query;
    char word[WORD_SIZE_MAX];

    search_name(search, search->query, true);
    while ((at = next_word(at, word)) != NULL)
        search_name(search, word, false);
}

struct number {
    uint32_t value;
    bool negative;
};

static bool number_parse(const char *text, int base, struct number *number) {
    const char *digits = *text == '-' ? text + 1 : text;
    unsigned long long value;
    char *end;

    if (!isxdigit((unsigned char)*digits))
        return false;
    errno = 0;
    value = strtoull(digits, &end, base);
    if (base == 16 && *end == 'l') /* as headers write it */
        end++;
    if (errno != 0 || *end != '\0' || value > UINT32_MAX)
        return false;
    number->negative = *text == '-';
    number->value = (uint32_t)value;
    return true;
}

#define KIND(kind) (1u << (kind))
#define ALL_KINDS                                                                                  \
    (KIND(CODE_NTSTATUS) | KIND(CODE_WIN32) | KIND(CODE_HRESULT) | KIND(CODE_EVENT) |              \
     KIND(CODE_ERRNO))

static void search_value(struct search *search, uint32_t value, unsigned kinds) {
    for (size_t i = 0; i < CODES_COUNT; i++)
        if (kinds & KIND(codes[i].kind) && codes[i].value == value)
            search_add(search, &codes[i]);
}

/* A number can wear a wrapping: a sign ([MS-ERREF]: statuses are signed 32-bit numbers in some
 * logs; Linux: -5), the facility of Win32 errors (0x8007....), or the bit that marks an NTSTATUS
 * inside an HRESULT (0x10000000). */
static void search_number(struct search *search, struct number number, unsigned kinds) {
    uint32_t value = number.value;

    if (number.negative && value <= ERRNO_MAX) {
        search_value(search, value, kinds & KIND(CODE_ERRNO));
        return;
    }
    if (number.negative)
        value = 0u - value;
    if (value == 0) /* success is only worth a word as a status */
        kinds &= KIND(CODE_NTSTATUS);
    search_value(search, value, kinds);
    if (value >> 16 == 0x8007u)
        search_value(search, value & 0xffffu, KIND(CODE_WIN32));
    if ((value & 0xf0000000u) == 0xd0000000u)
        search_value(search, value & ~0x10000000u, KIND(CODE_NTSTATUS));
}

/* Words around a number say whose it is. */
static unsigned kinds_meant(const char *query) {
    static const struct {
        const char *word;
        unsigned kinds;
    } hints[] = {
        {"event", KIND(CODE_EVENT)},         {"ereignis", KIND(CODE_EVENT)},
        {"microsoft-windows-", KIND(CODE_EVENT)},
        {"errno", KIND(CODE_ERRNO)},         {"mount error", KIND(CODE_ERRNO)},
        {"return code", KIND(CODE_ERRNO)},   {"rc =", KIND(CODE_ERRNO)},
        {"rc=", KIND(CODE_ERRNO)},           {"system error", KIND(CODE_WIN32)},
        {"systemfehler", KIND(CODE_WIN32)},  {"win32", KIND(CODE_WIN32)},
        {"windows error", KIND(CODE_WIN32)}, {"del sistema", KIND(CODE_WIN32)},
        {"ntstatus", KIND(CODE_NTSTATUS)},   {"nt status", KIND(CODE_NTSTATUS)},
        {"hresult", KIND(CODE_HRESULT)},
    };

    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strstr(query, hints[i].word) != NULL)
            /* net use prints statuses and HRESULTs as system errors, too */
            return hints[i].kinds == KIND(CODE_WIN32)
                       ? hints[i].kinds | KIND(CODE_HRESULT) | KIND(CODE_NTSTATUS)
                       : hints[i].kinds;
    return ALL_KINDS;
}

/* `doubtful`: something better was found, so that only numbers that cannot be mere counts are
 * looked at. */
static void search_numbers(struct search *search, bool doubtful) {
    unsigned kinds = kinds_meant(search->query);
    const char *at = search->query;
    char word[WORD_SIZE_MAX];
    struct number number;

    while ((at = next_word(at, word)) != NULL) {
        bool hexadecimal = word[0] == '0' && word[1] == 'x';

        if (number_parse(word, hexadecimal ? 16 : 10, &number) &&
            (!doubtful || number.negative || number.value > UINT16_MAX))
            search_number(search, number, kinds);
        if (!hexadecimal && strlen(word) == 8 && number_parse(word, 16, &number))
            search_number(search, number, kinds); /* C000A000, 80070035 */
    }
}

int codes_find(const char *query, const struct code **found, size_t max) {
    struct search search = {.found = found, .max = max};

    query_clean(query, search.query);
    if (search.query[0] == '\0')
        return 0;
    search_phrases(&search);
    search_names(&search);
    search_numbers(&search, search.count > 0);
    return (int)search.count;
}

/* The text after the label, broken at blanks, each further line indented as far. */
static void print_wrapped(FILE *out, const char *label, const char *text) {
    size_t column = (size_t)fprintf(out, "  %-*s", (int)LABEL_COLUMNS - 2, label);

    while (*text != '\0') {
        size_t size = strcspn(text, " ");

        if (column + 1 + size > LINE_COLUMNS && column > LABEL_COLUMNS)
            column = (size_t)fprintf(out, "\n%*s", (int)LABEL_COLUMNS, "") - 1;
        if (column > LABEL_COLUMNS)
            column += (size_t)fprintf(out, " ");
        column += (size_t)fprintf(out, "%.*s", (int)size, text);
        text += size + strspn(text + size, " ");
    }
    fputc('\n', out);
}

static void print_heading(FILE *out, const struct code *code) {
    switch (code->kind) {
    case CODE_NTSTATUS:
        fprintf(out, "0x%08X%s%s  (NTSTATUS; %u)\n", code->value, code->name[0] != '\0' ? "  " : "",
                code->name, code->value);
        break;
    case CODE_WIN32:
        fprintf(out, "%u  %s  (Windows error; as HRESULT 0x8007%04X)\n", code->value, code->name,
                code->value);
        break;
    case CODE_HRESULT:
        fprintf(out, "0x%08X  %s  (Windows HRESULT; %u)\n", code->value, code->name, code->value);
        break;
    case CODE_EVENT:
        fprintf(out, "%u  (Windows event, log Microsoft-Windows-%s)\n", code->value, code->name);
        break;
    case CODE_ERRNO:
        fprintf(out, "%u  %s  (Linux errno; printed as -%u or error(%u))\n", code->value,
                code->name, code->value, code->value);
        break;
    case CODE_TEXT:
        fprintf(out, "\"%s\"\n", code->name);
        break;
    }
}

static void print_rules(FILE *out, const char *rules) {
    const char *label = "Look for", *at = rules;
    char id[WORD_SIZE_MAX], line[256];

    while ((at = next_word(at, id)) != NULL) {
        const char *title;

        for (char *c = id; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        title = code_rule_title(id);
        snprintf(line, sizeof line, "%s %s", id, title != NULL ? title : "");
        print_wrapped(out, label, line);
        label = "";
    }
}

static bool names_rule(const char *rules, const char *id) {
    const char *at = strstr(rules, id);

    return at != NULL && (at[strlen(id)] == ' ' || at[strlen(id)] == '\0');
}

/* The codes that list the cause: names, of what has none the number. */
static void print_faces(FILE *out, const char *id) {
    const char *label = "Seen as";
    char line[256];

    for (size_t i = 0; i < CODES_COUNT; i++) {
        const struct code *code = &codes[i];

        if (!names_rule(code->rules, id))
            continue;
        if (code->kind == CODE_EVENT)
            snprintf(line, sizeof line, "event %u (%s)", code->value, code->name);
        else if (code->name[0] == '\0')
            snprintf(line, sizeof line, "0x%08X", code->value);
        else
            snprintf(line, sizeof line, code->kind == CODE_TEXT ? "\"%s\"" : "%s", code->name);
        print_wrapped(out, label, line);
        label = "";
    }
}

bool codes_print_cause(FILE *out, const char *id) {
    char upper[WORD_SIZE_MAX] = "";
    const char *title;

    for (size_t i = 0; id[i] != '\0' && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)id[i]);
    title = code_rule_title(upper);
    if (title == NULL)
        return false;
    fprintf(out, "%s  (a cause that findings name)\n", upper);
    print_wrapped(out, "Says", title);
    print_faces(out, upper);
    return true;
}

void codes_print(FILE *out, const struct code *code, bool again) {
    if (again)
        fputc('\n', out);
    print_heading(out, code);
    print_wrapped(out, "Says", code->says);
    print_wrapped(out, "Means", code->means);
    print_rules(out, code->rules);
    print_wrapped(out, "Next", code->then);
}
