#include "capture/format.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Files that people bring along and that are no captures, with what to do about each. */
struct foreign {
    const char *magic;
    uint8_t size;
    const char *advice;
};

static const struct foreign foreign_formats[] = {
    {"snoop\0\0\0", 8,
     "a Solaris snoop capture: convert it with `editcap -F pcapng IN OUT.pcapng`"},
    {"\xfd\x37zXZ", 5, "an xz file: unpack it first (`xz -d`)"},
    {"BZh", 3, "a bzip2 file: unpack it first (`bzip2 -d`)"},
    {"\x04\x22\x4d\x18", 4, "an lz4 file: unpack it first (`lz4 -d`)"},
    {"PK\x03\x04", 4,
     "a zip archive (Message Analyzer's .matp is one too): unpack it, or export it as .cap"},
    {"7z\xbc\xaf", 4, "a 7-Zip archive: unpack it first"},
    {"XCP\0", 4, "a NetXRay or Sniffer capture: convert it with `editcap -F pcapng IN OUT.pcapng`"},
    {"TRSNIFF data    \x1a", 17,
     "a Sniffer capture: convert it with `editcap -F pcapng IN OUT.pcapng`"},
};

/* An ETW log begins with a WMI_BUFFER_HEADER (72 octets, BufferSize first) and then the
 * TRACE_LOGFILE_HEADER event: a SYSTEM_TRACE_HEADER (header type 1 or 2, marker flags 0xc0; 32
 * octets), then BufferSize once more. */
static bool looks_like_etl(struct span first) {
    if (first.size < 0x6c)
        return false;
    uint32_t buffer_size = load_u32_le(first.data);
    if (buffer_size < 1024 || buffer_size > 16u * 1024 * 1024 || buffer_size % 1024 != 0)
        return false;
    bool marker = first.data[0x4b] == 0xc0 && (first.data[0x4a] == 1 || first.data[0x4a] == 2);
    return marker || load_u32_le(first.data + 0x68) == buffer_size;
}

static bool name_ends_with(const char *path, const char *end) {
    size_t length = strlen(path), end_length = strlen(end);
    return length >= end_length && strcasecmp(path + length - end_length, end) == 0;
}

static void error_set(struct capture_error *error, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void error_set(struct capture_error *error, uint64_t offset, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->offset = offset;
    vsnprintf(error->reason, sizeof error->reason, format, arguments);
    va_end(arguments);
}

enum capture_status capture_break(struct capture *capture, uint64_t offset, const char *reason,
                                  ...) {
    va_list arguments;
    va_start(arguments, reason);
    capture->error.offset = offset;
    vsnprintf(capture->error.reason, sizeof capture->error.reason, reason, arguments);
    va_end(arguments);
    capture->stopped = CAPTURE_BROKEN;
    return CAPTURE_BROKEN;
}

/* Too short for any record, and what text tools append to files: a line's end, or zeros. */
#define PADDING_MAX 3u

static bool is_padding(const struct source *source, size_t left) {
    if (left > PADDING_MAX)
        return false;
    for (size_t i = 0; i < left; i++) {
        uint8_t octet = source->data[source->at + i];
        if (octet != '\n' && octet != '\r' && octet != 0)
            return false;
    }
    return true;
}

enum capture_status capture_stop(struct capture *capture) {
    const struct source *source = &capture->source;
    uint64_t offset = source_offset(source);
    if (source->failure)
        return capture_break(capture, offset, "%s", source->failure);
    size_t left = source->size - source->at;
    if (left > 0 && !is_padding(source, left))
        return capture_break(capture, offset,
                             "the file ends in the middle of a record: %zu octets are left of it",
                             left);
    capture->stopped = CAPTURE_END;
    return CAPTURE_END;
}

/* "not a capture: it begins with 3c 68 74 6d 6c ... "<html"". */
static void describe_unknown(struct capture_error *error, struct span first) {
    char hex[3 * 8 + 1] = "", text[8 + 1] = "";
    size_t shown = first.size < 8 ? first.size : 8;
    for (size_t i = 0; i < shown; i++) {
        snprintf(hex + 3 * i, 4, "%02x ", first.data[i]);
        text[i] = (char)(first.data[i] >= 0x20 && first.data[i] < 0x7f ? first.data[i] : '.');
    }
    error_set(error, 0, "not a capture (pcap, pcapng or Network Monitor): it begins with %s\"%s\"",
              hex, text);
}

static void describe_foreign(struct capture_error *error, struct span first, const char *path) {
    for (size_t i = 0; i < sizeof foreign_formats / sizeof *foreign_formats; i++) {
        const struct foreign *foreign = &foreign_formats[i];
        if (first.size >= foreign->size && memcmp(first.data, foreign->magic, foreign->size) == 0) {
            error_set(error, 0, "%s", foreign->advice);
            return;
        }
    }
    if (looks_like_etl(first) || name_ends_with(path, ".etl"))
        error_set(
            error, 0,
            "a Windows event trace (.etl): convert it with `etl2pcapng in.etl out.pcapng` or, on "
            "Windows, `pktmon etl2pcap in.etl`");
    else
        describe_unknown(error, first);
}

static struct span source_first(struct source *source) {
    for (size_t size = FORMAT_LOOK_SIZE; size > 0; size--) {
        const uint8_t *data = source_peek(source, size);
        if (data)
            return (struct span){data, size};
    }
    return (struct span){NULL, 0};
}

/* How much of the file tells its format. A live pipe may hold back after a short header: no more
 * than is needed. */
static size_t look_size(uint32_t magic) {
    uint32_t half = magic & 0xffff;
    if (magic == 0x0a0d0d0au)
        return 12;
    return half == 0xc3d4 || half == 0x3c4d || half == 0xcd34 || half == 0xb2a1 ? 24
                                                                                : FORMAT_LOOK_SIZE;
}

static struct span source_look(struct source *source) {
    const uint8_t *data = source_peek(source, 4);
    size_t size = data ? look_size(load_u32_le(data)) : 0;
    data = size ? source_peek(source, size) : NULL;
    return data ? (struct span){data, size} : source_first(source);
}

static int capture_recognise(struct capture *capture, const char *path) {
    struct span first = source_look(&capture->source);
    if (first.size == 0) {
        const char *failure = capture->source.failure;
        error_set(&capture->error, 0, "%s", failure ? failure : "the file is empty");
        return -EPROTO;
    }
    int (*const begin[])(struct capture *, struct span) = {pcap_begin, pcapng_begin, netmon_begin};
    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++) {
        int result = begin[i](capture, first);
        if (result <= 0)
            return result;
    }
    describe_foreign(&capture->error, first, path);
    return -EPROTO;
}

static int capture_begin(struct capture **out, struct capture *capture, const char *path,
                         int result, struct capture_error *error) {
    if (result == 0)
        result = capture_recognise(capture, path);
    else
        error_set(&capture->error, 0, "%s", strerror(-result));
    if (result < 0) {
        if (capture->error.reason[0] == '\0')
            error_set(&capture->error, 0, "%s", strerror(-result));
        *error = capture->error;
        capture_close(capture);
        return result;
    }
    const char *packing = source_packing(&capture->source);
    snprintf(capture->format_text, sizeof capture->format_text, "%s%s%s", capture->format,
             packing ? ", " : "", packing ? packing : "");
    *out = capture;
    return 0;
}

static struct capture *capture_allocate(struct capture_error *error) {
    struct capture *capture = calloc(1, sizeof *capture);
    if (!capture)
        error_set(error, 0, "%s", strerror(ENOMEM));
    return capture;
}

int capture_open(struct capture **out, const char *path, struct capture_error *error) {
    *out = NULL;
    struct capture *capture = capture_allocate(error);
    if (!capture)
        return -ENOMEM;
    return capture_begin(out, capture, path, source_open(&capture->source, path), error);
}

int capture_open_memory(struct capture **out, struct span bytes, struct capture_error *error) {
    *out = NULL;
    struct capture *capture = capture_allocate(error);
    if (!capture)
        return -ENOMEM;
    return capture_begin(out, capture, "", source_open_memory(&capture->source, bytes), error);
}

enum capture_status capture_next(struct capture *capture, struct packet *packet) {
    return capture->stopped == CAPTURE_PACKET ? capture->next(capture, packet) : capture->stopped;
}

const struct capture_error *capture_error(const struct capture *capture) {
    return &capture->error;
}

const char *capture_format(const struct capture *capture) {
    return capture->format_text;
}

uint64_t capture_position(const struct capture *capture) {
    return source_position(&capture->source);
}

uint64_t capture_size(const struct capture *capture) {
    return capture->source.raw_size;
}

bool capture_is_lasting(const struct capture *capture) {
    return capture->source.map != NULL;
}

bool capture_help(void *capture) {
    return source_help(&((struct capture *)capture)->source);
}

bool capture_is_packed(const struct capture *capture) {
    return source_packing(&capture->source) != NULL;
}

void capture_close(struct capture *capture) {
    if (!capture)
        return;
    pcapng_end(capture);
    source_close(&capture->source);
    free(capture);
}
