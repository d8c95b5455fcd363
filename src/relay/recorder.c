#include "relay/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ETHERNET_SIZE 14u
#define IPV4_SIZE     20u
#define IPV6_SIZE     40u
#define TCP_SIZE      20u
#define HEADERS_MAX   (ETHERNET_SIZE + IPV6_SIZE + TCP_SIZE)
/* Octets of one packet's payload: below what an IP packet may have, and as offloading network cards show it. */
#define SEGMENT_MAX  32768u
#define TTL          64u
#define WINDOW       65535u
#define TCP_PROTOCOL 6u
/* Distance of the first sequence numbers of two connections, so that none look alike. */
#define INITIAL_STEP 100000007u

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };

/* pcapng: block types, options, link type (draft-ietf-opsawg-pcapng). */
enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_APPLICATION = 4,
    OPTION_NAME = 2,
    OPTION_DESCRIPTION = 3,
    OPTION_RESOLUTION = 9,
    RESOLUTION_NS = 9,
    LINK_ETHERNET = 1,
};
#define BYTE_ORDER_MAGIC    0x1a2b3c4du
#define LENGTH_UNKNOWN      UINT64_MAX
#define BLOCK_OVERHEAD      12u /* type and both lengths */
#define PACKET_FIXED_SIZE   20u
#define OPTIONS_ROOM        1024u /* octets of all options of one block */
#define OUTPUTS_MAX         3u

struct sink {
    FILE *file;
    int side; /* enum direction of the one that it holds, or -1 for both */
};

struct recorder {
    struct sink sinks[OUTPUTS_MAX];
    unsigned sinks_count;
    uint32_t initial; /* sequence number of the next connection */
    int error;
};

/* ---- blocks ---- */

static void put(struct recorder *recorder, FILE *file, const void *octets, size_t size) {
    if (recorder->error == 0 && fwrite(octets, 1, size, file) != size)
        recorder->error = errno != 0 ? -errno : -EIO;
}

static void put_u32(struct recorder *recorder, FILE *file, uint32_t value) {
    put(recorder, file, &value, sizeof value);
}

static size_t padded(size_t size) {
    return (size + 3) & ~(size_t)3;
}

static void put_padding(struct recorder *recorder, FILE *file, size_t size) {
    put(recorder, file, "\0\0\0", padded(size) - size);
}

/* Options gather in a writer, in the host's byte order, which the section header tells. */
static void option_add(struct writer *options, uint16_t code, const void *value, size_t size) {
    uint16_t head[2] = {code, (uint16_t)size};

    writer_put(options, (struct span){(const uint8_t *)head, sizeof head});
    writer_put(options, (struct span){value, size});
    writer_align(options, 4);
}

static void option_text(struct writer *options, uint16_t code, const char *text) {
    if (text[0] != '\0')
        option_add(options, code, text, strlen(text));
}

static struct span options_done(struct writer *options) {
    if (options->at > 0)
        option_add(options, OPTION_END, "", 0);
    return writer_done(options);
}

/* A block is its fixed part, data that is padded, and options. */
static void put_block(struct recorder *recorder, FILE *file, uint32_t type, struct span fixed, struct span first,
                      struct span second, struct span options) {
    size_t data = first.size + second.size;
    uint32_t length = (uint32_t)(BLOCK_OVERHEAD + fixed.size + padded(data) + options.size);

    put_u32(recorder, file, type);
    put_u32(recorder, file, length);
    put(recorder, file, fixed.data, fixed.size);
    put(recorder, file, first.data, first.size);
    put(recorder, file, second.data, second.size);
    put_padding(recorder, file, data);
    put(recorder, file, options.data, options.size);
    put_u32(recorder, file, length);
}

static const struct span nothing = {(const uint8_t *)"", 0};

static void put_section(struct recorder *recorder, FILE *file) {
    uint8_t octets[OPTIONS_ROOM];
    struct writer options = writer_over(octets, sizeof octets);
    const struct {
        uint32_t magic;
        uint16_t major, minor;
        uint64_t length __attribute__((packed));
    } __attribute__((packed)) fixed = {BYTE_ORDER_MAGIC, 1, 0, LENGTH_UNKNOWN};

    option_text(&options, OPTION_APPLICATION, "smbproof relay");
    put_block(recorder, file, BLOCK_SECTION, (struct span){(const uint8_t *)&fixed, sizeof fixed}, nothing, nothing,
              options_done(&options));
}

static void put_interface(struct recorder *recorder, FILE *file, enum direction side) {
    uint8_t octets[OPTIONS_ROOM], resolution = RESOLUTION_NS;
    struct writer options = writer_over(octets, sizeof octets);
    const uint32_t fixed[2] = {LINK_ETHERNET, 0};

    option_text(&options, OPTION_NAME, side == FROM_CLIENT ? "client-side" : "server-side");
    option_text(&options, OPTION_DESCRIPTION,
                side == FROM_CLIENT ? "between the client and the relay" : "between the relay and the server");
    option_add(&options, OPTION_RESOLUTION, &resolution, sizeof resolution);
    put_block(recorder, file, BLOCK_INTERFACE, (struct span){(const uint8_t *)fixed, sizeof fixed}, nothing, nothing,
              options_done(&options));
}

static uint64_t now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_packet(struct recorder *recorder, const struct sink *sink, enum direction side, struct span headers,
                       struct span payload, const char *comment) {
    uint8_t octets[OPTIONS_ROOM];
    struct writer options = writer_over(octets, sizeof octets);
    uint64_t time = now_ns();
    uint32_t size = (uint32_t)(headers.size + payload.size);
    const uint32_t fixed[5] = {sink->side < 0 ? (uint32_t)side : 0, (uint32_t)(time >> 32), (uint32_t)time, size, size};

    option_text(&options, OPTION_COMMENT, comment);
    put_block(recorder, sink->file, BLOCK_PACKET, (struct span){(const uint8_t *)fixed, sizeof fixed}, headers, payload,
              options_done(&options));
}

/* ---- packets ---- */

static uint32_t sum_words(struct span octets, uint32_t sum) {
    for (size_t i = 0; i + 1 < octets.size; i += 2)
        sum += (uint32_t)octets.data[i] << 8 | octets.data[i + 1];
    if (octets.size % 2 == 1)
        sum += (uint32_t)octets.data[octets.size - 1] << 8;
    return sum;
}

static uint16_t checksum(uint32_t sum) {
    while (sum >> 16 != 0)
        sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)~sum;
}

/* An IPv4 address within an IPv6 socket is IPv4 on the wire. */
static bool is_ipv4(const struct sockaddr_storage *end) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)end;

    return end->ss_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
}

static struct span address_of(const struct sockaddr_storage *end) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)end;

    if (end->ss_family == AF_INET)
        return (struct span){(const uint8_t *)&((const struct sockaddr_in *)end)->sin_addr, 4};
    if (is_ipv4(end))
        return (struct span){six->sin6_addr.s6_addr + 12, 4};
    return (struct span){six->sin6_addr.s6_addr, 16};
}

static uint16_t port_of(const struct sockaddr_storage *end) {
    return ntohs(end->ss_family == AF_INET ? ((const struct sockaddr_in *)end)->sin_port
                                           : ((const struct sockaddr_in6 *)end)->sin6_port);
}

/* Locally administered addresses: client 1, relay 2 and 3, server 4. */
static void write_mac(struct writer *writer, enum direction side, enum direction end) {
    writer_u8(writer, 0x02);
    writer_zero(writer, 4);
    writer_u8(writer, (uint8_t)(1 + 2 * side + end));
}

static void write_ethernet(struct writer *writer, const struct recorded *connection, enum direction from, bool ipv4) {
    write_mac(writer, connection->side, direction_other(from));
    write_mac(writer, connection->side, from);
    writer_u16_be(writer, ipv4 ? 0x0800 : 0x86dd);
}

static void write_ipv4(struct writer *writer, const struct sockaddr_storage *source,
                       const struct sockaddr_storage *target, uint16_t id, size_t size) {
    size_t start = writer->at;
    uint8_t *header = writer->data + start;
    uint16_t sum;

    writer_u8(writer, 0x45);
    writer_u8(writer, 0);
    writer_u16_be(writer, (uint16_t)(IPV4_SIZE + size));
    writer_u16_be(writer, id);
    writer_u16_be(writer, 0x4000); /* do not fragment */
    writer_u8(writer, TTL);
    writer_u8(writer, TCP_PROTOCOL);
    writer_u16_be(writer, 0);
    writer_put(writer, address_of(source));
    writer_put(writer, address_of(target));
    sum = checksum(sum_words((struct span){header, IPV4_SIZE}, 0));
    header[10] = (uint8_t)(sum >> 8);
    header[11] = (uint8_t)sum;
}

static void write_ipv6(struct writer *writer, const struct sockaddr_storage *source,
                       const struct sockaddr_storage *target, size_t size) {
    writer_u32_be(writer, 0x60000000);
    writer_u16_be(writer, (uint16_t)size);
    writer_u8(writer, TCP_PROTOCOL);
    writer_u8(writer, TTL);
    writer_put(writer, address_of(source));
    writer_put(writer, address_of(target));
}

static void write_tcp(struct writer *writer, const struct recorded *connection, enum direction from, uint8_t flags,
                      struct span payload) {
    enum direction to = direction_other(from);
    const struct sockaddr_storage *source = &connection->ends[from], *target = &connection->ends[to];
    uint8_t *header = writer->data + writer->at;
    uint32_t sum;
    uint16_t check;

    writer_u16_be(writer, port_of(source));
    writer_u16_be(writer, port_of(target));
    writer_u32_be(writer, connection->next[from]);
    writer_u32_be(writer, flags & ACK ? connection->next[to] : 0);
    writer_u8(writer, (TCP_SIZE / 4) << 4);
    writer_u8(writer, flags);
    writer_u16_be(writer, WINDOW);
    writer_u32_be(writer, 0); /* checksum, urgent pointer */
    sum = sum_words(address_of(source), TCP_PROTOCOL + TCP_SIZE + (uint32_t)payload.size);
    sum = sum_words(address_of(target), sum);
    sum = sum_words((struct span){header, TCP_SIZE}, sum);
    check = checksum(sum_words(payload, sum));
    header[16] = (uint8_t)(check >> 8);
    header[17] = (uint8_t)check;
}

static void send_packet(struct recorder *recorder, struct recorded *connection, enum direction from, uint8_t flags,
                        struct span payload, const char *comment) {
    enum direction to = direction_other(from);
    const struct sockaddr_storage *source = &connection->ends[from], *target = &connection->ends[to];
    uint8_t octets[HEADERS_MAX];
    struct writer writer = writer_over(octets, sizeof octets);
    bool ipv4 = is_ipv4(source);

    write_ethernet(&writer, connection, from, ipv4);
    if (ipv4)
        write_ipv4(&writer, source, target, ++connection->packets[from], TCP_SIZE + payload.size);
    else
        write_ipv6(&writer, source, target, TCP_SIZE + payload.size);
    write_tcp(&writer, connection, from, flags, payload);
    for (unsigned i = 0; i < recorder->sinks_count; i++)
        if (recorder->sinks[i].side < 0 || recorder->sinks[i].side == (int)connection->side)
            put_packet(recorder, &recorder->sinks[i], connection->side, writer_done(&writer), payload, comment);
    connection->next[from] += (uint32_t)payload.size + ((flags & (SYN | FIN)) != 0);
}

/* ---- connections ---- */

static void begin(struct recorder *recorder, struct recorded *connection, enum direction side,
                  const struct sockaddr_storage *connector, const struct sockaddr_storage *acceptor) {
    *connection = (struct recorded){.side = side, .ends = {*connector, *acceptor}};
    connection->next[0] = recorder->initial;
    connection->next[1] = recorder->initial + INITIAL_STEP;
    recorder->initial += 2 * INITIAL_STEP;
    send_packet(recorder, connection, FROM_CLIENT, SYN, nothing, "");
}

void recorder_connect(struct recorder *recorder, struct recorded *connection, enum direction side,
                      const struct sockaddr_storage *connector, const struct sockaddr_storage *acceptor) {
    begin(recorder, connection, side, connector, acceptor);
    send_packet(recorder, connection, FROM_SERVER, SYN | ACK, nothing, "");
    send_packet(recorder, connection, FROM_CLIENT, ACK, nothing, "");
}

void recorder_refuse(struct recorder *recorder, struct recorded *connection, enum direction side,
                     const struct sockaddr_storage *connector, const struct sockaddr_storage *acceptor) {
    begin(recorder, connection, side, connector, acceptor);
    recorder_reset(recorder, connection, FROM_SERVER, "");
}

void recorder_data(struct recorder *recorder, struct recorded *connection, enum direction from, struct span octets,
                   const char *comment) {
    enum direction to = direction_other(from);

    for (size_t at = 0; at < octets.size && !connection->is_reset && !connection->finished[from]; at += SEGMENT_MAX) {
        send_packet(recorder, connection, from, PSH | ACK, span_slice(octets, at, SEGMENT_MAX), at == 0 ? comment : "");
        send_packet(recorder, connection, to, ACK, nothing, "");
    }
}

void recorder_finish(struct recorder *recorder, struct recorded *connection, enum direction from, const char *comment) {
    enum direction to = direction_other(from);

    if (connection->finished[from] || connection->is_reset)
        return;
    connection->finished[from] = true;
    send_packet(recorder, connection, from, FIN | ACK, nothing, comment);
    send_packet(recorder, connection, to, ACK, nothing, "");
}

void recorder_reset(struct recorder *recorder, struct recorded *connection, enum direction from, const char *comment) {
    if (connection->is_reset || (connection->finished[0] && connection->finished[1]))
        return;
    connection->is_reset = true;
    send_packet(recorder, connection, from, RST | ACK, nothing, comment);
}

/* ---- files ---- */

static bool open_sink(struct recorder *recorder, const char *path, int side, char *complaint) {
    FILE *file = fopen(path, "wb");

    if (file == NULL) {
        snprintf(complaint, RECORDER_COMPLAINT_MAX, "%.300s: %s", path, strerror(errno));
        return false;
    }
    recorder->sinks[recorder->sinks_count++] = (struct sink){file, side};
    put_section(recorder, file);
    if (side != FROM_SERVER)
        put_interface(recorder, file, FROM_CLIENT);
    if (side != FROM_CLIENT)
        put_interface(recorder, file, FROM_SERVER);
    return true;
}

static bool open_folder(struct recorder *recorder, const char *folder, char *complaint) {
    static const struct {
        const char *name;
        int side;
    } files[OUTPUTS_MAX] = {{"relay.pcapng", -1}, {"client.pcapng", FROM_CLIENT}, {"server.pcapng", FROM_SERVER}};
    char path[4096];

    for (unsigned i = 0; i < OUTPUTS_MAX; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, files[i].name) >= sizeof path) {
            snprintf(complaint, RECORDER_COMPLAINT_MAX, "the folder's name is too long");
            return false;
        }
        if (!open_sink(recorder, path, files[i].side, complaint))
            return false;
    }
    return true;
}

struct recorder *recorder_open(const char *path, char complaint[RECORDER_COMPLAINT_MAX]) {
    struct recorder *recorder = calloc(1, sizeof *recorder);
    struct stat status;
    bool good;

    if (recorder == NULL) {
        snprintf(complaint, RECORDER_COMPLAINT_MAX, "no memory");
        return NULL;
    }
    recorder->initial = (uint32_t)now_ns();
    good = stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? open_folder(recorder, path, complaint)
                                                              : open_sink(recorder, path, -1, complaint);
    if (good)
        return recorder;
    recorder_close(recorder);
    return NULL;
}

void recorder_flush(struct recorder *recorder) {
    for (unsigned i = 0; i < recorder->sinks_count; i++)
        if (fflush(recorder->sinks[i].file) != 0 && recorder->error == 0)
            recorder->error = -errno;
}

int recorder_close(struct recorder *recorder) {
    int error;

    for (unsigned i = 0; i < recorder->sinks_count; i++)
        if (fclose(recorder->sinks[i].file) != 0 && recorder->error == 0)
            recorder->error = -errno;
    error = recorder->error;
    free(recorder);
    return error;
}
