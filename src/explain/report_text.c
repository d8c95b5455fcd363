/* Text for people: 80 columns, the verdict first, colour only where it was asked for. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "explain/report.h"
#include "explain/vantage.h"
#include "wire/names.h"

#define LADDER_LINES_MAX 28u
#define LADDER_HEAD_LINES 12u
#define LADDER_TAIL_LINES 6u
#define NUMBER_COLUMNS 7u
#define LABEL_MAX 128u /* octets */

static const char *paint(const struct text_style *style, const char *code) {
    return style->colour ? code : "";
}

#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define GREEN "\033[1;32m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

/* Columns of a UTF-8 text; everything printed here is one column wide. */
static size_t columns_of(const char *text, size_t size) {
    size_t columns = 0;

    for (size_t i = 0; i < size; i++)
        columns += ((unsigned char)text[i] & 0xc0) != 0x80;
    return columns;
}

/* Octets of the first `columns` columns. */
static size_t octets_of(const char *text, size_t size, size_t columns) {
    size_t octets = 0;

    while (octets < size && columns_of(text, octets + 1) <= columns)
        octets++;
    return octets;
}

/* Blanks up to the column where a text begins. */
static void indent_by(struct output *output, unsigned columns) {
    static const char blanks[] = "                                ";

    assert(columns < sizeof blanks);
    output_octets(output, blanks, columns);
}

static size_t next_line(struct output *output, unsigned hang) {
    output_octets(output, "\n", 1);
    indent_by(output, hang);
    return hang;
}

/* A word, broken where it is longer than a line. Returns the column behind it. */
static size_t wrap_word(struct output *output, const struct text_style *style, size_t column, unsigned hang,
                        const char *word, size_t size, size_t columns) {
    while (column + columns > style->width && column < style->width) {
        size_t part = octets_of(word, size, style->width - column);

        output_octets(output, word, part);
        columns -= style->width - column;
        column = next_line(output, hang);
        word += part;
        size -= part;
    }
    output_octets(output, word, size);
    return column + columns;
}

/* The octets of the word that begins here, and its columns. */
static size_t measure_word(const char *text, size_t *columns) {
    size_t size = 0;

    *columns = 0;
    for (; text[size] != ' ' && text[size] != '\0'; size++)
        *columns += ((unsigned char)text[size] & 0xc0) != 0x80;
    return size;
}

/* Breaks at blanks; what follows the first line is indented. The first begins where the cursor is, in `column`. */
static void wrap_from(struct output *output, const struct text_style *style, size_t column, unsigned hang,
                      const char *text) {
    bool first = true;

    while (*text != '\0') {
        size_t columns, size = measure_word(text, &columns);

        if (!first && column + 1 + columns > style->width) {
            column = next_line(output, hang);
            first = true;
        }
        if (!first) {
            output_octets(output, " ", 1);
            column++;
        }
        column = wrap_word(output, style, column, hang, text, size, columns);
        first = false;
        text += size;
        while (*text == ' ')
            text++;
    }
    output_octets(output, "\n", 1);
}

static void wrap(struct output *output, const struct text_style *style, unsigned indent, unsigned hang,
                 const char *text) {
    indent_by(output, indent);
    wrap_from(output, style, indent, hang, text);
}

static void wrap_format(struct output *output, const struct text_style *style, unsigned indent, unsigned hang,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

static void wrap_format(struct output *output, const struct text_style *style, unsigned indent, unsigned hang,
                        const char *format, ...) {
    char text[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    wrap(output, style, indent, hang, text);
}

/* A line as it is, wrapped only where it is too long. */
static void line(struct output *output, const struct text_style *style, unsigned hang, const char *text) {
    if (columns_of(text, strlen(text)) > style->width) {
        wrap(output, style, 0, hang, text);
        return;
    }
    output_text(output, text);
    output_octets(output, "\n", 1);
}

static enum cause commonest(const struct tally *tally) {
    enum cause most = CAUSE_NONE;

    for (unsigned i = 1; i < CAUSE_COUNT; i++)
        if (tally->causes[i] > tally->causes[most])
            most = (enum cause)i;
    return most;
}

void report_summary(struct output *output, const struct text_style *style, const struct tally *tally,
                    const char *capture) {
    enum cause most = commonest(tally);
    const char *s = tally->connections == 1 ? "" : "s";

    if (tally->connections == 0) {
        wrap_format(output, style, 0, 2, "NOTHING TO JUDGE: no SMB connection in %s.", capture);
        return;
    }
    if (tally->problems > 0) {
        output_text(output, paint(style, RED));
        wrap_format(output, style, 0, 2, "PROBLEM: %llu of %llu SMB connection%s failed or %s altered; %s: %s (%s).",
                    (unsigned long long)tally->problems, (unsigned long long)tally->connections, s,
                    tally->problems == 1 ? "was" : "were", tally->problems == 1 ? "cause" : "most often",
                    cause_title(most), cause_id(most));
    } else if (tally->unclear > 0) {
        output_text(output, paint(style, YELLOW));
        wrap_format(output, style, 0, 2,
                    "CANNOT TELL: of %llu SMB connection%s, %llu cannot be judged from this capture; no problem was found "
                    "in the others.",
                    (unsigned long long)tally->connections, s, (unsigned long long)tally->unclear);
    } else if (tally->exposures > 0) {
        output_text(output, paint(style, YELLOW));
        wrap_format(output, style, 0, 2, "WORKED, BUT UNPROTECTED: %llu of %llu SMB connection%s.",
                    (unsigned long long)tally->exposures, (unsigned long long)tally->connections, s);
    } else {
        output_text(output, paint(style, GREEN));
        wrap_format(output, style, 0, 2, "OK: nothing wrong with the negotiation of %s%llu SMB connection%s.",
                    tally->connections == 1 ? "the " : "all ", (unsigned long long)tally->connections, s);
    }
    output_text(output, paint(style, PLAIN));
}

#define LABEL_COLUMNS 12u

/* "  label       text", the text wrapped under itself. */
static void fact(struct output *output, const struct text_style *style, const char *label, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void fact(struct output *output, const struct text_style *style, const char *label, const char *format, ...) {
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    output_format(output, "  %-*s", (int)LABEL_COLUMNS, label);
    wrap_from(output, style, 2 + LABEL_COLUMNS, 2 + LABEL_COLUMNS, text);
}

static void heading(struct output *output, const struct text_style *style, const struct result *result) {
    const struct evidence *evidence = result->inquiry->evidence;
    char client[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX], text[2 * ENDPOINT_TEXT_MAX + 64];

    endpoint_text(&evidence->client, client);
    endpoint_text(&evidence->server, server);
    snprintf(text, sizeof text, "%s > %s  packets %llu-%llu", client, server, (unsigned long long)evidence->first_packet,
             (unsigned long long)evidence->last_packet);
    output_text(output, paint(style, BOLD));
    line(output, style, 2, text);
    output_text(output, paint(style, PLAIN));
    if (result->far_capture != NULL && result->far_capture != result->capture)
        fact(output, style, "captures", "%s (client), %s (server)", result->capture, result->far_capture);
}

static void one_line(struct output *output, const struct text_style *style, const struct result *result) {
    const struct inquiry *inquiry = result->inquiry;
    char client[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX], version[16];
    char text[2 * ENDPOINT_TEXT_MAX + 128 + 8 * FINDINGS_MAX];
    size_t used;

    endpoint_text(&inquiry->evidence->client, client);
    endpoint_text(&inquiry->evidence->server, server);
    version_text(inquiry, version);
    used = (size_t)snprintf(text, sizeof text, "ok  %s > %s  %s%s, validation %s", client, server,
                            version[0] ? "SMB " : "no dialect", version, validation_word(inquiry));
    for (unsigned i = 0; i < result->findings_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "  (" : ", ",
                                 cause_id(result->findings[i].cause));
    snprintf(text + used, sizeof text - used, "%s", result->findings_count > 0 ? ")" : "");
    line(output, style, 4, text);
}

static void facts_lines(struct output *output, const struct text_style *style, const struct result *result) {
    const struct inquiry *inquiry = result->inquiry;
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = &inquiry->evidence->negotiate;
    char offered[256] = "", version[16], text[16];
    size_t used = 0;

    for (unsigned i = 0; i < negotiate->dialect_count && used + 10 < sizeof offered; i++)
        used += (size_t)snprintf(offered + used, sizeof offered - used, "%s%s", i ? " " : "",
                                 dialect_text(negotiate->dialects[i], text));
    version_text(inquiry, version);
    fact(output, style, "dialect", "%s (offered: %s)", version[0] ? version : "none agreed",
                offered[0] ? offered : negotiate->smb1_request_packet ? "SMB 1 list" : "not seen");
    fact(output, style, "signing", "%s; encryption %s", signing_text(inquiry), encryption_text(inquiry));
    fact(output, style, "validation", "%s", validation_word(inquiry));
    if (facts->closing != NULL)
        fact(output, style, "ended", "by %s: %s in packet %llu, %s", closer_text(facts),
                    ending_text(facts), (unsigned long long)facts->closing->packet, stage_text(facts->stage));
    else
        fact(output, style, "ended", "not in this capture (%s)", stage_text(facts->stage));
    if (inquiry->far == NULL)
        fact(output, style, "taken at", "%s%s%s%s", place_text(inquiry->vantage.place),
                    inquiry->vantage.given ? " (as you said)" : inquiry->vantage.because[0] ? " (" : "",
                    inquiry->vantage.given ? "" : inquiry->vantage.because,
                    !inquiry->vantage.given && inquiry->vantage.because[0] ? ")" : "");
}

static void value_text(char *to, size_t size, const char *value) {
    size_t used = 0;

    if (value[0] == '\0') {
        snprintf(to, size, "-");
        return;
    }
    for (const char *c = value; *c != '\0' && used + 1 < size; c++)
        if (*c != '"' && *c != '[' && *c != ']') {
            to[used++] = *c;
            if (*c == ',' && used + 1 < size)
                to[used++] = ' ';
        }
    to[used] = '\0';
}

static void value_line(struct output *output, const struct text_style *style, const char *who, const char *value) {
    char text[VALUE_TEXT_MAX + 128];

    value_text(text, sizeof text, value);
    output_format(output, "      %-9s", who);
    wrap_from(output, style, 15, 15, text);
}

static void field_lines(struct output *output, const struct text_style *style, const struct finding *finding) {
    for (unsigned i = 0; i < finding->fields_count; i++) {
        const struct field_values *field = &finding->fields[i];

        wrap_format(output, style, 4, 6, "%s, %s:", field->message, field->field);
        value_line(output, style, "sent", field->sent);
        value_line(output, style, "arrived", field->arrived);
        if (field->claimed[0] != '\0')
            value_line(output, style, "claimed", field->claimed);
    }
}

static void finding_lines(struct output *output, const struct text_style *style, const struct finding *finding,
                          const struct inquiry *inquiry) {
    static const char *const marks[] = {"PROBLEM", "EXPOSURE", "note"};
    static const char *const colours[] = {RED, YELLOW, ""};
    unsigned number = 0;

    output_format(output, "  %s%s %s %s%s\n", paint(style, colours[finding->severity]), marks[finding->severity],
                  cause_id(finding->cause), confidence_word(finding->confidence), paint(style, PLAIN));
    wrap_format(output, style, 4, 4, "%s.", cause_title(finding->cause));
    wrap(output, style, 4, 4, finding->summary);
    field_lines(output, style, finding);
    if (finding->packets_count > 0) {
        char list[256] = "";
        size_t used = 0;

        for (unsigned i = 0; i < finding->packets_count && used + 22 < sizeof list; i++)
            used += (size_t)snprintf(list + used, sizeof list - used, " %llu", (unsigned long long)finding->packets[i]);
        wrap_format(output, style, 4, 12, "packets%s", list);
    }
    for (unsigned i = 0; i < finding->ruled_out_count; i++)
        wrap_format(output, style, 4, 6, "%s %s: %s.", i == 0 ? "not" : "nor", cause_id(finding->ruled_out[i].cause),
                    finding->ruled_out[i].because);
    for (unsigned i = 0; i < finding->remedies_count; i++)
        if (remedy_applies(finding->remedies[i], inquiry->client_system, inquiry->server_system))
            wrap_format(output, style, 4, 7, "%u. %s", ++number, remedy_text(finding->remedies[i]));
}

/* What a line of the ladder says behind its arrow; what has no room is left away. */
struct label {
    char text[LABEL_MAX];
    size_t size;
};

static void label_add(struct label *label, const char *text) {
    while (*text != '\0' && label->size < sizeof label->text)
        label->text[label->size++] = *text++;
}

static const char *rung_name(const struct log_entry *entry) {
    if (entry->validate)
        return "VALIDATE_NEGOTIATE_INFO";
    switch (entry->kind) {
    case MESSAGE_TRANSFORM:
        return "encrypted";
    case MESSAGE_COMPRESSED:
        return "compressed";
    case MESSAGE_SMB1_NEGOTIATE_REQUEST:
    case MESSAGE_SMB1_NEGOTIATE_RESPONSE:
        return "SMB1 NEGOTIATE";
    case MESSAGE_SMB1_OTHER:
        return "SMB1";
    default:
        return command_name(entry->command);
    }
}

static void label_add_status(struct label *label, uint32_t status) {
    const char *name = ntstatus_name(status);
    char number[16];

    if (name == NULL) {
        snprintf(number, sizeof number, "0x%08x", status);
        name = number;
    }
    label_add(label, " ");
    label_add(label, strncmp(name, "STATUS_", 7) == 0 ? name + 7 : name);
}

static struct label label_of(const struct log_entry *entry) {
    struct label label;

    label.size = 0;
    label_add(&label, rung_name(entry));
    if (entry->status != 0)
        label_add_status(&label, entry->status);
    if (entry->is_signed)
        label_add(&label, " [signed]");
    if (entry->cut)
        label_add(&label, " [cut]");
    return label;
}

/* A line of the ladder: the arrow says who sent it, in words too short to be misread without colour. */
static void rung(struct output *output, const struct text_style *style, uint64_t packet, enum direction from,
                 const struct label *label) {
    size_t room = style->width - NUMBER_COLUMNS - 18;

    output_text(output, "  ");
    output_number(output, packet, NUMBER_COLUMNS);
    output_text(output, from == FROM_CLIENT ? "  client ->        " : "         <- server ");
    output_octets(output, label->text, label->size < room ? label->size : room);
    output_text(output, "\n");
}

static void message_rung(struct output *output, const struct text_style *style, const struct log_entry *entry) {
    struct label label = label_of(entry);

    rung(output, style, entry->packet, (enum direction)entry->from, &label);
}

static void closing_rungs(struct output *output, const struct text_style *style, const struct facts *facts) {
    struct label label = {.size = 0};

    if (facts->closing == NULL)
        return;
    label_add(&label, ending_text(facts));
    if (facts->closer == CLOSER_INJECTED)
        label_add(&label, " (not sent by that end)");
    rung(output, style, facts->closing->packet, facts->closing_from, &label);
}

static void left_out(struct output *output, uint64_t messages) {
    if (messages > 0)
        output_format(output, "  %*s  %llu message%s left out\n", (int)NUMBER_COLUMNS, "...",
                      (unsigned long long)messages, messages == 1 ? "" : "s");
}

/* The last messages of a connection that had more of them than were kept from its start. */
static void ladder_tail(struct output *output, const struct text_style *style, const struct evidence *evidence) {
    uint64_t kept = evidence->log_tail_count < LADDER_TAIL_LINES ? evidence->log_tail_count : LADDER_TAIL_LINES;

    left_out(output, evidence->log_seen - evidence->log_count - kept);
    for (uint64_t i = evidence->log_seen - kept; i < evidence->log_seen; i++) {
        const struct log_entry *entry = &evidence->log_tail[(i - EVIDENCE_LOG_HEAD_MAX) % EVIDENCE_LOG_TAIL_MAX];

        message_rung(output, style, entry);
    }
}

static void ladder(struct output *output, const struct text_style *style, const struct facts *facts) {
    const struct evidence *evidence = facts->evidence;
    unsigned count = evidence->log_count;
    unsigned skip_from = count, skip_to = count;

    if (count == 0 && facts->closing == NULL)
        return;
    if (count > LADDER_LINES_MAX) {
        skip_from = LADDER_HEAD_LINES;
        skip_to = count - (LADDER_LINES_MAX - LADDER_HEAD_LINES);
    }
    for (unsigned i = 0; i < count; i++) {
        if (i == skip_from && skip_from < skip_to) {
            left_out(output, skip_to - skip_from);
            i = skip_to;
        }
        message_rung(output, style, &evidence->log[i]);
    }
    ladder_tail(output, style, evidence);
    closing_rungs(output, style, facts);
}

void report_text(struct output *output, const struct text_style *style, const struct result *result) {
    const struct inquiry *inquiry = result->inquiry;
    bool notes_only = result->outcome == OUTCOME_OK;

    if (notes_only && !style->verbose) {
        one_line(output, style, result);
        return;
    }
    output_octets(output, "\n", 1);
    heading(output, style, result);
    facts_lines(output, style, result);
    for (unsigned i = 0; i < result->findings_count; i++)
        finding_lines(output, style, &result->findings[i], inquiry);
    if (inquiry->company->path_total > 1 && inquiry->company->path_failed > 0)
        wrap_format(output, style, 2, 4, "%u of %u connections between these two addresses have a problem; of this server "
                                         "with anybody, %u of %u.",
                    inquiry->company->path_failed, inquiry->company->path_total, inquiry->company->server_failed,
                    inquiry->company->server_total);
    if (inquiry->company->client_retries > 1)
        wrap_format(output, style, 2, 4, "The same client (ClientGuid) tried %u times.", inquiry->company->client_retries);
    ladder(output, style, inquiry->facts);
    if (inquiry->far_facts != NULL) {
        wrap_format(output, style, 2, 4, "the same at the server%s%s:", result->far_capture != result->capture ? ", " : "",
                    result->far_capture != result->capture ? result->far_capture : "");
        ladder(output, style, inquiry->far_facts);
    }
    for (unsigned i = 0; next_step(result, i) != NULL; i++)
        wrap_format(output, style, 2, 4, "%s%s", i == 0 ? "To settle it: " : "- ", next_step(result, i));
}
