/* What protects each field: every alteration of every message before the first operation, in each dialect, with each
 * pair of policies, and with keys as NTLM and as Kerberos yield them.
 *
 *     protection                          all of it: a minute of processor time, half a million connections
 *     protection --sample N --seed S      each N-th alteration, chosen by the seed
 *     protection ... --golden FILE        what is seen has to be in FILE, as TAP; without --sample all of FILE
 *
 * Of each octet every bit is turned, and it is made 0 and 0xff; each number is made 0, all ones, one more and one less;
 * each message is left out, sent twice, cut and made longer. tamper.c tries every value of every octet, with fewer
 * policies.
 *
 * A line is: group, message, field, alterations, how many of them went unnoticed, and how many were caught by what; a
 * group is a dialect and the protection in force. Both ends end with the same view or one of them refuses: where that
 * fails with a server that implements 3.x, the run fails. tests/sim/protection.py makes docs/protection.md of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "places.h"
#include "world.h"

#define ROWS_MAX   8192u
#define NAME_MAX_  128u /* octets */
#define LONGER_BY  8u   /* octets */
#define GROUPS_MAX 32u

enum catcher {
    CAUGHT_BY_VALIDATION_OF_SERVER,
    CAUGHT_BY_VALIDATION_OF_CLIENT,
    CAUGHT_BY_SIGNATURE_AT_SERVER,
    CAUGHT_BY_SIGNATURE_AT_CLIENT,
    CAUGHT_BY_ENCRYPTION,
    CAUGHT_BY_RULE_OF_SERVER,
    CAUGHT_BY_RULE_OF_CLIENT,
    CAUGHT_BY_STATUS,  /* the server refuses what it is asked for, such as another share */
    CAUGHT_BY_SILENCE, /* nothing comes any more */
    CATCHERS
};
static const char *const catcher_words[] = {"validation-server", "validation-client", "signature-server",
                                            "signature-client",  "encryption",        "rule-server",
                                            "rule-client",       "status",            "silence"};

struct row {
    char name[NAME_MAX_]; /* group, message and field, separated by tabs */
    unsigned tried, unnoticed, apart, caught[CATCHERS];
};

enum kind { KIND_OCTET, KIND_NUMBER, KIND_DROP, KIND_TWICE, KIND_CUT, KIND_LONGER };

struct alteration {
    enum kind kind;
    enum direction from;
    unsigned index;
    size_t offset;
    uint64_t value;
    unsigned width; /* of a number, in octets */
};

struct run {
    struct world world;
    struct world_frame frames[2][WORLD_FRAMES_MAX];
    unsigned counts[2];
    struct alteration alteration;
    const char *group;
    bool old_server;
    unsigned sample;
    uint64_t seed, number, failures, connections;
    struct row *rows;
    unsigned rows_count;
};

/* ---- who noticed ---- */

static bool is_one_of(enum rule rule, const enum rule *rules, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (rules[i] == rule)
            return true;
    return false;
}

static enum catcher catcher_of_rule(enum rule rule, bool at_server) {
    static const enum rule signatures[] = {
        RULE_REQUEST_SIGNATURE,  RULE_REQUEST_UNSIGNED,         RULE_REQUEST_SIGNED_WITHOUT_KEY,
        RULE_RESPONSE_SIGNATURE, RULE_RESPONSE_UNSIGNED,        RULE_SESSION_RESPONSE_UNSIGNED,
        RULE_TREE_CONNECT_UNSIGNED, RULE_INFO_REQUEST_UNSIGNED, RULE_INFO_RESPONSE_UNPROTECTED};
    static const enum rule encryption[] = {
        RULE_TRANSFORM_FLAGS, RULE_TRANSFORM_SIZE,        RULE_TRANSFORM_REFUSED,   RULE_TRANSFORM_BEFORE_SESSION,
        RULE_TRANSFORM_TAG,   RULE_TRANSFORM_SESSION,     RULE_TRANSFORM_INNER,     RULE_RESPONSE_UNENCRYPTED,
        RULE_TREE_UNENCRYPTED, RULE_SESSION_UNENCRYPTED};
    const char *section = rule_text(rule)->section;

    if (is_one_of(rule, signatures, sizeof signatures / sizeof signatures[0]))
        return at_server ? CAUGHT_BY_SIGNATURE_AT_SERVER : CAUGHT_BY_SIGNATURE_AT_CLIENT;
    if (is_one_of(rule, encryption, sizeof encryption / sizeof encryption[0]))
        return CAUGHT_BY_ENCRYPTION;
    if (strcmp(section, "3.3.5.15.12") == 0 && at_server)
        return CAUGHT_BY_VALIDATION_OF_SERVER;
    if ((strcmp(section, "3.2.5.14.12") == 0 || strcmp(section, "3.3.5.15.12") == 0) && !at_server)
        return CAUGHT_BY_VALIDATION_OF_CLIENT;
    return at_server ? CAUGHT_BY_RULE_OF_SERVER : CAUGHT_BY_RULE_OF_CLIENT;
}

/* A client that gives up says nothing to the server, so what the server minds it minded first. */
static enum catcher catcher_of(const struct world *world) {
    const struct server *server = &world->host.server;
    const struct client_failure *failure = &world->client.failure;

    if (server->closed && server->failure.verdict.rule != RULE_NONE)
        return catcher_of_rule(server->failure.verdict.rule, true);
    if (server->refused.verdict.rule != RULE_NONE)
        return catcher_of_rule(server->refused.verdict.rule, true);
    if (world->client.want == CLIENT_CLOSED && failure->fault == CLIENT_FAULT_TIMED_OUT)
        return CAUGHT_BY_SILENCE;
    if (world->client.want == CLIENT_CLOSED && failure->verdict.rule != RULE_NONE)
        return catcher_of_rule(failure->verdict.rule, false);
    return world->timed_out ? CAUGHT_BY_SILENCE : CAUGHT_BY_STATUS;
}

/* ---- the adversary ---- */

static void record(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    struct run *run = world->arguments;

    run->frames[from][index] = *frame;
    run->counts[from] = index + 1;
    world_queue_put(world, from, frame);
}

static void put_number(uint8_t *place, uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; i++)
        place[i] = (uint8_t)(value >> 8 * i);
}

static void change(const struct alteration *alteration, struct world_frame *frame) {
    if (alteration->kind == KIND_OCTET && alteration->offset < frame->size)
        frame->data[alteration->offset] = (uint8_t)alteration->value;
    if (alteration->kind == KIND_NUMBER && alteration->offset + alteration->width <= frame->size)
        put_number(frame->data + alteration->offset, alteration->value, alteration->width);
    if (alteration->kind == KIND_CUT)
        frame->size--;
    if (alteration->kind == KIND_LONGER && frame->size + LONGER_BY <= WORLD_FRAME_MAX) {
        memset(frame->data + frame->size, 0, LONGER_BY);
        frame->size += LONGER_BY;
    }
}

static void alter(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    const struct alteration *alteration = &((const struct run *)world->arguments)->alteration;
    bool meant = from == alteration->from && index == alteration->index;

    if (meant)
        change(alteration, frame);
    if (meant && alteration->kind == KIND_DROP)
        return;
    world_queue_put(world, from, frame);
    if (meant && alteration->kind == KIND_TWICE)
        world_queue_put(world, from, frame);
}

/* ---- rows ---- */

static struct row *row_of(struct run *run, const char *message, const char *field) {
    char name[NAME_MAX_] = "";

    snprintf(name, sizeof name, "%s\t%s\t%s", run->group, message, field);
    for (unsigned i = run->rows_count; i-- > 0;)
        if (strcmp(run->rows[i].name, name) == 0)
            return &run->rows[i];
    if (run->rows_count == ROWS_MAX) {
        fprintf(stderr, "protection: more than %u rows\n", ROWS_MAX);
        exit(2);
    }
    memcpy(run->rows[run->rows_count].name, name, sizeof name);
    return &run->rows[run->rows_count++];
}

static bool is_chosen(struct run *run) {
    uint64_t mixed = (run->number++ + run->seed) * 0x9e3779b97f4a7c15u;

    return (mixed >> 32) % run->sample == 0;
}

static void try_one(struct run *run, struct row *row) {
    struct world *world = &run->world;
    bool apart;

    if (!is_chosen(run))
        return;
    world_run(world);
    run->connections++;
    row->tried++;
    apart = world->served_apart || (world_worked(world) && world_difference(world) != NULL);
    row->apart += apart;
    if (world_worked(world))
        row->unnoticed++;
    else
        row->caught[catcher_of(world)]++;
    if (!apart || run->old_server)
        return;
    run->failures++;
    fprintf(stderr, "# %s, octet %zu: the ends differ and it works\n", row->name, run->alteration.offset);
}

/* ---- alterations ---- */

/* The final SESSION_SETUP response is protected otherwise than the ones before. */
static const char *message_word(const struct message *message) {
    if (message->kind == MESSAGE_SESSION_SETUP_RESPONSE && message->header.status == STATUS_SUCCESS)
        return "final SESSION_SETUP response";
    if (message->kind == MESSAGE_NEGOTIATE_RESPONSE &&
        message->body.negotiate_response.dialect_revision == SMB2_DIALECT_WILDCARD)
        return "NEGOTIATE response to SMB1";
    return place_message(message->kind);
}

static const char *field_word(const struct message *message, size_t offset) {
    static char text[NAME_MAX_];
    bool in_header = message_is_smb2(message) && offset < SMB2_HEADER_SIZE;

    snprintf(text, sizeof text, "%s%s", in_header ? "header " : "", place_field(message, offset));
    return text;
}

static void try_octets(struct run *run, const struct message *message) {
    struct alteration *alteration = &run->alteration;

    alteration->kind = KIND_OCTET;
    for (size_t offset = 0; offset < message->size; offset++) {
        uint8_t now = message->bytes.data[offset];
        struct row *row = row_of(run, message_word(message), field_word(message, offset));

        alteration->offset = offset;
        for (unsigned i = 0; i < 10; i++) {
            alteration->value = i < 8 ? now ^ (1u << i) : i == 8 ? 0 : 0xff;
            if (alteration->value != now)
                try_one(run, row);
        }
    }
}

static void try_number(struct run *run, const struct message *message, size_t offset, unsigned width) {
    struct alteration *alteration = &run->alteration;
    uint64_t now = 0, most = width == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * width) - 1;
    struct row *row = row_of(run, message_word(message), field_word(message, offset));

    for (unsigned i = 0; i < width; i++)
        now |= (uint64_t)message->bytes.data[offset + i] << 8 * i;
    *alteration = (struct alteration){KIND_NUMBER, alteration->from, alteration->index, offset, 0, width};
    const uint64_t values[] = {0, most, (now + 1) & most, (now - 1) & most};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        alteration->value = values[i];
        if (values[i] != now)
            try_one(run, row);
    }
}

static void try_fields(struct run *run, const struct message *message, const struct field *fields, unsigned count,
                       size_t at) {
    for (unsigned i = 0; i < count; i++)
        if (fields[i].width <= 8 && at + fields[i].wire_offset + fields[i].width <= message->size)
            try_number(run, message, at + fields[i].wire_offset, fields[i].width);
}

static void try_message(struct run *run, const struct message *message) {
    static const enum kind kinds[] = {KIND_DROP, KIND_TWICE, KIND_CUT, KIND_LONGER};
    static const char *const words[] = {"(left out)", "(sent twice)", "(last octet cut)", "(made longer)"};
    struct message_fields fields = message_fields(message->kind);

    try_octets(run, message);
    if (message_is_smb2(message))
        try_fields(run, message, smb2_header_fields, smb2_header_fields_count, 0);
    try_fields(run, message, fields.fields, fields.count, fields.at);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        run->alteration.kind = kinds[i];
        try_one(run, row_of(run, message_word(message), words[i]));
    }
}

/* ---- configurations ---- */

enum wish { WISH_PLAIN, WISH_SIGNED, WISH_ENCRYPTED, WISHES };

struct matrix {
    uint16_t dialect;
    bool old_server, smb1, kerberos;
    enum wish client, server;
};

/* Below 3.0 both ends have a 3.x dialect that the other one has not: they validate, and agree on less. */
static void set_dialects(const struct matrix *matrix, struct world *world) {
    static const uint16_t all[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                   SMB2_DIALECT_311};
    struct id_list *client = &world->policy.dialects, *server = &world->host.policy.dialects;

    client->count = server->count = 0;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        bool common = all[i] <= matrix->dialect;

        if (common || matrix->old_server || dialect_is_3x(matrix->dialect) || all[i] == SMB2_DIALECT_311)
            client->ids[client->count++] = all[i];
        if (common || (!matrix->old_server && !dialect_is_3x(matrix->dialect) && all[i] == SMB2_DIALECT_302))
            server->ids[server->count++] = all[i];
    }
}

static void matrix_apply(const struct matrix *matrix, struct world *world) {
    set_dialects(matrix, world);
    world->policy.offers_smb1_first = matrix->smb1;
    world->policy.signing_required = matrix->client == WISH_SIGNED;
    world->policy.encryption = matrix->client == WISH_ENCRYPTED ? ENCRYPTION_MUST : ENCRYPTION_OFFERED;
    world->host.policy.signing_required = matrix->server == WISH_SIGNED;
    world->host.policy.encryption = matrix->server == WISH_ENCRYPTED ? ENCRYPTION_MUST : ENCRYPTION_OFFERED;
    world->host.key_size = matrix->kerberos ? HOST_KEY_MAX : HOST_KEY_USUAL;
    world->host.legs = matrix->kerberos ? 1 : 2;
}

static const char *group_of(const struct matrix *matrix, char text[NAME_MAX_]) {
    static const char *const wishes[] = {"plain", "signed", "encrypted"};
    enum wish most = matrix->client > matrix->server ? matrix->client : matrix->server;

    snprintf(text, NAME_MAX_, "%s%x.%x%s %s", matrix->old_server ? "old " : "", matrix->dialect >> 8,
             matrix->dialect >> 4 & 15, matrix->dialect == SMB2_DIALECT_202   ? ".2"
                                        : matrix->dialect == SMB2_DIALECT_302 ? ".2"
                                        : matrix->dialect == SMB2_DIALECT_311 ? ".1"
                                                                              : "",
             wishes[most]);
    return text;
}

/* False: it does not work undisturbed. */
static bool run_matrix(struct run *run, const struct matrix *matrix) {
    struct world *world = &run->world;
    char group[NAME_MAX_];

    world_init(world);
    world->arguments = run;
    matrix_apply(matrix, world);
    run->group = group_of(matrix, group);
    run->old_server = matrix->old_server;
    world->adversary = record;
    world_run(world);
    if (!world_worked(world) || world_difference(world) != NULL) {
        world_tell(world, group, sizeof group);
        fprintf(stderr, "# undisturbed it does not work: %s\n", group);
        world_free(world);
        return false;
    }
    world->adversary = alter;
    for (unsigned from = 0; from < 2; from++)
        for (unsigned index = 0; index + 1 < run->counts[from]; index++) { /* the last is the operation */
            const struct world_frame *frame = &run->frames[from][index];
            struct message message;

            message_decode((struct span){frame->data, frame->size}, frame->size, &message);
            run->alteration = (struct alteration){.from = (enum direction)from, .index = index};
            try_message(run, &message);
        }
    world_free(world);
    return true;
}

/* Each client policy with each server policy that can agree, in each dialect, with both kinds of keys. */
static bool run_all(struct run *run) {
    static const struct {
        uint16_t dialect;
        bool old_server;
    } columns[] = {{SMB2_DIALECT_202, true},  {SMB2_DIALECT_210, true},  {SMB2_DIALECT_202, false},
                   {SMB2_DIALECT_210, false}, {SMB2_DIALECT_300, false}, {SMB2_DIALECT_302, false},
                   {SMB2_DIALECT_311, false}};
    bool good = true;

    for (unsigned i = 0; i < sizeof columns / sizeof columns[0]; i++)
        for (unsigned choice = 0; choice < WISHES * WISHES * 2; choice++) {
            struct matrix matrix = {columns[i].dialect, columns[i].old_server, false, choice % 2 != 0,
                                    (enum wish)(choice / 2 % WISHES), (enum wish)(choice / 2 / WISHES)};
            bool encrypts = matrix.client == WISH_ENCRYPTED || matrix.server == WISH_ENCRYPTED;

            matrix.smb1 = matrix.client == WISH_PLAIN && matrix.server == WISH_PLAIN && matrix.kerberos;
            if (!encrypts || dialect_is_3x(matrix.dialect))
                good = run_matrix(run, &matrix) && good;
        }
    return good;
}

/* ---- the table ---- */

static void row_print(const struct row *row, FILE *out) {
    fprintf(out, "%s\t%u\t%u", row->name, row->tried, row->unnoticed);
    if (row->apart > 0)
        fprintf(out, "\tapart=%u", row->apart);
    for (unsigned i = 0; i < CATCHERS; i++)
        if (row->caught[i] > 0)
            fprintf(out, "\t%s=%u", catcher_words[i], row->caught[i]);
    fputs("\n", out);
}

/* Has the line of this name all that the row has? */
static bool row_is_in(const struct row *row, const char *golden, bool whole) {
    char line[1024], start[NAME_MAX_ + 2], wanted[1024] = "";
    const char *at;
    FILE *memory = fmemopen(wanted, sizeof wanted, "w");

    if (memory == NULL)
        return false;
    row_print(row, memory);
    fclose(memory);
    snprintf(start, sizeof start, "\n%s\t", row->name);
    at = strstr(golden, start);
    if (at == NULL)
        return false;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at + 1, "\n") + 1, at + 1);
    if (whole)
        return strcmp(line, wanted) == 0;
    if (row->unnoticed > 0 && strtoul(strchr(line + strlen(row->name) + 1, '\t'), NULL, 10) == 0)
        return false;
    for (unsigned i = 0; i < CATCHERS; i++) {
        snprintf(start, sizeof start, "\t%s=", catcher_words[i]);
        if (row->caught[i] > 0 && strstr(line, start) == NULL)
            return false;
    }
    return row->apart == 0 || strstr(line, "\tapart=") != NULL;
}

static unsigned lines_of(const char *text) {
    unsigned count = 0;

    for (text++; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static bool compare(const struct run *run, const char *path) {
    char *golden = golden_read(path);
    unsigned wrong = 0;

    for (unsigned i = 0; i < run->rows_count; i++) {
        if (run->rows[i].tried == 0 || row_is_in(&run->rows[i], golden, run->sample == 1))
            continue;
        fputs("# not in the table: ", stdout);
        row_print(&run->rows[i], stdout);
        wrong++;
    }
    if (run->sample == 1 && lines_of(golden) != run->rows_count) {
        printf("# the table has %u lines, not %u\n", lines_of(golden), run->rows_count);
        wrong++;
    }
    free(golden);
    return wrong == 0;
}

int main(int argc, char **argv) {
    static struct run run;
    static struct row rows[ROWS_MAX];
    const char *golden = NULL;
    bool good;

    run.sample = 1;
    run.rows = rows;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--sample") == 0)
            run.sample = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            run.seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--golden") == 0)
            golden = argv[i + 1];
    }
    if (run.sample == 0 || argc % 2 == 0) {
        fputs("usage: protection [--sample N] [--seed S] [--golden FILE]\n", stderr);
        return 2;
    }
    good = run_all(&run) && run.failures == 0;
    if (golden == NULL)
        for (unsigned i = 0; i < run.rows_count; i++)
            row_print(&rows[i], stdout);
    else
        good = compare(&run, golden) && good;
    fprintf(golden == NULL ? stderr : stdout, "%s1 - %llu connections, %u rows, seed %llu\n",
            golden == NULL ? "" : good ? "1..1\nok " : "1..1\nnot ok ", (unsigned long long)run.connections, run.rows_count,
            (unsigned long long)run.seed);
    return good ? 0 : 1;
}
