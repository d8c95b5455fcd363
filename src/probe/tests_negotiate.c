/* Tests that need no logon: reachability, dialects, what is offered. */
#include <errno.h>
#include <string.h>

#include "probe/tests.h"
#include "wire/names.h"

#define SMB1_ID        0x424d53ffu
#define SMB1_NEGOTIATE 0x72u
/* As Windows sends them ([MS-CIFS] 2.2.3.1): Unicode, NT status codes, extended security. */
#define SMB1_FLAGS   0x18u
#define SMB1_FLAGS2  0xc853u
#define SMB1_NO_TREE 0xffffu

void test_reach(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();

    if (probe_open(probe, &all, result)) {
        result_say(result, PROBE_RIGHT, "connected to %s", probe->address);
        return;
    }
    result->cause = probe->facts->error == -ECONNREFUSED ? CAUSE_T02 : CAUSE_T01;
}

/* ---- SMB1 ---- */

static void put_dialect(struct writer *writer, const char *name) {
    writer_u8(writer, 2);
    writer_put(writer, (struct span){(const uint8_t *)name, strlen(name) + 1});
}

/* The answer to an SMB1 NEGOTIATE; false: there was no connection. */
static bool send_smb1(struct probe *probe, bool offers_smb2, struct line_reply *reply, struct probe_result *result) {
    uint8_t dialects[64], octets[128];
    struct writer dialect_writer = writer_over(dialects, sizeof dialects), writer = writer_over(octets, sizeof octets);
    struct smb1_negotiate_request request = {.header = {.protocol_id = SMB1_ID,
                                                        .command = SMB1_NEGOTIATE,
                                                        .flags = SMB1_FLAGS,
                                                        .flags2 = SMB1_FLAGS2,
                                                        .tid = SMB1_NO_TREE}};
    struct id_list all = list_all();

    put_dialect(&dialect_writer, "NT LM 0.12");
    if (offers_smb2) {
        put_dialect(&dialect_writer, "SMB 2.002");
        put_dialect(&dialect_writer, "SMB 2.???");
    }
    request.dialects = writer_done(&dialect_writer);
    request.byte_count = (uint16_t)request.dialects.size;
    smb1_negotiate_request_encode(&request, &writer);
    if (!probe_open(probe, &all, result))
        return false;
    *reply = line_send_raw(probe->line, writer_done(&writer));
    return true;
}

static bool is_smb1(const struct line_reply *reply) {
    return reply->answer == LINE_ANSWERED &&
           (reply->message.kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE || reply->message.kind == MESSAGE_SMB1_OTHER);
}

void test_smb1_alone(struct probe *probe, struct probe_result *result) {
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!send_smb1(probe, false, &reply, result))
        return;
    if (is_smb1(&reply) && reply.message.kind == MESSAGE_SMB1_NEGOTIATE_RESPONSE &&
        reply.message.body.smb1_negotiate_response.dialect_index == 0)
        result_blame(probe, result, "SMB 1 was chosen: an attacker may lead clients there that still have it");
    else if (is_smb1(&reply))
        result_say(result, PROBE_RIGHT, "answered that no dialect fits");
    else if (reply_has(&reply, STATUS_SUCCESS))
        result_say(result, PROBE_RIGHT, "answered in SMB2, which was not offered");
    else
        result_say(result, PROBE_RIGHT, "%s", reply_text(&reply, text));
}

void test_multi_protocol(struct probe *probe, struct probe_result *result) {
    struct line_reply reply;
    char text[PROBE_TEXT_MAX], dialect[16];

    if (!send_smb1(probe, true, &reply, result))
        return;
    if (is_smb1(&reply))
        result_blame(probe, result, "SMB 1 was chosen although SMB 2 was offered");
    else if (reply.answer == LINE_ANSWERED && reply.message.kind == MESSAGE_NEGOTIATE_RESPONSE)
        result_say(result, PROBE_RIGHT, "answered in SMB2: dialect %s",
                   dialect_text(reply.message.body.negotiate_response.dialect_revision, dialect));
    else
        result_say(result, PROBE_RIGHT, "%s", reply_text(&reply, text));
}

/* ---- dialects ---- */

/* What the server says of itself. False: it is another one than before, behind the same name. */
static bool note_server(struct probe *probe, const struct line_reply *reply) {
    const struct negotiate_response *response = &reply->message.body.negotiate_response;
    struct probe_facts *facts = probe->facts;
    bool same =
        !facts->server_known || memcmp(facts->server_guid, response->server_guid, sizeof facts->server_guid) == 0;

    facts->server_known = true;
    memcpy(facts->server_guid, response->server_guid, sizeof facts->server_guid);
    facts->security_mode = response->security_mode;
    facts->system_time = response->system_time;
    return same;
}

/* The server, or somebody on the way, has chosen what was not offered. */
static void note_unoffered(struct probe *probe, uint16_t chosen, struct probe_result *result) {
    struct probe_facts *facts = probe->facts;
    char name[16];

    if (facts->unoffered_count++ == 0)
        facts->unoffered = chosen;
    facts->unoffered_differ |= chosen != facts->unoffered;
    result->suspicion = SUSPICION_DIALECT;
    result->cause = CAUSE_M02;
    result_say(result, PROBE_UNCLEAR, "%s is chosen, which was not offered", dialect_text(chosen, name));
}

static void test_dialect(struct probe *probe, uint16_t dialect, struct probe_result *result) {
    struct id_list list = list_one(dialect);
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_open(probe, &list, result))
        return;
    if (line_agree(probe->line, &reply)) {
        probe->facts->spoken.ids[probe->facts->spoken.count++] = dialect;
        result_say(result, PROBE_RIGHT, "spoken");
        if (!note_server(probe, &reply)) {
            result->cause = CAUSE_M08;
            result_say(result, PROBE_UNCLEAR, "spoken, by another server than before: the ServerGuid differs");
        }
    } else if (reply_has(&reply, STATUS_SUCCESS) && reply.message.kind == MESSAGE_NEGOTIATE_RESPONSE &&
               reply.message.body.negotiate_response.dialect_revision != dialect) {
        note_unoffered(probe, reply.message.body.negotiate_response.dialect_revision, result);
    } else if (reply_has(&reply, STATUS_SUCCESS)) {
        result_blame(probe, result, "the response is malformed");
    } else if (reply.answer == LINE_SILENT) {
        result->cause = CAUSE_M09;
        result_say(result, PROBE_UNCLEAR, "no answer");
    } else {
        result_say(result, PROBE_RIGHT, "not spoken: %s", reply_text(&reply, text));
    }
}

void test_dialect_202(struct probe *probe, struct probe_result *result) {
    test_dialect(probe, SMB2_DIALECT_202, result);
}

void test_dialect_210(struct probe *probe, struct probe_result *result) {
    test_dialect(probe, SMB2_DIALECT_210, result);
}

void test_dialect_300(struct probe *probe, struct probe_result *result) {
    test_dialect(probe, SMB2_DIALECT_300, result);
}

void test_dialect_302(struct probe *probe, struct probe_result *result) {
    test_dialect(probe, SMB2_DIALECT_302, result);
}

void test_dialect_311(struct probe *probe, struct probe_result *result) {
    if (probe->options->target.transport == TRANSPORT_NETBIOS)
        result_say(result, PROBE_SKIPPED, "3.1.1 is not spoken over NetBIOS");
    else
        test_dialect(probe, SMB2_DIALECT_311, result);
}

/* The server's greatest common dialect is the greatest one that it speaks; less than that means that it did not see the
 * list as it was sent, or does not choose as it must. */
void test_dialect_all(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();
    uint16_t greatest = id_list_greatest(&probe->facts->spoken), chosen;
    char name[16], other[16];

    if (!probe_agree(probe, &all, result)) {
        if (greatest == 0)
            result->cause = CAUSE_D01;
        return;
    }
    chosen = probe->line->negotiation.agreed.dialect;
    probe->facts->chosen = chosen;
    if (chosen == greatest) {
        result_say(result, PROBE_RIGHT, "%s", dialect_text(chosen, name));
        return;
    }
    result->suspicion = SUSPICION_REQUEST_REFUSED;
    result->cause = CAUSE_M01;
    result->also = chosen < greatest ? CAUSE_M10 : CAUSE_NONE;
    snprintf(result->field, sizeof result->field, "NEGOTIATE request Dialects");
    result_say(result, PROBE_UNCLEAR, "%s, although %s is spoken when it is offered alone", dialect_text(chosen, name),
               dialect_text(greatest, other));
}

/* ---- what is offered ---- */

void test_signing_offered(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();
    const struct negotiation *record = &probe->line->negotiation;

    if (!probe_agree(probe, &all, result))
        return;
    if ((record->answered.security_mode & SMB2_SIGNING_REQUIRED) != 0)
        result_say(result, PROBE_RIGHT, "required; %s", signing_name(record->agreed.signing_algorithm));
    else
        result_blame(probe, result, "possible, not required; %s", signing_name(record->agreed.signing_algorithm));
}

void test_encryption_offered(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();
    const struct negotiation *record = &probe->line->negotiation;

    if (!probe_agree(probe, &all, result))
        return;
    if (record->agreed.cipher != CIPHER_NONE)
        result_say(result, PROBE_RIGHT, "possible: %s", cipher_name(record->agreed.cipher));
    else
        result_say(result, PROBE_RIGHT, "not possible");
}

void test_second_negotiate(struct probe *probe, struct probe_result *result) {
    struct id_list all = list_all();
    struct client_offer offer;
    struct line_reply reply;
    char text[PROBE_TEXT_MAX];

    if (!probe_agree(probe, &all, result))
        return;
    line_offer(probe->line, &offer);
    reply = line_negotiate(probe->line, &offer);
    if (reply_is_close(&reply))
        result_say(result, PROBE_RIGHT, "%s", reply_text(&reply, text));
    else
        result_blame(probe, result, "%s", reply_text(&reply, text));
}
