#include "capture/fragments.h"

#include <stdlib.h>
#include <string.h>

#define UNITS (DATAGRAM_MAX / FRAGMENT_UNIT)

struct datagram_key {
    uint8_t source[16], destination[16];
    uint8_t source_mac[6];
    uint8_t protocol;
    uint8_t zero;
    uint32_t interface, id;
};

struct datagram {
    struct datagram_key key;
    uint64_t started, time_ns;
    size_t size;           /* 0: the last fragment has not come yet */
    size_t units_received; /* of UNITS */
    uint8_t received[UNITS / 8];
    uint8_t data[DATAGRAM_MAX];
};

static struct datagram_key key_of(const struct fragment *fragment) {
    struct datagram_key key = {
        .protocol = fragment->protocol,
        .interface = fragment->interface,
        .id = fragment->id,
    };
    memcpy(key.source, fragment->source, sizeof key.source);
    memcpy(key.destination, fragment->destination, sizeof key.destination);
    memcpy(key.source_mac, fragment->source_mac, sizeof key.source_mac);
    return key;
}

static bool is_stale(const struct datagram *datagram, uint64_t now_ns) {
    return now_ns > datagram->time_ns && now_ns - datagram->time_ns > LINK_FRAGMENT_WAIT_NS;
}

/* An empty place, else the oldest datagram's. */
static size_t slot_free(const struct fragments *fragments) {
    size_t oldest = 0;
    for (size_t i = 0; i < LINK_FRAGMENTS_MAX; i++) {
        if (!fragments->datagrams[i])
            return i;
        if (fragments->datagrams[i]->started < fragments->datagrams[oldest]->started)
            oldest = i;
    }
    return oldest;
}

static void datagram_begin(struct fragments *fragments, struct datagram *datagram,
                           const struct datagram_key *key, uint64_t now_ns) {
    datagram->key = *key;
    datagram->started = fragments->started++;
    datagram->time_ns = now_ns;
    datagram->size = 0;
    datagram->units_received = 0;
    memset(datagram->received, 0, sizeof datagram->received);
}

/* The place of the fragment's datagram, begun anew where there is none. */
static size_t slot_find(struct fragments *fragments, const struct fragment *fragment) {
    struct datagram_key key = key_of(fragment);
    for (size_t i = 0; i < LINK_FRAGMENTS_MAX; i++) {
        struct datagram *datagram = fragments->datagrams[i];
        if (datagram && memcmp(&datagram->key, &key, sizeof key) == 0) {
            if (is_stale(datagram, fragment->time_ns))
                datagram_begin(fragments, datagram, &key, fragment->time_ns);
            return i;
        }
    }
    size_t slot = slot_free(fragments);
    if (!fragments->datagrams[slot])
        fragments->datagrams[slot] = malloc(sizeof(struct datagram));
    if (fragments->datagrams[slot])
        datagram_begin(fragments, fragments->datagrams[slot], &key, fragment->time_ns);
    return slot;
}

/* What was received first stays: an overlapping fragment changes nothing. */
static void datagram_put(struct datagram *datagram, uint32_t offset, struct span bytes) {
    for (size_t at = 0; at < bytes.size; at += FRAGMENT_UNIT) {
        size_t unit = (offset + at) / FRAGMENT_UNIT;
        size_t left = bytes.size - at;
        if (datagram->received[unit / 8] >> unit % 8 & 1)
            continue;
        memcpy(datagram->data + offset + at, bytes.data + at,
               left < FRAGMENT_UNIT ? left : FRAGMENT_UNIT);
        datagram->received[unit / 8] |= (uint8_t)(1u << unit % 8);
        datagram->units_received++;
    }
}

static bool datagram_is_whole(const struct datagram *datagram) {
    if (datagram->size == 0)
        return false;
    size_t units = (datagram->size + FRAGMENT_UNIT - 1) / FRAGMENT_UNIT;
    if (datagram->units_received < units)
        return false;
    for (size_t unit = 0; unit < units; unit++)
        if (!(datagram->received[unit / 8] >> unit % 8 & 1))
            return false;
    return true;
}

bool fragments_add(struct fragments *fragments, const struct fragment *fragment,
                   struct span *whole) {
    size_t size = fragment->bytes.size, end = fragment->offset + size;
    /* Only the last may end within a unit; an empty one and one beyond 64 KiB are nonsense. */
    if (size == 0 || end > DATAGRAM_MAX || (fragment->more && size % FRAGMENT_UNIT != 0))
        return false;
    size_t slot = slot_find(fragments, fragment);
    struct datagram *datagram = fragments->datagrams[slot];
    if (!datagram)
        return false;
    datagram_put(datagram, fragment->offset, fragment->bytes);
    if (!fragment->more && datagram->size == 0)
        datagram->size = end;
    if (!datagram_is_whole(datagram))
        return false;
    free(fragments->whole);
    fragments->whole = datagram;
    fragments->datagrams[slot] = NULL;
    *whole = (struct span){datagram->data, datagram->size};
    return true;
}

void fragments_free(struct fragments *fragments) {
    for (size_t i = 0; i < LINK_FRAGMENTS_MAX; i++)
        free(fragments->datagrams[i]);
    free(fragments->whole);
}
