#include "explain/company.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "explain/handover.h" /* CACHE_LINE */

#define GUIDS_MAX 4u
/* The last SESSION_SETUPs that are remembered, to find the one that made a server reset another connection. */
#define LOGONS_MAX 256u
#define RESET_AFTER_LOGON_NS 50000000u

/* Slots of the table that finds lines: twice as many. */
#define SLOTS (2u * COMPANY_PATHS_MAX)

enum book_kind { BOOK_PATH, BOOK_SERVER, BOOK_CLIENT_GUID };

/* One line: a pair of addresses, a server's address, or a ClientGuid at a server. All but the GUIDs is in one line of the
 * processor's cache, as the book is too large for it. */
struct line {
    _Alignas(CACHE_LINE) uint8_t kind;
    uint8_t guids_count;
    uint8_t key[34];
    uint32_t total, failed, lower_dialect_fine, worked_after_validation, preauth_total, preauth_failed;
    uint8_t guids[GUIDS_MAX][16];
};

struct logon {
    uint8_t client[16], server[16];
    uint16_t client_port;
    uint64_t time_ns, packet;
};

/* Small, so that the table stays in the cache: lines do not. */
struct slot {
    uint16_t line; /* its number from 1; 0: free */
    uint16_t hash; /* its upper half */
};

struct company_book {
    uint16_t used; /* lines */
    uint64_t logons_seen;
    struct logon logons[LOGONS_MAX];
    struct slot slots[SLOTS];
    struct line lines[COMPANY_PATHS_MAX];
};

static_assert(COMPANY_PATHS_MAX < UINT16_MAX, "a slot holds the number of a line");

struct company_book *company_new(void) {
    struct company_book *book = aligned_alloc(CACHE_LINE, sizeof *book);

    if (book != NULL)
        memset(book, 0, offsetof(struct company_book, lines)); /* lines are cleared when taken */
    return book;
}

/* What is sought in the book. */
struct lookup {
    uint32_t hash;
    uint8_t kind;
    uint8_t key[34];
};

static uint32_t hash_of(uint8_t kind, const uint8_t key[34]) {
    uint64_t hash = kind, word;

    for (unsigned i = 0; i < 34; i += 8) {
        word = 0;
        memcpy(&word, key + i, i + 8 <= 34 ? 8 : 34 - i);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return (uint32_t)hash;
}

/* Its slot is on the way to the cache then: several are made before the first is used. */
static struct lookup lookup_of(const struct company_book *book, enum book_kind kind, const struct evidence *evidence) {
    struct lookup lookup = {.kind = (uint8_t)kind};

    memcpy(lookup.key, evidence->server.address, 16);
    memcpy(lookup.key + 16, &evidence->server.port, 2);
    if (kind == BOOK_PATH)
        memcpy(lookup.key + 18, evidence->client.address, 16);
    else if (kind == BOOK_CLIENT_GUID)
        memcpy(lookup.key + 18, evidence->negotiate.request.guid, 16);
    lookup.hash = hash_of(lookup.kind, lookup.key);
    __builtin_prefetch(&book->slots[lookup.hash % SLOTS]);
    return lookup;
}

static struct line *line_of(struct company_book *book, const struct lookup *lookup, bool add) {
    uint16_t hash = (uint16_t)(lookup->hash >> 16);
    struct slot *slot;
    struct line *line;

    for (uint32_t i = lookup->hash;; i++) {
        slot = &book->slots[i % SLOTS];
        if (slot->line == 0)
            break;
        line = &book->lines[slot->line - 1];
        if (slot->hash == hash && line->kind == lookup->kind && memcmp(line->key, lookup->key, sizeof line->key) == 0)
            return line;
    }
    if (!add || book->used == COMPANY_PATHS_MAX)
        return NULL;
    line = &book->lines[book->used++];
    memset(line, 0, sizeof *line);
    *slot = (struct slot){book->used, hash};
    line->kind = lookup->kind;
    memcpy(line->key, lookup->key, sizeof line->key);
    return line;
}

static void note_guid(struct line *line, const struct negotiate_evidence *negotiate) {
    if (!negotiate->response.decoded || negotiate->dialect == 0)
        return;
    for (unsigned i = 0; i < line->guids_count; i++)
        if (memcmp(line->guids[i], negotiate->response.guid, 16) == 0)
            return;
    if (line->guids_count < GUIDS_MAX)
        memcpy(line->guids[line->guids_count++], negotiate->response.guid, 16);
}

/* Ended before any work was done, or with a validation that failed. */
static bool looks_failed(const struct facts *facts) {
    if (facts->validation != NULL && facts->validated->result != VALIDATION_VALID &&
        !(facts->validated->result == VALIDATION_REFUSED && facts->stage == STAGE_WORK))
        return true;
    return facts->closer != CLOSER_NONE && facts->stage != STAGE_WORK && facts->stage != STAGE_NEGOTIATED &&
           facts->stage != STAGE_UNKNOWN && facts->stage != STAGE_VALIDATE_ANSWERED && facts->stage != STAGE_TREE;
}

static void note_line(struct company_book *book, const struct lookup *lookup, const struct evidence *evidence,
                      const struct facts *facts) {
    struct line *line = line_of(book, lookup, true);
    bool failed = looks_failed(facts);

    if (line == NULL)
        return;
    line->total++;
    line->failed += failed;
    line->worked_after_validation +=
        facts->validation != NULL && facts->validated->result == VALIDATION_VALID && facts->stage == STAGE_WORK;
    if (evidence->negotiate.dialect == SMB2_DIALECT_311) {
        line->preauth_total++;
        line->preauth_failed += failed;
    } else if (facts->dialect_known && !failed) {
        line->lower_dialect_fine++;
    }
    note_guid(line, &evidence->negotiate);
}

void company_note(struct company_book *book, const struct evidence *evidence, const struct facts *facts) {
    static const uint8_t none[16];
    struct lookup path = lookup_of(book, BOOK_PATH, evidence);
    struct lookup server = lookup_of(book, BOOK_SERVER, evidence);
    struct lookup guid = lookup_of(book, BOOK_CLIENT_GUID, evidence);

    note_line(book, &path, evidence, facts);
    note_line(book, &server, evidence, facts);
    if (memcmp(evidence->negotiate.request.guid, none, 16) != 0)
        note_line(book, &guid, evidence, facts);
    if (evidence->sessions_count > 0) {
        struct logon *logon = &book->logons[book->logons_seen++ % LOGONS_MAX];

        memcpy(logon->client, evidence->client.address, 16);
        memcpy(logon->server, evidence->server.address, 16);
        logon->client_port = evidence->client.port;
        logon->packet = evidence->sessions[0].first_request_packet;
        logon->time_ns = evidence->sessions[0].last_request_time_ns;
    }
}

static uint64_t logon_before_reset(const struct company_book *book, const struct evidence *evidence) {
    const struct closing_segment *rst = &evidence->tcp[FROM_SERVER].rst;
    uint64_t count = book->logons_seen < LOGONS_MAX ? book->logons_seen : LOGONS_MAX;

    if (rst->packet == 0)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        const struct logon *logon = &book->logons[i];

        if (logon->client_port != evidence->client.port && logon->time_ns <= rst->time_ns &&
            rst->time_ns - logon->time_ns < RESET_AFTER_LOGON_NS &&
            memcmp(logon->client, evidence->client.address, 16) == 0 &&
            memcmp(logon->server, evidence->server.address, 16) == 0)
            return logon->packet;
    }
    return 0;
}

struct company company_of(const struct company_book *book, const struct evidence *evidence) {
    struct company company = {0};
    struct company_book *same = (struct company_book *)(uintptr_t)book;
    struct lookup path = lookup_of(book, BOOK_PATH, evidence);
    struct lookup server = lookup_of(book, BOOK_SERVER, evidence);
    struct lookup guid = lookup_of(book, BOOK_CLIENT_GUID, evidence);
    const struct line *line = line_of(same, &path, false);

    if (line != NULL) {
        company.path_total = line->total;
        company.path_failed = line->failed;
        company.worked_after_validation = line->worked_after_validation;
        company.lower_dialect_fine = line->lower_dialect_fine;
        company.preauth_total = line->preauth_total;
        company.preauth_failed = line->preauth_failed;
    }
    line = line_of(same, &server, false);
    if (line != NULL) {
        company.server_total = line->total;
        company.server_failed = line->failed;
        company.server_guids = line->guids_count;
    }
    line = line_of(same, &guid, false);
    if (line != NULL)
        company.client_retries = line->total;
    company.other_session_packet = logon_before_reset(book, evidence);
    return company;
}

void company_free(struct company_book *book) {
    free(book);
}
