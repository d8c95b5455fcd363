/* Buffered output, and JSON written as it comes: no tree is built, so a million connections cost no memory. */
#ifndef SMBPROOF_EXPLAIN_OUTPUT_H
#define SMBPROOF_EXPLAIN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT_BUFFER_SIZE 65536u /* octets */
/* Columns of the longest number, and the most that one may be given. */
#define OUTPUT_NUMBER_COLUMNS 20u

struct output {
    FILE *file;
    size_t used;
    int error;  /* negative errno of the first write that failed: disk full, pipe closed */
    bool comma; /* JSON: a value came before in this object or list */
    char buffer[OUTPUT_BUFFER_SIZE];
};

void output_init(struct output *output, FILE *file);
/* What output_octets() does where the buffer has no room for them. */
void output_overflow(struct output *output, const char *text, size_t size);

static inline void output_octets(struct output *output, const char *text, size_t size) {
    if (size > sizeof output->buffer - output->used) {
        output_overflow(output, text, size);
        return;
    }
    memcpy(output->buffer + output->used, text, size);
    output->used += size;
}

static inline void output_octet(struct output *output, char octet) {
    if (output->used == sizeof output->buffer)
        output_overflow(output, &octet, 1);
    else
        output->buffer[output->used++] = octet;
}

void output_text(struct output *output, const char *text);
void output_format(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* In decimal, at the right end of so many columns where it is shorter. */
void output_number(struct output *output, uint64_t value, unsigned columns);
/* The text for a terminal: control characters and octets that are not UTF-8 become `?`; cut where `visible` is full. */
void visible_text(const char *text, char *visible, size_t size);

/* Flushes. Returns 0, or the negative errno of what could not be written. */
int output_finish(struct output *output);

/* JSON. A NULL key is for list items. Strings are escaped; octets that are no UTF-8 become U+FFFD. */
void json_open(struct output *output, const char *key, char bracket);
void json_close(struct output *output, char bracket);
void json_string(struct output *output, const char *key, const char *value); /* NULL: null */
/* The same for what is known to need no escaping. */
void json_word(struct output *output, const char *key, const char *word);
void json_number(struct output *output, const char *key, uint64_t value);
void json_packet(struct output *output, const char *key, uint64_t packet); /* 0: null */
void json_raw(struct output *output, const char *key, const char *json);

#endif
