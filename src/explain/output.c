#include "explain/output.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void output_init(struct output *output, FILE *file) {
    output->file = file;
    output->used = 0;
    output->error = 0;
    output->comma = false;
}

static void write_octets(struct output *output, const char *octets, size_t size) {
    errno = 0;
    if (fwrite(octets, 1, size, output->file) != size && output->error == 0)
        output->error = errno != 0 ? -errno : -EIO;
}

static void flush(struct output *output) {
    write_octets(output, output->buffer, output->used);
    output->used = 0;
}

void output_overflow(struct output *output, const char *text, size_t size) {
    flush(output);
    if (size > sizeof output->buffer)
        write_octets(output, text, size);
    else
        output_octets(output, text, size);
}

void output_text(struct output *output, const char *text) {
    output_octets(output, text, strlen(text));
}

void output_format(struct output *output, const char *format, ...) {
    char text[2048];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        output_octets(output, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void output_number(struct output *output, uint64_t value, unsigned columns) {
    char digits[OUTPUT_NUMBER_COLUMNS];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (sizeof digits - at < columns && at > 0)
        digits[--at] = ' ';
    output_octets(output, digits + at, sizeof digits - at);
}

int output_finish(struct output *output) {
    flush(output);
    if (fflush(output->file) != 0 && output->error == 0)
        output->error = -errno;
    return output->error;
}

/* Length of the UTF-8 sequence at `text`, 0 where it is none. */
static size_t utf8_length(const unsigned char *text) {
    size_t length = text[0] < 0x80                      ? 1
                    : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                    : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                    : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                        : 0;

    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((length == 3 && text[0] == 0xe0 && text[1] < 0xa0) || (length == 4 && text[0] == 0xf0 && text[1] < 0x90) ||
        (length == 3 && text[0] == 0xed && text[1] >= 0xa0) || (length == 4 && text[0] == 0xf4 && text[1] >= 0x90))
        return 0;
    return length;
}

void visible_text(const char *text, char *visible, size_t size) {
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0;

    while (*at != '\0') {
        size_t length = utf8_length(at);
        bool control = length == 0 || *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);

        if (used + (control ? 1 : length) >= size)
            break;
        if (control)
            visible[used++] = '?';
        for (size_t i = 0; !control && i < length; i++)
            visible[used++] = (char)at[i];
        at += length > 0 ? length : 1;
    }
    visible[used] = '\0';
}

/* Stands in a JSON string as it is. */
static bool is_plain(unsigned char octet) {
    return octet >= 0x20 && octet < 0x7f && octet != '"' && octet != '\\';
}

/* Octets that are looked at together, and the same as two words. */
#define LOOK_SIZE 16u
#define LOOK_WORDS (LOOK_SIZE / sizeof(uint64_t))

/* The compiler knows what vectors the processor has. */
static bool are_plain(const unsigned char *text) {
    signed char octets __attribute__((vector_size(LOOK_SIZE)));
    uint64_t special[LOOK_WORDS];

    memcpy(&octets, text, sizeof octets);
    /* 0x80 and above are below 0x20 here */
    octets = (octets < 0x20) | (octets == '"') | (octets == '\\') | (octets == 0x7f);
    memcpy(special, &octets, sizeof special);
    return (special[0] | special[1]) == 0;
}

/* Length of the plain octets at the front of a text. */
static size_t plain_length(const unsigned char *text, size_t size) {
    size_t at = 0;

    while (size - at >= LOOK_SIZE && are_plain(text + at))
        at += LOOK_SIZE;
    if (at > 0 && at < size && size - at < LOOK_SIZE && are_plain(text + size - LOOK_SIZE)) /* some for the second time */
        return size;
    while (at < size && is_plain(text[at]))
        at++;
    return at;
}

static void escaped(struct output *output, const char *text) {
    const unsigned char *at = (const unsigned char *)text, *plain = at, *end = at + strlen(text);

    output_octet(output, '"');
    while (at < end) {
        size_t length;

        at += plain_length(at, (size_t)(end - at));
        if (at == end)
            break;
        length = utf8_length(at);
        if (length > 1) {
            at += length;
            continue;
        }
        output_octets(output, (const char *)plain, (size_t)(at - plain));
        if (length == 0)
            output_text(output, "\xef\xbf\xbd");
        else if (*at == '"' || *at == '\\')
            output_octets(output, (const char[]){'\\', (char)*at}, 2);
        else
            output_format(output, "\\u%04x", *at);
        plain = ++at;
    }
    output_octets(output, (const char *)plain, (size_t)(at - plain));
    output_octet(output, '"');
}

static void begin(struct output *output, const char *key) {
    if (output->comma)
        output_octet(output, ',');
    output->comma = true;
    if (key != NULL) {
        output_octet(output, '"');
        output_text(output, key);
        output_octet(output, '"');
        output_octet(output, ':');
    }
}

void json_open(struct output *output, const char *key, char bracket) {
    begin(output, key);
    output_octet(output, bracket);
    output->comma = false;
}

void json_close(struct output *output, char bracket) {
    output_octet(output, bracket);
    output->comma = true;
}

void json_string(struct output *output, const char *key, const char *value) {
    begin(output, key);
    if (value == NULL)
        output_text(output, "null");
    else
        escaped(output, value);
}

void json_word(struct output *output, const char *key, const char *word) {
    begin(output, key);
    output_octet(output, '"');
    output_text(output, word);
    output_octet(output, '"');
}

void json_number(struct output *output, const char *key, uint64_t value) {
    begin(output, key);
    output_number(output, value, 0);
}

void json_packet(struct output *output, const char *key, uint64_t packet) {
    if (packet == 0)
        json_raw(output, key, "null");
    else
        json_number(output, key, packet);
}

void json_raw(struct output *output, const char *key, const char *json) {
    begin(output, key);
    output_text(output, json);
}
