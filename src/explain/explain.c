#include "explain/explain.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "capture/temporary.h"
#include "explain/company.h"
#include "explain/pairs.h"
#include "explain/spill.h"
#include "explain/vantage.h"
#include "explain/watch.h"

/* Progress is told for captures of this size and more, in octets. */
#define PROGRESS_SIZE_MIN (64u * 1024u * 1024u)
/* Results from which on a second thread judges half of them. */
#define STRETCH_MIN 1024u
#define PROGRESS_PACKETS 16384u
/* Octets of a file's name that are told as text. */
#define NAME_TEXT_MAX 1024u

struct run {
    const struct explain_options *options;
    struct spill *spill;
    struct company_book *book;
    struct pairs *pairs;
    struct output output;
    struct tally tally;
    char names[2][NAME_TEXT_MAX]; /* of the captures, fit for a terminal */
    const char *doing; /* in case that it goes wrong */
    int error;         /* negative errno of something that went wrong inside */
    bool unreadable;   /* a capture could not be read to its end */
    bool incomplete;   /* memory ran out at some connection; the others are told */
};

static void complain(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void complain(const struct run *run, const char *format, ...) {
    va_list arguments;

    if (run->options->quiet)
        return;
    fputs("smbproof: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* On a dialect that has to be validated; it may be that the request was swallowed on the way here. */
static bool is_unvalidated(const struct facts *facts) {
    return facts->below_311 && facts->client_offers_3x && facts->validation == NULL && !facts->encrypted;
}

/* Nothing went wrong in it, as far as a glance can tell: it will be told in one line. */
static bool is_uneventful(const struct facts *facts) {
    return facts->stage == STAGE_WORK && facts->closer != CLOSER_INJECTED && facts->asked == NULL &&
           facts->told == NULL && (facts->validation == NULL || facts->validated->result == VALIDATION_VALID) &&
           facts->evidence->traffic.session_deleted_packet == 0 && !facts->start_missing && !is_unvalidated(facts);
}

static void keep(void *context, struct evidence *evidence) {
    struct run *run = context;
    struct facts facts;
    bool is_server;
    int error;

    if (run->error != 0)
        return;
    facts_from(evidence, &facts);
    error = pairs_note(run->pairs, evidence, spill_count(run->spill));
    if (error == 0 && evidence->file == 0 &&
        pairs_partner(run->pairs, spill_count(run->spill), &is_server) == PAIR_NONE)
        company_note(run->book, evidence, &facts); /* the other side of one is not another connection */
    if (error == 0 && !run->options->style.verbose && run->options->captures[1] == NULL && !evidence->many_interfaces &&
        is_uneventful(&facts))
        evidence_shorten(evidence); /* of its ladder at most the start will be drawn */
    if (error == 0)
        error = spill_put(run->spill, evidence);
    run->error = error;
}

static bool progress_wanted(const struct run *run, const struct capture *capture) {
    return run->options->progress && capture_size(capture) >= PROGRESS_SIZE_MIN;
}

static void tell_progress(const struct run *run, const struct capture *capture) {
    if (!progress_wanted(run, capture))
        return;
    fprintf(stderr, "\rreading: %3u %%", (unsigned)(capture_position(capture) * 100 / capture_size(capture)));
    fflush(stderr);
}

static void end_progress(const struct run *run, const struct capture *capture) {
    if (progress_wanted(run, capture))
        fprintf(stderr, "\r\033[K");
}

static bool is_interrupted(const struct run *run) {
    return run->options->interrupted != NULL && *run->options->interrupted;
}

/* A capture on its way through the flows. */
struct reading {
    const struct run *run;
    struct capture *capture;
    struct link *link;
    struct flows *flows;
    struct watch *watch;
    enum capture_status status; /* that it ended with */
};

static void *read_packets(void *argument) {
    struct reading *reading = argument;
    struct segment segment;
    struct packet packet;

    while (!is_interrupted(reading->run)) {
        reading->status = capture_next(reading->capture, &packet);
        if (reading->status != CAPTURE_PACKET)
            break;
        if (link_decode(reading->link, &packet, &segment) == LINK_SEGMENT)
            flows_segment(reading->flows, &packet, &segment);
        if (packet.number % PROGRESS_PACKETS == 0)
            tell_progress(reading->run, reading->capture);
    }
    end_progress(reading->run, reading->capture);
    flows_finish(reading->flows);
    watch_finish(reading->watch);
    return NULL;
}

/* Packets that stay where they are can be read on a second thread, while this one listens to what they say. */
static void read_and_listen(struct reading *reading) {
    struct meanwhile meanwhile = {capture_help, reading->capture};
    pthread_t thread;

    if (!capture_is_lasting(reading->capture) || !watch_hand_over(reading->watch, &meanwhile)) {
        read_packets(reading);
    } else if (pthread_create(&thread, NULL, read_packets, reading) != 0) {
        watch_hand_nothing(reading->watch);
        read_packets(reading);
    } else {
        watch_listen(reading->watch);
        pthread_join(thread, NULL);
    }
}

static void tell_end(struct run *run, const struct reading *reading, const char *name) {
    const struct capture_error *error = capture_error(reading->capture);

    if (is_interrupted(run)) {
        complain(run, "%s: interrupted; what was read so far is reported", name);
    } else if (reading->status == CAPTURE_BROKEN) {
        complain(run, "%s: at octet %llu%s: %s; what was read before it is reported", name,
                 (unsigned long long)error->offset, capture_is_packed(reading->capture) ? " (unpacked)" : "",
                 error->reason);
        run->unreadable = true;
    }
}

/* Says so where a limit or the memory made the report less than the capture. */
static void tell_losses(struct run *run, const char *name, const struct flows *flows, const struct watch *watch) {
    struct flow_counts counts;

    flows_counts(flows, &counts);
    if (counts.evicted > 0)
        complain(run, "%s: more than %u connections were open at once; %llu were judged before their end", name, FLOWS_MAX,
                 (unsigned long long)counts.evicted);
    if (counts.no_memory == 0 && !watch_is_incomplete(watch))
        return;
    complain(run, "%s: there was not enough memory for all connections; the report is incomplete", name);
    run->incomplete = true;
}

static void read_capture(struct run *run, uint32_t file) {
    const char *path = run->options->captures[file], *name = run->names[file];
    struct reading reading = {.run = run};
    struct capture_error error = {0};
    struct flow_sink sink;
    struct watch watch;
    int status = run->options->contents[file].data != NULL
                     ? capture_open_memory(&reading.capture, run->options->contents[file], &error)
                     : capture_open(&reading.capture, path, &error);

    if (status != 0) {
        complain(run, "%s: %s", name, error.reason[0] != '\0' ? error.reason : strerror(-status));
        run->unreadable = true;
        return;
    }
    watch_init(&watch, file, keep, run);
    sink = watch_sink(&watch);
    reading.watch = &watch;
    reading.flows = flows_new(&sink);
    reading.link = link_new();
    if (reading.flows == NULL || reading.link == NULL) {
        run->error = -ENOMEM;
    } else {
        read_and_listen(&reading);
        tell_end(run, &reading, name);
        tell_losses(run, name, reading.flows, &watch);
    }
    flows_free(reading.flows);
    watch_free(&watch);
    link_free(reading.link);
    capture_close(reading.capture);
}

/* Everything that a judgement needs, in one place so that nothing large lies on the stack. */
struct bench_of_judgement {
    struct evidence near, far;
    struct facts near_facts, far_facts;
    struct comparison comparison;
    struct company company;
    struct finding findings[FINDINGS_MAX];
};

static struct vantage vantage_of(const struct explain_options *options, const struct evidence *evidence) {
    struct vantage vantage;

    if (options->taken_at == PLACE_UNKNOWN)
        return vantage_from(evidence);
    vantage = (struct vantage){.place = options->taken_at, .given = true};
    snprintf(vantage.because, sizeof vantage.because, "--taken-at says so");
    return vantage;
}

/* Connections that did their work need no others to be understood. */
static bool is_worth_comparing(const struct facts *facts) {
    return facts->stage != STAGE_WORK || facts->ending == ENDING_RST || facts->asked != NULL || facts->told != NULL ||
           facts->evidence->traffic.session_deleted_packet != 0;
}

/* JSON has the name itself: it escapes. */
static const char *told_name(const struct run *run, uint32_t file) {
    return run->options->json ? run->options->captures[file] : run->names[file];
}

static int judge(struct run *run, struct bench_of_judgement *bench, size_t record, uint32_t partner,
                 struct inquiry *inquiry, struct result *result) {
    const struct explain_options *options = run->options;
    int error = spill_get(run->spill, record, &bench->near);

    if (error == 0 && partner != PAIR_NONE)
        error = spill_get(run->spill, partner, &bench->far);
    if (error != 0)
        return error;
    facts_from(&bench->near, &bench->near_facts);
    bench->company = is_worth_comparing(&bench->near_facts) ? company_of(run->book, &bench->near)
                                                            : (struct company){0};
    *inquiry = (struct inquiry){
        .evidence = &bench->near,
        .facts = &bench->near_facts,
        .company = &bench->company,
        .client_system = options->client_system ? options->client_system : client_system(&bench->near),
        .server_system = options->server_system ? options->server_system : server_system(&bench->near),
    };
    if (partner != PAIR_NONE) {
        facts_from(&bench->far, &bench->far_facts);
        compare(&bench->near, &bench->far, &bench->comparison);
        inquiry->far = &bench->far;
        inquiry->far_facts = &bench->far_facts;
        inquiry->comparison = &bench->comparison;
        inquiry->vantage = (struct vantage){.place = PLACE_CLIENT};
        snprintf(inquiry->vantage.because, sizeof inquiry->vantage.because, "both sides are at hand");
    } else {
        inquiry->vantage = vantage_of(options, &bench->near);
    }
    *result = (struct result){
        .inquiry = inquiry,
        .findings = bench->findings,
        .findings_count = inquire(inquiry, bench->findings),
        .capture = told_name(run, bench->near.file),
        .far_capture = partner != PAIR_NONE ? told_name(run, bench->far.file) : NULL,
    };
    result->outcome = outcome_of(bench->findings, result->findings_count);
    return 0;
}

/* A stretch of the results, judged and written by one thread. */
struct stretch {
    struct run *run;
    size_t from, to;
    FILE *file; /* where its text goes */
    struct output output;
    struct tally tally;
    int error;
};

static void write_result(struct stretch *stretch, const struct result *result) {
    tally_add(&stretch->tally, result);
    if (stretch->run->options->json)
        report_json(&stretch->output, result);
    else
        report_text(&stretch->output, &stretch->run->options->style, result);
}

static void *write_stretch(void *argument) {
    struct stretch *stretch = argument;
    struct run *run = stretch->run;
    struct bench_of_judgement *bench = malloc(sizeof *bench);
    int error;

    output_init(&stretch->output, stretch->file);
    stretch->error = bench == NULL ? -ENOMEM : 0;
    for (size_t i = stretch->from; i < stretch->to && stretch->error == 0; i++) {
        size_t record = spill_at(run->spill, i);
        bool is_server = false;
        uint32_t partner = pairs_partner(run->pairs, record, &is_server);
        struct inquiry inquiry;
        struct result result;

        if (partner != PAIR_NONE && is_server)
            continue; /* told with its other side */
        stretch->error = judge(run, bench, record, partner, &inquiry, &result);
        if (stretch->error == 0)
            write_result(stretch, &result);
    }
    error = output_finish(&stretch->output);
    if (stretch->error == 0)
        stretch->error = error;
    free(bench);
    return NULL;
}

static int append(FILE *from, FILE *to) {
    char buffer[OUTPUT_BUFFER_SIZE];
    size_t got;

    rewind(from);
    while ((got = fread(buffer, 1, sizeof buffer, from)) > 0)
        if (fwrite(buffer, 1, got, to) != got)
            return -errno;
    return ferror(from) ? -EIO : 0;
}

static void tally_merge(struct tally *tally, const struct tally *other) {
    tally->connections += other->connections;
    tally->problems += other->problems;
    tally->exposures += other->exposures;
    tally->unclear += other->unclear;
    tally->fine += other->fine;
    for (unsigned i = 0; i < CAUSE_COUNT; i++)
        tally->causes[i] += other->causes[i];
}

/* Writes all results to `file`; of many, the second half by a second thread, into a file of its own meanwhile. */
static int write_results(struct run *run, FILE *file, struct stretch stretches[2]) {
    size_t count = spill_count(run->spill);
    size_t half = count >= STRETCH_MIN ? count / 2 : count;
    pthread_t thread;
    bool threaded;

    stretches[0] = (struct stretch){.run = run, .from = 0, .to = half, .file = file};
    stretches[1] = (struct stretch){.run = run, .from = half, .to = count, .file = half < count ? temporary_stream() : NULL};
    if (half < count && stretches[1].file == NULL)
        return -errno;
    threaded = half < count && pthread_create(&thread, NULL, write_stretch, &stretches[1]) == 0;
    write_stretch(&stretches[0]);
    if (threaded)
        pthread_join(thread, NULL);
    else if (half < count)
        write_stretch(&stretches[1]);
    for (unsigned i = 0; i < 2; i++)
        tally_merge(&run->tally, &stretches[i].tally);
    if (stretches[0].error != 0 || half == count)
        return stretches[0].error;
    if (stretches[1].error == 0)
        stretches[1].error = append(stretches[1].file, file);
    fclose(stretches[1].file);
    return stretches[1].error;
}

static int write_all(struct run *run, FILE *file) {
    struct stretch *stretches = malloc(2 * sizeof *stretches); /* each has a large buffer */
    int error = stretches == NULL ? -ENOMEM : write_results(run, file, stretches);

    free(stretches);
    return error;
}

/* As text the first line sums up the whole: the results are kept in a file meanwhile. */
static int write_text(struct run *run, FILE *out) {
    FILE *aside = temporary_stream();
    int error;

    if (aside == NULL)
        return -errno;
    error = write_all(run, aside);
    if (error == 0 && (run->tally.connections > 0 || !run->unreadable)) {
        output_init(&run->output, out);
        report_summary(&run->output, &run->options->style, &run->tally, run->names[0]);
        error = output_finish(&run->output);
        if (error == 0)
            error = append(aside, out);
    }
    fclose(aside);
    return error;
}

static int write_report(struct run *run, FILE *out) {
    int error = run->options->json ? write_all(run, out) : write_text(run, out);

    if (error == 0 && fflush(out) != 0)
        error = -errno;
    return error;
}

static enum exit_status status_of(const struct run *run) {
    if (run->incomplete)
        return EXIT_INTERNAL;
    if (run->unreadable)
        return EXIT_INPUT;
    if (run->tally.problems > 0 || (run->options->fail_on_exposure && run->tally.exposures > 0))
        return EXIT_PROBLEM;
    return run->tally.unclear > 0 ? EXIT_CANNOT_TELL : EXIT_NO_PROBLEM;
}

static void run_all(struct run *run, FILE *out) {
    run->doing = "setting aside what was read";
    for (uint32_t file = 0; file < 2 && run->error == 0; file++)
        if (run->options->captures[file] != NULL)
            read_capture(run, file);
    if (run->error == 0)
        run->error = spill_sort(run->spill);
    if (run->error == 0)
        run->error = pairs_find(run->pairs, run->spill);
    if (run->error != 0)
        return;
    run->doing = "writing the report";
    run->error = write_report(run, out);
}

enum exit_status explain(const struct explain_options *options, FILE *out) {
    struct run *run = calloc(1, sizeof *run);
    enum exit_status status = EXIT_INTERNAL;

    if (run == NULL)
        return EXIT_INTERNAL;
    run->options = options;
    run->doing = "starting";
    for (unsigned file = 0; file < 2; file++)
        if (options->captures[file] != NULL)
            visible_text(options->captures[file], run->names[file], sizeof run->names[file]);
    run->spill = spill_new();
    run->book = company_new();
    run->pairs = pairs_new(options->captures[1] != NULL);
    if (run->spill == NULL || run->book == NULL || run->pairs == NULL)
        run->error = -ENOMEM;
    else
        run_all(run, out);
    if (run->error == 0)
        status = status_of(run);
    else
        complain(run, "%s: %s", run->doing, strerror(-run->error));
    pairs_free(run->pairs);
    company_free(run->book);
    spill_free(run->spill);
    free(run);
    return status;
}
