/* Every octet of every message before the first operation, every other value, the whole connection each time.
 *
 *     tamper [--config NAME]... [--all] [--every N] [--golden FILE]
 *     tamper --list
 *
 * What must hold: either both ends end with the same dialect, GUIDs, security modes, capabilities, signing and cipher,
 * or one of them refuses before the first operation. What an alteration may do unnoticed is printed by field, with the
 * number of values: nothing below 3.1.1 protects MaxReadSize, say. With --golden that table has to be the one in FILE
 * (with
 * --every, which takes each N-th value only, its fields have to be among those of FILE). Without it the table goes to
 * standard output, in FILE's format.
 *
 * A server without any 3.x dialect (the configurations named old-) does not validate; there the ends may differ, and
 * the table says so by "apart". Anywhere else that is a failure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "configs.h"
#include "golden.h"
#include "places.h"

#define FIELDS_MAX  512u /* lines of one configuration's table */
#define LINE_MAX_   160u /* octets of a line */
#define CONFIGS_MAX 64u
#define APARTS_TOLD 8u /* failures that are printed of each configuration */

struct alteration {
    enum direction from;
    unsigned index;
    size_t offset;
    uint8_t value;
};

/* The messages of an undisturbed run, and what became of altered ones. */
struct line {
    char name[LINE_MAX_];
    unsigned unnoticed, apart, tried;
};

struct tamper {
    const struct config *config;
    struct world world;
    struct world_frame frames[2][WORLD_FRAMES_MAX];
    unsigned counts[2];
    struct alteration alteration;
    struct line lines[FIELDS_MAX];
    unsigned lines_count;
    unsigned every;
    uint64_t runs, refused, aparts;
};

static struct line *line_of(struct tamper *tamper, const struct message *message, const struct alteration *alteration) {
    char name[LINE_MAX_];
    memset(name, 0, sizeof name);
    place_name(message, alteration->index, alteration->offset, name, sizeof name);
    for (unsigned i = 0; i < tamper->lines_count; i++)
        if (strcmp(tamper->lines[i].name, name) == 0)
            return &tamper->lines[i];
    if (tamper->lines_count == FIELDS_MAX) {
        fprintf(stderr, "tamper: more than %u fields\n", FIELDS_MAX);
        exit(2);
    }
    struct line *line = &tamper->lines[tamper->lines_count++];
    *line = (struct line){.unnoticed = 0};
    memcpy(line->name, name, sizeof line->name);
    return line;
}

/* ---- runs ---- */

static void record(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    struct tamper *tamper = world->arguments;
    if (index < WORLD_FRAMES_MAX) {
        tamper->frames[from][index] = *frame;
        tamper->counts[from] = index + 1;
    }
    world_queue_put(world, from, frame);
}

static void alter(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    const struct alteration *alteration = &((const struct tamper *)world->arguments)->alteration;
    if (from == alteration->from && index == alteration->index && alteration->offset < frame->size)
        frame->data[alteration->offset] = alteration->value;
    world_queue_put(world, from, frame);
}

/* The last frame of each direction is the operation. */
static bool record_undisturbed(struct tamper *tamper) {
    tamper->world.adversary = record;
    world_run(&tamper->world);
    if (!world_worked(&tamper->world) || world_difference(&tamper->world) != NULL) {
        char text[256];
        world_tell(&tamper->world, text, sizeof text);
        printf("# %s: undisturbed it does not work: %s\n", tamper->config->name, text);
        return false;
    }
    tamper->counts[FROM_CLIENT]--;
    tamper->counts[FROM_SERVER]--;
    tamper->world.adversary = alter;
    return true;
}

static void tell_apart(const struct tamper *tamper, const struct line *line, const char *difference) {
    const struct alteration *alteration = &tamper->alteration;
    printf("# %s: %s, octet %zu = 0x%02x: the ends differ (%s) and it works\n", tamper->config->name, line->name,
           alteration->offset, alteration->value, difference != NULL ? difference : "while it was served");
}

static void run_one(struct tamper *tamper, struct line *line) {
    struct world *world = &tamper->world;
    world_run(world);
    tamper->runs++;
    line->tried++;
    bool worked = world_worked(world);
    const char *difference = worked ? world_difference(world) : NULL;
    if (worked)
        line->unnoticed++;
    else
        tamper->refused++;
    if (!world->served_apart && difference == NULL)
        return;
    line->apart++;
    if (!tamper->config->old_server && tamper->aparts++ < APARTS_TOLD)
        tell_apart(tamper, line, difference);
}

static void run_message(struct tamper *tamper, enum direction from, unsigned index) {
    const struct world_frame *frame = &tamper->frames[from][index];
    struct message message;
    message_decode((struct span){frame->data, frame->size}, frame->size, &message);
    for (size_t offset = 0; offset < frame->size; offset++) {
        tamper->alteration = (struct alteration){from, index, offset, 0};
        struct line *line = line_of(tamper, &message, &tamper->alteration);
        for (unsigned change = 1; change < 256; change++) {
            if ((change + offset) % tamper->every != 0)
                continue;
            tamper->alteration.value = (uint8_t)(frame->data[offset] ^ change);
            run_one(tamper, line);
        }
    }
}

static bool run_config(struct tamper *tamper) {
    world_init(&tamper->world);
    tamper->world.arguments = tamper;
    config_apply(tamper->config, &tamper->world);
    bool good = record_undisturbed(tamper);
    for (unsigned from = 0; good && from < 2; from++)
        for (unsigned index = 0; index < tamper->counts[from]; index++)
            run_message(tamper, (enum direction)from, index);
    world_free(&tamper->world);
    return good && tamper->aparts == 0;
}

/* ---- the table ---- */

static void line_text(const struct tamper *tamper, const struct line *line, char *text, size_t size) {
    if (line->apart > 0)
        snprintf(text, size, "%s: %s: %u of %u, %u apart", tamper->config->name, line->name, line->unnoticed,
                 line->tried, line->apart);
    else
        snprintf(text, size, "%s: %s: %u of %u", tamper->config->name, line->name, line->unnoticed, line->tried);
}

static void table_print(const struct tamper *tamper) {
    char text[2 * LINE_MAX_];
    for (unsigned i = 0; i < tamper->lines_count; i++) {
        if (tamper->lines[i].unnoticed == 0)
            continue;
        line_text(tamper, &tamper->lines[i], text, sizeof text);
        puts(text);
    }
}

/* The whole line, or with --every its name alone. */
static bool line_is_in(const struct tamper *tamper, const struct line *line, const char *golden) {
    char text[2 * LINE_MAX_];
    if (tamper->every > 1)
        snprintf(text, sizeof text, "\n%s: %s: ", tamper->config->name, line->name);
    else {
        text[0] = '\n';
        line_text(tamper, line, text + 1, sizeof text - 2);
        memcpy(text + strlen(text), "\n", 2);
    }
    return strstr(golden, text) != NULL;
}

static unsigned golden_lines(const struct config *config, const char *golden) {
    char start[LINE_MAX_];
    unsigned count = 0;
    snprintf(start, sizeof start, "\n%s: ", config->name);
    for (const char *at = strstr(golden, start); at != NULL; at = strstr(at + 1, start))
        count++;
    return count;
}

static bool table_is(const struct tamper *tamper, const char *golden) {
    unsigned unnoticed = 0, wrong = 0;
    for (unsigned i = 0; i < tamper->lines_count; i++) {
        char text[2 * LINE_MAX_];
        if (tamper->lines[i].unnoticed == 0)
            continue;
        unnoticed++;
        if (line_is_in(tamper, &tamper->lines[i], golden))
            continue;
        line_text(tamper, &tamper->lines[i], text, sizeof text);
        printf("# not in the table: %s\n", text);
        wrong++;
    }
    if (tamper->every == 1 && unnoticed != golden_lines(tamper->config, golden)) {
        printf("# %s: %u fields go unnoticed, the table has %u\n", tamper->config->name, unnoticed,
               golden_lines(tamper->config, golden));
        wrong++;
    }
    return wrong == 0;
}

/* ---- */

struct options {
    const struct config *chosen[CONFIGS_MAX];
    unsigned count, every;
    const char *golden;
};

static void usage(void) {
    fprintf(stderr, "usage: tamper [--config NAME]... [--all] [--every N] [--golden FILE] | --list\n");
    exit(2);
}

static void list(void) {
    for (unsigned i = 0; i < configs_count; i++)
        puts(configs[i].name);
    exit(0);
}

static void options_read(struct options *options, int argc, char **argv) {
    *options = (struct options){.every = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--all") == 0) {
            for (options->count = 0; options->count < configs_count; options->count++)
                options->chosen[options->count] = &configs[options->count];
            continue;
        }
        if (strcmp(argv[i], "--list") == 0)
            list();
        if (value == NULL)
            usage();
        if (strcmp(argv[i], "--config") == 0 && options->count < CONFIGS_MAX)
            options->chosen[options->count++] = config_find(value);
        else if (strcmp(argv[i], "--every") == 0)
            options->every = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--golden") == 0)
            options->golden = value;
        else
            usage();
        i++;
    }
    for (unsigned i = 0; i < options->count; i++)
        if (options->chosen[i] == NULL)
            usage();
    if (options->count == 0 || options->every == 0)
        usage();
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    struct options options;
    static struct tamper tamper;
    bool good = true;
    options_read(&options, argc, argv);
    char *golden = options.golden != NULL ? golden_read(options.golden) : NULL;
    if (golden != NULL)
        printf("1..%u\n", options.count);
    for (unsigned i = 0; i < options.count; i++) {
        double start = seconds();
        memset(&tamper, 0, sizeof tamper);
        tamper.config = options.chosen[i];
        tamper.every = options.every;
        bool fine = run_config(&tamper) && (golden == NULL || table_is(&tamper, golden));
        double took = seconds() - start;
        if (golden == NULL)
            table_print(&tamper);
        fprintf(golden != NULL ? stdout : stderr,
                "%s %u - %s # %" PRIu64 " connections, %" PRIu64 " refused, %.1f s, %.0f a second\n",
                fine ? "ok" : "not ok", i + 1, tamper.config->name, tamper.runs, tamper.refused, took,
                (double)tamper.runs / took);
        fflush(stdout);
        good = good && fine;
    }
    free(golden);
    return good ? 0 : 1;
}
