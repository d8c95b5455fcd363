#include "explain/vantage.h"

#include <stdio.h>
#include <string.h>

/* One wait must be this many times the other before it says anything. */
#define WAIT_RATIO_MIN 1.6
/* And this much longer, in nanoseconds: less is a host's own time, not the way's. */
#define WAIT_DIFFERENCE_MIN 60000u

/* > 0: the capture is nearer to the client; < 0: nearer to the server. */
static double by_hops(const struct evidence *evidence, struct vantage *vantage) {
    uint8_t client = evidence->tcp[FROM_CLIENT].ttl, server = evidence->tcp[FROM_SERVER].ttl;
    unsigned client_hops = ttl_hops(client), server_hops = ttl_hops(server);

    if (client == 0 || server == 0 || (client_hops == 0) == (server_hops == 0))
        return 0;
    snprintf(vantage->because, sizeof vantage->because,
             "the %s's packets still have their initial TTL (%u), the %s's have come %u hops (%u)",
             client_hops == 0 ? "client" : "server", client_hops == 0 ? client : server,
             client_hops == 0 ? "server" : "client", client_hops == 0 ? server_hops : client_hops,
             client_hops == 0 ? server : client);
    return client_hops == 0 ? 3.0 : -3.0;
}

static double by_wait(uint64_t answer_of_server, uint64_t answer_of_client, double weight) {
    double ratio;

    if (answer_of_server == 0 || answer_of_client == 0)
        return 0;
    ratio = (double)answer_of_server / (double)answer_of_client;
    if (ratio < WAIT_RATIO_MIN && ratio > 1.0 / WAIT_RATIO_MIN)
        return 0;
    if (answer_of_server + WAIT_DIFFERENCE_MIN > answer_of_client &&
        answer_of_client + WAIT_DIFFERENCE_MIN > answer_of_server)
        return 0;
    return ratio > 1 ? weight : -weight;
}

static unsigned long long microseconds(uint64_t time_ns) {
    return (time_ns + 500) / 1000;
}

struct vantage vantage_from(const struct evidence *evidence) {
    struct vantage vantage = {.place = PLACE_UNKNOWN};
    double hops = by_hops(evidence, &vantage);
    double handshake = by_wait(evidence->syn_answer_ns, evidence->answer_ack_ns, 1.5);
    double waits = by_wait(evidence->request_wait_ns, evidence->answer_wait_ns, 1.0);
    double sum = hops != 0 ? hops : handshake + waits;
    unsigned client_hops = ttl_hops(evidence->tcp[FROM_CLIENT].ttl);
    unsigned server_hops = ttl_hops(evidence->tcp[FROM_SERVER].ttl);

    if (hops == 0 && client_hops > 0 && server_hops > 0 && evidence->tcp[0].ttl && evidence->tcp[1].ttl) {
        vantage.place = PLACE_MIDDLE;
        snprintf(vantage.because, sizeof vantage.because, "the packets of both ends have come over hops (%u and %u)",
                 client_hops, server_hops);
        return vantage;
    }
    if (hops == 0 && sum != 0)
        snprintf(vantage.because, sizeof vantage.because,
                 "the %s answers at once here (%llu us), the %s takes longer (%llu us)",
                 sum > 0 ? "client" : "server",
                 microseconds(sum > 0 ? evidence->answer_ack_ns : evidence->syn_answer_ns),
                 sum > 0 ? "server" : "client",
                 microseconds(sum > 0 ? evidence->syn_answer_ns : evidence->answer_ack_ns));
    if (sum >= 1.0)
        vantage.place = PLACE_CLIENT;
    else if (sum <= -1.0)
        vantage.place = PLACE_SERVER;
    else
        snprintf(vantage.because, sizeof vantage.because, "TTLs and response times do not tell");
    return vantage;
}

const char *place_text(enum place place) {
    static const char *const texts[] = {"unknown", "client", "server", "middle"};

    return texts[place];
}

/* [MS-NLMP] 2.2.2.10: major, minor, build. Windows tells its own; Samba says 6.1 build 0. */
static enum system system_of(const uint8_t version[8]) {
    unsigned build = version[2] | (unsigned)version[3] << 8;

    if (version[0] == 6 && version[1] == 1 && build == 0)
        return SYSTEM_SAMBA;
    if (version[0] == 10 && build >= 10240)
        return SYSTEM_WINDOWS_10;
    if (version[0] == 6 && build >= 6000)
        return version[1] >= 2 ? SYSTEM_WINDOWS_8 : SYSTEM_WINDOWS_OLD;
    return SYSTEM_UNKNOWN;
}

static enum system system_from(const struct evidence *evidence, bool client) {
    for (uint32_t i = 0; i < evidence->sessions_count; i++) {
        const struct ntlm_evidence *ntlm = &evidence->sessions[i].ntlm;

        if (client ? ntlm->has_client_version : ntlm->has_server_version)
            return system_of(client ? ntlm->client_version : ntlm->server_version);
    }
    return SYSTEM_UNKNOWN;
}

enum system client_system(const struct evidence *evidence) {
    return system_from(evidence, true);
}

enum system server_system(const struct evidence *evidence) {
    return system_from(evidence, false);
}
