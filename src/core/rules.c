#include "core/verdict.h"

#include <assert.h>

static const struct rule_text rule_texts[RULE_COUNT] = {
    [RULE_NONE] = {.id = "", .section = "", .severity = SEVERITY_NOTE, .sentence = ""},
#define RULE(name, id_, section_, whose_, severity_, sentence_)                                    \
    [RULE_##name] = {id_, section_, whose_, severity_, sentence_},
#include "core/rules.def"
#undef RULE
};

const struct rule_text *rule_text(enum rule rule) {
    assert((unsigned)rule < RULE_COUNT);
    return &rule_texts[rule];
}
