/* What a client asks for after a misdeed, and what that says of it. */
#include <string.h>

#include "conform/client.h"
#include "wire/names.h"

void client_watch_begin(struct client_watch *watch, const struct misdeed *misdeed) {
    *watch = (struct client_watch){.misdeed = misdeed, .validation = UINT64_MAX, .broken = RULE_NONE};
}

/* ---- requests ---- */

static bool is_validation(const struct message *message) {
    return message->kind == MESSAGE_IOCTL_REQUEST &&
           message->body.ioctl_request.ctl_code == FSCTL_VALIDATE_NEGOTIATE_INFO;
}

/* NONE: it only tidies up, or keeps the connection alive. */
static enum reach reach_of(const struct message *message) {
    if (message->kind == MESSAGE_SMB1_NEGOTIATE_REQUEST)
        return REACH_NEGOTIATE;
    switch (message->header.command) {
    case SMB2_NEGOTIATE:
        return REACH_NEGOTIATE;
    case SMB2_SESSION_SETUP:
        return REACH_SESSION_SETUP;
    case SMB2_TREE_CONNECT:
        return REACH_TREE_CONNECT;
    case SMB2_LOGOFF:
    case SMB2_TREE_DISCONNECT:
    case SMB2_CLOSE:
    case SMB2_CANCEL:
    case SMB2_ECHO:
    case SMB2_OPLOCK_BREAK:
        return REACH_NONE;
    default:
        return is_validation(message) ? REACH_VALIDATE : REACH_OPERATION;
    }
}

static void note_dialect(struct conform_client *client, uint16_t dialect) {
    static const uint16_t known[] = {SMB2_DIALECT_202, SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302,
                                     SMB2_DIALECT_311};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i] == dialect && !id_list_has(&client->dialects, dialect))
            client->dialects.ids[client->dialects.count++] = dialect;
}

static void take_offer(struct client_watch *watch, const struct message *message, struct conform_client *client) {
    const struct negotiate_request *offer = &message->body.negotiate_request;
    struct reader reader = reader_over(offer->dialects);

    if (message->kind != MESSAGE_NEGOTIATE_REQUEST || !message->body_valid)
        return;
    watch->negotiated = client->seen = true;
    client->security_mode = offer->security_mode;
    client->capabilities = offer->capabilities;
    while (reader_left(&reader) >= 2) {
        uint16_t dialect = reader_u16(&reader);

        watch->offers_3x |= dialect_is_3x(dialect);
        note_dialect(client, dialect);
    }
}

static bool is_too_much(const struct client_watch *watch, enum reach reach) {
    if (!watch->altered || reach == REACH_NONE)
        return false;
    return watch->misdeed->judge == JUDGE_ANYTHING || reach > watch->misdeed->stage;
}

static void take_reach(struct client_watch *watch, enum reach reach, uint16_t command) {
    if (reach == REACH_OPERATION) {
        watch->operated = true;
        watch->unvalidated |= !watch->validated;
    }
    if (reach != REACH_NONE)
        watch->stage = reach;
    if (!watch->passed && is_too_much(watch, reach)) {
        watch->passed = true;
        watch->next = command;
    }
}

static void take_request(struct client_watch *watch, const struct message *message, struct conform_client *client) {
    uint16_t command = message->header.command;

    take_offer(watch, message, client);
    if (is_validation(message)) {
        watch->validated = true;
        watch->validation = message->header.message_id;
    }
    watch->left |= watch->altered && (command == SMB2_LOGOFF || command == SMB2_TREE_DISCONNECT);
    take_reach(watch, reach_of(message), command);
}

/* Encrypted with a key that is not the server's: the least that it can be is what comes next. */
static void take_sealed(struct client_watch *watch) {
    bool is_first = watch->stage < REACH_TREE_CONNECT;

    take_reach(watch, is_first ? REACH_TREE_CONNECT : REACH_OPERATION, is_first ? SMB2_TREE_CONNECT : SMB2_CREATE);
}

void client_watch_request(struct client_watch *watch, struct span frame, struct conform_client *client) {
    struct chain_cursor cursor = chain_cursor(frame, frame.size);
    struct message message;

    while (chain_next(&cursor, &message)) {
        if (message.kind == MESSAGE_TRANSFORM)
            take_sealed(watch);
        else if (message_is_smb2(&message) || message.kind == MESSAGE_SMB1_NEGOTIATE_REQUEST)
            take_request(watch, &message, client);
    }
}

/* ---- answers ---- */

/* What comes with a tree is not yet work: an operation is. */
static bool is_work(const struct message *message) {
    uint16_t command = message->header.command;

    return message->header.status == STATUS_SUCCESS && command >= SMB2_CREATE && command != SMB2_CLOSE &&
           command != SMB2_ECHO && command != SMB2_IOCTL;
}

void client_watch_answer(struct client_watch *watch, struct span frame) {
    struct chain_cursor cursor = chain_cursor(frame, frame.size);
    struct message message;

    while (chain_next(&cursor, &message)) {
        if (message.kind == MESSAGE_NEGOTIATE_RESPONSE && message.body_valid)
            watch->dialect = message.body.negotiate_response.dialect_revision;
        if (message_is_smb2(&message))
            watch->worked |= is_work(&message);
    }
}

void client_watch_altered(struct client_watch *watch) {
    watch->altered = true;
}

bool client_watch_applies(const struct client_watch *watch) {
    return watch->misdeed->dialect == 0 || watch->misdeed->dialect == watch->dialect;
}

bool client_watch_decided(const struct client_watch *watch) {
    if (watch->misdeed->judge == JUDGE_VALIDATES)
        return watch->operated;
    return watch->passed;
}

/* ---- the judgement ---- */

/* What all connections of a case come to. */
struct sum {
    bool connected, negotiated, applies, altered, worked, operated, unvalidated, validated, elsewhere, offers_3x, left,
        closed;
    const struct client_watch *passed;
    enum rule broken;
};

static struct sum sum_of(const struct client_watch *watches, unsigned count) {
    struct sum sum = {.connected = count > 0, .broken = RULE_NONE};

    for (unsigned i = 0; i < count; i++) {
        const struct client_watch *watch = &watches[i];

        sum.negotiated |= watch->negotiated;
        sum.applies |= client_watch_applies(watch);
        sum.altered |= watch->altered;
        sum.worked |= watch->worked;
        sum.operated |= watch->operated;
        sum.unvalidated |= watch->unvalidated;
        sum.validated |= watch->validated;
        sum.elsewhere |= watch->operated && !watch->altered;
        sum.offers_3x |= watch->offers_3x;
        sum.left |= watch->left;
        sum.closed |= watch->altered && watch->closed;
        if (watch->passed && sum.passed == NULL)
            sum.passed = watch;
        if (watch->broken != RULE_NONE)
            sum.broken = watch->broken;
    }
    return sum;
}

static void say(struct conform_result *result, enum conform_outcome outcome, const char *what) {
    result->outcome = outcome;
    snprintf(result->seen, sizeof result->seen, "%s", what);
}

static enum conform_outcome failure(const struct conform_case *test, bool strict) {
    return test->level == LEVEL_MUST || strict ? CONFORM_FAIL : CONFORM_SHOULD;
}

static void judge_works(const struct sum *sum, struct conform_result *result) {
    if (!sum->connected)
        say(result, CONFORM_UNCLEAR, "the client did not connect");
    else if (!sum->worked)
        say(result, CONFORM_SKIP,
            sum->operated     ? "no operation of the client succeeded"
            : sum->negotiated ? "the client left before any operation"
                              : "the client offered no dialect of SMB 2");
    else if (sum->broken != RULE_NONE) {
        result->outcome = CONFORM_FAIL;
        snprintf(result->seen, sizeof result->seen, "it works, but has broken rule %s", rule_text(sum->broken)->id);
    } else
        say(result, CONFORM_PASS, "an operation succeeded");
}

static void judge_validates(const struct sum *sum, enum conform_outcome failed, struct conform_result *result) {
    if (!sum->operated && !sum->validated)
        say(result, CONFORM_SKIP, "the client left before any operation");
    else if (!sum->offers_3x)
        say(result, CONFORM_SKIP, "the client offers no dialect of SMB 3, and so has nothing to validate");
    else if (sum->unvalidated)
        say(result, failed, "it asked for an operation without having validated");
    else
        say(result, CONFORM_PASS, "it validated");
}

static void judge_misdeed(const struct sum *sum, enum conform_outcome failed, struct conform_result *result) {
    if (sum->passed != NULL) {
        result->outcome = failed;
        snprintf(result->seen, sizeof result->seen, "it went on with %s", command_name(sum->passed->next));
    } else if (!sum->altered)
        say(result, CONFORM_SKIP,
            !sum->connected ? "the client did not connect"
            : !sum->applies ? "another dialect was agreed than the one that this is about"
                            : "the client did not ask for what is altered");
    else if (sum->elsewhere)
        say(result, failed, "it went on over another connection, without what is altered");
    else
        say(result, CONFORM_PASS,
            sum->left     ? "it took its leave"
            : sum->closed ? "it closed the connection"
                          : "it asked for nothing more");
}

void client_judge(const struct conform_case *test, const struct client_watch *watches, unsigned count, bool strict,
                  struct conform_result *result) {
    struct sum sum = sum_of(watches, count);

    switch (test->misdeed->judge) {
    case JUDGE_WORKS:
        judge_works(&sum, result);
        break;
    case JUDGE_VALIDATES:
        judge_validates(&sum, failure(test, strict), result);
        break;
    default:
        judge_misdeed(&sum, failure(test, strict), result);
        break;
    }
}
