#include "store/names.h"

#include <errno.h>
#include <string.h>

#include "wire/text.h"

#define MAPPED 0xF000u /* of the area for private use: this and an octet */

static bool is_forbidden(uint32_t octet) {
    switch (octet) {
    case '"': case '*': case ':': case '<': case '>': case '?': case '|': case '\\':
        return true;
    default:
        return octet != 0 && (octet < 0x20 || octet >= 0x80);
    }
}

static bool is_trailing(uint32_t octet) {
    return octet == ' ' || octet == '.';
}

/* The octet that a code point stands for; 0: for none. */
static uint32_t octet_of(uint32_t code, bool is_last) {
    uint32_t octet = code - MAPPED;
    if (code <= MAPPED || octet > 0xFF)
        return 0;
    return is_forbidden(octet) || (is_last && is_trailing(octet)) ? octet : 0;
}

static int component_to_disk(struct span name, struct writer *disk) {
    size_t start = disk->at;
    struct reader reader = reader_over(name);
    while (reader_left(&reader) > 0) {
        uint32_t code = text_take_utf8(&reader);
        if (reader.failed)
            return -EILSEQ;
        uint32_t octet = octet_of(code, reader_left(&reader) == 0);
        if (octet != 0)
            writer_u8(disk, (uint8_t)octet);
        else
            text_put_utf8(disk, code);
    }
    if (disk->failed)
        return -ENAMETOOLONG;
    size_t size = disk->at - start;
    const uint8_t *made = disk->data + start;
    /* After the mapping, which can make dots. */
    bool is_dots = size <= 2 && memcmp(made, "..", size) == 0;
    return is_dots || memchr(made, 0, size) != NULL ? -EINVAL : 0;
}

int path_to_disk(const char *path, char disk[STORE_PATH_MAX]) {
    struct writer writer = writer_over((uint8_t *)disk, STORE_PATH_MAX - 1);
    disk[0] = '\0';
    for (const char *at = path; *path != '\0';) {
        size_t size = strcspn(at, "/");
        int result = component_to_disk((struct span){(const uint8_t *)at, size}, &writer);
        if (result < 0)
            return result;
        at += size;
        if (*at == '\0')
            break;
        at++;
        writer_u8(&writer, '/');
    }
    disk[writer.at] = '\0';
    return writer.failed ? -ENAMETOOLONG : 0;
}

static void put_mapped(struct reader *reader, struct writer *name) {
    struct reader next = *reader;
    uint32_t code = text_take_utf8(&next);
    bool is_ill = next.failed;
    if (is_ill)
        code = reader_u8(reader);
    else
        *reader = next;
    bool is_last = reader_left(reader) == 0;
    bool is_mapped = is_ill || (code < 0x80 && (is_forbidden(code) || (is_last && is_trailing(code))));
    text_put_utf8(name, is_mapped ? MAPPED + code : code);
}

/* What stands for itself, but for the last octet, which may be mapped where others are not. */
static size_t plain_size(struct span disk) {
    size_t size = 0;
    while (size + 1 < disk.size && disk.data[size] < 0x80 && !is_forbidden(disk.data[size]))
        size++;
    return size;
}

static bool put_component(struct span disk, struct writer *name) {
    struct reader reader = reader_over(disk);
    writer_put(name, reader_take(&reader, plain_size(disk)));
    while (reader_left(&reader) > 0 && !name->failed)
        put_mapped(&reader, name);
    return !name->failed;
}

bool name_from_disk(const char *disk, char name[STORE_NAME_MAX]) {
    struct writer writer = writer_over((uint8_t *)name, STORE_NAME_MAX - 1);
    bool fits = put_component(text_span(disk), &writer);
    name[writer.at] = '\0';
    return fits;
}

bool path_from_disk(const char *disk, char path[STORE_PATH_MAX]) {
    struct writer writer = writer_over((uint8_t *)path, STORE_PATH_MAX - 1);
    for (;;) {
        size_t size = strcspn(disk, "/");
        put_component((struct span){(const uint8_t *)disk, size}, &writer);
        disk += size;
        if (*disk == '\0')
            break;
        disk++;
        writer_u8(&writer, '/');
    }
    path[writer.at] = '\0';
    return !writer.failed;
}

static uint32_t upper(uint32_t code) {
    return code <= 0xFFFF ? text_upper((uint16_t)code) : code;
}

/* The next letter; what is no UTF-8 stands for itself, octet by octet. 0 at the end. */
static uint32_t letter_take(struct reader *reader) {
    if (reader_left(reader) == 0)
        return 0;
    if (reader->bytes.data[reader->at] < 0x80)
        return text_upper(reader->bytes.data[reader->at++]);
    struct reader next = *reader;
    uint32_t code = text_take_utf8(&next);
    if (next.failed)
        return MAPPED + reader_u8(reader);
    *reader = next;
    return upper(code);
}

bool name_equal(const char *a, const char *b) {
    struct reader left = reader_over(text_span(a)), right = reader_over(text_span(b));
    uint32_t letter;
    do {
        letter = letter_take(&left);
        if (letter != letter_take(&right))
            return false;
    } while (letter != 0);
    return true;
}

uint32_t name_hash(const char *name) {
    uint32_t hash = 2166136261u, letter; /* FNV-1a over letters */
    struct reader reader = reader_over(text_span(name));
    while ((letter = letter_take(&reader)) != 0)
        hash = (hash ^ letter) * 16777619u;
    return hash;
}

/* ---- short names ---- */

#define SHORT_BASE_MAX      8u
#define SHORT_EXTENSION_MAX 3u
#define SHORT_KEPT          2u /* letters of the name in front of "~" */
#define SHORT_DIGITS        5u

static bool is_digit(char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'A' && letter <= 'Z');
}

static char short_letter(char letter) {
    return letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
}

static bool is_short_letter(char letter) {
    return letter != '\0' && (is_digit(short_letter(letter)) || strchr("!#$%&'()-@^_`{}~", letter) != NULL);
}

/* The legal letters of a part, at most so many, in upper case. */
static size_t short_part(const char *part, size_t size, size_t most, char *made) {
    size_t count = 0;
    for (size_t i = 0; i < size && count < most; i++)
        if (is_short_letter(part[i]))
            made[count++] = short_letter(part[i]);
    return count;
}

bool short_name(const char *name, char made[SHORT_NAME_MAX]) {
    const char *dot = strrchr(name, '.');
    size_t size = strlen(name), base = dot != NULL && dot > name ? (size_t)(dot - name) : size;
    size_t extension = base < size ? size - base - 1 : 0;
    size_t at = short_part(name, base, SHORT_BASE_MAX, made);
    char tail[SHORT_EXTENSION_MAX];
    size_t tail_size = extension > 0 ? short_part(dot + 1, extension, SHORT_EXTENSION_MAX, tail) : 0;
    bool is_made_up = at != base || at == 0 || tail_size != extension || (base < size && extension == 0);
    if (is_made_up) {
        uint32_t hash = name_hash(name);
        at = at < SHORT_KEPT ? at : SHORT_KEPT;
        made[at++] = '~';
        for (unsigned i = 0; i < SHORT_DIGITS; i++, hash /= 36)
            made[at++] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[hash % 36];
    }
    if (tail_size > 0)
        made[at++] = '.';
    memcpy(made + at, tail, tail_size);
    made[at + tail_size] = '\0';
    return is_made_up;
}

/* "~12345.EXT" */
static bool is_short_end(const char *end) {
    if (*end++ != '~')
        return false;
    for (unsigned i = 0; i < SHORT_DIGITS; i++, end++)
        if (!is_digit(short_letter(*end)))
            return false;
    return *end == '\0' || (*end == '.' && strlen(end) <= 1 + SHORT_EXTENSION_MAX);
}

/* The letters in front may be tildes, too. */
bool is_short_name(const char *name) {
    for (unsigned kept = 0; kept <= SHORT_KEPT; kept++) {
        if (is_short_end(name + kept))
            return true;
        if (name[kept] == '\0')
            return false;
    }
    return false;
}

/* How one step of the pattern goes on. */
enum step { STEP_NO, STEP_BOTH, STEP_PATTERN };

static bool has_dot_behind(struct reader name) {
    uint32_t letter;
    while ((letter = letter_take(&name)) != 0)
        if (letter == '.')
            return true;
    return false;
}

static enum step single_step(uint32_t wanted, uint32_t letter) {
    if (wanted == '>')
        return letter == 0 || letter == '.' ? STEP_PATTERN : STEP_BOTH;
    if (wanted == '"')
        return letter == '.' ? STEP_BOTH : letter == 0 ? STEP_PATTERN : STEP_NO;
    if (letter == 0)
        return STEP_NO;
    return wanted == '?' || wanted == letter ? STEP_BOTH : STEP_NO;
}

/* A star tries the shortest first and, where the rest does not fit, takes one letter more; only the last star needs to be
 * gone back to, so that no pattern costs more than its length times that of the name. */
bool pattern_matches(const char *pattern, const char *name) {
    struct reader wanted = reader_over(text_span(pattern)), letters = reader_over(text_span(name));
    struct reader star_wanted = wanted, star_letters = letters;
    bool has_star = false, star_stops = false;
    for (;;) {
        struct reader next_wanted = wanted, next_letters = letters;
        uint32_t want = letter_take(&next_wanted), letter = letter_take(&next_letters);
        if (want == 0 && letter == 0)
            return true;
        if (want == '*' && reader_left(&next_wanted) == 0)
            return true; /* it takes whatever is left */
        if (want == '*' || want == '<') {
            has_star = true;
            star_stops = want == '<';
            star_wanted = wanted = next_wanted;
            star_letters = letters;
            continue;
        }
        enum step step = want == 0 ? STEP_NO : single_step(want, letter);
        if (step != STEP_NO) {
            wanted = next_wanted;
            letters = step == STEP_BOTH ? next_letters : letters;
            continue;
        }
        /* DOS_STAR does not take the last dot. */
        struct reader rest = star_letters;
        uint32_t taken = letter_take(&rest);
        if (!has_star || taken == 0 || (star_stops && taken == '.' && !has_dot_behind(rest)))
            return false;
        star_letters = letters = rest;
        wanted = star_wanted;
    }
}
