/* Where a capture's octets come from: a mapped file, memory, or a stream (a pipe, gzip, zstd) that
 * is seen through a sliding window. Formats look ahead with source_peek and move on with
 * source_advance. */
#ifndef SMBPROOF_CAPTURE_SOURCE_H
#define SMBPROOF_CAPTURE_SOURCE_H

#include <stdatomic.h>

#include "wire/bytes.h"

/* The longest look ahead, in octets: the largest record that any format may have. */
#define SOURCE_PEEK_MAX (16u * 1024u * 1024u)
/* What a stream's window holds at first, and what is read from a compressed file at a time, in
 * octets. */
#define SOURCE_WINDOW (1024u * 1024u)
#define SOURCE_CHUNK  (256u * 1024u)
/* Mapped files: records whose beginnings are fetched into the cache ahead of the reader, and octets of each. */
#define SOURCE_FETCH_RECORDS 4u
#define SOURCE_FETCH_SIZE 128u
/* Octets whose pages enter the page table together; how many it holds ahead of the reader at least, and at most. */
#define SOURCE_PAGES (256u * 1024u)
#define SOURCE_AHEAD_MIN (2u * SOURCE_PAGES)
#define SOURCE_AHEAD_MAX (4u * 1024u * 1024u)
/* And octets whose pages leave it together; how many that were read stay in it. */
#define SOURCE_RELEASE (4u * 1024u * 1024u)
#define SOURCE_RESIDENT (32u * 1024u * 1024u)
/* The largest stream that is put aside to be read at random (Network Monitor's offsets have 32
 * bits). */
#define SOURCE_SPOOL_MAX (4ull * 1024 * 1024 * 1024)

struct inflater; /* gzip or zstd */

struct source {
    const uint8_t *data; /* the window, */
    size_t size;         /* its octets, */
    size_t at;           /* and how many of them were read */
    uint64_t base;       /* offset of the window in the (decompressed) file */
    size_t pages_end;    /* mapped: when the reader gets there it sees to the pages */
    atomic_size_t reached;   /* mapped: where the reader was then, */
    atomic_size_t populated; /* up to where pages are in the page table, or somebody is putting them there, */
    atomic_size_t released;  /* and up to where they were given back */
    const char *failure; /* why the stream ended, where it should not have; else NULL */
    bool ended;          /* nothing follows the window */
    int fd;              /* -1: none */
    void *map;
    size_t map_size;
    uint8_t *buffer; /* streams: the window's memory */
    size_t room;
    struct inflater *inflater;
    uint64_t raw_read; /* streams: octets of the file itself */
    uint64_t raw_size; /* 0: not known */
};

/* 0, or a negative errno. After either, source_close may be called. */
int source_open(struct source *source, const char *path);
int source_open_memory(struct source *source, struct span bytes);
void source_close(struct source *source);
/* What the file is packed with, "gzip" or "zstd"; NULL: nothing. */
const char *source_packing(const struct source *source);
uint64_t source_position(const struct source *source);
/* Slow path of source_peek. */
bool source_fill(struct source *source, size_t size);
/* Moves over any number of octets; false where the file ends before. */
bool source_skip(struct source *source, uint64_t size);
/* Slow path of source_advance. */
void source_pages(struct source *source);
/* For another thread than the reader's, which has the time: a piece of what the reader would have to do to the page
 * table. False: nothing is to be done for now. */
bool source_help(struct source *source);
/* Makes all of the input one span (a stream goes to a temporary file). 0, or a negative errno. */
int source_whole(struct source *source, struct span *whole);

/* The next `size` octets without moving, or NULL where fewer are left. A former pointer may become
 * invalid. */
static inline const uint8_t *source_peek(struct source *source, size_t size) {
    if (source->size - source->at < size && !source_fill(source, size))
        return NULL;
    return source->data + source->at;
}

/* Where a record begins is known only when the one before it was read: without asking for it in advance every packet
 * costs a trip to memory. Records come in runs of the same length, so the next ones are taken for as long as the last;
 * to ask for all octets on the way takes longer, as most are never looked at. */
static inline void source_prefetch(const struct source *source, size_t length) {
    uintptr_t record = (uintptr_t)source->data + source->at;
    for (unsigned i = 0; i < SOURCE_FETCH_RECORDS; i++, record += length)
        for (unsigned at = 0; at < SOURCE_FETCH_SIZE; at += 64)
            __builtin_prefetch((const void *)(record + at));
}

/* Moves over octets that were peeked. */
static inline void source_advance(struct source *source, size_t size) {
    source->at += size;
    if (source->at >= source->pages_end)
        source_pages(source);
    source_prefetch(source, size);
}

static inline uint64_t source_offset(const struct source *source) {
    return source->base + source->at;
}

#endif
