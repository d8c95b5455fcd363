#include "raised.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const names[RULE_COUNT] = {
    [RULE_NONE] = "NONE",
#define RULE(name, id, section, whose, severity, sentence) [RULE_##name] = #name,
#include "core/rules.def"
#undef RULE
};

void assert_rule(enum rule raised, enum rule expected) {
    assert_string_equal(names[raised], names[expected]);
    if (expected != RULE_NONE && getenv("SMBPROOF_TELL_RULES") != NULL)
        printf("# raised %s\n", names[expected]);
}
