/* A second opinion on captures: what src/capture's reader yields is what libpcap reads, packet by packet (times,
 * lengths, link type, octets), over given files and folders and over one capture written anew in each variant of the
 * formats. Where libpcap stops earlier it must be for one of the reasons in `known`; any other difference fails.
 *
 * usage: libpcap FILE PATH...    FILE: a pcap of Ethernet, to be written anew; paths that are not there are passed over
 * Prints TAP. */
#include <dirent.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "capture/capture.h"
#include "unit/packets.h"

#define LINKTYPE_RAW 101u
#define COPY_PACKETS_MAX 512u

/* What libpcap refuses and this reader does not, by the words of libpcap's error. */
static const struct known {
    const char *words, *reason;
} known[] = {
    {"unknown file format", "packed with gzip or zstd, Network Monitor's, or no capture"},
    {"different from the type of the first interface", "pcapng: libpcap keeps to one link type in a file"},
    {"pcapng block size 469762048", "pcapng: a later section of the other byte order; 28 octets read in the wrong one"},
    {"tried to read 16 header bytes, only got 1", "pcap: a line's end behind the last record is no record"},
};

struct tally {
    unsigned files, refused, failed;
    unsigned long packets;
};

/* DLT_ numbers of Linux are LINKTYPE_ numbers but for this one, pcap-linktype(7). */
static uint16_t link_type_of(pcap_t *pcap) {
    int type = pcap_datalink(pcap);

    return type == DLT_RAW ? LINKTYPE_RAW : (uint16_t)type;
}

static const struct known *known_of(const char *error) {
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(error, known[i].words) != NULL)
            return &known[i];
    return NULL;
}

/* NULL where the two agree about a packet, else what differs. */
static const char *difference(const struct packet *packet, const struct pcap_pkthdr *header, const u_char *bytes,
                              uint16_t link_type) {
    uint64_t time_ns = (uint64_t)header->ts.tv_sec * 1000000000u + (uint64_t)header->ts.tv_usec;

    if (packet->bytes.size != header->caplen)
        return "octets captured";
    if (packet->wire_size != (header->len > header->caplen ? header->len : header->caplen))
        return "octets on the wire";
    if (packet->time_ns != time_ns)
        return "time";
    if (packet->link_type != link_type)
        return "link type";
    return memcmp(packet->bytes.data, bytes, header->caplen) == 0 ? NULL : "octets";
}

/* libpcap came to its end, or to an error; may ours have gone on, or stopped so? */
static bool ends_alike(pcap_t *pcap, int result, enum capture_status status, const char *name) {
    if (result == PCAP_ERROR_BREAK)
        return status == CAPTURE_END;
    if (status == CAPTURE_BROKEN || known_of(pcap_geterr(pcap)) != NULL)
        return true;
    printf("# %s: libpcap: %s\n", name, pcap_geterr(pcap));
    return false;
}

static bool compare(pcap_t *pcap, struct capture *capture, const char *name, struct tally *tally) {
    struct pcap_pkthdr *header;
    const u_char *bytes;
    struct packet packet;
    const char *wrong = NULL;
    int result;

    while ((result = pcap_next_ex(pcap, &header, &bytes)) == 1) {
        enum capture_status status = capture_next(capture, &packet);

        wrong = status == CAPTURE_PACKET ? difference(&packet, header, bytes, link_type_of(pcap))
                                         : capture_error(capture)->reason;
        if (wrong != NULL) {
            printf("# %s: packet %llu differs: %s\n", name, (unsigned long long)packet.number, wrong);
            return false;
        }
        tally->packets++;
    }
    if (ends_alike(pcap, result, capture_next(capture, &packet), name))
        return true;
    printf("# %s: the two end differently\n", name);
    return false;
}

static void compare_opened(pcap_t *pcap, const char *error, struct capture *capture, const char *name,
                           struct tally *tally) {
    bool same;

    tally->files++;
    if (pcap == NULL) { /* this reader may read more, or refuse too; but not for a reason that nobody has listed */
        same = capture == NULL || known_of(error) != NULL;
        tally->refused++;
        if (!same)
            printf("# %s: libpcap: %s\n", name, error);
    } else if (capture == NULL) {
        same = false;
        printf("# %s: only libpcap reads it\n", name);
    } else {
        same = compare(pcap, capture, name, tally);
    }
    tally->failed += !same;
    if (pcap != NULL)
        pcap_close(pcap);
    if (capture != NULL)
        capture_close(capture);
}

static void compare_file(const char *path, struct tally *tally) {
    char error[PCAP_ERRBUF_SIZE] = "";
    struct capture_error reason;
    struct capture *capture;
    pcap_t *pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);

    if (capture_open(&capture, path, &reason) != 0)
        capture = NULL;
    compare_opened(pcap, error, capture, path, tally);
}

static void compare_path(const char *path, struct tally *tally) {
    struct dirent **entries;
    struct stat status;
    int found;

    if (stat(path, &status) != 0)
        return;
    if (!S_ISDIR(status.st_mode)) {
        if (strstr(path, ".py") == NULL && strstr(path, ".md") == NULL && strstr(path, ".jsonl") == NULL)
            compare_file(path, tally);
        return;
    }
    found = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        char inside[4096];

        snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            compare_path(inside, tally);
        free(entries[i]);
    }
    if (found >= 0)
        free(entries);
}

/* --- one capture in each variant of the formats --- */

struct copy {
    unsigned count;
    uint64_t times_ns[COPY_PACKETS_MAX];
    uint32_t wire_sizes[COPY_PACKETS_MAX];
    size_t starts[COPY_PACKETS_MAX + 1]; /* within octets */
    struct blob octets;
};

static bool copy_load(struct copy *copy, const char *path) {
    struct capture_error reason;
    struct capture *capture;
    struct packet packet;

    if (capture_open(&capture, path, &reason) != 0)
        return false;
    while (copy->count < COPY_PACKETS_MAX && capture_next(capture, &packet) == CAPTURE_PACKET) {
        unsigned i = copy->count++;

        copy->times_ns[i] = packet.time_ns + i % 1000; /* nanoseconds that are not all zero */
        copy->wire_sizes[i] = packet.wire_size + i % 3;
        blob_put(&copy->octets, packet.bytes.data, packet.bytes.size);
        copy->starts[i + 1] = copy->octets.size;
    }
    capture_close(capture);
    return copy->count > 0;
}

static struct span copy_packet(const struct copy *copy, unsigned i) {
    return (struct span){copy->octets.data + copy->starts[i], copy->starts[i + 1] - copy->starts[i]};
}

static void compare_blob(const struct blob *blob, const char *name, struct tally *tally) {
    char error[PCAP_ERRBUF_SIZE] = "";
    struct capture_error reason;
    struct capture *capture;
    FILE *file = fmemopen((void *)(uintptr_t)blob->data, blob->size, "rb");
    pcap_t *pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);

    if (pcap == NULL) {
        printf("# %s: libpcap: %s\n", name, error);
        tally->failed++;
        fclose(file);
        return;
    }
    if (capture_open_memory(&capture, blob_span(blob), &reason) != 0)
        capture = NULL;
    compare_opened(pcap, error, capture, name, tally);
}

static void compare_pcap(const struct copy *copy, struct blob *blob, struct pcap_options options, struct tally *tally) {
    char name[80];

    blob_clear(blob);
    pcap_header(blob, options);
    for (unsigned i = 0; i < copy->count; i++) {
        uint64_t fraction = copy->times_ns[i] % 1000000000u;

        pcap_record(blob, options, (uint32_t)(copy->times_ns[i] / 1000000000u),
                    (uint32_t)(options.nanoseconds ? fraction : fraction / 1000), copy_packet(copy, i),
                    copy->wire_sizes[i]);
    }
    snprintf(name, sizeof name, "pcap, %s-endian, %s, link type %u", options.big_endian ? "big" : "little",
             options.nanoseconds ? "nanoseconds" : "microseconds", options.link_type);
    compare_blob(blob, name, tally);
}

/* `resolution` as in if_tsresol; -1: none given, microseconds. */
static void compare_pcapng(const struct copy *copy, struct blob *blob, bool big_endian, int resolution,
                           int64_t offset_s, struct tally *tally) {
    char name[80];

    blob_clear(blob);
    pcapng_section(blob, big_endian);
    pcapng_interface(blob, big_endian, DLT_EN10MB, resolution, offset_s);
    for (unsigned i = 0; i < copy->count; i++)
        pcapng_packet(blob, big_endian, 0, copy->times_ns[i] >> (resolution == 9 ? 0 : 10), copy_packet(copy, i));
    snprintf(name, sizeof name, "pcapng, %s-endian, resolution %d, offset %lld s", big_endian ? "big" : "little",
             resolution, (long long)offset_s);
    compare_blob(blob, name, tally);
}

static void compare_variants(const struct copy *copy, struct tally *tally) {
    static const int resolutions[] = {-1, 3, 6, 7, 9, 0x80 | 10, 0x80 | 20, 0x80 | 30};
    static const uint16_t link_types[] = {DLT_EN10MB, DLT_NULL, LINKTYPE_RAW, DLT_LINUX_SLL};
    static struct blob blob;

    for (unsigned big_endian = 0; big_endian < 2; big_endian++) {
        for (unsigned nanoseconds = 0; nanoseconds < 2; nanoseconds++)
            for (unsigned i = 0; i < sizeof link_types / sizeof link_types[0]; i++)
                compare_pcap(copy, &blob, (struct pcap_options){big_endian, nanoseconds, link_types[i]}, tally);
        for (unsigned i = 0; i < sizeof resolutions / sizeof resolutions[0]; i++) {
            compare_pcapng(copy, &blob, big_endian, resolutions[i], 0, tally);
            compare_pcapng(copy, &blob, big_endian, resolutions[i], resolutions[i] < 0 ? 0 : 3600, tally);
        }
    }
}

/* Would a difference be noticed at all? */
static bool notices_differences(void) {
    static const uint8_t octets[] = {1, 2, 3}, others[] = {1, 2, 4};
    const struct packet packet = {.time_ns = 1000000002, .link_type = 1, .wire_size = 5, .bytes = {octets, 3}};
    struct pcap_pkthdr same = {{1, 2}, 3, 5}, later = {{1, 3}, 3, 5}, shorter = {{1, 2}, 2, 5}, longer = {{1, 2}, 3, 6};

    return difference(&packet, &same, octets, 1) == NULL && difference(&packet, &later, octets, 1) != NULL &&
           difference(&packet, &shorter, octets, 1) != NULL && difference(&packet, &longer, octets, 1) != NULL &&
           difference(&packet, &same, others, 1) != NULL && difference(&packet, &same, octets, 0) != NULL;
}

int main(int argc, char **argv) {
    static struct copy copy;
    struct tally variants = {0}, files = {0};
    bool notices = notices_differences();

    if (argc < 3 || !copy_load(&copy, argv[1]))
        return 2;
    compare_variants(&copy, &variants);
    for (int i = 2; i < argc; i++)
        compare_path(argv[i], &files);
    printf("1..3\n%sok 1 - this test notices differences\n", notices ? "" : "not ");
    printf("%sok 2 - %lu packets in %u variants of pcap and pcapng\n",
           variants.failed == 0 && variants.refused == 0 ? "" : "not ", variants.packets, variants.files);
    printf("%sok 3 - %lu packets in %u files, of which libpcap refuses %u\n",
           files.failed == 0 && files.packets > 0 ? "" : "not ", files.packets, files.files, files.refused);
    return !notices || variants.failed + variants.refused + files.failed > 0;
}
