/* Words that text and JSON have in common. */
#include <stdio.h>
#include <time.h>

#include "explain/report.h"
#include "wire/names.h"

const char *signing_text(const struct inquiry *inquiry) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = &inquiry->evidence->negotiate;
    const struct traffic_evidence *traffic = &inquiry->evidence->traffic;
    bool required = ((negotiate->request.security_mode | negotiate->response.security_mode) & SMB2_SIGNING_REQUIRED) ||
                    (facts->session->security_mode & SMB2_SIGNING_REQUIRED);

    if (!facts->authenticated)
        return facts->dialect_known ? (required ? "required, no session" : "not required, no session") : "unknown";
    if (facts->guest || facts->anonymous)
        return facts->guest ? "impossible (guest)" : "impossible (anonymous)";
    if (facts->encrypted && traffic->requests_signed + traffic->requests_unsigned == 0)
        return "replaced by encryption";
    if (traffic->requests_signed > 0 && traffic->requests_unsigned == 0)
        return required ? "required, all requests signed" : "all requests signed";
    if (traffic->requests_unsigned > 0)
        return traffic->requests_signed > 0 ? "some requests signed" : required ? "required, yet requests unsigned"
                                                                               : "not required, requests unsigned";
    return required ? "required" : "not required";
}

const char *encryption_text(const struct inquiry *inquiry) {
    const struct facts *facts = inquiry->facts;
    const struct negotiate_evidence *negotiate = &inquiry->evidence->negotiate;

    if (facts->encrypted)
        return negotiate->dialect == SMB2_DIALECT_311 && negotiate->has_encryption_context
                   ? cipher_name(negotiate->cipher)
               : facts->below_311 ? "AES-128-CCM"
                                  : "encrypted";
    if (!facts->dialect_known)
        return "unknown";
    if (negotiate->dialect < SMB2_DIALECT_300)
        return "not available";
    return "not used";
}

const char *validation_word(const struct inquiry *inquiry) {
    const struct facts *facts = inquiry->facts;
    const struct evidence *evidence = inquiry->evidence;
    bool valid = false;

    for (uint32_t i = 0; i < evidence->validations_count; i++) {
        enum validation_result result = facts->validations[i].result;
        const struct validation_evidence *validation = &evidence->validations[i];

        if (validation->request_packet == 0)
            continue;
        if (result == VALIDATION_REFUSED && validation->status != STATUS_ACCESS_DENIED &&
            evidence->negotiate.dialect < SMB2_DIALECT_300) {
            valid = true; /* a genuine old server said so, 3.2.5.14.12 */
            continue;
        }
        if (result == VALIDATION_UNANSWERED && (facts->lossy || facts->cut_off))
            return "unknown";
        if (result != VALIDATION_VALID)
            return "failed";
        if (!facts->validations[i].request_comparable || !facts->validations[i].response_comparable)
            return "unknown"; /* answered well, but what it was to confirm is not in the capture */
        valid = true;
    }
    if (valid)
        return "valid";
    if (!facts->dialect_known)
        return "unknown";
    if (evidence->negotiate.dialect == SMB2_DIALECT_311)
        return "not-needed";
    if (facts->encrypted)
        return "hidden";
    if (evidence->validations_seen > 0 || facts->one_way || facts->lossy || facts->cut)
        return "unknown";
    return "not-sent";
}

const char *validation_result_word(enum validation_result result) {
    static const char *const words[] = {
        [VALIDATION_VALID] = "valid",           [VALIDATION_MISMATCH] = "mismatch",
        [VALIDATION_UNANSWERED] = "unanswered", [VALIDATION_UNSIGNED] = "unsigned",
        [VALIDATION_REFUSED] = "refused",       [VALIDATION_MALFORMED] = "malformed",
    };

    return words[result];
}

const char *severity_word(enum severity severity) {
    static const char *const words[] = {"problem", "exposure", "note"};

    return words[severity];
}

const char *confidence_word(enum confidence confidence) {
    static const char *const words[] = {"certain", "likely", "possible"};

    return words[confidence];
}

const char *outcome_word(enum outcome outcome) {
    static const char *const words[] = {"ok", "finding", "cannot-tell"};

    return words[outcome];
}

static char *two_digits(char *at, int value) {
    *at++ = (char)('0' + value / 10 % 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/* Not strftime: this runs once for each connection of captures that have millions. */
void time_text(uint64_t time_ns, char text[TIME_TEXT_MAX]) {
    time_t whole = (time_t)(time_ns / 1000000000u);
    uint32_t part = (uint32_t)(time_ns % 1000000000u / 1000u);
    struct tm tm;
    char *at = text;

    gmtime_r(&whole, &tm);
    at = two_digits(at, (tm.tm_year + 1900) / 100);
    at = two_digits(at, (tm.tm_year + 1900) % 100);
    *at++ = '-';
    at = two_digits(at, tm.tm_mon + 1);
    *at++ = '-';
    at = two_digits(at, tm.tm_mday);
    *at++ = 'T';
    at = two_digits(at, tm.tm_hour);
    *at++ = ':';
    at = two_digits(at, tm.tm_min);
    *at++ = ':';
    at = two_digits(at, tm.tm_sec);
    *at++ = '.';
    for (uint32_t digit = 100000; digit > 0; digit /= 10)
        *at++ = (char)('0' + part / digit % 10);
    *at++ = 'Z';
    *at = '\0';
}

void version_text(const struct inquiry *inquiry, char text[16]) {
    if (inquiry->facts->dialect_known)
        dialect_text(inquiry->evidence->negotiate.dialect, text);
    else
        text[0] = '\0';
}

/* Only Windows has these logs. NULL where neither end is one of its systems. */
static const char *events_to_fetch(const struct inquiry *inquiry) {
    bool client = inquiry->client_system == SYSTEM_UNKNOWN || (inquiry->client_system & SYSTEM_WINDOWS);
    bool server = inquiry->server_system == SYSTEM_UNKNOWN || (inquiry->server_system & SYSTEM_WINDOWS);

    if (client && server)
        return "Windows events to fetch: client 31012 (Microsoft-Windows-SmbClient/Security), server 1005 "
               "(Microsoft-Windows-SMBServer)";
    if (client)
        return "Windows event to fetch: client 31012 (Microsoft-Windows-SmbClient/Security)";
    return server ? "Windows event to fetch: server 1005 (Microsoft-Windows-SMBServer)" : NULL;
}

const char *next_step(const struct result *result, unsigned i) {
    static const char *const steps[] = {
        "Capture whole packets at both ends at the same time, from before the client connects, and run "
        "smbproof explain client.pcap server.pcap",
        "Linux: tcpdump -i any -s 0 -B 65536 -w end.pcap 'tcp port 445'",
        "Windows: pktmon start --capture --pkt-size 0 -f end.etl (then pktmon stop; pktmon etl2pcap end.etl), or "
        "netsh trace start capture=yes maxSize=512 tracefile=end.etl (then netsh trace stop; etl2pcapng end.etl "
        "end.pcapng)",
    };
    const unsigned count = sizeof steps / sizeof steps[0];
    bool unsure = result->outcome == OUTCOME_CANNOT_TELL;

    for (unsigned at = 0; at < result->findings_count; at++)
        unsure |= result->findings[at].severity == SEVERITY_PROBLEM && result->inquiry->comparison == NULL &&
                  result->findings[at].confidence != CONFIDENCE_CERTAIN;
    if (!unsure || i > count)
        return NULL;
    return i < count ? steps[i] : events_to_fetch(result->inquiry);
}

void tally_add(struct tally *tally, const struct result *result) {
    bool problem = false, exposure = false;

    tally->connections++;
    for (unsigned i = 0; i < result->findings_count; i++) {
        if (result->findings[i].severity == SEVERITY_PROBLEM && !problem)
            tally->causes[result->findings[i].cause]++;
        problem |= result->findings[i].severity == SEVERITY_PROBLEM;
        exposure |= result->findings[i].severity == SEVERITY_EXPOSURE;
    }
    tally->problems += problem;
    tally->exposures += exposure;
    tally->unclear += result->outcome == OUTCOME_CANNOT_TELL;
    tally->fine += result->outcome == OUTCOME_OK;
}
