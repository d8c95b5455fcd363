/* The tests. Their order is that of a connection's life, and of what one needs to know from another. */
#include <string.h>

#include "probe/tests.h"

#define PROBLEM  SEVERITY_PROBLEM
#define EXPOSURE SEVERITY_EXPOSURE
#define NOTE     SEVERITY_FINDING_NOTE

static const struct probe_test table[] = {
    {"reach", "a TCP connection", "it is accepted", "2.1", CAUSE_T01, PROBLEM, NEEDS_NOTHING, test_reach},
    {"smb1", "an SMB1 NEGOTIATE with \"NT LM 0.12\" alone", "closed, or no dialect chosen: SMB 1 is off", "3.3.5.3",
     CAUSE_X04, EXPOSURE, NEEDS_NOTHING, test_smb1_alone},
    {"multi-protocol", "an SMB1 NEGOTIATE with \"NT LM 0.12\", \"SMB 2.002\" and \"SMB 2.???\"",
     "an SMB2 NEGOTIATE response, or closed", "3.3.5.3.1", CAUSE_X04, EXPOSURE, NEEDS_NOTHING, test_multi_protocol},
    {"dialect-2.0.2", "NEGOTIATE that offers 2.0.2", "2.0.2, or STATUS_NOT_SUPPORTED", "3.3.5.4", CAUSE_D01, PROBLEM,
     NEEDS_NOTHING, test_dialect_202},
    {"dialect-2.1", "NEGOTIATE that offers 2.1", "2.1, or STATUS_NOT_SUPPORTED", "3.3.5.4", CAUSE_D01, PROBLEM,
     NEEDS_NOTHING, test_dialect_210},
    {"dialect-3.0", "NEGOTIATE that offers 3.0", "3.0, or STATUS_NOT_SUPPORTED", "3.3.5.4", CAUSE_D01, PROBLEM,
     NEEDS_NOTHING, test_dialect_300},
    {"dialect-3.0.2", "NEGOTIATE that offers 3.0.2", "3.0.2, or STATUS_NOT_SUPPORTED", "3.3.5.4", CAUSE_D01, PROBLEM,
     NEEDS_NOTHING, test_dialect_302},
    {"dialect-3.1.1", "NEGOTIATE that offers 3.1.1", "3.1.1, or STATUS_NOT_SUPPORTED", "3.3.5.4", CAUSE_D01, PROBLEM,
     NEEDS_NOTHING, test_dialect_311},
    {"dialect-all", "NEGOTIATE that offers all five dialects", "the greatest one that was agreed to alone", "3.3.5.4",
     CAUSE_M01, PROBLEM, NEEDS_NOTHING, test_dialect_all},
    {"signing-offered", "NEGOTIATE that offers all dialects", "SMB2_NEGOTIATE_SIGNING_REQUIRED in SecurityMode",
     "3.3.5.4", CAUSE_X02, EXPOSURE, NEEDS_NOTHING, test_signing_offered},
    {"encryption-offered", "NEGOTIATE that offers all dialects and ciphers",
     "a cipher (3.1.1), or the capability (3.0)", "3.3.5.4", CAUSE_E01, NOTE, NEEDS_NOTHING, test_encryption_offered},
    {"second-negotiate", "NEGOTIATE twice", "closed", "3.3.5.4", CAUSE_D05, NOTE, NEEDS_NOTHING, test_second_negotiate},
    {"no-contexts", "3.1.1 without negotiate contexts", "STATUS_INVALID_PARAMETER", "3.3.5.4", CAUSE_D06, NOTE,
     NEEDS_311, test_no_contexts},
    {"no-preauth", "3.1.1 with an encryption context alone", "STATUS_INVALID_PARAMETER", "3.3.5.4", CAUSE_D06, PROBLEM,
     NEEDS_311, test_no_preauth},
    {"two-preauth", "3.1.1 with two pre-authentication contexts, then with two encryption contexts",
     "STATUS_INVALID_PARAMETER", "3.3.5.4", CAUSE_D06, NOTE, NEEDS_311, test_two_preauth},
    {"unknown-hash", "3.1.1 with a hash that does not exist", "STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP", "3.3.5.4",
     CAUSE_D07, PROBLEM, NEEDS_311, test_unknown_hash},
    {"unknown-cipher", "3.1.1 with a cipher that does not exist", "success without a cipher", "3.3.5.4", CAUSE_D08,
     NOTE, NEEDS_311, test_unknown_cipher},
    {"unknown-context", "3.1.1 with a context of a type that does not exist", "success", "3.3.5.4", CAUSE_D08, PROBLEM,
     NEEDS_311, test_unknown_context},
    {"newest-contexts", "3.1.1 with each context that Windows 11 sends", "success", "3.3.5.4", CAUSE_D08, PROBLEM,
     NEEDS_311, test_newest_contexts},
    {"anonymous", "an anonymous logon and TREE_CONNECT of the share", "refused", "3.3.5.5", CAUSE_G01, EXPOSURE,
     NEEDS_NOTHING, test_anonymous},
    {"guest", "a logon as guest without a password", "refused", "3.3.5.5", CAUSE_G01, EXPOSURE, NEEDS_NOTHING,
     test_guest},
    {"client", "a session of the ordinary client: all dialects, logon, TREE_CONNECT, validation", "it is content",
     "3.2.5.5", CAUSE_A01, PROBLEM, NEEDS_NOTHING, test_client},
    {"hash-3.1.1", "a logon and a signed TREE_CONNECT on 3.1.1", "both ends have hashed the same octets", "3.3.5.5.3",
     CAUSE_M03, PROBLEM, NEEDS_LOGON_311, test_hash},
    {"signing-used", "a logon that demands signing, TREE_CONNECT and ECHO, signed",
     "every response is signed, and rightly", "3.3.4.1.1", CAUSE_S01, PROBLEM, NEEDS_LOGON, test_signing_used},
    {"encryption-used", "a logon on SMB 3, TREE_CONNECT, encrypted", "the response is encrypted", "3.3.4.1.4",
     CAUSE_E04, PROBLEM, NEEDS_LOGON, test_encryption_used},
    {"validate-2.0.2", "the right VALIDATE on 2.0.2", "its four fields, signed; or a signed error of a server of SMB 2",
     "3.3.5.15.12", CAUSE_V12, PROBLEM, NEEDS_LOGON, test_validate_202},
    {"validate-2.1", "the right VALIDATE on 2.1", "its four fields, signed; or a signed error of a server of SMB 2",
     "3.3.5.15.12", CAUSE_V12, PROBLEM, NEEDS_LOGON, test_validate_210},
    {"validate-3.0", "the right VALIDATE on 3.0", "its four fields, signed", "3.3.5.15.12", CAUSE_V12, PROBLEM,
     NEEDS_LOGON, test_validate_300},
    {"validate-3.0.2", "the right VALIDATE on 3.0.2", "its four fields, signed", "3.3.5.15.12", CAUSE_V12, PROBLEM,
     NEEDS_LOGON, test_validate_302},
    {"validate-list", "the right VALIDATE where several dialects were offered", "its four fields, signed",
     "3.3.5.15.12", CAUSE_V12, PROBLEM, NEEDS_LOGON, test_validate_list},
    {"wrong-guid", "VALIDATE with another ClientGuid", "closed", "3.3.5.15.12", CAUSE_V13, PROBLEM, NEEDS_VALIDATION,
     test_wrong_guid},
    {"wrong-guid-end", "VALIDATE with another ClientGuid, the same up to an octet that is 0", "closed", "3.3.5.15.12",
     CAUSE_V13, PROBLEM, NEEDS_VALIDATION, test_wrong_guid_end},
    {"wrong-security-mode", "VALIDATE with another SecurityMode", "closed", "3.3.5.15.12", CAUSE_V13, PROBLEM,
     NEEDS_VALIDATION, test_wrong_mode},
    {"wrong-capabilities", "VALIDATE with other Capabilities", "closed", "3.3.5.15.12", CAUSE_V13, PROBLEM,
     NEEDS_VALIDATION, test_wrong_capabilities},
    {"wrong-dialects", "VALIDATE without any dialect that exists", "closed", "3.3.5.15.12", CAUSE_V13, PROBLEM,
     NEEDS_VALIDATION, test_wrong_dialects},
    {"fewer-dialects", "VALIDATE without the dialect that was chosen", "closed", "3.3.5.15.12", CAUSE_V13, PROBLEM,
     NEEDS_VALIDATION, test_fewer_dialects},
    {"permuted-dialects", "VALIDATE with the dialects in another order", "closed, by a server that speaks 3.1.1",
     "3.3.5.15.12", CAUSE_V13, NOTE, NEEDS_VALIDATION, test_permuted_dialects},
    {"small-output", "VALIDATE that leaves room for 23 octets", "closed", "3.3.5.15.12", CAUSE_V06, NOTE,
     NEEDS_VALIDATION, test_small_output},
    {"unsigned", "VALIDATE without a signature", "closed, or STATUS_ACCESS_DENIED", "3.2.5.5", CAUSE_V08, EXPOSURE,
     NEEDS_VALIDATION, test_unsigned},
    {"bad-signature", "VALIDATE with a wrong signature", "STATUS_ACCESS_DENIED, or closed", "3.3.5.2.4", CAUSE_S10,
     PROBLEM, NEEDS_VALIDATION, test_bad_signature},
    {"validate-3.1.1", "the right VALIDATE on 3.1.1", "closed", "3.3.5.15.12", CAUSE_V09, NOTE, NEEDS_LOGON_311,
     test_validate_311},
    {"unsigned-tree-3.1.1", "TREE_CONNECT without a signature on 3.1.1",
     "closed, or refused where signing or encryption is required", "3.3.5.7", CAUSE_S02, NOTE, NEEDS_LOGON_311,
     test_unsigned_tree},
};

_Static_assert(sizeof table / sizeof table[0] <= PROBE_TESTS_MAX, "the results have room for each test");

const struct probe_test *probe_tests(unsigned *count) {
    *count = sizeof table / sizeof table[0];
    return table;
}

static bool name_is(const struct probe_test *test, const char *name, size_t size) {
    return strlen(test->name) == size && memcmp(test->name, name, size) == 0;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* What a test needs runs as well: the dialects, the client, the right validation. */
static bool is_needed(const struct probe_test *test, const bool needs[NEEDS_VALIDATION + 1]) {
    bool logon = needs[NEEDS_LOGON] || needs[NEEDS_LOGON_311] || needs[NEEDS_VALIDATION];

    if (test->run == test_reach)
        return true;
    if (starts_with(test->name, "dialect-"))
        return logon || needs[NEEDS_311];
    if (test->run == test_client)
        return logon;
    return needs[NEEDS_VALIDATION] && test->run == test_validate_list;
}

int probe_select(const char *only, bool wanted[PROBE_TESTS_MAX]) {
    bool needs[NEEDS_VALIDATION + 1] = {false};
    unsigned count;
    const struct probe_test *tests = probe_tests(&count);
    int wanted_count = 0;

    memset(wanted, only == NULL, PROBE_TESTS_MAX * sizeof *wanted);
    for (const char *at = only; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ",");
        unsigned i = 0;

        while (i < count && !name_is(&tests[i], at, size))
            i++;
        if (i == count)
            return -1;
        wanted[i] = needs[tests[i].needs] = true;
        at += size + (at[size] == ',');
    }
    for (unsigned i = 0; i < count; i++) {
        wanted[i] |= only != NULL && is_needed(&tests[i], needs);
        wanted_count += wanted[i];
    }
    return wanted_count;
}
