#include "auth/accounts_line.h"

#include <string.h>

#include "wire/text.h"

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

struct span account_text_until(struct reader *reader, uint8_t octet) {
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
    parsed->name = account_text_until(&reader, ':');
    hash = account_text_until(&reader, ':');
    flags = span_slice(line, reader.at, line.size);
    parsed->disabled = span_equal(flags, text_span("disabled"));
    parsed->wrong = account_name_wrong(parsed->name);
    if (parsed->wrong == NULL && !take_hash(hash, parsed->nt_hash))
        parsed->wrong = "the hash has not 32 hexadecimal digits";
    else if (parsed->wrong == NULL && flags.size > 0 && !parsed->disabled)
        parsed->wrong = "the only flag is `disabled'";
    parsed->kind = parsed->wrong == NULL ? ACCOUNT_LINE_USER : ACCOUNT_LINE_WRONG;
}

bool account_key_from_utf16(struct span name, struct account_key *key) {
    struct reader reader = reader_over(name);
    struct writer writer = writer_over(key->data, sizeof key->data);

    while (reader_left(&reader) > 0 && !writer.failed)
        writer_u16(&writer, text_upper(reader_u16(&reader)));
    key->size = writer.at;
    return !reader.failed && !writer.failed;
}

bool account_key_from_utf8(struct span name, struct account_key *key) {
    uint8_t room[TEXT_UTF16_ROOM(AUTH_NAME_MAX)];
    struct writer writer = writer_over(room, sizeof room);

    return text_to_utf16(name, &writer) && account_key_from_utf16(writer_done(&writer), key);
}

bool account_name_equal(struct span a, struct span b) {
    struct account_key first, second;

    return account_key_from_utf8(a, &first) && account_key_from_utf8(b, &second) &&
           first.size == second.size && memcmp(first.data, second.data, first.size) == 0;
}
