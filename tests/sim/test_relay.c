/* The relay's passage between our client and our server, in every configuration and with every profile: what it says
 * must be noticed is noticed, there and by that rule; and where it says that nobody has to notice, everything works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configs.h"
#include "relay/passage.h"
#include "relay/profiles.h"

#define SEPARATOR " ; "

struct box {
    struct plan plan;
    struct passage passage;
    uint8_t room[PASSAGE_FRAME_MAX], frame[PASSAGE_FRAME_MAX];
    unsigned resets;
};

static void plan_add(struct plan *plan, const char *text, size_t size) {
    char one[TAMPER_TEXT_MAX], complaint[TAMPER_COMPLAINT_MAX];

    assert_true(size < sizeof one && plan->count < TAMPERS_MAX);
    snprintf(one, sizeof one, "%.*s", (int)size, text);
    if (!tamper_parse(one, &plan->tampers[plan->count++], complaint))
        fail_msg("%s: %s", one, complaint);
}

static void plan_make(struct plan *plan, const char *texts) {
    memset(plan, 0, sizeof *plan);
    while (*texts != '\0') {
        const char *end = strstr(texts, SEPARATOR);
        size_t size = end != NULL ? (size_t)(end - texts) : strlen(texts);

        plan_add(plan, texts, size);
        texts += size + (end != NULL ? strlen(SEPARATOR) : 0);
    }
}

/* The world's frames are without their four octets. */
static void queue_put(struct world *world, enum direction from, struct span frame) {
    struct world_frame content = {.size = frame.size - FRAME_HEADER_SIZE};

    assert_true(frame.size >= FRAME_HEADER_SIZE && content.size <= sizeof content.data);
    memcpy(content.data, frame.data + FRAME_HEADER_SIZE, content.size);
    world_queue_put(world, from, &content);
}

static void adversary(struct world *world, enum direction from, unsigned index, struct world_frame *frame) {
    struct box *box = world->arguments;
    struct writer writer = writer_over(box->frame, sizeof box->frame);
    struct span octets, answer;
    struct passage_step step;

    (void)index;
    frame_encode(&writer, &(struct frame){FRAME_MESSAGE, (uint32_t)frame->size});
    writer_put(&writer, (struct span){frame->data, frame->size});
    octets = writer_done(&writer);
    while (octets.size > 0) {
        passage_step(&box->passage, from, octets, box->room, &step);
        assert_true(step.kind != STEP_MORE && step.used > 0 && step.used <= octets.size);
        if (step.kind == STEP_PASS && step.used < octets.size)
            fail_msg("a frame of the set-up went on in parts");
        if (step.kind == STEP_PASS || step.kind == STEP_CHANGED)
            queue_put(world, from, step.kind == STEP_PASS ? octets : step.out);
        box->resets += step.kind == STEP_RESET;
        octets = span_slice(octets, step.used, octets.size);
    }
    if (passage_take_answer(&box->passage, &answer))
        queue_put(world, FROM_SERVER, answer);
}

/* The world has no sockets: who stopped first is told here. */
static void close_ends(const struct world *world, struct box *box) {
    if (world->host.server.closed)
        passage_closed(&box->passage, FROM_SERVER);
    passage_closed(&box->passage, FROM_CLIENT);
}

struct outcome {
    struct prediction prediction;
    struct judgement judgement;
    bool worked;
    char told[256];
};

static void run(struct world *world, struct box *box, const struct config *config, const char *tampers,
                struct outcome *outcome) {
    memset(box, 0, sizeof *box);
    plan_make(&box->plan, tampers);
    passage_init(&box->passage, &box->plan, true);
    world_init(world);
    config_apply(config, world);
    world->arguments = box;
    world->adversary = adversary;
    world_run(world);
    close_ends(world, box);
    outcome->prediction = predict(&box->passage.facts);
    outcome->judgement = judge(&box->passage.facts, &outcome->prediction, &box->passage.ending);
    outcome->worked = world_worked(world);
    world_tell(world, outcome->told, sizeof outcome->told);
}

static bool is_fine(const struct outcome *outcome, const struct passage_facts *facts) {
    switch (outcome->judgement.outcome) {
    case NOTICE_UNTOUCHED:
    case NOTICE_HARMLESS:
        return outcome->worked;
    case NOTICE_ALLOWED: /* a server without SMB 3 looks like one that has it, and has forgotten the validation */
        return outcome->worked && facts->validation_unknown;
    case NOTICE_PREDICTED:
    case NOTICE_ENDED:
        return !outcome->worked;
    default:
        return false;
    }
}

static void check(struct world *world, struct box *box, const struct config *config, const char *name,
                  const char *tampers, unsigned *counts) {
    struct outcome outcome;

    run(world, box, config, tampers, &outcome);
    if (!is_fine(&outcome, &box->passage.facts))
        fail_msg("%s, %s: %s by %s at %s, predicted %s%s at %s by %s (%s): %s", config->name, name,
                 notice_text(outcome.judgement.outcome), who_text(outcome.judgement.who),
                 reach_text(outcome.judgement.stage), who_text(outcome.prediction.who),
                 outcome.prediction.must ? " must" : "", reach_text(outcome.prediction.stage),
                 rule_text(outcome.prediction.rule)->id, outcome.prediction.why, outcome.told);
    counts[outcome.judgement.outcome]++;
    world_free(world);
}

static void every_profile_is_noticed_as_predicted(void **state) {
    static struct world world;
    static struct box box;
    unsigned counts[NOTICES_COUNT] = {0};

    (void)state;
    for (unsigned c = 0; c < configs_count; c++)
        for (unsigned p = 0; p < profiles_count; p++)
            check(&world, &box, &configs[c], profiles[p].name, profiles[p].tampers, counts);
    print_message("# noticed as predicted %u, harmless %u, untouched %u, ended %u\n", counts[NOTICE_PREDICTED],
                  counts[NOTICE_HARMLESS], counts[NOTICE_UNTOUCHED], counts[NOTICE_ENDED]);
    assert_true(counts[NOTICE_PREDICTED] > 50 && counts[NOTICE_HARMLESS] > 50 && counts[NOTICE_ENDED] > 0);
}

struct wanted {
    const char *config, *tampers;
    enum who who;
    enum reach stage;
    enum rule rule;
    const char *told; /* in place of the rule: the status by which a server refuses */
};

/* The rule is the one that the end which noticed has itself named. */
static void the_rule_is_the_one_that_is_raised(void **state) {
    static const struct wanted cases[] = {
        {"3.0.2-plain", "negotiate.request.Dialects-=3.0.2", WHO_SERVER, REACH_VALIDATE, RULE_INFO_REQUEST_DIALECTS},
        {"3.0.2-plain", "negotiate.request.ClientGuid^=1", WHO_SERVER, REACH_VALIDATE, RULE_INFO_REQUEST_GUID},
        {"3.0.2-plain", "negotiate.request.Capabilities^=0x80", WHO_SERVER, REACH_VALIDATE,
         RULE_INFO_REQUEST_CAPABILITIES},
        {"3.0.2-plain", "negotiate.request.SecurityMode|=SIGNING_REQUIRED", WHO_SERVER, REACH_VALIDATE,
         RULE_INFO_REQUEST_SECURITY_MODE},
        {"3.0.2-plain", "negotiate.response.ServerGuid^=1", WHO_CLIENT, REACH_VALIDATE, RULE_INFO_RESPONSE_GUID},
        {"3.0.2-plain", "negotiate.response.DialectRevision=3.0", WHO_CLIENT, REACH_VALIDATE,
         RULE_INFO_RESPONSE_DIALECT},
        {"2.1-plain", "negotiate.response.Capabilities^=DFS", WHO_CLIENT, REACH_VALIDATE,
         RULE_INFO_RESPONSE_CAPABILITIES},
        {"3.0.2-signed", "negotiate.response.SecurityMode^=SIGNING_REQUIRED", WHO_CLIENT, REACH_VALIDATE,
         RULE_INFO_RESPONSE_SECURITY_MODE},
        {"3.0.2-plain", "negotiate.response.DialectRevision=0x0999", WHO_CLIENT, REACH_NEGOTIATE,
         RULE_RESPONSE_DIALECT},
        {"3.1.1-plain-gmac", "negotiate.response.contexts-=PREAUTH_INTEGRITY_CAPABILITIES", WHO_CLIENT,
         REACH_NEGOTIATE, RULE_RESPONSE_PREAUTH_COUNT},
        {"3.1.1-plain-gmac", "negotiate.request.contexts-=PREAUTH_INTEGRITY_CAPABILITIES", WHO_SERVER,
         REACH_NEGOTIATE, RULE_CONTEXT_PREAUTH_COUNT, "STATUS_INVALID_PARAMETER"},
        {"3.1.1-plain-gmac", "negotiate.response.SigningAlgorithms+=AES-CMAC", WHO_CLIENT, REACH_NEGOTIATE,
         RULE_RESPONSE_SIGNING},
        {"3.1.1-plain-gmac", "session_setup.request@80=0x55", WHO_CLIENT, REACH_SESSION_SETUP,
         RULE_RESPONSE_SIGNATURE},
        {"3.1.1-plain-gmac", "session_setup.final_response:strip-signature", WHO_CLIENT, REACH_SESSION_SETUP,
         RULE_SESSION_RESPONSE_UNSIGNED},
        {"3.1.1-plain-gmac", "tree_connect.request:strip-signature", WHO_SERVER, REACH_TREE_CONNECT,
         RULE_TREE_CONNECT_UNSIGNED},
        {"3.0.2-signed", "tree_connect.request.Flags=1", WHO_SERVER, REACH_TREE_CONNECT, RULE_REQUEST_SIGNATURE,
         "refused by status"},
        {"3.0.2-signed", "tree_connect.request:strip-signature", WHO_SERVER, REACH_TREE_CONNECT,
         RULE_REQUEST_UNSIGNED, "3.3.4.1.1-01"},
        {"3.0.2-signed", "tree_connect.response.MaximalAccess=0", WHO_CLIENT, REACH_TREE_CONNECT,
         RULE_RESPONSE_SIGNATURE},
        {"3.0.2-plain", "validate.response.Capabilities=0", WHO_CLIENT, REACH_VALIDATE,
         RULE_INFO_RESPONSE_UNPROTECTED},
        {"3.0.2-plain", "validate.response:garbage=FILE_CLOSED", WHO_CLIENT, REACH_VALIDATE,
         RULE_INFO_RESPONSE_UNPROTECTED},
        {"3.0.2-plain", "validate.request.Dialects-=2.1", WHO_SERVER, REACH_VALIDATE, RULE_REQUEST_SIGNATURE,
         "3.2.5.14.12-02"},
        {"3.0.2-plain", "validate.response:drop", WHO_CLIENT, REACH_VALIDATE, RULE_INFO_RESPONSE_MISSING},
    };
    static struct world world;
    static struct box box;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct wanted *wanted = &cases[i];
        const char *told = wanted->told != NULL ? wanted->told : rule_text(wanted->rule)->id;
        struct outcome outcome;

        run(&world, &box, config_find(wanted->config), wanted->tampers, &outcome);
        if (outcome.prediction.who != wanted->who || outcome.prediction.stage != wanted->stage ||
            outcome.prediction.rule != wanted->rule || !outcome.prediction.must)
            fail_msg("%s, %s: predicted %s at %s by %s", wanted->config, wanted->tampers,
                     who_text(outcome.prediction.who), reach_text(outcome.prediction.stage),
                     rule_text(outcome.prediction.rule)->id);
        if (outcome.judgement.outcome != NOTICE_PREDICTED || strstr(outcome.told, told) == NULL)
            fail_msg("%s, %s: %s by %s at %s: %s", wanted->config, wanted->tampers,
                     notice_text(outcome.judgement.outcome), who_text(outcome.judgement.who),
                     reach_text(outcome.judgement.stage), outcome.told);
        world_free(&world);
    }
}

/* A client that goes on all the same: here one that is told not to validate. */
static void what_goes_unnoticed_is_told(void **state) {
    static struct world world;
    static struct box box;
    struct judgement judgement;
    struct prediction prediction;

    (void)state;
    memset(&box, 0, sizeof box);
    plan_make(&box.plan, "negotiate.request.Dialects-=3.0,3.0.2,3.1.1");
    passage_init(&box.passage, &box.plan, true);
    world_init(&world);
    world.policy.require_secure_negotiate = false;
    world.arguments = &box;
    world.adversary = adversary;
    world_run(&world);
    assert_true(world_worked(&world));
    close_ends(&world, &box);
    prediction = predict(&box.passage.facts);
    judgement = judge(&box.passage.facts, &prediction, &box.passage.ending);
    assert_int_equal(judgement.outcome, NOTICE_UNNOTICED);
    assert_int_equal(prediction.rule, RULE_INFO_REQUEST_DIALECTS);
    world_free(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_is_noticed_as_predicted),
        cmocka_unit_test(the_rule_is_the_one_that_is_raised),
        cmocka_unit_test(what_goes_unnoticed_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
