/* Every client policy against every server policy: what they agree on, or who refuses.
 *
 *     policies             prints the table
 *     policies GOLDEN      compares it with the file, as TAP; prints the lines that differ
 *
 * A line is a client and a server that differ from their defaults as they say, and one column for each list of the
 * server's dialects. In a column: dialect, signing algorithm, whether everything is signed (S), and the cipher where
 * the session is encrypted; or who refused, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs.h"
#include "wire/names.h"

#define TEXT_MAX 4096u /* octets of a line of the table */

struct dialects {
    const char *name;
    struct id_list list;
    bool smb1;
};

static const struct dialects client_dialects[] = {
    {"2.0.2", {{0x0202}, 1}, false},
    {"2.1", {{0x0210}, 1}, false},
    {"..2.1", {{0x0202, 0x0210}, 2}, false},
    {"3.0", {{0x0300}, 1}, false},
    {"..3.0.2", {{0x0202, 0x0210, 0x0300, 0x0302}, 4}, false},
    {"3.1.1", {{0x0311}, 1}, false},
    {"all", {{0x0202, 0x0210, 0x0300, 0x0302, 0x0311}, 5}, false},
    {"all/SMB1", {{0x0202, 0x0210, 0x0300, 0x0302, 0x0311}, 5}, true},
};

static const struct dialects server_dialects[] = {
    {"2.0.2", {{0x0202}, 1}, false},
    {"..2.1", {{0x0202, 0x0210}, 2}, false},
    {"..3.0.2", {{0x0202, 0x0210, 0x0300, 0x0302}, 4}, false},
    {"3.1.1", {{0x0311}, 1}, false},
    {"all", {{0x0202, 0x0210, 0x0300, 0x0302, 0x0311}, 5}, false},
};

static const char *const encryption_names[] = {"no encryption", "encryption", "encryption!"};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static const char *dialect_word(uint16_t dialect, char text[16]) {
    return dialect_text(dialect, text);
}

static void tell_agreed(const struct world *world, char *text, size_t size) {
    const struct negotiation_agreed *agreed = &world->client.negotiation.agreed;
    char dialect[16];
    snprintf(text, size, "%s %s%s%s%s%s", dialect_word(agreed->dialect, dialect),
             signing_name(agreed->signing_algorithm), world->client.signing_required ? " S" : "",
             world->client.encrypts ? " " : "", world->client.encrypts ? cipher_name(agreed->cipher) : "",
             world->client.negotiation.validation == VALIDATION_SAME ? " V" : "");
}

static void run_cell(struct world *world, char *text, size_t size) {
    world_run(world);
    if (!world_worked(world)) {
        world_tell(world, text, size);
    } else if (world_difference(world) != NULL) {
        fprintf(stderr, "policies: the ends differ: %s\n", world_difference(world));
        exit(1);
    } else {
        tell_agreed(world, text, size);
    }
}

static void run_line(struct world *world, char *line, size_t size) {
    size_t used = strlen(line);
    for (unsigned i = 0; i < COUNT_OF(server_dialects); i++) {
        char cell[256];
        world->host.policy.dialects = server_dialects[i].list;
        run_cell(world, cell, sizeof cell);
        used += (size_t)snprintf(line + used, size - used, " | %s: %s", server_dialects[i].name, cell);
    }
    snprintf(line + used, size - used, "\n");
}

/* The i-th line of the table, false past the last. */
static bool line_make(struct world *world, unsigned i, char *line, size_t size) {
    unsigned client_encryption = i % 3, client_signs = i / 3 % 2, server_encryption = i / 6 % 3,
             server_signs = i / 18 % 2;
    unsigned dialects = i / 36;
    if (dialects >= COUNT_OF(client_dialects))
        return false;
    world->policy.dialects = client_dialects[dialects].list;
    world->policy.offers_smb1_first = client_dialects[dialects].smb1;
    world->policy.signing_required = client_signs;
    world->policy.encryption = (enum encryption_policy)client_encryption;
    world->host.policy.signing_required = server_signs;
    world->host.policy.encryption = (enum encryption_policy)server_encryption;
    snprintf(line, size, "%s, %s%s <> %s%s", client_dialects[dialects].name, client_signs ? "signing!, " : "",
             encryption_names[client_encryption], server_signs ? "signing!, " : "",
             encryption_names[server_encryption]);
    run_line(world, line, size);
    return true;
}

static int compare(struct world *world, const char *path) {
    FILE *file = fopen(path, "r");
    char line[TEXT_MAX], wanted[TEXT_MAX];
    unsigned i = 0, wrong = 0;
    if (file == NULL) {
        fprintf(stderr, "policies: cannot read %s\n", path);
        return 2;
    }
    for (; line_make(world, i, line, sizeof line); i++) {
        if (fgets(wanted, sizeof wanted, file) != NULL && strcmp(line, wanted) == 0)
            continue;
        printf("# line %u is now: %s", i + 1, line);
        wrong++;
    }
    wrong += fgets(wanted, sizeof wanted, file) != NULL;
    fclose(file);
    printf("1..1\n%s 1 - %u lines of %u pairs of policies each, %u differ\n", wrong == 0 ? "ok" : "not ok", i,
           (unsigned)COUNT_OF(server_dialects), wrong);
    return wrong == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    static struct world world;
    char line[TEXT_MAX];
    int status = 0;
    world_init(&world);
    if (argc > 1)
        status = compare(&world, argv[1]);
    else
        for (unsigned i = 0; line_make(&world, i, line, sizeof line); i++)
            fputs(line, stdout);
    world_free(&world);
    return status;
}
