/* core/server against any octets: from somebody who has not logged on, and from somebody who has, and knows the keys.
 *
 * The input is a script. The first octet says how it begins: bits 0 to 2 the dialect; bit 3 the client has negotiated;
 * bit 4 it has logged on, too, and has a tree; bit 5 the server requires signing; bit 6 it requires encryption. Else
 * every logon fails. Then steps: a control octet, a length of 16 bits (little-endian) and as many octets, fewer at the
 * end. The octets are a frame's content. Bit 0 of the control octet: as they are. Else they are the body of a message
 * whose header is made right, with the command of bits 3 to 7; bit 1 signs it, bit 2 encrypts it. A step without octets
 * answers what is in flight, or with bit 1 sends an interim response. */
#include <stdlib.h>
#include <string.h>

#include "../sim/talk.h"

#define INPUT_SIZE_MAX (128u * 1024u) /* octets; longer inputs show nothing new */

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

struct run {
    struct talk talk;
    bool logged_on;
};

/* What the server sends is well-formed, and what it says that it signed is signed. */
static void check_content(const struct run *run, struct span content) {
    struct chain_cursor cursor = chain_cursor(content, content.size);
    struct message message;
    while (chain_next(&cursor, &message)) {
        CHECK(message_is_smb2(&message) && message_is_response(&message));
        bool is_signed = message.header.flags & SMB2_FLAGS_SIGNED;
        CHECK(!is_signed || (run->logged_on && element_check(run->talk.mac, message.bytes) == SIGNATURE_GOOD));
        /* IOCTL is answered by the shell, here with something that is none. */
        CHECK(message.header.status != STATUS_SUCCESS || message.header.command == SMB2_IOCTL || message.body_valid);
    }
    CHECK(!cursor.malformed && !cursor.misaligned);
}

static void take(void *arguments, struct span frame) {
    const struct run *run = arguments;
    struct frame header;
    CHECK(frame_decode(frame, &header) && header.type == FRAME_MESSAGE);
    CHECK(header.length == frame.size - FRAME_HEADER_SIZE);
    struct span content = span_slice(frame, FRAME_HEADER_SIZE, frame.size);
    if (content.data[0] != 0xfd) {
        check_content(run, content);
        return;
    }
    uint8_t *plain = malloc(content.size);
    CHECK(plain != NULL && run->talk.open != NULL);
    CHECK(transform_open(run->talk.open, run->talk.session_id, content, plain) == TRANSFORM_GOOD);
    check_content(run, (struct span){plain, content.size - TRANSFORM_HEADER_SIZE});
    free(plain);
}

/* What reaches the shell came from somebody who is logged on, and as well protected as it has to be. */
static void served(void *arguments, const struct server_request *request) {
    const struct run *run = arguments;
    CHECK(run->logged_on && request->session != NULL && request->tree != NULL);
    CHECK(request->session->state == SERVER_SESSION_VALID || request->session->state == SERVER_SESSION_EXPIRED);
    CHECK(!request->session->signing_required || request->protection == PROTECTION_SIGNED ||
          request->protection == PROTECTION_ENCRYPTED);
    CHECK((!request->session->encrypt && !request->tree->encrypt) || request->protection == PROTECTION_ENCRYPTED);
}

static void begin(struct run *run, uint8_t how) {
    static const uint16_t dialects[8] = {0x0311, 0x0302, 0x0300, 0x0210, 0x0202, 0x0311, 0x0302, 0x0210};
    struct talk *talk = &run->talk;
    talk_init(talk, dialects[how & 7]);
    bool encrypts = (how & 0x40) && dialect_is_3x(talk->dialect);
    talk->host.output_size = SERVER_OUTPUT_LEAST;
    talk->host.policy.signing_required = how & 0x20;
    talk->host.policy.encryption = encrypts ? ENCRYPTION_MUST : ENCRYPTION_OFFERED;
    if (how & 0x18)
        talk_negotiate(talk);
    if (how & 0x10) {
        talk_logon(talk);
        talk_tree(talk, "docs", !encrypts, encrypts);
        run->logged_on = true;
    }
    talk->host.checks_ahead = how & 0x80;
    server_expect(&talk->host.server, how & 0x80); /* signed answers wait for each other */
    talk->host.holds = true;
    talk->host.logon = run->logged_on ? HOST_LOGON_USER : HOST_LOGON_REFUSED;
    talk->host.send = take;
    talk->host.served = served;
    talk->host.arguments = run;
}

/* At most so many are in flight that there is a place for the next. */
static void answer_all(struct host *host) {
    while (host->held_count > 0 && !host->server.closed) {
        struct server_frame *frame = host->held[--host->held_count];
        host_answer(host, frame, frame->request.cancelled ? (uint32_t)STATUS_CANCELLED : STATUS_SUCCESS);
        host_run(host);
    }
}

static void pend_last(struct run *run) {
    static uint8_t room[HOST_OUTPUT_MAX];
    struct host *host = &run->talk.host;
    if (host->held_count == 0)
        return;
    struct span octets = server_pend(&host->server, host->held[host->held_count - 1], room, sizeof room);
    if (octets.size > 0)
        take(run, octets);
}

static void step(struct run *run, uint8_t control, struct span octets) {
    struct talk *talk = &run->talk;
    if (octets.size == 0 && (control & 2)) {
        pend_last(run);
    } else if (octets.size == 0 || talk->host.held_count >= HOST_FRAMES - 4) {
        answer_all(&talk->host);
    } else if (control & 1) {
        talk_give(talk, octets.data, octets.size);
    } else {
        bool seal = (control & 4) && talk->seal != NULL;
        talk_add(talk, control >> 3, octets.data, octets.size,
                 (control & 2) && talk->mac != NULL && (control >> 3) != 0);
        talk_send(talk, seal);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run run;
    struct reader reader = reader_over((struct span){data, size});
    if (size > INPUT_SIZE_MAX || size == 0)
        return 0;
    run.logged_on = false;
    begin(&run, reader_u8(&reader));
    while (reader_left(&reader) >= 3 && !run.talk.host.server.closed) {
        uint8_t control = reader_u8(&reader);
        size_t length = reader_u16(&reader);
        if (length > reader_left(&reader))
            length = reader_left(&reader);
        step(&run, control, reader_take(&reader, length));
    }
    answer_all(&run.talk.host);
    server_expect(&run.talk.host.server, false);
    host_run(&run.talk.host);
    CHECK(run.logged_on || (run.talk.host.requests == 0 && run.talk.host.server.trees[0].id == 0));
    talk_free(&run.talk);
    return 0;
}
