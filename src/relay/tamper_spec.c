/* Alterations from their text. */
#include "relay/tamper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/vocabulary.h"

#define SEPARATOR " ; " /* between the alterations of a list */
#define COALESCE_USUAL_MS 50u

/* The text, taken apart from left to right. */
struct cut {
    const char *at;
    char word[TAMPER_TEXT_MAX];
};

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '/';
}

/* A name: what begins like an operator ends it. */
static const char *take_word(struct cut *cut) {
    size_t size = 0;

    while (is_word(cut->at[size]) && !(cut->at[size] == '-' && cut->at[size + 1] == '='))
        size++;
    memcpy(cut->word, cut->at, size);
    cut->word[size] = '\0';
    cut->at += size;
    return cut->word;
}

static bool complain(char *complaint, const char *text, const char *what) {
    snprintf(complaint, TAMPER_COMPLAINT_MAX, "`%s': %s", text, what);
    return false;
}

/* ---- the message ---- */

static bool find_target(const char *word, struct tamper *tamper) {
    static const struct {
        const char *name;
        enum tamper_target target;
    } others[] = {
        {"validate", TARGET_VALIDATE}, {"smb1", TARGET_SMB1}, {"encrypted", TARGET_ENCRYPTED}, {"any", TARGET_ANY}};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (words_equal(word, others[i].name)) {
            tamper->target = others[i].target;
            return true;
        }
    for (uint16_t command = 0; command <= SMB2_OPLOCK_BREAK; command++)
        if (words_equal(word, command_name(command))) {
            tamper->target = TARGET_COMMAND;
            tamper->command = command;
            return true;
        }
    return false;
}

static bool unknown_message(const char *word, char *complaint) {
    struct near_words near = near_begin(word);

    near_add(&near, "validate");
    near_add(&near, "smb1");
    near_add(&near, "encrypted");
    near_add(&near, "any");
    for (uint16_t command = 0; command <= SMB2_OPLOCK_BREAK; command++)
        near_add(&near, command_name(command));
    near_tell(&near, "message", complaint, TAMPER_COMPLAINT_MAX);
    return false;
}

static bool find_way(const char *word, struct tamper *tamper) {
    static const struct {
        const char *name;
        enum tamper_way way;
        enum tamper_which which;
    } ways[] = {
        {"request", WAY_REQUEST, WHICH_ANY},
        {"response", WAY_RESPONSE, WHICH_ANY},
        {"final_response", WAY_RESPONSE, WHICH_FINAL},
        {"wildcard_response", WAY_RESPONSE, WHICH_WILDCARD},
    };

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (words_equal(word, ways[i].name)) {
            tamper->way = ways[i].way;
            tamper->which = ways[i].which;
            return true;
        }
    return false;
}

/* ---- fields ---- */

struct field_list {
    const struct field *fields;
    unsigned count;
};

static struct field_list header_list(const struct tamper *tamper) {
    if (tamper->target == TARGET_SMB1)
        return (struct field_list){smb1_header_fields, smb1_header_fields_count};
    if (tamper->target == TARGET_ENCRYPTED)
        return (struct field_list){transform_header_fields, transform_header_fields_count};
    return (struct field_list){smb2_header_fields, smb2_header_fields_count};
}

static struct field_list body_list(const struct tamper *tamper) {
    const struct field *fields;
    unsigned count = 0;

    if (tamper->way == WAY_BOTH || tamper->target == TARGET_ANY || tamper->target == TARGET_SMB1 ||
        tamper->target == TARGET_ENCRYPTED)
        return (struct field_list){NULL, 0};
    fields = vocabulary_body(tamper->target == TARGET_VALIDATE ? (uint16_t)SMB2_IOCTL : tamper->command,
                             tamper->way == WAY_RESPONSE, &count);
    return (struct field_list){fields, count};
}

static struct field_list info_list(const struct tamper *tamper) {
    if (tamper->target != TARGET_VALIDATE || tamper->way == WAY_BOTH)
        return (struct field_list){NULL, 0};
    return tamper->way == WAY_REQUEST ? (struct field_list){validate_request_fields, validate_request_fields_count}
                                      : (struct field_list){validate_response_fields, validate_response_fields_count};
}

static bool find_in(const struct field_list *list, enum tamper_part part, const char *word, struct tamper *tamper) {
    const struct field *field = list->count > 0 ? fields_find(list->fields, list->count, word) : NULL;

    if (field == NULL)
        return false;
    tamper->field = field;
    tamper->part = part;
    return true;
}

/* Lists, which no field list has: they are the variable parts. */
static bool find_list(const char *word, struct tamper *tamper) {
    bool negotiates = tamper->target == TARGET_COMMAND && tamper->command == SMB2_NEGOTIATE && tamper->way != WAY_BOTH;
    bool has_dialects = tamper->way == WAY_REQUEST && (negotiates || tamper->target == TARGET_VALIDATE ||
                                                       tamper->target == TARGET_SMB1);

    if (has_dialects && words_equal(word, "Dialects"))
        tamper->part = PART_DIALECTS;
    else if (negotiates && words_equal(word, "contexts"))
        tamper->part = PART_CONTEXTS;
    else if (negotiates && words_equal(word, "Salt"))
        tamper->part = PART_SALT;
    else if (negotiates && vocabulary_context_list(word, &tamper->context_type))
        tamper->part = PART_CONTEXT_IDS;
    return tamper->part != PART_NONE;
}

static bool find_field(const char *word, bool in_header, struct tamper *tamper) {
    struct field_list header = header_list(tamper), body = body_list(tamper), info = info_list(tamper);

    if (in_header)
        return find_in(&header, PART_HEADER, word, tamper);
    return find_list(word, tamper) || find_in(&info, PART_INFO, word, tamper) ||
           find_in(&body, PART_BODY, word, tamper) || find_in(&header, PART_HEADER, word, tamper);
}

static void add_fields(struct near_words *near, struct field_list list) {
    for (unsigned i = 0; i < list.count; i++)
        near_add(near, list.fields[i].name);
}

static bool unknown_field(const char *word, const struct tamper *tamper, char *complaint) {
    struct near_words near = near_begin(word);

    if (tamper->target == TARGET_COMMAND && tamper->command == SMB2_NEGOTIATE && tamper->way != WAY_BOTH) {
        near_add(&near, "contexts");
        near_add(&near, "Salt");
        vocabulary_add_context_lists(&near);
    }
    if (tamper->way == WAY_REQUEST)
        near_add(&near, "Dialects");
    add_fields(&near, info_list(tamper));
    add_fields(&near, body_list(tamper));
    add_fields(&near, header_list(tamper));
    near_tell(&near, "field of that message", complaint, TAMPER_COMPLAINT_MAX);
    if (tamper->way == WAY_BOTH)
        strncat(complaint, "; fields of a body are named behind .request or .response",
                TAMPER_COMPLAINT_MAX - strlen(complaint) - 1);
    return false;
}

/* ---- values ---- */

/* What the words of a field's value mean. */
static enum vocabulary vocabulary_of(const struct tamper *tamper) {
    switch (tamper->part) {
    case PART_DIALECTS:
        return VOCABULARY_DIALECT;
    case PART_CONTEXTS:
        return VOCABULARY_CONTEXT;
    case PART_CONTEXT_IDS:
        return vocabulary_of_context(tamper->context_type);
    case PART_HEADER:
    case PART_BODY:
    case PART_INFO:
        return vocabulary_of_field(tamper->field->name, tamper->part == PART_HEADER);
    default:
        return VOCABULARY_NONE;
    }
}

static bool parse_number(const char *word, enum vocabulary vocabulary, uint64_t *value) {
    char *end;

    if (vocabulary_find(vocabulary, word, value))
        return true;
    if (word[0] < '0' || word[0] > '9')
        return false;
    errno = 0;
    *value = strtoull(word, &end, 0);
    return errno == 0 && *end == '\0';
}

static bool unknown_value(const char *word, enum vocabulary vocabulary, char *complaint) {
    struct near_words near = near_begin(word);

    vocabulary_add(vocabulary, &near);
    near_tell(&near, "value", complaint, TAMPER_COMPLAINT_MAX);
    return false;
}

/* Words joined by `|`, or 0x-numbers; with ~ in front all bits are the other way round. */
static bool parse_bits(const char *text, enum vocabulary vocabulary, uint64_t *value, char *complaint) {
    bool inverted = text[0] == '~';
    char words[TAMPER_TEXT_MAX], *rest = words, *word;
    uint64_t bits = 0, one;

    snprintf(words, sizeof words, "%s", text + inverted);
    while ((word = strsep(&rest, "|")) != NULL) {
        if (!parse_number(word, vocabulary, &one))
            return unknown_value(word, vocabulary, complaint);
        bits |= one;
    }
    *value = inverted ? ~bits : bits;
    return true;
}

static bool parse_values(const char *text, struct tamper *tamper, char *complaint) {
    enum vocabulary vocabulary = vocabulary_of(tamper);
    char words[TAMPER_TEXT_MAX], *rest = words, *word;
    uint64_t one;

    snprintf(words, sizeof words, "%s", text);
    while ((word = strsep(&rest, ",")) != NULL) {
        if (!parse_number(word, vocabulary, &one) || one > UINT16_MAX)
            return unknown_value(word, vocabulary, complaint);
        if (tamper->values_count == TAMPER_VALUES_MAX)
            return complain(complaint, text, "too many values");
        tamper->values[tamper->values_count++] = (uint16_t)one;
    }
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two digits an octet, or 0 for zeros. */
static bool parse_octets(const char *text, struct tamper *tamper, char *complaint) {
    size_t width = tamper->field->width;

    if (strcmp(text, "0") == 0)
        return true;
    if (width > sizeof tamper->octets || strlen(text) != 2 * width ||
        strspn(text, "0123456789abcdefABCDEF") != 2 * width)
        return complain(complaint, text, "a field of octets takes two hexadecimal digits for each of them, or 0");
    for (size_t i = 0; i < width; i++)
        tamper->octets[i] = (uint8_t)(hex_digit(text[2 * i]) * 16 + hex_digit(text[2 * i + 1]));
    return true;
}

static bool parse_smb1_dialect(const char *text, struct tamper *tamper, char *complaint) {
    if (text[0] == '\0' || strlen(text) >= sizeof tamper->dialect_text)
        return complain(complaint, text, "not the name of an SMB1 dialect, such as SMB 2.???");
    snprintf(tamper->dialect_text, sizeof tamper->dialect_text, "%s", text);
    return true;
}

static bool parse_list_change(const char *text, struct tamper *tamper, char *complaint) {
    bool changes = tamper->verb == VERB_TAKE || tamper->verb == VERB_PUT;

    if (tamper->part == PART_SALT)
        return tamper->verb == VERB_XOR ? parse_bits(text, VOCABULARY_NONE, &tamper->value, complaint)
                                        : complain(complaint, text, "of Salt only ^= is known, of its first octet");
    if (!changes)
        return complain(complaint, text, "a list takes -= and +=, with values between commas");
    if (tamper->verb == VERB_PUT && tamper->part == PART_CONTEXTS && strchr(text, ',') != NULL)
        return complain(complaint, text, "contexts+= takes one context");
    if (tamper->target == TARGET_SMB1)
        return tamper->verb == VERB_TAKE ? parse_smb1_dialect(text, tamper, complaint)
                                         : complain(complaint, text, "from SMB1's Dialects one can only take");
    return parse_values(text, tamper, complaint);
}

static bool parse_value(const char *text, struct tamper *tamper, char *complaint) {
    if (tamper->field == NULL)
        return parse_list_change(text, tamper, complaint);
    if (tamper->verb == VERB_TAKE || tamper->verb == VERB_PUT)
        return complain(complaint, text, "-= and += are for lists; a number takes =, |=, &= and ^=");
    if (tamper->field->kind == FIELD_KIND_OCTETS && tamper->verb == VERB_SET) {
        tamper->verb = VERB_OCTETS;
        return parse_octets(text, tamper, complaint);
    }
    if (tamper->field->kind == FIELD_KIND_OCTETS && tamper->verb != VERB_XOR)
        return complain(complaint, text, "a field of octets takes = and ^=, of its first octet");
    return parse_bits(text, vocabulary_of(tamper), &tamper->value, complaint);
}

static bool parse_operator(struct cut *cut, struct tamper *tamper) {
    static const struct {
        const char *text;
        enum tamper_verb verb;
    } operators[] = {{"=", VERB_SET},  {"|=", VERB_OR},   {"&=", VERB_AND},
                     {"^=", VERB_XOR}, {"-=", VERB_TAKE}, {"+=", VERB_PUT}};

    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t size = strlen(operators[i].text);

        if (strncmp(cut->at, operators[i].text, size) == 0) {
            tamper->verb = operators[i].verb;
            cut->at += size;
            return true;
        }
    }
    return false;
}

static bool parse_field(struct cut *cut, const char *word, struct tamper *tamper, char *complaint) {
    bool in_header = words_equal(word, "header") && cut->at[0] == '.';

    if (in_header) {
        cut->at++;
        word = take_word(cut);
    }
    if (!find_field(word, in_header, tamper))
        return unknown_field(word, tamper, complaint);
    if (!parse_operator(cut, tamper))
        return complain(complaint, tamper->text, "behind the field comes =, |=, &=, ^=, -= or +=, and a value");
    return parse_value(cut->at, tamper, complaint);
}

/* ---- verbs ---- */

enum argument { ARGUMENT_NONE, ARGUMENT_STATUS, ARGUMENT_TIME, ARGUMENT_SIZE, ARGUMENT_MAYBE_TIME };

static const struct {
    const char *name;
    enum tamper_verb verb;
    enum argument argument;
} verbs[] = {
    {"drop", VERB_DROP, ARGUMENT_NONE},
    {"reset", VERB_RESET, ARGUMENT_NONE},
    {"strip-signature", VERB_STRIP_SIGNATURE, ARGUMENT_NONE},
    {"status", VERB_STATUS, ARGUMENT_STATUS},
    {"garbage", VERB_GARBAGE, ARGUMENT_STATUS},
    {"answer", VERB_ANSWER, ARGUMENT_STATUS},
    {"truncate", VERB_TRUNCATE, ARGUMENT_SIZE},
    {"delay", VERB_DELAY, ARGUMENT_TIME},
    {"split", VERB_SPLIT, ARGUMENT_SIZE},
    {"coalesce", VERB_COALESCE, ARGUMENT_MAYBE_TIME},
};
#define VERBS_COUNT (sizeof verbs / sizeof verbs[0])

static bool parse_argument(enum argument argument, const char *text, struct tamper *tamper, char *complaint) {
    bool is_time = argument == ARGUMENT_TIME || argument == ARGUMENT_MAYBE_TIME;

    if (argument == ARGUMENT_MAYBE_TIME && text[0] == '\0') {
        tamper->value = COALESCE_USUAL_MS;
        return true;
    }
    if (argument == ARGUMENT_NONE)
        return text[0] == '\0' || complain(complaint, tamper->text, "this verb takes no value");
    if (text[0] != '=')
        return complain(complaint, tamper->text, "this verb needs a value, behind =");
    if (!parse_number(text + 1, argument == ARGUMENT_STATUS ? VOCABULARY_STATUS : VOCABULARY_NONE, &tamper->value))
        return unknown_value(text + 1, argument == ARGUMENT_STATUS ? VOCABULARY_STATUS : VOCABULARY_NONE, complaint);
    if (is_time && tamper->value > TAMPER_TIME_MAX_MS)
        return complain(complaint, tamper->text, "longer than a minute");
    if (tamper->value > UINT32_MAX || (argument != ARGUMENT_STATUS && tamper->value == 0))
        return complain(complaint, tamper->text, "that value makes no sense");
    return true;
}

static bool unknown_verb(const char *word, char *complaint) {
    struct near_words near = near_begin(word);

    for (size_t i = 0; i < VERBS_COUNT; i++)
        near_add(&near, verbs[i].name);
    near_tell(&near, "verb", complaint, TAMPER_COMPLAINT_MAX);
    return false;
}

/* An error response is made only from a response, an answer only to a request. */
static bool check_verb(const struct tamper *tamper, char *complaint) {
    bool responds = tamper->verb == VERB_STATUS || tamper->verb == VERB_GARBAGE;

    if (responds && tamper->way != WAY_RESPONSE)
        return complain(complaint, tamper->text, "status and garbage are for a .response");
    if (tamper->verb == VERB_ANSWER && tamper->way != WAY_REQUEST)
        return complain(complaint, tamper->text, "answer is for a .request, which then is not passed on");
    return true;
}

static bool parse_verb(struct cut *cut, struct tamper *tamper, char *complaint) {
    const char *word = take_word(cut);

    for (size_t i = 0; i < VERBS_COUNT; i++)
        if (words_equal(word, verbs[i].name)) {
            tamper->verb = verbs[i].verb;
            return parse_argument(verbs[i].argument, cut->at, tamper, complaint) && check_verb(tamper, complaint);
        }
    return unknown_verb(word, complaint);
}

static bool parse_octet(const char *text, struct tamper *tamper, char *complaint) {
    char *end;
    unsigned long offset = strtoul(text, &end, 0);

    tamper->verb = VERB_OCTET;
    if (end == text || *end != '=' || offset >= CONVERSATION_WHOLE_MAX ||
        !parse_number(end + 1, VOCABULARY_NONE, &tamper->value) || tamper->value > UINT8_MAX)
        return complain(complaint, tamper->text, "@ takes OFFSET=OCTET, the offset counted from the protocol id");
    tamper->offset = (uint32_t)offset;
    return true;
}

/* ---- */

static bool parse_rest(struct cut *cut, struct tamper *tamper, char *complaint) {
    switch (*cut->at++) {
    case ':':
        return parse_verb(cut, tamper, complaint);
    case '@':
        return parse_octet(cut->at, tamper, complaint);
    case '.':
        return parse_field(cut, take_word(cut), tamper, complaint);
    default:
        return complain(complaint, tamper->text,
                        "behind the message comes .FIELD with an operator, @OFFSET=OCTET or :VERB");
    }
}

/* `.request` and the like, or nothing: then what follows is for both ways. */
static void parse_way(struct cut *cut, struct tamper *tamper) {
    struct cut ahead = {.at = cut->at + 1};

    if (cut->at[0] == '.' && find_way(take_word(&ahead), tamper))
        cut->at = ahead.at;
}

bool tamper_parse(const char *text, struct tamper *tamper, char complaint[TAMPER_COMPLAINT_MAX]) {
    struct cut cut = {.at = text};

    memset(tamper, 0, sizeof *tamper);
    if (strlen(text) >= sizeof tamper->text)
        return complain(complaint, text, "too long");
    strcpy(tamper->text, text);
    if (!find_target(take_word(&cut), tamper))
        return unknown_message(cut.word, complaint);
    parse_way(&cut, tamper);
    return parse_rest(&cut, tamper, complaint);
}

bool tamper_next(const char **list, char text[TAMPER_TEXT_MAX]) {
    const char *end = strstr(*list, SEPARATOR);
    size_t size = end != NULL ? (size_t)(end - *list) : strlen(*list);

    if (size == 0)
        return false;
    snprintf(text, TAMPER_TEXT_MAX, "%.*s", (int)size, *list);
    *list += size + (end != NULL ? strlen(SEPARATOR) : 0);
    return true;
}
