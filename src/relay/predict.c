#include "relay/predict.h"

#include <string.h>

static struct prediction nobody(const char *why) {
    return (struct prediction){.who = WHO_NOBODY, .why = why};
}

static struct prediction must(enum who who, enum reach stage, enum rule rule, const char *why) {
    return (struct prediction){
        .who = who, .stage = stage, .earliest = stage, .rule = rule, .must = true, .why = why};
}

static struct prediction may(enum who who, enum reach stage, enum rule rule, const char *why) {
    struct prediction prediction = must(who, stage, rule, why);

    prediction.must = false;
    return prediction;
}

/* ---- what is known ---- */

static bool near_311(const struct passage_facts *facts) {
    return facts->near.answered.dialect == SMB2_DIALECT_311;
}

/* Dialects with one way to derive keys and to sign (3.1.4.2). */
static unsigned key_family(uint16_t dialect) {
    if (dialect == SMB2_DIALECT_311)
        return 3;
    return dialect_is_3x(dialect) ? 2 : 1;
}

static bool families_differ(const struct passage_facts *facts) {
    return key_family(facts->near.answered.dialect) != key_family(facts->far.answered.dialect);
}

static bool signing_required(const struct passage_facts *facts) {
    return facts->near.agreed.signing_required || facts->far.agreed.signing_required || facts->signs_anyway;
}

/* Does the client implement a 3.x dialect (3.2.5.5)? A client that began with SMB1 only shows it by validating. */
static bool client_validates(const struct passage_facts *facts) {
    return negotiation_offers_3x(&facts->near) || facts->validated;
}

/* ---- NEGOTIATE ---- */

static bool dialects_differ(const struct negotiation_offered *a, const struct negotiation_offered *b) {
    return a->dialect_count != b->dialect_count ||
           memcmp(a->dialects, b->dialects, a->dialect_count * sizeof a->dialects[0]) != 0;
}

/* What a server compares at the validation, in its order (3.3.5.15.12). RULE_NONE: all is the same. */
static enum rule request_difference(const struct negotiation_offered *near, const struct negotiation_offered *far) {
    if (!near->known || !far->known)
        return RULE_NONE;
    if (dialects_differ(near, far))
        return RULE_INFO_REQUEST_DIALECTS;
    if (memcmp(near->client_guid, far->client_guid, sizeof near->client_guid) != 0)
        return RULE_INFO_REQUEST_GUID;
    if (near->security_mode != far->security_mode)
        return RULE_INFO_REQUEST_SECURITY_MODE;
    return near->capabilities != far->capabilities ? RULE_INFO_REQUEST_CAPABILITIES : RULE_NONE;
}

/* What a client compares (3.2.5.14.12). */
static enum rule response_difference(const struct negotiation_answered *near, const struct negotiation_answered *far) {
    if (near->capabilities != far->capabilities)
        return RULE_INFO_RESPONSE_CAPABILITIES;
    if (memcmp(near->server_guid, far->server_guid, sizeof near->server_guid) != 0)
        return RULE_INFO_RESPONSE_GUID;
    if (near->security_mode != far->security_mode)
        return RULE_INFO_RESPONSE_SECURITY_MODE;
    return near->dialect != far->dialect ? RULE_INFO_RESPONSE_DIALECT : RULE_NONE;
}

static struct prediction predict_keys(const struct passage_facts *facts) {
    struct prediction prediction =
        must(WHO_EITHER, REACH_VALIDATE, RULE_RESPONSE_SIGNATURE,
             "the ends have different dialects and so different keys: no signature is right");

    prediction.earliest = REACH_SESSION_SETUP;
    if (near_311(facts))
        prediction.stage = REACH_SESSION_SETUP;
    else if (!client_validates(facts))
        prediction.must = signing_required(facts);
    return prediction;
}

/* Was the validation kept from the server, by dropping, answering or resetting it? */
static bool validation_kept_back(const struct passage_facts *facts) {
    for (unsigned i = 0; i < facts->alterations_count; i++)
        if (facts->alterations[i].stage == REACH_VALIDATE && facts->alterations[i].from == FROM_CLIENT &&
            facts->alterations[i].fate != FATE_PASS)
            return true;
    return false;
}

static struct prediction predict_validation(const struct passage_facts *facts) {
    enum rule request = request_difference(&facts->near.offered, &facts->far.offered);
    enum rule response = response_difference(&facts->near.answered, &facts->far.answered);

    if (request == RULE_NONE && response == RULE_NONE)
        return nobody("below 3.1.1 nothing protects what was changed (the validation covers Dialects, GUIDs, "
                      "SecurityMode and Capabilities)");
    if (!client_validates(facts))
        return nobody("a client without any 3.x dialect does not validate");
    if (facts->validation_unknown)
        return may(WHO_SERVER, REACH_VALIDATE, request,
                   "the server says, under its signature, that it does not implement the validation; one that has "
                   "SMB 3 would have to");
    if (validation_kept_back(facts))
        return nobody("the validation, which would show it, was kept from the server");
    if (request != RULE_NONE)
        return must(WHO_SERVER, REACH_VALIDATE, request,
                    "the validation tells the server what the client has really sent");
    return must(WHO_CLIENT, REACH_VALIDATE, response,
                "the validation tells the client what the server has really answered");
}

/* Nobody got far enough for the protocol to say more. */
static struct prediction without_session(void) {
    struct prediction prediction = may(WHO_EITHER, REACH_SESSION_SETUP, RULE_NONE, "no session was set up");

    prediction.earliest = REACH_NEGOTIATE;
    return prediction;
}

static struct prediction predict_hash(void) {
    return must(WHO_CLIENT, REACH_SESSION_SETUP, RULE_RESPONSE_SIGNATURE,
                "the hash over NEGOTIATE and SESSION_SETUP goes into the keys of 3.1.1, so the signature of the last "
                "SESSION_SETUP response is wrong");
}

static struct prediction predict_negotiate(const struct passage_facts *facts, const struct alteration *alteration) {
    if (facts->smb1)
        return nobody("nothing protects the choice between SMB1 and SMB2");
    if (alteration->from == FROM_CLIENT && !verdict_goes_on(&facts->far_verdict))
        return must(WHO_SERVER, REACH_NEGOTIATE, facts->far_verdict.rule, "the changed request is not a valid one");
    if (alteration->from == FROM_SERVER && !verdict_goes_on(&facts->near_verdict))
        return must(WHO_CLIENT, REACH_NEGOTIATE, facts->near_verdict.rule,
                    "the changed response is none that a client may take");
    if (!facts->near.answered.known || !facts->session)
        return without_session();
    if (facts->keyless)
        return nobody("a guest's or anonymous session has no keys, and nothing protects it");
    if (families_differ(facts))
        return predict_keys(facts);
    return near_311(facts) ? predict_hash() : predict_validation(facts);
}

/* ---- SESSION_SETUP ---- */

static struct prediction predict_final_response(const struct passage_facts *facts,
                                                const struct alteration *alteration) {
    bool has_to = near_311(facts) || signing_required(facts);
    struct prediction prediction;

    if (alteration->flags_made_guest) {
        prediction = must(WHO_CLIENT, REACH_SESSION_SETUP, RULE_SESSION_GUEST,
                          "a guest's session asks for no signature; a client that gave credentials should refuse it");
        prediction.must = signing_required(facts);
        return prediction;
    }
    prediction = alteration->is_signed
                     ? must(WHO_CLIENT, REACH_SESSION_SETUP, RULE_RESPONSE_SIGNATURE,
                            "the last SESSION_SETUP response is signed, and its signature is wrong now")
                     : must(WHO_CLIENT, REACH_SESSION_SETUP, RULE_SESSION_RESPONSE_UNSIGNED,
                            "the last SESSION_SETUP response must be signed; a client has to insist on 3.1.1 and where "
                            "it requires signing");
    prediction.must = has_to || alteration->is_signed;
    return prediction;
}

static struct prediction predict_session_setup(const struct passage_facts *facts,
                                               const struct alteration *alteration) {
    if (facts->keyless)
        return nobody("a guest's or anonymous session has no keys, and nothing protects it");
    if (!facts->session)
        return without_session();
    if (alteration->final)
        return predict_final_response(facts, alteration);
    if (near_311(facts))
        return predict_hash();
    return nobody("below 3.1.1 nothing protects SESSION_SETUP but the authentication's own checks");
}

/* ---- what comes after ---- */

static struct prediction predict_request(const struct passage_facts *facts, const struct alteration *alteration) {
    enum reach stage = alteration->stage;

    if (alteration->is_signed)
        return must(WHO_SERVER, stage, RULE_REQUEST_SIGNATURE, "the request is signed, and its signature is wrong now");
    if (!alteration->was_signed)
        return nobody("the request is not signed, so nothing protects it");
    if (stage == REACH_VALIDATE)
        return must(WHO_EITHER, stage, RULE_INFO_REQUEST_UNSIGNED,
                    "the validation must be signed: the server closes, or answers without a signature, which the "
                    "client must refuse");
    if (signing_required(facts))
        return must(WHO_SERVER, stage, RULE_REQUEST_UNSIGNED, "the session requires signing");
    if (near_311(facts) && stage == REACH_TREE_CONNECT)
        return must(WHO_SERVER, stage, RULE_TREE_CONNECT_UNSIGNED, "on 3.1.1 TREE_CONNECT must be signed");
    return may(WHO_CLIENT, stage, RULE_RESPONSE_UNSIGNED, "the answer to a request that was signed is not");
}

static struct prediction predict_response(const struct passage_facts *facts, const struct alteration *alteration) {
    enum reach stage = alteration->stage;

    if (stage == REACH_VALIDATE)
        return must(WHO_CLIENT, stage, RULE_INFO_RESPONSE_UNPROTECTED,
                    "the answer to the validation must be correctly signed, whatever its status");
    if (alteration->is_signed)
        return must(WHO_CLIENT, stage, RULE_RESPONSE_SIGNATURE,
                    "the response is signed, and its signature is wrong now");
    if (!alteration->was_signed)
        return nobody("the response is not signed, so nothing protects it");
    if (signing_required(facts))
        return must(WHO_CLIENT, stage, RULE_RESPONSE_UNSIGNED, "the session requires signing");
    return may(WHO_CLIENT, stage, RULE_RESPONSE_UNSIGNED, "the answer to a signed request is not signed");
}

static struct prediction predict_dropped(const struct alteration *alteration) {
    struct prediction prediction;

    if (alteration->answered)
        return alteration->stage == REACH_VALIDATE
                   ? must(WHO_CLIENT, REACH_VALIDATE, RULE_INFO_RESPONSE_UNPROTECTED,
                          "the forged answer to the validation is not signed")
                   : may(WHO_CLIENT, alteration->stage, RULE_RESPONSE_UNSIGNED, "the forged answer is not signed");
    if (alteration->stage == REACH_VALIDATE)
        return must(WHO_CLIENT, REACH_VALIDATE, RULE_INFO_RESPONSE_MISSING,
                    "a validation that is never answered must end the connection");
    prediction = may(WHO_EITHER, alteration->stage, RULE_NONE, "a message is missing");
    prediction.ends = true;
    return prediction;
}

static struct prediction predict_one(const struct passage_facts *facts, const struct alteration *alteration) {
    struct prediction prediction;

    if (alteration->tampers == 0)
        return nobody("only the time, or the segments, were changed");
    if (alteration->fate == FATE_RESET) {
        prediction = may(WHO_EITHER, alteration->stage, RULE_NONE,
                         "neither end can tell a reset by the relay from one by the other end");
        prediction.ends = true;
        return prediction;
    }
    if (alteration->fate == FATE_DROP)
        return predict_dropped(alteration);
    switch (alteration->stage) {
    case REACH_NEGOTIATE:
        return predict_negotiate(facts, alteration);
    case REACH_SESSION_SETUP:
        return predict_session_setup(facts, alteration);
    default:
        return alteration->from == FROM_CLIENT ? predict_request(facts, alteration)
                                               : predict_response(facts, alteration);
    }
}

struct prediction predict(const struct passage_facts *facts) {
    struct prediction found = nobody("nothing was changed");

    for (unsigned i = 0; i < facts->alterations_count; i++) {
        struct prediction one = predict_one(facts, &facts->alterations[i]);

        if (one.must)
            return one;
        if (i == 0 || (found.who == WHO_NOBODY && one.who != WHO_NOBODY))
            found = one;
    }
    return found;
}

/* ---- what happened ---- */

static struct judgement noticed(const struct passage_ending *ending) {
    struct judgement judgement = {.who = ending->closed, .stage = ending->stage};

    if (ending->refused || (ending->closed == WHO_SERVER && ending->outstanding))
        judgement.who = WHO_SERVER;
    return judgement;
}

/* A client that had nothing more to do went away, and nobody complained. */
static bool went_well(const struct prediction *prediction, const struct passage_ending *ending) {
    return prediction->who == WHO_NOBODY && ending->closed != WHO_SERVER && !ending->refused && !ending->outstanding &&
           ending->stage >= REACH_TREE_CONNECT;
}

/* `SERVER or CLIENT, from here to there` holds whoever it was. */
static bool is_predicted(const struct prediction *prediction, const struct judgement *judgement) {
    return (prediction->who & judgement->who) != 0 && judgement->stage >= prediction->earliest &&
           judgement->stage <= prediction->stage;
}

struct judgement judge(const struct passage_facts *facts, const struct prediction *prediction,
                       const struct passage_ending *ending) {
    struct judgement judgement = noticed(ending);

    if (facts->alterations_count == 0)
        return (struct judgement){NOTICE_UNTOUCHED, WHO_NOBODY, REACH_NONE};
    if (ending->operations > 0) {
        judgement = (struct judgement){NOTICE_HARMLESS, WHO_NOBODY, REACH_NONE};
        if (prediction->who != WHO_NOBODY)
            judgement.outcome = prediction->must ? NOTICE_UNNOTICED : NOTICE_ALLOWED;
        return judgement;
    }
    if (ending->reset_by_relay)
        return (struct judgement){NOTICE_ENDED, WHO_NOBODY, ending->stage};
    if (ending->closed == WHO_NOBODY)
        return (struct judgement){NOTICE_OPEN, WHO_NOBODY, ending->stage};
    if (went_well(prediction, ending))
        return (struct judgement){NOTICE_HARMLESS, WHO_NOBODY, REACH_NONE};
    judgement.outcome = is_predicted(prediction, &judgement) ? NOTICE_PREDICTED : NOTICE_ELSEWHERE;
    return judgement;
}

/* ---- words ---- */

const char *reach_text(enum reach stage) {
    static const char *const texts[] = {"the beginning", "NEGOTIATE", "SESSION_SETUP",
                                        "TREE_CONNECT",  "VALIDATE",  "an operation"};

    return texts[stage];
}

const char *who_text(enum who who) {
    static const char *const texts[] = {"nobody", "the client", "the server", "either end"};

    return texts[who];
}

const char *notice_text(enum notice outcome) {
    static const char *const texts[] = {
        "nothing altered",   "noticed where predicted",        "noticed elsewhere",  "nobody had to notice",
        "not noticed, which is allowed", "not noticed at all", "ended by the relay",
        "still open",
    };

    return texts[outcome];
}
