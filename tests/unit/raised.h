/* Which rules of src/core/rules.def a test has seen the code raise: told to tests/rules.py, which wants all of them. */
#ifndef SMBPROOF_TESTS_RAISED_H
#define SMBPROOF_TESTS_RAISED_H

#include "core/verdict.h"

/* Fails the test unless the code raised the expected rule. With SMBPROOF_TELL_RULES in the environment it also prints
 * the rule's name, as a comment of TAP: "# raised NEGOTIATE_SECOND". RULE_NONE is passed over. */
void assert_rule(enum rule raised, enum rule expected);

#endif
